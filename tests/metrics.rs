//! The measuring instruments, measured: known values, invariances, null distributions.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    data::{Dataset, DatasetName, Density, GaussianMixture},
    forward::standard_normal,
    gaussian::{kl_divergence, log_density},
    metrics::{
        Estimate, Evaluator, Moments, Quality, Reference, Spread, StandardError, covariance, coverage,
        distance_over_floor, excess_kurtosis, geometric_mean, largest, largest_difference, largest_rise,
        mean, mean_gap, median_distance, median_row_distance, mmd_squared, paired_errors, paired_moments,
        partial_correlation, precision, quantile, relative_difference, row_distances, sliced_wasserstein,
        standard_error,
    },
};
use ndarray::{Array1, Array2, Axis, array};

#[test]
fn a_spread_is_the_mean_the_least_and_the_most_of_a_few_runs() {
    let spread = Spread::of([3.0, -1.0, 4.0]);
    assert_eq!(spread, Spread { mean: 2.0, least: -1.0, most: 4.0 });
    assert_eq!(format!("{spread} and {spread:.1}"), "2.000 [-1.000 4.000] and 2.0 [-1.0 4.0]");
    assert!(Spread::of([]).mean.is_nan(), "no runs, no mean");
}

#[test]
fn moments_of_four_points() {
    let x = array![[1.0, 2.0], [3.0, 2.0], [1.0, 6.0], [3.0, 6.0]];
    let moments = Moments::of(&x);
    assert_eq!(moments.mean, array![2.0, 4.0]);
    assert_close("variance", moments.covariance[(0, 0)], 4.0 / 3.0, 1e-15);
    assert_close("variance", moments.covariance[(1, 1)], 16.0 / 3.0, 1e-15);
    assert_close("covariance", moments.covariance[(0, 1)], 0.0, 1e-15);
    assert_eq!(covariance(&x), moments.covariance);
    // standard error of {1, 3, 1, 3}: √((4/3)/4)
    assert_close("standard error", standard_error(x.column(0)), (1.0f64 / 3.0).sqrt(), 1e-15);
    assert_close("standard error", moments.mean_error[0], (1.0f64 / 3.0).sqrt(), 1e-15);
}

#[test]
fn standard_errors_are_the_scatter_of_repeated_measurements() {
    let repeated: Vec<Moments> =
        (0..400).map(|seed| Moments::of(&standard_normal(200, 2, &mut rng(seed)))).collect();
    let scatter =
        |value: &dyn Fn(&Moments) -> f64| repeated.iter().map(value).collect::<Array1<f64>>().std(1.0);
    // the scatter of 400 repetitions is known to 1/√800 = 3.5 %
    assert_relative("mean", scatter(&|m| m.mean[0]), 1.0 / 200f64.sqrt(), 0.15);
    assert_relative(
        "variance",
        scatter(&|m| m.covariance[(0, 0)]),
        repeated[0].covariance_error[(0, 0)],
        0.3,
    );
    assert_relative(
        "covariance",
        scatter(&|m| m.covariance[(0, 1)]),
        repeated[0].covariance_error[(0, 1)],
        0.3,
    );
}

