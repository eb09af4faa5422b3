//! ch05_training: what Algorithm 1 needs: an embedding of t, gradients by hand, an optimizer, an average.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch05_training`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::network::{
    AdamWConfig, Float,
    embedding::{frequencies, write_embedding},
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, NdFloat};
use std::f64::consts::TAU;

/// The sinusoidal embedding of each value: all its sines, then all its cosines.
///
/// Source: Vaswani et al. 2017, §3.5, for positions in a sentence.
///
/// The angles are `scale` times the value times each of the [`frequencies`]. `values` is (N), the result (N, `size`).
///
/// Vaswani et al. interleave sines and cosines and divide by half where this divides by half − 1, so their lowest
/// frequency lies above 1/10000. This is the arrangement of Ho et al.'s code and of tiny-diffusion. Ho et al. embed
/// only t, with s = 1; tiny-diffusion embeds the coordinates of a point too, with s = 25, since points lie within a
/// few units where times lie within 1000.
///
/// # Panics
/// If `size` is odd or less than 4.
#[track_caller]
pub fn sinusoidal_embedding<F: Float>(values: ArrayView1<F>, scale: F, size: usize) -> Array2<F> {
    assert!(size.is_multiple_of(2), "an embedding has as many sines as cosines; its size {size} is odd");
    let _ = (values, scale);
    todo!(
        "Vaswani et al., §3.5: a row for each value; `frequencies(size / 2)` are the ω_k, and \
         `write_embedding(angle, &frequencies, row)` fills a row, where the angle is s v"
    )
}

/// The derivative of [`gelu`].
///
/// Source: Hendrycks & Gimpel 2016, §2.
#[inline]
pub fn gelu_derivative<F: Float>(x: F) -> F {
    let _ = x;
    todo!("Hendrycks & Gimpel, §2: the product rule on x Φ(x), where Φ′ = φ; `x.normal()` gives both")
}

/// The gradients of the linear layer, (∂L/∂x, ∂L/∂W, ∂L/∂b), from G = ∂L/∂y.
///
/// `grad_output` G is (N, outputs), and each gradient has the shape of what it belongs to.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear_backward<F: NdFloat>(
    x: ArrayView2<F>,
    weight: ArrayView2<F>,
    grad_output: ArrayView2<F>,
) -> (Array2<F>, Array2<F>, Array1<F>) {
    let _ = (x, weight, grad_output);
    todo!(
        "back-propagation through y_ni = Σ_j x_nj W_ij + b_i: which y does a single x, W or b reach? The shapes give the rest"
    )
}

/// The bound's term of one coordinate where p_θ = N(mean, exp(`log_variance`)), and its derivatives with respect to
/// the mean and the log-variance; nats.
///
/// Source: Ho et al. 2020, Eq. (5).
///
/// For t > 1 it is KL(N(μ̃, β̃) ‖ p_θ), where `target` is μ̃ and `target_variance` β̃. At t = 1 it is −log p_θ(x_0 | x_1), which
/// has the same derivatives with μ̃ = x_0 and β̃ = 0: there `target_variance` is 0.
pub fn gaussian_term(target: f64, target_variance: f64, mean: f64, log_variance: f64) -> (f64, f64, f64) {
    let _ = (target, target_variance, mean, log_variance);
    todo!(
        "Eq. (5), L_{{t−1}} with a learned Σ: with s = ln Σ both derivatives are products with e⁻ˢ; without a β̃ it is −log N"
    )
}

/// One step of AdamW, the `step`-th, counted from 1.
///
/// Source: Loshchilov & Hutter 2019, Algorithm 2, with the decay scaled by the learning rate as PyTorch does; the rest is
/// Kingma & Ba 2015, Algorithm 1.
///
/// `mean` and `mean_square` are the running means of the gradient and of its square, updated here. Both begin at 0, and the
/// parameters move by means that are corrected for that.
#[inline]
pub fn adamw_update<F: Float>(
    config: &AdamWConfig,
    step: u64,
    parameters: &mut [F],
    gradient: &[F],
    mean: &mut [F],
    mean_square: &mut [F],
) {
    let _ = (config, step, parameters, gradient, mean, mean_square);
    todo!(
        "Kingma & Ba, Algorithm 1: m and v first, then θ with both of them corrected for their beginning at 0; \
         `F::of` makes an F of an f64"
    )
}

/// One update of an exponential moving average of the parameters.
///
/// Source: Ho et al. 2020, App. B.
///
/// It is computed as a step towards the parameters, so that an average equal to them stays as it is, to the last bit.
#[inline]
pub fn ema_update<F: Float>(average: &mut [F], parameters: &[F], decay: f64) {
    let _ = (average, parameters, decay);
    todo!("Ho et al., App. B: a step of length 1 − d from the average towards θ")
}
