//! ch10_trilemma: the rivals' losses and gradients, their likelihoods where these are known, and the counting of modes.

mod common;

use common::{assert_all_close, assert_close, rng};
use ddpm::{
    Error,
    baselines::{
        BaselineConfig,
        experiment::{Experiment, Outcome, Run, Target, data_sets, least},
        gan::{
            GanConfig, GanTrainer, discriminator_gradient, discriminator_loss, generator_gradient,
            generator_loss, into_box, saturating_generator_loss, sigmoid, softplus,
        },
        gradient_errors,
        modes::{ModeReport, grid_of_gaussians, mode_counts},
        vae::{
            LatentModel, LinearVae, VaeConfig, VaeTrainer, elbo, importance_weighted,
            importance_weighted_log_likelihood, kl_weight, latent_kl, log_likelihood_by_quadrature,
            log_weights, mean_elbo, negative_elbo, reparameterize, reparameterize_backward,
        },
    },
    data::{Dataset, GaussianMixture},
    forward::standard_normal,
    gaussian::{DiagonalGaussian, kl_divergence, log_density},
    metrics::{StandardError, mean, standard_error},
    network::{Learner, LearnerConfig, MlpConfig, check::gradient_error, hidden_for_budget, parameter_count},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, ArrayView2, Axis, array};
use std::f64::consts::{LN_2, TAU};

/// (f(x + h) − f(x − h))/(2h).
fn central_difference(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    let h = 1e-6;
    (f(x + h) - f(x - h)) / (2.0 * h)
}

// The VAE's parts.

// ANCHOR: latent_kl_is_the_divergence_from_the_standard_normal
#[test]
fn latent_kl_is_the_divergence_from_the_standard_normal() {
    for (mean, s) in [(0.0, 0.0), (0.7, -1.2), (-2.0, 0.9), (3.0, -9.0)] {
        let (kl, of_mean, of_log) = latent_kl(mean, s);
        let at = format!("μ = {mean}, s = {s}");
        assert_close(&format!("KL at {at}"), kl, kl_divergence(mean, s.exp(), 0.0, 1.0), 1e-13);
        let slope = central_difference(mean, |mean| kl_divergence(mean, s.exp(), 0.0, 1.0));
        assert_close(&format!("∂KL/∂μ at {at}"), of_mean, slope, 1e-8);
        let slope = central_difference(s, |s| kl_divergence(mean, s.exp(), 0.0, 1.0));
        assert_close(&format!("∂KL/∂s at {at}"), of_log, slope, 1e-8);
    }
}
// ANCHOR_END: latent_kl_is_the_divergence_from_the_standard_normal

#[test]
fn reparameterize_draws_from_the_gaussian_it_is_given() {
    let (mean_of_z, s) = (0.7, -1.2);
    let noise = standard_normal(40_000, 1, &mut rng(1));
    let all = |value| Array2::from_elem((40_000, 1), value);
    let z = reparameterize(&all(mean_of_z), &all(s), &noise).column(0).to_owned();
    assert_close("mean of z", mean(z.view()), mean_of_z, 4.0 * standard_error(z.view()));
    let squares = z.mapv(|z| (z - mean_of_z).powi(2));
    assert_close("variance of z", mean(squares.view()), s.exp(), 4.0 * standard_error(squares.view()));
}

// ANCHOR: reparameterize_backward_is_the_slope_of_z
#[test]
fn reparameterize_backward_is_the_slope_of_z() {
    let draw = |seed| standard_normal::<f64>(5, 3, &mut rng(seed));
    let (mean, log_variance, noise, grad_z) = (draw(1), draw(2), draw(3), draw(4));
    let loss = |mean: &Array2<f64>, log_variance: &Array2<f64>| {
        (reparameterize(mean, log_variance, &noise) * &grad_z).sum()
    };
    let moved = |array: &Array2<f64>, at: (usize, usize), value: f64| {
        let mut array = array.clone();
        array[at] = value;
        array
    };
    let (grad_mean, grad_log) = reparameterize_backward(&log_variance, &noise, &grad_z);
    for (at, &value) in mean.indexed_iter() {
        let slope = central_difference(value, |value| loss(&moved(&mean, at, value), &log_variance));
        assert_close(&format!("∂L/∂μ at {at:?}"), grad_mean[at], slope, 1e-8);
    }
    for (at, &value) in log_variance.indexed_iter() {
        let slope = central_difference(value, |value| loss(&mean, &moved(&log_variance, at, value)));
        assert_close(&format!("∂L/∂s at {at:?}"), grad_log[at], slope, 1e-8);
    }
}
// ANCHOR_END: reparameterize_backward_is_the_slope_of_z

// ANCHOR: importance_weighted_is_the_logarithm_of_the_mean_weight
#[test]
fn importance_weighted_is_the_logarithm_of_the_mean_weight() {
    let weights: Array2<f64> = array![[0.5, 0.25, 0.125, 2.0], [1e-3, 1.0, 1.0, 1.0]];
    for shift in [0.0, -2000.0, 2000.0] {
        // e^{−2000} is 0 and e^{2000} infinite: a shift must come out as it went in
        let got = importance_weighted((weights.ln() + shift).view());
        for (n, expected) in [(2.875f64 / 4.0).ln(), (3.001f64 / 4.0).ln()].into_iter().enumerate() {
            let what = format!("weights {} times e^{shift}", weights.row(n));
            assert_close(&what, got[n], expected + shift, 1e-12 * (1.0 + shift.abs()));
        }
    }
}
// ANCHOR_END: importance_weighted_is_the_logarithm_of_the_mean_weight

#[test]
fn importance_weighted_of_one_draw_is_its_weight() {
    assert_eq!(importance_weighted(array![[-3.25], [7.5]].view()), array![-3.25, 7.5]);
}

// The GAN's parts.

