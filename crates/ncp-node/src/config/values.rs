//! From keys to checked values: every key of the file is asked for here, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use ncp_api::SOCKET_PATH_MAX;
use ncp_api::officer::OfficerRole;
use ncp_policy::{APPROVALS_MAX, Recipients, Rule, Rules};
use ncp_protocol::codes::{Code, Handling, Kind};
use ncp_protocol::ids::{OfficerNumber, ParticipantId};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::limits::{LIFETIME_DAYS, LIFETIME_DEFAULT_DAYS};
use ncp_transport::limits::IDLE_TIMEOUT;

use super::reader::{Item, Section};
use super::{API_SOCKET, Config, DATA_DIR, Limits, LogFormat, Settings};
use crate::core::command::NewOfficer;

const MIB: u64 = 1 << 20;
/// Mebibytes of `blob-max-mebibytes` unless it is set: the largest message.
const BLOB_MAX_MIB: u64 = 1024;
/// Mebibytes of `blobs-max-mebibytes` unless it is set.
const BLOBS_MAX_MIB: u64 = 4096;
/// Mebibytes of `ballast-mebibytes` unless it is set.
const BALLAST_MIB: u64 = 64;
/// Mebibytes of `free-min-mebibytes` unless it is set.
const FREE_MIN_MIB: u64 = 256;

/// The configuration, or `None` if something that has no default is missing or wrong, which was noted then.
pub(super) fn config(root: Section<'_>) -> Option<Config> {
    let participant = root.required("participant").and_then(|item| participant(&item));
    let data_dir = path(root.item("data-dir"), DATA_DIR);
    let passphrase_credential = credential(root.item("passphrase-credential"));
    let api_socket = socket(root.item("api-socket"));
    let hub_addresses = root.required("hub-addresses").map(|item| {
        let addresses = item.list("a list of host:port");
        if addresses.is_empty() {
            item.invalid("a list of at least one host:port");
        }
        addresses
    });
    let proxy = root.item("proxy").and_then(|item| item.parsed("host:port"));
    let officers = officers(&root);
    let officer_names_file = root.item("officer-names-file").and_then(|item| item.text()).map(PathBuf::from);
    let (rules, rule_texts) = rules(&root);
    let services = root.item("services").map(|item| item.list("a list of codes such as \"border-police\""));
    let limits = limits(&root);
    let log_format = log_format(&root);
    let metrics_peers = root.item("metrics-peers").map_or(Some(true), |item| item.truth());
    root.end();
    Some(Config {
        file: None,
        participant: participant?,
        data_dir: data_dir?,
        passphrase_credential: passphrase_credential?,
        api_socket: api_socket?,
        officers,
        log_format: log_format?,
        settings: Settings {
            hub_addresses: hub_addresses?,
            proxy,
            officer_names_file,
            rules: rules?,
            rule_texts,
            services: services.unwrap_or_default(),
            limits: limits?,
            metrics_peers: metrics_peers?,
        },
    })
}

fn participant(item: &Item<'_>) -> Option<ParticipantId> {
    let id = item.parsed("2 to 8 capital letters and digits, such as \"XA\"")?;
    if id == ParticipantId::HUB {
        item.invalid("a participant; HUB is the hub's own name");
        return None;
    }
    Some(id)
}

/// An absolute path, so that it means the same wherever the daemon is started.
fn path(item: Option<Item<'_>>, default: &str) -> Option<PathBuf> {
    let Some(item) = item else { return Some(PathBuf::from(default)) };
    let path = PathBuf::from(item.text()?);
    if path.is_absolute() {
        return Some(path);
    }
    item.invalid("an absolute path");
    None
}

/// The name of a credential; no path leads out of the folder of credentials.
fn credential(item: Option<Item<'_>>) -> Option<Option<String>> {
    let Some(item) = item else { return Some(None) };
    let name = item.text()?;
    if ncp_service::credential::is_name(name) {
        return Some(Some(name.to_owned()));
    }
    item.invalid("the name of a credential, such as \"ncp-passphrase\": letters, digits, dots and dashes");
    None
}

fn socket(item: Option<Item<'_>>) -> Option<PathBuf> {
    let Some(item) = item else { return path(None, API_SOCKET) };
    if item.is_text() && item.text().is_some_and(|text| text.len() > SOCKET_PATH_MAX) {
        item.invalid("a path of at most 107 bytes");
        return None;
    }
    path(Some(item), API_SOCKET)
}

fn officers(root: &Section<'_>) -> Vec<NewOfficer> {
    let mut officers: Vec<NewOfficer> = Vec::new();
    for section in root.tables("officers") {
        let (number, uid) = (section.required("number"), section.required("uid"));
        let (key, roles) = (section.required("public-key"), section.required("roles"));
        let officer = NewOfficer {
            number: OfficerNumber(small(number.as_ref(), 1..=u64::from(u16::MAX))),
            uid: small(uid.as_ref(), 0..=u64::from(u32::MAX)),
            key: match key.as_ref().and_then(public_key) {
                Some(key) => key,
                None => {
                    section.end();
                    continue;
                }
            },
            roles: roles.as_ref().map(role_list).unwrap_or_default(),
        };
        for other in &officers {
            if let Some(item) = number.as_ref().filter(|_| other.number == officer.number) {
                item.conflicts("the number of another officer");
            }
            if let Some(item) = key.as_ref().filter(|_| other.key == officer.key) {
                item.conflicts("the key of another officer");
            }
        }
        section.end();
        officers.push(officer);
    }
    officers
}

