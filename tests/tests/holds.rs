//! Holds, withdrawals and expiry: what does not leave, what is called back, what ends by itself, each with its evidence.
#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::Arc;

use e2e::craft::Letter;
use e2e::material::{HubMaterial, Material};
use e2e::messages::{is_accepted, is_delivered, until};
use e2e::peer::{Peer, Verdict};
use e2e::receipts::verified;
use e2e::shared::Shared;
use e2e::{Network, Node, Plan};
use ncp_api::ErrorCode;
use ncp_api::client::PageQuery;
use ncp_api::message::{MessageName, MessageState, Withdraw, WithdrawalEffect};
use ncp_api::release::{HoldScope, NewHold};
use ncp_api::timeline::{ReceiptKind, Step};
use ncp_protocol::codes::Kind;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::evidence::{unverified_claim, verify};
use ncp_protocol::ids::{LogName, Reference, UnixMillis};
use ncp_protocol::limits::LIFETIME_MIN_MS;

static SHARED: Shared = Shared::new();

/// XB and XC run; a test speaks for XA and XD.
async fn shared() -> Arc<Network> {
    SHARED.network(|| Plan::of(&["XB", "XC"]).and_puppets(&["XA", "XD"])).await
}

async fn set(node: &Node, scope: HoldScope) {
    node.client(2).set_hold(&NewHold { scope }).await.expect("a supervisor may");
}

async fn withdraw(node: &Node, reference: Reference) -> WithdrawalEffect {
    let withdrawn =
        node.client(1).withdraw(&reference.into(), &Withdraw { reason: Some("a mistake".to_owned()) }).await;
    withdrawn.expect("it can be withdrawn").recipients[0].effect
}

/// When the hub accepted a message, by its own clock.
async fn accepted_at(node: &Node, reference: Reference) -> UnixMillis {
    let bundle = node.client(1).evidence(&reference.into()).await.expect("receipts");
    let receipts = verified(&bundle);
    let r1 = receipts.iter().find(|(kind, _)| *kind == ReceiptKind::RelayAcceptance).expect("R1");
    r1.1.time()
}

#[tokio::test]
async fn a_hold_stops_everything_within_a_second_and_its_end_lets_everything_go() {
    // A network of its own: a hold on all stops every other test.
    let network = Plan::of(&["XB", "XC"]).start().await;
    let (xb, xc) = (network.node("XB"), network.node("XC"));
    xb.until_connected(true).await;
    let mut sent = BTreeSet::new();
    for number in 0..25 {
        sent.insert(xb.notice(&["XC"], "before the hold", &number.to_string()).await);
    }
    xb.ctl("hold set --all", xb.supervisor()).ok();
    for number in 0..25 {
        sent.insert(xb.notice(&["XC"], "under the hold", &number.to_string()).await);
    }
    // The feed of XC as a clock: nothing arrives for two seconds.
    let clock = xc.client(1);
    let cursor = clock.inbox(&PageQuery::default()).await.expect("the inbox");
    let quiet = PageQuery { after: Some(cursor.cursor), wait_seconds: Some(2), ..PageQuery::default() };
    let mut page = clock.inbox(&quiet).await.expect("the inbox");
    while !page.items.is_empty() {
        // What had left before the hold may still arrive.
        let next = PageQuery { after: Some(page.cursor.clone()), ..quiet.clone() };
        page = clock.inbox(&next).await.expect("the inbox");
    }
    let quiet_at = e2e::now();
    let (before, _) = network.relay().sizes().await;
    let holds = xb.client(2).holds().await.expect("holds");
    assert_eq!(holds.holds.len(), 1);
    assert!(holds.holds[0].stopped >= 25, "what came after the hold waits: {}", holds.holds[0].stopped);
    for reference in &sent {
        let view = xb.client(1).message(&(*reference).into()).await.expect("it is there");
        assert!(view.state == MessageState::Held || is_accepted(view.state), "{reference} is {}", view.state);
    }
    let lifted_at = e2e::now();
    assert_eq!(network.relay().sizes().await.0, before, "nothing leaves while the hold stands");
    xb.ctl("hold lift --all", xb.supervisor()).ok();
    for reference in &sent {
        xb.until_state(*reference, is_delivered).await;
        let accepted = accepted_at(xb, *reference).await;
        assert!(accepted <= quiet_at || accepted >= lifted_at, "{reference} left under the hold");
    }
    let arrived = xc.inbox().await;
    assert_eq!(arrived.len(), sent.len(), "each once");
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), sent);
}

#[tokio::test]
async fn a_hold_on_a_recipient_stops_that_recipient_alone() {
    let network = shared().await;
    let xb = network.node("XB");
    set(xb, HoldScope::Recipient(e2e::id("XD"))).await;
    let held = xb.notice(&["XD"], "held", "to XD").await;
    let free = xb.notice(&["XC"], "free", "to XC").await;
    network.node("XC").until_received(free).await;
    let view = xb.client(1).message(&held.into()).await.expect("it is there");
    assert_eq!(view.state, MessageState::Held);
    // It is sealed, so it may have left for all that is certain; the hub says that it has not.
    assert_eq!(withdraw(xb, held).await, WithdrawalEffect::RecallRequested);
    xb.until_state(held, |state| state == MessageState::Withdrawn).await;
    let receipts = verified(&xb.client(1).evidence(&held.into()).await.expect("receipts"));
    assert!(receipts.is_empty(), "the hub never had it");
    xb.client(2).lift_hold(&HoldScope::Recipient(e2e::id("XD"))).await.expect("lifted");
    assert_eq!(xb.client(1).message(&held.into()).await.expect("it is there").state, MessageState::Withdrawn);
}

