//! ch08_score: noise predictors, scores, and the equations that they drive.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    continuous::{
        ode::{Tolerances, dormand_prince},
        score::{
            denoising_score_matching, expectation, explicit_score_matching, hutchinson, langevin_step,
            score_from_eps,
        },
        sde::{Sde, coefficients, kernel, reverse_drift},
    },
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser},
    forward::{TransitionKernel, standard_normal},
    gaussian,
    metrics::Moments,
    schedule::{Schedule, ScheduleName, linear_beta},
};
use ndarray::{Array2, ArrayView1, array};

const SDES: [Sde; 3] = [Sde::VP, Sde::SUB_VP, Sde::VE];

/// Three components of unlike weight and width on the plane.
fn three() -> GaussianMixture {
    GaussianMixture::new(
        array![0.5, 0.3, 0.2],
        array![[-1.0, 0.5], [0.8, 1.0], [0.4, -1.2]],
        array![[0.3, 0.1], [0.05, 0.2], [0.2, 0.2]],
    )
}

/// The gradient of ln p by central differences.
fn gradient(mixture: &GaussianMixture, x: ArrayView1<f64>) -> Vec<f64> {
    let h = 1e-5;
    let along = |axis: usize, by: f64| {
        let mut x = x.to_owned();
        x[axis] += by;
        mixture.log_density(x.view())
    };
    (0..x.len()).map(|axis| (along(axis, h) - along(axis, -h)) / (2.0 * h)).collect()
}

// ANCHOR: score_from_eps_is_the_gradient_of_the_log_density
#[test]
fn score_from_eps_is_the_gradient_of_the_log_density() {
    let (data, schedule) = (three(), Schedule::linear(1000, 1e-4, 0.02).unwrap());
    let exact = ExactDenoiser::new(&schedule, &data);
    for t in [1, 10, 100, 300, 1000] {
        let alpha_bar = schedule.alpha_bar(t);
        let noisy = data.diffused(alpha_bar.sqrt(), 1.0 - alpha_bar);
        let x_t = noisy.sample(20, &mut rng(1));
        let score = score_from_eps(&exact.predict(x_t.view(), t as f64).eps, 1.0 - alpha_bar);
        for (score, x) in score.rows().into_iter().zip(x_t.rows()) {
            for (axis, slope) in gradient(&noisy, x).into_iter().enumerate() {
                assert_close(&format!("t = {t}, x_t = {x:.3}, axis {axis}"), score[axis], slope, 1e-5);
            }
        }
    }
}
// ANCHOR_END: score_from_eps_is_the_gradient_of_the_log_density

#[test]
fn score_from_eps_points_back_to_a_single_point_of_data() {
    // x_t = √ᾱ x_0 + √(1 − ᾱ) ε around one x_0: the score is that of N(√ᾱ x_0, 1 − ᾱ), −(x_t − √ᾱ x_0)/(1 − ᾱ)
    let eps = standard_normal::<f64>(50, 3, &mut rng(2));
    for variance in [1e-4, 0.19, 0.5, 0.9999] {
        let score = score_from_eps(&eps, variance);
        for (got, eps) in score.iter().zip(&eps) {
            let surprise = variance.sqrt() * eps;
            assert_relative(&format!("1 − ᾱ = {variance}, ε = {eps:.4}"), *got, -surprise / variance, 1e-12);
        }
    }
}

type Line = fn(f64) -> f64;

/// What a network might say: nothing, too much, something biased, and something far off.
const CANDIDATES: [(&str, Line); 4] =
    [("0", |_| 0.0), ("−x", |x| -x), ("1 − 2x", |x| 1.0 - 2.0 * x), ("5 sin 3x", |x| 5.0 * (3.0 * x).sin())];

