//! ch03_posterior: four routes to μ̃_t and β̃_t.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    data::GaussianMixture,
    forward::TransitionKernel,
    gaussian::{log_density, product},
    metrics::Moments,
    posterior::{
        GridDensity, Window, complete_the_square, posterior_after_jump, posterior_by_precisions,
        posterior_by_simulation, posterior_log_variance, posterior_mean, posterior_mean_coefficients,
        posterior_on_grid, posterior_variance, three_gaussians,
    },
    schedule::{Schedule, ScheduleName},
};
use ndarray::{Axis, array};

const X_0: f64 = 0.8;
const X_T: f64 = -0.4;

fn closed_form(schedule: &Schedule, t: usize) -> (f64, f64) {
    (posterior_mean(schedule, t, &array![[X_0]], &array![[X_T]])[(0, 0)], posterior_variance(schedule, t))
}

/// The part of log q(x | x_t, x_0) that has an x = x_{t−1} in it: log q(x_t | x) + log q(x | x_0).
fn log_joint(schedule: &Schedule, t: usize, (x_0, x_t): (f64, f64), x: f64) -> f64 {
    let (step, jump) = (TransitionKernel::step(schedule, t), TransitionKernel::from_start(schedule, t - 1));
    log_density(x_t, step.signal * x, step.variance) + log_density(x, jump.signal * x_0, jump.variance)
}

/// Mean and variance of q(x_{t−1} | x_t, x_0) by a sum over a grid, under [`wide`].
fn on_grid(schedule: &Schedule, t: usize, ends: (f64, f64)) -> (f64, f64) {
    let grid = GridDensity::normalized(-6.0, 6.0, 6001, |x| log_joint(schedule, t, ends, x));
    (grid.mean(), grid.variance())
}

/// A schedule whose posteriors are all wide enough for one grid.
fn wide() -> Schedule {
    Schedule::linear(10, 0.05, 0.4).unwrap()
}

/// The numbers of a schedule that a posterior is made of, to compute along.
fn at(schedule: &Schedule, t: usize) -> String {
    let (beta, before, bar) = (schedule.beta(t), schedule.alpha_bar(t - 1), schedule.alpha_bar(t));
    format!("t = {t} (β_t = {beta:.6}, ᾱ_{{t−1}} = {before:.6}, ᾱ_t = {bar:.6})")
}

#[test]
fn three_gaussians_are_the_bend_and_the_slope_of_their_sum() {
    for schedule in [wide(), Schedule::linear(1000, 1e-4, 0.02).unwrap()] {
        for t in [2, 3, 10] {
            let f = |x| log_joint(&schedule, t, (X_0, X_T), x);
            let (a, b) = three_gaussians(&schedule, t, X_0, X_T);
            // a quadratic's differences are exact for any step: −A is the second, B the first at 0
            let at = format!("{}, x_0 = {X_0}, x_t = {X_T}", at(&schedule, t));
            assert_relative(&format!("{at}: A"), a, 2.0 * f(0.0) - f(1.0) - f(-1.0), 1e-9);
            assert_relative(&format!("{at}: B"), b, (f(1.0) - f(-1.0)) / 2.0, 1e-9);
        }
    }
}

#[test]
fn complete_the_square_leaves_a_constant() {
    // −½ (4 x² − 12 x) = −½ (x − 1.5)²/0.25 + 4.5
    let (mean, variance) = complete_the_square(4.0, 6.0);
    assert_close("A = 4, B = 6: mean", mean, 1.5, 1e-15);
    assert_close("A = 4, B = 6: variance", variance, 0.25, 1e-15);
    for (a, b) in [(0.25, -1.0), (18_338.0, 4667.0), (1.0, 0.0)] {
        let (mean, variance) = complete_the_square(a, b);
        let left_over = |x: f64| 0.5 * (x - mean).powi(2) / variance - 0.5 * (a * x * x - 2.0 * b * x);
        for x in [-2.0, 1.0, 3.0] {
            let what = format!("A = {a}, B = {b}: what is left over at x = {x} and at 0");
            assert_close(&what, left_over(x), left_over(0.0), 1e-10);
        }
    }
}

#[test]
fn posterior_by_precisions_is_bayes_rule_on_a_grid() {
    let schedule = wide();
    for t in 2..=10 {
        let (mean, variance) = posterior_by_precisions(&schedule, t, X_0, X_T);
        let (grid_mean, grid_variance) = on_grid(&schedule, t, (X_0, X_T));
        let at = format!("{}, x_0 = {X_0}, x_t = {X_T}", at(&schedule, t));
        assert_close(&format!("{at}: μ̃_{t}"), mean, grid_mean, 1e-9);
        assert_relative(&format!("{at}: β̃_{t}"), variance, grid_variance, 1e-8);
    }
}

