//! ch17_targets: targets and their errors, weights, the bound in continuous time, EDM, zero terminal SNR.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    continuous::sde::Sde,
    continuous_bound::{
        LogSnrSchedule, Scatter, batch_means, bound_between, bound_draws, denoising_errors, information,
        kernel_of, stratified_times, uniform_times,
    },
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser, GaussianData, PosteriorMean, Prediction},
    edm::{
        P_MEAN, P_STD, chain_denoiser, ddim_and_euler, denoised, draw_sigma, draws_in_calls, edm_euler,
        edm_flow, edm_heun, edm_per_log_snr, edm_scalings, grid_errors, least_amplifying, nearest_levels,
        output_scale, reading_error, rho_grid, time_of_sigma,
    },
    forward::{TransitionKernel, standard_normal},
    losses::{Loss, least_errors, quantile_of, spent, unit_weights},
    metrics::{StandardError, largest_difference, mean, standard_error},
    path::Path,
    posterior::posterior_variance,
    reverse::predict_x_0,
    sampler::{Spacing, ddim, flow_moments, moments_drawn, sample, time_grid},
    schedule::{Schedule, ScheduleName, alpha_bars, noise_to_signal, zero_terminal_snr},
    target::{
        Target, angle, circle_arrow, conversion, conversion_error, convert, error_factor, follow_v,
        jump_by_v, rotation, squared_error_excess,
    },
    terminal_snr::Brightness,
    train::recipe::{Levels, Output, Recipe, Weights, bound_weight, edm_level, error_from_exact},
    weighting::{Weighting, bound_step_weight, per_log_snr},
};
use ndarray::{Array1, Array2, ArrayView2, array};
use ndarray_rand::rand::{Rng, rngs::StdRng};
use std::cell::Cell;

/// Kernels of all kinds: that keep the variance, that shrink nothing, on a straight line.
fn kernels() -> Vec<TransitionKernel> {
    let mut all = vec![TransitionKernel { signal: 0.8, variance: 0.36 }];
    for path in Path::ALL {
        all.extend([0.05, 0.4, 0.9].map(|t| path.kernel(t)));
    }
    all
}

