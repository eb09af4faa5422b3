//! ch16_evaluate_images: likelihood, distance on features, neighbours.

mod common;

use candle_core::{Device, Tensor};
use common::{assert_close, assert_relative, rng};
use ddpm::{
    bound::{bits_per_dim, denoising_term, discretized_reconstruction_term, prior_term},
    course,
    denoiser::{Denoiser, ExactDenoiser, GaussianData},
    digest,
    forward::{diffuse, standard_normal},
    metrics::{mean, standard_error},
    reverse::{FixedVariance, ReverseProcess},
    schedule::Schedule,
};
use ddpm_unet::{
    denoiser::GaussianImages,
    evaluate::{
        ClassTest, Evaluator, Floor, PIXELS, Predictions, chi_square_tail,
        classifier::{Classifier, ClassifierTrainConfig, load_or_train, train},
        code::{HistogramCode, gzip_bits_per_dim, simple_codes},
        frechet::{Gaussian, feature_distance, frechet_distance, gaussian_of, symmetric_root},
        likelihood::{Plan, Rule, measure, predict_rows, strata, stratified_sum},
        neighbours::{
            COPY, Neighbour, beside_nearest, by_distance, copies, distances, nearest, nearest_image,
            nearest_images, precision_recall,
        },
        progressive::{progressive_rates, rmse_in_levels},
    },
    images::{ImageSource, batch, pixels::from_byte},
};
use ndarray::{Array1, Array2, Axis, arr1, array, concatenate, s};
use ndarray_rand::rand::Rng;
use rand_distr::StandardNormal;
use std::fs;

const CPU: &Device = &Device::Cpu;

fn gaussian(mean: &[f64], covariance: Array2<f64>) -> Gaussian {
    Gaussian { mean: arr1(mean), covariance }
}

// ANCHOR: frechet_distance_of_diagonal_gaussians_is_that_of_their_axes
#[test]
fn frechet_distance_of_diagonal_gaussians_is_that_of_their_axes() {
    // on each axis (m_a − m_b)² + (σ_a − σ_b)²: 9 + 1, 0 + 4, 1 + 0
    let a = gaussian(&[0.0, 1.0, 2.0], Array2::from_diag(&array![1.0, 9.0, 4.0]));
    let b = gaussian(&[3.0, 1.0, 1.0], Array2::from_diag(&array![4.0, 1.0, 4.0]));
    assert_close("d²", frechet_distance(&a, &b), 15.0, 1e-12);
    assert_close("the other way", frechet_distance(&b, &a), 15.0, 1e-12);
}
// ANCHOR_END: frechet_distance_of_diagonal_gaussians_is_that_of_their_axes

#[test]
fn frechet_distance_is_zero_to_itself_and_the_square_of_a_shift() {
    let features = standard_normal::<f64>(50, 5, &mut rng(1)).dot(&standard_normal(5, 5, &mut rng(2)));
    let shift = array![1.0, -2.0, 0.0, 0.5, 3.0];
    let shifted = &features + &shift;
    let (a, b) = (gaussian_of(&features), gaussian_of(&shifted));
    assert_close("to itself", frechet_distance(&a, &a), 0.0, 1e-10);
    assert_close("shifted", frechet_distance(&a, &b), shift.dot(&shift), 1e-10);
}

#[test]
fn frechet_distance_does_not_change_when_both_turn() {
    let sets = [3, 4].map(|seed| standard_normal::<f64>(40, 2, &mut rng(seed)) * array![3.0, 0.5] + 0.3);
    let (sin, cos) = 0.7_f64.sin_cos();
    let turn = array![[cos, sin], [-sin, cos]];
    let turned = sets.each_ref().map(|set| set.dot(&turn));
    let expected = feature_distance(&sets[0], &sets[1]);
    let got = frechet_distance(&gaussian_of(&turned[0]), &gaussian_of(&turned[1]));
    assert_close("turned", got, expected, 1e-10);
}

#[test]
fn frechet_distance_of_a_line_and_its_square_angle_is_the_sum_of_their_variances() {
    // A and B share no direction: A B = 0, and nothing is taken away
    let a = gaussian(&[0.0, 0.0], array![[4.0, 0.0], [0.0, 0.0]]);
    let b = gaussian(&[0.0, 0.0], array![[0.0, 0.0], [0.0, 9.0]]);
    assert_close("d²", frechet_distance(&a, &b), 13.0, 1e-12);
    // turned by 60°, cos² of it is shared: tr √(A B) = 2 · 3 · |cos 60°|
    let (sin, cos) = (60_f64.to_radians()).sin_cos();
    let b = gaussian(&[0.0, 0.0], 9.0 * array![[cos * cos, cos * sin], [cos * sin, sin * sin]]);
    assert_close("at 60°", frechet_distance(&a, &b), 13.0 - 2.0 * 6.0 * 0.5, 1e-7);
}

