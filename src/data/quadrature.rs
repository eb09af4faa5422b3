//! One quadrature rule, for the slices of a normal density and for the moments of a curve.

/// The nodes and weights of the Gauss–Legendre rule with 5 points on \[−1, 1\]: exact for polynomials up to degree 9.
///
/// **Source**: Abramowitz and Stegun 1964, Table 25.4.
pub(super) const GAUSS_LEGENDRE: [(f64, f64); 5] = [
    (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
    (-0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
    (0.0, 0.568_888_888_888_888_9),
    (0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
    (0.906_179_845_938_664, 0.236_926_885_056_189_1),
];

/// The nodes and weights of the rule on \[lo, hi\]; the weights sum to hi − lo.
pub(super) fn gauss_legendre(lo: f64, hi: f64) -> impl Iterator<Item = (f64, f64)> {
    let (middle, half) = ((lo + hi) / 2.0, (hi - lo) / 2.0);
    GAUSS_LEGENDRE.into_iter().map(move |(node, weight)| (middle + half * node, half * weight))
}
