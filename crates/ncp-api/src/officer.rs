//! Who asks: the headers with which an officer signs a request, and the officer table.
//!
//! The signature covers method, path with query, idempotency key, time and SHA-256 of the body
//! ([`ncp_protocol::approval::OfficerRequest`]). The idempotency key is fresh in every request, also in one that only
//! reads, so that a recorded request cannot be played again. The node checks the account at the other end of the socket,
//! the key, that the time lies within [`OFFICER_TIME_WINDOW_MS`], and that the key is new.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use ncp_protocol::approval::OfficerRequest;
use ncp_protocol::codes::Code;
use ncp_protocol::ids::{Digest, NetworkId, OfficerNumber, ParticipantId, UnixMillis};
use ncp_protocol::keys::{BadSignature, Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::text::names;

/// Number of the officer who asks, decimal.
pub const OFFICER_HEADER: &str = "ncp-officer";
/// When the request was signed, Unix milliseconds, decimal.
pub const OFFICER_TIME_HEADER: &str = "ncp-officer-time";
/// The officer's signature, base64.
pub const OFFICER_SIGNATURE_HEADER: &str = "ncp-officer-signature";
/// Fresh value of the caller: the same value is the same request.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
/// SHA-256 of a streamed body, hexadecimal, sent before it.
pub const BODY_SHA256_HEADER: &str = "ncp-body-sha256";
/// Longest idempotency key in bytes; printable ASCII without blanks.
pub const IDEMPOTENCY_KEY_MAX: usize = 64;
/// How far the time of a signed request may lie from the node's, either way.
pub const OFFICER_TIME_WINDOW_MS: u64 = 2 * 60 * 1_000;

/// What the headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficerHeaders {
    /// Who asks.
    pub officer: OfficerNumber,
    /// When it was signed.
    pub time: UnixMillis,
    /// Fresh value of the caller.
    pub idempotency_key: String,
    /// Over [`OfficerRequest`].
    pub signature: Signature,
}

/// Why headers do not name an officer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OfficerHeadersError {
    /// None of the headers is there: the request is not an officer's.
    #[error("not signed by an officer")]
    Absent,
    /// Some are missing, or one cannot be read.
    #[error("header {0} is missing or malformed")]
    Malformed(&'static str),
}

impl OfficerHeaders {
    /// Signs a request.
    #[must_use]
    pub fn sign(request: &OfficerRequest, key: &SigningKey) -> Self {
        Self {
            officer: request.officer,
            time: request.time,
            idempotency_key: request.idempotency_key.clone(),
            signature: request.sign(key),
        }
    }

    /// Names and values.
    #[must_use]
    pub fn to_headers(&self) -> [(&'static str, String); 4] {
        [
            (OFFICER_HEADER, self.officer.0.to_string()),
            (OFFICER_TIME_HEADER, self.time.0.to_string()),
            (IDEMPOTENCY_KEY_HEADER, self.idempotency_key.clone()),
            (OFFICER_SIGNATURE_HEADER, Base64::encode_string(&self.signature.0)),
        ]
    }

    /// Reads the headers; `value` looks one up by name.
    ///
    /// # Errors
    /// [`OfficerHeadersError`].
    pub fn read<'a>(value: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, OfficerHeadersError> {
        let (officer, signature) = (value(OFFICER_HEADER), value(OFFICER_SIGNATURE_HEADER));
        if officer.is_none() && signature.is_none() {
            return Err(OfficerHeadersError::Absent);
        }
        let officer = officer.and_then(decimal).ok_or(OfficerHeadersError::Malformed(OFFICER_HEADER))?;
        let time = value(OFFICER_TIME_HEADER).and_then(decimal);
        let key = value(IDEMPOTENCY_KEY_HEADER).filter(|key| valid_idempotency_key(key));
        let signature =
            signature.and_then(|text| Base64::decode_vec(text).ok()).and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            officer: OfficerNumber(officer),
            time: UnixMillis(time.ok_or(OfficerHeadersError::Malformed(OFFICER_TIME_HEADER))?),
            idempotency_key: key.ok_or(OfficerHeadersError::Malformed(IDEMPOTENCY_KEY_HEADER))?.to_owned(),
            signature: Signature(signature.ok_or(OfficerHeadersError::Malformed(OFFICER_SIGNATURE_HEADER))?),
        })
    }

    /// The request that the headers claim to sign, built from what was received.
    #[must_use]
    pub fn request(&self, received: Received<'_>) -> OfficerRequest {
        OfficerRequest {
            network: received.network,
            participant: received.participant,
            officer: self.officer,
            method: received.method.to_owned(),
            path: received.path.to_owned(),
            idempotency_key: self.idempotency_key.clone(),
            time: self.time,
            body_sha256: received.body_sha256,
        }
    }

    /// Verifies the signature over what was received. Account, window and freshness are the caller's to check.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, received: Received<'_>, key: &VerifyingKey) -> Result<(), BadSignature> {
        self.request(received).verify(key, &self.signature)
    }

    /// Whether the time lies within the window around `now`.
    #[must_use]
    pub fn in_time(&self, now: UnixMillis) -> bool {
        self.time.0.abs_diff(now.0) <= OFFICER_TIME_WINDOW_MS
    }
}

