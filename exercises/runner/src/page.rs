//! What the reader sees.

use crate::{
    chapter::Chapter,
    message::readable,
    source::Function,
    verdict::{Failure, Status, Verdict},
};
use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal},
};

/// Colours, or none: not without a terminal, not under `NO_COLOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to colour.
    pub colour: bool,
}

impl Style {
    /// As the terminal and the environment require.
    pub fn from_environment() -> Style {
        let rejected = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style { colour: io::stdout().is_terminal() && !rejected }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// For what is done.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For what is wrong.
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// For what is still to do.
    pub fn open(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For what is less important.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// A chapter's exercises, one by one, and what to do next.
pub fn chapter(chapter: &Chapter, verdict: &Verdict, style: Style) -> String {
    let mut page = format!("\n{}: {}\n\n", chapter.name, summary(verdict));
    for (exercise, status) in &verdict.exercises {
        write_exercise(&mut page, chapter, verdict, exercise, status, style);
    }
    for failure in &verdict.together {
        line(&mut page, &style.bad("wrong"), "each by itself is right, but not together", "");
        write_failure(&mut page, failure, style);
    }
    page + "\n" + &next(chapter, verdict)
}

/// One of a chapter's exercises, and what to do next.
pub fn function(chapter: &Chapter, verdict: &Verdict, name: &str, style: Style) -> String {
    let mut page = format!("\n{}\n\n", chapter.name);
    for (exercise, status) in verdict.exercises.iter().filter(|(exercise, _)| exercise.name == name) {
        write_exercise(&mut page, chapter, verdict, exercise, status, style);
    }
    page + "\n" + &next(chapter, verdict)
}

fn write_exercise(
    page: &mut String,
    chapter: &Chapter,
    verdict: &Verdict,
    exercise: &Function,
    status: &Status,
    style: Style,
) {
    let width = verdict.exercises.iter().map(|(exercise, _)| exercise.name.len()).max().unwrap_or(0);
    let name = format!("{:width$}", exercise.name);
    let place = style.dim(&place(chapter, exercise));
    match status {
        Status::Done => line(page, &word(status, style), exercise.name.as_str(), ""),
        _ => line(page, &word(status, style), &name, &place),
    }
    match status {
        Status::Done => {}
        Status::Wrong(failure) => write_failure(page, failure, style),
        Status::ToDo(hint) => {
            let _ = writeln!(page, "         {hint}");
        }
        Status::Waits(other) => {
            let _ = writeln!(page, "         its tests need `{other}`, which is still to do");
        }
    }
}

/// A status in one word of five letters, coloured.
pub fn word(status: &Status, style: Style) -> String {
    match status {
        Status::Done => style.good("done "),
        Status::Wrong(_) => style.bad("wrong"),
        Status::ToDo(_) => style.open("to do"),
        Status::Waits(_) => style.open("waits"),
    }
}

/// Where an answer stands, as `file:line`.
pub fn place(chapter: &Chapter, exercise: &Function) -> String {
    format!("{}:{}", chapter.answers().display(), exercise.line())
}

fn line(page: &mut String, status: &str, name: &str, place: &str) {
    let _ = writeln!(page, "{}", format!("  {status}  {name}  {place}").trim_end());
}

/// The message of a failed test, in numbers, and where it stands.
pub fn write_failure(page: &mut String, failure: &Failure, style: Style) {
    let _ = writeln!(page, "         {}", readable(&failure.panic.message));
    let whence = match failure.panic.place.as_str() {
        "" => failure.test.clone(),
        place => format!("{place}, {}", failure.test),
    };
    let _ = writeln!(page, "         {}", style.dim(&whence));
}

/// How many of how many are done.
pub fn summary(verdict: &Verdict) -> String {
    format!("{} of {} done", verdict.done(), verdict.exercises.len())
}

fn next(chapter: &Chapter, verdict: &Verdict) -> String {
    let name = &chapter.name;
    let order = match verdict.wrong() {
        0 | 1 => "",
        _ => {
            "Tests of one function may call another, so a wrong one can make a right one look wrong: mend the first one first.\n"
        }
    };
    match verdict.next() {
        Some(exercise) => format!(
            "{order}Next: `{0}`. More hints: {1}, or cargo exercise hint {0}\nThe plain command: cargo {2}\n",
            exercise.name,
            chapter.hints().display(),
            chapter.test_arguments().join(" ")
        ),
        None if verdict.complete() => format!("All of {name} is done, and its tests prove it.\n"),
        None => format!("The plain command: cargo {}\n", chapter.test_arguments().join(" ")),
    }
}

/// The widths of the table of all chapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// That of the longest name.
    pub name: usize,
    /// The most exercises.
    pub exercises: usize,
}

/// A chapter's line in the table of all of them.
pub fn progress(chapter: &Chapter, verdict: &Verdict, columns: Columns, style: Style) -> String {
    let bar: String = verdict
        .exercises
        .iter()
        .map(|(_, status)| match status {
            Status::Done => style.good("■"),
            Status::Wrong(_) => style.bad("×"),
            Status::ToDo(_) | Status::Waits(_) => style.dim("·"),
        })
        .collect();
    let gap = " ".repeat(columns.exercises.saturating_sub(verdict.exercises.len()));
    let next = match verdict.next() {
        Some(exercise) => format!("next: {}", exercise.name),
        None if verdict.complete() => style.good("complete"),
        None => style.bad("not right together"),
    };
    format!("  {:width$}  {bar}{gap}  {}   {next}", chapter.name, summary(verdict), width = columns.name)
}
