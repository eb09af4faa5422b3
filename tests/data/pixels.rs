use ddpm::data::{Density, PixelDensity, Standardization};
use ndarray::{Array1, array};

use crate::{
    assert_close, assert_entropy_matches_samples, assert_moments_match_samples, integrate, rng, tweedie,
};

/// Twelve cells of unequal widths, heights and masses, some of them empty.
fn pixels() -> PixelDensity {
    PixelDensity::new(
        vec![-2.0, -0.75, 0.0, 0.5, 1.5],
        vec![-1.0, -0.5, 0.75, 2.0],
        array![[1.0, 0.0, 3.0, 0.5], [0.0, 2.0, 0.0, 4.0], [5.0, 0.0, 1.0, 0.0]],
    )
}

/// ln q(x_t) and E[x_0 | x_t] by a 2-D Simpson rule in each inked cell, where its posterior is not negligible.
fn by_simpson(density: &PixelDensity, x_t: &Array1<f64>, scale: f64, variance: f64) -> (f64, Array1<f64>) {
    const CELLS: usize = 240;
    let deviation = variance.sqrt() / scale;
    let window = |edges: &[f64], cell: usize, x_t: f64| {
        let top = (x_t / scale).clamp(edges[cell], edges[cell + 1]);
        // Nine deviations, or forty decay lengths where the cell lies in the tail.
        let distance = (top - x_t / scale).abs() / deviation;
        let reach = deviation * (40.0 / distance.max(4.0)).min(9.0);
        let (lo, hi) = (edges[cell].max(top - reach), edges[cell + 1].min(top + reach));
        let step = (hi - lo) / CELLS as f64;
        (0..=CELLS).map(move |i| {
            let end = i == 0 || i == CELLS;
            (lo + i as f64 * step, step / 3.0 * if end { 1.0 } else { (2 + 2 * (i % 2)) as f64 })
        })
    };
    let mut terms = Vec::new(); // (ln weight, x, y)
    for ((row, column), mass) in density.mass().indexed_iter().filter(|(_, mass)| **mass > 0.0) {
        let (x_edges, y_edges) = (density.x_edges(), density.y_edges());
        let area = (x_edges[column + 1] - x_edges[column]) * (y_edges[row + 1] - y_edges[row]);
        for (x, x_weight) in window(x_edges, column, x_t[0]) {
            for (y, y_weight) in window(y_edges, row, x_t[1]) {
                let square = (x_t[0] - scale * x).powi(2) + (x_t[1] - scale * y).powi(2);
                terms.push(((mass / area * x_weight * y_weight).ln() - square / (2.0 * variance), x, y));
            }
        }
    }
    let largest = terms.iter().fold(f64::NEG_INFINITY, |a, term| a.max(term.0));
    let sum =
        |f: &dyn Fn(&(f64, f64, f64)) -> f64| terms.iter().map(|t| (t.0 - largest).exp() * f(t)).sum::<f64>();
    let total = sum(&|_| 1.0);
    let log_q = largest + total.ln() - (std::f64::consts::TAU * variance).ln();
    (log_q, array![sum(&|t| t.1) / total, sum(&|t| t.2) / total])
}

#[track_caller]
fn assert_posterior_matches_quadrature(density: &PixelDensity, x_t: Array1<f64>, scale: f64, variance: f64) {
    let (log_q, mean) = by_simpson(density, &x_t, scale, variance);
    let what = format!("x_t {x_t}, scale {scale}, variance {variance:e}");
    // Simpson's relative error is about (slope · step)⁴ / 180, below 10⁻⁵ with 240 steps over 40 decay lengths.
    let got = density.diffused_log_density(x_t.view(), scale, variance);
    assert_close(&format!("ln q, {what}"), got, log_q, 2e-5 + 1e-12 * log_q.abs());
    let got = density.posterior_mean(x_t.view(), scale, variance);
    for axis in 0..2 {
        let deviation = (variance.sqrt() / scale).min(1.0);
        assert_close(&format!("E[x_0], axis {axis}, {what}"), got[axis], mean[axis], 2e-5 * deviation);
    }
}

#[test]
fn density_integrates_to_one() {
    // Every edge lies on the grid's, so the midpoint rule is exact.
    let total = integrate(-3.0, 3.0, 48, |x| pixels().log_density(x).exp());
    assert_close("∫ p", total, 1.0, 1e-13);
}

#[test]
fn moments_match_samples() {
    assert_moments_match_samples("pixels", &Density::Pixels(pixels()));
}

#[test]
fn entropy_matches_samples() {
    assert_entropy_matches_samples("pixels", &Density::Pixels(pixels()));
}

#[test]
fn every_draw_falls_on_ink() {
    let points = pixels().sample(20_000, &mut rng(4));
    let off = points.rows().into_iter().find(|x| pixels().log_density(*x) == f64::NEG_INFINITY);
    assert_eq!(off, None, "a point without ink under it");
}

#[test]
fn posterior_matches_quadrature() {
    for (scale, variance) in [(0.999, 1e-3), (0.9, 0.19), (0.3, 0.91), (0.0064, 0.99996)] {
        for x_t in [array![0.1, 0.1], array![-1.2, 1.7], array![1.0, -0.8], array![3.0, -2.5]] {
            assert_posterior_matches_quadrature(&pixels(), x_t, scale, variance);
        }
    }
}

