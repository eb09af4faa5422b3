//! The variational autoencoder: a latent variable in one step, where DDPM has T of them.
//!
//! Source: Kingma & Welling 2013 (Auto-Encoding Variational Bayes). z ~ N(0, I) has K coordinates; the
//! decoder gives p(x | z), the encoder q(z | x), both Gaussians whose mean *and* variance a network predicts
//! (their App. C.2). What is trained is the bound, with nothing weighted down (β = 1):
//!
//! ```text
//! −ln p(x) ≤ E_q[−ln p(x | z)] + KL(q(z | x) ‖ N(0, I))
//! ```

mod likelihood;
mod linear;

pub use likelihood::{
    elbo, importance_weighted, importance_weighted_log_likelihood, log_likelihood_by_quadrature, log_weights,
    mean_elbo,
};
pub use linear::LinearVae;

use crate::{
    Error, Result,
    baselines::BaselineConfig,
    forward::standard_normal,
    gaussian::DiagonalGaussian,
    network::{Float, Learner, Mlp, MlpConfig, learner::output},
    objective::gaussian_term,
    reverse::split_mean_log_variance,
};
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, concatenate};
use ndarray_rand::rand::Rng;

// ANCHOR: LatentModel
/// A model with a latent z ~ N(0, I) of K coordinates and a way back to it.
pub trait LatentModel {
    /// The number of coordinates of z, K.
    fn latents(&self) -> usize;

    /// q(z | x) for each row of `x`, (N, D): N Gaussians of K coordinates.
    fn encode(&self, x: ArrayView2<f64>) -> DiagonalGaussian;

    /// p(x | z) for each row of `z`, (N, K): N Gaussians of D coordinates.
    fn decode(&self, z: ArrayView2<f64>) -> DiagonalGaussian;
}
// ANCHOR_END: LatentModel

// ANCHOR: latent_kl
/// The divergence of one latent coordinate's N(μ, eˢ) from N(0, 1), and its derivatives with respect to μ and s; nats.
///
/// Source: Kingma & Welling 2013, App. B.
///
/// `mean` is μ and `log_variance` is s.
///
/// # Formula
/// KL = ½ (eˢ + μ² − 1 − s), ∂KL/∂μ = μ, ∂KL/∂s = ½ (eˢ − 1)
///
/// # Example
/// ```
/// use ddpm::baselines::vae::latent_kl;
///
/// assert_eq!(latent_kl(0.0, 0.0), (0.0, 0.0, 0.0)); // N(0, 1) itself
/// assert_eq!(latent_kl(3.0, 0.0), (4.5, 3.0, 0.0));
/// ```
pub fn latent_kl(mean: f64, log_variance: f64) -> (f64, f64, f64) {
    let variance = log_variance.exp();
    (0.5 * (variance + mean * mean - 1.0 - log_variance), mean, 0.5 * (variance - 1.0))
}
// ANCHOR_END: latent_kl

// ANCHOR: reparameterize
/// A draw z from each row's Gaussian, written so that μ and s have a derivative.
///
/// Source: Kingma & Welling 2013, §2.4.
///
/// `mean` is μ, `log_variance` is s and `noise` ε ~ N(0, I). Shapes: all (N, K).
///
/// # Formula
/// z = μ + e^{s/2} ε
///
/// # Example
/// ```
/// use ddpm::baselines::vae::reparameterize;
/// use ndarray::array;
///
/// assert_eq!(reparameterize(&array![[1.0]], &array![[0.0]], &array![[-2.0]]), array![[-1.0]]);
/// ```
pub fn reparameterize(mean: &Array2<f64>, log_variance: &Array2<f64>, noise: &Array2<f64>) -> Array2<f64> {
    mean + &(log_variance.mapv(|s| (0.5 * s).exp()) * noise)
}
// ANCHOR_END: reparameterize

// ANCHOR: reparameterize_backward
/// The gradients of [`reparameterize`], (∂L/∂μ, ∂L/∂s), from G = ∂L/∂z.
///
/// Source: Kingma & Welling 2013, §2.4.
///
/// `grad_z` is G. The noise is a constant here: it was drawn before, and does not depend on the network. Shapes: all (N, K).
///
/// # Formula
/// ∂L/∂μ = G, ∂L/∂s = ½ G ⊙ e^{s/2} ⊙ ε
///
/// # Example
/// ```
/// use ddpm::baselines::vae::reparameterize_backward;
/// use ndarray::array;
///
/// let (of_mean, of_log_variance) = reparameterize_backward(&array![[0.0]], &array![[-2.0]], &array![[3.0]]);
/// assert_eq!((of_mean, of_log_variance), (array![[3.0]], array![[-3.0]])); // dz/ds = −2/2
/// ```
pub fn reparameterize_backward(
    log_variance: &Array2<f64>,
    noise: &Array2<f64>,
    grad_z: &Array2<f64>,
) -> (Array2<f64>, Array2<f64>) {
    let half_deviation = log_variance.mapv(|s| 0.5 * (0.5 * s).exp());
    (grad_z.clone(), half_deviation * noise * grad_z)
}
// ANCHOR_END: reparameterize_backward

