//! The field guide's module: copies that are right are the library's own, the numbers tell the bugs apart, and what the
//! guide names exists.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    Error,
    baselines::modes::ModeReport,
    bugs::{
        BUGS, Bound, Bug, BugFixture, SYMPTOMS, Variant, comparison, flow, guidance, points, samples,
        schedules, steps,
        training::{self, Slips, fresh_network, train},
    },
    continuous::ode::heun,
    course,
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser, GaussianData},
    forward::{TransitionKernel, diffuse, standard_normal},
    gaussian,
    guidance::{Convention, classifier_free_guidance, convert_scale, drop_labels},
    metrics::{Moments, largest_difference},
    objective::Objective,
    path::Path as DataPath,
    reverse::{FixedVariance, predict_x_0, split_mean_log_variance},
    sampler::{Spacing, ancestral, ancestral_step, ddim, sample, time_grid},
    schedule::{Schedule, alpha_bars, cosine_betas, linear_betas, quad_betas},
    target::Target,
    train::NetworkDenoiser,
    weighting::Weighting,
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
    for text in ["B0", "B24", "7b", "", "BB7x", "B07"] {
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

#[test]
fn a_sampler_by_the_right_code_is_the_library_s() {
    let schedule = Schedule::linear(20, 0.01, 0.2).unwrap();
    let expected = ancestral(&schedule, FixedVariance::Beta, None);
    let samplers: [(&str, steps::Sampler); 4] = [
        ("B7", steps::by_noise_factors),
        ("B9", steps::by_loop_times),
        ("B16", steps::by_variances),
        ("B17", steps::by_reverse_steps),
    ];
    for (name, sampler) in samplers {
        assert_eq!(sampler(&schedule, Variant::Right), expected, "{name}");
        assert_ne!(sampler(&schedule, Variant::Wrong), expected, "{name}");
    }
    let by_logarithms = steps::by_log_variances(&schedule, Variant::Right);
    for (step, expected) in by_logarithms.iter().zip(&expected).take(19) {
        assert_relative(&format!("B6: σ_{}", step.t), step.noise, expected.noise, 1e-13);
    }
}

#[test]
fn a_sampler_by_the_wrong_code_does_what_its_bug_says() {
    let schedule = Schedule::linear(20, 0.01, 0.2).unwrap();
    let sampler = |sampler: steps::Sampler| sampler(&schedule, Variant::Wrong);
    assert!(
        sampler(steps::by_log_variances).iter().all(|step| step.noise.is_nan()),
        "B6: roots of logarithms"
    );
    assert_eq!(sampler(steps::by_noise_factors)[19].noise, 0.1, "B7: σ_1 = √0.01");
    assert_eq!(sampler(steps::by_loop_times), [], "B9: no step");
    for step in sampler(steps::by_variances) {
        let beta = if step.t == 1 { 0.0 } else { schedule.beta(step.t) };
        assert_eq!(step.noise, beta, "B16 at t = {}", step.t);
    }
    for step in sampler(steps::by_reverse_steps) {
        assert_eq!((step.x_t, step.eps), (schedule.alpha(step.t).sqrt(), 0.0), "B17 at t = {}", step.t);
    }
}

#[test]
fn what_is_left_of_a_schedule_is_the_product_of_its_steps() {
    for code in [Variant::Right, Variant::Wrong] {
        let (linear, cosine) = (schedules::linear_betas(50, code), schedules::cosine_betas(50, code));
        for t in 0..=50 {
            let product =
                |betas: &Array1<f64>| betas.iter().take(t + 1).map(|beta| 1.0 - beta).product::<f64>();
            assert_relative(
                "B2: √ᾱ_t",
                schedules::linear_signal(50, code)[t].powi(2),
                product(&linear),
                1e-12,
            );
            assert_relative("B5: ᾱ_t", schedules::cosine_left(50, code)[t], product(&cosine), 1e-9);
        }
    }
}

/// x̂_0 of a noisy point, once with the true ε and once with one that is off by 0.001.
#[test]
fn cosine_errors_are_what_an_error_of_the_noise_does_to_x_0() {
    let schedule = Schedule::from_betas(cosine_betas(1000, 0.008, 0.999)).unwrap();
    let errors = schedules::cosine_errors(1000, Variant::Right);
    let (x_t, eps) = (array![[0.7]], array![[-0.3]]);
    for t in [1, 10, 500, 990, 1000] {
        let [true_x_0, x_0] = [0.0, 1e-3].map(|off| predict_x_0(&schedule, t, &x_t, &(&eps + off))[(0, 0)]);
        assert_relative(&format!("t = {t}"), errors[t], (x_0 - true_x_0).abs(), 1e-6);
    }
    assert_eq!(errors[0], 0.0, "no noise, no error");
}

#[test]
fn samples_of_either_code_look_as_the_field_guide_says() {
    let world = BugFixture::new().unwrap();
    let steps = world.all_steps();
    assert_eq!(steps, ancestral(&world.schedule, FixedVariance::Beta, None));

    let x_0 = world.ring.sample(1000, &mut rng(1));
    let end = |code| Moments::of(&samples::chain_end(&world, &x_0, code, &mut rng(2)));
    let (right, wrong) = (end(Variant::Right), end(Variant::Wrong));
    for axis in 0..2 {
        assert_close("B1: mean of x_T", right.mean[axis], 0.0, 0.15);
        assert_close("B1: variance of x_T", right.covariance[(axis, axis)], 1.0, 0.2);
        assert!(wrong.mean[axis] > 1.0, "B1: uniform noise has the mean ½: {}", wrong.mean[axis]);
    }

    let radius = |points: &Array2<f64>| points.mapv(|x| x * x).sum() / points.nrows() as f64; // 2 on the ring
    let [right, drawn] = samples::quad(&world, 0, Variant::Right, 200, &mut rng(3)).unwrap();
    let [wrong, noise] = samples::quad(&world, 0, Variant::Wrong, 200, &mut rng(3)).unwrap();
    let near = |points: &Array2<f64>| ModeReport::of(&world.ring, points, 4.0).high_quality;
    assert!(near(&wrong) > 0.95 && near(&right) < 0.6, "B4: with the wrong code x_T is the ring still");
    assert!(near(&drawn) > 0.95 && near(&noise) < 0.6, "B4: and what is drawn is the noise still");
    assert_close("B4: E ‖x‖²", radius(&drawn), 2.0, 0.4);

    let shares = |code| {
        let steps = steps::by_log_variances(&world.schedule, code);
        samples::finite_shares(&world, &steps, 20, &mut rng(4))
    };
    assert_eq!(shares(Variant::Right), vec![1.0; 101], "B6: all are numbers, from x_T to x_0");
    assert_eq!(shares(Variant::Wrong)[..3], [1.0, 0.0, 0.0], "B6: none after a step");

    let grey = |code| samples::grey(&world, code, 200, &mut rng(5));
    let (right, wrong) = (grey(Variant::Right), grey(Variant::Wrong));
    assert_close("B15: mean grey value", right.mean().unwrap(), 0.5, 0.05);
    assert_close("B15: brought back by the other way", wrong.mean().unwrap(), 0.75, 0.05);
}

#[test]
fn a_network_with_slips_draws_the_same_from_the_same_numbers() {
    let world = BugFixture::new().unwrap();
    let mut losses = Vec::new();
    let learned =
        |slips, watch: &mut dyn FnMut(f64)| samples::learned(&world, 3, slips, 10, &rng(6), watch).unwrap();
    let drawn = learned(Slips::default(), &mut |loss| losses.push(loss));
    assert_eq!((drawn.dim(), losses.len()), ((10, 2), 3));
    assert_eq!(drawn, learned(Slips::default(), &mut |_| ()));
    // the same by hand: training and drawing begin with the same numbers
    let network = &train(&world, 3, Slips::default(), &mut rng(6), |_| ()).unwrap();
    let denoiser = NetworkDenoiser { schedule: &world.schedule, network, objective: Objective::Simple };
    let x_t = standard_normal(10, 2, &mut rng(6));
    let mut after = rng(6);
    standard_normal::<f64>(10, 2, &mut after);
    assert_eq!(drawn, sample(&world.all_steps(), &denoiser, x_t, &mut after, |_, _| ()));
}

#[test]
fn a_right_weight_of_v_is_min_snr_s_and_a_wrong_one_that_of_eps() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let weighting = Weighting::MinSnr { gamma: training::GAMMA };
    let [right, wrong] =
        [Variant::Right, Variant::Wrong].map(|code| training::min_snr_weights_of_x_0(1000, code));
    assert_eq!((right[0], wrong[0]), (5.0, 5.0), "t = 0");
    for t in [1, 10, 100, 300, 500, 700, 900, 1000] {
        let at = TransitionKernel::from_start(&schedule, t);
        let snr = at.signal_to_noise().powi(2);
        let of_v = |code| training::min_snr_weight_of_v(snr, training::GAMMA, code);
        let what = |code| format!("B18, {code} code, t = {t}");
        assert_relative(&what("right"), of_v(Variant::Right), weighting.on(Target::v(at), at), 1e-9);
        assert_relative(&what("wrong"), of_v(Variant::Wrong), weighting.on(Target::EPS, at), 1e-9);
        assert_relative(&what("right"), right[t], weighting.on_x_0(at), 1e-9);
        assert_relative(&what("wrong"), wrong[t], weighting.on_x_0(at) * (snr + 1.0) / snr, 1e-9);
    }
}