#[test]
fn frechet_distance_of_fewer_images_than_features_is_a_number() {
    // covariances without full rank: eigenvalues that are 0 come out of rounding below it, too
    for seed in 0..20 {
        let a = gaussian_of(&standard_normal(4, 8, &mut rng(seed)));
        let b = gaussian_of(&standard_normal(5, 8, &mut rng(100 + seed)));
        let size = a.covariance.diag().sum() + b.covariance.diag().sum();
        assert_close("4 images of 8 features, to itself", frechet_distance(&a, &a), 0.0, 1e-6 * size);
        let (there, back) = (frechet_distance(&a, &b), frechet_distance(&b, &a));
        assert_close("4 images and 5, both ways", there, back, 1e-6 * size);
    }
}

/// `tests/fixtures/frechet.py` made the file with scipy.
#[test]
fn frechet_distance_is_that_of_scipy_also_where_features_never_vary() {
    let text = fs::read_to_string(course::within("tests/fixtures/frechet.json").unwrap()).unwrap();
    let pairs: serde_json::Value = serde_json::from_str(&text).unwrap();
    // scipy's root of the singular pair is one of matrices moved by 1e-12, whose roots are moved by 1e-6
    for (name, tolerance) in [("full", 1e-9), ("singular", 1e-4)] {
        let numbers = |value: &serde_json::Value| value.as_f64().unwrap();
        let features = |key: &str| {
            let rows = pairs[name][key].as_array().unwrap();
            Array2::from_shape_fn((rows.len(), 6), |(i, j)| numbers(&rows[i][j]))
        };
        let (a, b) = (gaussian_of(&features("a")), gaussian_of(&features("b")));
        assert_close(name, frechet_distance(&a, &b), numbers(&pairs[name]["distance"]), tolerance);
    }
}

#[test]
fn the_root_of_a_matrix_squared_is_the_matrix() {
    let x = standard_normal::<f64>(30, 6, &mut rng(5));
    let matrix = x.t().dot(&x);
    let root = symmetric_root(&matrix);
    common::assert_all_close("S S", &root.dot(&root), &matrix, 1e-11);
    common::assert_all_close("Sᵀ", &root.t().to_owned(), &root, 1e-12);
}

// ANCHOR: nearest_finds_what_subtracting_finds
#[test]
fn nearest_finds_what_subtracting_finds() {
    let (queries, set) =
        (standard_normal::<f64>(7, 5, &mut rng(6)), standard_normal::<f64>(40, 5, &mut rng(7)));
    let found = nearest(&queries, &set);
    assert_eq!(found.len(), 7, "one neighbour for each query");
    for (i, query) in queries.rows().into_iter().enumerate() {
        let distance = |j: usize| (&query - &set.row(j)).mapv(|d| d.powi(2)).sum().sqrt();
        let best = (0..40).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap();
        assert_eq!(found[i].index, best, "the neighbour of query {i}");
        assert_close(&format!("its distance, query {i}"), found[i].distance, distance(best), 1e-12);
    }
}
// ANCHOR_END: nearest_finds_what_subtracting_finds

#[test]
fn nearest_of_a_copy_is_the_copy_at_distance_zero_and_of_two_the_first() {
    let set = 100.0 + standard_normal::<f64>(20, 30, &mut rng(8)); // large numbers, small differences
    let set = concatenate![Axis(0), set, set];
    for (i, neighbour) in nearest(&set, &set).into_iter().enumerate() {
        assert_eq!(neighbour.index, i % 20, "the neighbour of point {i}");
        assert!(neighbour.distance < 1e-3, "point {i}: {} is no number near 0", neighbour.distance);
    }
}

#[test]
fn precision_recall_tells_what_is_not_drawn_from_what_should_not_be() {
    let cluster = |at: f64, seed: u64| at + 0.1 * standard_normal::<f64>(30, 2, &mut rng(seed));
    let data = concatenate![Axis(0), cluster(0.0, 1), cluster(10.0, 2)];
    // half of the data is never drawn: precise, but half of it is missing
    let (precision, recall) = precision_recall(&data, &cluster(0.0, 1), 3);
    assert_close("precision, a mode missing", precision, 1.0, 0.0);
    assert_close("recall, a mode missing", recall, 0.5, 0.0);
    // all of the data, and as much that is none
    let samples = concatenate![Axis(0), data, cluster(50.0, 3), cluster(60.0, 4)];
    let (precision, recall) = precision_recall(&data, &samples, 3);
    assert_close("precision, noise added", precision, 0.5, 0.0);
    assert_close("recall, noise added", recall, 1.0, 0.0);
}

#[test]
fn precision_recall_reaches_to_the_k_th_neighbour_of_the_right_set() {
    // the ball of 0 in {0, 1, 3, 7} reaches 1, 3 or 7 for k = 1, 2, 3
    let data = array![[0.0], [1.0], [3.0], [7.0]];
    let at = |x: f64| array![[x], [100.0], [200.0], [300.0]];
    for (k, inside, outside) in [(1, -0.9, -1.1), (2, -2.9, -3.1), (3, -6.9, -7.1)] {
        assert_close(&format!("k = {k}, {inside}"), precision_recall(&data, &at(inside), k).0, 0.25, 0.0);
        assert_close(&format!("k = {k}, {outside}"), precision_recall(&data, &at(outside), k).0, 0.0, 0.0);
        assert_close(&format!("recall, k = {k}"), precision_recall(&data, &at(inside), k).1, 1.0, 0.0);
    }
}

