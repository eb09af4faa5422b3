//! What the test files share: comparisons that print both values, and seeded generators.
#![allow(dead_code, reason = "each test file uses its own part")]

use ddpm::sampler::Step;
use ndarray::{Array2, Zip};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// |got − expected| ≤ tolerance, absolutely; NaN never passes.
#[track_caller]
pub fn assert_close(what: &str, got: f64, expected: f64, tolerance: f64) {
    let error = (got - expected).abs();
    assert!(
        error <= tolerance,
        "{what}: got {got:.9e}, expected {expected:.9e}; error {error:.1e} > {tolerance:.1e}"
    );
}

/// |got − expected| ≤ tolerance · |expected|; NaN never passes.
#[track_caller]
pub fn assert_relative(what: &str, got: f64, expected: f64, tolerance: f64) {
    assert_close(what, got, expected, tolerance * expected.abs());
}

/// Every entry within `tolerance`, absolutely.
#[track_caller]
pub fn assert_all_close(what: &str, got: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
    assert_eq!(got.dim(), expected.dim(), "{what}: shapes");
    Zip::indexed(got).and(expected).for_each(|at, &got, &expected| {
        assert_close(&format!("{what} at {at:?}"), got, expected, tolerance);
    });
}

/// Two steps do the same to x_t, to ε and with fresh noise, by whichever factors each says it.
#[track_caller]
pub fn assert_same_step(what: &str, got: Step, expected: Step) {
    let of_x_t = |step: Step| step.x_t + step.x_0 * step.x_0_from_x_t;
    let of_eps = |step: Step| step.eps + step.x_0 * step.x_0_from_eps;
    assert_relative(&format!("{what}: factor of x_t"), of_x_t(got), of_x_t(expected), 1e-9);
    assert_relative(&format!("{what}: factor of ε"), of_eps(got), of_eps(expected), 1e-6);
    assert_close(&format!("{what}: noise"), got.noise, expected.noise, 1e-12);
}
