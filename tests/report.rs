//! Tables, grids and the shape of a chapter: what they say, and when they say no.

use clap::Parser;
use ddpm::metrics::{Moments, StandardError};
use ddpm_page::{
    Error,
    plot::{Figure, Panel},
    report::{Chapter, Checks, Common, Progress, Sweep, Table, catalogue, decimals},
};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
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

fn is_ok(table: &Checks) -> bool {
    table.verdict().is_ok()
}

#[test]
fn cells_of_a_row_have_the_decimals_they_are_given() {
    let table = Table::new("", "", ["calls", "share"]).rows([("a", decimals([0, 2], [20.0, 0.5]))]);
    assert!(table.to_string().ends_with("a     20   0.50"), "{table}");
}

#[test]
fn columns_line_up_and_fit() {
    let long =
        "the largest absolute difference between chain and closed form over all steps t and all points, in σ";
    let checks = Checks::new("Closed form against the chain")
        .close("√ᾱ_T", 0.006_352_8, 0.006_352_801, 1e-6)
        .close("1 − ᾱ_T", -123_456.789, -123_456.788, 1.0)
        .close_relative(long, 1e-30, 1.000_000_1e-30, 1e-3)
        .at_most("L_T (bits/dim)", 1e-4, 2.9e-5)
        .exactly("steps", 1000, 999)
        .note("a note");
    let text = checks.to_string();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        assert!(line.width() <= 100, "{} columns: {line}", line.width());
    }
    let column_of = |line: &str, part: &str| {
        line.find(part)
            .map(|byte| line[..byte].width() + part.width())
            .unwrap_or_else(|| panic!("{part} in {text}"))
    };
    assert_eq!(column_of(lines[1], "predicted or limit"), column_of(lines[3], "0.006352800"), "{text}");
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
        let text = Checks::new("").close("q", predicted, measured, 1.0).to_string();
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
    assert!(is_ok(&Checks::new("").close("q", 1.0, 1.25, 0.25)));
    assert!(is_ok(&Checks::new("").close("q", 1.0, 0.75, 0.25)));
    assert!(!is_ok(&Checks::new("").close("q", 1.0, 1.0 + above, 0.25)));
    assert!(!is_ok(&Checks::new("").close("q", 1.0, 1.0 - above, 0.25)));
    assert!(is_ok(&Checks::new("").close_relative("q", -4.0, -5.0, 0.25)));
    assert!(!is_ok(&Checks::new("").close_relative("q", -4.0, -5.0 - 4.0 * f64::EPSILON, 0.25)));
    assert!(is_ok(&Checks::new("").close_relative("q", 0.0, 0.0, 0.1)));
    assert!(!is_ok(&Checks::new("").close_relative("q", 0.0, 1e-300, 0.1)));
    assert!(is_ok(&Checks::new("").at_most("q", 1.0, 1.0)));
    assert!(!is_ok(&Checks::new("").at_most("q", 1.0, 1.0 + f64::EPSILON)));
    assert!(is_ok(&Checks::new("").at_least("q", 1.0, 1.0)));
    assert!(!is_ok(&Checks::new("").at_least("q", 1.0, 1.0 - f64::EPSILON)));
    assert!(is_ok(&Checks::new("").exactly("q", 3, 3)));
    assert!(!is_ok(&Checks::new("").exactly("q", 3, 4)));
}
// ANCHOR_END: a_row_is_ok_up_to_its_tolerance

#[test]
fn what_is_not_a_number_is_never_ok() {
    for (predicted, measured) in [(f64::NAN, 0.0), (0.0, f64::NAN), (f64::NAN, f64::NAN)] {
        let rows = [
            Checks::new("").close("q", predicted, measured, f64::INFINITY),
            Checks::new("").close_relative("q", predicted, measured, f64::INFINITY),
            Checks::new("").at_most("q", predicted, measured),
            Checks::new("").at_least("q", predicted, measured),
            Checks::new("").exactly("q", predicted, measured),
        ];
        for row in rows {
            assert!(!is_ok(&row), "ok in\n{row}");
        }
    }
    assert!(!is_ok(&Checks::new("").close("q", 0.0, 0.0, f64::NAN)));
    assert!(!is_ok(&Checks::new("").close("q", f64::INFINITY, f64::INFINITY, 1.0)));
}

