//! ch18_guidance: labels on a mixture, guidance with a classifier and without one, and what it draws.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    continuous::score::{Score, mixture_score, score_from_eps},
    data::GaussianMixture,
    denoiser::{CallCounter, Denoiser, ExactDenoiser, PosteriorMean},
    forward::{TransitionKernel, standard_normal},
    guidance::{
        ClassifierFree, ClassifierGuided, Convention, Interval, LabelledMixture, TiltedGrid,
        classifier_free_guidance, classifier_guidance, classifier_score, convention_error, convert_scale,
        drop_labels, excess_loss,
        experiment::{Experiment, Scores},
        gaussian::GaussianClass,
        guided_score, label_probabilities,
        labels::bayes_errors,
        scale_within,
        tilted::mode_shares,
        tilted_log_density,
    },
    metrics::{Moments, largest_difference},
    network::Mlp,
    reverse::FixedVariance,
    sampler::{Spacing, ancestral, ddim, sample, time_grid},
    schedule::{Schedule, ScheduleName},
    target::Target,
    train::{
        TrainConfig,
        regression::{
            Examples, LabelledDenoiser, Level, LevelDenoiser, Regression, predict, predict_labelled,
        },
    },
};
use ndarray::{Array1, Array2, array};
use ndarray_rand::rand::{Rng, rngs::StdRng};

/// Three labels of unequal weight, on five components of unequal width; two labels have two of them.
fn lopsided() -> LabelledMixture {
    lopsided_times(1.0)
}

/// The same in another unit of length.
fn lopsided_times(unit: f64) -> LabelledMixture {
    let mixture = GaussianMixture::new(
        array![0.1, 0.25, 0.3, 0.15, 0.2],
        unit * array![[-1.2, 0.3], [0.4, -0.9], [1.1, 0.8], [0.1, 0.2], [-0.5, -1.4]],
        unit * unit * array![[0.3, 0.2], [0.1, 0.5], [0.2, 0.2], [0.6, 0.3], [0.15, 0.25]],
    );
    LabelledMixture::new(mixture, vec![0, 1, 1, 2, 0])
}

/// From the data to almost pure noise.
const KERNELS: [TransitionKernel; 4] = [
    TransitionKernel::IDENTITY,
    TransitionKernel { signal: 0.9, variance: 0.19 },
    TransitionKernel { signal: 0.5, variance: 0.75 },
    TransitionKernel { signal: 0.05, variance: 0.9975 },
];

fn points() -> Array2<f64> {
    standard_normal(12, 2, &mut rng(1))
}

/// ln p_t(y|x) by Bayes' rule, from the two densities.
fn log_label(data: &LabelledMixture, x: &Array2<f64>, label: usize, at: TransitionKernel) -> Array1<f64> {
    let (class, all) = (data.class(label).through(at), data.mixture().through(at));
    class.log_densities(x) + data.prior(label).ln() - all.log_densities(x)
}

/// The slope of f at each row, by central differences.
fn slopes(x: &Array2<f64>, f: impl Fn(&Array2<f64>) -> Array1<f64>) -> Array2<f64> {
    const STEP: f64 = 1e-5;
    let mut slopes = Array2::zeros(x.dim());
    for axis in 0..x.ncols() {
        let moved = |step: f64| {
            let mut moved = x.clone();
            moved.column_mut(axis).mapv_inplace(|x| x + step);
            f(&moved)
        };
        slopes.column_mut(axis).assign(&((moved(STEP) - moved(-STEP)) / (2.0 * STEP)));
    }
    slopes
}

#[test]
fn label_probabilities_are_bayes_rule_at_every_noise_level() {
    let data = lopsided();
    for at in KERNELS {
        let p = label_probabilities(&data, &points(), at);
        assert_eq!(p.dim(), (12, 3), "a column a label");
        for label in 0..3 {
            let expected = log_label(&data, &points(), label, at).exp();
            for (row, expected) in expected.iter().enumerate() {
                let what = format!("α = {}, point {row}: p(y = {label} | x)", at.signal);
                assert_close(&what, p[(row, label)], *expected, 1e-12);
            }
        }
    }
}

#[test]
fn label_probabilities_sum_to_one_and_forget_x_in_noise() {
    let data = lopsided();
    let noise = TransitionKernel { signal: 1e-6, variance: 1.0 };
    let p = label_probabilities(&data, &points(), noise);
    for (label, prior) in [0.3, 0.55, 0.15].into_iter().enumerate() {
        assert_close(&format!("prior of label {label}"), data.prior(label), prior, 1e-12);
        assert_close(&format!("p(y = {label} | noise)"), p[(3, label)], prior, 1e-5);
    }
    for at in KERNELS {
        for (row, p) in label_probabilities(&data, &points(), at).rows().into_iter().enumerate() {
            assert_close(&format!("α = {}: sum at point {row}", at.signal), p.sum(), 1.0, 1e-12);
        }
    }
}

#[test]
fn classifier_score_is_the_slope_of_the_log_probability() {
    let data = lopsided();
    for at in KERNELS {
        for label in 0..3 {
            let slope = classifier_score(&data, &points(), label, at);
            let expected = slopes(&points(), |x| log_label(&data, x, label, at));
            assert_all_close(&format!("α = {}: ∇ ln p(y = {label} | x)", at.signal), &slope, &expected, 1e-7);
        }
    }
}

