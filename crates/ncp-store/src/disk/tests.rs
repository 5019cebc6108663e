//! The real and the model disk keep the same contract; the model's faults are what they say.

use std::io::ErrorKind;
use std::path::Path;

use super::model::{Cut, Fault, ModelDisk};
use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// Runs one check on either disk.
macro_rules! on_both {
    ($($name:ident: $check:ident;)+) => {
        mod real {
            $(#[test]
            fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$check(&super::RealDisk::open(folder.path()).unwrap());
            })+
        }
        mod model {
            $(#[test]
            fn $name() {
                super::$check(&super::ModelDisk::new());
            })+
        }
    };
}

on_both! {
    content_reads_back: check_content;
    names_move_and_go: check_names;
    paths_stay_inside: check_paths;
    verbs_replace_and_set_aside: check_verbs;
}

fn check_content<D: Disk>(disk: &D) {
    let file = disk.open(path("f"), OpenMode::CreateNew).unwrap();
    assert_eq!(disk.open(path("f"), OpenMode::CreateNew).err().unwrap().kind(), ErrorKind::AlreadyExists);
    file.allocate(3_000).unwrap();
    file.write_at(b"abc", 1_022).unwrap();
    file.sync_data().unwrap();
    file.allocate(10).unwrap();
    assert_eq!(file.len().unwrap(), 3_000, "allocation never shortens");
    let mut buffer = [7; 6];
    assert_eq!(disk.open(path("f"), OpenMode::Read).unwrap().read_at(&mut buffer, 1_021).unwrap(), 6);
    assert_eq!(&buffer, b"\0abc\0\0");
    assert_eq!(file.read_at(&mut buffer, 2_998).unwrap(), 2);
    assert_eq!(file.read_at(&mut buffer, 9_000).unwrap(), 0);
    file.truncate(1_023).unwrap();
    file.truncate(1_030).unwrap();
    file.read_at(&mut buffer, 1_021).unwrap();
    assert_eq!(&buffer, b"\0a\0\0\0\0", "what was cut off reads as zeros");
    file.write_at(b"xy", 2_000).unwrap();
    assert_eq!(file.len().unwrap(), 2_002);
    disk.sync_all(&[&file, &file, &file]).unwrap();
    assert!(disk.free_space().unwrap() > 0);
}

fn check_names<D: Disk>(disk: &D) {
    disk.create_dir(path("d")).unwrap();
    disk.create_dir(path("d")).unwrap();
    assert!(disk.create_dir(path("a/b")).is_err());
    disk.open(path("d/x"), OpenMode::CreateNew).unwrap().write_at(b"x", 0).unwrap();
    disk.open(path("y"), OpenMode::CreateNew).unwrap().write_at(b"y", 0).unwrap();
    assert!(disk.create_dir(path("y")).is_err());
    assert_eq!(disk.list(path("")).unwrap(), ["d", "y"]);
    disk.rename(path("d/x"), path("y")).unwrap();
    disk.sync_dir(path("")).unwrap();
    disk.sync_dir(path("d")).unwrap();
    assert_eq!(disk.list(path("d")).unwrap(), [""; 0]);
    assert_eq!(read_file(disk, path("y")).unwrap(), b"x");
    assert!(exists(disk, path("y")).unwrap() && !exists(disk, path("d/x")).unwrap());
    disk.remove(path("y")).unwrap();
    for missing in
        [disk.open(path("y"), OpenMode::Read).err(), disk.remove(path("y")).err(), disk.list(path("n")).err()]
    {
        assert_eq!(missing.unwrap().kind(), ErrorKind::NotFound);
    }
    assert!(disk.sync_dir(path("n")).is_err());
}

fn check_paths<D: Disk>(disk: &D) {
    for outside in ["../f", "/tmp/f", "d/../../f"] {
        assert_eq!(disk.open(path(outside), OpenMode::CreateNew).err().unwrap().kind(), ErrorKind::InvalidInput);
        assert_eq!(disk.create_dir(path(outside)).err().unwrap().kind(), ErrorKind::InvalidInput);
    }
}

