//! An upload becomes a body only whole, verified and durable.

use ncp_protocol::body::{RootHasher, chunk_hash};
use ncp_protocol::limits::CHUNK_SEALED;

use super::*;
use crate::disk::RealDisk;
use crate::disk::model::{Cut, Fault, ModelDisk};

const CHUNK: u64 = CHUNK_SEALED as u64;
/// Chunks between two syncs of an upload.
const SYNC_CHUNKS: u64 = crate::limits::UPLOAD_SYNC_BYTES.div_ceil(CHUNK);

fn peer() -> ParticipantId {
    "XA".parse().unwrap()
}

/// Chunk `index` of a body of `length` bytes.
fn chunk(index: u64, length: u64) -> Vec<u8> {
    let len = CHUNK.min(length - index * CHUNK);
    (0..len).map(|place| u8::try_from((index * 7 + place) % 251).unwrap()).collect()
}

fn chunks(length: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..length.div_ceil(CHUNK)).map(move |index| chunk(index, length))
}

fn root(length: u64) -> Digest {
    let mut root = RootHasher::new();
    chunks(length).for_each(|chunk| root.push(chunk_hash(&chunk)));
    root.finish()
}

fn expecting(expect: Expect) -> UploadRequest {
    UploadRequest {
        peer: peer(),
        originator: "XB".parse().unwrap(),
        message: MessageId::from_random([9; 16]),
        expect,
        start: Start::Resume,
        now: UnixMillis(1_000),
        quota: 1 << 30,
    }
}

fn request(length: u64) -> UploadRequest {
    expecting(Expect::Root { root: root(length), length })
}

fn begin<D: Disk>(bodies: &Bodies<D>, request: &UploadRequest) -> Upload<D> {
    match bodies.upload(request).unwrap() {
        Begun::Upload(upload) => *upload,
        Begun::Complete(body) => panic!("already complete: {body:?}"),
    }
}

/// Appends chunks from the next one wanted up to `until`.
fn feed<D: Disk>(upload: &mut Upload<D>, length: u64, until: u64) {
    for index in upload.next_chunk()..until {
        upload.append(&chunk(index, length)).unwrap();
    }
}

fn upload_all<D: Disk>(bodies: &Bodies<D>, length: u64) -> BodyName {
    let mut upload = begin(bodies, &request(length));
    feed(&mut upload, length, length.div_ceil(CHUNK));
    upload.finish().unwrap()
}

fn check_life<D: Disk>(disk: &D) {
    let bodies = Bodies::open(disk.clone()).unwrap();
    let length = 2 * CHUNK + 100;
    let mut upload = begin(&bodies, &request(length));
    assert_eq!(bodies.incoming(peer()), length);
    feed(&mut upload, length, 3);
    assert_eq!((upload.next_chunk(), upload.length()), (3, length));
    let name = upload.finish().unwrap();
    assert_eq!((name.root, bodies.incoming(peer())), (root(length), 0));
    assert_eq!(bodies.list().unwrap(), [name]);
    let bodies = Bodies::open(disk.clone()).unwrap();
    let Begun::Complete(body) = bodies.upload(&request(length)).unwrap() else { panic!("not there") };
    assert_eq!((body.len(), body.root().unwrap()), (length, name.root));
    assert_eq!(body.chunk(2).unwrap(), Some(chunk(2, length)));
    assert_eq!(body.chunk(3).unwrap(), None);
    bodies.renew(&name).unwrap();
    assert_eq!(bodies.read(&name).unwrap().unwrap().root().unwrap(), name.root);
    assert_eq!(disk.list(Path::new(FOLDER)).unwrap().len(), 1);
    assert_eq!(disk.list(&incoming(peer())).unwrap(), [""; 0]);
    bodies.remove(&name).unwrap();
    bodies.remove(&name).unwrap();
    assert!(bodies.read(&name).unwrap().is_none());
    assert_eq!(body.chunk(0).unwrap(), Some(chunk(0, length)), "an open body outlives its name");
}

#[test]
fn an_upload_becomes_a_body_on_the_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    check_life(&RealDisk::open(folder.path()).unwrap());
}

#[test]
fn an_upload_becomes_a_body_on_the_model() {
    check_life(&ModelDisk::new());
}

