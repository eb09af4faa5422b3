//! Some rows of a batch on their way through the network and back: the arithmetic of [`layers`](super::layers) in
//! buffers that are used again, activations fused into the sweep that adds the bias.

use super::{Float, Mlp, embedding::write_embedding, vectors::activate};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, linalg::general_mat_mul};

/// The buffers of up to `capacity` rows, each one row after the other.
#[derive(Debug, Clone)]
pub(super) struct Chunk<F> {
    rows: usize,
    /// The embeddings of the coordinates and of t: (rows, features).
    features: Vec<F>,
    /// Each row's place in the labels' embedding; empty if the network sees none.
    labels: Vec<usize>,
    /// h_0 = GELU(z_0), h_l = h_{l−1} + GELU(z_l): (rows, H) each.
    hidden: Vec<Vec<F>>,
    /// z_l without its bias at first, then GELU′(z_l): (rows, H) each.
    slopes: Vec<Vec<F>>,
    /// ∂L/∂h_l and ∂L/∂z_l of the layer at hand: (rows, H).
    grad_hidden: Vec<F>,
    grad_z: Vec<F>,
    /// ∂L/∂θ, summed over the rows.
    pub gradient: Vec<F>,
}

impl<F: Float> Chunk<F> {
    pub fn new(mlp: &Mlp<F>, capacity: usize) -> Self {
        let config = mlp.config();
        let buffer = || vec![F::zero(); capacity * config.hidden];
        Self {
            rows: 0,
            features: vec![F::zero(); capacity * config.features()],
            labels: Vec::new(),
            hidden: (0..=config.layers).map(|_| buffer()).collect(),
            slopes: (0..=config.layers).map(|_| buffer()).collect(),
            grad_hidden: Vec::new(),
            grad_z: Vec::new(),
            gradient: Vec::new(),
        }
    }

    /// Writes the network's output, (rows, outputs); with `KEEP`, keeps what [`backward`](Self::backward) needs.
    pub fn forward<const KEEP: bool>(
        &mut self,
        mlp: &Mlp<F>,
        x: ArrayView2<F>,
        t: &[f64],
        labels: &[Option<usize>],
        output: &mut [F],
    ) {
        self.rows = x.nrows();
        self.labels.clear();
        if mlp.config().labels > 0 {
            let label_of = |row| mlp.label_row(labels.get(row).copied().flatten());
            self.labels.extend((0..self.rows).map(label_of));
        }
        self.embed_points(mlp, x);
        self.embed_times(mlp, t);
        self.first_layer::<KEEP>(mlp, t);
        let (last, width) = (mlp.config().layers, mlp.config().hidden);
        for layer in 1..=last {
            self.residual_layer::<KEEP>(mlp, layer);
        }
        let hidden = matrix(&self.hidden[last][..self.rows * width], width);
        let (weight, bias) = mlp.linear(last + 1);
        output.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
        let mut output = matrix_mut(output, bias.len()); // (rows, outputs)
        general_mat_mul(F::one(), &hidden, &weight.t(), F::one(), &mut output);
    }

    fn embed_points(&mut self, mlp: &Mlp<F>, x: ArrayView2<F>) {
        let config = mlp.config();
        let scale = F::of(config.input_scale);
        for (point, row) in x.rows().into_iter().zip(self.features.chunks_exact_mut(config.features())) {
            for (&value, embedding) in point.iter().zip(row.chunks_exact_mut(config.embedding)) {
                write_embedding(scale * value, mlp.frequencies(), embedding);
            }
        }
    }

    /// Embeds each time where the points' embeddings end; a time like the row's before is copied.
    fn embed_times(&mut self, mlp: &Mlp<F>, t: &[f64]) {
        let (width, size) = (mlp.config().features(), mlp.config().embedding);
        if !mlp.config().time_embedding {
            return;
        }
        for (row, &time) in t.iter().enumerate() {
            let place = (row + 1) * width - size..(row + 1) * width;
            if row > 0 && t[row - 1] == time {
                self.features.copy_within(place.start - width..place.end - width, place.start);
            } else {
                write_embedding(F::of(time), mlp.frequencies(), &mut self.features[place]);
            }
        }
    }

