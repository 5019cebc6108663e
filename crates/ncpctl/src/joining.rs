//! Joining: what makes a network and what takes a participant into it, as files.
//!
//! `hub init` makes root of trust, authority and the hub's own keys; `keys init` a participant's keys and request; `hub
//! admit` the answer; `keys install` puts it in place. All of it ends, and goes on the same way: `keys rotate` makes the next
//! version of a participant's entry and a request, `hub renew` what the hub states about itself. No daemon runs for any of it
//! but the relay, which `hub admit` and `hub renew` tell.
//! Every step makes new files, each whole and synced before its name stands, and never touches an old one. Whatever an
//! interrupted call left is used by the next call of the same command, which therefore ends with the same keys; a file that
//! says something else stops it.
//!
//! Known gaps: keys are made on the machine that runs the command; those that are carried away and the authority's lie in
//! files without passphrase; the authority issues no revocation lists.

pub(crate) mod admission;
pub(crate) mod answer;
pub(crate) mod authority;
pub(crate) mod entries;
pub(crate) mod entry;
pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod held;
pub(crate) mod hub;
pub(crate) mod membership;
pub(crate) mod new_epoch;
pub(crate) mod protection;
pub(crate) mod renewal;
pub(crate) mod request;
pub(crate) mod root;
pub(crate) mod rotate;

#[cfg(test)]
mod tests;

use ncp_protocol::directory::Fingerprint;

/// A fingerprint as people read it to each other: two lines of eight groups.
pub(crate) fn fingerprint_lines(fingerprint: &Fingerprint) -> String {
    let text = fingerprint.to_string();
    let groups: Vec<&str> = text.split(' ').collect();
    groups.chunks(8).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n")
}
