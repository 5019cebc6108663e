//! What an officer signs: the approval of one message as it was shown, and each request to the local API.
//!
//! An [`ApprovalView`] is exactly what `release show` put before one officer. The short code that was shown with it is a
//! MAC of the node over those bytes: whoever types it has seen this view, not an earlier one. Code and decision enter
//! the statement that the officer's own key signs; the node never holds that key.

#[cfg(test)]
mod tests;

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::codec::{DecodeError, Prefix, encode};
use crate::codes::Precedence;
use crate::ids::{Digest, MessageId, NetworkId, OfficerNumber, ParticipantId, UnixMillis};
use crate::keys::{BadSignature, Purpose, Signature, SigningKey, VerifyingKey};
use crate::limits::{APPROVAL_MAX, RECIPIENTS_MAX};
use crate::manifest::sorted_and_unique;
use crate::symmetric::hmac_sha256;

/// The prefix of an encoded approval statement.
pub const APPROVAL_PREFIX: Prefix = Prefix::new(b'A', 1);
/// The prefix of an encoded officer request.
pub const OFFICER_REQUEST_PREFIX: Prefix = Prefix::new(b'Q', 1);

/// Length of an [`ApprovalCode`] in characters.
pub const APPROVAL_CODE_LEN: usize = 4;

/// What one officer was shown of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalView {
    /// The network.
    pub network: NetworkId,
    /// Whose node showed it.
    pub participant: ParticipantId,
    /// The message.
    pub message: MessageId,
    /// Its content commitment.
    pub commitment: Digest,
    /// To whom it goes: sorted, unique, 1 to 80.
    pub recipients: Vec<ParticipantId>,
    /// Order of service.
    pub precedence: Precedence,
    /// When it expires.
    pub not_after: UnixMillis,
    /// Who was shown it.
    pub officer: OfficerNumber,
}

/// What the officer decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// The message may leave.
    Approve,
    /// It may not.
    Reject,
}

/// What an officer signs about one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalStatement {
    /// What was shown.
    pub view: ApprovalView,
    /// What was decided.
    pub decision: Decision,
    /// The short code that was shown with it.
    pub code: ApprovalCode,
}

/// Why bytes are not an approval statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ApprovalError {
    /// The bytes do not decode.
    #[error("approval: {0}")]
    Decode(#[from] DecodeError),
    /// No recipient, too many, or not sorted and unique.
    #[error("recipients not allowed")]
    Recipients,
}

impl ApprovalView {
    /// The canonical bytes that the short code covers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl ApprovalStatement {
    /// The canonical bytes, with their prefix: what is signed and stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        APPROVAL_PREFIX.encode(self)
    }

    /// Reads and checks a statement.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ApprovalError> {
        let statement: Self = APPROVAL_PREFIX.decode(bytes, APPROVAL_MAX)?;
        let recipients = &statement.view.recipients;
        if !(1..=RECIPIENTS_MAX).contains(&recipients.len()) || !sorted_and_unique(recipients) {
            return Err(ApprovalError::Recipients);
        }
        Ok(statement)
    }

    /// The officer's signature.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(Purpose::Approval, &self.view.network, &self.encode())
    }

    /// Verifies the officer's signature. Whether the view is the one to approve, and the code the node's, is for the
    /// caller, who holds both.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, key: &VerifyingKey, signature: &Signature) -> Result<(), BadSignature> {
        key.verify(Purpose::Approval, &self.view.network, &self.encode(), signature)
    }
}

/// Four characters of Crockford's base 32 (`0-9`, `A-Z` without I, L, O, U): 20 bits. Enough to show that this view was
/// read; the signature is what carries authority.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct ApprovalCode([u8; APPROVAL_CODE_LEN]);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Not four characters of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a code of four characters")]
pub struct ApprovalCodeError;

/// The short code for one view: the first 20 bits of HMAC-SHA-256 under a secret of the node. The view begins with the
/// network, which thereby stands behind the label as behind every other.
#[must_use]
pub fn approval_code(secret: &[u8; 32], view_bytes: &[u8]) -> ApprovalCode {
    let Digest(mac) = hmac_sha256(secret, &[b"ncp/v1/approval-code\0", view_bytes]);
    let [first, second, third, ..] = mac;
    let bits = u32::from_be_bytes([0, first, second, third]) >> 4;
    // The mask keeps every index below 32.
    ApprovalCode([15, 10, 5, 0].map(|shift| ALPHABET[(bits >> shift) as usize & 31]))
}

impl ApprovalCode {
    /// The four characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Both constructors admit ASCII alone, so the fallback is never taken.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for ApprovalCode {
    type Err = ApprovalCodeError;

    /// Reads a code as people type it: either case, `O` for 0, `I` and `L` for 1.
    fn from_str(text: &str) -> Result<Self, ApprovalCodeError> {
        let typed: [u8; APPROVAL_CODE_LEN] = text.as_bytes().try_into().map_err(|_| ApprovalCodeError)?;
        let code = typed.map(|byte| match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        });
        if code.iter().all(|byte| ALPHABET.contains(byte)) { Ok(Self(code)) } else { Err(ApprovalCodeError) }
    }
}

impl<'de> Deserialize<'de> for ApprovalCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <[u8; APPROVAL_CODE_LEN]>::deserialize(deserializer)?;
        let known = code.iter().all(|byte| ALPHABET.contains(byte));
        if known { Ok(Self(code)) } else { Err(serde::de::Error::custom(ApprovalCodeError)) }
    }
}

impl fmt::Display for ApprovalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ApprovalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request to the local API as an officer signs it. The node builds it again from what it received, so it is never
/// decoded; its limits are those of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfficerRequest {
    /// The network.
    pub network: NetworkId,
    /// Whose node is asked.
    pub participant: ParticipantId,
    /// Who asks.
    pub officer: OfficerNumber,
    /// Method, upper case.
    pub method: String,
    /// Path with its query, as sent.
    pub path: String,
    /// The idempotency key, empty if there is none.
    pub idempotency_key: String,
    /// When it was signed.
    pub time: UnixMillis,
    /// SHA-256 of the body, of the empty string if there is none.
    pub body_sha256: Digest,
}

impl OfficerRequest {
    /// The canonical bytes, with their prefix: what is signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        OFFICER_REQUEST_PREFIX.encode(self)
    }

    /// The officer's signature.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(Purpose::OfficerRequest, &self.network, &self.encode())
    }

    /// Verifies the officer's signature. How old `time` may be, and that no key repeats, is for the caller.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, key: &VerifyingKey, signature: &Signature) -> Result<(), BadSignature> {
        key.verify(Purpose::OfficerRequest, &self.network, &self.encode(), signature)
    }
}
