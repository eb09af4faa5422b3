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
    sampler::{Step, ancestral, ancestral_step, apply, sample},
    schedule::{Schedule, ScheduleName},
};
use ndarray::{Array2, ArrayView2, array};
use std::cell::RefCell;

const CHOICES: [FixedVariance; 2] = [FixedVariance::Beta, FixedVariance::Posterior];

/// ε = tanh(x_t), with a variance or without.
fn prediction(x_t: ArrayView2<f64>, variance: Option<f64>) -> Prediction {
    let variance = variance.map(|variance| Array2::from_elem(x_t.dim(), variance));
    Prediction { eps: x_t.mapv(f64::tanh), variance }
}

/// Predicts tanh(x_t), with a variance of its own if it has one, and notes when it was called.
#[derive(Default)]
struct Spy {
    variance: Option<f64>,
    called: RefCell<Vec<f64>>,
}

impl Denoiser for Spy {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        self.called.borrow_mut().push(t);
        prediction(x_t, self.variance)
    }
}

// ANCHOR: sample_asks_the_denoiser_exactly_t_times_from_t_to_1
#[test]
fn sample_asks_the_denoiser_exactly_t_times_from_t_to_1() {
    let schedule = Schedule::linear(7, 1e-4, 0.02).unwrap();
    let (spy, mut seen) = (Spy::default(), Vec::new());
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    sample(&steps, &spy, Array2::zeros((3, 2)), &mut rng(1), |t, _| seen.push(t));
    assert_eq!(
        spy.called.into_inner(),
        [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
        "the t at which the denoiser was called"
    );
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1, 0], "the t that `on_step` saw");
}
// ANCHOR_END: sample_asks_the_denoiser_exactly_t_times_from_t_to_1

#[test]
fn sample_draws_fresh_normal_noise_at_every_step() {
    // x ← x + z, three times: 3 independent normals add up to a variance of 3, one used three times to 9, uniforms to ¼
    let add = Step {
        t: 1,
        x_t: 1.0,
        eps: 0.0,
        x_0: 0.0,
        noise: 1.0,
        x_0_from_x_t: 0.0,
        x_0_from_eps: 0.0,
        clip: None,
    };
    let drawn = sample(&[add; 3], &Spy::default(), Array2::zeros((50_000, 1)), &mut rng(10), |_, _| ());
    let moments = Moments::of(&drawn);
    assert_close("mean of z_1 + z_2 + z_3", moments.mean[0], 0.0, 4.0 * moments.mean_error[0]);
    let (variance, error) = (moments.covariance[(0, 0)], moments.covariance_error[(0, 0)]);
    assert_close("variance of z_1 + z_2 + z_3", variance, 3.0, 4.0 * error);
}

#[test]
fn apply_multiplies_and_adds() {
    let step = Step {
        t: 3,
        x_t: 0.5,
        eps: -0.2,
        x_0: 0.3,
        noise: 0.1,
        x_0_from_x_t: 2.0,
        x_0_from_eps: -1.0,
        clip: None,
    };
    let (x_t, z) = (0.7f64, -1.3);
    let mean = |x_0: f64| 0.5 * x_t - 0.2 * x_t.tanh() + 0.3 * x_0;
    let x_0 = 2.0 * x_t - x_t.tanh();
    let got = |step: Step, variance: Option<f64>| {
        let x_t = array![[x_t]];
        apply(&step, &prediction(x_t.view(), variance), &x_t, &array![[z]])[(0, 0)]
    };
    let sum = format!(
        "0.5 x_t − 0.2 ε + 0.3 x̂_0 + 0.1 z at x_t = 0.7, ε = {:.4}, x̂_0 = {x_0:.4}, z = -1.3",
        x_t.tanh()
    );
    assert_close(&sum, got(step, None), mean(x_0) + 0.1 * z, 1e-15);
    let clipped = Step { clip: Some(0.4), ..step };
    assert_close(&format!("{sum}, x̂_0 clipped to 0.4"), got(clipped, None), mean(0.4) + 0.1 * z, 1e-15);
    // a variance, not a standard deviation, and none in the last step
    let learned = Some(0.3);
    assert_close(
        &format!("{sum}, Σ = 0.3 learned"),
        got(step, learned),
        mean(x_0) + 0.3f64.sqrt() * z,
        1e-15,
    );
    let last = Step { t: 1, noise: 0.0, ..step };
    assert_close(
        &format!("{sum}, Σ = 0.3 learned, the last step, without z"),
        got(last, learned),
        mean(x_0),
        1e-15,
    );
}

