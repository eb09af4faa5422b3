//! DDIM's jumps and grids of times, by second routes.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    denoiser::{Denoiser, ExactDenoiser, GaussianData},
    forward::standard_normal,
    metrics::{Moments, largest_difference},
    reverse::FixedVariance,
    sampler::{
        Spacing, Step, ancestral, ancestral_step, apply, ddim, ddim_step, encode, encode_step, moments_drawn,
        sample, spaced_ancestral, time_grid,
    },
    schedule::ScheduleName,
};
use ndarray::array;

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
            }
        }
    }
}

#[test]
fn ddim_step_with_eta_1_is_the_ancestral_step_with_the_posterior_variance() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    for t in [1, 2, 3, 10, 500, 999, 1000] {
        for clip in [None, Some(1.0)] {
            let jump = ddim_step(&schedule, t, t - 1, 1.0, clip);
            let step = ancestral_step(&schedule, t, FixedVariance::Posterior, clip);
            let of_x_t = |s: ddpm::sampler::Step| s.x_t + s.x_0 * s.x_0_from_x_t;
            let of_eps = |s: ddpm::sampler::Step| s.eps + s.x_0 * s.x_0_from_eps;
            assert_relative(&format!("t = {t}: factor of x_t"), of_x_t(jump), of_x_t(step), 1e-9);
            assert_relative(&format!("t = {t}: factor of ε"), of_eps(jump), of_eps(step), 1e-6);
            assert_close(&format!("t = {t}: noise"), jump.noise, step.noise, 1e-12);
        }
    }
}

