//! The forward process q: a chain that forgets the data, one small step at a time.

use crate::schedule::Schedule;
use ndarray::{Array2, NdFloat, Zip};
use ndarray_rand::{RandomExt, rand::Rng};
use rand_distr::{Distribution, StandardNormal};

/// Standard normal noise ε ~ N(0, I) of shape (N, D), drawn from `rng`.
pub fn standard_normal<F: NdFloat>(rows: usize, columns: usize, rng: &mut impl Rng) -> Array2<F>
where
    StandardNormal: Distribution<F>,
{
    Array2::random_using((rows, columns), StandardNormal, rng)
}

// ANCHOR: forward_step
/// One step of the forward chain: a draw from q(x_t | x_{t−1}), by reparameterisation.
///
/// Source: Ho et al. 2020, Eq. (2).
///
/// `beta_t` is the variance, not the standard deviation, of the noise that is added. `noise` is ε ~ N(0, I): it must be *normal*
/// (`randn`, not `rand`). Shapes: all (N, D).
///
/// # Formula
/// x_t = √(1 − β_t) x_{t−1} + √β_t ε, ε ~ N(0, I)
///
/// # Example
/// ```
/// use ddpm::forward::forward_step;
/// use ndarray::array;
///
/// let x_t = forward_step(&array![[1.0]], 0.36, &array![[2.0]]); // 0.8 · 1 + 0.6 · 2
/// assert_eq!(x_t, array![[2.0]]);
/// ```
pub fn forward_step(x_previous: &Array2<f64>, beta_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    (1.0 - beta_t).sqrt() * x_previous + beta_t.sqrt() * noise
}
// ANCHOR_END: forward_step

// ANCHOR: chain
/// The whole chain x_0, x_1, …, x_T, one [`forward_step`] at a time: T + 1 arrays of shape (N, D), index = t.
///
/// The second route to [`diffuse`], and T times as slow.
///
/// # Example
/// ```
/// use ddpm::{forward::chain, schedule::Schedule};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (x_0, schedule) = (array![[1.0, 0.0]], Schedule::linear(10, 1e-4, 0.02)?);
/// let xs = chain(&x_0, &schedule, &mut StdRng::seed_from_u64(1));
/// assert_eq!((&xs[0], xs.len()), (&x_0, 11));
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn chain(x_0: &Array2<f64>, schedule: &Schedule, rng: &mut impl Rng) -> Vec<Array2<f64>> {
    chain_with_noise(x_0, schedule, || standard_normal(x_0.nrows(), x_0.ncols(), rng))
}
// ANCHOR_END: chain

/// The chain with noise from anywhere: `noise` gives an array of shape (N, D) a step. For finding out what the wrong
/// noise does.
pub fn chain_with_noise(
    x_0: &Array2<f64>,
    schedule: &Schedule,
    mut noise: impl FnMut() -> Array2<f64>,
) -> Vec<Array2<f64>> {
    let mut xs = vec![x_0.clone()];
    for t in 1..=schedule.steps() {
        xs.push(forward_step(&xs[t - 1], schedule.beta(t), &noise()));
    }
    xs
}

// ANCHOR: moments_after
/// Mean and variance of a coordinate of x_T, from those of x_0 and of the noise, whatever their distributions.
///
/// Normal noise has the moments (μ, σ²) = (0, 1) and leads to (0, 1). Uniform noise has (1/2, 1/12), and leads elsewhere.
///
/// # Formula
/// m_t = √α_t m_{t−1} + √β_t μ, v_t = α_t v_{t−1} + β_t σ²
///
/// # Example
/// ```
/// use ddpm::{forward::moments_after, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ = 1, 0.64, 0.36
/// let (mean, variance) = moments_after(&schedule, (1.0, 0.0), (0.0, 1.0)); // x_0 is the point 1
/// assert!((mean - 0.6).abs() < 1e-12 && (variance - 0.64).abs() < 1e-12); // √ᾱ_2 and 1 − ᾱ_2
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn moments_after(schedule: &Schedule, x_0: (f64, f64), noise: (f64, f64)) -> (f64, f64) {
    (1..=schedule.steps()).fold(x_0, |(mean, variance), t| {
        let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
        (alpha.sqrt() * mean + beta.sqrt() * noise.0, alpha * variance + beta * noise.1)
    })
}
// ANCHOR_END: moments_after

// ANCHOR: diffuse
/// A draw from q(x_t | x_0) in one jump.
///
/// Source: Ho et al. 2020, Eq. (4).
///
/// `noise` is ε ~ N(0, I). Shapes: all (N, D).
///
/// # Formula
/// x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, ε ~ N(0, I)
///
/// # Example
/// ```
/// use ddpm::{forward::diffuse, metrics::largest_difference};
/// use ndarray::array;
///
/// let x_t = diffuse(&array![[1.0]], 0.36, &array![[2.0]]); // 0.6 · 1 + 0.8 · 2
/// assert!(largest_difference(&x_t, &array![[2.2]]) < 1e-12);
/// ```
pub fn diffuse(x_0: &Array2<f64>, alpha_bar_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    alpha_bar_t.sqrt() * x_0 + (1.0 - alpha_bar_t).sqrt() * noise
}
// ANCHOR_END: diffuse

