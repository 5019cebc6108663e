//! A journal of another day, replayed: the same events make the same rows for ever.
//!
//! `journal.txt` holds one event a line, in hexadecimal, as a node of version 0.1 wrote them. It is added to, never changed:
//! a digest that differs means that old journals are read otherwise than they were written, and an index that was built
//! before differs from one that is built now. A new layout of rows alone raises [`SCHEMA`] and sets the digest anew.
//! `NCP_REGENERATE=1 cargo test -p ncp-node golden` writes the file from [`life`].

use std::collections::BTreeSet;
use std::path::Path;

use ncp_protocol::approval::Decision as Verdict;
use ncp_protocol::codes::{Kind, Precedence, ResponseStatus};
use ncp_protocol::event::{Actor, Change, Draft, Event, EvidenceKind, HoldScope, Outcome};
use ncp_protocol::frame::Cursor;
use ncp_protocol::ids::{Epoch, LogName, MessageId, PairSequence, ParticipantId};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::{CLOCK_SKEW_MAX_MS, DAY_MS, LIFETIME_DEFAULT_MS, RECEIPTS_KEPT_MS, SEALS_MAX};
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::RecordKind;

use super::world::*;
use crate::core::command::{Ask, EntryNews};
use crate::core::tables::{OUT, SCHEMA};

const JOURNAL: &str = include_str!("journal.txt");
/// SHA-256 over all rows, with the layout that they have.
const ROWS: (u32, &str) = (5, "2b53d3aacf106024864956fba89acd186d490f15dbc467dc1f32339aa4bdcf56");

/// A node's life in which every event happens that a node writes.
fn life() -> World {
    let mut world = World::empty();
    let opened =
        Change::LogOpened { origin: origin("XA", LogName::Node), key: officer_key(RELEASER).id(), previous: None };
    let salt = [7; 16];
    world.apply(Event { log: LogName::Node, time: START, actor: Actor::Daemon, salt, change: opened });
    world.begin();
    people(&mut world);
    requests_out(&mut world);
    ends(&mut world);
    arrivals(&mut world);
    world.ask(officer(SUPERVISOR), Ask::DisableOfficer(SECOND_RELEASER)).unwrap();
    world.ask(Actor::Peer(ParticipantId::HUB), Ask::NoteReceipts(Cursor { epoch: Epoch(1), number: 9_000 })).unwrap();
    let erased = Change::ContentErased { originator: id("XB"), message: message(60) };
    let time = world.now;
    world.apply(Event { log: LogName::Node, time, actor: Actor::Application(service()), salt, change: erased });
    given_up(&mut world);
    forgotten(&mut world);
    world
}

/// Two of which the hub knows nothing when it may have forgotten them: one that was given up, and one that it took. And one that was
/// given up and whose bytes are lost.
fn forgotten(world: &mut World) {
    let not_after = world.now.plus_millis(LIFETIME_DEFAULT_MS);
    world.put_up(Draft { not_after, ..draft(38, Kind::Notice, &["XB"]) }).unwrap();
    world.seal(message(38), "XB").unwrap();
    world.hear("HUB", EvidenceKind::RelayAcceptance, message(38), "XB", Outcome::Done).unwrap();
    world.now = world.now.plus_millis(RECEIPTS_KEPT_MS);
    for seed in [35, 38] {
        let envelope = world.envelope(message(seed), "XB").key(id("XA"), message(seed), id("XB"));
        let refused = Ask::NoteRefusal { envelope, code: RejectCode::Expired };
        world.ask(Actor::Peer(ParticipantId::HUB), refused).unwrap();
    }
    let not_after = world.now.plus_millis(LIFETIME_DEFAULT_MS);
    world.put_up(Draft { not_after, ..draft(39, Kind::Notice, &["XB"]) }).unwrap();
    world.seal(message(39), "XB").unwrap();
    world.now = not_after.plus_millis(CLOCK_SKEW_MAX_MS);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    let envelope = world.envelope(message(39), "XB").key(id("XA"), message(39), id("XB"));
    world.ask(Actor::Daemon, Ask::NoteRefusal { envelope, code: RejectCode::Expired }).unwrap();
}

