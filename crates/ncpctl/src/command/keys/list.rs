//! `keys list`: whose keys lie in a data folder, by its newest directory entry, and what of them ends when. Reads alone.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::Error;
use crate::joining::entries::Entries;
use crate::joining::files::check_folder;
use crate::joining::fingerprint_lines;
use crate::joining::held::{check_keys, entry_gone, newest_certificate, newest_sealing};
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
    entry_version: u32,
    seal_until: Option<String>,
    sign_until: Option<String>,
    certificate_until: Option<String>,
    complete: bool,
    data_dir: PathBuf,
}

impl List {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let data = self.dir.clone();
        let keyring = protection::open(context, &data)?;
        let (entries, checked, certificate) = blocking(move || {
            check_folder(&data)?;
            let entries = Entries::read(&data)?.ok_or_else(|| entry_gone(&data, "ncpctl keys init  makes one"))?;
            let checked = check_keys(&data, &keyring, &entries).map(|_| ());
            // One that cannot be read is what the check found.
            let certificate = newest_certificate(&data).ok().flatten();
            Ok((entries, checked, certificate))
        })
        .await?;
        let (fingerprint, network) = (entries.fingerprint(), network_fingerprint(entries.network()));
        let date = |until| context.clock.date(until);
        let newest = entries.newest();
        let keys = Keys {
            participant: entries.participant().to_string(),
            network: network.to_string(),
            fingerprint: fingerprint.to_string(),
            entry_version: entries.version(),
            seal_until: newest_sealing(newest).map(|key| date(key.seal_until)),
            sign_until: newest.keys.signing.map(|key| date(key.until)),
            certificate_until: certificate.map(|certificate| date(certificate.parsed.until)),
            complete: checked.is_ok(),
            data_dir: self.dir,
        };
        let until = |until: &Option<String>| until.as_ref().map(|until| format!("until {until}"));
        let mut facts = Facts::default();
        facts.add("participant", keys.participant.clone());
        facts.add("network", fingerprint_lines(&network));
        facts.add("fingerprint", fingerprint_lines(&fingerprint));
        facts.add("entry", format!("version {}", keys.entry_version));
        facts.maybe("others seal", until(&keys.seal_until));
        facts.maybe("signing", until(&keys.sign_until));
        facts.maybe("certificate", until(&keys.certificate_until));
        let mut plain = Facts::default();
        plain.add("participant", keys.participant.clone());
        plain.add("network", keys.network.clone());
        plain.add("fingerprint", keys.fingerprint.clone());
        plain.add("entry-version", keys.entry_version.to_string());
        plain.maybe("seal-until", keys.seal_until.clone());
        plain.maybe("sign-until", keys.sign_until.clone());
        plain.maybe("certificate-until", keys.certificate_until.clone());
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
