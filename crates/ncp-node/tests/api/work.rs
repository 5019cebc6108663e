//! Work on a request that arrived: read, assigned, contributed to, answered. The arrival itself is made by hand.

use ncp_api::ErrorCode;
use ncp_api::client::PageQuery;
use ncp_api::message::{
    Assign, Confirm, ConfirmStatus, ContentState, Contribute, MessageName, MessageState, NewResponse,
};
use ncp_api::timeline::Step;
use ncp_node::core::command::{Ask, Consigned, Noted, body_record, content_record, envelope_record};
use ncp_node::vault::StoredContent;
use ncp_protocol::body::ContentKey;
use ncp_protocol::codes::{Handling, Kind, Precedence, ResponseStatus};
use ncp_protocol::envelope::DraftMessage;
use ncp_protocol::event::{Claim, EnvelopeKey, EvidenceKind, Outcome, Received};
use ncp_protocol::ids::{
    ConversationId, Digest, Epoch, LogName, LogOrigin, MessageId, PairSequence, ParticipantId, Reference, SealNumber,
};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_protocol::manifest::{Manifest, Part};
use ncp_store::spool::{Record, RecordKind, RecordName};

use crate::party::id;
use crate::world::{DRAFTER, RELEASER, World, attachment, code, fresh, soon};

/// A request of XB that was consigned here, as the link would do it.
pub(crate) async fn arrival(world: &World, subject: &str, text: &str, handling: Handling) -> Reference {
    let (message, reference) = (MessageId::from_random(ncp_node::clock::random()), "XB-2026-000001".parse().unwrap());
    let manifest = Manifest {
        version: PROTOCOL_VERSION,
        network: world.trust.network,
        message,
        reference,
        originator: id("XB"),
        recipients: vec![id("XA")],
        conversation: ConversationId(message),
        in_reply_to: None,
        kind: Kind::Request,
        response_status: None,
        subject: subject.parse().unwrap(),
        subject_code: None,
        form: None,
        handling,
        restriction: (handling == Handling::H3).then(|| "for border police alone".parse().unwrap()),
        urgent_ground: None,
        answer_by: None,
        also_sent_through: Vec::new(),
        reason: None,
        parts: vec![Part {
            name: "message.txt".parse().unwrap(),
            media_type: "text/plain".parse().unwrap(),
            length: text.len() as u64,
            sha256: sha256(text.as_bytes()),
        }],
    };
    let draft = DraftMessage::new(manifest, &ncp_node::clock::random()).unwrap();
    let cek = ContentKey::from_bytes(&ncp_node::clock::random());
    let mut bytes = Vec::new();
    let mut sealer = draft.seal_body(&cek, &mut |_, chunk| bytes = chunk).unwrap();
    sealer.update(text.as_bytes(), &mut |_, chunk| bytes = chunk).unwrap();
    let body = sealer.finish(&mut |_, chunk| bytes = chunk).unwrap();
    let envelope = EnvelopeKey { originator: id("XB"), message, recipient: id("XA"), seal: SealNumber(1) };
    let header = Digest(ncp_node::clock::random());
    let origin = LogOrigin {
        network: world.trust.network,
        participant: ParticipantId::HUB,
        log: LogName::Traffic,
        epoch: Epoch(1),
    };
    let received = Received {
        envelope,
        header,
        reference,
        conversation: ConversationId(message),
        in_reply_to: None,
        kind: Kind::Request,
        response_status: None,
        reason: None,
        precedence: Precedence::Routine,
        handling,
        answer_by: None,
        due: None,
        commitment: draft.commitment(),
        root: body.root,
        body_length: body.length,
        sequence: PairSequence(1),
        epoch: Epoch(1),
        floor: PairSequence(1),
        voided: Vec::new(),
    };
    let stored = StoredContent::received(cek, *draft.r(), draft.manifest_bytes().to_vec());
    let proof = b"not a proof".to_vec();
    let claim = Claim {
        origin,
        key: world.hub.log.verifying_key().id(),
        kind: EvidenceKind::RelayAcceptance,
        envelope,
        header,
        outcome: Outcome::Done,
    };
    let record = Record { name: RecordName { kind: RecordKind::Evidence, id: sha256(&proof) }, bytes: proof };
    let content = world.node().vault.seal_content(content_record(id("XB"), message, 0), &stored);
    world
        .ask(Ask::Consign(Box::new(Consigned {
            received,
            envelope: Record { name: envelope_record(header), bytes: b"an envelope".to_vec() },
            content,
            body: Some(Record { name: body_record(body.root), bytes }),
            acceptance: Noted { claim, index: 7, stated: ncp_node::clock::now(), record },
            cites: None,
            originator_class: None,
        })))
        .await;
    reference
}

