//! Files: names, lengths, and files that change or vanish while they are read.

use std::path::PathBuf;

use ncp_api::ErrorCode;
use ncp_api::client::PageQuery;
use ncp_api::message::MessageName;
use ncp_api::officer::BODY_SHA256_HEADER;
use ncp_protocol::keys::sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{DRAFTER, World, attachment, code, fresh, request, soon};

fn file(world: &World, name: &str, bytes: &[u8]) -> PathBuf {
    let path = world.folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Bytes that no compression or repetition shortens.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_length_come_back_whole_and_in_ranges() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    for length in [0, 1, 65_536, 65_537, 20 << 20] {
        let bytes = noise(length);
        let path = file(&world, "photo.jpg", &bytes);
        let blob = soon(client.upload(&path, |_| ())).await.unwrap();
        assert_eq!((blob.length, blob.sha256), (length as u64, sha256(&bytes)));
        let mut message = request("With a file");
        message.attachments = vec![attachment("photo.jpg", &blob.id)];
        let draft = world.draft(&message).await;
        let name = MessageName::from(draft.reference);
        assert_eq!(draft.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["message.txt", "photo.jpg"]);
        let mut out = Vec::new();
        let digest = soon(client.download(&ncp_api::path::message_part(&name, 2), &mut out, |_| ())).await.unwrap();
        assert_eq!((out.len(), digest), (length, sha256(&bytes)));
        assert!(out == bytes);
    }
    let missing = ncp_api::path::message_part(&MessageName::from(world.draft(&request("x")).await.reference), 2);
    assert_eq!(code(soon(client.download(&missing, &mut Vec::new(), |_| ())).await), ErrorCode::PartUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_can_keep_a_part_of_the_revision_before() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let bytes = noise(200_000);
    let blob = soon(client.upload(&file(&world, "plan.pdf", &bytes), |_| ())).await.unwrap();
    let mut message = request("With a plan");
    message.attachments = vec![attachment("plan.pdf", &blob.id)];
    let draft = world.draft(&message).await;
    let name = MessageName::from(draft.reference);
    message.text = Some("Other words.".to_owned());
    message.attachments = vec![attachment("map.pdf", "part:2")];
    let edited = soon(client.edit(&name, &message)).await.unwrap();
    assert_eq!((edited.revision, edited.parts[1].name.as_str()), (2, "map.pdf"));
    let mut out = Vec::new();
    soon(client.download(&ncp_api::path::message_part(&name, 2), &mut out, |_| ())).await.unwrap();
    assert!(out == bytes);
    message.attachments = vec![attachment("map.pdf", "part:9")];
    assert_eq!(code(soon(client.edit(&name, &message)).await), ErrorCode::BlobUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_mislead_are_refused() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let blob = soon(client.upload(&file(&world, "a", b"a"), |_| ())).await.unwrap();
    for (name, expected) in [
        ("../../etc/passwd", ErrorCode::AttachmentNamePath),
        ("C:\\x", ErrorCode::AttachmentNamePath),
        ("a\u{7}b", ErrorCode::AttachmentNameControl),
        ("exe.\u{202e}gpj", ErrorCode::AttachmentNameControl),
        ("", ErrorCode::AttachmentNameEmpty),
        (&"n".repeat(201), ErrorCode::AttachmentNameTooLong),
        ("message.txt", ErrorCode::AttachmentNameTwice),
    ] {
        let mut message = request("With a file");
        message.attachments = vec![attachment(name, &blob.id)];
        assert_eq!(code(soon(client.create(&message, &fresh())).await), expected, "{name:?}");
    }
    let mut message = request("With no file");
    message.attachments = vec![attachment("a", &fresh())];
    assert_eq!(code(soon(client.create(&message, &fresh())).await), ErrorCode::BlobUnknown);
    assert!(soon(client.messages(&PageQuery::default())).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_while_it_is_read_creates_nothing() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let path = file(&world, "growing.bin", &noise(8 << 20));
    let cut = path.clone();
    let mut done = false;
    let outcome = soon(client.upload(&path, move |_| {
        if !done {
            std::fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(1 << 20).unwrap();
            done = true;
        }
    }))
    .await;
    assert_eq!(code(outcome), ErrorCode::AttachmentChanged);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code(soon(client.upload(&path, |_| ())).await), ErrorCode::AttachmentMissing);
    assert!(bodies(&world).is_empty(), "nothing of it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_or_lies_leaves_nothing() {
    let world = World::serving().await;
    let announced = noise(300_000);
    for (sent, close) in [(&announced[..100_000], true), (&noise(300_000)[1..], true)] {
        let mut other = sent.to_vec();
        other.push(0);
        let bytes = if sent.len() == 100_000 { sent.to_vec() } else { other };
        let answer = raw_upload(&world, &announced, &bytes, close).await;
        assert!(answer.is_empty() || answer.contains("NCP-E4412"), "{answer}");
    }
    let node = world.node();
    let left = move || node.reader().uploads().incoming(crate::party::id("XA"));
    // The writing thread notices that the pieces have ended; it is not told.
    soon(async {
        while left() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(bodies(&world).is_empty());
}

/// Sends an upload by hand: headers for `announced`, then `sent`.
async fn raw_upload(world: &World, announced: &[u8], sent: &[u8], close: bool) -> String {
    use ncp_api::officer::OfficerHeaders;
    let digest = sha256(announced);
    let request = ncp_protocol::approval::OfficerRequest {
        network: world.trust.network,
        participant: crate::party::id("XA"),
        officer: ncp_protocol::ids::OfficerNumber(DRAFTER),
        method: "POST".to_owned(),
        path: ncp_api::path::BLOBS.to_owned(),
        idempotency_key: fresh(),
        time: ncp_node::clock::now(),
        body_sha256: digest,
    };
    let mut head = format!("POST {} HTTP/1.1\r\nhost: localhost\r\n", ncp_api::path::BLOBS);
    for (name, value) in OfficerHeaders::sign(&request, &world.officers[&DRAFTER]).to_headers() {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("{BODY_SHA256_HEADER}: {digest}\r\ncontent-length: {}\r\n\r\n", announced.len());
    let mut stream = tokio::net::UnixStream::connect(world.socket()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    if close {
        stream.shutdown().await.unwrap();
    }
    let mut answer = String::new();
    // A broken connection is an answer too.
    let _ = soon(stream.read_to_string(&mut answer)).await;
    answer
}

fn bodies(world: &World) -> Vec<String> {
    let names = std::fs::read_dir(world.data().join("bodies")).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
