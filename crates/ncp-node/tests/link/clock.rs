//! A clock that is not believed ends nothing and refuses nothing; once it is confirmed, all of that is made up for.

use std::fs;
use std::path::PathBuf;

use ncp_node::core::tables::REFUSED;
use ncp_node::timers;
use ncp_protocol::codes::Kind;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::{Change, Event};
use ncp_protocol::ids::UnixMillis;
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::reject::RejectCode;
use ncp_store::clock::DOUBTED;

use crate::craft::Letter;
use crate::hub::{HubLink, ago};
use crate::reception::{CONSIGNED, give_body, refused, stated};
use crate::world::{World, now, soon};

/// Has the hub say what time it has, and waits until the node's belief follows.
async fn hub_says(world: &mut World, link: &mut HubLink, time: Option<UnixMillis>) {
    world.hub.stated_time = time;
    link.tell_of_news(&world.hub).await;
    let node = world.node();
    while node.believes_clock() != time.is_none() {
        link.serve_for_a_while(&world.hub).await;
    }
}

fn expired(world: &World, sequence: u64) -> SealedEnvelope {
    let letter = Letter::new(world, sequence, b"text").with(|letter| {
        letter.header.created = ago(7_200_000);
        letter.header.not_after = ago(3_600_000);
    });
    letter.seal()
}

/// Alerts that the journal holds.
fn alerts(world: &World) -> usize {
    let node = world.node();
    let (mut count, mut next) = (0, 0);
    while next < node.reader().size() {
        let events = node.reader().events(next, 1_000).unwrap();
        next += events.len() as u64;
        let alert = |bytes: &[u8]| matches!(Event::decode(bytes).unwrap().change, Change::RequestAlerted { .. });
        count += events.iter().filter(|event| alert(&event.bytes)).count();
    }
    count
}

fn file(world: &World) -> PathBuf {
    world.data().join(DOUBTED)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_refused_as_expired_and_no_clock_strikes_while_the_hub_says_another_time() {
    let (mut world, mut link) = World::linked().await;
    let years = 10 * 365 * DAY_MS;
    let wrong = [ago(DAY_MS), now().plus_millis(DAY_MS), ago(years), now().plus_millis(years)];
    for (sequence, time) in (1..).step_by(2).zip(wrong) {
        hub_says(&mut world, &mut link, Some(time)).await;
        let struck = alerts(&world);
        let late = expired(&world, sequence);
        let deliver = world.hub.deliver(&late);
        link.send(deliver).await;
        let due = Letter::saying(&world, sequence + 1, b"text", |manifest| {
            manifest.kind = Kind::Request;
            manifest.answer_by = Some(now());
        });
        let envelope = due.seal();
        let deliver = world.hub.deliver(&envelope);
        link.send(deliver).await;
        give_body(&world, &mut link, &due).await;
        assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED, "what is in time is taken all the same");
        let node = world.node();
        assert!(!soon(timers::tick(&node)).await.unwrap());
        assert_eq!(REFUSED.row(&node.reader().view(), &late.header_digest().0).unwrap(), None);
        assert_eq!(alerts(&world), struck);

        hub_says(&mut world, &mut link, None).await;
        assert_eq!(stated(&world, &mut link, &late).await, refused(RejectCode::Expired));
        assert!(soon(timers::tick(&node)).await.unwrap());
        assert!(alerts(&world) > struck);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_outlives_a_restart_until_the_hub_says_the_time() {
    let (mut world, mut link) = World::linked().await;
    assert!(world.node().believes_clock() && !file(&world).exists());
    hub_says(&mut world, &mut link, Some(ago(DAY_MS))).await;
    soon(timers::tick(&world.node())).await.unwrap();
    assert!(file(&world).exists());
    link.cut();
    world.stop().await;

    // The newest event is a moment old, and was decided while nobody vouched for the clock.
    world.start().await;
    assert!(!world.node().believes_clock());
    world.hub.stated_time = None;
    let mut link = world.link().await;
    hub_says(&mut world, &mut link, None).await;
    soon(timers::tick(&world.node())).await.unwrap();
    assert!(!file(&world).exists());
    link.cut();
    world.stop().await;

    world.start().await;
    assert!(world.node().believes_clock(), "the newest event confirms it");
    world.stop().await;
    fs::write(file(&world), "").unwrap();
    world.start().await;
    assert!(!world.node().believes_clock());
    world.stop().await;
}
