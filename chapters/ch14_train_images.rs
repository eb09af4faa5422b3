//! ch14_train_images: how does Algorithm 1 train a U-Net on images, and survive being killed?

use anyhow::Result;
use candle_core::{Device, Tensor};
use clap::{Parser, parser::ValueSource};
use ddpm::metrics::StandardError;
use ddpm_page::{
    bounds::{self, whole},
    plot::{Figure, Panel, Series},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ddpm_unet::{
    denoiser::ImageDenoiser,
    device::{DeviceChoice, OpenDevice},
    images::grid::{ImageGrid, save_grid},
    images::{Collection, PictureOptions},
    network::{config::UNetConfig, parameters},
    operations::threads::{compute_on, one_thread_per_operation},
    sample::{SamplingPlan, forward::standard_normal, sample},
    train::checkpoint::{Checkpoint, CheckpointFolder, MODEL},
    train::rng_streams::{Purpose, generator},
    train::{
        self, BatchStatistics, BatchStream, History, RunConfig, RunOptions, Signal, TrainConfig, Trainer,
    },
};
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(about = catalogue::question("ch14_train_images"), after_help = catalogue::running_time("ch14_train_images"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Images to train on: a folder of IDX files, of CIFAR-10's binary files, or of PNG and JPEG pictures [default: MNIST]
    #[arg(long, value_name = "DIR|FILE")]
    data: Option<PathBuf>,
    #[command(flatten)]
    pictures: PictureOptions,
    #[command(flatten)]
    options: RunOptions,
    /// The device: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// The number of threads on the CPU [default: one for each core]
    #[arg(long, value_name = "N", value_parser = whole(1_usize..=1024).because("the default is one for each core"))]
    threads: Option<usize>,
}

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<ExitCode> {
    one_thread_per_operation();
    let (arguments, matches) = bounds::parse_with_matches();
    let Arguments { mut common, data, pictures, mut options, device, threads } = arguments;
    options.seed = (matches.value_source("seed") == Some(ValueSource::CommandLine)).then_some(common.seed);
    let found = options.found()?;
    if let Some(found) = &found {
        common.seed = found.checkpoint.config.training.seed;
        common.out = common.out.or_else(|| found.run_folder().map(PathBuf::from));
    }
    let threads = compute_on(threads)?;
    let OpenDevice { device, why } = device.open()?;
    let images = Collection::open_with_progress(data.as_deref(), &pictures)?;
    let quick = TrainConfig { steps: 12, save_every: 4, validation_images: 64, ..TrainConfig::default() };
    let long = (common.quick && found.is_some()).then(|| "--quick shortens new runs only.".to_owned());
    let run = options.prepare(found, &common.pick(TrainConfig::default(), quick), &images, &device)?;

    let out = common.out.get_or_insert_with(|| PathBuf::from("out/ch14_train_images"));
    let folder = CheckpointFolder::in_run(out);
    let lock = folder.lock()?;
    let mut chapter = Chapter::start("ch14_train_images", &common)?;
    lock.note.iter().chain(&long).for_each(|note| chapter.say(note));
    let mut trainer = run.begin(&images, &folder, &device, |text| chapter.say(text))?;
    describe(&mut chapter, &images, &trainer, &format!("{why}, {threads} threads"));
    what_goes_in(&mut chapter, &images, &trainer)?;
    let signal = training(&mut chapter, &images, &mut trainer, &folder)?;
    if signal.is_none() {
        curves(&mut chapter, &trainer)?;
        loss_by_time(&mut chapter, &images, &trainer)?;
        every_parameter(&mut chapter, &images, &trainer)?;
        stopped_and_gone_on(&mut chapter, &images, &trainer)?;
        on_disk(&mut chapter, &trainer)?;
    }
    chapter.finish()?;
    Ok(signal.map_or(ExitCode::SUCCESS, Signal::exit_code))
}

fn describe(chapter: &mut Chapter, images: &Collection, trainer: &Trainer, place: &str) {
    let RunConfig { schedule, diffusion_steps, training, data, .. } = trainer.config();
    let TrainConfig { steps, batch, learning_rate, warm_up, ema_decay, .. } = training;
    let passes = (steps * batch) as f64 / data.count as f64;
    chapter.section("The run");
    chapter.table(Table::new("", "what", ["here"]).rows([
        ("images", [data.name.clone()]),
        ("parameters", [trainer.network().parameters().count().to_string()]),
        ("schedule", [format!("{schedule}, T = {diffusion_steps}")]),
        ("steps", [format!("{steps} of {batch} images: {passes:.3} passes")]),
        ("learning rate", [format!("{learning_rate}, rising over {warm_up} steps")]),
        ("average", [format!("decay {ema_decay}")]),
        ("computed", [place.to_owned()]),
    ]));
    if let Some(remarks) = images.remarks() {
        chapter.say(remarks);
    }
}

/// What the network is fed, before it sees any of it.
fn what_goes_in(chapter: &mut Chapter, images: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("What goes in");
    let (training, schedule) = (&trainer.config().training, trainer.schedule());
    let mut batch_stream = BatchStream::of(training, images.train.as_ref(), schedule);
    let batches = training.steps.min(8192_usize.div_ceil(training.batch));
    let mut seen = BatchStatistics::default();
    for step in Progress::over("looking at the batches", 0..batches) {
        seen.add(&batch_stream.batch(step as u64)?);
    }
    let (latest, error_of_eps) = (schedule.steps() as f64, (2.0 / seen.numbers as f64).sqrt());
    let (mean_t, error_of_t) = seen.mean_t(schedule.steps());
    // n draws miss the last per cent of 1…T with probability 0.99ⁿ
    let (earliest, last) = seen.range_of_t().into_inner();
    chapter.checks(
        Checks::new(format!("The first {} examples", seen.t.len()))
            .at_least("smallest number of an image", -1.0, seen.lowest)
            .at_most("largest number of an image", 1.0, seen.highest)
            .within("E ε²", 1.0, seen.mean_square_eps(), error_of_eps)
            .within("mean t", (latest + 1.0) / 2.0, mean_t, error_of_t)
            .at_least("earliest t", 1.0, earliest as f64)
            .at_most("latest t", latest, last as f64)
            .note(format!(
                "E x_0² = {:.3}: images in [0, 1] would have no negative numbers",
                seen.mean_square_x_0()
            )),
    );
    let panel = seen.panel(schedule.steps());
    Ok(chapter.figure(&Figure::new("Every t from 1 to T is trained").panel(panel), "times")?)
}

/// Trains, and draws the loss so far and samples on the way.
fn training(
    chapter: &mut Chapter,
    images: &Collection,
    trainer: &mut Trainer,
    folder: &CheckpointFolder,
) -> Result<Option<Signal>> {
    chapter.section("Training");
    let out = chapter.out().to_owned();
    let look = |trainer: &Trainer| {
        loss_figure(trainer.history()).save(&out, "loss")?;
        Ok(save_grid(&draw(trainer)?, 8, &out.join("samples.png"))?)
    };
    let signal = train::run_at_terminal(trainer, images, folder, look, |text| chapter.say(text))?;
    if signal.is_some() {
        let (step, out) = (trainer.steps_taken(), out.display());
        chapter.say(format!("Stopped and saved after step {step}. Go on with --resume {out}"));
    }
    Ok(signal)
}

/// Sixteen images from the average, always from the same noise, by the default sampler of ch15.
fn draw(trainer: &Trainer) -> Result<Tensor> {
    let (denoiser, schedule) = (trainer.denoiser()?, trainer.schedule());
    let (h, w, c) = denoiser.shape();
    let steps = SamplingPlan::default().within(schedule).steps(schedule)?;
    let mut rng = generator(trainer.config().training.seed, Purpose::Samples, 0);
    let noise = standard_normal((16, h, w, c), &mut rng, trainer.device())?;
    Ok(sample(&steps, &denoiser, noise, &mut rng, |_, _| Ok(()))?)
}

fn loss_figure(history: &History) -> Figure {
    let judged = history.evaluations.iter().map(|judged| (judged.step as f64, judged.loss));
    let panel = Panel::new("")
        .axes("training step", "L_simple per number")
        .log_log()
        .line("training, smoothed", history.smoothed())
        .series(Series::points("average, judged", judged).size(3.5));
    Figure::new("The loss").panel(panel)
}

fn curves(chapter: &mut Chapter, trainer: &Trainer) -> Result<()> {
    chapter.section("The loss, and the gradient");
    let (history, RunConfig { training, data, .. }) = (trainer.history(), trainer.config());
    let rows = history.evaluations.iter().map(|judged| (judged.step.to_string(), [judged.loss]));
    let title = "The average, judged always on the same images, t and ε";
    chapter.table(Table::new(title, "after step", ["L_simple per number"]).rows(rows).digits(4));
    if let ([first, ..], Some(best)) = (history.steps.as_slice(), history.best()) {
        let numbers = training.batch * data.shape.0 * data.shape.1 * data.shape.2;
        let error = StandardError::from((2.0 / numbers as f64).sqrt()).besides(0.05);
        chapter.checks(
            Checks::new("From knowing nothing to knowing something")
                .within("the first loss", 1.0, first.loss, error)
                .at_most("the best judged loss, over that of knowing nothing", 1.0, best.loss)
                .note("a network that says 0 to everything has loss E ε² = 1"),
        );
    }
    chapter.figure(&loss_figure(history), "loss")?;
    chapter.picture("samples.png", &ImageGrid::new(8).draw(&draw(trainer)?)?.png()?)?;

    let limit = training.max_gradient_norm;
    let norms = history.steps.iter().map(|report| (report.step as f64, report.gradient_norm));
    let clipped = norms.clone().filter(|(_, norm)| *norm > limit).count();
    let all = history.steps.len();
    chapter.say(format!("Of {all} gradients {clipped} were longer than {limit} and clipped."));
    let panel = Panel::new("")
        .axes("training step", "‖gradient‖")
        .log_log()
        .line("before clipping", norms)
        .horizontal("clipped to", limit);
    Ok(chapter.figure(&Figure::new("The gradient's norm").panel(panel), "gradient")?)
}

/// Where along the chain the loss is left.
fn loss_by_time(chapter: &mut Chapter, images: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("Where the loss is left");
    let (training, schedule) = (&trainer.config().training, trainer.schedule());
    let batch =
        train::validation_batch(images.unseen(), schedule, training.seed, 4 * training.validation_images)?;
    let losses = train::losses(&trainer.denoiser()?, &batch, trainer.device())?;
    let along = train::losses_along_t(&batch.t, &losses, 10);
    let rows = along.iter().map(|at| {
        let label = format!("{} … {}", at.t.start(), at.t.end());
        (label, [schedule.alpha_bar(at.middle()).sqrt(), at.loss])
    });
    let (title, columns) = ("L_simple per number by t, on the average", ["√ᾱ_t in the middle", "loss"]);
    chapter.table(Table::new(title, "t", columns).rows(rows));
    let panel = train::panel_along_t(&along);
    Ok(chapter.figure(&Figure::new("The loss by t").panel(panel), "loss_over_t")?)
}

/// That the optimizer holds every parameter, and that the network sees t.
fn every_parameter(chapter: &mut Chapter, images: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("Every parameter learns, and t is seen");
    let start = Trainer::new(trainer.config().clone(), &Device::Cpu)?;
    let (now, before) = (trainer.network().parameters(), start.network().parameters());
    let mut same = now.unchanged_since(before)?;
    same.retain(|name| !parameters::has_no_gradient(name));
    let image = train::validation_batch(images.train.as_ref(), trainer.schedule(), 0, 1)?;
    let (x_t, _) = image.tensors(0..1, trainer.device())?;
    let denoiser = trainer.denoiser()?;
    let [early, late] = [1, trainer.schedule().steps()].map(|t| denoiser.predict(&x_t, t as f64));
    let difference = (early? - late?)?.abs()?.max_all()?.to_scalar::<f32>()?;
    chapter.checks(
        Checks::new("After training")
            .exactly("tensors of parameters that are as they began", 0, same.len())
            .at_least("largest |ε_θ(x, 1) − ε_θ(x, T)|", 1e-6, difference.into())
            .note(format!(
                "{} tensors; the bias of attention’s keys is left out, for softmax is the same whatever it is",
                now.names().len()
            )),
    );
    Ok(())
}

/// A run that is stopped and goes on, on a network of a few parameters.
fn stopped_and_gone_on(chapter: &mut Chapter, images: &Collection, trainer: &Trainer) -> Result<()> {
    chapter.section("Stopped, and gone on");
    let run = trainer.config().clone();
    let (rows, columns, channels) = run.data.shape;
    let levels = UNetConfig::levels((rows, columns), channels, &[4, 8], &[]);
    let network = UNetConfig { norm_num_groups: 4, layers_per_block: 1, dropout: 0.1, ..levels };
    let training = TrainConfig { steps: 8, batch: 20, warm_up: 2, ..run.training.clone() };
    let setting = RunConfig { network, training, ..run };
    let mut batch_stream = BatchStream::of(&setting.training, images.train.as_ref(), trainer.schedule());
    let mut whole = Trainer::new(setting.clone(), trainer.device())?;
    whole.take_steps(&mut batch_stream, 8)?;
    let mut first = Trainer::new(setting, trainer.device())?;
    first.take_steps(&mut batch_stream, 3)?;
    let path = chapter.out().join("stopped.safetensors");
    first.checkpoint()?.save(&path)?;
    let mut second = Trainer::resume(Checkpoint::load(&path)?, trainer.device())?;
    second.take_steps(&mut batch_stream, 5)?;
    let (whole, second) = (whole.checkpoint()?.into_rows()?, second.checkpoint()?.into_rows()?);
    let differ = parameters::differing;
    chapter.checks(
        Checks::new("Eight steps in one go, and three, a checkpoint, five: numbers that differ")
            .exactly("weights", 0, differ(&whole.weights, &second.weights))
            .exactly("their average", 0, differ(&whole.average, &second.average))
            .exactly("mean of the gradients", 0, differ(&whole.mean, &second.mean))
            .exactly("mean of their squares", 0, differ(&whole.mean_square, &second.mean_square))
            .note(format!("a network of {} parameters, with dropout", whole.weights.len())),
    );
    Ok(())
}

/// What is left for the chapters that draw and judge.
fn on_disk(chapter: &mut Chapter, trainer: &Trainer) -> Result<()> {
    let (checkpoint, path) = (trainer.checkpoint()?.for_sampling(), chapter.out().join(MODEL));
    checkpoint.save(&path)?;
    let bytes = path.metadata().map_or(0, |data| data.len());
    let again = Checkpoint::load(&path)?;
    let (read, written) = (again.average(), checkpoint.average());
    chapter.checks(
        Checks::new("model.safetensors, for ch15 and ch16")
            .exactly("numbers that differ after reading it", 0, parameters::differing(read, written))
            .note(format!(
                "{bytes} bytes for the average of {} parameters; the last weights are in the folder `checkpoints`",
                read.len()
            )),
    );
    Ok(())
}
