//! What the network needs of its numbers: `f64` to check gradients, `f32` to train.
//!
//! The `f32` functions are written without branches or tables, so that the compiler turns a loop over them into
//! vector instructions on every processor. Their errors are absolute and stated; `f64` goes to [`libm`] and the
//! standard library.

use super::vectors;
use ndarray::NdFloat;
use safetensors::Dtype;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_PI, LOG2_E};
use std::f64::consts::{FRAC_PI_2, LN_2, PI};

/// A float the network can be built of: `f32` or `f64`.
pub trait Float: NdFloat + sealed::Sealed {
    /// Its name in weight files.
    const DTYPE: Dtype;

    /// The nearest value to `value`.
    fn of(value: f64) -> Self;

    /// The value as `f64`, exactly.
    fn as_f64(self) -> f64;

    /// The standard normal distribution at x: (Φ(x), φ(x)), its cumulative distribution function and its density.
    ///
    /// `f64`: to a few units in the last place. `f32`: |error| ≤ 3e-7 in Φ, ≤ 1e-7 in φ.
    fn normal(self) -> (Self, Self);

    /// Writes sin(`angle` ω_k) and cos(`angle` ω_k) for every frequency 0 ≤ ω_k ≤ 1.
    ///
    /// `f32`: |error| ≤ 2e-7, given the product `angle` ω_k as rounded.
    fn sines_and_cosines(angle: Self, frequencies: &[Self], sines: &mut [Self], cosines: &mut [Self]);

    /// Reads the value from little-endian bytes, as many as it has.
    #[doc(hidden)]
    fn from_le_slice(bytes: &[u8]) -> Option<Self>;