// ANCHOR: discriminator_loss_is_the_cross_entropy
#[test]
fn discriminator_loss_is_the_cross_entropy() {
    let (real, fake) = (array![0.3, -1.7, 2.0], array![-0.4, 1.1]);
    let (loss, of_real, of_fake) = discriminator_loss(real.view(), fake.view());
    let probability = |a: f64| a.exp() / (1.0 + a.exp());
    let expected = -real.mapv(|a| probability(a).ln()).sum() / 3.0
        - fake.mapv(|b| (1.0 - probability(b)).ln()).sum() / 2.0;
    assert_close("−mean ln D(real) − mean ln(1 − D(fake))", loss, expected, 1e-12);
    let moved = |logits: &Array1<f64>, i: usize, value: f64| {
        let mut logits = logits.clone();
        logits[i] = value;
        logits
    };
    for (i, &a) in real.indexed_iter() {
        let slope = central_difference(a, |a| discriminator_loss(moved(&real, i, a).view(), fake.view()).0);
        assert_close(&format!("∂L/∂a_{i} of a real point"), of_real[i], slope, 1e-8);
    }
    for (i, &b) in fake.indexed_iter() {
        let slope = central_difference(b, |b| discriminator_loss(real.view(), moved(&fake, i, b).view()).0);
        assert_close(&format!("∂L/∂b_{i} of a generated point"), of_fake[i], slope, 1e-8);
    }
}
// ANCHOR_END: discriminator_loss_is_the_cross_entropy

#[test]
fn discriminator_loss_is_least_at_the_ratio_of_the_densities() {
    // A point that is real with density p and generated with density q: p ∂L/∂a + q ∂L/∂b = 0 at a = b = ln p/q.
    for (p, q) in [(0.5, 0.5), (0.9, 0.1), (1e-6, 0.2)] {
        let best = array![f64::ln(p / q)];
        let (_, of_real, of_fake) = discriminator_loss(best.view(), best.view());
        let slope = p * of_real[0] + q * of_fake[0];
        assert_close(&format!("slope at ln({p}/{q})"), slope, 0.0, 1e-15);
        assert!(of_real[0] < 0.0, "a real point wants a higher logit: {}", of_real[0]);
    }
}

#[test]
fn discriminator_loss_of_a_sure_judge_is_finite() {
    let (loss, of_real, of_fake) = discriminator_loss(array![-1e4].view(), array![1e4].view());
    assert_close("the loss of being wrong with odds e^10000, twice", loss, 2e4, 1e-9);
    assert_close("the slope at a real point", of_real[0], -1.0, 1e-12);
    assert_close("the slope at a generated point", of_fake[0], 1.0, 1e-12);
}

// ANCHOR: generator_loss_does_not_saturate
#[test]
fn generator_loss_does_not_saturate() {
    let fake = array![-40.0, -3.0, 0.0, 3.0];
    let (loss, slopes) = generator_loss(fake.view());
    let expected = fake.mapv(|b: f64| (1.0 + (-b).exp()).ln()).sum() / 4.0;
    assert_close("−mean ln D(fake)", loss, expected, 1e-12);
    for (i, &b) in fake.indexed_iter() {
        let slope = central_difference(b, |b| (1.0 + (-b).exp()).ln() / 4.0);
        assert_close(&format!("∂L/∂b at b = {b}"), slopes[i], slope, 1e-8);
    }
    assert_close("the slope where the judge is sure", slopes[0], -0.25, 1e-12);
}
// ANCHOR_END: generator_loss_does_not_saturate

#[test]
fn generator_loss_of_a_judge_that_is_sure_is_finite() {
    let (loss, slopes) = generator_loss(array![-1e4].view());
    assert_close("the loss", loss, 1e4, 1e-9);
    assert_close("its slope", slopes[0], -1.0, 1e-12);
}

#[test]
fn the_minimax_loss_has_the_same_fixed_point_and_vanishing_slopes() {
    let (minimax, slopes) = saturating_generator_loss(array![0.0, -40.0].view());
    assert_close("mean ln(1 − D)", minimax, -0.5 * (LN_2 + (-40f64).exp()), 1e-12);
    assert_close("its slope at D = ½", slopes[0], -0.25, 1e-12);
    assert_close("its slope where the judge is sure", slopes[1], 0.0, 1e-15);
    assert_close("softplus(0)", softplus(0.0), LN_2, 1e-15);
    assert_close("σ(−2) + σ(2)", sigmoid(-2.0) + sigmoid(2.0), 1.0, 1e-15);
}

#[test]
fn the_box_leaves_the_middle_alone_and_nothing_out() {
    let output = array![[1e-4, -1e-4], [2.0, -2.0], [500.0, -500.0]];
    let x = into_box(&output, 2.0);
    // tanh(o) = o − o³/3 + …
    assert_close("near 0", x[(0, 0)], 1e-4, 1e-12);
    assert_close("at the edge", x[(1, 1)], -2.0 * 1f64.tanh(), 1e-12);
    assert_close("far out", x[(2, 0)], 2.0, 1e-12);
}

// The counting of modes.