fn check_verbs<D: Disk>(disk: &D) {
    replace_file(disk, path("f"), b"one").unwrap();
    replace_file(disk, path("f"), b"second").unwrap();
    assert_eq!(read_file(disk, path("f")).unwrap(), b"second");
    assert_eq!(disk.list(path("")).unwrap(), ["f"]);
    assert_eq!(set_aside(disk, "f", b"bits").unwrap(), path("corrupt/f.0"));
    assert_eq!(move_aside(disk, path("f"), "f").unwrap(), path("corrupt/f.1"));
    assert_eq!(disk.list(path("")).unwrap(), ["corrupt"]);
    assert_eq!(read_file(disk, path("corrupt/f.1")).unwrap(), b"second");
}

#[test]
fn real_files_are_private_and_links_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.open(path("f"), OpenMode::CreateNew).unwrap();
    disk.create_dir(path("d")).unwrap();
    let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("f"), mode("d")), (0o600, 0o700));
    std::os::unix::fs::symlink("f", folder.path().join("link")).unwrap();
    assert!(disk.open(path("link"), OpenMode::Write).is_err());
}

#[test]
fn a_real_sync_of_several_files_tells_the_failure_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let good: Vec<_> =
        ["a", "b", "c"].map(|name| disk.open(path(name), OpenMode::CreateNew).unwrap()).into_iter().collect();
    // What cannot be synced: fdatasync(2) refuses a pipe.
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("p"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let bad = disk.open(path("p"), OpenMode::Write).unwrap();
    for at in 0..=good.len() {
        let mut files: Vec<_> = good.iter().collect();
        disk.sync_all(&files).unwrap();
        files.insert(at, &bad);
        assert_eq!(disk.sync_all(&files).unwrap_err().kind(), ErrorKind::InvalidInput, "at {at}");
    }
}

fn file_with(disk: &ModelDisk, name: &str, bytes: &[u8]) -> super::model::ModelFile {
    let file = disk.open(path(name), OpenMode::CreateNew).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path("")).unwrap();
    file
}

#[test]
fn only_what_was_synced_survives_a_lost_cache() {
    let disk = ModelDisk::new();
    let file = file_with(&disk, "f", b"old");
    file.write_at(b"newer", 0).unwrap();
    disk.open(path("g"), OpenMode::CreateNew).unwrap().sync_data().unwrap();
    let disk = disk.reopen(Cut::Lost);
    assert_eq!(disk.list(path("")).unwrap(), ["f"], "a synced file without its folder's sync has no name");
    assert_eq!(read_file(&disk, path("f")).unwrap(), b"old");
}

#[test]
fn a_killed_process_loses_nothing_and_makes_nothing_durable() {
    let disk = ModelDisk::new();
    file_with(&disk, "f", b"old").write_at(b"new", 0).unwrap();
    let disk = disk.reopen(Cut::Killed);
    assert_eq!(read_file(&disk, path("f")).unwrap(), b"new");
    let disk = disk.reopen(Cut::Lost);
    assert_eq!(read_file(&disk, path("f")).unwrap(), b"old");
}

#[test]
fn no_later_sync_makes_up_for_a_failed_one() {
    let disk = ModelDisk::new();
    let file = file_with(&disk, "f", b"old");
    file.write_at(b"new", 0).unwrap();
    disk.fail_at(disk.operations(), Fault::Fail);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(read_file(&disk, path("f")).unwrap(), b"new");
    let disk = disk.reopen(Cut::Lost);
    assert_eq!(read_file(&disk, path("f")).unwrap(), b"old");
}

#[test]
fn a_name_whose_sync_failed_is_pending_still() {
    let disk = ModelDisk::new();
    for name in ["f", "g"] {
        disk.open(path(name), OpenMode::CreateNew).unwrap();
        disk.fail_at(disk.operations(), Fault::Fail);
        assert!(disk.sync_dir(path("")).is_err());
        if name == "f" {
            disk.sync_dir(path("")).unwrap();
        }
    }
    assert_eq!(disk.reopen(Cut::Lost).list(path("")).unwrap(), ["f"]);
}

