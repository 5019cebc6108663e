//! No byte of evidence leaves before the sync it rests on: syncs of one daemon wait, and meanwhile nothing is heard of what
//! they would make durable, however often one looks; once they return it comes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use e2e::calls::{Call, Kind};
use e2e::messages::fresh_key;
use ncp_api::message::{Confirm, ConfirmStatus, MessageName};
use ncp_api::timeline::ReceiptKind;

use crate::life::{Life, Role, World};

/// Bytes of a record on a link with a checkpoint alone, and less than those with a receipt, which holds one, or an envelope.
const HOUSEKEEPING_MAX: i64 = 400;

fn is_matter(call: &Call) -> bool {
    call.kind == Kind::Send && call.path.starts_with("link") && call.extent > HOUSEKEEPING_MAX
}

/// How often one looks in vain.
const LOOKS: u32 = 15;

/// A daemon some of whose syncs wait as long as a file exists.
struct Held<'a> {
    life: Life<'a>,
    gate: PathBuf,
    // Calls before the gate was last closed.
    before: usize,
}

impl<'a> Held<'a> {
    /// A network with pins, in which syncs of paths with `word` can be made to wait at one daemon.
    async fn begin(world: &'a World, role: Role, word: &str) -> Self {
        let gate = world.launcher.folder().join("gate");
        let _ = fs::remove_file(&gate);
        let watch = world.watch(role).holding(&gate, word);
        let mut life = Life::begin(world, role, watch);
        life.meet(Role::Originator, Role::Recipient).await;
        life.meet(Role::Recipient, Role::Originator).await;
        Self { life, gate, before: 0 }
    }

    fn hold(&mut self) {
        self.before = self.life.watch.calls().len();
        fs::write(&self.gate, b"").expect("the gate can be made");
    }

    fn release(&self) {
        fs::remove_file(&self.gate).expect("the gate can be removed");
    }

    /// Waits until a sync waits.
    async fn until_held(&mut self) {
        let (watch, before) = (self.life.watch.clone(), self.before);
        let is_held = || watch.calls().iter().skip(before).any(|call| call.result == "held");
        self.life.until("a sync that waits", || async { Ok(is_held().then_some(())) }).await;
    }

    /// What the daemon has sent on links since the first sync that waits, but for housekeeping: pings, credit, and checkpoints
    /// of what was durable before.
    fn sent_meanwhile(&self) -> Vec<Call> {
        let calls = self.life.watch.calls();
        let held = calls.iter().skip(self.before).skip_while(|call| call.result != "held");
        held.filter(|call| is_matter(call)).cloned().collect()
    }

    /// Looks again and again whether XA shows a receipt of a kind.
    async fn nothing_of(&mut self, name: &MessageName, kind: ReceiptKind) {
        let client = self.life.client(Role::Originator, 1);
        for _ in 0..LOOKS {
            let bundle = self.life.until("receipts", || async { client.evidence(name).await.map(Some) }).await;
            assert!(bundle.receipts.iter().all(|receipt| receipt.kind != kind), "{kind:?} came before its sync");
        }
        assert_eq!(self.sent_meanwhile(), [], "nothing leaves while the sync waits");
    }
}

const R1: ReceiptKind = ReceiptKind::RelayAcceptance;
const R2: ReceiptKind = ReceiptKind::ContentConsignment;
const R3: ReceiptKind = ReceiptKind::ContentHandover;

/// What evidence rests on: the event, the envelope, key or receipt beside it, and the body that came in.
const BASES: [&str; 3] = ["data/journal/", "data/spool/", "data/incoming/"];

pub(crate) async fn r1(world: &Arc<World>) {
    for word in BASES {
        let mut held = Held::begin(world, Role::Hub, word).await;
        let request = held.life.request().await;
        let name = held.life.drafted(&request).await;
        held.hold();
        held.life.released(&name).await;
        held.until_held().await;
        held.nothing_of(&name, R1).await;
        held.release();
        held.life.receipts(Role::Originator, &name, &[R1, R2]).await;
        held.life.end();
    }
}

pub(crate) async fn r2(world: &Arc<World>) {
    for word in BASES {
        let mut held = Held::begin(world, Role::Recipient, word).await;
        let request = held.life.request().await;
        let name = held.life.drafted(&request).await;
        held.hold();
        held.life.released(&name).await;
        held.until_held().await;
        held.nothing_of(&name, R2).await;
        held.release();
        held.life.receipts(Role::Originator, &name, &[R1, R2]).await;
        held.life.end();
    }
}

/// R3 is a reply of the API and a receipt for XA.
pub(crate) async fn r3(world: &Arc<World>) {
    let mut held = Held::begin(world, Role::Recipient, "data/journal/").await;
    let request = held.life.request().await;
    let name = held.life.drafted(&request).await;
    held.life.released(&name).await;
    held.life.receipts(Role::Originator, &name, &[R1, R2]).await;
    held.hold();
    let client = held.life.client(Role::Recipient, 1);
    let confirm = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
    let confirmed = tokio::spawn(async move { client.confirm(&name, &confirm).await });
    held.until_held().await;
    held.nothing_of(&name, R3).await;
    assert!(!confirmed.is_finished(), "the officer is told before the sync");
    held.release();
    confirmed.await.expect("a task").expect("the request is taken");
    held.life.receipts(Role::Originator, &name, &[R1, R2, R3]).await;
    held.life.end();
}

/// A draft that is accepted, and an approval: replies of the API, and the envelope that leaves.
pub(crate) async fn replies(world: &Arc<World>) {
    for word in BASES {
        let mut held = Held::begin(world, Role::Originator, word).await;
        let request = held.life.request().await;
        held.hold();
        let client = held.life.client(Role::Originator, 1);
        let created = tokio::spawn(async move { client.create(&request, &fresh_key()).await });
        held.until_held().await;
        held.looks_in_vain(&created).await;
        held.release();
        let name = MessageName::from(created.await.expect("a task").expect("the draft is taken").reference);
        if word == "data/journal/" {
            held.hold();
            let node = world.node(Role::Originator);
            let (client, officer) = (node.client(2), node.officer(2).clone());
            let shown = client.release(&name).await.expect("it waits for release");
            let signature = shown.statement(ncp_protocol::approval::Decision::Approve).sign(&officer.key);
            let approve = ncp_api::release::Approve { code: shown.code, signature };
            let approved = tokio::spawn(async move { client.approve(&name, &approve).await });
            held.until_held().await;
            held.looks_in_vain(&approved).await;
            held.nothing_of_envelopes(&name).await;
            held.release();
            approved.await.expect("a task").expect("it is released");
            held.life.receipts(Role::Originator, &name, &[R1, R2]).await;
        }
        held.life.end();
    }
}

impl Held<'_> {
    /// The daemon answers others again and again, and this one not.
    async fn looks_in_vain<T>(&mut self, task: &tokio::task::JoinHandle<T>) {
        let client = self.life.client(Role::Originator, 1);
        for _ in 0..LOOKS {
            self.life.until("an answer", || async { client.health().await.map(Some) }).await;
            assert!(!task.is_finished(), "a reply came before its sync");
        }
    }

    async fn nothing_of_envelopes(&mut self, name: &MessageName) {
        let client = self.life.client(Role::Originator, 1);
        let bundle = self.life.until("receipts", || async { client.evidence(name).await.map(Some) }).await;
        assert!(bundle.receipts.is_empty());
        assert_eq!(self.sent_meanwhile().len(), 0, "no envelope leaves before the approval is durable");
    }
}
