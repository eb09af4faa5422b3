//! A normal distribution cut to an interval: how likely the interval is, and where its mean lies.

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

use super::quadrature::gauss_legendre;

/// How much of a normal distribution lies in an interval, and its mean there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruncatedNormal {
    /// ln P(lo ≤ x ≤ hi), in nats.
    pub log_mass: f64,
    /// E\[x | lo ≤ x ≤ hi\].
    pub mean: f64,
}

// ANCHOR: truncated_normal
/// The part of N(center, deviation²) in \[lo, hi\], to nearly full relative precision however far out it lies.
///
/// With u = (x − center) / deviation between a and b, density φ and Mills' ratio R(u) = (1 − Φ(u)) / φ(u):
///
/// P = φ(a) (R(a) − R(b) e^−Δ),  E\[u\] = (1 − e^−Δ) / (R(a) − R(b) e^−Δ),  Δ = (b² − a²) / 2
///
/// Differences of Φ itself would be 0 − 0 beyond 8 deviations, and lose all their digits on a narrow interval. So
/// a narrow one is integrated by a Gauss–Legendre rule, which is exact to machine precision there.
///
/// **Source** of the truncated mean: Johnson, Kotz and Balakrishnan 1994, §13.10.1.
///
/// ```
/// let slice = ddpm::data::truncated_normal(0.0, 1.0, 30.0, 31.0);
/// assert!((slice.log_mass - -454.3212).abs() < 1e-3); // P = 5 · 10⁻¹⁹⁸
/// assert!((slice.mean - 30.0333).abs() < 1e-3);
/// ```
///
/// # Panics
///
/// Where lo ≥ hi or the deviation is not positive.
#[track_caller]
pub fn truncated_normal(center: f64, deviation: f64, lo: f64, hi: f64) -> TruncatedNormal {
    assert!(lo < hi && deviation > 0.0, "need lo < hi and a positive deviation: {lo}, {hi}, {deviation}");
    let (a, b) = ((lo - center) / deviation, (hi - center) / deviation);
    // The normal density is symmetric: an interval left of the centre is its mirror image on the right.
    let (side, near, far) = if a + b >= 0.0 { (1.0, a, b) } else { (-1.0, -b, -a) };
    let slice = if (far - near) * far.max(1.0) < 0.5 {
        narrow(near, far)
    } else if near < 0.0 {
        central(near, far)
    } else {
        tail(near, far)
    };
    let mean = (center + side * deviation * slice.mean).clamp(lo, hi);
    TruncatedNormal { mean, ..slice }
}
// ANCHOR_END: truncated_normal

/// An interval so narrow that ln φ changes by less than a half on it.
fn narrow(a: f64, b: f64) -> TruncatedNormal {
    let middle = (a + b) / 2.0;
    let (mut mass, mut moment) = (0.0, 0.0);
    for (node, weight) in gauss_legendre(a, b) {
        let relative = weight * ((middle - node) * (middle + node) / 2.0).exp();
        mass += relative;
        moment += relative * node;
    }
    TruncatedNormal { log_mass: log_normal(middle) + mass.ln(), mean: moment / mass }
}

/// An interval round the centre: both halves of its probability are positive, so nothing cancels.
fn central(a: f64, b: f64) -> TruncatedNormal {
    let mass = 0.5 * (libm::erf(b * FRAC_1_SQRT_2) - libm::erf(a * FRAC_1_SQRT_2));
    TruncatedNormal { log_mass: mass.ln(), mean: (log_normal(a).exp() - log_normal(b).exp()) / mass }
}

/// An interval right of the centre, with φ(a) factored out.
fn tail(a: f64, b: f64) -> TruncatedNormal {
    let delta = (b - a) * (b + a) / 2.0;
    let ratio = mills_ratio(a) - mills_ratio(b) * (-delta).exp();
    TruncatedNormal { log_mass: log_normal(a) + ratio.ln(), mean: -(-delta).exp_m1() / ratio }
}

/// ln φ(u) of the standard normal.
fn log_normal(u: f64) -> f64 {
    -0.5 * (u * u + TAU.ln())
}

/// Mills' ratio (1 − Φ(u)) / φ(u) for u ≥ 0: by `erfc` near the centre, by Laplace's continued fraction
/// 1/(u + 1/(u + 2/(u + 3/(u + …)))) where `erfc` would underflow. 30 terms give machine precision from u = 4 on.
fn mills_ratio(u: f64) -> f64 {
    if u < 4.0 {
        (PI / 2.0).sqrt() * (u * u / 2.0).exp() * libm::erfc(u * FRAC_1_SQRT_2)
    } else {
        1.0 / (1..30).rev().fold(u, |below, k| u + f64::from(k) / below)
    }
}
