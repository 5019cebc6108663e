//! The link to the hub: hello on both sides, what is known of it while it stands, and its end.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ncp_node::core::tables::RECEIPT_LAST;
use ncp_node::submission::{self, Unended};
use ncp_protocol::frame::{Credit, Hello};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{LogName, MessageId, ParticipantId, UnixMillis};
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_store::clock::Reading;

use super::{Link, Node, queue};
use crate::cast::{HUB_AHEAD_MS, START};
use crate::chance::Chance;
use crate::hub::{Moment, keyed};
use crate::shell::{HUB, Halt, Out, check_own_logs, keep_newest};

impl Node {
    /// Dials the hub: says hello on a fresh connection.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn dial(&mut self, moment: Moment, out: &mut Out) -> Result<(), Halt> {
        let reader = self.reader()?;
        let statements = self.statements(moment);
        let Some(running) = self.machine.running() else { return Ok(()) };
        let checkpoints = running.held.all();
        let own = reader.checkpoint(LogName::Node);
        if let Some(own) = &own {
            out.sign(LogName::Node, own);
        }
        let mind = self.mind()?;
        mind.statements = Arc::new(statements);
        let hello = Hello {
            versions: vec![PROTOCOL_VERSION],
            suites: vec![SUITE],
            network: self.cast.network,
            participant: self.party()?.participant,
            receipts: self.mind()?.stored,
            checkpoints,
            own: own.map(|signed| signed.note().to_owned()).into_iter().collect(),
            public_size: 0,
            credit: Credit { envelopes: 256, bytes: 4 << 20 },
        };
        out.frames.push((HUB, hello.into()));
        self.mind()?.link = Some(Link {
            begun_ms: moment.true_ms,
            greeted: false,
            candidates: BTreeSet::new(),
            held: BTreeSet::new(),
            deferred: BTreeSet::new(),
            refusals: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            recalls_again: BTreeSet::new(),
            inflows: BTreeMap::new(),
            ahead: None,
            seen: BTreeSet::new(),
            next: 1,
            acknowledged: 0,
            begun_at: 0,
        });
        Ok(())
    }

    /// Whether a link stands or is being made.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.mind.as_ref().is_some_and(|mind| mind.link.is_some())
    }

    /// The link has ended; bodies on their way in are synced as far as they came.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn unlink(&mut self) -> Result<(), Halt> {
        let link = self.mind.as_mut().and_then(|mind| mind.link.take());
        for (_, inflow) in link.map(|link| link.inflows).unwrap_or_default() {
            inflow.pause()?;
        }
        Ok(())
    }

    pub(super) fn greeted(
        &mut self,
        hello: &Hello,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let (reader, party) = (self.reader()?, self.party()?);
        hello
            .check(&self.cast.network, ParticipantId::HUB)
            .map_err(|code| Halt::wrong(format_args!("a hello: {code}")))?;
        check_own_logs(&reader, &keyed(&party.logs), &hello.checkpoints)?;
        let sent = RECEIPT_LAST.row(&reader.view(), &())?.unwrap_or(0);
        let epoch = party.identity().origin.epoch;
        let stored = if hello.receipts.epoch == epoch { hello.receipts.number } else { 0 };
        if stored > sent {
            return Err(Halt::wrong(format_args!("I4: the hub stored {stored} receipts of a node that stated {sent}")));
        }
        self.keep(&hello.own)?;
        let mind = self.mind()?;
        let steady = Duration::from_millis(moment.true_ms - mind.begun_ms);
        // What the hub's newest timestamp would say.
        let said = UnixMillis(START.0 + moment.true_ms + HUB_AHEAD_MS);
        mind.belief.heard(ParticipantId::HUB, said, Reading { wall: moment.wall, steady });
        let Unended { recalls, overdue } = submission::unended(&reader, moment.wall)?;
        let link = self.link()?;
        link.greeted = true;
        (link.begun_at, link.next, link.acknowledged) = (stored, stored + 1, stored);
        link.candidates = queue(&reader)?.into_iter().chain(overdue).collect();
        for (message, recipient) in recalls {
            self.recall(message, recipient, out)?;
        }
        self.state(out)?;
        self.seal(moment, chance, out)?;
        self.submit(moment, out)
    }

    pub(super) fn keep(&mut self, notes: &[String]) -> Result<(), Halt> {
        let logs = keyed(&self.cast.hub.logs);
        let Some(running) = self.machine.running() else { return Ok(()) };
        keep_newest(&running.held, &logs, notes)
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.mind.as_ref().and_then(|mind| mind.link.as_ref()).is_some_and(|link| link.greeted)
    }

    pub(super) fn link(&mut self) -> Result<&mut Link, Halt> {
        self.mind()?.link.as_mut().ok_or_else(|| Halt::wrong("no link"))
    }
}

impl Link {
    pub(super) fn is_on_its_way(&self, message: MessageId, recipient: ParticipantId) -> bool {
        self.in_flight.keys().any(|key| (key.message, key.recipient) == (message, recipient))
    }
}
