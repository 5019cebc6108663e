//! Golden and negative vectors: every `*.txt` below `tests/vectors/wire` is one scenario, found by walking the folder.
//!
//! Each is checked both ways: its bytes decode, and verify where the type has signatures, with the stated outcome; those
//! that are in order encode to the same bytes again. The failure class is the name of the error, from the outside in, in
//! kebab case (`decode.malformed`). `NCP_REGENERATE=1 cargo test -p ncp-protocol --test vectors` writes the files anew;
//! without it the test fails if a file differs from what the generator makes, is missing, or is left over.

#[cfg(test)]
mod annotate;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod check;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod scenario;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use scenario::{Vector, files, root};

fn failure(name: &str, text: &str) -> Option<String> {
    let vector = match Vector::parse(text) {
        Ok(vector) => vector,
        Err(error) => return Some(format!("{name}: {error}")),
    };
    if vector.field("about").is_empty() || !name.starts_with(&format!("{}/", vector.field("type"))) {
        return Some(format!("{name}: header and place do not fit"));
    }
    let expected = vector.field("expect");
    match check::outcome(&vector) {
        Ok(encoded) if expected == "ok" => {
            (encoded != vector.block("bytes")).then(|| format!("{name}: encodes to other bytes"))
        }
        Ok(_) => Some(format!("{name}: accepted instead of {expected}")),
        Err(class) => (class != expected).then(|| format!("{name}: {class} instead of {expected}")),
    }
}

#[test]
fn every_vector_has_its_stated_outcome() {
    let failures: Vec<String> = files().iter().filter_map(|(name, text)| failure(name, text)).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn regenerating_leaves_no_difference() {
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    for scenario in cases::all() {
        assert!(made.insert(scenario.path(), scenario.render()).is_none(), "{} twice", scenario.path());
    }
    if std::env::var_os("NCP_REGENERATE").is_some() {
        for name in files().keys().filter(|name| !made.contains_key(*name)) {
            fs::remove_file(root().join(name)).expect("removes");
        }
        for (name, text) in &made {
            let path = root().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("writes");
        }
    }
    let found = files();
    let different = |name: &&String| made.get(*name) != found.get(*name);
    let names: BTreeSet<&String> = made.keys().chain(found.keys()).collect();
    let different: Vec<_> = names.into_iter().filter(|name| different(name)).collect();
    assert!(different.is_empty(), "differ, are missing or left over: {different:?}");
}

#[test]
fn enough_failures_of_enough_types_are_described() {
    let scenarios = cases::all();
    let negative: Vec<_> = scenarios.iter().filter(|scenario| scenario.expect != "ok").collect();
    assert!(negative.len() >= 60, "{}", negative.len());
    let kinds: BTreeSet<_> = scenarios.iter().map(|scenario| scenario.kind).collect();
    for kind in kinds {
        assert!(negative.iter().any(|scenario| scenario.kind == kind), "no failure of {kind}");
        assert!(scenarios.iter().any(|scenario| scenario.kind == kind && scenario.expect == "ok"), "no golden {kind}");
    }
}

#[test]
fn a_changed_byte_of_a_golden_vector_is_refused_or_means_something_else() {
    for (name, text) in files() {
        let vector = Vector::parse(&text).expect("parses");
        if vector.field("expect") != "ok" || vector.field("type") == "message" {
            continue;
        }
        // Signatures make most types slow to check; an event is only decoded, so all of it is changed.
        let bytes = vector.block("bytes").to_vec();
        let is_event = vector.field("type") == "event";
        let (step, flips): (_, &[u8]) =
            if is_event { (1, &[0x01, 0x40, 0x80]) } else { (bytes.len().div_ceil(64), &[0x40]) };
        let (mut accepted, mut refused) = (0, 0);
        for (at, flip) in (0..bytes.len()).step_by(step).flat_map(|at| flips.iter().map(move |flip| (at, flip))) {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            match check::outcome(&vector.replacing("bytes", changed.clone())) {
                Ok(encoded) => {
                    assert_eq!(encoded, changed, "{name}: byte {at}");
                    accepted += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(!is_event || (accepted > 0 && refused > 0), "{name}: {accepted} accepted, {refused} refused");
    }
}
