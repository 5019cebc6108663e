use std::cell::Cell;

use ncp_protocol::codes::Precedence;
use ncp_protocol::header::Header;
use ncp_protocol::keys::sha256;
use ncp_store::state::{Unreadable, View, Visit};

use super::world::{Table, World, header, id, key, world};
use crate::core::command::Reply;
use crate::core::mailbox::{Room, Turns};
use crate::limits::{OFFER_BATCH_MAX, OFFERED_OPEN_MAX};

fn put(world: &mut World, from: &str, n: u8, precedence: Precedence) {
    world.submit(&Header { precedence, ..header(from, n, "XB") });
}

fn choose(turns: &mut Turns, world: &World, max: usize) -> Vec<(String, u8)> {
    let chosen = turns.choose(&world.rows, id("XB"), Room::any(max)).unwrap();
    chosen.iter().map(|waiting| (waiting.envelope.originator.to_string(), waiting.envelope.message.0[0])).collect()
}

fn named(expected: &[(&str, u8)]) -> Vec<(String, u8)> {
    expected.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

#[test]
fn urgent_goes_first_and_originators_take_turns() {
    let mut world = world();
    for n in 1..=3 {
        put(&mut world, "XA", n, Precedence::Routine);
    }
    put(&mut world, "XC", 4, Precedence::Routine);
    put(&mut world, "XA", 5, Precedence::Urgent);
    let mut turns = Turns::default();
    let expected = named(&[("XA", 5), ("XA", 1), ("XC", 4), ("XA", 2), ("XA", 3)]);
    assert_eq!(choose(&mut turns, &world, 9), expected);
    assert_eq!(choose(&mut turns, &world, 9), []);
}

#[test]
fn urgent_mail_does_not_starve_routine() {
    let mut world = world();
    put(&mut world, "XC", 99, Precedence::Routine);
    for n in 1..=20 {
        put(&mut world, "XA", n, Precedence::Urgent);
    }
    let chosen = choose(&mut Turns::default(), &world, 8);
    assert_eq!(chosen.last(), Some(&("XC".to_owned(), 99)));
}

#[test]
fn what_is_given_back_can_be_chosen_again() {
    let mut world = world();
    put(&mut world, "XA", 1, Precedence::Routine);
    put(&mut world, "XA", 2, Precedence::Routine);
    let mut turns = Turns::default();
    let chosen = turns.choose(&world.rows, id("XB"), Room::any(2)).unwrap();
    turns.give_back(&chosen[0].envelope);
    assert_eq!(choose(&mut turns, &world, 2), named(&[("XA", 1)]));
}

#[test]
fn a_long_link_delivers_everything_once() {
    let mut world = world();
    world.relay.quotas.originator_envelopes = 1000;
    world.relay.quotas.mailbox_envelopes = 1000;
    let mut turns = Turns::default();
    let mut seen = Vec::new();
    for n in 0..=250 {
        put(&mut world, "XA", n, Precedence::Routine);
        seen.extend(choose(&mut turns, &world, 9).into_iter().map(|(_, n)| n));
        if n % 8 != 0 {
            world.consign(&header("XA", n, "XB"), u64::from(n));
        }
    }
    assert_eq!(seen, (0..=250).collect::<Vec<u8>>());
}

/// A view that counts the rows that it shows.
struct Counting<'a> {
    rows: &'a Table,
    shown: Cell<usize>,
}

impl View for Counting<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        self.shown.set(self.shown.get() + 1);
        self.rows.row(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        self.rows.scan(from, to, &mut |key, value| {
            self.shown.set(self.shown.get() + 1);
            visit(key, value)
        })
    }
}

fn numbered(n: u16) -> Header {
    let mut header = header("XA", 0, "XB");
    header.message.0[..2].copy_from_slice(&n.to_le_bytes());
    Header { ciphertext_root: sha256(&n.to_le_bytes()), ..header }
}

