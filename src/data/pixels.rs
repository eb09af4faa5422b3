//! A density that is constant on every pixel of a rectangular grid: a digit, a picture, a checkerboard.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, array};
use ndarray_rand::rand::Rng;

use super::{Standardization, TruncatedNormal, truncated_normal};

/// Below this sum of products of per-axis weights some products may have underflowed.
const UNDERFLOW: f64 = 1e-200;

/// A density on the plane that is constant on every cell of a rectangular grid: p(x) = mass / area of x's cell.
///
/// ```
/// use ddpm::data::PixelDensity;
/// use ndarray::array;
///
/// // Two squares on a diagonal, each with half of the mass.
/// let diagonal = PixelDensity::new(vec![0.0, 1.0, 2.0], vec![0.0, 1.0, 2.0], array![[1.0, 0.0], [0.0, 1.0]]);
/// assert_eq!(diagonal.log_density(array![0.5, 0.5].view()), 0.5_f64.ln());
/// assert_eq!(diagonal.log_density(array![1.5, 0.5].view()), f64::NEG_INFINITY);
/// assert_eq!(diagonal.entropy(), 2.0_f64.ln());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PixelDensity {
    x_edges: Vec<f64>,
    y_edges: Vec<f64>,
    mass: Array2<f64>,
    /// The masses' running sum, row by row: what a draw searches in logarithmic time.
    cumulative: Vec<f64>,
}

/// What x_t says about x_0.
struct Posterior {
    log_evidence: f64,
    mean: Array1<f64>,
}

impl PixelDensity {
    /// The density with `mass` on the cells between the edges; the mass is scaled to sum to one.
    ///
    /// `mass` has shape (H, W): a row for each pair of neighbouring `y_edges`, a column for each of `x_edges`.
    /// Row 0 is the lowest: y points up.
    ///
    /// # Panics
    ///
    /// Where the shapes do not fit, the edges do not rise, a mass is negative or not finite, or all are zero.
    #[track_caller]
    pub fn new(x_edges: Vec<f64>, y_edges: Vec<f64>, mass: Array2<f64>) -> Self {
        let edges = (y_edges.len(), x_edges.len());
        assert_eq!((mass.nrows() + 1, mass.ncols() + 1), edges, "one more edge than cells on each axis");
        assert!([&x_edges, &y_edges].iter().all(|e| e.is_sorted_by(|a, b| a < b)), "edges must rise");
        assert!(mass.iter().all(|m| *m >= 0.0 && m.is_finite()), "masses must be finite and not negative");
        let total = mass.sum();
        assert!(total > 0.0, "all masses are zero");
        let running = mass.iter().scan(0.0, |sum, m| {
            *sum += m;
            Some(*sum)
        });
        let mut cumulative: Vec<f64> = running.collect();
        // Divided by its own last entry, so that the last is exactly 1 and every draw below 1 finds a cell with ink.
        let last = cumulative[cumulative.len() - 1];
        cumulative.iter_mut().for_each(|c| *c /= last);
        Self { x_edges, y_edges, mass: mass / total, cumulative }
    }

    /// The density of an image's ink, on pixels of side 1 with the image's lower left corner at the origin.
    ///
    /// `ink` has shape (H, W) with row 0 at the *top*, as image files have it; it is turned so that y points up.
    /// `None` where there is no ink at all.
    ///
    /// # Panics
    ///
    /// Where an ink is negative or not finite.
    #[track_caller]
    pub fn from_image(ink: ArrayView2<f64>) -> Option<Self> {
        let edges = |cells: usize| (0..=cells).map(|edge| edge as f64).collect();
        let mut upright = ink.to_owned();
        upright.invert_axis(Axis(0));
        let upright = upright.as_standard_layout().into_owned();
        (ink.sum() > 0.0).then(|| Self::new(edges(ink.ncols()), edges(ink.nrows()), upright))
    }

    /// The edges of the columns, rising: length W + 1.
    pub fn x_edges(&self) -> &[f64] {
        &self.x_edges
    }

    /// The edges of the rows, rising: length H + 1.
    pub fn y_edges(&self) -> &[f64] {
        &self.y_edges
    }

    /// The probability of each cell: shape (H, W), row 0 the lowest.
    pub fn mass(&self) -> &Array2<f64> {
        &self.mass
    }

