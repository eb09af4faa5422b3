//! ch04_objective: from the KL of two Gaussians to ‖ε − ε_θ‖².

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    bound::denoising_term,
    data::{Dataset, DatasetName},
    denoiser::{
        Denoiser, ExactDenoiser, GaussianData, PosteriorMean, Prediction, WithoutStep, known_posterior_mean,
    },
    forward::{diffuse, standard_normal},
    gaussian::{DiagonalGaussian, entropy, kl_divergence, log_density},
    metrics::{mean, standard_error},
    objective::{
        denoising_loss, eps_weight, irreducible_loss, kl_constant, losses_at_each_t, mean_matching,
        mean_matching_by_eps, mean_matching_without_x_0, simple_loss, weighted_loss,
    },
    posterior::posterior_mean,
    reverse::{
        FixedVariance, ReverseProcess, eps_from_mean, fixed_variance, mean_coefficients, mean_from_eps,
        predict_x_0, x_0_coefficients,
    },
    schedule::{Schedule, ScheduleName},
};
use ndarray::{Array2, ArrayView2, array};
use ndarray_rand::rand::rngs::StdRng;

/// A denoiser that is wrong in a smooth way: its loss is neither 0 nor that of the exact one.
struct Wrong;

impl Denoiser for Wrong {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        Prediction { eps: x_t.mapv(|x| (0.7 * x + 0.01 * t).sin()), variance: None }
    }
}

// ANCHOR: kl_divergence_is_what_sampling_finds
#[test]
fn kl_divergence_is_what_sampling_finds() {
    let n = 200_000;
    for (mean_p, variance_p, mean_q, variance_q) in
        [(0.0, 1.0, 0.0, 1.0), (0.5, 0.3, -1.0, 2.0), (1.0, 2.0, 0.0, 0.7)]
    {
        let x = mean_p + f64::sqrt(variance_p) * standard_normal::<f64>(n, 1, &mut rng(1));
        let ratios =
            x.column(0).mapv(|x| log_density(x, mean_p, variance_p) - log_density(x, mean_q, variance_q));
        let expected = kl_divergence(mean_p, variance_p, mean_q, variance_q);
        let what = format!("KL(N({mean_p}, {variance_p}) ‖ N({mean_q}, {variance_q}))");
        assert_close(&what, expected, mean(ratios.view()), 4.0 * standard_error(ratios.view()) + 1e-15);
        assert!(expected >= 0.0);
    }
    assert_eq!(kl_divergence(0.4, 0.3, 0.4, 0.3), 0.0);
}
// ANCHOR_END: kl_divergence_is_what_sampling_finds

#[test]
fn a_log_density_integrates_to_one_and_its_mean_is_the_entropy() {
    let (mean, variance, step) = (0.7, 0.3, 1e-3);
    let (mut total, mut surprise) = (0.0, 0.0);
    for i in -8000..8000 {
        let log = log_density(mean + (f64::from(i) + 0.5) * step, mean, variance);
        total += log.exp() * step;
        surprise -= log.exp() * log * step;
    }
    // the midpoint sum of a smooth function that vanishes at both ends is exact to rounding
    assert_close("∫ N", total, 1.0, 1e-10);
    assert_close("−∫ N log N", surprise, entropy(variance), 1e-10);
    assert_close("at the mean", log_density(0.0, 0.0, 1.0), -0.918_938_533_204_672_7, 1e-15);
}

