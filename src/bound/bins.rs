//! Whole-numbered data: equally spaced levels on every axis, and a bin around each.

use crate::data::truncated_normal;
use ndarray::{Array1, Array2};

// ANCHOR: Bins
/// Equally spaced levels on every axis, from −`edge` to `edge`, each with a bin that reaches half-way to its neighbours.
///
/// Source: Ho et al. 2020, §3.3: the levels of a pixel are 256 numbers from −1 to 1. The two outermost bins go on to ∓∞, so
/// that every number lies in a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bins {
    edge: f64,
    levels: usize,
}
// ANCHOR_END: Bins

impl Bins {
    /// `levels` levels from −`edge` to `edge`.
    ///
    /// # Panics
    /// If `levels` < 2, or the edge is not positive.
    #[track_caller]
    pub const fn new(edge: f64, levels: usize) -> Self {
        assert!(levels >= 2, "fewer than 2 levels have no bins");
        assert!(edge > 0.0 && edge.is_finite(), "the edge of the box must be positive");
        Bins { edge, levels }
    }

    /// The number of levels on an axis.
    pub fn levels(self) -> usize {
        self.levels
    }

    /// The outermost level.
    pub fn edge(self) -> f64 {
        self.edge
    }

    /// The distance of two neighbouring levels, 2 edge/(levels − 1): also the width of every bin but the outermost.
    pub fn width(self) -> f64 {
        2.0 * self.edge / (self.levels - 1) as f64
    }

    /// The number of the level that lies nearest to x: 0 … levels − 1.
    pub fn index(self, x: f64) -> usize {
        let place = ((x + self.edge) / self.width()).round();
        place.clamp(0.0, (self.levels - 1) as f64) as usize
    }

    /// The level of a number.
    pub fn level(self, index: usize) -> f64 {
        index as f64 * self.width() - self.edge
    }

    /// All levels, rising.
    pub fn all(self) -> Array1<f64> {
        (0..self.levels).map(|index| self.level(index)).collect()
    }

    /// The ends of the bin around a level; the outermost bins have an infinite one.
    pub fn ends(self, level: f64) -> (f64, f64) {
        let half = self.width() / 2.0;
        let low = if level < half - self.edge { f64::NEG_INFINITY } else { level - half };
        let high = if level > self.edge - half { f64::INFINITY } else { level + half };
        (low, high)
    }
}

// ANCHOR: quantize
/// Rounds every coordinate to the nearest level; what lies outside of the box goes to its edge. Shapes: (N, D) to (N, D).
///
/// # Example
/// ```
/// use ddpm::bound::{Bins, quantize};
/// use ndarray::array;
///
/// let levels = Bins::new(1.0, 3); // −1, 0, 1
/// assert_eq!(quantize(levels, &array![[0.4, 0.6, -7.0]]), array![[0.0, 1.0, -1.0]]);
/// ```
pub fn quantize(bins: Bins, x: &Array2<f64>) -> Array2<f64> {
    x.mapv(|x| bins.level(bins.index(x)))
}
// ANCHOR_END: quantize

// ANCHOR: bin_log_probability
/// ln P of a level's bin under N(`mean`, `variance`), in nats, for one coordinate.
///
/// Source: Ho et al. 2020, Eq. (13).
///
/// A bin reaches half-way to the neighbouring levels, and the outermost bins go on to ∓∞. So the probabilities of all levels sum
/// to 1. Their code bounds each from below by 10⁻¹²; here the logarithm itself is computed, however far out the bin lies.
///
/// # Formula
/// P = ∫ N(x; μ, σ²) dx over the bin, from level − δ to level + δ
///
/// where δ is half the bins' width.
///
/// # Example
/// ```
/// use ddpm::bound::{Bins, bin_log_probability};
///
/// let bins = Bins::new(1.0, 256);
/// let sum: f64 = bins.all().iter().map(|&level| bin_log_probability(bins, level, 0.3, 0.01).exp()).sum();
/// assert!((sum - 1.0).abs() < 1e-12);
/// ```
pub fn bin_log_probability(bins: Bins, level: f64, mean: f64, variance: f64) -> f64 {
    let (low, high) = bins.ends(level);
    truncated_normal(mean, variance.sqrt(), low, high).log_mass
}
// ANCHOR_END: bin_log_probability