#[test]
fn paired_errors_are_the_scatter_of_the_difference_and_what_a_pair_shares_cancels() {
    // two noisy copies of one cloud that is ten times as wide as the noise
    let pair = |seed: u64| {
        let rng = &mut rng(seed);
        let shared = 10.0 * standard_normal::<f64>(200, 2, rng);
        [(); 2].map(|()| &shared + &standard_normal::<f64>(200, 2, rng))
    };
    let (mut of_mean, mut of_covariance) = (Vec::new(), [Vec::new(), Vec::new()]);
    for seed in 0..400 {
        let [a, b] = pair(seed).map(|x| Moments::of(&x));
        of_mean.push(a.mean[0] - b.mean[0]);
        for (scatter, at) in of_covariance.iter_mut().zip([(0, 0), (0, 1)]) {
            scatter.push(a.covariance[at] - b.covariance[at]);
        }
    }
    let scatter = |values: Vec<f64>| Array1::from(values).std(1.0);
    let [a, b] = pair(0);
    let (mean_error, covariance_error) = paired_errors(&a, &b);
    assert_relative("mean", mean_error[0], (2.0f64 / 200.0).sqrt(), 0.15);
    assert_relative("mean, repeated", scatter(of_mean), mean_error[0], 0.2);
    let [of_variance, of_covariance] = of_covariance.map(scatter);
    assert_relative("variance", of_variance, covariance_error[(0, 0)], 0.3);
    assert_relative("covariance", of_covariance, covariance_error[(0, 1)], 0.3);
    assert_eq!(paired_errors(&a, &a).1, Array2::<f64>::zeros((2, 2)));
}

#[test]
fn row_distances_pairs_rows() {
    let a = array![[0.0, 0.0], [1.0, 1.0], [2.0, -1.0], [0.0, 7.0]];
    let b = array![[3.0, 4.0], [1.0, 1.0], [2.0, 0.0], [0.0, 7.0]];
    assert_eq!(row_distances(&a, &b), [5.0, 0.0, 1.0, 0.0]);
}

#[test]
fn kurtosis_tells_a_normal_from_a_uniform() {
    let grid = Array1::linspace(0.0, 1.0, 10_001);
    assert_close("uniform", excess_kurtosis(grid.view()), -1.2, 1e-3);
    assert_close("two points", excess_kurtosis(array![-1.0, 1.0, -1.0, 1.0].view()), -2.0, 1e-12);
}

#[test]
fn partial_correlation_is_the_correlation_of_residuals() {
    let x = standard_normal::<f64>(500, 3, &mut rng(1));
    let (c, a, b) =
        (x.column(0), x.column(1).to_owned() + x.column(0), 0.5 * &x.column(2) - x.column(0) + x.column(1));
    let residual = |y: &Array1<f64>| {
        let (y, c) = (y - y.sum() / 500.0, &c - c.sum() / 500.0);
        &y - y.dot(&c) / c.dot(&c) * &c
    };
    let (ra, rb) = (residual(&a), residual(&b));
    let expected = ra.dot(&rb) / (ra.dot(&ra) * rb.dot(&rb)).sqrt();
    assert_close("partial correlation", partial_correlation(a.view(), b.view(), c), expected, 1e-12);
}

#[test]
fn quantiles_interpolate() {
    let values = [4.0, 1.0, 3.0, 2.0];
    for (q, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (0.9, 3.7)] {
        assert_close(&format!("{q}"), quantile(&values, q), expected, 1e-12);
    }
}

#[test]
#[should_panic(expected = "of 0 values")]
fn nothing_has_no_quantile() {
    quantile(&[], 0.5);
}

#[test]
fn a_shift_moves_points_by_its_length() {
    // A translation by v has SW² = mean of ⟨v, θ⟩² = ‖v‖²/2, exactly, for two or more equally spaced directions.
    let a = standard_normal::<f64>(301, 2, &mut rng(2));
    let b = &a + &array![[3.0, 4.0]];
    assert_close("shift", sliced_wasserstein(&a, &b, 64), (25.0f64 / 2.0).sqrt(), 1e-12);
    assert_close("itself", sliced_wasserstein(&a, &a, 64), 0.0, 1e-15);
    // doubling a set changes nothing: two steps of half the height
    let doubled = ndarray::concatenate![ndarray::Axis(0), a, a];
    assert_close("doubled", sliced_wasserstein(&doubled, &b, 64), (25.0f64 / 2.0).sqrt(), 1e-9);
    assert_close(
        "symmetric",
        sliced_wasserstein(&b, &doubled, 64),
        sliced_wasserstein(&doubled, &b, 64),
        1e-12,
    );
}

