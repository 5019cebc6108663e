//! The files of the project, read once.

use std::fs;
use std::path::{Path, PathBuf};

/// A file with its path from the top of the project.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(number, line)| (number + 1, line))
    }

    /// Product code: all lines but those of items under `#[cfg(test)]`. Files of tests have none.
    pub(crate) fn product_lines(&self) -> Vec<(usize, &str)> {
        if self.is_test() {
            return Vec::new();
        }
        let mut lines = self.lines();
        let mut product = Vec::new();
        while let Some((number, line)) = lines.next() {
            if line.trim_start() == "#[cfg(test)]" {
                skip_item(&mut lines, indent(line));
            } else {
                product.push((number, line));
            }
        }
        product
    }

    /// Whether the file holds tests alone.
    pub(crate) fn is_test(&self) -> bool {
        is_test_file(&self.path) || self.text.contains("\n#![cfg(test)]\n")
    }

    /// Product lines without comments.
    pub(crate) fn code_lines(&self) -> Vec<(usize, &str)> {
        let code = |(number, line)| (number, strip_comment(line));
        self.product_lines().into_iter().map(code).filter(|(_, line)| !line.trim().is_empty()).collect()
    }
}

/// Leaves out the item that begins here, as rustfmt lays it out: up to a line of its own depth that ends it.
fn skip_item<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, depth: usize) {
    let ends = |line: &str| indent(line) == depth && !line.trim_start().starts_with("#[") && line.ends_with([';', '}']);
    let _ = lines.find(|(_, line)| ends(line));
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.contains("/benches/") || path.ends_with("/tests.rs")
}

fn strip_comment(line: &str) -> &str {
    // A `//` inside a string counts as a comment here: it can only hide a finding in a URL.
    line.split("//").next().unwrap_or(line)
}

/// The top of the project.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_owned()
}

/// All files of the project with this ending.
pub(crate) fn files(ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&top(), &mut found, ending);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no {ending} files found");
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>, ending: &str) {
    for entry in fs::read_dir(folder).expect("folder can be read") {
        let entry = entry.expect("entry can be read");
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().expect("type can be read").is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&path, found, ending);
            }
        } else if name.ends_with(ending) {
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            let path = path.strip_prefix(top()).expect("below the top").to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}

/// Fails with all findings at once.
pub(crate) fn report(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

#[test]
fn product_code_is_all_but_what_only_tests_see() {
    let text = "//! A.\n#[cfg(test)]\nmod tests;\nuse a::b;\nimpl C {\n    #[cfg(test)]\n    fn d() {\n        e();\n    }\n    \
                fn f() {}\n}\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests {\n    fn g() {}\n}\nfn h() {}\n";
    let source = Source { path: "crates/x/src/a.rs".to_owned(), text: text.to_owned() };
    let numbers: Vec<usize> = source.product_lines().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 4, 5, 10, 11, 17]);
}
