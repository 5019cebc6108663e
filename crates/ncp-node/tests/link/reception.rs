//! What arrives: consigned, refused with its own code, or left at the hub.

use ncp_node::core::command::Ask;
use ncp_node::core::tables::IN;
use ncp_protocol::body::ContentKey;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::evidence;
use ncp_protocol::frame::BodyChunk;
use ncp_protocol::ids::{Digest, LogName, SealNumber};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::LIFETIME_MAX_MS;
use ncp_protocol::reject::RejectCode;
use ncp_protocol::wrap::SealingKey;

use crate::craft::{Letter, part_of, store_body_of};
use crate::hub::{HubLink, ago, key_of, stored};
use crate::world::{World, id, soon};

fn chunk(letter: &Letter, index: usize) -> BodyChunk {
    BodyChunk {
        originator: id("XB"),
        message: letter.header.message,
        index: index as u64,
        bytes: letter.chunks[index].clone(),
    }
}

pub(crate) async fn give_body(world: &World, link: &mut HubLink, letter: &Letter) {
    let wanted = link.wanted(&world.hub).await;
    assert_eq!((wanted.message, wanted.root), (letter.header.message, letter.header.ciphertext_root));
    for index in usize::try_from(wanted.from_chunk).unwrap()..letter.chunks.len() {
        link.send(chunk(letter, index)).await;
    }
}

/// The outcome that the node states about an envelope, proved by its own log.
pub(crate) async fn stated(world: &World, link: &mut HubLink, envelope: &SealedEnvelope) -> (EvidenceKind, Outcome) {
    let receipts = link.receipts(&world.hub).await;
    let [proof] = receipts.proofs.as_slice() else { panic!("{} proofs", receipts.proofs.len()) };
    link.send(stored(receipts.first)).await;
    let verified = evidence::verify(proof, &world.xa.origin(LogName::Node), &world.xa.log.verifying_key()).unwrap();
    let claim = verified.claim();
    assert_eq!((claim.envelope, claim.header), (key_of(envelope), envelope.header_digest()));
    (claim.kind, claim.outcome)
}

pub(crate) const CONSIGNED: (EvidenceKind, Outcome) = (EvidenceKind::ContentConsignment, Outcome::Done);

pub(crate) fn refused(code: RejectCode) -> (EvidenceKind, Outcome) {
    (EvidenceKind::ContentConsignmentFailure, Outcome::Rejected(code))
}

