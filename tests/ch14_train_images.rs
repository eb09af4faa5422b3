//! ch14_train_images: images in, Algorithm 1 in chunks, and runs that go on to the last bit.

mod common;

use candle_core::Device;
use common::{assert_close, rng};
use ddpm::{
    Error as CourseError, course, digest,
    forward::diffuse,
    schedule::{Schedule, ScheduleName},
};
use ddpm_unet::{
    Error, Result,
    denoiser::NetworkDenoiser,
    images::{
        Cifar10, Collection, IdxImages, ImageSource, PictureFolder, PictureOptions, Split, Unreadable,
        fingerprint, fingerprint_of_sixteen, mnist, mnist_labels,
        pixels::{flip, from_byte, pixel},
    },
    network::{
        config::UNetConfig,
        parameters::{Init, Parameters, Specification},
    },
    train::{
        Batch, BatchStatistics, BatchStream, Event, Outcome, RunConfig, RunOptions, TrainConfig, Trainer,
        checkpoint::{Checkpoint, CheckpointFolder, Found},
        gradient::accumulate,
        losses, losses_along_t,
        optimizer::{Gradient, Optimizer, OptimizerConfig, learning_rate},
        rng_streams::{Purpose, draw_time, epoch_order, generator, place_in_epochs},
        run, validation_batch,
    },
};
use ndarray::{Array2, Axis, s};
use ndarray_rand::rand::{Rng, seq::SliceRandom};
use rayon::ThreadPoolBuilder;
use safetensors::SafeTensors;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

const CPU: &Device = &Device::Cpu;

/// Images that tell their number: 8 × 8, one channel.
struct Numbered(usize);

impl ImageSource for Numbered {
    fn shape(&self) -> (usize, usize, usize) {
        (8, 8, 1)
    }

    fn len(&self) -> usize {
        self.0
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        assert!(index < self.0 && pixels.len() == 64);
        for (i, x) in pixels.iter_mut().enumerate() {
            *x = ((index * 7 + i * i) as f32 * 0.1).sin();
        }
        pixels[0] = index as f32 / 1000.0;
        Ok(())
    }
}

fn collection(count: usize) -> Collection {
    Collection {
        name: "numbered images".into(),
        train: Box::new(Numbered(count)),
        test: None,
        unreadable: Vec::new(),
        notes: Vec::new(),
    }
}

fn tiny() -> UNetConfig {
    UNetConfig {
        layers_per_block: 1,
        norm_num_groups: 4,
        attention_head_dim: None,
        dropout: 0.1,
        ..UNetConfig::levels((8, 8), 1, &[4, 8], &[])
    }
}

fn numbers() -> TrainConfig {
    TrainConfig {
        steps: 12,
        batch: 20,
        warm_up: 3,
        save_every: 4,
        validation_images: 8,
        seed: 5,
        ..Default::default()
    }
}

fn setting(training: TrainConfig) -> RunConfig {
    RunConfig::new(tiny(), (ScheduleName::Linear, 100), training, &collection(30)).unwrap()
}

/// Takes a run to its end, or until so many steps were taken.
fn train(trainer: &mut Trainer, folder: &CheckpointFolder, until: u64) -> Outcome {
    let stop = AtomicBool::new(false);
    run(trainer, &collection(30), folder, &stop, |event, _| {
        if let Event::Step(report) = event {
            stop.store(report.step >= until, Ordering::Relaxed);
        }
        Ok(())
    })
    .unwrap()
}

// Between bytes and numbers.

// ANCHOR: from_byte_undoes_pixel
#[test]
fn from_byte_is_undone_by_pixel() {
    for byte in 0..=255 {
        assert_eq!(pixel(from_byte(byte)), byte, "{byte}");
    }
}
// ANCHOR_END: from_byte_undoes_pixel

#[test]
fn from_byte_fills_the_interval_from_minus_1_to_1_evenly() {
    assert_eq!((from_byte(0), from_byte(255)), (-1.0, 1.0));
    for byte in 0..255 {
        assert_close("step", f64::from(from_byte(byte + 1) - from_byte(byte)), 2.0 / 255.0, 1e-6);
    }
    let sum: f64 = (0..=255).map(|byte| f64::from(from_byte(byte))).sum();
    assert_close("mean of all bytes", sum, 0.0, 1e-4);
}

#[test]
fn a_flip_mirrors_rows_and_keeps_channels_together() {
    let mut pixels: Vec<f32> = (0..12).map(|x| x as f32).collect(); // (2, 3, 2)
    flip(&mut pixels, 3, 2);
    assert_eq!(pixels, [4., 5., 2., 3., 0., 1., 10., 11., 8., 9., 6., 7.]);
}

// The learning rate.

// ANCHOR: learning_rate_rises
#[test]
fn learning_rate_rises_in_equal_steps_to_its_base() {
    let rate = |step| learning_rate(step, 1000, 50, 2e-3);
    assert_close("the first step's", rate(0), 2e-3 / 50.0, 1e-15);
    for step in 1..50 {
        assert_close(&format!("rise at {step}"), rate(step) - rate(step - 1), 2e-3 / 50.0, 1e-15);
    }
    assert_close("the last of the rise", rate(49), 2e-3, 1e-15);
    assert_close("the first of the fall", rate(50), 2e-3, 1e-15);
}
// ANCHOR_END: learning_rate_rises

#[test]
fn learning_rate_falls_to_0_over_the_steps_that_are_left() {
    let (steps, warm_up, base) = (700, 100, 1e-3);
    let rate = |step| learning_rate(step, steps, warm_up, base);
    let fall = steps - warm_up;
    // half a cosine is point-symmetric about its middle, and its sum is known
    for k in 0..=fall {
        assert_close(&format!("symmetry at {k}"), rate(warm_up + k) + rate(steps - k), base, 1e-15);
    }
    let sum: f64 = (0..=fall).map(|k| rate(warm_up + k)).sum();
    assert_close("sum", sum, base * (fall + 1) as f64 / 2.0, 1e-12);
    assert_close("the end", rate(steps), 0.0, 1e-18);
    assert_close("a third of the way", rate(warm_up + fall / 3), 0.75 * base, 1e-15);
}

#[test]
fn learning_rate_copes_without_a_rise_and_without_a_fall() {
    assert_eq!(learning_rate(0, 10, 0, 0.5), 0.5);
    assert_eq!(learning_rate(4, 5, 5, 0.5), 0.5, "the last step of the rise, which is the last of all");
    assert_eq!(learning_rate(5, 5, 5, 0.5), 0.5, "where the fall has no steps, its beginning");
    assert_eq!(learning_rate(7, 5, 5, 0.5), 0.0, "beyond it, its end");
    assert_eq!(learning_rate(0, 3, 5, 0.5), 0.1, "a rise longer than the run");
}

// The optimizer.

#[test]
fn weight_decay_shrinks_the_weights_and_the_average_follows() {
    let specification = Specification { name: "w".into(), shape: vec![4], init: Init::Constant(2.0) };
    let parameters = Parameters::fresh(&[specification], &mut rng(1), CPU).unwrap();
    let numbers = OptimizerConfig { max_gradient_norm: 1.0, weight_decay: 0.3, ema_decay: 0.5 };
    let mut optimizer = Optimizer::new(&parameters, numbers).unwrap();
    let (mut weight, mut average) = (2.0, 2.0);
    for updates in 0..5 {
        optimizer.step(Gradient::Host(vec![0.0; 4]), 0.1).unwrap();
        weight *= 1.0 - 0.1 * 0.3;
        let decay = f64::min(0.5, (1.0 + f64::from(updates)) / (10.0 + f64::from(updates)));
        average += (1.0 - decay) * (weight - average);
    }
    let rows = optimizer.rows().unwrap();
    assert_close("a weight after five steps", rows.weights[0].into(), weight, 1e-6);
    assert_close("its average", rows.average[0].into(), average, 1e-6);
    let in_the_network = parameters.get("w").to_vec1::<f32>().unwrap();
    assert_eq!(in_the_network, rows.weights, "the network computes with them");
}

// Times.

