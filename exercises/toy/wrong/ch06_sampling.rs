//! Slips in the sampler.

use super::slip;
use crate::{
    denoiser::{Denoiser, Prediction},
    forward::standard_normal,
    gaussian::DiagonalGaussian,
    posterior::{posterior_log_variance, posterior_variance},
    reverse::{FixedVariance, fixed_variance},
    sampler::{SamplerStep, Step},
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;
use solution::{reverse, sampler};

#[track_caller]
pub fn split_mean_log_variance(output: ArrayView2<f64>) -> (Array2<f64>, Array2<f64>) {
    let (mean, log_variance) = reverse::split_mean_log_variance(output);
    match slip("split_mean_log_variance") {
        "pieces_of_size_two" => {
            let piece = |from: usize| output.slice_axis(ndarray::Axis(1), (from..from + 2).into()).to_owned();
            (piece(0), piece(2))
        }
        "halves_swapped" => (log_variance, mean),
        "variance_for_its_logarithm" => (mean, log_variance.exp()),
        "every_other_column" => {
            let every = |from: usize| Array2::from_shape_fn(mean.dim(), |(n, d)| output[(n, 2 * d + from)]);
            (every(0), every(1))
        }
        _ => (mean, log_variance),
    }
}

#[track_caller]
pub fn interpolated_variance(schedule: &Schedule, t: usize, v: &Array2<f64>) -> Array2<f64> {
    let (upper, lower) = (schedule.beta(t), posterior_log_variance(schedule, t).exp());
    match slip("interpolated_variance") {
        "straight_line_without_logarithms" => v.mapv(|v| v * upper + (1.0 - v) * lower),
        "ends_swapped" => v.mapv(|v| upper.powf(1.0 - v) * lower.powf(v)),
        "logarithm_left" => reverse::interpolated_variance(schedule, t, v).ln(),
        "zero_at_t_1" => v.mapv(|v| upper.powf(v) * posterior_variance(schedule, t).powf(1.0 - v)),
        "standard_deviation_for_variance" => reverse::interpolated_variance(schedule, t, v).sqrt(),
        _ => reverse::interpolated_variance(schedule, t, v),
    }
}

#[track_caller]
pub fn p_mean_variance(
    schedule: &Schedule,
    prediction: &Prediction,
    x_t: &Array2<f64>,
    t: usize,
    choice: FixedVariance,
    clip: Option<f64>,
) -> DiagonalGaussian {
    let right = |clip| reverse::p_mean_variance(schedule, prediction, x_t, t, choice, clip);
    let p = right(clip);
    let with = |variance: Array2<f64>| DiagonalGaussian { mean: p.mean.clone(), variance };
    match slip("p_mean_variance") {
        "mean_clipped_for_x_0" => {
            let limit = clip.unwrap_or(f64::INFINITY);
            DiagonalGaussian { mean: right(None).mean.mapv(|x| x.clamp(-limit, limit)), ..p }
        }
        "clip_forgotten" => right(None),
        "learned_variance_ignored" => {
            let unlearned = Prediction { variance: None, ..prediction.clone() };
            reverse::p_mean_variance(schedule, &unlearned, x_t, t, choice, clip)
        }
        "standard_deviation_for_variance" => with(p.variance.sqrt()),
        "log_variance_for_variance" => with(p.variance.ln()),
        "zero_at_t_1" => with(Array2::from_elem(p.mean.dim(), fixed_variance(schedule, t, choice))),
        "noise_added_for_taken_away" => {
            let turned = Prediction { eps: -&prediction.eps, ..prediction.clone() };
            reverse::p_mean_variance(schedule, &turned, x_t, t, choice, clip)
        }
        _ => p,
    }
}

#[track_caller]
pub fn ancestral_step(schedule: &Schedule, t: usize, choice: FixedVariance, clip: Option<f64>) -> Step {
    let step = sampler::ancestral_step(schedule, t, choice, clip);
    let sigma_squared = fixed_variance(schedule, t, choice);
    match slip("ancestral_step") {
        "noise_in_the_last_step" => Step { noise: sigma_squared.sqrt(), ..step },
        "variance_for_standard_deviation" => Step { noise: if t > 1 { sigma_squared } else { 0.0 }, ..step },
        "log_variance_under_the_root" => {
            Step { noise: if t > 1 { sigma_squared.ln().sqrt() } else { 0.0 }, ..step }
        }
        "choice_not_asked" => sampler::ancestral_step(schedule, t, FixedVariance::Beta, clip),
        "sign_of_the_noise" => Step { eps: -step.eps, ..step },
        "clip_forgotten" => Step { clip: None, ..step },
        "noise_taken_away_twice" => {
            Step { eps: sampler::ancestral_step(schedule, t, choice, None).eps, ..step }
        }
        _ => step,
    }
}

pub fn apply(step: &Step, prediction: &Prediction, x_t: &Array2<f64>, noise: &Array2<f64>) -> Array2<f64> {
    let with = |variance| Prediction { variance, ..prediction.clone() };
    match slip("apply") {
        "variance_for_standard_deviation" => {
            let squared = prediction.variance.as_ref().map(|v| v.mapv(|v| v * v));
            sampler::apply(step, &with(squared), x_t, noise)
        }
        "noise_wakes_in_the_last_step" => sampler::apply(
            &Step { noise: step.noise.max(f64::MIN_POSITIVE), ..*step },
            prediction,
            x_t,
            noise,
        ),
        "learned_variance_ignored" => sampler::apply(step, &with(None), x_t, noise),
        "clip_forgotten" => sampler::apply(&Step { clip: None, ..*step }, prediction, x_t, noise),
        "sign_of_the_noise" => sampler::apply(step, prediction, x_t, &-noise),
        "infinity_times_zero" => {
            let x_0 = (step.x_0_from_x_t + step.x_0_from_eps) * step.x_0;
            sampler::apply(step, prediction, x_t, noise) + 0.0 * x_0
        }
        _ => sampler::apply(step, prediction, x_t, noise),
    }
}

pub fn sample<S: SamplerStep>(
    steps: &[S],
    denoiser: &impl Denoiser,
    mut x: Array2<f64>,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(usize, &Array2<f64>),
) -> Array2<f64> {
    let shape = x.dim();
    let uniform = |rng: &mut _| Array2::from_shape_simple_fn(shape, || Rng::random::<f64>(rng));
    let mut run = |noise: &mut dyn FnMut() -> Array2<f64>, earlier: usize| {
        let mut memory = S::Memory::default();
        for step in steps {
            on_step(step.t(), &x);
            let prediction = denoiser.predict(x.view(), (step.t() - earlier) as f64);
            x = step.advance(&prediction, &x, &noise(), &mut memory);
        }
        on_step(0, &x);
        x.clone()
    };
    match slip("sample") {
        "uniform_noise" => run(&mut || uniform(rng), 0),
        "one_noise_for_all_steps" => {
            let noise = standard_normal(shape.0, shape.1, rng);
            run(&mut || noise.clone(), 0)
        }
        "t_off_by_one" => run(&mut || standard_normal(shape.0, shape.1, rng), 1),
        "last_step_left_out" => sampler::sample(&steps[..steps.len() - 1], denoiser, x, rng, on_step),
        "first_step_left_out" => sampler::sample(&steps[1..], denoiser, x, rng, on_step),
        "upwards" => {
            let upwards: Vec<S> = steps.iter().rev().copied().collect();
            sampler::sample(&upwards, denoiser, x, rng, on_step)
        }
        "noise_returned" => sampler::sample::<S>(&[], denoiser, x, rng, on_step),
        _ => sampler::sample(steps, denoiser, x, rng, on_step),
    }
}
