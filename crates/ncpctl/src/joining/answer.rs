//! The hub's answer: one JSON file from the hub's operator to the participant, `<participant>-answer.json`.
//!
//! ```json
//! {"schema":"ncp.joining-answer/1","participant":"XA","roots":["<signed root of trust, base64>"],
//!  "entry":"<the participant's own signed entry of version 0, base64>",
//!  "hub_entry":"<signed entry of version 0, base64>","membership":"<signed statement, base64>",
//!  "certificate":"<PEM>","authority":"<PEM>"}
//! ```
//!
//! Nothing in it is secret and nothing of it is believed because of where it came from. The network's id, which the node
//! was told before it made its keys, is the digest of the first root of trust; the root's membership role signed the
//! statement; the statement names the fingerprints of the hub and of this node; the hub's entry pins the hub's TLS key. The
//! authority is believed no further than that pin.
//!
//! A folder that lost its entry gets it back from the answer, if the network's fingerprint is given again: that is what
//! the entry would have told.

use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Fingerprint, Member, SignedEntry, SignedMembership};
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use ncp_store::keyfiles;
use ncp_store::keyfiles::keyring::Keyring;
use serde::{Deserialize, Serialize};

use super::authority::{self, Subject};
use super::entry::{first_entry, read_first_entry};
use super::files::{NAME_WITH_OUT, differs, put_public, read_public};
use super::held::{check_keys, entry_gone};
use super::membership;
use super::request::{from_json, invalid, to_json};
use super::root::{InstalledRoot, verify_roots};

const SCHEMA: &str = "ncp.joining-answer/1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    schema: String,
    #[serde(with = "ncp_api::text")]
    participant: ParticipantId,
    #[serde(with = "ncp_api::text::base64_list")]
    roots: Vec<Vec<u8>>,
    #[serde(with = "ncp_api::text::base64")]
    entry: Vec<u8>,
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
    /// The participant's own entry of version 0.
    pub(crate) entry: SignedEntry,
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
            entry: self.entry.encode(),
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
            entry: first_entry(&wire.entry, &path.display())?,
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
        let held = read_first_entry(data)?;
        let network = held.as_ref().map(|own| own.unverified().network).or(told);
        let network = network.ok_or_else(|| {
            let again = "make keys first:  ncpctl keys init;  or, if they were made before, give the network's fingerprint \
                         again with --network";
            entry_gone(data, again)
        })?;
        let own = held.unwrap_or_else(|| self.entry.clone());
        let entry = own.unverified();
        let for_another = |found: &dyn core::fmt::Display, expected: &dyn core::fmt::Display| {
            let fault = ErrorCode::AnswerForAnother.with("file", path.display());
            fault.with("found", found).with("expected", expected)
        };
        for of in [self.root.network(), entry.network] {
            if of != network {
                let label = |id: NetworkId| format!("network {}", id.label());
                return Err(for_another(&label(of), &label(network)));
            }
        }
        if entry.participant != self.participant {
            return Err(for_another(&self.participant, &entry.participant));
        }
        let member = self.membership.unverified().member(entry.participant);
        let member = member.filter(|member| member.fingerprint == Fingerprint(own.digest()));
        let member = member.ok_or_else(|| for_another(&"other keys", &"the holder of the keys in this folder"))?;
        let subject =
            Subject { network: entry.network, class: self.root.newest.root().class, participant: entry.participant };
        let certificate = authority::check_certificate(&self.certificate, &self.authority, &subject, now)
            .map_err(|error| invalid(path, &error))?;
        if !entry.pins(&certificate.key) {
            return Err(for_another(&"another TLS key", &"the holder of the TLS key in this folder"));
        }
        check_keys(data, keyring, entry)?;
        Ok(member.clone())
    }

    /// Puts root of trust, own entry, hub entry, authority and certificate into the data folder. What is there already is
    /// left as it is; a file that says something else stops it before anything is written.
    ///
    /// Order: root of trust, entries, authority, certificate. A crash leaves some of them; the next call adds the rest.
    ///
    /// # Errors
    /// [`ErrorCode::OutputExists`] with the file.
    pub(crate) fn install(&self, data: &Path) -> Result<Installed, Fault> {
        let (own, hub) = (self.entry.encode(), self.hub.encode());
        let own_path = keyfiles::entry_path(0);
        let files = [
            (own_path.as_path(), own.as_slice(), "directory entry"),
            (Path::new(keyfiles::HUB_ENTRY), hub.as_slice(), "entry of the hub"),
            (Path::new(keyfiles::TLS_AUTHORITY), self.authority.as_bytes(), "certificate of the authority"),
            (Path::new(keyfiles::TLS_CHAIN), self.certificate.as_bytes(), "certificate"),
        ];
        let mut installed = Installed::Before;
        for (name, bytes, what) in &files {
            match read_public(&data.join(name), what)? {
                Some(found) if found == *bytes => {}
                Some(_) => return Err(differs(&data.join(name))),
                None => installed = Installed::Now,
            }
        }
        self.root.put(data)?;
        for (name, bytes, what) in &files {
            put_public(&data.join(name), bytes, what)?;
        }
        Ok(installed)
    }
}

/// Whether an answer had been installed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Installed {
    /// This call installed it.
    Now,
    /// It stood there, whole.
    Before,
}
