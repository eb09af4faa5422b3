//! The numbers that give the bugs away, on data whose exact denoiser is known.
//!
//! Each function measures what its bug's [`Measure`](super::Measure)s name, in their order, with one of the two codes.

use super::{
    Variant, comparison, first_bad_beta, flow,
    guidance::{self, LabelledNetwork, NULL, ROW, train_labelled},
    normality_scores, points, reseed_change, samples, schedules, standard_errors_off, step_audit,
    steps::{self, along},
    training::{GAMMA, Slips, fresh_network, min_snr_weight_of_v, min_snr_weights_of_x_0, train},
    unmoved_parameters,
};
use crate::{
    Result,
    baselines::modes::{ModeReport, mode_counts},
    bound::{bits_per_dim, prior_bits_per_dim},
    data::{Dataset, DatasetName, Density, GaussianMixture, Standardization},
    denoiser::{CallCounter, Denoiser, ExactDenoiser},
    forward::{TransitionKernel, diffuse, standard_normal},
    gaussian::log_density,
    metrics::{largest, largest_difference, mean},
    objective::{mean_matching, simple_loss},
    sampler::{Step, sample},
    schedule::{BETA_END, BETA_START, Schedule, linear_betas},
};
use ndarray::{Array1, Array2, array};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

/// The paper's number of steps, for schedules.
const T: usize = 1000;

/// The data and the schedule that all bugs are measured on: a ring of eight Gaussians, and a chain of 100 steps.
#[derive(Debug, Clone)]
pub struct BugFixture {
    /// The data: mean 0 and variance 1 on both axes.
    pub ring: GaussianMixture,
    /// β from 10⁻³ to 0.2.
    pub schedule: Schedule,
}

impl BugFixture {
    /// The fixture of the field guide.
    ///
    /// # Errors
    /// None: both parts are built in and within their bounds.
    pub fn new() -> Result<Self> {
        let data = Dataset::named(DatasetName::Gaussians8, "")?;
        let Density::Mixture(ring) = data.density().clone() else {
            unreachable!("the eight Gaussians are a mixture")
        };
        Ok(BugFixture { ring, schedule: Schedule::linear_scaled(100)? })
    }

    /// The same ring with points in place of blobs: standard deviation 0.01.
    pub fn sharp(&self) -> GaussianMixture {
        let variances = Array2::from_elem(self.ring.variances.dim(), 1e-4);
        GaussianMixture { variances, ..self.ring.clone() }
    }

    /// The ring as pairs of grey values in [0, 1], brought to what the network sees by [`points::grey_to_network`].
    pub fn grey(&self, variant: Variant) -> GaussianMixture {
        let into_the_square = Standardization::new(array![-1.8, -1.8], array![3.6, 3.6]); // (x + 1.8)/3.6
        self.ring.transformed(&into_the_square).transformed(&points::grey_to_network(variant))
    }

    /// Draws `count` points by the given steps and an exact denoiser of `data`, from x_T ~ N(0, I).
    pub fn draw(
        &self,
        data: &GaussianMixture,
        steps: &[Step],
        count: usize,
        rng: &mut StdRng,
    ) -> Array2<f64> {
        self.draw_by(&ExactDenoiser::new(&self.schedule, data), steps, count, rng)
    }

    /// Draws `count` points by the given steps and any denoiser, from x_T ~ N(0, I).
    pub fn draw_by(
        &self,
        denoiser: &impl Denoiser,
        steps: &[Step],
        count: usize,
        rng: &mut StdRng,
    ) -> Array2<f64> {
        sample(steps, denoiser, standard_normal(count, 2, rng), rng, |_, _| ())
    }

    /// Algorithm 2 as it should be: the steps T … 1.
    pub fn all_steps(&self) -> Vec<Step> {
        along(&self.schedule, &steps::sampled_times(self.schedule.steps(), Variant::Right))
    }
}

/// The noise: its largest score, whatever its sign.
pub(super) fn uniform_noise(_: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let noise = points::noise(10_000, 1, variant, rng);
    Ok(vec![largest(normality_scores(noise.column(0)).map(f64::abs))])
}

/// √ᾱ_T.
pub(super) fn beta_start(_: &BugFixture, variant: Variant, _: &mut StdRng) -> Result<Vec<f64>> {
    let schedule = Schedule::from_betas(schedules::linear_betas(T, variant))?;
    Ok(vec![schedule.alpha_bar(T).sqrt()])
}

