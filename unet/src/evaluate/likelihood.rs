//! The bound on images, with the formulas of Part I: one call of the network for each t serves all rules.

use super::{PIXELS, images, progressive::rmse_in_levels, rows};
use crate::{Result, denoiser::ImageDenoiser};
use candle_core::Device;
use ddpm::{
    bound::{
        bits_per_dim, decoding_error, denoising_term, discretized_reconstruction_term, prior_term,
        progressive_rates,
    },
    denoiser::Prediction,
    forward::{diffuse, standard_normal},
    metrics::{mean, standard_error},
    reverse::{FixedVariance, ReverseProcess},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, Axis, s};
use ndarray_rand::rand::Rng;
use std::{fmt, ops::RangeInclusive};

// ANCHOR: predict_rows
/// An image network's prediction at `x_t` of shape (N, H·W·C), as Part I takes it: rows of H·W·C doubles.
///
/// One call serves any number of [`ReverseProcess`]es: the bound under several variances costs as much as under one.
///
/// # Errors
/// Those of the denoiser.
pub fn predict_rows(
    denoiser: &impl ImageDenoiser,
    x_t: &Array2<f64>,
    t: usize,
    device: &Device,
) -> Result<Prediction> {
    let eps = rows(&denoiser.predict(&images(x_t, denoiser.shape(), device)?, t as f64)?)?; // (N, H·W·C)
    Ok(Prediction { eps, variance: None })
}
// ANCHOR_END: predict_rows

/// How a predicted noise becomes p_θ(x_{t−1} | x_t).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// The variance σ_t².
    pub variance: FixedVariance,
    /// Clips x̂_0 to [−c, c].
    pub clip: Option<f64>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.variance {
            FixedVariance::Beta => "σ² = β",
            FixedVariance::Posterior => "σ² = β̃",
        })?;
        f.write_str(if self.clip.is_some() { ", x̂_0 clipped" } else { "" })
    }
}

// ANCHOR: strata
/// Cuts t = 2 … T into at most `count` runs, short where t is small: the term at one t of a run stands for all its t.
///
/// Run r of n begins at 2 + max(r, ⌊(T − 1) (r/n)²⌋). The terms at small t are the largest and differ most from one t to the
/// next, so there each t has a run of its own.
///
/// # Example
/// ```
/// use ddpm_unet::evaluate::likelihood::strata;
///
/// assert_eq!(strata(101, 4), [2..=7, 8..=26, 27..=57, 58..=101]); // 100/16, 400/16 and 900/16, rounded down
/// ```
///
/// # Panics
/// If `count` is 0, or T < 2.
#[track_caller]
pub fn strata(steps: usize, count: usize) -> Vec<RangeInclusive<usize>> {
    assert!(count > 0 && steps >= 2, "{count} runs of t = 2 … {steps}");
    let count = count.min(steps - 1);
    let start = |run: usize| 2 + run.max((steps - 1) * run * run / (count * count));
    (0..count).map(|run| start(run)..=start(run + 1) - 1).collect()
}
// ANCHOR_END: strata

/// The terms of the bound for N images, measured at a random t of each stratum.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The rule that they hold for.
    pub rule: Rule,
    /// L_T of each image, in nats: (N).
    pub prior: Array1<f64>,
    /// L_{t−1} of each image at its t of each stratum, in nats: (N, strata).
    pub denoising: Array2<f64>,
    /// L_0 of each image, in nats: (N).
    pub reconstruction: Array1<f64>,
    /// The mean squared error of x̂_0 over the numbers of each image, at the t of each stratum: (N, strata).
    pub distortion: Array2<f64>,
    /// The same at t = 1: (N).
    pub last_distortion: Array1<f64>,
    /// The strata: [`strata`].
    pub strata: Vec<RangeInclusive<usize>>,
    /// How many images share their t: [`Terms::total`] has independent means over as many.
    pub group: usize,
    /// The numbers of an image, D = H·W·C.
    pub dimension: usize,
}

/// How the bound is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The number of strata of t = 2 … T.
    pub strata: usize,
    /// How many images share their t.
    pub group: usize,
}