#[test]
fn strata_cover_every_t_once_and_are_short_where_t_is_small() {
    for (steps, count) in [(1000, 100), (1000, 7), (10, 3), (10, 9), (10, 50), (2, 1), (200, 199), (200, 150)]
    {
        let runs = strata(steps, count);
        let all: Vec<usize> = runs.iter().cloned().flatten().collect();
        let what = format!("T = {steps}, {count} runs");
        let odd = all.iter().copied().zip(2..=steps).find(|(got, expected)| got != expected);
        assert_eq!(odd, None, "{what}: the first t that is not the next one, and what that is");
        assert_eq!(all.len(), steps - 1, "{what}: how many t they hold");
        assert_eq!(runs.len(), count.min(steps - 1), "{what}: how many there are");
        assert!(runs.iter().all(|run| !run.is_empty()), "{what}: one is empty");
    }
    // 999 (r/100)² exceeds r from r = 11 on; its last step is 999 (1 − 0.99²) = 19.9
    let runs = strata(1000, 100);
    let length = |run: usize| runs[run].clone().count();
    let first: Vec<usize> = (0..10).map(length).collect();
    assert_eq!(first, [1; 10], "lengths of the first ten runs of 100, T = 1000: t = 2 … 11 have one each");
    assert_eq!(runs[99], 981..=1000, "the last run");
    assert_eq!(strata(17, 4), [2..=2, 3..=5, 6..=10, 11..=17], "16 (r/4)² = r²: cuts at 1, 4, 9, 16");
}

#[test]
fn stratified_sum_counts_a_term_for_every_t_of_its_stratum() {
    let runs = [2..=2, 3..=6, 7..=9];
    let terms = array![[1.0, 10.0, 100.0], [0.0, 0.0, 5.0]];
    let sums = stratified_sum(&terms, &runs);
    assert_close("1 · 1 + 4 · 10 + 3 · 100", sums[0], 341.0, 0.0);
    assert_close("3 · 5", sums[1], 15.0, 0.0);
}

#[test]
fn progressive_rates_add_up_what_was_sent_from_x_t_down() {
    let terms = [100.0, 10.0, 4.0, 1.0]; // L_0, L_1, L_2, L_T
    assert_eq!(progressive_rates(&terms), [115.0, 15.0, 5.0, 1.0], "from L_0 … L_T = {terms:?}");
    assert_eq!(progressive_rates(&[2.0]), [2.0], "a single term");
}

#[test]
fn rmse_in_levels_of_an_image_one_level_off_is_one() {
    let off = from_byte(101) - from_byte(100);
    assert_close("one level", rmse_in_levels(f64::from(off).powi(2)), 1.0, 1e-5);
    assert_close("black for white", rmse_in_levels(4.0), 255.0, 1e-12);
}

/// Images of independent pixels N(mean, variance), and the same as rows of doubles.
fn world(schedule: &Schedule, (h, w): (usize, usize)) -> (GaussianImages, GaussianData) {
    let data = GaussianData { mean: Array1::from_elem(h * w, 0.2), variance: 0.05 };
    let fill = |value: f64| Tensor::full(value as f32, (h, w, 1), CPU).unwrap();
    let images = GaussianImages {
        schedule: schedule.clone(),
        mean: fill(0.2),
        variance: fill(data.variance),
        axes: None,
    };
    (images, data)
}

/// Bytes of images of the world, as numbers.
fn bytes(data: &GaussianData, count: usize, seed: u64) -> Array2<f64> {
    let noise = standard_normal::<f64>(count, data.mean.len(), &mut rng(seed));
    let x = &data.mean + &(data.variance.sqrt() * noise);
    x.mapv(|x| f64::from(from_byte((127.5 * (x + 1.0)).round().clamp(0.0, 255.0) as u8)))
}

#[test]
fn a_prediction_on_rows_is_that_on_images() {
    let schedule = Schedule::linear(20, 1e-3, 0.3).unwrap();
    let (images, data) = world(&schedule, (3, 4));
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_t = standard_normal::<f64>(5, 12, &mut rng(9));
    let got = predict_rows(&images, &x_t, 7, CPU).unwrap();
    let expected = exact.predict(x_t.view(), 7.0).eps;
    // f32 on one side
    common::assert_all_close("ε", &got.eps, &expected, 1e-5);
    assert!(got.variance.is_none(), "an image network has no variance of its own");
}