/// Like [`diffuse`], with a step of its own for each row: `t[i]` belongs to row i of `x_0`. For training.
///
/// # Example
/// ```
/// use ddpm::{forward::diffuse_each, metrics::largest_difference, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ = 1, 0.64, 0.36
/// let x_t = diffuse_each(&array![[1.0], [1.0]], &schedule, &[0, 2], &array![[2.0], [2.0]]);
/// assert!(largest_difference(&x_t, &array![[1.0], [2.2]]) < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If the shapes differ or a t lies outside of 0…T.
#[track_caller]
pub fn diffuse_each<F: NdFloat>(
    x_0: &Array2<F>,
    schedule: &Schedule,
    t: &[usize],
    noise: &Array2<F>,
) -> Array2<F> {
    assert_eq!(x_0.nrows(), t.len(), "every row of x_0 needs its own t");
    let mut x_t = x_0.clone();
    Zip::from(x_t.rows_mut()).and(noise.rows()).and(t).for_each(|mut row, noise, &t| {
        let alpha_bar = schedule.alpha_bar(t);
        let [signal, sigma] = [alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()].map(float::<F>);
        row.zip_mut_with(&noise, |x, &eps| *x = signal * *x + sigma * eps);
    });
    x_t
}

/// An `f64` coefficient in the float of a network.
pub(crate) fn float<F: NdFloat>(value: f64) -> F {
    F::from(value).expect("f32 and f64 both hold any f64, rounded")
}

// ANCHOR: TransitionKernel
/// A Gaussian kernel q(x_t | x_s) = N(signal · x_s, variance · I): also called the *diffusion kernel*.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransitionKernel {
    /// The factor of x_s.
    pub signal: f64,
    /// The variance of the noise, per coordinate.
    pub variance: f64,
}
// ANCHOR_END: TransitionKernel

impl TransitionKernel {
    /// The kernel of no step at all: x_0 stays as it is.
    pub const IDENTITY: TransitionKernel = TransitionKernel { signal: 1.0, variance: 0.0 };

    /// The standard deviation of the noise, √variance.
    pub fn deviation(self) -> f64 {
        self.variance.sqrt()
    }

    /// The signal over the standard deviation of the noise.
    pub fn signal_to_noise(self) -> f64 {
        self.signal / self.deviation()
    }

    /// The kernel of one step, q(x_t | x_{t−1}), for t = 1 … T.
    ///
    /// Source: Ho et al. 2020, Eq. (2).
    ///
    /// # Formula
    /// signal = √α_t, variance = β_t
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, schedule::Schedule};
    ///
    /// let step = TransitionKernel::step(&Schedule::linear(2, 0.36, 0.4375)?, 2);
    /// assert_eq!((step.signal, step.variance), (0.75, 0.4375)); // 0.75² + 0.4375 = 1
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    #[track_caller]
    pub fn step(schedule: &Schedule, t: usize) -> TransitionKernel {
        TransitionKernel { signal: schedule.alpha(t).sqrt(), variance: schedule.beta(t) }
    }

    /// The kernel of t steps at once, q(x_t | x_0), for t = 0 … T.
    ///
    /// Source: Ho et al. 2020, Eq. (4).
    ///
    /// # Formula
    /// signal = √ᾱ_t, variance = 1 − ᾱ_t
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::{TransitionKernel, compose}, schedule::Schedule};
    ///
    /// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
    /// let (jump, steps) = (TransitionKernel::from_start(&schedule, 2), [1, 2].map(|t| TransitionKernel::step(&schedule, t)));
    /// let merged = compose(steps[0], steps[1]); // the second route
    /// assert!((jump.signal - merged.signal).abs() < 1e-12 && (jump.variance - merged.variance).abs() < 1e-12);
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    #[track_caller]
    pub fn from_start(schedule: &Schedule, t: usize) -> TransitionKernel {
        let alpha_bar = schedule.alpha_bar(t);
        TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar }
    }
}

// ANCHOR: compose
/// Two kernels in a row are one kernel: the noises merge, and one variance is left.
///
/// Independent Gaussians add their *variances*, not their standard deviations.
///
/// # Formula
/// b (a x + √v ε_1) + √w ε_2 = ab x + √(b² v + w) ε
///
/// With a = √α_{t−1}, v = 1 − α_{t−1}, b = √α_t, w = 1 − α_t the variance is α_t (1 − α_{t−1}) + 1 − α_t = 1 − α_t α_{t−1}, and
/// so on down to x_0.
///
/// # Example
/// ```
/// use ddpm::forward::{TransitionKernel, compose};
///
/// let half = TransitionKernel { signal: 0.5, variance: 0.75 };
/// assert_eq!(compose(half, half), TransitionKernel { signal: 0.25, variance: 0.9375 }); // 1 − 0.25²
/// ```
pub fn compose(first: TransitionKernel, second: TransitionKernel) -> TransitionKernel {
    TransitionKernel {
        signal: second.signal * first.signal,
        variance: second.signal.powi(2) * first.variance + second.variance,
    }
}
// ANCHOR_END: compose
