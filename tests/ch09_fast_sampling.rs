//! ch09_fast_sampling: DDIM's grids and jumps, up and down, and DPM-Solver++(2M).

mod common;

use common::{assert_close, assert_relative, assert_same_step, rng};
use ddpm::{
    continuous::{continuous_alpha_bar, lambda_uniform},
    denoiser::{Denoiser, ExactDenoiser, GaussianData, Prediction},
    forward::{diffuse, standard_normal},
    metrics::{Moments, largest_difference},
    posterior::posterior_variance,
    reverse::FixedVariance,
    sampler::{
        MultiStep, OracleDenoiser, Spacing, Step, ancestral, ancestral_step, apply, ddim,
        ddim_inversion_step, ddim_sigma, ddim_step, dpm_solver, dpm_solver_step, sample, time_grid,
    },
    schedule::{ScheduleName, half_log_snr},
};
use ndarray::{Array2, ArrayView2, array};
use std::cell::RefCell;

#[test]
fn time_grid_begins_and_ends_where_its_name_says() {
    assert_eq!(time_grid(1000, 5, Spacing::Trailing).unwrap(), [1000, 800, 600, 400, 200]);
    assert_eq!(time_grid(1000, 5, Spacing::Leading).unwrap(), [801, 601, 401, 201, 1]);
    assert_eq!(time_grid(1000, 5, Spacing::Linspace).unwrap(), [1000, 750, 501, 251, 1]);
    assert_eq!(time_grid(1000, 5, Spacing::Quadratic).unwrap(), [801, 451, 201, 51, 1]);
    for (spacing, t) in Spacing::ALL.into_iter().zip([1, 1000, 1000, 801]) {
        assert_eq!(time_grid(1000, 1, spacing).unwrap(), [t], "{spacing}, one time");
    }
    // ten thirds, twenty thirds: rounded, neither down nor up
    assert_eq!(time_grid(10, 3, Spacing::Trailing).unwrap(), [10, 7, 3], "trailing, rounded");
    assert_eq!(time_grid(10, 5, Spacing::Linspace).unwrap(), [10, 8, 6, 3, 1], "linspace, rounded");
    assert_eq!(time_grid(13, 4, Spacing::Quadratic).unwrap(), [11, 6, 2, 1], "quadratic, rounded");
    assert_eq!(time_grid(2, 2, Spacing::Quadratic).unwrap(), [2, 1], "quadratic, within T");
    for spacing in Spacing::ALL {
        for (steps, count) in [(1, 1), (2, 2), (3, 3), (10, 1), (10, 3), (10, 10), (1000, 50), (1000, 999)] {
            let grid = time_grid(steps, count, spacing).unwrap();
            let what = format!("{spacing}, {count} of {steps}: {grid:?}");
            assert!(
                grid.iter().all(|t| (1..=steps).contains(t)) && grid.is_sorted_by(|a, b| a > b),
                "{what}"
            );
            assert!(grid.len() == count || spacing == Spacing::Quadratic, "{what}");
        }
        // the full grid visits every t once
        if spacing != Spacing::Quadratic {
            assert_eq!(time_grid(7, 7, spacing).unwrap(), [7, 6, 5, 4, 3, 2, 1], "{spacing}");
        }
        assert_eq!(spacing.to_string().parse::<Spacing>().unwrap(), spacing);
    }
}

#[test]
fn time_grid_refuses_more_jumps_than_steps() {
    for count in [0, 11] {
        let error = time_grid(10, count, Spacing::Trailing).unwrap_err().to_string();
        assert!(error.contains(&format!("steps is {count}")) && error.contains("T = 10"), "{error}");
    }
    assert!("uniform".parse::<Spacing>().unwrap_err().to_string().contains("trailing"));
}

