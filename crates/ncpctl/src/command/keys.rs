//! `ncpctl keys`: makes, installs, renews and lists private keys, without a daemon.

mod init;
mod install;
mod list;
mod new_epoch;
mod officer;
mod rotate;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

/// Make and install keys
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a participant's keys and joining request, or an officer's key
    Init(init::Init),
    /// Install the hub's answer beside the keys that it answers
    Install(install::Install),
    /// Make the next keys of a participant, and the request to have them admitted
    Rotate(rotate::Rotate),
    /// Begin again after a loss: fresh keys, a fresh folder, the next epoch of the log
    NewEpoch(new_epoch::Begin),
    /// Say whose keys lie in a data folder: the fingerprints, and whether a key is missing
    List(list::List),
}

impl Keys {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Init(init) => init.schema(),
            Self::Install(_) => install::SCHEMA,
            Self::Rotate(_) => rotate::SCHEMA,
            Self::NewEpoch(_) => new_epoch::SCHEMA,
            Self::List(_) => list::SCHEMA,
        }
    }

    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::Init(init) => init.run(context).await,
            Self::Install(install) => install.run(context).await,
            Self::Rotate(rotate) => rotate.run(context).await,
            Self::NewEpoch(begin) => begin.run(context).await,
            Self::List(list) => list.run(context).await,
        }
    }
}
