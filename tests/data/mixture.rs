use ddpm::data::{Density, GaussianMixture, Standardization};
use ndarray::{Array1, ArrayView1, array};

use crate::{
    assert_close, assert_entropy_matches_samples, assert_moments_match_samples, integrate, log_likelihood,
    rng, tweedie,
};

/// Three components of unequal weight, place and width on each axis.
fn mixture() -> GaussianMixture {
    GaussianMixture::new(
        array![0.5, 0.3, 0.2],
        array![[-1.0, 0.5], [1.5, 1.0], [0.3, -1.2]],
        array![[0.25, 0.16], [0.09, 0.5], [0.4, 0.2]],
    )
}

#[test]
fn density_integrates_to_one() {
    let total = integrate(-8.0, 8.0, 400, |x| mixture().log_density(x).exp());
    assert_close("∫ p", total, 1.0, 1e-12); // the midpoint rule converges exponentially on a smooth density
}

#[test]
fn moments_match_samples() {
    assert_moments_match_samples("mixture", &Density::Mixture(mixture()));
}

#[test]
fn components_are_drawn_by_weight() {
    let narrow = GaussianMixture { variances: 0.0 * mixture().variances + 1e-6, ..mixture() };
    let points = narrow.sample(20_000, &mut rng(3));
    for (mean, weight) in narrow.means.rows().into_iter().zip(&narrow.weights) {
        let near = points.rows().into_iter().filter(|x| (x - &mean).iter().all(|d| d.abs() < 0.1)).count();
        let standard_error = (weight * (1.0 - weight) / 20_000.0).sqrt();
        assert_close("share of a component", near as f64 / 20_000.0, *weight, 4.0 * standard_error);
    }
}

#[test]
fn entropy_of_one_gaussian_has_a_closed_form() {
    let gaussian = GaussianMixture::new(array![1.0], array![[3.0, -2.0]], array![[0.01, 4.0]]);
    let exact = (std::f64::consts::TAU * std::f64::consts::E).ln() + 0.5 * (0.01_f64 * 4.0).ln();
    assert_close("entropy", gaussian.entropy().expect("2-D"), exact, 1e-12);
    let line = GaussianMixture::new(array![1.0], array![[3.0]], array![[0.04]]);
    let exact = 0.5 * (std::f64::consts::TAU * std::f64::consts::E * 0.04).ln();
    assert_close("entropy in 1-D", line.entropy().expect("1-D"), exact, 1e-12);
}

#[test]
fn entropy_matches_samples() {
    assert_entropy_matches_samples("mixture", &Density::Mixture(mixture()));
}

#[test]
fn entropy_keeps_its_stated_accuracy() {
    // Far apart, components do not overlap, and the entropy is that of the choice plus the average of the parts'.
    let apart = GaussianMixture::new(
        array![0.25, 0.75],
        array![[-10.0, 0.0], [10.0, 0.0]],
        array![[0.01, 1.0], [1.0, 0.01]],
    );
    let choice = -(0.25 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln());
    let part = (std::f64::consts::TAU * std::f64::consts::E).ln() + 0.5 * 0.01_f64.ln();
    assert_close("entropy", apart.entropy().expect("2-D"), choice + part, 1e-7);
    // Where they do overlap, a much finer grid of our own is the second route.
    let fine = integrate(-7.0, 7.0, 1500, |x| -mixture().log_density(x).exp() * mixture().log_density(x));
    assert_close("entropy", mixture().entropy().expect("2-D"), fine, 1e-7);
}

#[test]
fn entropy_is_not_guessed_beyond_two_dimensions() {
    let solid = GaussianMixture::new(array![1.0], array![[0.0, 0.0, 0.0]], array![[1.0, 1.0, 1.0]]);
    assert_eq!(solid.entropy(), None);
}

#[test]
fn diffused_density_is_the_convolution() {
    for (scale, variance) in [(0.9, 0.19), (0.5, 0.75), (0.05, 0.9975)] {
        let diffused = mixture().diffused(scale, variance);
        for x_t in [array![0.3, -0.2], array![-2.0, 1.0]] {
            let convolved = integrate(-7.0, 7.0, 300, |x_0| {
                (mixture().log_density(x_0) + log_likelihood(x_t.view(), x_0, scale, variance)).exp()
            });
            let what = format!("q({x_t}) at scale {scale}");
            assert_close(&what, diffused.log_density(x_t.view()).exp() / convolved, 1.0, 1e-9);
        }
    }
}

