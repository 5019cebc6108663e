//! A message that arrives: consigned or refused, then handed over, assigned, contributed to.

use ncp_protocol::codes::{Code, Kind, ResponseStatus};
use ncp_protocol::directory::MembershipClass;
use ncp_protocol::event::{Change, EnvelopeKey, EvidenceKind, Lane, Outcome, Received, Role};
use ncp_protocol::ids::{Digest, LogName, PairSequence, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::Record;

use super::{Deciding, Stop};
use crate::core::command::{Consigned, Done, Effect, Refusal};
use crate::core::limits::{CONTRIBUTIONS_MAX, GAPS_PER_MESSAGE_MAX, SERVICES_MAX, TASKS_MAX};
use crate::core::meaning::{NUMBERS_PER_LOOK, answer_due};
use crate::core::tables::{IN, InRow, MessageKey, OUT, PAIR_IN, PAIR_IN_FLOOR, REFUSED, TASK, lane_byte};

impl Deciding<'_> {
    pub(super) fn consign(&mut self, consigned: Consigned) -> Result<Done, Stop> {
        let EnvelopeKey { originator, message, recipient, .. } = consigned.received.envelope;
        if recipient != self.this_node() {
            return Err(Refusal::Rejected(RejectCode::RecipientUnknown).into());
        }
        self.open_entry(originator)?;
        if let Some(row) = IN.row(self.view, &(originator, message))? {
            return self.consign_again(&row, &consigned);
        }
        if let Some(code) = self.fault(&consigned)? {
            return self.refuse_delivery(consigned.received.envelope, consigned.received.header, code);
        }
        self.consign_first(consigned)
    }

    fn consign_first(&mut self, consigned: Consigned) -> Result<Done, Stop> {
        let received = Received { due: self.due(&consigned.received), ..consigned.received };
        let envelope = received.envelope;
        let filled = PAIR_IN.row(
            self.view,
            &(envelope.originator, lane_byte(Lane::of(received.precedence)), received.epoch.0, received.sequence.0),
        )?;
        let header = received.header;
        let gaps = self.gaps(&received)?;
        self.push_claim(EvidenceKind::ContentConsignment, envelope, header, Outcome::Done);
        let reaches_a_person = received.kind.reaches_a_person();
        let extension = self.extension(&received);
        self.push(Change::MessageReceived(received));
        if !reaches_a_person {
            // A test message runs the whole chain of evidence and reaches no person: the daemon takes it.
            self.push_claim(EvidenceKind::ContentHandover, envelope, header, Outcome::Confirmed);
        }
        for change in extension.into_iter().chain(gaps) {
            self.push(change);
        }
        if filled.is_some() {
            let EnvelopeKey { originator, message, .. } = envelope;
            self.push(Change::ConflictNoticed { originator, message, header });
        }
        let acceptance = consigned.acceptance;
        self.push(Change::EvidenceReceived {
            claim: acceptance.claim,
            index: acceptance.index,
            stated: acceptance.stated,
            record: acceptance.record.name.id,
        });
        self.records.extend([consigned.envelope, consigned.content, acceptance.record]);
        self.records.extend(consigned.body);
        self.effects.push(Effect::Announce);
        Ok(Done::Evidence { log: LogName::Node, earlier: None })
    }

    /// The same envelope again gets the same evidence; another seal of the same message a `duplicate`, which is no
    /// failure; other content under the same id an alarm.
    fn consign_again(&mut self, row: &InRow, consigned: &Consigned) -> Result<Done, Stop> {
        if row.received.header == consigned.received.header {
            self.effects.push(Effect::SendReceipts);
            return Ok(Done::Evidence { log: LogName::Node, earlier: Some(row.consignment) });
        }
        let same =
            row.received.commitment == consigned.received.commitment && row.received.root == consigned.received.root;
        let envelope = consigned.received.envelope;
        if same {
            return self.refuse_delivery(envelope, consigned.received.header, RejectCode::Duplicate);
        }
        if REFUSED.row(self.view, &consigned.received.header.0)?.is_none() {
            let EnvelopeKey { originator, message, .. } = envelope;
            let done = self.refuse_delivery(envelope, consigned.received.header, RejectCode::ConflictingContent)?;
            self.push(Change::ConflictNoticed { originator, message, header: consigned.received.header });
            return Ok(done);
        }
        self.refuse_delivery(envelope, consigned.received.header, RejectCode::ConflictingContent)
    }

    pub(super) fn refuse_delivery(
        &mut self,
        envelope: EnvelopeKey,
        header: Digest,
        code: RejectCode,
    ) -> Result<Done, Stop> {
        if let Some(earlier) = REFUSED.row(self.view, &header.0)? {
            self.effects.push(Effect::SendReceipts);
            return Ok(Done::Evidence { log: LogName::Node, earlier: Some(earlier) });
        }
        self.push_claim(EvidenceKind::ContentConsignmentFailure, envelope, header, Outcome::Rejected(code));
        Ok(Done::Evidence { log: LogName::Node, earlier: None })
    }

    /// What keeps a message of good form from being taken in.
    fn fault(&self, consigned: &Consigned) -> Result<Option<RejectCode>, Stop> {
        let received = &consigned.received;
        let from_another = consigned.originator_class.is_some_and(|class| class != MembershipClass::Secretariat);
        if received.kind.from_secretariat_alone() && from_another {
            return Ok(Some(RejectCode::ManifestInvalid));
        }
        if received.kind != Kind::Response {
            return Ok(None);
        }
        // An answer cites a request of ours to its originator, by id and by content.
        let cited = match received.in_reply_to {
            Some(message) => OUT.row(self.view, &message)?,
            None => None,
        };
        let fits = cited.is_some_and(|row| {
            consigned.cites == Some(row.draft.commitment)
                && row.draft.conversation == received.conversation
                && row.draft.recipients.contains(&received.envelope.originator)
        });
        Ok((!fits).then_some(RejectCode::ManifestMismatch))
    }

    /// When an answer to this message is due, counted from now: the time of R2.
    fn due(&self, received: &Received) -> Option<UnixMillis> {
        answer_due(received.kind, received.answer_by, received.precedence, self.now())
    }

    /// An answer that only says when the answer will come moves the clock of our request.
    fn extension(&self, received: &Received) -> Option<Change> {
        (received.response_status == Some(ResponseStatus::Extension)).then_some(())?;
        Some(Change::DeadlineMoved {
            originator: self.this_node(),
            message: received.in_reply_to?,
            recipient: received.envelope.originator,
            due: received.answer_by?,
            reason: received.reason.clone(),
        })
    }

    /// Numbers below the floor that neither came nor were voided: somebody dropped an envelope.
    fn gaps(&self, received: &Received) -> Result<Vec<Change>, Stop> {
        let originator = received.envelope.originator;
        let lane = Lane::of(received.precedence);
        let key = (originator, lane_byte(lane), received.epoch.0);
        let from = PAIR_IN_FLOOR.row(self.view, &key)?.unwrap_or(1);
        let to = received.floor.0.min(from.saturating_add(NUMBERS_PER_LOOK));
        let mut gaps = Vec::new();
        let mut first = None;
        for number in from..=to {
            let voided = received.voided.iter().any(|(low, high)| (low.0..=high.0).contains(&number));
            let missing = number < to
                && number != received.sequence.0
                && !voided
                && PAIR_IN.row(self.view, &(originator, lane_byte(lane), received.epoch.0, number))?.is_none();
            match (missing, first) {
                (true, None) => first = Some(number),
                (false, Some(start)) => {
                    let (first_missing, last) = (PairSequence(start), PairSequence(number.saturating_sub(1)));
                    gaps.push(Change::SequenceGapNoticed { originator, lane, first: first_missing, last });
                    first = None;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        gaps.truncate(GAPS_PER_MESSAGE_MAX);
        Ok(gaps)
    }

    pub(super) fn hand_over(&mut self, message: MessageKey) -> Result<Done, Stop> {
        self.acting_officer(Role::Drafter)?;
        let row = IN.row(self.view, &message)?.ok_or(Refusal::UnknownMessage)?;
        if let Some(earlier) = row.handover {
            return Ok(Done::Evidence { log: LogName::Node, earlier: Some(earlier) });
        }
        let Received { envelope, header, .. } = row.received;
        self.push_claim(EvidenceKind::ContentHandover, envelope, header, Outcome::Confirmed);
        self.effects.push(Effect::Announce);
        Ok(Done::Evidence { log: LogName::Node, earlier: None })
    }

    pub(super) fn assign(
        &mut self,
        message: MessageKey,
        services: Vec<Code>,
        notes: Vec<(u16, Record)>,
    ) -> Result<Done, Stop> {
        self.acting_officer(Role::Drafter)?;
        let row = IN.row(self.view, &message)?.ok_or(Refusal::UnknownMessage)?;
        if !row.received.kind.expects_answer() || row.answer.is_some() {
            return Err(Refusal::NotAssignable.into());
        }
        if services.is_empty() || services.len() > SERVICES_MAX || usize::from(row.tasks) + services.len() > TASKS_MAX {
            return Err(Refusal::TooMany.into());
        }
        let first = row.tasks.saturating_add(1);
        // A note bears the number of its task in its name; somebody else was faster if that number is another's.
        if notes.iter().any(|(task, _)| *task < first || usize::from(task - first) >= services.len()) {
            return Err(Refusal::Stale.into());
        }
        self.records.extend(notes.into_iter().map(|(_, record)| record));
        for (task, service) in (first..).zip(services) {
            let (originator, message) = message;
            self.push(Change::TaskAssigned { originator, message, task, service });
        }
        if row.handover.is_none() {
            // Who assigns has opened it.
            self.push_claim(
                EvidenceKind::ContentHandover,
                row.received.envelope,
                row.received.header,
                Outcome::Confirmed,
            );
        }
        self.effects.push(Effect::Announce);
        Ok(Done::Tasks { first })
    }

    pub(super) fn contribute(&mut self, message: MessageKey, task: u16, record: Record) -> Result<Done, Stop> {
        self.acting_officer(Role::Drafter)?;
        let (originator, message) = message;
        let row = TASK.row(self.view, &(originator, message, task))?.ok_or(Refusal::UnknownTask)?;
        if row.contributions.len() >= CONTRIBUTIONS_MAX {
            return Err(Refusal::TooMany.into());
        }
        self.push(Change::ContributionAdded { originator, message, task, record: record.name.id });
        self.records.push(record);
        self.effects.push(Effect::Announce);
        Ok(Done::Noted)
    }
}