#[test]
fn the_measured_bound_is_that_of_part_one() {
    let schedule = Schedule::linear(12, 1e-3, 0.5).unwrap();
    let (images, data) = world(&schedule, (2, 2));
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_0 = bytes(&data, 400, 10);
    let rules = [FixedVariance::Beta, FixedVariance::Posterior].map(|variance| Rule { variance, clip: None });
    let plan = Plan { strata: 100, group: 10 }; // more strata than t: every t once
    let all = measure(&images, &schedule, &x_0, &rules, plan, CPU, &mut rng(11), || ()).unwrap();
    for (terms, rule) in all.iter().zip(rules) {
        let process = ReverseProcess { schedule: &schedule, variance: rule.variance, clip: None };
        let mut total = prior_term(&schedule, &x_0);
        for t in 1..=12 {
            let noise = standard_normal(400, 4, &mut rng(100 + t as u64));
            let x_t = diffuse(&x_0, schedule.alpha_bar(t), &noise);
            let prediction = exact.predict(x_t.view(), t as f64);
            total += &match t {
                1 => discretized_reconstruction_term(&process, &prediction, &x_0, &x_t, PIXELS),
                _ => denoising_term(&process, &prediction, &x_0, &x_t, t),
            };
        }
        let bits = terms.total_bits();
        let (expected, error) = (mean(total.view()), standard_error(total.view()));
        // both are means over the same images with other noise: their scatter is at most this
        let tolerance = 4.0 * (bits.error + bits_per_dim(error, 4));
        assert_close("bound in bits/dim", bits.mean, bits_per_dim(expected, 4), tolerance);
        let parts = terms.prior_bits().mean + terms.denoising_bits().mean + terms.reconstruction_bits().mean;
        assert_close("sum of the parts", parts, bits.mean, 1e-12);
        assert_close("sum over steps", bits_per_dim(terms.by_step().iter().sum(), 4), bits.mean, 1e-12);
        assert_eq!(terms.by_step().len(), 13, "L_0 … L_T");
        assert_eq!(terms.distortion_by_step().len(), 12, "x̂_0 from x_1 … x_T");
    }
}

#[test]
fn a_few_strata_measure_the_same_bound_as_all_t() {
    let schedule = Schedule::linear(60, 1e-3, 0.2).unwrap();
    let (images, data) = world(&schedule, (2, 2));
    let x_0 = bytes(&data, 240, 12);
    let rule = [Rule { variance: FixedVariance::Beta, clip: Some(1.0) }];
    let [few, all] = [5, 59].map(|strata| {
        let plan = Plan { strata, group: 4 };
        measure(&images, &schedule, &x_0, &rule, plan, CPU, &mut rng(13), || ()).unwrap()[0].total_bits()
    });
    let error = few.error.hypot(all.error);
    assert_close("5 strata against 59", few.mean, all.mean, 4.0 * error);
    assert!(few.error > all.error, "fewer questions: error {} against {}", few.error, all.error);
}

#[test]
fn the_distortion_is_the_squared_error_of_x_0() {
    // exact denoiser of one Gaussian: E(x_0 − x̂_0)² = v (1 − ᾱ)/(ᾱ v + 1 − ᾱ)
    let schedule = Schedule::linear(10, 0.01, 0.5).unwrap();
    let (images, data) = world(&schedule, (4, 4));
    let noise = standard_normal::<f64>(2000, 16, &mut rng(14));
    let x_0 = &data.mean + &(data.variance.sqrt() * noise);
    let rule = [Rule { variance: FixedVariance::Beta, clip: None }];
    let plan = Plan { strata: 9, group: 100 };
    let terms = &measure(&images, &schedule, &x_0, &rule, plan, CPU, &mut rng(15), || ()).unwrap()[0];
    for (t, error) in (1..).zip(terms.distortion_by_step()) {
        let (alpha_bar, v) = (schedule.alpha_bar(t), data.variance);
        let expected = v * (1.0 - alpha_bar) / (alpha_bar * v + 1.0 - alpha_bar);
        // a mean of 32,000 squares of normals: relative standard error √(2/32,000) = 0.8 %
        assert_relative(&format!("distortion at t = {t}"), error, expected, 0.04);
    }
}

/// Bars on dark ground, upright or lying, at one of a few places: two classes that a small network learns at once.
struct Bars(usize);

const SIDE: usize = 8;

impl Bars {
    fn labels(&self) -> Vec<u8> {
        (0..self.0).map(|i| (i % 2) as u8).collect()
    }
}

impl ImageSource for Bars {
    fn shape(&self) -> (usize, usize, usize) {
        (SIDE, SIDE, 1)
    }

    fn len(&self) -> usize {
        self.0
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> ddpm_unet::Result<()> {
        let (upright, place) = (index.is_multiple_of(2), index / 2 % SIDE);
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let (row, column) = (i / SIDE, i % SIDE);
            let ink = if upright { column == place } else { row == place };
            let grain = (i * 7 + index * 13) % 5; // a texture, so that no two images are alike
            *pixel = from_byte(if ink { 250 } else { 0 } + grain as u8);
        }
        Ok(())
    }
}

fn trained(seed: u64, passes: usize) -> Classifier {
    let classifier = Classifier::fresh((SIDE, SIDE, 1), 2, &mut rng(seed), CPU).unwrap();
    let config = ClassifierTrainConfig { passes, batch: 50, learning_rate: 3e-3 };
    let bars = Bars(400);
    train(&classifier, &bars, &bars.labels(), config, &mut rng(seed), |_| ()).unwrap();
    classifier
}

fn numbers(classifier: &Classifier) -> Vec<u32> {
    let variables = classifier.parameters().variables().iter();
    variables.flat_map(|v| v.flatten_all().unwrap().to_vec1::<f32>().unwrap()).map(f32::to_bits).collect()
}

