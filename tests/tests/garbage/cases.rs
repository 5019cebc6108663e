//! One hostile peer each, XA; XB and XC go on exchanging messages.

use std::sync::Arc;

use e2e::craft::Letter;
use e2e::impostor::{Impostor, Script};
use e2e::material::{HubMaterial, Material};
use e2e::messages::is_delivered;
use e2e::peer::{End, Peer, Truth, Verdict};
use e2e::shared::Shared;
use e2e::{Network, Plan, soon};
use ncp_protocol::frame::{Bye, Frame};
use ncp_protocol::reject::RejectCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

use crate::raw::Raw;

static SHARED: Shared = Shared::new();
static TURN: Mutex<()> = Mutex::const_new(());

async fn network() -> (Arc<Network>, MutexGuard<'static, ()>) {
    // Whoever waits for its turn has the network already, so that it lives from the first test to the last.
    let network = SHARED.network(|| Plan::of(&["XB", "XC"]).and_puppets(&["XA", "XD"])).await;
    (network, TURN.lock().await)
}

/// A message from XC still reaches XB. Then all its evidence is there: the hub's logs grow no more.
async fn others_are_served(network: &Network) {
    let xc = network.node("XC");
    let reference = xc.notice(&["XB"], "still served", "as before").await;
    xc.until_state(reference, is_delivered).await;
}

/// A frame as it travels: length, kind, payload.
fn frame(frame: impl Into<Frame>) -> Vec<u8> {
    let (kind, payload) = frame.into().encode();
    let length = u32::try_from(payload.len() + 1).expect("short").to_le_bytes();
    [length.as_slice(), &[kind], &payload].concat()
}

fn bye(code: RejectCode) -> Vec<u8> {
    frame(Bye { code: Some(code) })
}

/// Sends bytes after the handshake; the hub says good-bye with this code, cuts, and logs these words.
async fn check(bytes: &[u8], code: RejectCode, words: &[&str]) {
    let (network, _turn) = network().await;
    let log = network.relay().log();
    let mark = log.mark();
    let mut raw = Raw::connect(&Material::of(&network, "XA")).await;
    raw.send(bytes).await;
    assert_eq!(raw.end().await, bye(code));
    let line = log.wait_for(mark, words);
    assert!(line.contains("XA"), "the line names the peer: {line}");
    others_are_served(&network).await;
}

#[tokio::test]
async fn a_claim_of_four_gibibytes_is_cut_off_before_anything_is_allocated() {
    let before = network().await.0.relay().resident_kib();
    check(&[0xff; 5], RejectCode::FrameTooLong, &["WARN", "claimed a frame of 4294967295 bytes"]).await;
    let after = network().await.0.relay().resident_kib();
    assert!(after < before + (64 << 10), "{before} KiB before, {after} KiB after");
}

#[tokio::test]
async fn an_oversized_frame_is_cut_off() {
    let length = u32::try_from(ncp_protocol::limits::FRAME_MAX + 1).expect("small").to_le_bytes();
    check(&[length.as_slice(), &[2]].concat(), RejectCode::FrameTooLong, &["WARN", "claimed a frame of"]).await;
    // Within the limit of frames, but beyond that of its kind: a ping of 64 KiB.
    check(&[0, 0, 1, 0, 17], RejectCode::FrameTooLong, &["WARN", "claimed a frame of 65536 bytes"]).await;
}

#[tokio::test]
async fn an_empty_frame_and_an_unknown_kind_are_cut_off() {
    check(&[0; 4], RejectCode::FrameMalformed, &["WARN", "an empty frame"]).await;
    check(&[1, 0, 0, 0, 200], RejectCode::FrameMalformed, &["WARN", "unknown kind 200"]).await;
}

#[tokio::test]
async fn garbage_in_the_form_of_a_frame_is_cut_off() {
    let garbage: [u8; 99] = e2e::random();
    let bytes = [&[100, 0, 0, 0, 1], garbage.as_slice()].concat();
    check(&bytes, RejectCode::FrameMalformed, &["WARN", "cut off", "FrameMalformed"]).await;
}

#[tokio::test]
async fn a_frame_before_the_hello_is_cut_off() {
    let ping = frame(ncp_protocol::frame::Ping { nonce: 1 });
    check(&ping, RejectCode::FrameUnexpected, &["WARN", "cut off", "FrameUnexpected"]).await;
}

