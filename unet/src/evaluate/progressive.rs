//! Progressive decoding: how good the picture is after so many bits.

// ANCHOR: progressive_rates
/// What has been sent when the receiver has x_t: the sum of L_s over s = t … T, for t = 0 … T.
///
/// Source: Ho et al. 2020, §4.3 and Algorithms 3 and 4.
///
/// `terms` are L_0 … L_T; so are the rates, in the same unit. At t = T that is L_T alone, at t = 0 the whole bound.
pub fn progressive_rates(terms: &[f64]) -> Vec<f64> {
    let mut sent = 0.0;
    let mut rates: Vec<f64> = terms
        .iter()
        .rev()
        .map(|term| {
            sent += term;
            sent
        })
        .collect();
    rates.reverse();
    rates
}
// ANCHOR_END: progressive_rates

// ANCHOR: rmse_in_levels
/// The root of a mean squared error of numbers in [−1, 1], in levels of 0 … 255.
///
/// Source: Ho et al. 2020, Table 4: 255/2 levels are a distance of 1.
pub fn rmse_in_levels(mean_squared_error: f64) -> f64 {
    127.5 * mean_squared_error.sqrt()
}
// ANCHOR_END: rmse_in_levels
