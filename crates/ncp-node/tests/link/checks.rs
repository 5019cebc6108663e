//! `doctor` and `ping` beside a hub that is there, silent, gone, or not itself.

use core::future::Future;
use std::collections::BTreeMap;

use ncp_api::ErrorCode;
use ncp_api::health::{Check, CheckResult, Ping};
use ncp_node::checks;
use ncp_node::core::command::{Ask, Command, EntryNews, Stamp};
use ncp_node::entries::entry_record;
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::event::{Actor, EvidenceKind, Outcome};
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::reject::RejectCode;
use ncp_store::queue::{Source, Urgency};
use ncp_store::spool::Record;

use crate::craft::{Letter, put_up, send};
use crate::hub::{ago, key_of, receipt};
use crate::world::{World, id, soon};

fn by_id(checks: Vec<Check>) -> BTreeMap<String, Check> {
    checks.into_iter().map(|check| (check.id.clone(), check)).collect()
}

async fn look(world: &World) -> BTreeMap<String, Check> {
    by_id(soon(checks::all(&world.node())).await)
}

/// The check came out so; a fault says which it is.
fn is(checks: &BTreeMap<String, Check>, id: &str, result: CheckResult, code: Option<ErrorCode>) {
    let found = &checks[id];
    assert_eq!(found.result, result, "{found:?}");
    assert_eq!(found.code, code.map(|code| code.to_string()), "{found:?}");
    assert_eq!((found.cause.is_some(), found.remedy.is_some()), (code.is_some(), code.is_some()), "{found:?}");
    let said = format!("{:?}{:?}", found.cause, found.remedy);
    assert!(!said.contains('<'), "every place of the sentences is filled: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connections_checks_tell_a_hub_that_answers_from_one_that_is_silent_or_gone() {
    use CheckResult::{Fail, Ok, Unset};
    let (mut world, mut link) = World::linked().await;
    let node = world.node();
    let found = by_id(soon(link.serve_while(&world.hub, checks::all(&node))).await);
    for check in ["N01", "N02", "N03", "N04", "N05", "K06"] {
        is(&found, check, Ok, None);
    }
    // The link stands, and nobody reads at its other end.
    let silent = look(&world).await;
    is(&silent, "N02", Ok, None);
    is(&silent, "N05", Fail, Some(ErrorCode::PingUnanswered));
    let mut status = node.link.subscribe();
    link.cut();
    soon(status.wait_for(|status| !status.connected)).await.unwrap();
    drop(status);
    let gone = look(&world).await;
    assert_eq!(gone["N02"].result, Fail, "{:?}", gone["N02"]);
    is(&gone, "N05", Unset, None);
    assert!(gone["N05"].title.contains("N02"), "it names the check that it rests on");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_the_hub_that_leads_to_no_pinned_one_is_found() {
    let (mut world, link) = World::linked().await;
    // What a lying hub would have to get into the journal: a later entry that its own identity did not sign.
    let mut entry = world.hub.party.entry.unverified().clone();
    (entry.version, entry.previous) = (1, Some(world.hub.party.entry.digest()));
    let forged = SignedEntry::sign(entry, &world.xb.identity).unwrap();
    let record = Record { name: entry_record(forged.digest()), bytes: forged.encode() };
    let news = EntryNews::Entry { participant: ParticipantId::HUB, version: 1, record };
    world.ask(Ask::AcceptEntries(vec![news])).await.unwrap();
    world.node().reload_directory().unwrap();
    is(&look(&world).await, "N03", CheckResult::Fail, Some(ErrorCode::EntrySubstituted));
    drop(link);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_entry_in_the_own_name_is_found() {
    let (mut world, mut link) = World::linked().await;
    let (entry, _) = world.xa.with_new_signing_key();
    let foreign = SignedEntry::sign(entry.unverified().clone(), &world.xb.identity).unwrap();
    let digest = foreign.digest();
    world.hub.admit(foreign);
    link.tell_of_news(&world.hub).await;
    link.until_asked(&world.hub, digest).await;
    // Reception closes in the step that notices it, so a delivery that stays without an answer has passed it.
    let letter = Letter::new(&world, 1, b"text");
    let deliver = world.hub.deliver(&letter.seal());
    link.send(deliver).await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    let node = world.node();
    let found = by_id(soon(link.serve_while(&world.hub, checks::all(&node))).await);
    is(&found, "K06", CheckResult::Fail, Some(ErrorCode::EntrySubstituted));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_waits_for_the_hub_too_long_is_found() {
    const HOUR_MS: u64 = 60 * 60 * 1_000;
    let (mut world, link) = World::linked().await;
    link.cut();
    let node = world.node();
    let release = |ms| {
        let ask = Ask::PutUp(put_up(&world, b"text").0);
        let stamp = Stamp { now: ago(ms), seed: ncp_node::clock::random() };
        let command = Command { stamp, actor: Actor::Daemon, ask };
        node.store.submit(Source::Local, Urgency::Routine, 4_096, command)
    };
    // Released a while ago, then long ago: as the journal has it after an outage of the hub.
    soon(release(HOUR_MS)).await.unwrap().reply.unwrap();
    is(&look(&world).await, "S05", CheckResult::Ok, None);
    soon(release(9 * HOUR_MS)).await.unwrap().reply.unwrap();
    let found = look(&world).await;
    is(&found, "S05", CheckResult::Warn, Some(ErrorCode::HubUnreachable));
    assert!(found["S05"].title.ends_with("wait for the hub: 2"), "{}", found["S05"].title);
    world.stop().await;
}

/// What a ping of the officer fails with.
async fn fails(ping: impl Future<Output = Result<ncp_api::health::Pong, ncp_api::ClientError>>) -> (ErrorCode, String) {
    let error = ping.await.expect_err("unanswered");
    (error.problem().code.parse().unwrap(), error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_says_how_far_it_came() {
    let (mut world, mut link) = World::linked().await;
    let client = world.client();
    let ping = |to: &str, seconds| Ping { to: id(to), wait_seconds: Some(seconds) };
    // The hub answers over the link, and then does not.
    let answered = ping("HUB", 20);
    let pong = soon(link.serve_while(&world.hub, client.ping(&answered))).await.unwrap();
    assert_eq!((pong.reference, pong.steps.len()), (None, 1));
    assert_eq!(fails(client.ping(&ping("HUB", 1))).await.0, ErrorCode::PingUnanswered);
    // The hub takes nothing.
    let (code, said) = fails(client.ping(&ping("XB", 1))).await;
    assert_eq!(code, ErrorCode::PingUnanswered);
    assert!(said.contains("not accepted within 1 s") && !said.contains('<'), "{said}");
    // The hub accepts the message, and the recipient's node is silent.
    let envelope = link.submit(&world.hub).await;
    let proof = world.hub.accept(&envelope);
    link.send(receipt(1, proof)).await;
    assert_eq!(link.stored(&world.hub).await, 1);
    let next = ping("XB", 10);
    let (told, ()) = tokio::join!(fails(client.ping(&next)), async {
        let envelope = link.submit(&world.hub).await;
        let proof = world.hub.accept(&envelope);
        link.send(receipt(2, proof)).await;
        assert_eq!(link.stored(&world.hub).await, 2);
    });
    assert_eq!(told.0, ErrorCode::PingUnanswered);
    assert!(told.1.contains("not delivered within 10 s"), "{}", told.1);
    // The hub gives it up: that is told at once, with the reason.
    let patient = ping("XB", 30);
    let (told, ()) = tokio::join!(fails(client.ping(&patient)), async {
        let envelope = link.submit(&world.hub).await;
        let (key, header) = (key_of(&envelope), envelope.header_digest());
        let outcome = Outcome::Rejected(RejectCode::RecipientSuspended);
        let proof = world.hub.claim(EvidenceKind::RelayFailure, key, header, outcome);
        link.send(receipt(3, proof)).await;
    });
    assert_eq!(told.0, ErrorCode::PingUnanswered);
    assert!(told.1.contains(RejectCode::RecipientSuspended.text()), "{}", told.1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_without_a_link_says_why() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    assert_eq!(link.submit(&world.hub).await.unverified_header().unwrap().message, message);
    let mut status = world.node().link.subscribe();
    link.cut();
    soon(status.wait_for(|status| !status.connected)).await.unwrap();
    drop(status);
    let (code, said) = fails(world.client().ping(&Ping { to: ParticipantId::HUB, wait_seconds: Some(20) })).await;
    assert_ne!(code, ErrorCode::InternalFault, "{said}");
    assert!(!said.contains('<'), "{said}");
    world.stop().await;
}