#[test]
fn posterior_mean_coefficients_are_the_means_at_1_and_0_on_a_grid() {
    let schedule = wide();
    assert_close("t = 1: factor of x_0", posterior_mean_coefficients(&schedule, 1).0, 1.0, 1e-12);
    assert_close("t = 1: factor of x_1", posterior_mean_coefficients(&schedule, 1).1, 0.0, 1e-12);
    for t in 2..=10 {
        let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, t);
        let (x_0_alone, _) = on_grid(&schedule, t, (1.0, 0.0));
        let (x_t_alone, _) = on_grid(&schedule, t, (0.0, 1.0));
        assert_close(&format!("{}: factor of x_0", at(&schedule, t)), of_x_0, x_0_alone, 1e-9);
        assert_close(&format!("{}: factor of x_{t}", at(&schedule, t)), of_x_t, x_t_alone, 1e-9);
    }
}

#[test]
fn posterior_variance_is_one_over_the_precisions_of_prior_and_likelihood() {
    for schedule in [Schedule::linear(1000, 1e-4, 0.02).unwrap(), wide()] {
        for t in 2..=schedule.steps() {
            let expected = schedule.alpha(t) / schedule.beta(t) + 1.0 / (1.0 - schedule.alpha_bar(t - 1));
            let got = 1.0 / posterior_variance(&schedule, t);
            // 1 − ᾱ_1 is a difference of numbers near 1: 2⁻⁵³/β_1 = 1e-12 at worst
            assert_relative(&format!("t = {t}: 1/β̃_{t}"), got, expected, 1e-10);
        }
    }
    for t in 2..=10 {
        let (_, variance) = on_grid(&wide(), t, (X_0, X_T));
        assert_relative(&format!("t = {t}: β̃_{t}"), posterior_variance(&wide(), t), variance, 1e-8);
    }
}

#[test]
fn posterior_log_variance_is_the_logarithm_of_the_precision_turned_round() {
    let schedule = wide();
    for t in 1..=10 {
        let stand_in = t.max(2);
        let precision = schedule.alpha(stand_in) / schedule.beta(stand_in)
            + 1.0 / (1.0 - schedule.alpha_bar(stand_in - 1));
        assert_close(
            &format!("t = {t}: ln β̃_{t}"),
            posterior_log_variance(&schedule, t),
            -precision.ln(),
            1e-12,
        );
    }
    let one = Schedule::linear(1, 0.3, 0.3).unwrap();
    assert_close("T = 1, β_1 = 0.3: ln β_1", posterior_log_variance(&one, 1), 0.3f64.ln(), 1e-15);
}

#[test]
fn completing_the_square_gives_the_closed_form() {
    for name in ScheduleName::ALL {
        for steps in [2, 50, 1000] {
            let schedule = name.schedule(steps).unwrap();
            for t in 2..=steps {
                let (mean, variance) = closed_form(&schedule, t);
                let (a, b) = three_gaussians(&schedule, t, X_0, X_T);
                // 1 − ᾱ_{t−1} is a difference of numbers near 1: 2⁻⁵³/β_1 = 1e-12 at worst
                assert_relative(&format!("{name}, T = {steps}, t = {t}: 1/β̃_{t}"), a, 1.0 / variance, 1e-10);
                let (square_mean, square_variance) = complete_the_square(a, b);
                assert_close(&format!("{name}, T = {steps}, t = {t}: μ̃_{t}"), square_mean, mean, 1e-10);
                assert_relative(
                    &format!("{name}, T = {steps}, t = {t}: β̃_{t}"),
                    square_variance,
                    variance,
                    1e-10,
                );
            }
        }
    }
}

#[test]
fn adding_precisions_gives_the_closed_form() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    for t in 2..=1000 {
        let ((mean, variance), (by_mean, by_variance)) =
            (closed_form(&schedule, t), posterior_by_precisions(&schedule, t, X_0, X_T));
        assert_close(&format!("μ̃_{t}"), by_mean, mean, 1e-10);
        assert_relative(&format!("1/β̃_{t}"), 1.0 / by_variance, 1.0 / variance, 1e-10);
    }
}

