//! An envelope on its way: each stage rests on evidence, and none goes back.

use ncp_protocol::codes::Kind;
use ncp_protocol::event::{Actor, Alert, Change, Claim, Draft, EnvelopeKey, EvidenceKind, Outcome};
use ncp_protocol::ids::{LogName, MessageId, PairSequence, ParticipantId};
use ncp_protocol::limits::{CLOCK_SKEW_MAX_MS, DAY_MS, LIFETIME_DEFAULT_MS, LIFETIME_MAX_MS, RECEIPTS_KEPT_MS};
use ncp_protocol::reject::RejectCode;
use ncp_store::state::View as _;

use super::world::*;
use crate::core::command::{Ask, Done, Effect, Refusal, WithdrawalOutcome};
use crate::core::tables::{EnvelopeStage, OutState, PAIR_OPEN, PAIR_VOIDED, QUEUE};

const HOUR_MS: u64 = DAY_MS / 24;

fn queued(world: &World) -> usize {
    let mut count = 0;
    QUEUE
        .scan(&world.rows, &(), |_, ()| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    count
}

/// The hub takes no envelope, or has nothing to delete.
fn refuse(world: &mut World, envelope: EnvelopeKey, code: RejectCode) {
    world.ask(Actor::Peer(ParticipantId::HUB), Ask::NoteRefusal { envelope, code }).unwrap();
}

/// What stands of a number towards XB.
#[derive(Debug, PartialEq)]
enum Number {
    Open,
    Voided,
    /// Or it may be.
    Filled,
}

fn number(world: &World, number: u64) -> Number {
    let key = (id("XB"), 0u8, number);
    match (PAIR_OPEN.row(&world.rows, &key).unwrap(), PAIR_VOIDED.row(&world.rows, &key).unwrap()) {
        (Some(_), None) => Number::Open,
        (None, Some(())) => Number::Voided,
        (None, None) => Number::Filled,
        (Some(_), Some(())) => panic!("{number} is open and voided"),
    }
}

fn sent(seed: u8, kind: Kind, to: &[&str]) -> (World, MessageId) {
    let mut world = World::new();
    let draft = draft(seed, kind, to);
    world.put_up(draft.clone()).unwrap();
    if kind == Kind::Request {
        world.approve(RELEASER, &draft).unwrap();
    }
    for recipient in to {
        world.seal(draft.message, recipient).unwrap();
    }
    (world, draft.message)
}

#[test]
fn receipts_move_an_envelope_on_and_none_moves_it_back() {
    let (mut world, message) = sent(1, Kind::Request, &["XB"]);
    assert_eq!(queued(&world), 1);
    let stage = |world: &World| world.envelope(message, "XB").stage;
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    assert_eq!((stage(&world), queued(&world)), (EnvelopeStage::Accepted, 0));
    world.hear("XB", EvidenceKind::ContentHandover, message, "XB", Outcome::Confirmed).unwrap();
    assert_eq!(stage(&world), EnvelopeStage::HandedOver);
    world.hear("XB", EvidenceKind::ContentConsignment, message, "XB", Outcome::Done).unwrap();
    assert_eq!(stage(&world), EnvelopeStage::HandedOver, "receipts may come in any order");
    world.hear("HUB", EvidenceKind::RelayFailure, message, "XB", Outcome::Expired).unwrap();
    assert_eq!(stage(&world), EnvelopeStage::HandedOver, "the recipient's word outranks the hub's");
    let events = world.journal.len();
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    assert_eq!(world.journal.len(), events, "the same evidence again is no event");
}

#[test]
fn duplicate_is_no_failure_and_a_rejection_is_one() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB", "XC"]);
    let failure = EvidenceKind::ContentConsignmentFailure;
    world.hear("XB", failure, message, "XB", Outcome::Rejected(RejectCode::Duplicate)).unwrap();
    assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::Sealed);
    world.hear("XC", failure, message, "XC", Outcome::Rejected(RejectCode::WrapUnopened)).unwrap();
    assert_eq!(world.envelope(message, "XC").stage, EnvelopeStage::Failed(RejectCode::WrapUnopened));
}

