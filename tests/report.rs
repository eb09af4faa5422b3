//! Tables, grids and the shape of a chapter: what they say, and when they say no.

use clap::Parser;
use ddpm::{
    Error,
    plot::{Figure, Panel},
    report::{Chapter, Common, Grid, Progress, Table, catalogue},
};
use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, ExitCode, Stdio, Termination},
};
use unicode_width::UnicodeWidthStr;

fn common(out: &Path) -> Common {
    Common { out: Some(out.into()), ..Common::default() }
}

fn is_ok(table: &Table) -> bool {
    table.verdict().is_ok()
}

#[test]
fn columns_line_up_and_fit() {
    let long =
        "the largest absolute difference between chain and closed form over all steps t and all points, in σ";
    let table = Table::new("Closed form against the chain")
        .close("√ᾱ_T", 0.006_352_8, 0.006_352_801, 1e-6)
        .close("1 − ᾱ_T", -123_456.789, -123_456.788, 1.0)
        .close_relative(long, 1e-30, 1.000_000_1e-30, 1e-3)
        .at_most("L_T (bits/dim)", 1e-4, 2.9e-5)
        .exactly("steps", 1000, 999)
        .note("a note");
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        assert!(line.width() <= 100, "{} columns: {line}", line.width());
    }
    let column_of = |line: &str, part: &str| {
        line.find(part)
            .map(|byte| line[..byte].width() + part.width())
            .unwrap_or_else(|| panic!("{part} in {text}"))
    };
    assert_eq!(column_of(lines[1], "predicted"), column_of(lines[3], "0.006352800"), "{text}");
    assert_eq!(column_of(lines[1], "measured"), column_of(lines[3], "0.006352801"), "{text}");
    assert_eq!(column_of(lines[1], "tolerance"), column_of(lines[4], "  1"), "{text}");
    let verdicts: Vec<usize> =
        lines.iter().filter_map(|line| line.find(['✓', '✗']).map(|byte| line[..byte].width())).collect();
    assert_eq!(verdicts.len(), 5, "{text}");
    assert!(verdicts.iter().all(|column| *column == verdicts[0]), "{verdicts:?}\n{text}");
    assert!(text.contains("✗ NO") && text.ends_with("a note"), "{text}");
}

