//! ch15_sample_images: a sampler's step on images, and what else the chain can do.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch15_sample_images`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    Result,
    sample::{
        Known,
        forward::{diffuse, standard_normal},
    },
};
use candle_core::{D, Tensor};
use ddpm::{sampler::Step, schedule::Schedule};

/// A number of [−1, 1] as a byte: −1 is black, 1 is white, what lies outside is held at the ends.
///
/// The nearest byte, not the next lower one: so that a byte that became a number comes back as itself.
pub fn pixel(value: f32) -> u8 {
    let _ = value;
    todo!("[−1, 1] has length 2 and bytes go up to 255: scale, round, and hold between 0 and 255")
}

/// The clean image x̂_0 that a predicted noise implies, each pixel held in [−c, c] if the step clips.
///
/// Source: Ho et al. 2020, Eq. (15); the clipping is in their code only.
///
/// The step has both factors and c. Shapes: all (B, H, W, C).
///
/// # Errors
/// If the shapes differ, or the device runs out of memory.
pub fn predict_x_0(step: &Step, eps: &Tensor, x_t: &Tensor) -> Result<Tensor> {
    let _ = (step, eps, x_t);
    todo!("Eq. (15): the step has both factors, signs included; `clamp` where it has a clip")
}

/// Applies one step of a sampler to a batch: from x_t to x_{t−1}, or as far as the step goes.
///
/// Source: Ho et al. 2020, Algorithm 2, line 4.
///
/// `eps` is ε_θ, the denoiser's prediction at `x_t`, and `noise` is z ~ N(0, I). Each of the four parts has its factor in the
/// step. A part whose factor is 0 is not computed: where ᾱ_t is tiny, x̂_0 is huge, and not needed. Shapes: all (B, H, W, C).
///
/// # Errors
/// As [`predict_x_0`].
pub fn apply(step: &Step, eps: &Tensor, x_t: &Tensor, noise: &Tensor) -> Result<Tensor> {
    let _ = (step, eps, x_t, noise);
    todo!("Algorithm 2, line 4: four parts, each only where its factor is not 0")
}

/// Walks from image a to image b along a great circle: `share` = 0 is a, 1 is b. Each image of the batch goes its own way.
///
/// Source: Shoemake 1985 (slerp).
///
/// Two noises are nearly at right angles, so a straight line between them passes through images that are too short by √½, which
/// the network takes for less noisy ones. Where a and b are parallel, the line is straight. Shapes: all (B, H, W, C).
///
/// # Errors
/// If the shapes differ.
pub fn slerp(a: &Tensor, b: &Tensor, share: f64) -> Result<Tensor> {
    let _ = (a, b, share);
    todo!("Shoemake's formula with an angle for each image; mind sin θ = 0")
}

/// Puts the known pixels, noised as far as t, in their places.
///
/// Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), App. I.2; Lugmayr et al. 2022 (RePaint),
/// Eq. (8).
///
/// Where the mask is 0, x_t stays as it is. At t = 0 the known pixels are exact. `noise` is ε ~ N(0, I).
///
/// Shapes: all (B, H, W, C).
///
/// # Errors
/// If the shapes differ.
///
/// # Panics
/// If t lies outside of 0…T.
#[track_caller]
pub fn replace_known(
    schedule: &Schedule,
    t: usize,
    x_t: &Tensor,
    known: &Known,
    noise: &Tensor,
) -> Result<Tensor> {
    let _ = (schedule, t, x_t, known, noise);
    todo!("RePaint, Eq. (8): `diffuse` the known image to t, then let the mask choose between the two")
}
