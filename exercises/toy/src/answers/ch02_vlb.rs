//! ch02_vlb: the bound, line by line, and its first term.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch02_vlb`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{bound::derivation::LogDensities, gaussian::kl_divergence, schedule::Schedule};
use ndarray::{Array1, Array2, Axis};
use std::f64::consts::LN_2;

/// Line 2: both joints of the chain as products.
///
/// Source: Ho et al. 2020, Eq. (3) and Appendix A.
///
/// Of each trajectory, in nats: (N).
pub fn line_products(d: &LogDensities) -> Array1<f64> {
    let _ = d;
    todo!("line 2 of Appendix A: the logarithm of a product is a sum; `d.sum(1, |t| …)` adds from t = 1 to T")
}

/// Line 5: Bayes' rule turns each remaining step round.
///
/// Source: Ho et al. 2020, Appendix A.
///
/// The chain is Markov, so q(x_t | x_{t−1}) = q(x_t | x_{t−1}, x_0), and Bayes' rule can be applied given x_0.
///
/// Of each trajectory, in nats: (N).
pub fn line_bayes(d: &LogDensities) -> Array1<f64> {
    let _ = d;
    todo!(
        "line 5 of Appendix A: for t ≥ 2 the step becomes posterior times jump at t over jump at t − 1; t = 1 stays apart"
    )
}

/// Line 7: of the telescoping sum only its ends are left.
///
/// Source: Ho et al. 2020, Appendix A.
///
/// The sum is that of the jumps, Σ_{t≥2} log q(x_t | x_0)/q(x_{t−1} | x_0).
///
/// Of each trajectory, in nats: (N).
pub fn line_telescoped(d: &LogDensities) -> Array1<f64> {
    let _ = d;
    todo!(
        "line 7 of Appendix A: Σ (jump at t − jump at t − 1) over t = 2 … T keeps its first and its last number only"
    )
}

/// Line 8: q(x_1 | x_0) cancels, and three kinds of terms are left: what becomes L_T, the L_{t−1}, and L_0.
///
/// Source: Ho et al. 2020, Appendix A, Eq. (5).
///
/// Of each trajectory, in nats: (N).
pub fn line_three_terms(d: &LogDensities) -> Array1<f64> {
    let _ = d;
    todo!("line 8 of Appendix A, Eq. (5): step 1 and jump 1 are one density, so it cancels")
}

/// L_T of each point, in nats: how far q(x_T | x_0) is from N(0, I). Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, Eq. (5). Nothing in it can be learned: it is small if T steps were enough.
pub fn prior_term(schedule: &Schedule, x_0: &Array2<f64>) -> Array1<f64> {
    let _ = (schedule, x_0);
    todo!(
        "Eq. (5), L_T: KL(q(x_T | x_0) ‖ N(0, 1)), with q from Eq. (4), for each coordinate and added up over a row; \
         `kl_divergence(mean_p, variance_p, mean_q, variance_q)` is there"
    )
}

/// Nats per point to bits per dimension.
pub fn bits_per_dim(nats: f64, dimension: usize) -> f64 {
    let _ = (nats, dimension);
    todo!("below Eq. (5): a bit is ln 2 nats, and a point has D coordinates to share them")
}
