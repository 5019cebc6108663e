//! Wrong wall clocks at node and hub, a day and ten years off either way, while they run, and a node's at its start: nothing is
//! lost, nothing expires, it is said, and when the clock is right again everything goes on by itself. And clocks that say
//! rightly that it is much later.
#![cfg(test)]

use core::time::Duration;

use e2e::messages::{is_accepted, is_delivered, until};
use e2e::shim::WallClock;
use e2e::{Node, Plan};
use ncp_api::health::CheckResult;
use ncp_api::message::MessageState;
use ncp_protocol::ids::Reference;

const DAY: i64 = 24 * 60 * 60;
const YEAR: i64 = 365 * DAY;
/// Several rounds of the clock, which goes round each second.
const ROUNDS: Duration = Duration::from_secs(3);
const STEPS: [i64; 4] = [DAY, -DAY, 10 * YEAR, -10 * YEAR];

/// How a message stands at its node, by the programs on that machine, whose clock is the node's.
fn state(node: &Node, reference: Reference, clock: &WallClock) -> String {
    let shown = node.ctl("status", node.officer(1)).with(reference.to_string()).env(&clock.environment()).json();
    e2e::ctl::text(&shown, "state")
}

/// Sends a notice from a machine with this clock and waits until its recipient has it.
async fn delivered(from: &Node, to: &Node, clock: &WallClock, right: &Node) {
    let send = from.ctl("send --kind notice --handling H0 --text Now --subject Now", from.officer(1));
    let sent = send.set("--to", to.name()).env(&clock.environment()).json();
    let reference = e2e::ctl::text(&sent, "reference").parse().expect("a reference");
    until(&right.client(1), "R2", || async {
        (state(from, reference, clock) == MessageState::Delivered.to_string()).then_some(())
    })
    .await;
}

/// Each of these arrived once, and nothing else.
async fn once(node: &Node, mut sent: Vec<Reference>) {
    let mut inbox = node.inbox().await;
    inbox.sort();
    sent.sort();
    assert_eq!(inbox, sent, "each once");
}

/// The outcome of a check that anybody on the machine may see.
async fn check(client: &ncp_api::Client, id: &str) -> CheckResult {
    let health = client.health().await.expect("the daemon answers");
    health.checks.iter().find(|check| check.id == id).expect("a check").result
}

#[tokio::test]
async fn a_nodes_clock_that_steps_expires_nothing_and_everything_leaves_when_it_is_right_again() {
    let network = Plan::of(&["XA", "XB"]).over_wires().start().await;
    let clock = WallClock::new(network.folder());
    let (xa, xb, wire) = (network.node("XA"), network.node("XB"), network.wire("XA"));
    let mut sent = Vec::new();
    for ahead in STEPS {
        // A fresh node dials at once when the wire is there again.
        let _ = xa.stop();
        xa.start_with(&clock.environment());
        xa.until_connected(true).await;
        wire.close();
        xa.until_connected(false).await;
        let reference = xa.notice(&["XB"], "before the step", &ahead.to_string()).await;
        clock.set_ahead(ahead);
        until(&xb.client(1), "the alarm", || async {
            (check(&ncp_api::Client::new(xa.socket()), "S03").await != CheckResult::Ok).then_some(())
        })
        .await;
        assert_eq!(state(xa, reference, &clock), MessageState::Queued.to_string(), "{ahead} s ahead");
        clock.set_ahead(0);
        wire.clear();
        xb.until_received(reference).await;
        xa.until_state(reference, is_delivered).await;
        sent.push(reference);
    }
    once(xb, sent).await;
}

#[tokio::test]
async fn a_node_that_starts_with_a_wrong_clock_expires_nothing() {
    let network = Plan::of(&["XA", "XB"]).over_wires().start().await;
    let clock = WallClock::new(network.folder());
    let (xa, xb, wire) = (network.node("XA"), network.node("XB"), network.wire("XA"));
    let mut sent = Vec::new();
    for ahead in STEPS {
        wire.close();
        let reference = xa.notice(&["XB"], "before the start", &ahead.to_string()).await;
        let _ = xa.stop();
        clock.set_ahead(ahead);
        xa.start_with(&clock.environment());
        let begun = std::time::Instant::now();
        until(&xb.client(1), "several rounds of the clock", || async {
            let now = state(xa, reference, &clock);
            assert_eq!(now, MessageState::Queued.to_string(), "{ahead} s ahead");
            (begun.elapsed() > ROUNDS).then_some(())
        })
        .await;
        let _ = xa.stop();
        clock.set_ahead(0);
        wire.clear();
        xa.start_with(&clock.environment());
        xb.until_received(reference).await;
        xa.until_state(reference, is_delivered).await;
        sent.push(reference);
    }
    once(xb, sent).await;
}