/// Three whose time passes: one that was offered, and two without a word of the hub, which says of one that it never had it.
fn given_up(world: &mut World) {
    for seed in [35, 36, 37] {
        world.put_up(draft(seed, Kind::Notice, &["XB"])).unwrap();
        world.seal(message(seed), "XB").unwrap();
    }
    world.hear("HUB", EvidenceKind::RelayFailure, message(37), "XB", Outcome::ExpiredAfterOffer).unwrap();
    world.now = world.now.plus_millis(LIFETIME_DEFAULT_MS + CLOCK_SKEW_MAX_MS);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    let envelope = world.envelope(message(36), "XB").key(id("XA"), message(36), id("XB"));
    let refused = Ask::NoteRefusal { envelope, code: RejectCode::Expired };
    world.ask(Actor::Peer(ParticipantId::HUB), refused).unwrap();
}

fn service() -> ncp_protocol::codes::Code {
    "border-police".parse().unwrap()
}

fn people(world: &mut World) {
    world.ask(officer(SUPERVISOR), Ask::SetHold(HoldScope::Recipient(id("XC")))).unwrap();
    world.ask(officer(SUPERVISOR), Ask::SetHold(HoldScope::Kind(Kind::Notice))).unwrap();
    world.ask(officer(SUPERVISOR), Ask::LiftHold(HoldScope::Kind(Kind::Notice))).unwrap();
    let news = |one| Ask::AcceptEntries(vec![one]);
    let suspended = EntryNews::Suspended { participant: id("XC"), reason: "key-lost".parse().unwrap() };
    let version_1 = record(RecordKind::Entry, b"XC, version 1");
    let next = EntryNews::Entry { participant: id("XC"), version: 1, record: version_1 };
    for one in [suspended, EntryNews::Reinstated { participant: id("XC") }, next] {
        world.ask(Actor::Peer(ParticipantId::HUB), news(one)).unwrap();
    }
}

/// Requests to two, through all stages: edited, answered, extended, overdue.
fn requests_out(world: &mut World) {
    for (seed, precedence) in [(1, Precedence::Routine), (2, Precedence::Priority), (3, Precedence::Urgent)] {
        let mut request = draft(seed, Kind::Request, &["XB", "XC"]);
        request.precedence = precedence;
        world.put_up(request.clone()).unwrap();
        world.judge(RELEASER, &request, Verdict::Reject).unwrap();
        request.revision = 2;
        world.ask(officer(DRAFTER), Ask::Edit(put_up(request.clone(), seed + 100))).unwrap();
        world.approve(SECOND_RELEASER, &request).unwrap();
        world.seal(request.message, "XB").unwrap();
        world.hear("HUB", EvidenceKind::RelayAcceptance, request.message, "XB", Outcome::Done).unwrap();
        world.hear("XB", EvidenceKind::ContentConsignment, request.message, "XB", Outcome::Done).unwrap();
        world.now = world.now.plus_millis(1_000);
    }
    world.hear("XB", EvidenceKind::ContentHandover, message(1), "XB", Outcome::Confirmed).unwrap();
    answer(world, 10, 1, message(1), ResponseStatus::Final);
    answer(world, 11, 2, message(2), ResponseStatus::Extension);
    world.now = START.plus_millis(DAY_MS);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
}

/// XB answers a request of this node.
fn answer(world: &mut World, seed: u8, sequence: u64, request: MessageId, status: ResponseStatus) {
    let draft = OUT.row(&world.rows, &request).unwrap().unwrap().draft;
    let mut answer = arrival(seed, Kind::Response, sequence);
    answer.received.response_status = Some(status);
    answer.received.in_reply_to = Some(request);
    answer.received.conversation = draft.conversation;
    answer.received.answer_by = (status == ResponseStatus::Extension).then(|| START.plus_millis(20 * DAY_MS));
    answer.cites = Some(draft.commitment);
    world.ask(Actor::Peer(ParticipantId::HUB), Ask::Consign(Box::new(answer))).unwrap();
}

