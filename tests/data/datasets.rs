use std::fs;

use ddpm::data::{
    Curve, DEFAULT_DIGIT, DEFAULT_DIGIT_LABEL, Dataset, DatasetName, Density, NoisyCurve, Standardization,
    idx,
};
use ndarray::{Array1, Axis, array, s};

use crate::{assert_close, assert_entropy_matches_samples, assert_moments_match_samples, max_abs, rng};

const MNIST: &str = "data/mnist";
const IMAGES: &str = "data/mnist/train-images-idx3-ubyte.gz";
const LABELS: &str = "data/mnist/train-labels-idx1-ubyte.gz";
const TEST_IMAGES: &str = "data/mnist/t10k-images-idx3-ubyte.gz";

fn named(name: DatasetName) -> Dataset {
    Dataset::named(name, MNIST).expect("the repository's own data")
}

// ANCHOR: every_data_set_has_zero_mean_and_unit_variance
#[test]
fn every_data_set_has_zero_mean_and_unit_variance() {
    for name in DatasetName::ALL {
        let data = named(name);
        for axis in 0..2 {
            assert_close(&format!("{name}: mean, axis {axis}"), data.density().mean()[axis], 0.0, 1e-12);
            assert_close(
                &format!("{name}: variance, axis {axis}"),
                data.density().variance()[axis],
                1.0,
                1e-12,
            );
        }
        assert_moments_match_samples(name.as_str(), data.density());
    }
}
// ANCHOR_END: every_data_set_has_zero_mean_and_unit_variance

#[test]
fn known_entropies_match_samples() {
    let known = DatasetName::ALL.into_iter().filter(|name| named(*name).entropy().is_some());
    let known: Vec<_> = known.collect();
    let expected =
        [DatasetName::Digit, DatasetName::Gaussians8, DatasetName::Mixture, DatasetName::Checkerboard];
    assert_eq!(known, expected);
    for name in known {
        assert_entropy_matches_samples(name.as_str(), named(name).density());
    }
}

#[test]
fn entropy_loses_the_log_volume_of_the_map() {
    for name in [DatasetName::Digit, DatasetName::Gaussians8, DatasetName::Mixture, DatasetName::Checkerboard]
    {
        let data = named(name);
        let map = data.standardization();
        let back = Standardization::new(-map.shift() / map.scale(), 1.0 / map.scale());
        let raw = data.density().transformed(&back).entropy().expect("known");
        assert_close(name.as_str(), data.entropy().expect("known"), raw - map.log_volume(), 1e-9);
    }
    // Eight squares of side 1 in its own units.
    let board = named(DatasetName::Checkerboard);
    let own = board.entropy().expect("known") + board.standardization().log_volume();
    assert_close("checkerboard in its own units", own, 8.0_f64.ln(), 1e-12);
}

#[test]
fn standardization_undoes_itself() {
    for name in DatasetName::ALL {
        let data = named(name);
        let (map, points) = (data.standardization(), data.sample(500, &mut rng(6)));
        let there = map.undo(points.view());
        let back = map.apply(there.view());
        assert!(max_abs(&back, &points) < 1e-13, "{name}: off by {:e}", max_abs(&back, &points));
        let moved = max_abs(&there, &points);
        assert!(moved > 0.01, "{name}: the map does nothing ({moved})");
    }
}

#[test]
fn maps_follow_one_another() {
    let first = Standardization::new(array![1.0, 2.0], array![3.0, 4.0]);
    let second = Standardization::new(array![-0.5, 0.7], array![0.2, 5.0]);
    let points = array![[0.3, -2.0], [7.0, 1.0]];
    let two_steps = second.apply(first.apply(points.view()).view());
    let difference = max_abs(&first.then(&second).apply(points.view()), &two_steps);
    assert!(difference < 1e-13, "off by {difference:e}");
}

#[test]
fn curve_moments_match_a_fine_sum() {
    for curve in [Curve::SwissRoll, Curve::Moons] {
        let noisy = NoisyCurve::new(curve, 0.3);
        let count = 200_000;
        let place = |i: usize, axis: usize| curve.point((i as f64 + 0.5) / count as f64)[axis];
        for axis in 0..2 {
            let mean = (0..count).map(|i| place(i, axis)).sum::<f64>() / count as f64;
            let square = (0..count).map(|i| (place(i, axis) - mean).powi(2)).sum::<f64>() / count as f64;
            let what = format!("{curve:?}, axis {axis}");
            assert_close(&format!("mean of {what}"), noisy.mean()[axis], mean, 1e-8);
            assert_close(&format!("variance of {what}"), noisy.variance()[axis], square + 0.09, 1e-8);
        }
        assert_moments_match_samples(&format!("{curve:?}"), &Density::Curve(noisy));
    }
}

#[test]
fn curve_moments_match_their_closed_forms() {
    use std::f64::consts::PI;
    let (roll, moons) = (NoisyCurve::new(Curve::SwissRoll, 0.0), NoisyCurve::new(Curve::Moons, 0.0));
    // ∫ a cos a da = cos a + a sin a and ∫ a sin a da = sin a − a cos a, from 1.5 π to 4.5 π, over 3 π and over 10.
    assert_close("roll, mean of x", roll.mean()[0], 0.2, 1e-14);
    assert_close("roll, mean of y", roll.mean()[1], 0.2 / (3.0 * PI), 1e-14);
    // On a half circle E[cos] = 0, E[sin] = 2 / π, E[cos²] = E[sin²] = ½.
    assert_close("moons, mean of x", moons.mean()[0], 0.5, 1e-14);
    assert_close("moons, mean of y", moons.mean()[1], 0.25, 1e-14);
    assert_close("moons, variance of x", moons.variance()[0], 0.75, 1e-14);
    assert_close("moons, variance of y", moons.variance()[1], 0.5625 - 1.0 / PI, 1e-14);
}

