//! What two honest peers agree on, and what they say to one another.

use std::sync::Arc;

use ncp_protocol::ids::{KeyId, ParticipantId, UnixMillis};
use ncp_transport::frame::{FrameError, RawFrame};
use ncp_transport::handshake::HandshakeError;
use ncp_transport::identity::{PinLookup, PinStatus};
use ncp_transport::listener::ListenerLimits;
use tokio::io::AsyncWriteExt as _;

use crate::world::{Ca, Hub, dialler, id, soon};

#[tokio::test]
async fn honest_peers_agree_on_tls13_and_the_hybrid_exchange() {
    let ca = Ca::new("a");
    let (hub, node) = (ca.hub(), ca.node("XA"));
    let mut listening = Hub::start(hub.shared());
    let at_node = soon(dialler(&node, listening.address).dial()).await.unwrap();
    let at_hub = soon(listening.connection()).await;
    for facts in [&at_node.tls, &at_hub.tls] {
        assert_eq!(facts.version, "TLSv1_3");
        assert_eq!(facts.key_exchange, "X25519MLKEM768");
        assert!(facts.cipher.starts_with("TLS13_"), "{}", facts.cipher);
    }
    assert_eq!((at_hub.peer.participant, at_hub.peer.certificate_key), (id("XA"), node.key_id));
    assert_eq!((at_node.peer.participant, at_node.peer.certificate_key), (ParticipantId::HUB, hub.key_id));
    // 2120-01-01T00:00:00Z
    assert_eq!(at_hub.peer.expires, UnixMillis(4_733_510_400_000));
    assert_eq!(at_node.peer_addr, listening.address);
}

#[tokio::test]
async fn frames_pass_both_ways_at_once_and_end_cleanly() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let node = ca.node("XA");
    let at_node = soon(dialler(&node, listening.address).dial()).await.unwrap();
    let at_hub = soon(listening.connection()).await;
    let frames: Vec<_> = (0..40_u8).map(|i| RawFrame { kind: 4, payload: vec![i; 65_000] }).collect();

    let send = |mut writer: ncp_transport::connection::LinkWriter, frames: Vec<RawFrame>| async move {
        for frame in &frames {
            writer.feed(frame).await?;
        }
        writer.close().await
    };
    let receive = |mut reader: ncp_transport::connection::LinkReader| async move {
        let mut received = Vec::new();
        while let Some(frame) = reader.next().await? {
            received.push(frame);
        }
        Ok::<_, FrameError>(received)
    };
    let sending =
        [tokio::spawn(send(at_node.writer, frames.clone())), tokio::spawn(send(at_hub.writer, frames.clone()))];
    let receiving = [tokio::spawn(receive(at_node.reader)), tokio::spawn(receive(at_hub.reader))];
    for side in sending {
        assert_eq!(soon(side).await.unwrap(), Ok(()));
    }
    for side in receiving {
        assert_eq!(soon(side).await.unwrap(), Ok(frames.clone()));
    }
}

#[tokio::test]
async fn connection_that_is_dropped_is_cut_not_closed() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let at_node = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    let mut at_hub = soon(listening.connection()).await;
    drop(at_node);
    assert_eq!(soon(at_hub.reader.next()).await, Err(FrameError::Cut));
}

#[tokio::test]
async fn frame_that_is_cut_off_is_truncated_even_when_tls_closes_well() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let raw = crate::hostile::raw_client(Some(&ca.node("XA")), &[b"ncp/1"]);
    let mut raw = soon(raw.connect(listening.address)).await.unwrap();
    raw.write_all(&[10, 0, 0, 0, 1, 2, 3]).await.unwrap();
    raw.shutdown().await.unwrap();
    let mut at_hub = soon(listening.connection()).await;
    assert_eq!(soon(at_hub.reader.next()).await, Err(FrameError::Truncated { received: 7 }));
}

#[tokio::test]
async fn claimed_length_of_four_gigabytes_ends_the_link() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let raw = crate::hostile::raw_client(Some(&ca.node("XA")), &[b"ncp/1"]);
    let mut raw = soon(raw.connect(listening.address)).await.unwrap();
    raw.write_all(&[0xff; 4]).await.unwrap();
    let mut at_hub = soon(listening.connection()).await;
    assert_eq!(soon(at_hub.reader.next()).await, Err(FrameError::TooLong { claimed: u32::MAX }));
}

#[tokio::test]
async fn kind_that_the_protocol_does_not_have_ends_the_link() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let mut at_node = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    at_node.writer.send(&RawFrame { kind: 255, payload: vec![] }).await.unwrap();
    let mut at_hub = soon(listening.connection()).await;
    assert_eq!(soon(at_hub.reader.next()).await, Err(FrameError::UnknownKind { kind: 255 }));
}

#[tokio::test]
async fn directory_pins_the_key_or_restricts_the_link() {
    let ca = Ca::new("a");
    let (node, other) = (ca.node("XA"), ca.node("XA"));
    let pinned = |pins: &[KeyId]| -> PinLookup {
        let pins = pins.to_vec();
        Arc::new(move |participant| if participant == id("XA") { pins.clone() } else { vec![] })
    };
    for (pins, expected) in [
        (pinned(&[node.key_id]), PinStatus::Pinned),
        (pinned(&[other.key_id, node.key_id]), PinStatus::Pinned),
        (pinned(&[other.key_id]), PinStatus::Mismatch),
        (pinned(&[]), PinStatus::Unknown),
    ] {
        let mut listening = Hub::start_with(ca.hub().shared(), ListenerLimits::default(), pins);
        let _at_node = soon(dialler(&node, listening.address).dial()).await.unwrap();
        assert_eq!(soon(listening.connection()).await.pin, expected);
    }
}

#[tokio::test]
async fn replaced_settings_hold_for_the_next_handshake_and_expose_old_links() {
    let ca = Ca::new("a");
    let (hub, node) = (ca.hub(), ca.node("XA"));
    let shared = hub.shared();
    let mut listening = Hub::start(shared.clone());
    let _at_node = soon(dialler(&node, listening.address).dial()).await.unwrap();
    let at_hub = soon(listening.connection()).await;
    // 2025-01-01
    let now = UnixMillis(1_735_689_600_000);
    assert_eq!(shared.load().check_again(&at_hub.peer, &at_hub.certificates, now), Ok(()));

    shared.replace(hub.clone().with_list(ca.revocation_list(&[77], 2120)).settings());
    assert_eq!(shared.load().check_again(&at_hub.peer, &at_hub.certificates, now), Err(HandshakeError::Revoked));
    let _refused = soon(dialler(&node, listening.address).dial()).await;
    assert_eq!(soon(listening.refusal()).await, HandshakeError::Revoked);

    shared.replace(hub.settings());
    let expired = UnixMillis(at_hub.peer.expires.0 + 1000);
    assert_eq!(shared.load().check_again(&at_hub.peer, &at_hub.certificates, expired), Err(HandshakeError::Expired));
}
