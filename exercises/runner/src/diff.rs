//! How an answer differs from the solution.

use crate::{page::Style, source::Function};
use similar::TextDiff;

/// A function without its documentation: signature and body.
pub fn code(function: &Function) -> String {
    let signature = function.head.find("pub fn ").map_or("", |at| &function.head[at..]);
    let body: String = function.body.iter().map(|line| format!("{line}\n")).collect();
    format!("{signature}\n{body}}}\n")
}

/// Both functions line by line; empty if they are the same.
pub fn between(yours: (&str, &Function), solution: (&str, &Function), style: Style) -> String {
    let (old, new) = (code(yours.1), code(solution.1));
    if old == new {
        return String::new();
    }
    let diff = TextDiff::from_lines(&old, &new);
    let text = diff.unified_diff().header(yours.0, solution.0).missing_newline_hint(false).to_string();
    let painted = |line: &str| match line.as_bytes().first() {
        Some(b'-') => style.bad(line),
        Some(b'+') => style.good(line),
        Some(b'@') => style.dim(line),
        _ => line.to_owned(),
    };
    text.lines().map(|line| painted(line) + "\n").collect()
}
