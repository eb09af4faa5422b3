//! ch15_sample_images: how are images drawn: Algorithm 2, DDIM, and what else can the chain do?

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use clap::Parser;
use ddpm::{
    metrics::standard_error,
    reverse::FixedVariance,
    sampler::{Spacing, Step, ddim_inversion, moments_drawn, time_grid},
    schedule::Schedule,
};
use ddpm_page::{
    plot::{Figure, Panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ddpm_unet::{
    denoiser::{CallCounter, GaussianImages, ImageDenoiser, NetworkDenoiser},
    device::{DeviceChoice, OpenDevice},
    images::{
        Collection, batch,
        grid::{ImageGrid, strip},
    },
    operations::threads::one_thread_per_operation,
    sample::{
        Inpainting, Known, LatentMoments, Opened, PixelStats, Sampler, SamplingArguments, SamplingPlan,
        forward::{diffuse, standard_normal},
        inpaint, mean_squared_errors, predict_x_0, psnr, sample, seam_roughness, shipped_checkpoint, slerp,
    },
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = catalogue::question("ch15_sample_images"), after_help = catalogue::running_time("ch15_sample_images"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// A checkpoint of ch14_train_images, its run’s folder, or a folder that diffusers wrote [default: the one that ships with the course]
    #[arg(long, value_name = "FILE|DIR")]
    checkpoint: Option<PathBuf>,
    /// Images for the tasks that begin with one: IDX files, CIFAR-10, a folder of pictures [default: MNIST]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The side of the square that pictures are cut to
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// The number of images to draw
    #[arg(long, default_value_t = 64)]
    count: usize,
    #[command(flatten)]
    sampling: SamplingArguments,
    /// The device: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

/// The times of a chain that begins at a t of its own: they count down from it.
const FROM_T: Spacing = Spacing::Trailing;

/// What all sections share.
struct Setting {
    denoiser: NetworkDenoiser,
    device: Device,
    collection: Collection,
    /// How images are drawn, where a section does not compare samplers.
    plan: SamplingPlan,
    count: usize,
    seed: u64,
    quick: bool,
    /// Whether aims are judged: for the network that ships with the course, at full length.
    judged: bool,
}

impl Setting {
    fn open(arguments: &Arguments, device: Device) -> Result<Self> {
        let common = &arguments.common;
        let path = arguments.checkpoint.clone().map_or_else(shipped_checkpoint, Ok)?;
        let Opened { denoiser, passed_over, .. } = Opened::at(&path, &device).context(
            "no network to draw with: train one with ch14_train_images, or name another with --checkpoint",
        )?;
        passed_over.iter().for_each(|error| eprintln!("Passed over: {error}."));
        let mut bar = None;
        let collection =
            Collection::open_reporting(arguments.data.as_deref(), arguments.size, |more, all| {
                bar.get_or_insert_with(|| Progress::new("looking at the pictures", all)).advance(more);
            })?;
        drop(bar);
        ensure!(
            collection.train.shape() == denoiser.shape(),
            "{}: images of {:?} do not fit the network, which draws {:?}; choose others with --data",
            collection.name,
            collection.train.shape(),
            denoiser.shape(),
        );
        ensure!(arguments.count > 0, "count is 0; it must be at least 1: draw one image");
        let plan = arguments.sampling.plan(denoiser.schedule())?;
        plan.steps(denoiser.schedule())?; // a wrong number of steps or η, before any work
        Ok(Setting {
            denoiser,
            device,
            collection,
            plan: SamplingPlan { calls: common.pick(plan.calls, plan.calls.min(10)), ..plan },
            count: common.pick(arguments.count, arguments.count.min(16)),
            seed: common.seed,
            quick: common.quick,
            judged: arguments.checkpoint.is_none() && !common.quick,
        })
    }

    fn schedule(&self) -> &Schedule {
        self.denoiser.schedule()
    }

    /// A generator of a section's own, so that sections can be left out without changing the others.
    fn rng(&self, section: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(1000).wrapping_add(section))
    }

    fn noise(&self, images: usize, rng: &mut StdRng) -> Result<Tensor> {
        let (h, w, c) = self.denoiser.shape();
        Ok(standard_normal((images, h, w, c), rng, &self.device)?)
    }

    /// The first images that the network was not trained on, if any were kept back.
    fn images(&self, count: usize) -> Result<Tensor> {
        let source = self.collection.test.as_ref().unwrap_or(&self.collection.train).as_ref();
        Ok(batch(source, 0..count.min(source.len()), &self.device)?)
    }

    /// The steps of another sampler at the same cost.
    fn steps(&self, sampler: Sampler, clip: Option<f64>) -> Result<Vec<Step>> {
        Ok(SamplingPlan { sampler, clip, ..self.plan }.steps(self.schedule())?)
    }

    /// Runs a sampler with a progress bar.
    fn run(&self, label: &str, steps: &[Step], x: Tensor, rng: &mut StdRng) -> Result<Tensor> {
        let mut progress = Progress::new(label, steps.len());
        Ok(sample(steps, &self.denoiser, x, rng, |t, _| {
            progress.advance(usize::from(t > 0));
            Ok(())
        })?)
    }
}

fn main() -> Result<()> {
    one_thread_per_operation();
    let arguments = Arguments::parse();
    let OpenDevice { device, why } = arguments.device.open()?;
    let setting = Setting::open(&arguments, device)?;
    let mut chapter = Chapter::start("ch15_sample_images", &arguments.common)?;
    chapter.say(format!("It runs {why}."));

    drawing(&mut chapter, &setting)?;
    film(&mut chapter, &setting)?;
    rules(&mut chapter, &setting)?;
    few_steps(&mut chapter, &setting)?;
    variances(&mut chapter, &setting)?;
    there_and_back(&mut chapter, &setting)?;
    interpolation(&mut chapter, &setting)?;
    denoising(&mut chapter, &setting)?;
    inpainting_of_two_pixels(&mut chapter, &setting)?;
    inpainting(&mut chapter, &setting)?;
    Ok(chapter.finish()?)
}

fn drawing(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("From noise to images");
    let noise = setting.noise(setting.count, &mut setting.rng(0))?;
    let columns = if setting.count >= 32 { 16 } else { 8 };
    let without_noise = SamplingPlan { sampler: Sampler::Ddim(0.0), ..setting.plan };
    for (plan, picture) in [(setting.plan, "samples.png"), (without_noise, "samples_ddim.png")] {
        let steps = plan.steps(setting.schedule())?;
        let drawn = setting.run(&plan.sampler.to_string(), &steps, noise.clone(), &mut setting.rng(18))?;
        chapter.picture(picture, &ImageGrid::new(columns).draw(&drawn)?.png()?)?;
        chapter.say(format!("{} images: {plan}.", setting.count));
        if plan == without_noise {
            break; // the reader’s own choice
        }
    }
    chapter.say(format!(
        "A network of {} parameters that was trained with T = {}; none of the images is chosen.",
        setting.denoiser.network().parameters().count(),
        setting.schedule().steps(),
    ));
    Ok(())
}

/// About `count` times between T and 0 at which a strip shows the chain, closer where the image appears.
fn shown(steps: &[Step], count: usize) -> Vec<usize> {
    let last = steps.len() - 1;
    let place =
        |i: usize| (last as f64 * (1.0 - (1.0 - i as f64 / (count - 1) as f64).powf(1.6))).round() as usize;
    let mut times: Vec<usize> = (0..count).map(|i| steps[place(i)].t).collect();
    times.dedup();
    times
}

fn film(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("The chain, as a film");
    let rng = &mut setting.rng(1);
    let count = if setting.quick { 20 } else { setting.schedule().steps() };
    let plan = SamplingPlan { sampler: Sampler::default(), calls: count, ..setting.plan };
    let steps = plan.steps(setting.schedule())?;
    let times = shown(&steps, 11);
    let every = steps.len().div_ceil(24);
    let (mut states, mut guesses, mut frames, mut outside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut progress = Progress::new("filming", steps.len());
    let counter = CallCounter::new(&setting.denoiser);
    let mut left = steps.iter().enumerate();
    let noise = setting.noise(8, rng)?;
    let drawn = sample(&steps, &counter, noise, rng, |t, x_t| {
        let Some((i, step)) = left.next() else { return Ok(()) };
        progress.advance(1);
        if i % every == 0 || times.contains(&t) {
            // The network is asked once more, beside the chain, for what it makes of x_t.
            let eps = setting.denoiser.predict(x_t, t as f64)?;
            let free = predict_x_0(&Step { clip: None, ..*step }, &eps, x_t)?;
            outside.push((t as f64, 100.0 * PixelStats::of(&free)?.outside));
            frames.push(x_t.clone());
            if times.contains(&t) {
                states.push(x_t.clone());
                guesses.push(predict_x_0(step, &eps, x_t)?);
            }
        }
        Ok(())
    })?;
    let calls = counter.calls();
    for list in [&mut frames, &mut states, &mut guesses] {
        list.push(drawn.clone());
    }
    let columns = states.len();
    let mut rows = Vec::new();
    for i in 0..3 {
        for frames in [&states, &guesses] {
            rows.extend(frames.iter().map(|x| x.narrow(0, i, 1)).collect::<candle_core::Result<Vec<_>>>()?);
        }
    }
    chapter.picture("film.png", &ImageGrid::new(columns).draw(&Tensor::cat(&rows, 0)?)?.png()?)?;
    chapter.picture("chain.gif", &ImageGrid::new(4).gif(&frames, 80)?)?;
    chapter.say(format!(
        "{plan}. In pairs of rows: x_t, and what the network makes of it, x̂_0. From left to right t = {}, 0.",
        times.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    ));
    chapter.checks(Checks::new("What it costs").exactly("calls of the network", steps.len(), calls));
    let panel = Panel::new("").axes("t", "pixels outside ±1.05, in %").line("", outside);
    chapter.figure(
        &Figure::new("The predicted image, before it is clipped").panel(panel).panel_size(720, 300),
        "outside",
    )?;
    Ok(())
}

fn rules(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("Rules that hold exactly");
    let rng = &mut setting.rng(2);
    let noise = setting.noise(4, rng)?;
    let largest = |a: &Tensor, b: &Tensor| -> Result<f64> {
        Ok(f64::from((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?))
    };
    let with_seed =
        |steps: &[Step], seed| setting.run("drawing", steps, noise.clone(), &mut setting.rng(seed));
    let ancestral = setting.steps(Sampler::Ddpm(FixedVariance::Beta), setting.plan.clip)?;
    let last = &ancestral[ancestral.len() - 1..];
    let ddim = setting.steps(Sampler::Ddim(0.0), setting.plan.clip)?;
    let noisy = setting.steps(Sampler::Ddim(1.0), setting.plan.clip)?;
    let counter = CallCounter::new(&setting.denoiser);
    let first = sample(&ddim, &counter, noise.clone(), rng, |_, _| Ok(()))?;
    let checks = Checks::new("Samplers")
        .exactly("calls of the network by DDIM", ddim.len(), counter.calls())
        .exactly("another generator, Algorithm 2’s last step: change", 0.0, {
            largest(&with_seed(last, 3)?, &with_seed(last, 4)?)?
        })
        .exactly("another generator, DDIM with η = 0: change", 0.0, largest(&first, &with_seed(&ddim, 5)?)?)
        .at_least("another generator, DDIM with η = 1: change", 0.1, {
            largest(&with_seed(&noisy, 6)?, &with_seed(&noisy, 7)?)?
        })
        .close(
            "an image alone, and among others: change",
            0.0,
            {
                let alone = setting.run("drawing", &ddim, noise.narrow(0, 1, 1)?, rng)?;
                largest(&first.narrow(0, 1, 1)?, &alone)?
            },
            1e-3,
        );
    chapter.checks(checks);
    Ok(())
}

fn few_steps(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("What few steps cost, where everything is known");
    let schedule = setting.schedule();
    let (mean, variance) = (0.2, 0.1);
    let samplers = [
        ("Algorithm 2, σ² = β", Sampler::Ddpm(FixedVariance::Beta)),
        ("Algorithm 2, σ² = β̃", Sampler::Ddpm(FixedVariance::Posterior)),
        ("DDIM, η = 0", Sampler::Ddim(0.0)),
    ];
    let counts: Vec<usize> =
        [5, 10, 20, 50, 100, 250, 1000].into_iter().filter(|&n| n <= schedule.steps()).collect();
    let mut table = Table::new(
        format!("Variance drawn over the data’s, for pixels N({mean}, {variance}) and an exact denoiser"),
        "steps",
        samplers.map(|(name, _)| name),
    );
    let mut curves = [const { Vec::new() }; 3];
    for &count in &counts {
        let ratios = samplers.map(|(_, sampler)| {
            let steps = sampler.steps(schedule, count, FROM_T, None)?;
            Ok(moments_drawn(schedule, &steps, (mean, variance)).1 / variance)
        });
        let ratios = ratios.into_iter().collect::<Result<Vec<_>>>()?;
        curves.iter_mut().zip(&ratios).for_each(|(curve, &ratio)| curve.push((count as f64, ratio)));
        table = table.row(count.to_string(), ratios);
    }
    chapter.table(
        table.digits(3).note("computed step by step from the samplers’ factors, without a random number"),
    );
    let names = samplers.map(|(name, _)| name.replace("β̃", "posterior variance"));
    let panel = names.iter().zip(curves).fold(
        Panel::new("").axes("steps", "variance drawn / variance of the data").log_x().horizontal("", 1.0),
        |panel, (name, curve)| panel.line(name, curve),
    );
    chapter.figure(&Figure::new("").panel(panel).panel_size(720, 320), "few_steps")?;

    let rng = &mut setting.rng(8);
    let images = GaussianImages::flat(schedule, (8, 8, 1), mean, variance, &setting.device)?;
    let drawn_by = |sampler: Sampler, rng: &mut StdRng| -> Result<(f64, f64)> {
        let steps = sampler.steps(schedule, setting.plan.calls, FROM_T, None)?;
        let x_t = standard_normal((500, 8, 8, 1), rng, &setting.device)?;
        let drawn = sample(&steps, &images, x_t, rng, |_, _| Ok(()))?;
        let measured = f64::from(drawn.flatten_all()?.var(0)?.to_scalar::<f32>()?);
        Ok((moments_drawn(schedule, &steps, (mean, variance)).1, measured))
    };
    let mut checks =
        Checks::new(format!("The same by sampling: 32,000 pixels, {} steps", setting.plan.calls));
    for (name, sampler) in samplers {
        let (predicted, measured) = drawn_by(sampler, rng)?;
        let error = predicted * (2.0f64 / 32_000.0).sqrt();
        checks = checks.within(format!("{name}: variance"), predicted, measured, error);
    }
    chapter.checks(checks);
    Ok(())
}

fn variances(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("Which variance, and clipped or not?");
    let count = if setting.quick { 8 } else { 32 };
    let noise = setting.noise(count, &mut setting.rng(9))?;
    let row = |ink: PixelStats| [ink.mean, 100.0 * ink.grey, 100.0 * ink.outside];
    let header = ["mean of pixels", "grey, in %", "outside ±1.05, in %"];
    let mut table = Table::new(format!("{count} images, {} steps", setting.plan.calls), "", header)
        .row("test images", row(PixelStats::of(&setting.images(count.max(500))?)?));
    let mut rows = Vec::new();
    for (name, sampler) in [
        ("σ² = β", Sampler::Ddpm(FixedVariance::Beta)),
        ("σ² = β̃", Sampler::Ddpm(FixedVariance::Posterior)),
        ("DDIM, η = 0", Sampler::Ddim(0.0)),
    ] {
        for (clipping, clip) in [("", None), (", x̂_0 clipped", Some(1.0))] {
            let steps = setting.steps(sampler, clip)?;
            let label = format!("{name}{clipping}");
            let drawn = setting.run(&label, &steps, noise.clone(), &mut setting.rng(10))?;
            table = table.row(label, row(PixelStats::of(&drawn)?));
            rows.push(drawn.narrow(0, 0, 16.min(count))?);
        }
    }
    chapter
        .table(table.digits(3).note("grey: within ±0.9; the same x_T and the same generator in every row"));
    chapter.picture("variances.png", &ImageGrid::new(16).draw(&Tensor::cat(&rows, 0)?)?.png()?)?;
    Ok(())
}

/// The least share of the variance that is still the image’s where an encoding ends. With less, x̂_0 = (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t
/// divides by next to nothing, and without clipping the way back starts with an error that nothing mends.
const LEAST_ALPHA_BAR: f64 = 1e-3;

/// The last t with ᾱ_t ≥ [`LEAST_ALPHA_BAR`].
fn top(schedule: &Schedule) -> usize {
    (1..=schedule.steps()).rev().find(|&t| schedule.alpha_bar(t) >= LEAST_ALPHA_BAR).unwrap_or(1)
}

fn there_and_back(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("From image to noise and back");
    let rng = &mut setting.rng(11);
    let x_0 = setting.images(8)?;
    let top = top(setting.schedule());
    let mut table = Table::new(
        format!("8 test images, encoded by DDIM up to t = {top} and decoded again"),
        "steps",
        ["variance of the noise", "root mean squared error", "PSNR in dB"],
    );
    let (mut curve, mut shown, mut latents) = (Vec::new(), vec![x_0.clone()], Vec::new());
    let counts: &[usize] = if setting.quick { &[5, 20] } else { &[5, 10, 20, 50, 100, 200] };
    for &count in counts {
        let grid_of_times = time_grid(top, count, FROM_T)?;
        let up = ddim_inversion(setting.schedule(), &grid_of_times);
        let down = Sampler::Ddim(0.0).along(setting.schedule(), &grid_of_times, None)?;
        let latent = setting.run(&format!("{count} steps up"), &up, x_0.clone(), rng)?;
        let back = setting.run(&format!("{count} steps down"), &down, latent.clone(), rng)?;
        let error = mean(&mean_squared_errors(&back, &x_0)?);
        let variance = f64::from(latent.sqr()?.mean_all()?.to_scalar::<f32>()?);
        table = table.row(count.to_string(), [variance, error.sqrt(), psnr(error)]);
        curve.push((count as f64, error.sqrt()));
        latents.push((count.to_string(), LatentMoments::of(&latent, &x_0)?));
        shown.extend([latent, back]);
    }
    chapter.table(table.digits(3).note(format!("beyond t = {top} ᾱ_t is less than {LEAST_ALPHA_BAR}")));
    let noise = LatentMoments::of(&setting.noise(x_0.dim(0)?, rng)?, &x_0)?;
    if noise.neighbours.is_finite() && noise.on_ink.is_finite() {
        latents.push(("standard normal noise".into(), noise));
        let header = ["variance on ink", "variance off ink", "correlation of neighbours off ink"];
        let table = Table::new("Are the encodings noise?", "steps", header);
        let table = latents
            .into_iter()
            .fold(table, |table, (name, of)| table.row(name, [of.on_ink, of.off_ink, of.neighbours]));
        chapter.table(table.digits(3).note(
            "ink: pixels of the image above 0; off ink: its black pixels, −1; neighbours: beside or below one another",
        ));
    } else {
        chapter.say("These images have no black ground, so encodings cannot be compared on ink and off it.");
    }
    let (few, many) = (curve[0].1, curve[curve.len() - 1].1);
    chapter.checks(Checks::new("More steps, nearer").at_most(
        format!("error of {} steps over that of {}", counts[counts.len() - 1], counts[0]),
        0.5,
        many / few,
    ));
    let panel = Panel::new("").axes("steps up and down", "root mean squared error per pixel").log_x().log_y();
    let panel = panel.line("", curve.iter().copied()).points("", curve);
    chapter.figure(&Figure::new("").panel(panel).panel_size(720, 320), "there_and_back")?;
    chapter
        .picture("there_and_back_images.png", &ImageGrid::new(8).draw(&Tensor::cat(&shown, 0)?)?.png()?)?;
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    ddpm::metrics::mean(ndarray::aview1(values))
}

fn interpolation(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("Between two images");
    let rng = &mut setting.rng(12);
    let columns = if setting.quick { 5 } else { 11 };
    let decode = setting.steps(Sampler::Ddim(0.0), setting.plan.clip)?;
    let (from, to) = (setting.noise(2, rng)?, setting.noise(2, rng)?);
    let shares: Vec<f64> = (0..columns).map(|i| i as f64 / (columns - 1) as f64).collect();
    let circle = shares.iter().map(|&share| Ok(slerp(&from, &to, share)?)).collect::<Result<Vec<_>>>()?;
    let line = shares.iter().map(|&share| Ok(((&from * (1.0 - share))? + (&to * share)?)?));
    let line = line.collect::<Result<Vec<_>>>()?;
    let variance = |x: &Tensor| -> Result<f64> { Ok(f64::from(x.sqr()?.mean_all()?.to_scalar::<f32>()?)) };
    let middle = columns / 2;
    let pixels = from.elem_count() as f64;
    let checks = Checks::new("Half-way between two noises: variance of the pixels")
        .within("on the circle", 1.0, variance(&circle[middle])?, (1.0 / pixels).sqrt()) // the means of two lengths
        .within("on the straight line", 0.5, variance(&line[middle])?, 0.5 * (2.0 / pixels).sqrt());
    chapter.checks(checks);
    halfway(chapter, setting)?;
    let drawn = setting.run("decoding", &decode, Tensor::cat(&[strip(&circle)?, strip(&line)?], 0)?, rng)?;

    let below = time_grid(top(setting.schedule()), setting.plan.calls, FROM_T)?;
    let latents =
        setting.run("encoding", &ddim_inversion(setting.schedule(), &below), setting.images(4)?, rng)?;
    let (from, to) = (latents.narrow(0, 0, 2)?, latents.narrow(0, 2, 2)?);
    let between = shares.iter().map(|&share| Ok(slerp(&from, &to, share)?)).collect::<Result<Vec<_>>>()?;
    let decode = Sampler::Ddim(0.0).along(setting.schedule(), &below, None)?; // as it was encoded
    let between = setting.run("decoding", &decode, strip(&between)?, rng)?;
    let drawn = Tensor::cat(&[drawn, between], 0)?;
    chapter.picture("interpolation.png", &ImageGrid::new(columns).draw(&drawn)?.png()?)?;
    chapter.say(
        "Rows 1 and 2: between two noises, on the circle. Rows 3 and 4: the same on the straight line. Rows 5 and 6: between \
         two test images that DDIM encoded.",
    );
    Ok(())
}

/// What a straight line does to many pairs, where one pair shows little.
fn halfway(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    let rng = &mut setting.rng(17);
    let pairs = if setting.quick { 10 } else { 200 };
    let decode = setting.steps(Sampler::Ddim(0.0), setting.plan.clip)?;
    let (from, to) = (setting.noise(pairs, rng)?, setting.noise(pairs, rng)?);
    let line = ((&from + &to)? * 0.5)?;
    let mut table = Table::new(
        format!("{pairs} pairs of noises, decoded"),
        "",
        ["mean of pixels", "± ", "grey, in %", "variance between images"],
    );
    for (name, x_t) in [
        ("one end", from.clone()),
        ("half-way on the circle", slerp(&from, &to, 0.5)?),
        ("half-way on the straight line", line),
    ] {
        let drawn = setting.run(name, &decode, x_t, rng)?;
        let ink = PixelStats::of(&drawn)?;
        let means: Vec<f64> =
            drawn.flatten_from(1)?.mean(1)?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
        let between = f64::from(drawn.var(0)?.mean_all()?.to_scalar::<f32>()?); // over images, for each pixel
        table =
            table.row(name, [ink.mean, standard_error(ndarray::aview1(&means)), 100.0 * ink.grey, between]);
    }
    chapter
        .table(table.digits(3).note("grey: within ±0.9; variance between images: of each pixel, averaged"));
    Ok(())
}

fn denoising(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("Denoising: one step or a chain?");
    let rng = &mut setting.rng(13);
    let count = if setting.quick { 8 } else { 16 };
    let x_0 = setting.images(count)?;
    let last = setting.schedule().steps();
    let mut table = Table::new(
        format!("PSNR in dB, {count} test images"),
        "t",
        ["x_t/√ᾱ_t", "x̂_0 in one step", "Algorithm 2, σ² = β, from t", "DDIM from t"],
    );
    let mut shown = vec![x_0.narrow(0, 0, 8)?];
    let mut checks =
        Checks::new("A chain that draws from p(x_0 | x_t) is 10 log₁₀ 2 below the mean of p(x_0 | x_t)");
    for share in [0.25, 0.5, 0.75] {
        let t = (share * last as f64) as usize;
        let x_t = diffuse(setting.schedule(), t, &x_0, &setting.noise(count, rng)?)?;
        let steps = time_grid(t, setting.plan.calls.min(t), FROM_T)?;
        let chain = |sampler: Sampler| sampler.along(setting.schedule(), &steps, setting.plan.clip);
        let ancestral = chain(Sampler::Ddpm(FixedVariance::Beta))?;
        let noisy = (&x_t / setting.schedule().alpha_bar(t).sqrt())?;
        let one_step = predict_x_0(&ancestral[0], &setting.denoiser.predict(&x_t, t as f64)?, &x_t)?;
        let label = format!("denoising from t = {t}");
        let by_chain = setting.run(&label, &ancestral, x_t.clone(), rng)?;
        let by_ddim = setting.run(&label, &chain(Sampler::Ddim(0.0))?, x_t.clone(), rng)?;
        let all = [noisy, one_step, by_chain, by_ddim];
        let decibels: Vec<f64> = all
            .iter()
            .map(|images| Ok(psnr(mean(&mean_squared_errors(images, &x_0)?))))
            .collect::<Result<_>>()?;
        checks = checks.close(
            format!("t = {t}: one step above the chain, in dB"),
            10.0 * 2f64.log10(),
            decibels[1] - decibels[2],
            1.5,
        );
        table = table.row(t.to_string(), decibels);
        for images in all {
            shown.push(images.narrow(0, 0, 8)?);
        }
    }
    chapter.table(table.digits(4));
    if setting.judged {
        chapter.checks(checks);
    }
    chapter.picture("denoising.png", &ImageGrid::new(8).draw(&Tensor::cat(&shown, 0)?)?.png()?)?;
    Ok(())
}

fn inpainting_of_two_pixels(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("Inpainting two pixels, where the answer is known");
    let rng = &mut setting.rng(14);
    let count = if setting.quick { 4000 } else { 20_000 };
    let schedule = Schedule::linear_scaled(100)?;
    let (variance, correlation, left) = (0.25, 0.8, 0.8);
    let pair = GaussianImages::pair(&schedule, variance, correlation, &setting.device)?;
    let steps = Sampler::Ddpm(FixedVariance::Beta).steps(&schedule, 100, Spacing::Trailing, None)?;
    let image = |pixels: [f32; 2]| Tensor::from_vec(pixels.repeat(count), (count, 1, 2, 1), &setting.device);
    let known = Known { x_0: image([left, 0.0])?, mask: image([1.0, 0.0])? };
    let truth = correlation * f64::from(left);
    let mut table = Table::new(
        format!("Two pixels of correlation {correlation}, the left one is {left}: the right one’s moments"),
        "repeats",
        ["mean", "variance", "calls of the denoiser"],
    )
    .row("the truth", [truth, variance * (1.0 - correlation * correlation), 0.0]);
    let mut means = Vec::new();
    for repeats in Progress::over("inpainting two pixels", [1usize, 2, 4, 8, 16]) {
        let how = Inpainting { schedule: &schedule, known: &known, repeats };
        let noise = standard_normal((count, 1, 2, 1), rng, &setting.device)?;
        let counter = CallCounter::new(&pair);
        let drawn = inpaint(&how, &steps, &counter, noise, rng, |_, _| Ok(()))?;
        let right = drawn.narrow(2, 1, 1)?.flatten_all()?;
        let mean = f64::from(right.mean_all()?.to_scalar::<f32>()?);
        let variance = f64::from(right.var(0)?.to_scalar::<f32>()?);
        table = table.row(repeats.to_string(), [mean, variance, counter.calls() as f64]);
        means.push(mean);
    }
    chapter.table(table.digits(3));
    chapter.checks(
        Checks::new("The unknown pixel’s mean")
            .at_most("replacement alone, over the truth", 0.8, means[0] / truth)
            .close("16 repeats, over the truth", 1.0, means[4] / truth, 0.08),
    );
    Ok(())
}

fn inpainting(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("Inpainting");
    let count = if setting.quick { 4 } else { 16 };
    let x_0 = setting.images(count)?;
    let (count, height, width, channels) = x_0.dims4()?;
    // Known: the upper half, for every other image the left half.
    let mask: Vec<f32> = (0..count * height * width * channels)
        .map(|i| (i / (height * width * channels), i / (width * channels) % height, i / channels % width))
        .map(|(image, y, x)| if image % 2 == 0 { y < height / 2 } else { x < width / 2 })
        .map(|known| if known { 1.0 } else { 0.0 })
        .collect();
    let mask = Tensor::from_vec(mask, (count, height, width, channels), &setting.device)?;
    let known = Known { mask, x_0: x_0.clone() };
    let steps = setting.steps(Sampler::default(), setting.plan.clip)?;
    let mut table = Table::new(
        format!("{count} test images, half of each unknown"),
        "repeats",
        ["roughness of the seam", "calls of the network"],
    )
    .row("the images themselves", [seam_roughness(&x_0, &known.mask)?, 0.0]);
    let mut shown = vec![x_0.clone(), (&x_0 * &known.mask)?];
    let mut checks = Checks::new("The known pixels");
    for repeats in [1usize, if setting.quick { 2 } else { 5 }] {
        let rng = &mut setting.rng(15);
        let counter = CallCounter::new(&setting.denoiser);
        let how = Inpainting { schedule: setting.schedule(), known: &known, repeats };
        let mut progress = Progress::new(format!("inpainting, {repeats} repeats"), repeats * steps.len());
        let drawn = inpaint(&how, &steps, &counter, setting.noise(count, rng)?, rng, |t, _| {
            progress.advance(usize::from(t > 0));
            Ok(())
        })?;
        let change = ((&drawn - &x_0)? * &known.mask)?.abs()?.max_all()?.to_scalar::<f32>()?;
        checks = checks.exactly(format!("{repeats} repeats: largest change"), 0.0, f64::from(change));
        table =
            table.row(repeats.to_string(), [seam_roughness(&drawn, &known.mask)?, counter.calls() as f64]);
        shown.push(drawn);
    }
    chapter.table(table.digits(3));
    chapter.checks(checks);
    chapter.picture("inpainting.png", &ImageGrid::new(count).draw(&Tensor::cat(&shown, 0)?)?.png()?)?;
    chapter.say("From above: the image, what is known of it, replacement alone, replacement with repeats.");
    Ok(())
}
