//! `ncpctl hub`: making a network and keeping it, taking participants in, looking at the relay.

mod admit;
mod init;
mod renew;
mod standing;
mod status;

use clap::Subcommand;
use ncp_api::Client;

use crate::context::Context;
use crate::error::Error;
use crate::joining::folder::HubFolder;
use crate::output::Report;

/// The hub's operator.
#[derive(Debug, Subcommand)]
pub(crate) enum Hub {
    /// Make a network: root of trust, authority, the hub's keys, a configuration that runs
    Init(init::Init),
    /// Take a participant in, after comparing its fingerprint, or go on with its next keys
    Admit(admit::Admit),
    /// Renew root of trust, membership statement and the hub's certificate before they end
    Renew(renew::Renew),
    /// Suspend a participant: nothing goes to or from it
    Suspend(standing::Suspend),
    /// End a participant's suspension
    Reinstate(standing::Reinstate),
    /// Who is connected and what waits
    Status(status::Status),
}

impl Hub {
    /// The schema of its JSON.
    pub(crate) fn schema(&self) -> &'static str {
        match self {
            Self::Init(_) => init::SCHEMA,
            Self::Admit(_) => admit::SCHEMA,
            Self::Renew(_) => renew::SCHEMA,
            Self::Suspend(_) | Self::Reinstate(_) => standing::SCHEMA,
            Self::Status(_) => status::SCHEMA,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::Init(init) => init.run(context).await,
            Self::Admit(admit) => admit.run(context).await,
            Self::Renew(renew) => renew.run(context).await,
            Self::Suspend(suspend) => suspend.run(context).await,
            Self::Reinstate(reinstate) => reinstate.run(context).await,
            Self::Status(status) => status.run(context).await,
        }
    }
}

/// The relay: the daemon that was named, else the one whose socket lies in the operator's folder, else the installed one.
fn relay(context: &Context, folder: &HubFolder) -> Client {
    let here = folder.test_socket();
    if context.node.is_none() && here.exists() { Client::new(here) } else { context.relay_client() }
}
