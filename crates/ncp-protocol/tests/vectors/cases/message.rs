//! What is signed and read by officers, originator and recipient: header, manifest, approval, event.

use ncp_protocol::approval::{ApprovalStatement, ApprovalView, Decision};
use ncp_protocol::codes::{Code, Handling, Kind, Precedence, ResponseStatus, UrgentGround};
use ncp_protocol::event::{Actor, Change, Event, EvidenceKind, Outcome, Received};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{
    Digest, Epoch, LogName, MessageId, OfficerNumber, PairSequence, ParticipantId, Reference, SealNumber, UnixMillis,
};
use ncp_protocol::keys::Signature;
use ncp_protocol::manifest::{InReplyTo, Manifest};

use crate::annotate::Hex;
use crate::fixtures::{NETWORK, NOW, claim, envelope_key, event, header, manifest, message_id, origin, participant};
use crate::scenario::Scenario;

pub(super) fn all() -> Vec<Scenario> {
    [headers(), header_fields(), manifests(), manifest_rules(), approvals(), events()].into_iter().flatten().collect()
}

fn hex_of_header(header: &Header) -> Hex {
    Hex::prefixed(b'H', header)
}

fn headers() -> Vec<Scenario> {
    let make = |name, expect, about, hex| Scenario::new("header", name, expect, about).bytes(hex);
    let good = || hex_of_header(&header());
    let urgent = Header { precedence: Precedence::Urgent, seal: SealNumber(u32::MAX), ..header() };
    vec![
        make("routine", "ok", "a header of a routine message", good()),
        make("urgent-resealed", "ok", "precedence urgent and the largest seal number", hex_of_header(&urgent)),
        make("truncated", "decode.malformed", "the last byte is missing", good().cut()),
        make("trailing", "decode.malformed", "a byte follows the last field", good().trailing()),
        make("empty", "decode.malformed", "nothing at all", Hex::raw("nothing", Vec::new())),
        make("other-kind", "decode.prefix", "the prefix of an event", good().set("prefix", *b"NCPE\x01\0\0\0")),
        make("other-magic", "decode.prefix", "another magic", good().set("prefix", *b"NCQH\x01\0\0\0")),
        make(
            "reserved-bytes",
            "decode.prefix",
            "reserved bytes of the prefix are set",
            good().set("prefix", *b"NCPH\x01\0\0\x01"),
        ),
        make(
            "next-layout",
            "decode.version",
            "a layout that this version does not know",
            good().set("prefix", *b"NCPH\x02\0\0\0"),
        ),
        make("too-long", "decode.too-long", "longer than any header", Hex::raw("zeros", vec![0; 513])),
    ]
}

fn header_fields() -> Vec<Scenario> {
    let make = |name, expect, about, hex| Scenario::new("header", name, expect, about).bytes(hex);
    let good = || hex_of_header(&header());
    let with = |header: Header| hex_of_header(&header);
    vec![
        make("protocol-version", "version", "protocol version 2", good().set("version", [2, 0])),
        make("suite", "suite", "a suite that nobody knows", good().set("suite", [2, 0])),
        make("suite-none", "suite", "suite 0", good().set("suite", [0, 0])),
        make("seal-number", "seal", "seal number 0", good().set("seal", [0; 4])),
        make(
            "self-addressed",
            "names",
            "originator and recipient are the same",
            with(Header { recipient: participant("XA"), ..header() }),
        ),
        make(
            "to-the-hub",
            "names",
            "the hub is the recipient",
            with(Header { recipient: ParticipantId::HUB, ..header() }),
        ),
        make(
            "from-the-hub",
            "names",
            "the hub is the originator",
            with(Header { originator: ParticipantId::HUB, ..header() }),
        ),
        make(
            "body-length",
            "body-length",
            "a length that no body has",
            with(Header { body_length: 4_113, ..header() }),
        ),
        make("body-empty", "body-length", "a body of length 0", with(Header { body_length: 0, ..header() })),
        make(
            "body-huge",
            "body-length",
            "a body longer than any message",
            with(Header { body_length: u64::MAX, ..header() }),
        ),
        make(
            "precedence-unknown",
            "decode.malformed",
            "a precedence beyond the last",
            good().set("precedence", [3, 0, 0, 0]),
        ),
        make(
            "participant-lower-case",
            "decode.malformed",
            "a participant id in lower case",
            good().set("recipient", *b"xb\0\0\0\0\0\0"),
        ),
        make(
            "participant-inner-zero",
            "decode.malformed",
            "a participant id with a hole",
            good().set("recipient", *b"X\0B\0\0\0\0\0"),
        ),
        make(
            "participant-digit-first",
            "decode.malformed",
            "a participant id that begins with a digit",
            good().set("recipient", *b"1B\0\0\0\0\0\0"),
        ),
        make(
            "participant-short",
            "decode.malformed",
            "a participant id of one letter",
            good().set("recipient", *b"X\0\0\0\0\0\0\0"),
        ),
    ]
}

