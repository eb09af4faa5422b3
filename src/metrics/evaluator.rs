//! Distances beside their floor: how far samples lie from data, and how far the data lies from itself.

use super::{StandardError, mean, sliced_wasserstein, standard_error};
use crate::data::Dataset;
use ndarray::{Array1, Array2};
use ndarray_rand::rand::Rng;
use std::{convert::Infallible, fmt, ops::Sub};

/// A mean of several draws, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The standard error of the mean, √(s²/N); not a number for a single draw.
    pub standard_error: f64,
    /// The number of draws N.
    pub draws: usize,
}

impl Estimate {
    /// The mean of `values`, and its standard error.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Array1<f64> = values.into_iter().collect();
        Estimate {
            mean: mean(values.view()),
            standard_error: standard_error(values.view()),
            draws: values.len(),
        }
    }

    /// The mean over strata of equal weight, such as the times t: row i of `values` has the independent draws of stratum i.
    ///
    /// # Formula
    /// Standard error √(Σ_i s_i²/N)/I
    ///
    /// where s_i² is the variance of the N draws of stratum i, and I the number of strata: how the strata differ is no chance.
    pub fn stratified(values: &Array2<f64>) -> Self {
        let squares: f64 = values.rows().into_iter().map(|row| standard_error(row).powi(2)).sum();
        Estimate {
            mean: mean(values.rows().into_iter().map(mean).collect::<Array1<f64>>().view()),
            standard_error: squares.sqrt() / values.nrows() as f64,
            draws: values.len(),
        }
    }

    /// The mean and its standard error: two cells of a table.
    pub fn pair(self) -> [f64; 2] {
        [self.mean, self.standard_error]
    }

    /// Whether the draws scatter by more than the rounding of their numbers: else their standard error says nothing of chance. Two points
    /// of unit variance are all one standard deviation away from their mean.
    ///
    /// ```
    /// use ddpm::metrics::Estimate;
    ///
    /// assert!(Estimate::of([1.0, 1.0, 1.1]).scatters());
    /// assert!(!Estimate::of([0.1 + 0.2, 0.3, 0.3]).scatters());
    /// ```
    pub fn scatters(self) -> bool {
        self.standard_error > 1e-12 * self.mean.abs()
    }

    /// The deviation of a single draw, √N standard errors.
    pub fn scatter(self) -> f64 {
        self.standard_error * (self.draws as f64).sqrt()
    }

    /// The ratio of two independent estimates, with the standard error that follows from theirs to first order.
    ///
    /// # Formula
    /// q = a/b, s_q = |q| √((s_a/a)² + (s_b/b)²)
    ///
    /// # Example
    /// ```
    /// use ddpm::metrics::Estimate;
    ///
    /// let [a, b] = [(6.0, 0.3), (2.0, 0.0)].map(|(mean, standard_error)| Estimate { mean, standard_error, draws: 20 });
    /// let ratio = a.over(b);
    /// assert!(ratio.mean == 3.0 && (ratio.standard_error - 0.15).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn over(self, other: Estimate) -> Self {
        let share = |estimate: Estimate| estimate.standard_error / estimate.mean;
        let mean = self.mean / other.mean;
        Estimate {
            mean,
            standard_error: mean.abs() * share(self).hypot(share(other)),
            draws: self.draws.min(other.draws),
        }
    }

    /// Both numbers, each less or more by one factor: a change of unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Estimate { mean: factor * self.mean, standard_error: factor.abs() * self.standard_error, ..self }
    }
}

impl Sub for Estimate {
    type Output = Estimate;

    /// The difference of two independent estimates: the squares of their standard errors add. It is known as well as the one of
    /// fewer draws.
    fn sub(self, other: Self) -> Self {
        Estimate {
            mean: self.mean - other.mean,
            standard_error: self.standard_error.hypot(other.standard_error),
            draws: self.draws.min(other.draws),
        }
    }
}

impl From<Estimate> for StandardError {
    /// The standard error of an estimate, with the limit of so few draws.
    fn from(estimate: Estimate) -> Self {
        StandardError::from(estimate.standard_error).drawn(estimate.draws)
    }
}

/// What a few runs gave: their mean, with the least and the most. Shown with as many decimals as the format says.
///
/// ```
/// use ddpm::metrics::Spread;
///
/// assert_eq!(format!("{:.2}", Spread::of([1.0, 4.0, 2.5])), "2.50 [1.00 4.00]");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The least of them.
    pub least: f64,
    /// The largest of them.
    pub most: f64,
}

