//! ch05_training: the losses' gradients, Algorithm 1, and a trained network as a denoiser.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    Error,
    denoiser::{Denoiser, ExactDenoiser, GaussianData},
    forward::{diffuse_each, standard_normal},
    gaussian::{kl_divergence, log_density},
    metrics::{mean, relative_noise},
    network::{
        AdamWConfig, Mlp, MlpConfig,
        check::check_gradients,
        layers::{gelu, gelu_derivative, linear_backward, linear_forward},
        optimizer::{adamw_update, ema_update},
        sinusoidal_embedding,
    },
    objective::{
        Batch, HYBRID_WEIGHT, Objective, TrainingLoss, denoising_loss, eps_weight, gaussian_term,
        simple_loss, weighted_loss,
    },
    posterior::{posterior_log_variance, posterior_mean, posterior_variance},
    reverse::mean_from_eps,
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ndarray::{Array1, Array2, Axis, array};
use ndarray_rand::rand::{Rng, rngs::StdRng};

const OBJECTIVES: [Objective; 4] =
    [Objective::Simple, Objective::Weighted, Objective::MeanLogVariance, Objective::Hybrid];

struct Setup {
    schedule: Schedule,
    x_0: Array2<f64>,
    eps: Array2<f64>,
    x_t: Array2<f64>,
    t: Vec<usize>,
}

impl Setup {
    /// Points of three coordinates, so that halves are not pairs; t includes 1, 2 and T.
    fn new() -> Setup {
        let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
        let (x_0, eps) = (standard_normal(6, 3, &mut rng(1)), standard_normal(6, 3, &mut rng(2)));
        let t = vec![1, 2, 3, 17, 49, 50];
        let x_t = diffuse_each(&x_0, &schedule, &t, &eps);
        Setup { schedule, x_0, eps, x_t, t }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { x_0: &self.x_0, eps: &self.eps, x_t: &self.x_t, t: &self.t }
    }

    fn output(&self, objective: Objective) -> Array2<f64> {
        standard_normal::<f64>(6, objective.outputs(3), &mut rng(3)) * 0.5
    }

    /// Row i of an array, as a batch of one.
    fn row(array: &Array2<f64>, i: usize) -> Array2<f64> {
        array.row(i).to_owned().insert_axis(Axis(0))
    }
}

#[test]
fn every_loss_has_the_gradient_of_finite_differences() {
    let setup = Setup::new();
    for objective in OBJECTIVES {
        let loss = TrainingLoss::new(&setup.schedule, objective);
        let output = setup.output(objective);
        let mut gradient = output.clone();
        loss.loss_and_gradient(setup.batch(), &mut gradient);
        let at = |index: (usize, usize), by: f64| {
            let mut moved = output.clone();
            moved[index] += by;
            loss.loss_and_gradient(setup.batch(), &mut moved)
        };
        for (index, &got) in gradient.indexed_iter() {
            // Hybrid: the bound must not reach ε, so there the gradient is that of ‖ε − ε_θ‖² alone
            if objective == Objective::Hybrid && index.1 < 3 {
                assert_close(
                    &format!("ε at {index:?}"),
                    got,
                    2.0 * (output[index] - setup.eps[index]) / 18.0,
                    1e-15,
                );
                continue;
            }
            let step = 1e-6;
            let expected = (at(index, step) - at(index, -step)) / (2.0 * step);
            // rounding: the bound's terms reach 1e4 at t = 1, times 2⁻⁵³, over 2e-6
            assert_close(&format!("{objective} at {index:?}"), got, expected, 1e-5 * (1.0 + expected.abs()));
        }
    }
}

