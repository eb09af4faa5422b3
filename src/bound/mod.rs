//! The variational bound −log p_θ(x_0) ≤ L_T + Σ_{t>1} L_{t−1} + L_0, term by term.
//!
//! Terms are in nats, summed over the coordinates of a point; [`bits_per_dim`] converts.

mod bins;
mod dense;
pub mod derivation;
mod estimate;
pub mod exact;
pub mod gaussian_case;
mod progressive;

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
/// Nats per point to bits per dimension.
///
/// # Formula
/// bits/dim = nats/(D ln 2)
///
/// # Example
/// ```
/// use ddpm::bound::bits_per_dim;
///
/// assert_eq!(bits_per_dim(16f64.ln(), 2), 2.0); // 16 equally likely values of two coordinates: 4 bits
/// ```
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
    /// A model that clips nothing.
    pub fn new(schedule: &'a Schedule, denoiser: D, variance: FixedVariance) -> Self {
        Model { schedule, denoiser, variance, clip: None }
    }

    /// The same model, with x̂_0 clipped to [−`limit`, `limit`].
    #[must_use]
    pub fn clipped(self, limit: f64) -> Self {
        Model { clip: Some(limit), ..self }
    }

    /// The model without its denoiser: what turns a prediction into p_θ(x_{t−1} | x_t).
    pub fn process(&self) -> ReverseProcess<'a> {
        ReverseProcess { schedule: self.schedule, variance: self.variance, clip: self.clip }
    }

    /// The denoiser's prediction at `x_t` of shape (N, D).
    pub fn predict(&self, x_t: &Array2<f64>, t: usize) -> Prediction {
        self.denoiser.predict(x_t.view(), t as f64)
    }

    /// p_θ(x_{t−1} | x_t) at `x_t` of shape (N, D), with one call of the denoiser.
    ///
    /// Source: Ho et al. 2020, Eq. (1).
    ///
    /// # Example
    /// ```
    /// use ddpm::{bound::Model, denoiser::{ExactDenoiser, GaussianData}, reverse::FixedVariance, schedule::Schedule};
    /// use ndarray::array;
    ///
    /// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: array![0.0], variance: 1.0 });
    /// let (denoiser, variance) = (ExactDenoiser::new(&schedule, &data), FixedVariance::Beta);
    /// let p = Model { schedule: &schedule, denoiser, variance, clip: None }.reverse(&array![[2.0]], 2);
    /// assert!((p.mean[(0, 0)] - 1.5).abs() < 1e-12); // x_1 and x_2 are N(0, 1), and their covariance is √α_2 = 0.75
    /// assert_eq!(p.variance[(0, 0)], 0.4375); // 1 − 0.75²: for N(0, 1), σ² = β is exact
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    pub fn reverse(&self, x_t: &Array2<f64>, t: usize) -> DiagonalGaussian {
        self.process().step(&self.predict(x_t, t), x_t, t)
    }
}

// ANCHOR: prior_term
/// L_T of each point, in nats: how far q(x_T | x_0) is from N(0, I). Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (5). Nothing in it can be learned: it is small if T steps were enough.
///
/// # Formula
/// L_T = KL(q(x_T | x_0) ‖ N(0, I))
///
/// # Example
/// ```
/// use ddpm::{bound::prior_term, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // q(x_2 | 1) = N(0.6, 0.64)
/// let nats = prior_term(&schedule, &array![[1.0]])[0];
/// assert!((nats - (1.0_f64 / 0.8).ln()).abs() < 1e-12); // ½ [−ln 0.64 − 1 + 0.64 + 0.6²]
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn prior_term(schedule: &Schedule, x_0: &Array2<f64>) -> Array1<f64> {
    let alpha_bar = schedule.alpha_bar(schedule.steps());
    x_0.mapv(|x| kl_divergence(alpha_bar.sqrt() * x, 1.0 - alpha_bar, 0.0, 1.0)).sum_axis(Axis(1)) // (N)
}
// ANCHOR_END: prior_term

// ANCHOR: prior_bits_per_dim
/// L_T in bits per dimension for data whose coordinates have the mean square `second_moment`.
///
/// Source: Ho et al. 2020, Eq. (5).
///
/// # Formula
/// ½ [ᾱ_T (E\[x_0²\] − 1) − ln(1 − ᾱ_T)]/ln 2
///
/// # Example
/// ```
/// use ddpm::{bound::{bits_per_dim, prior_bits_per_dim, prior_term}, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let of_the_points = prior_term(&schedule, &array![[1.0], [3.0]]).sum() / 2.0; // (1² + 3²)/2 = 5
/// assert!((prior_bits_per_dim(&schedule, 5.0) - bits_per_dim(of_the_points, 1)).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn prior_bits_per_dim(schedule: &Schedule, second_moment: f64) -> f64 {
    let alpha_bar = schedule.alpha_bar(schedule.steps());
    0.5 * (alpha_bar * (second_moment - 1.0) - (-alpha_bar).ln_1p()) / LN_2
}
// ANCHOR_END: prior_bits_per_dim

