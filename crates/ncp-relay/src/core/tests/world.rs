//! A hub in memory: rows, journal and spool, moved by decisions alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, Outcome};
use ncp_protocol::header::{Header, SUITE};
use ncp_protocol::ids::{
    Digest, Epoch, KeyId, LogName, LogOrigin, MessageId, NetworkId, ParticipantId, SealNumber, UnixMillis,
};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::{DAY_MS, PROTOCOL_VERSION};
use ncp_store::spool::{BodyName, RecordKind, RecordName};
use ncp_store::state::{Core as _, Erase, Placed, Rows, Unreadable, View};

use crate::core::command::{
    AcceptSubmission, AdmitEntry, AdmitMembership, BodySource, Command, Effect, OfferEnvelopes, Recall, Reply, Stamp,
    StoreEvidence,
};
use crate::core::tables::{ENVELOPES, EnvelopeRow, envelope_key};
use crate::core::{Quotas, Relay};

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const NETWORK: NetworkId = NetworkId(Digest([9; 32]));

#[derive(Default, Clone, PartialEq, Eq)]
pub(super) struct Table(pub(super) BTreeMap<Vec<u8>, Vec<u8>>);

impl View for Table {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut ncp_store::state::Visit<'_>) -> Result<(), Unreadable> {
        for (key, value) in self.0.range(from.to_vec()..to.to_vec()) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// What a command brought about.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) changes: Vec<Change>,
    pub(super) reply: Reply,
    pub(super) effects: Vec<Effect>,
}

pub(super) struct World {
    pub(super) relay: Relay,
    pub(super) rows: Table,
    pub(super) journal: Vec<Event>,
    pub(super) records: BTreeSet<RecordName>,
    pub(super) bodies: BTreeSet<BodyName>,
    pub(super) now: UnixMillis,
    commands: u64,
}

pub(super) fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

pub(super) fn entry_of(participant: ParticipantId) -> Vec<u8> {
    format!("entry of {participant}").into_bytes()
}

pub(super) fn relay() -> Relay {
    let traffic =
        LogOrigin { network: NETWORK, participant: ParticipantId::HUB, log: LogName::Traffic, epoch: Epoch(1) };
    let quotas = Quotas {
        originator_envelopes: 100,
        originator_bytes: 1 << 20,
        mailbox_envelopes: 100,
        mailbox_bytes: 1 << 20,
        waiting_envelopes: 1000,
    };
    Relay { network: NETWORK, traffic, traffic_key: KeyId(Digest([1; 32])), quotas }
}

pub(super) fn empty() -> World {
    World {
        relay: relay(),
        rows: Table::default(),
        journal: Vec::new(),
        records: BTreeSet::new(),
        bodies: BTreeSet::new(),
        now: NOW,
        commands: 0,
    }
}

/// A hub with the members XA, XB and XC.
pub(super) fn world() -> World {
    let mut world = empty();
    let members = ["XA", "XB", "XC"];
    world.admit_membership(1, &members.map(|name| (name, None)));
    for name in members {
        assert_eq!(world.admit_entry(name, 0, None).reply, Reply::Recorded);
    }
    world
}

/// Message `n`; its body is as long as one chunk of `body_length` bytes.
pub(super) fn header(from: &str, n: u8, to: &str) -> Header {
    Header {
        version: PROTOCOL_VERSION,
        suite: SUITE,
        network: NETWORK,
        message: MessageId([n; 16]),
        seal: SealNumber(1),
        originator: id(from),
        originator_key: KeyId(Digest([2; 32])),
        recipient: id(to),
        recipient_key: KeyId(Digest([3; 32])),
        precedence: Precedence::Routine,
        created: NOW,
        not_after: NOW.plus_millis(DAY_MS),
        body_length: 4112,
        ciphertext_root: sha256(&[from.as_bytes(), &[n]].concat()),
        content_commitment: sha256(&[b"commitment", from.as_bytes(), &[n]].concat()),
        wrap_digest: Digest([4; 32]),
    }
}

pub(super) fn key(header: &Header) -> EnvelopeKey {
    let Header { originator, message, recipient, seal, .. } = *header;
    EnvelopeKey { originator, message, recipient, seal }
}

impl World {
    pub(super) fn stamp(&mut self) -> Stamp {
        self.commands += 1;
        Stamp { now: self.now, seed: sha256(&self.commands.to_le_bytes()).0 }
    }

    pub(super) fn run(&mut self, command: Command) -> Done {
        let decision = self.relay.decide(&self.rows, command).unwrap();
        for record in &decision.records {
            // Bodies and evidence are named by what they hold: the same again is there already.
            let by_content = matches!(record.name.kind, RecordKind::Body | RecordKind::Evidence);
            assert!(self.records.insert(record.name) || by_content, "a record twice");
        }
        for event in &decision.events {
            assert_eq!(Event::decode(&event.encode()).as_ref(), Ok(event));
            self.fold(event.clone());
        }
        for erase in &decision.erase {
            let gone = match erase {
                Erase::Record(name) => self.records.remove(name),
                Erase::Body(name) => self.bodies.remove(name),
            };
            assert!(gone, "{erase:?} was not there");
        }
        let changes = decision.events.into_iter().map(|event| event.change).collect();
        Done { changes, reply: decision.reply, effects: decision.effects }
    }

    pub(super) fn fold(&mut self, event: Event) {
        self.journal.push(event);
        apply(&self.relay, &mut self.rows, &self.journal);
    }

    pub(super) fn submission(&mut self, header: &Header, body: BodySource) -> AcceptSubmission {
        let envelope = header.encode();
        AcceptSubmission {
            peer: header.originator,
            header: header.clone(),
            header_digest: sha256(&envelope),
            envelope: Arc::from(envelope),
            originator_entry: sha256(&entry_of(header.originator)),
            recipient_entry: sha256(&entry_of(header.recipient)),
            body,
            stamp: self.stamp(),
        }
    }

