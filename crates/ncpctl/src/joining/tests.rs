use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Fingerprint, MembershipClass, SignedMembership};
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::root::NetworkClass;
use ncp_store::keyfiles;
use ncp_store::keyfiles::keyring::Keyring;
use tempfile::TempDir;

use super::answer::{Answer, Installed};
use super::authority::{CertificateFault, Subject, check_certificate};
use super::entry::{Made, Maker};
use super::folder::{HubFolder, make_data_folders};
use super::held::OfflineKeys;
use super::hub::{Admitted, Decision, Network, Plan, admit, change_standing, make_network};
use super::request::Request;
use super::root::{RoleSize, read_roots};

const NOW: UnixMillis = UnixMillis(1_795_348_930_000);

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hub_folder(&self) -> HubFolder {
        HubFolder::new(&self.path("hub"), None)
    }

    fn plan(&self, class: NetworkClass) -> Plan {
        Plan {
            keyring: Keyring::OPEN,
            folder: self.hub_folder(),
            class,
            listen: "127.0.0.1:7400".to_owned(),
            socket: self.hub_folder().test_socket(),
            root: RoleSize::of_root(class),
            membership: RoleSize::of_membership(class),
            now: NOW,
        }
    }

    fn network(&self, class: NetworkClass) -> Network {
        make_network(&self.plan(class)).expect("a network")
    }

    fn node(&self, participant: &str, network: NetworkId) -> Made {
        self.try_node(participant, participant, network).expect("keys")
    }

    fn try_node(&self, folder: &str, participant: &str, network: NetworkId) -> Result<Made, Fault> {
        let data = self.path(folder);
        let offline = data.join("offline");
        make_data_folders(&data)?;
        Maker {
            data: &data,
            keyring: &Keyring::OPEN,
            offline: &offline,
            network,
            participant: id(participant),
            now: NOW,
        }
        .node()
    }

    fn request(&self, made: &Made) -> PathBuf {
        let path = self.path(&format!("{}-request.json", made.entry.unverified().participant));
        Request::write(&path, made).expect("written");
        path
    }

    fn admit(&self, request: &Path, fingerprint: Fingerprint) -> Result<Admitted, Fault> {
        admit(&self.hub_folder(), request, &decision(fingerprint), NOW)
    }

    /// XA's answer as a file, after everything before it.
    fn answer(&self, network: &Network) -> PathBuf {
        let made = self.node("XA", network.root.network());
        let admitted = self.admit(&self.request(&made), made.fingerprint()).expect("admitted");
        let path = self.path("XA-answer.json");
        admitted.answer.write(&path).expect("written");
        path
    }
}

fn id(text: &str) -> ParticipantId {
    text.parse().expect("an id")
}

fn decision(fingerprint: Fingerprint) -> Decision {
    Decision { fingerprint, class: MembershipClass::ParticipatingState, role_keys: Vec::new() }
}

/// All files below a folder with their bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(&path).expect("file")));
        }
    }
    found.sort();
    found
}

