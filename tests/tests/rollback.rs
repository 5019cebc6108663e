//! Data folders put back in time, and copies that run beside each other: others notice, whoever restarted meanwhile.
#![cfg(test)]

use std::fs;

use e2e::binaries::Program;
use e2e::folder::copy;
use e2e::messages::is_delivered;
use e2e::process::{Daemon, Ended};
use e2e::{Network, Node, Plan};
use rustix::process::Signal;

/// The daemon ended by itself because its log is not the newest.
fn check_forked(ended: &Ended) {
    assert_eq!(ended.code(), Some(78), "{}", ended.log);
    assert!(ended.log.contains("error[NCP-E6107]: "), "{}", ended.log);
}

/// Starts a node that the hub is to stop, perhaps before it has said that it is ready.
fn found_out(node: &Node) {
    let ended = Daemon::start(Program::Node, &node.config()).map_or_else(|ended| ended, |daemon| daemon.ended());
    check_forked(&ended);
}

async fn pair() -> Network {
    Plan::of(&["XA", "XB"]).start().await
}

/// A notice from XA that arrives.
async fn send(network: &Network, subject: &str) {
    let reference = network.node("XA").notice(&["XB"], subject, "text").await;
    network.node("XA").until_state(reference, is_delivered).await;
}

#[tokio::test]
async fn a_node_put_back_in_time_is_told_by_a_hub_that_restarted() {
    let network = pair().await;
    let (relay, xa) = (network.relay(), network.node("XA"));
    let (old, newest) = (network.folder().join("old"), network.folder().join("newest"));
    send(&network, "before the backup").await;
    let _ = xa.stop();
    copy(&xa.data(), &old);
    xa.start();
    // XA only sends: nothing but its own checkpoints tells the hub how long its log is.
    send(&network, "behind the backup").await;
    let _ = xa.stop();
    copy(&xa.data(), &newest);
    let _ = relay.stop();
    relay.start();
    copy(&old, &xa.data());
    found_out(xa);
    // It stays so, and nothing of the old state counts at the hub.
    check_forked(&xa.refused_start());
    copy(&newest, &xa.data());
    xa.start();
    send(&network, "with the newest state").await;
    assert_eq!(network.node("XB").inbox().await.len(), 3, "no reference was used twice");
}

#[tokio::test]
async fn a_node_that_was_killed_right_after_sending_is_told_as_well() {
    let network = pair().await;
    let (relay, xa) = (network.relay(), network.node("XA"));
    let old = network.folder().join("old");
    let _ = xa.stop();
    copy(&xa.data(), &old);
    xa.start();
    xa.until_connected(true).await;
    send(&network, "behind the backup").await;
    let (traffic, _) = relay.sizes().await;
    xa.kill();
    let _ = relay.stop();
    relay.start();
    assert!(relay.sizes().await.0 >= traffic);
    copy(&old, &xa.data());
    found_out(xa);
}

#[tokio::test]
async fn a_hub_put_back_in_time_is_told_by_nodes_that_restarted() {
    let network = pair().await;
    let (relay, xa, xb) = (network.relay(), network.node("XA"), network.node("XB"));
    let old = network.folder().join("old");
    let _ = relay.stop();
    copy(&relay.data(), &old);
    relay.start();
    send(&network, "behind the backup").await;
    let _ = (xa.stop(), xb.stop());
    let _ = relay.stop();
    copy(&old, &relay.data());
    relay.start();
    xb.start();
    check_forked(&relay.ended());
}

#[tokio::test]
async fn a_copy_that_runs_beside_the_original_is_stopped_and_shown() {
    let network = pair().await;
    let (relay, xa) = (network.relay(), network.node("XA"));
    let _ = xa.stop();
    let (data, socket) = (network.folder().join("copy"), network.folder().join("copy.sock"));
    copy(&xa.data(), &data);
    let text = fs::read_to_string(xa.config()).expect("the configuration");
    let text = text.replace(xa.data().to_str().expect("text"), data.to_str().expect("text"));
    let text = text.replace(xa.socket().to_str().expect("text"), socket.to_str().expect("text"));
    let config = network.folder().join("copy.toml");
    fs::write(&config, text).expect("written");
    let copied = Daemon::start(Program::Node, &config).expect("the copy starts");
    copied.log().wait_for(0, &["linked to the hub"]);

    xa.start();
    copied.log().wait_for(0, &["NCP-E3112"]);
    // The hub knows no original: it goes on with the one whose log it sees grow, which is not to be the copy's here.
    copied.signal(Signal::STOP);
    xa.until_connected(true).await;
    let reference = network.node("XB").notice(&["XA"], "to the original", "text").await;
    network.node("XB").until_state(reference, is_delivered).await;
    copied.signal(Signal::CONT);
    check_forked(&copied.ended());
    let status = relay.client().hub_status().await.expect("the relay answers");
    let forked: Vec<_> =
        status.peers.iter().filter(|peer| peer.forked.is_some()).map(|peer| peer.participant).collect();
    assert_eq!(forked, [xa.id()]);
    let health = relay.client().health().await.expect("the relay answers");
    assert!(health.ready, "the hub serves on");
    assert!(health.checks.iter().any(|check| check.code.as_deref() == Some("NCP-E6108")), "{:?}", health.checks);
    send(&network, "and on").await;
}