#[tokio::test]
async fn a_message_that_waits_for_release_is_withdrawn_for_good() {
    let network = shared().await;
    let xb = network.node("XB");
    let draft = e2e::messages::message(Kind::Request, &["XC"], "Grey van", "Who?");
    let draft = xb.client(1).create(&draft, &e2e::messages::fresh_key()).await.expect("drafted");
    assert_eq!(withdraw(xb, draft.reference).await, WithdrawalEffect::NothingLeft);
    let name = MessageName::from(draft.reference);
    assert_eq!(xb.client(1).message(&name).await.expect("it is there").state, MessageState::Withdrawn);
    let error = xb.approve(2, &name).await.expect_err("nothing to release");
    assert!(error.is(ErrorCode::NotWaitingForRelease), "{error}");
}

#[tokio::test]
async fn a_recall_before_the_offer_is_final_and_proved() {
    let network = shared().await;
    let xb = network.node("XB");
    // XD is not connected: what is sent to it waits at the hub.
    let reference = xb.notice(&["XD"], "recalled", "not meant for you").await;
    xb.until_state(reference, is_accepted).await;
    assert_eq!(withdraw(xb, reference).await, WithdrawalEffect::RecallRequested);
    xb.until_state(reference, |state| state == MessageState::Withdrawn).await;
    let name = MessageName::from(reference);
    let receipts = verified(&xb.client(1).evidence(&name).await.expect("receipts"));
    let (_, recall) = receipts.iter().find(|(kind, _)| *kind == ReceiptKind::RelayFailure).expect("the hub's evidence");
    assert_eq!(recall.claim().outcome, Outcome::Recalled);
    let timeline = xb.client(1).timeline(&name).await.expect("the timeline");
    assert!(timeline.entries.iter().any(|entry| entry.step == Step::Recalled && entry.receipt.is_some()));
    // XD comes, and another message arrives without it.
    let later = xb.notice(&["XD"], "later", "this one").await;
    let later = xb.client(1).message(&later.into()).await.expect("it is there").message;
    let mut xd = Peer::connect(&Material::of(&network, "XD")).await;
    loop {
        let delivered = xd.delivered().await.envelope.unverified_header().expect("a header").message;
        assert_ne!(delivered, timeline.message, "what was recalled is not delivered");
        if delivered == later {
            break;
        }
    }
}

#[tokio::test]
async fn a_recall_after_the_offer_is_provisional_and_says_so() {
    // A network of its own: the recipient takes the delivery and never answers.
    let network = Plan::of(&["XB"]).and_puppets(&["XD"]).start().await;
    let xb = network.node("XB");
    let mut xd = Peer::connect(&Material::of(&network, "XD")).await;
    let reference = xb.notice(&["XD"], "offered", "perhaps read").await;
    let message = xb.client(1).message(&reference.into()).await.expect("it is there").message;
    while xd.delivered().await.envelope.unverified_header().expect("a header").message != message {}
    xb.until_state(reference, is_accepted).await;
    assert_eq!(withdraw(xb, reference).await, WithdrawalEffect::RecallRequested);
    let client = xb.client(1);
    let name = MessageName::from(reference);
    let outcome = until(&client, "the hub's evidence about the recall", || async {
        let receipts = verified(&client.evidence(&name).await.expect("receipts"));
        let recall = receipts.into_iter().find(|(kind, _)| *kind == ReceiptKind::RelayFailure)?;
        Some(recall.1.claim().outcome)
    })
    .await;
    assert_eq!(outcome, Outcome::RecalledAfterOffer);
}

#[tokio::test]
async fn expiry_is_signed_negative_evidence_and_not_before_its_time() {
    let network = shared().await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let hub = HubMaterial::of(&network, "XB");
    let mut peer = Peer::connect(&xa).await;
    // Released nearly a minute ago, with the shortest lifetime: eight seconds are left.
    let mut letter = Letter::new(&xa, xd.entry(), b"too late");
    letter.created.0 -= LIFETIME_MIN_MS - 8_000;
    letter.not_after = letter.created.plus_millis(LIFETIME_MIN_MS);
    let crafted = letter.seal();
    assert!(matches!(peer.submit(&crafted).await, Verdict::Accepted(_)));
    let key = crafted.key();
    let negative = peer
        .receipt(|proof| {
            unverified_claim(proof).is_ok_and(|claim| claim.envelope == key && claim.kind == EvidenceKind::RelayFailure)
        })
        .await;
    let evidence = verify(&negative, &hub.origin(LogName::Traffic), &hub.traffic.verifying_key()).expect("it verifies");
    assert!(matches!(evidence.claim().outcome, Outcome::Expired | Outcome::ExpiredAfterOffer), "offered or not");
    evidence.matches(&key, &crafted.envelope.header_digest(), letter.not_after).expect("not before its time");
    assert!(evidence.time() >= letter.not_after);
}
