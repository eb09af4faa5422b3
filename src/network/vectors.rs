//! The two sweeps over floats that take most of the time beside the matrix products, with the widest vectors at hand.
//!
//! A program is compiled for the oldest processor of its kind, whose vectors hold four `f32`; newer ones hold eight or sixteen. Here
//! each loop is compiled for every width, and the processor's own is chosen when the program runs. The arithmetic is the
//! same in all of them, to the last bit: no product and sum are contracted into one rounding.

use super::{
    Float,
    float::sin_cos_f32,
    layers::{gelu, gelu_derivative},
};
use pulp::{Arch, Simd, WithSimd};

/// h = skip + GELU(z + b) for every row, and with `KEEP` z ← GELU′(z + b).
///
/// `z`, `hidden` h and `skip` are (rows, H), one row after the other, and `bias` b is (H).
pub(super) fn activate<F: Float, const KEEP: bool>(
    z: &mut [F],
    hidden: &mut [F],
    skip: Option<&[F]>,
    bias: &[F],
) {
    match skip {
        Some(skip) => hidden.copy_from_slice(skip),
        None => hidden.fill(F::zero()),
    }
    Arch::new().dispatch(Activation::<F, KEEP> { z, hidden, bias });
}

struct Activation<'a, F, const KEEP: bool> {
    z: &'a mut [F],
    hidden: &'a mut [F],
    bias: &'a [F],
}

impl<F: Float, const KEEP: bool> WithSimd for Activation<'_, F, KEEP> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.bias.len();
        for (z, hidden) in self.z.chunks_exact_mut(width).zip(self.hidden.chunks_exact_mut(width)) {
            for ((z, hidden), &bias) in z.iter_mut().zip(hidden).zip(self.bias) {
                let sum = *z + bias;
                *hidden += gelu(sum);
                if KEEP {
                    *z = gelu_derivative(sum);
                }
            }
        }
    }
}

/// Writes sin(`angle` ω_k) and cos(`angle` ω_k) for every frequency ω_k; |`angle`| ≤ 8192.
pub(super) fn sines_and_cosines(angle: f32, frequencies: &[f32], sines: &mut [f32], cosines: &mut [f32]) {
    Arch::new().dispatch(Rotations { angle, frequencies, sines, cosines });
}

struct Rotations<'a> {
    angle: f32,
    frequencies: &'a [f32],
    sines: &'a mut [f32],
    cosines: &'a mut [f32],
}

impl WithSimd for Rotations<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((&omega, sine), cosine) in self.frequencies.iter().zip(self.sines).zip(self.cosines) {
            (*sine, *cosine) = sin_cos_f32(self.angle * omega);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Scalar;

    /// 1003 numbers in [−9, 9], so that a last vector is not full.
    fn numbers(start: f32) -> Vec<f32> {
        (0..1003).map(|i| (start + 0.37 * i as f32).sin() * 9.0).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn the_widest_vectors_give_the_bits_of_one_number_at_a_time() {
        let (skip, bias) = (numbers(1.0), numbers(2.0)[..17].to_vec());
        let layer = |wide: bool| {
            let (mut z, mut hidden) = (numbers(0.0), skip.clone());
            let activation = Activation::<f32, true> { z: &mut z, hidden: &mut hidden, bias: &bias };
            if wide {
                Arch::new().dispatch(activation)
            } else {
                Scalar::new().vectorize(activation)
            }
            (bits(&z), bits(&hidden))
        };
        assert_eq!(layer(true), layer(false));

        let frequencies = numbers(3.0);
        let embedding = |wide: bool| {
            let (mut sines, mut cosines) = (vec![0.0; 1003], vec![0.0; 1003]);
            let rotations = Rotations {
                angle: 311.7,
                frequencies: &frequencies,
                sines: &mut sines,
                cosines: &mut cosines,
            };
            if wide {
                Arch::new().dispatch(rotations)
            } else {
                Scalar::new().vectorize(rotations)
            }
            (bits(&sines), bits(&cosines))
        };
        assert_eq!(embedding(true), embedding(false));
    }
}
