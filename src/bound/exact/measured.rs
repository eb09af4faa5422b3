//! A bound twice: measured on points, and summed by quadrature.

use super::{BoundDecomposition, QuantizedDistribution};
use crate::{
    bound::{Model, bits_per_dim, discretized_bound},
    denoiser::Denoiser,
    metrics::{Estimate, mean},
};
use ndarray::{Array1, Array2, Axis, Slice};
use ndarray_rand::rand::Rng;
use std::ops::RangeInclusive;

/// A model's bound on rounded points, measured by sampling beside what quadrature says; all in bits per dimension.
///
/// ```
/// use ddpm::bound::{Bins, Model, exact::{QuantizedDistribution, MeasuredBound}};
/// use ddpm::{data::{Dataset, DatasetName}, denoiser::ExactDenoiser, schedule::Schedule};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (data, bins) = (Dataset::named(DatasetName::Mixture, "")?, Bins::new(3.0, 16));
/// let levels = QuantizedDistribution::of(data.density(), bins).expect("a mixture has a table");
/// let (schedule, mut rng) = (Schedule::linear_scaled(30)?, StdRng::seed_from_u64(1));
/// let denoiser = ExactDenoiser::new(&schedule, &levels);
/// let model = Model::new(&schedule, denoiser, Default::default());
/// let bound = MeasuredBound::of(&model, &levels, 500, f64::INFINITY, &mut rng, || ());
/// let measured = bound.measured(0..=30); // the whole bound
/// assert!((measured.mean - bound.entropy - bound.parts.gap.sum()).abs() < 5.0 * measured.standard_error);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredBound {
    /// The measured terms L_0 … L_T of each point, of shape (N, T + 1).
    pub terms: Array2<f64>,
    /// The same terms by quadrature, and the gap.
    pub parts: BoundDecomposition,
    /// The entropy of the data: no bound can lie below it.
    pub entropy: f64,
}

impl MeasuredBound {
    /// Measures the terms on `count` points of the data, and sums them by quadrature; `max_spacing` and `on_step` as in [`BoundDecomposition::of`].
    pub fn of(
        model: &Model<impl Denoiser>,
        data: &QuantizedDistribution,
        count: usize,
        max_spacing: f64,
        rng: &mut impl Rng,
        on_step: impl FnMut(),
    ) -> Self {
        let x_0 = data.sample(count, rng);
        MeasuredBound {
            terms: discretized_bound(model, &x_0, data.bins(), rng).mapv(|nats| bits_per_dim(nats, 2)),
            parts: BoundDecomposition::of(model, data, max_spacing, on_step).bits_per_dim(),
            entropy: bits_per_dim(data.entropy(), 2),
        }
    }

    /// The sum of the measured terms L_t over a range of t; over 0 … T it is the bound.
    ///
    /// # Panics
    /// If the range ends beyond T.
    #[track_caller]
    pub fn measured(&self, steps: RangeInclusive<usize>) -> Estimate {
        Estimate::of(self.terms.slice_axis(Axis(1), Slice::from(steps)).sum_axis(Axis(1)))
    }

    /// A block of terms as a row of numbers: measured, its standard error, by quadrature, the information in it, the gap.
    ///
    /// # Panics
    /// As [`measured`](Self::measured).
    #[track_caller]
    pub fn block(&self, steps: RangeInclusive<usize>) -> [f64; 5] {
        let measured = self.measured(steps.clone());
        let [term, information, gap] = self.parts.sums(steps);
        [measured.mean, measured.standard_error, term, information, gap]
    }

    /// The whole bound, measured.
    pub fn sum(&self) -> Estimate {
        self.measured(0..=self.terms.ncols() - 1)
    }

    /// The whole bound as it should be: the entropy and the gap.
    pub fn predicted(&self) -> f64 {
        self.entropy + self.parts.gap.sum()
    }

    /// The gap in three parts, and their sum: at t = T, where it is the prior's mismatch, from t = T down to 2, and at t = 1.
    pub fn gaps(&self) -> [f64; 4] {
        let gap = &self.parts.gap;
        let (prior, last, sum) = (gap[gap.len() - 1], gap[0], gap.sum());
        [prior, sum - prior - last, last, sum]
    }

    /// The mean over the points of each measured term, L_0 … L_T.
    pub fn means(&self) -> Array1<f64> {
        self.terms.columns().into_iter().map(mean).collect()
    }

    /// The terms L_0 … L_{T−1} that are larger than `least`: t, the term by quadrature, and as it was measured.
    pub fn terms_above(&self, least: f64) -> impl Iterator<Item = (usize, f64, Estimate)> {
        let terms = self.parts.terms.iter().enumerate().take(self.terms.ncols() - 1);
        let large = terms.filter(move |(_, predicted)| **predicted > least);
        large.map(|(t, &predicted)| (t, predicted, self.measured(t..=t)))
    }
}

/// The entries of a bound with `steps` steps in blocks that grow, each with its name: L_0, L_1, L_2 … L_4, …, L_T, and all of them.
///
/// ```
/// use ddpm::bound::exact::blocks;
///
/// let names: Vec<String> = blocks(4).into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["L_0", "L_1", "L_2 … L_3", "L_T", "the bound"]);
/// ```
pub fn blocks(steps: usize) -> Vec<(String, RangeInclusive<usize>)> {
    const ENDS: [usize; 6] = [0, 1, 4, 19, 99, usize::MAX];
    let mut blocks = Vec::new();
    let mut first = 0;
    for last in ENDS.map(|end| end.min(steps - 1)) {
        match first {
            _ if first > last => continue,
            _ if first == last => blocks.push((format!("L_{first}"), first..=last)),
            _ => blocks.push((format!("L_{first} … L_{last}"), first..=last)),
        }
        first = last + 1;
    }
    blocks.push(("L_T".into(), steps..=steps));
    blocks.push(("the bound".into(), 0..=steps));
    blocks
}
