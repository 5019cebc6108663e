//! An auditor of a whole network: reads the journals of all its stopped daemons as `docs/protocol/journal.md` lays them out,
//! and the history that clients recorded at the API, and says whether the two agree.
//!
//! It shares no code with the daemons but the published formats of `ncp-protocol`: checksums, groups, leaves, roots and
//! numbers are computed here. It asserts:
//!
//! - I1, no loss: what was accepted ended at each recipient with a consignment or one signed negative, and whoever is owed
//!   the receipt noted it; what a client was told is done stands in the journal;
//! - I2, no invention: what arrived was drafted, sealed and accepted as the same bytes, and reads as it was written;
//! - I3, exactly once: one acceptance of an envelope, one consignment and one handover of a message;
//! - I4, evidence is durable: every receipt and checkpoint that anyone was shown is still what the journal says, and the
//!   text of every receipt that a daemon noted is still in its spool;
//! - I5, the journal is the log: every checkpoint that was signed is the root of that many leaves;
//! - I6, numbers: each pair sequence is filled without gap or repetition.
//!
//! The network has to be at rest: queues drained, daemons stopped as a service manager stops them. Known gaps: the second
//! epoch of a log is reported and not judged; of the spool only the evidence of others is read.
#![expect(clippy::wildcard_enum_match_arm, reason = "an invariant names the few changes that it is about")]

mod content;
mod counts;
mod custody;
mod daemon;
mod finding;
mod history;
pub mod journal;
mod numbers;
mod receipts;
mod spool;
mod witness;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ncp_protocol::directory::SignedEntry;
use ncp_protocol::ids::{KeyId, LogName, LogOrigin, ParticipantId};
use ncp_protocol::keys::VerifyingKey;

pub use counts::{Counts, Verdict};
use daemon::Daemon;
pub use finding::{Finding, Name};
pub use history::{Ask, Command, History, Listing, Outcome, Read, Shown};

/// Judges a network: the data folders of all its daemons, each with its participant, against what clients saw.
#[must_use]
pub fn check(folders: &BTreeMap<ParticipantId, PathBuf>, history: &History) -> Verdict {
    let mut findings = Vec::new();
    let mut counts = Counts::default();
    let keys = log_keys(history, &mut findings);
    let mut daemons = BTreeMap::new();
    for (participant, folder) in folders {
        let daemon = Daemon::read(*participant, folder, &keys, &mut counts, &mut findings);
        daemons.insert(*participant, daemon);
    }
    let network = Network { daemons, keys };
    for (participant, folder) in folders {
        witness::check(*participant, folder, &network, &mut counts, &mut findings);
        if let Some(daemon) = network.daemons.get(participant) {
            spool::check(daemon, folder, &mut findings);
        }
    }
    witness::entries_are_admitted(history, &network, &mut findings);
    receipts::check(history, &network, &mut counts, &mut findings);
    custody::check(history, &network, &mut counts, &mut findings);
    content::check(history, &network, &mut findings);
    numbers::check(&network, &mut findings);
    Verdict { counts, findings }
}

/// Everything that was read.
struct Network {
    daemons: BTreeMap<ParticipantId, Daemon>,
    keys: Keys,
}

/// Keys of logs, by the key's id, as their keepers' directory entries name them.
type Keys = BTreeMap<KeyId, (ParticipantId, LogName, VerifyingKey)>;

impl Network {
    fn hub(&self) -> Option<&Daemon> {
        self.daemons.get(&ParticipantId::HUB)
    }

    /// All daemons but the hub.
    fn nodes(&self) -> impl Iterator<Item = &Daemon> {
        self.daemons.values().filter(|daemon| daemon.participant != ParticipantId::HUB)
    }

    fn log(&self, origin: &LogOrigin) -> Option<&daemon::Log> {
        let log = self.daemons.get(&origin.participant)?.logs.get(&origin.log)?;
        (log.origin == *origin).then_some(log)
    }

    /// The log with this origin line.
    fn named(&self, line: &str) -> Option<&daemon::Log> {
        let mut logs = self.daemons.values().flat_map(|daemon| daemon.logs.values());
        logs.find(|log| log.origin.to_string() == line)
    }

    fn key(&self, log: &daemon::Log) -> Option<&VerifyingKey> {
        self.keys.get(&log.key).map(|(.., key)| key)
    }
}

fn log_keys(history: &History, findings: &mut Vec<Finding>) -> Keys {
    let mut keys = Keys::new();
    for bytes in &history.entries {
        let Ok(signed) = SignedEntry::decode(bytes) else {
            findings.push(Finding::new(Name::EntryUnreadable, format!("an entry of {} bytes", bytes.len())));
            continue;
        };
        let entry = signed.unverified();
        for log in [LogName::Node, LogName::Traffic, LogName::Public] {
            if let Some(newest) = entry.newest_log_key(log) {
                keys.insert(newest.key.id(), (entry.participant, log, newest.key));
            }
        }
    }
    keys
}