#[test]
fn gaussians_in_rows_sum_over_coordinates() {
    let p =
        DiagonalGaussian { mean: array![[0.0, 1.0], [2.0, -1.0]], variance: array![[1.0, 0.5], [2.0, 0.1]] };
    let q = DiagonalGaussian::isotropic(array![[0.5, 0.0], [0.0, 0.0]], 0.8);
    let x = array![[0.1, 0.2], [0.3, 0.4]];
    for i in 0..2 {
        let logs: f64 = (0..2).map(|d| log_density(x[(i, d)], p.mean[(i, d)], p.variance[(i, d)])).sum();
        assert_close("log-density", p.log_density(x.view())[i], logs, 1e-14);
        let kls: f64 =
            (0..2).map(|d| kl_divergence(p.mean[(i, d)], p.variance[(i, d)], q.mean[(i, d)], 0.8)).sum();
        assert_close("KL", p.kl_divergence(&q)[i], kls, 1e-14);
    }
    let n = 100_000;
    let row =
        DiagonalGaussian { mean: Array2::from_elem((n, 1), 2.0), variance: Array2::from_elem((n, 1), 0.25) };
    let drawn = ddpm::metrics::Moments::of(&row.sample(&standard_normal(n, 1, &mut rng(2))));
    assert_close("mean of draws", drawn.mean[0], 2.0, 4.0 * drawn.mean_error[0]);
    assert_close("variance of draws", drawn.covariance[(0, 0)], 0.25, 4.0 * drawn.covariance_error[(0, 0)]);
}

#[test]
fn equations_8_9_10_and_12_are_one_number() {
    for name in ScheduleName::ALL {
        let schedule = name.schedule(100).unwrap();
        let x_0 = standard_normal::<f64>(20, 3, &mut rng(3));
        for t in 2..=100 {
            let eps = standard_normal::<f64>(20, 3, &mut rng(t as u64));
            let x_t = diffuse(&x_0, schedule.alpha_bar(t), &eps);
            let predicted = Wrong.predict(x_t.view(), t as f64).eps;
            let mu = mean_from_eps(&schedule, t, &x_t, &predicted);
            for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
                let sigma_squared = fixed_variance(&schedule, t, choice);
                let eq_8 = mean_matching(&schedule, t, &x_0, &x_t, &mu, sigma_squared);
                for (name, other) in [
                    ("(9)", mean_matching_without_x_0(&schedule, t, &x_t, &eps, &mu, sigma_squared)),
                    ("(10)", mean_matching_by_eps(&schedule, t, &x_t, &eps, &mu, sigma_squared)),
                    ("(12)", weighted_loss(&schedule, t, &eps, &predicted, sigma_squared)),
                ] {
                    for i in 0..20 {
                        // 1 − ᾱ_t of Eq. (7) cancels at small t: 2⁻⁵³/β_1 = 1e-12 of a mean, over a difference of √β
                        let what = format!("t = {t}, {choice}, point {i}: Eq. {name} against Eq. (8)");
                        assert_close(&what, other[i], eq_8[i], 1e-8 * (1e-3 + eq_8[i]));
                    }
                }
            }
        }
    }
}

#[test]
fn mean_matching_is_the_kl_of_two_gaussians_of_one_variance() {
    let schedule = Schedule::linear(100, 1e-4, 0.05).unwrap();
    let (x_0, x_t, mean) =
        (array![[0.5, -1.0], [2.0, 0.3]], array![[1.0, 0.2], [0.0, -0.4]], array![[0.9, 0.0], [0.1, 0.1]]);
    for (t, sigma_squared) in [(2, 0.3), (50, 0.01), (100, 2.0)] {
        let target = DiagonalGaussian::isotropic(posterior_mean(&schedule, t, &x_0, &x_t), sigma_squared);
        let kl = target.kl_divergence(&DiagonalGaussian::isotropic(mean.clone(), sigma_squared));
        let loss = mean_matching(&schedule, t, &x_0, &x_t, &mean, sigma_squared);
        for i in 0..2 {
            assert_relative(
                &format!("t = {t}, σ² = {sigma_squared}, point {i}: Eq. (8)"),
                loss[i],
                kl[i],
                1e-10,
            );
        }
    }
}

#[test]
fn x_0_coefficients_undo_the_diffusion() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let (x_0, eps) = (0.8, -0.3);
    for t in [1000, 500, 2, 1] {
        let x_t = diffuse(&array![[x_0]], schedule.alpha_bar(t), &array![[eps]])[(0, 0)];
        let (of_x_t, of_eps) = x_0_coefficients(&schedule, t);
        // 1/√ᾱ_T = 157 times the rounding of x_t comes back
        assert_close(
            &format!("t = {t}, x_0 = {x_0}, ε = {eps}: x̂_0"),
            of_x_t * x_t + of_eps * eps,
            x_0,
            1e-13,
        );
    }
}

