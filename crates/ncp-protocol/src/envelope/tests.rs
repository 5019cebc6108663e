//! Round trips, mutations, and an originator that lies.

use proptest::prelude::*;

use super::open::{OpenBodyError, OpenError, OpenedMessage, PartMismatch, reopen_content};
use super::*;
use crate::body::{BodyDigest, BodySealer, ContentKey, chunk_count};
use crate::codes::{Precedence, UrgentGround};
use crate::ids::{Epoch, MessageId, PairSequence, SealNumber, UnixMillis};
use crate::keys::{SigningKey, sha256};
use crate::limits::{CHUNK_PLAIN, CHUNK_SEALED, DAY_MS};
use crate::manifest::{Manifest, content_commitment};
use crate::samples::{NETWORK, manifest, participant, pattern};
use crate::wrap::{SealingKey, WrapContent};

const CEK: [u8; 32] = [11; 32];
const R: [u8; 32] = [12; 32];
const CREATED: UnixMillis = UnixMillis(1_767_225_600_000);

fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn sealing_key(number: u8) -> SealingKey {
    SealingKey::from_seed(&[number; 32])
}

fn wrap_content() -> WrapContent {
    WrapContent {
        cek: ContentKey::from_bytes(&CEK),
        pair_epoch: Epoch(1),
        pair_sequence: PairSequence(1),
        floor: PairSequence(1),
        voided: Vec::new(),
        public_size: 0,
        public_root: Digest([0; 32]),
    }
}

fn draft(parts: &[&[u8]]) -> DraftMessage {
    DraftMessage::new(manifest(parts), &R).expect("a valid manifest")
}

fn seal_body(draft: &DraftMessage, parts: &[&[u8]]) -> (BodyDigest, Vec<u8>) {
    let mut body = Vec::new();
    let mut out = |_: u64, sealed: Vec<u8>| body.extend_from_slice(&sealed);
    let mut sealer = draft.seal_body(&ContentKey::from_bytes(&CEK), &mut out).expect("fits");
    for part in parts {
        sealer.update(part, &mut out).expect("the manifest's part");
    }
    let digest = sealer.finish(&mut out).expect("all parts");
    (digest, body)
}

fn seal_to(draft: &DraftMessage, digest: &BodyDigest, recipient: &str, key: u8) -> Result<SealedEnvelope, SealError> {
    let (public, wrap) = (sealing_key(key).public(), wrap_content());
    let to = SealTo {
        recipient: participant(recipient),
        key: &public,
        seal: SealNumber(1),
        precedence: Precedence::Routine,
        created: CREATED,
        not_after: CREATED.plus_millis(DAY_MS),
        wrap: &wrap,
    };
    draft.seal_for(digest, &to, &signing_key(), &[key; 64])
}

fn verify(envelope: &SealedEnvelope) -> Result<VerifiedEnvelope, VerifyError> {
    envelope.verify(&NETWORK, &participant("XA"), &signing_key().verifying_key())
}

fn read_from(body: &[u8]) -> impl FnMut(u64) -> Result<Vec<u8>, ()> + '_ {
    move |index| body.chunks(CHUNK_SEALED).nth(usize::try_from(index).map_err(|_| ())?).map(<[u8]>::to_vec).ok_or(())
}

fn open(envelope: &SealedEnvelope, recipient: &str, key: u8, body: &[u8]) -> Result<OpenedMessage, OpenError> {
    let verified = verify(envelope).expect("verifies");
    match verified.open(&participant(recipient), &sealing_key(key))?.open_body(read_from(body)) {
        Ok(message) => Ok(message),
        Err(OpenBodyError::Open(error)) => Err(error),
        Err(OpenBodyError::Read(())) => Err(OpenError::Incomplete),
    }
}

