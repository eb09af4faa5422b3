//! Slips in the detectors.

use super::slip;
use crate::{
    bugs::StepAudit,
    metrics::{excess_kurtosis, largest, mean, standard_error},
};
use ndarray::{Array2, ArrayView1};
use solution::bugs;

pub fn first_bad_beta(betas: &[f64]) -> Option<usize> {
    let first = |bad: fn(f64) -> bool| (1..betas.len()).find(|&t| bad(betas[t]));
    match slip("first_bad_beta") {
        "nan_passes" => first(|beta| beta <= 0.0 || beta >= 1.0),
        "ends_allowed" => first(|beta| !(0.0..=1.0).contains(&beta)),
        "zero_allowed" => first(|beta| !(0.0..1.0).contains(&beta)),
        "index_from_zero" => bugs::first_bad_beta(betas).map(|t| t - 1),
        "beta_0_is_asked" => betas.iter().position(|&beta| !(beta > 0.0 && beta < 1.0)),
        "the_last_of_them" => (1..betas.len()).rev().find(|&t| !(betas[t] > 0.0 && betas[t] < 1.0)),
        _ => bugs::first_bad_beta(betas),
    }
}

pub fn normality_scores(noise: ArrayView1<f64>) -> [f64; 3] {
    let (count, right) = (noise.len() as f64, bugs::normality_scores(noise));
    match slip("normality_scores") {
        "own_variance_for_one" => [mean(noise) / standard_error(noise), right[1], right[2]],
        "standard_deviation_for_variance" => {
            [right[0], (noise.std(0.0) - 1.0) * (count / 2.0).sqrt(), right[2]]
        }
        "second_moment_for_variance" => {
            let square = mean(noise.mapv(|x| x * x).view());
            [right[0], (square - 1.0) * (count / 2.0).sqrt(), right[2]]
        }
        "kurtosis_without_its_three" => {
            [right[0], right[1], (excess_kurtosis(noise) + 3.0) * (count / 24.0).sqrt()]
        }
        "error_of_the_skewness" => [right[0], right[1], excess_kurtosis(noise) * (count / 6.0).sqrt()],
        "no_standard_errors" => [mean(noise), noise.var(0.0) - 1.0, excess_kurtosis(noise)],
        _ => right,
    }
}

pub fn standard_errors_off(predicted: f64, draws: ArrayView1<f64>) -> f64 {
    let right = bugs::standard_errors_off(predicted, draws);
    match slip("standard_errors_off") {
        "scatter_for_standard_error" => (mean(draws) - predicted).abs() / draws.std(1.0),
        "signed" => (mean(draws) - predicted) / standard_error(draws),
        "squared" => right.powi(2),
        "variance_for_standard_error" => (mean(draws) - predicted).abs() / standard_error(draws).powi(2),
        "zero_over_zero" => (mean(draws) - predicted).abs() / standard_error(draws),
        "over_n" => right * ((draws.len() - 1) as f64 / draws.len() as f64).sqrt(),
        _ => right,
    }
}

#[track_caller]
pub fn unmoved_parameters<F: PartialEq>(before: &[F], after: &[F]) -> usize {
    let unmoved = bugs::unmoved_parameters(before, after);
    match slip("unmoved_parameters") {
        "moved_ones" => before.len() - unmoved,
        "all_or_nothing" => {
            if before == after {
                before.len()
            } else {
                0
            }
        }
        "up_to_the_first_that_moved" => before.iter().zip(after).take_while(|(b, a)| b == a).count(),
        "values_that_are_still_somewhere" => before.iter().filter(|value| after.contains(value)).count(),
        _ => unmoved,
    }
}

pub fn step_audit(steps: usize, trained: &[usize], called: &[usize]) -> StepAudit {
    let right = bugs::step_audit(steps, trained, called);
    match slip("step_audit") {
        "index_from_zero" => {
            StepAudit { uncalled: (0..steps).filter(|t| !called.contains(t)).collect(), ..right }
        }
        "trained_for_asked" => {
            StepAudit { untrained: (1..=steps).filter(|t| !trained.contains(t)).collect(), ..right }
        }
        "only_neighbours_repeat" => {
            let twice = called.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
            StepAudit { repeated: twice.collect(), ..right }
        }
        "as_often_as_asked" => StepAudit {
            untrained: called.iter().copied().filter(|t| !trained.contains(t)).collect(),
            ..right
        },
        "beyond_t_unseen" => {
            StepAudit { untrained: right.untrained.into_iter().filter(|&t| t <= steps).collect(), ..right }
        }
        "falling" => {
            let turned = |times: Vec<usize>| times.into_iter().rev().collect();
            StepAudit {
                untrained: turned(right.untrained),
                uncalled: turned(right.uncalled),
                repeated: turned(right.repeated),
            }
        }
        "lists_swapped" => StepAudit { untrained: right.uncalled, uncalled: right.untrained, ..right },
        _ => right,
    }
}

#[track_caller]
pub fn reseed_change(run: impl Fn(u64) -> Array2<f64>) -> f64 {
    let difference = |a: u64, b: u64| run(a) - run(b);
    match slip("reseed_change") {
        "the_same_seed_twice" => largest(difference(1, 1).iter().map(|x| x.abs())),
        "signed_sum" => difference(1, 2).sum().abs(),
        "mean_for_largest" => difference(1, 2).mapv(f64::abs).mean().unwrap_or(0.0),
        "largest_without_its_sign" => difference(1, 2).fold(f64::NEG_INFINITY, |worst, x| worst.max(*x)),
        "nan_hides" => difference(1, 2).fold(0.0, |worst: f64, x| worst.max(x.abs())),
        _ => bugs::reseed_change(run),
    }
}
