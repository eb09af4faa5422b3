//! The flags of the chapters on points: every number within its bounds, before any work; any path.

#[path = "common/flags.rs"]
mod flags;

use ddpm::network::{Mlp, MlpConfig};
use flags::{
    COMMON,
    Takes::{Real, Text, Whole},
    every_flag_has_bounds,
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

const T: flags::Takes = Whole(21, 10_000);
const STEPS: flags::Takes = Whole(1, 10_000_000);
const MOST: u64 = 1_000_000;
/// The flags of a data set of points.
const POINTS: [(&str, flags::Takes); 4] =
    [("data", Text), ("points", Text), ("picture", Text), ("digits", Text)];

macro_rules! program {
    ($name:literal) => {
        env!(concat!("CARGO_BIN_EXE_", $name))
    };
}

#[test]
fn every_number_of_the_first_chapters_has_bounds() {
    let count = |least| ("count", Whole(least, MOST));
    let chain = ("diffusion-steps", Whole(1, 10_000));
    every_flag_has_bounds(program!("ch01_forward"), &[&COMMON, &POINTS, &[count(100), chain]]);
    let small = [("diffusion-steps", Whole(1, 100)), ("dimension", Whole(1, 100)), ("variance", Text)];
    every_flag_has_bounds(program!("ch02_vlb"), &[&COMMON, &small]);
    let coordinates = [("x-0", Real(-10.0, 10.0)), ("x-t", Real(-10.0, 10.0))];
    every_flag_has_bounds(program!("ch03_posterior"), &[&COMMON, &coordinates]);
    every_flag_has_bounds(program!("ch04_objective"), &[&COMMON, &POINTS, &[count(100)]]);
    let training = [("diffusion-steps", T), ("training-steps", STEPS)];
    let learning = [("batch", Whole(1, 100_000)), ("learning-rate", Real(1e-6, 10.0))];
    every_flag_has_bounds(program!("ch05_training"), &[&COMMON, &POINTS, &training, &learning]);
}

#[test]
fn every_number_of_the_later_chapters_has_bounds() {
    let count = |least| ("count", Whole(least, MOST));
    let (training, weights) = ([("diffusion-steps", T), ("training-steps", STEPS)], ("weights", Text));
    every_flag_has_bounds(program!("ch06_sampling"), &[&COMMON, &POINTS, &training, &[count(11), weights]]);
    every_flag_has_bounds(program!("ch07_likelihood"), &[&COMMON, &POINTS, &training, &[count(2)]]);
    every_flag_has_bounds(program!("ch08_score"), &[&COMMON, &[("data", Text), count(50)]]);
    let long = [("diffusion-steps", Whole(100, 10_000)), ("training-steps", STEPS)];
    every_flag_has_bounds(program!("ch09_fast_sampling"), &[&COMMON, &POINTS, &long, &[count(11), weights]]);
    let runs = [("batch", Whole(1, 100_000)), ("runs", Whole(1, 1000))];
    every_flag_has_bounds(program!("ch10_trilemma"), &[&COMMON, &training, &runs, &[count(11)]]);
    every_flag_has_bounds(
        program!("ch11_bugs"),
        &[&COMMON, &[("bug", Text), ("training-steps", STEPS), count(1)]],
    );
    every_flag_has_bounds(program!("ch17_targets"), &[&COMMON, &POINTS, &long, &[count(11)]]);
    let chain = [("diffusion-steps", Whole(50, 10_000)), ("training-steps", STEPS)];
    let guided = [("scale", Real(-5.0, 20.0)), ("runs", Whole(2, 100)), count(100)];
    every_flag_has_bounds(program!("ch18_guidance"), &[&COMMON, &chain, &guided]);
}

#[test]
fn work_that_does_not_fit_into_memory_is_refused_with_an_estimate() {
    let run = |program: &str, flags: &[&str]| {
        let place = tempfile::tempdir().unwrap();
        let output = std::process::Command::new(program)
            .args(flags)
            .arg("--out")
            .arg(place.path().join("out"))
            .output();
        let (output, written) = (output.unwrap(), place.path().join("out").exists());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !said.contains("panicked") && !written, "{flags:?}: {said}");
        said
    };
    let chains = run(program!("ch01_forward"), &["--count", "1000000", "--diffusion-steps", "10000"]);
    assert!(chains.contains("the memory needed is 320 GB; it must fit into what is left here"), "{chains}");
    assert!(chains.contains("use a smaller --count or --diffusion-steps"), "{chains}");
    let runs = ["--count", "1000000", "--runs", "1000", "--training-steps", "10000000"];
    let runs = run(program!("ch10_trilemma"), &runs);
    assert!(runs.contains("the memory needed is 928 GB"), "{runs}");
}

