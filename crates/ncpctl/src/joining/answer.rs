//! The hub's answer: one JSON file from the hub's operator to the participant, `<participant>-answer.json`; to a request of
//! a later version `<participant>-answer-<version>.json`.
//!
//! ```json
//! {"schema":"ncp.joining-answer/2","participant":"XA","roots":["<signed root of trust, base64>"],
//!  "entries":["<the participant's own signed entry of version 0, base64>"],
//!  "hub_entry":"<signed entry of version 0, base64>","membership":"<signed statement, base64>",
//!  "certificate":"<PEM>","authority":"<PEM>"}
//! ```
//!
//! Nothing in it is secret and nothing of it is believed because of where it came from. The network's id, which the node
//! was told before it made its keys, is the digest of the first root of trust; the root's membership role signed the
//! statement; the statement names the fingerprints of the hub and of this node; the hub's entry pins the hub's TLS key. The
//! authority is believed no further than that pin.
//!
//! A folder that lost entries gets them back from the answer; if the first is gone, the network's fingerprint has to be
//! given again: that is what the entry would have told.

use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Fingerprint, Member, SignedEntry, SignedMembership};
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use ncp_store::keyfiles;
use ncp_store::keyfiles::keyring::Keyring;
use serde::{Deserialize, Serialize};

use super::authority::{self, Subject};
use super::entries::Entries;
use super::entry::first_entry;
use super::files::{NAME_WITH_OUT, differs, file_fault, put_public, read_public};
use super::held::{KeyFiles, Series, check_keys, entry_gone};
use super::membership;
use super::request::{from_json, invalid, to_json};
use super::root::{InstalledRoot, verify_roots};

const SCHEMA: &str = "ncp.joining-answer/2";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    schema: String,
    #[serde(with = "ncp_api::text")]
    participant: ParticipantId,
    #[serde(with = "ncp_api::text::base64_list")]
    roots: Vec<Vec<u8>>,
    #[serde(with = "ncp_api::text::base64_list")]
    entries: Vec<Vec<u8>>,
    #[serde(with = "ncp_api::text::base64")]
    hub_entry: Vec<u8>,
    #[serde(with = "ncp_api::text::base64")]
    membership: Vec<u8>,
    certificate: String,
    authority: String,
}

/// What the hub answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// For whom.
    pub(crate) participant: ParticipantId,
    /// The root of trust.
    pub(crate) root: InstalledRoot,
    /// The participant's own entries.
    pub(crate) entries: Entries,
    /// The hub's entry of version 0.
    pub(crate) hub: SignedEntry,
    /// The statement that names both.
    pub(crate) membership: SignedMembership,
    /// The participant's certificate, PEM.
    pub(crate) certificate: String,
    /// The authority's certificate, PEM.
    pub(crate) authority: String,
}