#[test]
fn sets_of_different_sizes_pair_by_mass() {
    // {0, 0, 6} against {0, 6} on the x-axis: the quantile functions differ by 6 on (1/2, 2/3), so W² = 36/6 = 6;
    // directions average cos² to 1/2.
    let (a, b) = (array![[0.0, 0.0], [0.0, 0.0], [6.0, 0.0]], array![[0.0, 0.0], [6.0, 0.0]]);
    assert_close("3 against 2", sliced_wasserstein(&a, &b, 32), 3.0f64.sqrt(), 1e-12);
}

#[test]
#[should_panic(expected = "not 2-D")]
fn sliced_wasserstein_is_for_2_d_points() {
    sliced_wasserstein(&Array2::zeros((2, 2)), &Array2::zeros((2, 3)), 4);
}

#[test]
#[should_panic(expected = "empty set")]
fn an_empty_set_has_no_distance() {
    sliced_wasserstein(&Array2::zeros((2, 2)), &Array2::zeros((0, 2)), 4);
}

#[test]
fn mmd_is_zero_in_the_mean_and_large_for_other_data() {
    let h = 1.0;
    let null: Array1<f64> = (0..60)
        .map(|i| {
            mmd_squared(
                &standard_normal(100, 2, &mut rng(2 * i)),
                &standard_normal(100, 2, &mut rng(2 * i + 1)),
                h,
            )
        })
        .collect();
    assert_close("null mean", null.sum() / 60.0, 0.0, 4.0 * standard_error(null.view()));
    // closed form for N(0, I) and N(v, I) in two dimensions: 2 · h²/(h² + 2) · (1 − exp(−‖v‖²/(2 (h² + 2))))
    let shifted: Array1<f64> = (0..60)
        .map(|i| {
            let b = standard_normal::<f64>(100, 2, &mut rng(2 * i + 1)) + array![[1.0, 0.5]];
            mmd_squared(&standard_normal(100, 2, &mut rng(2 * i)), &b, h)
        })
        .collect();
    let expected = 2.0 / 3.0 * (1.0 - (-1.25f64 / 6.0).exp());
    assert_close("shifted", shifted.sum() / 60.0, expected, 4.0 * standard_error(shifted.view()));
}

#[test]
fn the_median_distance_of_known_points() {
    assert_eq!(median_distance(&array![[0.0, 0.0]], &array![[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]]), 5.0);
}

#[test]
fn coverage_sees_a_missing_mode_and_precision_sees_strays() {
    let mode = |shift: f64, seed| standard_normal::<f64>(100, 2, &mut rng(seed)) * 0.1 + shift;
    let data = ndarray::concatenate![ndarray::Axis(0), mode(0.0, 1), mode(10.0, 2)];
    let full = ndarray::concatenate![ndarray::Axis(0), mode(0.0, 3), mode(10.0, 4)];
    let half = ndarray::concatenate![ndarray::Axis(0), mode(0.0, 5), mode(0.0, 6)];
    let stray = ndarray::concatenate![ndarray::Axis(0), mode(0.0, 7), mode(5.0, 8)];
    assert!(coverage(&data, &full, 5) > 0.9);
    assert!((0.4..=0.5).contains(&coverage(&data, &half, 5)));
    assert!(precision(&data, &full, 5) > 0.9);
    assert!((0.4..=0.5).contains(&precision(&data, &stray, 5)));
}

#[test]
fn coverage_by_hand() {
    // radii to the nearest other data point: 1, 1, 3; samples at 0.5 and 9
    let data = array![[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]];
    let samples = array![[0.5, 0.0], [9.0, 0.0]];
    assert_close("coverage", coverage(&data, &samples, 1), 2.0 / 3.0, 1e-15);
    assert_close("precision", precision(&data, &samples, 1), 0.5, 1e-15);
    // with the second neighbour the radii are 4, 3, 4: all are covered, and 9 is still outside
    assert_close("coverage, k = 2", coverage(&data, &samples, 2), 1.0, 1e-15);
    // a sample exactly on the rim is inside
    assert_close("on the rim", precision(&data, &array![[7.0, 0.0]], 1), 1.0, 1e-15);
}

