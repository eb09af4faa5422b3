//! ch11_bugs: the detectors, on right and on wrong code.

mod common;

use common::{assert_close, rng};
use ddpm::{
    bugs::{
        StepAudit, Variant, first_bad_beta, normality_scores, points, reseed_change, schedules,
        standard_errors_off, step_audit, steps, unmoved_parameters,
    },
    denoiser::{ExactDenoiser, GaussianData},
    forward::standard_normal,
    sampler::sample,
    schedule::{Schedule, ScheduleName},
};
use ndarray::{Array1, Array2, array};
use std::cell::RefCell;

#[test]
fn first_bad_beta_is_the_first_t_outside_of_0_and_1() {
    assert_eq!(first_bad_beta(&[0.0, 0.1, 0.2, 0.999]), None, "β = 0.1, 0.2, 0.999");
    for (bad, what) in [(0.0, "0"), (1.0, "1"), (-0.1, "below 0"), (1.5, "above 1"), (f64::NAN, "NaN")] {
        assert_eq!(first_bad_beta(&[0.0, 0.1, bad, 0.3]), Some(2), "β_2 is {what}");
        assert_eq!(first_bad_beta(&[0.0, bad, 0.2, bad]), Some(1), "β_1 and β_3 are {what}");
        assert_eq!(first_bad_beta(&[0.0, 0.1, 0.2, bad]), Some(3), "β_T is {what}");
    }
    assert_eq!(first_bad_beta(&[0.7, 0.1]), None, "β_0 is not asked");
}

#[test]
fn first_bad_beta_rings_at_three_schedules_of_public_code() {
    for name in ScheduleName::ALL {
        let schedule = name.schedule(1000).unwrap();
        let betas: Vec<f64> = (0..=1000).map(|t| schedule.beta(t)).collect();
        assert_eq!(first_bad_beta(&betas), None, "{name}");
    }
    let divided = schedules::cosine_betas(1000, Variant::Wrong).to_vec();
    assert_eq!(first_bad_beta(&divided), Some(1), "B5: t/T divided as integers");
    let scaled = schedules::scaled_betas(10, Variant::Wrong).unwrap().to_vec();
    assert_eq!(first_bad_beta(&scaled), Some(6), "B11: β scaled by 1000/T at T = 10");
    let bars = schedules::cosine_alpha_bars(1000, Variant::Wrong);
    let uncapped: Vec<f64> =
        (0..=1000).map(|t| if t == 0 { 0.0 } else { 1.0 - bars[t] / bars[t - 1] }).collect();
    assert_eq!(first_bad_beta(&uncapped), Some(1000), "B12: the cosine without its cap");
}

#[test]
fn normality_scores_are_moments_over_their_standard_errors() {
    // ±1 and ±3: mean 0, variance 5, excess kurtosis (1 + 81)/2/25 − 3 = −1.36
    let [mean, variance, kurtosis] = normality_scores(array![-3.0, -1.0, 1.0, 3.0].view());
    assert_close("−3, −1, 1, 3: the mean’s score", mean, 0.0, 1e-15);
    assert_close("−3, −1, 1, 3: the variance’s", variance, 4.0 * 2f64.sqrt(), 1e-12);
    assert_close("−3, −1, 1, 3: the kurtosis’s", kurtosis, -1.36 / 6f64.sqrt(), 1e-12);
    let [mean, variance, kurtosis] = normality_scores(array![-2.0, 0.0, 2.0, 4.0].view());
    assert_close("−2, 0, 2, 4: the mean’s score", mean, 2.0, 1e-12);
    assert_close("−2, 0, 2, 4: the variance’s", variance, 4.0 * 2f64.sqrt(), 1e-12);
    assert_close("−2, 0, 2, 4: the kurtosis’s", kurtosis, -1.36 / 6f64.sqrt(), 1e-12);
}

#[test]
fn normality_scores_of_normal_noise_are_standard_normal_themselves() {
    // 400 draws of 1000: the mean square of a score is 1, with a standard error of about √(2/400) = 0.07; the kurtosis
    // of 1000 values is a little skewed, so its mean square scatters more
    let mut generator = rng(1);
    let scores: Vec<[f64; 3]> = (0..400)
        .map(|_| normality_scores(standard_normal::<f64>(1000, 1, &mut generator).column(0)))
        .collect();
    for (i, name) in ["mean", "variance", "kurtosis"].into_iter().enumerate() {
        let mean_square = scores.iter().map(|score| score[i].powi(2)).sum::<f64>() / 400.0;
        assert_close(&format!("mean square of the {name}’s score"), mean_square, 1.0, 0.4);
    }
}