/// Targets at a kernel, and one that no paper has.
fn targets(at: TransitionKernel) -> [(&'static str, Target); 6] {
    [
        ("x_0", Target::X_0),
        ("ε", Target::EPS),
        ("v", Target::v(at)),
        ("score", Target::score(at)),
        ("F", Target::edm(at, 0.5)),
        ("3 x_0 + 2 ε", Target { of_x_0: 3.0, of_eps: 2.0 }),
    ]
}

fn mixture() -> GaussianMixture {
    let means = array![[-1.2, 0.3], [0.6, -0.8], [0.9, 1.0]];
    GaussianMixture::new(array![0.3, 0.45, 0.25], means, array![[0.1, 0.2], [0.15, 0.1], [0.3, 0.08]])
}

// conversion

#[test]
fn conversion_gives_each_target_from_each_other() {
    let (x_0, eps) = (1.7, -0.6);
    for at in kernels() {
        let x_t = at.signal * x_0 + at.deviation() * eps;
        for (from_name, from) in targets(at) {
            for (to_name, to) in targets(at) {
                if from.determinant(at).abs() < 1e-6 {
                    continue; // on the straight line 3 x_0 + 2 ε is a multiple of x_t at t = 0.4
                }
                let value = |target: Target| target.of_x_0 * x_0 + target.of_eps * eps;
                let (of_x_t, of_y) = conversion(from, to, at);
                let scale = (of_x_t * x_t).abs() + (of_y * value(from)).abs() + value(to).abs() + 1.0;
                let what = format!("{to_name} from {from_name} at {at:?}");
                assert_close(&what, of_x_t * x_t + of_y * value(from), value(to), 1e-12 * scale);
            }
        }
    }
}

#[test]
fn conversion_to_the_same_target_changes_nothing() {
    for at in kernels() {
        for (name, target) in targets(at) {
            if target.determinant(at).abs() > 1e-6 {
                let (of_x_t, of_y) = conversion(target, target, at);
                assert_close(&format!("{name} from itself at {at:?}: factor of x_t"), of_x_t, 0.0, 1e-12);
                assert_close(&format!("{name} from itself at {at:?}: its factor"), of_y, 1.0, 1e-12);
            }
        }
    }
}

#[test]
fn conversion_is_finite_at_both_ends_for_v_alone() {
    let noise = TransitionKernel { signal: 0.0, variance: 1.0 };
    assert_eq!(conversion(Target::v(noise), Target::X_0, noise), (0.0, -1.0), "pure noise: x_0 is −v");
    assert_eq!(conversion(Target::v(noise), Target::EPS, noise), (1.0, 0.0), "pure noise: ε is x_t");
    let data = TransitionKernel::IDENTITY;
    assert_eq!(conversion(Target::v(data), Target::EPS, data), (0.0, 1.0), "the data: ε is v");
    assert_eq!(conversion(Target::v(data), Target::X_0, data), (1.0, 0.0), "the data: x_0 is x_t");
}

#[test]
#[should_panic(expected = "determines no other target")]
fn conversion_refuses_noise_at_pure_noise() {
    conversion(Target::EPS, Target::X_0, TransitionKernel { signal: 0.0, variance: 1.0 });
}

#[test]
#[should_panic(expected = "determines no other target")]
fn conversion_refuses_data_at_the_data() {
    conversion(Target::X_0, Target::EPS, TransitionKernel::IDENTITY);
}

// error_factor

#[test]
fn error_factor_is_how_two_pairs_with_one_x_t_differ() {
    // x_0 + σ d and ε − α d have the same x_t: whatever a prediction gets wrong, it mistakes one such pair for another
    for at in kernels() {
        let moved = |target: Target| (target.of_x_0 * at.deviation() - target.of_eps * at.signal).abs();
        for (from_name, from) in targets(at) {
            for (to_name, to) in targets(at) {
                if moved(from) > 1e-6 {
                    let what = format!("an error of {from_name} as one of {to_name} at {at:?}");
                    assert_relative(&what, error_factor(from, to, at), moved(to) / moved(from), 1e-9);
                }
            }
        }
    }
}

#[test]
fn error_factor_says_where_each_target_fails() {
    let at = |t| TransitionKernel::from_start(&Schedule::linear(1000, 1e-4, 0.02).unwrap(), t);
    let [clean, noisy] = [at(1), at(1000)];
    assert_relative("ε at T", error_factor(Target::EPS, Target::X_0, noisy), 157.4, 1e-3);
    assert_relative("x_0 at 1", error_factor(Target::X_0, Target::EPS, clean), 99.995, 1e-5);
    for t in [1, 10, 500, 1000] {
        let at = at(t);
        for to in [Target::X_0, Target::EPS] {
            let factor = error_factor(Target::v(at), to, at);
            assert!(factor > 0.0 && factor <= 1.0, "t = {t}: an error of v counts {factor} times");
        }
    }
}

// per_log_snr

const WEIGHTINGS: [Weighting; 5] = [
    Weighting::Simple,
    Weighting::SnrPlusOne,
    Weighting::P2 { k: 1.0, gamma: 1.0 },
    Weighting::MinSnr { gamma: 5.0 },
    Weighting::Edm { sigma_data: 0.5 },
];

#[test]
fn per_log_snr_is_the_mean_over_uniform_t_by_substitution() {
    // ∫ w(t) f(λ(t)) dt = ∫ w f |dt/dλ| dλ, for an f that falls off at both ends
    let f = |log_snr: f64| (-0.1 * (log_snr - 1.0).powi(2)).exp();
    for path in [Path::Sde(Sde::VP), Path::Cosine, Path::Straight] {
        let (start, end, cells) = (0.05, 0.95, 20_000);
        let middle = |from: f64, to: f64, i: usize| from + (to - from) * (i as f64 + 0.5) / cells as f64;
        let (high, low) = (path.log_snr(start), path.log_snr(end));
        for weighting in WEIGHTINGS {
            let over_t = (0..cells).map(|i| middle(start, end, i));
            let over_t = over_t.map(|t| weighting.on_x_0(path.kernel(t)) * f(path.log_snr(t)));
            let over_t = over_t.sum::<f64>() * (end - start) / cells as f64;
            let over_log_snr = (0..cells).map(|i| middle(low, high, i));
            let over_log_snr =
                over_log_snr.map(|log_snr| per_log_snr(weighting, path, path.time_at(log_snr)) * f(log_snr));
            let over_log_snr = over_log_snr.sum::<f64>() * (high - low) / cells as f64;
            let what = format!("{weighting:?} along the {} path", path.name());
            assert_relative(&what, over_log_snr, over_t, 1e-6);
        }
    }
}

#[test]
fn per_log_snr_on_the_cosine_path_is_a_hyperbolic_secant() {
    // α² = 1/(1 + e^{−λ}) gives t = (2/π) arctan e^{−λ/2} and |dt/dλ| = 1/(2π cosh(λ/2))
    for log_snr in [-6.0, -1.0, 0.0, 2.0, 7.0_f64] {
        let expected = log_snr.exp() / (std::f64::consts::TAU * (0.5 * log_snr).cosh());
        let got = per_log_snr(Weighting::Simple, Path::Cosine, Path::Cosine.time_at(log_snr));
        assert_relative(&format!("L_simple at λ = {log_snr}"), got, expected, 1e-9);
    }
}

// edm_scalings

#[test]
fn edm_scalings_give_input_and_target_unit_variance() {
    // data of two values, ±σ_d: no Gaussian is assumed anywhere
    let (count, mut rng) = (200_000, rng(1));
    for sigma_data in [0.5, 1.0, 2.0] {
        for sigma in [0.02, 0.5, 1.0, 80.0] {
            let c = edm_scalings(sigma, sigma_data);
            let eps: Array1<f64> = standard_normal::<f64>(count, 1, &mut rng).column(0).to_owned();
            let x_0 = Array1::from_shape_fn(count, |_| if rng.random() { sigma_data } else { -sigma_data });
            let x = &x_0 + &(sigma * &eps);
            for (name, values) in
                [("c_in x", c.input * &x), ("(x_0 − c_skip x)/c_out", (&x_0 - &(c.skip * &x)) / c.output)]
            {
                let squares = values.mapv(|value| value * value);
                let error = StandardError::from(standard_error(squares.view())).tolerance();
                let what = format!("σ = {sigma}, σ_d = {sigma_data}: the variance of {name}");
                assert_close(&what, mean(squares.view()), 1.0, error + 1e-9);
            }
        }
    }
}

#[test]
fn edm_scalings_amplify_least() {
    // of all c_skip, each with the c_out of unit variance, none has a smaller c_out
    for sigma_data in [0.5, 1.0, 2.0] {
        for sigma in [0.02, 0.5, 1.0, 80.0] {
            let c = edm_scalings(sigma, sigma_data);
            let candidates = (0..=40_000).map(|i| -0.5 + 2.0 * f64::from(i) / 40_000.0);
            let variance = |skip: f64| (1.0 - skip).powi(2) * sigma_data.powi(2) + (skip * sigma).powi(2);
            let best = candidates.min_by(|a, b| variance(*a).total_cmp(&variance(*b))).unwrap();
            let what = format!("σ = {sigma}, σ_d = {sigma_data}");
            assert_close(&format!("{what}: c_skip"), c.skip, best, 5e-5);
            assert_relative(&format!("{what}: c_out"), c.output, variance(best).sqrt(), 1e-4);
            assert_relative(
                &format!("{what}: output_scale"),
                output_scale(0.3, sigma, sigma_data),
                variance(0.3).sqrt(),
                1e-12,
            );
        }
    }
}

#[test]
fn edm_scalings_put_the_denoised_point_together_from_f() {
    for sigma in [0.1, 1.0, 5.0_f64] {
        let (at, c) = (TransitionKernel { signal: 1.0, variance: sigma * sigma }, edm_scalings(sigma, 0.7));
        let (x_0, eps) = (0.4, -1.3);
        let f = Target::edm(at, 0.7);
        let denoised = c.skip * (x_0 + sigma * eps) + c.output * (f.of_x_0 * x_0 + f.of_eps * eps);
        assert_close(&format!("σ = {sigma}: c_skip x + c_out F"), denoised, x_0, 1e-12);
        assert_close(&format!("σ = {sigma}: e^{{4 c_noise}}"), (4.0 * c.noise).exp(), sigma, 1e-12);
    }
}

// rho_grid

#[test]
fn rho_grid_has_equal_steps_in_the_root() {
    for (rho, count) in [(1.0, 5), (3.0, 8), (7.0, 18), (7.0, 2)] {
        let grid = rho_grid(0.002, 80.0, rho, count).unwrap();
        let what = format!("ρ = {rho}, {count} levels");
        assert_eq!(grid.len(), count + 1, "{what}: and 0");
        assert_relative(&format!("{what}: the first"), grid[0], 80.0, 1e-9);
        assert_relative(&format!("{what}: the last before 0"), grid[count - 1], 0.002, 1e-9);
        assert_eq!(grid[count], 0.0, "{what}: the last");
        assert!(grid.is_sorted_by(|a, b| a > b), "{what} falls: {grid:?}");
        let roots: Vec<f64> = grid[..count].iter().map(|sigma| sigma.powf(1.0 / rho)).collect();
        let step = (roots[count - 1] - roots[0]) / (count - 1) as f64;
        for (i, pair) in roots.windows(2).enumerate() {
            assert_close(&format!("{what}: step {i} in σ^(1/ρ)"), pair[1] - pair[0], step, 1e-9);
        }
    }
}

#[test]
fn rho_grid_tends_to_equal_ratios() {
    let grid = rho_grid(0.01, 100.0, 1e5, 5).unwrap();
    for (i, pair) in grid[..5].windows(2).enumerate() {
        assert_relative(&format!("ratio {i}"), pair[0] / pair[1], 10.0, 1e-3);
    }
}

#[test]
fn rho_grid_of_one_level_and_none() {
    assert_eq!(rho_grid(0.002, 80.0, 1.0, 1).unwrap(), [80.0, 0.0], "a single level is the largest");
    for (low, high, rho, count) in [
        (0.0, 1.0, 7.0, 3),
        (2.0, 1.0, 7.0, 3),
        (0.1, f64::INFINITY, 7.0, 3),
        (0.1, 1.0, 0.0, 3),
        (0.1, 1.0, f64::NAN, 3),
        (0.1, 1.0, 7.0, 0),
    ] {
        assert!(rho_grid(low, high, rho, count).is_err(), "{low} to {high}, ρ = {rho}, {count} levels");
    }
}

// zero_terminal_snr

#[test]
fn zero_terminal_snr_moves_the_last_root_to_0_and_keeps_the_first() {
    for name in ScheduleName::ALL {
        let schedule = name.schedule(1000).unwrap();
        let (before, after) = (schedule.alpha_bars(), zero_terminal_snr(schedule.alpha_bars()));
        assert_eq!(after.len(), 1001, "{name}: entries");
        assert_eq!((after[0], after[1000]), (1.0, 0.0), "{name}: ᾱ_0 and ᾱ_T");
        assert_close(&format!("{name}: ᾱ_1"), after[1], before[1], 1e-12);
        assert!(after.windows(2).into_iter().all(|pair| pair[0] > pair[1]), "{name}: ᾱ falls");
        // an affine map of the roots: their differences all shrink or grow by one factor
        let root = |table: &Array1<f64>, t: usize| table[t].sqrt();
        let factor =
            |t: usize| (root(&after, t) - root(&after, t + 1)) / (root(before, t) - root(before, t + 1));
        for t in [2, 10, 500, 999] {
            assert_relative(
                &format!("{name}: the step of √ᾱ at t = {t}, over the old one"),
                factor(t),
                factor(1),
                1e-6,
            );
        }
    }
}

#[test]
fn zero_terminal_snr_as_betas_is_a_chain_whose_last_step_forgets_all() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let rescaled = zero_terminal_snr(schedule.alpha_bars());
    let betas: Array1<f64> =
        (0..=100).map(|t| if t == 0 { 0.0 } else { 1.0 - rescaled[t] / rescaled[t - 1] }).collect();
    assert_eq!(betas[100], 1.0, "β_T");
    assert!(betas.iter().skip(1).all(|beta| *beta > 0.0 && *beta <= 1.0), "every β: {betas}");
    let back = alpha_bars(&betas);
    for t in [1, 50, 99, 100] {
        assert_close(&format!("ᾱ_{t} from the β"), back[t], rescaled[t], 1e-12);
    }
}

