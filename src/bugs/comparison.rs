//! Two ways of comparing that do not compare.

use super::Variant;
use crate::metrics::largest;
use ndarray::ArrayView1;

// ANCHOR: bug_13
/// B13. KL(N(μ_p, v_p) ‖ N(μ_q, v_q)) by a formula that takes *log*-variances: it is given ln v, or v.
///
/// KL = ½ [s_q − s_p − 1 + e^{s_p − s_q} + (μ_p − μ_q)² e^{−s_q}], s = ln v; nats, one coordinate.
pub fn kl_divergence(mean_p: f64, variance_p: f64, mean_q: f64, variance_q: f64, variant: Variant) -> f64 {
    let (s_p, s_q) = match variant {
        Variant::Right => (variance_p.ln(), variance_q.ln()),
        Variant::Wrong => (variance_p, variance_q),
    };
    0.5 * (s_q - s_p - 1.0 + (s_p - s_q).exp() + (mean_p - mean_q).powi(2) * (-s_q).exp())
}
// ANCHOR_END: bug_13

// ANCHOR: bug_14
/// B14. How far a result is from what was expected: the largest |difference|, or |the sum of the differences|.
pub fn disagreement(got: ArrayView1<f64>, expected: ArrayView1<f64>, variant: Variant) -> f64 {
    let differences = got.iter().zip(expected).map(|(got, expected)| got - expected);
    match variant {
        Variant::Right => largest(differences.map(f64::abs)),
        Variant::Wrong => differences.sum::<f64>().abs(),
    }
}
// ANCHOR_END: bug_14
