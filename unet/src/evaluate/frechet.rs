//! The Fréchet distance of two sets of features, known as FID.

use ddpm::metrics::covariance;
use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, Axis};

// ANCHOR: gaussian
/// A Gaussian with a full covariance.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// The mean, of shape (F).
    pub mean: Array1<f64>,
    /// The covariance, of shape (F, F).
    pub covariance: Array2<f64>,
}
// ANCHOR_END: gaussian

// ANCHOR: gaussian_of
/// The Gaussian with the mean and the covariance of some features, over N − 1. Shape: (N, F).
///
/// Source: Heusel et al. 2017 (GANs trained by a two time-scale update rule), §3; over N − 1 as in their code.
pub fn gaussian_of(features: &Array2<f64>) -> Gaussian {
    let mean = features.sum_axis(Axis(0)) / features.nrows() as f64; // (F)
    Gaussian { mean, covariance: covariance(features) }
}
// ANCHOR_END: gaussian_of

// ANCHOR: frechet_distance
/// The squared Fréchet (Wasserstein-2) distance of two Gaussians.
///
/// Source: Dowson & Landau 1982, Eq. (4); Heusel et al. 2017, Eq. (6).
///
/// A and B are the covariances. A B is not symmetric, but A^½ B A^½ is, and has the same eigenvalues: the trace of the
/// root is the sum of their roots ([`symmetric_root`], [`symmetric_eigenvalues`]). Features that never vary leave A singular;
/// rounding may make an eigenvalue of 0 a little negative, so roots are taken of what is at least 0.
///
/// # Formula
/// d² = ‖m_a − m_b‖² + tr(A + B − 2 (A B)^½)
///
/// # Example
/// ```
/// use ddpm_unet::evaluate::frechet::{Gaussian, frechet_distance};
/// use ndarray::array;
///
/// let normal = |mean, deviation: f64| Gaussian { mean: array![mean], covariance: array![[deviation * deviation]] };
/// assert!((frechet_distance(&normal(1.0, 2.0), &normal(4.0, 6.0)) - 25.0).abs() < 1e-9); // 3² + 4²
/// ```
///
/// # Panics
/// If the dimensions differ.
#[track_caller]
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> f64 {
    assert_eq!(a.mean.len(), b.mean.len(), "Gaussians of different dimensions have no distance");
    let shift = (&a.mean - &b.mean).mapv(|difference| difference.powi(2)).sum();
    let root = symmetric_root(&a.covariance);
    let product = root.dot(&b.covariance).dot(&root); // A^½ B A^½, (F, F)
    let roots = symmetric_eigenvalues(&product).mapv(|value| value.max(0.0).sqrt());
    shift + a.covariance.diag().sum() + b.covariance.diag().sum() - 2.0 * roots.sum()
}
// ANCHOR_END: frechet_distance

/// The Fréchet distance of the Gaussians of two sets of features, (N, F) and (M, F): FID, if the features are Inception's.
///
/// Its mean over independent sets of *one* distribution is not 0 but falls like 1/N: compare with that floor, at the same N.
///
/// # Panics
/// If the numbers of features differ.
#[track_caller]
pub fn feature_distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    frechet_distance(&gaussian_of(a), &gaussian_of(b))
}

/// The symmetric root S of a symmetric positive semidefinite matrix: S S = A. Shapes: (F, F).
///
/// A = V diag(λ) Vᵀ gives S = V diag(√λ) Vᵀ; what rounding leaves below 0 counts as 0.
pub fn symmetric_root(matrix: &Array2<f64>) -> Array2<f64> {
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(dense(matrix));
    let roots = DMatrix::from_diagonal(&eigenvalues.map(|value| value.max(0.0).sqrt()));
    let root = &eigenvectors * roots * eigenvectors.transpose();
    Array2::from_shape_fn(matrix.dim(), |at| root[at])
}

/// The eigenvalues of a symmetric matrix, in no particular order: (F).
pub fn symmetric_eigenvalues(matrix: &Array2<f64>) -> Array1<f64> {
    dense(matrix).symmetric_eigenvalues().iter().copied().collect()
}

/// The matrix as the library for linear algebra takes it, its two halves averaged: rounding leaves them a little apart.
fn dense(matrix: &Array2<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| 0.5 * (matrix[(i, j)] + matrix[(j, i)]))
}
