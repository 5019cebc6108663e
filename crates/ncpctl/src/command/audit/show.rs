//! `audit show`: the events of a data folder's logs, in words.

use std::collections::VecDeque;
use std::path::PathBuf;

use clap::Args;
use ncp_api::time::Time;
use ncp_protocol::ids::LogName;
use ncp_store::journal::Group;
use serde::Serialize;

use crate::audit::{Folder, Leaf, Visitor, actor_words, change_words, walk};
use crate::context::{Context, blocking};
use crate::error::Error;
use crate::output::Report;
use crate::table::Table;

pub(super) const SCHEMA: &str = "ncp.audit-event/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl audit show /var/lib/ncp-node --last 20
  ncpctl audit show hub/data --log public --from 3 --json

Events hold ids, codes, digests and officers' numbers; content and names are never among them.";

/// Print events.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// The data folder of a node or of the relay
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Only events of this log: node, traffic, public
    #[arg(long, value_name = "LOG")]
    log: Option<LogName>,
    /// Begin with the event at this place of its log
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// Only the newest events
    #[arg(long, value_name = "COUNT")]
    last: Option<usize>,
}

/// One event.
#[derive(Debug, Serialize)]
struct Shown {
    log: String,
    index: u64,
    sequence: u64,
    #[serde(with = "ncp_api::time")]
    time: ncp_protocol::ids::UnixMillis,
    actor: String,
    event: &'static str,
    about: String,
    leaf: String,
}

/// The events that were asked for.
struct Chosen {
    log: Option<LogName>,
    from: Option<u64>,
    last: Option<usize>,
    shown: VecDeque<Shown>,
}

impl Visitor for Chosen {
    fn leaf(&mut self, leaf: &Leaf) {
        let is_wanted =
            self.log.is_none_or(|log| log == leaf.event.log) && self.from.is_none_or(|from| leaf.index >= from);
        if is_wanted {
            self.shown.push_back(show(leaf));
        }
        if self.last.is_some_and(|last| self.shown.len() > last) {
            self.shown.pop_front();
        }
    }

    fn group(&mut self, _: &Group) {}
}

impl Show {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let Self { dir, log, from, last } = self;
        let (shown, findings) = blocking(move || {
            let mut chosen = Chosen { log, from, last, shown: VecDeque::new() };
            let walked = walk(&Folder::open(&dir)?, &mut chosen)?;
            Ok((Vec::from(chosen.shown), walked.findings))
        })
        .await?;
        for finding in &findings {
            context.output.note(&finding.to_string());
        }
        let mut table = Table::new(&["log", "event", "time", "actor", "what", "about"]);
        for event in &shown {
            table.row(vec![
                event.log.clone().into(),
                event.index.to_string().into(),
                Time(event.time).to_string().into(),
                event.actor.clone().into(),
                event.event.into(),
                event.about.clone().into(),
            ]);
        }
        let exit = findings.first().map_or(ncp_api::Exit::Done, |_| ncp_api::Exit::Data);
        Ok(Report::lines(SCHEMA, &shown)?.human(table.render(context.output.style)).plain(table.plain()).exit(exit))
    }
}

fn show(leaf: &Leaf) -> Shown {
    let (event, about) = change_words(&leaf.event.change);
    Shown {
        log: leaf.event.log.to_string(),
        index: leaf.index,
        sequence: leaf.sequence,
        time: leaf.event.time,
        actor: actor_words(&leaf.event.actor),
        event,
        about,
        leaf: leaf.hash.to_string(),
    }
}
