//! The generative adversarial network: a discriminator in place of a likelihood.
//!
//! Source: Goodfellow et al. 2014 (Generative Adversarial Nets). The generator maps z ~ N(0, I) to a point;
//! the discriminator sees real and generated points and gives a logit a, the log-odds of "real", so that D =
//! 1/(1 + e^{−a}). With the generator held, the best logit is ln p_data(x) − ln p_G(x): the only place where
//! densities enter, and no code computes them.

use crate::{
    Error, Result,
    baselines::BaselineConfig,
    forward::standard_normal,
    network::{Float, Learner, Mlp, MlpConfig, learner::output},
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};
use ndarray_rand::rand::Rng;

/// 1/(1 + e^{−a}): the probability whose log-odds are a.
pub fn sigmoid(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

// ANCHOR: softplus
/// ln(1 + eᵃ), without overflow: −ln D is softplus(−a), and −ln(1 − D) is softplus(a).
///
/// # Example
/// ```
/// use ddpm::baselines::gan::{sigmoid, softplus};
///
/// assert_eq!((softplus(0.0), softplus(1000.0)), (2f64.ln(), 1000.0));
/// assert!((softplus(-1.0) + sigmoid(1.0).ln()).abs() < 1e-12);
/// ```
pub fn softplus(a: f64) -> f64 {
    a.max(0.0) + (-a.abs()).exp().ln_1p()
}
// ANCHOR_END: softplus

// ANCHOR: discriminator_loss
/// −mean ln D(real) − mean ln(1 − D(fake)) from the logits, and its derivatives with respect to them; nats.
///
/// Source: Goodfellow et al. 2014, Eq. (1).
///
/// `real` are the logits of N real points, `fake` those of M generated ones, and D = σ(logit), the [`sigmoid`]. It is 2 ln
/// 2 for a discriminator that gives D = ½ everywhere, and 2 ln 2 − 2 JS(p_data ‖ p_G) for the best one.
///
/// # Formula
/// L_D = (1/N) Σ_n softplus(−a_n) + (1/M) Σ_m softplus(b_m), ∂L_D/∂a_n = −σ(−a_n)/N, ∂L_D/∂b_m = σ(b_m)/M
///
/// where a are the logits of `real`, b those of `fake`, and σ is the [`sigmoid`].
///
/// # Example
/// ```
/// use ddpm::baselines::gan::discriminator_loss;
/// use ndarray::array;
///
/// let (loss, of_real, of_fake) = discriminator_loss(array![0.0].view(), array![0.0, 0.0].view());
/// assert_eq!(loss, 2.0 * 2f64.ln()); // D = ½ everywhere
/// assert_eq!((of_real, of_fake), (array![-0.5], array![0.25, 0.25])); // up for real, down for fake
/// ```
pub fn discriminator_loss(real: ArrayView1<f64>, fake: ArrayView1<f64>) -> (f64, Array1<f64>, Array1<f64>) {
    let (n, m) = (real.len() as f64, fake.len() as f64);
    let loss = real.mapv(|a| softplus(-a)).sum() / n + fake.mapv(softplus).sum() / m;
    (loss, real.mapv(|a| -sigmoid(-a) / n), fake.mapv(|b| sigmoid(b) / m))
}
// ANCHOR_END: discriminator_loss

// ANCHOR: generator_loss
/// The non-saturating loss −mean ln D(fake) from the logits, and its derivative with respect to them; nats.
///
/// Source: Goodfellow et al. 2014, §3.
///
/// `fake` are the logits of M generated points. Where the discriminator is sure that a point is fake (b → −∞), the derivative is
/// −1/M: the generator learns most where it is worst. That of the minimax loss ln(1 − D) would be −σ(b)/M, which vanishes there.
///
/// # Formula
/// L_G = (1/M) Σ_m softplus(−b_m), ∂L_G/∂b_m = −σ(−b_m)/M
///
/// where b are the logits.
///
/// # Example
/// ```
/// use ddpm::baselines::gan::generator_loss;
/// use ndarray::array;
///
/// let (loss, gradient) = generator_loss(array![0.0, 0.0].view());
/// assert_eq!((loss, gradient), (2f64.ln(), array![-0.25, -0.25]));
/// ```
pub fn generator_loss(fake: ArrayView1<f64>) -> (f64, Array1<f64>) {
    let m = fake.len() as f64;
    (fake.mapv(|b| softplus(-b)).sum() / m, fake.mapv(|b| -sigmoid(-b) / m))
}
// ANCHOR_END: generator_loss

// ANCHOR: saturating_generator_loss
/// The minimax loss mean ln(1 − D(fake)) from the logits, and its derivative with respect to them; nats.
///
/// Source: Goodfellow et al. 2014, Eq. (1), of which it is the generator's side. For comparison only: see
/// [`generator_loss`].
///
/// # Formula
/// −(1/M) Σ_m softplus(b_m), with the derivative −σ(b_m)/M
///
/// # Example
/// ```
/// use ddpm::baselines::gan::saturating_generator_loss;
///
/// let (_, gradient) = saturating_generator_loss(ndarray::array![-50.0].view());
/// assert!(gradient[0].abs() < 1e-20); // nothing to learn from where it is worst
/// ```
pub fn saturating_generator_loss(fake: ArrayView1<f64>) -> (f64, Array1<f64>) {
    let m = fake.len() as f64;
    (-fake.mapv(softplus).sum() / m, fake.mapv(|b| -sigmoid(b) / m))
}
// ANCHOR_END: saturating_generator_loss

// ANCHOR: into_box
/// Brings a generator's `output` softly into the box from −c to c along each axis: x = c tanh(o/c).
///
/// Source: Radford, Metz & Chintala 2016 (DCGAN), §3: a tanh at the generator's end, whose range is that of
/// the data.
///
/// where c is `edge`. Near 0 it changes nothing. A generator without it may run from the discriminator to
/// where there is no data, and where no gradient leads back. DDPM has the same box: it clips x̂_0.
pub fn into_box(output: &Array2<f64>, edge: f64) -> Array2<f64> {
    output.mapv(|o| edge * (o / edge).tanh())
}
// ANCHOR_END: into_box

/// A network that turns z ~ N(0, I) into points within a box.
#[derive(Debug, Clone)]
pub struct Generator<F> {
    /// From z to a point, before it is brought into the box.
    pub network: Mlp<F>,
    /// The half side of the box, c.
    pub edge: f64,
}

impl<F: Float> Generator<F> {
    /// The points of the latents `z`, (N, K): (N, D), with one call of the network.
    pub fn points(&self, z: ArrayView2<f64>) -> Array2<f64> {
        into_box(&output(&self.network, z), self.edge)
    }

    /// Draws `count` points: shape (N, D).
    pub fn sample(&self, count: usize, rng: &mut impl Rng) -> Array2<f64> {
        self.points(standard_normal(count, self.network.config().inputs, rng).view())
    }
}

/// How a GAN is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct GanConfig {
    /// What both networks share.
    pub learning: BaselineConfig,
    /// The half side of the box that all points lie in.
    pub edge: f64,
}

