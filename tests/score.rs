//! Scores of mixtures, Langevin dynamics, and the solvers of the reverse SDE and its ODE, by second routes.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    Error,
    baselines::modes::{two_humps, two_modes},
    continuous::{
        ode::{Tolerances, dormand_prince, heun},
        score::{
            Score, annealed_langevin, conversion, ddpm_from_ncsn, denoising_score_matching, divergence,
            eps_from_score, expectation, explicit_score_matching, geometric_sigmas, implicit_score_matching,
            langevin, langevin_step, langevin_variance, matching_constant, matching_losses, mixture_score,
            mixture_score_along, ncsn_from_ddpm, planar_score, score_from_eps,
        },
        sde::{
            Corrector, Sde, Solver, Trace, coefficients, coupled_distance, coupled_order,
            euler_maruyama_step, kernel, likelihood_error, log_likelihood, marginal_distance, prior_cost,
            prior_sample, prior_variance, probability_flow, probe_errors, qualities, quality, rademacher,
            reverse_sde, reverse_step_distance, uniform_times,
        },
    },
    data::{Dataset, DatasetName, Density, GaussianMixture},
    denoiser::{Denoiser, ExactDenoiser},
    forward::{TransitionKernel, standard_normal},
    gaussian,
    metrics::{Estimate, Evaluator, Moments, largest, largest_difference, mean, standard_error},
    schedule::{Schedule, noise_to_signal},
};
use ndarray::{Array1, Array2, array};
use std::cell::Cell;

const SDES: [Sde; 3] = [Sde::VP, Sde::SUB_VP, Sde::VE];

fn ring() -> GaussianMixture {
    match Dataset::named(DatasetName::Gaussians8, "").unwrap().density() {
        Density::Mixture(mixture) => mixture.clone(),
        other => panic!("eight Gaussians are a mixture, not {other:?}"),
    }
}

fn two_on_a_line() -> GaussianMixture {
    GaussianMixture::new(array![0.3, 0.7], array![[-1.5], [1.0]], array![[0.2], [0.4]])
}

/// One Gaussian on the plane.
fn one(mean: f64, variance: f64) -> GaussianMixture {
    GaussianMixture::new(array![1.0], array![[mean, mean]], array![[variance, variance]])
}

fn standard_normal_log_density(x: ndarray::ArrayView1<f64>, variance: f64) -> f64 {
    x.iter().map(|&x| gaussian::log_density(x, 0.0, variance)).sum()
}

#[test]
fn mixture_score_is_the_gradient_and_its_derivative_the_hessian() {
    let (data, h) = (ring(), 1e-5);
    let at = TransitionKernel { signal: 0.9, variance: 0.05 };
    let noisy = data.diffused(at.signal, at.variance);
    let x = noisy.sample(30, &mut rng(1));
    let v = standard_normal::<f64>(30, 2, &mut rng(2));
    let moved = |by: f64| &x + &(by * &v);
    let slope =
        |by: f64| -> Array1<f64> { moved(by).rows().into_iter().map(|x| noisy.log_density(x)).collect() };
    let along = (slope(h) - slope(-h)) / (2.0 * h); // ∇ ln p · v
    let score = mixture_score(&noisy, &x);
    let projected = (&score * &v).sum_axis(ndarray::Axis(1));
    assert!(largest_difference(&projected, &along) < 1e-5, "{projected} against {along}");
    let change = (mixture_score(&noisy, &moved(h)) - mixture_score(&noisy, &moved(-h))) / (2.0 * h);
    let product = mixture_score_along(&noisy, &x, &v);
    assert_all_close("J v", &product, &change, 1e-4);
    assert_eq!((data.score(&x, at), data.score_along(&x, &v, at)), (score, product), "under the same noise");
    // far out, where every density underflows, one component pulls alone
    let far = array![[1e3, 0.0]];
    let pull = (0.9 * 2f64.sqrt() - 1e3) / noisy.variances[(0, 0)];
    assert_relative("a score far out", mixture_score(&noisy, &far)[(0, 0)], pull, 1e-3);
}

#[test]
fn divergence_is_the_trace_of_the_hessian() {
    let (data, h) = (ring(), 1e-4);
    let at = TransitionKernel { signal: 0.7, variance: 0.2 };
    let x = data.diffused(at.signal, at.variance).sample(30, &mut rng(3));
    let traces: Array1<f64> = (0..2)
        .map(|axis| {
            let mut unit = Array2::zeros(x.dim());
            unit.column_mut(axis).fill(h);
            let change = (data.score(&(&x + &unit), at) - data.score(&(&x - &unit), at)) / (2.0 * h);
            change.column(axis).to_owned()
        })
        .fold(Array1::zeros(30), |sum, part| sum + part);
    let got = divergence(&data, &x, at);
    assert!(largest_difference(&got, &traces) < 1e-5, "{got} against {traces}");
}

