//! The parts of the samplers that are no exercise: shorter chains, the family behind DDIM, continuous grids.

mod common;

use common::{assert_close, assert_relative, assert_same_step, rng};
use ddpm::{
    continuous::{
        continuous_alpha_bar, ddim_flow, ddim_flow_to_data, ddim_velocity, flow_error, flow_errors,
        lambda_errors, lambda_uniform,
    },
    data::{Dataset, DatasetName, GaussianMixture},
    denoiser::{Denoiser, ExactDenoiser, GaussianData, Prediction},
    forward::{diffuse, standard_normal},
    metrics::{Moments, largest_difference, median_row_distance, partial_correlation},
    posterior::posterior_variance,
    reverse::{FixedVariance, interpolated_variance},
    sampler::{
        MultiStep, OracleDenoiser, RespacedVariance, Sampler, Spacing, Step, ancestral, ancestral_step, arc,
        ddim, ddim_inversion, ddim_step, dpm_solver, draw_cost, interpolate_noise, last_jump_ratio,
        measured_jump, moments_drawn, noise_correlation, respaced_ancestral, respaced_schedule,
        round_trip_error, sample, seed_dependence, sigma_hat_step, strided_ddim, time_grid, walk_to,
        x_0_partial_correlation,
    },
    schedule::{Schedule, ScheduleName, half_log_snr},
};
use ndarray::{Array2, ArrayView2, array};
use std::cell::Cell;

#[test]
fn encode_leads_where_the_exact_flow_leads() {
    // For N(m, v): (x_T − √ᾱ_T m)/√(ᾱ_T v + 1 − ᾱ_T) = (x_0 − m)/√v, and the error falls with the steps.
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let exact = ExactDenoiser::new(&schedule, &data);
    let x_0 = standard_normal::<f64>(20, 2, &mut rng(20)) * 0.3f64.sqrt() + &data.mean;
    let bar = schedule.alpha_bar(1000);
    let there = (&x_0 - &data.mean) * ((bar * 0.3 + 1.0 - bar) / 0.3).sqrt() + bar.sqrt() * &data.mean;
    let mut before = [f64::INFINITY; 2];
    for count in [10, 50, 250, 1000] {
        let grid = time_grid(1000, count, Spacing::Trailing).unwrap();
        let up = sample(&ddim_inversion(&schedule, &grid), &exact, x_0.clone(), &mut rng(0), |_, _| ());
        let down = sample(&ddim(&schedule, &grid, 0.0, None), &exact, up.clone(), &mut rng(0), |_, _| ());
        let errors = [largest_difference(&up, &there), largest_difference(&down, &x_0)];
        for (way, (error, before)) in ["up", "up and down"].iter().zip(errors.iter().zip(before)) {
            assert!(*error < 0.3 * before, "{count} steps {way}: {error:.2e} after {before:.2e}");
        }
        before = errors;
    }
    assert!(before[1] < 0.01, "1000 steps up and 1000 down: {:.2e}", before[1]);
}

#[test]
fn spaced_ancestral_on_the_whole_grid_is_algorithm_2() {
    let schedule = ScheduleName::Linear.schedule(50).unwrap();
    let grid = time_grid(50, 50, Spacing::Trailing).unwrap();
    for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
        for clip in [None, Some(1.0)] {
            let spaced = respaced_ancestral(&schedule, &grid, choice, clip).unwrap();
            for (step, expected) in spaced.iter().zip(ancestral(&schedule, choice, clip)) {
                let what = format!("{choice}, clip {clip:?}, t = {}", expected.t);
                assert_eq!((step.t, step.clip), (expected.t, clip), "{what}");
                let factors = |s: &Step| [s.x_t, s.eps, s.x_0, s.noise, s.x_0_from_x_t, s.x_0_from_eps];
                for (got, expected) in factors(step).into_iter().zip(factors(&expected)) {
                    assert_close(&what, got, expected, 1e-10);
                }
            }
        }
    }
}