fn small<T: TryFrom<u64> + Default>(item: Option<&Item<'_>>, range: core::ops::RangeInclusive<u64>) -> T {
    // A value out of range was noted; the configuration is not used then.
    item.and_then(|item| item.number(range)).and_then(|number| T::try_from(number).ok()).unwrap_or_default()
}

fn public_key(item: &Item<'_>) -> Option<VerifyingKey> {
    let bytes = Base64::decode_vec(item.text()?).ok().and_then(|bytes| bytes.try_into().ok());
    let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    if key.is_none() {
        item.invalid("a public key in base64, as  ncpctl keys init --officer  prints it");
    }
    key
}

fn role_list(item: &Item<'_>) -> Vec<ncp_protocol::event::Role> {
    let roles: Vec<OfficerRole> = item.list("a list of \"drafter\", \"releaser\", \"supervisor\"");
    if roles.is_empty() {
        item.invalid("a list of \"drafter\", \"releaser\", \"supervisor\" with at least one");
    }
    let roles: BTreeSet<_> = roles.into_iter().map(Into::into).collect();
    roles.into_iter().collect()
}

const EACH_KIND: &str = "a list of kinds, each by its name; \"all\" would let out what a later version adds";
const EACH_HANDLING: &str = "a list of H0 to H3, each by its name; \"all\" would let out what a later version adds";

fn rules(root: &Section<'_>) -> (Option<Rules>, BTreeMap<Code, String>) {
    let (mut rules, mut texts, mut whole) = (Vec::new(), BTreeMap::new(), true);
    let sections = root.tables("allow");
    let first = root.item("allow");
    for section in sections {
        let name = section.required("name").and_then(|item| item.parsed::<Code>("a code such as \"requests\""));
        let text = section.item("text").and_then(|item| item.text());
        let to = section.required("to").and_then(|item| recipients(&item));
        let kinds = section.required("kinds").map(|item| each_listed::<Kind>(&item, EACH_KIND));
        let handling = section.required("handling").map(|item| each_listed::<Handling>(&item, EACH_HANDLING));
        let approvals = section.required("approvals").and_then(|item| item.number(0..=u64::from(APPROVALS_MAX)));
        section.end();
        let approvals = approvals.and_then(|number| u8::try_from(number).ok());
        let (Some(name), Some(to), Some(kinds), Some(handling), Some(approvals)) =
            (name, to, kinds, handling, approvals)
        else {
            whole = false;
            continue;
        };
        if let Some(text) = text {
            texts.insert(name.clone(), text.to_owned());
        }
        rules.push(Rule { name, to, kinds, handling, approvals });
    }
    if !whole {
        return (None, texts);
    }
    match Rules::new(rules) {
        Ok(rules) => (Some(rules), texts),
        Err(error) => {
            if let Some(item) = first {
                item.invalid(&format!("rules that can stand: {error}"));
            }
            (None, texts)
        }
    }
}

fn recipients(item: &Item<'_>) -> Option<Recipients> {
    if !item.is_text() {
        return Some(Recipients::Listed(item.list("a list of participants, or \"all\"")));
    }
    if item.text() == Some("all") {
        return Some(Recipients::All);
    }
    item.invalid("a list of participants, or \"all\"");
    None
}

/// A list of codes in either case. There is no word for all of them: it would let out, on the day of an upgrade, what nobody
/// at this node has listed.
fn each_listed<T: FromStr>(item: &Item<'_>, expected: &str) -> Vec<T> {
    let listed: Vec<AnyCase<T>> = item.list(expected);
    listed.into_iter().map(|code| code.0).collect()
}

/// A code that people write in capitals too, such as H2.
struct AnyCase<T>(T);

impl<T: FromStr> FromStr for AnyCase<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.to_ascii_lowercase().parse().map(Self)
    }
}

fn limits(root: &Section<'_>) -> Option<Limits> {
    let number = |key, default, range| root.item(key).map_or(Some(default), |item| item.number(range));
    let lifetimes = u64::from(*LIFETIME_DAYS.start())..=u64::from(*LIFETIME_DAYS.end());
    let lifetime_days = number("lifetime-days", u64::from(LIFETIME_DEFAULT_DAYS), lifetimes);
    let blob_max = number("blob-max-mebibytes", BLOB_MAX_MIB, 1..=1024);
    let blobs_max = number("blobs-max-mebibytes", BLOBS_MAX_MIB, 1..=1 << 20);
    let free_min = number("free-min-mebibytes", FREE_MIN_MIB, 16..=1 << 20);
    let ballast = number("ballast-mebibytes", BALLAST_MIB, 0..=4_096);
    let idle_timeout = number("idle-timeout-seconds", IDLE_TIMEOUT.as_secs(), 10..=3_600);
    let (blob_max, blobs_max) = (blob_max?, blobs_max?);
    if let Some(item) = root.item("blobs-max-mebibytes").filter(|_| blobs_max < blob_max) {
        item.conflicts("blob-max-mebibytes, which is larger");
    }
    Some(Limits {
        lifetime_days: u16::try_from(lifetime_days?).ok()?,
        blob_max_bytes: blob_max * MIB,
        blobs_max_bytes: blobs_max * MIB,
        free_min_bytes: free_min? * MIB,
        ballast_bytes: ballast? * MIB,
        idle_timeout: Duration::from_secs(idle_timeout?),
    })
}

fn log_format(root: &Section<'_>) -> Option<LogFormat> {
    let Some(item) = root.item("log-format") else { return Some(LogFormat::Text) };
    match item.text()? {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => {
            item.invalid("\"text\" or \"json\"");
            None
        }
    }
}