#[test]
fn a_verdict_names_the_first_disagreement() {
    let checks = Checks::new("Numbers").exactly("a", 1, 1).exactly("b", 2, 3).exactly("c", 4, 5);
    let error = checks.verdict().unwrap_err().to_string();
    assert_eq!(error, "2 of 3 rows are not ok in “Numbers”: b is 3, predicted 2");
}

#[test]
fn a_table_shows_its_numbers() {
    let table = Table::new("Schedules", "t", ["linear β", "cosine"])
        .row("1", [1e-4, 4.128e-5])
        .row("500", [0.01, 0.5]);
    let expected = [
        "Schedules",
        "t    linear β     cosine",
        "────────────────────────",
        "1    0.000100  0.0000413",
        "500    0.0100      0.500",
    ];
    assert_eq!(table.to_string(), expected.join("\n"));
    let all = Table::new("Schedules", "t", ["linear β", "cosine"])
        .rows([("1", [1e-4, 4.128e-5]), ("500", [0.01, 0.5])]);
    assert_eq!(all.to_string(), table.to_string());
    assert!(all.digits(5).to_string().contains("1    0.00010000  0.000041280"));
    let some = Table::new("", "block", ["side"]).rows([("time", [None]), ("image", [Some(32_usize)])]);
    assert_eq!(
        some.to_string().lines().skip(2).collect::<Vec<_>>(),
        ["time", "image    32"],
        "nothing is empty"
    );
}

#[test]
fn the_numbers_of_a_column_have_one_form() {
    let column = |values: &[f64]| -> Vec<String> {
        let table = values.iter().fold(Table::new("", "", ["a"]), |table, value| table.row("x", [*value]));
        table.to_string().lines().skip(2).map(|line| line[1..].trim().to_owned()).collect()
    };
    assert_eq!(column(&[36.0, 38.0, 0.0]), ["36", "38", "0"], "counts");
    assert_eq!(column(&[0.0, 100.0, 1600.0, 9e6]), ["0", "100", "1600", "9000000"]);
    assert_eq!(column(&[1.0, 2.5]), ["1.00", "2.50"], "one that is no count");
    assert_eq!(column(&[12.7, 24_849.0]), ["12.7", "24800"], "in full, and no digit that is not known");
    assert_eq!(column(&[0.666, 2.91e-5]), ["0.666", "0.0000291"], "a fifth zero beside large ones");
    assert_eq!(column(&[3.72e-4, -6.04e-5, 0.0]), ["3.72e-4", "-6.04e-5", "0"]);
    assert_eq!(column(&[0.0773, 9.3e-10]), ["7.73e-2", "9.30e-10"]);
    assert_eq!(column(&[0.0773, 9.3e7]), ["7.73e-2", "9.30e7"]);
    assert_eq!(column(&[1.0, f64::NAN, f64::INFINITY]), ["1.00", "NaN", "inf"]);
    let rows = Table::new("", "", ["a", "b"]).row("count", [5.0, 100.0]).row("tiny", [1e-9, 0.5]).by_row();
    let rows: Vec<String> = rows.to_string().lines().skip(2).map(str::to_owned).collect();
    assert_eq!(rows, ["count        5    100", "tiny   1.00e-9  0.500"]);
}

#[test]
fn the_column_before_the_measurements_is_named_for_what_it_holds() {
    let header = |checks: Checks| checks.to_string().lines().next().unwrap().to_owned();
    let (close, limit) = (Checks::new("").close("a", 1.0, 1.0, 0.1), Checks::new("").at_most("a", 1.0, 0.5));
    assert_eq!(header(close.clone()), "quantity  predicted  measured  error  tolerance  ok");
    assert_eq!(header(limit.clone()), "quantity  limit   measured  error  tolerance  ok");
    assert_eq!(
        header(limit.at_least_within("b", 0.0, 1.0, 0.1)),
        "quantity  limit     measured  error  tolerance  ok"
    );
    let mixed = header(close.at_least("b", 1.0, 2.0));
    assert!(mixed.contains("predicted or limit  measured"), "{mixed}");
}