/// Measures the bound on images `x_0`, of shape (N, H·W·C), for each of `rules`.
///
/// Each group of images draws its own t, one in each stratum: so group means are independent, and their scatter is the whole
/// Monte Carlo error, that of t included. `on_step` is called after every call of the denoiser.
///
/// # Errors
/// Those of the denoiser.
///
/// # Panics
/// If there are no images, or the groups have none.
#[track_caller]
pub fn measure(
    denoiser: &impl ImageDenoiser,
    schedule: &Schedule,
    x_0: &Array2<f64>,
    rules: &[Rule],
    plan: Plan,
    device: &Device,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(),
) -> Result<Vec<Terms>> {
    assert!(x_0.nrows() > 0 && plan.group > 0, "{} images in groups of {}", x_0.nrows(), plan.group);
    let (count, dimension) = x_0.dim();
    let strata = strata(schedule.steps(), plan.strata);
    let empty = |rule: &Rule| Terms {
        rule: *rule,
        prior: prior_term(schedule, x_0),
        denoising: Array2::zeros((count, strata.len())),
        reconstruction: Array1::zeros(count),
        distortion: Array2::zeros((count, strata.len())),
        last_distortion: Array1::zeros(count),
        strata: strata.clone(),
        group: plan.group,
        dimension,
    };
    let mut all: Vec<Terms> = rules.iter().map(empty).collect();
    for start in (0..count).step_by(plan.group) {
        let images = start..count.min(start + plan.group);
        let x_0 = x_0.slice(s![images.clone(), ..]).to_owned();
        let runs = [1..=1].into_iter().chain(strata.iter().cloned());
        for (place, run) in runs.enumerate() {
            let t = rng.random_range(run);
            let noise = standard_normal(x_0.nrows(), dimension, rng);
            let x_t = diffuse(&x_0, schedule.alpha_bar(t), &noise);
            let prediction = predict_rows(denoiser, &x_t, t, device)?;
            for terms in &mut all {
                let Rule { variance, clip } = terms.rule;
                let process = ReverseProcess { schedule, variance, clip };
                let error = decoding_error(&process, &prediction, &x_0, &x_t, t);
                if t == 1 {
                    let term = discretized_reconstruction_term(&process, &prediction, &x_0, &x_t, PIXELS);
                    terms.reconstruction.slice_mut(s![images.clone()]).assign(&term);
                    terms.last_distortion.slice_mut(s![images.clone()]).assign(&error);
                } else {
                    let term = denoising_term(&process, &prediction, &x_0, &x_t, t);
                    terms.denoising.slice_mut(s![images.clone(), place - 1]).assign(&term);
                    terms.distortion.slice_mut(s![images.clone(), place - 1]).assign(&error);
                }
            }
            on_step();
        }
    }
    Ok(all)
}

// ANCHOR: stratified_sum
/// The sum of all L_{t−1}, t = 2 … T, of each image, from one in each stratum: that one counts for every t of its stratum.
///
/// With t uniform in its stratum, the sum is without bias. Shapes: (N, strata) to (N).
///
/// # Formula
/// Σ_{t=2}^{T} L_{t−1} ≈ Σ_r (number of t in run r) · (L of run r)
///
/// # Example
/// ```
/// use ddpm_unet::evaluate::likelihood::stratified_sum;
/// use ndarray::array;
///
/// assert_eq!(stratified_sum(&array![[5.0, 0.5]], &[2..=3, 4..=9]), array![13.0]); // 2 · 5 + 6 · 0.5
/// ```
///
/// # Panics
/// If there is not one column for each stratum.
#[track_caller]
pub fn stratified_sum(denoising: &Array2<f64>, strata: &[RangeInclusive<usize>]) -> Array1<f64> {
    assert_eq!(denoising.ncols(), strata.len(), "one term for each stratum");
    let lengths: Array1<f64> = strata.iter().map(|run| (run.end() - run.start() + 1) as f64).collect();
    denoising.dot(&lengths)
}
// ANCHOR_END: stratified_sum

/// A mean over images and its standard error, in bits per dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bits {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
}

impl Terms {
    /// What [`row`](Self::row) holds.
    pub const COLUMNS: [&str; 5] = ["L_T", "Σ L_{t−1}", "L_0", "bound", "± "];

    /// The row of a table, in bits per dimension: the parts of the bound, the bound, and its standard error.
    pub fn row(&self) -> [f64; 5] {
        let total = self.total_bits();
        let [prior, denoising, reconstruction] = self.parts();
        [prior, denoising, reconstruction, total.mean, total.error]
    }

    /// L_t in bits per dimension as points (t + 1, L_t) for t = 0 … T − 1: what each step from t + 1 costs.
    pub fn bits_by_step(&self) -> Vec<(f64, f64)> {
        let steps = (1..).zip(self.by_step()).take(self.distortion_by_step().len());
        steps.map(|(t, nats)| (f64::from(t), bits_per_dim(nats, self.dimension))).collect()
    }

    /// Those of [`bits_by_step`](Self::bits_by_step) that are above 0, as a logarithmic axis can show them: a step whose x̂_0 is clipped to
    /// the image itself costs nothing.
    pub fn positive_bits_by_step(&self) -> Vec<(f64, f64)> {
        self.bits_by_step().into_iter().filter(|(_, bits)| *bits > 0.0).collect()
    }