    /// Draws n points: shape (N, 2). A cell by its mass in O(log(H·W)), then a place in it.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Array2<f64> {
        let mut points = Array2::zeros((n, 2));
        for mut point in points.rows_mut() {
            let u: f64 = rng.random();
            let cell = self.cumulative.partition_point(|c| *c <= u);
            let (row, column) = (cell / self.mass.ncols(), cell % self.mass.ncols());
            point[0] = between(&self.x_edges, column, rng.random());
            point[1] = between(&self.y_edges, row, rng.random());
        }
        points // (N, 2)
    }

    /// E\[x\] per axis: shape (2).
    pub fn mean(&self) -> Array1<f64> {
        array![self.column_mass().dot(&middles(&self.x_edges)), self.row_mass().dot(&middles(&self.y_edges))]
    }

    /// Var\[x\] per axis: shape (2). Between the cells, and width² / 12 within each.
    pub fn variance(&self) -> Array1<f64> {
        let mean = self.mean();
        let axis = |mass: Array1<f64>, edges: &[f64], mean: f64| {
            let between = (middles(edges) - mean).mapv(|d| d * d);
            mass.dot(&(between + widths(edges).mapv(|w| w * w / 12.0)))
        };
        array![
            axis(self.column_mass(), &self.x_edges, mean[0]),
            axis(self.row_mass(), &self.y_edges, mean[1])
        ]
    }

    fn column_mass(&self) -> Array1<f64> {
        self.mass.sum_axis(Axis(0)) // (W)
    }

    fn row_mass(&self) -> Array1<f64> {
        self.mass.sum_axis(Axis(1)) // (H)
    }

    /// ln p(x) in nats, summed over the axes, for one point of shape (2); −∞ where there is no ink.
    ///
    /// # Panics
    ///
    /// Where x is not of dimension 2.
    #[track_caller]
    pub fn log_density(&self, x: ArrayView1<f64>) -> f64 {
        assert_eq!(x.len(), 2, "a picture has two axes");
        match (cell_of(&self.x_edges, x[0]), cell_of(&self.y_edges, x[1])) {
            (Some(column), Some(row)) => (self.mass[[row, column]] / self.area(row, column)).ln(),
            _ => f64::NEG_INFINITY,
        }
    }

    fn area(&self, row: usize, column: usize) -> f64 {
        (self.x_edges[column + 1] - self.x_edges[column]) * (self.y_edges[row + 1] - self.y_edges[row])
    }

    /// The entropy −Σ mass · ln(mass / area) in nats, summed over the axes: exact.
    pub fn entropy(&self) -> f64 {
        let inked = self.mass.indexed_iter().filter(|(_, mass)| **mass > 0.0);
        inked.map(|((row, column), mass)| -mass * (mass / self.area(row, column)).ln()).sum()
    }

    /// The density of (x − shift) / scale.
    ///
    /// # Panics
    ///
    /// Where the map is not of dimension 2.
    #[track_caller]
    pub fn transformed(&self, map: &Standardization) -> PixelDensity {
        assert_eq!(map.shift().len(), 2, "a picture has two axes");
        let axis = |edges: &[f64], axis: usize| {
            edges.iter().map(|edge| (edge - map.shift()[axis]) / map.scale()[axis]).collect()
        };
        PixelDensity { x_edges: axis(&self.x_edges, 0), y_edges: axis(&self.y_edges, 1), ..self.clone() }
    }

    /// ln q(x_t) in nats for x_t = scale · x_0 + √variance · ε where x_0 follows this density: exact.
    ///
    /// # Panics
    ///
    /// Where x_t is not of dimension 2, or scale or variance is not positive.
    #[track_caller]
    pub fn diffused_log_density(&self, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> f64 {
        self.posterior(x_t, scale, variance).log_evidence
    }

    /// E\[x_0 | x_t\], the best denoiser there is, for x_t = scale · x_0 + √variance · ε: shape (2), exact.
    ///
    /// # Panics
    ///
    /// Where x_t is not of dimension 2, or scale or variance is not positive.
    #[track_caller]
    pub fn posterior_mean(&self, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> Array1<f64> {
        self.posterior(x_t, scale, variance).mean
    }

    // ANCHOR: pixel_posterior
    /// Bayes' rule on the grid. As a function of x_0 the likelihood N(x_t; scale x_0, variance) is the normal
    /// density N(x_0; x_t / scale, variance / scale²) over scale, per axis, so within a cell the posterior is a
    /// product of two truncated normals. A cell's weight is its density, mass / area, times their probabilities.
    #[track_caller]
    fn posterior(&self, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> Posterior {
        assert_eq!(x_t.len(), 2, "a picture has two axes");
        assert!(scale > 0.0 && variance > 0.0, "scale {scale} and variance {variance} must be positive");
        let deviation = variance.sqrt() / scale;
        let columns = slices(&self.x_edges, x_t[0] / scale, deviation); // (W)
        let rows = slices(&self.y_edges, x_t[1] / scale, deviation); // (H)
        let posterior = self.posterior_by_products(&columns, &rows);
        let posterior = posterior.unwrap_or_else(|| self.posterior_by_logarithms(&columns, &rows));
        Posterior { log_evidence: posterior.log_evidence - 2.0 * scale.ln(), ..posterior }
    }
    // ANCHOR_END: pixel_posterior

    /// The fast way: weights of columns times weights of rows, as matrix products.
    ///
    /// `None` where the ink is so far from the most likely column and row that the products underflow.
    fn posterior_by_products(
        &self,
        columns: &[TruncatedNormal],
        rows: &[TruncatedNormal],
    ) -> Option<Posterior> {
        let (log_column, a) = relative_weights(columns); // (W)
        let (log_row, b) = relative_weights(rows); // (H)
        let weighted = |slices: &[TruncatedNormal], weights: &Array1<f64>| -> Array1<f64> {
            slices.iter().zip(weights).map(|(slice, weight)| slice.mean * weight).collect()
        };
        let ink = self.mass.dot(&a); // (H)
        let total = b.dot(&ink);
        let x = b.dot(&self.mass.dot(&weighted(columns, &a))) / total;
        let y = weighted(rows, &b).dot(&ink) / total;
        (total > UNDERFLOW)
            .then(|| Posterior { log_evidence: total.ln() + log_column + log_row, mean: array![x, y] })
    }

    /// The safe way: the logarithm of every cell's weight.
    fn posterior_by_logarithms(&self, columns: &[TruncatedNormal], rows: &[TruncatedNormal]) -> Posterior {
        let inked = self.mass.indexed_iter().filter(|(_, mass)| **mass > 0.0);
        let cells = inked.map(|((row, column), mass)| {
            let (x, y) = (columns[column], rows[row]);
            (mass.ln() + x.log_mass + y.log_mass, x.mean, y.mean)
        });
        let largest = cells.clone().fold(f64::NEG_INFINITY, |a, (log_weight, ..)| a.max(log_weight));
        let (mut total, mut mean) = (0.0, array![0.0, 0.0]);
        for (log_weight, x, y) in cells {
            let weight = (log_weight - largest).exp();
            total += weight;
            mean += &array![weight * x, weight * y];
        }
        Posterior { log_evidence: largest + f64::ln(total), mean: mean / total }
    }
}

/// Each cell's slice of N(center, deviation²) on one axis, its log-probability taken per unit of width.
fn slices(edges: &[f64], center: f64, deviation: f64) -> Vec<TruncatedNormal> {
    let cells = edges.windows(2).map(|edge| {
        let slice = truncated_normal(center, deviation, edge[0], edge[1]);
        TruncatedNormal { log_mass: slice.log_mass - (edge[1] - edge[0]).ln(), ..slice }
    });
    cells.collect()
}

/// The slices' largest log-weight, and every weight relative to it.
fn relative_weights(slices: &[TruncatedNormal]) -> (f64, Array1<f64>) {
    let largest = slices.iter().fold(f64::NEG_INFINITY, |a, slice| a.max(slice.log_mass));
    (largest, slices.iter().map(|slice| (slice.log_mass - largest).exp()).collect())
}

/// The point at a fraction of the way through a cell.
fn between(edges: &[f64], cell: usize, fraction: f64) -> f64 {
    edges[cell] + fraction * (edges[cell + 1] - edges[cell])
}

/// The cell that holds x; cells contain their lower edge.
fn cell_of(edges: &[f64], x: f64) -> Option<usize> {
    let cell = edges.partition_point(|edge| *edge <= x);
    (cell > 0 && cell < edges.len()).then(|| cell - 1)
}

fn middles(edges: &[f64]) -> Array1<f64> {
    edges.windows(2).map(|edge| (edge[0] + edge[1]) / 2.0).collect()
}

fn widths(edges: &[f64]) -> Array1<f64> {
    edges.windows(2).map(|edge| edge[1] - edge[0]).collect()
}
