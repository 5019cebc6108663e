//! Sending mail: what waits goes out in the order of service, as far as the recipient's credit reaches.
//!
//! An envelope is offered, durably, before its first byte leaves. What was offered on an earlier link and has not ended
//! goes out again on this one: the recipient knows what it has. A small body goes ahead of the first delivery of its
//! envelope, as far as the credit reaches: without it the recipient would only ask.

use std::collections::VecDeque;
use std::sync::Arc;

use ncp_protocol::codes::Precedence;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::{BodyChunk, Deliver, Refused};
use ncp_protocol::ids::LogName;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::queue::Urgency;
use ncp_store::reader::{ReadError, Reader, unless_lost};
use ncp_store::spool::{RecordKind, RecordName};
use ncp_store::state::Unreadable;
use ncp_transport::credit::{Credit, SendCredit, Spend};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::core::command::{Command, OfferEnvelopes, Offered, Reply};
use crate::core::mailbox::{Room, Turns, Waiting};
use crate::core::query;
use crate::hub::{Asked, Stopping};
use crate::limits::{BODIES_AHEAD_MAX, OFFER_BATCH_MAX, REDELIVERY_DELAY};
use crate::link::{Link, LinkEnd, TaskEnd};
use crate::seldom::Seldom;

/// Delivers until the link ends.
///
/// # Errors
/// Why the link ends.
pub(crate) async fn run(link: Arc<Link>, mut refusals: mpsc::Receiver<Refused>) -> TaskEnd {
    let (mut turns, mut refused) = (Turns::default(), Refusals::default());
    loop {
        while let Ok(refusal) = refusals.try_recv() {
            refused.note(&link, &turns, refusal);
        }
        if deliver(&link, &mut turns).await? == Progress::NothingToDo {
            wait(&link, &mut turns, &mut refusals, &mut refused).await?;
        }
    }
}

/// Waits until there may be something to deliver. A refusal alone is none: it is noted and rests.
async fn wait(
    link: &Link,
    turns: &mut Turns,
    refusals: &mut mpsc::Receiver<Refused>,
    refused: &mut Refusals,
) -> Result<(), LinkEnd> {
    let held_back_until = Instant::now() + REDELIVERY_DELAY;
    loop {
        tokio::select! {
            () = link.signals.mail.notified() => return Ok(()),
            () = link.envelopes_granted.notified() => return Ok(()),
            // What ends by the clock or by its originator wakes nobody here.
            () = sleep_until(held_back_until), if turns.is_held_back() => return Ok(()),
            refusal = refusals.recv() => refused.note(link, turns, refusal.ok_or(LinkEnd::Closed)?),
            envelope = refused.rested() => {
                turns.give_back(&envelope);
                return Ok(());
            }
        }
    }
}

/// What the recipient could not take, each until it goes out again, the oldest first. Bounded by what is with it.
#[derive(Default)]
struct Refusals {
    resting: VecDeque<(Instant, EnvelopeKey)>,
    told: Seldom,
}

impl Refusals {
    /// Takes a refusal up. One of what was not sent, or is refused already, is passed over.
    fn note(&mut self, link: &Link, turns: &Turns, refusal: Refused) {
        let Refused { envelope, code } = refusal;
        if !turns.is_out(&envelope) || self.resting.iter().any(|(_, resting)| *resting == envelope) {
            return;
        }
        if let Some(left_out) = self.told.note() {
            let (peer, message) = (link.peer, envelope.message);
            tracing::info!(%peer, msg = %message, reject = code.number(), left_out, "not taken: {code}");
        }
        // No evidence came with it, so the envelope still waits; it goes out again after a rest.
        self.resting.push_back((Instant::now() + REDELIVERY_DELAY, envelope));
    }

