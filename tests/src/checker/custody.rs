//! I1 and I3: each envelope from acceptance to its one end, each message to its one consignment, each command to its effect.

use std::collections::{BTreeMap, BTreeSet};

use ncp_protocol::codes::Kind;
use ncp_protocol::event::{Change, Claim, Draft, EnvelopeKey, EvidenceKind};
use ncp_protocol::ids::{MessageId, ParticipantId};

use super::Network;
use super::counts::Counts;
use super::daemon::Daemon;
use super::finding::{Finding, Name};
use super::history::{Ask, History, Outcome};
use super::receipts::{Own, claims};

/// Originator and message.
type Message = (ParticipantId, MessageId);

pub(super) fn check(history: &History, network: &Network, counts: &mut Counts, findings: &mut Vec<Finding>) {
    let ends = Ends::of(network);
    for daemon in network.daemons.values() {
        once(daemon, counts, findings);
    }
    if let Some(hub) = network.hub() {
        accepted(hub, &ends, counts, findings);
    }
    for node in network.nodes() {
        released(node, &ends, findings);
        receipts_reached(node, network, findings);
    }
    if let Some(hub) = network.hub() {
        receipts_reached(hub, network, findings);
    }
    commands(history, network, counts, findings);
    listings(history, network, findings);
}

/// How envelopes ended, whoever says so.
struct Ends {
    /// Recipient and message of each R2.
    consigned: BTreeSet<(ParticipantId, Message)>,
    /// Envelopes with signed negative evidence.
    negative: BTreeSet<EnvelopeKey>,
    /// Envelopes that a higher seal replaced.
    superseded: BTreeSet<EnvelopeKey>,
}

impl Ends {
    fn of(network: &Network) -> Self {
        let (mut consigned, mut negative, mut superseded) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for daemon in network.daemons.values() {
            for Own { claim, .. } in claims(daemon) {
                let Claim { kind, envelope, .. } = *claim;
                match kind {
                    EvidenceKind::ContentConsignment => {
                        consigned.insert((envelope.recipient, (envelope.originator, envelope.message)));
                    }
                    EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure => {
                        negative.insert(envelope);
                    }
                    EvidenceKind::RelayAcceptance | EvidenceKind::ContentHandover => {}
                }
            }
            superseded.extend(daemon.changes().filter_map(|change| match change {
                Change::EnvelopeSuperseded(envelope) => Some(*envelope),
                _ => None,
            }));
        }
        Self { consigned, negative, superseded }
    }

    fn is_consigned(&self, envelope: &EnvelopeKey) -> bool {
        self.consigned.contains(&(envelope.recipient, (envelope.originator, envelope.message)))
    }
}

/// Nothing that happens once happened twice in one journal, and what stands together does.
fn once(daemon: &Daemon, counts: &mut Counts, findings: &mut Vec<Finding>) {
    let mut happened = BTreeSet::new();
    let mut previous: Option<&Change> = None;
    let mut claimed = BTreeSet::new();
    let mut tell =
        |name, detail: String| findings.push(Finding::new(name, format!("{}: {detail}", daemon.participant)));
    for change in daemon.changes() {
        let message = |envelope: &EnvelopeKey| format!("{}/{}", envelope.originator, envelope.message);
        let (name, what) = match change {
            Change::Evidence(Claim { kind: EvidenceKind::ContentConsignment, envelope, .. }) => {
                (Name::ConsignedTwice, message(envelope))
            }
            Change::Evidence(Claim { kind: EvidenceKind::ContentHandover, envelope, .. }) => {
                counts.handed_over += 1;
                (Name::HandedOverTwice, message(envelope))
            }
            Change::Evidence(Claim { kind: EvidenceKind::RelayAcceptance, envelope, .. }) => {
                claimed.insert(*envelope);
                (Name::ClaimsContradict, format!("{envelope:?}"))
            }
            Change::EnvelopeAccepted(accepted) => (Name::AcceptedTwice, format!("{:?}", accepted.envelope)),
            Change::MessageReceived(received) => {
                let envelope = received.envelope;
                let said = matches!(previous, Some(Change::Evidence(claim))
                    if claim.kind == EvidenceKind::ContentConsignment
                        && (claim.envelope, claim.header) == (envelope, received.header));
                if !said {
                    tell(Name::ConsignmentAlone, message(&envelope));
                }
                (Name::ConsignedTwice, format!("arrival of {}", message(&envelope)))
            }
            Change::EnvelopeSealed { envelope, .. } => (Name::SealedTwice, format!("{envelope:?}")),
            Change::MessageReleased { message, .. } => (Name::SealedTwice, format!("release of {message}")),
            _ => {
                previous = Some(change);
                continue;
            }
        };
        previous = Some(change);
        if !happened.insert((name, what.clone())) {
            tell(name, what);
        }
    }
    let arrivals = daemon.changes().filter(|change| matches!(change, Change::MessageReceived(_))).count();
    let consigned = happened.iter().filter(|(name, _)| *name == Name::ConsignedTwice).count() - arrivals;
    if consigned != arrivals {
        tell(Name::ConsignmentAlone, format!("{consigned} consignments, {arrivals} arrivals"));
    }
    let accepted: BTreeSet<_> = daemon.changes().filter_map(accepted_envelope).collect();
    for envelope in accepted.symmetric_difference(&claimed) {
        tell(Name::AcceptanceUnreceipted, format!("{envelope:?}"));
    }
}

