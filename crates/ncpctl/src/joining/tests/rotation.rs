//! The next versions of an entry: what is new in them, what stays, and what is found again after a crash.

use ncp_api::ErrorCode;
use ncp_protocol::directory::{Chain, Entry, SignedEntry};
use ncp_protocol::ids::KeyId;
use ncp_protocol::limits::{SEAL_PERIOD_MAX_MS, SEALING_KEYS_MAX};
use ncp_store::keyfiles;

use super::*;
use crate::joining::authority::{key_id, parse_one};
use crate::joining::entries::Entries;
use crate::joining::held::check_keys;
use crate::joining::rotate::News;

const NOTHING: Wish = Wish { signing: false, tls: false, again: false, compromised: false, recovery: false };
const SIGNING: Wish = Wish { signing: true, ..NOTHING };
const TLS: Wish = Wish { tls: true, ..NOTHING };
const AGAIN: Wish = Wish { again: true, ..NOTHING };

const COMPROMISED: Wish = Wish { compromised: true, ..NOTHING };
const RECOVERY: Wish = Wish { recovery: true, ..NOTHING };

/// The chain of a folder's entries, as whoever pinned the fingerprint judges it.
fn judged(world: &World, folder: &str, fingerprint: Fingerprint) -> Chain {
    let entry = |version: u32| {
        let bytes = fs::read(world.path(folder).join(format!("network/entry-{version}"))).ok()?;
        Some(SignedEntry::decode(&bytes).expect("an entry"))
    };
    let first = entry(0).expect("version 0");
    let mut chain = Chain::first(&first.unverified().network, &fingerprint, &first).expect("the first");
    for signed in (1..).map_while(entry) {
        chain = chain.next(&signed).expect("follows");
    }
    chain
}

fn files(world: &World, kind: &str) -> usize {
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind));
    contents(&world.path("XA/keys")).iter().filter(|(path, _)| named(path)).count()
}

fn sealing(entry: &Entry) -> Vec<KeyId> {
    entry.keys.sealing.iter().map(|key| key.public.id()).collect()
}

#[test]
fn each_version_seals_on_and_keeps_what_may_still_open() {
    let world = World::new();
    world.joined();
    let fingerprint = world.node("XA", world.network(NetworkClass::Test).root.network()).fingerprint();
    let first = judged(&world, "XA", fingerprint).entry().clone();
    let mut newest = Vec::new();
    // A key opens for 122 days: on day 180 the first is gone, on day 300 those of days 60 and 120.
    for (version, (days, keys)) in (1..).zip([(60, 2), (120, 3), (180, 3), (240, 3), (300, 3)]) {
        let rotated = world.rotate("XA", Wish::default(), after(days)).expect("rotated");
        assert!(rotated.is_new);
        let chain = judged(&world, "XA", fingerprint);
        let entry = chain.entry();
        assert_eq!((entry.version, entry.created), (version, after(days)));
        assert_eq!(entry.keys.sealing.len(), keys, "day {days}");
        let seals = entry.sealing_key(after(days)).expect("seals on");
        assert_eq!(seals.seal_until, after(days).plus_millis(SEAL_PERIOD_MAX_MS));
        assert!(!newest.contains(&seals.public.id()), "day {days}: a new key");
        let open = entry.keys.sealing.iter().all(|key| key.open_until > after(days));
        assert!(open && newest.last().is_none_or(|last| sealing(entry).contains(last)), "day {days}");
        newest.push(seals.public.id());
        let kept = |entry: &Entry| {
            let keys = entry.keys.clone();
            (keys.identity, keys.recovery, keys.logs, keys.witness, keys.tls, entry.suite_floor)
        };
        assert_eq!(kept(entry), kept(&first), "day {days}");
        let (signing, before) = (entry.keys.signing.expect("signs"), first.keys.signing.expect("signs"));
        if days < 300 {
            assert_eq!(signing, before, "day {days}");
        } else {
            // 66 days are left. What was released up to 30 days ago may be sealed again.
            assert_ne!(signing.key, before.key);
            assert_eq!((signing.from, signing.until), (after(270), after(666)));
        }
    }
    assert_eq!((files(&world, "sealing"), files(&world, "signing"), files(&world, "tls")), (6, 2, 1));
}

