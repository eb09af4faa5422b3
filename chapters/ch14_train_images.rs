//! ch14_train_images: how does Algorithm 1 train a U-Net on images, and survive being killed?

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use clap::Parser;
use ddpm::{metrics::StandardError, schedule::ScheduleName};
use ddpm_page::{
    plot::{Figure, Panel, Series},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ddpm_unet::{
    denoiser::ImageDenoiser,
    device::{DeviceChoice, OpenDevice},
    images::{
        Collection,
        grid::{ImageGrid, save_grid},
    },
    network::config::UNetConfig,
    operations::threads::one_thread_per_operation,
    sample::{SamplingPlan, forward::standard_normal, sample},
    train::{
        BatchStream, Event, History, Outcome, RunConfig, RunOptions, TrainConfig, Trainer,
        checkpoint::{Checkpoint, CheckpointFolder, Found, MODEL},
        losses,
        rng_streams::{Purpose, generator},
        run, seconds_per_step, validation_batch,
    },
};
use std::{
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

#[derive(Parser)]
#[command(about = catalogue::question("ch14_train_images"), after_help = catalogue::running_time("ch14_train_images"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Images to train on: a folder of IDX files, of CIFAR-10's binary files, or of PNG and JPEG pictures [default: MNIST]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The side of the square that pictures are cut to
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Mirror half of the images left to right
    #[arg(long)]
    flips: bool,
    /// The network: digits, laptop, cifar10, lsun256 or the JSON of another [default: digits]
    #[arg(long, value_name = "NAME|FILE")]
    network: Option<String>,
    /// The noise schedule: linear, quad, sigmoid or cosine [default: cosine]
    #[arg(long)]
    schedule: Option<ScheduleName>,
    /// The number of diffusion steps T [default: 1000]
    #[arg(long, value_name = "T")]
    diffusion_steps: Option<usize>,
    /// The share of numbers that dropout silences [default: the network's]
    #[arg(long, value_name = "SHARE")]
    dropout: Option<f64>,
    /// The number of training steps [default: 4000]
    #[arg(long, value_name = "N")]
    training_steps: Option<usize>,
    /// As many training steps as this machine takes in so many minutes
    #[arg(long, conflicts_with_all = ["training_steps", "resume"])]
    minutes: Option<f64>,
    /// The number of images per training step [default: 32]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// The largest learning rate [default: 0.001]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// The number of steps over which the learning rate rises [default: 100]
    #[arg(long, value_name = "N")]
    warm_up: Option<usize>,
    /// The decay of the weights' moving average [default: 0.998]
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// The device: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// The number of threads on the CPU [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Judge, draw and save after so many steps [default: a tenth of all]
    #[arg(long, value_name = "N")]
    save_every: Option<usize>,
    /// How many checkpoints to keep, beside the best
    #[arg(long, value_name = "N", default_value_t = 2)]
    keep: usize,
    /// Go on from a checkpoint, or from the newest of a run's folder
    #[arg(long, value_name = "FILE|DIR")]
    resume: Option<PathBuf>,
}

impl Arguments {
    fn options(&self, seed: Option<u64>) -> RunOptions {
        RunOptions {
            network: self.network.clone(),
            schedule: self.schedule,
            diffusion_steps: self.diffusion_steps,
            dropout: self.dropout,
            training_steps: self.training_steps,
            batch: self.batch,
            learning_rate: self.learning_rate,
            warm_up: self.warm_up,
            ema_decay: self.ema,
            flips: self.flips,
            save_every: self.save_every,
            seed,
        }
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1)
    }
}