#[test]
fn bayes_rule_on_a_grid_gives_the_closed_form() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    for t in [2, 3, 10, 100, 500, 1000] {
        let (mean, variance) = closed_form(&schedule, t);
        let before = TransitionKernel::from_start(&schedule, t - 1);
        let around = 10.0 * variance.sqrt();
        let grid = posterior_on_grid(
            X_T,
            TransitionKernel::step(&schedule, t),
            |x| log_density(x, before.signal * X_0, before.variance),
            (mean - around, mean + around, 2001),
        );
        // the Riemann sum of a Gaussian over ±10 σ in steps of σ/100 is exact to rounding
        assert_close(&format!("μ̃_{t}"), grid.mean(), mean, 1e-9);
        assert_relative(&format!("β̃_{t}"), grid.variance(), variance, 1e-8);
        assert_close(&format!("t = {t}: it is Gaussian"), grid.kl_to_nearest_gaussian(), 0.0, 1e-8);
    }
}

#[test]
fn conditioning_a_simulated_chain_gives_the_closed_form() {
    let schedule = Schedule::linear(10, 0.05, 0.4).unwrap();
    let window = Window { x_t: X_T, half_width: 0.01, draws: 2_000_000 };
    let kept = posterior_by_simulation(&schedule, 4, X_0, window, &mut rng(1));
    assert!(kept.len() > 1000, "{} pairs fit", kept.len());
    let measured = Moments::of(&kept.insert_axis(Axis(1)));
    let (mean, variance) = closed_form(&schedule, 4);
    // the window's width moves the mean by less than 1e-4, far below the standard error
    assert_close("μ̃_4", measured.mean[0], mean, 4.0 * measured.mean_error[0]);
    assert_close("β̃_4", measured.covariance[(0, 0)], variance, 4.0 * measured.covariance_error[(0, 0)]);
}

// ANCHOR: at_t_1_nothing_is_left_to_draw
#[test]
fn at_t_1_nothing_is_left_to_draw() {
    for name in ScheduleName::ALL {
        let schedule = name.schedule(100).unwrap();
        let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, 1);
        assert_close(&format!("{name}: factor of x_0"), of_x_0, 1.0, 1e-12);
        assert_eq!(of_x_t, 0.0, "{name}: factor of x_1");
        assert_eq!(posterior_variance(&schedule, 1), 0.0, "{name}: β̃_1");
        assert_eq!(
            posterior_log_variance(&schedule, 1),
            posterior_variance(&schedule, 2).ln(),
            "{name}: ln β̃_1"
        );
        assert_eq!(
            posterior_log_variance(&schedule, 2),
            posterior_variance(&schedule, 2).ln(),
            "{name}: ln β̃_2"
        );
        assert_eq!(posterior_log_variance(&schedule, 100), posterior_variance(&schedule, 100).ln());
    }
    let one = Schedule::linear(1, 0.3, 0.3).unwrap();
    assert_eq!(posterior_log_variance(&one, 1), 0.3f64.ln(), "a chain of one step");
}
// ANCHOR_END: at_t_1_nothing_is_left_to_draw

#[test]
fn the_posterior_variance_lies_below_beta() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    for t in 2..=1000 {
        let (tilde, beta) = (posterior_variance(&schedule, t), schedule.beta(t));
        assert!(tilde > 0.0 && tilde < beta, "t = {t}: β̃ = {tilde}, β = {beta}");
    }
    // known number: 1/β̃_2 = α_2/β_2 + 1/β_1
    let expected = schedule.alpha(2) / schedule.beta(2) + 1.0 / schedule.beta(1);
    assert_relative("1/β̃_2", 1.0 / posterior_variance(&schedule, 2), expected, 1e-10);
}

#[test]
#[should_panic(expected = "t = 0 has no posterior")]
fn t_0_has_no_posterior_variance() {
    posterior_variance(&Schedule::linear(10, 0.1, 0.2).unwrap(), 0);
}

#[test]
#[should_panic(expected = "t = 0 has no posterior")]
fn t_0_has_no_posterior_mean() {
    posterior_mean_coefficients(&Schedule::linear(10, 0.1, 0.2).unwrap(), 0);
}

#[test]
fn a_product_of_gaussians_is_a_gaussian() {
    let (mean, variance) = product(1.0, 0.5, -2.0, 2.0);
    let grid =
        GridDensity::normalized(-8.0, 8.0, 4001, |x| log_density(x, 1.0, 0.5) + log_density(x, -2.0, 2.0));
    assert_close("mean", grid.mean(), mean, 1e-9);
    assert_close("variance", grid.variance(), variance, 1e-9);
}

