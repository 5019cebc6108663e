//! Answers of a daemon.

use std::collections::BTreeMap;

use ncp_api::directory::{Directory, DirectoryEntry, MemberClass, NetworkClass};
use ncp_api::health::{Check, CheckResult, Doctor, Health, HubLink, Me, Need, NeedKind, Pong, PongStep};
use ncp_api::message::{
    ContentState, Direction, HubHeader, HubView, MessageItem, MessagePage, MessageState, MessageView, PartView,
    RecipientState, ReleaseNeed, Validation, Withdrawal, WithdrawalEffect, WithdrawalStep,
};
use ncp_api::officer::{Officer, OfficerAdded, OfficerRole, Officers};
use ncp_api::release::{Hold, HoldScope, Holds, ReleaseView};
use ncp_api::timeline::{
    EntryChain, EnvelopeFacts, EvidenceBundle, EvidenceState, Receipt, ReceiptKind, Step, Timeline, TimelineEntry,
};
use ncp_protocol::codes::{Handling, Kind, Precedence};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::{ConversationId, Digest, LogName, MessageId, NetworkId, ParticipantId, Reference, UnixMillis};
use ncp_protocol::keys::{SigningKey, sha256};
use ncp_protocol::manifest::{Manifest, Part, content_commitment};

pub(crate) const NETWORK: NetworkId = NetworkId(Digest([7; 32]));
pub(crate) const OUT: &str = "XA-2026-000417";
pub(crate) const IN: &str = "XB-2026-000031";
pub(crate) const TEXT: &str = "Do you know this van?";
pub(crate) const TIME: UnixMillis = UnixMillis(1_795_348_930_000);

pub(crate) fn id(text: &str) -> ParticipantId {
    text.parse().expect("id")
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().expect("reference")
}

fn message_id(reference: &str) -> MessageId {
    MessageId::from_random(if reference == OUT { [1; 16] } else { [2; 16] })
}

fn hub() -> HubLink {
    HubLink { address: "127.0.0.1:7000".to_owned(), connected: true, since: Some(TIME), reason: None }
}

fn check(id: &str, result: CheckResult) -> Check {
    Check {
        id: id.to_owned(),
        title: "a check".to_owned(),
        result,
        code: None,
        cause: None,
        remedy: None,
        millis: Some(3),
    }
}

pub(crate) fn health() -> Health {
    Health {
        overall: CheckResult::Ok,
        ready: true,
        version: "ncp-node 0.1.0".to_owned(),
        participant: id("XA"),
        network: NETWORK,
        class: NetworkClass::Test,
        now: TIME,
        started: TIME,
        hub: Some(hub()),
        journal_events: 9_120,
        free_bytes: 1 << 40,
        checks: vec![check("S01", CheckResult::Ok)],
    }
}

pub(crate) fn doctor(result: CheckResult) -> Doctor {
    Doctor { checks: vec![check("C01", CheckResult::Ok), check("N03", result)] }
}

pub(crate) fn me() -> Me {
    let need = Need { what: NeedKind::Release, count: 1, first: vec![reference(OUT)], due: None };
    Me {
        officer: 7,
        roles: vec![OfficerRole::Releaser],
        participant: id("XA"),
        hub: hub(),
        outbox: 1,
        needs: vec![need],
    }
}

pub(crate) fn page(count: u32) -> MessagePage {
    let item = |number: u32| MessageItem {
        reference: Reference::new(id("XB"), 2026, number).expect("reference"),
        message: message_id(IN),
        direction: Direction::In,
        originator: id("XB"),
        recipients: vec![id("XA")],
        kind: Kind::Bulletin,
        response_status: None,
        precedence: Precedence::Urgent,
        handling: Handling::H2,
        state: MessageState::Delivered,
        subject: Some("Grey van\u{1b}[31m".to_owned()),
        created: TIME,
        refused: None,
        changed: TIME,
        due: None,
        opened: false,
        tasks_open: 0,
        tasks: 0,
        in_reply_to: None,
        national_ref: None,
    };
    MessagePage { items: (1..=count).map(item).collect(), cursor: "c1".to_owned(), more: false }
}

