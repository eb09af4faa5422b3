//! ch01_forward: schedules, the chain against the closed form, merged Gaussians.

mod common;

use common::{assert_close, assert_relative, rng};
use ddpm::{
    Error,
    forward::{
        TransitionKernel, chain, chain_with_noise, compose, diffuse, diffuse_each, forward_step,
        moments_after, standard_normal,
    },
    metrics::{Moments, excess_kurtosis, partial_correlation},
    schedule::{Schedule, ScheduleName, alpha_bars, cosine_betas, linear_betas, quad_betas, sigmoid_betas},
};
use ndarray::{Array1, Array2, array};
use ndarray_rand::RandomExt;
use rand_distr::Uniform;

/// ∏ (1 − β_s) over s ≤ t, one factor at a time.
fn left_over(betas: &Array1<f64>, t: usize) -> f64 {
    betas.iter().take(t + 1).map(|beta| 1.0 - beta).product()
}

#[test]
fn linear_schedule_gives_the_paper_s_numbers() {
    let betas = linear_betas(1000, 1e-4, 0.02);
    assert_eq!(betas.len(), 1001, "T + 1 entries");
    assert_eq!(betas[0], 0.0, "β_0");
    assert_relative("β_1", betas[1], 1e-4, 1e-12);
    assert_relative("β_1000", betas[1000], 0.02, 1e-12);
    // equal steps: the middle of an arithmetic sequence is the mean of its ends
    assert_relative("β_500 + β_501", betas[500] + betas[501], 0.0201, 1e-12);

    // A second route to ᾱ_T: Σ ln(1 − β) by its power series −Σ_k β^k/k, which never forms a product. With β_T = 0.02,
    // 12 terms leave less than 0.02¹³.
    let log_product: f64 =
        -(1..=12).map(|k| betas.iter().map(|b| b.powi(k)).sum::<f64>() / f64::from(k)).sum::<f64>();
    let alpha_bar = alpha_bars(&betas)[1000];
    assert_relative("ᾱ_1000", alpha_bar, log_product.exp(), 1e-12);
    // Ho et al. 2020, §4, to the digits of a double: √ᾱ_T = 0.0063528, 1 − ᾱ_T = 0.9999596 (7 decimals are given)
    assert_close("√ᾱ_1000", alpha_bar.sqrt(), 0.006_352_8, 0.5e-7);
    assert_close("1 − ᾱ_1000", 1.0 - alpha_bar, 0.999_959_6, 0.5e-7);
}

// ANCHOR: beta_1_of_a_tenth_does_not_give_the_paper_s_numbers
#[test]
fn beta_1_of_a_tenth_does_not_give_the_paper_s_numbers() {
    // The study notes quote β_1 = 10⁻¹. Then the signal is gone to 3·10⁻¹⁴, not to .00635.
    let alpha_bar = alpha_bars(&linear_betas(1000, 1e-1, 0.02))[1000];
    assert!((2e-14..4e-14).contains(&alpha_bar.sqrt()), "√ᾱ_T = {:e}", alpha_bar.sqrt());
}
// ANCHOR_END: beta_1_of_a_tenth_does_not_give_the_paper_s_numbers

#[test]
fn sigmoid_schedule_follows_the_logistic_curve() {
    let betas = sigmoid_betas(1000, 1e-4, 0.02);
    assert_close("β_1", betas[1], 1.492e-4, 0.5e-7);
    // σ(z) = ½ (1 + tanh(z/2)), another formula for the same curve; and σ(z) + σ(−z) = 1
    for t in [1, 2, 250, 500, 999, 1000] {
        let z = -6.0 + 12.0 * (t as f64 - 1.0) / 999.0;
        let expected = 1e-4 + 0.0199 * 0.5 * (1.0 + (z / 2.0).tanh());
        assert_relative(&format!("β_{t}"), betas[t], expected, 1e-12);
        assert_relative("β_t + β_{T+1−t}", betas[t] + betas[1001 - t], 0.0201, 1e-12);
    }
}

