//! Noises that images are drawn from: ways between two, and the noises that images become.

use super::forward::diffuse;
use crate::{Result, images::grid::strip};
use candle_core::{D, DType, Tensor};
use ddpm::schedule::Schedule;
use ddpm_page::report::Table;

// ANCHOR: slerp
/// Walks from image a to image b along a great circle: `share` = 0 is a, 1 is b. Each image of the batch goes its own way.
///
/// Source: Shoemake 1985 (slerp).
///
/// Two noises are nearly at right angles, so a straight line between them passes through images that are too short by √½, which
/// the network takes for less noisy ones. Where a and b are parallel, the line is straight. Shapes: all (B, H, W, C).
///
/// # Formula
/// x = sin((1 − λ) θ)/sin θ · a + sin(λ θ)/sin θ · b, where cos θ = ⟨a, b⟩/(‖a‖ ‖b‖) and λ is `share`
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm_unet::sample::slerp;
///
/// let image = |pixels: [f32; 2]| Tensor::from_slice(&pixels, (1, 1, 2, 1), &Device::Cpu);
/// let middle = slerp(&image([1.0, 0.0])?, &image([0.0, 1.0])?, 0.5)?.flatten_all()?.to_vec1::<f32>()?;
/// assert!(middle.iter().all(|x| (x - 0.5f32.sqrt()).abs() < 1e-6)); // at 45°, as long as both ends
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
pub fn slerp(a: &Tensor, b: &Tensor, share: f64) -> Result<Tensor> {
    let dot = |x: &Tensor, y: &Tensor| (x * y)?.flatten_from(1)?.sum(D::Minus1)?.to_vec1::<f32>(); // (B)
    let (across, of_a, of_b) = (dot(a, b)?, dot(a, a)?, dot(b, b)?);
    let factors = across.iter().zip(of_a.iter().zip(&of_b)).map(|(&across, (&a, &b))| {
        let cosine = f64::from(across) / (f64::from(a) * f64::from(b)).sqrt();
        let angle = cosine.clamp(-1.0, 1.0).acos();
        match angle.sin() {
            sine if sine > 1e-4 => (((1.0 - share) * angle).sin() / sine, (share * angle).sin() / sine),
            _ => (1.0 - share, share),
        }
    });
    let (to_a, to_b): (Vec<f64>, Vec<f64>) = factors.unzip();
    let column = |factors: Vec<f64>| {
        let factors: Vec<f32> = factors.into_iter().map(|factor| factor as f32).collect();
        Tensor::from_vec(factors, (a.dims()[0], 1, 1, 1), a.device())
    };
    Ok((a.broadcast_mul(&column(to_a)?)? + b.broadcast_mul(&column(to_b)?)?)?)
}
// ANCHOR_END: slerp

/// Walks from image a to image b along a straight line: `share` = 0 is a, 1 is b.
///
/// x = (1 − λ) a + λ b, where λ is `share`
///
/// # Errors
/// If the shapes differ.
pub fn straight(a: &Tensor, b: &Tensor, share: f64) -> Result<Tensor> {
    Ok(((a * (1.0 - share))? + (b * share)?)?)
}

/// Stays at image a, whatever the `share`: one noise for both ends of a [`mix_noised`].
///
/// # Errors
/// None.
pub fn shared(a: &Tensor, _: &Tensor, _: f64) -> Result<Tensor> {
    Ok(a.clone())
}

// ANCHOR: mix_noised
/// A mixture of two images in x_t: images mixed on a straight line, their noises in a way of their own, and both put together at t.
///
/// Source: Ho et al. 2020, section 4.4 and Figures 8 and 9, where `way` is [`straight`]: the straight line from one x_t to the other.
///
/// With [`slerp`] or [`shared`] for `way` the mixture has as much noise as an x_t; on the straight line it has only
/// (1 − λ)² + λ² of its variance. Shapes: all (B, H, W, C).
///
/// # Formula
/// x̄_t = √ᾱ_t ((1 − λ) a + λ b) + √(1 − ᾱ_t) ε, where ε = `way`(ε_a, ε_b, λ) and λ is `share`
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm::schedule::Schedule;
/// use ddpm_unet::sample::{mix_noised, straight};
///
/// let images = |value: f32| Tensor::full(value, (1, 2, 2, 1), &Device::Cpu);
/// let (ends, noises) = ([&images(1.0)?, &images(-1.0)?], [&images(2.0)?, &images(0.0)?]);
/// let x_t = mix_noised(&Schedule::linear(2, 0.36, 0.4375)?, 2, ends, noises, straight, 0.5)?; // ᾱ_2 = 0.36
/// assert!((x_t.mean_all()?.to_scalar::<f32>()? - 0.8).abs() < 1e-6); // 0.6 · 0 + 0.8 · 1
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
///
/// # Panics
/// If t lies outside of 0…T.
#[track_caller]
pub fn mix_noised(
    schedule: &Schedule,
    t: usize,
    [a, b]: [&Tensor; 2],
    [eps_a, eps_b]: [&Tensor; 2],
    way: impl Fn(&Tensor, &Tensor, f64) -> Result<Tensor>,
    share: f64,
) -> Result<Tensor> {
    diffuse(schedule, t, &straight(a, b, share)?, &way(eps_a, eps_b, share)?)
}
// ANCHOR_END: mix_noised

