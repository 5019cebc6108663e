//! TOML texts as one set of keys with places. Whoever wants a value asks for its key; what nobody asked for is a fault.

use core::ops::{Range, RangeInclusive};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use toml::de::{DeTable, DeValue};

/// Keys of all texts, later ones over earlier ones, and the faults found so far.
pub(super) struct Document<'a> {
    texts: &'a [(PathBuf, String)],
    values: BTreeMap<String, Value>,
    asked: Vec<&'static str>,
    faults: Vec<(Place, Fault)>,
}

/// Where something stands: which text, and from which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    text: usize,
    byte: usize,
}

#[derive(Debug, Clone)]
struct Value {
    key: Place,
    place: Place,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Text(String),
    Number(Option<u64>, String),
    Truth(bool),
    Other,
}

/// A text value with its place.
#[derive(Debug, Clone)]
pub(super) struct Found {
    key: &'static str,
    place: Place,
    /// The value.
    pub(super) text: String,
}

impl<'a> Document<'a> {
    /// Reads all texts. What does not parse is noted; the rest goes on.
    pub(super) fn read(texts: &'a [(PathBuf, String)]) -> Self {
        let mut document = Self { texts, values: BTreeMap::new(), asked: Vec::new(), faults: Vec::new() };
        for (number, (_, text)) in texts.iter().enumerate() {
            let (table, errors) = DeTable::parse_recoverable(text);
            for error in errors {
                let place = Place { text: number, byte: start(error.span()) };
                document.note(place, ErrorCode::ConfigSyntax, |fault| fault.with("reason", error.message()));
            }
            document.take(number, "", table.get_ref());
        }
        document
    }

    fn take(&mut self, text: usize, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let content = match value.get_ref() {
                DeValue::Table(inner) => {
                    self.take(text, &format!("{name}."), inner);
                    continue;
                }
                DeValue::String(content) => Content::Text(content.to_string()),
                DeValue::Integer(number) => {
                    Content::Number(u64::from_str_radix(number.as_str(), number.radix()).ok(), number.to_string())
                }
                DeValue::Boolean(truth) => Content::Truth(*truth),
                DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) => Content::Other,
            };
            let at = |range: Range<usize>| Place { text, byte: range.start };
            self.values.insert(name, Value { key: at(key.span()), place: at(value.span()), content });
        }
    }

    /// The text under `key`, if it is set.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Found> {
        self.asked.push(key);
        let Value { place, content, .. } = self.values.get(key)?.clone();
        if let Content::Text(text) = content {
            return Some(Found { key, place, text });
        }
        self.note(place, ErrorCode::ConfigValueInvalid, |fault| {
            fault.with("key", key).with("expected", "a text in quotation marks")
        });
        None
    }

    /// What `key` says, `true` or `false`, if it is set.
    pub(super) fn truth(&mut self, key: &'static str) -> Option<bool> {
        self.asked.push(key);
        let Value { place, content, .. } = self.values.get(key)?.clone();
        if let Content::Truth(truth) = content {
            return Some(truth);
        }
        self.note(place, ErrorCode::ConfigValueInvalid, |fault| {
            fault.with("key", key).with("expected", "true or false")
        });
        None
    }

    /// The whole number under `key`, or `default`.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.asked.push(key);
        let Some(Value { place, content, .. }) = self.values.get(key).cloned() else { return default };
        let Content::Number(number, written) = content else {
            self.note(place, ErrorCode::ConfigValueInvalid, |fault| {
                fault.with("key", key).with("expected", "a whole number")
            });
            return default;
        };
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return number;
        }
        self.note(place, ErrorCode::ConfigValueOutOfRange, |fault| {
            let range = format!("{} to {}", range.start(), range.end());
            fault.with("key", key).with("value", written).with("range", range)
        });
        default
    }

    /// Notes that a text has the wrong form.
    pub(super) fn invalid(&mut self, found: &Found, expected: &str) {
        self.note(found.place, ErrorCode::ConfigValueInvalid, |fault| {
            fault.with("key", found.key).with("expected", expected)
        });
    }

    /// All faults in the order of the texts, those of keys that nobody asked for among them.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        let asked = std::mem::take(&mut self.asked);
        let unknown: Vec<_> = self
            .values
            .iter()
            .filter(|(name, _)| !asked.contains(&name.as_str()))
            .map(|(n, v)| (n.clone(), v.key))
            .collect();
        for (name, place) in unknown {
            let suggestion =
                suggestion(&name, &asked).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            self.note(place, ErrorCode::ConfigUnknownKey, |fault| {
                fault.with("key", name).with("suggestion", suggestion)
            });
        }
        self.faults.sort_by_key(|(place, _)| *place);
        self.faults.into_iter().map(|(_, fault)| fault).collect()
    }

    fn note(&mut self, place: Place, code: ErrorCode, complete: impl FnOnce(Fault) -> Fault) {
        let (file, text): (&Path, &str) = self.texts.get(place.text).map_or((Path::new(""), ""), |(f, t)| (f, t));
        let before = text.get(..place.byte).unwrap_or(text);
        let line = before.split('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let fault = code.with("file", file.display()).with("line", line).with("column", column);
        self.faults.push((place, complete(fault)));
    }
}

fn start(span: Option<Range<usize>>) -> usize {
    span.map_or(0, |span| span.start)
}

/// The key that looks most alike, unless none does. A key of a wrong section is found by its last word.
fn suggestion(name: &str, keys: &[&'static str]) -> Option<&'static str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(key) = keys.iter().find(|key| last(key) == last(name)) {
        return Some(key);
    }
    let nearest = keys.iter().map(|key| (edits(name, key), *key)).min()?;
    (nearest.0 * 3 <= name.len()).then_some(nearest.1)
}

/// How many single characters must be added, removed or changed (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut costs: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.chars().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let at = |costs: &[usize], index: usize| costs.get(index).copied().unwrap_or(usize::MAX - 1);
            let change = at(&costs, column) + usize::from(letter != *other);
            next.push(change.min(at(&costs, column + 1) + 1).min(at(&next, column) + 1));
        }
        costs = next;
    }
    costs.last().copied().unwrap_or_default()
}
