use super::*;
use crate::codes::{Handling, Precedence, ResponseStatus};
use crate::ids::{ConversationId, Reference, SealNumber};
use crate::limits::{CODE_MAX, RECIPIENTS_MAX};

fn longest_code() -> Code {
    "x".repeat(CODE_MAX).parse().unwrap()
}

fn recipients(count: usize) -> Vec<ParticipantId> {
    (0..count).map(|number| format!("XA{number:06}").parse().unwrap()).collect()
}

fn officer() -> Actor {
    Actor::Officer { number: OfficerNumber(u16::MAX), signature: Signature([0xff; 64]), request: Digest([0xff; 32]) }
}

fn event(change: Change) -> Event {
    Event { log: LogName::Node, time: UnixMillis(u64::MAX), actor: officer(), salt: [0xff; 16], change }
}

fn draft(recipients: Vec<ParticipantId>) -> Draft {
    let message = MessageId([0xff; 16]);
    Draft {
        message,
        revision: u32::MAX,
        reference: Reference::new("XA999999".parse().unwrap(), 9999, 999_999).unwrap(),
        conversation: ConversationId(message),
        in_reply_to: Some(message),
        kind: Kind::Response,
        response_status: Some(ResponseStatus::Extension),
        precedence: Precedence::Urgent,
        handling: Handling::H3,
        recipients,
        not_after: UnixMillis(u64::MAX),
        answer_by: Some(UnixMillis(u64::MAX)),
        commitment: Digest([0xff; 32]),
        root: Digest([0xff; 32]),
        body_length: u64::MAX,
        rule: longest_code(),
        rules: Digest([0xff; 32]),
        reason: Some(longest_code()),
        asked: Asked { key: Digest([0xff; 32]), request: Digest([0xff; 32]) },
        approvals_needed: 2,
    }
}

fn envelope_key() -> EnvelopeKey {
    let [originator, recipient] = recipients(2)[..] else { unreachable!("two were asked for") };
    EnvelopeKey { originator, message: MessageId([1; 16]), recipient, seal: SealNumber(1) }
}

#[test]
fn events_of_a_message_to_80_recipients_fit_with_longest_codes() {
    let sequences = vec![PairSequence(u64::MAX); RECIPIENTS_MAX];
    let released = Change::MessageReleased { message: MessageId([1; 16]), sequences, epoch: Epoch(u32::MAX) };
    for change in [
        Change::MessageDrafted(draft(recipients(RECIPIENTS_MAX))),
        Change::MessageEdited(draft(recipients(RECIPIENTS_MAX))),
        released,
    ] {
        let event = event(change);
        let bytes = event.encode();
        assert!(bytes.len() <= EVENT_MAX, "{} bytes", bytes.len());
        assert_eq!(Event::decode(&bytes), Ok(event));
    }
}

#[test]
fn longest_service_and_reason_fit() {
    let EnvelopeKey { originator, message, .. } = envelope_key();
    let service = Event {
        actor: Actor::Application(longest_code()),
        ..event(Change::TaskAssigned { originator, message, task: u16::MAX, service: longest_code() })
    };
    assert!(service.encode().len() <= EVENT_MAX);
    assert_eq!(Event::decode(&service.encode()), Ok(service));
}

#[test]
fn lists_without_order_are_sorted_and_unique() {
    let check = |change: Change| assert_eq!(Event::decode(&event(change).encode()), Err(DecodeError::Malformed));
    let [first, second] = recipients(2)[..] else { unreachable!("two were asked for") };
    check(Change::MessageDrafted(draft(vec![second, first])));
    check(Change::MessageDrafted(draft(vec![first, first])));
    let key = crate::keys::SigningKey::from_seed(&[1; 32]).verifying_key();
    let roles = vec![Role::Releaser, Role::Drafter];
    check(Change::OfficerAdded { officer: OfficerNumber(1), key, uid: 1000, roles });
}

#[test]
fn event_longer_than_its_limit_is_refused() {
    let long = event(Change::MessageDrafted(draft(recipients(500)))).encode();
    assert!(long.len() > EVENT_MAX);
    assert_eq!(Event::decode(&long), Err(DecodeError::TooLong));
}

#[test]
fn salt_hides_an_event_from_its_neighbours() {
    let one = event(Change::EnvelopeOffered(envelope_key()));
    let other = Event { salt: [0; 16], ..one.clone() };
    assert_ne!(crate::merkle::leaf_hash(&one.encode()), crate::merkle::leaf_hash(&other.encode()));
}

#[test]
fn urgent_mail_has_a_lane_of_its_own() {
    assert_eq!(Lane::of(Precedence::Routine), Lane::Ordinary);
    assert_eq!(Lane::of(Precedence::Priority), Lane::Ordinary);
    assert_eq!(Lane::of(Precedence::Urgent), Lane::Urgent);
}
