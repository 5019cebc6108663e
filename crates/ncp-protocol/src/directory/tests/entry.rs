use super::*;
use crate::codec::{DecodeError, Prefix, encode};
use crate::limits::{ENTRY_MAX, LOG_KEYS_MAX, SEALING_KEYS_MAX};

#[test]
fn entries_of_a_node_and_of_the_hub_round_trip() {
    for entry in [state(), hub()] {
        let signed = signed(entry.clone(), 1);
        assert_eq!(signed.unverified(), &entry);
        assert_eq!(SignedEntry::decode(&signed.encode()), Ok(signed));
    }
}

#[test]
fn largest_entry_is_within_its_limit() {
    let mut entry = state();
    entry.keys.sealing = (1..=4).map(sealing).collect();
    entry.keys.sealing.sort_by_key(|key| key.public.id());
    assert_eq!(entry.keys.sealing.len(), SEALING_KEYS_MAX);
    let logs = 1..=u32::try_from(LOG_KEYS_MAX).unwrap();
    entry.keys.logs = logs.map(|epoch| log(LogName::Node, epoch, 100 + u8::try_from(epoch).unwrap())).collect();
    entry.keys.tls.push(KeyId(Digest([0x72; 32])));
    entry.version = 1;
    entry.previous = Some(Digest([1; 32]));
    let bytes = signed(entry, 1).encode();
    assert!(bytes.len() <= ENTRY_MAX, "{}", bytes.len());
    assert!(SignedEntry::decode(&bytes).is_ok());
}

fn check(entry: Entry, fault: EntryFault) {
    assert_eq!(SignedEntry::sign(entry.clone(), &key(1)), Err(fault), "{entry:?}");
    let inner = Prefix::new(b'D', 1).encode(&entry);
    let wire = encode(&(serde_bytes::Bytes::new(&inner), ([0u8; 32], [0u8; 32])));
    let bytes = [Prefix::new(b'd', 1).to_bytes().as_slice(), &wire].concat();
    assert_eq!(SignedEntry::decode(&bytes), Err(EntryError::Fault(fault)));
}

fn check_keys(change: impl FnOnce(&mut EntryKeys), fault: EntryFault) {
    let mut entry = state();
    change(&mut entry.keys);
    check(entry, fault);
}

#[test]
fn version_and_previous_entry_belong_together() {
    check(Entry { previous: Some(Digest([0; 32])), ..state() }, EntryFault::Previous);
    check(Entry { version: 1, ..state() }, EntryFault::Previous);
    check(Entry { suite_floor: 0, ..state() }, EntryFault::SuiteFloor);
}

#[test]
fn keys_fit_the_participants_part() {
    check_keys(|keys| keys.signing = None, EntryFault::Part);
    check_keys(|keys| keys.sealing.clear(), EntryFault::Part);
    check_keys(|keys| keys.timestamp = Some(key(16).verifying_key()), EntryFault::Part);
    check(Entry { participant: ParticipantId::HUB, ..state() }, EntryFault::Part);
    check(Entry { participant: "XA".parse().unwrap(), ..hub() }, EntryFault::Part);
    let mut sealed = hub();
    sealed.keys.sealing = state().keys.sealing;
    check(sealed, EntryFault::Part);
}

#[test]
fn logs_fit_the_participants_part() {
    check_keys(|keys| keys.logs.clear(), EntryFault::Logs);
    check_keys(|keys| keys.logs = vec![log(LogName::Node, 0, 4)], EntryFault::Logs);
    check_keys(|keys| keys.logs = vec![log(LogName::Node, 1, 4), log(LogName::Public, 1, 6)], EntryFault::Logs);
    check_keys(|keys| keys.logs = vec![log(LogName::Node, 1, 4), log(LogName::Node, 1, 6)], EntryFault::Order);
    check_keys(|keys| keys.logs = vec![log(LogName::Node, 2, 4), log(LogName::Node, 1, 6)], EntryFault::Order);
    let mut no_public = hub();
    no_public.keys.logs.truncate(1);
    check(no_public, EntryFault::Logs);
    let many = |keys: &mut EntryKeys| keys.logs = (1..=33).map(|n| log(LogName::Node, n, 100)).collect();
    check_keys(many, EntryFault::Count);
}

