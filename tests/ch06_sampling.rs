//! ch06_sampling: p_mean_variance and Algorithm 2.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    denoiser::{Denoiser, ExactDenoiser, GaussianData, Prediction},
    forward::standard_normal,
    metrics::Moments,
    posterior::{posterior_log_variance, posterior_mean, posterior_variance},
    reverse::{
        FixedVariance, density_variance, fixed_variance, interpolated_variance, p_mean_variance, predict_x_0,
        split_mean_log_variance,
    },
    sampler::{ancestral, ancestral_step, apply, sample},
    schedule::{Schedule, ScheduleName},
};
use ndarray::{Array2, ArrayView2, array};
use std::cell::RefCell;

const CHOICES: [FixedVariance; 2] = [FixedVariance::Beta, FixedVariance::Posterior];

/// Predicts tanh(x_t), with a variance of its own if it has one, and notes when it was asked.
#[derive(Default)]
struct Spy {
    variance: Option<f64>,
    asked: RefCell<Vec<usize>>,
}

impl Denoiser for Spy {
    fn predict(&self, x_t: ArrayView2<f64>, t: usize) -> Prediction {
        self.asked.borrow_mut().push(t);
        let variance = self.variance.map(|variance| Array2::from_elem(x_t.dim(), variance));
        Prediction { eps: x_t.mapv(f64::tanh), variance }
    }
}

// ANCHOR: the_denoiser_is_asked_exactly_t_times_from_t_to_1
#[test]
fn the_denoiser_is_asked_exactly_t_times_from_t_to_1() {
    let schedule = Schedule::linear(37, 1e-4, 0.02).unwrap();
    let (spy, mut seen) = (Spy::default(), Vec::new());
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    sample(&steps, &spy, Array2::zeros((3, 2)), &mut rng(1), |t, _| seen.push(t));
    assert_eq!(spy.asked.into_inner(), (1..=37).rev().collect::<Vec<_>>());
    assert_eq!(seen, (0..=37).rev().collect::<Vec<_>>());
}
// ANCHOR_END: the_denoiser_is_asked_exactly_t_times_from_t_to_1

#[test]
fn a_step_is_a_draw_from_p_theta() {
    // The scalars of a step against p_mean_variance, which computes the same Gaussian from arrays.
    for name in ScheduleName::ALL {
        let schedule = name.schedule(50).unwrap();
        let (x_t, noise) =
            (standard_normal::<f64>(6, 3, &mut rng(2)), standard_normal::<f64>(6, 3, &mut rng(3)));
        for t in 2..=50 {
            for choice in CHOICES {
                for clip in [None, Some(0.5), Some(1e9)] {
                    let step = ancestral_step(&schedule, t, choice, clip);
                    let p = p_mean_variance(&schedule, &Spy::default(), &x_t, t, choice, clip);
                    let what = format!("{name}, t = {t}, {choice}, clip {clip:?}");
                    // cosine's 1/√ᾱ_T is 5e3 at T = 50
                    assert_all_close(
                        &what,
                        &apply(&step, &Spy::default(), &x_t, &noise),
                        &p.sample(&noise),
                        1e-9,
                    );
                }
            }
        }
    }
}

#[test]
fn the_step_is_algorithm_2_s_line_4() {
    let schedule = Schedule::linear(10, 0.01, 0.2).unwrap();
    let (x_t, z) = (0.7f64, -1.3);
    for t in 1..=10 {
        let (alpha, bar) = (schedule.alpha(t), schedule.alpha_bar(t));
        let mean = (x_t - (1.0 - alpha) / (1.0 - bar).sqrt() * x_t.tanh()) / alpha.sqrt();
        let expected = if t > 1 { mean + (1.0 - alpha).sqrt() * z } else { mean };
        let step = ancestral_step(&schedule, t, FixedVariance::Beta, None);
        let got = apply(&step, &Spy::default(), &array![[x_t]], &array![[z]])[(0, 0)];
        assert_close(&format!("x_{}", t - 1), got, expected, 1e-14);
    }
}