fn accepted_envelope(change: &Change) -> Option<EnvelopeKey> {
    match change {
        Change::EnvelopeAccepted(accepted) => Some(accepted.envelope),
        _ => None,
    }
}

/// Every accepted envelope has its end.
fn accepted(hub: &Daemon, ends: &Ends, counts: &mut Counts, findings: &mut Vec<Finding>) {
    for envelope in hub.changes().filter_map(accepted_envelope) {
        counts.accepted += 1;
        if ends.is_consigned(&envelope) {
            counts.consigned += 1;
        } else if ends.negative.contains(&envelope) || ends.superseded.contains(&envelope) {
            counts.negative += 1;
        } else {
            findings.push(Finding::new(Name::NotEnded, format!("{envelope:?}")));
        }
    }
}

/// The newest revision of each message that a node drafted.
pub(super) fn drafts(node: &Daemon) -> BTreeMap<MessageId, &Draft> {
    let mut drafts = BTreeMap::new();
    for change in node.changes() {
        if let Change::MessageDrafted(draft) | Change::MessageEdited(draft) = change {
            drafts.insert(draft.message, draft);
        }
    }
    drafts
}

/// Every released message ended for each of its recipients: consigned, refused with evidence, or stopped before it left.
fn released(node: &Daemon, ends: &Ends, findings: &mut Vec<Finding>) {
    let (mut withdrawn, mut failed, mut unsealed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let drafts = drafts(node);
    for change in node.changes() {
        match change {
            Change::MessageWithdrawn { message } => drop(withdrawn.insert(*message)),
            Change::EnvelopeFailed { envelope, .. } => drop(failed.insert((envelope.message, envelope.recipient))),
            Change::MessageReleased { message, .. } => {
                let recipients = drafts.get(message).into_iter().flat_map(|draft| &draft.recipients);
                unsealed.extend(recipients.map(|recipient| (*message, *recipient)));
            }
            Change::EnvelopeSealed { envelope, .. } => {
                let sealed = (envelope.message, envelope.recipient);
                unsealed.remove(&sealed);
                failed.remove(&sealed);
            }
            // Nothing can be on its way to whom it was not sealed for.
            Change::RecallRequested { message } => {
                failed.extend(unsealed.iter().filter(|(unsealed, _)| unsealed == message));
            }
            _ => {}
        }
    }
    let refused: BTreeSet<_> = ends.negative.iter().map(|key| (key.originator, key.message, key.recipient)).collect();
    for change in node.changes() {
        let Change::MessageReleased { message, .. } = change else { continue };
        let Some(draft) = drafts.get(message).filter(|_| !withdrawn.contains(message)) else { continue };
        for recipient in &draft.recipients {
            let ended = ends.consigned.contains(&(*recipient, (node.participant, *message)))
                || refused.contains(&(node.participant, *message, *recipient))
                || failed.contains(&(*message, *recipient));
            if !ended {
                let detail = format!("{} of {} to {recipient}", draft.reference, node.participant);
                findings.push(Finding::new(Name::NotEnded, detail));
            }
        }
    }
}

/// Every receipt of a daemon was noted by those it is owed to: the originator, and the hub for what recipients say.
fn receipts_reached(daemon: &Daemon, network: &Network, findings: &mut Vec<Finding>) {
    let noted = |by: ParticipantId| -> BTreeSet<(u64, EnvelopeKey)> {
        let changes = network.daemons.get(&by).into_iter().flat_map(Daemon::changes);
        let claims = changes.filter_map(|change| match change {
            Change::EvidenceReceived { claim, index, .. } if claim.origin.participant == daemon.participant => {
                Some((*index, claim.envelope))
            }
            _ => None,
        });
        claims.collect()
    };
    let mut by: BTreeMap<ParticipantId, BTreeSet<_>> = BTreeMap::new();
    for Own { claim, index, .. } in claims(daemon) {
        let mut owed = vec![claim.envelope.originator];
        if daemon.participant != ParticipantId::HUB && claim.kind != EvidenceKind::ContentHandover {
            owed.push(ParticipantId::HUB);
        }
        for party in owed.into_iter().filter(|party| network.daemons.contains_key(party)) {
            let has = by.entry(party).or_insert_with(|| noted(party)).contains(&(index, claim.envelope));
            if !has {
                let detail = format!("{:?} of {} to {party}", claim.kind, claim.envelope.message);
                findings.push(Finding::new(Name::ReceiptUndelivered, detail));
            }
        }
    }
}

/// What clients were told is done stands in the journal, once for each key, and the journal holds no message that nobody
/// asked for.
fn commands(history: &History, network: &Network, counts: &mut Counts, findings: &mut Vec<Finding>) {
    let mut made: BTreeMap<(ParticipantId, &str), MessageId> = BTreeMap::new();
    let mut unanswered: BTreeMap<ParticipantId, BTreeSet<&str>> = BTreeMap::new();
    let effects: BTreeMap<_, _> = network.nodes().map(|node| (node.participant, Effects::of(node))).collect();
    for command in &history.commands {
        let call = (command.at, command.key.as_str());
        match &command.outcome {
            Outcome::Refused(_) => counts.refused += 1,
            Outcome::Unknown => {
                counts.unknown += 1;
                unanswered.entry(command.at).or_default().insert(&command.key);
            }
            Outcome::Done(message) => {
                counts.done += 1;
                if !effects.get(&command.at).is_some_and(|effects| effects.hold(&command.ask, *message)) {
                    let detail = format!("{:?} of {message} at {}", command.ask, command.at);
                    findings.push(Finding::new(Name::CommandLost, detail));
                }
                if made.insert(call, *message).is_some_and(|before| before != *message) {
                    findings.push(Finding::new(Name::CommandDoubled, format!("{} at {}", command.key, command.at)));
                }
            }
        }
    }
    for node in network.nodes() {
        let drafts = drafts(node);
        counts.messages += drafts.len();
        let known: BTreeSet<_> =
            made.iter().filter(|((at, _), _)| *at == node.participant).map(|(_, id)| *id).collect();
        let open = unanswered.get(&node.participant);
        let open =
            open.map_or(0, |keys| keys.iter().filter(|key| !made.contains_key(&(node.participant, **key))).count());
        // A withdrawal that comes too late drafts a message by itself; test messages answer nobody's command here.
        let by_itself = |draft: &Draft| matches!(draft.kind, Kind::Withdrawal | Kind::Test);
        let strangers: Vec<_> =
            drafts.values().filter(|draft| !by_itself(draft) && !known.contains(&draft.message)).collect();
        if strangers.len() > open {
            let detail = format!("{} of {}", strangers[0].reference, strangers.len() - open);
            findings.push(Finding::new(Name::Invented, detail));
        }
    }
}

/// What commands did, as a journal tells it.
struct Effects<'a> {
    drafted: BTreeMap<MessageId, &'a [ParticipantId]>,
    // Withdrawn, recalled, or asked back by a message of its own.
    stopped: BTreeSet<MessageId>,
    handed_over: BTreeSet<Message>,
}

