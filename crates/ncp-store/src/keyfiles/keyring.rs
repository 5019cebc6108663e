//! Key files under a passphrase.
//!
//! A data folder whose keys are protected has the file `keys/passphrase`; it holds what derives one key from the passphrase
//! and what tells whether it is the right one, and no passphrase. Every key file made in such a folder is sealed under that
//! key. 52 bytes: the 8-byte prefix of kind `K`, version 3, then in canonical encoding the cost of Argon2id (RFC 9106:
//! memory in KiB, passes, lanes, u32 each), the 16-byte salt, and a 16-byte tag over nothing, with the part before it as
//! associated data. A sealed key file: the prefix of kind `K`, version 2, the purpose (u32), a random nonce (12), then the
//! content under ChaCha20-Poly1305 with its tag; prefix and purpose are associated data. Zero is the nonce of the tag alone.

use std::fmt;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use ncp_protocol::codec::{PREFIX_LEN, Prefix};
use ncp_protocol::symmetric::{AEAD_NONCE_LEN, Aead};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KEY_FILE_LEN, KeyFileError, KeyUse, PREFIX, Seed, create_private, read_private};

const SEALED: Prefix = Prefix::new(b'K', 2);
const PASSPHRASE: Prefix = Prefix::new(b'K', 3);

/// What a protected data folder has beside its keys.
pub const PASSPHRASE_FILE: &str = "keys/passphrase";
/// Purpose and prefix: what stands before the nonce of a sealed file.
const HEAD_LEN: usize = PREFIX_LEN + 4;
const PASSPHRASE_FILE_LEN: usize = PREFIX_LEN + 12 + SALT_LEN + TAG_LEN;
const SALT_LEN: usize = 16;
const TAG_LEN: usize = 16;

/// What deriving a key costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// RFC 9106, section 4, second recommended option: 64 MiB, 3 passes; one lane, as one thread computes it.
    pub const USUAL: Self = Self { memory: 64 << 10, passes: 3, lanes: 1 };

    /// Whether a file may ask for it: a changed one must not exhaust the machine.
    #[must_use]
    pub fn is_bounded(self) -> bool {
        self.memory <= 1 << 20 && self.passes <= 64 && self.lanes <= 16
    }
}

/// Argon2id of a passphrase; `None` if the library does not take the cost.
#[must_use]
pub fn derive(passphrase: &str, cost: Cost, salt: &[u8; SALT_LEN]) -> Option<Zeroizing<[u8; 32]>> {
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).ok().filter(|_| cost.is_bounded())?;
    let mut key = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(passphrase.as_bytes(), salt, key.as_mut()).ok()?;
    Some(key)
}

/// What opens the key files of one data folder, and seals new ones, if they are protected.
#[derive(Clone, Default)]
pub struct Keyring(Option<std::sync::Arc<Aead>>);

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Keyring(protected)" } else { "Keyring(open)" })
    }
}

impl Keyring {
    /// For keys that lie unprotected.
    pub const OPEN: Self = Self(None);

    /// Whether the keys of a data folder are protected.
    #[must_use]
    pub fn is_protected(folder: &Path) -> bool {
        folder.join(PASSPHRASE_FILE).symlink_metadata().is_ok()
    }