#[test]
fn a_table_with_errors_shows_the_digits_they_leave() {
    let sweeps = Sweep::together("n", [1, 2], ["a"], |n: usize| -> ddpm_page::Result<_> {
        Ok([[16.4123 / (n * n * 100) as f64], [if n == 1 { 0.0134 } else { f64::NAN }]])
    });
    let [means, errors] = sweeps.unwrap();
    let text = means.table_with_errors("", &errors).to_string();
    let rows: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(rows, ["1  0.164 ± 0.013", "2         0.0410"], "and none where there is no error");
}

/// The cells of the last row: quantity, predicted, measured, error, tolerance, ok.
fn cells(table: &Checks) -> Vec<String> {
    let text = table.to_string();
    text.lines()
        .last()
        .unwrap()
        .split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .map(str::to_owned)
        .collect()
}

/// All numbers here are exact in binary.
#[test]
fn a_statistical_row_is_ok_within_five_standard_errors() {
    assert_eq!(StandardError::LIMIT, 5.0);
    let beyond = 1.25 + 2.0 * f64::EPSILON;
    let within = |measured: f64| is_ok(&Checks::new("").within("q", 1.0, measured, 0.25));
    assert!(within(1.0) && within(1.0 + 1.25) && within(1.0 - 1.25));
    assert!(!within(1.0 + beyond) && !within(1.0 - beyond));
    let at_most = |measured: f64| is_ok(&Checks::new("").at_most_within("q", 1.0, measured, 0.25));
    assert!(at_most(-1e9) && at_most(1.0 + 1.25) && !at_most(1.0 + beyond));
    let at_least = |measured: f64| is_ok(&Checks::new("").at_least_within("q", 1.0, measured, 0.25));
    assert!(at_least(1e9) && at_least(1.0 - 1.25) && !at_least(1.0 - beyond));
    let besides = StandardError::from(0.25).besides(0.5);
    assert!(is_ok(&Checks::new("").within("q", 1.0, 1.0 + 1.75, besides)));
    assert!(!is_ok(&Checks::new("").within("q", 1.0, 1.0 + 0.5 + beyond, besides)));
}

#[test]
fn a_statistical_row_shows_its_deviation_and_the_digits_that_are_known() {
    let row = |predicted, measured, error| {
        cells(&Checks::new("").within("q", predicted, measured, error)).join("|")
    };
    assert_eq!(row(0.54, 0.540_291_8, 0.0027), "q|0.5400|0.5403 ± 0.0027|0.1 s.e.|5 s.e.|✓");
    assert_eq!(row(-0.012_8, 0.010_3, 0.0142), "q|-0.013|0.010 ± 0.014|1.6 s.e.|5 s.e.|✓");
    assert_eq!(row(2.911_295e-5, 2.917_708e-5, 4.42e-7), "q|2.911e-5|2.918e-5 ± 4.4e-7|0.1 s.e.|5 s.e.|✓");
    assert_eq!(row(0.0, -3e-6, 1e-3), "q|0|0.0000 ± 0.0010|0.0 s.e.|5 s.e.|✓");
    assert_eq!(row(0.0, -3e-6, 1e-6), "q|0|-3.0e-6 ± 1.0e-6|3.0 s.e.|5 s.e.|✓");
    assert_eq!(row(3e-5, -1.9e-4, 6.6e-4), "q|0.00003|-0.00019 ± 0.00066|0.3 s.e.|5 s.e.|✓");
    assert_eq!(row(500.5, 498.0, 9.96), "q|500|498 ± 10|0.3 s.e.|5 s.e.|✓");
    assert_eq!(row(1.0, 2.0, 0.1), "q|1.00|2.00 ± 0.10|10.0 s.e.|5 s.e.|✗ NO");
    assert_eq!(row(0.0, 1234.0, 1.0), "q|0|1234.0 ± 1.0|1.2e3 s.e.|5 s.e.|✗ NO");
    let checks =
        Checks::new("").at_least_within("q", 1.0, 2.0, StandardError::from(0.1).drawn(20).besides(0.03));
    assert_eq!(cells(&checks), ["q", "≥ 1.00", "2.00 ± 0.10", "7.4 s.e. + 0.03", "✓"]);
    let checks = Checks::new("").at_most_within("q", 1.0, 1.02, StandardError::from(0.1).drawn(100));
    assert_eq!(cells(&checks), ["q", "≤ 1.00", "1.02 ± 0.10", "0.2 s.e.", "5.3 s.e.", "✓"]);
}