fn read_part(message: &OpenedMessage, index: usize, body: &[u8]) -> Vec<u8> {
    let opener = message.body_opener().expect("a verified length");
    let (offset, length) = message.content().part_span(index).expect("a part");
    let mut read = read_from(body);
    let slices = opener.slices(offset, length).expect("inside");
    slices
        .flat_map(|slice| opener.open_slice(&slice, read(slice.index).expect("a chunk")).expect("opens").to_vec())
        .collect()
}

fn check_round_trip(parts: &[&[u8]]) {
    let draft = draft(parts);
    let (digest, body) = seal_body(&draft, parts);
    let envelope = seal_to(&draft, &digest, "XB", 2).expect("seals");
    let decoded = SealedEnvelope::decode(&envelope.encode()).expect("decodes");
    let message = open(&decoded, "XB", 2, &body).expect("opens");
    assert_eq!(message.manifest(), draft.manifest());
    assert_eq!(message.content().manifest_bytes(), draft.manifest_bytes());
    assert_eq!(message.content().r(), &R);
    assert_eq!(message.wrap_content(), &wrap_content());
    assert_eq!(message.header().content_commitment, draft.commitment());
    assert_eq!(message.header_digest(), sha256(&envelope.header_bytes));
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(&read_part(&message, index, &body), part);
    }
    assert_eq!(message.content().part_span(parts.len()), None);
    let opener = message.body_opener().expect("a verified length");
    let content = reopen_content(&opener, &NETWORK, &draft.commitment(), read_from(&body)).expect("opens again");
    assert_eq!(&content, message.content());
}

#[test]
fn parts_come_back_byte_by_byte() {
    check_round_trip(&[b"one", b"", b"three"]);
    check_round_trip(&[b""]);
    check_round_trip(&[b"", b"", &pattern(200_000), b""]);
}

/// Pins the whole layout: a change of these digests is a change of the protocol, and needs a new version.
#[test]
fn a_golden_message_seals_to_the_same_bytes() {
    let part: &[u8] = &pattern(70_000);
    let draft = draft(&[part]);
    let (digest, body) = seal_body(&draft, &[part]);
    let envelope = seal_to(&draft, &digest, "XB", 2).expect("seals");
    assert_eq!(draft.commitment().to_string(), "829d9bf032318b3ec7096110938f79e7c211475e0a2d7bf666074223e325e180");
    assert_eq!(digest.root.to_string(), "55443205f294a6efeb4f7dd58089ada26d34916a4d18e8c8478a1cf5434a9b80");
    assert_eq!(sha256(&body).to_string(), "73e9339c9a26205c82d5527a4f3ba31a7eeddab67dbe9858a2123f1dc4100611");
    assert_eq!(
        sha256(&envelope.encode()).to_string(),
        "e8fd6b45bbb1121f4ecf4d23f4c662d95df3b3c638b54edcab3ecb4c5f156a5f"
    );
}

#[test]
fn chunk_edges_round_trip() {
    let before = usize::try_from(draft(&[b"x"]).plain_length()).expect("small") - 1;
    for edge in [CHUNK_PLAIN - 1, CHUNK_PLAIN, CHUNK_PLAIN + 1, 2 * CHUNK_PLAIN] {
        check_round_trip(&[&pattern(edge - before)]);
    }
}

#[test]
fn eighty_recipients_share_one_body() {
    let part: &[u8] = &pattern(100_000);
    let mut many = manifest(&[part]);
    many.recipients = (0..80).map(|i| participant(&format!("S{i:03}"))).collect();
    let draft = DraftMessage::new(many, &R).expect("a valid manifest");
    let (digest, body) = seal_body(&draft, &[part]);
    for (number, recipient) in (0..).zip(&draft.manifest().recipients) {
        let envelope = seal_to(&draft, &digest, recipient.as_str(), number).expect("seals");
        let message = open(&envelope, recipient.as_str(), number, &body).expect("opens");
        assert_eq!(message.header().recipient, *recipient);
        assert_eq!(read_part(&message, 0, &body), part);
    }
}

