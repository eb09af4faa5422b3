//! ch07_likelihood: the bound of whole-numbered points against an entropy that is known exactly.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    bound::{
        Bins, Model, bin_log_probability, bits_with_error, decoding_error, discretized_bound,
        exact::{
            BoundDecomposition, Comparison, Decoding, MeasuredBound, QuantizedDistribution, blocks,
            discrete_entropy, last_step, prior_step, reverse_step,
        },
        progressive_rates, quantize,
    },
    course,
    data::{Dataset, DatasetName, Density, Empirical, GaussianMixture},
    denoiser::{Denoiser, ExactDenoiser, GaussianData, PosteriorMean, Prediction},
    forward::{diffuse, standard_normal},
    gaussian::{kl_divergence, log_density},
    metrics::{Evaluator, largest_difference, mean, standard_error},
    objective::Objective,
    reverse::{FixedVariance, ReverseProcess},
    sampler::{ancestral, sample},
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ndarray::{Array1, Array2, ArrayView2, Axis, array};
use ndarray_rand::rand::rngs::StdRng;
use std::f64::consts::{LN_2, TAU};

const CHOICES: [FixedVariance; 2] = [FixedVariance::Beta, FixedVariance::Posterior];

/// Says that there is half as much noise as one might think, with a variance of its own if it has one.
struct Doubtful(Option<f64>);

impl Denoiser for Doubtful {
    fn predict(&self, x_t: ArrayView2<f64>, _: f64) -> Prediction {
        let variance = self.0.map(|variance| Array2::from_elem(x_t.dim(), variance));
        Prediction { eps: 0.5 * &x_t, variance }
    }
}

/// A chain of so many steps that ends in noise.
fn chain(steps: usize) -> Schedule {
    let end = (16.0 / steps as f64).min(0.95);
    Schedule::linear(steps, end / 100.0, end).unwrap()
}

fn dataset(name: DatasetName) -> Dataset {
    Dataset::named(name, course::within("data/mnist").unwrap()).unwrap()
}

fn table(name: DatasetName, levels: usize) -> QuantizedDistribution {
    QuantizedDistribution::of(dataset(name).density(), Bins::new(3.0, levels)).unwrap()
}

// ANCHOR: quantize_rounds_to_the_nearest_level
#[test]
fn quantize_rounds_to_the_nearest_level() {
    let bins = Bins::new(1.0, 5); // −1, −½, 0, ½, 1
    let x = array![[0.24, 0.26], [-0.26, -0.24], [7.0, -9.0], [0.76, -0.74]];
    let expected = array![[0.0, 0.5], [-0.5, 0.0], [1.0, -1.0], [1.0, -0.5]];
    for ((at, got), (x, expected)) in quantize(bins, &x).indexed_iter().zip(x.iter().zip(&expected)) {
        assert_close(&format!("{x} of five levels from −1 to 1, at {at:?}"), *got, *expected, 1e-15);
    }
}

#[test]
fn quantize_leaves_levels_alone_and_moves_nothing_by_more_than_half_a_bin() {
    let bins = Bins::new(3.0, 256);
    let levels = bins.all().insert_axis(Axis(1)); // (256, 1)
    assert_close("first level", levels[(0, 0)], -3.0, 1e-15);
    assert_close("last level", levels[(255, 0)], 3.0, 1e-14);
    let moved = largest_difference(&quantize(bins, &levels), &levels);
    assert_close("a level, moved by", moved, 0.0, 1e-14);
    let x = standard_normal::<f64>(500, 2, &mut rng(1)).mapv(|x| x.clamp(-3.0, 3.0));
    let moved = largest_difference(&quantize(bins, &x), &x);
    assert!(
        moved <= 3.0 / 255.0 + 1e-12,
        "a point of the box moved by {moved}, half a bin is {}",
        3.0 / 255.0
    );
    assert!(moved > 2.9 / 255.0, "of 1000 numbers none moved by more than {moved}");
}
// ANCHOR_END: quantize_rounds_to_the_nearest_level

/// ln ∫ N(x; mean, variance) dx from low to high by the midpoint rule, relative to the density at `near`.
fn log_integral((low, high): (f64, f64), near: f64, mean: f64, variance: f64) -> f64 {
    let cells = 20_000;
    let step = (high - low) / f64::from(cells);
    let reference = log_density(near, mean, variance);
    let relative = |i| log_density(low + (f64::from(i) + 0.5) * step, mean, variance) - reference;
    reference + ((0..cells).map(|i| relative(i).exp()).sum::<f64>() * step).ln()
}

