//! Progressive decoding on known data: what was sent, and how far the guess is off.

use super::{BoundDecomposition, QuantizedDistribution};
use crate::{
    bound::{Model, progressive_rates},
    denoiser::{Denoiser, ExactDenoiser},
    forward::{diffuse, standard_normal},
};
use ndarray::Array2;
use ndarray_rand::rand::Rng;

/// What the receiver of x_T … x_t has been sent, and how good its guess of x_0 is: entry t of each, for t = 0 … T.
///
/// Source: Ho et al. 2020, §4.3.
///
/// ```
/// use ddpm::bound::{Bins, Model, exact::{Decoding, QuantizedDistribution}};
/// use ddpm::{data::{Dataset, DatasetName}, denoiser::ExactDenoiser, schedule::Schedule};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let data = Dataset::named(DatasetName::Mixture, "")?;
/// let levels = QuantizedDistribution::of(data.density(), Bins::new(3.0, 16)).expect("a mixture has a table");
/// let (schedule, mut rng) = (Schedule::linear_scaled(30)?, StdRng::seed_from_u64(1));
/// let model = Model::new(&schedule, ExactDenoiser::new(&schedule, &levels), Default::default());
/// let x_0 = levels.sample(200, &mut rng);
/// let decoding = Decoding::of(&model, &levels, &x_0, f64::INFINITY, |t| t == 5, &mut rng, || ());
/// assert!(decoding.rates[5] < decoding.rates[0] && decoding.errors[5] < decoding.errors[30]);
/// assert_eq!(decoding.least[5], Some(decoding.errors[5])); // the model's denoiser is the exact one
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Decoding {
    /// The sum of the bound's terms L_t … L_T, in bits per dimension.
    pub rates: Vec<f64>,
    /// The sum of the information in them: what a code that wastes nothing sends.
    pub information: Vec<f64>,
    /// The root mean square error of the model's guess at x_t; 0 at t = 0, where x_0 itself has been sent.
    pub errors: Vec<f64>,
    /// The error of the exact denoiser, on the same points and noise, where it was wanted.
    pub least: Vec<Option<f64>>,
}

impl Decoding {
    /// Sums the rates by quadrature, `max_spacing` as in [`BoundDecomposition::of`], and measures the errors on the points `x_0`. The exact denoiser takes
    /// its time: it is called where `wanted`. `on_step` is called 2 T + 1 times.
    pub fn of(
        model: &Model<impl Denoiser>,
        data: &QuantizedDistribution,
        x_0: &Array2<f64>,
        max_spacing: f64,
        wanted: impl Fn(usize) -> bool,
        rng: &mut impl Rng,
        mut on_step: impl FnMut(),
    ) -> Self {
        let schedule = model.schedule;
        let exact = Model::new(schedule, ExactDenoiser::new(schedule, data), model.variance);
        let (mut errors, mut least) = (vec![0.0], vec![None]);
        for t in 1..=schedule.steps() {
            let noise = standard_normal(x_0.nrows(), x_0.ncols(), rng);
            let x_t = diffuse(x_0, schedule.alpha_bar(t), &noise);
            errors.push(model.decoding_rmse(x_0, &x_t, t));
            least.push(wanted(t).then(|| exact.decoding_rmse(x_0, &x_t, t)));
            on_step();
        }
        let decomposition = BoundDecomposition::of(model, data, max_spacing, on_step).bits_per_dim();
        let [rates, information] = [&decomposition.terms, &decomposition.information()]
            .map(|terms| progressive_rates(&terms.to_vec()));
        Decoding { rates, information, errors, least }
    }

    /// The same with the errors in another unit, such as the distance of two levels.
    #[must_use]
    pub fn in_units_of(mut self, unit: f64) -> Self {
        self.errors.iter_mut().chain(self.least.iter_mut().flatten()).for_each(|error| *error /= unit);
        self
    }
}
