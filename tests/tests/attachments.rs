//! Attachments: nothing, a lot, hostile names, files that change under the reader.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use e2e::messages::{fresh_key, is_delivered, message};
use e2e::shared::Shared;
use e2e::{Network, Plan, folder};
use ncp_api::ErrorCode;
use ncp_api::message::{Attachment, MessageName};
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::Reference;
use ncp_protocol::keys::sha256;

static SHARED: Shared = Shared::new();

async fn network() -> Arc<Network> {
    SHARED.network(|| Plan::of(&["XB", "XC"])).await
}

/// A file outside every data folder.
fn file(network: &Network, name: &str, bytes: &[u8]) -> PathBuf {
    let path = network.folder().join(format!("{}-{name}", fresh_key()));
    fs::write(&path, bytes).expect("written");
    path
}

/// Sends files by `ncpctl send --attach NAME=PATH`; returns the reference.
fn send(network: &Network, files: &[(&str, &Path)]) -> Reference {
    let node = network.node("XB");
    let mut ctl =
        node.ctl("send --kind notice --handling H0 --to XC --text attached", node.officer(1)).set("--subject", "Files");
    for (name, path) in files {
        ctl = ctl.set("--attach", format!("{name}={}", path.display()));
    }
    e2e::ctl::text(&ctl.json(), "reference").parse().expect("a reference")
}

/// Saves a message at XC by `ncpctl save` into a fresh folder.
fn save(network: &Network, reference: Reference) -> PathBuf {
    let node = network.node("XC");
    let folder = network.folder().join(fresh_key());
    fs::create_dir(&folder).expect("a folder");
    node.ctl("save", node.officer(1)).with(reference.to_string()).set("--to", &folder).ok();
    folder
}

#[tokio::test]
async fn an_empty_file_arrives_empty() {
    let network = network().await;
    let empty = file(&network, "empty.txt", b"");
    let reference = send(&network, &[("empty.txt", &empty)]);
    let received = network.node("XC").until_received(reference).await;
    let part = received.parts.iter().find(|part| part.name == "empty.txt").expect("the part");
    assert_eq!((part.length, part.sha256), (0, sha256(b"")));
    assert_eq!(fs::read(save(&network, reference).join("empty.txt")).expect("saved"), b"");
}

#[tokio::test]
async fn twenty_mebibytes_arrive_byte_by_byte() {
    let network = network().await;
    let mut bytes = Vec::with_capacity(20 << 20);
    let mut block = e2e::random::<32>();
    while bytes.len() < 20 << 20 {
        bytes.extend_from_slice(&block);
        block = sha256(&block).0;
    }
    bytes.truncate((20 << 20) - 1);
    let large = file(&network, "scan.bin", &bytes);
    let reference = send(&network, &[("scan.bin", &large)]);
    let received = network.node("XC").until_received(reference).await;
    let part = received.parts.iter().find(|part| part.name == "scan.bin").expect("the part");
    assert_eq!((part.length, part.sha256), (bytes.len() as u64, sha256(&bytes)));
    assert!(fs::read(save(&network, reference).join("scan.bin")).expect("saved") == bytes, "byte by byte");
    network.node("XB").until_state(reference, is_delivered).await;
    let waiting = fs::read_dir(network.relay().data().join("bodies")).map_or(0, Iterator::count);
    assert_eq!(waiting, 0, "the hub deletes a body after its last header ended");
}

