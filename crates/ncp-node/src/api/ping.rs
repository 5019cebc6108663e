//! Test messages: over the link alone for the hub, through sealing, hub, opening and evidence for everyone else.

use core::time::Duration;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::ErrorCode;
use ncp_api::health::{Ping, Pong, PongStep};
use ncp_api::message::NewMessage;
use ncp_protocol::codes::{Handling, Kind, Precedence};
use ncp_protocol::event::Role;
use ncp_protocol::ids::{MessageId, ParticipantId};
use tokio::time::Instant;

use super::ask;
use super::messages::{caller, shown};
use super::query::long_poll;
use crate::checks;
use crate::compose;
use crate::core::tables::{ENVELOPE, EnvelopeStage, OUT, OutState};
use crate::faults::Failed;
use crate::node::Node;
use crate::officer_auth::Repeats;

/// How long a test message may take unless the question says otherwise, in seconds.
const WAIT_SECONDS: u16 = 25;

pub(super) async fn ping(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let asked = ask::signed(&node, request, Repeats::Answered).await?;
    asked.officer.require(Role::Drafter, "a test message")?;
    let Ping { to, wait_seconds } = asked.json()?;
    let seconds = u64::from(wait_seconds.unwrap_or(WAIT_SECONDS)).min(ncp_api::WAIT_MAX_SECONDS);
    let limit = Duration::from_secs(seconds);
    if to == ParticipantId::HUB {
        let millis = checks::ping_hub(&node, limit).await?;
        let steps = vec![PongStep { what: "round trip".to_owned(), millis }];
        return Ok(Json(Pong { to, reference: None, steps }).into_response());
    }
    let begun = Instant::now();
    let message = compose::create(&node, caller(&node, asked), test_message(to)).await?;
    let steps = follow(&node, message, to, Patience { begun, limit }).await?;
    let reference = Some(shown(&node, message).await?.reference);
    Ok(Json(Pong { to, reference, steps }).into_response())
}

fn test_message(to: ParticipantId) -> NewMessage {
    NewMessage {
        to: vec![to],
        kind: Kind::Test,
        precedence: Precedence::Routine,
        urgent_ground: None,
        handling: Handling::H0,
        restriction: None,
        subject: "test message".to_owned(),
        subject_code: None,
        form: None,
        text: Some("This message tests the way and reaches no person.".to_owned()),
        attachments: Vec::new(),
        answer_by: None,
        lifetime_days: Some(1),
        in_reply_to: None,
        response_status: None,
        reason: None,
        also_sent_through: Vec::new(),
        contributions: Vec::new(),
        national_ref: None,
    }
}

/// How far a test message is: 0 released, 1 accepted, 2 delivered, 3 handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Far(u8);

const STEPS: [&str; 3] = ["accepted", "delivered", "handed over"];

/// From when, and how long, a test message is followed.
#[derive(Debug, Clone, Copy)]
struct Patience {
    begun: Instant,
    limit: Duration,
}

/// Waits for each piece of evidence in turn.
async fn follow(
    node: &Arc<Node>,
    message: MessageId,
    to: ParticipantId,
    Patience { begun, limit }: Patience,
) -> Result<Vec<PongStep>, Failed> {
    let mut steps = Vec::new();
    for (step, what) in (1u8..).zip(STEPS) {
        let rest = limit.saturating_sub(begun.elapsed());
        let look = || {
            let node = Arc::clone(node);
            async move { node.blocking(move |node| far(node, message, to)).await }
        };
        let reached = long_poll(node, rest, look, |reached: &Far| *reached >= Far(step)).await?;
        if reached < Far(step) {
            let fault = ErrorCode::PingUnanswered.with("peer", to);
            return Err(fault.with("reason", format!("not {what} within {} s", limit.as_secs())).into());
        }
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        steps.push(PongStep { what: what.to_owned(), millis });
    }
    Ok(steps)
}

fn far(node: &Node, message: MessageId, to: ParticipantId) -> Result<Far, Failed> {
    let view = node.reader().view();
    let unanswered = |reason: String| ErrorCode::PingUnanswered.with("peer", to).with("reason", reason);
    let waits = OUT.row(&view, &message)?.is_some_and(|row| row.state != OutState::Released);
    if waits {
        return Err(unanswered("the test message waits for release".to_owned()).into());
    }
    let envelope = ENVELOPE.row(&view, &(message, to))?;
    match envelope.map(|envelope| envelope.stage) {
        None | Some(EnvelopeStage::Released | EnvelopeStage::Sealed) => Ok(Far(0)),
        Some(EnvelopeStage::Accepted) => Ok(Far(1)),
        Some(EnvelopeStage::Delivered) => Ok(Far(2)),
        Some(EnvelopeStage::HandedOver) => Ok(Far(3)),
        Some(EnvelopeStage::Failed(code)) => Err(unanswered(crate::views::state::reject_words(code)).into()),
        Some(EnvelopeStage::Expired { .. } | EnvelopeStage::GivenUp) => Err(unanswered("it expired".to_owned()).into()),
        Some(EnvelopeStage::Recalled { .. }) => Err(unanswered("it was recalled".to_owned()).into()),
    }
}
