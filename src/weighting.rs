//! How errors count: every weighted loss as a weight on ‖x_0 − x̂_0‖² and a density of noise levels.
//!
//! A loss on any [`Target`] is a loss on x_0 times the square of an [error factor](error_factor), and its times are drawn with some
//! density. What distinguishes two losses is only the product: the weight of ‖x_0 − x̂_0‖² per unit of log-SNR
//! ([`per_log_snr`]). Source: Kingma & Gao 2023 (Understanding Diffusion Objectives).

use crate::{
    forward::TransitionKernel,
    path::{Path, log_snr},
    target::{Target, error_factor},
};

/// The weight of a loss, in terms of the ratio of signal to noise SNR = α²/σ².
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weighting {
    /// L_simple: 1 on ‖ε − ε̂‖². Source: Ho et al. 2020, Eq. (14).
    Simple,
    /// 1 on ‖v − v̂‖² where α² + σ² = 1, “SNR + 1”. Source: Salimans & Ho 2022, §4.
    SnrPlusOne,
    /// 1/(k + SNR)^γ on ‖ε − ε̂‖². Source: Choi et al. 2022 (P2 weighting), Eq. (8).
    P2 {
        /// k, which keeps the weight finite at pure noise.
        k: f64,
        /// γ, how much less the clean levels count.
        gamma: f64,
    },
    /// min(SNR, γ) on ‖x_0 − x̂_0‖². Source: Hang et al. 2023 (Min-SNR), §3.4.
    MinSnr {
        /// γ, from where on more signal gives no more weight.
        gamma: f64,
    },
    /// (s² + σ_d²)/(s σ_d)² on ‖x_0 − x̂_0‖², with s = σ/α: 1 on EDM's inner network. Source: Karras et al. 2022, Table 1.
    Edm {
        /// σ_d, the standard deviation of the data.
        sigma_data: f64,
    },
}

impl Weighting {
    /// Min-SNR with the γ of its paper. Source: Hang et al. 2023, §4.
    pub const MIN_SNR_5: Weighting = Weighting::MinSnr { gamma: 5.0 };

    // ANCHOR: weight_on_x_0
    /// The weight on ‖x_0 − x̂_0‖² at a noise level.
    ///
    /// # Formula
    /// - L_simple: SNR; SNR + 1: as its name says; P2: SNR/(k + SNR)^γ; min-SNR: min(SNR, γ)
    /// - EDM: SNR + 1/σ_d²
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, weighting::Weighting};
    ///
    /// let at = TransitionKernel { signal: 2.0, variance: 0.5 }; // SNR 8
    /// assert_eq!(Weighting::Simple.on_x_0(at), 8.0);
    /// assert_eq!(Weighting::MinSnr { gamma: 5.0 }.on_x_0(at), 5.0);
    /// ```
    pub fn on_x_0(self, at: TransitionKernel) -> f64 {
        let snr = at.signal * at.signal / at.variance;
        match self {
            Weighting::Simple => snr,
            Weighting::SnrPlusOne => snr + 1.0,
            Weighting::P2 { k, gamma } => snr / (k + snr).powf(gamma),
            Weighting::MinSnr { gamma } => snr.min(gamma),
            Weighting::Edm { sigma_data } => snr + 1.0 / (sigma_data * sigma_data),
        }
    }
    // ANCHOR_END: weight_on_x_0

    // ANCHOR: weight_on_target
    /// The weight of the same loss on another target's squared error.
    ///
    /// # Formula
    /// w(‖y − ŷ‖²) = w(‖x_0 − x̂_0‖²) (Δ_{x_0}/Δ_y)²
    ///
    /// With α² + σ² = 1, min-SNR is min(SNR, γ)/SNR on ε and min(SNR, γ)/(SNR + 1) on v.
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, target::Target, weighting::Weighting};
    ///
    /// let at = TransitionKernel { signal: 0.8, variance: 0.36 }; // SNR 16/9
    /// let weighting = Weighting::MinSnr { gamma: 1.0 };
    /// assert!((weighting.on(Target::EPS, at) - 9.0 / 16.0).abs() < 1e-12);
    /// assert!((weighting.on(Target::v(at), at) - 9.0 / 25.0).abs() < 1e-12); // not 9/16
    /// ```
    pub fn on(self, target: Target, at: TransitionKernel) -> f64 {
        self.on_x_0(at) * error_factor(target, Target::X_0, at).powi(2)
    }
    // ANCHOR_END: weight_on_target
}

// ANCHOR: per_log_snr
/// The weight of ‖x_0 − x̂_0‖² per unit of log-SNR of a loss that is averaged over t uniform in [0, 1] along a path.
///
/// # Formula
/// w(λ) |dt/dλ|
///
/// # Example
/// ```
/// use ddpm::{path::Path, weighting::{Weighting, per_log_snr}};
///
/// let weight = per_log_snr(Weighting::Simple, Path::Straight, 0.5);
/// assert!((weight - 1.0 / 8.0).abs() < 1e-12); // SNR 1, and λ falls by 8 a unit of t
/// ```
pub fn per_log_snr(weighting: Weighting, path: Path, t: f64) -> f64 {
    weighting.on_x_0(path.kernel(t)) / path.log_snr_rate(t).abs()
}
// ANCHOR_END: per_log_snr

// ANCHOR: bound_per_log_snr
/// The bound's own weight of ‖x_0 − x̂_0‖² per unit of log-SNR, whatever the path: it depends on the SNR alone.
///
/// Source: Kingma et al. 2021, Eq. (18), with the SNR in the place of its integration variable.
///
/// # Formula
/// ½ SNR, from ½ ‖x_0 − x̂_0‖² dSNR = ½ e^λ ‖x_0 − x̂_0‖² dλ
///
/// # Example
/// ```
/// use ddpm::{path::Path, weighting::bound_per_log_snr};
///
/// assert_eq!(bound_per_log_snr(Path::Straight.kernel(0.5)), 0.5);
/// ```
pub fn bound_per_log_snr(at: TransitionKernel) -> f64 {
    0.5 * log_snr(at).exp()
}
// ANCHOR_END: bound_per_log_snr

// ANCHOR: bound_step_weight
/// The bound's weight of ‖x_0 − x̂_0‖² in one step between two levels, with the variance of the posterior.
///
/// Source: Kingma et al. 2021, Eq. (14).
///
/// # Formula
/// ½ (SNR(s) − SNR(t))
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, weighting::bound_step_weight};
///
/// let [before, after] = [0.25, 0.5].map(|variance| TransitionKernel { signal: 1.0, variance });
/// assert_eq!(bound_step_weight(before, after), 1.0); // ½ (4 − 2)
/// ```
pub fn bound_step_weight(before: TransitionKernel, after: TransitionKernel) -> f64 {
    0.5 * (log_snr(before).exp() - log_snr(after).exp())
}
// ANCHOR_END: bound_step_weight
