//! The module `data`: densities against quadrature and Monte Carlo, data sets, and the files a reader may get wrong.

#[path = "data/datasets.rs"]
mod datasets;
#[path = "data/files.rs"]
mod files;
#[path = "data/kinds.rs"]
mod kinds;
#[path = "data/mixture.rs"]
mod mixture;
#[path = "data/pixels.rs"]
mod pixels;
#[path = "data/truncated.rs"]
mod truncated;

use ddpm::data::Density;
use ndarray::{Array1, Array2, ArrayView1, Axis, array};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

const SAMPLES: usize = 100_000;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

#[track_caller]
fn assert_close(what: &str, got: f64, want: f64, tolerance: f64) {
    let error = (got - want).abs();
    assert!(error <= tolerance, "{what}: got {got}, want {want}, |error| {error:e} > {tolerance:e}");
}

/// Four standard errors: a right value fails once in 16 000 seeds, and the seeds are fixed.
#[track_caller]
fn assert_within_4_standard_errors(what: &str, values: &Array1<f64>, want: f64) {
    let standard_error = (values.var(1.0) / values.len() as f64).sqrt();
    let mean = values.mean().expect("values");
    assert_close(what, mean, want, 4.0 * standard_error);
}

/// A density's exact moments against those of its own draws.
#[track_caller]
fn assert_moments_match_samples(name: &str, density: &Density) {
    let points = density.sample(SAMPLES, &mut rng(1));
    let (mean, variance) = (density.mean(), density.variance());
    for axis in 0..mean.len() {
        let deviations = &points.index_axis(Axis(1), axis) - mean[axis];
        assert_within_4_standard_errors(&format!("{name}: mean, axis {axis}"), &deviations, 0.0);
        let squares = deviations.mapv(|d| d * d);
        assert_within_4_standard_errors(&format!("{name}: variance, axis {axis}"), &squares, variance[axis]);
    }
}

/// The entropy against −E[ln p] over draws.
#[track_caller]
fn assert_entropy_matches_samples(name: &str, density: &Density) {
    let points = density.sample(SAMPLES, &mut rng(2));
    let surprises = points.map_axis(Axis(1), |point| -density.log_density(point).expect("a known density"));
    let entropy = density.entropy().expect("a known entropy");
    // A uniform density has no spread of surprise at all, so rounding needs its own tolerance.
    let standard_error = (surprises.var(1.0) / SAMPLES as f64).sqrt();
    let mean = surprises.mean().expect("values");
    assert_close(&format!("{name}: entropy"), entropy, mean, 4.0 * standard_error + 1e-9);
}

/// Tweedie's formula, E[x_0 | x_t] = (x_t + variance ∇ ln q(x_t)) / scale, with the gradient by central differences.
fn tweedie(density: &Density, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> Array1<f64> {
    let step = 1e-4 * variance.sqrt();
    let log_q = |x: &Array1<f64>| density.diffused_log_density(x.view(), scale, variance).expect("known");
    let score = Array1::from_shape_fn(2, |axis| {
        let offset = Array1::from_shape_fn(2, |a| if a == axis { step } else { 0.0 });
        (log_q(&(&x_t + &offset)) - log_q(&(&x_t - &offset))) / (2.0 * step)
    });
    (&x_t + variance * score) / scale
}

/// The midpoint rule on a square box: ∫ f(x) dx over [lo, hi]².
fn integrate(lo: f64, hi: f64, cells: usize, mut f: impl FnMut(ArrayView1<f64>) -> f64) -> f64 {
    let width = (hi - lo) / cells as f64;
    let mut x = array![0.0, 0.0];
    let mut sum = 0.0;
    for i in 0..cells {
        for j in 0..cells {
            x[0] = lo + (i as f64 + 0.5) * width;
            x[1] = lo + (j as f64 + 0.5) * width;
            sum += f(x.view());
        }
    }
    sum * width * width
}

/// ln N(x_t; scale · x_0, variance I) on the plane.
fn log_likelihood(x_t: ArrayView1<f64>, x_0: ArrayView1<f64>, scale: f64, variance: f64) -> f64 {
    let square: f64 = x_t.iter().zip(x_0).map(|(t, zero)| (t - scale * zero).powi(2)).sum();
    -square / (2.0 * variance) - (std::f64::consts::TAU * variance).ln()
}

/// The largest difference between two arrays.
fn max_abs(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |largest, d| d.abs().max(largest))
}