#[test]
fn mean_coefficients_give_the_posterior_mean() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let (x_0, eps) = (array![[0.8]], array![[-0.3]]);
    for t in [500, 2, 1000, 1] {
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &eps);
        let (of_x_t, of_eps) = mean_coefficients(&schedule, t);
        let mean = of_x_t * x_t[(0, 0)] + of_eps * eps[(0, 0)];
        let expected = posterior_mean(&schedule, t, &x_0, &x_t)[(0, 0)];
        assert_close(&format!("t = {t}, x_0 = 0.8, ε = -0.3: μ"), mean, expected, 1e-12);
    }
}

#[test]
fn the_loss_is_the_kl_up_to_a_constant() {
    let schedule = Schedule::linear(100, 1e-4, 0.05).unwrap();
    let x_0 = standard_normal::<f64>(10, 2, &mut rng(4));
    for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
        let process = ReverseProcess { schedule: &schedule, variance: choice, clip: None };
        for t in [2, 3, 50, 100] {
            let eps = standard_normal::<f64>(10, 2, &mut rng(5));
            let x_t = diffuse(&x_0, schedule.alpha_bar(t), &eps);
            let prediction = Wrong.predict(x_t.view(), t as f64);
            let kl = denoising_term(&process, &prediction, &x_0, &x_t, t);
            let sigma_squared = fixed_variance(&schedule, t, choice);
            let loss = weighted_loss(&schedule, t, &eps, &prediction.eps, sigma_squared);
            for i in 0..10 {
                let expected = loss[i] + kl_constant(&schedule, t, sigma_squared, 2);
                assert_close(&format!("t = {t}, {choice}: KL"), kl[i], expected, 1e-9 * (1.0 + expected));
            }
        }
    }
    let tilde = fixed_variance(&schedule, 50, FixedVariance::Posterior);
    assert_close("C at σ² = β̃", kl_constant(&schedule, 50, tilde, 2), 0.0, 1e-15);
}

#[test]
fn equation_11_is_the_posterior_mean_at_the_predicted_x_0() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let (x_t, eps) = (standard_normal::<f64>(5, 2, &mut rng(6)), standard_normal::<f64>(5, 2, &mut rng(7)));
    for t in 1..=1000 {
        let x_0 = predict_x_0(&schedule, t, &x_t, &eps);
        let mu = mean_from_eps(&schedule, t, &x_t, &eps);
        // x̂_0 is up to 1/√ᾱ_T = 157 times as large as x_t, and that much of the rounding comes back
        assert_all_close(&format!("t = {t}: μ"), &mu, &posterior_mean(&schedule, t, &x_0, &x_t), 1e-11);
        assert_all_close(&format!("t = {t}: ε"), &eps_from_mean(&schedule, t, &x_t, &mu), &eps, 1e-9);
        assert_all_close(&format!("t = {t}: x_t"), &diffuse(&x_0, schedule.alpha_bar(t), &eps), &x_t, 1e-12);
    }
}

#[test]
fn eps_weight_is_equation_12_s() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    for t in 2..=1000 {
        // σ² = β: w = β/(2 α (1 − ᾱ)); σ² = β̃: w = β/(2 α (1 − ᾱ_{t−1})), by hand
        let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
        let by_hand = beta / (2.0 * alpha * (1.0 - schedule.alpha_bar(t)));
        assert_relative(&format!("w_{t}, σ² = β"), eps_weight(&schedule, t, beta), by_hand, 1e-12);
        let tilde = fixed_variance(&schedule, t, FixedVariance::Posterior);
        let by_hand = beta / (2.0 * alpha * (1.0 - schedule.alpha_bar(t - 1)));
        assert_relative(&format!("w_{t}, σ² = β̃"), eps_weight(&schedule, t, tilde), by_hand, 1e-10);
    }
    // at t = 1 with σ² = β the weight is 1/(2 α_1): half a unit, whatever β_1 is
    assert_relative("w_1", eps_weight(&schedule, 1, schedule.beta(1)), 0.5 / schedule.alpha(1), 1e-10);
}