#[test]
fn ddim_sigma_is_the_deviation_of_the_posterior_of_a_jump() {
    // Bayes by precisions: x_s has variance 1 − ᾱ_s given x_0, and x_t = √a x_s + √(1 − a) z with a = ᾱ_t/ᾱ_s
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    for (t, previous) in [(2, 1), (3, 1), (10, 9), (100, 50), (1000, 999), (1000, 800), (1000, 1)] {
        let a = schedule.alpha_bar(t) / schedule.alpha_bar(previous);
        let precision = 1.0 / (1.0 - schedule.alpha_bar(previous)) + a / (1.0 - a);
        let what = format!("t = {t}, s = {previous}");
        let sigma = ddim_sigma(&schedule, t, previous, 1.0);
        assert_relative(&format!("{what}: σ for η = 1"), sigma, precision.recip().sqrt(), 1e-9);
        assert_relative(
            &format!("{what}: σ for η = 0.3"),
            ddim_sigma(&schedule, t, previous, 0.3),
            0.3 * precision.recip().sqrt(),
            1e-9,
        );
        if previous == t - 1 {
            assert_relative(&format!("t = {t}: σ²"), sigma.powi(2), posterior_variance(&schedule, t), 1e-9);
        }
    }
}

#[test]
fn ddim_sigma_is_0_in_the_jump_to_the_clean_image_and_without_eta() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    for t in [1, 2, 50, 100] {
        assert_eq!(ddim_sigma(&schedule, t, 0, 1.0), 0.0, "t = {t} to 0, η = 1");
        assert_eq!(ddim_sigma(&schedule, t, t - 1, 0.0), 0.0, "t = {t} to {}, η = 0", t - 1);
    }
}

#[test]
fn ddim_step_keeps_the_marginal_variance() {
    // Whatever η: for the exact pair (x_0, ε) the jump lands on √ᾱ_s x_0 + noise of variance 1 − ᾱ_s in all.
    let schedule = ScheduleName::Cosine.schedule(100).unwrap();
    for (t, previous) in [(100, 99), (100, 50), (60, 20), (20, 1), (7, 0), (1, 0)] {
        for eta in [0.0, 0.3, 1.0] {
            for clip in [None, Some(1e12)] {
                let step = ddim_step(&schedule, t, previous, eta, clip);
                let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(previous));
                // x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, so the factors of x_0 and of ε in the result are
                let of_x_t = step.x_t + step.x_0 * step.x_0_from_x_t;
                let of_x_0 = of_x_t * now.sqrt();
                let of_eps = of_x_t * (1.0 - now).sqrt() + step.eps + step.x_0 * step.x_0_from_eps;
                let what = format!("t = {t}, s = {previous}, η = {eta}, clip {clip:?}");
                assert_relative(&format!("{what}: factor of x_0"), of_x_0, then.sqrt(), 1e-9);
                // at T of the cosine schedule √ᾱ is 5·10⁻⁵, so five digits cancel
                let variance = of_eps * of_eps + step.noise * step.noise;
                assert_close(&format!("{what}: variance"), variance, 1.0 - then, 1e-8);
                assert_eq!(step.noise == 0.0, eta == 0.0 || previous == 0, "{what}: noise {}", step.noise);
                if clip.is_none() {
                    assert_eq!(step.x_0, 0.0, "{what}: the factor of x̂_0, which x_t and ε_θ stand for");
                }
            }
        }
    }
}

// ANCHOR: ddim_step_with_eta_1
#[test]
fn ddim_step_with_eta_1_is_the_ancestral_step_with_the_posterior_variance() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    for t in [1, 2, 3, 10, 500, 999, 1000] {
        for clip in [None, Some(1.0)] {
            let jump = ddim_step(&schedule, t, t - 1, 1.0, clip);
            let step = ancestral_step(&schedule, t, FixedVariance::Posterior, clip);
            assert_same_step(&format!("t = {t}"), jump, step);
        }
    }
}
// ANCHOR_END: ddim_step_with_eta_1

#[test]
fn ddim_step_clips_the_clean_image_and_keeps_the_noise() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let data = GaussianData { mean: array![3.0], variance: 0.1 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let (x_t, z) = (array![[1.1]], array![[0.0]]);
    let step = ddim_step(&schedule, 50, 20, 0.0, Some(1.0));
    let eps = exact.predict(x_t.view(), 50.0).eps[(0, 0)];
    let alpha_bar = schedule.alpha_bar(20);
    let expected = alpha_bar.sqrt() * 1.0 + (1.0 - alpha_bar).sqrt() * eps;
    assert_close(
        "x_20",
        apply(&step, &exact.predict(x_t.view(), step.t as f64), &x_t, &z)[(0, 0)],
        expected,
        1e-12,
    );
}

#[test]
#[should_panic(expected = "to an earlier step, not to 5")]
fn ddim_step_goes_down_only() {
    ddim_step(&ScheduleName::Linear.schedule(10).unwrap(), 5, 5, 0.0, None);
}

