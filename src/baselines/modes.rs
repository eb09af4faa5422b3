//! Which modes of a mixture do samples find, and how evenly?

use crate::data::GaussianMixture;
use ndarray::{Array1, Array2, ArrayView1, arr1, arr2};

// ANCHOR: grid_of_gaussians
/// side² equal Gaussians on a square grid around 0.
///
/// Source: the 25-mode grid of Srivastava et al. 2017 (VEEGAN) has `side` = 5, `spacing` = 2 and a narrow
/// `deviation`.
///
/// `spacing` is the distance of neighbouring means, `deviation` the standard deviation of each along both
/// axes.
pub fn grid_of_gaussians(side: usize, spacing: f64, deviation: f64) -> GaussianMixture {
    let count = side * side;
    let middle = (side as f64 - 1.0) / 2.0;
    let means = Array2::from_shape_fn((count, 2), |(k, axis)| {
        let place = if axis == 0 { k % side } else { k / side };
        spacing * (place as f64 - middle)
    });
    let weights = Array1::from_elem(count, 1.0 / count as f64);
    GaussianMixture::new(weights, means, Array2::from_elem((count, 2), deviation.powi(2)))
}
// ANCHOR_END: grid_of_gaussians

/// Two humps of unequal weight and width on a line, a valley between them: small enough to draw a whole flow.
///
/// # Example
/// ```
/// let humps = ddpm::baselines::modes::two_humps();
/// assert!((humps.mean()[0] - 0.27).abs() < 1e-12); // 0.3 · −1.2 + 0.7 · 0.9
/// ```
pub fn two_humps() -> GaussianMixture {
    GaussianMixture::new(arr1(&[0.3, 0.7]), arr2(&[[-1.2], [0.9]]), arr2(&[[0.04], [0.12]]))
}

/// Two round Gaussians of variance 1 and of weights 0.2 and 0.8, `distance` apart along the diagonal of the plane: modes between
/// which Langevin dynamics finds no way.
///
/// Source: Song & Ermon 2019 (Generative Modeling by Estimating Gradients of the Data Distribution), Figure 3, where the
/// means are (−5, −5) and (5, 5).
///
/// # Example
/// ```
/// let far = ddpm::baselines::modes::two_modes(200f64.sqrt());
/// assert!((far.means[(1, 0)] - 5.0).abs() < 1e-12);
/// ```
pub fn two_modes(distance: f64) -> GaussianMixture {
    let place = distance / 8f64.sqrt();
    let means = arr2(&[[-place, -place], [place, place]]);
    GaussianMixture::new(arr1(&[0.2, 0.8]), means, Array2::ones((2, 2)))
}

// ANCHOR: mode_counts
/// How many samples each component gets: those that lie within `reach` standard deviations of its mean, and
/// of no other mean within fewer.
///
/// Source: Srivastava et al. 2017 (VEEGAN), with `reach` = 3: a mode is found if it gets a sample at all, and
/// a sample is of high quality if a mode gets it.
///
/// Distances are in standard deviations of the component, along each axis its own. A sample that is farther than `reach` from
/// every mean counts for none. Shapes: `samples` (N, D), result (K).
///
/// # Formula
/// distance of x from component k = √(Σ_d (x_d − μ_{k,d})²/v_{k,d})
///
/// # Example
/// ```
/// use ddpm::baselines::modes::{grid_of_gaussians, mode_counts};
/// use ndarray::array;
///
/// let two_by_two = grid_of_gaussians(2, 2.0, 0.1); // at (±1, ±1)
/// let samples = array![[-1.0, -1.0], [-1.2, -1.0], [1.0, 1.1], [0.0, 0.0]]; // the last is far from all
/// assert_eq!(mode_counts(&two_by_two, &samples, 3.0), array![2, 0, 0, 1]);
/// ```
///
/// # Panics
/// If the samples have another dimension than the mixture.
#[track_caller]
pub fn mode_counts(mixture: &GaussianMixture, samples: &Array2<f64>, reach: f64) -> Array1<usize> {
    assert_eq!(samples.ncols(), mixture.dimension(), "the points and the mixture differ in dimension");
    let mut counts = Array1::zeros(mixture.weights.len());
    for x in samples.rows() {
        let squared_deviations = |(mean, variance): (ArrayView1<f64>, ArrayView1<f64>)| -> f64 {
            x.iter().zip(mean).zip(variance).map(|((x, mean), variance)| (x - mean).powi(2) / variance).sum()
        };
        let components = mixture.means.rows().into_iter().zip(mixture.variances.rows());
        let nearest = components.map(squared_deviations).enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some((k, distance)) = nearest
            && distance <= reach.powi(2)
        {
            counts[k] += 1;
        }
    }
    counts
}
// ANCHOR_END: mode_counts

/// [`mode_counts`], summarised in three numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModeReport {
    /// How many modes got a sample.
    pub found: usize,
    /// The share of the samples that a mode got.
    pub high_quality: f64,
    /// KL(share of each mode ‖ its weight), in nats: 0 if every mode got its share, ln K if one of K equal
    /// modes got all.
    ///
    /// Of n samples of the mixture itself it is (K − 1)/(2n) on average. NaN if no mode got a sample.
    pub unevenness: f64,
}

impl ModeReport {
    /// Counts the modes that `samples`, of shape (N, D), find within `reach` standard deviations.
    ///
    /// # Panics
    /// As [`mode_counts`].
    #[track_caller]
    pub fn of(mixture: &GaussianMixture, samples: &Array2<f64>, reach: f64) -> Self {
        let counts = mode_counts(mixture, samples, reach);
        let total = counts.sum() as f64;
        let term = |(&count, weight): (&usize, &f64)| match count {
            0 => 0.0,
            _ => count as f64 / total * (count as f64 / total / weight).ln(),
        };
        let unevenness =
            if total > 0.0 { counts.iter().zip(&mixture.weights).map(term).sum() } else { f64::NAN };
        ModeReport {
            found: counts.iter().filter(|&&count| count > 0).count(),
            high_quality: total / samples.nrows() as f64,
            unevenness,
        }
    }

    /// What `count` samples of the mixture itself have on average, of a mixture of so many equal `modes` that lie far apart on
    /// the plane.
    ///
    /// In the plane, a share of 1 − e^{−r²/2} lies within r = `reach` deviations.
    ///
    /// # Example
    /// ```
    /// let report = ddpm::baselines::modes::ModeReport::expected(8, 2000, 3.0);
    /// assert!((report.high_quality - 0.98889).abs() < 1e-5 && report.unevenness == 7.0 / 4000.0);
    /// ```
    pub fn expected(modes: usize, count: usize, reach: f64) -> Self {
        ModeReport {
            found: modes,
            high_quality: 1.0 - (-0.5 * reach * reach).exp(),
            unevenness: (modes as f64 - 1.0) / (2.0 * count as f64),
        }
    }

    /// The effective number of modes over their number: e to the minus [`unevenness`](Self::unevenness), and
    /// 0 if no mode got a sample.
    ///
    /// For K equal modes it is e^{entropy of the shares}/K: 1 if all got the same, 1/K if one got all.
    pub fn effective_share(&self) -> f64 {
        if self.found == 0 { 0.0 } else { (-self.unevenness).exp() }
    }

    /// How many modes were found, the share of high quality, and the effective share of the modes.
    pub fn numbers(&self) -> [f64; 3] {
        [self.found as f64, self.high_quality, self.effective_share()]
    }
}
