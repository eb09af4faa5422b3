use ddpm::data::truncated_normal;

use crate::assert_close;

/// ln ∫ and mean of a standard normal on [a, b] by Simpson's rule, on the part where it is not negligible.
fn by_simpson(a: f64, b: f64) -> (f64, f64) {
    let top: f64 = 0.0_f64.clamp(a, b);
    // Beyond 40 decay lengths of the end nearest to the centre less than e⁻⁴⁰ is left.
    let reach = 40.0 / top.abs().max(4.0);
    let (lo, hi) = (a.max(top - reach), b.min(top + reach));
    let cells = 20_000;
    let step = (hi - lo) / f64::from(cells);
    let (mut mass, mut moment) = (0.0, 0.0);
    for i in 0..=cells {
        let offset = (lo - top) + f64::from(i) * step;
        let coefficient = if i == 0 || i == cells { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
        let weight = coefficient * step / 3.0 * (-offset * (top + offset / 2.0)).exp();
        mass += weight;
        moment += weight * offset;
    }
    let log_top = -0.5 * (top * top + std::f64::consts::TAU.ln());
    (log_top + mass.ln(), top + moment / mass)
}

/// Intervals in standard deviations, on all branches of the formula and at their borders.
const INTERVALS: [(f64, f64); 22] = [
    (-1.0, 2.0),
    (-0.1, 0.1),
    (-0.1, 3.0),
    (-30.0, 30.0),
    (0.0, 1.0),
    (0.0, 40.0),
    (1.0, 1.0 + 1e-6),
    (0.3, 0.79),
    (0.3, 0.81),
    (3.9, 4.1),
    (3.9, 6.0),
    (4.0, 5.0),
    (8.0, 8.01),
    (8.0, 8.1),
    (8.0, 9.0),
    (8.0, 100.0),
    (12.0, 12.3),
    (35.0, 35.001),
    (35.0, 35.4),
    (35.0, 36.0),
    (1000.0, 1000.0001),
    (1000.0, 1100.0),
];

#[test]
fn mass_and_mean_match_quadrature() {
    for (a, b) in INTERVALS {
        let (log_mass, mean) = by_simpson(a, b);
        let slice = truncated_normal(0.0, 1.0, a, b);
        let relative = 1e-11; // of the mass: Simpson's error here is below 10⁻¹²
        assert_close(
            &format!("ln mass on [{a}, {b}]"),
            slice.log_mass,
            log_mass,
            relative + 1e-15 * log_mass.abs(),
        );
        let scale = (b - a).min(1.0 / a.abs().max(1.0)); // the width of the slice or its decay length
        assert_close(&format!("mean on [{a}, {b}]"), slice.mean, mean, 1e-10 * scale + 4e-16 * a.abs());
    }
}

#[test]
fn an_interval_and_its_mirror_image_agree() {
    for (a, b) in INTERVALS {
        let (right, left) = (truncated_normal(0.0, 1.0, a, b), truncated_normal(0.0, 1.0, -b, -a));
        assert_eq!(left.log_mass, right.log_mass, "ln mass on [{a}, {b}]");
        // Exactly, but for an interval that is its own image, whose mean is 0 but for rounding.
        assert_close(&format!("mean on [{a}, {b}]"), left.mean, -right.mean, 1e-17);
    }
}

#[test]
fn centre_and_deviation_move_and_stretch() {
    let (center, deviation) = (3.0, 0.25);
    for (a, b) in INTERVALS {
        let unit = truncated_normal(0.0, 1.0, a, b);
        let moved = truncated_normal(center, deviation, center + deviation * a, center + deviation * b);
        // Adding the centre rounds a and b, and the mass follows by a relative a · 10⁻¹⁵ and 10⁻¹⁵ / (b − a).
        let tolerance = 1e-14 * (a.abs() + 1.0).powi(2) + 1e-14 * (1.0 + a.abs()) / (b - a);
        assert_close(&format!("ln mass on [{a}, {b}]"), moved.log_mass, unit.log_mass, tolerance);
        let expected = center + deviation * unit.mean;
        assert_close(&format!("mean on [{a}, {b}]"), moved.mean, expected, 1e-13 * (1.0 + a.abs()));
    }
}

#[test]
fn slices_add_up_to_the_whole() {
    let edges: Vec<f64> = (-80..=80).map(|i| f64::from(i) * 0.25).collect();
    let slices = || edges.windows(2).map(|edge| truncated_normal(0.37, 1.3, edge[0], edge[1]));
    let total: f64 = slices().map(|slice| slice.log_mass.exp()).sum();
    let mean: f64 = slices().map(|slice| slice.log_mass.exp() * slice.mean).sum();
    assert_close("total mass", total, 1.0, 1e-14);
    assert_close("total mean", mean, 0.37, 1e-14);
}
