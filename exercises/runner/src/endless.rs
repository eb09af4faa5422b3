//! Answers that never end: their tests are stopped and named, and the others are judged all the same.
//!
//! The tests of all functions run at once, in one program. It is stopped when none of them has ended for the time allowed: then each
//! that was running has had that time to itself. The program runs again without the functions that hang, until it comes to its end.
//! The tests of how the functions fit together run when every function is right.

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

/// How many times as long as an answer the solution may take, where a test itself never ends.
const SOLUTION: u32 = 10;

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
    let exercises = chapter.exercises(root)?;
    let all = tests.list()?;
    let (answered, to_do): (Vec<Function>, Vec<Function>) =
        exercises.iter().cloned().partition(|exercise| !exercise.is_to_do());
    let mut ended = match tests.judging(&answered, &exercises, &all)? {
        Run::Tests(ended) => ended,
        other => return Ok(other),
    };
    if to_do.is_empty() && ended.iter().all(|test| test.passed) {
        let own = judging(&exercises, &exercises, &all);
        let together: Vec<String> = all.into_iter().filter(|name| !own.contains(name)).collect();
        match tests.to_the_end(&together)? {
            Run::Tests(more) => ended.extend(more),
            other => return Ok(other),
        }
    }
    Ok(Run::Tests(ended))
}

/// Of the tests of these names, those that judge one of `functions` alone; `of` are all exercises.
fn judging(functions: &[Function], of: &[Function], names: &[String]) -> Vec<String> {
    let tests: Vec<Test> =
        names.iter().map(|name| Test { name: name.clone(), passed: false, panic: None }).collect();
    let mut own: Vec<String> = functions
        .iter()
        .flat_map(|function| tests_of(&function.name, of, &tests))
        .map(|test| test.name.clone())
        .collect();
    own.sort();
    own
}

/// What the program of the tests printed; `running` are those that had not ended.
fn read(finished: Finished, running: &[String]) -> Run {
    let tests = libtest::parse(&finished.stdout);
    if !tests.is_empty() {
        return Run::Tests(tests);
    }
    let during = match running {
        [] => String::new(),
        names => format!(" while {} ran", names.join(" and ")),
    };
    let how = format!(
        "\nThe program of the tests ended{during}, with {}: an answer that exits, aborts or overflows the stack ends them all.\n",
        finished.status
    );
    Run::CutShort(finished.stdout + &finished.stderr + &how)
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
    /// Runs the tests that judge one of `functions` alone; a function of which one never ends is left out of what follows.
    fn judging(&self, functions: &[Function], of: &[Function], all: &[String]) -> io::Result<Run> {
        let mut endless: Vec<Test> = Vec::new();
        loop {
            let ends = |function: &&Function| tests_of(&function.name, of, &endless).is_empty();
            let others: Vec<Function> = functions.iter().filter(ends).cloned().collect();
            let names = judging(&others, of, all);
            if names.is_empty() {
                return Ok(Run::Tests(endless));
            }
            let finished = self.run(&names)?;
            let running = self.running(&names, &finished.stdout);
            if !finished.stalled || running.is_empty() {
                return Ok(match read(finished, &running) {
                    Run::Tests(ended) => Run::Tests(ended.into_iter().chain(endless).collect()),
                    other => other,
                });
            }
            endless.extend(running.iter().map(|name| self.endless(name)));
        }
    }

    /// Runs the tests of these names until all have ended or been stopped.
    fn to_the_end(&self, names: &[String]) -> io::Result<Run> {
        if names.is_empty() {
            return Ok(Run::Tests(Vec::new()));
        }
        let finished = self.run(names)?;
        let running = self.running(names, &finished.stdout);
        if !finished.stalled {
            return Ok(read(finished, &running));
        }
        Ok(Run::Tests(running.iter().map(|name| self.endless(name)).collect()))
    }

    /// Runs the tests of these names, and stops them when none has ended for too long.
    fn run(&self, names: &[String]) -> io::Result<Finished> {
        let mut arguments = names.to_vec();
        arguments.extend(["--exact".to_owned(), "--test-threads".to_owned(), threads().to_string()]);
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
        let mut arguments = self.running(names, output);
        let (tests, seconds) = (arguments.join(" and "), self.timeout.as_secs());
        eprintln!("{tests}: no end after {seconds} s; timing the same with the solution");
        let Some(program) = check::solved_program(self.root, self.chapter, self.stopped)? else {
            return Ok(Duration::ZERO);
        };
        arguments.push("--exact".into());
        let begun = Instant::now();
        let mut command = run::test_program(self.root, self.chapter, &program, &arguments);
        let long = SOLUTION * self.timeout;
        process::run(&mut command, self.stopped, &mut |_| Ok(begun.elapsed() <= long))?;
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