// ANCHOR: draw_time_takes_every_time
#[test]
fn draw_time_takes_every_time_from_1_to_t_equally_often() {
    let (steps, draws) = (50, 200_000);
    let mut counts = vec![0_u32; steps + 2];
    let mut rng = rng(1);
    for _ in 0..draws {
        counts[draw_time(steps, &mut rng).min(steps + 1)] += 1;
    }
    assert_eq!((counts[0], counts[steps + 1]), (0, 0), "times outside of 1…{steps}");
    let expected = draws as f64 / steps as f64;
    let chi_square: f64 =
        counts[1..=steps].iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
    // 49 degrees of freedom: a mean of 49, and above 85.35 once in a thousand
    assert!(chi_square < 85.35, "χ² = {chi_square}; counts {:?}", &counts[1..=steps]);
}
// ANCHOR_END: draw_time_takes_every_time

#[test]
fn draw_time_of_a_chain_of_one_step_is_1() {
    let mut rng = rng(2);
    let times: Vec<usize> = (0..20).map(|_| draw_time(1, &mut rng)).collect();
    assert_eq!(times, [1; 20], "times of a chain of one step");
}

// The order of the images.

// ANCHOR: epoch_order_sees_each_image_once
#[test]
fn epoch_order_sees_each_image_once() {
    for count in [1, 2, 3, 100, 1001] {
        let mut order = epoch_order(count, 3, 4);
        assert_eq!(order.len(), count);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..count), "{count} images");
    }
}
// ANCHOR_END: epoch_order_sees_each_image_once

#[test]
fn epoch_order_is_another_every_epoch_and_seed_and_always_the_same() {
    let order = epoch_order(200, 7, 0);
    assert_eq!(order, epoch_order(200, 7, 0), "the same epoch again");
    assert!(!order.iter().copied().eq(0..200), "not the files' order");
    let mut by_examples: Vec<usize> = (0..200).collect();
    by_examples.shuffle(&mut generator(7, Purpose::Example, 0));
    assert_ne!(order, by_examples, "the order shares no generator with the examples");
    let same = |other: &[usize]| order.iter().zip(other).filter(|(a, b)| a == b).count();
    for (what, other) in [
        ("the next epoch", epoch_order(200, 7, 1)),
        ("another seed", epoch_order(200, 8, 0)),
        ("seed and epoch exchanged", epoch_order(200, 0, 7)),
    ] {
        // two independent orders agree in one place, give or take one
        assert!(same(&other) < 10, "{what}: {} of 200 places are the same", same(&other));
    }
}

#[test]
fn epoch_order_parts_neighbours() {
    let order = epoch_order(1000, 5, 2);
    // in a shuffled order one pair of neighbours stays together on average, as in Poisson's distribution
    let together = order.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
    assert!(together < 10, "{together} of 999 pairs of neighbours are still together");
}

#[test]
fn epoch_order_puts_every_image_everywhere() {
    let (count, epochs) = (6, 6000);
    let mut seen = Array2::<f64>::zeros((count, count));
    for epoch in 0..epochs {
        epoch_order(count, 9, epoch)
            .into_iter()
            .enumerate()
            .for_each(|(place, image)| seen[(place, image)] += 1.0);
    }
    let expected = epochs as f64 / count as f64;
    // each entry is binomial: within five standard deviations of its mean
    let bound = 5.0 * (expected * (1.0 - 1.0 / count as f64)).sqrt();
    seen.indexed_iter()
        .for_each(|(at, &n)| assert_close(&format!("(place, image) {at:?}"), n, expected, bound));
}

// ANCHOR: place_in_epochs_counts
#[test]
fn place_in_epochs_is_what_counting_gives() {
    for count in [1, 7, 64] {
        let (mut epoch, mut place) = (0, 0);
        for example in 0..300 {
            assert_eq!(
                place_in_epochs(example, count),
                (epoch, place),
                "example {example} of {count} images"
            );
            place += 1;
            if place == count {
                (epoch, place) = (epoch + 1, 0);
            }
        }
    }
    assert_eq!(place_in_epochs(5_000_000_007, 10), (500_000_000, 7));
}
// ANCHOR_END: place_in_epochs_counts

// Chunks.

// ANCHOR: accumulate_gives_the_mean_over_images
#[test]
fn accumulate_gives_the_mean_over_images_whatever_the_chunks() {
    let mut rng = rng(3);
    let of_images = Array2::from_shape_simple_fn((41, 5), || rng.random_range(-1.0..1.0_f32));
    let expected = of_images.mean_axis(Axis(0)).unwrap();
    for chunk in [1, 16, 20, 41] {
        let mut total = vec![0.0; 5];
        for rows in of_images.axis_chunks_iter(Axis(0), chunk) {
            let gradient = rows.mean_axis(Axis(0)).unwrap();
            accumulate(&mut total, &gradient.to_vec(), rows.nrows(), 41);
        }
        for (got, expected) in total.iter().zip(&expected) {
            assert_close(&format!("chunks of {chunk}"), f64::from(*got), f64::from(*expected), 1e-6);
        }
    }
}
// ANCHOR_END: accumulate_gives_the_mean_over_images

#[test]
fn accumulate_adds_to_what_is_there() {
    let mut total = vec![1.0, -2.0];
    accumulate(&mut total, &[4.0, 8.0], 3, 12);
    assert_eq!(total, [2.0, 0.0]);
}

// The stream of batches.

fn feed_of<'a>(source: &'a Numbered, schedule: &'a Schedule, flips: bool) -> BatchStream<'a> {
    BatchStream::new(source, schedule, (11, 20, flips))
}

#[test]
fn an_epoch_sees_every_image_once_even_across_batches() {
    let (source, schedule) = (Numbered(30), Schedule::linear(100, 1e-3, 0.1).unwrap());
    let mut batch_stream = feed_of(&source, &schedule, false);
    let indices: Vec<usize> = (0..6).flat_map(|step| batch_stream.batch(step).unwrap().indices).collect();
    for epoch in indices.chunks(30) {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..30), "{epoch:?}");
    }
    let mut pixels = [0.0; 64];
    let batch = batch_stream.batch(2).unwrap();
    for (row, &index) in batch.x_0.rows().into_iter().zip(&batch.indices) {
        source.image(index, &mut pixels).unwrap();
        assert_eq!(row.to_vec(), pixels);
    }
}

#[test]
fn a_batch_does_not_depend_on_the_batches_before_it_nor_on_threads() {
    let (source, schedule) = (Numbered(30), Schedule::linear(100, 1e-3, 0.1).unwrap());
    let mut batch_stream = feed_of(&source, &schedule, true);
    let batches: Vec<Batch> = (0..5).map(|step| batch_stream.batch(step).unwrap()).collect();
    for threads in [1, 3] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| feed_of(&source, &schedule, true).batch(3).unwrap());
        assert_eq!(again, batches[3], "{threads} threads");
    }
    assert_ne!(batches[0].eps, batches[1].eps);
    let other = BatchStream::new(&source, &schedule, (12, 20, true)).batch(3).unwrap();
    assert_ne!(other.t, batches[3].t, "another seed");
}

#[test]
fn a_batch_holds_normal_noise_uniform_times_and_their_x_t() {
    let (source, schedule) = (Numbered(30), Schedule::linear(100, 1e-3, 0.1).unwrap());
    let mut batch_stream = feed_of(&source, &schedule, false);
    let (mut eps, mut times) = (Vec::new(), Vec::new());
    for step in 0..200 {
        let batch = batch_stream.batch(step).unwrap();
        if step == 0 {
            for (i, &t) in batch.t.iter().enumerate() {
                let row = |array: &Array2<f32>| array.slice(s![i..=i, ..]).mapv(f64::from);
                let expected = diffuse(&row(&batch.x_0), schedule.alpha_bar(t), &row(&batch.eps));
                common::assert_all_close("x_t", &row(&batch.x_t), &expected, 1e-6);
            }
        }
        eps.extend(batch.eps.iter().map(|&eps| f64::from(eps)));
        times.extend(batch.t);
    }
    let n = eps.len() as f64;
    let moment = |power| eps.iter().map(|eps: &f64| eps.powi(power)).sum::<f64>() / n;
    // standard errors of the moments of N(0, 1): √(1/n), √(2/n), √(96/n)
    for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (4, 3.0, 96.0_f64)] {
        assert_close(&format!("E ε^{power}"), moment(power), expected, 5.0 * (variance / n).sqrt());
    }
    assert_eq!((times.iter().min(), times.iter().max()), (Some(&1), Some(&100)), "4000 times of 1…100");
}

