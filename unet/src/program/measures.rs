//! What a network that draws images is asked to show in several settings: tables and sheets of them.

use super::{DrawingNetwork, draw};
use crate::{
    Result,
    denoiser::CallCounter,
    images::statistics,
    sample::{
        NormalPixels, PixelStats, Sampler, SamplingPlan, mean_squared_errors, mix_noised, shared, slerp,
        straight, variances_of_draws,
    },
};
use candle_core::Tensor;
use ddpm::{
    metrics::{Estimate, StandardError},
    reverse::FixedVariance,
    sampler::Step,
};
use ddpm_page::report::{Cell, Checks, Progress, Sweep, Table, thousands};
use ndarray_rand::rand::{Rng, rngs::StdRng};

/// A way from one noise to another: [`straight`], [`slerp`], [`shared`].
pub type Way = fn(&Tensor, &Tensor, f64) -> Result<Tensor>;

/// The ways in which the noises of two images are mixed, with their names.
pub const WAYS: [(&str, Way); 3] = [("straight", straight), ("circle", slerp), ("one noise", shared)];

const DDIM: Sampler = Sampler::Ddim(0.0);

/// Batches of images under their labels.
pub type Labelled = Vec<(String, Tensor)>;

impl DrawingNetwork {
    /// Rules that hold exactly for samplers: what they cost, and what they draw no noise for. `stream` gives the generators.
    ///
    /// # Errors
    /// As [`draw`].
    pub fn rules(&self, stream: impl Fn(u64) -> StdRng) -> Result<Checks> {
        let noise = self.noise(4, &mut stream(2))?;
        let counter = CallCounter::new(&self.denoiser);
        let ddim = self.steps(DDIM)?;
        let first = draw(&ddim, &counter, &noise, &mut stream(2))?;
        let drawn = |steps: &[Step], number| self.draw(steps, &noise, &mut stream(number));
        let change =
            |steps: &[Step], a, b| statistics::largest_difference(&drawn(steps, a)?, &drawn(steps, b)?);
        let ancestral = self.steps(Sampler::Ddpm(FixedVariance::Beta))?;
        let noisy = self.steps(Sampler::Ddim(1.0))?;
        let last = change(&ancestral[ancestral.len() - 1..], 3, 4)?;
        let alone = self.draw(&ddim, &noise.narrow(0, 1, 1)?, &mut stream(2))?;
        let alone = statistics::largest_difference(&first.narrow(0, 1, 1)?, &alone)?;
        Ok(Checks::new("Samplers")
            .exactly("calls of the network by DDIM", ddim.len(), counter.calls())
            .exactly("another generator, Algorithm 2’s last step: change", 0.0, last)
            .exactly("another generator, DDIM with η = 0: change", 0.0, change(&ddim, 2, 5)?)
            .at_least("another generator, DDIM with η = 1: change", 0.1, change(&noisy, 6, 7)?)
            .judged_if(self.judged && noisy.len() > 1) // the last step draws no noise
            .close("an image alone, and among others: change", 0.0, alone, 1e-3))
    }

    /// The variance that samplers draw with the exact denoiser in as many steps as its plan has, without clipping, against what is computed:
    /// on 500 images of [`NormalPixels`].
    ///
    /// # Errors
    /// As [`NormalPixels::variance_measured`].
    pub fn variances_by_sampling(
        &self,
        pixels: NormalPixels,
        samplers: &[Sampler],
        rng: &mut impl Rng,
    ) -> Result<Checks> {
        let (images, schedule, calls) = (500, self.schedule(), self.plan.calls);
        let numbers = images * NormalPixels::PER_IMAGE;
        let mut checks =
            Checks::new(format!("The same by sampling: {} pixels, {calls} steps", thousands(numbers)));
        for &sampler in samplers {
            let predicted = pixels.variance_drawn(sampler, schedule, calls)?;
            let measured = pixels.variance_measured(sampler, schedule, calls, images, rng, &self.device)?;
            let rounding = if predicted > 1e-3 { 0.0 } else { 1e-6 }; // 32-bit numbers are no finer
            let error = StandardError::from(predicted * (2.0 / numbers as f64).sqrt()).besides(rounding);
            checks = checks.within(format!("{sampler}: variance"), predicted, measured, error);
        }
        Ok(checks)
    }

    /// Images from one x_T by samplers without clipping and with it, and by DDIM with ε computed anew: the rows of their pixels below that
    /// of `test` images, and a batch for each. `stream` gives the generator, the same for all.
    ///
    /// # Errors
    /// As [`draw`].
    pub fn clipped_and_not(
        &self,
        samplers: &[Sampler],
        noise: &Tensor,
        test: &Tensor,
        stream: impl Fn() -> StdRng,
    ) -> Result<(Table, Labelled)> {
        let title = format!("{} images, {} steps", noise.dim(0)?, self.plan.calls);
        let mut table =
            Table::new(title, "", PixelStats::COLUMNS).row("test images", PixelStats::of(test)?.row());
        let plans = samplers.iter().flat_map(|&sampler| [(sampler, None), (sampler, Some(1.0))]);
        let mut sheet = Vec::new();
        for (sampler, clip) in plans.chain([(Sampler::RederivedDdim(0.0), Some(1.0))]) {
            let steps = SamplingPlan { sampler, clip, ..self.plan }.steps(self.schedule())?;
            let drawn = self.draw(&steps, noise, &mut stream())?;
            let name = sampler.to_string().replace("Algorithm 2, ", "");
            let clipped = if clip.is_some() { ", x̂_0 clipped" } else { "" };
            table = table.row(format!("{name}{clipped}"), PixelStats::of(&drawn)?.row());
            // the font of sheets sets no letter above another
            let label = name.replace("β̃", "post. β").replace(", ε", "\nε") + &clipped.replace(" x̂_0", "\n");
            sheet.push((label, drawn));
        }
        Ok((table.note("grey: within ±0.9; the same x_T and the same generator in every row"), sheet))
    }

