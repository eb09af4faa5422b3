//! The network's formulas and gradients, each by a second route: finite differences, series, closed forms, PyTorch.

#[path = "network/float.rs"]
mod float;
#[path = "network/gradients.rs"]
mod gradients;
#[path = "network/labels.rs"]
mod labels;
#[path = "network/layers.rs"]
mod layers;
#[path = "network/mlp.rs"]
mod mlp;
#[path = "network/optimizer.rs"]
mod optimizer;
#[path = "network/pytorch.rs"]
mod pytorch;
#[path = "network/weights.rs"]
mod weights;

use ddpm::network::{Float, Mlp, MlpConfig};
use ndarray::{Array2, ArrayBase, Data, Dimension};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn uniform(shape: (usize, usize), rng: &mut StdRng) -> Array2<f64> {
    Array2::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

/// A network small enough to check every entry, large enough that no width equals another.
fn small() -> MlpConfig {
    MlpConfig { hidden: 10, layers: 2, embedding: 8, outputs: 4, input_scale: 3.0, ..MlpConfig::default() }
}

fn network<F: Float>(config: MlpConfig, seed: u64) -> Mlp<F> {
    Mlp::new(config, &mut rng(seed)).expect("the shape is within its bounds")
}

/// `n` points within ±2 and times from 1 to 1000.
fn batch(n: usize, seed: u64) -> (Array2<f64>, Vec<f64>) {
    let mut rng = rng(seed);
    let x = uniform((n, 2), &mut rng) * 2.0;
    let t = (0..n).map(|_| rng.random_range(1..=1000_usize) as f64).collect();
    (x, t)
}

/// Fails, with both values, where two arrays differ by more than `tolerance` times the larger array's largest entry.
#[track_caller]
fn assert_close<A, B, D>(name: &str, actual: &ArrayBase<A, D>, expected: &ArrayBase<B, D>, tolerance: f64)
where
    A: Data<Elem = f64>,
    B: Data<Elem = f64>,
    D: Dimension,
{
    assert_eq!(actual.shape(), expected.shape(), "{name}: the shapes differ");
    let scale = expected.iter().fold(0.0_f64, |scale, value| scale.max(value.abs()));
    for (index, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (a - e).abs();
        assert!(
            error <= tolerance * scale,
            "{name}, entry {index}: {a:e}, but {e:e} expected (scale {scale:e})"
        );
    }
}

/// The derivative of `f` at x by the central difference (f(x+h) − f(x−h)) / 2h.
///
/// h = 1e-5 balances the two errors: the formula's own, h²/6 · f‴ ≈ 2e-11 f‴, and that of rounding, 1e-16 f / h = 1e-11 f.
fn central_difference(x: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    const H: f64 = 1e-5;
    (f(x + H) - f(x - H)) / (2.0 * H)
}
