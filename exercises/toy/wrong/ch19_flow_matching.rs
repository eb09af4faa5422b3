//! Slips in flow matching.

use super::slip;
use crate::{
    Result,
    continuous::ode::heun,
    data::GaussianMixture,
    flow::{Convention, Coupling, Straightness},
    path::Path,
    sampler::Step,
    schedule::Schedule,
};
use ndarray::{Array2, Axis};
use solution::flow;

pub fn conditional_velocity(path: Path, t: f64, x: &Array2<f64>, x_0: &Array2<f64>) -> Array2<f64> {
    let right = flow::conditional_velocity(path, t, x, x_0);
    let (at, rates) = (path.kernel(t), path.rates(t));
    let ratio = rates.deviation / at.deviation();
    match slip("conditional_velocity") {
        "to_the_data" => -right,
        "alpha_forgotten" => ratio * (x - x_0) + rates.signal * x_0,
        "data_held" => ratio * (x - &(at.signal * x_0)),
        "ratio_turned" => (x - &(at.signal * x_0)) / ratio + rates.signal * x_0,
        "variance_for_deviation" => {
            path.variance_rate(t) / at.variance * (x - &(at.signal * x_0)) + rates.signal * x_0
        }
        _ => right,
    }
}

#[track_caller]
pub fn marginal_velocity(data: &GaussianMixture, path: Path, t: f64, x: &Array2<f64>) -> Array2<f64> {
    let right = flow::marginal_velocity(data, path, t, x);
    let averaged = |shares: &dyn Fn(ndarray::ArrayView1<f64>) -> ndarray::Array1<f64>| {
        let mut sum = Array2::zeros(x.dim());
        for k in 0..data.weights.len() {
            let one = GaussianMixture::new(
                ndarray::array![1.0],
                data.means.row(k).to_owned().insert_axis(Axis(0)),
                data.variances.row(k).to_owned().insert_axis(Axis(0)),
            );
            let of_one = flow::marginal_velocity(&one, path, t, x);
            let share: ndarray::Array1<f64> = x.rows().into_iter().map(|x| shares(x)[k]).collect();
            sum += &(of_one * share.insert_axis(Axis(1)));
        }
        sum
    };
    match slip("marginal_velocity") {
        "to_the_data" => -right,
        "from_the_mean_of_the_data" => {
            let mean = Array2::zeros(x.dim()) + data.mean();
            flow::conditional_velocity(path, t, x, &mean)
        }
        "by_the_weights" => averaged(&|_| data.weights.clone()),
        "responsibilities_of_the_data" => averaged(&|x| data.responsibilities(x)),
        "nearest_component_alone" => averaged(&|x| {
            let shares = data.through(path.kernel(t)).responsibilities(x);
            let most = shares.fold(0.0, |a: f64, b| a.max(*b));
            shares.mapv(|share| if share == most { 1.0 } else { 0.0 })
        }),
        _ => right,
    }
}

pub fn convert_velocity(from: Convention, to: Convention, v: &Array2<f64>) -> Array2<f64> {
    let right = flow::convert_velocity(from, to, v);
    match slip("convert_velocity") {
        "by_where_time_begins" => {
            if from.time_from == to.time_from {
                v.clone()
            } else {
                -v
            }
        }
        "by_the_sign_of_dx" => from.sign() * to.sign() * v,
        "never" => v.clone(),
        "always" => -v,
        _ => right,
    }
}

#[track_caller]
pub fn straight_euler_step(schedule: &Schedule, t: usize, previous: usize) -> Step {
    let step = flow::straight_euler_step(schedule, t, previous);
    let [(alpha, sigma), (alpha_then, sigma_then)] = [t, previous].map(|t| {
        let bar = schedule.alpha_bar(t);
        (bar.sqrt(), (1.0 - bar).sqrt())
    });
    let (scale, then) = (alpha + sigma, alpha_then + sigma_then);
    let (from, to) = (sigma / scale, sigma_then / then);
    match slip("straight_euler_step") {
        "not_scaled_back" => Step { x_t: step.x_t / then, eps: step.eps / then, ..step },
        "not_scaled_at_all" => Step { x_t: step.x_t * scale / then, eps: step.eps / then, ..step },
        "signal_forgotten" => {
            Step { x_t: then / scale * (1.0 - (to - from)), eps: then * (to - from), ..step }
        }
        "against_the_direction" => {
            let h = from - to;
            Step { x_t: then / scale * (1.0 - h / (1.0 - from)), eps: then * h / (1.0 - from), ..step }
        }
        "velocity_at_the_end" => {
            let h = to - from;
            Step { x_t: then / scale * (1.0 - h / (1.0 - to)), eps: then * h / (1.0 - to), ..step }
        }
        "variances_for_deviations" => {
            let (from, to) = (sigma * sigma / (alpha * alpha + sigma * sigma), sigma_then * sigma_then);
            let h = to - from;
            Step { x_t: then / scale * (1.0 - h / (1.0 - from)), eps: then * h / (1.0 - from), ..step }
        }
        _ => step,
    }
}

#[track_caller]
pub fn straightness(places: &[Array2<f64>]) -> Straightness {
    let right = flow::straightness(places);
    let last = places.len() - 1;
    let (steps, chord) = (last as f64, &places[last] - &places[0]);
    let squared = |x: &Array2<f64>| x.mapv(|x| x * x).sum();
    let velocities = || places.windows(2).map(|pair| steps * (&pair[1] - &pair[0]));
    match slip("straightness") {
        "chord_not_subtracted" => Straightness {
            curvature: velocities().map(|v| squared(&v)).sum::<f64>() / steps / squared(&chord),
            ..right
        },
        "not_over_the_chord" => {
            Straightness { curvature: right.curvature * squared(&chord) / chord.nrows() as f64, ..right }
        }
        "steps_for_velocities" => Straightness {
            curvature: places.windows(2).map(|pair| squared(&(&pair[1] - &pair[0] - &chord))).sum::<f64>()
                / steps
                / squared(&chord),
            ..right
        },
        "from_the_first_velocity" => {
            let first = steps * (&places[1] - &places[0]);
            let strayed = velocities().map(|v| squared(&(&v - &first))).sum::<f64>() / steps;
            Straightness { curvature: strayed / squared(&chord), ..right }
        }
        "detour_turned" => Straightness { detour: 1.0 / right.detour, ..right },
        "detour_of_squares" => Straightness { detour: right.curvature + 1.0, ..right },
        _ => right,
    }
}

pub fn reflow_pairs(
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    eps: &Array2<f64>,
    steps: usize,
) -> Result<Coupling> {
    match slip("reflow_pairs") {
        "upwards" => Ok(Coupling { x_0: heun(velocity, eps.clone(), (0.0, 1.0), steps)?, eps: eps.clone() }),
        "swapped" => {
            let right = flow::reflow_pairs(velocity, eps, steps)?;
            Ok(Coupling { x_0: right.eps, eps: right.x_0 })
        }
        "in_one_step" => {
            let x_0 = eps - &velocity(1.0, eps);
            Ok(Coupling { x_0, eps: eps.clone() })
        }
        "time_turned" => flow::reflow_pairs(|t, x| velocity(1.0 - t, x), eps, steps),
        "other_noise" => {
            let right = flow::reflow_pairs(velocity, eps, steps)?;
            let turned: Vec<usize> = (0..eps.nrows()).rev().collect();
            Ok(Coupling { eps: right.eps.select(Axis(0), &turned), ..right })
        }
        _ => flow::reflow_pairs(velocity, eps, steps),
    }
}
