//! Lists in columns: aligned for people, tab-separated for programs.

use crate::style::{Style, Tone, clean, shorten};

/// Blanks between columns.
const GAP: &str = "  ";

/// One cell: text from wherever, and how it is toned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A cell with a tone.
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: None }
    }
}

/// Rows of cells under headings. The last column takes what the width leaves and is the one that is shortened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Aligned columns under headings.
    pub(crate) fn render(&self, style: Style) -> String {
        let headings: Vec<Cell> = self.headings.iter().map(|text| Cell::toned(Tone::Quiet, *text)).collect();
        let widths = self.widths();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            text.push_str(&render_row(row, &widths, style));
            text.push('\n');
        }
        text
    }

    /// One record per line, tabs between fields, no headings, nothing shortened.
    pub(crate) fn plain(&self) -> String {
        self.rows.iter().map(|row| plain_record(row.iter().map(|cell| cell.text.as_str()))).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.headings.len();
        (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
                let heading = self.headings.get(column).map_or(0, |text| text.chars().count());
                cells.max().unwrap_or(0).max(heading)
            })
            .collect()
    }
}

/// Fields with tabs between them and a line end; tabs and line ends inside fields become blanks.
pub(crate) fn plain_record<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    let fields: Vec<String> = fields.map(|text| clean(&text.replace(['\t', '\n', '\r'], " "))).collect();
    fields.join("\t") + "\n"
}

fn render_row(row: &[Cell], widths: &[usize], style: Style) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (column, cell) in row.iter().enumerate() {
        let last = column + 1 == row.len();
        let width = widths.get(column).copied().unwrap_or(0);
        let mut text = clean(&cell.text);
        if let Some(total) = style.width.filter(|_| last) {
            text = shorten(&text, total.saturating_sub(used).max(10));
        }
        let padding = if last { 0 } else { width.saturating_sub(text.chars().count()) };
        used += text.chars().count() + padding + GAP.len();
        line.push_str(&cell.tone.map_or_else(|| text.clone(), |tone| style.paint(tone, &text)));
        if !last {
            line.push_str(&" ".repeat(padding));
            line.push_str(GAP);
        }
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["reference", "state", "subject"]);
        table.row(vec![
            "XA-2026-000417".into(),
            Cell::toned(Tone::Good, "queued"),
            "Grey van\twith a very long story".into(),
        ]);
        table.row(vec!["XB-2026-000002".into(), "draft".into(), "".into()]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            sample().render(Style::PLAIN),
            "reference       state   subject\n\
             XA-2026-000417  queued  Grey van\u{fffd}with a very long story\n\
             XB-2026-000002  draft\n"
        );
    }

    #[test]
    fn the_last_column_is_shortened_on_a_terminal_only() {
        let style = Style { colour: false, width: Some(40) };
        let line = sample().render(style).lines().nth(1).map(ToOwned::to_owned).unwrap_or_default();
        assert_eq!(line, "XA-2026-000417  queued  Grey van\u{fffd}with a…");
        assert!(sample().plain().contains("very long story"));
    }

    #[test]
    fn plain_has_one_record_per_line() {
        assert_eq!(
            sample().plain(),
            "XA-2026-000417\tqueued\tGrey van with a very long story\nXB-2026-000002\tdraft\t\n"
        );
    }
}
