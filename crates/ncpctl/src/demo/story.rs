//! The play: what a duty officer's day is made of, with real messages. Each act checks what it shows; what does not hold
//! ends the play with its error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ncp_api::client::PageQuery;
use ncp_api::message::{
    Assign, Attachment, Confirm, ConfirmStatus, Contribute, FormContent, MessageName, MessageState, MessageView,
    NewMessage, NewResponse,
};
use ncp_api::release::Approve;
use ncp_api::{Client, ErrorCode};
use ncp_protocol::approval::Decision;
use ncp_protocol::codes::{Handling, Kind, Precedence, ResponseStatus};
use ncp_protocol::ids::{ParticipantId, Reference};

use super::cast::{SEC, XA, XB, XC};
use super::network::{Desk, Network, until};
use super::script::{Part, Script};
use crate::compose::wait::{self, WaitFor};
use crate::context::random_key;
use crate::error::{Error, file, internal};

/// The network's mandate, Permanent Council Decision No 757.
const MANDATE: &[u8] = include_bytes!("mandate.fr.txt");
/// A witness's drawing.
const VAN: &[u8] = include_bytes!("grey-van.svg");
/// Longest wait for a step of a message.
const PATIENCE: Duration = Duration::from_secs(20);
/// Size of the message during which the hub is killed: some hundred chunks, so that the first arrives well before the last.
const LARGE: usize = 24 << 20;
/// How often the hub may be too quick to be killed in the middle.
const TRIES: usize = 5;

/// What the play brought about, for whoever looks at it afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deeds {
    /// XA's request.
    pub(super) request: Reference,
    /// XB's answer.
    pub(super) answer: Reference,
    /// SEC's bulletin.
    pub(super) bulletin: Reference,
    /// XC's message, which met the killed hub.
    pub(super) survivor: Reference,
}

/// Plays all acts.
pub(super) async fn play(network: &mut Network, script: &Script<'_>, part: Part) -> Result<Deeds, Error> {
    let request = request(network, script, part).await?;
    let answer = answer(network, script, request).await?;
    let bulletin = bulletin(network, script).await?;
    let survivor = power_cut(network, script).await?;
    Ok(Deeds { request, answer, bulletin, survivor })
}

/// XA asks XB about a van; who drafted it cannot release it.
async fn request(network: &Network, script: &Script<'_>, part: Part) -> Result<Reference, Error> {
    script.act("XA asks XB about a grey van")?;
    let (xa, xb) = (network.desk(&XA)?, network.desk(&XB)?);
    let drafter = xa.drafter();
    let photo = material(xa, "grey-van.svg", VAN)?;
    let mut message = new_message(Kind::Request, &[xb.id], "Grey van, plate begins K 47");
    message.precedence = Precedence::Priority;
    message.handling = Handling::H2;
    message.form = Some(vehicle_form()?);
    message.text =
        Some("Seen at 02:40 near the crossing, lights off. Who owns it, and has it crossed before?\n".to_owned());
    message.attachments = vec![attach(&drafter, &photo, "image/svg+xml").await?];
    let drafted = drafter.create(&message, &random_key()).await?;
    let name = MessageName::from(drafted.reference);
    script.say(&format!("officer {} drafted {}, {}", XA.drafter.number, drafted.reference, drafted.state))?;

    let own = approve(xa, &drafter, &name).await;
    match own {
        Err(error) if error.is(ErrorCode::DrafterCannotRelease) => {
            script.say(&format!("officer {} may not release it: {}", XA.drafter.number, error.problem().title))?;
        }
        Err(error) => return Err(error),
        Ok(_) => return Err(internal(&"the drafter released the own message")),
    }
    if part == Part::Officer {
        script.your_turn(xa, drafted.reference)?;
        until_released(&drafter, &name).await?;
    } else {
        approve(xa, &xa.releaser(), &name).await?;
    }
    script.say(&format!("officer {} released it", XA.releaser.number))?;
    wait::until(&drafter, &name, WaitFor::Delivered, PATIENCE).await?;
    script.say("R1 from the hub, R2 from XB's node")?;
    take(xb, drafted.reference).await?;
    wait::until(&drafter, &name, WaitFor::HandedOver, PATIENCE).await?;
    script.say(&format!("officer {} at XB opened it: R3", XB.drafter.number))?;
    Ok(drafted.reference)
}

