//! The directory: what the operator admits is in force at once, nodes can read all of it, and what closes acts on sight.

use ncp_api::hub::{HubAdmit, HubMembership};
use ncp_protocol::directory::accept::{PublicReading, accept_timestamp};
use ncp_protocol::directory::{SignedEntry, SignedMembership, SignedTimestamp};
use ncp_protocol::frame::{EntryGet, Frame, PublicGet};
use ncp_protocol::ids::{LogName, ParticipantId};
use ncp_protocol::limits::CLOCK_SKEW_MAX_MS;
use ncp_protocol::reject::RejectCode;
use ncp_protocol::root::SignedRoot;

use crate::network::{Network, Participant, id, key, now};
use crate::peer::{Message, Peer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_can_verify_the_whole_directory() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    peer.send(EntryGet { root_version: 0, digests: vec![xa.digest, xb.digest] }).await;
    let Frame::Entries(entries) = peer.matter().await else { panic!("no entries") };
    let root = SignedRoot::decode(&entries.roots[0]).unwrap().verify_first().unwrap();
    let timestamp = SignedTimestamp::decode(&entries.timestamp.unwrap()).unwrap();
    let timestamp = accept_timestamp(&root, None, &timestamp, now()).unwrap();
    let membership = SignedMembership::decode(&entries.membership.unwrap()).unwrap();
    assert_eq!(membership.digest(), timestamp.membership_digest);
    let digests: Vec<_> = entries.entries.iter().map(|entry| SignedEntry::decode(entry).unwrap().digest()).collect();
    assert_eq!(digests, [xa.digest, xb.digest]);

    let mut reading = PublicReading::new();
    while reading.size() < timestamp.public_size {
        peer.send(PublicGet { from: reading.size(), until: timestamp.public_size }).await;
        let Frame::PublicLog(leaves) = peer.matter().await else { panic!("no leaves") };
        assert_eq!(leaves.from, reading.size());
        for leaf in &leaves.events {
            reading.read(leaf).unwrap();
        }
        let (origin, public) = (network.origin(LogName::Public), key("public log").verifying_key());
        ncp_protocol::checkpoint::SignedCheckpoint::open(&leaves.checkpoint, &origin, &public).unwrap();
    }
    assert_eq!(reading.root(), timestamp.public_root);
    for (participant, digest) in [(xa.id, xa.digest), (xb.id, xb.digest)] {
        assert_eq!(reading.admitted(participant, 0), Some(&digest));
    }
    assert!(reading.admitted(ParticipantId::HUB, 0).is_some(), "the hub's own entry is there from the start");
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admission_is_idempotent_and_checks_signatures() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (participant, signed) = network.stranger("XA");
    network.add_member(participant.id, signed.digest());
    let request = HubAdmit { entries: vec![signed.encode()], membership: network.membership(&[]), roots: Vec::new() };
    let first = network.api().hub_admit(&request).await.unwrap();
    assert_eq!(network.api().hub_admit(&request).await.unwrap(), first);

    let refused = async |request: &HubAdmit| {
        let error = network.api().hub_admit(request).await.unwrap_err();
        error.to_string()
    };
    let (_, other) = network.stranger("XB");
    let not_named = HubAdmit { entries: vec![other.encode()], ..request.clone() };
    assert!(refused(&not_named).await.contains("NCP-E7113"));
    let mut bad = request.clone();
    *bad.membership.last_mut().unwrap() ^= 1;
    assert!(refused(&bad).await.contains("NCP-E7106"));
    let mut bad = request.clone();
    *bad.entries[0].last_mut().unwrap() ^= 1;
    let substituted = refused(&bad).await;
    assert!(substituted.contains("NCP-E7107") || substituted.contains("NCP-E7108"), "{substituted}");
    assert_eq!(network.api().hub_status().await.unwrap().peers.len(), 1);
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_versions_come_at_once_and_one_of_the_future_not_at_all() {
    let mut network = Network::new();
    let hub = network.start().await;
    let xa = network.join("XA").await;
    let first = Network::next(&xa, |_| {});
    let rolled = Participant { entry: first.unverified().clone(), digest: first.digest(), ..xa.clone() };
    let admit = |entries: &[&SignedEntry], membership| HubAdmit {
        entries: entries.iter().map(|signed| signed.encode()).collect(),
        membership,
        roots: Vec::new(),
    };
    let membership = network.membership(&[]);
    let ahead = Network::next(&rolled, |entry| entry.created = now().plus_millis(2 * CLOCK_SKEW_MAX_MS));
    let error = network.api().hub_admit(&admit(&[&first, &ahead], membership.clone())).await.unwrap_err();
    assert!(error.to_string().contains("NCP-E7107"), "{error}");
    let version = async || network.api().hub_status().await.unwrap().peers[0].entry_version;
    assert_eq!(version().await, 0, "nothing of it is recorded");
    let second = Network::next(&rolled, |_| {});
    let recorded = network.api().hub_admit(&admit(&[&first, &second], membership.clone())).await.unwrap();
    assert_eq!((recorded.entry_version, version().await), (2, 2));
    let again = network.api().hub_admit(&admit(&[&first], membership.clone())).await.unwrap();
    assert_eq!(again.entry_version, 2, "what is known changes nothing");
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspension_ends_the_link_and_reinstatement_opens_it_again() {
    let mut network = Network::new();
    let hub = network.start().await;
    let (xa, xb) = (network.join("XA").await, network.join("XB").await);
    let mut xa_peer = Peer::connect(&network, &xa, hub.address).await;
    let mut xb_peer = Peer::connect(&network, &xb, hub.address).await;
    let membership = network.membership(&["XA"]);
    let request = HubMembership { participant: xa.id, membership };
    network.api().hub_suspend(&request).await.unwrap();
    assert_eq!(xa_peer.expect_bye().await, Some(RejectCode::OriginatorSuspended));
    let mut again = Peer::dial(&network, &xa, hub.address).await;
    assert_eq!(again.expect_bye().await, Some(RejectCode::OriginatorSuspended));
    let envelope = Message::new(1, 1).envelope(&network, &xb, &xa);
    xb_peer.send(ncp_protocol::frame::Submit { envelope }).await;
    assert_eq!(xb_peer.expect_refused().await.code, RejectCode::RecipientSuspended);
    let status = network.api().hub_status().await.unwrap();
    let suspended = status.peers.iter().find(|peer| peer.participant == id("XA")).unwrap();
    assert_eq!(suspended.suspended.as_ref().map(|code| code.as_str()), Some("drill"));
    let membership = network.membership(&[]);
    network.api().hub_reinstate(&HubMembership { participant: xa.id, membership }).await.unwrap();
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    peer.submit(&network, &Message::new(2, 1), &xb).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_told_when_the_directory_changes() {
    let mut network = Network::new();
    let hub = network.start().await;
    let xa = network.join("XA").await;
    let mut peer = Peer::connect(&network, &xa, hub.address).await;
    let before = network.api().hub_status().await.unwrap().public_size;
    network.join("XB").await;
    loop {
        if let Frame::EntriesChanged(changed) = peer.next().await {
            let timestamp = SignedTimestamp::decode(&changed.timestamp).unwrap();
            if timestamp.unverified().public_size > before + 1 {
                break;
            }
        }
    }
    hub.stop().await.unwrap();
}
