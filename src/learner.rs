//! A network that learns: the part of a training step that VAE and GAN share.
//!
//! A rival trains two networks at once, and each gets its gradient through the other: the encoder's comes
//! back through the decoder, the generator's through the discriminator. A [`Learner`] is one of the two:
//! forward, backward, on to its input, and a step. What is compared with DDPM is trained as DDPM is: AdamW, a
//! clipped gradient, a learning rate that falls along half a cosine, and a moving average that draws.

use crate::{
    Error, Result,
    metrics::largest,
    network::{
        AdamW, AdamWConfig, Ema, Float, Mlp, MlpConfig, Pass, clip_gradient_norm, cosine_learning_rate,
    },
    train::TrainConfig,
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;

/// How a pair of networks is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct LearningConfig {
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

impl Default for LearningConfig {
    /// A short training of DDPM's kind: its optimizer, its first learning rate, its average.
    ///
    /// The two scales are smaller than ε_θ's 25. Of 1, 2, 3, 4, 8 and 25, those from 1 to 4 served the rivals
    /// well: with 8 or more the discriminator soon tells every single point, and the generator learns nothing
    /// from it.
    fn default() -> Self {
        LearningConfig {
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

impl LearningConfig {
    /// Checks every number against its bounds; the networks' shapes are checked where they are made.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the first one that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        let shared = TrainConfig {
            steps: self.steps,
            batch: self.batch,
            learning_rate: self.learning_rate,
            max_gradient_norm: self.max_gradient_norm,
            ema_decay: self.ema_decay,
            ..TrainConfig::default()
        };
        shared.validate()?;
        if (0.0..1.0).contains(&self.beta_1) {
            return Ok(());
        }
        Err(Error::Parameter {
            name: "AdamW's β_1",
            value: self.beta_1.to_string(),
            bound: "lie in [0, 1)",
            remedy: "use 0.9, or 0.5 for a GAN".into(),
        })
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

/// The number of parameters of a network of this shape.
pub fn parameter_count(shape: &MlpConfig) -> usize {
    shape.tensors().last().map_or(0, |tensor| tensor.range.end)
}

// ANCHOR: widest
/// The widest hidden layers with which networks of these shapes have no more than `budget` parameters
/// together.
///
/// # Panics
/// If even networks of width 1 have more.
#[track_caller]
pub fn widest(budget: usize, shapes: &[MlpConfig]) -> usize {
    let cost = |hidden| -> usize {
        shapes.iter().map(|shape| parameter_count(&MlpConfig { hidden, ..shape.clone() })).sum()
    };
    let width = (1..).take_while(|&hidden| cost(hidden) <= budget).last();
    width.unwrap_or_else(|| panic!("{budget} parameters are too few: {} are needed", cost(1)))
}
// ANCHOR_END: widest

/// A network's output for points of shape (N, inputs), computed in the network's own precision: (N, outputs).
pub fn output<F: Float>(network: &Mlp<F>, x: ArrayView2<f64>) -> Array2<f64> {
    network.forward(x.mapv(F::of).view(), &[]).mapv(Float::as_f64)
}

/// A network without t on its way through a training step, with its optimizer and its average.
#[derive(Debug, Clone)]
pub struct Learner<F> {
    network: Mlp<F>,
    pass: Pass<F>,
    gradient: Vec<F>,
    optimizer: AdamW<F>,
    ema: Ema<F>,
    config: LearningConfig,
    step: usize,
}

impl<F: Float> Learner<F> {
    /// A fresh network of a shape.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the shape is out of bounds.
    pub fn new(config: &LearningConfig, shape: MlpConfig, rng: &mut impl Rng) -> Result<Self> {
        let network = Mlp::new(shape, rng)?;
        let adamw = AdamWConfig { beta_1: config.beta_1, ..AdamWConfig::default() };
        Ok(Learner {
            pass: Pass::new(&network),
            gradient: vec![F::zero(); network.parameters().len()],
            optimizer: AdamW::new(adamw, network.parameters().len()),
            ema: Ema::new(config.ema_decay, true, network.parameters()),
            config: config.clone(),
            step: 0,
            network,
        })
    }

    /// The network as it is now.
    pub fn network(&self) -> &Mlp<F> {
        &self.network
    }

    /// The network as it is now, to be changed: for finite differences.
    pub fn network_mut(&mut self) -> &mut Mlp<F> {
        &mut self.network
    }

    /// The network's output for a batch, keeping what the way back needs. Shapes: (N, inputs) to (N,
    /// outputs).
    pub fn forward(&mut self, x: &Array2<f64>) -> Array2<f64> {
        self.pass.forward(&self.network, x.mapv(F::of).view(), &[]).mapv(Float::as_f64)
    }

    /// From ∂L/∂(output), of shape (N, outputs), to [`gradient`](Self::gradient) and
    /// [`input_gradient`](Self::input_gradient).
    pub fn backward(&mut self, grad_output: &Array2<f64>) {
        let gradient = self.pass.backward(&self.network, grad_output.mapv(F::of).view());
        self.gradient.copy_from_slice(gradient);
    }

    /// ∂L/∂θ of the batch that went back last.
    pub fn gradient(&self) -> &[F] {
        &self.gradient
    }

    /// ∂L/∂x of the batch that went back last, (N, inputs): what another network's way back begins with.
    pub fn input_gradient(&self) -> Array2<f64> {
        self.pass.input_gradient(&self.network).mapv(Float::as_f64)
    }

    /// A step along the gradient of the batch that went back last; the average follows.
    pub fn step(&mut self) {
        let LearningConfig { steps, learning_rate, max_gradient_norm, .. } = self.config;
        clip_gradient_norm(&mut self.gradient, max_gradient_norm);
        self.optimizer.config.learning_rate = cosine_learning_rate(self.step, steps, learning_rate);
        self.optimizer.step(self.network.parameters_mut(), &self.gradient);
        self.ema.update(self.network.parameters());
        self.step += 1;
    }

    /// The average over the steps: what one draws with.
    pub fn average(&self) -> Mlp<F> {
        Mlp::from_parameters(self.network.config().clone(), self.ema.average().to_vec())
            .expect("the average has the network's own shape")
    }
}

// ANCHOR: gradient_error
/// How far a learner's gradient is from central differences of the loss, relative to its largest entry;
/// `per_tensor` entries of every tensor are checked.
///
/// `learner` picks the network out of a pair in training, and `loss` goes forward and back through *both*,
/// which leaves the gradient: so what is checked is the whole way, through the other network, too.
///
/// # Panics
/// If the gradient is 0, which would prove nothing.
#[track_caller]
pub fn gradient_error<T: Clone>(
    pair: &T,
    learner: impl Fn(&mut T) -> &mut Learner<f64>,
    loss: impl Fn(&mut T) -> f64,
    per_tensor: usize,
) -> f64 {
    const STEP: f64 = 1e-5;
    let mut pair = pair.clone();
    loss(&mut pair);
    let gradient = learner(&mut pair).gradient().to_vec();
    let size = largest(gradient.iter().map(|g| g.abs()));
    assert!(size > 0.0, "a gradient of zeros has no relative error");
    let tensors = learner(&mut pair).network().config().tensors();
    let entries = tensors.into_iter().flat_map(|tensor| {
        let stride = tensor.range.len().div_ceil(per_tensor.max(1));
        tensor.range.step_by(stride)
    });
    let error = |entry: usize| {
        let value = learner(&mut pair).network().parameters()[entry];
        let mut at = |value: f64| {
            learner(&mut pair).network_mut().parameters_mut()[entry] = value;
            loss(&mut pair)
        };
        let slope = (at(value + STEP) - at(value - STEP)) / (2.0 * STEP);
        learner(&mut pair).network_mut().parameters_mut()[entry] = value;
        (gradient[entry] - slope).abs()
    };
    largest(entries.map(error)) / size
}
// ANCHOR_END: gradient_error
