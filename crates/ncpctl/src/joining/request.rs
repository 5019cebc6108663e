//! The joining request: one JSON file from the participant to the hub's operator, `<participant>-request.json`; for a later
//! version of the entry `<participant>-request-<version>.json`.
//!
//! ```json
//! {"schema":"ncp.joining-request/2","entries":["<signed entry of version 0, base64>"],
//!  "certificate_request":"<PKCS #10, PEM>"}
//! ```
//!
//! Nothing in it is secret. Two things have to agree before anything is done with it: the entries, each verified by the one
//! before, with the TLS key that signed the certificate request and that the newest pins; and the fingerprint that people
//! read to each other, or that the membership statement names already.

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::{NetworkId, ParticipantId};
use ncp_store::keyfiles::keyring::Keyring;
use serde::{Deserialize, Serialize};

use super::authority::{key_id, make_request, read_key, requested_key};
use super::entries::Entries;
use super::entry::Made;
use super::files::{NAME_WITH_OUT, differs, file_fault, put_public, read_public};
use super::held::check_keys;

const SCHEMA: &str = "ncp.joining-request/2";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    schema: String,
    #[serde(with = "ncp_api::text::base64_list")]
    entries: Vec<Vec<u8>>,
    certificate_request: String,
}

/// What the file of a request or an answer is called unless the operator says otherwise.
pub(crate) fn default_name(participant: ParticipantId, what: &str, version: u32) -> PathBuf {
    let number = if version == 0 { String::new() } else { format!("-{version}") };
    PathBuf::from(format!("{participant}-{what}{number}.json"))
}

/// A request whose parts agree with one another. The fingerprint has not been compared yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The entries, from version 0.
    pub(crate) entries: Entries,
    /// The TLS key to be certified.
    pub(crate) key: rcgen::PublicKey,
}

impl Request {
    /// Writes the request of what `keys init` or `keys rotate` made. One that is there already and says the same is left as
    /// it is: each certificate request has another signature.
    ///
    /// # Errors
    /// [`ErrorCode::OutputExists`] if another file bears the name.
    pub(crate) fn write(path: &Path, made: &Made) -> Result<(), Fault> {
        let key = read_key(made.tls.as_bytes(), &"the TLS key")?;
        if read_public(path, "joining request")?.is_some() {
            return match Self::read(path) {
                Ok(found) if found.entries == made.entries && key_id(&found.key) == key_id(&key) => Ok(()),
                Ok(_) | Err(_) => Err(differs(path).with("remedy", NAME_WITH_OUT)),
            };
        }
        let wire = Wire {
            schema: SCHEMA.to_owned(),
            entries: made.entries.encode(),
            certificate_request: make_request(made.entries.network(), made.entries.participant(), &key)?,
        };
        put_public(path, &to_json(&wire)?, "joining request")
    }

    /// Reads a request and checks that its parts agree.
    ///
    /// # Errors
    /// [`ErrorCode::JoiningFileInvalid`] with the reason.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let wire: Wire = from_json(path, SCHEMA)?;
        let entries = Entries::decode(&wire.entries, &path.display()).map_err(|fault| invalid(path, &fault.cause()))?;
        let key = requested_key(&wire.certificate_request)
            .ok_or_else(|| invalid(path, &"the certificate request is damaged or not signed with its key"))?;
        if entries.newest().is_hub() {
            return Err(invalid(path, &"HUB is the hub's own name"));
        }
        if !entries.newest().pins(&key_id(&key)) {
            return Err(invalid(path, &"the certificate request is for another key than the entry names"));
        }
        Ok(Self { entries, key })
    }

    /// Gives a folder that lost entries those of an earlier call back: the request holds them. Where none is missing, or
    /// there is no request, nothing is done; a request that does not go on from the entries that are there is not one of
    /// theirs, and left alone.
    ///
    /// # Errors
    /// [`ErrorCode::KeyFileMissing`] or [`ErrorCode::KeyNotOfEntry`] if they are not the entries of the keys in `data`.
    pub(crate) fn restore_entries(path: &Path, data: &Path, keyring: &Keyring) -> Result<(), Fault> {
        if !path.exists() {
            return Ok(());
        }
        let held = Entries::read(data)?;
        let entries = match (held, Self::read(path)) {
            (None, request) => request?.entries,
            (Some(_), Err(_)) => return Ok(()),
            (Some(held), Ok(request)) => match held.clone().longer(request.entries) {
                Ok(longer) if longer != held => longer,
                Ok(_) | Err(_) => return Ok(()),
            },
        };
        check_keys(data, keyring, &entries)?;
        entries.put(data)
    }

    /// Whose it is.
    pub(crate) fn participant(&self) -> ParticipantId {
        self.entries.participant()
    }

    /// The network that it asks for.
    pub(crate) fn network(&self) -> NetworkId {
        self.entries.network()
    }

    /// What people compare.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.entries.fingerprint()
    }
}

/// A file of joining as JSON, with its line end.
pub(super) fn to_json<T: Serialize>(wire: &T) -> Result<Vec<u8>, Fault> {
    let mut bytes = serde_json::to_vec_pretty(wire).map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a file of joining.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(path: &Path, schema: &str) -> Result<T, Fault> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let bytes = ncp_store::keyfiles::read_public(path).map_err(|error| missing(path, &error))?;
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| invalid(path, &error))?;
    if head.schema != schema {
        return Err(invalid(path, &format!("it is {} instead of {schema}", head.schema)));
    }
    serde_json::from_slice(&bytes).map_err(|error| invalid(path, &error))
}

fn missing(path: &Path, error: &ncp_store::keyfiles::KeyFileError) -> Fault {
    use ncp_store::keyfiles::KeyFileError as E;
    match error {
        E::Missing(_) => ErrorCode::FileMissing.with("file", path.display()),
        E::Exists(_)
        | E::OpenToOthers { .. }
        | E::ForeignOwner { .. }
        | E::Sealed(_)
        | E::PassphraseWrong(_)
        | E::Damaged(_)
        | E::Io { .. } => file_fault("joining file", error),
    }
}

/// A file that is not what joining makes.
pub(super) fn invalid(path: &Path, reason: &dyn core::fmt::Display) -> Fault {
    ErrorCode::JoiningFileInvalid.with("file", path.display()).with("reason", reason)
}
