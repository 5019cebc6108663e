//! A program under `tests/shims/calls.c`: every system call that changes a file below a folder, or sends, is numbered, written
//! down in order, and on demand failed, halved, held, or the last that the program makes. The launcher becomes the program, so
//! that process and exit status are the program's own.
//!
//! What a power cut would leave is made by the same launcher ([`Image`]): content that no sync reached and names that no sync
//! of their folder reached are gone, one, the other or both.

use core::fmt;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::FlockOperation;

use crate::binaries::top;

/// A kind of call. Numbers begin at 1 for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Writes to files.
    Write,
    /// `fsync` and `fdatasync`.
    Sync,
    /// Renames.
    Rename,
    /// Removals.
    Unlink,
    /// Lengths and allocation.
    Truncate,
    /// Opens that create or empty a file, folders, links.
    Create,
    /// Bytes sent on a stream socket.
    Send,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Write, Self::Sync, Self::Rename, Self::Unlink, Self::Truncate, Self::Create, Self::Send];

    /// As the launcher writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::Truncate => "truncate",
            Self::Create => "create",
            Self::Send => "send",
        }
    }
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL before it.
    Kill,
    /// SIGKILL behind it.
    After,
    /// Half of it is written, then SIGKILL.
    Torn,
    /// Half of it is written.
    Short,
    /// EIO.
    Io,
    /// ENOSPC.
    Full,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::After => "after",
            Self::Torn => "torn",
            Self::Short => "short",
            Self::Io => "eio",
            Self::Full => "enospc",
        }
    }

    /// Whether the program does not outlive it.
    #[must_use]
    pub fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::After | Self::Torn)
    }
}

/// What stands of the folder when the program has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// Everything: the program died, the machine did not.
    Kept,
    /// What was synced.
    Lost,
    /// What was synced, and every name.
    Names,
    /// What was synced, and every content.
    Bytes,
}

impl Image {
    fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Lost => "lost",
            Self::Names => "names",
            Self::Bytes => "bytes",
        }
    }
}

/// One call and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// Its kind.
    pub kind: Kind,
    /// Its number.
    pub number: u32,
    /// What happens at it.
    pub fault: Fault,
    /// What stands afterwards.
    pub image: Image,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.kind.name(), self.number, self.fault.name(), self.image.name())
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its kind.
    pub kind: Kind,
    /// Its number.
    pub number: u32,
    /// Path below the folder, or the socket.
    pub path: String,
    /// The file's number, for a sync.
    pub inode: u64,
    /// How many bytes were to be written, where that was not looked at; else where in the file, or -1.
    pub extent: i64,
    /// What it returned, `go` where that was not looked at, `killed` or `held`.
    pub result: String,
}

impl Call {
    fn parse(line: &str) -> Option<Self> {
        let [kind, number, _, path, inode, extent, result] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        let (number, inode, extent) = (number.parse().ok()?, inode.parse().ok()?, extent.parse().ok()?);
        Some(Self { kind, number, path: path.to_owned(), inode, extent, result: result.to_owned() })
    }
}

/// The launcher, built.
#[derive(Debug)]
pub struct Launcher {
    program: PathBuf,
    folder: PathBuf,
}

impl Launcher {
    /// Builds it in a folder that stays.
    ///
    /// # Errors
    /// Why it cannot be used on this machine: no C compiler, or a kernel that does not let a program be looked on.
    ///
    /// # Panics
    /// If its source does not compile.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let program = folder.join("calls");
        let shims = top().join("tests/shims");
        let built = Command::new("cc")
            .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&program, &shims.join("calls.c"), &shims.join("durable.c")])
            .output()
            .map_err(|error| format!("no C compiler (cc): {error}"))?;
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let launcher = Self { program, folder: folder.to_owned() };
        let mut words = launcher.watch(folder, None).words.into_iter();
        let tried = Command::new(words.next().expect("the launcher"))
            .args(words)
            .arg("/bin/true")
            .stdin(Stdio::null())
            .output()
            .expect("the launcher runs");
        if tried.status.success() {
            return Ok(launcher);
        }
        Err(format!(
            "the kernel does not let a program be looked on: {}",
            String::from_utf8_lossy(&tried.stderr).trim()
        ))
    }

    /// Where it lies, and its logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How a program is started so that its calls below `root` are seen and this case happens. One program at a time.
    #[must_use]
    pub fn watch(&self, root: &Path, case: Option<Case>) -> Watch {
        let (log, image) = (self.folder.join("calls.log"), self.folder.join("image"));
        // What a life that failed left.
        let _ = fs::remove_dir_all(&image);
        let mut words: Vec<OsString> = vec![self.program.clone().into(), "--root".into(), root.into()];
        words.extend(["--log".into(), log.clone().into()]);
        if let Some(case) = case {
            words.extend([
                "--fail".into(),
                format!("{}:{}:{}", case.kind.name(), case.number, case.fault.name()).into(),
            ]);
            if case.image != Image::Kept {
                let mut word = OsString::from(format!("{}:", case.image.name()));
                word.push(&image);
                words.extend(["--image".into(), word]);
            }
        }
        words.push("--".into());
        Watch { words, root: root.to_owned(), log, image }
    }
}

/// A program that is looked on.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What to put before the program.
    pub words: Vec<OsString>,
    root: PathBuf,
    log: PathBuf,
    image: PathBuf,
}

impl Watch {
    /// The same, where syncs of paths that hold `word` wait as long as the file `gate` exists.
    #[must_use]
    pub fn holding(mut self, gate: &Path, word: &str) -> Self {
        let mut value = gate.as_os_str().to_owned();
        value.push(format!(":{word}"));
        let end = self.words.len() - 1;
        self.words.splice(end..end, ["--hold".into(), value]);
        self
    }

    /// The calls so far, in order.
    ///
    /// # Panics
    /// If the log cannot be read.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let text = fs::read_to_string(&self.log).expect("the log of calls");
        text.lines().filter_map(Call::parse).collect()
    }

    /// Waits until the launcher has ended behind a program that has, and puts the image, if one was asked for, in place of the
    /// folder.
    ///
    /// # Panics
    /// If it has failed.
    #[must_use]
    pub fn end(&self) -> Vec<Call> {
        let log = File::open(&self.log).expect("the log of calls");
        rustix::fs::flock(&log, FlockOperation::LockShared).expect("a lock");
        let text = fs::read_to_string(&self.log).expect("the log of calls");
        assert!(text.ends_with("end\n"), "the launcher failed:\n{text}");
        if self.image.exists() {
            fs::remove_dir_all(&self.root).expect("the folder can be removed");
            fs::rename(&self.image, &self.root).expect("the image takes its place");
        }
        self.calls()
    }
}
