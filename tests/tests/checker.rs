//! The checker tells what is wrong by its name: copies of good journals are damaged, or forged by whoever holds the log's
//! keys, and what clients remember is bent.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use e2e::chance::Chance;
use e2e::checker::journal::{self, Group, crc32c};
use e2e::checker::{Ask, Command, History, Name, Outcome, check};
use e2e::load::Load;
use e2e::material::{HubMaterial, Material};
use e2e::{Plan, id};
use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::codec::{self, Prefix};
use ncp_protocol::event::{Change, Event, EvidenceKind, Outcome as Ended};
use ncp_protocol::ids::{Digest, LogName, LogOrigin, MessageId, PairSequence, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::merkle::{EMPTY_ROOT, Frontier, leaf_hash};
use ncp_protocol::reject::RejectCode;

/// A network at rest, and what is needed to forge it.
struct World {
    folders: BTreeMap<ParticipantId, PathBuf>,
    history: History,
    keys: BTreeMap<ParticipantId, BTreeMap<LogName, (LogOrigin, SigningKey)>>,
    scratch: tempfile::TempDir,
}

impl World {
    async fn make() -> Self {
        let network = Arc::new(Plan::of(&["XA", "XB"]).start().await);
        let load = Load::new(Arc::clone(&network), &["XA", "XB"]);
        load.allow(24);
        let clients = tokio::spawn({
            let load = Arc::clone(&load);
            async move { load.run(Chance::new(7)).await }
        });
        load.until_begun(24).await;
        load.finish();
        clients.await.expect("the clients end");
        let mut history = load.drain().await;
        let (view, hub) = (network.node("XA"), HubMaterial::of(&network, "XA"));
        let known = history.commands.iter().any(|command| matches!(command.ask, Ask::Confirm { .. }));
        assert!(known && !history.checkpoints.is_empty(), "the load of {} did all that it can", view.name());
        let scratch = e2e::folder::fresh();
        let mut folders = BTreeMap::new();
        for (participant, data) in load.stop() {
            let copy = scratch.path().join(participant.as_str());
            copy_journal(&data, &copy);
            folders.insert(participant, copy);
        }
        let traffic = (hub.origin(LogName::Traffic), hub.traffic.clone());
        let public = (hub.origin(LogName::Public), hub.public.clone());
        let mut keys = BTreeMap::from([(
            ParticipantId::HUB,
            BTreeMap::from([(LogName::Traffic, traffic), (LogName::Public, public)]),
        )]);
        for name in ["XA", "XB"] {
            let material = Material::of(&network, name);
            keys.insert(id(name), BTreeMap::from([(LogName::Node, (material.origin(), material.log))]));
        }
        history.reads.retain(|read| read.at == id("XB"));
        Self { folders, history, keys, scratch }
    }

    fn names(&self, folders: &BTreeMap<ParticipantId, PathBuf>, history: &History) -> BTreeSet<Name> {
        check(folders, history).findings.iter().map(|finding| finding.name).collect()
    }

    /// What is told when a copy of one daemon's files was damaged.
    fn damaged(&self, who: ParticipantId, damage: impl FnOnce(&Path)) -> BTreeSet<Name> {
        let copy = self.scratch.path().join("damaged");
        copy_journal(&self.folders[&who], &copy);
        damage(&copy);
        let mut folders = self.folders.clone();
        folders.insert(who, copy.clone());
        let names = self.names(&folders, &self.history);
        fs::remove_dir_all(copy).expect("it can be removed");
        names
    }

    /// What is told when whoever holds a daemon's log keys rewrote its journal, with every checkpoint in it.
    fn forged(&self, who: ParticipantId, forge: impl FnOnce(&mut Vec<Vec<Event>>)) -> BTreeSet<Name> {
        self.damaged(who, |copy| {
            let groups = groups(copy);
            let decode = |bytes: &Vec<u8>| Event::decode(bytes).expect("an event");
            let mut events: Vec<Vec<Event>> =
                groups.iter().map(|group| group.events.iter().map(decode).collect()).collect();
            forge(&mut events);
            write(copy, &events, &self.keys[&who]);
        })
    }

    /// What is told when clients remember something else.
    fn remembered(&self, bend: impl FnOnce(&mut History)) -> BTreeSet<Name> {
        let mut history = self.history.clone();
        bend(&mut history);
        self.names(&self.folders, &history)
    }
}

/// What the checker reads of a data folder.
fn copy_journal(data: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder can be made");
    e2e::folder::copy(&data.join("journal"), &to.join("journal"));
    fs::create_dir(to.join("spool")).expect("a folder can be made");
    e2e::folder::copy(&data.join("spool/lasting"), &to.join("spool/lasting"));
    for file in ["signed", "held"] {
        if data.join(file).exists() {
            fs::copy(data.join(file), to.join(file)).expect("a file can be copied");
        }
    }
}

fn groups(data: &Path) -> Vec<Group> {
    let mut findings = Vec::new();
    let (groups, _) = journal::read(data, &mut findings);
    assert_eq!(findings, []);
    groups
}

fn first_segment(data: &Path) -> PathBuf {
    data.join("journal/0000000000000000.seg")
}

/// Writes a journal of one segment and its file `signed`, as `docs/protocol/journal.md` lays them out.
fn write(data: &Path, groups: &[Vec<Event>], keys: &BTreeMap<LogName, (LogOrigin, SigningKey)>) {
    let length = fs::metadata(first_segment(data)).expect("a segment").len();
    let mut frontiers: BTreeMap<LogName, Frontier> = BTreeMap::new();
    let mut grown = BTreeSet::new();
    let (mut bytes, mut first) = (Vec::new(), 0_u64);
    let note = |frontiers: &BTreeMap<LogName, Frontier>, log: LogName| {
        let (origin, key) = &keys[&log];
        let (size, root) = (frontiers[&log].size(), frontiers[&log].root());
        (log, Checkpoint { origin: origin.to_string(), size, root }.sign(key).note().to_owned())
    };
    for events in groups {
        let notes: Vec<_> = grown.iter().map(|log| note(&frontiers, *log)).collect();
        let heads: Vec<(LogName, u64, Digest)> = keys
            .keys()
            .map(|log| frontiers.get(log).map_or((*log, 0, EMPTY_ROOT), |known| (*log, known.size(), known.root())))
            .collect();
        grown.clear();
        let mut body = Vec::new();
        for event in events {
            let encoded = event.encode();
            frontiers.entry(event.log).or_default().push(leaf_hash(&encoded), |_, _, _| {});
            grown.insert(event.log);
            body.extend_from_slice(&u32::try_from(encoded.len()).expect("short").to_le_bytes());
            body.extend_from_slice(&encoded);
        }
        let manifest = Prefix::new(b'M', 1).encode(&(heads, Vec::<u8>::new(), Vec::<u8>::new()));
        group(&mut bytes, first, events.len(), &codec::encode(&(notes, manifest)), &body);
        first += events.len() as u64;
    }
    bytes.resize(usize::try_from(length).expect("a length"), 0);
    fs::write(first_segment(data), bytes).expect("written");
    let notes: Vec<_> = frontiers.keys().map(|log| note(&frontiers, *log)).collect();
    let payload = codec::encode(&(1_u64, first, notes));
    let mut slot = Prefix::new(b'S', 1).to_bytes().to_vec();
    slot.extend_from_slice(&u32::try_from(payload.len()).expect("short").to_le_bytes());
    slot.extend_from_slice(&payload);
    slot.extend_from_slice(&crc32c(&slot).to_le_bytes());
    slot.resize(32 << 10, 0);
    fs::write(data.join("signed"), slot).expect("written");
}

fn group(bytes: &mut Vec<u8>, first: u64, count: usize, notes: &[u8], body: &[u8]) {
    let narrow = |number: usize| u32::try_from(number).expect("short").to_le_bytes();
    let mut group = Prefix::new(b'J', 1).to_bytes().to_vec();
    group.extend_from_slice(&first.to_le_bytes());
    group.extend([count, 32 + notes.len() + body.len() + 4, notes.len()].map(narrow).concat());
    group.extend_from_slice(&crc32c(&group).to_le_bytes());
    group.extend_from_slice(notes);
    group.extend_from_slice(body);
    group.extend_from_slice(&crc32c(&group).to_le_bytes());
    bytes.extend_from_slice(&group);
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
}

/// The first event that is wanted.
fn find(groups: &mut [Vec<Event>], wanted: impl Fn(&Change) -> bool) -> &mut Event {
    groups.iter_mut().flatten().find(|event| wanted(&event.change)).expect("there is one")
}

fn is_claim(change: &Change, wanted: EvidenceKind) -> bool {
    matches!(change, Change::Evidence(claim) if claim.kind == wanted)
}

fn assert_told(names: &BTreeSet<Name>, wanted: &[Name], what: &str) {
    let missing: Vec<_> = wanted.iter().filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "{what}: {missing:?} is not among {names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_damage_is_told_by_its_name() {
    let world = World::make().await;
    let verdict = check(&world.folders, &world.history);
    assert_eq!(verdict.findings, [], "{verdict}");
    assert!(verdict.counts.consigned >= 20 && verdict.counts.receipts_shown >= 60, "{verdict}");
    assert!(verdict.to_string().starts_with("I1 to I6 hold over 3 journals"), "{verdict}");
    disk_damage(&world);
    forgeries(&world);
    recalls(&world);
    lost_memory(&world);
}

fn disk_damage(world: &World) {
    let (hub, xb) = (ParticipantId::HUB, id("XB"));
    let mut chance = Chance::new(11);
    for who in [hub, xb] {
        let written = groups(&world.folders[&who]).len() as u64 * 4096;
        for _ in 0..12 {
            let (at, bit) = (chance.below(written), chance.below(8));
            let names = world.damaged(who, |copy| {
                let mut bytes = fs::read(first_segment(copy)).expect("read");
                bytes[usize::try_from(at).expect("small")] ^= 1 << bit;
                fs::write(first_segment(copy), bytes).expect("written");
            });
            let damage = [Name::GroupDamaged, Name::TornEnd, Name::SequenceBroken];
            assert!(damage.iter().any(|name| names.contains(name)), "bit {bit} of byte {at} of {who}: {names:?}");
        }
    }
    let names = world.damaged(xb, |copy| {
        // The last group is gone without a trace, as if it had never been synced.
        let mut bytes = fs::read(first_segment(copy)).expect("read");
        let last = groups(copy).pop().expect("a group");
        let at: usize = last.place.rsplit(' ').next().expect("a place").parse().expect("a number");
        bytes[at..].fill(0);
        fs::write(first_segment(copy), bytes).expect("written");
    });
    assert_told(&names, &[Name::CheckpointAhead], "a lost end");
    let names = world.damaged(xb, |copy| {
        let mut signed = fs::read(copy.join("signed")).expect("read");
        signed[20] ^= 1;
        signed[(16 << 10) + 20] ^= 1;
        fs::write(copy.join("signed"), signed).expect("written");
    });
    assert_told(&names, &[Name::Unreadable], "a damaged file `signed`");
    let names = world.damaged(xb, |copy| {
        let segments = e2e::folder::files(&copy.join("spool/lasting"));
        let mut bytes = fs::read(&segments[0]).expect("read");
        let at = bytes.windows(7).position(|word| word == b"\nindex ").expect("the text of a proof");
        bytes[at] ^= 1;
        fs::write(&segments[0], bytes).expect("written");
    });
    assert_eq!(names, BTreeSet::from([Name::ReceiptUnkept]), "a damaged receipt of another");
}

fn forgeries(world: &World) {
    let (hub, xa, xb) = (ParticipantId::HUB, id("XA"), id("XB"));
    let names = world.forged(xb, |_| {});
    assert!(names.is_empty(), "the same again is no forgery: {names:?}");

    let names = world.forged(xb, |groups| {
        // Early: later receipts and checkpoints rest on it.
        let group = groups.iter_mut().skip(2).find(|group| group.len() > 1).expect("a group of several");
        group.pop();
    });
    // Whether a peer holds an older checkpoint too, which is contradicted, depends on when it was told.
    assert_told(&names, &[Name::ReceiptContradicted, Name::CheckpointAhead], "a removed event");

    let names = world.forged(xb, |groups| {
        let mut again: Vec<_> = groups.iter().flatten().cloned().collect();
        let arrival = again.iter().position(|event| matches!(event.change, Change::MessageReceived(_)));
        let arrival = arrival.expect("something arrived");
        again.truncate(arrival + 1);
        groups.push(again.split_off(arrival - 1));
    });
    assert_told(&names, &[Name::ConsignedTwice, Name::ClaimsContradict], "a doubled consignment");
    assert!(names.iter().all(|name| name.invariant() != "I5"), "the log itself is in order: {names:?}");

    let names = world.forged(xb, |groups| {
        let event = find(groups, |change| is_claim(change, EvidenceKind::ContentConsignment));
        let Change::Evidence(claim) = &mut event.change else { unreachable!("it was looked for") };
        claim.kind = EvidenceKind::ContentConsignmentFailure;
        claim.outcome = Ended::Rejected(RejectCode::Duplicate);
    });
    assert_told(&names, &[Name::ReceiptContradicted, Name::ConsignmentAlone], "a contradicted R2");
    let names = world.forged(hub, |groups| {
        find(groups, |change| is_claim(change, EvidenceKind::RelayAcceptance)).time.0 += 1;
    });
    assert_told(&names, &[Name::ReceiptContradicted, Name::CheckpointContradicted], "an R1 of another time");
    let names = world.forged(hub, |groups| {
        let event = find(groups, |change| matches!(change, Change::EnvelopeAccepted(_)));
        let Change::EnvelopeAccepted(accepted) = &mut event.change else { unreachable!("it was looked for") };
        accepted.header.0[0] ^= 1;
    });
    assert_told(&names, &[Name::Altered], "another header at the hub");
    let names = world.forged(hub, |groups| {
        let accepted = find(groups, |change| matches!(change, Change::EnvelopeAccepted(_))).clone();
        let Change::EnvelopeAccepted(mut facts) = accepted.change else { unreachable!("it was looked for") };
        facts.envelope.message = MessageId([9; 16]);
        groups.push(vec![Event { change: Change::EnvelopeAccepted(facts), ..accepted }]);
    });
    assert_told(&names, &[Name::NotEnded, Name::AcceptanceUnreceipted], "an envelope that never ended");
    let names = world.forged(xa, |groups| {
        let released = find(groups, |change| matches!(change, Change::MessageReleased { .. })).clone();
        let Change::MessageReleased { message, mut sequences, epoch } = released.change else {
            unreachable!("it was looked for")
        };
        sequences.iter_mut().for_each(|sequence| *sequence = PairSequence(sequence.0 + 1_000));
        groups.push(vec![Event { change: Change::MessageReleased { message, sequences, epoch }, ..released }]);
    });
    assert_told(&names, &[Name::NumbersBroken, Name::SealedTwice], "numbers with a gap");
}

/// What a node's journal says of a message behind its release.
#[derive(Debug, Clone, Copy)]
enum Step {
    Sealed,
    Recalled,
}

/// A recall ends at once what was not sealed yet, and nothing else does.
fn recalls(world: &World) {
    let has_no_end = |steps: &[Step]| {
        let names = world.forged(id("XA"), |groups| {
            let of_another = |wanted: fn(&Change) -> bool| {
                let found = groups.iter().flatten().find(|event| wanted(&event.change)).expect("there is one").clone();
                Event { change: another(found.change), ..found }
            };
            let drafted = of_another(|change| matches!(change, Change::MessageDrafted(_)));
            let released = of_another(|change| matches!(change, Change::MessageReleased { .. }));
            let sealed = of_another(|change| matches!(change, Change::EnvelopeSealed { .. }));
            let recalled = Event { change: Change::RecallRequested { message: ANOTHER }, ..drafted.clone() };
            groups.push(vec![drafted, released]);
            groups.extend(steps.iter().map(|step| match step {
                Step::Sealed => vec![sealed.clone()],
                Step::Recalled => vec![recalled.clone()],
            }));
        });
        names.contains(&Name::NotEnded)
    };
    assert!(has_no_end(&[]), "released and forgotten");
    assert!(!has_no_end(&[Step::Recalled]), "recalled before anything left");
    assert!(has_no_end(&[Step::Sealed, Step::Recalled]), "only the hub can say what became of it");
    assert!(has_no_end(&[Step::Recalled, Step::Sealed]), "it left all the same");
}

/// A message that no journal of the world names.
const ANOTHER: MessageId = MessageId([9; 16]);

/// The same of another message.
fn another(mut change: Change) -> Change {
    if let Change::MessageDrafted(draft) = &mut change {
        draft.message = ANOTHER;
    } else if let Change::MessageReleased { message, .. } = &mut change {
        *message = ANOTHER;
    } else if let Change::EnvelopeSealed { envelope, .. } = &mut change {
        envelope.message = ANOTHER;
    }
    change
}

fn lost_memory(world: &World) {
    let made = |command: &Command| matches!((&command.ask, &command.outcome), (Ask::Create { .. }, Outcome::Done(_)));
    let names = world.remembered(|history| {
        let mut lost = history.commands.iter().find(|command| made(command)).expect("a message").clone();
        lost.outcome = Outcome::Done(MessageId([9; 16]));
        lost.key = "another".to_owned();
        history.commands.push(lost);
    });
    assert_eq!(names, BTreeSet::from([Name::CommandLost]), "a message that was never written down");
    let names = world.remembered(|history| {
        let at = history.commands.iter().position(made).expect("a message");
        history.reads.clear();
        history.commands.remove(at);
    });
    assert_eq!(names, BTreeSet::from([Name::Invented]), "a message that nobody asked for");
    let names = world.remembered(|history| history.reads[0].content.0[0] ^= 1);
    assert_eq!(names, BTreeSet::from([Name::ReadAltered]), "other content than was written");
    let names = world.remembered(|history| {
        let row = history.listings[0].rows[0];
        history.listings[0].rows.push(row);
    });
    assert_eq!(names, BTreeSet::from([Name::InboxWrong]), "a message shown twice");
    let names = world.remembered(|history| {
        let shown = history.receipts.pop_first().expect("a receipt");
        let proof = shown.proof.replacen("index ", "index 9", 1);
        history.receipts.insert(e2e::checker::Shown { proof, ..shown });
    });
    assert_eq!(names, BTreeSet::from([Name::ReceiptInvalid]), "a receipt that proves nothing");
    // A log that said something else before: the checkpoint that a client has of it.
    let names = world.remembered(|history| {
        let (origin, key) = &world.keys[&id("XA")][&LogName::Node];
        let fork = Checkpoint { origin: origin.to_string(), size: 3, root: Digest([3; 32]) };
        history.checkpoints.insert(fork.sign(key).note().to_owned());
    });
    assert_eq!(names, BTreeSet::from([Name::CheckpointContradicted]), "a fork");
    let names = world.remembered(|history| history.entries.clear());
    assert_told(&names, &[Name::KeyUnknown], "keys that no entry names");
}
