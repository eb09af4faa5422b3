//! The network: its shape, its parameters, its output.

use super::{Float, chunk::Chunk, embedding::frequencies};
use crate::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use ndarray_rand::rand::Rng;
use rayon::prelude::*;
use std::ops::Range;

/// How many rows go through the network together, each on its own way: enough to keep a matrix product busy.
const ROWS: usize = 128;

/// The shape of a network. The default is tiny-diffusion's: 2 → 384 → 128 → 128 → 128 → 128 → 2.
#[derive(Debug, Clone, PartialEq)]
pub struct MlpConfig {
    /// The coordinates of a point, D.
    pub inputs: usize,
    /// The width of the hidden layers, H.
    pub hidden: usize,
    /// The number of residual layers.
    pub layers: usize,
    /// The size of each coordinate's embedding and of the time's: even, at least 4.
    pub embedding: usize,
    /// The numbers the network gives for a point: D for ε alone, 2 D for ε and a variance, or a mean and a log-variance.
    pub outputs: usize,
    /// What a coordinate is multiplied by before it is embedded.
    pub input_scale: f64,
    /// Whether the network sees t; without it, it must treat every t alike (an ablation).
    pub time_embedding: bool,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            inputs: 2,
            hidden: 128,
            layers: 3,
            embedding: 128,
            outputs: 2,
            input_scale: 25.0,
            time_embedding: true,
        }
    }
}

impl MlpConfig {
    /// The width of the first layer's input: one embedding per coordinate, and one for t.
    pub fn features(&self) -> usize {
        (self.inputs + usize::from(self.time_embedding)) * self.embedding
    }

    /// Checks every number against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] names the first number that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        const BOUND: &str = "lie between 1 and 65536";
        for (name, value) in [("inputs", self.inputs), ("hidden", self.hidden), ("outputs", self.outputs)] {
            check(name, value, (1..=65_536).contains(&value), BOUND, "the default is 2, 128 or 2")?;
        }
        check("layers", self.layers, self.layers <= 1024, "be at most 1024", "the default is 3")?;
        let size = self.embedding;
        let fits = size.is_multiple_of(2) && (4..=65_536).contains(&size);
        check("embedding", size, fits, "be even and lie between 4 and 65536", "the default is 128")?;
        let scale = self.input_scale;
        check("input_scale", scale, scale.is_finite(), "be finite", "the default is 25")
    }

    /// The linear layers, first to last, as they lie in the parameters.
    pub(super) fn linears(&self) -> Vec<Linear> {
        let hidden = self.hidden;
        let mut widths = vec![(hidden, self.features())];
        widths.extend(std::iter::repeat_n((hidden, hidden), self.layers));
        widths.push((self.outputs, hidden));
        let mut start = 0;
        widths
            .into_iter()
            .map(|(outputs, inputs)| {
                let linear = Linear { start, outputs, inputs };
                start = linear.end();
                linear
            })
            .collect()
    }

    /// The parameters' names, shapes and places, in their order.
    pub fn tensors(&self) -> Vec<Tensor> {
        let linears = self.linears();
        let last = linears.len() - 1;
        let name = |index| match index {
            0 => "input".to_owned(),
            index if index == last => "output".to_owned(),
            index => format!("residual.{}", index - 1),
        };
        linears
            .iter()
            .enumerate()
            .flat_map(|(index, linear)| {
                let (weight, bias) = (linear.start..linear.bias_start(), linear.bias_start()..linear.end());
                let shape = vec![linear.outputs, linear.inputs];
                [
                    Tensor { name: format!("{}.weight", name(index)), shape, range: weight },
                    Tensor {
                        name: format!("{}.bias", name(index)),
                        shape: vec![linear.outputs],
                        range: bias,
                    },
                ]
            })
            .collect()
    }
}

fn check(
    name: &'static str,
    value: impl ToString,
    fits: bool,
    bound: &'static str,
    remedy: &str,
) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::Parameter { name, value: value.to_string(), bound, remedy: remedy.to_owned() })
}

/// A named part of the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// `input.weight`, `residual.0.bias`, …, `output.bias`.
    pub name: String,
    /// (outputs, inputs) of a weight, (outputs) of a bias.
    pub shape: Vec<usize>,
    /// Where it lies in [`Mlp::parameters`], row by row.
    pub range: Range<usize>,
}

/// A linear layer's place in the parameters: its weight, row by row, then its bias.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    start: usize,
    pub outputs: usize,
    pub inputs: usize,
}

impl Linear {
    fn bias_start(&self) -> usize {
        self.start + self.outputs * self.inputs
    }

    fn end(&self) -> usize {
        self.bias_start() + self.outputs
    }

    /// The weight, (outputs × inputs), and the bias in `parameters`.
    pub fn of<'a, F>(&self, parameters: &'a [F]) -> (&'a [F], &'a [F]) {
        parameters[self.start..self.end()].split_at(self.outputs * self.inputs)
    }

    /// The weight, (outputs × inputs), and the bias in `parameters`, to be changed.
    pub fn of_mut<'a, F>(&self, parameters: &'a mut [F]) -> (&'a mut [F], &'a mut [F]) {
        parameters[self.start..self.end()].split_at_mut(self.outputs * self.inputs)
    }
}

