//! ch14_train_images: how does Algorithm 1 train a U-Net on images, and survive being killed?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    files::write_whole,
    plot::{Figure, Panel},
    report::{Chapter, Common, Grid, Progress, catalogue},
    schedule::ScheduleName,
};
use ddpm_unet::{
    checkpoint::{CheckpointFolder, Found},
    device::{DeviceChoice, OpenDevice},
    images::Collection,
    operations::threads::one_thread_per_operation,
    train::{Asked, Event, History, Outcome, Setting, TrainConfig, Trainer, run, seconds_per_step},
};
use std::{
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

#[derive(Parser)]
#[command(about = catalogue::question("ch14_train_images"))]
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
    /// The network: laptop, cifar10, lsun256 or the JSON of another [default: laptop]
    #[arg(long, value_name = "NAME|FILE")]
    network: Option<String>,
    /// The noise schedule: linear, quad, sigmoid or cosine [default: linear]
    #[arg(long)]
    schedule: Option<ScheduleName>,
    /// The number of diffusion steps T [default: 1000]
    #[arg(long, value_name = "T")]
    timesteps: Option<usize>,
    /// The share of numbers that dropout silences [default: the network's]
    #[arg(long, value_name = "SHARE")]
    dropout: Option<f64>,
    /// The number of training steps [default: 2000]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// As many training steps as this machine takes in so many minutes
    #[arg(long, conflicts_with_all = ["steps", "resume"])]
    minutes: Option<f64>,
    /// The number of images per training step [default: 64]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// The largest learning rate [default: 0.001]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// The number of steps over which the learning rate rises [default: 100]
    #[arg(long, value_name = "N")]
    warm_up: Option<usize>,
    /// The decay of the weights' moving average [default: 0.995]
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
    fn asked(&self, seed: Option<u64>) -> Asked {
        Asked {
            network: self.network.clone(),
            schedule: self.schedule,
            timesteps: self.timesteps,
            dropout: self.dropout,
            steps: self.steps,
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
    let found = arguments.resume.as_deref().map(find).transpose()?;
    if let (None, Some(folder)) = (&arguments.common.out, found.as_ref().and_then(run_folder)) {
        arguments.common.out = Some(folder);
    }
    let (common, threads) = (&arguments.common, arguments.threads());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let OpenDevice { device, why } = arguments.device.open()?;
    let collection = Collection::open(arguments.data.as_deref(), arguments.size)?;
    let quick = TrainConfig { steps: 30, batch: 32, judged_images: 64, ..TrainConfig::default() };
    let defaults = common.pick(TrainConfig::default(), quick);

    let mut chapter = Chapter::start("ch14_train_images", common)?;
    let mut trainer = match found {
        Some(Found { mut checkpoint, path, passed_over }) => {
            passed_over.iter().for_each(|error| chapter.say(format!("Passed over: {error}.")));
            checkpoint.setting = arguments
                .asked((common.seed != 0).then_some(common.seed))
                .continued(&checkpoint, &collection)?;
            chapter.say(format!("Going on after step {}, from {}.", checkpoint.step, path.display()));
            Trainer::resume(checkpoint, &device)?
        }
        None => {
            let asked = arguments.asked(Some(common.seed));
            let mut setting = asked.fresh(&defaults, &collection)?;
            if let Some(minutes) = arguments.minutes {
                let seconds = seconds_per_step(&setting, &collection, &device)?;
                setting.training.steps = ((60.0 * minutes / seconds) as usize).max(1);
                setting.validate()?;
            }
            Trainer::new(setting, &device)?
        }
    };
    let folder = CheckpointFolder::new(chapter.out().join("checkpoints"), arguments.keep);
    folder.tidy()?;
    if arguments.resume.is_none() {
        if let Some(aside) = folder.set_aside()? {
            chapter.say(format!("The checkpoints of an earlier run are now in {}.", aside.display()));
        }
    }
    describe(&mut chapter, &collection, &trainer, &format!("{why}, {threads} threads"));

    if train(&mut chapter, &collection, &mut trainer, &folder)? == Outcome::Stopped {
        let place = chapter.out().display().to_string();
        chapter.say(format!(
            "Stopped and saved after step {}. Go on with --resume {place}",
            trainer.steps_taken()
        ));
        return Ok(chapter.finish()?);
    }
    curves(&mut chapter, trainer.history())?;
    Ok(chapter.finish()?)
}

/// The checkpoint at a path: a file, a run's folder, or the folder of its checkpoints.
fn find(path: &Path) -> Result<Found> {
    if path.is_file() {
        let checkpoint = ddpm_unet::checkpoint::Checkpoint::load(path)?;
        return Ok(Found { checkpoint, path: path.into(), passed_over: Vec::new() });
    }
    let inner = path.join("checkpoints");
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    Ok(CheckpointFolder::new(folder, 1).newest()?)
}

/// The folder of the run that a checkpoint belongs to.
fn run_folder(found: &Found) -> Option<PathBuf> {
    let folder = found.path.parent()?;
    (folder.file_name()? == "checkpoints").then(|| folder.parent().map(Path::to_owned))?
}

fn describe(chapter: &mut Chapter, collection: &Collection, trainer: &Trainer, place: &str) {
    let Setting { schedule, timesteps, training, data, .. } = trainer.setting();
    let passes = (training.steps * training.batch) as f64 / data.count as f64;
    chapter.grid(
        Grid::new("The run", "", [""])
            .row("images", [data.name.clone()])
            .row("parameters", [trainer.network().parameters().count().to_string()])
            .row("schedule", [format!("{schedule}, T = {timesteps}")])
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

    let (before, start) = (trainer.steps_taken(), Instant::now());
    let left = (trainer.setting().training.steps as u64).saturating_sub(before);
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
            Event::Judged(_) => {
                let seconds = start.elapsed().as_secs_f64();
                if let Err(error) = on_the_way(&out, trainer, seconds) {
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

/// Writes what one may look at while it trains: the loss so far, as numbers and as a plot.
fn on_the_way(out: &Path, trainer: &Trainer, seconds: f64) -> Result<()> {
    let history = trainer.history();
    let mut rows = format!("# {seconds:.1} s in this session\nstep,judged loss of the average\n");
    history.judged.iter().for_each(|judged| rows.push_str(&format!("{},{}\n", judged.step, judged.loss)));
    write_whole(&out.join("judged.csv"), rows.as_bytes(), "write the losses")?;
    loss_figure(history).save(out, "loss")?;
    Ok(())
}

fn loss_figure(history: &History) -> Figure {
    let steps = history.steps.iter().map(|report| (report.step as f64, report.loss)).collect::<Vec<_>>();
    let judged = history.judged.iter().map(|judged| (judged.step as f64, judged.loss));
    let panel = Panel::new("")
        .axes("training step", "L_simple per pixel")
        .log_x()
        .log_y()
        .line("training, smoothed", smoothed(&steps))
        .points("average, on images kept back", judged);
    Figure::new("The loss").panel(panel)
}

/// Means over windows that grow with the step: early on the loss falls fast, later it only scatters.
fn smoothed(mut points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (mut curve, mut seen) = (Vec::new(), 0);
    while !points.is_empty() {
        let (window, rest) = points.split_at((seen / 8).clamp(1, points.len()));
        let mean = |of: fn(&(f64, f64)) -> f64| window.iter().map(of).sum::<f64>() / window.len() as f64;
        curve.push((mean(|point| point.0), mean(|point| point.1)));
        seen += window.len();
        points = rest;
    }
    curve
}

fn curves(chapter: &mut Chapter, history: &History) -> Result<()> {
    chapter.figure(&loss_figure(history), "loss")?;
    let mut grid = Grid::new("The average, judged on the way", "after step", ["L_simple per pixel"]);
    for judged in &history.judged {
        grid = grid.row(judged.step.to_string(), [judged.loss]);
    }
    chapter.grid(grid.digits(4));
    Ok(())
}
