use proptest::prelude::*;

use super::*;
use crate::envelope::SealedEnvelope;
use crate::event::EnvelopeKey;
use crate::ids::{Digest, Epoch, MessageId, NetworkId, ParticipantId, SealNumber};
use crate::keys::Signature;
use crate::limits::{
    DIGESTS_PER_FRAME_MAX, EVENT_MAX, HEADER_MAX, PROOF_HASHES_MAX, PUBLIC_EVENTS_PER_FRAME_MAX,
    RECEIPTS_PER_FRAME_MAX, WRAP_LEN,
};
use crate::proof::LogProof;
use crate::reject::RejectCode;
use crate::wrap::Wrap;

fn xa() -> ParticipantId {
    "XA".parse().unwrap()
}

fn envelope() -> SealedEnvelope {
    let wrap = Wrap::from_bytes(&[2; WRAP_LEN]).unwrap();
    SealedEnvelope { header_bytes: vec![1; HEADER_MAX], signature: Signature([3; 64]), wrap }
}

fn proof(event: usize, hashes: usize, note: usize) -> LogProof {
    LogProof {
        event: vec![1; event],
        index: 7,
        hashes: vec![Digest([2; 32]); hashes],
        checkpoint_note: "n".repeat(note),
    }
}

fn largest_proof() -> LogProof {
    proof(EVENT_MAX, PROOF_HASHES_MAX, NOTE_MAX)
}

fn hello() -> Hello {
    Hello {
        versions: vec![1],
        suites: vec![1],
        network: NetworkId(Digest([7; 32])),
        participant: xa(),
        receipts: Cursor { epoch: Epoch(1), number: 9 },
        checkpoints: vec!["traffic".to_owned(), "public".to_owned()],
        own: vec!["node".to_owned()],
        public_size: 12,
        credit: Credit { envelopes: 64, bytes: 1 << 20 },
    }
}

fn entries() -> Entries {
    Entries {
        roots: vec![vec![1; ROOT_MAX]; ROOTS_PER_FRAME_MAX],
        membership: Some(vec![2; MEMBERSHIP_MAX]),
        timestamp: Some(vec![3; TIMESTAMP_MAX]),
        entries: vec![vec![4; ENTRY_MAX]; ENTRIES_PER_FRAME_MAX],
    }
}

/// One frame of each kind, those with long payloads as long as their bounds allow.
fn all() -> Vec<Frame> {
    let (originator, message) = (xa(), MessageId([5; 16]));
    let key = EnvelopeKey { originator, message, recipient: "XB".parse().unwrap(), seal: SealNumber(1) };
    vec![
        hello().into(),
        Submit { envelope: envelope() }.into(),
        BodyWanted { originator, message, root: Digest([6; 32]), from_chunk: 3 }.into(),
        BodyChunk { originator, message, index: 3, bytes: vec![8; CHUNK_SEALED] }.into(),
        Deliver { envelope: envelope(), acceptance: largest_proof() }.into(),
        Receipts { epoch: Epoch(1), first: 10, proofs: vec![largest_proof(), proof(100, 3, 200)] }.into(),
        ReceiptsStored { cursor: Cursor { epoch: Epoch(1), number: 11 } }.into(),
        Refused { envelope: key, code: RejectCode::QuotaExceeded }.into(),
        Recall { message, recipient: key.recipient }.into(),
        Credit { envelopes: 1, bytes: 65_552 }.into(),
        PublicGet { from: 12, until: 20 }.into(),
        PublicLog { from: 12, events: vec![vec![1; EVENT_MAX]; 40], checkpoint: "n".repeat(NOTE_MAX) }.into(),
        EntryGet { root_version: 1, digests: vec![Digest([9; 32]); DIGESTS_PER_FRAME_MAX] }.into(),
        entries().into(),
        EntriesChanged { timestamp: vec![3; TIMESTAMP_MAX] }.into(),
        Checkpoint { notes: vec!["n".repeat(NOTE_MAX)] }.into(),
        Ping { nonce: 1 }.into(),
        Pong { nonce: 1 }.into(),
        Bye { code: Some(RejectCode::ShuttingDown) }.into(),
        Restricted { code: RejectCode::PinMismatch }.into(),
    ]
}