    /// The next that has rested. Safe to cancel.
    async fn rested(&mut self) -> EnvelopeKey {
        let Some((due, envelope)) = self.resting.front().copied() else { return core::future::pending().await };
        sleep_until(due).await;
        self.resting.pop_front();
        envelope
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Made,
    NothingToDo,
}

/// Sends one batch.
async fn deliver(link: &Link, turns: &mut Turns) -> Result<Progress, LinkEnd> {
    let credit = *link.credit();
    let chosen = choose(link, turns, room(credit)).await?;
    let Some(first) = chosen.first() else { return Ok(Progress::NothingToDo) };
    let urgency = if first.precedes(Precedence::Priority) { Urgency::Urgent } else { Urgency::Routine };
    let envelopes: Vec<EnvelopeKey> = chosen.iter().map(|waiting| waiting.envelope).collect();
    let offer = OfferEnvelopes { recipient: link.peer, envelopes, stamp: clock::stamp() };
    let committed = link.hub.submit(Asked::by(link.peer, urgency, 0), Command::OfferEnvelopes(offer)).await?;
    let Reply::Offered(offered) = committed.reply else { return Err(lost(link).into()) };
    let bytes = link.credit().left().bytes.min(BODIES_AHEAD_MAX);
    let mail = link.hub.read(move |reader| load(reader, &offered, bytes)).await?;
    // What is lost keeps no place either: the recipient will not answer what never comes.
    for Waiting { envelope, .. } in
        chosen.iter().filter(|chosen| !mail.iter().any(|mail| mail.envelope == chosen.envelope))
    {
        turns.forget(envelope);
    }
    for Mail { body, deliver, .. } in mail {
        if let Some(chunk) = body {
            let bytes = chunk.bytes.len() as u64;
            // What was asked for may have used it up meanwhile.
            if link.credit().spend(Credit { envelopes: 0, bytes }) == Spend::Spent {
                link.frames.send(chunk).await?;
            }
        }
        if link.credit().spend(Credit { envelopes: 1, bytes: 0 }) == Spend::Wait {
            // Only this task spends envelopes, and it asked for no more than there were.
            return Err(lost(link).into());
        }
        link.frames.send(deliver).await?;
    }
    Ok(Progress::Made)
}

/// What one batch may hold.
fn room(credit: SendCredit) -> Room {
    let batch = |envelopes: u32| OFFER_BATCH_MAX.min(usize::try_from(envelopes).unwrap_or(usize::MAX));
    Room { all: batch(credit.left().envelopes), common: batch(credit.left_for_common()) }
}

/// Chooses on a thread that may wait for the disk.
async fn choose(link: &Link, turns: &mut Turns, room: Room) -> Result<Vec<Waiting>, LinkEnd> {
    let (peer, mut moved) = (link.peer, core::mem::take(turns));
    let choosing = move |reader: &Reader| {
        let chosen = moved.choose(&reader.view(), peer, room)?;
        Ok::<_, Unreadable>((chosen, moved))
    };
    let (chosen, moved) = link.hub.read(choosing).await?;
    *turns = moved;
    Ok(chosen)
}

fn lost(link: &Link) -> Stopping {
    link.hub.fail(&"an offer was answered by something else")
}

/// An envelope on its way to its recipient.
#[derive(Debug)]
pub struct Mail {
    /// Which.
    pub envelope: EnvelopeKey,
    /// Its body, if it goes ahead.
    pub body: Option<BodyChunk>,
    /// The envelope with its acceptance.
    pub deliver: Deliver,
}

/// Envelopes with their acceptance, and small bodies of up to `bytes` in all. One that ended since it was offered is left out,
/// its record is gone; so is one whose record is lost.
///
/// # Errors
/// [`ReadError`].
pub fn load<D: Disk, I: Index>(
    reader: &Reader<D, I>,
    offered: &[Offered],
    mut bytes: u64,
) -> Result<Vec<Mail>, ReadError> {
    let mut mail = Vec::with_capacity(offered.len());
    for Offered { envelope: key, is_new } in offered {
        let row = query::envelope(&reader.view(), key)?;
        let Some((header, place)) = row.and_then(|row| Some((row.header, row.acceptance?))) else { continue };
        let name = RecordName { kind: RecordKind::Envelope, id: header };
        // What is lost alone keeps this one back, until its last date: without its acceptance no recipient takes it.
        let envelope = unless_lost(reader.record(&name))?.and_then(|bytes| SealedEnvelope::decode(&bytes).ok());
        let acceptance = unless_lost(reader.evidence(LogName::Traffic, place.index))?;
        let Some((envelope, acceptance)) = envelope.zip(acceptance) else { continue };
        let body = if *is_new { reader.body_ahead(&envelope, bytes)? } else { None };
        bytes = bytes.saturating_sub(body.as_ref().map_or(0, |chunk| chunk.bytes.len() as u64));
        mail.push(Mail { envelope: *key, body, deliver: Deliver { envelope, acceptance } });
    }
    Ok(mail)
}
