//! Three losses with one minimiser. Only the first needs the score that is to be learned.

use super::mixture_score;
use crate::{data::GaussianMixture, gaussian};
use ndarray::arr2;

// ANCHOR: explicit_score_matching
/// Explicit score matching, for one coordinate: half the squared distance from the true score.
///
/// Source: Hyvärinen 2005, Eq. (2). The aim, which cannot be computed: ∇ ln p of the data is not known.
///
/// # Formula
/// ½ (s − ∇ ln p)²
///
/// # Example
/// ```
/// use ddpm::continuous::score::explicit_score_matching;
///
/// assert_eq!(explicit_score_matching(1.0, 3.0), 2.0);
/// ```
pub fn explicit_score_matching(score: f64, truth: f64) -> f64 {
    0.5 * (score - truth).powi(2)
}
// ANCHOR_END: explicit_score_matching

// ANCHOR: implicit_score_matching
/// Implicit score matching, for one coordinate: no ∇ ln p is in it.
///
/// Source: Hyvärinen 2005, Eq. (4). Partial integration has taken ∇ ln p out; in its place stands the derivative of the
/// network with respect to its input.
///
/// # Formula
/// ½ s² + ∂s
///
/// # Example
/// ```
/// use ddpm::continuous::score::implicit_score_matching;
///
/// // E over N(0, 1) of the score −x, by x² = 1 on average: ½ − 1, the same as half −E(∇ ln p)²
/// assert_eq!(implicit_score_matching(-1.0, -1.0), -0.5);
/// ```
pub fn implicit_score_matching(score: f64, derivative: f64) -> f64 {
    0.5 * score.powi(2) + derivative
}
// ANCHOR_END: implicit_score_matching

// ANCHOR: denoising_score_matching
/// Denoising score matching, for one coordinate: half the squared distance from the score of q(x̃|x), with x̃ = x + σ ε.
///
/// Source: Vincent 2011, Eq. (11).
///
/// The target is known: it is the noise that one drew oneself. Times σ², with s = −ε_θ/σ, it is L_simple, but for a factor ½.
///
/// # Formula
/// ½ (s(x̃) − ∂ ln q(x̃|x))² = ½ (s + ε/σ)², since ∂ ln q(x̃|x) = −(x̃ − x)/σ² = −ε/σ
///
/// # Example
/// ```
/// use ddpm::continuous::score::denoising_score_matching;
///
/// let (eps, predicted, sigma) = (1.0, 0.25, 0.5);
/// let loss = denoising_score_matching(-predicted / sigma, eps, sigma);
/// assert_eq!(loss * sigma * sigma, 0.28125); // ½ (ε − ε_θ)² = ½ 0.75²
/// ```
pub fn denoising_score_matching(score: f64, eps: f64, sigma: f64) -> f64 {
    0.5 * (score + eps / sigma).powi(2)
}
// ANCHOR_END: denoising_score_matching

/// The explicit, the denoising and the implicit loss of a score `s` with the derivative `slope`: means over data and noise.
///
/// The data is a mixture on a line under noise of standard deviation `sigma`; the means are by [`expectation`].
///
/// # Example
/// ```
/// use ddpm::{continuous::score::matching_losses, data::GaussianMixture};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]); // p_σ = N(0, 2) at σ = 1
/// let [explicit, _, implicit] = matching_losses(&normal, 1.0, |x| -x / 2.0, |_| -0.5);
/// assert!(explicit < 1e-12 && (implicit + 0.25).abs() < 1e-9); // −½ E (x/2)²
/// ```
///
/// # Panics
/// If the mixture is not one-dimensional.
#[track_caller]
pub fn matching_losses(
    data: &GaussianMixture,
    sigma: f64,
    s: impl Fn(f64) -> f64,
    slope: impl Fn(f64) -> f64,
) -> [f64; 3] {
    let blurred = data.diffused(1.0, sigma * sigma);
    [
        expectation(data, sigma, |_, x| explicit_score_matching(s(x), line_score(&blurred, x))),
        expectation(data, sigma, |eps, x| denoising_score_matching(s(x), eps, sigma)),
        expectation(data, sigma, |_, x| implicit_score_matching(s(x), slope(x))),
    ]
}

// ANCHOR: matching_constant
/// By how much denoising score matching exceeds explicit score matching, whatever the network.
///
/// Source: Vincent 2011, Appendix. Half the variance of the target given x̃: the part of the noise that x̃ does not determine.
///
/// `data` is a mixture on a line, blurred by noise of standard deviation `sigma`.
///
/// # Formula
/// ½ [1/σ² − E (∂ ln p_σ)²]
///
/// # Example
/// ```
/// use ddpm::{continuous::score::matching_constant, data::GaussianMixture};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]); // p_σ = N(0, 2) at σ = 1
/// assert!((matching_constant(&normal, 1.0) - 0.25).abs() < 1e-9); // ½ [1 − ½]
/// ```
pub fn matching_constant(data: &GaussianMixture, sigma: f64) -> f64 {
    let blurred = data.diffused(1.0, sigma * sigma);
    let squared_score = expectation(data, sigma, |_, x| line_score(&blurred, x).powi(2));
    0.5 * (1.0 / (sigma * sigma) - squared_score)
}
// ANCHOR_END: matching_constant

fn line_score(mixture: &GaussianMixture, x: f64) -> f64 {
    mixture_score(mixture, &arr2(&[[x]]))[(0, 0)]
}

/// How many standard deviations the quadrature reaches to.
const REACH: f64 = 9.0;
/// Its cells on the axis of the noise.
const NOISE_CELLS: usize = 120;
/// Its cells per component of the data.
const DATA_CELLS: usize = 120;

// ANCHOR: expectation
/// E f(ε, x̃) over data and noise, with x̃ = x + σ ε, by quadrature: for a mixture on a line.
///
/// ∫∫ p(x) N(ε; 0, 1) f(ε, x + σ ε) dx dε
///
/// Midpoint rule, component by component, nine standard deviations to each side: on a smooth function that vanishes at the
/// ends it converges exponentially, so the error is near the rounding.
///
/// # Panics
/// If the mixture is not one-dimensional.
#[track_caller]
pub fn expectation(data: &GaussianMixture, sigma: f64, f: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(data.dimension(), 1, "this quadrature is for a mixture on a line");
    let components = data.weights.iter().zip(&data.means).zip(&data.variances);
    let sums = components.map(|((weight, mean), variance)| {
        let inner = |u: f64| normal_mean(NOISE_CELLS, |eps| f(eps, mean + variance.sqrt() * u + sigma * eps));
        weight * normal_mean(DATA_CELLS, inner)
    });
    sums.sum()
}
// ANCHOR_END: expectation

/// E f(u) for u ~ N(0, 1).
fn normal_mean(cells: usize, f: impl Fn(f64) -> f64) -> f64 {
    let width = 2.0 * REACH / cells as f64;
    let middle = |i: usize| -REACH + (i as f64 + 0.5) * width;
    (0..cells).map(middle).map(|u| width * gaussian::log_density(u, 0.0, 1.0).exp() * f(u)).sum()
}