/// XB asks two services and answers with what they found.
async fn answer(network: &Network, script: &Script<'_>, request: Reference) -> Result<Reference, Error> {
    script.act("XB asks two services and answers")?;
    let (xa, xb) = (network.desk(&XA)?, network.desk(&XB)?);
    let drafter = xb.drafter();
    let name = MessageName::from(request);
    let services = ["border-police", "customs"];
    let codes: Result<Vec<_>, _> = services.iter().map(|service| service.parse()).collect();
    let assign =
        Assign { services: codes.map_err(|error| internal(&error))?, note: Some("By noon, please.".to_owned()) };
    let assigned = drafter.assign(&name, &assign).await?;
    let tasks: Vec<u16> = assigned.tasks.iter().map(|task| task.task).collect();
    let found = [
        "Crossed on 3 and 17 November, driver alone, no findings.\n",
        "Stopped on 17 November: 40 cartons of cigarettes, declared. Report K-1187.\n",
    ];
    for ((task, text), service) in tasks.iter().zip(found).zip(services) {
        let contribution = Contribute { task: *task, text: Some(text.to_owned()), attachments: Vec::new() };
        drafter.contribute(&name, &contribution, &random_key()).await?;
        script.say(&format!("{service} contributed"))?;
    }
    let response = NewResponse {
        status: ResponseStatus::Final,
        reason: None,
        precedence: None,
        urgent_ground: None,
        handling: Handling::H1,
        restriction: None,
        subject: None,
        form: None,
        text: Some("The van is registered here. Findings of two services are attached.\n".to_owned()),
        attachments: Vec::new(),
        answer_by: None,
        lifetime_days: None,
        contributions: tasks,
        national_ref: Some("K-1187".to_owned()),
    };
    let answer = drafter.respond(&name, &response, &random_key()).await?;
    let answer_name = MessageName::from(answer.reference);
    approve(xb, &xb.releaser(), &answer_name).await?;
    script.say(&format!("{} composed, released by officer {}", answer.reference, XB.releaser.number))?;
    wait::until(&drafter, &answer_name, WaitFor::Delivered, PATIENCE).await?;
    take(xa, answer.reference).await?;
    let asked = until("the request to be answered", || async {
        let view = xa.drafter().message(&name).await?;
        Ok((view.state == MessageState::Answered).then_some(view))
    })
    .await?;
    if !asked.answers.contains(&answer.reference) {
        return Err(internal(&"the answer is not linked to its request"));
    }
    script.say("XA has the answer, linked to its request by content")?;
    Ok(answer.reference)
}

/// SEC tells everybody something.
async fn bulletin(network: &Network, script: &Script<'_>) -> Result<Reference, Error> {
    script.act("SEC publishes a bulletin to all")?;
    let sec = network.desk(&SEC)?;
    let others: Vec<&Desk> = network.desks().iter().filter(|desk| desk.id != sec.id).collect();
    let drafter = sec.drafter();
    let mandate = material(sec, "mandate.fr.txt", MANDATE)?;
    let to: Vec<ParticipantId> = others.iter().map(|desk| desk.id).collect();
    let mut message = new_message(Kind::Bulletin, &to, "The network's mandate");
    message.text = Some("Decision No 757 is attached, for whoever joins the duty roster.\n".to_owned());
    message.attachments = vec![attach(&drafter, &mandate, "text/plain").await?];
    let published = drafter.create(&message, &random_key()).await?;
    let name = MessageName::from(published.reference);
    wait::until(&drafter, &name, WaitFor::Delivered, PATIENCE).await?;
    for desk in others {
        let received = desk.drafter().message(&name).await?;
        let part = received.parts.iter().find(|part| part.name == "mandate.fr.txt");
        if part.map(|part| part.sha256) != Some(ncp_protocol::keys::sha256(MANDATE)) {
            return Err(internal(&format!("{} holds another text", desk.id)));
        }
    }
    script.say(&format!("{}: R2 from all three nodes, each with the same text", published.reference))?;
    Ok(published.reference)
}

/// The hub dies in the middle of a message and comes back.
async fn power_cut(network: &mut Network, script: &Script<'_>) -> Result<Reference, Error> {
    script.act("the hub is killed while XC submits")?;
    for _ in 0..TRIES {
        if let Some(reference) = cut_once(network, script).await? {
            return arrived_once(network, script, reference).await;
        }
        script.say("the hub had taken it before the kill; again with another message")?;
    }
    Err(internal(&"the hub was always quicker than the kill"))
}

