//! ch15_sample_images: images drawn from noise, held against exact worlds and against the chain on rows of doubles.

mod common;

use candle_core::{Device, Tensor};
use common::{assert_close, rng};
use ddpm::{
    course,
    denoiser::{ExactDenoiser, PosteriorMean},
    reverse::FixedVariance,
    sampler::{
        Spacing, Step, ancestral, ancestral_step, ddim_inversion, ddim_step, moments_drawn,
        rederived_ddim_step, time_grid,
    },
    schedule::{Schedule, ScheduleName},
};
use ddpm_unet::{
    denoiser::{CallCounter, GaussianImages, ImageDenoiser, NetworkDenoiser, Recording},
    images::{
        Collection, Split, batch,
        grid::{ImageGrid, strip},
        mnist,
        pixels::pixel,
        some_of, statistics,
    },
    network::{Phase, UNet, config::UNetConfig, parameters::Parameters},
    sample::{
        Compared, Film, Inpainting, Known, LatentMoments, NormalPixels, Opened, PixelPair, PixelStats,
        Sampler, SamplingPlan, apply, encoding_end,
        forward::{diffuse, diffuse_between, standard_normal},
        inpaint, mean_squared_error, mean_squared_errors, mix_noised, open, predict_x_0, psnr, psnrs,
        replace_known, sample, seam_roughness, shared, shipped_checkpoint, slerp, straight,
        variances_of_draws, walk,
    },
    train::{
        RunConfig, TrainConfig, Trainer,
        checkpoint::{Checkpoint, CheckpointFolder},
    },
};
use ndarray::{Array1, Array2, ArrayView1};

const CHOICES: [FixedVariance; 2] = [FixedVariance::Beta, FixedVariance::Posterior];
const CPU: &Device = &Device::Cpu;
type Way = fn(&Tensor, &Tensor, f64) -> ddpm_unet::Result<Tensor>;
const SHAPE: (usize, usize, usize) = (3, 4, 2);

/// Independent Gaussian pixels of different means and variances, for rows of doubles.
struct Rows {
    mean: Array1<f64>,
    variance: Array1<f64>,
}

impl Rows {
    fn new() -> Self {
        let size = SHAPE.0 * SHAPE.1 * SHAPE.2;
        Rows {
            mean: Array1::from_shape_fn(size, |i| (i as f64).sin() * 0.8),
            variance: Array1::from_shape_fn(size, |i| 0.02 + 0.4 * (i as f64 * 0.7).cos().powi(2)),
        }
    }

    fn images(&self, schedule: &Schedule) -> GaussianImages {
        let tensor = |row: &Array1<f64>| {
            let row: Vec<f32> = row.iter().map(|&x| x as f32).collect();
            Tensor::from_vec(row, SHAPE, CPU).unwrap()
        };
        GaussianImages {
            schedule: schedule.clone(),
            mean: tensor(&self.mean),
            variance: tensor(&self.variance),
            axes: None,
        }
    }
}

impl PosteriorMean for Rows {
    fn posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64> {
        // Two Gaussians multiply: precisions add.
        let precision = 1.0 / &self.variance + signal * signal / variance;
        (&self.mean / &self.variance + &x_t * (signal / variance)) / precision
    }
}

fn noise(images: usize, seed: u64) -> Tensor {
    standard_normal((images, SHAPE.0, SHAPE.1, SHAPE.2), &mut rng(seed), CPU).unwrap()
}

fn numbers(x: &Tensor) -> Vec<f64> {
    let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    x.into_iter().map(f64::from).collect()
}

fn rows(x: &Tensor) -> Array2<f64> {
    let count = x.dims()[0];
    let numbers = numbers(x);
    Array2::from_shape_vec((count, numbers.len() / count), numbers).unwrap()
}

/// The largest difference of two tensors.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims(), "shapes");
    // a difference that is not a number is a large one
    let gap = |(a, b): (&f64, f64)| if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
    numbers(a).iter().zip(numbers(b)).map(gap).fold(0.0, f64::max)
}

/// One number as a batch.
fn one(x: f64) -> Tensor {
    Tensor::from_vec(vec![x as f32], (1, 1, 1, 1), CPU).unwrap()
}

const STEP: Step = Step {
    t: 3,
    x_t: 0.5,
    eps: -0.2,
    x_0: 0.3,
    noise: 0.1,
    x_0_from_x_t: 2.0,
    x_0_from_eps: -1.0,
    clip: None,
};

#[test]
fn apply_multiplies_and_adds() {
    let (x_t, eps, z) = (0.7, 0.4, -1.3);
    let got = |step: &Step| numbers(&apply(step, &one(eps), &one(x_t), &one(z)).unwrap())[0];
    let mean = |x_0: f64| 0.5 * x_t - 0.2 * eps + 0.3 * x_0;
    assert_close("x_2", got(&STEP), mean(2.0 * x_t - eps) + 0.1 * z, 1e-6);
    let clipped = Step { clip: Some(0.8), ..STEP };
    assert_close("x_2, x̂_0 = 1 clipped to 0.8", got(&clipped), mean(0.8) + 0.1 * z, 1e-6);
    let unclipped = Step { clip: Some(1.1), ..STEP };
    assert_close("x_2, x̂_0 = 1 within 1.1", got(&unclipped), mean(1.0) + 0.1 * z, 1e-6);
    let still = Step { noise: 0.0, ..STEP };
    assert_close("x_2, no noise", got(&still), mean(1.0), 1e-6);
    let uncalled = numbers(&apply(&still, &one(eps), &one(x_t), &one(f64::INFINITY)).unwrap())[0];
    assert_close("x_2, no noise: z is left out, not multiplied by 0", uncalled, mean(1.0), 1e-6);
}

#[test]
fn apply_leaves_out_an_x_0_that_nobody_asks_for() {
    let step = Step { x_0: 0.0, x_0_from_x_t: f64::INFINITY, x_0_from_eps: f64::NEG_INFINITY, ..STEP };
    let got = numbers(&apply(&step, &one(0.4), &one(0.7), &one(0.0)).unwrap())[0];
    assert_close("x_2 where x̂_0 is infinite", got, 0.5 * 0.7 - 0.2 * 0.4, 1e-6);
}

#[test]
fn predict_x_0_undoes_the_noise_and_clips() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let x_0 = (noise(5, 1) * 0.6).unwrap();
    let eps = noise(5, 2);
    for step in ancestral(&schedule, FixedVariance::Beta, Some(0.5)) {
        if ![1, 10, 500].contains(&step.t) {
            continue;
        }
        let x_t = diffuse(&schedule, step.t, &x_0, &eps).unwrap();
        let free = Step { clip: None, ..step };
        let got = predict_x_0(&free, &eps, &x_t).unwrap();
        // a float's 6e-8, times 1/√ᾱ_500 = 3.6 and the size of x
        assert!(apart(&got, &x_0) < 5e-6, "t = {}: x̂_0 is {} from x_0", step.t, apart(&got, &x_0));
        let clipped = predict_x_0(&step, &eps, &x_t).unwrap();
        let held = x_0.clamp(-0.5f32, 0.5f32).unwrap();
        let off = apart(&clipped, &held);
        assert!(off < 5e-6, "t = {}: x̂_0 held in ±0.5: off by {off:.1e}", step.t);
    }
}