#[test]
fn classifier_score_sums_to_zero_over_the_labels_with_their_probabilities() {
    // Σ_y p(y|x) ∇ ln p(y|x) = ∇ Σ_y p(y|x) = ∇ 1
    let data = lopsided();
    for at in KERNELS {
        let mut sum = Array2::zeros((12, 2));
        for label in 0..3 {
            let p = log_label(&data, &points(), label, at).exp().insert_axis(ndarray::Axis(1));
            sum += &(p * classifier_score(&data, &points(), label, at));
        }
        assert_all_close(&format!("α = {}", at.signal), &sum, &Array2::zeros((12, 2)), 1e-11);
    }
}

// ANCHOR: classifier_free_guidance_is_without_a_label_at_0_and_with_it_at_1
#[test]
fn classifier_free_guidance_is_without_a_label_at_0_and_with_it_at_1() {
    let (without, with) = (array![[1.0, -2.0]], array![[0.5, 3.0]]);
    let guided = |scale| classifier_free_guidance(&without, &with, scale);
    assert_all_close("w = 0: without the label", &guided(0.0), &without, 1e-15);
    assert_all_close("w = 1: with the label", &guided(1.0), &with, 1e-15);
    assert_all_close("w = 3: beyond the label", &guided(3.0), &array![[-0.5, 13.0]], 1e-12);
    assert_all_close("w = ½: between", &guided(0.5), &array![[0.75, 0.5]], 1e-12);
    assert_all_close("w = −1: away from the label", &guided(-1.0), &array![[1.5, -7.0]], 1e-12);
}
// ANCHOR_END: classifier_free_guidance_is_without_a_label_at_0_and_with_it_at_1

#[test]
fn classifier_free_guidance_of_exact_noise_is_classifier_guidance() {
    let (data, schedule) = (lopsided(), ScheduleName::Linear.schedule(100).unwrap());
    for (t, scale) in [(1, 3.0), (20, 1.5), (60, -1.0), (100, 8.0)] {
        let at = TransitionKernel::from_start(&schedule, t);
        let of = |mixture: &GaussianMixture| {
            ExactDenoiser::new(&schedule, mixture).predict(points().view(), t as f64).eps
        };
        let (without, with) = (of(data.mixture()), of(data.class(1)));
        let slope = slopes(&points(), |x| log_label(&data, x, 1, at)); // by differences, so 1e-7 of the slope
        let by_classifier = classifier_guidance(&without, &slope, at.variance, scale);
        let free = classifier_free_guidance(&without, &with, scale);
        assert_all_close(&format!("t = {t}, w = {scale}"), &free, &by_classifier, 1e-6 * scale.abs());
    }
}

#[test]
fn convert_scale_names_one_field_in_every_convention() {
    // ε, ε(y) and √(1 − ᾱ) ∇ ln p(y|x) = ε − ε(y), as Bayes' rule has it
    let (without, with) = (0.7, -0.4);
    let guided = |scale: f64, convention| match convention {
        Convention::Diffusers => without + scale * (with - without),
        Convention::Paper => (1.0 + scale) * with - scale * without,
        Convention::Classifier => without - scale * (without - with),
        Convention::ClassifierOnLabelled => with - scale * (without - with),
    };
    for scale in [-1.0, 0.0, 0.3, 1.0, 2.0, 7.5] {
        for from in Convention::ALL {
            for to in Convention::ALL {
                let converted = convert_scale(scale, from, to);
                let what = format!("{scale} of {from:?} is {converted} of {to:?}: the guided noise");
                assert_close(&what, guided(converted, to), guided(scale, from), 1e-12);
            }
        }
    }
}

#[test]
fn convert_scale_of_no_guidance() {
    use Convention::{Classifier, ClassifierOnLabelled, Diffusers, Paper};
    assert_eq!(convert_scale(0.0, Paper, Diffusers), 1.0, "the paper's 0 is with the label: diffusers' 1");
    assert_eq!(
        convert_scale(-1.0, Paper, Diffusers),
        0.0,
        "the paper's −1 is without the label: diffusers' 0"
    );
    assert_eq!(convert_scale(7.5, Diffusers, Paper), 6.5);
    assert_eq!(convert_scale(7.5, Diffusers, Classifier), 7.5);
    assert_eq!(convert_scale(7.5, Diffusers, ClassifierOnLabelled), 6.5);
}

// ANCHOR: drop_labels_drops_the_share_that_it_is_told_and_each_on_its_own
#[test]
fn drop_labels_drops_the_share_that_it_is_told_and_each_on_its_own() {
    let labels: Vec<usize> = (0..20_000).map(|i| i % 3).collect();
    let mut rng = rng(2);
    for share in [0.1, 0.5, 0.8] {
        let dropped = drop_labels(&labels, share, &mut rng);
        assert_eq!(dropped.len(), labels.len(), "as many as before");
        for (i, (label, kept)) in labels.iter().zip(&dropped).enumerate() {
            assert!(kept.is_none() || *kept == Some(*label), "label {i} was {label} and is {kept:?}");
        }
        let nulls: Vec<f64> = dropped.iter().map(|label| f64::from(u8::from(label.is_none()))).collect();
        let error = (share * (1.0 - share) / 20_000.0_f64).sqrt();
        let mean = nulls.iter().sum::<f64>() / 20_000.0;
        assert_close(&format!("share {share}: null labels"), mean, share, 5.0 * error);
        // neighbours are independent: the mean of the product of their deviations has the error p(1 − p)/√N
        let pairs = nulls.windows(2).map(|pair| (pair[0] - share) * (pair[1] - share));
        let covariance = pairs.sum::<f64>() / 19_999.0;
        let allowed = 5.0 * share * (1.0 - share) / 20_000.0_f64.sqrt();
        assert_close(&format!("share {share}: covariance of neighbours"), covariance, 0.0, allowed);
        let of_label = |wanted: usize| {
            let own = labels.iter().zip(&nulls).filter(|(label, _)| **label == wanted).map(|(_, null)| null);
            own.sum::<f64>() * 3.0 / 20_000.0
        };
        (0..3).for_each(|label| {
            assert_close(&format!("share {share} of label {label}"), of_label(label), share, 9.0 * error);
        });
    }
}
// ANCHOR_END: drop_labels_drops_the_share_that_it_is_told_and_each_on_its_own