pub(crate) fn message(name: &str, state: MessageState) -> MessageView {
    let incoming = name == IN;
    let (originator, recipient) = if incoming { (id("XB"), id("XA")) } else { (id("XA"), id("XB")) };
    MessageView {
        reference: reference(name),
        message: message_id(name),
        conversation: message_id(name),
        revision: 1,
        direction: if incoming { Direction::In } else { Direction::Out },
        originator,
        recipients: vec![RecipientState { participant: recipient, state, reject: None }],
        kind: Kind::Request,
        response_status: None,
        reason: None,
        precedence: Precedence::Routine,
        urgent_ground: None,
        handling: Handling::H2,
        restriction: None,
        state,
        subject: Some("Grey van".to_owned()),
        subject_code: None,
        form: None,
        text: Some(TEXT.to_owned()),
        parts: vec![part(1, "message.txt", TEXT.as_bytes()), part(2, "photo.jpg", b"photo")],
        created: TIME,
        not_after: None,
        answer_by: None,
        due: None,
        drafter: if incoming { None } else { Some(12) },
        in_reply_to: None,
        answers: Vec::new(),
        answered_by: Vec::new(),
        returned: None,
        tasks: Vec::new(),
        release: None,
        also_sent_through: Vec::new(),
        national_ref: None,
        content: ContentState::Shown,
    }
}

fn part(number: u16, name: &str, bytes: &[u8]) -> PartView {
    PartView {
        number,
        name: name.to_owned(),
        media_type: "application/octet-stream".to_owned(),
        length: bytes.len() as u64,
        sha256: sha256(bytes),
        task: None,
    }
}

pub(crate) fn validation() -> Validation {
    Validation {
        checks: vec!["size".to_owned()],
        rule: "xa-r7".parse().expect("code"),
        rule_text: Some("personal data needs a second officer".to_owned()),
        approvals_needed: 1,
        length: 5,
        held: false,
    }
}

/// What waits for release, consistent in itself, as officer 7 is shown it.
pub(crate) fn release() -> ReleaseView {
    let mut view = message(OUT, MessageState::WaitingForRelease);
    view.release = Some(ReleaseNeed {
        rule: "xa-r7".parse().expect("code"),
        rule_text: None,
        approvals_needed: 1,
        approvals: Vec::new(),
    });
    let part = |name: &str, media_type: &str, bytes: &[u8]| Part {
        name: name.parse().expect("name"),
        media_type: media_type.parse().expect("type"),
        length: bytes.len() as u64,
        sha256: sha256(bytes),
    };
    let manifest = Manifest {
        version: ncp_protocol::limits::PROTOCOL_VERSION,
        network: NETWORK,
        message: view.message,
        reference: view.reference,
        originator: id("XA"),
        recipients: vec![id("XB")],
        conversation: ConversationId(view.message),
        in_reply_to: None,
        kind: Kind::Request,
        response_status: None,
        subject: "Grey van".parse().expect("subject"),
        subject_code: None,
        form: None,
        handling: Handling::H2,
        restriction: None,
        urgent_ground: None,
        answer_by: None,
        also_sent_through: Vec::new(),
        reason: None,
        parts: vec![part("message.txt", "text/plain", TEXT.as_bytes()), part("photo.jpg", "image/jpeg", b"photo")],
    };
    let bytes = manifest.encode();
    ReleaseView {
        network: NETWORK,
        participant: id("XA"),
        officer: 7,
        message: view,
        commitment: content_commitment(&NETWORK, &[9; 32], &bytes),
        recipients: vec![id("XB")],
        precedence: Precedence::Routine,
        not_after: UnixMillis(1_800_000_000_000),
        manifest: bytes,
        opening: vec![9; 32],
        code: "7K4M".parse().expect("code"),
    }
}

