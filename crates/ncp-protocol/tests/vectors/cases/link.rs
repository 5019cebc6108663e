//! Frames of the link.

use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::{
    BodyChunk, BodyWanted, Bye, Checkpoint, Credit, Cursor, Deliver, Entries, EntriesChanged, EntryGet, Frame, Hello,
    Ping, Pong, PublicGet, PublicLog, Recall, Receipts, ReceiptsStored, Refused, Restricted, Submit,
};
use ncp_protocol::ids::{Digest, Epoch, LogName, SealNumber};
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;
use serde::Serialize;

use crate::annotate::Hex;
use crate::fixtures::{
    NETWORK, SIGNING, envelope_key, event, header_over, manifest, message_id, origin, participant, plaintext, prove,
    seal, seal_body,
};
use crate::scenario::Scenario;

pub(super) fn all() -> Vec<Scenario> {
    [golden(), malformed(), bounds()].into_iter().flatten().collect()
}

fn make(name: &'static str, expect: &'static str, about: &'static str, number: u8, hex: Hex) -> Scenario {
    Scenario::new("frame", name, expect, about).with("kind", number).bytes(hex)
}

/// A payload and its number in the table.
fn of<T: Serialize + Clone + Into<Frame>>(payload: &T) -> (u8, Hex) {
    let number = payload.clone().into().number();
    (number, Hex::of(payload))
}

fn hello() -> Hello {
    Hello {
        versions: vec![1],
        suites: vec![1],
        network: NETWORK,
        participant: participant("XA"),
        receipts: Cursor { epoch: Epoch(1), number: 12 },
        checkpoints: Vec::new(),
        own: Vec::new(),
        public_size: 40,
        credit: Credit { envelopes: 64, bytes: 4 << 20 },
    }
}

fn proof() -> LogProof {
    let traffic = origin("HUB", LogName::Traffic);
    let change = ncp_protocol::event::Change::EnvelopeOffered(envelope_key());
    prove(&traffic, &event(LogName::Traffic, change).encode())
}

fn envelope() -> SealedEnvelope {
    seal(header_over(&seal_body(&plaintext(&manifest())).0), SIGNING)
}

fn receipts() -> Receipts {
    Receipts { epoch: Epoch(1), first: 13, proofs: vec![proof()] }
}

fn chunk(length: usize) -> BodyChunk {
    BodyChunk { originator: participant("XA"), message: message_id(), index: 2, bytes: vec![0xc4; length] }
}

fn public_log() -> PublicLog {
    PublicLog { from: 3, events: vec![b"event".to_vec(), b"event".to_vec()], checkpoint: "note".to_owned() }
}

fn refused() -> Refused {
    Refused { envelope: envelope_key(), code: RejectCode::MailboxFull }
}

fn golden() -> Vec<Scenario> {
    let ok = |name, about, (number, hex): (u8, Hex)| make(name, "ok", about, number, hex);
    let wanted =
        BodyWanted { originator: participant("XA"), message: message_id(), root: Digest([0x52; 32]), from_chunk: 2 };
    let entries = Entries { roots: Vec::new(), membership: Some(vec![1, 2]), timestamp: None, entries: vec![vec![3]] };
    vec![
        ok("hello", "the first frame of a node", of(&hello())),
        ok("submit", "an envelope is handed to the hub", of(&Submit { envelope: envelope() })),
        ok("deliver", "an envelope with its proof", of(&Deliver { envelope: envelope(), acceptance: proof() })),
        ok("body-wanted", "a body is asked for from its third chunk on", of(&wanted)),
        ok("body-chunk", "the third chunk of a body, the last and short", of(&chunk(48))),
        ok("receipts", "one receipt, number 13", of(&receipts())),
        ok(
            "receipts-stored",
            "receipts up to 13 are stored",
            of(&ReceiptsStored { cursor: Cursor { epoch: Epoch(1), number: 13 } }),
        ),
        ok("refused", "the mailbox of the recipient is full", of(&refused())),
        ok("refused-unknown", "refused with a code of a later version", refused_by_a_later_version()),
        ok(
            "recall",
            "a message is recalled for one recipient",
            of(&Recall { message: message_id(), recipient: participant("XB") }),
        ),
        ok("credit", "one more envelope and chunk", of(&Credit { envelopes: 1, bytes: 65_552 })),
        ok("public-get", "leaves 3 to 39 are asked for", of(&PublicGet { from: 3, until: 40 })),
        ok("public-log", "two leaves of `public`", of(&public_log())),
        ok(
            "entry-get",
            "an entry is asked for by its digest",
            of(&EntryGet { root_version: 1, digests: vec![Digest([0x44; 32])] }),
        ),
        ok("entries", "a membership statement and an entry", of(&entries)),
        ok("entries-changed", "a new timestamp statement", of(&EntriesChanged { timestamp: vec![1, 2, 3] })),
        ok("checkpoint", "the newest checkpoint of a log", of(&Checkpoint { notes: vec!["note".to_owned()] })),
        ok("ping", "a sign of life is asked for", of(&Ping { nonce: 7 })),
        ok("pong", "the sign of life", of(&Pong { nonce: 7 })),
        ok(
            "hello-nothing-stored",
            "a hello before the first receipt",
            of(&Hello { receipts: Cursor { epoch: Epoch(0), number: 0 }, ..hello() }),
        ),
        ok("restricted", "the hub pins another key", of(&Restricted { code: RejectCode::PinMismatch })),
        ok("bye", "the link closes in order", of(&Bye { code: None })),
        ok(
            "bye-with-code",
            "the link closes because the daemon stops",
            of(&Bye { code: Some(RejectCode::ShuttingDown) }),
        ),
    ]
}

