//! The manual: one page for ncpctl and each of its commands (section 1), generated from the command tree; one for each
//! configuration (section 5), generated from the file that is shipped; one for each daemon (section 8), written.
//!
//! Text between sections has three forms, told apart by indentation: a paragraph; lines that are all indented stand as they
//! are; a flush line with indented ones below it is a term and what it means.

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;

/// The written pages.
const DAEMONS: [(&str, &str); 2] =
    [("ncp-node", include_str!("manual/ncp-node.8.txt")), ("ncp-relay", include_str!("manual/ncp-relay.8.txt"))];

/// The shipped configurations, and whose they are.
const CONFIGS: [(&str, &str, &str); 2] = [
    ("node.toml", "ncp-node", include_str!("../../../config/node.toml")),
    ("relay.toml", "ncp-relay", include_str!("../../../config/relay.toml")),
];

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its name, `ncpctl-keys-init` for a command within others.
    pub(crate) name: String,
    /// Section of the manual.
    pub(crate) section: u8,
    /// Its source in roff.
    pub(crate) text: String,
}

impl Page {
    /// Its file name.
    pub(crate) fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

/// All pages.
pub(crate) fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    let mut tree = Cli::command().disable_help_subcommand(true);
    tree.build();
    commands(&tree, "ncpctl", &mut pages);
    pages.extend(CONFIGS.map(|(name, daemon, shipped)| written(name, 5, &config_text(name, daemon, shipped))));
    pages.extend(DAEMONS.map(|(name, text)| written(name, 8, text)));
    pages
}

/// The page of a command, then those of the commands below it.
fn commands(tree: &Command, name: &str, pages: &mut Vec<Page>) {
    // A name of its own: the page's title and its line of NAME carry it.
    let tree = tree.clone().display_name(name.to_owned());
    pages.push(Page { name: name.to_owned(), section: 1, text: command_page(&tree, name) });
    for below in tree.get_subcommands() {
        commands(below, &format!("{name}-{}", below.get_name()), pages);
    }
}

fn command_page(tree: &Command, name: &str) -> String {
    let man = Man::new(tree.clone());
    let mut bytes = title(name, 1).into_bytes();
    // A vector takes every byte.
    let _ = man.render_name_section(&mut bytes);
    let _ = man.render_synopsis_section(&mut bytes);
    let _ = man.render_description_section(&mut bytes);
    if tree.get_arguments().next().is_some() {
        let _ = man.render_options_section(&mut bytes);
    }
    if tree.get_subcommands().next().is_some() {
        let _ = man.render_subcommands_section(&mut bytes);
    }
    let mut roff = Roff::default();
    let (examples, notes) = examples(tree);
    roff.control("SH", ["EXAMPLES"]);
    body(&mut roff, &examples);
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
        body(&mut roff, &notes);
    }
    roff.control("SH", ["SEE ALSO"]);
    let above = name.rsplit_once('-').map(|(above, _)| format!("{above}(1), ")).unwrap_or_default();
    roff.text([roman(format!("{above}ncp-node(8), ncp-relay(8)"))]);
    let _ = roff.to_writer(&mut bytes);
    ascii(&String::from_utf8_lossy(&bytes))
}

/// The examples of a command and what its help says after them; for a group of commands the first example of each.
fn examples(tree: &Command) -> (String, String) {
    let help = tree.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some((_, examples)) = help.split_once('\n').filter(|(head, _)| head.starts_with("Example")) else {
        let first = |below: &Command| examples(below).0.lines().next().map(ToOwned::to_owned);
        let lines: Vec<String> = tree.get_subcommands().filter_map(first).collect();
        return (lines.join("\n"), help);
    };
    let (examples, notes) = examples.split_once("\n\n").unwrap_or((examples, ""));
    (examples.to_owned(), notes.to_owned())
}

/// A page from text whose headings begin with a sign of their own.
fn written(name: &str, section: u8, text: &str) -> Page {
    let mut roff = Roff::default();
    for part in format!("\n{text}").split("\n# ").skip(1) {
        let (heading, below) = part.split_once('\n').unwrap_or((part, ""));
        roff.control("SH", [heading]);
        body(&mut roff, below);
    }
    Page { name: name.to_owned(), section, text: title(name, section) + &ascii(&roff.render()) }
}

/// Every formatter takes ASCII; other characters get their name in roff.
fn ascii(text: &str) -> String {
    let one = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    text.chars().map(one).collect()
}

/// The line that begins a page; the library leaves out an empty date, and shifts what follows.
fn title(name: &str, section: u8) -> String {
    format!(".TH {name} {section} \"\" \"ncpctl {}\" \"NCP network\"\n", env!("CARGO_PKG_VERSION"))
}

