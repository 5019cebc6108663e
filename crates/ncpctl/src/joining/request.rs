//! The joining request: one JSON file from the participant to the hub's operator, `<participant>-request.json`.
//!
//! ```json
//! {"schema":"ncp.joining-request/1","entry":"<signed entry of version 0, base64>","certificate_request":"<PKCS #10, PEM>"}
//! ```
//!
//! Nothing in it is secret. Two things have to agree before anything is done with it: the entry's own signature with its
//! keys, among them the TLS key that also signed the certificate request; and the fingerprint that people read to each other.

use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Fingerprint, SignedEntry};
use ncp_protocol::ids::{NetworkId, ParticipantId};
use ncp_store::keyfiles;
use ncp_store::keyfiles::keyring::Keyring;
use serde::{Deserialize, Serialize};

use super::authority::{key_id, make_request, read_key, requested_key};
use super::entry::{Made, first_entry};
use super::files::{NAME_WITH_OUT, differs, file_fault, put_public, read_public};
use super::held::check_keys;

const SCHEMA: &str = "ncp.joining-request/1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    schema: String,
    #[serde(with = "ncp_api::text::base64")]
    entry: Vec<u8>,
    certificate_request: String,
}

/// A request whose parts agree with one another. The fingerprint has not been compared yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The entry of version 0.
    pub(crate) entry: SignedEntry,
    /// The TLS key to be certified.
    pub(crate) key: rcgen::PublicKey,
}

impl Request {
    /// Writes the request of what `keys init` made. One that is there already and says the same is left as it is: each
    /// certificate request has another signature.
    ///
    /// # Errors
    /// [`ErrorCode::OutputExists`] if another file bears the name.
    pub(crate) fn write(path: &Path, made: &Made) -> Result<(), Fault> {
        let entry = made.entry.unverified();
        if read_public(path, "joining request")?.is_some() {
            return match Self::read(path) {
                Ok(found) if found.entry == made.entry => Ok(()),
                Ok(_) | Err(_) => Err(differs(path).with("remedy", NAME_WITH_OUT)),
            };
        }
        let key = read_key(made.tls.as_bytes(), &"the TLS key")?;
        let wire = Wire {
            schema: SCHEMA.to_owned(),
            entry: made.entry.encode(),
            certificate_request: make_request(entry.network, entry.participant, &key)?,
        };
        put_public(path, &to_json(&wire)?, "joining request")
    }

    /// Reads a request and checks that its parts agree.
    ///
    /// # Errors
    /// [`ErrorCode::JoiningFileInvalid`] with the reason.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let wire: Wire = from_json(path, SCHEMA)?;
        let entry = first_entry(&wire.entry, &path.display()).map_err(|fault| invalid(path, &fault.cause()))?;
        let key = requested_key(&wire.certificate_request)
            .ok_or_else(|| invalid(path, &"the certificate request is damaged or not signed with its key"))?;
        if entry.unverified().is_hub() {
            return Err(invalid(path, &"HUB is the hub's own name"));
        }
        if entry.unverified().keys.tls != [key_id(&key)] {
            return Err(invalid(path, &"the certificate request is for another key than the entry names"));
        }
        Ok(Self { entry, key })
    }

    /// Gives a folder that lost its entry the one of an earlier call back: the request holds it. Where there is an entry,
    /// or no request, nothing is done.
    ///
    /// # Errors
    /// [`ErrorCode::KeyFileMissing`] or [`ErrorCode::KeyNotOfEntry`] if it is not the entry of the keys in `data`.
    pub(crate) fn restore_entry(path: &Path, data: &Path, keyring: &Keyring) -> Result<(), Fault> {
        let entry = data.join(keyfiles::entry_path(0));
        if !path.exists() || entry.exists() {
            return Ok(());
        }
        let request = Self::read(path)?;
        check_keys(data, keyring, request.entry.unverified())?;
        put_public(&entry, &request.entry.encode(), "directory entry")
    }

    /// Whose it is.
    pub(crate) fn participant(&self) -> ParticipantId {
        self.entry.unverified().participant
    }

    /// The network that it asks for.
    pub(crate) fn network(&self) -> NetworkId {
        self.entry.unverified().network
    }

    /// What people compare.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.entry.digest())
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
