//! Key files and the other small files that joining writes into a data folder: their form, and how they are read and made.
//!
//! A key file is 44 bytes: the 8-byte prefix of kind `K`, version 1, then in canonical encoding the purpose of the key
//! (u32) and its 32-byte seed. The purpose keeps a file under the wrong name from serving as another key. Private files
//! have mode 0600 and belong to whoever runs the program (or to root); anything else is refused, as is a symbolic link.
//! Nothing here ever overwrites a file, but for the key that [`destroy_key`] ends. The layout of a participant's folder is in
//! the constants below.
//!
//! | file | holds | made by |
//! |---|---|---|
//! | `keys/identity.key`, `keys/recovery.key` | sign entries; may lie offline | `keys init`, `hub init` |
//! | `keys/signing.key`, `keys/signing-<n>.key` | sign a node's envelopes; `<n>` from 2 | `keys init`, `keys rotate` |
//! | `keys/sealing-<n>.key` | open what was sealed to a node; `<n>` from 1 | `keys init`, `keys rotate` |
//! | `keys/log-<log>-<epoch>.key` | signs checkpoints of `node`, `traffic` or `public` | `keys init`, `hub init` |
//! | `keys/witness.key`, `keys/timestamp.key` | cosigns; the hub's timestamp statements | `keys init`, `hub init` |
//! | `keys/storage.key` | seals content at rest; in no entry | `keys init` |
//! | `keys/tls.key`, `keys/tls-<n>.key` | private keys of certificates, PEM (PKCS #8); `<n>` from 2 | `keys init`, `hub init`, `keys rotate` |
//! | `keys/passphrase` | that the keys are sealed, and how their passphrase opens them ([`keyring`]) | `keys init`, `hub init` |
//! | `network/tls.crt`, `network/tls-<n>.crt` | own certificate chain, PEM; `<n>` from 2, and the last one serves | `keys install`, `hub init`, `hub renew` |
//! | `network/ca.crt` | the network's authority, PEM | `keys install`, `hub init` |
//! | `network/root-<version>` | root of trust, signed, all versions from 1 | `keys install`, `hub init`, `hub renew` |
//! | `network/entry-<version>` | own signed directory entry, all versions from 0 | `keys init`, `keys rotate`, `hub init` |
//! | `network/hub-entry` | the hub's signed entry of version 0 | `keys install` |

pub mod keyring;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ncp_protocol::codec::Prefix;
use ncp_protocol::ids::{Epoch, LogName};
use ncp_protocol::symmetric::AEAD_NONCE_LEN;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use self::keyring::Keyring;

const PREFIX: Prefix = Prefix::new(b'K', 1);

/// Length of a key file in bytes.
pub const KEY_FILE_LEN: usize = 8 + 4 + 32;
/// Longest file that these functions read.
pub const SMALL_FILE_MAX: u64 = 1 << 20;

/// Folder of private keys.
pub const KEYS: &str = "keys";
/// Folder of what the network gave: certificates, root of trust, entries.
pub const NETWORK: &str = "network";
/// The first private TLS key, PEM.
pub const TLS_KEY: &str = "keys/tls.key";
/// The first own certificate, then intermediates, PEM.
pub const TLS_CHAIN: &str = "network/tls.crt";
/// The network's certificate authority, PEM.
pub const TLS_AUTHORITY: &str = "network/ca.crt";
/// The hub's signed entry of version 0.
pub const HUB_ENTRY: &str = "network/hub-entry";

/// What a key is for. Order is the file format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyUse {
    /// Signs the participant's entries.
    Identity,
    /// Replaces a lost identity key.
    Recovery,
    /// Signs envelopes.
    Signing,
    /// Opens what others sealed to the participant.
    Sealing,
    /// Signs checkpoints of one log.
    Log,
    /// Cosigns checkpoints of others.
    Witness,
    /// Signs the hub's timestamp statements.
    Timestamp,
    /// Seals content at rest.
    Storage,
    /// Signs the root of trust.
    Root,
    /// Signs membership statements.
    Membership,
    /// Proves in TLS who the participant is.
    Tls,
    /// Opens backups.
    Backup,
}