impl Answer {
    /// Writes the answer.
    ///
    /// # Errors
    /// [`ErrorCode::OutputExists`] if a file with other bytes bears the name.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Fault> {
        let wire = Wire {
            schema: SCHEMA.to_owned(),
            participant: self.participant,
            roots: self.root.versions.clone(),
            entries: self.entries.encode(),
            hub_entry: self.hub.encode(),
            membership: self.membership.encode(),
            certificate: self.certificate.clone(),
            authority: self.authority.clone(),
        };
        let written = put_public(path, &to_json(&wire)?, "joining answer");
        let exists = |fault: &Fault| fault.code == ErrorCode::OutputExists;
        written.map_err(|fault| if exists(&fault) { fault.with("remedy", NAME_WITH_OUT) } else { fault })
    }

    /// Reads an answer and verifies all of it against its own root of trust. Whether that is the right one, and the
    /// answer this node's, is for [`Answer::check_node`].
    ///
    /// # Errors
    /// [`ErrorCode::JoiningFileInvalid`] and the faults of its parts.
    pub(crate) fn read(path: &Path, now: UnixMillis) -> Result<Self, Fault> {
        let wire: Wire = from_json(path, SCHEMA)?;
        let root = verify_roots(&wire.roots, &path.display())?;
        if root.newest.is_expired(now) {
            return Err(invalid(path, &"its root of trust has expired"));
        }
        let membership = membership::verified(&wire.membership, &root.newest)?;
        if now >= membership.unverified().expires {
            return Err(invalid(path, &"its membership statement has expired"));
        }
        let hub = first_entry(&wire.hub_entry, &path.display())?;
        let named = membership.unverified().member(ParticipantId::HUB).map(|member| member.fingerprint);
        if !hub.unverified().is_hub()
            || hub.unverified().network != root.network()
            || named != Some(Fingerprint(hub.digest()))
        {
            return Err(invalid(path, &"its hub entry is not the one that the membership statement names"));
        }
        Ok(Self {
            participant: wire.participant,
            root,
            entries: Entries::decode(&wire.entries, &path.display())?,
            hub,
            membership,
            certificate: wire.certificate,
            authority: wire.authority,
        })
    }

    /// Checks that the answer is to the request of the node whose keys lie in `data`, all of them. Returns the node's
    /// membership. `told` is the network's fingerprint as people told it, for a folder that lost its entry.
    ///
    /// # Errors
    /// [`ErrorCode::AnswerForAnother`], [`ErrorCode::JoiningFileInvalid`], [`ErrorCode::KeyFileMissing`],
    /// [`ErrorCode::KeyNotOfEntry`].
    pub(crate) fn check_node(
        &self,
        path: &Path,
        (data, keyring): (&Path, &Keyring),
        told: Option<NetworkId>,
        now: UnixMillis,
    ) -> Result<Member, Fault> {
        let own = self.own_entries(path, data, told)?;
        let holder = "the holder of the keys in this folder";
        let member = self.membership.unverified().member(own.participant());
        let member = member.filter(|member| member.fingerprint == own.fingerprint());
        let member = member.ok_or_else(|| for_another(path, &"other keys", &holder))?;
        let class = self.root.newest.root().class;
        let subject = Subject { network: own.network(), class, participant: own.participant() };
        let certificate = authority::check_certificate(&self.certificate, &self.authority, &subject, now)
            .map_err(|error| invalid(path, &error))?;
        if !own.newest().pins(&certificate.key) {
            return Err(for_another(path, &"another TLS key", &"the holder of the TLS key in this folder"));
        }
        check_keys(data, keyring, &own)?;
        KeyFiles::read(data, keyring, Series::Tls)?.find(&[certificate.key], &own)?;
        Ok(member.clone())
    }

    /// The entries of the folder, which the answer's go on from, or which go on from the answer's; of a folder that lost
    /// them the answer's, if they are of the network that people told.
    fn own_entries(&self, path: &Path, data: &Path, told: Option<NetworkId>) -> Result<Entries, Fault> {
        let held = Entries::read(data)?;
        let network = held.as_ref().map(Entries::network).or(told);
        let network = network.ok_or_else(|| {
            let again = "make keys first:  ncpctl keys init;  or, if they were made before, give the network's fingerprint \
                         again with --network";
            entry_gone(data, again)
        })?;
        let whose = held.as_ref().unwrap_or(&self.entries);
        for of in [self.root.network(), whose.network()] {
            if of != network {
                let label = |id: NetworkId| format!("network {}", id.label());
                return Err(for_another(path, &label(of), &label(network)));
            }
        }
        if whose.participant() != self.participant {
            return Err(for_another(path, &self.participant, &whose.participant()));
        }
        let Some(held) = held else { return Ok(self.entries.clone()) };
        let longer = held.longer(self.entries.clone());
        longer.map_err(|version| {
            let other = format!("another entry of version {version}");
            for_another(path, &other, &"the holder of the keys in this folder")
        })
    }

    /// Puts root of trust, own entries, hub entry, authority and certificate into the data folder. What is there already is
    /// left as it is; a file that says something else stops it before anything is written. A certificate that was not
    /// installed before gets the next number, and serves from the daemon's next reload.
    ///
    /// Order: root of trust, entries, authority, certificate. A crash leaves some of them; the next call adds the rest.
    ///
    /// # Errors
    /// [`ErrorCode::OutputExists`] with the file.
    pub(crate) fn install(&self, data: &Path) -> Result<Installed, Fault> {
        let hub = self.hub.encode();
        let files = [
            (Path::new(keyfiles::HUB_ENTRY), hub.as_slice(), "entry of the hub"),
            (Path::new(keyfiles::TLS_AUTHORITY), self.authority.as_bytes(), "certificate of the authority"),
        ];
        let mut installed = if self.entries.is_missing_in(data)? { Installed::Now } else { Installed::Before };
        for (name, bytes, what) in &files {
            match read_public(&data.join(name), what)? {
                Some(found) if found == *bytes => {}
                Some(_) => return Err(differs(&data.join(name))),
                None => installed = Installed::Now,
            }
        }
        self.root.put(data)?;
        self.entries.put(data)?;
        for (name, bytes, what) in &files {
            put_public(&data.join(name), bytes, what)?;
        }
        Ok(match self.put_certificate(data)? {
            Installed::Before => installed,
            certificate @ (Installed::Now | Installed::Renewed) => certificate,
        })
    }

    fn put_certificate(&self, data: &Path) -> Result<Installed, Fault> {
        let count = keyfiles::count(data, keyfiles::tls_chain_path);
        let count = count.map_err(|error| file_fault("certificate", &error))?;
        for number in 1..=count {
            let found = read_public(&data.join(keyfiles::tls_chain_path(number)), "certificate")?;
            if found.is_some_and(|found| found == self.certificate.as_bytes()) {
                return Ok(Installed::Before);
            }
        }
        let path = data.join(keyfiles::tls_chain_path(count + 1));
        put_public(&path, self.certificate.as_bytes(), "certificate")?;
        Ok(if count == 0 { Installed::Now } else { Installed::Renewed })
    }
}

/// The participant's entries in an answer, of whatever age: who takes part now is not asked.
///
/// # Errors
/// [`ErrorCode::JoiningFileInvalid`], [`ErrorCode::EntryInvalid`].
pub(crate) fn entries(path: &Path) -> Result<Entries, Fault> {
    let wire: Wire = from_json(path, SCHEMA)?;
    Entries::decode(&wire.entries, &path.display())
}

fn for_another(path: &Path, found: &dyn core::fmt::Display, expected: &dyn core::fmt::Display) -> Fault {
    ErrorCode::AnswerForAnother.with("file", path.display()).with("found", found).with("expected", expected)
}

/// Whether an answer had been installed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Installed {
    /// This call installed it, or what was missing of it.
    Now,
    /// This call put a certificate behind an earlier one.
    Renewed,
    /// It stood there, whole.
    Before,
}