#[test]
fn posterior_is_stable_at_tiny_variance() {
    let (scale, variance) = (0.999_999_5_f64, 1e-6_f64);
    let deviation = variance.sqrt();
    // In the ink, on a border between ink and none, on an inked corner, and in a blank cell.
    for x_0 in [array![0.25, -0.75], array![0.5, -0.7], array![0.5, -0.5], array![-0.2, -0.8]] {
        assert_posterior_matches_quadrature(&pixels(), scale * &x_0, scale, variance);
    }
    // Eight standard deviations beyond the right edge, and beyond the upper left corner.
    for x_0 in [array![1.5 + 8.0 * deviation, 0.1], array![-2.0 - 8.0 * deviation, 2.0 + 8.0 * deviation]] {
        assert_posterior_matches_quadrature(&pixels(), scale * &x_0, scale, variance);
    }
    // Thousands of standard deviations away: the posterior sits on the nearest ink.
    assert_posterior_matches_quadrature(&pixels(), array![9.0, 0.1], scale, variance);
    let nearest = pixels().posterior_mean(array![9.0, 0.1].view(), scale, variance);
    assert_close("x on the right edge", nearest[0], 1.5, 1e-6);
}

#[test]
fn posterior_is_stable_eight_deviations_away() {
    for (scale, variance) in [(0.9_f64, 0.01_f64), (0.5, 0.25), (0.1, 0.99)] {
        let right = scale * 1.5 + 8.0 * variance.sqrt();
        let below = -scale - 8.0 * variance.sqrt();
        for x_t in [array![right, 0.3], array![0.1, below], array![right, below]] {
            assert_posterior_matches_quadrature(&pixels(), x_t, scale, variance);
        }
    }
}

#[test]
fn posterior_finds_ink_that_no_likely_row_and_column_share() {
    // x_t lies over blank paper: its own column and row have ink, but elsewhere, and the products underflow.
    let diagonal =
        PixelDensity::new(vec![0.0, 1.0, 2.0], vec![0.0, 1.0, 2.0], array![[1.0, 0.0], [0.0, 1.0]]);
    for x_t in [array![1.4, 0.5], array![1.5, 0.6], array![1.5, 0.5]] {
        assert_posterior_matches_quadrature(&diagonal, x_t, 1.0, 1e-6);
    }
    let nearest = diagonal.posterior_mean(array![1.4, 0.5].view(), 1.0, 1e-6);
    assert_close("the nearest ink", nearest[0], 1.0, 1e-5);
}

#[test]
fn posterior_keeps_its_digits_where_products_begin_to_underflow() {
    // The ink at distance 0.4 weighs e^(−0.08 / variance) against the blank cell round x_t; f64 ends at e⁻⁷⁴⁵, and
    // loses digits from e⁻⁷⁰⁸ on.
    let diagonal =
        PixelDensity::new(vec![0.0, 1.0, 2.0], vec![0.0, 1.0, 2.0], array![[1.0, 0.0], [0.0, 1.0]]);
    for exponent in [430.0, 450.0, 470.0, 700.0, 730.0, 736.0, 738.0, 740.0, 742.0, 744.0, 760.0] {
        assert_posterior_matches_quadrature(&diagonal, array![1.4, 0.5], 1.0, 0.08 / exponent);
    }
}

#[test]
fn cells_contain_their_lower_edges() {
    let inside = pixels().log_density(array![-0.5, 0.1].view());
    assert_eq!(pixels().log_density(array![-0.75, -0.5].view()), inside);
    assert_eq!(pixels().log_density(array![-0.75, 0.75].view()), f64::NEG_INFINITY);
    assert_eq!(pixels().log_density(array![1.5, 0.0].view()), f64::NEG_INFINITY);
    assert_eq!(pixels().log_density(array![-2.1, -0.9].view()), f64::NEG_INFINITY);
}

#[test]
fn posterior_mean_obeys_tweedie() {
    let density = Density::Pixels(pixels());
    for (scale, variance) in [(0.999, 0.002), (0.8, 0.36), (0.0064, 0.99996)] {
        for x_t in [array![0.1, 0.1], array![-2.5, 1.0]] {
            let by_score = tweedie(&density, x_t.view(), scale, variance);
            let by_formula = density.posterior_mean(x_t.view(), scale, variance).expect("known");
            for axis in 0..2 {
                // Rounding of ln q over the step 10⁻⁴ √variance: about 10⁻¹¹ √variance / scale, and the step squared.
                let tolerance = 1e-7 * variance.sqrt() / scale;
                let what = format!("axis {axis}, x_t {x_t}, scale {scale}");
                assert_close(&what, by_formula[axis], by_score[axis], tolerance);
            }
        }
    }
}

#[test]
fn diffused_density_integrates_to_one() {
    let total = integrate(-8.0, 8.0, 200, |x_t| pixels().diffused_log_density(x_t, 0.8, 0.36).exp());
    assert_close("∫ q", total, 1.0, 1e-10);
}

#[test]
fn transformed_density_changes_its_volume() {
    let map = Standardization::new(array![0.4, -3.0], array![2.0, 0.25]);
    let mapped = pixels().transformed(&map);
    for x in [array![0.3, -0.7], array![-0.5, 0.1]] {
        let y: Array1<f64> = (&x - map.shift()) / map.scale();
        let expected = pixels().log_density(x.view()) + map.log_volume();
        assert_close(&format!("ln p at {x}"), mapped.log_density(y.view()), expected, 1e-12);
    }
    assert_close("entropy", mapped.entropy(), pixels().entropy() - map.log_volume(), 1e-13);
    let points = pixels().sample(100, &mut rng(5));
    assert_close(
        "the same draws",
        crate::max_abs(&mapped.sample(100, &mut rng(5)), &map.apply(points.view())),
        0.0,
        1e-13,
    );
}

#[test]
fn an_image_stands_upright() {
    let top_left = PixelDensity::from_image(array![[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]].view()).expect("ink");
    assert_eq!(top_left.mean(), array![0.5, 2.5]);
    assert_eq!(PixelDensity::from_image(array![[0.0, 0.0]].view()), None);
}