// ANCHOR: mode_counts_gives_each_sample_to_its_nearest_mode
#[test]
fn mode_counts_gives_each_sample_to_its_nearest_mode() {
    let mixture = GaussianMixture::new(
        array![0.5, 0.25, 0.25],
        array![[0.0, 0.0], [2.0, 0.0], [0.0, 5.0]],
        array![[0.01, 0.01], [0.01, 0.04], [0.25, 0.25]],
    );
    let samples = array![
        [0.29, 0.0], // 2.9 deviations from the first
        [0.31, 0.0], // 3.1: nobody's
        [2.0, 0.59], // 2.95 of the second's upright deviations of 0.2
        [2.29, 0.3], // 2.9 across and 1.5 up are 3.26 together
        [0.0, 3.6],  // 2.8 of the third's wide deviations
        [0.1, -0.1],
    ];
    for (i, mode) in [Some(0), None, Some(1), None, Some(2), Some(0)].into_iter().enumerate() {
        let sample = samples.select(Axis(0), &[i]);
        let expected: Vec<usize> = (0..3).map(|k| usize::from(mode == Some(k))).collect();
        assert_eq!(mode_counts(&mixture, &sample, 3.0).to_vec(), expected, "the sample {sample} alone");
    }
    assert_eq!(mode_counts(&mixture, &samples, 3.0).to_vec(), [2, 1, 1], "within 3 deviations");
    assert_eq!(mode_counts(&mixture, &samples, 3.2).to_vec(), [3, 1, 1], "within 3.2 deviations");
    assert_eq!(mode_counts(&mixture, &samples, 1.0).to_vec(), [0, 0, 0], "within 1 deviation");
}
// ANCHOR_END: mode_counts_gives_each_sample_to_its_nearest_mode

#[test]
fn mode_counts_measures_near_in_each_mode_s_own_deviations() {
    // 0.25 from a mode of deviation 0.1, 0.75 from one of deviation 0.5: 2.5 and 1.5 deviations
    let means = array![[0.0, 0.0], [1.0, 0.0]];
    let variances = array![[0.01, 0.01], [0.25, 0.25]];
    let mixture = GaussianMixture::new(array![0.5, 0.5], means, variances);
    let counts = mode_counts(&mixture, &array![[0.25, 0.0]], 3.0).to_vec();
    assert_eq!(counts, [0, 1], "2.5 deviations from a narrow mode, 1.5 from a wide one farther away");
}

#[test]
fn mode_counts_of_overlapping_modes_counts_each_sample_once() {
    let means = array![[0.0, 0.0], [0.1, 0.0]];
    let mixture = GaussianMixture::new(array![0.5, 0.5], means, Array2::from_elem((2, 2), 0.01));
    let samples = array![[0.04, 0.0], [0.06, 0.0], [0.2, 0.0]];
    assert_eq!(mode_counts(&mixture, &samples, 3.0).to_vec(), [1, 2]);
}

#[test]
fn mode_report_of_the_mixture_itself_finds_all_that_lies_within_three_deviations() {
    let mixture = grid_of_gaussians(5, 2.0, 0.05);
    let (n, reach) = (20_000, 3.0);
    let report = ModeReport::of(&mixture, &mixture.sample(n, &mut rng(2)), reach);
    assert_eq!(report.found, 25);
    // In the plane, a share of 1 − e^{−r²/2} lies within r deviations.
    let share = 1.0 - (-0.5 * reach * reach).exp();
    let error = (share * (1.0 - share) / n as f64).sqrt();
    assert_close("share within three deviations", report.high_quality, share, 4.0 * error);
    // 2n KL follows a χ² distribution of K − 1 = 24 degrees, to first order: mean 24, standard deviation √48.
    let chi_squared = 2.0 * n as f64 * report.unevenness;
    assert_close("2n KL", chi_squared, 24.0, 4.0 * 48f64.sqrt());
}

#[test]
fn mode_report_says_how_uneven_a_collapse_is() {
    let mixture = grid_of_gaussians(2, 2.0, 0.1);
    let one = Array2::from_shape_fn((10, 2), |(_, axis)| mixture.means[(3, axis)]);
    let report = ModeReport::of(&mixture, &one, 3.0);
    assert_eq!((report.found, report.high_quality), (1, 1.0));
    assert_close("KL of one of four modes", report.unevenness, 4f64.ln(), 1e-12);
    assert_close("one of four modes, effectively", report.effective_share(), 0.25, 1e-12);
    let nothing = ModeReport::of(&mixture, &Array2::from_elem((10, 2), 50.0), 3.0);
    assert_eq!((nothing.found, nothing.high_quality), (0, 0.0));
    assert!(nothing.unevenness.is_nan(), "no sample, no shares: {}", nothing.unevenness);
    assert_eq!(nothing.effective_share(), 0.0);
}

#[test]
fn grid_of_gaussians_is_centred_and_evenly_spaced() {
    let grid = grid_of_gaussians(5, 2.0, 0.05);
    assert_close("its mean", grid.mean().mapv(f64::abs).sum(), 0.0, 1e-12);
    // The places −4, −2, 0, 2, 4 have variance 8.
    for variance in grid.variance() {
        assert_close("its variance along an axis", variance, 8.0 + 0.0025, 1e-12);
    }
    let far = |k: usize| grid.means.row(k).iter().map(|m| m * m).sum::<f64>();
    assert_eq!((0..25).filter(|&k| far(k) == 32.0).count(), 4, "corners");
}

// The networks' gradients.

fn config() -> BaselineConfig {
    BaselineConfig { steps: 10, batch: 4, hidden: 5, ..BaselineConfig::default() }
}

fn gan_config() -> GanConfig {
    GanConfig { learning: BaselineConfig { beta_1: 0.5, ..config() }, ..GanConfig::default() }
}

#[test]
fn both_gradients_of_a_vae_are_those_of_finite_differences() {
    let config = VaeConfig { learning: config(), ..VaeConfig::default() };
    let trainer = VaeTrainer::<f64>::new(config, 3, &mut rng(1)).unwrap();
    let (x, noise) = (standard_normal(4, 3, &mut rng(2)), standard_normal(4, 3, &mut rng(3)));
    for kl_weight in [0.0, 0.3, 1.0] {
        let loss = |vae: &mut VaeTrainer<f64>| {
            negative_elbo(&mut vae.encoder, &mut vae.decoder, &x, &noise, kl_weight)
        };
        // truncation: h² times a third derivative, that of embeddings included
        let error = gradient_error(&trainer, |vae| &mut vae.encoder, loss, 11);
        assert_close(&format!("encoder, β = {kl_weight}: relative error"), error, 0.0, 1e-7);
        let error = gradient_error(&trainer, |vae| &mut vae.decoder, loss, 11);
        assert_close(&format!("decoder, β = {kl_weight}: relative error"), error, 0.0, 1e-7);
    }
}

