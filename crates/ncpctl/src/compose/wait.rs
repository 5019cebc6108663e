//! `--wait`: until the evidence of a step is here, or the time is up. It follows the event feed.

use std::time::Duration;

use clap::ValueEnum;
use ncp_api::message::{MessageName, MessageState, MessageView};
use ncp_api::{Client, ErrorCode};
use tokio::time::Instant;

use crate::error::Error;

/// How long the daemon keeps one question open; below the client's own limit for an answer.
const LOOK_SECONDS: u64 = 20;

/// The step that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitFor {
    /// R1.
    Accepted,
    /// R2.
    Delivered,
    /// R3.
    HandedOver,
}

/// What a state means for the one who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Yes,
    NotYet,
    Never,
}

impl WaitFor {
    fn reached(self, state: MessageState) -> Reached {
        let rank = match state {
            MessageState::Withdrawn | MessageState::Expired | MessageState::Failed => return Reached::Never,
            MessageState::Draft | MessageState::WaitingForRelease | MessageState::Queued | MessageState::Held => 0,
            MessageState::Accepted => 1,
            MessageState::Delivered => 2,
            MessageState::HandedOver | MessageState::Answered => 3,
        };
        let wanted = match self {
            Self::Accepted => 1,
            Self::Delivered => 2,
            Self::HandedOver => 3,
        };
        if rank >= wanted { Reached::Yes } else { Reached::NotYet }
    }
}

/// Waits until the message stands there.
pub(crate) async fn until(
    client: &Client,
    name: &MessageName,
    wait: WaitFor,
    timeout: Duration,
) -> Result<MessageView, Error> {
    let end = Instant::now() + timeout;
    // Taken before the state is looked at: what happens between the two is in the feed after the cursor.
    let mut cursor = client.newest_cursor().await?;
    loop {
        let view = client.message(name).await?;
        let left = end.saturating_duration_since(Instant::now());
        match wait.reached(view.state) {
            Reached::Yes => return Ok(view),
            Reached::Never => {
                let fault = ErrorCode::MessageStateWrong.with("action", "waiting").with("reference", view.reference);
                return Err(fault.with("state", view.state).into());
            }
            Reached::NotYet if left.is_zero() => {
                let fault = ErrorCode::WaitTimeout.with("reference", view.reference).with("state", view.state);
                return Err(fault.with("seconds", timeout.as_secs()).into());
            }
            Reached::NotYet => {
                let events = client.events(Some(&cursor), left.as_secs().clamp(1, LOOK_SECONDS)).await?;
                if let Some(last) = events.last() {
                    cursor.clone_from(&last.id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_states_count_and_lost_ones_end_the_wait() {
        assert_eq!(WaitFor::Accepted.reached(MessageState::Queued), Reached::NotYet);
        assert_eq!(WaitFor::Accepted.reached(MessageState::Answered), Reached::Yes);
        assert_eq!(WaitFor::HandedOver.reached(MessageState::Delivered), Reached::NotYet);
        assert_eq!(WaitFor::Delivered.reached(MessageState::Expired), Reached::Never);
    }
}
