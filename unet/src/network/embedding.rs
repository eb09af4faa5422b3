//! The time, as the network sees it.

use crate::Result;
use candle_core::{Device, Tensor};

// ANCHOR: timestep_embedding
/// The sinusoidal embedding of each time.
///
/// Source: Vaswani et al. 2017, §3.5; Ho et al. 2020, Appendix B; the two switches are diffusers'.
///
/// The first half of a row are sines and the second cosines; with `flip` the cosines come first. With `shift` = 1, as in Ho et
/// al.'s code, the frequencies run from 1 to exactly 1/10000; with `shift` = 0 they stop short of it. A 0 fills the last place if
/// `size` is odd.
///
/// `times` is (B), the result (B, `size`). A time need not be whole. Code that counts time from 0, as diffusers does, embeds
/// τ = t − 1.
///
/// # Formula
/// ```text
/// e(τ) = (sin τω_0, …, sin τω_{half−1}, cos τω_0, …, cos τω_{half−1}),   ω_k = 10000^{−k/(half − shift)}
/// ```
///
/// where half is `size`/2, rounded down.
///
/// # Example
/// ```
/// use candle_core::Device;
/// use ddpm_unet::network::embedding::timestep_embedding;
///
/// let at_0 = timestep_embedding(&[0.0], 4, false, 1.0, &Device::Cpu)?; // sin 0 and cos 0
/// assert_eq!(at_0.to_vec2::<f32>()?, [[0.0, 0.0, 1.0, 1.0]]);
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the device runs out of memory.
///
/// # Panics
/// If half − shift is not positive: there would be no frequencies.
#[track_caller]
pub fn timestep_embedding(
    times: &[f64],
    size: usize,
    flip: bool,
    shift: f64,
    device: &Device,
) -> Result<Tensor> {
    let half = size / 2;
    assert!(half as f64 > shift, "half of {size}, minus {shift}, leaves no frequencies");
    let rate = -10_000_f64.ln() / (half as f64 - shift);
    let frequencies: Vec<f64> = (0..half).map(|k| (rate * k as f64).exp()).collect();
    let mut numbers = Vec::with_capacity(times.len() * size);
    for &time in times {
        let sines = frequencies.iter().map(|frequency| (time * frequency).sin() as f32);
        let cosines = frequencies.iter().map(|frequency| (time * frequency).cos() as f32);
        match flip {
            false => numbers.extend(sines.chain(cosines)),
            true => numbers.extend(cosines.chain(sines)),
        }
        numbers.resize(numbers.len() + size % 2, 0.0);
    }
    Ok(Tensor::from_vec(numbers, (times.len(), size), device)?)
}
// ANCHOR_END: timestep_embedding

/// How alike two embeddings of one even size are: the cosine of the angle between them, e(s) · e(t) over size/2 = ‖e‖².
///
/// It depends on how far s and t are apart, and on nothing else: Σ_k cos((s − t)ω_k) over size/2.
///
/// ```
/// use candle_core::Device;
/// use ddpm_unet::network::embedding::{similarity, timestep_embedding};
///
/// let rows = timestep_embedding(&[3.0, 4.0, 903.0, 904.0], 32, false, 1.0, &Device::Cpu)?.to_vec2()?;
/// assert!((similarity(&rows[0], &rows[1]) - similarity(&rows[2], &rows[3])).abs() < 1e-4);
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
pub fn similarity(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()) / (a.len() as f64 / 2.0)
}
