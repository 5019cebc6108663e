//! The sentences of errors: nobody reads a place that was left open.

use std::collections::BTreeSet;

use ncp_api::ErrorCode;

use super::source::rust;
use super::tree::{Source, report};

/// The places of an error's sentences.
fn places(code: ErrorCode) -> BTreeSet<&'static str> {
    let texts = [code.title(), code.cause(), code.remedy()].into_iter();
    texts.flat_map(|text| text.split('{').skip(1)).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

/// The errors that a line makes. One that is only named, as in a comparison, makes none.
fn made(line: &str, next: &str) -> Vec<ErrorCode> {
    let mut found = Vec::new();
    for rest in line.split("ErrorCode::").skip(1) {
        let end = rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let rest = if rest.is_empty() { next.trim_start() } else { rest };
        if rest.starts_with(".with(") || rest.starts_with(".fault()") {
            found.extend(ErrorCode::ALL.iter().filter(|code| format!("{code:?}") == name));
        }
    }
    found
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The function around a line, as rustfmt lays it out.
fn function_around(lines: &[(usize, &str)], at: usize) -> String {
    let begins = |line: &str| {
        let words = ["pub", "pub(crate)", "pub(super)", "pub(in", "async", "const"];
        let mut words = line.split_whitespace().skip_while(|word| words.contains(word));
        words.next() == Some("fn")
    };
    let first = lines[..=at].iter().rposition(|(_, line)| begins(line)).unwrap_or(0);
    let end = depth(lines[first].1);
    let body = lines[first..].iter().take_while(|(_, line)| !(depth(line) == end && line.trim_start() == "}"));
    body.map(|(_, line)| format!("{line}\n")).collect()
}

fn open_places(source: &Source) -> Vec<String> {
    let lines = source.code_lines();
    let mut findings = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let next = lines.get(at + 1).map_or("", |(_, line)| line);
        for code in made(line, next) {
            let function = function_around(&lines, at);
            let open = places(code).into_iter().filter(|place| !function.contains(&format!("with(\"{place}\"")));
            findings.extend(open.map(|place| format!("{}:{number}: {code:?} leaves {{{place}}} open", source.path)));
        }
    }
    findings
}

#[test]
fn every_place_of_an_error_is_filled_where_it_is_made() {
    let sources = rust();
    let product = sources.iter().filter(|source| source.path.starts_with("crates/"));
    report("sentences with open places", product.flat_map(open_places).collect());
}

#[test]
fn an_open_place_is_found() {
    let source = |body: &str| Source {
        path: "crates/x/src/lib.rs".to_owned(),
        text: format!("fn other() {{\n    with(\"field\", 1)\n}}\n\nfn this() {{\n    {body}\n}}\n"),
    };
    let check = |body: &str| open_places(&source(body)).len();
    assert_eq!(check("ErrorCode::DateInvalid.with(\"value\", 1).with(\"reason\", 2)"), 1, "the field is open");
    assert_eq!(check("ErrorCode::DateInvalid\n        .with(\"value\", 1).with(\"reason\", 2).with(\"field\", 3)"), 0);
    assert_eq!(check("ErrorCode::ConfirmationNeeded.fault()"), 2);
    assert_eq!(check("fault.code == ErrorCode::DateInvalid"), 0);
}