/// The stations of a walk from a to b as a [`strip`]: `count` of them at even shares, both ends included, a row for each image of
/// the batch. `way` is [`slerp`] or [`straight`]. Shapes: both (B, H, W, C) to (B · count, H, W, C).
///
/// # Errors
/// If the shapes differ, or there are no stations.
pub fn walk(
    way: impl Fn(&Tensor, &Tensor, f64) -> Result<Tensor>,
    a: &Tensor,
    b: &Tensor,
    count: usize,
) -> Result<Tensor> {
    let last = count.max(2) - 1;
    let stations = (0..count).map(|i| way(a, b, i as f64 / last as f64));
    strip(&stations.collect::<Result<Vec<_>>>()?)
}

/// The least share of the variance that is still the image’s where an encoding ends. With less, x̂_0 = (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t
/// divides by next to nothing, and without clipping the way back starts with an error that nothing mends.
pub const LEAST_ALPHA_BAR: f64 = 1e-3;

/// Where an encoding ends: the last t with ᾱ_t ≥ [`LEAST_ALPHA_BAR`], or 1 if there is none.
///
/// # Example
/// ```
/// use ddpm::schedule::Schedule;
/// use ddpm_unet::sample::encoding_end;
///
/// assert_eq!(encoding_end(&Schedule::linear(3, 0.89, 0.89)?), 3); // 0.11³ is 0.0013
/// assert_eq!(encoding_end(&Schedule::linear(3, 0.99, 0.99)?), 1);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn encoding_end(schedule: &Schedule) -> usize {
    (1..=schedule.steps()).rev().find(|&t| schedule.alpha_bar(t) >= LEAST_ALPHA_BAR).unwrap_or(1)
}

/// How far the encoding of images is from the standard normal noise that it should be, for images on a black ground.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatentMoments {
    /// The variance of the latent pixels on ink, where the image is above 0; 1 for noise.
    pub on_ink: f64,
    /// The variance of the latent pixels off ink, where the image is black; 1 for noise.
    pub off_ink: f64,
    /// The correlation of two neighbours off ink, beside or below one another; 0 for noise.
    pub neighbours: f64,
}

impl LatentMoments {
    /// What [`row`](Self::row) holds.
    pub const COLUMNS: [&str; 3] =
        ["variance on ink", "variance off ink", "correlation of neighbours off ink"];

    /// The row of a table.
    pub fn row(&self) -> [f64; 3] {
        [self.on_ink, self.off_ink, self.neighbours]
    }

    /// The table of several, each under its number of steps; none if a number is not finite, for the images have no ink, or nothing off it.
    pub fn table(all: Vec<(String, Self)>) -> Option<Table> {
        let finite = |moments: &Self| moments.row().iter().all(|x| x.is_finite());
        let note = "ink: pixels of the image above 0; off ink: its black pixels, −1; neighbours: beside or below one another";
        let table = Table::new("Are the encodings noise?", "steps", Self::COLUMNS).note(note);
        let are_finite = all.iter().all(|(_, moments)| finite(moments));
        are_finite.then(|| table.rows(all.into_iter().map(|(steps, moments)| (steps, moments.row()))))
    }

    /// The moments of latents of some images. NaN where there is no ink, or nothing off it.
    ///
    /// Shapes: both (B, H, W, C).
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn of(latents: &Tensor, images: &Tensor) -> Result<Self> {
        let sum = |x: Tensor| -> Result<f64> { Ok(f64::from(x.sum_all()?.to_scalar::<f32>()?)) };
        let moments = |mask: &Tensor| -> Result<(f64, f64)> {
            let count = sum(mask.clone())?;
            let mean = sum((latents * mask)?)? / count;
            Ok((mean, sum((latents.sqr()? * mask)?)? / count - mean * mean))
        };
        let (ink, black) = (images.gt(0f32)?.to_dtype(DType::F32)?, images.le(-1f32)?.to_dtype(DType::F32)?);
        let (_, on_ink) = moments(&ink)?;
        let (mean, off_ink) = moments(&black)?;
        let centred = ((latents - mean)? * &black)?;
        let (mut products, mut pairs) = (0.0, 0.0);
        for dimension in [1, 2] {
            let neighbours = |x: &Tensor| -> candle_core::Result<Tensor> {
                let count = x.dim(dimension)? - 1;
                x.narrow(dimension, 0, count)? * x.narrow(dimension, 1, count)?
            };
            products += sum(neighbours(&centred)?)?;
            pairs += sum(neighbours(&black)?)?;
        }
        Ok(LatentMoments { on_ink, off_ink, neighbours: products / pairs / off_ink })
    }
}