#[test]
fn numbers_show_seven_digits_alike() {
    let shown = |predicted: f64, measured: f64| {
        let text = Table::new("").close("q", predicted, measured, 1.0).to_string();
        let row = text.lines().find(|line| line.starts_with("q ")).unwrap().to_owned();
        let cells: Vec<String> = row.split_whitespace().map(str::to_owned).collect();
        (cells[1].clone(), cells[2].clone())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(shown(1.0, 0.998_312_1), pair("1.000000", "0.998312"));
    assert_eq!(shown(0.006_352_824, 0.006_352_819), pair("0.006352824", "0.006352819"));
    assert_eq!(shown(0.0, 1.25e-17), pair("0", "1.250000e-17"));
    assert_eq!(shown(1.0, 1e-5), pair("1.000000", "1.000000e-5"));
    assert_eq!(shown(35_746_307.0, 35_746_308.0), pair("3.574631e7", "3.574631e7"));
    assert_eq!(shown(999_999.96, 1_000_000.0), pair("1000000", "1000000"));
    assert_eq!(shown(f64::NAN, 1.0), pair("NaN", "1.000000"));
}

/// All numbers here are exact in binary, so the edge is the edge.
// ANCHOR: a_row_is_ok_up_to_its_tolerance
#[test]
fn a_row_is_ok_up_to_its_tolerance() {
    let above = 0.25 + f64::EPSILON;
    assert!(is_ok(&Table::new("").close("q", 1.0, 1.25, 0.25)));
    assert!(is_ok(&Table::new("").close("q", 1.0, 0.75, 0.25)));
    assert!(!is_ok(&Table::new("").close("q", 1.0, 1.0 + above, 0.25)));
    assert!(!is_ok(&Table::new("").close("q", 1.0, 1.0 - above, 0.25)));
    assert!(is_ok(&Table::new("").close_relative("q", -4.0, -5.0, 0.25)));
    assert!(!is_ok(&Table::new("").close_relative("q", -4.0, -5.0 - 4.0 * f64::EPSILON, 0.25)));
    assert!(is_ok(&Table::new("").close_relative("q", 0.0, 0.0, 0.1)));
    assert!(!is_ok(&Table::new("").close_relative("q", 0.0, 1e-300, 0.1)));
    assert!(is_ok(&Table::new("").at_most("q", 1.0, 1.0)));
    assert!(!is_ok(&Table::new("").at_most("q", 1.0, 1.0 + f64::EPSILON)));
    assert!(is_ok(&Table::new("").at_least("q", 1.0, 1.0)));
    assert!(!is_ok(&Table::new("").at_least("q", 1.0, 1.0 - f64::EPSILON)));
    assert!(is_ok(&Table::new("").exactly("q", 3, 3)));
    assert!(!is_ok(&Table::new("").exactly("q", 3, 4)));
}
// ANCHOR_END: a_row_is_ok_up_to_its_tolerance

#[test]
fn what_is_not_a_number_is_never_ok() {
    for (predicted, measured) in [(f64::NAN, 0.0), (0.0, f64::NAN), (f64::NAN, f64::NAN)] {
        let rows = [
            Table::new("").close("q", predicted, measured, f64::INFINITY),
            Table::new("").close_relative("q", predicted, measured, f64::INFINITY),
            Table::new("").at_most("q", predicted, measured),
            Table::new("").at_least("q", predicted, measured),
            Table::new("").exactly("q", predicted, measured),
        ];
        for row in rows {
            assert!(!is_ok(&row), "ok in\n{row}");
        }
    }
    assert!(!is_ok(&Table::new("").close("q", 0.0, 0.0, f64::NAN)));
    assert!(!is_ok(&Table::new("").close("q", f64::INFINITY, f64::INFINITY, 1.0)));
}

#[test]
fn a_verdict_names_the_first_disagreement() {
    let table = Table::new("Numbers").exactly("a", 1, 1).exactly("b", 2, 3).exactly("c", 4, 5);
    let error = table.verdict().unwrap_err().to_string();
    assert_eq!(error, "2 of 3 rows are not ok in “Numbers”: b is 3, predicted 2");
}

#[test]
fn a_grid_shows_its_numbers() {
    let grid = Grid::new("Schedules", "t", ["linear β", "cosine"])
        .row("1", [1e-4, 4.128e-5])
        .row("500", [0.01, 0.5]);
    let expected = [
        "Schedules",
        "t      linear β     cosine",
        "──────────────────────────",
        "1    0.00010000  4.1280e-5",
        "500    0.010000    0.50000",
    ];
    assert_eq!(grid.to_string(), expected.join("\n"));
}

/// A chapter with one table and one plot.
fn run(common: &Common, table: Table) -> ddpm::Result<()> {
    let mut chapter = Chapter::start("ch01_forward", common)?;
    chapter.section("One step");
    chapter.say("A step adds noise.");
    chapter.table(table);
    chapter.grid(Grid::new("Steps", "t", ["β"]).row("1", [1e-4]));
    let frame = |t: i32| Figure::new("").panel(Panel::new("").points("", [(f64::from(t), 0.0)]));
    chapter.figure(&frame(0), "step")?;
    chapter.gif(&[frame(0), frame(1)], 100, "steps")?;
    chapter.finish()
}

#[test]
fn a_chapter_leaves_its_text_and_its_plots() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/folder");
    let table = Table::new("Variance").close("Var x_t", 1.0, 1.0, 1e-12);
    run(&common(&out), table.clone()).unwrap();
    let text = fs::read_to_string(out.join("table.txt")).unwrap();
    for part in [
        "ch01_forward --seed 0\n",
        "One step\n════════\n",
        "A step adds",
        "Var x_t",
        "→ step.svg",
        "→ steps.gif",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains(&*folder.path().to_string_lossy()), "a path of this machine in\n{text}");
    assert!(!text.contains("--quick"), "{text}");
    let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["step.png", "step.svg", "steps.gif", "table.txt"]);

    let elsewhere = folder.path().join("elsewhere");
    run(&common(&elsewhere), table.clone()).unwrap();
    assert_eq!(text, fs::read_to_string(elsewhere.join("table.txt")).unwrap());

    run(&Common { quick: true, ..common(&out) }, table).unwrap();
    let text = fs::read_to_string(out.join("table.txt")).unwrap();
    assert!(text.contains("--quick: shorter training and fewer samples"), "{text}");
}

