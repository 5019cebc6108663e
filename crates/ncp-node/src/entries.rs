//! The directory as workers use it: parsed entries, read from the index and the spool, swapped as a whole when it changes.
//!
//! An entry stands here only with its chain back to version 0, verified once more at every load: a record that does not
//! chain is left out, and that participant is closed. Whether an entry may be used also depends on pin and suspension,
//! which the row carries.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ncp_protocol::directory::{Chain, Entry, Fingerprint, Membership, MembershipClass, SignedEntry, Timestamp};
use ncp_protocol::ids::{Digest, KeyId, LogOrigin, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::VerifyingKey;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::reader::{ReadError, Reader, unless_lost};
use ncp_store::spool::{RecordKind, RecordName};

use crate::core::tables::{ENTRY, EntryRow};

/// Name of the record that holds a signed entry.
#[must_use]
pub fn entry_record(digest: Digest) -> RecordName {
    RecordName { kind: RecordKind::Entry, id: digest }
}

/// One participant's entries.
#[derive(Debug, Clone)]
pub struct KnownEntry {
    /// Version, pin and suspension, as the index has them.
    pub row: EntryRow,
    /// The verified chain.
    pub chain: Chain,
    /// All signed entries, oldest first.
    pub signed: Vec<SignedEntry>,
}

impl KnownEntry {
    /// The newest entry.
    #[must_use]
    pub fn newest(&self) -> &Entry {
        self.chain.entry()
    }

    /// Whether envelopes may be sealed to it and opened from it: pinned as it is, and not suspended.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.row.suspended && self.row.pinned == Some(self.chain.fingerprint().0)
    }
}

/// All entries that this node accepted.
#[derive(Debug, Clone, Default)]
pub struct DirectoryView {
    entries: BTreeMap<ParticipantId, KnownEntry>,
}

impl DirectoryView {
    /// Reads the directory. Blocks on the disk.
    ///
    /// # Errors
    /// [`ReadError`]; fatal, like every one.
    pub fn load<D: Disk, I: Index>(reader: &Reader<D, I>, network: &NetworkId) -> Result<Self, ReadError> {
        let mut rows = Vec::new();
        ENTRY.scan(&reader.view(), &(), |participant, row| {
            rows.push((participant, row));
            ControlFlow::Continue(())
        })?;
        let mut entries = BTreeMap::new();
        for (participant, row) in rows {
            let signed = read_chain(reader, row.entry)?;
            match verify(network, participant, &signed) {
                Some(chain) => {
                    entries.insert(participant, KnownEntry { row, chain, signed });
                }
                None => tracing::error!(%participant, "stored entries do not chain: this participant stays closed"),
            }
        }
        Ok(Self { entries })
    }

    /// What is known of a participant.
    #[must_use]
    pub fn entry(&self, participant: ParticipantId) -> Option<&KnownEntry> {
        self.entries.get(&participant)
    }

    /// All of them, by participant.
    pub fn iter(&self) -> impl Iterator<Item = (&ParticipantId, &KnownEntry)> {
        self.entries.iter()
    }

    /// The key of a log, from its participant's pinned chain. Suspension does not matter: evidence outlives it.
    #[must_use]
    pub fn log_key(&self, origin: &LogOrigin) -> Option<&VerifyingKey> {
        let known = self.entries.get(&origin.participant)?;
        let pinned = known.row.pinned == Some(known.chain.fingerprint().0);
        if !pinned || known.newest().network != origin.network {
            return None;
        }
        known.newest().log_key(origin.log, origin.epoch)
    }

    /// The TLS keys that a participant's entry pins; none without an entry that people compared.
    #[must_use]
    pub fn tls_pins(&self, participant: ParticipantId) -> Vec<KeyId> {
        let usable = self.entries.get(&participant).filter(|known| known.is_usable());
        usable.map(|known| known.newest().keys.tls.clone()).unwrap_or_default()
    }
}

/// The hub's newest signed statements that this node accepted; empty until the link brought them.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    /// Who takes part.
    pub membership: Option<Membership>,
    /// How fresh that is.
    pub timestamp: Option<Timestamp>,
    /// When the root of trust ends under which they were believed.
    pub root_until: Option<UnixMillis>,
}

impl Statements {
    /// What a participant is, if the membership says so.
    #[must_use]
    pub fn class(&self, participant: ParticipantId) -> Option<MembershipClass> {
        self.membership.as_ref()?.member(participant).map(|member| member.class)
    }
}

/// The signed entries up to the one with this digest, oldest first; fewer if a record is missing.
fn read_chain<D: Disk, I: Index>(reader: &Reader<D, I>, newest: Digest) -> Result<Vec<SignedEntry>, ReadError> {
    let mut signed = Vec::new();
    let mut next = Some(newest);
    while let Some(digest) = next {
        let bytes = unless_lost(reader.record(&entry_record(digest)))?;
        let Some(entry) = bytes.and_then(|bytes| SignedEntry::decode(&bytes).ok()) else { break };
        next = entry.unverified().previous;
        signed.push(entry);
    }
    signed.reverse();
    Ok(signed)
}

fn verify(network: &NetworkId, participant: ParticipantId, signed: &[SignedEntry]) -> Option<Chain> {
    let (first, later) = signed.split_first()?;
    let mut chain = Chain::first(network, &Fingerprint(first.digest()), first).ok()?;
    for next in later {
        chain = chain.next(next).ok()?;
    }
    (chain.entry().participant == participant).then_some(chain)
}
