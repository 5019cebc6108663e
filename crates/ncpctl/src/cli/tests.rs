//! A walk over the command tree: what every command must have.

use clap::{Command as Tree, CommandFactory as _, Parser as _};

use super::*;

/// All commands without subcommands of their own, with their path.
fn leaves() -> Vec<(String, Tree)> {
    fn walk(path: &str, tree: &Tree, leaves: &mut Vec<(String, Tree)>) {
        let children: Vec<&Tree> = tree.get_subcommands().filter(|child| child.get_name() != "help").collect();
        if children.is_empty() {
            leaves.push((path.to_owned(), tree.clone()));
        }
        for child in children {
            walk(&format!("{path} {}", child.get_name()), child, leaves);
        }
    }
    let mut leaves = Vec::new();
    let mut tree = Cli::command();
    tree.build();
    walk("ncpctl", &tree, &mut leaves);
    leaves
}

/// The words of an example as a shell would split them; quotes are double.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("a word").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn examples(help: &str) -> Vec<String> {
    help.lines()
        .filter_map(|line| line.strip_prefix("  ncpctl"))
        .map(|rest| rest.split("   ").next().unwrap_or_default())
        .map(|rest| rest.split(" | ").next().unwrap_or_default())
        .map(|rest| format!("ncpctl{rest}"))
        .collect()
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_shows_an_example_that_parses() {
    for (path, tree) in leaves() {
        let about = tree.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 10 && !about.ends_with('.'), "{path}: {about:?}");
        let help = tree.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with("Example"), "{path} has no example");
        let found = examples(&help);
        assert!(!found.is_empty(), "{path} has no example");
        for example in found {
            assert!(example.starts_with(&path), "{path}: {example}");
            if let Err(error) = Cli::try_parse_from(words(&example)) {
                panic!("{example}: {error}");
            }
        }
    }
}

#[test]
fn the_operating_page_lists_every_command() {
    let page = include_str!("../../../../docs/OPERATING.md");
    let about = |tree: &Tree| tree.get_about().map(ToString::to_string).unwrap_or_default();
    let mut rows: Vec<String> = leaves().iter().map(|(path, tree)| format!("| `{path}` | {} |", about(tree))).collect();
    // It acts by itself, although another command stands below it.
    let demo = Cli::command().find_subcommand("demo").map(about).unwrap_or_default();
    rows.push(format!("| `ncpctl demo` | {demo} |"));
    let missing: Vec<_> = rows.iter().filter(|row| !page.contains(row.as_str())).cloned().collect();
    assert!(missing.is_empty(), "docs/OPERATING.md lacks\n{}", missing.join("\n"));
    let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `ncpctl ")).collect();
    let gone: Vec<_> = listed.into_iter().filter(|line| !rows.iter().any(|row| row == line)).collect();
    assert!(gone.is_empty(), "docs/OPERATING.md lists what is not there\n{}", gone.join("\n"));
}

#[test]
fn examples_of_the_whole_parse() {
    for example in examples(EXAMPLES) {
        assert!(Cli::try_parse_from(words(&example)).is_ok(), "{example}");
    }
}

#[test]
fn every_command_takes_json_and_has_a_known_schema() {
    for (path, tree) in leaves() {
        let help = tree.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = examples(&help).into_iter().next().expect("an example");
        let mut arguments = words(&example);
        arguments.push("--json".to_owned());
        let cli = Cli::try_parse_from(&arguments).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(cli.options.context().output.format, Format::Json(Members::All), "{path}");
        let schema = cli.command.unwrap_or_default().schema();
        assert!(crate::json::members_of(schema).is_some(), "{path}: {schema}");
    }
}

/// The commands that a text tells people to run: what follows `ncpctl`, as far as it is words.
fn advised(text: &str) -> Vec<Vec<String>> {
    let words = |rest: &str| {
        let word = |text: &&str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !text.starts_with('-');
        rest.split_whitespace().take_while(word).map(ToOwned::to_owned).collect()
    };
    text.split("ncpctl ").skip(1).map(words).collect()
}

#[test]
fn errors_advise_only_commands_that_exist() {
    for code in ncp_api::ErrorCode::ALL {
        for path in advised(code.remedy()) {
            let mut tree = Cli::command();
            for word in &path {
                if tree.get_subcommands().next().is_none() {
                    break;
                }
                let found = tree.find_subcommand(word).cloned();
                tree = found.unwrap_or_else(|| panic!("{code} advises ncpctl {}", path.join(" ")));
            }
        }
    }
}

#[test]
fn json_and_plain_exclude_each_other() {
    assert!(Cli::try_parse_from(["ncpctl", "inbox", "--json", "--plain"]).is_err());
    let cli = Cli::try_parse_from(["ncpctl", "inbox", "--json=a,b"]).expect("parses");
    let expected = Format::Json(Members::Only(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(cli.options.context().output.format, expected);
    // Without the sign the next word is not swallowed.
    assert!(Cli::try_parse_from(["ncpctl", "--json", "status", "XA-2026-000417"]).is_ok());
}

#[test]
fn commands_are_never_abbreviated() {
    assert!(Cli::try_parse_from(["ncpctl", "inb"]).is_err());
    assert!(Cli::try_parse_from(["ncpctl", "in"]).is_ok());
}
