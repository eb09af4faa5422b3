//! Half a residual block as one operation: normalise, activate, convolve, add.
//!
//! What lies between the four is as large as the image. One operation keeps it in the processor's cache, image by image, and
//! computes it a second time on the way back: that is cheaper than to write it down and read it again.

use super::{
    Activation, GroupNormConfig,
    convolve::{SCRATCH, sizes},
    custom_op::{Numbers, Operation},
    elementwise::{add, add_over_pixels},
    matrix::Accumulate,
    normalise::Channels,
    strip::{Frame, Taps},
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
    fn frame(&self, x: Numbers, addend: Numbers) -> (Frame, Taps) {
        let [height, width, inputs] = sizes(x);
        let frame = Frame { height, width, pad: self.size / 2 };
        (frame, Taps { size: self.size, inputs, outputs: addend.channels(), row: 0, column: 0 })
    }

    /// Lays out the strip of the activations of an image.
    fn lay(&self, frame: Frame, channels: &Channels, image: &[f32], strip: &mut Vec<f32>) {
        let width = image.len() / frame.height;
        frame.lay(strip, width / frame.width, |i, strip| {
            let start = strip.len();
            strip.resize(start + width, 0.0);
            channels.forward(self.activation, &image[i * width..][..width], &mut strip[start..]);
        });
    }
}

impl Operation<3> for NormConvolve {
    const NAME: &'static str = "norm_convolve";

    fn forward(&self, [x, addend, parameters]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let (frame, taps) = self.frame(x, addend);
        let outputs = taps.outputs;
        let Parts { scale, shift, kernel, bias } = Parts::of(&parameters, taps.inputs, outputs);
        let mut y = Vec::with_capacity(x.len() / taps.inputs * outputs);
        SCRATCH.with_borrow_mut(|[strip, product, biased]| {
            for (image, addend) in x.images().zip(addend.images()) {
                self.lay(frame, &Channels::of(image, scale, shift, self.norm), image, strip);
                frame.convolve(strip, kernel, taps, product, Accumulate::Set);
                let width = frame.width * outputs;
                biased.clear();
                biased.extend(bias.iter().cycle().take(width));
                if addend.len() == outputs {
                    biased.chunks_exact_mut(outputs).for_each(|pixel| add(pixel, addend));
                    for row in frame.rows(product, outputs) {
                        y.extend(row.iter().zip(&*biased).map(|(y, bias)| y + bias));
                    }
                } else {
                    for (row, addend) in frame.rows(product, outputs).zip(addend.chunks_exact(width)) {
                        let sums = row.iter().zip(&*biased).zip(addend);
                        y.extend(sums.map(|((y, bias), addend)| y + bias + addend));
                    }
                }
            }
        });
        (y, vec![x.shape[0], frame.height, frame.width, outputs])
    }

    fn backward(&self, [x, addend, parameters]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let (frame, taps) = self.frame(x, addend);
        let (inputs, outputs) = (taps.inputs, taps.outputs);
        let Parts { scale, shift, kernel, .. } = Parts::of(&parameters, inputs, outputs);
        let (turned, back) = (taps.turn(kernel), Taps { inputs: outputs, outputs: inputs, ..taps });
        let mut d_parameters = vec![0.0; parameters.len()];
        let d = Parts::of_mut(&mut d_parameters, inputs, outputs);
        let mut d_x = Vec::with_capacity(x.len());
        let per_image = gradient.len() / x.shape[0];
        SCRATCH.with_borrow_mut(|[strip, product, d_strip]| {
            for (image, gradient) in x.images().zip(gradient.chunks_exact(per_image)) {
                let channels = Channels::of(image, scale, shift, self.norm);
                self.lay(frame, &channels, image, strip);
                frame.lay_image(d_strip, gradient, outputs);
                frame.correlate(strip, d_strip, taps, d.kernel);
                frame.convolve(d_strip, &turned, back, product, Accumulate::Set);
                let start = d_x.len();
                frame.rows(product, inputs).for_each(|row| d_x.extend_from_slice(row));
                let (d_image, sums) = (&mut d_x[start..], [&mut *d.scale, &mut *d.shift]);
                channels.backward(self.activation, scale, image, d_image, sums);
            }
        });
        let mut vectors = vec![0.0; x.shape[0] * outputs];
        for (sums, gradient) in vectors.chunks_exact_mut(outputs).zip(gradient.chunks_exact(per_image)) {
            add_over_pixels(sums, gradient);
            add(d.bias, sums);
        }
        let d_addend =
            addend.wanted.then(|| if addend.len() == vectors.len() { vectors } else { gradient.to_vec() });
        [Some(d_x), d_addend, Some(d_parameters)]
    }
}
