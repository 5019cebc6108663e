//! The hub's answer: installed once and whole, refused where it is another's or was changed.

use ncp_api::ErrorCode;
use ncp_protocol::limits::DAY_MS;
use ncp_store::keyfiles;

use super::*;
use crate::joining::authority::{CertificateFault, Subject, check_certificate};
use crate::joining::root::read_roots;

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
        ("entries", ErrorCode::AnswerForAnother),
        ("membership", ErrorCode::MembershipInvalid),
        ("certificate", ErrorCode::JoiningFileInvalid),
        ("authority", ErrorCode::JoiningFileInvalid),
    ] {
        assert_eq!(outcome(member, their_wire[member].clone()), Err(expected), "{member} of another network");
    }
    assert_eq!(outcome("participant", "XB".into()), Err(ErrorCode::AnswerForAnother));
    assert_eq!(outcome("schema", "ncp.joining-answer/1".into()), Err(ErrorCode::JoiningFileInvalid));
    assert_eq!(outcome("more", 1.into()), Err(ErrorCode::JoiningFileInvalid));
    assert_eq!(outcome("roots", serde_json::json!([])), Err(ErrorCode::RootInvalid));
    assert_eq!(outcome("hub_entry", wire["membership"].clone()), Err(ErrorCode::EntryInvalid));
    let late = NOW.plus_millis(91 * DAY_MS);
    assert_eq!(Answer::read(&path, late).map(|_| ()).map_err(|fault| fault.code), Err(ErrorCode::JoiningFileInvalid));
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
