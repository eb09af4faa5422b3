//! The reverse process p_θ(x_{t−1} | x_t): from a predicted noise to a mean and a variance.

use crate::{
    Error, Result,
    denoiser::Prediction,
    gaussian::DiagonalGaussian,
    posterior::{posterior_log_variance, posterior_mean, posterior_variance},
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2, Axis};
use std::{fmt, str::FromStr};

// ANCHOR: x_0_coefficients
/// The factors of x_t and of ε in x̂_0, in this order: Eq. (4) solved for x_0.
///
/// Source: Ho et al. 2020, Eq. (15).
///
/// # Formula
/// x̂_0 = (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t
///
/// # Example
/// ```
/// use ddpm::{reverse::x_0_coefficients, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ_2 = 0.36
/// let (of_x_t, of_eps) = x_0_coefficients(&schedule, 2);
/// assert!((of_x_t * 2.2 + of_eps * 2.0 - 1.0).abs() < 1e-12); // 2.2 = 0.6 · 1 + 0.8 · 2
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn x_0_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    let alpha_bar = schedule.alpha_bar(t);
    (1.0 / alpha_bar.sqrt(), -(1.0 - alpha_bar).sqrt() / alpha_bar.sqrt())
}
// ANCHOR_END: x_0_coefficients

// ANCHOR: mean_coefficients
/// The factors of x_t and of ε_θ in the reverse mean μ_θ, in this order.
///
/// Source: Ho et al. 2020, Eq. (11).
///
/// # Formula
/// μ_θ = (x_t − β_t/√(1 − ᾱ_t) ε_θ)/√α_t
///
/// # Example
/// ```
/// use ddpm::{reverse::mean_coefficients, schedule::Schedule};
///
/// let (of_x_t, of_eps) = mean_coefficients(&Schedule::linear(2, 0.36, 0.4375)?, 1);
/// assert!((of_x_t - 1.25).abs() < 1e-12); // 1/0.8
/// assert!((of_eps + 0.75).abs() < 1e-12); // −0.36/0.6/0.8
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If t lies outside of 1…T: the clean image has no reverse step.
#[track_caller]
pub fn mean_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    assert!(t >= 1, "t = 0 has no reverse step: it is the clean image");
    let of_x_t = 1.0 / schedule.alpha(t).sqrt();
    (of_x_t, -of_x_t * schedule.beta(t) / (1.0 - schedule.alpha_bar(t)).sqrt())
}
// ANCHOR_END: mean_coefficients

// ANCHOR: predict_x_0
/// The clean image x̂_0 that a noise ε in x_t implies; see [`x_0_coefficients`].
///
/// Source: Ho et al. 2020, Eq. (15).
///
/// Shapes: all (N, D).
///
/// # Example
/// ```
/// use ddpm::{forward::diffuse, metrics::largest_difference, reverse::predict_x_0, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_0, eps) = (Schedule::linear(2, 0.36, 0.4375)?, array![[1.0, -3.0]], array![[2.0, 0.5]]);
/// let x_t = diffuse(&x_0, schedule.alpha_bar(2), &eps);
/// assert!(largest_difference(&predict_x_0(&schedule, 2, &x_t, &eps), &x_0) < 1e-12); // back again
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn predict_x_0(schedule: &Schedule, t: usize, x_t: &Array2<f64>, eps: &Array2<f64>) -> Array2<f64> {
    let (of_x_t, of_eps) = x_0_coefficients(schedule, t);
    of_x_t * x_t + of_eps * eps
}
// ANCHOR_END: predict_x_0

// ANCHOR: mean_from_eps
/// The reverse mean μ_θ(x_t, t) from a predicted noise.
///
/// Source: Ho et al. 2020, Eq. (11).
///
/// Equal to the posterior mean μ̃_t(x_t, x̂_0) at [`predict_x_0`], as long as x̂_0 is not clipped. Shapes: all (N, D).
///
/// # Formula
/// μ_θ = (x_t − β_t/√(1 − ᾱ_t) ε_θ)/√α_t
///
/// # Example
/// ```
/// use ddpm::{metrics::largest_difference, posterior::posterior_mean, reverse::{mean_from_eps, predict_x_0}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_t, eps) = (Schedule::linear(2, 0.36, 0.4375)?, array![[2.2]], array![[2.0]]);
/// let second_route = posterior_mean(&schedule, 2, &predict_x_0(&schedule, 2, &x_t, &eps), &x_t);
/// assert!(largest_difference(&mean_from_eps(&schedule, 2, &x_t, &eps), &second_route) < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn mean_from_eps(schedule: &Schedule, t: usize, x_t: &Array2<f64>, eps: &Array2<f64>) -> Array2<f64> {
    let (of_x_t, of_eps) = mean_coefficients(schedule, t);
    of_x_t * x_t + of_eps * eps
}
// ANCHOR_END: mean_from_eps

