//! An officer's key file: an Ed25519 seed, sealed under a passphrase, mode 0600.
//!
//! Text of five lines, so that a person sees whose key it is:
//!
//! ```text
//! ncp-officer-key/1
//! officer 12
//! public <base64 of 32 bytes>
//! argon2id <memory KiB> <passes> <lanes> <base64 of the 16-byte salt>
//! sealed <base64 of the seed under ChaCha20-Poly1305, 48 bytes>
//! ```
//!
//! The key of the cipher is Argon2id (RFC 9106) of passphrase and salt; the salt is fresh for each file, so the nonce is
//! zero. The first four lines are associated data: a changed number or public key does not open. A key without
//! passphrase, made on purpose only, has the lines `unprotected` and `seed <base64>` instead. The file is never
//! overwritten. A lost passphrase cannot be recovered.

use std::path::Path;

use base64ct::{Base64, Encoding as _};
use ncp_api::ErrorCode;
use ncp_protocol::ids::OfficerNumber;
use ncp_protocol::keys::{SigningKey, VerifyingKey};
use ncp_protocol::symmetric::{AEAD_NONCE_LEN, Aead};
use ncp_store::keyfiles::keyring::{Cost, derive};
use ncp_store::keyfiles::{self, KeyFileError};
use zeroize::Zeroizing;

use crate::error::Error;

const HEAD: &str = "ncp-officer-key/1";
/// What messages call the file.
const WHAT: &str = "officer key";
const SALT_LEN: usize = 16;

/// A passphrase. Wipes itself.
pub(crate) type Passphrase = Zeroizing<String>;

/// An officer's key, open.
#[derive(Debug, Clone)]
pub(crate) struct OfficerKey {
    /// The officer's number at the node.
    pub(crate) officer: OfficerNumber,
    /// The private key.
    pub(crate) key: SigningKey,
}

/// How the file protects the seed.
#[derive(Debug)]
pub(crate) enum Protection<'a> {
    /// Under this passphrase, with this fresh salt.
    Passphrase(&'a Passphrase, [u8; SALT_LEN]),
    /// Not at all: whoever copies the file has the key.
    Unprotected,
}

/// Makes the file.
pub(crate) fn create(path: &Path, key: &OfficerKey, protection: &Protection<'_>) -> Result<(), Error> {
    let public = Base64::encode_string(&key.key.verifying_key().to_bytes());
    let head = format!("{HEAD}\nofficer {}\npublic {public}\n", key.officer.0);
    let text = Zeroizing::new(match protection {
        Protection::Unprotected => {
            format!("{head}unprotected\nseed {}\n", Base64::encode_string(key.key.seed().as_slice()))
        }
        Protection::Passphrase(passphrase, salt) => {
            let Cost { memory, passes, lanes } = Cost::USUAL;
            let head = format!("{head}argon2id {memory} {passes} {lanes} {}\n", Base64::encode_string(salt));
            let cipher = cipher(passphrase, Cost::USUAL, salt)
                .ok_or_else(|| ErrorCode::InternalFault.with("reason", "argon2"))?;
            let mut sealed = key.key.seed().to_vec();
            // One key seals once: the salt is fresh, and with it the key.
            cipher.seal([0; AEAD_NONCE_LEN], head.as_bytes(), &mut sealed);
            format!("{head}sealed {}\n", Base64::encode_string(&sealed))
        }
    });
    keyfiles::create_private(path, text.as_bytes()).map_err(|error| file_error(&error))
}

/// A file that was read but not opened.
pub(crate) struct SealedKey {
    officer: OfficerNumber,
    public: VerifyingKey,
    /// The lines that are associated data.
    head: String,
    body: Body,
}

enum Body {
    Sealed { cost: Cost, salt: [u8; SALT_LEN], sealed: Vec<u8> },
    Unprotected(Zeroizing<Vec<u8>>),
}