#[test]
fn the_losses_are_the_objectives_rooms() {
    let setup = Setup::new();
    for i in 0..6 {
        let t = setup.t[i];
        let (x_0, eps, x_t) =
            (Setup::row(&setup.x_0, i), Setup::row(&setup.eps, i), Setup::row(&setup.x_t, i));
        let batch = Batch { x_0: &x_0, eps: &eps, x_t: &x_t, t: &[t] };
        let loss_of = |objective| {
            let mut output = Setup::row(&setup.output(objective), i);
            let loss = TrainingLoss::new(&setup.schedule, objective).loss_and_gradient(batch, &mut output);
            (loss * 3.0, Setup::row(&setup.output(objective), i)) // summed over coordinates
        };
        let (loss, output) = loss_of(Objective::Simple);
        assert_relative(&format!("t = {t}: simple"), loss, simple_loss(&eps, &output)[0], 1e-12);

        let (loss, output) = loss_of(Objective::Weighted);
        let weights: f64 =
            (1..=50).map(|t| eps_weight(&setup.schedule, t, setup.schedule.beta(t))).sum::<f64>() / 50.0;
        let expected = weighted_loss(&setup.schedule, t, &eps, &output, setup.schedule.beta(t))[0] / weights;
        assert_relative(&format!("t = {t}: weighted"), loss, expected, 1e-10);

        let (loss, output) = loss_of(Objective::MeanLogVariance);
        let target = posterior_mean(&setup.schedule, t, &x_0, &x_t);
        let term = |d: usize, mean: f64, variance: f64| match t {
            1 => -log_density(x_0[(0, d)], mean, variance),
            _ => kl_divergence(target[(0, d)], posterior_variance(&setup.schedule, t), mean, variance),
        };
        let expected: f64 = (0..3).map(|d| term(d, output[(0, d)], output[(0, 3 + d)].exp())).sum();
        assert_close(&format!("t = {t}: the bound"), loss, expected, 1e-9 * (1.0 + expected.abs()));

        let (loss, output) = loss_of(Objective::Hybrid);
        let eps_theta = output.slice_axis(Axis(1), (..3).into()).to_owned();
        let mean = mean_from_eps(&setup.schedule, t, &x_t, &eps_theta);
        let (high, low) = (setup.schedule.beta(t), posterior_log_variance(&setup.schedule, t).exp());
        let variance = |d: usize| high.powf(output[(0, 3 + d)]) * low.powf(1.0 - output[(0, 3 + d)]);
        let bound: f64 = (0..3).map(|d| term(d, mean[(0, d)], variance(d))).sum();
        let expected = simple_loss(&eps, &eps_theta)[0] + HYBRID_WEIGHT * 50.0 * bound / 2f64.ln();
        assert_relative(&format!("t = {t}: hybrid"), loss, expected, 1e-9);
    }
}

#[test]
fn a_batch_s_loss_is_the_mean_over_points_and_coordinates() {
    let setup = Setup::new();
    let mut output = setup.output(Objective::Simple);
    let expected = (&output - &setup.eps).mapv(|x| x * x).mean().unwrap();
    let loss =
        TrainingLoss::new(&setup.schedule, Objective::Simple).loss_and_gradient(setup.batch(), &mut output);
    assert_relative("simple", loss, expected, 1e-14);
}

#[test]
fn the_weights_of_the_bound_have_mean_one() {
    // the loss of an error of 1 at every t is then 1
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let t: Vec<usize> = (1..=50).collect();
    let zeros = Array2::zeros((50, 1));
    let mut output = Array2::ones((50, 1));
    let batch = Batch { x_0: &zeros, eps: &zeros, x_t: &zeros, t: &t };
    let loss = TrainingLoss::new(&schedule, Objective::Weighted).loss_and_gradient(batch, &mut output);
    assert_relative("mean weight", loss, 1.0, 1e-12);
    assert!(
        output[(0, 0)] > 5.0 * output[(25, 0)],
        "small t weigh more: {} against {}",
        output[(0, 0)],
        output[(25, 0)]
    );
}

