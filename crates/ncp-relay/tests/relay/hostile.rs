//! Peers that break the protocol are told a code and cut off; others are served on.

use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::{BodyChunk, Bye, Checkpoint, Frame, Ping, Pong, Receipts, Refused, Restricted, Submit};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, Epoch, LogName, LogOrigin, NetworkId};
use ncp_protocol::limits::ENVELOPE_MAX;
use ncp_protocol::reject::RejectCode;
use ncp_relay::start::Running;
use ncp_transport::dial::AttemptError;
use ncp_transport::handshake::HandshakeError;

use crate::network::{Network, Participant, authority, id, issue_by, soon};
use crate::peer::{Log, Message, Peer, dialler};

async fn hub() -> (Network, Running, Participant, Participant) {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    (network, hub, xa, xb)
}

/// After whatever happened, an honest peer is served.
async fn still_serves(network: &Network, hub: Running, honest: &Participant, to: &Participant) {
    let mut peer = Peer::connect(network, honest, hub.address).await;
    peer.submit(network, &Message::new(200, 1), to).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_oversized_frames_cut_the_link() {
    let (network, hub, xa, xb) = hub().await;
    let cases: [(u8, Vec<u8>, RejectCode); 5] = [
        (2, vec![0xff; 100], RejectCode::FrameMalformed),
        (2, Vec::new(), RejectCode::FrameMalformed),
        (17, vec![1, 2, 3], RejectCode::FrameMalformed),
        (99, vec![1], RejectCode::FrameMalformed),
        (2, vec![0; ENVELOPE_MAX + 1], RejectCode::FrameTooLong),
    ];
    for (kind, payload, code) in cases {
        let mut peer = Peer::connect(&network, &xa, hub.address).await;
        peer.send_raw(kind, payload).await;
        assert_eq!(peer.expect_bye().await, Some(code), "kind {kind}");
    }
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_out_of_place_cut_the_link() {
    let (network, hub, xa, xb) = hub().await;
    let mut peer = Peer::dial(&network, &xa, hub.address).await;
    peer.send(Ping { nonce: 1 }).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::FrameUnexpected), "before hello");
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    peer.send(peer.hello_frame(&network, 0)).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::FrameUnexpected), "a second hello");
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let wanted = ncp_protocol::frame::EntriesChanged { timestamp: vec![1] };
    peer.send(wanted).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::FrameUnexpected), "the hub's own frame");
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_does_not_fit_cuts_the_link() {
    let (network, hub, xa, xb) = hub().await;
    type Change = fn(&mut ncp_protocol::frame::Hello);
    let changes: [(Change, RejectCode); 4] = [
        (|hello| hello.versions = vec![7], RejectCode::VersionUnsupported),
        (|hello| hello.suites = vec![9], RejectCode::SuiteUnsupported),
        (|hello| hello.network = NetworkId(Digest([1; 32])), RejectCode::NetworkMismatch),
        (|hello| hello.participant = id("XB"), RejectCode::OriginatorMismatch),
    ];
    for (change, code) in changes {
        let mut peer = Peer::dial(&network, &xa, hub.address).await;
        let mut hello = peer.hello_frame(&network, 0);
        change(&mut hello);
        peer.send(hello).await;
        assert_eq!(peer.expect_bye().await, Some(code));
    }
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_and_reordered_chunks_cut_the_link() {
    let (network, hub, xa, xb) = hub().await;
    for order in [[0, 0], [1, 0]] {
        let mut peer = Peer::connect(&network, &xa, hub.address).await;
        let message = Message::new(1, 3);
        peer.send(Submit { envelope: message.envelope(&network, &xa, &xb) }).await;
        peer.expect_wanted().await;
        for index in order {
            let bytes = message.chunks[usize::try_from(index).unwrap()].clone();
            peer.send(BodyChunk { originator: xa.id, message: message.id, index, bytes }).await;
        }
        assert_eq!(peer.expect_bye().await, Some(RejectCode::ChunkOutOfOrder));
    }
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_credit_cuts_the_link() {
    let (network, hub, xa, xb) = hub().await;
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let credit = peer.hello.as_ref().unwrap().credit.envelopes;
    // Each waits for its body, which never comes, so no credit returns.
    for n in 0..=credit {
        let mut message = Message::new(1, 1);
        message.id.0[..4].copy_from_slice(&n.to_be_bytes());
        peer.send(Submit { envelope: message.envelope(&network, &xa, &xb) }).await;
    }
    // Each is asked for its body first.
    assert_eq!(peer.expect_bye().await, Some(RejectCode::CreditExceeded));
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_header_cuts_the_link() {
    let (network, hub, xa, xb) = hub().await;
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let mut envelope = Message::new(1, 1).envelope(&network, &xa, &xb);
    envelope.header_bytes.truncate(50);
    peer.send(Submit { envelope }).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::HeaderMalformed));
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let mut header = Message::new(1, 1).header(&network, &xa, &xb);
    header.seal.0 = 0;
    peer.send(Submit { envelope: crate::peer::sign(&header, &xa) }).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::HeaderMalformed));
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_breaks_a_rule_is_refused_alone() {
    let (network, hub, xa, xb) = hub().await;
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    type Break = fn(&mut ncp_protocol::header::Header);
    let breaks: [(Break, RejectCode); 6] = [
        (|header| header.version = 2, RejectCode::VersionUnsupported),
        (|header| header.suite = 2, RejectCode::SuiteUnsupported),
        (|header| header.recipient = header.originator, RejectCode::SelfAddressed),
        (|header| header.recipient = id("HUB"), RejectCode::RecipientUnknown),
        (|header| header.originator = id("HUB"), RejectCode::OriginatorMismatch),
        (|header| header.body_length = 17, RejectCode::BodyLengthMismatch),
    ];
    for (break_rule, code) in breaks {
        let mut header = Message::new(1, 1).header(&network, &xa, &xb);
        break_rule(&mut header);
        let Header { originator, message, recipient, seal, .. } = header;
        peer.send(Submit { envelope: crate::peer::sign(&header, &xa) }).await;
        let envelope = EnvelopeKey { originator, message, recipient, seal };
        assert_eq!(peer.expect_refused().await, Refused { envelope, code });
    }
    peer.submit(&network, &Message::new(1, 1), &xb).await;
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_link_ends_the_older() {
    let (network, hub, xa, xb) = hub().await;
    let mut older = Peer::connect(&network, &xa, hub.address).await;
    let mut newer = Peer::connect(&network, &xa, hub.address).await;
    assert_eq!(older.expect_bye().await, Some(RejectCode::PeerSuperseded));
    newer.send(Ping { nonce: 5 }).await;
    assert_eq!(newer.matter().await, Frame::Pong(Pong { nonce: 5 }));
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_other_authorities_do_not_get_in() {
    let (network, hub, xa, xb) = hub().await;
    let (stranger, _) = network.stranger("XZ");
    let mut peer = Peer::dial(&network, &stranger, hub.address).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::PeerUnknown));
    let (material, _) = issue_by(&authority(), network.authority_pem(), &network.id, xa.id);
    let impostor = Participant { tls: network.settings(&material), ..xa.clone() };
    let mut dialled = soon(dialler(&impostor, hub.address).dial()).await;
    // The hub's refusal comes at the first read.
    let refused = match &mut dialled {
        Ok(connection) => soon(connection.reader.next()).await.is_err(),
        Err(error) => error
            .attempts
            .iter()
            .any(|attempt| matches!(attempt.error, AttemptError::Handshake(HandshakeError::RefusedByPeer(_)))),
    };
    assert!(refused);
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_under_a_known_name_gets_directory_data_alone() {
    let (network, hub, xa, xb) = hub().await;
    let (material, _) = network.issue(xa.id);
    let other_key = Participant { tls: network.settings(&material), ..xa.clone() };
    let mut peer = Peer::dial(&network, &other_key, hub.address).await;
    peer.send(peer.hello_frame(&network, 0)).await;
    // It is told so before anything else.
    assert_eq!(peer.next().await, Frame::Restricted(Restricted { code: RejectCode::PinMismatch }));
    assert!(matches!(peer.next().await, Frame::Hello(_)));
    peer.send(ncp_protocol::frame::EntryGet { root_version: 0, digests: vec![xb.digest] }).await;
    let Frame::Entries(entries) = peer.matter().await else { panic!("no entries") };
    assert_eq!((entries.entries.len(), entries.roots.len()), (1, 1));
    peer.send(Submit { envelope: Message::new(1, 1).envelope(&network, &xa, &xb) }).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::PinMismatch));
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_piece_of_evidence_blocks_nothing() {
    let (network, hub, xa, xb) = hub().await;
    let mut originator = Peer::connect(&network, &xa, hub.address).await;
    originator.submit(&network, &Message::new(1, 1), &xb).await;
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    let delivery = peer.expect_delivery().await;
    let mut log = Log::default();
    let mut other = delivery.envelope.unverified_header().unwrap();
    other.precedence = ncp_protocol::codes::Precedence::Urgent;
    let kind = ncp_protocol::event::EvidenceKind::ContentConsignment;
    let done = ncp_protocol::event::Outcome::Done;
    let unrelated = peer.state(&network, &mut log, &crate::peer::sign(&other, &xa), kind, done);
    let true_one = peer.state(&network, &mut log, &delivery.envelope, kind, done);
    peer.hand_in(1, vec![unrelated.clone(), true_one.clone()]).await;
    assert_eq!(originator.expect_receipts().await.proofs, std::slice::from_ref(&true_one));
    // On the next link the hub asks for what is behind both, and what is shown again all the same changes nothing.
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    assert_eq!(peer.hello.as_ref().unwrap().receipts.number, 2);
    peer.hand_in(1, vec![unrelated, true_one]).await;
    let peer = Peer::connect(&network, &xb, hub.address).await;
    assert_eq!(peer.hello.as_ref().unwrap().receipts.number, 2);
    originator.settle().await;
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_under_two_branches_of_a_log_cuts_the_link() {
    let (network, hub, xa, xb) = hub().await;
    let mut originator = Peer::connect(&network, &xa, hub.address).await;
    for n in 1..=2 {
        originator.submit(&network, &Message::new(n, 1), &xb).await;
    }
    let mut peer = Peer::connect(&network, &xb, hub.address).await;
    let deliveries = [peer.expect_delivery().await, peer.expect_delivery().await];
    let kind = ncp_protocol::event::EvidenceKind::ContentConsignment;
    let done = ncp_protocol::event::Outcome::Done;
    // Two logs under one key, each with its own first leaf.
    let [one, other] = [0, 1].map(|n: usize| {
        let delivery = deliveries.get(n).unwrap();
        peer.state(&network, &mut Log::default(), &delivery.envelope, kind, done)
    });
    peer.hand_in(1, vec![one]).await;
    peer.send(Receipts { epoch: Epoch(1), first: 2, proofs: vec![other] }).await;
    assert_eq!(peer.expect_bye().await, Some(RejectCode::CheckpointInconsistent));
    still_serves(&network, hub, &xa, &xb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_checkpoint_before_a_good_bye_is_kept() {
    let (network, hub, xa, xb) = hub().await;
    let origin = LogOrigin { network: network.id, participant: xa.id, log: LogName::Node, epoch: Epoch(1) };
    let note = |size| {
        let checkpoint =
            ncp_protocol::checkpoint::Checkpoint { origin: origin.to_string(), size, root: Digest([1; 32]) };
        checkpoint.sign(&xa.log()).note().to_owned()
    };
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    for size in 1..=3 {
        peer.send(Checkpoint { notes: vec![note(size)] }).await;
    }
    peer.send(Bye { code: Some(RejectCode::ShuttingDown) }).await;
    while let Ok(Some(_)) = peer.try_next().await {}
    let again = Peer::connect(&network, &xa, hub.address).await;
    assert_eq!(again.hello.as_ref().unwrap().checkpoints, [note(3)]);
    still_serves(&network, hub, &xb, &xa).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_note_of_a_frame_is_looked_at() {
    let (network, hub, xa, xb) = hub().await;
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let origin = LogOrigin { network: network.id, participant: xa.id, log: LogName::Node, epoch: Epoch(1) };
    let note = |root| {
        let root = Digest([root; 32]);
        let checkpoint = ncp_protocol::checkpoint::Checkpoint { origin: origin.to_string(), size: 9, root };
        checkpoint.sign(&xa.log()).note().to_owned()
    };
    // The first is kept, and the others, which cost as much each, are not read.
    peer.send(Checkpoint { notes: (1..=32).map(note).collect() }).await;
    // The desk answers in order.
    peer.send(ncp_protocol::frame::EntryGet { root_version: 0, digests: vec![xb.digest] }).await;
    assert!(matches!(peer.matter().await, Frame::Entries(_)));
    let mut again = Peer::connect(&network, &xa, hub.address).await;
    assert_eq!(again.hello.as_ref().unwrap().checkpoints, [note(1)]);
    again.send(Checkpoint { notes: vec![note(2)] }).await;
    assert_eq!(again.expect_bye().await, Some(RejectCode::CheckpointInconsistent));
    still_serves(&network, hub, &xb, &xa).await;
}
