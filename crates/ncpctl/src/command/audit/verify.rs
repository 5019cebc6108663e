//! `audit verify`: a data folder judged from the outside.

use std::path::PathBuf;

use clap::Args;
use ncp_api::{Exit, Fault};
use serde::Serialize;

use crate::audit::{Audited, Folder, Head, examine};
use crate::context::{Context, blocking};
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Style, Tone, number};

pub(super) const SCHEMA: &str = "ncp.audit/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl audit verify /var/lib/ncp-node
  ncpctl audit verify hub/data --json=ok,findings

Works without the daemon and beside it: everything up to the newest signed checkpoint is judged. No private key is read
and nothing is changed. Exit 0: all is as it was signed; 65: something is not.";

/// Recompute every log, compare every signed checkpoint, verify every receipt.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The data folder of a node or of the relay
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Judged {
    participant: String,
    network: String,
    ok: bool,
    logs: Vec<Log>,
    receipts: u64,
    newer: u64,
    findings: Vec<ncp_api::Problem>,
}

#[derive(Debug, Serialize)]
struct Log {
    origin: String,
    size: u64,
    root: String,
    checkpoints: u64,
}

impl Verify {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let dir = self.dir;
        let (folder, audited) = blocking(move || Ok((Folder::open(&dir)?, examine(&dir)?))).await?;
        let ok = audited.findings.is_empty();
        let judged = Judged {
            participant: folder.participant().to_string(),
            network: folder.network().to_string(),
            ok,
            logs: audited.logs.iter().map(log).collect(),
            receipts: audited.receipts,
            newer: audited.newer,
            findings: audited.findings.iter().map(ncp_api::Problem::from).collect(),
        };
        let report = Report::object(SCHEMA, &judged)?.human(human(&judged, &audited, context.output.style));
        Ok(report.plain(plain(&judged, &audited.findings)).exit(if ok { Exit::Done } else { Exit::Data }))
    }
}

fn log(head: &Head) -> Log {
    Log { origin: head.origin.to_string(), size: head.size, root: head.root.to_string(), checkpoints: head.checkpoints }
}

fn human(judged: &Judged, audited: &Audited, style: Style) -> String {
    let mut facts = Facts::default();
    facts.add(
        "folder of",
        format!("{} in network {}", judged.participant, judged.network.get(..16).unwrap_or_default()),
    );
    for head in &audited.logs {
        facts.add(
            &format!("log {}", head.log),
            format!(
                "{} events, {} checkpoints, root {}",
                number(head.size),
                number(head.checkpoints),
                head.root.short()
            ),
        );
    }
    facts.add("receipts", format!("{} verified now", number(judged.receipts)));
    if judged.newer > 0 {
        facts.add("not judged", format!("{} events behind the newest signed checkpoint", number(judged.newer)));
    }
    let verdict = if judged.ok { style.paint(Tone::Good, "ok") } else { style.paint(Tone::Bad, "fail") };
    facts.add("result", verdict);
    let mut text = facts.render(style);
    for finding in &audited.findings {
        text.push('\n');
        text.push_str(&finding.to_string());
        text.push('\n');
    }
    text
}

fn plain(judged: &Judged, findings: &[Fault]) -> String {
    let mut facts = Facts::default();
    for log in &judged.logs {
        facts.add(&log.origin, format!("{} {}", log.size, log.root));
    }
    facts.add("receipts", judged.receipts.to_string());
    facts.add("result", if judged.ok { "ok" } else { "fail" });
    for finding in findings {
        facts.add(&finding.code.to_string(), finding.cause());
    }
    facts.plain()
}
