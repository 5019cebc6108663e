//! The same message again: the same evidence, byte for byte. Other content under its id: refused, and alarmed.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;

use e2e::craft::{Crafted, Letter};
use e2e::impostor::{Impostor, Script, acceptance};
use e2e::material::{HubMaterial, Material};
use e2e::peer::{Peer, Truth, Verdict};
use e2e::{Plan, folder};
use ncp_protocol::event::{Claim, EvidenceKind};
use ncp_protocol::evidence::{unverified_claim, verify};
use ncp_protocol::frame::{Deliver, Frame};
use ncp_protocol::ids::LogName;
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;

fn accepted(verdict: Verdict) -> LogProof {
    match verdict {
        Verdict::Accepted(proof) => *proof,
        Verdict::Refused(_) | Verdict::Cut(_) => panic!("{verdict:?}"),
    }
}

/// Removes the disposable index of a stopped daemon.
fn remove_index(data: &Path) {
    let index = data.join("index");
    assert!(!folder::files(&index).is_empty(), "there is an index to lose");
    std::fs::remove_dir_all(index).expect("it can be removed");
}

#[tokio::test]
async fn the_hub_gives_the_same_receipt_again_also_after_a_restart_and_without_its_index() {
    let network = Plan::of(&[]).and_puppets(&["XA", "XD"]).start().await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let hub = HubMaterial::of(&network, "XA");
    let relay = network.relay();
    let crafted = Letter::new(&xa, xd.entry(), b"once").seal();

    let mut peer = Peer::connect(&xa).await;
    let first = accepted(peer.submit(&crafted).await);
    verify(&first, &hub.origin(LogName::Traffic), &hub.traffic.verifying_key()).expect("R1 verifies offline");
    let size = relay.sizes().await;
    assert_eq!(accepted(peer.submit(&crafted).await), first, "on the same link");
    assert_eq!(accepted(Peer::connect(&xa).await.submit(&crafted).await), first, "on another link");
    assert_eq!(relay.sizes().await, size, "a repetition is no event");

    relay.stop();
    relay.start();
    assert_eq!(accepted(Peer::connect(&xa).await.submit(&crafted).await), first, "after a restart");
    relay.kill();
    remove_index(&relay.data());
    relay.start();
    assert_eq!(accepted(Peer::connect(&xa).await.submit(&crafted).await), first, "after a rebuild of the index");
    assert_eq!(relay.sizes().await, size, "and nothing was added");
}

#[tokio::test]
async fn other_content_under_a_known_id_is_refused_and_alarmed_once() {
    let network = Plan::of(&[]).and_puppets(&["XA", "XD"]).start().await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let relay = network.relay();
    let letter = Letter::new(&xa, xd.entry(), b"what was approved");
    let mut peer = Peer::connect(&xa).await;
    let sealed = letter.seal();
    let first = accepted(peer.submit(&sealed).await);
    let log = relay.log();
    let mark = log.mark();
    let stored = folder::stored(&relay.data());
    let (traffic, _) = relay.sizes().await;

    let other = letter.with_other_content(b"what was not").seal();
    assert_eq!(peer.submit(&other).await, Verdict::Refused(RejectCode::ConflictingContent));
    log.wait_for(mark, &["ERROR", "XA", &letter.manifest.message.to_string()]);
    let again = letter.with_other_content(b"nor this").seal();
    assert_eq!(peer.submit(&again).await, Verdict::Refused(RejectCode::ConflictingContent));
    assert_eq!(relay.sizes().await.0, traffic + 1, "the conflict is an event, once");
    assert_eq!(folder::stored(&relay.data()), stored, "nothing of the other content is stored");
    assert_eq!(accepted(peer.submit(&sealed).await), first, "what was first stands");
}

/// Number and proof of R2 about an envelope, if a frame brings it.
fn consignment(frame: &Frame, crafted: &Crafted) -> Option<(u64, LogProof)> {
    let Frame::Receipts(receipts) = frame else { return None };
    let about = |proof: &LogProof| match unverified_claim(proof) {
        Ok(Claim { kind, envelope, .. }) => kind == EvidenceKind::ContentConsignment && envelope == crafted.key(),
        Err(_) => false,
    };
    let mut numbered = (receipts.first..).zip(&receipts.proofs);
    numbered.find(|(_, proof)| about(proof)).map(|(number, proof)| (number, proof.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gives_the_same_receipt_again_also_after_a_restart_and_without_its_index() {
    let network = Plan::of(&["XB"]).and_puppets(&["XA", "XC"]).start().await;
    let (hub, node) = (HubMaterial::of(&network, "XB"), network.node("XB"));
    let (xa, xb) = (Material::of(&network, "XA"), Material::of(&network, "XB"));
    let truth = Truth::of(&Material::of(&network, "XC")).await;
    network.relay().stop();
    node.until_connected(false).await;
    let letter = Letter::new(&xa, xb.entry(), b"once");
    let crafted = letter.seal();
    let deliver = Deliver { envelope: crafted.envelope.clone(), acceptance: acceptance(&hub, &crafted) };
    let mut script = Script::honest(&hub, &truth);
    script.bodies = BTreeMap::from([(crafted.key().message, crafted.chunks.clone())]);
    script.send = vec![deliver.into()];
    let mut impostor = Impostor::start(&hub.tls, hub.network, hub.address, script.clone());
    let (number, first) = impostor.until("R2", |frame| consignment(frame, &crafted)).await;
    verify(&first, &xb.origin(), &xb.log.verifying_key()).expect("R2 verifies offline");
    let size = node.size().await;
    drop(impostor);
    node.until_connected(false).await;

    // A hub that has the receipt and delivers again gets it again.
    script.receipts = number;
    let mut impostor = Impostor::start(&hub.tls, hub.network, hub.address, script);
    let again = (number, first);
    assert_eq!(impostor.until("R2 over another link", |frame| consignment(frame, &crafted)).await, again);
    let _ = node.stop();
    node.start();
    assert_eq!(impostor.until("R2 after a restart", |frame| consignment(frame, &crafted)).await, again);
    node.kill();
    remove_index(&node.data());
    node.start();
    assert_eq!(impostor.until("R2 after a rebuild", |frame| consignment(frame, &crafted)).await, again);
    assert_eq!(node.inbox().await, [letter.manifest.reference], "it arrived once");
    assert_eq!(node.size().await, size, "a repetition is no event");
}
