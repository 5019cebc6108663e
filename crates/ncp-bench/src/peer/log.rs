//! A recipient's log in memory: evidence as leaves, and proofs of them.

use std::collections::BTreeMap;

use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, Outcome};
use ncp_protocol::ids::{Digest, Epoch, LogName, LogOrigin, ParticipantId};
use ncp_protocol::merkle::{Frontier, Nodes, inclusion_proof, leaf_hash};
use ncp_protocol::proof::LogProof;

use super::Material;
use crate::folder::{now, random};
use crate::trouble::Trouble;

/// The log of one participant.
pub(crate) struct Log {
    origin: LogOrigin,
    frontier: Frontier,
    nodes: Tree,
}

/// Hashes of complete subtrees, by level and index.
#[derive(Default)]
struct Tree(BTreeMap<(u8, u64), Digest>);

impl Nodes for Tree {
    type Error = ();

    fn node(&self, level: u8, index: u64) -> Result<Digest, ()> {
        self.0.get(&(level, index)).copied().ok_or(())
    }
}

impl Log {
    /// An empty one.
    pub(crate) fn new(material: &Material) -> Self {
        let (network, participant) = (material.network, material.participant);
        let origin = LogOrigin { network, participant, log: LogName::Node, epoch: Epoch(1) };
        Self { origin, frontier: Frontier::new(), nodes: Tree::default() }
    }

    /// Number of leaves; also of the last receipt that the relay may have.
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Adds R2 about each envelope, signs one checkpoint over all of them, and proves each.
    pub(super) fn consign(
        &mut self,
        material: &Material,
        envelopes: &[(EnvelopeKey, Digest)],
    ) -> Result<Vec<LogProof>, Trouble> {
        let first = self.frontier.size();
        let mut leaves = Vec::with_capacity(envelopes.len());
        for (envelope, header) in envelopes {
            let claim = Claim {
                origin: self.origin,
                key: material.log.verifying_key().id(),
                kind: EvidenceKind::ContentConsignment,
                envelope: *envelope,
                header: *header,
                outcome: Outcome::Done,
            };
            let (actor, change) = (Actor::Peer(ParticipantId::HUB), Change::Evidence(claim));
            let leaf = Event { log: LogName::Node, time: now(), actor, salt: random()?, change }.encode();
            let nodes = &mut self.nodes.0;
            self.frontier.push(leaf_hash(&leaf), |level, index, hash| {
                nodes.insert((level, index), hash);
            });
            leaves.push(leaf);
        }
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let signed = Checkpoint { origin: self.origin.to_string(), size, root }.sign(&material.log);
        let prove = |(event, index): (Vec<u8>, u64)| {
            let hashes = inclusion_proof(&self.nodes, index, size);
            let hashes = hashes.map_err(|_| Trouble::network("the log of a peer cannot prove its own leaf"))?;
            Ok(LogProof { event, index, hashes, checkpoint_note: signed.note().to_owned() })
        };
        leaves.into_iter().zip(first..).map(prove).collect()
    }
}