#[test]
fn a_network_has_what_its_relay_needs_and_keeps_the_rest_apart() {
    let world = World::new();
    let network = world.network(NetworkClass::Live);
    for name in [
        "data/keys/log-traffic-1.key",
        "data/keys/log-public-1.key",
        "data/keys/witness.key",
        "data/keys/timestamp.key",
        "data/keys/tls.key",
        "authority/ca.key",
        "offline/root-5.key",
        "offline/membership-3.key",
        "offline/identity.key",
        "offline/recovery.key",
    ] {
        let path = world.path("hub").join(name);
        let mode = fs::metadata(&path).unwrap_or_else(|_| panic!("{name}")).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    for name in ["tls.crt", "ca.crt", "root-1", "entry-0", "membership-1"] {
        assert!(world.path("hub/data/network").join(name).exists(), "{name}");
    }
    for name in ["identity.key", "recovery.key", "ca.key", "root-1.key"] {
        assert!(!world.path("hub/data/keys").join(name).exists(), "{name}");
    }
    assert_eq!(network.root.newest.root().roles.root.threshold, 3);
    let config = fs::read_to_string(world.path("hub/relay.toml")).expect("configuration");
    assert!(config.contains("listen = \"127.0.0.1:7400\"\n"), "{config}");
    assert!(config.contains(&format!("data-dir = \"{}\"\n", world.path("hub/data").display())), "{config}");
}

#[test]
fn making_a_network_again_changes_nothing() {
    let world = World::new();
    let first = world.network(NetworkClass::Test);
    let before = contents(world.folder.path());
    let again = make_network(&Plan { now: NOW.plus_millis(DAY_MS), ..world.plan(NetworkClass::Test) }).expect("again");
    assert_eq!(again.root.network(), first.root.network());
    assert_eq!(contents(world.folder.path()), before);
    let other = make_network(&world.plan(NetworkClass::Live)).expect_err("another class");
    assert_eq!(other.code, ErrorCode::EntryInstalledAlready);
    assert_eq!(contents(world.folder.path()), before);
}

/// Whatever file an interrupted call had not made yet, the next call ends with a network that works.
#[test]
fn an_interrupted_call_is_finished_by_the_next() {
    let world = World::new();
    world.network(NetworkClass::Test);
    let order = [
        "relay.toml",
        "data/network/root-1",
        "data/network/membership-1",
        "data/network/tls.crt",
        "data/network/ca.crt",
        "authority/membership-1",
        "authority/certificates",
        "authority/network/hub-entry",
        "data/network/entry-0",
        "data/keys/witness.key",
        "data/keys/tls.key",
        "offline/identity.key",
        "authority/network/ca.crt",
        "authority/ca.key",
        "authority/network/root-1",
        "data/keys/timestamp.key",
        "offline/membership-1.key",
        "offline/root-1.key",
    ];
    for cut in 1..=order.len() {
        for name in &order[..cut] {
            let path = world.path("hub").join(name);
            if path.is_dir() {
                fs::remove_dir_all(&path).expect("removed");
            } else if path.exists() {
                fs::remove_file(&path).expect("removed");
            }
        }
        let network = world.network(NetworkClass::Test);
        let made = world.try_node(&format!("node-{cut}"), "XA", network.root.network()).expect("keys");
        let request = world.path(&format!("{cut}.json"));
        Request::write(&request, &made).expect("written");
        world.admit(&request, made.fingerprint()).unwrap_or_else(|fault| panic!("after {}: {fault}", order[cut - 1]));
        // The next cut begins without XA.
        fs::remove_dir_all(world.path("hub")).expect("removed");
        world.network(NetworkClass::Test);
    }
}

#[test]
fn a_live_network_refuses_weak_roles() {
    let world = World::new();
    let weak = |root: &str, membership: &str| {
        let plan = Plan {
            root: root.parse().expect("a size"),
            membership: membership.parse().expect("a size"),
            ..world.plan(NetworkClass::Live)
        };
        make_network(&plan).map(|_| ()).map_err(|fault| fault.code)
    };
    for (root, membership) in [("2/5", "2/3"), ("3/4", "2/3"), ("3/5", "1/3"), ("3/5", "2/2"), ("1/1", "1/1")] {
        assert_eq!(weak(root, membership), Err(ErrorCode::RoleTooWeak), "{root} {membership}");
        assert!(!world.path("hub").exists());
    }
    // Two thirds of seven are five: the protocol's own rule.
    assert_eq!(weak("4/7", "2/3"), Err(ErrorCode::RootInvalid));
    assert!(
        "0/1".parse::<RoleSize>().is_err() && "2/1".parse::<RoleSize>().is_err() && "3".parse::<RoleSize>().is_err()
    );
}

#[test]
fn keys_are_made_once() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let made = world.node("XA", network);
    let before = contents(&world.path("XA"));
    assert_eq!(world.node("XA", network).fingerprint(), made.fingerprint());
    assert_eq!(contents(&world.path("XA")), before);
    let other = world.try_node("XA", "XB", network).expect_err("another participant");
    assert_eq!(other.code, ErrorCode::EntryInstalledAlready);
    let foreign = world.try_node("XA", "XA", NetworkId(ncp_protocol::ids::Digest([9; 32])));
    assert_eq!(foreign.expect_err("another network").code, ErrorCode::EntryInstalledAlready);
    assert_eq!(contents(&world.path("XA")), before);
    assert!(!world.path("XA/keys/recovery.key").exists() && !world.path("XA/keys/identity.key").exists());
}