// ANCHOR: bin_log_probability_is_an_integral_over_the_bin
#[test]
fn bin_log_probability_is_an_integral_over_the_bin() {
    let bins = Bins::new(3.0, 7); // −3, −2, … 3, bins one wide
    for (mean, variance) in [(0.3, 0.25), (0.3, 0.01), (-2.4, 4.0), (40.0, 1.0)] {
        for level in [-2.0, 0.0, 2.0] {
            let nearest = f64::clamp(mean, level - 0.5, level + 0.5);
            let expected = log_integral((level - 0.5, level + 0.5), nearest, mean, variance);
            let got = bin_log_probability(bins, level, mean, variance);
            let what = format!("ln P from {} to {} under N({mean}, {variance})", level - 0.5, level + 0.5);
            assert_close(&what, got, expected, 1e-4);
        }
    }
}

#[test]
fn bin_log_probability_leaves_nothing_outside_of_the_bins() {
    for bins in [Bins::new(3.0, 256), Bins::new(1.0, 2), Bins::new(0.5, 5)] {
        for (mean, variance) in [(0.1, 1e-4), (0.4, 1.0), (7.0, 4.0), (-3.0, 0.01)] {
            let log = |level: &f64| bin_log_probability(bins, *level, mean, variance);
            let total: f64 = bins.all().iter().map(|level| log(level).exp()).sum();
            let what = format!("Σ P over {} levels under N({mean}, {variance})", bins.levels());
            assert_close(&what, total, 1.0, 1e-12);
        }
    }
}
// ANCHOR_END: bin_log_probability_is_an_integral_over_the_bin

// ANCHOR: discrete_entropy_of_tables_that_one_can_count
#[test]
fn discrete_entropy_of_tables_that_one_can_count() {
    let uniform = Array2::from_elem((4, 8), 1.0 / 32.0);
    assert_close("32 equal entries: ln 32", discrete_entropy(&uniform), 32f64.ln(), 1e-13);
    let mut corner = Array2::zeros((4, 8));
    corner[(3, 5)] = 1.0;
    assert_close("one entry of 1 among zeros", discrete_entropy(&corner), 0.0, 0.0);
    let coin = array![[0.5, 0.25], [0.25, 0.0]];
    assert_close("½, ¼, ¼, 0: 1.5 bits", discrete_entropy(&coin), 1.5 * LN_2, 1e-15);
    let (of_x, of_y) = (array![[0.2], [0.8]], array![[0.1, 0.3, 0.6]]);
    let both = discrete_entropy(&of_x) + discrete_entropy(&of_y);
    assert_close("independent axes add", discrete_entropy(&of_x.dot(&of_y)), both, 1e-14);
}
// ANCHOR_END: discrete_entropy_of_tables_that_one_can_count

#[test]
fn discrete_entropy_is_the_mean_of_minus_ln_p_over_rounded_samples() {
    for name in [DatasetName::Digit, DatasetName::Checkerboard, DatasetName::Mixture] {
        let (data, table) = (dataset(name), table(name, 64));
        let bins = table.bins();
        let x_0 = data.sample(20_000, &mut rng(2));
        let probability =
            |x: &ndarray::ArrayView1<f64>| table.probabilities()[(bins.index(x[0]), bins.index(x[1]))];
        let surprise: Array1<f64> = x_0.rows().into_iter().map(|x| -probability(&x).ln()).collect();
        assert_eq!(table.negative_log_probability(&x_0), surprise, "{name}: −ln P of each point");
        let tolerance = 4.0 * standard_error(surprise.view());
        assert_close(
            &format!("{name}: −Σ P ln P against the mean of −ln P"),
            discrete_entropy(table.probabilities()),
            mean(surprise.view()),
            tolerance,
        );
    }
}

#[test]
fn discrete_entropy_on_fine_bins_is_the_density_s_entropy_less_the_bin_s_logarithm() {
    let name = DatasetName::Mixture;
    let fine = QuantizedDistribution::of(dataset(name).density(), Bins::new(6.0, 3001)).unwrap();
    let expected = dataset(name).entropy().unwrap() - 2.0 * fine.bins().width().ln();
    // the narrowest component is 0.06 wide, 15 bins: a histogram's entropy errs by (width/deviation)²/24
    assert_close("H of 3001 levels a side", discrete_entropy(fine.probabilities()), expected, 1e-3);
}