fn hex_of_manifest(manifest: &Manifest) -> Hex {
    Hex::prefixed(b'M', manifest)
}

fn response() -> Manifest {
    let in_reply_to = Some(InReplyTo { message: MessageId::from_random([9; 16]), commitment: Digest([0x43; 32]) });
    Manifest { kind: Kind::Response, response_status: Some(ResponseStatus::Final), in_reply_to, ..manifest() }
}

fn full() -> Manifest {
    Manifest {
        response_status: Some(ResponseStatus::Extension),
        form: Some("vehicle/2".parse().expect("a form")),
        handling: Handling::H3,
        restriction: Some("Only for the duty officer".parse().expect("a text")),
        urgent_ground: Some(UrgentGround::LifeOrLimb),
        reason: Some(code("court-order-needed")),
        also_sent_through: vec![code("interpol"), code("siena")],
        ..response()
    }
}

fn code(text: &str) -> Code {
    text.parse().expect("a code")
}

fn manifests() -> Vec<Scenario> {
    let make = |name, expect, about, hex| Scenario::new("manifest", name, expect, about).bytes(hex);
    let good = || hex_of_manifest(&manifest());
    let part = "parts.0.name";
    vec![
        make("request", "ok", "a request with one part", good()),
        make("every-field", "ok", "an extension in which every field is set", hex_of_manifest(&full())),
        make("truncated", "decode.malformed", "the last byte is missing", good().cut()),
        make("trailing", "decode.malformed", "a byte follows the last part", good().trailing()),
        make(
            "option-tag",
            "decode.malformed",
            "an option that is neither absent nor present",
            good().set("in_reply_to", [2]),
        ),
        make(
            "endless-recipients",
            "decode.malformed",
            "a list that claims 2^64 - 1 recipients",
            good().set("recipients.length", [0xff; 8]),
        ),
        make("part-name-path", "decode.malformed", "a part whose name is a path", good().set(part, *b"../uest.txt")),
        make(
            "part-name-control",
            "decode.malformed",
            "a part whose name holds a line feed",
            good().set(part, *b"req\nest.txt"),
        ),
        make(
            "part-name-turned",
            "decode.malformed",
            "a part whose name turns the direction of text",
            good().set(part, "\u{202e}requ.tx".as_bytes()),
        ),
        make(
            "part-name-not-utf8",
            "decode.malformed",
            "a part whose name is not UTF-8",
            good().set(part, *b"\xffequest.txt"),
        ),
        make(
            "media-type",
            "decode.malformed",
            "a media type without a slash",
            good().set("parts.0.media_type", *b"text-plain"),
        ),
        make(
            "subject-control",
            "decode.malformed",
            "a subject of two lines",
            good().set("subject", *b"Vehicle at\nthe border"),
        ),
        make(
            "subject-empty",
            "decode.malformed",
            "an empty subject",
            good().set("subject.length", [0; 8]).set("subject", []),
        ),
        make(
            "form-version",
            "decode.malformed",
            "version 0 of a form",
            hex_of_manifest(&full()).set("form.version", [0, 0]),
        ),
        make("code-capitals", "decode.malformed", "a code in capitals", good().set("subject_code", *b"VEHICLE")),
        make(
            "reference-number",
            "decode.malformed",
            "running number 0 in the reference",
            good().set("reference.number", [0; 4]),
        ),
        make(
            "reference-year",
            "decode.malformed",
            "year 1999 in the reference",
            good().set("reference.year", 1999u16.to_le_bytes()),
        ),
    ]
}