#[test]
fn coverage_of_the_same_distribution_is_what_its_source_says() {
    // Naeem et al. 2020, Lemma 2: E coverage = 1 − ∏_{i=0}^{k−1} (n − 1 − i)/(2 n − 1 − i) for n points each
    let (n, k) = (300, 3);
    let expected = 1.0 - (0..k).map(|i| f64::from(n - 1 - i) / f64::from(2 * n - 1 - i)).product::<f64>();
    let measured: Array1<f64> = (0..20)
        .map(|i| {
            let n = n as usize;
            coverage(
                &standard_normal(n, 2, &mut rng(100 + i)),
                &standard_normal(n, 2, &mut rng(200 + i)),
                k as usize,
            )
        })
        .collect();
    assert_close("coverage", measured.sum() / 20.0, expected, 4.0 * standard_error(measured.view()));
}

#[test]
#[should_panic(expected = "have no 3-th neighbour")]
fn too_few_points_have_no_neighbour() {
    coverage(&Array2::zeros((3, 2)), &Array2::zeros((3, 2)), 3);
}

#[test]
fn no_nan_hides_behind_a_maximum() {
    assert_eq!(largest_difference(&array![1.0, 5.0], &array![2.0, 3.0]), 2.0);
    assert_eq!(relative_difference(&array![1.0, 5.0], &array![2.0, -4.0]), 9.0 / 4.0);
    assert!(relative_difference(&array![1.0, f64::NAN], &array![1.0, 1.0]).is_nan());
    assert_eq!(largest([]), 0.0);
    for values in [[f64::NAN, 1.0, 2.0], [1.0, f64::NAN, 0.5], [1.0, 2.0, f64::NAN]] {
        assert!(largest(values).is_nan(), "{values:?}");
    }
    assert!(largest_difference(&array![f64::NAN, 1.0], &array![0.0, 1.0]).is_nan());
}

#[test]
fn the_divergence_of_a_mixture_from_the_standard_normal() {
    // one component: the closed form; two: Monte Carlo
    let one = GaussianMixture::new(array![1.0], array![[0.5, -1.0]], array![[0.3, 2.0]]);
    let expected = kl_divergence(0.5, 0.3, 0.0, 1.0) + kl_divergence(-1.0, 2.0, 0.0, 1.0);
    assert_close("one Gaussian", one.divergence_from_standard_normal().unwrap(), expected, 1e-6);

    let two = GaussianMixture::new(array![0.3, 0.7], array![[-2.0], [1.0]], array![[0.2], [0.5]]);
    let x = two.sample(50_000, &mut rng(3));
    let ratios: Array1<f64> =
        x.rows().into_iter().map(|x| two.log_density(x) - log_density(x[0], 0.0, 1.0)).collect();
    let measured = ratios.sum() / 50_000.0;
    assert_close(
        "two",
        two.divergence_from_standard_normal().unwrap(),
        measured,
        4.0 * standard_error(ratios.view()),
    );
}

/// N(0, I) on the plane as a data set.
fn normal() -> Dataset {
    let one = GaussianMixture::new(array![1.0], Array2::zeros((1, 2)), Array2::ones((1, 2)));
    Dataset::new("normal", Density::Mixture(one))
}

