//! Deliveries, the recipient's evidence, and what the originator learns of it.

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::evidence;
use ncp_protocol::frame::{Deliver, Frame, Receipts};
use ncp_protocol::ids::{Epoch, LogName, LogOrigin};
use ncp_protocol::reject::RejectCode;

use crate::network::{Network, files};
use crate::peer::{Log, Message, Peer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_delivered_consigned_and_its_body_deleted() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb, xc) = (network.join("XA").await, network.join("XB").await, network.join("XC").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    let message = Message::new(1, 3);
    let r1 = xa.submit(&network, &message, &xb).await;
    xa.submit(&network, &message, &xc).await;

    let mut number = 3;
    for (recipient, bodies_left) in [(&xb, 1), (&xc, 0)] {
        let mut peer = Peer::connect(&network, recipient, hub.address).await;
        let delivery = peer.expect_delivery().await;
        assert_eq!(peer.verify(&delivery.acceptance).claim().header, delivery.envelope.header_digest());
        if recipient.id == xb.id {
            assert_eq!(delivery.acceptance, r1);
        }
        assert_eq!(peer.fetch(&delivery.envelope).await, message.chunks);
        let mut log = Log::default();
        let kinds =
            [(EvidenceKind::ContentConsignment, Outcome::Done), (EvidenceKind::ContentHandover, Outcome::Confirmed)];
        let proofs: Vec<_> =
            kinds.map(|(kind, outcome)| peer.state(&network, &mut log, &delivery.envelope, kind, outcome)).into();
        peer.hand_in(1, proofs.clone()).await;
        // The same once more is known: nothing new for the originator.
        peer.hand_in(1, proofs.clone()).await;
        let mut received = Vec::new();
        while received.len() < 2 {
            let receipts = xa.expect_receipts().await;
            assert_eq!(receipts.first, number);
            number += receipts.proofs.len() as u64;
            received.extend(receipts.proofs);
        }
        assert_eq!(received, proofs);
        let origin = LogOrigin { network: network.id, participant: recipient.id, log: LogName::Node, epoch: Epoch(1) };
        for proof in &received {
            evidence::verify(proof, &origin, &recipient.log().verifying_key()).unwrap();
        }
        xa.settle().await;
        assert_eq!(files(&network.data().join("bodies")).len(), bodies_left);
    }
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_by_the_recipient_reaches_the_originator() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    let mut xb = Peer::connect(&network, &xb, hub.address).await;
    xa.submit(&network, &Message::new(1, 1), &xb.participant.clone()).await;
    let delivery = xb.expect_delivery().await;
    let outcome = Outcome::Rejected(RejectCode::WrapUnopened);
    let kind = EvidenceKind::ContentConsignmentFailure;
    let proof = xb.state(&network, &mut Log::default(), &delivery.envelope, kind, outcome);
    xb.hand_in(1, vec![proof.clone()]).await;
    assert_eq!(xa.expect_receipts().await.proofs, [proof]);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_consigned_is_delivered_again_on_the_next_link() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    xa.submit(&network, &Message::new(1, 1), &xb).await;
    let first = Peer::connect(&network, &xb, hub.address).await.expect_delivery().await;
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    assert_eq!(peer.expect_delivery().await, first);
    // Its hello says how much of its evidence is stored: nothing yet.
    assert_eq!(peer.hello.as_ref().unwrap().receipts.number, 0);
    let proof =
        peer.state(&network, &mut Log::default(), &first.envelope, EvidenceKind::ContentConsignment, Outcome::Done);
    peer.hand_in(1, vec![proof.clone()]).await;
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    let hello = peer.hello.clone().unwrap();
    assert_eq!((hello.receipts.epoch, hello.receipts.number), (Epoch(1), 1));
    // The hub holds the checkpoint under which the evidence came.
    assert_eq!(hello.checkpoints, [proof.checkpoint_note]);
    xa.submit(&network, &Message::new(2, 1), &xb).await;
    let next = peer.expect_delivery().await.envelope.unverified_header().unwrap();
    assert_eq!(next.message, Message::new(2, 1).id, "what was consigned came again");
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_mail_goes_first_and_credit_bounds_what_goes() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    for n in 1..=5 {
        let mut message = Message::new(n, 1);
        message.precedence = if n == 4 { Precedence::Urgent } else { Precedence::Routine };
        xa.submit(&network, &message, &xb).await;
    }
    let mut peer = Peer::dial(&network, &xb, hub.address).await;
    let mut hello = peer.hello_frame(&network, 0);
    hello.credit.envelopes = 2;
    peer.send(hello).await;
    let mut order = Vec::new();
    let number = |deliver: Deliver| deliver.envelope.unverified_header().unwrap().message.0[0];
    assert!(matches!(peer.next().await, Frame::Hello(_)));
    for _ in 0..2 {
        order.push(number(peer.expect_delivery().await));
    }
    // No third one before there is credit for it: a ping is answered first.
    peer.send(ncp_protocol::frame::Ping { nonce: 77 }).await;
    assert_eq!(peer.matter().await, Frame::Pong(ncp_protocol::frame::Pong { nonce: 77 }));
    peer.send(ncp_protocol::frame::Credit { envelopes: 3, bytes: 0 }).await;
    for _ in 0..3 {
        order.push(number(peer.expect_delivery().await));
    }
    assert_eq!(order, [4, 1, 2, 3, 5]);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_delays_nobody() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb, xc) = (network.join("XA").await, network.join("XB").await, network.join("XC").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    // XB asks for a body that is larger than what the system buffers between the two, and reads nothing of it.
    let large = Message::new(1, 200);
    xa.submit(&network, &large, &xb).await;
    let mut deaf = Peer::connect(&network, &xb, hub.address).await;
    let delivery = deaf.expect_delivery().await;
    let header = delivery.envelope.unverified_header().unwrap();
    let wanted = ncp_protocol::frame::BodyWanted {
        originator: header.originator,
        message: header.message,
        root: header.ciphertext_root,
        from_chunk: 0,
    };
    deaf.send(ncp_protocol::frame::Credit { envelopes: 0, bytes: 64 << 20 }).await;
    deaf.send(wanted).await;
    for n in 2..=10 {
        xa.submit(&network, &Message::new(n, 1), &xb).await;
        xa.submit(&network, &Message::new(n, 1), &xc).await;
    }
    let mut xc = Peer::connect(&network, &xc, hub.address).await;
    for _ in 2..=10 {
        xc.expect_delivery().await;
    }
    drop(deaf);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_evidence_ends_the_link() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    xa.submit(&network, &Message::new(1, 1), &xb).await;
    let mut altered = None;
    for attempt in 0..3 {
        let mut peer = Peer::connect(&network, &xb, hub.address).await;
        let delivery = peer.expect_delivery().await;
        let kind = EvidenceKind::ContentConsignment;
        let mut proof = peer.state(&network, &mut Log::default(), &delivery.envelope, kind, Outcome::Done);
        match attempt {
            0 => proof.event[40] ^= 1,
            // R1 itself is no evidence of the recipient.
            1 => proof = delivery.acceptance,
            _ => {
                altered = Some(proof.clone());
                proof.index += 1;
            }
        }
        peer.send(Receipts { epoch: Epoch(1), first: 1, proofs: vec![proof] }).await;
        assert_eq!(peer.expect_bye().await, Some(RejectCode::EvidenceInvalid));
    }
    // The true one is still welcome.
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    peer.expect_delivery().await;
    peer.hand_in(1, altered.into_iter().collect()).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_record_costs_its_envelope_alone() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let first = Message::new(1, 1);
    peer.submit(&network, &first, &xb).await;
    peer.submit(&network, &Message::new(2, 1), &xb).await;
    drop(peer);
    hub.stop().await.unwrap();
    let lost = first.envelope(&network, &xa, &xb).encode();
    for (path, mut bytes) in files(&network.data().join("spool")) {
        if let Some(place) = bytes.windows(lost.len()).position(|window| window == lost) {
            bytes[place] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    }

    let hub = network.start().await;
    let mut xb = Peer::connect(&network, &xb, hub.address).await;
    let delivery = xb.expect_delivery().await;
    assert_eq!(delivery.envelope.unverified_header().unwrap().message, Message::new(2, 1).id);
    let health = network.api().health().await.unwrap();
    let check = health.checks.iter().find(|check| check.id == "S06").unwrap();
    assert_eq!(check.code.as_deref(), Some("NCP-E5106"), "{check:?}");
    hub.stop().await.unwrap();
}