#[test]
fn spaced_ancestral_with_the_posterior_variance_is_ddim_with_eta_1() {
    // Nichol & Dhariwal's shorter chain and Song et al.'s σ are the same step, reached by other ways.
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let grid = time_grid(1000, 20, Spacing::Trailing).unwrap();
    let spaced = respaced_ancestral(&schedule, &grid, FixedVariance::Posterior, None).unwrap();
    for (step, jump) in spaced.iter().zip(ddim(&schedule, &grid, 1.0, None)) {
        let what = format!("t = {}", step.t);
        assert_eq!(step.t, jump.t);
        assert_relative(&format!("{what}: factor of x_t"), step.x_t, jump.x_t, 1e-9);
        assert_relative(&format!("{what}: factor of ε"), step.eps, jump.eps, 1e-9);
        assert_close(&format!("{what}: noise"), step.noise, jump.noise, 1e-12);
    }
}

#[test]
fn spaced_ancestral_with_beta_draws_more_noise() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let grid = time_grid(1000, 20, Spacing::Trailing).unwrap();
    let steps = |choice| respaced_ancestral(&schedule, &grid, choice, None).unwrap();
    for (wide, narrow) in steps(FixedVariance::Beta).iter().zip(steps(FixedVariance::Posterior)) {
        assert_eq!(wide.noise == 0.0, wide.t == 50, "no noise in the last step, t = {}", wide.t);
        assert!(
            wide.noise > narrow.noise || wide.t == 50,
            "t = {}: {} and {}",
            wide.t,
            wide.noise,
            narrow.noise
        );
    }
}

#[test]
fn spaced_ancestral_refuses_a_grid_that_does_not_fall() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    for grid in [vec![50, 60], vec![50, 50], vec![50, 0], vec![]] {
        assert!(respaced_ancestral(&schedule, &grid, FixedVariance::Beta, None).is_err(), "{grid:?}");
    }
}

#[test]
fn moments_drawn_by_many_steps_are_the_data_s() {
    // The error of a whole chain is O(β): below 1 % for T = 1000; ten steps are far off, and differently for each sampler.
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let steps = |count, choice| {
        let grid = time_grid(1000, count, Spacing::Trailing).unwrap();
        respaced_ancestral(&schedule, &grid, choice, None).unwrap()
    };
    for (m, v) in [(0.0, 1.0), (0.5, 0.3), (-0.8, 2.0)] {
        for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
            let (mean, variance) = moments_drawn(&schedule, &steps(1000, choice), (m, v));
            assert_close("mean", mean, m, 0.01);
            assert_relative(&format!("{choice}: variance"), variance, v, 0.03);
        }
        let few = |choice| moments_drawn(&schedule, &steps(10, choice), (m, v)).1;
        let (narrow, wide) = (few(FixedVariance::Posterior), few(FixedVariance::Beta));
        assert!(narrow < 0.95 * v && narrow <= wide, "ten steps: {narrow} and {wide} of {v}");
        if (m, v) == (0.0, 1.0) {
            // Every x_t is N(0, I), and β is the variance that keeps it so, in steps of any size; the last one, from
            // t = 100 without noise, keeps the mean only.
            assert_close("σ² = β for N(0, I)", wide, schedule.alpha_bar(100), 1e-12);
        }
    }
}

#[test]
fn moments_drawn_are_the_same_through_a_clip_that_is_never_reached() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    for choice in [FixedVariance::Beta, FixedVariance::Posterior] {
        let free = moments_drawn(&schedule, &ancestral(&schedule, choice, None), (0.5, 0.3));
        let wide = moments_drawn(&schedule, &ancestral(&schedule, choice, Some(1e9)), (0.5, 0.3));
        assert_close("mean", wide.0, free.0, 1e-12);
        assert_close("variance", wide.1, free.1, 1e-12);
    }
}

#[test]
fn sigma_hat_step_on_the_whole_grid_is_algorithm_2_with_beta() {
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    for t in [1, 2, 3, 10, 500, 1000] {
        for clip in [None, Some(1.0)] {
            let jump = sigma_hat_step(&schedule, t, t - 1, clip);
            let step = ancestral_step(&schedule, t, FixedVariance::Beta, clip);
            assert_same_step(&format!("t = {t}"), jump, step);
        }
    }
}