fn main() -> Result<()> {
    one_thread_per_operation();
    let mut arguments = Arguments::parse();
    let found = arguments.resume.as_deref().map(Found::at).transpose()?;
    if let (None, Some(folder)) = (&arguments.common.out, found.as_ref().and_then(Found::run_folder)) {
        arguments.common.out = Some(folder.to_owned());
    }
    let (common, threads) = (&arguments.common, arguments.threads());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let OpenDevice { device, why } = arguments.device.open()?;
    let mut bar = None;
    let collection =
        Collection::open_with_progress(arguments.data.as_deref(), arguments.size, |more, all| {
            bar.get_or_insert_with(|| Progress::new("looking at the pictures", all)).advance(more);
        })?;
    drop(bar);
    let quick =
        TrainConfig { steps: 12, batch: 32, save_every: 4, validation_images: 64, ..TrainConfig::default() };
    let defaults = common.pick(TrainConfig::default(), quick);

    let mut chapter = Chapter::start("ch14_train_images", common)?;
    let folder = CheckpointFolder::in_run(chapter.out(), arguments.keep);
    let mut trainer = match found {
        Some(Found { mut checkpoint, path, passed_over }) => {
            passed_over.iter().for_each(|error| chapter.say(format!("Passed over: {error}.")));
            checkpoint.config = arguments
                .options((common.seed != 0).then_some(common.seed))
                .continued(&checkpoint, &collection)?;
            let step = checkpoint.step;
            let trainer = Trainer::resume(checkpoint, &device)?;
            chapter.say(format!("Going on after step {step}, from {}.", path.display()));
            if let Some(aside) = folder.continue_from(&path, step)? {
                chapter
                    .say(format!("Checkpoints that do not lead to this one are now in {}.", aside.display()));
            }
            trainer
        }
        None => {
            let options = arguments.options(Some(common.seed));
            let mut setting = options.fresh(&defaults, &collection)?;
            if let Some(minutes) = arguments.minutes {
                let seconds = seconds_per_step(&setting, &collection, &device)?;
                setting.training.steps = ((60.0 * minutes / seconds) as usize).max(1);
                setting.validate()?;
            }
            let trainer = Trainer::new(setting, &device)?;
            if let Some(aside) = folder.set_aside()? {
                chapter.say(format!("The checkpoints of an earlier run are now in {}.", aside.display()));
            }
            trainer
        }
    };
    folder.tidy()?;
    describe(&mut chapter, &collection, &trainer, &format!("{why}, {threads} threads"));
    before(&mut chapter, &collection, &trainer)?;

    if train(&mut chapter, &collection, &mut trainer, &folder)? == Outcome::Stopped {
        let place = chapter.out().display().to_string();
        chapter.say(format!(
            "Stopped and saved after step {}. Go on with --resume {place}",
            trainer.steps_taken()
        ));
        return Ok(chapter.finish()?);
    }
    curves(&mut chapter, &trainer)?;
    loss_by_time(&mut chapter, &collection, &trainer)?;
    every_parameter(&mut chapter, &collection, &trainer)?;
    on_disk(&mut chapter, &collection, &trainer)?;
    Ok(chapter.finish()?)
}

fn describe(chapter: &mut Chapter, collection: &Collection, trainer: &Trainer, place: &str) {
    let RunConfig { schedule, diffusion_steps, training, data, .. } = trainer.config();
    let passes = (training.steps * training.batch) as f64 / data.count as f64;
    chapter.section("The run");
    chapter.table(
        Table::new("", "what", ["here"])
            .row("images", [data.name.clone()])
            .row("parameters", [trainer.network().parameters().count().to_string()])
            .row("schedule", [format!("{schedule}, T = {diffusion_steps}")])
            .row("steps", [format!("{} of {} images: {passes:.3} passes", training.steps, training.batch)])
            .row(
                "learning rate",
                [format!("{}, rising over {} steps", training.learning_rate, training.warm_up)],
            )
            .row("average", [format!("decay {}", training.ema_decay)])
            .row("computed", [place.to_owned()]),
    );
    let unreadable = &collection.unreadable;
    if let Some(first) = unreadable.first() {
        let names: Vec<String> =
            unreadable.iter().take(5).map(|bad| bad.path.display().to_string()).collect();
        chapter.say(format!(
            "{} pictures cannot be read and are left out: {}{}. The first: {}.",
            unreadable.len(),
            names.join(", "),
            if unreadable.len() > 5 { ", …" } else { "" },
            first.reason
        ));
    }
}