#[test]
fn every_frame_round_trips_at_its_longest() {
    let frames = all();
    assert_eq!(
        frames.iter().map(Frame::name).collect::<Vec<_>>(),
        Frame::TABLE.iter().map(|row| row.name).collect::<Vec<_>>()
    );
    for frame in frames {
        let (number, payload) = frame.encode();
        assert!(payload.len() <= payload_max(number).unwrap(), "{}: {} bytes", frame.name(), payload.len());
        assert_eq!(number, frame.number());
        assert_eq!(Frame::decode(number, &payload), Ok(frame));
    }
}

#[test]
fn table_is_numbered_without_gap_and_bounded_by_the_frame() {
    for (row, number) in Frame::TABLE.iter().zip(1u8..) {
        assert_eq!(row.number, number);
        assert_eq!(payload_max(number), Some(row.payload_max));
        assert!(row.payload_max < FRAME_MAX, "{}", row.name);
    }
    let beyond = u8::try_from(Frame::TABLE.len()).unwrap() + 1;
    assert_eq!(payload_max(0).or(payload_max(beyond)), None);
    assert_eq!(Frame::decode(beyond, &[]), Err(FrameDecodeError::Kind(beyond)));
    assert_eq!(Frame::decode(0, &[]), Err(FrameDecodeError::Kind(0)));
}

#[test]
fn only_the_side_that_may_send_is_named() {
    let of = |number: u8| Frame::TABLE[usize::from(number) - 1].direction;
    for frame in all() {
        assert_eq!(frame.direction(), of(frame.number()));
    }
    assert_eq!((of(2), of(5), of(6)), (Direction::NodeToHub, Direction::HubToNode, Direction::Both));
}

#[test]
fn truncated_long_and_trailing_payloads_are_refused() {
    for frame in all() {
        let (number, payload) = frame.encode();
        let short = Frame::decode(number, &payload[..payload.len() - 1]);
        assert_eq!(short, Err(FrameDecodeError::Payload(DecodeError::Malformed)), "{}", frame.name());
        let trailing = Frame::decode(number, &[payload.as_slice(), &[0]].concat());
        assert!(matches!(trailing, Err(FrameDecodeError::Payload(_))), "{}", frame.name());
        let long = vec![0; payload_max(number).unwrap() + 1];
        assert_eq!(Frame::decode(number, &long), Err(FrameDecodeError::Payload(DecodeError::TooLong)));
    }
}

#[test]
fn lists_out_of_bounds_are_refused() {
    let check = |frame: Frame| {
        let (number, payload) = frame.encode();
        assert_eq!(Frame::decode(number, &payload), Err(FrameDecodeError::Bounds), "{}", frame.name());
    };
    check(Hello { versions: Vec::new(), ..hello() }.into());
    check(Hello { versions: vec![2, 1], ..hello() }.into());
    check(Hello { suites: vec![1, 1], ..hello() }.into());
    check(Hello { versions: (0..17).collect(), ..hello() }.into());
    check(Hello { own: vec!["n".repeat(NOTE_MAX + 1)], ..hello() }.into());
    check(Hello { checkpoints: vec![String::new(); 33], ..hello() }.into());
    let chunk = |length| BodyChunk { originator: xa(), message: MessageId([0; 16]), index: 0, bytes: vec![0; length] };
    check(chunk(0).into());
    check(chunk(CHUNK_SEALED + 1).into());
    let receipts = |first, proofs| Frame::from(Receipts { epoch: Epoch(1), first, proofs });
    check(receipts(1, Vec::new()));
    check(receipts(0, vec![proof(1, 0, 1)]));
    check(receipts(u64::MAX, vec![proof(1, 0, 1)]));
    check(receipts(1, vec![proof(1, 0, 1); RECEIPTS_PER_FRAME_MAX + 1]));
    check(receipts(1, vec![proof(0, 0, 1)]));
    check(receipts(1, vec![proof(EVENT_MAX + 1, 0, 1)]));
    check(receipts(1, vec![proof(1, PROOF_HASHES_MAX + 1, 1)]));
    check(receipts(1, vec![proof(1, 0, NOTE_MAX + 1)]));
    check(Deliver { envelope: envelope(), acceptance: proof(0, 0, 1) }.into());
    check(PublicGet { from: 5, until: 5 }.into());
    let public = |events, note| PublicLog { from: 0, events, checkpoint: "n".repeat(note) };
    check(public(vec![Vec::new(); PUBLIC_EVENTS_PER_FRAME_MAX + 1], 1).into());
    check(public(vec![vec![0; EVENT_MAX + 1]], 1).into());
    check(public(Vec::new(), NOTE_MAX + 1).into());
    check(EntryGet { root_version: 1, digests: vec![Digest([0; 32]); DIGESTS_PER_FRAME_MAX + 1] }.into());
    check(Entries { roots: vec![Vec::new(); ROOTS_PER_FRAME_MAX + 1], ..entries() }.into());
    check(Entries { roots: vec![vec![0; ROOT_MAX + 1]], ..entries() }.into());
    check(Entries { entries: vec![Vec::new(); ENTRIES_PER_FRAME_MAX + 1], ..entries() }.into());
    check(Entries { roots: Vec::new(), membership: Some(vec![0; MEMBERSHIP_MAX + 1]), ..entries() }.into());
    check(Entries { roots: Vec::new(), timestamp: Some(vec![0; TIMESTAMP_MAX + 1]), ..entries() }.into());
    check(EntriesChanged { timestamp: vec![0; TIMESTAMP_MAX + 1] }.into());
    check(Checkpoint { notes: Vec::new() }.into());
}

