//! The folder of a measurement: made for it, of mode 0700, and gone with it unless it is to be kept.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ncp_protocol::ids::{UnixMillis, hex};

use crate::trouble::Trouble;

/// A folder that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keep: Keep,
}

/// What becomes of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is removed.
    No,
    /// It stays, with data, logs and configurations.
    Yes,
}

impl Folder {
    /// Makes a fresh one below `above`.
    pub(crate) fn make(above: &Path, keep: Keep) -> Result<Self, Trouble> {
        let path = above.join(format!("ncp-bench-{}", hex(&random::<4>()?)));
        make(&path)?;
        let path = path.canonicalize().map_err(|error| Trouble::system("making a folder", error))?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep == Keep::No {
            // What stays behind stands below the folder that the caller named.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes a folder of mode 0700, and those above it.
pub(crate) fn make(path: &Path) -> Result<(), Trouble> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Trouble::system(&format!("making {}", path.display()), error))
}

/// Writes a small file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(path, text).map_err(|error| Trouble::system(&format!("writing {}", path.display()), error))
}

/// Reads a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    fs::read(path).map_err(|error| Trouble::system(&format!("reading {}", path.display()), error))
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Trouble> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Trouble::system("asking for random bytes", error))?;
    Ok(bytes)
}

/// Now.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// An address of this machine that nobody listens on: a random one of 127.0.0.0/8, so that no outgoing connection takes it
/// while the relay restarts.
pub(crate) fn free_address() -> Result<SocketAddr, Trouble> {
    for _ in 0..64 {
        let [a, b, c, d] = random()?;
        let port = 20_000 + u16::from_be_bytes([c, d]) % 10_000;
        let address = SocketAddr::from(([127, a | 1, b, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(Trouble::new("no free address on loopback", "end programs that listen on 127.0.0.0/8, ports 20000 to 30000"))
}