/// The least loss that a denoiser can have, in the middle of the chain.
pub(super) fn loss_without_data(
    fixture: &BugFixture,
    variant: Variant,
    rng: &mut StdRng,
) -> Result<Vec<f64>> {
    let (schedule, t) = (&fixture.schedule, fixture.schedule.steps() / 4);
    let (x_0, eps) = (fixture.ring.sample(2000, rng), standard_normal(2000, 2, rng));
    let x_t = points::network_input(&x_0, schedule.alpha_bar(t), &eps, variant);
    let best = match variant {
        Variant::Right => ExactDenoiser::new(schedule, &fixture.ring).predict(x_t.view(), t as f64),
        Variant::Wrong => points::WithoutData { schedule }.predict(x_t.view(), t as f64),
    };
    Ok(vec![simple_loss(&eps, &best.eps).sum() / (2.0 * 2000.0)])
}

/// L_T in bits/dim for E[x_0²] = 1.
pub(super) fn squares_at_the_ends(_: &BugFixture, variant: Variant, _: &mut StdRng) -> Result<Vec<f64>> {
    let schedule = Schedule::from_betas(schedules::quad_betas(T, variant))?;
    Ok(vec![prior_bits_per_dim(&schedule, 1.0)])
}

/// How many β are 0.
pub(super) fn integer_division(_: &BugFixture, variant: Variant, _: &mut StdRng) -> Result<Vec<f64>> {
    let betas = schedules::cosine_betas(T, variant);
    Ok(vec![betas.iter().skip(1).filter(|&&beta| beta == 0.0).count() as f64])
}

/// How many σ_t are no positive numbers.
pub(super) fn root_of_a_logarithm(
    fixture: &BugFixture,
    variant: Variant,
    _: &mut StdRng,
) -> Result<Vec<f64>> {
    let sigma = |t: usize| steps::sigma_of_log_variance(fixture.schedule.beta(t).ln(), variant);
    let bad = (1..=fixture.schedule.steps()).filter(|&t| sigma(t).is_nan() || sigma(t) <= 0.0);
    Ok(vec![bad.count() as f64])
}

/// What another generator changes in the last step.
pub(super) fn noise_at_the_end(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let (schedule, sharp) = (&fixture.schedule, fixture.sharp());
    let x_1 = diffuse(&sharp.sample(100, rng), schedule.alpha_bar(1), &standard_normal(100, 2, rng));
    let last = &steps::by_noise_factors(schedule, variant)[schedule.steps() - 1..];
    let exact = ExactDenoiser::new(schedule, &sharp);
    Ok(vec![reseed_change(|seed| {
        sample(last, &exact, x_1.clone(), &mut StdRng::seed_from_u64(seed), |_, _| ())
    })])
}

/// How many steps are called but untrained, or never called.
pub(super) fn off_by_one(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let steps = fixture.schedule.steps();
    let trained: Vec<usize> = (0..50 * steps).map(|_| steps::draw_time(steps, variant, rng)).collect();
    let audit = step_audit(steps, &trained, &steps::sampled_times(steps, variant));
    Ok(vec![audit.untrained.len() as f64, audit.uncalled.len() as f64])
}

/// How often the denoiser is called, and how far x_0 is from x_T.
pub(super) fn empty_loop(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let counter = CallCounter::new(ExactDenoiser::new(&fixture.schedule, &fixture.ring));
    let times = steps::loop_times(fixture.schedule.steps(), variant);
    let x_t = standard_normal(10, 2, rng);
    let x_0 = sample(&along(&fixture.schedule, &times), &counter, x_t.clone(), rng, |_, _| ());
    Ok(vec![counter.calls() as f64, largest_difference(&x_0, &x_t)])
}

/// The share of parameters that a step leaves alone, and how much the output of a network depends on t.
pub(super) fn nothing_connected(
    fixture: &BugFixture,
    variant: Variant,
    rng: &mut StdRng,
) -> Result<Vec<f64>> {
    let before = fresh_network(variant, &mut rng.clone())?; // the network that `train` begins with
    let slips = Slips { optimizer: variant, time: variant, ..Slips::default() };
    let after = train(fixture, 1, slips, rng, |_| ())?;
    let unmoved = unmoved_parameters(before.parameters(), after.parameters());
    let x = standard_normal::<f32>(100, 2, rng);
    let output = |t: usize| after.forward(x.view(), &[t as f64; 100]).mapv(f64::from);
    let by_time = largest_difference(&output(1), &output(fixture.schedule.steps()));
    Ok(vec![unmoved as f64 / before.parameters().len() as f64, by_time])
}