#[test]
fn a_gradient_that_misses_a_part_is_noticed() {
    let config = VaeConfig { learning: config(), ..VaeConfig::default() };
    let trainer = VaeTrainer::<f64>::new(config, 3, &mut rng(1)).unwrap();
    let (x, noise) = (standard_normal(4, 3, &mut rng(2)), standard_normal(4, 3, &mut rng(3)));
    // The loss of β = 1 with the gradient of β = 0: the KL's own gradient is missing.
    let loss = |vae: &mut VaeTrainer<f64>| {
        let loss = negative_elbo(&mut vae.encoder, &mut vae.decoder, &x, &noise, 1.0);
        negative_elbo(&mut vae.encoder, &mut vae.decoder, &x, &noise, 0.0);
        loss
    };
    let error = gradient_error(&trainer, |vae| &mut vae.encoder, loss, 11);
    assert!(error > 1e-2, "the KL's gradient is missing, and the error only {error}");
}

#[test]
fn both_gradients_of_a_gan_are_those_of_finite_differences() {
    let trainer = GanTrainer::<f64>::new(gan_config(), 3, &mut rng(1)).unwrap();
    let draw = |seed| standard_normal(4, 3, &mut rng(seed));
    let (real, fake, z) = (draw(2), draw(3), draw(4));
    let loss = |gan: &mut GanTrainer<f64>| discriminator_gradient(&mut gan.discriminator, &real, &fake);
    let error = gradient_error(&trainer, |gan| &mut gan.discriminator, loss, 11);
    assert_close("discriminator: relative error", error, 0.0, 1e-7);
    let loss =
        |gan: &mut GanTrainer<f64>| generator_gradient(&mut gan.generator, &mut gan.discriminator, &z, 1.7);
    let error = gradient_error(&trainer, |gan| &mut gan.generator, loss, 11);
    assert_close("generator: relative error", error, 0.0, 1e-7);
}

#[test]
fn the_loss_in_training_is_the_negative_elbo() {
    let config = VaeConfig { learning: config(), ..VaeConfig::default() };
    let mut vae = VaeTrainer::<f64>::new(config, 2, &mut rng(1)).unwrap();
    let (x, noise) = (standard_normal(6, 2, &mut rng(2)), standard_normal(6, 2, &mut rng(3)));
    let loss = negative_elbo(&mut vae.encoder, &mut vae.decoder, &x, &noise, 1.0);
    let networks = ddpm::baselines::vae::Vae {
        encoder: vae.encoder.network().clone(),
        decoder: vae.decoder.network().clone(),
    };
    let bound = elbo(&networks, x.view(), &noise);
    assert_close("loss", loss, -mean(bound.view()), 1e-12);
    let q = networks.encode(x.view());
    let reconstruction = networks.decode(q.sample(&noise).view()).log_density(x.view());
    let kl = networks.kl(x.view());
    for n in 0..6 {
        let expected: f64 = (0..2).map(|k| latent_kl(q.mean[(n, k)], q.variance[(n, k)].ln()).0).sum();
        assert_close(&format!("KL of point {n}"), kl[n], expected, 1e-12);
        assert_close(&format!("ELBO of point {n}"), bound[n], reconstruction[n] - expected, 1e-12);
    }
}

// Likelihoods that are known.

fn linear() -> LinearVae {
    LinearVae::with_true_posterior(array![0.3, -0.2, 1.0], array![0.8, -0.5, 0.1], 0.3)
}

/// The linear VAE with an encoder that is off in its mean and in its variance.
fn wrong_encoder() -> LinearVae {
    let right = linear();
    LinearVae { gain: &right.gain * 0.7 + 0.05, latent_variance: 1.6 * right.latent_variance, ..right }
}

/// ln N(x; m, C) of a full covariance in three dimensions, by the inverse of C as its adjugate over its determinant.
fn log_normal_3(x: &Array1<f64>, mean: &Array1<f64>, c: &Array2<f64>) -> f64 {
    let minor = |i: usize, j: usize| {
        let (r, s) = ([(i + 1) % 3, (i + 2) % 3], [(j + 1) % 3, (j + 2) % 3]);
        c[(r[0], s[0])] * c[(r[1], s[1])] - c[(r[0], s[1])] * c[(r[1], s[0])]
    };
    let determinant: f64 = (0..3).map(|j| c[(0, j)] * minor(0, j)).sum();
    let d = x - mean;
    let quadratic: f64 =
        (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).map(|(i, j)| d[i] * minor(j, i) * d[j]).sum();
    -0.5 * (3.0 * TAU.ln() + determinant.ln() + quadratic / determinant)
}

#[test]
fn the_likelihood_of_a_linear_vae_is_a_gaussian_s() {
    let vae = linear();
    let outer = Array2::from_shape_fn((3, 3), |(i, j)| vae.weight[i] * vae.weight[j]);
    let covariance = outer + 0.3 * Array2::eye(3);
    for x in standard_normal::<f64>(5, 3, &mut rng(1)).rows() {
        let expected = log_normal_3(&x.to_owned(), &vae.mean, &covariance);
        assert_close("ln p(x)", vae.log_likelihood(x), expected, 1e-12);
    }
}