/// The limits are those of Student's t, by numerical integration of its density outside of this repository.
#[test]
fn a_standard_error_from_few_draws_and_the_largest_of_many_are_allowed_more() {
    let limit = |error: StandardError| error.tolerance() / error.value();
    for (draws, expected, digits) in
        [(10_000, 5.0034, 1e-3), (100, 5.349, 2e-3), (20, 7.356, 2e-2), (6, 31.9, 3.5)]
    {
        let found = limit(StandardError::from(0.5).drawn(draws));
        assert!((found - expected).abs() <= digits, "{draws} draws: {found}, expected {expected}");
    }
    // m times the tail 2(1 − Φ(z)) is that of 5: z = 5.57 for m = 20
    let found = limit(StandardError::from(2.0).largest_of(20));
    assert!((found - 5.55).abs() <= 0.03, "{found}");
    let values = ndarray::arr1(&[1.0, 2.0, 3.0, 6.0]);
    let expected = StandardError::from((14.0f64 / 3.0 / 4.0).sqrt()).drawn(4);
    let found = StandardError::of_mean(values.view());
    assert!((found.value() - expected.value()).abs() < 1e-15 && found.tolerance() > 100.0, "{found:?}");
}

#[test]
fn a_standard_error_that_is_no_positive_number_is_refused_and_no_work_of_chance() {
    for error in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for table in [
            Checks::new("").within("q", 1.0, 1.0, error),
            Checks::new("").at_most_within("q", 1.0, 0.0, error),
            Checks::new("").at_least_within("q", 0.0, 1.0, error),
            Checks::new("").within("q", 1.0, 1.0, StandardError::from(error).besides(10.0)),
        ] {
            assert!(!is_ok(&table) && table.statistical_rows() == 0, "{table}");
            assert!(!table.verdict().unwrap_err().to_string().contains("chance"), "{table}");
        }
    }
    assert!(!is_ok(&Checks::new("").within("q", 1.0, 1.0, StandardError::from(1.0).drawn(1))));
    for (predicted, measured) in
        [(f64::NAN, 0.0), (0.0, f64::NAN), (f64::INFINITY, f64::INFINITY), (0.0, f64::INFINITY)]
    {
        for table in [
            Checks::new("").within("q", predicted, measured, 1.0),
            Checks::new("").at_most_within("q", predicted, measured, 1.0),
            Checks::new("").at_least_within("q", measured, predicted, 1.0),
        ] {
            assert!(!is_ok(&table), "{table}");
            assert!(!table.verdict().unwrap_err().to_string().contains("chance"), "{table}");
        }
    }
}

#[test]
fn a_failure_by_chance_says_how_rare_it_is_and_what_to_do() {
    let one = Checks::new("Numbers").exactly("a", 1, 1).within("b", 0.0, 6.0, 1.0).within("c", 0.0, 1.0, 1.0);
    assert_eq!((one.rows(), one.statistical_rows()), (3, 2));
    assert_eq!(
        one.verdict().unwrap_err().to_string(),
        "1 of 3 rows is not ok in “Numbers”: b is 6.0 ± 1.0, predicted 0. It is statistical: a right program fails one of its 2 \
         statistical rows by chance at about one seed in 870,000. Try another --seed: if it fails there, too, it is a bug"
    );
    let alone = Checks::new("").within("b", 0.0, 6.0, 1.0).verdict().unwrap_err().to_string();
    assert!(
        alone.contains(
            "a right program fails its only statistical row by chance at about one seed in 1,700,000."
        ),
        "{alone}"
    );
    let two = one.clone().within("d", 0.0, 7.0, 1.0);
    let expected = "2 of 4 rows are not ok in “Numbers”: b is 6.0 ± 1.0, predicted 0. They are statistical: a right program fails one of \
                    its 3 statistical rows by chance at about one seed in 580,000. Try another --seed: if they fail there, too, it is a bug";
    assert_eq!(two.verdict().unwrap_err().to_string(), expected);
    let certain = two.exactly("e", 1, 2);
    let expected = "3 of 5 rows are not ok in “Numbers”: e is 2, predicted 1";
    assert_eq!(certain.verdict().unwrap_err().to_string(), expected);
}

