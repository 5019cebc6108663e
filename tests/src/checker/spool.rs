//! Evidence of others in the spool: the text of every receipt that a journal notes is there, whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ncp_protocol::codec::{self, Prefix};
use ncp_protocol::event::Change;
use ncp_protocol::ids::Digest;
use ncp_protocol::keys::sha256;

use super::daemon::Daemon;
use super::finding::{Finding, Name};
use super::journal::{crc32c, word};

const RECORD: Prefix = Prefix::new(b'P', 1);
/// Bytes of a record's head; records begin at multiples of it.
const HEAD: usize = 64;
/// Number of the kind evidence.
const EVIDENCE: u32 = 3;

pub(super) fn check(daemon: &Daemon, data: &Path, findings: &mut Vec<Finding>) {
    let mut tell =
        |name, detail: String| findings.push(Finding::new(name, format!("{}: {detail}", daemon.participant)));
    let there = match evidence(&data.join("spool/lasting")) {
        Ok(there) => there,
        Err(error) => return tell(Name::Unreadable, format!("spool: {error}")),
    };
    for change in daemon.changes() {
        let Change::EvidenceReceived { claim, record, .. } = change else { continue };
        if !there.contains(record) {
            tell(Name::ReceiptUnkept, format!("{:?} of {}, {record}", claim.kind, claim.envelope.message));
        }
    }
}

/// Digests of all whole records of evidence.
fn evidence(folder: &Path) -> std::io::Result<BTreeSet<Digest>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let digits = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".seg"));
        let Some(segment) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else { continue };
        let bytes = fs::read(&path)?;
        for at in (0..bytes.len()).step_by(HEAD).filter(|at| bytes[*at..].starts_with(&RECORD.to_bytes())) {
            found.extend(record(&bytes, at, segment));
        }
    }
    Ok(found)
}

/// The digest of the evidence whose record stands whole at this place.
fn record(bytes: &[u8], at: usize, segment: u32) -> Option<Digest> {
    let head = bytes.get(at..at + HEAD)?;
    let is_here = (word(head, 8), word(head, 12) as usize, word(head, 16)) == (segment, at, EVIDENCE);
    let id: Digest = codec::decode(&head[20..52], 32).ok()?;
    let content = bytes.get(at + HEAD..at + HEAD + word(head, 52) as usize)?;
    let is_whole = crc32c(&head[..60]) == word(head, 60) && crc32c(content) == word(head, 56);
    (is_here && is_whole && sha256(content) == id).then_some(id)
}