#[test]
fn a_classifier_learns_to_tell_bars_apart_and_says_so_with_confidence() {
    let bars = Bars(160);
    let indices: Vec<usize> = (0..160).collect();
    let fresh = Classifier::fresh((SIDE, SIDE, 1), 2, &mut rng(1), CPU).unwrap();
    let before = Predictions::on_source(&fresh, &bars, &indices, CPU).unwrap();
    let after = Predictions::on_source(&trained(1, 5), &bars, &indices, CPU).unwrap();
    assert_close("accuracy", after.accuracy(&bars.labels()), 1.0, 0.0);
    assert!(before.accuracy(&bars.labels()) < 0.8, "it could read before it had learned");
    assert!(mean(after.confidences().view()) > 0.95, "confidence {}", mean(after.confidences().view()));
    assert_eq!(after.histogram(), [80, 80], "bars of each kind");
    assert_eq!(after.features.dim(), (160, ddpm_unet::evaluate::classifier::FEATURES), "features");
    for (i, row) in after.probabilities.rows().into_iter().enumerate() {
        assert_close(&format!("probabilities of image {i}"), row.sum(), 1.0, 1e-6);
    }
}

#[test]
fn a_classifier_is_the_same_on_any_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| numbers(&trained(2, 1)))
    };
    assert!(on(1) == on(3), "the weights depend on the number of threads");
}

#[test]
fn opinions_on_many_images_are_those_on_each() {
    let classifier = trained(3, 1);
    let (bars, indices) = (Bars(250), (0..250).collect::<Vec<_>>());
    let all = Predictions::on_source(&classifier, &bars, &indices, CPU).unwrap();
    for i in [0, 99, 100, 249] {
        let one = Predictions::on_source(&classifier, &bars, &[i], CPU).unwrap();
        let difference = (&all.features.row(i) - &one.features.row(0)).mapv(f64::abs).sum();
        assert_close(&format!("features of image {i}"), difference, 0.0, 1e-4);
    }
}

#[test]
fn a_classifier_comes_back_from_disk_as_it_was_and_damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    let classifier = trained(4, 1);
    classifier.save(&path).unwrap();
    let read = Classifier::load(&path, CPU).unwrap();
    assert!(numbers(&read) == numbers(&classifier), "weights that changed on the disk");
    assert_eq!((read.shape(), read.classes()), ((SIDE, SIDE, 1), 2));

    let whole = fs::read(&path).unwrap();
    let reject = |bytes: &[u8], reason: &str| {
        fs::write(&path, bytes).unwrap();
        let error = Classifier::load(&path, CPU).unwrap_err().to_string();
        let named = error.contains(path.to_str().unwrap()) && error.contains(reason);
        assert!(named, "“{error}” does not name the file and “{reason}”");
    };
    reject(&whole[..whole.len() / 2], "a whole safetensors file");
    reject(b"", "a whole safetensors file");
    let mut nan = whole.clone();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    reject(&nan, "of the digest");
    reject(&digest::seal(nan), "not finite");
    let renamed = String::from_utf8_lossy(&whole[8..300]).replace("8 8 1 2", "8 8 3 2");
    let mut other = whole.clone();
    other[8..300].copy_from_slice(renamed.as_bytes());
    reject(&other, "of the digest");
    reject(&digest::seal(other), "conv1.weight of shape");
    let missing = Classifier::load(&folder.path().join("none"), CPU).unwrap_err().to_string();
    assert!(missing.contains("cannot read the classifier"), "{missing}");
}

#[test]
fn no_flipped_bit_of_a_classifier_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    Classifier::fresh((SIDE, SIDE, 1), 2, &mut rng(5), CPU).unwrap().save(&path).unwrap();
    let good = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let mut rng = rng(6);
    let anywhere: Vec<usize> = (0..300).map(|_| rng.random_range(0..8 * good.len())).collect();
    // one bit of each byte of the header, another one from byte to byte
    for bit in anywhere.into_iter().chain((0..header).map(|byte| 8 * byte + byte % 8)) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
        assert!(Classifier::load(&path, CPU).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
    }
}

#[test]
fn a_classifier_refuses_images_of_another_shape() {
    let classifier = Classifier::fresh((SIDE, SIDE, 1), 2, &mut rng(5), CPU).unwrap();
    let images = Tensor::zeros((1, 12, 8, 1), candle_core::DType::F32, CPU).unwrap();
    let error = classifier.classify(&images).unwrap_err().to_string();
    assert!(error.contains("12 × 8 × 1") && error.contains("8 × 8 × 1"), "{error}");
    let error = Classifier::fresh((10, 8, 1), 2, &mut rng(5), CPU).unwrap_err().to_string();
    assert!(error.contains("10 × 8 × 1") && error.contains("halved twice"), "{error}");
    assert!(Classifier::fresh((8, 8, 1), 1, &mut rng(5), CPU).is_err(), "one class");
}

#[test]
fn the_nearest_image_of_a_source_is_found_across_its_blocks() {
    let bars = Bars(4500); // more than two blocks
    let (h, w, c) = bars.shape();
    let mut queries = Array2::zeros((3, h * w * c));
    for (mut row, index) in queries.rows_mut().into_iter().zip([3, 2100, 4499]) {
        let mut pixels = vec![0.0; h * w * c];
        bars.image(index, &mut pixels).unwrap();
        row.iter_mut().zip(pixels).for_each(|(entry, x)| *entry = f64::from(x));
    }
    // images repeat after 80: the first of equal ones is found
    let found = nearest_image(&queries, &bars).unwrap();
    for (neighbour, index) in found.iter().zip([3, 2100 % 80, 4499 % 80]) {
        assert_eq!(neighbour.index, index, "the neighbour");
        assert!(neighbour.distance < 1e-5, "the distance {}", neighbour.distance);
    }
}

