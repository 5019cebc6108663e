//! Bad networks between nodes and hub: cut behind every record, half open, corrupting, slow. What was taken arrives, once,
//! with one receipt of each kind; the links come back by themselves.
#![cfg(test)]

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use e2e::ctl::Ctl;
use e2e::messages::until;
use e2e::receipts::verified;
use e2e::wire::{Way, Wire};
use e2e::{Network, Node, Plan};
use ncp_api::message::{Confirm, ConfirmStatus, MessageState};
use ncp_api::timeline::ReceiptKind;
use ncp_protocol::codes::{Kind, Precedence, UrgentGround};
use ncp_protocol::ids::Reference;

/// Takes a message: R3.
async fn confirm(node: &Node, reference: Reference) {
    let confirm = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
    node.client(1).confirm(&reference.into(), &confirm).await.expect("an officer may take it");
}

/// Waits until a message has gone all its way, and looks at its receipts: one of each kind, good offline.
async fn exchange(from: &Node, to: &Node, reference: Reference) {
    to.until_received(reference).await;
    confirm(to, reference).await;
    from.until_state(reference, |state| state == MessageState::HandedOver).await;
    // A cut may bring them in any order.
    let kinds = [ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment, ReceiptKind::ContentHandover];
    let client = from.client(1);
    let receipts = until(&client, &format!("all receipts of {reference}"), || async {
        let receipts = verified(&client.evidence(&reference.into()).await.expect("receipts"));
        let is_there = |kind| receipts.iter().any(|(known, _)| known == kind);
        kinds.iter().all(is_there).then_some(receipts)
    })
    .await;
    let count = |wanted| receipts.iter().filter(|(kind, _)| *kind == wanted).count();
    assert_eq!(kinds.map(count), [1; 3], "{reference}: R1, R2, R3");
    assert_eq!(receipts.len(), 3, "{reference}: nothing else");
}

/// Each of these once at the node, and nothing else.
async fn arrived_once(node: &Node, sent: &[Reference]) {
    let inbox = node.inbox().await;
    assert_eq!(inbox.iter().collect::<BTreeSet<_>>(), sent.iter().collect(), "each that was sent, and no other");
    assert_eq!(inbox.len(), sent.len(), "each once");
}

fn audit(network: &Network, names: &[&str]) {
    for name in names {
        Ctl::new("audit verify").with(network.node(name).data()).ok();
    }
    Ctl::new("audit verify").with(network.relay().data()).ok();
}

