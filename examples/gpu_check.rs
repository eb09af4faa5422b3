//! The parts of `gpu/check`, each a call of its own: a GPU beside the CPU.
//!
//! ```text
//! gpu_check DEVICE operations               # every operation's values and gradients
//! gpu_check DEVICE time NETWORK BATCH       # seconds of a training step
//! gpu_check DEVICE steps NETWORK BATCH N    # takes N training steps
//! gpu_check DEVICE first N                  # the first N steps of ch14, on the device and on the CPU
//! gpu_check DEVICE train SECONDS IMAGES     # ch14 for so long, then so many samples, of which 64 are saved
//! ```
//!
//! It prints a row a measurement, between tabs: its name, the number, and the largest that is ok, if there is a bound. DEVICE is that of
//! `--device`; `cpu` runs what a GPU would, on the CPU.
use candle_core::{D, Tensor};
use ddpm::schedule::ScheduleName;
use ddpm_unet::{
    Result as UNetResult,
    denoiser::ImageDenoiser,
    device::DeviceChoice,
    images::{Collection, ImageSource, grid::save_grid},
    network::config::Preset,
    operations::{
        check::{Difference, cases},
        on_device::as_on_a_gpu,
        threads::one_thread_per_operation,
    },
    sample::{SamplingPlan, forward::standard_normal, sample},
    train::{
        BatchStream, RunConfig, TrainConfig, Trainer, network_named, seconds_per_step, validation_batch,
    },
};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use std::{env, error::Error, path::Path, time::Instant};

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "gpu_check DEVICE operations | time NETWORK BATCH | steps NETWORK BATCH N | first N | train SECONDS IMAGES";

fn main() -> Outcome<()> {
    one_thread_per_operation();
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [name, part @ ..] = words.as_slice() else { return Err(USAGE.into()) };
    let device = name.parse::<DeviceChoice>()?.open()?.device;
    match part {
        ["operations"] => operations(&device),
        ["time", network, batch] => time(network, batch.parse()?, &device),
        ["steps", network, batch, count] => as_on_a_gpu(|| {
            let (mut trainer, images) = trainer(network, batch.parse()?, &device)?;
            take(&mut trainer, &images, count.parse()?).map(drop)
        }),
        ["first", count] => first(count.parse()?, &device),
        ["train", seconds, images] => as_on_a_gpu(|| train(seconds.parse()?, images.parse()?, &device)),
        _ => Err(USAGE.into()),
    }
}

/// Prints a measurement.
fn row(name: &str, number: f64, bound: Option<f64>) {
    println!("{name}\t{number:e}\t{}", bound.map_or(String::new(), |bound| format!("{bound:e}")));
}

fn operations(device: &candle_core::Device) -> Outcome<()> {
    // f32 has 24 bits, and both sides add in other orders: √n 2⁻²⁴ of the largest or so, with n up to 50,000 for a kernel's gradient
    let bound = env::var("GPU_CHECK_BOUND").ok().map_or(Ok(2e-5), |bound| bound.parse())?;
    for case in cases(4) {
        let Difference { values, gradients } = case.difference_on(device, &mut StdRng::seed_from_u64(1))?;
        row(&format!("{}: values", case.name()), values, Some(bound));
        row(&format!("{}: gradients", case.name()), gradients, Some(bound));
    }
    Ok(())
}

/// Noise in the shape of a network's images: the time of a step does not depend on what they show.
struct Noise((usize, usize, usize));

impl ImageSource for Noise {
    fn shape(&self) -> (usize, usize, usize) {
        self.0
    }