impl SealedKey {
    /// Reads a file, refusing one that others may read.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = keyfiles::read_private(path).map_err(|error| file_error(&error))?;
        let damaged = || Error::from(ErrorCode::KeyFileDamaged.with("what", WHAT).with("file", path.display()));
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        Self::parse(text).ok_or_else(damaged)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()? == HEAD).then_some(())?;
        let officer = OfficerNumber(lines.next()?.strip_prefix("officer ")?.parse().ok()?);
        let public = Base64::decode_vec(lines.next()?.strip_prefix("public ")?).ok()?;
        let public = VerifyingKey::from_bytes(&public.try_into().ok()?).ok()?;
        let (protection, secret) = (lines.next()?, lines.next()?);
        if lines.next().is_some() {
            return None;
        }
        let body = match protection.strip_prefix("argon2id ") {
            Some(parameters) => parse_sealed(parameters, secret)?,
            None if protection == "unprotected" => {
                Body::Unprotected(Zeroizing::new(Base64::decode_vec(secret.strip_prefix("seed ")?).ok()?))
            }
            None => return None,
        };
        let end = text.rfind(secret)?;
        Some(Self { officer, public, head: text.get(..end)?.to_owned(), body })
    }

    /// The officer that the file names.
    pub(crate) fn officer(&self) -> OfficerNumber {
        self.officer
    }

    /// The public half.
    pub(crate) fn public(&self) -> VerifyingKey {
        self.public
    }

    /// Whether a passphrase is needed.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.body, Body::Sealed { .. })
    }

    /// Opens it; the passphrase is ignored for an unprotected key.
    pub(crate) fn open(self, path: &Path, passphrase: &Passphrase) -> Result<OfficerKey, Error> {
        let (seed, code) = match &self.body {
            Body::Unprotected(seed) => (Some(seed.clone()), ErrorCode::KeyFileDamaged),
            Body::Sealed { cost, salt, sealed } => {
                let mut seed = Zeroizing::new(sealed.clone());
                let opened = cipher(passphrase, *cost, salt)
                    .is_some_and(|cipher| cipher.open([0; AEAD_NONCE_LEN], self.head.as_bytes(), &mut seed).is_ok());
                (opened.then_some(seed), ErrorCode::PassphraseWrong)
            }
        };
        let key = seed.and_then(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok().map(Zeroizing::new));
        let key = key.map(|seed| SigningKey::from_seed(&seed)).filter(|key| key.verifying_key() == self.public);
        let key = key.ok_or_else(|| code.with("what", WHAT).with("file", path.display()))?;
        Ok(OfficerKey { officer: self.officer, key })
    }
}

fn parse_sealed(parameters: &str, secret: &str) -> Option<Body> {
    let mut fields = parameters.split(' ');
    let mut number = || fields.next()?.parse::<u32>().ok();
    let cost = Cost { memory: number()?, passes: number()?, lanes: number()? };
    let salt = Base64::decode_vec(fields.next()?).ok()?.try_into().ok()?;
    let sealed = Base64::decode_vec(secret.strip_prefix("sealed ")?).ok()?;
    let whole = cost.is_bounded() && fields.next().is_none();
    whole.then_some(Body::Sealed { cost, salt, sealed })
}

fn cipher(passphrase: &Passphrase, cost: Cost, salt: &[u8; SALT_LEN]) -> Option<Aead> {
    derive(passphrase, cost, salt).map(|key| Aead::new(&key))
}

