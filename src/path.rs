//! Paths from data to noise in continuous time: x_t = α_t x_0 + σ_t ε, t from 0 to 1.
//!
//! A path is the family of its kernels q(x_t | x_0), as [`TransitionKernel`]s, and their rates of change. All of them pass through the
//! same ratios of signal to noise, so that each is every other after a change of time and of scale: [`same_log_snr`].

use crate::{
    continuous::sde::{Sde, coefficients, kernel},
    forward::TransitionKernel,
};
use ndarray::Array2;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// A path from data to noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Path {
    /// The kernels of an SDE.
    Sde(Sde),
    /// α and σ on a quarter of a circle. Source: Nichol & Dhariwal 2021, §3.2, without their offset.
    Cosine,
    /// α and σ on a straight line. Source: Liu et al. 2023 (Rectified Flow); Lipman et al. 2023 (Flow Matching), with t from the data.
    Straight,
}

/// dα/dt and dσ/dt of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// dα/dt.
    pub signal: f64,
    /// dσ/dt.
    pub deviation: f64,
}

impl Path {
    /// Every path that has no parameter to choose.
    pub const ALL: [Path; 5] =
        [Path::Sde(Sde::VP), Path::Sde(Sde::SUB_VP), Path::Sde(Sde::VE), Path::Cosine, Path::Straight];

    /// Its usual name.
    pub fn name(&self) -> &'static str {
        match self {
            Path::Sde(sde) => sde.name(),
            Path::Cosine => "cosine",
            Path::Straight => "straight",
        }
    }

    // ANCHOR: path_kernel
    /// q(x_t | x_0) at time t, from 0 to 1.
    ///
    /// # Formula
    /// - an SDE: its [`kernel`]
    /// - cosine: α = cos(πt/2), σ = sin(πt/2)
    /// - straight: α = 1 − t, σ = t
    ///
    /// # Example
    /// ```
    /// use ddpm::path::Path;
    ///
    /// let half = Path::Straight.kernel(0.5);
    /// assert_eq!((half.signal, half.deviation()), (0.5, 0.5));
    /// ```
    pub fn kernel(&self, t: f64) -> TransitionKernel {
        match self {
            Path::Sde(sde) => kernel(sde, t),
            Path::Cosine => {
                let (sine, cosine) = (FRAC_PI_2 * t).sin_cos();
                TransitionKernel { signal: cosine, variance: sine * sine }
            }
            Path::Straight => TransitionKernel { signal: 1.0 - t, variance: t * t },
        }
    }
    // ANCHOR_END: path_kernel

    // ANCHOR: path_rates
    /// How fast α and σ change at time t. An SDE's σ leaves 0 infinitely fast at t = 0.
    ///
    /// # Formula
    /// - an SDE dx = a x dt + g dw: dα/dt = a α, dσ/dt = a σ + g²/(2σ), from dσ²/dt = 2 a σ² + g²
    /// - cosine: −(π/2) σ, (π/2) α
    /// - straight: −1, 1
    ///
    /// # Example
    /// ```
    /// use ddpm::path::{Path, Rates};
    ///
    /// assert_eq!(Path::Straight.rates(0.3), Rates { signal: -1.0, deviation: 1.0 });
    /// ```
    pub fn rates(&self, t: f64) -> Rates {
        let at = self.kernel(t);
        let (signal, deviation) = match self {
            Path::Sde(sde) => {
                let (a, g_squared) = coefficients(sde, t);
                (a * at.signal, a * at.deviation() + g_squared / (2.0 * at.deviation()))
            }
            Path::Cosine => (-FRAC_PI_2 * at.deviation(), FRAC_PI_2 * at.signal),
            Path::Straight => (-1.0, 1.0),
        };
        Rates { signal, deviation }
    }
    // ANCHOR_END: path_rates

    /// How fast the noise's variance changes at time t: finite everywhere, unlike dσ/dt.
    ///
    /// # Formula
    /// dσ²/dt = 2 σ σ′; for an SDE 2 a σ² + g²
    ///
    /// # Example
    /// ```
    /// use ddpm::path::Path;
    ///
    /// assert_eq!(Path::Straight.variance_rate(0.25), 0.5);
    /// ```
    pub fn variance_rate(&self, t: f64) -> f64 {
        let at = self.kernel(t);
        match self {
            Path::Sde(sde) => {
                let (a, g_squared) = coefficients(sde, t);
                2.0 * a * at.variance + g_squared
            }
            Path::Cosine | Path::Straight => 2.0 * at.deviation() * self.rates(t).deviation,
        }
    }

    /// The logarithm of the squared ratio of signal to noise at time t: ∞ at the data.
    ///
    /// Source: Kingma et al. 2021 (Variational Diffusion Models), §3.1.
    ///
    /// # Formula
    /// ln(α²/σ²)
    ///
    /// # Example
    /// ```
    /// use ddpm::path::Path;
    ///
    /// assert!(Path::Cosine.log_snr(0.5).abs() < 1e-12); // as much signal as noise
    /// ```
    pub fn log_snr(&self, t: f64) -> f64 {
        log_snr(self.kernel(t))
    }

    /// How fast the log-SNR changes at time t: it falls.
    ///
    /// # Formula
    /// 2 (α′/α − σ′/σ)
    ///
    /// # Example
    /// ```
    /// use ddpm::path::Path;
    ///
    /// assert!((Path::Straight.log_snr_rate(0.5) + 8.0).abs() < 1e-12); // 2 (−1/0.5 − 1/0.5)
    /// ```
    pub fn log_snr_rate(&self, t: f64) -> f64 {
        let (at, rates) = (self.kernel(t), self.rates(t));
        2.0 * (rates.signal / at.signal - rates.deviation / at.deviation())
    }

    // ANCHOR: path_time
    /// The time at which the path has a log-SNR λ.
    ///
    /// # Formula
    /// With r = e^{−λ/2} = σ/α:
    /// - VP: B = ln(1 + r²), and t from B(t) = ∫_0^t β(s) ds; sub-VP: the same with e^{−B/2} = (√(r² + 4) − r)/2
    /// - VE: t = ln(1 + r²/σ_min²)/(2 ln(σ_max/σ_min))
    /// - cosine: t = (2/π) arctan r
    /// - straight: t = r/(1 + r)
    ///
    /// # Example
    /// ```
    /// use ddpm::path::Path;
    ///
    /// assert!((Path::Straight.time_at(Path::Straight.log_snr(0.2)) - 0.2).abs() < 1e-12);
    /// ```
    pub fn time_at(&self, log_snr: f64) -> f64 {
        let ratio = (-0.5 * log_snr).exp();
        match *self {
            Path::Sde(Sde::VariancePreserving { beta_min, beta_max }) => {
                time_of_integral(beta_min, beta_max, (ratio * ratio).ln_1p())
            }
            Path::Sde(Sde::SubVariancePreserving { beta_min, beta_max }) => time_of_integral(
                beta_min,
                beta_max,
                -2.0 * (0.5 * ((ratio * ratio + 4.0).sqrt() - ratio)).ln(),
            ),
            Path::Sde(Sde::VarianceExploding { sigma_min, sigma_max }) => {
                (ratio / sigma_min).powi(2).ln_1p() / (2.0 * (sigma_max / sigma_min).ln())
            }
            Path::Cosine => FRAC_2_PI * ratio.atan(),
            Path::Straight => ratio / (1.0 + ratio),
        }
    }
    // ANCHOR_END: path_time

    /// x_t of points x_0 and noise ε, (N, D) each.
    ///
    /// # Example
    /// ```
    /// use ddpm::path::Path;
    /// use ndarray::array;
    ///
    /// assert_eq!(Path::Straight.diffuse(&array![[1.0]], &array![[3.0]], 0.5), array![[2.0]]); // half way
    /// ```
    pub fn diffuse(&self, x_0: &Array2<f64>, eps: &Array2<f64>, t: f64) -> Array2<f64> {
        let at = self.kernel(t);
        at.signal * x_0 + at.deviation() * eps
    }
}

