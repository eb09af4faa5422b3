//! What the reader sees.

use crate::{
    chapter::Chapter,
    message::readable,
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
    let answers = chapter.answers().display().to_string();
    let width = verdict.exercises.iter().map(|(exercise, _)| exercise.name.len()).max().unwrap_or(0);
    let mut page = format!("\n{}: {}\n\n", chapter.name, summary(verdict));
    for (exercise, status) in &verdict.exercises {
        let name = format!("{:width$}", exercise.name);
        let place = style.dim(&format!("{answers}:{}", exercise.line()));
        match status {
            Status::Done => line(&mut page, &style.good("done "), exercise.name.as_str(), ""),
            Status::Wrong(failure) => {
                line(&mut page, &style.bad("wrong"), &name, &place);
                write_failure(&mut page, failure, style);
            }
            Status::ToDo(hint) => {
                line(&mut page, &style.open("to do"), &name, &place);
                let _ = writeln!(page, "         {hint}");
            }
            Status::Waits(other) => {
                line(&mut page, &style.open("waits"), &name, &place);
                let _ = writeln!(page, "         its tests need `{other}`, which is still to do");
            }
        }
    }
    for failure in &verdict.together {
        line(&mut page, &style.bad("wrong"), "each by itself is right, but not together", "");
        write_failure(&mut page, failure, style);
    }
    page + "\n" + &next(chapter, verdict)
}

fn line(page: &mut String, status: &str, name: &str, place: &str) {
    let _ = writeln!(page, "{}", format!("  {status}  {name}  {place}").trim_end());
}

/// The message of a failed test, in numbers, and where it stands.
fn write_failure(page: &mut String, failure: &Failure, style: Style) {
    let _ = writeln!(page, "         {}", readable(&failure.panic.message));
    let whence = format!("{}, {}", failure.panic.place, failure.test);
    let _ = writeln!(page, "         {}", style.dim(&whence));
}

fn summary(verdict: &Verdict) -> String {
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
            "{order}Next: `{}`. More hints: {}\nThe plain command: cargo {}\n",
            exercise.name,
            chapter.hints().display(),
            chapter.test_arguments().join(" ")
        ),
        None if verdict.complete() => format!("All of {name} is done, and its tests prove it.\n"),
        None => format!("The plain command: cargo {}\n", chapter.test_arguments().join(" ")),
    }
}

/// A chapter's line in the table of all of them.
pub fn progress(chapter: &Chapter, verdict: &Verdict, style: Style) -> String {
    let bar: String = verdict
        .exercises
        .iter()
        .map(|(_, status)| match status {
            Status::Done => style.good("■"),
            Status::Wrong(_) => style.bad("×"),
            Status::ToDo(_) | Status::Waits(_) => style.dim("·"),
        })
        .collect();
    let gap = " ".repeat(8usize.saturating_sub(verdict.exercises.len()));
    let next = match verdict.next() {
        Some(exercise) => format!("next: {}", exercise.name),
        None if verdict.complete() => style.good("complete"),
        None => style.bad("not right together"),
    };
    format!("  {:16}{bar}{gap}{}   {next}", chapter.name, summary(verdict))
}