#[test]
fn probabilistic_pca_takes_over_the_covariance() {
    for covariance in [array![[2.0, 0.9], [0.9, 1.0]], array![[1.0, -0.4], [-0.4, 3.0]]] {
        let vae = LinearVae::fit(array![1.0, 2.0], &covariance);
        assert_eq!(vae.mean, array![1.0, 2.0]);
        for (at, expected) in covariance.indexed_iter() {
            let noise = if at.0 == at.1 { vae.variance } else { 0.0 };
            let got = vae.weight[at.0] * vae.weight[at.1] + noise;
            assert_close(&format!("w wᵀ + σ² I at {at:?}"), got, *expected, 1e-12);
        }
    }
}

#[test]
fn with_the_true_posterior_every_weight_is_the_likelihood() {
    let (vae, x) = (linear(), standard_normal::<f64>(6, 3, &mut rng(2)));
    for seed in 0..5 {
        let weights = log_weights(&vae, x.view(), &standard_normal(6, 1, &mut rng(seed)));
        for (n, x) in x.rows().into_iter().enumerate() {
            assert_close(&format!("ln w at point {n}"), weights[n], vae.log_likelihood(x), 1e-12);
            assert_close("the gap", vae.gap(x), 0.0, 1e-12);
        }
    }
}

/// The mean over ε ~ N(0, 1) of what is quadratic in ε, exactly: Gauss–Hermite quadrature with nodes 0 and ±√3.
fn over_noise(f: impl Fn(&Array2<f64>) -> Array1<f64>, rows: usize) -> Array1<f64> {
    let at = |value: f64| f(&Array2::from_elem((rows, 1), value));
    (at(3f64.sqrt()) + at(-3f64.sqrt())) / 6.0 + at(0.0) * (2.0 / 3.0)
}

#[test]
fn the_elbo_misses_the_likelihood_by_the_divergence_of_the_posteriors() {
    let x = standard_normal::<f64>(6, 3, &mut rng(3));
    for (name, vae) in [("true posterior", linear()), ("wrong encoder", wrong_encoder())] {
        let bounds = over_noise(|noise| elbo(&vae, x.view(), noise), 6);
        let weights = over_noise(|noise| log_weights(&vae, x.view(), noise), 6);
        for (n, x) in x.rows().into_iter().enumerate() {
            let expected = vae.log_likelihood(x) - vae.gap(x);
            assert_close(&format!("{name}: ELBO at point {n}"), bounds[n], expected, 1e-12);
            assert_close(&format!("{name}: mean ln w at point {n}"), weights[n], expected, 1e-12);
        }
    }
    assert!(wrong_encoder().gap(x.row(0)) > 0.05, "the wrong encoder is wrong");
}

#[test]
fn the_importance_weighted_bound_rises_to_the_likelihood() {
    let vae = wrong_encoder();
    let x = Array2::from_shape_fn((4000, 3), |(_, d)| [0.9, -1.0, 0.4][d]); // one point, many times
    let exact = vae.log_likelihood(x.row(0));
    let mut before = f64::NEG_INFINITY;
    for draws in [1, 4, 16, 64] {
        let bound = importance_weighted_log_likelihood(&vae, x.view(), draws, &mut rng(4));
        let (bound, error) = (mean(bound.view()), standard_error(bound.view()));
        assert!(bound > before, "{draws} draws: {bound}, after {before}");
        assert!(bound < exact + 4.0 * error, "{draws} draws: {bound} ± {error} exceeds {exact}");
        before = bound;
        if draws == 1 {
            assert_close("one draw: the ELBO", bound, exact - vae.gap(x.row(0)), 4.0 * error);
        }
        if draws == 64 {
            // The bias is −Var(w)/(2 M w²) to first order; the weights' relative variance here is below 1.
            assert_close("64 draws: ln p(x)", bound, exact, 4.0 * error + 0.5 / 64.0);
        }
    }
}

/// Two latents on two axes: p(x) = N(0, diag(a_d² + σ²)).
struct Plane;

impl LatentModel for Plane {
    fn latents(&self) -> usize {
        2
    }

    fn encode(&self, x: ArrayView2<f64>) -> DiagonalGaussian {
        DiagonalGaussian::isotropic(Array2::zeros(x.dim()), 1.0)
    }

    fn decode(&self, z: ArrayView2<f64>) -> DiagonalGaussian {
        DiagonalGaussian::isotropic(&z * &array![0.9, -0.4], 0.05)
    }
}

#[test]
fn the_quadrature_over_two_latents_is_the_likelihood() {
    let x = standard_normal::<f64>(5, 2, &mut rng(5));
    let got = log_likelihood_by_quadrature(&Plane, x.view(), 8.0, 200);
    for (n, x) in x.rows().into_iter().enumerate() {
        let expected = log_density(x[0], 0.0, 0.81 + 0.05) + log_density(x[1], 0.0, 0.16 + 0.05);
        assert_close(&format!("ln p(x) at point {n}"), got[n], expected, 1e-9);
    }
}

// Budget and training.

#[test]
fn widest_uses_the_budget_and_no_more() {
    let budget = parameter_count(&MlpConfig::default());
    assert_eq!(budget, 99_074);
    for shapes in [GanTrainer::<f32>::shapes(&config(), 2), VaeTrainer::<f32>::shapes(&config(), 2)] {
        let hidden = hidden_for_budget(budget, &shapes);
        let cost = |hidden| -> usize {
            shapes.iter().map(|shape| parameter_count(&MlpConfig { hidden, ..shape.clone() })).sum()
        };
        assert!(cost(hidden) <= budget, "width {hidden}: {} parameters", cost(hidden));
        assert!(cost(hidden + 1) > budget, "width {}: {} parameters", hidden + 1, cost(hidden + 1));
    }
}

#[test]
#[should_panic(expected = "3 parameters are too few")]
fn a_budget_may_be_too_small() {
    hidden_for_budget(3, &[MlpConfig::default()]);
}

