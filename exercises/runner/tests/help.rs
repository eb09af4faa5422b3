//! Hints, stubs put back, and solutions: what needs no judging.

mod common;

use common::{Course, answers, assert_has, copies};
use ddpm_exercise_runner::{
    chapter::Chapter,
    course, hints, signature,
    source::{self, functions},
};
use std::{fs, path::Path, process::Command};

#[test]
fn each_call_shows_the_next_hint() {
    let course = Course::new();
    let hint = |arguments: &[&str]| {
        let (code, said) = course.exercise(&[&["hint"], arguments].concat());
        assert_eq!(code, 0, "{said}");
        said
    };
    let first = hint(&["one"]);
    assert_has(&first, &["ch01_one/one, hint 1 of 3: the idea", "Count to one.", "cargo exercise hint one"]);
    assert!(!first.contains("let count") && !first.contains("<details>"), "{first}");
    assert_has(&hint(&["one"]), &["hint 2 of 3: the first line", "    let count = 0;"]);
    assert_has(&hint(&["two_of_them"]), &["hint 1 of 3"]); // another function begins anew
    let third = hint(&["one"]);
    assert_has(&third, &["hint 3 of 3: the solution", "`one` in src/lib.rs", "cargo exercise solution one"]);
    assert_has(&hint(&["one"]), &["hint 3 of 3"]);
    assert_has(&hint(&["one", "--level", "1"]), &["hint 1 of 3"]);
    assert_has(&hint(&["one"]), &["hint 2 of 3"]);
    // a chapter stands for its first function that is still to do
    course.answer("ch01_one", &[("one", "1.0")]);
    assert_has(&hint(&["1"]), &["ch01_one/two_of_them, hint 2 of 3"]);
    course.answer("ch01_one", &[("one", "1.0"), ("two_of_them", "2.0")]);
    let (code, said) = course.exercise(&["hint", "1"]);
    assert_eq!(code, 2);
    assert_has(&said, &["nothing is left to do in ch01_one; name one of one, two_of_them"]);
}

#[test]
fn the_file_of_shown_hints_is_never_needed() {
    let course = Course::new();
    let notes = "target/exercises/hints.txt";
    for damage in
        ["\u{0}\u{fffd}", "ch01_one/one", "ch01_one/one -3\n", "ch01_one/one 99999999999999999999\n"]
    {
        course.write(notes, damage);
        let (code, said) = course.exercise(&["hint", "one"]);
        assert_eq!(code, 0, "{said}");
        assert_has(&said, &["hint 1 of 3"]);
    }
    course.write(notes, "ch01_one/one 7\n");
    assert_has(&course.exercise(&["hint", "one"]).1, &["hint 3 of 3"]);
    fs::remove_file(course.root.join(notes)).unwrap();
    fs::create_dir(course.root.join(notes)).unwrap(); // can be neither read nor written
    assert_has(&course.exercise(&["hint", "one"]).1, &["hint 1 of 3"]);
    // without hints, a sentence
    fs::write(course.root.join("exercises/hints/ch01_one.md"), "").unwrap();
    let (code, said) = course.exercise(&["hint", "one"]);
    assert_eq!(code, 2);
    assert_has(&said, &["exercises/hints/ch01_one.md has no hint for one"]);
}

#[test]
fn every_function_of_the_course_has_three_hints_that_are_readable() {
    let root = course::root().unwrap();
    for chapter in Chapter::all(&root).unwrap() {
        let text = fs::read_to_string(root.join(chapter.hints())).unwrap();
        for exercise in chapter.exercises(&root).unwrap() {
            let hints = hints::of(&text, &exercise.name, Path::new("exercises/hints"));
            let name = format!("{}/{}", chapter.name, exercise.name);
            assert_eq!(hints.len(), 3, "{name}");
            for hint in hints {
                assert!(!hint.title.is_empty() && !hint.text.is_empty(), "{name}: {hint:?}");
                assert!(!hint.text.contains("```") && !hint.text.contains("details>"), "{name}: {hint:?}");
            }
        }
    }
}