impl KeyUse {
    /// What people call the key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity key",
            Self::Recovery => "recovery key",
            Self::Signing => "signing key",
            Self::Sealing => "sealing key",
            Self::Log => "log key",
            Self::Witness => "witness key",
            Self::Timestamp => "timestamp key",
            Self::Storage => "storage key",
            Self::Root => "root key",
            Self::Membership => "membership key",
            Self::Tls => "TLS key",
            Self::Backup => "backup key",
        }
    }
}

/// Most files of one kind that are told apart by a number.
const NUMBERED_MAX: u32 = 4_096;

/// Where a key with one file per participant lies, or the first of several; logs and sealing keys have no other name.
#[must_use]
pub fn key_path(key: KeyUse) -> PathBuf {
    let name = key.as_str().split(' ').next().unwrap_or_default();
    Path::new(KEYS).join(format!("{name}.key"))
}

/// Where sealing key `number`, from 1, lies.
#[must_use]
pub fn sealing_key_path(number: u32) -> PathBuf {
    Path::new(KEYS).join(format!("sealing-{number}.key"))
}

/// Where signing key `number`, from 1, lies.
#[must_use]
pub fn signing_key_path(number: u32) -> PathBuf {
    numbered(&key_path(KeyUse::Signing), number)
}

/// Where private TLS key `number`, from 1, lies.
#[must_use]
pub fn tls_key_path(number: u32) -> PathBuf {
    numbered(Path::new(TLS_KEY), number)
}

/// Where own certificate `number`, from 1, lies.
#[must_use]
pub fn tls_chain_path(number: u32) -> PathBuf {
    numbered(Path::new(TLS_CHAIN), number)
}

/// The first file bears no number.
fn numbered(first: &Path, number: u32) -> PathBuf {
    if number <= 1 {
        return first.to_owned();
    }
    let (stem, end) = (first.file_stem().unwrap_or_default(), first.extension().unwrap_or_default());
    first.with_file_name(format!("{}-{number}.{}", stem.display(), end.display()))
}

/// Destroys a key. Its file stays, empty, so that the numbers of those behind it stay; what it held is overwritten, as far as
/// the disk does that.
///
/// Order: an empty file, synced; its name over the key's; sync of the folder; the old content overwritten and synced. A
/// crash leaves the key or the empty file.
///
/// # Errors
/// [`KeyFileError`].
pub fn destroy_key(path: &Path) -> Result<(), KeyFileError> {
    let failed = |cause| KeyFileError::io(path, cause);
    let (file, mode, _) = open(path)?;
    let length = file.metadata().map_err(failed)?.len();
    let old = OpenOptions::new().write(true).open(path);
    let new = fresh_name(path)?;
    let empty = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new).map_err(failed)?;
    empty.sync_all().and_then(|()| std::fs::rename(&new, path)).and_then(|()| sync_parent(path)).map_err(failed)?;
    match old {
        Ok(mut old) => {
            let zeros = vec![0; usize::try_from(length).unwrap_or(KEY_FILE_LEN)];
            old.write_all(&zeros).and_then(|()| old.sync_all()).map_err(failed)
        }
        // Its name is gone all the same.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// The name under which a file is made before it gets its own. What a crash left there goes: it may be a second name of the
/// file itself.
fn fresh_name(path: &Path) -> Result<PathBuf, KeyFileError> {
    let new = crate::disk::with_suffix(path, ".new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KeyFileError::io(path, error)),
        Ok(()) | Err(_) => Ok(new),
    }
}

/// Whether only the empty file of a destroyed key is left.
///
/// # Errors
/// [`KeyFileError`]; [`KeyFileError::Missing`] if there is no file.
pub fn is_destroyed(path: &Path) -> Result<bool, KeyFileError> {
    let found = std::fs::symlink_metadata(path).map_err(|cause| KeyFileError::io(path, cause))?;
    Ok(found.is_file() && found.len() == 0)
}

/// How many files of a kind there are: their numbers rise from 1 without gap.
///
/// # Errors
/// [`KeyFileError::Io`].
pub fn count(folder: &Path, place: fn(u32) -> PathBuf) -> Result<u32, KeyFileError> {
    for number in 1..=NUMBERED_MAX {
        let path = folder.join(place(number));
        match std::fs::symlink_metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(number - 1),
            Err(cause) => return Err(KeyFileError::io(&path, cause)),
        }
    }
    Ok(NUMBERED_MAX)
}