// ANCHOR: a_chain_that_ends_in_signal_draws_grey_pictures
/// The chain as it is, by the library's own sampler; the moments, by the flow's closed form, off by the size of a step.
#[test]
fn a_chain_that_ends_in_signal_draws_grey_pictures() {
    let schedule = Schedule::from_betas(quad_betas(1000, 0.00085, 0.012)).unwrap();
    let [right, wrong] =
        [Variant::Right, Variant::Wrong].map(|code| schedules::scaled_linear_signal(1000, code));
    for t in 0..=1000 {
        assert_relative(&format!("B19: √ᾱ_{t} as it is"), wrong[t], schedule.alpha_bar(t).sqrt(), 1e-13);
        let stretched = (wrong[t] - wrong[1000]) / (wrong[1] - wrong[1000]) * wrong[1];
        assert_close(&format!("B19: √ᾱ_{t}, stretched"), right[t], stretched.min(1.0), 1e-13);
    }
    assert_eq!((right[0], right[1000]), (1.0, 0.0));
    assert_relative("B19: √ᾱ_1 is kept", right[1], wrong[1], 1e-13);

    let (mean, deviation) = samples::BRIGHTNESS;
    let data = GaussianData { mean: array![64.0 * mean], variance: (64.0 * deviation).powi(2) };
    let steps = ddim(&schedule, &time_grid(1000, 1000, Spacing::Trailing).unwrap(), 0.0, None);
    let mut generator = rng(7);
    let x_t = standard_normal(500, 1, &mut generator);
    let by_ddim = sample(&steps, &ExactDenoiser::new(&schedule, &data), x_t, &mut generator, |_, _| ());
    let drawn = samples::brightness(Variant::Wrong, 500, &mut rng(7));
    assert_all_close("B19: DDIM", &drawn.insert_axis(ndarray::Axis(1)), &(by_ddim / 64.0), 1e-9);

    for (code, signal) in [(Variant::Right, &right), (Variant::Wrong, &wrong)] {
        let bar = signal[1000] * signal[1000];
        let of_x_t = bar * data.variance + 1.0 - bar;
        let drawn = samples::brightness(code, 20_000, &mut rng(8));
        // 20,000 pictures tell the mean to 0.0018 and the deviation to 0.0013; a thousand steps are off by 1 % in the latter
        let expected = mean * (1.0 - (bar * data.variance / of_x_t).sqrt());
        assert_close(&format!("B19: mean brightness, {code:?}"), drawn.mean().unwrap(), expected, 0.01);
        let expected = deviation / of_x_t.sqrt();
        assert_close(&format!("B19: its spread, {code:?}"), drawn.std(1.0), expected, 0.01);
    }
}
// ANCHOR_END: a_chain_that_ends_in_signal_draws_grey_pictures

