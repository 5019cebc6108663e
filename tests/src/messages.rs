//! What officers do all day, and waiting for what comes of it.

use ncp_api::client::PageQuery;
use ncp_api::message::{MessageName, MessageState, MessageView, NewMessage};
use ncp_api::release::Approve;
use ncp_api::{Client, ClientError};
use ncp_protocol::approval::Decision;
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::{Reference, hex};

use crate::{Node, id, random, soon};

/// A message with one text part, for open handling.
#[must_use]
pub fn message(kind: Kind, to: &[&str], subject: &str, text: &str) -> NewMessage {
    let body = serde_json::json!({
        "to": to, "kind": kind.to_string(), "handling": "H0", "subject": subject, "text": text,
    });
    serde_json::from_value(body).expect("a message of the API")
}

/// A fresh idempotency key.
#[must_use]
pub fn fresh_key() -> String {
    hex(&random::<16>())
}

/// Whether a message has left its outbox for the hub, or gone further.
#[must_use]
pub fn is_accepted(state: MessageState) -> bool {
    matches!(state, MessageState::Accepted) || is_delivered(state)
}

/// Whether the recipient's node has it.
#[must_use]
pub fn is_delivered(state: MessageState) -> bool {
    matches!(state, MessageState::Delivered | MessageState::HandedOver | MessageState::Answered)
}

/// Looks again and again until there is something: at each event of the node's feed, and at least every second.
///
/// # Panics
/// If nothing is found in time, or the node does not answer.
pub async fn until<T, F>(client: &Client, what: &str, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let cursor = client.newest_cursor().await.expect("the node's health");
    until_after(client, cursor, what, look).await
}

/// The same from a cursor on that was taken before.
///
/// # Panics
/// As [`until`].
pub async fn until_after<T, F>(client: &Client, mut cursor: String, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let looking = async {
        // The cursor is older than the look, so that nothing happens unseen between look and wait.
        loop {
            if let Some(found) = look().await {
                return found;
            }
            let events = client.events(Some(&cursor), 1).await.expect("the feed of events");
            cursor = events.last().map_or(cursor, |event| event.id.clone());
        }
    };
    soon(what, looking).await
}

impl Node {
    /// Officer 1 sends a notice, which leaves without approval.
    ///
    /// # Panics
    /// If the node refuses it.
    pub async fn notice(&self, to: &[&str], subject: &str, text: &str) -> Reference {
        let message = message(Kind::Notice, to, subject, text);
        self.client(1).create(&message, &fresh_key()).await.expect("the notice is taken").reference
    }

    /// An officer approves what is shown to that officer.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn approve(&self, number: u16, name: &MessageName) -> Result<MessageView, ClientError> {
        let client = self.client(number);
        let shown = client.release(name).await?;
        let signature = shown.statement(Decision::Approve).sign(&self.officer(number).key);
        client.approve(name, &Approve { code: shown.code, signature }).await
    }

    /// Waits until a message stands as wanted.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn until_state(&self, reference: Reference, wanted: impl Fn(MessageState) -> bool) -> MessageView {
        let client = self.client(1);
        let name = MessageName::from(reference);
        until(&client, &format!("{reference} at {} to move on", self.name()), || async {
            let view = client.message(&name).await.expect("the message is known");
            wanted(view.state).then_some(view)
        })
        .await
    }

    /// Waits until a message has arrived here.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn until_received(&self, reference: Reference) -> MessageView {
        let client = self.client(1);
        let mut query = PageQuery { wait_seconds: Some(5), ..PageQuery::default() };
        let arrived = async {
            loop {
                let page = client.inbox(&query).await.expect("the inbox");
                if page.items.iter().any(|item| item.reference == reference) {
                    return client.message(&MessageName::from(reference)).await.expect("it is here");
                }
                query.after = Some(page.cursor);
            }
        };
        soon(&format!("{reference} to arrive at {}", self.name()), arrived).await
    }

    /// All references in the inbox, in order of arrival.
    ///
    /// # Panics
    /// If the node does not answer.
    pub async fn inbox(&self) -> Vec<Reference> {
        let client = self.client(1);
        let mut query = PageQuery { limit: Some(ncp_api::PAGE_MAX), ..PageQuery::default() };
        let mut all = Vec::new();
        loop {
            let page = client.inbox(&query).await.expect("the inbox");
            all.extend(page.items.iter().map(|item| item.reference));
            if !page.more {
                return all;
            }
            query.after = Some(page.cursor);
        }
    }

    /// Waits until the directory here lists a participant.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn until_listed(&self, name: &str) {
        let client = self.client(2);
        let other = id(name);
        until(&client, &format!("{name} to appear in the directory of {}", self.name()), || async {
            let directory = client.directory().await.expect("the directory");
            directory.entries.iter().any(|entry| entry.participant == other).then_some(())
        })
        .await;
    }

    /// Waits until the link to the hub stands, or is down.
    ///
    /// # Panics
    /// If it does not become so in time.
    pub async fn until_connected(&self, connected: bool) {
        let client = self.client(1);
        until(&client, &format!("the link of {} to change", self.name()), || async {
            let health = client.health().await.expect("the node answers");
            (health.hub.is_some_and(|hub| hub.connected) == connected).then_some(())
        })
        .await;
    }
}
