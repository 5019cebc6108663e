//! Messages: those that XA's officers release, and those that XB seals for XA, honest or not.

use ncp_node::core::command::{Ask, PutUp, body_record, content_record};
use ncp_node::vault::StoredContent;
use ncp_protocol::body::{BodyCore, BodyDigest, BodySealer, ContentKey};
use ncp_protocol::codes::{Handling, Kind, Precedence, UrgentGround};
use ncp_protocol::envelope::{DraftMessage, SealedEnvelope};
use ncp_protocol::event::{Asked, Draft};
use ncp_protocol::header::{Header, SUITE};
use ncp_protocol::ids::{
    ConversationId, Digest, Epoch, MessageId, NetworkId, PairSequence, ParticipantId, Reference, SealNumber,
};
use ncp_protocol::keys::{Purpose, SigningKey, sha256};
use ncp_protocol::limits::{CHUNK_SEALED, LIFETIME_DEFAULT_MS, PROTOCOL_VERSION};
use ncp_protocol::manifest::{Manifest, Part};
use ncp_protocol::wrap::{SealingPublicKey, WrapContent, seal_wrap};
use ncp_store::bodies::{Begun, Expect, Start, UploadRequest};
use ncp_store::spool::Record;

use crate::world::{World, id, now};

fn random<const N: usize>() -> [u8; N] {
    ncp_node::clock::random()
}

fn manifest(network: NetworkId, from: ParticipantId, to: ParticipantId, part: &[u8]) -> Manifest {
    let message = MessageId::from_random(random());
    let number = u32::from_le_bytes(random()) % 900_000 + 1;
    Manifest {
        version: PROTOCOL_VERSION,
        network,
        message,
        reference: Reference::new(from, 2026, number).unwrap(),
        originator: from,
        recipients: vec![to],
        conversation: ConversationId(message),
        in_reply_to: None,
        kind: Kind::Notice,
        response_status: None,
        subject: "A vehicle".parse().unwrap(),
        subject_code: None,
        form: None,
        handling: Handling::H0,
        restriction: None,
        // So that it may be urgent.
        urgent_ground: Some(UrgentGround::LifeOrLimb),
        answer_by: None,
        also_sent_through: Vec::new(),
        reason: None,
        parts: vec![Part {
            name: "part".parse().unwrap(),
            media_type: "application/octet-stream".parse().unwrap(),
            length: part.len() as u64,
            sha256: sha256(part),
        }],
    }
}

fn seal_body(draft: &DraftMessage, cek: &ContentKey, part: &[u8]) -> (Vec<Vec<u8>>, BodyDigest) {
    let mut chunks = Vec::new();
    let mut out = |_, chunk| chunks.push(chunk);
    let mut sealer = draft.seal_body(cek, &mut out).unwrap();
    sealer.update(part, &mut out).unwrap();
    let digest = sealer.finish(&mut out).unwrap();
    (chunks, digest)
}

/// Puts up a notice to XB that needs no approval; returns its id and the sealed body.
pub(crate) async fn send(world: &World, part: &[u8]) -> (MessageId, Vec<Vec<u8>>) {
    let (put_up, chunks) = put_up(world, part);
    let message = put_up.draft.message;
    world.ask(Ask::PutUp(put_up)).await.unwrap();
    (message, chunks)
}

/// What is asked for such a notice, its body stored if it is a large one.
pub(crate) fn put_up(world: &World, part: &[u8]) -> (PutUp, Vec<Vec<u8>>) {
    let node = world.node();
    let manifest = manifest(world.network, id("XA"), id("XB"), part);
    let (message, reference) = (manifest.message, manifest.reference);
    let (r, cek) = (random(), ContentKey::from_bytes(&random()));
    let draft = DraftMessage::new(manifest, &r).unwrap();
    let (chunks, BodyDigest { root, length }) = seal_body(&draft, &cek, part);
    let content = StoredContent::received(cek, r, draft.manifest_bytes().to_vec());
    let body = match chunks.as_slice() {
        [only] => Some(Record { name: body_record(root), bytes: only.clone() }),
        _ => {
            store_body(world, message, &chunks, root, length);
            None
        }
    };
    let put_up = PutUp {
        draft: Draft {
            message,
            revision: 1,
            reference,
            conversation: ConversationId(message),
            in_reply_to: None,
            kind: Kind::Notice,
            response_status: None,
            reason: None,
            precedence: Precedence::Routine,
            handling: Handling::H0,
            recipients: vec![id("XB")],
            not_after: now().plus_millis(LIFETIME_DEFAULT_MS),
            answer_by: None,
            commitment: draft.commitment(),
            root,
            body_length: length,
            rule: "unjudged".parse().unwrap(),
            rules: Digest([0; 32]),
            asked: Asked { key: Digest(random()), request: Digest(random()) },
            approvals_needed: 0,
        },
        content: node.vault.seal_content(content_record(id("XA"), message, 1), &content),
        body,
        rules: node.settings().rules.clone(),
    };
    (put_up, chunks)
}

