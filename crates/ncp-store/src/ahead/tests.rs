//! What is made ahead is taken once, and what goes wrong with it costs nothing.

use core::time::Duration;

use super::*;
use crate::ballast::{self, BALLAST};
use crate::disk::model::{Cut, Fault, ModelDisk};
use crate::disk::{RealDisk, exists, read_file};

/// How often a wait looks whether its thread still runs.
const PATIENCE: Duration = Duration::from_millis(50);
const LEN: u32 = 2 * AHEAD_STEP + 4_096;

fn folder() -> &'static Path {
    Path::new("segments")
}

fn first() -> PathBuf {
    folder().join("0.seg")
}

fn with_folder<D: Disk>(disk: D) -> Ahead<D> {
    disk.create_dir(folder()).unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    Ahead::new(disk)
}

fn zeros<D: Disk>(disk: &D, path: &Path) -> bool {
    read_file(disk, path).unwrap() == vec![0; LEN as usize]
}

fn check_takes_what_was_made<D: Disk>(ahead: &Ahead<D>) {
    ahead.want(folder(), LEN);
    ahead.want(folder(), LEN);
    assert_eq!(ahead.disk.list(folder()).unwrap(), [""; 0], "nobody has come to it");
    ahead.make().unwrap();
    assert_eq!(ahead.disk.list(folder()).unwrap(), [NAME]);
    // Whatever it was made for, it serves who comes first, once.
    ahead.segment(&first(), LEN).unwrap().write_at(b"", 0).unwrap();
    assert_eq!(ahead.disk.list(folder()).unwrap(), ["0.seg"]);
    ahead.segment(&folder().join("1.seg"), LEN).unwrap();
    assert!(zeros(&ahead.disk, &first()) && zeros(&ahead.disk, &folder().join("1.seg")));
}

#[test]
fn what_was_made_is_taken_on_the_real_disk() {
    let data = tempfile::tempdir().unwrap();
    check_takes_what_was_made(&with_folder(RealDisk::open(data.path()).unwrap()));
}

#[test]
fn what_was_made_is_taken_on_the_model() {
    check_takes_what_was_made(&with_folder(ModelDisk::new()));
}

#[test]
fn what_was_made_costs_whoever_takes_it_two_operations_and_is_durable() {
    let ahead = with_folder(ModelDisk::new());
    ahead.want(folder(), LEN);
    ahead.make().unwrap();
    let before = ahead.disk.operations();
    ahead.segment(&first(), LEN).unwrap();
    assert_eq!(ahead.disk.operations() - before, 2, "a rename and a sync of the folder");
    assert!(zeros(&ahead.disk.reopen(Cut::Lost), &first()));
}

#[test]
fn another_length_is_not_taken() {
    let ahead = with_folder(ModelDisk::new());
    ahead.want(folder(), 4_096);
    ahead.make().unwrap();
    ahead.segment(&first(), LEN).unwrap();
    assert!(zeros(&ahead.disk, &first()));
}

#[test]
fn a_name_that_is_borne_is_not_given_again() {
    let ahead = with_folder(ModelDisk::new());
    ahead.segment(&first(), LEN).unwrap().write_at(b"kept", 0).unwrap();
    for _ in 0..2 {
        let again = ahead.segment(&first(), LEN).map(drop);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        ahead.want(folder(), LEN);
        ahead.make().unwrap();
    }
    assert_eq!(read_file(&ahead.disk, &first()).unwrap()[..4], *b"kept");
}

#[test]
fn a_disk_that_fails_over_it_is_told_and_costs_no_segment() {
    let mut told = 0;
    for fault in [Fault::Fail, Fault::FailButPersisted] {
        for operation in 0..8 {
            let ahead = with_folder(ModelDisk::new());
            ahead.want(folder(), LEN);
            let before = ahead.disk.operations();
            ahead.disk.fail_at(before + operation, fault);
            let failed = ahead.make().is_err();
            assert_eq!(failed, operation < 7, "{fault:?} at {operation} of {}", ahead.disk.operations() - before);
            told += usize::from(failed);
            let disk = ahead.disk.reopen(Cut::Killed);
            remove_unfinished(&disk, folder()).unwrap();
            Ahead::new(disk.clone()).segment(&first(), LEN).unwrap();
            assert!(zeros(&disk.reopen(Cut::Lost), &first()), "{fault:?} at {operation}");
        }
    }
    assert_eq!(told, 14, "create, then zeros and a sync in three steps");
}

