//! Judging by name, what comes next, the list, and answers that never end: with cargo, on a small course.

mod common;

use common::{Course, answers, assert_has};
use std::fs;

#[test]
fn from_the_first_answer_to_the_last() {
    let course = Course::new();
    course.write("book/src/ch01_one.md", "![A one](generated/ch01_one/one.svg)\n");
    course.write("book/src/generated/ch01_one/one.svg", "<svg/>");

    // nothing is done, and nothing is built to say so
    let (code, said) = course.exercise(&[]);
    assert_eq!(code, 1);
    assert_has(&said, &["  ch01_one    ··  0 of 2 done", "  ch02_three  ··  0 of 2 done", "next: three"]);
    let (code, said) = course.exercise(&["next"]);
    assert_eq!(code, 0);
    assert_has(
        &said,
        &["Next: one of ch01_one", "ch01_one.rs:5", "to do  think of one", "cargo exercise hint one"],
    );
    let (code, said) = course.exercise(&["list"]);
    assert_eq!(code, 0);
    assert_has(
        &said,
        &[
            "  to do  one          exercises/toy/src/answers/ch01_one.rs:5\n",
            "  to do  two_of_them  exercises/toy/src/answers/ch01_one.rs:10\n",
            "  to do  three        exercises/toy/src/answers/ch02_three.rs:5\n",
        ],
    );
    assert!(!said.contains("compiling"), "{said}");

    // what is wrong comes before what is undone
    course.answer("ch01_one", &[("two_of_them", "2.5")]);
    let (code, said) = course.exercise(&["1"]);
    assert_eq!(code, 1);
    assert_has(
        &said,
        &[
            "ch01_one: compiling (a minute, once)",
            "0 of 2 done",
            "got 2.5, expected 2.0",
            "Next: `two_of_them`",
        ],
    );
    course.answer("ch02_three", &[("three", "3.5")]);
    course.answer("ch01_one", &[]);
    assert_has(
        &course.exercise(&["next"]).1,
        &["Next: three of ch02_three", "wrong", "got 3.5, expected 3.0"],
    );

    // one function by itself
    course.answer("ch01_one", &[("one", "1.0")]);
    let (code, said) = course.exercise(&["one"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("done   one") && !said.contains("two_of_them  ") && !said.contains("compiling"),
        "{said}"
    );
    let (code, said) = course.exercise(&["ch01/two_of_them"]);
    assert_eq!(code, 1);
    assert!(said.contains("to do  two_of_them") && !said.contains("done   one"), "{said}");

    // from elsewhere, paths are those that a terminal opens there
    let elsewhere = course.command(&["ch01_one"]).current_dir(course.root.join("src")).output().unwrap();
    let full = course.root.join(answers("ch01_one")).display().to_string();
    assert_has(&String::from_utf8_lossy(&elsewhere.stdout), &[&format!("two_of_them  {full}:10")]);

    // a chapter turns green
    course.answer("ch01_one", &[("one", "1.0"), ("two_of_them", "1.0 + 1.0")]);
    let (code, said) = course.exercise(&["ch01"]);
    assert_eq!(code, 0, "{said}");
    assert_has(
        &said,
        &[
            "All of ch01_one is done, and its tests prove it.",
            "Its picture: book/src/generated/ch01_one/one.svg",
            "Its program: cargo run --bin ch01_one",
            "Next: cargo exercise ch02_three",
        ],
    );
    course.write("out/ch01_one/index.html", "");
    assert_has(&course.exercise(&["ch01"]).1, &["Its picture: out/ch01_one/index.html"]);
    let (code, said) = course.exercise(&["solution", "two_of_them"]); // right, so nobody is asked
    assert_eq!(code, 0, "{said}");
    assert_has(&said, &["-    1.0 + 1.0\n+    2.0\n"]);

    course.answer("ch02_three", &[("three", "3.0"), ("four", "4.0")]);
    assert_has(&course.exercise(&["next"]).1, &["All exercises of all chapters are done"]);
    let (code, said) = course.exercise(&[]);
    assert_eq!(code, 0, "{said}");
    assert_has(&said, &["ch01_one    ■■  2 of 2 done   complete"]);

    // what does not compile is said, and comes first
    course.answer("ch02_three", &[("three", "\"3\"")]);
    let (code, said) = course.exercise(&["next"]);
    assert_eq!(code, 1);
    assert_has(&said, &["ch02_three.rs does not compile"]);
    let (code, said) = course.exercise(&["list"]);
    assert_eq!(code, 0);
    assert_has(&said, &["done   two_of_them", "ch02_three.rs does not compile"]);
}

/// An answer that never ends, and that leaves the numbers of its process, and of one that it starts, behind.
fn endless(course: &Course) -> String {
    let note = course.root.join("processes").display().to_string();
    let started = if cfg!(unix) {
        "std::process::Command::new(\"sleep\").arg(\"3600\").spawn().unwrap().id()"
    } else {
        "0"
    };
    format!(
        "let started = {started};\n    std::fs::write({note:?}, format!(\"{{}} {{started}} \", std::process::id())).unwrap();\n    loop {{}}"
    )
}

/// Asserts that the processes of an endless answer are gone, or go: the system may take a moment to end what is killed.
#[cfg(unix)]
fn assert_gone(course: &Course) {
    use nix::{errno::Errno, sys::signal, unistd::Pid};
    let note = fs::read_to_string(course.root.join("processes")).unwrap();
    for number in note.split_whitespace() {
        common::comes_true(&format!("process {number} is gone"), || {
            let there = signal::kill(Pid::from_raw(number.parse().unwrap()), None) != Err(Errno::ESRCH);
            // one that is dead stays listed until somebody asks how it ended
            let state = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            !there || state.contains(") Z ")
        });
    }
}

#[test]
fn an_answer_that_never_ends_is_named_and_the_others_are_judged() {
    let course = Course::new();
    // more endless tests than there are threads; one function beside them is right
    let tests = course.read("tests/ch01_one.rs");
    let endless_tests: String = (0..20)
        .map(|number| format!("#[test]\nfn one_once_more_{number}() {{\n    ddpm_exercises::one();\n}}\n"))
        .collect();
    // sorted first, and left out as long as a function is wrong: it hangs where `one` does
    let together = "#[test]\nfn all_of_them() {\n    ddpm_exercises::one();\n}\n";
    course.write("tests/ch01_one.rs", &(endless_tests + together + &tests));
    course.answer("ch01_one", &[("one", &endless(&course)), ("two_of_them", "2.0")]);
    let (code, said) = course.exercise(&["ch01_one", "--timeout", "3"]);
    assert_eq!(code, 1, "{said}");
    assert_has(
        &said,
        &["1 of 2 done", "wrong  one", "it never ends: its test was stopped after 3 s", "done   two_of_them"],
    );
    #[cfg(unix)]
    assert_gone(&course);

    // the other one is wrong, with numbers
    course.answer("ch01_one", &[("one", &endless(&course)), ("two_of_them", "2.5")]);
    let (_, said) = course.exercise(&["ch01_one", "--timeout", "3"]);
    assert_has(&said, &["0 of 2 done", "it never ends", "wrong  two_of_them", "got 2.5, expected 2.0"]);
    #[cfg(unix)]
    assert_gone(&course);
}

#[test]
fn functions_that_are_right_are_tried_together() {
    let course = Course::new();
    course.answer("ch01_one", &[("one", "1.0"), ("two_of_them", "2.0")]);
    let tests = course.read("tests/ch01_one.rs");
    let with = |body: &str| {
        course.write("tests/ch01_one.rs", &format!("{tests}#[test]\nfn all_fit() {{\n    {body}\n}}\n"))
    };
    with("assert_eq!(ddpm_exercises::one(), 1.5, \"all\");");
    let (code, said) = course.exercise(&["ch01_one"]);
    assert_eq!(code, 1, "{said}");
    assert_has(
        &said,
        &["2 of 2 done", "each by itself is right, but not together", "all: got 1.0, expected 1.5"],
    );
    assert!(!said.contains("Next: cargo exercise"), "{said}");
    assert_has(
        &course.exercise(&["next"]).1,
        &["right one by one, but not together", "got 1.0, expected 1.5"],
    );
    with("loop {}");
    let (code, said) = course.exercise(&["ch01_one", "--timeout", "1"]);
    assert_eq!(code, 1, "{said}");
    assert_has(&said, &["2 of 2 done", "it never ends", "all_fit"]);
    // as long as a function is wrong, they say nothing
    course.answer("ch01_one", &[("one", "1.0"), ("two_of_them", "2.5")]);
    let (_, said) = course.exercise(&["ch01_one"]);
    assert!(said.contains("1 of 2 done") && !said.contains("all_fit"), "{said}");
}

#[test]
fn an_answer_as_slow_as_the_solution_is_no_endless_one() {
    let course = Course::new();
    let slow = "let begun = std::time::Instant::now();\n    while begun.elapsed().as_secs() < 3 {}\n    1.0";
    course.solve(&[("one", slow)]);
    course.answer("ch01_one", &[("one", slow), ("two_of_them", "2.0")]);
    let (code, said) = course.exercise(&["ch01_one", "--timeout", "1"]);
    assert_eq!(code, 0, "{said}");
    assert_has(&said, &["2 of 2 done", "one_is_it: no end after 1 s; timing the same with the solution"]);
    // one that takes an hour where the solution takes seconds is
    course.answer("ch01_one", &[("one", &slow.replace("< 3", "< 3600")), ("two_of_them", "2.0")]);
    let (code, said) = course.exercise(&["ch01_one", "--timeout", "1"]);
    assert_eq!(code, 1, "{said}");
    assert_has(&said, &["wrong  one", "it never ends", "done   two_of_them"]);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_judging_and_leaves_nothing_running() {
    use nix::{sys::signal, unistd::Pid};
    let course = Course::new();
    course.answer("ch01_one", &[("one", &endless(&course))]);
    for (signal, code) in [(signal::Signal::SIGINT, 130), (signal::Signal::SIGTERM, 143)] {
        let _ = fs::remove_file(course.root.join("processes"));
        let talk = course.talk(&["ch01_one"]);
        common::appears(&course.root.join("processes"));
        let program = Pid::from_raw(i32::try_from(talk.child.id()).unwrap());
        signal::kill(program, signal).unwrap();
        assert_eq!(talk.end(), code);
        assert_gone(&course);
    }
}

#[test]
fn an_answer_that_ends_the_program_is_named() {
    let course = Course::new();
    for (answer, ended) in [("std::process::exit(0)", "exit status: 0"), ("std::process::abort()", "SIGABRT")]
    {
        course.answer("ch01_one", &[("one", answer), ("two_of_them", "2.0")]);
        let (code, said) = course.exercise(&["ch01_one"]);
        assert_eq!(code, 1, "{said}");
        assert_has(&said, &["The program of the tests ended while one_is_it"]);
        assert_has(&said, &["the tests were cut short by what stands above"]);
        if cfg!(unix) {
            assert_has(&said, &[ended]);
        }
    }
}

#[test]
fn a_file_of_answers_that_is_gone_is_named() {
    let course = Course::new();
    let file = answers("ch01_one");
    fs::remove_file(course.root.join(&file)).unwrap();
    for arguments in [&["ch01_one"][..], &[], &["next"]] {
        let (code, said) = course.exercise(arguments);
        assert!(code != 0, "{said}");
        assert_has(&said, &[&format!("{file}, the file with the answers of ch01_one, is not there")]);
        assert_has(&said, &[&format!("git checkout -- {file}")]);
    }
}
