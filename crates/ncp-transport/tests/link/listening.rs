//! The listener's limits.

use std::time::{Duration, Instant};

use ncp_transport::frame::RawFrame;
use ncp_transport::handshake::HandshakeError;
use ncp_transport::limits::{HANDSHAKE_TIMEOUT, TURNED_AWAY_AT_ONCE, TURNED_AWAY_INTERVAL};
use ncp_transport::listener::{Arrival, Listener, ListenerLimits};
use tokio::io::AsyncReadExt as _;
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
async fn the_oldest_silent_handshake_gives_way_when_too_many_are_unfinished() {
    let ca = Ca::new("a");
    let limits = ListenerLimits { unauthenticated_max: 2, ..ListenerLimits::default() };
    let mut listening = Hub::start_with(ca.hub().shared(), limits, no_pins());
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(listening.address).await.unwrap());
    }
    // Each of the last three took a place, and the node takes another, of those who have said nothing.
    let _at_node = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    let mut refused = 0;
    loop {
        match soon(listening.arrivals.recv()).await.unwrap() {
            Arrival::Refused { error, .. } => {
                assert_eq!(error, HandshakeError::Crowded);
                refused += 1;
            }
            Arrival::Connected(connection) => {
                assert_eq!(connection.peer.participant, id("XA"));
                break;
            }
        }
    }
    assert!((3..=4).contains(&refused), "{refused}");
    let mut end = [0; 1];
    assert_eq!(soon(silent[0].read(&mut end)).await.ok(), Some(0), "the oldest went first");
}

#[tokio::test]
async fn a_crowd_gives_way_one_by_one_and_leaves_others_their_time() {
    const CROWD: u32 = 60;
    let ca = Ca::new("a");
    let limits = ListenerLimits {
        unauthenticated_max: 1,
        unauthenticated_per_address_max: usize::MAX,
        ..ListenerLimits::default()
    };
    let mut listening = Hub::start_with(ca.hub().shared(), limits, no_pins());
    let begun = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..CROWD {
        silent.push(TcpStream::connect(listening.address).await.unwrap());
    }
    let _at_node = soon(dialler(&ca.node("XA"), listening.address).dial()).await.unwrap();
    let mut gone = 0;
    loop {
        match soon(listening.arrivals.recv()).await.unwrap() {
            Arrival::Refused { unheard, .. } => gone += unheard + 1,
            Arrival::Connected(connection) => break assert_eq!(connection.peer.participant, id("XA")),
        }
    }
    // Each took the place of the one before.
    assert!(gone >= u64::from(CROWD) - 1, "{gone}");
    assert!(begun.elapsed() >= TURNED_AWAY_INTERVAL * (CROWD - TURNED_AWAY_AT_ONCE));
}

#[tokio::test]
async fn one_participant_cannot_take_every_place() {
    let ca = Ca::new("a");
    let limits = ListenerLimits { per_participant_max: 2, ..ListenerLimits::default() };
    let node = ca.node("XA");
    let pinned = node.key_id;
    let mut listening = Hub::start_with(ca.hub().shared(), limits, std::sync::Arc::new(move |_| vec![pinned]));
    let mut links = Vec::new();
    for _ in 0..2 {
        links.push((soon(dialler(&node, listening.address).dial()).await, soon(listening.connection()).await));
    }
    let _third = soon(dialler(&node, listening.address).dial()).await;
    assert_eq!(soon(listening.refusal()).await, HandshakeError::Crowded);
    // Others have their places: another participant, and who comes under the same name with another key.
    for other in ["XB", "XA"] {
        links
            .push((soon(dialler(&ca.node(other), listening.address).dial()).await, soon(listening.connection()).await));
    }
    drop(links.remove(0));
    let _again = soon(dialler(&node, listening.address).dial()).await;
    assert_eq!(soon(listening.connection()).await.peer.participant, id("XA"));
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