/// The logarithm of the squared ratio of signal to noise of a kernel.
///
/// # Formula
/// ln(α²/σ²)
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, path::log_snr};
///
/// assert_eq!(log_snr(TransitionKernel { signal: 0.5, variance: 0.25 }), 0.0);
/// assert_eq!(log_snr(TransitionKernel::IDENTITY), f64::INFINITY); // the data
/// ```
pub fn log_snr(at: TransitionKernel) -> f64 {
    2.0 * at.signal.ln() - at.variance.ln()
}

// ANCHOR: same_log_snr
/// Where on the path `to` a point of the path `from` at time `t` lies: the time with the same log-SNR, and the factor of x.
///
/// The two kernels differ by that factor alone. So a sample of one path is one of the other, and a network that is trained along one
/// serves along both.
///
/// # Formula
/// λ_to(t′) = λ_from(t), x′ = (α_to(t′)/α_from(t)) x
///
/// # Example
/// ```
/// use ddpm::path::{Path, same_log_snr};
///
/// let (t, factor) = same_log_snr(Path::Straight, Path::Cosine, 0.5);
/// assert!((t - 0.5).abs() < 1e-12 && (factor - 2_f64.sqrt()).abs() < 1e-12); // (½, ½) becomes (1/√2, 1/√2)
/// ```
pub fn same_log_snr(from: Path, to: Path, t: f64) -> (f64, f64) {
    let there = to.time_at(from.log_snr(t));
    (there, to.kernel(there).signal / from.kernel(t).signal)
}
// ANCHOR_END: same_log_snr

/// The t of ∫_0^t β(s) ds, for a β that rises in a line.
fn time_of_integral(beta_min: f64, beta_max: f64, integral: f64) -> f64 {
    // ½ (β_max − β_min) t² + β_min t = B; this form of the root loses no digits where B is small.
    2.0 * integral / (beta_min + (beta_min * beta_min + 2.0 * (beta_max - beta_min) * integral).sqrt())
}