/// The two networks of a VAE.
#[derive(Debug, Clone)]
pub struct Vae<F> {
    /// From x to the mean and log-variance of q(z | x): D to 2 K numbers.
    pub encoder: Mlp<F>,
    /// From z to the mean and log-variance of p(x | z): K to 2 D numbers.
    pub decoder: Mlp<F>,
}

/// A network's output of shape (N, 2 D) as N Gaussians: its left half the means, its right half the
/// log-variances.
fn gaussians<F: Float>(network: &Mlp<F>, x: ArrayView2<f64>) -> DiagonalGaussian {
    let (mean, log_variance) = split_mean_log_variance(output(network, x).view());
    DiagonalGaussian { mean, variance: log_variance.exp() }
}

impl<F: Float> LatentModel for Vae<F> {
    fn latents(&self) -> usize {
        self.decoder.config().inputs
    }

    fn encode(&self, x: ArrayView2<f64>) -> DiagonalGaussian {
        gaussians(&self.encoder, x)
    }

    fn decode(&self, z: ArrayView2<f64>) -> DiagonalGaussian {
        gaussians(&self.decoder, z)
    }
}

impl<F: Float> Vae<F> {
    /// Draws `count` points: z ~ N(0, I), then x ~ p(x | z), its noise included. Shape (N, D).
    pub fn sample(&self, count: usize, rng: &mut impl Rng) -> Array2<f64> {
        let p = self.decode(standard_normal(count, self.latents(), rng).view());
        let noise = standard_normal(count, p.mean.ncols(), rng);
        p.sample(&noise)
    }

    /// KL(q(z | x) ‖ N(0, I)) of each row of `x`, (N, D), in nats: how much information the latent carries about the point.
    /// (N)
    pub fn kl(&self, x: ArrayView2<f64>) -> Array1<f64> {
        let q = self.encode(x);
        let prior = DiagonalGaussian::isotropic(Array2::zeros(q.mean.dim()), 1.0);
        q.kl_divergence(&prior)
    }

    /// As [`sample`](Self::sample), without the decoder's noise: the means that are shown as "samples" of
    /// image VAEs.
    pub fn sample_means(&self, count: usize, rng: &mut impl Rng) -> Array2<f64> {
        self.decode(standard_normal(count, self.latents(), rng).view()).mean
    }
}

/// How a VAE is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct VaeConfig {
    /// What both networks share.
    pub learning: BaselineConfig,
    /// The share of the steps in which the KL's weight rises from 0 to 1, where it stays.
    pub warm_up: f64,
}

impl Default for VaeConfig {
    fn default() -> Self {
        VaeConfig { learning: BaselineConfig::default(), warm_up: 0.5 }
    }
}

impl VaeConfig {
    fn validate(&self) -> Result<()> {
        self.learning.validate()?;
        if (0.0..=1.0).contains(&self.warm_up) {
            return Ok(());
        }
        Err(Error::Parameter {
            name: "the KL's warm-up",
            value: self.warm_up.to_string(),
            bound: "lie in [0, 1]",
            remedy: "0.5 is half of the steps, 0 is none".into(),
        })
    }
}

/// Training of a VAE, one step at a time.
#[derive(Debug, Clone)]
pub struct VaeTrainer<F> {
    config: VaeConfig,
    step: usize,
    /// The encoder.
    pub encoder: Learner<F>,
    /// The decoder.
    pub decoder: Learner<F>,
}

impl<F: Float> VaeTrainer<F> {
    /// The shapes of encoder and decoder for points of `dimension` coordinates and as many latents, in this
    /// order.
    pub fn shapes(config: &BaselineConfig, dimension: usize) -> [MlpConfig; 2] {
        [config.point_scale, config.latent_scale].map(|scale| config.shape(dimension, 2 * dimension, scale))
    }

    /// Fresh networks for points of `dimension` coordinates and as many latents.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the number that is out of bounds.
    pub fn new(config: VaeConfig, dimension: usize, rng: &mut impl Rng) -> Result<Self> {
        config.validate()?;
        let [encoder, decoder] = Self::shapes(&config.learning, dimension);
        let encoder = Learner::new(config.learning.learner(), encoder, rng)?;
        let decoder = Learner::new(config.learning.learner(), decoder, rng)?;
        Ok(VaeTrainer { config, step: 0, encoder, decoder })
    }

