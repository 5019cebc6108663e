//! docs/OPERATING.md, followed word for word: from nothing to a verified message.
#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use e2e::PATIENCE;
use e2e::binaries::{Program, top};
use e2e::network::free_address;
use e2e::node::client_at;
use e2e::process::Daemon;
use e2e::receipts::verified;
use ncp_api::message::MessageState;
use ncp_api::timeline::ReceiptKind;
use ncp_protocol::ids::Reference;

/// A marked block of the page.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    /// Typed into one shell, in the order of the page.
    Typed(String),
    /// One line that starts a daemon, which runs to the end.
    Daemon(String),
}

/// The marked blocks of a page, in order.
fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let typed = match line {
            "```sh {joining}" => true,
            "```sh {joining daemon}" => false,
            _ => continue,
        };
        let body: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect();
        found.push(if typed { Block::Typed(body) } else { Block::Daemon(body) });
    }
    found
}

/// A shell in which the page is typed: it ends at the first command that fails.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    said: String,
}

/// What the shell prints after a block.
const DONE: &str = "-- block done --";

impl Shell {
    fn start(folder: &Path, hub_address: &str) -> Self {
        let programs = Program::Ctl.path().parent().expect("a folder").to_owned();
        let path = std::env::var("PATH").expect("a search path");
        let mut child = Command::new("bash")
            .args(["-e", "-u", "-o", "pipefail"])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", folder)
            .env("HUB_ADDRESS", hub_address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("stderr")).expect("a file"))
            .spawn()
            .expect("bash runs");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, input, lines, said: String::new() }
    }

    /// Types a block and waits until the shell has carried it out.
    fn type_in(&mut self, block: &str, folder: &Path) {
        writeln!(self.input, "{block}\necho '{DONE}'").expect("the shell reads");
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line == DONE => return,
                Ok(line) => self.said += &format!("{line}\n"),
                Err(error) => {
                    let errors = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
                    panic!("{error} in this block:\n{block}\nsaid so far:\n{}\n{errors}", self.said);
                }
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the daemon that a line names and waits until it is ready.
fn start(line: &str, folder: &Path) -> Daemon {
    let words: Vec<_> = line.split_whitespace().collect();
    let ["ncp-relay" | "ncp-node", "--config", config] = words[..] else { panic!("no start of a daemon: {line}") };
    let program = if words[0] == "ncp-relay" { Program::Relay } else { Program::Node };
    let started = Daemon::start(program, &folder.join(config));
    started.unwrap_or_else(|ended| panic!("{line} ended with {}:\n{}", ended.status, ended.log))
}

#[tokio::test]
async fn the_operating_page_leads_from_nothing_to_a_verified_message() {
    let page = fs::read_to_string(top().join("docs/OPERATING.md")).expect("the page");
    let blocks = blocks(&page);
    let daemons = blocks.iter().filter(|block| matches!(block, Block::Daemon(_))).count();
    assert_eq!(daemons, 3, "a hub and two nodes");
    let demo = |block: &Block| matches!(block, Block::Typed(text) if text.contains("ncpctl demo"));
    assert!(!blocks.iter().any(demo), "without the demo");

    let folder = e2e::folder::fresh();
    let mut shell = Shell::start(folder.path(), &free_address().to_string());
    let mut running = Vec::new();
    for block in &blocks {
        match block {
            Block::Typed(text) => shell.type_in(text, folder.path()),
            Block::Daemon(line) => running.push(start(line, folder.path())),
        }
    }

    // What the page says that one sees, judged without it.
    let reference = shell.said.split_whitespace().find_map(|word| word.parse::<Reference>().ok());
    let reference = reference.unwrap_or_else(|| panic!("a reference was shown:\n{}", shell.said));
    let socket = folder.path().join("xa.sock");
    let client = client_at(&socket, 12, &folder.path().join("xa-officer-12.key")).await;
    let view = client.message(&reference.into()).await.expect("the message");
    assert_eq!(view.state, MessageState::HandedOver);
    let receipts = verified(&client.evidence(&reference.into()).await.expect("receipts"));
    let kinds: Vec<_> = receipts.iter().map(|(kind, _)| *kind).collect();
    for kind in [ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment, ReceiptKind::ContentHandover] {
        assert_eq!(kinds.iter().filter(|found| **found == kind).count(), 1, "{kind} in {kinds:?}");
    }
    assert_eq!(shell.said.matches("receipt ok").count(), 3, "status verified all three:\n{}", shell.said);
}

#[test]
fn blocks_are_found_by_their_marks() {
    let page = "text\n```sh {joining}\na\nb\n```\n```sh\nnot this\n```\n```sh {joining daemon}\nc\n```\n";
    assert_eq!(blocks(page), [Block::Typed("a\nb\n".to_owned()), Block::Daemon("c\n".to_owned())]);
}
