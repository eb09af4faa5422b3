//! Slips in the baselines' losses, and in the counting of modes.

use super::slip;
use crate::data::GaussianMixture;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use solution::baselines::{gan, modes, vae};

pub fn latent_kl(mean: f64, log_variance: f64) -> (f64, f64, f64) {
    let (kl, of_mean, of_log) = vae::latent_kl(mean, log_variance);
    match slip("latent_kl") {
        "by_variance_for_by_its_logarithm" => (kl, of_mean, of_log * (-log_variance).exp()),
        "standard_deviation_for_variance" => vae::latent_kl(mean, 0.5 * log_variance),
        "half_forgotten" => (2.0 * kl, 2.0 * of_mean, 2.0 * of_log),
        "sign" => (-kl, -of_mean, -of_log),
        "backwards" => {
            // KL(N(0, 1) ‖ N(μ, eˢ))
            let precision = (-log_variance).exp();
            let spread = (1.0 + mean * mean) * precision;
            (0.5 * (spread - 1.0 + log_variance), mean * precision, 0.5 * (1.0 - spread))
        }
        _ => (kl, of_mean, of_log),
    }
}

pub fn reparameterize_backward(
    log_variance: &Array2<f64>,
    noise: &Array2<f64>,
    grad_z: &Array2<f64>,
) -> (Array2<f64>, Array2<f64>) {
    let (of_mean, of_log) = vae::reparameterize_backward(log_variance, noise, grad_z);
    match slip("reparameterize_backward") {
        "half_forgotten" => (of_mean, of_log * 2.0),
        "noise_forgotten" => (of_mean, log_variance.mapv(|s| 0.5 * (0.5 * s).exp()) * grad_z),
        "variance_for_standard_deviation" => (of_mean, log_variance.exp() * 0.5 * noise * grad_z),
        "no_gradient_through_the_draw" => {
            let nothing = Array2::zeros(of_log.dim());
            (of_mean, nothing)
        }
        "swapped" => (of_log, of_mean),
        _ => (of_mean, of_log),
    }
}

pub fn importance_weighted(log_weights: ArrayView2<f64>) -> Array1<f64> {
    let right = vae::importance_weighted(log_weights);
    let draws = log_weights.ncols() as f64;
    match slip("importance_weighted") {
        "mean_of_logarithms" => log_weights.sum_axis(Axis(1)) / draws,
        "sum_for_mean" => right + draws.ln(),
        "underflow" => (log_weights.exp().sum_axis(Axis(1)) / draws).ln(),
        "over_points_for_over_draws" => {
            let turned = vae::importance_weighted(log_weights.t());
            Array1::from_shape_fn(right.len(), |n| turned[n % turned.len()])
        }
        "largest_weight_alone" => log_weights.map_axis(Axis(1), |row| {
            row.fold(f64::NEG_INFINITY, |largest, &weight| largest.max(weight)) - draws.ln()
        }),
        _ => right,
    }
}

pub fn discriminator_loss(real: ArrayView1<f64>, fake: ArrayView1<f64>) -> (f64, Array1<f64>, Array1<f64>) {
    let (loss, of_real, of_fake) = gan::discriminator_loss(real, fake);
    match slip("discriminator_loss") {
        "sides_swapped" => {
            let (loss, of_fake, of_real) = gan::discriminator_loss(fake, real);
            (loss, of_real, of_fake)
        }
        "sum_for_mean" => {
            let (n, m) = (real.len() as f64, fake.len() as f64);
            (loss, of_real * n, of_fake * m)
        }
        "sign" => (-loss, -of_real, -of_fake),
        "real_points_alone" => {
            let nothing = Array1::zeros(of_fake.len());
            (gan::generator_loss(real).0, of_real, nothing)
        }
        "overflow" => {
            let (n, m) = (real.len() as f64, fake.len() as f64);
            let loss = real.mapv(|a| (1.0 + (-a).exp()).ln()).sum() / n
                + fake.mapv(|b| (1.0 + b.exp()).ln()).sum() / m;
            (loss, of_real, of_fake)
        }
        _ => (loss, of_real, of_fake),
    }
}

pub fn generator_loss(fake: ArrayView1<f64>) -> (f64, Array1<f64>) {
    let (loss, slopes) = gan::generator_loss(fake);
    match slip("generator_loss") {
        "minimax" => gan::saturating_generator_loss(fake),
        "ascent" => (loss, -slopes),
        "discriminators_own" => {
            let (_, _, slopes) = gan::discriminator_loss(fake, fake);
            (fake.mapv(gan::softplus).sum() / fake.len() as f64, slopes)
        }
        "sum_for_mean" => (loss * fake.len() as f64, slopes * fake.len() as f64),
        "overflow" => (fake.mapv(|b| (1.0 + (-b).exp()).ln()).sum() / fake.len() as f64, slopes),
        _ => (loss, slopes),
    }
}

#[track_caller]
pub fn mode_counts(mixture: &GaussianMixture, samples: &Array2<f64>, reach: f64) -> Array1<usize> {
    let right = |mixture: &GaussianMixture| modes::mode_counts(mixture, samples, reach);
    let with = |variances: Array2<f64>| GaussianMixture { variances, ..mixture.clone() };
    match slip("mode_counts") {
        "variance_for_standard_deviation" => right(&with(mixture.variances.mapv(|v| v * v))),
        "first_axis_for_all" => {
            right(&with(Array2::from_shape_fn(mixture.variances.dim(), |(k, _)| mixture.variances[(k, 0)])))
        }
        "every_mode_in_reach" => {
            let alone = |k: usize| {
                let row = |of: &Array2<f64>| of.row(k).to_owned().insert_axis(Axis(0));
                let weights = Array1::from_elem(1, 1.0);
                right(&GaussianMixture::new(weights, row(&mixture.means), row(&mixture.variances)))[0]
            };
            (0..mixture.weights.len()).map(alone).collect()
        }
        "nearest_by_plain_distance" => {
            let nearest = |x: ArrayView1<f64>| {
                let squares = |k: &usize| (&x - &mixture.means.row(*k)).mapv(|d| d * d).sum();
                (0..mixture.weights.len()).min_by(|a, b| squares(a).total_cmp(&squares(b)))
            };
            let mut counts = Array1::zeros(mixture.weights.len());
            for x in samples.rows() {
                let Some(k) = nearest(x) else { continue };
                let deviations = (&x - &mixture.means.row(k)).mapv(|d| d * d) / mixture.variances.row(k);
                counts[k] += usize::from(deviations.sum() <= reach * reach);
            }
            counts
        }
        "no_reach" => modes::mode_counts(mixture, samples, f64::INFINITY),
        "each_axis_by_itself" => {
            let mut counts = Array1::zeros(mixture.weights.len());
            for x in samples.rows() {
                let near = |k: &usize| {
                    let (mean, variance) = (mixture.means.row(*k), mixture.variances.row(*k));
                    (0..x.len()).all(|d| (x[d] - mean[d]).abs() <= reach * variance[d].sqrt())
                };
                if let Some(k) = (0..counts.len()).find(near) {
                    counts[k] += 1;
                }
            }
            counts
        }
        _ => right(mixture),
    }
}
