//! Training on any target, against Algorithm 1's own trainer and against losses that are written out.

mod common;

use common::{assert_close, rng};
use ddpm::{
    denoiser::Denoiser,
    forward::{TransitionKernel, standard_normal},
    metrics::largest_difference,
    network::{Mlp, MlpConfig},
    objective::Objective,
    path::Path,
    schedule::Schedule,
    target::Target,
    train::{
        NetworkDenoiser, TrainConfig, Trainer,
        regression::{Examples, Level, LevelDenoiser, Regression, predict},
    },
};
use ndarray::{Array2, array};
use ndarray_rand::rand::{Rng, rngs::StdRng};

fn spiral(count: usize, rng: &mut StdRng) -> Array2<f64> {
    let mut points = Array2::zeros((count, 2));
    for mut point in points.rows_mut() {
        let turn: f64 = rng.random_range(0.0..6.0);
        (point[0], point[1]) = (turn * turn.cos() / 4.0, turn * turn.sin() / 4.0);
    }
    points
}

fn of_step(schedule: &Schedule, t: f64) -> Level {
    let alpha_bar = schedule.alpha_bar_at(t);
    let at = TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar };
    Level::new(at, t, Target::EPS)
}

/// With the T steps as its levels and ε as its target it is Algorithm 1: the same network after 20 steps.
#[test]
fn on_eps_at_whole_steps_it_is_algorithm_1() {
    let schedule = Schedule::linear_scaled(100).unwrap();
    let config = TrainConfig { steps: 20, batch: 32, ..TrainConfig::default() };
    let mut losses = [Vec::new(), Vec::new()];
    let trained = Trainer::<f64>::new(&schedule, config.clone(), &mut rng(1))
        .unwrap()
        .run(&mut rng(2), spiral, |report| losses[0].push(report.loss))
        .unwrap();
    let levels = |batch, rng: &mut StdRng| {
        (0..batch).map(|_| of_step(&schedule, rng.random_range(1..=100) as f64)).collect()
    };
    let average = Regression::<f64>::new(&config, &mut rng(1))
        .unwrap()
        .run(&mut rng(2), spiral, levels, |report| losses[1].push(report.loss))
        .unwrap();
    for (step, (a, b)) in losses[0].iter().zip(&losses[1]).enumerate() {
        assert_close(&format!("loss of step {step}"), *b, *a, 1e-9);
    }
    assert_eq!(losses[1].len(), 20);
    for (a, b) in trained.average.parameters().iter().zip(average.parameters()) {
        assert_close("a parameter", *b, *a, 1e-7);
    }
    let x = standard_normal(10, 2, &mut rng(3));
    let own = LevelDenoiser { schedule: &schedule, network: &average, level: |t| of_step(&schedule, t) };
    let algorithm_1 =
        NetworkDenoiser { schedule: &schedule, network: &average, objective: Objective::Simple };
    for t in [1.0, 7.5, 100.0] {
        let difference =
            largest_difference(&own.predict(x.view(), t).eps, &algorithm_1.predict(x.view(), t).eps);
        assert!(difference < 1e-9, "t = {t}: {difference:e}");
    }
}

