//! Contributions of national services: a record sealed under the storage key, with text inline and files as uploads of
//! their own, which it names. The record's name is random: nothing in the journal follows from the content.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ncp_protocol::codec::Prefix;
use ncp_protocol::ids::{Digest, MessageId, UnixMillis};
use ncp_protocol::manifest::{MediaType, PartName};
use ncp_store::spool::{Record, RecordKind, RecordName};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::content::damaged;
use crate::faults::Failed;
use crate::node::Node;
use crate::vault::SEALED_PLAIN_MAX;

const PREFIX: Prefix = Prefix::new(b'B', 1);
/// Longest text of a contribution in bytes.
pub const TEXT_MAX: usize = 64 << 10;
/// Most files of a contribution.
pub const FILES_MAX: usize = 32;

/// What a service contributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredContribution {
    /// Free text.
    pub text: Option<String>,
    /// Files.
    pub files: Vec<ContributedFile>,
}

/// A file of a contribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContributedFile {
    /// Its name.
    pub name: PartName,
    /// What it holds.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// The upload that holds it.
    pub blob: MessageId,
}

/// Seals a contribution under a fresh name.
#[must_use]
pub fn seal(node: &Node, contribution: &StoredContribution) -> Record {
    let name = RecordName { kind: RecordKind::Contribution, id: Digest(clock::random()) };
    node.vault.seal(name, &PREFIX.encode(contribution))
}

/// Opens the contribution of this name; `None` if it was erased.
///
/// # Errors
/// A record that is there and does not open.
pub fn open(node: &Node, id: Digest) -> Result<Option<StoredContribution>, Failed> {
    let name = RecordName { kind: RecordKind::Contribution, id };
    let Some(bytes) = node.reader().record(&name)? else { return Ok(None) };
    let plain = node.vault.open(&name, &bytes).map_err(|_| damaged(&name))?;
    PREFIX.decode(&plain, SEALED_PLAIN_MAX).map(Some).map_err(|_| damaged(&name).into())
}

const _: () = assert!(SEALED_PLAIN_MAX > TEXT_MAX + FILES_MAX * 400, "a record holds the fullest contribution");

/// Contributions that were taken lately, by officer and idempotency key: a retry after a lost answer adds nothing. In
/// memory: a contribution that comes twice around a restart is seen twice, which people can tell.
#[derive(Debug, Default)]
pub struct Taken(Mutex<BTreeMap<(u16, String), UnixMillis>>);

/// How long a key is remembered.
const TAKEN_FOR_MS: u64 = 60 * 60 * 1_000;

impl Taken {
    /// Remembers a key; says whether it is new.
    pub fn begin(&self, mark: &(u16, String)) -> bool {
        let now = clock::now();
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, time| now.millis_since(*time) <= TAKEN_FOR_MS);
        taken.insert(mark.clone(), now).is_none()
    }

    /// Forgets a key whose contribution was refused.
    pub fn forget(&self, mark: &(u16, String)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(mark);
    }
}