/// Paragraphs, terms, and lines as they are.
fn body(roff: &mut Roff, text: &str) {
    let blocks = text.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty());
    for (number, block) in blocks.enumerate() {
        let mut lines = block.lines().peekable();
        let indented = |line: &&str| line.starts_with(' ');
        if lines.peek().is_some_and(indented) {
            roff.control("sp", []).control("nf", []);
            for line in lines {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        } else if let Some(term) = lines.next_if(|_| block.lines().nth(1).is_some_and(|line| indented(&line))) {
            roff.control("TP", []).text([bold(term)]);
            for line in lines {
                roff.text([roman(line.trim())]);
            }
        } else {
            if number > 0 {
                roff.control("PP", []);
            }
            for line in lines {
                roff.text([roman(line)]);
            }
        }
    }
}

/// The page of a configuration: comments become prose, keys stand as they are.
fn config_text(name: &str, daemon: &str, shipped: &str) -> String {
    let mut text = format!(
        "# NAME\n{name} - configuration of {daemon}\n\n# SYNOPSIS\n    /etc/ncp/{name}\n    /etc/ncp/{name}.d/*.toml\n\n# DESCRIPTION\n"
    );
    for paragraph in shipped.split("\n\n") {
        let mut was_key = false;
        for line in paragraph.lines() {
            let comment = line.strip_prefix('#').map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
            // A key that is not set stands behind a comment sign, as do the lines of an example.
            let is_key = comment.is_none_or(|rest| {
                let word = rest.split(' ').next().unwrap_or_default();
                rest.starts_with([' ', '['])
                    || (rest.contains(" = ") && rest.strip_prefix(word).is_some_and(|rest| rest.starts_with(" = ")))
            });
            if is_key != was_key {
                text.push('\n');
            }
            was_key = is_key;
            if is_key {
                text.push_str("    ");
            }
            text.push_str(comment.filter(|rest| !is_key || rest.starts_with(' ')).unwrap_or(line));
            text.push('\n');
        }
        text.push('\n');
    }
    text + &format!(
        "# EXAMPLES\n    ncpctl config check /etc/ncp/{name}\n    systemctl reload {daemon}\n\n# SEE ALSO\n{daemon}(8), ncpctl(1)\n"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The lines of a page's section.
    fn section<'a>(page: &'a Page, title: &str) -> Vec<&'a str> {
        let quoted = format!(".SH \"{title}\"");
        let is_head = |line: &&str| *line == format!(".SH {title}") || *line == quoted;
        page.text
            .lines()
            .skip_while(|line| !is_head(line))
            .skip(1)
            .take_while(|line| !line.starts_with(".SH"))
            .collect()
    }

    #[test]
    fn every_command_configuration_and_daemon_has_a_page_with_an_example() {
        let mut expected = BTreeSet::new();
        fn walk(tree: &Command, name: &str, expected: &mut BTreeSet<String>) {
            expected.insert(format!("{name}.1"));
            for below in tree.get_subcommands().filter(|below| below.get_name() != "help") {
                walk(below, &format!("{name}-{}", below.get_name()), expected);
            }
        }
        walk(&Cli::command(), "ncpctl", &mut expected);
        expected.extend(["node.toml.5", "relay.toml.5", "ncp-node.8", "ncp-relay.8"].map(str::to_owned));
        let pages = pages();
        assert_eq!(pages.iter().map(Page::file).collect::<BTreeSet<_>>(), expected);
        for page in &pages {
            let name = section(page, "NAME").join(" ").replace("\\-", "-");
            assert!(name.starts_with(&format!("{} - ", page.name)), "{}: {name}", page.file());
            let examples = section(page, "EXAMPLES");
            assert!(examples.iter().any(|line| line.contains("ncpctl") || line.contains("ncp")), "{}", page.file());
        }
    }

    #[test]
    fn every_key_of_a_shipped_configuration_stands_in_its_page() {
        let pages = pages();
        for (name, _, shipped) in CONFIGS {
            let page = pages.iter().find(|page| page.name == name).expect("a page");
            let text = page.text.replace("\\-", "-");
            let keys = shipped.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).split_once(" = "));
            let keys: Vec<_> = keys.map(|(key, _)| key).filter(|key| !key.contains(' ')).collect();
            assert!(keys.len() > 5, "{keys:?}");
            for key in keys {
                let stands =
                    text.lines().any(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{key} = ")));
                assert!(stands, "{name}: {key}\n{text}");
            }
            assert!(section(page, "DESCRIPTION").iter().any(|line| line.starts_with(".PP")));
        }
    }
}
