//! Wrong answers: each must be rejected, by an assertion, by one of its exercise's own tests.

use super::Complaints;
use crate::{
    chapter::Chapter,
    libtest::Test,
    message::readable,
    run,
    source::{self, Function},
    verdict::tests_of,
};
use std::{fs, io, path::Path};

/// The fewest wrong answers an exercise may have.
const FEWEST: usize = 2;

pub(super) fn complaints(root: &Path, chapters: &[Chapter]) -> io::Result<Complaints> {
    let mut complaints = Complaints::new();
    for chapter in chapters {
        let build = run::build(root, chapter, "wrong")?;
        match build.program(&chapter.name) {
            Some(program) => complaints.extend(of_chapter(root, chapter, &program)?),
            None => complaints.push(format!("{}: does not compile:\n{}", chapter.name, build.output)),
        }
    }
    Ok(complaints)
}

fn of_chapter(root: &Path, chapter: &Chapter, program: &str) -> io::Result<Complaints> {
    let mut complaints = Complaints::new();
    let exercises = chapter.exercises(root)?;
    let wrong = source::functions(&fs::read_to_string(root.join(chapter.wrong_answers()))?);
    let mut complain = |what: String| complaints.push(format!("{}: {what}", chapter.name));
    for exercise in &exercises {
        let (name, filter) = (&exercise.name, [format!("{}_", exercise.name)]);
        let answer = wrong.iter().find(|function| function.name == *name);
        let slips = answer.map(slips).unwrap_or_default();
        if slips.len() < FEWEST {
            complain(format!("{name} has {} wrong answers, fewer than {FEWEST}", slips.len()));
        }
        let right = run::program(root, chapter, program, &filter, None)?;
        if let Some(test) = right.iter().find(|test| !test.passed) {
            complain(format!("{} fails although no slip was made", test.name));
        }
        for slip in slips {
            let slip = format!("{name}.{slip}");
            let tests = run::program(root, chapter, program, &filter, Some(&slip))?;
            match rejection(exercise, &exercises, &tests) {
                Some(message) => println!("  {slip}: {message}"),
                None => complain(format!("{slip} is not rejected by an assertion of a test named {name}_…")),
            }
        }
    }
    Ok(complaints)
}

/// The message of the first assertion that fails in a test of the exercise.
fn rejection(exercise: &Function, of: &[Function], tests: &[Test]) -> Option<String> {
    let own = tests_of(&exercise.name, of, tests);
    let asserted = own
        .iter()
        .filter_map(|test| test.panic.as_ref())
        .filter(|panic| panic.place.starts_with("tests/") && panic.hint().is_none())
        .min_by_key(|panic| panic.line())?;
    Some(readable(&asserted.message))
}

/// The names of a function's wrong answers: the arms of its `match slip(…)` that begin with a string, and what it compares
/// `slip` with.
fn slips(function: &Function) -> Vec<&str> {
    function.body.iter().filter_map(|line| slip_of(line.trim_start())).collect()
}

fn slip_of(line: &str) -> Option<&str> {
    let arm = line.strip_prefix('(').unwrap_or(line).strip_prefix('"').filter(|arm| arm.contains("=>"));
    let compared = line.split_once("slip == \"").map(|(_, compared)| compared);
    arm.or(compared)?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_arms_and_comparisons() {
        let wrong = r#"
pub fn block(x: f64) -> f64 {
    let slip = slip("block");
    let x = if slip == "sign_turned" { -x } else { x };
    match (slip, x > 0.0) {
        ("shortcut_forgotten", _) => 0.0,
        (_, true) => x,
        _ => println!("no slip"),
    }
}

pub fn shift(x: f64) -> f64 {
    match slip("shift") {
        "one_too_far" => x + 1.0,
        "text" if x == 1.0 => x,
        _ => x,
    }
}
"#;
        let functions = source::functions(wrong);
        let found: Vec<Vec<&str>> = functions.iter().map(slips).collect();
        assert_eq!(found, [vec!["sign_turned", "shortcut_forgotten"], vec!["one_too_far", "text"]]);
    }
}
