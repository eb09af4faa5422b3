//! How fast the 2-D toy trains and draws, beside PyTorch.
//!
//! ```text
//! cargo bench --bench toy
//! cargo bench --bench toy -- --torch PYTHON --script torch_toy.py [--rounds 5]
//! ```
//!
//! The workload is that of tiny-diffusion's defaults: 8000 points, batches of 32, T = 50 with β linear from 1e-4 to 0.02;
//! AdamW at 1e-3, gradient norm clipped at 1, the loss read at each step; then 1000 points drawn in 50 steps.
//! `--torch` runs the script in turn with this program, with as many threads (`RAYON_NUM_THREADS` sets them), so that
//! whatever else the machine does slows both; it must print one JSON line with `train_step_s` and `draw_1000x50_s`.
//! Printed are the medians over the rounds, one JSON line a side, their ratio, and what ten times the points, the steps
//! T or the batch costs.

use chain::Chain;
use ddpm::network::{AdamW, AdamWConfig, Mlp, MlpConfig, Pass, clip_gradient_norm};
use ndarray::{Array2, Axis};
use ndarray_rand::{
    RandomExt,
    rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom},
};
use rand_distr::StandardNormal;
use std::{env, error::Error, hint::black_box, process::Command, time::Instant};

const POINTS: usize = 8000;
const BATCH: usize = 32;
const STEPS: usize = 50;
const DRAWN: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let (mut rust, mut torch) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        rust.push(Times::measure());
        if let Some((python, script)) = &options.torch {
            torch.push(Times::of_script(python, script)?);
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
    torch: Option<(String, String)>,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let (mut rounds, mut python, mut script) = (5, None, None);
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => rounds = value()?.parse()?,
                "--torch" => python = Some(value()?),
                "--script" => script = Some(value()?),
                "--bench" => {} // cargo's own
                _ => return Err(format!("{word} is not an option; use --torch, --script or --rounds").into()),
            }
        }
        match (python, script) {
            (Some(python), Some(script)) => Ok(Self { rounds, torch: Some((python, script)) }),
            (None, None) => Ok(Self { rounds, torch: None }),
            _ => Err("--torch and --script go together".into()),
        }
    }
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
        Self { train_step, draw: seconds(5, || toy.draw()) }
    }

    fn of_script(python: &str, script: &str) -> Result<Self, Box<dyn Error>> {
        let threads = rayon::current_num_threads().to_string();
        let output = Command::new(python).args([script, "--threads", &threads]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let number = |key: &str| -> Option<f64> {
            let (_, rest) = text.split_once(&format!("\"{key}\":"))?;
            rest.split([',', '}']).next()?.trim().parse().ok()
        };
        match (number("train_step_s"), number("draw_1000x50_s")) {
            (Some(train_step), Some(draw)) => Ok(Self { train_step, draw }),
            _ => Err(format!("{script} printed {text:?} {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
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
    let draw = |steps| {
        let mut toy = Toy::new(BATCH, steps);
        seconds(3, || toy.draw())
    };
    let step = |batch| {
        let mut toy = Toy::new(100 * batch, STEPS);
        seconds(3, || toy.epoch(batch)) / 100.0
    };
    print("an epoch of 8000, 80000 points", epoch(POINTS), epoch(10 * POINTS));
    print("a draw with T = 50, 500", draw(STEPS), draw(10 * STEPS));
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

/// The toy: points, a noise chain and the network that learns to undo it.
struct Toy {
    rng: StdRng,
    points: Array2<f32>,
    chain: Chain,
    mlp: Mlp<f32>,
    pass: Pass<f32>,
    optimizer: AdamW<f32>,
}

impl Toy {
    fn new(points: usize, steps: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let points = Array2::random_using((points, 2), StandardNormal, &mut rng);
        let mlp = Mlp::new(MlpConfig::default(), &mut rng).expect("the default shape is within its bounds");
        let optimizer = AdamW::new(AdamWConfig::default(), mlp.parameters().len());
        Self { rng, points, chain: Chain::new(steps), pass: Pass::new(&mlp), optimizer, mlp }
    }

    /// Algorithm 1 on every point once.
    fn epoch(&mut self, batch: usize) {
        let mut order: Vec<usize> = (0..self.points.nrows()).collect();
        order.shuffle(&mut self.rng);
        for rows in order.chunks(batch) {
            let x_0 = self.points.select(Axis(0), rows); // (N, 2)
            let eps = Array2::random_using(x_0.dim(), StandardNormal, &mut self.rng); // (N, 2)
            let t: Vec<usize> = rows.iter().map(|_| self.rng.random_range(1..=self.chain.steps())).collect();
            let x_t = self.chain.noised(&x_0, &eps, &t);

            let residual = &self.pass.forward(&self.mlp, x_t.view(), &t) - &eps; // (N, 2)
            let loss = residual.pow2().mean();
            let grad_output = residual * (2.0 / eps.len() as f32);
            let gradient = self.pass.backward(&self.mlp, grad_output.view());
            clip_gradient_norm(gradient, 1.0);
            self.optimizer.step(self.mlp.parameters_mut(), gradient);
            black_box(loss);
        }
    }

    /// Algorithm 2.
    fn draw(&mut self) {
        let mut x = Array2::random_using((DRAWN, 2), StandardNormal, &mut self.rng);
        for t in (1..=self.chain.steps()).rev() {
            let eps = self.mlp.forward(x.view(), &[t; DRAWN]);
            self.chain.denoise(&mut x, &eps, t, &mut self.rng);
        }
        black_box(x);
    }
}

/// The chain's arithmetic, here as lean as the script's.
mod chain {
    use ndarray::{Array2, Zip};
    use ndarray_rand::{RandomExt, rand::Rng};
    use rand_distr::StandardNormal;

    /// β_t and ᾱ_t, with β_0 = 0 and ᾱ_0 = 1.
    pub struct Chain {
        beta: Vec<f32>,
        alpha_bar: Vec<f32>,
    }

    impl Chain {
        pub fn new(steps: usize) -> Self {
            let slope = (0.02 - 1e-4) / (steps - 1) as f64;
            let beta: Vec<f64> =
                (0..=steps).map(|t| if t == 0 { 0.0 } else { 1e-4 + slope * (t - 1) as f64 }).collect();
            let mut product = 1.0;
            let alpha_bar = beta.iter().map(|beta| {
                product *= 1.0 - beta;
                product as f32
            });
            Self { alpha_bar: alpha_bar.collect(), beta: beta.iter().map(|&beta| beta as f32).collect() }
        }

        pub fn steps(&self) -> usize {
            self.beta.len() - 1
        }

        /// x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε
        pub fn noised(&self, x_0: &Array2<f32>, eps: &Array2<f32>, t: &[usize]) -> Array2<f32> {
            let mut x_t = x_0.clone();
            Zip::from(x_t.rows_mut()).and(eps.rows()).and(t).for_each(|mut x, eps, &t| {
                let (signal, noise) = (self.alpha_bar[t].sqrt(), (1.0 - self.alpha_bar[t]).sqrt());
                x.zip_mut_with(&eps, |x, &eps| *x = signal * *x + noise * eps);
            });
            x_t
        }

        /// x_{t−1} = (x_t − β_t ε / √(1−ᾱ_t)) / √α_t + √β_t z
        pub fn denoise(&self, x: &mut Array2<f32>, eps: &Array2<f32>, t: usize, rng: &mut impl Rng) {
            let beta = self.beta[t];
            let (factor, scale) = (beta / (1.0 - self.alpha_bar[t]).sqrt(), (1.0 - beta).sqrt().recip());
            x.zip_mut_with(eps, |x, &eps| *x = scale * (*x - factor * eps));
            if t > 1 {
                let z = Array2::random_using(x.dim(), StandardNormal, rng);
                x.scaled_add(beta.sqrt(), &z);
            }
        }
    }
}
