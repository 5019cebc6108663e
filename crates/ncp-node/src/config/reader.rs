//! Reads TOML by hand, so that one run reports every fault with its place: wrong syntax, wrong form, wrong range, missing
//! and unknown keys, the latter with the known key that looks most alike.
//!
//! A [`Section`] hands out its keys one by one and remembers which were asked for; [`Section::end`] complains about the rest.

use core::ops::Range;
use core::str::FromStr;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One file being read, and the faults found in it.
pub(super) struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, faults: RefCell::default() }
    }

    /// The faults, in the order of the file.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// Reads the text; syntax faults are noted, and what can be read is returned.
    pub(super) fn parse(&self) -> DeTable<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().unwrap_or(0..0);
            self.note(self.at(ErrorCode::ConfigSyntax, &at).with("reason", error.message()));
        }
        table.into_inner()
    }

    pub(super) fn note(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// A fault at a place of this file.
    pub(super) fn at(&self, code: ErrorCode, place: &Range<usize>) -> Fault {
        let before = self.text.get(..place.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        code.with("file", self.file.display()).with("line", line).with("column", column)
    }
}

/// A table, as one file has it.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) table: &'a DeTable<'a>,
}

/// A table, as all files have it: a key of a later file stands instead of the same key of an earlier one.
pub(super) struct Section<'a> {
    layers: Vec<Layer<'a>>,
    /// What stands before its keys in messages: empty, or `officers[0].`.
    path: String,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// A value with its place and full key.
pub(super) struct Item<'a> {
    source: &'a Source<'a>,
    key: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    pub(super) fn root(layers: Vec<Layer<'a>>) -> Self {
        Self { layers, path: String::new(), asked: RefCell::default() }
    }

    /// The value of a key, if it is there.
    pub(super) fn item(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().insert(key);
        self.layers.iter().rev().find_map(|Layer { source, table }| {
            let (_, value) = table.iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
            Some(Item { source, key: format!("{}{key}", self.path), value })
        })
    }

    /// The value of a key that has no default; its absence is a fault.
    pub(super) fn required(&self, key: &'static str) -> Option<Item<'a>> {
        let item = self.item(key);
        if item.is_none()
            && let Some(Layer { source, .. }) = self.layers.first()
        {
            let fault = ErrorCode::ConfigKeyMissing.with("file", source.file.display());
            source.note(fault.with("key", format!("{}{key}", self.path)));
        }
        item
    }

    /// The tables of an array, `[[key]]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let DeValue::Array(array) = item.value.get_ref() else {
            item.invalid("a list of tables");
            return Vec::new();
        };
        let sections = array.iter().enumerate().filter_map(|(index, value)| match value.get_ref() {
            DeValue::Table(table) => {
                let path = format!("{}[{index}].", item.key);
                let layers = vec![Layer { source: item.source, table }];
                Some(Section { layers, path, asked: RefCell::default() })
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                item.invalid("a list of tables");
                None
            }
        });
        sections.collect()
    }

    /// Notes every key that nobody asked for.
    pub(super) fn end(self) {
        let known = self.asked.borrow();
        let keys = self.layers.iter().flat_map(|layer| layer.table.iter().map(|(key, _)| (layer.source, key)));
        for (source, key) in keys {
            let name = key.get_ref().as_ref();
            if known.contains(name) {
                continue;
            }
            let near = known.iter().map(|known| (distance(name, known), *known)).min();
            let suggestion = match near {
                Some((distance, known)) if distance <= known.len() / 2 => format!("; did you mean {known}?"),
                Some(_) | None => String::new(),
            };
            let fault = source.at(ErrorCode::ConfigUnknownKey, &key.span());
            source.note(fault.with("key", format!("{}{name}", self.path)).with("suggestion", suggestion));
        }
    }
}

impl<'a> Item<'a> {
    /// Notes that the value has the wrong form.
    pub(super) fn invalid(&self, expected: &str) {
        let fault = self.source.at(ErrorCode::ConfigValueInvalid, &self.value.span());
        self.source.note(fault.with("key", &self.key).with("expected", expected));
    }

    /// Notes that the value does not go with another.
    pub(super) fn conflicts(&self, other: &str) {
        let fault = self.source.at(ErrorCode::ConfigConflict, &self.value.span());
        self.source.note(fault.with("key", &self.key).with("other", other));
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&'a str> {
        if let DeValue::String(text) = self.value.get_ref() {
            return Some(text.as_ref());
        }
        self.invalid("a text in quotation marks");
        None
    }

    /// `true` or `false`.
    pub(super) fn truth(&self) -> Option<bool> {
        if let DeValue::Boolean(truth) = self.value.get_ref() {
            return Some(*truth);
        }
        self.invalid("true or false");
        None
    }

    /// A text that parses.
    pub(super) fn parsed<T: FromStr>(&self, expected: &str) -> Option<T> {
        let parsed = self.text()?.parse().ok();
        if parsed.is_none() {
            self.invalid(expected);
        }
        parsed
    }

    /// A whole number within a range.
    pub(super) fn number(&self, range: core::ops::RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            self.invalid("a whole number");
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let within = number.filter(|number| range.contains(number));
        if within.is_none() {
            let fault = self.source.at(ErrorCode::ConfigValueOutOfRange, &self.value.span());
            let fault = fault.with("key", &self.key).with("value", integer);
            self.source.note(fault.with("range", format!("{} to {}", range.start(), range.end())));
        }
        within
    }

    /// A list of texts that parse; the faulty ones are noted and left out.
    pub(super) fn list<T: FromStr>(&self, expected: &str) -> Vec<T> {
        let DeValue::Array(array) = self.value.get_ref() else {
            self.invalid(expected);
            return Vec::new();
        };
        let items = array.iter().map(|value| Item { source: self.source, key: self.key.clone(), value });
        items.filter_map(|item| item.parsed(expected)).collect()
    }

    /// Whether the value is a text rather than a list.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(_))
    }
}

/// Levenshtein's distance, over bytes: keys are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (slot, right) in row.iter_mut().skip(1).zip(b.bytes()) {
            let cost = if left == right { diagonal } else { diagonal + 1 };
            diagonal = *slot;
            before = cost.min(diagonal + 1).min(before + 1);
            *slot = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("officer", "officers", 1),
            ("data-dri", "data-dir", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
