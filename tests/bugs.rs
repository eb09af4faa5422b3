//! The field guide's module: copies that are right are the library's own, the numbers tell the bugs apart, and what the
//! guide names exists.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    Error,
    bugs::{
        BUGS, Bound, Bug, BugFixture, SYMPTOMS, Variant, comparison, points, schedules, steps,
        training::{Slips, fresh_network, train},
    },
    course,
    forward::{diffuse, standard_normal},
    gaussian,
    reverse::{FixedVariance, split_mean_log_variance},
    sampler::{ancestral, ancestral_step},
    schedule::{Schedule, alpha_bars, cosine_betas, linear_betas, quad_betas},
};
use ndarray::{Array1, Array2, array};
use std::{
    fs,
    path::{Path, PathBuf},
};

#[track_caller]
fn assert_same(what: &str, got: &Array1<f64>, expected: &Array1<f64>) {
    assert_eq!(got.len(), expected.len(), "{what}: entries");
    for (t, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        assert_relative(&format!("{what} at t = {t}"), got, expected, 1e-13);
    }
}

#[test]
fn a_right_schedule_is_the_library_s() {
    let cosine = cosine_betas(1000, 0.008, 0.999);
    assert_same("linear", &schedules::linear_betas(1000, Variant::Right), &linear_betas(1000, 1e-4, 0.02));
    assert_same("quadratic", &schedules::quad_betas(1000, Variant::Right), &quad_betas(1000, 1e-4, 0.02));
    assert_same("cosine", &schedules::cosine_betas(1000, Variant::Right), &cosine);
    assert_same("ᾱ of the cosine", &schedules::cosine_alpha_bars(1000, Variant::Right), &alpha_bars(&cosine));
    let scaled = schedules::scaled_betas(50, Variant::Right).unwrap();
    assert_eq!(Schedule::from_betas(scaled).unwrap(), Schedule::linear_scaled(50).unwrap());
    assert!(matches!(schedules::scaled_betas(10, Variant::Right), Err(Error::Beta { t: 6, steps: 10, .. })));
}

#[test]
fn a_right_step_is_the_library_s() {
    let schedule = Schedule::linear(20, 0.01, 0.2).unwrap();
    let expected = ancestral(&schedule, FixedVariance::Beta, None);
    assert_eq!(steps::along(&schedule, &steps::sampled_times(20, Variant::Right)), expected);
    assert_eq!(steps::along(&schedule, &steps::loop_times(20, Variant::Right)), expected);
    assert_eq!(steps::to_the_end(&expected, Variant::Right), expected);
    assert_eq!(steps::with_noise(&schedule, |t| steps::noise_factor(&schedule, t, Variant::Right)), expected);
    for t in 1..=20 {
        let step = ancestral_step(&schedule, t, FixedVariance::Beta, None);
        assert_eq!(steps::reverse_step(&schedule, t, Variant::Right), step, "t = {t}");
        let beta = schedule.beta(t);
        let sigma = steps::sigma_of_log_variance(beta.ln(), Variant::Right);
        assert_relative(&format!("σ_{t} from its logarithm"), sigma, beta.sqrt(), 1e-13);
        assert_eq!(steps::factor_of_variance(beta, Variant::Right), beta.sqrt(), "t = {t}");
        assert_relative("exp(ln β)", steps::reported_variance(beta.ln(), Variant::Right), beta, 1e-13);
    }
    let output = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]];
    assert_eq!(steps::split(output.view(), Variant::Right), split_mean_log_variance(output.view()));
    let planar = array![[1.0, 2.0, 3.0, 4.0]];
    for code in [Variant::Right, Variant::Wrong] {
        assert_eq!(
            steps::split(planar.view(), code),
            split_mean_log_variance(planar.view()),
            "D = 2, {code:?}"
        );
    }
}

#[test]
fn right_points_and_comparisons_are_the_library_s() {
    let (x_0, eps) = (standard_normal::<f64>(5, 2, &mut rng(1)), standard_normal::<f64>(5, 2, &mut rng(2)));
    assert_eq!(points::noise(5, 2, Variant::Right, &mut rng(2)), eps);
    let got = points::network_input(&x_0, 0.3, &eps, Variant::Right);
    assert_all_close("√ᾱ x_0 + √(1 − ᾱ) ε", &got, &diffuse(&x_0, 0.3, &eps), 1e-15);
    let ends = points::grey_to_network(Variant::Right).apply(array![[0.0, 0.5], [0.25, 1.0]].view());
    assert_all_close("grey values", &ends, &array![[-1.0, 0.0], [-0.5, 1.0]], 1e-15);
    for (p, q) in [((0.5, 0.3), (-1.0, 2.0)), ((1.0, 2.0), (0.0, 0.7))] {
        let got = comparison::kl_divergence(p.0, p.1, q.0, q.1, Variant::Right);
        assert_close("KL", got, gaussian::kl_divergence(p.0, p.1, q.0, q.1), 1e-14);
    }
    let (got, expected) = (array![1.0, 2.0, 3.0], array![1.5, 1.5, 3.1]);
    let largest = comparison::disagreement(got.view(), expected.view(), Variant::Right);
    assert_close("largest difference", largest, 0.5, 1e-15);
}