fn is_here(world: &World, letter: &Letter) -> bool {
    let node = world.node();
    IN.row(&node.reader().view(), &(id("XB"), letter.header.message)).unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_is_consigned_with_evidence_and_credit_returns() {
    let (mut world, mut link) = World::linked().await;
    let granted = link.credit;
    let letter = Letter::new(&world, 1, &part_of(3));
    let envelope = letter.seal();
    let deliver = world.hub.deliver(&envelope);
    link.send(deliver.clone()).await;
    link.credit.envelopes -= 1;
    link.credit.bytes -= letter.header.body_length;
    give_body(&world, &mut link, &letter).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    assert!(is_here(&world, &letter));
    link.until_credit(&world.hub, granted).await;

    link.send(deliver).await;
    assert_eq!(link.until_pong(&world.hub).await, [], "delivered again: its evidence is on this link already");
    world.stop().await;
}

/// Delivers a letter behind a chunk that nobody asked for.
async fn deliver_behind(world: &mut World, link: &mut HubLink, ahead: BodyChunk, letter: &Letter) -> SealedEnvelope {
    link.credit.envelopes -= 1;
    link.credit.bytes -= ahead.bytes.len() as u64;
    link.send(ahead).await;
    let envelope = letter.seal();
    link.send(world.hub.deliver(&envelope)).await;
    envelope
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_ahead_is_not_asked_for() {
    let (mut world, mut link) = World::linked().await;
    let granted = link.credit;
    let letters = [1, 2, 3, 4].map(|number| Letter::new(&world, number, b"text"));
    let [whole, spoilt, foreign, late] = &letters;
    let envelope = deliver_behind(&mut world, &mut link, chunk(whole, 0), whole).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    let wrong = BodyChunk { bytes: vec![7; 4_112], ..chunk(spoilt, 0) };
    for (ahead, letter) in [(wrong, spoilt), (chunk(late, 0), foreign)] {
        let envelope = deliver_behind(&mut world, &mut link, ahead, letter).await;
        give_body(&world, &mut link, letter).await;
        link.credit.bytes -= letter.header.body_length;
        assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    }
    let envelope = deliver_behind(&mut world, &mut link, chunk(late, 0), late).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    link.until_credit(&world.hub, granted).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redelivery_of_what_the_hub_had_evidence_of_brings_the_evidence_again() {
    let (mut world, mut link) = World::linked().await;
    let letter = Letter::new(&world, 1, b"text");
    let envelope = letter.seal();
    let deliver = world.hub.deliver(&envelope);
    link.send(deliver.clone()).await;
    give_body(&world, &mut link, &letter).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    link.cut();
    let mut link = soon(world.hub.link_with(|hello| hello.receipts.number = 1)).await;
    link.send(deliver).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_resumes_behind_its_last_chunk_after_a_cut() {
    let (mut world, mut link) = World::linked().await;
    let letter = Letter::new(&world, 1, &part_of(9));
    let envelope = letter.seal();
    let deliver = world.hub.deliver(&envelope);
    link.send(deliver.clone()).await;
    assert_eq!(link.wanted(&world.hub).await.from_chunk, 0);
    for index in 0..4 {
        link.send(chunk(&letter, index)).await;
    }
    // The answer shows that all of them have been read.
    assert_eq!(link.until_pong(&world.hub).await, []);
    link.cut();

    let mut link = world.link().await;
    link.send(deliver).await;
    let wanted = link.wanted(&world.hub).await;
    assert_eq!(wanted.from_chunk, 4);
    for index in 4..letter.chunks.len() {
        link.send(chunk(&letter, index)).await;
    }
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_outside_the_body_is_refused_with_its_own_code() {
    let (mut world, mut link) = World::linked().await;
    let stranger = SigningKey::from_seed(&[9; 32]);
    let letter = || Letter::new(&world, 1, b"text");
    let mut unsigned = letter().seal();
    unsigned.signature.0[3] ^= 1;
    let mut other_wrap = letter().seal();
    other_wrap.wrap = letter().seal().wrap;
    let cases = [
        (unsigned, RejectCode::SignatureInvalid),
        (other_wrap, RejectCode::WrapMismatch),
        (
            letter()
                .with(|letter| {
                    letter.header.originator_key = stranger.verifying_key().id();
                    letter.signing = stranger.clone();
                })
                .seal(),
            RejectCode::OriginatorKeyUnknown,
        ),
        (letter().with(|letter| letter.signing = stranger.clone()).seal(), RejectCode::SignatureInvalid),
        (letter().with(|letter| letter.header.network.0 = Digest([3; 32])).seal(), RejectCode::NetworkMismatch),
        (
            letter()
                .with(|letter| letter.header.not_after = letter.header.created.plus_millis(LIFETIME_MAX_MS + 1))
                .seal(),
            RejectCode::LifetimeOutOfRange,
        ),
        (
            letter()
                .with(|letter| {
                    letter.header.created = ago(7_200_000);
                    letter.header.not_after = ago(3_600_000);
                })
                .seal(),
            RejectCode::Expired,
        ),
    ];
    for (envelope, code) in cases {
        let deliver = world.hub.deliver(&envelope);
        link.send(deliver).await;
        assert_eq!(stated(&world, &mut link, &envelope).await, refused(code));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_open_is_refused_with_its_own_code_and_nothing_is_kept() {
    let (mut world, mut link) = World::linked().await;
    let other_key = SealingKey::from_seed(&[8; 32]).public();
    let letter = || Letter::new(&world, 1, b"text");
    let cases = [
        (letter().with(|letter| letter.header.recipient_key = other_key.id()), RejectCode::RecipientKeyUnknown),
        (letter().with(|letter| letter.sealed_to = other_key.clone()), RejectCode::WrapUnopened),
        (letter().with(|letter| letter.wrap.cek = ContentKey::from_bytes(&[1; 32])), RejectCode::BodyUnopened),
        (letter().with(|letter| letter.header.content_commitment = Digest([1; 32])), RejectCode::CommitmentMismatch),
        (
            Letter::saying(&world, 1, b"text", |manifest| manifest.recipients = vec![id("XC")]),
            RejectCode::ManifestMismatch,
        ),
        (
            letter().with_plain(|plain| {
                if let Some(last) = plain.last_mut() {
                    *last ^= 1;
                }
            }),
            RejectCode::PartMismatch,
        ),
        (letter().with_plain(|plain| plain.push(7)), RejectCode::BodyUnopened),
    ];
    for (letter, code) in cases {
        let envelope = letter.seal();
        let deliver = world.hub.deliver(&envelope);
        link.send(deliver).await;
        give_body(&world, &mut link, &letter).await;
        assert_eq!(stated(&world, &mut link, &envelope).await, refused(code));
        assert!(!is_here(&world, &letter));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_seal_of_the_same_message_is_a_duplicate_without_its_body() {
    let (mut world, mut link) = World::linked().await;
    let letter = Letter::new(&world, 1, b"text");
    let first = letter.seal();
    let deliver = world.hub.deliver(&first);
    link.send(deliver).await;
    give_body(&world, &mut link, &letter).await;
    assert_eq!(stated(&world, &mut link, &first).await, CONSIGNED);
    let second = letter.with(|letter| letter.header.seal = SealNumber(2)).seal();
    let deliver = world.hub.deliver(&second);
    link.send(deliver).await;
    assert_eq!(stated(&world, &mut link, &second).await, refused(RejectCode::Duplicate));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_waits_until_people_pin_its_originator() {
    let mut world = World::new();
    world.start().await;
    let mut link = world.link().await;
    world.know_xb(&mut link).await;
    let letter = Letter::new(&world, 1, b"text");
    let envelope = letter.seal();
    let deliver = world.hub.deliver(&envelope);
    link.send(deliver).await;
    assert_eq!(link.until_pong(&world.hub).await, [], "left where it is");
    world.pin_xb().await;
    give_body(&world, &mut link, &letter).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_without_the_hubs_acceptance_is_left_and_never_refused() {
    let (mut world, mut link) = World::linked().await;
    let envelope = Letter::new(&world, 1, b"text").seal();
    let mut forged = world.hub.deliver(&envelope);
    forged.acceptance.event[50] ^= 1;
    let mut other = world.hub.deliver(&envelope);
    other.acceptance = world.hub.accept(&Letter::new(&world, 1, b"other").seal());
    for deliver in [forged, other] {
        link.send(deliver).await;
        assert_eq!(link.refused(&world.hub).await, RejectCode::EvidenceInvalid);
    }
    assert_eq!(link.until_pong(&world.hub).await, []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nearly_full_disk_leaves_deliveries_at_the_hub_until_there_is_room() {
    let mut world = World::new();
    // More room is asked for than any disk of a test has.
    world.start_with(|config| config.settings.limits.free_min_bytes = 1 << 60).await;
    let mut link = world.link().await;
    world.know_xb(&mut link).await;
    world.pin_xb().await;
    let letters = [Letter::new(&world, 1, b"text"), Letter::new(&world, 2, &part_of(2))];
    for letter in &letters {
        let deliver = world.hub.deliver(&letter.seal());
        link.send(deliver).await;
        assert_eq!(link.refused(&world.hub).await, RejectCode::StoreFull);
    }
    link.cut();
    world.stop().await;
    world.start().await;
    let mut link = world.link().await;
    for letter in &letters {
        let envelope = letter.seal();
        let deliver = world.hub.deliver(&envelope);
        link.send(deliver).await;
        give_body(&world, &mut link, letter).await;
        assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_that_the_hub_spoilt_is_left_and_taken_later() {
    let (mut world, mut link) = World::linked().await;
    let letter = Letter::new(&world, 1, &part_of(2));
    let envelope = letter.seal();
    let deliver = world.hub.deliver(&envelope);
    link.send(deliver.clone()).await;
    link.wanted(&world.hub).await;
    for index in 0..letter.chunks.len() {
        let mut spoilt = chunk(&letter, index);
        spoilt.bytes[5] ^= 1;
        link.send(spoilt).await;
    }
    assert_eq!(link.refused(&world.hub).await, RejectCode::BodyRootMismatch);
    link.send(deliver).await;
    give_body(&world, &mut link, &letter).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_of_an_older_entry_counts_for_what_the_hub_accepted_under_it() {
    let (mut world, mut link) = World::linked().await;
    let before = Letter::new(&world, 1, b"before").seal();
    let before = world.hub.deliver(&before);
    let (entry, _) = world.xb.with_new_signing_key();
    let newest = entry.digest();
    // The hub's clock has to pass on between the two events.
    let accepted = crate::world::now();
    soon(link.serve_while(&world.hub, async {
        while crate::world::now() <= accepted {
            tokio::task::yield_now().await;
        }
    }))
    .await;
    world.hub.admit(entry);
    let after = Letter::new(&world, 2, b"after").seal();
    let after = world.hub.deliver(&after);
    link.tell_of_news(&world.hub).await;
    let node = world.node();
    let mut changed = node.hints.directory.subscribe();
    let known = async {
        while node.directory.load().entry(id("XB")).is_none_or(|known| known.row.entry != newest) {
            changed.changed().await.unwrap();
        }
    };
    soon(link.serve_while(&world.hub, known)).await;
    link.send(after.clone()).await;
    assert_eq!(stated(&world, &mut link, &after.envelope).await, refused(RejectCode::OriginatorKeyUnknown));
    link.send(before.clone()).await;
    assert_eq!(link.wanted(&world.hub).await.message, key_of(&before.envelope).message, "taken in");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_a_suspended_originator_waits() {
    let (mut world, mut link) = World::linked().await;
    world.suspend_xb(2, Some("inquiry"));
    link.tell_of_news(&world.hub).await;
    let node = world.node();
    let mut changed = node.hints.directory.subscribe();
    let suspended = async {
        while !node.directory.load().entry(id("XB")).unwrap().row.suspended {
            changed.changed().await.unwrap();
        }
    };
    soon(link.serve_while(&world.hub, suspended)).await;
    let letter = Letter::new(&world, 1, b"text");
    let deliver = world.hub.deliver(&letter.seal());
    link.send(deliver).await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    world.suspend_xb(3, None);
    link.tell_of_news(&world.hub).await;
    give_body(&world, &mut link, &letter).await;
    world.ask(Ask::Tick).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_that_went_bad_before_it_was_decided_is_fetched_again() {
    let (mut world, mut link) = World::linked().await;
    let letter = Letter::new(&world, 1, &part_of(2));
    let (message, header) = ((id("XB"), letter.header.message), &letter.header);
    store_body_of(&world, message, &letter.chunks, header.ciphertext_root, header.body_length);
    let [path] =
        &std::fs::read_dir(world.data().join("bodies")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
            [..]
    else {
        panic!("one body")
    };
    let mut bytes = std::fs::read(path).unwrap();
    bytes[70_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let envelope = letter.seal();
    let deliver = world.hub.deliver(&envelope);
    link.send(deliver.clone()).await;
    assert_eq!(link.refused(&world.hub).await, RejectCode::BodyMissing);
    link.send(deliver).await;
    give_body(&world, &mut link, &letter).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    world.stop().await;
}
