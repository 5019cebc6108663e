use super::*;

fn begin() -> Chain {
    let first = signed(state(), 1);
    Chain::first(&NETWORK, &Fingerprint(first.digest()), &first).unwrap()
}

fn check_first(entry: Entry, by: u8, expected: ChainError) {
    let entry = signed(entry, by);
    assert_eq!(Chain::first(&NETWORK, &Fingerprint(entry.digest()), &entry), Err(expected));
}

fn check_next(by: u8, change: impl FnOnce(&mut Entry), expected: Result<(), ChainError>) {
    let chain = begin();
    let next = signed(after(chain.signed(), change), by);
    assert_eq!(chain.next(&next).map(|_| ()), expected);
}

#[test]
fn chain_begins_with_the_pinned_entry_signed_by_itself() {
    let first = signed(state(), 1);
    let chain = begin();
    assert_eq!((chain.entry(), chain.signed(), chain.digest()), (&state(), &first, first.digest()));
    assert_eq!(chain.fingerprint(), Fingerprint(first.digest()));
    let other = Fingerprint(Digest([1; 32]));
    assert_eq!(Chain::first(&NETWORK, &other, &first), Err(ChainError::Fingerprint));
    check_first(state(), 2, ChainError::Signature);
    check_first(Entry { network: NetworkId(Digest([8; 32])), ..state() }, 1, ChainError::Network);
    let later = Entry { version: 1, previous: Some(Digest([0; 32])), ..state() };
    check_first(later, 1, ChainError::Version { expected: 0, found: 1 });
}

#[test]
fn identity_key_of_the_version_before_signs_the_next() {
    check_next(1, |_| {}, Ok(()));
    check_next(1, |entry| entry.keys.identity = key(9).verifying_key(), Ok(()));
    check_next(9, |entry| entry.keys.identity = key(9).verifying_key(), Err(ChainError::Signature));
    check_next(3, |_| {}, Err(ChainError::Signature));
}

#[test]
fn recovery_key_replaces_the_identity_key_and_nothing_less() {
    check_next(2, |entry| entry.keys.identity = key(9).verifying_key(), Ok(()));
    check_next(2, |_| {}, Err(ChainError::IdentityKept));
    check_next(1, |entry| entry.keys.recovery = key(9).verifying_key(), Err(ChainError::Recovery));
    let change = |entry: &mut Entry| {
        entry.keys.identity = key(9).verifying_key();
        entry.keys.recovery = key(10).verifying_key();
    };
    check_next(2, change, Err(ChainError::Recovery));
}

#[test]
fn owner_takes_the_chain_back_from_a_thief_of_the_identity_key() {
    let chain = begin();
    let theft = signed(after(chain.signed(), |entry| entry.keys.identity = key(66).verifying_key()), 1);
    let stolen = chain.next(&theft).unwrap();
    let recovery = signed(after(stolen.signed(), |entry| entry.keys.identity = key(9).verifying_key()), 2);
    let recovered = stolen.next(&recovery).unwrap();
    assert_eq!(recovered.entry().keys.identity, key(9).verifying_key());
    let again = signed(after(recovered.signed(), |_| {}), 66);
    assert_eq!(recovered.next(&again), Err(ChainError::Signature));
}

#[test]
fn version_rises_by_one_and_names_the_entry_before() {
    check_next(1, |entry| entry.version = 2, Err(ChainError::Version { expected: 1, found: 2 }));
    check_next(1, |entry| entry.previous = Some(Digest([0; 32])), Err(ChainError::Previous));
    let chain = begin();
    let again = chain.next(chain.signed());
    assert_eq!(again, Err(ChainError::Version { expected: 1, found: 0 }));
}

#[test]
fn next_entry_belongs_to_the_same_network_and_participant() {
    check_next(1, |entry| entry.network = NetworkId(Digest([8; 32])), Err(ChainError::Network));
    check_next(1, |entry| entry.participant = "XB".parse().unwrap(), Err(ChainError::Participant));
}

#[test]
fn what_a_stolen_identity_key_cannot_change() {
    check_next(1, |entry| entry.created = UnixMillis(CREATED.0 - 1), Err(ChainError::Created));
    check_next(1, |entry| entry.suite_floor = 2, Ok(()));
    let chain = begin();
    let raised = chain.next(&signed(after(chain.signed(), |entry| entry.suite_floor = 2), 1)).unwrap();
    let lowered = signed(after(raised.signed(), |entry| entry.suite_floor = 1), 1);
    assert_eq!(raised.next(&lowered), Err(ChainError::SuiteFloor));
}

#[test]
fn log_keys_of_past_epochs_stay() {
    check_next(1, |entry| entry.keys.logs.push(log(LogName::Node, 2, 6)), Ok(()));
    check_next(1, |entry| entry.keys.logs = vec![log(LogName::Node, 2, 6)], Err(ChainError::Logs));
    check_next(1, |entry| entry.keys.logs = vec![log(LogName::Node, 1, 6)], Err(ChainError::Logs));
    let chain = begin();
    let third =
        chain.next(&signed(after(chain.signed(), |entry| entry.keys.logs.push(log(LogName::Node, 3, 6))), 1)).unwrap();
    let between = |entry: &mut Entry| entry.keys.logs.insert(1, log(LogName::Node, 2, 7));
    assert_eq!(third.next(&signed(after(third.signed(), between), 1)), Err(ChainError::Logs));
}

#[test]
fn no_changed_bit_of_a_first_entry_passes_the_fingerprint() {
    let first = signed(state(), 1);
    let (good, pin) = (first.encode(), Fingerprint(first.digest()));
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1 << (position % 8);
        let accepted = SignedEntry::decode(&bad).ok().and_then(|entry| Chain::first(&NETWORK, &pin, &entry).ok());
        assert_eq!(accepted, None, "byte {position}");
    }
}
