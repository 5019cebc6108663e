//! A hub with the real hub's keys that lies to a node: substituted entries, altered deliveries.

use e2e::craft::{Crafted, Letter};
use e2e::impostor::{Impostor, Script, acceptance};
use e2e::material::{HubMaterial, Material};
use e2e::peer::Truth;
use e2e::{Network, Plan, id, now};
use ncp_api::health::CheckResult;
use ncp_api::message::MessageName;
use ncp_protocol::directory::{Entry, SignedEntry, ValidKey};
use ncp_protocol::event::{Claim, EnvelopeKey, Outcome};
use ncp_protocol::evidence::unverified_claim;
use ncp_protocol::frame::{Deliver, Frame};
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;

/// The attacker's signing key.
fn stolen() -> SigningKey {
    SigningKey::from_seed(&[66; 32])
}

/// The next version of a participant's entry, with the attacker's signing key, signed by the attacker.
fn substituted(of: &Material) -> SignedEntry {
    let old = of.entry();
    let key = ValidKey { key: stolen().verifying_key(), from: old.created, until: now().plus_millis(30 * DAY_MS) };
    let mut keys = old.keys.clone();
    keys.signing = Some(key);
    let entry = Entry { version: 1, previous: Some(of.entry.digest()), created: now(), keys, ..old.clone() };
    SignedEntry::sign(entry, &stolen()).expect("it agrees with itself")
}

fn deliver(hub: &HubMaterial, crafted: &Crafted) -> Frame {
    Deliver { envelope: crafted.envelope.clone(), acceptance: acceptance(hub, crafted) }.into()
}