/// Trains, shows how it goes, and stops at Ctrl-C.
fn train(
    chapter: &mut Chapter,
    collection: &Collection,
    trainer: &mut Trainer,
    folder: &CheckpointFolder,
) -> Result<Outcome> {
    chapter.section("Training");
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // The first Ctrl-C asks for an end after this step, the second ends at once.
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
    })
    .context("cannot listen for Ctrl-C")?;

    let before = trainer.steps_taken();
    let left = (trainer.config().training.steps as u64).saturating_sub(before);
    let mut progress = Progress::new("training", left as usize);
    let out = chapter.out().to_owned();
    let (mut smooth, mut troubles, mut shown) = (None, Vec::new(), before);
    let outcome = run(trainer, collection, folder, &stop, |event, trainer| {
        match event {
            Event::Step(report) => {
                let mean = smooth.map_or(report.loss, |mean: f64| mean + 0.05 * (report.loss - mean));
                smooth = Some(mean);
                progress.advance((report.step - shown) as usize);
                shown = report.step;
                progress.note(format!("loss {mean:.4}"));
            }
            Event::Evaluated(_) => {
                if let Err(error) = on_the_way(&out, trainer) {
                    troubles.push(format!(
                        "Nothing could be drawn after step {}: {error}.",
                        trainer.steps_taken()
                    ));
                }
            }
            Event::NotSaved(error) => {
                troubles.push(format!("Not saved after step {}: {error}.", trainer.steps_taken()));
            }
            Event::Saved(_) => (),
        }
        Ok(())
    });
    drop(progress);
    troubles.iter().for_each(|trouble| chapter.say(trouble));
    let outcome = outcome.with_context(|| match folder.newest() {
        Ok(found) => format!("the last good checkpoint is {}", found.path.display()),
        Err(_) => "no checkpoint was saved".into(),
    })?;
    Ok(outcome)
}

/// Draws what one may look at while it trains: the loss so far, and samples.
fn on_the_way(out: &Path, trainer: &Trainer) -> Result<()> {
    loss_figure(trainer.history()).save(out, "loss")?;
    save_grid(&draw(trainer)?, 8, &out.join("samples.png"))?;
    Ok(())
}

/// Sixteen images from the average, always from the same noise, by the default sampler of ch15.
fn draw(trainer: &Trainer) -> Result<Tensor> {
    let (denoiser, schedule, seed) =
        (trainer.denoiser()?, trainer.schedule(), trainer.config().training.seed);
    let (h, w, c) = denoiser.shape();
    let steps = SamplingPlan::default().within(schedule).steps(schedule)?;
    let mut rng = generator(seed, Purpose::Samples, 0);
    let noise = standard_normal((16, h, w, c), &mut rng, trainer.device())?;
    Ok(sample(&steps, &denoiser, noise, &mut rng, |_, _| Ok(()))?)
}

/// What the network is fed, before it sees any of it.
fn before(chapter: &mut Chapter, collection: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("What goes in");
    let setting = trainer.config();
    let (training, schedule) = (&setting.training, trainer.schedule());
    let (source, steps) = (collection.train.as_ref(), schedule.steps());
    let mut batch_stream =
        BatchStream::new(source, schedule, (training.seed, training.batch, training.flips));
    let batches = training.steps.min(8192_usize.div_ceil(training.batch)) as u64;
    let (mut times, mut low, mut high, mut squares, mut count) = (Vec::new(), 1.0_f64, -1.0_f64, 0.0, 0);
    let mut eps_squares = 0.0;
    for step in Progress::over("looking at the batches", 0..batches as usize) {
        let batch = batch_stream.batch(step as u64)?;
        for &x in &batch.x_0 {
            let x = f64::from(x);
            (low, high, squares) = (low.min(x), high.max(x), squares + x * x);
        }
        eps_squares += batch.eps.iter().map(|&eps| f64::from(eps).powi(2)).sum::<f64>();
        count += batch.x_0.len();
        times.extend(batch.t);
    }
    let (earliest, latest) =
        (times.iter().min().copied().unwrap_or(0), times.iter().max().copied().unwrap_or(0));
    let drawn = times.len() as f64;
    let mean = times.iter().sum::<usize>() as f64 / drawn;
    // a uniform t has variance (T² − 1)/12, and misses the last per cent of 1…T in n draws with probability 0.99ⁿ
    let error = ((steps as f64).powi(2) / 12.0 / drawn).sqrt();
    chapter.checks(
        Checks::new(format!("The first {} examples", times.len()))
            .at_least("smallest number of an image", -1.0, low)
            .at_most("largest number of an image", 1.0, high)
            .within("E ε²", 1.0, eps_squares / count as f64, (2.0 / count as f64).sqrt())
            .within("mean t", (steps as f64 + 1.0) / 2.0, mean, error)
            .at_least("earliest t", 1.0, earliest as f64)
            .at_most("latest t", steps as f64, latest as f64)
            .note(format!(
                "E x_0² = {:.3}: images in [0, 1] would have no negative numbers",
                squares / count as f64
            )),
    );
    let bins = steps.min(40);
    let panel = Panel::new("").axes("t", "density").histogram(
        "",
        times.iter().map(|&t| t as f64),
        bins,
        (0.5, steps as f64 + 0.5),
    );
    chapter.figure(&Figure::new("Every t from 1 to T is trained").panel(panel), "times")?;
    Ok(())
}