/// A refusal is readable whatever its reason: the number is kept.
fn refused_by_a_later_version() -> (u8, Hex) {
    let (number, hex) = of(&refused());
    (number, hex.set("code", [84, 0]))
}

fn malformed() -> Vec<Scenario> {
    let bad = |name, about, (number, hex): (u8, Hex)| make(name, "payload.malformed", about, number, hex);
    let changed = |(number, hex): (u8, Hex), change: fn(Hex) -> Hex| (number, change(hex));
    vec![
        make("kind-unknown", "kind", "a kind that the table lacks", 255, Hex::of(&7u64)),
        make("kind-zero", "kind", "kind 0", 0, Hex::of(&7u64)),
        bad("truncated", "the last byte is missing", changed(of(&hello()), Hex::cut)),
        bad("trailing", "a byte follows the last field", changed(of(&Ping { nonce: 7 }), Hex::trailing)),
        bad("empty", "a hello of no bytes", (1, Hex::raw("nothing", Vec::new()))),
        bad(
            "hello-participant",
            "a participant id in lower case",
            changed(of(&hello()), |hex| hex.set("participant", *b"xa\0\0\0\0\0\0")),
        ),
        bad(
            "chunk-endless",
            "a chunk that claims 4 GiB",
            changed(of(&chunk(48)), |hex| hex.set("bytes.length", (4u64 << 30).to_le_bytes())),
        ),
        bad(
            "receipts-endless",
            "a list that claims 2^64 - 1 receipts",
            changed(of(&receipts()), |hex| hex.set("proofs.length", [0xff; 8])),
        ),
        bad("reject-code", "a reject code that is none", changed(of(&refused()), |hex| hex.set("code", [0, 0]))),
        bad(
            "option-tag",
            "an option that is neither absent nor present",
            changed(of(&Bye { code: None }), |hex| hex.set("code", [2])),
        ),
        bad(
            "note-not-utf8",
            "a checkpoint that is not UTF-8",
            changed(of(&Checkpoint { notes: vec!["note".to_owned()] }), |hex| hex.set("notes.0", *b"no\xffe")),
        ),
        make(
            "ping-too-long",
            "payload.too-long",
            "a ping longer than its kind allows",
            17,
            Hex::raw("zeros", vec![0; 513]),
        ),
    ]
}

fn bounds() -> Vec<Scenario> {
    let bad = |name, about, (number, hex): (u8, Hex)| make(name, "bounds", about, number, hex);
    vec![
        bad("hello-no-version", "a hello that names no version", of(&Hello { versions: Vec::new(), ..hello() })),
        bad("hello-versions-falling", "versions out of order", of(&Hello { versions: vec![2, 1], ..hello() })),
        bad("hello-suite-twice", "a suite twice", of(&Hello { suites: vec![1, 1], ..hello() })),
        bad("chunk-empty", "a chunk of no bytes", of(&chunk(0))),
        bad("receipts-none", "a frame of no receipts", of(&Receipts { proofs: Vec::new(), ..receipts() })),
        bad("receipts-from-zero", "receipts count from 1", of(&Receipts { first: 0, ..receipts() })),
        bad("receipts-epoch", "receipts of epoch 0", of(&Receipts { epoch: Epoch(0), ..receipts() })),
        bad(
            "receipts-stored-epoch",
            "an acknowledgement of epoch 0",
            of(&ReceiptsStored { cursor: Cursor { epoch: Epoch(0), number: 13 } }),
        ),
        bad(
            "hello-cursor",
            "receipts that belong to no epoch",
            of(&Hello { receipts: Cursor { epoch: Epoch(0), number: 12 }, ..hello() }),
        ),
        bad(
            "refused-seal",
            "an envelope that was never sealed is refused",
            of(&Refused { envelope: EnvelopeKey { seal: SealNumber(0), ..envelope_key() }, ..refused() }),
        ),
        bad("receipts-number-last", "receipts whose numbers overflow", of(&Receipts { first: u64::MAX, ..receipts() })),
        bad(
            "receipt-without-event",
            "a proof of nothing",
            of(&Receipts { proofs: vec![LogProof { event: Vec::new(), ..proof() }], ..receipts() }),
        ),
        bad("public-get-empty", "a range of no leaves", of(&PublicGet { from: 3, until: 3 })),
        bad("public-get-reversed", "a range that ends before it begins", of(&PublicGet { from: 3, until: 2 })),
        bad(
            "public-event-long",
            "a leaf longer than any event",
            of(&PublicLog { events: vec![vec![0; 4097]], ..public_log() }),
        ),
        bad("checkpoint-none", "a frame of no checkpoints", of(&Checkpoint { notes: Vec::new() })),
        bad(
            "entry-get-many",
            "more digests than one frame may ask for",
            of(&EntryGet { root_version: 1, digests: vec![Digest([0; 32]); 65] }),
        ),
    ]
}
