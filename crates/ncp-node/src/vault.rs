//! Content at rest: records sealed under keys derived from the node's storage key, so that nothing of a draft, title,
//! contribution or attachment lies in the data folder in the clear.
//!
//! A sealed record is a 12-byte nonce and the ChaCha20-Poly1305 ciphertext; the associated data is a label and the name of
//! the record, so that no record stands for another. Nonces are random: the chance that two of 2^32 records meet is below
//! 2^-32, and what one would learn then is the difference of two records. Losing the storage key loses all content.

use core::fmt;

use ncp_protocol::approval::{ApprovalCode, approval_code};
use ncp_protocol::body::ContentKey;
use ncp_protocol::codec::{self, Prefix};
use ncp_protocol::ids::{Digest, MessageId};
use ncp_protocol::limits::MANIFEST_MAX;
use ncp_protocol::symmetric::{AEAD_NONCE_LEN, Aead, hkdf_sha256, hmac_sha256};
use ncp_store::spool::{Record, RecordName};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::clock::random;

/// Longest plaintext of a sealed record.
pub const SEALED_PLAIN_MAX: usize = 112 << 10;

const CONTENT: Prefix = Prefix::new(b'C', 1);
const LABEL: &[u8] = b"ncp/v1/storage-record\0";

/// Why a sealed record does not open: damage, another storage key, or a record under another's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a sealed record does not open")]
pub struct Unopened;

/// Keys for content at rest. Wipes itself.
pub struct Vault {
    records: Aead,
    codes: Zeroizing<[u8; 32]>,
    blobs: Zeroizing<[u8; 32]>,
    requests: Zeroizing<[u8; 32]>,
}

impl Vault {
    /// The vault of a storage key.
    #[must_use]
    pub fn new(storage_key: &[u8; 32]) -> Self {
        let derived = |purpose: &[u8]| hkdf_sha256::<32>(b"ncp/v1/storage", storage_key, purpose);
        Self {
            records: Aead::new(&derived(b"records")),
            codes: derived(b"approval-codes"),
            blobs: derived(b"blobs"),
            requests: derived(b"requests"),
        }
    }

    /// Seals `plain` as the record `name`.
    #[must_use]
    pub fn seal(&self, name: RecordName, plain: &[u8]) -> Record {
        self.seal_under(random(), name, plain)
    }

    /// Seals `plain` as the record `name` under a fresh random nonce.
    fn seal_under(&self, nonce: [u8; AEAD_NONCE_LEN], name: RecordName, plain: &[u8]) -> Record {
        // With room for the tag, so that sealing in place leaves no copy of the plaintext behind.
        let mut sealed = Vec::with_capacity(plain.len() + 64);
        sealed.extend_from_slice(plain);
        self.records.seal(nonce, &associated(&name), &mut sealed);
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        Record { name, bytes }
    }

    /// Opens the record `name`.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn open(&self, name: &RecordName, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (nonce, sealed) = bytes.split_first_chunk::<AEAD_NONCE_LEN>().ok_or(Unopened)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        self.records.open(*nonce, &associated(name), &mut plain).map_err(|_| Unopened)?;
        Ok(plain)
    }

    /// Seals a message's content.
    #[must_use]
    pub fn seal_content(&self, name: RecordName, content: &StoredContent) -> Record {
        self.seal_content_under(random(), name, content)
    }

    /// Seals a message's content under a nonce that is random and was never used.
    #[must_use]
    pub fn seal_content_under(&self, nonce: [u8; AEAD_NONCE_LEN], name: RecordName, content: &StoredContent) -> Record {
        self.seal_under(nonce, name, &Zeroizing::new(CONTENT.encode(content)))
    }

    /// Opens a message's content.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn open_content(&self, name: &RecordName, bytes: &[u8]) -> Result<StoredContent, Unopened> {
        CONTENT.decode(&self.open(name, bytes)?, SEALED_PLAIN_MAX).map_err(|_| Unopened)
    }

    /// The short code for what one officer was shown.
    #[must_use]
    pub fn approval_code(&self, view_bytes: &[u8]) -> ApprovalCode {
        approval_code(&self.codes, view_bytes)
    }

    /// A value by which a request is known again, and which says nothing about it to whoever lacks the storage key. The
    /// length of each piece enters, so that pieces cannot be shifted.
    #[must_use]
    pub fn request_mac(&self, pieces: &[&[u8]]) -> Digest {
        let lengths: Vec<u8> = pieces.iter().flat_map(|piece| (piece.len() as u64).to_le_bytes()).collect();
        let all: Vec<&[u8]> = core::iter::once(lengths.as_slice()).chain(pieces.iter().copied()).collect();
        hmac_sha256(&*self.requests, &all)
    }

    /// The content key of an upload: it follows from the upload's random id, so no record has to hold it.
    #[must_use]
    pub fn blob_key(&self, blob: MessageId) -> ContentKey {
        ContentKey::from_bytes(&hkdf_sha256::<32>(&blob.0, &*self.blobs, b"ncp/v1/blob"))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

fn associated(name: &RecordName) -> Vec<u8> {
    let mut bytes = LABEL.to_vec();
    bytes.extend_from_slice(&codec::encode(name));
    bytes
}

/// What is kept of a message's content beside its sealed body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredContent {
    /// Opens the body.
    pub cek: ContentKey,
    /// Opens the commitment.
    pub r: [u8; 32],
    /// The encoded manifest, as committed to.
    pub manifest: Vec<u8>,
    /// The caller's own number; never leaves the node.
    pub national_ref: Option<String>,
    /// For a composed answer: part number, from 1, and the task whose contribution it is.
    pub tasks: Vec<(u16, u16)>,
}

