//! Whom backups are sealed for: a key pair of its own. The private half lies in a folder that is made where backups are
//! kept and tried out, never on the daemon's machine; the public half is a text file:
//!
//! ```text
//! ncp-backup-recipient/1
//! key <base64 of the X-Wing public key, 1216 bytes>
//! ```

use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::wrap::{SealingKey, SealingPublicKey};
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyUse};

use crate::joining::files::{file_fault, make_key, put_public, read_public};

const HEAD: &str = "ncp-backup-recipient/1";
/// Name of the public half in the folder of the private one.
const FOLDER_KEY: &str = "backup.pub";

/// A public half with its file.
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    /// The key.
    pub(crate) key: SealingPublicKey,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

impl Recipient {
    /// Reads a public half.
    ///
    /// # Errors
    /// [`ErrorCode::FileMissing`], [`ErrorCode::FileUnusable`].
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let bytes = read_public(path, "key of the backups' keeper")?;
        let bytes = bytes.ok_or_else(|| ErrorCode::FileMissing.with("file", path.display()))?;
        let key = core::str::from_utf8(&bytes).ok().and_then(parse).ok_or_else(|| {
            let fault = ErrorCode::FileUnusable.with("file", path.display());
            fault.with("reason", "it is no key of a keeper of backups, as  ncpctl backup key  makes them")
        })?;
        Ok(Self { key, path: path.to_owned() })
    }
}

fn parse(text: &str) -> Option<SealingPublicKey> {
    let mut lines = text.lines();
    (lines.next()? == HEAD).then_some(())?;
    let bytes = Base64::decode_vec(lines.next()?.strip_prefix("key ")?).ok()?;
    lines.next().is_none().then_some(())?;
    SealingPublicKey::from_bytes(&bytes).ok()
}

/// Makes the key pair in a folder, or reads the one that an earlier call made.
///
/// # Errors
/// The faults of the files.
pub(crate) fn make_recipient(folder: &Path, keyring: &Keyring) -> Result<Recipient, Fault> {
    let seed = make_key(keyring, &folder.join(keyfiles::key_path(KeyUse::Backup)), KeyUse::Backup)?;
    let key = SealingKey::from_seed(&seed).public();
    let path = folder.join(FOLDER_KEY);
    let text = format!("{HEAD}\nkey {}\n", Base64::encode_string(key.to_bytes().as_slice()));
    put_public(&path, text.as_bytes(), "key of the backups' keeper")?;
    Ok(Recipient { key, path })
}

/// The private half.
///
/// # Errors
/// The faults of the file.
pub(crate) fn read_key(folder: &Path, keyring: &Keyring) -> Result<SealingKey, Fault> {
    let path = folder.join(keyfiles::key_path(KeyUse::Backup));
    if !path.exists() {
        let fault = ErrorCode::KeyFileMissing.with("what", KeyUse::Backup.as_str()).with("file", path.display());
        return Err(fault.with("remedy", "name the folder that  ncpctl backup key  made, with --key"));
    }
    let seed = keyring.read_key(&path, KeyUse::Backup);
    let seed = seed.map_err(|error| file_fault(KeyUse::Backup.as_str(), &error))?;
    Ok(SealingKey::from_seed(&seed))
}
