//! The tilted density p_0(x) p_0(y|x)^w: what guidance is often said to sample.

use super::{LabelledMixture, guided_score};
use crate::{denoiser::PosteriorMean, forward::TransitionKernel};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use ndarray_rand::rand::Rng;

// ANCHOR: tilted_log_density
/// ln p_0(x) p_0(y|x)^w of each row of `x`, in nats; its integral is not 1. Shapes: (N, D) to (N).
///
/// At w = 0 it is ln p_0(x), at w = 1 it is ln p_0(x|y) + ln p(y).
///
/// # Formula
/// ln p_0(x) + w ln p_0(y|x), where ln p_0(y|x) = ln p_0(x|y) + ln p(y) − ln p_0(x)
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, guidance::{LabelledMixture, tilted_log_density}};
/// use ndarray::array;
///
/// let two = GaussianMixture::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![[0.5], [0.5]]);
/// let data = LabelledMixture::new(two, vec![0, 1]);
/// let tilted = |x: f64, scale| tilted_log_density(&data, &array![[x]], 1, scale)[0];
/// assert!((tilted(0.0, 3.0) - tilted(0.0, 0.0) - 3.0 * 0.5_f64.ln()).abs() < 1e-12); // p(y|0) = ½
/// ```
///
/// # Panics
/// If there is no such label, or the points have another dimension than the mixture.
#[track_caller]
pub fn tilted_log_density(data: &LabelledMixture, x: &Array2<f64>, label: usize, scale: f64) -> Array1<f64> {
    let (all, class) = (data.mixture().log_densities(x), data.class(label).log_densities(x)); // (N)
    let of_label = class + data.prior(label).ln() - &all; // ln p(y|x)
    all + scale * of_label
}
// ANCHOR_END: tilted_log_density

/// The tilted density on a square grid, normalised: its moments, its samples and its own exact denoiser.
///
/// Each cell counts as a point at its middle; those with less than 10⁻⁹ of the largest probability are left out.
///
/// # Example
/// ```
/// use ddpm::guidance::{LabelledMixture, TiltedGrid};
///
/// let data = LabelledMixture::three_classes();
/// let (class, tilted) = (data.class(0), TiltedGrid::new(&data, 0, 1.0, 6.0, 120)); // w = 1 is the class itself
/// assert!((tilted.mean()[1] - class.mean()[1]).abs() < 1e-6);
/// assert!((tilted.variance()[1] - class.variance()[1]).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TiltedGrid {
    /// The middles of the cells, (M, 2).
    cells: Array2<f64>,
    /// Their probabilities, (M).
    probabilities: Array1<f64>,
    width: f64,
}

impl TiltedGrid {
    /// p_0(x) p_0(y|x)^w on the square from −`limit` to `limit`, `across` cells on each axis.
    ///
    /// # Panics
    /// If the data are not points in the plane, or there are no cells.
    #[track_caller]
    pub fn new(data: &LabelledMixture, label: usize, scale: f64, limit: f64, across: usize) -> Self {
        assert_eq!(data.mixture().dimension(), 2, "the grid is one of the plane");
        let width = 2.0 * limit / across as f64;
        let middle = |i: usize| -limit + (i as f64 + 0.5) * width;
        let cells = Array2::from_shape_fn((across * across, 2), |(cell, axis)| {
            middle(if axis == 0 { cell % across } else { cell / across })
        });
        let log_densities = tilted_log_density(data, &cells, label, scale);
        let largest = log_densities.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let kept: Vec<usize> =
            (0..cells.nrows()).filter(|&i| log_densities[i] > largest + 1e-9_f64.ln()).collect();
        let heights = log_densities.select(Axis(0), &kept).mapv(|log| (log - largest).exp());
        TiltedGrid { cells: cells.select(Axis(0), &kept), probabilities: &heights / heights.sum(), width }
    }

    /// The mean, (2).
    pub fn mean(&self) -> Array1<f64> {
        self.probabilities.dot(&self.cells)
    }

    /// The variance along each axis, (2).
    pub fn variance(&self) -> Array1<f64> {
        self.probabilities.dot(&(&self.cells - &self.mean()).mapv(|x| x * x))
    }