#[test]
fn ddpm_and_ncsn_say_the_same_in_both_directions() {
    let (data, schedule) = (ring(), Schedule::linear(1000, 1e-4, 0.02).unwrap());
    let exact = ExactDenoiser::new(&schedule, &data);
    for t in [1, 50, 400, 1000] {
        let alpha_bar = schedule.alpha_bar(t);
        let sigma = noise_to_signal(alpha_bar);
        let x_t = data.diffused(alpha_bar.sqrt(), 1.0 - alpha_bar).sample(10, &mut rng(4));
        let blurred = |x: &Array2<f64>, sigma: f64| mixture_score(&data.diffused(1.0, sigma * sigma), x);
        let x = &x_t / alpha_bar.sqrt();
        let ours = ncsn_from_ddpm(&schedule, &exact, &x, t);
        let scale = 1.0 + largest(ours.iter().map(|s| s.abs()));
        assert_all_close(&format!("NCSN's score at t = {t}"), &ours, &blurred(&x, sigma), 1e-9 * scale);
        let eps = ddpm_from_ncsn(blurred, &x_t, alpha_bar);
        assert_all_close(
            &format!("DDPM's ε at t = {t}"),
            &eps,
            &exact.predict(x_t.view(), t as f64).eps,
            1e-9,
        );
        let back = eps_from_score(&score_from_eps(&eps, 1.0 - alpha_bar), 1.0 - alpha_bar);
        assert_all_close(&format!("ε by way of the score at t = {t}"), &back, &eps, 1e-12);
    }
}

#[test]
fn three_losses_differ_by_constants() {
    let (data, sigma) = (two_on_a_line(), 0.4);
    let blurred = data.diffused(1.0, sigma * sigma);
    let truth = |x: f64| mixture_score(&blurred, &array![[x]])[(0, 0)];
    let half_squared_score = expectation(&data, sigma, |_, x| 0.5 * truth(x).powi(2));
    for (s, derivative) in [
        ((|x: f64| -x) as fn(f64) -> f64, (|_| -1.0) as fn(f64) -> f64),
        (|x| 2.0 * (3.0 * x).sin(), |x| 6.0 * (3.0 * x).cos()),
    ] {
        let explicit = expectation(&data, sigma, |_, x| explicit_score_matching(s(x), truth(x)));
        let implicit = expectation(&data, sigma, |_, x| implicit_score_matching(s(x), derivative(x)));
        assert_close("explicit − implicit", explicit - implicit, half_squared_score, 1e-9);
    }
    // the constant is half the variance of the target −ε/σ given x̃
    let given = |eps: f64, x: f64| 0.5 * (eps / sigma + truth(x)).powi(2);
    let constant = matching_constant(&data, sigma);
    assert_close("half the target's variance", constant, expectation(&data, sigma, given), 1e-9);
    // data without noise to predict it from: one point has constant 0
    let point = GaussianMixture::new(array![1.0], array![[0.3]], array![[1e-12]]);
    assert_close("one point", matching_constant(&point, 0.5), 0.0, 1e-9);
}

#[test]
fn expectation_integrates_data_and_noise() {
    let data = two_on_a_line();
    let moments = |f: fn(f64, f64) -> f64| expectation(&data, 0.7, f);
    assert_close("E 1", moments(|_, _| 1.0), 1.0, 1e-12);
    assert_close("E ε²", moments(|eps, _| eps * eps), 1.0, 1e-12);
    assert_close("E x̃", moments(|_, x| x), data.mean()[0], 1e-12);
    let second = data.variance()[0] + data.mean()[0].powi(2) + 0.49;
    assert_close("E x̃²", moments(|_, x| x * x), second, 1e-12);
    assert_close("E ε x̃ = σ", moments(|eps, x| eps * x), 0.7, 1e-12);
}

#[test]
fn langevin_keeps_the_variance_that_it_predicts() {
    let (v, clean) = (0.3f64, TransitionKernel { signal: 1.0, variance: 0.0 });
    for step in [0.06, 0.3, 0.6] {
        let start = one(0.2, v).sample(20_000, &mut rng(5));
        let x = langevin(&one(0.2, v), clean, start, (step, 100), &mut rng(6));
        let moments = Moments::of(&x);
        let (got, error) = (moments.covariance[(0, 0)], moments.covariance_error[(0, 0)]);
        assert_close(&format!("variance at η = {step}"), got, langevin_variance(v, step), 4.0 * error);
    }
    assert_close("v/(1 − η/4v)", langevin_variance(0.3, 0.3), 0.4, 1e-15);
}