    /// What lies half-way between so many pairs of noises, on the circle and on the straight line, beside one of the ends: decoded by
    /// DDIM.
    ///
    /// # Errors
    /// As [`draw`].
    pub fn half_way_between_noises(&self, pairs: usize, rng: &mut impl Rng) -> Result<Table> {
        let (from, to) = (self.noise(pairs, rng)?, self.noise(pairs, rng)?);
        let (circle, line) = (slerp(&from, &to, 0.5)?, straight(&from, &to, 0.5)?);
        let all = [
            ("one end", &from),
            ("half-way on the circle", &circle),
            ("half-way on the straight line", &line),
        ];
        let header = ["mean of pixels", "± ", "grey, in %", "variance between images"];
        let rows = Sweep::over("", all, header, |(_, noise)| -> Result<_> {
            let drawn = self.draw(&self.steps(DDIM)?, noise, rng)?;
            let ([mean, grey, _], error) =
                (PixelStats::of(&drawn)?.row(), statistics::error_of_mean(&drawn)?);
            Ok([mean, error, grey, statistics::variance_between(&drawn)?])
        })?;
        let note = "grey: within ±0.9; variance between images: of each pixel, averaged";
        Ok(rows.table(format!("{pairs} pairs of noises, decoded")).note(note))
    }

    /// What lies half-way between pairs of images that are mixed at t, their noises in each of [`WAYS`], and drawn from there; below, the
    /// images themselves. Shapes: all (B, H, W, C).
    ///
    /// # Errors
    /// As [`draw`].
    ///
    /// # Panics
    /// If t lies outside of 1…T.
    #[track_caller]
    pub fn half_way_between_images(
        &self,
        t: usize,
        ends: [&Tensor; 2],
        noises: [&Tensor; 2],
        rng: &mut impl Rng,
    ) -> Result<Table> {
        let header = ["variance of the noise", "mean of pixels", "± ", "grey, in %"];
        let title = format!("Half-way between {} pairs of test images, mixed at t = {t}", ends[0].dim(0)?);
        let pixels = |images: &Tensor| -> Result<_> {
            let ([mean, grey, _], error) =
                (PixelStats::of(images)?.row(), statistics::error_of_mean(images)?);
            Ok([mean, error, grey].map(Cell::from))
        };
        let mut table = Table::new(title, "noises mixed", header);
        for (name, way) in Progress::over("ways between images", WAYS) {
            let x_t = mix_noised(self.schedule(), t, ends, noises, way, 0.5)?;
            let variance = statistics::mean_square(&way(noises[0], noises[1], 0.5)?)?;
            let drawn = self.draw_from(t, self.plan.sampler, &x_t, rng)?;
            table = table.row(name, [Cell::from(variance)].into_iter().chain(pixels(&drawn)?));
        }
        let images = pixels(&Tensor::cat(&ends, 0)?)?;
        Ok(table.row("the images", [Cell::from("")].into_iter().chain(images)).note("grey: within ±0.9"))
    }

    /// What x_t leaves open of x_0: the variance of so many draws from each of the first `few` x_t, and the squared error of x̂_0 over all of
    /// them, each with its standard error; and the x_t and the draws of the first. With exact draws and an exact x̂_0 the two are
    /// one number: see [`variances_of_draws`].
    ///
    /// Shapes: `x_0` and `x_t` (B, H, W, C), the last (1 + `draws`, H, W, C).
    ///
    /// # Errors
    /// As [`draw`].
    ///
    /// # Panics
    /// If t lies outside of 1…T.
    #[track_caller]
    pub fn left_open(
        &self,
        t: usize,
        [x_0, x_t]: [&Tensor; 2],
        [few, draws]: [usize; 2],
        rng: &mut impl Rng,
    ) -> Result<([f64; 4], Tensor)> {
        let error = Estimate::of(mean_squared_errors(&self.guess(t, x_t)?, x_0)?);
        let x_t = x_t.narrow(0, 0, few)?;
        let drawn = self.draws_of_each(t, &x_t, draws, rng)?;
        let spread = Estimate::of(variances_of_draws(&drawn, draws)?);
        let shown = Tensor::cat(&[x_t.narrow(0, 0, 1)?, drawn.narrow(0, 0, draws)?], 0)?;
        Ok(([spread.mean, spread.standard_error, error.mean, error.standard_error], shown))
    }
}