// ANCHOR: sample_is_the_chain_of_part_i
#[test]
fn sample_is_the_chain_of_part_i() {
    // The same world, the same generator: rows of doubles in ndarray, images of floats in candle.
    let schedule = Schedule::linear(100, 1e-3, 0.2).unwrap();
    let world = Rows::new();
    let images = world.images(&schedule);
    for choice in CHOICES {
        for clip in [None, Some(0.9)] {
            let steps = ancestral(&schedule, choice, clip);
            let mut seen = Vec::new();
            ddpm::sampler::sample(
                &steps,
                &ExactDenoiser::new(&schedule, &world),
                rows(&noise(6, 3)),
                &mut rng(4),
                |t, x| seen.push((t, x.clone())),
            );
            let mut seen = seen.into_iter();
            sample(&steps, &images, noise(6, 3), &mut rng(4), |t, x| {
                let (expected_t, expected) = seen.next().expect("as many steps");
                assert_eq!(t, expected_t, "{choice}, clip {clip:?}: the order of the steps");
                common::assert_all_close(
                    &format!("{choice}, clip {clip:?}: x_{t}"),
                    &rows(x),
                    &expected,
                    1e-4,
                );
                Ok(())
            })
            .unwrap();
            assert!(seen.next().is_none(), "a step was left out");
        }
    }
}
// ANCHOR_END: sample_is_the_chain_of_part_i

#[test]
fn sample_asks_the_denoiser_once_a_step() {
    let schedule = Schedule::linear(30, 1e-3, 0.2).unwrap();
    let counter = CallCounter::new(Rows::new().images(&schedule));
    let mut visited = Vec::new();
    sample(&ancestral(&schedule, FixedVariance::Beta, None), &counter, noise(2, 5), &mut rng(6), |t, _| {
        visited.push(t);
        Ok(())
    })
    .unwrap();
    assert_eq!(counter.calls(), 30);
    assert_eq!(visited, (0..=30).rev().collect::<Vec<_>>());
}

// ANCHOR: sample_adds_no_noise_in_the_last_step
#[test]
fn sample_adds_no_noise_in_the_last_step() {
    let schedule = Schedule::linear(30, 1e-3, 0.2).unwrap();
    let images = Rows::new().images(&schedule);
    let steps = ancestral(&schedule, FixedVariance::Beta, Some(1.0));
    let run = |from: usize, seed: u64| {
        sample(&steps[from..], &images, noise(3, 7), &mut rng(seed), |_, _| Ok(())).unwrap()
    };
    assert_eq!(apart(&run(29, 1), &run(29, 2)), 0.0, "the same x_1, another generator: the same x_0");
    assert!(apart(&run(28, 1), &run(28, 2)) > 0.0, "any other step does add noise");
}
// ANCHOR_END: sample_adds_no_noise_in_the_last_step

#[test]
fn ddim_asks_for_nothing_but_the_noise_it_began_with() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let counter = CallCounter::new(Rows::new().images(&schedule));
    let run = |eta, seed| {
        let steps = Sampler::Ddim(eta).steps(&schedule, 20, Spacing::Trailing, Some(1.5)).unwrap();
        sample(&steps, &counter, noise(3, 30), &mut rng(seed), |_, _| Ok(())).unwrap()
    };
    assert_eq!(apart(&run(0.0, 1), &run(0.0, 2)), 0.0, "η = 0: another generator, the same images");
    assert_eq!(counter.calls(), 40, "20 calls each");
    assert!(apart(&run(0.5, 1), &run(0.5, 2)) > 0.1, "η = ½ does draw noise");
}

// ANCHOR: every_sampler_draws_what_its_steps_say
#[test]
fn every_sampler_draws_what_its_steps_say() {
    // Few steps draw another variance than the data's, and how much another is known: 24 pixels, 4000 images.
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let world = Rows::new();
    let images = world.images(&schedule);
    for sampler in
        [Sampler::Ddpm(CHOICES[0]), Sampler::Ddpm(CHOICES[1]), Sampler::Ddim(0.0), Sampler::Ddim(1.0)]
    {
        let steps = sampler.steps(&schedule, 25, Spacing::Trailing, None).unwrap();
        assert_eq!(steps.len(), 25);
        let drawn = sample(&steps, &images, noise(4000, 31), &mut rng(32), |_, _| Ok(())).unwrap();
        let moments = ddpm::metrics::Moments::of(&rows(&drawn));
        for i in 0..24 {
            let (mean, variance) = moments_drawn(&schedule, &steps, (world.mean[i], world.variance[i]));
            let errors = (moments.mean_error[i], moments.covariance_error[(i, i)]);
            let what = format!("{sampler:?}: pixel {i}");
            assert_close(&format!("{what}: mean"), moments.mean[i], mean, 4.5 * errors.0);
            assert_close(&format!("{what}: variance"), moments.covariance[(i, i)], variance, 4.5 * errors.1);
        }
    }
}
// ANCHOR_END: every_sampler_draws_what_its_steps_say

#[test]
fn encoding_and_decoding_give_an_image_back() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let images = Rows::new().images(&schedule);
    let x_0 = sample(
        &ancestral(&schedule, FixedVariance::Posterior, None),
        &images,
        noise(10, 33),
        &mut rng(34),
        |_, _| Ok(()),
    )
    .unwrap();
    let mut before = f64::INFINITY;
    for count in [10, 40, 160, 640] {
        let grid = time_grid(1000, count, Spacing::Trailing).unwrap();
        let run = |steps: &[Step], x| sample(steps, &images, x, &mut rng(0), |_, _| Ok(())).unwrap();
        let latent = run(&ddim_inversion(&schedule, &grid), x_0.clone());
        let back = run(&Sampler::Ddim(0.0).along(&schedule, &grid, None).unwrap(), latent);
        let error = apart(&back, &x_0);
        assert!(error < 0.5 * before, "{count} steps up and down: {error:.2e} after {before:.2e}");
        before = error;
    }
}

#[test]
fn sampler_refuses_what_a_reader_can_get_wrong() {
    let schedule = Schedule::linear(100, 1e-4, 0.02).unwrap();
    let message = |sampler: Sampler, count| {
        sampler.steps(&schedule, count, Spacing::Leading, None).unwrap_err().to_string()
    };
    assert!(message(Sampler::Ddim(1.5), 10).contains("--eta is 1.5; it must lie in [0, 1]"));
    assert!(message(Sampler::Ddim(f64::NAN), 10).contains("--eta"));
    for sampler in [Sampler::Ddim(0.0), Sampler::Ddpm(FixedVariance::Beta)] {
        for count in [0, 101] {
            assert!(message(sampler, count).contains(&count.to_string()), "{count} steps of 100");
        }
    }
}

#[test]
fn sample_stops_where_watch_says_so() {
    let schedule = Schedule::linear(30, 1e-3, 0.2).unwrap();
    let counter = CallCounter::new(Rows::new().images(&schedule));
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    let stopped = sample(&steps, &counter, noise(2, 8), &mut rng(9), |t, _| {
        if t == 20 { Err(ddpm::Error::NoSteps.into()) } else { Ok(()) }
    });
    assert!(stopped.is_err());
    assert_eq!(counter.calls(), 10);
}

#[test]
fn noise_is_part_i_s_noise() {
    let images = noise(3, 11);
    let expected = ddpm::forward::standard_normal::<f64>(3, 24, &mut rng(11));
    common::assert_all_close("noise", &rows(&images), &expected, 1e-6);
    assert_eq!(images.dims(), [3, 3, 4, 2]);
}

#[test]
fn diffuse_jumps_as_part_i_does() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let (x_0, eps) = (noise(4, 12), noise(4, 13));
    for t in [0, 1, 25, 50] {
        let expected = ddpm::forward::diffuse(&rows(&x_0), schedule.alpha_bar(t), &rows(&eps));
        let got = diffuse(&schedule, t, &x_0, &eps).unwrap();
        common::assert_all_close(&format!("x_{t}"), &rows(&got), &expected, 1e-6);
    }
}

// ANCHOR: pixel_gives_every_byte_back
#[test]
fn pixel_gives_every_byte_back() {
    for byte in 0..=255u8 {
        assert_eq!(pixel(f32::from(byte) / 127.5 - 1.0), byte, "byte {byte} to [−1, 1] and back");
        // anything nearer to this byte than to a neighbour
        for off in [-0.49, 0.49] {
            assert_eq!(pixel((f32::from(byte) + off) / 127.5 - 1.0), byte, "{off} beside byte {byte}");
        }
    }
}
// ANCHOR_END: pixel_gives_every_byte_back

