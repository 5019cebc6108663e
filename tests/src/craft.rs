//! Envelopes made by hand with a participant's real keys, true or false in one place.

use core::sync::atomic::{AtomicU64, Ordering};

use ncp_api::TEXT_PART;
use ncp_protocol::body::ContentKey;
use ncp_protocol::codes::{Handling, Kind, Precedence};
use ncp_protocol::directory::Entry;
use ncp_protocol::envelope::{DraftMessage, SealTo, SealedEnvelope};
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::header::Header;
use ncp_protocol::ids::{
    ConversationId, Digest, Epoch, MessageId, PairSequence, ParticipantId, Reference, SealNumber, UnixMillis,
};
use ncp_protocol::keys::{Purpose, SigningKey, sha256};
use ncp_protocol::limits::{DAY_MS, PROTOCOL_VERSION};
use ncp_protocol::manifest::{Manifest, Part};
use ncp_protocol::wrap::{SealingPublicKey, Wrap, WrapContent, seal_wrap};

use crate::material::Material;
use crate::{now, random};

/// A message to one recipient, before it is sealed. Members may be changed.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What the recipient is to read.
    pub manifest: Manifest,
    /// Content of its one part.
    pub part: Vec<u8>,
    /// To whom the envelope is sealed.
    pub recipient: ParticipantId,
    /// The recipient's sealing key.
    pub recipient_key: SealingPublicKey,
    /// Signs the header.
    pub signing: SigningKey,
    /// Which sealing.
    pub seal: SealNumber,
    /// When it was released.
    pub created: UnixMillis,
    /// When it expires.
    pub not_after: UnixMillis,
    /// Order of service.
    pub precedence: Precedence,
    sequence: u64,
    cek: [u8; 32],
    r: [u8; 32],
}

/// A sealed envelope with its body.
#[derive(Debug, Clone)]
pub struct Crafted {
    /// The envelope.
    pub envelope: SealedEnvelope,
    /// The sealed chunks of its body.
    pub chunks: Vec<Vec<u8>>,
}

/// Numbers of references and of pairs: each once in a test executable.
static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Letter {
    /// An honest notice.
    ///
    /// # Panics
    /// If the recipient has no sealing key.
    #[must_use]
    pub fn new(from: &Material, to: &Entry, part: &[u8]) -> Self {
        let sequence = NUMBER.fetch_add(1, Ordering::Relaxed);
        let message = MessageId::from_random(random());
        let number = u32::try_from(sequence).expect("few messages");
        let manifest = Manifest {
            version: PROTOCOL_VERSION,
            network: from.network,
            message,
            reference: Reference::new(from.participant, 2026, 900_000 + number).expect("a reference"),
            originator: from.participant,
            recipients: vec![to.participant],
            conversation: ConversationId(message),
            in_reply_to: None,
            kind: Kind::Notice,
            response_status: None,
            subject: "by hand".parse().expect("a subject"),
            subject_code: None,
            form: None,
            handling: Handling::H0,
            restriction: None,
            urgent_ground: None,
            answer_by: None,
            also_sent_through: Vec::new(),
            reason: None,
            parts: vec![Part {
                name: TEXT_PART.parse().expect("a name"),
                media_type: "text/plain".parse().expect("a media type"),
                length: part.len() as u64,
                sha256: sha256(part),
            }],
        };
        let created = now();
        Self {
            manifest,
            part: part.to_vec(),
            recipient: to.participant,
            recipient_key: to.sealing_key(created).expect("a key to seal to").public.clone(),
            signing: from.signing.clone(),
            seal: SealNumber(1),
            created,
            not_after: created.plus_millis(DAY_MS),
            precedence: Precedence::Routine,
            sequence,
            cek: random(),
            r: random(),
        }
    }

    /// The same id with other content.
    #[must_use]
    pub fn with_other_content(&self, part: &[u8]) -> Self {
        let mut other = self.clone();
        other.part = part.to_vec();
        other.r = random();
        other.cek = random();
        if let Some(named) = other.manifest.parts.first_mut() {
            named.length = part.len() as u64;
            named.sha256 = sha256(part);
        }
        other
    }

    /// The draft, for those who seal it otherwise.
    ///
    /// # Panics
    /// If the manifest is not valid.
    #[must_use]
    pub fn draft(&self) -> DraftMessage {
        DraftMessage::new(self.manifest.clone(), &self.r).expect("a valid manifest")
    }

    /// What the wrap is to hold.
    #[must_use]
    pub fn wrap_content(&self) -> WrapContent {
        WrapContent {
            cek: ContentKey::from_bytes(&self.cek),
            pair_epoch: Epoch(1),
            pair_sequence: PairSequence(self.sequence),
            floor: PairSequence(1),
            voided: Vec::new(),
            public_size: 0,
            public_root: Digest([0; 32]),
        }
    }

    /// Seals it.
    ///
    /// # Panics
    /// If the protocol refuses to.
    #[must_use]
    pub fn seal(&self) -> Crafted {
        let draft = self.draft();
        let mut chunks = Vec::new();
        let mut out = |_: u64, sealed: Vec<u8>| chunks.push(sealed);
        let mut sealer = draft.seal_body(&ContentKey::from_bytes(&self.cek), &mut out).expect("it fits");
        sealer.update(&self.part, &mut out).expect("the manifest's part");
        let body = sealer.finish(&mut out).expect("all of it");
        let wrap = self.wrap_content();
        let to = SealTo {
            recipient: self.recipient,
            key: &self.recipient_key,
            seal: self.seal,
            precedence: self.precedence,
            created: self.created,
            not_after: self.not_after,
            wrap: &wrap,
        };
        let envelope = draft.seal_for(&body, &to, &self.signing, &random()).expect("it seals");
        Crafted { envelope, chunks }
    }
}