#[test]
fn a_signing_key_that_is_asked_for_is_valid_no_earlier_than_the_one_before() {
    let world = World::new();
    world.joined();
    let rotated = world.rotate("XA", SIGNING, after(10)).expect("rotated");
    let signing = rotated.made.entries.newest().keys.signing.expect("signs");
    assert_eq!((signing.from, signing.until), (NOW, after(376)));
    assert_eq!(News::of(&rotated.made.entries), News { identity: false, signing: true, tls: false });
    assert_eq!(files(&world, "signing"), 2);
}

#[test]
fn of_more_sealing_keys_than_an_entry_takes_the_last_to_open_stay() {
    let world = World::new();
    world.joined();
    let mut made = Vec::new();
    for days in 1..=5 {
        let entry = world.rotate("XA", AGAIN, after(days)).expect("rotated").made.entries.newest().clone();
        made.push(entry.sealing_key(after(days)).expect("seals").public.id());
        let mut last: Vec<KeyId> = made.iter().rev().take(SEALING_KEYS_MAX).copied().collect();
        last.sort_unstable();
        if made.len() >= SEALING_KEYS_MAX {
            assert_eq!(sealing(&entry), last, "day {days}");
        }
    }
    assert_eq!(files(&world, "sealing"), 6);
}

#[test]
fn keys_that_an_interrupted_call_left_are_used_by_the_next() {
    let world = World::new();
    world.joined();
    let wish = Wish { signing: true, ..TLS };
    let first = world.rotate("XA", wish, after(60)).expect("rotated").made;
    let keys = contents(&world.path("XA/keys"));
    fs::remove_file(world.path("XA/network/entry-1")).expect("not written yet");
    let again = world.rotate("XA", wish, after(61)).expect("finished").made;
    assert_eq!(contents(&world.path("XA/keys")), keys);
    let named = |made: &Made| {
        let keys = made.entries.newest().keys.clone();
        (sealing(made.entries.newest()), keys.signing.map(|signing| signing.key), keys.tls)
    };
    assert_eq!(named(&again), named(&first));
    // Once an entry names them, the next version gets others.
    let next = world.rotate("XA", wish, after(120)).expect("rotated").made;
    assert_ne!(named(&next).1, named(&first).1);
    assert_eq!((files(&world, "sealing"), files(&world, "signing"), files(&world, "tls")), (3, 3, 3));
}

#[test]
fn within_a_day_the_same_version_is_found_again() {
    let world = World::new();
    world.joined();
    let first = world.rotate("XA", Wish::default(), after(60)).expect("rotated");
    let request = world.path("request.json");
    Request::write(&request, &first.made).expect("written");
    let before = contents(world.folder.path());
    let later = UnixMillis(after(61).0 - 1);
    let again = world.rotate("XA", Wish::default(), later).expect("found");
    assert!(first.is_new && !again.is_new);
    Request::write(&request, &again.made).expect("the same");
    assert_eq!(contents(world.folder.path()), before);
    for (wish, flag) in [(SIGNING, "--signing"), (TLS, "--tls")] {
        let fault = world.rotate("XA", wish, later).expect_err("the young entry lacks it");
        assert_eq!(fault.code, ErrorCode::UsageInvalid);
        assert!(fault.remedy().contains("--again") && fault.remedy().contains(flag), "{fault}");
    }
    assert_eq!(contents(world.folder.path()), before);
    let more = world.rotate("XA", Wish { again: true, ..SIGNING }, later).expect("another");
    assert_eq!((more.made.entries.version(), News::of(&more.made.entries).signing), (2, true));
    // That one has the signing key, so the same without --again is no contradiction; a day later another is made.
    assert!(!world.rotate("XA", SIGNING, later).expect("found").is_new);
    assert_eq!(world.rotate("XA", Wish::default(), after(62)).expect("rotated").made.entries.version(), 3);
}

