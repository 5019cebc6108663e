//! I6: pair sequences, from the releases that gave the numbers to the arrivals that filled them.

use std::collections::{BTreeMap, BTreeSet};

use ncp_protocol::event::{Change, Lane};
use ncp_protocol::ids::{Epoch, MessageId, ParticipantId};

use super::Network;
use super::custody::drafts;
use super::daemon::Daemon;
use super::finding::{Finding, Name};

/// Originator, recipient, lane, pair epoch: what has numbers of its own.
type Pair = (ParticipantId, ParticipantId, Lane, Epoch);

pub(super) fn check(network: &Network, findings: &mut Vec<Finding>) {
    let mut given: BTreeMap<Pair, BTreeMap<u64, MessageId>> = BTreeMap::new();
    for node in network.nodes() {
        give(node, &mut given, findings);
    }
    for (pair, numbers) in &given {
        if numbers.keys().copied().ne(1..=numbers.len() as u64) {
            findings.push(Finding::new(Name::NumbersBroken, format!("{pair:?} leaves a gap")));
        }
    }
    for node in network.nodes() {
        arrive(node, &given, findings);
    }
}

/// The numbers that a node's releases gave.
fn give(node: &Daemon, given: &mut BTreeMap<Pair, BTreeMap<u64, MessageId>>, findings: &mut Vec<Finding>) {
    let drafts = drafts(node);
    for change in node.changes() {
        let Change::MessageReleased { message, sequences, epoch } = change else { continue };
        let Some(draft) = drafts.get(message).filter(|draft| draft.recipients.len() == sequences.len()) else {
            findings.push(Finding::new(Name::NumbersBroken, format!("release of {message} fits no draft")));
            continue;
        };
        for (recipient, sequence) in draft.recipients.iter().zip(sequences) {
            let pair = (node.participant, *recipient, Lane::of(draft.precedence), *epoch);
            if given.entry(pair).or_default().insert(sequence.0, *message).is_some() {
                findings.push(Finding::new(Name::NumbersBroken, format!("{pair:?} gave {} twice", sequence.0)));
            }
        }
    }
}

/// What arrived has the number that it was given, and no number that arrived was called missing or void.
fn arrive(node: &Daemon, given: &BTreeMap<Pair, BTreeMap<u64, MessageId>>, findings: &mut Vec<Finding>) {
    let mut filled: BTreeMap<Pair, BTreeSet<u64>> = BTreeMap::new();
    let mut voided: Vec<(Pair, u64, u64)> = Vec::new();
    let mut alarmed: Vec<(ParticipantId, Lane, u64, u64)> = Vec::new();
    for change in node.changes() {
        match change {
            Change::MessageReceived(received) => {
                let originator = received.envelope.originator;
                let pair = (originator, node.participant, Lane::of(received.precedence), received.epoch);
                let number = received.sequence.0;
                if given.get(&pair).and_then(|numbers| numbers.get(&number)) != Some(&received.envelope.message) {
                    let detail = format!("{} arrived as {number} of {pair:?}", received.envelope.message);
                    findings.push(Finding::new(Name::NumbersBroken, detail));
                }
                filled.entry(pair).or_default().insert(number);
                voided.extend(received.voided.iter().map(|(first, last)| (pair, first.0, last.0)));
            }
            Change::SequenceGapNoticed { originator, lane, first, last } => {
                alarmed.push((*originator, *lane, first.0, last.0));
            }
            _ => {}
        }
    }
    for (pair, first, last) in voided {
        if filled.get(&pair).is_some_and(|numbers| numbers.range(first..=last).next().is_some()) {
            let detail = format!("{pair:?}: {first} to {last} void, yet filled");
            findings.push(Finding::new(Name::NumbersBroken, detail));
        }
    }
    for (originator, lane, first, last) in alarmed {
        let of = |pair: &Pair| (pair.0, pair.2) == (originator, lane);
        let mut numbers = filled.iter().filter(|(pair, _)| of(pair)).map(|(_, numbers)| numbers);
        if numbers.any(|numbers| numbers.range(first..=last).next().is_some()) {
            let detail = format!("{first} to {last} of {originator} at {}", node.participant);
            findings.push(Finding::new(Name::GapInvented, detail));
        }
    }
}