// ANCHOR: ddim_goes_to_the_next_grid_point
#[test]
fn ddim_goes_from_each_grid_point_to_the_next_and_then_to_0() {
    // Who knows x_0 keeps one ε all the way: after each jump x must be √ᾱ_s x_0 + √(1 − ᾱ_s) ε at the *next* time s of
    // the grid. `t − T/n` is another time wherever the strides are uneven.
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let (x_0, eps) = (array![[0.3, -0.8]], array![[1.1, 0.4]]);
    let oracle = OracleDenoiser { schedule: &schedule, x_0: &x_0 };
    let grids: [&[usize]; 5] =
        [&[1000, 750, 501, 251, 1], &[801, 451, 201, 51, 1], &[1000, 577, 13], &[20, 19], &[700]];
    for grid in grids {
        let steps = ddim(&schedule, grid, 0.0, None);
        let mut times = grid.iter().chain([&0]);
        let x = diffuse(&x_0, schedule.alpha_bar(grid[0]), &eps);
        let end = sample(&steps, &oracle, x, &mut rng(3), |t, x| {
            let what = format!("grid {grid:?}, t = {t}");
            assert_eq!(Some(&t), times.next(), "{what}: the time at which the denoiser is called");
            let worst = largest_difference(x, &diffuse(&x_0, schedule.alpha_bar(t), &eps));
            assert!(worst < 1e-9, "{what}: x_t is off by {worst:.2e}");
        });
        assert_eq!(times.next(), None, "grid {grid:?}: no time is left out");
        assert!(largest_difference(&end, &x_0) < 1e-12, "grid {grid:?}: it ends at x_0");
    }
}
// ANCHOR_END: ddim_goes_to_the_next_grid_point