#[test]
fn diffuse_between_is_the_chain_s_steps_in_one() {
    // The mean of q(x_t | x_s) by its single steps, and its variance by what they leave.
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let (x_s, zero) = (noise(2, 14), noise(2, 14).zeros_like().unwrap());
    let mut mean = x_s.clone();
    let mut variance = 0.0;
    for t in 21..=30 {
        mean = (mean * schedule.alpha(t).sqrt()).unwrap();
        variance = schedule.alpha(t) * variance + schedule.beta(t);
        let got = diffuse_between(&schedule, 20, t, &x_s, &zero).unwrap();
        assert!(apart(&got, &mean) < 1e-6, "the mean of x_{t} given x_20");
        let got = numbers(&diffuse_between(&schedule, 20, t, &one(0.0), &one(1.0)).unwrap())[0];
        assert_close(&format!("the deviation of x_{t} given x_20"), got, variance.sqrt(), 1e-6);
    }
}

// ANCHOR: slerp_keeps_the_angle_s_share_and_the_length
#[test]
fn slerp_keeps_the_angle_s_share_and_the_length() {
    let dot = |a: &Tensor, b: &Tensor| numbers(a).iter().zip(numbers(b)).map(|(a, b)| a * b).sum::<f64>();
    // two images of length 3, 50° apart
    let (length, angle) = (3.0, 50f64.to_radians());
    let plane = |at: f64| {
        let pixels = [length * at.cos(), 0.0, length * at.sin(), 0.0].map(|x| x as f32);
        Tensor::from_vec(pixels.to_vec(), (1, 2, 2, 1), CPU).unwrap()
    };
    for share in [0.0, 0.2, 0.5, 0.9, 1.0] {
        let got = slerp(&plane(0.0), &plane(angle), share).unwrap();
        let expected = plane(share * angle);
        let (found, wanted) = (numbers(&got), numbers(&expected));
        assert!(apart(&got, &expected) < 1e-6, "{share} of the way: got {found:?}, expected {wanted:?}");
        assert_close(&format!("length at {share}"), dot(&got, &got).sqrt(), length, 1e-5);
    }
}
// ANCHOR_END: slerp_keeps_the_angle_s_share_and_the_length

#[test]
fn slerp_gives_each_image_its_own_way() {
    let (a, b) = (noise(3, 15), noise(3, 16));
    let all = slerp(&a, &b, 0.3).unwrap();
    for i in 0..3 {
        let one = |x: &Tensor| x.narrow(0, i, 1).unwrap();
        let alone = slerp(&one(&a), &one(&b), 0.3).unwrap();
        let off = apart(&one(&all), &alone);
        assert!(off < 1e-6, "image {i}: in a batch and alone it comes out apart by {off:.1e}");
    }
}

#[test]
fn slerp_between_parallel_images_is_a_straight_line() {
    let a = noise(2, 17);
    let off = apart(&slerp(&a, &(&a * 2.0).unwrap(), 0.25).unwrap(), &(&a * 1.25).unwrap());
    assert!(off < 1e-5, "a quarter of the way from a to 2 a: off by {off:.1e}");
    for seed in 0..50 {
        // the cosine of an image and itself is 1 up to rounding, and may be more
        let a = noise(1, seed);
        let off = apart(&slerp(&a, &(&a * 3.0).unwrap(), 0.5).unwrap(), &(&a * 2.0).unwrap());
        assert!(off < 1e-5, "half of the way from a to 3 a: off by {off:.1e}");
    }
}

#[test]
fn slerp_stays_a_normal_noise_where_a_straight_line_does_not() {
    // Two noises of 10⁴ pixels: variance 1 ± 4·√(2/10⁴) on the circle, ½ in the middle of the line.
    let noise = |seed| standard_normal((1, 100, 100, 1), &mut rng(seed), CPU).unwrap();
    let variance = |x: &Tensor| numbers(x).iter().map(|x| x * x).sum::<f64>() / 1e4;
    let (a, b) = (noise(18), noise(19));
    assert_close("on the circle", variance(&slerp(&a, &b, 0.5).unwrap()), 1.0, 0.06);
    assert_close("on the line", variance(&((a + b).unwrap() * 0.5).unwrap()), 0.5, 0.03);
}

#[test]
fn replace_known_puts_q_of_x_t_into_the_known_pixels_only() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let mask: Vec<f32> = (0..48).map(|i| if i % 3 == 0 { 1.0 } else { 0.0 }).collect();
    let mask = Tensor::from_vec(mask, (2, SHAPE.0, SHAPE.1, SHAPE.2), CPU).unwrap();
    let known = Known { x_0: noise(2, 21), mask };
    let (x_t, eps) = (noise(2, 22), noise(2, 23));
    for t in [0, 1, 25, 50] {
        let got = numbers(&replace_known(&schedule, t, &x_t, &known, &eps).unwrap());
        let jump = ddpm::forward::diffuse(&rows(&known.x_0), schedule.alpha_bar(t), &rows(&eps));
        for (i, (got, jump)) in got.iter().zip(jump).enumerate() {
            let expected = if i % 3 == 0 { jump } else { numbers(&x_t)[i] };
            assert_close(&format!("t = {t}, pixel {i}"), *got, expected, 1e-6);
        }
    }
}

#[test]
fn the_pair_s_chain_draws_its_correlation() {
    let schedule = Schedule::linear(200, 1e-3, 0.1).unwrap();
    let x_t = standard_normal((20_000, 1, 2, 1), &mut rng(24), CPU).unwrap();
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    let drawn = sample(
        &steps,
        &GaussianImages::pair(&schedule, 0.5, 0.8, CPU).unwrap(),
        x_t,
        &mut rng(25),
        |_, _| Ok(()),
    )
    .unwrap();
    let moments = ddpm::metrics::Moments::of(&rows(&drawn));
    for mean in &moments.mean {
        assert_close("mean", *mean, 0.0, 0.02);
    }
    let covariance = &moments.covariance;
    for (i, j, expected) in [(0, 0, 0.5), (1, 1, 0.5), (0, 1, 0.4)] {
        assert_close(&format!("covariance {i}{j}"), covariance[(i, j)], expected, 0.02);
    }
}

/// Where the right pixel's mean ends when the left one is known: everything is linear, so the mean goes through the chain
/// as a single image without noise would. By hand, with the inverse of a 2 × 2 matrix.
fn mean_of_inpainting(schedule: &Schedule, steps: &[Step], left: f64, repeats: usize) -> f64 {
    let (mut right, mut reached) = (0.0, schedule.steps());
    for step in steps {
        let bar = schedule.alpha_bar(step.t);
        let kept = bar / schedule.alpha_bar(step.t - 1);
        for _ in 0..repeats {
            if reached < step.t {
                right *= kept.sqrt();
            }
            let (a, b) = (bar * 0.5 + 1.0 - bar, bar * 0.4); // the covariance of x_t
            let eps = (1.0 - bar).sqrt() * (a * right - b * bar.sqrt() * left) / (a * a - b * b);
            right = step.x_t * right + step.eps * eps;
            reached = step.t - 1;
        }
    }
    right
}

