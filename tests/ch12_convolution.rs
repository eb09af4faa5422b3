//! ch12: convolution as matrix products, and the fast operations against the tensor library's own.

use candle_core::{Device, Tensor, Var};
use ddpm_unet::operations::{self, Activation, Geometry, Norm, plain};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};

type Outcome = ddpm_unet::Result<Tensor>;

fn random(shape: &[usize], rng: &mut StdRng) -> Var {
    let count = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Var::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// The largest difference of two tensors, over the largest number of the second.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let largest = |x: &Tensor| {
        f64::from(x.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap())
    };
    largest(&(a - b).unwrap()) / largest(b).max(1e-30)
}

/// Values and gradients of two operations are the same up to rounding: a sum of n products of f32 is off by √n 2⁻²⁴ or so,
/// and n is a few thousand at most.
fn assert_same(
    name: &str,
    inputs: &[Var],
    fast: impl Fn(&[Tensor]) -> Outcome,
    plain: impl Fn(&[Tensor]) -> Outcome,
) {
    let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
    let (y, expected) = (fast(&tensors).unwrap(), plain(&tensors).unwrap());
    let error = difference(&y, &expected);
    assert!(error < 1e-5, "{name}: values differ by {error:e}");
    // a scalar whose gradient by y has no symmetry
    let weights = random(expected.dims(), &mut StdRng::seed_from_u64(99));
    let gradients =
        [y, expected].map(|y| (y * weights.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap());
    for (place, input) in inputs.iter().enumerate() {
        let [fast, plain] = gradients.each_ref().map(|gradients| gradients.get(input).expect("a gradient"));
        let error = difference(fast, plain);
        assert!(error < 1e-5, "{name}: gradients by input {place} differ by {error:e}");
    }
}

#[test]
fn fast_convolutions_are_the_plain_ones() {
    let mut rng = StdRng::seed_from_u64(1);
    for (size, [h, w], channels, geometry) in [
        (3, [7, 5], [3, 4], Geometry::same(3)),
        (3, [1, 1], [2, 3], Geometry::same(3)),
        (3, [28, 28], [1, 32], Geometry::same(3)),
        (3, [14, 14], [96, 64], Geometry::same(3)),
        (3, [8, 8], [32, 1], Geometry::same(3)),
        (5, [6, 9], [2, 3], Geometry::same(5)),
        (1, [6, 9], [5, 3], Geometry::same(1)),
        (1, [7, 7], [5, 3], Geometry { stride: 2, before: 0, after: 0 }),
        (3, [14, 14], [8, 8], Geometry { stride: 2, before: 1, after: 1 }),
        (3, [13, 13], [8, 8], Geometry { stride: 2, before: 0, after: 1 }),
        (3, [9, 7], [3, 2], Geometry { stride: 1, before: 0, after: 0 }),
        (2, [9, 9], [3, 2], Geometry { stride: 3, before: 1, after: 2 }),
    ] {
        let [inputs, outputs] = channels;
        let x = random(&[3, h, w, inputs], &mut rng);
        let kernel = random(&[size, size, inputs, outputs], &mut rng);
        for bias in [random(&[outputs], &mut rng), random(&[3, outputs], &mut rng)] {
            let name = format!("{size}×{size}, {h}×{w}, {channels:?}, {geometry:?}, bias {:?}", bias.dims());
            assert_same(
                &name,
                &[x.clone(), kernel.clone(), bias],
                |x| operations::convolve(&x[0], &x[1], &x[2], geometry),
                |x| plain::convolve(&x[0], &x[1], &x[2], geometry),
            );
        }
    }
}

#[test]
fn fast_upsampling_is_the_plain_one() {
    let mut rng = StdRng::seed_from_u64(2);
    for [h, w, inputs, outputs] in [[7, 7, 16, 8], [1, 1, 1, 1], [3, 5, 2, 3], [14, 14, 64, 64]] {
        let inputs = [
            random(&[2, h, w, inputs], &mut rng),
            random(&[3, 3, inputs, outputs], &mut rng),
            random(&[outputs], &mut rng),
        ];
        assert_same(
            &format!("{h}×{w}"),
            &inputs,
            |x| operations::upsample_convolve(&x[0], &x[1], &x[2]),
            |x| plain::upsample_convolve(&x[0], &x[1], &x[2]),
        );
    }
}

#[test]
fn fast_normalisation_is_the_plain_one() {
    let mut rng = StdRng::seed_from_u64(3);
    for ([h, w, channels], groups) in [([7, 7, 64], 8), ([28, 28, 32], 8), ([3, 1, 6], 3), ([2, 2, 5], 5)] {
        for activation in [Activation::Identity, Activation::Silu] {
            let inputs = [
                random(&[2, h, w, channels], &mut rng),
                random(&[channels], &mut rng),
                random(&[channels], &mut rng),
            ];
            let norm = Norm { groups, epsilon: 1e-5 };
            assert_same(
                &format!("{h}×{w}×{channels} in {groups}, {activation:?}"),
                &inputs,
                |x| operations::group_norm(&x[0], &x[1], &x[2], norm, activation),
                |x| plain::group_norm(&x[0], &x[1], &x[2], norm, activation),
            );
        }
    }
}

#[test]
fn fast_layers_are_the_plain_ones() {
    let mut rng = StdRng::seed_from_u64(4);
    let x = random(&[3, 5, 7, 4], &mut rng);
    assert_same("silu", &[x.clone()], |x| operations::silu(&x[0]), |x| plain::silu(&x[0]));
    let vector = random(&[3, 4], &mut rng);
    assert_same(
        "add to pixels",
        &[x.clone(), vector.clone()],
        |x| operations::add_to_pixels(&x[0], &x[1]),
        |x| plain::add_to_pixels(&x[0], &x[1]),
    );
    let (weight, bias) = (random(&[6, 4], &mut rng), random(&[6], &mut rng));
    for x in [x, vector] {
        assert_same(
            "linear",
            &[x, weight.clone(), bias.clone()],
            |x| operations::linear(&x[0], &x[1], &x[2]),
            |x| plain::linear(&x[0], &x[1], &x[2]),
        );
    }
    for heads in [1, 2, 8] {
        let inputs = [(); 3].map(|()| random(&[2, 49, 16], &mut rng));
        assert_same(
            &format!("attention in {heads} heads"),
            &inputs,
            |x| operations::attend(&x[0], &x[1], &x[2], heads),
            |x| plain::attend(&x[0], &x[1], &x[2], heads),
        );
    }
}
