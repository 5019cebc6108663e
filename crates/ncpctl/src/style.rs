//! How text is shown on a terminal: colour, width, and what of another party's text may reach it.
//!
//! A status is always a word; colour only underlines it. Text that came from elsewhere is cleaned of control characters
//! and of characters that turn the direction of writing: a subject line must not forge lines of ours.

use std::io::IsTerminal as _;

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Wrong.
    Bad,
    /// Beside the point.
    Quiet,
    /// The point.
    Strong,
}

/// Whether to colour, and how wide lines may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Escape sequences may be written.
    pub(crate) colour: bool,
    /// Columns; `None` where lines are never shortened.
    pub(crate) width: Option<usize>,
}

/// Colour, as far as the command line decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColourChoice {
    /// If standard output is a terminal that can.
    Auto,
    /// Never.
    Never,
}

impl Style {
    /// Neither colour nor width: what a pipe gets.
    pub(crate) const PLAIN: Self = Self { colour: false, width: None };

    /// The style of this process's standard output.
    pub(crate) fn of_stdout(choice: ColourChoice) -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::PLAIN;
        }
        let wanted = choice == ColourChoice::Auto;
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|value| value == "dumb");
        let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
        Self { colour: wanted && !refused && !dumb, width: (columns >= 40).then_some(usize::from(columns)) }
    }

    /// The text, coloured if that is allowed.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31;1",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// One line of text that came from elsewhere.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}

/// Several lines of text that came from elsewhere: line ends stay, tabs become blanks.
pub(crate) fn clean_block(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| clean(&line.replace('\t', "    "))).collect();
    lines.join("\n")
}

/// Control characters, and those that turn or hide writing (Unicode Bidi_Control, zero width, line separators).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0x061C | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x2069 | 0xFEFF | 0xFFF9..=0xFFFB | 0xE0000..=0xE007F
        )
}

/// The text in at most `width` columns; a shortened one ends in an ellipsis.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The text broken at blanks into lines of at most `width` columns.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// A number of bytes as people read it: `2.1 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (count.saturating_mul(10) / 1_024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).unwrap_or(&"TiB"))
}

/// A number in groups of three digits: `18 204`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_write_escapes_or_lines() {
        assert_eq!(clean("a\u{1b}[31m\nb\u{202e}c"), "a\u{fffd}[31m\u{fffd}b\u{fffd}c");
        assert_eq!(clean_block("a\r\n\tb\u{7}"), "a\n    b\u{fffd}");
        assert_eq!(clean("Zürich – Żółć 東京"), "Zürich – Żółć 東京");
    }

    #[test]
    fn sizes_read_well() {
        for (count, text) in
            [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (2_202_009, "2.0 MiB"), (1 << 30, "1.0 GiB")]
        {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(number(18_204), "18\u{a0}204");
        assert_eq!(number(999), "999");
    }

    #[test]
    fn lines_keep_their_width() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a\n\nb", 7), ["a", "", "b"]);
        assert_eq!(shorten("grey van", 8), "grey van");
        assert_eq!(shorten("grey van!", 6), "grey…");
    }

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(Style::PLAIN.paint(Tone::Bad, "fail"), "fail");
        let style = Style { colour: true, width: None };
        assert_eq!(style.paint(Tone::Bad, "fail"), "\u{1b}[31;1mfail\u{1b}[0m");
    }
}