    /// Protects a folder that has no keys yet: makes [`PASSPHRASE_FILE`].
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] if there is one.
    pub fn protect(folder: &Path, passphrase: &str, salt: [u8; SALT_LEN]) -> Result<Self, KeyFileError> {
        let path = folder.join(PASSPHRASE_FILE);
        let mut bytes = PASSPHRASE.encode(&(Cost::USUAL, salt));
        let aead = cipher(&path, passphrase, Cost::USUAL, &salt)?;
        let tag = tag(&aead, &bytes);
        bytes.extend_from_slice(&tag);
        create_private(&path, &bytes)?;
        Ok(Self(Some(aead)))
    }

    /// What opens the keys of a folder.
    ///
    /// # Errors
    /// [`KeyFileError::Sealed`] if they are protected and there is no passphrase; [`KeyFileError::PassphraseWrong`].
    pub fn open(folder: &Path, passphrase: Option<&str>) -> Result<Self, KeyFileError> {
        let path = folder.join(PASSPHRASE_FILE);
        let bytes = match read_private(&path) {
            Err(KeyFileError::Missing(_)) => return Ok(Self::OPEN),
            found => found?,
        };
        let damaged = || KeyFileError::Damaged(path.clone());
        let (head, found) = bytes.split_last_chunk::<TAG_LEN>().ok_or_else(damaged)?;
        let (cost, salt): (Cost, [u8; SALT_LEN]) =
            PASSPHRASE.decode(head, PASSPHRASE_FILE_LEN).map_err(|_| damaged())?;
        let passphrase = passphrase.ok_or_else(|| KeyFileError::Sealed(path.clone()))?;
        let aead = cipher(&path, passphrase, cost, &salt)?;
        let mut sealed = found.to_vec();
        match aead.open([0; AEAD_NONCE_LEN], head, &mut sealed) {
            Ok(()) => Ok(Self(Some(aead))),
            Err(_) => Err(KeyFileError::PassphraseWrong(path)),
        }
    }

    /// Reads the seed of a key.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read_key(&self, path: &Path, key: KeyUse) -> Result<Seed, KeyFileError> {
        let bytes = read_private(path)?;
        let damaged = || KeyFileError::Damaged(path.to_owned());
        if bytes.starts_with(&SEALED.to_bytes()) {
            let seed = self.unseal(path, key, &bytes)?;
            return seed.as_slice().try_into().map(Zeroizing::new).map_err(|_| damaged());
        }
        let (found, seed): (KeyUse, [u8; 32]) = PREFIX.decode(&bytes, KEY_FILE_LEN).map_err(|_| damaged())?;
        let seed = Zeroizing::new(seed);
        if found == key { Ok(seed) } else { Err(damaged()) }
    }

    /// Makes the file of a key, synced. `nonce` is fresh randomness; an open keyring does not use it.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] if there is a file; it is not touched.
    pub fn create_key(
        &self,
        path: &Path,
        key: KeyUse,
        seed: &[u8; 32],
        nonce: [u8; AEAD_NONCE_LEN],
    ) -> Result<(), KeyFileError> {
        match &self.0 {
            Some(aead) => create_private(path, &seal(aead, key, seed, nonce)),
            None => create_private(path, &Zeroizing::new(PREFIX.encode(&(key, *seed)))),
        }
    }

    /// Reads the private key of the certificate, PEM.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read_tls(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let bytes = read_private(path)?;
        if bytes.starts_with(&SEALED.to_bytes()) { self.unseal(path, KeyUse::Tls, &bytes) } else { Ok(bytes) }
    }

    /// Makes the file of the private key of the certificate; `nonce` as for [`Keyring::create_key`].
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] if there is a file; it is not touched.
    pub fn create_tls(&self, path: &Path, pem: &[u8], nonce: [u8; AEAD_NONCE_LEN]) -> Result<(), KeyFileError> {
        match &self.0 {
            Some(aead) => create_private(path, &seal(aead, KeyUse::Tls, pem, nonce)),
            None => create_private(path, pem),
        }
    }

    fn unseal(&self, path: &Path, key: KeyUse, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let damaged = || KeyFileError::Damaged(path.to_owned());
        let aead = self.0.as_ref().ok_or_else(|| KeyFileError::Sealed(path.to_owned()))?;
        let (head, rest) = bytes.split_at_checked(HEAD_LEN).ok_or_else(damaged)?;
        let (nonce, sealed) = rest.split_first_chunk().ok_or_else(damaged)?;
        let found: KeyUse = SEALED.decode(head, HEAD_LEN).map_err(|_| damaged())?;
        let mut content = Zeroizing::new(sealed.to_vec());
        aead.open(*nonce, head, &mut content).map_err(|_| damaged())?;
        if found == key { Ok(content) } else { Err(damaged()) }
    }
}

fn cipher(
    path: &Path,
    passphrase: &str,
    cost: Cost,
    salt: &[u8; SALT_LEN],
) -> Result<std::sync::Arc<Aead>, KeyFileError> {
    let key = derive(passphrase, cost, salt).ok_or_else(|| KeyFileError::Damaged(path.to_owned()))?;
    Ok(std::sync::Arc::new(Aead::new(&key)))
}

