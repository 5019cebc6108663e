use proptest::prelude::*;

use super::*;
use crate::codec::encode;
use crate::limits::{CODE_MAX, PART_NAME_MAX, SUBJECT_MAX};
use crate::samples::{NETWORK, manifest, part, participant};

fn check_broken(change: impl FnOnce(&mut Manifest), expected: ManifestError) {
    let mut broken = manifest(&[b"one", b"two"]);
    change(&mut broken);
    assert_eq!(broken.check(), Err(expected));
    assert_eq!(Manifest::decode(&broken.encode()), Err(expected));
}

fn reply() -> Option<InReplyTo> {
    Some(InReplyTo { message: MessageId::from_random([9; 16]), commitment: Digest([5; 32]) })
}

fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid text")
}

#[test]
fn bytes_are_the_documented_ones() {
    let mut value = manifest(&[b"one"]);
    value.form = Some(text("vehicle/2"));
    value.recipients.truncate(1);
    let fields: &[&[u8]] = &[
        b"NCPM\x01\0\0\0",                      // prefix
        &[1, 0],                                // protocol version
        &[7; 32],                               // network
        &value.message.0,                       // message
        b"XA\0\0\0\0\0\0\xea\x07\xa1\x01\0\0",  // reference: originator, year, number
        b"XA\0\0\0\0\0\0",                      // originator
        b"\x01\0\0\0\0\0\0\0XB\0\0\0\0\0\0",    // recipients
        &value.message.0,                       // conversation
        &[0],                                   // in reply to: none
        &[3, 0, 0, 0],                          // kind: notice
        &[0],                                   // response status: none
        b"\x07\0\0\0\0\0\0\0Subject",           // subject
        &[0],                                   // subject code: none
        b"\x01\x07\0\0\0\0\0\0\0vehicle\x02\0", // form
        &[0, 0, 0, 0],                          // handling: h0
        &[0],                                   // restriction: none
        &[0],                                   // urgent ground: none
        &[0],                                   // answer by: none
        &[0, 0, 0, 0, 0, 0, 0, 0],              // also sent through: nothing
        &[0],                                   // reason: none
        &[1, 0, 0, 0, 0, 0, 0, 0],              // one part
        b"\x06\0\0\0\0\0\0\0part-0",            // name
        b"\x18\0\0\0\0\0\0\0application/octet-stream",
        &[3, 0, 0, 0, 0, 0, 0, 0],      // length
        &crate::keys::sha256(b"one").0, // digest
    ];
    assert_eq!(value.encode(), fields.concat());
    assert_eq!(Manifest::decode(&fields.concat()), Ok(value));
}

#[test]
fn recipients_are_others_sorted_and_unique() {
    check_broken(|m| m.recipients.clear(), ManifestError::Recipients);
    check_broken(|m| m.recipients.reverse(), ManifestError::Recipients);
    check_broken(|m| m.recipients = vec![participant("XB"); 2], ManifestError::Recipients);
    check_broken(|m| m.recipients = vec![participant("XA")], ManifestError::Recipients);
    check_broken(|m| m.recipients = vec![ParticipantId::HUB], ManifestError::Recipients);
    let many = |count: u32| (0..count).map(|i| participant(&format!("S{i:03}"))).collect::<Vec<_>>();
    check_broken(|m| m.recipients = many(81), ManifestError::Recipients);
    let mut most = manifest(&[b"one"]);
    most.recipients = many(80);
    assert_eq!(most.check(), Ok(()));
}

#[test]
fn the_hub_originates_nothing() {
    let hub = |m: &mut Manifest| {
        m.originator = ParticipantId::HUB;
        m.reference.originator = ParticipantId::HUB;
    };
    check_broken(hub, ManifestError::Recipients);
}

#[test]
fn version_and_reference_are_the_originators() {
    check_broken(|m| m.version = 2, ManifestError::Version(2));
    check_broken(|m| m.reference.originator = participant("XB"), ManifestError::Reference);
}

#[test]
fn a_response_names_its_request() {
    let respond = |m: &mut Manifest| {
        m.kind = Kind::Response;
        m.response_status = Some(ResponseStatus::Final);
    };
    check_broken(respond, ManifestError::InReplyTo);
    let mut whole = manifest(&[b"one"]);
    respond(&mut whole);
    whole.in_reply_to = reply();
    assert_eq!(whole.check(), Ok(()));
    for kind in [Kind::Clarification, Kind::Consent, Kind::Withdrawal] {
        check_broken(|m| m.kind = kind, ManifestError::InReplyTo);
    }
    let to_itself = |m: &mut Manifest| m.in_reply_to = reply().map(|reply| InReplyTo { message: m.message, ..reply });
    check_broken(to_itself, ManifestError::InReplyTo);
}