    /// L_T in bits per dimension.
    pub fn prior_bits(&self) -> Bits {
        self.bits(&self.prior)
    }

    /// Σ L_{t−1} over t = 2 … T, in bits per dimension.
    pub fn denoising_bits(&self) -> Bits {
        self.bits(&stratified_sum(&self.denoising, &self.strata))
    }

    /// L_0 in bits per dimension.
    pub fn reconstruction_bits(&self) -> Bits {
        self.bits(&self.reconstruction)
    }

    /// The bound of each image, in nats: (N).
    pub fn total(&self) -> Array1<f64> {
        &self.prior + &stratified_sum(&self.denoising, &self.strata) + &self.reconstruction
    }

    /// The bound in bits per dimension.
    pub fn total_bits(&self) -> Bits {
        self.bits(&self.total())
    }

    /// The smallest L_{t−1} or L_0 of an image, in nats; no divergence and no code length is below 0.
    pub fn smallest(&self) -> f64 {
        self.denoising.iter().chain(&self.reconstruction).copied().fold(f64::INFINITY, f64::min)
    }

    /// The bound in parts: L_T, Σ L_{t−1} and L_0 in bits per dimension.
    pub fn parts(&self) -> [f64; 3] {
        [self.prior_bits(), self.denoising_bits(), self.reconstruction_bits()].map(|part| part.mean)
    }

    /// The bits per dimension that have been sent once x_t is known, for t = 0 … T: [`progressive_rates`] of
    /// [`by_step`](Self::by_step).
    pub fn rates(&self) -> Vec<f64> {
        let nats = progressive_rates(&self.by_step()).into_iter();
        nats.map(|nats| bits_per_dim(nats, self.dimension)).collect()
    }

    /// The error of x̂_0 from x_t in levels of 0 … 255, for t = 1 … T: [`rmse_in_levels`] of
    /// [`distortion_by_step`](Self::distortion_by_step).
    pub fn levels(&self) -> Vec<f64> {
        self.distortion_by_step().into_iter().map(rmse_in_levels).collect()
    }

    /// Where progressive decoding is after so many reverse steps: t, from which x̂_0 is; the bits per dimension sent; the error of
    /// x̂_0 in levels.
    ///
    /// # Panics
    /// If there are not so many steps.
    #[track_caller]
    pub fn after(&self, reverse_steps: usize) -> [f64; 3] {
        let steps = self.distortion_by_step().len();
        let t = (steps - reverse_steps + 1).min(steps);
        [t as f64, self.rates()[t], self.levels()[t - 1]]
    }

    /// [`after`](Self::after) each tenth of the reverse steps, all first, under the number of steps; a chain of fewer than ten has a row
    /// for each.
    pub fn in_tenths(&self) -> Vec<(String, [f64; 3])> {
        let all = self.distortion_by_step().len();
        let mut steps: Vec<usize> = (1..=10).rev().map(|tenth| (all * tenth / 10).max(1)).collect();
        steps.dedup();
        steps.into_iter().map(|steps| (steps.to_string(), self.after(steps))).collect()
    }

    /// L_t for t = 0 … T, the mean over images, in nats; within a stratum all are alike: (T + 1).
    pub fn by_step(&self) -> Vec<f64> {
        let of_strata = self.denoising.mean_axis(Axis(0)).expect("there are images");
        let runs = self.strata.iter().zip(of_strata);
        let denoising = runs.flat_map(|(run, term)| run.clone().map(move |_| term));
        [mean(self.reconstruction.view())]
            .into_iter()
            .chain(denoising)
            .chain([mean(self.prior.view())])
            .collect()
    }

    /// The mean squared error of x̂_0 from x_t, for t = 1 … T, the mean over images; within a stratum all are alike: (T).
    pub fn distortion_by_step(&self) -> Vec<f64> {
        let of_strata = self.distortion.mean_axis(Axis(0)).expect("there are images");
        let runs = self.strata.iter().zip(of_strata);
        let rest = runs.flat_map(|(run, error)| run.clone().map(move |_| error));
        [mean(self.last_distortion.view())].into_iter().chain(rest).collect()
    }

    /// The mean of a number of nats an image, with the scatter of group means as its error.
    fn bits(&self, nats: &Array1<f64>) -> Bits {
        let groups: Array1<f64> = nats.axis_chunks_iter(Axis(0), self.group).map(mean).collect();
        let error = if groups.len() > 1 { standard_error(groups.view()) } else { f64::NAN };
        Bits {
            mean: bits_per_dim(mean(nats.view()), self.dimension),
            error: bits_per_dim(error, self.dimension),
        }
    }
}