// ANCHOR: bits_with_error_takes_the_scatter_of_whole_bounds
#[test]
fn bits_with_error_takes_the_scatter_of_whole_bounds() {
    // rows that differ in every term, but not in their sum
    let cancelling = array![[1.0, 3.0, 4.0], [6.0, 1.0, 1.0], [0.0, 8.0, 0.0]];
    let (bits, error) = bits_with_error(&cancelling, 2);
    assert_close("8 nats a point of two coordinates, in bits/dim", bits, 4.0 / LN_2, 1e-14);
    assert_close("error of three equal sums", error, 0.0, 1e-15);
    // sums of 1 and 3: deviation √2, so the mean of two errs by 1
    let (bits, error) = bits_with_error(&array![[0.5, 0.5], [1.0, 2.0]], 1);
    assert_close("mean of 1 and 3 nats, in bits", bits, 2.0 / LN_2, 1e-14);
    assert_close("its standard error", error, 1.0 / LN_2, 1e-14);
}

#[test]
fn bits_with_error_covers_the_truth_as_often_as_it_should() {
    // sums of three standard normals around 5: nine in ten of 400 means lie within 1.645 errors
    let hits = (0..400).filter(|&seed| {
        let terms = standard_normal::<f64>(50, 3, &mut rng(seed)) + 5.0 / 3.0;
        let (bits, error) = bits_with_error(&terms, 2);
        (bits - 2.5 / LN_2).abs() < 1.645 * error
    });
    let share = hits.count() as f64 / 400.0;
    // binomial: standard error 1.5 %
    assert_close("share of intervals that hold the truth", share, 0.9, 0.06);
}
// ANCHOR_END: bits_with_error_takes_the_scatter_of_whole_bounds

// ANCHOR: decoding_error_is_that_of_the_guessed_x_0
#[test]
fn decoding_error_is_that_of_the_guessed_x_0() {
    // ε_θ = x_t/2, so x̂_0 = x_t (1 − √(1 − ᾱ)/2)/√ᾱ
    let schedule = chain(10);
    let (x_0, noise) = (array![[0.5, -1.0], [2.0, 0.25]], array![[0.1, -0.7], [1.3, 0.4]]);
    for t in [1, 5, 10] {
        for clip in [None, Some(0.6)] {
            let process = ReverseProcess { schedule: &schedule, variance: FixedVariance::Beta, clip };
            let x_t = diffuse(&x_0, schedule.alpha_bar(t), &noise);
            let prediction = Doubtful(Some(0.3)).predict(x_t.view(), t as f64);
            let got = decoding_error(&process, &prediction, &x_0, &x_t, t);
            let alpha_bar = schedule.alpha_bar(t);
            let squares = |i: usize| {
                (0..2).map(move |d| (i, d)).map(|at| {
                    let x_t = alpha_bar.sqrt() * x_0[at] + (1.0 - alpha_bar).sqrt() * noise[at];
                    let guess = (x_t - (1.0 - alpha_bar).sqrt() * 0.5 * x_t) / alpha_bar.sqrt();
                    let limit = clip.unwrap_or(f64::INFINITY);
                    (x_0[at] - guess.clamp(-limit, limit)).powi(2)
                })
            };
            for i in 0..2 {
                let what = format!("t = {t}, clip {clip:?}, mean of the squares of point {i}");
                assert_relative(&what, got[i], squares(i).sum::<f64>() / 2.0, 1e-10);
            }
        }
    }
}

#[test]
fn decoding_error_of_the_exact_denoiser_is_what_x_t_does_not_tell() {
    // one Gaussian: Var(x_0 | x_t) = v (1 − ᾱ)/(ᾱ v + 1 − ᾱ)
    let (schedule, data) = (chain(10), GaussianData { mean: array![0.3, -0.2], variance: 0.4 });
    let denoiser = ExactDenoiser::new(&schedule, &data);
    let model = Model { schedule: &schedule, denoiser, variance: FixedVariance::Beta, clip: None };
    let x_0 = &data.mean + &(data.variance.sqrt() * standard_normal::<f64>(5000, 2, &mut rng(3)));
    for t in [1, 4, 10] {
        let noise = standard_normal(5000, 2, &mut rng(4 + t as u64));
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &noise);
        let errors = decoding_error(&model.process(), &model.predict(&x_t, t), &x_0, &x_t, t);
        let (alpha_bar, v) = (schedule.alpha_bar(t), data.variance);
        let expected = v * (1.0 - alpha_bar) / (alpha_bar * v + 1.0 - alpha_bar);
        let tolerance = 4.0 * standard_error(errors.view());
        assert_close(&format!("t = {t}: distortion"), mean(errors.view()), expected, tolerance);
    }
}
// ANCHOR_END: decoding_error_is_that_of_the_guessed_x_0

