//! From gradients to better weights, as in Part I, for a network whose weights are tensors.
//!
//! All weights lie behind one another in one long row, and so do their gradients and the optimizer's memory. On the CPU
//! the row is a slice, and the functions of [`ddpm::network::optimizer`] move it; on a GPU it is a tensor, which never
//! leaves the device.

use crate::{Result, network::parameters::Parameters, operations::on_device::on_cpu};
use candle_core::{Device, Tensor, Var};
use ddpm::network::{
    AdamWConfig, clip_gradient_norm, cosine_learning_rate,
    optimizer::{adamw_update, ema_decay, ema_update},
};

// ANCHOR: learning_rate
/// The learning rate at `step`, counted from 0: it rises in a straight line over the first `warm_up` steps, then falls to 0
/// along half a cosine.
///
/// Source: Goyal et al. 2017, §2.2, for the rise; [`cosine_learning_rate`] is the fall.
///
/// The first step has a rate above 0, and the last step of the rise has the full one. Where the rise takes all the `steps`, the
/// fall has one: from `base` at `step` = `warm_up` to 0.
///
/// # Formula
/// ```text
/// η = base (step + 1)/warm_up                              for step < warm_up
/// η = ½ base (1 + cos(π (step − warm_up)/(steps − warm_up)))   from there on
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::train::optimizer::learning_rate;
///
/// let rates = [0, 3, 4, 104].map(|step| learning_rate(step, 104, 4, 1.0));
/// assert_eq!(rates, [0.25, 1.0, 1.0, 0.0]);
/// ```
pub fn learning_rate(step: usize, steps: usize, warm_up: usize, base: f64) -> f64 {
    if step < warm_up {
        return base * (step + 1) as f64 / warm_up as f64;
    }
    cosine_learning_rate(step - warm_up, steps.saturating_sub(warm_up).max(1), base)
}
// ANCHOR_END: learning_rate

/// The gradient of a batch, all parameters behind one another.
#[derive(Debug, Clone)]
pub enum Gradient {
    /// On the CPU.
    Host(Vec<f32>),
    /// On a GPU: one tensor of one dimension.
    Device(Tensor),
}

/// Rows of numbers as long as the network's parameters: what an optimizer keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<R> {
    /// The parameters.
    pub weights: R,
    /// Their exponential moving average.
    pub average: R,
    /// The running mean of the gradients.
    pub mean: R,
    /// The running mean of their squares.
    pub mean_square: R,
}

#[derive(Debug, Clone)]
enum Memory {
    Host(Rows<Vec<f32>>),
    Device(Rows<Tensor>),
}

/// The numbers of an optimizer that stay the same from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerConfig {
    /// The gradient's norm is clipped to this.
    pub max_gradient_norm: f64,
    /// How fast weights shrink of themselves, λ.
    pub weight_decay: f64,
    /// The decay of the weights' moving average; it warms up ([`ema_decay`]).
    pub ema_decay: f64,
}

/// AdamW with clipping, and the moving average of the weights.
#[derive(Debug, Clone)]
pub struct Optimizer {
    variables: Vec<Var>,
    memory: Memory,
    numbers: OptimizerConfig,
    updates: u64,
}

/// The norm of a gradient: known on the CPU, still on its way on a GPU.
#[derive(Debug, Clone)]
pub enum GradientNorm {
    /// A number.
    Host(f64),
    /// A tensor without dimensions.
    Device(Tensor),
}

