//! The daemons' programs, which lie beside this one.

use std::path::{Path, PathBuf};

use ncp_api::ErrorCode;

use crate::error::{Error, internal};

/// The program `name` in the folder in which this program lies; nowhere else is looked.
pub(crate) fn beside(name: &str) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(|error| internal(&error))?;
    in_folder(own.parent().unwrap_or(Path::new("/")), name)
}

fn in_folder(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let program = folder.join(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(ErrorCode::ProgramMissing.with("program", name).with("folder", folder.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_taken_from_one_folder_alone() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(in_folder(folder.path(), "ncp-node").expect_err("none").is(ErrorCode::ProgramMissing));
        std::fs::create_dir(folder.path().join("ncp-node")).expect("made");
        assert!(in_folder(folder.path(), "ncp-node").is_err());
        std::fs::write(folder.path().join("ncp-relay"), "").expect("written");
        assert_eq!(in_folder(folder.path(), "ncp-relay").expect("there"), folder.path().join("ncp-relay"));
    }
}
