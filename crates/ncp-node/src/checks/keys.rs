//! Checks of this node's keys, its certificate and its own entry.

use core::sync::atomic::Ordering;

use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::{NetworkId, UnixMillis};
use ncp_protocol::keys::{Purpose, SigningKey, VerifyingKey};
use ncp_store::keyfiles;

use super::Found;
use crate::clock;
use crate::node::Node;

/// The files as they lie now: what was fine at the start may have been opened to others, damaged or replaced since.
pub(super) fn key_files(node: &Node) -> Found {
    match crate::keys::load(&node.config.data_dir, node.participant(), &node.keys.keyring) {
        Ok(_) => Found::Ok("key files closed to others, and those of the own entry".to_owned()),
        Err(fault) => Found::Fail("key files".to_owned(), fault),
    }
}

/// A signature made now verifies under the keys that the own entry gives to others.
pub(super) fn canary(node: &Node) -> Found {
    let (entry, means) = (node.own_entry(), node.means());
    let origin = node.identity.origin;
    let signing = entry.keys.signing.as_ref().map(|valid| &valid.key);
    let log = entry.log_key(origin.log, origin.epoch);
    let keys = [("signing key", means.signing_key(), signing), ("log key", Some(&node.keys.log), log)];
    canary_of(&node.network.id(), keys)
}

/// Signs a canary with each key that evidence rests on, as a check does.
///
/// # Errors
/// [`ErrorCode::InternalFault`]: a signature does not verify.
pub fn sign_canary(node: &Node) -> Result<(), Fault> {
    match canary(node) {
        Found::Fail(_, fault) => Err(fault),
        Found::Ok(_) | Found::Warn(..) | Found::Unset(_) => Ok(()),
    }
}

/// Each key by name, with the half that others verify by.
pub(super) fn canary_of(network: &NetworkId, keys: [(&str, Option<&SigningKey>, Option<&VerifyingKey>); 2]) -> Found {
    let bytes: [u8; 32] = clock::random();
    for (name, key, public) in keys {
        let signature = key.map(|key| key.sign(Purpose::Canary, network, &bytes));
        let verified =
            public.zip(signature).map(|(public, signed)| public.verify(Purpose::Canary, network, &bytes, &signed));
        if !matches!(verified, Some(Ok(()))) {
            let reason = format!("a canary signed with the {name} does not verify under the own entry");
            return Found::Fail(format!("the {name} does not work"), ErrorCode::InternalFault.with("reason", reason));
        }
    }
    Found::Ok("signing key and log key work".to_owned())
}

pub(super) fn certificate(node: &Node) -> Found {
    let settings = node.keys.tls.load();
    let until = settings.own().expires;
    let now = clock::now();
    let title = format!("certificate of {} until {}", settings.own().participant, Time(until));
    if until > now
        && let Err(error) = settings.check_own(now)
    {
        let fault = ErrorCode::NetworkFileForeign
            .with("file", node.config.data_dir.join(keyfiles::NETWORK).join("tls*.crt").display())
            .with("reason", error)
            .with("remedy", "move it and ca.crt away, then  ncpctl keys install  with the hub's answer");
        return Found::Fail(title, fault);
    }
    Found::ending(title, "certificate", until, now)
}

pub(super) fn sealing_key(node: &Node) -> Found {
    let until = node.own_entry().keys.sealing.iter().map(|key| key.seal_until).max();
    let until = until.unwrap_or(UnixMillis(0));
    Found::ending(format!("others can seal to this node until {}", Time(until)), "sealing key", until, clock::now())
}

pub(super) fn signing_key(node: &Node) -> Found {
    let signing = node.own_entry().keys.signing;
    let until = signing.map_or(UnixMillis(0), |key| key.until);
    let now = clock::now();
    if let Some(from) = signing.map(|key| key.from).filter(|from| now < *from) {
        let fault = ErrorCode::KeyNotYetValid.with("what", "signing key");
        let fault = fault.with("from", Time(from)).with("now", Time(now));
        return Found::Fail(format!("envelopes cannot be signed before {}", Time(from)), fault);
    }
    Found::ending(format!("envelopes are signed until {}", Time(until)), "signing key", until, now)
}

/// An entry that this participant did not sign means that somebody at the hub tries to take its place.
pub(super) fn own_entry(node: &Node) -> Found {
    if !node.foreign_entry.load(Ordering::Relaxed) {
        return Found::Ok("`public` names no key for this participant that is not its own".to_owned());
    }
    let fault = ErrorCode::EntrySubstituted.with("participant", node.participant());
    Found::Fail("an entry in this participant's name is foreign: nothing is received".to_owned(), fault)
}
