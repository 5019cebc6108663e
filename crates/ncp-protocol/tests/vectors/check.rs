//! What a vector's bytes lead to: the same bytes, encoded again, or the class of the failure.

use std::fmt::Debug;

use ncp_protocol::approval::ApprovalStatement;
use ncp_protocol::body::open::BodyOpener;
use ncp_protocol::body::{BodyCore, BodySealer, ContentKey};
use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::directory::accept::{accept_membership, accept_timestamp};
use ncp_protocol::directory::{Chain, Fingerprint, SignedEntry, SignedMembership, SignedTimestamp};
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::envelope::open::OpenBodyError;
use ncp_protocol::event::Event;
use ncp_protocol::evidence;
use ncp_protocol::frame::Frame;
use ncp_protocol::header::{Header, SUITE};
use ncp_protocol::ids::{Epoch, LogOrigin, NetworkId, UnixMillis, parse_hex};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::limits::CHUNK_SEALED;
use ncp_protocol::manifest::Manifest;
use ncp_protocol::proof::LogProof;
use ncp_protocol::root::{SignedRoot, TrustedRoot};
use ncp_protocol::wrap::{SealingKey, Wrap, open_wrap, seal_wrap};

use crate::scenario::Vector;

type Outcome = Result<Vec<u8>, String>;

/// The failure class of an error: its variants' names from the outside in.
fn class(error: impl Debug) -> String {
    let shown = format!("{error:?}");
    let name: &str = shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let kebab = name.chars().enumerate().fold(String::new(), |mut kebab, (index, c)| {
        if c.is_ascii_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.push(c.to_ascii_lowercase());
        kebab
    });
    match shown.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')) {
        Some(inner) if inner.starts_with(|c: char| c.is_ascii_uppercase()) => {
            format!("{kebab}.{}", class(Shown(inner)))
        }
        Some(_) | None => kebab,
    }
}

/// Text that is its own `Debug`.
struct Shown<'a>(&'a str);

impl Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

pub(crate) fn outcome(vector: &Vector) -> Outcome {
    let bytes = vector.block("bytes");
    match vector.field("type") {
        "header" => Header::decode(bytes).map(|header| header.encode()).map_err(class),
        "manifest" => Manifest::decode(bytes).map(|manifest| manifest.encode()).map_err(class),
        "event" => Event::decode(bytes).map(|event| event.encode()).map_err(class),
        "approval" => ApprovalStatement::decode(bytes).map(|statement| statement.encode()).map_err(class),
        "entry" => SignedEntry::decode(bytes).map(|entry| entry.encode()).map_err(class),
        "frame" => frame(vector, bytes),
        "envelope" => envelope(vector, bytes),
        "message" => message(vector, bytes),
        "wrap" => wrap(vector, bytes),
        "body" => body(vector, bytes),
        "chain" => chain(vector, bytes),
        "root" => root(vector, bytes),
        "timestamp" => timestamp(vector, bytes),
        "membership" => membership(vector, bytes),
        "checkpoint" => checkpoint(vector, bytes),
        "evidence" => evidence(vector, bytes),
        other => panic!("unknown type {other}"),
    }
}

fn public_key(vector: &Vector, field: &str) -> VerifyingKey {
    VerifyingKey::from_bytes(&parse_hex(vector.field(field)).expect("32 bytes")).expect("a key")
}

fn frame(vector: &Vector, bytes: &[u8]) -> Outcome {
    let number = vector.parsed("kind");
    let frame = Frame::decode(number, bytes).map_err(class)?;
    let (encoded_number, payload) = frame.encode();
    assert_eq!(encoded_number, number);
    Ok(payload)
}

fn envelope(vector: &Vector, bytes: &[u8]) -> Outcome {
    let envelope = SealedEnvelope::decode(bytes).map_err(|error| format!("decode.{}", class(error)))?;
    let (network, originator) = (vector.parsed("network"), vector.parsed("originator"));
    envelope.verify(&network, &originator, &public_key(vector, "key")).map_err(class)?;
    Ok(envelope.encode())
}

fn message(vector: &Vector, bytes: &[u8]) -> Outcome {
    let envelope = SealedEnvelope::decode(bytes).expect("decodes");
    let (network, originator) = (vector.parsed("network"), vector.parsed("originator"));
    let verified = envelope.verify(&network, &originator, &public_key(vector, "key")).expect("verifies");
    let key = SealingKey::from_seed(&parse_hex(vector.field("sealing-seed")).expect("32 bytes"));
    let opened = verified.open(&vector.parsed("recipient"), &key).map_err(class)?;
    let mut chunks = vector.block("body").chunks(CHUNK_SEALED);
    let read = |_: u64| chunks.next().map(<[u8]>::to_vec).ok_or(());
    match opened.open_body(read) {
        Ok(_) => Ok(envelope.encode()),
        Err(OpenBodyError::Open(error)) => Err(class(error)),
        Err(OpenBodyError::Read(())) => Err("incomplete".to_owned()),
    }
}