fn manifest_rules() -> Vec<Scenario> {
    let make = |name, expect, about, manifest: Manifest| {
        Scenario::new("manifest", name, expect, about).bytes(hex_of_manifest(&manifest))
    };
    let to =
        |names: &[&str]| Manifest { recipients: names.iter().map(|name| participant(name)).collect(), ..manifest() };
    let reference = Reference::new(participant("XB"), 2027, 417).expect("a reference");
    let reply = InReplyTo { message: message_id(), commitment: Digest([0; 32]) };
    let twice = vec![manifest().parts[0].clone(), manifest().parts[0].clone()];
    vec![
        make("protocol-version", "version", "protocol version 2", Manifest { version: 2, ..manifest() }),
        make("no-recipient", "recipients", "no recipient", to(&[])),
        make("recipients-unsorted", "recipients", "recipients out of order", to(&["XC", "XB"])),
        make("recipient-twice", "recipients", "a recipient twice", to(&["XB", "XB"])),
        make("recipient-originator", "recipients", "the originator among the recipients", to(&["XA", "XB"])),
        make("recipient-hub", "recipients", "the hub among the recipients", to(&["HUB", "XB"])),
        make(
            "reference-foreign",
            "reference",
            "a reference that another participant gave",
            Manifest { reference, ..manifest() },
        ),
        make("reply-missing", "in-reply-to", "a response to nothing", Manifest { in_reply_to: None, ..response() }),
        make(
            "reply-to-itself",
            "in-reply-to",
            "a message that answers itself",
            Manifest { in_reply_to: Some(reply), ..manifest() },
        ),
        make(
            "status-missing",
            "response-status",
            "a response without status",
            Manifest { response_status: None, ..response() },
        ),
        make(
            "status-of-a-request",
            "response-status",
            "a request with a response's status",
            Manifest { response_status: Some(ResponseStatus::Final), ..manifest() },
        ),
        make(
            "refusal-without-reason",
            "reason",
            "a refusal without reason",
            Manifest { response_status: Some(ResponseStatus::Refusal), ..response() },
        ),
        make(
            "extension-without-time",
            "reason",
            "an extension that names no time",
            Manifest { answer_by: None, ..full() },
        ),
        make(
            "restriction-missing",
            "restriction",
            "handling H3 without words",
            Manifest { handling: Handling::H3, ..manifest() },
        ),
        make(
            "channels-unsorted",
            "also-sent-through",
            "channels out of order",
            Manifest { also_sent_through: vec![code("siena"), code("interpol")], ..manifest() },
        ),
        make("no-part", "parts", "a message without parts", Manifest { parts: Vec::new(), ..manifest() }),
        make("part-name-twice", "parts", "two parts of one name", Manifest { parts: twice, ..manifest() }),
    ]
}

fn approvals() -> Vec<Scenario> {
    let make = |name, expect, about, hex| Scenario::new("approval", name, expect, about).bytes(hex);
    let statement = |recipients: &[&str]| ApprovalStatement {
        view: ApprovalView {
            network: NETWORK,
            participant: participant("XA"),
            message: message_id(),
            commitment: Digest([0x43; 32]),
            recipients: recipients.iter().map(|name| participant(name)).collect(),
            precedence: Precedence::Priority,
            not_after: NOW,
            officer: OfficerNumber(2),
        },
        decision: Decision::Approve,
        code: "7K3M".parse().expect("a code"),
    };
    let of = |recipients: &[&str]| Hex::prefixed(b'A', &statement(recipients));
    let good = || of(&["XB", "XC"]);
    vec![
        make("approve", "ok", "officer 02 approves a message to two recipients", good()),
        make("truncated", "decode.malformed", "the last byte is missing", good().cut()),
        make(
            "decision-unknown",
            "decode.malformed",
            "neither approved nor rejected",
            good().set("decision", [2, 0, 0, 0]),
        ),
        make(
            "code-alphabet",
            "decode.malformed",
            "a short code with a letter that its alphabet lacks",
            good().set("code", *b"7K3U"),
        ),
        make("no-recipient", "recipients", "an approval for nobody", of(&[])),
        make("recipients-unsorted", "recipients", "recipients out of order", of(&["XC", "XB"])),
    ]
}

/// Number 12 arrived, with these ranges voided.
fn received(voided: &[(u64, u64)]) -> Event {
    let manifest = manifest();
    let change = Change::MessageReceived(Received {
        envelope: envelope_key(),
        header: Digest([0x48; 32]),
        reference: manifest.reference,
        conversation: manifest.conversation,
        in_reply_to: None,
        kind: manifest.kind,
        response_status: None,
        reason: None,
        precedence: Precedence::Routine,
        handling: manifest.handling,
        answer_by: None,
        due: None,
        commitment: Digest([0x43; 32]),
        root: Digest([0x52; 32]),
        body_length: 4_112,
        sequence: PairSequence(12),
        epoch: Epoch(1),
        floor: PairSequence(8),
        voided: voided.iter().map(|(first, last)| (PairSequence(*first), PairSequence(*last))).collect(),
    });
    event(LogName::Node, change)
}