#[test]
fn a_chapter_blames_chance_only_if_all_its_failures_are_statistical() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = |tables: Vec<Checks>| {
        let mut chapter = Chapter::start("ch01_forward", &common(folder.path())).unwrap();
        tables.into_iter().for_each(|checks| chapter.checks(checks));
        let verdict = chapter.finish();
        (
            verdict.map_err(|error| error.to_string()),
            fs::read_to_string(folder.path().join("table.txt")).unwrap(),
        )
    };
    let good = Checks::new("Good").within("b", 0.0, 1.0, 1.0).exactly("a", 1, 1);
    let unlucky = Checks::new("Unlucky").within("c", 0.0, 6.0, 1.0);
    let wrong = Checks::new("Wrong").exactly("d", 1, 2);
    let (ok, text) = verdict(vec![wrong_free(), good.clone(), good.clone()]);
    assert_eq!(ok, Ok(()));
    assert_eq!(text.matches("±: the standard error").count(), 1, "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("at one seed in 1,700,000"), "{text}");
    let (failure, _) = verdict(vec![good.clone(), unlucky.clone(), good.clone()]);
    let expected = "1 of 5 rows is not ok in “ch01_forward”: in “Unlucky”, c is 6.0 ± 1.0, predicted 0. It is statistical: a right program \
                    fails one of its 3 statistical rows by chance at about one seed in 580,000. Try another --seed: if it fails there, too, it is a bug";
    assert_eq!(failure, Err(expected.to_owned()));
    for tables in [vec![unlucky.clone(), wrong.clone()], vec![wrong.clone(), unlucky.clone()]] {
        let (failure, _) = verdict(tables);
        let expected = "2 of 2 rows are not ok in “ch01_forward”: in “Wrong”, d is 2, predicted 1";
        assert_eq!(failure, Err(expected.to_owned()));
    }
    let (_, text) = verdict(vec![wrong_free()]);
    assert!(!text.contains("standard error"), "{text}");
}

fn wrong_free() -> Checks {
    Checks::new("Exact").exactly("a", 1, 1)
}

/// A chapter with one table and one plot.
fn run(common: &Common, table: Checks) -> ddpm_page::Result<()> {
    let mut chapter = Chapter::start("ch01_forward", common)?;
    chapter.section("One step");
    chapter.say("A step adds noise.");
    chapter.checks(table);
    chapter.table(Table::new("Steps", "t", ["β"]).row("1", [1e-4]));
    let frame = |t: i32| Figure::new("").panel(Panel::new("").points("", [(f64::from(t), 0.0)]));
    chapter.plot("", Panel::new("").points("", [(0.0, 0.0)]), "step")?;
    chapter.gif(&[frame(0), frame(1)], 100, "steps")?;
    chapter.finish()
}

#[test]
fn a_chapter_leaves_its_text_and_its_plots() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/folder");
    let checks = Checks::new("Variance").close("Var x_t", 1.0, 1.0, 1e-12);
    run(&common(&out), checks.clone()).unwrap();
    let text = fs::read_to_string(out.join("table.txt")).unwrap();
    for part in [
        "ch01_forward --seed 0",
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
    assert_eq!(files, ["index.html", "step.png", "step.svg", "steps.gif", "table.txt"]);

    let elsewhere = folder.path().join("elsewhere");
    run(&common(&elsewhere), checks.clone()).unwrap();
    assert_eq!(text, fs::read_to_string(elsewhere.join("table.txt")).unwrap());

    run(&Common { quick: true, ..common(&out) }, checks).unwrap();
    let text = fs::read_to_string(out.join("table.txt")).unwrap();
    assert!(text.contains("--quick: shorter training and fewer samples"), "{text}");
}

