//! Roles, and statements that a threshold of a role's keys must sign.
//!
//! Every key counts once. A signature by a key outside the role is passed over, since a new root of trust carries
//! signatures of the old role and the new; a bad signature by a key of the role refuses the whole statement. Statements
//! are verified as the bytes that arrived.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{DecodeError, Prefix};
use crate::ids::{Digest, KeyId, NetworkId};
use crate::keys::{Purpose, Signature, SigningKey, VerifyingKey, sha256};
use crate::limits::{ROLE_KEYS_MAX, STATEMENT_SIGNATURES_MAX};

/// The keys that speak for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// How many keys must sign, from 1.
    pub threshold: u16,
    /// The keys, sorted by their bytes, each once.
    pub keys: Vec<VerifyingKey>,
}

/// Why a role cannot stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RoleFault {
    /// The threshold is 0 or larger than the number of keys.
    #[error("the threshold cannot be met or asks for nothing")]
    Threshold,
    /// More than [`ROLE_KEYS_MAX`] keys.
    #[error("too many keys")]
    TooManyKeys,
    /// The keys are not sorted, or one stands twice.
    #[error("keys not sorted or not distinct")]
    Order,
}

/// Why signatures do not carry a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuorumError {
    /// One key signed twice.
    #[error("one key is named twice")]
    KeyTwice,
    /// A signature by a key of the role does not verify.
    #[error("a signature does not verify")]
    BadSignature,
    /// Fewer keys signed than the role asks for.
    #[error("{valid} of {needed} signatures")]
    BelowThreshold {
        /// How many of the role's keys signed.
        valid: usize,
        /// How many must.
        needed: usize,
    },
}

impl Role {
    /// A role of these keys; their order does not matter.
    #[must_use]
    pub fn new(threshold: u16, mut keys: Vec<VerifyingKey>) -> Self {
        keys.sort_by_key(VerifyingKey::to_bytes);
        Self { threshold, keys }
    }

    /// Whether the role can stand.
    ///
    /// # Errors
    /// [`RoleFault`].
    pub fn check(&self) -> Result<(), RoleFault> {
        if self.keys.len() > ROLE_KEYS_MAX {
            return Err(RoleFault::TooManyKeys);
        }
        if !self.keys.is_sorted_by(|a, b| a.to_bytes() < b.to_bytes()) {
            return Err(RoleFault::Order);
        }
        if self.threshold == 0 || usize::from(self.threshold) > self.keys.len() {
            return Err(RoleFault::Threshold);
        }
        Ok(())
    }

    fn verify(
        &self,
        purpose: Purpose,
        network: &NetworkId,
        bytes: &[u8],
        signatures: &[RoleSignature],
    ) -> Result<(), QuorumError> {
        let mut seen = std::collections::BTreeSet::new();
        let mut valid = 0;
        for RoleSignature { key: id, signature } in signatures {
            if !seen.insert(*id) {
                return Err(QuorumError::KeyTwice);
            }
            if let Some(key) = self.keys.iter().find(|key| key.id() == *id) {
                key.verify(purpose, network, bytes, signature).map_err(|_| QuorumError::BadSignature)?;
                valid += 1;
            }
        }
        let needed = usize::from(self.threshold);
        if valid < needed { Err(QuorumError::BelowThreshold { valid, needed }) } else { Ok(()) }
    }
}

/// One key's signature over a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSignature {
    /// Whose.
    pub key: KeyId,
    /// Over the statement's bytes, under its purpose.
    pub signature: Signature,
}

/// What a role can state.
pub trait Statement: Serialize + DeserializeOwned {
    /// Why a statement of this type cannot stand, whoever signs it.
    type Fault;
    /// Before the statement alone.
    const PREFIX: Prefix;
    /// Before the statement with its signatures.
    const SIGNED_PREFIX: Prefix;
    /// What its signatures are for.
    const PURPOSE: Purpose;
    /// Longest encoding with signatures.
    const LIMIT: usize;

    /// Whether the statement agrees with itself and its limits.
    ///
    /// # Errors
    /// Its fault.
    fn check(&self) -> Result<(), Self::Fault>;

    /// The bytes that are signed.
    fn encode(&self) -> Vec<u8> {
        Self::PREFIX.encode(self)
    }
}

/// Why bytes are not a signed statement. Says nothing about the signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StatementError<F> {
    /// The bytes do not decode.
    #[error("statement: {0}")]
    Decode(#[from] DecodeError),
    /// More than [`STATEMENT_SIGNATURES_MAX`] signatures.
    #[error("too many signatures")]
    TooManySignatures,
    /// The statement contradicts itself or its limits.
    #[error("statement: {0}")]
    Fault(F),
}

/// A statement with signatures, as it arrived: what it says is not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<S> {
    statement: S,
    bytes: Vec<u8>,
    signatures: Vec<RoleSignature>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    signatures: Vec<RoleSignature>,
}

impl<S: Statement> Signed<S> {
    /// Signs `statement` with each of `keys`. Signatures made elsewhere are added with [`Signed::with_signature`].
    ///
    /// # Errors
    /// The statement's fault.
    pub fn sign(statement: S, network: &NetworkId, keys: &[&SigningKey]) -> Result<Self, S::Fault> {
        statement.check()?;
        let bytes = statement.encode();
        let sign = |key: &&SigningKey| RoleSignature {
            key: key.verifying_key().id(),
            signature: key.sign(S::PURPOSE, network, &bytes),
        };
        let signatures = keys.iter().map(sign).collect();
        Ok(Self { statement, bytes, signatures })
    }

    /// The same statement with one more signature.
    #[must_use]
    pub fn with_signature(mut self, signature: RoleSignature) -> Self {
        self.signatures.push(signature);
        self
    }

    /// Reads a statement and its signatures, and checks neither signature.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError<S::Fault>> {
        let Wire { bytes, signatures } = S::SIGNED_PREFIX.decode(bytes, S::LIMIT)?;
        if signatures.len() > STATEMENT_SIGNATURES_MAX {
            return Err(StatementError::TooManySignatures);
        }
        let statement: S = S::PREFIX.decode(&bytes, S::LIMIT)?;
        statement.check().map_err(StatementError::Fault)?;
        Ok(Self { statement, bytes, signatures })
    }

    /// Statement and signatures, as [`Signed::decode`] reads them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        S::SIGNED_PREFIX.encode(&Wire { bytes: self.bytes.clone(), signatures: self.signatures.clone() })
    }

    /// What it says, before any signature was looked at.
    #[must_use]
    pub fn unverified(&self) -> &S {
        &self.statement
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes that are signed: the same whoever signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(&self.bytes)
    }

    /// Its signatures.
    #[must_use]
    pub fn signatures(&self) -> &[RoleSignature] {
        &self.signatures
    }

    /// What it says, if enough keys of `role` signed it for `network`.
    ///
    /// # Errors
    /// [`QuorumError`].
    pub fn verify(&self, role: &Role, network: &NetworkId) -> Result<&S, QuorumError> {
        role.verify(S::PURPOSE, network, &self.bytes, &self.signatures)?;
        Ok(&self.statement)
    }
}