    /// h_0 = GELU(W_0 (embeddings) + (the label's row) + b_0).
    ///
    /// A sampler gives all its points one t, whose part of the product is then the same for every row.
    fn first_layer<const KEEP: bool>(&mut self, mlp: &Mlp<F>, t: &[f64]) {
        let config = mlp.config();
        let width = config.hidden;
        let features = matrix(&self.features[..self.rows * config.features()], config.features());
        let (points, times) = features.split_at(Axis(1), config.inputs * config.embedding);
        let (weight, bias) = mlp.linear(0);
        let (point_weight, time_weight) = weight.split_at(Axis(1), config.inputs * config.embedding);

        let distinct = if t.windows(2).all(|pair| pair[0] == pair[1]) { 1 } else { self.rows };
        let (times, _) = times.split_at(Axis(0), distinct);
        let values = &mut self.slopes[0][..self.rows * width];
        let (computed, copied) = values.split_at_mut(distinct * width);
        let mut z = matrix_mut(computed, width); // (distinct, H)
        general_mat_mul(F::one(), &times, &time_weight.t(), F::zero(), &mut z);
        copied.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(&computed[..width]));
        let mut z = matrix_mut(values, width); // (rows, H)
        general_mat_mul(F::one(), &points, &point_weight.t(), F::one(), &mut z);
        for (&label, z) in self.labels.iter().zip(values.chunks_exact_mut(width)) {
            let row = &mlp.label_weight()[label * width..(label + 1) * width];
            z.iter_mut().zip(row).for_each(|(z, &of_label)| *z += of_label);
        }