#[test]
fn a_histogram_code_spends_the_entropy_of_its_own_images() {
    // at every place a bar stands in 1 of 8 images, and grain of 5 values: the entropy of that, plus the smoothing
    let bars = Bars(16_000);
    let spent = HistogramCode::of(&bars, true).unwrap().bits_per_dim(&bars).unwrap().mean;
    let share = 1.0 / SIDE as f64;
    let ink = -(share * share.log2() + (1.0 - share) * (1.0 - share).log2());
    assert_close("bits/dim", spent, ink + 5_f64.log2(), 0.03);
    let of_all = HistogramCode::of(&bars, false).unwrap().bits_per_dim(&bars).unwrap().mean;
    assert_close("one histogram for all places", of_all, ink + 5_f64.log2(), 0.001);
    let packed = gzip_bits_per_dim(&bars).unwrap();
    assert!(packed < 0.5, "gzip sees that images repeat: {packed}");
}

#[test]
fn a_histogram_code_counts_every_channel() {
    /// Each of three channels is one of two bytes of its own, by turns.
    struct Coloured;
    impl ImageSource for Coloured {
        fn shape(&self) -> (usize, usize, usize) {
            (2, 2, 3)
        }
        fn len(&self) -> usize {
            10_000
        }
        fn image(&self, index: usize, pixels: &mut [f32]) -> ddpm_unet::Result<()> {
            for (i, pixel) in pixels.iter_mut().enumerate() {
                *pixel = from_byte((80 * (i % 3) + index % 2) as u8);
            }
            Ok(())
        }
    }
    let bits =
        |per_place| HistogramCode::of(&Coloured, per_place).unwrap().bits_per_dim(&Coloured).unwrap().mean;
    // 256 counts too many for 10,000 images: log₂ 1.0256 = 0.037 bits; for twelve times as many, 0.003
    assert_close("one of two bytes at each place", bits(true), 1.0, 0.04);
    assert_close("one of six for all places", bits(false), 6f64.log2(), 0.004);
}

#[test]
fn a_byte_that_was_never_seen_costs_finitely_many_bits() {
    let code = HistogramCode::of(&Bars(100), true).unwrap();
    struct White;
    impl ImageSource for White {
        fn shape(&self) -> (usize, usize, usize) {
            (SIDE, SIDE, 1)
        }
        fn len(&self) -> usize {
            1
        }
        fn image(&self, _: usize, pixels: &mut [f32]) -> ddpm_unet::Result<()> {
            pixels.fill(from_byte(128));
            Ok(())
        }
    }
    // 1 of 100 + 256 counts
    assert_close("bits/dim", code.bits_per_dim(&White).unwrap().mean, 356_f64.log2(), 1e-9);
}

#[test]
fn rows_of_another_length_are_no_images() {
    let schedule = Schedule::linear(30, 1e-3, 0.3).unwrap();
    let (images, data) = world(&schedule, (2, 3));
    let x_0 = bytes(&data, 10, 16);
    let noise = standard_normal(10, 6, &mut rng(17));
    let x_t = diffuse(&x_0, schedule.alpha_bar(30), &noise);
    let error = predict_rows(&images, &x_t.slice(s![.., ..4]).to_owned(), 30, CPU).map(|_| ());
    assert!(error.is_err(), "rows of 4 numbers are no images of 2 × 3");
}

#[test]
fn an_evaluator_scores_on_the_features_of_all_data() {
    let (classifier, bars) = (trained(6, 2), Bars(60));
    let all: Vec<usize> = (0..60).collect();
    let evaluator = Evaluator::new(classifier.clone(), &bars, CPU).unwrap();
    let data = Predictions::on_source(&classifier, &bars, &all, CPU).unwrap();
    // as many images as data: precision and recall are against all of it, in whatever order
    let upright: Vec<usize> = (0..60).map(|i| 2 * i % 60).collect(); // one of the classes, twice
    let images = batch(&bars, upright, CPU).unwrap();
    let predictions = evaluator.classify(&images).unwrap();
    let scores = evaluator.score(&predictions);
    assert_eq!(scores, evaluator.score_images(&images).unwrap());
    let distance = feature_distance(&predictions.features, &data.features);
    assert_relative("distance", scores.distance, distance, 1e-6);
    let (precision, recall) = precision_recall(&data.features, &predictions.features, 3);
    assert_close("precision", scores.precision, precision, 0.0);
    assert_close("recall", scores.recall, recall, 0.0);
    assert!(scores.precision == 1.0 && scores.recall < 0.75, "half of the data is not drawn: {scores:?}");
    assert_close("confidence", scores.confidence, mean(predictions.confidences().view()), 0.0);
    assert_eq!(evaluator.data().histogram(), [30, 30]);
    assert_eq!(predictions.shares().iter().sum::<f64>(), 1.0);
    let halves = [data.features.slice(s![..30, ..]).to_owned(), data.features.slice(s![30.., ..]).to_owned()];
    let expected = feature_distance(&halves[0], &halves[1]);
    assert_relative("one half from the other", evaluator.distance_of_halves(), expected, 1e-6);
    let few = evaluator.classify(&images.narrow(0, 0, 20).unwrap()).unwrap();
    // fewer than data: beside as many of it, chosen by chance but always the same
    let chosen = ddpm_unet::images::some_of(&bars, 20, &mut rng(0));
    let expected = precision_recall(&data.features.select(Axis(0), &chosen), &few.features, 3);
    let scores = evaluator.score(&few);
    assert_eq!((scores.precision, scores.recall), expected, "beside those chosen by chance");
    let first = data.features.slice(s![..20, ..]).to_owned();
    let expected = precision_recall(&first, &few.features, 3).0;
    assert_close("beside the first", evaluator.precision_beside_first(&few), expected, 0.0);
}