#[test]
fn transient_refusal_changes_nothing_a_permanent_one_ends_it() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    let refuse = |world: &mut World, code| {
        let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
        world.ask(Actor::Peer(ncp_protocol::ids::ParticipantId::HUB), Ask::NoteRefusal { envelope, code }).unwrap();
        world.envelope(message, "XB").stage
    };
    assert_eq!(refuse(&mut world, RejectCode::MailboxFull), EnvelopeStage::Sealed);
    assert_eq!(queued(&world), 1);
    assert_eq!(refuse(&mut world, RejectCode::BodyTooLarge), EnvelopeStage::Failed(RejectCode::BodyTooLarge));
    assert_eq!(queued(&world), 0);
}

#[test]
fn changed_recipient_key_seals_again_under_the_next_number_and_the_same_sequence() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    let before = world.envelope(message, "XB");
    world.effects.clear();
    let envelope = before.key(id("XA"), message, id("XB"));
    let code = RejectCode::RecipientKeyUnknown;
    world.ask(Actor::Daemon, Ask::NoteRefusal { envelope, code }).unwrap();
    assert!(world.effects.contains(&Effect::SealEnvelope { message, recipient: id("XB") }));
    world.seal(message, "XB").unwrap();
    let after = world.envelope(message, "XB");
    assert_eq!((after.seal.0, after.sequence), (before.seal.0 + 1, before.sequence));
    assert_eq!(queued(&world), 1);
}

#[test]
fn recipient_without_the_key_gets_another_seal_and_its_word_on_each() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    let unknown = Outcome::Rejected(RejectCode::RecipientKeyUnknown);
    for seal in 2..4 {
        world.effects.clear();
        world.hear("XB", EvidenceKind::ContentConsignmentFailure, message, "XB", unknown).unwrap();
        assert!(world.effects.contains(&Effect::SealEnvelope { message, recipient: id("XB") }));
        assert_eq!((world.envelope(message, "XB").stage, queued(&world)), (EnvelopeStage::Released, 1));
        world.seal(message, "XB").unwrap();
        assert_eq!(world.envelope(message, "XB").seal.0, seal);
    }
    world.hear("XB", EvidenceKind::ContentConsignment, message, "XB", Outcome::Done).unwrap();
    assert_eq!((world.envelope(message, "XB").stage, queued(&world)), (EnvelopeStage::Delivered, 0));
}

#[test]
fn numbers_of_a_pair_are_filled_or_voided() {
    let (mut world, first) = sent(1, Kind::Notice, &["XB"]);
    let second = draft(2, Kind::Notice, &["XB"]);
    world.put_up(second.clone()).unwrap();
    assert_eq!(world.envelope(first, "XB").sequence, PairSequence(1));
    assert_eq!(world.envelope(second.message, "XB").sequence, PairSequence(2));
    assert_eq!((number(&world, 1), number(&world, 2)), (Number::Open, Number::Open));
    world.ask(officer(DRAFTER), Ask::Withdraw { message: second.message }).unwrap();
    assert_eq!(number(&world, 2), Number::Voided);
    world.hear("XB", EvidenceKind::ContentConsignment, first, "XB", Outcome::Done).unwrap();
    assert_eq!(number(&world, 1), Number::Filled);
}

#[test]
fn what_never_left_expires_here_and_what_may_have_left_is_given_up() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB", "XC"]);
    let unsealed = draft(2, Kind::Notice, &["XB"]);
    world.put_up(unsealed.clone()).unwrap();
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XC", Outcome::Done).unwrap();
    world.now = START.plus_millis(LIFETIME_DEFAULT_MS + CLOCK_SKEW_MAX_MS - 1);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::Sealed);
    world.now = world.now.plus_millis(1);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::GivenUp);
    assert_eq!(world.envelope(message, "XC").stage, EnvelopeStage::Accepted, "the hub's to say");
    assert_eq!(world.envelope(unsealed.message, "XB").stage, EnvelopeStage::Expired { provisional: false });
    assert_eq!((number(&world, 1), number(&world, 2)), (Number::Open, Number::Voided));
    let events = world.journal.len();
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    assert_eq!(world.journal.len(), events);
}

