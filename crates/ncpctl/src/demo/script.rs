//! What the audience sees: acts, lines with their time, and at the end what to try.

use std::time::Instant;

use ncp_protocol::ids::Reference;

use super::network::{Desk, Network};
use super::story::Deeds;
use crate::error::Error;
use crate::output::{Format, Output};
use crate::style::Tone;

/// Who plays the second officer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The program.
    Nobody,
    /// The person at the terminal.
    Officer,
}

/// Writes the play's lines as they happen.
#[derive(Debug)]
pub(super) struct Script<'a> {
    output: &'a Output,
    began: Instant,
}

impl<'a> Script<'a> {
    /// A script that begins now.
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, began: Instant::now() }
    }

    /// Seconds since it began.
    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// An act begins.
    pub(super) fn act(&self, title: &str) -> Result<(), Error> {
        let title = self.output.style.paint(Tone::Strong, title);
        self.show(&format!("\n{title}\n"))
    }

    /// Something was done.
    pub(super) fn say(&self, what: &str) -> Result<(), Error> {
        let ok = self.output.style.paint(Tone::Good, "ok");
        self.show(&format!("{:7.2} s  {ok}  {what}\n", self.seconds()))
    }

    /// Text as it is: a result for people, a note beside a result for machines.
    pub(super) fn show(&self, text: &str) -> Result<(), Error> {
        if self.output.format == Format::Human {
            return self.output.write(text).map(|_| ());
        }
        self.output.note(text.trim_end_matches('\n'));
        Ok(())
    }

    /// The person at the terminal is the second officer now.
    pub(super) fn your_turn(&self, desk: &Desk, reference: Reference) -> Result<(), Error> {
        let options = options(desk, &desk.key_file(desk.player.releaser));
        self.show(&format!(
            "\nYou are officer {} of {}. In another terminal:\n\n  ncpctl {options} release show {reference}\n  ncpctl \
             {options} release approve {reference} --code CODE\n\nWaiting for you; Ctrl-C ends the play.\n",
            desk.player.releaser.number, desk.id,
        ))
    }

    /// What can be tried in a network that goes on running.
    pub(super) fn try_next(&self, network: &Network, deeds: &Deeds, desk: &Desk, other: &Desk) -> Result<(), Error> {
        let ours = options(desk, &desk.key_file(desk.player.drafter));
        let theirs = options(other, &other.key_file(other.player.drafter));
        self.act("try")?;
        self.show(&format!(
            "  ncpctl {ours} status {}\n  ncpctl {ours} show {} --as-hub\n  ncpctl {theirs} inbox --watch\n  ncpctl audit \
             verify {}\n  curl --unix-socket {} http://ncp/v1/health\n  ncpctl demo down --dir {}\n",
            deeds.request,
            deeds.request,
            desk.data().display(),
            desk.socket().display(),
            network.folder().display(),
        ))
    }
}

fn options(desk: &Desk, key: &std::path::Path) -> String {
    format!("--node {} --officer-key {}", desk.socket().display(), key.display())
}
