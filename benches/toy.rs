//! How fast the 2-D toy trains and draws, beside PyTorch.
//!
//! ```text
//! cargo bench --bench toy
//! cargo bench --bench toy -- --torch PYTHON [--rounds 5]
//! ```
//!
//! The workload is that of tiny-diffusion's defaults: 8000 points, batches of 32, T = 50 with β linear from 1e-4 to 0.02;
//! AdamW at 1e-3, gradient norm clipped at 1, the loss read at each step; then 1000 points drawn in 50 steps. Our side
//! is the chapters' own trainer and sampler, which also keep a moving average and compute their coefficients in `f64`.
//! With `--torch`, PYTHON runs `benches/torch_toy.py` in turn with this program, with as many threads (`RAYON_NUM_THREADS`
//! sets them), so that whatever else the machine does slows both. PYTHON needs torch. Printed are the medians over the rounds, one JSON line a side, their ratio, and what ten times the points, the steps
//! T or the batch costs.

use ddpm::{
    course,
    forward::standard_normal,
    objective::Objective,
    reverse::FixedVariance,
    sampler::{Sampler, Spacing, ancestral, sample, time_grid},
    schedule::{Schedule, ScheduleName},
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ndarray::{Array2, Axis};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{
    env,
    error::Error,
    hint::black_box,
    process::{Command, ExitCode},
    time::Instant,
};

const POINTS: usize = 8000;
const BATCH: usize = 32;
const STEPS: usize = 50;
const DRAWN: usize = 1000;

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let (mut rust, mut torch) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        rust.push(Times::measure());
        if let Some(python) = &options.torch {
            torch.push(Times::of_pytorch(python)?);
        }
    }
    let rust = Times::median(&rust);
    rust.print("rust");
    if !torch.is_empty() {
        let torch = Times::median(&torch);
        torch.print("torch");
        println!(
            "torch / rust: {:.2} a training step, {:.2} a draw",
            torch.train_step / rust.train_step,
            torch.draw / rust.draw
        );
    }
    print_tenfold();
    Ok(())
}

struct Options {
    rounds: usize,
    torch: Option<String>,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut options = Self { rounds: 5, torch: None };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => options.rounds = at_least_one(&value()?)?,
                "--torch" => options.torch = Some(value()?),
                "--bench" => {} // cargo's own
                _ => return Err(format!("{word} is not an option; use --torch or --rounds").into()),
            }
        }
        Ok(options)
    }
}

fn at_least_one(rounds: &str) -> Result<usize, String> {
    let wrong = || format!("--rounds is {rounds}; it must be a whole number of at least 1: use 5");
    rounds.parse().ok().filter(|&rounds| rounds > 0).ok_or_else(wrong)
}

/// Seconds per training step and per draw.
#[derive(Clone, Copy)]
struct Times {
    train_step: f64,
    draw: f64,
}

impl Times {
    fn measure() -> Self {
        let mut toy = Toy::new(POINTS, STEPS);
        let train_step = seconds(3, || toy.epoch(BATCH)) / (POINTS / BATCH) as f64;
        Self { train_step, draw: seconds(5, || toy.draw(DRAWN)) }
    }