#[test]
fn gaussian_term_is_least_where_it_should_be() {
    // at μ = μ̃ and Σ = β̃ the KL and both derivatives vanish
    let (loss, of_mean, of_log) = gaussian_term(0.3, 0.2, 0.3, 0.2f64.ln());
    assert_close("KL", loss, 0.0, 1e-15);
    assert_close("∂/∂μ", of_mean, 0.0, 1e-15);
    assert_close("∂/∂ ln Σ", of_log, 0.0, 1e-15);
}

/// f′(x) by (f(x + h) − f(x − h))/2h: h = 1e-5 balances h²/6 f‴ against rounding, 1e-16 f/h, at 1e-11.
fn slope(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    const H: f64 = 1e-5;
    (f(x + H) - f(x - H)) / (2.0 * H)
}

#[test]
fn gaussian_term_is_a_divergence_with_its_slopes() {
    for (target, target_variance, mean, log_variance) in
        [(0.3, 0.2, -0.4, -1.0), (-1.0, 2.0, 0.5, 0.7), (0.3, 0.0, -0.4, -1.0)]
    {
        let what = format!("μ̃ = {target}, β̃ = {target_variance}, μ = {mean}, ln Σ = {log_variance}");
        let (loss, of_mean, of_log) = gaussian_term(target, target_variance, mean, log_variance);
        let expected = if target_variance > 0.0 {
            kl_divergence(target, target_variance, mean, log_variance.exp())
        } else {
            -log_density(target, mean, log_variance.exp())
        };
        assert_relative(&format!("{what}: L"), loss, expected, 1e-14);
        let by_mean = slope(mean, |mean| gaussian_term(target, target_variance, mean, log_variance).0);
        assert_close(&format!("{what}: ∂L/∂μ"), of_mean, by_mean, 1e-9);
        let by_log = slope(log_variance, |log| gaussian_term(target, target_variance, mean, log).0);
        assert_close(&format!("{what}: ∂L/∂ ln Σ"), of_log, by_log, 1e-9);
    }
}

#[test]
fn sinusoidal_embedding_holds_sines_then_cosines_from_fast_to_slow() {
    let values = array![0.5, -3.0];
    let embedding = sinusoidal_embedding(values.view(), 2.0, 6);
    assert_eq!(embedding.dim(), (2, 6), "shape for N = 2 values and size 6");
    for ((n, k), &got) in embedding.indexed_iter() {
        let omega = [1.0, 0.01, 0.0001][k % 3]; // 1 to 1/10000 in equal ratios
        let angle: f64 = 2.0 * values[n] * omega;
        let expected = if k < 3 { angle.sin() } else { angle.cos() };
        assert_close(&format!("s = 2, v = {}, entry {k}", values[n]), got, expected, 1e-15);
    }
}

#[test]
fn gelu_derivative_is_the_slope_of_gelu() {
    for x in (0..=12).flat_map(|k| [f64::from(k) / 2.0, f64::from(-k) / 2.0]) {
        assert_close(&format!("x = {x}: GELU′"), gelu_derivative(x), slope(x, gelu), 1e-9);
    }
}