#[test]
fn a_new_tls_key_is_pinned_beside_the_old_one_until_its_certificate_is_there() {
    let world = World::new();
    world.joined();
    let data = world.path("XA");
    let old = world.rotate("XA", Wish::default(), after(1)).expect("rotated").made.entries.newest().keys.tls.clone();
    let made = world.rotate("XA", TLS, after(10)).expect("rotated").made;
    let pins = made.entries.newest().keys.tls.clone();
    assert!(pins.len() == 2 && pins.contains(&old[0]) && pins.is_sorted(), "{pins:?}");
    let new = *pins.iter().find(|pin| **pin != old[0]).expect("a new one");
    // Before the certificate is there, both stay pinned, and the request is for the new one.
    let next = world.rotate("XA", Wish::default(), after(20)).expect("rotated").made;
    assert_eq!(next.entries.newest().keys.tls, pins);
    let answer = world.renewal(&next, after(20)).expect("answered");
    let request = Request::read(&world.path("XA-request-3.json")).expect("read");
    assert_eq!(key_id(&request.key), new);
    assert_eq!(install(&answer, &data, None, after(20)).expect("installed"), Installed::Renewed);
    let certificate = fs::read_to_string(data.join("network/tls-2.crt")).expect("installed");
    assert_eq!(parse_one(&certificate).expect("a certificate").key, new);
    let last = world.rotate("XA", Wish::default(), after(80)).expect("rotated").made;
    assert_eq!(last.entries.newest().keys.tls, [new]);
    let answer = world.renewal(&last, after(80)).expect("answered");
    assert_eq!(install(&answer, &data, None, after(80)).expect("nothing new"), Installed::Before);
    // The next change pins the one that serves, which is no longer the first.
    let change = world.rotate("XA", TLS, after(90)).expect("rotated").made;
    let pins = &change.entries.newest().keys.tls;
    assert!(pins.len() == 2 && pins.contains(&new) && !pins.contains(&old[0]), "{pins:?}");
}

/// The daemon empties the file of a sealing key that has ended; its number stays taken.
#[test]
fn destroyed_sealing_keys_disturb_nothing() {
    let world = World::new();
    world.joined();
    let data = world.path("XA");
    for days in [60, 130] {
        world.rotate("XA", Wish::default(), after(days)).expect("rotated");
    }
    let ended = data.join(keyfiles::sealing_key_path(1));
    keyfiles::destroy_key(&ended).expect("destroyed");
    let made = world.rotate("XA", Wish::default(), after(190)).expect("rotated").made;
    assert_eq!((files(&world, "sealing"), fs::metadata(&ended).expect("stays").len()), (4, 0));
    // One that the entry still names is missed.
    let serving = data.join(keyfiles::sealing_key_path(4));
    keyfiles::destroy_key(&serving).expect("destroyed");
    let missed = check_keys(&data, &Keyring::OPEN, &made.entries).expect_err("destroyed too soon");
    assert_eq!(missed.code, ErrorCode::KeyFileMissing);
}

#[test]
fn without_the_identity_key_nothing_is_made() {
    let world = World::new();
    let network = world.joined();
    let data = world.path("XA");
    fs::rename(data.join("offline"), world.path("usb")).expect("carried away");
    let before = contents(&data);
    let fault = world.rotate("XA", Wish::default(), after(60)).expect_err("carried away");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.remedy().contains("--offline"), "{fault}");
    world.node("XB", network.root.network());
    let with = |offline: &str| {
        let offline = world.path(offline);
        let wish = Wish::default();
        Rotation { data: &data, keyring: &Keyring::OPEN, offline: &offline, wish, now: after(60) }.rotate()
    };
    assert_eq!(with("XB/offline").expect_err("another's").code, ErrorCode::KeyNotOfEntry);
    assert_eq!(contents(&data), before);
    assert_eq!(with("usb").expect("brought back").made.entries.version(), 1);
}

#[test]
fn no_version_is_made_that_names_a_lost_key() {
    let world = World::new();
    world.joined();
    let data = world.path("XA");
    for name in ["witness", "log-node-1"] {
        let (key, away) = (data.join(format!("keys/{name}.key")), world.path("away"));
        fs::rename(&key, &away).expect("moved");
        let fault = world.rotate("XA", Wish::default(), after(60)).expect_err(name);
        assert_eq!(fault.code, ErrorCode::KeyFileMissing);
        assert!(!data.join("network/entry-1").exists(), "{name}");
        fs::rename(&away, &key).expect("moved back");
    }
    assert_eq!(world.rotate("XA", Wish::default(), after(60)).expect("whole").made.entries.version(), 1);
    assert_eq!(files(&world, "sealing"), 2);
}

