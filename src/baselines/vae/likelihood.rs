//! How likely is a point under a model with latents? A bound, a tighter bound, and for two latents the
//! integral itself.

use super::LatentModel;
use crate::{forward::standard_normal, gaussian::DiagonalGaussian};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};
use ndarray_rand::rand::Rng;

/// N(0, I) for each of so many rows.
fn prior(shape: (usize, usize)) -> DiagonalGaussian {
    DiagonalGaussian::isotropic(Array2::zeros(shape), 1.0)
}

// ANCHOR: elbo
/// The evidence lower bound of each point, E_q\[ln p(x | z)\] − KL(q(z | x) ‖ N(0, I)), with one draw of z:
/// (N), nats.
///
/// Source: Kingma & Welling 2013, Eq. (7). Its mean over draws is at most ln p(x); what is missing is KL(q(z
/// | x) ‖ p(z | x)). Shapes: `x` (N, D), `noise` (N, K).
pub fn elbo(model: &impl LatentModel, x: ArrayView2<f64>, noise: &Array2<f64>) -> Array1<f64> {
    let q = model.encode(x);
    let z = q.sample(noise);
    model.decode(z.view()).log_density(x) - q.kl_divergence(&prior(z.dim()))
}
// ANCHOR_END: elbo

/// The evidence lower bound of each point, a mean over `draws` draws of z: (N), nats.
///
/// Source: Kingma & Welling 2013, Eq. (7). In expectation it is that of one draw, [`elbo`]; it scatters less. `x` is (N, D).
///
/// # Example
/// ```
/// use ddpm::baselines::vae::{LinearVae, mean_elbo};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let vae = LinearVae::with_true_posterior(array![0.0, 0.0], array![1.0, 0.5], 0.3);
/// let (x, mut rng) = (array![[0.4, -0.7]], StdRng::seed_from_u64(0));
/// let bound = mean_elbo(&vae, x.view(), 20_000, &mut rng);
/// assert!((bound[0] - vae.log_likelihood(x.row(0))).abs() < 0.02); // the encoder is right: nothing is missing
/// ```
///
/// # Panics
/// If there are no draws.
#[track_caller]
pub fn mean_elbo(
    model: &impl LatentModel,
    x: ArrayView2<f64>,
    draws: usize,
    rng: &mut impl Rng,
) -> Array1<f64> {
    assert!(draws > 0, "a mean over draws needs at least one");
    let bounds = (0..draws).map(|_| elbo(model, x, &standard_normal(x.nrows(), model.latents(), rng)));
    bounds.fold(Array1::zeros(x.nrows()), |sum, bound| sum + bound / draws as f64)
}

// ANCHOR: log_weights
/// ln p(x, z)/q(z | x) of each point at one draw of z from q: (N), nats.
///
/// Were q(z | x) the model's true posterior, this would be ln p(x) at *every* z. Shapes: `x` (N, D), `noise`
/// (N, K).
pub fn log_weights(model: &impl LatentModel, x: ArrayView2<f64>, noise: &Array2<f64>) -> Array1<f64> {
    let q = model.encode(x);
    let z = q.sample(noise);
    model.decode(z.view()).log_density(x) + prior(z.dim()).log_density(z.view()) - q.log_density(z.view())
}
// ANCHOR_END: log_weights

// ANCHOR: importance_weighted
/// ln of the mean weight of each row, from M log-weights: (N, M) to (N), nats.
///
/// Source: Burda, Grosse & Salakhutdinov 2016 (Importance Weighted Autoencoders), Eq. (8).
///
/// The weights are as small as densities are: the largest is taken out before `exp`, and put back after `ln`.
///
/// # Formula
/// L_M = ln (1/M) Σ_m exp(ln w_m)
///
/// # Example
/// ```
/// use ddpm::baselines::vae::importance_weighted;
///
/// let log_weights = ndarray::array![[-2000.0, -2000.0 + 3f64.ln()]]; // weights 1 : 3, and e^{−2000} is 0 in f64
/// assert!((importance_weighted(log_weights.view())[0] - (-2000.0 + 2f64.ln())).abs() < 1e-9);
/// ```
pub fn importance_weighted(log_weights: ArrayView2<f64>) -> Array1<f64> {
    log_weights.map_axis(Axis(1), |row| {
        let largest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let mean = row.mapv(|log_weight| (log_weight - largest).exp()).sum() / row.len() as f64;
        largest + mean.ln()
    }) // (N)
}
// ANCHOR_END: importance_weighted

// ANCHOR: importance_weighted_log_likelihood
/// The importance-weighted bound of each point with `draws` draws of z: (N), nats.
///
/// Source: Burda, Grosse & Salakhutdinov 2016, Theorem 1: in the mean it is at least the ELBO, grows with the
/// draws, and tends to ln p(x).
///
/// # Panics
/// If there are no draws.
#[track_caller]
pub fn importance_weighted_log_likelihood(
    model: &impl LatentModel,
    x: ArrayView2<f64>,
    draws: usize,
    rng: &mut impl Rng,
) -> Array1<f64> {
    assert!(draws > 0, "a mean over draws needs at least one");
    let mut weights = Array2::zeros((x.nrows(), draws)); // (N, M)
    for mut column in weights.columns_mut() {
        let noise = standard_normal(x.nrows(), model.latents(), rng);
        column.assign(&log_weights(model, x, &noise));
    }
    importance_weighted(weights.view())
}
// ANCHOR_END: importance_weighted_log_likelihood

// ANCHOR: log_likelihood_by_quadrature
/// ln p(x) = ln ∫ p(x | z) N(z; 0, I) dz of each point, for a model with two latents, by the midpoint rule:
/// (N), nats.
///
/// `cells` to a side cover the square from −`reach` to `reach`; the prior leaves e^{−reach²/2} outside. It
/// calls the decoder only, so the result does not depend on the encoder.
///
/// # Panics
/// If the model has not two latents.
#[track_caller]
pub fn log_likelihood_by_quadrature(
    model: &impl LatentModel,
    x: ArrayView2<f64>,
    reach: f64,
    cells: usize,
) -> Array1<f64> {
    assert_eq!(model.latents(), 2, "the quadrature is over a plane of latents");
    let width = 2.0 * reach / cells as f64;
    let place = |index: usize| (index as f64 + 0.5) * width - reach;
    let z = Array2::from_shape_fn((cells * cells, 2), |(i, axis)| {
        place(if axis == 0 { i % cells } else { i / cells })
    });
    let p = model.decode(z.view());
    let log_share = prior(z.dim()).log_density(z.view()) + 2.0 * width.ln() + (z.nrows() as f64).ln(); // (cells²)
    let log_likelihood = |x: ArrayView1<f64>| {
        let everywhere = x.broadcast(p.mean.dim()).expect("one point has as many coordinates as all");
        importance_weighted((p.log_density(everywhere) + &log_share).view().insert_axis(Axis(0)))[0]
    };
    Zip::from(x.rows()).map_collect(log_likelihood)
}
// ANCHOR_END: log_likelihood_by_quadrature