    /// The probability of the points that are nearest to each component's mean: (K).
    ///
    /// # Panics
    /// If the mixture is not one of the plane.
    #[track_caller]
    pub fn mode_shares(&self, data: &LabelledMixture) -> Array1<f64> {
        let mut shares = Array1::zeros(data.labels().len()); // (K)
        for (&component, p) in data.mixture().nearest_means(&self.cells).iter().zip(&self.probabilities) {
            shares[component] += p;
        }
        shares
    }

    /// Draws n points, (N, 2), each uniform within its cell.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Array2<f64> {
        let ends: Vec<f64> = self
            .probabilities
            .iter()
            .scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            })
            .collect();
        let mut points = Array2::zeros((n, 2));
        for mut point in points.rows_mut() {
            let place: f64 = rng.random();
            let cell = ends.partition_point(|end| *end < place).min(ends.len() - 1);
            point.assign(&self.cells.row(cell));
            point.iter_mut().for_each(|x| *x += self.width * (rng.random::<f64>() - 0.5));
        }
        points
    }

    /// How far the guided field is from the noised tilted density's own, at the rows of `x_t`: ‖guided − own‖ over ‖own‖.
    ///
    /// # Panics
    /// As [`guided_score`].
    #[track_caller]
    pub fn field_error(
        &self,
        data: &LabelledMixture,
        (label, scale): (usize, f64),
        x_t: &Array2<f64>,
        at: TransitionKernel,
    ) -> f64 {
        let (own, guided) = (self.noised_score(x_t, at), guided_score(data, x_t, label, scale, at));
        let size = |x: Array2<f64>| x.mapv(|x| x * x).sum().sqrt();
        size(guided - &own) / size(own)
    }

    /// The score of the tilted density once it is *noised*, ∇ ln ∫ q(x_t|x_0) p_0(x_0) p_0(y|x_0)^w dx_0: (N, 2) to (N, 2).
    ///
    /// This is the field that draws the tilted density. Guidance takes another one.
    ///
    /// # Formula
    /// (α E\[x_0|x_t\] − x_t)/σ²
    pub fn noised_score(&self, x_t: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
        let mut score = Array2::zeros(x_t.dim());
        for (mut score, x_t) in score.rows_mut().into_iter().zip(x_t.rows()) {
            let x_0 = self.posterior_mean(x_t, at.signal, at.variance);
            score.assign(&((at.signal * x_0 - x_t) / at.variance));
        }
        score
    }
}

impl PosteriorMean for TiltedGrid {
    /// # Formula
    /// Σ_c p_c N(x_t; α c, σ² I) c / Σ_c p_c N(x_t; α c, σ² I) over the cells c
    fn posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64> {
        let exponents: Vec<f64> = self
            .cells
            .rows()
            .into_iter()
            .map(|cell| {
                let distance = |axis: usize| x_t[axis] - signal * cell[axis];
                -0.5 * (distance(0).powi(2) + distance(1).powi(2)) / variance
            })
            .collect();
        let largest = exponents.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let (mut sum, mut mean) = (0.0, Array1::zeros(2));
        for ((exponent, p), cell) in exponents.iter().zip(&self.probabilities).zip(self.cells.rows()) {
            let weight = p * (exponent - largest).exp();
            sum += weight;
            mean.scaled_add(weight, &cell);
        }
        mean / sum
    }
}

/// The share of `points` that are nearest to each component's mean: (K).
///
/// # Example
/// ```
/// use ddpm::guidance::{LabelledMixture, tilted::mode_shares};
/// use ndarray::Array2;
///
/// let data = LabelledMixture::three_classes();
/// assert_eq!(mode_shares(&data, &(data.mixture().means.clone() + 0.01)), ndarray::arr1(&[1.0 / 6.0; 6]));
/// assert_eq!(mode_shares(&data, &Array2::from_elem((1, 2), 9.0)).sum(), 1.0);
/// ```
pub fn mode_shares(data: &LabelledMixture, points: &Array2<f64>) -> Array1<f64> {
    let mut shares = Array1::zeros(data.labels().len()); // (K)
    for &component in &data.mixture().nearest_means(points) {
        shares[component] += 1.0 / points.nrows() as f64;
    }
    shares
}