#[test]
fn a_frozen_draft_seals_again_over_the_same_body() {
    let first = draft(&[b"one"]);
    let (digest, body) = seal_body(&first, &[b"one"]);
    let again = DraftMessage::from_frozen(first.manifest_bytes().to_vec(), &R).expect("as stored");
    assert_eq!(again.commitment(), first.commitment());
    let (public, wrap) = (sealing_key(4).public(), wrap_content());
    let to = SealTo {
        recipient: participant("XB"),
        key: &public,
        seal: SealNumber(2),
        precedence: Precedence::Routine,
        created: CREATED,
        not_after: CREATED.plus_millis(DAY_MS),
        wrap: &wrap,
    };
    let envelope = again.seal_for(&digest, &to, &signing_key(), &[4; 64]).expect("seals");
    assert_eq!(open(&envelope, "XB", 4, &body).expect("opens").header().seal, SealNumber(2));
}

#[test]
fn what_was_not_approved_is_not_sealed() {
    let draft = draft(&[b"one", b"two"]);
    let mut out = |_: u64, _: Vec<u8>| ();
    let start = |out: &mut dyn FnMut(u64, Vec<u8>)| {
        draft.seal_body(&ContentKey::from_bytes(&CEK), &mut |index, sealed| out(index, sealed)).expect("fits")
    };
    assert_eq!(start(&mut out).update(b"oneTwo", &mut out), Err(SealBodyError::Part(PartMismatch(1))));
    let mut short = start(&mut out);
    short.update(b"onetw", &mut out).expect("so far");
    assert_eq!(short.finish(&mut out), Err(SealBodyError::Part(PartMismatch(1))));
    let mut long = start(&mut out);
    assert!(matches!(long.update(b"onetwo!", &mut out), Err(SealBodyError::Body(_))));
}

#[test]
fn terms_are_checked_before_sealing() {
    let draft = draft(&[b"one"]);
    let (digest, _) = seal_body(&draft, &[b"one"]);
    let (public, wrap) = (sealing_key(2).public(), wrap_content());
    let good = SealTo {
        recipient: participant("XB"),
        key: &public,
        seal: SealNumber(1),
        precedence: Precedence::Routine,
        created: CREATED,
        not_after: CREATED.plus_millis(DAY_MS),
        wrap: &wrap,
    };
    let seal = |digest: &BodyDigest, to: &SealTo<'_>| draft.seal_for(digest, to, &signing_key(), &[2; 64]).err();
    assert_eq!(seal(&digest, &good), None);
    let stranger = SealTo { recipient: participant("XD"), ..good };
    assert_eq!(seal(&digest, &stranger), Some(SealError::Recipient));
    let urgent = SealTo { precedence: Precedence::Urgent, ..good };
    assert_eq!(seal(&digest, &urgent), Some(SealError::UrgentGround));
    assert_eq!(seal(&BodyDigest { length: 4_368, ..digest }, &good), Some(SealError::Body));
    let unnumbered = SealTo { seal: SealNumber(0), ..good };
    assert_eq!(seal(&digest, &unnumbered), Some(SealError::Header(HeaderError::Seal)));
    let brief = SealTo { not_after: CREATED, ..good };
    assert!(matches!(seal(&digest, &brief), Some(SealError::Times(_))));
    let numberless = WrapContent { floor: PairSequence(0), ..wrap_content() };
    assert!(matches!(seal(&digest, &SealTo { wrap: &numberless, ..good }), Some(SealError::Wrap(_))));
}

#[test]
fn every_changed_byte_beside_the_body_is_refused() {
    let draft = draft(&[b"one"]);
    let (digest, _) = seal_body(&draft, &[b"one"]);
    let bytes = seal_to(&draft, &digest, "XB", 2).expect("seals").encode();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x04;
        if let Ok(envelope) = SealedEnvelope::decode(&changed) {
            assert!(verify(&envelope).is_err(), "byte {place}");
        }
    }
}

