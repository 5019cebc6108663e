//! Development tool, no test: drives the real daemons and measures them. It knows them from outside alone: programs,
//! sockets, frames. docs/PERFORMANCE.md tells how to use it and what it showed.

mod daemon;
mod disk;
mod envelopes;
mod folder;
mod messages;
mod network;
mod options;
mod peer;
mod process;
mod receipts;
mod relay;
mod report;
mod statistics;
mod trouble;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::daemon::Programs;
use crate::folder::{Folder, Keep};
use crate::options::{Measure, Options};
use crate::report::Report;
use crate::trouble::Trouble;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            let text = if options.json { format!("{:#}\n", report.to_json()) } else { report.to_table() };
            // A reader that went away has seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            let _ = writeln!(io::stderr(), "{trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Report, Trouble> {
    let keep = if options.keep { Keep::Yes } else { Keep::No };
    let above = options.below.clone().unwrap_or_else(std::env::temp_dir);
    let folder = Folder::make(&above, keep)?;
    if keep == Keep::Yes {
        let _ = writeln!(io::stderr(), "folder: {}", folder.path().display());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::system("starting", error))?;
    let mut report = Report::default();
    report.disk(&disk::measure(folder.path())?);
    match &options.measure {
        Measure::Messages(asked) => {
            let load = messages::Load {
                size: asked.size as usize,
                count: asked.count as usize,
                warm_up: asked.warm_up as usize,
                window: asked.window as usize,
                recipients: asked.recipients as usize,
            };
            let programs = Programs::at(options.programs.as_deref())?;
            let outcome = runtime.block_on(messages::run(&programs, folder.path(), load))?;
            report.messages(&load, &outcome);
        }
        Measure::Relay(asked) => {
            let load = relay::Load {
                size: asked.size as usize,
                waiting: asked.waiting as usize,
                window: asked.window as usize,
            };
            let programs = Programs::at(options.programs.as_deref())?;
            let outcome = runtime.block_on(relay::run(&programs, folder.path(), load))?;
            report.relay(&load, &outcome);
        }
        Measure::Disk => {}
    }
    Ok(report)
}
