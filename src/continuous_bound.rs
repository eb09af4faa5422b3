//! The bound in continuous time: an integral over the log-SNR, whatever the schedule; and how finely a batch tells it.
//!
//! Source: Kingma et al. 2021 (Variational Diffusion Models), §4.1 and App. I.

use crate::{
    data::GaussianMixture,
    denoiser::PosteriorMean,
    forward::{TransitionKernel, standard_normal},
    gaussian,
    metrics::Estimate,
    path::Path,
    weighting::bound_per_log_snr,
};
use ndarray::{Array1, Array2, Axis};
use ndarray_rand::rand::Rng;

/// In which order the levels between two ends of the log-SNR are visited, as the share u of the way goes from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LogSnrSchedule {
    /// Equal lengths of log-SNR in equal times.
    Uniform,
    /// The part of a path between the two ends, in the path's own time.
    Along(Path),
}

impl LogSnrSchedule {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            LogSnrSchedule::Uniform => "uniform in λ",
            LogSnrSchedule::Along(path) => path.name(),
        }
    }

    // ANCHOR: log_snr_between
    /// The log-SNR at the share u of the way between two ends, and how fast it falls there.
    ///
    /// # Formula
    /// λ(0) and λ(1) are the ends. Uniform: λ = λ_0 + u (λ_1 − λ_0). Along a path: λ(t) with t = t(λ_0) + u (t(λ_1) − t(λ_0))
    ///
    /// # Example
    /// ```
    /// use ddpm::{continuous_bound::LogSnrSchedule, path::Path};
    ///
    /// assert_eq!(LogSnrSchedule::Uniform.between((6.0, -6.0), 0.25), (3.0, 12.0));
    /// let (log_snr, fall) = LogSnrSchedule::Along(Path::Cosine).between((6.0, -6.0), 0.5);
    /// assert!(log_snr.abs() < 1e-12 && fall < 12.0); // slow in the middle, fast at the ends
    /// ```
    pub fn between(self, (from, to): (f64, f64), u: f64) -> (f64, f64) {
        match self {
            LogSnrSchedule::Uniform => (from + u * (to - from), from - to),
            LogSnrSchedule::Along(path) => {
                let [start, end] = [from, to].map(|log_snr| path.time_at(log_snr));
                let t = start + u * (end - start);
                (path.log_snr(t), -path.log_snr_rate(t) * (end - start))
            }
        }
    }
    // ANCHOR_END: log_snr_between
}

/// The kernel of a log-SNR λ that keeps the variance: α² + σ² = 1.
///
/// # Formula
/// α² = 1/(1 + e^{−λ}), σ² = 1/(1 + e^λ)
///
/// # Example
/// ```
/// use ddpm::continuous_bound::kernel_of;
///
/// let at = kernel_of(16_f64.ln() - 9_f64.ln()); // SNR 16/9
/// assert!((at.signal - 0.8).abs() < 1e-12 && (at.variance - 0.36).abs() < 1e-12);
/// ```
pub fn kernel_of(log_snr: f64) -> TransitionKernel {
    let share = |log: f64| 1.0 / (1.0 + (-log).exp());
    TransitionKernel { signal: share(log_snr).sqrt(), variance: share(-log_snr) }
}

/// ‖x_0 − E\[x_0 | x\]‖² of each point x_0 with its noise, at one level of known data: what no network gets under, on average. (N)
///
/// # Example
/// ```
/// use ddpm::{continuous_bound::{denoising_errors, kernel_of}, denoiser::GaussianData};
/// use ndarray::array;
///
/// let data = GaussianData { mean: array![0.0], variance: 1.0 };
/// let errors = denoising_errors(&data, kernel_of(0.0), &array![[1.0]], &array![[-1.0]]);
/// assert!((errors[0] - 1.0).abs() < 1e-12); // signal and noise cancel: x is 0, and so is the guess
/// ```
pub fn denoising_errors(
    data: &(impl PosteriorMean + ?Sized),
    at: TransitionKernel,
    x_0: &Array2<f64>,
    eps: &Array2<f64>,
) -> Array1<f64> {
    let error = |(x_0, eps): (ndarray::ArrayView1<f64>, ndarray::ArrayView1<f64>)| {
        let x = at.signal * &x_0 + at.deviation() * &eps;
        (&x_0 - &data.posterior_mean(x.view(), at.signal, at.variance)).mapv(|d| d * d).sum()
    };
    x_0.rows().into_iter().zip(eps.rows()).map(error).collect()
}