/// Where the key of a log in an epoch lies.
#[must_use]
pub fn log_key_path(log: LogName, epoch: Epoch) -> PathBuf {
    Path::new(KEYS).join(format!("log-{log}-{}.key", epoch.0))
}

/// Where a version of the root of trust lies.
#[must_use]
pub fn root_path(version: u32) -> PathBuf {
    Path::new(NETWORK).join(format!("root-{version}"))
}

/// Where a version of the own entry lies.
#[must_use]
pub fn entry_path(version: u32) -> PathBuf {
    Path::new(NETWORK).join(format!("entry-{version}"))
}

/// A key as its file holds it. Wipes itself.
pub type Seed = Zeroizing<[u8; 32]>;

/// Why a file of keys or of the network cannot be read or made.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// There is none.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// Group or others may read or write it, or it belongs to somebody else.
    #[error("{} has mode {mode:04o}; only its owner may read it", path.display())]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user than the one that runs the program.
    #[error("{} belongs to uid {owner}", path.display())]
    ForeignOwner {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It is sealed, and no passphrase was given.
    #[error("{} is sealed under a passphrase", .0.display())]
    Sealed(PathBuf),
    /// The passphrase is not that of the folder's keys.
    #[error("the passphrase does not open {}", .0.display())]
    PassphraseWrong(PathBuf),
    /// Not a key file, a damaged one, or the file of another key.
    #[error("{} is not the file of this key", .0.display())]
    Damaged(PathBuf),
    /// The system refused it.
    #[error("{}: {cause}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl KeyFileError {
    fn io(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        if cause.kind() == io::ErrorKind::NotFound {
            Self::Missing(path)
        } else if cause.kind() == io::ErrorKind::AlreadyExists {
            Self::Exists(path)
        } else {
            Self::Io { path, cause }
        }
    }
}

/// Reads the seed of a key that is not sealed.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_key(path: &Path, key: KeyUse) -> Result<Seed, KeyFileError> {
    Keyring::OPEN.read_key(path, key)
}

/// Makes the file of a key, synced and not sealed.
///
/// # Errors
/// [`KeyFileError::Exists`] if there is a file; it is not touched.
pub fn create_key(path: &Path, key: KeyUse, seed: &[u8; 32]) -> Result<(), KeyFileError> {
    Keyring::OPEN.create_key(path, key, seed, [0; AEAD_NONCE_LEN])
}

/// Reads a file that only its owner may read.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let (file, mode, owner) = open(path)?;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode });
    }
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(KeyFileError::ForeignOwner { path: path.to_owned(), owner });
    }
    read(path, file).map(Zeroizing::new)
}

/// Reads a file that others may read too, such as a certificate.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_public(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let (file, _, _) = open(path)?;
    read(path, file)
}

/// Makes a file with mode 0600, synced with its name.
///
/// # Errors
/// [`KeyFileError::Exists`] if there is a file; it is not touched.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    create(path, bytes, 0o600)
}

/// Makes a file with mode 0644, synced with its name.
///
/// # Errors
/// [`KeyFileError::Exists`] if there is a file; it is not touched.
pub fn create_public(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    create(path, bytes, 0o644)
}

/// Makes a folder with mode 0700 if there is none, and syncs its name.
///
/// # Errors
/// [`KeyFileError::OpenToOthers`] if there is one that others may enter.
pub fn create_folder(path: &Path) -> Result<(), KeyFileError> {
    let failed = |cause| KeyFileError::io(path, cause);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_parent(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_folder(path),
        Err(error) => Err(failed(error)),
    }
}

/// Whether a folder is closed to others.
///
/// # Errors
/// [`KeyFileError`].
pub fn check_folder(path: &Path) -> Result<(), KeyFileError> {
    let found = std::fs::symlink_metadata(path).map_err(|cause| KeyFileError::io(path, cause))?;
    let mode = found.mode() & 0o7777;
    if !found.is_dir() {
        return Err(KeyFileError::Damaged(path.to_owned()));
    }
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode }) }
}

/// Opens a plain file and says its permission bits and owner.
fn open(path: &Path) -> Result<(File, u32, u32), KeyFileError> {
    let failed = |cause| KeyFileError::io(path, cause);
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() || found.len() > SMALL_FILE_MAX {
        return Err(KeyFileError::Damaged(path.to_owned()));
    }
    Ok((file, found.mode() & 0o7777, found.uid()))
}

