//! Attention and its gradients, head by head. The weights are computed a second time on the way back, not kept.

use super::{
    custom_op::{Numbers, Operation},
    elementwise::{dot, exp, fold, simd},
    matrix::{Accumulate, Matrix, multiply},
};

/// See [`super::attend`].
pub struct Attend {
    /// The number of heads.
    pub heads: usize,
}

/// One head of one image: N rows of `width` numbers, each row C after the one before.
#[derive(Clone, Copy)]
struct Head {
    start: usize,
    rows: usize,
    width: usize,
    channels: usize,
}

impl Head {
    fn of<'a>(&self, numbers: &'a [f32]) -> Matrix<'a> {
        Matrix::new(&numbers[self.start..], self.rows, self.width, self.channels)
    }

    fn set(&self, factor: f32, a: Matrix, b: Matrix, numbers: &mut [f32]) {
        multiply(factor, a, b, &mut numbers[self.start..], self.channels, Accumulate::Set);
    }

    /// softmax(Q Kᵀ/√width), N×N.
    fn weights(&self, q: &[f32], k: &[f32], weights: &mut [f32]) {
        multiply(self.factor(), self.of(q), self.of(k).t(), weights, self.rows, Accumulate::Set);
        simd(
            #[inline(always)]
            || weights.chunks_exact_mut(self.rows).for_each(softmax),
        );
    }

    fn factor(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }
}

/// Replaces scores by eˢ/Σ eˢ. The largest score is taken off first, which changes nothing but keeps eˢ from overflowing.
#[inline(always)]
fn softmax(row: &mut [f32]) {
    let largest = fold(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
    row.iter_mut().for_each(|score| *score = exp(*score - largest));
    let inverse = 1.0 / fold(row, 0.0, |a, b| a + b);
    row.iter_mut().for_each(|weight| *weight *= inverse);
}

/// Replaces the gradient by the weights of a row by that by its scores: w (d − Σ w d).
#[inline(always)]
fn softmax_backward(weights: &[f32], d: &mut [f32]) {
    let mean = dot(weights, d);
    d.iter_mut().zip(weights).for_each(|(d, w)| *d = w * (*d - mean));
}

impl Attend {
    fn heads(&self, q: Numbers) -> impl Iterator<Item = Head> + use<> {
        let &[images, rows, channels] = q.shape else { unreachable!("the facade checked the shapes") };
        let (heads, width) = (self.heads, channels / self.heads);
        (0..images * heads).map(move |place| {
            let start = place / heads * rows * channels + place % heads * width;
            Head { start, rows, width, channels }
        })
    }
}

impl Operation<3> for Attend {
    const NAME: &'static str = "attend";

    fn forward(&self, [q, k, v]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let mut y = vec![0.0; q.len()];
        let mut weights = vec![0.0; q.shape[1] * q.shape[1]];
        for head in self.heads(q) {
            head.weights(&q, &k, &mut weights);
            head.set(1.0, Matrix::dense(&weights, head.rows), head.of(&v), &mut y);
        }
        (y, q.shape.to_vec())
    }

    fn backward(&self, [q, k, v]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let [mut d_q, mut d_k, mut d_v] = [(); 3].map(|()| vec![0.0; q.len()]);
        let [mut weights, mut d_scores] = [(); 2].map(|()| vec![0.0; q.shape[1] * q.shape[1]]);
        for head in self.heads(q) {
            head.weights(&q, &k, &mut weights);
            head.set(1.0, Matrix::dense(&weights, head.rows).t(), head.of(gradient), &mut d_v);
            multiply(1.0, head.of(gradient), head.of(&v).t(), &mut d_scores, head.rows, Accumulate::Set);
            simd(
                #[inline(always)]
                || {
                    let rows = weights.chunks_exact(head.rows).zip(d_scores.chunks_exact_mut(head.rows));
                    rows.for_each(|(weights, d)| softmax_backward(weights, d));
                },
            );
            let d_scores = Matrix::dense(&d_scores, head.rows);
            head.set(head.factor(), d_scores, head.of(&k), &mut d_q);
            head.set(head.factor(), d_scores.t(), head.of(&q), &mut d_k);
        }
        [Some(d_q), Some(d_k), Some(d_v)]
    }
}