/// What a daemon received: the parts of a request that a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The daemon's network.
    pub network: NetworkId,
    /// The daemon's participant.
    pub participant: ParticipantId,
    /// Method, upper case.
    pub method: &'a str,
    /// Path with its query, as received.
    pub path: &'a str,
    /// SHA-256 of the body; for a streamed body the value of [`BODY_SHA256_HEADER`], which is compared when it ends.
    pub body_sha256: Digest,
}

/// Whether a text may be an idempotency key: 1 to [`IDEMPOTENCY_KEY_MAX`] printable ASCII characters, no blanks.
#[must_use]
pub fn valid_idempotency_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_MAX && key.bytes().all(|b| b.is_ascii_graphic())
}

fn decimal<T: core::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

names! {
    /// What an officer may do.
    OfficerRole {
        /// Drafts, reads, assigns, contributes.
        Drafter = "drafter",
        /// Approves and rejects.
        Releaser = "releaser",
        /// Sets and lifts holds, enters and disables officers, pins directory entries.
        Supervisor = "supervisor",
    }
}

impl From<ncp_protocol::event::Role> for OfficerRole {
    fn from(role: ncp_protocol::event::Role) -> Self {
        use ncp_protocol::event::Role;
        match role {
            Role::Drafter => Self::Drafter,
            Role::Releaser => Self::Releaser,
            Role::Supervisor => Self::Supervisor,
        }
    }
}

impl From<OfficerRole> for ncp_protocol::event::Role {
    fn from(role: OfficerRole) -> Self {
        match role {
            OfficerRole::Drafter => Self::Drafter,
            OfficerRole::Releaser => Self::Releaser,
            OfficerRole::Supervisor => Self::Supervisor,
        }
    }
}

/// One officer of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Officer {
    /// The number that events name.
    pub number: u16,
    /// A name from the local table of the node's configuration; never in the journal.
    #[serde(default)]
    pub name: Option<String>,
    /// The Unix account.
    pub uid: u32,
    /// The public key.
    #[serde(with = "crate::text::public_key")]
    pub key: VerifyingKey,
    /// What the officer may do.
    pub roles: Vec<OfficerRole>,
    /// When the officer was entered.
    #[serde(with = "crate::time")]
    pub since: UnixMillis,
    /// When the officer was disabled.
    #[serde(with = "crate::time::option", default)]
    pub disabled: Option<UnixMillis>,
}

/// `GET /v1/officers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Officers {
    /// All officers, by number.
    pub officers: Vec<Officer>,
    /// Changes that wait for a second supervisor, by id.
    #[serde(default)]
    pub proposals: BTreeMap<String, OfficerProposal>,
}