/// Has one exchange after the other between two nodes that begin anew each time, something happening to the first record
/// on both their wires, then to the second, and so on, by these steps, until an exchange is through before it happens.
async fn each_record_in_turn(
    network: Arc<Network>,
    (from, to): (&'static str, &'static str),
    (first, step): (usize, usize),
    arm: fn(&Wire, u64),
) -> usize {
    let nodes = [network.node(from), network.node(to)];
    let wires = [network.wire(from), network.wire(to)];
    let mut sent = Vec::new();
    for record in (first..).step_by(step) {
        for (node, wire) in nodes.into_iter().zip(wires) {
            // A fresh node dials at once, so the count begins with its first record.
            node.kill();
            arm(wire, u64::try_from(record).expect("few"));
            node.start();
        }
        let reference = nodes[0].notice(&[to], "in bad weather", &record.to_string()).await;
        sent.push(reference);
        exchange(nodes[0], nodes[1], reference).await;
        let happened = wires.iter().filter(|wire| !wire.is_armed()).count();
        wires.iter().for_each(|wire| wire.clear());
        if happened == 0 {
            arrived_once(nodes[1], &sent).await;
            return record;
        }
    }
    unreachable!("an exchange has an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_cut_at_any_record_of_an_exchange_loses_nothing_and_doubles_nothing() {
    const PAIRS: [(&str, &str); 3] = [("XA", "XB"), ("XC", "XD"), ("XE", "XF")];
    let network = Arc::new(Plan::of(&["XA", "XB", "XC", "XD", "XE", "XF"]).over_wires().start().await);
    let mut pairs = tokio::task::JoinSet::new();
    for (number, pair) in PAIRS.into_iter().enumerate() {
        pairs.spawn(each_record_in_turn(Arc::clone(&network), pair, (number, PAIRS.len()), Wire::cut_after));
    }
    let ends = pairs.join_all().await;
    assert!(ends.iter().all(|end| *end >= 12), "handshake, hello and an exchange take more records: {ends:?}");
    audit(&network, &PAIRS.map(|pair| pair.1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bit_that_flips_on_the_way_ends_the_link_and_loses_nothing() {
    let network = Arc::new(Plan::of(&["XA", "XB"]).over_wires().start().await);
    let end = each_record_in_turn(Arc::clone(&network), ("XA", "XB"), (0, 4), Wire::corrupt_after).await;
    assert!(end >= 12, "handshake, hello and an exchange take more records: {end}");
    // And on links that stand.
    for name in ["XA", "XB"] {
        let (node, wire) = (network.node(name), network.wire(name));
        node.until_connected(true).await;
        let before = wire.connections();
        wire.corrupt_after(0);
        let reference = network.node("XA").notice(&["XB"], "bent", name).await;
        exchange(network.node("XA"), network.node("XB"), reference).await;
        assert!(!wire.is_armed() && wire.connections() > before, "{name}");
    }
    audit(&network, &["XA", "XB"]);
}

/// Has a daemon notice silence within ten seconds.
fn impatient(config: &Path) {
    let mut folder = config.as_os_str().to_owned();
    folder.push(".d");
    fs::create_dir_all(&folder).expect("a folder beside the configuration");
    let file = Path::new(&folder).join("10-idle.toml");
    fs::write(file, "idle-timeout-seconds = 10\n").expect("a file beside the configuration");
}

#[tokio::test]
async fn a_path_that_is_half_open_is_noticed_at_both_ends_and_made_anew() {
    let network = Plan::of(&["XA", "XB"]).over_wires().start().await;
    let (xa, xb) = (network.node("XA"), network.node("XB"));
    let _ = network.relay().stop();
    impatient(&network.relay().config());
    network.relay().start();
    impatient(&xb.config());
    let _ = xb.stop();
    xb.start();
    xa.until_connected(true).await;
    xb.until_connected(true).await;
    let (quiet, wire) = (network.wire("XA").connections(), network.wire("XB"));
    let (made, mark) = (wire.connections(), xb.log().mark());
    wire.swallow();
    let to = xa.notice(&["XB"], "into the dark", "arrives").await;
    let from = xb.notice(&["XA"], "out of the dark", "arrives").await;
    exchange(xa, xb, to).await;
    exchange(xb, xa, from).await;
    xb.log().wait_for(mark, &["no link to the hub", "silent for too long"]);
    assert_eq!(wire.connections(), made + 1);
    // The hub notices, too, where nobody dials anew.
    let (log, mark) = (network.relay().log(), network.relay().log().mark());
    wire.swallow();
    xb.kill();
    log.wait_for(mark, &["XB", "silent for too long"]);
    xb.start();
    exchange(xb, xa, xb.notice(&["XA"], "light again", "arrives").await).await;
    assert_eq!(network.wire("XA").connections(), quiet, "who has nothing to say but pings is not silent");
    audit(&network, &["XA", "XB"]);
}

/// Bytes a second, as on the worst radio link that the system is made for.
const SLOW: u32 = 500;

#[tokio::test]
async fn on_a_path_of_500_bytes_a_second_urgent_mail_goes_first_and_the_rest_follows() {
    let network = Plan::of(&["XA", "XB"]).over_wires().start().await;
    let (xa, xb, wire) = (network.node("XA"), network.node("XB"), network.wire("XA"));
    wire.delay(Duration::from_millis(100));
    let delayed = xa.notice(&["XB"], "over a satellite", "a tenth of a second each way").await;
    exchange(xa, xb, delayed).await;
    wire.clear();
    // What was written before an urgent message cannot be overtaken; what waits can.
    xa.ctl("hold set --all", xa.supervisor()).ok();
    let routine = xa.notice(&["XB"], "routine", "later").await;
    let mut message = e2e::messages::message(Kind::Notice, &["XB"], "urgent", "now");
    message.precedence = Precedence::Urgent;
    message.urgent_ground = Some(UrgentGround::LifeOrLimb);
    let urgent = xa.client(1).create(&message, &e2e::messages::fresh_key()).await.expect("it is taken").reference;
    wire.slow(SLOW);
    xa.ctl("hold lift --all", xa.supervisor()).ok();
    exchange(xa, xb, urgent).await;
    exchange(xa, xb, routine).await;
    assert_eq!(xb.inbox().await, [delayed, urgent, routine], "in this order");
    assert_eq!(wire.connections(), 1, "slow is not dead");
}

#[tokio::test]
async fn a_link_is_made_and_carries_a_message_at_500_bytes_a_second() {
    let network = Plan::of(&["XA", "XB"]).over_wires().start().await;
    let (xa, xb, wire) = (network.node("XA"), network.node("XB"), network.wire("XA"));
    let _ = xa.stop();
    wire.slow(SLOW);
    let before = (wire.passed(Way::Up), wire.passed(Way::Down), wire.connections());
    xa.start();
    xa.until_connected(true).await;
    let after = (wire.passed(Way::Up), wire.passed(Way::Down), wire.connections());
    e2e::tell(&format!("slow: {before:?} bytes up and down, connections; {after:?} when the link stands"));
    let reference = xa.notice(&["XB"], "slowly", "but it arrives").await;
    exchange(xa, xb, reference).await;
}