    fn len(&self) -> usize {
        256
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> UNetResult<()> {
        let mut rng = StdRng::seed_from_u64(index as u64);
        pixels.fill_with(|| rng.random_range(-1.0..1.0));
        Ok(())
    }
}

fn trainer(network: &str, batch: usize, device: &candle_core::Device) -> Outcome<(Trainer, Collection)> {
    let (size, channels) = if matches!(network.parse(), Ok(Preset::Cifar10)) { (32, 3) } else { (28, 1) };
    let images = Collection {
        name: "noise".into(),
        train: Box::new(Noise((size, size, channels))),
        test: None,
        unreadable: Vec::new(),
        notes: Vec::new(),
    };
    let network = network_named(network, (size, size), channels)?;
    let training = TrainConfig { batch, ..TrainConfig::default() };
    let config = RunConfig::new(network, (ScheduleName::Linear, 1000), training, &images)?;
    Ok((Trainer::new(config, device)?, images))
}

/// Takes steps; the losses, of which a GPU has one for ten steps.
fn take(trainer: &mut Trainer, images: &Collection, count: u64) -> Outcome<Vec<f64>> {
    let (training, schedule) = (trainer.config().training.clone(), trainer.schedule().clone());
    let mut batches = BatchStream::of(&training, images.train.as_ref(), &schedule);
    Ok(trainer.take_steps(&mut batches, count)?.iter().map(|report| report.loss).collect())
}

/// A median of five times ten steps on one batch. A GPU is waited for after every tenth step.
fn time(network: &str, batch: usize, device: &candle_core::Device) -> Outcome<()> {
    let (mut trainer, images) = as_on_a_gpu(|| trainer(network, batch, device))?;
    let (training, schedule) = (trainer.config().training.clone(), trainer.schedule().clone());
    let batch = BatchStream::of(&training, images.train.as_ref(), &schedule).batch(0)?;
    let mut ten_steps = || {
        let start = Instant::now();
        as_on_a_gpu(|| (0..10).try_for_each(|_| trainer.step(&batch).map(drop)))?;
        Ok(start.elapsed().as_secs_f64() / 10.0)
    };
    ten_steps()?; // warms up
    let mut seconds = (0..5).map(|_| ten_steps()).collect::<UNetResult<Vec<f64>>>()?;
    seconds.sort_by(f64::total_cmp);
    row("parameters", trainer.network().parameters().count() as f64, None);
    row("seconds of a training step", seconds[2], None);
    row("the fastest and the slowest round, ratio", seconds[4] / seconds[0], None);
    Ok(())
}

/// The setting of ch14, but without dropout, whose masks each device draws for itself.
fn of_ch14(images: &Collection, steps: usize) -> Outcome<RunConfig> {
    let training = TrainConfig { steps, ..TrainConfig::default() };
    let mut network = network_named("digits", (28, 28), 1)?;
    network.dropout = 0.0;
    Ok(RunConfig::new(network, (ScheduleName::Cosine, 1000), training, images)?)
}

fn first(count: u64, device: &candle_core::Device) -> Outcome<()> {
    let images = Collection::open(None, None)?;
    let config = of_ch14(&images, TrainConfig::default().steps)?;
    let here = take(&mut Trainer::new(config.clone(), &candle_core::Device::Cpu)?, &images, count)?;
    let there = as_on_a_gpu(|| take(&mut Trainer::new(config, device)?, &images, count))?;
    for (tenth, (loss, losses)) in there.iter().zip(here.chunks_exact(10)).enumerate() {
        let expected = losses.iter().sum::<f64>() / 10.0;
        let name = format!("mean loss of steps {}–{}", 10 * tenth + 1, 10 * tenth + 10);
        row(&format!("{name}, on the CPU"), expected, None);
        // rounding grows from step to step, since Adam divides by the root of what may be small
        row(&format!("{name}: difference, relative"), (loss / expected - 1.0).abs(), Some(1e-2));
    }
    Ok(())
}

fn train(seconds: f64, count: usize, device: &candle_core::Device) -> Outcome<()> {
    let images = Collection::open(None, None)?;
    let per_step = seconds_per_step(&of_ch14(&images, 1000)?, &images, device)?;
    let config = of_ch14(&images, ((seconds / per_step) as usize / 10 * 10).max(10))?;
    let (mut trainer, start) = (Trainer::new(config.clone(), device)?, Instant::now());
    let losses = take(&mut trainer, &images, config.training.steps as u64)?;
    row("training steps", losses.len() as f64 * 10.0, None);
    row(
        "seconds a step, batches included",
        start.elapsed().as_secs_f64() / config.training.steps as f64,
        None,
    );
    row("the last mean loss", losses.last().copied().unwrap_or(f64::NAN), Some(1.0));
    let validation = validation_batch(images.unseen(), trainer.schedule(), 0, 256)?;
    // predicting 0 costs 1
    row("loss of the averaged network on held-out digits", trainer.evaluate(&validation)?.loss, Some(1.0));

    let (denoiser, mut rng, start) = (trainer.denoiser()?, StdRng::seed_from_u64(0), Instant::now());
    let (height, width, channels) = denoiser.shape();
    let noise = standard_normal((count, height, width, channels), &mut rng, device)?;
    let chain = SamplingPlan::default().steps(trainer.schedule())?;
    let samples = sample(&chain, &denoiser, noise, &mut rng, |_, _| Ok(()))?;
    let largest = samples.abs()?.flatten_all()?.max(D::Minus1)?.to_scalar::<f32>()?;
    row(
        &format!("seconds for {count} samples in {} calls", chain.len()),
        start.elapsed().as_secs_f64(),
        None,
    );
    row("their largest number", f64::from(largest), Some(1.0 + 1e-6));
    let sheet: Tensor = samples.narrow(0, 0, count.min(64))?;
    Ok(save_grid(&sheet, 8, Path::new("out/gpu_check/samples.png"))?)
}