/// Right code drops the labels that the library drops, and only a row that is shown is moved.
#[test]
fn dropped_labels_train_the_row_of_the_null_label() {
    let labels = vec![3; 20_000];
    let dropped = |code| {
        let shown = guidance::shown_labels(&labels, code, &mut rng(9));
        shown.into_iter().map(|label| (label != guidance::NULL).then_some(label)).collect::<Vec<_>>()
    };
    assert_eq!(dropped(Variant::Right), drop_labels(&labels, 0.1, &mut rng(9)), "B20: the library's own");
    assert!(dropped(Variant::Wrong).iter().all(|label| *label == Some(3)), "B20: no label is dropped");

    let world = BugFixture::new().unwrap();
    let first = guidance::LabelledNetwork::new(&mut rng(10)).unwrap();
    for (code, moved) in [(Variant::Right, 9), (Variant::Wrong, 8)] {
        let trained = guidance::train_labelled(&world, 20, code, &mut rng(10)).unwrap();
        let rows = first.table.rows().into_iter().zip(trained.table.rows());
        let changed: Vec<usize> =
            rows.enumerate().filter(|(_, (a, b))| a != b).map(|(label, _)| label).collect();
        assert_eq!(changed, (0..moved).collect::<Vec<_>>(), "B20: rows that {code:?} code moves");
        assert_ne!(first.network.parameters(), trained.network.parameters(), "B20, {code:?}");
    }

    // With its label the network is nearer to that Gaussian's exact denoiser than to the opposite one's.
    let trained = guidance::train_labelled(&world, 300, Variant::Right, &mut rng(10)).unwrap();
    let (schedule, ring) = (&world.schedule, &world.ring);
    let x_t = standard_normal(200, 2, &mut rng(11));
    for label in [0, 5] {
        let eps = trained.with_label(label).predict(x_t.view(), 60.0).eps;
        let gaps: Vec<f64> = (0..8)
            .map(|k| {
                let (mean, variance) = (ring.means.row(k).to_owned(), ring.variances[(k, 0)]);
                let exact = GaussianData { mean, variance };
                let exact = ExactDenoiser::new(schedule, &exact).predict(x_t.view(), 60.0).eps;
                (exact - &eps).mapv(|gap| gap * gap).mean().unwrap()
            })
            .collect();
        assert!(2.0 * gaps[label] < gaps[(label + 4) % 8], "B20: label {label}, errors {gaps:.3?}");
    }
}

