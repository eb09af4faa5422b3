//! DDIM's jumps and grids of times, by second routes.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    denoiser::{Denoiser, ExactDenoiser, GaussianData},
    forward::standard_normal,
    metrics::Moments,
    reverse::FixedVariance,
    sampler::{Spacing, ancestral_step, apply, ddim, ddim_step, sample, time_grid},
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
