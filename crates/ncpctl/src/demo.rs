//! `ncpctl demo`: a whole network on loopback, played through with real messages.
//!
//! Hub and nodes are the shipped binaries, each its own process with its own data folder and keys made on the spot; only
//! the trust root is throw-away. What a step shows is checked at that step. Whatever happens, daemons are ended and the
//! folder is removed, unless the network is to be kept; a kept network is found again by its folder.

mod cast;
mod daemon;
mod network;
mod record;
mod script;
mod story;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ncp_api::ErrorCode;
use ncp_api::message::MessageName;
use ncp_protocol::ids::Reference;
use serde::Serialize;

pub(crate) use record::down;
pub(crate) use script::Part;

use crate::audit;
use crate::context::Context;
use crate::error::{Error, file, internal};
use crate::{timeline, verify};
use network::Network;
use script::Script;
use story::Deeds;

/// What becomes of the network after the play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It is ended and removed.
    Removed,
    /// It goes on running.
    Kept,
}

/// What is played.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Who is the second officer.
    pub(crate) part: Part,
    /// What becomes of the network.
    pub(crate) afterwards: Afterwards,
    /// Where it lies; a fresh folder below the system's temporary folder unless given.
    pub(crate) folder: Option<PathBuf>,
}

/// What the play brought about.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Played {
    /// The folder of the network, if it was kept.
    pub(crate) folder: Option<PathBuf>,
    /// XA's request.
    #[serde(with = "ncp_api::text")]
    pub(crate) request: Reference,
    /// XB's answer.
    #[serde(with = "ncp_api::text")]
    pub(crate) answer: Reference,
    /// SEC's bulletin.
    #[serde(with = "ncp_api::text")]
    pub(crate) bulletin: Reference,
    /// XC's message that met the killed hub.
    #[serde(with = "ncp_api::text")]
    pub(crate) survivor: Reference,
    /// Logs that were recomputed.
    pub(crate) logs: usize,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Plays.
pub(crate) async fn play(context: &Context, options: &Options) -> Result<Played, Error> {
    let folder = make_folder(options.folder.as_deref())?;
    let mut network = Network::make(&folder)?;
    let outcome = tokio::select! {
        outcome = perform(context, options, &mut network) => outcome,
        interrupted = tokio::signal::ctrl_c() => Err(match interrupted {
            Ok(()) => Error::from(ErrorCode::Interrupted.fault()),
            Err(error) => internal(&error),
        }),
    };
    if outcome.is_ok() && options.afterwards == Afterwards::Kept {
        return outcome;
    }
    if outcome.is_err() {
        for obituary in network.obituaries() {
            context.output.note(&obituary);
        }
    }
    // A play that failed leaves nothing running either; its own error is the one that counts.
    let stopped = network.stop().await;
    let removed = remove_folder(&folder);
    let played = outcome?;
    stopped.and(removed)?;
    Ok(played)
}

async fn perform(context: &Context, options: &Options, network: &mut Network) -> Result<Played, Error> {
    let script = Script::new(&context.output);
    script.act("a network on loopback: hub, SEC, XA, XB, XC")?;
    network.start().await?;
    record::write(network)?;
    script.say("keys made, nodes admitted, fingerprints pinned, five daemons run")?;
    let deeds = story::play(network, &script, options.part).await?;
    show_timeline(context, network, &script, &deeds).await?;
    let logs = audit_all(network, &script)?;
    if options.afterwards == Afterwards::Kept {
        record::write(network)?;
        let (ours, theirs) = (network.desk(&cast::XA)?, network.desk(&cast::XB)?);
        script.try_next(network, &deeds, ours, theirs)?;
    }
    let Deeds { request, answer, bulletin, survivor } = deeds;
    let folder = (options.afterwards == Afterwards::Kept).then(|| network.folder().to_owned());
    Ok(Played { folder, request, answer, bulletin, survivor, logs, seconds: script.seconds() })
}

/// The request's life as its officers see it, each receipt verified here.
async fn show_timeline(context: &Context, network: &Network, script: &Script<'_>, deeds: &Deeds) -> Result<(), Error> {
    script.act("the request, as XA sees it")?;
    let client = network.desk(&cast::XA)?.drafter();
    let name = MessageName::from(deeds.request);
    let (timeline, bundle) = (client.timeline(&name).await?, client.evidence(&name).await?);
    let verdicts = verify::verify(&bundle);
    let tally = timeline::tally(&timeline, &verdicts);
    script.show(&timeline::render(&timeline, &verdicts, &context.clock.again(), context.output.style))?;
    if tally.bad > 0 || tally.missing > 0 || tally.good < 3 {
        return Err(internal(&format!(
            "{} receipts verify, {} do not, {} are missing",
            tally.good, tally.bad, tally.missing
        )));
    }
    Ok(())
}

/// Recomputes every log beside the running daemons.
fn audit_all(network: &Network, script: &Script<'_>) -> Result<usize, Error> {
    script.act("every log, verified offline")?;
    let mut logs = 0;
    let nodes = network.desks().iter().map(|desk| (desk.id.to_string(), desk.data()));
    for (name, data) in std::iter::once(("HUB".to_owned(), network.hub_data().to_owned())).chain(nodes) {
        let audited = audit::verify(&data)?;
        script.say(&format!("{name}: {}", audited.in_words()))?;
        logs += audited.logs.len();
    }
    Ok(logs)
}

/// A folder of this user alone, which must not exist yet.
fn make_folder(wanted: Option<&Path>) -> Result<PathBuf, Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = match wanted {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("{}{}", record::PREFIX, random_suffix())),
    };
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| file(&folder, &error))?;
    std::path::absolute(&folder).map_err(|error| file(&folder, &error))
}

fn random_suffix() -> String {
    // Socket paths below the folder must stay within 107 bytes.
    crate::context::random_key().chars().take(8).collect()
}

/// Removes the folder; a daemon that ends may still write its last lines.
fn remove_folder(folder: &Path) -> Result<(), Error> {
    const TRIES: u32 = 3;
    let mut outcome = Ok(());
    for _ in 0..TRIES {
        outcome = std::fs::remove_dir_all(folder).map_err(|error| file(folder, &error));
        if outcome.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    outcome
}
