//! ch02_vlb: the derivation of the bound, line by line, in a world where every density is known.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    bound::{
        Bins, Model, bits_per_dim, denoising_term,
        derivation::{
            LINES, Line, LogDensities, line_bayes, line_products, line_telescoped, line_three_terms,
        },
        discretized_reconstruction_term,
        gaussian_case::GaussianCase,
        prior_bits_per_dim, prior_term, reconstruction_term, variational_bound,
    },
    denoiser::{Denoiser, GaussianData},
    forward::{chain, diffuse, standard_normal},
    gaussian,
    metrics::{Moments, mean, standard_error},
    reverse::{FixedVariance, density_variance},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, Axis, array};

/// A model that believes in the wrong Gaussian, so that no term of the bound vanishes.
fn world(steps: usize, dimension: usize, variance: FixedVariance) -> GaussianCase {
    let ramp = |from: f64, by: f64| Array1::from_shape_fn(dimension, |d| from + by * d as f64);
    GaussianCase {
        schedule: Schedule::linear(steps, 0.01, 0.3).unwrap(),
        data: GaussianData { mean: ramp(0.5, 0.25), variance: 0.6 },
        belief: GaussianData { mean: ramp(0.3, -0.1), variance: 0.8 },
        variance,
    }
}

const WORLDS: [(usize, usize, FixedVariance); 5] = [
    (1, 1, FixedVariance::Beta),
    (2, 2, FixedVariance::Posterior),
    (5, 3, FixedVariance::Beta),
    (10, 1, FixedVariance::Posterior),
    (20, 2, FixedVariance::Beta),
];

fn trajectories(world: &GaussianCase, n: usize, seed: u64) -> Vec<Array2<f64>> {
    let x_0 = &world.data.mean
        + &(world.data.variance.sqrt() * standard_normal::<f64>(n, world.data.mean.len(), &mut rng(seed)));
    chain(&x_0, &world.schedule, &mut rng(seed + 1))
}

// ANCHOR: every_line_is_equal_on_every_trajectory
#[test]
fn every_line_is_equal_on_every_trajectory() {
    for (steps, dimension, variance) in WORLDS {
        let world = world(steps, dimension, variance);
        let chain = trajectories(&world, 50, 1);
        let densities = LogDensities::along(&world.model(), &chain);
        for i in 0..50 {
            let rows: Vec<_> = chain.iter().map(|x| x.row(i)).collect();
            let trajectory = ndarray::stack(Axis(0), &rows).unwrap(); // (T + 1, D)
            // line 1 comes from dense joint Gaussians, which know of no chain
            let line_1 = world.line_joints(&trajectory);
            for (name, line) in LINES {
                let what = format!("T = {steps}, D = {dimension}, trajectory {i}, line {name}");
                assert_close(&what, line(&densities)[i], line_1, 1e-9 * (1.0 + line_1.abs()));
            }
        }
    }
}
// ANCHOR_END: every_line_is_equal_on_every_trajectory

/// Asks a line twice. Every line is a sum of log-densities, each with a factor of 1, −1 or 0; on a chain of two steps, one
/// log-density set to 1 and the others to 0 shows its factor. And on trajectories the line must be the ratio of the joint
/// Gaussians, which know of no chain.
#[track_caller]
fn assert_line(line: Line, factors: &[(&str, f64)]) {
    for (name, which) in [
        ("log p(x_T)", (0, 0)),
        ("log p_θ(x_0 | x_1)", (1, 1)),
        ("log p_θ(x_1 | x_2)", (1, 2)),
        ("log q(x_1 | x_2, x_0)", (2, 2)),
        ("log q(x_1 | x_0), the jump to t = 1", (3, 1)),
        ("log q(x_2 | x_0), the jump to t = 2", (3, 2)),
        ("log q(x_1 | x_0), the step to t = 1", (4, 1)),
        ("log q(x_2 | x_1), the step to t = 2", (4, 2)),
    ] {
        let table = |kind| (0..=2).map(|t| Array1::from_elem(1, f64::from((kind, t) == which))).collect();
        let [reverse, posterior, jump, step]: [Vec<_>; 4] = [1, 2, 3, 4].map(table);
        let prior = Array1::from_elem(1, f64::from(which == (0, 0)));
        let got = line(&LogDensities { prior, reverse, posterior, jump, step })[0];
        let expected = factors.iter().find(|(of, _)| *of == name).map_or(0.0, |&(_, factor)| factor);
        assert_close(&format!("T = 2: the factor of {name}"), got, expected, 0.0);
    }
    let world = world(5, 3, FixedVariance::Beta);
    let chain = trajectories(&world, 3, 1);
    let densities = LogDensities::along(&world.model(), &chain);
    for i in 0..3 {
        let rows: Vec<_> = chain.iter().map(|x| x.row(i)).collect();
        let line_1 = world.line_joints(&ndarray::stack(Axis(0), &rows).unwrap());
        let what = format!("T = 5, D = 3, trajectory {i}: log q/p");
        assert_close(&what, line(&densities)[i], line_1, 1e-9 * (1.0 + line_1.abs()));
    }
}

