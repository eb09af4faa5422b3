//! Rust files as text: the functions in them, their documentation, signatures and bodies.
//!
//! It counts on rustfmt: an item begins in column 0, its signature ends in a line that ends with `{`, its body with a
//! line that is `}`.

use std::ops::Range;

/// A free public function in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Documentation, attributes and signature, up to the opening brace.
    pub head: String,
    /// What stands between the braces, a line each.
    pub body: Vec<String>,
    /// The lines of the body in the file, counted from 0.
    pub lines: Range<usize>,
}

impl Function {
    /// The place of its `todo!`, or else of its body, as a line counted from 1.
    pub fn line(&self) -> usize {
        self.lines.start + 1 + self.body.iter().position(|line| line.contains("todo!(")).unwrap_or(0)
    }

    /// Whether it still has a `todo!` in it.
    pub fn is_to_do(&self) -> bool {
        self.body.iter().any(|line| line.contains("todo!("))
    }

    /// The text of its `todo!`, as a panic would print it.
    pub fn hint(&self) -> Option<String> {
        let body = self.body.join("\n");
        let (_, rest) = body.split_once("todo!(")?;
        let (_, text) = rest.split_once('"')?;
        let (text, _) = text.split_once('"')?;
        let joined: String = text
            .split("\\\n") // a backslash at the end of a line swallows what the next one begins with
            .enumerate()
            .map(|(at, line)| if at == 0 { line } else { line.trim_start() })
            .collect();
        Some(joined.replace("{{", "{").replace("}}", "}"))
    }
}

/// The free public functions of a file, in its order.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str| line.strip_prefix("pub fn ").is_some();
    (0..lines.len()).filter(|&at| begins(lines[at])).filter_map(|at| function(&lines, at)).collect()
}

/// The function of that name.
pub fn function_named(text: &str, name: &str) -> Option<Function> {
    functions(text).into_iter().find(|function| function.name == name)
}

/// The line of a function's `pub fn`, counted from 1; 1 where it has none.
pub fn line_of(text: &str, name: &str) -> usize {
    let begins = |line: &str| {
        line.strip_prefix("pub fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    text.lines().position(begins).unwrap_or(0) + 1
}

/// The sections of the library's documentation that give an answer away: a stub has neither.
pub const ANSWERS: [&str; 2] = ["# Formula", "# Example"];

/// The first of the [`ANSWERS`] that a function's head has a section of.
pub fn answer_in(head: &str) -> Option<&'static str> {
    let headings: Vec<&str> = documented(head).filter_map(|(_, heading)| heading).collect();
    ANSWERS.into_iter().find(|answer| headings.contains(answer))
}

/// A function's head without the sections of [`ANSWERS`]: each goes from its heading to the next one, or to the end of the
/// documentation.
pub fn without_answers(head: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut inside = false;
    for (line, heading) in documented(head) {
        inside = match heading {
            Some(heading) => ANSWERS.contains(&heading),
            None => inside && line.starts_with("///"),
        };
        let ends = !line.starts_with("///") && kept.last() == Some(&"///");
        if ends {
            kept.pop(); // the blank line above a section that was the last
        }
        if !inside {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// The lines of a head, each with its text if it is the heading of a section: in a block of code `#` hides a line instead.
fn documented(head: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut in_code = false;
    head.lines().map(move |line| {
        let text = line.strip_prefix("/// ").unwrap_or_default();
        in_code ^= text.starts_with("```");
        (line, Some(text).filter(|text| !in_code && text.starts_with("# ")))
    })
}

fn function(lines: &[&str], at: usize) -> Option<Function> {
    let name: String = lines[at]["pub fn ".len()..]
        .chars()
        .take_while(|&letter| letter == '_' || letter.is_alphanumeric())
        .collect();
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    let first = at - above.count();
    let opening = at + lines[at..].iter().position(|line| line.ends_with('{'))?;
    let closing = opening + lines[opening..].iter().position(|&line| line == "}")?;
    Some(Function {
        name,
        head: lines[first..=opening].join("\n"),
        body: lines[opening + 1..closing].iter().map(|line| line.to_string()).collect(),
        lines: opening + 1..closing,
    })
}

/// The text of a file with the bodies of some functions replaced: `body` gives the new one, or `None` to keep it.
pub fn with_bodies(text: &str, body: impl Fn(&str) -> Option<Vec<String>>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for function in functions(text).into_iter().rev() {
        if let Some(body) = body(&function.name) {
            lines.splice(function.lines, body);
        }
    }
    lines.join("\n") + "\n"
}

/// The text of a file with a function, its documentation included, in the place of the one of its name.
pub fn with_function(text: &str, new: &Function) -> String {
    let Some(old) = function_named(text, &new.name) else { return text.to_owned() };
    let lines: Vec<&str> = text.lines().collect();
    let first = old.lines.start - old.head.lines().count();
    let inserted = new.head.lines().chain(new.body.iter().map(String::as_str));
    let all: Vec<&str> = lines[..first]
        .iter()
        .copied()
        .chain(inserted)
        .chain(lines[old.lines.end..].iter().copied())
        .collect();
    all.join("\n") + "\n"
}

/// What stands between the marks `// ANCHOR: name` and `// ANCHOR_END: name`.
pub fn anchored<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("// ANCHOR: {name}\n"))?;
    let (anchored, _) = rest.split_once(&format!("// ANCHOR_END: {name}\n"))?;
    Some(anchored)
}

/// Whether a file of hints has, between its marks for `name`, the idea, the first line and the solution, linked (which a
/// repository page can follow) or included.
pub fn has_hints(text: &str, name: &str) -> bool {
    let section = text.split_once(&format!("<!-- ANCHOR: {name} -->\n")).and_then(|(_, rest)| {
        rest.split_once(&format!("<!-- ANCHOR_END: {name} -->")).map(|(section, _)| section)
    });
    section.is_some_and(|section| {
        let linked = format!("[`{name}` in ");
        let included = format!(".rs:{name}}}}}");
        section.matches("<details>").count() == 3
            && (section.contains(&linked) || section.contains(&included))
    })
}

/// The names of the functions that a file of hints has sections for.
pub fn hinted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("<!-- ANCHOR: ")?.strip_suffix(" -->"))
}