impl Optimizer {
    /// An optimizer that has seen no gradient yet; the average begins at the parameters.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn new(parameters: &Parameters, numbers: OptimizerConfig) -> Result<Self> {
        let weights = to_host(parameters.variables())?;
        let zeros = vec![0.0; weights.len()];
        let rows = Rows { average: weights.clone(), mean: zeros.clone(), mean_square: zeros, weights };
        Self::from_rows(parameters, numbers, rows, 0)
    }

    /// An optimizer that goes on where another stopped, after `updates` steps. The parameters take the rows' weights.
    ///
    /// # Errors
    /// If the device runs out of memory.
    ///
    /// # Panics
    /// If a row is not as long as the parameters.
    #[track_caller]
    pub fn from_rows(
        parameters: &Parameters,
        numbers: OptimizerConfig,
        rows: Rows<Vec<f32>>,
        updates: u64,
    ) -> Result<Self> {
        for row in [&rows.weights, &rows.average, &rows.mean, &rows.mean_square] {
            assert_eq!(row.len(), parameters.count(), "numbers in a row and in the network");
        }
        let variables = parameters.variables().to_vec();
        let device = variables.first().map_or(Device::Cpu, |variable| variable.device().clone());
        let memory = if on_cpu(&device) { Memory::Host(rows) } else { Memory::on(&device, rows)? };
        let optimizer = Optimizer { variables, memory, numbers, updates };
        optimizer.write_weights()?;
        Ok(optimizer)
    }

    // ANCHOR: optimizer_step
    /// Clips the gradient, moves every weight by one step, and the average after them. Returns the gradient's norm before it
    /// was clipped.
    ///
    /// # Errors
    /// If the device runs out of memory.
    ///
    /// # Panics
    /// If the gradient lies on another kind of device than the network.
    #[track_caller]
    pub fn step(&mut self, gradient: Gradient, learning_rate: f64) -> Result<GradientNorm> {
        let OptimizerConfig { max_gradient_norm, weight_decay, ema_decay: decay } = self.numbers;
        let config = AdamWConfig { learning_rate, weight_decay, ..AdamWConfig::default() };
        let decay = ema_decay(decay, self.updates);
        self.updates += 1;
        let norm = match (&mut self.memory, gradient) {
            (Memory::Host(rows), Gradient::Host(mut gradient)) => {
                let norm = clip_gradient_norm(&mut gradient, max_gradient_norm);
                let Rows { weights, average, mean, mean_square } = rows;
                adamw_update(&config, self.updates, weights, &gradient, mean, mean_square);
                ema_update(average, weights, decay);
                GradientNorm::Host(norm)
            }
            (Memory::Device(rows), Gradient::Device(gradient)) => {
                let (gradient, norm) = clip_on_device(&gradient, max_gradient_norm)?;
                update_on_device(rows, &config, self.updates, &gradient, decay)?;
                GradientNorm::Device(norm)
            }
            _ => panic!("the gradient and the network lie on two kinds of device"),
        };
        self.write_weights()?;
        Ok(norm)
    }
    // ANCHOR_END: optimizer_step

    /// A copy of all rows on the host.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rows(&self) -> Result<Rows<Vec<f32>>> {
        match &self.memory {
            Memory::Host(rows) => Ok(rows.clone()),
            Memory::Device(Rows { weights, average, mean, mean_square }) => Ok(Rows {
                weights: weights.to_vec1()?,
                average: average.to_vec1()?,
                mean: mean.to_vec1()?,
                mean_square: mean_square.to_vec1()?,
            }),
        }
    }

    /// The average's parameters as tensors, in the order of the network's, on its device.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn average(&self) -> Result<Vec<Tensor>> {
        match &self.memory {
            Memory::Host(rows) => cut(&self.variables, |at, shape| {
                let length: usize = shape.iter().product();
                Ok(Tensor::from_slice(&rows.average[at..at + length], shape, &Device::Cpu)?)
            }),
            Memory::Device(rows) => cut(&self.variables, |at, shape| {
                Ok(rows.average.narrow(0, at, shape.iter().product())?.reshape(shape)?)
            }),
        }
    }

    /// Brings the row of weights into the network's tensors.
    fn write_weights(&self) -> Result<()> {
        let parts = match &self.memory {
            Memory::Host(rows) => cut(&self.variables, |at, shape| {
                let length: usize = shape.iter().product();
                Ok(Tensor::from_slice(&rows.weights[at..at + length], shape, &Device::Cpu)?)
            }),
            Memory::Device(rows) => cut(&self.variables, |at, shape| {
                Ok(rows.weights.narrow(0, at, shape.iter().product())?.reshape(shape)?)
            }),
        }?;
        for (variable, part) in self.variables.iter().zip(parts) {
            variable.set(&part)?;
        }
        Ok(())
    }
}

impl Memory {
    fn on(device: &Device, rows: Rows<Vec<f32>>) -> Result<Self> {
        let Rows { weights, average, mean, mean_square } = rows;
        let send = |row: Vec<f32>| {
            let length = row.len();
            Tensor::from_vec(row, length, device)
        };
        Ok(Memory::Device(Rows {
            weights: send(weights)?,
            average: send(average)?,
            mean: send(mean)?,
            mean_square: send(mean_square)?,
        }))
    }
}