impl StoredContent {
    /// The content of a message that arrived.
    #[must_use]
    pub fn received(cek: ContentKey, r: [u8; 32], manifest: Vec<u8>) -> Self {
        Self { cek, r, manifest, national_ref: None, tasks: Vec::new() }
    }
}

impl Drop for StoredContent {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.r);
        zeroize::Zeroize::zeroize(&mut self.manifest);
    }
}

impl fmt::Debug for StoredContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredContent")
    }
}

const _: () = assert!(SEALED_PLAIN_MAX > MANIFEST_MAX + (8 << 10), "a record holds the largest manifest");
const _: () = assert!(ncp_store::limits::RECORD_MAX > SEALED_PLAIN_MAX + 64, "a sealed record fits the spool");

#[cfg(test)]
mod tests {
    use ncp_store::spool::RecordKind;

    use super::*;

    fn name(byte: u8) -> RecordName {
        RecordName { kind: RecordKind::Content, id: Digest([byte; 32]) }
    }

    #[test]
    fn a_record_opens_under_its_own_name_and_key_alone() {
        let vault = Vault::new(&[1; 32]);
        let record = vault.seal(name(1), b"subject line");
        assert_eq!(vault.open(&record.name, &record.bytes).as_deref().map(Vec::as_slice), Ok(&b"subject line"[..]));
        assert_eq!(vault.open(&name(2), &record.bytes), Err(Unopened));
        assert_eq!(Vault::new(&[2; 32]).open(&record.name, &record.bytes), Err(Unopened));
        assert!(!record.bytes.windows(7).any(|window| window == b"subject"));
    }

    #[test]
    fn the_same_plaintext_never_looks_the_same() {
        let vault = Vault::new(&[1; 32]);
        assert_ne!(vault.seal(name(1), b"x").bytes, vault.seal(name(1), b"x").bytes);
    }

    #[test]
    fn a_request_is_known_by_its_pieces() {
        let vault = Vault::new(&[1; 32]);
        assert_eq!(vault.request_mac(&[b"ab", b"c"]), vault.request_mac(&[b"ab", b"c"]));
        assert_ne!(vault.request_mac(&[b"ab", b"c"]), vault.request_mac(&[b"a", b"bc"]));
        assert_ne!(vault.request_mac(&[b"ab"]), Vault::new(&[2; 32]).request_mac(&[b"ab"]));
    }

    #[test]
    fn content_reads_back() {
        let vault = Vault::new(&[1; 32]);
        let content = StoredContent {
            cek: ContentKey::from_bytes(&[3; 32]),
            r: [4; 32],
            manifest: b"manifest".to_vec(),
            national_ref: Some("AZ 7".to_owned()),
            tasks: vec![(2, 1)],
        };
        let record = vault.seal_content(name(1), &content);
        assert_eq!(vault.open_content(&record.name, &record.bytes), Ok(content));
        assert_eq!(vault.open_content(&record.name, b"short"), Err(Unopened));
    }
}
