//! Tasks of a network that begin at an x_t: cleaning it, drawing from it more than once, mixing two.

use super::{DrawingNetwork, draw};
use crate::{
    Result,
    denoiser::{Call, Recording},
    images::grid::strip,
    sample::{Sampler, SamplingPlan, forward::diffuse, mix_noised, predict_x_0},
};
use candle_core::Tensor;
use ddpm::{reverse::FixedVariance, sampler::Step};
use ndarray_rand::rand::Rng;

impl DrawingNetwork {
    /// Noised images, and three ways back to them: x_t/√ᾱ_t, x̂_0 in one step, Algorithm 2 with σ² = β from t, DDIM from t.
    ///
    /// Shapes: all (B, H, W, C).
    ///
    /// # Errors
    /// As [`draw`].
    ///
    /// # Panics
    /// If t lies outside of 1…T.
    #[track_caller]
    pub fn cleaned(&self, t: usize, x_0: &Tensor, rng: &mut impl Rng) -> Result<[Tensor; 4]> {
        let x_t = diffuse(self.schedule(), t, x_0, &self.noise(x_0.dim(0)?, rng)?)?;
        let mut chain = |sampler| self.draw_from(t, sampler, &x_t, rng);
        let (ancestral, ddim) = (chain(Sampler::Ddpm(FixedVariance::Beta))?, chain(Sampler::Ddim(0.0))?);
        Ok([(&x_t / self.schedule().alpha_bar(t).sqrt())?, self.guess(t, &x_t)?, ancestral, ddim])
    }

    /// Draws images by a plan, and keeps x̂_0 as the sampler clips it at about `count` steps of the way, evenly laid from the first on: each
    /// with its t, and the images.
    ///
    /// # Errors
    /// As [`draw`].
    pub fn guesses_along(
        &self,
        plan: &SamplingPlan,
        images: usize,
        count: usize,
        rng: &mut impl Rng,
    ) -> Result<(Vec<(usize, Tensor)>, Tensor)> {
        let noise = self.noise(images, rng)?;
        let steps = plan.steps(self.schedule())?;
        let kept: Vec<Step> = steps.iter().copied().step_by(steps.len().div_ceil(count.max(1))).collect();
        let recording = Recording::at(&self.denoiser, kept.iter().map(|step| step.t).collect());
        let drawn = draw(&steps, &recording, &noise, rng)?;
        let guess = |(step, call): (&Step, Call)| Ok((step.t, predict_x_0(step, &call.eps, &call.x_t)?));
        let guesses = kept.iter().zip(recording.into_calls()).map(guess).collect::<Result<_>>()?;
        Ok((guesses, drawn))
    }

    /// So many draws of x_0 from each x_t by its plan's sampler: those of one x_t one after the other.
    ///
    /// Shapes: (B, H, W, C) to (B · `draws`, H, W, C).
    ///
    /// # Errors
    /// As [`draw`].
    ///
    /// # Panics
    /// If t lies outside of 1…T.
    #[track_caller]
    pub fn draws_of_each(&self, t: usize, x_t: &Tensor, draws: usize, rng: &mut impl Rng) -> Result<Tensor> {
        self.draw_from(t, self.plan.sampler, &strip(&vec![x_t.clone(); draws])?, rng)
    }

    /// Mixtures of two images in x_t, drawn back to 0 by its plan's sampler: a strip of `count` of them at even shares, both ends included.
    /// At t = 0 nothing is drawn, and the images are mixed as they are. See [`mix_noised`].
    ///
    /// Shapes: all (B, H, W, C) to (B · `count`, H, W, C).
    ///
    /// # Errors
    /// As [`draw`].
    ///
    /// # Panics
    /// If t lies outside of 0…T.
    #[track_caller]
    pub fn mixed(
        &self,
        t: usize,
        ends: [&Tensor; 2],
        noises: [&Tensor; 2],
        way: impl Fn(&Tensor, &Tensor, f64) -> Result<Tensor>,
        count: usize,
        rng: &mut impl Rng,
    ) -> Result<Tensor> {
        let last = count.max(2) - 1;
        let shares = (0..count).map(|i| i as f64 / last as f64);
        let stations = shares.map(|share| mix_noised(self.schedule(), t, ends, noises, &way, share));
        let x_t = strip(&stations.collect::<Result<Vec<_>>>()?)?;
        if t == 0 { Ok(x_t) } else { self.draw_from(t, self.plan.sampler, &x_t, rng) }
    }
}