#[test]
fn a_model_s_decoding_rmse_is_the_root_of_its_mean_error() {
    let schedule = chain(10);
    let model = Model { clip: Some(0.6), ..Model::new(&schedule, Doubtful(None), FixedVariance::Beta) };
    let (x_0, x_t) = (array![[0.5, -1.0], [2.0, 0.25]], array![[0.1, -0.7], [1.3, 0.4]]);
    for t in [1, 5, 10] {
        let alpha_bar = schedule.alpha_bar(t);
        let guess = |x: f64| (x - (1.0 - alpha_bar).sqrt() * 0.5 * x) / alpha_bar.sqrt();
        let squares = x_0.iter().zip(&x_t).map(|(x_0, &x_t)| (x_0 - guess(x_t).clamp(-0.6, 0.6)).powi(2));
        let expected = (squares.sum::<f64>() / 4.0).sqrt();
        assert_relative(&format!("t = {t}"), model.decoding_rmse(&x_0, &x_t, t), expected, 1e-12);
    }
}

#[test]
fn rates_add_up_from_the_prior_down() {
    assert_eq!(progressive_rates(&[100.0, 10.0, 4.0, 1.0]), [115.0, 15.0, 5.0, 1.0]);
}

#[test]
fn tables_hold_the_probabilities_of_rounded_samples() {
    for name in [DatasetName::Digit, DatasetName::Checkerboard, DatasetName::Mixture, DatasetName::Gaussians8]
    {
        let table = table(name, 12);
        assert_close(&format!("{name}: Σ P"), table.probabilities().sum(), 1.0, 1e-12);
        let (count, bins) = (40_000, table.bins());
        let mut counts = Array2::<f64>::zeros((12, 12));
        for x in quantize(bins, &dataset(name).sample(count, &mut rng(5))).rows() {
            counts[(bins.index(x[0]), bins.index(x[1]))] += 1.0;
        }
        for (at, &p) in table.probabilities().indexed_iter() {
            // 5 binomial errors; 144 cells of four data sets
            let error = (p * (1.0 - p) / count as f64).sqrt();
            assert_close(
                &format!("{name}: share of {at:?}"),
                counts[at] / count as f64,
                p,
                5.0 * error + 1e-9,
            );
        }
    }
    let rows = array![[0.1, 0.2], [0.1, 0.2], [9.0, -9.0], [0.11, 0.2]];
    let of_file =
        QuantizedDistribution::of(&Density::Empirical(Empirical::new(rows)), Bins::new(3.0, 13)).unwrap();
    assert_close("three of four points in one bin", of_file.probabilities()[(6, 6)], 0.75, 1e-15);
    assert_close("one at a corner", of_file.probabilities()[(12, 0)], 0.25, 1e-15);
    assert!(QuantizedDistribution::of(dataset(DatasetName::Moons).density(), Bins::new(3.0, 13)).is_none());
}

#[test]
fn the_tails_lie_in_the_outer_bins() {
    let one = GaussianMixture::new(array![1.0], array![[3.2, 0.0]], array![[0.25, 0.01]]);
    let table = QuantizedDistribution::of(&Density::Mixture(one), Bins::new(3.0, 61)).unwrap();
    // the last bin of x begins at 2.95, half a deviation below the mean: Φ(½)
    assert_close("P of the last column", table.probabilities().row(60).sum(), 0.691_462_461, 1e-9);
    // of y, ±2.95 are 29.5 deviations off
    assert_close("P of the edge of the box", table.tails(), 0.691_462_461, 1e-9);
    let corners = array![[9.0, 9.0], [-9.0, 0.0], [0.0, -9.0], [0.0, 0.0], [0.0, 0.0]];
    let points =
        QuantizedDistribution::of(&Density::Empirical(Empirical::new(corners)), Bins::new(3.0, 13)).unwrap();
    assert_close("a corner counts once, an edge of either axis, too", points.tails(), 0.6, 1e-15);
    assert_eq!([0.0, 0.3].map(|least| points.occupied(least)), [4.0 / 169.0, 1.0 / 169.0]);
}

#[test]
fn a_table_samples_rounded_points() {
    let (name, table) = (DatasetName::Checkerboard, table(DatasetName::Checkerboard, 20));
    let expected = quantize(table.bins(), &dataset(name).sample(50, &mut rng(8)));
    assert_eq!(table.sample(50, &mut rng(8)), expected);
    assert_eq!(table.density(), dataset(name).density());
}