// v as a rotation

#[test]
fn v_is_how_fast_x_turns() {
    let (x_0, eps, h) = (1.3, -0.4, 1e-6);
    for t in [0.1, 0.5, 0.9] {
        let x = |phi: f64| phi.cos() * x_0 + phi.sin() * eps;
        let at = Path::Cosine.kernel(t);
        let phi = angle(at);
        assert_close(&format!("t = {t}: φ"), phi, t * std::f64::consts::FRAC_PI_2, 1e-12);
        let target = Target::v(at);
        let v = target.of_x_0 * x_0 + target.of_eps * eps;
        assert_close(&format!("t = {t}: dx/dφ"), v, (x(phi + h) - x(phi - h)) / (2.0 * h), 1e-8);
    }
}

#[test]
fn rotation_is_ddim_without_noise() {
    let schedule = ScheduleName::Cosine.schedule(100).unwrap();
    let at = |t| TransitionKernel::from_start(&schedule, t);
    for (t, previous) in [(100, 99), (100, 30), (50, 49), (50, 1), (7, 0)] {
        let (of_x_t, of_v) = rotation(at(t), at(previous));
        let jump = ddpm::sampler::ddim_step(&schedule, t, previous, 0.0, None);
        // ε = σ x_t + α v
        let what = format!("t = {t} to {previous}");
        assert_close(&format!("{what}: x_t"), of_x_t, jump.x_t + jump.eps * at(t).deviation(), 1e-8);
        assert_close(&format!("{what}: v"), of_v, jump.eps * at(t).signal, 1e-8);
    }
}

