//! What a restart must not change: evidence, mail, uploads; and what the hub does when others remember more than it does.

use std::path::Path;

use ncp_api::health::CheckResult;
use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::frame::{Frame, Submit};
use ncp_protocol::ids::Digest;
use ncp_protocol::limits::CHUNK_SEALED;
use ncp_protocol::reject::{Permanence, RejectCode};

use crate::network::{Network, files, key, soon};
use crate::peer::{Log, Message, Peer};

fn index(network: &Network) -> std::path::PathBuf {
    network.data().join("index")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_the_same_bytes_after_a_restart_and_without_the_index() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let message = Message::new(1, 3);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let first = peer.submit(&network, &message, &xb).await;
    hub.stop().await.unwrap();
    for delete_index in [false, true] {
        if delete_index {
            assert!(index(&network).exists());
            std::fs::remove_dir_all(index(&network)).unwrap();
        }
        let hub = network.start().await;
        // Who has stored R1 asks for nothing, and gets it for its duplicate; who has not gets it from the stream.
        let mut peer = Peer::resume(&network, &xa, hub.address, 1).await;
        assert_eq!(peer.submit(&network, &message, &xb).await, first);
        let mut peer = Peer::connect(&network, &xa, hub.address).await;
        assert_eq!(peer.expect_receipts().await.proofs, std::slice::from_ref(&first));
        let mut recipient = Peer::connect(&network, &xb, hub.address).await;
        let delivery = recipient.expect_delivery().await;
        assert_eq!(delivery.acceptance, first);
        assert_eq!(recipient.fetch(&delivery.envelope).await, message.chunks);
        hub.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_where_it_was_cut() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let message = Message::new(1, 5);
    let envelope = message.envelope(&network, &xa, &xb);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    peer.send(Submit { envelope: envelope.clone() }).await;
    peer.expect_wanted().await;
    let partial = Message { chunks: message.chunks[..2].to_vec(), ..message.clone() };
    peer.send_chunks(&partial, 0).await;
    // The answer to a ping says that the chunks before it were read; the stop lets them be written and synced.
    peer.send(ncp_protocol::frame::Ping { nonce: 1 }).await;
    assert!(matches!(peer.matter().await, Frame::Pong(_)));
    hub.stop().await.unwrap();
    let hub = network.start().await;
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    peer.send(Submit { envelope }).await;
    let wanted = peer.expect_wanted().await;
    assert_eq!(wanted.from_chunk, 2);
    peer.send_chunks(&message, wanted.from_chunk).await;
    peer.expect_receipts().await;
    let bodies = files(&network.data().join("bodies"));
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0].1.len(), 5 * CHUNK_SEALED);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_within_30_days_warns_and_what_ends_later_does_not() {
    let mut network = Network::new();
    let hub = network.start().await;
    // Who is admitted comes with a membership statement of 30 days; root and certificate last longer.
    network.join("XA").await;
    let health = network.api().health().await.unwrap();
    let found = |id: &str| {
        let check = health.checks.iter().find(|check| check.id == id).unwrap();
        (check.result, check.code.as_deref())
    };
    assert_eq!(found("P05"), (CheckResult::Warn, Some("NCP-E2107")));
    assert_eq!([found("C02"), found("K03")], [(CheckResult::Ok, None); 2]);
    assert_eq!(health.overall, CheckResult::Warn);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_full_disk_refuses_new_mail_and_still_takes_evidence() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let first = peer.submit(&network, &Message::new(1, 3), &xb).await;
    hub.stop().await.unwrap();
    // More room is asked for than any disk of a test has.
    let mut config = network.config();
    config.free_min_bytes = 1 << 60;
    let hub = ncp_relay::start::start(config).await.unwrap();
    let health = network.api().health().await.unwrap();
    let room = health.checks.iter().find(|check| check.id == "S01").unwrap();
    assert_eq!((room.result, room.code.as_deref()), (CheckResult::Fail, Some("NCP-E5101")));
    assert!(!format!("{room:?}").contains('<'), "{room:?}");
    let mut peer = Peer::resume(&network, &xa, hub.address, 1).await;
    let new = Message::new(2, 1);
    peer.send(Submit { envelope: new.envelope(&network, &xa, &xb) }).await;
    assert_eq!(peer.expect_refused().await.code, RejectCode::StoreFull);
    assert_eq!(RejectCode::StoreFull.permanence(), Permanence::Transient, "the node tries again");
    // What waits is delivered, and its evidence is stored and handed on.
    let mut recipient = Peer::connect(&network, &xb, hub.address).await;
    let delivery = recipient.expect_delivery().await;
    assert_eq!(delivery.acceptance, first);
    recipient.fetch(&delivery.envelope).await;
    let (kind, done) = (EvidenceKind::ContentConsignment, Outcome::Done);
    let r2 = recipient.state(&network, &mut Log::default(), &delivery.envelope, kind, done);
    recipient.hand_in(1, vec![r2.clone()]).await;
    assert_eq!(peer.expect_receipts().await.proofs, [r2]);
    hub.stop().await.unwrap();
    // With room again the same submission is accepted.
    let hub = network.start().await;
    let mut peer = Peer::resume(&network, &xa, hub.address, 2).await;
    peer.submit(&network, &new, &xb).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_body_can_come_again() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb, xc) = (network.join("XA").await, network.join("XB").await, network.join("XC").await);
    let message = Message::new(1, 3);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    peer.submit(&network, &message, &xb).await;
    peer.send(ncp_protocol::frame::Recall { message: message.id, recipient: xb.id }).await;
    peer.expect_receipts().await;
    // The same message to another recipient needs the body anew.
    peer.submit(&network, &message, &xc).await;
    let mut recipient = Peer::connect(&network, &xc, hub.address).await;
    let delivery = recipient.expect_delivery().await;
    assert_eq!(recipient.fetch(&delivery.envelope).await, message.chunks);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_has_forgotten_stops() {
    let mut network = Network::new();
    let hub = network.start().await;
    let xa = network.join("XA").await;
    let origin = network.traffic().to_string();
    let ahead = Checkpoint { origin, size: 10_000, root: Digest([3; 32]) }.sign(&key("traffic log"));
    let mut peer = Peer::dial(&network, &xa, hub.address).await;
    let mut hello = peer.hello_frame(&network, 0);
    hello.checkpoints = vec![ahead.note().to_owned()];
    peer.send(hello).await;
    soon(hub.hub.stopping.cancelled()).await;
    let fault = hub.stop().await.unwrap_err();
    assert_eq!(fault.code.to_string(), "NCP-E6107");
    // Nobody shows it any more, and it stays so: nothing is signed beside a longer history.
    let Err(again) = ncp_relay::start::start(network.config()).await else { panic!("it starts") };
    assert_eq!((again.code, again.cause()), (fault.code, fault.cause()));
    let forked = network.data().join(ncp_store::forked::FORKED);
    assert!(std::fs::read_to_string(&forked).unwrap().ends_with(ahead.note()));
    std::fs::remove_file(forked).unwrap();
    network.start().await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_no_event_names_is_removed_at_the_start() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    peer.submit(&network, &Message::new(1, 3), &xb).await;
    hub.stop().await.unwrap();
    let bodies = network.data().join("bodies");
    let [(kept, bytes)] = &files(&bodies)[..] else { panic!("one body") };
    let name = kept.file_name().unwrap().to_str().unwrap().replace("01010101", "02020202");
    std::fs::write(bodies.join(Path::new(&name)), bytes).unwrap();
    assert_eq!(files(&bodies).len(), 2);
    let hub = network.start().await;
    assert!(files(&bodies) == [(kept.clone(), bytes.clone())]);
    hub.stop().await.unwrap();
}
