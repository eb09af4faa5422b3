//! What DDPM is compared with: a variational autoencoder and a generative adversarial network, on the same points and budget.
//!
//! Both are trained as DDPM is, by [`Learner`](crate::network::Learner)s: AdamW, a clipped gradient, a learning rate that falls
//! along half a cosine, and a moving average that draws.
//!
//! | module | what it holds |
//! |---|---|
//! | [`vae`] | the variational autoencoder: its bound, its networks, the linear case in closed form |
//! | [`gan`] | the generative adversarial network |
//! | [`modes`] | how many modes of a mixture the samples find |
//! | [`experiment`] | all of them and DDPM, trained on one budget and measured alike |

pub mod experiment;
pub mod gan;
pub mod modes;
pub mod vae;

use crate::{
    Result,
    error::check,
    forward::standard_normal,
    network::{LearnerConfig, MlpConfig, check::gradient_error},
};
use gan::{GanConfig, GanTrainer, discriminator_gradient, generator_gradient};
use ndarray_rand::rand::Rng;
use vae::{VaeConfig, VaeTrainer, negative_elbo};

/// How a pair of networks is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineConfig {
    /// The number of training steps; in each, both networks take one.
    pub steps: usize,
    /// The number of points per step.
    pub batch: usize,
    /// The first learning rate; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// How much of the gradients' mean AdamW keeps, β_1.
    pub beta_1: f64,
    /// The gradient's norm is clipped to this, in each network by itself.
    pub max_gradient_norm: f64,
    /// The decay of the parameters' moving average.
    pub ema_decay: f64,
    /// The width of both networks, H.
    pub hidden: usize,
    /// What a point's coordinate is multiplied by before it is embedded.
    pub point_scale: f64,
    /// What a latent coordinate is multiplied by before it is embedded.
    pub latent_scale: f64,
}

impl Default for BaselineConfig {
    /// A short training of DDPM's kind: its optimizer, its first learning rate, its average.
    ///
    /// The two scales are smaller than ε_θ's 25. Of 1, 2, 3, 4, 8 and 25, those from 1 to 4 served both models
    /// well: with 8 or more the discriminator soon separates every single point, and the generator learns nothing
    /// from it.
    fn default() -> Self {
        BaselineConfig {
            steps: 4000,
            batch: 128,
            learning_rate: 1e-3,
            beta_1: 0.9,
            max_gradient_norm: 1.0,
            ema_decay: 0.999,
            hidden: 64,
            point_scale: 3.0,
            latent_scale: 3.0,
        }
    }
}

impl BaselineConfig {
    /// Checks every number against its bounds; the networks' shapes are checked where they are made.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) names the first one that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        check("batch", self.batch, self.batch > 0, "be at least 1", "the default is 128")?;
        self.learner().validate()
    }

    /// What of it any learner needs.
    pub fn learner(&self) -> LearnerConfig {
        LearnerConfig {
            steps: self.steps,
            learning_rate: self.learning_rate,
            beta_1: self.beta_1,
            max_gradient_norm: self.max_gradient_norm,
            ema_decay: self.ema_decay,
        }
    }

    /// The shape of one of the two networks: the layers of ε_θ without its t.
    pub fn shape(&self, inputs: usize, outputs: usize, input_scale: f64) -> MlpConfig {
        MlpConfig {
            inputs,
            outputs,
            hidden: self.hidden,
            input_scale,
            time_embedding: false,
            ..MlpConfig::default()
        }
    }
}

/// The largest error of the gradient of each network, against central differences in some entries and relative to the largest one,
/// by name: small networks that have learned nothing, on eight points.
///
/// The errors are those of [`gradient_error`], in 64-bit numbers.
pub fn gradient_errors(rng: &mut impl Rng) -> [(&'static str, f64); 4] {
    const BOUNDS: &str = "this network is within the bounds";
    let learning = BaselineConfig { hidden: 16, ..BaselineConfig::default() };
    let [x, y, z] = [(); 3].map(|()| standard_normal::<f64>(8, 2, rng));
    let vae = VaeConfig { learning: learning.clone(), ..VaeConfig::default() };
    let vae = VaeTrainer::<f64>::new(vae, 2, rng).expect(BOUNDS);
    let gan = GanTrainer::<f64>::new(GanConfig { learning, ..GanConfig::default() }, 2, rng).expect(BOUNDS);
    let edge = GanConfig::default().edge;
    let bound = |vae: &mut VaeTrainer<_>| negative_elbo(&mut vae.encoder, &mut vae.decoder, &x, &z, 1.0);
    let judged = |gan: &mut GanTrainer<_>| discriminator_gradient(&mut gan.discriminator, &x, &y);
    let deceived =
        |gan: &mut GanTrainer<_>| generator_gradient(&mut gan.generator, &mut gan.discriminator, &z, edge);
    let through_discriminator = gradient_error(&gan, |gan| &mut gan.generator, deceived, 20);
    [
        ("encoder, through z and the decoder", gradient_error(&vae, |vae| &mut vae.encoder, bound, 20)),
        ("decoder", gradient_error(&vae, |vae| &mut vae.decoder, bound, 20)),
        ("generator, through the discriminator", through_discriminator),
        ("discriminator", gradient_error(&gan, |gan| &mut gan.discriminator, judged, 20)),
    ]
}
