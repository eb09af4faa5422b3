//! What the programs that draw images share: a network from their flags, and sheets in a chapter's folder.

mod evaluation;
mod measures;
mod tasks;

pub use evaluation::{ClassesDrawn, Evaluation, EvaluationArguments, Nearest, tenths_table};
pub use measures::{Labelled, WAYS, Way};

use crate::{
    Result,
    denoiser::{CallCounter, ImageDenoiser, NetworkDenoiser, Recording},
    device::{DeviceChoice, OpenDevice},
    images::{
        Collection, PictureOptions,
        grid::{ImageGrid, strip},
    },
    operations::threads::one_thread_per_operation,
    sample::{
        Film, Inpainting, Known, Opened, Sampler, SamplingArguments, SamplingPlan, encoding_end,
        forward::standard_normal, inpaint, predict_x_0, sample, shipped_checkpoint, slerp, walk,
    },
};
use anyhow::{Context, ensure};
use candle_core::{Device, Tensor};
use ddpm::{
    digest,
    sampler::{Spacing, Step, ddim_inversion, ddim_step, time_grid},
    schedule::Schedule,
};
use ddpm_page::{
    bounds::{must_fit, whole},
    report::{Chapter, Common, Progress},
};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use std::{fmt, path::PathBuf};

/// The flags that name a network, how it draws, and on which device.
#[derive(Debug, Clone, Default, clap::Args)]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[command(about = None, long_about = None)]
pub struct NetworkArguments {
    /// A checkpoint of ch14_train_images, its run’s folder, or a folder that diffusers wrote or a hub’s cache holds [default: the one
    /// that ships with the course]
    #[arg(long, value_name = "FILE|DIR")]
    pub checkpoint: Option<PathBuf>,
    /// How it draws.
    #[command(flatten)]
    pub sampling: SamplingArguments,
    /// The device: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}

impl NetworkArguments {
    /// Opens the device and the network, and says on the error stream which newer checkpoints cannot be read and what of a scheduler
    /// of diffusers' is not used. First it limits each operation to one thread ([`one_thread_per_operation`]), so that it must come
    /// before any other work on tensors.
    ///
    /// # Errors
    /// If there is no such device or network, or it cannot draw as the flags say.
    pub fn open(&self) -> anyhow::Result<DrawingNetwork> {
        one_thread_per_operation();
        let OpenDevice { device, why } = self.device.open()?;
        let path = self.checkpoint.clone().map_or_else(shipped_checkpoint, Ok)?;
        let Opened { denoiser, last, path, plan, passed_over, unused } = Opened::at(&path, &device).context(
            "no network to draw with: train one with ch14_train_images, or name another with --checkpoint",
        )?;
        passed_over.iter().for_each(|error| eprintln!("Passed over: {error}."));
        // A folder is one of diffusers', whose files have no digest.
        let note = path.is_file().then(|| digest::missing(&path)).transpose()?.flatten();
        note.iter().for_each(|note| eprintln!("{note}"));
        unused.iter().for_each(|what| eprintln!("{what}."));
        let plan = self.sampling.plan_from(plan, denoiser.schedule())?;
        plan.steps(denoiser.schedule())?; // a wrong number of steps or η, before any work
        let shipped = self.checkpoint.is_none();
        Ok(DrawingNetwork { denoiser, last, path, device, why, plan, shipped, judged: shipped })
    }
}

/// A network on a device, and how it draws.
#[derive(Debug, Clone)]
pub struct DrawingNetwork {
    /// The network with the averaged weights.
    pub denoiser: NetworkDenoiser,
    /// The same network with the weights of its last step, where the checkpoint has them.
    pub last: Option<NetworkDenoiser>,
    /// Where it comes from.
    pub path: PathBuf,
    /// The device.
    pub device: Device,
    /// Which device, and why: see [`OpenDevice::why`].
    pub why: String,
    /// How images are drawn.
    pub plan: SamplingPlan,
    /// Whether it is the network that ships with the course.
    pub shipped: bool,
    /// Whether rows that only this network must pass, on the course's own images, have a verdict.
    pub judged: bool,
}

/// The flags of a program that draws images and begins some from images: [`NetworkArguments`], the images, and how many to draw.
#[derive(Debug, Clone, Default, clap::Args)]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[command(about = None, long_about = None)]
pub struct DrawingArguments {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArguments,
    /// Images for the tasks that begin with one: IDX files, CIFAR-10, a folder of pictures [default: MNIST]
    #[arg(long, value_name = "DIR|FILE")]
    pub data: Option<PathBuf>,
    /// How pictures are cut.
    #[command(flatten)]
    pub pictures: PictureOptions,
    /// The number of images to draw
    #[arg(long, default_value_t = 64, value_parser = whole(1..=Self::MOST).because("a sheet of more is no picture any more"))]
    pub count: usize,
}

/// What [`DrawingArguments`] open.
pub struct Drawing {
    /// The network.
    pub network: DrawingNetwork,
    /// Images that fit it.
    pub images: Collection,
    /// The number of images to draw.
    pub count: usize,
}

impl DrawingArguments {
    /// The most images that are drawn, on one sheet.
    pub const MOST: usize = 10_000;