#[test]
fn a_floor_is_the_mean_of_draws_of_data() {
    let evaluator = Evaluator::new(trained(6, 2), &Bars(60), CPU).unwrap();
    let floor = evaluator.floor(&Bars(80), 20, 0..3, &mut rng(20)).unwrap();
    let mut generator = rng(20);
    let draws: Vec<_> = (0..3)
        .map(|_| {
            let some = ddpm_unet::images::some_of(&Bars(80), 20, &mut generator);
            evaluator.score_images(&batch(&Bars(80), some, CPU).unwrap()).unwrap()
        })
        .collect();
    let distances: Array1<f64> = draws.iter().map(|one| one.distance).collect();
    assert_eq!(floor.draws, 3);
    assert_close("distance", floor.distance.mean, distances.sum() / 3.0, 1e-6);
    assert_close("its error", floor.distance.standard_error, distances.std(1.0) / 3f64.sqrt(), 1e-6);
    assert_close("recall", floor.mean.recall, draws.iter().map(|one| one.recall).sum::<f64>() / 3.0, 1e-9);
    let row = floor.row(&draws[0]);
    assert_close("over the floor", row[1], draws[0].distance / floor.distance.mean, 1e-12);
    assert_eq!([row[0], row[2], row[3], row[4]], {
        let one = draws[0];
        [one.distance, one.precision, one.recall, one.confidence]
    });
    assert_eq!(Floor::COLUMNS.len(), row.len());
}

#[test]
fn a_classifier_is_trained_once_and_loaded_again_unless_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("classifier.safetensors");
    let (bars, config) = (Bars(100), ClassifierTrainConfig { passes: 1, batch: 50, learning_rate: 3e-3 });
    let mut steps = 0;
    let mut load = |labels: &[u8]| load_or_train(&file, &bars, labels, config, CPU, |_| steps += 1);
    let trained = load(&bars.labels()).unwrap();
    let loaded = load(&bars.labels()).unwrap();
    assert!(numbers(&trained) == numbers(&loaded), "the same classifier");
    let labels: Vec<u8> = bars.labels().iter().map(|label| label + 1).collect();
    let error = load(&labels).unwrap_err().to_string();
    assert_eq!(steps, 2, "one training of two steps");
    let expected = "found a classifier of (8, 8, 1) in 2 classes, expected one of (8, 8, 1) in 3; name another with --classifier";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn nearest_images_of_batches_are_those_of_each() {
    let bars = Bars(80);
    let [one, other] = [vec![3, 70], vec![20, 6, 41]].map(|some| batch(&bars, some, CPU).unwrap());
    let other = (other + 0.01).unwrap();
    let [of_one, of_other] = nearest_images([&one, &other], &bars).unwrap();
    assert_eq!(of_one.iter().map(|one| one.index).collect::<Vec<_>>(), [3, 70]);
    assert_eq!(of_other.iter().map(|one| one.index).collect::<Vec<_>>(), [20, 6, 41]);
    for distance in distances(&of_other) {
        assert_close("64 pixels a hundredth away", distance, 0.08, 1e-3);
    }
    assert_eq!((copies(&of_one, COPY), copies(&of_other, COPY)), (2, 3), "all are nearer than 1");
    let far = |distance| Neighbour { index: 0, distance };
    assert_eq!(by_distance(&[far(3.0), far(1.0), far(2.0), far(1.0)]), [1, 3, 2, 0]);
    assert_eq!(copies(&[far(1.0), far(0.99)], COPY), 1);
    let [chosen, nearest] = beside_nearest(&other, &of_other, &[2, 0], &bars).unwrap();
    let expected = batch(&bars, [41, 20], CPU).unwrap();
    let gap = |a: &Tensor, b: &Tensor| {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
    };
    assert!(gap(&nearest, &expected) == 0.0 && gap(&chosen, &(expected + 0.01).unwrap()) < 1e-6);
}

#[test]
fn simple_codes_are_the_codes_by_name() {
    let (learned, other) = (Bars(200), Bars(100));
    let codes = simple_codes(&learned, &other).unwrap();
    assert_eq!(codes[0].1.mean, 8.0);
    for (i, per_place) in [(1, false), (2, true)] {
        assert_eq!(codes[i].1, HistogramCode::of(&learned, per_place).unwrap().bits_per_dim(&other).unwrap());
    }
    assert_eq!(codes[3].1.mean, gzip_bits_per_dim(&other).unwrap());
    assert!(codes[2].0.contains("place") && codes[3].0.contains("gzip"));
}