#[test]
fn faults_fail_persist_or_stop() {
    let disk = ModelDisk::new();
    let file = file_with(&disk, "f", b"old");
    disk.fail_at(disk.operations(), Fault::Fail);
    assert!(file.write_at(b"abc", 0).is_err());
    assert_eq!(read_file(&disk, path("f")).unwrap(), b"old");
    disk.fail_at(disk.operations(), Fault::FailButPersisted);
    assert!(file.write_at(b"def", 0).is_err());
    disk.fail_read_at(disk.reads() + 1);
    assert!(disk.list(path("")).is_ok() && disk.list(path("")).is_err() && disk.list(path("")).is_ok());
    disk.fail_at(disk.operations() + 1, Fault::Crash);
    file.write_at(b"ghi", 0).unwrap();
    assert!(file.sync_data().is_err() && disk.crashed());
    assert!(file.len().is_err() && disk.list(path("")).is_err());
    let disk = disk.reopen(Cut::Lost);
    assert_eq!(read_file(&disk, path("f")).unwrap(), b"def");
    assert!(file.len().is_err(), "a handle does not outlive a restart");
}

#[test]
fn torn_writes_keep_some_units_of_some_version() {
    let mut mixed = 0;
    for seed in 0..64 {
        let disk = ModelDisk::new();
        let file = file_with(&disk, "f", &[1; 2_048]);
        file.write_at(&[2; 2_048], 0).unwrap();
        file.write_at(&[3; 2_048], 0).unwrap();
        let bytes = read_file(&disk.reopen(Cut::Torn(seed)), path("f")).unwrap();
        let units: Vec<u8> = bytes.chunks(512).map(|unit| unit[0]).collect();
        assert!(bytes.chunks(512).all(|unit| (1..=3).contains(&unit[0]) && unit.iter().all(|byte| *byte == unit[0])));
        mixed += usize::from(units.iter().any(|unit| *unit != units[0]));
    }
    assert!(mixed > 32);
}

#[test]
fn a_rename_never_loses_both_names() {
    for seed in 0..64 {
        let disk = ModelDisk::new();
        disk.create_dir(path("a")).unwrap();
        disk.create_dir(path("b")).unwrap();
        let _file = file_with(&disk, "a/f", b"f");
        disk.sync_dir(path("a")).unwrap();
        disk.rename(path("a/f"), path("b/f")).unwrap();
        let disk = disk.reopen(Cut::Torn(seed));
        let names = disk.list(path("a")).unwrap().len() + disk.list(path("b")).unwrap().len();
        assert!(names >= 1, "seed {seed}");
    }
}

#[test]
fn flipped_bits_show_until_they_are_written_over() {
    let disk = ModelDisk::new();
    let file = file_with(&disk, "f", &[0; 600]);
    disk.flip_bit(path("f"), 599 * 8 + 3).unwrap();
    assert_eq!(read_file(&disk, path("f")).unwrap()[599], 8);
    disk.heal();
    assert_eq!(read_file(&disk, path("f")).unwrap()[599], 0);
    disk.flip_bit(path("f"), 8).unwrap();
    file.write_at(&[5; 2], 0).unwrap();
    assert_eq!(read_file(&disk, path("f")).unwrap()[..2], [5, 5]);
    assert!(disk.flip_bit(path("f"), 600 * 8).is_err());
}

#[test]
fn a_full_disk_refuses_growth() {
    let disk = ModelDisk::new();
    let file = file_with(&disk, "f", &[1; 600]);
    disk.set_capacity(1_000);
    assert_eq!(disk.free_space().unwrap(), 400);
    assert_eq!(file.allocate(1_001).err().unwrap().kind(), ErrorKind::StorageFull);
    file.write_at(&[2; 600], 0).unwrap();
    assert_eq!(file.write_at(&[2; 600], 500).err().unwrap().kind(), ErrorKind::StorageFull);
    disk.remove(path("f")).unwrap();
    assert_eq!(disk.free_space().unwrap(), 1_000);
}
