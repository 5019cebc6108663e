//! What is sealed or signed as a whole: envelope, wrap, body, and the message that they make.

use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, MessageId, hex};
use ncp_protocol::limits::XWING_ENCAPSULATION;
use ncp_protocol::manifest::{Manifest, content_commitment};

use crate::annotate::Hex;
use crate::fixtures::{
    CEK, NETWORK, OTHER_NETWORK, PART, R, SEALING, SIGNING, header, header_over, key, manifest, message_id,
    participant, plaintext, public_hex, seal, seal_body,
};
use crate::scenario::Scenario;

pub(super) fn all() -> Vec<Scenario> {
    [envelopes(), wraps(), bodies(), messages()].into_iter().flatten().collect()
}

/// An envelope with its header field by field.
fn hex_of(envelope: &SealedEnvelope, header: &Header) -> Hex {
    let prefix = Hex::raw("prefix of the envelope", b"NCPV\x01\0\0\0".to_vec());
    let wrap = envelope.wrap.as_bytes();
    let inner = Hex::prefixed(b'H', header);
    assert_eq!(inner.bytes(), envelope.header_bytes);
    prefix
        .then(inner.nested("header"))
        .and("signature", "", envelope.signature.0.to_vec())
        .and("wrap, encapsulation", "", wrap[..XWING_ENCAPSULATION].to_vec())
        .and("wrap, sealed content", "", wrap[XWING_ENCAPSULATION..].to_vec())
}

fn good() -> SealedEnvelope {
    seal(header_over(&seal_body(&plaintext(&manifest())).0), SIGNING)
}

fn read(envelope: &SealedEnvelope) -> Header {
    envelope.unverified_header().expect("a good header")
}

fn envelopes() -> Vec<Scenario> {
    let make = |name, expect, about, hex| {
        Scenario::new("envelope", name, expect, about)
            .with("network", NETWORK)
            .with("originator", "XA")
            .with("key", public_hex(SIGNING))
            .bytes(hex)
    };
    let bare = |name, expect, about| Scenario::new("envelope", name, expect, about);
    let hex = || hex_of(&good(), &header());
    let over = || header_over(&seal_body(&plaintext(&manifest())).0);
    let forged = seal(over(), 66);
    let unknown = seal(Header { originator_key: key(66).verifying_key().id(), ..over() }, 66);
    vec![
        make("good", "ok", "an envelope as its originator signed it", hex()),
        make("signature", "signature", "one bit of the signature differs", hex().flip("signature")),
        make("header-altered", "signature", "not-after was moved after signing", hex().flip("not_after")),
        make(
            "commitment-altered",
            "signature",
            "the content commitment was exchanged",
            hex().flip("content_commitment"),
        ),
        make(
            "recipient-altered",
            "signature",
            "the envelope was turned to another recipient",
            hex().set("recipient", *b"XC\0\0\0\0\0\0"),
        ),
        make("wrap-altered", "wrap", "one bit of the wrap differs", hex().flip("wrap, sealed content")),
        make(
            "encapsulation-altered",
            "wrap",
            "one bit of the encapsulation differs",
            hex().flip("wrap, encapsulation"),
        ),
        make("wrap-short", "decode.malformed", "the wrap lacks its last byte", hex().cut()),
        make("trailing", "decode.malformed", "a byte follows the wrap", hex().trailing()),
        make(
            "header-endless",
            "decode.malformed",
            "a header that claims 4 GiB",
            hex().set("header.length", (4u64 << 30).to_le_bytes()),
        ),
        make(
            "forged",
            "signature",
            "signed with another key than the one that the header names",
            hex_of(&forged, &read(&forged)),
        ),
        make("unknown-key", "key-id", "names a key that the directory does not", hex_of(&unknown, &read(&unknown))),
        bare("other-network", "network", "an envelope of another network")
            .with("network", OTHER_NETWORK)
            .with("originator", "XA")
            .with("key", public_hex(SIGNING))
            .bytes(hex()),
        bare("other-originator", "originator", "the link's peer is another participant")
            .with("network", NETWORK)
            .with("originator", "XD")
            .with("key", public_hex(SIGNING))
            .bytes(hex()),
    ]
}

