//! A participant's entries from version 0 to the newest, each verified by the one before, as folders and joining files
//! hold them.

use core::fmt::Display;
use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, Entry, EntryKeys, Fingerprint, SignedEntry};
use ncp_protocol::ids::{KeyId, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_store::keyfiles;

use super::files::{differs, put_public, read_public};

/// Most versions that are looked for.
const VERSIONS_MAX: u32 = 65_536;
/// What an entry is called that is made here.
pub(crate) const THE_NEW_ENTRY: &str = "the new entry";

/// All versions, one at least. Whether people compared the fingerprint is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entries {
    chain: Chain,
    before: Vec<SignedEntry>,
}

impl Entries {
    /// Begins with version 0, which its own identity key signed.
    ///
    /// # Errors
    /// [`ErrorCode::EntryInvalid`] with the source.
    pub(crate) fn first(signed: &SignedEntry, source: &dyn Display) -> Result<Self, Fault> {
        let chain = Chain::first(&signed.unverified().network, &Fingerprint(signed.digest()), signed);
        let chain = chain.map_err(|error| not_following(signed, source, &error))?;
        Ok(Self { chain, before: Vec::new() })
    }

    /// Goes on with the next version.
    ///
    /// # Errors
    /// [`ErrorCode::EntryInvalid`] with the source.
    pub(crate) fn next(&self, signed: &SignedEntry, source: &dyn Display) -> Result<Self, Fault> {
        let chain = self.chain.next(signed).map_err(|error| not_following(signed, source, &error))?;
        let before = self.before.iter().chain([self.chain.signed()]).cloned().collect();
        Ok(Self { chain, before })
    }

    /// Makes the version after the newest, with these keys, signed by the identity key or the recovery key of the newest.
    ///
    /// # Errors
    /// [`ErrorCode::EntryInvalid`] if these keys do not make an entry, or the key may not sign it.
    pub(crate) fn sign_next(&self, now: UnixMillis, keys: EntryKeys, signer: &SigningKey) -> Result<Self, Fault> {
        let old = self.newest();
        let entry = Entry {
            version: old.version + 1,
            previous: Some(self.digest()),
            created: now.max(old.created),
            keys,
            ..old.clone()
        };
        let signed = SignedEntry::sign(entry, signer)
            .map_err(|error| invalid(&old.participant, old.version + 1, &THE_NEW_ENTRY, &error))?;
        self.next(&signed, &THE_NEW_ENTRY)
    }

    /// Reads entries that arrived together, oldest first.
    ///
    /// # Errors
    /// [`ErrorCode::EntryInvalid`] with the source.
    pub(crate) fn decode(versions: &[Vec<u8>], source: &dyn Display) -> Result<Self, Fault> {
        let mut found: Option<Self> = None;
        for (version, bytes) in (0..).zip(versions) {
            found = Some(Self::follow(found.as_ref(), version, bytes, source)?);
        }
        found.ok_or_else(|| invalid(&"the participant", 0, source, &"there is none"))
    }

    /// Reads those of a data folder; `None` if it has no version 0.
    ///
    /// # Errors
    /// [`ErrorCode::EntryInvalid`] with the file.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>, Fault> {
        let mut found: Option<Self> = None;
        for version in 0..VERSIONS_MAX {
            let path = data.join(keyfiles::entry_path(version));
            let Some(bytes) = read_public(&path, "directory entry")? else { break };
            found = Some(Self::follow(found.as_ref(), version, &bytes, &path.display())?);
        }
        Ok(found)
    }

    fn follow(before: Option<&Self>, version: u32, bytes: &[u8], source: &dyn Display) -> Result<Self, Fault> {
        let participant = before.map_or_else(|| "the participant".to_owned(), |known| known.participant().to_string());
        let signed = SignedEntry::decode(bytes).map_err(|error| invalid(&participant, version, source, &error))?;
        match before {
            None => Self::first(&signed, source),
            Some(before) => before.next(&signed, source),
        }
    }

    /// Puts every version that is missing into a data folder.
    ///
    /// # Errors
    /// [`ErrorCode::OutputExists`] if a file says something else.
    pub(crate) fn put(&self, data: &Path) -> Result<(), Fault> {
        for signed in self.versions() {
            let path = data.join(keyfiles::entry_path(signed.unverified().version));
            put_public(&path, &signed.encode(), "directory entry")?;
        }
        Ok(())
    }

    /// Whether a data folder lacks a version. Nothing is written.
    ///
    /// # Errors
    /// As [`Entries::put`].
    pub(crate) fn is_missing_in(&self, data: &Path) -> Result<bool, Fault> {
        let mut missing = false;
        for signed in self.versions() {
            let path = data.join(keyfiles::entry_path(signed.unverified().version));
            match read_public(&path, "directory entry")? {
                Some(found) if found == signed.encode() => {}
                Some(_) => return Err(differs(&path)),
                None => missing = true,
            }
        }
        Ok(missing)
    }

    /// The longer of two that tell the same history; the version in which they differ otherwise.
    pub(crate) fn longer(self, other: Self) -> Result<Self, u32> {
        let differ = |(ours, theirs): (&SignedEntry, &SignedEntry)| {
            (ours.digest() != theirs.digest()).then(|| ours.unverified().version)
        };
        if let Some(version) = self.versions().zip(other.versions()).find_map(differ) {
            return Err(version);
        }
        Ok(if self.version() >= other.version() { self } else { other })
    }

    /// All versions, oldest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &SignedEntry> {
        self.before.iter().chain([self.chain.signed()])
    }

    /// All versions as they travel.
    pub(crate) fn encode(&self) -> Vec<Vec<u8>> {
        self.versions().map(SignedEntry::encode).collect()
    }

    /// The newest version.
    pub(crate) fn newest(&self) -> &Entry {
        self.chain.entry()
    }

    /// Version 0 as it was signed.
    pub(crate) fn oldest(&self) -> &SignedEntry {
        self.before.first().unwrap_or_else(|| self.chain.signed())
    }

    /// The version before the newest, if there is one.
    pub(crate) fn previous(&self) -> Option<&Entry> {
        self.before.last().map(SignedEntry::unverified)
    }

    /// The newest version's digest, which the next one names.
    pub(crate) fn digest(&self) -> ncp_protocol::ids::Digest {
        self.chain.digest()
    }

    /// What people compare: the digest of version 0.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.chain.fingerprint()
    }

    /// Whose they are.
    pub(crate) fn participant(&self) -> ParticipantId {
        self.newest().participant
    }

    /// The network.
    pub(crate) fn network(&self) -> NetworkId {
        self.newest().network
    }

    /// The newest version's number.
    pub(crate) fn version(&self) -> u32 {
        self.newest().version
    }

    /// Whether any version names this key as signing key, sealing key or TLS key.
    pub(crate) fn ever_named(&self, key: &KeyId) -> bool {
        self.versions().any(|signed| {
            let keys = &signed.unverified().keys;
            keys.signing.iter().any(|signing| signing.key.id() == *key)
                || keys.sealing.iter().any(|sealing| sealing.public.id() == *key)
                || keys.tls.contains(key)
        })
    }
}

fn not_following(signed: &SignedEntry, source: &dyn Display, reason: &dyn Display) -> Fault {
    let entry = signed.unverified();
    invalid(&entry.participant, entry.version, source, reason)
}

fn invalid(participant: &dyn Display, version: u32, source: &dyn Display, reason: &dyn Display) -> Fault {
    let fault = ErrorCode::EntryInvalid.with("participant", participant);
    fault.with("version", version).with("reason", format!("{source}: {reason}"))
}