// ANCHOR: quad_betas_are_linear_in_the_root
#[test]
fn quad_betas_are_linear_in_the_root() {
    let betas = quad_betas(1000, 1e-4, 0.02);
    assert_relative("from 1e-4 to 0.02, T = 1000: β_1", betas[1], 1e-4, 1e-12);
    assert_relative("from 1e-4 to 0.02, T = 1000: β_T", betas[1000], 0.02, 1e-12);
    // second differences of a parabola are constant: 2 ((√β_T − √β_1)/999)²
    let second = 2.0 * ((0.02f64.sqrt() - 0.01) / 999.0).powi(2);
    for t in 2..1000 {
        let difference = betas[t - 1] - 2.0 * betas[t] + betas[t + 1];
        // three values of up to 0.02 with 2⁻⁵³ each leave 1e-17
        assert_close(&format!("t = {t}: β_{{t−1}} − 2 β_t + β_{{t+1}}"), difference, second, 2e-17);
    }
    // squared at the ends, as one notebook does, almost no noise is added
    let wrong = left_over(&linear_betas(1000, 1e-8, 4e-4).mapv(|b| b * b), 1000);
    assert!(wrong > 0.9999, "ᾱ_T = {wrong}");
    assert!(left_over(&betas, 1000) < 2e-3);
}
// ANCHOR_END: quad_betas_are_linear_in_the_root

// ANCHOR: cosine_betas_have_a_cosine_for_alpha_bar
#[test]
fn cosine_betas_have_a_cosine_for_alpha_bar() {
    let betas = cosine_betas(1000, 0.008, 0.999);
    assert_eq!((betas.len(), betas[0]), (1001, 0.0), "T + 1 entries, β_0 = 0");
    // the half-angle formula: cos²(x) = (1 + cos 2x)/2; up to T − 1 nothing is capped
    let f = |t: usize| (1.0 + ((t as f64 / 1000.0 + 0.008) / 1.008 * std::f64::consts::PI).cos()) / 2.0;
    for t in [0, 1, 10, 500, 900, 999] {
        assert_close(&format!("t = {t}: ᾱ_{t}"), left_over(&betas, t), f(t) / f(0), 1e-12);
    }
    assert_eq!(betas[1000], 0.999, "t = T: β_T, capped");
    assert_eq!(betas.iter().filter(|&&b| b == 0.999).count(), 1, "only the last step is capped");
    assert!((1.0 / left_over(&betas, 1000).sqrt()).is_finite());
    // the cap does what it says for any value
    assert!(cosine_betas(100, 0.008, 0.5).iter().all(|&b| b <= 0.5));
}
// ANCHOR_END: cosine_betas_have_a_cosine_for_alpha_bar

#[test]
fn alpha_bars_are_the_running_product() {
    let bars = alpha_bars(&array![0.0, 0.5, 0.2, 0.1]);
    for (t, expected) in [1.0, 0.5, 0.4, 0.36].into_iter().enumerate() {
        assert_close(&format!("β_1, β_2, β_3 = 0.5, 0.2, 0.1: ᾱ_{t}"), bars[t], expected, 1e-15);
    }
}

#[test]
fn a_schedule_looks_up_by_t() {
    let schedule = Schedule::from_betas(array![0.0, 0.5, 0.2]).unwrap();
    assert_eq!(schedule.steps(), 2);
    assert_eq!((schedule.beta(0), schedule.beta(2)), (0.0, 0.2));
    assert_eq!((schedule.alpha(0), schedule.alpha(2)), (1.0, 0.8));
    assert_eq!((schedule.alpha_bar(0), schedule.alpha_bar(1)), (1.0, 0.5));
    assert_close("log-SNR at ᾱ = 1/2", schedule.log_snr(1), 0.0, 1e-15);
    assert_close("log-SNR at ᾱ = 0.4", schedule.log_snr(2), (2.0f64 / 3.0).ln(), 1e-15);
    assert_eq!(schedule.log_snr(0), f64::INFINITY);
}

#[test]
#[should_panic(expected = "t = 3 lies outside of 0…2")]
fn a_schedule_ends_at_t() {
    Schedule::from_betas(array![0.0, 0.5, 0.2]).unwrap().alpha_bar(3);
}