/// One envelope whose time has passed without a word of the hub, which may have had it.
fn given_up() -> (World, MessageId) {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    world.now = START.plus_millis(LIFETIME_DEFAULT_MS + CLOCK_SKEW_MAX_MS);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    assert_eq!((world.envelope(message, "XB").stage, queued(&world)), (EnvelopeStage::GivenUp, 1));
    (world, message)
}

#[test]
fn of_what_was_given_up_the_hub_says_whether_it_had_it() {
    let (mut world, message) = given_up();
    world.hear("XB", EvidenceKind::ContentConsignment, message, "XB", Outcome::Done).unwrap();
    let stands = |world: &World| (world.envelope(message, "XB").stage, number(world, 1), queued(world));
    assert_eq!(stands(&world), (EnvelopeStage::Delivered, Number::Filled, 0));

    let (mut world, message) = given_up();
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    assert_eq!(stands(&world), (EnvelopeStage::Accepted, Number::Open, 0));
    world.hear("HUB", EvidenceKind::RelayFailure, message, "XB", Outcome::Expired).unwrap();
    assert_eq!(stands(&world), (EnvelopeStage::Expired { provisional: false }, Number::Voided, 0));

    // It never had it, whatever it says first.
    for code in [RejectCode::Expired, RejectCode::RecipientKeyUnknown, RejectCode::WrapMismatch] {
        let (mut world, message) = given_up();
        let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
        refuse(&mut world, envelope, RejectCode::MailboxFull);
        assert_eq!(stands(&world), (EnvelopeStage::GivenUp, Number::Open, 1));
        refuse(&mut world, envelope, code);
        assert_eq!(stands(&world), (EnvelopeStage::Expired { provisional: false }, Number::Voided, 0), "{code}");
    }

    let (mut world, message) = given_up();
    let recalling = Ok(Done::Withdrawal(WithdrawalOutcome::Recalling(vec![id("XB")])));
    assert_eq!(world.ask(officer(DRAFTER), Ask::Withdraw { message }), recalling);
    let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
    refuse(&mut world, envelope, RejectCode::NotWaiting);
    assert_eq!(stands(&world), (EnvelopeStage::Recalled { provisional: false }, Number::Voided, 0));
}

/// The node was away for as long as the hub remembers.
#[test]
fn a_hub_that_may_have_forgotten_an_envelope_makes_its_number_not_void() {
    let stands = |world: &World, message| (world.envelope(message, "XB").stage, number(world, 1), queued(world));
    for code in [RejectCode::Expired, RejectCode::RecipientUnknown] {
        let (mut world, message) = given_up();
        world.now = START.plus_millis(RECEIPTS_KEPT_MS - 1);
        let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
        let mut late = given_up().0;
        refuse(&mut world, envelope, code);
        assert_eq!(
            stands(&world, message),
            (EnvelopeStage::Expired { provisional: false }, Number::Voided, 0),
            "{code}"
        );
        late.now = START.plus_millis(RECEIPTS_KEPT_MS);
        refuse(&mut late, envelope, code);
        assert_eq!(stands(&late, message), (EnvelopeStage::Expired { provisional: true }, Number::Filled, 0), "{code}");
    }
    let (mut world, message) = given_up();
    world.ask(officer(DRAFTER), Ask::Withdraw { message }).unwrap();
    world.now = START.plus_millis(RECEIPTS_KEPT_MS);
    let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
    refuse(&mut world, envelope, RejectCode::NotWaiting);
    assert_eq!(stands(&world, message), (EnvelopeStage::Recalled { provisional: true }, Number::Filled, 0));
    world.hear("XB", EvidenceKind::ContentConsignment, message, "XB", Outcome::Done).unwrap();
    assert_eq!(stands(&world, message), (EnvelopeStage::Delivered, Number::Filled, 0));
}

#[test]
fn what_the_hub_took_and_knows_no_more_ends_in_doubt_when_its_time_is_over() {
    let refusals = [RejectCode::Expired, RejectCode::OriginatorKeyUnknown, RejectCode::NotWaiting];
    for code in refusals {
        let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
        world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
        let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
        refuse(&mut world, envelope, code);
        assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::Accepted, "its evidence is to come");
        world.now = START.plus_millis(LIFETIME_DEFAULT_MS + CLOCK_SKEW_MAX_MS);
        world.effects.clear();
        refuse(&mut world, envelope, code);
        let stands = (world.envelope(message, "XB").stage, number(&world, 1), queued(&world));
        assert_eq!(stands, (EnvelopeStage::Expired { provisional: true }, Number::Filled, 0), "{code}");
        assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::SealEnvelope { .. })), "{code}");
    }
}