#[test]
fn drop_labels_at_the_ends() {
    let mut rng = rng(3);
    assert_eq!(drop_labels(&[4, 0, 4], 0.0, &mut rng), [Some(4), Some(0), Some(4)], "share 0 drops nothing");
    assert_eq!(drop_labels(&[4, 0, 4], 1.0, &mut rng), [None; 3], "share 1 drops all");
}

#[test]
fn tilted_log_density_is_the_data_at_0_and_the_class_at_1() {
    let (data, x) = (lopsided(), points());
    let (all, class) = (data.mixture().log_densities(&x), data.class(1).log_densities(&x));
    for row in 0..12 {
        let at = |scale| tilted_log_density(&data, &x, 1, scale)[row];
        assert_close(&format!("point {row}, w = 0: ln p(x)"), at(0.0), all[row], 1e-12);
        let joint = class[row] + 0.55_f64.ln();
        assert_close(&format!("point {row}, w = 1: ln p(x|y) + ln p(y)"), at(1.0), joint, 1e-12);
        let log_label = joint - all[row];
        assert_close(&format!("point {row}, w = 4"), at(4.0), all[row] + 4.0 * log_label, 1e-11);
        assert_close(&format!("point {row}, w = −½"), at(-0.5), all[row] - 0.5 * log_label, 1e-12);
    }
}

#[test]
fn the_score_without_a_label_is_the_mean_of_those_with_one() {
    let data = lopsided();
    for at in KERNELS {
        let mut mean = Array2::zeros((12, 2));
        for label in 0..3 {
            let weight = log_label(&data, &points(), label, at).exp().insert_axis(ndarray::Axis(1));
            mean += &(weight * data.class(label).score(&points(), at));
        }
        assert_all_close(&format!("α = {}", at.signal), &mean, &data.mixture().score(&points(), at), 1e-10);
    }
}

#[test]
fn the_guided_score_is_the_slope_of_the_tilted_noised_density() {
    let data = lopsided();
    for at in KERNELS {
        for scale in [-1.0, 0.0, 1.0, 3.0] {
            let log_tilted = |x: &Array2<f64>| {
                data.mixture().through(at).log_densities(x) + scale * log_label(&data, x, 2, at)
            };
            let got = guided_score(&data, &points(), 2, scale, at);
            assert_all_close(
                &format!("α = {}, w = {scale}", at.signal),
                &got,
                &slopes(&points(), log_tilted),
                1e-6,
            );
        }
    }
}

#[test]
fn a_labelled_sample_has_the_priors_and_the_means_of_its_classes() {
    let (data, n) = (lopsided(), 20_000);
    let (x, labels) = data.sample(n, &mut rng(4));
    for label in 0..3 {
        let rows: Vec<usize> = (0..n).filter(|&i| labels[i] == label).collect();
        let prior = data.prior(label);
        let error = (prior * (1.0 - prior) / n as f64).sqrt();
        assert_close(&format!("share of label {label}"), rows.len() as f64 / n as f64, prior, 5.0 * error);
        let moments = Moments::of(&x.select(ndarray::Axis(0), &rows));
        for axis in 0..2 {
            let (mean, error) = (data.class(label).mean()[axis], moments.mean_error[axis]);
            assert_close(&format!("label {label}, mean {axis}"), moments.mean[axis], mean, 5.0 * error);
        }
    }
}

#[test]
fn both_guided_denoisers_predict_the_noise_of_the_guided_score() {
    let (data, schedule) = (lopsided(), ScheduleName::Cosine.schedule(50).unwrap());
    let [all, class] = [data.mixture(), data.class(0)].map(|mixture| ExactDenoiser::new(&schedule, mixture));
    for t in [1.0, 17.0, 30.5, 50.0] {
        let alpha_bar = schedule.alpha_bar_at(t);
        let at = TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar };
        for scale in [-1.0, 0.0, 1.0, 4.0] {
            let expected = guided_score(&data, &points(), 0, scale, at);
            let free = ClassifierFree::new(&schedule, &all, &class, scale).predict(points().view(), t).eps;
            let what = format!("t = {t}, w = {scale}");
            assert_all_close(
                &what,
                &score_from_eps(&free, at.variance),
                &expected,
                1e-8 * (1.0 + scale.abs()),
            );
            let denoiser =
                ClassifierGuided { schedule: &schedule, denoiser: &all, data: &data, label: 0, scale };
            let eps = denoiser.predict(points().view(), t).eps;
            assert_all_close(&what, &eps, &free, 1e-9 * (1.0 + scale.abs()));
            let denoiser = ClassifierGuided { denoiser: &class, scale: scale - 1.0, ..denoiser };
            let eps = denoiser.predict(points().view(), t).eps;
            assert_all_close(&format!("{what}, on the label"), &eps, &free, 1e-9 * (1.0 + scale.abs()));
        }
    }
}

