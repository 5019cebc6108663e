//! Peers that ask for, or send, more than they should: what they cost is bounded, and others are served on.

use std::collections::BTreeSet;
use std::path::Path;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{EnvelopeKey, EvidenceKind, Outcome};
use ncp_protocol::evidence;
use ncp_protocol::frame::{BodyWanted, Credit, Deliver, Frame, Recall, Receipts, Refused, Submit};
use ncp_protocol::ids::{Epoch, MessageId, SealNumber};
use ncp_protocol::limits::CHUNK_SEALED;
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;
use ncp_relay::limits::{BODIES_OPEN_MAX, BODIES_WANTED_MAX};

use crate::network::{Network, Participant, soon};
use crate::peer::{Log, Message, Peer};

fn wish(delivery: &Deliver) -> BodyWanted {
    let header = delivery.envelope.unverified_header().unwrap();
    BodyWanted { originator: header.originator, message: header.message, root: header.ciphertext_root, from_chunk: 0 }
}

/// Descriptors of this process, which is the hub too, on files below `folder`.
fn open_below(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok()).filter(|to| to.starts_with(&folder)).count()
}

/// A link that grants no bytes yet.
async fn without_bytes(
    network: &Network,
    participant: &crate::network::Participant,
    hub: std::net::SocketAddr,
) -> Peer {
    let mut peer = Peer::dial(network, participant, hub).await;
    let mut hello = peer.hello_frame(network, 0);
    hello.credit.bytes = 0;
    peer.send(hello).await;
    assert!(matches!(peer.next().await, Frame::Hello(_)));
    peer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_burst_urgent_mail_is_begun_first_and_the_rest_at_the_pace() {
    const BURST: u8 = 40;
    let mut network = Network::new();
    let mut config = network.config();
    config.envelopes_per_second = 1;
    let hub = ncp_relay::start::start(config).await.unwrap();
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut xa = Peer::connect(&network, &xa, hub.address).await;
    for n in 1..=BURST {
        xa.submit_ahead(&network, &Message::new(n, 1), &xb).await;
    }
    // Time for all of the burst, if it were begun.
    for n in 100..120 {
        let urgent = Message { precedence: Precedence::Urgent, ..Message::new(n, 1) };
        xa.submit_ahead(&network, &urgent, &xb).await;
        let urgent = urgent.envelope(&network, &xa.participant, &xb).header_digest();
        let is_of_it = |proof: &LogProof| evidence::unverified_claim(proof).unwrap().header == urgent;
        while !xa.expect_receipts().await.proofs.iter().any(is_of_it) {}
    }
    xa.send(Recall { message: MessageId([BURST; 16]), recipient: xb.id }).await;
    let mut answer = xa.matter().await;
    while let Frame::Receipts(receipts) = &answer {
        let recalled = |proof: &LogProof| evidence::unverified_claim(proof).unwrap().kind == EvidenceKind::RelayFailure;
        assert!(!receipts.proofs.iter().any(recalled), "the last of the burst was begun");
        answer = xa.matter().await;
    }
    assert!(matches!(answer, Frame::Refused(Refused { code: RejectCode::NotWaiting, .. })), "{answer:?}");
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_for_many_bodies_open_few() {
    const BODIES: u8 = 20;
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut originator = Peer::connect(&network, &xa, hub.address).await;
    for n in 1..=BODIES {
        originator.submit(&network, &Message::new(n, 2), &xb).await;
    }
    let mut peer = without_bytes(&network, &xb, hub.address).await;
    for _ in 0..BODIES {
        let wanted = wish(&peer.expect_delivery().await);
        peer.send(wanted).await;
    }
    let first_of_each = u64::from(BODIES) * CHUNK_SEALED as u64;
    let mut begun = BTreeSet::new();
    peer.send(Credit { envelopes: 0, bytes: first_of_each }).await;
    for _ in 0..BODIES {
        let Frame::BodyChunk(chunk) = peer.matter().await else { panic!("no chunk") };
        begun.insert((chunk.index, chunk.message));
    }
    // More are under way than may be open: of most one chunk is here, and one is to come.
    let messages: BTreeSet<MessageId> = begun.iter().map(|(_, message)| *message).collect();
    assert!(messages.len() > 2 * BODIES_OPEN_MAX, "{begun:?}");
    // The next is read, or about to be, and waits for credit.
    let mut open = 0;
    let some = async {
        while open == 0 {
            tokio::task::yield_now().await;
            open = open_below(&network.data().join("bodies"));
        }
    };
    soon(some).await;
    assert!(open <= BODIES_OPEN_MAX + 1, "{open}");
    peer.send(Credit { envelopes: 0, bytes: first_of_each }).await;
    for _ in 0..BODIES {
        let Frame::BodyChunk(chunk) = peer.matter().await else { panic!("no chunk") };
        begun.insert((chunk.index, chunk.message));
    }
    let whole = (1..=BODIES).flat_map(|n| [0, 1].map(|index| (index, MessageId([n; 16]))));
    assert_eq!(begun, whole.collect());
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_body_goes_before_the_others_that_are_asked_for() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut originator = Peer::connect(&network, &xa, hub.address).await;
    let mut peer = without_bytes(&network, &xb, hub.address).await;
    for n in 1..=5 {
        let mut message = Message::new(n, 2);
        message.precedence = if n == 5 { Precedence::Urgent } else { Precedence::Routine };
        originator.submit(&network, &message, &xb).await;
        let wanted = wish(&peer.expect_delivery().await);
        peer.send(wanted).await;
    }
    peer.send(Credit { envelopes: 0, bytes: 10 * CHUNK_SEALED as u64 }).await;
    let mut order = Vec::new();
    for _ in 0..10 {
        let Frame::BodyChunk(chunk) = peer.matter().await else { panic!("no chunk") };
        order.push(chunk.message.0[0]);
    }
    // The first stood ready when only it had been asked for.
    assert_eq!(order, [1, 5, 5, 2, 3, 4, 1, 2, 3, 4]);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_returns_while_others_wait_for_their_bodies() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let window = peer.hello.as_ref().unwrap().credit.envelopes;
    // A body on a slow line holds the credit of its envelope for as long as it takes.
    let slow = Message::new(1, 2);
    peer.send(Submit { envelope: slow.envelope(&network, &xa, &xb) }).await;
    peer.expect_wanted().await;
    for n in 1..=3 {
        peer.submit(&network, &Message::new(1 + n, 1), &xb).await;
        peer.until_granted(window + u32::from(n)).await;
    }
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_without_end_cut_the_link() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut originator = Peer::connect(&network, &xa, hub.address).await;
    originator.submit(&network, &Message::new(1, 2), &xb).await;
    let mut peer = without_bytes(&network, &xb, hub.address).await;
    let mut wanted = wish(&peer.expect_delivery().await);
    peer.send(wanted).await;
    for n in 0..=u32::try_from(BODIES_WANTED_MAX).unwrap() {
        wanted.message.0[..4].copy_from_slice(&n.to_le_bytes());
        peer.send(wanted).await;
    }
    assert_eq!(peer.expect_bye().await, Some(RejectCode::RateExceeded));
    originator.settle().await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_pinned_does_not_end_the_true_link() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let (material, _) = network.issue(xa.id);
    let stolen = Participant { tls: network.settings(&material), ..xa.clone() };
    for _ in 0..3 {
        let mut thief = Peer::dial(&network, &stolen, hub.address).await;
        thief.send(thief.hello_frame(&network, 0)).await;
        assert!(matches!(thief.next().await, Frame::Restricted(_)));
        assert!(matches!(thief.next().await, Frame::Hello(_)));
    }
    peer.submit(&network, &Message::new(1, 1), &xb).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_under_signatures_of_nobody_is_not_kept() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut originator = Peer::connect(&network, &xa, hub.address).await;
    originator.submit(&network, &Message::new(1, 1), &xb).await;
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    let delivery = peer.expect_delivery().await;
    let (kind, outcome) = (EvidenceKind::ContentConsignment, Outcome::Done);
    let proof = peer.state(&network, &mut Log::default(), &delivery.envelope, kind, outcome);
    let mut padded = proof.clone();
    // Longest line that a note takes: what fills it need not be a signature of anything.
    let line = format!("\u{2014} nobody {}=\n", "A".repeat(2000 * 4 - 1));
    (0..4).for_each(|_| padded.checkpoint_note.push_str(&line));
    peer.send(Receipts { epoch: Epoch(1), first: 1, proofs: vec![padded] }).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::EvidenceInvalid));
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    peer.expect_delivery().await;
    peer.hand_in(1, vec![proof.clone()]).await;
    assert_eq!(originator.expect_receipts().await.proofs, [proof]);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_what_was_not_sent_leave_nothing() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut originator = Peer::connect(&network, &xa, hub.address).await;
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    let key = |n: u32| {
        let mut message = MessageId([0; 16]);
        message.0[..4].copy_from_slice(&n.to_le_bytes());
        EnvelopeKey { originator: xa.id, message, recipient: xb.id, seal: SealNumber(1) }
    };
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for round in 0..10 {
        for n in 0..200 {
            peer.send(Refused { envelope: key(round * 1000 + n), code: RejectCode::StoreFull }).await;
        }
        originator.submit(&network, &Message::new(u8::try_from(round).unwrap(), 1), &xb).await;
        peer.expect_delivery().await;
    }
    let after = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(after < before + 100, "{before} tasks, then {after}");
    hub.stop().await.unwrap();
}
