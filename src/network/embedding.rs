//! A number as a row of sines and cosines, so that a small network separates near values.

use super::Float;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

// ANCHOR: frequencies
/// The angular frequencies of an embedding, from 1 down to 1/10000 in a geometric sequence.
///
/// # Formula
/// ```text
/// ω_k = exp(−k ln 10000 / (half − 1)),   k = 0 … half − 1
/// ```
///
/// # Example
/// ```
/// use ddpm::network::embedding::frequencies;
///
/// let [first, middle, last]: [f64; 3] = frequencies(3).try_into().unwrap();
/// assert!(first == 1.0 && (middle - 0.01).abs() < 1e-12 && (last - 1e-4).abs() < 1e-12);
/// ```
///
/// # Panics
/// If `half` < 2: one frequency makes no sequence.
#[track_caller]
pub fn frequencies<F: Float>(half: usize) -> Vec<F> {
    assert!(
        half >= 2,
        "an embedding needs at least two frequencies, so a size of at least 4; half is {half}"
    );
    let rate = -10_000_f64.ln() / (half - 1) as f64;
    (0..half).map(|k| F::of((rate * k as f64).exp())).collect()
}
// ANCHOR_END: frequencies

// ANCHOR: sinusoidal_embedding
/// The sinusoidal embedding of each value: all its sines, then all its cosines.
///
/// Source: Vaswani et al. 2017, §3.5, for positions in a sentence.
///
/// The angles are `scale` times the value times each of the [`frequencies`]. `values` is (N), the result (N, `size`).
///
/// Vaswani et al. interleave sines and cosines and divide by half where this divides by half − 1, so their lowest
/// frequency lies above 1/10000. This is the arrangement of Ho et al.'s code and of tiny-diffusion. Ho et al. embed
/// only t, with s = 1; tiny-diffusion embeds the coordinates of a point too, with s = 25, since points lie within a
/// few units where times lie within 1000.
///
/// # Formula
/// ```text
/// e(v) = (sin(s v ω_0), …, sin(s v ω_{half−1}), cos(s v ω_0), …, cos(s v ω_{half−1}))
/// ```
///
/// where s is `scale`, half is `size`/2 and ω_k are the [`frequencies`].
///
/// # Example
/// ```
/// use ddpm::network::sinusoidal_embedding;
/// use ndarray::array;
///
/// let row = sinusoidal_embedding(array![0.0_f64].view(), 25.0, 4);
/// assert_eq!(row, array![[0.0, 0.0, 1.0, 1.0]]);
/// ```
///
/// # Panics
/// If `size` is odd or less than 4.
#[track_caller]
pub fn sinusoidal_embedding<F: Float>(values: ArrayView1<F>, scale: F, size: usize) -> Array2<F> {
    assert!(size.is_multiple_of(2), "an embedding has as many sines as cosines; its size {size} is odd");
    let frequencies = frequencies(size / 2);
    let mut embedding = Array2::zeros((values.len(), size)); // (N, size)
    for (&value, mut row) in values.iter().zip(embedding.rows_mut()) {
        let row = row.as_slice_mut().expect("the rows of a new array are contiguous");
        write_embedding(scale * value, &frequencies, row);
    }
    embedding
}
// ANCHOR_END: sinusoidal_embedding

// ANCHOR: write_embedding
/// Writes one row of an embedding: the sines of `angle` ω_k, then the cosines.
pub fn write_embedding<F: Float>(angle: F, frequencies: &[F], row: &mut [F]) {
    let (sines, cosines) = row.split_at_mut(frequencies.len());
    F::sines_and_cosines(angle, frequencies, sines, cosines);
}
// ANCHOR_END: write_embedding

// ANCHOR: sinusoidal_embedding_backward
/// The gradient of [`sinusoidal_embedding`], ∂L/∂v, from G = ∂L/∂e.
///
/// ```text
/// ∂L/∂v_n = s Σ_k ω_k (G^sin_{nk} cos(s v_n ω_k) − G^cos_{nk} sin(s v_n ω_k))
/// ```
///
/// where `embedding` e, (N, size), is what the forward function returned (its two halves are the sines and cosines
/// needed here), `grad_output` G is (N, size) and the result is (N).
///
/// # Panics
///
/// If the shapes differ, or the size is odd or less than 4.
#[track_caller]
pub fn sinusoidal_embedding_backward<F: Float>(
    embedding: ArrayView2<F>,
    scale: F,
    grad_output: ArrayView2<F>,
) -> Array1<F> {
    assert_eq!(embedding.dim(), grad_output.dim(), "an embedding and its gradient have one shape");
    let half = embedding.ncols() / 2;
    let omega = Array1::from(frequencies::<F>(half)) * scale;
    let (sines, cosines) = embedding.split_at(Axis(1), half);
    let (grad_sines, grad_cosines) = grad_output.split_at(Axis(1), half);
    (&grad_sines * &cosines - &grad_cosines * &sines).dot(&omega) // (N)
}
// ANCHOR_END: sinusoidal_embedding_backward