#[test]
fn excess_is_the_cross_entropy_beyond_the_entropy() {
    // of N(m, s² I) under N(0, I): ½ (|m|² + 2 s²) − 1
    let (data, rng) = (normal(), &mut rng(5));
    let evaluator = Evaluator::new(&data, 100, 2, rng);
    for (shift, scale) in [(0.0, 1.0), (1.0, 1.0), (0.0, 1.5), (0.5, 0.2)] {
        let x = shift + scale * standard_normal::<f64>(20_000, 2, rng);
        let expected = 0.5 * (2.0 * shift * shift + 2.0 * scale * scale) - 1.0;
        assert_close(&format!("{shift}, {scale}"), evaluator.excess(&x), expected, 0.05);
    }
    let moons = Dataset::named(DatasetName::Moons, "").unwrap();
    assert!(Evaluator::new(&moons, 100, 2, rng).excess(&Array2::zeros((5, 2))).is_nan(), "no known density");
}

#[test]
fn a_judge_draws_and_judges_in_turn() {
    let data = normal();
    let evaluator = Evaluator::new(&data, 50, 4, &mut rng(6));
    assert_eq!(evaluator.count(), 50);
    // by hand, from the same seed
    let (mut by_hand, mut distances, mut excesses) = (rng(7), Vec::new(), Vec::new());
    for _ in 0..3 {
        let drawn = 1.5 * data.sample(50, &mut by_hand);
        let fresh = data.sample(50, &mut by_hand);
        distances.push(sliced_wasserstein(&fresh, &drawn, Evaluator::DIRECTIONS) / evaluator.floor().mean);
        // of each point, whose mean is the sample's
        let of_points: Vec<f64> =
            drawn.rows().into_iter().map(|x| evaluator.excess(&x.to_owned().insert_axis(Axis(0)))).collect();
        assert_close("excess", evaluator.excess(&drawn), of_points.iter().sum::<f64>() / 50.0, 1e-12);
        excesses.extend(of_points);
    }
    let draw = |rng: &mut _| Ok::<_, ()>(1.5 * data.sample(50, rng));
    let [distance, excess] = evaluator.distance_and_excess(3, &mut rng(7), draw).unwrap();
    assert_eq!(distance, Estimate::of(distances));
    let expected = Estimate::of(excesses);
    assert_eq!(excess.draws, 150);
    assert_close("mean excess", excess.mean, expected.mean, 1e-12);
    assert_close("its standard error", excess.standard_error, expected.standard_error, 1e-12);
    assert_eq!(evaluator.mean(3, &mut rng(7), |rng| 1.5 * data.sample(50, rng)), distance);
    assert!(evaluator.distance_and_excess(3, &mut rng(7), |_| Err("no")).is_err());
    let [near, known] = evaluator.of_data(20, &mut rng(8));
    assert_close("distance of the data", near.mean, 1.0, 0.6);
    assert_close("excess of the data", known.mean, 0.0, 4.0 * known.standard_error);
    // one sample against several fresh ones
    let (x, mut by_hand) = (data.sample(50, &mut rng(9)), rng(10));
    let mean = (0..3).map(|_| evaluator.distance(&x, &mut by_hand)).sum::<f64>() / 3.0;
    assert_close("mean distance", evaluator.mean_distance(&x, 3, &mut rng(10)), mean, 1e-12);
}

#[test]
fn a_reference_measures_the_first_points() {
    let data = normal();
    let reference = Reference::new(&data, 200, 5, &mut rng(11));
    let [truth, other] = {
        let rng = &mut rng(11);
        [(); 2].map(|()| data.sample(200, rng))
    };
    assert_eq!(reference.of_data(), precision(&truth, &other, 5));
    let mut points = data.sample(300, &mut rng(12));
    points.slice_mut(ndarray::s![200.., ..]).fill(99.0); // beyond the first 200
    let first = points.slice(ndarray::s![..200, ..]).to_owned();
    assert_eq!(reference.precision(&points), precision(&truth, &first, 5));
}