/// XB alone, with the real hub stopped; what the hub knows, and what XA could be robbed of.
async fn robbed() -> (Network, HubMaterial, Truth, Material, Material) {
    let network = Plan::of(&["XB"]).and_puppets(&["XA", "XC"]).start().await;
    let hub = HubMaterial::of(&network, "XB");
    let truth = Truth::of(&Material::of(&network, "XC")).await;
    let (xa, xb) = (Material::of(&network, "XA"), Material::of(&network, "XB"));
    network.relay().stop();
    network.node("XB").until_connected(false).await;
    (network, hub, truth, xa, xb)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_substituted_key_in_the_directory_is_not_used() {
    let (network, hub, mut truth, xa, xb) = robbed().await;
    let node = network.node("XB");
    truth.admit(&hub, &substituted(&xa));
    let mut script = Script::honest(&hub, &truth);
    let mut letter = Letter::new(&xa, xb.entry(), b"signed with the substituted key");
    letter.signing = stolen();
    let forged = letter.seal();
    script.bodies.insert(forged.key().message, forged.chunks.clone());
    script.send.push(deliver(&hub, &forged));
    let log = node.log();
    let mark = log.mark();
    let _impostor = Impostor::start(&hub.tls, hub.network, hub.address, script);
    log.wait_for(mark, &["XA", "a directory entry is refused"]);
    let directory = node.client(2).directory().await.expect("the directory");
    let entry = directory.entries.iter().find(|entry| entry.participant == xa.participant).expect("XA stays known");
    assert_eq!((entry.version, entry.pinned), (0, true), "the pinned entry stays in force");
    assert_eq!(node.inbox().await, [], "mail under the substituted key does not arrive");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_about_itself_that_a_node_did_not_sign_is_critical() {
    let (network, hub, mut truth, xa, xb) = robbed().await;
    let node = network.node("XB");
    truth.admit(&hub, &substituted(&xb));
    let mut script = Script::honest(&hub, &truth);
    let letter = Letter::new(&xa, xb.entry(), b"sealed to XB");
    let sealed = letter.seal();
    script.bodies.insert(sealed.key().message, sealed.chunks.clone());
    let log = node.log();
    let mark = log.mark();
    let impostor = Impostor::start(&hub.tls, hub.network, hub.address, script);
    log.wait_for(mark, &["in this node's name that it did not sign"]);
    let client = node.client(2);
    let check = e2e::messages::until(&client, "the node's health to show the alarm", || async {
        let health = client.health().await.expect("the node answers");
        health
            .checks
            .into_iter()
            .find(|check| check.result == CheckResult::Fail && check.code.as_deref() == Some("NCP-E7108"))
    })
    .await;
    assert!(check.cause.is_some_and(|cause| cause.contains("XB")));
    // What is sealed to XB may be sealed to the foreign key's holder too: nothing is taken under either.
    impostor.send(deliver(&hub, &sealed));
    log.wait_for(mark, &["a delivery is left at the hub"]);
    assert_eq!(node.inbox().await, []);
}

/// What a node does about a delivery that `alter` made false; nothing reaches the inbox.
async fn check_delivery(alter: impl FnOnce(Crafted, &HubMaterial) -> (Crafted, Option<LogProof>), wanted: RejectCode) {
    let (network, hub, truth, xa, xb) = robbed().await;
    let honest = Letter::new(&xa, xb.entry(), b"as XA wrote it").seal();
    let (altered, proof) = alter(honest, &hub);
    let key = altered.envelope.unverified_header().map(|header| e2e::craft::key_of(&header)).expect("a header");
    let mut script = Script::honest(&hub, &truth);
    script.bodies.insert(key.message, altered.chunks.clone());
    let acceptance = proof.unwrap_or_else(|| acceptance(&hub, &altered));
    script.send.push(Deliver { envelope: altered.envelope.clone(), acceptance }.into());
    let mut impostor = Impostor::start(&hub.tls, hub.network, hub.address, script);
    let code = impostor.until("the node to refuse the delivery", |frame| refusal(frame, &key)).await;
    assert_eq!(code, wanted);
    assert_eq!(network.node("XB").inbox().await, []);
}

/// The code with which a frame refuses an envelope: with evidence, without, or by ending the link.
fn refusal(frame: &Frame, key: &EnvelopeKey) -> Option<RejectCode> {
    if let Frame::Refused(refused) = frame {
        return (refused.envelope == *key).then_some(refused.code);
    }
    if let Frame::Bye(bye) = frame {
        return bye.code;
    }
    let Frame::Receipts(receipts) = frame else { return None };
    receipts.proofs.iter().find_map(|proof| match unverified_claim(proof) {
        Ok(Claim { outcome: Outcome::Rejected(code), envelope, .. }) if envelope == *key => Some(code),
        Ok(_) | Err(_) => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_a_header_that_the_hub_altered() {
    check_delivery(
        |honest, _| (honest.with_altered_header(|header| header.not_after.0 += 1), None),
        RejectCode::SignatureInvalid,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_a_wrap_that_the_hub_altered() {
    check_delivery(|honest, _| (honest.with_altered_wrap(), None), RejectCode::WrapMismatch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_a_chunk_that_the_hub_altered() {
    check_delivery(|honest, _| (honest.with_altered_chunk(0), None), RejectCode::BodyRootMismatch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_a_delivery_that_the_hub_never_accepted() {
    check_delivery(
        |honest, hub| {
            let mut proof = acceptance(hub, &honest);
            proof.event.push(0);
            (honest, Some(proof))
        },
        RejectCode::EvidenceInvalid,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_delivery_by_the_same_script_arrives() {
    // The counterpart of the refusals above: only what was altered makes the difference.
    let (network, hub, truth, xa, xb) = robbed().await;
    let letter = Letter::new(&xa, xb.entry(), b"as XA wrote it");
    let honest = letter.seal();
    let mut script = Script::honest(&hub, &truth);
    script.bodies.insert(honest.key().message, honest.chunks.clone());
    script.send.push(deliver(&hub, &honest));
    let _impostor = Impostor::start(&hub.tls, hub.network, hub.address, script);
    let received = network.node("XB").until_received(letter.manifest.reference).await;
    assert_eq!(received.text.as_deref(), Some("as XA wrote it"));
    let name = MessageName::Id(letter.manifest.message);
    assert_eq!(network.node("XB").client(1).message(&name).await.expect("by id").originator, id("XA"));
    assert_ne!(received.originator, ParticipantId::HUB);
}
