//! A density on the plane, rounded to levels: a table of probabilities.

use crate::{
    bound::{Bins, bin_log_probability, quantize},
    data::{Density, Empirical, GaussianMixture, PixelDensity},
    denoiser::PosteriorMean,
};
use ndarray::{Array1, Array2, ArrayView1, Axis, Slice, array};
use ndarray_rand::rand::Rng;
use std::ops::Range;

// ANCHOR: discrete_entropy
/// The entropy of a table of probabilities, in nats; where P is 0 there is nothing to add.
///
/// Source: Shannon 1948, §6.
///
/// No code needs fewer nats on average, and so no bound on −log p_θ can lie below it. Unlike the entropy of a density it is never
/// negative.
///
/// # Formula
/// H = −Σ P ln P
///
/// # Example
/// ```
/// use ddpm::bound::exact::discrete_entropy;
///
/// let nats = discrete_entropy(&ndarray::array![[0.5, 0.0], [0.25, 0.25]]);
/// assert!((nats - 1.5 * 2f64.ln()).abs() < 1e-12); // 1, 2 and 2 bits: 1.5 on average
/// ```
pub fn discrete_entropy(probabilities: &Array2<f64>) -> f64 {
    probabilities.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum()
}
// ANCHOR_END: discrete_entropy

/// Points of the plane that were rounded to levels: P(i, j) for level i of x and level j of y.
///
/// The table is exact: it holds the density's integral over each bin, not counts of a sample.
///
/// ```
/// use ddpm::{bound::{exact::QuantizedDistribution, Bins}, data::{Dataset, DatasetName}};
///
/// let board = Dataset::named(DatasetName::Checkerboard, "data/mnist")?;
/// let board = QuantizedDistribution::of(board.density(), Bins::new(3.0, 256)).expect("its density is known");
/// // the eight dark cells of a 4 × 4 board, each of 37 · 37 bins or so
/// assert!((board.entropy() - (8.0_f64 * 37.0 * 37.0).ln()).abs() < 0.05);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedDistribution {
    density: Density,
    bins: Bins,
    probabilities: Array2<f64>,
}

impl QuantizedDistribution {
    /// The distribution of a rounded point of the density; `None` where the density is not known: on a curve.
    ///
    /// # Panics
    /// If the density is not on the plane.
    #[track_caller]
    pub fn of(density: &Density, bins: Bins) -> Option<Self> {
        let probabilities = match density {
            Density::Mixture(mixture) => of_mixture(mixture, bins),
            Density::Pixels(pixels) => of_pixels(pixels, bins),
            Density::Empirical(points) => of_points(points, bins),
            Density::Curve(_) => return None,
        };
        Some(QuantizedDistribution { density: density.clone(), bins, probabilities })
    }

    /// Draws n rounded points: shape (n, 2).
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Array2<f64> {
        quantize(self.bins, &self.density.sample(n, rng))
    }

    /// The density whose points are rounded.
    pub fn density(&self) -> &Density {
        &self.density
    }

    /// The levels.
    pub fn bins(&self) -> Bins {
        self.bins
    }

    /// P(i, j): shape (levels, levels), a row for each level of x.
    pub fn probabilities(&self) -> &Array2<f64> {
        &self.probabilities
    }

    /// −ln P of each row of `x`, rounded to its levels; nats. Its mean over rounded samples is the entropy. Shapes: (N, 2) to (N).
    ///
    /// # Example
    /// ```
    /// use ddpm::{bound::{Bins, exact::QuantizedDistribution}, data::{Density, Empirical}};
    /// use ndarray::array;
    ///
    /// let points = Density::Empirical(Empirical::new(array![[-1.0, 1.0], [-0.9, 1.2], [1.0, 1.0], [1.0, -1.0]]));
    /// let data = QuantizedDistribution::of(&points, Bins::new(1.0, 2)).expect("points have a table");
    /// assert_eq!(data.negative_log_probability(&array![[-0.8, 0.7]]), array![2f64.ln()]); // two of four lie there
    /// ```
    pub fn negative_log_probability(&self, x: &Array2<f64>) -> Array1<f64> {
        let place = |point: ArrayView1<f64>| (self.bins.index(point[0]), self.bins.index(point[1]));
        x.rows().into_iter().map(|point| -self.probabilities[place(point)].ln()).collect()
    }

    /// The share of the bins that have more than `least` of the mass.
    pub fn occupied(&self, least: f64) -> f64 {
        let occupied = self.probabilities.iter().filter(|&&p| p > least).count();
        occupied as f64 / self.probabilities.len() as f64
    }

    /// The mass in the outermost bins, which go on to infinity.
    pub fn tails(&self) -> f64 {
        let last = self.bins.levels() - 1;
        let outer = |&((i, j), _): &((usize, usize), &f64)| [i, j].iter().any(|&k| k == 0 || k == last);
        self.probabilities.indexed_iter().filter(outer).map(|(_, p)| p).sum()
    }

