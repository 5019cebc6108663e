//! A vector file: a small header, an empty line, then blocks of annotated hex. `#` begins a comment.
//!
//! ```text
//! type: header
//! expect: names
//! about: originator and recipient are the same
//!
//! [bytes]
//! 4e 43 50 48 01 00 00 00  # prefix
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::annotate::Hex;

/// A vector as the generator makes it.
pub(crate) struct Scenario {
    /// Also the name of its folder.
    pub(crate) kind: &'static str,
    /// Name of its file.
    pub(crate) name: &'static str,
    /// `ok`, or the failure class.
    pub(crate) expect: &'static str,
    /// One sentence without a full stop.
    pub(crate) about: &'static str,
    fields: Vec<(&'static str, String)>,
    blocks: Vec<(&'static str, Hex)>,
}

impl Scenario {
    pub(crate) fn new(kind: &'static str, name: &'static str, expect: &'static str, about: &'static str) -> Self {
        Self { kind, name, expect, about, fields: Vec::new(), blocks: Vec::new() }
    }

    /// Something beside the bytes that the check needs.
    pub(crate) fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.fields.push((key, value.to_string()));
        self
    }

    pub(crate) fn block(mut self, name: &'static str, hex: Hex) -> Self {
        self.blocks.push((name, hex));
        self
    }

    pub(crate) fn bytes(self, hex: Hex) -> Self {
        self.block("bytes", hex)
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}.txt", self.kind, self.name)
    }

    pub(crate) fn render(&self) -> String {
        let mut text = format!("type: {}\nexpect: {}\nabout: {}\n", self.kind, self.expect, self.about);
        for (key, value) in &self.fields {
            writeln!(text, "{key}: {value}").expect("a string");
        }
        for (name, hex) in &self.blocks {
            write!(text, "\n[{name}]\n{}", hex.render()).expect("a string");
        }
        text
    }
}

/// A vector as it is read back.
#[derive(Debug)]
pub(crate) struct Vector {
    fields: BTreeMap<String, String>,
    blocks: BTreeMap<String, Vec<u8>>,
}

impl Vector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (header, body) = text.split_once("\n\n").ok_or("no empty line after the header")?;
        let mut fields = BTreeMap::new();
        for line in header.lines() {
            let (key, value) = line.split_once(": ").ok_or_else(|| format!("not `key: value`: {line}"))?;
            if fields.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("{key} twice"));
            }
        }
        let mut blocks: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut current = None;
        for line in body.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                blocks.insert(name.to_owned(), Vec::new());
                current = Some(name.to_owned());
            } else if !line.is_empty() {
                let name = current.as_ref().ok_or("hex before a block")?;
                let bytes = blocks.get_mut(name).ok_or("no block")?;
                for pair in line.split(' ') {
                    bytes.push(u8::from_str_radix(pair, 16).map_err(|_| format!("not hex: {pair}"))?);
                }
            }
        }
        Ok(Self { fields, blocks })
    }

    /// The same with another block.
    pub(crate) fn replacing(&self, name: &str, bytes: Vec<u8>) -> Self {
        let mut blocks = self.blocks.clone();
        blocks.insert(name.to_owned(), bytes);
        Self { fields: self.fields.clone(), blocks }
    }

    pub(crate) fn field(&self, key: &str) -> &str {
        self.optional(key).unwrap_or_else(|| panic!("no `{key}:` in the header"))
    }

    pub(crate) fn optional(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    /// A field as any type that is read from text.
    pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, key: &str) -> T {
        self.field(key).parse().unwrap_or_else(|error| panic!("`{key}:` {error:?}"))
    }

    pub(crate) fn block(&self, name: &str) -> &[u8] {
        self.optional_block(name).unwrap_or_else(|| panic!("no block [{name}]"))
    }

    pub(crate) fn optional_block(&self, name: &str) -> Option<&[u8]> {
        self.blocks.get(name).map(Vec::as_slice)
    }
}

/// The folder of the vector files.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/wire")
}

/// All vector files, by path below the root.
pub(crate) fn files() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).expect("a folder").map(|item| item.expect("an item").path()) {
            if item.is_dir() {
                folders.push(item);
            } else if item.extension().is_some_and(|extension| extension == "txt") {
                let name = item.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read_to_string(&item).expect("UTF-8"));
            }
        }
    }
    found
}