// ANCHOR: denoising_term
/// L_{t−1} of each point, for t = 2 … T, in nats. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (5).
///
/// `x_t` is a draw from q(x_t | x_0), `prediction` the denoiser's there. The target is the forward process's *posterior*, not the
/// forward step q(x_t | x_{t−1}).
///
/// # Formula
/// L_{t−1} = KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t))
///
/// # Example
/// ```
/// use ddpm::{bound::denoising_term, denoiser::Prediction, objective::kl_constant, schedule::Schedule};
/// use ddpm::reverse::{FixedVariance, ReverseProcess};
/// use ndarray::array;
///
/// let (schedule, variance) = (Schedule::linear(2, 0.36, 0.4375)?, FixedVariance::Beta);
/// let process = ReverseProcess { schedule: &schedule, variance, clip: None };
/// let true_noise = Prediction { eps: array![[2.0]], variance: None }; // 2.2 = 0.6 · 1 + 0.8 · 2
/// let nats = denoising_term(&process, &true_noise, &array![[1.0]], &array![[2.2]], 2)[0];
/// assert!((nats - kl_constant(&schedule, 2, 0.4375, 1)).abs() < 1e-12); // the means agree
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// L_0 of each point, a log-density in nats. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (5).
///
/// For continuous data, and so it may be negative; images of whole numbers use the
/// probability of a bin instead (Eq. 13). Its variance is β̃_2, see [`density_variance`](crate::reverse::density_variance).
/// `prediction` is the denoiser's at `x_1`.
///
/// # Formula
/// L_0 = −log p_θ(x_0 | x_1)
///
/// # Example
/// ```
/// use ddpm::{bound::reconstruction_term, denoiser::Prediction, gaussian::log_density, schedule::Schedule};
/// use ddpm::reverse::{FixedVariance, ReverseProcess};
/// use ndarray::array;
///
/// let (schedule, variance) = (Schedule::linear(2, 0.36, 0.4375)?, FixedVariance::Beta);
/// let process = ReverseProcess { schedule: &schedule, variance, clip: None };
/// let true_noise = Prediction { eps: array![[2.0]], variance: None }; // 2 = 0.8 · 1 + 0.6 · 2
/// let nats = reconstruction_term(&process, &true_noise, &array![[1.0]], &array![[2.0]])[0];
/// assert!((nats + log_density(1.0, 1.0, 0.24609375)).abs() < 1e-12); // N(1; 1, β̃_2)
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// L_0 of each point of whole-numbered data, the log of a *probability*, in nats. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (13).
///
/// The coordinates must be levels of `bins`. Never negative. `prediction` is the denoiser's at `x_1`.
///
/// # Formula
/// −log p_θ(x_0 | x_1), p_θ(x_0 | x_1) = ∏_d P_d
///
/// where P_d is the probability that N(μ_θ(x_1, 1), σ_1²) gives to the bin of x_0's coordinate d: see [`bin_log_probability`].
///
/// # Example
/// ```
/// use ddpm::{bound::{Bins, discretized_reconstruction_term}, denoiser::Prediction, schedule::Schedule};
/// use ddpm::reverse::{FixedVariance, ReverseProcess};
/// use ndarray::array;
///
/// let (schedule, variance) = (Schedule::linear(2, 0.36, 0.4375)?, FixedVariance::Beta);
/// let process = ReverseProcess { schedule: &schedule, variance, clip: None };
/// let (none, x_1) = (Prediction { eps: array![[0.0, 0.0]], variance: None }, array![[0.0, 0.0]]); // μ_θ = 0
/// let nats = discretized_reconstruction_term(&process, &none, &array![[-1.0, 1.0]], &x_1, Bins::new(1.0, 2))[0];
/// assert!((nats - 4f64.ln()).abs() < 1e-12); // two levels, ½ each, for both coordinates
/// # Ok::<(), ddpm::Error>(())
/// ```
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
///
/// Shapes: (N, D) to (N, T + 1); nats.
///
/// # Formula
/// L = L_T + Σ_{t>1} L_{t−1} + L_0
///
/// # Example
/// ```
/// use ddpm::{bound::{prior_term, variational_bound, gaussian_case::GaussianCase}, denoiser::GaussianData, schedule::Schedule};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: ndarray::array![0.0], variance: 1.0 });
/// let case = GaussianCase { schedule, belief: data.clone(), data, variance: Default::default() };
/// let x_0 = ndarray::array![[1.0], [-2.0]];
/// let terms = variational_bound(&case.model(), &x_0, &mut StdRng::seed_from_u64(1));
/// assert_eq!((terms.dim(), terms.column(2).to_owned()), ((2, 3), prior_term(&case.schedule, &x_0)));
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// Source: Ho et al. 2020, Eqs. (5) and (13).
///
/// `x_0` must be [quantized](quantize). Shapes: (N, D) to (N, T + 1); nats.
///
/// # Example
/// ```
/// use ddpm::{bound::{Bins, discretized_bound, quantize, gaussian_case::GaussianCase}, denoiser::GaussianData, schedule::Schedule};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: ndarray::array![0.0], variance: 1.0 });
/// let case = GaussianCase { schedule, belief: data.clone(), data, variance: Default::default() };
/// let (bins, mut rng) = (Bins::new(3.0, 7), StdRng::seed_from_u64(1));
/// let x_0 = quantize(bins, &ndarray::array![[0.9], [-2.2]]); // 1 and −2
/// let terms = discretized_bound(&case.model(), &x_0, bins, &mut rng);
/// assert!(terms.iter().all(|&nats| nats >= 0.0)); // divergences, and a probability's −log
/// # Ok::<(), ddpm::Error>(())
/// ```
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