#[test]
fn one_step_is_a_chain() {
    assert_eq!(linear_betas(1, 1e-4, 0.02), array![0.0, 1e-4]);
    assert_eq!(quad_betas(1, 0.25, 0.5), array![0.0, 0.25]);
    for name in ScheduleName::ALL {
        assert_eq!(name.schedule(1).unwrap().steps(), 1, "{name}");
    }
}

// ANCHOR: bad_schedules_are_typed_errors_that_say_what_to_do
#[test]
fn bad_schedules_are_typed_errors_that_say_what_to_do() {
    assert!(matches!(Schedule::linear(0, 1e-4, 0.02), Err(Error::NoSteps)));
    assert!(matches!(Schedule::from_betas(Array1::zeros(0)), Err(Error::NoSteps)));
    let message = Schedule::linear(10, 1e-4, 1.2).unwrap_err().to_string();
    assert_eq!(message, "beta_end is 1.2; it must lie in (0, 1), as every β must: use a smaller beta_end");
    for (start, end, named) in [
        (f64::NAN, 0.02, "beta_start is NaN; it must lie in (0, 1), as every β must: use a number"),
        (1e-4, f64::NAN, "beta_end is NaN"),
        (1e-4, 1.0, "smaller beta_end"),
        (0.0, 0.02, "larger beta_start"),
        (0.5, -1e-4, "larger beta_end"),
    ] {
        for schedule in [Schedule::linear, Schedule::quad, Schedule::sigmoid] {
            let message = schedule(50, start, end).unwrap_err().to_string();
            assert!(message.contains(named), "({start}, {end}): {message}");
        }
    }
    let message = Schedule::from_betas(array![0.0, 0.1, 1.5]).unwrap_err().to_string();
    assert_eq!(message, "β_2 is 1.5 at T = 2; every β must lie in (0, 1): use a smaller one");
    for beta in [f64::NAN, 0.0, -0.1, 1.0] {
        assert!(
            matches!(Schedule::from_betas(array![0.0, 0.1, beta]), Err(Error::Beta { t: 2, steps: 2, .. })),
            "{beta}"
        );
    }
    for (offset, max_beta, named) in [
        (f64::NAN, 0.999, "offset"),
        (-1.0, 0.999, "offset"),
        (f64::INFINITY, 0.9, "offset"),
        (0.0, 1.0, "max_beta"),
        (0.0, f64::NAN, "max_beta"),
    ] {
        let error = Schedule::cosine(10, offset, max_beta).unwrap_err();
        assert!(
            matches!(error, Error::Parameter { name, .. } if name == named),
            "({offset}, {max_beta}): {error}"
        );
    }
    for name in ScheduleName::ALL {
        assert!(matches!(name.schedule(usize::MAX), Err(Error::Parameter { name: "steps", .. })), "{name}");
        assert!(matches!(name.schedule(1_000_001), Err(Error::Parameter { name: "steps", .. })), "{name}");
    }
    assert!(matches!(Schedule::from_betas(array![0.1, 0.2]), Err(Error::Parameter { name: "β_0", .. })));
    assert!(
        "linaer".parse::<ScheduleName>().unwrap_err().to_string().contains("linear, quad, sigmoid or cosine")
    );
    for name in ScheduleName::ALL {
        assert_eq!(name.to_string().parse::<ScheduleName>().unwrap(), name);
    }
}
// ANCHOR_END: bad_schedules_are_typed_errors_that_say_what_to_do

#[test]
fn the_scaled_schedule_keeps_its_end() {
    let last = |steps| Schedule::linear_scaled(steps).unwrap().alpha_bar(steps);
    assert_eq!(Schedule::linear_scaled(1000).unwrap(), Schedule::linear(1000, 1e-4, 0.02).unwrap());
    // −ln ᾱ_T = Σ (β + β²/2 + β³/3 + β⁴/4 + …), sums of a line from 0 to 20/T: 10.05 + 67/T + 667/T² + 8000/T³
    for steps in [1000, 200, 100] {
        let t = steps as f64;
        let expected = 10.05 + 67.0 / t + 667.0 / t.powi(2) + 8000.0 / t.powi(3);
        assert_close(&format!("−ln ᾱ_{steps}"), -last(steps).ln(), expected, 0.01);
    }
    assert!(Schedule::linear_scaled(21).is_ok());
    let message = Schedule::linear_scaled(20).unwrap_err().to_string();
    assert!(message.contains("steps is 20; it must be more than 20"), "{message}");
}

