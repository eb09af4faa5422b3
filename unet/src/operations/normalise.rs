//! Group normalisation with its activation, and their gradients.

use super::{
    Activation, GroupNormConfig,
    custom_op::{Numbers, Operation},
    elementwise::simd,
};

/// See [`super::group_norm`].
pub struct GroupNorm {
    /// Groups and ε.
    pub norm: GroupNormConfig,
    /// What follows.
    pub activation: Activation,
}

/// What normalisation does to one image, channel by channel: x̂ = (x − mean) · inverse, v = x̂ · scale + shift = a x + b.
///
/// Each list is repeated for several pixels, so that the loops over it are long enough for wide registers.
pub struct Channels {
    norm: GroupNormConfig,
    count: usize,
    mean: Vec<f32>,
    inverse: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
}

/// One number a channel, repeated for 256 numbers or more.
#[inline(always)]
fn repeated(numbers: &[f32]) -> Vec<f32> {
    numbers.repeat(256_usize.div_ceil(numbers.len()))
}

/// Sums of `count` channels from sums of repeated channels.
#[inline(always)]
fn folded(sums: &[f32], count: usize) -> Vec<f32> {
    let mut folded = vec![0.0; count];
    for part in sums.chunks_exact(count) {
        folded.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
    }
    folded
}

impl Channels {
    /// From the moments of an image's groups.
    pub fn of(image: &[f32], scale: &[f32], shift: &[f32], norm: GroupNormConfig) -> Self {
        simd(
            #[inline(always)]
            || Self::of_moments(image, scale, shift, norm),
        )
    }