// ANCHOR: the_last_step_adds_no_noise
#[test]
fn the_last_step_adds_no_noise() {
    let schedule = Schedule::linear(10, 1e-4, 0.02).unwrap();
    let x_1 = standard_normal::<f64>(5, 2, &mut rng(4));
    for choice in CHOICES {
        for variance in [None, Some(0.3)] {
            let step = ancestral_step(&schedule, 1, choice, None);
            let run = |seed| {
                sample(&[step], &Spy { variance, ..Spy::default() }, x_1.clone(), &mut rng(seed), |_, _| ())
            };
            assert_eq!(run(1), run(2), "same x_1, another generator: the same x_0");
            let before = ancestral_step(&schedule, 2, choice, None);
            let run = |seed| {
                sample(&[before], &Spy { variance, ..Spy::default() }, x_1.clone(), &mut rng(seed), |_, _| ())
            };
            assert_ne!(run(1), run(2), "any other step does add noise");
        }
    }
}
// ANCHOR_END: the_last_step_adds_no_noise

#[test]
fn clipping_acts_on_x_0_and_only_where_it_must() {
    let schedule = Schedule::linear(100, 1e-4, 0.05).unwrap();
    let x_t = standard_normal::<f64>(50, 2, &mut rng(5));
    for t in [1, 2, 50, 100] {
        let eps = x_t.mapv(f64::tanh);
        let clipped = predict_x_0(&schedule, t, &x_t, &eps).mapv(|x| x.clamp(-0.4, 0.4));
        let p = p_mean_variance(&schedule, &Spy::default(), &x_t, t, FixedVariance::Beta, Some(0.4));
        assert_all_close(&format!("t = {t}"), &p.mean, &posterior_mean(&schedule, t, &clipped, &x_t), 1e-14);
        let wide = p_mean_variance(&schedule, &Spy::default(), &x_t, t, FixedVariance::Beta, Some(1e6));
        let free = p_mean_variance(&schedule, &Spy::default(), &x_t, t, FixedVariance::Beta, None);
        assert_all_close(&format!("t = {t}: a wide clip"), &wide.mean, &free.mean, 1e-11);
    }
}

// ANCHOR: variances_are_beta_and_beta_tilde
#[test]
fn variances_are_beta_and_beta_tilde() {
    let schedule = Schedule::linear(100, 1e-4, 0.02).unwrap();
    for t in 1..=100 {
        assert_eq!(fixed_variance(&schedule, t, FixedVariance::Beta), schedule.beta(t));
        assert_eq!(fixed_variance(&schedule, t, FixedVariance::Posterior), posterior_variance(&schedule, t));
        for choice in CHOICES {
            // β̃_2 stands first in both lists
            let density = density_variance(&schedule, t, choice);
            let expected =
                if t == 1 { posterior_variance(&schedule, 2) } else { fixed_variance(&schedule, t, choice) };
            assert_relative(&format!("t = {t}, {choice}"), density, expected, 1e-12);
            assert!(density.sqrt() > 0.0, "σ_{t} is a number"); // ln β under a root is not
        }
    }
    assert_eq!("posterior".parse::<FixedVariance>().unwrap().to_string(), "posterior");
    assert_eq!("beta".parse::<FixedVariance>().unwrap().to_string(), "beta");
    assert!(
        "bta".parse::<FixedVariance>().unwrap_err().to_string().contains("use beta (σ² = β) or posterior")
    );
}
// ANCHOR_END: variances_are_beta_and_beta_tilde

#[test]
fn a_learned_variance_lies_between_the_two_on_the_log_scale() {
    let schedule = Schedule::linear(100, 1e-4, 0.02).unwrap();
    for t in [1, 2, 50, 100] {
        let variance = interpolated_variance(&schedule, t, &array![[0.0, 0.5, 1.0]]);
        let (low, high) = (posterior_log_variance(&schedule, t).exp(), schedule.beta(t));
        assert_relative(&format!("t = {t}: v = 0"), variance[(0, 0)], low, 1e-12);
        assert_relative(&format!("t = {t}: v = 1"), variance[(0, 2)], high, 1e-12);
        assert_relative(&format!("t = {t}: v = ½"), variance[(0, 1)], (low * high).sqrt(), 1e-12);
    }
}