#[tokio::test]
async fn a_hub_whose_clock_steps_expires_nothing_and_refuses_nothing_for_good() {
    let network = Plan::of(&["XA", "XB"]).start().await;
    let clock = WallClock::new(network.folder());
    let (xa, xb) = (network.node("XA"), network.node("XB"));
    let _ = network.relay().stop();
    let mut sent = Vec::new();
    for ahead in STEPS {
        network.relay().start_with(&clock.environment());
        // One message waits at the hub, another comes while its clock is wrong.
        let _ = xb.stop();
        let waiting = xa.notice(&["XB"], "before the step", &ahead.to_string()).await;
        xa.until_state(waiting, is_accepted).await;
        clock.set_ahead(ahead);
        until(&xa.client(1), "the alarm", || async {
            (check(&network.relay().client(), "S03").await != CheckResult::Ok).then_some(())
        })
        .await;
        let meanwhile = xa.notice(&["XB"], "after the step", &ahead.to_string()).await;
        until(&xa.client(1), "the hub's word, R1 or a refusal", || async {
            let timeline = xa.client(1).timeline(&meanwhile.into()).await.expect("known");
            (!timeline.refusals.is_empty() || is_accepted(timeline.state)).then_some(())
        })
        .await;
        // Whoever connects now hears of the directory from a hub with a wrong clock.
        let _ = xa.stop();
        xa.start();
        clock.set_ahead(0);
        xb.start();
        for reference in [waiting, meanwhile] {
            xb.until_received(reference).await;
            xa.until_state(reference, is_delivered).await;
            sent.push(reference);
        }
        let _ = network.relay().stop();
    }
    once(xb, sent).await;
}

/// XA goes away with a message at the hub, and comes back when the hub has forgotten it and its receipts; before, once with a
/// clock that is wrong.
#[tokio::test]
async fn what_the_hub_has_forgotten_ends_in_doubt_and_what_it_holds_does_not() {
    const AWAY: i64 = 40 * DAY;
    let network = Plan::of(&["XA", "XB", "XC", "XD"]).start().await;
    let clock = WallClock::new(network.folder());
    let [xa, xb, xc, right] = ["XA", "XB", "XC", "XD"].map(|name| network.node(name));
    let _ = xb.stop();
    let taken = xa.notice(&["XB"], "before", "taken").await;
    xa.until_state(taken, is_accepted).await;
    let _ = xa.stop();
    clock.set_ahead(AWAY);
    xa.start_with(&clock.environment());
    let begun = std::time::Instant::now();
    until(&right.client(1), "several rounds of the clock", || async {
        assert_eq!(state(xa, taken, &clock), MessageState::Accepted.to_string());
        (begun.elapsed() > ROUNDS).then_some(())
    })
    .await;
    let _ = xa.stop();
    xb.start();
    xb.until_received(taken).await;
    until(&right.client(1), "R2 at the hub", || async {
        let peers = network.relay().client().hub_status().await.expect("the hub answers").peers;
        peers.iter().all(|peer| peer.waiting == 0).then_some(())
    })
    .await;

    let _ = (network.relay().stop(), xb.stop(), xc.stop());
    network.relay().start_with(&clock.environment());
    xb.start_with(&clock.environment());
    xc.start_with(&clock.environment());
    // Two say what time it is, and the hub believes its clock.
    delivered(xb, xc, &clock, right).await;
    delivered(xc, xb, &clock, right).await;
    let begun = std::time::Instant::now();
    until(&right.client(1), "the hub to forget", || async {
        let believed = check(&network.relay().client(), "S03").await == CheckResult::Ok;
        (believed && begun.elapsed() > ROUNDS).then_some(())
    })
    .await;
    xa.start_with(&clock.environment());
    until(&right.client(1), "the end in doubt", || async {
        (state(xa, taken, &clock) == MessageState::Expired.to_string()).then_some(())
    })
    .await;
    let shown = xa.ctl("status", xa.officer(1)).with(taken.to_string()).env(&clock.environment()).ok().stdout;
    assert!(shown.contains("XB may have it all the same"), "{shown}");
}