fn file_error(error: &KeyFileError) -> Error {
    let fault = match error {
        KeyFileError::Missing(path) => ErrorCode::OfficerKeyMissing.with("file", path.display()),
        KeyFileError::Exists(path) => ErrorCode::KeyFileExists.with("file", path.display()),
        KeyFileError::OpenToOthers { path, mode } => ErrorCode::KeyFileOpenToOthers
            .with("what", WHAT)
            .with("file", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
            .with("path", path.display())
            .with("mode", format_args!("{mode:04o}")),
        KeyFileError::ForeignOwner { path, .. } | KeyFileError::Io { path, .. } => {
            ErrorCode::FileUnusable.with("file", path.display()).with("reason", error)
        }
        // An officer's key is text; what is sealed as a daemon's keys are is none.
        KeyFileError::Damaged(path) | KeyFileError::Sealed(path) | KeyFileError::PassphraseWrong(path) => {
            ErrorCode::KeyFileDamaged.with("what", WHAT).with("file", path.display())
        }
    };
    fault.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    fn key() -> OfficerKey {
        OfficerKey { officer: OfficerNumber(12), key: SigningKey::from_seed(&[5; 32]) }
    }

    fn passphrase(text: &str) -> Passphrase {
        Zeroizing::new(text.to_owned())
    }

    fn made(protection: &Protection<'_>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("officer.key");
        create(&path, &key(), protection).expect("made");
        (folder, path)
    }

    fn open(path: &Path, text: &str) -> Result<OfficerKey, Error> {
        SealedKey::read(path)?.open(path, &passphrase(text))
    }

    #[test]
    fn opens_with_its_passphrase_alone() {
        let (_folder, path) = made(&Protection::Passphrase(&passphrase("correct horse"), [9; 16]));
        let sealed = SealedKey::read(&path).expect("reads");
        assert!(sealed.is_sealed());
        assert_eq!(sealed.officer(), OfficerNumber(12));
        assert_eq!(sealed.public(), key().key.verifying_key());
        let opened = open(&path, "correct horse").expect("opens");
        assert_eq!(opened.key.verifying_key(), key().key.verifying_key());
        assert!(open(&path, "wrong").expect_err("wrong").is(ErrorCode::PassphraseWrong));
        assert_eq!(fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_changed_number_does_not_open() {
        let (_folder, path) = made(&Protection::Passphrase(&passphrase("p"), [9; 16]));
        let text = fs::read_to_string(&path).expect("text").replace("officer 12", "officer 13");
        fs::write(&path, text).expect("written");
        assert!(open(&path, "p").expect_err("changed").is(ErrorCode::PassphraseWrong));
    }

    #[test]
    fn an_unprotected_key_needs_no_passphrase() {
        let (_folder, path) = made(&Protection::Unprotected);
        assert!(!SealedKey::read(&path).expect("reads").is_sealed());
        assert_eq!(open(&path, "").expect("opens").officer, OfficerNumber(12));
    }

    #[test]
    fn a_key_readable_by_others_is_refused() {
        let (_folder, path) = made(&Protection::Unprotected);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("mode");
        let error = open(&path, "").expect_err("open to others");
        assert!(error.is(ErrorCode::KeyFileOpenToOthers));
        assert!(error.to_string().contains("officer.key has mode 0644"), "{error}");
        assert_eq!(error.exit().number(), 78);
    }

    #[test]
    fn missing_damaged_and_existing_files_have_their_codes() {
        let (folder, path) = made(&Protection::Unprotected);
        let again = create(&path, &key(), &Protection::Unprotected).expect_err("never overwritten");
        assert!(again.is(ErrorCode::KeyFileExists));
        assert!(open(&folder.path().join("none"), "").expect_err("none").is(ErrorCode::OfficerKeyMissing));
        let good = fs::read_to_string(&path).expect("text");
        for bad in ["", "ncp-officer-key/2\n", &good.replace("seed ", "sealed "), &(good.clone() + "more\n")] {
            fs::write(&path, bad).expect("written");
            assert!(open(&path, "").expect_err("damaged").is(ErrorCode::KeyFileDamaged), "{bad}");
        }
    }

    #[test]
    fn a_file_cannot_ask_for_all_memory() {
        let (_folder, path) = made(&Protection::Passphrase(&passphrase("p"), [9; 16]));
        let text = fs::read_to_string(&path).expect("text").replace("argon2id 65536", "argon2id 4000000000");
        fs::write(&path, text).expect("written");
        assert!(open(&path, "p").expect_err("bounded").is(ErrorCode::KeyFileDamaged));
    }
}
