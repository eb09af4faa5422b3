//! The runner: files read as text, test programs' output read back, verdicts and pages.

use ddpm_exercise_runner::{
    chapter::{Chapter, normalized},
    check::texts,
    course,
    libtest::{self, Panic, Test},
    message::{number, readable},
    page::{self, Columns, Style},
    source::{self, Function, anchored, functions, has_hints, with_bodies},
    verdict::{Failure, Status, Verdict, tests_of},
};
use std::{env, fs, path::Path};

const FILE: &str = r#"//! Answers.

use crate::schedule::Schedule;

/// β̃_t.
///
/// Two lines.
#[track_caller]
pub fn variance(schedule: &Schedule, t: usize) -> f64 {
    let _ = (schedule, t);
    todo!("Eq. (7): x_{{t−1}} is given")
}

/// A mean.
pub fn mean<R>(
    x: f64,
    rng: &mut R,
) -> f64
where
    R: Clone,
{
    let double = |x: f64| {
        2.0 * x
    };
    double(x)
}

fn helper() {}
"#;

fn stub(name: &str, hint: &str) -> Function {
    let text = format!("pub fn {name}() {{\n    todo!(\"{hint}\")\n}}\n");
    source::function_named(&text, name).unwrap()
}

fn answer(name: &str) -> Function {
    source::function_named(&format!("pub fn {name}() {{\n    1\n}}\n"), name).unwrap()
}

fn test(name: &str, message: Option<&str>) -> Test {
    let panic = message.map(|message| Panic { place: "tests/ch.rs:1".into(), message: message.into() });
    Test { name: name.into(), passed: message.is_none(), panic }
}

#[test]
fn functions_are_found_with_their_heads_bodies_and_hints() {
    let [variance, mean] = &functions(FILE)[..] else { panic!("two public functions") };
    assert_eq!((variance.name.as_str(), mean.name.as_str()), ("variance", "mean"));
    assert!(variance.head.starts_with("/// β̃_t.\n///\n/// Two lines.\n#[track_caller]\npub fn variance("));
    assert!(
        mean.head.starts_with("/// A mean.\n") && mean.head.ends_with("    R: Clone,\n{"),
        "{}",
        mean.head
    );
    assert_eq!(variance.hint().as_deref(), Some("Eq. (7): x_{t−1} is given"));
    assert_eq!(variance.line(), 11, "the line of its `todo!`");
    assert_eq!((variance.is_to_do(), mean.is_to_do(), mean.hint()), (true, false, None));
    assert_eq!(mean.body.len(), 4);
}

#[test]
fn a_hint_may_stand_on_lines_of_its_own() {
    let text = "pub fn f() {\n    todo!(\n        \"Eq. (1)\"\n    )\n}\n";
    assert_eq!(functions(text)[0].hint().as_deref(), Some("Eq. (1)"));
    let text = "pub fn f() {\n    todo!(\n        \"Eq. (1), \\\n         and more\"\n    )\n}\n";
    assert_eq!(functions(text)[0].hint().as_deref(), Some("Eq. (1), and more"), "as the compiler joins them");
}

