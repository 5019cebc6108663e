//! `ping`: a test message through the whole chain of evidence, or a sign of life of the hub.

use std::time::Duration;

use clap::Args;
use ncp_api::ErrorCode;
use ncp_api::health::Ping as Question;
use ncp_protocol::ids::ParticipantId;

use crate::context::{Context, parse_duration};
use crate::error::Error;
use crate::output::Report;
use crate::style::clean;
use crate::table::plain_record;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.ping/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl ping hub
  ncpctl ping XB                           a test message: R1, R2, R3, no person sees it";

/// Send a test message, or ask the hub for a sign of life
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ping {
    /// A participant, or hub
    #[arg(value_name = "PARTICIPANT")]
    to: String,
    /// How long to wait for an answer, at most 60s; 25s unless you say otherwise
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

impl Ping {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let to: ParticipantId = self
            .to
            .to_ascii_uppercase()
            .parse()
            .map_err(|_| Error::from(ErrorCode::ParticipantUnknown.with("participant", clean(&self.to))))?;
        let wait_seconds = self.timeout.map(|time| u16::try_from(time.as_secs()).unwrap_or(u16::MAX));
        let pong = context.officer_client().await?.ping(&Question { to, wait_seconds }).await?;
        let (mut human, mut plain) = (String::new(), String::new());
        let reference = pong.reference.map(|reference| format!("  {reference}")).unwrap_or_default();
        human.push_str(&format!("{}{reference}\n", pong.to));
        for step in &pong.steps {
            human.push_str(&format!("  {:12}  {:>6} ms\n", clean(&step.what), step.millis));
            plain.push_str(&plain_record([step.what.as_str(), step.millis.to_string().as_str()].into_iter()));
        }
        Ok(Report::object(SCHEMA, &pong)?.human(human).plain(plain))
    }
}
