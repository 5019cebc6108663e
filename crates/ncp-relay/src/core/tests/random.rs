//! Random commands, also hostile and untimely ones: whatever happens, the promises of the tables hold.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{SealNumber, UnixMillis};
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::{BodyName, RecordKind, RecordName};
use proptest::prelude::*;

use super::world::{NOW, World, header, id, key, world};
use crate::core::command::{BodySource, Reply};
use crate::core::mailbox::{Room, Turns};
use crate::core::query;
use crate::core::tables::{DUE, ENVELOPES, EnvelopeState, MAILBOXES, MESSAGES, PEERS, RECEIPTS, Tally, envelope_of};
use crate::limits::BODY_INLINE_MAX;

const NAMES: [&str; 3] = ["XA", "XB", "XC"];

#[derive(Debug, Clone)]
enum Step {
    Submit { header: Header, stale_body: bool },
    Offer { recipient: usize },
    Evidence { header: Header, kind: EvidenceKind, index: u64 },
    Recall { header: Header },
    Wait { hours: u64 },
    Expire,
    Suspend { who: Option<usize> },
}

prop_compose! {
    fn any_header()(
        from in 0..3_usize,
        shift in 1..3_usize,
        n in 0..4_u8,
        seal in 1..3_u32,
        precedence in proptest::sample::select(Precedence::ALL),
        life in 1..4_u64,
        large in any::<bool>(),
        conflicting in proptest::bool::weighted(0.1),
    ) -> Header {
        let mut header = header(NAMES[from], n, NAMES[(from + shift) % 3]);
        header.seal = SealNumber(seal);
        header.precedence = precedence;
        header.not_after = NOW.plus_millis(life * DAY_MS);
        // One body per message, large for the odd ones; a conflicting header names another.
        header.body_length = if (n % 2 == 1) != (conflicting && large) { 200_000 } else { 4112 };
        header
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let kinds =
        [EvidenceKind::ContentConsignment, EvidenceKind::ContentHandover, EvidenceKind::ContentConsignmentFailure];
    prop_oneof![
        6 => (any_header(), proptest::bool::weighted(0.2))
            .prop_map(|(header, stale_body)| Step::Submit { header, stale_body }),
        2 => (0..3_usize).prop_map(|recipient| Step::Offer { recipient }),
        3 => (any_header(), proptest::sample::select(kinds.to_vec()), 0..40_u64)
            .prop_map(|(header, kind, index)| Step::Evidence { header, kind, index }),
        1 => any_header().prop_map(|header| Step::Recall { header }),
        1 => (0..30_u64).prop_map(|hours| Step::Wait { hours }),
        1 => Just(Step::Expire),
        1 => proptest::option::of(0..3_usize).prop_map(|who| Step::Suspend { who }),
    ]
}

fn submit(world: &mut World, header: &Header, stale_body: bool) {
    if header.body_length <= BODY_INLINE_MAX {
        world.submit(header);
        return;
    }
    let reply = world.submit_with(header, BodySource::AtHub).reply;
    let Reply::BodyWanted { drops } = reply else { return };
    let Header { originator, message, ciphertext_root: root, .. } = *header;
    if stale_body {
        let done = world.submit_with(header, BodySource::Uploaded { drops: drops + 1 });
        assert_eq!(done.reply, Reply::BodyWanted { drops });
    } else {
        world.bodies.insert(BodyName { originator, message, root });
        assert_eq!(world.submit_with(header, BodySource::Uploaded { drops }).reply, Reply::Accepted);
    }
}

fn outcome_of(kind: EvidenceKind) -> Outcome {
    match kind {
        EvidenceKind::ContentHandover => Outcome::Blind,
        EvidenceKind::ContentConsignmentFailure => Outcome::Rejected(RejectCode::BodyUnopened),
        EvidenceKind::RelayAcceptance | EvidenceKind::ContentConsignment | EvidenceKind::RelayFailure => Outcome::Done,
    }
}

fn take(world: &mut World, step: &Step, version: u32) {
    match step {
        Step::Submit { header, stale_body } => submit(world, header, *stale_body),
        Step::Offer { recipient } => {
            let chosen = Turns::default().choose(&world.rows, id(NAMES[*recipient]), Room::any(4)).unwrap();
            let keys: Vec<_> = chosen.iter().map(|waiting| waiting.envelope).collect();
            world.offer(NAMES[*recipient], &keys);
        }
        Step::Evidence { header, kind, index } => {
            let index = index * 3 + u64::from(*kind as u8 % 3);
            world.evidence(header, *kind, outcome_of(*kind), index);
        }
        Step::Recall { header } => {
            world.recall(header);
        }
        Step::Wait { hours } => world.now = world.now.plus_millis(hours * 3_600_000),
        Step::Expire => {
            world.expire();
        }
        Step::Suspend { who } => {
            let reason = |name| (who.map(|who| NAMES[who]) == Some(name)).then_some("drill");
            world.admit_membership(version, &NAMES.map(|name| (name, reason(name))));
        }
    }
}

/// The promises at the head of the module `core`, and that the spool holds what they need and nothing else.
fn check(world: &World) {
    let (mut open, mut messages, mut mail) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    ENVELOPES
        .scan(&world.rows, &(), |key, row| {
            assert!(row.acceptance.is_some(), "accepted without R1");
            if row.is_open() {
                open.push((envelope_of(&key), row));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let (mut waiting, mut submitted, mut mailbox) = (Tally::default(), [Tally::default(); 3], [Tally::default(); 3]);
    let place = |who: ncp_protocol::ids::ParticipantId| NAMES.iter().position(|name| who == id(name)).unwrap();
    let mut expected: BTreeSet<RecordName> = BTreeSet::new();
    let mut bodies = BTreeSet::new();
    for (envelope, row) in &open {
        expected.insert(RecordName { kind: RecordKind::Envelope, id: row.header });
        mail.insert((row.mailbox_key(envelope), *envelope));
        let message = MESSAGES.row(&world.rows, &(envelope.originator, envelope.message)).unwrap().unwrap();
        assert_eq!(
            message.waiting as usize,
            open.iter()
                .filter(|(other, _)| { (other.originator, other.message) == (envelope.originator, envelope.message) })
                .count()
        );
        let fresh = messages.insert((envelope.originator, envelope.message));
        let bytes = if fresh { message.body_length } else { 0 };
        for tally in [&mut waiting, &mut submitted[place(envelope.originator)]] {
            tally.envelopes += 1;
            tally.bytes += bytes;
        }
        mailbox[place(envelope.recipient)].envelopes += 1;
        mailbox[place(envelope.recipient)].bytes += row.body_length;
        if message.body_length > BODY_INLINE_MAX {
            bodies.insert(BodyName { originator: envelope.originator, message: envelope.message, root: message.root });
        } else {
            expected.insert(RecordName { kind: RecordKind::Body, id: message.root });
        }
    }
    assert_eq!(query::waiting(&world.rows).unwrap(), waiting);
    for (place, name) in NAMES.iter().enumerate() {
        let peer = PEERS.row(&world.rows, &id(name)).unwrap().unwrap_or_default();
        assert_eq!((peer.submitted, peer.mailbox), (submitted[place], mailbox[place]), "{name}");
        let mut numbers = Vec::new();
        RECEIPTS
            .scan(&world.rows, &id(name), |(_, number), _| {
                numbers.push(number);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(numbers, (1..=peer.receipts).collect::<Vec<_>>(), "receipts without gaps");
    }
    let mut boxes = BTreeSet::new();
    MAILBOXES
        .scan(&world.rows, &(), |key, envelope| {
            boxes.insert((key, envelope));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(boxes, mail);
    let mut due = 0;
    DUE.scan(&world.rows, &(), |_, _| {
        due += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(due, open.len());
    let passing = |name: &&RecordName| matches!(name.kind, RecordKind::Envelope | RecordKind::Body);
    assert_eq!(world.records.iter().filter(passing).copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(world.bodies, bodies);
}

/// Every envelope that was accepted has ended once the last has expired, and exactly once each.
fn check_all_end(world: &mut World) {
    world.now = UnixMillis(world.now.0.max(NOW.plus_millis(5 * DAY_MS).0));
    while world.expire().reply != Reply::Expired(0) {}
    check(world);
    let mut open = 0;
    ENVELOPES
        .scan(&world.rows, &(), |_, row| {
            open += usize::from(!matches!(row.state, EnvelopeState::Ended(_)));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((open, query::waiting(&world.rows).unwrap()), (0, Tally::default()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_keeps_the_promises(steps in proptest::collection::vec(any_step(), 1..80)) {
        let mut world = world();
        for (n, step) in steps.iter().enumerate() {
            take(&mut world, step, 2 + u32::try_from(n).unwrap());
            check(&world);
        }
        prop_assert!(world.rows.0 == world.replayed().0, "replay differs from live");
        check_all_end(&mut world);
        prop_assert!(world.rows.0 == world.replayed().0, "replay differs from live");
    }
}

#[test]
fn a_submission_twice_in_one_place_ends_once() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    world.offer("XB", &[key(&header)]);
    world.consign(&header, 1);
    world.recall(&header);
    world.expire();
    check(&world);
    check_all_end(&mut world);
}