    /// Opens the network and the images, with a progress bar while pictures are decoded. With `--quick` at most 16 images are
    /// drawn, in at most 10 steps.
    ///
    /// # Errors
    /// As [`NetworkArguments::open`], or if there are no such images, they do not fit the network, or none are to be drawn.
    pub fn open(&self, common: &Common) -> anyhow::Result<Drawing> {
        let mut network = self.network.open()?;
        let images = Collection::open_with_progress(self.data.as_deref(), &self.pictures)?;
        images.remarks().iter().for_each(|remarks| eprintln!("{remarks}"));
        ensure!(
            images.train.shape() == network.denoiser.shape(),
            "{}: images of {:?} do not fit the network, which draws {:?}; choose others with --data",
            images.name,
            images.train.shape(),
            network.denoiser.shape(),
        );
        if network.device.is_cpu() {
            let (h, w, c) = network.denoiser.shape();
            let bytes = (8 * 4 * self.count).saturating_mul(h * w * c); // eight arrays of 32-bit numbers on the way of a step
            must_fit("the images", bytes, "--count")?;
        }
        network.judged &= self.data.is_none();
        network.plan.calls = common.pick(network.plan.calls, network.plan.calls.min(10));
        Ok(Drawing { network, images, count: common.pick(self.count, self.count.min(16)) })
    }
}

impl DrawingNetwork {
    /// The schedule of its training.
    pub fn schedule(&self) -> &Schedule {
        self.denoiser.schedule()
    }

    /// Refuses a network that draws images of another shape (H, W, C) than a program is made for.
    ///
    /// # Errors
    /// If it does.
    pub fn must_draw(&self, shape: (usize, usize, usize), why: &str) -> anyhow::Result<()> {
        let (path, drawn) = (self.path.display(), self.denoiser.shape());
        ensure!(
            drawn == shape,
            "{path}: found a network that draws {drawn:?} (height, width, channels), expected {shape:?}: {why}",
        );
        Ok(())
    }

    /// Noise x_T for so many images.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn noise(&self, images: usize, rng: &mut impl Rng) -> Result<Tensor> {
        let (h, w, c) = self.denoiser.shape();
        standard_normal((images, h, w, c), rng, &self.device)
    }

    /// Runs the plan on noise for so many images, and keeps all of it.
    ///
    /// # Errors
    /// As [`draw`].
    pub fn film(&self, plan: &SamplingPlan, images: usize, rng: &mut impl Rng) -> Result<Film> {
        let steps = plan.steps(self.schedule())?;
        let recording = Recording::new(&self.denoiser);
        let drawn = draw(&steps, &recording, &self.noise(images, rng)?, rng)?;
        Ok(Film::new(&steps, recording.into_calls(), drawn))
    }

