//! Every flag of a program, found from its `--help`, is fed numbers within its bounds and out of them, and what is no number.
//!
//! A program is stopped before its work by `--out`, behind the flag: it names a file, which is refused while arguments are parsed. So the
//! message tells whether the flag's value was refused or accepted.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    /// Whole numbers within these bounds, both included.
    Whole(u64, u64),
    /// Finite numbers within these bounds, both included.
    Real(f64, f64),
    /// A name of a few, or a path.
    Text,
}
use Takes::{Real, Text, Whole};

/// What readers type, by mistake or not.
const VALUES: [&str; 12] = [
    "0",
    "1",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "1000000000",
    "2.5",
    "NaN",
    "inf",
    "-2.5",
    "",
    "text",
];

/// The flags that every chapter takes.
pub const COMMON: [(&str, Takes); 2] = [("seed", Whole(0, u64::MAX)), ("out", Text)];

impl Takes {
    fn accepts(self, value: &str) -> bool {
        match self {
            Whole(least, most) => value.parse::<u64>().is_ok_and(|value| (least..=most).contains(&value)),
            Real(least, most) => value.parse::<f64>().is_ok_and(|value| (least..=most).contains(&value)),
            Text => true,
        }
    }
}

/// The flags of a program that take a value, from its `--help`.
fn flags(program: &str) -> Vec<String> {
    let output = Command::new(program).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let flag = |line: &str| Some(line.trim_start().strip_prefix("--")?.split_once(" <")?.0.to_owned());
    let mut flags: Vec<String> = help.lines().filter_map(flag).collect();
    flags.sort();
    flags
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Feeds every flag of `program` every value, and compares with `expected`, which must list all its flags.
pub fn every_flag_has_bounds(program: &str, expected: &[&[(&str, Takes)]]) {
    let expected: BTreeMap<&str, Takes> = expected.iter().copied().flatten().copied().collect();
    assert_eq!(flags(program), expected.keys().copied().collect::<Vec<_>>(), "{program}: flags with a value");
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for (flag, takes) in expected.into_iter().filter(|(flag, _)| *flag != "out") {
        for value in VALUES {
            let mut command = Command::new(program);
            command.current_dir(place.path());
            let output =
                command.arg(format!("--{flag}")).arg(value).arg("--out").arg(&file).output().unwrap();
            let (said, case) = (said(&output), format!("{program} --{flag} “{value}”"));
            assert!(!output.status.success(), "{case} began its work");
            assert!(!said.contains("panicked") && output.status.code() == Some(2), "{case}: {said}");
            let accepted = said.contains("a file has this name");
            if takes != Text {
                assert_eq!(accepted, takes.accepts(value), "{case}: {said}");
                let shown = if value.is_empty() { "nothing" } else { value };
                let refusal = format!("--{flag} is {shown}; it must ");
                assert_eq!(said.contains(&refusal), !accepted, "{case}: {said}");
            }
            let names: Vec<_> =
                fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["file"], "{case} wrote something");
        }
    }
}

/// Starts a program without data of the reader's in several folders; it must print `expected`, and is stopped then.
pub fn the_course_is_found_from_any_folder(program: &str, expected: &str) {
    let (course, elsewhere) = (ddpm::course::root().unwrap(), tempfile::tempdir().unwrap());
    let inside = std::path::Path::new(program).starts_with(&course);
    for folder in [course.join("tests/common"), course.join("book/src"), elsewhere.path().into()] {
        let mut command = Command::new(program);
        command.current_dir(&folder).env_remove("CARGO_MANIFEST_DIR").arg("--quick");
        command.arg("--out").arg(elsewhere.path().join("out")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let found = lines.any(|line| line.is_ok_and(|line| line.contains(expected)));
        program.kill().unwrap();
        let mut said = String::new();
        program.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        program.wait().unwrap();
        // a program that was compiled to another place finds the course above the current folder alone
        let refused =
            !inside && folder == elsewhere.path() && said.contains("cannot find the course’s folder");
        assert!(found || refused, "in {}: {said}", folder.display());
    }
}

/// A path whose name is no UTF-8.
#[cfg(unix)]
pub fn not_utf8(folder: &std::path::Path) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    folder.join(std::ffi::OsStr::from_bytes(b"n\xe4me \xff\xfe"))
}

/// Gives each of the flags a path that is no UTF-8 and not there: the program must refuse it by its name, not panic.
#[cfg(unix)]
pub fn paths_need_not_be_utf8(program: &str, flags: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let course = ddpm::course::root().unwrap();
    for flag in flags {
        let mut command = Command::new(program);
        command.current_dir(&course).arg("--quick").arg("--out").arg(place.path().join("out"));
        let output = command.arg(format!("--{flag}")).arg(not_utf8(place.path())).output().unwrap();
        let said = said(&output);
        assert!(!said.contains("panicked") && !output.status.success(), "{program} --{flag}: {said}");
        assert!(said.contains('\u{fffd}'), "{program} --{flag} does not name the path: {said}");
    }
}
