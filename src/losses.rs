//! Losses with their densities of noise levels, all in one unit, and where on the log-SNR each is spent.
//!
//! Source: Kingma & Gao 2023 (Understanding Diffusion Objectives).

use crate::{
    continuous::sde::Sde,
    continuous_bound::{denoising_errors, kernel_of},
    denoiser::PosteriorMean,
    edm::edm_per_log_snr,
    metrics::mean,
    path::Path,
    weighting::{Weighting, bound_per_log_snr, per_log_snr},
};
use ndarray::Array2;

/// A loss, with the density of the noise levels that it is averaged over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// The bound, whatever its schedule.
    Bound,
    /// A weighting, averaged over t uniform along a path.
    Along(Weighting, Path),
    /// EDM's, with its log-normal σ, for data of this standard deviation.
    Edm {
        /// σ_d.
        sigma_data: f64,
    },
}

/// The VP path, the limit of the linear schedule.
const VP: Path = Path::Sde(Sde::VP);

impl Loss {
    /// Seven that were published, by name: P2 with k = 1 and γ = 1, min-SNR with γ = 5, EDM for data of unit variance.
    pub const PUBLISHED: [(&str, Loss); 7] = [
        ("the bound, L", Loss::Bound),
        ("L_simple, linear", Loss::Along(Weighting::Simple, VP)),
        ("L_simple, cosine", Loss::Along(Weighting::Simple, Path::Cosine)),
        ("1 on v, linear", Loss::Along(Weighting::SnrPlusOne, VP)),
        ("P2, linear", Loss::Along(Weighting::P2 { k: 1.0, gamma: 1.0 }, VP)),
        ("min-SNR-5, linear", Loss::Along(Weighting::MIN_SNR_5, VP)),
        ("EDM", Loss::Edm { sigma_data: 1.0 }),
    ];

    // ANCHOR: loss_per_log_snr
    /// Its weight of ‖x_0 − x̂_0‖² per unit of log-SNR λ.
    ///
    /// # Formula
    /// The bound: ½ e^λ. Along a path: w(λ) |dt/dλ|. EDM: w(σ) times the density of λ = −2 ln σ
    ///
    /// # Example
    /// ```
    /// use ddpm::{losses::Loss, path::Path, weighting::Weighting};
    ///
    /// assert_eq!(Loss::Bound.per_log_snr(0.0), 0.5);
    /// let simple = Loss::Along(Weighting::Simple, Path::Straight).per_log_snr(0.0);
    /// assert!((simple - 0.125).abs() < 1e-12); // λ falls by 8 a unit of t there
    /// ```
    pub fn per_log_snr(self, log_snr: f64) -> f64 {
        match self {
            Loss::Bound => bound_per_log_snr(kernel_of(log_snr)),
            Loss::Along(weighting, path) => per_log_snr(weighting, path, path.time_at(log_snr)),
            Loss::Edm { sigma_data } => edm_per_log_snr(log_snr, sigma_data),
        }
    }
    // ANCHOR_END: loss_per_log_snr
}

/// E‖x_0 − E\[x_0 | x\]‖² at each of some log-SNRs, as points (λ, error): the least error of known data, on points and their noise.
pub fn least_errors(
    data: &(impl PosteriorMean + ?Sized),
    log_snrs: impl IntoIterator<Item = f64>,
    x_0: &Array2<f64>,
    eps: &Array2<f64>,
) -> Vec<(f64, f64)> {
    let error = |log_snr| mean(denoising_errors(data, kernel_of(log_snr), x_0, eps).view());
    log_snrs.into_iter().map(|log_snr| (log_snr, error(log_snr))).collect()
}

/// A loss of a perfect network, shared out over the log-SNR: points (λ, share of the loss per unit of λ) from the [`least_errors`].
///
/// # Formula
/// w(λ) e(λ)/∫ w e dλ
///
/// # Example
/// ```
/// use ddpm::losses::{Loss, spent};
///
/// let even = [(0.0, 2.0), (1.0, 2.0 * (-1.0_f64).exp())]; // errors that fall as the bound's weight rises
/// assert!(spent(Loss::Bound, &even).iter().all(|(_, share)| (share - 1.0).abs() < 1e-12));
/// ```
pub fn spent(loss: Loss, least_errors: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let weighted: Vec<_> =
        least_errors.iter().map(|(log_snr, error)| (*log_snr, loss.per_log_snr(*log_snr) * error)).collect();
    let area: f64 = weighted.windows(2).map(trapezoid).sum();
    weighted.into_iter().map(|(log_snr, weighted)| (log_snr, weighted / area)).collect()
}

/// A loss's weights as they are where all of what is [`spent`] is 1: points (λ, weight).
///
/// # Formula
/// w(λ)/∫ w e dλ
pub fn unit_weights(loss: Loss, least_errors: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let shares = spent(loss, least_errors).into_iter().zip(least_errors);
    shares.map(|((log_snr, share), (_, error))| (log_snr, share / error)).collect()
}

/// The λ below which so large a `part` of what is [`spent`] lies, linear between two points.
///
/// # Example
/// ```
/// assert_eq!(ddpm::losses::quantile_of(&[(0.0, 0.5), (2.0, 0.5)], 0.25), 0.5);
/// ```
///
/// # Panics
/// If there are no points.
#[track_caller]
pub fn quantile_of(spent: &[(f64, f64)], part: f64) -> f64 {
    let mut below = 0.0;
    for pair in spent.windows(2) {
        let piece = trapezoid(pair);
        if below + piece >= part {
            return pair[0].0 + (part - below) / piece * (pair[1].0 - pair[0].0);
        }
        below += piece;
    }
    spent[spent.len() - 1].0
}

/// The area under the line between two points.
fn trapezoid(pair: &[(f64, f64)]) -> f64 {
    0.5 * (pair[0].1 + pair[1].1) * (pair[1].0 - pair[0].0)
}