#[test]
fn a_body_of_any_content_takes_its_name_from_its_root() {
    let bodies = Bodies::open(ModelDisk::new()).unwrap();
    let mut upload = begin(&bodies, &expecting(Expect::Any { limit: 3 * CHUNK }));
    assert_eq!(bodies.incoming(peer()), 3 * CHUNK);
    feed(&mut upload, CHUNK + 5, 2);
    let name = upload.finish().unwrap();
    assert_eq!(name.root, root(CHUNK + 5));
    assert_eq!(bodies.read(&name).unwrap().unwrap().len(), CHUNK + 5);
}

#[test]
fn chunks_of_a_wrong_length_are_refused_and_harm_nothing() {
    let length = 2 * CHUNK + 100;
    let bodies = Bodies::open(ModelDisk::new()).unwrap();
    let mut upload = begin(&bodies, &request(length));
    let refused = |result: Result<(), UploadError>| assert!(matches!(result, Err(UploadError::Length)));
    refused(upload.append(&[]));
    refused(upload.append(&[0; 100]));
    refused(upload.append(&vec![0; CHUNK_SEALED + 1]));
    feed(&mut upload, length, 2);
    refused(upload.append(&[0; 99]));
    refused(upload.append(&[0; 101]));
    feed(&mut upload, length, 3);
    refused(upload.append(&[0; 1]));
    upload.finish().unwrap();

    let mut upload = begin(&bodies, &expecting(Expect::Any { limit: CHUNK + 10 }));
    refused(upload.append(&vec![0; CHUNK_SEALED + 1]));
    upload.append(&vec![0; CHUNK_SEALED]).unwrap();
    refused(upload.append(&[0; 11]));
    upload.append(&[0; 9]).unwrap();
    refused(upload.append(&[0; 1]));
}

#[test]
fn an_unfinished_upload_stays_and_a_false_one_goes() {
    let length = CHUNK + 100;
    let bodies = Bodies::open(ModelDisk::new()).unwrap();
    let mut upload = begin(&bodies, &request(length));
    feed(&mut upload, length, 1);
    assert!(matches!(upload.finish(), Err(UploadError::Length)));
    assert_eq!(bodies.incoming(peer()), length);
    let mut upload = begin(&bodies, &request(length));
    feed(&mut upload, length, 1);
    upload.append(&[1; 100]).unwrap();
    assert!(matches!(upload.finish(), Err(UploadError::Root)));
    assert_eq!(bodies.incoming(peer()), 0);
    assert_eq!(bodies.list().unwrap(), []);
    assert_eq!(begin(&bodies, &request(length)).next_chunk(), 0);
}

#[test]
fn an_upload_resumes_at_the_last_synced_chunk() {
    let length = (SYNC_CHUNKS + 10) * CHUNK;
    let disk = ModelDisk::new();
    let bodies = Bodies::open(disk.clone()).unwrap();
    let mut upload = begin(&bodies, &request(length));
    feed(&mut upload, length, SYNC_CHUNKS + 5);
    let mut disk = disk;
    for cut in [Cut::Kept, Cut::Torn(1), Cut::Lost] {
        disk = disk.reopen(cut);
        let bodies = Bodies::open(disk.clone()).unwrap();
        assert_eq!(bodies.incoming(peer()), length);
        let mut upload = begin(&bodies, &request(length));
        assert_eq!(upload.next_chunk(), SYNC_CHUNKS, "{cut:?}");
        feed(&mut upload, length, SYNC_CHUNKS + 3);
    }
    let bodies = Bodies::open(disk.reopen(Cut::Killed)).unwrap();
    let mut upload = begin(&bodies, &request(length));
    feed(&mut upload, length, SYNC_CHUNKS + 10);
    let name = upload.finish().unwrap();
    assert_eq!(bodies.read(&name).unwrap().unwrap().root().unwrap(), root(length));
}

#[test]
fn a_pause_keeps_every_full_chunk() {
    let length = 5 * CHUNK + 1;
    let disk = ModelDisk::new();
    let bodies = Bodies::open(disk.clone()).unwrap();
    let mut upload = begin(&bodies, &request(length));
    feed(&mut upload, length, 4);
    upload.pause().unwrap();
    let bodies = Bodies::open(disk.reopen(Cut::Lost)).unwrap();
    let upload = begin(&bodies, &request(length));
    assert_eq!(upload.next_chunk(), 4);
    drop(upload);
    assert_eq!(begin(&bodies, &UploadRequest { start: Start::Afresh, ..request(length) }).next_chunk(), 0);
}