impl<'a> Effects<'a> {
    fn of(node: &'a Daemon) -> Self {
        let mut effects = Self { drafted: BTreeMap::new(), stopped: BTreeSet::new(), handed_over: BTreeSet::new() };
        for change in node.changes() {
            match change {
                Change::MessageDrafted(draft) => {
                    effects.drafted.insert(draft.message, &draft.recipients);
                    effects.stopped.extend(draft.in_reply_to.filter(|_| draft.kind == Kind::Withdrawal));
                }
                Change::MessageWithdrawn { message } | Change::RecallRequested { message } => {
                    effects.stopped.insert(*message);
                }
                Change::Evidence(Claim { kind: EvidenceKind::ContentHandover, envelope, .. }) => {
                    effects.handed_over.insert((envelope.originator, envelope.message));
                }
                _ => {}
            }
        }
        effects
    }

    /// Whether the journal says what a command was answered.
    fn hold(&self, ask: &Ask, message: MessageId) -> bool {
        match ask {
            Ask::Create { recipients, .. } => {
                self.drafted.get(&message).is_some_and(|drafted| drafted.iter().eq(recipients))
            }
            Ask::Withdraw(asked) => *asked == message && self.stopped.contains(&message),
            Ask::Confirm { originator, .. } => self.handed_over.contains(&(*originator, message)),
        }
    }
}

/// Each inbox shows what arrived, once.
fn listings(history: &History, network: &Network, findings: &mut Vec<Finding>) {
    for listing in &history.listings {
        let Some(node) = network.daemons.get(&listing.at) else { continue };
        let mut arrived: Vec<Message> = node.changes().filter_map(arrival).collect();
        let mut rows = listing.rows.clone();
        arrived.sort();
        rows.sort();
        if rows != arrived {
            let detail = format!("{} shows {} of {} arrivals", listing.at, rows.len(), arrived.len());
            findings.push(Finding::new(Name::InboxWrong, detail));
        }
    }
}

fn arrival(change: &Change) -> Option<Message> {
    match change {
        Change::MessageReceived(received) => Some((received.envelope.originator, received.envelope.message)),
        _ => None,
    }
}
