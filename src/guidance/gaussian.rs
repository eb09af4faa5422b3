//! Guidance where all is Gaussian, on a line: p(x) = N(0, V), p(x|y) = N(m, v). Three answers to “what is drawn”, each in closed form, and
//! three different ones.

use crate::{
    forward::TransitionKernel,
    sampler::{Step, linear_moments},
    schedule::Schedule,
};

/// Points of the integral for the flow's mean: Simpson's rule errs by some 10⁻⁹ for the scales of the course.
const POINTS: usize = 400;

/// Data N(0, V) on a line, and one class of it, N(m, v).
///
/// Where p(x) is the mean of its classes, V exceeds v. With V = v it is guidance from the class at 0 towards another of the same width: a
/// negative label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianClass {
    /// V, the variance of all data.
    pub variance: f64,
    /// m, the mean of the class.
    pub class_mean: f64,
    /// v, the variance of the class.
    pub class_variance: f64,
}

/// (1 − e^{−a})/a, and 1 at 0.
fn mean_of_exponential(a: f64) -> f64 {
    if a == 0.0 { 1.0 } else { -(-a).exp_m1() / a }
}

impl GaussianClass {
    /// ρ = v/V.
    fn ratio(&self) -> f64 {
        self.class_variance / self.variance
    }

