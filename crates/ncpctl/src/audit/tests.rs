use std::fs;
use std::path::{Path, PathBuf};

use ncp_api::ErrorCode;
use ncp_protocol::codes::Kind;
use ncp_protocol::directory::MembershipClass;
use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, HoldScope, Outcome};
use ncp_protocol::ids::{
    Digest, Epoch, LogName, LogOrigin, MessageId, NetworkId, ParticipantId, SealNumber, UnixMillis,
};
use ncp_protocol::keys::{SigningKey, sha256};
use ncp_protocol::proof::LogProof;
use ncp_protocol::root::NetworkClass;
use ncp_store::committer::Running;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyUse};
use ncp_store::queue::{Source, Urgency};
use ncp_store::recovery::LogKey;
use ncp_store::spool::{Record, RecordKind, RecordName};
use ncp_store::state::{Core, Decision, Placed, Rows, Unreadable, View};
use ncp_store::store::{Store, StoreOptions};
use tempfile::TempDir;

use super::*;
use crate::joining::admission::{Decision as Admission, admit};
use crate::joining::answer::Answer;
use crate::joining::entry::Maker;
use crate::joining::files::make_folder;
use crate::joining::folder::{HubFolder, make_data_folders};
use crate::joining::hub::{Plan, make_network};
use crate::joining::request::Request;
use crate::joining::root::RoleSize;

const NOW: UnixMillis = UnixMillis(1_795_348_930_000);
const MESSAGE: MessageId = MessageId([7; 16]);

/// A core that is told what to decide.
struct Told;

struct Happen {
    events: Vec<Event>,
    records: Vec<Record>,
}

impl Core for Told {
    type Command = Happen;
    type Reply = ();
    type Effect = ();

    fn decide(&self, _: &dyn View, Happen { events, records }: Happen) -> Result<Decision<(), ()>, Unreadable> {
        Ok(Decision { events, records, erase: Vec::new(), reply: (), effects: Vec::new() })
    }

    fn apply(&self, _: &dyn View, _: Placed<'_>, _: &mut Rows) -> Result<(), Unreadable> {
        Ok(())
    }

    fn schema(&self) -> u32 {
        1
    }
}

/// A hub and the node of XA, joined, with whatever their logs are told.
struct World {
    folder: TempDir,
    network: NetworkId,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let hub = HubFolder::new(&folder.path().join("hub"), None);
        let class = NetworkClass::Test;
        let made = make_network(&Plan {
            keyring: Keyring::OPEN,
            folder: hub.clone(),
            class,
            listen: "127.0.0.1:7400".to_owned(),
            socket: hub.test_socket(),
            root: RoleSize::of_root(class),
            membership: RoleSize::of_membership(class),
            now: NOW,
        });
        let network = made.expect("a network").root.network();
        let world = Self { folder, network };
        world.join(&hub);
        world
    }

    fn join(&self, hub: &HubFolder) {
        let (data, offline) = (self.node(), self.node().join("offline"));
        make_data_folders(&data).expect("folders");
        make_folder(&offline).expect("folder");
        let maker = Maker {
            data: &data,
            keyring: &Keyring::OPEN,
            offline: &offline,
            network: self.network,
            participant: xa(),
            now: NOW,
        };
        let made = maker.node().expect("keys");
        let (request, answer) = (self.folder.path().join("request"), self.folder.path().join("answer"));
        Request::write(&request, &made).expect("written");
        let decision = Admission {
            fingerprint: Some(made.fingerprint()),
            class: Some(MembershipClass::ParticipatingState),
            role_keys: Vec::new(),
        };
        admit(hub, &request, &decision, NOW).expect("admitted").answer.write(&answer).expect("written");
        Answer::read(&answer, NOW).expect("verifies").install(&data).expect("installed");
    }

    fn node(&self) -> PathBuf {
        self.folder.path().join("xa")
    }

    fn hub(&self) -> PathBuf {
        self.folder.path().join("hub/data")
    }

    fn origin(&self, participant: ParticipantId, log: LogName) -> LogOrigin {
        LogOrigin { network: self.network, participant, log, epoch: Epoch(1) }
    }

    fn start(&self, participant: ParticipantId) -> Running<Told> {
        self.start_with(participant, None)
    }

    /// Starts a daemon's store with its own log keys, or all of them another.
    fn start_with(&self, participant: ParticipantId, other: Option<SigningKey>) -> Running<Told> {
        let (data, logs) = if participant == ParticipantId::HUB {
            (self.hub(), vec![LogName::Traffic, LogName::Public])
        } else {
            (self.node(), vec![LogName::Node])
        };
        let key = |log| {
            let path = data.join(keyfiles::log_key_path(log, Epoch(1)));
            SigningKey::from_seed(&keyfiles::read_key(&path, KeyUse::Log).expect("a key"))
        };
        let logs = logs.into_iter().map(|log| LogKey {
            origin: self.origin(participant, log),
            key: other.clone().unwrap_or_else(|| key(log)),
            salt: [1; 16],
        });
        let options = StoreOptions { folder: data.clone(), logs: logs.collect(), now: NOW };
        Store::open(Told, options).expect("opens").start().expect("starts")
    }

    /// R1 for XA's message, as the hub's log has it.
    async fn relay_acceptance(&self) -> LogProof {
        let running = self.start(ParticipantId::HUB);
        let event = event(LogName::Traffic, Change::Evidence(self.claim()));
        let places = submit(&running, vec![event], Vec::new()).await;
        let (log, index) = places[0];
        let proof = running.handle.reader().evidence(log, index).expect("readable").expect("there");
        stop(running);
        proof
    }

    fn claim(&self) -> Claim {
        let origin = self.origin(ParticipantId::HUB, LogName::Traffic);
        let path = self.hub().join(keyfiles::log_key_path(LogName::Traffic, Epoch(1)));
        let key = SigningKey::from_seed(&keyfiles::read_key(&path, KeyUse::Log).expect("a key"));
        Claim {
            origin,
            key: key.verifying_key().id(),
            kind: EvidenceKind::RelayAcceptance,
            envelope: EnvelopeKey {
                originator: xa(),
                message: MESSAGE,
                recipient: "XB".parse().expect("an id"),
                seal: SealNumber(1),
            },
            header: Digest([8; 32]),
            outcome: Outcome::Done,
        }
    }

    /// XA's node has stored a receipt.
    async fn store(&self, proof: &str, claim: Claim, index: u64) {
        let running = self.start(xa());
        let record = sha256(proof.as_bytes());
        let change = Change::EvidenceReceived { claim, index, stated: NOW, record };
        let name = RecordName { kind: RecordKind::Evidence, id: record };
        let records = vec![Record { name, bytes: proof.as_bytes().to_vec() }];
        submit(&running, vec![event(LogName::Node, change)], records).await;
        stop(running);
    }
}