#[test]
fn a_recipient_that_consigns_nothing_costs_no_more_with_each_batch_and_gets_no_more_than_it_may_hold() {
    let mut world = world();
    let quotas = &mut world.relay.quotas;
    (quotas.originator_envelopes, quotas.mailbox_envelopes, quotas.waiting_envelopes) = (2_000, 2_000, 2_000);
    (quotas.originator_bytes, quotas.mailbox_bytes) = (1 << 30, 1 << 30);
    let all = u16::try_from(OFFERED_OPEN_MAX).unwrap() + 40;
    for n in 0..all {
        assert_eq!(world.submit(&numbered(n)).reply, Reply::Accepted);
    }
    let mut turns = Turns::default();
    let mut chosen = Vec::new();
    let mut most = 0;
    loop {
        let view = Counting { rows: &world.rows, shown: Cell::new(0) };
        let batch = turns.choose(&view, id("XB"), Room::any(OFFER_BATCH_MAX)).unwrap();
        let pruned = chosen.len();
        most = most.max(view.shown.get().saturating_sub(pruned));
        if batch.is_empty() {
            break;
        }
        chosen.extend(batch.iter().map(|waiting| waiting.envelope));
    }
    assert_eq!(chosen.len(), OFFERED_OPEN_MAX);
    assert!(turns.is_held_back());
    assert!(most <= 3 * OFFER_BATCH_MAX, "{most} rows for one batch");
    for n in 0..2 {
        world.consign(&numbered(n), u64::from(n));
    }
    let next: Vec<_> =
        turns.choose(&world.rows, id("XB"), Room::any(9)).unwrap().iter().map(|waiting| waiting.envelope).collect();
    let expected = u16::try_from(OFFERED_OPEN_MAX).unwrap();
    assert_eq!(next, [expected, expected + 1].map(|n| key(&numbered(n))));
}

#[test]
fn what_a_recipient_leaves_without_an_answer_holds_back_its_own_originator_and_rank_alone() {
    let mut world = world();
    let all = u8::try_from(OFFERED_OPEN_MAX).unwrap() + 2;
    for n in 0..all {
        put(&mut world, "XA", n, Precedence::Routine);
    }
    let mut turns = Turns::default();
    assert_eq!(choose(&mut turns, &world, 200).len(), OFFERED_OPEN_MAX);
    assert!(turns.is_held_back());
    put(&mut world, "XC", 200, Precedence::Routine);
    put(&mut world, "XA", 201, Precedence::Urgent);
    assert_eq!(choose(&mut turns, &world, 200), named(&[("XA", 201), ("XC", 200)]));
    assert_eq!(choose(&mut turns, &world, 200), []);
    assert!(turns.is_held_back());
    world.recall(&header("XA", 7, "XB"));
    world.consign(&header("XA", 3, "XB"), 3);
    assert_eq!(choose(&mut turns, &world, 200), named(&[("XA", all - 2), ("XA", all - 1)]));
}

#[test]
fn room_that_is_kept_for_urgent_mail_holds_nothing_else() {
    let mut world = world();
    for n in 1..=9 {
        put(&mut world, "XA", n, Precedence::Routine);
        put(&mut world, "XA", 10 + n, Precedence::Priority);
    }
    let mut turns = Turns::default();
    let mut chosen = |world: &World, all, common| {
        let chosen = turns.choose(&world.rows, id("XB"), Room { all, common }).unwrap();
        chosen.iter().map(|waiting| waiting.envelope.message.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&world, 4, 2), [11, 12]);
    assert!(chosen(&world, 2, 0).is_empty());
    for n in 21..=23 {
        put(&mut world, "XA", n, Precedence::Urgent);
    }
    assert_eq!(chosen(&world, 2, 0), [21, 22]);
    assert_eq!(chosen(&world, 3, 2), [23, 13]);
}

#[test]
fn what_is_given_back_goes_first_and_what_ended_meanwhile_not_at_all() {
    let mut world = world();
    for n in 1..=4 {
        put(&mut world, "XA", n, Precedence::Routine);
    }
    let mut turns = Turns::default();
    let chosen = turns.choose(&world.rows, id("XB"), Room::any(3)).unwrap();
    turns.give_back(&chosen[0].envelope);
    turns.give_back(&chosen[2].envelope);
    turns.give_back(&chosen[2].envelope);
    world.consign(&header("XA", 1, "XB"), 0);
    assert_eq!(choose(&mut turns, &world, 9), named(&[("XA", 3), ("XA", 4)]));
    assert_eq!(choose(&mut turns, &world, 9), []);
}