    /// The guided score at a noise level, ∇ ln p_t(x) p_t(y|x)^w = b − P x: (b, P).
    ///
    /// # Formula
    /// P = (1 − w)/(α² V + σ²) + w/(α² v + σ²), b = w α m/(α² v + σ²)
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, guidance::gaussian::GaussianClass};
    ///
    /// let class = GaussianClass { variance: 4.0, class_mean: 1.0, class_variance: 1.0 };
    /// assert_eq!(class.guided_score(TransitionKernel::IDENTITY, 2.0), (2.0, 1.75));
    /// ```
    pub fn guided_score(&self, at: TransitionKernel, scale: f64) -> (f64, f64) {
        let noised = |variance: f64| at.signal * at.signal * variance + at.variance;
        let (all, class) = (noised(self.variance), noised(self.class_variance));
        (scale * at.signal * self.class_mean / class, (1.0 - scale) / all + scale / class)
    }

    // ANCHOR: guided_moments
    /// Mean and variance of p_t(x) p_t(y|x)^w, normalised, at a noise level; `None` where it has no finite integral.
    ///
    /// # Formula
    /// N(b/P, 1/P) with [`guided_score`](Self::guided_score)'s b and P; at the data 1/P is the harmonic mean V v/((1 − w) v + w V)
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, guidance::gaussian::GaussianClass};
    ///
    /// let class = GaussianClass { variance: 4.0, class_mean: 1.0, class_variance: 1.0 };
    /// assert_eq!(class.guided_moments(TransitionKernel::IDENTITY, 1.0), Some((1.0, 1.0))); // the class
    /// assert_eq!(class.guided_moments(TransitionKernel::IDENTITY, -1.0), None); // 2/4 − 1/1: it grows without bound
    /// ```
    pub fn guided_moments(&self, at: TransitionKernel, scale: f64) -> Option<(f64, f64)> {
        let (b, precision) = self.guided_score(at, scale);
        (precision > 0.0).then(|| (b / precision, 1.0 / precision))
    }
    // ANCHOR_END: guided_moments

    // ANCHOR: flow_moments
    /// Mean and variance that the probability flow of the guided field draws, from pure noise: DDIM with η = 0 and many steps.
    ///
    /// In z = x/α and s = σ/α the flow is dz/ds = −s ∇ ln p, whose equation here is linear: the growth from s = 0 is
    /// h(s)/h(0) with h = (V + s²)^{(1−w)/2} (v + s²)^{w/2}, and h → s in the noise.
    ///
    /// # Formula
    /// - variance V^{1−w} v^w: the *geometric* mean
    /// - mean m w ρ^{w/2} ∫_0^1 (1 − (1 − ρ) u²)^{−1−w/2} du with ρ = v/V
    ///
    /// # Example
    /// ```
    /// use ddpm::guidance::gaussian::GaussianClass;
    ///
    /// let class = GaussianClass { variance: 4.0, class_mean: 1.0, class_variance: 1.0 };
    /// let (mean, variance) = class.flow_moments(1.0);
    /// assert!((mean - 1.0).abs() < 1e-8 && (variance - 1.0).abs() < 1e-12); // w = 1 is the class
    /// assert!((class.flow_moments(2.0).1 - 0.25).abs() < 1e-12); // 4^{−1} · 1², and the density has 4/7
    /// ```
    pub fn flow_moments(&self, scale: f64) -> (f64, f64) {
        let ratio = self.ratio();
        let height = |i: usize| {
            let u = i as f64 / POINTS as f64;
            (1.0 - (1.0 - ratio) * u * u).powf(-1.0 - 0.5 * scale)
        };
        let weight = |i: usize| if i == 0 || i == POINTS { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
        let integral = (0..=POINTS).map(|i| weight(i) * height(i)).sum::<f64>() / (3.0 * POINTS as f64);
        let mean = self.class_mean * scale * ratio.powf(0.5 * scale) * integral;
        (mean, self.variance * ratio.powf(scale))
    }
    // ANCHOR_END: flow_moments

    // ANCHOR: sde_moments
    /// Mean and variance that the reverse SDE of the guided field draws, from pure noise: Algorithm 2 with many steps.
    ///
    /// # Formula
    /// - variance V (ρ^{2w} − ρ)/((1 − 2w)(1 − ρ)), with ρ = v/V
    /// - mean m (1 − ρ^w)/(1 − ρ)
    ///
    /// # Example
    /// ```
    /// use ddpm::guidance::gaussian::GaussianClass;
    ///
    /// let class = GaussianClass { variance: 4.0, class_mean: 1.0, class_variance: 1.0 };
    /// let (mean, variance) = class.sde_moments(2.0);
    /// assert!((mean - 1.25).abs() < 1e-12 && (variance - 4.0 * (0.25 - 1.0 / 256.0) / 2.25).abs() < 1e-12);
    /// ```
    pub fn sde_moments(&self, scale: f64) -> (f64, f64) {
        let log = -self.ratio().ln(); // ℓ = ln(V/v); (1 − ρ^a)/a is ℓ times `mean_of_exponential(a ℓ)`
        let all = mean_of_exponential(log);
        let mean = self.class_mean * scale * mean_of_exponential(scale * log) / all;
        let variance =
            self.variance * (-2.0 * scale * log).exp() * mean_of_exponential((1.0 - 2.0 * scale) * log) / all;
        (mean, variance)
    }
    // ANCHOR_END: sde_moments

    /// Mean and variance by all three answers: of the tilted density, if it has a finite integral, of the flow and of the SDE.
    pub fn answers(&self, scale: f64) -> [Option<(f64, f64)>; 3] {
        let tilted = self.guided_moments(TransitionKernel::IDENTITY, scale);
        [tilted, Some(self.flow_moments(scale)), Some(self.sde_moments(scale))]
    }

    /// Mean and variance that a sampler's own steps draw, without a random number.
    ///
    /// # Formula
    /// as [`linear_moments`], with ε̂ = √(1 − ᾱ_t) (P x_t − b)
    ///
    /// # Example
    /// ```
    /// use ddpm::{guidance::gaussian::GaussianClass, sampler::{Spacing, ddim, time_grid}, schedule::Schedule};
    ///
    /// let (schedule, class) = (Schedule::linear_scaled(1000)?, GaussianClass { variance: 4.0, class_mean: 1.0, class_variance: 1.0 });
    /// let steps = ddim(&schedule, &time_grid(1000, 1000, Spacing::Trailing)?, 0.0, None);
    /// let ((mean, variance), flow) = (class.drawn(&schedule, &steps, 2.0), class.flow_moments(2.0));
    /// assert!((mean - flow.0).abs() < 0.02 && (variance - flow.1).abs() < 0.01);
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    pub fn drawn(&self, schedule: &Schedule, steps: &[Step], scale: f64) -> (f64, f64) {
        linear_moments(steps, |t| {
            let at = TransitionKernel::from_start(schedule, t);
            let (b, precision) = self.guided_score(at, scale);
            (at.deviation() * precision, b / precision)
        })
    }
}
