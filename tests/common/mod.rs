//! What the test files share: comparisons that print both values, and seeded generators.
#![allow(dead_code, reason = "each test file uses its own part")]

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