#[test]
fn a_chapter_leaves_a_page_with_its_tables_its_plots_and_its_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = Checks::new("a < b & c").exactly("kept", 1, 1).exactly("lost", 1, 2);
    run(&common(folder.path()), wrong).unwrap_err();
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    for part in [
        "<title>ch01_forward</title>",
        "<h2>One step</h2>",
        "<p>A step adds noise.</p>",
        "a &lt; b &amp; c",
        "<span class=\"ok\">✓</span>",
        "<span class=\"no\">✗ NO</span>",
        "<img src=\"step.svg\"",
        "<img src=\"steps.gif\"",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    let text = fs::read_to_string(folder.path().join("table.txt")).unwrap();
    assert!(!text.contains('\u{1b}'), "a colour in\n{text}");
}

#[test]
fn a_chapter_owns_its_seed_and_its_generators() {
    let folder = tempfile::tempdir().unwrap();
    let common = Common { seed: 7, quick: true, ..common(folder.path()) };
    let mut chapter = Chapter::start("ch01_forward", &common).unwrap();
    let first = |mut rng: StdRng| rng.random::<u64>();
    assert_eq!(chapter.rng.random::<u64>(), first(StdRng::seed_from_u64(7)));
    assert_eq!(first(chapter.stream(3)), first(StdRng::seed_from_u64(7003)));
    assert_eq!((chapter.seed(), chapter.quick(), chapter.pick(20, 5)), (7, true, 5));
}

#[test]
fn alike_rows_are_folded_into_the_worst_of_them() {
    let errors = |last: f64| Checks::new("").largest_error("x", [("a", 1e-9), ("b", last), ("c", 0.0)], 1e-6);
    assert!(is_ok(&errors(-1e-6)) && errors(-1e-6).to_string().contains("largest of 3 errors (b)"));
    for bad in [2e-6, f64::NAN, f64::INFINITY] {
        assert!(!is_ok(&errors(bad)), "{bad}");
        assert!(errors(bad).to_string().contains("(b)"));
    }
    let rows = |far: f64, error: f64| {
        let row = |label, measured, error: f64| (label, 0.0, measured, StandardError::from(error));
        Checks::new("").farthest("x", [row("a", 0.2, 0.1), row("b", far, error), row("c", -0.1, 0.1)])
    };
    assert!(rows(0.3, 1.0).to_string().contains("farthest of 3 (a)"));
    let limit = StandardError::from(0.1).largest_of(3).tolerance();
    assert!(limit > 0.5 && is_ok(&rows(limit, 0.1)) && !is_ok(&rows(1.0001 * limit, 0.1)));
    for (far, error) in [(f64::NAN, 0.1), (0.0, 0.0), (0.0, f64::NAN)] {
        assert!(!is_ok(&rows(far, error)), "{far} ± {error}");
        assert!(rows(far, error).to_string().contains("(b)"));
    }
    assert_eq!(rows(0.3, 0.1).statistical_rows(), 1);
}

#[test]
fn a_chapter_that_disagrees_draws_everything_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let result = run(&common(folder.path()), Checks::new("Variance").close("Var x_t", 1.0, 2.0, 0.1));
    assert!(folder.path().join("step.svg").exists() && folder.path().join("table.txt").exists());
    let error = result.unwrap_err();
    let expected =
        "1 of 1 rows is not ok in “ch01_forward”: in “Variance”, Var x_t is 2.000000, predicted 1.000000";
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
    assert!(matches!(error, Error::Course(ddpm::Error::File { .. })), "{error:?}");
    assert!(error.to_string().ends_with("choose another with --out"), "{error}");
}

#[derive(clap::Parser)]
#[command(about = catalogue::question("ch01_forward"), after_help = catalogue::running_time("ch01_forward"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
}