/// Every way in which an envelope can end without being delivered.
fn ends(world: &mut World) {
    for seed in 20..28 {
        world.put_up(draft(seed, Kind::Notice, &["XB"])).unwrap();
        world.seal(message(seed), "XB").unwrap();
    }
    let heard = [
        ("HUB", EvidenceKind::RelayFailure, Outcome::Expired),
        ("HUB", EvidenceKind::RelayFailure, Outcome::Recalled),
        ("HUB", EvidenceKind::RelayFailure, Outcome::RecalledAfterOffer),
        ("HUB", EvidenceKind::RelayFailure, Outcome::Rejected(RejectCode::RecipientUnknown)),
        ("XB", EvidenceKind::ContentConsignmentFailure, Outcome::Rejected(RejectCode::Duplicate)),
        ("XB", EvidenceKind::ContentConsignmentFailure, Outcome::Rejected(RejectCode::CommitmentMismatch)),
    ];
    for (seed, (from, kind, outcome)) in (20..).zip(heard) {
        world.hear(from, kind, message(seed), "XB", outcome).unwrap();
    }
    let envelope = |world: &World, seed| world.envelope(message(seed), "XB").key(id("XA"), message(seed), id("XB"));
    let refused = Ask::NoteRefusal { envelope: envelope(world, 26), code: RejectCode::RecipientUnknown };
    world.ask(Actor::Peer(ParticipantId::HUB), refused).unwrap();
    world.ask(officer(DRAFTER), Ask::Withdraw { message: message(27) }).unwrap();
    // Sealed as often as an envelope may be, each time to a key that the recipient no longer has.
    world.put_up(draft(30, Kind::Notice, &["XB"])).unwrap();
    for _ in 1..=SEALS_MAX {
        world.seal(message(30), "XB").unwrap();
        let unknown = Outcome::Rejected(RejectCode::RecipientKeyUnknown);
        world.hear("XB", EvidenceKind::ContentConsignmentFailure, message(30), "XB", unknown).unwrap();
    }
    // One that never left, one that waits for release, one withdrawn before it.
    world.put_up(draft(31, Kind::Notice, &["XB"])).unwrap();
    world.put_up(draft(32, Kind::Request, &["XB"])).unwrap();
    world.put_up(draft(33, Kind::Request, &["XB"])).unwrap();
    world.ask(officer(DRAFTER), Ask::Withdraw { message: message(33) }).unwrap();
    world.put_up(draft(34, Kind::Notice, &["XB"])).unwrap();
    world.ask(officer(DRAFTER), Ask::Withdraw { message: message(34) }).unwrap();
}

/// What arrives: each kind, gaps, conflicts, refusals, work, clocks that strike.
fn arrivals(world: &mut World) {
    for (seed, kind) in (60..).zip(Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Response)) {
        let consigned = arrival(seed, kind, u64::from(seed) - 50);
        world.ask(Actor::Peer(ParticipantId::HUB), Ask::Consign(Box::new(consigned))).unwrap();
    }
    let mut late = arrival(80, Kind::Notice, 40);
    late.received.floor = PairSequence(40);
    late.received.voided = vec![(PairSequence(30), PairSequence(33))];
    let mut other = arrival(60, Kind::Request, 41);
    other.received.header = digest(201);
    other.received.commitment = digest(202);
    for consigned in [late, other] {
        world.ask(Actor::Peer(ParticipantId::HUB), Ask::Consign(Box::new(consigned))).unwrap();
    }
    let key = (id("XB"), message(60));
    let assigned = Ask::Assign { message: key, services: vec![service()], notes: Vec::new() };
    world.ask(officer(DRAFTER), assigned).unwrap();
    let contribution = record(RecordKind::Contribution, b"a contribution");
    world.ask(officer(DRAFTER), Ask::Contribute { message: key, task: 1, record: contribution }).unwrap();
    world.ask(officer(DRAFTER), Ask::HandOver { message: (id("XB"), message(62)) }).unwrap();
    for (seed, status) in [(40, ResponseStatus::Extension), (41, ResponseStatus::Final)] {
        let mut response = draft(seed, Kind::Response, &["XB"]);
        response.in_reply_to = Some(message(60));
        response.conversation = ncp_protocol::ids::ConversationId(message(60));
        response.response_status = Some(status);
        response.reason = Some("not-available-yet".parse().unwrap());
        response.answer_by = Some(world.now.plus_millis(9 * DAY_MS));
        response.not_after = world.now.plus_millis(5 * DAY_MS);
        world.put_up(response.clone()).unwrap();
        world.approve(RELEASER, &response).unwrap();
        world.approve(SECOND_RELEASER, &response).unwrap();
    }
    world.now = world.now.plus_millis(2 * DAY_MS);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
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
    let mut world = World::empty();
    for event in recorded() {
        world.apply(event);
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
fn recorded_journal_holds_every_event_of_a_node() {
    let found: BTreeSet<String> = recorded().iter().map(change_name).collect();
    let mut expected = BTreeSet::new();
    for event in life().journal {
        expected.insert(change_name(&event));
    }
    assert!(expected.is_subset(&found), "{:?} are not recorded", expected.difference(&found).collect::<Vec<_>>());
    // All but those of the hub.
    assert_eq!(found.len(), 37 - 7, "{found:?}");
}