#[test]
fn what_is_given_up_and_lost_ends_in_doubt() {
    let (mut world, message) = given_up();
    let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
    world.ask(Actor::Daemon, Ask::NoteRefusal { envelope, code: RejectCode::Expired }).unwrap();
    let stands = (world.envelope(message, "XB").stage, number(&world, 1), queued(&world));
    assert_eq!(stands, (EnvelopeStage::Expired { provisional: true }, Number::Filled, 0));
}

#[test]
fn the_hubs_word_that_it_is_too_late_ends_an_envelope_at_once() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
    refuse(&mut world, envelope, RejectCode::Expired);
    assert_eq!(
        (world.envelope(message, "XB").stage, queued(&world)),
        (EnvelopeStage::Expired { provisional: false }, 0)
    );
    assert_eq!(number(&world, 1), Number::Voided);
}

/// An officer takes a message whose lifetime is the longest; the hub is away for five days and for one hour of the sixth.
#[test]
fn what_outlives_an_outage_waits_for_its_end() {
    let mut world = World::new();
    let lasting = Draft { not_after: START.plus_millis(LIFETIME_MAX_MS), ..draft(1, Kind::Notice, &["XB"]) };
    let passing = draft(2, Kind::Notice, &["XB"]);
    for draft in [&lasting, &passing] {
        world.put_up(draft.clone()).unwrap();
        world.seal(draft.message, "XB").unwrap();
    }
    for _ in 0..5 * 24 + 1 {
        assert_eq!(queued(&world), 2);
        world.now = world.now.plus_millis(HOUR_MS);
        world.ask(Actor::Daemon, Ask::Tick).unwrap();
    }
    assert_eq!(world.envelope(passing.message, "XB").stage, EnvelopeStage::GivenUp);
    assert_eq!((world.envelope(lasting.message, "XB").stage, queued(&world)), (EnvelopeStage::Sealed, 2));
    let envelope = world.envelope(passing.message, "XB").key(id("XA"), passing.message, id("XB"));
    refuse(&mut world, envelope, RejectCode::Expired);
    world.hear("HUB", EvidenceKind::RelayAcceptance, lasting.message, "XB", Outcome::Done).unwrap();
    world.hear("XB", EvidenceKind::ContentConsignment, lasting.message, "XB", Outcome::Done).unwrap();
    assert_eq!((world.envelope(lasting.message, "XB").stage, queued(&world)), (EnvelopeStage::Delivered, 0));
}

#[test]
fn withdrawal_says_what_is_certain() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB", "XC"]);
    world.hear("XB", EvidenceKind::ContentConsignment, message, "XB", Outcome::Done).unwrap();
    let withdraw = |world: &mut World| world.ask(officer(DRAFTER), Ask::Withdraw { message });
    let recalling = Ok(Done::Withdrawal(WithdrawalOutcome::Recalling(vec![id("XC")])));
    assert_eq!(withdraw(&mut world), recalling);
    assert_eq!(withdraw(&mut world), recalling);
    let asked = world.changes(0).iter().filter(|name| *name == "RecallRequested").count();
    assert_eq!(asked, 1);
    world.hear("HUB", EvidenceKind::RelayFailure, message, "XC", Outcome::RecalledAfterOffer).unwrap();
    assert_eq!(world.envelope(message, "XC").stage, EnvelopeStage::Recalled { provisional: true });
    assert_eq!(withdraw(&mut world), Ok(Done::Withdrawal(WithdrawalOutcome::AllDelivered)));
    world.hear("XC", EvidenceKind::ContentConsignment, message, "XC", Outcome::Done).unwrap();
    assert_eq!(world.envelope(message, "XC").stage, EnvelopeStage::Delivered);
}