#[test]
fn the_posterior_mean_is_bayes_rule_over_all_levels() {
    let table = table(DatasetName::Digit, 64);
    let bins = table.bins();
    for (signal, variance) in [(0.999, 5e-4), (0.9, 0.19), (0.05, 0.9975)] {
        // on ink, beside it, far outside
        for x_t in [array![0.1, 0.4], array![-1.9, 1.9], array![6.0, -8.0], array![0.5, -3.5]] {
            let log = |i: usize, j: usize| {
                let squares =
                    (x_t[0] - signal * bins.level(i)).powi(2) + (x_t[1] - signal * bins.level(j)).powi(2);
                table.probabilities()[(i, j)].ln() - squares / (2.0 * variance)
            };
            let logs = Array2::from_shape_fn((64, 64), |(i, j)| log(i, j));
            let top = logs.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let weights = logs.mapv(|log| (log - top).exp());
            let expected = array![
                weights.sum_axis(Axis(1)).dot(&bins.all()),
                weights.sum_axis(Axis(0)).dot(&bins.all())
            ] / weights.sum();
            let got = table.posterior_mean(x_t.view(), signal, variance);
            for axis in 0..2 {
                let what = format!("E[x_0 | x_t = {x_t}], signal {signal}, axis {axis}");
                assert_close(&what, got[axis], expected[axis], 1e-10);
            }
        }
    }
}

#[test]
fn the_bound_is_the_entropy_plus_the_gap_for_any_model() {
    // The terms know x_0 by its moments, the gap knows x_{t−1} by its density: that they differ by the entropy of the
    // table is the chain rule of information, and no formula of either.
    let schedule = chain(12);
    for name in [DatasetName::Digit, DatasetName::Checkerboard, DatasetName::Mixture] {
        let table = table(name, 40);
        let exact = ExactDenoiser::new(&schedule, &table);
        let doubtful = Doubtful(Some(0.3));
        let denoisers: [(&str, &dyn Denoiser); 2] = [("exact", &exact), ("doubtful", &doubtful)];
        let mut of_the_first = None;
        for (kind, denoiser) in denoisers {
            for variance in CHOICES {
                let model = Model { schedule: &schedule, denoiser, variance, clip: None };
                let decomposition = BoundDecomposition::of(&model, &table, f64::INFINITY, || ());
                let what = format!("{name}, {kind}, {variance}");
                let (bound, gap) = (decomposition.terms.sum(), decomposition.gap.sum());
                // the levels are wider than x_1's noise, and the logarithm of separate peaks is the hardest to integrate
                assert_close(&format!("{what}: bound − gap"), bound - gap, table.entropy(), 1e-5);
                for (t, &gap) in decomposition.gap.indexed_iter() {
                    assert!(gap > -1e-7, "{what}: the gap's term {t} is {gap:e}: no divergence is negative");
                }
                let information = decomposition.information();
                assert_close(&format!("{what}: all information"), information.sum(), table.entropy(), 1e-5);
                let first = of_the_first.get_or_insert_with(|| information.clone());
                let other = largest_difference(first, &information);
                assert!(
                    other < 1e-5,
                    "{what}: what the steps tell differs by {other:e} from the exact denoiser's"
                );
                for (t, &told) in information.indexed_iter() {
                    assert!(told > -1e-7, "{what}: x_{t} tells {told:e} nats: no information is negative");
                }
            }
        }
    }
}

#[test]
fn the_measured_terms_are_those_of_the_ledger() {
    let schedule = chain(12);
    for name in [DatasetName::Digit, DatasetName::Mixture] {
        let table = table(name, 256);
        let x_0 = quantize(table.bins(), &dataset(name).sample(2000, &mut rng(6)));
        for variance in CHOICES {
            let denoiser = ExactDenoiser::new(&schedule, &table);
            let model = Model { schedule: &schedule, denoiser, variance, clip: None };
            let decomposition = BoundDecomposition::of(&model, &table, f64::INFINITY, || ());
            let terms = discretized_bound(&model, &x_0, table.bins(), &mut rng(7));
            for t in 0..=12 {
                let column = terms.column(t);
                // 4.5 standard errors: 13 terms, twice two of them
                let tolerance = 4.5 * standard_error(column) + 1e-12;
                assert_close(
                    &format!("{name}, {variance}: L_{t}"),
                    mean(column),
                    decomposition.terms[t],
                    tolerance,
                );
            }
            let (bits, error) = bits_with_error(&terms, 2);
            let entropy = table.entropy() / (2.0 * LN_2);
            let gap = decomposition.gap.sum() / (2.0 * LN_2);
            assert!(bits > entropy - 4.0 * error, "{name}: bound {bits} ± {error}, entropy {entropy}");
            assert_close(&format!("{name}, {variance}: bound"), bits, entropy + gap, 4.5 * error);
        }
    }
}

