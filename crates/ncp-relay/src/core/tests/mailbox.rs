use ncp_protocol::codes::Precedence;
use ncp_protocol::header::Header;

use super::world::{World, header, id, world};
use crate::core::mailbox::Turns;

fn put(world: &mut World, from: &str, n: u8, precedence: Precedence) {
    world.submit(&Header { precedence, ..header(from, n, "XB") });
}

fn choose(turns: &mut Turns, world: &World, max: usize) -> Vec<(String, u8)> {
    let chosen = turns.choose(&world.rows, id("XB"), max).unwrap();
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
    let chosen = turns.choose(&world.rows, id("XB"), 2).unwrap();
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
        if n % 2 == 0 {
            world.consign(&header("XA", n, "XB"), u64::from(n));
        }
    }
    assert_eq!(seen, (0..=250).collect::<Vec<u8>>());
}