#[test]
fn what_waits_for_another_seal_has_been_out_already() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    let unknown = Outcome::Rejected(RejectCode::OriginatorKeyUnknown);
    world.hear("XB", EvidenceKind::ContentConsignmentFailure, message, "XB", unknown).unwrap();
    assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::Released);
    let recalling = Ok(Done::Withdrawal(WithdrawalOutcome::Recalling(vec![id("XB")])));
    assert_eq!(world.ask(officer(DRAFTER), Ask::Withdraw { message }), recalling);
}

#[test]
fn a_number_is_not_void_as_long_as_the_recipient_may_have_taken_it() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    world.hear("HUB", EvidenceKind::RelayFailure, message, "XB", Outcome::ExpiredAfterOffer).unwrap();
    assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::Expired { provisional: true });
    assert_eq!(number(&world, 1), Number::Filled);
    let refused = Outcome::Rejected(RejectCode::Expired);
    world.hear("XB", EvidenceKind::ContentConsignmentFailure, message, "XB", refused).unwrap();
    assert_eq!(number(&world, 1), Number::Voided, "the recipient says that it has not");
}

/// Whatever the recipient refused it for, and whoever is heard first.
#[test]
fn what_the_recipient_refused_is_void_in_any_order() {
    for code in [RejectCode::Expired, RejectCode::RecipientKeyUnknown] {
        for recipient_first in [true, false] {
            let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
            let mut words = [
                ("XB", EvidenceKind::ContentConsignmentFailure, Outcome::Rejected(code)),
                ("HUB", EvidenceKind::RelayFailure, Outcome::ExpiredAfterOffer),
            ];
            if !recipient_first {
                words.reverse();
            }
            for (from, kind, outcome) in words {
                world.hear(from, kind, message, "XB", outcome).unwrap();
            }
            // One that asks for another seal does not wait for it when its time is over.
            world.now = START.plus_millis(LIFETIME_DEFAULT_MS + CLOCK_SKEW_MAX_MS);
            world.ask(Actor::Daemon, Ask::Tick).unwrap();
            assert_eq!(number(&world, 1), Number::Voided, "{code}, the recipient first: {recipient_first}");
            assert!(world.envelope(message, "XB").stage.has_ended());
        }
    }
}

#[test]
fn an_acceptance_behind_the_recipients_refusal_does_not_strand_the_message() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    let unknown = Outcome::Rejected(RejectCode::RecipientKeyUnknown);
    world.hear("XB", EvidenceKind::ContentConsignmentFailure, message, "XB", unknown).unwrap();
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    assert_eq!((world.envelope(message, "XB").stage, queued(&world)), (EnvelopeStage::Released, 1));
}

#[test]
fn what_is_being_recalled_is_not_sealed_again() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    world.ask(officer(DRAFTER), Ask::Withdraw { message }).unwrap();
    assert_eq!(world.seal(message, "XB"), Err(Refusal::Stale));
    let unknown = Outcome::Rejected(RejectCode::RecipientKeyUnknown);
    world.hear("XB", EvidenceKind::ContentConsignmentFailure, message, "XB", unknown).unwrap();
    let stands = (world.envelope(message, "XB").stage, number(&world, 1), queued(&world));
    assert_eq!(stands, (EnvelopeStage::Recalled { provisional: false }, Number::Voided, 0));
}

#[test]
fn a_word_about_an_earlier_seal_ends_nothing() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    world.hear("HUB", EvidenceKind::RelayAcceptance, message, "XB", Outcome::Done).unwrap();
    let claim = |world: &World| Claim {
        origin: origin("XB", LogName::Node),
        key: log_key(),
        kind: EvidenceKind::ContentConsignmentFailure,
        envelope: world.envelope(message, "XB").key(id("XA"), message, id("XB")),
        header: world.envelope(message, "XB").header.unwrap(),
        outcome: Outcome::Rejected(RejectCode::WrapUnopened),
    };
    let earlier = claim(&world);
    world.seal(message, "XB").unwrap();
    let later = claim(&world);
    let say = |world: &mut World, claim| {
        world.ask(Actor::Peer(ParticipantId::HUB), Ask::NoteEvidence(noted(claim, START))).unwrap();
    };
    say(&mut world, earlier);
    assert_eq!((world.envelope(message, "XB").stage, queued(&world)), (EnvelopeStage::Sealed, 1));
    say(&mut world, later);
    assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::Failed(RejectCode::WrapUnopened));
    let events = world.journal.len();
    say(&mut world, earlier);
    say(&mut world, later);
    assert_eq!(world.journal.len(), events, "both are known");
}

