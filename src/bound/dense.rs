//! Gaussians with a full covariance matrix, for joint densities of a whole chain.

use ndarray::{Array1, Array2, ArrayView1};
use std::f64::consts::TAU;

/// The lower-triangular root L of a covariance matrix, L Lᵀ = Σ.
pub(super) struct Cholesky(Array2<f64>);

impl Cholesky {
    pub(super) fn new(covariance: &Array2<f64>) -> Self {
        let mut root = Array2::<f64>::zeros(covariance.dim());
        for i in 0..covariance.nrows() {
            for j in 0..=i {
                let rest = covariance[(i, j)] - (0..j).map(|k| root[(i, k)] * root[(j, k)]).sum::<f64>();
                root[(i, j)] = if i == j { rest.sqrt() } else { rest / root[(j, j)] };
            }
        }
        Cholesky(root)
    }

    /// ln |Σ|.
    pub(super) fn log_determinant(&self) -> f64 {
        2.0 * self.0.diag().mapv(f64::ln).sum()
    }

    /// Solves L y = b.
    fn solve_lower(&self, mut b: Array1<f64>) -> Array1<f64> {
        for i in 0..b.len() {
            b[i] = (b[i] - (0..i).map(|k| self.0[(i, k)] * b[k]).sum::<f64>()) / self.0[(i, i)];
        }
        b
    }

    /// Solves Σ y = b.
    pub(super) fn solve(&self, b: Array1<f64>) -> Array1<f64> {
        let mut y = self.solve_lower(b);
        for i in (0..y.len()).rev() {
            y[i] = (y[i] - (i + 1..y.len()).map(|k| self.0[(k, i)] * y[k]).sum::<f64>()) / self.0[(i, i)];
        }
        y
    }

    /// log N(x; mean, Σ), in nats.
    pub(super) fn log_density(&self, x: ArrayView1<f64>, mean: &Array1<f64>) -> f64 {
        let z = self.solve_lower(&x - mean);
        -0.5 * (x.len() as f64 * TAU.ln() + self.log_determinant() + z.dot(&z))
    }
}