#[test]
fn batch_statistics_are_those_of_all_batches_as_one() {
    let (source, schedule) = (Numbered(30), Schedule::linear(100, 1e-3, 0.1).unwrap());
    let training = TrainConfig { seed: 11, batch: 20, ..TrainConfig::default() };
    let mut batch_stream = BatchStream::of(&training, &source, &schedule);
    let batches: Vec<Batch> = (0..7).map(|step| batch_stream.batch(step).unwrap()).collect();
    assert_eq!(
        batches[3],
        feed_of(&source, &schedule, false).batch(3).unwrap(),
        "the batches of the same numbers"
    );
    let mut seen = BatchStatistics::default();
    batches.iter().for_each(|batch| seen.add(batch));

    let all = |of: fn(&Batch) -> &Array2<f32>| -> Vec<f64> {
        batches.iter().flat_map(|batch| of(batch).iter().map(|&x| f64::from(x))).collect()
    };
    let mean_square = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
    let (x_0, eps) = (all(|batch| &batch.x_0), all(|batch| &batch.eps));
    assert_eq!(seen.numbers, 7 * 20 * 64);
    assert_eq!(seen.lowest, x_0.iter().copied().fold(0.0, f64::min));
    assert_eq!(seen.highest, x_0.iter().copied().fold(0.0, f64::max));
    assert_close("E x_0²", seen.mean_square_x_0(), mean_square(&x_0), 1e-12);
    assert_close("E ε²", seen.mean_square_eps(), mean_square(&eps), 1e-12);

    let mut t: Vec<usize> = batches.iter().flat_map(|batch| batch.t.clone()).collect();
    assert_eq!(seen.t, t);
    t.sort();
    assert_eq!(seen.range_of_t(), t[0]..=t[139]);
    let (mean, error) = seen.mean_t(100);
    assert_close("mean t", mean, t.iter().map(|&t| t as f64).sum::<f64>() / 140.0, 1e-12);
    let variance = (1..=100).map(|t| (f64::from(t) - 50.5).powi(2)).sum::<f64>() / 100.0;
    assert_close("its standard error", error, (variance / 140.0).sqrt(), 1e-3);
    assert_eq!(BatchStatistics::default().range_of_t(), 0..=0);
}

#[test]
fn losses_along_t_are_means_of_stretches_that_hold_every_image_once() {
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    let batch = validation_batch(&Numbered(30), &schedule, 1, 23).unwrap();
    let losses: Vec<f64> = (0..23).map(|i| f64::from(i * i)).collect();
    let along = losses_along_t(&batch.t, &losses, 10);
    assert_eq!(along.len(), 10);
    let mut total = 0.0;
    for at in &along {
        let inside = |(t, _): &(&usize, &f64)| at.t.contains(*t);
        let of_these: Vec<f64> = batch.t.iter().zip(&losses).filter(inside).map(|(_, loss)| *loss).collect();
        assert_close(
            &format!("{:?}", at.t),
            at.loss,
            of_these.iter().sum::<f64>() / of_these.len() as f64,
            1e-12,
        );
        assert!([2, 3].contains(&of_these.len()) && at.t.contains(&at.middle()), "{:?}", at.t);
        total += at.loss * of_these.len() as f64;
    }
    assert_close("all losses", total, losses.iter().sum(), 1e-9);
    let few = losses_along_t(&batch.t[..3], &losses[..3], 10);
    assert_eq!(few.iter().map(|at| at.loss).collect::<Vec<_>>(), losses[..3]);
}

#[test]
fn half_of_the_images_are_mirrored_if_asked() {
    let (source, schedule) = (Numbered(30), Schedule::linear(100, 1e-3, 0.1).unwrap());
    let mut batch_stream = feed_of(&source, &schedule, true);
    let (mut mirrored, mut pixels) = (0, [0.0; 64]);
    for step in 0..50 {
        let batch = batch_stream.batch(step).unwrap();
        for (row, &index) in batch.x_0.rows().into_iter().zip(&batch.indices) {
            source.image(index, &mut pixels).unwrap();
            if row.to_vec() != pixels {
                flip(&mut pixels, 8, 1);
                assert_eq!(row.to_vec(), pixels);
                mirrored += 1;
            }
        }
    }
    // binomial of 1000 halves: a standard deviation of 15.8
    assert!((420..=580).contains(&mirrored), "{mirrored} of 1000");
}

#[test]
fn the_judging_batch_spreads_its_times_evenly() {
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    let batch = validation_batch(&Numbered(30), &schedule, 1, 10).unwrap();
    assert_eq!(batch.t, [1, 11, 21, 31, 41, 51, 61, 71, 81, 91]);
    assert_eq!(batch, validation_batch(&Numbered(30), &schedule, 1, 10).unwrap());
    assert_eq!(validation_batch(&Numbered(3), &schedule, 1, 10).unwrap().len(), 3);
}

