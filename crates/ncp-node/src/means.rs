//! What a worker of the shell has at hand: synced state, directory, keys, and time and chance of one job as values.
//!
//! Whatever happens between reading and deciding (sealing, judging, opening, looking at evidence and at the queue) is a
//! function of [`Means`]: it blocks on the disk and asks the system for nothing. The shell brings them from its
//! [`Node`](crate::node::Node), the simulator from a disk and a clock of its own.

use std::sync::Arc;

use ncp_protocol::directory::ValidKey;
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::symmetric::AEAD_NONCE_LEN;
use ncp_protocol::wrap::WRAP_SEED_LEN;
use ncp_store::disk::{Disk, RealDisk};
use ncp_store::index::{Index, RedbIndex};
use ncp_store::reader::Reader;
use zeroize::Zeroizing;

use crate::entries::{DirectoryView, Statements};
use crate::keys::EnvelopeKeys;
use crate::vault::Vault;

/// What one job of a worker has at hand.
pub struct Means<'a, D: Disk = RealDisk, I: Index = RedbIndex> {
    /// Whose node this is.
    pub participant: ParticipantId,
    /// The network.
    pub network: NetworkId,
    /// Synced state.
    pub reader: &'a Reader<D, I>,
    /// Everyone's entries.
    pub directory: Arc<DirectoryView>,
    /// The hub's newest statements.
    pub statements: Arc<Statements>,
    /// Sign and open envelopes.
    pub keys: Arc<EnvelopeKeys>,
    /// Content at rest.
    pub vault: &'a Vault,
    /// When the job was begun.
    pub now: UnixMillis,
    /// Whether the wall clock was believed then.
    pub believes_clock: bool,
    /// Random bytes of this job, and of no other: its one wrap.
    pub wrap_seed: Zeroizing<[u8; WRAP_SEED_LEN]>,
    /// Random bytes of this job, and of no other: the nonce of its one record at rest.
    pub nonce: [u8; AEAD_NONCE_LEN],
}

impl<D: Disk, I: Index> Means<'_, D, I> {
    /// When the signing key of the own entry in force may sign: of the newest that the hub has admitted.
    #[must_use]
    pub fn signing_valid(&self) -> Option<ValidKey> {
        self.directory.entry(self.participant)?.newest().keys.signing
    }

    /// That key, if its private half is here.
    #[must_use]
    pub fn signing_key(&self) -> Option<&SigningKey> {
        self.keys.signing(&self.signing_valid()?.key.id())
    }
}
