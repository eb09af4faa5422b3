//! From gradients to better parameters: AdamW, gradient-norm clipping, the moving average, the learning rate's cosine.
//!
//! Everything here works on flat slices of parameters ([`Mlp::parameters`](super::Mlp::parameters)) and their
//! gradients, entry by entry.

use super::Float;
use std::f64::consts::PI;

// ANCHOR: AdamWConfig
/// The numbers of AdamW. The defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// The step size, η.
    pub learning_rate: f64,
    /// How much of the gradients' mean is kept at each step, β_1 (no relation to a schedule's β_t).
    pub beta_1: f64,
    /// How much of the squared gradients' mean is kept at each step, β_2.
    pub beta_2: f64,
    /// What keeps the division finite, ϵ.
    pub epsilon: f64,
    /// How fast parameters shrink of themselves, λ.
    pub weight_decay: f64,
}
// ANCHOR_END: AdamWConfig

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 }
    }
}

/// The optimizer's memory: running means of the gradients and of their squares.
#[derive(Debug, Clone)]
pub struct AdamW<F> {
    /// Its numbers; the learning rate may change from step to step.
    pub config: AdamWConfig,
    step: u64,
    mean: Vec<F>,
    mean_square: Vec<F>,
}

impl<F: Float> AdamW<F> {
    /// An optimizer for that many parameters that has seen no gradient yet.
    pub fn new(config: AdamWConfig, parameters: usize) -> Self {
        Self { config, step: 0, mean: vec![F::zero(); parameters], mean_square: vec![F::zero(); parameters] }
    }

    /// Moves every parameter by one step.
    ///
    /// # Panics
    ///
    /// If the slices do not have the length the optimizer was made for.
    #[track_caller]
    pub fn step(&mut self, parameters: &mut [F], gradient: &[F]) {
        assert_eq!(parameters.len(), self.mean.len(), "the optimizer was made for another network");
        assert_eq!(gradient.len(), self.mean.len(), "one gradient for each parameter");
        self.step += 1;
        adamw_update(&self.config, self.step, parameters, gradient, &mut self.mean, &mut self.mean_square);
    }
}

// ANCHOR: adamw_update
/// One step of AdamW, the `step`-th, counted from 1.
///
/// Source: Loshchilov & Hutter 2019, Algorithm 2, with the decay scaled by the learning rate as PyTorch does; the rest is
/// Kingma & Ba 2015, Algorithm 1.
///
/// `mean` and `mean_square` are the running means of the gradient and of its square, updated here. Both begin at 0, and the
/// parameters move by means that are corrected for that.
///
/// # Formula
/// ```text
/// m ← β_1 m + (1 − β_1) g            v ← β_2 v + (1 − β_2) g²
/// θ ← (1 − η λ) θ − η m̂ / (√v̂ + ϵ),   m̂ = m / (1 − β_1^step),  v̂ = v / (1 − β_2^step)
/// ```
///
/// where g is `gradient`, m is `mean`, v is `mean_square`. Dividing by 1 − β^step takes out the pull of the beginning at 0.
///
/// # Example
/// ```
/// use ddpm::network::{AdamWConfig, optimizer::adamw_update};
///
/// let config = AdamWConfig { learning_rate: 0.1, weight_decay: 0.0, ..AdamWConfig::default() };
/// let (mut theta, mut mean, mut mean_square) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
/// adamw_update(&config, 1, &mut theta, &[5.0, -0.01], &mut mean, &mut mean_square);
/// assert!((theta[0] - 0.9_f64).abs() < 1e-6 && (theta[1] - 1.1).abs() < 1e-6); // η, whatever |g|
/// ```
#[inline]
pub fn adamw_update<F: Float>(
    config: &AdamWConfig,
    step: u64,
    parameters: &mut [F],
    gradient: &[F],
    mean: &mut [F],
    mean_square: &mut [F],
) {
    let AdamWConfig { learning_rate, beta_1, beta_2, epsilon, weight_decay } = *config;
    let correction_1 = 1.0 - beta_1.powf(step as f64);
    let correction_2 = 1.0 - beta_2.powf(step as f64);
    let rate = F::of(learning_rate / correction_1);
    let root_correction_2 = F::of(correction_2.sqrt().recip());
    let (keep, epsilon) = (F::of(1.0 - learning_rate * weight_decay), F::of(epsilon));
    let (beta_1, new_1) = (F::of(beta_1), F::of(1.0 - beta_1));
    let (beta_2, new_2) = (F::of(beta_2), F::of(1.0 - beta_2));

    let means = mean.iter_mut().zip(mean_square);
    for ((theta, &g), (m, v)) in parameters.iter_mut().zip(gradient).zip(means) {
        *m = beta_1 * *m + new_1 * g;
        *v = beta_2 * *v + new_2 * g * g;
        *theta = keep * *theta - rate * *m / (v.sqrt() * root_correction_2 + epsilon);
    }
}
// ANCHOR_END: adamw_update

