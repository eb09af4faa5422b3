//! How fast convolutions and the `laptop` U-Net are, beside PyTorch, and where the time goes.
//!
//! ```text
//! cargo bench --profile dev -p ddpm-unet --bench unet
//! cargo bench --profile dev -p ddpm-unet --bench unet -- --torch PYTHON [--rounds 3] [--batch 64] [--network laptop]
//! ```
//!
//! Measured are a training step (loss, gradients, clipping, AdamW; ours also keeps a moving average), a forward pass, 3×3
//! convolutions of 32 images forwards and backwards, and the most memory that a process held while training. Each round is a
//! process of its own; with `--torch`, PYTHON runs `benches/torch_unet.py` in turn with ours, with as many threads
//! (`RAYON_NUM_THREADS` sets them) and on the same weights, which go over in a diffusers folder. So whatever else the machine
//! does slows both. PYTHON needs torch and diffusers. Printed are medians over the rounds and ours / PyTorch; then how long
//! each operation takes of our training step, over all threads.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor, Var};
use ddpm::{course, schedule::ScheduleName};
use ddpm_unet::{
    diffusers::{Betas, Scheduler, write_folder},
    images::Collection,
    network::Phase,
    operations::{
        self, Geometry,
        profile::{Spent, record},
        threads::{in_order, one_thread_per_operation},
    },
    train::{BatchStream, CHUNK, RunConfig, TrainConfig, Trainer, network_named},
};
use serde_json::{Map, Value, json};
use std::{env, error::Error, fs, hint::black_box, process::Command, time::Instant};

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    one_thread_per_operation();
    let options = Options::parse()?;
    if options.child {
        println!("{}", Value::Object(measure(&options)?));
        return Ok(());
    }
    let folder = env::temp_dir().join(format!("ddpm-unet-bench-{}", std::process::id()));
    let (network, threads) = (trainer(&options)?.network().clone(), rayon::current_num_threads().to_string());
    let betas = Betas::Linear { start: 1e-4, end: 0.02 };
    write_folder(&folder, &network, &Scheduler::new(1000, betas))?;
    let (mut ours, mut torch) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let child = env::args().skip(1).chain(["--child".to_owned()]);
        ours.push(lines(Command::new(env::current_exe()?).args(child))?);
        if let Some(python) = &options.torch {
            let script = course::within("benches/torch_unet.py")?;
            let (batch, mut command) = (options.batch.to_string(), Command::new(python));
            torch.push(lines(command.arg(script).arg(&folder).args([
                "--batch",
                &batch,
                "--threads",
                &threads,
            ]))?);
        }
    }
    fs::remove_dir_all(&folder)?;
    print_comparison(&ours, &torch);
    println!("\n{threads} threads, batches of {}, medians of {} rounds\n", options.batch, options.rounds);
    print_profile(&options)
}

fn print_profile(options: &Options) -> Outcome<()> {
    let images = Collection::open(None, None)?;
    let mut trainer = trainer(options)?;
    let schedule = trainer.schedule().clone();
    let batch = BatchStream::new(images.train.as_ref(), &schedule, (0, options.batch, false)).batch(0)?;
    trainer.step(&batch)?; // warms up
    let start = Instant::now();
    let (report, spent) = record(|| trainer.step(&batch));
    report?;
    let mut rest = start.elapsed().as_secs_f64() * rayon::current_num_threads() as f64;
    println!("{:<44} {:>10} {:>10}", "seconds of a training step, all threads", "forwards", "backwards");
    for (name, Spent { forward, backward }) in spent {
        let [forward, backward] = [forward, backward].map(|taken| taken.as_secs_f64());
        println!("{name:<44} {forward:>10.4} {backward:>10.4}");
        rest -= forward + backward;
    }
    println!("{:<44} {:>10} {rest:>10.4}", "the library, the optimizer, waiting", "");
    Ok(())
}

struct Options {
    rounds: usize,
    batch: usize,
    network: String,
    torch: Option<String>,
    child: bool,
}

impl Options {
    fn parse() -> Outcome<Self> {
        let mut options =
            Self { rounds: 3, batch: 64, network: "laptop".to_owned(), torch: None, child: false };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => options.rounds = value()?.parse()?,
                "--batch" => options.batch = value()?.parse()?,
                "--network" => options.network = value()?,
                "--torch" => options.torch = Some(value()?),
                "--child" => options.child = true,
                "--bench" => {} // cargo's own
                _ => {
                    return Err(format!(
                        "{word} is not an option; use --torch, --rounds, --batch or --network"
                    )
                    .into());
                }
            }
        }
        Ok(options)
    }
}

/// What follows an operation in a network, as far as that operation sees it: a gradient comes back.
struct Follow(Tensor);