fn read(path: &Path, file: File) -> Result<Vec<u8>, KeyFileError> {
    let mut bytes = Vec::new();
    file.take(SMALL_FILE_MAX).read_to_end(&mut bytes).map_err(|cause| KeyFileError::io(path, cause))?;
    Ok(bytes)
}

/// Order: temporary file, content, sync, link under the name, unlink the temporary name, sync of the folder. A crash
/// leaves no file of this name or the whole one, and perhaps a `.new` that the next call replaces.
fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let failed = |cause| KeyFileError::io(path, cause);
    let new = fresh_name(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::hard_link(&new, path));
    // The name ends at the file or stands for nothing: both ways the temporary one goes.
    std::fs::remove_file(&new).map_err(failed)?;
    written.map_err(failed)?;
    sync_parent(path).map_err(failed)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_reads_back_under_its_own_purpose_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        create_key(&path, KeyUse::Signing, &[7; 32]).unwrap();
        assert_eq!(*read_key(&path, KeyUse::Signing).unwrap(), [7; 32]);
        assert!(matches!(read_key(&path, KeyUse::Identity), Err(KeyFileError::Damaged(_))));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), KEY_FILE_LEN as u64);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        create_key(&path, KeyUse::Signing, &[7; 32]).unwrap();
        assert!(matches!(create_key(&path, KeyUse::Signing, &[8; 32]), Err(KeyFileError::Exists(_))));
        assert_eq!(*read_key(&path, KeyUse::Signing).unwrap(), [7; 32]);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        create_key(&path, KeyUse::Signing, &[7; 32]).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(read_key(&path, KeyUse::Signing), Err(KeyFileError::OpenToOthers { mode: 0o644, .. })));
        assert!(read_public(&path).is_ok());
    }

    #[test]
    fn links_and_short_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.key"), folder.path().join("b.key"));
        create_private(&path, b"short").unwrap();
        assert!(matches!(read_key(&path, KeyUse::Signing), Err(KeyFileError::Damaged(_))));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(read_private(&link), Err(KeyFileError::Io { .. })));
        assert!(matches!(read_private(&folder.path().join("c.key")), Err(KeyFileError::Missing(_))));
    }

    #[test]
    fn names_of_files() {
        assert_eq!(key_path(KeyUse::Storage), Path::new("keys/storage.key"));
        assert_eq!(sealing_key_path(1), Path::new("keys/sealing-1.key"));
        assert_eq!(log_key_path(LogName::Node, Epoch(1)), Path::new("keys/log-node-1.key"));
        assert_eq!([1, 2].map(signing_key_path), ["keys/signing.key", "keys/signing-2.key"].map(PathBuf::from));
        assert_eq!([1, 2].map(tls_key_path), ["keys/tls.key", "keys/tls-2.key"].map(PathBuf::from));
        assert_eq!([1, 12].map(tls_chain_path), ["network/tls.crt", "network/tls-12.crt"].map(PathBuf::from));
    }

    #[test]
    fn a_destroyed_key_leaves_an_empty_file_and_its_bytes_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.key"), folder.path().join("b.key"));
        create_key(&path, KeyUse::Sealing, &[7; 32]).unwrap();
        // Another name of the same file shows what becomes of its content, and a crash while it was made leaves a third.
        std::fs::hard_link(&path, &other).unwrap();
        std::fs::hard_link(&path, folder.path().join("a.key.new")).unwrap();
        assert!(!is_destroyed(&path).unwrap());
        destroy_key(&path).unwrap();
        assert!(is_destroyed(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read(&other).unwrap(), [0; KEY_FILE_LEN]);
        assert!(matches!(read_key(&path, KeyUse::Sealing), Err(KeyFileError::Damaged(_))));
        assert!(matches!(is_destroyed(&folder.path().join("c.key")), Err(KeyFileError::Missing(_))));
    }

    #[test]
    fn numbered_files_are_counted_up_to_the_first_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        create_folder(&folder.path().join(KEYS)).unwrap();
        assert_eq!(count(folder.path(), signing_key_path).unwrap(), 0);
        for number in [1, 2, 4] {
            create_private(&folder.path().join(signing_key_path(number)), b"key").unwrap();
        }
        assert_eq!(count(folder.path(), signing_key_path).unwrap(), 2);
    }
}
