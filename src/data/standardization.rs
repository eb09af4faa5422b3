//! The affine map between a point set's own units and zero mean, unit variance per axis.

use ndarray::{Array1, Array2, ArrayView2};

/// The per-axis map x ↦ (x − shift) / scale, and its way back.
///
/// ```
/// use ddpm::data::Standardization;
/// use ndarray::array;
///
/// let map = Standardization::new(array![1.0, -2.0], array![2.0, 0.5]);
/// assert_eq!(map.apply(array![[3.0, -1.0]].view()), array![[1.0, 2.0]]);
/// assert_eq!(map.undo(array![[1.0, 2.0]].view()), array![[3.0, -1.0]]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Standardization {
    shift: Array1<f64>,
    scale: Array1<f64>,
}

impl Standardization {
    /// The map with these shifts and scales, one of each per axis.
    ///
    /// # Panics
    ///
    /// Where the lengths differ or a scale is not positive and finite.
    #[track_caller]
    pub fn new(shift: Array1<f64>, scale: Array1<f64>) -> Self {
        assert_eq!(shift.len(), scale.len(), "a shift and a scale per axis");
        assert!(scale.iter().all(|s| *s > 0.0 && s.is_finite()), "every scale must be positive, not {scale}");
        Self { shift, scale }
    }

    /// The map that leaves every point where it is.
    pub fn identity(dimension: usize) -> Self {
        Self::new(Array1::zeros(dimension), Array1::ones(dimension))
    }

    /// What is subtracted, per axis: shape (D).
    pub fn shift(&self) -> &Array1<f64> {
        &self.shift
    }

    /// What is divided by, per axis: shape (D).
    pub fn scale(&self) -> &Array1<f64> {
        &self.scale
    }

    /// Brings points (N, D) from their own units to standardised ones.
    ///
    /// # Panics
    ///
    /// Where the points have another dimension than the map.
    #[track_caller]
    pub fn apply(&self, points: ArrayView2<f64>) -> Array2<f64> {
        (&points - &self.shift) / &self.scale // (N, D)
    }

    /// Brings standardised points (N, D) back to their own units.
    ///
    /// # Panics
    ///
    /// Where the points have another dimension than the map.
    #[track_caller]
    pub fn undo(&self, points: ArrayView2<f64>) -> Array2<f64> {
        &points * &self.scale + &self.shift // (N, D)
    }

    /// Σ ln scale, in nats: what an entropy loses by the map, and a log-density gains.
    pub fn log_volume(&self) -> f64 {
        self.scale.mapv(f64::ln).sum()
    }

    /// This map followed by x ↦ (x − shift) / scale.
    ///
    /// # Panics
    ///
    /// As [`Standardization::new`].
    #[track_caller]
    pub fn then(&self, next: &Standardization) -> Self {
        Self::new(&self.shift + &self.scale * &next.shift, &self.scale * &next.scale)
    }
}