#[tokio::test]
async fn a_truncated_frame_is_told_from_a_good_end() {
    let (network, _turn) = network().await;
    let log = network.relay().log();
    let mark = log.mark();
    let mut raw = Raw::connect(&Material::of(&network, "XA")).await;
    raw.send(&[100, 0, 0, 0, 1, 2, 3]).await;
    raw.cut();
    log.wait_for(mark, &["WARN", "XA", "ended inside a frame"]);
    others_are_served(&network).await;
}

#[tokio::test]
async fn bytes_that_are_no_tls_are_cut_off() {
    let (network, _turn) = network().await;
    let log = network.relay().log();
    let mark = log.mark();
    let mut socket = TcpStream::connect(network.relay().address()).await.expect("the hub listens");
    let garbage: [u8; 512] = [b'?'; 512];
    socket.write_all(&garbage).await.expect("sent");
    let mut said = Vec::new();
    // A reset ends it as well as a close.
    let _ = soon("the hub to cut the connection", socket.read_to_end(&mut said)).await;
    log.wait_for(mark, &["handshake failed", "does not speak TLS"]);
    others_are_served(&network).await;
}

#[tokio::test]
async fn a_replayed_hello_is_cut_off() {
    let (network, _turn) = network().await;
    let xa = Material::of(&network, "XA");
    let mut peer = Peer::connect(&xa).await;
    let hello = peer.own_hello();
    peer.send(hello).await;
    assert_eq!(peer.end().await, End::Bye(Some(RejectCode::FrameUnexpected)));
    others_are_served(&network).await;
}

#[tokio::test]
async fn a_frame_of_the_other_direction_is_cut_off() {
    let (network, _turn) = network().await;
    let xa = Material::of(&network, "XA");
    let mut peer = Peer::connect(&xa).await;
    peer.send(ncp_protocol::frame::EntriesChanged { timestamp: vec![1] }).await;
    assert_eq!(peer.end().await, End::Bye(Some(RejectCode::FrameUnexpected)));
    others_are_served(&network).await;
}

#[tokio::test]
async fn replayed_and_reordered_frames_have_no_second_effect() {
    let (network, _turn) = network().await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let letters = [b"first".as_slice(), b"second"].map(|text| Letter::new(&xa, xd.entry(), text).seal());
    let mut peer = Peer::connect(&xa).await;
    // The second before the first, each several times and before its body: order of envelopes is not required.
    for crafted in [&letters[1], &letters[1], &letters[0], &letters[1], &letters[0]] {
        peer.offer(crafted).await;
    }
    let second = peer.settle(&letters[1]).await;
    let first = peer.settle(&letters[0]).await;
    assert!(matches!((&first, &second), (Verdict::Accepted(_), Verdict::Accepted(_))), "{first:?} {second:?}");
    let size = network.relay().sizes().await;
    // The whole exchange again, as recorded, over another link.
    let mut replay = Peer::connect(&xa).await;
    assert_eq!(replay.submit(&letters[0]).await, first);
    assert_eq!(replay.submit(&letters[1]).await, second);
    assert_eq!(network.relay().sizes().await, size);
    others_are_served(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cuts_off_a_hub_that_breaks_the_protocol_and_serves_its_officers() {
    let network = Plan::of(&["XB"]).and_puppets(&["XA"]).start().await;
    let (hub, node) = (HubMaterial::of(&network, "XB"), network.node("XB"));
    let truth = Truth::of(&Material::of(&network, "XA")).await;
    network.relay().stop();
    node.until_connected(false).await;
    let mut script = Script::honest(&hub, &truth);
    // A node's frame, from the hub.
    script.send = vec![ncp_protocol::frame::PublicGet { from: 0, until: 1 }.into()];
    let log = node.log();
    let mark = log.mark();
    let mut impostor = Impostor::start(&hub.tls, hub.network, hub.address, script);
    let code = impostor
        .until("the node to say good-bye", |frame| if let Frame::Bye(bye) = frame { Some(bye.code) } else { None })
        .await;
    assert_eq!(code, Some(RejectCode::FrameUnexpected));
    log.wait_for(mark, &["PublicGet"]);
    assert!(node.size().await > 0, "officers are served");
}
