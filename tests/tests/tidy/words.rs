//! Words of unfinished work, and tests that do not test.

use std::collections::BTreeSet;

use super::tree::{files, report};

fn words() -> Vec<String> {
    // Put together here, so that this list is not a finding.
    [
        ("FIX", "ME"),
        ("TO", "DO"),
        ("XX", "X"),
        ("to", "do!("),
        ("unimple", "mented!("),
        ("for ", "now"),
        ("place", "holder"),
    ]
    .map(|(head, tail)| format!("{head}{tail}"))
    .to_vec()
}

#[test]
fn no_words_of_unfinished_work() {
    let words = words();
    let mut findings = Vec::new();
    for source in files(".rs").into_iter().chain(files(".md")) {
        for (number, line) in source.lines() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                findings.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    report("unfinished work", findings);
}

#[test]
fn tests_neither_sleep_nor_rest() {
    let rest = format!("#[{}", "ignore");
    let sleeps = [format!("thread::{}", "sleep("), format!("time::{}", "sleep(")];
    let mut findings = Vec::new();
    for source in files(".rs") {
        let product: BTreeSet<usize> = source.product_lines().into_iter().map(|(number, _)| number).collect();
        for (number, line) in source.lines() {
            let in_tests = !product.contains(&number);
            if line.contains(&rest) || (in_tests && sleeps.iter().any(|sleep| line.contains(sleep.as_str()))) {
                findings.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("tests wait for the event, and all of them run", findings);
}