    /// Inpaints by Algorithm 2 in as many steps as its plan has; returns the images, and how often the network was called.
    ///
    /// # Errors
    /// As [`fill_in`].
    pub fn fill_in(&self, known: &Known, repeats: usize, rng: &mut impl Rng) -> Result<(Tensor, usize)> {
        let how = Inpainting { schedule: self.schedule(), known, repeats };
        let noise = self.noise(known.mask.dim(0)?, rng)?;
        fill_in(&how, &self.steps(Sampler::default())?, &self.denoiser, &noise, rng)
    }

    /// So many images drawn by a plan; x_T and all noise come from `rng`.
    ///
    /// # Errors
    /// As [`draw`].
    pub fn samples(&self, plan: &SamplingPlan, images: usize, rng: &mut impl Rng) -> Result<Tensor> {
        let noise = self.noise(images, rng)?;
        self.draw(&plan.steps(self.schedule())?, &noise, rng)
    }

    /// The same with the weights of the last step of training, where the checkpoint has them.
    pub fn with_last_weights(&self) -> Option<Self> {
        self.last.clone().map(|denoiser| DrawingNetwork { denoiser, ..self.clone() })
    }

    /// The steps of its plan with another sampler.
    ///
    /// # Errors
    /// As [`SamplingPlan::steps`].
    pub fn steps(&self, sampler: Sampler) -> Result<Vec<Step>> {
        SamplingPlan { sampler, ..self.plan }.steps(self.schedule())
    }

    /// [`draw`] with the averaged weights.
    ///
    /// # Errors
    /// As [`draw`].
    pub fn draw(&self, steps: &[Step], x: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
        draw(steps, &self.denoiser, x, rng)
    }

    /// Runs a sampler from x_t at t down to 0, in as many steps as its plan has, or in t if that is less.
    ///
    /// # Errors
    /// As [`draw`].
    ///
    /// # Panics
    /// If t lies outside of 1…T.
    #[track_caller]
    pub fn draw_from(&self, t: usize, sampler: Sampler, x_t: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
        let times = time_grid(t, self.plan.calls.min(t), Spacing::Trailing)?;
        let steps = sampler.along(self.schedule(), &times, self.plan.clip)?;
        self.draw(&steps, x_t, rng)
    }

    /// x̂_0 at x_t, clipped as its plan says: one call of the network.
    ///
    /// # Errors
    /// Those of the network.
    ///
    /// # Panics
    /// If t lies outside of 1…T.
    #[track_caller]
    pub fn guess(&self, t: usize, x_t: &Tensor) -> Result<Tensor> {
        let step = ddim_step(self.schedule(), t, 0, 0.0, self.plan.clip);
        predict_x_0(&step, &self.denoiser.predict(x_t, t as f64)?, x_t)
    }

    /// Encodes images by DDIM without noise, in so many steps from 0 up to [`encoding_end`].
    ///
    /// # Errors
    /// As [`draw`], or if there are not so many steps.
    pub fn encode(&self, x_0: &Tensor, steps: usize) -> Result<Tensor> {
        let up = ddim_inversion(self.schedule(), &self.encoding_times(steps)?);
        self.draw(&up, x_0, &mut no_randomness())
    }