#[test]
fn ddim_with_eta_1_on_the_whole_grid_is_algorithm_2_with_the_posterior_variance() {
    // Step by step with the same generator: the same x_0, from Eq. (11) and from Song et al.'s Eq. (12)
    let schedule = ScheduleName::Linear.schedule(50).unwrap();
    let data = GaussianData { mean: array![0.5, -0.2], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_t = standard_normal::<f64>(20, 2, &mut rng(4));
    let grid: Vec<usize> = (1..=50).rev().collect();
    let run = |steps: &[Step]| sample(steps, &exact, x_t.clone(), &mut rng(5), |_, _| ());
    let worst = largest_difference(
        &run(&ddim(&schedule, &grid, 1.0, None)),
        &run(&ancestral(&schedule, FixedVariance::Posterior, None)),
    );
    assert!(worst < 1e-10, "largest difference of x_0: {worst:.2e}");
    let other = largest_difference(
        &run(&ddim(&schedule, &grid, 0.0, None)),
        &run(&ddim(&schedule, &grid, 1.0, None)),
    );
    assert!(other > 0.1, "η = 0 and η = 1 draw other points: {other:.2e}");
}

#[test]
fn ddim_without_noise_follows_the_exact_flow_of_a_gaussian() {
    // For N(m, v) the deterministic limit maps x_T to x_0 by (x_0 − m)/√v = (x_T − √ᾱ_T m)/√(ᾱ_T v + 1 − ᾱ_T).
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_t = array![[1.3, -0.7]];
    let error = |count: usize| {
        let grid: Vec<usize> = (1..=count).rev().map(|i| i * 1000 / count).collect();
        let x_0 = sample(&ddim(&schedule, &grid, 0.0, None), &exact, x_t.clone(), &mut rng(1), |_, _| ());
        let alpha_bar = schedule.alpha_bar(1000);
        let spread = (data.variance / (alpha_bar * data.variance + 1.0 - alpha_bar)).sqrt();
        let expected = &data.mean + &((&x_t - &(alpha_bar.sqrt() * &data.mean)) * spread);
        (&x_0 - &expected).iter().fold(0.0_f64, |worst, e| worst.max(e.abs()))
    };
    let (coarse, fine) = (error(50), error(500));
    // an error of first order: a tenth of the jump, a tenth of the error
    assert!(
        fine < 5e-3 && (8.0..12.0).contains(&(coarse / fine)),
        "errors at 50 and 500 jumps: {coarse:.2e}, {fine:.2e}"
    );
}

#[test]
fn ddim_draws_the_data_whatever_eta() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let data = GaussianData { mean: array![0.5], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    for eta in [0.0, 0.5, 1.0] {
        let grid: Vec<usize> = (1..=1000).rev().collect();
        let mut rng = rng(2);
        let x_t = standard_normal(10_000, 1, &mut rng);
        let drawn = sample(&ddim(&schedule, &grid, eta, None), &exact, x_t, &mut rng, |_, _| ());
        let moments = Moments::of(&drawn);
        // beside the standard errors, 1000 jumps miss the variance by less than 2 %
        assert_close(&format!("η = {eta}: mean"), moments.mean[0], 0.5, 4.0 * moments.mean_error[0] + 2e-3);
        let tolerance = 4.0 * moments.covariance_error[(0, 0)] + 6e-3;
        assert_close(&format!("η = {eta}: variance"), moments.covariance[(0, 0)], 0.3, tolerance);
    }
}

/// The factors of x_t and ε_θ in a step without clipping, with x̂_0 = a x_t + b ε_θ put in.
fn with_x_0_put_in(step: &Step) -> [f64; 2] {
    [step.x_t + step.x_0 * step.x_0_from_x_t, step.eps + step.x_0 * step.x_0_from_eps]
}

#[test]
fn ddim_inversion_step_is_the_jump_down_s_inverse_for_the_same_eps() {
    let schedule = ScheduleName::Cosine.schedule(100).unwrap();
    for (t, next) in [(0, 1), (0, 50), (1, 2), (20, 60), (98, 99)] {
        let (up, down) = (ddim_inversion_step(&schedule, t, next), ddim_step(&schedule, next, t, 0.0, None));
        assert_eq!((up.t, up.noise, up.x_0), (t.max(1), 0.0, 0.0), "the step called at {t}");
        let (x, eps) = (0.7, -0.4);
        let there = up.x_t * x + up.eps * eps;
        let [of_x_t, of_eps] = with_x_0_put_in(&down);
        assert_close(&format!("{t} up to {next} and back"), of_x_t * there + of_eps * eps, x, 1e-10);
    }
}

#[test]
fn ddim_inversion_step_asks_the_network_where_it_was_trained() {
    let schedule = ScheduleName::Linear.schedule(10).unwrap();
    assert_eq!(
        ddim_inversion_step(&schedule, 0, 3).t,
        1,
        "at t = 0 there is no noise to predict; 1 is nearest"
    );
    assert_eq!(ddim_inversion_step(&schedule, 3, 7).t, 3);
}

#[test]
#[should_panic(expected = "to a later step, not to 4")]
fn ddim_inversion_step_goes_up_only() {
    ddim_inversion_step(&ScheduleName::Linear.schedule(10).unwrap(), 4, 4);
}

/// The factors of a jump as a function of x_t and x̂_0, and of the x̂_0 before.
fn factors(multi: &MultiStep) -> [f64; 3] {
    [multi.step.x_t, multi.step.x_0, multi.x_0_before]
}

#[test]
fn dpm_solver_step_begins_as_ddim_without_noise() {
    let schedule = ScheduleName::Cosine.schedule(100).unwrap();
    for (t, previous) in [(99, 60), (60, 59), (30, 1), (7, 0), (1, 0)] {
        let first = dpm_solver_step(&schedule, None, t, previous, None);
        let ddim = ddim_step(&schedule, t, previous, 0.0, None);
        let what = format!("t = {t} to {previous}");
        let step = first.step;
        assert_eq!((step.t, step.noise, first.x_0_before), (t, 0.0, 0.0), "{what}: t, noise and memory");
        assert!(step.x_0 > 0.0, "{what}: x̂_0 keeps its factor, with or without a clip; it is {}", step.x_0);
        let ([of_x_t, of_eps], [ddim_x_t, ddim_eps]) = (with_x_0_put_in(&step), with_x_0_put_in(&ddim));
        assert_relative(&format!("{what}: factor of x_t"), of_x_t, ddim_x_t, 1e-9);
        assert_close(&format!("{what}: factor of ε"), of_eps, ddim_eps, 1e-9);
    }
}

// ANCHOR: dpm_solver_step_ends_with_the_predicted_x_0
#[test]
fn dpm_solver_step_ends_with_the_predicted_x_0() {
    // h is infinite there: neither a NaN nor an extrapolation may come of it
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    for before in [None, Some(20)] {
        let last = dpm_solver_step(&schedule, before, 10, 0, Some(1.5));
        assert_eq!(
            factors(&last),
            [0.0, 1.0, 0.0],
            "before: {before:?}: factors of x_t, x̂_0 and the x̂_0 before"
        );
        assert_eq!((last.step.t, last.step.clip), (10, Some(1.5)));
    }
}
// ANCHOR_END: dpm_solver_step_ends_with_the_predicted_x_0

#[test]
fn dpm_solver_step_weighs_both_x_0_as_the_first_order_weighs_one() {
    // A constant x̂_0 must come out as if there were no memory, however uneven the jumps
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    for (before, t, previous) in [(1000, 500, 499), (1000, 999, 1), (30, 20, 10)] {
        let [x_t, x_0, x_0_before] = factors(&dpm_solver_step(&schedule, Some(before), t, previous, None));
        let [first_x_t, first_x_0, _] = factors(&dpm_solver_step(&schedule, None, t, previous, None));
        let what = format!("{before} → {t} → {previous}");
        assert_relative(&format!("{what}: sum of the factors"), x_0 + x_0_before, first_x_0, 1e-9);
        assert_eq!(x_t, first_x_t, "{what}: factor of x_t");
        let lambda = |t| half_log_snr(schedule.alpha_bar(t));
        let ratio = (lambda(previous) - lambda(t)) / (lambda(t) - lambda(before));
        assert_relative(&format!("{what}: the memory's weight"), -x_0_before / first_x_0, ratio / 2.0, 1e-9);
    }
}

#[test]
fn dpm_solver_step_integrates_a_straight_line_up_to_the_third_order() {
    // The exact jump is x_s = (σ_s/σ_t) x_t + σ_s ∫ e^λ x̂_0(λ) dλ; with x̂_0 = 1 + λ − λ_t, ∫ e^λ (1 + λ − λ_t) dλ is
    // e^λ (λ − λ_t). 2M takes the line's value in the middle instead: its error falls by 2³ as the jump is halved.
    let error = |steps: usize| {
        let schedule = lambda_uniform(0.4, 0.1, steps).unwrap();
        let (before, t, previous) = (steps, steps - 1, steps - 2);
        let lambda = |t| half_log_snr(schedule.alpha_bar(t));
        let [of_x_t, of_x_0, of_before] =
            factors(&dpm_solver_step(&schedule, Some(before), t, previous, None));
        let h = lambda(previous) - lambda(t);
        let sigma = |t: usize| (1.0 - schedule.alpha_bar(t)).sqrt();
        let exact = 0.7 * sigma(previous) / sigma(t) + sigma(previous) * lambda(previous).exp() * h;
        let got = 0.7 * of_x_t + of_x_0 + of_before * (1.0 + lambda(before) - lambda(t));
        (got - exact).abs()
    };
    let (coarse, fine) = (error(20), error(40));
    assert!(
        coarse < 1e-2 && (6.5..9.5).contains(&(coarse / fine)),
        "error of a jump of length h: {coarse:.3e}, of h/2: {fine:.3e}: ratio {:.2}, of third order were 2³ = 8",
        coarse / fine
    );
}

#[test]
#[should_panic(expected = "came from above, not from 5")]
fn dpm_solver_step_remembers_what_lies_above() {
    let schedule = ScheduleName::Linear.schedule(10).unwrap();
    dpm_solver_step(&schedule, Some(5), 5, 2, None);
}

/// Largest error against the exact flow of N(m, v), from x at t = 1 down to t = 0.01, for DDIM and for 2M.
fn errors_on_a_gaussian(steps: usize) -> [f64; 2] {
    let schedule = lambda_uniform(1.0, 0.01, steps).unwrap();
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let x = standard_normal::<f64>(20, 2, &mut rng(7));
    let grid: Vec<usize> = (1..=steps + 1).rev().collect();
    let spread = |bar: f64| (bar * data.variance + 1.0 - bar).sqrt();
    let [high, low] = [1.0, 0.01].map(continuous_alpha_bar);
    let flow = (&x - &(high.sqrt() * &data.mean)) * (spread(low) / spread(high)) + low.sqrt() * &data.mean;
    let first: Vec<MultiStep> = ddim(&schedule, &grid, 0.0, None).into_iter().map(MultiStep::from).collect();
    // the last of the jumps leads from the end of the grid to 0
    [first, dpm_solver(&schedule, &grid, None)].map(|all| {
        let end = sample(&all[..steps], &exact, x.clone(), &mut rng(0), |_, _| ());
        largest_difference(&end, &flow)
    })
}

// ANCHOR: dpm_solver_is_of_second_order
#[test]
fn dpm_solver_is_of_second_order_and_ddim_of_first() {
    let [coarse, fine] = [80, 160].map(errors_on_a_gaussian);
    let order = |i: usize| (coarse[i] / fine[i]).log2();
    assert_close("order of DDIM, η = 0", order(0), 1.0, 0.1);
    assert_close("order of DPM-Solver++(2M)", order(1), 2.0, 0.2);
    assert!(fine[1] < 0.1 * fine[0], "160 steps of each: {:.2e} and {:.2e}", fine[0], fine[1]);
}
// ANCHOR_END: dpm_solver_is_of_second_order

#[test]
fn dpm_solver_goes_along_the_grid() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let grid = [1000, 834, 667, 501, 334, 168, 1];
    let steps = dpm_solver(&schedule, &grid, Some(2.0));
    let mut before = None;
    for (i, &t) in grid.iter().enumerate() {
        let next = grid.get(i + 1).copied().unwrap_or(0);
        assert_eq!(
            steps[i],
            dpm_solver_step(&schedule, before, t, next, Some(2.0)),
            "{before:?} → {t} → {next}"
        );
        before = Some(t);
    }
    assert_eq!(steps.len(), 7);
}

