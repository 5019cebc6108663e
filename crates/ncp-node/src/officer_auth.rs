//! Who asks: the account at the other end of the socket, and the officer whose key signed the request.
//!
//! The kernel names the account (SO_PEERCRED). An officer is known by number, key and account together; in a network of
//! class test, which lives on one machine and one account, by number and key. Signatures are good for two minutes, each
//! idempotency key once: those seen are remembered in memory. After a restart a request signed before this process began is
//! refused, and so is one that an event of the journal rests on: it may have been signed by a clock that is ahead. Requests that make a message may repeat their key: the
//! journal knows them.
//!
//! Without a signature root and the daemon's own account are its operator, who reads how the daemon is, and no content.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ncp_api::officer::{OFFICER_TIME_WINDOW_MS, OfficerHeaders, OfficerHeadersError, OfficerRole, Received};
use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::event::{Actor, Role};
use ncp_protocol::ids::{Digest, OfficerNumber, UnixMillis};
use ncp_protocol::keys::{VerifyingKey, sha256};
use ncp_protocol::root::NetworkClass;
use ncp_store::reader::ReadError;
use ncp_store::state::View;

use crate::core::tables::{OFFICER, OfficerRow, Standing};
use crate::faults::Failed;
use crate::history;
use crate::node::Node;

/// How much earlier than this process a request may have been signed: clocks are read in steps.
const START_SLACK: Duration = Duration::from_millis(5);

/// Whether a request may come twice with one idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// Never: what is asked must happen once.
    Refused,
    /// The journal answers the second one as the first.
    Answered,
}

/// An officer whose request was checked.
#[derive(Debug, Clone)]
pub struct Officer {
    /// Number in the officer table.
    pub number: OfficerNumber,
    /// Public key.
    pub key: VerifyingKey,
    /// What the officer may do.
    pub roles: Vec<Role>,
    /// For the journal.
    pub actor: Actor,
    /// The fresh value of this request.
    pub idempotency_key: String,
}

impl Officer {
    /// Requires a role; `action` says what needs it.
    ///
    /// # Errors
    /// [`ErrorCode::OfficerRoleMissing`].
    pub fn require(&self, role: Role, action: &str) -> Result<(), Fault> {
        if self.roles.contains(&role) {
            return Ok(());
        }
        let names: Vec<&str> = self.roles.iter().map(|role| OfficerRole::from(*role).as_str()).collect();
        Err(ErrorCode::OfficerRoleMissing
            .with("action", action)
            .with("role", OfficerRole::from(role))
            .with("officer", self.number)
            .with("roles", names.join(", ")))
    }
}

/// Events that one look back in the journal reads.
const RECALL_EVENTS: u64 = 512;

/// Signed requests that may not come twice. What is older than this process is taken for seen. Ages count by the monotonic
/// clock: the wall clock may be put right while the daemon runs.
#[derive(Debug)]
pub struct SeenKeys {
    begun: Instant,
    /// Idempotency keys of this run that are younger than their window.
    keys: Mutex<Window>,
    /// Digests of the requests of earlier runs that could be good still.
    earlier: OnceLock<BTreeSet<Digest>>,
}

/// Number of an officer, and an idempotency key of hers.
type SeenKey = (u16, String);

/// Keys with the moment at which each was seen, and their order.
#[derive(Debug, Default)]
struct Window {
    seen: BTreeMap<SeenKey, UnixMillis>,
    order: VecDeque<(Instant, SeenKey)>,
}

impl Window {
    /// A request is good from two minutes before its time to two minutes after it.
    fn forget_old(&mut self) {
        let length = Duration::from_millis(2 * OFFICER_TIME_WINDOW_MS);
        while self.order.front().is_some_and(|(at, _)| at.elapsed() > length)
            && let Some((_, key)) = self.order.pop_front()
        {
            self.seen.remove(&key);
        }
    }
}