// ANCHOR: the_loss_is_the_weighted_error_of_the_target
/// The first loss, point by point, as its formula reads.
#[test]
fn the_loss_is_the_weighted_error_of_the_target() {
    let (x_0, eps) =
        (array![[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]], array![[0.1, 0.2], [-1.0, 2.0], [0.0, 1.5]]);
    let level = |signal: f64, variance: f64, time: f64, input_scale: f64, target: Target, weight: f64| {
        Level { at: TransitionKernel { signal, variance }, time, input_scale, target, weight }
    };
    let levels = [
        level(0.8, 0.36, 3.0, 1.0, Target::X_0, 1.0),
        level(1.0, 4.0, 50.0, 0.25, Target { of_x_0: 0.3, of_eps: -2.0 }, 7.0),
        level(0.5, 0.25, 500.0, 2.0, Target { of_x_0: -1.0, of_eps: 1.0 }, 0.5),
    ];
    let mut learner = Regression::<f64>::new(&TrainConfig::default(), &mut rng(4)).unwrap();
    let network: Mlp<f64> = learner.network().clone();
    let mut expected = 0.0;
    for (n, level) in levels.iter().enumerate() {
        let x: Vec<f64> =
            (0..2).map(|d| level.at.signal * x_0[(n, d)] + level.at.variance.sqrt() * eps[(n, d)]).collect();
        let seen = Array2::from_shape_vec((1, 2), x.iter().map(|x| level.input_scale * x).collect()).unwrap();
        let output = network.forward(seen.view(), &[level.time]);
        let own = predict(&network, level, Array2::from_shape_vec((1, 2), x).unwrap().view());
        assert!(largest_difference(&output, &own) < 1e-12);
        for d in 0..2 {
            let target = level.target.of_x_0 * x_0[(n, d)] + level.target.of_eps * eps[(n, d)];
            expected += level.weight * (target - output[(0, d)]).powi(2) / 6.0;
        }
    }
    let report = learner.step(Examples { x_0: &x_0, eps: &eps, levels: &levels, labels: &[] });
    assert_close("loss", report.loss, expected, 1e-12 * expected);
    assert_eq!(report.step, 1);
    let moved =
        network.parameters().iter().zip(learner.network().parameters()).filter(|(a, b)| a != b).count();
    assert!(moved * 10 > network.parameters().len() * 9, "{moved} parameters moved");
}
// ANCHOR_END: the_loss_is_the_weighted_error_of_the_target

/// A denoiser read off a level of another scale gives the same ε: one whose network computes what any target is of known x_0 and ε.
#[test]
fn a_level_of_another_scale_gives_the_same_noise() {
    let schedule = Schedule::linear_scaled(50).unwrap();
    let network = Mlp::<f64>::new(MlpConfig::default(), &mut rng(5)).unwrap();
    let x_t = standard_normal(6, 2, &mut rng(6));
    for t in [1.0, 20.0, 50.0] {
        let alpha_bar: f64 = schedule.alpha_bar_at(t);
        let (signal, variance) = (alpha_bar.sqrt(), 1.0 - alpha_bar);
        let ratio = variance.sqrt() / signal;
        // the same network on the same input at three scales: x_t, x_t/√ᾱ and the straight path's
        let straight = Path::Straight.kernel(ratio / (1.0 + ratio));
        let kernels = [
            TransitionKernel { signal, variance },
            TransitionKernel { signal: 1.0, variance: ratio * ratio },
            straight,
        ];
        let noise = kernels.map(|at| {
            let level = Level { input_scale: signal / at.signal, ..Level::new(at, t, Target::v(at)) };
            LevelDenoiser { schedule: &schedule, network: &network, level: |_| level }
                .predict(x_t.view(), t)
                .eps
        });
        // ε of v, by hand at each scale: v = α ε − σ x_0 and x = α x_0 + σ ε give ε = (σ x + α v)/(α² + σ²)
        let v = network.forward(x_t.view(), &[t; 6]);
        for (at, eps) in kernels.iter().zip(&noise) {
            let x = at.signal / signal * &x_t;
            let norm = at.signal * at.signal + at.variance;
            let expected = (at.variance.sqrt() * &x + at.signal * &v) / norm;
            let difference = largest_difference(eps, &expected);
            assert!(difference < 1e-12, "t = {t}, α = {}: {difference:e}", at.signal);
        }
    }
}

/// A loss that is no number is an error, with its step.
#[test]
fn a_loss_that_is_no_number_is_an_error() {
    let levels = |batch, _: &mut StdRng| {
        vec![
            Level::new(TransitionKernel { signal: 1.0, variance: 1.0 }, 1.0, Target::EPS).weighted(f64::NAN);
            batch
        ]
    };
    let config = TrainConfig { steps: 5, batch: 4, ..TrainConfig::default() };
    let error = Regression::<f32>::new(&config, &mut rng(7))
        .unwrap()
        .run(&mut rng(8), spiral, levels, |_| ())
        .unwrap_err();
    assert!(matches!(error, ddpm::Error::Diverged { step: 1, .. }), "{error}");
    assert!(Regression::<f32>::new(&TrainConfig { batch: 0, ..config }, &mut rng(9)).is_err());
}
