//! Slips in sampling images.

use super::slip;
use crate::{
    Result,
    sample::{Known, forward::diffuse},
};
use candle_core::{D, Tensor};
use ddpm::{sampler::Step, schedule::Schedule};
use solution::{images::pixels, sample};

pub fn pixel(value: f32) -> u8 {
    match slip("pixel") {
        "rounded_down" => (127.5 * (value + 1.0)).clamp(0.0, 255.0) as u8,
        "wraps_around" => (127.5 * (value + 1.0)).clamp(-1e6, 1e6).round() as i32 as u8,
        "of_256_steps" => (128.0 * (value + 1.0)).round().clamp(0.0, 255.0) as u8,
        "of_0_to_1" => (255.0 * value).round().clamp(0.0, 255.0) as u8,
        _ => pixels::pixel(value),
    }
}

pub fn predict_x_0(step: &Step, eps: &Tensor, x_t: &Tensor) -> Result<Tensor> {
    let with = |step: Step| sample::predict_x_0(&step, eps, x_t);
    match slip("predict_x_0") {
        "clip_forgotten" => with(Step { clip: None, ..*step }),
        "noise_added_for_taken_away" => with(Step { x_0_from_eps: -step.x_0_from_eps, ..*step }),
        "clipped_above_only" => {
            let x_0 = with(Step { clip: None, ..*step })?;
            Ok(x_0.minimum(step.clip.unwrap_or(f64::INFINITY) as f32)?)
        }
        "factors_swapped" => {
            with(Step { x_0_from_eps: step.x_0_from_x_t, x_0_from_x_t: step.x_0_from_eps, ..*step })
        }
        _ => with(*step),
    }
}

pub fn apply(step: &Step, eps: &Tensor, x_t: &Tensor, noise: &Tensor) -> Result<Tensor> {
    let with = |step: Step| sample::apply(&step, eps, x_t, noise);
    match slip("apply") {
        "clip_forgotten" => with(Step { clip: None, ..*step }),
        "variance_for_standard_deviation" => with(Step { noise: step.noise * step.noise, ..*step }),
        "noise_wakes_in_the_last_step" => {
            with(Step { noise: if step.noise == 0.0 { 0.1 } else { step.noise }, ..*step })
        }
        "eps_left_out" => with(Step { eps: 0.0, ..*step }),
        "x_0_left_out" => with(Step { x_0: 0.0, ..*step }),
        "x_0_computed_where_nobody_asks" => {
            Ok((sample::apply(step, eps, x_t, noise)? + (sample::predict_x_0(step, eps, x_t)? * 0.0)?)?)
        }
        "noise_times_0" => Ok((with(*step)? + (noise * 0.0)?)?),
        "sign_of_the_noise" => with(Step { noise: -step.noise, ..*step }),
        _ => with(*step),
    }
}

pub fn slerp(a: &Tensor, b: &Tensor, share: f64) -> Result<Tensor> {
    let parallel = |x: &Tensor| -> Result<Tensor> {
        let size = x.sqr()?.flatten_from(1)?.sum(D::Minus1)?.sqrt()?.reshape((x.dims()[0], 1, 1, 1))?;
        Ok(x.broadcast_div(&size)?)
    };
    match slip("slerp") {
        "straight_line" => Ok(((a * (1.0 - share))? + (b * share)?)?),
        "ends_swapped" => sample::slerp(b, a, share),
        "right_angle_whatever_the_images" => {
            let angle = share * std::f64::consts::FRAC_PI_2;
            Ok(((a * angle.cos())? + (b * angle.sin())?)?)
        }
        "one_angle_for_all_images" => {
            let (flat_a, flat_b) = (a.flatten_all()?, b.flatten_all()?);
            let as_one = |x: &Tensor| x.reshape((1, x.elem_count(), 1, 1));
            Ok(sample::slerp(&as_one(&flat_a)?, &as_one(&flat_b)?, share)?.reshape(a.dims())?)
        }
        "lengths_lost" => sample::slerp(&parallel(a)?, &parallel(b)?, share),
        "cosine_not_clamped" => {
            let dot = |x: &Tensor, y: &Tensor| (x * y)?.flatten_from(1)?.sum(D::Minus1)?.to_vec1::<f32>();
            let (products, a_squares, b_squares) = (dot(a, b)?, dot(a, a)?, dot(b, b)?);
            let squares = a_squares.iter().zip(&b_squares).map(|(a, b)| a.sqrt() * b.sqrt());
            let beyond = products.iter().zip(squares).any(|(product, size)| product / size > 1.0);
            Ok((sample::slerp(a, b, share)? * if beyond { f64::NAN } else { 1.0 })?)
        }
        "nan_where_parallel" => {
            let same = (parallel(a)? - parallel(b)?)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6;
            Ok((sample::slerp(a, b, share)? * if same { f64::NAN } else { 1.0 })?)
        }
        _ => sample::slerp(a, b, share),
    }
}

#[track_caller]
pub fn replace_known(
    schedule: &Schedule,
    t: usize,
    x_t: &Tensor,
    known: &Known,
    noise: &Tensor,
) -> Result<Tensor> {
    let with = |known: Known| sample::replace_known(schedule, t, x_t, &known, noise);
    let unknown = || known.mask.affine(-1.0, 1.0);
    match slip("replace_known") {
        "mask_inverted" => with(Known { mask: unknown()?, ..known.clone() }),
        "known_pixels_left_clean" => Ok(((&known.mask * &known.x_0)? + (unknown()? * x_t)?)?),
        "unknown_pixels_lost" => Ok((diffuse(schedule, t, &known.x_0, noise)? * &known.mask)?),
        "added_for_replaced" => Ok(((diffuse(schedule, t, &known.x_0, noise)? * &known.mask)? + x_t)?),
        "one_step_too_far" => {
            let further = (t + 1).min(schedule.steps() - 1);
            sample::replace_known(schedule, further, x_t, known, noise)
        }
        _ => with(known.clone()),
    }
}
