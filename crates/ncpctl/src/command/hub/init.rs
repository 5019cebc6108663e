//! `hub init`: a network from nothing, as files.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use ncp_api::directory::NetworkClass;
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::root::NetworkClass as Class;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::{Error, usage};
use crate::joining::files::make_folder;
use crate::joining::fingerprint_lines;
use crate::joining::folder::{HubFolder, LIVE_SOCKET};
use crate::joining::held::OfflineKeys;
use crate::joining::hub::{Network, Plan, make_network};
use crate::joining::protection;
use crate::joining::root::{RoleSize, network_fingerprint};
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.hub-init/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl hub init --dir hub --class test --listen 127.0.0.1:4433
  ncpctl hub init --dir /srv/ncp-authority --data-dir /var/lib/ncp-relay --class live --listen 192.0.2.7:4433

The same command again changes nothing and prints the same. Carry every file of DIR/offline to its own person and place;
DIR/authority stays with the hub's operator; the relay needs its data folder and relay.toml alone.";

/// Make a network.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// Folder of the hub's operator; made if it is missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// test: loopback only, one key for each role. live: the real network
    #[arg(long, value_name = "test|live")]
    class: NetworkClass,
    /// Address on which the relay listens for nodes
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The relay's data folder; DIR/data unless named
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The relay's API socket; DIR/api.sock in a test network, /run/ncp-relay/api.sock in a live one
    #[arg(long, value_name = "SOCKET")]
    api_socket: Option<PathBuf>,
    /// Seal the relay's keys under a passphrase, which it gets as a credential of systemd
    #[arg(long)]
    protect: bool,
    /// Keys of the root role: how many must sign, of how many; 1/1 in a test network, 3/5 in a live one
    #[arg(long, value_name = "THRESHOLD/KEYS")]
    root_keys: Option<RoleSize>,
    /// Keys of the membership role; 1/1 in a test network, 2/3 in a live one
    #[arg(long, value_name = "THRESHOLD/KEYS")]
    membership_keys: Option<RoleSize>,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    network: String,
    class: NetworkClass,
    hub_fingerprint: String,
    config: PathBuf,
    data_dir: PathBuf,
    authority: PathBuf,
    offline: PathBuf,
}

impl Init {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let plan = self.plan(context)?;
        let (network, drop_in, plan) = blocking(move || {
            let network = make_network(&plan)?;
            let drop_in = protection::put_drop_in(plan.folder.data())?;
            Ok((network, drop_in, plan))
        })
        .await?;
        let mut report = report(&network, &plan, context)?;
        for hint in drop_in.iter().flat_map(|path| protection::hints(path, "ncp-relay.service")) {
            report = report.hint(hint);
        }
        Ok(report)
    }

    fn plan(self, context: &Context) -> Result<Plan, Error> {
        let class = match self.class {
            NetworkClass::Test => Class::Test,
            NetworkClass::Live => Class::Live,
        };
        let listen = match (class, self.listen) {
            (Class::Test, Some(address)) if !address.ip().is_loopback() => {
                return Err(usage(
                    format!("a test network uses loopback alone, and {address} is none of it"),
                    "listen on 127.0.0.1 or [::1], or make a network with --class live",
                ));
            }
            (_, Some(address)) => address.to_string(),
            (Class::Test, None) => "127.0.0.1:4433".to_owned(),
            (Class::Live, None) => {
                return Err(usage("a live network needs the address on which nodes reach the hub", "add --listen"));
            }
        };
        let folder = HubFolder::new(&self.dir, self.data_dir.as_deref());
        let keyring = if self.protect {
            make_folder(&self.dir)?;
            protection::protect(context, folder.data())?
        } else {
            protection::open(context, folder.data())?
        };
        let socket = self.api_socket.unwrap_or_else(|| match class {
            Class::Test => folder.test_socket(),
            Class::Live => PathBuf::from(LIVE_SOCKET),
        });
        Ok(Plan {
            keyring,
            class,
            listen,
            socket,
            root: self.root_keys.unwrap_or(RoleSize::of_root(class)),
            membership: self.membership_keys.unwrap_or(RoleSize::of_membership(class)),
            now: context.clock.now,
            folder,
        })
    }
}

fn report(network: &Network, plan: &Plan, context: &Context) -> Result<Report, Error> {
    let fingerprint = network_fingerprint(network.root.network());
    let roles = &network.root.newest.root().roles;
    let made = Made {
        network: fingerprint.to_string(),
        class: plan.class.into(),
        hub_fingerprint: Fingerprint(network.hub.digest()).to_string(),
        config: plan.folder.config(),
        data_dir: plan.folder.data().to_owned(),
        authority: plan.folder.authority(),
        offline: plan.folder.offline(),
    };
    let size = |role: &ncp_protocol::root::Role| format!("{} of {} keys sign", role.threshold, role.keys.len());
    let mut facts = Facts::default();
    facts.add("network", fingerprint_lines(&fingerprint));
    facts.add(
        "class",
        match plan.class {
            Class::Test => "test: loopback only; void in the real network",
            Class::Live => "live",
        },
    );
    facts.add("root role", size(&roles.root));
    facts.add("membership role", size(&roles.membership));
    facts.add("root until", context.clock.date(network.root.newest.root().expires));
    facts.add("relay", path(&made.config));
    facts.add("data folder", path(&made.data_dir));
    facts.add("authority", path(&made.authority));
    facts.add("carry apart", path(&made.offline));
    if network.offline == OfflineKeys::CarriedAway {
        facts.add("offline keys", "the hub's identity and recovery key: carried away (not here)");
    }
    let mut plain = Facts::default();
    plain.add("network", made.network.clone());
    plain.add("class", made.class.to_string());
    plain.add("hub-fingerprint", made.hub_fingerprint.clone());
    plain.add("config", path(&made.config));
    plain.add("data-dir", path(&made.data_dir));
    plain.add("offline", path(&made.offline));
    let config = path(&made.config);
    Ok(Report::object(SCHEMA, &made)?
        .human(facts.render(context.output.style))
        .plain(plain.plain())
        .hint(format!("start the relay:  ncp-relay --config {config}"))
        .hint("read the network's fingerprint to every participant; ncpctl keys init asks for it"))
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
