//! The socket itself: made with mode 0660, removed at the end; one that a crash left is replaced, one that answers
//! or any other file is not.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use tokio::net::UnixListener;

/// A bound socket. Its file goes with it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: Option<StdListener>,
}

impl Socket {
    /// Binds the socket.
    ///
    /// # Errors
    /// [`ErrorCode::SocketInUse`], [`ErrorCode::SocketFolderUnusable`].
    pub async fn bind(path: &Path) -> Result<Self, Fault> {
        let unusable = |error: io::Error| ncp_api::socket::unusable(path, &error);
        ncp_api::socket::clear(path).await?;
        let listener = StdListener::bind(path).map_err(unusable)?;
        let socket = Self { path: path.to_owned(), listener: Some(listener) };
        std::fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(unusable)?;
        Ok(socket)
    }

    /// The listener, once.
    ///
    /// # Errors
    /// If the system does not let it wait for events.
    pub fn listener(&mut self) -> Result<UnixListener, Fault> {
        let fault = |reason: &dyn core::fmt::Display| ErrorCode::InternalFault.with("reason", reason);
        let listener = self.listener.take().ok_or_else(|| fault(&"the API socket was taken twice"))?;
        listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener)).map_err(|error| fault(&error))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays is found dead at the next start.
        let _ = ncp_api::socket::remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_living_socket_is_left_alone_and_a_dead_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let living = Socket::bind(&path).await.unwrap();
        assert_eq!(Socket::bind(&path).await.unwrap_err().code, ErrorCode::SocketInUse);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(living);
        assert!(!path.exists());
        drop(StdListener::bind(&path).unwrap());
        Socket::bind(&path).await.unwrap();
        let missing = folder.path().join("none/api.sock");
        assert_eq!(Socket::bind(&missing).await.unwrap_err().code, ErrorCode::SocketFolderUnusable);
    }
}