/// Right code is the library's guidance, wrong code that of the paper's w = s − 1; and s = 1 draws what the label's denoiser draws.
#[test]
fn guidance_of_scale_1_is_the_labelled_prediction() {
    let [labelled, unlabelled] = [12, 13].map(|seed| standard_normal::<f64>(5, 2, &mut rng(seed)));
    let right = |scale| guidance::guided(&labelled, &unlabelled, scale, Variant::Right);
    assert_all_close("B21: s = 1", &right(1.0), &labelled, 1e-15);
    assert_all_close("B21: s = 0", &right(0.0), &unlabelled, 1e-15);
    for w in [0.0, 0.5, 2.0, 6.5] {
        let paper = guidance::guided(&labelled, &unlabelled, w, Variant::Wrong);
        let scale = convert_scale(w, Convention::Paper, Convention::Diffusers);
        let own = |scale| classifier_free_guidance(&unlabelled, &labelled, scale);
        assert_all_close(&format!("B21: s = {w}, the library's own"), &right(w), &own(w), 1e-13);
        assert_all_close(&format!("B21: the paper's w = {w} is s = {scale}"), &paper, &own(scale), 1e-13);
    }

    let world = BugFixture::new().unwrap();
    let half = guidance::right_half(&world.ring);
    let means: Vec<f64> = half.means.column(0).to_vec();
    assert!(
        means.len() == 3 && means.iter().all(|&x| x > 0.9),
        "B21: three Gaussians on the right: {means:?}"
    );
    let by_label = world.draw(&half, &world.all_steps(), 200, &mut rng(14));
    let guided = guidance::by_scale_1(&world, Variant::Right, 200, &mut rng(14));
    assert_all_close("B21: drawn with s = 1", &guided, &by_label, 1e-6);
    let wrong = guidance::by_scale_1(&world, Variant::Wrong, 200, &mut rng(14));
    assert!(largest_difference(&wrong, &by_label) > 0.1, "B21: with the bug another thing is drawn");
}

