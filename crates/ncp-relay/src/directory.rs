//! The directory as the hub serves it: parsed from the records that the index names, swapped as a whole, with the
//! timestamp statement that the hub signs over it.
//!
//! Whatever changes it is an event first. A refresh reads it anew, signs a timestamp over the synced checkpoint of
//! `public`, records that checkpoint in `traffic`, ends the links of those who may no longer be served, and tells the
//! rest. The hub verifies what it admits, but nobody has to trust it for that: nodes verify again.

pub mod admission;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ncp_protocol::codes::Code;
use ncp_protocol::directory::{
    Chain, ChainError, Entry, EntryError, Fingerprint, Membership, MembershipFault, SignedEntry, SignedMembership,
    SignedTimestamp, Timestamp,
};
use ncp_protocol::ids::{Digest, KeyId, LogName, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_protocol::root::{StatementError, TrustedRoot};
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::reader::{ReadError, Reader};
use ncp_store::spool::{RecordKind, RecordName};
use ncp_store::state::Unreadable;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::clock;
use crate::core::command::{Command, RecordPublicCheckpoint};
use crate::core::query::{self, DirectoryState};
use crate::hub::{Asked, Hub, Stopping};
use crate::limits::{TIMESTAMP_FRESH_MS, TIMESTAMP_LIFETIME};

/// The root of trust with all its versions, oldest first.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The newest, verified.
    pub newest: TrustedRoot,
    /// All versions as signed, from 1.
    pub versions: Vec<Vec<u8>>,
}

/// The directory in force.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// The membership statement in force.
    pub membership: Option<SignedMembership>,
    /// Everyone's entries, up to the one in force.
    pub chains: BTreeMap<ParticipantId, Chain>,
    /// Who is suspended, and why.
    pub suspended: BTreeMap<ParticipantId, Code>,
    /// The hub's statement about all this.
    pub timestamp: Option<SignedTimestamp>,
    recorded: u64,
}

/// Why the directory cannot be read from the store. Fatal: it was there when it was admitted.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] Unreadable),
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record is gone.
    #[error("the directory record {0} is missing")]
    Missing(Digest),
    /// A record is not an entry.
    #[error("the entry of {0} cannot be read: {1}")]
    Entry(ParticipantId, EntryError),
    /// The entries of a participant do not follow one another.
    #[error("the entries of {0} do not follow one another: {1}")]
    Chain(ParticipantId, ChainError),
    /// A record is not a membership statement.
    #[error("the membership statement cannot be read: {0}")]
    Membership(StatementError<MembershipFault>),
}

impl Directory {
    /// A participant's entry in force.
    #[must_use]
    pub fn entry(&self, participant: ParticipantId) -> Option<&Entry> {
        self.chains.get(&participant).map(Chain::entry)
    }

    /// The membership statement, as it says.
    #[must_use]
    pub fn members(&self) -> Option<&Membership> {
        self.membership.as_ref().map(SignedMembership::unverified)
    }

    /// Keys that a participant's TLS certificate may have.
    #[must_use]
    pub fn pins(&self, participant: ParticipantId) -> Vec<KeyId> {
        self.entry(participant).map(|entry| entry.keys.tls.clone()).unwrap_or_default()
    }

    /// Why a participant's link may not stand, if so.
    #[must_use]
    pub fn refuses(&self, participant: ParticipantId, certificate_key: &KeyId) -> Option<RejectCode> {
        if self.suspended.contains_key(&participant) {
            return Some(RejectCode::OriginatorSuspended);
        }
        match self.entry(participant) {
            None => Some(RejectCode::PeerUnknown),
            Some(entry) => (!entry.pins(certificate_key)).then_some(RejectCode::PinMismatch),
        }
    }

    /// Reads the directory from what is synced, without the hub's statement about it. Blocks on the disk.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load<D: Disk, I: Index>(reader: &Reader<D, I>, network: NetworkId) -> Result<Self, LoadError> {
        let DirectoryState { membership, entries, suspended, recorded } = query::directory(&reader.view())?;
        let membership = match membership {
            // Without it the hub serves those whose entries it has, and nodes admit nobody new.
            Some(row) => match record(reader, row.membership) {
                Err(LoadError::Read(ReadError::RecordLost { .. })) => None,
                bytes => Some(SignedMembership::decode(&bytes?).map_err(LoadError::Membership)?),
            },
            None => None,
        };
        let mut chains = BTreeMap::new();
        for (participant, row) in entries {
            match chain(reader, network, participant, row.entry) {
                Err(LoadError::Read(error @ ReadError::RecordLost { .. })) => {
                    tracing::error!(%participant, %error, "a participant is not served: its entry is lost; admit it again");
                }
                chain => drop(chains.insert(participant, chain?)),
            }
        }
        Ok(Self { membership, chains, suspended: suspended.into_iter().collect(), timestamp: None, recorded })
    }
}

/// All entries of a participant from the first to the one named `newest`.
fn chain<D: Disk, I: Index>(
    reader: &Reader<D, I>,
    network: NetworkId,
    participant: ParticipantId,
    newest: Digest,
) -> Result<Chain, LoadError> {
    let mut entries = Vec::new();
    let mut wanted = Some(newest);
    while let Some(digest) = wanted {
        let entry = SignedEntry::decode(&record(reader, digest)?);
        let entry = entry.map_err(|error| LoadError::Entry(participant, error))?;
        wanted = entry.unverified().previous;
        entries.push(entry);
    }
    let broken = |error| LoadError::Chain(participant, error);
    let first = entries.pop().ok_or(LoadError::Missing(newest))?;
    let mut chain = Chain::first(&network, &Fingerprint(first.digest()), &first).map_err(broken)?;
    while let Some(next) = entries.pop() {
        chain = chain.next(&next).map_err(broken)?;
    }
    Ok(chain)
}