    /// Submits with the body beside it, as long as the header says.
    pub(super) fn submit(&mut self, header: &Header) -> Done {
        let length = usize::try_from(header.body_length).unwrap();
        self.submit_with(header, BodySource::Inline(Arc::from(vec![7; length])))
    }

    pub(super) fn submit_with(&mut self, header: &Header, body: BodySource) -> Done {
        let submission = self.submission(header, body);
        self.run(Command::AcceptSubmission(Box::new(submission)))
    }

    pub(super) fn offer(&mut self, recipient: &str, envelopes: &[EnvelopeKey]) -> Done {
        let stamp = self.stamp();
        self.run(Command::OfferEnvelopes(OfferEnvelopes {
            recipient: id(recipient),
            envelopes: envelopes.to_vec(),
            stamp,
        }))
    }

    pub(super) fn recall(&mut self, header: &Header) -> Done {
        let stamp = self.stamp();
        let Header { originator, message, recipient, .. } = *header;
        self.run(Command::Recall(Recall { originator, message, recipient, stamp }))
    }

    pub(super) fn expire(&mut self) -> Done {
        let stamp = self.stamp();
        self.run(Command::ExpireDue(stamp))
    }

    /// The recipient states `kind` about the envelope at leaf `index` of its log.
    pub(super) fn evidence(&mut self, header: &Header, kind: EvidenceKind, outcome: Outcome, index: u64) -> Done {
        self.evidence_behind(header, kind, outcome, (index, None))
    }

    /// The same, where the piece right before it stands at another leaf.
    pub(super) fn evidence_behind(
        &mut self,
        header: &Header,
        kind: EvidenceKind,
        outcome: Outcome,
        (index, before): (u64, Option<u64>),
    ) -> Done {
        let origin = LogOrigin { network: NETWORK, participant: header.recipient, log: LogName::Node, epoch: Epoch(1) };
        let claim = Claim {
            origin,
            key: KeyId(Digest([5; 32])),
            kind,
            envelope: key(header),
            header: sha256(&header.encode()),
            outcome,
        };
        let proof = format!("{claim:?} {index}").into_bytes();
        let stamp = self.stamp();
        let stated = self.now;
        self.run(Command::StoreEvidence(StoreEvidence {
            peer: header.recipient,
            claim,
            index,
            behind: before.map(|leaf| (Epoch(1), leaf)),
            stated,
            proof,
            stamp,
        }))
    }

    pub(super) fn consign(&mut self, header: &Header, index: u64) -> Done {
        self.evidence(header, EvidenceKind::ContentConsignment, Outcome::Done, index)
    }

    pub(super) fn admit_membership(&mut self, version: u32, members: &[(&str, Option<&str>)]) -> Done {
        let members =
            members.iter().map(|(name, reason)| (id(name), reason.map(|code| code.parse().unwrap()))).collect();
        let bytes = format!("membership {version}").into_bytes();
        let stamp = self.stamp();
        self.run(Command::AdmitMembership(AdmitMembership {
            version,
            membership: sha256(&bytes),
            bytes,
            members,
            actor: Actor::Operator(0),
            stamp,
        }))
    }

    pub(super) fn admit_entry(&mut self, name: &str, version: u32, follows: Option<Digest>) -> Done {
        let mut bytes = entry_of(id(name));
        if version > 0 {
            bytes.extend_from_slice(&version.to_le_bytes());
        }
        let stamp = self.stamp();
        self.run(Command::AdmitEntry(AdmitEntry {
            participant: id(name),
            version,
            bytes,
            follows,
            membership: sha256(b"membership 1"),
            actor: Actor::Operator(0),
            stamp,
        }))
    }

    pub(super) fn row(&self, header: &Header) -> Option<EnvelopeRow> {
        ENVELOPES.row(&self.rows, &envelope_key(&key(header))).unwrap()
    }

    /// Rows folded afresh from the journal.
    pub(super) fn replayed(&self) -> Table {
        let mut rows = Table::default();
        for end in 1..=self.journal.len() {
            apply(&self.relay, &mut rows, &self.journal[..end]);
        }
        rows
    }
}

/// Folds the newest event of `journal`.
fn apply(relay: &Relay, rows: &mut Table, journal: &[Event]) {
    let (event, before) = journal.split_last().unwrap();
    let index = before.iter().filter(|earlier| earlier.log == event.log).count() as u64;
    let placed = Placed { sequence: before.len() as u64, index, event };
    let mut written = Rows::default();
    relay.apply(rows, placed, &mut written).unwrap();
    for (key, value) in written.iter() {
        match value {
            Some(value) => rows.0.insert(key.to_vec(), value.to_vec()),
            None => rows.0.remove(key),
        };
    }
}

/// The claim that the hub makes about an envelope.
pub(super) fn hub_claim(world: &World, kind: EvidenceKind, header: &Header, outcome: Outcome) -> Change {
    Change::Evidence(Claim {
        origin: world.relay.traffic,
        key: world.relay.traffic_key,
        kind,
        envelope: key(header),
        header: sha256(&header.encode()),
        outcome,
    })
}

pub(super) fn accepted(header: &Header) -> Change {
    Change::EnvelopeAccepted(ncp_protocol::event::Accepted {
        envelope: key(header),
        header: sha256(&header.encode()),
        precedence: header.precedence,
        not_after: header.not_after,
        root: header.ciphertext_root,
        body_length: header.body_length,
        commitment: header.content_commitment,
    })
}

pub(super) fn body_dropped(header: &Header) -> Change {
    Change::BodyDropped { originator: header.originator, message: header.message }
}
