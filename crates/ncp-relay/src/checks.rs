//! What the health list and `/metrics` say of the hub. Ids are those of a node's checks where they look at the same.

use std::path::Path;

use ncp_api::health::Check;
use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::keys::Purpose;
use ncp_service::checks::{CANARY, Found, SPACE, check};
use ncp_store::ballast::Ballast;
use ncp_store::disk::{CORRUPT, Disk as _};
use ncp_store::keyfiles;

use crate::clock;
use crate::desk;
use crate::hub::Hub;
use crate::intake::free_space;

/// All checks, by id. Blocks on the disk for a moment.
#[must_use]
pub fn all(hub: &Hub) -> Vec<Check> {
    vec![
        check("C02", || root_of_trust(hub)),
        check(CANARY, || canary(hub)),
        check("K03", || certificate(hub)),
        check("N07", || forks(hub)),
        check("P05", || membership(hub)),
        check(SPACE, || space(hub)),
        check("S03", || wall_clock(hub)),
        check("S06", || losses(hub)),
        check("S07", || ballast(hub)),
        check("S08", || moved_aside(hub)),
    ]
}

/// Signs a canary with the key that no group of events tries, and verifies it.
///
/// # Errors
/// [`ErrorCode::InternalFault`]: the signature does not verify.
pub fn sign_canary(hub: &Hub) -> Result<(), Fault> {
    let canary = clock::random::<32>();
    let signature = hub.timestamp.sign(Purpose::Canary, &hub.network, &canary);
    let verified = hub.timestamp.verifying_key().verify(Purpose::Canary, &hub.network, &canary, &signature);
    verified.map_err(|_| ErrorCode::InternalFault.with("reason", "a canary that was just signed does not verify"))
}

fn canary(hub: &Hub) -> Found {
    match sign_canary(hub) {
        Ok(()) => Found::Ok("the timestamp key works".to_owned()),
        Err(fault) => Found::Fail("the timestamp key does not work".to_owned(), fault),
    }
}

fn root_of_trust(hub: &Hub) -> Found {
    let until = hub.trust.load().newest.root().expires;
    Found::ending(format!("root of trust until {}", Time(until)), "root of trust", until, hub.now())
}

fn certificate(hub: &Hub) -> Found {
    let settings = hub.tls.load();
    let (until, now) = (settings.own().expires, hub.now());
    let title = format!("certificate of {} until {}", settings.own().participant, Time(until));
    if until > now
        && let Err(error) = settings.check_own(now)
    {
        let remedy = "ncpctl hub renew  makes the next certificate; or put ca.crt and tls*.crt back from one backup";
        let files = hub.config.data_dir.join(keyfiles::NETWORK).join("tls*.crt");
        let fault = ErrorCode::NetworkFileForeign.with("file", files.display());
        let fault = fault.with("reason", error).with("remedy", remedy);
        return Found::Fail(title, fault);
    }
    Found::ending(title, "certificate", until, now)
}

/// Without a statement in force nodes admit nobody new.
fn membership(hub: &Hub) -> Found {
    let directory = hub.directory.load();
    let Some(members) = directory.members() else {
        let fault = ErrorCode::MembershipInvalid.with("reason", "there is none: nodes admit nobody new");
        return Found::Fail("no membership statement".to_owned(), fault);
    };
    let title = format!("membership statement version {} until {}", members.version, Time(members.expires));
    if members.expires <= hub.now() {
        let fault = ErrorCode::MembershipInvalid.with("reason", "it has expired: nodes admit nobody new");
        return Found::Fail(title, fault);
    }
    Found::ending(title, "membership statement", members.expires, hub.now())
}

fn space(hub: &Hub) -> Found {
    let (free, needed) = (free_space(hub), hub.config.free_min_bytes);
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let Some(free) = free else { return Found::Ok("free space is not known".to_owned()) };
    let title = format!("{} free", mebibytes(free));
    if free >= needed {
        return Found::Ok(title);
    }
    let fault = ErrorCode::DiskFull.with("free", mebibytes(free)).with("needed", mebibytes(needed));
    let fault = fault.with("folder", hub.config.data_dir.display());
    Found::Fail(format!("{title}: new messages are refused for the time being"), fault)
}

fn wall_clock(hub: &Hub) -> Found {
    if hub.believes_clock() {
        return Found::Ok("wall clock runs evenly".to_owned());
    }
    Found::Warn("the wall clock is not believed".to_owned(), ErrorCode::ClockDoubted.fault())
}

/// Single records that are lost, as far as somebody needed them since the start.
fn losses(hub: &Hub) -> Found {
    let lost = hub.store.reader().losses();
    let Some(first) = lost.first() else { return Found::Ok("no record was found lost".to_owned()) };
    let fault = ErrorCode::RecordsLost.with("count", lost.len()).with("first", first);
    Found::Fail("records are lost".to_owned(), fault)
}

/// Room is held for journal and evidence.
fn ballast(hub: &Hub) -> Found {
    let size = format!("{} MiB", hub.config.ballast_bytes >> 20);
    match *hub.ballast.borrow() {
        Ballast::Held => Found::Ok(format!("{size} are held for evidence")),
        Ballast::GivenUp => {
            let fault = ErrorCode::BallastGivenUp.with("size", size);
            let fault = fault.with("folder", hub.config.data_dir.display());
            Found::Warn("no room is held for evidence".to_owned(), fault)
        }
    }
}

/// What starts moved out of the way and nobody has looked at.
fn moved_aside(hub: &Hub) -> Found {
    let names = hub.disk.list(Path::new(CORRUPT)).unwrap_or_default();
    let Some(first) = names.first() else { return Found::Ok("nothing damaged was moved aside".to_owned()) };
    let fault = ErrorCode::DamageKept.with("count", names.len()).with("first", first);
    let folder = hub.config.data_dir.join(CORRUPT);
    Found::Warn("something damaged was moved aside".to_owned(), fault.with("folder", folder.display()))
}

/// Whether a participant's log went two ways. The hub serves on: the others are no worse for it.
fn forks(hub: &Hub) -> Found {
    let directory = hub.directory.load();
    let forked = directory.chains.keys().filter(|peer| desk::forked(hub, **peer).is_some());
    let forked: Vec<String> = forked.map(ToString::to_string).collect();
    if forked.is_empty() {
        return Found::Ok("the logs of the participants agree with themselves".to_owned());
    }
    let title = format!("logs that exclude what they had shown before: {}", forked.join(", "));
    Found::Warn(title, ErrorCode::PeerForked.with("peer", forked.join(", ")))
}