#[test]
fn posterior_mean_matches_quadrature() {
    for (scale, variance) in [(0.99, 0.02), (0.8, 0.36), (0.1, 0.99)] {
        for x_t in [array![0.3, -0.2], array![-2.0, 1.0], array![5.0, -4.0]] {
            let weight = |x_0: ArrayView1<f64>| {
                (mixture().log_density(x_0) + log_likelihood(x_t.view(), x_0, scale, variance)).exp()
            };
            let evidence = integrate(-8.0, 8.0, 400, weight);
            let by_formula = mixture().posterior_mean(x_t.view(), scale, variance);
            for axis in 0..2 {
                let by_grid = integrate(-8.0, 8.0, 400, |x_0| weight(x_0) * x_0[axis]) / evidence;
                let what = format!("E[x_0 | {x_t}], axis {axis}, scale {scale}");
                assert_close(&what, by_formula[axis], by_grid, 1e-8); // both are smooth: the grid is exact to rounding
            }
        }
    }
}

#[test]
fn posterior_mean_obeys_tweedie() {
    let density = Density::Mixture(mixture());
    for (scale, variance) in [(0.999, 0.002), (0.8, 0.36), (0.0064, 0.99996)] {
        let x_t = array![0.4, -0.7];
        let by_score = tweedie(&density, x_t.view(), scale, variance);
        let by_formula = density.posterior_mean(x_t.view(), scale, variance).expect("known");
        for axis in 0..2 {
            // Rounding of ln q over the step 10⁻⁴ √variance: about 10⁻¹² √variance / scale, and the step squared.
            let tolerance = 1e-7 * variance.sqrt() / scale;
            let what = format!("axis {axis}, scale {scale}");
            assert_close(&what, by_formula[axis], by_score[axis], tolerance);
        }
    }
}

#[test]
fn posterior_mean_stays_finite_far_away() {
    let far = mixture().posterior_mean(array![1e6, -1e6].view(), 0.999_999, 1e-6);
    assert!(far.iter().all(|value| value.is_finite()), "{far}");
}

#[test]
fn transformed_density_changes_its_volume() {
    let map = Standardization::new(array![0.4, -3.0], array![2.0, 0.25]);
    let raw = mixture();
    let mapped = raw.transformed(&map);
    for x in [array![0.3, -0.2], array![-2.0, 1.0]] {
        let y: Array1<f64> = (&x - map.shift()) / map.scale();
        let expected = raw.log_density(x.view()) + map.log_volume();
        assert_close(&format!("ln p at {x}"), mapped.log_density(y.view()), expected, 1e-12);
    }
}

#[test]
fn half_space_is_the_integral_beyond_the_line() {
    // the line 2 x − y = 0.3 cuts through the components
    let beyond = |x: ArrayView1<f64>| 2.0 * x[0] - x[1] > 0.3;
    let integral =
        integrate(-6.0, 6.0, 1200, |x| if beyond(x) { mixture().log_density(x).exp() } else { 0.0 });
    let mass = mixture().half_space(array![2.0, -1.0].view(), 0.3);
    assert_close("mass beyond the line", mass, integral, 1e-4); // the cells on the line are not cut
    let other = mixture().half_space(array![-2.0, 1.0].view(), -0.3);
    assert_close("both sides together", mass + other, 1.0, 1e-12);
    assert_close("far out", mixture().half_space(array![1.0, 0.0].view(), 50.0), 0.0, 1e-300);
}

#[test]
fn rows_have_their_own_density_and_their_own_nearest_mean() {
    let x = mixture().sample(50, &mut rng(4));
    let nearest = mixture().nearest_means(&x);
    for ((x, log_p), &nearest) in x.rows().into_iter().zip(mixture().log_densities(&x)).zip(&nearest) {
        assert_eq!(log_p, mixture().log_density(x));
        let squared = |k: usize| (&mixture().means.row(k) - &x).mapv(|d| d * d).sum();
        assert!((0..3).all(|k| squared(k) >= squared(nearest)), "{x}: {nearest}");
    }
}