#[test]
fn line_products_is_the_ratio_of_the_joints() {
    assert_line(
        line_products,
        &[
            ("log p(x_T)", -1.0),
            ("log p_θ(x_0 | x_1)", -1.0),
            ("log p_θ(x_1 | x_2)", -1.0),
            ("log q(x_1 | x_0), the step to t = 1", 1.0),
            ("log q(x_2 | x_1), the step to t = 2", 1.0),
        ],
    );
}

#[test]
fn line_bayes_is_the_ratio_of_the_joints() {
    assert_line(
        line_bayes,
        &[
            ("log p(x_T)", -1.0),
            ("log p_θ(x_0 | x_1)", -1.0),
            ("log p_θ(x_1 | x_2)", -1.0),
            ("log q(x_1 | x_2, x_0)", 1.0),
            ("log q(x_1 | x_0), the jump to t = 1", -1.0),
            ("log q(x_2 | x_0), the jump to t = 2", 1.0),
            ("log q(x_1 | x_0), the step to t = 1", 1.0),
        ],
    );
}

#[test]
fn line_telescoped_is_the_ratio_of_the_joints() {
    assert_line(
        line_telescoped,
        &[
            ("log p(x_T)", -1.0),
            ("log p_θ(x_0 | x_1)", -1.0),
            ("log p_θ(x_1 | x_2)", -1.0),
            ("log q(x_1 | x_2, x_0)", 1.0),
            ("log q(x_1 | x_0), the jump to t = 1", -1.0),
            ("log q(x_2 | x_0), the jump to t = 2", 1.0),
            ("log q(x_1 | x_0), the step to t = 1", 1.0),
        ],
    );
}

#[test]
fn line_three_terms_is_the_ratio_of_the_joints() {
    assert_line(
        line_three_terms,
        &[
            ("log p(x_T)", -1.0),
            ("log p_θ(x_0 | x_1)", -1.0),
            ("log p_θ(x_1 | x_2)", -1.0),
            ("log q(x_1 | x_2, x_0)", 1.0),
            ("log q(x_2 | x_0), the jump to t = 2", 1.0),
        ],
    );
}

#[test]
fn the_closed_forms_of_the_world_are_the_library_s_terms_on_average() {
    let n = 20_000;
    for (steps, dimension, variance) in WORLDS {
        let world = world(steps, dimension, variance);
        let x_0 = Array1::from_shape_fn(dimension, |d| 1.0 - 0.7 * d as f64);
        let batch = Array2::from_shape_fn((n, dimension), |(_, d)| x_0[d]);
        let terms = variational_bound(&world.model(), &batch, &mut rng(2));
        assert_eq!(terms.dim(), (n, steps + 1));
        for (t, &expected) in world.terms(x_0.view()).iter().enumerate() {
            let column = terms.column(t);
            let tolerance = 4.5 * standard_error(column) + 1e-12; // some of the 43 terms scatter by more than 4
            assert_close(&format!("T = {steps}, D = {dimension}: L_{t}"), mean(column), expected, tolerance);
        }
    }
}

#[test]
fn the_world_s_reverse_process_is_the_library_s() {
    for (steps, dimension, variance) in WORLDS {
        let world = world(steps, dimension, variance);
        let x_t = standard_normal::<f64>(7, dimension, &mut rng(3));
        for t in 1..=steps {
            let (p, linear) = (world.model().reverse(&x_t, t), world.reverse(t));
            common::assert_all_close(
                &format!("t = {t}: mean"),
                &p.mean,
                &(linear.gain * &x_t + &linear.offset),
                1e-12,
            );
            assert_close(&format!("t = {t}: variance"), p.variance[(0, 0)], linear.variance, 1e-15);
        }
    }
}