#[test]
fn guidance_costs_a_second_call_only_where_there_is_some() {
    let (data, schedule) = (lopsided(), ScheduleName::Linear.schedule(100).unwrap());
    let exact = ExactDenoiser::new(&schedule, data.mixture());
    let [without, with] = [(); 2].map(|()| CallCounter::new(&exact));
    let (from, to) = (schedule.log_snr(60), schedule.log_snr(20));
    let interval = Interval { from, to };
    let guided = ClassifierFree { interval, ..ClassifierFree::new(&schedule, &without, &with, 3.0) };
    let steps = ancestral(&schedule, FixedVariance::Beta, None);
    sample(&steps, &guided, points(), &mut rng(5), |_, _| ());
    assert_eq!((with.calls(), without.calls()), (100, 40), "t = 60 … 21 are within");
    let labelled = ClassifierFree::new(&schedule, &without, &with, 1.0);
    sample(&steps, &labelled, points(), &mut rng(5), |_, _| ());
    assert_eq!((with.calls(), without.calls()), (200, 40), "w = 1 is one call");
    let unlabelled = ClassifierFree::new(&schedule, &without, &with, 0.0);
    sample(&steps, &unlabelled, points(), &mut rng(5), |_, _| ());
    assert_eq!((with.calls(), without.calls()), (200, 140), "w = 0 is one call");
}

#[test]
fn scale_within_is_the_label_alone_outside() {
    let interval = Interval { from: -1.0, to: 2.0 };
    let scales = [-1.1, -1.0, 0.0, 1.9, 2.0].map(|lambda| scale_within(5.0, interval, lambda));
    assert_eq!(scales, [1.0, 5.0, 5.0, 5.0, 1.0]);
    assert_eq!(scale_within(5.0, Interval::ALL, -1e9), 5.0);
    assert_eq!(scale_within(0.0, interval, 3.0), 1.0, "outside there is the label, whatever w");
}

const CLASS: GaussianClass = GaussianClass { variance: 1.0, class_mean: 0.9, class_variance: 0.25 };

/// The ends of both chains, extrapolated from T and 2 T steps: their errors are of order 1/T.
fn ends(class: GaussianClass, scale: f64) -> [(f64, f64); 2] {
    let moments = |steps: usize| {
        let schedule = Schedule::linear_scaled(steps).unwrap();
        let times = time_grid(steps, steps, Spacing::Trailing).unwrap();
        let chains = [ddim(&schedule, &times, 0.0, None), ancestral(&schedule, FixedVariance::Beta, None)];
        chains.map(|steps| class.drawn(&schedule, &steps, scale))
    };
    let (coarse, fine) = (moments(4000), moments(8000));
    [0, 1].map(|i| (2.0 * fine[i].0 - coarse[i].0, 2.0 * fine[i].1 - coarse[i].1))
}

#[test]
fn the_chains_of_a_gaussian_end_where_the_flow_and_the_sde_do() {
    let start = Schedule::linear_scaled(8000).unwrap().alpha_bar(8000);
    let end_of_s = ((1.0 - start) / start).sqrt(); // the chain begins here, and not at ∞
    let variances = [0.25, 0.7, 1.0];
    for class in variances.map(|class_variance| GaussianClass { class_variance, ..CLASS }) {
        for scale in [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0] {
            let [flow, sde] = ends(class, scale);
            let what = format!("v = {}, w = {scale}", class.class_variance);
            let (exact_flow, exact_sde) = (class.flow_moments(scale), class.sde_moments(scale));
            // the flow's mean keeps √variance/S of the w m that the noise is short of; the SDE forgets it
            let kept = exact_flow.1.sqrt() * scale * class.class_mean / end_of_s;
            let mean = exact_flow.0 - kept;
            assert_close(&format!("{what}: the flow's mean"), flow.0, mean, 1e-3 * (1.0 + mean.abs()));
            assert_relative(&format!("{what}: the flow's variance"), flow.1, exact_flow.1, 2e-3);
            assert_close(&format!("{what}: the SDE's mean"), sde.0, exact_sde.0, 1e-3 * (1.0 + sde.0.abs()));
            assert_relative(&format!("{what}: the SDE's variance"), sde.1, exact_sde.1, 2e-3);
        }
    }
}

#[test]
fn three_variances_of_one_scale() {
    // V = 1, v = ¼, w = 2: harmonic, geometric, and the SDE's between
    let tilted = CLASS.guided_moments(TransitionKernel::IDENTITY, 2.0).unwrap().1;
    assert_close("tilted", tilted, 1.0 / 7.0, 1e-12);
    assert_close("flow", CLASS.flow_moments(2.0).1, 1.0 / 16.0, 1e-12);
    assert_close("SDE", CLASS.sde_moments(2.0).1, (0.25 - 1.0 / 256.0) / 2.25, 1e-12);
    // w = ½, where the SDE's formula is a limit: V ρ ln(1/ρ)/(1 − ρ)
    assert_close("SDE, w = ½", CLASS.sde_moments(0.5).1, 0.25 * 4_f64.ln() / 0.75, 1e-12);
    assert_close("SDE, near w = ½", CLASS.sde_moments(0.5 + 1e-9).1, CLASS.sde_moments(0.5).1, 1e-8);
    assert_eq!(CLASS.guided_moments(TransitionKernel::IDENTITY, -1.0), None, "2/1 − 1/¼ < 0");
}

#[test]
fn the_tilted_gaussian_has_the_moments_of_its_density_on_a_grid() {
    let log_normal = |x: f64, mean: f64, variance: f64| -0.5 * (x - mean).powi(2) / variance;
    for scale in [0.5, 2.0, 3.0] {
        let [mass, first, second] =
            (-8000..=8000).map(|i| f64::from(i) / 1000.0).fold([0.0; 3], |sums, x| {
                let log = (1.0 - scale) * log_normal(x, 0.0, CLASS.variance)
                    + scale * log_normal(x, CLASS.class_mean, CLASS.class_variance);
                let p = log.exp();
                [sums[0] + p, sums[1] + p * x, sums[2] + p * x * x]
            });
        let (mean, variance) = (first / mass, second / mass - (first / mass).powi(2));
        let found = CLASS.guided_moments(TransitionKernel::IDENTITY, scale).unwrap();
        assert_close(&format!("w = {scale}: mean"), found.0, mean, 1e-9);
        assert_close(&format!("w = {scale}: variance"), found.1, variance, 1e-9);
    }
}

