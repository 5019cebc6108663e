//! A daemon as a process: started, ready, its log line by line, stopped, killed.
//!
//! Readiness is told as to systemd, by a datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3)); the thread that
//! waits for the child sends `ENDED=1` there, so that a daemon that ends early is noticed at once.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;
use crate::binaries::Program;

/// What a daemon wrote to its standard error, line by line.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    closed: bool,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, stream: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            let mut lines = BufReader::new(stream).split(b'\n');
            while let Some(Ok(line)) = lines.next() {
                log.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
                log.0.1.notify_all();
            }
            log.lock().closed = true;
            log.0.1.notify_all();
        });
    }

    /// How many lines there are: where a later [`Log::wait_for`] begins.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.lock().lines.len()
    }

    /// All lines from `mark` on.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<String> {
        self.lock().lines.iter().skip(mark).cloned().collect()
    }

    /// Waits for a line from `mark` on that holds all of `words`, and returns it.
    ///
    /// # Panics
    /// If none comes, with what came instead.
    pub fn wait_for(&self, mark: usize, words: &[&str]) -> String {
        let begun = Instant::now();
        let mut lines = self.lock();
        loop {
            let found = lines.lines.iter().skip(mark).find(|line| words.iter().all(|word| line.contains(word)));
            if let Some(line) = found {
                return line.clone();
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            assert!(
                !left.is_zero() && !lines.closed,
                "no line with {words:?} in the log:\n{}",
                lines.lines.iter().skip(mark).fold(String::new(), |text, line| text + "  " + line + "\n")
            );
            lines = self.0.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the daemon has closed its standard error.
    fn wait_closed(&self) {
        let lines = self.lock();
        let _ = self.0.1.wait_timeout_while(lines, PATIENCE, |lines| !lines.closed);
    }
}

/// How a daemon ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it had written to its standard error.
    pub log: String,
}

impl Ended {
    /// Its exit code; none if a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// What came of a start that had a limit.
#[derive(Debug)]
pub enum Started {
    /// It is ready.
    Ready(Daemon),
    /// It was not ready in time, and was killed on its way.
    Killed(Ended),
}

/// A running daemon. It is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    program: Program,
    pid: Pid,
    log: Log,
    exit: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
}

impl Started {
    fn ready(self, program: Program) -> Result<Daemon, Ended> {
        match self {
            Self::Ready(daemon) => Ok(daemon),
            Self::Killed(ended) => panic!("{} was not ready in time:\n{}", program.name(), ended.log),
        }
    }
}

impl Daemon {
    /// Starts a daemon and waits until it is ready.
    ///
    /// # Errors
    /// How it ended, if it did not become ready.
    ///
    /// # Panics
    /// If it cannot be started or does neither in time.
    pub fn start(program: Program, config: &Path) -> Result<Self, Ended> {
        Self::start_with(program, config, &[])
    }

    /// The same with further variables in its environment.
    ///
    /// # Errors
    /// How it ended, if it did not become ready.
    ///
    /// # Panics
    /// If it cannot be started or does neither in time.
    pub fn start_with(program: Program, config: &Path, environment: &[(&str, OsString)]) -> Result<Self, Ended> {
        Self::begin(&[], program, config, environment, PATIENCE)?.ready(program)
    }

    /// Starts a daemon through a launcher, which becomes the daemon, and waits until it is ready.
    ///
    /// # Errors
    /// How it ended, if it did not become ready.
    ///
    /// # Panics
    /// If it cannot be started or does neither in time.
    pub fn start_through(launcher: &[OsString], program: Program, config: &Path) -> Result<Self, Ended> {
        Self::begin(launcher, program, config, &[], PATIENCE)?.ready(program)
    }

    /// Starts a daemon, and kills it wherever it is if it is not ready within `limit`.
    ///
    /// # Errors
    /// How it ended, if it did so by itself before it was ready.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_within(program: Program, config: &Path, limit: Duration) -> Result<Started, Ended> {
        Self::begin(&[], program, config, &[], limit)
    }

    fn begin(
        launcher: &[OsString],
        program: Program,
        config: &Path,
        environment: &[(&str, OsString)],
        limit: Duration,
    ) -> Result<Started, Ended> {
        // A path of its own for each start: the last word about an earlier daemon must not be taken for this one's.
        static STARTS: AtomicU32 = AtomicU32::new(0);
        need_little_room(config);
        let notify = config.with_extension(format!("ready{}", STARTS.fetch_add(1, Ordering::Relaxed)));
        let socket = UnixDatagram::bind(&notify).expect("the folder takes a socket");
        let daemon = Self::spawn(launcher, program, config, notify.clone(), environment);
        let ready = told_ready(&socket, limit);
        let _ = std::fs::remove_file(&notify);
        match ready {
            Some(true) => Ok(Started::Ready(daemon)),
            Some(false) => Err(daemon.ended()),
            None => {
                daemon.signal(Signal::KILL);
                let ended = daemon.ended();
                // It may have ended by itself just before.
                if ended.status.signal() == Some(Signal::KILL.as_raw()) {
                    Ok(Started::Killed(ended))
                } else {
                    Err(ended)
                }
            }
        }
    }

    /// Starts a daemon that tells the socket `notify` how it stands, with further variables in its environment.
    pub(crate) fn spawn(
        launcher: &[OsString],
        program: Program,
        config: &Path,
        notify: PathBuf,
        environment: &[(&str, OsString)],
    ) -> Self {
        let path = program.path().into_os_string();
        let mut words = launcher.iter().chain([&path]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .arg("--config")
            .arg(config)
            .env("NOTIFY_SOCKET", &notify)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env_remove("NCP_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let log = Log::default();
        log.follow(child.stderr.take().expect("a pipe"));
        let pid = Pid::from_child(&child);
        let exit: Arc<(Mutex<Option<ExitStatus>>, Condvar)> = Arc::default();
        let told = Arc::clone(&exit);
        thread::spawn(move || {
            let status = child.wait().expect("a child can be waited for");
            *told.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            told.1.notify_all();
            // Nobody listens there after the start.
            let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"ENDED=1", &notify));
        });
        Self { program, pid, log, exit }
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        u32::try_from(self.pid.as_raw_nonzero().get()).expect("process ids are positive")
    }

    /// Most memory that it had resident so far, in KiB, from the kernel (proc_pid_status(5)).
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn peak_kib(&self) -> u64 {
        memory_kib(self.pid(), "VmHWM:")
    }

    /// Memory that it has resident now, in KiB.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        memory_kib(self.pid(), "VmRSS:")
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.exit.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Asks it to stop, as systemd does, and waits.
    ///
    /// # Panics
    /// If it does not end in time.
    #[must_use]
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Kills it, as a power cut would, and waits.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.ended()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not end in time.
    #[must_use]
    pub fn ended(&self) -> Ended {
        let exit = self.exit.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.exit.1.wait_timeout_while(exit, PATIENCE, |exit| exit.is_none());
        let status = *waited.unwrap_or_else(PoisonError::into_inner).0;
        let Some(status) = status else {
            panic!("{} does not end:\n{}", self.program.name(), self.log.since(0).join("\n"));
        };
        self.log.wait_closed();
        Ended { status, log: self.log.since(0).join("\n") }
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.runs() {
            // It may have ended in between, which is what is wanted.
            let _ = kill_process(self.pid, signal);
        }
    }
}

fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel says it");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Whether a daemon told that it is ready, or that it ended; neither within the limit is none.
fn told_ready(socket: &UnixDatagram, limit: Duration) -> Option<bool> {
    let begun = Instant::now();
    let mut bytes = [0; 4096];
    loop {
        let left = limit.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
        socket.set_read_timeout(Some(left)).expect("a timeout");
        let Ok(length) = socket.recv(&mut bytes) else { continue };
        let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
        if text.lines().any(|line| line == "READY=1") {
            return Some(true);
        }
        if text == "ENDED=1" {
            return Some(false);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.runs() {
            self.signal(Signal::KILL);
            let exit = self.exit.0.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = self.exit.1.wait_timeout_while(exit, PATIENCE, |exit| exit.is_none());
        }
        if thread::panicking() {
            tell_end_of_log(self.program, &self.log);
        }
    }
}

/// Lines of a log that a failed test shows.
const LINES_SHOWN: usize = 25;

fn tell_end_of_log(program: Program, log: &Log) {
    let lines = log.since(log.mark().saturating_sub(LINES_SHOWN));
    let mut text = format!("-- end of the log of {}\n", program.name());
    for line in lines {
        let _ = writeln!(text, "   {line}");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Runs a daemon that is expected not to come up.
///
/// # Panics
/// If it becomes ready.
#[must_use]
pub fn refused_start(program: Program, config: &Path) -> Ended {
    match Daemon::start(program, config) {
        Ok(daemon) => panic!("{} started:\n{}", program.name(), daemon.log().since(0).join("\n")),
        Err(ended) => ended,
    }
}

/// Has a daemon go on with less free space than its default asks for, by a file beside its configuration: what the tests
/// see must not depend on how full the machine's disk is.
fn need_little_room(config: &Path) {
    let mut folder = config.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("a folder beside the configuration");
    std::fs::write(folder.join("00-room.toml"), "free-min-mebibytes = 16\nballast-mebibytes = 1\n")
        .expect("a file beside the configuration");
}