/// Predicts tanh(x_t) and notes when it was called.
#[derive(Default)]
struct Spy {
    called: RefCell<Vec<f64>>,
}

impl Denoiser for Spy {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        self.called.borrow_mut().push(t);
        Prediction { eps: x_t.mapv(f64::tanh), variance: None }
    }
}

#[test]
fn a_sampler_with_memory_calls_once_a_step_and_shows_every_x_t() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let (spy, mut seen) = (Spy::default(), Vec::new());
    let steps = dpm_solver(&schedule, &[80, 50, 20, 3], None);
    sample(&steps, &spy, Array2::zeros((3, 2)), &mut rng(1), |t, _| seen.push(t));
    assert_eq!(spy.called.into_inner(), [80.0, 50.0, 20.0, 3.0], "the t at which the denoiser was called");
    assert_eq!(seen, [80, 50, 20, 3, 0], "the t that `on_step` saw");
}

#[test]
fn steps_without_memory_are_plain_steps() {
    let schedule = ScheduleName::Linear.schedule(30).unwrap();
    let steps = ancestral(&schedule, FixedVariance::Beta, Some(0.8));
    let x_t = standard_normal::<f64>(6, 2, &mut rng(8));
    let multi: Vec<MultiStep> = steps.iter().copied().map(MultiStep::from).collect();
    let one = sample(&steps, &Spy::default(), x_t.clone(), &mut rng(9), |_, _| ());
    assert_eq!(one, sample(&multi, &Spy::default(), x_t, &mut rng(9), |_, _| ()));
}

#[test]
fn a_step_with_memory_uses_the_clipped_x_0_of_the_step_before() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let steps = dpm_solver(&schedule, &[80, 50, 20], Some(0.6));
    let mut x = 1.3f64;
    let mut before = 0.0;
    for multi in &steps {
        let step = multi.step;
        let x_0 = (step.x_0_from_x_t * x + step.x_0_from_eps * x.tanh()).clamp(-0.6, 0.6);
        x = step.x_t * x + step.x_0 * x_0 + multi.x_0_before * before;
        before = x_0;
    }
    let got = sample(&steps, &Spy::default(), array![[1.3]], &mut rng(0), |_, _| ())[(0, 0)];
    assert_close("x_0 after three jumps", got, x, 1e-12);
    assert!(steps[1].x_0_before < 0.0, "the line goes on: the x̂_0 before has a negative weight");
}

#[test]
#[should_panic(expected = "comes after another step")]
fn a_step_with_memory_is_not_the_first() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let steps = dpm_solver(&schedule, &[80, 50, 20], None);
    sample(&steps[1..], &Spy::default(), array![[1.3]], &mut rng(0), |_, _| ());
}