#[test]
fn sigma_hat_step_on_a_grid_is_the_shorter_chain_s_step_with_beta() {
    // Song et al.'s σ̂ and Nichol & Dhariwal's shorter chain, by other ways to the same step
    let schedule = ScheduleName::Cosine.schedule(200).unwrap();
    let grid = time_grid(200, 7, Spacing::Leading).unwrap();
    let spaced = respaced_ancestral(&schedule, &grid, FixedVariance::Beta, None).unwrap();
    let next = grid.iter().skip(1).chain([&0]);
    for ((step, &t), &previous) in spaced.iter().zip(&grid).zip(next) {
        let jump = sigma_hat_step(&schedule, t, previous, None);
        let what = format!("t = {t} to {previous}");
        assert_relative(&format!("{what}: factor of x_t"), jump.x_t, step.x_t, 1e-9);
        assert_relative(&format!("{what}: factor of ε"), jump.eps, step.eps, 1e-9);
        assert_close(&format!("{what}: noise"), jump.noise, step.noise, 1e-12);
    }
}

#[test]
fn knowing_x_0_every_chain_of_the_family_keeps_every_marginal() {
    // q_σ(x_s | x_t, x_0) from x_T ~ q(x_T | x_0): x_t − √ᾱ_t x_0 has variance 1 − ᾱ_t at each t, whatever η, and ends at x_0.
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let count = 20_000;
    for eta in [0.0, 0.5, 1.0] {
        let mut rng = rng(30);
        let x_0 = standard_normal(count, 1, &mut rng);
        let x_t = diffuse(&x_0, schedule.alpha_bar(100), &standard_normal(count, 1, &mut rng));
        let oracle = OracleDenoiser { schedule: &schedule, x_0: &x_0 };
        let grid = time_grid(100, 10, Spacing::Trailing).unwrap();
        let steps = ddim(&schedule, &grid, eta, None);
        let mut seen = 0;
        let end = sample(&steps, &oracle, x_t, &mut rng, |t, x| {
            let bar = schedule.alpha_bar(t);
            let moments = Moments::of(&(x - &(bar.sqrt() * &x_0)));
            let (variance, error) = (moments.covariance[(0, 0)], moments.covariance_error[(0, 0)]);
            let what = format!("η = {eta}, t = {t}: variance of the noise");
            assert_close(&what, variance, 1.0 - bar, 4.0 * error + 1e-12);
            seen += 1;
        });
        assert_eq!(seen, 11, "x at the ten times of the grid and at 0");
        assert!(largest_difference(&end, &x_0) < 1e-12, "η = {eta}: it ends at the x_0 that it knows");
    }
}

#[test]
fn noise_kept_and_memory_of_x_0_are_what_the_chains_show() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let (count, t, previous) = (50_000, 60, 30);
    let four = 4.0 / (count as f64).sqrt(); // standard errors of a correlation, at most
    for eta in [0.0, 0.5, 1.0] {
        let mut rng = rng(31);
        let x_0: Array2<f64> = 0.7 * standard_normal::<f64>(count, 1, &mut rng);
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &standard_normal(count, 1, &mut rng));
        let oracle = OracleDenoiser { schedule: &schedule, x_0: &x_0 };
        let jump = ddim_step(&schedule, t, previous, eta, None);
        let x_s = sample(&[jump], &oracle, x_t.clone(), &mut rng, |_, _| ());
        let got = partial_correlation(x_t.column(0), x_0.column(0), x_s.column(0));
        let expected = x_0_partial_correlation(&schedule, t, previous, eta, 0.49);
        assert_close(&format!("η = {eta}: corr(x_t, x_0 | x_s)"), got, expected, four);
        let [n_t, n_s] =
            [(&x_t, t), (&x_s, previous)].map(|(x, t)| x - &(schedule.alpha_bar(t).sqrt() * &x_0));
        let got = partial_correlation(n_t.column(0), n_s.column(0), x_0.column(0));
        assert_close(
            &format!("η = {eta}: what is kept"),
            got,
            noise_correlation(&schedule, t, previous, eta),
            four,
        );
    }
    assert_close("η = 1 is Markov", x_0_partial_correlation(&schedule, t, previous, 1.0, 0.49), 0.0, 1e-12);
    assert_close(
        "η = 0 forgets nothing",
        x_0_partial_correlation(&schedule, t, previous, 0.0, 0.49),
        -1.0,
        1e-6,
    );
}

