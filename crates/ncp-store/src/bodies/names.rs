//! Making names durable, for many at a time: whoever comes while a folder is being synced shares the next sync of it.
//!
//! After a failure no sync is tried again, of none of the folders, until the next start: it would report success over names that
//! are lost. Nor does one count that ends after the failure is known.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Names {
    folders: Mutex<Folders>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Folders {
    // What a look finds may be in memory alone.
    uncertain: bool,
    syncs: BTreeMap<PathBuf, Syncs>,
}

/// The syncs of one folder, which are numbered and follow one another.
#[derive(Debug, Default, Clone, Copy)]
struct Syncs {
    begun: u64,
    ended: u64,
}

impl Names {
    /// Returns once a sync of `folder` that began after the call has succeeded.
    ///
    /// # Errors
    /// If one of any folder failed, now or earlier.
    pub(super) fn sync(&self, folder: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut folders = self.lock();
        let own = folders.of(folder).begun + 1;
        let must_wait = |syncs: Syncs| syncs.begun > syncs.ended && syncs.ended < own;
        while must_wait(*folders.of(folder)) {
            folders = self.ended.wait(folders).unwrap_or_else(PoisonError::into_inner);
        }
        if folders.uncertain {
            return Err(io::Error::other("the names of bodies could not be made durable before"));
        }
        if folders.of(folder).ended >= own {
            return Ok(());
        }
        folders.of(folder).begun = own;
        drop(folders);
        let synced = sync();
        let mut folders = self.lock();
        folders.of(folder).ended = own;
        let failed_beside = folders.uncertain;
        folders.uncertain |= synced.is_err();
        drop(folders);
        self.ended.notify_all();
        synced?;
        if failed_beside {
            Err(io::Error::other("the names of bodies could not be made durable meanwhile"))
        } else {
            Ok(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, Folders> {
        // Each change is one step, so whatever panicked left it whole.
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folders {
    fn of(&mut self, folder: &Path) -> &mut Syncs {
        self.syncs.entry(folder.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    const FOLDER: &str = "bodies";

    /// What `count` of them are told who come while a sync runs, and how many syncs there were; the first ends with `first`.
    fn beside(count: usize, first: io::Result<()>) -> (Vec<bool>, usize) {
        let (names, calls, waiting) = (Names::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let (begun, has_begun) = channel();
        let (end, may_end) = channel::<()>();
        thread::scope(|scope| {
            let (names, calls, waiting) = (&names, &calls, &waiting);
            let running = scope.spawn(move || {
                names.sync(Path::new(FOLDER), || {
                    calls.fetch_add(1, Ordering::SeqCst);
                    begun.send(()).unwrap();
                    may_end.recv().unwrap();
                    first
                })
            });
            has_begun.recv().unwrap();
            let others: Vec<_> = (0..count)
                .map(|_| {
                    scope.spawn(move || {
                        waiting.fetch_add(1, Ordering::SeqCst);
                        let call = || {
                            calls.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        };
                        names.sync(Path::new(FOLDER), call)
                    })
                })
                .collect();
            while waiting.load(Ordering::SeqCst) < count {
                thread::yield_now();
            }
            end.send(()).unwrap();
            let told = std::iter::once(running).chain(others).map(|thread| thread.join().unwrap().is_ok());
            (told.collect(), calls.load(Ordering::SeqCst))
        })
    }

    #[test]
    fn whoever_comes_during_a_sync_shares_the_next_one() {
        let (told, calls) = beside(8, Ok(()));
        assert!(told.iter().all(|is_durable| *is_durable));
        // Late ones may need one more each; never does one count that began before.
        assert!((2..=9).contains(&calls), "{calls}");
    }

    #[test]
    fn after_a_failure_nobody_is_told_of_success_and_nothing_is_tried_again() {
        let (told, calls) = beside(8, Err(io::Error::other("made to fail")));
        assert_eq!((told, calls), (vec![false; 9], 1));
    }

    #[test]
    fn a_sync_of_another_folder_beside_a_failure_does_not_count() {
        let names = Names::default();
        let beside = names.sync(Path::new("a"), || {
            let failed = names.sync(Path::new("b"), || Err(io::Error::other("made to fail")));
            assert!(failed.is_err());
            Ok(())
        });
        assert!(beside.is_err());
        assert!(names.sync(Path::new("a"), || panic!("never tried again")).is_err());
    }
}
