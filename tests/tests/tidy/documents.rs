//! Documents say what the code says: links resolve, codes are explained, the protocol page follows the wire modules.

use std::fs;

use super::tree::{files, report, top};
use ncp_protocol::codes::{Kind, KindColumns};
use ncp_protocol::keys::sha256;
use ncp_protocol::reject::RejectCode;

/// Modules whose layout PROTOCOL.md describes.
const WIRE_MODULES: &[&str] = &[
    "approval.rs",
    "body.rs",
    "body/open.rs",
    "checkpoint.rs",
    "codec.rs",
    "codes.rs",
    "cosignature.rs",
    "directory/accept.rs",
    "directory/chain.rs",
    "directory/entry.rs",
    "directory/membership.rs",
    "directory/timestamp.rs",
    "envelope.rs",
    "envelope/content.rs",
    "envelope/draft.rs",
    "envelope/open.rs",
    "event.rs",
    "event/claim.rs",
    "event/message.rs",
    "event/numbers.rs",
    "evidence.rs",
    "frame.rs",
    "frame/batch.rs",
    "frame/payload.rs",
    "header.rs",
    "ids.rs",
    "ids/participant.rs",
    "ids/reference.rs",
    "keys.rs",
    "limits.rs",
    "manifest.rs",
    "manifest/text.rs",
    "merkle.rs",
    "note.rs",
    "padding.rs",
    "proof.rs",
    "reject.rs",
    "root.rs",
    "root/quorum.rs",
    "symmetric.rs",
    "wrap.rs",
    "wrap/content.rs",
];

#[test]
fn relative_links_lead_to_files() {
    let mut findings = Vec::new();
    for page in files(".md") {
        let folder = top().join(&page.path).parent().expect("a page lies in a folder").to_owned();
        for (number, line) in page.lines() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let local = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
                if local && !folder.join(target).exists() {
                    findings.push(format!("{}:{number}: {target}", page.path));
                }
            }
        }
    }
    report("broken links", findings);
}

#[test]
fn every_reject_code_stands_in_the_protocol_page() {
    let page = fs::read_to_string(top().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let missing = RejectCode::ALL
        .iter()
        .filter(|code| {
            let row = format!("| {} | `{}` | {} | {} |", code.number(), code.name(), permanence(**code), code.text());
            !page.contains(&row)
        })
        .map(ToString::to_string)
        .collect();
    report("reject codes without their row in docs/PROTOCOL.md", missing);
}

#[test]
fn the_protocol_page_says_of_each_kind_what_the_table_says() {
    let page = fs::read_to_string(top().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let word = |column: bool| if column { "yes" } else { "no" };
    let mut missing = Vec::new();
    for (number, kind) in Kind::ALL.iter().enumerate() {
        let KindColumns { expects_answer, must_cite, from_secretariat_alone, reaches_a_person } = kind.columns();
        let columns = [expects_answer, must_cite, from_secretariat_alone, reaches_a_person].map(word).join(" | ");
        let row = format!("| {number} | {kind} | {columns} |");
        if !page.contains(&row) {
            missing.push(row);
        }
    }
    report("kinds without their row in docs/PROTOCOL.md", missing);
}

fn permanence(code: RejectCode) -> &'static str {
    match code.permanence() {
        ncp_protocol::reject::Permanence::Permanent => "permanent",
        ncp_protocol::reject::Permanence::Transient => "transient",
    }
}

/// Whoever changes a wire module reads the page again and puts the new digest there.
#[test]
fn protocol_page_carries_the_digest_of_the_wire_modules() {
    let mut text = String::new();
    for module in WIRE_MODULES {
        let path = top().join("crates/ncp-protocol/src").join(module);
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.push_str(source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
    }
    let digest = sha256(text.as_bytes()).to_string();
    let page = fs::read_to_string(top().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    assert!(
        page.contains(&digest),
        "the wire modules changed: read docs/PROTOCOL.md again, then set its digest to {digest}"
    );
}

/// A prefix says what follows it, so each letter is named once and for all.
#[test]
fn every_prefix_letter_stands_in_the_protocol_page() {
    let page = fs::read_to_string(top().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let mut missing = Vec::new();
    for source in files(".rs").into_iter().filter(|source| source.path.contains("/src/")) {
        for (number, line) in source.lines() {
            let letters = line.split("Prefix::new(b'").skip(1).filter_map(|rest| rest.chars().next());
            for letter in letters.filter(|letter| !page.contains(&format!("`{letter}`"))) {
                missing.push(format!("{}:{number}: {letter}", source.path));
            }
        }
    }
    report("prefix letters that docs/PROTOCOL.md does not name", missing);
}