#[test]
fn lambda_uniform_has_equal_steps_between_its_ends() {
    let (from, to, steps) = (1.0, 1e-3, 12);
    let schedule = lambda_uniform(from, to, steps).unwrap();
    assert_eq!(schedule.steps(), steps + 1, "a grid point more than steps");
    assert_relative("ᾱ where it begins", schedule.alpha_bar(13), continuous_alpha_bar(from), 1e-10);
    assert_relative("ᾱ where it ends", schedule.alpha_bar(1), continuous_alpha_bar(to), 1e-10);
    let lambda = |t| half_log_snr(schedule.alpha_bar(t));
    let step = (lambda(1) - lambda(13)) / steps as f64;
    for t in 2..=13 {
        assert_relative(&format!("λ_{} − λ_{t}", t - 1), lambda(t - 1) - lambda(t), step, 1e-8);
        assert_relative(&format!("log-SNR at {t}"), 2.0 * lambda(t), schedule.log_snr(t), 1e-12);
    }
    for (from, to) in [(1.0, 0.0), (0.5, 0.5), (0.2, 0.5), (1.1, 0.1), (f64::NAN, 0.1)] {
        let error = lambda_uniform(from, to, 3).unwrap_err().to_string();
        assert!(error.contains("fall within 1…0"), "{from}…{to}: {error}");
    }
    assert!(lambda_uniform(1.0, 0.1, 0).is_err(), "no steps");
}

#[test]
fn continuous_alpha_bar_is_the_limit_of_long_chains() {
    // ln ᾱ_t = Σ ln(1 − β) = −Σ β − ½ Σ β² …: an error of order 1/T
    let error = |steps: usize| {
        let schedule = Schedule::linear_scaled(steps).unwrap();
        let half = schedule.alpha_bar(steps / 2).ln() - continuous_alpha_bar(0.5).ln();
        let all = schedule.alpha_bar(steps).ln() - continuous_alpha_bar(1.0).ln();
        half.abs().max(all.abs())
    };
    let (short, long) = (error(1000), error(10_000));
    assert!(short < 0.1 && (9.0..11.0).contains(&(short / long)), "T = 1000: {short:.2e}, 10000: {long:.2e}");
}

#[test]
fn flow_velocity_is_what_the_exact_denoiser_says() {
    // ε*(x, t) at ᾱ, in the coordinates y = x/√ᾱ and s = √(1/ᾱ − 1)
    let schedule = ScheduleName::Cosine.schedule(50).unwrap();
    let mixture = GaussianMixture::new(
        array![0.3, 0.7],
        array![[-1.0, 0.2], [0.8, 0.5]],
        array![[0.1, 0.2], [0.3, 0.1]],
    );
    let exact = ExactDenoiser::new(&schedule, &mixture);
    let x = standard_normal::<f64>(9, 2, &mut rng(32));
    for t in [1, 25, 49] {
        let bar = schedule.alpha_bar(t);
        let got = ddim_velocity(&mixture, (1.0 / bar - 1.0).sqrt(), (&x / bar.sqrt()).view());
        let worst = largest_difference(&got, &exact.predict(x.view(), t as f64).eps);
        assert!(worst < 1e-9, "t = {t}: ε* and the velocity differ by {worst:.2e}");
    }
}

#[test]
fn flow_and_flow_to_data_of_a_gaussian_are_known() {
    // (x − √ᾱ m)/√(ᾱ v + 1 − ᾱ) stays as it is along the flow
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let x = standard_normal::<f64>(9, 2, &mut rng(35));
    let spread = |bar: f64| (bar * data.variance + 1.0 - bar).sqrt();
    let carried = |from: f64, to: f64| {
        (&x - &(from.sqrt() * &data.mean)) * (spread(to) / spread(from)) + to.sqrt() * &data.mean
    };
    for (from, to) in [(1e-4, 0.999), (0.3, 0.7), (0.9, 0.01)] {
        let worst = largest_difference(&ddim_flow(&data, &x, (from, to), 1e-10).unwrap(), &carried(from, to));
        assert!(worst < 1e-7, "from ᾱ = {from} to {to}: {worst:.2e}");
    }
    let worst = largest_difference(&ddim_flow_to_data(&data, &x, 1e-4, 1e-10).unwrap(), &carried(1e-4, 1.0));
    assert!(worst < 1e-5, "down to the data: {worst:.2e}");
    assert!(ddim_flow(&data, &x, (0.5, 1.0), 1e-6).is_err(), "the velocity is 0/0 at ᾱ = 1");
}

