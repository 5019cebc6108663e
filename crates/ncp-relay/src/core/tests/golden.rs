//! A journal of another day, replayed: the same events make the same rows for ever.
//!
//! `journal.txt` holds one event a line, in hexadecimal, as a hub of version 0.1 wrote them. It is added to, never changed: a
//! digest that differs means that old journals are read otherwise than they were written, and an index that was built before
//! differs from one that is built now. A new layout of rows alone raises [`SCHEMA`] and sets the digest anew.
//! `NCP_REGENERATE=1 cargo test -p ncp-relay golden` writes the file from [`life`].

use std::collections::BTreeSet;
use std::path::Path;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{Actor, Change, Event, EvidenceKind, Outcome};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, KeyId, LogName, SealNumber};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::{DAY_MS, DEDUPLICATION_MS, RECEIPTS_KEPT_MS};
use ncp_protocol::reject::RejectCode;

use super::world::{NOW, World, empty, header, id, key, world};
use crate::core::command::{Command, RecordPublicCheckpoint};
use crate::core::tables::SCHEMA;

const JOURNAL: &str = include_str!("journal.txt");
/// SHA-256 over all rows, with the layout that they have.
const ROWS: (u32, &str) = (3, "399d60dbf982bcad5d233cd975e6a5c7a4eab4a474665fd12c8c26078677cfa6");

/// A hub's life in which every event happens that a hub writes.
fn life() -> World {
    let mut world = world();
    let opened = Change::LogOpened { origin: world.relay.traffic, key: KeyId(Digest([1; 32])), previous: None };
    let salt = [7; 16];
    world.fold(Event { log: LogName::Traffic, time: NOW, actor: Actor::Daemon, salt, change: opened });
    // Delivered, refused, expired, recalled before and after the offer, superseded, still waiting, offered.
    let precedences = [Precedence::Routine, Precedence::Priority, Precedence::Urgent];
    let headers: Vec<Header> = (1..=9)
        .zip(precedences.into_iter().cycle())
        .map(|(n, precedence)| Header { precedence, ..header("XA", n, "XB") })
        .collect();
    for header in &headers {
        world.submit(header);
    }
    let rejected = Outcome::Rejected(RejectCode::CommitmentMismatch);
    world.offer("XB", &headers[..4].iter().map(key).collect::<Vec<_>>());
    world.consign(&headers[0], 1);
    world.evidence(&headers[0], EvidenceKind::ContentHandover, Outcome::Confirmed, 2);
    world.evidence(&headers[1], EvidenceKind::ContentConsignmentFailure, rejected, 3);
    world.recall(&headers[2]);
    world.recall(&headers[5]);
    world.submit(&Header { seal: SealNumber(2), ..headers[6].clone() });
    world.submit(&Header { content_commitment: Digest([99; 32]), ..headers[7].clone() });
    // One body for two, and the copy of a body by another originator.
    world.submit(&Header { recipient: id("XC"), ..headers[8].clone() });
    let copy = Header { ciphertext_root: headers[8].ciphertext_root, ..header("XC", 9, "XB") };
    world.submit(&copy);
    world.recall(&copy);
    let stamp = world.stamp();
    let recorded = RecordPublicCheckpoint { size: 4, root: Digest([6; 32]), stamp };
    world.run(Command::RecordPublicCheckpoint(recorded));
    world.admit_membership(2, &[("XA", None), ("XB", None), ("XC", Some("key-stolen"))]);
    world.admit_membership(3, &[("XA", None), ("XB", Some("key-stolen")), ("XC", None)]);
    world.now = NOW.plus_millis(2 * DAY_MS);
    world.expire();
    // Late enough to forget receipts, then envelopes.
    for (n, kept) in [(20, RECEIPTS_KEPT_MS), (21, DEDUPLICATION_MS), (22, DEDUPLICATION_MS + DAY_MS)] {
        world.now = NOW.plus_millis(kept);
        let not_after = world.now.plus_millis(DAY_MS);
        world.submit(&Header { created: world.now, not_after, ..header("XA", n, "XC") });
    }
    world
}

fn change_name(event: &Event) -> String {
    let text = format!("{:?}", event.change);
    text[..text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len())].to_owned()
}

fn recorded() -> Vec<Event> {
    let bytes = |line: &str| -> Vec<u8> {
        (0..line.len() / 2).map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    JOURNAL.lines().map(|line| Event::decode(&bytes(line)).unwrap()).collect()
}

#[test]
fn recorded_journal_makes_the_rows_it_made() {
    if std::env::var_os("NCP_REGENERATE").is_some() {
        let hex = |event: &Event| event.encode().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = life().journal.iter().map(|event| hex(event) + "\n").collect::<String>();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/tests/journal.txt");
        std::fs::write(path, text).unwrap();
        return;
    }
    let mut world = empty();
    for event in recorded() {
        world.fold(event);
    }
    let mut all = Vec::new();
    for (key, value) in &world.rows.0 {
        for piece in [key, value] {
            all.extend_from_slice(&(piece.len() as u64).to_le_bytes());
            all.extend_from_slice(piece);
        }
    }
    assert_eq!((SCHEMA, sha256(&all).to_string().as_str()), ROWS);
}

#[test]
fn recorded_journal_holds_every_event_of_a_hub() {
    let found: BTreeSet<String> = recorded().iter().map(change_name).collect();
    let expected = [
        "BodyDropped",
        "ConflictNoticed",
        "EntryAdmitted",
        "EnvelopeAccepted",
        "EnvelopeOffered",
        "EnvelopeSuperseded",
        "Evidence",
        "EvidenceReceived",
        "LogOpened",
        "MembershipAdmitted",
        "ParticipantReinstated",
        "ParticipantSuspended",
        "PublicCheckpointRecorded",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}
