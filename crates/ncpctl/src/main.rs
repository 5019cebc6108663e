//! `ncpctl`: the command line of officers and operators.
//!
//! It acts through the daemon's local API, signs with the officer's own key what the officer does, and verifies evidence
//! itself where it shows it. Results go to standard output, all else to standard error. One file per command lies in
//! `command/`; every command returns a report, and `output` alone writes it.

mod audit;
mod backup;
mod cli;
mod clock;
mod command;
mod compose;
mod context;
mod demo;
mod error;
mod joining;
mod json;
mod manual;
mod message;
mod officer_key;
mod output;
mod program;
mod progress;
mod prompt;
mod style;
mod table;
mod timeline;
mod verify;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser as _;
use ncp_api::Exit;

use cli::Cli;
use context::Context;
use error::{Error, internal};
use json::Members;
use output::Format;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results, not errors; clap says which. A closed pipe is nobody's fault.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage.number() } else { Exit::Done.number() });
        }
    };
    let context = cli.options.context();
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| run(cli, &context)));
    let exit = match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            context.output.error(&error);
            error.exit()
        }
        Err(_) => Exit::Bug,
    };
    ExitCode::from(exit.number())
}

fn run(cli: Cli, context: &Context) -> Result<Exit, Error> {
    let command = cli.command.unwrap_or_default();
    if context.output.format == Format::Json(Members::List) {
        let members = json::members_of(command.schema()).unwrap_or_default();
        context.output.write(&(members.join("\n") + "\n"))?;
        return Ok(Exit::Done);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| internal(&error))?;
    let report = runtime.block_on(command.run(context))?;
    context.output.emit(&report)?;
    Ok(report.exit_code())
}
