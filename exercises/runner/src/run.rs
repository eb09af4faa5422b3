//! Calls cargo: builds a chapter's tests and runs them.

use crate::{
    chapter::Chapter,
    libtest::{self, Test},
    target::{self, Folders},
};
use std::{
    env, io,
    path::Path,
    process::{Command, Stdio},
};

/// What became of a chapter's tests.
#[derive(Debug)]
pub enum Run {
    /// They do not compile; the compiler has printed why.
    DoesNotCompile,
    /// They ran.
    Tests(Vec<Test>),
    /// They began and did not end: an abort, a stack overflow. What was printed until then.
    CutShort(String),
}

/// cargo, as the program that called this one or as the PATH has it, building into folders of this clone's own.
///
/// # Errors
/// If cargo cannot be started, or cannot read the workspace.
pub fn cargo(root: &Path) -> io::Result<Command> {
    let mut command = plain_cargo(root);
    command.envs(folders(root)?.variables());
    Ok(command)
}

/// The folders that cargo builds the exercises into, where they are not its usual ones.
///
/// # Errors
/// If cargo cannot be started, or cannot read the workspace.
pub fn folders(root: &Path) -> io::Result<Folders> {
    Folders::of(root, &mut plain_cargo(root))
}

fn plain_cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).env("RUST_BACKTRACE", "0");
    command
}

/// Builds and runs a chapter's tests with the reader's answers.
///
/// # Errors
/// If cargo cannot be started, or cannot read the workspace.
pub fn tests(root: &Path, chapter: &Chapter) -> io::Result<Run> {
    let build = cargo(root)?
        .args(chapter.test_arguments())
        .args(["--no-run", "--message-format=json-render-diagnostics"])
        .stdout(Stdio::null())
        .status()?;
    if !build.success() {
        return Ok(Run::DoesNotCompile);
    }
    let run = cargo(root)?.args(chapter.test_arguments()).args(["--", "--color", "never"]).output()?;
    let output = String::from_utf8_lossy(&run.stdout).into_owned();
    let tests = libtest::parse(&output);
    if tests.is_empty() {
        return Ok(Run::CutShort(output + &String::from_utf8_lossy(&run.stderr)));
    }
    Ok(Run::Tests(tests))
}

/// A build whose messages were kept.
#[derive(Debug)]
pub struct Build {
    /// The output of cargo and the compiler.
    pub output: String,
    /// cargo's report of what it built, a line of JSON each.
    artifacts: String,
}

impl Build {
    /// The program of the test of that name, if it was built.
    pub fn program(&self, test: &str) -> Option<String> {
        let of_test = |line: &&str| line.contains(&format!("\"name\":\"{test}\""));
        let artifact =
            self.artifacts.lines().filter(of_test).find(|line| line.contains("\"executable\":\""))?;
        target::text(artifact, "executable")
    }
}

/// Builds a chapter's tests under a feature of its package, and keeps the compiler's output.
///
/// # Errors
/// If cargo cannot be started, or cannot read the workspace.
pub fn build(root: &Path, chapter: &Chapter, feature: &str) -> io::Result<Build> {
    let output = cargo(root)?
        .args(["test", "--package", &chapter.package, "--features", feature, "--test", &chapter.name])
        .args(["--no-run", "--message-format=json-render-diagnostics"])
        .output()?;
    Ok(Build {
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
        artifacts: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}

/// Runs a test program that was built before, all of its tests or those with one of `filters` in their names, and with a
/// slip in one of the answers.
///
/// # Errors
/// If the program cannot be started.
pub fn program(
    root: &Path,
    chapter: &Chapter,
    program: &str,
    filters: &[String],
    slip: Option<&str>,
) -> io::Result<Vec<Test>> {
    let mut command = Command::new(program);
    command.args(filters).args(["--color", "never"]).current_dir(root.join(&chapter.folder));
    command
        .env("RUST_BACKTRACE", "0")
        .env_remove("EXERCISE_SLIP")
        .envs(slip.map(|slip| ("EXERCISE_SLIP", slip)));
    let output = command.output()?;
    Ok(libtest::parse(&String::from_utf8_lossy(&output.stdout)))
}