#[test]
fn the_bound_exceeds_the_likelihood_by_the_kl_that_it_should() {
    for (steps, dimension, variance) in WORLDS {
        let world = world(steps, dimension, variance);
        for shift in [-2.0, 0.0, 3.0] {
            let x_0 = Array1::from_elem(dimension, shift);
            let (bound, exact) = (world.terms(x_0.view()).sum(), world.negative_log_likelihood(x_0.view()));
            let gap = world.gap(x_0.view());
            assert!(gap > 0.0, "KL is {gap}");
            assert_relative(
                &format!("T = {steps}, x_0 = {shift}: bound − (−log p)"),
                bound - exact,
                gap,
                1e-8,
            );
        }
    }
}

#[test]
fn the_likelihood_is_what_sampling_finds() {
    // −log p(x_0) of the closed form against the moments of 100 000 draws by Algorithm 2, with σ² = β at every step but
    // the last, where the sampler adds no noise: so its variance lacks σ_1².
    let world = world(10, 2, FixedVariance::Beta);
    let steps = ddpm::sampler::ancestral(&world.schedule, FixedVariance::Beta, None);
    let x_t = standard_normal(100_000, 2, &mut rng(4));
    let drawn = ddpm::sampler::sample(&steps, &world.model().denoiser, x_t, &mut rng(5), |_, _| ());
    let (moments, p) = (ddpm::metrics::Moments::of(&drawn), &world.model_marginals()[0]);
    for d in 0..2 {
        assert_close("mean", moments.mean[d], p.mean[d], 4.0 * moments.mean_error[d]);
        let variance = p.variance - density_variance(&world.schedule, 1, FixedVariance::Beta);
        assert_close(
            "variance",
            moments.covariance[(d, d)],
            variance,
            4.0 * moments.covariance_error[(d, d)],
        );
    }
}

#[test]
fn the_mean_likelihood_is_the_entropy_and_a_kl() {
    // E −log p(x_0) = h(data) + KL(data ‖ p), both in closed form: another route to the quadrature over x_0
    for (steps, dimension, variance) in WORLDS {
        let world = world(steps, dimension, variance);
        let mean = world.mean_over_data(|x_0| array![world.negative_log_likelihood(x_0)])[0];
        let (data, p) = (&world.data, &world.model_marginals()[0]);
        let kl = |d: usize| gaussian::kl_divergence(data.mean[d], data.variance, p.mean[d], p.variance);
        let expected: f64 = (0..dimension).map(|d| gaussian::entropy(data.variance) + kl(d)).sum();
        assert_relative(&format!("T = {steps}, D = {dimension}"), mean, expected, 1e-12);
    }
}

#[test]
fn a_perfect_model_leaves_only_what_the_steps_cost() {
    // With the right belief and T → ∞ the reverse Gaussians become exact, but for the one at t = 1: its variance should be
    // Var(x_0 | x_1), about β_1, and β̃_2 stands there. The rest of the gap falls like 1/T, by 4 from 400 to 1600 steps.
    let rest = |steps: usize| {
        let end = 16.0 / steps as f64;
        let right = GaussianData { mean: array![0.5], variance: 0.5 };
        let schedule = Schedule::linear(steps, end / 100.0, end).unwrap();
        let beta_1 = schedule.beta(1);
        let exact = 0.5 * beta_1 / (0.5 * (1.0 - beta_1) + beta_1);
        let stand_in = density_variance(&schedule, 1, FixedVariance::Beta);
        let world =
            GaussianCase { schedule, data: right.clone(), belief: right, variance: FixedVariance::Beta };
        world.gap(array![1.0].view()) - gaussian::kl_divergence(0.0, exact, 0.0, stand_in)
    };
    let ratio = rest(400) / rest(1600);
    assert!((3.0..5.0).contains(&ratio), "{} at T = 400, {} at T = 1600", rest(400), rest(1600));
}

#[test]
fn one_step_is_a_vae() {
    // T = 1: KL(q(z | x) ‖ p(z)) − E log p(x | z) with z = x_1, no middle term.
    let world = world(1, 2, FixedVariance::Beta);
    let x_0 = array![0.4, -1.0];
    let terms = world.terms(x_0.view());
    assert_eq!(terms.len(), 2);
    assert_close("L_T", terms[1], world.latent_kl(x_0.view()), 1e-12);
}