fn wraps() -> Vec<Scenario> {
    let core = header().core_hash();
    let make = |name, expect, about, network, core: Digest, seed: u8, bytes: Vec<u8>| {
        let (encapsulation, content) = bytes.split_at(XWING_ENCAPSULATION.min(bytes.len()));
        let bytes = Hex::raw("encapsulation", encapsulation.to_vec()).and("sealed content", "", content.to_vec());
        Scenario::new("wrap", name, expect, about)
            .with("network", network)
            .with("core-hash", core)
            .with("sealing-seed", hex(&[seed; 32]))
            .with("encapsulation-seed", hex(&[0x77; 64]))
            .bytes(bytes)
    };
    let wrap = || good().wrap.as_bytes().to_vec();
    let changed = |at: usize| {
        let mut bytes = wrap();
        bytes[at] ^= 1;
        bytes
    };
    vec![
        make("good", "ok", "a wrap with a voided range", NETWORK, core, SEALING, wrap()),
        make(
            "other-header",
            "sealed",
            "the wrap stands beside another header",
            NETWORK,
            Digest([1; 32]),
            SEALING,
            wrap(),
        ),
        make("other-network", "sealed", "the wrap of another network", OTHER_NETWORK, core, SEALING, wrap()),
        make("other-key", "sealed", "opened with another recipient's key", NETWORK, core, SEALING + 1, wrap()),
        make(
            "ml-kem-altered",
            "sealed",
            "one bit of the ML-KEM ciphertext differs",
            NETWORK,
            core,
            SEALING,
            changed(0),
        ),
        make("x25519-altered", "sealed", "one bit of the X25519 share differs", NETWORK, core, SEALING, changed(1_100)),
        make(
            "content-altered",
            "sealed",
            "one bit of the sealed content differs",
            NETWORK,
            core,
            SEALING,
            changed(1_200),
        ),
        make("tag-altered", "sealed", "one bit of the tag differs", NETWORK, core, SEALING, changed(1_391)),
        make("short", "length", "a byte is missing", NETWORK, core, SEALING, wrap()[1..].to_vec()),
    ]
}

fn bodies() -> Vec<Scenario> {
    let make = |name, expect, about, message: MessageId, cek: [u8; 32], bytes: Vec<u8>| {
        Scenario::new("body", name, expect, about)
            .with("network", NETWORK)
            .with("originator", "XA")
            .with("message", message)
            .with("content-key", hex(&cek))
            .bytes(Hex::raw("one sealed chunk", bytes))
    };
    let body = || seal_body(&plaintext(&manifest())).1;
    let changed = |at: usize| {
        let mut bytes = body();
        bytes[at] ^= 1;
        bytes
    };
    let another = MessageId::from_random([9; 16]);
    vec![
        make("smallest-bucket", "ok", "the smallest body: one chunk of 4 KiB and its tag", message_id(), CEK, body()),
        make("chunk-altered", "sealed", "one bit of the ciphertext differs", message_id(), CEK, changed(100)),
        make("tag-altered", "sealed", "one bit of the tag differs", message_id(), CEK, changed(4_111)),
        make("other-key", "sealed", "another content key", message_id(), [1; 32], body()),
        make("other-message", "sealed", "the body of another message", another, CEK, body()),
        make("short", "outside", "a length that no body has", message_id(), CEK, body()[..4_111].to_vec()),
    ]
}

/// A message as a lying originator could make it: any plaintext, any change to the header, all signed and sealed well.
fn message(
    name: &'static str,
    expect: &'static str,
    about: &'static str,
    plaintext: &[u8],
    change: impl FnOnce(&mut Header),
) -> Scenario {
    let (digest, body) = seal_body(plaintext);
    let mut header = header_over(&digest);
    change(&mut header);
    let envelope = seal(header, SIGNING);
    around(name, expect, about, &envelope, "XB", SEALING, body)
}

fn around(
    name: &'static str,
    expect: &'static str,
    about: &'static str,
    envelope: &SealedEnvelope,
    recipient: &str,
    seed: u8,
    body: Vec<u8>,
) -> Scenario {
    Scenario::new("message", name, expect, about)
        .with("network", NETWORK)
        .with("originator", "XA")
        .with("key", public_hex(SIGNING))
        .with("recipient", recipient)
        .with("sealing-seed", hex(&[seed; 32]))
        .bytes(hex_of(envelope, &read(envelope)))
        .block("body", Hex::raw("one sealed chunk", body))
}