#[test]
fn three_answers_are_the_density_the_flow_and_the_sde() {
    for scale in [-1.0, 2.0] {
        let tilted = CLASS.guided_moments(TransitionKernel::IDENTITY, scale);
        assert_eq!(
            CLASS.answers(scale),
            [tilted, Some(CLASS.flow_moments(scale)), Some(CLASS.sde_moments(scale))],
            "w = {scale}"
        );
    }
    assert!(CLASS.answers(-1.0)[0].is_none() && CLASS.answers(2.0)[0].is_some());
}

#[test]
fn with_equal_variances_guidance_is_the_noising_of_the_tilted_density_and_else_is_not() {
    let same = GaussianClass { class_variance: 1.0, ..CLASS };
    for scale in [-1.0, 0.0, 0.5, 1.0, 2.0, 5.0] {
        for at in KERNELS {
            let what = format!("w = {scale}, α = {}", at.signal);
            let noised = |class: GaussianClass| {
                let (mean, variance) = class.guided_moments(TransitionKernel::IDENTITY, scale)?;
                Some((at.signal * mean, at.signal * at.signal * variance + at.variance))
            };
            let (guided, expected) = (same.guided_moments(at, scale).unwrap(), noised(same).unwrap());
            assert_close(&format!("{what}: mean"), guided.0, expected.0, 1e-12);
            assert_close(&format!("{what}: variance"), guided.1, expected.1, 1e-12);
            let (Some(guided), Some(expected)) = (CLASS.guided_moments(at, scale), noised(CLASS)) else {
                continue;
            };
            let equal = (guided.1 - expected.1).abs() < 1e-12;
            let trivial = scale == 0.0 || scale == 1.0 || at == TransitionKernel::IDENTITY;
            assert_eq!(equal, trivial, "{what}: variances {} and {}", guided.1, expected.1);
        }
        let tilted = same.guided_moments(TransitionKernel::IDENTITY, scale).unwrap();
        for (mean, variance) in [same.flow_moments(scale), same.sde_moments(scale)] {
            assert_close(&format!("w = {scale}: mean drawn"), mean, tilted.0, 1e-12);
            assert_close(&format!("w = {scale}: variance drawn"), variance, tilted.1, 1e-12);
        }
    }
}

/// E f under p_0(x) p_0(y|x)^w, by weighing a sample of the class with p(y|x)^(w − 1).
#[test]
fn the_tilted_grid_agrees_with_importance_weights() {
    let data = LabelledMixture::three_classes();
    let x = data.class(1).sample(40_000, &mut rng(6));
    let log_p = log_label(&data, &x, 1, TransitionKernel::IDENTITY);
    for scale in [0.5, 1.0, 2.0, 4.0] {
        let grid = TiltedGrid::new(&data, 1, scale, 6.0, 150);
        let weights = log_p.mapv(|log| ((scale - 1.0) * log).exp());
        let weights = &weights / weights.sum();
        let effective = 1.0 / weights.dot(&weights);
        let mean = weights.dot(&x);
        let variance = weights.dot(&(&x - &mean).mapv(|x| x * x));
        let nearest = data.mixture().nearest_means(&x);
        let outer: f64 = weights.iter().zip(&nearest).filter(|(_, k)| **k == 2).map(|(w, _)| w).sum();
        assert!(effective > 3000.0, "w = {scale}: {effective} effective points");
        for axis in 0..2 {
            let error = (variance[axis] / effective).sqrt();
            assert_close(&format!("w = {scale}, mean {axis}"), grid.mean()[axis], mean[axis], 5.0 * error);
            let error = 2.0 * variance[axis] / effective.sqrt();
            assert_close(
                &format!("w = {scale}, variance {axis}"),
                grid.variance()[axis],
                variance[axis],
                5.0 * error,
            );
        }
        let share = grid.mode_shares(&data)[2];
        assert_close(
            &format!("w = {scale}, outer mode"),
            share,
            outer,
            5.0 * (outer * (1.0 - outer) / effective).sqrt(),
        );
        let drawn = grid.sample(20_000, &mut rng(7));
        let moments = Moments::of(&drawn);
        for axis in 0..2 {
            let error = moments.mean_error[axis];
            assert_close(
                &format!("w = {scale}, drawn mean {axis}"),
                moments.mean[axis],
                grid.mean()[axis],
                5.0 * error,
            );
            let (own, error) = (moments.covariance[(axis, axis)], moments.covariance_error[(axis, axis)]);
            // a point that is uniform in a cell of width h adds h²/12
            let expected = grid.variance()[axis] + 0.08_f64.powi(2) / 12.0;
            assert_close(&format!("w = {scale}, drawn variance {axis}"), own, expected, 5.0 * error);
        }
        let share_drawn = mode_shares(&data, &drawn)[2];
        assert_close(
            &format!("w = {scale}, drawn outer mode"),
            share_drawn,
            share,
            5.0 * (0.25 / 20_000.0_f64).sqrt(),
        );
    }
}

