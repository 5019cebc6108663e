//! Dialling: several targets, a proxy, loopback alone.

use std::net::SocketAddr;

use ncp_transport::address::{HostPort, Reach};
use ncp_transport::dial::{AttemptError, DialError, Dialler, Route};
use ncp_transport::frame::{IdleLimit, RawFrame};
use ncp_transport::handshake::HandshakeError;
use ncp_transport::limits::IDLE_TIMEOUT;
use ncp_transport::proxy::ProxyError;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Ca, Hub, Issued, dialler, id, no_pins, soon};

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn along(node: &Issued, targets: Vec<HostPort>, proxy: Option<HostPort>, reach: Reach) -> Dialler {
    Dialler::new(Route { targets, proxy, reach }, node.shared(), no_pins(), IdleLimit::fixed(IDLE_TIMEOUT))
}

fn errors(error: DialError) -> Vec<AttemptError> {
    error.attempts.into_iter().map(|attempt| attempt.error).collect()
}

#[tokio::test]
async fn second_target_serves_when_the_first_does_not() {
    let (ca, other) = (Ca::new("a"), Ca::new("b"));
    let mut wrong = Hub::start(other.hub().shared());
    let mut right = Hub::start(ca.hub().shared());
    let targets = vec![nobody().await.into(), wrong.address.into(), right.address.into()];
    let connection = soon(along(&ca.node("XA"), targets, None, Reach::LoopbackOnly).dial()).await.unwrap();
    assert_eq!(connection.peer_addr, right.address);
    assert_eq!(soon(right.connection()).await.peer.participant, id("XA"));
    soon(wrong.refusal()).await;
}

#[tokio::test]
async fn every_failed_attempt_is_told() {
    let (ca, other) = (Ca::new("a"), Ca::new("b"));
    let wrong = Hub::start(other.hub().shared());
    let targets = vec![nobody().await.into(), wrong.address.into()];
    let error = soon(along(&ca.node("XA"), targets, None, Reach::Anywhere).dial()).await.unwrap_err();
    assert!(error.to_string().contains("issued by another authority"), "{error}");
    assert_eq!(
        errors(error),
        [
            AttemptError::Connect(std::io::ErrorKind::ConnectionRefused),
            AttemptError::Handshake(HandshakeError::WrongCa)
        ]
    );
    let nowhere = soon(along(&ca.node("XA"), vec![], None, Reach::Anywhere).dial()).await.unwrap_err();
    assert_eq!(nowhere.attempts, []);
}

#[tokio::test]
async fn names_resolve() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let target = format!("localhost:{}", listening.address.port()).parse().unwrap();
    soon(along(&ca.node("XA"), vec![target], None, Reach::LoopbackOnly).dial()).await.unwrap();
    soon(listening.connection()).await;
}

#[tokio::test]
async fn test_networks_stay_on_loopback() {
    let ca = Ca::new("a");
    let node = ca.node("XA");
    // TEST-NET-1 (RFC 5737): not dialled, or this test would take until the connection times out.
    let outside: HostPort = "192.0.2.1:4433".parse().unwrap();
    let inside: HostPort = nobody().await.into();
    let name: HostPort = "hub.invalid:4433".parse().unwrap();
    for (target, proxy) in [
        (outside.clone(), None),
        (outside.clone(), Some(inside.clone())),
        (inside, Some(outside.clone())),
        (name, Some(outside)),
    ] {
        let error = along(&node, vec![target], proxy, Reach::LoopbackOnly).dial().await.unwrap_err();
        assert_eq!(errors(error), [AttemptError::NotLoopback]);
    }
}

/// A proxy for one connection: reports the request line, answers, and if the answer is success, passes bytes on.
async fn proxy(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut client = BufReader::new(listener.accept().await.unwrap().0);
        let mut request = String::new();
        client.read_line(&mut request).await.unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            client.read_line(&mut line).await.unwrap();
        }
        client.write_all(answer.as_bytes()).await.unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            let target = request.split(' ').nth(1).unwrap();
            let mut hub = TcpStream::connect(target).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut hub).await;
        }
        request
    });
    (address, serving)
}

#[tokio::test]
async fn proxy_passes_tls_through() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let (address, serving) = proxy("HTTP/1.1 200 Connection established\r\n\r\n").await;
    let dialler = along(&ca.node("XA"), vec![listening.address.into()], Some(address.into()), Reach::LoopbackOnly);
    let mut at_node = soon(dialler.dial()).await.unwrap();
    assert_eq!(at_node.peer_addr, address);
    let mut at_hub = soon(listening.connection()).await;
    let frame = RawFrame { kind: 6, payload: vec![9; 100_000] };
    at_hub.writer.send(&frame).await.unwrap();
    assert_eq!(soon(at_node.reader.next()).await, Ok(Some(frame)));
    drop((at_node, at_hub));
    assert_eq!(soon(serving).await.unwrap(), format!("CONNECT {} HTTP/1.1\r\n", listening.address));
}

#[tokio::test]
async fn proxy_that_refuses_is_named() {
    let ca = Ca::new("a");
    let (address, _serving) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let target = nobody().await.into();
    let error = soon(along(&ca.node("XA"), vec![target], Some(address.into()), Reach::Anywhere).dial()).await;
    assert_eq!(errors(error.unwrap_err()), [AttemptError::Proxy(ProxyError::Refused { status: 407 })]);
}

#[tokio::test]
async fn proxy_that_breaks_tls_open_is_refused() {
    let (ca, theirs) = (Ca::new("a"), Ca::new("inspection"));
    let mut inspecting = Hub::start(theirs.hub().shared());
    let (address, _serving) = proxy("HTTP/1.1 200 OK\r\n\r\n").await;
    let target = inspecting.address.into();
    let outcome = soon(along(&ca.node("XA"), vec![target], Some(address.into()), Reach::Anywhere).dial()).await;
    assert_eq!(errors(outcome.unwrap_err()), [AttemptError::Handshake(HandshakeError::WrongCa)]);
    soon(inspecting.refusal()).await;
}

#[tokio::test(start_paused = true)]
async fn silent_hub_and_silent_proxy_are_given_up() {
    let ca = Ca::new("a");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let begin = tokio::time::Instant::now();
    let error = dialler(&ca.node("XA"), address).dial().await.unwrap_err();
    assert_eq!(errors(error), [AttemptError::Handshake(HandshakeError::TimedOut)]);
    assert_eq!(begin.elapsed().as_secs(), 10);
    let via = along(&ca.node("XA"), vec![address.into()], Some(address.into()), Reach::LoopbackOnly);
    let error = via.dial().await.unwrap_err();
    assert_eq!(errors(error), [AttemptError::Proxy(ProxyError::TimedOut)]);
}