// ANCHOR: steps_of_a_flow_lead_to_the_data
/// One Gaussian's flow is a stretch in closed form; Euler's 50 steps are near it, and Heun's are nearer.
#[test]
fn steps_of_a_flow_lead_to_the_data() {
    let (mean, variance) = (array![0.5, -1.0], 0.3);
    let data = GaussianMixture::new(
        array![1.0],
        mean.clone().insert_axis(ndarray::Axis(0)),
        array![[variance, variance]],
    );
    let x_1 = standard_normal(100, 2, &mut rng(15));
    let expected = &mean + variance.sqrt() * &x_1;
    let velocity = |x: &Array2<f64>, t: f64| flow::exact_velocity(&data, x, t);
    let drawn = |code| flow::draw(velocity, code, 100, &mut rng(15));
    let error = largest_difference(&drawn(Variant::Right), &expected);
    assert!(error < 0.1, "B22: 50 steps end {error} from where the flow leads");
    let by_heun = heun(|t, x: &Array2<f64>| flow::exact_velocity(&data, x, t), x_1, (1.0, 1e-6), 50).unwrap();
    let error = largest_difference(&by_heun, &expected);
    assert!(error < 0.01, "B22: Heun's 50 steps end {error} from where the flow leads");
    let far = flow::size(&drawn(Variant::Wrong));
    assert!(far > 2.0, "B22: the other way lies nothing: root mean square {far}");
}
// ANCHOR_END: steps_of_a_flow_lead_to_the_data

/// What is shown is the path's own point; what is best where it is shown cannot be improved by moving it along x or by a constant.
#[test]
fn the_best_velocity_is_the_best_of_what_the_network_is_shown() {
    let world = BugFixture::new().unwrap();
    let [x_0, eps] = [16, 17].map(|seed| standard_normal::<f64>(10, 2, &mut rng(seed)));
    for t in [0.1, 0.5, 0.9] {
        let shown = flow::shown_point(&x_0, &eps, t, Variant::Right);
        assert_all_close("B23: x_t", &shown, &DataPath::Straight.diffuse(&x_0, &eps, t), 1e-15);
        assert_eq!(flow::shown_point(&x_0, &eps, t, Variant::Wrong), x_0, "B23");

        let count = 20_000;
        let (x_0, eps) = (world.ring.sample(count, &mut rng(18)), standard_normal(count, 2, &mut rng(19)));
        for code in [Variant::Right, Variant::Wrong] {
            let shown = flow::shown_point(&x_0, &eps, t, code);
            let left = &eps - &x_0 - flow::best_velocity(&world.ring, &shown, t, code);
            // means of 40,000 products of about unit size: 5 standard errors and more
            let slope = (&left * &shown).mean().unwrap();
            assert_close(&format!("B23: what is left, along x, {code:?}, t = {t}"), slope, 0.0, 0.05);
            assert_close(&format!("B23: its mean, {code:?}, t = {t}"), left.mean().unwrap(), 0.0, 0.05);
        }
    }
    let least = |code| flow::least_loss(&world, code, 200, &mut rng(20));
    let (right, wrong) = (least(Variant::Right), least(Variant::Wrong));
    assert!(wrong < right - 0.2, "B23: the loss is the lower with the bug: {wrong}, right {right}");
}