#[test]
fn geometric_sigmas_fall_by_one_factor() {
    let sigmas = geometric_sigmas(20.0, 0.2, 5);
    assert_relative("first", sigmas[0], 20.0, 1e-15);
    assert_relative("last", sigmas[4], 0.2, 1e-12);
    for pair in sigmas.windows(2) {
        assert_relative("factor", pair[1] / pair[0], 0.01f64.powf(0.25), 1e-12);
    }
    assert_eq!(geometric_sigmas(3.0, 0.1, 1), [3.0], "one level");
}

#[test]
fn annealing_finds_the_weights_of_far_modes_and_langevin_does_not() {
    let far = GaussianMixture::new(array![0.2, 0.8], array![[-5.0, -5.0], [5.0, 5.0]], Array2::ones((2, 2)));
    let share = |x: &Array2<f64>| x.rows().into_iter().filter(|x| x.sum() > 0.0).count() as f64 / 1000.0;
    let start = 4.0 * standard_normal::<f64>(1000, 2, &mut rng(7));
    let begun = share(&start);
    let clean = TransitionKernel { signal: 1.0, variance: 0.0 };
    let plain = langevin(&far, clean, start.clone(), (0.1, 500), &mut rng(8));
    // where a walker starts decides where it ends; the border lies at x + y = −(ln 4)/5
    assert_close("share of the heavy mode, without annealing", share(&plain), begun + 0.02, 0.04);
    let sigmas = geometric_sigmas(20.0, 0.1, 10);
    let mut levels = Vec::new();
    let annealed =
        annealed_langevin(&far, &sigmas, (1e-3, 50), start, &mut rng(9), |sigma, _| levels.push(sigma));
    assert_eq!(levels, sigmas, "the levels that were shown");
    assert_close("share of the heavy mode, annealed", share(&annealed), 0.8, 0.06);
}

#[test]
fn annealed_langevin_shrinks_its_steps_with_the_noise() {
    // one level at σ_L: plain Langevin with ε; one at 3 σ_L before: with 9 ε
    let data = one(0.0, 1.0);
    let start = Array2::ones((5, 2));
    let got = annealed_langevin(&data, &[0.6, 0.2], (0.01, 1), start.clone(), &mut rng(10), |_, _| ());
    let mut rng = rng(10);
    let mut x = start;
    for (sigma, step) in [(0.6, 0.09), (0.2, 0.01)] {
        let score = &x / -(1.0 + sigma * sigma);
        x = langevin_step(&x, &score, step, &standard_normal(5, 2, &mut rng));
    }
    assert_all_close("two levels by hand", &got, &x, 1e-12);
}

#[test]
fn variance_is_preserved_or_explodes() {
    for t in [0.0, 0.1, 0.5, 1.0] {
        let (vp, sub) = (kernel(&Sde::VP, t), kernel(&Sde::SUB_VP, t));
        assert_close(&format!("VP: total at t = {t}"), vp.signal.powi(2) + vp.variance, 1.0, 1e-12);
        assert_relative("sub-VP: the same signal", sub.signal, vp.signal, 1e-15);
        assert!(sub.variance <= vp.variance, "sub-VP exceeds VP at t = {t}");
    }
    assert_eq!((prior_variance(&Sde::VP), prior_variance(&Sde::SUB_VP)), (1.0, 1.0));
    assert_relative("VE ends at σ_max² − σ_min²", prior_variance(&Sde::VE), 400.0 - 1e-4, 1e-12);
    assert_eq!(SDES.map(|sde| sde.name()), ["VP", "sub-VP", "VE"]);
}

#[test]
fn euler_maruyama_step_is_drift_and_shake() {
    let (x, score, z) = (array![[0.4]], array![[-1.5]], array![[0.8]]);
    for sde in SDES {
        let (a, diffusion) = coefficients(&sde, 0.5);
        for lambda in [0.0, 0.3, 1.0] {
            let got = euler_maruyama_step(&sde, (0.5, 0.46), &x, &score, lambda, &z)[(0, 0)];
            let drift = a * 0.4 + 0.5 * (1.0 + lambda * lambda) * diffusion * 1.5;
            let expected = 0.4 - 0.04 * drift + lambda * (diffusion * 0.04).sqrt() * 0.8;
            assert_relative(&format!("{}, λ = {lambda}", sde.name()), got, expected, 1e-12);
        }
    }
}

/// The variance that Euler–Maruyama ends at, without a random number: data N(0, v), from the true variance at t = 1.
fn variance_drawn(sde: &Sde, v: f64, lambda: f64, steps: usize) -> f64 {
    let at = |t: f64| kernel(sde, t).signal.powi(2) * v + kernel(sde, t).variance;
    uniform_times(steps, 0.0).unwrap().windows(2).fold(at(1.0), |variance, pair| {
        let step = |x: f64, z: f64| {
            let score = array![[-x / at(pair[0])]];
            euler_maruyama_step(sde, (pair[0], pair[1]), &array![[x]], &score, lambda, &array![[z]])[(0, 0)]
        };
        step(1.0, 0.0).powi(2) * variance + step(0.0, 1.0).powi(2)
    })
}