#[test]
fn linear_backward_is_the_slope_of_linear_forward() {
    // L = Σ y ⊙ G has the gradient G with respect to y; every size differs from every other
    let draw = |rows, columns, seed| standard_normal::<f64>(rows, columns, &mut rng(seed));
    let (x, weight, bias, g) =
        (draw(3, 4, 30), draw(5, 4, 31), draw(1, 5, 32).remove_axis(Axis(0)), draw(3, 5, 33));
    let (of_x, of_weight, of_bias) = linear_backward(x.view(), weight.view(), g.view());
    assert_eq!((of_x.dim(), of_weight.dim(), of_bias.dim()), (x.dim(), weight.dim(), bias.dim()), "shapes");
    let loss = |x: &Array2<f64>, weight: &Array2<f64>, bias: &Array1<f64>| {
        (linear_forward(x.view(), weight.view(), bias.view()) * &g).sum()
    };
    for (at, &got) in of_x.indexed_iter() {
        let expected = slope(x[at], |value| {
            let mut moved = x.clone();
            moved[at] = value;
            loss(&moved, &weight, &bias)
        });
        assert_close(&format!("∂L/∂x at {at:?}"), got, expected, 1e-8);
    }
    for (at, &got) in of_weight.indexed_iter() {
        let expected = slope(weight[at], |value| {
            let mut moved = weight.clone();
            moved[at] = value;
            loss(&x, &moved, &bias)
        });
        assert_close(&format!("∂L/∂W at {at:?}"), got, expected, 1e-8);
    }
    for (at, &got) in of_bias.indexed_iter() {
        let expected = slope(bias[at], |value| {
            let mut moved = bias.clone();
            moved[at] = value;
            loss(&x, &weight, &moved)
        });
        assert_close(&format!("∂L/∂b at {at}"), got, expected, 1e-8);
    }
}

#[test]
fn adamw_update_is_a_ratio_of_weighted_means() {
    // m̂ and v̂ are means of g and g² with weights β^{n−k}, summed here as such, without a recursion
    let config =
        AdamWConfig { learning_rate: 0.01, beta_1: 0.7, beta_2: 0.9, epsilon: 0.1, weight_decay: 0.2 };
    let gradients = standard_normal::<f64>(1, 20, &mut rng(34)).remove_axis(Axis(0));
    let weighted_mean = |beta: f64, power: i32, n: usize| {
        let weight = |k: usize| beta.powi((n - k) as i32);
        let sum: f64 = (1..=n).map(|k| weight(k) * gradients[k - 1].powi(power)).sum();
        sum / (1..=n).map(weight).sum::<f64>()
    };
    let (mut theta, mut mean, mut mean_square, mut expected) = ([0.3], [0.0], [0.0], 0.3);
    for n in 1..=20 {
        adamw_update(&config, n as u64, &mut theta, &[gradients[n - 1]], &mut mean, &mut mean_square);
        let (m, v) = (weighted_mean(0.7, 1, n), weighted_mean(0.9, 2, n));
        expected -= 0.01 * 0.2 * expected;
        expected -= 0.01 * m / (v.sqrt() + 0.1);
        let what = format!("step {n}, g = {:.4}", gradients[n - 1]);
        assert_close(&format!("{what}, β_1 = 0.7: m"), mean[0], m * (1.0 - 0.7f64.powi(n as i32)), 1e-14);
        assert_close(
            &format!("{what}, β_2 = 0.9: v"),
            mean_square[0],
            v * (1.0 - 0.9f64.powi(n as i32)),
            1e-14,
        );
        let what = format!("{what}, m̂ = {m:.4}, v̂ = {v:.4}, η = 0.01, λ = 0.2, ϵ = 0.1");
        assert_close(&format!("{what}: θ"), theta[0], expected, 1e-14);
    }
}

#[test]
fn ema_update_closes_the_gap_by_the_decay() {
    let mut average = [1.0, 5.7]; // 0.9 · 5.7 + 0.1 · 5.7 is not 5.7 in doubles
    for n in 1..=50 {
        ema_update(&mut average, &[3.0, 5.7], 0.9);
        assert_close(
            &format!("update {n}, d = 0.9, from 1 towards 3"),
            average[0],
            3.0 - 2.0 * 0.9f64.powi(n),
            1e-14,
        );
        assert_eq!(average[1], 5.7, "update {n}: an average equal to its parameter stays");
    }
}

#[test]
#[should_panic(expected = "shape of the network's output")]
fn a_loss_wants_its_own_number_of_outputs() {
    let setup = Setup::new();
    TrainingLoss::new(&setup.schedule, Objective::Hybrid)
        .loss_and_gradient(setup.batch(), &mut Array2::zeros((6, 3)));
}