    // ANCHOR: vae_step
    /// One step on a batch `x` of shape (N, D): both networks take theirs. Returns the loss, −ELBO in nats
    /// per point (with the KL weighted down in the warm-up).
    pub fn step(&mut self, x: &Array2<f64>, rng: &mut impl Rng) -> f64 {
        let noise = standard_normal(x.nrows(), self.decoder.network().config().inputs, rng);
        let kl_weight = kl_weight(self.step, self.config.learning.steps, self.config.warm_up);
        let loss = negative_elbo(&mut self.encoder, &mut self.decoder, x, &noise, kl_weight);
        self.encoder.step();
        self.decoder.step();
        self.step += 1;
        loss
    }
    // ANCHOR_END: vae_step

    /// Takes all steps of the configuration, each on points from `draw`, and shows each one's loss to
    /// `on_step`.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first loss that is not a finite number.
    pub fn run<R: Rng>(
        mut self,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
        mut on_step: impl FnMut(f64),
    ) -> Result<Vae<F>> {
        for step in 1..=self.config.learning.steps {
            let x = draw(self.config.learning.batch, rng);
            let loss = self.step(&x, rng);
            if !loss.is_finite() {
                return Err(Error::Diverged { step, loss });
            }
            on_step(loss);
        }
        Ok(Vae { encoder: self.encoder.average(), decoder: self.decoder.average() })
    }
}

// ANCHOR: kl_weight
/// The weight of the KL at a step counted from 0: a rise from 0 to 1 in the first `warm_up` of the `steps`,
/// then β = 1.
///
/// Source: Bowman et al. 2016 (Generating Sentences from a Continuous Space); Sønderby et al. 2016 (Ladder
/// Variational Autoencoders).
///
/// With the full weight from the start, the KL can drive the latent out before the decoder has learned to use
/// it.
pub fn kl_weight(step: usize, steps: usize, warm_up: f64) -> f64 {
    let (step, end) = (step as f64, warm_up * steps as f64);
    if step < end { step / end } else { 1.0 }
}
// ANCHOR_END: kl_weight

// ANCHOR: negative_elbo
/// −ELBO of a batch, a mean over its points in nats, with one draw of z for each; its gradients are left in
/// both networks.
///
/// Source: Kingma & Welling 2013, Eq. (7), for one draw.
///
/// L = −ln p(x | z) + β KL(q(z | x) ‖ N(0, I)), z = μ(x) + e^{s(x)/2} ε
///
/// where β is `kl_weight`: 1, except in a warm-up. The way back goes from L through the decoder to z, through
/// z to μ and s, and from there, where the KL's own gradient joins it, through the encoder. Shapes: `x` (N,
/// D), `noise` ε (N, K).
pub fn negative_elbo<F: Float>(
    encoder: &mut Learner<F>,
    decoder: &mut Learner<F>,
    x: &Array2<f64>,
    noise: &Array2<f64>,
    kl_weight: f64,
) -> f64 {
    let (mean, log_variance) = split_mean_log_variance(encoder.forward(x, &[]).view()); // (N, K) each
    let z = reparameterize(&mean, &log_variance, noise);
    let (reconstruction, grad_output) = reconstruction_loss(x, decoder.forward(&z, &[])); // (N, 2 D)
    decoder.backward(&grad_output);

    let (mut grad_mean, mut grad_log) =
        reparameterize_backward(&log_variance, noise, &decoder.input_gradient());
    let (mut kl, share) = (0.0, kl_weight / x.nrows() as f64); // β of each point's KL
    Zip::from(&mean).and(&log_variance).and(&mut grad_mean).and(&mut grad_log).for_each(
        |&mean, &log_variance, grad_mean, grad_log| {
            let (value, of_mean, of_log) = latent_kl(mean, log_variance);
            kl += share * value;
            *grad_mean += share * of_mean;
            *grad_log += share * of_log;
        },
    );
    encoder.backward(&concatenate![Axis(1), grad_mean, grad_log]); // (N, 2 K)
    reconstruction + kl
}
// ANCHOR_END: negative_elbo

// ANCHOR: reconstruction_loss
/// −ln p(x | z) in nats, a mean over points, and its gradient with respect to the decoder's `output`, (N, 2
/// D).
fn reconstruction_loss(x: &Array2<f64>, mut output: Array2<f64>) -> (f64, Array2<f64>) {
    let (rows, dimension) = x.dim();
    let mut sum = 0.0;
    for (x, mut output) in x.rows().into_iter().zip(output.rows_mut()) {
        for d in 0..dimension {
            let (loss, of_mean, of_log) = gaussian_term(x[d], 0.0, output[d], output[dimension + d]);
            (output[d], output[dimension + d]) = (of_mean, of_log);
            sum += loss;
        }
    }
    (sum / rows as f64, output / rows as f64)
}
// ANCHOR_END: reconstruction_loss