fn loss_figure(history: &History) -> Figure {
    let judged = history.evaluations.iter().map(|judged| (judged.step as f64, judged.loss));
    let panel = Panel::new("")
        .axes("training step", "L_simple per number")
        .log_x()
        .log_y()
        .line("training, smoothed", history.smoothed())
        .series(Series::points("average, judged", judged).size(3.5));
    Figure::new("The loss").panel(panel)
}

fn curves(chapter: &mut Chapter, trainer: &Trainer) -> Result<()> {
    chapter.section("The loss, and the gradient");
    let (history, training) = (trainer.history(), &trainer.config().training);
    let (steps, (h, w, c)) = (&history.steps, trainer.config().data.shape);
    let numbers = training.batch * h * w * c;
    let mut table = Table::new(
        "The average, judged always on the same images, t and ε",
        "after step",
        ["L_simple per number"],
    );
    for judged in &history.evaluations {
        table = table.row(judged.step.to_string(), [judged.loss]);
    }
    chapter.table(table.digits(4));
    if let ([first, ..], Some(best)) = (steps.as_slice(), history.best()) {
        chapter.checks(
            Checks::new("From knowing nothing to knowing something")
                .within(
                    "the first loss",
                    1.0,
                    first.loss,
                    StandardError::from((2.0 / numbers as f64).sqrt()).besides(0.05),
                )
                .at_most("the best judged loss, over that of knowing nothing", 1.0, best.loss)
                .note("a network that says 0 to everything has loss E ε² = 1"),
        );
    }
    chapter.figure(&loss_figure(history), "loss")?;
    chapter.picture("samples.png", &ImageGrid::new(8).draw(&draw(trainer)?)?.png()?)?;

    let norms: Vec<(f64, f64)> =
        steps.iter().map(|report| (report.step as f64, report.gradient_norm)).collect();
    let clipped = norms.iter().filter(|(_, norm)| *norm > training.max_gradient_norm).count();
    chapter.say(format!(
        "Of {} gradients {clipped} were longer than {} and clipped.",
        norms.len(),
        training.max_gradient_norm
    ));
    let panel = Panel::new("")
        .axes("training step", "‖gradient‖")
        .log_x()
        .log_y()
        .line("before clipping", norms)
        .horizontal("clipped to", training.max_gradient_norm);
    chapter.figure(&Figure::new("The gradient's norm").panel(panel), "gradient")?;
    Ok(())
}

/// Where along the chain the loss is left.
fn loss_by_time(chapter: &mut Chapter, collection: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("Where the loss is left");
    let (training, schedule) = (&trainer.config().training, trainer.schedule());
    let judges = collection.test.as_ref().unwrap_or(&collection.train).as_ref();
    let batch = validation_batch(judges, schedule, training.seed, 4 * training.validation_images)?;
    let losses = losses(&trainer.denoiser()?, &batch, trainer.device())?;
    let (bins, count) = (10.min(batch.len()), batch.len());
    let mut table =
        Table::new("L_simple per number by t, on the average", "t", ["√ᾱ_t in the middle", "loss"]);
    let mut curve = Vec::new();
    for bin in 0..bins {
        let rows = bin * count / bins..(bin + 1) * count / bins;
        let (from, to) = (batch.t[rows.start], batch.t[rows.end - 1]);
        let loss = losses[rows.clone()].iter().sum::<f64>() / rows.len() as f64;
        let middle = (from + to) / 2;
        table = table.row(format!("{from} … {to}"), [schedule.alpha_bar(middle).sqrt(), loss]);
        curve.push((middle as f64, loss));
    }
    chapter.table(table.digits(3));
    let panel = Panel::new("").axes("t", "E‖ε − ε_θ‖²/D").log_y().line("average", curve);
    chapter.figure(&Figure::new("The loss by t").panel(panel), "loss_over_t")?;
    Ok(())
}