impl Spread {
    /// Mean, least and most of `values`; not numbers if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let [least, most] = [f64::min, f64::max].map(|pick| values.iter().copied().fold(f64::NAN, pick));
        Spread { mean, least, most }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        write!(f, "{:.digits$} [{:.digits$} {:.digits$}]", self.mean, self.least, self.most)
    }
}

/// How far samples lie from a data set, over the distance of the data set from itself.
///
/// The sliced Wasserstein distance of two independent samples of *one* distribution is not 0; its mean over some pairs
/// is the floor, and 1 the best that a model can reach.
///
/// ```
/// use ddpm::{data::{Dataset, DatasetName}, metrics::Evaluator};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let data = Dataset::named(DatasetName::Gaussians8, "")?;
/// let mut rng = StdRng::seed_from_u64(0);
/// let evaluator = Evaluator::new(&data, 500, 20, &mut rng);
/// let of_data = evaluator.mean(5, &mut rng, |rng| data.sample(500, rng));
/// let of_shifted = evaluator.mean(5, &mut rng, |rng| data.sample(500, rng) + 1.0);
/// assert!((0.5..2.0).contains(&of_data.mean) && of_shifted.mean > 5.0);
/// assert!(evaluator.excess(&(data.sample(500, &mut rng) * 1.1)) > 1.0); // nats
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Evaluator<'a> {
    data: &'a Dataset,
    count: usize,
    floor: Estimate,
    entropy: Option<f64>,
}

impl<'a> Evaluator<'a> {
    /// The number of directions of the sliced distance.
    pub const DIRECTIONS: usize = 64;

    /// Measures the floor over `pairs` pairs of independent samples of `count` points.
    ///
    /// # Panics
    /// If there are no points, or they are not two-dimensional.
    #[track_caller]
    pub fn new(data: &'a Dataset, count: usize, pairs: usize, rng: &mut impl Rng) -> Self {
        let pair = |_| {
            let [a, b] = [(); 2].map(|()| data.sample(count, rng));
            sliced_wasserstein(&a, &b, Self::DIRECTIONS)
        };
        let floor = Estimate::of((0..pairs).map(pair));
        Evaluator { data, count, floor, entropy: data.entropy() }
    }

    /// An evaluator whose floor is known already.
    pub(super) fn with_floor(data: &'a Dataset, count: usize, floor: Estimate) -> Self {
        Evaluator { data, count, floor, entropy: data.entropy() }
    }