/// Predicts tanh(x_t), the variance between β̃ and β that v stands for, and counts.
struct Between<'a> {
    schedule: &'a Schedule,
    v: Array2<f64>,
    calls: Cell<usize>,
}

impl Denoiser for Between<'_> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        self.calls.set(self.calls.get() + 1);
        let variance = Some(interpolated_variance(self.schedule, self.schedule.step_at(t), &self.v));
        Prediction { eps: x_t.mapv(f64::tanh), variance }
    }
}

#[test]
fn spaced_variance_lies_where_v_says_between_the_grid_s_own_bounds() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let grid = [90, 40, 7, 1];
    let short = respaced_schedule(&schedule, &grid).unwrap();
    let inner = Between { schedule: &schedule, v: array![[0.0, 0.5, 1.0]], calls: Cell::new(0) };
    let spaced = RespacedVariance::new(&inner, &schedule, &grid).unwrap();
    let x = array![[0.1, 0.2, 0.3]];
    for (place, t) in [(4, 90), (3, 40), (2, 7), (1, 1)] {
        let answer = spaced.predict(x.view(), t as f64);
        let variance = answer.variance.unwrap();
        let low = posterior_variance(&short, place.max(2));
        let high = short.beta(place);
        for (got, expected, v) in [
            (variance[(0, 0)], low, "0"),
            (variance[(0, 1)], (low * high).sqrt(), "½"),
            (variance[(0, 2)], high, "1"),
        ] {
            assert_relative(&format!("t = {t}: Σ for v = {v}"), got, expected, 1e-6);
        }
        assert_eq!(answer.eps, x.mapv(f64::tanh), "ε passes through");
    }
    assert_eq!(inner.calls.get(), 4, "one call of the denoiser for one answer");
    let fixed = GaussianData { mean: array![0.0, 0.0, 0.0], variance: 1.0 };
    let exact = ExactDenoiser::new(&schedule, &fixed);
    let spaced = RespacedVariance::new(&exact, &schedule, &grid).unwrap();
    assert_eq!(spaced.predict(x.view(), 7.0), exact.predict(x.view(), 7.0), "no variance was learned");
}

#[test]
#[should_panic(expected = "t = 50 is not on the grid")]
fn spaced_variance_knows_its_grid_only() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let inner = Between { schedule: &schedule, v: array![[0.5]], calls: Cell::new(0) };
    RespacedVariance::new(&inner, &schedule, &[90, 1]).unwrap().predict(array![[0.1]].view(), 50.0);
}

#[test]
fn between_two_noises_lies_noise() {
    let mut rng = rng(33);
    let [a, b] = [(); 2].map(|()| standard_normal::<f64>(20_000, 1, &mut rng));
    for share in [0.0, 0.25, 0.5, 1.0] {
        let moments = Moments::of(&interpolate_noise(&a, &b, share));
        let (variance, error) = (moments.covariance[(0, 0)], moments.covariance_error[(0, 0)]);
        assert_close(&format!("variance at {share} of the way"), variance, 1.0, 4.0 * error);
    }
    assert_eq!(interpolate_noise(&a, &b, 0.0), a, "at the beginning");
    assert!(largest_difference(&interpolate_noise(&a, &b, 1.0), &b) < 1e-15, "at the end");
}