// ANCHOR: inpaint_by_replacement_falls_short_and_repeats_make_up_for_it
#[test]
fn inpaint_by_replacement_falls_short_and_repeats_make_up_for_it() {
    let schedule = Schedule::linear(100, 1e-3, 0.2).unwrap();
    let count = 20_000;
    let values =
        |left: f32, right: f32| Tensor::from_vec([left, right].repeat(count), (count, 1, 2, 1), CPU).unwrap();
    // The left pixel is 0.8, so the right one lies about 0.8 · 0.8, their correlation times it.
    let (known, truth) = (Known { x_0: values(0.8, 7.0), mask: values(1.0, 0.0) }, 0.64);
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    let mut short = Vec::new();
    for repeats in [1, 16] {
        let counter = CallCounter::new(GaussianImages::pair(&schedule, 0.5, 0.8, CPU).unwrap());
        let how = Inpainting { schedule: &schedule, known: &known, repeats };
        let x_t = standard_normal((count, 1, 2, 1), &mut rng(26), CPU).unwrap();
        let drawn = inpaint(&how, &steps, &counter, x_t, &mut rng(27), |_, _| Ok(())).unwrap();
        assert_eq!(counter.calls(), 100 * repeats, "calls with {repeats} repeats");
        let mean = rows(&drawn).mean_axis(ndarray::Axis(0)).unwrap();
        assert_close("the known pixel", mean[0], 0.8, 1e-5);
        let expected = mean_of_inpainting(&schedule, &steps, 0.8, repeats);
        // 4 standard errors at a deviation of at most √½
        assert_close(&format!("the unknown pixel, {repeats} repeats"), mean[1], expected, 0.02);
        short.push(truth - mean[1]);
    }
    assert!(short[0] > 0.2 && short[1] < 0.04, "short of the truth by {short:?}");
}
// ANCHOR_END: inpaint_by_replacement_falls_short_and_repeats_make_up_for_it

#[test]
fn seam_roughness_looks_at_pairs_across_the_seam_only() {
    let tensor = |values: [f32; 6]| Tensor::from_vec(values.to_vec(), (1, 2, 3, 1), CPU).unwrap();
    let images = tensor([0.0, 3.0, 9.0, 1.0, 5.0, 50.0]);
    // known: the left column and one pixel more; across the seam lie 3 to 9, 1 to 5, and 3 to 5
    let mask = tensor([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    let expected = ((36.0 + 16.0 + 4.0) / 3.0f64).sqrt();
    assert_close("roughness", seam_roughness(&images, &mask).unwrap(), expected, 1e-6);
}

#[test]
fn ink_counts_what_it_says() {
    let images = Tensor::new(&[[-1.0f32, 1.0], [0.5, -0.2], [1.2, -0.95], [1.04, -7.0]], CPU).unwrap();
    let ink = PixelStats::of(&images).unwrap();
    assert_close("mean", ink.mean, (0.5 - 0.2 + 1.2 - 0.95 + 1.04 - 7.0) / 8.0, 1e-6);
    assert_close("grey", ink.grey, 2.0 / 8.0, 1e-6);
    assert_close("outside", ink.outside, 2.0 / 8.0, 1e-6);
}

/// A small network with random weights in every place, so that every part of it counts.
fn network(sample_size: Option<(usize, usize)>, out_channels: usize) -> UNet {
    let config = UNetConfig {
        sample_size,
        out_channels,
        norm_num_groups: 4,
        attention_head_dim: Some(4),
        ..UNetConfig::levels((8, 8), 1, &[8, 16], &[1])
    };
    let tensors = config.specifications().unwrap().into_iter().enumerate().map(|(i, wanted)| {
        let count = wanted.shape.iter().product();
        let noise = standard_normal((1, 1, 1, count), &mut rng(i as u64), CPU).unwrap();
        (wanted.name, (noise * 0.3).unwrap().reshape(wanted.shape).unwrap())
    });
    UNet::new(config.clone(), Parameters::from_tensors(tensors.collect()).unwrap()).unwrap()
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn the_network_s_answer_does_not_depend_on_threads_or_chunks() {
    let network = network(Some((8, 8)), 1);
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let denoiser = NetworkDenoiser::new(network.clone(), schedule).unwrap();
    assert_eq!(denoiser.shape(), (8, 8, 1));
    for count in [1, 7, 30] {
        let x_t = standard_normal((count, 8, 8, 1), &mut rng(40), CPU).unwrap();
        let t: Vec<f64> = (0..count).map(|i| (1 + 33 * i) as f64).collect();
        let whole = network.forward(&x_t, &t, Phase::Evaluate).unwrap();
        let largest = whole.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(largest > 0.1, "a network that says nothing proves nothing");
        let one = with_threads(1, || denoiser.predict_each(&x_t, &t).unwrap());
        for threads in [2, 3] {
            let many = with_threads(threads, || denoiser.predict_each(&x_t, &t).unwrap());
            assert_eq!(apart(&one, &many), 0.0, "{count} images on {threads} threads");
        }
        for chunk in [1, 5, 64] {
            let chunked = denoiser.clone().chunk(chunk).predict_each(&x_t, &t).unwrap();
            let error = apart(&chunked, &whole) / f64::from(largest);
            assert!(error < 1e-5, "{count} images in chunks of {chunk}: {error:.1e}");
        }
        let same = denoiser.predict(&x_t, 300.0).unwrap();
        let expected = network.forward(&x_t, &vec![300.0; count], Phase::Evaluate).unwrap();
        assert!(apart(&same, &expected) / f64::from(largest) < 1e-5, "one t for {count} images");
    }
}

#[test]
fn a_network_that_cannot_be_sampled_from_is_refused() {
    let message = |network: UNet| {
        let schedule = Schedule::linear(10, 1e-3, 0.2).unwrap();
        NetworkDenoiser::new(network, schedule).unwrap_err().to_string()
    };
    assert!(message(network(None, 1)).contains("sample_size is missing"));
    assert!(message(network(Some((8, 8)), 2)).contains("out_channels is 2 for in_channels 1"));
}

#[test]
fn a_denoiser_takes_a_t_between_two_steps() {
    let network = network(Some((8, 8)), 1);
    let schedule = Schedule::linear(10, 1e-3, 0.2).unwrap();
    let denoiser = NetworkDenoiser::new(network.clone(), schedule).unwrap();
    let x_t = standard_normal((1, 8, 8, 1), &mut rng(41), CPU).unwrap();
    let at = |t| denoiser.predict(&x_t, t).unwrap();
    assert_eq!(apart(&at(2.5), &network.forward(&x_t, &[2.5], Phase::Evaluate).unwrap()), 0.0);
    let (before, after) = (apart(&at(2.5), &at(2.0)), apart(&at(2.5), &at(3.0)));
    assert!(before > 0.0 && after > 0.0, "t = 2.5 differs by {before} from 2 and by {after} from 3");
    for t in [0.5, 10.5, f64::NAN] {
        let rejected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| denoiser.predict(&x_t, t)));
        assert!(rejected.is_err(), "t = {t} lies outside of 1…10");
    }
}

#[test]
#[should_panic(expected = "a t lies outside of 1…10")]
fn a_t_beyond_the_schedule_is_a_bug() {
    let denoiser = NetworkDenoiser::new(network(Some((8, 8)), 1), Schedule::linear(10, 1e-3, 0.2).unwrap());
    let x_t = standard_normal((1, 8, 8, 1), &mut rng(41), CPU).unwrap();
    denoiser.unwrap().predict(&x_t, 11.0).unwrap();
}

#[test]
fn psnr_is_in_decibels_of_a_range_of_two() {
    assert_close("MSE 4", psnr(4.0), 0.0, 1e-12);
    assert_close("MSE 0.04", psnr(0.04), 20.0, 1e-12);
    assert_close("half the error", psnr(0.02) - psnr(0.04), 2f64.log10() * 10.0, 1e-12);
    let (a, b) = (noise(3, 28), noise(3, 29));
    let expected = (&rows(&a) - &rows(&b)).mapv(|x| x * x).mean_axis(ndarray::Axis(1)).unwrap();
    for (i, got) in mean_squared_errors(&a, &b).unwrap().into_iter().enumerate() {
        assert_close(&format!("error of image {i}"), got, expected[i], 1e-6);
    }
}

#[test]
fn pixel_holds_what_lies_outside() {
    assert_eq!([-7.0, -1.2, 1.2, 7.0, f32::INFINITY].map(pixel), [0, 0, 255, 255, 255]);
}

#[test]
fn a_sheet_has_every_image_in_its_place() {
    // 5 images of one shade each, 2 × 3 pixels, 2 a row, twice as large: 3 pixels of gutter
    for channels in [1usize, 3] {
        let shade = |i: usize, c: usize| (40 * i + 5 * c) as u8;
        let values: Vec<f32> = (0..5)
            .flat_map(|i| (0..6).flat_map(move |_| (0..channels).map(move |c| (i, c))))
            .map(|(i, c)| f32::from(shade(i, c)) / 127.5 - 1.0)
            .collect();
        let images = Tensor::from_vec(values, (5, 2, 3, channels), CPU).unwrap();
        let picture = ImageGrid::new(2).scale(2).draw(&images).unwrap();
        let drawn = picture.image().to_rgb8();
        assert_eq!(drawn.dimensions(), (3 + 2 * (6 + 3), 3 + 3 * (4 + 3)));
        for (x, y, rgb) in drawn.enumerate_pixels() {
            let place = |at: u32, side: u32| {
                let at = at.checked_sub(3)?;
                (at % (side + 3) < side).then_some((at / (side + 3)) as usize)
            };
            let image = place(x, 6).zip(place(y, 4)).map(|(column, row)| 2 * row + column).filter(|&i| i < 5);
            let expected = image.map_or([255; 3], |i| [0, 1, 2].map(|c| shade(i, c.min(channels - 1))));
            assert_eq!(rgb.0, expected, "{channels} channels, pixel ({x}, {y})");
        }
        let read = image::load_from_memory(&picture.png().unwrap()).unwrap();
        assert_eq!(&read, picture.image(), "through a PNG");
    }
}

#[test]
fn labels_stand_beside_the_images_and_change_none_of_them() {
    let images = (noise(6, 3).clamp(-1f32, 1f32).unwrap()).narrow(3, 0, 1).unwrap(); // 3 × 4 pixels
    let grid = || ImageGrid::new(3).scale(8);
    let bare = grid().draw(&images).unwrap().image().to_luma8();
    let named = grid().row_labels(["row", "two\nlines"]).column_labels(["a", "b\nb", ""]);
    let named = named.draw(&images).unwrap().image().to_luma8();
    let (left, top) = (named.width() - bare.width(), named.height() - bare.height());
    assert_eq!(top, 32, "two lines of 16 pixels");
    assert!((20..60).contains(&left), "the width of “lines”, and a blank: {left}");
    let part = |x, y, w, h| image::imageops::crop_imm(&named, x, y, w, h).to_image();
    assert!(part(left, top, bare.width(), bare.height()) == bare, "the images are as without labels");
    let ink = |x, y, w, h| part(x, y, w, h).pixels().map(|pixel| 255 - u64::from(pixel.0[0])).sum::<u64>();
    let row = 8 * 3 + 3; // with its gutter
    for (what, ink) in [
        ("the first row", ink(0, top, left, row)),
        ("the second row", ink(0, top + row, left, row)),
        ("the first column", ink(left, 16, 35, 16)),
        ("the second column, two lines", ink(left + 35, 0, 35, 16).min(ink(left + 35, 16, 35, 16))),
    ] {
        assert!(ink > 500, "{what} has no label: {ink}");
    }
    assert_eq!(ink(0, 0, left, 16), 0, "nothing stands in the corner");
    assert_eq!(ink(left + 70, 0, 35, 32), 0, "the third column has no label");
}

#[test]
fn a_sheet_of_nothing_or_of_four_channels_is_refused() {
    let images =
        |count, channels| Tensor::zeros((count, 2, 2, channels), candle_core::DType::F32, CPU).unwrap();
    let message = |images: Tensor| ImageGrid::new(2).draw(&images).unwrap_err().to_string();
    assert!(message(images(0, 1)).contains("at least 1"));
    assert!(message(images(1, 4)).contains("1 or 3"));
}

#[test]
fn a_strip_has_an_image_a_row() {
    let frames: Vec<Tensor> = (0..3).map(|seed| noise(2, 20 + seed)).collect();
    let sheet = strip(&frames).unwrap();
    for image in 0..2 {
        for (k, frame) in frames.iter().enumerate() {
            let (got, expected) = (sheet.get(3 * image + k).unwrap(), frame.get(image).unwrap());
            assert_eq!(apart(&got, &expected), 0.0, "image {image} in frame {k}");
        }
    }
}

#[test]
fn a_gif_has_a_frame_a_sheet_and_its_exact_greys() {
    use image::AnimationDecoder;
    let sheets: Vec<Tensor> =
        (0..3).map(|k| Tensor::full(k as f32 * 0.5 - 0.7, (2, 4, 4, 1), CPU).unwrap()).collect();
    let bytes = ImageGrid::new(2).gif(&sheets, 100).unwrap();
    let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 3);
    for (k, frame) in frames.iter().enumerate() {
        let grey = pixel(k as f32 * 0.5 - 0.7);
        assert_eq!(frame.buffer().get_pixel(10, 10).0, [grey, grey, grey, 255], "frame {k}");
        assert_eq!(frame.buffer().get_pixel(0, 0).0, [255; 4], "the gutter of frame {k}");
    }
}