#[test]
fn named_schedules_have_their_sources_parameters() {
    assert_eq!(ScheduleName::Linear.schedule(1000).unwrap(), Schedule::linear(1000, 1e-4, 0.02).unwrap());
    assert_eq!(ScheduleName::Quad.schedule(1000).unwrap(), Schedule::quad(1000, 1e-4, 0.02).unwrap());
    assert_eq!(ScheduleName::Sigmoid.schedule(1000).unwrap(), Schedule::sigmoid(1000, 1e-4, 0.02).unwrap());
    assert_eq!(ScheduleName::Cosine.schedule(1000).unwrap(), Schedule::cosine(1000, 0.008, 0.999).unwrap());
}

#[test]
fn forward_step_keeps_unit_variance_and_shrinks_the_mean() {
    // From a standard normal x_{t−1} shifted by 3: mean √(1 − β)·3, variance (1 − β)·1 + β = 1.
    let n = 100_000;
    let x = standard_normal::<f64>(n, 2, &mut rng(1)) + 3.0;
    let next = Moments::of(&forward_step(&x, 0.36, &standard_normal(n, 2, &mut rng(2))));
    for d in 0..2 {
        assert_close("mean", next.mean[d], 0.8 * 3.0, 4.0 * next.mean_error[d]);
        assert_close("variance", next.covariance[(d, d)], 1.0, 4.0 * next.covariance_error[(d, d)]);
    }
    assert_close("covariance", next.covariance[(0, 1)], 0.0, 4.0 * next.covariance_error[(0, 1)]);
}

// ANCHOR: noise_is_normal_and_not_uniform
#[test]
fn noise_is_normal_and_not_uniform() {
    let noise = standard_normal::<f64>(100_000, 1, &mut rng(3));
    let moments = Moments::of(&noise);
    assert_close("mean", moments.mean[0], 0.0, 4.0 * moments.mean_error[0]);
    assert_close("variance", moments.covariance[(0, 0)], 1.0, 4.0 * moments.covariance_error[(0, 0)]);
    // the excess kurtosis of N normals scatters by √(24/N); a uniform's is −1.2
    assert_close("excess kurtosis", excess_kurtosis(noise.column(0)), 0.0, 4.0 * (24.0f64 / 1e5).sqrt());
}
// ANCHOR_END: noise_is_normal_and_not_uniform

#[test]
fn diffuse_is_the_chain_in_one_jump() {
    let schedule = Schedule::linear(200, 1e-4, 0.02).unwrap();
    let x_0 = Array2::from_shape_fn((20_000, 2), |(i, d)| if (i + d) % 2 == 0 { 2.0 } else { -1.0 });
    let chain = chain(&x_0, &schedule, &mut rng(4));
    assert_eq!(chain.len(), 201);
    assert_eq!(chain[0], x_0);
    for t in [1, 20, 100, 200] {
        let jump = diffuse(&x_0, schedule.alpha_bar(t), &standard_normal(20_000, 2, &mut rng(5)));
        let (a, b) = (Moments::of(&jump), Moments::of(&chain[t]));
        for d in 0..2 {
            let error = a.mean_error[d].hypot(b.mean_error[d]);
            assert_close(&format!("t = {t}: mean"), a.mean[d], b.mean[d], 4.0 * error);
            for e in 0..2 {
                let error = a.covariance_error[(d, e)].hypot(b.covariance_error[(d, e)]);
                assert_close(
                    &format!("t = {t}: covariance"),
                    a.covariance[(d, e)],
                    b.covariance[(d, e)],
                    4.0 * error,
                );
            }
        }
    }
}

