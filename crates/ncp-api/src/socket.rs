//! The place of a daemon's API socket. A wrong line of the configuration can name any file there, so nothing is ever
//! removed but a socket at which nobody answers: a crash left it.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use tokio::net::UnixStream;

use crate::{ErrorCode, Fault};

/// Whether a socket could be made at `path`: nothing lies there, or a socket. Changes nothing.
///
/// # Errors
/// [`ErrorCode::SocketFolderUnusable`] if anything else lies there, a symbolic link too.
pub fn check(path: &Path) -> Result<(), Fault> {
    is_socket(path).map(|_| ())
}

/// Makes the place free.
///
/// # Errors
/// [`ErrorCode::SocketInUse`] if a process listens there; otherwise as [`check`]. Nothing was removed then.
pub async fn clear(path: &Path) -> Result<(), Fault> {
    if !is_socket(path)? {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        // A listener whose queue is full lives.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(in_use(path)),
        Ok(_) => Err(in_use(path)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| unusable(path, &error))
        }
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Removes the socket that a daemon made, at its end; what somebody else put there since stays.
///
/// # Errors
/// The file stays behind: the next start finds it dead.
pub fn remove(path: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return std::fs::remove_file(path);
    }
    Err(io::Error::other("another file lies there now"))
}

/// What an operator is told about a place where no socket can be made.
pub fn unusable(path: &Path, reason: &dyn core::fmt::Display) -> Fault {
    let fault = ErrorCode::SocketFolderUnusable.with("path", path.display()).with("reason", reason);
    fault.with("key", "api-socket")
}

fn in_use(path: &Path) -> Fault {
    ErrorCode::SocketInUse.with("path", path.display()).with("key", "api-socket")
}

/// Whether a socket lies there; `false` if nothing does.
fn is_socket(path: &Path) -> Result<bool, Fault> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(true),
        Ok(_) => Err(unusable(path, &"is a file that is no socket; nothing removed")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unusable(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[tokio::test]
    async fn nothing_is_removed_but_a_dead_socket() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        assert_eq!(clear(&at("free")).await, Ok(()));

        drop(UnixListener::bind(at("dead")).expect("socket"));
        assert_eq!(check(&at("dead")), Ok(()));
        assert!(at("dead").exists(), "a check changes nothing");
        assert_eq!(clear(&at("dead")).await, Ok(()));
        assert!(!at("dead").exists());

        let _listener = UnixListener::bind(at("alive")).expect("socket");
        assert_eq!(clear(&at("alive")).await.map_err(|fault| fault.code), Err(ErrorCode::SocketInUse));
        std::fs::write(at("key"), "secret").expect("a file");
        std::os::unix::fs::symlink(at("alive"), at("link")).expect("a link");
        std::fs::create_dir(at("folder")).expect("a folder");
        for name in ["key", "link", "folder", "key/below"] {
            let fault = clear(&at(name)).await.expect_err(name);
            assert_eq!(fault, check(&at(name)).expect_err(name));
            assert_eq!((fault.code, fault.exit().number()), (ErrorCode::SocketFolderUnusable, 78), "{fault}");
            assert!(!fault.to_string().contains('<'), "{fault}");
        }
        assert!(remove(&at("key")).is_err());
        assert_eq!(std::fs::read_to_string(at("key")).expect("the file is there"), "secret");
        remove(&at("alive")).expect("removed");
        assert!(!at("alive").exists());
    }
}