#[test]
fn a_step_is_a_draw_from_p_theta() {
    // The scalars of a step against p_mean_variance, which computes the same Gaussian from arrays.
    for name in ScheduleName::ALL {
        let schedule = name.schedule(50).unwrap();
        let (x_t, noise) =
            (standard_normal::<f64>(6, 3, &mut rng(2)), standard_normal::<f64>(6, 3, &mut rng(3)));
        let tanh = prediction(x_t.view(), None);
        for t in 2..=50 {
            for choice in CHOICES {
                for clip in [None, Some(0.5), Some(1e9)] {
                    let step = ancestral_step(&schedule, t, choice, clip);
                    let p = p_mean_variance(&schedule, &tanh, &x_t, t, choice, clip);
                    let what = format!("{name}, t = {t}, {choice}, clip {clip:?}");
                    // cosine's 1/√ᾱ_T is 5e3 at T = 50
                    assert_all_close(&what, &apply(&step, &tanh, &x_t, &noise), &p.sample(&noise), 1e-9);
                }
            }
        }
    }
}

#[test]
fn ancestral_step_is_algorithm_2_s_line_4() {
    let schedule = Schedule::linear(10, 0.01, 0.2).unwrap();
    for t in 1..=10 {
        let (alpha, bar) = (schedule.alpha(t), schedule.alpha_bar(t));
        let of_eps = -(1.0 - alpha) / ((1.0 - bar) * alpha).sqrt();
        let step = ancestral_step(&schedule, t, FixedVariance::Beta, None);
        assert_eq!(step.t, t, "the step's t");
        assert_close(&format!("t = {t}: factor of x_t"), step.x_t, alpha.powf(-0.5), 1e-14);
        assert_close(&format!("t = {t}: factor of ε_θ"), step.eps, of_eps, 1e-14);
        assert_close(&format!("t = {t}: factor of x̂_0"), step.x_0, 0.0, 0.0);
        let sigma = if t > 1 { (1.0 - alpha).sqrt() } else { 0.0 };
        assert_close(&format!("t = {t}: factor of z, σ² = β"), step.noise, sigma, 1e-14);
        // 1/β̃ = α/β + 1/(1 − ᾱ_{t−1})
        let precision = alpha / (1.0 - alpha) + 1.0 / (1.0 - schedule.alpha_bar(t - 1));
        let tilde = ancestral_step(&schedule, t, FixedVariance::Posterior, None).noise;
        let sigma = if t > 1 { precision.powf(-0.5) } else { 0.0 };
        assert_close(&format!("t = {t}: factor of z, σ² = β̃"), tilde, sigma, 1e-13);
    }
}

#[test]
fn ancestral_step_with_a_clip_goes_through_x_0() {
    let schedule = Schedule::linear(10, 0.01, 0.2).unwrap();
    for t in 1..=10 {
        let free = ancestral_step(&schedule, t, FixedVariance::Beta, None);
        let step = ancestral_step(&schedule, t, FixedVariance::Beta, Some(1.0));
        assert_eq!((free.clip, step.clip), (None, Some(1.0)), "t = {t}: the clip");
        // x_t = √ᾱ x_0 + √(1 − ᾱ) ε must give x_0 back
        let (signal, sigma) = (schedule.alpha_bar(t).sqrt(), (1.0 - schedule.alpha_bar(t)).sqrt());
        assert_close(&format!("t = {t}: x_0 in x̂_0"), step.x_0_from_x_t * signal, 1.0, 1e-13);
        let left = step.x_0_from_x_t * sigma + step.x_0_from_eps;
        assert_close(&format!("t = {t}: ε left in x̂_0"), left, 0.0, 1e-13);
        // where nothing is clipped, the way through x̂_0 leads to the same x_{t−1}; ε is seen through x̂_0 alone
        let through = (step.x_t + step.x_0 * step.x_0_from_x_t, step.eps + step.x_0 * step.x_0_from_eps);
        assert_close(&format!("t = {t}: x_t, through x̂_0"), through.0, free.x_t, 1e-13);
        assert_close(&format!("t = {t}: ε_θ, through x̂_0"), through.1, free.eps, 1e-13);
        assert_close(&format!("t = {t}: ε_θ, past x̂_0"), step.eps, 0.0, 0.0);
    }
}

#[test]
fn p_mean_variance_is_the_gaussian_of_algorithm_2() {
    let schedule = Schedule::linear(10, 0.01, 0.2).unwrap();
    let x_t = 0.7f64;
    let tanh = prediction(array![[x_t]].view(), None);
    for t in 1..=10 {
        let (alpha, bar) = (schedule.alpha(t), schedule.alpha_bar(t));
        let expected = (x_t - (1.0 - alpha) / (1.0 - bar).sqrt() * x_t.tanh()) / alpha.sqrt();
        for choice in CHOICES {
            let p = p_mean_variance(&schedule, &tanh, &array![[x_t]], t, choice, None);
            assert_close(&format!("t = {t}: mean"), p.mean[(0, 0)], expected, 1e-14);
            // as a density it needs a variance at t = 1, too
            let variance = match choice {
                FixedVariance::Beta if t > 1 => 1.0 - alpha,
                _ => posterior_variance(&schedule, t.max(2)),
            };
            assert_relative(&format!("t = {t}, {choice}: variance"), p.variance[(0, 0)], variance, 1e-12);
        }
    }
}