fn xa() -> ParticipantId {
    "XA".parse().expect("an id")
}

fn event(log: LogName, change: Change) -> Event {
    Event { log, time: NOW, actor: Actor::Daemon, salt: [5; 16], change }
}

fn hold() -> Event {
    event(LogName::Node, Change::HoldSet { scope: HoldScope::Kind(Kind::Notice) })
}

async fn submit(running: &Running<Told>, events: Vec<Event>, records: Vec<Record>) -> Vec<(LogName, u64)> {
    let happen = Happen { events, records };
    running.handle.submit(Source::Local, Urgency::Routine, 1, happen).await.expect("durable").places
}

fn stop(running: Running<Told>) {
    running.handle.stop();
    running.thread.join().expect("no panic").expect("no failure");
}

fn codes(path: &Path) -> Vec<ErrorCode> {
    examine(path).expect("readable").findings.iter().map(|finding| finding.code).collect()
}

#[tokio::test]
async fn logs_and_receipts_of_an_honest_network_verify() {
    let world = World::new();
    let proof = world.relay_acceptance().await;
    world.store(&proof.to_string(), world.claim(), proof.index).await;
    let hub = examine(&world.hub()).expect("readable");
    assert_eq!(hub.findings, []);
    let sizes: Vec<_> = hub.logs.iter().map(|head| (head.log, head.size)).collect();
    assert_eq!(sizes, [(LogName::Traffic, 2), (LogName::Public, 1)]);
    let node = verify(&world.node()).expect("sound");
    assert_eq!((node.receipts, node.newer, node.logs.len()), (1, 0, 1));
    // How many signed checkpoints lie there depends on when `signed` was written last.
    let words = node.in_words();
    assert!(words.starts_with("log node: 2 events under ") && words.ends_with("; 1 receipts verify"), "{words}");
    let verified = judge_proof(&world.node(), &proof).expect("judged by the node's directory");
    assert_eq!(*verified.claim(), world.claim());
}

#[tokio::test]
async fn a_running_daemon_is_audited_up_to_its_newest_signed_checkpoint() {
    let world = World::new();
    let running = world.start(xa());
    for _ in 0..20 {
        submit(&running, vec![hold()], Vec::new()).await;
        let audited = examine(&world.node()).expect("readable");
        assert_eq!(audited.findings, []);
        let judged = audited.logs.iter().map(|head| head.size).sum::<u64>();
        assert!(judged + audited.newer >= 1);
    }
    stop(running);
    let audited = examine(&world.node()).expect("readable");
    assert_eq!((audited.findings.len(), audited.newer, audited.logs[0].size), (0, 0, 21));
}