#[test]
fn follow_v_reaches_the_data_from_pure_noise() {
    // the exact v of a Gaussian along many levels: mean and variance of the data, from SNR 0
    let data = GaussianData { mean: array![2.0], variance: 0.3 };
    let rescaled = zero_terminal_snr(Schedule::linear(1000, 1e-4, 0.02).unwrap().alpha_bars());
    let levels: Vec<_> = rescaled
        .iter()
        .rev()
        .map(|&alpha_bar| TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar })
        .collect();
    let exact_v = |at: TransitionKernel, x: &Array2<f64>| {
        let x_0 =
            Array2::from_shape_fn(x.dim(), |(n, _)| data.posterior_mean(x.row(n), at.signal, at.variance)[0]);
        convert(Target::X_0, Target::v(at), at, x, &x_0)
    };
    let ends = follow_v(&levels, exact_v, array![[0.0], [1.0]]); // an affine map: its shift, and its shift and slope
    assert_close("mean", ends[(0, 0)], 2.0, 1e-3);
    assert_relative("deviation", ends[(1, 0)] - ends[(0, 0)], 0.3_f64.sqrt(), 0.01);
}

#[test]
fn flow_moments_are_the_limit_of_small_ddim_steps() {
    for (m, v) in [(3.0, 0.25), (-1.0, 4.0)] {
        let schedule = Schedule::linear(20_000, 0.000_005, 0.0004).unwrap(); // ᾱ_T = e^{−4.05}: far from 0
        let grid = time_grid(20_000, 20_000, Spacing::Trailing).unwrap();
        let (mean, variance) = moments_drawn(&schedule, &ddim(&schedule, &grid, 0.0, None), (m, v));
        let (limit, limit_variance) = flow_moments(schedule.alpha_bar(20_000), (m, v));
        assert_close(&format!("N({m}, {v}): mean"), mean, limit, 2e-3);
        assert_relative(&format!("N({m}, {v}): variance"), variance, limit_variance, 2e-3);
        assert!((limit - m).abs() > 0.1, "a chain that starts too late shifts the mean: {limit}");
    }
}

// the bound in continuous time

const ENDS: (f64, f64) = (5.0, -6.0);
const SCHEDULES: [LogSnrSchedule; 4] = [
    LogSnrSchedule::Uniform,
    LogSnrSchedule::Along(Path::Sde(Sde::VP)),
    LogSnrSchedule::Along(Path::Cosine),
    LogSnrSchedule::Along(Path::Straight),
];

#[test]
fn schedules_have_the_same_ends_and_fall_as_fast_as_they_say() {
    let h = 1e-6;
    for schedule in SCHEDULES {
        let log_snr = |u: f64| schedule.between(ENDS, u).0;
        assert_close(&format!("{}: λ(0)", schedule.name()), log_snr(0.0), ENDS.0, 1e-9);
        assert_close(&format!("{}: λ(1)", schedule.name()), log_snr(1.0), ENDS.1, 1e-9);
        for u in [0.1, 0.5, 0.9] {
            let fall = (log_snr(u - h) - log_snr(u + h)) / (2.0 * h);
            assert_relative(
                &format!("{}: fall at u = {u}", schedule.name()),
                schedule.between(ENDS, u).1,
                fall,
                1e-6,
            );
        }
    }
}

#[test]
fn bound_is_the_information_lost_whatever_the_schedule() {
    let (data, count) = (mixture(), 40_000);
    let exact = bound_between(&data, ENDS).unwrap();
    for (i, schedule) in (10..).zip(SCHEDULES) {
        let mut rng = rng(i);
        let (x_0, u) = (data.sample(count, &mut rng), uniform_times(count, &mut rng));
        let draws = bound_draws(&data, schedule, ENDS, &x_0, &u, &mut rng);
        let error = StandardError::of_mean(draws.view());
        assert_close(schedule.name(), mean(draws.view()), exact, error.tolerance());
        assert!(error.value() < 0.03 * exact, "{}: ± {}", schedule.name(), error.value());
    }
}

#[test]
fn information_rises_by_half_of_the_squared_error() {
    // I-MMSE by differences in SNR, the error by many draws
    let (data, mut rng, h) = (mixture(), rng(2), 1e-3);
    for log_snr in [-2.0, 0.0, 2.0_f64] {
        let at = |snr: f64| kernel_of(snr.ln());
        let snr = log_snr.exp();
        let slope =
            (information(&data, at(snr + h)).unwrap() - information(&data, at(snr - h)).unwrap()) / (2.0 * h);
        let (x_0, eps) = (data.sample(40_000, &mut rng), standard_normal(40_000, 2, &mut rng));
        let errors = denoising_errors(&data, at(snr), &x_0, &eps);
        let tolerance = 0.5 * StandardError::of_mean(errors.view()).tolerance();
        assert_close(&format!("λ = {log_snr}: dI/dSNR"), slope, 0.5 * mean(errors.view()), tolerance + 1e-4);
    }
}

#[test]
fn stratified_times_are_uniform_each_and_even_together() {
    let mut rng = rng(3);
    for _ in 0..20 {
        let times = stratified_times(64, &mut rng);
        for (i, u) in times.iter().enumerate() {
            let piece = (i as f64 / 64.0, (i as f64 + 1.0) / 64.0);
            assert!(piece.0 <= *u && *u < piece.1, "u_{i} = {u} lies in its piece");
        }
    }
    let firsts: Array1<f64> = (0..20_000).map(|_| 64.0 * stratified_times(64, &mut rng)[0]).collect();
    assert_close(
        "the place in the first piece",
        mean(firsts.view()),
        0.5,
        StandardError::of_mean(firsts.view()).tolerance(),
    );
    let squares = firsts.mapv(|u| u * u);
    assert_close(
        "its square",
        mean(squares.view()),
        1.0 / 3.0,
        StandardError::of_mean(squares.view()).tolerance(),
    );
    assert_eq!(uniform_times(3, &mut rng).len(), 3);
}

