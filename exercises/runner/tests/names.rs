//! The names by which chapters and functions are called.

mod common;

use common::{Course, assert_has};
use ddpm_exercise_runner::{arguments, chapter::Chapter, course, name};

#[test]
fn a_chapter_has_many_names_and_a_function_its_own() {
    let root = course::root().unwrap();
    let chapters = Chapter::all(&root).unwrap();
    let found = |name: &str| name::find(&root, &chapters, name).map(|named| named.key());
    for name in
        ["3", "03", "ch3", "ch03", "CH03", "ch03_posterior", "exercises/toy/src/answers/ch03_posterior.rs"]
    {
        assert_eq!(found(name).unwrap(), "ch03_posterior", "{name}");
    }
    for name in ["posterior_variance", "ch03/posterior_variance", "3/posterior_variance"] {
        assert_eq!(found(name).unwrap(), "ch03_posterior/posterior_variance", "{name}");
    }
    assert_eq!(found("10").unwrap(), "ch10_trilemma");
    for name in
        ["", "ch", "0", "99", "-3", "3.0", "ch03_", "ch0x3", "/", "ch02/posterior_variance", "99999999999"]
    {
        let error = found(name).unwrap_err().to_string();
        assert_has(
            &error,
            &[&format!("there are no exercises named {name}"), "there are ch01_forward, ch02_vlb"],
        );
    }
}

#[test]
fn what_is_unknown_is_refused_with_the_nearest() {
    let root = course::root().unwrap();
    let chapters = Chapter::all(&root).unwrap();
    let nearest = |name: &str| {
        let error = name::find(&root, &chapters, name).unwrap_err().to_string();
        let (_, rest) = error.split_once("; nearest: ").unwrap_or_else(|| panic!("no near name in {error}"));
        rest.split("; ").next().unwrap().to_owned()
    };
    assert!(
        nearest("posterior_varience").starts_with("posterior_variance"),
        "{}",
        nearest("posterior_varience")
    );
    assert!(nearest("posterior").starts_with("ch03_posterior"), "{}", nearest("posterior"));
    assert!(nearest("ch03_postrior").starts_with("ch03_posterior"));
    assert!(nearest("wacth").starts_with("watch"), "a command that is misspelt");
    let far = name::find(&root, &chapters, "qqqqqqqqqqqqqq").unwrap_err().to_string();
    assert!(!far.contains("nearest"), "{far}");
}

#[test]
fn a_name_of_two_chapters_is_refused_with_both() {
    let course = Course::new();
    let body = "//! Answers.\n\npub fn one() -> f64 {\n    1.0\n}\n";
    course.write(&common::answers("ch02_three"), body);
    let chapters = Chapter::all(&course.root).unwrap();
    let error = name::find(&course.root, &chapters, "one").unwrap_err().to_string();
    assert_has(&error, &["one is in several chapters", "ch01_one/one", "ch02_three/one"]);
    assert_eq!(name::find(&course.root, &chapters, "2/one").unwrap().key(), "ch02_three/one");
}

#[test]
fn no_exercise_has_the_name_of_a_command() {
    let root = course::root().unwrap();
    let commands = arguments::command_names();
    assert_eq!(commands, ["watch", "next", "list", "hint", "reset", "solution"]);
    for chapter in Chapter::all(&root).unwrap() {
        for exercise in chapter.exercises(&root).unwrap() {
            assert!(
                !commands.contains(&exercise.name),
                "{}: cargo exercise {0} would be the command",
                exercise.name
            );
        }
    }
}

#[test]
fn wrong_arguments_are_refused_with_their_names() {
    let course = Course::new();
    for (arguments, parts) in [
        (&["ch99"][..], &["there are no exercises named ch99; there are ch01_one, ch02_three"][..]),
        (&["ch01_one", "ch02_three"], &["one chapter at a time"]),
        (&["hint", "on"], &["no exercises named on; nearest: ", "one; there are"]),
        (&["hint"], &["<NAME>"]),
        (&["hint", "one", "--level", "4"], &["'4'", "1..=3"]),
        (&["hint", "one", "--level", "0"], &["'0'"]),
        (&["reset", "fife", "--yes"], &["no exercises named fife"]),
        (&["solution", "fife", "--yes"], &["no exercises named fife"]),
        (&["watch", "fife"], &["no exercises named fife"]),
        (&["ch01_one", "--timeout", "0"], &["--timeout", "'0'"]),
        (&["watch", "--timeout", "soon"], &["--timeout", "'soon'"]),
        (&["list", "ch01_one"], &["unexpected argument 'ch01_one'"]),
        (&["--check", "ch99"], &["no exercises named ch99"]),
        (&["--wacth"], &["--wacth"]),
    ] {
        let (code, said) = course.exercise(arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert_has(&said, parts);
    }
}