// ANCHOR: denoising_score_matching_is_the_explicit_loss_plus_a_constant
#[test]
fn denoising_score_matching_is_the_explicit_loss_plus_a_constant() {
    // data N(0.4, v): blurred it is N(0.4, v + σ²), and the constant is ½ [1/σ² − 1/(v + σ²)]
    for (v, sigma) in [(0.5, 0.3), (1.0, 1.0), (0.2, 2.0)] {
        let data = GaussianMixture::new(array![1.0], array![[0.4]], array![[v]]);
        let blurred = v + sigma * sigma;
        let constant = 0.5 * (1.0 / (sigma * sigma) - 1.0 / blurred);
        for (name, s) in CANDIDATES {
            let denoising = expectation(&data, sigma, |eps, x| denoising_score_matching(s(x), eps, sigma));
            let explicit =
                expectation(&data, sigma, |_, x| explicit_score_matching(s(x), (0.4 - x) / blurred));
            let what = format!("data N(0.4, {v}), σ = {sigma}, s(x) = {name}: denoising − explicit");
            assert_close(&what, denoising - explicit, constant, 1e-9 * (1.0 + denoising));
        }
    }
}
// ANCHOR_END: denoising_score_matching_is_the_explicit_loss_plus_a_constant

#[test]
fn denoising_score_matching_is_least_at_the_score() {
    let data = GaussianMixture::new(array![0.3, 0.7], array![[-1.5], [1.0]], array![[0.2], [0.4]]);
    let sigma = 0.5;
    let blurred = data.diffused(1.0, sigma * sigma);
    let loss = |shift: f64, tilt: f64| {
        expectation(&data, sigma, |eps, x| {
            let score = gradient(&blurred, array![x].view())[0];
            denoising_score_matching(score + shift + tilt * x, eps, sigma)
        })
    };
    let best = loss(0.0, 0.0);
    for (shift, tilt) in [(0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1)] {
        let other = loss(shift, tilt);
        assert!(other > best + 1e-3, "score + {shift} + {tilt} x̃ has loss {other:.6}, the score {best:.6}");
    }
}

#[test]
fn denoising_score_matching_is_l_simple_in_other_units() {
    for (eps, eps_theta, sigma) in [(0.3, 0.5, 0.1), (-1.2, 0.4, 2.0), (2.0, 2.0, 0.7)] {
        let loss = denoising_score_matching(-eps_theta / sigma, eps, sigma);
        let simple = 0.5 * f64::powi(eps - eps_theta, 2);
        let what = format!("ε = {eps}, ε_θ = {eps_theta}, σ = {sigma}: σ² times the loss");
        assert_close(&what, sigma * sigma * loss, simple, 1e-14);
    }
}

#[test]
fn langevin_step_drifts_by_half_the_step_and_shakes_by_its_root() {
    let got = langevin_step(&array![[1.0, -2.0]], &array![[3.0, 0.5]], 0.16, &array![[0.0, 1.0]]);
    // 1 + 0.08 · 3 and −2 + 0.08 · 0.5 + 0.4 · 1
    assert_all_close("x + η/2 s + √η z at η = 0.16", &got, &array![[1.24, -1.56]], 1e-14);
}

#[test]
fn langevin_step_leaves_a_gaussian_as_it_is() {
    // N(0.5, 0.3), steps of 0.03: the walk keeps the variance V for which V = (1 − η/2v)² V + η
    let (m, v, step): (f64, f64, f64) = (0.5, 0.3, 0.03);
    let mut rng = rng(3);
    let mut x = m + v.sqrt() * standard_normal::<f64>(40_000, 1, &mut rng);
    for _ in 0..60 {
        let score = x.mapv(|x| (m - x) / v);
        x = langevin_step(&x, &score, step, &standard_normal(40_000, 1, &mut rng));
    }
    let kept = step / (1.0 - (1.0 - step / (2.0 * v)).powi(2));
    let moments = Moments::of(&x);
    assert_close("mean after 60 steps", moments.mean[0], m, 4.0 * moments.mean_error[0]);
    let error = 4.0 * moments.covariance_error[(0, 0)];
    assert_close("variance after 60 steps", moments.covariance[(0, 0)], kept, error);
}

