//! A disk whose power can be cut: ext4 in a file, mounted over a loop device. Needs root, loop devices, `mkfs.ext4`,
//! `mount`, and the C compiler that the project needs anyway.
//!
//! What is mounted is unmounted when the [`Image`] is dropped, also by a panic; the loop device goes with the mount.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::binaries::top;

/// Times that an unmount is tried while something still lets go of a file.
const UNMOUNTS: usize = 200;

/// A mounted image.
#[derive(Debug)]
pub struct Image {
    file: PathBuf,
    mount: PathBuf,
    cutter: PathBuf,
    // Removed last.
    _folder: TempDir,
}

impl Image {
    /// Makes and mounts one of so many MiB; the file takes no more than is written.
    ///
    /// # Errors
    /// Why this machine does not let us.
    ///
    /// # Panics
    /// If the temporary folder cannot be written or the C compiler fails.
    pub fn make(mebibytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("this user is not root".to_owned());
        }
        let folder = crate::folder::fresh();
        let (file, mount) = (folder.path().join("image"), folder.path().join("m"));
        let cutter = folder.path().join("cut");
        run(Command::new("cc").arg("-o").arg(&cutter).arg(top().join("tests/shims/cut.c"))).expect("the shim builds");
        std::fs::create_dir(&mount).expect("a folder can be made");
        let sparse = std::fs::File::create(&file).expect("a file can be made");
        sparse.set_len(mebibytes << 20).expect("a sparse file");
        run(Command::new("mkfs.ext4").arg("-q").arg(&file))?;
        let image = Self { file, mount, cutter, _folder: folder };
        image.mount()?;
        Ok(image)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Everything that was written is on the disk: what was set up stays.
    ///
    /// # Panics
    /// If it cannot be synced.
    pub fn sync(&self) {
        run(Command::new("sync").arg("-f").arg(&self.mount)).expect("the image is synced");
    }

    /// Cuts the power: what is not on the disk is lost, and every later write fails.
    ///
    /// # Panics
    /// If it cannot be cut.
    pub fn cut(&self) {
        run(Command::new(&self.cutter).arg(&self.mount)).expect("the power is cut");
    }

    /// Power again: unmounts, and mounts what is there. Nobody may have a file open.
    ///
    /// # Panics
    /// If it cannot be unmounted or mounted.
    pub fn restore(&self) {
        let mut busy = String::new();
        let done = (0..UNMOUNTS).any(|_| {
            let unmounted = run(Command::new("umount").arg(&self.mount));
            unmounted.map_err(|error| busy = error).is_ok()
        });
        assert!(done, "{busy}");
        self.mount().expect("it can be mounted again");
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&self.file).arg(&self.mount))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if run(Command::new("umount").arg(&self.mount)).is_err() {
            // Somebody still has a file open: it goes with the last one.
            let _ = run(Command::new("umount").arg("-l").arg(&self.mount));
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim()))
}
