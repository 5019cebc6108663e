//! The directory as this node accepted it. The shell verified what it brings; here it must not go backwards.

use ncp_protocol::event::{Change, Role};
use ncp_protocol::ids::{Digest, ParticipantId};

use super::{Deciding, Stop};
use crate::core::command::{Done, Effect, EntryNews, Refusal};
use crate::core::tables::ENTRY;

impl Deciding<'_> {
    pub(super) fn accept_entries(&mut self, news: Vec<EntryNews>) -> Result<Done, Stop> {
        for one in news {
            match one {
                EntryNews::Entry { participant, version, record } => {
                    let known = ENTRY.row(self.view, &participant)?;
                    if known.is_none_or(|row| version > row.version) {
                        self.push(Change::EntryAccepted { participant, version, entry: record.name.id });
                        self.records.push(record);
                    }
                }
                EntryNews::Suspended { participant, reason } => {
                    if ENTRY.row(self.view, &participant)?.is_some_and(|row| !row.suspended) {
                        self.push(Change::ParticipantSuspended { participant, reason });
                    }
                }
                EntryNews::Reinstated { participant } => {
                    if ENTRY.row(self.view, &participant)?.is_some_and(|row| row.suspended) {
                        self.push(Change::ParticipantReinstated { participant });
                    }
                }
            }
        }
        if !self.events.is_empty() {
            self.effects.push(Effect::DirectoryChanged);
        }
        Ok(Done::Noted)
    }

    pub(super) fn pin_entry(&mut self, participant: ParticipantId, fingerprint: Digest) -> Result<Done, Stop> {
        self.acting_officer(Role::Supervisor)?;
        let row = ENTRY.row(self.view, &participant)?.ok_or(Refusal::UnknownParticipant(participant))?;
        match row.pinned {
            Some(pinned) if pinned == fingerprint => return Ok(Done::Noted),
            Some(_) => return Err(Refusal::FingerprintDiffers(participant).into()),
            None => {}
        }
        self.push(Change::EntryPinned { participant, fingerprint });
        self.effects.push(Effect::DirectoryChanged);
        Ok(Done::Noted)
    }
}
