//! What a GPU runs, run on the CPU: its convolutions with their gradients, a network, training steps.

use candle_core::{Device, Tensor, Var};
use ddpm::{metrics::largest, schedule::ScheduleName};
use ddpm_unet::{
    Result,
    images::{Collection, ImageSource},
    network::{Phase, UNet, config::UNetConfig},
    operations::{
        self, Geometry,
        check::{Case, Difference, cases, relative_difference},
        on_device::{self, as_on_a_gpu},
        reference,
    },
    train::{BatchStream, RunConfig, TrainConfig, Trainer},
};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};

/// Batch, height, width, kernel, channels in and out, geometry: strides, even and odd sizes, zeros on both sides and on one.
fn convolutions() -> Vec<([usize; 6], Geometry)> {
    let geometry = |stride, before, after| Geometry { stride, before, after };
    vec![
        ([2, 8, 6, 3, 3, 4], Geometry::same(3)),
        ([3, 7, 5, 3, 4, 2], Geometry::same(3)),
        ([1, 1, 1, 3, 2, 3], Geometry::same(3)),
        ([2, 5, 9, 5, 2, 3], Geometry::same(5)),
        ([3, 6, 9, 1, 5, 3], Geometry::same(1)),
        ([4, 8, 8, 3, 2, 3], geometry(2, 1, 1)),
        ([1, 7, 5, 3, 3, 2], geometry(2, 1, 1)),
        ([2, 8, 6, 3, 3, 2], geometry(2, 0, 1)),
        ([2, 7, 7, 3, 3, 2], geometry(2, 0, 1)),
        ([2, 7, 7, 1, 5, 3], geometry(2, 0, 0)),
        ([3, 9, 7, 3, 3, 2], geometry(1, 0, 0)),
        ([2, 9, 9, 2, 3, 2], geometry(3, 1, 2)),
        ([2, 8, 11, 3, 2, 2], geometry(3, 1, 1)),
        ([2, 3, 4, 1, 2, 3], geometry(1, 1, 1)),
    ]
}

#[track_caller]
fn assert_same(case: &Case) {
    let Difference { values, gradients } = case.difference(&mut StdRng::seed_from_u64(1)).unwrap();
    assert!(values < 1e-5, "{}: values differ by {values:e}", case.name());
    assert!(gradients < 1e-5, "{}: gradients differ by {gradients:e}", case.name());
}

#[test]
fn convolutions_of_a_gpu_are_the_plain_ones() {
    for ([b, h, w, size, inputs, outputs], geometry) in convolutions() {
        // a bias for all images, and one for each
        for bias in [vec![outputs], vec![b, outputs]] {
            // The library's own way back through a strided convolution fails for some images that are not square: one at a time the
            // sides are measured by `gradients_of_a_gpu_s_convolutions_are_finite_differences`.
            let side = if geometry.stride > 1 { [h, h] } else { [h, w] };
            assert_same(&Case::new(
                format!("{size}×{size}, {side:?}, {inputs} → {outputs}, {geometry:?}, bias {bias:?}"),
                &[&[b, side[0], side[1], inputs], &[size, size, inputs, outputs], &bias],
                move |x| on_device::convolve(&x[0], &x[1], &x[2], geometry),
                move |x| reference::convolve(&x[0], &x[1], &x[2], geometry),
            ));
        }
    }
}