#[test]
fn keys_have_possible_times() {
    check_keys(
        |keys| keys.signing = Some(ValidKey { key: key(3).verifying_key(), from: CREATED, until: CREATED }),
        EntryFault::Validity,
    );
    check_keys(|keys| keys.sealing[0].seal_until = CREATED.plus_millis(91 * DAY_MS), EntryFault::SealingTimes);
    check_keys(
        |keys| keys.sealing[0].open_until = UnixMillis(keys.sealing[0].open_until.0 - 1),
        EntryFault::SealingTimes,
    );
}

#[test]
fn lists_are_bounded_sorted_and_unique() {
    check_keys(|keys| keys.tls.clear(), EntryFault::Count);
    check_keys(|keys| keys.tls = (1..4).map(|n| KeyId(Digest([n; 32]))).collect(), EntryFault::Count);
    check_keys(|keys| keys.tls = vec![keys.tls[0]; 2], EntryFault::Order);
    check_keys(|keys| keys.sealing = vec![sealing(1); 2], EntryFault::Order);
    check_keys(|keys| keys.sealing = vec![sealing(1); 5], EntryFault::Count);
}

#[test]
fn no_key_serves_two_purposes() {
    let identity = key(1).verifying_key();
    check_keys(|keys| keys.recovery = identity, EntryFault::SharedKey);
    check_keys(|keys| keys.witness = identity, EntryFault::SharedKey);
    check_keys(|keys| keys.logs[0].key = identity, EntryFault::SharedKey);
    check_keys(|keys| keys.signing.as_mut().unwrap().key = identity, EntryFault::SharedKey);
    check_keys(|keys| keys.tls = vec![identity.id()], EntryFault::SharedKey);
    let mut entry = hub();
    entry.keys.timestamp = Some(identity);
    check(entry, EntryFault::SharedKey);
}

#[test]
fn keys_are_found_by_purpose_and_time() {
    let mut entry = state();
    entry.keys.logs.push(log(LogName::Node, 3, 6));
    let mut later = sealing(2);
    later.seal_until = later.seal_until.plus_millis(DAY_MS);
    entry.keys.sealing.push(later.clone());
    assert_eq!(entry.log_key(LogName::Node, Epoch(3)), Some(&key(6).verifying_key()));
    assert_eq!(entry.log_key(LogName::Node, Epoch(2)), None);
    assert_eq!(entry.newest_log_key(LogName::Node).map(|key| key.epoch), Some(Epoch(3)));
    assert_eq!(entry.sealing_key(CREATED), Some(&later));
    assert_eq!(entry.sealing_key(later.seal_until), None);
    assert!(entry.pins(&KeyId(Digest([0x71; 32]))) && !entry.pins(&KeyId(Digest([0x72; 32]))));
    let signing = entry.keys.signing.unwrap();
    assert!(signing.is_valid_at(CREATED) && !signing.is_valid_at(signing.until));
}

#[test]
fn fingerprint_is_read_as_it_is_shown() {
    let fingerprint = Fingerprint(signed(state(), 1).digest());
    let shown = fingerprint.to_string();
    assert_eq!(shown.split(' ').map(str::len).collect::<Vec<_>>(), [4; 16]);
    assert_eq!(shown.parse(), Ok(fingerprint));
    assert_eq!(fingerprint.0.to_string().parse(), Ok(fingerprint));
    assert!(shown[..shown.len() - 1].parse::<Fingerprint>().is_err());
    assert!(shown.to_uppercase().parse::<Fingerprint>().is_err());
}

#[test]
fn entry_of_another_kind_or_length_is_refused() {
    let bytes = signed(state(), 1).encode();
    let check = |bytes: &[u8], error| assert_eq!(SignedEntry::decode(bytes), Err(EntryError::Decode(error)));
    check(&[], DecodeError::Malformed);
    check(&bytes[..bytes.len() - 1], DecodeError::Malformed);
    check(&[bytes.as_slice(), &[0]].concat(), DecodeError::Malformed);
    check(&[0; ENTRY_MAX + 1], DecodeError::TooLong);
    check(&[&b"NCPD"[..], &bytes[4..]].concat(), DecodeError::Prefix);
    check(&[&b"NCPd\x02"[..], &bytes[5..]].concat(), DecodeError::Version(2));
}

#[test]
fn changed_entry_decodes_to_itself_or_not_at_all() {
    crate::sweep::decodes_to_itself_or_not_at_all(&signed(state(), 1).encode(), |bytes| {
        SignedEntry::decode(bytes).ok().map(|signed| signed.encode())
    });
}
