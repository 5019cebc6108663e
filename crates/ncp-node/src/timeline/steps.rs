//! From events to steps.

use ncp_api::timeline::{EvidenceState, Step, TimelineEntry};
use ncp_protocol::approval::{ApprovalStatement, ApprovalView, Decision};
use ncp_protocol::event::{Alert, Approval, Change, Claim, Draft, EvidenceKind, Outcome};
use ncp_protocol::ids::{LogName, MessageId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;

use crate::core::tables::{MessageKey, OFFICER, OUT};
use crate::faults::Failed;
use crate::history::Recorded;
use crate::node::Node;
use crate::notes;
use crate::receipts_shown::{ShownReceipt, receipt_id};
use crate::timeline::Words;
use crate::views::{self, officer_of};

/// A step without anything to say.
pub(super) fn entry(step: Step) -> TimelineEntry {
    TimelineEntry {
        time: None,
        step,
        recipient: None,
        officer: None,
        detail: String::new(),
        reason: None,
        words: None,
        due: None,
        about: None,
        evidence: EvidenceState::None,
        receipt: None,
    }
}

/// The steps that happened, in order.
pub(super) fn told(
    node: &Node,
    key: MessageKey,
    history: &[Recorded],
    receipts: &[ShownReceipt],
    words: Words,
) -> Result<Vec<TimelineEntry>, Failed> {
    let mut telling = Telling { node, key, receipts, words, draft: None, approvals: Vec::new(), entries: Vec::new() };
    for recorded in history {
        telling.tell(recorded)?;
    }
    telling.flush_approvals();
    let mut entries = telling.entries;
    // What others decided bears their time: it may lie before the event that noted it.
    entries.sort_by_key(|entry| entry.time);
    Ok(entries)
}

struct Telling<'a> {
    node: &'a Node,
    key: MessageKey,
    receipts: &'a [ShownReceipt],
    words: Words,
    draft: Option<Draft>,
    /// Approvals since the last step: the last one before the release is told with it.
    approvals: Vec<TimelineEntry>,
    entries: Vec<TimelineEntry>,
}

/// Who makes a step of an event.
enum Teller {
    Release,
    Way,
    Work,
    Evidence,
    Nobody,
}

/// Each event is listed, so that a new one is not forgotten.
fn told_by(change: &Change) -> Teller {
    match change {
        Change::MessageDrafted(_)
        | Change::MessageEdited(_)
        | Change::MessageApproved(_)
        | Change::ReleaseRejected(_)
        | Change::MessageReleased { .. } => Teller::Release,
        Change::EnvelopeSealed { .. }
        | Change::EnvelopeFailed { .. }
        | Change::MessageReceived(_)
        | Change::MessageWithdrawn { .. }
        | Change::RecallRequested { .. } => Teller::Way,
        Change::TaskAssigned { .. }
        | Change::ContributionAdded { .. }
        | Change::RequestAlerted { .. }
        | Change::DeadlineMoved { .. }
        | Change::ContentErased { .. } => Teller::Work,
        Change::EvidenceReceived { .. } | Change::Evidence(_) => Teller::Evidence,
        // An alarm's matter, not about one message, or of the hub's journal.
        Change::LogOpened { .. }
        | Change::ConflictNoticed { .. }
        | Change::OfficerAdded { .. }
        | Change::OfficerDisabled { .. }
        | Change::RulesInForce { .. }
        | Change::HoldSet { .. }
        | Change::HoldLifted { .. }
        | Change::EntryAccepted { .. }
        | Change::EntryPinned { .. }
        | Change::ParticipantSuspended { .. }
        | Change::ParticipantReinstated { .. }
        | Change::SequenceGapNoticed { .. }
        | Change::ReceiptsStored { .. }
        | Change::EnvelopeAccepted(_)
        | Change::EnvelopeOffered(_)
        | Change::EnvelopeSuperseded(_)
        | Change::BodyDropped { .. }
        | Change::EntryAdmitted { .. }
        | Change::MembershipAdmitted { .. }
        | Change::PublicCheckpointRecorded { .. } => Teller::Nobody,
    }
}

