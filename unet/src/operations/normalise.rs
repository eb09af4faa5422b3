//! Group normalisation with its activation, and their gradients.

use super::{
    Activation, Norm,
    elementwise::{add_over_pixels, widest},
    tape::{Numbers, Operation},
};

/// See [`super::group_norm`].
pub struct GroupNorm {
    /// Groups and ε.
    pub norm: Norm,
    /// What follows.
    pub activation: Activation,
}

/// What normalisation does to one image, channel by channel: x̂ = (x − mean) · inverse, v = x̂ · scale + shift = a x + b.
pub struct Channels {
    mean: Vec<f32>,
    inverse: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Channels {
    /// From the moments of an image's groups.
    #[inline(always)]
    pub fn of(image: &[f32], scale: &[f32], shift: &[f32], norm: Norm) -> Self {
        let channels = scale.len();
        let count = (image.len() / norm.groups) as f32;
        let over_groups = |sums: &mut [f32]| {
            for group in sums.chunks_exact_mut(channels / norm.groups) {
                let mean = group.iter().sum::<f32>() / count;
                group.fill(mean);
            }
        };
        let mut mean = vec![0.0; channels];
        add_over_pixels(&mut mean, image);
        over_groups(&mut mean);
        let mut inverse = vec![0.0; channels];
        for pixel in image.chunks_exact(channels) {
            for (sum, (x, mean)) in inverse.iter_mut().zip(pixel.iter().zip(&mean)) {
                *sum += (x - mean) * (x - mean);
            }
        }
        over_groups(&mut inverse);
        for variance in &mut inverse {
            *variance = 1.0 / (*variance + norm.epsilon as f32).sqrt();
        }
        let a: Vec<f32> = inverse.iter().zip(scale).map(|(inverse, scale)| inverse * scale).collect();
        let b = shift.iter().zip(mean.iter().zip(&a)).map(|(shift, (mean, a))| shift - mean * a).collect();
        Self { mean, inverse, a, b }
    }

    /// Appends the activations of pixels.
    #[inline(always)]
    pub fn extend(&self, activation: Activation, pixels: &[f32], y: &mut [f32]) {
        let channels = self.a.len();
        for (pixel, y) in pixels.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for ((x, y), (a, b)) in pixel.iter().zip(y).zip(self.a.iter().zip(&self.b)) {
                *y = activation.of(a * x + b);
            }
        }
    }

    /// Replaces the gradient by the activations of an image by that by the image, and adds to those by scale and shift.
    ///
    /// d_shift = Σ dv, d_scale = Σ dv x̂, dx = (scale dv − mean(scale dv) − x̂ mean(scale dv x̂)) · inverse, with the means over the group.
    #[inline(always)]
    pub fn backward(
        &self,
        activation: Activation,
        groups: usize,
        scale: &[f32],
        image: &[f32],
        d: &mut [f32],
        [d_scale, d_shift]: [&mut [f32]; 2],
    ) {
        let channels = scale.len();
        let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
        for (x, d) in image.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
            let sums = sums.iter_mut().zip(&mut products);
            let factors = self.mean.iter().zip(&self.inverse).zip(self.a.iter().zip(&self.b));
            for (((x, d), (sum, product)), ((mean, inverse), (a, b))) in
                x.iter().zip(d).zip(sums).zip(factors)
            {
                *d *= activation.derivative(a * x + b);
                *sum += *d;
                *product += *d * (x - mean) * inverse;
            }
        }
        d_shift.iter_mut().zip(&sums).for_each(|(total, sum)| *total += sum);
        d_scale.iter_mut().zip(&products).for_each(|(total, sum)| *total += sum);

        // dx = a dv + m x + n, with a channel's own m and n
        let count = (image.len() / groups) as f32;
        let over_groups = |sums: &mut [f32]| {
            for (group, scale) in
                sums.chunks_exact_mut(channels / groups).zip(scale.chunks_exact(channels / groups))
            {
                let mean = group.iter().zip(scale).map(|(sum, scale)| sum * scale).sum::<f32>() / count;
                group.fill(mean);
            }
        };
        over_groups(&mut sums);
        over_groups(&mut products);
        for (((sum, product), mean), inverse) in
            sums.iter_mut().zip(&mut products).zip(&self.mean).zip(&self.inverse)
        {
            *product *= -inverse * inverse;
            *sum = -*sum * inverse - *product * mean;
        }
        let (n, m) = (sums, products);
        for (x, d) in image.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
            for ((x, d), (a, (m, n))) in x.iter().zip(d).zip(self.a.iter().zip(m.iter().zip(&n))) {
                *d = a * *d + m * x + n;
            }
        }
    }
}

impl Operation<3> for GroupNorm {
    const NAME: &'static str = "group_norm";

    fn forward(&self, [x, scale, shift]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let mut y = vec![0.0; x.len()];
        for (image, y) in x.images().zip(y.chunks_exact_mut(x.len() / x.shape[0])) {
            widest(
                #[inline(always)]
                || Channels::of(image, &scale, &shift, self.norm).extend(self.activation, image, y),
            );
        }
        (y, x.shape.to_vec())
    }

    fn backward(&self, [x, scale, shift]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let mut d_x = gradient.to_vec();
        let (mut d_scale, mut d_shift) = (vec![0.0; scale.len()], vec![0.0; shift.len()]);
        for (image, d) in x.images().zip(d_x.chunks_exact_mut(x.len() / x.shape[0])) {
            widest(
                #[inline(always)]
                || {
                    let channels = Channels::of(image, &scale, &shift, self.norm);
                    let sums = [&mut d_scale[..], &mut d_shift[..]];
                    channels.backward(self.activation, self.norm.groups, &scale, image, d, sums);
                },
            );
        }
        [Some(d_x), Some(d_scale), Some(d_shift)]
    }
}

/// See [`super::silu`].
pub struct Silu;

impl Operation<1> for Silu {
    const NAME: &'static str = "silu";

    fn forward(&self, [x]: [Numbers; 1]) -> (Vec<f32>, Vec<usize>) {
        let mut y = x.to_vec();
        widest(
            #[inline(always)]
            || y.iter_mut().for_each(|y| *y = Activation::Silu.of(*y)),
        );
        (y, x.shape.to_vec())
    }

    fn backward(&self, [x]: [Numbers; 1], gradient: &[f32]) -> [Option<Vec<f32>>; 1] {
        let mut d_x = gradient.to_vec();
        widest(
            #[inline(always)]
            || {
                for (d, x) in d_x.iter_mut().zip(&*x) {
                    *d *= Activation::Silu.derivative(*x);
                }
            },
        );
        [Some(d_x)]
    }
}
