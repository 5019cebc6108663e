//! The whole store on the real disk, with redb.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod common;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use common::{Command, Toy, add, message, note_name, rows};
use ncp_protocol::ids::{LogName, UnixMillis};
use ncp_store::committer::{Running, Stopped};
use ncp_store::queue::{Source, Urgency};
use ncp_store::state::View;
use ncp_store::store::{Store, StoreError, StoreOptions};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A folder as the daemons want it: theirs alone.
fn data_folder(root: &tempfile::TempDir) -> PathBuf {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = root.path().join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    folder
}

fn open(folder: &Path) -> Result<Store<Toy>, StoreError> {
    let now = UnixMillis(1_700_000_000_000);
    Store::open(Toy, StoreOptions { folder: folder.to_owned(), logs: common::logs(), now })
}

/// All rows but the places of records, which move when others are erased.
fn lasting_rows(view: &impl View) -> BTreeMap<Vec<u8>, Vec<u8>> {
    rows(view).into_iter().filter(|(key, _)| key[0] != 3).collect()
}

fn submit(running: &Running<Toy>, command: Command) -> Result<u16, Stopped> {
    block_on(running.handle.submit(Source::Local, Urgency::Routine, 100, command)).map(|committed| committed.reply)
}

fn stop(running: Running<Toy>) {
    running.handle.stop();
    running.thread.join().unwrap().unwrap();
}

#[test]
fn life_on_a_real_disk_with_its_index_lost_and_damaged() {
    let root = tempfile::tempdir().unwrap();
    let folder = data_folder(&root);
    let running = open(&folder).unwrap().start().unwrap();
    for salt in 1..=200 {
        let number = u8::try_from(salt % 7).unwrap();
        submit(&running, add(number, &[number; 3_000], salt)).unwrap();
    }
    submit(&running, Command::Erase { message: message(3), salt: 1_000 }).unwrap();
    let reader = running.handle.reader().clone();
    let live = lasting_rows(&reader.view());
    let proof = reader.evidence(LogName::Traffic, 5).unwrap().unwrap();
    stop(running);
    drop(reader);

    let check = |what: &str| {
        let store = open(&folder).unwrap();
        let report = store.report().clone();
        assert!(lasting_rows(&store.reader().view()) == live, "{what}");
        assert_eq!(store.reader().evidence(LogName::Traffic, 5).unwrap().unwrap(), proof, "{what}");
        assert_eq!(store.reader().record(&note_name(&[3; 3_000], 3)).unwrap(), None, "{what}");
        assert_eq!(store.reader().record(&note_name(&[4; 3_000], 4)).unwrap(), Some(vec![4; 3_000]), "{what}");
        report
    };
    let report = check("as it was");
    assert_eq!((report.rebuilt, report.torn), (None, None));

    let index = folder.join("index");
    std::fs::remove_dir_all(&index).unwrap();
    assert_eq!(check("index deleted").replayed, 203);

    let file = index.join("rows.redb");
    let damage = |bytes: &mut [u8], from: usize| bytes.iter_mut().skip(from).step_by(511).for_each(|b| *b ^= 0x10);
    // Everywhere, behind its header alone, and cut: it is never half believed, and the rows are there again.
    for (what, from, keep) in [("index damaged", 0, 1), ("rows damaged", 4 << 10, 1), ("index cut", usize::MAX, 2)] {
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes, from);
        bytes.truncate(bytes.len() / keep);
        std::fs::write(&file, bytes).unwrap();
        assert_ne!(check(what).replayed, 0, "{what}");
    }
    std::fs::write(&file, b"").unwrap();
    assert_ne!(check("an empty file").replayed, 0);
}

#[test]
fn data_folder_serves_one_process_and_is_free_after_the_stop() {
    let root = tempfile::tempdir().unwrap();
    let folder = data_folder(&root);
    let running = open(&folder).unwrap().start().unwrap();
    assert!(matches!(open(&folder).map(drop), Err(StoreError::Lock(_))));
    assert_eq!(submit(&running, add(1, b"a", 1)), Ok(1));
    let handle = running.handle.clone();
    stop(running);
    assert_eq!(block_on(handle.submit(Source::Local, Urgency::Routine, 1, add(1, b"b", 2))), Err(Stopped));
    let running = open(&folder).unwrap().start().unwrap();
    assert_eq!(submit(&running, add(1, b"b", 2)), Ok(2));
    stop(running);
}