#[test]
fn a_measured_bound_holds_what_sampling_and_quadrature_say_in_bits() {
    let (schedule, table) = (chain(12), table(DatasetName::Mixture, 64));
    let denoiser = ExactDenoiser::new(&schedule, &table);
    let model = Model::new(&schedule, denoiser, FixedVariance::Posterior);
    let mut watched = 0;
    let bound = MeasuredBound::of(&model, &table, 400, f64::INFINITY, &mut rng(9), || watched += 1);
    assert_eq!(watched, 13, "one call for every term");

    let mut generator = rng(9);
    let x_0 = table.sample(400, &mut generator);
    let terms = discretized_bound(&model, &x_0, table.bins(), &mut generator);
    let (bits, error) = bits_with_error(&terms, 2);
    assert_close("the bound", bound.sum().mean, bits, 1e-12);
    assert_close("its error", bound.sum().standard_error, error, 1e-12);
    assert_eq!(bound.sum().draws, 400);
    let middle: Array1<f64> = (0..400).map(|i| (3..=7).map(|t| terms[(i, t)]).sum::<f64>()).collect();
    assert_close("L_3 … L_7", bound.measured(3..=7).mean, mean(middle.view()) / (2.0 * LN_2), 1e-12);

    let decomposition = BoundDecomposition::of(&model, &table, f64::INFINITY, || ());
    let bits = |nats: f64| nats / (2.0 * LN_2);
    assert_close("entropy + gap", bound.predicted(), bits(table.entropy() + decomposition.gap.sum()), 1e-12);
    let (terms, gap) = (&decomposition.terms, &decomposition.gap);
    let [term, information, waste] = bound.parts.sums(3..=7);
    let by_hand = |of: &dyn Fn(usize) -> f64| bits((3..=7).map(of).sum());
    assert_close("terms of a block", term, by_hand(&|t| terms[t]), 1e-12);
    assert_close("information of a block", information, by_hand(&|t| terms[t] - gap[t]), 1e-12);
    assert_close("gap of a block", waste, by_hand(&|t| gap[t]), 1e-12);
    let measured = bound.measured(3..=7);
    assert_eq!(bound.block(3..=7), [measured.mean, measured.standard_error, term, information, waste]);
    let parts = [gap[12], (1..12).map(|t| gap[t]).sum(), gap[0], gap.sum()].map(bits);
    for (part, expected) in bound.gaps().into_iter().zip(parts) {
        assert_close("a part of the gap", part, expected, 1e-12);
    }
    assert_close("mean of L_4", bound.means()[4], bound.measured(4..=4).mean, 1e-14);

    let large: Vec<_> = bound.terms_above(0.05).collect();
    let expected: Vec<usize> = (0..12).filter(|&t| bits(terms[t]) > 0.05).collect();
    assert_eq!(large.iter().map(|term| term.0).collect::<Vec<_>>(), expected);
    assert!(!expected.is_empty() && expected.len() < 12, "some terms, not all: {expected:?}");
    for (t, predicted, measured) in large {
        assert_close(&format!("L_{t}"), predicted, bits(terms[t]), 1e-12);
        assert_eq!(measured, bound.measured(t..=t));
    }
}

#[test]
fn decoding_adds_up_the_terms_and_measures_each_guess() {
    let (schedule, table) = (chain(8), table(DatasetName::Mixture, 32));
    let model = Model::new(&schedule, Doubtful(None), FixedVariance::Beta).clipped(3.0);
    let x_0 = table.sample(50, &mut rng(10));
    let (mut watched, even) = (0, |t: usize| t.is_multiple_of(2));
    let decoding = Decoding::of(&model, &table, &x_0, 0.3, even, &mut rng(11), || watched += 1);
    assert_eq!(watched, 17, "8 errors and 9 terms");
    let decomposition = BoundDecomposition::of(&model, &table, 0.3, || ()).bits_per_dim();
    let exact = Model::new(&schedule, ExactDenoiser::new(&schedule, &table), FixedVariance::Beta);
    let mut generator = rng(11);
    for t in 0..=8 {
        let sum = |of: &Array1<f64>| (t..=8).map(|s| of[s]).sum::<f64>();
        assert_close(&format!("rate at t = {t}"), decoding.rates[t], sum(&decomposition.terms), 1e-12);
        assert_close(
            "information",
            decoding.information[t],
            sum(&(&decomposition.terms - &decomposition.gap)),
            1e-12,
        );
        if t == 0 {
            assert_eq!((decoding.errors[0], decoding.least[0]), (0.0, None));
            continue;
        }
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &standard_normal(50, 2, &mut generator));
        let error = |process: &ReverseProcess, prediction: &Prediction| {
            mean(decoding_error(process, prediction, &x_0, &x_t, t).view()).sqrt()
        };
        let of_model = error(&model.process(), &model.predict(&x_t, t));
        assert_close(&format!("error at t = {t}"), decoding.errors[t], of_model, 1e-14);
        let of_exact = even(t).then(|| error(&exact.process(), &exact.predict(&x_t, t)));
        assert_eq!(decoding.least[t], of_exact, "of the exact denoiser, t = {t}");
    }
    let halves = decoding.clone().in_units_of(2.0);
    assert_eq!(
        (halves.errors[5], halves.least[4]),
        (decoding.errors[5] / 2.0, decoding.least[4].map(|x| x / 2.0))
    );
    assert_eq!((halves.rates, halves.least[5]), (decoding.rates, None));
}