#[test]
fn the_chain_has_the_markov_property() {
    // Gaussian data: x_{t+1} and x_{t−1} are correlated, but not once x_t is known. 4 null standard errors of 1/√N.
    let n = 40_000;
    let schedule = Schedule::linear(50, 0.05, 0.2).unwrap();
    let chain = chain(&standard_normal(n, 1, &mut rng(6)), &schedule, &mut rng(7));
    for t in [1, 10, 25] {
        let [before, now, after] = [t - 1, t, t + 1].map(|t| chain[t].column(0));
        let partial = partial_correlation(after, before, now);
        assert_close(&format!("t = {t}: partial correlation"), partial, 0.0, 4.0 / (n as f64).sqrt());
        let plain = partial_correlation(after, before, standard_normal::<f64>(n, 1, &mut rng(8)).column(0));
        assert!(plain > 0.5, "t = {t}: the plain correlation is {plain}");
    }
}

#[test]
fn compose_of_all_steps_is_the_closed_form() {
    for name in ScheduleName::ALL {
        let schedule = name.schedule(1000).unwrap();
        let mut merged = TransitionKernel { signal: 1.0, variance: 0.0 };
        for t in 1..=1000 {
            merged = compose(merged, TransitionKernel::step(&schedule, t));
            let jump = TransitionKernel::from_start(&schedule, t);
            // 1000 products and sums of doubles
            assert_relative(&format!("{name}, t = {t}: signal"), merged.signal, jump.signal, 1e-11);
            assert_relative(&format!("{name}, t = {t}: variance"), merged.variance, jump.variance, 1e-11);
        }
    }
}

#[test]
fn compose_keeps_one_variance() {
    let (first, second) =
        (TransitionKernel { signal: 0.9, variance: 0.3 }, TransitionKernel { signal: 0.6, variance: 0.5 });
    let n = 100_000;
    let noise = || standard_normal::<f64>(n, 1, &mut rng(9));
    let x = 2.0 * first.signal + first.variance.sqrt() * noise();
    let x = second.signal * x + second.variance.sqrt() * standard_normal::<f64>(n, 1, &mut rng(10));
    let (measured, merged) = (Moments::of(&x), compose(first, second));
    let what = "0.9 x + √0.3 ε_1, then 0.6 x + √0.5 ε_2, 100,000 draws from x = 2";
    let (mean, error) = (measured.mean[0], measured.mean_error[0]);
    assert_close(&format!("{what}: mean"), merged.signal * 2.0, mean, 4.0 * error);
    let (variance, error) = (measured.covariance[(0, 0)], measured.covariance_error[(0, 0)]);
    assert_close(&format!("{what}: variance"), merged.variance, variance, 4.0 * error);
}

#[test]
fn each_row_may_have_its_own_t() {
    let schedule = Schedule::linear(100, 1e-4, 0.02).unwrap();
    let (x_0, noise) =
        (standard_normal::<f64>(4, 3, &mut rng(11)), standard_normal::<f64>(4, 3, &mut rng(12)));
    let t = [0, 1, 50, 100];
    let x_t = diffuse_each(&x_0, &schedule, &t, &noise);
    for (i, &t) in t.iter().enumerate() {
        let row = diffuse(&x_0, schedule.alpha_bar(t), &noise);
        for d in 0..3 {
            assert_close(&format!("t = {t}"), x_t[(i, d)], row[(i, d)], 1e-15);
        }
    }
    assert_eq!(x_t.row(0), x_0.row(0), "t = 0 is the clean image");
}

#[test]
fn the_same_seed_gives_the_same_chain() {
    let schedule = Schedule::linear(10, 1e-4, 0.02).unwrap();
    let x_0 = Array2::zeros((5, 2));
    assert_eq!(chain(&x_0, &schedule, &mut rng(1)), chain(&x_0, &schedule, &mut rng(1)));
    assert_ne!(chain(&x_0, &schedule, &mut rng(1)), chain(&x_0, &schedule, &mut rng(2)));
}