/// Kills the relay after the first chunk and before R1. `None` if R1 was there first.
async fn cut_once(network: &mut Network, script: &Script<'_>) -> Result<Option<Reference>, Error> {
    let incoming = network.hub_data().join("incoming").join(XC.id);
    let (xc, xb) = (network.desk(&XC)?, network.desk(&XB)?.id);
    let drafter = xc.drafter();
    // Bytes that do not repeat, so that no layer could shorten them.
    let mut scan = Vec::with_capacity(LARGE);
    let mut block = ncp_protocol::keys::sha256(b"a scanned log book");
    while scan.len() < LARGE {
        scan.extend_from_slice(&block.0);
        block = ncp_protocol::keys::sha256(&block.0);
    }
    let path = material(xc, "log-book.bin", &scan)?;
    let mut message = new_message(Kind::Notice, &[xb], "Log book of the crossing");
    message.attachments = vec![attach(&drafter, &path, "application/octet-stream").await?];
    let sent = drafter.create(&message, &random_key()).await?;
    let name = MessageName::from(sent.reference);
    let accepted =
        |state| !matches!(state, MessageState::Queued | MessageState::Held | MessageState::WaitingForRelease);
    let begun = until("the first chunk to arrive at the hub", || async {
        if holds_bytes(&incoming) {
            return Ok(Some(true));
        }
        Ok(accepted(drafter.message(&name).await?.state).then_some(false))
    })
    .await?;
    if !begun {
        return Ok(None);
    }
    network.kill_relay().await?;
    let state = network.desk(&XC)?.drafter().message(&name).await?.state;
    let outcome = (!accepted(state)).then_some(sent.reference);
    if outcome.is_some() {
        script.say(&format!("{}: killed after the first chunk, before R1", sent.reference))?;
    }
    network.start_relay().await?;
    Ok(outcome)
}

async fn arrived_once(network: &Network, script: &Script<'_>, reference: Reference) -> Result<Reference, Error> {
    let name = MessageName::from(reference);
    let (xc, xb) = (network.desk(&XC)?, network.desk(&XB)?);
    wait::until(&xc.drafter(), &name, WaitFor::Delivered, PATIENCE).await?;
    let inbox = xb.drafter().inbox(&PageQuery::default()).await?;
    let times = inbox.items.iter().filter(|item| item.reference == reference).count();
    if times != 1 {
        return Err(internal(&format!("{reference} arrived {times} times")));
    }
    script.say(&format!("{reference}: arrived once, whole"))?;
    Ok(reference)
}

/// Whether an upload of more than a chunk lies in the folder.
fn holds_bytes(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.metadata().is_ok_and(|file| file.len() > 0))
}

/// Approves exactly what is shown to the officer of this client.
async fn approve(desk: &Desk, client: &Client, name: &MessageName) -> Result<MessageView, Error> {
    let shown = client.release(name).await?;
    let signature = shown.statement(Decision::Approve).sign(desk.releaser_key());
    client.approve(name, &Approve { code: shown.code, signature }).await
}

async fn until_released(client: &Client, name: &MessageName) -> Result<(), Error> {
    // A person takes the time that it takes.
    loop {
        let cursor = client.newest_cursor().await?;
        match client.message(name).await?.state {
            MessageState::WaitingForRelease | MessageState::Draft => client.events(Some(&cursor), 20).await?,
            MessageState::Queued
            | MessageState::Held
            | MessageState::Accepted
            | MessageState::Delivered
            | MessageState::HandedOver
            | MessageState::Answered => return Ok(()),
            MessageState::Withdrawn | MessageState::Expired | MessageState::Failed => {
                return Err(internal(&"the message was not released"));
            }
        };
    }
}

/// An officer opens a message for the first time.
async fn take(desk: &Desk, reference: Reference) -> Result<(), Error> {
    let client = desk.drafter();
    let name = MessageName::from(reference);
    until("the message to stand in the inbox", || async {
        let inbox = client.inbox(&PageQuery::default()).await?;
        Ok(inbox.items.iter().any(|item| item.reference == reference).then_some(()))
    })
    .await?;
    let confirm = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
    client.confirm(&name, &confirm).await?;
    Ok(())
}

/// Puts a file where an officer would have it: outside every data folder.
fn material(desk: &Desk, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
    let path = desk.folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| file(&path, &error))?;
    Ok(path)
}

async fn attach(client: &Client, path: &Path, media_type: &str) -> Result<Attachment, Error> {
    let blob = client.upload(path, |_| {}).await?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Attachment { name, media_type: media_type.to_owned(), blob: blob.id })
}

fn vehicle_form() -> Result<FormContent, Error> {
    let fields =
        [("type", "van"), ("colour", "grey"), ("registration", "K 47…"), ("features", "dent on the left door")];
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), serde_json::Value::from(*value))).collect();
    Ok(FormContent { form: "vehicle/2".parse().map_err(|error| internal(&error))?, fields })
}

fn new_message(kind: Kind, to: &[ParticipantId], subject: &str) -> NewMessage {
    NewMessage {
        to: to.to_vec(),
        kind,
        precedence: Precedence::Routine,
        urgent_ground: None,
        handling: Handling::H0,
        restriction: None,
        subject: subject.to_owned(),
        subject_code: None,
        form: None,
        text: None,
        attachments: Vec::new(),
        answer_by: None,
        lifetime_days: None,
        in_reply_to: None,
        response_status: None,
        reason: None,
        also_sent_through: Vec::new(),
        contributions: Vec::new(),
        national_ref: None,
    }
}
