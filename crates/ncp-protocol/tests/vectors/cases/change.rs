//! One golden event for each variant of `Change`, every optional field filled: what old journals hold for ever.

use ncp_protocol::codes::{Code, Handling, Kind, Precedence, ResponseStatus};
use ncp_protocol::event::{
    Accepted, Actor, Alert, Approval, Asked, Change, Draft, EnvelopeKey, Event, EvidenceKind, HoldScope, Lane, Outcome,
    Received, Role,
};
use ncp_protocol::ids::{
    ConversationId, Digest, Epoch, KeyId, LogName, MessageId, OfficerNumber, PairSequence, Reference, UnixMillis,
};
use ncp_protocol::keys::Signature;
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::reject::RejectCode;
use serde::Deserialize as _;
use serde::de::value::Error;
use serde::de::{self, Visitor};

use crate::annotate::Hex;
use crate::fixtures::{NOW, claim, envelope_key, event, key, message_id, origin, participant};
use crate::scenario::{Scenario, files};

pub(super) fn all() -> Vec<Scenario> {
    [of_the_hub(), of_officers(), of_messages_out(), of_messages_in()].into_iter().flatten().collect()
}

fn golden(name: &'static str, about: &'static str, event: &Event) -> Scenario {
    Scenario::new("event", name, "ok", about).bytes(Hex::prefixed(b'E', event))
}