    /// The data that samples are compared with.
    pub fn data(&self) -> &'a Dataset {
        self.data
    }

    /// The number of points in the samples that it evaluates.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The distance of the data from itself, in the data's units.
    pub fn floor(&self) -> Estimate {
        self.floor
    }

    /// The distance of one sample from fresh data, over the floor.
    ///
    /// # Panics
    /// If the sample is empty or not two-dimensional.
    #[track_caller]
    pub fn distance(&self, drawn: &Array2<f64>, rng: &mut impl Rng) -> f64 {
        let fresh = self.data.sample(self.count, rng);
        sliced_wasserstein(&fresh, drawn, Self::DIRECTIONS) / self.floor.mean
    }

    /// The mean distance of samples from fresh data, over the floor.
    ///
    /// # Panics
    /// As [`distance`](Self::distance).
    #[track_caller]
    pub fn of(&self, drawn: &[Array2<f64>], rng: &mut impl Rng) -> Estimate {
        Estimate::of(drawn.iter().map(|drawn| self.distance(drawn, rng)))
    }

    /// The mean distance of one sample from several fresh samples of the data, over the floor.
    ///
    /// # Panics
    /// As [`distance`](Self::distance).
    #[track_caller]
    pub fn mean_distance(&self, drawn: &Array2<f64>, times: usize, rng: &mut impl Rng) -> f64 {
        Estimate::of((0..times).map(|_| self.distance(drawn, rng))).mean
    }

    /// By how many nats a sample is less probable under the data's density than the data itself, on average: 0 for a sample of
    /// the data, up to chance, and more for points between the modes or around them. Not a number where the density is not known.
    ///
    /// It is sharper than the distance, which looks at where the mass is, and hardly at how wide a narrow mode is. But it is no
    /// divergence: a sample of the most probable point alone has a negative excess.
    ///
    /// # Formula
    /// excess = −(1/N) Σ_n ln p(x_n) − h
    ///
    /// where h = −E\[ln p(x)\] is the data's entropy.
    ///
    /// # Panics
    /// If the sample is not two-dimensional.
    #[track_caller]
    pub fn excess(&self, drawn: &Array2<f64>) -> f64 {
        mean(self.excesses(drawn).view())
    }

    /// What [`excess`](Self::excess) is the mean of: −ln p(x_n) − h for each row of the sample.
    fn excesses(&self, drawn: &Array2<f64>) -> Array1<f64> {
        let log_density = |x| self.data.log_density(x).unwrap_or(f64::NAN);
        let log_densities: Array1<f64> = drawn.rows().into_iter().map(log_density).collect();
        -log_densities - self.entropy.unwrap_or(f64::NAN)
    }

    /// The mean [`distance`](Self::distance) and the mean [`excess`](Self::excess) of `draws` samples. The standard error of the one
    /// comes from how the draws scatter, that of the other from how all their points do, which are independent.
    ///
    /// # Errors
    /// The first of `draw`.
    ///
    /// # Panics
    /// As [`distance`](Self::distance).
    #[track_caller]
    pub fn distance_and_excess<R: Rng, E>(
        &self,
        draws: usize,
        rng: &mut R,
        mut draw: impl FnMut(&mut R) -> Result<Array2<f64>, E>,
    ) -> Result<[Estimate; 2], E> {
        let scores = |_| {
            let drawn = draw(rng)?;
            Ok((self.distance(&drawn, rng), self.excesses(&drawn)))
        };
        let scores = (0..draws).map(scores).collect::<Result<Vec<_>, E>>()?;
        let distance = Estimate::of(scores.iter().map(|(distance, _)| *distance));
        Ok([distance, Estimate::of(scores.into_iter().flat_map(|(_, excesses)| excesses))])
    }

    /// [`distance_and_excess`](Self::distance_and_excess) of the data itself: what chance makes of 1 and of 0.
    pub fn of_data(&self, draws: usize, rng: &mut impl Rng) -> [Estimate; 2] {
        let fresh = |rng: &mut _| Ok::<_, Infallible>(self.data.sample(self.count, rng));
        self.distance_and_excess(draws, rng, fresh).unwrap_or_else(|never| match never {})
    }

    /// The mean distance of `draws` samples from fresh data, over the floor: each is evaluated before the next is drawn.
    ///
    /// # Panics
    /// As [`distance`](Self::distance).
    #[track_caller]
    pub fn mean<R: Rng>(
        &self,
        draws: usize,
        rng: &mut R,
        mut draw: impl FnMut(&mut R) -> Array2<f64>,
    ) -> Estimate {
        let distance = |_| {
            let drawn = draw(rng);
            self.distance(&drawn, rng)
        };
        Estimate::of((0..draws).map(distance))
    }
}

/// How far samples lie from a data set, over the distance of the data set from itself, where both are measured on the way: for
/// each of `draws` samples, `count` fresh points of the data are compared with it and with as many further points of the data.
///
/// The two distances share their fresh points, so that some of their scatter cancels; an [`Evaluator`] measures the floor once, for
/// many samples.
///
/// # Formula
/// Σ SW(fresh, drawn)/Σ SW(fresh, further), sums over the draws
///
/// # Panics
/// As [`Evaluator::distance`].
///
/// # Example
/// ```
/// use ddpm::{data::{Dataset, DatasetName}, metrics::distance_over_floor};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let data = Dataset::named(DatasetName::Gaussians8, "")?;
/// let mut rng = StdRng::seed_from_u64(0);
/// let of_shifted = distance_over_floor(&data, 500, 5, &mut rng, |rng| data.sample(500, rng) + 1.0);
/// assert!(of_shifted > 5.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn distance_over_floor<R: Rng>(
    data: &Dataset,
    count: usize,
    draws: usize,
    rng: &mut R,
    mut draw: impl FnMut(&mut R) -> Array2<f64>,
) -> f64 {
    let (mut distance, mut floor) = (0.0, 0.0);
    for _ in 0..draws {
        let drawn = draw(rng);
        let [fresh, further] = [(); 2].map(|()| data.sample(count, rng));
        distance += sliced_wasserstein(&fresh, &drawn, Evaluator::DIRECTIONS);
        floor += sliced_wasserstein(&fresh, &further, Evaluator::DIRECTIONS);
    }
    distance / floor
}
