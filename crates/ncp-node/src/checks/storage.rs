//! Checks of disk, journal and clocks.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;

use ncp_api::ErrorCode;
use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::codes::Precedence;
use ncp_protocol::ids::{LogName, LogOrigin, UnixMillis};
use ncp_store::ballast::Ballast;
use ncp_store::disk::{CORRUPT, Disk as _};
use ncp_store::keyfiles;

use super::{Found, unread};
use crate::clock;
use crate::core::tables::QUEUE;
use crate::hub_clock::Difference;
use crate::node::Node;
use crate::space;

/// From when on waiting mail is worth a look: urgent, other.
const WAITS_LONG_MS: [u64; 2] = [10 * 60 * 1_000, 8 * 60 * 60 * 1_000];

/// Room for evidence of what is under way, and for new work.
pub(super) fn space(node: &Node) -> Found {
    let Some(free) = space::free_bytes(&node.config.data_dir) else {
        let fault = ErrorCode::StoreIo.with("folder", node.config.data_dir.display());
        return Found::Fail("free space".to_owned(), fault.with("reason", "the system does not say how much is free"));
    };
    let title = format!("{} MiB free", free >> 20);
    match space::check(node, 0) {
        Err(fault) => Found::Fail(title, fault),
        Ok(()) => match space::check(node, node.settings().limits.free_min_bytes) {
            Err(fault) => Found::Warn(title, fault),
            Ok(()) => Found::Ok(title),
        },
    }
}

/// The newest checkpoint verifies under the key that others know, its root follows from what is stored, and the newest event
/// stands under it.
pub(super) fn journal(node: &Node) -> Found {
    let Some(newest) = node.reader().checkpoint(LogName::Node) else {
        return Found::Unset("the journal is empty".to_owned());
    };
    let (size, root) = (newest.checkpoint().size, newest.checkpoint().root);
    let origin = node.identity.origin;
    let key = node.keys.log.verifying_key();
    if let Err(error) = SignedCheckpoint::open(newest.note(), &origin, &key) {
        let fault = ErrorCode::CheckpointBad.with("origin", origin).with("reason", error);
        return Found::Fail("newest checkpoint".to_owned(), fault);
    }
    match node.reader().root(LogName::Node, size) {
        Ok(Some(computed)) if computed == root => {}
        Ok(_) => return damaged(origin, size, &"the root is not the one that was signed"),
        Err(error) => return damaged(origin, size, &error),
    }
    // The newest event is read from the journal itself: level files alone may be good where the journal is not.
    match node.reader().evidence(LogName::Node, size.saturating_sub(1)) {
        Ok(Some(_)) => Found::Ok(format!("journal of {size} events, checkpoint verified")),
        Ok(None) => damaged(origin, size, &"the newest event is missing"),
        Err(error) => damaged(origin, size, &error),
    }
}

fn damaged(origin: LogOrigin, index: u64, reason: &dyn core::fmt::Display) -> Found {
    let fault = ErrorCode::LogDamaged.with("origin", origin).with("index", index);
    Found::Fail("the journal is damaged".to_owned(), fault.with("reason", reason))
}

/// Expiry and clocks rest on a wall clock that runs evenly, and on one that goes with the hub's.
pub(super) fn clocks(node: &Node) -> Found {
    let compared = node.hub_clock.compared(clock::now());
    if let Some(fault) = compared.and_then(Difference::fault) {
        return Found::Fail("the clocks of this machine and of the hub differ".to_owned(), fault);
    }
    if *node.clock_believed.borrow() {
        let beside = if compared.is_some() { ", and goes with the hub's" } else { "" };
        return Found::Ok(format!("wall clock runs evenly{beside}"));
    }
    Found::Warn("the wall clock is not believed".to_owned(), ErrorCode::ClockDoubted.fault())
}

/// Single records that are lost, as far as somebody needed them since the start.
pub(super) fn losses(node: &Node) -> Found {
    let lost = node.reader().losses();
    let Some(first) = lost.first() else { return Found::Ok("no record was found lost".to_owned()) };
    let fault = ErrorCode::RecordsLost.with("count", lost.len()).with("first", first);
    Found::Fail("records are lost".to_owned(), fault)
}

/// Room is held for journal and evidence.
pub(super) fn ballast(node: &Node) -> Found {
    let mebibytes = format!("{} MiB", node.settings().limits.ballast_bytes >> 20);
    match *node.ballast.borrow() {
        Ballast::Held => Found::Ok(format!("{mebibytes} are held for evidence")),
        Ballast::GivenUp => {
            let fault = ErrorCode::BallastGivenUp.with("size", mebibytes);
            let fault = fault.with("folder", node.config.data_dir.display());
            Found::Warn("no room is held for evidence".to_owned(), fault)
        }
    }
}

/// What starts moved out of the way and nobody has looked at.
pub(super) fn moved_aside(node: &Node) -> Found {
    let names = match node.disk.list(Path::new(CORRUPT)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return unread(CORRUPT, &error),
        Ok(names) => names,
    };
    let Some(first) = names.first() else { return Found::Ok("nothing damaged was moved aside".to_owned()) };
    let folder = node.config.data_dir.join(CORRUPT);
    let fault = ErrorCode::DamageKept.with("count", names.len()).with("first", first);
    Found::Warn("something damaged was moved aside".to_owned(), fault.with("folder", folder.display()))
}

/// The data folder is closed to others.
pub(super) fn folder(node: &Node) -> Found {
    let folder = &node.config.data_dir;
    match keyfiles::check_folder(folder) {
        Ok(()) => Found::Ok(format!("data folder {}, closed to others", folder.display())),
        Err(error) => {
            let fault = ErrorCode::DataFolderUnusable.with("folder", folder.display());
            Found::Fail("data folder".to_owned(), fault.with("reason", error))
        }
    }
}

/// Mail that the hub has not accepted for long.
pub(super) fn undelivered(node: &Node) -> Found {
    let now = clock::now();
    let (mut waiting, mut late) = (0u64, None);
    let scanned = QUEUE.scan(&node.reader().view(), &(), |(rank, released, _, _), ()| {
        waiting += 1;
        let limit = if rank == 0 { WAITS_LONG_MS[0] } else { WAITS_LONG_MS[1] };
        if now.millis_since(UnixMillis(released)) > limit {
            late = late.or(Some(if rank == 0 { Precedence::Urgent } else { Precedence::Routine }));
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = scanned {
        return unread("queue", &error);
    }
    match late {
        None => Found::Ok(format!("envelopes that wait for the hub: {waiting}")),
        Some(precedence) => {
            let address = node.link.borrow().address.clone();
            let reason = format!("{precedence} mail waits longer than it should");
            let fault = ErrorCode::HubUnreachable.with("address", address).with("reason", reason);
            Found::Warn(format!("envelopes that wait for the hub: {waiting}"), fault)
        }
    }
}
