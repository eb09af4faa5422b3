//! The flow that DDIM without noise discretises.

use crate::denoiser::PosteriorMean;
use ndarray::{Array2, ArrayView2, Axis};

// ANCHOR: flow_velocity
/// dy/ds of the probability flow in DDIM's own coordinates, for known data: y = x/√ᾱ of shape (N, D), and `s` > 0.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (14).
///
/// dy/ds = ε*(x, t) = (y − E\[x_0 | x\])/s
///
/// where s = √((1 − ᾱ)/ᾱ) = e^{−λ} is the noise beside a signal of size 1; y = x_0 + s ε. DDIM with η = 0 is Euler's
/// method on this equation, from s at x_T down to 0.
pub fn flow_velocity(data: &(impl PosteriorMean + ?Sized), s: f64, y: ArrayView2<f64>) -> Array2<f64> {
    let mut velocity = y.to_owned(); // (N, D)
    for (mut velocity, y) in velocity.axis_iter_mut(Axis(0)).zip(y.rows()) {
        velocity -= &data.posterior_mean(y, 1.0, s * s); // (D)
    }
    velocity / s
}
// ANCHOR_END: flow_velocity
