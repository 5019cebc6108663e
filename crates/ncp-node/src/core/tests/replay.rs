//! The journal is the truth: replayed from nothing, it makes the index that the live node had.

use ncp_protocol::codes::Kind;
use ncp_protocol::event::{Actor, EvidenceKind, HoldScope, Outcome};
use ncp_protocol::ids::{OfficerNumber, ParticipantId};
use proptest::prelude::*;

use super::world::*;
use crate::core::command::Ask;
use crate::core::tables::ENVELOPE;

/// One step of a random life.
#[derive(Debug, Clone)]
enum Step {
    PutUp { seed: u8, kind: Kind, both: bool },
    Approve { seed: u8, officer: u16 },
    Edit { seed: u8 },
    Seal { seed: u8, to_xc: bool },
    Hear { seed: u8, to_xc: bool, what: u8 },
    Arrive { seed: u8, kind: Kind, sequence: u64 },
    Take { seed: u8 },
    Withdraw { seed: u8 },
    Hold { lift: bool },
    Disable { officer: u16 },
    Pass { hours: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Notice), Just(Kind::Request), Just(Kind::Test)];
    let seed = 1u8..6;
    prop_oneof![
        (seed.clone(), kind.clone(), any::<bool>()).prop_map(|(seed, kind, both)| Step::PutUp { seed, kind, both }),
        (seed.clone(), 1u16..5).prop_map(|(seed, officer)| Step::Approve { seed, officer }),
        seed.clone().prop_map(|seed| Step::Edit { seed }),
        (seed.clone(), any::<bool>()).prop_map(|(seed, to_xc)| Step::Seal { seed, to_xc }),
        (seed.clone(), any::<bool>(), 0u8..6).prop_map(|(seed, to_xc, what)| Step::Hear { seed, to_xc, what }),
        (seed.clone(), kind, 1u64..9).prop_map(|(seed, kind, sequence)| Step::Arrive { seed, kind, sequence }),
        seed.clone().prop_map(|seed| Step::Take { seed }),
        seed.prop_map(|seed| Step::Withdraw { seed }),
        any::<bool>().prop_map(|lift| Step::Hold { lift }),
        (2u16..4).prop_map(|officer| Step::Disable { officer }),
        (0u64..80).prop_map(|hours| Step::Pass { hours }),
    ]
}

/// Most steps are refused in most states, which is part of the test: a refusal changes nothing.
fn take(world: &mut World, step: Step) {
    let to = |to_xc: bool| if to_xc { "XC" } else { "XB" };
    let exists = |world: &World, seed: u8, to_xc: bool| {
        ENVELOPE.row(&world.rows, &(message(seed), id(to(to_xc)))).unwrap().is_some()
    };
    match step {
        Step::PutUp { seed, kind, both } => {
            let recipients: &[&str] = if both { &["XB", "XC"] } else { &["XB"] };
            let _ = world.put_up(draft(seed, kind, recipients));
        }
        Step::Approve { seed, officer } => {
            if let Some(row) = crate::core::tables::OUT.row(&world.rows, &message(seed)).unwrap() {
                let _ = world.approve(OfficerNumber(officer), &row.draft);
            }
        }
        Step::Edit { seed } => {
            if let Some(row) = crate::core::tables::OUT.row(&world.rows, &message(seed)).unwrap() {
                let mut draft = row.draft;
                draft.revision += 1;
                let _ = world.ask(officer(RELEASER), Ask::Edit(put_up(draft, seed + 100)));
            }
        }
        Step::Seal { seed, to_xc } if exists(world, seed, to_xc) => {
            let _ = world.seal(message(seed), to(to_xc));
        }
        Step::Hear { seed, to_xc, what } if exists(world, seed, to_xc) => {
            let (from, kind, outcome) = match what {
                0 => ("HUB", EvidenceKind::RelayAcceptance, Outcome::Done),
                1 => (to(to_xc), EvidenceKind::ContentConsignment, Outcome::Done),
                2 => (to(to_xc), EvidenceKind::ContentHandover, Outcome::Confirmed),
                3 => ("HUB", EvidenceKind::RelayFailure, Outcome::Expired),
                4 => ("HUB", EvidenceKind::RelayFailure, Outcome::RecalledAfterOffer),
                _ => (to(to_xc), EvidenceKind::ContentConsignmentFailure, Outcome::Blind),
            };
            let _ = world.hear(from, kind, message(seed), to(to_xc), outcome);
        }
        Step::Seal { .. } | Step::Hear { .. } => {}
        Step::Arrive { seed, kind, sequence } => {
            let consigned = arrival(seed, kind, sequence);
            let _ = world.ask(Actor::Peer(ParticipantId::HUB), Ask::Consign(Box::new(consigned)));
        }
        Step::Take { seed } => {
            let ask = Ask::HandOver { message: (id("XB"), message(seed)) };
            let _ = world.ask(officer(DRAFTER), ask);
        }
        Step::Withdraw { seed } => {
            let _ = world.ask(officer(DRAFTER), Ask::Withdraw { message: message(seed) });
        }
        Step::Hold { lift } => {
            let ask = if lift { Ask::LiftHold(HoldScope::All) } else { Ask::SetHold(HoldScope::All) };
            let _ = world.ask(officer(SUPERVISOR), ask);
        }
        Step::Disable { officer: number } => {
            let _ = world.ask(officer(SUPERVISOR), Ask::DisableOfficer(OfficerNumber(number)));
        }
        Step::Pass { hours } => {
            world.now = world.now.plus_millis(hours * 3_600_000);
            let _ = world.ask(Actor::Daemon, Ask::Tick);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_makes_the_index_that_the_live_node_had(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            take(&mut world, step);
        }
        let mut replayed = World::empty();
        for event in world.journal.clone() {
            replayed.apply(event);
        }
        prop_assert_eq!(&replayed.rows, &world.rows);
    }
}

#[test]
fn every_event_survives_its_encoding() {
    let mut world = World::new();
    world.put_up(draft(1, Kind::Notice, &["XB"])).unwrap();
    world.ask(Actor::Peer(ParticipantId::HUB), Ask::Consign(Box::new(arrival(2, Kind::Request, 1)))).unwrap();
    for event in &world.journal {
        let bytes = event.encode();
        assert_eq!(ncp_protocol::event::Event::decode(&bytes).as_ref(), Ok(event));
    }
}