impl Telling<'_> {
    fn tell(&mut self, recorded: &Recorded) -> Result<(), Failed> {
        let officer = officer_of(&recorded.event.actor).map(|officer| officer.0);
        let plain = |step| TimelineEntry { time: Some(recorded.event.time), officer, ..entry(step) };
        let change = &recorded.event.change;
        match told_by(change) {
            Teller::Release => self.tell_release(change, recorded.event.time, &plain)?,
            Teller::Way => self.tell_way(change, &plain),
            Teller::Work => self.tell_work(change, &plain),
            Teller::Evidence => self.evidence(recorded, officer),
            Teller::Nobody => {}
        }
        Ok(())
    }

    /// What officers did before anything left.
    fn tell_release(
        &mut self,
        change: &Change,
        time: UnixMillis,
        plain: &impl Fn(Step) -> TimelineEntry,
    ) -> Result<(), Failed> {
        if let Change::MessageDrafted(draft) = change {
            self.drafted(draft, plain(Step::Created));
        } else if let Change::MessageEdited(draft) = change {
            self.drafted(draft, plain(Step::Edited));
        } else if let Change::MessageApproved(approval) = change {
            let evidence = self.approval_state(approval, Decision::Approve)?;
            let officer = Some(approval.officer.0);
            self.approvals.push(TimelineEntry { officer, evidence, ..plain(Step::Approved) });
        } else if let Change::ReleaseRejected(approval) = change {
            let evidence = self.approval_state(approval, Decision::Reject)?;
            self.flush_approvals();
            let words = self.telling_words(approval)?;
            let officer = Some(approval.officer.0);
            self.entries.push(TimelineEntry { officer, evidence, words, ..plain(Step::Rejected) });
        } else if let Change::MessageReleased { message, .. } = change {
            self.released(*message, time)?;
        }
        Ok(())
    }

    /// What became of its envelopes without anybody's evidence, and the answers that came.
    fn tell_way(&mut self, change: &Change, plain: &impl Fn(Step) -> TimelineEntry) {
        if let Change::EnvelopeSealed { envelope, .. } = change {
            let again = envelope.seal.0 > 1;
            let detail = if again { format!("sealed again, {}", envelope.seal.0) } else { "sealed".to_owned() };
            let recipient = Some(envelope.recipient);
            self.entries.push(TimelineEntry { recipient, detail, officer: None, ..plain(Step::Queued) });
        } else if let Change::EnvelopeFailed { envelope, code } = change {
            let detail = views::state::reject_words(*code);
            let recipient = Some(envelope.recipient);
            self.entries.push(TimelineEntry { recipient, detail, ..plain(failed_step(*code)) });
        } else if let Change::MessageReceived(received) = change {
            // The arrival itself is told by its evidence; an answer to this message is a step of its own.
            let (originator, message) = (received.envelope.originator, received.envelope.message);
            if (originator, message) != self.key {
                let detail = received.response_status.map(|status| status.to_string()).unwrap_or_default();
                let (about, recipient) = (Some(received.reference), Some(originator));
                let reason = received.reason.clone();
                self.entries.push(TimelineEntry { recipient, detail, reason, about, ..plain(Step::Answered) });
            }
        } else if let Change::MessageWithdrawn { .. } = change {
            self.entries.push(plain(Step::Withdrawn));
        } else if let Change::RecallRequested { .. } = change {
            self.entries.push(plain(Step::RecallRequested));
        }
    }

    /// Work on an answer, and its clock. That something is due soon or unread is an alert, no step.
    fn tell_work(&mut self, change: &Change, plain: &impl Fn(Step) -> TimelineEntry) {
        if let Change::TaskAssigned { task, service, .. } = change {
            self.entries.push(TimelineEntry { detail: format!("task {task}, {service}"), ..plain(Step::Assigned) });
        } else if let Change::ContributionAdded { task, .. } = change {
            self.entries.push(TimelineEntry { detail: format!("task {task}"), ..plain(Step::Contributed) });
        } else if let Change::RequestAlerted { recipient, alert: Alert::Overdue, .. } = change {
            self.entries.push(TimelineEntry { recipient: Some(*recipient), ..plain(Step::Overdue) });
        } else if let Change::DeadlineMoved { recipient, due, reason, .. } = change {
            let detail = reason.as_ref().map(ToString::to_string).unwrap_or_default();
            let (recipient, due, reason) = (Some(*recipient), Some(*due), reason.clone());
            self.entries.push(TimelineEntry { recipient, due, detail, reason, ..plain(Step::DeadlineMoved) });
        } else if let Change::ContentErased { .. } = change {
            self.entries.push(plain(Step::Erased));
        }
    }

    fn drafted(&mut self, draft: &Draft, entry: TimelineEntry) {
        // An edit voids what was approved before; it is told all the same.
        self.flush_approvals();
        self.draft = Some(draft.clone());
        self.entries.push(entry);
    }

    fn flush_approvals(&mut self) {
        self.entries.append(&mut self.approvals);
    }

    fn released(&mut self, message: MessageId, time: UnixMillis) -> Result<(), Failed> {
        if message != self.key.1 {
            return self.answered(message, time);
        }
        let last = self.approvals.pop();
        self.flush_approvals();
        let rule = self.draft.as_ref().map(|draft| format!("rule {}", draft.rule)).unwrap_or_default();
        self.entries.push(TimelineEntry {
            time: Some(time),
            officer: last.as_ref().and_then(|approval| approval.officer),
            evidence: last.map_or(EvidenceState::None, |approval| approval.evidence),
            detail: rule,
            ..entry(Step::Released)
        });
        Ok(())
    }

    /// This node's answer was released.
    fn answered(&mut self, message: MessageId, time: UnixMillis) -> Result<(), Failed> {
        let answer = OUT.row(&self.node.reader().view(), &message)?.map(|row| row.draft);
        let status = answer.as_ref().and_then(|draft| draft.response_status);
        self.entries.push(TimelineEntry {
            time: Some(time),
            detail: status.map(|status| status.to_string()).unwrap_or_default(),
            reason: answer.as_ref().and_then(|draft| draft.reason.clone()),
            about: answer.map(|draft| draft.reference),
            ..entry(Step::Answered)
        });
        Ok(())
    }

    /// The words that an officer gave with a rejection, for readers who may see content.
    fn telling_words(&self, rejection: &Approval) -> Result<Option<String>, Failed> {
        match self.words {
            Words::Told => notes::of_rejection(self.node, rejection.message, rejection.revision, rejection.officer),
            Words::Withheld => Ok(None),
        }
    }

    /// Whether the officer's signature covers what was shown.
    fn approval_state(&self, approval: &Approval, decision: Decision) -> Result<EvidenceState, Failed> {
        let Some(draft) = self.draft.as_ref().filter(|draft| draft.revision == approval.revision) else {
            return Ok(EvidenceState::Bad);
        };
        let row = OFFICER.row(&self.node.reader().view(), &approval.officer.0)?;
        let Some(row) = row.filter(|row| row.key.id() == approval.key) else { return Ok(EvidenceState::Bad) };
        let view = ApprovalView {
            network: self.node.network.id(),
            participant: self.node.participant(),
            message: draft.message,
            commitment: draft.commitment,
            recipients: draft.recipients.clone(),
            precedence: draft.precedence,
            not_after: draft.not_after,
            officer: approval.officer,
        };
        let statement = ApprovalStatement { view, decision, code: approval.code };
        let good = statement.verify(&row.key, &approval.signature).is_ok();
        Ok(if good { EvidenceState::Ok } else { EvidenceState::Bad })
    }

    fn evidence(&mut self, recorded: &Recorded, officer: Option<u16>) {
        let shown = self.receipts.iter().find(|shown| shown.sequence == recorded.sequence);
        let Some(shown) = shown else { return };
        // Evidence about an answer stands in the answer's own timeline.
        if (shown.claim.envelope.originator, shown.claim.envelope.message) != self.key {
            return;
        }
        self.entries.push(TimelineEntry {
            time: Some(shown.stated),
            recipient: Some(shown.claim.envelope.recipient),
            officer,
            detail: evidence_detail(&shown.claim, shown.receipt.as_ref().map(|receipt| receipt.index)),
            evidence: shown.state,
            receipt: shown.receipt.as_ref().map(|_| receipt_id(&shown.claim)),
            ..entry(evidence_step(&shown.claim))
        });
    }
}