#[test]
fn a_chapter_that_disagrees_draws_everything_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let result = run(&common(folder.path()), Table::new("Variance").close("Var x_t", 1.0, 2.0, 0.1));
    assert!(folder.path().join("step.svg").exists() && folder.path().join("table.txt").exists());
    let error = result.unwrap_err();
    let expected =
        "1 of 1 rows are not ok in “ch01_forward”: in “Variance”, Var x_t is 2.000000, predicted 1.000000";
    assert_eq!(error.to_string(), expected);
    // What the standard library does with what `fn main() -> anyhow::Result<()>` returns.
    let code = Err::<(), _>(anyhow::Error::from(error)).report();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
}

#[test]
fn an_unwritable_folder_is_an_error_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Chapter::start("ch01_forward", &common(&file.join("out"))).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error:?}");
    assert!(error.to_string().ends_with("choose another with --out"), "{error}");
}

#[derive(clap::Parser)]
#[command(about = catalogue::question("ch01_forward"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
}

#[test]
fn help_opens_with_the_question_and_names_the_common_arguments() {
    for help in ["-h", "--help"] {
        let text = Arguments::try_parse_from(["ch01_forward", help]).err().unwrap().to_string();
        assert!(text.starts_with(catalogue::question("ch01_forward")), "{text}");
        assert!(["--seed", "--out", "--quick"].iter().all(|name| text.contains(name)), "{text}");
        assert!(text.lines().count() < 25, "{text}");
    }
    let arguments = Arguments::parse_from(["ch01_forward"]);
    assert_eq!((arguments.common.seed, arguments.common.out, arguments.common.quick), (0, None, false));
}

#[test]
fn progress_passes_everything_on() {
    let doubled: Vec<i32> = Progress::over("doubling", 0..5).map(|i| 2 * i).collect();
    assert_eq!(doubled, [0, 2, 4, 6, 8]);
}

#[test]
fn the_catalogue_fits_the_terminal() {
    for chapter in catalogue::CHAPTERS {
        let line = format!("{}  {}", chapter.name, chapter.question);
        assert!(line.width() <= 100 && chapter.question.ends_with('?'), "{} columns: {line}", line.width());
    }
}

#[test]
fn contents_lists_the_chapters_and_what_they_left() {
    let folder = tempfile::tempdir().unwrap();
    let contents =
        || Command::new(env!("CARGO_BIN_EXE_contents")).current_dir(folder.path()).output().unwrap();
    let text = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    let before = text(contents());
    assert_eq!(before.matches("not run yet").count(), catalogue::CHAPTERS.len(), "{before}");
    assert!(before.contains("cargo run --bin ch03_posterior"), "{before}");
    assert!(before.lines().all(|line| line.width() <= 100), "{before}");

    run(&common(&folder.path().join("out/ch01_forward")), Table::new("").exactly("q", 1, 1)).unwrap();
    let after = text(contents());
    assert_eq!(after.matches("not run yet").count(), catalogue::CHAPTERS.len() - 1, "{after}");
    assert!(after.contains("2 plots in out/ch01_forward"), "{after}");
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let mut contents = Command::new(env!("CARGO_BIN_EXE_contents"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(contents.stdout.take());
    let mut complaint = String::new();
    contents.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert!(contents.wait().unwrap().success(), "{complaint}");
    assert_eq!(complaint, "");
}

#[test]
fn measured_bounds_and_tolerances_are_rounded_and_chosen_ones_are_not() {
    let table = Table::new("")
        .close("measured", 1.0, 1.0, 0.010642255138964692)
        .close("chosen", 1.0, 1.0, 1e-12)
        .at_most("measured bound", 2.505774943597428, 1.0)
        .at_most("chosen bound", 1.5, 1.0)
        .to_string();
    for shown in [" 0.011 ", " 1e-12 ", "≤ 2.505775", "≤ 1.5 "] {
        assert!(table.contains(shown), "{shown} is not in\n{table}");
    }
    assert!(!table.contains("0.0106") && !table.contains("2.5057749"), "{table}");
}