#[test]
fn verification_names_what_differs() {
    let draft = draft(&[b"one"]);
    let (digest, _) = seal_body(&draft, &[b"one"]);
    let envelope = seal_to(&draft, &digest, "XB", 2).expect("seals");
    let (originator, key) = (participant("XA"), signing_key().verifying_key());
    let other_network = NetworkId(Digest([8; 32]));
    assert_eq!(envelope.verify(&other_network, &originator, &key), Err(VerifyError::Network));
    assert_eq!(envelope.verify(&NETWORK, &participant("XB"), &key), Err(VerifyError::Originator));
    let other_key = SigningKey::from_seed(&[2; 32]).verifying_key();
    assert_eq!(envelope.verify(&NETWORK, &originator, &other_key), Err(VerifyError::KeyId));
    let unsigned = SealedEnvelope { signature: Signature([0; 64]), ..envelope.clone() };
    assert_eq!(verify(&unsigned), Err(VerifyError::Signature));
    let other = seal_to(&draft, &digest, "XC", 3).expect("seals");
    let swapped = SealedEnvelope { wrap: other.wrap, ..envelope };
    assert_eq!(verify(&swapped), Err(VerifyError::Wrap));
}

#[test]
fn only_the_named_recipient_opens() {
    let draft = draft(&[b"one"]);
    let (digest, body) = seal_body(&draft, &[b"one"]);
    let envelope = seal_to(&draft, &digest, "XB", 2).expect("seals");
    assert_eq!(open(&envelope, "XC", 2, &body), Err(OpenError::Recipient));
    assert_eq!(open(&envelope, "XB", 3, &body), Err(OpenError::KeyId));
}

#[test]
fn a_damaged_shortened_or_reordered_body_is_refused() {
    let part: &[u8] = &pattern(150_000);
    let draft = draft(&[part]);
    let (digest, body) = seal_body(&draft, &[part]);
    let envelope = seal_to(&draft, &digest, "XB", 2).expect("seals");
    for chunk in 0..usize::try_from(chunk_count(digest.length)).expect("small") {
        let mut damaged = body.clone();
        damaged[chunk * CHUNK_SEALED + 100] ^= 1;
        assert!(matches!(open(&envelope, "XB", 2, &damaged), Err(OpenError::Chunk(_))), "chunk {chunk}");
    }
    assert!(open(&envelope, "XB", 2, &body[..body.len() - 1]).is_err());
    assert!(open(&envelope, "XB", 2, &body[..CHUNK_SEALED]).is_err());
    let reordered = [&body[CHUNK_SEALED..2 * CHUNK_SEALED], &body[..CHUNK_SEALED], &body[2 * CHUNK_SEALED..]].concat();
    assert!(matches!(open(&envelope, "XB", 2, &reordered), Err(OpenError::Chunk(_))));
    let opened = verify(&envelope).expect("verifies").open(&participant("XB"), &sealing_key(2)).expect("opens");
    let mut verifier = opened.verify_body().expect("a body's length");
    verifier.push(body[..CHUNK_SEALED].to_vec()).expect("the first chunk");
    assert_eq!(verifier.finish(), Err(OpenError::Incomplete));
}

/// What an originator that holds all its keys could send if it lied.
struct Lie {
    manifest: Manifest,
    plain: Vec<u8>,
    commitment: Digest,
    precedence: Precedence,
    recipient: &'static str,
}

impl Lie {
    /// The truth about one part, to be changed.
    fn about(manifest: Manifest, part: &[u8]) -> Self {
        let manifest_bytes = manifest.encode();
        let length = u32::try_from(manifest_bytes.len()).expect("small").to_le_bytes();
        Self {
            commitment: content_commitment(&NETWORK, &R, &manifest_bytes),
            plain: [&R, length.as_slice(), &manifest_bytes, part].concat(),
            manifest,
            precedence: Precedence::Routine,
            recipient: "XB",
        }
    }