/// How many β of 1 or more get through at T = 10, and the t of the first.
pub(super) fn beta_above_one(_: &BugFixture, variant: Variant, _: &mut StdRng) -> Result<Vec<f64>> {
    let Ok(betas) = schedules::scaled_betas(10, variant) else {
        return Ok(vec![0.0, 0.0]); // rejected, as it should be
    };
    let bad = betas.iter().filter(|&&beta| beta >= 1.0).count();
    Ok(vec![bad as f64, first_bad_beta(&betas.to_vec()).unwrap_or(0) as f64])
}

/// 1/√ᾱ_T.
pub(super) fn cosine_end(_: &BugFixture, variant: Variant, _: &mut StdRng) -> Result<Vec<f64>> {
    Ok(vec![1.0 / schedules::cosine_alpha_bars(T, variant)[T].sqrt()])
}

/// How far a KL is from its own definition, sampled; and that of a Gaussian from itself.
pub(super) fn logarithm_for_variance(_: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let ((mean_p, variance_p), (mean_q, variance_q)) = ((0.5, 0.3), (-1.0, 2.0));
    let x: Array1<f64> = mean_p + f64::sqrt(variance_p) * &standard_normal::<f64>(20_000, 1, rng).column(0);
    let draws = x.mapv(|x| log_density(x, mean_p, variance_p) - log_density(x, mean_q, variance_q));
    let formula = comparison::kl_divergence(mean_p, variance_p, mean_q, variance_q, variant);
    let to_itself = comparison::kl_divergence(mean_p, variance_p, mean_p, variance_p, variant);
    Ok(vec![standard_errors_off(formula, draws.view()), to_itself])
}

/// What a comparison finds between the β of a schedule and the same β in the reverse order.
pub(super) fn signed_sum(_: &BugFixture, variant: Variant, _: &mut StdRng) -> Result<Vec<f64>> {
    let betas: Array1<f64> = linear_betas(T, BETA_START, BETA_END).iter().skip(1).copied().collect();
    let reversed: Array1<f64> = betas.iter().rev().copied().collect();
    Ok(vec![comparison::disagreement(reversed.view(), betas.view(), variant)])
}

/// The mean of x_0 as the network sees it, and of what is drawn as grey values.
pub(super) fn grey_shift(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let data = fixture.grey(variant);
    let grey = samples::grey(fixture, variant, 300, rng);
    Ok(vec![data.mean().sum() / 2.0, grey.sum() / grey.len() as f64])
}

/// The variance of a step's noise over Σ; how many columns of a mean of three come out of the split; what is reported as a
/// variance.
pub(super) fn deviation_for_variance(
    fixture: &BugFixture,
    variant: Variant,
    _: &mut StdRng,
) -> Result<Vec<f64>> {
    let sigma_squared = fixture.schedule.beta(fixture.schedule.steps() / 2);
    let factor = steps::factor_of_variance(sigma_squared, variant);
    let (mean, _) = steps::split(Array2::zeros((1, 6)).view(), variant);
    let reported = steps::reported_variance(sigma_squared.ln(), variant);
    Ok(vec![factor.powi(2) / sigma_squared, mean.ncols() as f64, reported / sigma_squared])
}

// ANCHOR: posterior_gap
/// Eq. (8), ‖μ̃_t(x_t, x_0) − μ‖²/(2β_t), for a reverse step that is handed the true ε: summed over t, in bits/dim, a mean
/// over 200 points. Nothing but the step itself can be wrong.
pub(super) fn forward_for_posterior(
    fixture: &BugFixture,
    variant: Variant,
    rng: &mut StdRng,
) -> Result<Vec<f64>> {
    let (schedule, x_0) = (&fixture.schedule, fixture.ring.sample(200, rng));
    let gap = |t: usize| {
        let eps = standard_normal(x_0.nrows(), 2, rng);
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &eps);
        let step = steps::reverse_step(schedule, t, variant);
        let mean = step.x_t * &x_t + step.eps * &eps;
        mean_matching(schedule, t, &x_0, &x_t, &mean, schedule.beta(t)).sum() / x_0.nrows() as f64
    };
    Ok(vec![bits_per_dim((1..=schedule.steps()).map(gap).sum(), 2)])
}
// ANCHOR_END: posterior_gap