#[test]
fn a_request_is_written_once_and_never_over_another_file() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let made = world.node("XA", network);
    let path = world.request(&made);
    let bytes = fs::read(&path).expect("file");
    Request::write(&path, &made).expect("the same again");
    assert_eq!(fs::read(&path).expect("file"), bytes);
    let other = world.node("XB", network);
    assert_eq!(Request::write(&path, &other).expect_err("taken").code, ErrorCode::OutputExists);
}

#[test]
fn joining_from_nothing() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let path = world.answer(&network);
    let answer = Answer::read(&path, NOW).expect("verifies");
    let data = world.path("XA");
    let member = answer.check_node(&path, (&data, &Keyring::OPEN), None, NOW).expect("its own");
    assert_eq!((member.participant, member.class), (id("XA"), MembershipClass::ParticipatingState));
    assert_eq!(answer.install(&data).expect("installed"), Installed::Now);
    for name in [keyfiles::HUB_ENTRY, keyfiles::TLS_AUTHORITY, keyfiles::TLS_CHAIN, "network/root-1"] {
        assert!(data.join(name).exists(), "{name}");
    }
    let before = contents(&data);
    assert_eq!(answer.install(&data).expect("again"), Installed::Before);
    assert_eq!(contents(&data), before);
    assert_eq!(read_roots(&data).expect("root").expect("there").network(), network.root.network());
}

#[test]
fn an_interrupted_installation_is_finished_by_the_next() {
    let world = World::new();
    let path = world.answer(&world.network(NetworkClass::Test));
    let answer = Answer::read(&path, NOW).expect("verifies");
    let data = world.path("XA");
    answer.install(&data).expect("installed");
    let whole = contents(&data);
    for name in [keyfiles::TLS_CHAIN, keyfiles::TLS_AUTHORITY, keyfiles::HUB_ENTRY, "network/root-1"] {
        fs::remove_file(data.join(name)).expect("removed");
        let left = contents(&data);
        assert!(left.len() < whole.len());
        if name != "network/root-1" {
            assert_eq!(answer.install(&data).expect("finished"), Installed::Now, "{name}");
        } else {
            answer.install(&data).expect("finished");
        }
        assert_eq!(contents(&data), whole, "{name}");
    }
}

#[test]
fn another_networks_answer_installs_nothing() {
    let (ours, theirs) = (World::new(), World::new());
    let path = ours.answer(&ours.network(NetworkClass::Test));
    let their_path = theirs.answer(&theirs.network(NetworkClass::Test));
    let data = ours.path("XA");
    let foreign = Answer::read(&their_path, NOW).expect("verifies by itself");
    let refused = foreign.check_node(&their_path, (&data, &Keyring::OPEN), None, NOW).expect_err("foreign");
    assert_eq!(refused.code, ErrorCode::AnswerForAnother);
    Answer::read(&path, NOW).expect("own").install(&data).expect("installed");
    let before = contents(&data);
    assert_eq!(foreign.install(&data).expect_err("never over another").code, ErrorCode::OutputExists);
    assert_eq!(contents(&data), before);
}

#[test]
fn another_participants_answer_is_refused() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let path = world.answer(&network);
    world.node("XB", network.root.network());
    let answer = Answer::read(&path, NOW).expect("verifies");
    let check = |folder: &str| {
        answer
            .check_node(&path, (&world.path(folder), &Keyring::OPEN), None, NOW)
            .map(|_| ())
            .map_err(|fault| fault.code)
    };
    assert_eq!(check("XB"), Err(ErrorCode::AnswerForAnother));
    // The same participant with keys made a second time.
    world.try_node("second", "XA", network.root.network()).expect("keys");
    assert_eq!(check("second"), Err(ErrorCode::AnswerForAnother));
    fs::create_dir(world.path("empty")).expect("made");
    assert_eq!(check("empty"), Err(ErrorCode::KeyFileMissing));
}