#[test]
fn ddim_step_without_noise_follows_the_exact_flow_of_a_gaussian() {
    // For N(m, v) the deterministic limit maps x_T to x_0 by (x_0 − m)/√v = (x_T − √ᾱ_T m)/√(ᾱ_T v + 1 − ᾱ_T).
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_t = array![[1.3, -0.7]];
    let error = |count: usize| {
        let grid = time_grid(1000, count, Spacing::Trailing).unwrap();
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
        let grid = time_grid(1000, 1000, Spacing::Trailing).unwrap();
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

#[test]
fn ddim_clips_the_clean_image_and_keeps_the_noise() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let data = GaussianData { mean: array![3.0], variance: 0.1 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let (x_t, z) = (array![[1.1]], array![[0.0]]);
    let step = ddim_step(&schedule, 50, 20, 0.0, Some(1.0));
    let eps = exact.predict(x_t.view(), 50).eps[(0, 0)];
    let alpha_bar = schedule.alpha_bar(20);
    let expected = alpha_bar.sqrt() * 1.0 + (1.0 - alpha_bar).sqrt() * eps;
    assert_close("x_20", apply(&step, &exact, &x_t, &z)[(0, 0)], expected, 1e-12);
}

#[test]
fn time_grid_begins_and_ends_where_its_name_says() {
    assert_eq!(time_grid(1000, 5, Spacing::Trailing).unwrap(), [1000, 800, 600, 400, 200]);
    assert_eq!(time_grid(1000, 5, Spacing::Leading).unwrap(), [801, 601, 401, 201, 1]);
    assert_eq!(time_grid(1000, 5, Spacing::Linspace).unwrap(), [1000, 750, 501, 251, 1]);
    assert_eq!(time_grid(1000, 5, Spacing::Quadratic).unwrap(), [801, 451, 201, 51, 1]);
    for spacing in Spacing::ALL {
        for (steps, count) in [(1, 1), (10, 1), (10, 3), (10, 10), (1000, 50), (1000, 999)] {
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
fn encode_leads_where_the_exact_flow_leads() {
    // For N(m, v): (x_T − √ᾱ_T m)/√(ᾱ_T v + 1 − ᾱ_T) = (x_0 − m)/√v, and the error falls with the steps.
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_0 = standard_normal::<f64>(20, 2, &mut rng(20)) * 0.3f64.sqrt() + &data.mean;
    let bar = schedule.alpha_bar(1000);
    let there = (&x_0 - &data.mean) * ((bar * 0.3 + 1.0 - bar) / 0.3).sqrt() + bar.sqrt() * &data.mean;
    let mut before = [f64::INFINITY; 2];
    for count in [10, 50, 250, 1000] {
        let grid = time_grid(1000, count, Spacing::Trailing).unwrap();
        let up = sample(&encode(&schedule, &grid), &exact, x_0.clone(), &mut rng(0), |_, _| ());
        let down = sample(&ddim(&schedule, &grid, 0.0, None), &exact, up.clone(), &mut rng(0), |_, _| ());
        let errors = [largest_difference(&up, &there), largest_difference(&down, &x_0)];
        for (way, (error, before)) in ["up", "up and down"].iter().zip(errors.iter().zip(before)) {
            assert!(*error < 0.3 * before, "{count} steps {way}: {error:.2e} after {before:.2e}");
        }
        before = errors;
    }
    assert!(before[1] < 0.01, "1000 steps up and 1000 down: {:.2e}", before[1]);
}

#[test]
fn encode_step_is_the_jump_down_s_inverse_for_the_same_eps() {
    let schedule = ScheduleName::Cosine.schedule(100).unwrap();
    for (t, next) in [(0, 1), (0, 50), (1, 2), (20, 60), (98, 99)] {
        let (up, down) = (encode_step(&schedule, t, next), ddim_step(&schedule, next, t, 0.0, None));
        assert_eq!((up.t, up.noise, up.x_0), (t.max(1), 0.0, 0.0), "the step asked at {t}");
        let (x, eps) = (0.7, -0.4);
        let there = up.x_t * x + up.eps * eps;
        assert_close(&format!("{t} up to {next} and back"), down.x_t * there + down.eps * eps, x, 1e-10);
    }
}

#[test]
fn spaced_ancestral_on_the_whole_grid_is_algorithm_2() {
    let schedule = ScheduleName::Linear.schedule(50).unwrap();
    let grid = time_grid(50, 50, Spacing::Trailing).unwrap();
    for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
        for clip in [None, Some(1.0)] {
            let spaced = spaced_ancestral(&schedule, &grid, choice, clip).unwrap();
            for (step, expected) in spaced.iter().zip(ancestral(&schedule, choice, clip)) {
                let what = format!("{choice}, clip {clip:?}, t = {}", expected.t);
                assert_eq!((step.t, step.clip), (expected.t, clip), "{what}");
                let factors = |s: &Step| [s.x_t, s.eps, s.x_0, s.noise, s.x_0_from_x_t, s.x_0_from_eps];
                for (got, expected) in factors(step).into_iter().zip(factors(&expected)) {
                    assert_close(&what, got, expected, 1e-10);
                }
            }
        }
    }
}

#[test]
fn spaced_ancestral_with_the_posterior_variance_is_ddim_with_eta_1() {
    // Nichol & Dhariwal's shorter chain and Song et al.'s σ are the same step, reached by other ways.
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let grid = time_grid(1000, 20, Spacing::Trailing).unwrap();
    let spaced = spaced_ancestral(&schedule, &grid, FixedVariance::Posterior, None).unwrap();
    for (step, jump) in spaced.iter().zip(ddim(&schedule, &grid, 1.0, None)) {
        let what = format!("t = {}", step.t);
        assert_eq!(step.t, jump.t);
        assert_relative(&format!("{what}: factor of x_t"), step.x_t, jump.x_t, 1e-9);
        assert_relative(&format!("{what}: factor of ε"), step.eps, jump.eps, 1e-9);
        assert_close(&format!("{what}: noise"), step.noise, jump.noise, 1e-12);
    }
}

#[test]
fn spaced_ancestral_with_beta_draws_more_noise() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let grid = time_grid(1000, 20, Spacing::Trailing).unwrap();
    let steps = |choice| spaced_ancestral(&schedule, &grid, choice, None).unwrap();
    for (wide, narrow) in steps(FixedVariance::Beta).iter().zip(steps(FixedVariance::Posterior)) {
        assert_eq!(wide.noise == 0.0, wide.t == 50, "no noise in the last step, t = {}", wide.t);
        assert!(
            wide.noise > narrow.noise || wide.t == 50,
            "t = {}: {} and {}",
            wide.t,
            wide.noise,
            narrow.noise
        );
    }
}

#[test]
fn spaced_ancestral_refuses_a_grid_that_does_not_fall() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    for grid in [vec![50, 60], vec![50, 50], vec![50, 0], vec![]] {
        assert!(spaced_ancestral(&schedule, &grid, FixedVariance::Beta, None).is_err(), "{grid:?}");
    }
}

#[test]
fn moments_drawn_by_many_steps_are_the_data_s() {
    // The error of a whole chain is O(β): below 1 % for T = 1000; ten steps are far off, and differently for each sampler.
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let steps = |count, choice| {
        let grid = time_grid(1000, count, Spacing::Trailing).unwrap();
        spaced_ancestral(&schedule, &grid, choice, None).unwrap()
    };
    for (m, v) in [(0.0, 1.0), (0.5, 0.3), (-0.8, 2.0)] {
        for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
            let (mean, variance) = moments_drawn(&schedule, &steps(1000, choice), (m, v));
            assert_close("mean", mean, m, 0.01);
            assert_relative(&format!("{choice}: variance"), variance, v, 0.03);
        }
        let few = |choice| moments_drawn(&schedule, &steps(10, choice), (m, v)).1;
        let (narrow, wide) = (few(FixedVariance::Posterior), few(FixedVariance::Beta));
        assert!(narrow < 0.95 * v && narrow <= wide, "ten steps: {narrow} and {wide} of {v}");
        if (m, v) == (0.0, 1.0) {
            // Every x_t is N(0, I), and β is the variance that keeps it so, in steps of any size; the last one, from
            // t = 100 without noise, keeps the mean only.
            assert_close("σ² = β for N(0, I)", wide, schedule.alpha_bar(100), 1e-12);
        }
    }
}

#[test]
fn moments_drawn_are_the_same_through_a_clip_that_is_never_reached() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
        let free = moments_drawn(&schedule, &ancestral(&schedule, choice, None), (0.5, 0.3));
        let wide = moments_drawn(&schedule, &ancestral(&schedule, choice, Some(1e9)), (0.5, 0.3));
        assert_close("mean", wide.0, free.0, 1e-12);
        assert_close("variance", wide.1, free.1, 1e-12);
    }
}
