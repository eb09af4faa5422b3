//! Answers that never end: their tests are stopped and named, and the others are judged all the same.
//!
//! All tests run at once, in one program. It is stopped when none of them has ended for the time allowed: then each that was
//! running has had that time to itself. The program runs again without the functions that hang, until it comes to its end.

use crate::{
    chapter::Chapter,
    check,
    libtest::{self, Panic, Test},
    process::{self, Finished, Stopped},
    run::{self, Run},
    source::Function,
    verdict::tests_of,
};
use std::{
    env, io,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

/// Runs the program of a chapter's tests.
///
/// # Errors
/// If it cannot be started; [`process::interrupted`] if it was stopped.
pub fn tests(
    root: &Path,
    chapter: &Chapter,
    program: &str,
    timeout: Duration,
    stopped: Stopped,
) -> io::Result<Run> {
    let tests = Tests { root, chapter, program, timeout, stopped };
    let mut finished = tests.run(&[])?;
    if !finished.stalled {
        return Ok(read(finished));
    }
    let exercises = chapter.exercises(root)?;
    let (mut names, mut endless) = (tests.list()?, Vec::new());
    while finished.stalled {
        let running = tests.running(&names, &finished.stdout);
        if running.is_empty() {
            return Ok(Run::CutShort(finished.stdout + &finished.stderr));
        }
        endless.extend(running.iter().map(|name| tests.endless(name)));
        names = judging_others(&exercises, &names, &endless);
        if names.is_empty() {
            return Ok(Run::Tests(endless));
        }
        finished = tests.run(&names)?;
    }
    Ok(match read(finished) {
        Run::Tests(ended) => Run::Tests(ended.into_iter().chain(endless).collect()),
        other => other,
    })
}

/// Of the tests of these names, those that judge a function none of whose tests is endless. Those of all functions together are
/// left out: they count when nothing else is wrong.
fn judging_others(exercises: &[Function], names: &[String], endless: &[Test]) -> Vec<String> {
    let tests: Vec<Test> =
        names.iter().map(|name| Test { name: name.clone(), passed: false, panic: None }).collect();
    let ends = |exercise: &&Function| tests_of(&exercise.name, exercises, endless).is_empty();
    let mut others: Vec<String> = exercises
        .iter()
        .filter(ends)
        .flat_map(|exercise| tests_of(&exercise.name, exercises, &tests))
        .map(|test| test.name.clone())
        .collect();
    others.sort();
    others
}

fn read(finished: Finished) -> Run {
    let tests = libtest::parse(&finished.stdout);
    if tests.is_empty() { Run::CutShort(finished.stdout + &finished.stderr) } else { Run::Tests(tests) }
}

/// The tests of a chapter, and how long they may take.
struct Tests<'a> {
    root: &'a Path,
    chapter: &'a Chapter,
    program: &'a str,
    timeout: Duration,
    stopped: Stopped<'a>,
}

impl Tests<'_> {
    /// Runs the tests of these names, or all, and stops them when none has ended for too long.
    fn run(&self, names: &[String]) -> io::Result<Finished> {
        let mut arguments = names.to_vec();
        arguments.extend((!names.is_empty()).then(|| "--exact".to_owned()));
        arguments.extend(["--test-threads".to_owned(), threads().to_string()]);
        let mut command = run::test_program(self.root, self.chapter, self.program, &arguments);
        let (mut ended, mut last, mut allowed) = (0, Instant::now(), None);
        process::run(&mut command, self.stopped, &mut |output| {
            let now = libtest::ended(output).len();
            if now > ended {
                (ended, last) = (now, Instant::now());
            }
            if last.elapsed() <= self.timeout {
                return Ok(true);
            }
            let silent = last.elapsed(); // before the solution takes its time
            if allowed.is_none() {
                allowed = Some(self.timeout + self.with_the_solution(names, output)?);
            }
            Ok(allowed.is_some_and(|allowed| silent <= allowed))
        })
    }

    /// How long the tests that have not ended take on this machine with the solution; zero where it does not build.
    fn with_the_solution(&self, names: &[String], output: &str) -> io::Result<Duration> {
        let names = if names.is_empty() { self.list()? } else { names.to_vec() };
        let mut arguments = self.running(&names, output);
        let (tests, seconds) = (arguments.join(" and "), self.timeout.as_secs());
        eprintln!("{tests}: no end after {seconds} s; timing the same with the solution");
        let Some(program) = check::solved_program(self.root, self.chapter, self.stopped)? else {
            return Ok(Duration::ZERO);
        };
        arguments.push("--exact".into());
        let begun = Instant::now();
        let mut command = run::test_program(self.root, self.chapter, &program, &arguments);
        process::run(&mut command, self.stopped, &mut process::patient)?;
        Ok(begun.elapsed())
    }

    /// The names of all tests, in the order in which they are run.
    fn list(&self) -> io::Result<Vec<String>> {
        let arguments = ["--list", "--format", "terse"].map(str::to_owned);
        let mut command = run::test_program(self.root, self.chapter, self.program, &arguments);
        Ok(libtest::listed(
            &process::run(command.stderr(Stdio::null()), self.stopped, &mut process::patient)?.stdout,
        ))
    }

    /// Which of `names` were running when the program had printed `output`: tests begin in order, one a thread.
    fn running(&self, names: &[String], output: &str) -> Vec<String> {
        let ended = libtest::ended(output);
        names.iter().filter(|name| !ended.contains(&name.as_str())).take(threads()).cloned().collect()
    }

    /// The test of that name as one that never ends.
    fn endless(&self, name: &str) -> Test {
        let panic = Some(Panic::never_ends(self.timeout.as_secs()));
        Test { name: name.to_owned(), passed: false, panic }
    }
}

/// How many tests run at once.
fn threads() -> usize {
    let set = env::var("RUST_TEST_THREADS").ok().and_then(|threads| threads.parse().ok());
    set.filter(|&threads| threads > 0)
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, |threads| threads.get()))
}
