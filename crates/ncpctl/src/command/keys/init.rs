//! `keys init`: a participant's keys and its joining request; with `--officer`, an officer's key.

use std::path::PathBuf;

use clap::Args;
use ncp_api::ErrorCode;
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::{NetworkId, ParticipantId};
use serde::Serialize;

use super::officer;
use crate::context::{Context, blocking};
use crate::error::{Error, usage};
use crate::joining::entry::{Made, Maker};
use crate::joining::fingerprint_lines;
use crate::joining::folder::make_data_folders;
use crate::joining::held::OfflineKeys;
use crate::joining::protection;
use crate::joining::request::{Request, default_name};
use crate::output::{Facts, Report};

const SCHEMA: &str = "ncp.keys-init/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl keys init --participant XA --dir /var/lib/ncp-node --network \"3f2a 91c0 77de 0b14 c6a8 52e9 1d3f 8807 b4c2 60fa 9e15 d733 2a8b 41f6 0c9d e587\"
  ncpctl keys init --participant XA --dir /var/lib/ncp-node --protect
  ncpctl keys init --officer 12                      asks for a passphrase
  ncpctl keys init --officer 12 --officer-key /media/usb/officer.key --passphrase-file pass.txt

The network's fingerprint is what  ncpctl hub init  printed; the hub's operator reads it out. Run the command as the user
that runs the daemon. The same command again changes nothing, makes no key that was carried away, and prints the same
fingerprint.";

/// Make keys.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// Whose node this is
    #[arg(long, value_name = "ID", required_unless_present = "officer", conflicts_with = "officer")]
    participant: Option<ParticipantId>,
    /// The node's data folder; made if it is missing
    #[arg(long, value_name = "DIR", required_unless_present = "officer", conflicts_with = "officer")]
    dir: Option<PathBuf>,
    /// The network's fingerprint, as the hub's operator reads it out; asked for if it is missing
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "officer")]
    network: Option<Fingerprint>,
    /// Folder for identity and recovery key, to be carried away; DIR/offline unless named
    #[arg(long, value_name = "DIR", conflicts_with = "officer")]
    offline: Option<PathBuf>,
    /// The joining request; PARTICIPANT-request.json here unless named
    #[arg(long, value_name = "FILE", conflicts_with = "officer")]
    out: Option<PathBuf>,
    /// Seal the keys in DIR under a passphrase, which the daemon gets as a credential of systemd
    #[arg(long, conflicts_with = "officer")]
    protect: bool,
    /// Make the key of the officer with this number instead
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    officer: Option<u16>,
    /// Leave the officer's key without passphrase: on machines for tests alone
    #[arg(long, requires = "officer", conflicts_with = "passphrase_file")]
    no_passphrase: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Keys {
    participant: String,
    network: String,
    fingerprint: String,
    data_dir: PathBuf,
    offline: PathBuf,
    offline_keys_here: bool,
    request: PathBuf,
}

impl Init {
    /// The schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        if self.officer.is_some() { officer::SCHEMA } else { SCHEMA }
    }

    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        if let Some(number) = self.officer {
            return self.officer(number, context);
        }
        let (Some(participant), Some(data)) = (self.participant, self.dir.clone()) else {
            return Err(usage("whose keys?", "add --participant and --dir, or --officer"));
        };
        if participant == ParticipantId::HUB {
            return Err(usage("HUB is the hub's own name", "make a network with  ncpctl hub init"));
        }
        let network = self.network(context)?;
        let offline = self.offline.clone().unwrap_or_else(|| data.join("offline"));
        let out = self.out.clone();
        let now = context.clock.now;
        let keyring =
            if self.protect { protection::protect(context, &data)? } else { protection::open(context, &data)? };
        let keys = Keys {
            participant: participant.to_string(),
            network: network.to_string(),
            fingerprint: String::new(),
            data_dir: data.clone(),
            offline: offline.clone(),
            offline_keys_here: true,
            request: PathBuf::new(),
        };
        let (made, request) = blocking(move || {
            make_data_folders(&data)?;
            let name = |version| out.clone().unwrap_or_else(|| default_name(participant, "request", version));
            Request::restore_entries(&name(0), &data, &keyring)?;
            let network = NetworkId(network.0);
            let made = Maker { data: &data, keyring: &keyring, offline: &offline, network, participant, now }.node()?;
            let request = name(made.entries.version());
            Request::write(&request, &made)?;
            Ok((made, request))
        })
        .await?;
        let offline_keys_here = made.offline == OfflineKeys::Here;
        let fingerprint = made.fingerprint().to_string();
        report(Keys { fingerprint, offline_keys_here, request, ..keys }, &made, context)
    }

    fn officer(&self, number: u16, context: &Context) -> Result<Report, Error> {
        let passphrase = if self.no_passphrase { None } else { Some(officer::new_passphrase(context)?) };
        if passphrase.as_ref().is_some_and(|passphrase| passphrase.is_empty()) {
            return Err(ErrorCode::PassphraseEmpty.fault().into());
        }
        officer::init(context, number, passphrase.as_ref())
    }

    fn network(&self, context: &Context) -> Result<Fingerprint, Error> {
        match self.network {
            Some(network) => Ok(network),
            None => {
                let question = "The network's fingerprint as the hub's operator reads it out (16 groups of 4):";
                let text = context.asking.line(question, "the network's fingerprint", "--network")?;
                text.parse().map_err(|_| usage("a fingerprint has 64 hexadecimal digits", "type all 16 groups of 4"))
            }
        }
    }
}

fn report(keys: Keys, made: &Made, context: &Context) -> Result<Report, Error> {
    let mut facts = Facts::default();
    facts.add("participant", keys.participant.clone());
    facts.add("fingerprint", fingerprint_lines(&made.fingerprint()));
    facts.add("keys", keys.data_dir.join(ncp_store::keyfiles::KEYS).display().to_string());
    match made.offline {
        OfflineKeys::Here => facts.add("carry away", keys.offline.display().to_string()),
        OfflineKeys::CarriedAway => facts.add("offline keys", "carried away (not here)"),
    }
    facts.add("request", keys.request.display().to_string());
    let answer = default_name(made.entries.participant(), "answer", made.entries.version());
    let mut plain = Facts::default();
    plain.add("participant", keys.participant.clone());
    plain.add("network", keys.network.clone());
    plain.add("fingerprint", keys.fingerprint.clone());
    plain.add("request", keys.request.display().to_string());
    Ok(Report::object(SCHEMA, &keys)?
        .human(facts.render(context.output.style))
        .plain(plain.plain())
        .hint(format!("send {} to the hub's operator", keys.request.display()))
        .hint("call the operator and read the fingerprint out, all 16 groups")
        .hint(format!("ncpctl keys install {} --dir {}", answer.display(), keys.data_dir.display())))
}