#[test]
fn only_at_0_and_1_is_the_guided_score_that_of_the_noised_tilted_density() {
    let (data, x) = (LabelledMixture::three_classes(), points());
    let at = TransitionKernel { signal: 0.8, variance: 0.36 };
    for (scale, same) in [(0.0, true), (0.5, false), (1.0, true), (2.0, false), (3.0, false)] {
        let noised = TiltedGrid::new(&data, 0, scale, 6.0, 150).noised_score(&x, at);
        let guided = guided_score(&data, &x, 0, scale, at);
        let apart = largest_difference(&noised, &guided);
        assert!(if same { apart < 1e-5 } else { apart > 0.05 }, "w = {scale}: {apart:e} apart");
        let size = |x: Array2<f64>| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let expected = size(&guided - &noised) / size(noised);
        let grid = TiltedGrid::new(&data, 0, scale, 6.0, 150);
        assert_close(&format!("w = {scale}"), grid.field_error(&data, (0, scale), &x, at), expected, 1e-12);
    }
}

#[test]
fn the_tilted_density_s_own_denoiser_draws_it_and_guidance_does_not() {
    let (data, schedule) = (LabelledMixture::three_classes(), Schedule::linear_scaled(300).unwrap());
    let grid = TiltedGrid::new(&data, 0, 3.0, 6.0, 100);
    let steps = ddim(&schedule, &time_grid(300, 100, Spacing::Quadratic).unwrap(), 0.0, None);
    let x_t = standard_normal(1500, 2, &mut rng(8));
    let own = sample(&steps, &ExactDenoiser::new(&schedule, &grid), x_t.clone(), &mut rng(9), |_, _| ());
    let [all, class] = [data.mixture(), data.class(0)].map(|mixture| ExactDenoiser::new(&schedule, mixture));
    let guided =
        sample(&steps, &ClassifierFree::new(&schedule, &all, &class, 3.0), x_t, &mut rng(9), |_, _| ());
    let [own, guided] = [own, guided].map(|drawn| (Moments::of(&drawn), mode_shares(&data, &drawn)[0]));
    let share = grid.mode_shares(&data)[0];
    let error = (share * (1.0 - share) / 1500.0).sqrt();
    assert_close("share of the outer mode", own.1, share, 5.0 * error + 0.02);
    assert!(
        guided.1 > own.1 + 0.1,
        "guidance: {} of the points in the outer mode, the tilted density has {share}",
        guided.1
    );
    let (mean, error) = (own.0.mean[1], own.0.mean_error[1]);
    assert_close("mean", mean, grid.mean()[1], 5.0 * error + 0.02);
}

#[test]
fn a_grid_draws_all_over_its_cells() {
    // cells of width 1, so that a sample that leaves its cell to one side moves the mean by a half
    let grid = TiltedGrid::new(&LabelledMixture::three_classes(), 0, 1.0, 6.0, 12);
    let drawn = grid.sample(4000, &mut rng(41));
    for axis in 0..2 {
        let (mean, error) = (grid.mean()[axis], 5.0 * ((grid.variance()[axis] + 1.0 / 12.0) / 4000.0).sqrt());
        assert_close("mean", drawn.column(axis).mean().unwrap(), mean, error);
    }
    let places = drawn.mapv(|x| x - x.floor());
    assert!(
        places.iter().any(|x| *x < 0.02) && places.iter().any(|x| *x > 0.98),
        "the edges of the cells, too"
    );
}

#[test]
fn the_posterior_mean_of_a_grid_is_that_of_its_class_at_1() {
    let data = LabelledMixture::three_classes();
    let grid = TiltedGrid::new(&data, 2, 1.0, 6.0, 150);
    for at in &KERNELS[1..] {
        for x in points().rows() {
            let (got, expected) = (
                PosteriorMean::posterior_mean(&grid, x, at.signal, at.variance),
                data.class(2).posterior_mean(x, at.signal, at.variance),
            );
            for axis in 0..2 {
                assert_close(&format!("α = {}, {x}", at.signal), got[axis], expected[axis], 1e-5);
            }
        }
    }
}

#[test]
fn three_classes_are_standardized_and_alike() {
    let data = LabelledMixture::three_classes();
    for axis in 0..2 {
        assert_close("mean", data.mixture().mean()[axis], 0.0, 1e-12);
        assert_close("variance", data.mixture().variance()[axis], 1.0, 1e-12);
    }
    let norm = |label: usize| data.class(label).mean().dot(&data.class(label).mean()).sqrt();
    assert_eq!(data.count(), 3);
    (0..3).for_each(|label| {
        assert_close("prior", data.prior(label), 1.0 / 3.0, 1e-12);
        assert_close("distance from the middle", norm(label), norm(0), 1e-12);
    });
    assert!(data.class(0).mean()[0].abs() < 1e-12 && data.class(0).mean()[1] > 0.0, "class 0 lies along y");
}

fn of_step(schedule: &Schedule, t: f64) -> Level {
    let alpha_bar = schedule.alpha_bar_at(t);
    Level::new(TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar }, t, Target::EPS)
}