#[test]
fn response_status_belongs_to_responses() {
    check_broken(|m| m.response_status = Some(ResponseStatus::Final), ManifestError::ResponseStatus);
    let respond = |m: &mut Manifest| {
        m.kind = Kind::Response;
        m.in_reply_to = reply();
    };
    check_broken(respond, ManifestError::ResponseStatus);
}

#[test]
fn refusal_and_extension_say_why_and_until_when() {
    let respond = |status: ResponseStatus, reason: Option<Code>, answer_by: Option<UnixMillis>| {
        move |m: &mut Manifest| {
            m.kind = Kind::Response;
            m.in_reply_to = reply();
            m.response_status = Some(status);
            m.reason = reason;
            m.answer_by = answer_by;
        }
    };
    let (reason, time) = (Some(text("not-directly-accessible")), Some(UnixMillis(1)));
    check_broken(respond(ResponseStatus::Refusal, None, time), ManifestError::Reason);
    check_broken(respond(ResponseStatus::Extension, None, time), ManifestError::Reason);
    check_broken(respond(ResponseStatus::Extension, reason.clone(), None), ManifestError::Reason);
    let mut whole = manifest(&[b"one"]);
    respond(ResponseStatus::Extension, reason, time)(&mut whole);
    assert_eq!(whole.check(), Ok(()));
}

#[test]
fn restriction_in_words_belongs_to_h3() {
    check_broken(|m| m.handling = Handling::H3, ManifestError::Restriction);
    check_broken(|m| m.restriction = Some(text("for the court alone")), ManifestError::Restriction);
}

#[test]
fn channels_are_sorted_and_unique() {
    check_broken(|m| m.also_sent_through = vec![text("b"), text("a")], ManifestError::AlsoSentThrough);
    let many = (0..17).map(|i| text(&format!("c{i:02}"))).collect();
    check_broken(|m| m.also_sent_through = many, ManifestError::AlsoSentThrough);
}

#[test]
fn parts_are_named_once_and_fit_a_message() {
    check_broken(|m| m.parts.clear(), ManifestError::Parts);
    check_broken(|m| m.parts = vec![part(0, b"one"); 2], ManifestError::Parts);
    check_broken(|m| m.parts = (0..65).map(|i| part(i, b"")).collect(), ManifestError::Parts);
    check_broken(|m| m.parts[0].length = MESSAGE_MAX, ManifestError::TooLong);
    check_broken(|m| m.parts.iter_mut().for_each(|part| part.length = u64::MAX), ManifestError::TooLong);
}

#[test]
fn the_fullest_manifest_fits_its_limit() {
    let mut full = manifest(&[]);
    full.recipients = (0..80).map(|i| participant(&format!("S{i:03}"))).collect();
    full.in_reply_to = reply();
    full.kind = Kind::Response;
    full.response_status = Some(ResponseStatus::Extension);
    full.subject = text(&"s".repeat(SUBJECT_MAX));
    full.restriction = Some(full.subject.clone());
    full.handling = Handling::H3;
    let code: Code = text(&"c".repeat(CODE_MAX));
    full.subject_code = Some(code.clone());
    full.form = Some(Form { code: code.clone(), version: u16::MAX });
    full.reason = Some(code);
    full.urgent_ground = Some(UrgentGround::LifeOrLimb);
    full.answer_by = Some(UnixMillis(u64::MAX));
    full.also_sent_through = (0..16).map(|i| text(&format!("{}{i:02}", "c".repeat(CODE_MAX - 2)))).collect();
    full.parts = (0..64)
        .map(|i| Part {
            name: text(&format!("{}{i:02}", "n".repeat(PART_NAME_MAX - 2))),
            media_type: text(&format!("application/{}", "x".repeat(88))),
            ..part(i, b"")
        })
        .collect();
    assert_eq!(full.check(), Ok(()));
    assert_eq!(Manifest::decode(&full.encode()), Ok(full));
}

#[test]
fn commitment_depends_on_network_r_and_manifest() {
    let bytes = manifest(&[b"one"]).encode();
    let commitment = content_commitment(&NETWORK, &[1; 32], &bytes);
    assert_ne!(commitment, content_commitment(&NetworkId(Digest([8; 32])), &[1; 32], &bytes));
    assert_ne!(commitment, content_commitment(&NETWORK, &[2; 32], &bytes));
    assert_ne!(commitment, content_commitment(&NETWORK, &[1; 32], &manifest(&[b"two"]).encode()));
}

proptest! {
    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(place in 0..600usize, value: u8, cut in 0..4usize) {
        let mut bytes = manifest(&[b"one", b"two"]).encode();
        let place = place % bytes.len();
        bytes[place] = value;
        bytes.truncate(bytes.len() - cut.saturating_sub(2));
        if let Ok(decoded) = Manifest::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
            prop_assert!(encode(&decoded).len() < MANIFEST_MAX);
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let framed = [b"NCPM\x01\0\0\0".as_slice(), &bytes].concat();
        prop_assert!(Manifest::decode(&framed).is_err());
    }
}
