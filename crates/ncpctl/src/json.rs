//! `--json`: one object with its schema, or JSON Lines; `--json=a,b` picks members, `--json=?` lists them.
//!
//! Members are only ever added to a schema; a breaking change raises its number.

use serde_json::{Map, Value};

/// Which members of an object are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Members {
    /// All.
    All,
    /// These.
    Only(Vec<String>),
    /// None: their names are listed instead, and the command is not run.
    List,
}

impl Members {
    /// Reads the value of `--json`.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "" => Self::All,
            "?" => Self::List,
            names => Self::Only(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }
}

/// One object on one line, the schema first, the other members by name.
pub(crate) fn line(schema: &str, value: &Value, members: &Members) -> String {
    let mut object = Map::new();
    match value {
        Value::Object(fields) => {
            let wanted = |name: &String| match members {
                Members::All | Members::List => true,
                Members::Only(names) => names.contains(name),
            };
            object.extend(
                fields.iter().filter(|(name, _)| wanted(name)).map(|(name, field)| (name.clone(), field.clone())),
            );
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            object.insert("value".to_owned(), value.clone());
        }
    }
    let rest = Value::Object(object).to_string();
    let rest = rest.strip_prefix('{').unwrap_or_default();
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"schema\":{}{comma}{rest}\n", Value::String(schema.to_owned()))
}

/// The members of a schema, or `None` if it is unknown. A test runs the commands and refuses a printed
/// member that is not listed; a listed one that nothing prints is not noticed.
pub(crate) fn members_of(schema: &str) -> Option<&'static [&'static str]> {
    SCHEMAS.iter().find(|(name, _)| *name == schema).map(|(_, members)| *members)
}

const MESSAGE_ITEM: &[&str] = &[
    "reference",
    "message",
    "direction",
    "originator",
    "recipients",
    "kind",
    "response_status",
    "precedence",
    "handling",
    "state",
    "subject",
    "created",
    "refused",
    "changed",
    "due",
    "opened",
    "tasks_open",
    "tasks",
    "in_reply_to",
    "national_ref",
];

const MESSAGE: &[&str] = &[
    "reference",
    "message",
    "conversation",
    "revision",
    "direction",
    "originator",
    "recipients",
    "kind",
    "response_status",
    "reason",
    "precedence",
    "urgent_ground",
    "handling",
    "restriction",
    "state",
    "subject",
    "subject_code",
    "form",
    "text",
    "parts",
    "created",
    "not_after",
    "answer_by",
    "due",
    "drafter",
    "in_reply_to",
    "answers",
    "answered_by",
    "returned",
    "tasks",
    "release",
    "also_sent_through",
    "national_ref",
    "content",
];