    /// Seals and signs it as it is, and opens it as the recipient does.
    fn told(self) -> Result<OpenedMessage, OpenError> {
        let cek = ContentKey::from_bytes(&CEK);
        let core = super::draft::body_core_of(&manifest(&[b"one"]));
        let mut body = Vec::new();
        let mut out = |_: u64, sealed: Vec<u8>| body.extend_from_slice(&sealed);
        let mut sealer = BodySealer::new(&core, &cek, self.plain.len() as u64).expect("fits");
        sealer.update(&self.plain, &mut out).expect("the declared length");
        let digest = sealer.finish(&mut out).expect("the declared length");
        let mut header = honest_header();
        header.body_length = digest.length;
        header.ciphertext_root = digest.root;
        header.content_commitment = self.commitment;
        header.precedence = self.precedence;
        header.recipient = participant(self.recipient);
        open(&sign(header), self.recipient, 2, &body)
    }
}

fn honest_header() -> Header {
    let draft = draft(&[b"one"]);
    let (digest, _) = seal_body(&draft, &[b"one"]);
    seal_to(&draft, &digest, "XB", 2).expect("seals").unverified_header().expect("a header")
}

/// Wraps and signs a header whatever it says.
fn sign(mut header: Header) -> SealedEnvelope {
    let public = sealing_key(2).public();
    let wrap =
        crate::wrap::seal_wrap(&public, &NETWORK, &header.core_hash(), &wrap_content(), &[2; 64]).expect("seals");
    header.wrap_digest = wrap.digest();
    let header_bytes = header.encode();
    let signature = signing_key().sign(Purpose::Header, &NETWORK, &header_bytes);
    SealedEnvelope { header_bytes, signature, wrap }
}

#[test]
fn the_truth_opens() {
    let message = Lie::about(manifest(&[b"one"]), b"one").told().expect("opens");
    assert_eq!(message.manifest(), &manifest(&[b"one"]));
}

#[test]
fn another_manifest_than_committed_is_refused() {
    let mut lie = Lie::about(manifest(&[b"one"]), b"one");
    lie.commitment = Digest([0; 32]);
    assert_eq!(lie.told(), Err(OpenError::Commitment));
    let mut lie = Lie::about(manifest(&[b"one"]), b"one");
    lie.plain[0] ^= 1;
    assert_eq!(lie.told(), Err(OpenError::Commitment));
}

#[test]
fn another_part_than_described_is_refused() {
    assert_eq!(Lie::about(manifest(&[b"one"]), b"two").told(), Err(OpenError::Part(PartMismatch(0))));
    assert_eq!(Lie::about(manifest(&[b"one"]), b"on").told(), Err(OpenError::Part(PartMismatch(0))));
}

#[test]
fn bytes_behind_the_parts_are_refused() {
    assert_eq!(Lie::about(manifest(&[b"one"]), b"one more").told(), Err(OpenError::Padding));
    let roomy = [b"one".as_slice(), &[0; 5_000]].concat();
    assert_eq!(Lie::about(manifest(&[b"one"]), &roomy).told(), Err(OpenError::Layout));
}

