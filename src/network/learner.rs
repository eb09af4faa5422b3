//! A network that learns: forward, backward, a step of AdamW, and the moving average that follows.
//!
//! ε_θ is one learner; the baselines train two at once, each of which gets its gradient through the other: the encoder's comes
//! back through the decoder, the generator's through the discriminator.

use super::{AdamW, AdamWConfig, Ema, Float, Mlp, MlpConfig, Pass, clip_gradient_norm, cosine_learning_rate};
use crate::{Result, error::check};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;

/// How a network learns, whatever its loss is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnerConfig {
    /// The number of steps over which the learning rate falls.
    pub steps: usize,
    /// The first learning rate; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// How much of the gradients' mean AdamW keeps, β_1.
    pub beta_1: f64,
    /// The gradient's norm is clipped to this.
    pub max_gradient_norm: f64,
    /// The decay of the parameters' moving average.
    pub ema_decay: f64,
}

impl LearnerConfig {
    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) names the first one that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let share = |value: f64| (0.0..1.0).contains(&value);
        let LearnerConfig { steps, learning_rate, beta_1, max_gradient_norm, ema_decay } = *self;
        check("training steps", steps, steps > 0, "be at least 1", "use some thousands for good samples")?;
        check(
            "learning rate",
            learning_rate,
            positive(learning_rate),
            "be above 0 and finite",
            "the default is 0.001",
        )?;
        check(
            "largest gradient norm",
            max_gradient_norm,
            positive(max_gradient_norm),
            "be above 0 and finite",
            "the default is 1",
        )?;
        check("decay of the average", ema_decay, share(ema_decay), "lie in [0, 1)", "the default is 0.999")?;
        check("AdamW's β_1", beta_1, share(beta_1), "lie in [0, 1)", "use 0.9, or 0.5 for a GAN")
    }
}

/// A network's output for points of shape (N, inputs), computed in the network's own precision: (N, outputs).
pub fn output<F: Float>(network: &Mlp<F>, x: ArrayView2<f64>) -> Array2<f64> {
    network.forward(x.mapv(F::of).view(), &[]).mapv(Float::as_f64)
}

/// A network on its way through training, with its optimizer and its average.
#[derive(Debug, Clone)]
pub struct Learner<F> {
    network: Mlp<F>,
    pass: Pass<F>,
    optimizer: AdamW<F>,
    ema: Ema<F>,
    config: LearnerConfig,
    step: usize,
}

impl<F: Float> Learner<F> {
    /// A fresh network of a shape.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) if a number of the configuration or the shape is out of bounds.
    pub fn new(config: LearnerConfig, shape: MlpConfig, rng: &mut impl Rng) -> Result<Self> {
        config.validate()?;
        let network = Mlp::new(shape, rng)?;
        let AdamWConfig { weight_decay, beta_2, epsilon, .. } = AdamWConfig::default();
        let LearnerConfig { learning_rate, beta_1, .. } = config;
        let adamw = AdamWConfig { learning_rate, beta_1, beta_2, epsilon, weight_decay };
        Ok(Learner {
            pass: Pass::new(&network),
            optimizer: AdamW::new(adamw, network.parameters().len()),
            ema: Ema::new(config.ema_decay, true, network.parameters()),
            step: 0,
            config,
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

    /// The network after the last step.
    pub fn into_network(self) -> Mlp<F> {
        self.network
    }

    /// The number of steps that were taken.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// The network's output for a batch, keeping what [`backward`](Self::backward) needs.
    ///
    /// Shapes: `x` (N, inputs), `t` (N), or empty for a network without t, to (N, outputs). A network with labels takes the null label.
    pub fn forward(&mut self, x: &Array2<f64>, t: &[f64]) -> Array2<f64> {
        self.forward_labelled(x, t, &[])
    }

    /// The same with labels, as [`Mlp::forward_labelled`] takes them.
    pub fn forward_labelled(&mut self, x: &Array2<f64>, t: &[f64], labels: &[Option<usize>]) -> Array2<f64> {
        self.pass.forward_labelled(&self.network, x.mapv(F::of).view(), t, labels).mapv(Float::as_f64)
    }

    /// From ∂L/∂(output), of shape (N, outputs), to [`gradient`](Self::gradient) and
    /// [`input_gradient`](Self::input_gradient).
    pub fn backward(&mut self, grad_output: &Array2<f64>) {
        self.pass.backward(&self.network, grad_output.mapv(F::of).view());
    }

    /// ∂L/∂θ of the last backward pass.
    ///
    /// # Panics
    /// If there was none.
    pub fn gradient(&self) -> &[F] {
        self.pass.gradient()
    }

    /// ∂L/∂x of the last backward pass, (N, inputs): where another network's backward pass begins.
    pub fn input_gradient(&self) -> Array2<f64> {
        self.pass.input_gradient(&self.network).mapv(Float::as_f64)
    }

    // ANCHOR: step
    /// A step along the gradient of the last backward pass; the average follows. Returns the gradient's norm before it was clipped.
    ///
    /// # Panics
    /// If there was no backward pass.
    pub fn step(&mut self) -> f64 {
        let LearnerConfig { steps, learning_rate, max_gradient_norm, .. } = self.config;
        let gradient = self.pass.gradient_mut();
        let norm = clip_gradient_norm(gradient, max_gradient_norm);
        self.optimizer.config.learning_rate = cosine_learning_rate(self.step, steps, learning_rate);
        self.optimizer.step(self.network.parameters_mut(), gradient);
        self.ema.update(self.network.parameters());
        self.step += 1;
        norm
    }
    // ANCHOR_END: step

    /// The average over the steps: what one draws with.
    pub fn average(&self) -> Mlp<F> {
        Mlp::from_parameters(self.network.config().clone(), self.ema.average().to_vec())
            .expect("the average has the network's own shape")
    }
}
