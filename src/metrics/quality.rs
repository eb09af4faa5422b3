//! Four scores of samples, beside those of the data itself.

use super::{Estimate, Evaluator, coverage, median_distance, mmd_squared, precision, sliced_wasserstein};
use crate::data::Dataset;
use ndarray::{Array2, Axis, Slice};
use ndarray_rand::rand::Rng;
use std::ops::Sub;

/// What samples score against data, as means over several draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// The sliced Wasserstein distance, over that of the data from itself: 1 for the data.
    pub distance: Estimate,
    /// The unbiased MMD².
    pub mmd_squared: Estimate,
    /// Is all of the data drawn? See [`coverage`].
    pub coverage: Estimate,
    /// Is all that is drawn data? See [`precision`].
    pub precision: Estimate,
}

impl Scores {
    /// The same with the distance over a floor.
    fn over(self, floor: f64) -> Self {
        Scores { distance: self.distance.scaled(1.0 / floor), ..self }
    }

    /// The means alone: distance, MMD², coverage, precision.
    pub fn means(&self) -> [f64; 4] {
        [self.distance, self.mmd_squared, self.coverage, self.precision].map(|score| score.mean)
    }
}

impl Sub for Scores {
    type Output = Scores;

    /// The differences of independent scores, each with its standard error.
    fn sub(self, other: Self) -> Self {
        Scores {
            distance: self.distance - other.distance,
            mmd_squared: self.mmd_squared - other.mmd_squared,
            coverage: self.coverage - other.coverage,
            precision: self.precision - other.precision,
        }
    }
}

/// Scores samples against a data set: sliced Wasserstein distance, MMD², coverage and precision.
///
/// No score of a good model is 0 or 1, since two samples of *one* distribution differ: compare each with its floor, the score
/// of the data against itself.
///
/// ```
/// use ddpm::{data::{Dataset, DatasetName}, metrics::Quality};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let data = Dataset::named(DatasetName::Gaussians8, "")?;
/// let mut rng = StdRng::seed_from_u64(0);
/// let quality = Quality::new(&data, 300, 4, &mut rng);
/// let shifted = [(); 2].map(|()| data.sample(300, &mut rng) + 1.0);
/// let less = (quality.of(&shifted, &mut rng) - quality.floor()).precision; // fewer points lie within the data
/// assert!(less.mean < -0.3 && less.standard_error < 0.1);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Quality<'a> {
    data: &'a Dataset,
    count: usize,
    bandwidth: f64,
    floor: Scores,
    /// The distance of the data from itself, in the data's units.
    unit: Estimate,
}

impl<'a> Quality<'a> {
    /// MMD², coverage and precision are measured on so many points at most: their time grows with the square.
    pub const FEW: usize = 1000;
    /// The neighbour that the balls of coverage and precision reach to.
    pub const NEIGHBOURS: usize = 5;

    /// Measures the scores of the data itself over `pairs` pairs of independent samples of `count` points. The bandwidth of MMD² is the
    /// median distance between two further samples.
    ///
    /// # Panics
    /// If there are not more than [`NEIGHBOURS`](Self::NEIGHBOURS) points, or they are not two-dimensional.
    #[track_caller]
    pub fn new(data: &'a Dataset, count: usize, pairs: usize, rng: &mut impl Rng) -> Self {
        let [a, b] = [(); 2].map(|()| data.sample(count.min(Self::FEW), rng));
        let bandwidth = median_distance(&a, &b);
        let pair = |_| {
            let [a, b] = [(); 2].map(|()| data.sample(count, rng));
            scores(&a, &b, bandwidth)
        };
        let floor = means((0..pairs).map(pair));
        let unit = floor.distance;
        Quality { data, count, bandwidth, floor: floor.over(unit.mean), unit }
    }

    /// The scores of the data against itself.
    pub fn floor(&self) -> Scores {
        self.floor
    }

    /// The mean scores of samples, each against fresh data.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn of(&self, drawn: &[Array2<f64>], rng: &mut impl Rng) -> Scores {
        let of_one = |drawn| scores(&self.data.sample(self.count, rng), drawn, self.bandwidth);
        means(drawn.iter().map(of_one)).over(self.unit.mean)
    }

    /// An evaluator by the distance alone, over the same floor.
    pub fn evaluator(&self) -> Evaluator<'a> {
        Evaluator::with_floor(self.data, self.count, self.unit)
    }
}

/// Distance, MMD², coverage and precision of one sample.
#[track_caller]
fn scores(data: &Array2<f64>, drawn: &Array2<f64>, bandwidth: f64) -> [f64; 4] {
    let few = |points: &Array2<f64>| {
        let count = points.nrows().min(Quality::FEW);
        points.slice_axis(Axis(0), Slice::from(..count)).to_owned()
    };
    let (few_data, few_drawn) = (few(data), few(drawn));
    [
        sliced_wasserstein(data, drawn, Evaluator::DIRECTIONS),
        mmd_squared(&few_data, &few_drawn, bandwidth),
        coverage(&few_data, &few_drawn, Quality::NEIGHBOURS),
        precision(&few_data, &few_drawn, Quality::NEIGHBOURS),
    ]
}

/// The mean of each score.
fn means(scores: impl Iterator<Item = [f64; 4]>) -> Scores {
    let scores = Array2::from(scores.collect::<Vec<_>>()); // (draws, 4)
    let [distance, mmd_squared, coverage, precision] =
        [0, 1, 2, 3].map(|which| Estimate::of(scores.column(which).iter().copied()));
    Scores { distance, mmd_squared, coverage, precision }
}