#[test]
fn multistep_samplers_draw_the_data() {
    let data = Dataset::named(DatasetName::Gaussians8, "").unwrap();
    let schedule = ScheduleName::Linear.schedule(1000).unwrap();
    let ddpm::data::Density::Mixture(mixture) = data.density() else { panic!("a mixture") };
    let exact = ExactDenoiser::new(&schedule, mixture);
    let mut rng = rng(34);
    let grid = time_grid(1000, 40, Spacing::Quadratic).unwrap();
    let steps: Vec<MultiStep> = dpm_solver(&schedule, &grid, None);
    let x_t = standard_normal(4000, 2, &mut rng);
    let moments = Moments::of(&sample(&steps, &exact, x_t, &mut rng, |_, _| ()));
    for d in 0..2 {
        // standardised data; 40 steps miss its variance by less than 2 %
        assert_close("mean", moments.mean[d], 0.0, 4.0 * moments.mean_error[d]);
        let tolerance = 4.0 * moments.covariance_error[(d, d)] + 0.02;
        assert_close("variance", moments.covariance[(d, d)], 1.0, tolerance);
    }
}

#[test]
fn a_method_is_its_sampler_s_steps() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let grid = [90, 40, 7, 1];
    let spaced = |choice| respaced_ancestral(&schedule, &grid, choice, Some(2.0)).unwrap();
    let multi = |steps: Vec<Step>| steps.into_iter().map(MultiStep::from).collect::<Vec<_>>();
    for (method, name, expected) in [
        (Sampler::SigmaHat, "Algorithm 2, σ² = β", multi(spaced(FixedVariance::Beta))),
        (Sampler::Learned, "Algorithm 2, learned Σ", multi(spaced(FixedVariance::Posterior))),
        (Sampler::Ddim(0.5), "DDIM, η = 0.5", multi(ddim(&schedule, &grid, 0.5, Some(2.0)))),
        (Sampler::Solver, "DPM-Solver++(2M)", dpm_solver(&schedule, &grid, Some(2.0))),
    ] {
        assert_eq!(method.to_string(), name);
        assert_eq!(method.steps(&schedule, &grid, Some(2.0)).unwrap(), expected, "{name}");
    }
    for method in [Sampler::SigmaHat, Sampler::Learned] {
        assert!(method.steps(&schedule, &[7, 40], None).is_err(), "{method} on a grid that rises");
    }
}

#[test]
fn only_the_method_that_says_so_draws_with_a_learned_variance() {
    let schedule = ScheduleName::Linear.schedule(100).unwrap();
    let grid = [90, 40, 7, 1];
    let learned = Between { schedule: &schedule, v: Array2::from_elem((20, 1), 0.7), calls: Cell::new(0) };
    let x_t = standard_normal::<f64>(20, 1, &mut rng(36));
    let draw =
        |method: Sampler| method.draw(&schedule, &grid, None, &learned, x_t.clone(), &mut rng(37)).unwrap();
    // v = 0.7 lies as far from β̃ as the grid's β and β̃ let it
    let spaced = RespacedVariance::new(&learned, &schedule, &grid).unwrap();
    let steps = respaced_ancestral(&schedule, &grid, FixedVariance::Posterior, None).unwrap();
    let expected = sample(&steps, &spaced, x_t.clone(), &mut rng(37), |_, _| ());
    assert_eq!(draw(Sampler::Learned), expected, "Σ on the grid");
    let tanh = Tanh;
    let expected = sample(&ddim(&schedule, &grid, 1.0, None), &tanh, x_t.clone(), &mut rng(37), |_, _| ());
    assert_eq!(draw(Sampler::Ddim(1.0)), expected, "β̃, though a variance was learned");
    assert!(largest_difference(&draw(Sampler::Learned), &expected) > 0.01, "the two differ");
}

#[test]
fn a_still_step_leaves_x_t_as_it_is_and_the_generator_as_any_step_does() {
    let schedule = ScheduleName::Linear.schedule(20).unwrap();
    let mut steps = ancestral(&schedule, FixedVariance::Beta, Some(1.0));
    let x_t = standard_normal::<f64>(20, 1, &mut rng(38));
    let (mut x_1, mut all) = (x_t.clone(), rng(39));
    sample(&steps, &Tanh, x_t.clone(), &mut all, |t, x| {
        if t == 1 {
            x_1.assign(x);
        }
    });
    steps[19] = Step::still(1);
    let mut without = rng(39);
    assert_eq!(sample(&steps, &Tanh, x_t, &mut without, |_, _| ()), x_1);
    assert_eq!(without, all, "the generators");
}