fn store_body(world: &World, message: MessageId, chunks: &[Vec<u8>], root: Digest, length: u64) {
    store_body_of(world, (id("XA"), message), chunks, root, length);
}

/// A body that came whole.
pub(crate) fn store_body_of(
    world: &World,
    (originator, message): (ParticipantId, MessageId),
    chunks: &[Vec<u8>],
    root: Digest,
    length: u64,
) {
    let own = id("XA");
    let request = UploadRequest {
        peer: if originator == own { own } else { ParticipantId::HUB },
        originator,
        message,
        expect: Expect::Root { root, length },
        start: Start::Afresh,
        now: now(),
        quota: u64::MAX,
    };
    let node = world.node();
    let Begun::Upload(mut upload) = node.reader().uploads().upload(&request).unwrap() else { panic!("there already") };
    for chunk in chunks {
        upload.append(chunk).unwrap();
    }
    upload.finish().unwrap();
}

/// A message of XB for XA, to be sealed as the test wants it.
pub(crate) struct Letter {
    pub(crate) header: Header,
    pub(crate) wrap: WrapContent,
    /// To which key the wrap is sealed.
    pub(crate) sealed_to: SealingPublicKey,
    pub(crate) signing: SigningKey,
    pub(crate) chunks: Vec<Vec<u8>>,
    cek: ContentKey,
    plain: Vec<u8>,
}

impl Letter {
    /// An honest one.
    pub(crate) fn new(world: &World, sequence: u64, part: &[u8]) -> Self {
        Self::saying(world, sequence, part, |_| {})
    }

    /// One whose manifest says something else than it should, under a commitment that opens.
    pub(crate) fn saying(world: &World, sequence: u64, part: &[u8], change: impl FnOnce(&mut Manifest)) -> Self {
        let mut manifest = manifest(world.network, id("XB"), id("XA"), part);
        let message = manifest.message;
        change(&mut manifest);
        let (r, cek) = (random::<32>(), ContentKey::from_bytes(&random()));
        let draft = DraftMessage::new(manifest, &r).unwrap();
        let mut plain = r.to_vec();
        plain.extend_from_slice(&u32::try_from(draft.manifest_bytes().len()).unwrap().to_le_bytes());
        plain.extend_from_slice(draft.manifest_bytes());
        plain.extend_from_slice(part);
        let core = BodyCore { network: world.network, suite: SUITE, originator: id("XB"), message };
        let (chunks, body) = seal_plain(&core, &cek, &plain);
        let sealing = world.xa.sealing().public();
        let created = now();
        Self {
            header: Header {
                version: PROTOCOL_VERSION,
                suite: SUITE,
                network: world.network,
                message,
                seal: SealNumber(1),
                originator: id("XB"),
                originator_key: world.xb.signing.verifying_key().id(),
                recipient: id("XA"),
                recipient_key: sealing.id(),
                precedence: Precedence::Routine,
                created,
                not_after: created.plus_millis(LIFETIME_DEFAULT_MS),
                body_length: body.length,
                ciphertext_root: body.root,
                content_commitment: draft.commitment(),
                wrap_digest: Digest([0; 32]),
            },
            wrap: WrapContent {
                cek: cek.clone(),
                pair_epoch: Epoch(1),
                pair_sequence: PairSequence(sequence),
                floor: PairSequence(sequence),
                voided: Vec::new(),
                public_size: 0,
                public_root: Digest([0; 32]),
            },
            sealed_to: sealing,
            signing: world.xb.signing.clone(),
            chunks,
            cek,
            plain,
        }
    }

    /// Changes the plaintext behind the manifest and seals the body anew.
    pub(crate) fn with_plain(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.plain);
        let Header { network, suite, originator, message, .. } = self.header;
        let (chunks, body) = seal_plain(&BodyCore { network, suite, originator, message }, &self.cek, &self.plain);
        self.chunks = chunks;
        (self.header.ciphertext_root, self.header.body_length) = (body.root, body.length);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Signs what there is.
    pub(crate) fn seal(&self) -> SealedEnvelope {
        let mut header = self.header.clone();
        let wrap = seal_wrap(&self.sealed_to, &header.network, &header.core_hash(), &self.wrap, &random()).unwrap();
        header.wrap_digest = wrap.digest();
        let header_bytes = header.encode();
        let signature = self.signing.sign(Purpose::Header, &header.network, &header_bytes);
        SealedEnvelope { header_bytes, signature, wrap }
    }
}

fn seal_plain(core: &BodyCore, cek: &ContentKey, plain: &[u8]) -> (Vec<Vec<u8>>, BodyDigest) {
    let mut chunks = Vec::new();
    let mut out = |_, chunk| chunks.push(chunk);
    let mut sealer = BodySealer::new(core, cek, plain.len() as u64).unwrap();
    sealer.update(plain, &mut out).unwrap();
    let digest = sealer.finish(&mut out).unwrap();
    (chunks, digest)
}

/// So many bytes that a body of them has more than `chunks` chunks.
pub(crate) fn part_of(chunks: usize) -> Vec<u8> {
    (0..chunks * CHUNK_SEALED).map(|place| u8::try_from(place % 251).unwrap()).collect()
}
