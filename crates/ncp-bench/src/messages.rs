//! Part one: messages through real nodes and the real relay, from the originator's API to the evidence at the originator.
//!
//! A message is measured from the moment at which its request is sent to the moment at which the originator's event feed
//! tells of R2 for its last recipient: the node tells it when it has verified the receipt and made it durable. After the
//! measurement all receipts are fetched and verified once more, here, against the pinned directory entries.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ncp_api::Client;
use ncp_api::feed::FeedType;
use ncp_api::message::NewMessage;
use ncp_protocol::ids::{Reference, hex};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::daemon::{Daemon, Programs};
use crate::folder::random;
use crate::network::{Hub, Participant, names};
use crate::process::Usage;
use crate::receipts;
use crate::statistics::Spread;
use crate::trouble::Trouble;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Bytes of the text of each message.
    pub(crate) size: usize,
    /// Messages that are measured.
    pub(crate) count: usize,
    /// Messages before them that are not.
    pub(crate) warm_up: usize,
    /// Envelopes in flight at once, from the request to R2.
    pub(crate) window: usize,
    /// Recipients of each message.
    pub(crate) recipients: usize,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// From the first request to the last evidence.
    pub(crate) time: Duration,
    /// Until the originator's API had taken the message.
    pub(crate) taken: Spread,
    /// Until R1 for the last recipient.
    pub(crate) accepted: Spread,
    /// Until R2 for the last recipient.
    pub(crate) delivered: Spread,
    /// Receipts verified here.
    pub(crate) verified: u64,
    /// Each process with its CPU time during the measurement and its memory.
    pub(crate) processes: Vec<(String, Usage)>,
}

/// The running network.
struct Stage {
    hub: Hub,
    participants: Vec<Participant>,
    nodes: Vec<Daemon>,
}

impl Stage {
    async fn make(programs: &Programs, folder: &std::path::Path, recipients: usize) -> Result<Self, Trouble> {
        let hub = Hub::make(programs, folder).await?;
        let mut participants = Vec::new();
        for name in names(recipients + 1) {
            participants.push(Participant::make(programs, folder, &hub, &name).await?);
        }
        let mut nodes = Vec::new();
        for participant in &participants {
            nodes.push(participant.start(programs).await?);
        }
        for participant in &participants {
            participant.pin(&participants).await?;
        }
        Ok(Self { hub, participants, nodes })
    }

    fn originator(&self) -> Result<&Participant, Trouble> {
        self.participants.first().ok_or_else(|| Trouble::network("the network has no participant"))
    }

    fn daemons(&self) -> impl Iterator<Item = (String, &Daemon)> {
        let nodes = self.participants.iter().zip(&self.nodes).map(|(one, node)| (format!("node {}", one.id), node));
        core::iter::once(("relay".to_owned(), &self.hub.daemon)).chain(nodes)
    }

    fn usage(&self) -> Result<Vec<(String, Usage)>, Trouble> {
        let mut all = Vec::new();
        for (name, daemon) in self.daemons() {
            all.push((name, daemon.usage()?));
        }
        all.push(("generator".to_owned(), crate::process::usage(std::process::id())?));
        Ok(all)
    }

    async fn stop(self) -> Result<(), Trouble> {
        for node in self.nodes {
            node.stop().await?;
        }
        self.hub.daemon.stop().await
    }
}

/// Makes a network in `folder`, sends what `load` says, and verifies the receipts.
pub(crate) async fn run(programs: &Programs, folder: &std::path::Path, load: Load) -> Result<Outcome, Trouble> {
    let stage = Stage::make(programs, folder, load.recipients).await?;
    let client = stage.originator()?.drafter();
    let message = Arc::new(message(&stage.participants, load.size)?);
    if load.warm_up > 0 {
        let warm_up = Load { count: load.warm_up, ..load };
        send(&client, &message, warm_up).await?;
    }
    stage.daemons().for_each(|(_, daemon)| daemon.forget_peak());
    let before = stage.usage()?;
    let sent = send(&client, &message, load).await?;
    let after = stage.usage()?;
    let processes = before
        .into_iter()
        .zip(after)
        .map(|((name, before), (_, after))| (name, Usage { cpu: after.cpu.saturating_sub(before.cpu), ..after }));
    let processes = processes.collect();
    let verified = receipts::verify_all(&client, &sent.references, load.recipients).await?;
    stage.stop().await?;
    let Sent { time, taken, accepted, delivered, .. } = sent;
    Ok(Outcome { time, taken, accepted, delivered, verified, processes })
}

/// A notice of this size to all but the originator.
fn message(participants: &[Participant], size: usize) -> Result<NewMessage, Trouble> {
    let to: Vec<String> = participants.iter().skip(1).map(|one| one.id.to_string()).collect();
    let text: String = "Lorem ipsum dolor sit amet, ".chars().cycle().take(size).collect();
    let body = serde_json::json!({
        "to": to, "kind": "notice", "handling": "H0", "subject": "measured", "text": text,
    });
    serde_json::from_value(body).map_err(|error| Trouble::system("making a message", error))
}

/// What one run of a load measured.
struct Sent {
    references: Vec<Reference>,
    time: Duration,
    taken: Spread,
    accepted: Spread,
    delivered: Spread,
}

/// A message on its way.
struct Flight {
    begun: Instant,
    accepted: usize,
    delivered: usize,
}

