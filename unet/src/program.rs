//! What the programs that draw images share: a network from their flags, and sheets in a chapter's folder.

use crate::{
    Result,
    denoiser::{CallCounter, ImageDenoiser, NetworkDenoiser, Recording},
    device::{DeviceChoice, OpenDevice},
    images::{Collection, ImageSource, PictureOptions, grid::ImageGrid},
    operations::threads::one_thread_per_operation,
    sample::{
        Film, Inpainting, Known, Opened, Sampler, SamplingArguments, SamplingPlan, encoding_end,
        forward::standard_normal, inpaint, predict_x_0, sample, shipped_checkpoint,
    },
};
use anyhow::{Context, ensure};
use candle_core::{Device, Tensor};
use ddpm::{
    sampler::{Spacing, Step, ddim_inversion, ddim_step, time_grid},
    schedule::Schedule,
};
use ddpm_page::report::{Chapter, Common, Progress};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use std::{fmt, path::PathBuf};

/// The flags that name a network, how it draws, and on which device.
#[derive(Debug, Clone, Default, clap::Args)]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[command(about = None, long_about = None)]
pub struct NetworkArguments {
    /// A checkpoint of ch14_train_images, its run’s folder, or a folder that diffusers wrote [default: the one that ships with the course]
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
    /// Opens the device and the network, and says on the error stream which newer checkpoints cannot be read. First it limits each
    /// operation to one thread ([`one_thread_per_operation`]), so that it must come before any other work on tensors.
    ///
    /// # Errors
    /// If there is no such device or network, or it cannot draw as the flags say.
    pub fn open(&self) -> anyhow::Result<DrawingNetwork> {
        one_thread_per_operation();
        let OpenDevice { device, why } = self.device.open()?;
        let path = self.checkpoint.clone().map_or_else(shipped_checkpoint, Ok)?;
        let Opened { denoiser, last, path, passed_over } = Opened::at(&path, &device).context(
            "no network to draw with: train one with ch14_train_images, or name another with --checkpoint",
        )?;
        passed_over.iter().for_each(|error| eprintln!("Passed over: {error}."));
        let plan = self.sampling.plan(denoiser.schedule())?;
        plan.steps(denoiser.schedule())?; // a wrong number of steps or η, before any work
        Ok(DrawingNetwork { denoiser, last, path, device, why, plan, shipped: self.checkpoint.is_none() })
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
    #[arg(long, default_value_t = 64)]
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
        ensure!(self.count > 0, "count is 0; it must be at least 1: draw one image");
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

/// For steps that draw no noise.
fn no_randomness() -> StdRng {
    StdRng::seed_from_u64(0)
}

/// Refuses a number of images, given by the flag `name`, that is less than `least` or more than `source` has.
///
/// # Errors
/// If it is.
pub fn within(name: &str, value: usize, least: usize, source: &dyn ImageSource) -> anyhow::Result<()> {
    let all = source.len();
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

    /// Draws a row of images for each batch of shape (N, H, W, C), its first so many, to the PNG `file`.
    ///
    /// # Errors
    /// As [`sheet`](Self::sheet).
    fn sheet_of_rows(&mut self, file: &str, columns: usize, batches: &[Tensor]) -> anyhow::Result<()> {
        let first = |batch: &Tensor| batch.narrow(0, 0, columns.min(batch.dim(0)?));
        let rows = batches.iter().map(first).collect::<candle_core::Result<Vec<_>>>()?;
        self.sheet(file, columns, &rows)
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