impl Crafted {
    /// The header, as it was made.
    ///
    /// # Panics
    /// If it was damaged.
    #[must_use]
    pub fn header(&self) -> Header {
        self.envelope.unverified_header().expect("a header")
    }

    /// Its identity.
    #[must_use]
    pub fn key(&self) -> EnvelopeKey {
        key_of(&self.header())
    }

    /// The same with a changed header, signed anew.
    #[must_use]
    pub fn with_header(&self, key: &SigningKey, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = self.header();
        change(&mut header);
        self.signed(key, header, self.envelope.wrap.clone())
    }

    /// The same with a header whose bytes are changed after it was signed.
    #[must_use]
    pub fn with_altered_header(&self, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = self.header();
        change(&mut header);
        let envelope = SealedEnvelope { header_bytes: header.encode(), ..self.envelope.clone() };
        Self { envelope, chunks: self.chunks.clone() }
    }

    /// The same with a wrap that was changed after it was signed.
    ///
    /// # Panics
    /// Never: the length stays.
    #[must_use]
    pub fn with_altered_wrap(&self) -> Self {
        let mut bytes = *self.envelope.wrap.as_bytes();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        let wrap = Wrap::from_bytes(&bytes).expect("the same length");
        Self { envelope: SealedEnvelope { wrap, ..self.envelope.clone() }, chunks: self.chunks.clone() }
    }

    /// The same with another wrap under the header, signed anew: sealed to `to`, with `content`.
    ///
    /// # Panics
    /// If the wrap cannot be sealed.
    #[must_use]
    pub fn with_wrap(&self, key: &SigningKey, to: &SealingPublicKey, content: &WrapContent) -> Self {
        let mut header = self.header();
        let wrap = seal_wrap(to, &header.network, &header.core_hash(), content, &random()).expect("it seals");
        header.wrap_digest = wrap.digest();
        self.signed(key, header, wrap)
    }

    /// The same with one changed byte in a chunk.
    #[must_use]
    pub fn with_altered_chunk(&self, index: usize) -> Self {
        let mut altered = self.clone();
        if let Some(byte) = altered.chunks.get_mut(index).and_then(|chunk| chunk.first_mut()) {
            *byte ^= 1;
        }
        altered
    }

    fn signed(&self, key: &SigningKey, header: Header, wrap: Wrap) -> Self {
        let header_bytes = header.encode();
        let signature = key.sign(Purpose::Header, &header.network, &header_bytes);
        Self { envelope: SealedEnvelope { header_bytes, signature, wrap }, chunks: self.chunks.clone() }
    }
}

/// The identity of the envelope with this header.
#[must_use]
pub fn key_of(header: &Header) -> EnvelopeKey {
    let Header { originator, message, recipient, seal, .. } = *header;
    EnvelopeKey { originator, message, recipient, seal }
}
