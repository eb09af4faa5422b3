//! The network: its parameters and its output.

use super::{
    Float, MlpConfig,
    chunk::{Chunk, matrix},
    config::Linear,
    embedding::frequencies,
};
use crate::Result;
use ndarray::{Array2, ArrayView2, Axis, Slice};
use ndarray_rand::rand::Rng;
use rayon::prelude::*;

/// How many rows go through the network together, each on its own way: enough to keep a matrix product busy.
const ROWS: usize = 128;

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
    /// [`Error::Parameter`](crate::Error::Parameter) if the shape is out of bounds.
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
    /// [`Error::Parameter`](crate::Error::Parameter) if the shape is out of bounds.
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

    /// All parameters, one after the other; [`MlpConfig::tensors`] gives the place of each.
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
    pub fn forward(&self, x: ArrayView2<F>, t: &[f64]) -> Array2<F> {
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
    pub(super) fn check_batch(&self, x: ArrayView2<F>, t: &[f64]) {
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
        (matrix(weight, linear.inputs), bias)
    }
}

/// `count` points and times from `start` on.
pub(super) fn part<'a, F>(
    x: ArrayView2<'a, F>,
    t: &'a [f64],
    start: usize,
    count: usize,
) -> (ArrayView2<'a, F>, &'a [f64]) {
    let rows = start..start + count;
    (x.slice_axis_move(Axis(0), Slice::from(rows.clone())), t.get(rows).unwrap_or_default())
}
