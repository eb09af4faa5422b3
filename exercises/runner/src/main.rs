#![forbid(unsafe_code)]
//! `cargo exercise`: checks a chapter's exercises, or shows the progress over all of them.

use ddpm_exercise_runner::{
    chapter::Chapter,
    check, course, page,
    run::{self, Run},
    verdict::Verdict,
};
use std::{
    env,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

const USAGE: &str = "\
cargo exercise                  shows the progress over all chapters; exits with 0 when all of them are done
cargo exercise ch03_posterior   checks a chapter's answers; exits with 0 when all of them are right
cargo exercise --check [NAME…]  proves that stubs, solutions and wrong answers are what they should be (for CI)";

fn main() -> ExitCode {
    match exercise(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo exercise: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything named is done.
fn exercise(arguments: &[String]) -> io::Result<bool> {
    let root = course::root().map_err(io::Error::other)?;
    let chapters = Chapter::all(&root)?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["-h" | "--help"] => {
            say(USAGE);
            Ok(true)
        }
        [] => progress(&root, &chapters),
        ["--check", ref names @ ..] => {
            let named: Vec<Chapter> =
                names.iter().map(|name| find(&chapters, name).cloned()).collect::<io::Result<_>>()?;
            check::all(&root, if named.is_empty() { &chapters } else { &named })
        }
        [name] => check_chapter(&root, find(&chapters, name)?),
        _ => Err(io::Error::other(format!("one chapter at a time\n\n{USAGE}"))),
    }
}

/// Prints a text and a line's end. A reader who has gone away, as in `| head`, is no error.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn find<'c>(chapters: &'c [Chapter], name: &str) -> io::Result<&'c Chapter> {
    let fits = |chapter: &&Chapter| chapter.name == name || chapter.feature() == name;
    chapters.iter().find(fits).ok_or_else(|| {
        let names: Vec<&str> = chapters.iter().map(|chapter| chapter.name.as_str()).collect();
        io::Error::other(format!("there are no exercises named {name}; there are {}", names.join(", ")))
    })
}

fn check_chapter(root: &Path, chapter: &Chapter) -> io::Result<bool> {
    let Some(verdict) = verdict(root, chapter)? else { return Ok(false) };
    say(page::chapter(chapter, &verdict, page::Style::from_environment()).trim_end());
    for (variable, folder) in run::folders(root)?.variables() {
        say(&format!("Built apart from other clones, with {variable}={}", folder.display()));
    }
    Ok(verdict.complete())
}

/// Builds and runs only those chapters in which something has been done.
fn progress(root: &Path, chapters: &[Chapter]) -> io::Result<bool> {
    let mut complete = true;
    for chapter in chapters {
        let exercises = chapter.exercises(root)?;
        let untouched = exercises.iter().all(|exercise| exercise.is_to_do());
        let verdict = if untouched { Some(Verdict::new(exercises, &[])) } else { verdict(root, chapter)? };
        match verdict {
            Some(verdict) => {
                say(&page::progress(chapter, &verdict, page::Style::from_environment()));
                complete &= verdict.complete();
            }
            None => complete = false,
        }
    }
    say(&format!("\ncargo exercise NAME checks one chapter; the answers go into {}", places(chapters)));
    Ok(complete)
}

fn places(chapters: &[Chapter]) -> String {
    let mut folders: Vec<String> =
        chapters.iter().map(|chapter| format!("{}/src/answers/", chapter.folder.display())).collect();
    folders.dedup();
    folders.join(" and ")
}

/// The verdict on a chapter, or `None` if its tests did not get to their end.
fn verdict(root: &Path, chapter: &Chapter) -> io::Result<Option<Verdict>> {
    let answers = chapter.answers();
    match run::tests(root, chapter)? {
        Run::Tests(tests) => Ok(Some(Verdict::new(chapter.exercises(root)?, &tests))),
        Run::DoesNotCompile => {
            let (name, answers) = (&chapter.name, answers.display());
            say(&format!("\n{name}: {answers} does not compile; the compiler's errors stand above"));
            Ok(None)
        }
        Run::CutShort(output) => {
            say(&format!("{output}\n{}: the tests were cut short by what stands above", chapter.name));
            Ok(None)
        }
    }
}