#[test]
fn the_numbers_tell_every_bug_from_right_code() {
    let world = BugFixture::new().unwrap();
    for bug in BUGS {
        for seed in [0, 100, 200] {
            let [right, wrong] =
                [Variant::Right, Variant::Wrong].map(|code| bug.numbers(&world, code, seed).unwrap());
            assert_eq!(
                (right.len(), wrong.len()),
                (bug.measures.len(), bug.measures.len()),
                "{}",
                bug.title()
            );
            for (measure, (&right, &wrong)) in bug.measures.iter().zip(right.iter().zip(&wrong)) {
                let what = format!("{}, seed {seed}, {}", bug.title(), measure.name);
                assert!(
                    measure.right.holds(right),
                    "{what}: right code gives {right}, not {:?}",
                    measure.right
                );
                assert!(measure.wrong.holds(wrong), "{what}: the bug gives {wrong}, not {:?}", measure.wrong);
            }
            let first = bug.measures[0];
            assert!(!first.right.holds(wrong[0]), "{}: {} passes as right", bug.title(), wrong[0]);
            assert!(!first.wrong.holds(right[0]), "{}: {} passes as wrong", bug.title(), right[0]);
        }
    }
}

#[test]
fn a_bound_holds_where_it_says() {
    for (bound, inside, outside) in [
        (Bound::AtMost(2.0), 2.0, 2.1),
        (Bound::AtLeast(2.0), 2.0, 1.9),
        (Bound::Close(2.0, 0.5), 1.5, 1.4),
        (Bound::Close(2.0, 0.5), 2.5, 2.6),
        (Bound::Within(2.0, 0.5), 4.5, 4.6),
        (Bound::Within(2.0, 0.5), -0.5, -0.6),
    ] {
        assert!(bound.holds(inside) && !bound.holds(outside) && !bound.holds(f64::NAN), "{bound:?}");
    }
}

#[test]
fn each_slip_changes_the_training_it_should() {
    let world = BugFixture::new().unwrap();
    let run = |slips: Slips| {
        let mut losses = Vec::new();
        let network = train(&world, 150, slips, &mut rng(3), |loss| losses.push(loss)).unwrap();
        (network, losses[130..].iter().sum::<f64>() / 20.0)
    };
    let (right, loss) = run(Slips::default());
    assert!(loss < 0.75, "after 150 steps the loss is {loss}, little less than that of knowing nothing");
    assert_eq!(run(Slips::default()).0.parameters(), right.parameters(), "the same seed, the same network");
    let (still, loss) = run(Slips { optimizer: Variant::Wrong, ..Slips::default() });
    assert_eq!(still.parameters(), fresh_network(Variant::Right, &mut rng(3)).unwrap().parameters());
    assert!((0.9..1.2).contains(&loss), "a network that is never moved has the loss {loss}");
    // uniform noise has a mean square of 1/3, not 1: there is less to learn
    let (_, uniform) = run(Slips { noise: Variant::Wrong, ..Slips::default() });
    assert!(uniform < 0.35, "with uniform noise the loss is {uniform}");
    let (blind, _) = run(Slips { time: Variant::Wrong, ..Slips::default() });
    assert!(!blind.config().time_embedding && right.config().time_embedding);
    let (other, _) = run(Slips { times: Variant::Wrong, ..Slips::default() });
    assert_ne!(other.parameters(), right.parameters());
}

#[test]
fn bugs_are_found_by_their_numbers() {
    for (index, bug) in BUGS.iter().enumerate() {
        assert_eq!(bug.number, index + 1, "the guide is in order");
        for text in [format!("B{}", bug.number), format!("b{}", bug.number), bug.number.to_string()] {
            assert_eq!(Bug::find(&text).unwrap().number, bug.number, "{text}");
        }
    }
    for text in ["B0", "B18", "7b", "", "BB7x", "B07"] {
        let message = Bug::find(text).unwrap_err().to_string();
        assert!(message.starts_with(&format!("bug is {text}; it must be one of the guide's")), "{message}");
        for bug in BUGS {
            assert!(message.contains(&bug.title()), "{text}: {message}");
        }
    }
}

