//! Queries of lists: cursor, page size, state, waiting.

use core::time::Duration;
use std::sync::Arc;

use ncp_api::message::MessageState;
use ncp_api::{ErrorCode, Fault, PAGE_MAX, WAIT_MAX_SECONDS};
use serde::Deserialize;

use crate::node::Node;

/// Rows of a page unless the caller says otherwise.
const PAGE_DEFAULT: usize = 100;

/// What stands behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    after: Option<String>,
    limit: Option<usize>,
    state: Option<MessageState>,
    wait: Option<String>,
}

/// A checked query.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) after: Option<String>,
    pub(super) limit: usize,
    pub(super) state: Option<MessageState>,
    pub(super) wait: Duration,
}

impl Page {
    /// Reads the query of a request.
    pub(super) fn read(uri: &axum::http::Uri) -> Result<Self, Fault> {
        let malformed = |reason: &dyn core::fmt::Display| ErrorCode::RequestMalformed.with("reason", reason);
        let axum::extract::Query(raw) =
            axum::extract::Query::<Raw>::try_from_uri(uri).map_err(|error| malformed(&error))?;
        let wait = match raw.wait.as_deref() {
            None => 0,
            // `30` and `30s` alike.
            Some(text) => text
                .strip_suffix('s')
                .unwrap_or(text)
                .parse::<u64>()
                .map_err(|_| malformed(&"wait is not a number of seconds"))?,
        };
        Ok(Self {
            after: raw.after,
            limit: raw.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX),
            state: raw.state,
            wait: Duration::from_secs(wait.min(WAIT_MAX_SECONDS)),
        })
    }

    /// The cursor as a number of journal events.
    pub(super) fn sequence(&self) -> Result<u64, Fault> {
        match &self.after {
            None => Ok(0),
            Some(cursor) => cursor.parse().map_err(|_| ErrorCode::CursorUnknown.with("cursor", cursor)),
        }
    }
}

/// Looks again at every piece of news until `look` finds something, the time is over or the daemon stops; the last look
/// stands.
pub(super) async fn long_poll<T, E, F: Future<Output = Result<T, E>>>(
    node: &Arc<Node>,
    wait: Duration,
    mut look: impl FnMut() -> F,
    found: impl Fn(&T) -> bool,
) -> Result<T, E> {
    let mut news = node.hints.news.subscribe();
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let seen = look().await?;
        if found(&seen) || wait.is_zero() {
            return Ok(seen);
        }
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return Ok(seen) },
            () = tokio::time::sleep_until(deadline) => return Ok(seen),
            () = node.stopping.cancelled() => return Ok(seen),
        }
    }
}