#[test]
fn euler_maruyama_is_of_order_1() {
    for sde in SDES {
        for lambda in [0.0, 0.5, 1.0] {
            let (what, v) = (format!("{}, λ = {lambda}", sde.name()), 0.3);
            let error = |steps: usize| (variance_drawn(&sde, v, lambda, steps) - v).abs();
            assert!(error(8000) < 0.01 * v, "{what}: {:.1e}", error(8000));
            // on a Gaussian under VE with λ = 1 the leading error adds up to 0 over all noise levels
            if (sde, lambda) != (Sde::VE, 1.0) {
                assert_close(&format!("{what}: order"), (error(4000) / error(8000)).log2(), 1.0, 0.05);
            }
        }
    }
}

#[test]
fn time_grid_falls_from_1_to_its_end() {
    assert_eq!(uniform_times(4, 0.0).unwrap(), [1.0, 0.75, 0.5, 0.25, 0.0]);
    let grid = uniform_times(7, 1e-3).unwrap();
    assert_eq!((grid[0], grid[7], grid.len()), (1.0, 1e-3, 8));
    assert!(matches!(uniform_times(0, 0.0), Err(Error::NoSteps)));
    for end in [1.0, -0.1, f64::NAN] {
        assert!(matches!(uniform_times(5, end), Err(Error::Parameter { .. })), "end = {end}");
    }
}

#[test]
fn reverse_sde_draws_the_data() {
    let (m, v) = (0.5, 0.3);
    let data = one(m, v);
    let corrector = Corrector { steps: 1, signal_to_noise: 0.16 };
    for (name, corrector, count) in [("alone", None, 400), ("corrected", Some(corrector), 200)] {
        let at = kernel(&Sde::VP, 1.0);
        let start = data.diffused(at.signal, at.variance).sample(10_000, &mut rng(11));
        let mut seen = Vec::new();
        let times = uniform_times(count, 0.0).unwrap();
        let x = reverse_sde(&Sde::VP, &data, &times, corrector, start, &mut rng(12), |t, _| seen.push(t));
        assert_eq!(seen, times, "the times that were shown");
        let moments = Moments::of(&x);
        // a bias of order 1/steps besides
        let mean_error = 4.0 * moments.mean_error[0] + 0.005;
        assert_close(&format!("{name}: mean"), moments.mean[0], m, mean_error);
        let error = 4.0 * moments.covariance_error[(0, 0)] + 0.02;
        assert_close(&format!("{name}: variance"), moments.covariance[(0, 0)], v, error);
    }
}

#[test]
fn a_corrector_mends_points_that_are_too_wide() {
    // the predictor's start is twice as wide as p_1: two steps near t = 1, without and with corrections
    let data = one(0.0, 1.0);
    let start = 2.0 * standard_normal::<f64>(5000, 2, &mut rng(13));
    let wide = |corrector| {
        let x = reverse_sde(
            &Sde::VP,
            &data,
            &[1.0, 0.999, 0.998],
            corrector,
            start.clone(),
            &mut rng(14),
            |_, _| (),
        );
        Moments::of(&x).covariance[(0, 0)]
    };
    let (alone, mended) = (wide(None), wide(Some(Corrector { steps: 60, signal_to_noise: 0.16 })));
    assert!(alone > 3.0, "{alone}");
    assert_close("variance after 120 corrections", mended, 1.0 / 0.975, 0.1);
    // η = 4 r² ‖z‖²/‖s‖²: at x ~ N(0, 1), 4 r² = 0.1, so the variance settles at 1/(1 − 0.1/4)
    let count = Corrector { steps: 1, signal_to_noise: 0.16 };
    let one_step =
        reverse_sde(&Sde::VP, &data, &[0.5, 0.5], Some(count), start.clone(), &mut rng(15), |_, _| ());
    let mut rng = rng(15);
    let _ = standard_normal::<f64>(5000, 2, &mut rng); // the predictor's, of a step of length 0
    let z = standard_normal::<f64>(5000, 2, &mut rng);
    let norm = |y: &Array2<f64>| y.iter().map(|y| y * y).sum::<f64>();
    let step = 4.0 * 0.16f64.powi(2) * norm(&z) / norm(&start);
    let expected = &start - &(step / 2.0 * &start) + step.sqrt() * &z;
    assert_all_close("one correction by hand", &one_step, &expected, 1e-12);
}

