//! Samplers: from noise back to data.
//!
//! A step of any sampler is a few scalars and a clipping rule, computed once in `f64` from the schedule. Whoever holds
//! the arrays (ndarray here, a tensor library for images) only multiplies and adds.

mod choice;
mod ddim;
mod family;
mod interpolation;
mod inversion;
mod linear;
mod multistep;
mod respaced;

pub use choice::{Sampler, draw_cost};
pub use ddim::{
    Spacing, ddim, ddim_sigma, ddim_step, rederived_ddim, rederived_ddim_step, sigma_hat_step, strided_ddim,
    time_grid,
};
pub use family::{
    MeasuredJump, OracleDenoiser, measured_jump, noise_correlation, walk_to, x_0_partial_correlation,
};
pub use interpolation::{arc, interpolate_noise};
pub use inversion::{ddim_inversion, ddim_inversion_step, round_trip_error};
pub use linear::{flow_moments, linear_moments, moments_drawn};
pub use multistep::{MultiStep, dpm_solver, dpm_solver_step, last_jump_ratio};
pub use respaced::{RespacedVariance, respaced_ancestral, respaced_schedule};

use crate::{
    denoiser::{Denoiser, Prediction},
    forward::standard_normal,
    metrics::{largest, largest_difference},
    posterior::posterior_mean_coefficients,
    reverse::{FixedVariance, fixed_variance, mean_coefficients, x_0_coefficients},
    schedule::Schedule,
};
use ndarray::{Array2, Zip};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};

// ANCHOR: Step
/// One step of a sampler, from x_t to x_{t−1}, or further: x_{t−1} = `x_t`·x_t + `eps`·ε_θ + `x_0`·x̂_0 + `noise`·z.
///
/// where x̂_0 = [`x_0_from_x_t`](Self::x_0_from_x_t)·x_t + [`x_0_from_eps`](Self::x_0_from_eps)·ε_θ, clipped to [−c, c]
/// if [`clip`](Self::clip) is c, and z ~ N(0, I).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The step t at which the denoiser is called.
    pub t: usize,
    /// The factor of x_t.
    pub x_t: f64,
    /// The factor of the predicted noise ε_θ(x_t, t).
    pub eps: f64,
    /// The factor of the predicted x̂_0.
    pub x_0: f64,
    /// The factor of fresh noise; exactly 0 in the step to the clean image.
    pub noise: f64,
    /// The factor of x_t in x̂_0.
    pub x_0_from_x_t: f64,
    /// The factor of ε_θ in x̂_0.
    pub x_0_from_eps: f64,
    /// Clips x̂_0 to [−c, c].
    pub clip: Option<f64>,
}
// ANCHOR_END: Step

impl Step {
    /// A step that leaves x_t as it is: in place of one that is left out.
    pub fn still(t: usize) -> Self {
        let (x_0_from_x_t, x_0_from_eps) = (1.0, 0.0);
        Step { t, x_t: 1.0, eps: 0.0, x_0: 0.0, noise: 0.0, x_0_from_x_t, x_0_from_eps, clip: None }
    }

    /// The largest difference between the four factors of two samplers' steps, pair by pair: 0 for one and the same sampler.
    ///
    /// # Example
    /// ```
    /// use ddpm::{reverse::FixedVariance, sampler::{Step, ancestral}, schedule::Schedule};
    ///
    /// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // σ_2² is 0.4375, or β̃_2 = 0.4375 · 0.36/0.64
    /// let [beta, tilde] = [FixedVariance::Beta, FixedVariance::Posterior].map(|choice| ancestral(&schedule, choice, None));
    /// assert!((Step::largest_difference(&beta, &tilde) - 0.25 * 0.4375f64.sqrt()).abs() < 1e-12);
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the samplers differ in the number of steps.
    #[track_caller]
    pub fn largest_difference(a: &[Step], b: &[Step]) -> f64 {
        assert_eq!(a.len(), b.len(), "samplers with other numbers of steps have no pairs");
        let factors = |step: &Step| [step.x_t, step.eps, step.x_0, step.noise];
        let both = a.iter().zip(b).flat_map(|(a, b)| factors(a).into_iter().zip(factors(b)));
        largest(both.map(|(a, b)| (a - b).abs()))
    }

