//! No plaintext of drafts, titles, contributions or attachments lies in any data folder, at the nodes or at the hub.
#![cfg(test)]

use e2e::messages::{fresh_key, is_delivered, message};
use e2e::{Network, Plan, folder};
use ncp_api::message::{Assign, Attachment, Confirm, ConfirmStatus, Contribute, MessageName, NewResponse};
use ncp_protocol::codes::{Handling, Kind, ResponseStatus};

/// Words that occur nowhere else, each long enough for every spelling that is searched for.
const CANARIES: [&str; 7] = [
    "canary-of-the-title-qzwx",
    "canary-of-the-text-vbnm",
    "canary-of-the-first-draft-plok",
    "canary-of-the-attachment-ijuh",
    "canary-name-of-a-file-ygtf",
    "canary-of-a-contribution-rdes",
    "canary-of-the-answer-wazx",
];

/// No data folder and no log holds a canary.
fn check(network: &Network, when: &str) {
    for data in [network.relay().data(), network.node("XB").data(), network.node("XC").data()] {
        assert!(folder::files(&data).len() > 5, "there is something to search in {}", data.display());
        assert_eq!(folder::holding(&data, &CANARIES), [], "{when}");
    }
    let logs = [network.relay().log(), network.node("XB").log(), network.node("XC").log()];
    for line in logs.iter().flat_map(|log| log.since(0)) {
        assert!(!line.contains("canary-"), "{when}: {line}");
    }
}

#[tokio::test]
async fn the_search_finds_what_it_looks_for() {
    let folder = folder::fresh();
    let word = CANARIES[0];
    let utf16: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let padded = ["ab", word, "cd"].concat();
    use base64ct::Encoding as _;
    let base64 = base64ct::Base64::encode_string(padded.as_bytes()).into_bytes();
    for (name, bytes) in [("utf8", word.as_bytes()), ("utf16", &utf16), ("base64", &base64), ("none", b"nothing")] {
        std::fs::write(folder.path().join(name), [b"before", bytes, b"after"].concat()).expect("written");
    }
    let hits = folder::holding(folder.path(), &CANARIES);
    let names: Vec<_> = hits.iter().filter_map(|(path, _)| path.file_name()).collect();
    assert_eq!(names, ["base64", "utf16", "utf8"]);
}

#[tokio::test]
async fn no_content_lies_in_the_clear_from_draft_to_answer() {
    let [title, text, first, attachment, name, contribution, answer] = CANARIES;
    let network = Plan::of(&["XB", "XC"]).start().await;
    let (xb, xc) = (network.node("XB"), network.node("XC"));

    let path = network.folder().join("attachment");
    std::fs::write(&path, format!("{attachment}\n").repeat(10_000)).expect("written");
    let upload = |client: ncp_api::Client| async move { client.upload(&path, |_| {}).await.expect("uploaded").id };
    let blob = upload(xb.client(1)).await;
    check(&network, "a file was uploaded");

    let mut draft = message(Kind::Request, &["XC"], title, first);
    draft.attachments = vec![Attachment { name: name.to_owned(), media_type: "text/plain".to_owned(), blob }];
    draft.national_ref = Some(format!("{title}-ref"));
    let drafted = xb.client(1).create(&draft, &fresh_key()).await.expect("drafted");
    let request = MessageName::from(drafted.reference);
    check(&network, "it is drafted");
    let mut edit = message(Kind::Request, &["XC"], title, text);
    edit.national_ref.clone_from(&draft.national_ref);
    xb.client(1).edit(&request, &edit).await.expect("edited");
    xb.client(1).edit(&request, &message(Kind::Request, &["XC"], title, text)).await.expect("edited");
    check(&network, "it is edited");

    xb.approve(2, &request).await.expect("released");
    xb.until_state(drafted.reference, is_delivered).await;
    let received = xc.until_received(drafted.reference).await;
    assert_eq!((received.subject.as_deref(), received.text.as_deref()), (Some(title), Some(text)), "it is readable");
    check(&network, "it is delivered");

    let confirm = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
    xc.client(1).confirm(&request, &confirm).await.expect("taken");
    let services = vec!["customs".parse().expect("a service")];
    xc.client(1).assign(&request, &Assign { services, note: Some(contribution.to_owned()) }).await.expect("assigned");
    let contributed = Contribute { task: 1, text: Some(contribution.to_owned()), attachments: Vec::new() };
    let seen = xc.client(1).contribute(&request, &contributed, &fresh_key()).await.expect("contributed");
    assert_eq!(seen.tasks[0].contributions[0].text.as_deref(), Some(contribution), "it is readable");
    check(&network, "a service contributed");

    let response: NewResponse = serde_json::from_value(serde_json::json!({
        "status": ResponseStatus::Final.to_string(), "handling": "H1", "text": answer, "contributions": [1],
    }))
    .expect("a response of the API");
    assert_eq!(response.handling, Handling::H1);
    let answered = xc.client(1).respond(&request, &response, &fresh_key()).await.expect("composed");
    xc.approve(2, &answered.reference.into()).await.expect("released");
    let back = xb.until_received(answered.reference).await;
    assert_eq!(back.text.as_deref(), Some(answer), "it is readable");
    check(&network, "it is answered");

    let _ = (xb.stop(), xc.stop(), network.relay().stop());
    for data in [network.relay().data(), xb.data(), xc.data()] {
        assert_eq!(folder::holding(&data, &CANARIES), [], "all daemons have stopped");
    }
}