#[test]
fn a_beginning_that_rotted_is_begun_anew() {
    let length = 5 * CHUNK;
    let stem = Stem {
        originator: request(length).originator,
        message: request(length).message,
        expect: request(length).expect,
    };
    for (file, bit) in [(stem.part(), 3 * CHUNK * 8 + 1), (stem.note(), 0), (stem.note(), 130), (stem.note(), 180)] {
        let disk = ModelDisk::new();
        let bodies = Bodies::open(disk.clone()).unwrap();
        let mut upload = begin(&bodies, &request(length));
        feed(&mut upload, length, 4);
        upload.pause().unwrap();
        disk.flip_bit(&incoming(peer()).join(&file), bit).unwrap();
        let mut upload = begin(&bodies, &request(length));
        assert_eq!(upload.next_chunk(), 0, "{file} bit {bit}");
        feed(&mut upload, length, 5);
        upload.finish().unwrap();
    }
}

#[test]
fn one_upload_has_one_owner() {
    let bodies = Bodies::open(ModelDisk::new()).unwrap();
    let first = begin(&bodies, &request(CHUNK));
    assert!(matches!(bodies.clone().upload(&request(CHUNK)), Err(UploadError::Busy)));
    drop(first);
    begin(&bodies, &request(CHUNK)).abandon().unwrap();
    assert_eq!(bodies.incoming(peer()), 0);
}

#[test]
fn declared_bytes_count_against_the_quota_until_they_are_a_body_or_gone() {
    let disk = ModelDisk::new();
    let bodies = Bodies::open(disk.clone()).unwrap();
    let with_quota = |length, quota| UploadRequest { quota, ..request(length) };
    drop(begin(&bodies, &with_quota(CHUNK, 3 * CHUNK)));
    assert!(matches!(bodies.upload(&with_quota(2 * CHUNK + 1, 3 * CHUNK)), Err(UploadError::Quota)));
    drop(begin(&bodies, &with_quota(CHUNK, CHUNK)));
    let other = UploadRequest { peer: "XC".parse().unwrap(), ..with_quota(CHUNK, CHUNK) };
    drop(begin(&bodies, &other));
    assert_eq!(Bodies::open(disk).unwrap().incoming(peer()), CHUNK);
    upload_all(&bodies, CHUNK);
    drop(begin(&bodies, &with_quota(2 * CHUNK, 2 * CHUNK)));
}

#[test]
fn old_leftovers_can_be_told_and_removed() {
    let disk = ModelDisk::new();
    let bodies = Bodies::open(disk.clone()).unwrap();
    let touched = |length, now| UploadRequest { now: UnixMillis(now), ..request(length) };
    drop(begin(&bodies, &touched(CHUNK, 5)));
    drop(begin(&bodies, &touched(CHUNK, 10)));
    drop(begin(&bodies, &touched(2 * CHUNK, 20)));
    let busy = begin(&bodies, &touched(3 * CHUNK, 1));
    let bodies = Bodies::open(disk.clone()).unwrap();
    drop(begin(&bodies, &touched(3 * CHUNK, 30)));
    assert_eq!(bodies.leftovers(UnixMillis(10)).unwrap(), []);
    let old = bodies.leftovers(UnixMillis(11)).unwrap();
    assert_eq!(old.len(), 1);
    let taken_up = begin(&bodies, &touched(CHUNK, 40));
    bodies.discard(&old[0]).unwrap();
    assert_eq!(bodies.incoming(peer()), 6 * CHUNK, "someone works on it again");
    drop((taken_up, busy));
    bodies.discard(&old[0]).unwrap();
    assert_eq!(bodies.incoming(peer()), 5 * CHUNK);
    assert_eq!(disk.list(&incoming(peer())).unwrap().len(), 4);
}