fn wrap(vector: &Vector, bytes: &[u8]) -> Outcome {
    let wrap = Wrap::from_bytes(bytes).ok_or("length")?;
    let key = SealingKey::from_seed(&parse_hex(vector.field("sealing-seed")).expect("32 bytes"));
    let (network, core) = (vector.parsed("network"), vector.parsed("core-hash"));
    let content = open_wrap(&key, &network, &core, &wrap).map_err(class)?;
    let seed = parse_hex(vector.field("encapsulation-seed")).expect("64 bytes");
    Ok(seal_wrap(&key.public(), &network, &core, &content, &seed).expect("seals").as_bytes().to_vec())
}

fn body(vector: &Vector, bytes: &[u8]) -> Outcome {
    let core = BodyCore {
        network: vector.parsed("network"),
        suite: SUITE,
        originator: vector.parsed("originator"),
        message: vector.parsed("message"),
    };
    let cek = ContentKey::from_bytes(&parse_hex(vector.field("content-key")).expect("32 bytes"));
    let opener = BodyOpener::new(&core, &cek, bytes.len() as u64).map_err(class)?;
    let mut plain = Vec::new();
    for (index, chunk) in (0..).zip(bytes.chunks(CHUNK_SEALED)) {
        plain.extend_from_slice(&opener.open_chunk(index, chunk.to_vec()).map_err(class)?);
    }
    let mut sealed = Vec::new();
    let mut out = |_: u64, chunk: Vec<u8>| sealed.extend_from_slice(&chunk);
    let mut sealer = BodySealer::new(&core, &cek, plain.len() as u64).expect("short");
    sealer.update(&plain, &mut out).expect("as declared");
    sealer.finish(&mut out).expect("as declared");
    Ok(sealed)
}

fn chain(vector: &Vector, bytes: &[u8]) -> Outcome {
    let network: NetworkId = vector.parsed("network");
    let offered = SignedEntry::decode(bytes).map_err(|error| format!("entry.{}", class(error)))?;
    let pin: Fingerprint = vector.parsed("pin");
    let Some(first) = vector.optional_block("before") else {
        return Chain::first(&network, &pin, &offered).map(|chain| chain.signed().encode()).map_err(class);
    };
    let chain = Chain::first(&network, &pin, &SignedEntry::decode(first).expect("decodes")).expect("a first entry");
    chain.next(&offered).map(|chain| chain.signed().encode()).map_err(class)
}

fn trusted(bytes: &[u8]) -> TrustedRoot {
    SignedRoot::decode(bytes).expect("decodes").verify_first().expect("a first version")
}

fn root(vector: &Vector, bytes: &[u8]) -> Outcome {
    let root = SignedRoot::decode(bytes).map_err(class)?;
    let verified = match vector.optional_block("before") {
        Some(before) => root.verify_next(&trusted(before)),
        None => root.verify_first(),
    };
    verified.map(|_| root.encode()).map_err(class)
}

fn timestamp(vector: &Vector, bytes: &[u8]) -> Outcome {
    let (root, now) = (trusted(vector.block("root")), UnixMillis(vector.parsed("now")));
    let seen = vector.optional_block("seen").map(|seen| *SignedTimestamp::decode(seen).expect("decodes").unverified());
    let offered = SignedTimestamp::decode(bytes).map_err(class)?;
    accept_timestamp(&root, seen.as_ref(), &offered, now).map(|_| offered.encode()).map_err(class)
}

fn membership(vector: &Vector, bytes: &[u8]) -> Outcome {
    let (root, now) = (trusted(vector.block("root")), UnixMillis(vector.parsed("now")));
    let timestamp = *SignedTimestamp::decode(vector.block("timestamp")).expect("decodes").unverified();
    let seen =
        vector.optional_block("seen").map(|seen| SignedMembership::decode(seen).expect("decodes").unverified().clone());
    let offered = SignedMembership::decode(bytes).map_err(class)?;
    accept_membership(&root, &timestamp, seen.as_ref(), &offered, now).map(|_| offered.encode()).map_err(class)
}

fn log_origin(vector: &Vector) -> LogOrigin {
    LogOrigin {
        network: vector.parsed("network"),
        participant: vector.parsed("participant"),
        log: vector.parsed("log"),
        epoch: Epoch(vector.parsed("epoch")),
    }
}

fn checkpoint(vector: &Vector, bytes: &[u8]) -> Outcome {
    let note = std::str::from_utf8(bytes).map_err(|_| "utf8")?;
    let opened = SignedCheckpoint::open(note, &log_origin(vector), &public_key(vector, "key")).map_err(class)?;
    Ok(opened.note().as_bytes().to_vec())
}

fn evidence(vector: &Vector, bytes: &[u8]) -> Outcome {
    let text = std::str::from_utf8(bytes).map_err(|_| "utf8")?;
    let proof = LogProof::parse(text).map_err(|error| format!("parse.{}", class(error)))?;
    let verified = evidence::verify(&proof, &log_origin(vector), &public_key(vector, "key")).map_err(class)?;
    if vector.optional("not-after").is_some() {
        let not_after = UnixMillis(vector.parsed("not-after"));
        let (envelope, header) = (crate::fixtures::envelope_key(), vector.parsed("header"));
        verified.matches(&envelope, &header, not_after).map_err(class)?;
    }
    Ok(proof.to_string().into_bytes())
}
