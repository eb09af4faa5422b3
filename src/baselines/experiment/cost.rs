//! What the models cost: parameters, network calls and time.

use super::{D, Experiment};
use crate::{
    Result,
    baselines::{
        gan::{GanTrainer, Generator},
        vae::{Vae, VaeTrainer},
    },
    forward::standard_normal,
    metrics::quantile,
    network::{Mlp, MlpConfig, parameter_count},
    objective::Objective,
    reverse::FixedVariance,
    sampler::{ancestral, sample},
    train::NetworkDenoiser,
};
use ndarray::Array2;
use ndarray_rand::rand::rngs::StdRng;
use std::time::Instant;

/// How long a model takes to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// How often a network is called.
    pub calls: usize,
    /// Seconds for a point, where many are drawn at once.
    pub seconds: f64,
}

impl Experiment {
    /// How large the networks of the models are, by name: the width of the hidden layers, the parameters that are trained, those of
    /// them that drawing uses, and how often a network is called for a sample.
    pub fn sizes(&self) -> [(&'static str, [usize; 4]); 3] {
        let size = |shapes: &[MlpConfig], drawing: &MlpConfig, calls| {
            let parameters = shapes.iter().map(parameter_count).sum();
            [drawing.hidden, parameters, parameter_count(drawing), calls]
        };
        let vae = VaeTrainer::<f32>::shapes(&self.vae.learning, D);
        let gan = GanTrainer::<f32>::shapes(&self.gan.learning, D);
        let ddpm = [MlpConfig::default()];
        [
            ("VAE: encoder, decoder", size(&vae, &vae[1], 1)),
            ("GAN: generator, discriminator", size(&gan, &gan[0], 1)),
            ("DDPM: ε_θ", size(&ddpm, &ddpm[0], self.schedule.steps())),
        ]
    }

    /// How long VAE, GAN, DDIM with `few` calls and DDPM take to draw `count` points at once, in this order: each the median of five.
    /// The networks are not trained, which changes nothing in the time.
    ///
    /// # Errors
    /// As [`time_grid`](crate::sampler::time_grid), if there are no calls or more than T.
    pub fn paces(&self, few: usize, rng: &mut StdRng) -> Result<[Pace; 4]> {
        let [encoder, decoder] = VaeTrainer::<f32>::shapes(&self.vae.learning, D);
        let vae = Vae { encoder: Mlp::<f32>::new(encoder, rng)?, decoder: Mlp::new(decoder, rng)? };
        let [shape, _] = GanTrainer::<f32>::shapes(&self.gan.learning, D);
        let generator = Generator { network: Mlp::<f32>::new(shape, rng)?, edge: self.gan.edge };
        let (schedule, network) = (&self.schedule, &Mlp::<f32>::new(MlpConfig::default(), rng)?);
        let denoiser = NetworkDenoiser { schedule, network, objective: Objective::Simple };
        let (all, few) = (ancestral(schedule, FixedVariance::Beta, None), self.jumps(few, None)?);
        let mut walk = |steps| sample(steps, &denoiser, standard_normal(self.count, D, rng), rng, |_, _| ());
        let (slow, quick) = (self.seconds(|| walk(&all)), self.seconds(|| walk(&few)));
        Ok([
            Pace { calls: 1, seconds: self.seconds(|| vae.sample(self.count, rng)) },
            Pace { calls: 1, seconds: self.seconds(|| generator.sample(self.count, rng)) },
            Pace { calls: few.len(), seconds: quick },
            Pace { calls: all.len(), seconds: slow },
        ])
    }

    /// Seconds for a point, the median of five draws.
    fn seconds(&self, mut draw: impl FnMut() -> Array2<f64>) -> f64 {
        let times = [(); 5].map(|()| {
            let start = Instant::now();
            let drawn = draw();
            start.elapsed().as_secs_f64() / drawn.nrows() as f64
        });
        quantile(&times, 0.5)
    }
}