/// The first loss, point by point, with each point's label.
#[test]
fn training_with_labels_counts_the_error_at_each_label() {
    let (x_0, eps) =
        (array![[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]], array![[0.1, 0.2], [-1.0, 2.0], [0.0, 1.5]]);
    let schedule = Schedule::linear_scaled(100).unwrap();
    let (levels, labels) = ([1.0, 30.0, 90.0].map(|t| of_step(&schedule, t)), [Some(1), None, Some(0)]);
    let mut learner = Regression::<f64>::labelled(&TrainConfig::default(), 2, &mut rng(10)).unwrap();
    let network: Mlp<f64> = learner.network().clone();
    let mut expected = 0.0;
    for n in 0..3 {
        let at = levels[n].at;
        let x =
            Array2::from_shape_fn((1, 2), |(_, d)| at.signal * x_0[(n, d)] + at.deviation() * eps[(n, d)]);
        let output = network.forward_labelled(x.view(), &[levels[n].time], &labels[n..=n]);
        assert_eq!(output, predict_labelled(&network, &levels[n], x.view(), &labels[n..=n]));
        expected += (0..2).map(|d| (eps[(n, d)] - output[(0, d)]).powi(2)).sum::<f64>() / 6.0;
        let same = predict(&network, &levels[n], x.view()) == output;
        assert_eq!(same, labels[n].is_none(), "without labels the network sees the null label");
    }
    let report = learner.step(Examples { x_0: &x_0, eps: &eps, levels: &levels, labels: &labels });
    assert_relative("loss", report.loss, expected, 1e-12);
}

/// Only the rows of labels that were seen learn; AdamW's decay alone moves the others.
#[test]
fn a_label_that_is_never_seen_learns_nothing() {
    let (data, schedule) = (LabelledMixture::three_classes(), Schedule::linear_scaled(100).unwrap());
    let config = TrainConfig { steps: 30, batch: 32, ..TrainConfig::default() };
    let trained = |share: f64| {
        let learner = Regression::<f64>::labelled(&config, 3, &mut rng(11)).unwrap();
        let before = learner.network().tensor("label.weight").unwrap().to_owned();
        let draw = |batch, rng: &mut StdRng| {
            let (x_0, labels) = data.sample(batch, rng);
            (x_0, drop_labels(&labels, share, rng))
        };
        let levels = |batch, rng: &mut StdRng| {
            (0..batch).map(|_| of_step(&schedule, rng.random_range(1..=100) as f64)).collect()
        };
        let average = learner.run_labelled(&mut rng(12), draw, levels, |_| ()).unwrap();
        let after = average.tensor("label.weight").unwrap().to_owned();
        let moved = (&after / &before).mapv(|ratio| (ratio - 1.0).abs());
        moved.rows().into_iter().map(|row| row.iter().copied().fold(0.0, f64::max)).collect::<Vec<f64>>()
    };
    let (never, always) = (trained(0.0), trained(1.0));
    assert!(never[3] < 1e-3 && never[..3].iter().all(|moved| *moved > 0.01), "dropout 0: {never:?}");
    assert!(always[3] > 0.01 && always[..3].iter().all(|moved| *moved < 1e-3), "dropout 1: {always:?}");
}

#[test]
fn a_labelled_denoiser_is_its_network_with_that_label() {
    let schedule = Schedule::linear_scaled(100).unwrap();
    let network =
        Regression::<f64>::labelled(&TrainConfig::default(), 3, &mut rng(13)).unwrap().network().clone();
    let of = LevelDenoiser { schedule: &schedule, network: &network, level: |t| of_step(&schedule, t) };
    for label in [Some(0), Some(2), None] {
        let eps = LabelledDenoiser { of, label }.predict(points().view(), 40.0).eps;
        let expected = network.forward_labelled(points().view(), &[40.0; 12], &[label; 12]);
        assert_all_close(&format!("{label:?}"), &eps, &expected, 1e-12);
    }
    let null = LabelledDenoiser { of, label: None }.predict(points().view(), 40.0).eps;
    assert_eq!(of.predict(points().view(), 40.0).eps, null);
}

#[test]
fn the_excess_loss_is_a_difference_of_losses() {
    let (data, schedule) = (lopsided(), Schedule::linear_scaled(100).unwrap());
    let [all, class] = [data.mixture(), data.class(1)].map(|mixture| ExactDenoiser::new(&schedule, mixture));
    let (t, n) = (40, 20_000);
    let x_0 = data.class(1).sample(n, &mut rng(14));
    let eps = standard_normal(n, 2, &mut rng(15));
    let x_t = ddpm::forward::diffuse(&x_0, schedule.alpha_bar(t), &eps);
    let loss = |denoiser: &ExactDenoiser<GaussianMixture>| {
        let errors = (denoiser.predict(x_t.view(), t as f64).eps - &eps).mapv(|e| e * e);
        errors.sum_axis(ndarray::Axis(1)) / 2.0 // (N)
    };
    let difference = loss(&all) - loss(&class);
    let error = ddpm::metrics::standard_error(difference.view());
    let excess = excess_loss(&schedule, &all, &class, &x_0, &[t], &mut rng(16));
    assert!(excess > 0.01, "{excess}");
    assert_close("E‖ε − ε_1‖² − E‖ε − ε_2‖²", excess, difference.mean().unwrap(), 7.0 * error);
    let both = excess_loss(&schedule, &all, &class, &x_0, &[t, t], &mut rng(17));
    assert_relative("a mean over the times", both, excess, 0.1);
    assert_eq!(excess_loss(&schedule, &all, &all, &x_0, &[t, 1], &mut rng(18)), 0.0);
}

#[test]
fn a_mixture_with_one_label_has_nothing_to_guide() {
    let data = LabelledMixture::new(lopsided().mixture().clone(), vec![0; 5]);
    let slope = classifier_score(&data, &points(), 0, KERNELS[1]);
    assert!(slope.iter().all(|slope| slope.abs() < 1e-12), "{slope}");
    assert_eq!(data.prior(0), 1.0);
    assert_all_close(
        "score",
        &mixture_score(data.class(0), &points()),
        &mixture_score(data.mixture(), &points()),
        1e-12,
    );
}