#[test]
fn names_round_trip_and_a_wrong_one_is_told_the_right_ones() {
    for name in DatasetName::ALL {
        assert_eq!(name.to_string().parse::<DatasetName>().expect("a name"), name);
        assert!(DatasetName::list().contains(name.as_str()));
    }
    let message = "moon".parse::<DatasetName>().expect_err("not a name").to_string();
    for part in ["moon”", "built-in", "digit, gaussians8, mixture, swiss-roll, moons, checkerboard"] {
        assert!(message.contains(part), "“{part}” is missing in: {message}");
    }
}

#[test]
fn mnist_is_what_it_is_known_to_be() {
    let labels = idx::read_labels(LABELS).expect("labels");
    assert_eq!(labels.len(), 60_000);
    assert_eq!(labels.slice(s![..10]), array![5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    let counts: Vec<usize> = (0..10).map(|digit| labels.iter().filter(|l| **l == digit).count()).collect();
    // The class counts printed with the set: 5923 zeros, 6742 ones, …
    assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(labels[DEFAULT_DIGIT], DEFAULT_DIGIT_LABEL);
    let images = idx::read_images(TEST_IMAGES).expect("images");
    assert_eq!(images.dim(), (10_000, 28, 28));
    let mean = images.iter().map(|pixel| f64::from(*pixel)).sum::<f64>() / images.len() as f64 / 255.0;
    assert_close("mean ink of the test images", mean, 0.1325, 5e-5);
}

#[test]
fn plain_and_gzipped_files_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("train-images-idx3-ubyte");
    let images = idx::read_images(TEST_IMAGES).expect("images");
    let mut bytes: Vec<u8> = [0x803_u32, 10_000, 28, 28].into_iter().flat_map(u32::to_be_bytes).collect();
    bytes.extend(images.iter());
    fs::write(&plain, bytes).expect("written");
    assert_eq!(idx::read_images(&plain).expect("plain"), images);
    for index in [0, 1, 777] {
        let one = images.index_axis(Axis(0), index);
        assert_eq!(idx::read_image(&plain, index).expect("plain"), one, "image {index}");
        assert_eq!(idx::read_image(TEST_IMAGES, index).expect("gzipped"), one, "image {index}");
    }
    let by_folder = Dataset::digit(folder.path(), 3).expect("a digit");
    assert_eq!(by_folder, Dataset::digit(TEST_IMAGES, 3).expect("a digit"));
}

#[test]
fn a_digit_stands_upright_with_its_ink_as_mass() {
    let image = idx::read_image(IMAGES, DEFAULT_DIGIT).expect("an image");
    let digit = named(DatasetName::Digit);
    let Density::Pixels(pixels) = digit.density() else { panic!("a digit is made of pixels") };
    let total: f64 = image.iter().map(|ink| f64::from(*ink)).sum();
    for ((row, column), ink) in image.indexed_iter() {
        let mass = pixels.mass()[[27 - row, column]];
        assert_close(&format!("pixel {row}, {column}"), mass, f64::from(*ink) / total, 1e-15);
    }
}

#[test]
fn the_digits_ideal_denoiser_matches_weighted_draws() {
    let digit = named(DatasetName::Digit);
    let points = digit.sample(200_000, &mut rng(7));
    for (scale, variance) in [(0.9_f64, 0.19_f64), (0.2, 0.96)] {
        let x_t = array![0.4, -0.3];
        let weights =
            points.map_axis(Axis(1), |x_0| crate::log_likelihood(x_t.view(), x_0, scale, variance).exp());
        let exact = digit.posterior_mean(x_t.view(), scale, variance).expect("known");
        for axis in 0..2 {
            let x_0 = points.index_axis(Axis(1), axis);
            let estimate = (&weights * &x_0).sum() / weights.sum();
            let errors: Array1<f64> = &weights * &(&x_0 - estimate) / weights.mean().expect("weights");
            // The delta method's standard error of a ratio of means.
            let standard_error = (errors.var(1.0) / errors.len() as f64).sqrt();
            let what = format!("E[x_0 | x_t], axis {axis}, scale {scale}");
            assert_close(&what, exact[axis], estimate, 4.0 * standard_error);
        }
    }
}

#[test]
fn points_of_a_file_are_their_own_distribution() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("triangle.csv");
    fs::write(&path, "x,y\n# three corners\n0,0\n\n 2 , 0\n2,1").expect("written");
    let data = Dataset::points(&path).expect("points");
    assert_eq!(data.name(), "triangle");
    let rows = data.rows().expect("rows from a file");
    let own = data.standardization().undo(rows.view());
    assert!(max_abs(&own, &array![[0.0, 0.0], [2.0, 0.0], [2.0, 1.0]]) < 1e-15, "{own}");
    assert_close("mean of x", data.standardization().shift()[0], 4.0 / 3.0, 1e-15);
    assert_close("variance of x", data.standardization().scale()[0].powi(2), 8.0 / 9.0, 1e-15);
    let drawn = data.sample(3000, &mut rng(8));
    for row in rows.rows() {
        let share = drawn.rows().into_iter().filter(|point| *point == row).count() as f64 / 3000.0;
        assert_close("share of a corner", share, 1.0 / 3.0, 4.0 * (2.0_f64 / 9.0 / 3000.0).sqrt());
    }
    let known = (data.entropy(), data.log_density(rows.row(0)), data.posterior_mean(rows.row(0), 0.5, 0.75));
    assert_eq!(known, (None, None, None));
}
