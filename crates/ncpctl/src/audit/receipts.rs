//! Receipts of others that the journal says were verified and stored: each is verified again from its record.

use std::collections::{BTreeMap, BTreeSet};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, Fingerprint, SignedEntry, SignedMembership};
use ncp_protocol::event::{Change, Claim};
use ncp_protocol::evidence;
use ncp_protocol::ids::{Digest, LogOrigin, ParticipantId, UnixMillis};
use ncp_protocol::keys::{VerifyingKey, sha256};
use ncp_protocol::proof::LogProof;
use ncp_store::disk::RealDisk;
use ncp_store::fsck::group_records;
use ncp_store::journal::Group;
use ncp_store::spool::{Class, Place, RecordKind, RecordName, SpoolReader};

use super::folder::Folder;
use super::walk::{Leaf, Visitor};
use crate::error::{Error, file};

/// What the journal says about receipts and pins.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    stored: Vec<Stored>,
    pins: BTreeMap<ParticipantId, Fingerprint>,
    erased: BTreeSet<RecordName>,
}

#[derive(Debug)]
struct Stored {
    claim: Claim,
    index: u64,
    stated: UnixMillis,
    record: Digest,
}

impl Visitor for Gathered {
    fn leaf(&mut self, leaf: &Leaf) {
        if let Change::EvidenceReceived { claim, index, stated, record } = &leaf.event.change {
            self.stored.push(Stored { claim: *claim, index: *index, stated: *stated, record: *record });
        } else if let Change::EntryPinned { participant, fingerprint } = &leaf.event.change {
            self.pins.insert(*participant, Fingerprint(*fingerprint));
        }
    }

    fn group(&mut self, group: &Group) {
        // A malformed manifest is for the daemon's own check; no receipt is excused by it.
        let Some(records) = group_records(group) else { return };
        for name in records.needed {
            self.erased.remove(&name);
        }
        self.erased.extend(records.erased);
    }
}

/// How the receipts came out.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    pub(super) good: u64,
    pub(super) findings: Vec<Fault>,
}

impl Receipts {
    /// Verifies every receipt that was stored and not erased since.
    pub(super) fn judge(folder: &Folder, gathered: &Gathered) -> Result<Self, Error> {
        let mut receipts = Self::default();
        if gathered.stored.is_empty() {
            return Ok(receipts);
        }
        let records = Records::read(folder)?;
        let directory = Directory::gather(folder, gathered, &records)?;
        for stored in &gathered.stored {
            let name = RecordName { kind: RecordKind::Evidence, id: stored.record };
            let verdict = match records.bytes(&name)? {
                None if gathered.erased.contains(&name) => continue,
                None => Err(missing(stored)),
                Some(bytes) => directory.judge(stored, &bytes),
            };
            match verdict {
                Ok(()) => receipts.good += 1,
                Err(fault) => receipts.findings.push(fault),
            }
        }
        Ok(receipts)
    }
}

/// The key of a log, if an entry names it that leads back to an anchor of this folder.
pub(super) fn log_key(folder: &Folder, gathered: &Gathered, origin: &LogOrigin) -> Result<Option<VerifyingKey>, Error> {
    let records = Records::read(folder)?;
    Ok(Directory::gather(folder, gathered, &records)?.key(origin).copied())
}

/// Where the records of the class lie that keeps evidence and entries.
struct Records<'a> {
    folder: &'a Folder,
    spool: SpoolReader<RealDisk>,
    places: BTreeMap<RecordName, Vec<Place>>,
}