    /// Decodes what [`encode`](Self::encode) made of images, in so many steps back to 0, without clipping.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn decode(&self, latent: &Tensor, steps: usize) -> Result<Tensor> {
        let down = Sampler::Ddim(0.0).along(self.schedule(), &self.encoding_times(steps)?, None)?;
        self.draw(&down, latent, &mut no_randomness())
    }

    /// Images encoded by [`encode`](Self::encode), and decoded again.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn round_trip(&self, x_0: &Tensor, steps: usize) -> Result<[Tensor; 2]> {
        let latent = self.encode(x_0, steps)?;
        let back = self.decode(&latent, steps)?;
        Ok([latent, back])
    }

    /// The steps of an encoding by its plan: as many as it has, or as [`encoding_end`] allows.
    pub fn encoding_steps(&self) -> usize {
        self.plan.calls.min(encoding_end(self.schedule()))
    }

    /// Ways between images, on the circle between their encodings: from each of the first half to the one that stands as far in the
    /// second, in so many columns, a row for each pair, and a sentence that names the rows. One image alone has none.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn ways_between(&self, images: &Tensor, columns: usize) -> Result<(Vec<Tensor>, &'static str)> {
        let pairs = images.dim(0)? / 2;
        let rows = match pairs {
            0 => return Ok((Vec::new(), "Between test images there is no way, for there is one alone.")),
            1 => "Row 5: between two test images that DDIM encoded.",
            _ => "Rows 5 and 6: between two test images that DDIM encoded.",
        };
        let latents = self.encode(images, self.encoding_steps())?;
        let (from, to) = (latents.narrow(0, 0, pairs)?, latents.narrow(0, pairs, pairs)?);
        Ok((vec![self.decode(&walk(slerp, &from, &to, columns)?, self.encoding_steps())?], rows))
    }

    fn encoding_times(&self, steps: usize) -> Result<Vec<usize>> {
        Ok(time_grid(encoding_end(self.schedule()), steps, Spacing::Trailing)?)
    }
}

impl fmt::Display for DrawingNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, steps) = (self.denoiser.network().parameters().count(), self.schedule().steps());
        write!(f, "A network of {size} parameters that was trained with T = {steps}")
    }
}

/// Those of some counts of steps that are at most `most`; `most` alone where all are more.
///
/// ```
/// use ddpm_unet::program::up_to;
///
/// assert_eq!((up_to(60, &[5, 20, 100]), up_to(3, &[5, 20, 100])), (vec![5, 20], vec![3]));
/// ```
pub fn up_to(most: usize, counts: &[usize]) -> Vec<usize> {
    let fitting: Vec<usize> = counts.iter().copied().filter(|&count| count <= most).collect();
    if fitting.is_empty() { vec![most] } else { fitting }
}

/// The t at a quarter, a half and three quarters of a chain of so many steps, each once and none below 1: a short chain has fewer than
/// three.
///
/// ```
/// use ddpm_unet::program::quarters;
///
/// assert_eq!((quarters(1000), quarters(2)), (vec![250, 500, 750], vec![1]));
/// ```
pub fn quarters(steps: usize) -> Vec<usize> {
    let mut times = Vec::from([1, 2, 3].map(|quarter| (quarter * steps / 4).max(1)));
    times.dedup();
    times
}

/// For steps that draw no noise.
fn no_randomness() -> StdRng {
    StdRng::seed_from_u64(0)
}

/// Refuses a number of images, given by the flag `name`, that is less than `least` or more than all that there are.
///
/// # Errors
/// If it is.
pub fn within(name: &str, value: usize, least: usize, all: usize) -> anyhow::Result<()> {
    ensure!(
        (least..=all).contains(&value),
        "{name} is {value}; it must lie in {least}…{all}: there are so many test images to compare with",
    );
    Ok(())
}

/// Runs a sampler from `x` as [`sample`] does, with a progress bar.
///
/// # Errors
/// Those of the denoiser.
pub fn draw(steps: &[Step], denoiser: &impl ImageDenoiser, x: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
    let from = steps.first().map_or(0, |step| step.t);
    let mut progress = Progress::new(format!("{} steps from t = {from}", steps.len()), steps.len());
    let mut begun = false;
    sample(steps, denoiser, x.clone(), rng, |_, _| {
        progress.advance(usize::from(begun));
        begun = true;
        Ok(())
    })
}