#[test]
fn help_opens_with_the_question_and_names_the_common_arguments() {
    for help in ["-h", "--help"] {
        let text = Arguments::try_parse_from(["ch01_forward", help]).err().unwrap().to_string();
        assert!(text.starts_with(catalogue::question("ch01_forward")), "{text}");
        assert!(text.contains("It runs for about") && text.contains("with --quick"), "{text}");
        assert!(["--seed", "--out", "--quick", "--open"].iter().all(|name| text.contains(name)), "{text}");
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
    assert!(!before.contains('✓') && before.contains("Next: cargo run --bin ch01_forward"), "{before}");
    assert!(catalogue::CHAPTERS.iter().all(|chapter| before.contains(chapter.question)), "{before}");
    assert!(before.lines().all(|line| line.width() <= 100), "{before}");

    run(&common(&folder.path().join("out/ch01_forward")), Checks::new("").exactly("q", 1, 1)).unwrap();
    let after = text(contents());
    assert_eq!(after.matches('✓').count(), 1, "{after}");
    assert!(after.contains("out/ch01_forward/index.html"), "{after}");
    assert!(after.contains("Next: cargo run --bin ch02_vlb"), "{after}");
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
    let checks = Checks::new("")
        .close("measured", 1.0, 1.0, 0.010642255138964692)
        .close("chosen", 1.0, 1.0, 1e-12)
        .at_most("measured bound", 2.505774943597428, 1.0)
        .at_most("chosen bound", 1.5, 1.0)
        .to_string();
    for shown in [" 0.011 ", " 1e-12 ", "≤ 2.505775", "≤ 1.5 "] {
        assert!(checks.contains(shown), "{shown} is not in\n{checks}");
    }
    assert!(!checks.contains("0.0106") && !checks.contains("2.5057749"), "{checks}");
}

#[test]
fn a_count_beside_a_bound_has_no_decimals() {
    let checks = Checks::new("")
        .at_most("parameters", 99_074.0, 97_742.0)
        .at_least("latest t", 1.0, 1000.0)
        .at_most("a measurement", 3.0, 2.5)
        .to_string();
    for shown in [" 97742 ", " 1000 ", " 2.500000 "] {
        assert!(checks.contains(shown), "{shown} is not in\n{checks}");
    }
}

#[test]
fn a_sweep_keeps_several_respects_apart() {
    let mut runs = 0;
    let [first, second] = Sweep::together("n", [1, 2, 4], ["a", "b"], |n: usize| -> ddpm_page::Result<_> {
        runs += 1;
        let n = n as f64;
        Ok([[n, 2.0 * n], [1.0 / n, n * n]])
    })
    .unwrap();
    assert_eq!(runs, 3, "one run for both");
    let once = Sweep::of("n", [1, 2, 4], ["a", "b"], |n: usize| [1.0 / n as f64, (n * n) as f64]);
    assert_eq!(format!("{second:?}"), format!("{once:?}"));
    assert_eq!((first.value("2", "b"), second.value("4", "a")), (4.0, 0.25));
    assert_eq!(second.map(|value| -value).curve("a"), [(1.0, -1.0), (2.0, -0.5), (4.0, -0.25)]);
    let rows: Vec<_> = first.across([10.0, 20.0]).collect();
    assert_eq!(rows[1], ("2", [(10.0, 2.0), (20.0, 4.0)]));
    let failed = Sweep::over("n", [1, 2], ["a"], |n: usize| if n < 2 { Ok([0.0]) } else { Err("no") });
    assert_eq!(failed.unwrap_err(), "no");
}

#[test]
fn a_sweep_shows_counts_as_counts_and_ratios_beside_their_numbers() {
    let sweep = Sweep::of("x", [0.5, 1e-6], ["calls", "error"], |x: f64| [(1.0 / x).round(), 2.0 * x]);
    let text = sweep.table("").to_string();
    let rows: Vec<Vec<&str>> = text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["0.5", "2", "1.00e0"], ["1e-6", "1000000", "2.00e-6"]]);
    let halves = Sweep::of("n", [1, 2, 4], ["a"], |n: usize| [1.5 / (n * n) as f64]);
    let table = Table::new("", "n", ["a", "ratio"]).row("2", [0.375, 4.0]).row("4", [0.09375, 4.0]);
    assert_eq!(halves.ratios("").to_string(), table.to_string());
}