// ANCHOR: bound_draws
/// The bound between two ends of the log-SNR, estimated by one point, one noise and one time u each, for a denoiser that is exact. (N) nats
///
/// Source: Kingma et al. 2021, Eq. (17).
///
/// # Formula
/// ½ SNR |dλ/du| ‖x_0 − x̂_0‖², whose mean is ½ ∫ e^λ E‖x_0 − x̂_0‖² dλ
///
/// # Example
/// ```
/// use ddpm::{continuous_bound::{LogSnrSchedule, bound_draws}, denoiser::GaussianData};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (data, mut rng) = (GaussianData { mean: ndarray::array![0.0], variance: 1.0 }, StdRng::seed_from_u64(1));
/// let (x_0, u) = (data.sample(20_000, &mut rng), ndarray::Array1::linspace(0.0, 1.0, 20_000).to_vec());
/// let draws = bound_draws(&data, LogSnrSchedule::Uniform, (4.0, -4.0), &x_0, &u, &mut rng);
/// assert!((draws.sum() / 20_000.0 - 2.0).abs() < 0.1); // ½ ln(1 + SNR) at one end less at the other: ½ · 4
/// ```
///
/// # Panics
/// If there is not one time for each point.
#[track_caller]
pub fn bound_draws(
    data: &(impl PosteriorMean + ?Sized),
    schedule: LogSnrSchedule,
    ends: (f64, f64),
    x_0: &Array2<f64>,
    u: &[f64],
    rng: &mut impl Rng,
) -> Array1<f64> {
    assert_eq!(x_0.nrows(), u.len(), "points and times");
    let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
    let draw = |n: usize| {
        let (log_snr, fall) = schedule.between(ends, u[n]);
        let (at, row) =
            (kernel_of(log_snr), |points: &Array2<f64>| points.row(n).insert_axis(Axis(0)).to_owned());
        bound_per_log_snr(at) * fall * denoising_errors(data, at, &row(x_0), &row(&eps))[0]
    };
    (0..u.len()).map(draw).collect()
}
// ANCHOR_END: bound_draws

/// The information about x_0 in x at one level, in nats: h(x) − h(x | x_0). `None` where [`GaussianMixture::entropy`] is.
///
/// # Formula
/// I = h(x) − D/2 ln(2πe σ²)
///
/// # Example
/// ```
/// use ddpm::{continuous_bound::{information, kernel_of}, data::GaussianMixture};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]);
/// assert!((information(&normal, kernel_of(0.0)).unwrap() - 0.5 * 2_f64.ln()).abs() < 1e-6); // ½ ln(1 + SNR)
/// ```
pub fn information(data: &GaussianMixture, at: TransitionKernel) -> Option<f64> {
    let of_noise = data.dimension() as f64 * gaussian::entropy(at.variance);
    Some(data.through(at).entropy()? - of_noise)
}

// ANCHOR: bound_between
/// The bound between two ends of the log-SNR for a denoiser that is exact, without a denoiser: the information that is lost on the way.
///
/// Source: Guo, Shamai & Verdú 2005, Theorem 1: dI/dSNR is half of the least squared error.
///
/// # Formula
/// ½ ∫ e^λ E‖x_0 − E\[x_0 | x\]‖² dλ = I(λ_0) − I(λ_1)
///
/// # Example
/// ```
/// use ddpm::{continuous_bound::bound_between, data::GaussianMixture};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]);
/// let bound = bound_between(&normal, (4.0, -4.0)).unwrap();
/// assert!((bound - 2.0).abs() < 1e-6); // ½ ln((1 + e⁴)/(1 + e⁻⁴))
/// ```
pub fn bound_between(data: &GaussianMixture, (from, to): (f64, f64)) -> Option<f64> {
    Some(information(data, kernel_of(from))? - information(data, kernel_of(to))?)
}
// ANCHOR_END: bound_between

/// `count` times, each uniform in [0, 1).
pub fn uniform_times(count: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..count).map(|_| rng.random()).collect()
}