#[test]
fn a_learned_variance_is_used_and_the_fixed_one_is_not_asked() {
    let schedule = Schedule::linear(10, 1e-4, 0.02).unwrap();
    let x_t = standard_normal::<f64>(4, 2, &mut rng(6));
    let spy = Spy { variance: Some(0.3), ..Spy::default() };
    let p = p_mean_variance(&schedule, &spy, &x_t, 5, FixedVariance::Beta, None);
    assert_eq!(p.variance, Array2::from_elem((4, 2), 0.3));
    let fixed = p_mean_variance(&schedule, &Spy::default(), &x_t, 5, FixedVariance::Beta, None);
    assert_eq!(fixed.variance, Array2::from_elem((4, 2), schedule.beta(5)));
    let step = ancestral_step(&schedule, 5, FixedVariance::Beta, None);
    let noise = standard_normal::<f64>(4, 2, &mut rng(7));
    // a variance, not a standard deviation
    assert_all_close("x_4", &apply(&step, &spy, &x_t, &noise), &(&p.mean + &(0.3f64.sqrt() * &noise)), 1e-13);
}

// ANCHOR: the_split_makes_two_halves_in_any_dimension
#[test]
fn the_split_makes_two_halves_in_any_dimension() {
    let output = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]];
    assert_eq!(split_mean_log_variance(output.view()), (array![[1.0, 2.0, 3.0]], array![[4.0, 5.0, 6.0]]));
}
// ANCHOR_END: the_split_makes_two_halves_in_any_dimension

#[test]
#[should_panic(expected = "3 columns do not split")]
fn an_odd_number_of_columns_does_not_split() {
    split_mean_log_variance(Array2::zeros((1, 3)).view());
}

#[test]
fn sampling_with_the_exact_denoiser_returns_the_data() {
    // Gaussian data, T = 1000. Both choices of σ² recover mean and variance up to O(β): the measured errors of the closed
    // form are below 1e-2, plus 4 standard errors.
    let data = GaussianData { mean: array![1.0, -0.5], variance: 0.5 };
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    for choice in CHOICES {
        let denoiser = ExactDenoiser::new(&schedule, &data);
        let x_t = standard_normal(4000, 2, &mut rng(8));
        let x_0 = sample(&ancestral(&schedule, choice, None), &denoiser, x_t, &mut rng(9), |_, _| ());
        let moments = Moments::of(&x_0);
        for d in 0..2 {
            let (mean, variance) = (moments.mean[d], moments.covariance[(d, d)]);
            assert_close(&format!("{choice}: mean"), mean, data.mean[d], 4.0 * moments.mean_error[d] + 0.01);
            assert_close(
                &format!("{choice}: variance"),
                variance,
                0.5,
                4.0 * moments.covariance_error[(d, d)] + 0.01,
            );
        }
    }
}

#[test]
fn a_chain_whose_signal_underflows_still_steps() {
    // ᾱ_400 = 10⁻⁴⁰⁰ is 0 in a double, and x̂_0 infinite; Eq. (11) is not
    let betas = std::iter::once(0.0).chain(std::iter::repeat_n(0.9, 400)).collect();
    let schedule = Schedule::from_betas(betas).unwrap();
    assert_eq!(schedule.alpha_bar(400), 0.0);
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    let x_0 = sample(&steps[..10], &Spy::default(), Array2::ones((2, 2)), &mut rng(10), |_, _| ());
    assert!(x_0.iter().all(|x| x.is_finite()), "{x_0}");
}

#[test]
#[should_panic(expected = "t = 0 has no reverse step")]
fn there_is_no_step_from_the_clean_image() {
    ancestral_step(&Schedule::linear(10, 0.1, 0.2).unwrap(), 0, FixedVariance::Beta, None);
}

#[test]
fn the_same_seed_draws_the_same_points() {
    let schedule = Schedule::linear(10, 1e-4, 0.02).unwrap();
    let steps = ancestral(&schedule, FixedVariance::Beta, Some(1.0));
    let run = |seed| sample(&steps, &Spy::default(), Array2::ones((3, 2)), &mut rng(seed), |_, _| ());
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
