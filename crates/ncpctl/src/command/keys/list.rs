//! `keys list`: whose keys lie in a data folder, by its directory entry. Reads alone.

use std::path::PathBuf;

use clap::Args;
use ncp_protocol::directory::Fingerprint;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::Error;
use crate::joining::entry::read_first_entry;
use crate::joining::files::check_folder;
use crate::joining::fingerprint_lines;
use crate::joining::held::{check_keys, entry_gone};
use crate::joining::protection;
use crate::joining::root::network_fingerprint;
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.keys-list/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl keys list --dir /var/lib/ncp-node           the fingerprint that is read out
  ncpctl keys list --dir hub/data                    the network's fingerprint, at the hub

Nothing is changed. Exit code 78: a key that the entry names is not there, or another lies in its place.";

/// Whose keys these are.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct List {
    /// A node's data folder, or the relay's
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// What lies there.
#[derive(Debug, Serialize)]
struct Keys {
    participant: String,
    network: String,
    fingerprint: String,
    complete: bool,
    data_dir: PathBuf,
}

impl List {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let data = self.dir.clone();
        let keyring = protection::open(context, &data)?;
        let (entry, checked) = blocking(move || {
            check_folder(&data)?;
            let entry = read_first_entry(&data)?.ok_or_else(|| entry_gone(&data, "ncpctl keys init  makes one"))?;
            let checked = check_keys(&data, &keyring, entry.unverified()).map(|_| ());
            Ok((entry, checked))
        })
        .await?;
        let (fingerprint, network) = (Fingerprint(entry.digest()), network_fingerprint(entry.unverified().network));
        let keys = Keys {
            participant: entry.unverified().participant.to_string(),
            network: network.to_string(),
            fingerprint: fingerprint.to_string(),
            complete: checked.is_ok(),
            data_dir: self.dir,
        };
        let mut facts = Facts::default();
        facts.add("participant", keys.participant.clone());
        facts.add("network", fingerprint_lines(&network));
        facts.add("fingerprint", fingerprint_lines(&fingerprint));
        let mut plain = Facts::default();
        plain.add("participant", keys.participant.clone());
        plain.add("network", keys.network.clone());
        plain.add("fingerprint", keys.fingerprint.clone());
        let report = Report::object(SCHEMA, &keys)?;
        let (report, state) = match &checked {
            Ok(()) => (report, "all that the entry names are here".to_owned()),
            Err(fault) => {
                let report = report.hint(fault.remedy()).exit(fault.exit());
                (report, format!("fail: {}: {}", fault.title(), fault.cause()))
            }
        };
        facts.add("keys", state);
        Ok(report.human(facts.render(context.output.style)).plain(plain.plain()))
    }
}