#[test]
fn a_changed_answer_is_refused() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let path = world.answer(&network);
    let good = fs::read_to_string(&path).expect("text");
    let wire: serde_json::Value = serde_json::from_str(&good).expect("JSON");
    let theirs = World::new();
    let their_path = theirs.answer(&theirs.network(NetworkClass::Test));
    let their_wire: serde_json::Value = serde_json::from_slice(&fs::read(&their_path).expect("file")).expect("JSON");
    let data = world.path("XA");
    let outcome = |member: &str, value: serde_json::Value| {
        let mut changed = wire.clone();
        changed[member] = value;
        let path = world.path("changed.json");
        fs::write(&path, changed.to_string()).expect("written");
        Answer::read(&path, NOW)
            .and_then(|answer| answer.check_node(&path, (&data, &Keyring::OPEN), None, NOW))
            .map(|_| ())
            .map_err(|f| f.code)
    };
    assert_eq!(outcome("schema", wire["schema"].clone()), Ok(()));
    for (member, expected) in [
        ("roots", ErrorCode::MembershipInvalid),
        ("hub_entry", ErrorCode::JoiningFileInvalid),
        // The folder has its own entry; that of the answer is looked at when it is lost.
        ("membership", ErrorCode::MembershipInvalid),
        ("certificate", ErrorCode::JoiningFileInvalid),
        ("authority", ErrorCode::JoiningFileInvalid),
    ] {
        assert_eq!(outcome(member, their_wire[member].clone()), Err(expected), "{member} of another network");
    }
    assert_eq!(outcome("participant", "XB".into()), Err(ErrorCode::AnswerForAnother));
    assert_eq!(outcome("schema", "ncp.joining-answer/2".into()), Err(ErrorCode::JoiningFileInvalid));
    assert_eq!(outcome("more", 1.into()), Err(ErrorCode::JoiningFileInvalid));
    assert_eq!(outcome("roots", serde_json::json!([])), Err(ErrorCode::RootInvalid));
    assert_eq!(outcome("hub_entry", wire["membership"].clone()), Err(ErrorCode::EntryInvalid));
    let late = NOW.plus_millis(91 * DAY_MS);
    assert_eq!(Answer::read(&path, late).map(|_| ()).map_err(|fault| fault.code), Err(ErrorCode::JoiningFileInvalid));
}

#[test]
fn admission_needs_the_fingerprint_that_was_read_out() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let made = world.node("XA", network.root.network());
    let request = world.request(&made);
    let before = contents(&world.path("hub"));
    let wrong = Fingerprint(ncp_protocol::ids::Digest([1; 32]));
    assert_eq!(world.admit(&request, wrong).expect_err("wrong").code, ErrorCode::FingerprintDiffers);
    assert_eq!(contents(&world.path("hub")), before);
}

#[test]
fn a_request_whose_parts_do_not_agree_is_refused() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let (xa, xb) = (world.node("XA", network), world.node("XB", network));
    let (xa_path, xb_path) = (world.request(&xa), world.request(&xb));
    let read =
        |path: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(path).expect("file")).expect("JSON") };
    let (xa_wire, xb_wire) = (read(&xa_path), read(&xb_path));
    let check = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut wire = xa_wire.clone();
        change(&mut wire);
        let path = world.path("changed.json");
        fs::write(&path, wire.to_string()).expect("written");
        Request::read(&path).map(|_| ()).map_err(|fault| fault.code)
    };
    assert_eq!(check(&|_| ()), Ok(()));
    let invalid = Err(ErrorCode::JoiningFileInvalid);
    assert_eq!(check(&|wire| wire["certificate_request"] = xb_wire["certificate_request"].clone()), invalid);
    assert_eq!(check(&|wire| wire["certificate_request"] = "none".into()), invalid);
    assert_eq!(check(&|wire| wire["entry"] = "AAAA".into()), invalid);
    assert_eq!(check(&|wire| wire["schema"] = "ncp.joining-answer/1".into()), invalid);
    let mut entry = xa.entry.encode();
    *entry.last_mut().expect("bytes") ^= 1;
    assert_eq!(check(&|wire| wire["entry"] = base64(&entry).into()), invalid);
    let missing = Request::read(&world.path("none")).map(|_| ()).map_err(|fault| fault.code);
    assert_eq!(missing, Err(ErrorCode::FileMissing));
}

