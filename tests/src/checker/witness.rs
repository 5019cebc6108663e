//! What lies beside the journal: `signed`, the daemon's own newest checkpoints, and `held`, what it keeps of others' logs.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::codec::{self, Prefix};
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::event::Change;
use ncp_protocol::ids::{LogName, ParticipantId};
use ncp_protocol::note::SignedNote;

use super::Network;
use super::counts::Counts;
use super::finding::{Finding, Name};
use super::history::History;
use super::journal::{are_zeros, crc32c, word};

const SIGNED: Prefix = Prefix::new(b'S', 1);
const HELD: Prefix = Prefix::new(b'W', 1);
/// Bytes of each of the two slots of `signed`.
const SLOT: usize = 16 << 10;
const HELD_MAX: usize = 16 << 20;

/// A slot of `signed`: how often it was written, below which sequence all is durable, newest checkpoints.
type Slot = (u64, u64, Vec<(LogName, String)>);

/// Holds both files of a daemon against the logs they speak of.
pub(super) fn check(
    participant: ParticipantId,
    data: &Path,
    network: &Network,
    counts: &mut Counts,
    findings: &mut Vec<Finding>,
) {
    let mut tell = |name, detail: &str| findings.push(Finding::new(name, format!("{participant}: {detail}")));
    match slots(data) {
        Ok(slots) => {
            let events = network.daemons.get(&participant).map_or(0, |daemon| daemon.order.len() as u64);
            for (_, next, notes) in slots {
                if next > events {
                    tell(Name::CheckpointAhead, &format!("`signed` knows {next} events of {events}"));
                }
                for (_, note) in notes {
                    checkpoint(&note, network, counts)
                        .unwrap_or_else(|name| tell(name, &format!("`signed`: {note:?}")));
                }
            }
        }
        Err(what) => tell(Name::Unreadable, &what),
    }
    match held(data) {
        Ok(notes) => {
            for (_, note) in notes {
                checkpoint(&note, network, counts).unwrap_or_else(|name| tell(name, &format!("`held`: {note:?}")));
            }
        }
        Err(what) => tell(Name::Unreadable, &what),
    }
}

/// Verifies a note of any of the network's logs and holds it against the leaves.
pub(super) fn checkpoint(note: &str, network: &Network, counts: &mut Counts) -> Result<(), Name> {
    let parsed = SignedNote::parse(note).map_err(|_| Name::CheckpointUnsigned)?;
    let stated = Checkpoint::parse(parsed.text()).map_err(|_| Name::CheckpointUnsigned)?;
    let log = network.named(&stated.origin).ok_or(Name::CheckpointAhead)?;
    let key = network.key(log).ok_or(Name::KeyUnknown)?;
    log.holds_note(note, key)?;
    counts.checkpoints += 1;
    Ok(())
}

fn slots(data: &Path) -> Result<Vec<Slot>, String> {
    let bytes = fs::read(data.join("signed")).map_err(|error| format!("`signed`: {error}"))?;
    let mut slots = Vec::new();
    for bytes in bytes.chunks(SLOT) {
        if are_zeros(bytes) {
            continue;
        }
        let length = word(bytes, 8) as usize;
        let (covered, behind) = bytes.split_at_checked(12 + length).ok_or("a slot of `signed` is too long")?;
        let payload = covered.strip_prefix(&SIGNED.to_bytes()).and_then(|rest| rest.get(4..));
        let payload = payload.filter(|_| crc32c(covered) == word(behind, 0)).ok_or("a slot of `signed` is damaged")?;
        slots.push(codec::decode(payload, SLOT).map_err(|error| format!("a slot of `signed`: {error}"))?);
    }
    Ok(slots)
}

fn held(data: &Path) -> Result<Vec<(String, String)>, String> {
    let bytes = match fs::read(data.join("held")) {
        Ok(bytes) => bytes,
        // Nobody has shown anything yet.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("`held`: {error}")),
    };
    let (covered, crc) = bytes.split_at_checked(bytes.len().saturating_sub(4)).ok_or("`held` is cut off")?;
    if crc32c(covered) != word(crc, 0) {
        return Err("`held` is damaged".to_owned());
    }
    HELD.decode(covered, HELD_MAX).map_err(|error| format!("`held`: {error}"))
}

/// Entries that clients were shown are those that `public` lists, and the checkpoints that `traffic` records of `public`
/// are its own.
pub(super) fn entries_are_admitted(history: &History, network: &Network, findings: &mut Vec<Finding>) {
    let Some(hub) = network.hub() else { return };
    let mut admitted = BTreeSet::new();
    for change in hub.changes() {
        if let Change::EntryAdmitted { entry, .. } = change {
            admitted.insert(*entry);
        }
        if let Change::PublicCheckpointRecorded { size, root } = change
            && let Some(public) = hub.logs.get(&LogName::Public)
        {
            let stated = Checkpoint { origin: public.origin.to_string(), size: *size, root: *root };
            if let Err(name) = public.holds(&stated) {
                findings.push(Finding::new(name, format!("`traffic` records `public` at {size}")));
            }
        }
    }
    for signed in history.entries.iter().filter_map(|bytes| SignedEntry::decode(bytes).ok()) {
        if !admitted.contains(&signed.digest()) {
            let entry = signed.unverified();
            let detail = format!("version {} of {}", entry.version, entry.participant);
            findings.push(Finding::new(Name::EntryUnadmitted, detail));
        }
    }
}