#[test]
fn a_comparison_measures_every_network_alike() {
    let (data, schedule) = (dataset(DatasetName::Mixture), chain(8));
    let levels = &table(DatasetName::Mixture, 32);
    let quality = Evaluator::new(&data, 60, 4, &mut rng(12));
    let training = TrainConfig { steps: 30, batch: 32, ..TrainConfig::default() };
    let comparison = Comparison {
        schedule: &schedule,
        levels,
        quality: quality.clone(),
        training: training.clone(),
        clip: 2.5,
        count: 40,
        draws: 3,
        max_spacing: 0.3,
        seed: 70,
    };
    let mut steps = 0;
    let trained = comparison.train(Objective::Hybrid, || steps += 1).unwrap();
    assert_eq!(steps, 30);
    let (config, mut generator) = (TrainConfig { objective: Objective::Hybrid, ..training }, rng(70));
    let trainer = Trainer::<f32>::new(&schedule, config, &mut generator).unwrap();
    let draw = |n, rng: &mut StdRng| quantize(levels.bins(), &data.sample(n, rng));
    let expected = trainer.run(&mut generator, draw, |_| ()).unwrap();
    assert_eq!(trained.average.parameters(), expected.average.parameters());

    let mut calls = 0;
    let evaluation = comparison.evaluate(trained.clone(), FixedVariance::Beta, || calls += 1);
    assert_eq!(calls, comparison.calls());
    let denoiser = NetworkDenoiser::of(&schedule, &trained);
    let model = Model::new(&schedule, denoiser, FixedVariance::Beta);
    let bound = MeasuredBound::of(&model, levels, 40, 0.3, &mut rng(71), || ());
    assert_eq!(evaluation.bound, bound);
    let steps = ancestral(&schedule, FixedVariance::Beta, Some(2.5));
    let distance = quality
        .mean(3, &mut rng(72), |rng| sample(&steps, &denoiser, standard_normal(60, 2, rng), rng, |_, _| ()));
    assert_eq!(evaluation.distance, distance);
    assert_eq!(comparison.distance(&steps, &evaluation.denoiser(&schedule), || ()), distance);

    let exact = Model::new(&schedule, ExactDenoiser::new(&schedule, levels), FixedVariance::Beta);
    let expected = BoundDecomposition::of(&exact, levels, f64::INFINITY, || ()).bits_per_dim();
    assert_eq!(comparison.exact(|| ()), expected);
}

#[test]
fn blocks_hold_every_entry_once() {
    for steps in [1, 2, 3, 20, 21, 100, 200] {
        let blocks = blocks(steps);
        let (last, inner) = blocks.split_last().unwrap();
        assert_eq!(*last, ("the bound".to_owned(), 0..=steps));
        let entries: Vec<usize> = inner.iter().flat_map(|(_, block)| block.clone()).collect();
        assert_eq!(entries, (0..=steps).collect::<Vec<_>>(), "T = {steps}");
    }
    let names: Vec<String> = blocks(200).into_iter().map(|(name, _)| name).collect();
    let inner = ["L_0", "L_1", "L_2 … L_4", "L_5 … L_19", "L_20 … L_99", "L_100 … L_199"];
    assert_eq!(names, [&inner[..], &["L_T", "the bound"]].concat());
}

/// N(0, 1) on both axes, on bins so fine that rounding adds 10⁻⁴ to its variance.
fn normal_table() -> QuantizedDistribution {
    let one = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 1.0]]);
    QuantizedDistribution::of(&Density::Mixture(one), Bins::new(7.0, 401)).unwrap()
}

#[test]
fn reverse_step_of_normal_data_wastes_nothing_with_beta_and_a_known_amount_with_beta_tilde() {
    // x_0 ~ N(0, I): the true step back is N(√α x_t, β), so σ² = β is right and σ² = β̃ costs ½ (r − 1 − ln r) an axis
    let (schedule, table) = (chain(30), normal_table());
    for t in [4, 10, 30] {
        let gap = |variance| {
            let denoiser = ExactDenoiser::new(&schedule, &table);
            let model = Model { schedule: &schedule, denoiser, variance, clip: None };
            reverse_step(&model, &table, t, f64::INFINITY).1
        };
        let r = (1.0 - schedule.alpha_bar(t)) / (1.0 - schedule.alpha_bar(t - 1)); // β/β̃
        assert_close(&format!("t = {t}: σ² = β"), gap(FixedVariance::Beta), 0.0, 1e-6);
        assert_close(&format!("t = {t}: σ² = β̃"), gap(FixedVariance::Posterior), r - 1.0 - r.ln(), 1e-3);
    }
}