/// A folder of diffusers' that ch13's tests are held against.
fn fixture(name: &str) -> std::path::PathBuf {
    course::within("tests/fixtures/unet").unwrap().join(name)
}

#[test]
fn a_diffusers_folder_opens_as_a_denoiser_and_draws() {
    let denoiser = open(&fixture("flat"), CPU).unwrap();
    let (h, w, c) = denoiser.shape();
    let steps = Sampler::Ddim(0.0).steps(denoiser.schedule(), 5, Spacing::Trailing, Some(1.0)).unwrap();
    let x_t = standard_normal((3, h, w, c), &mut rng(50), CPU).unwrap();
    let drawn = sample(&steps, &denoiser, x_t, &mut rng(51), |_, _| Ok(())).unwrap();
    assert_eq!(drawn.dims(), [3, h, w, c]);
    assert!(numbers(&drawn).iter().all(|x| (-1.0..=1.0).contains(x)), "x̂_0 is clipped, and x_0 is x̂_0");
}

#[test]
fn the_default_plan_is_algorithm_2_with_the_posterior_variance_in_fifty_clipped_calls() {
    let plan = SamplingPlan::default();
    let text = "Algorithm 2, σ² = β̃, 50 calls, leading times, x̂_0 clipped";
    assert_eq!(plan.to_string(), text);
    let schedule = Schedule::linear_scaled(400).unwrap();
    let by_hand = Sampler::Ddpm(FixedVariance::Posterior).steps(&schedule, 50, Spacing::Leading, Some(1.0));
    assert_eq!(plan.steps(&schedule).unwrap(), by_hand.unwrap());
    let short = Schedule::linear_scaled(25).unwrap();
    assert!(plan.steps(&short).unwrap_err().to_string().contains("here T = 25"));
    assert_eq!(plan.within(&short).steps(&short).unwrap().len(), 25);
    let ddim = SamplingPlan { sampler: Sampler::Ddim(0.5), clip: None, ..plan };
    assert_eq!(ddim.to_string(), "DDIM, η = 0.5, 50 calls, leading times, x̂_0 not clipped");
}

/// A checkpoint of a small untrained network, as a run writes it.
fn checkpoint() -> Checkpoint {
    let network = UNetConfig { norm_num_groups: 4, ..UNetConfig::levels((28, 28), 1, &[4, 8], &[]) };
    let collection = Collection::open(None, None).unwrap();
    let training = TrainConfig { steps: 3, batch: 2, ..TrainConfig::default() };
    let setting = RunConfig::new(network, (ScheduleName::Cosine, 1000), training, &collection).unwrap();
    Trainer::new(setting, CPU).unwrap().checkpoint().unwrap()
}

