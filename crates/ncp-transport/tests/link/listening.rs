//! The listener's limits.

use std::time::Duration;

use ncp_transport::frame::RawFrame;
use ncp_transport::handshake::HandshakeError;
use ncp_transport::limits::HANDSHAKE_TIMEOUT;
use ncp_transport::listener::{Arrival, Listener, ListenerLimits};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::world::{Ca, Hub, dialler, id, no_pins, soon};

/// Long enough for a handshake over loopback that is not held back.
const WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn silent_peers_do_not_delay_the_others() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(listening.address).await.unwrap());
    }
    let _at_node = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    assert_eq!(soon(listening.connection()).await.peer.participant, id("XA"));
}

#[tokio::test]
async fn at_the_limit_a_peer_waits_until_a_link_ends() {
    let ca = Ca::new("a");
    let limits = ListenerLimits { connections_max: 1, ..ListenerLimits::default() };
    let mut listening = Hub::start_with(ca.hub().shared(), limits, no_pins());
    let _first = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    let at_hub = soon(listening.connection()).await;

    let second = dialler(&ca.node("XB"), listening.address);
    let second = tokio::spawn(async move { second.dial().await });
    assert!(timeout(WHILE, listening.arrivals.recv()).await.is_err(), "no place yet");
    // One half alone keeps the place.
    let (reader, writer) = (at_hub.reader, at_hub.writer);
    drop(reader);
    assert!(timeout(WHILE, listening.arrivals.recv()).await.is_err(), "no place yet");
    drop(writer);
    assert_eq!(soon(listening.connection()).await.peer.participant, id("XB"));
    assert!(soon(second).await.unwrap().is_ok());
}

#[tokio::test]
async fn unfinished_handshakes_have_a_limit_of_their_own() {
    let ca = Ca::new("a");
    let limits = ListenerLimits { unauthenticated_max: 2, ..ListenerLimits::default() };
    let mut listening = Hub::start_with(ca.hub().shared(), limits, no_pins());
    let silent = [TcpStream::connect(listening.address).await, TcpStream::connect(listening.address).await];
    let node = dialler(&ca.node("XA"), listening.address);
    let dialling = tokio::spawn(async move { node.dial().await });
    assert!(timeout(WHILE, listening.arrivals.recv()).await.is_err(), "no place yet");
    drop(silent);
    for _ in 0..2 {
        assert_eq!(soon(listening.refusal()).await, HandshakeError::Closed);
    }
    assert_eq!(soon(listening.connection()).await.peer.participant, id("XA"));
    assert!(soon(dialling).await.unwrap().is_ok());
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let ca = Ca::new("a");
    let limits = ListenerLimits { unauthenticated_per_address_max: 2, ..ListenerLimits::default() };
    let mut listening = Hub::start_with(ca.hub().shared(), limits, no_pins());
    let connect = || async { TcpStream::connect(listening.address).await.unwrap() };
    let silent = [connect().await, connect().await];
    let _third = connect().await;
    assert_eq!(soon(listening.refusal()).await, HandshakeError::Crowded);
    drop(silent);
    for _ in 0..2 {
        assert_eq!(soon(listening.refusal()).await, HandshakeError::Closed);
    }
    let _at_node = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    soon(listening.connection()).await;
}

#[tokio::test]
async fn slow_consumer_does_not_hold_up_handshakes() {
    let ca = Ca::new("a");
    let limits = ListenerLimits { unauthenticated_max: 1, ..ListenerLimits::default() };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let address = listener.local_addr();
    // Room for one arrival, and nobody takes it until all have dialled.
    let (sender, mut arrivals) = mpsc::channel(1);
    tokio::spawn(listener.run(ca.hub().shared(), no_pins(), sender));
    let mut links = Vec::new();
    for name in ["XA", "XB", "XC", "XD"] {
        links.push(timeout(HANDSHAKE_TIMEOUT / 2, dialler(&ca.node(name), address).dial()).await.unwrap().unwrap());
    }
    for _ in &links {
        assert!(matches!(soon(arrivals.recv()).await, Some(Arrival::Connected(_))));
    }
}

#[tokio::test]
async fn listener_ends_with_its_consumer_and_links_live_on() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let mut at_node = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    let mut at_hub = soon(listening.connection()).await;
    drop(listening.arrivals);
    soon(listening.running).await.unwrap();
    assert!(TcpStream::connect(listening.address).await.is_err());
    let frame = RawFrame { kind: 1, payload: vec![1, 2, 3] };
    at_hub.writer.send(&frame).await.unwrap();
    assert_eq!(soon(at_node.reader.next()).await, Ok(Some(frame)));
}
