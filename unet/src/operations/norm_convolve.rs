//! Half a residual block as one operation: normalise, activate, convolve, add.
//!
//! What lies between the four is as large as the image. One operation keeps it in the processor's cache, image by image, and
//! computes it a second time on the way back: that is cheaper than to write it down and read it again.

use super::{
    Activation, GroupNormConfig,
    convolve::sizes,
    custom_op::{Numbers, Operation},
    elementwise::{add, add_over_pixels, add_to_pixels, add_with_vector},
    normalise::Channels,
    same::SameConvolution,
};

/// See [`super::norm_convolve`]. Of x, of what is added, and of all parameters one after the other: scale, shift, kernel, bias.
pub struct NormConvolve {
    /// Groups and ε.
    pub norm: GroupNormConfig,
    /// What follows the normalisation.
    pub activation: Activation,
    /// Rows and columns of the kernel, an odd number.
    pub size: usize,
}

/// The parameters, taken apart.
struct Parts<T> {
    scale: T,
    shift: T,
    kernel: T,
    bias: T,
}

/// Where scale, shift and kernel end.
fn ends(channels: usize, outputs: usize, count: usize) -> [usize; 3] {
    [channels, 2 * channels, count - outputs]
}

impl<'a> Parts<&'a [f32]> {
    fn of(numbers: &'a [f32], channels: usize, outputs: usize) -> Self {
        let [scale, shift, kernel] = ends(channels, outputs, numbers.len());
        Self {
            scale: &numbers[..scale],
            shift: &numbers[scale..shift],
            kernel: &numbers[shift..kernel],
            bias: &numbers[kernel..],
        }
    }
}

impl<'a> Parts<&'a mut [f32]> {
    fn of_mut(numbers: &'a mut [f32], channels: usize, outputs: usize) -> Self {
        let [scale, shift, kernel] = ends(channels, outputs, numbers.len());
        let (numbers, bias) = numbers.split_at_mut(kernel);
        let (numbers, kernel) = numbers.split_at_mut(shift);
        let (scale, shift) = numbers.split_at_mut(scale);
        Self { scale, shift, kernel, bias }
    }
}

impl NormConvolve {
    fn convolution(&self, x: Numbers, outputs: usize) -> SameConvolution {
        let [height, width, inputs] = sizes(x);
        SameConvolution::new(x.shape[0], [height, width], self.size, [inputs, outputs])
    }

    /// Of each image, what normalisation does to it.
    fn channels(&self, x: Numbers, scale: &[f32], shift: &[f32]) -> Vec<Channels> {
        x.images().map(|image| Channels::of(image, scale, shift, self.norm)).collect()
    }

    /// Appends the activations of a row.
    fn activate(&self, channels: &Channels, row: &[f32], to: &mut Vec<f32>) {
        let start = to.len();
        to.resize(start + row.len(), 0.0);
        channels.forward(self.activation, row, &mut to[start..]);
    }
}

impl Operation<3> for NormConvolve {
    const NAME: &'static str = "norm_convolve";

    fn forward(&self, [x, addend, parameters]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let (images, [height, width, inputs], outputs) = (x.shape[0], sizes(x), addend.channels());
        let Parts { scale, shift, kernel, bias } = Parts::of(&parameters, inputs, outputs);
        let channels = self.channels(x, scale, shift);
        let row = |n: usize, i, to: &mut Vec<f32>| self.activate(&channels[n], x.row(n, i), to);
        let (mut y, mut vector) = (Vec::with_capacity(images * height * width * outputs), bias.to_vec());
        self.convolution(x, outputs).convolve(images, kernel, row, &mut y, |n, i, y| {
            let start = y.len() - i.len() * width * outputs;
            if addend.shape.len() == 4 {
                let numbers = &addend[(n * height + i.start) * width * outputs..][..y.len() - start];
                return add_with_vector(&mut y[start..], numbers, bias);
            }
            if i.start == 0 {
                vector.copy_from_slice(bias);
                add(&mut vector, &addend[n * outputs..][..outputs]);
            }
            add_to_pixels(&mut y[start..], &vector);
        });
        (y, vec![images, height, width, outputs])
    }

    fn backward(&self, [x, addend, parameters]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let (images, [height, _, inputs], outputs) = (x.shape[0], sizes(x), addend.channels());
        let Parts { scale, shift, kernel, .. } = Parts::of(&parameters, inputs, outputs);
        let (convolution, channels) = (self.convolution(x, outputs), self.channels(x, scale, shift));
        let mut d_parameters = vec![0.0; parameters.len()];
        let d = Parts::of_mut(&mut d_parameters, inputs, outputs);
        let row = |n: usize, i, to: &mut Vec<f32>| self.activate(&channels[n], x.row(n, i), to);
        convolution.correlate(images, row, gradient, d.kernel);
        let (mut d_x, mut sums) = (Vec::with_capacity(x.len()), [d.scale, d.shift]);
        convolution.back(images, kernel, gradient, &mut d_x, |n, i, d_x| {
            if i.end == height {
                let image = x.images().nth(n).expect("as many images as there are");
                let start = d_x.len() - image.len();
                let sums = sums.each_mut().map(|sums| &mut **sums);
                channels[n].backward(self.activation, scale, image, &mut d_x[start..], sums);
            }
        });
        let mut vectors = vec![0.0; images * outputs];
        let per_image = gradient.len() / images;
        for (sums, gradient) in vectors.chunks_exact_mut(outputs).zip(gradient.chunks_exact(per_image)) {
            add_over_pixels(sums, gradient);
            add(d.bias, sums);
        }
        let d_addend =
            addend.wanted.then(|| if addend.len() == vectors.len() { vectors } else { gradient.to_vec() });
        [Some(d_x), d_addend, Some(d_parameters)]
    }
}
