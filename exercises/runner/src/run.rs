//! Calls cargo: builds a chapter's tests and runs them.

use crate::{
    chapter::Chapter,
    endless,
    libtest::{self, Test},
    process::{self, Stopped},
    target::{self, Folders},
};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// What became of a chapter's tests.
#[derive(Debug)]
pub enum Run {
    /// They do not compile; the compiler has printed why.
    DoesNotCompile,
    /// They ran; those that never end were stopped, and count as failed.
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

/// Builds and runs a chapter's tests with the reader's answers. A test that has not ended `timeout` after the time that it takes
/// with the reference is stopped, and named.
///
/// # Errors
/// If cargo cannot be started, or cannot read the workspace; [`process::interrupted`] if it was stopped.
pub fn tests(root: &Path, chapter: &Chapter, timeout: Duration, stopped: Stopped) -> io::Result<Run> {
    let mut command = build_command(root, chapter, chapter.feature())?;
    let build = process::run(&mut command, stopped, &mut process::patient)?;
    let success = build.status.success();
    match Build::of(build.stdout, build.stderr).program(&chapter.name).filter(|_| success) {
        None => Ok(Run::DoesNotCompile),
        Some(program) => {
            remember_built(root, chapter, &program);
            endless::tests(root, chapter, &program, timeout, stopped)
        }
    }
}

/// Whether the chapter's tests were built here before, and what was built is still there.
pub fn was_built(root: &Path, chapter: &Chapter) -> bool {
    fs::read_to_string(note_of_build(root, chapter)).is_ok_and(|program| Path::new(&program).is_file())
}

/// Where the path of the program is kept that was built last. Without it one sentence more is printed.
fn note_of_build(root: &Path, chapter: &Chapter) -> PathBuf {
    root.join("target/exercises/programs").join(&chapter.name)
}

fn remember_built(root: &Path, chapter: &Chapter, program: &str) {
    let note = note_of_build(root, chapter);
    let _ = note.parent().map(fs::create_dir_all);
    let _ = fs::write(note, program);
}

/// The program of a chapter's tests, to be run on `arguments` as cargo runs it.
pub fn test_program(root: &Path, chapter: &Chapter, program: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).args(["--color", "never"]).current_dir(root.join(&chapter.folder));
    command.env("RUST_BACKTRACE", "0").stderr(Stdio::piped());
    command
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
    /// A build with that report of what was built, and with that output.
    pub fn of(artifacts: String, output: String) -> Build {
        Build { output, artifacts }
    }

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
    let output = build_command(root, chapter, feature)?.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Build::of(text(&output.stdout), text(&output.stderr)))
}

/// The command that builds a chapter's tests under a feature of its package, and reports what it builds.
///
/// # Errors
/// If cargo cannot be started, or cannot read the workspace.
pub fn build_command(root: &Path, chapter: &Chapter, feature: &str) -> io::Result<Command> {
    let mut command = cargo(root)?;
    command
        .args(["test", "--package", &chapter.package, "--features", feature, "--test", &chapter.name])
        .args(["--no-run", "--message-format=json-render-diagnostics"]);
    Ok(command)
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
