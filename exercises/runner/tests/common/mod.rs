//! A small course of two chapters without dependencies; cargo and the program are the real ones.
#![allow(dead_code, reason = "each test program uses its part")]

use ddpm_exercise_runner::course;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a function has for a body when it is done.
pub const SOLUTIONS: [(&str, &str, &str); 4] = [
    ("ch01_one", "one", "1.0"),
    ("ch01_one", "two_of_them", "2.0"),
    ("ch02_three", "three", "3.0"),
    ("ch02_three", "four", "4.0"),
];

/// The course, which goes with the value.
pub struct Course {
    folder: TempDir,
    pub root: PathBuf,
}

impl Course {
    /// With stubs in the place of all answers.
    pub fn new() -> Course {
        let folder = TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let course = Course { folder, root };
        let package = |name: &str| {
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\nautotests = false\n"
            )
        };
        let workspace = "[workspace]\nmembers = [\"exercises/toy\"]\nresolver = \"3\"\n";
        let toy = "[features]\nch01 = []\nch02 = []\nall = [\"ch01\", \"ch02\"]\nsolved = [\"all\"]\n\n\
                   [dependencies]\nsolution = { package = \"ddpm\", path = \"../..\" }\n";
        let target =
            |name: &str| format!("\n[[test]]\nname = \"{name}\"\npath = \"../../tests/{name}.rs\"\n");
        let toy = package("ddpm-exercises") + toy + &target("ch01_one") + &target("ch02_three");
        course.write("Cargo.toml", &(workspace.to_owned() + &package("ddpm")));
        course.write("exercises/toy/Cargo.toml", &toy);
        course.write(
            "exercises/toy/src/lib.rs",
            "#[cfg_attr(feature = \"solved\", path = \"../../../target/exercises/toy/mod.rs\")]\nmod answers;\n\
             #[cfg(feature = \"ch01\")]\npub use answers::ch01_one::*;\n\
             #[cfg(feature = \"ch02\")]\npub use answers::ch02_three::*;\n",
        );
        course.write(
            "exercises/toy/src/answers/mod.rs",
            "#[cfg(feature = \"ch01\")]\npub mod ch01_one;\n#[cfg(feature = \"ch02\")]\npub mod ch02_three;\n",
        );
        for chapter in ["ch01_one", "ch02_three"] {
            course.answer(chapter, &[]);
            let hints: String = functions(chapter).map(|(name, _)| hints_of(name)).collect();
            course.write(&format!("exercises/hints/{chapter}.md"), &hints);
            let tests: String = functions(chapter)
                .map(|(name, value)| {
                    format!("#[test]\nfn {name}_is_it() {{\n    assert_eq!(ddpm_exercises::{name}(), {value}, \"{name}\");\n}}\n")
                })
                .collect();
            course.write(&format!("tests/{chapter}.rs"), &tests);
        }
        course.solve(&[]);
        for mark in course::MARKS {
            course.write(mark, "");
        }
        course
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// Writes a chapter's answers: these bodies, and stubs for the others.
    pub fn answer(&self, chapter: &str, bodies: &[(&str, &str)]) {
        let text = |(name, _): (&str, &str)| {
            let body = bodies.iter().find(|(other, _)| *other == name).map(|(_, body)| (*body).to_owned());
            let body = body.unwrap_or_else(|| format!("todo!(\"think of {name}\")"));
            format!("/// A number.\npub fn {name}() -> f64 {{\n    {body}\n}}\n\n")
        };
        let text = functions(chapter).map(text).collect::<String>();
        self.write(&answers(chapter), &format!("//! Answers.\n\n{}\n", text.trim_end()));
    }

    /// Writes the library, with these bodies in the place of the usual ones.
    pub fn solve(&self, bodies: &[(&str, &str)]) {
        let text = |&(_, name, value): &(&str, &str, &str)| {
            let body = bodies.iter().find(|(other, _)| *other == name).map_or(value, |(_, body)| body);
            format!(
                "// ANCHOR: {name}\n/// A number.\n///\n/// # Formula\n/// {value}\npub fn {name}() -> f64 {{\n    {body}\n}}\n// ANCHOR_END: {name}\n\n"
            )
        };
        self.write("src/lib.rs", &SOLUTIONS.iter().map(text).collect::<String>());
    }

    /// The program, as cargo runs it in the course.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exercise"));
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO_MANIFEST_DIR", self.root.join("exercises/runner"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_BUILD_DIR")
            .env_remove("RUST_TEST_THREADS")
            .stdin(Stdio::null());
        command
    }

    /// What the program prints on these arguments, and its exit code.
    pub fn exercise(&self, arguments: &[&str]) -> (i32, String) {
        said(&self.command(arguments).output().unwrap())
    }

    /// As [`Course::exercise`], with something typed.
    pub fn exercise_typing(&self, arguments: &[&str], typed: &str) -> (i32, String) {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        said(&child.wait_with_output().unwrap())
    }

    /// Starts the program, to talk with it.
    pub fn talk(&self, arguments: &[&str]) -> Talk {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Talk::new(command.spawn().unwrap())
    }
}

/// The path of a chapter's answers.
pub fn answers(chapter: &str) -> String {
    format!("exercises/toy/src/answers/{chapter}.rs")
}

fn functions(chapter: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    SOLUTIONS.iter().filter(move |(of, ..)| *of == chapter).map(|&(_, name, value)| (name, value))
}

fn hints_of(name: &str) -> String {
    format!(
        "<!-- ANCHOR: {name} -->\n### `{name}`\n\n\
         <details>\n<summary>Hint 1: the idea</summary>\n\nCount to {name}.\n\n</details>\n\
         <details>\n<summary>Hint 2: the first line</summary>\n\n```rust,ignore\nlet count = 0;\n```\n\n</details>\n\
         <details>\n<summary>Hint 3: the solution</summary>\n\n[`{name}` in src/lib.rs](../../src/lib.rs)\n\n</details>\n\
         <!-- ANCHOR_END: {name} -->\n\n"
    )
}

fn said(output: &Output) -> (i32, String) {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// A running program.
pub struct Talk {
    pub child: Child,
    lines: Receiver<String>,
}

/// How long a program may be silent before a test fails: cargo compiles in between.
const PATIENCE: Duration = Duration::from_secs(240);

impl Talk {
    fn new(mut child: Child) -> Talk {
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Talk { child, lines }
    }

    /// Reads on until a line has that text in it.
    pub fn until(&self, text: &str) {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => before.push(line),
                Err(error) => panic!("no line with “{text}” ({error}) in:\n{}", before.join("\n")),
            }
        }
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Its exit code, once it has ended.
    pub fn end(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that a text has all parts, and shows it if not.
#[track_caller]
pub fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no “{part}” in:\n{text}");
    }
}

/// The files beside a chapter's answers whose names begin as theirs does, in order.
pub fn copies(course: &Course, chapter: &str) -> Vec<String> {
    let folder = course.root.join(Path::new(&answers(chapter)).parent().unwrap());
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(&format!("{chapter}.rs."))).collect();
    names.sort();
    names
}

/// Waits until a file holds something.
pub fn appears(file: &Path) {
    let holds = || fs::read(file).is_ok_and(|bytes| !bytes.is_empty());
    comes_true(&format!("{} appears", file.display()), holds);
}

/// Waits until something is so.
#[track_caller]
pub fn comes_true(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "this does not come true: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