#[test]
fn the_step_is_algorithm_2_s_line_4() {
    let schedule = Schedule::linear(10, 0.01, 0.2).unwrap();
    let (x_t, z) = (0.7f64, -1.3);
    let tanh = prediction(array![[x_t]].view(), None);
    for t in 1..=10 {
        let (alpha, bar) = (schedule.alpha(t), schedule.alpha_bar(t));
        let mean = (x_t - (1.0 - alpha) / (1.0 - bar).sqrt() * x_t.tanh()) / alpha.sqrt();
        let expected = if t > 1 { mean + (1.0 - alpha).sqrt() * z } else { mean };
        let step = ancestral_step(&schedule, t, FixedVariance::Beta, None);
        let got = apply(&step, &tanh, &array![[x_t]], &array![[z]])[(0, 0)];
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
fn p_mean_variance_clips_x_0_and_only_where_it_must() {
    let schedule = Schedule::linear(100, 1e-4, 0.05).unwrap();
    let x_t = standard_normal::<f64>(50, 2, &mut rng(5));
    let tanh = prediction(x_t.view(), None);
    for t in [1, 2, 50, 100] {
        let eps = x_t.mapv(f64::tanh);
        let clipped = predict_x_0(&schedule, t, &x_t, &eps).mapv(|x| x.clamp(-0.4, 0.4));
        let p = p_mean_variance(&schedule, &tanh, &x_t, t, FixedVariance::Beta, Some(0.4));
        let expected = posterior_mean(&schedule, t, &clipped, &x_t);
        assert_all_close(&format!("t = {t}, x̂_0 clipped to 0.4: mean"), &p.mean, &expected, 1e-12);
        let wide = p_mean_variance(&schedule, &tanh, &x_t, t, FixedVariance::Beta, Some(1e6));
        let free = p_mean_variance(&schedule, &tanh, &x_t, t, FixedVariance::Beta, None);
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
fn interpolated_variance_lies_between_the_two_on_the_log_scale() {
    let schedule = Schedule::linear(100, 1e-4, 0.02).unwrap();
    for t in [1, 2, 50, 100] {
        let variance = interpolated_variance(&schedule, t, &array![[0.0, 0.5, 1.0]]);
        let (low, high) = (posterior_log_variance(&schedule, t).exp(), schedule.beta(t));
        let at = format!("t = {t}, β̃ = {low:.5e}, β = {high:.5e}");
        assert_relative(&format!("{at}: v = 0"), variance[(0, 0)], low, 1e-12);
        assert_relative(&format!("{at}: v = 1"), variance[(0, 2)], high, 1e-12);
        assert_relative(&format!("{at}: v = ½"), variance[(0, 1)], (low * high).sqrt(), 1e-12);
    }
}

#[test]
fn p_mean_variance_takes_a_learned_variance_and_asks_for_no_fixed_one() {
    let schedule = Schedule::linear(10, 1e-4, 0.02).unwrap();
    let x_t = standard_normal::<f64>(4, 2, &mut rng(6));
    let (learned, tanh) = (prediction(x_t.view(), Some(0.3)), prediction(x_t.view(), None));
    let p = p_mean_variance(&schedule, &learned, &x_t, 5, FixedVariance::Beta, None);
    assert_all_close("the learned variance", &p.variance, &Array2::from_elem((4, 2), 0.3), 0.0);
    let fixed = p_mean_variance(&schedule, &tanh, &x_t, 5, FixedVariance::Beta, None);
    assert_all_close("β_5", &fixed.variance, &Array2::from_elem((4, 2), schedule.beta(5)), 0.0);
}

// ANCHOR: split_mean_log_variance_makes_two_halves_in_any_dimension
#[test]
fn split_mean_log_variance_makes_two_halves_in_any_dimension() {
    let output = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]];
    let (mean, log_variance) = split_mean_log_variance(output.view());
    assert_eq!(mean, array![[1.0, 2.0, 3.0]], "the mean in the row 1 2 3 4 5 6");
    assert_eq!(log_variance, array![[4.0, 5.0, 6.0]], "the log-variance in the row 1 2 3 4 5 6");
}
// ANCHOR_END: split_mean_log_variance_makes_two_halves_in_any_dimension

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
fn apply_without_x_0_meets_no_infinity() {
    // ᾱ_400 = 10⁻⁴⁰⁰ is 0 in a double, and x̂_0 infinite; Eq. (11) is not
    let betas = std::iter::once(0.0).chain(std::iter::repeat_n(0.9, 400)).collect();
    let schedule = Schedule::from_betas(betas).unwrap();
    assert_eq!(schedule.alpha_bar(400), 0.0);
    let (x_t, z) = (1.0f64, -1.3);
    for step in &ancestral(&schedule, FixedVariance::Beta, None)[..10] {
        let got = apply(step, &prediction(array![[x_t]].view(), None), &array![[x_t]], &array![[z]])[(0, 0)];
        let expected = (x_t - 0.9 * x_t.tanh()) / 0.1f64.sqrt() + 0.9f64.sqrt() * z;
        assert_close(
            &format!("t = {}, ᾱ_t = 0, x̂_0 = ∞ − ∞ with the factor 0: x_{{t−1}}", step.t),
            got,
            expected,
            1e-12,
        );
    }
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