#[test]
fn stratified_batches_scatter_less_and_agree() {
    let data = mixture();
    let schedule = LogSnrSchedule::Along(Path::Sde(Sde::VP));
    let draw = |batch: usize, rng: &mut StdRng| data.sample(batch, rng);
    let exact = bound_between(&data, ENDS).unwrap();
    let plain = batch_means(&data, schedule, ENDS, (600, 64), draw, uniform_times, &mut rng(4));
    let even = batch_means(&data, schedule, ENDS, (600, 64), draw, stratified_times, &mut rng(5));
    for (name, means) in [("uniform", &plain), ("stratified", &even)] {
        assert_eq!(means.len(), 600, "{name}: batches");
        assert_close(name, mean(means.view()), exact, StandardError::of_mean(means.view()).tolerance());
    }
    let saved = (standard_error(even.view()) / standard_error(plain.view())).powi(2);
    assert!(saved < 0.9, "the variance of a stratified batch is {saved} of that of a uniform one");
}

#[test]
fn stratified_times_leave_what_no_choice_of_times_removes() {
    let data = mixture();
    let exact = bound_between(&data, ENDS).unwrap();
    let draw = |batch: usize, rng: &mut StdRng| data.sample(batch, rng);
    for schedule in [LogSnrSchedule::Uniform, LogSnrSchedule::Along(Path::Straight)] {
        let scatter = Scatter::measure(&data, schedule, (ENDS, exact), (600, 64), draw, &mut rng(16));
        let [plain, even] = scatter.variances;
        let off = even - scatter.within;
        let tolerance = StandardError::from(off.standard_error).tolerance();
        assert_close(
            &format!("{}: N Var of a stratified mean", schedule.name()),
            even.mean,
            scatter.within.mean,
            tolerance,
        );
        assert!(
            plain.mean > even.mean,
            "{}: {} uniform, {} stratified",
            schedule.name(),
            plain.mean,
            even.mean
        );
        // of one draw: all of its variance
        let (x_0, u) = (data.sample(40_000, &mut rng(20)), uniform_times(40_000, &mut rng(21)));
        let squares =
            bound_draws(&data, schedule, ENDS, &x_0, &u, &mut rng(22)).mapv(|draw| (draw - exact).powi(2));
        let error = plain.standard_error.hypot(standard_error(squares.view()));
        let what = format!("{}: N Var of a uniform mean", schedule.name());
        assert_close(&what, plain.mean, mean(squares.view()), StandardError::from(error).tolerance());
    }
}

// EDM's levels and samplers

#[test]
fn log_normal_levels_have_their_moments_and_their_density() {
    let mut rng = rng(6);
    let logs: Array1<f64> = (0..50_000).map(|_| draw_sigma(&mut rng).ln()).collect();
    assert_close("mean of ln σ", mean(logs.view()), P_MEAN, StandardError::of_mean(logs.view()).tolerance());
    let squares = logs.mapv(|log| (log - P_MEAN).powi(2));
    assert_close(
        "its variance",
        mean(squares.view()),
        P_STD * P_STD,
        StandardError::of_mean(squares.view()).tolerance(),
    );
    // E over σ of w f = ∫ w f per λ, with f a bump
    let f = |log_snr: f64| (-0.5 * (log_snr - 1.0).powi(2)).exp();
    let sigma_data = 0.5_f64;
    let values = logs.mapv(|log| ((-2.0 * log).exp() + sigma_data.powi(-2)) * f(-2.0 * log));
    let integral: f64 = (0..4000)
        .map(|i| -9.0 + 0.005 * (f64::from(i) + 0.5))
        .map(|log| edm_per_log_snr(log, sigma_data) * f(log))
        .sum();
    assert_close(
        "E w f",
        mean(values.view()),
        0.005 * integral,
        StandardError::of_mean(values.view()).tolerance(),
    );
}

#[test]
fn time_of_sigma_is_whole_at_the_chain_s_own_levels() {
    for name in ScheduleName::ALL {
        let schedule = name.schedule(200).unwrap();
        for t in [1, 2, 3, 50, 199, 200] {
            let back = time_of_sigma(&schedule, noise_to_signal(schedule.alpha_bar(t)));
            assert_close(&format!("{name}, t = {t}"), back, t as f64, 1e-6);
        }
        for t in [0.3, 1.5, 77.25, 198.9] {
            let back = time_of_sigma(&schedule, noise_to_signal(schedule.alpha_bar_at(t)));
            assert_close(&format!("{name}, t = {t}"), back, t, 1e-6);
        }
        assert_eq!(time_of_sigma(&schedule, 1e9), 200.0, "{name}: more noise than there is");
    }
}

#[test]
fn a_chain_s_denoiser_is_edm_s_at_its_levels() {
    let (schedule, data) = (ScheduleName::Linear.schedule(1000).unwrap(), mixture());
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_t = standard_normal(20, 2, &mut rng(7));
    for t in [1, 2, 100, 1000] {
        let eps = exact.predict(x_t.view(), t as f64).eps;
        let x = &x_t / schedule.alpha_bar(t).sqrt();
        let apart = largest_difference(
            &denoised(&schedule, &exact, t as f64, x.view()),
            &predict_x_0(&schedule, t, &x_t, &eps),
        );
        assert!(apart < 1e-9, "t = {t}: D and x̂_0 are {apart:e} apart");
    }
}