#[tokio::test]
async fn a_name_with_a_path_or_control_characters_is_refused_by_the_node() {
    let network = network().await;
    let client = network.node("XB").client(1);
    let blob = client.upload(&file(&network, "x", b"x"), |_| {}).await.expect("uploaded").id;
    for (name, code) in [
        ("../passwd", ErrorCode::AttachmentNamePath),
        ("/etc/passwd", ErrorCode::AttachmentNamePath),
        ("a\\b", ErrorCode::AttachmentNamePath),
        ("..", ErrorCode::AttachmentNamePath),
        ("a\nb", ErrorCode::AttachmentNameControl),
        ("a\u{1b}[2J", ErrorCode::AttachmentNameControl),
        ("photo\u{202e}gpj.exe", ErrorCode::AttachmentNameControl),
        ("", ErrorCode::AttachmentNameEmpty),
    ] {
        let mut hostile = message(Kind::Notice, &["XC"], "Files", "attached");
        let media_type = "text/plain".to_owned();
        hostile.attachments = vec![Attachment { name: name.to_owned(), media_type, blob: blob.clone() }];
        let error = client.create(&hostile, &fresh_key()).await.expect_err("refused");
        assert!(error.is(code), "{name:?}: {error}");
        assert_eq!(error.problem().field.as_deref(), Some("attachments[0].name"), "{name:?}");
        assert!(!error.to_string().contains('\u{1b}'), "the error shows no control character");
    }
}

#[tokio::test]
async fn a_name_with_a_path_is_refused_at_the_command_line() {
    let network = network().await;
    let node = network.node("XB");
    let path = file(&network, "plain.txt", b"x");
    for (name, code) in [("..\\evil", "error[NCP-E4402]"), ("..", "error[NCP-E4402]"), ("a\nb", "error[NCP-E4403]")] {
        let ran = node
            .ctl("send --kind notice --handling H0 --to XC --text attached", node.officer(1))
            .set("--subject", "Files")
            .set("--attach", format!("{name}={}", path.display()))
            .run()
            .expect_code(65);
        assert!(ran.stderr.starts_with(code), "{name:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_file_that_vanishes_or_changes_while_it_is_read_creates_nothing() {
    // A network of its own: what it holds is compared.
    let network = Plan::of(&["XB"]).start().await;
    let (node, client) = (network.node("XB"), network.node("XB").client(1));
    let (size, stored) = (node.size().await, folder::stored(&node.data()));
    // It is cut after its digest was taken and before its last byte was sent.
    let path = file(&network, "cut.bin", &vec![7; 8 << 20]);
    let mut looks = 0;
    let cut = client.upload(&path, |_| {
        looks += 1;
        if looks == 1 {
            fs::write(&path, b"").expect("cut");
        }
    });
    let error = cut.await.expect_err("refused");
    assert!(error.is(ErrorCode::AttachmentChanged), "{error}");
    // One that is gone already.
    fs::remove_file(&path).expect("removed");
    let error = client.upload(&path, |_| {}).await.expect_err("refused");
    assert!(error.is(ErrorCode::AttachmentMissing), "{error}");
    assert_eq!(node.size().await, size, "nothing happened");
    let _ = node.stop();
    assert_eq!(folder::stored(&node.data()), stored, "nothing of it is kept");
}

#[tokio::test]
async fn what_is_no_plain_file_is_not_attached() {
    let network = network().await;
    let node = network.node("XB");
    // Reading a pipe would wait for ever, or read another file each time.
    let pipe = network.folder().join(fresh_key());
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .expect("a pipe");
    for path in [&pipe, &network.folder().to_owned(), &network.folder().join("none")] {
        let ran = node
            .ctl("send --kind notice --handling H0 --to XC --text attached", node.officer(1))
            .set("--subject", "Files")
            .set("--attach", format!("x={}", path.display()))
            .run()
            .expect_code(66);
        assert!(ran.stderr.starts_with("error[NCP-E4409]"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn an_upload_that_is_not_what_was_announced_is_not_kept() {
    let network = network().await;
    let client = network.node("XB").client(1);
    let mut message = message(Kind::Notice, &["XC"], "Files", "attached");
    let (name, media_type) = ("x".to_owned(), "text/plain".to_owned());
    message.attachments = vec![Attachment { name, media_type, blob: fresh_key() }];
    let error = client.create(&message, &fresh_key()).await.expect_err("refused");
    assert!(error.is(ErrorCode::BlobUnknown), "{error}");
    assert!(client.message(&"XB-2026-999999".parse::<MessageName>().expect("a name")).await.is_err());
}