/// All schemas with their members.
pub(crate) const SCHEMAS: &[(&str, &[&str])] = &[
    ("ncp.me/1", &["officer", "roles", "participant", "hub", "outbox", "needs"]),
    ("ncp.inbox/1", MESSAGE_ITEM),
    ("ncp.outbox/1", MESSAGE_ITEM),
    ("ncp.more/1", &["more", "shown"]),
    ("ncp.release/1", MESSAGE_ITEM),
    ("ncp.bulletins/1", MESSAGE_ITEM),
    ("ncp.message/1", MESSAGE),
    ("ncp.validation/1", &["checks", "rule", "rule_text", "approvals_needed", "length", "held"]),
    (
        "ncp.release-view/1",
        &[
            "network",
            "participant",
            "officer",
            "message",
            "commitment",
            "recipients",
            "precedence",
            "not_after",
            "manifest",
            "opening",
            "code",
        ],
    ),
    ("ncp.hub-view/1", &["message", "sealed", "headers"]),
    ("ncp.saved/1", &["reference", "folder", "files", "handling"]),
    ("ncp.withdrawal/1", &["reference", "recipients", "message"]),
    ("ncp.holds/1", &["scope", "officer", "since", "stopped"]),
    (
        "ncp.timeline/1",
        &[
            "reference",
            "message",
            "kind",
            "direction",
            "counterparts",
            "state",
            "due",
            "not_after",
            "entries",
            "refusals",
            "notes",
            "sentence",
            "receipts",
        ],
    ),
    (
        "ncp.health/1",
        &[
            "overall",
            "ready",
            "version",
            "participant",
            "network",
            "class",
            "now",
            "started",
            "hub",
            "journal_events",
            "free_bytes",
            "checks",
        ],
    ),
    ("ncp.doctor/1", &["id", "title", "result", "code", "cause", "try", "millis"]),
    (
        "ncp.directory/1",
        &[
            "participant",
            "class",
            "version",
            "fingerprint",
            "pinned",
            "suspended",
            "created",
            "seal_until",
            "sign_until",
            "logs",
            "usable",
        ],
    ),
    ("ncp.officers/1", &["number", "name", "uid", "key", "roles", "since", "disabled"]),
    ("ncp.officer-added/1", &["entered", "needed"]),
    ("ncp.ping/1", &["to", "reference", "steps"]),
    ("ncp.officer-key/1", &["officer", "public_key", "path", "protected"]),
    ("ncp.hub-init/1", &["network", "class", "hub_fingerprint", "config", "data_dir", "authority", "offline"]),
    (
        "ncp.hub-admit/1",
        &["participant", "class", "fingerprint", "membership_version", "entry_version", "public_index", "answer"],
    ),
    (
        "ncp.hub-renew/1",
        &[
            "root_version",
            "root_until",
            "root_renewed",
            "membership_version",
            "membership_until",
            "membership_renewed",
            "certificate_until",
            "certificate_renewed",
            "relay_told",
            "data_dir",
        ],
    ),
    ("ncp.hub-standing/1", &["participant", "suspended", "membership_version", "public_index"]),
    (
        "ncp.hub-status/1",
        &[
            "version",
            "network",
            "class",
            "listen",
            "started",
            "traffic_size",
            "public_size",
            "membership_version",
            "timestamp_until",
            "peers",
        ],
    ),
    (
        "ncp.keys-init/1",
        &["participant", "network", "fingerprint", "data_dir", "offline", "offline_keys_here", "request"],
    ),
    ("ncp.keys-new-epoch/1", &["participant", "fingerprint", "entry_version", "epoch", "data_dir", "request"]),
    (
        "ncp.keys-rotate/1",
        &[
            "participant",
            "fingerprint",
            "entry_version",
            "made",
            "new_identity_key",
            "new_signing_key",
            "new_tls_key",
            "seal_until",
            "sign_until",
            "data_dir",
            "request",
        ],
    ),
    (
        "ncp.keys-list/1",
        &[
            "participant",
            "network",
            "fingerprint",
            "entry_version",
            "seal_until",
            "sign_until",
            "certificate_until",
            "complete",
            "data_dir",
        ],
    ),
    (
        "ncp.keys-install/1",
        &[
            "participant",
            "network",
            "class",
            "member_class",
            "hub_fingerprint",
            "certificate_until",
            "data_dir",
            "installed",
        ],
    ),
    ("ncp.config-check/1", &["file", "daemon", "ok", "exit", "faults"]),
    ("ncp.audit/1", &["participant", "network", "ok", "logs", "receipts", "newer", "findings"]),
    ("ncp.audit-event/1", &["log", "index", "sequence", "time", "actor", "event", "about", "leaf"]),
    ("ncp.evidence-file/1", &["reference", "file", "receipts"]),
    ("ncp.evidence/1", &["receipt", "log", "index", "time", "ok", "reason", "anchor"]),
    ("ncp.backup-key/1", &["key", "public", "protected"]),
    ("ncp.backup/1", &["participant", "network", "created", "recipient", "next", "logs", "files", "length", "path"]),
    ("ncp.backup-verify/1", &["participant", "network", "created", "next", "logs", "files", "bytes", "receipts", "ok"]),
    (
        "ncp.backup-restore/1",
        &["participant", "network", "created", "next", "logs", "files", "bytes", "data_dir", "restored"],
    ),
    ("ncp.completion/1", &["shell", "script"]),
    ("ncp.man/1", &["page", "section", "file"]),
    ("ncp.demo/1", &["folder", "request", "answer", "bulletin", "survivor", "logs", "seconds"]),
    ("ncp.demo-down/1", &["folder", "daemons"]),
    ("ncp.error-code/1", &["code", "name", "title", "cause", "try", "exit", "status", "explanation"]),
    ("ncp.form-field/1", &["form", "name", "label", "holds", "required"]),
    ("ncp.problem/1", &["type", "title", "status", "detail", "code", "field", "try", "args"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_picked_and_the_schema_stays() {
        let value = serde_json::json!({"scope": "all", "since": "x"});
        assert_eq!(line("s/1", &value, &Members::parse("since")), "{\"schema\":\"s/1\",\"since\":\"x\"}\n");
        assert_eq!(line("s/1", &serde_json::json!([1]), &Members::All), "{\"schema\":\"s/1\",\"value\":[1]}\n");
        assert_eq!(Members::parse("?"), Members::List);
        assert_eq!(Members::parse(""), Members::All);
    }

    #[test]
    fn schemas_have_a_number() {
        for (schema, members) in SCHEMAS {
            assert!(schema.starts_with("ncp.") && schema.ends_with("/1"), "{schema}");
            assert!(!members.is_empty(), "{schema}");
        }
    }
}