#[test]
fn a_runs_folder_opens_with_both_weights_its_model_with_the_average() {
    let run = tempfile::tempdir().unwrap();
    let whole = checkpoint();
    let saved = CheckpointFolder::in_run(run.path()).save(&whole).unwrap().path;
    let model = run.path().join("model.safetensors");
    whole.for_sampling().save(&model).unwrap();
    for place in [run.path(), &run.path().join("checkpoints"), &saved] {
        let opened = Opened::at(place, CPU).unwrap();
        assert_eq!((&opened.path, opened.last.is_some()), (&saved, true), "{}", place.display());
        assert!(opened.passed_over.is_empty());
    }
    let opened = Opened::at(&model, CPU).unwrap();
    assert_eq!((&opened.path, opened.last.is_some()), (&model, false));
    // a run whose checkpoints were cleared away
    std::fs::remove_dir_all(run.path().join("checkpoints")).unwrap();
    assert_eq!(Opened::at(run.path(), CPU).unwrap().path, model);
    // a damaged newest checkpoint is passed over, and named
    let folder = CheckpointFolder::in_run(run.path());
    folder.save(&whole).unwrap();
    std::fs::write(folder.path().join("step-00000009.safetensors"), "half").unwrap();
    let opened = Opened::at(run.path(), CPU).unwrap();
    assert_eq!((opened.path, opened.passed_over.len()), (saved, 1));
    assert!(opened.passed_over[0].to_string().contains("step-00000009"));
}

#[test]
fn latent_moments_are_those_of_noise_for_noise_and_tell_a_silhouette() {
    let x_0 = batch(&mnist(Split::Test).unwrap(), 0..64, CPU).unwrap();
    let noise = standard_normal((64, 28, 28, 1), &mut rng(70), CPU).unwrap();
    let of = LatentMoments::of(&noise, &x_0).unwrap();
    // by hand, pixel by pixel
    let (z, x) = (numbers(&noise), numbers(&x_0));
    let variance = |chosen: &dyn Fn(f64) -> bool| {
        let some: Array1<f64> = z.iter().zip(&x).filter(|(_, x)| chosen(**x)).map(|(z, _)| *z).collect();
        (some.len() as f64, some.var(0.0))
    };
    let (ink, on_ink) = variance(&|x| x > 0.0);
    let (black, off_ink) = variance(&|x| x <= -1.0);
    assert_close("on ink", on_ink, of.on_ink, 1e-3);
    assert_close("off ink", off_ink, of.off_ink, 1e-3);
    assert_close("on ink, of noise", 1.0, of.on_ink, 5.0 * (2.0 / ink).sqrt());
    assert_close("off ink, of noise", 1.0, of.off_ink, 5.0 * (2.0 / black).sqrt());
    assert_close("neighbours, of noise", 0.0, of.neighbours, 5.0 / black.sqrt());
    // a silhouette: the ink three times as loud, and a wash that neighbours share
    let ink = x_0.gt(0f32).unwrap().to_dtype(candle_core::DType::F32).unwrap();
    let loud = (&noise * ((ink * 2.0).unwrap() + 1.0).unwrap()).unwrap();
    let shared = standard_normal((64, 1, 1, 1), &mut rng(71), CPU).unwrap();
    let of = LatentMoments::of(&loud.broadcast_add(&shared).unwrap(), &x_0).unwrap();
    assert!(of.on_ink > 8.0 && of.off_ink < 3.0, "{of:?}");
    assert_close("neighbours that share half of their variance", 0.5, of.neighbours, 0.15);
}

#[test]
fn what_is_no_network_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &std::path::Path| open(path, CPU).unwrap_err().to_string();
    let missing = folder.path().join("missing.safetensors");
    assert!(message(&missing).contains("missing.safetensors"), "{}", message(&missing));
    let empty = message(folder.path());
    assert!(empty.contains("config.json") && empty.contains("checkpoints or model.safetensors"), "{empty}");
    // a network without the schedule of its training
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(fixture("flat").join(file), folder.path().join(file)).unwrap();
    }
    assert!(message(folder.path()).contains("scheduler_config.json"), "{}", message(folder.path()));
}

#[test]
fn the_shipped_checkpoint_tells_noise_from_digits() {
    let denoiser = open(&shipped_checkpoint().unwrap(), CPU).unwrap();
    assert_eq!(denoiser.shape(), (28, 28, 1));
    let x_0 = batch(&mnist(Split::Test).unwrap(), 0..8, CPU).unwrap();
    let eps = standard_normal((8, 28, 28, 1), &mut rng(60), CPU).unwrap();
    let t = denoiser.schedule().steps() / 2;
    let x_t = diffuse(denoiser.schedule(), t, &x_0, &eps).unwrap();
    // A network that says nothing has an error of 1; how good this one is, the chapters say.
    for (i, error) in
        mean_squared_errors(&denoiser.predict(&x_t, t as f64).unwrap(), &eps).unwrap().iter().enumerate()
    {
        assert!(*error < 0.5, "image {i} at t = {t}: {error}");
    }
}

#[test]
fn statistics_of_a_tensor_are_those_of_its_numbers() {
    let (a, b) = (noise(5, 80), noise(5, 81));
    let (x, y) = (numbers(&a), numbers(&b));
    let all = Array1::from(x.clone());
    assert_close("mean", statistics::mean(&a).unwrap(), all.mean().unwrap(), 1e-6);
    assert_close("variance", statistics::variance(&a).unwrap(), all.var(1.0), 1e-5);
    assert_close("mean square", statistics::mean_square(&a).unwrap(), all.dot(&all) / all.len() as f64, 1e-5);
    let largest = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert_close("difference", statistics::largest_difference(&a, &b).unwrap(), largest, 1e-6);
    let rows = rows(&a);
    let means = rows.mean_axis(ndarray::Axis(1)).unwrap();
    let error = means.std(1.0) / 5f64.sqrt();
    assert_close("error of the mean", statistics::error_of_mean(&a).unwrap(), error, 1e-6);
    let between = rows.var_axis(ndarray::Axis(0), 1.0).mean().unwrap();
    assert_close("variance between images", statistics::variance_between(&a).unwrap(), between, 1e-5);
}

#[test]
fn psnrs_are_those_of_each_batch() {
    let (truth, one) = (noise(4, 82), noise(4, 83));
    let other = (&truth + 0.02).unwrap();
    let decibels = psnrs([&one, &other], &truth).unwrap();
    let error = apart_squared(&one, &truth);
    assert_close("mean squared error", mean_squared_error(&one, &truth).unwrap(), error, 1e-5);
    assert_close("PSNR", decibels[0], 10.0 * (4.0 / error).log10(), 1e-4);
    assert_close("PSNR of a hundredth of the range", decibels[1], 40.0, 1e-3);
}

fn apart_squared(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64
}

#[test]
fn a_walk_has_its_ends_and_its_middle_in_every_row() {
    let (a, b) = (noise(2, 84), noise(2, 85));
    let line = walk(straight, &a, &b, 5).unwrap();
    let circle = walk(slerp, &a, &b, 5).unwrap();
    for (name, sheet) in [("line", &line), ("circle", &circle)] {
        assert_eq!(sheet.dims()[0], 10, "{name}: two rows of five");
        for image in 0..2 {
            let place = |column: usize| sheet.narrow(0, 5 * image + column, 1).unwrap();
            let end = |end: &Tensor| end.narrow(0, image, 1).unwrap();
            assert!(apart(&place(0), &end(&a)) < 1e-6, "{name}: row {image} begins at a");
            assert!(apart(&place(4), &end(&b)) < 1e-5, "{name}: row {image} ends at b");
        }
    }
    let quarter = numbers(&line.narrow(0, 1, 1).unwrap());
    for (i, ((got, a), b)) in quarter.iter().zip(numbers(&a)).zip(numbers(&b)).enumerate() {
        assert_close(&format!("a quarter of the way, pixel {i}"), *got, 0.75 * a + 0.25 * b, 1e-6);
    }
    let middle = circle.narrow(0, 2, 1).unwrap();
    let expected = slerp(&a, &b, 0.5).unwrap().narrow(0, 0, 1).unwrap();
    assert!(apart(&middle, &expected) == 0.0, "the middle of the circle");
}

