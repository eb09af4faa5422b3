//! Distances between two point sets.

use super::{Estimate, squared_distance};
use ndarray::{Array1, Array2, ArrayView1, Axis, Slice};
use std::f64::consts::PI;

// ANCHOR: sliced_wasserstein
/// The sliced Wasserstein-2 distance between two sets of 2-D points.
///
/// Source: Rabin et al. 2012 (Wasserstein barycenter and its application to texture mixing).
///
/// SW² = mean over directions θ of W_2²(⟨a, θ⟩, ⟨b, θ⟩)
///
/// On a line, W_2² pairs the sorted points. The `directions` are equally spaced over the half circle, so nothing is
/// random. Its mean over independent samples of *one* distribution is not 0: compare it with that floor. Shapes:
/// (N, 2) and (M, 2).
///
/// # Panics
/// If a set is empty or not two-dimensional.
#[track_caller]
pub fn sliced_wasserstein(a: &Array2<f64>, b: &Array2<f64>, directions: usize) -> f64 {
    assert!(
        a.ncols() == 2 && b.ncols() == 2,
        "points of dimension {} and {} are not 2-D",
        a.ncols(),
        b.ncols()
    );
    assert!(a.nrows() > 0 && b.nrows() > 0, "an empty set has no distance");
    let squared = |k: usize| {
        let angle = PI * (k as f64 + 0.5) / directions as f64;
        let direction = ndarray::arr1(&[angle.cos(), angle.sin()]);
        wasserstein_squared(a.dot(&direction), b.dot(&direction))
    };
    ((0..directions).map(squared).sum::<f64>() / directions as f64).sqrt()
}
// ANCHOR_END: sliced_wasserstein

/// W_2² of two samples on a line: ∫ (F_a⁻¹(u) − F_b⁻¹(u))² du, both quantile functions being steps.
fn wasserstein_squared(a: Array1<f64>, b: Array1<f64>) -> f64 {
    let sorted = |values: Array1<f64>| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut u, mut sum) = (0, 0, 0.0, 0.0);
    while i < a.len() && j < b.len() {
        let (end_a, end_b) = ((i + 1) as f64 / a.len() as f64, (j + 1) as f64 / b.len() as f64);
        let end = f64::min(end_a, end_b);
        sum += (end - u) * (a[i] - b[j]).powi(2);
        u = end;
        i += usize::from(end_a <= end);
        j += usize::from(end_b <= end);
    }
    sum
}

/// The distance of each row of `a` from the same row of `b`: for points that belong together, one by one.
///
/// Shapes: both (N, D); N distances. For two samples of no order use [`sliced_wasserstein`].
///
/// ```
/// use ndarray::array;
///
/// let distances = ddpm::metrics::row_distances(&array![[0.0, 0.0], [1.0, 1.0]], &array![[3.0, 4.0], [1.0, 1.0]]);
/// assert_eq!(distances, [5.0, 0.0]);
/// ```
pub fn row_distances(a: &Array2<f64>, b: &Array2<f64>) -> Vec<f64> {
    a.rows().into_iter().zip(b.rows()).map(|(a, b)| squared_distance(a, b).sqrt()).collect()
}

/// The median of [`row_distances`]: how far a typical point lies from where it belongs.
///
/// A few points that end in another mode rule a mean, and leave a median as it is.
///
/// ```
/// use ndarray::array;
///
/// let (a, b) = (array![[0.0], [0.0], [0.0]], array![[1.0], [-1.0], [900.0]]);
/// assert_eq!(ddpm::metrics::median_row_distance(&a, &b), 1.0);
/// ```
///
/// # Panics
/// If there are no rows.
#[track_caller]
pub fn median_row_distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    super::quantile(&row_distances(a, b), 0.5)
}

/// The mean distance of each row of `points` from the next, along a path; shape (N, D).
///
/// Neighbouring distances share a point, so they are not independent: the standard error is √2 times that of independent ones,
/// the most that it can be for a correlation of ½ between neighbours.
///
/// ```
/// let gap = ddpm::metrics::mean_gap(&ndarray::array![[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]]);
/// assert_eq!(gap.mean, 3.0); // of 5 and 1
/// ```
pub fn mean_gap(points: &Array2<f64>) -> Estimate {
    let (earlier, later) = (Slice::from(..-1), Slice::from(1..));
    let [earlier, later] = [earlier, later].map(|rows| points.slice_axis(Axis(0), rows).to_owned());
    let gaps = Estimate::of(row_distances(&earlier, &later));
    Estimate { standard_error: 2f64.sqrt() * gaps.standard_error, ..gaps }
}

/// The median distance between a row of `a` and a row of `b`: the usual bandwidth of [`mmd_squared`].
pub fn median_distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let distances: Vec<f64> = a
        .rows()
        .into_iter()
        .flat_map(|a| b.rows().into_iter().map(move |b| squared_distance(a, b).sqrt()))
        .collect();
    super::quantile(&distances, 0.5)
}

// ANCHOR: mmd_squared
/// The squared maximum mean discrepancy with the Gaussian kernel k(a, b) = exp(−‖a − b‖²/(2 h²)), unbiased.
///
/// Source: Gretton et al. 2012, Eq. (3).
///
/// MMD² = mean over i≠j of k(a_i, a_j) + mean over i≠j of k(b_i, b_j) − 2 · mean over i, j of k(a_i, b_j)
///
/// where h is the `bandwidth`. Unbiased, so it may come out below zero. Shapes: (N, D) and (M, D); time N² + M² + NM.
pub fn mmd_squared(a: &Array2<f64>, b: &Array2<f64>, bandwidth: f64) -> f64 {
    let kernel =
        |a: ArrayView1<f64>, b: ArrayView1<f64>| (-squared_distance(a, b) / (2.0 * bandwidth.powi(2))).exp();
    let within = |x: &Array2<f64>| {
        let n = x.nrows();
        let sum: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| kernel(x.row(i), x.row(j))).sum();
        2.0 * sum / (n * (n - 1)) as f64
    };
    let across: f64 =
        a.rows().into_iter().map(|a| b.rows().into_iter().map(|b| kernel(a, b)).sum::<f64>()).sum();
    within(a) + within(b) - 2.0 * across / (a.nrows() * b.nrows()) as f64
}
// ANCHOR_END: mmd_squared
