//! Linear layers, a vector added to all pixels, and channels side by side.

use super::{
    custom_op::{Numbers, Operation},
    elementwise::add_over_pixels,
    matrix::{Accumulate, Matrix, multiply},
};

/// y = x W + b on the last dimension, where W is I×O.
///
/// See [`super::linear`], whose weight is Wᵀ, and [`super::convolve`], whose 1×1 kernel is W.
pub struct Linear {
    /// Whether the weight is stored as Wᵀ, O×I.
    pub transposed: bool,
}

impl Operation<3> for Linear {
    const NAME: &'static str = "linear";

    fn forward(&self, [x, weight, bias]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let (inputs, outputs) = (x.channels(), bias.channels());
        let mut y = bias.repeat(x.len() / inputs);
        let w = Matrix::dense(&weight, weight.channels());
        let w = if self.transposed { w.t() } else { w };
        multiply(1.0, Matrix::dense(&x, inputs), w, &mut y, outputs, Accumulate::Add);
        let mut shape = x.shape.to_vec();
        shape.pop();
        shape.push(outputs);
        (y, shape)
    }

    fn backward(&self, [x, weight, bias]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let (inputs, outputs) = (x.channels(), bias.channels());
        let (rows, d_y) = (Matrix::dense(&x, inputs), Matrix::dense(gradient, outputs));
        let w = Matrix::dense(&weight, weight.channels());
        let d_x = x.wanted.then(|| {
            let mut d_x = vec![0.0; x.len()];
            multiply(1.0, d_y, if self.transposed { w } else { w.t() }, &mut d_x, inputs, Accumulate::Set);
            d_x
        });
        let d_weight = weight.wanted.then(|| {
            let mut d_weight = vec![0.0; weight.len()];
            let (a, b) = if self.transposed { (d_y, rows) } else { (rows, d_y) };
            multiply(1.0, a.t(), b, &mut d_weight, weight.channels(), Accumulate::Set);
            d_weight
        });
        let d_bias = bias.wanted.then(|| {
            let mut d_bias = vec![0.0; outputs];
            add_over_pixels(&mut d_bias, gradient);
            d_bias
        });
        [d_x, d_weight, d_bias]
    }
}

/// See [`super::add_to_pixels`].
pub struct AddToPixels;

impl Operation<2> for AddToPixels {
    const NAME: &'static str = "add_to_pixels";

    fn forward(&self, [x, vector]: [Numbers; 2]) -> (Vec<f32>, Vec<usize>) {
        let mut y = Vec::with_capacity(x.len());
        for (image, vector) in x.images().zip(vector.images()) {
            for pixel in image.chunks_exact(vector.len()) {
                y.extend(pixel.iter().zip(vector).map(|(x, v)| x + v));
            }
        }
        (y, x.shape.to_vec())
    }

    fn backward(&self, [x, vector]: [Numbers; 2], gradient: &[f32]) -> [Option<Vec<f32>>; 2] {
        let d_vector = vector.wanted.then(|| {
            let mut d_vector = vec![0.0; vector.len()];
            let per_image = x.len() / x.shape[0];
            for (sums, gradient) in
                d_vector.chunks_exact_mut(vector.channels()).zip(gradient.chunks_exact(per_image))
            {
                add_over_pixels(sums, gradient);
            }
            d_vector
        });
        [x.wanted.then(|| gradient.to_vec()), d_vector]
    }
}

/// See [`super::concat`].
pub struct Concat;

impl Operation<2> for Concat {
    const NAME: &'static str = "join";

    fn forward(&self, [x, skip]: [Numbers; 2]) -> (Vec<f32>, Vec<usize>) {
        let mut y = Vec::with_capacity(x.len() + skip.len());
        for (x, skip) in x.chunks_exact(x.channels()).zip(skip.chunks_exact(skip.channels())) {
            y.extend_from_slice(x);
            y.extend_from_slice(skip);
        }
        let [b, h, w] = [0, 1, 2].map(|dimension| x.shape[dimension]);
        (y, vec![b, h, w, x.channels() + skip.channels()])
    }

    fn backward(&self, [x, skip]: [Numbers; 2], gradient: &[f32]) -> [Option<Vec<f32>>; 2] {
        let [mut d_x, mut d_skip] = [x, skip].map(|input| Vec::with_capacity(input.len()));
        for pixel in gradient.chunks_exact(x.channels() + skip.channels()) {
            let (of_x, of_skip) = pixel.split_at(x.channels());
            d_x.extend_from_slice(of_x);
            d_skip.extend_from_slice(of_skip);
        }
        [Some(d_x), Some(d_skip)]
    }
}
