//! An outage of the hub: what was taken meanwhile arrives, once.
#![cfg(test)]

use e2e::messages::is_delivered;
use e2e::{Network, Plan};
use ncp_api::message::MessageState;
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