#[test]
fn a_manifest_longer_than_its_limit_is_refused() {
    let mut lie = Lie::about(manifest(&[b"one"]), b"one");
    lie.plain[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(lie.told(), Err(OpenError::Layout));
    let mut lie = Lie::about(manifest(&[b"one"]), b"one");
    lie.plain[32..36].copy_from_slice(&60_000u32.to_le_bytes());
    assert_eq!(lie.told(), Err(OpenError::Layout));
}

#[test]
fn a_manifest_that_breaks_a_rule_is_refused() {
    let mut unsorted = manifest(&[b"one"]);
    unsorted.recipients.reverse();
    assert!(matches!(Lie::about(unsorted, b"one").told(), Err(OpenError::Manifest(_))));
}

#[test]
fn manifest_and_header_name_the_same() {
    let mut other_message = manifest(&[b"one"]);
    other_message.message = MessageId([9; 16]);
    assert_eq!(Lie::about(other_message, b"one").told(), Err(OpenError::Names));
    let mut other_originator = manifest(&[b"one"]);
    other_originator.originator = participant("XD");
    other_originator.reference.originator = participant("XD");
    assert_eq!(Lie::about(other_originator, b"one").told(), Err(OpenError::Names));
    let mut lie = Lie::about(manifest(&[b"one"]), b"one");
    lie.recipient = "XD";
    assert_eq!(lie.told(), Err(OpenError::Names));
}

#[test]
fn urgent_needs_its_ground() {
    let mut lie = Lie::about(manifest(&[b"one"]), b"one");
    lie.precedence = Precedence::Urgent;
    assert_eq!(lie.told(), Err(OpenError::UrgentGround));
    let mut grounded = manifest(&[b"one"]);
    grounded.urgent_ground = Some(UrgentGround::LifeOrLimb);
    let mut truth = Lie::about(grounded, b"one");
    truth.precedence = Precedence::Urgent;
    assert!(truth.manifest.urgent_ground.is_some() && truth.told().is_ok());
}

#[test]
fn another_root_than_signed_is_refused() {
    let draft = draft(&[b"one"]);
    let (_, body) = seal_body(&draft, &[b"one"]);
    let header = Header { ciphertext_root: Digest([0; 32]), ..honest_header() };
    assert_eq!(open(&sign(header), "XB", 2, &body), Err(OpenError::Root));
}

/// XB, a recipient, holds the content key and signs XA's message as its own for XC.
#[test]
fn stripping_and_signing_anew_does_not_open() {
    let draft = draft(&[b"one"]);
    let (_, body) = seal_body(&draft, &[b"one"]);
    let thief = SigningKey::from_seed(&[9; 32]);
    let (public, wrap_content) = (sealing_key(3).public(), wrap_content());
    let mut header = Header {
        originator: participant("XB"),
        originator_key: thief.verifying_key().id(),
        recipient: participant("XC"),
        recipient_key: public.id(),
        ..honest_header()
    };
    let wrap = crate::wrap::seal_wrap(&public, &NETWORK, &header.core_hash(), &wrap_content, &[3; 64]).expect("seals");
    header.wrap_digest = wrap.digest();
    let header_bytes = header.encode();
    let signature = thief.sign(Purpose::Header, &NETWORK, &header_bytes);
    let envelope = SealedEnvelope { header_bytes, signature, wrap };
    let verified = envelope.verify(&NETWORK, &participant("XB"), &thief.verifying_key()).expect("its own signature");
    let opened = verified.open(&participant("XC"), &sealing_key(3)).expect("its own wrap");
    assert!(matches!(opened.open_body(read_from(&body)), Err(OpenBodyError::Open(OpenError::Chunk(_)))));
}

#[test]
fn a_header_longer_than_its_limit_is_not_decoded() {
    let mut envelope = sign(honest_header());
    envelope.header_bytes = vec![0; HEADER_MAX + 1];
    assert_eq!(
        crate::codec::decode::<SealedEnvelope>(&crate::codec::encode(&envelope), 1 << 20),
        Err(DecodeError::Malformed)
    );
    assert_eq!(SealedEnvelope::decode(&envelope.encode()), Err(DecodeError::TooLong));
    envelope.header_bytes = vec![0; HEADER_MAX];
    assert_eq!(SealedEnvelope::decode(&envelope.encode()), Ok(envelope));
}

#[test]
fn debug_shows_no_content() {
    let parts: &[&[u8]] = &[b"one"];
    let draft = draft(parts);
    let (digest, body) = seal_body(&draft, parts);
    let message = open(&seal_to(&draft, &digest, "XB", 2).expect("seals"), "XB", 2, &body).expect("opens");
    let shown = format!("{draft:?} {message:?}");
    assert!(!shown.contains("Subject") && !shown.contains("part-0"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_parts_round_trip(lengths in prop::collection::vec(0..90_000usize, 1..6)) {
        let parts: Vec<Vec<u8>> = lengths.iter().map(|&length| pattern(length)).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        check_round_trip(&parts);
    }
}
