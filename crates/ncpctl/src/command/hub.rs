//! `ncpctl hub`: making a network, taking participants in, looking at the relay.

mod admit;
mod init;
mod status;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

/// The hub's operator.
#[derive(Debug, Subcommand)]
pub(crate) enum Hub {
    /// Make a network: root of trust, authority, the hub's keys, a configuration that runs
    Init(init::Init),
    /// Take a participant in, after comparing its fingerprint
    Admit(admit::Admit),
    /// Who is connected and what waits
    Status(status::Status),
}

impl Hub {
    /// The schema of its JSON.
    pub(crate) fn schema(&self) -> &'static str {
        match self {
            Self::Init(_) => init::SCHEMA,
            Self::Admit(_) => admit::SCHEMA,
            Self::Status(_) => status::SCHEMA,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::Init(init) => init.run(context).await,
            Self::Admit(admit) => admit.run(context).await,
            Self::Status(status) => status.run(context).await,
        }
    }
}