#[test]
fn the_hubs_folder_and_an_empty_one_are_refused() {
    let world = World::new();
    world.network(NetworkClass::Test);
    let before = contents(&world.path("hub"));
    let fault = world.rotate("hub/data", Wish::default(), after(60)).expect_err("the hub's");
    assert_eq!(fault.code, ErrorCode::UsageInvalid);
    assert!(fault.remedy().contains("hub renew"), "{fault}");
    assert_eq!(contents(&world.path("hub")), before);
    make_data_folders(&world.path("empty")).expect("made");
    assert_eq!(world.rotate("empty", Wish::default(), NOW).expect_err("no keys").code, ErrorCode::KeyFileMissing);
}

#[test]
fn a_renewal_is_installed_once_and_the_certificate_gets_the_next_number() {
    let world = World::new();
    world.joined();
    let data = world.path("XA");
    let second = data.join("network/tls-2.crt");
    // 66 days are left of the certificate: it stays.
    let made = world.rotate("XA", Wish::default(), after(300)).expect("rotated").made;
    let answer = world.renewal(&made, after(300)).expect("answered");
    assert_eq!(install(&answer, &data, None, after(300)).expect("agrees"), Installed::Before);
    assert!(!second.exists());
    let made = world.rotate("XA", Wish::default(), after(310)).expect("rotated").made;
    let answer = world.renewal(&made, after(310)).expect("answered");
    let first = fs::read(data.join("network/tls.crt")).expect("file");
    assert_eq!(install(&answer, &data, None, after(310)).expect("renewed"), Installed::Renewed);
    assert_eq!(fs::read(data.join("network/tls.crt")).expect("file"), first);
    let before = contents(&data);
    assert_eq!(install(&answer, &data, None, after(310)).expect("again"), Installed::Before);
    // An answer from before the renewal puts no older certificate behind the new one.
    install(&world.path("XA-answer-1.json"), &data, None, after(310)).expect("agrees");
    assert_eq!(contents(&data), before);
    assert!(second.exists());
}

#[test]
fn an_answer_to_another_history_or_other_keys_is_refused() {
    let world = World::new();
    world.joined();
    for (path, bytes) in contents(&world.path("XA")) {
        let copy = world.path("copy").join(path.strip_prefix(world.path("XA")).expect("below"));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("made");
        fs::write(&copy, bytes).expect("copied");
        fs::set_permissions(&copy, fs::metadata(&path).expect("file").permissions()).expect("mode");
    }
    let made = world.rotate("XA", TLS, after(60)).expect("rotated").made;
    let answer = world.renewal(&made, after(60)).expect("answered");
    let copy = world.path("copy");
    // The copy knows none of the new keys.
    let before = contents(&copy);
    assert_eq!(install(&answer, &copy, None, after(60)).expect_err("no keys").code, ErrorCode::KeyFileMissing);
    assert_eq!(contents(&copy), before);
    // It goes on by itself: two histories of one participant.
    world.rotate("copy", TLS, after(60)).expect("rotated");
    let before = contents(&copy);
    let fault = install(&answer, &copy, None, after(60)).expect_err("another history");
    assert_eq!(fault.code, ErrorCode::AnswerForAnother);
    assert!(fault.cause().contains("version 1"), "{fault}");
    assert_eq!(contents(&copy), before);
}