impl Default for GanConfig {
    /// β_1 = 0.5 and a box for data of unit variance.
    ///
    /// Source: Radford, Metz & Chintala 2016 (DCGAN), §4: with β_1 = 0.9 training oscillates.
    fn default() -> Self {
        GanConfig { learning: BaselineConfig { beta_1: 0.5, ..BaselineConfig::default() }, edge: 3.0 }
    }
}

impl GanConfig {
    fn validate(&self) -> Result<()> {
        self.learning.validate()?;
        if self.edge > 0.0 && self.edge.is_finite() {
            return Ok(());
        }
        Err(Error::Parameter {
            name: "the box's edge",
            value: self.edge.to_string(),
            bound: "be above 0 and finite",
            remedy: "use somewhat more than the data's largest coordinate".into(),
        })
    }
}

/// What the two networks of a GAN lost in one step, in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GanLoss {
    /// The discriminator's loss; 2 ln 2 = 1.386 where D = ½ everywhere.
    pub discriminator: f64,
    /// The generator's loss; ln 2 = 0.693 where D = ½ everywhere.
    pub generator: f64,
}

/// Training of a GAN, one step at a time.
#[derive(Debug, Clone)]
pub struct GanTrainer<F> {
    config: GanConfig,
    /// From z to a point, before it is brought into the box.
    pub generator: Learner<F>,
    /// From a point to a logit.
    pub discriminator: Learner<F>,
}