// ANCHOR: kernel_solves_the_equations_of_the_moments
#[test]
fn kernel_solves_the_equations_of_the_moments() {
    // dm/dt = a m, dv/dt = 2 a v + g², solved numerically
    for sde in SDES {
        for t in [0.01, 0.2, 0.6, 1.0] {
            let slope = |t: f64, state: &ndarray::Array1<f64>| {
                let (rate, diffusion) = coefficients(&sde, t);
                array![rate * state[0], 2.0 * rate * state[1] + diffusion]
            };
            let tight = Tolerances { absolute: 1e-14, relative: 1e-11 };
            let moments = dormand_prince(slope, array![1.0, 0.0], (0.0, t), tight).unwrap().x;
            let got = kernel(&sde, t);
            assert_relative(&format!("{}, t = {t}: signal", sde.name()), got.signal, moments[0], 1e-8);
            assert_relative(&format!("{}, t = {t}: variance", sde.name()), got.variance, moments[1], 1e-8);
        }
    }
}
// ANCHOR_END: kernel_solves_the_equations_of_the_moments

#[test]
fn kernel_starts_at_the_data() {
    for sde in SDES {
        assert_eq!(
            kernel(&sde, 0.0),
            TransitionKernel { signal: 1.0, variance: 0.0 },
            "{} at t = 0",
            sde.name()
        );
    }
}

#[test]
fn kernel_of_the_vp_sde_is_where_ddpm_s_chain_goes() {
    // the chain itself, 4000 steps
    let schedule = Schedule::linear_scaled(4000).unwrap();
    for t in [40, 400, 2000, 4000] {
        let limit = kernel(&Sde::VP, t as f64 / 4000.0);
        let alpha_bar = schedule.alpha_bar(t);
        assert_close(&format!("√ᾱ at t = {t} of 4000"), limit.signal, alpha_bar.sqrt(), 2e-3);
        assert_close(&format!("1 − ᾱ at t = {t} of 4000"), limit.variance, 1.0 - alpha_bar, 2e-3);
    }
}

// ANCHOR: reverse_drift_goes_back_through_the_same_densities
#[test]
fn reverse_drift_goes_back_through_the_same_densities() {
    // Data N(m, v) stay Gaussian: N(μ, V) at t. A drift d(x) = c + k x with noise λ g dw, run backwards, keeps
    // dμ/dt = E d = d(μ) and dV/dt = 2 k V − λ² g²; both must be what the forward process does.
    let (m, v, h) = (0.7, 0.25, 1e-5);
    for sde in SDES {
        let marginal = |t: f64| {
            let at = kernel(&sde, t);
            (at.signal * m, at.signal.powi(2) * v + at.variance)
        };
        for t in [0.05, 0.3, 0.9] {
            let ((mean, variance), (before, after)) = (marginal(t), (marginal(t - h), marginal(t + h)));
            for lambda in [0.0, 0.5, 1.0] {
                let at = |x: f64| {
                    let score = array![[(mean - x) / variance]];
                    reverse_drift(&sde, t, &array![[x]], &score, lambda)[(0, 0)]
                };
                let what = format!("{}, t = {t}, λ = {lambda}", sde.name());
                let moved = (after.0 - before.0) / (2.0 * h);
                assert_close(&format!("{what}: dμ/dt"), at(mean), moved, 1e-6);
                let slope = at(mean + 1.0) - at(mean);
                let (_, diffusion) = coefficients(&sde, t);
                let widened = 2.0 * slope * variance - lambda * lambda * diffusion;
                let expected = (after.1 - before.1) / (2.0 * h);
                assert_relative(&format!("{what}: dV/dt"), widened, expected, 1e-6);
            }
        }
    }
}
// ANCHOR_END: reverse_drift_goes_back_through_the_same_densities

#[test]
fn reverse_drift_of_a_process_in_equilibrium_is_its_mirror_image() {
    // N(0, 1) stays N(0, 1) under VP, with score −x: the flow stands still, and the reverse SDE is the forward one, whose
    // drift is −β/2 x in its own time
    for t in [0.1, 0.5, 1.0] {
        let (beta, _) = linear_beta(0.1, 20.0, t);
        for x in [-1.3, 0.4] {
            let drift = |lambda: f64| reverse_drift(&Sde::VP, t, &array![[x]], &array![[-x]], lambda)[(0, 0)];
            assert_close(&format!("t = {t}, x = {x}: the flow"), drift(0.0), 0.0, 1e-12);
            assert_relative(&format!("t = {t}, x = {x}: back in time"), -drift(1.0), -beta / 2.0 * x, 1e-12);
            assert_relative(&format!("t = {t}, x = {x}, λ = ½"), drift(0.5), beta / 8.0 * x, 1e-12);
        }
    }
}