#[test]
fn keys_that_others_may_have_are_named_no_longer() {
    let world = World::new();
    world.joined();
    world.rotate("XA", Wish::default(), after(1)).expect("rotated");
    world.node("XB", world.network(NetworkClass::Test).root.network());
    let before = Entries::read(&world.path("XA")).expect("readable").expect("entries").newest().keys.clone();
    // What an interrupted call left may be known, too.
    for left in ["signing-2.key", "sealing-3.key"] {
        let first = left.replace("-2", "").replace("-3", "-1");
        fs::copy(world.path("XB/keys").join(first), world.path("XA/keys").join(left)).expect("left");
    }
    // At once, although the newest version is of today.
    let made = world.rotate("XA", COMPROMISED, after(1)).expect("rotated").made;
    let keys = &made.entries.newest().keys;
    assert_eq!((keys.sealing.len(), keys.tls.len(), made.entries.version()), (1, 1, 2));
    assert!(!before.sealing.contains(&keys.sealing[0]) && !before.tls.contains(&keys.tls[0]));
    assert_ne!(keys.signing.expect("signs").key, before.signing.expect("signs").key);
    check_keys(&world.path("XA"), &Keyring::OPEN, &made.entries).expect("all keys are here");
    assert_eq!((files(&world, "signing"), files(&world, "sealing")), (3, 4));
    let answer = world.renewal(&made, after(1)).expect("admitted");
    install(&answer, &world.path("XA"), None, after(1)).expect("installed");
}

#[test]
fn an_entry_that_was_made_in_the_future_is_not_gone_on_from_and_not_admitted() {
    let world = World::new();
    world.joined();
    let ahead = world.rotate("XA", SIGNING, after(200)).expect("by a clock that is ahead").made;
    assert_eq!(world.rotate("XA", SIGNING, after(1)).expect_err("refused").code, ErrorCode::UsageInvalid);
    assert_eq!(world.renewal(&ahead, after(1)).expect_err("refused").code, ErrorCode::JoiningFileInvalid);
    // Its file away, the keys that it left serve the next one.
    fs::remove_file(world.path("XA/network/entry-1")).expect("it was there");
    let made = world.rotate("XA", SIGNING, after(1)).expect("rotated").made;
    assert_eq!(made.entries.version(), 1);
    assert!(made.entries.newest().keys.signing.expect("signs").from <= after(1));
    fs::remove_file(world.path("XA-request-1.json")).expect("the refused one");
    world.renewal(&made, after(1)).expect("admitted");
}

#[test]
fn a_lost_identity_key_is_replaced_by_the_word_of_the_recovery_key() {
    let world = World::new();
    world.joined();
    let fingerprint = world.node("XA", world.network(NetworkClass::Test).root.network()).fingerprint();
    let (identity, recovery) = (world.path("XA/offline/identity.key"), world.path("XA/offline/recovery.key"));
    let old = judged(&world, "XA", fingerprint).entry().clone();
    assert_eq!(world.rotate("XA", RECOVERY, after(1)).expect_err("it is here").code, ErrorCode::UsageInvalid);
    fs::rename(&identity, world.path("lost")).expect("lost");
    // Nor does any other key that lies there become the identity key.
    world.node("XB", world.network(NetworkClass::Test).root.network());
    fs::copy(world.path("XB/offline/identity.key"), &identity).expect("put there by mistake");
    assert_eq!(world.rotate("XA", RECOVERY, after(1)).expect_err("not its").code, ErrorCode::UsageInvalid);
    fs::remove_file(&identity).expect("moved away");
    fs::rename(&recovery, world.path("safe")).expect("carried away");
    assert_eq!(world.rotate("XA", RECOVERY, after(1)).expect_err("not brought").code, ErrorCode::KeyFileMissing);
    fs::rename(world.path("safe"), &recovery).expect("brought");

    world.rotate("XA", RECOVERY, after(1)).expect("recovered");
    let entry = judged(&world, "XA", fingerprint).entry().clone();
    assert_eq!((entry.version, entry.keys.recovery, entry.keys.logs), (1, old.keys.recovery, old.keys.logs));
    assert_ne!(entry.keys.identity, old.keys.identity);
    // From here on the new one signs, and the old one no more.
    world.rotate("XA", Wish::default(), after(60)).expect("rotated");
    assert_eq!(judged(&world, "XA", fingerprint).entry().version, 2);
    fs::rename(world.path("lost"), &identity).expect("found again");
    assert_eq!(world.rotate("XA", Wish::default(), after(120)).expect_err("not its").code, ErrorCode::KeyNotOfEntry);
}