pub(crate) fn hub_view() -> HubView {
    let header = HubHeader {
        recipient: id("XB"),
        fields: vec![("precedence".to_owned(), "routine".to_owned())],
        body_length: 4_112,
        digest: Some(Digest([3; 32])),
    };
    HubView { message: message_id(OUT), sealed: true, headers: vec![header] }
}

pub(crate) fn withdrawal() -> Withdrawal {
    let step = WithdrawalStep { participant: id("XB"), effect: WithdrawalEffect::RecallRequested };
    Withdrawal { reference: reference(OUT), recipients: vec![step], message: None }
}

pub(crate) fn holds() -> Holds {
    Holds { holds: vec![Hold { scope: HoldScope::All, officer: Some(7), since: TIME, stopped: 2 }] }
}

pub(crate) fn directory() -> Directory {
    let entry = DirectoryEntry {
        participant: id("XB"),
        class: Some(MemberClass::ParticipatingState),
        version: 0,
        fingerprint: Fingerprint(Digest([5; 32])),
        pinned: true,
        suspended: None,
        created: TIME,
        seal_until: Some(TIME),
        sign_until: Some(TIME),
        logs: Vec::new(),
        usable: true,
    };
    let own = DirectoryEntry { participant: id("XA"), ..entry.clone() };
    Directory {
        network: NETWORK,
        class: NetworkClass::Test,
        membership_version: 1,
        valid_until: Some(TIME),
        entries: vec![own, entry],
    }
}

pub(crate) fn officer(number: u16) -> Officer {
    Officer {
        number,
        name: None,
        uid: 1_000,
        key: SigningKey::from_seed(&[6; 32]).verifying_key(),
        roles: vec![OfficerRole::Drafter, OfficerRole::Releaser],
        since: TIME,
        disabled: None,
    }
}

pub(crate) fn officers() -> Officers {
    Officers { officers: vec![officer(7), officer(12)], proposals: BTreeMap::new() }
}

pub(crate) fn officer_added() -> OfficerAdded {
    OfficerAdded { entered: false, needed: 1 }
}

pub(crate) fn pong() -> Pong {
    let step = PongStep { what: "accepted".to_owned(), millis: 41 };
    Pong { to: id("XB"), reference: Some(reference(OUT)), steps: vec![step] }
}

pub(crate) fn timeline() -> Timeline {
    let entry = TimelineEntry {
        time: Some(TIME),
        step: Step::Created,
        recipient: None,
        officer: Some(12),
        detail: String::new(),
        reason: None,
        words: None,
        due: None,
        about: None,
        evidence: EvidenceState::None,
        receipt: None,
    };
    let accepted = TimelineEntry {
        step: Step::Accepted,
        recipient: Some(id("XB")),
        officer: None,
        evidence: EvidenceState::Ok,
        receipt: Some("r1".to_owned()),
        ..entry.clone()
    };
    Timeline {
        reference: reference(OUT),
        message: message_id(OUT),
        kind: Kind::Request,
        direction: Direction::Out,
        counterparts: vec![id("XB")],
        state: MessageState::Accepted,
        due: None,
        not_after: None,
        entries: vec![entry, accepted],
        refusals: Vec::new(),
        notes: Vec::new(),
    }
}

/// Evidence whose only receipt proves nothing.
pub(crate) fn evidence() -> EvidenceBundle {
    EvidenceBundle {
        network: NETWORK,
        reference: reference(OUT),
        message: message_id(OUT),
        originator: id("XA"),
        envelopes: vec![EnvelopeFacts { recipient: id("XB"), seal: 1, header: Digest([1; 32]), not_after: TIME }],
        receipts: vec![Receipt {
            id: "r1".to_owned(),
            kind: ReceiptKind::RelayAcceptance,
            participant: ParticipantId::HUB,
            log: LogName::Traffic,
            epoch: 1,
            index: 0,
            recipient: id("XB"),
            seal: 1,
            proof: "c2sp.org/tlog-proof@v1\n".to_owned(),
        }],
        directory: vec![EntryChain { participant: ParticipantId::HUB, pinned: None, entries: Vec::new() }],
    }
}