    /// The entropy in nats: [`discrete_entropy`].
    pub fn entropy(&self) -> f64 {
        discrete_entropy(&self.probabilities)
    }
}

// ANCHOR: tables
/// Σ_k w_k P_k(i) P_k(j), from each component's probability of each bin: the axes of a component are independent.
#[track_caller]
fn of_mixture(mixture: &GaussianMixture, bins: Bins) -> Array2<f64> {
    assert_eq!(mixture.dimension(), 2, "the levels are those of the plane");
    let axis = |axis: usize| {
        Array2::from_shape_fn((bins.levels(), mixture.weights.len()), |(i, k)| {
            let (mean, variance) = (mixture.means[(k, axis)], mixture.variances[(k, axis)]);
            bin_log_probability(bins, bins.level(i), mean, variance).exp()
        })
    };
    (axis(0) * &mixture.weights).dot(&axis(1).t())
}

/// Every pixel's mass, shared among the bins by how much of it lies in each.
fn of_pixels(pixels: &PixelDensity, bins: Bins) -> Array2<f64> {
    let shares = |edges: &[f64]| {
        Array2::from_shape_fn((bins.levels(), edges.len() - 1), |(i, cell)| {
            let ((low, high), (start, end)) = (bins.ends(bins.level(i)), (edges[cell], edges[cell + 1]));
            (high.min(end) - low.max(start)).max(0.0) / (end - start)
        })
    };
    shares(pixels.x_edges()).dot(&pixels.mass().t()).dot(&shares(pixels.y_edges()).t())
}

/// The share of the points of a file that lie in each bin.
fn of_points(points: &Empirical, bins: Bins) -> Array2<f64> {
    let mut probabilities = Array2::zeros((bins.levels(), bins.levels()));
    let share = 1.0 / points.rows().nrows() as f64;
    for point in points.rows().rows() {
        probabilities[(bins.index(point[0]), bins.index(point[1]))] += share;
    }
    probabilities
}
// ANCHOR_END: tables

/// How many deviations of the noise [`QuantizedDistribution::posterior_mean`] looks to either side.
const REACH: f64 = 12.0;
/// Below this sum of weights, relative to that of a level at x_t itself, the nearest ink lies 9 deviations off: what is
/// beyond [`REACH`] may count.
const FAR: f64 = 1e-20;

/// One axis of Bayes' rule: the levels in reach, and each one's likelihood relative to the nearest's.
struct Axial {
    range: Range<usize>,
    levels: Array1<f64>,
    weights: Array1<f64>,
}

impl Axial {
    fn new(bins: Bins, center: f64, deviation: f64) -> Self {
        let (middle, reach) = (center.clamp(-bins.edge(), bins.edge()), REACH * deviation);
        let range = bins.index(middle - reach)..bins.index(middle + reach) + 1;
        let levels: Array1<f64> = range.clone().map(|i| bins.level(i)).collect();
        let squares = levels.mapv(|level| ((level - center) / deviation).powi(2));
        let nearest = squares.fold(f64::INFINITY, |a, b| a.min(*b));
        Axial { range, levels, weights: squares.mapv(|square| (0.5 * (nearest - square)).exp()) }
    }
}

impl PosteriorMean for QuantizedDistribution {
    /// E\[x_0 | x_t\]: Bayes' rule on the levels, exact to rounding.
    fn posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64> {
        let deviation = variance.sqrt() / signal;
        let [x, y] = [0, 1].map(|axis| Axial::new(self.bins, x_t[axis] / signal, deviation));
        let in_reach = self.probabilities.slice_axis(Axis(0), Slice::from(x.range.clone()));
        let in_reach = in_reach.slice_axis(Axis(1), Slice::from(y.range.clone()));
        let rows = in_reach.dot(&y.weights); // Σ_j P(i, j) of each i
        let total = x.weights.dot(&rows);
        if total < FAR {
            return self.far_posterior_mean(x_t, signal, variance);
        }
        let of_y = x.weights.dot(&in_reach.dot(&(&y.weights * &y.levels)));
        array![(&x.weights * &x.levels).dot(&rows), of_y] / total
    }
}

impl QuantizedDistribution {
    /// The same where no level with a probability is near: every level, with its weight as a logarithm.
    fn far_posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64> {
        let inked = self.probabilities.indexed_iter().filter(|(_, p)| **p > 0.0);
        let weighted = inked.map(|((i, j), p)| {
            let point = array![self.bins.level(i), self.bins.level(j)];
            let squares = (&x_t - signal * &point).mapv(|d| d * d).sum();
            (p.ln() - squares / (2.0 * variance), point)
        });
        let largest = weighted.clone().fold(f64::NEG_INFINITY, |a, (log_weight, _)| a.max(log_weight));
        let (mut total, mut mean) = (0.0, Array1::zeros(2));
        for (log_weight, point) in weighted {
            let weight = (log_weight - largest).exp();
            total += weight;
            mean.scaled_add(weight, &point);
        }
        mean / total
    }
}
