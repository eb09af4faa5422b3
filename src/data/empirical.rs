//! The points of a file as a distribution: each as likely as any other.

use ndarray::{Array1, Array2, Axis};
use ndarray_rand::rand::Rng;

use super::Standardization;

/// The uniform distribution on the rows of a point set.
#[derive(Debug, Clone, PartialEq)]
pub struct Empirical {
    rows: Array2<f64>,
}

impl Empirical {
    /// The distribution on these points, shape (N, D).
    ///
    /// # Panics
    ///
    /// Without points.
    #[track_caller]
    pub fn new(rows: Array2<f64>) -> Self {
        assert!(rows.nrows() > 0, "an empirical distribution needs points");
        Self { rows }
    }

    /// All points, in the file's order: shape (N, D).
    pub fn rows(&self) -> &Array2<f64> {
        &self.rows
    }

    /// Draws n rows with replacement: shape (n, D).
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Array2<f64> {
        let chosen: Vec<usize> = (0..n).map(|_| rng.random_range(0..self.rows.nrows())).collect();
        self.rows.select(Axis(0), &chosen) // (n, D)
    }

    /// The mean of the rows: shape (D).
    pub fn mean(&self) -> Array1<f64> {
        self.rows.sum_axis(Axis(0)) / self.rows.nrows() as f64
    }

    /// The variance of the rows per axis: shape (D). Divided by N, since the rows are the whole distribution.
    pub fn variance(&self) -> Array1<f64> {
        self.rows.var_axis(Axis(0), 0.0)
    }

    /// The distribution of (x − shift) / scale.
    ///
    /// # Panics
    ///
    /// Where the map has another dimension than the points.
    #[track_caller]
    pub fn transformed(&self, map: &Standardization) -> Empirical {
        Empirical { rows: map.apply(self.rows.view()) }
    }
}
