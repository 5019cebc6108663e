//! Outages: the hub away, daemons killed at any moment under load. What was taken arrives, once.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use e2e::messages::{fresh_key, is_delivered, message, until};
use e2e::receipts::verified;
use e2e::{Network, Node, Plan};
use ncp_api::ErrorCode;
use ncp_api::client::PageQuery;
use ncp_api::message::{MessageState, MessageView};
use ncp_api::timeline::ReceiptKind;
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::Reference;

#[tokio::test]
async fn what_is_sent_while_the_hub_is_away_arrives_once_when_it_is_back() {
    let network = Plan::of(&["XB", "XC"]).start().await;
    let (xb, xc) = (network.node("XB"), network.node("XC"));
    network.relay().kill();
    xb.until_connected(false).await;
    let mut sent = Vec::new();
    for number in 0..10 {
        sent.push(xb.notice(&["XC"], "while the hub is away", &number.to_string()).await);
    }
    // The node restarts meanwhile: its outbox is durable, and its officers are served without the hub.
    let _ = xb.stop();
    xb.start();
    for reference in &sent {
        let view = xb.client(1).message(&(*reference).into()).await.expect("it is there");
        assert_eq!(view.state, MessageState::Queued);
    }
    network.relay().start();
    for reference in &sent {
        xb.until_state(*reference, is_delivered).await;
    }
    assert_eq!(sorted(xc.inbox().await), sorted(sent), "each once");
    audit(&network);
}

fn sorted(mut references: Vec<Reference>) -> Vec<Reference> {
    references.sort();
    references
}

/// Every log of the network verifies offline.
fn audit(network: &Network) {
    for data in [network.relay().data(), network.node("XB").data(), network.node("XC").data()] {
        e2e::ctl::Ctl::new("audit verify").with(data).ok();
    }
}

/// Messages that each of two nodes sends under load.
const LOAD: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_under_load_lose_nothing_and_double_nothing() {
    let network = Arc::new(Plan::of(&["XA", "XB", "XC"]).start().await);
    let senders = ["XA", "XB"].map(|name| tokio::spawn(send_and_kill(Arc::clone(&network), name)));
    let mut sent = BTreeMap::new();
    for sender in senders {
        sent.append(&mut sender.await.expect("a sender's task"));
    }
    assert_eq!(sent.len(), 2 * LOAD);

    let xc = network.node("XC");
    let client = xc.client(1);
    until(&client, "every message to arrive", || async { (xc.inbox().await.len() >= sent.len()).then_some(()) }).await;
    let inbox = xc.inbox().await;
    assert_eq!(inbox.iter().collect::<BTreeSet<_>>(), sent.keys().collect(), "each that was taken, and no other");
    assert_eq!(inbox.len(), sent.len(), "each once");
    for (reference, from) in &sent {
        let node = network.node(from);
        node.until_state(*reference, is_delivered).await;
        let receipts = verified(&node.client(1).evidence(&(*reference).into()).await.expect("receipts"));
        let count = |wanted| receipts.iter().filter(|(kind, _)| *kind == wanted).count();
        let counts = (count(ReceiptKind::RelayAcceptance), count(ReceiptKind::ContentConsignment));
        assert_eq!(counts, (1, 1), "{reference}: one R1, one R2");
    }
    for data in ["XA", "XB", "XC"].map(|name| network.node(name).data()) {
        e2e::ctl::Ctl::new("audit verify").with(data).ok();
    }
    e2e::ctl::Ctl::new("audit verify").with(network.relay().data()).ok();
}

/// Sends a load from a node; kills that node, the hub or the recipient at random moments, XA's task the first and the
/// second, XB's the first and the third, and restarts what it killed.
async fn send_and_kill(network: Arc<Network>, name: &'static str) -> BTreeMap<Reference, &'static str> {
    let node = network.node(name);
    let mut sent = BTreeMap::new();
    for number in 0..LOAD {
        let [dice, moment] = e2e::random();
        let key = fresh_key();
        let create = tokio::spawn(create(node.client(1), key.clone(), number));
        if dice % 12 == 0 {
            // Up to three looks at the inbox later: before, within or after the node's work on the message.
            for _ in 0..moment % 4 {
                let _ = node.client(1).inbox(&PageQuery::default()).await;
            }
            kill_one(&network, node, dice);
        }
        let view = match create.await.expect("a task") {
            Ok(view) => view,
            // Whether it was taken before the kill, the same key tells.
            Err(_) => create_again(node, &key, number).await,
        };
        sent.insert(view.reference, name);
    }
    sent
}

fn kill_one(network: &Network, node: &Node, dice: u8) {
    // Each task kills daemons that the other does not: a daemon is restarted by whoever killed it.
    if dice < 128 || node.name() == "XA" && dice < 192 {
        node.kill();
        node.start();
    } else if node.name() == "XA" {
        network.relay().kill();
        network.relay().start();
    } else {
        network.node("XC").kill();
        network.node("XC").start();
    }
}

async fn create(client: ncp_api::Client, key: String, number: usize) -> Result<MessageView, ncp_api::ClientError> {
    client.create(&notice(number), &key).await
}

fn notice(number: usize) -> ncp_api::message::NewMessage {
    message(Kind::Notice, &["XC"], "under load", &format!("number {number}"))
}

async fn create_again(node: &Node, key: &str, number: usize) -> MessageView {
    let again = node.client(1).create(&notice(number), key).await;
    match again {
        Ok(view) => view,
        // The first request was recorded as seen, and what it made is there: its key named it.
        Err(error) if error.is(ErrorCode::OfficerRequestReplayed) => {
            panic!("an interrupted request is refused: {error}")
        }
        Err(error) => panic!("{error}"),
    }
}
