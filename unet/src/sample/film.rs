//! A chain on film: x_t on its way, and what the network makes of it.

use super::{PixelStats, predict_x_0};
use crate::{Result, denoiser::Call};
use candle_core::Tensor;
use ddpm::sampler::Step;

/// All states of a chain, and all predictions at them.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm::{reverse::FixedVariance, sampler::ancestral, schedule::Schedule};
/// use ddpm_unet::{denoiser::{GaussianImages, Recording}, sample::{Film, sample}};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let schedule = Schedule::linear_scaled(101)?;
/// let steps = ancestral(&schedule, FixedVariance::Beta, None); // t = 101 … 1
/// let recording = Recording::new(GaussianImages::flat(&schedule, (2, 2, 1), 0.5, 0.1, &Device::Cpu)?);
/// let noise = Tensor::ones((1, 2, 2, 1), candle_core::DType::F32, &Device::Cpu)?;
/// let drawn = sample(&steps, &recording, noise, &mut StdRng::seed_from_u64(1), |_, _| Ok(()))?;
/// let film = Film::new(&steps, recording.into_calls(), drawn);
/// assert_eq!(film.strip_times(3), [101, 34, 1]); // closer where the image appears
/// assert_eq!(film.even_times(3), [101, 67, 33]);
/// assert_eq!(film.states(&[101, 1]).len(), 3); // x_101, x_1 and x_0
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Film {
    frames: Vec<(Step, Call)>,
    drawn: Tensor,
}

impl Film {
    /// A film of the steps of a sampler, the call of the network in each of them, and the images that it ended in.
    ///
    /// # Panics
    /// If there is not one call for each step, or none at all.
    #[track_caller]
    pub fn new(steps: &[Step], calls: Vec<Call>, drawn: Tensor) -> Self {
        assert!(!steps.is_empty() && steps.len() == calls.len(), "one call for each step");
        Film { frames: steps.iter().copied().zip(calls).collect(), drawn }
    }

    /// How often the network was called.
    pub fn calls(&self) -> usize {
        self.frames.len()
    }

    /// The t of about `count` steps from the first to the last, closer where the image appears: the i-th of n lies the share
    /// 1 − (1 − i/(n − 1))^1.6 of the way down.
    ///
    /// # Panics
    /// If `count` is less than 2.
    #[track_caller]
    pub fn strip_times(&self, count: usize) -> Vec<usize> {
        assert!(count > 1, "a strip has at least two images");
        let last = (self.frames.len() - 1) as f64;
        let place = |i: usize| last * (1.0 - (1.0 - i as f64 / (count - 1) as f64).powf(1.6));
        let mut times: Vec<usize> = (0..count).map(|i| self.frames[place(i).round() as usize].0.t).collect();
        times.dedup();
        times
    }

    /// The t of at most `count` steps at even distances, from the first on.
    ///
    /// # Panics
    /// If `count` is 0.
    #[track_caller]
    pub fn even_times(&self, count: usize) -> Vec<usize> {
        let every = self.frames.len().div_ceil(count);
        self.frames.iter().step_by(every).map(|(step, _)| step.t).collect()
    }

    /// The steps at these t, first the first; a t that is none of the chain's is left out.
    fn at(&self, times: &[usize]) -> impl Iterator<Item = &(Step, Call)> {
        self.frames.iter().filter(|(step, _)| times.contains(&step.t))
    }

    /// x_t at these t, and at the end x_0: each (B, H, W, C).
    pub fn states(&self, times: &[usize]) -> Vec<Tensor> {
        self.at(times).map(|(_, call)| &call.x_t).chain([&self.drawn]).cloned().collect()
    }

    /// x̂_0 at these t as the sampler clips it, and at the end x_0: each (B, H, W, C).
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn guesses(&self, times: &[usize]) -> Result<Vec<Tensor>> {
        let guesses = self.at(times).map(|(step, call)| predict_x_0(step, &call.eps, &call.x_t));
        guesses.chain([Ok(self.drawn.clone())]).collect()
    }

    /// The first `images` as a sheet in pairs of rows: [`states`](Self::states) above [`guesses`](Self::guesses), a column for each t
    /// and one for x_0. Shape: (2 · images · columns, H, W, C).
    ///
    /// # Errors
    /// If there are not so many images.
    pub fn pairs(&self, times: &[usize], images: usize) -> Result<Tensor> {
        let rows = [Tensor::stack(&self.states(times), 1)?, Tensor::stack(&self.guesses(times)?, 1)?];
        Ok(Tensor::stack(&rows, 1)?.narrow(0, 0, images)?.flatten(0, 2)?) // (images, 2, columns, H, W, C)
    }

    /// The share of pixels of x̂_0 that lie outside of ±1.05 before it is clipped, in percent, at each of these t: (t, share).
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn outside(&self, times: &[usize]) -> Result<Vec<(f64, f64)>> {
        let outside = |(step, call): &(Step, Call)| {
            let free = predict_x_0(&Step { clip: None, ..*step }, &call.eps, &call.x_t)?;
            Ok((call.t, 100.0 * PixelStats::of(&free)?.outside))
        };
        self.at(times).map(outside).collect()
    }
}
