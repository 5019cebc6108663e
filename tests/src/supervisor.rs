//! The other end of `NOTIFY_SOCKET`: what a service manager hears from a daemon, datagram by datagram (sd_notify(3)).

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::PATIENCE;
use crate::binaries::Program;
use crate::process::{Daemon, Ended};

/// What one datagram says, line by line.
pub type Words = Vec<String>;

/// A daemon and whoever supervises it.
#[derive(Debug)]
pub struct Supervised {
    /// The daemon.
    pub daemon: Daemon,
    socket: UnixDatagram,
}

impl Supervised {
    /// Starts a daemon, with further variables in its environment.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: Program, config: &Path, environment: &[(&str, OsString)]) -> Self {
        Self::start_by(&[], program, config, environment)
    }

    /// The same, by a command that becomes the daemon.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_by(launcher: &[OsString], program: Program, config: &Path, environment: &[(&str, OsString)]) -> Self {
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let path = config.with_extension(format!("notify{}", STARTS.fetch_add(1, Ordering::Relaxed)));
        let socket = UnixDatagram::bind(&path).expect("the folder takes a socket");
        Self { daemon: Daemon::spawn(launcher, program, config, path, environment), socket }
    }

    /// The next datagram.
    ///
    /// # Panics
    /// If none comes in time.
    #[must_use]
    pub fn hear(&self) -> Words {
        let words = self.hear_within(PATIENCE);
        words.unwrap_or_else(|| panic!("nothing is heard:\n{}", self.daemon.log().since(0).join("\n")))
    }

    /// The first datagram with a line that begins so; those before it are dropped.
    ///
    /// # Panics
    /// If none comes in time, or the daemon ends before.
    pub fn until(&self, beginning: &str) -> Words {
        loop {
            let words = self.hear();
            if words.iter().any(|word| word.starts_with(beginning)) {
                return words;
            }
            let ended = words.iter().any(|word| word == "ENDED=1");
            assert!(!ended, "no {beginning}:\n{}", self.daemon.log().since(0).join("\n"));
        }
    }

    /// Drops what was said already.
    ///
    /// # Panics
    /// If the socket fails.
    pub fn forget(&self) {
        while self.hear_within(Duration::from_millis(1)).is_some() {}
    }

    /// What is heard within this time, if anything.
    ///
    /// # Panics
    /// If the socket fails.
    #[must_use]
    pub fn hear_within(&self, limit: Duration) -> Option<Words> {
        self.socket.set_read_timeout(Some(limit)).expect("a timeout");
        let mut bytes = [0; 4096];
        match self.socket.recv(&mut bytes) {
            Ok(length) => {
                let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
                Some(text.lines().map(ToOwned::to_owned).collect())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks the daemon to stop and waits.
    ///
    /// # Panics
    /// If it does not end in time.
    #[must_use]
    pub fn stop(self) -> Ended {
        self.daemon.signal(Signal::TERM);
        self.daemon.ended()
    }
}

/// A library that makes every sync of a program wait as long as a file exists: a disk that hangs.
#[derive(Debug)]
pub struct HangingDisk {
    library: PathBuf,
    file: PathBuf,
}

impl HangingDisk {
    /// Builds it in a folder.
    ///
    /// # Panics
    /// If it cannot be built.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { library: crate::shim::build(folder, "hang"), file: folder.join("hang") }
    }

    /// What puts it into a program.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.library.clone().into()), ("NCP_TEST_HANG", self.file.clone().into())]
    }

    /// Syncs that begin from now on wait.
    ///
    /// # Panics
    /// If the file cannot be made.
    pub fn hang(&self) {
        std::fs::write(&self.file, b"").expect("the file can be made");
    }

    /// Syncs go on.
    ///
    /// # Panics
    /// If the file cannot be removed.
    pub fn go_on(&self) {
        std::fs::remove_file(&self.file).expect("the file can be removed");
    }
}