#[test]
fn euler_along_the_chain_s_levels_is_ddim() {
    let (schedule, data) = (ScheduleName::Linear.schedule(1000).unwrap(), mixture());
    let exact = ExactDenoiser::new(&schedule, &data);
    let times = time_grid(1000, 20, Spacing::Trailing).unwrap();
    let x_t = standard_normal(30, 2, &mut rng(8));
    let drawn = sample(&ddim(&schedule, &times, 0.0, None), &exact, x_t.clone(), &mut rng(9), |_, _| ());
    let grid: Vec<f64> = times.iter().map(|&t| noise_to_signal(schedule.alpha_bar(t))).chain([0.0]).collect();
    let euler = edm_euler(chain_denoiser(&schedule, &exact), &x_t / schedule.alpha_bar(1000).sqrt(), &grid);
    let apart = largest_difference(&drawn, &euler);
    assert!(apart < 1e-8, "DDIM and Euler's method in σ are {apart:e} apart");
}

#[test]
fn heun_on_the_grid_is_of_second_order() {
    let (data, ends) = (mixture(), (10.0, 0.05));
    let x = ends.0 * standard_normal::<f64>(60, 2, &mut rng(10));
    let truth = edm_flow(&data, &x, ends, 1e-10).unwrap();
    let errors = [80, 160].map(|steps| grid_errors(&data, ends, steps, &x, &truth).unwrap());
    for (i, name, order) in [(0, "Euler", 1.0), (1, "Heun", 2.0)] {
        assert_close(&format!("{name}’s order"), (errors[0][i] / errors[1][i]).log2(), order, 0.15);
    }
}

#[test]
fn the_step_to_0_takes_one_call() {
    let mut calls = Vec::new();
    let denoise = |x: ArrayView2<f64>, sigma: f64| {
        calls.push(sigma);
        0.0 * &x
    };
    let end = edm_heun(denoise, array![[4.0]], &[4.0, 1.0, 0.0]);
    assert_eq!(calls, [4.0, 1.0, 1.0], "two calls a step, one in the last");
    assert_close("x = σ ε without data", end[(0, 0)], 0.0, 1e-12);
}

#[test]
fn shares_of_a_loss_have_area_1_and_their_quantiles() {
    let errors: Vec<_> =
        (0..=2000).map(|i| -10.0 + 0.01 * f64::from(i)).map(|l| (l, (-l - 0.5 * l * l).exp())).collect();
    let bound = spent(Loss::Bound, &errors); // ½ e^λ e^{−λ − λ²/2}: a normal density
    for (log_snr, share) in bound.iter().step_by(200) {
        let normal = (-0.5 * log_snr * log_snr).exp() / std::f64::consts::TAU.sqrt();
        assert_close(&format!("share at λ = {log_snr}"), *share, normal, 1e-6);
    }
    assert_close("the median", quantile_of(&bound, 0.5), 0.0, 1e-3);
    assert_close("Φ(1)", quantile_of(&bound, 0.841_344_75), 1.0, 1e-3);
    assert_eq!(quantile_of(&bound, 2.0), bound[2000].0, "beyond all of it");
    let (vp, t) = (Path::Sde(Sde::VP), 0.4);
    let along = Loss::Along(Weighting::Simple, vp).per_log_snr(vp.log_snr(t));
    assert_relative("L_simple along VP", along, per_log_snr(Weighting::Simple, vp, t), 1e-9);
    assert_eq!(Loss::Edm { sigma_data: 0.5 }.per_log_snr(1.0), edm_per_log_snr(1.0, 0.5));
    let data = GaussianData { mean: array![0.0, 0.0], variance: 1.0 };
    let [x_0, eps] = [17, 18].map(|seed| standard_normal(20_000, 2, &mut rng(seed)));
    let error = least_errors(&data, [0.0], &x_0, &eps)[0].1;
    assert_close("E‖x_0 − E[x_0|x]‖² at λ = 0", error, 1.0, 0.05); // half of a variance of 2; five standard errors are 0.035
}

#[test]
fn measured_errors_are_those_of_the_points() {
    let (x_0, eps) = (array![[1.0, -2.0]], array![[0.3, 0.9]]);
    let at = TransitionKernel { signal: 0.8, variance: 0.36 };
    assert!(conversion_error(&[Target::EPS, Target::X_0, Target::v(at)], at, &x_0, &eps) < 1e-15);
    let (schedule, data) = (ScheduleName::Linear.schedule(1000).unwrap(), mixture());
    let exact = ExactDenoiser::new(&schedule, &data);
    for t in [1, 500, 1000] {
        let kernel = TransitionKernel::from_start(&schedule, t);
        for (name, target) in targets(kernel) {
            let excess = squared_error_excess(&schedule, &exact, t, target, &x_0, &eps);
            assert!(excess < 1e-6, "t = {t}: ‖{name}‖² is off by {excess:e}");
        }
        if t > 1 {
            let jump = ddpm::sampler::ddim_step(&schedule, t, t / 2, 0.0, Some(9.0));
            let (ours, turned) =
                (jump_by_v(&jump, kernel), rotation(kernel, TransitionKernel::from_start(&schedule, t / 2)));
            assert_close(&format!("t = {t}: factor of x_t"), ours.0, turned.0, 1e-9);
            assert_close(&format!("t = {t}: factor of v"), ours.1, turned.1, 1e-9);
        }
    }
    assert_close("c_skip by search", least_amplifying(2.0, 1.0), edm_scalings(2.0, 1.0).skip, 1e-5);
}

#[test]
fn nearest_levels_are_levels_of_the_chain() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let own: Vec<f64> = (1..=1000).map(|t| noise_to_signal(schedule.alpha_bar(t))).collect();
    let grid = rho_grid(0.002, 200.0, 7.0, 30).unwrap();
    let taken = nearest_levels(&schedule, &grid);
    assert!(taken.is_sorted_by(|a, b| a > b) && taken[taken.len() - 1] == 0.0, "falls to 0: {taken:?}");
    for sigma in &grid[..30] {
        let ratio = |own: f64| (own / sigma).ln().abs();
        let best = own.iter().copied().min_by(|a, b| ratio(*a).total_cmp(&ratio(*b))).unwrap();
        assert!(taken.contains(&best), "σ = {sigma}: {best} of the chain is nearest");
    }
    assert_eq!(nearest_levels(&schedule, &[own[99], 0.0]), [own[99], 0.0], "an own level is its own");
}