#[test]
fn links_become_paths_from_the_course_s_folder() {
    let text = "<!-- ANCHOR: f -->\n<details>\n<summary>Hint 1: the idea</summary>\n\nSee [the page](../../book/a.md) and [`g` in src/a.rs](../../src/a.rs), [this](https://a.b/c) [alone].\n\n</details>\n<!-- ANCHOR_END: f -->";
    let hints = hints::of(text, "f", Path::new("exercises/hints"));
    assert_eq!(hints[0].text, "See the page (book/a.md) and `g` in src/a.rs, this (https://a.b/c) [alone].");
    assert!(hints::of(text, "g", Path::new("")).is_empty());
    assert!(hints::of("<!-- ANCHOR: f -->\n<details>no summary", "f", Path::new("")).is_empty());
}

/// Puts the course under version control as it is now.
fn commit(course: &Course) {
    for arguments in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "--message", "state"]] {
        let done = Command::new("git")
            .args([
                "-c",
                "user.name=reader",
                "-c",
                "user.email=reader@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(&course.root)
            .status()
            .unwrap();
        assert!(done.success(), "{arguments:?}");
    }
}

#[test]
fn a_stub_comes_back_from_the_history_and_a_copy_stays() {
    let course = Course::new();
    let file = answers("ch01_one");
    let stubs = course.read(&file);
    commit(&course);
    // the reader commits answers, and edits on
    course.answer("ch01_one", &[("one", "1.5"), ("two_of_them", "2.0")]);
    commit(&course);
    let mine = course.read(&file).replace("1.5", "1.25") + "\nfn helper() {}\n";
    course.write(&file, &mine);

    for typed in ["", "\n", "no\n", "yes\n", "reset it\n"] {
        let (code, said) = course.exercise_typing(&["reset", "one"], typed);
        assert_eq!(code, 1, "{typed:?}: {said}");
        assert_has(&said, &["your answer to one goes", "Nothing was changed."]);
        assert_eq!(course.read(&file), mine);
    }
    assert!(copies(&course, "ch01_one").is_empty());

    let (code, said) = course.exercise_typing(&["reset", "one"], "reset\n");
    assert_eq!(code, 0, "{said}");
    assert_has(&said, &["ch01_one/one is to do again", "ch01_one.rs.before-1"]);
    let now = course.read(&file);
    assert_has(&now, &["todo!(\"think of one\")", "    2.0\n", "fn helper() {}"]);
    assert_eq!(copies(&course, "ch01_one"), ["ch01_one.rs.before-1"]);
    assert_eq!(course.read(&(file.clone() + ".before-1")), mine);

    // a whole chapter, and no older copy is touched
    let (code, said) = course.exercise(&["reset", "ch1", "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(course.read(&file), stubs);
    assert_eq!(copies(&course, "ch01_one"), ["ch01_one.rs.before-1", "ch01_one.rs.before-2"]);
    assert_eq!(course.read(&(file.clone() + ".before-1")), mine);
    assert_eq!(course.read(&(file.clone() + ".before-2")), now);

    // again: there is nothing to put back, and no copy to make
    let (code, said) = course.exercise(&["reset", "ch01_one", "--yes"]);
    assert_eq!(code, 0);
    assert_has(&said, &["ch01_one is as it began"]);
    assert_eq!(copies(&course, "ch01_one").len(), 2);
    let chapters = Chapter::all(&course.root).unwrap();
    assert_eq!(chapters.len(), 2, "a copy is no chapter");
}

#[test]
fn without_a_history_a_stub_is_made_from_the_library() {
    let course = Course::new();
    let file = answers("ch01_one");
    course.answer("ch01_one", &[("one", "1.5"), ("two_of_them", "2.0")]);
    let (code, said) = course.exercise(&["reset", "one", "--yes"]);
    assert_eq!(code, 0, "{said}");
    let now = course.read(&file);
    assert_has(&now, &["/// A number.\npub fn one() -> f64 {\n    let _ = ();\n    todo!(", "    2.0\n"]);
    assert!(!now.contains("Formula"), "the library's formula is no part of a stub: {now}");
    assert!(functions(&now)[0].is_to_do() && !functions(&now)[1].is_to_do());
    // an answer that is no function any more: the file as a whole is the way out
    let broken = now.replace("pub fn one", "pub fn won");
    course.write(&file, &broken);
    let (code, said) = course.exercise(&["reset", "one", "--yes"]);
    assert_eq!(code, 2);
    assert_has(&said, &["has no `pub fn one(…)`", "cargo exercise reset ch01_one"]);
    assert_eq!(course.read(&file), broken);
}

#[test]
fn stubs_are_written_with_the_arguments_of_the_library() {
    for (head, expected) in [
        ("pub fn f() {", &[][..]),
        ("/// Doc (a: b).\n#[track_caller]\npub fn f(t: usize, x_0: f64) -> (f64, f64) {", &["t", "x_0"]),
        (
            "pub fn f<R: Rng + ?Sized>(\n    x: &Array<f64, Ix2>,\n    mut rng: &mut R,\n) -> f64\nwhere\n    R: Clone,\n{",
            &["x", "rng"],
        ),
        (
            "pub fn f<F: Fn(f64, usize) -> f64>(f: F, pair: (f64, f64), g: impl Fn(f64) -> f64, n: [f64; 2]) {",
            &["f", "pair", "g", "n"],
        ),
    ] {
        assert_eq!(signature::arguments(head), expected, "{head}");
    }
    let text = "//! A.\n\n/// Old.\npub fn f() {\n    1\n}\n\nfn g() {}\n";
    let stub = source::function_named("/// New.\npub fn f(x: f64) {\n    todo!()\n}\n", "f").unwrap();
    let expected = "//! A.\n\n/// New.\npub fn f(x: f64) {\n    todo!()\n}\n\nfn g() {}\n";
    assert_eq!(source::with_function(text, &stub), expected);
    assert_eq!(source::with_function("fn g() {}\n", &stub), "fn g() {}\n");
    assert_eq!(source::line_of(expected, "f"), 4);
}

#[test]
fn a_solution_is_shown_with_consent_only() {
    let course = Course::new();
    for typed in ["", "no\n"] {
        let (code, said) = course.exercise_typing(&["solution", "one"], typed);
        assert_eq!(code, 1, "{said}");
        assert_has(&said, &["one is not right yet", "Not shown: one", "cargo exercise hint one"]);
        assert!(!said.contains("1.0"), "{said}");
    }
    let (code, said) = course.exercise_typing(&["solution", "one"], "show\n");
    assert_eq!(code, 0, "{said}");
    assert_has(&said, &["ch01_one/one  src/lib.rs:6", "pub fn one() -> f64 {\n    1.0\n}"]);
    course.answer("ch01_one", &[("one", "let n = 1.0;\n    n")]);
    let (code, said) = course.exercise(&["solution", "one", "--yes"]);
    assert_eq!(code, 0, "{said}");
    let diff = "-    let n = 1.0;\n-    n\n+    1.0\n";
    assert_has(&said, &["--- exercises/toy/src/answers/ch01_one.rs:5", "+++ src/lib.rs:6", diff]);
    course.answer("ch01_one", &[("one", "1.0")]);
    assert_has(&course.exercise(&["solution", "one", "--yes"]).1, &["Yours is the same, letter by letter."]);
    let (code, said) = course.exercise(&["solution", "2", "--yes"]);
    assert_eq!(code, 0);
    assert_has(&said, &["ch02_three/three", "ch02_three/four"]);
}
