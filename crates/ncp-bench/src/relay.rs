//! Part two: the relay alone, with peers that speak frames.
//!
//! Envelopes are sealed beforehand. They are submitted while the recipient is away, so that all of them wait; then the relay
//! is stopped and started, with its index and without; then the recipient takes them. So each figure stands for one side of
//! the relay's work.

use core::time::Duration;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ncp_protocol::evidence;
use ncp_protocol::ids::{Epoch, LogName, LogOrigin, ParticipantId};

use crate::daemon::Programs;
use crate::envelopes::{Sealed, seal_all};
use crate::folder::read;
use crate::network::{Ending, Hub, Participant};
use crate::peer::{Link, Log, Material, receive, submit_all};
use crate::process::Usage;
use crate::trouble::Trouble;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Bytes of the text of each message.
    pub(crate) size: usize,
    /// Envelopes that are accepted, wait, and are delivered.
    pub(crate) waiting: usize,
    /// Envelopes in flight from the originator, and towards the recipient.
    pub(crate) window: usize,
}

/// One stretch of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// How long it took.
    pub(crate) time: Duration,
    /// CPU time and memory of the relay.
    pub(crate) relay: Usage,
    /// CPU time of the peers.
    pub(crate) peers: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Resident memory of the relay without work, in KiB.
    pub(crate) idle: u64,
    /// From the first submission to the last R1.
    pub(crate) accepted: Stretch,
    /// Resident memory with all envelopes waiting, in KiB.
    pub(crate) waiting: u64,
    /// Starts with all envelopes waiting: what the start found, how long it took, and resident memory behind it, in KiB.
    pub(crate) starts: Vec<(&'static str, Duration, u64)>,
    /// From the first delivery to the relay's word that it has the last R2.
    pub(crate) delivered: Stretch,
    /// Accepted and delivered at the same time: as many envelopes again.
    pub(crate) through: Stretch,
}

struct Stage {
    hub: Hub,
    originator: Arc<Material>,
    recipient: Material,
    to: Participant,
    log: Log,
    originator_stored: u64,
    recipient_stored: u64,
}

impl Stage {
    async fn make(programs: &Programs, folder: &Path) -> Result<Self, Trouble> {
        let hub = Hub::make(programs, folder).await?;
        let from = Participant::make(programs, folder, &hub, "XA").await?;
        let to = Participant::make(programs, folder, &hub, "XB").await?;
        let originator = Arc::new(Material::read(&from, &hub)?);
        let recipient = Material::read(&to, &hub)?;
        let log = Log::new(&recipient);
        Ok(Self { hub, originator, recipient, to, log, originator_stored: 0, recipient_stored: 0 })
    }

    fn seal(&self, load: Load, from: usize) -> Result<Vec<Sealed>, Trouble> {
        let entry = self.to.entry()?;
        seal_all(&self.originator, entry.unverified(), load.size, from..from + load.waiting)
    }

    /// Submits and verifies R1 of each afterwards.
    async fn submit(&mut self, envelopes: &[Sealed], window: usize) -> Result<Duration, Trouble> {
        let mut link = Link::open(&self.originator, self.originator_stored, 0).await?;
        let submitted = submit_all(&mut link, self.originator.participant, envelopes, window).await?;
        link.close();
        self.originator_stored = self.originator_stored.max(submitted.stored);
        self.verify(&submitted.receipts)?;
        Ok(submitted.time)
    }

    fn verify(&self, receipts: &[ncp_protocol::proof::LogProof]) -> Result<(), Trouble> {
        let network = self.originator.network;
        let origin = LogOrigin { network, participant: ParticipantId::HUB, log: LogName::Traffic, epoch: Epoch(1) };
        let key = read(&self.hub.data().join("keys/log-traffic-1.key"))?;
        let key = key.last_chunk::<32>().map(ncp_protocol::keys::SigningKey::from_seed);
        let key = key.ok_or_else(|| Trouble::network("the relay has no key of its log"))?.verifying_key();
        for proof in receipts {
            evidence::verify(proof, &origin, &key)
                .map_err(|error| Trouble::network(format_args!("R1 does not verify: {error}")))?;
        }
        Ok(())
    }