    /// Appends the value's little-endian bytes.
    #[doc(hidden)]
    fn extend_le(self, bytes: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Float for f64 {
    const DTYPE: Dtype = Dtype::F64;

    fn of(value: f64) -> Self {
        value
    }

    fn as_f64(self) -> f64 {
        self
    }

    fn normal(self) -> (Self, Self) {
        let cdf = 0.5 * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2);
        let pdf = (-0.5 * self * self).exp() / (2.0 * PI).sqrt();
        (cdf, pdf)
    }

    fn sines_and_cosines(angle: Self, frequencies: &[Self], sines: &mut [Self], cosines: &mut [Self]) {
        for ((&omega, sine), cosine) in frequencies.iter().zip(sines).zip(cosines) {
            (*sine, *cosine) = (angle * omega).sin_cos();
        }
    }

    fn from_le_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.try_into().ok()?))
    }

    fn extend_le(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Float for f32 {
    const DTYPE: Dtype = Dtype::F32;

    #[inline]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline]
    fn normal(self) -> (Self, Self) {
        normal_f32(self)
    }

    #[inline]
    fn sines_and_cosines(angle: Self, frequencies: &[Self], sines: &mut [Self], cosines: &mut [Self]) {
        if angle.abs() <= LARGEST_REDUCIBLE_ANGLE {
            vectors::sines_and_cosines(angle, frequencies, sines, cosines);
        } else {
            for ((&omega, sine), cosine) in frequencies.iter().zip(sines).zip(cosines) {
                (*sine, *cosine) = (angle * omega).sin_cos();
            }
        }
    }

    fn from_le_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.try_into().ok()?))
    }

    fn extend_le(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// 1.5 · 2²³: added to a float of at most 2²² in magnitude, it leaves the nearest integer in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// Φ(x) and φ(x) with one exponential.
///
/// Source: Abramowitz & Stegun 1964, 7.1.26 (Hastings): erfc(z) = (a_1 u + … + a_5 u⁵) e^{−z²} + ϵ with
/// u = 1 / (1 + p z), z ≥ 0, |ϵ| ≤ 1.5e-7. Here z = |x|/√2, so that e^{−z²} is also the density's, and Φ(−|x|) is half
/// of erfc(z).
#[inline(always)]
fn normal_f32(x: f32) -> (f32, f32) {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [0.254_829_6, -0.284_496_72, 1.421_413_8, -1.453_152_1, 1.061_405_4];
    const DENSITY_AT_0: f32 = 0.398_942_3; // 1/√(2π)

    let exponential = exp_of_minus_half_square(x);
    let u = 1.0 / (1.0 + P * FRAC_1_SQRT_2 * x.abs());
    let series = A[0] + u * (A[1] + u * (A[2] + u * (A[3] + u * A[4])));
    let tail = 0.5 * u * exponential * series;
    let cdf = if x < 0.0 { tail } else { 1.0 - tail };
    (cdf, DENSITY_AT_0 * exponential)
}

/// e^{−x²/2}, to 2e-7; from |x| = 13.2 on it stays at 2⁻¹²⁶.
///
/// −½ x² log₂ e = n + f with n whole and |f| ≤ ½. Taylor's series of 2^f = e^{f ln 2} to the sixth power leaves
/// (½ ln 2)⁷ / 7! ≤ 1.3e-7, to be multiplied by 2ⁿ ≤ 1.
#[inline(always)]
fn exp_of_minus_half_square(x: f32) -> f32 {
    const C: [f32; 7] = taylor_of_power_of_2();

    let power = x * x * (-0.5 * LOG2_E);
    let power = if power > -126.0 { power } else { -126.0 };
    let shifted = power + ROUND;
    let f = power - (shifted - ROUND);
    let series = C[0] + f * (C[1] + f * (C[2] + f * (C[3] + f * (C[4] + f * (C[5] + f * C[6])))));
    // n stands in the lowest bits of `shifted`; a float's exponent field, from bit 23 on, holds n + 127.
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    series * two_to_n
}

/// (ln 2)^k / k!
const fn taylor_of_power_of_2() -> [f32; 7] {
    let mut coefficients = [1.0; 7];
    let mut term = 1.0;
    let mut k = 1;
    while k < 7 {
        term *= LN_2 / k as f64;
        coefficients[k] = term as f32;
        k += 1;
    }
    coefficients
}

/// Up to here j · (the parts of π/2) is exact for every multiple j that [`sin_cos_f32`] subtracts.
const LARGEST_REDUCIBLE_ANGLE: f32 = 8192.0;

/// (sin a, cos a) for |a| ≤ 8192.
///
/// a = j π/2 + r with |r| ≤ π/4, π/2 subtracted in three parts (Cody & Waite 1980); Taylor's series to r⁹ and r⁸ leave
/// r¹¹/11! ≤ 2e-9 and r¹⁰/10! ≤ 3e-8; the quadrant j mod 4 then swaps and signs them.
#[inline(always)]
pub(super) fn sin_cos_f32(a: f32) -> (f32, f32) {
    const HIGH: f32 = 201.0 / 128.0; // 8 bits
    const MIDDLE: f32 = 2029.0 / 4_194_304.0; // 11 bits
    const LOW: f32 = (FRAC_PI_2 - 201.0 / 128.0 - 2029.0 / 4_194_304.0) as f32;

    let shifted = a * FRAC_2_PI + ROUND;
    let j = shifted - ROUND;
    let r = a - j * HIGH - j * MIDDLE - j * LOW;
    let s = r * r;
    let sine = r * (1.0 + s * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362_880.0)))));
    let cosine = 1.0 + s * (-1.0 / 2.0 + s * (1.0 / 24.0 + s * (-1.0 / 720.0 + s * (1.0 / 40_320.0))));

    let quadrant = shifted.to_bits();
    let (sine, cosine) = if quadrant & 1 == 0 { (sine, cosine) } else { (cosine, sine) };
    let sine_sign = (quadrant & 2) << 30;
    let cosine_sign = (quadrant.wrapping_add(1) & 2) << 30;
    (f32::from_bits(sine.to_bits() ^ sine_sign), f32::from_bits(cosine.to_bits() ^ cosine_sign))
}