impl CustomOp1 for Follow {
    fn name(&self) -> &'static str {
        "follow"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

/// What a process printed in its last line.
fn lines(command: &mut Command) -> Outcome<Map<String, Value>> {
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.lines().last().map(serde_json::from_str::<Map<String, Value>>);
    match numbers {
        Some(Ok(numbers)) => Ok(numbers),
        _ => Err(format!("{command:?} printed {text:?} {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn print_comparison(ours: &[Map<String, Value>], torch: &[Map<String, Value>]) {
    let of = |rounds: &[Map<String, Value>], name: &str| {
        let numbers: Vec<f64> = rounds.iter().filter_map(|round| round.get(name)?.as_f64()).collect();
        (!numbers.is_empty()).then(|| median(numbers))
    };
    println!("{:<44} {:>10} {:>10} {:>8}", "", "ours", "PyTorch", "ratio");
    for name in ours.first().into_iter().flat_map(Map::keys) {
        let [ours, torch] = [of(ours, name), of(torch, name)];
        let show = |number: Option<f64>, digits| number.map_or(String::new(), |n| format!("{n:.digits$}"));
        let ratio = ours.zip(torch).map(|(ours, torch)| ours / torch);
        let digits = if name.contains("MiB") { 0 } else { 4 };
        println!("{name:<44} {:>10} {:>10} {:>8}", show(ours, digits), show(torch, digits), show(ratio, 2));
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Seconds of one call: the median of `rounds`, after one that warms up.
fn seconds(rounds: usize, mut work: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    work()?;
    let taken = (0..rounds).map(|_| {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64())
    });
    Ok(median(taken.collect::<Outcome<Vec<f64>>>()?))
}

/// The most memory that this process ever held, in MiB, where the system gives it.
fn peak() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn trainer(options: &Options) -> Outcome<Trainer> {
    let network = network_named(&options.network, (28, 28), 1)?;
    let training = TrainConfig { batch: options.batch, ..TrainConfig::default() };
    let setting =
        RunConfig::new(network, (ScheduleName::Linear, 1000), training, &Collection::open(None, None)?)?;
    Ok(Trainer::new(setting, &Device::Cpu)?)
}

fn measure(options: &Options) -> Outcome<Map<String, Value>> {
    const STEPS: usize = 5;
    let mut measured = Map::new();
    let images = Collection::open(None, None)?;
    let mut trainer = trainer(options)?;
    let schedule = trainer.schedule().clone();
    let batch = BatchStream::new(images.train.as_ref(), &schedule, (0, options.batch, false)).batch(0)?;
    let before = peak();
    let step = seconds(STEPS, || {
        black_box(trainer.step(&batch)?);
        Ok(())
    })?;
    measured.insert("a training step".into(), json!(step));
    measured.insert("memory, MiB".into(), json!(peak()));
    let alone = peak().zip(before).map(|(after, before)| after - before);
    measured.insert("memory of the work alone, MiB".into(), json!(alone));

    let chunks = |count: usize| (0..count).step_by(CHUNK).map(move |start| start..(start + CHUNK).min(count));
    let network = trainer.network();
    let forward = seconds(STEPS, || {
        let predict = |rows: std::ops::Range<usize>| -> ddpm_unet::Result<Tensor> {
            let (x_t, _) = batch.tensors(rows.clone(), &Device::Cpu)?;
            network.forward(&x_t, &batch.times(rows), Phase::Evaluate)
        };
        let predicted = in_order(chunks(options.batch).collect(), predict);
        black_box(predicted.into_iter().collect::<ddpm_unet::Result<Vec<_>>>()?);
        Ok(())
    })?;
    measured.insert("a forward pass".into(), json!(forward));

    for (channels, side) in [(32, 28), (64, 14), (128, 7)] {
        let draw = |shape: &[usize]| -> candle_core::Result<Tensor> {
            Ok(Var::randn(0_f32, 1.0, shape, &Device::Cpu)?.into_inner())
        };
        let (kernel, bias) = (draw(&[3, 3, channels, channels])?, draw(&[channels])?);
        let parts = (0..32).step_by(CHUNK).map(|_| draw(&[CHUNK, side, side, channels]));
        let parts = parts.collect::<candle_core::Result<Vec<Tensor>>>()?;
        let gradient = draw(&[CHUNK, side, side, channels])?.detach();
        let taken = seconds(4 * STEPS, || {
            let pass = |x: Tensor| -> ddpm_unet::Result<()> {
                let y = operations::convolve(&x, &kernel, &bias, Geometry::same(3))?;
                black_box(y.apply_op1(Follow(gradient.clone()))?.backward()?);
                Ok(())
            };
            Ok(in_order(parts.clone(), pass).into_iter().collect::<ddpm_unet::Result<()>>()?)
        })?;
        measured.insert(format!("3×3 convolution, {channels} channels, {side}×{side}"), json!(taken));
    }
    Ok(measured)
}
