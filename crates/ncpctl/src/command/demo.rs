//! `demo`: a network to look at and to play with.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::demo::{self, Afterwards, Part};
use crate::error::Error;
use crate::output::Report;

/// Schema of `demo`.
pub(crate) const SCHEMA: &str = "ncp.demo/1";
/// Schema of `demo down`.
pub(crate) const DOWN_SCHEMA: &str = "ncp.demo-down/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl demo            play through the job, then remove everything
  ncpctl demo --keep     leave the network running and print what to try
  ncpctl demo --play     be the officer who releases the request
  ncpctl demo down       end kept networks";

/// Play the whole job on this machine: hub, four nodes, real messages.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Leave the network running
    #[arg(long)]
    keep: bool,
    /// Be the second officer: the play waits until you release the request
    #[arg(long)]
    play: bool,
    /// Where the network lies; must not exist yet
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// End kept networks and remove them
    #[command(after_help = "Example:\n  ncpctl demo down --dir /tmp/ncp-demo-1a2b3c4d")]
    Down {
        /// The one in this folder alone
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

impl Demo {
    /// The schema of its JSON.
    pub(crate) fn schema(&self) -> &'static str {
        match self.verb {
            None => SCHEMA,
            Some(Verb::Down { .. }) => DOWN_SCHEMA,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<Report, Error> {
        if let Some(Verb::Down { dir }) = self.verb {
            return down(dir.as_deref());
        }
        let options = demo::Options {
            part: if self.play { Part::Officer } else { Part::Nobody },
            afterwards: if self.keep { Afterwards::Kept } else { Afterwards::Removed },
            folder: self.dir,
        };
        let played = demo::play(context, &options).await?;
        let end = if self.keep { "the network goes on running" } else { "nothing is left behind" };
        let human = format!("\nall of it in {:.1} s; {end}\n", played.seconds);
        let folder = played.folder.as_deref().map(|folder| folder.display().to_string()).unwrap_or_default();
        let plain =
            format!("{}\t{}\t{}\t{}\t{folder}\n", played.request, played.answer, played.bulletin, played.survivor);
        let report = Report::object(SCHEMA, &played)?.human(human).plain(plain);
        if self.keep {
            return Ok(report.hint("ncpctl demo down"));
        }
        Ok(report.hint("ncpctl demo --keep   leaves the network running for you"))
    }
}

fn down(folder: Option<&std::path::Path>) -> Result<Report, Error> {
    let ended = demo::down(folder)?;
    let lines = ended.iter().map(|one| format!("ended {} daemons, removed {}\n", one.daemons, one.folder.display()));
    let human: String = if ended.is_empty() { "no kept network found\n".to_owned() } else { lines.collect() };
    let plain: String = ended.iter().map(|one| format!("{}\t{}\n", one.folder.display(), one.daemons)).collect();
    Ok(Report::lines(DOWN_SCHEMA, &ended)?.human(human).plain(plain))
}
