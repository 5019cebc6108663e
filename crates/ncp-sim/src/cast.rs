//! Who takes part: keys, entries and the membership statement of a network, all from one seed.

use std::sync::Arc;

use ncp_node::core::command::Identity;
use ncp_node::keys::EnvelopeKeys;
use ncp_policy::{Recipients, Rule, Rules};
use ncp_protocol::codes::{Handling, Kind};
use ncp_protocol::directory::{
    Entry, EntryKeys, Fingerprint, LogKey as EntryLogKey, Member, Membership, MembershipClass, SealingEntryKey,
    SignedEntry, SignedMembership, ValidKey,
};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Digest, Epoch, KeyId, LogName, LogOrigin, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::{SigningKey, sha256};
use ncp_protocol::limits::{DAY_MS, OPEN_AFTER_SEAL_MS};
use ncp_protocol::wrap::SealingKey;

/// When every run begins, by the true clock.
pub const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// How far the hub's clock is ahead of the true one.
pub const HUB_AHEAD_MS: u64 = 60_000;

/// Everyone in a run.
pub struct Cast {
    /// The network.
    pub network: NetworkId,
    /// The hub.
    pub hub: Party,
    /// The nodes.
    pub nodes: Vec<Party>,
    /// Who takes part, as the authority signed it.
    pub membership: SignedMembership,
    /// Release rules of every node.
    pub rules: Rules,
}

/// One participant's keys and entry.
pub struct Party {
    /// Who.
    pub participant: ParticipantId,
    /// Sign and open envelopes.
    pub keys: Arc<EnvelopeKeys>,
    /// Its logs with their keys.
    pub logs: Vec<(LogOrigin, SigningKey)>,
    /// Its entry.
    pub entry: SignedEntry,
    /// Seals content at rest.
    pub storage: [u8; 32],
}

impl Cast {
    /// The hub and `nodes` nodes, at most 8.
    ///
    /// # Panics
    /// If what it makes breaks a rule of the protocol: a bug of the simulator.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        let network = NetworkId(sha256(b"a simulated network"));
        let names = ["XA", "XB", "XC", "XD", "XE", "XF", "XG", "XH"];
        let nodes: Vec<Party> =
            names.iter().take(nodes).map(|name| Party::new(network, name, &[LogName::Node])).collect();
        let hub = Party::new(network, "HUB", &[LogName::Traffic, LogName::Public]);
        let mut members: Vec<Member> = nodes
            .iter()
            .chain([&hub])
            .map(|party| Member {
                participant: party.participant,
                class: if party.participant == ParticipantId::HUB {
                    MembershipClass::Secretariat
                } else {
                    MembershipClass::ParticipatingState
                },
                fingerprint: Fingerprint(party.entry.digest()),
                suspended: None,
            })
            .collect();
        members.sort_by_key(|member| member.participant);
        let issued = before(DAY_MS);
        let expires = issued.plus_millis(60 * DAY_MS);
        let statement = Membership { network, version: 1, issued, expires, members };
        let authority = SigningKey::from_seed(&sha256(b"authority").0);
        let Ok(membership) = SignedMembership::sign(statement, &network, &[&authority]) else {
            panic!("the membership breaks a rule");
        };
        Self { network, hub, nodes, membership, rules: rules() }
    }
}

impl Party {
    fn new(network: NetworkId, name: &str, logs: &[LogName]) -> Self {
        let Ok(participant) = name.parse::<ParticipantId>() else { panic!("not a participant: {name}") };
        let seed = |purpose: &str| sha256(format!("{name} {purpose}").as_bytes()).0;
        let key = |purpose: &str| SigningKey::from_seed(&seed(purpose));
        let is_hub = participant == ParticipantId::HUB;
        let created = before(2 * DAY_MS);
        let signing = key("signing");
        let sealing = SealingKey::from_seed(&seed("sealing"));
        let seal_until = created.plus_millis(80 * DAY_MS);
        let logs: Vec<(LogOrigin, SigningKey)> = logs
            .iter()
            .map(|log| (LogOrigin { network, participant, log: *log, epoch: Epoch(1) }, key(log.as_str())))
            .collect();
        let valid = ValidKey { key: signing.verifying_key(), from: created, until: created.plus_millis(300 * DAY_MS) };
        let sealed_to = SealingEntryKey {
            public: sealing.public(),
            seal_until,
            open_until: seal_until.plus_millis(OPEN_AFTER_SEAL_MS),
        };
        let named = logs.iter().map(|(origin, key)| EntryLogKey {
            log: origin.log,
            epoch: origin.epoch,
            key: key.verifying_key(),
        });
        let keys = EntryKeys {
            identity: key("identity").verifying_key(),
            recovery: key("recovery").verifying_key(),
            signing: (!is_hub).then_some(valid),
            sealing: if is_hub { Vec::new() } else { vec![sealed_to] },
            logs: named.collect(),
            witness: key("witness").verifying_key(),
            timestamp: is_hub.then(|| key("timestamp").verifying_key()),
            tls: vec![KeyId(Digest(seed("tls")))],
        };
        let entry = Entry { network, participant, version: 0, previous: None, created, keys, suite_floor: SUITE };
        let Ok(entry) = SignedEntry::sign(entry, &key("identity")) else { panic!("the entry of {name} breaks a rule") };
        let keys = Arc::new(EnvelopeKeys::new(vec![signing], vec![sealing]));
        Self { participant, keys, logs, entry, storage: seed("storage") }
    }

    /// What a node's core knows about itself.
    ///
    /// # Panics
    /// If the party keeps no log.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let Some((origin, key)) = self.logs.first() else { panic!("a party without log") };
        Identity { origin: *origin, log_key: key.verifying_key().id() }
    }
}

fn before(millis: u64) -> UnixMillis {
    UnixMillis(START.0 - millis)
}

/// Notices and tests leave at once, requests after one approval, responses after one.
fn rules() -> Rules {
    let rule = |name: &str, kind, approvals| {
        let Ok(name) = name.parse() else { panic!("not a name: {name}") };
        Rule { name, to: Recipients::All, kinds: vec![kind], handling: vec![Handling::H0], approvals }
    };
    let rules = Rules::new(vec![
        rule("notices", Kind::Notice, 0),
        rule("requests", Kind::Request, 1),
        rule("responses", Kind::Response, 0),
        rule("tests", Kind::Test, 0),
    ]);
    let Ok(rules) = rules else { panic!("the release rules break a rule") };
    rules
}