#[test]
fn the_hubs_words_about_an_earlier_seal_leave_the_later_one_to_be_sent_and_a_recall_in_doubt() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    let earlier = world.envelope(message, "XB");
    let say = |world: &mut World, kind, outcome| {
        let claim = Claim {
            origin: origin("HUB", LogName::Traffic),
            key: log_key(),
            kind,
            envelope: earlier.key(id("XA"), message, id("XB")),
            header: earlier.header.unwrap(),
            outcome,
        };
        world.ask(Actor::Peer(ParticipantId::HUB), Ask::NoteEvidence(noted(claim, START))).unwrap();
    };
    world.seal(message, "XB").unwrap();
    say(&mut world, EvidenceKind::RelayAcceptance, Outcome::Done);
    assert_eq!((world.envelope(message, "XB").stage, queued(&world)), (EnvelopeStage::Sealed, 1));
    // The answer to a recall: the later seal is not submitted any more, and may have been.
    world.ask(officer(DRAFTER), Ask::Withdraw { message }).unwrap();
    say(&mut world, EvidenceKind::RelayFailure, Outcome::Expired);
    let stands = (world.envelope(message, "XB").stage, number(&world, 1), queued(&world));
    assert_eq!(stands, (EnvelopeStage::Recalled { provisional: true }, Number::Filled, 0));
}

#[test]
fn recall_of_what_the_hub_never_had_closes_it() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    world.ask(officer(DRAFTER), Ask::Withdraw { message }).unwrap();
    let envelope = world.envelope(message, "XB").key(id("XA"), message, id("XB"));
    world.ask(Actor::Daemon, Ask::NoteRefusal { envelope, code: RejectCode::NotWaiting }).unwrap();
    assert_eq!(world.envelope(message, "XB").stage, EnvelopeStage::Recalled { provisional: false });
}

#[test]
fn stale_seal_is_refused() {
    let (mut world, message) = sent(1, Kind::Notice, &["XB"]);
    world.hear("XB", EvidenceKind::ContentConsignment, message, "XB", Outcome::Done).unwrap();
    assert_eq!(world.seal(message, "XB"), Err(Refusal::Stale), "it has ended");
    let untouched = draft(2, Kind::Notice, &["XC"]);
    world.put_up(untouched.clone()).unwrap();
    world.ask(officer(DRAFTER), Ask::Withdraw { message: untouched.message }).unwrap();
    assert_eq!(world.seal(untouched.message, "XC"), Err(Refusal::Stale));
    assert_eq!(world.out(untouched.message).state, OutState::Withdrawn);
}

#[test]
fn clock_of_the_answer_starts_with_r2_and_ends_with_the_answer() {
    let (mut world, request) = sent(1, Kind::Request, &["XB"]);
    world.now = START.plus_millis(5_000);
    world.hear("XB", EvidenceKind::ContentConsignment, request, "XB", Outcome::Done).unwrap();
    let week = 7 * 24 * 3_600 * 1_000;
    let clock = world.envelope(request, "XB").answer_clock;
    assert_eq!(clock, Some((world.now, world.now.plus_millis(week))));
    world.now = world.now.plus_millis(week);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    let mut alerts = Vec::new();
    for event in &world.journal {
        if let Change::RequestAlerted { alert, .. } = &event.change {
            alerts.push(*alert);
        }
    }
    assert_eq!(alerts, [Alert::DueSoon, Alert::Overdue]);

    let mut answer = arrival(60, Kind::Response, 1);
    answer.received.in_reply_to = Some(request);
    answer.received.conversation = world.out(request).draft.conversation;
    answer.cites = Some(world.out(request).draft.commitment);
    world.ask(Actor::Peer(id("XB")), Ask::Consign(Box::new(answer))).unwrap();
    let row = world.envelope(request, "XB");
    assert_eq!((row.answer, row.answer_clock), (Some(message(60)), None));
    assert!(world.rows.row(&[52]).unwrap().is_none());
}