/// How many parameters differ between two networks.
fn changed(before: &Learner<f32>, after: &Learner<f32>) -> usize {
    let pairs = before.network().parameters().iter().zip(after.network().parameters());
    pairs.filter(|(before, after)| before != after).count()
}

#[test]
fn a_step_changes_every_parameter_of_both_networks() {
    let x = standard_normal(64, 2, &mut rng(1));
    let vae_config = VaeConfig { learning: config(), ..VaeConfig::default() };
    let before = VaeTrainer::<f32>::new(vae_config, 2, &mut rng(2)).unwrap();
    let mut after = before.clone();
    // The first step has weight 0 for the KL, and still reaches every parameter.
    after.step(&x, &mut rng(3));
    let all = |learner: &Learner<f32>| learner.network().parameters().len();
    assert_eq!(changed(&before.encoder, &after.encoder), all(&before.encoder), "encoder");
    assert_eq!(changed(&before.decoder, &after.decoder), all(&before.decoder), "decoder");

    let before = GanTrainer::<f32>::new(gan_config(), 2, &mut rng(2)).unwrap();
    let mut after = before.clone();
    after.step(&x, &mut rng(3));
    assert_eq!(changed(&before.discriminator, &after.discriminator), all(&before.discriminator));
    assert_eq!(changed(&before.generator, &after.generator), all(&before.generator), "generator");
    assert_ne!(after.generator.average().parameters(), before.generator.average().parameters());
}

#[test]
fn the_discriminator_learns_first_and_the_generator_follows_it() {
    // One blob far from where the generator begins: D tells the two apart, then G moves there.
    let blob = |n: usize, rng: &mut _| standard_normal::<f64>(n, 2, rng) * 0.2 + 1.5;
    let learning = BaselineConfig { steps: 400, batch: 32, hidden: 16, ..GanConfig::default().learning };
    let config = GanConfig { learning, ..GanConfig::default() };
    let trainer = GanTrainer::<f32>::new(config, 2, &mut rng(1)).unwrap();
    let mut first_losses = Vec::new();
    let generator = trainer.run(&mut rng(2), blob, |loss| first_losses.push(loss)).unwrap();
    let least = first_losses[..100].iter().map(|loss| loss.discriminator).fold(f64::INFINITY, f64::min);
    assert!(least < 1.3, "D tells them apart, but its loss never fell below {least} from 1.386");
    let drawn = generator.sample(500, &mut rng(3));
    for column in drawn.columns() {
        assert_close("the generator's mean", mean(column), 1.5, 0.5);
    }
}

#[test]
fn a_vae_learns_and_its_kl_warms_up() {
    let pair = |n: usize, rng: &mut _| {
        let noise = standard_normal::<f64>(n, 2, rng);
        noise.mapv(|z| z.signum() + 0.1 * z)
    };
    let learning = BaselineConfig { steps: 600, batch: 32, hidden: 16, ..BaselineConfig::default() };
    let config = VaeConfig { learning, warm_up: 0.5 };
    let trainer = VaeTrainer::<f32>::new(config, 2, &mut rng(1)).unwrap();
    let weights = [0, 150, 300, 599].map(|step| kl_weight(step, 600, 0.5));
    assert_eq!(weights, [0.0, 0.5, 1.0, 1.0], "β along the training");
    assert_eq!([0, 1].map(|step| kl_weight(step, 600, 0.0)), [1.0, 1.0], "without a warm-up");
    let vae = trainer.run(&mut rng(2), pair, |_| ()).unwrap();
    let x = pair(500, &mut rng(3));
    let bound = mean(elbo(&vae, x.view(), &standard_normal(500, 2, &mut rng(4))).view());
    // Without z, a Gaussian with the points' second moment of 1.17 is best: −ln 2π − ln 1.17 − 1 = −3.0
    assert!(bound > -2.5, "the ELBO is {bound}; a decoder that ignores z has −3");
    let weighted = mean(importance_weighted_log_likelihood(&vae, x.view(), 50, &mut rng(5)).view());
    let exact = mean(log_likelihood_by_quadrature(&vae, x.view(), 6.0, 150).view());
    assert!(bound < weighted && weighted < exact + 0.05, "{bound}, {weighted}, {exact}");
    assert_all_close(
        "the means are the samples without their noise",
        &vae.sample_means(5, &mut rng(6)),
        &vae.decode(standard_normal(5, 2, &mut rng(6)).view()).mean,
        0.0,
    );
    let spread = |points: Array2<f64>| points.mapv(f64::abs).mean_axis(Axis(0)).unwrap()[0];
    // 1.08 of the data; after so few steps some samples still lie between the two sides
    assert_close("mean |x| of its samples", spread(vae.sample(2000, &mut rng(7))), 1.08, 0.3);
}

#[test]
fn training_that_diverges_and_numbers_out_of_bounds_say_so() {
    let far = |n: usize, _: &mut _| Array2::from_elem((n, 2), f64::NAN);
    let vae_config = VaeConfig { learning: config(), ..VaeConfig::default() };
    let vae = VaeTrainer::<f32>::new(vae_config.clone(), 2, &mut rng(1)).unwrap();
    let error = vae.run(&mut rng(1), far, |_| ()).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");
    let gan = GanTrainer::<f32>::new(gan_config(), 2, &mut rng(1)).unwrap();
    let error = gan.run(&mut rng(1), far, |_| ()).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");

    let rejected = |config: BaselineConfig, says: &str| {
        let error =
            GanTrainer::<f32>::new(GanConfig { learning: config, ..GanConfig::default() }, 2, &mut rng(1))
                .unwrap_err()
                .to_string();
        assert!(error.contains(says), "“{error}” does not say “{says}”");
    };
    rejected(BaselineConfig { beta_1: 1.0, ..config() }, "β_1 is 1; it must lie in [0, 1)");
    rejected(BaselineConfig { steps: 0, ..config() }, "training steps is 0");
    rejected(BaselineConfig { hidden: 0, ..config() }, "hidden is 0");
    let error = VaeTrainer::<f32>::new(VaeConfig { warm_up: 1.5, ..vae_config }, 2, &mut rng(1)).unwrap_err();
    assert!(error.to_string().contains("warm-up is 1.5; it must lie in [0, 1]"), "{error}");
}

