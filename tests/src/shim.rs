//! Libraries that a daemon loads before its own (ld.so(8), `LD_PRELOAD`) and that change what one call of the system does.
//! Built with the C compiler that the project needs anyway.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::top;

/// Builds a library of `tests/shims` in a folder.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn build(folder: &Path, name: &str) -> PathBuf {
    let library = folder.join(format!("{name}.so"));
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(top().join(format!("tests/shims/{name}.c")))
        .output()
        .expect("a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

/// The wall clock of a program, which a test sets while it runs. The monotonic clocks are true.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    file: PathBuf,
}

impl WallClock {
    /// A clock that is right, for one program or several.
    ///
    /// # Panics
    /// If its library cannot be built.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { library: build(folder, "clock"), file: folder.join("clock") }
    }

    /// What puts it into a program.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.library.clone().into()), ("NCP_TEST_CLOCK", self.file.clone().into())]
    }

    /// Sets it so many seconds ahead of the true time; behind it, if negative.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn set_ahead(&self, seconds: i64) {
        // Whoever looks in between must not see half of it.
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, seconds.to_string()).expect("the file can be written");
        fs::rename(&fresh, &self.file).expect("the file can be renamed");
    }
}

/// What makes every sync of a program take so many milliseconds longer.
///
/// # Panics
/// If the library cannot be built.
#[must_use]
pub fn slow_disk(folder: &Path, milliseconds: u32) -> [(&'static str, OsString); 2] {
    [("LD_PRELOAD", build(folder, "slow").into()), ("NCP_TEST_SYNC_MS", milliseconds.to_string().into())]
}
