//! Submissions: what is accepted, what is refused with which code, and that nothing of the refused stays.

use std::collections::BTreeSet;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::frame::{Frame, Recall, Submit};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, KeyId, MessageId, NetworkId, SealNumber};
use ncp_protocol::limits::{DAY_MS, WRAP_LEN};
use ncp_protocol::reject::RejectCode;
use ncp_protocol::wrap::Wrap;
use ncp_relay::limits::BEGUN_AT_ONCE;
use ncp_transport::connection::Connection;
use ncp_transport::frame::RawFrame;

use crate::network::{Network, Participant, files, id, key, now, sealing_key, soon};
use crate::peer::{Message, Peer, sign};

/// A hub with XA, who is connected, and XB.
async fn pair() -> (Network, ncp_relay::start::Running, Peer, Participant) {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let peer = Peer::connect(&network, &xa, hub.address).await;
    (network, hub, peer, xb)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_and_a_large_body_are_accepted() {
    let (network, hub, mut xa, xb) = pair().await;
    for (n, chunks) in [(1, 1), (2, 3)] {
        xa.submit(&network, &Message::new(n, chunks), &xb).await;
    }
    let status = network.api().hub_status().await.unwrap();
    let waiting = status.peers.iter().find(|peer| peer.participant == xb.id).unwrap();
    assert_eq!((waiting.waiting, waiting.connected), (2, false));
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_ahead_is_not_asked_for() {
    let (mut network, hub, mut xa, xb) = pair().await;
    let xc = network.join("XC").await;
    let message = Message::new(1, 1);
    xa.submit_ahead(&network, &message, &xb).await;
    // Whether the first one is decided yet or not.
    xa.send(Submit { envelope: message.envelope(&network, &xa.participant, &xc) }).await;
    let mut accepted = 0;
    while accepted < 2 {
        accepted += xa.expect_receipts().await.proofs.len();
    }
    let large = Message::new(2, 2);
    xa.submit(&network, &large, &xb).await;
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    peer.expect_delivery().await;
    assert!(peer.ahead.is_some());
    assert_eq!(peer.expect_delivery().await.envelope.unverified_header().unwrap().message, large.id);
    assert_eq!(peer.ahead, None, "it is not small");
    let xd = network.join("XD").await;
    xa.submit(&network, &message, &xd).await;
    for recipient in [&xc, &xd] {
        let mut peer = Peer::connect(&network, recipient, hub.address).await;
        let delivery = peer.expect_delivery().await;
        assert_eq!(peer.ahead.take().unwrap().bytes, message.chunks[0], "it goes ahead of its delivery, too");
        assert_eq!(peer.fetch(&delivery.envelope).await, message.chunks, "and can be asked for all the same");
        let mut peer = Peer::connect(&network, recipient, hub.address).await;
        peer.expect_delivery().await;
        assert_eq!(peer.ahead, None, "what was offered before, the recipient may have");
    }
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_ahead_and_is_no_body_of_the_envelope_is_passed_over() {
    let (network, hub, mut xa, xb) = pair().await;
    let (message, other) = (Message::new(1, 1), Message::new(2, 1));
    let spoilt = Message { chunks: vec![other.chunks[0].clone()], ..message.clone() };
    // More than there is credit for at once: it returns.
    for _ in 0..1_100 {
        xa.send_chunks(&other, 0).await;
    }
    xa.submit(&network, &message, &xb).await;
    xa.submit_ahead(&network, &spoilt, &xb).await;
    let refused = xa.expect_refused().await;
    assert_eq!((refused.envelope.message, refused.code), (message.id, RejectCode::ConflictingContent));
    let third = Message::new(3, 1);
    xa.send_chunks(&Message { id: third.id, ..other }, 0).await;
    xa.submit(&network, &third, &xb).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_envelope_again_brings_the_same_bytes() {
    let (network, hub, mut xa, xb) = pair().await;
    let message = Message::new(1, 1);
    let first = xa.submit(&network, &message, &xb).await;
    // The stream has brought R1 and it is acknowledged, so the duplicate is answered with it alone.
    xa.send(ncp_protocol::frame::ReceiptsStored {
        cursor: ncp_protocol::frame::Cursor { epoch: ncp_protocol::ids::Epoch(1), number: 1 },
    })
    .await;
    assert_eq!(xa.submit(&network, &message, &xb).await, first);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolled_key_leaves_the_evidence_of_what_was_accepted() {
    let (mut network, hub, mut peer, xb) = pair().await;
    let message = Message::new(1, 1);
    let first = peer.submit(&network, &message, &xb).await;
    let xa = peer.participant.clone();
    let rolled =
        network.roll(&xa, |entry| entry.keys.signing.as_mut().unwrap().key = key("XA next").verifying_key()).await;
    network.roll(&xb, |entry| entry.keys.sealing[0].public = sealing_key("XB next")).await;
    let mut peer = Peer::resume(&network, &rolled, hub.address, 1).await;
    assert_eq!(peer.submit(&network, &message, &xb).await, first, "the same bytes, the same evidence");
    // Under either key other bytes are what they are: signed by nobody whom the directory names.
    let mut wrapped = message.envelope(&network, &xa, &xb);
    let other = Message { precedence: Precedence::Urgent, ..message };
    let envelope = other.envelope(&network, &xa, &xb);
    check_refused(&network, &mut peer, envelope, RejectCode::OriginatorKeyUnknown).await;
    wrapped.wrap = Wrap::from_bytes(&[8; WRAP_LEN]).unwrap();
    check_refused(&network, &mut peer, wrapped, RejectCode::OriginatorKeyUnknown).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_below_the_recipients_floor_is_accepted() {
    let (mut network, hub, mut xa, xb) = pair().await;
    let raised = network.roll(&xb, |entry| entry.suite_floor += 1).await;
    let envelope = Message::new(1, 1).envelope(&network, &xa.participant, &raised);
    check_refused(&network, &mut xa, envelope, RejectCode::SuiteUnsupported).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_for_a_key_that_its_owner_has_destroyed() {
    let (mut network, hub, mut xa, xb) = pair().await;
    let spent = network.roll(&xb, |entry| {
        let key = &mut entry.keys.sealing[0];
        key.open_until = ncp_protocol::ids::UnixMillis(now().0 - 1);
        key.seal_until = ncp_protocol::ids::UnixMillis(key.open_until.0 - ncp_protocol::limits::OPEN_AFTER_SEAL_MS);
    });
    let spent = spent.await;
    let envelope = Message::new(1, 1).envelope(&network, &xa.participant, &spent);
    check_refused(&network, &mut xa, envelope, RejectCode::RecipientKeyUnknown).await;
    hub.stop().await.unwrap();
}

/// One change to a good envelope, one code, nothing stored.
async fn check_refused(
    network: &Network,
    xa: &mut Peer,
    envelope: ncp_protocol::envelope::SealedEnvelope,
    code: RejectCode,
) {
    let before = files(&network.data().join("journal"));
    xa.send(Submit { envelope }).await;
    let refused = xa.expect_refused().await;
    assert_eq!(refused.code, code);
    assert!(files(&network.data().join("journal")) == before, "{code}: an event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_altered_or_is_not_the_peers_is_refused() {
    let (network, hub, mut xa, xb) = pair().await;
    let message = Message::new(1, 1);
    let good = message.header(&network, &xa.participant, &xb);
    let signer = xa.participant.clone();
    let signed = |change: &dyn Fn(&mut Header)| {
        let mut header = good.clone();
        change(&mut header);
        sign(&header, &signer)
    };
    let mut altered = signed(&|_| {});
    // A bit of the message id: prefix, version, suite and network stand before it.
    altered.header_bytes[50] ^= 1;
    let altered_header = Header::decode(&altered.header_bytes);
    let mut other_wrap = signed(&|_| {});
    other_wrap.wrap = Wrap::from_bytes(&[8; WRAP_LEN]).unwrap();
    let mut bad_signature = signed(&|_| {});
    bad_signature.signature.0[0] ^= 1;
    let (stranger, _) = network.stranger("XZ");
    let unknown_key = sign(&good, &stranger);
    let foreign = Digest([1; 32]);
    let cases = [
        (bad_signature, RejectCode::SignatureInvalid),
        (unknown_key, RejectCode::SignatureInvalid),
        (other_wrap, RejectCode::WrapMismatch),
        (signed(&|header| header.originator_key = KeyId(foreign)), RejectCode::OriginatorKeyUnknown),
        (signed(&|header| header.recipient_key = KeyId(foreign)), RejectCode::RecipientKeyUnknown),
        (signed(&|header| header.recipient = id("XZ")), RejectCode::RecipientUnknown),
        (signed(&|header| header.originator = id("XC")), RejectCode::OriginatorMismatch),
        (signed(&|header| header.network = NetworkId(foreign)), RejectCode::NetworkMismatch),
        (signed(&|header| header.created = now().plus_millis(DAY_MS)), RejectCode::LifetimeOutOfRange),
        (signed(&|header| header.not_after = header.created.plus_millis(31 * DAY_MS)), RejectCode::LifetimeOutOfRange),
    ];
    for (envelope, code) in cases {
        check_refused(&network, &mut xa, envelope, code).await;
    }
    assert!(altered_header.is_ok(), "it decodes, and no more");
    check_refused(&network, &mut xa, altered, RejectCode::SignatureInvalid).await;
    // The link has survived all of it.
    xa.submit(&network, &message, &xb).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_recipient_breaks_the_signature() {
    let (mut network, hub, mut xa, xb) = pair().await;
    let xc = network.join("XC").await;
    let message = Message::new(1, 1);
    let mut envelope = message.envelope(&network, &xa.participant, &xb);
    let mut header = envelope.unverified_header().unwrap();
    (header.recipient, header.recipient_key) = (xc.id, xc.sealing_key_id());
    envelope.header_bytes = header.encode();
    check_refused(&network, &mut xa, envelope, RejectCode::SignatureInvalid).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_chunk_is_refused_and_nothing_stays() {
    let (network, hub, mut xa, xb) = pair().await;
    for (n, chunks) in [(1, 1), (2, 3)] {
        let message = Message::new(n, chunks);
        xa.send(Submit { envelope: message.envelope(&network, &xa.participant, &xb) }).await;
        xa.expect_wanted().await;
        let mut altered = message.clone();
        altered.chunks.last_mut().unwrap()[7] ^= 1;
        xa.send_chunks(&altered, 0).await;
        assert_eq!(xa.expect_refused().await.code, RejectCode::BodyRootMismatch);
        assert!(files(&network.data().join("bodies")).is_empty());
        assert!(files(&network.data().join("incoming")).is_empty());
        // The true chunks are welcome.
        xa.submit(&network, &message, &xb).await;
    }
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_content_under_one_id_is_refused() {
    let (network, hub, mut xa, xb) = pair().await;
    xa.submit(&network, &Message::new(1, 1), &xb).await;
    let mut other = Message::new(2, 1);
    other.id = Message::new(1, 1).id;
    let envelope = other.envelope(&network, &xa.participant, &xb);
    xa.send(Submit { envelope: envelope.clone() }).await;
    assert_eq!(xa.expect_refused().await.code, RejectCode::ConflictingContent);
    check_refused(&network, &mut xa, envelope, RejectCode::ConflictingContent).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eighty_recipients_share_one_upload() {
    let mut network = Network::new();
    let hub = network.start().await;
    let xa = network.join("XA").await;
    let mut recipients = Vec::new();
    for n in 0..80 {
        recipients.push(network.join(&format!("Y{n}")).await);
    }
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    let message = Message::new(1, 3);
    for recipient in &recipients {
        xa.send(Submit { envelope: message.envelope(&network, &xa.participant, recipient) }).await;
    }
    let wanted = xa.expect_wanted().await;
    xa.send_chunks(&message, wanted.from_chunk).await;
    let mut accepted = 0;
    while accepted < 80 {
        let receipts = xa.expect_receipts().await;
        assert!(receipts.proofs.iter().all(|proof| xa.verify(proof).claim().kind == EvidenceKind::RelayAcceptance));
        accepted += receipts.proofs.len();
    }
    assert_eq!(files(&network.data().join("bodies")).len(), 1);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recall_is_final_before_the_offer_and_provisional_after() {
    let (network, hub, mut xa, xb) = pair().await;
    let (first, second) = (Message::new(1, 1), Message::new(2, 3));
    xa.submit(&network, &first, &xb).await;
    let outcome = async |xa: &mut Peer, message: &Message| {
        xa.send(Recall { message: message.id, recipient: id("XB") }).await;
        let receipts = xa.expect_receipts().await;
        let claim = *xa.verify(&receipts.proofs[0]).claim();
        assert_eq!((claim.kind, receipts.proofs.len()), (EvidenceKind::RelayFailure, 1));
        (claim.outcome, receipts)
    };
    let (recalled, proof) = outcome(&mut xa, &first).await;
    assert_eq!(recalled, Outcome::Recalled);
    xa.submit(&network, &second, &xb).await;
    let mut xb_peer = Peer::connect(&network, &xb, hub.address).await;
    xb_peer.expect_delivery().await;
    assert_eq!(outcome(&mut xa, &second).await.0, Outcome::RecalledAfterOffer);
    xa.settle().await;
    assert!(files(&network.data().join("bodies")).is_empty());
    // Once more: the same bytes. Of a message that never was: nothing waits.
    let cursor = ncp_protocol::frame::Cursor { epoch: ncp_protocol::ids::Epoch(1), number: 4 };
    xa.send(ncp_protocol::frame::ReceiptsStored { cursor }).await;
    let (_, again) = outcome(&mut xa, &first).await;
    assert_eq!((again.first, again.proofs), (proof.first, proof.proofs));
    xa.send(Recall { message: Message::new(9, 1).id, recipient: id("XB") }).await;
    assert_eq!(xa.expect_refused().await.code, RejectCode::NotWaiting);
    hub.stop().await.unwrap();
}

/// Of two envelopes over one body that does not come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recalled_waits_for_no_body() {
    let (mut network, hub, mut xa, xb) = pair().await;
    let xc = network.join("XC").await;
    let message = Message::new(1, 3);
    for recipient in [&xb, &xc] {
        xa.send(Submit { envelope: message.envelope(&network, &xa.participant, recipient) }).await;
    }
    xa.expect_wanted().await;
    let recall = async |xa: &mut Peer, recipient: &Participant| {
        xa.send(Recall { message: message.id, recipient: recipient.id }).await;
        let refusals = [xa.expect_refused().await, xa.expect_refused().await];
        assert!(refusals.iter().all(|refused| refused.envelope.recipient == recipient.id), "{refusals:?}");
        // The envelope's end and the recall's answer come from two hands.
        let mut codes = refusals.map(|refused| refused.code);
        codes.sort_unstable();
        assert_eq!(codes, [RejectCode::BodyMissing, RejectCode::NotWaiting]);
    };
    recall(&mut xa, &xb).await;
    assert!(!files(&network.data().join("incoming")).is_empty(), "the other one waits");
    recall(&mut xa, &xc).await;
    assert!(files(&network.data().join("incoming")).is_empty());
    // The body is asked for again when an envelope wants it.
    xa.submit(&network, &message, &xb).await;
    hub.stop().await.unwrap();
}

/// The body of a large message flows when all that wait for it are recalled, with one behind them that the pace holds back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recalled_before_it_is_begun_waits_for_no_body_either() {
    let mut network = Network::new();
    let mut config = network.config();
    // The window may come, and a second passes until the last of it is begun.
    config.envelopes_per_second = 20;
    let hub = ncp_relay::start::start(config).await.unwrap();
    let xa = network.join("XA").await;
    let mut recipients = Vec::new();
    for n in 0..BEGUN_AT_ONCE + 4 {
        recipients.push(network.join(&format!("Y{n}")).await);
    }
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    let message = Message::new(1, 3);
    for recipient in &recipients {
        xa.send(Submit { envelope: message.envelope(&network, &xa.participant, recipient) }).await;
    }
    assert_eq!(xa.expect_wanted().await.from_chunk, 0);
    let kept = recipients.pop().unwrap();
    for recipient in &recipients {
        xa.send(Recall { message: message.id, recipient: recipient.id }).await;
    }
    let mut ended = BTreeSet::new();
    while ended.len() < recipients.len() {
        let refused = xa.expect_refused().await;
        if refused.code == RejectCode::BodyMissing {
            assert!(ended.insert(refused.envelope.recipient), "each once");
        }
    }
    assert!(!ended.contains(&kept.id));
    xa.send_chunks(&message, 0).await;
    let receipts = loop {
        // Recalls that met nothing are still being answered.
        if let Frame::Receipts(receipts) = xa.matter().await {
            break receipts;
        }
    };
    assert_eq!(xa.verify(&receipts.proofs[0]).claim().envelope.recipient, kept.id);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_recalls_come_at_once_each_is_answered() {
    const RECALLS: u32 = 3_000;
    let (network, hub, xa, xb) = pair().await;
    let submit = Submit { envelope: Message::new(1, 1).envelope(&network, &xa.participant, &xb) };
    let Connection { mut writer, mut reader, .. } = xa.connection;
    let asking = tokio::spawn(async move {
        for n in 0..RECALLS {
            let mut message = MessageId([7; 16]);
            message.0[..4].copy_from_slice(&n.to_be_bytes());
            let (kind, payload) = Frame::from(Recall { message, recipient: xb.id }).encode();
            soon(writer.send(&RawFrame { kind, payload })).await.unwrap();
        }
        let (kind, payload) = Frame::from(submit).encode();
        soon(writer.send(&RawFrame { kind, payload })).await.unwrap();
        writer
    });
    let (mut answered, mut wanted) = (BTreeSet::new(), false);
    while answered.len() < RECALLS as usize || !wanted {
        let raw = soon(reader.next()).await.unwrap().expect("the hub closed the link");
        let frame = Frame::decode(raw.kind, &raw.payload).unwrap();
        wanted |= matches!(frame, Frame::BodyWanted(_));
        if let Frame::Refused(refused) = frame {
            assert_eq!(refused.code, RejectCode::NotWaiting);
            assert!(answered.insert(refused.envelope.message), "each once");
        }
    }
    drop(asking.await.unwrap());
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_fetches_expires_with_evidence() {
    let (network, hub, mut xa, xb) = pair().await;
    let mut message = Message::new(1, 3);
    message.created = ncp_protocol::ids::UnixMillis(now().0 - DAY_MS);
    message.not_after = now().plus_millis(8_000);
    xa.submit(&network, &message, &xb).await;
    let receipts = xa.expect_receipts().await;
    let verified = xa.verify(&receipts.proofs[0]);
    assert_eq!(verified.claim().outcome, Outcome::Expired);
    assert!(verified.time() >= message.not_after);
    xa.settle().await;
    assert!(files(&network.data().join("bodies")).is_empty());
    // Submitted anew it is too late; under the same header it is a duplicate.
    message.seal = SealNumber(2);
    xa.send(Submit { envelope: message.envelope(&network, &xa.participant, &xb) }).await;
    assert_eq!(xa.expect_refused().await.code, RejectCode::Expired);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_up_quota_refuses_for_the_time_being() {
    let mut network = Network::new();
    let mut config = network.config();
    config.quotas.originator_envelopes = 2;
    let hub = ncp_relay::start::start(config).await.unwrap();
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    for n in 1..=2 {
        xa.submit(&network, &Message::new(n, 1), &xb).await;
    }
    let third = Message::new(3, 1);
    let envelope = third.envelope(&network, &xa.participant, &xb);
    check_refused(&network, &mut xa, envelope, RejectCode::QuotaExceeded).await;
    xa.send(Recall { message: Message::new(1, 1).id, recipient: xb.id }).await;
    xa.expect_receipts().await;
    xa.submit(&network, &third, &xb).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_higher_seal_takes_the_place_of_a_waiting_one() {
    let (network, hub, mut xa, xb) = pair().await;
    let mut message = Message::new(1, 1);
    xa.submit(&network, &message, &xb).await;
    (message.seal, message.precedence) = (SealNumber(2), Precedence::Urgent);
    xa.submit(&network, &message, &xb).await;
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    let delivered = peer.expect_delivery().await.envelope.unverified_header().unwrap();
    assert_eq!(delivered.seal, SealNumber(2));
    let status = network.api().hub_status().await.unwrap();
    assert_eq!(status.peers.iter().find(|peer| peer.participant == xb.id).unwrap().waiting, 1);
    hub.stop().await.unwrap();
}