impl Default for SeenKeys {
    fn default() -> Self {
        Self { begun: Instant::now(), keys: Mutex::default(), earlier: OnceLock::default() }
    }
}

impl SeenKeys {
    /// Recalls, once at the start, what earlier runs did lately. Blocks on the disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn recall(&self, node: &Node) -> Result<(), ReadError> {
        let oldest = UnixMillis(node.started.0.saturating_sub(2 * OFFICER_TIME_WINDOW_MS));
        let (mut earlier, mut end) = (BTreeSet::new(), node.reader().size());
        while end > 0 {
            let from = end.saturating_sub(RECALL_EVENTS);
            let events = history::from(node, from, usize::try_from(end - from).unwrap_or(usize::MAX))?;
            for recorded in &events {
                if let Actor::Officer { request, .. } = recorded.event.actor {
                    earlier.insert(request);
                }
            }
            if events.first().is_none_or(|first| first.event.time < oldest) {
                break;
            }
            end = from;
        }
        // The second call of one process would find the same and its own.
        let _ = self.earlier.set(earlier);
        Ok(())
    }

    /// Whether an earlier run acted on a request.
    fn was_acted_on(&self, request: &Digest) -> bool {
        self.earlier.get().is_some_and(|earlier| earlier.contains(request))
    }

    /// Remembers the key of a request that was signed at `signed`; says when it was seen if it is not new.
    fn note(&self, officer: OfficerNumber, key: &str, signed: UnixMillis, now: UnixMillis) -> Result<(), UnixMillis> {
        if Duration::from_millis(now.millis_since(signed)) > self.begun.elapsed() + START_SLACK {
            return Err(signed);
        }
        let mut window = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        window.forget_old();
        let key = (officer.0, key.to_owned());
        match window.seen.entry(key.clone()) {
            Entry::Vacant(free) => {
                free.insert(now);
                window.order.push_back((Instant::now(), key));
                Ok(())
            }
            Entry::Occupied(known) => Err(*known.get()),
        }
    }
}

/// What was received, as far as a signature covers it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Path with its query, as received.
    pub path: &'a str,
    /// SHA-256 of the body.
    pub body_sha256: Digest,
    /// The account at the other end.
    pub uid: u32,
}

/// Checks the headers of a request against the officer table.
///
/// # Errors
/// A fault of group 2, or the store's failure.
pub fn authenticate(
    node: &Node,
    headers: Result<OfficerHeaders, OfficerHeadersError>,
    asked: Asked<'_>,
    repeats: Repeats,
    now: UnixMillis,
) -> Result<Officer, Failed> {
    let headers = headers.map_err(|error| match error {
        OfficerHeadersError::Absent => {
            ErrorCode::OfficerSignatureMissing.with("action", format!("{} {}", asked.method, asked.path))
        }
        OfficerHeadersError::Malformed(name) => {
            ErrorCode::RequestMalformed.with("reason", format!("the header {name} is missing or malformed"))
        }
    })?;
    let number = headers.officer;
    let row = {
        let view = node.reader().view();
        OFFICER.row(&view, &number.0)?.ok_or_else(|| ErrorCode::OfficerUnknown.with("officer", number))?
    };
    let received = Received {
        network: node.network.id(),
        participant: node.participant(),
        method: asked.method,
        path: asked.path,
        body_sha256: asked.body_sha256,
    };
    if headers.verify(received, &row.key).is_err() {
        return Err(wrong_key(node, &headers, received, number)?.into());
    }
    check_person(node, number, &row, asked.uid)?;
    check_fresh(node, &headers, repeats, now)?;
    let request = sha256(&headers.request(received).encode());
    if repeats == Repeats::Refused && node.seen.was_acted_on(&request) {
        return Err(ErrorCode::OfficerRequestReplayed.with("time", Time(headers.time)).into());
    }
    let actor = Actor::Officer { number, signature: headers.signature, request };
    Ok(Officer { number, key: row.key, roles: row.roles, actor, idempotency_key: headers.idempotency_key })
}