    /// The x̂_0 of one coordinate: what x_t would be without the noise `eps`, clipped if the step clips.
    pub fn predicted_x_0(&self, x_t: f64, eps: f64) -> f64 {
        let limit = self.clip.unwrap_or(f64::INFINITY);
        (self.x_0_from_x_t * x_t + self.x_0_from_eps * eps).clamp(-limit, limit)
    }
}

// ANCHOR: ancestral_step
/// Step t of Algorithm 2 (ancestral sampling): a draw from p_θ(x_{t−1} | x_t).
///
/// Source: Ho et al. 2020, Algorithm 2, line 4.
///
/// The mean is that of Eq. (11), and the last step adds no noise. With `clip` the mean is μ̃_t(x_t, x̂_0) at the clipped x̂_0
/// instead; without, the two are equal. Ho et al.'s code clips images to [−1, 1]; the paper does not mention it.
///
/// # Formula
/// x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) ε_θ)/√α_t + σ_t z, with z = 0 at t = 1
///
/// # Example
/// ```
/// use ddpm::{reverse::FixedVariance, sampler::ancestral_step, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let last = ancestral_step(&schedule, 1, FixedVariance::Beta, None);
/// assert!((last.x_t * 2.0 + last.eps * 2.0 - 1.0).abs() < 1e-12); // x_1 = 2 = 0.8 · 1 + 0.6 · 2, so x_0 = 1
/// assert_eq!(last.noise, 0.0);
/// assert_eq!(ancestral_step(&schedule, 2, FixedVariance::Beta, None).noise, 0.4375_f64.sqrt());
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If t lies outside of 1…T.
#[track_caller]
pub fn ancestral_step(schedule: &Schedule, t: usize, choice: FixedVariance, clip: Option<f64>) -> Step {
    let (x_0, x_t, eps) = if clip.is_some() {
        let (of_x_0, of_x_t) = posterior_mean_coefficients(schedule, t);
        (of_x_0, of_x_t, 0.0)
    } else {
        let (of_x_t, of_eps) = mean_coefficients(schedule, t);
        (0.0, of_x_t, of_eps)
    };
    let (x_0_from_x_t, x_0_from_eps) = x_0_coefficients(schedule, t);
    Step {
        t,
        x_t,
        eps,
        x_0,
        noise: if t > 1 { fixed_variance(schedule, t, choice).sqrt() } else { 0.0 },
        x_0_from_x_t,
        x_0_from_eps,
        clip,
    }
}
// ANCHOR_END: ancestral_step

/// All T steps of Algorithm 2, from t = T down to t = 1.
///
/// Source: Ho et al. 2020, Algorithm 2.
///
/// # Example
/// ```
/// use ddpm::{reverse::FixedVariance, sampler::ancestral, schedule::Schedule};
///
/// let steps = ancestral(&Schedule::linear(3, 0.1, 0.3)?, FixedVariance::Posterior, Some(1.0));
/// assert!(steps.iter().map(|step| step.t).eq([3, 2, 1]));
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn ancestral(schedule: &Schedule, choice: FixedVariance, clip: Option<f64>) -> Vec<Step> {
    (1..=schedule.steps()).rev().map(|t| ancestral_step(schedule, t, choice, clip)).collect()
}

// ANCHOR: apply
/// Applies one step to a batch: x_t of shape (N, D) to x_{t−1} of shape (N, D).
///
/// Source: Ho et al. 2020, Algorithm 2, line 4.
///
/// `prediction` is the denoiser's at `x_t` and `step.t`, `noise` is z ~ N(0, I). A predicted variance replaces the step's own,
/// except in a step that adds no noise, as the last one. Where the factor of x̂_0 is 0, x̂_0 is left out: on a very long chain ᾱ_t
/// rounds to 0, x̂_0 is infinite, and 0 · ∞ is NaN.
///
/// # Example
/// ```
/// use ddpm::{denoiser::Prediction, metrics::largest_difference, reverse::FixedVariance, schedule::Schedule};
/// use ddpm::sampler::{ancestral_step, apply};
/// use ndarray::array;
///
/// let last = ancestral_step(&Schedule::linear(2, 0.36, 0.4375)?, 1, FixedVariance::Beta, None);
/// let true_noise = Prediction { eps: array![[2.0]], variance: None }; // x_1 = 2 = 0.8 · 1 + 0.6 · 2
/// let x_0 = apply(&last, &true_noise, &array![[2.0]], &array![[9.0]]); // the last step adds no noise
/// assert!(largest_difference(&x_0, &array![[1.0]]) < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn apply(step: &Step, prediction: &Prediction, x_t: &Array2<f64>, noise: &Array2<f64>) -> Array2<f64> {
    let mut x_previous = Zip::from(x_t).and(&prediction.eps).map_collect(|&x_t, &eps| {
        let mean = step.x_t * x_t + step.eps * eps;
        if step.x_0 == 0.0 {
            return mean; // where ᾱ_t underflows, x̂_0 is infinite
        }
        mean + step.x_0 * step.predicted_x_0(x_t, eps)
    });
    match &prediction.variance {
        Some(variance) if step.noise > 0.0 => x_previous += &(variance.sqrt() * noise),
        _ => x_previous.scaled_add(step.noise, noise),
    }
    x_previous
}
// ANCHOR_END: apply

