use super::*;

mod accept;
mod chain;
mod entry;

use crate::ids::{Digest, Epoch, KeyId, LogName, NetworkId, ParticipantId, UnixMillis};
use crate::keys::SigningKey;
use crate::limits::{DAY_MS, OPEN_AFTER_SEAL_MS};
use crate::wrap::SealingKey;

const NETWORK: NetworkId = NetworkId(Digest([7; 32]));
const CREATED: UnixMillis = UnixMillis(1_800_000_000_000);

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn sealing(number: u8) -> SealingEntryKey {
    let seal_until = CREATED.plus_millis(80 * DAY_MS);
    SealingEntryKey {
        public: SealingKey::from_seed(&[number; 32]).public(),
        seal_until,
        open_until: seal_until.plus_millis(OPEN_AFTER_SEAL_MS),
    }
}

fn log(log: LogName, epoch: u32, number: u8) -> LogKey {
    LogKey { log, epoch: Epoch(epoch), key: key(number).verifying_key() }
}

/// The first entry of XA: identity key 1, recovery key 2.
fn state() -> Entry {
    let public = |number| key(number).verifying_key();
    Entry {
        network: NETWORK,
        participant: "XA".parse().unwrap(),
        version: 0,
        previous: None,
        created: CREATED,
        keys: EntryKeys {
            identity: public(1),
            recovery: public(2),
            signing: Some(ValidKey { key: public(3), from: CREATED, until: CREATED.plus_millis(365 * DAY_MS) }),
            sealing: vec![sealing(1)],
            logs: vec![log(LogName::Node, 1, 4)],
            witness: public(5),
            timestamp: None,
            tls: vec![KeyId(Digest([0x71; 32]))],
        },
        suite_floor: 1,
    }
}

/// The first entry of the hub.
fn hub() -> Entry {
    let keys = EntryKeys {
        signing: None,
        sealing: Vec::new(),
        logs: vec![log(LogName::Traffic, 1, 14), log(LogName::Public, 1, 15)],
        timestamp: Some(key(16).verifying_key()),
        ..state().keys
    };
    Entry { participant: ParticipantId::HUB, keys, ..state() }
}

fn signed(entry: Entry, by: u8) -> SignedEntry {
    SignedEntry::sign(entry, &key(by)).unwrap()
}

/// The version after `before`, unchanged but for what `change` does.
fn after(before: &SignedEntry, change: impl FnOnce(&mut Entry)) -> Entry {
    let mut entry = before.unverified().clone();
    entry.version += 1;
    entry.previous = Some(before.digest());
    change(&mut entry);
    entry
}