/// Predicts tanh(x_t), and no variance.
struct Tanh;

impl Denoiser for Tanh {
    fn predict(&self, x_t: ArrayView2<f64>, _: f64) -> Prediction {
        Prediction { eps: x_t.mapv(f64::tanh), variance: None }
    }
}

fn a_mixture() -> GaussianMixture {
    let data = Dataset::named(DatasetName::Mixture, "").unwrap();
    data.mixture().expect("a mixture").clone()
}

#[test]
fn a_measured_jump_has_the_family_s_variance_and_memory() {
    let (schedule, count) = (Schedule::linear(1000, 1e-4, 0.02).unwrap(), 20_000);
    for eta in [0.0, 0.4, 1.0] {
        let jump = measured_jump(&schedule, 700, 200, eta, count, &mut rng(41));
        let noise = Moments::of(&jump.noise);
        let tolerance = 4.0 * noise.covariance_error[(0, 0)];
        assert_close("variance", noise.covariance[(0, 0)], 1.0 - schedule.alpha_bar(200), tolerance);
        let rho = x_0_partial_correlation(&schedule, 700, 200, eta, 1.0);
        let tolerance = 4.0 * (1.0 - rho * rho) / (count as f64).sqrt() + 1e-9;
        assert_close("memory", jump.memory, rho, tolerance);
    }
}

#[test]
fn a_walk_to_x_0_has_every_marginal_on_its_way() {
    let (schedule, x_0) = (Schedule::linear(1000, 1e-4, 0.02).unwrap(), Array2::from_elem((20_000, 1), 0.8));
    let mut seen = Vec::new();
    walk_to(&schedule, &[1000, 400, 50], 0.7, &x_0, &mut rng(42), |t, x| {
        seen.push(t);
        let alpha_bar = schedule.alpha_bar(t);
        let moments = Moments::of(x);
        assert_close("mean", moments.mean[0], alpha_bar.sqrt() * 0.8, 4.0 * moments.mean_error[0] + 1e-9);
        let tolerance = 4.0 * moments.covariance_error[(0, 0)] + 1e-9;
        assert_close("variance", moments.covariance[(0, 0)], 1.0 - alpha_bar, tolerance);
    });
    assert_eq!(seen, [1000, 400, 50, 0]);
}

#[test]
fn errors_from_the_flow_are_medians_of_distances() {
    let (schedule, known, x) =
        (Schedule::linear_scaled(100).unwrap(), a_mixture(), standard_normal::<f64>(25, 2, &mut rng(43)));
    let exact = ExactDenoiser::new(&schedule, &known);
    let times = time_grid(100, 7, Spacing::Quadratic).unwrap();
    for method in Sampler::DETERMINISTIC {
        let jumps = method.steps(&schedule, &times, None).unwrap();
        let end = sample(&jumps, &exact, x.clone(), &mut rng(0), |_, _| ());
        let truth = ddim_flow_to_data(&known, &x, schedule.alpha_bar(times[0]), 1e-7).unwrap();
        let error = flow_error(&known, &schedule, &times, &jumps, &x, &mut rng(1)).unwrap();
        assert_eq!(error, median_row_distance(&end, &truth), "{method}");
        let all = flow_errors(&known, &schedule, method, 7, &x, &mut rng(2)).unwrap();
        assert_eq!(all[3], error, "{method}: the quadratic grid is the last");
    }
    // DDIM errs by order 1, the solver by order 2
    let grid = lambda_uniform(1.0, 1e-2, 1).unwrap();
    let truth = ddim_flow(&known, &x, (grid.alpha_bar(2), grid.alpha_bar(1)), 1e-9).unwrap();
    let errors = |steps| lambda_errors(&known, (1.0, 1e-2), steps, &x, &truth, &mut rng(3)).unwrap();
    let (few, many) = (errors(80), errors(160));
    assert_close("order of DDIM", (few[0] / many[0]).log2(), 1.0, 0.1);
    assert_close("order of the solver", (few[1] / many[1]).log2(), 2.0, 0.15);
}

