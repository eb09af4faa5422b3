//! What a test program printed, read back: which tests passed, and the messages of the others.

/// A test's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// Its message when it failed.
    pub panic: Option<Panic>,
}

/// A panic: where and with which message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// The file and the line: `tests/ch03_posterior.rs:48`.
    pub place: String,
    /// The message, perhaps of several lines.
    pub message: String,
}

/// What the message of a test begins with that expects a panic.
const EXPECTS_A_PANIC: &str = "the test expects a panic";
/// What the message of a `todo!` begins with.
const TO_DO: &str = "not yet implemented";
/// What the message of a test begins with that was stopped.
const NEVER_ENDS: &str = "it never ends";

impl Panic {
    /// Whether its test expects a panic, and this one is not it. Such a test has no numbers to show.
    pub fn is_another_one(&self) -> bool {
        self.message.starts_with(EXPECTS_A_PANIC)
    }

    /// That of a test that was stopped `seconds` after the time that it takes with the reference.
    pub fn never_ends(seconds: u64) -> Panic {
        let message = format!(
            "{NEVER_ENDS}: its test was stopped after {seconds} s. Look for a loop without an end; if it is only slow, \
             --timeout SECONDS waits longer"
        );
        Panic { place: String::new(), message }
    }

    /// Whether it is that of a test that was stopped.
    pub fn is_endless(&self) -> bool {
        self.message.starts_with(NEVER_ENDS)
    }

    /// The line in its file, 0 where it has none.
    pub fn line(&self) -> usize {
        self.place.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).unwrap_or(0)
    }

    /// The hint of the `todo!` that it came from.
    pub fn hint(&self) -> Option<&str> {
        self.message.strip_prefix(TO_DO)?.strip_prefix(": ").or(Some(""))
    }
}

/// The tests in the output of a test program, by name; empty if it was cut short before its summary.
pub fn parse(output: &str) -> Vec<Test> {
    if !output.contains("\ntest result: ") {
        return Vec::new();
    }
    let mut tests: Vec<Test> = output.lines().filter_map(|line| result(line, output)).collect();
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    tests
}

/// The names of the tests that have ended, in the output so far.
pub fn ended(output: &str) -> Vec<&str> {
    output.lines().filter_map(ended_test).collect()
}

fn ended_test(line: &str) -> Option<&str> {
    let (name, end) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let over = end == "ok" || end == "FAILED" || end.starts_with("ignored");
    over.then(|| name.strip_suffix(" - should panic").unwrap_or(name))
}

/// The names of all tests, in a test program's answer to `--list`, in the order in which it runs them.
pub fn listed(output: &str) -> Vec<String> {
    output.lines().filter_map(|line| line.strip_suffix(": test").map(str::to_owned)).collect()
}

/// `test NAME ... ok`, perhaps with `- should panic` in between.
fn result(line: &str, output: &str) -> Option<Test> {
    let (name, end) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name).to_owned();
    let passed = end == "ok";
    if !passed && end != "FAILED" {
        return None;
    }
    let panic = if passed { None } else { panic_of(&name, output) };
    Some(Test { name, passed, panic })
}

fn panic_of(name: &str, output: &str) -> Option<Panic> {
    let (_, block) = output.split_once(&format!("---- {name} stdout ----\n"))?;
    let block = block.split("\n---- ").next()?.split("\nfailures:").next()?;
    if let Some((_, note)) = block.split_once("note: test did not panic as expected at ") {
        let message = format!("{EXPECTS_A_PANIC}, as of an `assert!` in the stub, and there was none");
        return Some(Panic { place: place(note.lines().next()?), message });
    }
    let (_, rest) = block.split_once(" panicked at ")?;
    let (location, message) = rest.split_once(":\n")?;
    if let Some((_, expected)) = block.split_once(" expected substring: ")
        && !message.starts_with(TO_DO)
    {
        let first_line = message.lines().next().unwrap_or_default();
        let message =
            format!("{EXPECTS_A_PANIC} with {}; its message: {first_line}", expected.lines().next()?);
        return Some(Panic { place: place(location), message });
    }
    let ends = |line: &&str| line.is_empty() || line.starts_with("note: ") || *line == "stack backtrace:";
    let message: Vec<&str> = message.lines().take_while(|line| !ends(line)).collect();
    Some(Panic { place: place(location), message: message.join("\n") })
}

/// `exercises/toy/../../tests/ch03_posterior.rs:48:26` as `tests/ch03_posterior.rs:48`, and a file of another package
/// from the package's name on: `ndarray-0.17.2/src/lib.rs:7`.
fn place(location: &str) -> String {
    let without_column = location.rsplit_once(':').map_or(location, |(place, _)| place);
    let path = without_column.replace('\\', "/");
    if let Some((_, package)) = path.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/')) {
        return package.to_owned();
    }
    crate::chapter::normalized(without_column.as_ref()).display().to_string()
}
