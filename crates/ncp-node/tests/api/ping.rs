//! Test messages that cannot go: each says why.

use ncp_api::ErrorCode;
use ncp_api::health::Ping;
use ncp_api::message::MessageState;
use ncp_node::config::Config;
use ncp_node::core::command::{Ask, EntryNews};
use ncp_node::entries::entry_record;
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::root::NetworkClass;
use ncp_store::spool::Record;

use crate::party::{Party, id};
use crate::world::{DRAFTER, RELEASER, World, code, soon};

fn ping(to: ParticipantId) -> Ping {
    Ping { to, wait_seconds: Some(1) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_that_cannot_go_says_why() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let stranger = Party::new("XD", &world.trust);
    let record = Record { name: entry_record(stranger.entry.digest()), bytes: stranger.entry.encode() };
    world.ask(Ask::AcceptEntries(vec![EntryNews::Entry { participant: stranger.id, version: 0, record }])).await;
    world.node().reload_directory().unwrap();
    for (to, expected) in [
        (id("XZ"), ErrorCode::ParticipantUnknown),
        (id("XD"), ErrorCode::ParticipantNotPinned),
        (id("XA"), ErrorCode::RecipientsInvalid),
        // The hub of these tests is not there.
        (ParticipantId::HUB, ErrorCode::HubUnreachable),
        (id("XB"), ErrorCode::PingUnanswered),
    ] {
        assert_eq!(code(soon(client.ping(&ping(to))).await), expected, "{to}");
    }
    assert_eq!(code(soon(world.client(RELEASER).ping(&ping(id("XB")))).await), ErrorCode::OfficerRoleMissing);
    assert_eq!(code(soon(world.nobody().ping(&ping(id("XB")))).await), ErrorCode::OfficerSignatureMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_national_rules_hold_for_test_messages_too() {
    for (rule, expected) in [("", ErrorCode::DeniedByDefault), ("approvals = 1", ErrorCode::PingUnanswered)] {
        let mut world = World::installed(NetworkClass::Test);
        let text = world.config_text();
        let (before, tests) = text.split_once("[[allow]]\nname = \"tests\"").unwrap();
        let rules = if rule.is_empty() { String::new() } else { tests.replace("approvals = 0", rule) };
        let rules = if rules.is_empty() { rules } else { format!("[[allow]]\nname = \"tests\"{rules}") };
        world.start_with(Config::parse(&[("node.toml".into(), format!("{before}{rules}"))]).unwrap()).await;
        let party = &world.others[&id("XB")];
        let record = Record { name: entry_record(party.entry.digest()), bytes: party.entry.encode() };
        world.ask(Ask::AcceptEntries(vec![EntryNews::Entry { participant: party.id, version: 0, record }])).await;
        world.ask(Ask::PinEntry { participant: party.id, fingerprint: party.fingerprint().0 }).await;
        let client = world.client(DRAFTER);
        assert_eq!(code(soon(client.ping(&ping(id("XB")))).await), expected, "{rule}");
        let all = soon(client.messages(&ncp_api::client::PageQuery::default())).await.unwrap();
        let waiting = all.items.iter().filter(|item| item.state == MessageState::WaitingForRelease).count();
        assert_eq!(waiting, usize::from(!rule.is_empty()));
    }
}