#[test]
fn gradients_of_a_gpu_s_convolutions_are_finite_differences() {
    let mut rng = StdRng::seed_from_u64(2);
    for ([b, h, w, size, inputs, outputs], geometry) in convolutions() {
        let shapes = [vec![b, h, w, inputs], vec![size, size, inputs, outputs], vec![outputs]];
        let numbers = shapes.each_ref().map(|shape| uniform(shape.iter().product(), &mut rng));
        let tensors = |numbers: &[Vec<f32>; 3]| {
            let mut parts = numbers.iter().zip(&shapes);
            [(); 3].map(|()| {
                let (numbers, shape) = parts.next().unwrap();
                Var::from_vec(numbers.clone(), shape.as_slice(), &Device::Cpu).unwrap()
            })
        };
        let inputs = tensors(&numbers);
        let y = on_device::convolve(&inputs[0], &inputs[1], &inputs[2], geometry).unwrap();
        let weights = uniform(y.elem_count(), &mut rng);
        let weighted = Tensor::from_vec(weights.clone(), y.dims(), &Device::Cpu).unwrap();
        let gradients = (y * weighted).unwrap().sum_all().unwrap().backward().unwrap();
        let value = |numbers: &[Vec<f32>; 3]| -> f64 {
            let [x, kernel, bias] = tensors(numbers);
            let y = on_device::convolve(&x, &kernel, &bias, geometry).unwrap();
            let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            y.iter().zip(&weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
        };
        for (part, input) in inputs.iter().enumerate() {
            let gradient = gradients.get(input).expect("a gradient").flatten_all().unwrap();
            let gradient = gradient.to_vec1::<f32>().unwrap();
            for _ in 0..6 {
                let at = rng.random_range(0..gradient.len());
                // L is linear in each input: a step of 1 has no error but rounding, of sums of up to 600 products
                let [mut above, mut below] = [numbers.clone(), numbers.clone()];
                above[part][at] += 0.5;
                below[part][at] -= 0.5;
                let difference = value(&above) - value(&below);
                let error = (difference - f64::from(gradient[at])).abs();
                let case = format!("{:?} {geometry:?}, input {part} at {at}", shapes);
                assert!(error < 2e-5, "{case}: {} and by differences {difference}", gradient[at]);
            }
        }
    }
}

fn uniform(count: usize, rng: &mut StdRng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

#[test]
fn every_operation_of_a_gpu_is_that_of_the_cpu() {
    for case in cases(2) {
        let Difference { values, gradients } =
            case.difference_on(&Device::Cpu, &mut StdRng::seed_from_u64(3)).unwrap();
        assert!(values < 1e-5, "{}: values differ by {values:e}", case.name());
        assert!(gradients < 1e-5, "{}: gradients differ by {gradients:e}", case.name());
    }
}

/// A network with a halving, a doubling, a shortcut and attention.
fn small() -> UNetConfig {
    UNetConfig {
        layers_per_block: 1,
        norm_num_groups: 4,
        dropout: 0.0,
        ..UNetConfig::levels((8, 8), 1, &[8, 16], &[1])
    }
}

#[test]
fn a_network_on_a_gpu_is_that_on_the_cpu() {
    for config in [small(), UNetConfig { downsample_padding: 0, ..small() }] {
        let network = UNet::fully_initialised(config, &mut StdRng::seed_from_u64(4), &Device::Cpu).unwrap();
        let x = Var::from_vec(uniform(3 * 64, &mut StdRng::seed_from_u64(5)), (3, 8, 8, 1), &Device::Cpu)
            .unwrap();
        let pass = || network.forward(&x, &[1.0, 7.0, 500.0], Phase::Train { seed: 1 }).unwrap();
        let (here, there) = (pass(), as_on_a_gpu(pass));
        // rounding adds up over some twenty layers
        assert!(relative_difference(&there, &here).unwrap() < 1e-5);
        let gradients = [here, there].map(|y| y.sqr().unwrap().sum_all().unwrap().backward().unwrap());
        for (name, variable) in network.parameters().names().iter().zip(network.parameters().variables()) {
            let [here, there] =
                gradients.each_ref().map(|gradients| gradients.get(variable).expect("a gradient"));
            // the key's bias shifts all scores of a row alike: its gradient is rounding and nothing else
            let apart =
                if name.ends_with("to_k.bias") { 0.0 } else { relative_difference(there, here).unwrap() };
            assert!(apart < 1e-4, "gradients by {name} differ by {apart:e}");
        }
    }
}

struct Noise;

impl ImageSource for Noise {
    fn shape(&self) -> (usize, usize, usize) {
        (8, 8, 1)
    }

    fn len(&self) -> usize {
        50
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        let mut rng = StdRng::seed_from_u64(index as u64);
        pixels.fill_with(|| rng.random_range(-1.0..1.0));
        Ok(())
    }
}

#[test]
fn training_steps_of_a_gpu_are_those_of_the_cpu() {
    let noise = || Collection {
        name: "noise".into(),
        train: Box::new(Noise),
        test: None,
        unreadable: Vec::new(),
        notes: Vec::new(),
    };
    let training = TrainConfig { steps: 20, batch: 20, warm_up: 5, ..TrainConfig::default() };
    let config = RunConfig::new(small(), (ScheduleName::Cosine, 100), training, &noise()).unwrap();
    let run = || {
        let mut trainer = Trainer::new(config.clone(), &Device::Cpu).unwrap();
        let (schedule, images) = (trainer.schedule().clone(), noise());
        let mut batches = BatchStream::of(&config.training, images.train.as_ref(), &schedule);
        let reports = trainer.take_steps(&mut batches, 20).unwrap();
        let losses: Vec<f64> = reports.iter().map(|report| report.loss).collect();
        (losses, trainer.checkpoint().unwrap().into_rows().unwrap())
    };
    let ((here, rows), (there, rows_there)) = (run(), as_on_a_gpu(run));
    // a GPU is read after every tenth step: a mean over ten
    assert_eq!((here.len(), there.len()), (20, 2));
    for (mean, losses) in there.iter().zip(here.chunks_exact(10)) {
        let expected = losses.iter().sum::<f64>() / 10.0;
        assert!((mean - expected).abs() < 1e-4 * expected, "mean loss {mean}, on the CPU {expected}");
    }
    // Adam divides by √v, so where a gradient is hardly more than rounding the step is not: at most 20 steps of 1e-3
    let apart = |a: &[f32], b: &[f32]| largest(a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())));
    let moved = apart(&rows.weights, &rows.average);
    let difference = apart(&rows.weights, &rows_there.weights);
    assert!(difference < 0.2 * moved, "weights differ by {difference:e}; weights and average by {moved:e}");
}

#[test]
fn attention_with_its_layers_is_the_tensor_library_s_own_on_a_gpu() {
    let mut rng = StdRng::seed_from_u64(9);
    let mut draw = |shape: &[usize]| {
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    };
    let x = draw(&[2, 49, 64]);
    let (weights, biases) = ([(); 3].map(|()| draw(&[64, 64])), [(); 3].map(|()| draw(&[64])));
    let (weights, biases) = (weights.each_ref(), biases.each_ref());
    let bits = |y: Result<Tensor>| -> Vec<u32> {
        let numbers = y.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        numbers.into_iter().map(f32::to_bits).collect()
    };
    let on_a_gpu = bits(as_on_a_gpu(|| operations::self_attend(&x, weights, biases, 8)));
    assert_eq!(on_a_gpu, bits(reference::self_attend(&x, weights, biases, 8)));
    let on_the_cpu = bits(operations::self_attend(&x, weights, biases, 8));
    assert_ne!(on_a_gpu, on_the_cpu, "the CPU's one product adds in another order");
}
