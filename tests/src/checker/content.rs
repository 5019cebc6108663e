//! I2: what arrived and what was read is what its originator drafted, sealed and submitted.

use std::collections::BTreeMap;

use ncp_protocol::event::{Change, Draft, EnvelopeKey, Received};
use ncp_protocol::ids::{Digest, MessageId, ParticipantId};

use super::Network;
use super::custody::drafts;
use super::finding::{Finding, Name};
use super::history::{Ask, Command, History, Outcome};

pub(super) fn check(history: &History, network: &Network, findings: &mut Vec<Finding>) {
    let drafts: BTreeMap<_, _> = network.nodes().map(|node| (node.participant, drafts(node))).collect();
    let sealed: BTreeMap<_, _> = network.nodes().flat_map(|node| node.changes().filter_map(header)).collect();
    if let Some(hub) = network.hub() {
        for change in hub.changes() {
            let Change::EnvelopeAccepted(accepted) = change else { continue };
            if sealed.get(&accepted.envelope) != Some(&accepted.header) {
                let detail = format!("the hub accepted {:?}, which was not sealed so", accepted.envelope);
                findings.push(Finding::new(Name::Altered, detail));
            }
        }
    }
    for node in network.nodes() {
        for change in node.changes() {
            let Change::MessageReceived(received) = change else { continue };
            let envelope = &received.envelope;
            let Some(draft) = drafts.get(&envelope.originator).and_then(|all| all.get(&envelope.message)) else {
                let detail = format!("{} at {}, of no draft", envelope.message, node.participant);
                findings.push(Finding::new(Name::Invented, detail));
                continue;
            };
            let is_for_here = envelope.recipient == node.participant && draft.recipients.contains(&node.participant);
            if !is_for_here || sealed.get(envelope) != Some(&received.header) || !is_same(draft, received) {
                let detail = format!("{} of {} at {}", draft.reference, envelope.originator, node.participant);
                findings.push(Finding::new(Name::Altered, detail));
            }
        }
    }
    reads(history, findings);
}

fn header(change: &Change) -> Option<(EnvelopeKey, Digest)> {
    match change {
        Change::EnvelopeSealed { envelope, header, .. } => Some((*envelope, *header)),
        _ => None,
    }
}

/// Whether an arrival is the draft, field by field.
fn is_same(draft: &Draft, received: &Received) -> bool {
    (draft.reference, draft.conversation, draft.in_reply_to)
        == (received.reference, received.conversation, received.in_reply_to)
        && (draft.kind, draft.precedence, draft.handling) == (received.kind, received.precedence, received.handling)
        && (draft.commitment, draft.root, draft.body_length)
            == (received.commitment, received.root, received.body_length)
}

/// Every content that was read is the one that was written.
fn reads(history: &History, findings: &mut Vec<Finding>) {
    let mut written: BTreeMap<(ParticipantId, MessageId), Digest> = BTreeMap::new();
    for Command { at, ask, outcome, .. } in &history.commands {
        if let (Ask::Create { content, .. }, Outcome::Done(message)) = (ask, outcome) {
            written.insert((*at, *message), *content);
        }
    }
    for read in &history.reads {
        if written.get(&(read.originator, read.message)) != Some(&read.content) {
            let detail = format!("{} of {} at {}", read.message, read.originator, read.at);
            findings.push(Finding::new(Name::ReadAltered, detail));
        }
    }
}