/// How often the weight on ‖x_0 − x̂_0‖² is min(SNR, γ), at the t where it is most often; the weight on v at t = T.
pub(super) fn min_snr_of_v(_: &BugFixture, variant: Variant, _: &mut StdRng) -> Result<Vec<f64>> {
    let (schedule, weights) =
        (Schedule::linear(T, BETA_START, BETA_END)?, min_snr_weights_of_x_0(T, variant));
    let snr = |t| TransitionKernel::from_start(&schedule, t).signal_to_noise().powi(2);
    let times = largest((1..=T).map(|t| weights[t] / snr(t).min(GAMMA)));
    Ok(vec![times, min_snr_weight_of_v(snr(T), GAMMA, variant)])
}

/// Mean and spread of the brightness of what is drawn, the spread over that of the data; and the SNR at t = T.
pub(super) fn signal_at_the_end(_: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let drawn = samples::brightness(variant, 2000, rng);
    let alpha_bar = schedules::scaled_linear_signal(T, variant)[T].powi(2);
    let (_, deviation) = samples::BRIGHTNESS;
    Ok(vec![mean(drawn.view()), drawn.std(1.0) / deviation, alpha_bar / (1.0 - alpha_bar)])
}

/// How many numbers of the null label’s row stay as they were, and how far the prediction without a label is from the best one.
///
/// A row that no step has moved is as random as any other: a mean over 20 of them.
pub(super) fn untrained_null(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let before = LabelledNetwork::new(&mut rng.clone())?; // the network that `train_labelled` begins with
    let mut after = train_labelled(fixture, 300, variant, rng)?;
    let [first, last] = [&before, &after].map(|network| network.table.row(NULL).to_vec());
    let unmoved = unmoved_parameters(&first, &last);
    let draws = if unmoved == ROW { 20 } else { 1 };
    let mut error = 0.0;
    for draw in 0..draws {
        if draw > 0 {
            after.table.row_mut(NULL).assign(&standard_normal(1, ROW, rng).row(0));
        }
        error += guidance::error_without_label(fixture, &after, rng) / f64::from(draws);
    }
    Ok(vec![unmoved as f64, error])
}

/// What a scale of 1 changes of the labelled prediction, which scale is at work where 3 is asked for, and what share of the points of a
/// scale of 1 the middle one of the label's three Gaussians has.
pub(super) fn scale_off_by_one(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let (schedule, t) = (&fixture.schedule, fixture.schedule.steps() / 2);
    let half = guidance::right_half(&fixture.ring);
    let x_t = diffuse(&half.sample(100, rng), schedule.alpha_bar(t), &standard_normal(100, 2, rng));
    let eps = |data| ExactDenoiser::new(schedule, data).predict(x_t.view(), t as f64).eps;
    let (labelled, unlabelled) = (eps(&half), eps(&fixture.ring));
    let guided = |scale| guidance::guided(&labelled, &unlabelled, scale, variant);
    let (away, towards) = (guided(3.0) - &unlabelled, &labelled - &unlabelled);
    let scale = (away * &towards).sum() / (&towards * &towards).sum();
    let counts = mode_counts(&half, &guidance::by_scale_1(fixture, variant, 1000, rng), 6.0);
    let share = counts[0] as f64 / counts.sum() as f64; // the first lies at angle 0
    Ok(vec![largest_difference(&guided(1.0), &labelled), scale, share])
}

/// How large a coordinate of what is drawn is, and the share of it that lies on the ring's Gaussians.
pub(super) fn sign_of_velocity(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let drawn = flow::by_sign(fixture, variant, 1000, rng);
    Ok(vec![flow::size(&drawn), ModeReport::of(&fixture.ring, &drawn, 4.0).high_quality])
}

/// The least loss that a network can have, and how large a coordinate of what the best one draws is.
pub(super) fn end_for_point(fixture: &BugFixture, variant: Variant, rng: &mut StdRng) -> Result<Vec<f64>> {
    let loss = flow::least_loss(fixture, variant, 400, rng);
    Ok(vec![loss, flow::size(&flow::by_shown_point(fixture, variant, 1000, rng))])
}