#[test]
fn a_round_trip_ends_where_it_began_but_for_1_over_n() {
    let (schedule, known) = (Schedule::linear_scaled(400).unwrap(), a_mixture());
    let (exact, x_0) = (ExactDenoiser::new(&schedule, &known), known.sample(40, &mut rng(44)));
    let error = |n| round_trip_error(&schedule, n, &exact, &x_0, &mut rng(45)).unwrap();
    assert_close("order", (error(100) / error(200)).log2(), 1.0, 0.15);
    // by hand: up, then down
    let grid = time_grid(400, 20, Spacing::Trailing).unwrap();
    let up = sample(&ddim_inversion(&schedule, &grid), &exact, x_0.clone(), &mut rng(0), |_, _| ());
    let down = sample(&ddim(&schedule, &grid, 0.0, None), &exact, up, &mut rng(0), |_, _| ());
    assert_eq!(error(20), median_row_distance(&down, &x_0));
}

#[test]
fn an_arc_turns_by_equal_angles() {
    let (a, b) = (array![[2.0, 0.0]], array![[0.0, 2.0]]);
    let noises = arc(&a, &b, 7);
    assert_eq!((noises.dim(), noises.row(0).to_owned()), ((7, 2), a.row(0).to_owned()));
    for (i, noise) in noises.rows().into_iter().enumerate() {
        let angle = noise[1].atan2(noise[0]);
        assert_close("angle", angle, i as f64 / 6.0 * std::f64::consts::FRAC_PI_2, 1e-12);
        assert_close("radius", noise.dot(&noise), 4.0, 1e-12);
    }
}

#[test]
fn strides_lead_beside_the_next_time_and_samplers_tell_themselves_apart() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let grid = time_grid(1000, 5, Spacing::Linspace).unwrap(); // 1000, 750, 501, 251, 1
    let (right, strided) = (ddim(&schedule, &grid, 0.0, None), strided_ddim(&schedule, &grid));
    assert_eq!(strided[0], ddim_step(&schedule, 1000, 800, 0.0, None));
    assert!(Step::largest_difference(&right, &strided) > 0.1);
    assert_eq!(Step::largest_difference(&right, &right), 0.0);
    // σ alone differs: the largest difference is that of the noise factors
    let [beta, tilde] =
        [FixedVariance::Beta, FixedVariance::Posterior].map(|v| ancestral(&schedule, v, None));
    let noise = beta.iter().zip(&tilde).map(|(a, b)| (a.noise - b.noise).abs()).fold(0.0, f64::max);
    assert_eq!(Step::largest_difference(&beta, &tilde), noise);
    // with x̂_0 in its place the factors are others
    assert!(Step::largest_difference(&right, &ddim(&schedule, &grid, 0.0, Some(1.0))) > 0.1);
    // h/h′ of equal steps in λ is 1
    let even = lambda_uniform(1.0, 1e-3, 6).unwrap();
    let times: Vec<usize> = (1..=7).rev().collect();
    assert_close("h/h′", last_jump_ratio(&even, &times), 1.0, 1e-6);
}

#[test]
fn only_fresh_noise_depends_on_the_seed() {
    let (schedule, known) = (Schedule::linear_scaled(100).unwrap(), a_mixture());
    let (exact, x_t) = (ExactDenoiser::new(&schedule, &known), standard_normal(20, 2, &mut rng(46)));
    let grid = time_grid(100, 10, Spacing::Trailing).unwrap();
    let change = |eta| seed_dependence(&ddim(&schedule, &grid, eta, None), &exact, &x_t);
    assert_eq!(change(0.0), 0.0);
    assert!(change(1.0) > 0.1);
}

#[test]
fn a_draw_costs_a_call_a_step_with_all_points() {
    let (schedule, known) = (Schedule::linear_scaled(100).unwrap(), a_mixture());
    let exact = ExactDenoiser::new(&schedule, &known);
    for method in &Sampler::ALL[..4] {
        assert_eq!(draw_cost(*method, 100, 7, 13, &exact, &mut rng(47)).unwrap(), (7, 91), "{method}");
    }
}
