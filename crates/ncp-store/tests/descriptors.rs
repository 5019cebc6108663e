//! A lack of descriptors is waited out. Alone in its process, whose limit it lowers.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use ncp_store::disk::{Disk, OpenMode, RealDisk};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_disk_without_descriptors_waits_for_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there"), b"x").unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!held.is_empty() && File::open("/dev/null").is_err());

    let (answer, answered) = channel();
    let opening = std::thread::spawn(move || {
        let opened = disk.open(Path::new("there"), OpenMode::Read).map(|_| ());
        let listed = disk.list(Path::new(""));
        answer.send((opened.is_ok(), listed.unwrap())).unwrap();
    });
    assert_eq!(answered.recv_timeout(Duration::from_millis(300)), Err(RecvTimeoutError::Timeout));
    drop(held);
    assert_eq!(answered.recv_timeout(Duration::from_secs(30)), Ok((true, vec!["there".to_owned()])));
    opening.join().unwrap();
}