/// Sends all messages, as many at once as the window lets, and follows the feed until all are delivered.
async fn send(client: &Client, message: &Arc<NewMessage>, load: Load) -> Result<Sent, Trouble> {
    let cursor = client.newest_cursor().await.map_err(Trouble::network)?;
    let places = Arc::new(Semaphore::new((load.window / load.recipients).max(1)));
    let (told, requests) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let sending = request_all(client.clone(), Arc::clone(message), load.count, Arc::clone(&places), told);
    let mut follower = Follower::new(load, requests, places);
    tokio::try_join!(sending, follower.follow(client, cursor))?;
    let time = begun.elapsed();
    let Follower { references, taken, accepted, delivered, .. } = follower;
    let (taken, accepted, delivered) = (Spread::of(taken), Spread::of(accepted), Spread::of(delivered));
    Ok(Sent { references, time, taken, accepted, delivered })
}

/// A message that the API took.
struct Taken {
    reference: Reference,
    begun: Instant,
    took: Duration,
}

async fn request_all(
    client: Client,
    message: Arc<NewMessage>,
    count: usize,
    places: Arc<Semaphore>,
    told: mpsc::UnboundedSender<Taken>,
) -> Result<(), Trouble> {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        while let Some(ended) = requests.try_join_next() {
            ended.map_err(|error| Trouble::system("sending", error))??;
        }
        let place = places.acquire().await.map_err(|error| Trouble::system("sending", error))?;
        // Given back by the follower when the message is delivered.
        place.forget();
        let (client, message, told) = (client.clone(), Arc::clone(&message), told.clone());
        requests.spawn(async move {
            let key = hex(&random::<16>()?);
            let begun = Instant::now();
            let made = client.create(&message, &key).await.map_err(Trouble::network)?;
            // The follower may have ended because of another failure.
            let _ = told.send(Taken { reference: made.reference, begun, took: begun.elapsed() });
            Ok::<_, Trouble>(())
        });
    }
    while let Some(ended) = requests.join_next().await {
        ended.map_err(|error| Trouble::system("sending", error))??;
    }
    Ok(())
}

/// Follows the originator's feed. It may tell of a message before the answer to its request has come.
struct Follower {
    load: Load,
    requests: mpsc::UnboundedReceiver<Taken>,
    places: Arc<Semaphore>,
    flights: BTreeMap<Reference, Flight>,
    /// Evidence for messages whose request has not been answered yet.
    early: Vec<(Reference, FeedType, Instant)>,
    references: Vec<Reference>,
    taken: Vec<Duration>,
    accepted: Vec<Duration>,
    delivered: Vec<Duration>,
}

/// Longest wait of one look at the feed, in seconds.
const WAIT_SECONDS: u64 = 20;
/// Looks at the feed without anything new after which a run is given up.
const SILENT_LOOKS_MAX: u32 = 3;

impl Follower {
    fn new(load: Load, requests: mpsc::UnboundedReceiver<Taken>, places: Arc<Semaphore>) -> Self {
        Self {
            load,
            requests,
            places,
            flights: BTreeMap::new(),
            early: Vec::new(),
            references: Vec::new(),
            taken: Vec::new(),
            accepted: Vec::new(),
            delivered: Vec::new(),
        }
    }

    async fn follow(&mut self, client: &Client, mut cursor: String) -> Result<(), Trouble> {
        let mut silent = 0;
        while self.delivered.len() < self.load.count {
            let events = client.events(Some(&cursor), WAIT_SECONDS).await.map_err(Trouble::network)?;
            let now = Instant::now();
            self.take_answers();
            silent = if events.is_empty() { silent + 1 } else { 0 };
            if silent == SILENT_LOOKS_MAX {
                let (done, all) = (self.delivered.len(), self.load.count);
                return Err(Trouble::network(format_args!("only {done} of {all} messages were delivered")));
            }
            for event in events {
                cursor.clone_from(&event.id);
                let Some(reference) = event.subject.as_deref().and_then(|subject| subject.parse().ok()) else {
                    continue;
                };
                self.evidence(reference, event.kind, now)?;
            }
        }
        Ok(())
    }

    /// Notes the messages that the API took.
    fn take_answers(&mut self) {
        while let Ok(Taken { reference, begun, took }) = self.requests.try_recv() {
            self.references.push(reference);
            self.taken.push(took);
            self.flights.insert(reference, Flight { begun, accepted: 0, delivered: 0 });
        }
        let early = core::mem::take(&mut self.early);
        for (reference, kind, at) in early {
            self.note(reference, kind, at);
        }
    }

    fn evidence(&mut self, reference: Reference, kind: FeedType, now: Instant) -> Result<(), Trouble> {
        if kind == FeedType::MessageFailed || kind == FeedType::MessageExpired {
            return Err(Trouble::network(format_args!("{reference} was not delivered: {kind}")));
        }
        self.note(reference, kind, now);
        Ok(())
    }

    fn note(&mut self, reference: Reference, kind: FeedType, now: Instant) {
        if kind != FeedType::MessageAccepted && kind != FeedType::MessageDelivered {
            return;
        }
        let Some(flight) = self.flights.get_mut(&reference) else {
            self.early.push((reference, kind, now));
            return;
        };
        let took = now.saturating_duration_since(flight.begun);
        if kind == FeedType::MessageAccepted {
            flight.accepted += 1;
            if flight.accepted == self.load.recipients {
                self.accepted.push(took);
            }
        } else {
            flight.delivered += 1;
            if flight.delivered == self.load.recipients {
                self.delivered.push(took);
                self.flights.remove(&reference);
                self.places.add_permits(1);
            }
        }
    }
}