#[test]
fn forward_step_by_hand() {
    // √(1 − 0.36) = 0.8 and √0.36 = 0.6: 0.8 · 3 + 0.6 · 2
    let x_t = forward_step(&array![[3.0]], 0.36, &array![[2.0]])[(0, 0)];
    assert_close("x_{t−1} = 3, β_t = 0.36, ε = 2: x_t", x_t, 3.6, 1e-15);
}

#[test]
fn diffuse_by_hand() {
    // √0.36 = 0.6 and √(1 − 0.36) = 0.8: 0.6 · 3 + 0.8 · 2
    let x_t = diffuse(&array![[3.0]], 0.36, &array![[2.0]])[(0, 0)];
    assert_close("x_0 = 3, ᾱ_t = 0.36, ε = 2: x_t", x_t, 3.4, 1e-15);
}

#[test]
fn the_moments_of_a_chain_are_those_of_its_simulation() {
    let schedule = Schedule::linear(40, 0.01, 0.2).unwrap();
    let n = 50_000;
    // x_0 is 2 or 4: mean 3, variance 1
    let x_0 = Array2::from_shape_fn((n, 1), |(i, _)| if i % 2 == 0 { 2.0 } else { 4.0 });
    let uniform = Uniform::new(0.0, 1.0).unwrap();
    let mut generator = rng(13);
    let walk = chain_with_noise(&x_0, &schedule, || Array2::random_using((n, 1), uniform, &mut generator));
    let (measured, (mean, variance)) =
        (Moments::of(&walk[40]), moments_after(&schedule, (3.0, 1.0), (0.5, 1.0 / 12.0)));
    assert_close("mean", measured.mean[0], mean, 4.0 * measured.mean_error[0]);
    assert_close("variance", measured.covariance[(0, 0)], variance, 4.0 * measured.covariance_error[(0, 0)]);
    // normal noise keeps N(0, 1) as it is
    let (mean, variance) = moments_after(&schedule, (0.0, 1.0), (0.0, 1.0));
    assert_close("mean of N(0, 1)", mean, 0.0, 1e-15);
    assert_close("variance of N(0, 1)", variance, 1.0, 1e-14);
}

#[test]
fn between_two_steps_alpha_bar_is_the_sde_s() {
    // dᾱ/dt = −β(t) ᾱ with a constant rate during a step: many tiny Euler steps of that rate lead from one entry to the next
    for name in ScheduleName::ALL {
        let schedule = name.schedule(20).unwrap();
        for t in 0..20 {
            let (rate, parts) = (-schedule.alpha(t + 1).ln(), 100_000);
            let mut alpha_bar = schedule.alpha_bar(t);
            for part in 0..=4 {
                let time = t as f64 + f64::from(part) / 4.0;
                assert_relative(&format!("{name}: ᾱ({time})"), schedule.alpha_bar_at(time), alpha_bar, 1e-3);
                for _ in 0..parts / 4 {
                    alpha_bar -= rate / f64::from(parts) * alpha_bar;
                }
            }
        }
        for t in 0..=20 {
            assert_eq!(
                schedule.alpha_bar_at(t as f64),
                schedule.alpha_bar(t),
                "{name}: a whole t is the table's"
            );
            assert_eq!(schedule.step_at(t as f64), t);
        }
    }
}

#[test]
fn a_time_outside_of_the_chain_or_between_steps_is_named() {
    let schedule = Schedule::linear(20, 1e-4, 0.02).unwrap();
    for time in [-0.1, 20.1, f64::NAN, f64::INFINITY] {
        let said = panic_message(|| schedule.alpha_bar_at(time));
        assert!(said.contains(&format!("t = {time} lies outside of 0…20")), "{said}");
        let said = panic_message(|| schedule.step_at(time) as f64);
        assert!(said.contains("lies outside of 0…20"), "{said}");
    }
    let said = panic_message(|| schedule.step_at(2.5) as f64);
    assert!(said.contains("t = 2.5 lies between two steps"), "{said}");
}

/// What a computation that must not go well panics with.
fn panic_message(compute: impl FnOnce() -> f64 + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(compute).expect_err("it went well");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}
