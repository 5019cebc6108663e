//! Who may connect at all.

use e2e::authority::{Authority, Subject};
use e2e::craft::Letter;
use e2e::id;
use e2e::impostor::{Impostor, Script};
use e2e::material::{HubMaterial, Material, Tls};
use e2e::messages::until;
use e2e::peer::{End, Peer, Verdict};
use ncp_protocol::frame::Entries;
use ncp_protocol::ids::{Digest, NetworkId, ParticipantId};
use ncp_protocol::reject::RejectCode;
use ncp_transport::frame::FrameError;
use ncp_transport::handshake::Alert;

use crate::world::{held, hub_alone};

/// What a peer with this certificate meets at its first read, and the words that the hub's log has about it.
async fn check_refused(tls: impl FnOnce(&Material, &e2e::Network) -> Tls, alert: u8, words: &str) {
    let (network, _turn) = hub_alone().await;
    let xa = Material::of(&network, "XA");
    let before = held(&network).await;
    let log = network.relay().log();
    let mark = log.mark();
    let mut peer = Peer::silent(&xa, &tls(&xa, &network)).await;
    assert_eq!(peer.greet().await, Err(End::Failed(FrameError::RefusedByPeer(Alert(alert)))));
    log.wait_for(mark, &["handshake failed", words]);
    assert_eq!(held(&network).await, before);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    // unknown_ca (RFC 8446, section 6.2)
    let tls = |xa: &Material, network: &e2e::Network| {
        Authority::other(network).issue_for(&Subject::of(xa.network, xa.participant), &xa.tls)
    };
    check_refused(tls, 48, "issued by another authority").await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    // certificate_expired
    let tls = |xa: &Material, network: &e2e::Network| {
        let subject = Subject { years: (2015, 2020), ..Subject::of(xa.network, xa.participant) };
        Authority::of(network).issue_for(&subject, &xa.tls)
    };
    check_refused(tls, 45, "has expired").await;
}

#[tokio::test]
async fn a_peer_that_speaks_for_another_state_is_cut_off() {
    let (network, _turn) = hub_alone().await;
    let xa = Material::of(&network, "XA");
    let before = held(&network).await;
    let log = network.relay().log();
    let mark = log.mark();
    let mut peer = Peer::silent(&xa, &xa.tls).await;
    let mut hello = peer.own_hello();
    hello.participant = id("XC");
    assert_eq!(peer.greet_with(hello).await, Err(End::Bye(Some(RejectCode::OriginatorMismatch))));
    log.wait_for(mark, &["XA", "cut off", "OriginatorMismatch"]);
    assert_eq!(held(&network).await, before);
}

#[tokio::test]
async fn a_hello_of_another_network_is_cut_off() {
    let (network, _turn) = hub_alone().await;
    let xa = Material::of(&network, "XA");
    let mut peer = Peer::silent(&xa, &xa.tls).await;
    let mut hello = peer.own_hello();
    hello.network = NetworkId(Digest([9; 32]));
    assert_eq!(peer.greet_with(hello).await, Err(End::Bye(Some(RejectCode::NetworkMismatch))));
}

#[tokio::test]
async fn a_certified_key_that_the_directory_does_not_pin_may_submit_nothing() {
    let (network, _turn) = hub_alone().await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let before = held(&network).await;
    // The authority, or its thief, certifies another key for XA.
    let tls = Authority::of(&network).issue(&Subject::of(xa.network, xa.participant));
    let mut peer = Peer::silent(&xa, &tls).await;
    peer.greet().await.expect("it may ask about the directory");
    assert_eq!(peer.restricted, Some(RejectCode::PinMismatch));
    let verdict = peer.submit(&Letter::new(&xa, xd.entry(), b"under a foreign key").seal()).await;
    assert_eq!(verdict, Verdict::Cut(End::Bye(Some(RejectCode::PinMismatch))));
    assert_eq!(held(&network).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_a_hub_of_another_authority_and_says_so() {
    let network = e2e::Plan::of(&["XB"]).start().await;
    let node = network.node("XB");
    let hub = HubMaterial::of(&network, "XB");
    node.until_connected(true).await;
    network.relay().stop();
    node.until_connected(false).await;
    let mut tls = Authority::other(&network).issue(&Subject::of(hub.network, ParticipantId::HUB));
    tls.authority.clone_from(&hub.tls.authority);
    let nothing = Entries { roots: Vec::new(), membership: None, timestamp: None, entries: Vec::new() };
    let script = Script {
        network: hub.network,
        public: Vec::new(),
        checkpoint: hub.checkpoint(ncp_protocol::ids::LogName::Public, &[]),
        entries: nothing,
        send: Vec::new(),
        receipts: 0,
        bodies: std::collections::BTreeMap::new(),
    };
    let _impostor = Impostor::start(&tls, hub.network, hub.address, script);
    let client = node.client(1);
    let reason = until(&client, "the node to say why it does not connect", || async {
        let link = client.health().await.expect("the node answers").hub.expect("a node has a link");
        link.reason.filter(|reason| reason.contains("authority"))
    })
    .await;
    assert!(reason.contains("another authority"), "{reason}");
    assert!(node.size().await > 0, "it still serves its officers");
}