/// A change of the officer table that one supervisor signed and another has to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficerProposal {
    /// Who would be entered.
    pub officer: NewOfficer,
    /// Which supervisor proposed it.
    pub by: u16,
    /// When.
    #[serde(with = "crate::time")]
    pub time: UnixMillis,
}

/// `POST /v1/officers`: proposes an officer; when a second supervisor sends the same, the officer is entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOfficer {
    /// A number that was never given.
    pub number: u16,
    /// The Unix account.
    pub uid: u32,
    /// The public key.
    #[serde(with = "crate::text::public_key")]
    pub key: VerifyingKey,
    /// What the officer may do; at least one, sorted, each once.
    pub roles: Vec<OfficerRole>,
}

/// Answer to `POST /v1/officers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficerAdded {
    /// Whether the officer is entered; otherwise a second supervisor has to send the same.
    pub entered: bool,
    /// How many more supervisors have to agree.
    pub needed: u8,
}

/// `POST /v1/officers/{n}:disable`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisableOfficer {
    /// Why, as a code.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(body: &[u8]) -> Received<'_> {
        Received {
            network: NetworkId(Digest([7; 32])),
            participant: "XA".parse().expect("id"),
            method: "POST",
            path: "/v1/messages?dry=1",
            body_sha256: ncp_protocol::keys::sha256(body),
        }
    }

    fn signed(key: &SigningKey) -> OfficerHeaders {
        let unsigned = OfficerHeaders {
            officer: OfficerNumber(12),
            time: UnixMillis(1_000_000),
            idempotency_key: "k-1".to_owned(),
            signature: Signature([0; 64]),
        };
        OfficerHeaders::sign(&unsigned.request(received(b"body")), key)
    }

    fn look(headers: &OfficerHeaders) -> BTreeMap<&'static str, String> {
        headers.to_headers().into_iter().collect()
    }

    #[test]
    fn headers_read_back_and_verify() {
        let key = SigningKey::from_seed(&[3; 32]);
        let headers = signed(&key);
        let map = look(&headers);
        let read = OfficerHeaders::read(|name| map.get(name).map(String::as_str)).expect("reads");
        assert_eq!(read, headers);
        assert_eq!(read.verify(received(b"body"), &key.verifying_key()), Ok(()));
        assert!(read.verify(received(b"other"), &key.verifying_key()).is_err());
        assert!(read.verify(Received { method: "PATCH", ..received(b"body") }, &key.verifying_key()).is_err());
        assert!(read.verify(Received { path: "/v1/messages", ..received(b"body") }, &key.verifying_key()).is_err());
        assert!(read.verify(received(b"body"), &SigningKey::from_seed(&[4; 32]).verifying_key()).is_err());
    }

    #[test]
    fn missing_headers_are_told_apart_from_malformed_ones() {
        assert_eq!(OfficerHeaders::read(|_| None), Err(OfficerHeadersError::Absent));
        let headers = signed(&SigningKey::from_seed(&[3; 32]));
        for name in [OFFICER_HEADER, OFFICER_TIME_HEADER, IDEMPOTENCY_KEY_HEADER, OFFICER_SIGNATURE_HEADER] {
            let mut map = look(&headers);
            map.insert(name, "+ä".to_owned());
            let read = OfficerHeaders::read(|name| map.get(name).map(String::as_str));
            assert_eq!(read, Err(OfficerHeadersError::Malformed(name)));
        }
    }

    #[test]
    fn window_is_two_minutes_either_way() {
        let headers = signed(&SigningKey::from_seed(&[3; 32]));
        assert!(headers.in_time(UnixMillis(1_000_000 + OFFICER_TIME_WINDOW_MS)));
        assert!(headers.in_time(UnixMillis(1_000_000 - OFFICER_TIME_WINDOW_MS)));
        assert!(!headers.in_time(UnixMillis(1_000_001 + OFFICER_TIME_WINDOW_MS)));
    }
}
