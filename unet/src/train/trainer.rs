//! Algorithm 1, one step at a time.

use super::{
    batch::{Batch, Feed},
    checkpoint::Checkpoint,
    gradient::{losses, on_device, on_host},
    history::{History, Judged, StepReport},
    optimizer::{Norm, Optimizer, learning_rate},
    setting::Setting,
    stream::{Purpose, generator},
};
use crate::{
    Result,
    denoiser::NetworkDenoiser,
    network::{UNet, parameters::Parameters},
};
use candle_core::{Device, Tensor};
use ddpm::schedule::Schedule;

/// After how many steps a GPU is asked for its losses.
const ASK_EVERY: u64 = 10;

/// Algorithm 1, one step at a time: the network, its optimizer, its average.
pub struct Trainer {
    setting: Setting,
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
    /// As [`Setting::validate`], or if the device runs out of memory.
    pub fn new(setting: Setting, device: &Device) -> Result<Self> {
        setting.validate()?;
        let mut rng = generator(setting.training.seed, Purpose::Weights, 0);
        let network = UNet::fresh(setting.network.clone(), &mut rng, device)?;
        let optimizer = Optimizer::new(network.parameters(), setting.training.optimizer())?;
        Self::assemble(setting, (network, optimizer), (0, History::default()), device)
    }

    /// Goes on where a checkpoint stopped.
    ///
    /// # Errors
    /// If the checkpoint is for sampling only, or the device runs out of memory.
    pub fn resume(checkpoint: Checkpoint, device: &Device) -> Result<Self> {
        let Checkpoint { setting, step, history, .. } = checkpoint.clone();
        setting.validate()?;
        let rows = checkpoint.into_rows()?;
        let mut rng = generator(setting.training.seed, Purpose::Weights, 0);
        let network = UNet::fresh(setting.network.clone(), &mut rng, device)?;
        let optimizer = Optimizer::from_rows(network.parameters(), setting.training.optimizer(), rows, step)?;
        Self::assemble(setting, (network, optimizer), (step, history), device)
    }

    fn assemble(
        setting: Setting,
        (network, optimizer): (UNet, Optimizer),
        (step, history): (u64, History),
        device: &Device,
    ) -> Result<Self> {
        let schedule = setting.schedule()?;
        let device = device.clone();
        Ok(Trainer { setting, schedule, device, network, optimizer, step, history, waiting: Vec::new() })
    }

    // ANCHOR: train_step
    /// One step of Algorithm 1.
    ///
    /// On the CPU every step is reported; a GPU is asked every few steps, so as not to wait for it.
    ///
    /// Source: Ho et al. 2020, Algorithm 1, with AdamW, the moving average of their App. B, and warm-up and clipping, which only
    /// their code has.
    ///
    /// # Errors
    /// [`ddpm::Error::Diverged`] if the loss is not a finite number; on the CPU, the weights are then still those before the
    /// step.
    pub fn step(&mut self, batch: &Batch) -> Result<Option<StepReport>> {
        let training = &self.setting.training;
        let rate =
            learning_rate(self.step as usize, training.steps, training.warm_up, training.learning_rate);
        let report = if self.device.is_cpu() {
            let (loss, gradient) = on_host(&self.network, batch, training.seed)?;
            self.check_finite(loss)?;
            let Norm::Host(gradient_norm) = self.optimizer.step(gradient, rate)? else {
                unreachable!("a gradient on the host has its norm there");
            };
            Some(StepReport { step: self.step + 1, loss, gradient_norm })
        } else {
            let (loss, gradient) = on_device(&self.network, batch, training.seed, &self.device)?;
            if let Norm::Device(norm) = self.optimizer.step(gradient, rate)? {
                self.waiting.push((loss, norm));
            }
            let ask = (self.step + 1).is_multiple_of(ASK_EVERY) || self.step + 1 == training.steps as u64;
            ask.then(|| self.ask_device()).transpose()?
        };
        self.step += 1;
        self.history.steps.extend(report);
        Ok(report)
    }
    // ANCHOR_END: train_step

    /// Takes the next `count` steps, on the batches that `feed` has for them; the reports of those that were reported.
    ///
    /// # Errors
    /// As [`step`](Self::step), or if an image cannot be read.
    pub fn take_steps(&mut self, feed: &mut Feed<'_>, count: u64) -> Result<Vec<StepReport>> {
        let steps = self.step..self.step + count;
        let reports = steps.map(|step| self.step(&feed.batch(step)?)).collect::<Result<Vec<_>>>()?;
        Ok(reports.into_iter().flatten().collect())
    }

    /// Fetches the losses and norms that wait on the device.
    fn ask_device(&mut self) -> Result<StepReport> {
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

    /// Judges the averaged network on a batch of [`judging_batch`](super::judging_batch), and remembers it.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn judge(&mut self, batch: &Batch) -> Result<Judged> {
        let losses = losses(&self.denoiser()?, batch, &self.device)?;
        let judged = Judged { step: self.step, loss: losses.iter().sum::<f64>() / losses.len() as f64 };
        self.history.judged.push(judged);
        Ok(judged)
    }

    /// The state as it is now.
    ///
    /// # Errors
    /// If the device fails.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        Checkpoint::new(self.setting.clone(), self.step, self.history.clone(), self.optimizer.rows()?)
    }

    /// The network with the averaged weights: what one samples from.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn denoiser(&self) -> Result<NetworkDenoiser> {
        let names = self.network.parameters().names().iter().cloned();
        let parameters = Parameters::from_tensors(names.zip(self.optimizer.average()?).collect())?;
        NetworkDenoiser::new(UNet::new(self.setting.network.clone(), parameters)?, self.schedule.clone())
    }

    /// The network as it is now.
    pub fn network(&self) -> &UNet {
        &self.network
    }

    /// What decides this run.
    pub fn setting(&self) -> &Setting {
        &self.setting
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