#[test]
fn a_folder_that_has_not_run_yet_has_no_logs() {
    let world = World::new();
    let audited = examine(&world.node()).expect("readable");
    assert!(audited.logs.is_empty() && audited.findings.is_empty() && audited.newer == 0);
}

#[test]
fn a_folder_that_is_none_or_newer_is_refused() {
    let world = World::new();
    let refused = |path: &Path| examine(path).expect_err("refused");
    assert!(refused(&world.folder.path().join("none")).is(ErrorCode::FileMissing));
    assert!(refused(world.folder.path()).is(ErrorCode::FileMissing));
    fs::write(world.node().join("format"), "ncp-data 2\n").expect("written");
    assert!(refused(&world.node()).is(ErrorCode::DataFolderNewer));
}

/// The files of a folder whose name ends so.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).expect("it is there")
}

#[tokio::test]
async fn a_changed_event_is_found() {
    let world = World::new();
    let running = world.start(xa());
    submit(&running, vec![hold()], Vec::new()).await;
    stop(running);
    let [segment] = files(&world.node().join("journal"), ".seg").try_into().expect("one segment");
    let mut bytes = fs::read(&segment).expect("segment");
    let place = find(&bytes, &hold().encode());
    bytes[place + 20] ^= 1;
    fs::write(&segment, bytes).expect("written");
    assert_eq!(codes(&world.node()), [ErrorCode::StoreDamaged]);
    assert!(verify(&world.node()).expect_err("damaged").is(ErrorCode::StoreDamaged));
}

#[tokio::test]
async fn a_journal_that_was_cut_is_found() {
    let world = World::new();
    let running = world.start(xa());
    submit(&running, vec![hold()], Vec::new()).await;
    stop(running);
    let [segment] = files(&world.node().join("journal"), ".seg").try_into().expect("one segment");
    let bytes = fs::read(&segment).expect("segment");
    let place = find(&bytes, &hold().encode()) / 4_096 * 4_096;
    let cut = [&bytes[..place], &vec![0; bytes.len() - place]].concat();
    fs::write(&segment, cut).expect("written");
    assert_eq!(codes(&world.node()), [ErrorCode::StoreDamaged]);
}

#[tokio::test]
async fn a_log_under_another_key_is_found() {
    let world = World::new();
    let running = world.start_with(xa(), Some(SigningKey::from_seed(&[66; 32])));
    submit(&running, vec![hold()], Vec::new()).await;
    stop(running);
    let found = codes(&world.node());
    assert!(found.contains(&ErrorCode::LogDamaged) && found.contains(&ErrorCode::CheckpointBad), "{found:?}");
}

#[tokio::test]
async fn a_claim_in_another_logs_name_is_found() {
    let world = World::new();
    let running = world.start(xa());
    submit(&running, vec![event(LogName::Node, Change::Evidence(world.claim()))], Vec::new()).await;
    stop(running);
    assert_eq!(codes(&world.node()), [ErrorCode::LogDamaged]);
}

#[tokio::test]
async fn a_receipt_that_proves_something_else_is_found() {
    let world = World::new();
    let proof = world.relay_acceptance().await;
    let other = Claim { header: Digest([9; 32]), ..world.claim() };
    world.store(&proof.to_string(), other, proof.index).await;
    assert_eq!(codes(&world.node()), [ErrorCode::ReceiptBad]);
}

#[tokio::test]
async fn a_receipt_of_an_unknown_log_is_found() {
    let world = World::new();
    let proof = world.relay_acceptance().await;
    let stranger = world.origin("XC".parse().expect("an id"), LogName::Node);
    world.store(&proof.to_string(), Claim { origin: stranger, ..world.claim() }, proof.index).await;
    assert_eq!(codes(&world.node()), [ErrorCode::EvidenceKeyUnchained]);
}

#[tokio::test]
async fn a_receipt_whose_record_is_damaged_is_missing() {
    let world = World::new();
    let proof = world.relay_acceptance().await;
    world.store(&proof.to_string(), world.claim(), proof.index).await;
    let [segment] = files(&world.node().join("spool/lasting"), ".seg").try_into().expect("one segment");
    let mut bytes = fs::read(&segment).expect("segment");
    let place = find(&bytes, b"c2sp.org/tlog-proof@v1");
    bytes[place] ^= 1;
    fs::write(&segment, bytes).expect("written");
    assert_eq!(codes(&world.node()), [ErrorCode::ReceiptMissing]);
}

#[test]
fn events_are_told_in_words() {
    let (name, about) = change_words(&hold().change);
    assert_eq!((name, about.as_str()), ("hold-set", "every notice"));
    let world = World::new();
    let (name, about) = change_words(&Change::Evidence(world.claim()));
    assert_eq!(name, "evidence");
    assert_eq!(about, format!("relay-acceptance; XA to XB {MESSAGE}"));
    assert_eq!(actor_words(&Actor::Operator(7)), "operator, uid 7");
}
