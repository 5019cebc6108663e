//! Keys and values that the cases share. All come from fixed seeds, so that the files never differ.

use ncp_protocol::body::{BodyDigest, BodySealer, ContentKey};
use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::codes::{Handling, Kind, Precedence};
use ncp_protocol::directory::{Entry, EntryKeys, LogKey, SealingEntryKey, ValidKey};
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, Outcome};
use ncp_protocol::header::{Header, SUITE};
use ncp_protocol::ids::{
    ConversationId, Digest, Epoch, KeyId, LogName, LogOrigin, MessageId, NetworkId, PairSequence, ParticipantId,
    Reference, SealNumber, UnixMillis,
};
use ncp_protocol::keys::{Purpose, SigningKey, sha256};
use ncp_protocol::limits::{DAY_MS, OPEN_AFTER_SEAL_MS, PROTOCOL_VERSION};
use ncp_protocol::manifest::{Manifest, Part, content_commitment};
use ncp_protocol::merkle::{leaf_hash, node_hash};
use ncp_protocol::proof::LogProof;
use ncp_protocol::wrap::{SealingKey, WrapContent, seal_wrap};

pub(crate) const NETWORK: NetworkId = NetworkId(Digest([0x4e; 32]));
pub(crate) const OTHER_NETWORK: NetworkId = NetworkId(Digest([0x4f; 32]));
/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const SIGNING: u8 = 3;
pub(crate) const SEALING: u8 = 21;