#[test]
fn reverse_step_of_a_single_point_wastes_nothing_with_beta_tilde() {
    let mut rows = Array2::zeros((1, 2));
    rows[(0, 1)] = 1.0;
    let table =
        QuantizedDistribution::of(&Density::Empirical(Empirical::new(rows)), Bins::new(3.0, 13)).unwrap();
    assert_close("entropy of a point", table.entropy(), 0.0, 0.0);
    let schedule = chain(30);
    for t in [2, 10, 30] {
        let both = |variance| {
            let denoiser = ExactDenoiser::new(&schedule, &table);
            let model = Model { schedule: &schedule, denoiser, variance, clip: None };
            reverse_step(&model, &table, t, f64::INFINITY)
        };
        let r = (1.0 - schedule.alpha_bar(t - 1)) / (1.0 - schedule.alpha_bar(t)); // β̃/β
        for (name, variance, expected) in
            [("β̃", FixedVariance::Posterior, 0.0), ("β", FixedVariance::Beta, r - 1.0 - r.ln())]
        {
            let (term, gap) = both(variance);
            assert_close(&format!("t = {t}, σ² = {name}: gap"), gap, expected, 1e-7);
            assert_close(&format!("t = {t}, σ² = {name}: L_{}", t - 1), term, expected, 1e-7);
        }
    }
}

#[test]
fn prior_step_measures_one_cloud_and_all_clouds_together() {
    // one Gaussian: q(x_T) = N(√ᾱ m, ᾱ v + 1 − ᾱ), and E KL(q(x_T | x_0) ‖ N(0, 1)) needs E x_0² = v + m² alone
    let (m, v) = (array![0.5, -1.0], 0.16);
    let one = GaussianMixture::new(array![1.0], m.clone().insert_axis(Axis(0)), array![[v, v]]);
    let table = QuantizedDistribution::of(&Density::Mixture(one), Bins::new(4.0, 801)).unwrap();
    for steps in [3, 20] {
        let schedule = Schedule::linear(steps, 0.01, 0.3).unwrap();
        let (term, mismatch) = prior_step(&schedule, &table);
        let alpha_bar = schedule.alpha_bar(steps);
        let v = v + table.bins().width().powi(2) / 12.0; // rounding adds a uniform's variance
        let of_all = |m: &f64| kl_divergence(alpha_bar.sqrt() * m, alpha_bar * v + 1.0 - alpha_bar, 0.0, 1.0);
        let of_one = |m: &f64| 0.5 * (alpha_bar * (v + m * m) - alpha_bar - (1.0 - alpha_bar).ln());
        assert_close(&format!("T = {steps}: mismatch"), mismatch, m.iter().map(of_all).sum(), 1e-8);
        assert_close(&format!("T = {steps}: L_T"), term, m.iter().map(of_one).sum(), 1e-8);
    }
}

#[test]
fn last_step_counts_the_decoder_s_nats_and_its_waste() {
    // Levels so far apart that x_1 gives x_0 away, and a decoder so narrow that it finds it: both are 0.
    let rows = array![[-1.0, 1.0], [1.0, 1.0], [0.0, -1.0]];
    let table =
        QuantizedDistribution::of(&Density::Empirical(Empirical::new(rows)), Bins::new(1.0, 3)).unwrap();
    let schedule = Schedule::linear(4, 1e-3, 0.5).unwrap();
    let model = |denoiser| Model { schedule: &schedule, denoiser, variance: FixedVariance::Beta, clip: None };
    let exact: &dyn Denoiser = &ExactDenoiser::new(&schedule, &table);
    let (term, gap) = last_step(&model(exact), &table, f64::INFINITY);
    assert_close("L_0 with nothing left to say", term, 0.0, 1e-12);
    assert_close("its gap", gap, 0.0, 1e-9);
    // A decoder that is so wide that each coordinate is a coin between the two outer levels: ln 2 an axis, and for
    // the third point the middle level, of probability 2 φ(0) · ½/√Σ.
    let (term, gap) = last_step(&model(&Doubtful(Some(1e8))), &table, f64::INFINITY);
    let middle = -(1.0 / (TAU * 1e8).sqrt()).ln();
    let expected = (5.0 * LN_2 + middle) / 3.0;
    assert_relative("L_0 of a decoder that says nothing", term, expected, 1e-3);
    assert_close("its gap is all of it", gap, term, 1e-9);
}
