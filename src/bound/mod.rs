//! The variational bound −log p_θ(x_0) ≤ L_T + Σ_{t>1} L_{t−1} + L_0, term by term.
//!
//! Terms are in nats, summed over the coordinates of a point; [`bits_per_dim`] converts.

mod bins;
mod dense;
pub mod derivation;
mod estimate;
pub mod exact;
mod progressive;
pub mod world;

pub use bins::{Bins, bin_log_probability, quantize};
pub use estimate::bits_with_error;
pub use progressive::{decoding_error, progressive_rates};

use crate::{
    denoiser::{Denoiser, Prediction},
    forward::{diffuse, standard_normal},
    gaussian::{DiagonalGaussian, kl_divergence},
    posterior::{posterior_mean, posterior_variance},
    reverse::{FixedVariance, ReverseProcess},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, Axis, Zip};
use ndarray_rand::rand::Rng;
use std::f64::consts::LN_2;

// ANCHOR: bits_per_dim
/// Nats per point to bits per dimension: divide by D ln 2.
pub fn bits_per_dim(nats: f64, dimension: usize) -> f64 {
    nats / (dimension as f64 * LN_2)
}
// ANCHOR_END: bits_per_dim

/// A model p_θ: a denoiser, and the [`ReverseProcess`] that its predictions run.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a, D> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// The denoiser.
    pub denoiser: D,
    /// The variance where the denoiser learned none.
    pub variance: FixedVariance,
    /// Clips x̂_0 to [−c, c].
    pub clip: Option<f64>,
}

impl<'a, D: Denoiser> Model<'a, D> {
    /// The model without its denoiser: what turns a prediction into p_θ(x_{t−1} | x_t).
    pub fn process(&self) -> ReverseProcess<'a> {
        ReverseProcess { schedule: self.schedule, variance: self.variance, clip: self.clip }
    }

    /// The denoiser's prediction at `x_t` of shape (N, D).
    pub fn predict(&self, x_t: &Array2<f64>, t: usize) -> Prediction {
        self.denoiser.predict(x_t.view(), t as f64)
    }

    /// p_θ(x_{t−1} | x_t) at `x_t` of shape (N, D), with one call of the denoiser.
    pub fn reverse(&self, x_t: &Array2<f64>, t: usize) -> DiagonalGaussian {
        self.process().step(&self.predict(x_t, t), x_t, t)
    }
}

// ANCHOR: prior_term
/// L_T of each point: KL(q(x_T | x_0) ‖ N(0, I)), in nats. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (5). Nothing in it can be learned: it asks whether T steps were enough.
pub fn prior_term(schedule: &Schedule, x_0: &Array2<f64>) -> Array1<f64> {
    let alpha_bar = schedule.alpha_bar(schedule.steps());
    x_0.mapv(|x| kl_divergence(alpha_bar.sqrt() * x, 1.0 - alpha_bar, 0.0, 1.0)).sum_axis(Axis(1)) // (N)
}
// ANCHOR_END: prior_term

// ANCHOR: prior_bits_per_dim
/// L_T in bits per dimension for data whose coordinates have the mean square `second_moment`.
///
/// ½ [ᾱ_T (E\[x_0²\] − 1) − ln(1 − ᾱ_T)]/ln 2
pub fn prior_bits_per_dim(schedule: &Schedule, second_moment: f64) -> f64 {
    let alpha_bar = schedule.alpha_bar(schedule.steps());
    0.5 * (alpha_bar * (second_moment - 1.0) - (-alpha_bar).ln_1p()) / LN_2
}
// ANCHOR_END: prior_bits_per_dim

// ANCHOR: denoising_term
/// L_{t−1} of each point, for t = 2 … T: KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t)), in nats.
///
/// Source: Ho et al. 2020, Eq. (5). `x_t` is a draw from q(x_t | x_0), `prediction` the denoiser's there. The target is the
/// forward process's *posterior*, not the forward step q(x_t | x_{t−1}). Shapes: (N, D) to (N).
///
/// # Panics
/// If t lies outside of 2…T: t = 1 belongs to [`reconstruction_term`].
#[track_caller]
pub fn denoising_term(
    process: &ReverseProcess,
    prediction: &Prediction,
    x_0: &Array2<f64>,
    x_t: &Array2<f64>,
    t: usize,
) -> Array1<f64> {
    assert!(t >= 2, "L_{{t−1}} starts at t = 2; at t = 1 stands L_0");
    let target = posterior_mean(process.schedule, t, x_0, x_t);
    DiagonalGaussian::isotropic(target, posterior_variance(process.schedule, t))
        .kl_divergence(&process.step(prediction, x_t, t))
}
// ANCHOR_END: denoising_term

