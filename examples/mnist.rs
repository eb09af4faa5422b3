//! From images to images: trains a U-Net on MNIST, draws digits, saves them as `out/mnist/digits.png`.
//!
//! `cargo run --example mnist` takes one to three minutes on two cores for 200 steps, which give strokes rather than digits. `-- 4000`
//! gives digits in a quarter of an hour, as `cargo run --bin ch14_train_images` does, which also saves the network.
use candle_core::Device;
use ddpm::schedule::ScheduleName;
use ddpm_page::{
    bounds::{TRAINING_STEPS, whole},
    report::Progress,
};
use ddpm_unet::{
    images::{Collection, grid::save_grid},
    sample::{SamplingPlan, forward::standard_normal, sample},
    train::{BatchStream, RunConfig, TrainConfig, Trainer, network_named},
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let bounds = whole(1..=TRAINING_STEPS);
    let steps = env::args_os().nth(1).map_or(Ok(200), |steps| bounds.read("the number of steps", &steps))?;
    let (device, mut rng) = (Device::Cpu, StdRng::seed_from_u64(0));

    let mnist = Collection::open(None, None)?; // without a path: the MNIST of the course
    let (height, width, channels) = mnist.train.shape();
    let network = network_named("digits", (height, width), channels)?;
    let training = TrainConfig { steps, warm_up: 100.min(steps / 4), ..TrainConfig::default() };
    let (seed, batch, flips) = (training.seed, training.batch, training.flips);
    let setting = RunConfig::new(network, (ScheduleName::Linear, 1000), training, &mnist)?;

    // Algorithm 1
    let mut trainer = Trainer::new(setting, &device)?;
    let schedule = trainer.schedule().clone();
    let mut batch_stream = BatchStream::new(mnist.train.as_ref(), &schedule, (seed, batch, flips));
    let mut progress = Progress::new("training", steps);
    for step in 0..steps as u64 {
        if let Some(report) = trainer.step(&batch_stream.batch(step)?)? {
            progress.note(format!("loss {:.3}", report.loss));
        }
        progress.advance(1);
    }
    let last: Vec<f64> = trainer.history().steps.iter().rev().take(50).map(|report| report.loss).collect();
    println!("loss over the last steps: {:.4}", last.iter().sum::<f64>() / last.len() as f64);

    // Algorithm 2, in 50 of its 1000 steps
    let noise = standard_normal((16, height, width, channels), &mut rng, &device)?; // (B, H, W, C)
    let chain = SamplingPlan::default().steps(&schedule)?;
    let digits = sample(&chain, &trainer.denoiser()?, noise, &mut rng, |_, _| Ok(()))?;

    let path = Path::new("out/mnist/digits.png");
    save_grid(&digits, 8, path)?;
    println!("picture: {}", path.display());
    Ok(())
}
