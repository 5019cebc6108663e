//! The directory: root of trust, membership, timestamp, entries and their chain.

mod entry;
mod root;
mod statement;

use ncp_protocol::ids::NetworkId;
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::root::{NetworkClass, Role, RoleSignature, Roles, RootOfTrust, Statement};

use self::entry::{chains, entries, entry_rules};
use self::root::{next_roots, roots};
use self::statement::{memberships, timestamps};
use crate::annotate::Hex;
use crate::fixtures::{NOW, key};
use crate::scenario::Scenario;

pub(super) fn all() -> Vec<Scenario> {
    [entries(), entry_rules(), chains(), roots(), next_roots(), timestamps(), memberships()]
        .into_iter()
        .flatten()
        .collect()
}

fn role(threshold: u16, numbers: core::ops::Range<u8>) -> Role {
    Role::new(threshold, numbers.map(|number| key(number).verifying_key()).collect())
}

/// Root keys 41 to 45, membership 51 to 53, timestamp 61.
fn root() -> RootOfTrust {
    RootOfTrust {
        version: 1,
        class: NetworkClass::Live,
        created: NOW,
        expires: NOW.plus_millis(365 * DAY_MS),
        roles: Roles { root: role(3, 41..46), membership: role(2, 51..54), timestamp: role(1, 61..62) },
    }
}

fn network() -> NetworkId {
    root().network_id().expect("version 1")
}

/// A signed statement, field by field; the statement may break a rule.
fn hex_of<S: Statement>(statement: &S, network: &NetworkId, by: &[u8]) -> Hex {
    let kind = S::PREFIX.kind;
    let inner = Hex::prefixed(kind, statement);
    let sign = |number: &u8| RoleSignature {
        key: key(*number).verifying_key().id(),
        signature: key(*number).sign(S::PURPOSE, network, &inner.bytes()),
    };
    let signatures: Vec<RoleSignature> = by.iter().map(sign).collect();
    let prefix = S::SIGNED_PREFIX.to_bytes().to_vec();
    let note = format!("NCP, {:?}, layout 1", char::from(S::SIGNED_PREFIX.kind));
    #[derive(serde::Serialize)]
    struct Tail {
        signatures: Vec<RoleSignature>,
    }
    Hex::default()
        .and("prefix with signatures", &note, prefix)
        .then(inner.nested("statement"))
        .then(Hex::of(&Tail { signatures }))
}

fn root_hex() -> Hex {
    hex_of(&root(), &network(), &[41, 42, 43])
}