// ANCHOR: reconstruction_term
/// L_0 of each point: −log p_θ(x_0 | x_1), a log-density in nats. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (5). For continuous data, and so it may be negative; images of whole numbers use the
/// probability of a bin instead (Eq. 13). Its variance is β̃_2, see [`density_variance`](crate::reverse::density_variance).
/// `prediction` is the denoiser's at `x_1`.
pub fn reconstruction_term(
    process: &ReverseProcess,
    prediction: &Prediction,
    x_0: &Array2<f64>,
    x_1: &Array2<f64>,
) -> Array1<f64> {
    -process.step(prediction, x_1, 1).log_density(x_0.view())
}
// ANCHOR_END: reconstruction_term

// ANCHOR: discretized_reconstruction_term
/// L_0 of each point of whole-numbered data: −log p_θ(x_0 | x_1), the log of a *probability*, in nats. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (13).
///
/// p_θ(x_0 | x_1) = ∏_d P_d, the probabilities that N(μ_θ(x_1, 1), σ_1²) gives to the bins of x_0's coordinates: see
/// [`bin_log_probability`]. The coordinates must be levels of `bins`. Never negative. `prediction` is the denoiser's at `x_1`.
pub fn discretized_reconstruction_term(
    process: &ReverseProcess,
    prediction: &Prediction,
    x_0: &Array2<f64>,
    x_1: &Array2<f64>,
    bins: Bins,
) -> Array1<f64> {
    let DiagonalGaussian { mean, variance } = process.step(prediction, x_1, 1);
    Zip::from(x_0)
        .and(&mean)
        .and(&variance)
        .map_collect(|&x, &mean, &variance| -bin_log_probability(bins, x, mean, variance))
        .sum_axis(Axis(1)) // (N)
}
// ANCHOR_END: discretized_reconstruction_term

// ANCHOR: variational_bound
/// All terms of the bound for each point, with one draw of x_t per term: entry (i, t) is L_t of point i, t = 0 … T.
///
/// Source: Ho et al. 2020, Eq. (5). The sum of a row is an unbiased estimate of the bound at that point.
/// Shapes: (N, D) to (N, T + 1); nats.
pub fn variational_bound(model: &Model<impl Denoiser>, x_0: &Array2<f64>, rng: &mut impl Rng) -> Array2<f64> {
    let process = model.process();
    terms(model, x_0, rng, |prediction, x_1| reconstruction_term(&process, prediction, x_0, x_1))
}

/// The terms, with an L_0 for either kind of data, computed from the prediction at x_1 and x_1.
fn terms(
    model: &Model<impl Denoiser>,
    x_0: &Array2<f64>,
    rng: &mut impl Rng,
    reconstruction: impl Fn(&Prediction, &Array2<f64>) -> Array1<f64>,
) -> Array2<f64> {
    let (process, steps) = (model.process(), model.schedule.steps());
    let mut terms = Array2::zeros((x_0.nrows(), steps + 1));
    for t in 1..=steps {
        let noise = standard_normal(x_0.nrows(), x_0.ncols(), rng);
        let x_t = diffuse(x_0, model.schedule.alpha_bar(t), &noise);
        let prediction = model.predict(&x_t, t);
        let term = match t {
            1 => reconstruction(&prediction, &x_t),
            _ => denoising_term(&process, &prediction, x_0, &x_t, t),
        };
        terms.column_mut(t - 1).assign(&term);
    }
    terms.column_mut(steps).assign(&prior_term(model.schedule, x_0));
    terms
}
// ANCHOR_END: variational_bound

// ANCHOR: discretized_bound
/// [`variational_bound`] for whole-numbered data: its L_0 is the log of a probability, so the sum bounds a number of nats
/// that a code for the data could really have.
///
/// `x_0` must be [quantized](quantize). Shapes: (N, D) to (N, T + 1); nats.
pub fn discretized_bound(
    model: &Model<impl Denoiser>,
    x_0: &Array2<f64>,
    bins: Bins,
    rng: &mut impl Rng,
) -> Array2<f64> {
    let process = model.process();
    terms(model, x_0, rng, |prediction, x_1| {
        discretized_reconstruction_term(&process, prediction, x_0, x_1, bins)
    })
}
// ANCHOR_END: discretized_bound
