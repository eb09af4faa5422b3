//! Algorithm 1, one step at a time.

use super::{
    batch::{Batch, BatchStream},
    checkpoint::Checkpoint,
    config::RunConfig,
    gradient::{losses, on_device, on_host},
    history::{Evaluation, History, StepReport},
    optimizer::{GradientNorm, Optimizer, learning_rate},
    rng_streams::{Purpose, generator},
};
use crate::{
    Result,
    denoiser::NetworkDenoiser,
    network::{UNet, parameters::Parameters},
    operations::on_device::on_cpu,
};
use candle_core::{Device, Tensor};
use ddpm::schedule::Schedule;

/// After how many steps the losses are read from a GPU.
const READ_EVERY: u64 = 10;

/// Algorithm 1, one step at a time: the network, its optimizer, its average.
pub struct Trainer {
    config: RunConfig,
    schedule: Schedule,
    device: Device,
    network: UNet,
    optimizer: Optimizer,
    step: u64,
    history: History,
    waiting: Vec<(Tensor, Tensor)>,
}

impl Trainer {
    /// A fresh network; it computes on `device`.
    ///
    /// # Errors
    /// As [`RunConfig::validate`], or if the device runs out of memory.
    pub fn new(config: RunConfig, device: &Device) -> Result<Self> {
        config.validate()?;
        let mut rng = generator(config.training.seed, Purpose::Weights, 0);
        let network = UNet::fresh(config.network.clone(), &mut rng, device)?;
        let optimizer = Optimizer::new(network.parameters(), config.training.optimizer())?;
        Self::assemble(config, (network, optimizer), (0, History::default()), device)
    }

    /// Goes on where a checkpoint stopped.
    ///
    /// # Errors
    /// If the checkpoint is for sampling only, or the device runs out of memory.
    pub fn resume(checkpoint: Checkpoint, device: &Device) -> Result<Self> {
        let Checkpoint { config, step, history, .. } = checkpoint.clone();
        config.validate()?;
        let rows = checkpoint.into_rows()?;
        let mut rng = generator(config.training.seed, Purpose::Weights, 0);
        let network = UNet::fresh(config.network.clone(), &mut rng, device)?;
        let optimizer = Optimizer::from_rows(network.parameters(), config.training.optimizer(), rows, step)?;
        Self::assemble(config, (network, optimizer), (step, history), device)
    }

    fn assemble(
        config: RunConfig,
        (network, optimizer): (UNet, Optimizer),
        (step, history): (u64, History),
        device: &Device,
    ) -> Result<Self> {
        let schedule = config.schedule()?;
        let device = device.clone();
        Ok(Trainer { config, schedule, device, network, optimizer, step, history, waiting: Vec::new() })
    }

    // ANCHOR: train_step
    /// One step of Algorithm 1.
    ///
    /// On the CPU every step is reported; a GPU is read every few steps, so as not to wait for it.
    ///
    /// Source: Ho et al. 2020, Algorithm 1, with AdamW, the moving average of their App. B, and warm-up and clipping, which only
    /// their code has.
    ///
    /// # Errors
    /// [`ddpm::Error::Diverged`] if the loss is not a finite number; on the CPU, the weights are then still those before the
    /// step.
    pub fn step(&mut self, batch: &Batch) -> Result<Option<StepReport>> {
        let training = &self.config.training;
        let rate =
            learning_rate(self.step as usize, training.steps, training.warm_up, training.learning_rate);
        let report = if on_cpu(&self.device) {
            let (loss, gradient) = on_host(&self.network, batch, training.seed)?;
            self.check_finite(loss)?;
            let GradientNorm::Host(gradient_norm) = self.optimizer.step(gradient, rate)? else {
                unreachable!("a gradient on the host has its norm there");
            };
            Some(StepReport { step: self.step + 1, loss, gradient_norm })
        } else {
            let (loss, gradient) = on_device(&self.network, batch, training.seed, &self.device)?;
            if let GradientNorm::Device(norm) = self.optimizer.step(gradient, rate)? {
                self.waiting.push((loss, norm));
            }
            let due = (self.step + 1).is_multiple_of(READ_EVERY) || self.step + 1 == training.steps as u64;
            due.then(|| self.read_device()).transpose()?
        };
        self.step += 1;
        self.history.steps.extend(report);
        Ok(report)
    }
    // ANCHOR_END: train_step

    /// Takes the next `count` steps, on the batches that `batch_stream` has for them; the reports of those that were reported.
    ///
    /// # Errors
    /// As [`step`](Self::step), or if an image cannot be read.
    pub fn take_steps(&mut self, batch_stream: &mut BatchStream<'_>, count: u64) -> Result<Vec<StepReport>> {
        let steps = self.step..self.step + count;
        let reports = steps.map(|step| self.step(&batch_stream.batch(step)?)).collect::<Result<Vec<_>>>()?;
        Ok(reports.into_iter().flatten().collect())
    }

    /// Fetches the losses and norms that wait on the device.
    fn read_device(&mut self) -> Result<StepReport> {
        let mean = |of: fn(&(Tensor, Tensor)) -> &Tensor| -> Result<f64> {
            let parts: Vec<&Tensor> = self.waiting.iter().map(of).collect();
            Ok(f64::from(Tensor::stack(&parts, 0)?.mean_all()?.to_scalar::<f32>()?))
        };
        let (loss, gradient_norm) = (mean(|pair| &pair.0)?, mean(|pair| &pair.1)?);
        self.check_finite(loss)?;
        self.waiting.clear();
        Ok(StepReport { step: self.step + 1, loss, gradient_norm })
    }

    fn check_finite(&self, loss: f64) -> Result<()> {
        match loss.is_finite() {
            true => Ok(()),
            false => Err(ddpm::Error::Diverged { step: self.step as usize + 1, loss }.into()),
        }
    }

    /// Evaluates the averaged network on a batch of [`validation_batch`](super::validation_batch), and remembers it.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation> {
        let losses = losses(&self.denoiser()?, batch, &self.device)?;
        let evaluation =
            Evaluation { step: self.step, loss: losses.iter().sum::<f64>() / losses.len() as f64 };
        self.history.evaluations.push(evaluation);
        Ok(evaluation)
    }

    /// The state as it is now.
    ///
    /// # Errors
    /// If the device fails.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        Checkpoint::new(self.config.clone(), self.step, self.history.clone(), self.optimizer.rows()?)
    }

    /// The network with the averaged weights: what one samples from.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn denoiser(&self) -> Result<NetworkDenoiser> {
        let names = self.network.parameters().names().iter().cloned();
        let parameters = Parameters::from_tensors(names.zip(self.optimizer.average()?).collect())?;
        NetworkDenoiser::new(UNet::new(self.config.network.clone(), parameters)?, self.schedule.clone())
    }

    /// The network as it is now.
    pub fn network(&self) -> &UNet {
        &self.network
    }

    /// What decides this run.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The noise schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The device that computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How many steps have been taken.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// What the run has seen so far.
    pub fn history(&self) -> &History {
        &self.history
    }
}
