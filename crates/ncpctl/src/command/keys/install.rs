//! `keys install`: the hub's answer, verified and put beside the keys.

use std::path::PathBuf;

use clap::Args;
use ncp_api::directory::{MemberClass, NetworkClass};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::NetworkId;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::Error;
use crate::joining::answer::{Answer, Installed};
use crate::joining::authority::parse_one;
use crate::joining::files::check_folder;
use crate::joining::fingerprint_lines;
use crate::joining::protection;
use crate::joining::root::network_fingerprint;
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.keys-install/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl keys install XA-answer.json --dir /var/lib/ncp-node
  ncpctl keys install XA-answer-1.json --dir /var/lib/ncp-node      after  keys rotate
  ncpctl keys install XA-answer.json --dir /var/lib/ncp-node --network \"3f2a 91c0 77de 0b14 c6a8 52e9 1d3f 8807 b4c2 60fa 9e15 d733 2a8b 41f6 0c9d e587\"

Everything in the answer has to lead back to the network's fingerprint that was given to  keys init,  and to the keys in
DIR, all of which have to be there. Nothing that is there is overwritten: a renewed certificate gets the next number, and a
running node takes it up when it is reloaded. The same command again changes nothing, and adds what was lost of DIR/network. If the entry itself was lost, give the network's fingerprint as the hub's operator reads it.";

/// Install the hub's answer.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Install {
    /// The hub's answer
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The node's data folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The network's fingerprint, if the folder lost its own entry, which holds it
    #[arg(long, value_name = "FINGERPRINT")]
    network: Option<Fingerprint>,
}

/// What was installed.
#[derive(Debug, Serialize)]
struct Joined {
    participant: String,
    network: String,
    class: NetworkClass,
    member_class: MemberClass,
    hub_fingerprint: String,
    certificate_until: String,
    data_dir: PathBuf,
    installed: bool,
}

impl Install {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let Self { file, dir, network } = self;
        let (now, data) = (context.clock.now, dir.clone());
        let keyring = protection::open(context, &data)?;
        let (answer, member, installed, drop_in) = blocking(move || {
            check_folder(&data)?;
            let answer = Answer::read(&file, now)?;
            let told = network.map(|network| NetworkId(network.0));
            let member = answer.check_node(&file, (&data, &keyring), told, now)?;
            let installed = answer.install(&data)?;
            let drop_in = protection::put_drop_in(&data)?;
            Ok((answer, member, installed, drop_in))
        })
        .await?;
        let fingerprint = network_fingerprint(answer.root.network());
        let hub = Fingerprint(answer.hub.digest());
        let until = parse_one(&answer.certificate).map(|certificate| context.clock.date(certificate.until));
        let joined = Joined {
            participant: member.participant.to_string(),
            network: fingerprint.to_string(),
            class: answer.root.newest.root().class.into(),
            member_class: member.class.into(),
            hub_fingerprint: hub.to_string(),
            certificate_until: until.clone().unwrap_or_default(),
            data_dir: dir,
            installed: installed != Installed::Before,
        };
        let mut facts = Facts::default();
        let what = match installed {
            Installed::Now => "installed",
            Installed::Renewed => "renewed",
            Installed::Before => "was installed",
        };
        facts.add(what, format!("{} as {}, network {}", joined.participant, joined.member_class, joined.class));
        facts.add("network", fingerprint_lines(&fingerprint));
        facts.add("hub", fingerprint_lines(&hub));
        facts.maybe("certificate", until.map(|until| format!("until {until}")));
        let mut plain = Facts::default();
        plain.add("participant", joined.participant.clone());
        plain.add("network", joined.network.clone());
        plain.add("hub-fingerprint", joined.hub_fingerprint.clone());
        plain.add("data-dir", joined.data_dir.display().to_string());
        let mut report =
            Report::object(SCHEMA, &joined)?.human(facts.render(context.output.style)).plain(plain.plain());
        for hint in drop_in.iter().flat_map(|path| protection::hints(path, "ncp-node.service")) {
            report = report.hint(hint);
        }
        if drop_in.is_some() {
            report = report.hint(format!("in node.toml:  passphrase-credential = \"{}\"", protection::CREDENTIAL));
        }
        for hint in next_steps(installed, answer.entries.version()) {
            report = report.hint(*hint);
        }
        Ok(report)
    }
}

/// What is left to do with the daemon: one that joined before runs, most likely.
fn next_steps(installed: Installed, version: u32) -> &'static [&'static str] {
    const START: &str = "start the node:  ncp-node --config node.toml";
    const RELOAD: &str = "a node that runs takes it up:  systemctl reload ncp-node";
    match (installed, version) {
        (Installed::Now, 0) => &[START],
        (Installed::Renewed, _) | (Installed::Before, 1..) => &[RELOAD],
        (Installed::Now, 1..) | (Installed::Before, 0) => &[START, RELOAD],
    }
}