// ANCHOR: clip_gradient_norm
/// Scales the gradient down to the length `max_norm` if it is longer, and returns the length it had.
///
/// The 10⁻⁶ is PyTorch's. A gradient that is not finite stays as it is, and the returned length is not finite.
///
/// # Formula
/// ```text
/// g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶))
/// ```
///
/// # Example
/// ```
/// use ddpm::network::clip_gradient_norm;
///
/// let mut gradient = [3.0_f64, 4.0];
/// assert_eq!(clip_gradient_norm(&mut gradient, 1.0), 5.0);
/// assert!((gradient[0] - 0.6).abs() < 1e-6 && (gradient[1] - 0.8).abs() < 1e-6);
/// ```
pub fn clip_gradient_norm<F: Float>(gradient: &mut [F], max_norm: f64) -> f64 {
    let norm = sum_of_squares(gradient).sqrt();
    let factor = max_norm / (norm + 1e-6);
    if norm.is_finite() && factor < 1.0 {
        let factor = F::of(factor);
        gradient.iter_mut().for_each(|g| *g *= factor);
    }
    norm
}
// ANCHOR_END: clip_gradient_norm

/// Σ g², in a fixed order: sixteen sums side by side over a block, which the compiler turns into vectors, and the blocks
/// in `f64`.
fn sum_of_squares<F: Float>(values: &[F]) -> f64 {
    const LANES: usize = 16;
    let block_sum = |block: &[F]| {
        let mut sums = [F::zero(); LANES];
        let lanes = block.chunks_exact(LANES);
        let rest: f64 = lanes.remainder().iter().map(|v| v.as_f64() * v.as_f64()).sum();
        for lane in lanes {
            sums.iter_mut().zip(lane).for_each(|(sum, &v)| *sum += v * v);
        }
        rest + sums.iter().map(|sum| sum.as_f64()).sum::<f64>()
    };
    values.chunks(256 * LANES).map(block_sum).sum()
}

/// An exponential moving average of the parameters: smoother than the last step's, it usually draws better samples.
#[derive(Debug, Clone)]
pub struct Ema<F> {
    decay: f64,
    warm_up: bool,
    updates: u64,
    average: Vec<F>,
}

impl<F: Float> Ema<F> {
    /// An average that begins at `parameters`.
    ///
    /// Ho et al. 2020, App. B, use decay = 0.9999. With `warm_up`, early updates keep less ([`ema_decay`]), so that the
    /// average is not still the untrained network after a few thousand steps.
    pub fn new(decay: f64, warm_up: bool, parameters: &[F]) -> Self {
        Self { decay, warm_up, updates: 0, average: parameters.to_vec() }
    }

    /// Moves the average towards `parameters`.
    ///
    /// # Panics
    ///
    /// If their number is not that of the average.
    #[track_caller]
    pub fn update(&mut self, parameters: &[F]) {
        assert_eq!(parameters.len(), self.average.len(), "the average was made for another network");
        let decay = if self.warm_up { ema_decay(self.decay, self.updates) } else { self.decay };
        self.updates += 1;
        ema_update(&mut self.average, parameters, decay);
    }

    /// The average.
    pub fn average(&self) -> &[F] {
        &self.average
    }
}

// ANCHOR: ema_update
/// One update of an exponential moving average of the parameters.
///
/// Source: Ho et al. 2020, App. B.
///
/// It is computed as a step towards the parameters, so that an average equal to them stays as it is, to the last bit.
///
/// # Formula
/// a ← d a + (1 − d) θ
///
/// where d is `decay`, a is `average` and θ are the `parameters`.
///
/// # Example
/// ```
/// use ddpm::network::optimizer::ema_update;
///
/// let mut average = [0.0_f64, 2.0];
/// ema_update(&mut average, &[1.0, 2.0], 0.75);
/// assert_eq!(average, [0.25, 2.0]);
/// ```
#[inline]
pub fn ema_update<F: Float>(average: &mut [F], parameters: &[F], decay: f64) {
    let step = F::of(1.0 - decay);
    for (a, &theta) in average.iter_mut().zip(parameters) {
        *a += step * (theta - *a);
    }
}
// ANCHOR_END: ema_update

// ANCHOR: ema_decay
/// The decay of the n-th update, counted from 0, while an average warms up.
///
/// Source: TensorFlow's `ExponentialMovingAverage` with `num_updates`.
///
/// # Formula
/// ```text
/// d_n = min(decay, (1 + n) / (10 + n))
/// ```
///
/// # Example
/// ```
/// use ddpm::network::optimizer::ema_decay;
///
/// assert_eq!((ema_decay(0.999, 0), ema_decay(0.999, 1_000_000)), (0.1, 0.999));
/// ```
pub fn ema_decay(decay: f64, n: u64) -> f64 {
    decay.min((1 + n) as f64 / (10 + n) as f64)
}
// ANCHOR_END: ema_decay

// ANCHOR: cosine_learning_rate
/// The learning rate at `step` of `steps`, counted from 0: half a cosine from `base` down to 0.
///
/// Source: Loshchilov & Hutter 2017, Eq. (5), one cycle down to η_min = 0; beyond `steps` it stays there.
///
/// # Formula
/// ```text
/// η = ½ base (1 + cos(π step / steps))
/// ```
///
/// # Example
/// ```
/// use ddpm::network::cosine_learning_rate;
///
/// let half_way = cosine_learning_rate(50, 100, 1e-3);
/// assert!((half_way - 5e-4).abs() < 1e-12);
/// ```
///
/// # Panics
/// If `steps` is 0.
#[track_caller]
pub fn cosine_learning_rate(step: usize, steps: usize, base: f64) -> f64 {
    assert!(steps > 0, "a learning rate needs at least one step to fall over");
    0.5 * base * (1.0 + (PI * step.min(steps) as f64 / steps as f64).cos())
}
// ANCHOR_END: cosine_learning_rate