pub(crate) fn response(status: ResponseStatus) -> NewResponse {
    NewResponse {
        status,
        reason: None,
        precedence: None,
        urgent_ground: None,
        handling: Handling::H2,
        restriction: None,
        subject: None,
        form: None,
        text: Some("Here is the answer.".to_owned()),
        attachments: Vec::new(),
        answer_by: None,
        lifetime_days: None,
        contributions: Vec::new(),
        national_ref: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_read_assigned_contributed_to_and_answered() {
    let mut world = World::serving().await;
    let name = MessageName::from(arrival(&world, "Grey van", "Who owns it?", Handling::H2).await);
    let client = world.client(DRAFTER);
    let inbox = soon(client.inbox(&PageQuery::default())).await.unwrap();
    assert_eq!((inbox.items.len(), inbox.items[0].opened), (1, false));
    assert_eq!(inbox.items[0].subject.as_deref(), Some("Grey van"));
    let behind = PageQuery { after: Some(inbox.cursor), ..PageQuery::default() };
    assert!(soon(client.inbox(&behind)).await.unwrap().items.is_empty());
    let confirm = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
    let read = soon(client.confirm(&name, &confirm)).await.unwrap();
    assert_eq!((read.state, read.text.as_deref()), (MessageState::HandedOver, Some("Who owns it?")));

    let services = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let unknown = Assign { services: services(&["navy"]), note: None };
    assert_eq!(code(soon(client.assign(&name, &unknown)).await), ErrorCode::ServiceUnknown);
    let assign = Assign { services: services(&["border-police", "customs"]), note: Some("by noon".to_owned()) };
    let assigned = soon(client.assign(&name, &assign)).await.unwrap();
    assert_eq!(assigned.tasks.len(), 2);
    assert!(assigned.tasks.iter().all(|task| task.note.as_deref() == Some("by noon")));

    let path = world.folder.path().join("scan.pdf");
    std::fs::write(&path, vec![5; 100_000]).unwrap();
    let blob = soon(client.upload(&path, |_| ())).await.unwrap();
    let found =
        |task, text: Option<&str>, attachments| Contribute { task, text: text.map(ToOwned::to_owned), attachments };
    let key = fresh();
    let first = found(1, Some("seen on 3 May"), vec![attachment("scan.pdf", &blob.id)]);
    soon(client.contribute(&name, &first, &key)).await.unwrap();
    let again = soon(client.contribute(&name, &first, &key)).await.unwrap();
    assert_eq!(again.tasks[0].contributions.len(), 1, "a retry adds nothing");
    soon(client.contribute(&name, &found(2, Some("no duty paid"), vec![]), &fresh())).await.unwrap();
    assert_eq!(
        code(soon(client.contribute(&name, &found(3, Some("x"), vec![]), &fresh())).await),
        ErrorCode::TaskUnknown
    );
    assert_eq!(code(soon(client.contribute(&name, &found(1, None, vec![]), &fresh())).await), ErrorCode::EmptyMessage);
    let mut out = Vec::new();
    soon(client.download(&ncp_api::path::contribution_part(&name, 1, 1, 1), &mut out, |_| ())).await.unwrap();
    assert_eq!(out, vec![5; 100_000]);

    // The answer is composed after a restart: nothing of it was in memory alone.
    world.stop().await;
    world.start().await;
    let client = world.client(DRAFTER);
    let mut answer = response(ResponseStatus::Final);
    answer.contributions = vec![1, 2];
    let draft = soon(client.respond(&name, &answer, &fresh())).await.unwrap();
    assert_eq!(draft.subject.as_deref(), Some("Re: Grey van"));
    let parts: Vec<_> = draft.parts.iter().map(|part| (part.name.as_str(), part.task)).collect();
    let expected =
        [("message.txt", None), ("border-police.txt", Some(1)), ("scan.pdf", Some(1)), ("customs.txt", Some(2))];
    assert_eq!(parts, expected);
    world.approve(RELEASER, &draft).await.unwrap();
    let request = soon(client.message(&name)).await.unwrap();
    assert_eq!((request.state, request.answers.clone()), (MessageState::Answered, vec![draft.reference]));
    assert_eq!(code(soon(client.respond(&name, &answer, &fresh())).await), ErrorCode::AnsweredAlready);
    let timeline = soon(client.timeline(&name)).await.unwrap();
    let steps: Vec<_> = timeline.entries.iter().map(|entry| entry.step).collect();
    for step in [Step::Delivered, Step::HandedOver, Step::Assigned, Step::Contributed, Step::Answered] {
        assert!(steps.contains(&step), "{steps:?}");
    }
    use ncp_api::timeline::EvidenceState::{Bad, Ok};
    let evidence = |step| timeline.entries.iter().find(|entry| entry.step == step).unwrap().evidence;
    // This node's own evidence verifies; the made-up receipt of the hub does not, and is shown as what it is.
    assert_eq!((evidence(Step::Delivered), evidence(Step::HandedOver), evidence(Step::Accepted)), (Ok, Ok, Bad));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_is_read_before_the_content() {
    let world = World::serving().await;
    let name = MessageName::from(arrival(&world, "Secret subject", "Secret text", Handling::H3).await);
    let client = world.client(DRAFTER);
    let hidden = soon(client.message(&name)).await.unwrap();
    assert_eq!((hidden.content, hidden.subject, hidden.text), (ContentState::Restricted, None, None));
    assert_eq!(hidden.restriction.as_deref(), Some("for border police alone"));
    let part = ncp_api::path::message_part(&name, 1);
    let refused = soon(client.download(&part, &mut Vec::new(), |_| ())).await;
    assert_eq!(code(refused), ErrorCode::RestrictionNotAcknowledged);
    let confirm = |acknowledged| Confirm {
        status: ConfirmStatus::Processed,
        national_ref: None,
        restriction_acknowledged: acknowledged,
    };
    assert_eq!(code(soon(client.confirm(&name, &confirm(false))).await), ErrorCode::RestrictionNotAcknowledged);
    let shown = soon(client.confirm(&name, &confirm(true))).await.unwrap();
    assert_eq!((shown.content, shown.text.as_deref()), (ContentState::Shown, Some("Secret text")));
}