#[test]
fn objectives_have_names() {
    for objective in OBJECTIVES {
        assert_eq!(objective.to_string().parse::<Objective>().unwrap(), objective);
    }
    assert!("smiple".parse::<Objective>().unwrap_err().to_string().contains("use simple, weighted"));
    assert_eq!(OBJECTIVES.map(|objective| objective.outputs(3)), [3, 3, 6, 6]);
}

#[test]
fn the_gradient_check_passes_on_the_network() {
    let network = Mlp::<f64>::new(MlpConfig::default(), &mut rng(4)).unwrap();
    let (x, weights) = (standard_normal(4, 2, &mut rng(5)), standard_normal(4, 2, &mut rng(6)));
    let checks = check_gradients(&network, x.view(), &[1.0, 10.0, 100.0, 1000.0], &weights, 10);
    assert_eq!(checks.len(), 10, "a weight and a bias for five layers");
    for check in checks {
        assert!(check.entries >= 2, "{check:?}");
        assert!(check.relative_error <= 1e-6, "{check:?}");
        assert!(check.relative_error > 0.0, "{check:?}: two routes never agree to the last bit everywhere");
    }
}

fn small(steps: usize, objective: Objective) -> TrainConfig {
    TrainConfig { steps, batch: 64, objective, ..TrainConfig::default() }
}

#[test]
fn training_approaches_the_irreducible_loss() {
    // Gaussian data: E[ε | x_t] is linear in x_t, and its loss is known
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let data = GaussianData { mean: array![0.5, -0.5], variance: 0.3 };
    let draw =
        |n: usize, rng: &mut _| &data.mean + &(data.variance.sqrt() * standard_normal::<f64>(n, 2, rng));
    let trainer = Trainer::<f32>::new(&schedule, small(1500, Objective::Simple), &mut rng(7)).unwrap();
    let mut losses = Vec::new();
    let trained = trainer.run(&mut rng(8), draw, |report| losses.push(report.loss)).unwrap();
    assert_eq!(losses.len(), 1500);
    let denoiser =
        NetworkDenoiser { schedule: &schedule, network: &trained.average, objective: trained.objective };
    let exact = ExactDenoiser::new(&schedule, &data);
    let loss = |denoiser: &dyn Denoiser| {
        let x_0 = draw(2000, &mut rng(9));
        (1..=50)
            .map(|t| mean(denoising_loss(&schedule, &denoiser, &x_0, t, &mut rng(t as u64)).view()))
            .sum::<f64>()
            / 100.0
    };
    let (network, irreducible) = (loss(&denoiser), loss(&exact));
    assert!(network > irreducible, "{network} beats what nothing can beat, {irreducible}");
    assert!(network < 1.1 * irreducible, "{network} is far from {irreducible}");
    assert!(losses[..20].iter().sum::<f64>() / 20.0 > 1.5 * network, "nothing was learned");
}

// ANCHOR: a_step_changes_every_parameter_and_the_average_follows
#[test]
fn a_step_changes_every_parameter_and_the_average_follows() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    for objective in OBJECTIVES {
        let mut trainer = Trainer::<f32>::new(&schedule, small(10, objective), &mut rng(10)).unwrap();
        let before = trainer.network().parameters().to_vec();
        let report = trainer.step(&standard_normal(64, 2, &mut rng(11)), &mut rng(12));
        assert_eq!(report.step, 1);
        assert!(report.loss.is_finite() && report.gradient_norm > 0.0, "{objective}: {report:?}");
        let still = before.iter().zip(trainer.network().parameters()).filter(|(a, b)| a == b).count();
        assert_eq!(still, 0, "{objective}: parameters that stood still");
        let trained = trainer.finish();
        // the first update keeps 1/10 of the beginning
        for ((&start, &now), &average) in
            before.iter().zip(trained.network.parameters()).zip(trained.average.parameters()).take(50)
        {
            let expected = 0.1 * f64::from(start) + 0.9 * f64::from(now);
            assert_close(&format!("{objective}: average"), f64::from(average), expected, 1e-6);
        }
    }
}
// ANCHOR_END: a_step_changes_every_parameter_and_the_average_follows

