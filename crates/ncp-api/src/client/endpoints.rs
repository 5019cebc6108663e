//! The endpoints, typed.

use ncp_protocol::ids::ParticipantId;

use super::{Client, ClientError};
use crate::directory::{Directory, Pin};
use crate::feed::FeedEvent;
use crate::health::{AuditHead, Doctor, Health, Me, Ping, Pong};
use crate::hub::{HubAdmit, HubMembership, HubRecorded, HubStatus};
use crate::message::{
    Assign, Confirm, Contribute, HubView, MessageName, MessagePage, MessageView, NewMessage, NewResponse, Validation,
    Withdraw, Withdrawal,
};
use crate::officer::{DisableOfficer, NewOfficer, Officer, OfficerAdded, Officers};
use crate::path;
use crate::registry::ErrorCode;
use crate::release::{Approve, HoldScope, Holds, NewHold, Reject, ReleaseView};
use crate::timeline::{EvidenceBundle, Timeline};

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// Cursor of the page before.
    pub after: Option<String>,
    /// Most rows.
    pub limit: Option<usize>,
    /// Only messages in this state.
    pub state: Option<crate::message::MessageState>,
    /// How many seconds to wait if there is nothing yet; at most [`crate::WAIT_MAX_SECONDS`].
    pub wait_seconds: Option<u64>,
}

impl PageQuery {
    fn path(&self, list: &str) -> String {
        use core::fmt::Display;
        path::with_query(
            list,
            &[
                ("after", self.after.as_ref().map(|value| value as &dyn Display)),
                ("limit", self.limit.as_ref().map(|value| value as &dyn Display)),
                ("state", self.state.as_ref().map(|value| value as &dyn Display)),
                ("wait", self.wait_seconds.as_ref().map(|value| value as &dyn Display)),
            ],
        )
    }
}

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = $verb:ident($path:expr $(, $body:expr, $key:expr)?);)+) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`ClientError`].
                pub async fn $name(&self, $($arg: $type),*) -> Result<$answer, ClientError> {
                    self.$verb(&$path $(, $body, $key)?).await
                }
            )+
        }
    };
}

endpoints! {
    /// Health of the daemon; works without officer.
    health() -> Health = get(path::HEALTH);
    /// All checks.
    doctor() -> Doctor = get(path::DOCTOR);
    /// What the officer is needed for.
    me() -> Me = get(path::ME);
    /// The officer table.
    officers() -> Officers = get(path::OFFICERS);
    /// Proposes an officer, or agrees to a proposal.
    add_officer(officer: &NewOfficer) -> OfficerAdded = post(path::OFFICERS, officer, None);
    /// Disables an officer.
    disable_officer(number: u16, body: &DisableOfficer) -> Officer = post(path::disable_officer(number), body, None);
    /// Dry run of a message.
    validate(message: &NewMessage) -> Validation = post(path::VALIDATE, message, None);
    /// Creates a message. The same key with the same content is the same message.
    create(message: &NewMessage, key: &str) -> MessageView = post(path::MESSAGES, message, Some(key));
    /// Replaces a message that is not released.
    edit(name: &MessageName, message: &NewMessage) -> MessageView = patch(path::message(name), message, None);
    /// A message.
    message(name: &MessageName) -> MessageView = get(path::message(name));
    /// All messages, sent and received.
    messages(query: &PageQuery) -> MessagePage = get(query.path(path::MESSAGES));
    /// What arrived.
    inbox(query: &PageQuery) -> MessagePage = get(query.path(path::INBOX));
    /// What is on its way.
    outbox(query: &PageQuery) -> MessagePage = get(query.path(path::OUTBOX));
    /// A message's life.
    timeline(name: &MessageName) -> Timeline = get(path::message_view(name, "timeline"));
    /// A message's receipts and the keys to verify them.
    evidence(name: &MessageName) -> EvidenceBundle = get(path::message_view(name, "evidence"));
    /// What the hub sees of a message.
    hub_view(name: &MessageName) -> HubView = get(path::message_view(name, "hub-view"));
    /// Drafts an answer.
    respond(name: &MessageName, response: &NewResponse, key: &str) -> MessageView = post(path::message_verb(name, "respond"), response, Some(key));
    /// Asks services to contribute.
    assign(name: &MessageName, assign: &Assign) -> MessageView = post(path::message_verb(name, "assign"), assign, None);
    /// Adds what a service found.
    contribute(name: &MessageName, contribution: &Contribute, key: &str) -> MessageView = post(path::message_verb(name, "contribute"), contribution, Some(key));
    /// Withdraws a message, by whatever way is open.
    withdraw(name: &MessageName, withdraw: &Withdraw) -> Withdrawal = post(path::message_verb(name, "withdraw"), withdraw, None);
    /// Takes a message: R3.
    confirm(name: &MessageName, confirm: &Confirm) -> MessageView = post(path::confirm(name), confirm, None);
    /// What waits for release.
    releases(query: &PageQuery) -> MessagePage = get(query.path(path::RELEASE));
    /// Exactly what this officer would approve.
    release(name: &MessageName) -> ReleaseView = get(path::release(name));
    /// Approves it.
    approve(name: &MessageName, approve: &Approve) -> MessageView = post(path::release_verb(name, "approve"), approve, None);
    /// Sends it back to its drafter.
    reject(name: &MessageName, reject: &Reject) -> MessageView = post(path::release_verb(name, "reject"), reject, None);
    /// Holds in force.
    holds() -> Holds = get(path::HOLDS);
    /// Sets a hold.
    set_hold(hold: &NewHold) -> Holds = post(path::HOLDS, hold, None);
    /// Lifts a hold.
    lift_hold(scope: &HoldScope) -> Holds = delete(path::hold(scope));
    /// The directory.
    directory() -> Directory = get(path::DIRECTORY);
    /// Pins a participant's first entry.
    pin(participant: &ParticipantId, pin: &Pin) -> Directory = post(path::pin(participant), pin, None);
    /// Sends a test message.
    ping(ping: &Ping) -> Pong = post(path::PING, ping, None);
    /// Newest checkpoints.
    audit_head() -> AuditHead = get(path::AUDIT_HEAD);
    /// Status of the hub.
    hub_status() -> HubStatus = get(path::HUB_STATUS);
    /// Admits a participant, or a new version of its entry.
    hub_admit(admit: &HubAdmit) -> HubRecorded = post(path::HUB_ADMIT, admit, None);
    /// Suspends a participant.
    hub_suspend(change: &HubMembership) -> HubRecorded = post(path::HUB_SUSPEND, change, None);
    /// Ends a suspension.
    hub_reinstate(change: &HubMembership) -> HubRecorded = post(path::HUB_REINSTATE, change, None);
}

impl Client {
    /// The cursor of now: feed and inbox after it hold only what comes later.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn newest_cursor(&self) -> Result<String, ClientError> {
        Ok(self.health().await?.journal_events.to_string())
    }

    /// Events after a cursor; waits up to `wait_seconds` if there are none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, after: Option<&str>, wait_seconds: u64) -> Result<Vec<FeedEvent>, ClientError> {
        let query =
            PageQuery { after: after.map(ToOwned::to_owned), wait_seconds: Some(wait_seconds), ..PageQuery::default() };
        let mut lines = Vec::new();
        self.download(&query.path(path::EVENTS), &mut lines, |_| ()).await?;
        lines
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|error| ErrorCode::DaemonAnswerUnreadable.with("reason", error).into())
    }
}