#[test]
fn the_flow_of_a_gaussian_is_a_stretch() {
    // x_t − μ_t keeps its place in units of the standard deviation
    let (m, v) = (0.5, 0.3);
    let data = one(m, v);
    for sde in SDES {
        let at = kernel(&sde, 1.0);
        let widening = ((at.signal.powi(2) * v + at.variance) / v).sqrt();
        let x_0 = data.sample(10, &mut rng(16));
        let x_1 =
            dormand_prince(probability_flow(&sde, &data), x_0.clone(), (0.0, 1.0), Tolerances::both(1e-10))
                .unwrap()
                .x;
        let exact = (&x_0 - m) * widening + at.signal * m;
        assert_all_close(&format!("{}: up", sde.name()), &x_1, &exact, 1e-7);
        let back =
            dormand_prince(probability_flow(&sde, &data), x_1.clone(), (1.0, 0.0), Tolerances::both(1e-10))
                .unwrap();
        assert_all_close(&format!("{}: and back", sde.name()), &back.x, &x_0, 1e-7);
        let coarse = heun(probability_flow(&sde, &data), x_1, (1.0, 0.0), 2000).unwrap();
        assert_all_close(&format!("{}: by Heun", sde.name()), &coarse, &x_0, 1e-4);
    }
}

#[test]
fn the_flow_of_the_vp_sde_is_the_one_that_ddim_discretises() {
    // other coordinates, x/√ᾱ over √((1 − ᾱ)/ᾱ), and E[x_0 | x] in place of the score
    let data = ring();
    let start = standard_normal::<f64>(10, 2, &mut rng(25));
    let ours = dormand_prince(
        probability_flow(&Sde::VP, &data),
        start.clone(),
        (1.0, 0.01),
        Tolerances::both(1e-10),
    )
    .unwrap();
    let share = |t: f64| kernel(&Sde::VP, t).signal.powi(2);
    let ddim = ddpm::continuous::ddim_flow(&data, &start, (share(1.0), share(0.01)), 1e-10).unwrap();
    assert_all_close("x at t = 0.01", &ours.x, &ddim, 1e-6);
}

#[test]
fn log_likelihood_is_the_mixture_s_log_density() {
    let data = ring();
    let x = data.sample(20, &mut rng(17));
    let exact: Array1<f64> = x.rows().into_iter().map(|x| data.log_density(x)).collect();
    for sde in SDES {
        let at = kernel(&sde, 1.0);
        let prior = data.diffused(at.signal, at.variance);
        let tolerances = Tolerances::both(1e-9);
        let got =
            log_likelihood(&sde, &data, &x, Trace::Exact, |x| prior.log_density(x), tolerances).unwrap();
        let worst = largest_difference(&got.log_density, &exact);
        assert!(worst < 1e-6, "{}: off by {worst:.1e} nats", sde.name());
        assert!(got.calls > 50, "{}: {} calls", sde.name(), got.calls);
        let back = dormand_prince(probability_flow(&sde, &data), got.latent, (1.0, 0.0), tolerances).unwrap();
        assert_all_close(&format!("{}: there and back", sde.name()), &back.x, &x, 1e-5);
    }
}

#[test]
fn log_likelihood_by_hutchinson_is_right_on_average() {
    let data = ring();
    let at = kernel(&Sde::VP, 1.0);
    let prior = data.diffused(at.signal, at.variance);
    let x = data.sample(200, &mut rng(18));
    let exact: Array1<f64> = x.rows().into_iter().map(|x| data.log_density(x)).collect();
    let by = |v: &Array2<f64>| {
        let trace = Trace::Hutchinson(v);
        log_likelihood(&Sde::VP, &data, &x, trace, |x| prior.log_density(x), Tolerances::both(1e-6)).unwrap()
    };
    let normal = standard_normal(200, 2, &mut rng(20));
    for (name, v) in [("signs", rademacher(200, 2, &mut rng(19))), ("normals", normal)] {
        let error = by(&v).log_density - &exact;
        let scatter = standard_error(error.view());
        assert!(scatter > 1e-3, "{name}: an estimate has scatter, not {scatter:.1e}");
        assert_close(&format!("{name}: mean error"), mean(error.view()), 0.0, 4.0 * scatter);
    }
}

#[test]
fn rademacher_draws_signs() {
    let signs = rademacher(5000, 2, &mut rng(21));
    assert!(signs.iter().all(|sign| sign.abs() == 1.0), "ones only");
    let moments = Moments::of(&signs);
    assert_close("mean", moments.mean[0], 0.0, 4.0 * moments.mean_error[0]);
    assert_close("covariance", moments.covariance[(0, 1)], 0.0, 4.0 * moments.covariance_error[(0, 1)]);
}

