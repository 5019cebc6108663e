//! The checks of `doctor` and of the health list: stable ids, four results, a cause and what to do.
//!
//! None changes anything. A check that rests on a failed one is skipped and names it. What asks the hub or the resolver has a
//! time limit; everything else looks at this machine alone.

mod hub;
mod keys;
mod people;
mod storage;

use std::sync::Arc;

use ncp_api::ErrorCode;
use ncp_api::health::Check;
use ncp_protocol::root::NetworkClass;
pub(crate) use ncp_service::checks::Found;
use ncp_service::checks::{CANARY, SPACE, check};

pub use self::hub::ping_hub;
pub use self::keys::sign_canary;
use crate::clock;
use crate::config::Config;
use crate::node::Node;

/// This machine's clock.
const CLOCKS: &str = "S03";
/// The link to the hub.
const LINK: &str = "N02";

/// The checks that cost next to nothing: for health and readiness.
#[must_use]
pub fn quick(node: &Node) -> Vec<Check> {
    vec![
        check("C02", || network(node)),
        check(CANARY, || keys::canary(node)),
        check("K03", || keys::certificate(node)),
        check("K04", || keys::sealing_key(node)),
        check("K05", || keys::signing_key(node)),
        check("K06", || keys::own_entry(node)),
        check(LINK, || hub::link(node)),
        check("N04", || hub::timestamp(node)),
        check("N06", || hub::taken_by_hub(node)),
        check("P03", || people::held(node)),
        check(SPACE, || storage::space(node)),
        check(CLOCKS, || storage::clocks(node)),
        check("S06", || storage::losses(node)),
        check("S07", || storage::ballast(node)),
        check("S08", || storage::moved_aside(node)),
    ]
}

/// All checks, by id.
pub async fn all(node: &Arc<Node>) -> Vec<Check> {
    let mut checks = node
        .blocking(|node| {
            let mut checks = quick(node);
            checks.extend([
                check("C01", || configuration(node)),
                check("K01", || keys::key_files(node)),
                check("N03", || hub::hub_entry(node)),
                check("P01", || people::rules(node)),
                check("P02", || people::people(node)),
                check("P04", || people::unpinned(node)),
                check("S02", || storage::journal(node)),
                check("S04", || storage::folder(node)),
                check("S05", || storage::undelivered(node)),
                check("I01", || services(node)),
            ]);
            checks
        })
        .await;
    let (names, round_trip) = tokio::join!(hub::addresses(node), hub::round_trip(node));
    checks.extend([names, round_trip]);
    checks.sort_by(|a, b| a.id.cmp(&b.id));
    checks
}

/// A store that cannot be read fails the check that met it.
pub(crate) fn unread(title: &str, error: &dyn core::fmt::Display) -> Found {
    Found::Fail(title.to_owned(), ErrorCode::StoreStopped.with("reason", error))
}

/// The configuration in force, and whether the next start would find what it needs: the files as they lie now.
fn configuration(node: &Node) -> Found {
    let settings = node.settings();
    if let Err(fault) = crate::api::officer_names(&settings) {
        return Found::Fail("the table of officers' names cannot be read".to_owned(), fault);
    }
    let title = format!("configuration of {}, {} rules", node.participant(), settings.rules.rules().len());
    let Some(file) = &node.config.file else { return Found::Ok(title) };
    match Config::load(file) {
        Ok(now) if now.settings != *settings => {
            Found::Ok(format!("{title}; the file was changed since, which counts after a reload"))
        }
        Ok(now) => {
            let same = Config { settings: node.config.settings.clone(), ..now } == node.config;
            Found::Ok(if same {
                title
            } else {
                format!("{title}; the file was changed since, which counts after a restart")
            })
        }
        Err(faults) => {
            let title = format!("the daemon would not start again: {} faults in the configuration", faults.len());
            let unknown =
                || ErrorCode::ConfigFileUnreadable.with("file", file.display()).with("reason", "it has faults");
            Found::Fail(title, faults.into_iter().next().unwrap_or_else(unknown))
        }
    }
}

fn network(node: &Node) -> Found {
    let label = node.network.id().label();
    let expires = node.root_until();
    let class = match node.network.class() {
        NetworkClass::Test => "test, on this machine alone",
        NetworkClass::Live => "live",
    };
    let title = format!("network {label}, class {class}");
    Found::ending(title, "root of trust", expires, clock::now())
}

fn services(node: &Node) -> Found {
    match node.settings().services.len() {
        0 => Found::Unset("no national service is configured yet".to_owned()),
        count => Found::Ok(format!("national services: {count}")),
    }
}

#[cfg(test)]
mod tests {
    use ncp_api::health::CheckResult;
    use ncp_protocol::ids::{Digest, NetworkId};
    use ncp_protocol::keys::SigningKey;

    use super::keys::canary_of;

    #[test]
    fn a_canary_fails_under_any_key_but_the_entrys() {
        let network = NetworkId(Digest([1; 32]));
        let (signing, log) = (SigningKey::from_seed(&[2; 32]), SigningKey::from_seed(&[3; 32]));
        let (signing_half, log_half) = (signing.verifying_key(), log.verifying_key());
        let check = |first, second| {
            let found = canary_of(&network, [("signing key", Some(&signing), first), ("log key", Some(&log), second)]);
            (found.result(), format!("{found:?}"))
        };
        assert_eq!(check(Some(&signing_half), Some(&log_half)).0, CheckResult::Ok);
        for (first, second, named) in [
            (Some(&log_half), Some(&log_half), "signing key"),
            (None, Some(&log_half), "signing key"),
            (Some(&signing_half), Some(&signing_half), "log key"),
            (Some(&signing_half), None, "log key"),
        ] {
            let (result, said) = check(first, second);
            assert_eq!(result, CheckResult::Fail);
            assert!(said.contains(named), "{said}");
        }
    }
}
