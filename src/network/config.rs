//! The network's shape, and where each tensor lies in its parameters.

use crate::{Result, error::check};
use std::ops::Range;

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
    /// The number of labels, or 0 for a network that sees none. One more row of the labels' embedding is that of the null label, which
    /// stands for “no label”.
    pub labels: usize,
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
            labels: 0,
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
    /// [`Error::Parameter`](crate::Error::Parameter) names the first number that is out of bounds.
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
        check("input_scale", scale, scale.is_finite(), "be finite", "the default is 25")?;
        check("labels", self.labels, self.labels <= 65_536, "be at most 65536", "the default is 0, no labels")
    }

    /// The rows of the labels' embedding, each of H numbers: one a label and one for the null label, or none at all.
    pub fn label_rows(&self) -> usize {
        if self.labels == 0 { 0 } else { self.labels + 1 }
    }

    /// Where the labels' embedding lies: behind all layers, row by row.
    pub(super) fn label_range(&self) -> Range<usize> {
        let start = self.linears().last().map_or(0, Linear::end);
        start..start + self.label_rows() * self.hidden
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
        let (shape, range) = (vec![self.label_rows(), self.hidden], self.label_range());
        let labels = (self.labels > 0).then(|| Tensor { name: "label.weight".to_owned(), shape, range });
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
            .chain(labels)
            .collect()
    }
}

/// A named part of the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// `input.weight`, `residual.0.bias`, …, `output.bias`, and `label.weight` of a network with labels.
    pub name: String,
    /// (outputs, inputs) of a weight, (outputs) of a bias, (labels + 1, H) of the labels' embedding.
    pub shape: Vec<usize>,
    /// Where it lies in [`Mlp::parameters`](super::Mlp::parameters), row by row.
    pub range: Range<usize>,
}

/// The number of parameters of a network of this shape.
pub fn parameter_count(shape: &MlpConfig) -> usize {
    shape.tensors().last().map_or(0, |tensor| tensor.range.end)
}

// ANCHOR: hidden_for_budget
/// The widest hidden layers with which networks of these shapes have no more than `budget` parameters
/// together.
///
/// # Panics
/// If even networks of width 1 have more.
#[track_caller]
pub fn hidden_for_budget(budget: usize, shapes: &[MlpConfig]) -> usize {
    let cost = |hidden| -> usize {
        shapes.iter().map(|shape| parameter_count(&MlpConfig { hidden, ..shape.clone() })).sum()
    };
    let width = (1..).take_while(|&hidden| cost(hidden) <= budget).last();
    width.unwrap_or_else(|| panic!("{budget} parameters are too few: {} are needed", cost(1)))
}
// ANCHOR_END: hidden_for_budget

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

    pub fn end(&self) -> usize {
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