fn commitment_of(plaintext: &[u8], manifest: &[u8]) -> Digest {
    let r: &[u8; 32] = plaintext.first_chunk().expect("r");
    content_commitment(&NETWORK, r, manifest)
}

fn messages() -> Vec<Scenario> {
    let good_plain = || plaintext(&manifest());
    let (digest, body) = seal_body(&good_plain());
    let envelope = || seal(header_over(&digest), SIGNING);
    let mut altered = body.clone();
    altered[0] ^= 1;
    let of = |manifest: &Manifest| (plaintext(manifest), content_commitment(&NETWORK, &R, &manifest.encode()));
    let (unsorted_plain, unsorted) =
        of(&Manifest { recipients: vec![participant("XC"), participant("XB")], ..manifest() });
    let (others_plain, others) = of(&Manifest { recipients: vec![participant("XC")], ..manifest() });
    let (foreign_plain, foreign) = of(&Manifest { message: MessageId::from_random([9; 16]), ..manifest() });
    let mut other_r = good_plain();
    other_r[0] ^= 1;
    let mut other_part = good_plain();
    let last = other_part.len() - 1;
    other_part[last] ^= 1;
    let mut padded = good_plain();
    padded.resize(4_095, 0);
    padded.push(1);
    let mut layout = good_plain();
    layout[32..36].copy_from_slice(&5_000u32.to_le_bytes());
    let mut moved = good_plain();
    moved.drain(moved.len() - PART.len()..);
    let shorter = u32::try_from(manifest().encode().len() - 1).expect("short").to_le_bytes();
    moved[32..36].copy_from_slice(&shorter);
    let cut = manifest().encode()[..manifest().encode().len() - 1].to_vec();
    let moved_commitment = commitment_of(&moved, &cut);
    vec![
        message("good", "ok", "an envelope and its body, opened by the recipient", &good_plain(), |_| {}),
        around("other-recipient", "recipient", "opened by another recipient", &envelope(), "XC", SEALING, body.clone()),
        around(
            "other-key",
            "key-id",
            "opened with a key that the header does not name",
            &envelope(),
            "XB",
            SEALING + 1,
            body.clone(),
        ),
        around("chunk-altered", "chunk.sealed", "one bit of the body differs", &envelope(), "XB", SEALING, altered),
        around("body-missing", "incomplete", "the body did not come", &envelope(), "XB", SEALING, Vec::new()),
        message("root", "root", "the header names another ciphertext root", &good_plain(), |header| {
            header.ciphertext_root = Digest([1; 32])
        }),
        message("commitment", "commitment", "the header commits to other content", &good_plain(), |header| {
            header.content_commitment = Digest([1; 32])
        }),
        message("commitment-r", "commitment", "the body holds another r", &other_r, |_| {}),
        message("layout", "layout", "a manifest that is longer than the body", &layout, |_| {}),
        message("part", "part.part-mismatch", "a part is not what the manifest says", &other_part, |_| {}),
        message("padding", "padding", "the padding is not zero", &padded, |_| {}),
        message("manifest-rule", "manifest.recipients", "the manifest breaks a rule", &unsorted_plain, |header| {
            header.content_commitment = unsorted
        }),
        message("manifest-cut", "manifest.decode.malformed", "the manifest lacks its last byte", &moved, |header| {
            header.content_commitment = moved_commitment
        }),
        message(
            "not-a-recipient",
            "names",
            "the manifest does not name the recipient: stealthy forwarding",
            &others_plain,
            |header| header.content_commitment = others,
        ),
        message("other-message", "names", "the manifest is another message's", &foreign_plain, |header| {
            header.content_commitment = foreign
        }),
        message(
            "urgent-without-ground",
            "urgent-ground",
            "urgent, and the manifest names no ground",
            &good_plain(),
            |header| header.precedence = ncp_protocol::codes::Precedence::Urgent,
        ),
    ]
}