#[test]
fn brightness_is_lost_where_signal_is_left() {
    let schedule = Schedule::from_betas(ddpm::schedule::quad_betas(1000, 0.000_85, 0.012)).unwrap();
    let table = schedule.alpha_bars().as_slice().unwrap();
    let rescaled = zero_terminal_snr(schedule.alpha_bars()).to_vec();
    for pixels in [1, 100, 12_288] {
        let pictures = Brightness { pixels, mean: 0.5, deviation: 0.3 };
        let (mean, deviation) = pictures.measured(table);
        let (limit, limit_deviation) = pictures.drawn(schedule.alpha_bar(1000));
        assert_close(&format!("{pixels} pixels: mean"), mean, limit, 5e-3);
        assert_relative(&format!("{pixels} pixels: deviation"), deviation, limit_deviation, 0.02);
        let (mean, deviation) = pictures.measured(&rescaled);
        assert_close(&format!("{pixels} pixels, SNR 0 at T: mean"), mean, 0.5, 5e-3);
        assert_relative(&format!("{pixels} pixels, SNR 0 at T: deviation"), deviation, 0.3, 0.02);
        let noise = standard_normal(2000, 1, &mut rng(19));
        let drawn = pictures.draw(table, noise).column(0).to_owned();
        let error = StandardError::of_mean(drawn.view()).tolerance();
        assert_close(
            &format!("{pixels} pixels: mean of many"),
            ddpm::metrics::mean(drawn.view()),
            limit,
            error + 5e-3,
        );
    }
}

// recipes

const OUTPUTS: [Output; 5] =
    [Output::PosteriorMean, Output::Eps, Output::X0, Output::V, Output::Edm { sigma_data: 0.7 }];

#[test]
fn one_loss_has_its_weight_on_every_output() {
    // a wrong guess of x_0, as each output's own wrong guess of the same x_t, costs the same
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    for t in [2, 10, 500, 1000] {
        for weights in
            [Weights::Bound, Weights::As(Weighting::Simple), Weights::As(Weighting::MinSnr { gamma: 5.0 })]
        {
            let cost = |output| {
                let level = Recipe::on_steps(output, weights).level(&schedule, t as f64);
                // x_0 off by σ, and ε by −α, at the level's own scale: one x_t. In units of x_0's error they are all alike
                let at = level.at;
                let off = level.target.of_x_0 - level.target.of_eps * at.signal / at.deviation();
                level.weight * off * off
            };
            let costs = OUTPUTS.map(cost);
            for (output, ours) in OUTPUTS.iter().zip(costs) {
                assert_relative(&format!("t = {t}, {weights:?} on {output:?}"), ours, costs[2], 1e-6);
            }
        }
        let of_x_0 = Recipe::on_steps(Output::X0, Weights::Bound).level(&schedule, t as f64).weight;
        let [before, after] = [t - 1, t].map(|t| TransitionKernel::from_start(&schedule, t));
        assert_relative(&format!("t = {t}: the bound"), of_x_0, bound_step_weight(before, after), 1e-7);
        let of_mean =
            Recipe::on_steps(Output::PosteriorMean, Weights::Bound).level(&schedule, t as f64).weight;
        assert_relative(
            &format!("t = {t}: the bound on μ̃"),
            of_mean,
            0.5 / posterior_variance(&schedule, t),
            1e-7,
        );
        let own = Recipe::on_steps(Output::V, Weights::One).level(&schedule, t as f64);
        assert_eq!((own.weight, own.time, own.input_scale), (1.0, t as f64, 1.0), "t = {t}: v as it is");
    }
    let at_1 = bound_weight(&schedule, 1);
    assert_relative("t = 1: with β̃_2", at_1, 0.5 / posterior_variance(&schedule, 2), 1e-9);
}

#[test]
fn sources_draw_the_steps_evenly_and_weigh_1_on_average() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let recipe = Recipe::on_steps(Output::V, Weights::As(Weighting::MinSnr { gamma: 5.0 }));
    let levels = recipe.source(&schedule)(100_000, &mut rng(11));
    let times: Array1<f64> = levels.iter().map(|level| level.time).collect();
    assert!(times.iter().all(|t| t.fract() == 0.0 && (1.0..=100.0).contains(t)), "whole times within 1 … T");
    assert_close("mean time", mean(times.view()), 50.5, StandardError::of_mean(times.view()).tolerance());
    let weights: Array1<f64> = levels.iter().map(|level| level.weight).collect();
    assert_close(
        "mean weight",
        mean(weights.view()),
        1.0,
        StandardError::of_mean(weights.view()).tolerance(),
    );
    let ratio = |t: usize| recipe.level(&schedule, t as f64).weight;
    let found = |t: usize| levels.iter().find(|level| level.time == t as f64).unwrap().weight;
    assert_relative("w(10)/w(90)", found(10) / found(90), ratio(10) / ratio(90), 1e-9);
}

#[test]
fn edm_s_source_draws_its_own_levels_of_unit_variance() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let recipe =
        Recipe { output: Output::Edm { sigma_data: 0.5 }, weights: Weights::One, levels: Levels::LogNormal };
    let levels = recipe.source(&schedule)(20_000, &mut rng(12));
    let logs: Array1<f64> = levels.iter().map(|level| 0.5 * level.at.variance.ln()).collect();
    assert_close("mean of ln σ", mean(logs.view()), P_MEAN, StandardError::of_mean(logs.view()).tolerance());
    for level in &levels[..10] {
        let (data, noise) = (0.25, level.at.variance);
        assert_relative("variance of the input", level.input_scale.powi(2) * (data + noise), 1.0, 1e-9);
        let target = level.target.of_x_0.powi(2) * data + level.target.of_eps.powi(2);
        assert_relative("variance of the target", target, 1.0, 1e-9);
        assert_eq!((level.weight, level.at.signal), (1.0, 1.0));
        assert_close("time", level.time, 250.0 * level.at.deviation().ln(), 1e-9);
    }
    assert_eq!(edm_level(2.0, 0.5).at, TransitionKernel { signal: 1.0, variance: 4.0 });
    let on_steps = Recipe { levels: Levels::Steps, ..recipe }.source(&schedule)(50, &mut rng(13));
    assert!(on_steps.iter().all(|level| time_of_sigma(&schedule, level.at.deviation()).round() >= 1.0));
    assert!(
        on_steps.iter().all(|level| {
            let t = time_of_sigma(&schedule, level.at.deviation());
            (t - t.round()).abs() < 1e-6
        }),
        "EDM on a chain's steps has the chain's levels"
    );
}

