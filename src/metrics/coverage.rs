//! Coverage and precision: is all of the data drawn, and is all that is drawn data?

use super::squared_distance;
use crate::data::Dataset;
use ndarray::{Array2, ArrayView1, Axis, Slice};
use ndarray_rand::rand::Rng;

/// Squared distance from each row of `of` to its `k`-th nearest neighbour among the other rows.
fn neighbour_radii(of: &Array2<f64>, k: usize) -> Vec<f64> {
    assert!(of.nrows() > k, "{} points have no {k}-th neighbour", of.nrows());
    let radius = |i: usize| {
        let mut distances: Vec<f64> =
            (0..of.nrows()).filter(|&j| j != i).map(|j| squared_distance(of.row(i), of.row(j))).collect();
        *distances.select_nth_unstable_by(k - 1, f64::total_cmp).1
    };
    (0..of.nrows()).map(radius).collect()
}

// ANCHOR: coverage
/// The share of data points whose `k`-nearest-neighbour ball holds at least one sample.
///
/// Source: Naeem et al. 2020 (Reliable fidelity and diversity metrics for generative models), §3.
///
/// A mode that is never drawn lowers it; a thousand samples on one mode do not raise it. For samples of the data's own
/// distribution it is about 1 − 2⁻ᵏ when the sets are equally large. Shapes: (N, D) and (M, D).
///
/// # Panics
/// If there are not more than k data points.
#[track_caller]
pub fn coverage(data: &Array2<f64>, samples: &Array2<f64>, k: usize) -> f64 {
    let radii = neighbour_radii(data, k);
    let covered =
        |i: &usize| samples.rows().into_iter().any(|x| squared_distance(x, data.row(*i)) <= radii[*i]);
    (0..data.nrows()).filter(covered).count() as f64 / data.nrows() as f64
}
// ANCHOR_END: coverage

// ANCHOR: precision
/// The share of samples that lie in the `k`-nearest-neighbour ball of some data point.
///
/// Source: Kynkäänniemi et al. 2019 (Improved precision and recall metric), Eq. (2).
///
/// Samples between the modes lower it. Shapes: (N, D) and (M, D).
///
/// # Panics
/// If there are not more than k data points.
#[track_caller]
pub fn precision(data: &Array2<f64>, samples: &Array2<f64>, k: usize) -> f64 {
    let radii = neighbour_radii(data, k);
    let inside =
        |x: &ArrayView1<f64>| data.rows().into_iter().zip(&radii).any(|(d, &r)| squared_distance(*x, d) <= r);
    samples.rows().into_iter().filter(inside).count() as f64 / samples.nrows() as f64
}
// ANCHOR_END: precision

/// A sample of the data to measure [`precision`] by, and how precise another sample of the data is.
///
/// ```
/// use ddpm::{data::{Dataset, DatasetName}, metrics::Reference};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (data, mut rng) = (Dataset::named(DatasetName::Gaussians8, "")?, StdRng::seed_from_u64(0));
/// let reference = Reference::new(&data, 200, 5, &mut rng);
/// assert!(reference.of_data() > 0.9);
/// assert!(reference.precision(&(data.sample(300, &mut rng) + 3.0)) < 0.1);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reference {
    truth: Array2<f64>,
    neighbours: usize,
    of_data: f64,
}

impl Reference {
    /// Draws two samples of `count` points: one to measure by, one to measure.
    ///
    /// # Panics
    /// If there are not more points than `neighbours`.
    #[track_caller]
    pub fn new(data: &Dataset, count: usize, neighbours: usize, rng: &mut impl Rng) -> Self {
        let [truth, other] = [(); 2].map(|()| data.sample(count, rng));
        Reference { of_data: precision(&truth, &other, neighbours), truth, neighbours }
    }

    /// The precision of the data itself.
    pub fn of_data(&self) -> f64 {
        self.of_data
    }

    /// The precision of the first points of a sample, as many as the reference has.
    pub fn precision(&self, samples: &Array2<f64>) -> f64 {
        let few = Slice::from(..self.truth.nrows().min(samples.nrows()));
        precision(&self.truth, &samples.slice_axis(Axis(0), few).to_owned(), self.neighbours)
    }
}