#[test]
fn the_cost_of_a_standard_normal_is_its_divergence() {
    // With ln N(x_1; 0, I) for ln p_1, the mean over the data falls by KL(p_1 ‖ N(0, I)).
    let sde = Sde::VariancePreserving { beta_min: 0.1, beta_max: 2.0 };
    let data = GaussianMixture::new(
        array![0.3, 0.7],
        array![[-2.0, 0.0], [1.0, 1.0]],
        Array2::from_elem((2, 2), 0.3),
    );
    let at = kernel(&sde, 1.0);
    let prior = data.diffused(at.signal, at.variance);
    let x = data.sample(1000, &mut rng(22));
    let found = log_likelihood(
        &sde,
        &data,
        &x,
        Trace::Exact,
        |x| standard_normal_log_density(x, 1.0),
        Tolerances::both(1e-7),
    )
    .unwrap();
    let loss: Array1<f64> =
        x.rows().into_iter().zip(&found.log_density).map(|(x, got)| data.log_density(x) - got).collect();
    let divergence = prior.divergence_from_standard_normal().unwrap();
    assert!(divergence > 0.1, "a cost that can be seen: {divergence}");
    assert_close("mean loss", mean(loss.view()), divergence, 4.0 * standard_error(loss.view()));
}

#[test]
fn ddpm_s_chain_converges_to_the_vp_sde() {
    let schedule = |steps| Schedule::linear_scaled(steps).unwrap();
    let marginal = |steps| marginal_distance(&Sde::VP, &schedule(steps));
    assert_close("order of the marginals", (marginal(1000) / marginal(2000)).log2(), 1.0, 0.05);
    assert!(marginal(1000) < 0.01, "at T = 1000: {}", marginal(1000));
    let step = |steps| reverse_step_distance(&Sde::VP, &schedule(steps));
    assert_close("order of a reverse step", (step(1000) / step(2000)).log2(), 2.0, 0.05);
    let x_0 = standard_normal::<f64>(300, 1, &mut rng(23));
    let coupled = |steps| coupled_distance(&schedule(steps), &schedule(6400), &x_0, &mut rng(24));
    assert_close("order on the same noise", (coupled(100) / coupled(400)).log2() / 2.0, 1.0, 0.1);
    assert_close("a chain and itself", coupled(6400), 0.0, 1e-12);
}

#[test]
fn a_coarse_step_takes_the_fine_steps_noise_together() {
    // one step of β = ½ beside two of 0.2 and 0.3, by hand
    let schedule = |betas: &[f64]| Schedule::from_betas(betas.iter().copied().collect()).unwrap();
    let (coarse, fine) = (schedule(&[0.0, 0.5]), schedule(&[0.0, 0.2, 0.3]));
    let x_0 = array![[1.0], [-0.4], [2.5]];
    let mut same = rng(27);
    let [first, second] = [(); 2].map(|()| standard_normal::<f64>(3, 1, &mut same));
    let few = 0.5f64.sqrt() * &x_0 + 0.5f64.sqrt() * (&first + &second) / 2f64.sqrt();
    let many = 0.7f64.sqrt() * (0.8f64.sqrt() * &x_0 + 0.2f64.sqrt() * &first) + 0.3f64.sqrt() * &second;
    let expected = (few - many).mapv(|d| d * d).mean().unwrap().sqrt();
    let got = coupled_distance(&coarse, &fine, &x_0, &mut rng(27));
    assert_close("root mean square over the rows", got, expected, 1e-14);
}

/// A score that counts its calls.
struct Counted<'a>(&'a GaussianMixture, Cell<usize>);

impl Score for Counted<'_> {
    fn score(&self, x: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
        self.1.set(self.1.get() + 1);
        self.0.score(x, at)
    }

    fn score_along(&self, x: &Array2<f64>, v: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
        self.0.score_along(x, v, at)
    }
}

#[test]
fn a_solver_stays_within_its_budget_and_is_what_it_says() {
    let (data, start) = (ring(), standard_normal::<f64>(40, 2, &mut rng(23)));
    let corrector = Corrector { steps: 2, signal_to_noise: 0.16 };
    let tight = Solver::DormandPrince(Tolerances::both(1e-4));
    for solver in [Solver::EulerMaruyama, Solver::Corrected(corrector), Solver::Heun, tight] {
        let counted = Counted(&data, Cell::new(0));
        let drawn = solver.draw(&Sde::VP, &counted, 31, start.clone(), &mut rng(24)).unwrap();
        assert_eq!(drawn.calls, counted.1.get(), "{solver}: calls");
        assert!(drawn.calls <= 31 || solver == tight, "{solver}: {} calls", drawn.calls);
        let (rng, flow) = (&mut rng(24), probability_flow(&Sde::VP, &data));
        let times = |steps| uniform_times(steps, 0.0).unwrap();
        let expected = match solver {
            Solver::EulerMaruyama => {
                reverse_sde(&Sde::VP, &data, &times(31), None, start.clone(), rng, |_, _| ())
            }
            Solver::Corrected(_) => {
                reverse_sde(&Sde::VP, &data, &times(10), Some(corrector), start.clone(), rng, |_, _| ())
            }
            Solver::Heun => heun(flow, start.clone(), (1.0, 0.0), 15).unwrap(),
            Solver::DormandPrince(tolerances) => {
                let found = dormand_prince(flow, start.clone(), (1.0, 0.0), tolerances).unwrap();
                assert_eq!(drawn.rejected, found.rejected);
                found.x
            }
        };
        assert_eq!(drawn.x, expected, "{solver}");
    }
    let none = |solver: Solver| solver.draw(&Sde::VP, &data, 1, start.clone(), &mut rng(25));
    assert!(none(Solver::Heun).is_err() && none(Solver::Corrected(corrector)).is_err(), "a step costs more");
}

