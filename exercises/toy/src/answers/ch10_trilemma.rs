//! ch10_trilemma: what DDPM is compared with: the two halves of a VAE's loss, the two sides of a GAN's game, and how
//! to judge them.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch10_trilemma`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    baselines::gan::{sigmoid, softplus},
    data::GaussianMixture,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// The divergence of one latent coordinate's N(μ, eˢ) from N(0, 1), and its derivatives with respect to μ and s; nats.
///
/// Source: Kingma & Welling 2013, App. B.
///
/// `mean` is μ and `log_variance` is s.
pub fn latent_kl(mean: f64, log_variance: f64) -> (f64, f64, f64) {
    let _ = (mean, log_variance);
    todo!(
        "Kingma & Welling, App. B: the network gives s, the *logarithm* of the variance; differentiate by it"
    )
}

/// The gradients of [`reparameterize`], (∂L/∂μ, ∂L/∂s), from G = ∂L/∂z.
///
/// Source: Kingma & Welling 2013, §2.4.
///
/// `grad_z` is G. The noise is a constant here: it was drawn before, and does not depend on the network. Shapes: all (N, K).
pub fn reparameterize_backward(
    log_variance: &Array2<f64>,
    noise: &Array2<f64>,
    grad_z: &Array2<f64>,
) -> (Array2<f64>, Array2<f64>) {
    let _ = (log_variance, noise, grad_z);
    todo!(
        "Kingma & Welling, §2.4: z = μ + e^{{s/2}} ε; which z does a single μ or s reach, and how strongly?"
    )
}

/// ln of the mean weight of each row, from M log-weights: (N, M) to (N), nats.
///
/// Source: Burda, Grosse & Salakhutdinov 2016 (Importance Weighted Autoencoders), Eq. (8).
///
/// The weights are as small as densities are: the largest is taken out before `exp`, and put back after `ln`.
pub fn importance_weighted(log_weights: ArrayView2<f64>) -> Array1<f64> {
    let _ = log_weights;
    todo!("Burda et al., Eq. (8): the logarithm of a mean, not the mean of logarithms; mind e^{{−2000}} = 0")
}

/// −mean ln D(real) − mean ln(1 − D(fake)) from the logits, and its derivatives with respect to them; nats.
///
/// Source: Goodfellow et al. 2014, Eq. (1).
///
/// `real` are the logits of N real points, `fake` those of M generated ones, and D = σ(logit), the [`sigmoid`]. It is 2 ln
/// 2 for a discriminator that gives D = ½ everywhere, and 2 ln 2 − 2 JS(p_data ‖ p_G) for the best one.
pub fn discriminator_loss(real: ArrayView1<f64>, fake: ArrayView1<f64>) -> (f64, Array1<f64>, Array1<f64>) {
    let _ = (real, fake);
    todo!(
        "Goodfellow et al., Eq. (1): the loss falls with the logit of a real point and rises with that of a fake one; `softplus` is −ln of a probability"
    )
}

/// The non-saturating loss −mean ln D(fake) from the logits, and its derivative with respect to them; nats.
///
/// Source: Goodfellow et al. 2014, §3.
///
/// `fake` are the logits of M generated points. Where the discriminator is sure that a point is fake (b → −∞), the derivative is
/// −1/M: the generator learns most where it is worst. That of the minimax loss ln(1 − D) would be −σ(b)/M, which vanishes there.
pub fn generator_loss(fake: ArrayView1<f64>) -> (f64, Array1<f64>) {
    let _ = fake;
    todo!(
        "Goodfellow et al., §3: the loss falls as the generated points are classified as real; −ln D = softplus(−b)"
    )
}

/// How many samples each component gets: those that lie within `reach` standard deviations of its mean, and
/// of no other mean within fewer.
///
/// Source: Srivastava et al. 2017 (VEEGAN), with `reach` = 3: a mode is found if it gets a sample at all, and
/// a sample is of high quality if a mode gets it.
///
/// Distances are in standard deviations of the component, along each axis its own. A sample that is farther than `reach` from
/// every mean counts for none. Shapes: `samples` (N, D), result (K).
///
/// # Panics
/// If the samples have another dimension than the mixture.
#[track_caller]
pub fn mode_counts(mixture: &GaussianMixture, samples: &Array2<f64>, reach: f64) -> Array1<usize> {
    assert_eq!(samples.ncols(), mixture.dimension(), "the points and the mixture differ in dimension");
    let _ = reach;
    todo!(
        "Srivastava et al.: for each sample the nearest component, in deviations, and only if it is near enough"
    )
}