#[test]
fn grids_measure_what_is_known() {
    // the mean of a uniform on [0, 1] is 1/2, its variance 1/12, its divergence from N(1/2, 1/12) is
    // ½ ln(2π/12) + ½ (a second route: cross-entropy minus an entropy of 0)
    let uniform = GridDensity::normalized(0.0, 1.0, 20_001, |_| 0.0);
    assert_close("mean", uniform.mean(), 0.5, 1e-12);
    assert_close("variance", uniform.variance(), 1.0 / 12.0, 2e-5);
    let expected = 0.5 * (std::f64::consts::TAU / 12.0).ln() + 0.5;
    assert_close("KL", uniform.kl_to_nearest_gaussian(), expected, 1e-3);

    let humps = |means: &[f64], share| {
        let log = |x: f64| means.iter().map(|m| log_density(x, *m, 0.1).exp()).sum::<f64>().ln();
        GridDensity::normalized(-6.0, 6.0, 1001, log).humps(share)
    };
    assert_eq!(humps(&[0.0], 0.05), 1);
    assert_eq!(humps(&[-2.0, 2.0], 0.05), 2);
    assert_eq!(humps(&[-3.0, 0.0, 3.0], 0.05), 3);
    assert_eq!(humps(&[-0.2, 0.2], 0.05), 1, "two that are too close make one");
    assert_eq!(humps(&[-0.75, 0.75], 0.5), 2, "the valley lies by more than half below both");
    assert_eq!(humps(&[-2.0, 2.0, 2.0, 2.0], 0.5), 1, "a third of the highest does not stand out by half");
}

#[test]
fn without_x_0_the_posterior_is_many_humped_after_a_big_jump_only() {
    // x_0 = ±1 with a little width; x_{t−1} = x_0; a jump that keeps little signal leaves both humps
    let log_prior = |x: f64| (log_density(x, -1.0, 0.01).exp() + log_density(x, 1.0, 0.01).exp()).ln();
    let posterior = |beta: f64| {
        let kernel = TransitionKernel { signal: (1.0 - beta).sqrt(), variance: beta };
        posterior_on_grid(0.3, kernel, log_prior, (-3.0, 3.0, 6001))
    };
    assert_eq!(posterior(0.9).humps(0.05), 2);
    assert_eq!(posterior(1e-3).humps(0.05), 1);
    assert!(posterior(0.9).kl_to_nearest_gaussian() > 0.5);
    assert!(posterior(1e-4).kl_to_nearest_gaussian() < 1e-3);
}

/// A mixture's posterior under a Gaussian kernel is a mixture: each hump by adding precisions, with the weight of its evidence.
#[test]
fn the_posterior_after_a_jump_is_the_mixture_of_the_humps_posteriors() {
    let (weights, means, variances) = ([0.5, 0.3, 0.2], [-1.0, 0.4, 1.6], [0.08, 0.04, 0.08]);
    let column = |values: [f64; 3]| ndarray::arr1(&values).insert_axis(Axis(1));
    let data = GaussianMixture::new(ndarray::arr1(&weights), column(means), column(variances));
    for (beta, x_t) in [(0.9, 0.5), (0.5, -0.3), (0.1, 1.2), (1e-3, 0.5)] {
        let signal = f64::sqrt(1.0 - beta);
        let parts = [0, 1, 2].map(|k| {
            let (mean, variance) = product(means[k], variances[k], x_t / signal, beta / (1.0 - beta));
            let evidence = log_density(x_t, signal * means[k], (1.0 - beta) * variances[k] + beta).exp();
            (weights[k] * evidence, mean, variance)
        });
        let total: f64 = parts.iter().map(|(weight, ..)| weight).sum();
        let density = |x| -> f64 {
            parts
                .iter()
                .map(|(weight, mean, variance)| weight / total * log_density(x, *mean, *variance).exp())
                .sum()
        };
        let grid = posterior_after_jump(&data, beta, x_t, (-3.0, 4.0));
        let highest = grid.points().map(|(_, p)| p).fold(0.0, f64::max);
        for (x, p) in grid.points() {
            assert_close(&format!("β = {beta}, x_t = {x_t}: density at {x}"), p, density(x), 1e-9 * highest);
        }
        let mean = parts.iter().map(|(weight, mean, _)| weight / total * mean).sum();
        assert_close(&format!("β = {beta}, x_t = {x_t}: mean"), grid.mean(), mean, 1e-9);
    }
}