// ANCHOR: eps_from_mean
/// The noise that a reverse mean implies: Eq. (11) solved for ε. For t = 1 … T.
///
/// A network that predicts the mean itself becomes one that predicts ε. Shapes: all (N, D).
///
/// # Formula
/// ε = (x_t − √α_t μ) √(1 − ᾱ_t)/β_t
///
/// # Example
/// ```
/// use ddpm::{metrics::largest_difference, reverse::{eps_from_mean, mean_from_eps}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_t, eps) = (Schedule::linear(2, 0.36, 0.4375)?, array![[2.2]], array![[2.0]]);
/// let mean = mean_from_eps(&schedule, 2, &x_t, &eps);
/// assert!(largest_difference(&eps_from_mean(&schedule, 2, &x_t, &mean), &eps) < 1e-12); // back again
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn eps_from_mean(schedule: &Schedule, t: usize, x_t: &Array2<f64>, mean: &Array2<f64>) -> Array2<f64> {
    let (of_x_t, of_eps) = mean_coefficients(schedule, t);
    (mean - of_x_t * x_t) / of_eps
}
// ANCHOR_END: eps_from_mean

/// The two fixed choices for the reverse variance σ_t², Ho et al. 2020, §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FixedVariance {
    /// σ_t² = β_t: the best choice for x_0 ~ N(0, I).
    #[default]
    Beta,
    /// σ_t² = β̃_t: the best choice for an x_0 that is one known point.
    Posterior,
}

impl fmt::Display for FixedVariance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Beta => "beta",
            Self::Posterior => "posterior",
        })
    }
}

impl FromStr for FixedVariance {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "beta" => Ok(Self::Beta),
            "posterior" => Ok(Self::Posterior),
            _ => Err(Error::Parameter {
                name: "variance",
                value: name.into(),
                bound: "name a fixed variance",
                remedy: "use beta (σ² = β) or posterior (σ² = β̃)".into(),
            }),
        }
    }
}

// ANCHOR: fixed_variance
/// The variance σ_t² with which a sampler draws x_{t−1}, for t = 1 … T: β_t or β̃_t.
///
/// Source: Ho et al. 2020, §3.2.
///
/// β̃_1 = 0 is left as it is. Where a density needs σ_1², see [`density_variance`].
///
/// # Example
/// ```
/// use ddpm::{reverse::{FixedVariance, fixed_variance}, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// assert_eq!(fixed_variance(&schedule, 2, FixedVariance::Beta), 0.4375);
/// assert_eq!(fixed_variance(&schedule, 1, FixedVariance::Posterior), 0.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn fixed_variance(schedule: &Schedule, t: usize, choice: FixedVariance) -> f64 {
    match choice {
        FixedVariance::Beta => schedule.beta(t),
        FixedVariance::Posterior => posterior_variance(schedule, t),
    }
}
// ANCHOR_END: fixed_variance

// ANCHOR: density_variance
/// The variance of p_θ(x_{t−1} | x_t) as a density, for t = 1 … T: β_t or β̃_t, and β̃_2 for either choice at t = 1.
///
/// Source: the code of Ho et al. 2020 (`diffusion_utils_2.py`), which puts β̃_2 first in both lists, “to get a better
/// decoder log likelihood”. β̃_1 = 0 would make L_0 infinite. It differs from [`fixed_variance`] at t = 1 only.
///
/// # Example
/// ```
/// use ddpm::{posterior::posterior_variance, reverse::{FixedVariance, density_variance}, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let at_1 = density_variance(&schedule, 1, FixedVariance::Beta);
/// assert!((at_1 - posterior_variance(&schedule, 2)).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn density_variance(schedule: &Schedule, t: usize, choice: FixedVariance) -> f64 {
    if t == 1 { posterior_log_variance(schedule, 1).exp() } else { fixed_variance(schedule, t, choice) }
}
// ANCHOR_END: density_variance

