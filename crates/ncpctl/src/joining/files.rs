//! Files of joining: made once, read again by the next call, never changed.

use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::keys::SigningKey;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyFileError, KeyUse, Seed};
use zeroize::Zeroizing;

/// What a missing key file asks for.
const KEYS_REMEDY: &str = "name the right folder with --dir, or bring the file back to where it was made";

/// 32 bytes of the system's generator.
pub(crate) fn fresh_seed() -> Result<Seed, Fault> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
    Ok(seed)
}

/// Bytes of the system's generator that are no secret: a salt, a nonce.
pub(crate) fn fresh<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
    Ok(bytes)
}

/// The key of a file, which is made if there is none.
///
/// # Errors
/// A fault that names the file.
pub(crate) fn make_key(keyring: &Keyring, path: &Path, key: KeyUse) -> Result<Seed, Fault> {
    match keyring.read_key(path, key) {
        Err(KeyFileError::Missing(_)) => {
            let seed = fresh_seed()?;
            keyring.create_key(path, key, &seed, fresh()?).map_err(|error| file_fault(key.as_str(), &error))?;
            Ok(seed)
        }
        found => found.map_err(|error| file_fault(key.as_str(), &error)),
    }
}

/// The signing key of a file, which is made if there is none.
///
/// # Errors
/// A fault that names the file.
pub(crate) fn make_signing_key(keyring: &Keyring, path: &Path, key: KeyUse) -> Result<SigningKey, Fault> {
    let seed = make_key(keyring, path, key)?;
    Ok(SigningKey::from_seed(&seed))
}

/// The bytes of a file that others may read, `None` if there is none.
///
/// # Errors
/// A fault that names the file.
pub(crate) fn read_public(path: &Path, what: &str) -> Result<Option<Vec<u8>>, Fault> {
    match keyfiles::read_public(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(KeyFileError::Missing(_)) => Ok(None),
        Err(error) => Err(file_fault(what, &error)),
    }
}

/// The bytes of a file that only its owner may read, `None` if there is none.
///
/// # Errors
/// A fault that names the file.
pub(crate) fn read_private(path: &Path, what: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    match keyfiles::read_private(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(KeyFileError::Missing(_)) => Ok(None),
        Err(error) => Err(file_fault(what, &error)),
    }
}

/// The private key of the certificate, PEM; `None` if there is none.
///
/// # Errors
/// A fault that names the file.
pub(crate) fn read_tls(keyring: &Keyring, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    match keyring.read_tls(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(KeyFileError::Missing(_)) => Ok(None),
        Err(error) => Err(file_fault("TLS key", &error)),
    }
}

/// Makes a file that others may read. One with the same bytes is left as it is.
///
/// # Errors
/// [`ErrorCode::OutputExists`] if a file with other bytes bears the name.
pub(crate) fn put_public(path: &Path, bytes: &[u8], what: &str) -> Result<(), Fault> {
    match read_public(path, what)? {
        Some(found) if found == bytes => Ok(()),
        Some(_) => Err(differs(path)),
        None => keyfiles::create_public(path, bytes).map_err(|error| file_fault(what, &error)),
    }
}

/// What somebody is told whose own file is in the way of one that goes out.
pub(crate) const NAME_WITH_OUT: &str = "name another file with --out, or move this one away";

/// A file bears the name of one to be made and says something else.
pub(crate) fn differs(path: &Path) -> Fault {
    let remedy = "it says something else: if it may go, move it away and give the same command again";
    ErrorCode::OutputExists.with("file", path.display()).with("remedy", remedy)
}

/// Makes a file that only its owner may read.
///
/// # Errors
/// [`ErrorCode::KeyFileExists`] if there is one.
pub(crate) fn create_private(path: &Path, bytes: &[u8], what: &str) -> Result<(), Fault> {
    keyfiles::create_private(path, bytes).map_err(|error| file_fault(what, &error))
}

/// Makes a folder that is closed to others, in an existing one; one that is closed is left as it is.
///
/// # Errors
/// [`ErrorCode::DataFolderUnusable`].
pub(crate) fn make_folder(path: &Path) -> Result<(), Fault> {
    keyfiles::create_folder(path).map_err(|error| folder_fault(path, &error))
}

/// Whether a folder is there and closed to others.
///
/// # Errors
/// [`ErrorCode::DataFolderUnusable`].
pub(crate) fn check_folder(path: &Path) -> Result<(), Fault> {
    keyfiles::check_folder(path).map_err(|error| folder_fault(path, &error))
}

fn folder_fault(folder: &Path, error: &KeyFileError) -> Fault {
    let reason = match error {
        KeyFileError::Missing(_) => "there is no such folder, or none that it could be made in".to_owned(),
        KeyFileError::OpenToOthers { mode, .. } => format!("it has mode {mode:04o} and must be closed to others, 0700"),
        KeyFileError::Damaged(_) => "it is not a folder".to_owned(),
        KeyFileError::Exists(_)
        | KeyFileError::ForeignOwner { .. }
        | KeyFileError::Sealed(_)
        | KeyFileError::PassphraseWrong(_)
        | KeyFileError::Io { .. } => error.to_string(),
    };
    ErrorCode::DataFolderUnusable.with("folder", folder.display()).with("reason", reason)
}

/// What an operator is told about a file that cannot be used.
pub(crate) fn file_fault(what: &str, error: &KeyFileError) -> Fault {
    match error {
        KeyFileError::Missing(path) => {
            ErrorCode::KeyFileMissing.with("what", what).with("file", path.display()).with("remedy", KEYS_REMEDY)
        }
        KeyFileError::Exists(path) => ErrorCode::KeyFileExists.with("file", path.display()),
        KeyFileError::OpenToOthers { path, mode } => ErrorCode::KeyFileOpenToOthers
            .with("what", what)
            .with("file", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
            .with("mode", format!("{mode:04o}"))
            .with("path", path.display()),
        KeyFileError::Damaged(path) => ErrorCode::KeyFileDamaged.with("what", what).with("file", path.display()),
        KeyFileError::Sealed(path) => ErrorCode::KeysSealed.with("file", path.display()),
        KeyFileError::PassphraseWrong(path) => {
            ErrorCode::PassphraseWrong.with("what", "key files").with("file", path.display())
        }
        KeyFileError::ForeignOwner { path, owner } => {
            ErrorCode::KeyFileForeign.with("what", what).with("file", path.display()).with("owner", owner)
        }
        KeyFileError::Io { path, cause } => ErrorCode::FileUnusable.with("file", path.display()).with("reason", cause),
    }
}
