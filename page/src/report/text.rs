//! Monospaced text: columns that line up also where letters are not one byte wide.

use unicode_width::UnicodeWidthStr;

/// The width that no line exceeds.
pub(super) const WIDTH: usize = 100;

/// The width of a text on the terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Which way a column leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lean {
    Left,
    Right,
}

/// Rows of cells as lines, each column as wide as its widest cell and two spaces from the next.
pub(super) fn columns(rows: &[Vec<String>], leans: &[Lean]) -> Vec<String> {
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..leans.len()).map(|column| widest(column).unwrap_or(0)).collect();
    let pad = |column: usize, cell: &String| {
        let space = " ".repeat(widths[column] - width(cell));
        if leans[column] == Lean::Left { format!("{cell}{space}") } else { format!("{space}{cell}") }
    };
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(|(column, cell)| pad(column, cell)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A text in lines of a width, broken between words.
pub(super) fn wrap(text: &str, space: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.is_empty() || width(line) + 1 + width(word) <= space);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text with the marks of its verdicts in green and red, for a terminal that has colours.
#[cfg(feature = "cli")]
pub(super) fn paint(text: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let painted = |color: AnsiColor, mark: &str| {
        let style = Style::new().fg_color(Some(color.into()));
        format!("{style}{mark}{style:#}")
    };
    text.replace("✗ NO", &painted(AnsiColor::Red, "✗ NO")).replace('✓', &painted(AnsiColor::Green, "✓"))
}

/// Prints a text and a line's end; colours are left out where the output is no terminal or the reader wants none. A reader
/// who has gone away, as in `| head`, is no error: nobody misses the text.
///
/// ```
/// ddpm_page::report::print("six chapters");
/// ```
pub fn print(text: &str) {
    use std::io::Write;
    #[cfg(feature = "cli")]
    let mut out = anstream::stdout().lock();
    #[cfg(not(feature = "cli"))]
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
}