/// As [`inpaint`], with a progress bar; returns the images, and how often the denoiser was called.
///
/// # Errors
/// Those of [`inpaint`].
pub fn fill_in(
    how: &Inpainting,
    steps: &[Step],
    denoiser: &impl ImageDenoiser,
    x: &Tensor,
    rng: &mut impl Rng,
) -> Result<(Tensor, usize)> {
    let mut progress =
        Progress::new(format!("inpainting, {} repeats", how.repeats), how.repeats * steps.len());
    let counter = CallCounter::new(denoiser);
    let drawn = inpaint(how, steps, &counter, x.clone(), rng, |t, _| {
        progress.advance(usize::from(t > 0));
        Ok(())
    })?;
    Ok((drawn, counter.calls()))
}

/// Images in a chapter's folder.
pub trait Sheets {
    /// Draws batches of images of shape (N, H, W, C), one below the other in so many columns, to the PNG `file`.
    ///
    /// # Errors
    /// As [`ImageGrid::draw`], or if the file cannot be written.
    fn sheet(&mut self, file: &str, columns: usize, batches: &[impl AsRef<Tensor>]) -> anyhow::Result<()>;

    /// Draws images of shape (N, H, W, C) in a grid, with its labels, to the PNG `file`.
    ///
    /// # Errors
    /// As [`sheet`](Self::sheet).
    fn labelled_sheet(&mut self, file: &str, grid: ImageGrid, images: &Tensor) -> anyhow::Result<()>;

    /// Draws a row of images for each batch of shape (N, H, W, C), its first so many, to the PNG `file`: each under its own label, which
    /// stands to the left.
    ///
    /// # Errors
    /// As [`sheet`](Self::sheet).
    fn sheet_of_rows(
        &mut self,
        file: &str,
        columns: usize,
        batches: &[(String, Tensor)],
    ) -> anyhow::Result<()> {
        let first = |(_, batch): &(String, Tensor)| batch.narrow(0, 0, columns.min(batch.dim(0)?));
        let rows = batches.iter().map(first).collect::<candle_core::Result<Vec<_>>>()?;
        let labels = batches.iter().map(|(label, _)| label.as_str());
        self.labelled_sheet(file, ImageGrid::new(columns).row_labels(labels), &Tensor::cat(&rows, 0)?)
    }

    /// Draws a column of images for each batch of shape (N, H, W, C), its first so many, to the PNG `file`: each under its own label.
    ///
    /// # Errors
    /// As [`sheet`](Self::sheet), or if the shapes differ.
    fn sheet_of_columns(
        &mut self,
        file: &str,
        rows: usize,
        batches: &[(String, Tensor)],
    ) -> anyhow::Result<()> {
        let first = |(_, batch): &(String, Tensor)| batch.narrow(0, 0, rows.min(batch.dim(0)?));
        let columns = batches.iter().map(first).collect::<candle_core::Result<Vec<_>>>()?;
        let labels = batches.iter().map(|(label, _)| label.as_str());
        self.labelled_sheet(file, ImageGrid::new(columns.len()).column_labels(labels), &strip(&columns)?)
    }

    /// Draws sheets to the GIF `file`: see [`ImageGrid::gif`].
    ///
    /// # Errors
    /// As [`ImageGrid::gif`], or if the file cannot be written.
    fn film(
        &mut self,
        file: &str,
        columns: usize,
        sheets: &[Tensor],
        milliseconds: u64,
    ) -> anyhow::Result<()>;
}

impl Sheets for Chapter {
    fn sheet(&mut self, file: &str, columns: usize, batches: &[impl AsRef<Tensor>]) -> anyhow::Result<()> {
        let sheet = ImageGrid::new(columns).draw(&Tensor::cat(batches, 0)?)?;
        Ok(self.picture(file, &sheet.png()?)?)
    }

    fn labelled_sheet(&mut self, file: &str, grid: ImageGrid, images: &Tensor) -> anyhow::Result<()> {
        Ok(self.picture(file, &grid.draw(images)?.png()?)?)
    }

    fn film(
        &mut self,
        file: &str,
        columns: usize,
        sheets: &[Tensor],
        milliseconds: u64,
    ) -> anyhow::Result<()> {
        Ok(self.picture(file, &ImageGrid::new(columns).gif(sheets, milliseconds)?)?)
    }
}