    fn of_pytorch(python: &str) -> Result<Self, Box<dyn Error>> {
        let script = course::within("benches/torch_toy.py")?;
        let threads = rayon::current_num_threads().to_string();
        let ran = format!("{python} {} --threads {threads}", script.display());
        let remedy = "--torch needs a Python that has torch";
        let output = Command::new(python).arg(&script).args(["--threads", &threads]).output();
        let output = output.map_err(|error| format!("{ran}: cannot be run: {error}; {remedy}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |key: &str| -> Option<f64> {
            let (_, rest) = text.split_once(&format!("\"{key}\":"))?;
            rest.split([',', '}']).next()?.trim().parse().ok()
        };
        let (train_step, draw) = (number("train_step_s"), number("draw_1000x50_s"));
        let times = train_step.zip(draw).filter(|_| output.status.success());
        let (train_step, draw) = times.ok_or_else(|| {
            let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
            format!(
                "{ran}: ended with {}, and no times; {remedy}. Its output:\n{}",
                output.status,
                said.trim()
            )
        })?;
        Ok(Self { train_step, draw })
    }

    fn median(rounds: &[Self]) -> Self {
        Self {
            train_step: median(rounds.iter().map(|times| times.train_step)),
            draw: median(rounds.iter().map(|times| times.draw)),
        }
    }

    fn print(&self, side: &str) {
        let Self { train_step, draw } = self;
        let threads = rayon::current_num_threads();
        println!(
            "{{\"side\": \"{side}\", \"threads\": {threads}, \"train_step_s\": {train_step:.3e}, \
             \"draw_1000x50_s\": {draw:.3e}}}"
        );
    }
}

fn print_tenfold() {
    println!("\n{:<34} {:>10} {:>10} {:>7}", "seconds", "once", "tenfold", "ratio");
    let print = |name: &str, once: f64, tenfold: f64| {
        println!("{name:<34} {once:>10.2e} {tenfold:>10.2e} {:>7.2}", tenfold / once);
    };
    let epoch = |points| {
        let mut toy = Toy::new(points, STEPS);
        seconds(3, || toy.epoch(BATCH))
    };
    let draw = |steps, points| {
        let mut toy = Toy::new(BATCH, steps);
        seconds(3, || toy.draw(points))
    };
    let step = |batch| {
        let mut toy = Toy::new(100 * batch, STEPS);
        seconds(3, || toy.epoch(batch)) / 100.0
    };
    print("an epoch of 8000, 80000 points", epoch(POINTS), epoch(10 * POINTS));
    print("a draw with T = 50, 500", draw(STEPS, DRAWN), draw(10 * STEPS, DRAWN));
    print("a draw of 1000, 10000 points", draw(STEPS, DRAWN), draw(STEPS, 10 * DRAWN));
    let jumps = |method, steps, count| {
        let mut toy = Toy::new(BATCH, steps);
        seconds(3, || toy.jump(method, count, DRAWN))
    };
    let (ddim, solver) = (Sampler::Ddim(0.0), Sampler::Solver);
    print("20, 200 jumps of DDIM, T = 200", jumps(ddim, 200, 20), jumps(ddim, 200, 200));
    print("20 jumps of DDIM, T = 200, 2000", jumps(ddim, 200, 20), jumps(ddim, 2000, 20));
    print("20, 200 jumps of DPM-Solver++(2M)", jumps(solver, 200, 20), jumps(solver, 200, 200));
    print("a training step on 256, 2560 rows", step(256), step(2560));
}

/// Seconds of one call: the median of `rounds`, after one that warms up.
fn seconds(rounds: usize, mut work: impl FnMut()) -> f64 {
    work();
    median((0..rounds).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    }))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The toy: points, a schedule and the trainer of the chapters.
struct Toy {
    rng: StdRng,
    points: Array2<f64>,
    schedule: &'static Schedule,
    trainer: Trainer<'static, f32>,
}

impl Toy {
    fn new(points: usize, steps: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let points = standard_normal(points, 2, &mut rng);
        let schedule = ScheduleName::Linear.schedule(steps).expect("T is at least 1");
        let schedule: &'static Schedule = Box::leak(Box::new(schedule)); // as long as the program, which is short
        let config = TrainConfig { batch: BATCH, ..TrainConfig::default() };
        let trainer = Trainer::new(schedule, config, &mut rng).expect("the defaults are within their bounds");
        Self { rng, points, schedule, trainer }
    }

    /// Algorithm 1 on every point once.
    fn epoch(&mut self, batch: usize) {
        let mut order: Vec<usize> = (0..self.points.nrows()).collect();
        order.shuffle(&mut self.rng);
        for rows in order.chunks(batch) {
            let x_0 = self.points.select(Axis(0), rows); // (N, 2)
            black_box(self.trainer.step(&x_0, &mut self.rng).loss);
        }
    }

    /// Algorithm 2.
    fn draw(&mut self, points: usize) {
        let x_t = standard_normal(points, 2, &mut self.rng);
        let steps = ancestral(self.schedule, FixedVariance::Beta, None);
        let denoiser = denoiser(self.schedule, &self.trainer);
        black_box(sample(&steps, &denoiser, x_t, &mut self.rng, |_, _| ()));
    }

    /// So many jumps along a grid.
    fn jump(&mut self, method: Sampler, count: usize, points: usize) {
        let x_t = standard_normal(points, 2, &mut self.rng);
        let grid = time_grid(self.schedule.steps(), count, Spacing::Trailing).expect("no more jumps than T");
        let denoiser = denoiser(self.schedule, &self.trainer);
        let drawn = method.draw(self.schedule, &grid, None, &denoiser, x_t, &mut self.rng);
        black_box(drawn.expect("the grid falls"));
    }
}

fn denoiser<'a>(schedule: &'a Schedule, trainer: &'a Trainer<'_, f32>) -> NetworkDenoiser<'a, f32> {
    NetworkDenoiser { schedule, network: trainer.network(), objective: Objective::Simple }
}