        let size = values.len();
        activate::<F, KEEP>(values, &mut self.hidden[0][..size], None, bias);
    }

    /// h_l = h_{l−1} + GELU(W_l h_{l−1} + b_l).
    fn residual_layer<const KEEP: bool>(&mut self, mlp: &Mlp<F>, layer: usize) {
        let width = mlp.config().hidden;
        let size = self.rows * width;
        let (weight, bias) = mlp.linear(layer);
        let (before, after) = self.hidden.split_at_mut(layer);
        let (input, output) = (&before[layer - 1][..size], &mut after[0][..size]);
        let values = &mut self.slopes[layer][..size];
        let mut z = matrix_mut(values, width); // (rows, H)
        general_mat_mul(F::one(), &matrix(input, width), &weight.t(), F::zero(), &mut z);
        activate::<F, KEEP>(values, output, Some(input), bias);
    }

    /// Writes ∂L/∂θ into `gradient`, from ∂L/∂(output) of the rows that went forward last.
    pub fn backward(&mut self, mlp: &Mlp<F>, grad_output: ArrayView2<F>) {
        let (config, linears) = (mlp.config(), mlp.linears());
        let width = config.hidden;
        let size = self.rows * width;
        self.gradient.resize(mlp.parameters().len(), F::zero());
        self.grad_hidden.resize(self.hidden[0].len(), F::zero());
        self.grad_z.resize(self.hidden[0].len(), F::zero());

        let last = config.layers;
        let (grad_weight, grad_bias) = linears[last + 1].of_mut(&mut self.gradient);
        let hidden = matrix(&self.hidden[last][..size], width);
        let mut grad_weight = matrix_mut(grad_weight, width); // (outputs, H)
        general_mat_mul(F::one(), &grad_output.t(), &hidden, F::zero(), &mut grad_weight);
        grad_bias.fill(F::zero());
        for row in grad_output.rows() {
            grad_bias.iter_mut().zip(row).for_each(|(sum, &grad)| *sum += grad);
        }
        let mut grad_hidden = matrix_mut(&mut self.grad_hidden[..size], width); // (rows, H)
        general_mat_mul(F::one(), &grad_output, &mlp.linear(last + 1).0, F::zero(), &mut grad_hidden);

        for layer in (1..=last).rev() {
            self.linear_backward(mlp, layer);
            let (weight, _) = mlp.linear(layer);
            let grad_z = matrix(&self.grad_z[..size], width);
            let mut grad_hidden = matrix_mut(&mut self.grad_hidden[..size], width);
            general_mat_mul(F::one(), &grad_z, &weight, F::one(), &mut grad_hidden);
        }
        self.linear_backward(mlp, 0);
        self.label_backward(mlp);
    }

    /// ∂L/∂(a label's row) = Σ of ∂L/∂z_0 over the rows with that label.
    fn label_backward(&mut self, mlp: &Mlp<F>) {
        let width = mlp.config().hidden;
        let gradient = &mut self.gradient[mlp.label_range()];
        gradient.fill(F::zero());
        for (&label, grad_z) in self.labels.iter().zip(self.grad_z.chunks_exact(width)) {
            let row = &mut gradient[label * width..(label + 1) * width];
            row.iter_mut().zip(grad_z).for_each(|(sum, &grad)| *sum += grad);
        }
    }

    /// From ∂L/∂h_l: ∂L/∂z_l = ∂L/∂h_l ⊙ GELU′(z_l), ∂L/∂b_l = Σ_n (∂L/∂z_l)_n and ∂L/∂W_l = (∂L/∂z_l)ᵀ (layer's input).
    fn linear_backward(&mut self, mlp: &Mlp<F>, layer: usize) {
        let linear = mlp.linears()[layer];
        let width = linear.outputs;
        let size = self.rows * width;
        let (grad_weight, grad_bias) = linear.of_mut(&mut self.gradient);
        grad_bias.fill(F::zero());
        let rows = self.grad_z[..size].chunks_exact_mut(width);
        for ((grad_z, grad), slope) in
            rows.zip(self.grad_hidden.chunks_exact(width)).zip(self.slopes[layer].chunks_exact(width))
        {
            for (((grad_z, &grad), &slope), sum) in
                grad_z.iter_mut().zip(grad).zip(slope).zip(&mut *grad_bias)
            {
                *grad_z = grad * slope;
                *sum += *grad_z;
            }
        }
        let input = if layer == 0 { &self.features } else { &self.hidden[layer - 1] };
        let input = matrix(&input[..self.rows * linear.inputs], linear.inputs);
        let grad_z = matrix(&self.grad_z[..size], width);
        let mut grad_weight = matrix_mut(grad_weight, linear.inputs); // (outputs, inputs)
        general_mat_mul(F::one(), &grad_z.t(), &input, F::zero(), &mut grad_weight);
    }

    /// The embeddings of the points, and ∂L/∂(them) after [`backward`](Self::backward): (rows, D · embedding) each.
    pub fn grad_features(&self, mlp: &Mlp<F>) -> (ArrayView2<'_, F>, Array2<F>) {
        let config = mlp.config();
        let points = config.inputs * config.embedding;
        let features = matrix(&self.features[..self.rows * config.features()], config.features());
        let grad_z = matrix(&self.grad_z[..self.rows * config.hidden], config.hidden);
        let (weight, _) = mlp.linear(0).0.split_at(Axis(1), points);
        (features.split_at(Axis(1), points).0, grad_z.dot(&weight))
    }
}

/// `values` as a matrix of that many columns.
#[track_caller]
pub(super) fn matrix<F>(values: &[F], columns: usize) -> ArrayView2<'_, F> {
    ArrayView2::from_shape((values.len() / columns, columns), values).expect("full rows")
}

#[track_caller]
fn matrix_mut<F>(values: &mut [F], columns: usize) -> ArrayViewMut2<'_, F> {
    ArrayViewMut2::from_shape((values.len() / columns, columns), values).expect("full rows")
}
