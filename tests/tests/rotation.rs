//! Keys end and go on: those of a State that renews them in time, of one that forgot, and of the hub, over the real daemons
//! and ncpctl.
#![cfg(test)]

use core::time::Duration;
use std::fs;

use e2e::ctl::{Ctl, text};
use e2e::messages::{is_accepted, is_delivered, until};
use e2e::{Network, Node, Plan, id};
use ncp_api::message::{MessageName, MessageState};
use ncp_protocol::ids::Reference;
use rustix::process::Signal;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the hub sees of a message to one recipient: signing key and sealing key.
async fn keys_of(node: &Node, reference: Reference) -> [String; 2] {
    let view = node.client(1).hub_view(&MessageName::from(reference)).await.expect("its header");
    let fields = &view.headers.first().expect("one recipient").fields;
    let value = |name| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    ["originator-key", "recipient-key"].map(|name| value(name).expect("every header has it"))
}

/// Sends a notice and waits for R2; returns its keys.
async fn sent(from: &Node, to: &str) -> [String; 2] {
    let reference = from.notice(&[to], "keys", "text").await;
    from.until_state(reference, is_delivered).await;
    keys_of(from, reference).await
}

/// Waits until a node has an entry of this version.
async fn until_version(node: &Node, of: &str, version: u32) {
    let (client, participant) = (node.client(1), id(of));
    until(&client, &format!("version {version} of {of} at {}", node.name()), || async {
        let directory = client.directory().await.expect("the directory");
        let entry = directory.entries.into_iter().find(|entry| entry.participant == participant)?;
        (entry.version >= version).then_some(())
    })
    .await;
}

async fn reload(node: &Node) {
    let (log, mark) = (node.log(), node.log().mark());
    node.signal(Signal::HUP);
    log.wait_for(mark, &["reloaded"]);
}

#[tokio::test]
async fn all_keys_of_a_node_go_on_while_mail_is_under_way() {
    let network = Plan::of(&["XA", "XB"]).start().await;
    let (xa, xb) = (network.node("XA"), network.node("XB"));
    let [_, to_old] = sent(xa, "XB").await;
    let [by_old, _] = sent(xb, "XA").await;

    // XB is away, and mail waits for it that is sealed to its old key.
    xb.stop();
    let waiting = xa.notice(&["XB"], "under way", "text").await;
    xa.until_state(waiting, is_accepted).await;
    assert_eq!(keys_of(xa, waiting).await[1], to_old);
    xb.rotate(network.relay(), &["--signing", "--tls"]);
    xb.start();
    xb.until_received(waiting).await;
    xa.until_state(waiting, is_delivered).await;
    until_version(xa, "XB", 1).await;
    until_version(xb, "XB", 1).await;
    let ([_, to_new], [by_new, _]) = (sent(xa, "XB").await, sent(xb, "XA").await);
    assert_ne!((to_new, by_new), (to_old, by_old));

    // XA goes on without a restart, and twice, so that its first TLS key is pinned no longer.
    let [before, _] = sent(xa, "XB").await;
    xa.rotate(network.relay(), &["--signing", "--tls"]);
    reload(xa).await;
    until_version(xa, "XA", 1).await;
    until_version(xb, "XA", 1).await;
    assert_ne!(sent(xa, "XB").await[0], before);
    network.relay().stop();
    xa.until_connected(false).await;
    network.relay().start();
    xa.until_connected(true).await;
    let made = xa.rotate(network.relay(), &["--again"]);
    assert_eq!(made["entry_version"], 2);
    until_version(xb, "XA", 2).await;
    network.relay().kill();
    network.relay().start();
    sent(xa, "XB").await;
    sent(xb, "XA").await;

    // XB gets another TLS key, nobody reloads it, and the next version pins the old one no longer.
    xb.rotate(network.relay(), &["--tls", "--again"]);
    xb.rotate(network.relay(), &["--again"]);
    until_version(xa, "XB", 3).await;
    xb.log().wait_for(0, &["a certificate over another key was installed"]);
    sent(xa, "XB").await;

    // All three at once, because somebody may have them.
    let [by_known, to_known] = [sent(xb, "XA").await[0].clone(), sent(xa, "XB").await[1].clone()];
    xb.rotate(network.relay(), &["--compromised"]);
    reload(xb).await;
    until_version(xa, "XB", 4).await;
    until_version(xb, "XB", 4).await;
    assert_ne!([sent(xb, "XA").await[0].clone(), sent(xa, "XB").await[1].clone()], [by_known, to_known]);
}

#[tokio::test]
async fn a_state_that_forgot_its_keys_comes_back_and_its_old_sealing_key_is_destroyed() {
    let network = Plan::of(&["XA"]).and_puppets(&["XB"]).aged(130 * DAY).start().await;
    let (xa, xb) = (network.node("XA"), network.node("XB"));
    let reference = xa.notice(&["XB"], "nobody can read it yet", "text").await;
    let released = xa.client(1).message(&reference.into()).await.expect("it is known");
    assert_eq!(released.state, MessageState::Queued, "there is no key to seal it to");

    xb.rotate(network.relay(), &[]);
    xb.start();
    xb.until_listed("XA").await;
    pin(xb, xa);
    xb.until_received(reference).await;
    xa.until_state(reference, is_delivered).await;
    // The wall clock is believed from a start's first moment when the journal confirms it.
    xb.stop();
    let key = xb.data().join("keys/sealing-1.key");
    xb.start();
    if !fs::read(&key).expect("the file stays").is_empty() {
        xb.log().wait_for(0, &["sealing keys that have ended are destroyed"]);
    }
    assert!(fs::read(&key).expect("the file stays").is_empty());
    xb.stop();
    xb.start();
    sent(xa, "XB").await;
}

