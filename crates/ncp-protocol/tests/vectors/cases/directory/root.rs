//! The root of trust: the first version and the next.

use ncp_protocol::ids::{NetworkId, UnixMillis};
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::root::{NetworkClass, Roles, RootOfTrust, Statement as _};

use super::{hex_of, network, role, root};
use crate::fixtures::NOW;
use crate::scenario::Scenario;

pub(super) fn roots() -> Vec<Scenario> {
    let make = |name, expect, about, root: &RootOfTrust, by: &[u8]| {
        Scenario::new("root", name, expect, about).bytes(hex_of(
            root,
            &NetworkId(ncp_protocol::keys::sha256(&root.encode())),
            by,
        ))
    };
    let good = || hex_of(&root(), &network(), &[41, 42, 43]);
    let test = RootOfTrust {
        class: NetworkClass::Test,
        roles: Roles { root: role(1, 41..42), membership: role(1, 51..52), timestamp: role(1, 61..62) },
        ..root()
    };
    let roles = |roles: Roles| RootOfTrust { roles, ..root() };
    let reversed = {
        let mut changed = root();
        changed.roles.root.keys.reverse();
        changed
    };
    vec![
        make("live", "ok", "the root of a live network, signed by three of five", &root(), &[41, 43, 45]),
        make("test", "ok", "the root of a test network with one key each", &test, &[41]),
        make("below-threshold", "own-quorum.below-threshold", "two of three signatures", &root(), &[41, 42]),
        make("stranger", "own-quorum.below-threshold", "a stranger's signature does not count", &root(), &[41, 42, 99]),
        make("key-twice", "own-quorum.key-twice", "one key counted twice", &root(), &[41, 42, 42]),
        Scenario::new("root", "signature", "own-quorum.bad-signature", "one bit of a signature differs")
            .bytes(good().flip("signatures.0.signature")),
        make(
            "version-2-first",
            "version",
            "version 2 where the first is wanted",
            &RootOfTrust { version: 2, ..root() },
            &[41, 42, 43],
        ),
        make("version-0", "fault.version", "version 0", &RootOfTrust { version: 0, ..root() }, &[41, 42, 43]),
        make(
            "validity",
            "fault.validity",
            "valid for more than 12 months",
            &RootOfTrust { expires: NOW.plus_millis(367 * DAY_MS), ..root() },
            &[41, 42, 43],
        ),
        make(
            "live-too-few",
            "fault.too-few-keys",
            "a live network with a threshold of two",
            &roles(Roles { root: role(2, 41..46), ..root().roles }),
            &[41, 42, 43],
        ),
        make(
            "threshold-0",
            "fault.role.threshold",
            "a role that needs no signature",
            &roles(Roles { timestamp: role(0, 61..62), ..root().roles }),
            &[41, 42, 43],
        ),
        make("keys-unsorted", "fault.role.order", "keys of a role out of order", &reversed, &[41, 42, 43]),
        make(
            "key-in-two-roles",
            "fault.shared-key",
            "the timestamp key is a root key",
            &roles(Roles { timestamp: role(1, 41..42), ..root().roles }),
            &[41, 42, 43],
        ),
        Scenario::new("root", "class-unknown", "decode.malformed", "a class beyond the last")
            .bytes(good().set("class", [2, 0, 0, 0])),
        Scenario::new("root", "truncated", "decode.malformed", "the last byte is missing").bytes(good().cut()),
    ]
}

pub(super) fn next_roots() -> Vec<Scenario> {
    let make = |name, expect, about, next: &RootOfTrust, by: &[u8]| {
        Scenario::new("root", name, expect, about)
            .block("before", hex_of(&root(), &network(), &[41, 42, 43]))
            .bytes(hex_of(next, &network(), by))
    };
    let next = RootOfTrust { version: 2, roles: Roles { root: role(3, 44..49), ..root().roles }, ..root() };
    vec![
        make("next", "ok", "new root keys, signed by three old and three new ones", &next, &[43, 44, 45, 46]),
        make("next-without-old", "old-quorum.below-threshold", "only the new keys signed", &next, &[44, 46, 47, 48]),
        make("next-without-new", "own-quorum.below-threshold", "only the old keys signed", &next, &[41, 42, 43, 44]),
        make(
            "next-skips",
            "version",
            "version 3 after version 1",
            &RootOfTrust { version: 3, ..next.clone() },
            &[43, 44, 45, 46],
        ),
        make("next-again", "version", "version 1 after version 1", &root(), &[41, 42, 43]),
        make(
            "next-class",
            "class",
            "a live network becomes a test network",
            &RootOfTrust { class: NetworkClass::Test, ..next.clone() },
            &[43, 44, 45, 46],
        ),
        make(
            "next-older",
            "created",
            "made before the version before it",
            &RootOfTrust { created: UnixMillis(NOW.0 - 1), ..next.clone() },
            &[43, 44, 45, 46],
        ),
    ]
}
