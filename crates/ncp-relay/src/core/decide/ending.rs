//! What goes when envelopes end: their records at once, a body with the last header over it.

use std::collections::BTreeMap;

use ncp_protocol::event::{Change, EnvelopeKey};
use ncp_protocol::ids::{Digest, MessageId, ParticipantId};
use ncp_store::spool::{BodyName, RecordKind, RecordName};
use ncp_store::state::{Erase, Unreadable, View};

use super::Scribe;
use crate::core::tables::{EnvelopeRow, MESSAGES, MessageRow, ROOTS};
use crate::limits::BODY_INLINE_MAX;

/// Counts what one decision ends: the view does not show its own events.
#[derive(Default)]
pub(super) struct Endings {
    ended: BTreeMap<(ParticipantId, MessageId), u32>,
}

impl Endings {
    /// The decision ends this envelope, which is open.
    pub(super) fn ended(&mut self, scribe: &mut Scribe, envelope: &EnvelopeKey, row: &EnvelopeRow) {
        *self.ended.entry((envelope.originator, envelope.message)).or_default() += 1;
        scribe.erase.push(Erase::Record(RecordName { kind: RecordKind::Envelope, id: row.header }));
    }

    /// Notes each body whose last header ended, and lets it go.
    pub(super) fn drop_bodies(self, scribe: &mut Scribe, view: &dyn View) -> Result<(), Unreadable> {
        let mut dropped: BTreeMap<Digest, u32> = BTreeMap::new();
        for ((originator, message), ended) in self.ended {
            let Some(row) = MESSAGES.row(view, &(originator, message))? else { continue };
            if row.waiting > ended {
                continue;
            }
            scribe.traffic(Change::BodyDropped { originator, message });
            let dropped = dropped.entry(row.root).or_default();
            *dropped += 1;
            let shared = ROOTS.row(view, &row.root.0)?.unwrap_or_default() > *dropped;
            scribe.erase.extend(body_erase(originator, message, &row, shared));
        }
        Ok(())
    }
}

/// A body of one chunk is a record that other messages may share by its root; a larger one is a file of its own.
fn body_erase(originator: ParticipantId, message: MessageId, row: &MessageRow, shared: bool) -> Option<Erase> {
    if row.body_length > BODY_INLINE_MAX {
        return Some(Erase::Body(BodyName { originator, message, root: row.root }));
    }
    (!shared).then_some(Erase::Record(RecordName { kind: RecordKind::Body, id: row.root }))
}