// ANCHOR: SamplerStep
/// What [`sample`] needs of a step: when the denoiser is called, and how its prediction moves x_t.
pub trait SamplerStep: Copy {
    /// What the step hands on to the next one beside x: nothing for a [`Step`], x̂_0 for a [`MultiStep`].
    type Memory: Default;

    /// The time t at which the denoiser is called.
    fn t(&self) -> usize;

    /// x_{t−1} from x_t of shape (N, D), the prediction there and z = `noise`.
    fn advance(
        &self,
        prediction: &Prediction,
        x_t: &Array2<f64>,
        noise: &Array2<f64>,
        memory: &mut Self::Memory,
    ) -> Array2<f64>;
}
// ANCHOR_END: SamplerStep

impl SamplerStep for Step {
    type Memory = ();

    fn t(&self) -> usize {
        self.t
    }

    fn advance(
        &self,
        prediction: &Prediction,
        x_t: &Array2<f64>,
        noise: &Array2<f64>,
        _: &mut (),
    ) -> Array2<f64> {
        apply(self, prediction, x_t, noise)
    }
}

// ANCHOR: sample
/// Runs a sampler from `x` = x_T ~ N(0, I) of shape (N, D) down to x_0, with one call of the denoiser per step.
///
/// Source: Ho et al. 2020, Algorithm 2.
///
/// `on_step` is called with every (t, x_t) on the way, x_T and x_0 included.
///
/// # Example
/// ```
/// use ddpm::{metrics::largest_difference, reverse::FixedVariance, schedule::Schedule};
/// use ddpm::sampler::{OracleDenoiser, ancestral, sample};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, x_0) = (Schedule::linear(1000, 1e-4, 0.02)?, array![[1.0, -2.0]]);
/// let (denoiser, x_t) = (OracleDenoiser { schedule: &schedule, x_0: &x_0 }, array![[0.3, 0.4]]); // the true noise
/// let steps = ancestral(&schedule, FixedVariance::Beta, None);
/// let drawn = sample(&steps, &denoiser, x_t, &mut StdRng::seed_from_u64(1), |_, _| ());
/// assert!(largest_difference(&drawn, &x_0) < 1e-9);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn sample<S: SamplerStep>(
    steps: &[S],
    denoiser: &impl Denoiser,
    mut x: Array2<f64>,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(usize, &Array2<f64>),
) -> Array2<f64> {
    let mut memory = S::Memory::default();
    for step in steps {
        on_step(step.t(), &x);
        let prediction = denoiser.predict(x.view(), step.t() as f64);
        let noise = standard_normal(x.nrows(), x.ncols(), rng);
        x = step.advance(&prediction, &x, &noise, &mut memory);
    }
    on_step(0, &x);
    x
}
// ANCHOR_END: sample

/// How much x_0 depends on the generator: the largest change between two runs from one `x_t`, with other seeds.
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, sampler::{ddim, seed_dependence}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, data) = (Schedule::linear(1000, 1e-4, 0.02)?, GaussianData { mean: array![0.0], variance: 1.0 });
/// let exact = ExactDenoiser::new(&schedule, &data);
/// let [without, with] = [0.0, 1.0].map(|eta| seed_dependence(&ddim(&schedule, &[900, 500], eta, None), &exact, &array![[1.0]]));
/// assert!(without == 0.0 && with > 0.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn seed_dependence<S: SamplerStep>(steps: &[S], denoiser: &impl Denoiser, x_t: &Array2<f64>) -> f64 {
    let run = |seed| sample(steps, denoiser, x_t.clone(), &mut StdRng::seed_from_u64(seed), |_, _| ());
    largest_difference(&run(1), &run(2))
}