#[test]
fn an_encoding_ends_where_a_thousandth_of_the_variance_is_the_images() {
    let schedule = Schedule::linear_scaled(500).unwrap();
    let end = encoding_end(&schedule);
    assert!(schedule.alpha_bar(end) >= 1e-3 && schedule.alpha_bar(end + 1) < 1e-3, "t = {end}");
}

#[test]
fn halves_are_known_above_and_on_the_left_by_turns() {
    let x_0 = noise(3, 86);
    let known = Known::halves(&x_0).unwrap();
    let (h, w, c) = SHAPE;
    for (i, mask) in numbers(&known.mask).into_iter().enumerate() {
        let (image, y, x) = (i / (h * w * c), i / (w * c) % h, i / c % w);
        let expected = if image == 1 { x < 2 } else { y < 1 };
        assert_eq!(mask == 1.0, expected, "image {image}, row {y}, column {x}");
    }
    let seen = numbers(&known.seen().unwrap());
    for ((seen, x), mask) in seen.iter().zip(numbers(&x_0)).zip(numbers(&known.mask)) {
        assert_eq!(*seen, x * mask, "what is known, and 0 elsewhere");
    }
    let elsewhere = known.largest_change(&seen_and(&known, 9.0)).unwrap();
    assert_close("changed where it is not known", elsewhere, 0.0, 0.0);
    let moved = (&x_0 - 0.25).unwrap();
    assert_close("changed everywhere", known.largest_change(&moved).unwrap(), 0.25, 1e-6);
}

/// The known images with another value in all unknown pixels.
fn seen_and(known: &Known, value: f64) -> Tensor {
    (known.seen().unwrap() + known.mask.affine(-value, value).unwrap()).unwrap()
}

#[test]
fn a_film_holds_what_the_chain_went_through() {
    let schedule = Schedule::linear_scaled(40).unwrap();
    let images = Rows::new().images(&schedule);
    let steps = Sampler::default().steps(&schedule, 20, Spacing::Trailing, Some(0.5)).unwrap();
    let mut seen = Vec::new();
    let recording = Recording::new(&images);
    let drawn = sample(&steps, &recording, noise(4, 87), &mut rng(88), |t, x_t| {
        seen.push((t, x_t.clone()));
        Ok(())
    })
    .unwrap();
    let film = Film::new(&steps, recording.into_calls(), drawn.clone());
    assert_eq!(film.calls(), 20);
    let even = film.even_times(4);
    assert_eq!(even, [40, 30, 20, 10], "every fifth step");
    let strip = film.strip_times(3);
    assert_eq!(strip, [40, 14, 2], "the second a share 1 − 0.5^1.6 = 0.67 of the way down");
    let states = film.states(&strip);
    assert!(apart(states.last().unwrap(), &drawn) == 0.0, "at the end the image");
    let guesses = film.guesses(&strip).unwrap();
    let mut outside = film.outside(&strip).unwrap().into_iter();
    for (i, &t) in strip.iter().enumerate() {
        let (_, x_t) = seen.iter().find(|(at, _)| *at == t).unwrap();
        assert!(apart(&states[i], x_t) == 0.0, "x_t at t = {t}");
        // x̂_0 by hand, from a call of its own
        let bar = schedule.alpha_bar(t);
        let eps = images.predict(x_t, t as f64).unwrap();
        let free = ((x_t - (eps * (1.0 - bar).sqrt()).unwrap()).unwrap() / bar.sqrt()).unwrap();
        let rounding = 3e-6 / bar.sqrt(); // x̂_0 divides by √ᾱ_t
        assert!(apart(&guesses[i], &free.clamp(-0.5f32, 0.5f32).unwrap()) < rounding, "x̂_0 at t = {t}");
        let free = numbers(&free);
        let share = free.iter().filter(|x| x.abs() > 1.05).count() as f64 / free.len() as f64;
        let (at, percent) = outside.next().unwrap();
        assert_eq!(at, t as f64);
        assert_close(&format!("outside at t = {t}"), percent, 100.0 * share, 1e-4);
    }
    let pairs = film.pairs(&strip, 2).unwrap();
    assert_eq!(pairs.dims()[0], 2 * 2 * 4, "two images, two rows each, three t and x_0");
    for (row, frames) in [&states, &guesses, &states, &guesses].into_iter().enumerate() {
        for (column, frame) in frames.iter().enumerate() {
            let (got, image) = (pairs.narrow(0, 4 * row + column, 1), frame.narrow(0, row / 2, 1));
            assert!(apart(&got.unwrap(), &image.unwrap()) == 0.0, "row {row}, column {column}");
        }
    }
}

#[test]
fn normal_pixels_are_drawn_with_the_variance_that_is_computed() {
    let (schedule, pixels) =
        (Schedule::linear_scaled(200).unwrap(), NormalPixels { mean: 0.3, variance: 0.2 });
    assert_eq!(pixels.to_string(), "N(0.3, 0.2)");
    for sampler in
        [Sampler::Ddpm(FixedVariance::Beta), Sampler::Ddpm(FixedVariance::Posterior), Sampler::Ddim(0.0)]
    {
        let computed = pixels.variance_drawn(sampler, &schedule, 10).unwrap();
        let measured = pixels.variance_measured(sampler, &schedule, 10, 500, &mut rng(89), CPU).unwrap();
        // the variance of 32,000 normals has a relative standard error of √(2/32,000)
        assert_close(&sampler.to_string(), measured, computed, 5.0 * computed * (2.0f64 / 32_000.0).sqrt());
        let steps = sampler.steps(&schedule, 10, Spacing::Trailing, None).unwrap();
        let by_hand = moments_drawn(&schedule, &steps, (0.3, 0.2)).1;
        assert_close("the same", computed, by_hand, 0.0);
    }
}

#[test]
fn a_pair_s_right_pixel_is_what_regression_says() {
    let pair = PixelPair { variance: 0.5, correlation: 0.8 };
    // Σ = [[v, ρv], [ρv, v]]: mean Σ₂₁ Σ₁₁⁻¹ left, variance Σ₂₂ − Σ₂₁ Σ₁₁⁻¹ Σ₁₂
    let (v, across) = (0.5, 0.4);
    let [mean, variance] = pair.right_given(0.6);
    assert_close("mean", mean, across / v * 0.6, 1e-12);
    assert_close("variance", variance, v - across * across / v, 1e-12);
    // drawn by replacement: short of it, and by how much is known
    let schedule = Schedule::linear_scaled(100).unwrap();
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    for repeats in [1, 4] {
        let [mean, _, calls] = pair.right_inpainted(0.6, repeats, 20_000, &mut rng(90), CPU).unwrap();
        let expected = mean_of_inpainting(&schedule, &steps, 0.6, repeats);
        assert_close(&format!("{repeats} repeats"), mean, expected, 0.02);
        assert_close("calls", calls, 100.0 * repeats as f64, 0.0);
    }
}

#[test]
fn a_plan_is_compared_with_others_that_differ_in_one_thing() {
    let (plan, schedule) = (SamplingPlan::default(), Schedule::linear_scaled(200).unwrap());
    let differences = |other: &SamplingPlan| {
        [
            other.sampler != plan.sampler,
            other.calls != plan.calls,
            other.spacing != plan.spacing,
            other.clip != plan.clip,
        ]
        .map(usize::from)
    };
    assert!(Compared::None.plans(&plan, &schedule).is_empty());
    let cost = Compared::Cost.plans(&plan, &schedule);
    assert_eq!(cost.len(), 5);
    assert_eq!(cost.iter().filter(|(_, other)| *other == plan).count(), 1, "itself among them, once");
    for (name, other) in &cost {
        assert_eq!(differences(other)[1..], [0, 0, 0], "{name}");
        assert_eq!(*name, other.sampler.to_string());
    }
    let own = SamplingPlan { sampler: Sampler::Ddim(0.5), ..plan };
    assert_eq!(own.at_this_cost().last().unwrap().1, own, "a sampler that is none of the five is the sixth");
    let all = Compared::All.plans(&plan, &schedule);
    let more = &all[5..];
    let names: Vec<&str> = more.iter().map(|(name, _)| name.as_str()).collect();
    let of = "Algorithm 2, σ² = β̃";
    let spaced = ["trailing", "linspace", "quadratic"].map(|spacing| format!("{of}, {spacing}"));
    assert_eq!(names[..3], spaced);
    assert_eq!(names[3..], [format!("{of}, not clipped"), of.into(), of.into()]);
    assert_eq!(more[4..].iter().map(|(_, other)| other.calls).collect::<Vec<_>>(), [25, 100], "250 > T");
    for (name, other) in more {
        assert_eq!(differences(other).iter().sum::<usize>(), 1, "{name}");
    }
}

