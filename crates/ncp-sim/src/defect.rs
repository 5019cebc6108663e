//! Cores with a deliberate defect, to show that the simulation would find it. The products have no such switch: here
//! stands a core around the product's core.

use ncp_protocol::event::Change;
use ncp_relay::core::Relay;
use ncp_relay::core::tables::{ENVELOPES, EnvelopeRow, envelope_key};
use ncp_store::state::{Core, Decision, Placed, Rows, Unreadable, View};

/// What is broken in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Nothing: the products as they are.
    None,
    /// Receipts leave before the sync of what they rest on.
    ReceiptBeforeSync,
    /// The hub forgets an envelope as soon as it has ended, and would accept it again.
    DuplicateForgotten,
    /// Recovery takes the last whole group for a torn one.
    WrongCut,
}

/// The hub's core, perhaps without its memory of duplicates.
#[derive(Debug, Clone)]
pub struct HubCore {
    relay: Relay,
    defect: Defect,
}

impl HubCore {
    /// The product's core, with this defect.
    #[must_use]
    pub fn new(relay: Relay, defect: Defect) -> Self {
        Self { relay, defect }
    }
}

impl Core for HubCore {
    type Command = <Relay as Core>::Command;
    type Reply = <Relay as Core>::Reply;
    type Effect = <Relay as Core>::Effect;

    fn decide(
        &self,
        view: &dyn View,
        command: Self::Command,
    ) -> Result<Decision<Self::Reply, Self::Effect>, Unreadable> {
        self.relay.decide(view, command)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other event ends an envelope")]
    fn apply(&self, view: &dyn View, event: Placed<'_>, rows: &mut Rows) -> Result<(), Unreadable> {
        self.relay.apply(view, event, rows)?;
        let ended = match &event.event.change {
            Change::EvidenceReceived { claim, .. } | Change::Evidence(claim) => Some(claim.envelope),
            _ => None,
        };
        if self.defect == Defect::DuplicateForgotten
            && let Some(envelope) = ended
        {
            let key = envelope_key(&envelope);
            let row: Option<EnvelopeRow> = ENVELOPES.row_over(view, rows, &key)?;
            if row.is_some_and(|row| !row.is_open()) {
                ENVELOPES.remove(rows, &key);
            }
        }
        Ok(())
    }

    fn schema(&self) -> u32 {
        self.relay.schema()
    }
}