#[test]
fn normality_scores_ring_at_uniform_noise() {
    let noise = points::noise(10_000, 1, Variant::Wrong, &mut rng(2));
    // √N/2, (1/12 − 1) √(N/2), −1.2 √(N/24); each scatters by less than 1
    for (score, expected) in normality_scores(noise.column(0)).into_iter().zip([50.0, -64.8, -24.5]) {
        assert_close("a score of uniform noise", score, expected, 2.0);
    }
    // centred and scaled to variance 1, it is the kurtosis alone that tells
    let centred = noise.mapv(|x| (x - 0.5) * 12f64.sqrt());
    let [mean, variance, kurtosis] = normality_scores(centred.column(0));
    assert!(mean.abs() < 4.0 && variance.abs() < 4.0, "mean {mean}, variance {variance}");
    assert!(kurtosis < -20.0, "kurtosis {kurtosis}");
}

#[test]
fn standard_errors_off_is_a_distance_in_standard_errors() {
    // mean 3, s² = (4 + 0 + 4)/2 = 4, standard error √(4/3)
    let draws = array![1.0, 3.0, 5.0];
    for (predicted, expected) in [(3.0, 0.0), (4.0, 0.75f64.sqrt()), (1.0, 3f64.sqrt())] {
        let got = standard_errors_off(predicted, draws.view());
        assert_close(&format!("{predicted} beside the draws 1, 3, 5"), got, expected, 1e-12);
    }
    let still = Array1::from_elem(10, 0.7);
    assert_eq!(standard_errors_off(0.7, still.view()), 0.0, "draws that do not scatter, and agree");
    assert_eq!(
        standard_errors_off(0.8, still.view()),
        f64::INFINITY,
        "draws that do not scatter, and do not agree"
    );
}

#[test]
fn standard_errors_off_does_not_ring_for_a_right_formula() {
    // E[z²] = 1; 200 times 500 draws: beyond 4 standard errors about once in 16,000, and z² is skewed to the right
    let mut generator = rng(3);
    let off: Vec<f64> = (0..200)
        .map(|_| {
            let squares = standard_normal::<f64>(500, 1, &mut generator).column(0).mapv(|z| z * z);
            standard_errors_off(1.0, squares.view())
        })
        .collect();
    for (draw, &off) in off.iter().enumerate() {
        assert!((0.0..5.0).contains(&off), "E[z²] = 1, draw {draw}: {off} standard errors off");
    }
    let mean_square = off.iter().map(|off| off * off).sum::<f64>() / 200.0;
    assert_close("mean square of the distance", mean_square, 1.0, 0.4);
}

#[test]
fn unmoved_parameters_counts_what_stood_still() {
    let before = [0.0, 0.5, -1.0, 2.0, 3.0];
    assert_eq!(unmoved_parameters(&before, &before), 5, "nothing moved");
    assert_eq!(unmoved_parameters(&before, &[0.1, 0.6, -0.9, 2.1, 3.1]), 0, "everything moved");
    assert_eq!(
        unmoved_parameters(&before, &[0.0, 0.6, -1.0, 2.1, 3.0]),
        3,
        "the second and the fourth moved"
    );
    assert_eq!(unmoved_parameters(&before, &[1e-12, 0.5, -1.0, 2.0, 3.0]), 4, "the first moved by 10⁻¹²");
    assert_eq!(unmoved_parameters(&[1.0, 2.0], &[2.0, 1.0]), 0, "two that changed places moved");
    assert_eq!(unmoved_parameters(&[1f32], &[f32::NAN]), 0, "NaN is not what it was");
}

#[test]
#[should_panic(expected = "a step changes no number of parameters")]
fn unmoved_parameters_wants_as_many_after_as_before() {
    unmoved_parameters(&[1.0, 2.0], &[1.0]);
}

fn audit(untrained: &[usize], uncalled: &[usize], repeated: &[usize]) -> StepAudit {
    StepAudit { untrained: untrained.to_vec(), uncalled: uncalled.to_vec(), repeated: repeated.to_vec() }
}

#[test]
fn step_audit_finds_nothing_where_both_agree() {
    assert_eq!(
        step_audit(4, &[2, 4, 1, 3, 3, 1], &[4, 3, 2, 1]),
        StepAudit::default(),
        "T = 4, all trained and asked"
    );
    let trained: Vec<usize> = (0..2000).map(|_| steps::draw_time(20, Variant::Right, &mut rng(4))).collect();
    let all: Vec<usize> = trained.into_iter().chain(1..=20).collect();
    assert_eq!(
        step_audit(20, &all, &steps::sampled_times(20, Variant::Right)),
        StepAudit::default(),
        "T = 20"
    );
}

