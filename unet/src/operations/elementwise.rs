//! Loops over numbers, compiled for the widest registers of the processor they run on.

use super::Activation;

/// Runs a loop in the variant for this processor. What `work` calls must be inlined into it.
#[inline(always)]
pub fn simd<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// eˣ to 2 units in the last place, in operations that a compiler can do on many numbers at once; x beyond ±87 counts as ±87.
///
/// eˣ = 2ⁿ eʳ with n the integer next to x/ln 2, and eʳ by a polynomial.
///
/// Source of the constants: Moshier, Cephes library, `expf.c`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const TO_INTEGER: f32 = 12_582_912.0; // 1.5 · 2²³: what is added to it loses its fraction
    let x = x.clamp(-87.0, 87.0);
    let shifted = x * std::f32::consts::LOG2_E + TO_INTEGER;
    let n = shifted - TO_INTEGER;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = p * r + coefficient;
    }
    let p = p * r * r + r + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23)) // times 2ⁿ
}

/// 1/(1 + e⁻ᵛ).
#[inline(always)]
pub fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + exp(-v))
}

impl Activation {
    /// The activation of v.
    #[inline(always)]
    pub fn of(self, v: f32) -> f32 {
        match self {
            Self::Identity => v,
            Self::Silu => v * sigmoid(v),
        }
    }

    /// Its derivative at v; that of SiLU is σ(v)(1 + v(1 − σ(v))).
    #[inline(always)]
    pub fn derivative(self, v: f32) -> f32 {
        match self {
            Self::Identity => 1.0,
            Self::Silu => {
                let s = sigmoid(v);
                s * (1.0 + v * (1.0 - s))
            }
        }
    }
}

/// Adds to `sums`_c the numbers of every pixel's channel c, four pixels at a time, as their order is fixed anyway.
pub fn add_over_pixels(sums: &mut [f32], pixels: &[f32]) {
    simd(
        #[inline(always)]
        || add_by_fours(sums, pixels),
    );
}

#[inline(always)]
fn add_by_fours(sums: &mut [f32], pixels: &[f32]) {
    let c = sums.len();
    let fours = pixels.chunks_exact(4 * c);
    let rest = fours.remainder();
    for four in fours {
        let (ab, cd) = four.split_at(2 * c);
        let ((a, b), (c, d)) = (ab.split_at(c), cd.split_at(c));
        for (sum, (((a, b), c), d)) in sums.iter_mut().zip(a.iter().zip(b).zip(c).zip(d)) {
            *sum += (a + b) + (c + d);
        }
    }
    for pixel in rest.chunks_exact(c) {
        sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
    }
}

/// Folds numbers in sixteen strands, then the strands: an order that suits wide registers, and is always the same.
#[inline(always)]
pub fn fold(numbers: &[f32], start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = numbers.as_chunks::<16>();
    let mut strands = [start; 16];
    for chunk in chunks {
        strands.iter_mut().zip(chunk).for_each(|(strand, number)| *strand = f(*strand, *number));
    }
    strands.iter_mut().zip(rest).for_each(|(strand, number)| *strand = f(*strand, *number));
    strands.into_iter().fold(start, f)
}

/// Σ a b, in the order of [`fold`].
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut strands = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        strands.iter_mut().zip(a.iter().zip(b)).for_each(|(strand, (a, b))| *strand += a * b);
    }
    strands.iter_mut().zip(a_rest.iter().zip(b_rest)).for_each(|(strand, (a, b))| *strand += a * b);
    strands.iter().sum()
}

/// Adds numbers to sums.
pub fn add(sums: &mut [f32], numbers: &[f32]) {
    sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
}

/// Adds a vector to every pixel.
pub fn add_to_pixels(pixels: &mut [f32], vector: &[f32]) {
    simd(
        #[inline(always)]
        || pixels.chunks_exact_mut(vector.len()).for_each(|pixel| add_inlined(pixel, vector)),
    );
}

/// Adds numbers, and a vector to every pixel.
pub fn add_with_vector(pixels: &mut [f32], numbers: &[f32], vector: &[f32]) {
    simd(
        #[inline(always)]
        || {
            for (pixel, numbers) in
                pixels.chunks_exact_mut(vector.len()).zip(numbers.chunks_exact(vector.len()))
            {
                let sums = pixel.iter_mut().zip(vector).zip(numbers);
                sums.for_each(|((sum, vector), number)| *sum = *sum + vector + number);
            }
        },
    );
}

#[inline(always)]
fn add_inlined(sums: &mut [f32], numbers: &[f32]) {
    sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
}