#[test]
fn the_same_seed_trains_the_same_network() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let run = |seed| {
        let trainer = Trainer::<f32>::new(&schedule, small(5, Objective::Simple), &mut rng(seed)).unwrap();
        let trained = trainer.run(&mut rng(seed), |n, rng| standard_normal(n, 2, rng), |_| ()).unwrap();
        trained.average.parameters().to_vec()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

// ANCHOR: every_t_is_trained
#[test]
fn every_t_is_trained() {
    // Nearly all x_0 are one point, so at t the noise is x_t/√(1 − ᾱ_t). With 0.05 and 0.95 under the root, neither step
    // teaches the other: a network that never saw one of them guesses, and its loss there is that of knowing nothing, 1, or
    // near it or above. With steps of one size it would guess right.
    let schedule = Schedule::from_betas(array![0.0, 0.0025, 0.9]).unwrap();
    let data = GaussianData { mean: array![0.0, 0.0], variance: 1e-4 };
    let trainer = Trainer::<f32>::new(&schedule, small(600, Objective::Simple), &mut rng(13)).unwrap();
    let trained =
        trainer.run(&mut rng(14), |n, rng| 0.01 * standard_normal::<f64>(n, 2, rng), |_| ()).unwrap();
    let denoiser =
        NetworkDenoiser { schedule: &schedule, network: &trained.average, objective: trained.objective };
    for t in 1..=2 {
        let x_0 = data.variance.sqrt() * standard_normal::<f64>(500, 2, &mut rng(15));
        let loss = mean(denoising_loss(&schedule, &denoiser, &x_0, t, &mut rng(16)).view()) / 2.0;
        assert!(loss < 0.1, "t = {t}: loss {loss}");
    }
}
// ANCHOR_END: every_t_is_trained

// ANCHOR: a_network_without_time_embedding_does_not_see_t
#[test]
fn a_network_without_time_embedding_does_not_see_t() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let x_t = standard_normal::<f64>(5, 2, &mut rng(17));
    for time_embedding in [false, true] {
        let config = TrainConfig { time_embedding, ..small(1, Objective::Simple) };
        let trainer = Trainer::<f32>::new(&schedule, config, &mut rng(18)).unwrap();
        let denoiser =
            NetworkDenoiser { schedule: &schedule, network: trainer.network(), objective: Objective::Simple };
        let same = denoiser.predict(x_t.view(), 1.0) == denoiser.predict(x_t.view(), 50.0);
        assert_eq!(same, !time_embedding);
    }
}
// ANCHOR_END: a_network_without_time_embedding_does_not_see_t

#[test]
fn a_denoiser_reads_its_network_s_output() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let x_t = standard_normal::<f64>(5, 2, &mut rng(19));
    for t in [1, 2, 50] {
        for objective in OBJECTIVES {
            let trainer = Trainer::<f64>::new(&schedule, small(1, objective), &mut rng(20)).unwrap();
            let output = trainer.network().forward(x_t.view(), &[t as f64; 5]);
            let denoiser = NetworkDenoiser { schedule: &schedule, network: trainer.network(), objective };
            let prediction = denoiser.predict(x_t.view(), t as f64);
            let halves = output.view().split_at(Axis(1), 2);
            match objective {
                Objective::Simple | Objective::Weighted => {
                    assert_eq!(prediction.eps, output);
                    assert_eq!(prediction.variance, None);
                }
                Objective::MeanLogVariance => {
                    let mean = mean_from_eps(&schedule, t, &x_t, &prediction.eps);
                    assert_all_close("mean", &mean, &halves.0.to_owned(), 1e-12);
                    assert_all_close(
                        "ln Σ",
                        &prediction.variance.unwrap().mapv(f64::ln),
                        &halves.1.to_owned(),
                        1e-12,
                    );
                }
                Objective::Hybrid => {
                    assert_eq!(prediction.eps, halves.0);
                    let (high, low) = (schedule.beta(t), posterior_variance(&schedule, t.max(2)));
                    let expected = halves.1.mapv(|v| high.powf(v) * low.powf(1.0 - v));
                    assert_all_close("Σ", &prediction.variance.unwrap(), &expected, 1e-12);
                }
            }
        }
    }
}

