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
use std::ops::Range;

/// How many rows go through the network together, each on its own way: enough to keep a matrix product busy.
const ROWS: usize = 128;

/// The network ε_θ: embeddings, a linear layer with GELU, residual layers, a linear layer.
///
/// A network with [`labels`](MlpConfig::labels) adds a row of H numbers, its label's, to what the first layer gives before GELU. That is what
/// one-hot inputs of the first layer would add: weight times a column of zeros and a one is a column of the weight.
#[derive(Debug, Clone)]
pub struct Mlp<F> {
    config: MlpConfig,
    parameters: Vec<F>,
    linears: Vec<Linear>,
    labels: Range<usize>,
    frequencies: Vec<F>,
}

impl<F: Float> Mlp<F> {
    /// A network with fresh parameters, each uniform within ±1/√(inputs of its layer), as PyTorch's `Linear` begins; the labels'
    /// embedding belongs to the first layer.
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
        let bound = 1.0 / (config.features() as f64).sqrt();
        parameters.resize_with(config.label_range().end, || F::of(rng.random_range(-bound..bound)));
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
        let expected = network.labels.end;
        assert_eq!(network.parameters.len(), expected, "parameters of {:?}", network.config);
        Ok(network)
    }

    fn assemble(config: MlpConfig, parameters: Vec<F>) -> Self {
        let (linears, labels) = (config.linears(), config.label_range());
        let frequencies = frequencies(config.embedding / 2);
        Self { config, parameters, linears, labels, frequencies }
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
    /// A point's output depends on that point alone, to the last bit. Without a time embedding, `t` is not looked at. A network with
    /// labels takes the null label for every point.
    ///
    /// # Panics
    ///
    /// If `x` does not have D columns, or `t` not N entries.
    #[track_caller]
    pub fn forward(&self, x: ArrayView2<F>, t: &[f64]) -> Array2<F> {
        self.forward_labelled(x, t, &[])
    }

    // ANCHOR: forward_labelled
    /// [`forward`](Self::forward) with a label for every point, where `None` is the null label; no labels at all are null labels.
    ///
    /// # Example
    /// ```
    /// use ddpm::network::{Mlp, MlpConfig};
    /// use ndarray::array;
    /// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
    ///
    /// let network = Mlp::<f64>::new(MlpConfig { labels: 10, ..MlpConfig::default() }, &mut StdRng::seed_from_u64(0))?;
    /// let (x, t) = (array![[0.3, -0.2], [0.3, -0.2]], [7.0, 7.0]);
    /// let output = network.forward_labelled(x.view(), &t, &[Some(7), None]);
    /// assert_ne!(output.row(0), output.row(1));
    /// assert_eq!(output.row(1), network.forward(x.view(), &t).row(1));
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward), or if there are labels but not N, one is not below [`MlpConfig::labels`], or the network sees none.
    #[track_caller]
    pub fn forward_labelled(&self, x: ArrayView2<F>, t: &[f64], labels: &[Option<usize>]) -> Array2<F> {
        self.check_batch(x, t, labels);
        let outputs = self.config.outputs;
        let mut output = vec![F::zero(); x.nrows() * outputs];
        output.par_chunks_mut(ROWS * outputs).enumerate().for_each_init(
            || Chunk::new(self, ROWS),
            |chunk, (index, output)| {
                let (x, t, labels) = part((x, t, labels), index * ROWS, output.len() / outputs);
                chunk.forward::<false>(self, x, t, labels, output);
            },
        );
        Array2::from_shape_vec((x.nrows(), outputs), output).expect("one row for each point")
    }
    // ANCHOR_END: forward_labelled

    #[track_caller]
    pub(super) fn check_batch(&self, x: ArrayView2<F>, t: &[f64], labels: &[Option<usize>]) {
        let ((n, d), known) = (x.dim(), self.config.labels);
        assert_eq!(d, self.config.inputs, "the network takes points of {} coordinates", self.config.inputs);
        assert!(!self.config.time_embedding || t.len() == n, "{n} points, but {} times", t.len());
        assert!(labels.is_empty() || known > 0, "the network sees no labels");
        assert!(labels.is_empty() || labels.len() == n, "{n} points, but {} labels", labels.len());
        let unknown = labels.iter().flatten().find(|&&label| label >= known);
        assert!(unknown.is_none(), "label {unknown:?}, but the network knows {known} from 0 on");
    }

    /// The row of a label in the labels' embedding: the null label's is the last.
    pub(super) fn label_row(&self, label: Option<usize>) -> usize {
        label.unwrap_or(self.config.labels)
    }

    /// The labels' embedding, row by row; empty if the network sees none.
    pub(super) fn label_weight(&self) -> &[F] {
        &self.parameters[self.labels.clone()]
    }

    pub(super) fn label_range(&self) -> Range<usize> {
        self.labels.clone()
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

/// Points, their times and their labels.
pub(super) type Rows<'a, F> = (ArrayView2<'a, F>, &'a [f64], &'a [Option<usize>]);

/// `count` points, times and labels from `start` on.
pub(super) fn part<F>((x, t, labels): Rows<'_, F>, start: usize, count: usize) -> Rows<'_, F> {
    let rows = start..start + count;
    let points = x.slice_axis_move(Axis(0), Slice::from(rows.clone()));
    (points, t.get(rows.clone()).unwrap_or_default(), labels.get(rows).unwrap_or_default())
}
