//! Room in the data folder: new work is refused early, so that room remains for the evidence of what is under way.

use std::path::Path;

use ncp_api::{ErrorCode, Fault};

use crate::node::Node;

/// Bytes that a start may need at most before it lets anything go: a new segment of each kind, and the newest of each
/// written anew.
const NEEDED_TO_START: u64 = 64 << 20;

/// Bytes that the daemon's user can still write on the file system of `folder`; `None` if the system does not say.
#[must_use]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether `bytes` more may be written and the configured room still remains.
///
/// # Errors
/// [`ErrorCode::DiskFull`].
pub fn check(node: &Node, bytes: u64) -> Result<(), Fault> {
    let folder = &node.config.data_dir;
    let needed = node.settings().limits.free_min_bytes.saturating_add(bytes);
    match free_bytes(folder) {
        Some(free) if free < needed => Err(full(node, free, needed)),
        Some(_) | None => Ok(()),
    }
}

/// The store could not go on for want of room: nothing is damaged, and a start goes on once there is some.
#[must_use]
pub fn none_to_start(folder: &Path) -> Fault {
    let free = free_bytes(folder).unwrap_or_default() >> 20;
    ErrorCode::DiskFull
        .with("free", format!("{free} MiB"))
        .with("needed", format!("{} MiB", NEEDED_TO_START >> 20))
        .with("folder", folder.display())
}

fn full(node: &Node, free: u64, needed: u64) -> Fault {
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    ErrorCode::DiskFull
        .with("free", mebibytes(free))
        .with("needed", mebibytes(needed))
        .with("folder", node.config.data_dir.display())
}