#[test]
fn prior_sample_has_the_prior_s_variance() {
    for sde in SDES {
        let x = Moments::of(&prior_sample(&sde, 20_000, 1, &mut rng(26)));
        let tolerance = 4.0 * x.covariance_error[(0, 0)];
        assert_close(sde.name(), x.covariance[(0, 0)], kernel(&sde, 1.0).variance, tolerance);
    }
}

#[test]
fn quality_is_the_judge_s_word_on_the_solver_s_draws() {
    let dataset = Dataset::named(DatasetName::Gaussians8, "").unwrap();
    let evaluator = Evaluator::new(&dataset, 60, 4, &mut rng(27));
    let (mut calls, mut rejected, by_hand) = (0, 0, &mut rng(28));
    let solver = Solver::DormandPrince(Tolerances::both(1e-2));
    let [distance, excess] = evaluator
        .distance_and_excess(2, by_hand, |rng| {
            let drawn = solver.draw(&Sde::VE, &ring(), 0, prior_sample(&Sde::VE, 60, 2, rng), rng)?;
            (calls, rejected) = (drawn.calls.max(calls), drawn.rejected.max(rejected));
            Ok::<_, Error>(drawn.x)
        })
        .unwrap();
    let found = quality(solver, &Sde::VE, &ring(), 0, &evaluator, 2, &mut rng(28)).unwrap();
    let expected = [
        calls as f64,
        rejected as f64,
        distance.mean,
        distance.standard_error,
        excess.mean,
        excess.standard_error,
    ];
    assert_eq!(<[f64; 6]>::from(found), expected);
    let solvers = [Solver::Heun, Solver::EulerMaruyama];
    let all = qualities(solvers, &Sde::VP, &ring(), 20, &evaluator, 2, &mut rng(29)).unwrap();
    let rng = &mut rng(29);
    let [heun, euler] =
        solvers.map(|solver| quality(solver, &Sde::VP, &ring(), 20, &evaluator, 2, rng).unwrap());
    let [distances, excesses] = [[heun.distance, euler.distance], [heun.excess, euler.excess]];
    let errors = |of: [Estimate; 2]| of.map(|estimate| estimate.standard_error);
    let means = |of: [Estimate; 2]| of.map(|estimate| estimate.mean);
    assert_eq!(all, [means(distances), errors(distances), means(excesses), errors(excesses)]);
}

#[test]
fn errors_of_known_likelihoods_are_differences_from_the_mixture_s_own() {
    let (data, x) = (ring(), ring().sample(8, &mut rng(30)));
    let own: Array1<f64> = x.rows().into_iter().map(|x| data.log_density(x)).collect();
    let at = kernel(&Sde::VP, 1.0);
    let prior = data.diffused(at.signal, at.variance);
    let log_prior = |x: ndarray::ArrayView1<f64>| prior.log_density(x);
    let loose = Tolerances::both(1e-3);
    let found = log_likelihood(&Sde::VP, &data, &x, Trace::Exact, log_prior, loose).unwrap();
    let [calls, error] = likelihood_error(&Sde::VP, &data, &x, 1e-3).unwrap();
    assert_eq!((calls, error), (found.calls as f64, largest((&found.log_density - &own).mapv(f64::abs))));
    // on the plane a probe of signs errs by ± one number, so single errors have two values for each point
    let errors = probe_errors(&Sde::VP, &data, &x, 12, 1e-7, &mut rng(31)).unwrap();
    assert_eq!(errors.dim(), (12, 8));
    for point in errors.columns() {
        let size = point[0].abs();
        assert!(point.iter().all(|error| (error.abs() - size).abs() < 1e-4), "{point}");
    }
    assert!(errors.iter().any(|error| *error > 1e-3) && errors.iter().any(|error| *error < -1e-3));
}