#[test]
fn a_name_that_a_power_cut_takes_is_not_a_body_yet() {
    let length = 2 * CHUNK + 9;
    let mut refused = 0;
    for operation in 0..40 {
        let disk = ModelDisk::new();
        let bodies = Bodies::open(disk.clone()).unwrap();
        disk.fail_at(disk.operations() + operation, Fault::Fail);
        let Ok(Begun::Upload(mut upload)) = bodies.upload(&request(length)) else { continue };
        let fed = (upload.next_chunk()..3).try_for_each(|index| upload.append(&chunk(index, length)));
        if fed.is_err() || upload.finish().is_ok() {
            continue;
        }
        match bodies.upload(&request(length)) {
            Ok(Begun::Complete(_)) => {
                let after = Bodies::open(disk.reopen(Cut::Lost)).unwrap();
                assert_eq!(after.list().unwrap().len(), 1, "operation {operation}");
            }
            Ok(Begun::Upload(_)) => {}
            Err(error) => {
                assert!(matches!(error, UploadError::Names(_)), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the sync of the name was among what failed");
}

#[test]
fn names_are_not_synced_again_once_that_failed() {
    let disk = ModelDisk::new();
    let bodies = Bodies::open(disk.clone()).unwrap();
    let name = upload_all(&bodies, CHUNK + 3);
    let other = 2 * CHUNK + 9;
    let mut upload = begin(&bodies, &request(other));
    feed(&mut upload, other, 3);
    // Behind the unlink comes the sync of the folder, which would have made the other's name durable, too.
    disk.fail_at(disk.operations() + 1, Fault::Fail);
    assert!(bodies.remove(&name).is_err());
    assert!(matches!(upload.finish(), Err(UploadError::Names(_))));
    assert!(bodies.remove(&name).is_err());
}

#[test]
fn a_damaged_body_is_told_and_not_renewed() {
    let disk = ModelDisk::new();
    let bodies = Bodies::open(disk.clone()).unwrap();
    let name = upload_all(&bodies, CHUNK + 3);
    disk.flip_bit(&path(&name), CHUNK * 8 + 4).unwrap();
    assert_ne!(bodies.read(&name).unwrap().unwrap().root().unwrap(), name.root);
    assert_eq!(bodies.renew(&name).err().unwrap().kind(), io::ErrorKind::InvalidData);
    disk.heal();
    assert_eq!(bodies.read(&name).unwrap().unwrap().root().unwrap(), name.root);
}

#[test]
fn a_stop_at_any_operation_leaves_an_upload_that_ends_well() {
    let length = 2 * CHUNK + 9;
    for fault in [Fault::Fail, Fault::FailButPersisted, Fault::Crash] {
        for cut in [Cut::Lost, Cut::Kept, Cut::Torn(1), Cut::Torn(2), Cut::Killed] {
            for operation in 0..24 {
                let disk = ModelDisk::new();
                drop(Bodies::open(disk.clone()).unwrap());
                disk.fail_at(disk.operations() + operation, fault);
                let finished = try_all(&disk, length);
                let disk = disk.reopen(cut);
                let bodies = Bodies::open(disk.clone()).unwrap();
                match bodies.upload(&request(length)).unwrap() {
                    Begun::Complete(body) => assert_eq!(body.root().unwrap(), root(length)),
                    Begun::Upload(mut upload) => {
                        assert!(finished.is_err(), "{fault:?} {cut:?} at {operation}: a finished body is gone");
                        feed(&mut upload, length, 3);
                        upload.finish().unwrap();
                    }
                }
                let bodies = Bodies::open(disk.reopen(Cut::Lost)).unwrap();
                let name = bodies.list().unwrap()[0];
                assert_eq!(bodies.read(&name).unwrap().unwrap().root().unwrap(), root(length));
            }
        }
    }
}

/// An upload with a pause in between.
fn try_all(disk: &ModelDisk, length: u64) -> Result<BodyName, UploadError> {
    let bodies = Bodies::open(disk.clone())?;
    let Begun::Upload(mut upload) = bodies.upload(&request(length))? else { panic!("nothing is there yet") };
    upload.append(&chunk(0, length))?;
    upload.pause()?;
    let Begun::Upload(mut upload) = bodies.upload(&request(length))? else { panic!("not finished yet") };
    for index in upload.next_chunk()..3 {
        upload.append(&chunk(index, length))?;
    }
    upload.finish()
}

#[test]
fn names_parse_back_and_others_are_none() {
    let request = request(CHUNK);
    let UploadRequest { originator, message, .. } = request;
    for expect in [request.expect, Expect::Any { limit: 12 }] {
        let stem = Stem { originator, message, expect };
        assert_eq!(Stem::parse(&stem.to_string()), Some(stem));
        assert_eq!(Stem::parse(&format!("{stem}0x")), None);
        assert_eq!(Stem::parse(&stem.to_string().replacen("XB", "xb", 1)), None);
    }
    let name = BodyName { originator, message, root: root(3) };
    assert_eq!(name::parse_body(&name::body_file(&name)), Some(name));
    for other in ["", "XB", "XB-x", "XB-00000000-0000-0000-0000-000000000000", ".new"] {
        assert_eq!(name::parse_body(other), None);
        assert_eq!(Stem::parse(other), None);
    }
}