/// The network ε_θ: embeddings, a linear layer with GELU, residual layers, a linear layer.
#[derive(Debug, Clone)]
pub struct Mlp<F> {
    config: MlpConfig,
    parameters: Vec<F>,
    linears: Vec<Linear>,
    frequencies: Vec<F>,
}

impl<F: Float> Mlp<F> {
    /// A network with fresh parameters, each uniform within ±1/√(inputs of its layer), as PyTorch's `Linear` begins.
    ///
    /// The same generator state gives the same network in `f32` as in `f64`, up to rounding.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if the shape is out of bounds.
    pub fn new<R: Rng + ?Sized>(config: MlpConfig, rng: &mut R) -> Result<Self> {
        config.validate()?;
        let mut parameters = Vec::new();
        for linear in config.linears() {
            let bound = 1.0 / (linear.inputs as f64).sqrt();
            parameters.resize_with(linear.end(), || F::of(rng.random_range(-bound..bound)));
        }
        Ok(Self::assemble(config, parameters))
    }

    /// A network of the given parameters, in the order of [`MlpConfig::tensors`].
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if the shape is out of bounds.
    ///
    /// # Panics
    ///
    /// If the number of parameters is not the shape's.
    #[track_caller]
    pub fn from_parameters(config: MlpConfig, parameters: Vec<F>) -> Result<Self> {
        config.validate()?;
        let network = Self::assemble(config, parameters);
        let expected = network.linears.last().map_or(0, Linear::end);
        assert_eq!(network.parameters.len(), expected, "parameters of {:?}", network.config);
        Ok(network)
    }

    fn assemble(config: MlpConfig, parameters: Vec<F>) -> Self {
        let linears = config.linears();
        let frequencies = frequencies(config.embedding / 2);
        Self { config, parameters, linears, frequencies }
    }

    /// The network's shape.
    pub fn config(&self) -> &MlpConfig {
        &self.config
    }

    /// All parameters, one after the other; [`MlpConfig::tensors`] says which is where.
    pub fn parameters(&self) -> &[F] {
        &self.parameters
    }

    /// All parameters, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [F] {
        &mut self.parameters
    }

    /// One parameter tensor, say `input.weight`, as (outputs, inputs); a bias as (outputs, 1).
    pub fn tensor(&self, name: &str) -> Option<ArrayView2<'_, F>> {
        let tensor = self.config.tensors().into_iter().find(|tensor| tensor.name == name)?;
        let columns = tensor.shape.get(1).copied().unwrap_or(1);
        ArrayView2::from_shape((tensor.shape[0], columns), &self.parameters[tensor.range]).ok()
    }

    /// The same network in another precision.
    pub fn cast<G: Float>(&self) -> Mlp<G> {
        let parameters = self.parameters.iter().map(|p| G::of(p.as_f64())).collect();
        Mlp::assemble(self.config.clone(), parameters)
    }

    /// The network's output for every point, (N, outputs), where `x` is (N, D) and `t` has N entries.
    ///
    /// A point's output depends on that point alone, to the last bit. Without a time embedding, `t` is not looked at.
    ///
    /// # Panics
    ///
    /// If `x` does not have D columns, or `t` not N entries.
    #[track_caller]
    pub fn forward(&self, x: ArrayView2<F>, t: &[usize]) -> Array2<F> {
        self.check_batch(x, t);
        let outputs = self.config.outputs;
        let mut output = vec![F::zero(); x.nrows() * outputs];
        output.par_chunks_mut(ROWS * outputs).enumerate().for_each_init(
            || Chunk::new(self, ROWS),
            |chunk, (index, output)| {
                let (x, t) = part(x, t, index * ROWS, output.len() / outputs);
                chunk.forward::<false>(self, x, t, output);
            },
        );
        Array2::from_shape_vec((x.nrows(), outputs), output).expect("one row for each point")
    }

    #[track_caller]
    pub(super) fn check_batch(&self, x: ArrayView2<F>, t: &[usize]) {
        let (n, d) = x.dim();
        assert_eq!(d, self.config.inputs, "the network takes points of {} coordinates", self.config.inputs);
        assert!(!self.config.time_embedding || t.len() == n, "{n} points, but {} times", t.len());
    }

    pub(super) fn linears(&self) -> &[Linear] {
        &self.linears
    }

    pub(super) fn frequencies(&self) -> &[F] {
        &self.frequencies
    }

    /// A linear layer's weight, (outputs, inputs), and bias.
    pub(super) fn linear(&self, index: usize) -> (ArrayView2<'_, F>, &[F]) {
        let linear = self.linears[index];
        let (weight, bias) = linear.of(&self.parameters);
        (super::chunk::matrix(weight, linear.inputs), bias)
    }
}

/// `count` points and times from `start` on.
pub(super) fn part<'a, F>(
    x: ArrayView2<'a, F>,
    t: &'a [usize],
    start: usize,
    count: usize,
) -> (ArrayView2<'a, F>, &'a [usize]) {
    let rows = start..start + count;
    (x.slice_axis_move(Axis(0), Slice::from(rows.clone())), t.get(rows).unwrap_or_default())
}
