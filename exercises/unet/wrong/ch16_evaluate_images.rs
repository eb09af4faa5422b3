//! Slips in the evaluation of images.

use super::slip;
use ndarray::{Array1, Array2};
use solution::evaluate::{
    frechet::{self, Gaussian, symmetric_eigenvalues, symmetric_root},
    likelihood,
    neighbours::{self, Neighbour},
    progressive,
};
use std::ops::RangeInclusive;

#[track_caller]
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> f64 {
    let right = frechet::frechet_distance(a, b);
    let shift = (&a.mean - &b.mean).mapv(|difference| difference.powi(2)).sum();
    let traces = a.covariance.diag().sum() + b.covariance.diag().sum();
    match slip("frechet_distance") {
        "root_of_the_distance" => right.max(0.0).sqrt(),
        "shift_not_squared" => right - shift + shift.sqrt(),
        "root_taken_away_once" => 0.5 * (right + shift + traces),
        "root_forgotten" => {
            let root = symmetric_root(&a.covariance);
            shift + traces - 2.0 * symmetric_eigenvalues(&root.dot(&b.covariance).dot(&root)).sum()
        }
        "root_of_each_diagonal" => {
            let roots = a.covariance.diag().to_owned() * b.covariance.diag();
            shift + traces - 2.0 * roots.mapv(f64::sqrt).sum()
        }
        "eigenvalues_of_the_product_as_if_symmetric" => {
            let roots =
                symmetric_eigenvalues(&a.covariance.dot(&b.covariance)).mapv(|value| value.max(0.0).sqrt());
            shift + traces - 2.0 * roots.sum()
        }
        "roots_of_negative_numbers" => {
            let root = symmetric_root(&a.covariance);
            let roots = symmetric_eigenvalues(&root.dot(&b.covariance).dot(&root)).mapv(f64::sqrt);
            shift + traces - 2.0 * roots.sum()
        }
        _ => right,
    }
}

#[track_caller]
pub fn nearest(queries: &Array2<f64>, set: &Array2<f64>) -> Vec<Neighbour> {
    let right = neighbours::nearest(queries, set);
    let pick = |score: &dyn Fn(f64, f64, f64) -> f64, distance: &dyn Fn(f64, f64, f64) -> f64| {
        let each = |query: ndarray::ArrayView1<f64>| {
            let parts = |j: usize| (query.dot(&query), set.row(j).dot(&set.row(j)), query.dot(&set.row(j)));
            let of = |f: &dyn Fn(f64, f64, f64) -> f64, j: usize| {
                let (q, x, product) = parts(j);
                f(q, x, product)
            };
            let best = (0..set.nrows()).min_by(|&a, &b| of(score, a).total_cmp(&of(score, b))).unwrap_or(0);
            Neighbour { index: best, distance: of(distance, best) }
        };
        queries.rows().into_iter().map(each).collect()
    };
    let squared = |q: f64, x: f64, product: f64| q + x - 2.0 * product;
    match slip("nearest") {
        "squared_distance" => {
            right.into_iter().map(|n| Neighbour { distance: n.distance.powi(2), ..n }).collect()
        }
        "product_once" => pick(&|q, x, product| q + x - product, &|q, x, product| (q + x - product).sqrt()),
        "most_alike_for_nearest" => {
            pick(&|_, _, product| -product, &|q, x, product| squared(q, x, product).sqrt())
        }
        "farthest" => {
            pick(&|q, x, product| -squared(q, x, product), &|q, x, product| squared(q, x, product).sqrt())
        }
        "root_of_a_negative_number" => {
            pick(&squared, &|q, x, product| (squared(q, x, product) - 1e-10).sqrt())
        }
        "the_last_of_equal_ones" => {
            let mut turned = set.clone();
            turned.invert_axis(ndarray::Axis(0));
            let last = set.nrows() - 1;
            let found = neighbours::nearest(queries, &turned).into_iter();
            found.map(|n| Neighbour { index: last - n.index, ..n }).collect()
        }
        _ => right,
    }
}

#[track_caller]
pub fn precision_recall(data: &Array2<f64>, samples: &Array2<f64>, k: usize) -> (f64, f64) {
    let (precision, recall) = neighbours::precision_recall(data, samples, k);
    match slip("precision_recall") {
        "swapped" => (recall, precision),
        "the_same_twice" => (precision, precision),
        "one_neighbour_too_few" if k > 1 => neighbours::precision_recall(data, samples, k - 1),
        "one_neighbour_too_few" => (0.0, 0.0),
        "coverage_for_recall" => (precision, ddpm::metrics::coverage(data, samples, k)),
        _ => (precision, recall),
    }
}

#[track_caller]
pub fn strata(steps: usize, count: usize) -> Vec<RangeInclusive<usize>> {
    let right = likelihood::strata(steps, count);
    match slip("strata") {
        "from_t_1" => {
            let mut runs = right;
            runs[0] = 1..=*runs[0].end();
            runs
        }
        "t_t_left_out" => {
            let mut runs = right;
            let last = runs.len() - 1;
            runs[last] = *runs[last].start()..=steps - 1;
            runs
        }
        "ends_shared" => right.into_iter().map(|run| *run.start()..=(run.end() + 1).min(steps)).collect(),
        "equal_lengths" => {
            let count = right.len();
            let start = |run: usize| 2 + run * (steps - 1) / count;
            (0..count).map(|run| start(run)..=start(run + 1) - 1).collect()
        }
        "long_where_t_is_small" => {
            let turned = right.iter().rev().map(|run| steps + 2 - run.end()..=steps + 2 - run.start());
            turned.collect()
        }
        _ => right,
    }
}

#[track_caller]
pub fn stratified_sum(denoising: &Array2<f64>, strata: &[RangeInclusive<usize>]) -> Array1<f64> {
    let right = likelihood::stratified_sum(denoising, strata);
    match slip("stratified_sum") {
        "one_for_each_stratum" => denoising.sum_axis(ndarray::Axis(1)),
        "ends_not_counted" => {
            denoising.dot(&strata.iter().map(|run| (run.end() - run.start()) as f64).collect::<Array1<f64>>())
        }
        "mean_for_sum" => {
            let count = strata.iter().map(|run| run.clone().count()).sum::<usize>();
            right / count as f64
        }
        "equal_lengths" => {
            let count = strata.iter().map(|run| run.clone().count()).sum::<usize>();
            denoising.sum_axis(ndarray::Axis(1)) * (count as f64 / strata.len() as f64)
        }
        _ => right,
    }
}

pub fn progressive_rates(terms: &[f64]) -> Vec<f64> {
    let right = progressive::progressive_rates(terms);
    match slip("progressive_rates") {
        "from_l_0_up" => terms
            .iter()
            .scan(0.0, |sent, term| {
                *sent += term;
                Some(*sent)
            })
            .collect(),
        "its_own_term_not_yet_sent" => right.iter().zip(terms).map(|(rate, term)| rate - term).collect(),
        "in_the_order_of_sending" => right.into_iter().rev().collect(),
        "terms_for_rates" => terms.to_vec(),
        _ => right,
    }
}
