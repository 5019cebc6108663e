//! Greedy peers at the hub: others are served on, what they cost is bounded, and they are told. What they cost the others in
//! time is measured by the example `greedy`. How many envelopes a flood leaves waiting `NCP_TEST_QUEUE` says.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;

use e2e::greedy::{Crowd, Flood, SentAway, Trickle};
use e2e::material::Material;
use e2e::messages::{is_delivered, until};
use e2e::{Network, Plan};
use ncp_protocol::ids::Reference;
use ncp_protocol::reject::RejectCode;

/// Envelopes that wait for one unless the environment names another number.
const QUEUE: u64 = 1_000;
/// How much memory the hub may take more at any moment, in KiB.
const GROWTH_KIB: u64 = 64 << 10;
/// Connections that the hub takes, as configured unless otherwise.
const CONNECTIONS_MAX: usize = 512;

fn queue() -> u64 {
    std::env::var("NCP_TEST_QUEUE").map_or(QUEUE, |text| text.parse().expect("a number"))
}

/// A network whose hub lets so many envelopes of one originator wait. XA and XD are greedy; XB and XC are not.
async fn network(quota: u64) -> Network {
    let network = Plan::of(&["XB", "XC"]).and_puppets(&["XA", "XD"]).start().await;
    let _ = network.relay().stop();
    let config = network.relay().config();
    let text = fs::read_to_string(&config).expect("a configuration");
    fs::write(&config, format!("{text}\n[quotas]\noriginator-envelopes = {quota}\n")).expect("written");
    network.relay().start();
    network
}

/// A message from XC reaches XB, and its evidence XC.
async fn others_are_served(network: &Network) -> Reference {
    let reference = network.node("XC").notice(&["XB"], "still served", "as before").await;
    network.node("XC").until_state(reference, is_delivered).await;
    reference
}

/// Descriptors of the hub's daemon that are sockets.
fn sockets(network: &Network) -> usize {
    let folder = format!("/proc/{}/fd", network.relay().pid());
    let links = fs::read_dir(folder).expect("the relay runs").flatten();
    // One may be closed in between.
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

fn growth(network: &Network, before: u64) -> u64 {
    network.relay().peak_kib().saturating_sub(before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_that_say_nothing_keep_nobody_out() {
    let network = network(QUEUE).await;
    others_are_served(&network).await;
    let before = network.relay().resident_kib();
    let crowd = Crowd::gather(1_000, network.relay().address(), SentAway::Comes);
    let client = network.relay().client();
    e2e::soon("the crowd to be there, and the hub to send some away", async {
        while crowd.standing() < 100 || crowd.ended() < 100 {
            client.health().await.expect("the operator is served");
        }
    })
    .await;
    // Whoever has a certificate gets in, again and again.
    for _ in 0..3 {
        let _ = network.node("XC").stop();
        network.node("XC").start();
        others_are_served(&network).await;
        assert!(sockets(&network) <= CONNECTIONS_MAX + 16, "{} sockets", sockets(&network));
    }
    let growth = growth(&network, before);
    assert!(growth < GROWTH_KIB, "{growth} KiB more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_refused_beyond_its_quota_one_by_one_and_a_long_queue_and_a_slow_reader_cost_little() {
    let queue = queue();
    let network = network(queue).await;
    let mut served = vec![others_are_served(&network).await];
    let before = network.relay().resident_kib();
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let mut flood = Flood::begin(&xa, &xd).await;
    flood.send(queue).await;
    assert_eq!((flood.tally.accepted, &flood.tally.refused), (queue, &BTreeMap::new()), "its quota is its own");
    served.push(others_are_served(&network).await);
    // Beyond it: each is refused, with the same clear word, and the link stands.
    let flooding = tokio::spawn(async move {
        flood.send(QUEUE).await;
        flood
    });
    served.push(others_are_served(&network).await);
    let flood = flooding.await.expect("the flood is not cut off");
    assert_eq!(flood.tally.accepted, queue);
    assert_eq!(flood.tally.refused, BTreeMap::from([(RejectCode::QuotaExceeded, QUEUE)]));
    let told = network.relay().log().since(0).iter().filter(|line| line.contains("refused: ")).count();
    assert!((1..60).contains(&told), "{told} lines of the log for {QUEUE} refusals");
    // The one for whom all this waits begins to take it, slowly.
    let trickle = Trickle::begin(&xd).await;
    let client = network.relay().client();
    until(&network.node("XB").client(1), "the slow reader to be there", || async {
        let status = client.hub_status().await.expect("the operator is served");
        status.peers.iter().any(|shown| shown.participant == xd.participant && shown.connected).then_some(())
    })
    .await;
    for _ in 0..5 {
        served.push(others_are_served(&network).await);
    }
    let growth = growth(&network, before);
    e2e::tell(&format!("greedy: {queue} envelopes wait; the hub had at most {} MiB more resident", growth >> 10));
    assert!(growth < GROWTH_KIB, "{growth} KiB more");
    drop((trickle, flood));
    assert_eq!(network.node("XB").inbox().await, served, "each once");
}