fn base64(bytes: &[u8]) -> String {
    #[derive(serde::Serialize)]
    struct Wire(#[serde(with = "ncp_api::text::base64")] Vec<u8>);
    serde_json::to_value(Wire(bytes.to_vec())).expect("JSON").as_str().expect("text").to_owned()
}

#[test]
fn admission_is_repeatable() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let made = world.node("XA", network.root.network());
    let request = world.request(&made);
    let first = world.admit(&request, made.fingerprint()).expect("admitted");
    let before = contents(&world.path("hub"));
    let again = world.admit(&request, made.fingerprint()).expect("again");
    assert_eq!(contents(&world.path("hub")), before);
    assert_eq!(again.answer.certificate, first.answer.certificate);
    assert_eq!(again.answer.membership, first.answer.membership);
    assert_eq!(first.answer.membership.unverified().version, 2);
    // A month later the statement is renewed.
    let later = admit(&world.hub_folder(), &request, &decision(made.fingerprint()), NOW.plus_millis(31 * DAY_MS));
    assert_eq!(later.expect("renewed").answer.membership.unverified().version, 3);
}

#[test]
fn a_member_with_other_keys_is_not_taken_in_again() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    world.answer(&network);
    let second = world.try_node("second", "XA", network.root.network()).expect("keys");
    let path = world.path("second.json");
    Request::write(&path, &second).expect("written");
    assert_eq!(world.admit(&path, second.fingerprint()).expect_err("known").code, ErrorCode::FingerprintDiffers);
}

#[test]
fn membership_needs_its_threshold_of_keys_wherever_they_lie() {
    let world = World::new();
    let network = world.network(NetworkClass::Live);
    let made = world.node("XA", network.root.network());
    let request = world.request(&made);
    let offline = world.path("hub/offline");
    for number in 1..=2 {
        let name = format!("membership-{number}.key");
        fs::rename(offline.join(&name), world.path(&name)).expect("carried away");
    }
    let refused = world.admit(&request, made.fingerprint()).expect_err("one of three");
    assert_eq!(refused.code, ErrorCode::RoleKeysMissing);
    let with = |keys: &[&str]| {
        let role_keys = keys.iter().map(|name| world.path(name)).collect();
        let decision = Decision { role_keys, ..decision(made.fingerprint()) };
        admit(&world.hub_folder(), &request, &decision, NOW).map(|_| ()).map_err(|fault| fault.code)
    };
    fs::rename(offline.join("membership-3.key"), world.path("membership-3.key")).expect("carried away");
    // One key twice is one key; a key of another role is none.
    assert_eq!(with(&["membership-1.key", "membership-1.key"]), Err(ErrorCode::RoleKeysMissing));
    assert_eq!(with(&["membership-1.key", "hub/offline/root-1.key"]), Err(ErrorCode::KeyFileDamaged));
    assert_eq!(with(&["membership-1.key", "none.key"]), Err(ErrorCode::KeyFileMissing));
    assert_eq!(with(&["membership-1.key", "membership-2.key"]), Ok(()));
}

#[test]
fn a_member_is_suspended_and_reinstated_by_the_membership_role() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    world.answer(&network);
    let change = |participant: &str, reason: Option<&str>| {
        let reason = reason.map(|code| code.parse().expect("a code"));
        change_standing(&world.hub_folder(), id(participant), reason, &[], NOW)
    };
    let standing = |signed: &SignedMembership| {
        let member = signed.unverified().member(id("XA")).expect("a member").clone();
        (signed.unverified().version, member.suspended.map(|reason| reason.to_string()))
    };
    let suspended = change("XA", Some("key-compromise")).expect("signed");
    assert_eq!(standing(&suspended), (3, Some("key-compromise".to_owned())));
    let before = contents(&world.path("hub"));
    assert_eq!(change("XA", Some("key-compromise")).expect("the same again"), suspended);
    assert_eq!(contents(&world.path("hub")), before);
    // Who is admitted again meanwhile stays suspended.
    let made = world.node("XA", network.root.network());
    let later = admit(
        &world.hub_folder(),
        &world.path("XA-request.json"),
        &decision(made.fingerprint()),
        NOW.plus_millis(31 * DAY_MS),
    );
    let renewed = later.expect("renewed").answer.membership;
    assert_eq!(standing(&renewed), (4, Some("key-compromise".to_owned())));
    assert_eq!(standing(&change("XA", None).expect("signed")), (5, None));
    assert_eq!(change("XB", None).expect_err("nobody").code, ErrorCode::NotMember);
}