/// The account and the standing of the officer.
fn check_person(node: &Node, number: OfficerNumber, row: &OfficerRow, uid: u32) -> Result<(), Fault> {
    if row.standing == Standing::Disabled {
        let since = row.disabled.map_or_else(|| "an earlier day".to_owned(), |since| Time(since).to_string());
        return Err(ErrorCode::OfficerDisabled.with("officer", number).with("since", since));
    }
    match node.network.class() {
        NetworkClass::Test => Ok(()),
        NetworkClass::Live if row.uid == uid => Ok(()),
        NetworkClass::Live => {
            Err(ErrorCode::OfficerAccountOther.with("officer", number).with("expected", row.uid).with("found", uid))
        }
    }
}

fn check_fresh(node: &Node, headers: &OfficerHeaders, repeats: Repeats, now: UnixMillis) -> Result<(), Fault> {
    if !headers.in_time(now) {
        let (time, now) = (ncp_api::time::Time(headers.time), ncp_api::time::Time(now));
        return Err(ErrorCode::OfficerClockOff.with("time", time).with("now", now));
    }
    let replayed = |time: UnixMillis| ErrorCode::OfficerRequestReplayed.with("time", ncp_api::time::Time(time));
    if repeats == Repeats::Answered {
        return Ok(());
    }
    node.seen.note(headers.officer, &headers.idempotency_key, headers.time, now).map_err(replayed)
}

/// The signature is not that of the officer it names: is it another officer's, or does it cover something else?
fn wrong_key(
    node: &Node,
    headers: &OfficerHeaders,
    received: Received<'_>,
    number: OfficerNumber,
) -> Result<Fault, Failed> {
    let owner = officers(&node.reader().view())?
        .into_iter()
        .find(|(_, row)| headers.verify(received, &row.key).is_ok())
        .map(|(owner, _)| owner);
    Ok(match owner {
        Some(owner) => ErrorCode::OfficerKeyOfAnother.with("officer", number).with("owner", owner),
        None => ErrorCode::OfficerSignatureBad.with("officer", number),
    })
}

/// The officer table, by number.
///
/// # Errors
/// [`ncp_store::state::Unreadable`].
pub fn officers(view: &impl View) -> Result<Vec<(OfficerNumber, OfficerRow)>, ncp_store::state::Unreadable> {
    let mut officers = Vec::new();
    OFFICER.scan(view, &(), |number, row| {
        officers.push((OfficerNumber(number), row));
        core::ops::ControlFlow::Continue(())
    })?;
    Ok(officers)
}

/// Whether an account is the daemon's operator.
#[must_use]
pub fn is_operator(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const OFFICER: OfficerNumber = OfficerNumber(7);

    #[test]
    fn a_key_counts_once_and_what_is_older_than_the_process_never() {
        let seen = SeenKeys::default();
        assert_eq!(seen.note(OFFICER, "a", NOW, NOW), Ok(()));
        assert_eq!(seen.note(OFFICER, "a", NOW, NOW.plus_millis(9)), Err(NOW));
        assert_eq!(seen.note(OfficerNumber(8), "a", NOW, NOW), Ok(()), "another officer's");
        assert_eq!(seen.note(OFFICER, "b", NOW, NOW.plus_millis(60_000)), Err(NOW), "signed a minute before the start");
    }

    #[test]
    fn a_wall_clock_that_is_put_back_refuses_nobody_and_forgets_nothing() {
        let seen = SeenKeys::default();
        assert_eq!(seen.note(OFFICER, "a", NOW, NOW), Ok(()));
        let put_back = UnixMillis(NOW.0 - 86_400_000);
        assert_eq!(seen.note(OFFICER, "b", put_back, put_back), Ok(()));
        let ahead = NOW.plus_millis(86_400_000);
        assert_eq!(seen.note(OFFICER, "c", ahead, ahead), Ok(()));
        assert_eq!(seen.note(OFFICER, "a", NOW, NOW), Err(NOW));
    }
}
