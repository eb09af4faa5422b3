//! ch15_sample_images: images drawn from noise, held against exact worlds and against the chain on rows of doubles.

mod common;

use candle_core::{Device, Tensor};
use common::{assert_close, rng};
use ddpm::{
    denoiser::{ExactDenoiser, PosteriorMean},
    reverse::FixedVariance,
    sampler::{Step, ancestral},
    schedule::Schedule,
};
use ddpm_unet::{
    denoiser::{Counting, GaussianImages},
    noise::{diffuse, standard_normal},
    picture::{Sheet, pixel, strip},
    sample::{apply, predict_x_0, sample},
};
use ndarray::{Array1, Array2, ArrayView1};

const CHOICES: [FixedVariance; 2] = [FixedVariance::Beta, FixedVariance::Posterior];
const CPU: &Device = &Device::Cpu;
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
    numbers(a).iter().zip(numbers(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
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
    assert_close("x_2, no noise", got(&Step { noise: 0.0, ..STEP }), mean(1.0), 1e-6);
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
        assert!(apart(&clipped, &held) < 5e-6, "t = {}: x̂_0 held in ±0.5", step.t);
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
    let counting = Counting::new(Rows::new().images(&schedule));
    let mut visited = Vec::new();
    sample(&ancestral(&schedule, FixedVariance::Beta, None), &counting, noise(2, 5), &mut rng(6), |t, _| {
        visited.push(t);
        Ok(())
    })
    .unwrap();
    assert_eq!(counting.calls(), 30);
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
fn sample_stops_where_watch_says_so() {
    let schedule = Schedule::linear(30, 1e-3, 0.2).unwrap();
    let counting = Counting::new(Rows::new().images(&schedule));
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    let stopped = sample(&steps, &counting, noise(2, 8), &mut rng(9), |t, _| {
        if t == 20 { Err(ddpm::Error::NoSteps.into()) } else { Ok(()) }
    });
    assert!(stopped.is_err());
    assert_eq!(counting.calls(), 10);
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
        let picture = Sheet::new(2).scale(2).draw(&images).unwrap();
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
fn a_sheet_of_nothing_or_of_four_channels_is_refused() {
    let images =
        |count, channels| Tensor::zeros((count, 2, 2, channels), candle_core::DType::F32, CPU).unwrap();
    let message = |images: Tensor| Sheet::new(2).draw(&images).unwrap_err().to_string();
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
    let bytes = Sheet::new(2).gif(&sheets, 100).unwrap();
    let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 3);
    for (k, frame) in frames.iter().enumerate() {
        let grey = pixel(k as f32 * 0.5 - 0.7);
        assert_eq!(frame.buffer().get_pixel(10, 10).0, [grey, grey, grey, 255], "frame {k}");
        assert_eq!(frame.buffer().get_pixel(0, 0).0, [255; 4], "the gutter of frame {k}");
    }
}