fn failed_step(code: RejectCode) -> Step {
    if code == RejectCode::Expired {
        Step::Expired
    } else if code == RejectCode::Recalled {
        Step::Recalled
    } else {
        Step::Failed
    }
}

fn evidence_step(claim: &Claim) -> Step {
    match (claim.kind, claim.outcome) {
        (EvidenceKind::RelayAcceptance, _) => Step::Accepted,
        (EvidenceKind::ContentConsignment, _) => Step::Delivered,
        (EvidenceKind::ContentHandover, _) => Step::HandedOver,
        (_, Outcome::Recalled | Outcome::RecalledAfterOffer) => Step::Recalled,
        (_, Outcome::Expired | Outcome::ExpiredAfterOffer | Outcome::Rejected(RejectCode::Expired)) => Step::Expired,
        (EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure, _) => Step::Failed,
    }
}

/// Which receipt it is, and where it stands: `R1, hub traffic log 18204`.
fn evidence_detail(claim: &Claim, index: Option<u64>) -> String {
    let place = |index: u64| {
        let keeper = claim.origin.participant;
        match claim.origin.log {
            LogName::Traffic if keeper == ParticipantId::HUB => format!("hub traffic log {index}"),
            LogName::Public | LogName::Traffic => format!("{keeper} {} log {index}", claim.origin.log),
            LogName::Node => format!("node {keeper} log {index}"),
        }
    };
    let what = match (claim.kind, claim.outcome) {
        (EvidenceKind::RelayAcceptance, _) => "R1".to_owned(),
        (EvidenceKind::ContentConsignment, _) => "R2".to_owned(),
        (EvidenceKind::ContentHandover, Outcome::Blind) => "R3, blind".to_owned(),
        (EvidenceKind::ContentHandover, _) => "R3, confirmed".to_owned(),
        (_, Outcome::Rejected(code)) => views::state::reject_words(code),
        (_, Outcome::Recalled) => "final".to_owned(),
        (_, Outcome::RecalledAfterOffer | Outcome::ExpiredAfterOffer) => "provisional".to_owned(),
        (EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure, _) => "not delivered".to_owned(),
    };
    match index {
        Some(index) => format!("{what}, {}", place(index)),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use ncp_protocol::event::EnvelopeKey;
    use ncp_protocol::ids::{Digest, Epoch, KeyId, LogOrigin, NetworkId, SealNumber};

    use super::*;

    fn claim(log: LogName, participant: &str, kind: EvidenceKind, outcome: Outcome) -> Claim {
        let id = |text: &str| text.parse::<ParticipantId>().expect("id");
        let origin =
            LogOrigin { network: NetworkId(Digest([1; 32])), participant: id(participant), log, epoch: Epoch(1) };
        let envelope = EnvelopeKey {
            originator: id("XA"),
            message: MessageId::from_random([1; 16]),
            recipient: id("XB"),
            seal: SealNumber(1),
        };
        Claim { origin, key: KeyId(Digest([2; 32])), kind, envelope, header: Digest([3; 32]), outcome }
    }

    #[test]
    fn details_name_receipt_and_place() {
        let r1 = claim(LogName::Traffic, "HUB", EvidenceKind::RelayAcceptance, Outcome::Done);
        assert_eq!(evidence_detail(&r1, Some(18_204)), "R1, hub traffic log 18204");
        let r2 = claim(LogName::Node, "XB", EvidenceKind::ContentConsignment, Outcome::Done);
        assert_eq!(evidence_detail(&r2, Some(9)), "R2, node XB log 9");
        let r3 = claim(LogName::Node, "XB", EvidenceKind::ContentHandover, Outcome::Blind);
        assert_eq!(evidence_detail(&r3, None), "R3, blind");
        assert_eq!(evidence_step(&r3), Step::HandedOver);
        let gone = claim(LogName::Traffic, "HUB", EvidenceKind::RelayFailure, Outcome::Expired);
        assert_eq!(evidence_step(&gone), Step::Expired);
    }
}
