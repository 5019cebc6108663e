//! Bodies on their way out on one link: chunk by chunk, the highest precedence first, and none that a hold stops.

use std::collections::BTreeSet;

use ncp_api::Fault;
use ncp_protocol::body::{chunk_count, sealed_range};
use ncp_protocol::codes::Kind;
use ncp_protocol::frame::{BodyChunk, BodyWanted, Frame};
use ncp_protocol::ids::{MessageId, ParticipantId};
use ncp_store::bodies::BodyReader;
use ncp_store::disk::RealDisk;
use ncp_store::reader::ReadError;
use ncp_store::spool::BodyName;
use ncp_transport::credit::{Credit as Amount, Spend};

use super::Outbox;
use super::rows::{is_held, open_body};
use crate::bodies_out::Sent;
use crate::node::Node;

/// Out of this many chunks one goes to the next body in turn even while one of a higher precedence flows.
const ANY_RANK_EVERY: u64 = 4;

/// A body on its way out.
pub(super) struct Flow {
    pub(super) name: BodyName,
    pub(super) rank: u8,
    next: u64,
    body: BodyReader<RealDisk>,
}

impl Outbox {
    /// Opens the bodies that the hub asked for.
    pub(super) async fn begin_flows(&mut self) -> Result<(), Fault> {
        while let Some(wanted) = self.wanted.pop_front() {
            let BodyWanted { originator, message, root, from_chunk } = wanted;
            let name = BodyName { originator, message, root };
            let place = self.in_flight.iter().find(|(key, _)| key.originator == originator && key.message == message);
            let Some(rank) = place.map(|(_, flight)| flight.place.0) else {
                tracing::warn!(msg = %message, "the hub asks for a body that no envelope on its way needs");
                continue;
            };
            let body = self.blocking(move |node| open_body(node, name)).await?;
            let Some(body) = body.filter(|body| from_chunk < chunk_count(body.len())) else {
                tracing::warn!(msg = %message, from_chunk, "the hub asks for a body or a chunk that there is not");
                continue;
            };
            self.flows.retain(|flow| flow.name != name);
            self.flows.push_back(Flow { name, rank, next: from_chunk, body });
        }
        Ok(())
    }

    /// The next chunk of a body that no hold stops.
    pub(super) async fn chunk(&mut self) -> Result<Option<Frame>, Fault> {
        let mut stopped = BTreeSet::new();
        while let Some(place) = self.next_flow(&stopped) {
            let Some(flow) = self.flows.get(place) else { return Ok(None) };
            let (body, index, name) = (flow.body.clone(), flow.next, flow.name);
            let total = body.len();
            let (length, reached) =
                sealed_range(index, total).map_or((0, total), |range| (range.end - range.start, range.end));
            if self.credit.left().bytes < length {
                return Ok(None);
            }
            let recipients = self.recipients(name.message);
            let read = move |node: &Node| -> Result<Chunk, ReadError> {
                let Some(bytes) = body.chunk(index)? else { return Ok(Chunk::End) };
                // Behind the read, so that the look is the last thing before the chunk is written.
                if is_held(node.reader(), &recipients)? { Ok(Chunk::Held) } else { Ok(Chunk::Next(bytes)) }
            };
            match self.blocking(read).await? {
                Chunk::End => drop(self.flows.remove(place)),
                Chunk::Held => drop(stopped.insert(name)),
                Chunk::Next(bytes) => {
                    let spend = self.credit.spend(Amount { envelopes: 0, bytes: length });
                    debug_assert_eq!(spend, Spend::Spent, "there is credit for the chunk");
                    let BodyName { originator, message, .. } = name;
                    self.desk.node.bodies_out.note(message, Sent { bytes: reached, total });
                    self.advance(place);
                    return Ok(Some(BodyChunk { originator, message, index, bytes }.into()));
                }
            }
        }
        Ok(None)
    }

    /// The flow whose turn it is: the highest precedence, but now and then the one that waits longest.
    fn next_flow(&self, stopped: &BTreeSet<BodyName>) -> Option<usize> {
        let free = self.flows.iter().enumerate().filter(|(_, flow)| !stopped.contains(&flow.name));
        let mut free = free.map(|(place, flow)| (flow.rank, place));
        if self.chunks.is_multiple_of(ANY_RANK_EVERY) { free.next() } else { free.min() }.map(|(_, place)| place)
    }

    /// One chunk of a flow goes out; the flow goes to the end of the line.
    fn advance(&mut self, place: usize) {
        self.chunks = self.chunks.wrapping_add(1);
        if let Some(mut flow) = self.flows.remove(place) {
            flow.next += 1;
            if flow.next < chunk_count(flow.body.len()) {
                self.flows.push_back(flow);
            }
        }
    }

    /// For whom a body is on its way.
    fn recipients(&self, message: MessageId) -> Vec<(ParticipantId, Kind)> {
        let flights = self.in_flight.iter().filter(|(key, _)| key.message == message);
        flights.map(|(key, flight)| (key.recipient, flight.kind)).collect()
    }
}

/// What a look at a chunk brought.
enum Chunk {
    Next(Vec<u8>),
    Held,
    End,
}