fn root() -> PathBuf {
    course::root().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of all Rust files below a folder or, without it, of one file.
fn sources(path: &Path) -> Vec<(String, String)> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries.flat_map(|path| sources(&path)).collect();
    }
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    rust.then(|| (path.display().to_string(), fs::read_to_string(path).unwrap())).into_iter().collect()
}

#[test]
fn the_tests_that_go_red_exist() {
    for bug in BUGS {
        assert!(!bug.tests.is_empty(), "{} has no test", bug.title());
        for (file, name) in bug.tests {
            let mut texts = sources(&root().join(format!("tests/{file}.rs")));
            assert!(!texts.is_empty(), "{}: tests/{file}.rs does not exist", bug.title());
            let folder = root().join("tests").join(file);
            if folder.is_dir() {
                texts.extend(sources(&folder));
            }
            let test = format!("#[test]\nfn {name}() {{");
            assert!(
                texts.iter().any(|(_, text)| text.contains(&test)),
                "{}: no test {file} {name}",
                bug.title()
            );
        }
    }
}

#[test]
fn nothing_else_uses_the_wrong_formulas() {
    let mut seen = 0;
    for folder in ["src", "page/src", "unet/src", "chapters", "examples"] {
        for (path, text) in sources(&root().join(folder)) {
            seen += 1;
            let guide = path.contains("/src/bugs/") || path.ends_with("ch11_bugs.rs");
            let uses =
                text.lines().any(|line| line.contains("bugs::") && !line.trim_start().starts_with("//"));
            assert!(guide || !uses, "{path} uses the module of wrong formulas");
        }
    }
    assert!(seen > 100, "only {seen} files were looked at");
}

#[test]
fn every_symptom_leads_to_bugs_and_every_bug_has_a_symptom() {
    for (text, numbers) in SYMPTOMS {
        assert!(!numbers.is_empty(), "{text}");
        assert!(numbers.iter().all(|number| Bug::find(&number.to_string()).is_ok()), "{text}: {numbers:?}");
    }
    for bug in BUGS {
        assert!(SYMPTOMS.iter().any(|(_, numbers)| numbers.contains(&bug.number)), "{}", bug.title());
    }
}

#[test]
fn the_page_and_the_errata_follow_the_catalogue() {
    let (page, errata) = (read("book/src/ch11_bugs.md"), read("book/src/errata.md"));
    for bug in BUGS {
        let number = bug.number;
        assert!(page.contains(&format!("## {} {{#b{number}}}", bug.title())), "the page has no B{number}");
        assert!(errata.contains(&format!("ch11_bugs.md#b{number}")), "the errata do not link B{number}");
        for (file, name) in bug.tests {
            assert!(page.contains(&format!("`cargo test --test {file} {name}`")), "B{number}: {name}");
        }
    }
    for (text, numbers) in SYMPTOMS {
        let links: Vec<String> = numbers.iter().map(|number| format!("[B{number}](#b{number})")).collect();
        let row = format!("| {text} | {} |", links.join(", "));
        assert!(page.contains(&row), "the page's self-check has no row\n{row}");
    }
}

#[test]
fn a_wrong_formula_is_wrong_where_it_says() {
    let bars = alpha_bars(&schedules::quad_betas(1000, Variant::Wrong));
    assert!(bars[1000] > 0.9999, "B4: ᾱ_T = {}", bars[1000]);
    let betas = schedules::scaled_betas(10, Variant::Wrong).unwrap();
    assert_close("B11: β_T", betas[10], 2.0, 1e-12);
    let [right, wrong] =
        [Variant::Right, Variant::Wrong].map(|code| schedules::cosine_alpha_bars(1000, code));
    for t in 0..1000 {
        assert_relative(&format!("B12: ᾱ_{t}, before the cap acts"), wrong[t], right[t], 1e-9);
    }
    assert!(wrong[1000] < 1e-30 && right[1000] > 1e-10, "B12: ᾱ_T: {} and {}", wrong[1000], right[1000]);
    let schedule = Schedule::linear(10, 0.01, 0.2).unwrap();
    let last = steps::with_noise(&schedule, |t| steps::noise_factor(&schedule, t, Variant::Wrong))[9];
    assert_eq!((last.t, last.noise), (1, 0.1), "B7: σ_1 = √0.01");
    let again = steps::reverse_step(&schedule, 10, Variant::Wrong);
    assert_eq!((again.x_t, again.eps, again.noise), (0.8f64.sqrt(), 0.0, 0.2f64.sqrt()), "B17");
    let output: Array2<f64> = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]];
    let pieces = steps::split(output.view(), Variant::Wrong);
    assert_eq!(pieces, (array![[1.0, 2.0]], array![[3.0, 4.0]]), "B16: pieces of size two");
}