#[test]
fn conventions_agree_for_exact_scores() {
    let (data, schedule) = (lopsided(), ScheduleName::Linear.schedule(100).unwrap());
    let errors = [(-1.0, 1), (0.0, 30), (7.5, 100)].map(|(scale, t)| {
        let error = convention_error(&schedule, &data, 2, scale, &points(), t);
        assert!((0.0..1e-9).contains(&error), "w = {scale}, t = {t}: {error:e}");
        error
    });
    assert!(errors.iter().any(|error| *error > 0.0), "two conventions round differently: {errors:?}");
}

#[test]
fn all_scores_come_in_their_order() {
    let scores =
        Scores { mean: 0.5, variance: 2.5, outer: 0.25, precision: 0.75, recall: 0.125, coverage: 0.625 };
    assert_eq!(scores.all(), [0.5, 2.5, 0.25, 0.75, 0.125, 0.625]);
}

#[test]
fn an_experiment_scores_its_own_class_as_the_class() {
    let world = Experiment::new(60, 400).unwrap();
    let class = world.class().sample(400, &mut rng(20));
    let scores = world.scores(&class, &mut rng(21));
    assert!(scores.precision > 0.9 && scores.recall > 0.9 && scores.coverage > 0.9, "{scores:?}");
    assert_close("outer mode", scores.outer, 0.5, 0.13); // five standard errors
    assert_close("mean", scores.mean, world.class().mean()[1], 5.0 * (scores.variance / 400.0).sqrt());
    assert_relative("variance", scores.variance, world.class().variance()[1], 0.2);
    let distance = world.distance(&class, &mut rng(22));
    assert!((0.3..2.5).contains(&distance), "{distance} floors");
    let [all, moved] = [world.data.mixture().sample(400, &mut rng(23)), &class + 1.0];
    for (name, points) in [("all data", &all), ("a class that is moved", &moved)] {
        let (scores, distance) = (world.scores(points, &mut rng(24)), world.distance(points, &mut rng(25)));
        assert!(scores.precision < 0.6 && distance > 5.0, "{name}: {scores:?}, {distance} floors");
    }
    let recall = world.scores(&class.slice(ndarray::s![..100, ..]).mapv(|x| x * 0.1), &mut rng(26)).recall;
    assert!(recall < 0.3, "points near the middle: recall {recall}");
    // one stray point beside a point mass: its ball holds all of the class
    let stray =
        Array2::from_shape_fn((100, 2), |(row, _)| if row == 0 { 4.0 } else { 0.001 * row as f64 - 4.0 });
    let of_stray = world.scores(&stray, &mut rng(33));
    assert!(of_stray.recall > 0.9 && of_stray.coverage == 0.0, "{of_stray:?}");
}

#[test]
fn three_ways_are_the_class_at_1_and_all_data_at_0() {
    let world = Experiment::new(150, 600).unwrap();
    for (scale, density) in [(0.0, world.data.mixture()), (1.0, world.class())] {
        for (way, points) in world.three_ways(scale, &mut rng(27)).iter().enumerate() {
            let moments = Moments::of(points);
            for axis in 0..2 {
                let error = moments.mean_error[axis];
                assert_close(
                    &format!("w = {scale}, way {way}: mean"),
                    moments.mean[axis],
                    density.mean()[axis],
                    5.0 * error + 0.03,
                );
            }
        }
    }
}

#[test]
fn a_trained_network_draws_its_label_and_the_scores_see_it() {
    let world = Experiment::new(50, 300).unwrap();
    let config = TrainConfig { steps: 250, batch: 64, ..TrainConfig::default() };
    let fresh = Regression::<f32>::labelled(&config, 3, &mut rng(28)).unwrap().network().clone();
    let trained = world.train(&config, 0.2, &mut rng(28), |_| ()).unwrap();
    let exact = [1.0, 0.0, 2.0].map(|scale| world.exact_sample(scale, &mut rng(30)));
    let [before, after] =
        [&fresh, &trained].map(|network| world.network_scores(network, &exact, &mut rng(29)));
    assert!(after.with_label < 0.3 * before.with_label, "{before:?} {after:?}");
    assert!(after.without_label < 0.3 * before.without_label, "{before:?} {after:?}");
    assert!((0..3).all(|i| after.draws[i].1 > 0.3), "below the floor: {after:?}");
    // guidance, the third, multiplies what so short a training leaves of the error
    assert!((0..2).all(|i| after.draws[i].1 < before.draws[i].1), "{before:?} {after:?}");
}

#[test]
fn bayes_errors_are_small_and_know_what_the_noise_leaves_of_a_label() {
    let data = lopsided();
    let (x_0, labels) = data.sample(400, &mut rng(31));
    for at in KERNELS {
        let noise = standard_normal(400, 2, &mut rng(32));
        let x_t = at.signal * &x_0 + at.deviation() * &noise;
        let found = bayes_errors(&data, &x_t, &labels, at);
        assert!(found.probability < 1e-12 && found.slope < 1e-6 && found.mean < 1e-11, "{at:?}: {found:?}");
        let own = |row: usize| log_label(&data, &x_t, labels[row], at)[row].exp();
        let certainty = (0..400).map(own).sum::<f64>() / 400.0;
        assert_close(&format!("α = {}: certainty", at.signal), found.certainty, certainty, 1e-12);
    }
    // errors are relative: in a unit of length a hundred times smaller scores are a hundred times larger
    let data = lopsided_times(0.01);
    let (x_0, labels) = data.sample(400, &mut rng(31));
    let found = bayes_errors(&data, &x_0, &labels, TransitionKernel::IDENTITY);
    assert!(found.slope < 1e-5 && found.mean < 1e-13, "{found:?}");
}
