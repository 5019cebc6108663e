//! The demo, proved again through its kept network: the API of its daemons and offline verification, not what it prints.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use e2e::binaries::{Program, top};
use e2e::ctl::{Ctl, text};
use e2e::node::client_at;
use e2e::receipts::verified;
use ncp_api::Client;
use ncp_api::client::PageQuery;
use ncp_api::message::{MessageName, MessageState};
use ncp_api::timeline::ReceiptKind;
use ncp_protocol::ids::Reference;
use ncp_protocol::keys::sha256;
use serde_json::Value;

/// A kept network; it is ended when dropped, whatever a test found.
struct Kept {
    _above: tempfile::TempDir,
    folder: PathBuf,
    played: Value,
}

impl Kept {
    fn play() -> Self {
        let above = e2e::folder::fresh();
        let folder = above.path().join("demo");
        let ran = Ctl::new("demo --keep --json").set("--dir", &folder).ok();
        let last = ran.stdout.lines().last().expect("it prints an object");
        let played = serde_json::from_str(last).expect("JSON");
        Self { _above: above, folder, played }
    }

    fn reference(&self, member: &str) -> Reference {
        text(&self.played, member).parse().expect("a reference")
    }

    /// A client in the name of the officer whose key lies beside the node's socket.
    async fn client(&self, node: &str) -> Client {
        let folder = self.folder.join(node);
        let (number, file) = first_officer(&folder);
        client_at(&folder.join("api.sock"), number, &file).await
    }

    fn data_folders(&self) -> Vec<PathBuf> {
        ["hub", "sec", "xa", "xb", "xc"].map(|name| self.folder.join(name).join("data")).to_vec()
    }

    /// Processes whose command line names the folder.
    fn processes(&self) -> Vec<String> {
        let entries = fs::read_dir("/proc").expect("processes");
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&*self.folder.to_string_lossy()) {
                found.push(line);
            }
        }
        found
    }

    fn down(&self) -> e2e::ctl::Ran {
        Ctl::new("demo down").set("--dir", &self.folder).run()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.folder.exists() {
            let _ = self.down();
        }
    }
}

/// The lowest number of the officers whose keys lie in a folder, with the key's file.
fn first_officer(folder: &Path) -> (u16, PathBuf) {
    let entries = fs::read_dir(folder).expect("the node's folder");
    let officers = entries.flatten().filter_map(|entry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        let number = text.lines().find_map(|line| line.strip_prefix("officer "))?;
        Some((number.parse().expect("a number"), entry.path()))
    });
    officers.min().expect("officers' keys lie there")
}

#[tokio::test]
async fn what_the_demo_tells_is_so() {
    let kept = Kept::play();
    let [xa, xb, xc, sec] = ["xa", "xb", "xc", "sec"].map(|name| kept.client(name));
    let (xa, xb, xc, sec) = tokio::join!(xa, xb, xc, sec);

    request_and_answer(&kept, &xa, &xb).await;
    bulletin(&kept, &sec, &[&xa, &xb, &xc]).await;
    survivor(&kept, &xc, &xb).await;
    for data in kept.data_folders() {
        Ctl::new("audit verify").with(&data).ok();
    }
    tampered_receipt(&kept, &xa).await;

    assert_eq!(kept.processes().len(), 5, "five daemons run: {:?}", kept.processes());
    let _ = kept.down().expect_code(0);
    assert_eq!(kept.processes(), Vec::<String>::new(), "no daemon is left");
    assert!(!kept.folder.exists(), "no folder is left");
}

