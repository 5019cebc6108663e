//! Credentials: secrets that systemd hands to a service as files (systemd.exec(5), `LoadCredential=`), below
//! `$CREDENTIALS_DIRECTORY`, each by the name that the configuration says. A secret is the first line of its file.

use core::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use zeroize::Zeroizing;

/// Where systemd says that a service's credentials lie.
const FOLDER: &str = "CREDENTIALS_DIRECTORY";
/// Longest secret in bytes.
const SECRET_MAX: u64 = 4_096;

/// Whether a text can name a credential: it cannot lead out of the folder.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=255).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
}

/// Reads a credential of this service.
///
/// # Errors
/// [`ErrorCode::CredentialUnusable`]: there is no folder of credentials, no such file in it, it cannot be read, others can
/// read it, or it is no line of text.
pub fn read(name: &str) -> Result<Zeroizing<String>, Fault> {
    let unusable = |reason: &dyn Display| ErrorCode::CredentialUnusable.with("credential", name).with("reason", reason);
    let folder = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty());
    let folder = folder.ok_or_else(|| unusable(&format!("{FOLDER} is not set: systemd gave this service none")))?;
    let path = PathBuf::from(folder).join(name);
    read_line(&path).map_err(|reason| unusable(&format!("{}: {reason}", path.display())))
}

fn read_line(path: &Path) -> Result<Zeroizing<String>, String> {
    let said = |error: io::Error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        if missing { "there is no such file".to_owned() } else { error.to_string() }
    };
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_follow).open(path).map_err(said)?;
    let found = file.metadata().map_err(said)?;
    let mode = found.mode() & 0o777;
    if !found.is_file() {
        return Err("it is not a file".to_owned());
    }
    if is_open(mode, found.uid()) {
        return Err(format!("it has mode {mode:04o}; nobody but the daemon may read it"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(SECRET_MAX + 1).read_to_end(&mut bytes).map_err(said)?;
    let text = core::str::from_utf8(&bytes).map_err(|_| "it is no text".to_owned())?;
    let line = text.lines().next().filter(|line| !line.is_empty()).ok_or("its first line is empty")?;
    if bytes.len() as u64 > SECRET_MAX {
        return Err(format!("it is longer than {SECRET_MAX} bytes"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Whether others than the service can use the file. systemd lets a service in by an access list on a file of root's; the
/// mask of that list is what the mode then shows as the group's bits.
fn is_open(mode: u32, owner: u32) -> bool {
    let group_reads = if owner == 0 { mode & 0o030 } else { mode & 0o070 };
    mode & 0o007 != 0 || group_reads != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_lead_out_of_the_folder() {
        for good in ["ncp-passphrase", "a", "A_1.x"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "../shadow", "a/b", "a b", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_mask_of_an_access_list_is_no_group() {
        for (mode, owner, open) in [
            (0o400, 0, false),
            (0o440, 0, false),
            (0o440, 1_000, true),
            (0o600, 1_000, false),
            (0o444, 0, true),
            (0o460, 0, true),
        ] {
            assert_eq!(is_open(mode, owner), open, "{mode:04o} of {owner}");
        }
    }
}