// ANCHOR: stratified_times
/// `count` times, one in each piece of length 1/`count`, at the same place in each: uniform in [0, 1) each, and spread evenly together.
///
/// Source: Kingma et al. 2021, App. I.1 (low-discrepancy sampler).
///
/// # Formula
/// u_i = (i + u)/N, i = 0 … N − 1, with one u ~ Uniform(0, 1)
///
/// # Example
/// ```
/// use ddpm::continuous_bound::stratified_times;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let times = stratified_times(4, &mut StdRng::seed_from_u64(1));
/// assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.25).abs() < 1e-12) && times[0] < 0.25);
/// ```
pub fn stratified_times(count: usize, rng: &mut impl Rng) -> Vec<f64> {
    let place: f64 = rng.random();
    (0..count).map(|i| (i as f64 + place) / count as f64).collect()
}
// ANCHOR_END: stratified_times

/// The means of batches of [`bound_draws`], each on `batch` fresh points from `draw` and fresh times from `times`. (`batches`) nats
///
/// # Panics
/// As [`bound_draws`].
#[track_caller]
pub fn batch_means<R: Rng>(
    data: &(impl PosteriorMean + ?Sized),
    schedule: LogSnrSchedule,
    ends: (f64, f64),
    (batches, batch): (usize, usize),
    mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
    times: impl Fn(usize, &mut R) -> Vec<f64>,
    rng: &mut R,
) -> Array1<f64> {
    let mean = |_| {
        let (x_0, u) = (draw(batch, rng), times(batch, rng));
        bound_draws(data, schedule, ends, &x_0, &u, rng).sum() / batch as f64
    };
    (0..batches).map(mean).collect()
}

// ANCHOR: variance_within
/// The variance of [`bound_draws`] at one and the same u, averaged over u: what no choice of times removes. One value for each pair of
/// draws; their mean is the variance. (`count`)
///
/// # Formula
/// E_u Var(L | u) = E ½ (L − L′)², with two points and two noises at one u
///
/// The rest of the variance, Var_u E(L | u), is gone where the times of a batch are spread evenly.
///
/// # Panics
/// As [`bound_draws`].
#[track_caller]
pub fn variance_within<R: Rng>(
    data: &(impl PosteriorMean + ?Sized),
    schedule: LogSnrSchedule,
    ends: (f64, f64),
    count: usize,
    mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
    rng: &mut R,
) -> Array1<f64> {
    let u = stratified_times(count, rng);
    let [a, b] = [(); 2].map(|()| {
        let x_0 = draw(count, rng);
        bound_draws(data, schedule, ends, &x_0, &u, rng)
    });
    (a - b).mapv(|difference| 0.5 * difference * difference)
}
// ANCHOR_END: variance_within

/// How batches of the bound scatter with uniform times and with stratified ones.
#[derive(Debug, Clone)]
pub struct Scatter {
    /// The means of batches, with uniform times and with stratified ones; nats.
    pub means: [Array1<f64>; 2],
    /// N times the variance of such a mean, for both: the variance of one draw, and what is left of it.
    pub variances: [Estimate; 2],
    /// What no choice of times removes: [`variance_within`].
    pub within: Estimate,
}

impl Scatter {
    /// Measures it on so many batches of a size; `exact` is what they estimate.
    ///
    /// # Panics
    /// As [`bound_draws`].
    #[track_caller]
    pub fn measure<R: Rng>(
        data: &(impl PosteriorMean + ?Sized),
        schedule: LogSnrSchedule,
        (ends, exact): ((f64, f64), f64),
        (batches, batch): (usize, usize),
        mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
        rng: &mut R,
    ) -> Self {
        let size = (batches, batch);
        let plain = batch_means(data, schedule, ends, size, &mut draw, uniform_times, rng);
        let even = batch_means(data, schedule, ends, size, &mut draw, stratified_times, rng);
        let within = Estimate::of(variance_within(data, schedule, ends, batch * batches, &mut draw, rng));
        let variance = |means: &Array1<f64>| {
            Estimate::of(means.iter().map(|mean| batch as f64 * (mean - exact).powi(2)))
        };
        Scatter { variances: [variance(&plain), variance(&even)], means: [plain, even], within }
    }
}
