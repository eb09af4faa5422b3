//! ch08_score: the score of a noise predictor, how it is learned, and the equations that it drives.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch08_score`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    continuous::{
        score::Score,
        sde::{Sde, coefficients},
    },
    forward::TransitionKernel,
    schedule::linear_beta,
};
use ndarray::{Array1, Array2, Axis};

/// The score that a predicted noise implies.
///
/// Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), App. B; by Tweedie's formula (Robbins 1956).
///
/// `variance` is that of the noise in x_t, 1 − ᾱ_t. It holds for the best noise predictor, ε_θ = E[ε | x_t]. Shapes: (N, D).
pub fn score_from_eps(eps: &Array2<f64>, variance: f64) -> Array2<f64> {
    let _ = (eps, variance);
    todo!(
        "Song et al. 2021, App. B: the noise points away from the data, the score towards it; divide by a deviation, not a variance"
    )
}

/// Denoising score matching, for one coordinate: half the squared distance from the score of q(x̃|x), with x̃ = x + σ ε.
///
/// Source: Vincent 2011, Eq. (11).
///
/// The target is known: it is the noise that one drew oneself. Times σ², with s = −ε_θ/σ, it is L_simple, but for a factor ½.
pub fn denoising_score_matching(score: f64, eps: f64, sigma: f64) -> f64 {
    let _ = (score, eps, sigma);
    todo!(
        "Vincent 2011, Eq. (11): the target is ∂ ln N(x̃; x, σ²), which is −ε/σ; half the squared distance to it"
    )
}

/// One step of Langevin dynamics: uphill along the score, and a random displacement.
///
/// Source: Song & Ermon 2019 (Generative Modeling by Estimating Gradients of the Data Distribution), Eq. (4).
///
/// `step` is η, and `noise` is z ~ N(0, I). Without the noise it would climb to a peak and stay. Shapes: (N, D).
pub fn langevin_step(x: &Array2<f64>, score: &Array2<f64>, step: f64, noise: &Array2<f64>) -> Array2<f64> {
    let _ = (x, score, step, noise);
    todo!("Song & Ermon 2019, Eq. (4): half the step along the score, the root of the step times the noise")
}

/// The SDE's kernel from x_0 to time t: q(x_t | x_0) = N(signal · x_0, variance · I).
///
/// Source: Song et al. 2021, Eq. (29): the solution of dm/dt = a m, dv/dt = 2 a v + g² from m = 1, v = 0.
///
/// m is the signal and v the variance. The VP SDE's is Eq. (4) of DDPM, with e^(−B) for ᾱ, where B(t) = ∫_0^t β(s) ds.
pub fn kernel(sde: &Sde, t: f64) -> TransitionKernel {
    let _ = (sde, t);
    todo!(
        "Song et al. 2021, Eq. (29): `linear_beta` gives B(t) for both VP; σ(t) = σ_min (σ_max/σ_min)^t for VE"
    )
}

/// The drift of a process that runs from t = 1 to 0 through the same densities as the SDE does forwards.
///
/// Source: Anderson 1982 and Song et al. 2021, Eq. (6), for λ = 1; their Eq. (13) for λ = 0; in between, App. D.
///
/// It goes with noise λ g(t) dw: λ = 1 is the reverse SDE, λ = 0 the probability-flow ODE, which has none. `score` is
/// ∇ ln p_t at `x`. Shapes: (N, D). The drift is that of dx/dt, with time forwards; a step back has dt < 0.
pub fn reverse_drift(sde: &Sde, t: f64, x: &Array2<f64>, score: &Array2<f64>, lambda: f64) -> Array2<f64> {
    let _ = (sde, t, x, score, lambda);
    todo!("Song et al. 2021, Eqs. (6) and (13): `coefficients` gives a(t) and g(t)², and λ counts squared")
}

/// Hutchinson's estimate of the divergence ∇·s = tr J, with one product whatever D: (N, D) to (N).
///
/// Source: Hutchinson 1990; for likelihoods, Grathwohl et al. 2019 (FFJORD), Eq. (7).
///
/// `v`, of shape (N, D), has independent entries of mean 0 and variance 1: signs, or standard normals.
pub fn hutchinson(score: &impl Score, x: &Array2<f64>, v: &Array2<f64>, at: TransitionKernel) -> Array1<f64> {
    let _ = (score, x, v, at);
    todo!("Hutchinson 1990: `score_along` gives J v; multiply by v and sum over the axes of each row")
}
