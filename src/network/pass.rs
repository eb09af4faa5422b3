//! One training pass: a batch through the network, and the gradient of every parameter back.

use super::{
    Float, Mlp, MlpConfig,
    chunk::{Chunk, matrix},
    embedding::sinusoidal_embedding_backward,
    mlp::part,
};
use ndarray::{Array2, ArrayView2, Axis, Slice};

/// How many rows go through the network together.
///
/// Gradients are sums over rows, and a sum of floats depends on its order: so this number, never the number of threads,
/// determines how a batch is split. A batch up to this size stays on one thread: a second one costs what it would save.
const ROWS: usize = 64;

/// A batch's way through a network and back; its buffers serve every further batch.
///
/// The same batch gives the same bits whatever the number of threads.
///
/// ```
/// use ddpm::network::{Mlp, MlpConfig, Pass};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let mlp = Mlp::<f64>::new(MlpConfig::default(), &mut StdRng::seed_from_u64(0))?;
/// let mut pass = Pass::new(&mlp);
/// let eps = array![[0.3, -0.2]];
/// let output = pass.forward(&mlp, array![[1.0, -1.0]].view(), &[7.0]);
/// let grad_output = (&output - &eps) * 2.0; // of ‖output − ε‖²
/// let gradient = pass.backward(&mlp, grad_output.view());
/// assert_eq!(gradient.len(), mlp.parameters().len());
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pass<F> {
    config: MlpConfig,
    rows: usize,
    chunks: Vec<Chunk<F>>,
    output: Vec<F>,
}

impl<F: Float> Pass<F> {
    /// Empty buffers for networks of the shape of `mlp`.
    pub fn new(mlp: &Mlp<F>) -> Self {
        Self { config: mlp.config().clone(), rows: 0, chunks: Vec::new(), output: Vec::new() }
    }

    /// The network's output, (N, outputs), as [`Mlp::forward`] gives it, keeping what the way back needs.
    ///
    /// # Panics
    ///
    /// If the network has another shape than the buffers, `x` not D columns, or `t` not N entries.
    #[track_caller]
    pub fn forward(&mut self, mlp: &Mlp<F>, x: ArrayView2<F>, t: &[f64]) -> ArrayView2<'_, F> {
        self.forward_labelled(mlp, x, t, &[])
    }

    /// The same with labels, as [`Mlp::forward_labelled`] takes them.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward) and [`Mlp::forward_labelled`].
    #[track_caller]
    pub fn forward_labelled(
        &mut self,
        mlp: &Mlp<F>,
        x: ArrayView2<F>,
        t: &[f64],
        labels: &[Option<usize>],
    ) -> ArrayView2<'_, F> {
        assert_eq!(&self.config, mlp.config(), "the buffers belong to a network of another shape");
        mlp.check_batch(x, t, labels);
        let (n, outputs) = (x.nrows(), self.config.outputs);
        if self.rows != n {
            self.rows = n;
            self.chunks.resize_with(n.div_ceil(ROWS), || Chunk::new(mlp, ROWS));
            self.output.resize(n * outputs, F::zero());
        }
        let output = self.output.chunks_mut(ROWS * outputs);
        for_each(self.chunks.iter_mut().zip(output), |index, (chunk, output)| {
            let (x, t, labels) = part((x, t, labels), index * ROWS, output.len() / outputs);
            chunk.forward::<true>(mlp, x, t, labels, output);
        });
        matrix(&self.output, outputs)
    }

    /// ∂L/∂θ for every parameter, in the order of [`Mlp::parameters`], from ∂L/∂(output), (N, outputs).
    ///
    /// # Panics
    ///
    /// If `grad_output` does not have the shape of the last output.
    #[track_caller]
    pub fn backward(&mut self, mlp: &Mlp<F>, grad_output: ArrayView2<F>) -> &mut [F] {
        let shape = (self.rows, self.config.outputs);
        assert_eq!(grad_output.dim(), shape, "the gradient of an output has the output's shape");
        assert!(self.rows > 0, "no batch has gone forward");
        for_each(
            self.chunks.iter_mut().zip(grad_output.axis_chunks_iter(Axis(0), ROWS)),
            |_, (chunk, grad)| {
                chunk.backward(mlp, grad);
            },
        );
        self.sum_gradients()
    }

    /// Adds the chunks' gradients in their order, several parameters at a time.
    fn sum_gradients(&mut self) -> &mut [F] {
        const PIECE: usize = 16_384;
        let (first, rest) = self.chunks.split_first_mut().expect("a batch has at least one chunk");
        if !rest.is_empty() {
            for_each(first.gradient.chunks_mut(PIECE), |index, sum| {
                for chunk in &*rest {
                    let gradient = &chunk.gradient[index * PIECE..];
                    sum.iter_mut().zip(gradient).for_each(|(sum, &gradient)| *sum += gradient);
                }
            });
        }
        &mut first.gradient
    }

    /// ∂L/∂θ of the batch that went back last, as [`backward`](Self::backward) returned it.
    ///
    /// # Panics
    ///
    /// If no batch has gone forward and back.
    #[track_caller]
    pub fn gradient(&self) -> &[F] {
        let gradient = &self.chunks.first().expect("no batch has gone forward").gradient;
        assert!(!gradient.is_empty(), "no batch has gone back");
        gradient
    }

    /// The same, mutable: for clipping, for example.
    ///
    /// # Panics
    ///
    /// As [`gradient`](Self::gradient).
    #[track_caller]
    pub fn gradient_mut(&mut self) -> &mut [F] {
        let gradient = &mut self.chunks.first_mut().expect("no batch has gone forward").gradient;
        assert!(!gradient.is_empty(), "no batch has gone back");
        gradient
    }

    /// ∂L/∂x of the batch that went back last, (N, D).
    ///
    /// This is what lets one network train another: a discriminator its generator, a decoder its encoder.
    ///
    /// # Panics
    ///
    /// If no batch has gone forward and back.
    #[track_caller]
    pub fn input_gradient(&self, mlp: &Mlp<F>) -> Array2<F> {
        self.gradient(); // panics if no batch has gone forward and back
        let scale = F::of(self.config.input_scale);
        let size = self.config.embedding;
        let mut grad_x = Array2::zeros((self.rows, self.config.inputs)); // (N, D)
        let parts = grad_x.axis_chunks_iter_mut(Axis(0), ROWS);
        for (chunk, mut grad_x) in self.chunks.iter().zip(parts) {
            let (features, grad_features) = chunk.grad_features(mlp);
            for (d, mut column) in grad_x.columns_mut().into_iter().enumerate() {
                let columns = Slice::from(d * size..(d + 1) * size);
                column.assign(&sinusoidal_embedding_backward(
                    features.slice_axis(Axis(1), columns),
                    scale,
                    grad_features.slice_axis(Axis(1), columns),
                ));
            }
        }
        grad_x
    }
}

/// Calls `work` for every item, on all threads; a single item stays on this one, which is faster.
fn for_each<T: Send>(items: impl ExactSizeIterator<Item = T> + Send, work: impl Fn(usize, T) + Sync) {
    if items.len() <= 1 {
        items.enumerate().for_each(|(index, item)| work(index, item));
    } else {
        rayon::scope(|scope| {
            let work = &work;
            for (index, item) in items.enumerate() {
                scope.spawn(move |_| work(index, item));
            }
        });
    }
}