#[test]
fn gaps_are_those_of_neighbours_and_their_error_covers_what_is_seen() {
    let path = array![[0.0, 0.0], [3.0, 4.0], [3.0, 5.0], [0.0, 1.0]];
    assert_close("mean gap", mean_gap(&path).mean, (5.0 + 1.0 + 5.0) / 3.0, 1e-12);
    // independent points: the scatter of 400 means is at most the standard error
    let means: Array1<f64> =
        (0..400).map(|seed| mean_gap(&standard_normal(100, 2, &mut rng(seed))).mean).collect();
    let claimed = mean_gap(&standard_normal(100, 2, &mut rng(0))).standard_error;
    assert!(
        means.std(1.0) < 1.1 * claimed && means.std(1.0) > 0.5 * claimed,
        "{} ≤ {claimed}",
        means.std(1.0)
    );
}

#[test]
fn medians_ratios_and_correlations() {
    let (a, b) = (array![[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], array![[3.0, 4.0], [1.0, 2.0], [2.0, 0.0]]);
    assert_eq!(median_row_distance(&a, &b), quantile(&row_distances(&a, &b), 0.5));
    assert_eq!(median_row_distance(&a, &b), 1.0);
    // the scatter of many ratios, and of many correlations, is the error that is claimed
    let draw = |mean: f64, error: f64, seed: u64| {
        mean + error * standard_normal::<f64>(1, 1, &mut rng(seed))[(0, 0)]
    };
    let ratios: Array1<f64> =
        (0..4000).map(|i| draw(3.0, 0.1, 2 * i) / draw(-2.0, 0.05, 2 * i + 1)).collect();
    let [a, b] =
        [(3.0, 0.1), (-2.0, 0.05)].map(|(mean, standard_error)| Estimate { mean, standard_error, draws: 9 });
    assert_close("ratio", a.over(b).mean, -1.5, 1e-12);
    assert_relative("its error", a.over(b).standard_error, ratios.std(1.0), 0.05);
    let correlations: Array1<f64> = (0..2000)
        .map(|seed| {
            let z = standard_normal::<f64>(200, 2, &mut rng(seed));
            let y = 0.6 * &z.column(0) + 0.8 * &z.column(1);
            let (x, y) = (&z.column(0) - z.column(0).mean().unwrap(), &y - y.mean().unwrap());
            x.dot(&y) / (x.dot(&x) * y.dot(&y)).sqrt()
        })
        .collect();
    let claimed = StandardError::of_correlation(0.6, 200).value();
    assert_relative("of a correlation", correlations.std(1.0), claimed, 0.1);
}

#[test]
fn a_floor_that_is_measured_on_the_way_is_that_of_a_judge() {
    let data = Dataset::named(DatasetName::Gaussians8, "").unwrap();
    let shifted = |seed: u64| data.sample(400, &mut rng(seed)) + 0.5;
    let mut seeds = 100..;
    let ratio = distance_over_floor(&data, 400, 30, &mut rng(1), |_| shifted(seeds.next().unwrap()));
    let evaluator = Evaluator::new(&data, 400, 60, &mut rng(2));
    let judged = evaluator.of(&(200..230).map(shifted).collect::<Vec<_>>(), &mut rng(3));
    assert_relative("over the floor", ratio, judged.mean, 0.15);
    // one draw, by hand: it comes first, then fresh points, then further ones
    let (drawn, mut generator) = (shifted(7), rng(4));
    let [fresh, further] = [(); 2].map(|()| data.sample(400, &mut generator));
    let expected = sliced_wasserstein(&fresh, &drawn, 64) / sliced_wasserstein(&fresh, &further, 64);
    assert_eq!(distance_over_floor(&data, 400, 1, &mut rng(4), |_| drawn.clone()), expected);
}

#[test]
fn a_geometric_mean_is_the_root_of_a_product() {
    let values = array![[0.5, 3.0, 1.25], [2.0, 0.1, 7.0]];
    assert_relative("geometric mean", geometric_mean(&values), values.product().powf(1.0 / 6.0), 1e-12);
    assert!(geometric_mean(&Array1::<f64>::zeros(0)).is_nan());
}

#[test]
fn estimates_differ_and_stratify_by_the_squares_of_their_errors() {
    let (a, b) = (Estimate::of([1.0, 3.0, 5.0]), Estimate::of([10.0, 14.0]));
    let difference = b - a;
    // s² = 4 over 3 and 8 over 2
    assert_close("difference", difference.mean, 9.0, 1e-15);
    assert_close("its error", difference.standard_error, f64::sqrt(4.0 / 3.0 + 4.0), 1e-15);
    assert_eq!(difference.draws, 2, "known as well as the one of fewer draws");
    assert_eq!(StandardError::from(a), StandardError::from(a.standard_error).drawn(3));

    assert_eq!(a.pair(), [a.mean, a.standard_error]);
    assert_close("scatter of one draw", a.scatter(), 2.0, 1e-15);

    // strata of means 2, 100 and −60: how they differ is no chance
    let strata = array![[1.0, 3.0], [104.0, 96.0], [-60.0, -60.0]];
    let all = Estimate::stratified(&strata);
    assert_close("mean over the strata", all.mean, 14.0, 1e-13);
    // standard errors of the rows' means 1, 4 and 0
    assert_close("its error", all.standard_error, 17f64.sqrt() / 3.0, 1e-13);
    let repeated = (0..2000).map(|seed| {
        let noise: Array2<f64> = standard_normal(3, 5, &mut rng(seed));
        Estimate::stratified(&(noise + &array![[1.0], [50.0], [-7.0]])).mean
    });
    assert_relative("scatter", repeated.collect::<Array1<f64>>().std(1.0), 1.0 / 15f64.sqrt(), 0.1);
}

#[test]
fn paired_moments_are_those_of_each_set_and_err_as_their_difference_scatters() {
    let pair = |seed: u64| {
        let rng = &mut rng(seed);
        let shared = 10.0 * standard_normal::<f64>(200, 2, rng);
        [(); 2].map(|()| &shared + &standard_normal::<f64>(200, 2, rng))
    };
    let [a, b] = pair(0);
    let moments = paired_moments(&a, &b);
    let names: Vec<&str> = moments.iter().map(|moment| moment.0.as_str()).collect();
    assert_eq!(names, ["mean 1", "mean 2", "covariance 11", "covariance 12", "covariance 22"]);
    let of_a = [mean(a.column(0)), mean(a.column(1))];
    assert_close("mean 2 of a", moments[1].1, of_a[1], 1e-12);
    let product: f64 = a.rows().into_iter().map(|x| (x[0] - of_a[0]) * (x[1] - of_a[1])).sum();
    assert_relative("covariance 12 of a", moments[3].1, product / 199.0, 1e-12);
    assert_close("covariance 22 of b", moments[4].2, b.column(1).var(1.0), 1e-10);
    for which in 0..5 {
        let differences = (1..300).map(|seed| {
            let [a, b] = pair(seed);
            let moment = &paired_moments(&a, &b)[which];
            moment.1 - moment.2
        });
        let scatter = differences.collect::<Array1<f64>>().std(1.0);
        assert_relative(names[which], moments[which].3.value(), scatter, 0.3);
        assert_eq!(moments[which].3, StandardError::from(moments[which].3.value()).drawn(200));
    }
}

#[test]
fn quality_scores_samples_as_each_metric_does_alone() {
    let data = Dataset::named(DatasetName::Mixture, "").unwrap();
    let (count, few) = (1200, 1000); // three metrics take the first thousand
    let quality = Quality::new(&data, count, 1, &mut rng(5));
    let (mut generator, mut scores) = (rng(5), Vec::new());
    let [a, b] = [(); 2].map(|()| data.sample(few, &mut generator));
    let bandwidth = median_distance(&a, &b);
    let first = |x: &Array2<f64>| x.select(ndarray::Axis(0), &(0..few).collect::<Vec<_>>());
    let mut score = |a: &Array2<f64>, b: &Array2<f64>| {
        let (few_a, few_b) = (first(a), first(b));
        let of_few = [coverage(&few_a, &few_b, 5), precision(&few_a, &few_b, 5)];
        scores.push([
            sliced_wasserstein(a, b, 64),
            mmd_squared(&few_a, &few_b, bandwidth),
            of_few[0],
            of_few[1],
        ]);
    };
    let [a, b] = [(); 2].map(|()| data.sample(count, &mut generator));
    score(&a, &b);
    let drawn = [data.sample(count, &mut rng(6)) * 1.2, data.sample(count, &mut rng(7)) * 1.2];
    let mut generator = rng(8);
    drawn.iter().for_each(|drawn| score(&data.sample(count, &mut generator), drawn));

    let unit = scores[0][0];
    assert_eq!(quality.floor().means(), [1.0, scores[0][1], scores[0][2], scores[0][3]]);
    assert_eq!(quality.evaluator().floor().mean, unit, "in the data's units");
    let measured = quality.of(&drawn, &mut rng(8));
    for (i, name) in ["distance", "MMD²", "coverage", "precision"].into_iter().enumerate() {
        let expected = (scores[1][i] + scores[2][i]) / if i == 0 { 2.0 * unit } else { 2.0 };
        assert_close(name, measured.means()[i], expected, 1e-12);
    }
    let judged = quality.evaluator().of(&drawn, &mut rng(8));
    assert_close("the judge over the same floor", judged.mean, measured.distance.mean, 1e-12);
    let less = measured - quality.floor();
    assert_close("precision is lost", less.precision.mean, measured.precision.mean - scores[0][3], 1e-15);
}

#[test]
fn the_largest_rise_is_negative_where_all_falls_and_hides_no_nan() {
    assert_eq!(largest_rise([1.0, 4.0, 3.0, 8.0, -20.0]), 5.0);
    assert_eq!(largest_rise([5.0, 3.0, 2.5, 0.0]), -0.5);
    assert_eq!(largest_rise([7.0]), f64::NEG_INFINITY);
    for values in [[f64::NAN, 1.0, 2.0], [1.0, f64::NAN, 0.5], [1.0, 2.0, f64::NAN]] {
        assert!(largest_rise(values).is_nan(), "{values:?}");
    }
}

/// The chance that Student's t with ν degrees of freedom lies outside of ±t: with x = √ν tan θ its density is cos^(ν−1) θ.
fn outside_of(t: f64, degrees: f64) -> f64 {
    let integral = |from: f64| {
        let (steps, to) = (200_000, std::f64::consts::FRAC_PI_2);
        let width = (to - from) / steps as f64;
        (0..steps).map(|i| (from + (i as f64 + 0.5) * width).cos().powf(degrees - 1.0)).sum::<f64>() * width
    };
    integral((t / degrees.sqrt()).atan()) / integral(0.0)
}

#[test]
fn limits_leave_the_chance_of_five_standard_errors() {
    for count in [10, 20, 100, 1000] {
        let chance = outside_of(StandardError::from(0.1).drawn(count).limit(), count as f64 - 1.0);
        let ratio = chance / StandardError::CHANCE;
        // Wallace’s approximation is 14 % short of the chance at 9 degrees of freedom, and 4 % at 19.
        assert!((0.85..1.01).contains(&ratio), "known from {count} draws: a chance of {chance:e}");
    }
    for count in [1, 10, 1000] {
        let limit = StandardError::from(0.1).largest_of(count).limit();
        // As good as normal: Student's t with very many degrees of freedom.
        let chance = count as f64 * outside_of(limit, 1e6);
        let ratio = chance / StandardError::CHANCE;
        assert!((0.7..1.01).contains(&ratio), "the largest of {count}: a chance of {chance:e}");
    }
    let (error, bias) = (StandardError::from(0.1).largest_of(3), 0.25);
    assert_eq!(error.besides(bias).tolerance(), error.tolerance() + bias);
    assert_eq!(error.besides(bias).bias(), bias);
}
