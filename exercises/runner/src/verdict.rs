//! From tests to exercises: what is done, wrong or still to do.

use crate::{
    libtest::{Panic, Test},
    session::from_here,
    source::Function,
};
use std::path::Path;

/// How an exercise stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// All of its tests pass.
    Done,
    /// One of its tests failed.
    Wrong(Failure),
    /// It still has a `todo!`, with this hint.
    ToDo(String),
    /// Its tests need another exercise, of this name, that is still to do.
    Waits(String),
}

/// A failed test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The test's name.
    pub test: String,
    /// Its message.
    pub panic: Panic,
}

/// How a chapter stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Each exercise's status, in the order of the derivation.
    pub exercises: Vec<(Function, Status)>,
    /// Failed tests that check no exercise alone; empty as long as an exercise is not done.
    pub together: Vec<Failure>,
}

impl Verdict {
    /// Judges the `exercises` by the chapter's `tests`.
    pub fn new(exercises: Vec<Function>, tests: &[Test]) -> Verdict {
        let statuses: Vec<Status> =
            exercises.iter().map(|exercise| status(exercise, &exercises, tests)).collect();
        let all_done = statuses.iter().all(|status| *status == Status::Done);
        let together = tests.iter().filter(|test| all_done && !test.passed).map(failure).collect();
        Verdict { exercises: exercises.into_iter().zip(statuses).collect(), together }
    }

    /// How many exercises are done.
    pub fn done(&self) -> usize {
        self.exercises.iter().filter(|(_, status)| *status == Status::Done).count()
    }

    /// Whether there is nothing left to do.
    pub fn complete(&self) -> bool {
        self.done() == self.exercises.len() && self.together.is_empty()
    }

    /// How many exercises are wrong.
    pub fn wrong(&self) -> usize {
        self.exercises.iter().filter(|(_, status)| matches!(status, Status::Wrong(_))).count()
    }

    /// The exercise to turn to: the first wrong one, then the first to do, then one that waits.
    pub fn next(&self) -> Option<&Function> {
        let urgency = |status: &Status| match status {
            Status::Wrong(_) => 0,
            Status::ToDo(_) => 1,
            Status::Waits(_) => 2,
            Status::Done => 3,
        };
        let open = self.exercises.iter().filter(|(_, status)| *status != Status::Done);
        open.min_by_key(|(_, status)| urgency(status)).map(|(exercise, _)| exercise)
    }

    /// The verdict with the tests' places as a terminal opens them from the current folder.
    pub fn seen(mut self, root: &Path) -> Verdict {
        let of_exercises = self.exercises.iter_mut().filter_map(|(_, status)| match status {
            Status::Wrong(failure) => Some(failure),
            _ => None,
        });
        for failure in of_exercises.chain(&mut self.together) {
            let place = &mut failure.panic.place;
            let file = place.rsplit_once(':').map_or("", |(file, _)| file);
            if root.join(file).is_file() {
                *place = from_here(root, Path::new(place.as_str()));
            }
        }
        self
    }

    /// The status of the exercise of that name.
    pub fn of(&self, name: &str) -> Option<&Status> {
        self.exercises.iter().find(|(exercise, _)| exercise.name == name).map(|(_, status)| status)
    }
}

/// The tests that check the exercise of that name alone: theirs begins with it.
///
/// `of` are the names of all exercises: where one begins another, the longer one counts.
pub fn tests_of<'t>(name: &str, of: &[Function], tests: &'t [Test]) -> Vec<&'t Test> {
    let judges = |test: &str, name: &str| test.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    let longer =
        |test: &str| of.iter().any(|other| other.name.len() > name.len() && judges(test, &other.name));
    tests.iter().filter(|test| judges(&test.name, name) && !longer(&test.name)).collect()
}

fn failure(test: &Test) -> Failure {
    let unknown = || Panic { place: String::new(), message: "it failed without a message".into() };
    Failure { test: test.name.clone(), panic: test.panic.clone().unwrap_or_else(unknown) }
}

fn status(exercise: &Function, of: &[Function], tests: &[Test]) -> Status {
    if exercise.is_to_do() {
        return Status::ToDo(exercise.hint().unwrap_or_default());
    }
    let failed: Vec<Failure> =
        tests_of(&exercise.name, of, tests).into_iter().filter(|test| !test.passed).map(failure).collect();
    let wrong = failed.iter().filter(|failure| failure.panic.hint().is_none());
    let without_numbers = |panic: &Panic| panic.is_another_one() || panic.is_endless();
    if let Some(wrong) = wrong.min_by_key(|failure| (without_numbers(&failure.panic), failure.panic.line())) {
        return Status::Wrong(wrong.clone()); // the first in the tests' file with numbers to show
    }
    match failed.first().and_then(|failure| failure.panic.hint()) {
        Some(hint) => Status::Waits(name_of(hint, of)),
        None => Status::Done,
    }
}

fn name_of(hint: &str, of: &[Function]) -> String {
    let stub = of.iter().find(|function| function.hint().as_deref() == Some(hint));
    stub.map_or_else(|| "another exercise".into(), |function| function.name.clone())
}