#[test]
fn the_rows_of_a_bound_are_its_parts_in_bits() {
    let schedule = Schedule::linear(12, 1e-3, 0.5).unwrap();
    let (images, data) = world(&schedule, (2, 3));
    let rules = [Rule { variance: FixedVariance::Posterior, clip: Some(1.0) }];
    let plan = Plan { strata: 11, group: 4 };
    let x_0 = bytes(&data, 8, 21);
    let terms = &measure(&images, &schedule, &x_0, &rules, plan, CPU, &mut rng(22), || ()).unwrap()[0];
    assert_eq!(terms.rule.to_string(), "σ² = β̃, x̂_0 clipped");
    let by_step = terms.by_step(); // L_0 … L_T, in nats
    let bits = |nats: f64| bits_per_dim(nats, 6);
    let [prior, denoising, reconstruction] = terms.parts();
    assert_close("L_T", prior, bits(by_step[12]), 1e-9);
    assert_close("Σ L", denoising, bits(by_step[1..12].iter().sum()), 1e-9);
    assert_close("L_0", reconstruction, bits(by_step[0]), 1e-9);
    let row = terms.row();
    assert_close("bound", row[3], prior + denoising + reconstruction, 1e-9);
    let smallest = terms.denoising.iter().chain(&terms.reconstruction).all(|&term| term >= terms.smallest());
    assert!(smallest, "the smallest term is {}", terms.smallest());
    let points = terms.bits_by_step();
    assert_eq!((points.len(), points[11].0), (12, 12.0), "a point for each step");
    assert_close("the step from 5", points[4].1, bits(by_step[4]), 1e-12);
    // after 10 of 12 steps the receiver has x_3 … x_12, and x̂_0 is from x_3
    let [t, sent, levels] = terms.after(10);
    assert_close("t", t, 3.0, 0.0);
    assert_close("sent", sent, bits(by_step[3..].iter().sum()), 1e-9);
    assert_close("levels", levels, rmse_in_levels(terms.distortion_by_step()[2]), 1e-9);
}

#[test]
fn chi_square_tail_is_the_share_of_sums_of_squares_and_of_the_table() {
    for (degrees, x, expected) in
        [(1, 3.841_459, 0.05), (4, 13.276_704, 0.01), (9, 4.168_159, 0.9), (30, 43.772_972, 0.05)]
    {
        assert_close(&format!("{degrees} degrees"), chi_square_tail(x, degrees), expected, 1e-6);
    }
    let (mut rng, draws) = (rng(71), 40_000);
    for (degrees, x) in [(3, 2.0), (9, 11.9)] {
        let mut square = || rng.sample::<f64, _>(StandardNormal).powi(2);
        let above = (0..draws).filter(|_| (0..degrees).map(|_| square()).sum::<f64>() >= x).count();
        let (share, exact) = (above as f64 / draws as f64, chi_square_tail(x, degrees));
        assert_close("share above", share, exact, 5.0 * (exact * (1.0 - exact) / draws as f64).sqrt());
    }
    assert_eq!((chi_square_tail(0.0, 9), chi_square_tail(5000.0, 9)), (1.0, 0.0));
}

#[test]
fn class_tests_of_one_law_have_the_mean_and_the_spread_that_are_said() {
    // 500 images of the data's own shares against 1500 held ones, in ten classes
    let data: Vec<usize> = (1..=10).map(|class| 50 + 20 * class).collect::<Vec<_>>();
    let all: usize = data.iter().sum();
    let (mut rng, draws) = (rng(72), 4000);
    let mut one = || {
        let mut counts = vec![0; 10];
        for _ in 0..500 {
            let mut at = rng.random_range(0..all);
            let class = data.iter().position(|&n| {
                if at < n {
                    true
                } else {
                    at -= n;
                    false
                }
            });
            counts[class.unwrap()] += 1;
        }
        ClassTest::of(&counts, &data)
    };
    let tests: Vec<ClassTest> = (0..draws).map(|_| one()).collect();
    let statistics: Vec<f64> = tests.iter().map(|test| test.statistic).collect();
    let [mean, deviation] = tests[0].of_own_draws(500, all);
    assert_eq!(tests[0].degrees, 9);
    let measured = statistics.iter().sum::<f64>() / f64::from(draws);
    assert_close("mean", measured, mean, 5.0 * deviation / f64::from(draws).sqrt());
    let square = statistics.iter().map(|x| (x - measured).powi(2)).sum::<f64>() / f64::from(draws);
    assert_close("standard deviation", square.sqrt(), deviation, 0.1 * deviation);
    // two rows that are both drawn: as the table says, 1 in 20 lies beyond 16.92
    let two = ClassTest { statistic: 16.918_98, degrees: 9 };
    assert_close("chance", two.chance(), 0.05, 1e-6);
    // and of another law it is found: ones too few by a half
    let wrong: Vec<usize> =
        data.iter().enumerate().map(|(class, n)| if class == 9 { n / 2 } else { *n }).collect();
    assert!(ClassTest::of(&wrong, &data).chance() < 1e-3);
}
