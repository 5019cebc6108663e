//! What the node asks its core, and what becomes of the answers and effects.

use ncp_node::core::command::{Ask, Command, Done, Effect, Refusal};
use ncp_node::submission::QueueKey;
use ncp_protocol::event::{Actor, EnvelopeKey};
use ncp_protocol::frame::Cursor;
use ncp_protocol::ids::{Digest, MessageId, OfficerNumber, ParticipantId};
use ncp_protocol::keys::Signature;

use super::Node;
use crate::chance::Chance;
use crate::hub::{Moment, stamp};
use crate::shell::{Chore, Halt, Out};

/// How long commands gather, at most.
const GATHER_MS: u64 = 8;

/// Who asked, and what for.
pub(super) enum Asked {
    Own,
    Seal { place: QueueKey, job: (MessageId, ParticipantId) },
    Consign { header: Digest },
    Evidence { envelope: EnvelopeKey, last: Option<Cursor> },
    Officer { request: u64 },
}

impl Node {
    pub(super) fn ask(
        &mut self,
        actor: Actor,
        ask: Ask,
        asked: Asked,
        (moment, chance, out): (Moment, &mut Chance, &mut Out),
    ) {
        if self.asked.is_empty() {
            out.chores.push((chance.between(1, GATHER_MS), Chore::Commit));
        }
        self.asked.push((Command { stamp: stamp(moment, chance), actor, ask }, asked));
    }

    /// Asks on an officer's behalf; the answer comes to [`Node::answered`] under this number.
    pub fn request(
        &mut self,
        request: u64,
        officer: OfficerNumber,
        ask: Ask,
        context: (Moment, &mut Chance, &mut Out),
    ) {
        let actor = Actor::Officer { number: officer, signature: Signature([1; 64]), request: Digest([1; 32]) };
        self.ask(actor, ask, Asked::Officer { request }, context);
    }

    /// Commits what was asked, answers, and performs the effects.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn commit(&mut self, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        let (commands, asked): (Vec<Command>, Vec<Asked>) = core::mem::take(&mut self.asked).into_iter().unzip();
        let outcomes = self.machine.commit(commands, chance)?;
        let has_events = outcomes.iter().any(|outcome| !outcome.committed.places.is_empty());
        let mut effects = Vec::new();
        for (outcome, asked) in outcomes.into_iter().zip(asked) {
            effects.extend(outcome.effects);
            self.answer(asked, outcome.committed.reply, out)?;
        }
        for effect in effects {
            self.perform(effect, out)?;
        }
        self.seal(moment, chance, out)?;
        self.submit(moment, out)?;
        if has_events {
            out.chores.push((chance.below(50), Chore::Settle));
        }
        Ok(())
    }

    fn answer(&mut self, asked: Asked, reply: Result<Done, Refusal>, out: &mut Out) -> Result<(), Halt> {
        match asked {
            Asked::Own => reply.map(|_| ()).map_err(|refusal| Halt::wrong(format_args!("the core refuses: {refusal}"))),
            Asked::Seal { place, job } => match reply {
                Ok(_) => {
                    if let Some(link) = &mut self.mind()?.link {
                        link.candidates.insert(place);
                    }
                    Ok(())
                }
                Err(Refusal::Stale) => {
                    self.mind()?.jobs.insert(job);
                    Ok(())
                }
                Err(refusal) => Err(Halt::wrong(format_args!("the core takes no seal: {refusal}"))),
            },
            Asked::Consign { header } => {
                if let Some(link) = &mut self.mind()?.link {
                    link.seen.remove(&header);
                }
                match reply {
                    Ok(Done::Evidence { earlier: Some(leaf), .. }) => self.restate(leaf, out),
                    Ok(_) => Ok(()),
                    Err(refusal) => Err(Halt::wrong(format_args!("the core takes no message: {refusal}"))),
                }
            }
            Asked::Evidence { envelope, last } => {
                if let Err(refusal) = reply {
                    return Err(Halt::wrong(format_args!("the core takes no evidence: {refusal}")));
                }
                self.settled(&envelope)?;
                match last {
                    Some(cursor) => self.acknowledge(cursor, out),
                    None => Ok(()),
                }
            }
            Asked::Officer { request } => {
                self.answered.push((request, reply));
                Ok(())
            }
        }
    }

    fn perform(&mut self, effect: Effect, out: &mut Out) -> Result<(), Halt> {
        match effect {
            Effect::SealEnvelope { message, recipient } => {
                self.mind()?.jobs.insert((message, recipient));
                Ok(())
            }
            Effect::SendReceipts => self.state(out),
            Effect::SendRecall { message, recipient } => self.recall(message, recipient, out),
            Effect::HoldsChanged => {
                if let Some(link) = &mut self.mind()?.link {
                    link.candidates.append(&mut link.held);
                }
                Ok(())
            }
            Effect::SubmitEnvelope { .. } | Effect::DirectoryChanged | Effect::Announce => Ok(()),
        }
    }
}