#[test]
fn the_sections_that_give_an_answer_away_are_left_out() {
    let head = "\
/// The variance β̃_t.
///
/// Source: Eq. (7).
///
/// # Formula
/// β̃_t = …
///
/// # Example
/// ```
/// assert_eq!(variance(1), 0.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// At t = 0.
#[track_caller]
pub fn variance(t: usize) -> f64 {";
    let without = "\
/// The variance β̃_t.
///
/// Source: Eq. (7).
///
/// # Panics
/// At t = 0.
#[track_caller]
pub fn variance(t: usize) -> f64 {";
    assert_eq!(source::without_answers(head), without);
    assert_eq!(source::without_answers(without), without);
    let last = head.replace("///\n/// # Panics\n/// At t = 0.\n", "");
    let expected = without.replace("///\n/// # Panics\n/// At t = 0.\n", "");
    assert_eq!(source::without_answers(&last), expected, "the blank line above goes, too");

    assert_eq!(source::answer_in(head), Some("# Formula"));
    assert_eq!(source::answer_in(without), None);
    assert_eq!(source::answer_in("/// # Example\npub fn f() {"), Some("# Example"));
    let hidden = "/// ```\n/// # Example\n/// ```\npub fn f() {";
    assert_eq!(source::answer_in(hidden), None, "a line that code hides is no heading");
    assert_eq!(source::without_answers(hidden), hidden);
}

#[test]
fn bodies_are_replaced_and_nothing_else() {
    let body = |name: &str| (name == "variance").then(|| vec!["    schedule.beta(t)".to_owned()]);
    let replaced = with_bodies(FILE, body);
    assert_eq!(functions(&replaced)[0].body, ["    schedule.beta(t)"]);
    assert_eq!(functions(&replaced)[1].body, functions(FILE)[1].body);
    assert_eq!(with_bodies(FILE, |_| None), FILE);
}

#[test]
fn anchors_and_hints_are_found() {
    let text =
        "// ANCHOR: mean_two\nno\n// ANCHOR_END: mean_two\n// ANCHOR: mean\nyes\n// ANCHOR_END: mean\n";
    assert_eq!(anchored(text, "mean"), Some("yes\n"));
    assert_eq!(anchored(text, "median"), None);
    let hints = "<!-- ANCHOR: mean -->\n<details><details><details>{{#include ../../src/a.rs:mean}}\n<!-- ANCHOR_END: mean -->";
    assert!(has_hints(hints, "mean"));
    let linked = hints.replace("{{#include ../../src/a.rs:mean}}", "[`mean` in src/a.rs](../../src/a.rs)");
    assert!(has_hints(&linked, "mean") && !has_hints(&linked.replace("[`mean`", "[`median`"), "mean"));
    assert!(!has_hints(&hints.replace("rs:mean", "rs:median"), "mean"), "another solution");
    assert!(!has_hints(&hints.replacen("<details>", "", 1), "mean"), "two hints");
}

#[test]
fn a_test_program_s_output_is_read_back() {
    let output = "
running 4 tests
test good ... ok
test bad ... FAILED
test refuses - should panic ... FAILED
test panics - should panic ... ok

failures:

---- bad stdout ----

thread 'bad' (123) panicked at exercises/toy/../../tests/ch03_posterior.rs:48:26:
assertion `left == right` failed: shape
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

---- refuses stdout ----
note: test did not panic as expected at exercises/toy/../../tests/ch03_posterior.rs:9:4

failures:
    bad
    refuses

test result: FAILED. 2 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
    let [bad, good, panics, refuses] = &libtest::parse(output)[..] else { panic!("four tests") };
    assert!(good.passed && panics.passed && !bad.passed && !refuses.passed);
    let panic = bad.panic.as_ref().unwrap();
    assert_eq!(panic.place, "tests/ch03_posterior.rs:48");
    assert_eq!(readable(&panic.message), "shape: got 1, expected 2");
    assert_eq!(refuses.panic.as_ref().unwrap().place, "tests/ch03_posterior.rs:9");
    assert_eq!(libtest::ended(output), ["good", "bad", "refuses", "panics"]);
    assert_eq!(
        libtest::ended("test slow has been running for over 60 seconds\ntest open ... "),
        [""; 0],
        "it has not ended"
    );
    assert_eq!(libtest::parse("\nrunning 1 test\ntest good ... ok\n"), [], "cut short");
    // another panic than the one that was expected
    let another = |said: &str| {
        let panic = format!(
            "thread 'refuses' panicked at /home/me/.cargo/registry/src/a-1b/ndarray-0.17.2/src/lib.rs:7:1:\n{said}\n"
        );
        let note = "note: panic did not contain expected string\n      panic message: \"…\"\n expected substring: \"t = 0\"";
        let missing =
            "note: test did not panic as expected at exercises/toy/../../tests/ch03_posterior.rs:9:4";
        libtest::parse(&output.replace(missing, &(panic + note)))[3].panic.clone().unwrap()
    };
    let panic = another("index 3 out of bounds");
    assert_eq!(panic.message, "the test expects a panic with \"t = 0\"; its message: index 3 out of bounds");
    assert_eq!(panic.place, "ndarray-0.17.2/src/lib.rs:7", "from the package's name on");
    assert!(panic.is_another_one() && refuses.panic.as_ref().unwrap().is_another_one());
    assert_eq!(another("not yet implemented: Eq. (1)").hint(), Some("Eq. (1)"), "a stub is no wrong answer");
    // the form before Rust 1.90
    let older = output.replace(" (123)", "");
    assert_eq!(libtest::parse(&older)[0].panic, bad.panic);
}

#[test]
fn messages_become_readable() {
    for (message, expected) in [
        (
            "t = 2: 1/β̃_2: got 8.338897415e3, expected 1.833789741e4; error 1.0e4 > 1.8e-6",
            "t = 2: 1/β̃_2: got 8338.9, expected 18337.9",
        ),
        (
            "a: got 1.000000001e0, expected 1.0e0; error 1.0e-9 > 1.0e-12",
            "a: got 1.000000001, expected 1; error 1.0e-9 > 1.0e-12",
        ),
        ("a: got NaN, expected 1.0e0; error NaN > 1.0e-12", "a: got NaN, expected 1"),
        ("assertion failed: a < b", "assertion failed: a < b"),
        ("two\n  lines", "two lines"),
        (
            "assertion `left == right` failed\n  left: [1.0], shape=[1], strides=[1]\n right: [2.0], shape=[1]",
            "got [1.0], expected [2.0]",
        ),
    ] {
        assert_eq!(readable(message), expected);
    }
    for (value, expected) in [
        (0.0, "0"),
        (1e-16, "1e-16"),
        (0.1 + 0.2, "0.3"),
        (10_999_889.0, "10999889"),
        (-6.3528e-3, "-0.0063528"),
    ] {
        assert_eq!(number(value, 6), expected);
    }
}

#[test]
fn a_test_belongs_to_the_longest_name_it_begins_with() {
    let exercises = [answer("mean"), answer("mean_matching")];
    let tests = [test("mean_is_it", None), test("mean_matching_is_it", None), test("meaning", None)];
    let names =
        |name| tests_of(name, &exercises, &tests).iter().map(|test| test.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names("mean"), ["mean_is_it"]);
    assert_eq!(names("mean_matching"), ["mean_matching_is_it"]);
}

#[test]
fn a_verdict_says_done_wrong_to_do_and_waits() {
    let exercises = vec![answer("a"), answer("b"), stub("c", "Eq. (1)"), answer("d"), answer("e")];
    let tests = [
        test("a_works", None),
        test("b_has_no_t_0", Some("the test expects a panic, and there was none")),
        test("b_works", Some("b: got 1.0e0, expected 2.0e0; error 1.0e0 > 0.0e0")),
        test("c_works", Some("not yet implemented: Eq. (1)")),
        test("d_works", Some("not yet implemented: Eq. (1)")),
        test("e_is_one_thing", Some("not yet implemented: Eq. (1)")),
        test("e_is_another", Some("e is off")),
        test("all_together", Some("not yet implemented: Eq. (1)")),
    ];
    let verdict = Verdict::new(exercises, &tests);
    let statuses: Vec<&Status> = verdict.exercises.iter().map(|(_, status)| status).collect();
    assert_eq!(statuses[0], &Status::Done);
    assert!(matches!(statuses[1], Status::Wrong(Failure { test, .. }) if test == "b_works"), "numbers first");
    assert_eq!(statuses[2], &Status::ToDo("Eq. (1)".into()));
    assert_eq!(statuses[3], &Status::Waits("c".into()));
    assert!(matches!(statuses[4], Status::Wrong(_)), "what is wrong without the others comes first");
    assert_eq!((verdict.done(), verdict.complete(), verdict.together.len()), (1, false, 0));
    assert_eq!(verdict.next().unwrap().name, "b");
}

#[test]
fn done_alone_is_not_done_together() {
    let tests = [test("a_works", None), test("all_together", Some("they do not fit"))];
    let verdict = Verdict::new(vec![answer("a")], &tests);
    assert_eq!((verdict.done(), verdict.complete()), (1, false));
    assert!(Verdict::new(vec![answer("a")], &tests[..1]).complete());
}

#[test]
fn a_page_shows_hints_numbers_and_places_and_no_colour_unless_asked() {
    let chapter = Chapter {
        name: "ch03_posterior".into(),
        package: "ddpm-exercises".into(),
        folder: "exercises/toy".into(),
        solution: "src".into(),
    };
    let wrong = "t = 2: 1/β̃_2: got 8.338897415e3, expected 1.833789741e4; error 1.0e4 > 1.8e-6";
    let exercises = vec![answer("a"), answer("b"), stub("c", "Eq. (1): a hint")];
    let verdict = Verdict::new(exercises, &[test("a_works", None), test("b_works", Some(wrong))]);
    let plain = page::chapter(&chapter, &verdict, Style { colour: false });
    for part in [
        "ch03_posterior: 1 of 3 done",
        "done   a\n",
        "wrong  b  exercises/toy/src/answers/ch03_posterior.rs:2",
        "t = 2: 1/β̃_2: got 8338.9, expected 18337.9\n",
        "tests/ch.rs:1, b_works",
        "Eq. (1): a hint",
        "Next: `b`",
        "cargo test --package ddpm-exercises --features ch03 --test ch03_posterior",
    ] {
        assert!(plain.contains(part), "no “{part}” in {plain}");
    }
    assert!(!plain.contains('\x1b'));
    assert!(page::chapter(&chapter, &verdict, Style { colour: true }).contains("\x1b[31mwrong"));
    let columns = Columns { name: 20, exercises: 5 };
    let line = page::progress(&chapter, &verdict, columns, Style { colour: false });
    assert!(line.contains("■×·") && line.starts_with("  ch03_posterior        ■×·    1 of 3 done"), "{line}");
}

#[test]
fn the_chapters_are_found_by_their_files() {
    let chapters = Chapter::all(&course::root().unwrap()).unwrap();
    let chapter = chapters.iter().find(|chapter| chapter.name == "ch03_posterior").unwrap();
    assert_eq!((chapter.package.as_str(), chapter.feature()), ("ddpm-exercises", "ch03"));
    assert_eq!(
        (chapter.folder.as_path(), chapter.solution.as_path()),
        (Path::new("exercises/toy"), Path::new("src"))
    );
    assert!(chapters.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(normalized(Path::new("exercises/toy/../../src")), Path::new("src"));
}

#[test]
fn the_gate_of_texts_notices_a_stub_that_says_something_else() {
    let root = env::temp_dir().join(format!("exercise-texts-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let stub = "/// One.\npub fn one() -> f64 {\n    todo!(\"Eq. (1)\")\n}\n";
    let reference =
        format!("// ANCHOR: one\n{}// ANCHOR_END: one\n", stub.replace("todo!(\"Eq. (1)\")", "1.0"));
    let hints =
        "<!-- ANCHOR: one -->\n<details><details><details>{{#include a.rs:one}}\n<!-- ANCHOR_END: one -->";
    write("exercises/toy/Cargo.toml", "name = \"toy\"\nsolution = { path = \"../..\" }\n");
    write("exercises/toy/src/answers/ch01_one.rs", stub);
    write("exercises/hints/ch01_one.md", hints);
    write("src/deep/module.rs", &reference);
    let complaints = || texts::complaints(&root, &Chapter::all(&root).unwrap()).unwrap();
    assert_eq!(complaints(), Vec::<String>::new());
    write("src/deep/module.rs", &reference.replace("One", "Won"));
    assert_eq!(complaints(), ["ch01_one, one: the stub has “/// One.”, the library “/// Won.”"]);
    // the library's formula and example are its own, and a stub has neither
    let formula =
        "/// One.\n///\n/// # Formula\n/// 1 = 1\n///\n/// # Example\n/// ```\n/// # use ddpm::one;\n/// ```";
    write("src/deep/module.rs", &reference.replace("/// One.", formula));
    assert_eq!(complaints(), Vec::<String>::new());
    for section in ["# Formula", "# Example"] {
        let told = stub.replace("/// One.", &format!("/// One.\n///\n/// {section}\n/// 1 = 1"));
        write("exercises/toy/src/answers/ch01_one.rs", &told);
        let expected =
            format!("ch01_one, one: the stub has a section “{section}”, which gives the answer away");
        assert_eq!(complaints(), [expected]);
    }
    write("exercises/toy/src/answers/ch01_one.rs", stub);
    write("src/deep/module.rs", &reference.replace("/// One.", formula).replace("One", "Won"));
    assert_eq!(complaints(), ["ch01_one, one: the stub has “/// One.”, the library “/// Won.”"]);
    write("src/deep/module.rs", "");
    write("exercises/hints/ch01_one.md", "");
    assert_eq!(complaints().len(), 2, "no anchor, no hints");
    fs::remove_dir_all(root).unwrap();
}