fn code(text: &str) -> Code {
    text.parse().expect("a code")
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn of_the_hub() -> Vec<Scenario> {
    let (originator, message) = (participant("XA"), message_id());
    let traffic = |change| event(LogName::Traffic, change);
    let public = |change| event(LogName::Public, change);
    let acceptance = claim(origin("HUB", LogName::Traffic), EvidenceKind::RelayAcceptance, Outcome::Done);
    let accepted = Accepted {
        envelope: envelope_key(),
        header: digest(0x48),
        precedence: Precedence::Priority,
        not_after: NOW.plus_millis(5 * DAY_MS),
        root: digest(0x62),
        body_length: 4_112,
        commitment: digest(0x63),
    };
    let opened = Change::LogOpened {
        origin: origin("XA", LogName::Node),
        key: key(4).verifying_key().id(),
        previous: Some((40, digest(0x40))),
    };
    let peer = |event| Event { actor: Actor::Peer(participant("XB")), ..event };
    let admitted = Change::EntryAdmitted { participant: originator, version: 2, entry: digest(0x64) };
    let suspended = Change::ParticipantSuspended { participant: participant("XB"), reason: code("key-compromised") };
    let noted = Change::PublicCheckpointRecorded { size: 40, root: digest(0x40) };
    let conflict = Change::ConflictNoticed { originator, message, header: digest(0x49) };
    vec![
        golden("log-opened", "first event of a log that continues an earlier epoch", &event(LogName::Node, opened)),
        golden("evidence", "R1: the hub holds the envelope", &traffic(Change::Evidence(acceptance))),
        golden("conflict-noticed", "other content came under a known message id", &peer(traffic(conflict))),
        golden("envelope-accepted", "an envelope waits at the hub", &peer(traffic(Change::EnvelopeAccepted(accepted)))),
        golden("envelope-offered", "it is about to leave the hub", &traffic(Change::EnvelopeOffered(envelope_key()))),
        golden("envelope-superseded", "a higher seal came", &traffic(Change::EnvelopeSuperseded(envelope_key()))),
        golden("body-dropped", "no header needs the body", &traffic(Change::BodyDropped { originator, message })),
        golden("entry-admitted", "an entry took force", &public(admitted)),
        golden(
            "membership-admitted",
            "a membership statement took force",
            &public(Change::MembershipAdmitted { version: 3, membership: digest(0x67) }),
        ),
        golden("participant-suspended", "a participant is suspended", &public(suspended)),
        golden(
            "participant-reinstated",
            "a suspension ended, by the operator's hand",
            &Event {
                actor: Actor::Operator(1_000),
                ..public(Change::ParticipantReinstated { participant: participant("XB") })
            },
        ),
        golden("public-checkpoint-recorded", "where `public` stood", &traffic(noted)),
    ]
}

fn by_officer(change: Change) -> Event {
    let number = OfficerNumber(7);
    let actor = Actor::Officer { number, signature: Signature([0x53; 64]), request: digest(0x51) };
    Event { actor, ..event(LogName::Node, change) }
}

fn of_officers() -> Vec<Scenario> {
    let added = Change::OfficerAdded {
        officer: OfficerNumber(8),
        key: key(8).verifying_key(),
        uid: 1_008,
        roles: vec![Role::Drafter, Role::Releaser, Role::Supervisor],
    };
    let disabled = Change::OfficerDisabled { officer: OfficerNumber(8) };
    let (held, lifted) = (HoldScope::Recipient(participant("XB")), HoldScope::Kind(Kind::Notice));
    vec![
        golden("officer-added", "an officer with all roles", &by_officer(added)),
        golden("officer-disabled", "an officer may no longer act", &by_officer(disabled)),
        golden(
            "rules-in-force",
            "other release rules hold",
            &event(LogName::Node, Change::RulesInForce { rules: digest(0x72) }),
        ),
        golden("hold-set", "nothing goes to one recipient", &by_officer(Change::HoldSet { scope: held })),
        golden("hold-lifted", "a kind may leave again", &by_officer(Change::HoldLifted { scope: lifted })),
    ]
}

fn reference(originator: &str) -> Reference {
    Reference::new(participant(originator), 2027, 417).expect("a reference")
}

fn cited() -> MessageId {
    MessageId::from_random([0x3c; 16])
}

fn draft() -> Draft {
    Draft {
        message: message_id(),
        revision: 1,
        reference: reference("XA"),
        conversation: ConversationId(cited()),
        in_reply_to: Some(cited()),
        kind: Kind::Response,
        response_status: Some(ResponseStatus::Extension),
        reason: Some(code("not-available-yet")),
        precedence: Precedence::Urgent,
        handling: Handling::H2,
        recipients: vec![participant("XB"), participant("XC")],
        not_after: NOW.plus_millis(5 * DAY_MS),
        answer_by: Some(NOW.plus_millis(2 * DAY_MS)),
        commitment: digest(0x63),
        root: digest(0x62),
        body_length: 4_112,
        rule: code("responses"),
        rules: digest(0x72),
        asked: Asked { key: digest(0x6b), request: digest(0x71) },
        approvals_needed: 2,
    }
}

fn approval() -> Approval {
    Approval {
        message: message_id(),
        revision: 1,
        officer: OfficerNumber(7),
        key: key(7).verifying_key().id(),
        code: "7K3M".parse().expect("a code"),
        signature: Signature([0x41; 64]),
    }
}

fn of_messages_out() -> Vec<Scenario> {
    let message = message_id();
    let daemon = |change| event(LogName::Node, change);
    let sequences = vec![PairSequence(12), PairSequence(3)];
    let released = Change::MessageReleased { message, sequences, epoch: Epoch(1) };
    let recipient_key = KeyId(digest(0x78));
    let sealed = Change::EnvelopeSealed { envelope: envelope_key(), header: digest(0x48), recipient_key };
    let failed = Change::EnvelopeFailed { envelope: envelope_key(), code: RejectCode::RecipientUnknown };
    let edited = Draft { revision: 2, ..draft() };
    vec![
        golden("message-drafted", "a response waits for release", &by_officer(Change::MessageDrafted(draft()))),
        golden("message-edited", "its second revision", &by_officer(Change::MessageEdited(edited))),
        golden("message-approved", "an officer signed", &by_officer(Change::MessageApproved(approval()))),
        golden("release-rejected", "an officer refused", &by_officer(Change::ReleaseRejected(approval()))),
        golden("message-released", "all approvals stand", &by_officer(released)),
        golden("envelope-sealed", "an envelope's bytes are fixed", &daemon(sealed)),
        golden("message-withdrawn", "nothing of it left", &by_officer(Change::MessageWithdrawn { message })),
        golden("recall-requested", "the hub is asked to delete", &by_officer(Change::RecallRequested { message })),
        golden("envelope-failed", "it ended without the recipient", &daemon(failed)),
    ]
}

fn received() -> Received {
    let (originator, recipient) = (participant("XB"), participant("XA"));
    Received {
        envelope: EnvelopeKey { originator, recipient, ..envelope_key() },
        header: digest(0x48),
        reference: reference("XB"),
        conversation: ConversationId(cited()),
        in_reply_to: Some(cited()),
        kind: Kind::Response,
        response_status: Some(ResponseStatus::Refusal),
        reason: Some(code("national-law")),
        precedence: Precedence::Priority,
        handling: Handling::H3,
        answer_by: Some(NOW.plus_millis(DAY_MS)),
        due: Some(NOW.plus_millis(3 * DAY_MS)),
        commitment: digest(0x63),
        root: digest(0x62),
        body_length: 4_112,
        sequence: PairSequence(12),
        epoch: Epoch(1),
        floor: PairSequence(9),
        voided: vec![(PairSequence(10), PairSequence(11))],
    }
}

fn of_messages_in() -> Vec<Scenario> {
    let (originator, recipient, message) = (participant("XB"), participant("XA"), message_id());
    let daemon = |change| event(LogName::Node, change);
    let noted = Change::EvidenceReceived {
        claim: claim(origin("HUB", LogName::Traffic), EvidenceKind::RelayAcceptance, Outcome::Done),
        index: 40,
        stated: UnixMillis(NOW.0 - 1),
        record: digest(0x65),
    };
    let assigned = Change::TaskAssigned { originator, message, task: 1, service: code("border-police") };
    let contribution = Change::ContributionAdded { originator, message, task: 1, record: digest(0x6e) };
    let moved = Change::DeadlineMoved {
        originator,
        message,
        recipient,
        due: NOW.plus_millis(9 * DAY_MS),
        reason: Some(code("not-available-yet")),
    };
    let (first, last) = (PairSequence(4), PairSequence(6));
    let application = Event { actor: Actor::Application(code("case-system")), ..daemon(contribution) };
    vec![
        golden("evidence-received", "the hub's R1 was verified and stored", &daemon(noted)),
        golden("message-received", "a refusal arrived", &daemon(Change::MessageReceived(received()))),
        golden("task-assigned", "a service is asked to contribute", &by_officer(assigned)),
        golden("contribution-added", "it did, through an application", &application),
        golden(
            "request-alerted",
            "an answer is due soon",
            &daemon(Change::RequestAlerted { originator, message, recipient, alert: Alert::DueSoon }),
        ),
        golden("deadline-moved", "an answer is due later", &daemon(moved)),
        golden("content-erased", "its content is gone", &daemon(Change::ContentErased { originator, message })),
        golden(
            "sequence-gap-noticed",
            "numbers of urgent mail are missing",
            &daemon(Change::SequenceGapNoticed { originator, lane: Lane::Urgent, first, last }),
        ),
        golden(
            "entry-accepted",
            "a node accepted an entry",
            &daemon(Change::EntryAccepted { participant: originator, version: 2, entry: digest(0x64) }),
        ),
        golden(
            "entry-pinned",
            "people compared a fingerprint",
            &by_officer(Change::EntryPinned { participant: originator, fingerprint: digest(0x66) }),
        ),
        golden(
            "receipts-stored",
            "the hub's receipts are kept up to here",
            &daemon(Change::ReceiptsStored { epoch: Epoch(1), number: 40 }),
        ),
    ]
}

/// Reads nothing: the names of an enum's variants are its error.
struct VariantNames;

impl<'de> de::Deserializer<'de> for VariantNames {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(de::Error::custom(variants.join(" ")))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("not an enum"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

#[test]
fn each_change_has_a_golden_event() {
    let names = Change::deserialize(VariantNames).expect_err("names alone").to_string();
    assert!(names.split(' ').count() >= 36 && names.starts_with("LogOpened "), "{names}");
    let made = all();
    let files = files();
    for name in names.split(' ') {
        let path = format!("event/{}.txt", kebab(name));
        assert!(made.iter().any(|scenario| scenario.path() == path), "Change::{name} has no golden event");
        assert!(files.get(&path).is_some_and(|text| text.contains(&format!("# change: {name}\n"))), "{path}");
    }
}
