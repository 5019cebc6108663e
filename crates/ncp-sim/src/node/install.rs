//! What joining leaves: officers, rules, and everyone's entries, pinned.

use ncp_node::core::command::{Ask, Begin, Command, EntryNews, NewOfficer};
use ncp_node::entries::entry_record;
use ncp_protocol::event::{Actor, Role};
use ncp_protocol::ids::OfficerNumber;
use ncp_protocol::keys::SigningKey;
use ncp_store::spool::Record;

use super::Node;
use crate::cast::Party;
use crate::chance::Chance;
use crate::hub::{Moment, stamp};
use crate::shell::Halt;

/// Who drafts.
pub const DRAFTER: OfficerNumber = OfficerNumber(1);
/// Who releases.
pub const RELEASER: OfficerNumber = OfficerNumber(2);
/// Who may hold and lift.
pub const SUPERVISOR: OfficerNumber = OfficerNumber(9);

impl Node {
    /// Officers, rules and everyone's entries, pinned: what joining leaves.
    pub(super) fn install(&mut self, moment: Moment, chance: &mut Chance) -> Result<(), Halt> {
        let officer = |number: OfficerNumber, roles: &[Role]| NewOfficer {
            number,
            key: SigningKey::from_seed(&[u8::try_from(number.0).unwrap_or(0); 32]).verifying_key(),
            uid: u32::from(number.0) + 1_000,
            roles: roles.to_vec(),
        };
        let officers = vec![
            officer(DRAFTER, &[Role::Drafter]),
            officer(RELEASER, &[Role::Drafter, Role::Releaser]),
            officer(SUPERVISOR, &[Role::Releaser, Role::Supervisor]),
        ];
        let mut asks = vec![Ask::Begin(Begin { officers, rules: self.cast.rules.clone() })];
        // Its own entry, too: as joining leaves it.
        let parties = || self.cast.nodes.iter().chain([&self.cast.hub]);
        let news = |party: &Party| EntryNews::Entry {
            participant: party.participant,
            version: 0,
            record: Record { name: entry_record(party.entry.digest()), bytes: party.entry.encode() },
        };
        asks.push(Ask::AcceptEntries(parties().map(news).collect()));
        asks.extend(
            parties().map(|party| Ask::PinEntry { participant: party.participant, fingerprint: party.entry.digest() }),
        );
        let command = |ask| Command { stamp: stamp(moment, chance), actor: Actor::Daemon, ask };
        let commands = asks.into_iter().map(command).collect();
        for outcome in self.machine.commit(commands, chance)? {
            outcome.committed.reply.map_err(|refusal| Halt::wrong(format_args!("installing: {refusal}")))?;
        }
        Ok(())
    }
}