#[test]
fn certificates_say_who_and_which_end() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let path = world.answer(&network);
    let answer = Answer::read(&path, NOW).expect("verifies");
    let hub_certificate = fs::read_to_string(world.path("hub/data/network/tls.crt")).expect("certificate");
    let subject = |participant| Subject { network: network.root.network(), class: NetworkClass::Test, participant };
    let check = |certificate: &str, participant, now| {
        check_certificate(certificate, &answer.authority, &subject(participant), now).map(|_| ())
    };
    assert_eq!(check(&answer.certificate, id("XA"), NOW), Ok(()));
    assert_eq!(check(&hub_certificate, ParticipantId::HUB, NOW), Ok(()));
    assert_eq!(check(&answer.certificate, id("XB"), NOW), Err(CertificateFault::Name));
    assert_eq!(check(&answer.authority, id("XA"), NOW), Err(CertificateFault::Name));
    for late in [NOW.plus_millis(370 * DAY_MS), UnixMillis(NOW.0 - 3 * DAY_MS)] {
        assert_eq!(check(&answer.certificate, id("XA"), late), Err(CertificateFault::Validity));
    }
    let other = World::new();
    other.network(NetworkClass::Test);
    let foreign = fs::read_to_string(other.path("hub/data/network/ca.crt")).expect("authority");
    let outcome = check_certificate(&answer.certificate, &foreign, &subject(id("XA")), NOW).map(|_| ());
    assert_eq!(outcome, Err(CertificateFault::Signature));
    let outcome = check_certificate(&answer.certificate, &answer.certificate, &subject(id("XA")), NOW).map(|_| ());
    assert_eq!(outcome, Err(CertificateFault::NoAuthority));
}

/// XA's folder after joining, with its answer and the network.
fn joined() -> (World, PathBuf, Network) {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let path = world.answer(&network);
    Answer::read(&path, NOW).expect("verifies").install(&world.path("XA")).expect("installed");
    (world, path, network)
}

fn installs(path: &Path, data: &Path, told: Option<NetworkId>) -> Result<(), Fault> {
    let answer = Answer::read(path, NOW)?;
    answer.check_node(path, (data, &Keyring::OPEN), told, NOW)?;
    answer.install(data).map(|_| ())
}

#[test]
fn keys_that_were_carried_away_are_not_made_anew() {
    let (world, _, network) = joined();
    let first = world.node("XA", network.root.network());
    assert_eq!(first.offline, OfflineKeys::Here);
    for folder in ["XA/offline", "hub/offline"] {
        let away = world.path(&folder.replace('/', "-"));
        fs::rename(world.path(folder), &away).expect("carried away");
    }
    let before = contents(&world.path("XA"));
    let again = world.node("XA", network.root.network());
    assert_eq!((again.fingerprint(), again.offline), (first.fingerprint(), OfflineKeys::CarriedAway));
    assert_eq!(contents(&world.path("XA")), before);
    let before = contents(&world.path("hub"));
    let again = world.network(NetworkClass::Test);
    assert_eq!((again.hub.digest(), again.offline), (network.hub.digest(), OfflineKeys::CarriedAway));
    assert_eq!(contents(&world.path("hub")), before);
    // A key that an earlier version made beside the entry is not taken for the real one.
    let stray = world.path("XA/offline");
    fs::create_dir(&stray).expect("made");
    fs::copy(world.path("hub-offline/identity.key"), stray.join("identity.key")).expect("copied");
    let refused = world.try_node("XA", "XA", network.root.network()).expect_err("another key");
    assert_eq!(refused.code, ErrorCode::KeyNotOfEntry);
}

#[test]
fn a_lost_key_is_named_and_never_made_anew() {
    let (world, answer, network) = joined();
    let data = world.path("XA");
    for name in ["signing", "sealing-1", "log-node-1", "witness", "storage", "tls"] {
        let (key, away) = (data.join(format!("keys/{name}.key")), world.path("away"));
        fs::rename(&key, &away).expect("moved");
        let before = contents(&data);
        for refused in [world.try_node("XA", "XA", network.root.network()).map(|_| ()), installs(&answer, &data, None)]
        {
            let fault = refused.expect_err(name);
            assert_eq!(fault.code, ErrorCode::KeyFileMissing, "{name}: {fault}");
            let text = fault.to_string();
            assert!(text.contains(&format!("{name}.key")) && text.contains("put back the copy"), "{text}");
        }
        assert_eq!(contents(&data), before, "{name}");
        fs::rename(&away, &key).expect("moved back");
    }
    world.node("XB", network.root.network());
    fs::copy(world.path("XB/keys/witness.key"), data.join("keys/witness.key")).expect("copied");
    let fault = installs(&answer, &data, None).expect_err("another's key");
    assert_eq!(fault.code, ErrorCode::KeyNotOfEntry, "{fault}");
}