#[test]
fn the_whole_chain_as_one_latent_gives_the_vae_s_two_terms() {
    for (steps, dimension, variance) in WORLDS {
        let world = world(steps, dimension, variance);
        let x_0 = Array1::from_elem(dimension, 0.7);
        let terms = world.terms(x_0.view());
        let regularization: f64 = terms.iter().skip(1).sum();
        assert_relative("KL of the chain", world.latent_kl(x_0.view()), regularization, 1e-8);
    }
}

#[test]
fn the_prior_term_is_the_known_number() {
    // field notes: E[x_0²] = 1, linear 1e-4 … 0.02
    for (steps, expected, digits) in [(50, 0.67, 5e-3), (200, 0.10, 5e-3), (1000, 2.9e-5, 5e-7)] {
        let schedule = Schedule::linear(steps, 1e-4, 0.02).unwrap();
        assert_close(&format!("L_T at T = {steps}"), prior_bits_per_dim(&schedule, 1.0), expected, digits);
        // ±1 has the mean square 1: the per-point term gives the same number
        let points = array![[1.0, -1.0], [-1.0, -1.0]];
        let per_point = prior_term(&schedule, &points);
        assert_eq!(per_point.len(), 2);
        for nats in per_point {
            assert_relative("per point", bits_per_dim(nats, 2), prior_bits_per_dim(&schedule, 1.0), 1e-9);
        }
        let far = prior_term(&schedule, &array![[3.0, 0.0]]);
        assert_relative("E[x_0²] = 4.5", bits_per_dim(far[0], 2), prior_bits_per_dim(&schedule, 4.5), 1e-9);
    }
}

#[test]
fn prior_term_is_a_kl() {
    // KL(q(x_T | x_0) ‖ p(x_T)) by sampling x_T
    let (schedule, x_0, n) = (Schedule::linear(4, 0.1, 0.3).unwrap(), 1.7, 100_000);
    let bar = schedule.alpha_bar(4); // 0.41: much of the signal is left
    let x_t = bar.sqrt() * x_0 + (1.0 - bar).sqrt() * standard_normal::<f64>(n, 1, &mut rng(6));
    let ratios = x_t
        .column(0)
        .mapv(|x| gaussian::log_density(x, bar.sqrt() * x_0, 1.0 - bar) - gaussian::log_density(x, 0.0, 1.0));
    let expected = prior_term(&schedule, &array![[x_0]])[0];
    let what = format!("x_0 = 1.7, ᾱ_T = {bar:.4}, 100,000 draws of x_T: L_T");
    assert_close(&what, expected, mean(ratios.view()), 4.0 * standard_error(ratios.view()));
    // independent coordinates: their divergences add
    let pair = prior_term(&schedule, &array![[x_0, x_0], [x_0, -x_0]]);
    assert_eq!(pair.len(), 2, "one number a point");
    assert_relative("L_T of two coordinates", pair[1], 2.0 * expected, 1e-12);
}

#[test]
fn bits_per_dim_are_nats_over_d_ln_2() {
    assert_close("3 ln 2 nats in 3 dimensions", bits_per_dim(3.0 * std::f64::consts::LN_2, 3), 1.0, 1e-15);
}

#[test]
fn at_t_1_the_variance_of_t_2_stands_in() {
    for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
        let world = world(5, 1, choice);
        let (x_0, noise) = (array![[0.3]], array![[0.2]]);
        let (model, x_1) = (world.model(), diffuse(&x_0, world.schedule.alpha_bar(1), &noise));
        let term = reconstruction_term(&model.process(), &model.predict(&x_1, 1), &x_0, &x_1)[0];
        assert!(term.is_finite());
        let p = model.reverse(&x_1, 1);
        assert_relative(
            "σ_1²",
            p.variance[(0, 0)],
            ddpm::posterior::posterior_variance(&world.schedule, 2),
            1e-12,
        );
        assert_close("L_0", term, -gaussian::log_density(0.3, p.mean[(0, 0)], p.variance[(0, 0)]), 1e-12);
    }
}

#[test]
#[should_panic(expected = "starts at t = 2")]
fn the_denoising_terms_start_at_2() {
    let world = world(5, 1, FixedVariance::Beta);
    let (model, x) = (world.model(), array![[0.0]]);
    denoising_term(&model.process(), &model.predict(&x, 1), &x, &x, 1);
}