async fn request_and_answer(kept: &Kept, xa: &Client, xb: &Client) {
    let (request, answer) = (MessageName::from(kept.reference("request")), kept.reference("answer"));
    let asked = xa.message(&request).await.expect("XA knows its request");
    assert_eq!(asked.state, MessageState::Answered);
    assert_eq!(asked.answers, [answer], "the answer is linked to its request");
    assert!(asked.parts.len() >= 2, "a text and an attached file");
    let release = asked.release.expect("it was released");
    assert!(release.approvals_needed > 0, "a second officer was needed");
    assert!(release.approvals.iter().all(|approval| Some(approval.officer) != asked.drafter), "not by its drafter");
    let read = xb.message(&request).await.expect("XB has it");
    assert_eq!(read.parts, asked.parts, "the same parts, by their digests");
    assert!(read.tasks.len() >= 2, "two services were asked");
    assert!(read.tasks.iter().all(|task| !task.contributions.is_empty()), "both contributed");
    let answered = xa.message(&answer.into()).await.expect("XA has the answer");
    assert_eq!(answered.conversation, asked.conversation);
    let bundle = xa.evidence(&request).await.expect("receipts");
    let kinds: Vec<_> = verified(&bundle).into_iter().map(|(kind, _)| kind).collect();
    for kind in [ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment, ReceiptKind::ContentHandover] {
        assert!(kinds.contains(&kind), "{kind} among {kinds:?}");
    }
}

async fn bulletin(kept: &Kept, sec: &Client, others: &[&Client]) {
    let mandate = fs::read(top().join("crates/ncpctl/src/demo/mandate.fr.txt")).expect("the mandate's text");
    let name = MessageName::from(kept.reference("bulletin"));
    for node in others {
        let received = node.message(&name).await.expect("it arrived");
        let part = received.parts.iter().find(|part| part.sha256 == sha256(&mandate)).expect("the mandate is attached");
        let mut bytes = Vec::new();
        let path = ncp_api::path::message_part(&name, part.number);
        node.download(&path, &mut bytes, |_| {}).await.expect("downloaded");
        assert!(bytes == mandate, "byte by byte");
    }
    let consigned = verified(&sec.evidence(&name).await.expect("receipts"));
    let consigned = consigned.iter().filter(|(kind, _)| *kind == ReceiptKind::ContentConsignment);
    let mut recipients: Vec<_> = consigned.map(|(_, evidence)| evidence.claim().envelope.recipient).collect();
    recipients.sort();
    assert_eq!(recipients, ["XA", "XB", "XC"].map(e2e::id), "R2 from all three");
}

async fn survivor(kept: &Kept, xc: &Client, xb: &Client) {
    let survivor = kept.reference("survivor");
    let all = PageQuery { limit: Some(ncp_api::PAGE_MAX), ..PageQuery::default() };
    let inbox = xb.inbox(&all).await.expect("the inbox");
    assert_eq!(inbox.items.iter().filter(|item| item.reference == survivor).count(), 1, "it arrived once");
    let receipts = verified(&xc.evidence(&survivor.into()).await.expect("receipts"));
    let count = |wanted| receipts.iter().filter(|(kind, _)| *kind == wanted).count();
    assert_eq!((count(ReceiptKind::RelayAcceptance), count(ReceiptKind::ContentConsignment)), (1, 1));
}

/// A receipt whose event was changed by one bit is BAD, and the exit code says so.
async fn tampered_receipt(kept: &Kept, xa: &Client) {
    let bundle = xa.evidence(&kept.reference("request").into()).await.expect("receipts");
    let mut file = serde_json::to_value(&bundle).expect("JSON");
    let path = kept.folder.join("bundle.json");
    fs::write(&path, file.to_string()).expect("written");
    Ctl::new("evidence verify").with(&path).ok();
    let proof = file["receipts"][0]["proof"].as_str().expect("a proof").to_owned();
    let at = proof.find("extra ").expect("the event's line") + 40;
    let other = if proof.as_bytes()[at] == b'A' { "B" } else { "A" };
    let tampered = [&proof[..at], other, &proof[at + 1..]].concat();
    file["receipts"][0]["proof"] = Value::String(tampered);
    fs::write(&path, file.to_string()).expect("written");
    let ran = Ctl::new("evidence verify").with(&path).run().expect_code(65);
    assert!(ran.stdout.contains("BAD") || ran.stderr.contains("NCP-E6101"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_demo_without_its_daemons_fails_and_leaves_nothing() {
    let folder = e2e::folder::fresh();
    let alone = folder.path().join("ncpctl");
    fs::copy(Program::Ctl.path(), &alone).expect("copied");
    let demo = folder.path().join("demo");
    let ran = Ctl::new("demo").set("--dir", &demo).program(&alone).run();
    assert_ne!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stderr.contains("ncp-relay"), "it says what is missing: {}", ran.stderr);
    assert!(!demo.exists(), "nothing is left behind");
}