#[test]
fn lost_network_files_come_back_from_the_answer_and_no_second_entry_is_made() {
    let (world, answer, network) = joined();
    let data = world.path("XA");
    let whole = contents(&data);
    fs::remove_dir_all(data.join("network")).expect("lost");
    fs::rename(data.join("offline"), world.path("away")).expect("carried away");
    // `keys init` makes no other entry beside the keys of the lost one.
    let fault = world.try_node("XA", "XA", network.root.network()).expect_err("lost");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.remedy().contains("keys install XA-answer.json"), "{fault}");
    assert!(!data.join("network/entry-0").exists() && !data.join("offline").exists());
    // `keys install` believes an answer only of the network that people named.
    let fault = installs(&answer, &data, None).expect_err("which network?");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.remedy().contains("--network"), "{fault}");
    let other = NetworkId(ncp_protocol::ids::Digest([9; 32]));
    assert_eq!(installs(&answer, &data, Some(other)).expect_err("another").code, ErrorCode::AnswerForAnother);
    installs(&answer, &data, Some(network.root.network())).expect("all of it");
    fs::rename(world.path("away"), data.join("offline")).expect("brought back");
    assert_eq!(contents(&data), whole);
    // The keys have to be those of the answer's entry.
    world.node("XB", network.root.network());
    fs::remove_dir_all(data.join("network")).expect("lost");
    fs::create_dir(data.join("network")).expect("made");
    fs::copy(world.path("XB/keys/tls.key"), data.join("keys/tls.key")).expect("copied");
    let fault = installs(&answer, &data, Some(network.root.network())).expect_err("another key");
    assert_eq!(fault.code, ErrorCode::KeyNotOfEntry, "{fault}");
}

#[test]
fn an_entry_lost_before_the_answer_comes_back_from_the_request() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let made = world.node("XA", network);
    let (request, data) = (world.request(&made), world.path("XA"));
    let whole = contents(&data);
    fs::remove_file(data.join("network/entry-0")).expect("lost");
    Request::restore_entry(&request, &data, &Keyring::OPEN).expect("restored");
    assert_eq!(contents(&data), whole);
    fs::remove_file(data.join("network/entry-0")).expect("lost");
    world.node("XB", network);
    fs::copy(world.path("XB/keys/signing.key"), data.join("keys/signing.key")).expect("copied");
    assert_eq!(
        Request::restore_entry(&request, &data, &Keyring::OPEN).expect_err("other keys").code,
        ErrorCode::KeyNotOfEntry
    );
}

#[test]
fn a_foreign_file_in_the_way_is_named_with_what_to_do() {
    let (world, answer, _) = joined();
    let data = world.path("XA");
    fs::copy(world.path("hub/data/network/tls.crt"), data.join("network/tls.crt")).expect("copied");
    let fault = installs(&answer, &data, None).expect_err("foreign");
    assert_eq!(fault.code, ErrorCode::OutputExists);
    assert!(fault.remedy().contains("move it away") && !fault.remedy().contains("--to"), "{fault}");
    fs::remove_file(data.join("network/tls.crt")).expect("moved away");
    installs(&answer, &data, None).expect("put back");
}

#[test]
fn a_hub_that_lost_its_data_folder_is_told_so_and_nothing_is_made() {
    let world = World::new();
    world.network(NetworkClass::Test);
    fs::remove_dir_all(world.path("hub/data")).expect("lost");
    let before = contents(world.folder.path());
    let fault = make_network(&world.plan(NetworkClass::Test)).expect_err("lost");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.remedy().contains("put back the newest backup"), "{fault}");
    assert_eq!(contents(world.folder.path()), before);
    assert!(!world.path("hub/data").exists());
}
