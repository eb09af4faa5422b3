//! Ways between two noises.

use crate::Result;
use candle_core::{D, Tensor};

// ANCHOR: spherical
/// Walks from image a to image b along a great circle: `share` = 0 is a, 1 is b. Each image of the batch goes its own way.
///
/// Source: Shoemake 1985 (slerp).
///
/// x = sin((1 − λ) θ)/sin θ · a + sin(λ θ)/sin θ · b, where cos θ = ⟨a, b⟩/(‖a‖ ‖b‖)
///
/// Two noises are nearly at right angles, so a straight line between them passes through images that are too short by √½
/// and look to the network like noise that was already taken away. Where a and b are parallel, the line is straight.
/// Shapes: all (B, H, W, C).
///
/// # Errors
/// If the shapes differ.
pub fn spherical(a: &Tensor, b: &Tensor, share: f64) -> Result<Tensor> {
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
// ANCHOR_END: spherical