    async fn deliver(&mut self, load: Load) -> Result<Duration, Trouble> {
        let window = u32::try_from(load.window).unwrap_or(u32::MAX);
        let mut link = Link::open(&self.recipient, self.recipient_stored, window).await?;
        let delivered = receive(&mut link, &self.recipient, &mut self.log, load.waiting).await?;
        link.close();
        self.recipient_stored = self.recipient_stored.max(delivered.stored);
        Ok(delivered.time)
    }

    fn usage(&self) -> Result<(Usage, Duration), Trouble> {
        Ok((self.hub.daemon.usage()?, crate::process::usage(std::process::id())?.cpu))
    }

    fn stretch(&self, time: Duration, before: (Usage, Duration)) -> Result<Stretch, Trouble> {
        let (relay, peers) = self.usage()?;
        let relay = Usage { cpu: relay.cpu.saturating_sub(before.0.cpu), ..relay };
        Ok(Stretch { time, relay, peers: peers.saturating_sub(before.1) })
    }
}

/// Makes a network in `folder` and drives its relay as `load` says.
pub(crate) async fn run(programs: &Programs, folder: &Path, load: Load) -> Result<Outcome, Trouble> {
    let mut stage = Stage::make(programs, folder).await?;
    let idle = stage.hub.daemon.usage()?.resident;
    let envelopes = stage.seal(load, 0)?;
    let before = stage.usage()?;
    let time = stage.submit(&envelopes, load.window).await?;
    let accepted = stage.stretch(time, before)?;
    drop(envelopes);
    let waiting = stage.hub.daemon.usage()?.resident;

    let mut starts = Vec::new();
    for (name, how, lost) in STARTS {
        stage.hub = stage.hub.restart(how, |data| lost.iter().for_each(|name| remove(&data.join(name)))).await?;
        starts.push((name, stage.hub.daemon.start, stage.hub.daemon.usage()?.resident));
    }

    let before = stage.usage()?;
    let time = stage.deliver(load).await?;
    let delivered = stage.stretch(time, before)?;
    let through = through(&mut stage, load).await?;
    stage.hub.daemon.stop().await?;
    Ok(Outcome { idle, accepted, waiting, starts, delivered, through })
}

/// How the relay is ended, and what of its data is removed before the next start.
const STARTS: [(&str, Ending, &[&str]); 4] = [
    ("after a stop in order", Ending::InOrder, &[]),
    ("after a kill", Ending::Killed, &[]),
    ("index rebuilt", Ending::InOrder, &["index"]),
    ("index rebuilt, no snapshot", Ending::InOrder, &["index", "snapshots"]),
];

fn remove(folder: &Path) {
    // A relay that never took a snapshot has no folder of them.
    let _ = fs::remove_dir_all(folder);
}

/// Submits and takes at the same time.
async fn through(stage: &mut Stage, load: Load) -> Result<Stretch, Trouble> {
    let envelopes = stage.seal(load, load.waiting)?;
    let before = stage.usage()?;
    let window = u32::try_from(load.window).unwrap_or(u32::MAX);
    let mut to = Link::open(&stage.recipient, stage.recipient_stored, window).await?;
    let mut from = Link::open(&stage.originator, stage.originator_stored, 0).await?;
    let originator = stage.originator.participant;
    let (submitted, delivered) = tokio::try_join!(
        submit_all(&mut from, originator, &envelopes, load.window),
        receive(&mut to, &stage.recipient, &mut stage.log, load.waiting),
    )?;
    from.close();
    to.close();
    let stretch = stage.stretch(submitted.time.max(delivered.time), before)?;
    stage.verify(&submitted.receipts)?;
    Ok(stretch)
}