/// That the optimizer holds every parameter, and that the network sees t.
fn every_parameter(chapter: &mut Chapter, collection: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("Every parameter learns, and t is seen");
    let setting = trainer.config();
    let start = Trainer::new(setting.clone(), &Device::Cpu)?;
    let values = |trainer: &Trainer| -> Result<Vec<Vec<f32>>> {
        let variables = trainer.network().parameters().variables().iter();
        Ok(variables.map(|variable| variable.flatten_all()?.to_vec1()).collect::<Result<_, _>>()?)
    };
    let (before, after) = (values(&start)?, values(trainer)?);
    let pairs = trainer.network().parameters().names().iter().zip(before.iter().zip(&after));
    // softmax does not see what all keys have in common, so their bias has no gradient beyond rounding
    let trained = pairs.filter(|(name, _)| !name.ends_with("to_k.bias"));
    let same = trained.filter(|(_, (before, after))| before == after).count();
    let image = validation_batch(collection.train.as_ref(), trainer.schedule(), 0, 1)?;
    let (x_t, _) = image.tensors(0..1, trainer.device())?;
    let denoiser = trainer.denoiser()?;
    let [early, late] = [1, trainer.schedule().steps()].map(|t| denoiser.predict(&x_t, t as f64));
    let difference = (early? - late?)?.abs()?.max_all()?.to_scalar::<f32>()?;
    chapter.checks(
        Checks::new("After training")
            .exactly("tensors of parameters that are as they began", 0, same)
            .at_least("largest |ε_θ(x, 1) − ε_θ(x, T)|", 1e-6, difference.into())
            .note(format!(
                "{} tensors; the bias of attention’s keys is not asked, for softmax does not see it",
                before.len()
            )),
    );
    Ok(())
}

/// A run that is stopped and goes on, on a network of a few parameters; and what is left on the disk.
fn on_disk(chapter: &mut Chapter, collection: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("Stopped, and gone on");
    let (rows, columns, channels) = trainer.config().data.shape;
    let network = UNetConfig {
        norm_num_groups: 4,
        layers_per_block: 1,
        dropout: 0.1,
        ..UNetConfig::levels((rows, columns), channels, &[4, 8], &[])
    };
    let training = TrainConfig { steps: 8, batch: 20, warm_up: 2, ..trainer.config().training.clone() };
    let schedule = (trainer.config().schedule.parse()?, trainer.config().diffusion_steps);
    let setting = RunConfig::new(network, schedule, training.clone(), collection)?;
    let mut batch_stream = BatchStream::new(
        collection.train.as_ref(),
        trainer.schedule(),
        (training.seed, training.batch, training.flips),
    );
    let mut whole = Trainer::new(setting.clone(), trainer.device())?;
    whole.take_steps(&mut batch_stream, 8)?;
    let mut first = Trainer::new(setting, trainer.device())?;
    first.take_steps(&mut batch_stream, 3)?;
    let path = chapter.out().join("stopped.safetensors");
    first.checkpoint()?.save(&path)?;
    let mut second = Trainer::resume(Checkpoint::load(&path)?, trainer.device())?;
    second.take_steps(&mut batch_stream, 5)?;
    let (whole, second) = (whole.checkpoint()?.into_rows()?, second.checkpoint()?.into_rows()?);
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    chapter.checks(
        Checks::new("Eight steps in one go, and three, a checkpoint, five: numbers that differ")
            .exactly("weights", 0, differ(&whole.weights, &second.weights))
            .exactly("their average", 0, differ(&whole.average, &second.average))
            .exactly("mean of the gradients", 0, differ(&whole.mean, &second.mean))
            .exactly("mean of their squares", 0, differ(&whole.mean_square, &second.mean_square))
            .note(format!("a network of {} parameters, with dropout", whole.weights.len())),
    );

    let checkpoint = trainer.checkpoint()?.for_sampling();
    let path = chapter.out().join(MODEL);
    checkpoint.save(&path)?;
    let bytes = path.metadata().map_or(0, |data| data.len());
    let again = Checkpoint::load(&path)?;
    chapter.checks(
        Checks::new("model.safetensors, for ch15 and ch16")
            .exactly("numbers that differ after reading it", 0, differ(again.average(), checkpoint.average()))
            .note(format!(
                "{bytes} bytes for the average of {} parameters; the last weights are in the folder `checkpoints`",
                again.average().len()
            )),
    );
    Ok(())
}