#[test]
fn a_learner_refuses_numbers_out_of_bounds() {
    let shape = config().shape(2, 2, 1.0);
    let rejected = LearnerConfig { steps: 0, ..config().learner() };
    let error = Learner::<f64>::new(rejected, shape, &mut rng(0)).unwrap_err().to_string();
    assert!(error.contains("training steps is 0; it must be at least 1"), "{error}");
}

// One budget for three models.

/// A ring and a grid, an experiment of a few steps on a chain of six, and the seed of its runs.
fn tiny() -> ([Dataset; 2], Experiment) {
    let mut experiment = Experiment::new(Schedule::linear(6, 0.1, 0.7).unwrap(), 3, 8, 40).unwrap();
    experiment.ddim_calls = vec![1, 3, 6];
    (data_sets().unwrap(), experiment)
}

#[test]
fn an_experiment_trains_every_model_on_every_data_set_in_every_run() {
    let (data, experiment) = tiny();
    let mut steps = 0;
    let outcomes = experiment.run(&data, 2, 7, || steps += 1).unwrap();
    assert_eq!(steps, 2 * 2 * 3 * 3, "data sets, runs, models, steps");
    let names: Vec<&str> = outcomes.iter().map(|outcome| outcome.name()).collect();
    assert_eq!(names, ["gaussians8", "a grid of 25 Gaussians"]);
    for outcome in &outcomes {
        assert_eq!(outcome.runs.len(), 2);
        for run in &outcome.runs {
            let losses = [&run.vae.losses, &run.gan.discriminator, &run.gan.generator, &run.ddpm.losses];
            assert!(losses.iter().all(|losses| losses.len() == 3), "a loss for each step");
            for (name, drawn) in Run::DRAWS {
                assert_eq!(drawn(run).points.dim(), (40, 2), "{name}");
            }
            let calls: Vec<usize> = run.ddpm.ddim.iter().map(|jumps| jumps.calls).collect();
            assert_eq!(calls, [1, 3], "DDIM with T calls would be no shortcut");
        }
        let [first, second] = [0, 1].map(|i| &outcome.runs[i].vae.drawn.points);
        assert_ne!(first, second, "each run has its own seed");
    }
}

#[test]
fn an_experiment_is_its_seed_s_whatever_thread_runs_it() {
    let (data, experiment) = tiny();
    let [one, same, other] = [7, 7, 8].map(|seed| experiment.run(&data, 2, seed, || ()).unwrap());
    for (one, same) in one.iter().flat_map(|one| &one.runs).zip(same.iter().flat_map(|same| &same.runs)) {
        for (name, drawn) in Run::DRAWS {
            assert_eq!(drawn(one).points, drawn(same).points, "{name}");
            assert_eq!(drawn(one).numbers(), drawn(same).numbers(), "{name}");
        }
        assert_eq!((one.vae.bits, one.vae.gaps, one.vae.kl), (same.vae.bits, same.vae.gaps, same.vae.kl));
        assert_eq!((one.ddpm.bits, one.ddpm.gap), (same.ddpm.bits, same.ddpm.gap));
    }
    for (name, drawn) in Run::DRAWS {
        assert_ne!(drawn(&one[0].runs[0]).points, drawn(&other[0].runs[0]).points, "{name}: another seed");
    }
    // The second run on the second data set, model by model: the generators are numbered through.
    let target = Target::new(&data[1], experiment.count, &mut rng(7));
    let number = |model: u64| 7000 + 3 * (2 + 1) + model;
    let run = &one[1].runs[1];
    let vae = experiment.vae(&target, &mut rng(number(0)), || ()).unwrap();
    let gan = experiment.gan(&target, &mut rng(number(1)), || ()).unwrap();
    let ddpm = experiment.ddpm(&target, &mut rng(number(2)), || ()).unwrap();
    assert_eq!((vae.drawn.points, vae.gaps), (run.vae.drawn.points.clone(), run.vae.gaps));
    assert_eq!(gan.drawn.points, run.gan.drawn.points);
    assert_eq!((ddpm.drawn.points, ddpm.gap), (run.ddpm.drawn.points.clone(), run.ddpm.gap));
}

#[test]
fn the_gaps_of_an_experiment_are_bounds_less_tighter_ones() {
    let (data, experiment) = tiny();
    let outcomes = experiment.run(&data, 1, 3, || ()).unwrap();
    for Outcome { target, runs } in &outcomes {
        let (vae, ddpm) = (&runs[0].vae, &runs[0].ddpm);
        let [elbo, weighted, exact] = vae.bits;
        let differences =
            [elbo - weighted, weighted - exact, exact - target.entropy, ddpm.bits - target.entropy];
        for ((name, of), difference) in Run::GAPS.into_iter().zip(differences) {
            let (gap, error) = of(&runs[0]);
            assert_close(name, gap, difference, 1e-12);
            assert!(gap > -error.tolerance(), "{name} is {gap} ± {}", error.value());
        }
        // networks that have learned nothing are far from the data's entropy, and a bound of them is above it
        for (gap, error) in [vae.gaps[2], ddpm.gap] {
            assert!(gap > error.tolerance(), "{gap} ± {}", error.value());
        }
    }
    // 25 equal Gaussians twenty deviations apart: ln 25 and one Gaussian's entropy, in the standardised unit
    let volume = data[1].standardization().log_volume();
    let entropy = (25f64.ln() + 2.0 * ddpm::gaussian::entropy(0.01) - volume) / (2.0 * LN_2);
    assert_close("entropy of the grid in bits/dim", outcomes[1].target.entropy, entropy, 1e-6);
}