/// Over nothing, under the nonce that no file has.
fn tag(aead: &Aead, head: &[u8]) -> Vec<u8> {
    let mut tag = Vec::new();
    aead.seal([0; AEAD_NONCE_LEN], head, &mut tag);
    tag
}

fn seal(aead: &Aead, key: KeyUse, content: &[u8], nonce: [u8; AEAD_NONCE_LEN]) -> Vec<u8> {
    let mut bytes = SEALED.encode(&key);
    // With room for the tag, so that no plaintext is left behind in a buffer that was too small.
    let mut sealed = Vec::with_capacity(content.len() + TAG_LEN);
    sealed.extend_from_slice(content);
    // A random nonce for each of a few files that are never written again.
    aead.seal(nonce, &bytes, &mut sealed);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyfiles::{KEYS, create_folder, create_key, read_key};

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        create_folder(&folder.path().join(KEYS)).unwrap();
        folder
    }

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_under_its_purpose_alone() {
        let folder = folder();
        let (path, tls) = (folder.path().join("keys/signing.key"), folder.path().join("keys/tls.key"));
        let made = Keyring::protect(folder.path(), "correct horse", [1; 16]).unwrap();
        made.create_key(&path, KeyUse::Signing, &[7; 32], [2; 12]).unwrap();
        made.create_tls(&tls, b"-----BEGIN", [3; 12]).unwrap();
        let opened = Keyring::open(folder.path(), Some("correct horse")).unwrap();
        assert_eq!(*opened.read_key(&path, KeyUse::Signing).unwrap(), [7; 32]);
        assert_eq!(opened.read_tls(&tls).unwrap().as_slice(), b"-----BEGIN");
        assert!(matches!(opened.read_key(&path, KeyUse::Identity), Err(KeyFileError::Damaged(_))));
        assert!(matches!(opened.read_key(&tls, KeyUse::Signing), Err(KeyFileError::Damaged(_))));
        assert!(matches!(read_key(&path, KeyUse::Signing), Err(KeyFileError::Sealed(_))));
        assert!(matches!(Keyring::open(folder.path(), Some("other")), Err(KeyFileError::PassphraseWrong(_))));
        assert!(matches!(Keyring::open(folder.path(), None), Err(KeyFileError::Sealed(_))));
        for file in [&path, &tls] {
            let bytes = std::fs::read(file).unwrap();
            assert!(!bytes.windows(8).any(|window| window == [7; 8] || window == b"-----BEG"), "{}", file.display());
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let folder = folder();
        let path = folder.path().join("keys/signing.key");
        let keyring = Keyring::protect(folder.path(), "correct horse", [1; 16]).unwrap();
        keyring.create_key(&path, KeyUse::Signing, &[7; 32], [2; 12]).unwrap();
        let good = std::fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(keyring.read_key(&path, KeyUse::Signing).is_err(), "byte {place}");
        }
        std::fs::write(&path, good.get(..good.len() - 1).unwrap()).unwrap();
        assert!(keyring.read_key(&path, KeyUse::Signing).is_err());
    }

    #[test]
    fn a_folder_without_passphrase_opens_with_and_without_one() {
        let folder = folder();
        let path = folder.path().join("keys/signing.key");
        create_key(&path, KeyUse::Signing, &[7; 32]).unwrap();
        for passphrase in [None, Some("any")] {
            let keyring = Keyring::open(folder.path(), passphrase).unwrap();
            assert_eq!(*keyring.read_key(&path, KeyUse::Signing).unwrap(), [7; 32]);
        }
    }

    #[test]
    fn a_file_that_asks_for_too_much_is_damaged() {
        let folder = folder();
        let mut bytes = PASSPHRASE.encode(&(Cost { memory: u32::MAX, ..Cost::USUAL }, [1_u8; 16]));
        bytes.extend_from_slice(&[0; 16]);
        create_private(&folder.path().join(PASSPHRASE_FILE), &bytes).unwrap();
        assert!(matches!(Keyring::open(folder.path(), Some("any")), Err(KeyFileError::Damaged(_))));
    }
}