impl<'a> Records<'a> {
    fn read(folder: &'a Folder) -> Result<Self, Error> {
        let spool = SpoolReader::new(folder.disk.clone());
        let failed = |error: std::io::Error| file(folder.path(), &error);
        let mut places: BTreeMap<RecordName, Vec<Place>> = BTreeMap::new();
        for segment in spool.segments(Class::Lasting).map_err(failed)? {
            let visit = &mut |name: RecordName, place: Place, _| places.entry(name).or_default().push(place);
            // Damage is no finding by itself: a record that is needed and damaged is reported as such.
            match spool.scan(Class::Lasting, segment, visit) {
                Ok(_) => {}
                // A daemon that runs may have copied the segment forward meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(Self { folder, spool, places })
    }

    /// A record whose bytes are whole, wherever it lies.
    fn bytes(&self, name: &RecordName) -> Result<Option<Vec<u8>>, Error> {
        use ncp_store::spool::ReadError;
        for place in self.places.get(name).into_iter().flatten() {
            match self.spool.read(name, place) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(ReadError::Gone(_) | ReadError::Damaged(_)) => {}
                Err(ReadError::Io(error)) => return Err(file(self.folder.path(), &error)),
            }
        }
        Ok(None)
    }

    /// All whole records of the kind that holds entries and statements.
    fn entries(&self) -> Result<Vec<Vec<u8>>, Error> {
        let names = self.places.keys().filter(|name| name.kind == RecordKind::Entry);
        names.filter_map(|name| self.bytes(name).transpose()).collect()
    }
}

/// Other participants' chains, each from a fingerprint that people compared or the membership role signed.
struct Directory {
    chains: BTreeMap<ParticipantId, Chain>,
}

impl Directory {
    fn gather(folder: &Folder, gathered: &Gathered, records: &Records<'_>) -> Result<Self, Error> {
        let (mut entries, mut anchors) = (folder.entries.clone(), BTreeMap::new());
        let mut newest_statement = 0;
        for bytes in records.entries()? {
            if let Ok(entry) = SignedEntry::decode(&bytes) {
                entries.push(entry);
            } else if let Some(statement) = trusted_membership(folder, &bytes)
                && statement.unverified().version > newest_statement
            {
                newest_statement = statement.unverified().version;
                let members = &statement.unverified().members;
                anchors = members.iter().map(|member| (member.participant, member.fingerprint)).collect();
            }
        }
        // What people compared outranks what the Secretariat signed; own files outrank both.
        anchors.extend(gathered.pins.iter().map(|(participant, pin)| (*participant, *pin)));
        let first = |entry: &&SignedEntry| entry.unverified().version == 0;
        let own = folder.entries.iter().filter(first);
        anchors.extend(own.map(|entry| (entry.unverified().participant, Fingerprint(entry.digest()))));
        let chains = anchors.iter().filter_map(|(participant, anchor)| {
            let chain = chain_from(folder, anchor, &entries)?;
            (chain.entry().participant == *participant).then_some((*participant, chain))
        });
        Ok(Self { chains: chains.collect() })
    }

    fn key(&self, origin: &LogOrigin) -> Option<&VerifyingKey> {
        self.chains.get(&origin.participant)?.entry().log_key(origin.log, origin.epoch)
    }

    fn judge(&self, stored: &Stored, bytes: &[u8]) -> Result<(), Fault> {
        let Stored { claim, index, stated, record } = stored;
        let bad = |reason: &dyn core::fmt::Display| {
            let fault = ErrorCode::ReceiptBad.with("receipt", receipt_words(claim));
            fault.with("reference", claim.envelope.message).with("reason", reason)
        };
        let unchained = || {
            let fault = ErrorCode::EvidenceKeyUnchained.with("origin", claim.origin);
            fault.with("participant", claim.origin.participant)
        };
        if sha256(bytes) != *record {
            return Err(bad(&"the record holds other bytes than the journal names"));
        }
        let key = self.key(&claim.origin).ok_or_else(unchained)?;
        let text = core::str::from_utf8(bytes).map_err(|_| bad(&"it is no text"))?;
        let proof = LogProof::parse(text).map_err(|error| bad(&error))?;
        let verified = evidence::verify(&proof, &claim.origin, key).map_err(|error| bad(&error))?;
        if verified.claim() != claim || verified.index() != *index || verified.time() != *stated {
            return Err(bad(&"it proves something else than the journal says"));
        }
        Ok(())
    }
}

fn trusted_membership(folder: &Folder, bytes: &[u8]) -> Option<SignedMembership> {
    let statement = SignedMembership::decode(bytes).ok()?;
    let role = &folder.root.root().roles.membership;
    let good = statement.verify(role, &folder.network()).is_ok() && statement.unverified().network == folder.network();
    good.then_some(statement)
}

/// The longest chain that begins with the anchor.
fn chain_from(folder: &Folder, anchor: &Fingerprint, entries: &[SignedEntry]) -> Option<Chain> {
    let first = entries.iter().find(|entry| entry.digest() == anchor.0)?;
    let mut chain = Chain::first(&folder.network(), anchor, first).ok()?;
    while let Some(next) = entries.iter().find_map(|entry| chain.next(entry).ok()) {
        chain = next;
    }
    Some(chain)
}

fn missing(stored: &Stored) -> Fault {
    let fault = ErrorCode::ReceiptMissing.with("receipt", receipt_words(&stored.claim));
    fault.with("reference", stored.claim.envelope.message)
}

fn receipt_words(claim: &Claim) -> String {
    let kind = ncp_api::timeline::ReceiptKind::from(claim.kind);
    format!("{kind} by {} for {}", claim.origin.participant, claim.envelope.recipient)
}