/// The exact denoiser, off by a constant.
struct Off<'a>(&'a ExactDenoiser<'a, GaussianMixture>, f64);

impl Denoiser for Off<'_> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let exact = self.0.predict(x_t, t);
        Prediction { eps: exact.eps + self.1, variance: None }
    }
}

#[test]
fn an_error_of_noise_counts_more_as_one_of_v_at_the_noisy_end() {
    let (schedule, data) = (ScheduleName::Linear.schedule(1000).unwrap(), mixture());
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_0 = data.sample(20, &mut rng(14));
    for t in [1, 500, 1000] {
        let error = error_from_exact(&schedule, &Off(&exact, 0.01), &exact, t, &x_0, &mut rng(15));
        assert_relative(&format!("t = {t}"), error, 0.01 / schedule.alpha_bar(t).sqrt(), 1e-9);
    }
}

// a chain, read as EDM's

/// Predicts 0, then 1, then 2, whatever x_t is.
#[derive(Default)]
struct Counting(Cell<f64>);

impl Denoiser for Counting {
    fn predict(&self, x_t: ArrayView2<f64>, _: f64) -> Prediction {
        let calls = self.0.replace(self.0.get() + 1.0);
        Prediction { eps: Array2::from_elem(x_t.dim(), calls), variance: None }
    }
}

#[test]
fn reading_error_is_what_two_predictions_differ_by() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let (data, x_t) = (mixture(), array![[0.5, -2.0], [1.0, 0.25]]);
    for t in [1, 500, 1000] {
        let sigma = noise_to_signal(schedule.alpha_bar(t));
        let error = reading_error(&schedule, &Counting::default(), t, &x_t);
        let expected = sigma / (2.0 / schedule.alpha_bar(t).sqrt()); // ε̂ of 0 and of 1, over the largest |x|
        assert_relative(&format!("t = {t}: an error of 1 in ε̂"), error, expected, 1e-9);
        let of_exact = reading_error(&schedule, &ExactDenoiser::new(&schedule, &data), t, &x_t);
        assert!(of_exact < 1e-9, "t = {t}: one denoiser, read twice: {of_exact:e}");
    }
}

#[test]
fn draws_in_calls_take_as_many_calls_and_end_where_the_flow_does() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let z = standard_normal(20, 2, &mut rng(41));
    let counting = Counting::default();
    draws_in_calls(&schedule, &counting, 9, &z, &mut rng(42)).unwrap();
    assert_eq!(counting.0.get(), 36.0, "four samplers of 9 calls");
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let expected = &data.mean + 0.3_f64.sqrt() * &z; // the flow of a Gaussian, from so much noise that no mean is left
    let errors = |calls| {
        let drawn = draws_in_calls(&schedule, &exact, calls, &z, &mut rng(43)).unwrap();
        drawn.map(|drawn| largest_difference(&drawn, &expected))
    };
    let (few, many) = (errors(19), errors(159));
    assert!(few.iter().all(|error| *error < 0.4), "19 calls: {few:?}");
    assert!(many.iter().all(|error| *error < 0.05), "159 calls: {many:?}");
    let times = time_grid(1000, 20, Spacing::Trailing).unwrap();
    let [by_ddim, by_euler] = ddim_and_euler(&schedule, &exact, &times, &z, &mut rng(44));
    let own = sample(&ddim(&schedule, &times, 0.0, None), &exact, z, &mut rng(44), |_, _| ());
    assert_eq!(by_ddim, own);
    let apart = largest_difference(&by_ddim, &by_euler);
    assert!(apart < 1e-8, "DDIM and Euler's method in σ are {apart:e} apart");
}

#[test]
fn unit_weights_are_a_loss_of_1() {
    let errors: Vec<_> =
        (0..=40).map(|i| -4.0 + 0.2 * f64::from(i)).map(|l| (l, 1.0 / (1.0 + l.exp()))).collect();
    let weights = unit_weights(Loss::Bound, &errors);
    for (pair, (log_snr, _)) in weights.windows(2).zip(&errors) {
        assert_eq!(pair[0].0, *log_snr);
        assert_relative(
            &format!("the bound's weight is ½ e^λ, at λ = {log_snr}"),
            pair[1].1 / pair[0].1,
            0.2_f64.exp(),
            1e-9,
        );
    }
    let losses: Vec<f64> =
        weights.iter().zip(&errors).map(|((_, weight), (_, error))| weight * error).collect();
    let loss: f64 = losses.windows(2).map(|pair| 0.1 * (pair[0] + pair[1])).sum();
    assert_close("the loss of a perfect network", loss, 1.0, 1e-9);
}

#[test]
fn arrows_of_v_lie_across_the_circle() {
    for share in [0.0, 0.25, 0.5, 1.0] {
        let [tail, head] = circle_arrow(share, 0.3);
        let phi = share * std::f64::consts::FRAC_PI_2;
        assert_close(&format!("α at {share}"), tail.0, phi.cos(), 1e-12);
        assert_close(&format!("σ at {share}"), tail.1, phi.sin(), 1e-12);
        assert_close(&format!("the arrow's α at {share}"), head.0 - tail.0, -0.3 * phi.sin(), 1e-12);
        assert_close(&format!("the arrow's σ at {share}"), head.1 - tail.1, 0.3 * phi.cos(), 1e-12);
    }
}