fn record<D: Disk, I: Index>(reader: &Reader<D, I>, id: Digest) -> Result<Vec<u8>, LoadError> {
    reader.record(&RecordName { kind: RecordKind::Entry, id })?.ok_or(LoadError::Missing(id))
}

/// The directory in force, shared. Readers take a snapshot; refreshes and admissions go one after the other.
#[derive(Debug, Default)]
pub struct SharedDirectory {
    current: ArcSwap<Directory>,
    refreshing: Mutex<()>,
    admitting: Mutex<()>,
}

impl SharedDirectory {
    /// The directory now.
    #[must_use]
    pub fn load(&self) -> Arc<Directory> {
        self.current.load_full()
    }
}

/// Reads the directory anew, signs a timestamp over it, and acts on what changed.
///
/// # Errors
/// [`Stopping`].
pub async fn refresh(hub: &Hub) -> Result<(), Stopping> {
    let _turn = hub.directory.refreshing.lock().await;
    let network = hub.network;
    let (mut directory, checkpoint) = hub
        .read(move |reader| {
            // Before the rows, so that the statement never names a checkpoint that the rows do not cover.
            let checkpoint = reader.checkpoint(LogName::Public);
            Directory::load(reader, network).map(|directory| (directory, checkpoint))
        })
        .await?;
    let public = checkpoint.map(|signed| signed.checkpoint().clone());
    if let Some((membership, public)) = directory.membership.as_ref().zip(public.as_ref()) {
        let signed = sign_timestamp(hub, membership, public.size, public.root);
        directory.timestamp = Some(signed.map_err(|fault| hub.fail(&fault))?);
    }
    let recorded = directory.recorded;
    hub.directory.current.store(Arc::new(directory));
    if let Some(public) = public.filter(|public| public.size > recorded) {
        let (size, root) = (public.size, public.root);
        let command = RecordPublicCheckpoint { size, root, stamp: clock::stamp() };
        hub.submit(Asked::BY_DAEMON, Command::RecordPublicCheckpoint(command)).await?;
    }
    let directory = hub.directory.load();
    hub.links.tell_all(|peer, link| match (directory.refuses(peer, &link.certificate_key), link.is_pinned) {
        // A link whose key is not pinned serves signed directory data alone, and may stay for more of it.
        (None, true) | (Some(RejectCode::PinMismatch), false) => link.directory.notify_one(),
        // The key is pinned now: the peer comes back for full service.
        (None, false) => link.close(RejectCode::PinMismatch),
        (Some(code), _) => link.close(code),
    });
    Ok(())
}

/// The directory with a timestamp statement of this minute: whoever asks learns the hub's clock by it, too.
///
/// # Errors
/// [`Stopping`].
pub async fn fresh(hub: &Hub) -> Result<Arc<Directory>, Stopping> {
    let _turn = hub.directory.refreshing.lock().await;
    let directory = hub.directory.load();
    let said = directory.timestamp.as_ref().map(SignedTimestamp::unverified);
    let Some(statement) = said.and_then(|said| renewed(said, hub.now())) else { return Ok(directory) };
    let signed = SignedTimestamp::sign(statement, &hub.network, &[&hub.timestamp]);
    let timestamp = Some(signed.map_err(|fault| hub.fail(&fault))?);
    let directory = Arc::new(Directory { timestamp, ..Directory::clone(&directory) });
    hub.directory.current.store(Arc::clone(&directory));
    Ok(directory)
}

/// The same statement of now, unless it is of this minute, or of a clock that was ahead.
fn renewed(said: &Timestamp, now: UnixMillis) -> Option<Timestamp> {
    let is_old = now.millis_since(said.issued) >= TIMESTAMP_FRESH_MS;
    is_old.then(|| Timestamp { issued: now, expires: expiry(now), ..*said })
}

fn expiry(issued: UnixMillis) -> UnixMillis {
    UnixMillis(issued.0.saturating_add(TIMESTAMP_LIFETIME.as_secs() * 1_000))
}

fn sign_timestamp(
    hub: &Hub,
    membership: &SignedMembership,
    public_size: u64,
    public_root: Digest,
) -> Result<SignedTimestamp, ncp_protocol::directory::TimestampFault> {
    let issued = hub.now();
    let statement = Timestamp {
        network: hub.network,
        issued,
        expires: expiry(issued),
        membership_version: membership.unverified().version,
        membership_digest: membership.digest(),
        public_size,
        public_root,
    };
    SignedTimestamp::sign(statement, &hub.network, &[&hub.timestamp])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_given_out_for_a_minute_and_then_made_anew() {
        let said = Timestamp {
            network: NetworkId(Digest([1; 32])),
            issued: UnixMillis(1_000_000),
            expires: expiry(UnixMillis(1_000_000)),
            membership_version: 3,
            membership_digest: Digest([2; 32]),
            public_size: 7,
            public_root: Digest([3; 32]),
        };
        for early in [0, 1_000_000, 1_000_000 + TIMESTAMP_FRESH_MS - 1] {
            assert_eq!(renewed(&said, UnixMillis(early)), None, "{early}");
        }
        let now = UnixMillis(1_000_000 + TIMESTAMP_FRESH_MS);
        assert_eq!(renewed(&said, now), Some(Timestamp { issued: now, expires: expiry(now), ..said }));
    }
}