#[test]
fn on_a_disk_that_is_nearly_full_none_is_made() {
    let disk = ModelDisk::new();
    let ahead = with_folder(disk.clone());
    disk.set_capacity(AHEAD_ROOM_MIN + u64::from(LEN) - 1);
    ahead.want(folder(), LEN);
    ahead.make().unwrap();
    // It is not tried again before the next segment.
    disk.set_capacity(2 * AHEAD_ROOM_MIN);
    ahead.want(folder(), LEN);
    ahead.make().unwrap();
    assert_eq!(disk.list(folder()).unwrap(), [""; 0]);
    ahead.segment(&first(), LEN).unwrap();
    ahead.want(folder(), LEN);
    ahead.make().unwrap();
    assert_eq!(disk.list(folder()).unwrap(), ["0.seg", NAME]);
}

#[test]
fn what_is_made_goes_before_the_ballast_when_a_segment_finds_no_room() {
    let disk = ModelDisk::new();
    let ahead = with_folder(disk.clone());
    ballast::keep(&disk, u64::from(LEN), 0).unwrap();
    let other = Path::new("others");
    disk.create_dir(other).unwrap();
    ahead.want(other, LEN);
    ahead.make().unwrap();
    disk.set_capacity(3 * u64::from(LEN) - 1);
    ahead.segment(&first(), LEN).unwrap();
    assert_eq!((disk.list(other).unwrap(), exists(&disk, Path::new(BALLAST)).unwrap()), (Vec::new(), true));
    let second = folder().join("1.seg");
    assert!(ahead.segment(&second, LEN).is_ok() && !exists(&disk, Path::new(BALLAST)).unwrap());
    assert!(zeros(&disk, &first()) && zeros(&disk, &second));
    let third = ahead.segment(&folder().join("2.seg"), LEN).map(drop);
    assert_eq!(third.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn what_an_earlier_life_made_goes_before_anything_looks_for_room() {
    let disk = ModelDisk::new();
    remove_leftovers(&disk).unwrap();
    journal::create(&disk).unwrap();
    let ahead = Ahead::new(disk.clone());
    let first = journal::segment_path(0);
    ahead.segment(&first, LEN).unwrap();
    ahead.want(Path::new(journal::FOLDER), LEN);
    ahead.make().unwrap();
    remove_leftovers(&disk).unwrap();
    assert_eq!(disk.list(Path::new(journal::FOLDER)).unwrap(), ["0000000000000000.seg"]);
}

#[test]
fn a_stop_at_any_operation_leaves_no_segment_or_a_whole_one() {
    for cut in [Cut::Lost, Cut::Kept, Cut::Torn(1), Cut::Torn(2), Cut::Killed] {
        for operation in 0..12 {
            let ahead = with_folder(ModelDisk::new());
            ahead.disk.fail_at(ahead.disk.operations() + operation, Fault::Crash);
            ahead.want(folder(), LEN);
            // The store would stop there; whoever does not is no better off.
            let _ = ahead.make();
            let has_returned = ahead.segment(&first(), LEN).is_ok();
            let disk = ahead.disk.reopen(cut);
            remove_unfinished(&disk, folder()).unwrap();
            match disk.list(folder()).unwrap().as_slice() {
                [] => assert!(!has_returned, "{cut:?} at {operation}"),
                [name] => assert!(name == "0.seg" && zeros(&disk, &first()), "{cut:?} at {operation}"),
                names => panic!("{cut:?} at {operation}: {names:?}"),
            }
        }
    }
}

#[test]
fn a_thread_makes_what_is_wanted_until_it_is_closed() {
    let ahead = with_folder(ModelDisk::new());
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| ahead.run());
        // Nothing here may panic before the thread is told to end.
        for number in 0..4 {
            ahead.want(folder(), LEN);
            let mut state = ahead.state();
            while matches!(state.spares.get(folder()), Some(Spare::Wanted(_) | Spare::Making)) && !maker.is_finished() {
                state = ahead.shared.changed.wait_timeout(state, PATIENCE).unwrap().0;
            }
            drop(state);
            if number < 3 {
                let _ = ahead.segment(&folder().join(format!("{number}.seg")), LEN);
            }
        }
        ahead.close();
        maker.join().unwrap().unwrap();
    });
    assert_eq!(ahead.disk.list(folder()).unwrap(), ["0.seg", "1.seg", "2.seg"], "what nobody took is gone");
    // Created, three times grown and synced, renamed, and the folder synced: less if nothing had been made ahead.
    assert!(ahead.disk.operations() >= 3 * 9);
}
