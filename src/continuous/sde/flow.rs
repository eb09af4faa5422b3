//! The probability-flow ODE: the way back without noise, and the exact likelihood that comes with it.

use super::{Sde, coefficients, kernel, reverse_drift};
use crate::{
    Result,
    continuous::{
        ode::{Tolerances, dormand_prince},
        score::{Score, divergence, hutchinson},
    },
};
use ndarray::{Array1, Array2, ArrayView1, Axis, Slice, concatenate};
use ndarray_rand::rand::Rng;

// ANCHOR: probability_flow
/// The probability-flow ODE as a function of t and x, for any solver of [`ode`](crate::continuous::ode).
///
/// Source: Song et al. 2021, Eq. (13).
///
/// From t = 1 to 0 it draws, from 0 to 1 it encodes. Shapes: (N, D).
///
/// # Formula
/// dx/dt = a(t) x − ½ g(t)² ∇ ln p_t(x)
///
/// # Example
/// ```
/// use ddpm::{continuous::sde::{Sde, probability_flow}, data::GaussianMixture, metrics::largest_difference};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 1.0]]);
/// let velocity = probability_flow(&Sde::VP, &normal)(0.5, &array![[3.0, -4.0]]);
/// assert!(largest_difference(&velocity, &array![[0.0, 0.0]]) < 1e-9); // N(0, I) stays as it is
/// ```
pub fn probability_flow(sde: &Sde, score: &impl Score) -> impl Fn(f64, &Array2<f64>) -> Array2<f64> {
    move |t, x| reverse_drift(sde, t, x, &score.score(x, kernel(sde, t)), 0.0)
}
// ANCHOR_END: probability_flow

/// How the divergence of the score is found.
#[derive(Debug, Clone, Copy)]
pub enum Trace<'a> {
    /// Exactly, with a product for each of the D axes.
    Exact,
    /// By Hutchinson's estimate, with these v of shape (N, D), the same along the whole way.
    Hutchinson(&'a Array2<f64>),
}

/// Random signs: independent, +1 or −1, of shape (N, D).
pub fn rademacher(rows: usize, columns: usize, rng: &mut impl Rng) -> Array2<f64> {
    Array2::from_shape_simple_fn((rows, columns), || if rng.random::<bool>() { 1.0 } else { -1.0 })
}

/// What [`log_likelihood`] found, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// ln p_0 of each row, in nats, summed over the axes: shape (N).
    pub log_density: Array1<f64>,
    /// Where the flow took each row to at t = 1: shape (N, D).
    pub latent: Array2<f64>,
    /// How often the flow was evaluated, for all rows at once.
    pub calls: usize,
}

// ANCHOR: change_of_variables
/// ln p_0(x) of the density that the flow dx/dt = v(x, t) carries to ln p_1 from t = 0 to 1, by a change of variables.
///
/// Source: Chen et al. 2018 (Neural ODEs), Eq. (8).
///
/// Where the flow spreads points apart, the density thins by the same factor. x_t and the integral are solved for together:
/// the integral is one more column. `log_prior` is ln p_1, `divergence` is ∇·v of each row; rows of `x` are points, shape (N, D).
///
/// # Formula
/// ln p_0(x_0) = ln p_1(x_1) + ∫_0^1 ∇·v(x_t, t) dt
///
/// # Example
/// ```
/// use ddpm::{continuous::{ode::Tolerances, sde::change_of_variables}, gaussian::log_density};
/// use ndarray::{Array1, array};
///
/// // v = x: what is N(0, 1) at the end was narrower by a factor e
/// let (velocity, divergence) = (|_: f64, x: &ndarray::Array2<f64>| x.clone(), |_: f64, _: &_| Array1::ones(1));
/// let log_prior = |x_1: ndarray::ArrayView1<f64>| log_density(x_1[0], 0.0, 1.0);
/// let found = change_of_variables(velocity, divergence, &array![[0.2]], log_prior, Tolerances::both(1e-9))?;
/// assert!((found.log_density[0] - log_density(0.2, 0.0, (-2f64).exp())).abs() < 1e-6);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`dormand_prince`].
pub fn change_of_variables(
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    divergence: impl Fn(f64, &Array2<f64>) -> Array1<f64>,
    x: &Array2<f64>,
    log_prior: impl Fn(ArrayView1<f64>) -> f64,
    tolerances: Tolerances,
) -> Result<Likelihood> {
    let points = |state: &Array2<f64>| state.slice_axis(Axis(1), Slice::from(..x.ncols())).to_owned(); // (N, D)
    let slope = |t: f64, state: &Array2<f64>| {
        let x = points(state);
        concatenate![Axis(1), velocity(t, &x), divergence(t, &x).insert_axis(Axis(1))] // (N, D + 1)
    };
    let start = concatenate![Axis(1), x.view(), Array2::zeros((x.nrows(), 1))];
    let solution = dormand_prince(slope, start, (0.0, 1.0), tolerances)?;
    let latent = points(&solution.x);
    let prior: Array1<f64> = latent.rows().into_iter().map(log_prior).collect();
    Ok(Likelihood { log_density: prior + solution.x.column(x.ncols()), latent, calls: solution.calls })
}
// ANCHOR_END: change_of_variables

// ANCHOR: log_likelihood
/// ln p_0(x) of the density that the probability-flow ODE draws from, by a change of variables.
///
/// Source: Chen et al. 2018 (Neural ODEs), Eq. (8); Song et al. 2021, Eq. (39).
///
/// It is [`change_of_variables`] along the flow. `log_prior` is ln p_1; rows of `x` are points, shape (N, D).
///
/// # Formula
/// ln p_0(x_0) = ln p_1(x_1) + ∫_0^1 ∇·v(x_t, t) dt, v = a x − ½ g² s, ∇·v = a D − ½ g² ∇·s
///
/// # Example
/// ```
/// use ddpm::{continuous::{ode::Tolerances, sde::{Sde, Trace, log_likelihood}}, data::GaussianMixture};
/// use ndarray::array;
///
/// let normal = |v| GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[v, v]]);
/// let (data, end, x) = (normal(0.25), normal(1.0), array![[0.5, 0.0]]);
/// let prior = |x_1: ndarray::ArrayView1<f64>| end.log_density(x_1);
/// let found = log_likelihood(&Sde::VP, &data, &x, Trace::Exact, prior, Tolerances::both(1e-7))?;
/// assert!((found.log_density[0] - data.log_density(x.row(0))).abs() < 1e-3); // x_1 is almost N(0, I)
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`dormand_prince`].
pub fn log_likelihood(
    sde: &Sde,
    score: &impl Score,
    x: &Array2<f64>,
    trace: Trace,
    log_prior: impl Fn(ArrayView1<f64>) -> f64,
    tolerances: Tolerances,
) -> Result<Likelihood> {
    let spread = |t: f64, x: &Array2<f64>| {
        let (rate, diffusion) = coefficients(sde, t);
        let of_score = match trace {
            Trace::Exact => divergence(score, x, kernel(sde, t)),
            Trace::Hutchinson(v) => hutchinson(score, x, v, kernel(sde, t)),
        };
        rate * x.ncols() as f64 - 0.5 * diffusion * of_score // (N)
    };
    change_of_variables(probability_flow(sde, score), spread, x, log_prior, tolerances)
}
// ANCHOR_END: log_likelihood
