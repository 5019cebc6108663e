//! The commands, one file each.

mod assign;
mod audit;
mod backup;
mod bulletin;
mod completion;
mod config;
mod contribute;
mod demo;
mod directory;
mod doctor;
mod edit;
mod evidence;
mod explain;
mod health;
mod hold;
mod hub;
mod inbox;
mod keys;
mod man;
mod me;
mod officers;
mod outbox;
mod ping;
mod release;
mod request;
mod respond;
mod save;
mod send;
mod show;
mod status;
mod withdraw;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

/// A command.
#[derive(Debug, Default, Subcommand)]
pub(crate) enum Command {
    /// What needs me now.
    #[default]
    #[command(skip)]
    Me,
    /// List what arrived
    #[command(visible_alias = "in")]
    Inbox(inbox::Inbox),
    /// Show a message; opening it for the first time confirms it (R3)
    Show(show::Show),
    /// Save a message's parts to files
    Save(save::Save),
    /// Draft any kind of message
    Send(send::Send),
    /// Draft a request for information; asks for what is missing
    Request(request::Request),
    /// Edit a message that is not released; voids its approvals
    Edit(edit::Edit),
    /// Draft the answer to a request
    Respond(respond::Respond),
    /// Enter what a national service found
    Contribute(contribute::Contribute),
    /// Ask national services to contribute to a request
    Assign(assign::Assign),
    /// Withdraw a message, by whatever way is still open
    Withdraw(withdraw::Withdraw),
    /// Look at, approve or reject what waits for release
    #[command(subcommand)]
    Release(release::Release),
    /// Stop everything, or one recipient or kind, from leaving
    #[command(subcommand)]
    Hold(hold::Hold),
    /// Read and publish bulletins
    #[command(subcommand)]
    Bulletin(bulletin::Bulletin),
    /// Who is in the network, and whose fingerprint was compared
    #[command(subcommand)]
    Directory(directory::Directory),
    /// List what is on its way
    #[command(visible_alias = "out")]
    Outbox(outbox::Outbox),
    /// Where a message stands, with evidence verified now; without one, where the node stands
    #[command(visible_alias = "st")]
    Status(status::Status),
    /// Send a test message, or ask the hub for a sign of life
    Ping(ping::Ping),
    /// Check configuration, keys, connection, storage and rules
    Doctor(doctor::Doctor),
    /// Whether the daemon can sign and store now
    Health(health::Health),
    /// Who may act at this node
    #[command(subcommand)]
    Officers(officers::Officers),
    /// Make a participant's or an officer's keys; install the hub's answer
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Make a network, admit participants, see who is connected
    #[command(subcommand)]
    Hub(hub::Hub),
    /// Check a configuration file with the daemon's own reader
    #[command(subcommand)]
    Config(config::Config),
    /// Verify or print a data folder's logs, without the daemon or beside it
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Back up a data folder for a keeper, try the backup out, put it back
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Write a message's receipts to a file; verify them without any daemon
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    /// Explain an error code, or the fields of a form
    Explain(explain::Explain),
    /// Print what a shell needs to complete ncpctl's words
    Completion(completion::Completion),
    /// Write the manual pages of ncpctl, the daemons and their configurations
    Man(man::Man),
    /// Play the whole job on this machine: hub, four nodes, real messages
    Demo(demo::Demo),
}

impl Command {
    /// The schema of its JSON.
    pub(crate) fn schema(&self) -> &'static str {
        match self {
            Self::Me => me::SCHEMA,
            Self::Inbox(_) => inbox::SCHEMA,
            Self::Show(show) => show.schema(),
            Self::Save(_) => save::SCHEMA,
            Self::Send(send) => send.schema(),
            Self::Request(request) => request.schema(),
            Self::Respond(respond) => respond.schema(),
            Self::Edit(_) | Self::Contribute(_) | Self::Assign(_) => crate::message::SCHEMA,
            Self::Withdraw(_) => withdraw::SCHEMA,
            Self::Release(release) => release.schema(),
            Self::Hold(_) => hold::SCHEMA,
            Self::Bulletin(bulletin) => bulletin.schema(),
            Self::Directory(_) => directory::SCHEMA,
            Self::Outbox(_) => outbox::SCHEMA,
            Self::Status(status) => status.schema(),
            Self::Ping(_) => ping::SCHEMA,
            Self::Doctor(_) => doctor::SCHEMA,
            Self::Health(_) => health::SCHEMA,
            Self::Officers(officers) => officers.schema(),
            Self::Keys(keys) => keys.schema(),
            Self::Hub(hub) => hub.schema(),
            Self::Config(config) => config.schema(),
            Self::Audit(audit) => audit.schema(),
            Self::Backup(backup) => backup.schema(),
            Self::Evidence(evidence) => evidence.schema(),
            Self::Explain(explain) => explain.schema(),
            Self::Completion(_) => completion::SCHEMA,
            Self::Man(_) => man::SCHEMA,
            Self::Demo(demo) => demo.schema(),
        }
    }

    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::Me => me::run(context).await,
            Self::Inbox(inbox) => inbox.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Save(save) => save.run(context).await,
            Self::Send(send) => send.run(context).await,
            Self::Request(request) => request.run(context).await,
            Self::Edit(edit) => edit.run(context).await,
            Self::Respond(respond) => respond.run(context).await,
            Self::Contribute(contribute) => contribute.run(context).await,
            Self::Assign(assign) => assign.run(context).await,
            Self::Withdraw(withdraw) => withdraw.run(context).await,
            Self::Release(release) => release.run(context).await,
            Self::Hold(hold) => hold.run(context).await,
            Self::Bulletin(bulletin) => bulletin.run(context).await,
            Self::Directory(directory) => directory.run(context).await,
            Self::Outbox(outbox) => outbox.run(context).await,
            Self::Status(status) => status.run(context).await,
            Self::Ping(ping) => ping.run(context).await,
            Self::Doctor(doctor) => doctor.run(context).await,
            Self::Health(health) => health.run(context).await,
            Self::Officers(officers) => officers.run(context).await,
            Self::Keys(keys) => keys.run(context).await,
            Self::Hub(hub) => hub.run(context).await,
            Self::Config(config) => config.run(context).await,
            Self::Audit(audit) => audit.run(context).await,
            Self::Backup(backup) => backup.run(context).await,
            Self::Evidence(evidence) => evidence.run(context).await,
            Self::Explain(explain) => explain.run(context),
            Self::Completion(completion) => completion.run(),
            Self::Man(man) => man.run(context),
            Self::Demo(demo) => demo.run(context).await,
        }
    }
}
