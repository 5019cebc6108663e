//! What lies in a data folder: a digest of everything, and a search for bytes that must not be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ncp_protocol::ids::Digest;
use ncp_protocol::keys::sha256;

/// Every file below a folder with length, mode and digest of its content. Sockets are left out.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, (u64, u32, Digest)> {
    let mut found = BTreeMap::new();
    for path in files(folder) {
        let bytes = fs::read(&path).expect("a file can be read");
        let mode = fs::metadata(&path).expect("a file has metadata").permissions().mode();
        let name = path.strip_prefix(folder).expect("below the folder").to_owned();
        found.insert(name, (bytes.len() as u64, mode, sha256(&bytes)));
    }
    found
}

/// What a data folder holds beside its journal: spool, bodies, unfinished uploads.
#[must_use]
pub fn stored(data: &Path) -> BTreeMap<PathBuf, (u64, u32, Digest)> {
    let kept = |path: &Path| ["spool", "bodies", "incoming"].iter().any(|part| path.starts_with(part));
    contents(data).into_iter().filter(|(path, _)| kept(path)).collect()
}

/// Copies a folder with everything in it, modes included, as a backup does. What stood at `to` is removed.
///
/// # Panics
/// If something cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("the old folder can be removed");
    }
    fs::create_dir(to).expect("a folder can be made");
    fs::set_permissions(to, fs::metadata(from).expect("metadata").permissions()).expect("a mode can be set");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("an entry can be read");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy(&path, &target),
            Ok(kind) if kind.is_file() => drop(fs::copy(&path, &target).expect("a file can be copied")),
            Ok(_) | Err(_) => {}
        }
    }
}

/// All plain files below a folder.
///
/// # Panics
/// If a folder cannot be read.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // A running daemon removes folders that are empty.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => panic!("{}: {error}", folder.display()),
        };
        for entry in entries {
            let entry = entry.expect("an entry can be read");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// The files below a folder that hold one of the words as UTF-8, as UTF-16 of either order, in hexadecimal or in base64,
/// with the word.
#[must_use]
pub fn holding(folder: &Path, words: &[&str]) -> Vec<(PathBuf, String)> {
    let search = Search::new(words);
    let mut hits = Vec::new();
    for path in files(folder) {
        // A running daemon may have removed it in between.
        let Ok(bytes) = fs::read(&path) else { continue };
        hits.extend(search.hits(&bytes).into_iter().map(|word| (path.clone(), word.to_owned())));
    }
    hits
}

/// Bytes of a block. Preallocated segments are mostly blocks of zeros, which hold no word and need no look.
const BLOCK: usize = 4 << 10;

/// What is looked for, by first byte: one look at each byte serves all words.
struct Search<'a> {
    needles: BTreeMap<u8, Vec<(&'a str, Vec<u8>)>>,
}

impl<'a> Search<'a> {
    fn new(words: &[&'a str]) -> Self {
        let mut needles: BTreeMap<u8, Vec<_>> = BTreeMap::new();
        for word in words {
            for spelling in spellings(word) {
                let first = *spelling.first().expect("a word is not empty");
                needles.entry(first).or_default().push((*word, spelling));
            }
        }
        Self { needles }
    }

    fn hits(&self, bytes: &[u8]) -> BTreeSet<&'a str> {
        let mut hits = BTreeSet::new();
        let mut begins = [false; 256];
        self.needles.keys().for_each(|first| begins[usize::from(*first)] = true);
        for (number, block) in bytes.chunks(BLOCK).enumerate() {
            if block == &[0; BLOCK][..block.len()] {
                continue;
            }
            for at in (0..block.len()).filter(|at| begins[usize::from(block[*at])]) {
                let rest = &bytes[number * BLOCK + at..];
                let found = self.needles[&block[at]].iter().filter(|(_, needle)| rest.starts_with(needle));
                hits.extend(found.map(|(word, _)| *word));
            }
        }
        hits
    }
}

fn spellings(word: &str) -> Vec<Vec<u8>> {
    use base64ct::{Base64, Encoding as _};
    let utf8 = word.as_bytes().to_vec();
    let big: Vec<u8> = word.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let little: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex = ncp_protocol::ids::hex(&utf8).into_bytes();
    let mut all = vec![utf8.clone(), big, little, hex];
    for skip in 0..3 {
        // Base64 of a stretch whose place is a multiple of three; its last group may mix with what follows.
        let part = utf8.get(skip..).unwrap_or_default();
        let whole = part.len() / 3 * 3;
        all.push(Base64::encode_string(part.get(..whole).unwrap_or_default()).into_bytes());
    }
    all
}

/// A fresh folder of mode 0700 with a short path: sockets below it must stay within 107 bytes.
///
/// # Panics
/// If none can be made.
#[must_use]
pub fn fresh() -> tempfile::TempDir {
    fresh_in(&std::env::temp_dir())
}

/// The same in another folder.
///
/// # Panics
/// If none can be made.
#[must_use]
pub fn fresh_in(above: &Path) -> tempfile::TempDir {
    let mode = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("ncp-e2e-").permissions(mode).tempdir_in(above).expect("a folder can be made")
}