/// ∇² ln p by second differences.
fn laplacian(mixture: &GaussianMixture, x: ArrayView1<f64>) -> f64 {
    let h = 1e-3;
    let at = |axis: usize, by: f64| {
        let mut x = x.to_owned();
        x[axis] += by;
        mixture.log_density(x.view())
    };
    // fourth order: (−f(−2h) + 16 f(−h) − 30 f(0) + 16 f(h) − f(2h)) / 12 h²
    let stencil = [(-2.0, -1.0), (-1.0, 16.0), (0.0, -30.0), (1.0, 16.0), (2.0, -1.0)];
    let axes = (0..x.len()).flat_map(|axis| stencil.map(|(by, weight)| weight * at(axis, by * h)));
    axes.sum::<f64>() / (12.0 * h * h)
}

// ANCHOR: hutchinson_averages_to_the_divergence
#[test]
fn hutchinson_averages_to_the_divergence() {
    // over all four pairs of signs, each as likely as the others, the mean is exactly the trace
    let data = three();
    let at = TransitionKernel { signal: 0.8, variance: 0.1 };
    let noisy = data.diffused(at.signal, at.variance);
    let x = noisy.sample(20, &mut rng(4));
    let signs = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
    let estimates = signs.map(|v| {
        let v = Array2::from_shape_fn(x.dim(), |(_, axis)| v[axis]);
        hutchinson(&data, &x, &v, at)
    });
    assert_eq!(estimates[0].len(), x.nrows(), "one estimate a row");
    for (row, point) in x.rows().into_iter().enumerate() {
        let mean = estimates.iter().map(|estimate| estimate[row]).sum::<f64>() / 4.0;
        let exact = laplacian(&noisy, point);
        assert_close(
            &format!("mean over the signs at x = {point:.3}"),
            mean,
            exact,
            1e-5 * (1.0 + exact.abs()),
        );
        // (J v)·v, and v and −v say the same
        assert_close("v and −v", estimates[0][row], estimates[3][row], 1e-12 * (1.0 + exact.abs()));
    }
}
// ANCHOR_END: hutchinson_averages_to_the_divergence

#[test]
fn hutchinson_of_a_gaussian_weighs_each_axis() {
    // J = −diag(1/v), so vᵀ J v = −Σ v_i²/variance_i
    let data = GaussianMixture::new(array![1.0], array![[0.0, 0.0, 0.0]], array![[0.5, 1.0, 2.0]]);
    let at = TransitionKernel { signal: 1.0, variance: 0.0 };
    let v = standard_normal::<f64>(10, 3, &mut rng(5));
    let got = hutchinson(&data, &standard_normal(10, 3, &mut rng(6)), &v, at);
    for (row, v) in v.rows().into_iter().enumerate() {
        let exact = -(v[0] * v[0] / 0.5 + v[1] * v[1] + v[2] * v[2] / 2.0);
        assert_close(&format!("row {row}"), got[row], exact, 1e-12);
    }
}

#[test]
fn the_world_of_these_tests_is_what_it_says() {
    // ln p of the mixture from one-dimensional normals, so that the gradients above are those of a known density
    let (data, x) = (three(), array![0.2, -0.3]);
    let parts = (0..3).map(|k| {
        let axis = |i: usize| gaussian::log_density(x[i], data.means[(k, i)], data.variances[(k, i)]);
        data.weights[k] * (axis(0) + axis(1)).exp()
    });
    assert_close("ln p", data.log_density(x.view()), parts.sum::<f64>().ln(), 1e-13);
    assert_eq!(ScheduleName::Linear.schedule(1000).unwrap(), Schedule::linear(1000, 1e-4, 0.02).unwrap());
}
