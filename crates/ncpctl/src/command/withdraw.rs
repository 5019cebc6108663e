//! `withdraw`: takes a message back by whatever way is still open, and says what is certain and what is not.

use clap::Args;
use ncp_api::ErrorCode;
use ncp_api::message::{MessageName, Withdraw as Wish, Withdrawal, WithdrawalEffect};

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;
use crate::table::plain_record;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.withdrawal/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl withdraw XA-2026-000417
  ncpctl withdraw XA-2026-000417 --reason \"Sent to the wrong State.\" --confirm=XA-2026-000417";

/// Withdraw a message, by whatever way is still open
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Withdraw {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
    /// Why, in words; goes to the recipient if it has the message
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The reference again: a withdrawal cannot be undone
    #[arg(long, value_name = "ID")]
    confirm: Option<String>,
}

impl Withdraw {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        self.confirmed(context)?;
        let client = context.officer_client().await?;
        let withdrawal = client.withdraw(&self.name, &Wish { reason: self.reason }).await?;
        let human = render(&withdrawal);
        let plain = withdrawal
            .recipients
            .iter()
            .map(|step| plain_record([step.participant.as_str(), step.effect.as_str()].into_iter()))
            .collect::<String>();
        let report = Report::object(SCHEMA, &withdrawal)?.human(human).plain(plain);
        Ok(report.hint(format!("ncpctl status {}", withdrawal.reference)))
    }

    fn confirmed(&self, context: &Context) -> Result<(), Error> {
        let name = self.name.to_string();
        let needed = || -> Error {
            ErrorCode::ConfirmationNeeded.with("what", "a withdrawal is final").with("name", &name).into()
        };
        match &self.confirm {
            Some(confirm) if *confirm == name => Ok(()),
            Some(_) => Err(needed()),
            None if context.asking.possible() => {
                let question = format!("Withdraw {name}? This cannot be undone.");
                if context.asking.confirm(&question, "the confirmation", "--confirm")? { Ok(()) } else { Err(needed()) }
            }
            None => Err(needed()),
        }
    }
}

fn render(withdrawal: &Withdrawal) -> String {
    let mut out = String::new();
    for step in &withdrawal.recipients {
        let words = match step.effect {
            WithdrawalEffect::NothingLeft => "nothing had left this node; it is withdrawn for good",
            WithdrawalEffect::RecallRequested => {
                "the hub is asked to delete it; final unless it was already offered, its evidence will say"
            }
            WithdrawalEffect::DeletionAsked => {
                "has it or may have it; a withdrawal message asks for deletion, nothing enforces it"
            }
            WithdrawalEffect::EndedBefore => "had ended before",
        };
        out.push_str(&format!("{:8}  {words}\n", step.participant));
    }
    if let Some(message) = withdrawal.message {
        out.push_str(&format!("created   {message}, the withdrawal message, which is released like any other\n"));
    }
    out
}
