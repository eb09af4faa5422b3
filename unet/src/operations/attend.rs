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

/// The same, of queries, keys and values side by side: see [`super::self_attend`].
pub struct SelfAttend {
    /// The number of heads.
    pub heads: usize,
}

/// One head of one image: N rows of `width` numbers, each row `stride` after the one before.
#[derive(Clone, Copy)]
struct Head {
    start: usize,
    rows: usize,
    width: usize,
    stride: usize,
}

impl Head {
    /// All heads of all images, (B, N, C), where a row has `stride` numbers.
    fn all(
        shape: &[usize],
        channels: usize,
        stride: usize,
        heads: usize,
    ) -> impl Iterator<Item = Self> + use<> {
        let &[images, rows, _] = shape else { unreachable!("the facade checked the shapes") };
        let width = channels / heads;
        (0..images * heads).map(move |place| {
            let start = place / heads * rows * stride + place % heads * width;
            Self { start, rows, width, stride }
        })
    }

    fn of<'a>(&self, numbers: &'a [f32]) -> Matrix<'a> {
        Matrix::new(&numbers[self.start..], self.rows, self.width, self.stride)
    }

    fn set(&self, factor: f32, a: Matrix, b: Matrix, numbers: &mut [f32]) {
        multiply(factor, a, b, &mut numbers[self.start..], self.stride, Accumulate::Set);
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

/// The result of each pair of a head of q, k and v and its place in y.
fn forward(heads: impl Iterator<Item = (Head, Head)>, [q, k, v]: [&[f32]; 3], rows: usize, y: &mut [f32]) {
    let mut weights = vec![0.0; rows * rows];
    for (head, place) in heads {
        head.weights(q, k, &mut weights);
        place.set(1.0, Matrix::dense(&weights, rows), head.of(v), y);
    }
}

/// The gradients by q, k and v of each pair of a head and its place in y: `set` takes which of the three, the head, and a product.
fn backward(
    heads: impl Iterator<Item = (Head, Head)>,
    [q, k, v]: [&[f32]; 3],
    rows: usize,
    gradient: &[f32],
    mut set: impl FnMut(usize, Head, f32, Matrix, Matrix),
) {
    let [mut weights, mut d_scores] = [(); 2].map(|()| vec![0.0; rows * rows]);
    for (head, place) in heads {
        head.weights(q, k, &mut weights);
        set(2, head, 1.0, Matrix::dense(&weights, rows).t(), place.of(gradient));
        multiply(1.0, place.of(gradient), head.of(v).t(), &mut d_scores, rows, Accumulate::Set);
        simd(
            #[inline(always)]
            || {
                let rows = weights.chunks_exact(rows).zip(d_scores.chunks_exact_mut(rows));
                rows.for_each(|(weights, d)| softmax_backward(weights, d));
            },
        );
        let d_scores = Matrix::dense(&d_scores, rows);
        set(0, head, head.factor(), d_scores, head.of(k));
        set(1, head, head.factor(), d_scores.t(), head.of(q));
    }
}

impl Operation<3> for Attend {
    const NAME: &'static str = "attend";

    fn forward(&self, [q, k, v]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let mut y = vec![0.0; q.len()];
        let heads = Head::all(q.shape, q.channels(), q.channels(), self.heads);
        forward(heads.map(|head| (head, head)), [&q, &k, &v], q.shape[1], &mut y);
        (y, q.shape.to_vec())
    }

    fn backward(&self, [q, k, v]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let mut d = [(); 3].map(|()| vec![0.0; q.len()]);
        let heads = Head::all(q.shape, q.channels(), q.channels(), self.heads);
        backward(
            heads.map(|head| (head, head)),
            [&q, &k, &v],
            q.shape[1],
            gradient,
            |which, head, factor, a, b| {
                head.set(factor, a, b, &mut d[which]);
            },
        );
        d.map(Some)
    }
}

impl SelfAttend {
    /// Each head in a row of 3 C numbers, and in one of C.
    fn heads(&self, x: Numbers) -> impl Iterator<Item = (Head, Head)> + use<> {
        let channels = x.channels() / 3;
        let inside = Head::all(x.shape, channels, x.channels(), self.heads);
        inside.zip(Head::all(x.shape, channels, channels, self.heads))
    }

    fn parts<'a>(x: Numbers<'a>) -> [&'a [f32]; 3] {
        let (numbers, channels) = (x.values, x.channels() / 3);
        [numbers, &numbers[channels..], &numbers[2 * channels..]]
    }
}

impl Operation<1> for SelfAttend {
    const NAME: &'static str = "attend";

    fn forward(&self, [x]: [Numbers; 1]) -> (Vec<f32>, Vec<usize>) {
        let mut y = vec![0.0; x.len() / 3];
        forward(self.heads(x), Self::parts(x), x.shape[1], &mut y);
        (y, vec![x.shape[0], x.shape[1], x.channels() / 3])
    }

    fn backward(&self, [x]: [Numbers; 1], gradient: &[f32]) -> [Option<Vec<f32>>; 1] {
        let (mut d, channels) = (vec![0.0; x.len()], x.channels() / 3);
        backward(self.heads(x), Self::parts(x), x.shape[1], gradient, |which, head, factor, a, b| {
            head.set(factor, a, b, &mut d[which * channels..]);
        });
        [Some(d)]
    }
}