#[test]
fn a_run_that_diverges_stops_and_says_where() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let config = TrainConfig { learning_rate: 1e30, ..small(100, Objective::Simple) };
    let trainer = Trainer::<f32>::new(&schedule, config, &mut rng(24)).unwrap();
    let error = trainer.run(&mut rng(25), |n, rng| standard_normal(n, 2, rng), |_| ()).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 2..=100, .. }), "{error}");
    assert!(error.to_string().contains("use a smaller learning rate"));
}

#[test]
fn bad_configurations_are_named() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let good = TrainConfig::default();
    for (named, config) in [
        ("training steps", TrainConfig { steps: 0, ..good.clone() }),
        ("batch", TrainConfig { batch: 0, ..good.clone() }),
        ("learning rate", TrainConfig { learning_rate: 0.0, ..good.clone() }),
        ("learning rate", TrainConfig { learning_rate: f64::NAN, ..good.clone() }),
        ("learning rate", TrainConfig { learning_rate: f64::INFINITY, ..good.clone() }),
        ("largest gradient norm", TrainConfig { max_gradient_norm: -1.0, ..good.clone() }),
        ("decay of the average", TrainConfig { ema_decay: 1.0, ..good.clone() }),
    ] {
        let error = Trainer::<f32>::new(&schedule, config, &mut rng(21)).err();
        assert!(matches!(error, Some(Error::Parameter { name, .. }) if name == named), "{named}: {error:?}");
    }
    good.validate().unwrap();
}

#[test]
fn relative_noise_is_what_it_says() {
    // g = m + s z in 50 dimensions: E‖g − E g‖² = 50 s², ‖E g‖² = 50 m²
    let draws = standard_normal::<f64>(2000, 50, &mut rng(22)).mapv(|z| 0.5 + 2.0 * z);
    assert_relative("noise", relative_noise(&draws), 16.0, 0.05);
    let mut other = rng(23);
    let few = Array2::from_shape_simple_fn((4, 50_000), || 1.0 + other.random_range(-1.0..1.0));
    // variance 1/3 over 1², from four draws only: without taking the noise out it would be 0.31
    assert_relative("few draws", relative_noise(&few), 1.0 / 3.0, 0.02);
}

#[test]
fn the_noise_of_a_gradient_is_that_of_fresh_batches_at_one_network() {
    let schedule = Schedule::linear_scaled(50).unwrap();
    let config = TrainConfig { steps: 10, batch: 16, ..TrainConfig::default() };
    let mut trainer = Trainer::<f32>::new(&schedule, config, &mut rng(24)).unwrap();
    let draw = |batch, rng: &mut StdRng| standard_normal::<f64>(batch, 2, rng);
    let noise = trainer.gradient_noise(5, &mut rng(25), draw);
    let mut generator = rng(25);
    let rows: Vec<Vec<f64>> = (0..5)
        .map(|_| {
            let x_0 = draw(16, &mut generator);
            trainer.gradient(&x_0, &mut generator).into_iter().map(f64::from).collect()
        })
        .collect();
    let gradients = Array2::from_shape_vec((5, rows[0].len()), rows.concat()).unwrap();
    assert_eq!(noise, relative_noise(&gradients));
    assert!(noise > 0.0, "a small batch has noise, got {noise}");
}