#[test]
#[should_panic(expected = "n was never 3")]
fn a_sweep_has_no_value_where_it_was_not() {
    Sweep::of("n", [1, 2], ["a"], |n: usize| [n as f64]).value("3", "a");
}

#[test]
fn means_and_variances_of_draws_are_rows_of_their_own() {
    let points = ndarray::array![[0.3, 9.0], [-0.5, 9.0], [0.8, 9.0], [-0.1, 9.0]];
    let column = points.column(0);
    let moments = Moments::of(&points);
    let by_hand =
        Checks::new("").within("mean", 0.0, moments.mean[0], StandardError::of_mean(column)).within(
            "variance",
            0.3,
            moments.covariance[(0, 0)],
            StandardError::from(moments.covariance_error[(0, 0)]).drawn(4),
        );
    let checks = Checks::new("").mean("mean", 0.0, column).variance("variance", 0.3, &points);
    assert_eq!(checks.to_string(), by_hand.to_string());
    assert_eq!(checks.statistical_rows(), 2);
}

#[test]
fn a_plot_is_a_figure_of_one_panel() {
    let folder = tempfile::tempdir().unwrap();
    let mut chapter = Chapter::start("ch01_forward", &common(folder.path())).unwrap();
    let panel = Panel::new("").line("", [(0.0, 0.0), (1.0, 1.0)]);
    chapter.plot("A line", panel.clone(), "one").unwrap();
    chapter.figure(&Figure::new("A line").panel(panel), "two").unwrap();
    let [one, two] = ["one.svg", "two.svg"].map(|file| fs::read(folder.path().join(file)).unwrap());
    assert_eq!(one, two);
}

#[test]
fn a_chapter_removes_what_a_killed_run_left_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let left = ["chain.svg.4711-0.tmp", "table.txt.1-12.tmp"];
    let kept = ["notes.tmp", "data.csv", "mine.1-x.tmp", "mine.-.tmp"];
    left.iter().chain(&kept).for_each(|name| fs::write(folder.path().join(name), "…").unwrap());
    fs::create_dir(folder.path().join("folder.1-2.tmp.d")).unwrap();
    Chapter::start("ch01_forward", &common(folder.path())).unwrap();
    let is_there = |name: &&str| folder.path().join(name).exists();
    assert!(!left.iter().any(is_there) && kept.iter().all(is_there));
}

#[test]
fn times_stand_in_a_file_of_their_own() {
    let runs = [1.5, 2.5].map(|seconds| {
        let folder = tempfile::tempdir().unwrap();
        let mut chapter = Chapter::start("ch10_trilemma", &common(folder.path())).unwrap();
        chapter.section("Seconds");
        chapter.times(Table::new("Drawing", "", ["seconds"]).row("VAE", [seconds]));
        chapter.finish().unwrap();
        ["table.txt", "index.html", "times.txt"]
            .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
    });
    let [[table, page, times], [other_table, other_page, other_times]] = runs;
    assert!(table == other_table && page == other_page && times != other_times);
    assert!(
        table.contains("Seconds\n═══════\n\nThe times that this machine took are in times.txt."),
        "{table}"
    );
    assert!(times.starts_with("Seconds\n═══════\n\nDrawing\n") && times.contains("1.50"), "{times}");
}

#[test]
fn a_row_without_a_verdict_is_shown_and_fails_nothing() {
    let checks =
        Checks::new("").at_most("a", 1.0, 2.0).judged_if(false).at_most("b", 1.0, 2.0).judged_if(true);
    assert!(checks.verdict().unwrap_err().to_string().starts_with("1 of 2 rows is not ok"));
    let shown = checks.to_string();
    let row = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().trim_end().to_owned();
    assert!(row("a").ends_with(" 2") && row("b").ends_with("✗ NO"), "{shown}");
    let statistical = Checks::new("").within("c", 0.0, 9.0, 1.0).judged_if(false);
    assert_eq!(statistical.statistical_rows(), 0);
    statistical.verdict().unwrap();
}