#[test]
fn the_first_unseen_images_are_those_kept_back() {
    let collection = Collection::open(None, None).unwrap();
    let first = collection.first_unseen(3, CPU).unwrap();
    assert!(apart(&first, &batch(&mnist(Split::Test).unwrap(), 0..3, CPU).unwrap()) == 0.0);
    let without = Collection { test: None, ..collection };
    let first = without.first_unseen(3, CPU).unwrap();
    assert!(apart(&first, &batch(&mnist(Split::Train).unwrap(), 0..3, CPU).unwrap()) == 0.0);
    let all = without.train.len();
    let mut some = some_of(without.train.as_ref(), 500, &mut rng(91));
    some.sort_unstable();
    some.dedup();
    assert!(some.len() == 500 && some.iter().all(|&i| i < all), "500 different images");
}

#[test]
fn ddim_with_its_noise_computed_anew_is_that_of_the_definition() {
    let schedule = Schedule::linear(50, 0.01, 0.3).unwrap();
    for (t, s, eta) in [(50, 30, 0.0), (17, 16, 1.0), (9, 0, 0.3), (40, 7, 0.6)] {
        let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(s));
        let step = rederived_ddim_step(&schedule, t, s, eta, Some(1.0));
        for (x_t, eps) in [(0.3, 0.1), (2.5, -0.4), (-1.7, 1.1)] {
            let x_0 = ((x_t - (1.0 - now).sqrt() * eps) / now.sqrt()).clamp(-1.0, 1.0);
            let anew = (x_t - now.sqrt() * x_0) / (1.0 - now).sqrt();
            let sigma = eta * ((1.0 - then) / (1.0 - now)).sqrt() * (1.0 - now / then).sqrt();
            let mean = then.sqrt() * x_0 + (1.0 - then - sigma * sigma).max(0.0).sqrt() * anew;
            let by_step = step.x_t * x_t + step.eps * eps + step.x_0 * step.predicted_x_0(x_t, eps);
            assert_close(&format!("t = {t}, s = {s}, x_t = {x_t}"), by_step, mean, 1e-12);
            assert_close("σ", step.noise, sigma, 1e-12);
        }
        assert_eq!(rederived_ddim_step(&schedule, t, s, eta, None), ddim_step(&schedule, t, s, eta, None));
    }
    // with η = 1 it is Algorithm 2 with σ² = β̃, whose mean is that of x_t and the clipped x̂_0
    for t in [2, 20, 50] {
        let jump = rederived_ddim_step(&schedule, t, t - 1, 1.0, Some(1.0));
        let step = ancestral_step(&schedule, t, FixedVariance::Posterior, Some(1.0));
        assert!(Step::largest_difference(&[jump], &[step]) < 1e-12, "t = {t}: {jump:?} {step:?}");
        let kept = ddim_step(&schedule, t, t - 1, 1.0, Some(1.0));
        assert!(Step::largest_difference(&[kept], &[step]) > 1e-3, "t = {t}: keeping ε is another step");
    }
}

#[test]
fn mix_noised_is_the_paper_s_line_between_two_x_t() {
    let schedule = Schedule::linear_scaled(100).unwrap();
    let ([a, b], [eps_a, eps_b]) = ([noise(3, 21), noise(3, 22)], [noise(3, 23), noise(3, 24)]);
    let [x_a, x_b] = [(&a, &eps_a), (&b, &eps_b)].map(|(x, eps)| diffuse(&schedule, 60, x, eps).unwrap());
    let mixed = |way: Way, share| mix_noised(&schedule, 60, [&a, &b], [&eps_a, &eps_b], way, share).unwrap();
    for share in [0.0, 0.3, 0.5, 1.0] {
        let by_line = straight(&x_a, &x_b, share).unwrap();
        assert!(apart(&mixed(straight, share), &by_line) < 1e-5, "λ = {share}");
    }
    assert!(apart(&mixed(slerp, 1.0), &x_b) < 1e-5 && apart(&mixed(slerp, 0.0), &x_a) < 1e-5, "the ends");
    let same_noise = diffuse(&schedule, 60, &b, &eps_a).unwrap();
    assert!(apart(&mixed(shared, 1.0), &same_noise) < 1e-5, "one noise for both ends");
}

#[test]
fn draws_from_one_x_t_differ_by_what_it_leaves_open() {
    // x_0 ~ N(m, v): given x_t its variance is v (1 − ᾱ)/(ᾱ v + 1 − ᾱ), and so is the mean squared error of E[x_0 | x_t]
    let (schedule, v, draws) = (Schedule::linear_scaled(400).unwrap(), 0.3, 50);
    let exact = GaussianImages::flat(&schedule, (8, 8, 1), 0.1, v, CPU).unwrap();
    let x_0 =
        ((standard_normal((8, 8, 8, 1), &mut rng(31), CPU).unwrap() * v.sqrt()).unwrap() + 0.1).unwrap();
    for t in [100, 200, 300] {
        let alpha_bar = schedule.alpha_bar(t);
        let expected = v * (1.0 - alpha_bar) / (alpha_bar * v + 1.0 - alpha_bar);
        let eps = standard_normal((8, 8, 8, 1), &mut rng(32), CPU).unwrap();
        let x_t = diffuse(&schedule, t, &x_0, &eps).unwrap();
        let steps: Vec<Step> = ancestral(&schedule, FixedVariance::Beta, None).split_off(400 - t);
        let many = strip(&vec![x_t.clone(); draws]).unwrap();
        let drawn = sample(&steps, &exact, many, &mut rng(33), |_, _| Ok(())).unwrap();
        let spread = variances_of_draws(&drawn, draws).unwrap();
        assert_eq!(spread.len(), 8);
        let mean = spread.iter().sum::<f64>() / 8.0;
        // 512 variances of 50 draws: their mean has a relative error of √(2/49/512) = 0.9 %; and 400 steps are not infinitely many
        assert_close(&format!("t = {t}: variance of the draws"), mean, expected, 0.05 * expected);
        let guess = predict_x_0(&steps[0], &exact.predict(&x_t, t as f64).unwrap(), &x_t).unwrap();
        let error = mean_squared_error(&guess, &x_0).unwrap();
        // 512 squares: √(2/512) = 6 %
        assert_close(&format!("t = {t}: error of the mean"), error, expected, 0.25 * expected);
    }
}

#[test]
fn a_recording_at_some_times_keeps_those_alone() {
    let schedule = Schedule::linear(20, 0.01, 0.3).unwrap();
    let exact = || GaussianImages::flat(&schedule, SHAPE, 0.1, 0.3, CPU).unwrap();
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    let (all, some) = (Recording::new(exact()), Recording::at(exact(), vec![20, 7]));
    sample(&steps, &all, noise(2, 41), &mut rng(42), |_, _| Ok(())).unwrap();
    sample(&steps, &some, noise(2, 41), &mut rng(42), |_, _| Ok(())).unwrap();
    let (all, some) = (all.into_calls(), some.into_calls());
    assert_eq!((all.len(), some.len()), (20, 2));
    for (kept, place) in some.iter().zip([0, 13]) {
        assert!(kept.t == all[place].t && apart(&kept.eps, &all[place].eps) == 0.0, "t = {}", kept.t);
    }
}