    #[inline(always)]
    fn of_moments(image: &[f32], scale: &[f32], shift: &[f32], norm: GroupNormConfig) -> Self {
        let count = scale.len();
        let of_group = (image.len() / norm.groups) as f32;
        let over_groups = |sums: &[f32]| {
            let mut means = folded(sums, count);
            for group in means.chunks_exact_mut(count / norm.groups) {
                let mean = group.iter().sum::<f32>() / of_group;
                group.fill(mean);
            }
            means
        };
        let mut sums = repeated(&vec![0.0; count]);
        for x in image.chunks(sums.len()) {
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
        let mean = repeated(&over_groups(&sums));
        sums.fill(0.0);
        for x in image.chunks(sums.len()) {
            let pairs = x.iter().zip(&mean);
            sums.iter_mut().zip(pairs).for_each(|(sum, (x, mean))| *sum += (x - mean) * (x - mean));
        }
        let inverse = |variance: &f32| 1.0 / (variance + norm.epsilon as f32).sqrt();
        let inverse: Vec<f32> = over_groups(&sums).iter().map(inverse).collect();
        let a: Vec<f32> = inverse.iter().zip(scale).map(|(inverse, scale)| inverse * scale).collect();
        let b = shift.iter().zip(mean.iter().zip(&a)).map(|(shift, (mean, a))| shift - mean * a);
        let b = repeated(&b.collect::<Vec<_>>());
        Self { norm, count, mean, inverse: repeated(&inverse), a: repeated(&a), b }
    }

    /// The activations of an image, or of some of its pixels.
    pub fn forward(&self, activation: Activation, pixels: &[f32], y: &mut [f32]) {
        simd(
            #[inline(always)]
            || {
                for (x, y) in pixels.chunks(self.a.len()).zip(y.chunks_mut(self.a.len())) {
                    let factors = self.a.iter().zip(&self.b);
                    y.iter_mut()
                        .zip(x)
                        .zip(factors)
                        .for_each(|((y, x), (a, b))| *y = activation.of(a * x + b));
                }
            },
        );
    }

    /// Replaces the gradient by the activations of an image by that by the image, and adds to those by scale and shift.
    ///
    /// d_shift = Σ dv, d_scale = Σ dv x̂, dx = (scale dv − mean(scale dv) − x̂ mean(scale dv x̂)) · inverse
    ///
    /// where the means run over the group.
    pub fn backward(
        &self,
        activation: Activation,
        scale: &[f32],
        image: &[f32],
        d: &mut [f32],
        sums: [&mut [f32]; 2],
    ) {
        simd(
            #[inline(always)]
            || self.through(activation, scale, image, d, sums),
        );
    }

    #[inline(always)]
    fn through(
        &self,
        activation: Activation,
        scale: &[f32],
        image: &[f32],
        d: &mut [f32],
        [d_scale, d_shift]: [&mut [f32]; 2],
    ) {
        let (width, count) = (self.a.len(), self.count);
        let [mut sums, mut products] = [(); 2].map(|()| vec![0.0; width]);
        // short loops with few lists each, for the compiler gives up on long ones
        for (x, d) in image.chunks(width).zip(d.chunks_mut(width)) {
            let factors = self.a.iter().zip(&self.b);
            d.iter_mut()
                .zip(x)
                .zip(factors)
                .for_each(|((d, x), (a, b))| *d *= activation.derivative(a * x + b));
            sums.iter_mut().zip(&*d).for_each(|(sum, d)| *sum += d);
            let pairs = d.iter().zip(x.iter().zip(&self.mean));
            products.iter_mut().zip(pairs).for_each(|(sum, (d, (x, mean)))| *sum += d * (x - mean));
        }
        let [mut sums, mut products] = [&sums, &products].map(|sums| folded(sums, count));
        products.iter_mut().zip(&self.inverse).for_each(|(product, inverse)| *product *= inverse);
        d_shift.iter_mut().zip(&sums).for_each(|(total, sum)| *total += sum);
        d_scale.iter_mut().zip(&products).for_each(|(total, sum)| *total += sum);

        // dx = a dv + m x + n, with a channel's own m and n
        let (of_group, groups) = ((image.len() / self.norm.groups) as f32, count / self.norm.groups);
        for sums in [&mut sums, &mut products] {
            for (group, scale) in sums.chunks_exact_mut(groups).zip(scale.chunks_exact(groups)) {
                let mean = group.iter().zip(scale).map(|(sum, scale)| sum * scale).sum::<f32>() / of_group;
                group.fill(mean);
            }
        }
        let moments = self.mean.iter().zip(&self.inverse);
        for ((sum, product), (mean, inverse)) in sums.iter_mut().zip(&mut products).zip(moments) {
            *product *= -inverse * inverse;
            *sum = -*sum * inverse - *product * mean;
        }
        let [n, m] = [&sums, &products].map(|numbers| repeated(numbers));
        for (x, d) in image.chunks(width).zip(d.chunks_mut(width)) {
            let factors = self.a.iter().zip(m.iter().zip(&n));
            d.iter_mut().zip(x).zip(factors).for_each(|((d, x), (a, (m, n)))| *d = a * *d + m * x + n);
        }
    }
}

impl Operation<3> for GroupNorm {
    const NAME: &'static str = "group_norm";

    fn forward(&self, [x, scale, shift]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let mut y = vec![0.0; x.len()];
        for (image, y) in x.images().zip(y.chunks_exact_mut(x.len() / x.shape[0])) {
            Channels::of(image, &scale, &shift, self.norm).forward(self.activation, image, y);
        }
        (y, x.shape.to_vec())
    }

    fn backward(&self, [x, scale, shift]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let mut d_x = gradient.to_vec();
        let (mut d_scale, mut d_shift) = (vec![0.0; scale.len()], vec![0.0; shift.len()]);
        for (image, d) in x.images().zip(d_x.chunks_exact_mut(x.len() / x.shape[0])) {
            let channels = Channels::of(image, &scale, &shift, self.norm);
            channels.backward(self.activation, &scale, image, d, [&mut d_scale, &mut d_shift]);
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
        simd(
            #[inline(always)]
            || y.iter_mut().for_each(|y| *y = Activation::Silu.of(*y)),
        );
        (y, x.shape.to_vec())
    }

    fn backward(&self, [x]: [Numbers; 1], gradient: &[f32]) -> [Option<Vec<f32>>; 1] {
        let mut d_x = gradient.to_vec();
        simd(
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
