//! Length of files and functions: a ratchet.

use super::tree::{files, report};

/// Longest file.
const FILE_MAX: usize = 800;
/// Longest function.
const FUNCTION_MAX: usize = 70;

/// Longer ones, each with its length and its reason.
const LONGER_FILES: &[(&str, usize, &str)] = &[];
const LONGER_FUNCTIONS: &[(&str, usize, &str)] = &[(
    "crates/ncpctl/src/audit/words.rs::change_words",
    90,
    "one arm for each event, matched without a wildcard: a new event cannot be forgotten here",
)];

#[test]
fn files_fit_in_a_head() {
    let mut findings = Vec::new();
    for source in files(".rs") {
        let length = source.text.lines().count();
        let most = LONGER_FILES.iter().find(|(path, ..)| *path == source.path).map_or(FILE_MAX, |(_, most, _)| *most);
        if length > most {
            findings.push(format!("{}: {length} lines, at most {most}", source.path));
        }
    }
    report("files too long", findings);
}

#[test]
fn functions_do_one_thing() {
    let mut findings = Vec::new();
    // A long test is a table of cases; a long function of the product is two functions.
    for source in files(".rs").into_iter().filter(|source| !source.is_test()) {
        for (name, start, length) in functions(&source.text) {
            let place = format!("{}::{name}", source.path);
            let most =
                LONGER_FUNCTIONS.iter().find(|(known, ..)| *known == place).map_or(FUNCTION_MAX, |(_, most, _)| *most);
            if length > most {
                findings.push(format!("{place} (line {start}): {length} lines, at most {most}"));
            }
        }
    }
    report("functions too long", findings);
}

/// Name, first line and length of each function of formatted source: it ends with the brace at its own indentation.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, usize, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(at) = words.iter().position(|word| *word == "fn")
            && words[..at]
                .iter()
                .all(|word| matches!(*word, "pub" | "async" | "const" | "unsafe") || word.starts_with("pub("))
            && let Some(name) = words.get(at + 1)
        {
            let name = name.split(['(', '<']).next().unwrap_or_default().to_owned();
            if !line.trim_end().ends_with([';', '}']) {
                open.push((name, indent, number));
            }
        }
        if line.trim_start().starts_with('}')
            && line.trim_end() == line.trim_end_matches([';', ','])
            && let Some((_, at, _)) = open.last()
            && *at == indent
            && let Some((name, _, start)) = open.pop()
        {
            found.push((name, start + 1, number - start + 1));
        }
    }
    found
}

#[test]
fn function_lengths_are_measured() {
    let text = "impl X {\n    pub fn a(\n        b: u8,\n    ) -> u8 {\n        if b {\n        }\n        1\n    }\n}\nfn c() {\n}\n";
    assert_eq!(functions(text), [("a".to_owned(), 2, 7), ("c".to_owned(), 10, 2)]);
}