#[test]
#[should_panic(expected = "T + 1 points")]
fn a_trajectory_has_t_plus_one_points() {
    let world = world(5, 1, FixedVariance::Beta);
    LogDensities::along(&world.model(), &[array![[0.0]], array![[0.0]]]);
}

#[test]
fn clipping_changes_the_model() {
    let world = world(5, 1, FixedVariance::Beta);
    let model = world.model();
    let clipped = Model {
        schedule: model.schedule,
        denoiser: &model.denoiser,
        variance: model.variance,
        clip: Some(0.1),
    };
    let x_t = array![[2.0]];
    assert_ne!(model.reverse(&x_t, 3).mean, clipped.reverse(&x_t, 3).mean);
    assert_eq!(model.denoiser.predict(x_t.view(), 3.0), clipped.denoiser.predict(x_t.view(), 3.0));
}

#[test]
fn discretized_reconstruction_term_is_the_logarithm_of_probabilities_that_sum_to_1() {
    // Whatever was the noise, the 5 · 5 possible images of two pixels share a probability of 1 for a given x_1.
    let world = world(5, 2, FixedVariance::Beta);
    let model = world.model();
    let (x_1, levels) = (array![[0.4, -1.7]], 5);
    let prediction = model.predict(&x_1, 1);
    let mut total = 0.0;
    for i in 0..levels {
        for j in 0..levels {
            let x_0 = array![[i, j]].mapv(|k| -1.0 + 2.0 * k as f64 / (levels - 1) as f64);
            let bins = Bins::new(1.0, levels);
            let nats = discretized_reconstruction_term(&model.process(), &prediction, &x_0, &x_1, bins)[0];
            assert!(nats >= 0.0, "bin {i}, {j}: {nats} nats");
            total += (-nats).exp();
        }
    }
    assert_close("sum of the probabilities of all images", total, 1.0, 1e-12);
}

#[test]
fn discretized_reconstruction_term_is_the_density_times_the_bin_where_bins_are_narrow() {
    let world = world(5, 2, FixedVariance::Beta);
    let model = world.model();
    let (x_0, noise) = (array![[0.2, -0.6], [0.0, 0.4]], array![[0.3, -2.0], [5.0, 0.1]]);
    let levels = 20_001; // the four values lie on this grid
    let width: f64 = 2.0 / (levels - 1) as f64;
    let x_1 = diffuse(&x_0, world.schedule.alpha_bar(1), &noise);
    let (process, prediction) = (model.process(), model.predict(&x_1, 1));
    let bins = discretized_reconstruction_term(&process, &prediction, &x_0, &x_1, Bins::new(1.0, levels));
    let density = reconstruction_term(&process, &prediction, &x_0, &x_1);
    for i in 0..2 {
        // the density's curvature over a bin: below (width/σ)² of it
        assert_relative(&format!("point {i}"), bins[i], density[i] - 2.0 * width.ln(), 1e-6);
    }
}

#[test]
fn what_is_computed_of_each_is_what_is_computed_of_one() {
    for (steps, dimension, variance) in WORLDS {
        let world = world(steps, dimension, variance);
        let chain = trajectories(&world, 5, 3);
        let (lines, terms) = (world.line_joints_along(&chain), world.terms_of_each(&chain[0]));
        assert_eq!((lines.len(), terms.dim()), (5, (5, steps + 1)));
        for i in 0..5 {
            let trajectory = Array2::from_shape_fn((steps + 1, dimension), |(t, d)| chain[t][(i, d)]);
            assert_eq!(lines[i], world.line_joints(&trajectory), "trajectory {i}");
            assert_eq!(terms.row(i), world.terms(chain[0].row(i)), "terms at point {i}");
        }
    }
}

#[test]
fn gaussian_data_are_drawn_with_their_mean_and_variance() {
    let data = GaussianData { mean: ndarray::array![2.0, -1.0, 0.0], variance: 0.25 };
    let moments = Moments::of(&data.sample(40_000, &mut rng(1)));
    for d in 0..3 {
        assert_close("mean", moments.mean[d], data.mean[d], 5.0 * moments.mean_error[d]);
        for e in 0..3 {
            let expected = if d == e { 0.25 } else { 0.0 };
            assert_close(
                "covariance",
                moments.covariance[(d, e)],
                expected,
                5.0 * moments.covariance_error[(d, e)],
            );
        }
    }
}