#[test]
fn the_cost_of_a_standard_normal_is_lost_at_the_end_of_the_way() {
    let sde = Sde::VariancePreserving { beta_min: 0.1, beta_max: 2.0 };
    let (data, x) = (ring(), ring().sample(20, &mut rng(32)));
    let (at, cost) = (kernel(&sde, 1.0), prior_cost(&sde, &data, &x, 1e-9).unwrap());
    let prior = data.diffused(at.signal, at.variance);
    // at x_1 the loss is the difference of the two log-densities
    let log_prior = |x: ndarray::ArrayView1<f64>| prior.log_density(x);
    let found = log_likelihood(&sde, &data, &x, Trace::Exact, log_prior, Tolerances::both(1e-9)).unwrap();
    for (x_1, loss) in found.latent.rows().into_iter().zip(&cost.losses) {
        let expected = prior.log_density(x_1) - standard_normal_log_density(x_1, 1.0);
        assert_close("loss", *loss, expected, 1e-6);
    }
    assert_eq!(cost.divergence, prior.divergence_from_standard_normal());
    // L_T = ½ Σ_d (m² x_d² + v − 1 − ln v)
    let squares = x.mapv(|x| x * x).sum() / x.nrows() as f64;
    let bound = 0.5 * (at.signal.powi(2) * squares + 2.0 * (at.variance - 1.0 - at.variance.ln()));
    assert_close("bound", cost.bound, bound, 1e-12);
}

#[test]
fn coupled_order_is_what_many_walks_show() {
    // 60 measurements of the order between T = 50 and 200, against a chain of 1600 steps
    let [coarse, middle, fine] = [50, 200, 1600].map(|steps| Schedule::linear_scaled(steps).unwrap());
    let orders: Array1<f64> = (0..60)
        .map(|seed| {
            let x_0 = standard_normal(100, 1, &mut rng(seed));
            let far = coupled_distance(&coarse, &fine, &x_0, &mut rng(1000 + seed));
            let near = coupled_distance(&middle, &fine, &x_0, &mut rng(1000 + seed));
            (far / near).ln() / 4f64.ln()
        })
        .collect();
    let (order, error) = coupled_order((50, 200), 1600, 100);
    assert_close("order", mean(orders.view()), order, 0.1);
    assert!(orders.std(1.0) < 1.5 * error, "{} against {error}", orders.std(1.0));
    assert_close("in the limit", coupled_order((100, 400), 1 << 40, 100).0, 1.0, 1e-6);
}

#[test]
fn a_conversion_is_exact_and_knows_its_scale() {
    let (data, schedule) = (ring(), Schedule::linear(1000, 1e-4, 0.02).unwrap());
    for t in [1, 200, 1000] {
        let at = TransitionKernel::from_start(&schedule, t);
        let x_t = data.through(at).sample(20, &mut rng(33));
        let found = conversion(&schedule, &data, &x_t, t);
        assert_close("σ", found.sigma, noise_to_signal(schedule.alpha_bar(t)), 0.0);
        let score = mixture_score(&data.diffused(at.signal, at.variance), &x_t);
        assert_eq!(found.largest_score, largest(score.iter().map(|s| s.abs())));
        for error in [found.score_error, found.ncsn_error, found.ddpm_error] {
            assert!(error < 1e-9 * (1.0 + found.largest_score), "t = {t}: {found:?}");
        }
        // and a shifted point has another score
        assert_eq!(planar_score(&data.through(at), x_t.row(3)), [score[(3, 0)], score[(3, 1)]]);
    }
}

#[test]
fn matching_losses_are_the_means_of_the_three() {
    let (data, sigma) = (two_humps(), 0.3);
    let blurred = data.diffused(1.0, sigma * sigma);
    let truth = |x: f64| mixture_score(&blurred, &array![[x]])[(0, 0)];
    let (s, slope) = (|x: f64| (2.0 * x).sin(), |x: f64| 2.0 * (2.0 * x).cos());
    let [explicit, denoising, implicit] = matching_losses(&data, sigma, s, slope);
    let expected = expectation(&data, sigma, |_, x| explicit_score_matching(s(x), truth(x)));
    assert_close("explicit", explicit, expected, 1e-12);
    let expected = expectation(&data, sigma, |eps, x| denoising_score_matching(s(x), eps, sigma));
    assert_close("denoising", denoising, expected, 1e-12);
    let expected = expectation(&data, sigma, |_, x| implicit_score_matching(s(x), slope(x)));
    assert_close("implicit", implicit, expected, 1e-12);
    assert_close("the constant", denoising - explicit, matching_constant(&data, sigma), 1e-9);
}

#[test]
fn two_modes_are_as_far_apart_as_asked() {
    for distance in [2.0, 14.0] {
        let means = two_modes(distance).means;
        let apart = (&means.row(1) - &means.row(0)).mapv(|d| d * d).sum().sqrt();
        assert_close("distance", apart, distance, 1e-12);
    }
    let at = TransitionKernel::from_start(&Schedule::linear(2, 0.36, 0.4375).unwrap(), 2);
    assert_close("deviation", at.deviation(), 0.8, 1e-12);
    assert_close("signal over noise", at.signal_to_noise(), 0.75, 1e-12);
    assert_eq!((TransitionKernel::IDENTITY.signal, TransitionKernel::IDENTITY.deviation()), (1.0, 0.0));
}