#[test]
#[should_panic(expected = "t = 0 has no loss")]
fn eps_weight_has_no_t_0() {
    eps_weight(&Schedule::linear(10, 0.1, 0.2).unwrap(), 0, 0.1);
}

#[test]
fn known_data_has_a_known_denoiser() {
    // On one mixture, by another route: Tweedie's formula, E[ε | x_t] = −√(1 − ᾱ) ∇ ln q(x_t), with ∇ by differences
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    let mixture = Dataset::named(DatasetName::Mixture, "").unwrap();
    let checkerboard = Dataset::named(DatasetName::Checkerboard, "").unwrap();
    for data in [mixture, checkerboard] {
        let exact = ExactDenoiser::new(&schedule, known_posterior_mean(data.density()).unwrap());
        for t in [5, 50, 100] {
            let bar = schedule.alpha_bar(t);
            let log_q = |x: f64, y: f64| {
                data.diffused_log_density(array![x, y].view(), bar.sqrt(), 1.0 - bar).unwrap()
            };
            for (x, y) in [(0.3, -0.4), (-1.2, 0.9)] {
                let slope =
                    [log_q(x + 1e-5, y) - log_q(x - 1e-5, y), log_q(x, y + 1e-5) - log_q(x, y - 1e-5)];
                let eps = exact.predict(array![[x, y]].view(), t as f64).eps;
                for d in 0..2 {
                    // central differences with h = 1e-5: rounding of 1e-16/1e-5
                    let expected = -(1.0 - bar).sqrt() * slope[d] / 2e-5;
                    assert_close(
                        &format!("{}, t = {t}, ({x}, {y})", data.name()),
                        eps[(0, d)],
                        expected,
                        1e-7,
                    );
                }
            }
        }
    }
    let moons = Dataset::named(DatasetName::Moons, "").unwrap();
    assert!(known_posterior_mean(moons.density()).is_none());
}

#[test]
#[should_panic(expected = "t = 0 is the clean image")]
fn the_clean_image_has_no_noise() {
    let schedule = Schedule::linear(10, 0.1, 0.2).unwrap();
    let data = GaussianData { mean: array![0.0], variance: 1.0 };
    ExactDenoiser::new(&schedule, &data).predict(array![[0.0]].view(), 0.0);
}

#[test]
fn simple_loss_sums_over_coordinates() {
    let loss = simple_loss(&array![[1.0, 2.0], [0.0, 0.0]], &array![[0.0, 4.0], [3.0, 0.0]]);
    assert_eq!(loss.to_vec(), [5.0, 9.0], "‖(1, −2)‖² and ‖(−3, 0)‖²");
}

#[test]
fn the_exact_denoiser_is_the_conditional_mean() {
    // Bayes' rule on a grid over x_0, for one Gaussian
    let data = GaussianData { mean: array![0.7], variance: 0.4 };
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    for t in [1, 10, 50, 100] {
        let (signal, variance) = (schedule.alpha_bar(t).sqrt(), 1.0 - schedule.alpha_bar(t));
        let grid = ddpm::posterior::GridDensity::normalized(-6.0, 7.0, 40_001, |x| {
            log_density(x, 0.7, 0.4) + log_density(0.9, signal * x, variance)
        });
        let x_t = array![0.9];
        assert_close(
            &format!("E[x_0 | x_{t}]"),
            data.posterior_mean(x_t.view(), signal, variance)[0],
            grid.mean(),
            1e-8,
        );
        let eps = ExactDenoiser::new(&schedule, &data).predict(array![[0.9]].view(), t as f64).eps[(0, 0)];
        assert_close(&format!("E[ε | x_{t}]"), eps, (0.9 - signal * grid.mean()) / variance.sqrt(), 1e-7);
    }
}