#[test]
fn receipts_fill_a_frame_and_leave_the_rest() {
    let fill = |proof: LogProof, count| {
        let receipts = Receipts::fill(Epoch(1), 5, vec![proof; count])?;
        let (number, payload) = Frame::from(receipts.clone()).encode();
        assert!(Frame::decode(number, &payload).is_ok(), "{} bytes", payload.len());
        Some(receipts.proofs.len())
    };
    assert_eq!(fill(proof(400, 20, 300), 0), None);
    assert_eq!(fill(proof(400, 20, 300), 3), Some(3));
    assert_eq!(fill(proof(400, 20, 300), 100), Some(RECEIPTS_PER_FRAME_MAX));
    assert_eq!(fill(largest_proof(), 1), Some(1));
    assert_eq!(fill(largest_proof(), 100), Some(3));
}

#[test]
fn public_log_fills_a_frame_and_leaves_the_rest() {
    let fill = |length, count| {
        let log = PublicLog::fill(0, vec![vec![0; length]; count], "n".repeat(NOTE_MAX));
        let (number, payload) = Frame::from(log.clone()).encode();
        assert!(Frame::decode(number, &payload).is_ok(), "{} bytes", payload.len());
        log.events.len()
    };
    assert_eq!(fill(150, 0), 0);
    assert_eq!(fill(150, 1000), PUBLIC_EVENTS_PER_FRAME_MAX);
    assert_eq!(fill(EVENT_MAX, 1000), (PAYLOAD_MAX - NOTE_MAX - 64) / (EVENT_MAX + 8));
}

#[test]
fn highest_version_that_both_speak_is_chosen() {
    assert_eq!(highest_common(&[1, 2, 3], &[2, 3, 4]), Some(3));
    assert_eq!(highest_common(&[1], &[2]), None);
    assert_eq!(highest_common(&[], &[1]), None);
}

#[test]
fn length_beyond_the_payload_allocates_nothing() {
    // Every field that begins with a length claims the largest one.
    for row in Frame::TABLE {
        let claim = vec![0xff; 64];
        assert!(Frame::decode(row.number, &claim).is_err(), "{}", row.name);
    }
}

proptest! {
    #[test]
    fn arbitrary_payloads_never_panic(number in 0u8..24, payload in prop::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(frame) = Frame::decode(number, &payload) {
            prop_assert_eq!(frame.encode(), (number, payload));
        }
    }

    #[test]
    fn changed_payloads_never_panic(which in 0usize..19, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (number, mut payload) = all()[which].encode();
        let at = at.index(payload.len());
        payload[at] = to;
        if let Ok(frame) = Frame::decode(number, &payload) {
            prop_assert_eq!(frame.encode(), (number, payload));
        }
    }
}