fn pin(node: &Node, other: &Node) {
    node.ctl("directory pin", node.supervisor()).with(other.name()).set("--fingerprint", other.fingerprint()).ok();
}

#[tokio::test]
async fn a_state_whose_disk_was_lost_begins_again_and_the_old_disk_serves_nobody() {
    let network = Plan::of(&["XA", "XB"]).start().await;
    let (relay, xa, xb) = (network.relay(), network.node("XA"), network.node("XB"));
    let first = xa.notice(&["XB"], "before the loss", "text").await;
    xa.until_state(first, is_delivered).await;
    xa.kill();
    let waiting = xb.notice(&["XA"], "sealed to a lost key", "text").await;
    xb.until_state(waiting, is_accepted).await;
    let lost = xa.folder().join("lost");
    fs::rename(xa.data(), &lost).expect("lost");

    let (request, answer) = (xa.folder().join("again.json"), xa.folder().join("answer-again.json"));
    let anew = Ctl::new("keys new-epoch --confirm=XA").set("--from", xa.folder().join("answer.json"));
    let made = anew.set("--dir", xa.data()).set("--offline", xa.folder().join("offline")).set("--out", &request).json();
    assert_eq!((&made["epoch"], &made["entry_version"]), (&2.into(), &1.into()));
    relay.ctl("hub admit").with(request).set("--dir", relay.folder()).set("--out", &answer).with("--no-input").ok();
    Ctl::new("keys install").with(answer).set("--dir", xa.data()).ok();
    xa.start();
    xa.until_listed("XB").await;
    pin(xa, xb);
    xa.until_received(waiting).await;
    xb.until_state(waiting, is_delivered).await;
    let second = xa.notice(&["XB"], "after the loss", "text").await;
    assert!(second.number > first.number + 1, "{second} is none of the numbers before");
    xa.until_state(second, is_delivered).await;
    xb.until_received(second).await;
    for folder in [&lost, &xa.data(), &xb.data(), &relay.data()] {
        Ctl::new("audit verify").with(folder).ok();
    }

    // The old disk turns up and is put back: nobody takes it for XA, and it sees why.
    xa.stop();
    fs::rename(xa.data(), xa.folder().join("new")).expect("put aside");
    fs::rename(&lost, xa.data()).expect("put back");
    xa.start();
    xa.log().wait_for(0, &["an entry in this node's name that it did not sign"]);
    let status = relay.client().hub_status().await.expect("the relay answers");
    let peer = status.peers.iter().find(|peer| peer.participant == xa.id()).expect("XA is a member");
    assert!(!peer.connected && peer.entry_version == 1, "{peer:?}");
}

/// Whether the node keeps this version of the root of trust.
fn knows(node: &Node, root: &[u8]) -> bool {
    let kept = fs::read(node.data().join("network/statements")).unwrap_or_default();
    kept.windows(root.len()).any(|part| part == root)
}

#[tokio::test]
async fn the_hub_renews_root_membership_and_certificate_and_all_go_on() {
    let network = Plan::of(&["XA", "XB"]).start().await;
    let (relay, xa) = (network.relay(), network.node("XA"));
    let renew = |words: &str| relay.ctl(&format!("hub renew {words}")).set("--dir", relay.folder()).json();
    let before = relay.client().hub_status().await.expect("the relay answers").membership_version;
    renew("");
    assert!(!relay.data().join("network/root-2").exists(), "nothing was due");
    renew("--all");
    let root = fs::read(relay.data().join("network/root-2")).expect("the relay has the next root of trust");
    assert!(relay.data().join("network/tls-2.crt").exists());
    let after = relay.client().hub_status().await.expect("the relay answers").membership_version;
    assert_eq!(after, before + 1);
    until(&xa.client(1), "the next root of trust at XA", || async { knows(xa, &root).then_some(()) }).await;

    relay.stop();
    relay.start();
    xa.stop();
    xa.start();
    sent(xa, "XB").await;
    joins_later(&network);
}

/// Who joins now gets both versions.
fn joins_later(network: &Network) {
    let (relay, folder) = (network.relay(), network.folder());
    let (data, request, answer) = (folder.join("later"), folder.join("later.json"), folder.join("later-answer.json"));
    let init = Ctl::new("keys init --participant XC").set("--network", relay.network()).set("--dir", &data);
    let fingerprint = text(&init.set("--out", &request).json(), "fingerprint");
    let admit = relay.ctl("hub admit").with(request).set("--dir", relay.folder()).set("--fingerprint", fingerprint);
    admit.set("--out", &answer).ok();
    Ctl::new("keys install").with(answer).set("--dir", &data).ok();
    assert!(data.join("network/root-2").exists());
}