#[test]
fn step_audit_names_each_step_that_is_amiss() {
    assert_eq!(step_audit(4, &[1, 2, 3], &[4, 3, 2, 1]), audit(&[4], &[], &[]), "T = 4 was never trained");
    assert_eq!(step_audit(4, &[1, 2, 3, 4], &[4, 3, 2]), audit(&[], &[1], &[]), "t = 1 is never asked");
    assert_eq!(step_audit(4, &[1, 2, 3, 4], &[]), audit(&[], &[1, 2, 3, 4], &[]), "an empty loop");
    assert_eq!(
        step_audit(3, &[1, 2, 3], &[2, 2, 3, 1, 2, 3]),
        audit(&[], &[], &[2, 3]),
        "t = 2 three times, 3 twice"
    );
    assert_eq!(
        step_audit(3, &[0, 1, 2], &[3, 2, 1]),
        audit(&[3], &[], &[]),
        "trained from 0, sampled from T"
    );
    assert_eq!(
        step_audit(3, &[1, 2, 3], &[2, 1, 0]),
        audit(&[0], &[3], &[]),
        "trained from 1, sampled from T − 1"
    );
    assert_eq!(
        step_audit(3, &[1, 2, 3], &[4, 3, 2, 1]),
        audit(&[4], &[], &[]),
        "asked beyond T, where nobody trained"
    );
    assert_eq!(step_audit(3, &[1], &[3, 2, 3]), audit(&[2, 3], &[1], &[3]), "all three at once");
}

#[test]
fn step_audit_rings_at_both_off_by_ones() {
    let mut generator = rng(5);
    let trained: Vec<usize> =
        (0..2000).map(|_| steps::draw_time(20, Variant::Wrong, &mut generator)).collect();
    let called = steps::sampled_times(20, Variant::Wrong);
    assert_eq!(step_audit(20, &trained, &called), audit(&[20], &[1], &[]), "B8");
    let called = steps::loop_times(20, Variant::Wrong);
    assert_eq!(step_audit(20, &trained, &called).uncalled.len(), 20, "B9");
}

#[test]
fn reseed_change_is_the_largest_difference_between_two_seeds() {
    let still = array![[1.0, -2.0], [3.0, 4.0]];
    assert_eq!(reseed_change(|_| still.clone()), 0.0, "a run that no seed changes");
    let shift = |seed: u64| (0.7 * seed as f64).sin();
    for (other, what) in [(0.0, "one coordinate moves"), (-1.0, "two move, by opposite amounts")] {
        for sign in [1.0, -1.0] {
            let seeds = RefCell::new(Vec::new());
            let change = reseed_change(|seed| {
                seeds.borrow_mut().push(seed);
                let shift = sign * shift(seed);
                array![[1.0, -2.0], [3.0 + other * shift, 4.0 + shift]]
            });
            let seeds = seeds.into_inner();
            let expected =
                seeds.iter().map(|&seed| (shift(seed) - shift(seeds[0])).abs()).fold(0.0, f64::max);
            assert!(expected > 0.0, "the seeds {seeds:?} are all the same");
            assert_close(&format!("{what}, seeds {seeds:?}"), change, expected, 1e-12);
        }
    }
    let broken = reseed_change(|seed| array![[f64::NAN, 1.0], [seed as f64, 0.0]]);
    assert!(broken.is_nan(), "a run with a coordinate that is no number: {broken}");
}

#[test]
fn reseed_change_rings_at_noise_in_the_last_step() {
    let schedule = Schedule::linear(50, 1e-3, 0.2).unwrap();
    let data = GaussianData { mean: array![0.5, -0.5], variance: 0.1 };
    let x_1: Array2<f64> = standard_normal(50, 2, &mut rng(6));
    let last = |code| steps::with_noise(&schedule, |t| steps::noise_factor(&schedule, t, code))[49];
    let change = |code| {
        reseed_change(|seed| {
            let denoiser = ExactDenoiser::new(&schedule, &data);
            sample(&[last(code)], &denoiser, x_1.clone(), &mut rng(seed), |_, _| ())
        })
    };
    assert_eq!(change(Variant::Right), 0.0, "Algorithm 2");
    // the largest of 100 differences of two normals of variance β_1 = 10⁻³: about 2.5 · √2 · 0.032
    let wrong = change(Variant::Wrong);
    assert!((0.06..0.25).contains(&wrong), "B7: {wrong}");
}