impl<F: Float> GanTrainer<F> {
    /// The shapes of generator and discriminator for points of `dimension` coordinates and as many latents,
    /// in this order.
    pub fn shapes(config: &BaselineConfig, dimension: usize) -> [MlpConfig; 2] {
        [
            config.shape(dimension, dimension, config.latent_scale),
            config.shape(dimension, 1, config.point_scale),
        ]
    }

    /// Fresh networks for points of `dimension` coordinates and as many latents.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the number that is out of bounds.
    pub fn new(config: GanConfig, dimension: usize, rng: &mut impl Rng) -> Result<Self> {
        config.validate()?;
        let [generator, discriminator] = Self::shapes(&config.learning, dimension);
        let generator = Learner::new(config.learning.learner(), generator, rng)?;
        let discriminator = Learner::new(config.learning.learner(), discriminator, rng)?;
        Ok(GanTrainer { config, generator, discriminator })
    }

    // ANCHOR: gan_step
    /// One step on a batch of real points `x`, (N, D): first the discriminator's, then the generator's, each
    /// on fresh z.
    ///
    /// Source: Goodfellow et al. 2014, Algorithm 1, with k = 1.
    pub fn step(&mut self, x: &Array2<f64>, rng: &mut impl Rng) -> GanLoss {
        let latents = self.generator.network().config().inputs;
        let z = standard_normal(x.nrows(), latents, rng);
        let fake = into_box(&output(self.generator.network(), z.view()), self.config.edge);
        let discriminator = discriminator_gradient(&mut self.discriminator, x, &fake);
        self.discriminator.step();

        let z = standard_normal(x.nrows(), latents, rng);
        let generator =
            generator_gradient(&mut self.generator, &mut self.discriminator, &z, self.config.edge);
        self.generator.step();
        GanLoss { discriminator, generator }
    }
    // ANCHOR_END: gan_step

    /// Takes all steps of the configuration, each on points from `draw`, and shows each one's losses to
    /// `on_step`.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first loss that is not a finite number.
    pub fn run<R: Rng>(
        mut self,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
        mut on_step: impl FnMut(GanLoss),
    ) -> Result<Generator<F>> {
        for step in 1..=self.config.learning.steps {
            let x = draw(self.config.learning.batch, rng);
            let losses = self.step(&x, rng);
            let loss = losses.discriminator + losses.generator;
            if !loss.is_finite() {
                return Err(Error::Diverged { step, loss });
            }
            on_step(losses);
        }
        Ok(Generator { network: self.generator.average(), edge: self.config.edge })
    }
}

// ANCHOR: discriminator_gradient
/// The discriminator's loss on real and generated points, (N, D) and (M, D); its gradient is left in the
/// discriminator.
pub fn discriminator_gradient<F: Float>(
    discriminator: &mut Learner<F>,
    real: &Array2<f64>,
    fake: &Array2<f64>,
) -> f64 {
    let logits = discriminator.forward(&concatenate![Axis(0), *real, *fake], &[]); // (N + M, 1)
    let (real, fake) = logits.column(0).split_at(Axis(0), real.nrows());
    let (loss, grad_real, grad_fake) = discriminator_loss(real, fake);
    discriminator.backward(&concatenate![Axis(0), grad_real, grad_fake].insert_axis(Axis(1)));
    loss
}
// ANCHOR_END: discriminator_gradient

// ANCHOR: generator_gradient
/// The generator's loss at the latents `z`, (M, K); its gradient, which comes back *through* the
/// discriminator and the box, is left in the generator.
///
/// With x = c tanh(o/c), ∂x/∂o = 1 − (x/c)².
pub fn generator_gradient<F: Float>(
    generator: &mut Learner<F>,
    discriminator: &mut Learner<F>,
    z: &Array2<f64>,
    edge: f64,
) -> f64 {
    let fake = into_box(&generator.forward(z, &[]), edge); // (M, D)
    let logits = discriminator.forward(&fake, &[]); // (M, 1)
    let (loss, grad_logits) = generator_loss(logits.column(0));
    discriminator.backward(&grad_logits.insert_axis(Axis(1)));
    let grad_fake = discriminator.input_gradient(); // (M, D)
    generator.backward(&(grad_fake * fake.mapv(|x| 1.0 - (x / edge).powi(2))));
    loss
}
// ANCHOR_END: generator_gradient