#[test]
fn the_least_gap_is_the_one_of_the_most_standard_errors_below() {
    let gaps = [(0.1, 0.1), (-0.02, 0.01), (-0.5, 1.0)].map(|(gap, error)| (gap, StandardError::from(error)));
    let (gap, error) = least(gaps);
    assert_eq!((gap, error), (-0.02, StandardError::from(0.01).largest_of(3)));
}

#[test]
fn scores_are_means_over_the_runs_with_one_call_fast_and_all_of_them_slow() {
    let (data, experiment) = tiny();
    let outcomes = experiment.run(&data[..1], 2, 5, || ()).unwrap();
    let scores = outcomes[0].scores();
    let names: Vec<&str> = scores.iter().map(|score| score.name.as_str()).collect();
    assert_eq!(names, ["VAE", "GAN", "DDIM, 1 call", "DDIM, 3 calls", "DDPM"]);
    let [one, two] = [0, 1].map(|i| outcomes[0].runs[i].ddpm.ddim[1].drawn.modes);
    let jumps = &scores[3];
    assert_close("quality", jumps.quality, (one.high_quality + two.high_quality) / 2.0, 1e-12);
    assert_close("coverage", jumps.coverage, (one.effective_share() + two.effective_share()) / 2.0, 1e-12);
    assert_close("speed of 3 calls of 6", jumps.speed, 2f64.ln() / 6f64.ln(), 1e-12);
    assert_eq!((scores[0].speed, scores[2].speed, scores[4].speed), (1.0, 1.0, 0.0));
}

#[test]
fn no_rival_is_larger_than_ddpm_or_could_be_wider() {
    let (_, experiment) = tiny();
    let [vae, gan, ddpm] = experiment.sizes().map(|(_, size)| size);
    type Shapes = fn(&BaselineConfig, usize) -> [MlpConfig; 2];
    for (rival, shapes) in
        [(vae, VaeTrainer::<f32>::shapes as Shapes), (gan, GanTrainer::<f32>::shapes as Shapes)]
    {
        let parameters = |hidden| -> usize {
            shapes(&BaselineConfig { hidden, ..experiment.vae.learning.clone() }, 2)
                .iter()
                .map(parameter_count)
                .sum()
        };
        assert_eq!(rival[1], parameters(rival[0]));
        assert!(rival[1] <= ddpm[1] && ddpm[1] < parameters(rival[0] + 1), "{rival:?} beside {ddpm:?}");
        assert!(rival[2] < rival[1], "one of two networks draws");
    }
    assert_eq!((vae[3], gan[3], ddpm[3]), (1, 1, 6), "calls");
    assert_eq!(ddpm[1], parameter_count(&MlpConfig::default()));
}

#[test]
fn an_experiment_times_every_model() {
    let (_, experiment) = tiny();
    let paces = experiment.paces(3, &mut rng(1)).unwrap();
    assert_eq!(paces.map(|pace| pace.calls), [1, 1, 3, 6]);
    assert!(paces.iter().all(|pace| pace.seconds > 0.0), "{paces:?}");
    assert!(experiment.paces(7, &mut rng(1)).is_err(), "more calls than T");
}

#[test]
fn bad_numbers_of_an_experiment_are_refused() {
    let schedule = || Schedule::linear(6, 0.1, 0.7).unwrap();
    for (steps, batch) in [(0, 8), (3, 0)] {
        let error = Experiment::new(schedule(), steps, batch, 40).unwrap_err();
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
}

#[test]
fn the_gradients_of_all_four_networks_are_right() {
    for (name, error) in gradient_errors(&mut rng(9)) {
        assert!(error > 0.0, "{name}: differences are never exact");
        assert_close(name, error, 0.0, 1e-6);
    }
}

#[test]
fn a_mean_elbo_misses_the_likelihood_by_the_gap() {
    let (vae, x) = (wrong_encoder(), standard_normal::<f64>(4, 3, &mut rng(2)));
    let bound = mean_elbo(&vae, x.view(), 40_000, &mut rng(3));
    for (n, x) in x.rows().into_iter().enumerate() {
        // one draw scatters by about a nat
        assert_close(&format!("point {n}"), bound[n], vae.log_likelihood(x) - vae.gap(x), 0.05);
    }
    let two = mean_elbo(&vae, x.view(), 2, &mut rng(4));
    let mut rng = rng(4);
    let [a, b] = [(); 2].map(|()| elbo(&vae, x.view(), &standard_normal(4, 1, &mut rng)));
    let difference = (two - (a + b) / 2.0).mapv(f64::abs).sum();
    assert_close("the mean of two draws", difference, 0.0, 1e-12);
}

#[test]
fn samples_of_a_mixture_are_on_average_as_expected() {
    let (mixture, expected) = (grid_of_gaussians(3, 3.0, 0.1), ModeReport::expected(9, 500, 2.0));
    let reports: Vec<ModeReport> =
        (0..200).map(|seed| ModeReport::of(&mixture, &mixture.sample(500, &mut rng(seed)), 2.0)).collect();
    let quality: Array1<f64> = reports.iter().map(|report| report.high_quality).collect();
    let unevenness: Array1<f64> = reports.iter().map(|report| report.unevenness).collect();
    assert_close(
        "quality",
        mean(quality.view()),
        expected.high_quality,
        5.0 * standard_error(quality.view()),
    );
    // only those of high quality are counted, which makes the modes a little less even
    let counted = expected.unevenness / expected.high_quality;
    assert_close("unevenness", mean(unevenness.view()), counted, 5.0 * standard_error(unevenness.view()));
    assert_eq!((expected.found, reports[0].found), (9, 9));
}
