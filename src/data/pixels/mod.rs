//! A density that is constant on every pixel of a rectangular grid: a digit, a picture, a checkerboard.

mod posterior;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, array};
use ndarray_rand::rand::Rng;

use super::Standardization;

/// The most pixels of a picture that becomes a density, 4096 × 4096: each is a term of every posterior mean.
pub const MOST_PIXELS: usize = 1 << 24;

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