/// All parameters behind one another, on the host.
fn to_host(variables: &[Var]) -> Result<Vec<f32>> {
    let mut row = Vec::new();
    for variable in variables {
        row.extend(variable.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(row)
}

/// The part of a row that belongs to each variable: `part` gets where it begins and its shape.
fn cut(variables: &[Var], part: impl Fn(usize, &[usize]) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let mut at = 0;
    variables
        .iter()
        .map(|variable| {
            let start = at;
            at += variable.elem_count();
            part(start, variable.dims())
        })
        .collect()
}

/// As [`clip_gradient_norm`], without reading a number from the device.
fn clip_on_device(gradient: &Tensor, max_norm: f64) -> Result<(Tensor, Tensor)> {
    let norm = gradient.sqr()?.sum_all()?.sqrt()?;
    let factor = ((&norm + 1e-6)?.recip()? * max_norm)?.minimum(1.0)?;
    Ok((gradient.broadcast_mul(&factor)?, norm))
}

/// As [`adamw_update`] and [`ema_update`].
fn update_on_device(
    rows: &mut Rows<Tensor>,
    config: &AdamWConfig,
    step: u64,
    gradient: &Tensor,
    decay: f64,
) -> Result<()> {
    let AdamWConfig { learning_rate, beta_1, beta_2, epsilon, weight_decay } = *config;
    let correction_1 = 1.0 - beta_1.powf(step as f64);
    let root_correction_2 = (1.0 - beta_2.powf(step as f64)).sqrt();
    rows.mean = ((&rows.mean * beta_1)? + (gradient * (1.0 - beta_1))?)?;
    rows.mean_square = ((&rows.mean_square * beta_2)? + (gradient.sqr()? * (1.0 - beta_2))?)?;
    let scale = ((rows.mean_square.sqrt()? * root_correction_2.recip())? + epsilon)?;
    let change = ((&rows.mean * (learning_rate / correction_1))? / scale)?;
    rows.weights = ((&rows.weights * (1.0 - learning_rate * weight_decay))? - change)?;
    rows.average = (&rows.average + ((&rows.weights - &rows.average)? * (1.0 - decay))?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::parameters::{Init, Specification};
    use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn a_gpu_s_words_move_the_weights_as_the_cpu_s_do() {
        let mut rng = StdRng::seed_from_u64(1);
        let specifications = [vec![3, 3, 2, 4], vec![4], vec![5, 4]].map(|shape| Specification {
            name: format!("{shape:?}"),
            shape,
            init: Init::Uniform(0.5),
        });
        let config = OptimizerConfig { max_gradient_norm: 0.5, weight_decay: 0.01, ema_decay: 0.9 };
        let parameters = Parameters::fresh(&specifications, &mut rng, &Device::Cpu).unwrap();
        let mut host = Optimizer::new(&parameters, config).unwrap();
        let rows = host.rows().unwrap();
        let mut device = host.clone();
        device.memory = Memory::on(&Device::Cpu, rows.clone()).unwrap();
        for step in 0..20 {
            let scale = if step % 2 == 0 { 1.0 } else { 1e-3 };
            let gradient: Vec<f32> =
                (0..rows.weights.len()).map(|_| scale * rng.random_range(-1.0..1.0)).collect();
            let tensor = Tensor::from_slice(&gradient, gradient.len(), &Device::Cpu).unwrap();
            let GradientNorm::Host(of_host) = host.step(Gradient::Host(gradient), 1e-2).unwrap() else {
                panic!()
            };
            let GradientNorm::Device(of_device) = device.step(Gradient::Device(tensor), 1e-2).unwrap() else {
                panic!()
            };
            let of_device = f64::from(of_device.to_scalar::<f32>().unwrap());
            assert!((of_host - of_device).abs() < 1e-5 * of_host, "norm: {of_host} and {of_device}");
        }
        let (a, b) = (host.rows().unwrap(), device.rows().unwrap());
        for (name, a, b) in [
            ("weights", &a.weights, &b.weights),
            ("average", &a.average, &b.average),
            ("mean", &a.mean, &b.mean),
            ("mean square", &a.mean_square, &b.mean_square),
        ] {
            let alike = a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6);
            assert!(alike, "{name}: of the host and of the device");
        }
        assert!(rows.weights.iter().zip(&a.weights).all(|(before, after)| before != after));
    }
}