#[test]
fn generators_differ_by_seed_purpose_and_count() {
    let first = |seed, purpose, count| generator(seed, purpose, count).random::<u64>();
    let mut seen = Vec::new();
    for seed in [0, 1, 256] {
        for purpose in
            [Purpose::Weights, Purpose::Order, Purpose::Example, Purpose::Dropout, Purpose::Validation]
        {
            seen.extend((0..4).map(|count| first(seed, purpose, count)));
        }
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

// Algorithm 1.

#[test]
fn a_fresh_network_knows_nothing_and_learns() {
    let training = TrainConfig { steps: 150, learning_rate: 4e-3, ..numbers() };
    let (source, schedule) = (Numbered(30), setting(training.clone()).schedule().unwrap());
    let mut trainer = Trainer::new(setting(training), CPU).unwrap();
    let mut batch_stream = BatchStream::new(&source, &schedule, (5, 20, false));
    let reports = trainer.take_steps(&mut batch_stream, 150).unwrap();
    // E ε² = 1 over 20 · 64 numbers, with a standard deviation of √(2/1280) = 0.04
    assert_close("the first loss", reports[0].loss, 1.0, 0.2);
    let last = reports[120..].iter().map(|report| report.loss).sum::<f64>() / 30.0;
    assert!(last < 0.6, "the last losses: {last}");
    assert!(reports.iter().all(|report| report.gradient_norm > 0.0));
}

// ANCHOR: a_step_changes_every_parameter
#[test]
fn a_step_changes_every_parameter() {
    let mut trainer = Trainer::new(setting(numbers()), CPU).unwrap();
    let values = |trainer: &Trainer| -> Vec<Vec<f32>> {
        let variables = trainer.network().parameters().variables();
        variables.iter().map(|variable| variable.flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    let before = values(&trainer);
    let (source, schedule) = (Numbered(30), trainer.schedule().clone());
    let mut batch_stream = BatchStream::new(&source, &schedule, (5, 20, false));
    // the last layer begins near 0, so that in the first step hardly anything comes through to the others
    trainer.take_steps(&mut batch_stream, 3).unwrap();
    for ((name, before), after) in
        trainer.network().parameters().names().iter().zip(before).zip(values(&trainer))
    {
        assert_ne!(before, after, "{name} was not trained");
    }
}
// ANCHOR_END: a_step_changes_every_parameter

#[test]
fn the_weights_do_not_depend_on_the_number_of_threads() {
    let weights = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (source, schedule) = (Numbered(30), setting(numbers()).schedule().unwrap());
            let training = TrainConfig { batch: 40, ..numbers() }; // chunks of 16, 16 and 8
            let mut trainer = Trainer::new(setting(training), CPU).unwrap();
            let mut batch_stream = BatchStream::new(&source, &schedule, (5, 40, false));
            trainer.take_steps(&mut batch_stream, 3).unwrap();
            trainer.checkpoint().unwrap()
        })
    };
    assert_eq!(weights(1), weights(3));
}

#[test]
fn the_average_is_judged_always_on_the_same() {
    let mut trainer = Trainer::new(setting(numbers()), CPU).unwrap();
    let batch = validation_batch(&Numbered(30), trainer.schedule(), 5, 20).unwrap();
    let judged = trainer.evaluate(&batch).unwrap();
    assert_eq!(trainer.evaluate(&batch).unwrap(), judged);
    let one_by_one = losses(&trainer.denoiser().unwrap(), &batch, CPU).unwrap();
    assert_eq!(one_by_one.len(), 20);
    assert_close("mean", one_by_one.iter().sum::<f64>() / 20.0, judged.loss, 1e-12);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_leaves_the_last_checkpoint() {
    let place = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(place.path());
    let mut trainer = Trainer::new(setting(numbers()), CPU).unwrap();
    train(&mut trainer, &folder, 4);
    let mut checkpoint = folder.newest().unwrap().checkpoint;
    checkpoint.config.training.learning_rate = 1e30;
    let mut trainer = Trainer::resume(checkpoint, CPU).unwrap();
    let error =
        run(&mut trainer, &collection(30), &folder, &AtomicBool::new(false), |_, _| Ok(())).unwrap_err();
    let diverged = matches!(error, Error::Course(CourseError::Diverged { .. }));
    assert!(diverged && error.to_string().contains("use a smaller learning rate"), "{error}");
    assert_eq!(folder.newest().unwrap().checkpoint.step, 4, "the last good one");
}

#[test]
fn bad_numbers_are_named() {
    let good = numbers();
    for (named, training) in [
        ("--training-steps", TrainConfig { steps: 0, ..good.clone() }),
        ("--batch", TrainConfig { batch: 0, ..good.clone() }),
        ("--save-every", TrainConfig { save_every: 0, ..good.clone() }),
        ("--learning-rate", TrainConfig { learning_rate: 0.0, ..good.clone() }),
        ("--learning-rate", TrainConfig { learning_rate: f64::NAN, ..good.clone() }),
        ("--ema", TrainConfig { ema_decay: 1.0, ..good.clone() }),
        ("largest gradient norm", TrainConfig { max_gradient_norm: -1.0, ..good.clone() }),
        ("weight decay", TrainConfig { weight_decay: f64::INFINITY, ..good.clone() }),
    ] {
        let error = training.validate().unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}

#[test]
fn a_network_that_does_not_fit_the_images_is_refused() {
    let rejected = |network: UNetConfig| {
        let error =
            RunConfig::new(network, (ScheduleName::Linear, 100), numbers(), &collection(3)).unwrap_err();
        error.to_string()
    };
    let deep = UNetConfig {
        block_out_channels: vec![4; 5],
        down_block_types: vec![tiny().down_block_types[0]; 5],
        up_block_types: vec![tiny().up_block_types[0]; 5],
        ..tiny()
    };
    let error = rejected(deep);
    assert!(error.contains("8 × 8") && error.contains("multiples of 16"), "{error}");
    let error = rejected(UNetConfig { in_channels: 3, out_channels: 3, ..tiny() });
    assert!(error.contains("3 channels") && error.contains("to 1"), "{error}");
}

// Checkpoints.

/// A run of a few steps, its folder and its newest checkpoint's file.
fn trained(steps: u64) -> (tempfile::TempDir, CheckpointFolder, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(place.path().join("checkpoints"));
    train(&mut Trainer::new(setting(numbers()), CPU).unwrap(), &folder, steps);
    let path = folder.newest().unwrap().path;
    (place, folder, path)
}

// ANCHOR: a_run_goes_on_to_the_last_bit
#[test]
fn a_run_that_was_stopped_anywhere_ends_with_the_same_file() {
    let (_whole, _, last) = trained(12);
    let expected = fs::read(last).unwrap();
    for stop in [1, 4, 7, 11] {
        let (_place, folder, _) = trained(stop);
        let checkpoint = folder.newest().unwrap().checkpoint;
        assert_eq!(checkpoint.step, stop);
        let mut trainer = Trainer::resume(checkpoint, CPU).unwrap();
        assert_eq!(train(&mut trainer, &folder, u64::MAX), Outcome::Finished);
        let end = fs::read(folder.newest().unwrap().path).unwrap();
        assert!(end == expected, "stopped after step {stop}: another file");
    }
}
// ANCHOR_END: a_run_goes_on_to_the_last_bit

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let (_place, folder, path) = trained(5);
    let checkpoint = Checkpoint::load(&path).unwrap();
    assert_eq!((checkpoint.step, checkpoint.config.clone()), (5, setting(numbers())));
    assert_eq!(checkpoint.history.steps.len(), 5);
    let again = folder.path().join("again.safetensors");
    checkpoint.save(&again).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap());

    let network = checkpoint.network(CPU).unwrap();
    let row: Vec<f32> = network
        .parameters()
        .variables()
        .iter()
        .flat_map(|variable| variable.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        .collect();
    assert_eq!(row, checkpoint.average());
    assert_ne!(checkpoint.weights(), Some(checkpoint.average()));
    let row_of = |denoiser: NetworkDenoiser| -> Vec<f32> {
        let variables = denoiser.network().parameters().variables().to_vec();
        variables.iter().flat_map(|one| one.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
    };
    assert_eq!(row_of(checkpoint.denoiser(CPU).unwrap()), checkpoint.average());
    let last = checkpoint.last_denoiser(CPU).unwrap().expect("a whole checkpoint has the last weights");
    assert_eq!(Some(row_of(last).as_slice()), checkpoint.weights());
}

#[test]
fn a_checkpoint_for_sampling_is_a_quarter_of_the_size_and_does_not_go_on() {
    let (_place, folder, path) = trained(5);
    let whole = Checkpoint::load(&path).unwrap();
    let light = folder.path().join("light.safetensors");
    whole.for_sampling().save(&light).unwrap();
    let read = Checkpoint::load(&light).unwrap();
    assert_eq!((read.average(), read.weights()), (whole.average(), None));
    assert!(read.last_denoiser(CPU).unwrap().is_none());
    assert_eq!((read.step, &read.history, &read.config), (whole.step, &whole.history, &whole.config));
    let size = |path: &Path| fs::metadata(path).unwrap().len() as f64;
    assert!((size(&light) / size(&path) - 0.25).abs() < 0.1, "{} of {} bytes", size(&light), size(&path));
    assert!(whole.is_whole() && !read.is_whole());
    let error = Trainer::resume(read, CPU).err().unwrap().to_string();
    assert!(error.contains("for sampling alone"), "{error}");
}

#[test]
fn a_file_for_sampling_of_format_2_is_still_read_and_has_the_last_weights_too() {
    let (_place, folder, path) = trained(5);
    let whole = Checkpoint::load(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    let head = metadata.get_mut(ddpm_unet::train::checkpoint::KEY).unwrap();
    *head = head.replace(r#"{"format":4"#, r#"{"format":2"#);
    metadata.remove(digest::KEY);
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let kept = tensors.into_iter().filter(|(name, _)| !name.starts_with("mean"));
    let old = folder.path().join("old.safetensors");
    fs::write(&old, safetensors::serialize(kept, Some(metadata)).unwrap()).unwrap();
    let read = Checkpoint::load(&old).unwrap();
    assert_eq!((read.average(), read.weights()), (whole.average(), whole.weights()));
    assert!(!read.is_whole());
    let note = digest::missing(&old).unwrap().expect("a note");
    assert!(note.contains("old.safetensors") && note.contains("has no digest"), "{note}");
    assert_eq!(digest::missing(&path).unwrap(), None);
}

#[test]
fn a_checkpoint_of_format_3_goes_on_and_says_what_is_not_known_of_it() {
    let (_place, folder, path) = trained(5);
    let bytes = fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    metadata.remove(digest::KEY);
    let head = metadata.get_mut(ddpm_unet::train::checkpoint::KEY).unwrap();
    let sixteen = fingerprint_of_sixteen(&Numbered(30)).unwrap();
    *head = head
        .replace(r#"{"format":4"#, r#"{"format":3"#)
        .replace(r#""keep":2,"#, "")
        .replace(&fingerprint(&Numbered(30)).unwrap(), &sixteen);
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    fs::write(&path, safetensors::serialize(tensors, Some(metadata.clone())).unwrap()).unwrap();
    let options = RunOptions { resume: Some(path.clone()), ..RunOptions::default() };
    let mut said = Vec::new();
    assert_eq!(options.found().unwrap().unwrap().checkpoint.config.training.keep, 2);
    let mut begin = |images: Collection| {
        let found = options.found().unwrap();
        options.begin(found, &numbers(), &images, &folder, CPU, |text| said.push(text))
    };
    // image 0 is one of the sixteen, image 29 is not
    let error =
        begin(Collection { train: Box::new(Changed(0)), ..collection(30) }).err().unwrap().to_string();
    assert!(error.contains("--data") && error.contains(&sixteen), "{error}");
    let mut trainer = begin(Collection { train: Box::new(Changed(29)), ..collection(30) }).unwrap();
    assert!(said[0].contains("has no digest") && said[2].contains("sixteen of its images only"), "{said:?}");
    train(&mut trainer, &folder, 12);
    let digest = folder.newest().unwrap().checkpoint.config.data.fingerprint;
    assert_eq!(digest, fingerprint(&Changed(29)).unwrap(), "from here on of all images");
}

#[test]
fn a_checkpoint_is_found_by_its_file_by_its_folder_and_by_its_run() {
    let (place, folder, path) = trained(12);
    for place in [place.path(), folder.path(), &path] {
        let found = Found::at(place).unwrap();
        assert_eq!((found.checkpoint.step, &found.path, found.run_folder().is_some()), (12, &path, true));
    }
    let elsewhere = place.path().join("copy.safetensors");
    fs::copy(&path, &elsewhere).unwrap();
    let found = Found::at(&elsewhere).unwrap();
    assert_eq!((found.path.as_path(), found.run_folder()), (elsewhere.as_path(), None));
    let error = Found::at(&place.path().join("nowhere")).unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("cannot read the checkpoint"), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_no_checkpoint_and_is_not_read() {
    let error = Checkpoint::load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("/dev/zero") && error.contains("expected a checkpoint"), "{error}");
    let error = Found::at(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("/dev/zero"), "{error}");
}

/// The names of the files in a folder, sorted.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A trainer that has taken so many steps of the run of [`trained`], without a checkpoint.
fn after(steps: u64, training: TrainConfig) -> Trainer {
    let setting = setting(training);
    let (source, schedule) = (Numbered(30), setting.schedule().unwrap());
    let mut trainer = Trainer::new(setting.clone(), CPU).unwrap();
    let mut batch_stream = BatchStream::of(&setting.training, &source, &schedule);
    trainer.take_steps(&mut batch_stream, steps).unwrap();
    trainer
}

#[test]
fn what_was_just_saved_stays_and_checkpoints_of_more_steps_are_set_aside() {
    let (place, folder, newest) = trained(12);
    let bytes = fs::read(&newest).unwrap();
    let early = after(3, numbers()).checkpoint().unwrap();
    let saved = folder.save(&early).unwrap();
    assert!(saved.path.ends_with("step-00000003.safetensors"));
    let aside = place.path().join("checkpoints-before-1");
    assert_eq!(saved.set_aside.as_ref(), Some(&aside));
    assert_eq!(fs::read(aside.join("step-00000012.safetensors")).unwrap(), bytes);
    assert!(aside.join("step-00000008.safetensors").exists());
    assert_eq!(folder.newest().unwrap().path, saved.path);
    assert_eq!(folder.save(&early).unwrap().set_aside, None, "nothing is left to set aside");
}

#[test]
fn a_run_keeps_as_many_checkpoints_as_its_setting_says_and_a_resumed_one_as_many() {
    let place = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::in_run(place.path());
    let steps = || names_in(folder.path()).into_iter().filter(|name| name.starts_with("step-")).count();
    let often = TrainConfig { save_every: 1, keep: 5, ..numbers() };
    train(&mut Trainer::new(setting(often), CPU).unwrap(), &folder, 6);
    assert_eq!(steps(), 5);
    let begun = |keep| {
        let options = RunOptions { resume: Some(place.path().into()), keep, ..RunOptions::default() };
        let (found, mut said) = (options.found().unwrap(), Vec::new());
        let trainer =
            options.begin(found, &numbers(), &collection(30), &folder, CPU, |text| said.push(text)).unwrap();
        (trainer, said)
    };
    let (mut trainer, said) = begun(None);
    assert_eq!(said.len(), 1, "{said:?}");
    train(&mut trainer, &folder, 9);
    assert_eq!(steps(), 5, "as many as before");
    let (mut trainer, said) = begun(Some(3));
    assert_eq!(said[1], "--keep is 3 from here on; the run had 5.");
    train(&mut trainer, &folder, 12);
    assert_eq!(steps(), 3);
    let error = TrainConfig { keep: 0, ..numbers() }.validate().unwrap_err().to_string();
    assert!(error.contains("--keep is 0"), "{error}");
}

#[test]
fn what_a_run_left_to_draw_with_is_set_aside_with_its_checkpoints() {
    let place = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::in_run(place.path());
    train(&mut Trainer::new(setting(numbers()), CPU).unwrap(), &folder, 12);
    let model = place.path().join("model.safetensors");
    let newest = folder.newest().unwrap();
    newest.checkpoint.for_sampling().save(&model).unwrap();
    assert_eq!(folder.continue_from(&newest.path, 12).unwrap(), None, "it is of this history");
    assert!(model.exists());
    let before = folder.path().join("step-00000008.safetensors");
    let aside = folder.continue_from(&before, 8).unwrap().unwrap();
    assert!(aside.join("model.safetensors").exists() && !model.exists(), "it is of steps to come");
    fs::copy(aside.join("model.safetensors"), &model).unwrap();
    let aside = folder.set_aside().unwrap().unwrap();
    assert_eq!(aside, place.path().join("checkpoints-before-2"));
    assert!(aside.join("model.safetensors").exists() && !model.exists());
    // and where its checkpoints were cleared away
    fs::write(&model, "any").unwrap();
    let aside = folder.set_aside().unwrap().unwrap();
    assert_eq!(names_in(&aside), ["model.safetensors"]);
}

#[test]
fn a_second_lock_on_a_folder_is_refused_until_the_first_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::in_run(&place.path().join("run"));
    let lock = folder.lock().unwrap();
    assert_eq!(lock.note, None);
    let error = CheckpointFolder::in_run(&place.path().join("run")).lock().unwrap_err();
    let says = error.to_string();
    assert!(
        matches!(error, Error::InUse { .. }) && says.contains("choose another folder with --out"),
        "{says}"
    );
    drop(lock);
    folder.lock().unwrap();
    CheckpointFolder::in_run(&place.path().join("other")).lock().unwrap();
}

/// Which flipped bits of a checkpoint's file, by byte and place, load without a word.
fn loads_in_silence(path: &Path, flips: impl Iterator<Item = (usize, u8)>) -> Vec<(usize, u8)> {
    let mut bytes = fs::read(path).unwrap();
    let mut silent = Vec::new();
    for (byte, bit) in flips {
        bytes[byte] ^= 1 << bit;
        match Checkpoint::from_bytes(path, &bytes) {
            Ok(_) => silent.push((byte, bit)),
            Err(error) => assert!(error.to_string().contains("step-00000005"), "{error}"),
        }
        bytes[byte] ^= 1 << bit;
    }
    silent
}

#[test]
fn no_flipped_bit_of_a_checkpoint_loads() {
    let (place, _, path) = trained(5);
    let (bytes, mut rng) = (fs::read(&path).unwrap(), rng(2));
    let anywhere: Vec<_> =
        (0..3000).map(|_| (rng.random_range(0..bytes.len()), rng.random_range(0..8))).collect();
    assert_eq!(loads_in_silence(&path, anywhere.into_iter()), []);
    // each byte of the header, of a file with fewer tensors
    let light = place.path().join("light-step-00000005.safetensors");
    Checkpoint::load(&path).unwrap().for_sampling().save(&light).unwrap();
    let bytes = fs::read(&light).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let each: Vec<_> = (0..header).map(|byte| (byte, rng.random_range(0..8))).collect();
    assert_eq!(loads_in_silence(&light, each.into_iter()), []);
}

#[test]
fn a_flipped_bit_in_the_newest_checkpoint_leads_to_the_one_before() {
    let (_place, folder, path) = trained(12);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 16;
    fs::write(&path, bytes).unwrap();
    let found = folder.newest().unwrap();
    assert_eq!((found.checkpoint.step, found.passed_over.len()), (8, 1));
    let says = found.passed_over[0].to_string();
    assert!(says.contains("of the digest") && says.contains("use an older checkpoint"), "{says}");
}

#[test]
fn a_run_that_goes_on_sets_the_checkpoints_of_another_history_aside_and_loses_none() {
    let (place, folder, newest) = trained(12);
    let best = folder.path().join("best.safetensors");
    let best_step = Checkpoint::load(&best).unwrap().step;
    // from the newest: nothing is of another history
    assert_eq!(folder.continue_from(&newest, 12).unwrap(), None);
    // from the one before it: the newest is, and the best if it came later
    let before = folder.path().join("step-00000008.safetensors");
    let bytes = fs::read(&newest).unwrap();
    let aside = folder.continue_from(&before, 8).unwrap().unwrap();
    assert_eq!(aside, place.path().join("checkpoints-before-1"));
    assert_eq!(fs::read(aside.join("step-00000012.safetensors")).unwrap(), bytes);
    assert_eq!(best.exists(), best_step <= 8);
    assert_eq!(aside.join("best.safetensors").exists(), best_step > 8);
    assert!(before.exists());
    // from another folder: all are
    let copy = place.path().join("copy.safetensors");
    fs::copy(&before, &copy).unwrap();
    let aside = folder.continue_from(&copy, 8).unwrap().unwrap();
    assert_eq!(aside, place.path().join("checkpoints-before-2"));
    assert!(aside.join("step-00000008.safetensors").exists());
    assert_eq!(folder.continue_from(&copy, 8).unwrap(), None, "nothing is left");
    // a best that cannot be read is not known to lead here
    fs::create_dir_all(folder.path()).unwrap();
    fs::copy(&copy, &before).unwrap();
    fs::write(&best, "no checkpoint").unwrap();
    let aside = folder.continue_from(&before, 8).unwrap().unwrap();
    assert_eq!(names_in(&aside), ["best.safetensors"]);
}

#[test]
fn the_last_few_checkpoints_stay_and_the_best() {
    let (_place, folder, _) = trained(12);
    assert_eq!(
        names_in(folder.path()),
        ["best.safetensors", "step-00000008.safetensors", "step-00000012.safetensors"]
    );
    let last = folder.newest().unwrap().checkpoint;
    let best = Checkpoint::load(&folder.path().join("best.safetensors")).unwrap();
    assert_eq!(Some(best.step), last.history.best().map(|judged| judged.step));
}

/// The file with its JSON changed, and its length with it.
fn with_json(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(header.contains(from), "no {from} in {header}");
    let mut header = header.replace(from, to);
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat();
    // What is wrong is told also where the digest is right.
    if SafeTensors::read_metadata(&bytes).is_ok() { digest::seal(bytes) } else { bytes }
}

#[test]
fn a_damaged_checkpoint_is_refused_with_what_is_wrong() {
    let (_place, folder, path) = trained(5);
    let good = fs::read(&path).unwrap();
    let bad = folder.path().join("bad.safetensors");
    let length = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let mut nan = good.clone();
    let entry = 8 + length + 40;
    nan[entry..entry + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let nan = digest::seal(nan);
    let half = good[..good.len() / 2].to_vec();
    for (what, bytes, expected) in [
        ("cut in half", half, "a whole safetensors file"),
        ("cut in its header", good[..100].to_vec(), "a whole safetensors file"),
        ("empty", Vec::new(), "a whole safetensors file"),
        ("NaN", nan, "NaN at entry"),
        (
            "another version",
            with_json(&good, r#"{\"format\":4"#, r#"{\"format\":9"#),
            "version 9 of the format, expected a version from 2 to 4",
        ),
        (
            "another purpose",
            with_json(&good, "ddpm.checkpoint", "other.program"),
            "the key `ddpm.checkpoint`",
        ),
        (
            "a tensor of another name",
            with_json(&good, "mean.conv_in.bias", "mean.conv_in.bios"),
            "no tensor `mean.conv_in.bias`",
        ),
        (
            "a tensor of another shape",
            with_json(&good, r#""shape":[3,3,1,4]"#, r#""shape":[3,3,4,1]"#),
            "expected shape [3, 3, 1, 4]",
        ),
        (
            "another network",
            with_json(&good, r#"block_out_channels\":[4,8]"#, r#"block_out_channels\":[4,4]"#),
            "expected shape",
        ),
        ("another generator", with_json(&good, "ChaCha8", "ChaCha9"), "ChaCha9"),
        ("another digest", with_json(&good, "ddpm.sha256", "ddpm.sha257"), "the key `ddpm.sha257`"),
        (
            "more steps than can be counted",
            with_json(&good, r#"\"step\":5"#, &format!(r#"\"step\":{}"#, u64::MAX)),
            "18446744073709551615 steps of 20 images",
        ),
        (
            "examples that do not fit the step",
            with_json(&good, r#"\"examples\":100"#, r#"\"examples\":101"#),
            "101 examples",
        ),
    ] {
        fs::write(&bad, bytes).unwrap();
        let error = Checkpoint::load(&bad).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("bad.safetensors"), "{what}: {error}");
    }
}

#[test]
fn a_run_goes_on_from_the_newest_checkpoint_that_can_be_read() {
    let (_place, folder, path) = trained(12);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let found = folder.newest().unwrap();
    assert_eq!((found.checkpoint.step, found.passed_over.len()), (8, 1));
    assert!(found.passed_over[0].to_string().contains("step-00000012"));
    fs::write(&found.path, "nothing").unwrap();
    let error = folder.newest().unwrap_err().to_string();
    assert!(error.contains("step-00000012"), "{error}");
    let error = CheckpointFolder::new(folder.path().join("nowhere")).newest().unwrap_err().to_string();
    assert!(error.contains("no checkpoint") && error.contains("leave --resume out"), "{error}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_nothing_and_the_last_is_saved_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let blocked = place.path().join("file");
    fs::write(&blocked, "in the way").unwrap();
    let folder = CheckpointFolder::new(blocked.join("checkpoints"));
    let mut trainer = Trainer::new(setting(numbers()), CPU).unwrap();
    let mut not_saved = Vec::new();
    let outcome = run(&mut trainer, &collection(30), &folder, &AtomicBool::new(false), |event, trainer| {
        if let Event::NotSaved(error) = event {
            assert!(error.to_string().contains("cannot"), "{error}");
            not_saved.push(trainer.steps_taken());
        }
        Ok(())
    });
    assert_eq!((not_saved, trainer.steps_taken()), (vec![4, 8, 12], 12));
    let error = outcome.unwrap_err();
    let says = error.to_string();
    assert!(says.contains("not saved after step 12") && says.contains("go on with --resume"), "{says}");
    let Error::NotSaved { rescued: Ok(path), .. } = error else { panic!("{says}") };
    let rescued = Checkpoint::load(&path).unwrap();
    fs::remove_file(path).unwrap();
    let all = |checkpoint: Checkpoint| checkpoint.into_rows().unwrap();
    assert!(rescued.step == 12 && all(rescued) == all(trainer.checkpoint().unwrap()), "another state");
}

#[test]
fn a_checkpoint_that_could_not_be_written_is_followed_by_one_that_can() {
    let place = tempfile::tempdir().unwrap();
    let blocked = place.path().join("run");
    fs::write(&blocked, "in the way").unwrap();
    let folder = CheckpointFolder::in_run(&blocked);
    let mut trainer = Trainer::new(setting(numbers()), CPU).unwrap();
    let mut events = Vec::new();
    let stop = AtomicBool::new(false);
    let outcome = run(&mut trainer, &collection(30), &folder, &stop, |event, trainer| {
        match event {
            Event::NotSaved(_) => {
                events.push((trainer.steps_taken(), false));
                if trainer.steps_taken() == 12 {
                    fs::remove_file(&blocked).unwrap(); // so that the last try can write
                }
            }
            Event::Saved(_) => events.push((trainer.steps_taken(), true)),
            Event::Step(_) | Event::Evaluated(_) => (),
        }
        Ok(())
    });
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(events, [(4, false), (8, false), (12, false), (12, true)]);
    assert_eq!(folder.newest().unwrap().checkpoint.step, 12);
}

#[test]
fn a_run_of_another_setting_does_not_go_on() {
    let (_place, _, path) = trained(5);
    let checkpoint = Checkpoint::load(&path).unwrap();
    let rejected = |options: RunOptions, images: usize| {
        options.continued(&checkpoint, &collection(images)).unwrap_err().to_string()
    };
    let nothing = RunOptions::default;
    for (named, options) in [
        ("--batch is 21", RunOptions { batch: Some(21), ..nothing() }),
        ("--schedule is \"cosine\"", RunOptions { schedule: Some(ScheduleName::Cosine), ..nothing() }),
        ("--diffusion-steps is 7", RunOptions { diffusion_steps: Some(7), ..nothing() }),
        ("--dropout is 0.5", RunOptions { dropout: Some(0.5), ..nothing() }),
        ("--warm-up is 4", RunOptions { warm_up: Some(4), ..nothing() }),
        ("--ema is 0.5", RunOptions { ema_decay: Some(0.5), ..nothing() }),
        ("--flips is true", RunOptions { flips: true, ..nothing() }),
        ("--seed is 6", RunOptions { seed: Some(6), ..nothing() }),
        ("--seed is 0", RunOptions { seed: Some(0), ..nothing() }),
        ("--training-steps is 4", RunOptions { training_steps: Some(4), ..nothing() }),
        ("--network is laptop", RunOptions { network: Some("laptop".into()), ..nothing() }),
    ] {
        let error = rejected(options, 30);
        assert!(error.contains(named) && error.contains("checkpoint"), "{named}: {error}");
    }
    let error = rejected(nothing(), 31);
    assert!(error.contains("--data"), "{error}");
    for (what, options) in [
        ("steps", RunOptions { training_steps: Some(4), ..nothing() }),
        ("seed", RunOptions { seed: Some(0), ..nothing() }),
    ] {
        let early = RunOptions { resume: Some(path.clone()), ..options }.found();
        assert!(early.is_err(), "{what}: before any image is read");
    }
    let reached = RunOptions { training_steps: Some(5), ..nothing() };
    assert_eq!(reached.continued(&checkpoint, &collection(30)).unwrap().training.steps, 5);

    let options =
        RunOptions { batch: Some(20), training_steps: Some(99), learning_rate: Some(0.5), ..nothing() };
    let setting = options.continued(&checkpoint, &collection(30)).unwrap();
    assert_eq!((setting.training.steps, setting.training.learning_rate), (99, 0.5));
    let same = nothing().continued(&checkpoint, &collection(30)).unwrap();
    assert_eq!(same, checkpoint.config);
}

/// Thirty images of which one has another pixel.
struct Changed(usize);

impl ImageSource for Changed {
    fn shape(&self) -> (usize, usize, usize) {
        (8, 8, 1)
    }

    fn len(&self) -> usize {
        30
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        Numbered(30).image(index, pixels)?;
        if index == self.0 {
            pixels[63] = if pixels[63] > 0.0 { -1.0 } else { 1.0 };
        }
        Ok(())
    }
}

#[test]
fn a_run_does_not_go_on_when_one_pixel_of_one_image_has_changed() {
    let (_place, _, path) = trained(5);
    let checkpoint = Checkpoint::load(&path).unwrap();
    for index in 0..30 {
        let changed = Collection { train: Box::new(Changed(index)), ..collection(30) };
        let error = RunOptions::default().continued(&checkpoint, &changed).unwrap_err().to_string();
        assert!(error.contains("--data") && error.contains("images have changed"), "image {index}: {error}");
    }
}

#[test]
fn a_fingerprint_is_the_same_on_any_number_of_threads_and_sees_every_image() {
    let source = Numbered(1000); // four blocks
    let expected = fingerprint(&source).unwrap();
    assert_eq!(expected.len(), 64);
    for threads in [1, 3] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| fingerprint(&source)).unwrap(), expected, "{threads} threads");
    }
    assert_ne!(fingerprint(&Numbered(999)).unwrap(), expected);
}

#[test]
fn wrong_numbers_of_a_new_run_are_named_before_it_begins() {
    let nothing = RunOptions::default;
    for (named, options) in [
        ("--minutes is 0", RunOptions { minutes: Some(0.0), ..nothing() }),
        ("--minutes is -1", RunOptions { minutes: Some(-1.0), ..nothing() }),
        ("--minutes is NaN", RunOptions { minutes: Some(f64::NAN), ..nothing() }),
        ("--minutes is inf", RunOptions { minutes: Some(f64::INFINITY), ..nothing() }),
        ("--warm-up is 13", RunOptions { warm_up: Some(13), ..nothing() }),
        ("--training-steps is 16777217", RunOptions { training_steps: Some((1 << 24) + 1), ..nothing() }),
        ("--batch is 18446744073709551615", RunOptions { batch: Some(usize::MAX), ..nothing() }),
        ("--keep is 0", RunOptions { keep: Some(0), ..nothing() }),
    ] {
        let error = options.fresh(&numbers(), &collection(30)).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}

#[test]
fn checkpoints_of_an_earlier_run_are_set_aside_and_unfinished_files_removed() {
    let (place, folder, path) = trained(5);
    let unfinished = folder.path().join("step-00000006.safetensors.12-0.tmp");
    fs::write(&unfinished, "half").unwrap();
    folder.tidy().unwrap();
    assert!(!unfinished.exists() && path.exists());
    let aside = folder.set_aside().unwrap().unwrap();
    assert_eq!(aside, place.path().join("checkpoints-before-1"));
    assert!(!path.exists() && aside.join(path.file_name().unwrap()).exists());
    assert_eq!(folder.set_aside().unwrap(), None);
}

#[test]
fn a_run_begins_anew_or_goes_on_and_says_what_it_moved() {
    let (place, folder, path) = trained(5);
    let mut said = Vec::new();
    let mut begin = |options: &RunOptions, folder: &CheckpointFolder| {
        let found = options.found().unwrap();
        let trainer =
            options.begin(found, &numbers(), &collection(30), folder, CPU, |text| said.push(text)).unwrap();
        (trainer.steps_taken(), std::mem::take(&mut said))
    };
    let go_on = RunOptions { resume: Some(path.clone()), ..RunOptions::default() };
    let (step, words) = begin(&go_on, &folder);
    assert_eq!((step, words.len()), (5, 1), "{words:?}");
    assert!(words[0].starts_with("Going on after step 5, from "), "{words:?}");

    let network = place.path().join("tiny.json");
    fs::write(&network, serde_json::to_string(&tiny()).unwrap()).unwrap();
    let anew = RunOptions { network: Some(network.clone()), ..RunOptions::default() };
    let (step, words) = begin(&anew, &folder);
    assert_eq!((step, words.len()), (0, 1), "{words:?}");
    assert!(words[0].contains("checkpoints-before-1") && !path.exists(), "{words:?}");
    assert_eq!(begin(&anew, &folder), (0, Vec::new()), "nothing was there to move");

    let minutes = RunOptions { minutes: Some(1e-9), ..anew };
    let trainer = minutes.begin(None, &numbers(), &collection(30), &folder, CPU, |_| ()).unwrap();
    assert_eq!(trainer.config().training.steps, 1, "no time, but one step");
}

// Images.

#[test]
fn pictures_that_are_left_out_are_named_and_the_unseen_are_judged_on() {
    let unreadable = |count: usize| Collection {
        unreadable: (0..count)
            .map(|i| Unreadable { path: format!("{i}.png").into(), reason: format!("fault {i}") })
            .collect(),
        ..collection(3)
    };
    assert_eq!(unreadable(0).left_out(), None);
    let two = "2 pictures cannot be read and are left out: 0.png, 1.png. The first: fault 0.";
    assert_eq!(unreadable(2).left_out().unwrap(), two);
    assert!(unreadable(6).left_out().unwrap().contains("3.png, 4.png, …. The first"));
    assert_eq!(collection(3).unseen().len(), 3, "none were kept back");
    let both = Collection { test: Some(Box::new(Numbered(2))), ..collection(3) };
    assert_eq!(both.unseen().len(), 2);
}

#[test]
fn mnist_is_the_one_that_was_published() {
    let (train, test) = (mnist(Split::Train).unwrap(), mnist(Split::Test).unwrap());
    assert_eq!((train.len(), test.len(), train.shape()), (60_000, 10_000, (28, 28, 1)));
    let labels = mnist_labels(Split::Test).unwrap();
    assert_eq!((labels.len(), &labels[..5]), (10_000, &[7, 2, 1, 0, 4][..]));
    let mut pixels = [0.0; 784];
    train.image(207, &mut pixels).unwrap();
    let ends = pixels.iter().fold((1.0_f32, -1.0_f32), |(low, high), &x| (low.min(x), high.max(x)));
    assert_eq!(ends, (-1.0, 1.0), "paper is −1 and ink is 1");
    assert_ne!(fingerprint(&train).unwrap(), fingerprint(&test).unwrap());
}

/// An IDX file of `count` images of 3 × 2, whose bytes count up.
fn idx(count: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 3, 0, 0, 0, 2];
    bytes.extend(0..count * 6);
    bytes
}

#[test]
fn a_folder_of_idx_files_is_read_under_its_own_names() {
    for (train, test) in [
        ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
        ("qmnist-train-images-idx3-ubyte", "qmnist-test-images-idx3-ubyte"),
    ] {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(train), idx(4)).unwrap();
        fs::write(place.path().join(test), idx(2)).unwrap();
        let collection = Collection::open(Some(place.path()), None).unwrap();
        let mut pixels = [0.0; 6];
        collection.train.image(3, &mut pixels).unwrap();
        assert_eq!(pixels.map(pixel), [18, 19, 20, 21, 22, 23], "{train}");
        assert_eq!((collection.train.len(), collection.test.unwrap().len()), (4, 2), "{train}");
    }
    let place = tempfile::tempdir().unwrap();
    let gzipped = fs::read(course::within("data/mnist/t10k-images-idx3-ubyte.gz").unwrap()).unwrap();
    fs::write(place.path().join("train-images-idx3-ubyte.gz"), &gzipped).unwrap();
    assert_eq!(Collection::open(Some(place.path()), None).unwrap().train.len(), 10_000);

    fs::write(place.path().join("train-images-idx3-ubyte.gz"), &gzipped[..gzipped.len() / 3]).unwrap();
    let error = Collection::open(Some(place.path()), None).err().unwrap().to_string();
    assert!(error.contains("gzipped data that does not unpack"), "{error}");
}

#[test]
fn what_is_no_set_of_images_is_named() {
    let place = tempfile::tempdir().unwrap();
    let rejected = || Collection::open(Some(place.path()), None).err().unwrap().to_string();
    assert!(rejected().contains("check the path after --data"));
    let error = Collection::open(Some(&place.path().join("nowhere")), None).err().unwrap().to_string();
    assert!(error.contains("nowhere"), "{error}");

    let file = place.path().join("train-images-idx3-ubyte");
    let labels = [&[0, 0, 8, 1, 0, 0, 0, 1][..], &[5]].concat();
    fs::write(&file, labels).unwrap();
    assert!(rejected().contains("a file of labels"), "{}", rejected());
    fs::write(&file, idx(0)).unwrap();
    assert!(rejected().contains("0 images"), "{}", rejected());
    assert!(IdxImages::open(&file).is_err());
    fs::write(&file, &idx(4)[..30]).unwrap();
    assert!(rejected().contains("the end of the file"), "{}", rejected());
    fs::write(&file, idx(4)).unwrap();
    let error = Collection::open(Some(place.path()), Some(32)).err().unwrap().to_string();
    assert!(error.contains("--size is 32"), "{error}");
    fs::write(place.path().join("other-train-images-idx3-ubyte"), idx(4)).unwrap();
    assert!(rejected().contains("one set of images"), "{}", rejected());
}

#[test]
fn cifar_10_is_read_record_by_record() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("cifar-10-batches-bin");
    fs::create_dir(&folder).unwrap();
    let record = |label: u8| {
        let plane = |value: u8| vec![value; 1024];
        [vec![label], plane(label), plane(100 + label), plane(200 + label)].concat()
    };
    fs::write(folder.join("data_batch_1.bin"), [record(0), record(1)].concat()).unwrap();
    fs::write(folder.join("data_batch_2.bin"), record(2)).unwrap();
    fs::write(folder.join("test_batch.bin"), record(3)).unwrap();
    let collection = Collection::open(Some(place.path()), None).unwrap();
    assert_eq!((collection.train.len(), collection.train.shape()), (3, (32, 32, 3)));
    let mut pixels = vec![0.0; 3072];
    for (index, label) in [(0, 0), (1, 1), (2, 2)] {
        collection.train.image(index, &mut pixels).unwrap();
        let colors: Vec<u8> = pixels.iter().map(|&x| pixel(x)).collect();
        assert!(colors.chunks(3).all(|color| color == [label, 100 + label, 200 + label]), "image {index}");
    }
    let test = Cifar10::open(&folder, Split::Test).unwrap();
    test.image(0, &mut pixels).unwrap();
    assert_eq!(pixel(pixels[0]), 3);

    fs::write(folder.join("data_batch_2.bin"), &record(2)[..3000]).unwrap();
    let error = Cifar10::open(&folder, Split::Train).unwrap_err().to_string();
    assert!(error.contains("3000 bytes") && error.contains("data_batch_2.bin"), "{error}");
    fs::write(folder.join("data_batch_2.bin"), record(10)).unwrap();
    let error = Cifar10::open(&folder, Split::Train).unwrap().image(2, &mut pixels).unwrap_err().to_string();
    assert!(error.contains("the label 10"), "{error}");
}

#[test]
fn pictures_are_found_cut_to_squares_and_the_broken_ones_named() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("deep/deeper")).unwrap();
    let at = |name: &str| place.path().join(name);
    // 12 × 4: a red square between blue ones; the middle is red
    let wide = image::RgbImage::from_fn(12, 4, |x, _| {
        image::Rgb(if (4..8).contains(&x) { [255, 0, 0] } else { [0, 0, 255] })
    });
    wide.save(at("a.png")).unwrap();
    // a grey JPEG, of another name for its kind
    image::GrayImage::from_pixel(16, 16, image::Luma([64])).save(at("deep/b.jpeg")).unwrap();
    // transparent: white paper
    image::RgbaImage::from_pixel(8, 8, image::Rgba([0, 0, 0, 0])).save(at("deep/deeper/c.PNG")).unwrap();
    fs::write(at("notes.txt"), "no picture").unwrap();

    let rejected = |size| {
        let options = PictureOptions::square(size);
        PictureFolder::open(place.path(), &options, |_, _| ()).err().unwrap().to_string()
    };
    assert!(rejected(None).contains("--size is missing"), "{}", rejected(None));
    assert!(rejected(Some(2)).contains("4 to 1024"), "{}", rejected(Some(2)));

    let whole = fs::read(at("a.png")).unwrap();
    fs::write(at("deep/broken.png"), &whole[..whole.len() - 20]).unwrap();
    fs::write(at("deep/text.jpg"), "not a picture").unwrap();
    let mut seen = Vec::new();
    let watch = |more, all| seen.push((more, all));
    let collection =
        Collection::open_reporting(Some(place.path()), &PictureOptions::square(Some(4)), watch).unwrap();
    assert_eq!(seen, [(0, 5), (5, 5)], "none is decoded, then all");
    assert_eq!((collection.train.len(), collection.train.shape()), (3, (4, 4, 3)));
    let names: Vec<_> = collection.unreadable.iter().map(|bad| bad.path.clone()).collect();
    assert_eq!(names, [at("deep/broken.png"), at("deep/text.jpg")]);
    let mut pixels = [0.0; 48];
    for (index, expected) in [(0, [255, 0, 0]), (1, [64; 3]), (2, [255; 3])] {
        collection.train.image(index, &mut pixels).unwrap();
        for color in pixels.chunks(3) {
            let near = color.iter().zip(expected).all(|(&x, expected)| pixel(x).abs_diff(expected) <= 2);
            assert!(near, "image {index}: {:?}", color.iter().map(|&x| pixel(x)).collect::<Vec<_>>());
        }
    }
    fs::remove_file(at("deep/b.jpeg")).unwrap();
    let error = collection.train.image(1, &mut pixels).unwrap_err().to_string();
    assert!(error.contains("b.jpeg") && error.contains("--resume"), "{error}");

    let broken = tempfile::tempdir().unwrap();
    fs::write(broken.path().join("only.png"), "nothing").unwrap();
    let error = PictureFolder::open(broken.path(), &PictureOptions::square(Some(8)), |_, _| ())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("only.png") && error.contains("none that decodes"), "{error}");
}