fn events() -> Vec<Scenario> {
    let make = |name, expect, about, hex| Scenario::new("event", name, expect, about).bytes(hex);
    let hex = |event: &Event| Hex::prefixed(b'E', event);
    let traffic = origin("HUB", LogName::Traffic);
    let evidence = |outcome| {
        let claim = claim(traffic, EvidenceKind::RelayFailure, outcome);
        event(LogName::Traffic, Change::Evidence(claim))
    };
    let rejected = || hex(&evidence(Outcome::Rejected(ncp_protocol::reject::RejectCode::QuotaExceeded)));
    let withdrawn = Event {
        actor: Actor::Officer {
            number: OfficerNumber(7),
            signature: Signature([0x53; 64]),
            request: Digest([0x51; 32]),
        },
        ..event(LogName::Node, Change::MessageWithdrawn { message: message_id() })
    };
    let suspended = event(
        LogName::Public,
        Change::ParticipantSuspended { participant: participant("XB"), reason: code("key-compromised") },
    );
    let claimed = |field: &str| format!("change.Evidence.{field}");
    let stored = |epoch| event(LogName::Node, Change::ReceiptsStored { epoch: Epoch(epoch), number: 256 });
    let released = |epoch, sequence| {
        let sequences = vec![PairSequence(sequence)];
        event(LogName::Node, Change::MessageReleased { message: message_id(), sequences, epoch: Epoch(epoch) })
    };
    vec![
        make("relay-failure-rejected", "ok", "negative evidence of the hub with its code", rejected()),
        make(
            "relay-failure-expired",
            "ok",
            "negative evidence of the hub: the envelope expired",
            hex(&evidence(Outcome::Expired)),
        ),
        make("withdrawn-by-officer", "ok", "an officer withdraws a message", hex(&withdrawn)),
        make("truncated", "malformed", "the last byte is missing", rejected().cut()),
        make("trailing", "malformed", "a byte follows the last field", rejected().trailing()),
        make(
            "claim-seal",
            "malformed",
            "a claim about seal number 0",
            rejected().set(&claimed("envelope.seal"), [0; 4]),
        ),
        make("claim-epoch", "malformed", "a claim of epoch 0", rejected().set(&claimed("origin.epoch"), [0; 4])),
        make("received", "ok", "a message arrived", hex(&received(&[(8, 9), (11, 11)]))),
        make("received-voided-own", "malformed", "its own number is voided", hex(&received(&[(11, 12)]))),
        make("received-voided-order", "malformed", "voided ranges out of order", hex(&received(&[(11, 11), (8, 9)]))),
        make(
            "received-voided-turned",
            "malformed",
            "a voided range that ends before it begins",
            hex(&received(&[(9, 8)])),
        ),
        make(
            "received-floor",
            "malformed",
            "a floor above the number",
            hex(&received(&[])).set("change.MessageReceived.floor", 13u64.to_le_bytes()),
        ),
        make("released-sequence", "malformed", "a sequence number 0", hex(&released(1, 0))),
        make("released-epoch", "malformed", "a pair epoch 0", hex(&released(0, 1))),
        make("receipts-stored-epoch", "malformed", "receipts of epoch 0", hex(&stored(0))),
        make("log-unknown", "malformed", "a log that nobody keeps", rejected().set("log", [3, 0, 0, 0])),
        make("actor-unknown", "malformed", "an actor beyond the last", rejected().set("actor", [5, 0, 0, 0])),
        make("change-unknown", "malformed", "a change beyond the last", rejected().set("change", [0xff, 0, 0, 0])),
        make(
            "reject-code-zero",
            "malformed",
            "a reject code that is none",
            rejected().set("change.Evidence.outcome.Rejected", [0, 0]),
        ),
        make(
            "reject-code-unknown",
            "ok",
            "a reject code of a later version: kept as it is",
            rejected().set("change.Evidence.outcome.Rejected", [84, 0]),
        ),
        make(
            "reason-empty",
            "malformed",
            "a reason of no characters",
            hex(&suspended)
                .set("change.ParticipantSuspended.reason.length", [0; 8])
                .set("change.ParticipantSuspended.reason", []),
        ),
        make(
            "next-layout",
            "version",
            "a layout that this version does not know",
            rejected().set("prefix", *b"NCPE\x02\0\0\0"),
        ),
        make("too-long", "too-long", "longer than any event", Hex::raw("zeros", vec![0; 4097])),
        make("other-kind", "prefix", "the prefix of a header", rejected().set("prefix", *b"NCPH\x01\0\0\0")),
        make(
            "time-latest",
            "ok",
            "the last time that can be named",
            hex(&Event { time: UnixMillis(u64::MAX), ..evidence(Outcome::Expired) }),
        ),
    ]
}