// ANCHOR: interpolated_variance
/// A learned variance between β̃_t and β_t, on the log scale.
///
/// Source: Nichol & Dhariwal 2021, Eq. (15).
///
/// `v` is the network's output: 0 means β̃_t, 1 means β_t, and nothing keeps it from leaving that range. At t = 1
/// ln β̃_2 stands in for ln β̃_1. Shapes: (N, D).
///
/// # Formula
/// Σ_θ = exp(v ln β_t + (1 − v) ln β̃_t)
///
/// # Example
/// ```
/// use ddpm::{reverse::interpolated_variance, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // β_2 = 0.4375, β̃_2 = 0.24609375
/// let half_way = interpolated_variance(&schedule, 2, &array![[0.5]])[(0, 0)];
/// assert!((half_way - (0.4375_f64 * 0.24609375).sqrt()).abs() < 1e-12); // their geometric mean
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn interpolated_variance(schedule: &Schedule, t: usize, v: &Array2<f64>) -> Array2<f64> {
    let (upper, lower) = (schedule.beta(t).ln(), posterior_log_variance(schedule, t));
    v.mapv(|v| (v * upper + (1.0 - v) * lower).exp())
}
// ANCHOR_END: interpolated_variance

// ANCHOR: split_mean_log_variance
/// Splits a network's output of shape (N, 2 D) into a mean and a log-variance, each of shape (N, D).
///
/// Split into two *halves*. `torch.split(output, 2)` makes pieces *of size two* instead, and is right only for D = 2.
///
/// # Example
/// ```
/// use ddpm::reverse::split_mean_log_variance;
/// use ndarray::array;
///
/// let (mean, log_variance) = split_mean_log_variance(array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]].view());
/// assert_eq!((mean, log_variance), (array![[1.0, 2.0, 3.0]], array![[4.0, 5.0, 6.0]]));
/// ```
///
/// # Panics
/// If the number of columns is odd.
#[track_caller]
pub fn split_mean_log_variance(output: ArrayView2<f64>) -> (Array2<f64>, Array2<f64>) {
    assert!(output.ncols().is_multiple_of(2), "{} columns do not split into two halves", output.ncols());
    let (mean, log_variance) = output.split_at(Axis(1), output.ncols() / 2);
    (mean.to_owned(), log_variance.to_owned())
}
// ANCHOR_END: split_mean_log_variance

// ANCHOR: p_mean_variance
/// p_θ(x_{t−1} | x_t) as N Gaussians: the mean from the predicted noise, the variance learned or fixed.
///
/// Source: Ho et al. 2020, Eq. (1) and §3.2, and the function of the same name in their code.
///
/// `prediction` is the denoiser's at `x_t` of shape (N, D) and t = 1 … T. Where it has a variance, `choice` is not used.
/// With `clip = Some(c)`, x̂_0 is clipped to [−c, c] before the posterior mean is taken; without, the mean is Eq. (11).
///
/// # Example
/// ```
/// use ddpm::{denoiser::Prediction, reverse::{FixedVariance, p_mean_variance}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_t) = (Schedule::linear(2, 0.36, 0.4375)?, array![[2.2]]); // 0.6 · 1 + 0.8 · 2
/// let prediction = Prediction { eps: array![[2.0]], variance: None };
/// let p = p_mean_variance(&schedule, &prediction, &x_t, 2, FixedVariance::Beta, None);
/// assert!((p.mean[(0, 0)] - (0.546875 + 0.421875 * 2.2)).abs() < 1e-12); // Eq. (7) at x_0 = 1
/// assert_eq!(p.variance[(0, 0)], 0.4375);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn p_mean_variance(
    schedule: &Schedule,
    prediction: &Prediction,
    x_t: &Array2<f64>,
    t: usize,
    choice: FixedVariance,
    clip: Option<f64>,
) -> DiagonalGaussian {
    let mean = match clip {
        None => mean_from_eps(schedule, t, x_t, &prediction.eps),
        Some(c) => {
            let x_0 = predict_x_0(schedule, t, x_t, &prediction.eps).mapv(|x| x.clamp(-c, c));
            posterior_mean(schedule, t, &x_0, x_t)
        }
    };
    match &prediction.variance {
        Some(variance) => DiagonalGaussian { mean, variance: variance.clone() },
        None => DiagonalGaussian::isotropic(mean, density_variance(schedule, t, choice)),
    }
}
// ANCHOR_END: p_mean_variance

// ANCHOR: ReverseProcess
/// How a prediction becomes p_θ(x_{t−1} | x_t): the schedule, the fixed variance, the clipping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReverseProcess<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// The variance where the denoiser learned none.
    pub variance: FixedVariance,
    /// Clips x̂_0 to [−c, c].
    pub clip: Option<f64>,
}

impl ReverseProcess<'_> {
    /// p_θ(x_{t−1} | x_t) at `x_t` of shape (N, D), given the denoiser's prediction there: [`p_mean_variance`].
    #[track_caller]
    pub fn step(&self, prediction: &Prediction, x_t: &Array2<f64>, t: usize) -> DiagonalGaussian {
        p_mean_variance(self.schedule, prediction, x_t, t, self.variance, self.clip)
    }
}
// ANCHOR_END: ReverseProcess