// ANCHOR: no_denoiser_beats_the_exact_one
#[test]
fn no_denoiser_beats_the_exact_one() {
    // For x_0 ~ N(m, v): the irreducible loss is D ᾱ v/(ᾱ v + 1 − ᾱ)
    let data = GaussianData { mean: array![0.5, -0.5], variance: 0.6 };
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    let x_0 = &data.mean + &(0.6f64.sqrt() * standard_normal::<f64>(40_000, 2, &mut rng(8)));
    for t in [1, 10, 50, 100] {
        let bar = schedule.alpha_bar(t);
        let exact = denoising_loss(&schedule, &ExactDenoiser::new(&schedule, &data), &x_0, t, &mut rng(9));
        let expected = 2.0 * bar * 0.6 / (bar * 0.6 + 1.0 - bar);
        assert_close(
            &format!("t = {t}: irreducible"),
            mean(exact.view()),
            expected,
            4.0 * standard_error(exact.view()),
        );
        let by_variance =
            irreducible_loss(&schedule, &ExactDenoiser::new(&schedule, &data), &x_0, t, &mut rng(9));
        let error = standard_error(by_variance.view());
        assert_close(&format!("t = {t}: D − ‖E[ε | x_t]‖²"), mean(by_variance.view()), expected, 4.0 * error);
        let wrong = denoising_loss(&schedule, &Wrong, &x_0, t, &mut rng(9));
        assert!(mean(wrong.view()) > mean(exact.view()), "t = {t}");
    }
}
// ANCHOR_END: no_denoiser_beats_the_exact_one

#[test]
fn losses_at_each_t_are_one_row_of_fresh_points_a_step() {
    let schedule = Schedule::linear(10, 1e-2, 0.3).unwrap();
    let draw = |rng: &mut StdRng| standard_normal::<f64>(3000, 2, rng);
    let losses = losses_at_each_t(&schedule, &Wrong, draw, &mut rng(10));
    let mut generator = rng(10);
    for t in 1..=10 {
        let x_0 = draw(&mut generator);
        let expected = denoising_loss(&schedule, &Wrong, &x_0, t, &mut generator);
        assert_eq!(losses.row(t - 1).to_owned(), expected / 2.0, "t = {t}, per coordinate");
    }
    // x_0 ~ N(0, I): the exact denoiser leaves ᾱ_t
    let data = GaussianData { mean: array![0.0, 0.0], variance: 1.0 };
    let losses = losses_at_each_t(&schedule, &ExactDenoiser::new(&schedule, &data), draw, &mut rng(11));
    for (t, losses) in (1..).zip(losses.rows()) {
        let error = standard_error(losses);
        assert_close(&format!("t = {t}: ᾱ_t"), mean(losses), schedule.alpha_bar(t), 4.5 * error);
    }
}

#[test]
fn a_denoiser_without_a_step_is_silent_there_alone() {
    let x = standard_normal::<f64>(5, 2, &mut rng(12));
    let without = WithoutStep { denoiser: Wrong, t: 3 };
    for t in [1.0, 2.0, 2.999, 4.0] {
        assert_eq!(without.predict(x.view(), t), Wrong.predict(x.view(), t), "t = {t}");
    }
    assert_eq!(without.predict(x.view(), 3.0), Prediction { eps: Array2::zeros((5, 2)), variance: None });
}

#[test]
fn the_exact_denoiser_knows_the_times_between_two_steps() {
    // x_t = √ᾱ x_0 + √(1 − ᾱ) ε with the chain's own law: E[ε | x_t] by Bayes' rule on a fine grid of x_0
    let schedule = Schedule::linear(10, 0.01, 0.3).unwrap();
    let data = GaussianData { mean: array![0.3], variance: 0.4 };
    for time in [0.25, 3.5, 9.75] {
        let alpha_bar = (schedule.alpha_bar_at(time), 1.0 - schedule.alpha_bar_at(time));
        let x_t = 0.8;
        let (mut total, mut sum) = (0.0, 0.0);
        for x_0 in (-4000..=4000).map(|i| f64::from(i) * 2e-3) {
            let eps = (x_t - alpha_bar.0.sqrt() * x_0) / alpha_bar.1.sqrt();
            let weight = (-0.5 * ((x_0 - 0.3).powi(2) / 0.4 + eps * eps)).exp();
            total += weight;
            sum += weight * eps;
        }
        let got = ExactDenoiser::new(&schedule, &data).predict(array![[x_t]].view(), time).eps[(0, 0)];
        assert_close(&format!("ε* at t = {time}"), got, sum / total, 1e-9);
    }
}