#[test]
fn weights_that_are_none_are_refused_before_any_work() {
    let place = tempfile::tempdir().unwrap();
    let [text, hybrid] = ["text.safetensors", "hybrid.safetensors"].map(|name| place.path().join(name));
    std::fs::write(&text, "no weights").unwrap();
    let with_variance = MlpConfig { outputs: 4, ..MlpConfig::default() };
    let mut rng = StdRng::seed_from_u64(0);
    Mlp::<f32>::new(with_variance, &mut rng).unwrap().save(&hybrid).unwrap();
    for (program, weights, expected) in [
        (program!("ch06_sampling"), &text, "text.safetensors"),
        (
            program!("ch06_sampling"),
            &hybrid,
            "hybrid.safetensors: found a network that gives a variance, too",
        ),
        (program!("ch09_fast_sampling"), &text, "text.safetensors"),
    ] {
        let out = place.path().join("out");
        let mut command = std::process::Command::new(program);
        let output =
            command.args(["--quick", "--weights"]).arg(weights).arg("--out").arg(&out).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{program}: {said}");
        assert!(output.stdout.is_empty() && !out.exists(), "{program} began its work");
    }
}

#[test]
fn the_largest_seed_is_a_seed() {
    let place = tempfile::tempdir().unwrap();
    for program in [program!("ch02_vlb"), program!("ch03_posterior")] {
        let mut command = std::process::Command::new(program);
        let output =
            command.args(["--quick", "--seed", "18446744073709551615", "--out"]).arg(place.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_utf8() {
    use std::{fs, process::Command};
    flags::paths_need_not_be_utf8(program!("ch01_forward"), &["points", "picture", "digits"]);
    flags::paths_need_not_be_utf8(program!("ch06_sampling"), &["weights"]);

    let place = tempfile::tempdir().unwrap();
    let points = flags::not_utf8(place.path()).with_extension("csv");
    let rows = (0..40).map(|i| format!("{},{}\n", f64::from(i).sin(), f64::from(i * i).cos()));
    fs::write(&points, rows.collect::<String>()).unwrap();
    let out = flags::not_utf8(place.path()).join("출력 🙂 e\u{301}").join("بيانات\u{202e} R&D <1> \"'");
    let mut command = Command::new(program!("ch01_forward"));
    let command =
        command.args(["--quick", "--count", "200"]).arg("--points").arg(&points).arg("--out").arg(&out);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert!(out.join("table.txt").is_file() && out.join("chain.png").is_file(), "{said}");
}

#[test]
fn the_course_s_digits_are_found_from_any_folder() {
    flags::the_course_is_found_from_any_folder(program!("ch01_forward"), "═══");
}

#[test]
fn few_points_and_the_shortest_chains_are_taken_or_refused_before_any_work() {
    let place = tempfile::tempdir().unwrap();
    let [one, two] = [("one.csv", "1,2\n"), ("two.csv", "1,2\n3,5\n")].map(|(name, rows)| {
        std::fs::write(place.path().join(name), rows).unwrap();
        place.path().join(name)
    });
    let out = place.path().join("out");
    let run = |program: &str, points: &std::path::Path, flags: &[&str]| {
        let mut command = std::process::Command::new(program);
        command
            .arg("--quick")
            .args(flags)
            .arg("--points")
            .arg(points)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap()
    };
    let short = ["--training-steps", "2", "--diffusion-steps"];
    let [shortest, hundred] = ["21", "100"].map(|steps| [short.as_slice(), &[steps]].concat());
    for (program, flags) in [
        (program!("ch01_forward"), &["--count", "100", "--diffusion-steps", "1"][..]),
        (program!("ch04_objective"), &["--count", "100"]),
        (program!("ch07_likelihood"), &shortest),
        (program!("ch09_fast_sampling"), &hundred),
    ] {
        let output = run(program, &one, flags);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("one.csv: found 1 point, expected at least 2 points"), "{program}: {said}");
        assert!(!out.exists(), "{program} began its work");
        let output = run(program, &two, flags);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::remove_dir_all(&out).unwrap();
    }
}