pub(crate) fn participant(name: &str) -> ParticipantId {
    name.parse().expect("a participant")
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

pub(crate) fn public_hex(number: u8) -> String {
    ncp_protocol::ids::hex(&key(number).verifying_key().to_bytes())
}

pub(crate) fn sealing_key(number: u8) -> SealingKey {
    SealingKey::from_seed(&[number; 32])
}

pub(crate) fn message_id() -> MessageId {
    MessageId::from_random([0x5a; 16])
}

pub(crate) fn manifest() -> Manifest {
    let text = b"A grey van crossed at 04:10.";
    Manifest {
        version: PROTOCOL_VERSION,
        network: NETWORK,
        message: message_id(),
        reference: Reference::new(participant("XA"), 2027, 417).expect("a reference"),
        originator: participant("XA"),
        recipients: vec![participant("XB"), participant("XC")],
        conversation: ConversationId(message_id()),
        in_reply_to: None,
        kind: Kind::Request,
        response_status: None,
        subject: "Vehicle at the border".parse().expect("a subject"),
        subject_code: Some("vehicle".parse().expect("a code")),
        form: None,
        handling: Handling::H1,
        restriction: None,
        urgent_ground: None,
        answer_by: Some(NOW.plus_millis(7 * DAY_MS)),
        also_sent_through: Vec::new(),
        reason: None,
        parts: vec![Part {
            name: "request.txt".parse().expect("a name"),
            media_type: "text/plain".parse().expect("a media type"),
            length: text.len() as u64,
            sha256: sha256(text),
        }],
    }
}

pub(crate) const PART: &[u8] = b"A grey van crossed at 04:10.";
pub(crate) const R: [u8; 32] = [0x52; 32];
pub(crate) const CEK: [u8; 32] = [0x43; 32];

/// `r`, length of the manifest, manifest, parts.
pub(crate) fn plaintext(manifest: &Manifest) -> Vec<u8> {
    let encoded = manifest.encode();
    let length = u32::try_from(encoded.len()).expect("short").to_le_bytes();
    [R.as_slice(), &length, &encoded, PART].concat()
}

/// A body of one chunk over any plaintext.
pub(crate) fn seal_body(plaintext: &[u8]) -> (BodyDigest, Vec<u8>) {
    let core = ncp_protocol::body::BodyCore {
        network: NETWORK,
        suite: SUITE,
        originator: participant("XA"),
        message: message_id(),
    };
    let mut body = Vec::new();
    let mut out = |_: u64, sealed: Vec<u8>| body.extend_from_slice(&sealed);
    let length = plaintext.len() as u64;
    let mut sealer = BodySealer::new(&core, &ContentKey::from_bytes(&CEK), length).expect("short");
    sealer.update(plaintext, &mut out).expect("as declared");
    let digest = sealer.finish(&mut out).expect("as declared");
    (digest, body)
}

pub(crate) fn wrap_content() -> WrapContent {
    WrapContent {
        cek: ContentKey::from_bytes(&CEK),
        pair_epoch: Epoch(1),
        pair_sequence: PairSequence(12),
        floor: PairSequence(9),
        voided: vec![(PairSequence(10), PairSequence(11))],
        public_size: 40,
        public_root: Digest([0x40; 32]),
    }
}

/// A header for XB over a body of this message; the wrap digest is not filled in.
pub(crate) fn header_over(body: &BodyDigest) -> Header {
    Header {
        version: PROTOCOL_VERSION,
        suite: SUITE,
        network: NETWORK,
        message: message_id(),
        seal: SealNumber(1),
        originator: participant("XA"),
        originator_key: key(SIGNING).verifying_key().id(),
        recipient: participant("XB"),
        recipient_key: sealing_key(SEALING).public().id(),
        precedence: Precedence::Routine,
        created: NOW,
        not_after: NOW.plus_millis(5 * DAY_MS),
        body_length: body.length,
        ciphertext_root: body.root,
        content_commitment: content_commitment(&NETWORK, &R, &manifest().encode()),
        wrap_digest: Digest([0; 32]),
    }
}

/// Wraps and signs a header, also one that breaks a rule.
pub(crate) fn seal(mut header: Header, by: u8) -> SealedEnvelope {
    let public = sealing_key(SEALING).public();
    let wrap = seal_wrap(&public, &NETWORK, &header.core_hash(), &wrap_content(), &[0x77; 64]).expect("a good content");
    header.wrap_digest = wrap.digest();
    let header_bytes = header.encode();
    let signature = key(by).sign(Purpose::Header, &NETWORK, &header_bytes);
    SealedEnvelope { header_bytes, signature, wrap }
}

pub(crate) fn header() -> Header {
    let envelope = seal(header_over(&seal_body(&plaintext(&manifest())).0), SIGNING);
    Header::decode(&envelope.header_bytes).expect("a good header")
}

fn sealing_entry(number: u8) -> SealingEntryKey {
    let seal_until = NOW.plus_millis(80 * DAY_MS);
    SealingEntryKey {
        public: sealing_key(number).public(),
        seal_until,
        open_until: seal_until.plus_millis(OPEN_AFTER_SEAL_MS),
    }
}

pub(crate) fn log_key(log: LogName, epoch: u32, number: u8) -> LogKey {
    LogKey { log, epoch: Epoch(epoch), key: key(number).verifying_key() }
}

/// The first entry of XA: identity key 1, recovery key 2.
pub(crate) fn entry() -> Entry {
    let public = |number| key(number).verifying_key();
    Entry {
        network: NETWORK,
        participant: participant("XA"),
        version: 0,
        previous: None,
        created: NOW,
        keys: EntryKeys {
            identity: public(1),
            recovery: public(2),
            signing: Some(ValidKey { key: public(SIGNING), from: NOW, until: NOW.plus_millis(365 * DAY_MS) }),
            sealing: vec![sealing_entry(SEALING)],
            logs: vec![log_key(LogName::Node, 1, 4)],
            witness: public(5),
            timestamp: None,
            tls: vec![KeyId(Digest([0x71; 32]))],
        },
        suite_floor: 1,
    }
}

pub(crate) fn hub_entry() -> Entry {
    let logs = vec![log_key(LogName::Traffic, 1, 14), log_key(LogName::Public, 1, 15)];
    let timestamp = Some(key(16).verifying_key());
    let keys = EntryKeys { signing: None, sealing: Vec::new(), logs, timestamp, ..entry().keys };
    Entry { participant: ParticipantId::HUB, keys, ..entry() }
}

pub(crate) fn origin(name: &str, log: LogName) -> LogOrigin {
    LogOrigin { network: NETWORK, participant: participant(name), log, epoch: Epoch(1) }
}

pub(crate) fn envelope_key() -> EnvelopeKey {
    let (originator, recipient) = (participant("XA"), participant("XB"));
    EnvelopeKey { originator, message: message_id(), recipient, seal: SealNumber(1) }
}

pub(crate) const LOG: u8 = 14;

pub(crate) fn claim(origin: LogOrigin, kind: EvidenceKind, outcome: Outcome) -> Claim {
    let key = key(LOG).verifying_key().id();
    Claim { origin, key, kind, envelope: envelope_key(), header: Digest([0x48; 32]), outcome }
}

pub(crate) fn event(log: LogName, change: Change) -> Event {
    Event { log, time: NOW, actor: Actor::Daemon, salt: [0x53; 16], change }
}

/// A proof that the event is the second of three leaves.
pub(crate) fn prove(origin: &LogOrigin, event: &[u8]) -> LogProof {
    let (left, right) = (leaf_hash(b"first"), leaf_hash(b"third"));
    let root = node_hash(&node_hash(&left, &leaf_hash(event)), &right);
    let checkpoint = Checkpoint { origin: origin.to_string(), size: 3, root }.sign(&key(LOG));
    LogProof {
        event: event.to_vec(),
        index: 1,
        hashes: vec![left, right],
        checkpoint_note: checkpoint.note().to_owned(),
    }
}
