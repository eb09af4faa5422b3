//! The posterior of the clean point given a noisy one: Bayes' rule on the grid, exact.

use ndarray::{Array1, ArrayView1, array};

use super::PixelDensity;
use crate::data::{TruncatedNormal, truncated_normal};

/// Below this sum of products of per-axis weights some products may have underflowed.
const UNDERFLOW: f64 = 1e-200;

/// The posterior of x_0 given x_t.
struct Posterior {
    log_evidence: f64,
    mean: Array1<f64>,
}

impl PixelDensity {
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
