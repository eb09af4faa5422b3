//! Targets, weights and paths, each by a second route.

mod common;

use common::rng;
use ddpm::{
    continuous::sde::Sde,
    forward::{TransitionKernel, diffuse, standard_normal},
    metrics::largest_difference,
    objective::eps_weight,
    path::{Path, log_snr, same_log_snr},
    posterior::{posterior_mean, posterior_variance},
    reverse::{mean_from_eps, predict_x_0},
    schedule::Schedule,
    target::{Target, conversion, convert, error_factor},
    weighting::{Weighting, bound_per_log_snr, bound_step_weight, per_log_snr},
};
use std::f64::consts::PI;

const TIMES: [f64; 7] = [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99];

/// Every target at time t of a path.
fn targets(path: Path, t: f64) -> Vec<(&'static str, Target)> {
    let at = path.kernel(t);
    vec![
        ("x_0", Target::X_0),
        ("eps", Target::EPS),
        ("v", Target::v(at)),
        ("score", Target::score(at)),
        ("velocity", Target::velocity(path.rates(t))),
        ("edm", Target::edm(at, 0.5)),
    ]
}

/// Every target from every other gives what the target is of the x_0 and ε that x_t was made of. Rounding grows by the error factor.
#[test]
fn each_target_gives_each_other() {
    let mut rng = rng(1);
    let [x_0, eps] = [(); 2].map(|()| standard_normal(20, 2, &mut rng));
    for path in Path::ALL {
        for t in TIMES {
            let (at, x_t) = (path.kernel(t), path.diffuse(&x_0, &eps, t));
            for (from_name, from) in targets(path, t) {
                for (to_name, to) in targets(path, t) {
                    let converted = convert(from, to, at, &x_t, &from.of(&x_0, &eps));
                    let expected = to.of(&x_0, &eps);
                    let scale = 1.0 + error_factor(from, to, at) * (from.of_x_0.abs() + from.of_eps.abs());
                    let scale = scale + to.of_x_0.abs() + to.of_eps.abs() + conversion(from, to, at).0.abs();
                    let difference = largest_difference(&converted, &expected);
                    assert!(
                        difference < 1e-13 * scale * 10.0,
                        "{} at t = {t}: {to_name} from {from_name} is off by {difference:e}, with a scale of {scale:e}",
                        path.name()
                    );
                }
            }
        }
    }
}

/// The formulas of Ho et al. 2020 and of Salimans & Ho 2022, written out.
#[test]
fn conversions_are_those_of_the_papers() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let mut rng = rng(2);
    let [x_0, eps] = [(); 2].map(|()| standard_normal(20, 2, &mut rng));
    for t in [1, 2, 10, 500, 999, 1000] {
        let at = TransitionKernel::from_start(&schedule, t);
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &eps);
        let close = |name: &str, ours: &ndarray::Array2<f64>, theirs: &ndarray::Array2<f64>, limit: f64| {
            let difference = largest_difference(ours, theirs);
            assert!(difference < limit, "t = {t}: {name} differs by {difference:e}");
        };
        let (alpha, sigma) = (at.signal, at.deviation());
        close(
            "(15)",
            &convert(Target::EPS, Target::X_0, at, &x_t, &eps),
            &predict_x_0(&schedule, t, &x_t, &eps),
            1e-10,
        );
        let mean = Target::posterior_mean(&schedule, t);
        close("(7)", &mean.of(&x_0, &eps), &posterior_mean(&schedule, t, &x_0, &x_t), 1e-12);
        close(
            "(11)",
            &convert(Target::EPS, mean, at, &x_t, &eps),
            &mean_from_eps(&schedule, t, &x_t, &eps),
            1e-10,
        );
        let v = alpha * &eps - sigma * &x_0;
        close("v", &Target::v(at).of(&x_0, &eps), &v, 1e-13);
        close(
            "x_0 of v",
            &convert(Target::v(at), Target::X_0, at, &x_t, &v),
            &(alpha * &x_t - sigma * &v),
            1e-13,
        );
        close(
            "eps of v",
            &convert(Target::v(at), Target::EPS, at, &x_t, &v),
            &(sigma * &x_t + alpha * &v),
            1e-13,
        );
        close("score", &convert(Target::EPS, Target::score(at), at, &x_t, &eps), &(&eps / -sigma), 1e-9);
    }
}

/// An error of a prediction, converted, is as large as the factor says.
#[test]
fn error_factors_are_what_an_error_becomes() {
    let mut rng = rng(3);
    let [x_0, eps, error] = [(); 3].map(|()| standard_normal(20, 2, &mut rng));
    let length = |x: &ndarray::Array2<f64>| x.mapv(|x| x * x).sum().sqrt();
    for t in TIMES {
        let (at, x_t) = (Path::Cosine.kernel(t), Path::Cosine.diffuse(&x_0, &eps, t));
        for (from_name, from) in targets(Path::Cosine, t) {
            for (to_name, to) in targets(Path::Cosine, t) {
                let right = from.of(&x_0, &eps);
                let [with, without] =
                    [&right + &error, right].map(|predicted| convert(from, to, at, &x_t, &predicted));
                let (measured, predicted) =
                    (length(&(with - without)) / length(&error), error_factor(from, to, at));
                assert!(
                    (measured / predicted - 1.0).abs() < 1e-9,
                    "t = {t}, {from_name} → {to_name}: an error grows by {measured}, predicted {predicted}"
                );
            }
        }
    }
}

/// ε says nothing at pure noise and x_0 nothing at the data; v and the straight path's velocity are determined everywhere.
#[test]
fn singular_ends_are_where_the_table_says() {
    let (data, noise) = (TransitionKernel::IDENTITY, TransitionKernel { signal: 0.0, variance: 1.0 });
    assert_eq!(Target::X_0.determinant(data), 0.0);
    assert_eq!(Target::EPS.determinant(noise), 0.0);
    assert_eq!(Target::score(noise).determinant(noise), 0.0);
    for at in [data, noise] {
        assert_eq!(Target::v(at).determinant(at), 1.0);
        assert_eq!(Target::velocity(Path::Straight.rates(at.variance)).determinant(at), 1.0);
    }
    assert_eq!(error_factor(Target::EPS, Target::X_0, noise), f64::INFINITY);
}

#[test]
#[should_panic(expected = "determines no other target")]
fn conversion_from_eps_at_pure_noise_panics() {
    conversion(Target::EPS, Target::X_0, TransitionKernel { signal: 0.0, variance: 1.0 });
}

/// Rates against central differences of the kernels, log-SNR's too.
#[test]
fn path_rates_are_the_kernels_slopes() {
    let h = 1e-5;
    for path in Path::ALL {
        for t in [0.05, 0.3, 0.5, 0.8, 0.95] {
            let (rates, [before, after]) = (path.rates(t), [t - h, t + h].map(|t| path.kernel(t)));
            let close = |name: &str, predicted: f64, measured: f64| {
                let error = (predicted - measured).abs() / (1.0 + measured.abs());
                assert!(
                    error < 1e-6,
                    "{} at t = {t}: {name} is {predicted}, by differences {measured}",
                    path.name()
                );
            };
            close("dα/dt", rates.signal, (after.signal - before.signal) / (2.0 * h));
            close("dσ/dt", rates.deviation, (after.deviation() - before.deviation()) / (2.0 * h));
            close("dλ/dt", path.log_snr_rate(t), (path.log_snr(t + h) - path.log_snr(t - h)) / (2.0 * h));
        }
    }
}

/// The time of a log-SNR is the inverse of the log-SNR at a time.
#[test]
fn path_time_inverts_the_log_snr() {
    for path in Path::ALL {
        for t in TIMES {
            let back = path.time_at(path.log_snr(t));
            assert!((back - t).abs() < 1e-10, "{}: t = {t} comes back as {back}", path.name());
        }
    }
}

/// A point of one path, scaled, is a point of the other with the same x_0 and ε.
#[test]
fn same_log_snr_takes_points_of_one_path_to_the_other() {
    let mut rng = rng(4);
    let [x_0, eps] = [(); 2].map(|()| standard_normal(10, 2, &mut rng));
    for from in Path::ALL {
        for to in Path::ALL {
            for t in [0.2, 0.5, 0.8] {
                let (there, factor) = same_log_snr(from, to, t);
                let (moved, expected) = (factor * from.diffuse(&x_0, &eps, t), to.diffuse(&x_0, &eps, there));
                let scale = 1.0 + expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
                let difference = largest_difference(&moved, &expected) / scale;
                assert!(
                    difference < 1e-9,
                    "{} → {} at t = {t}: off by {difference:e}",
                    from.name(),
                    to.name()
                );
            }
        }
    }
}

// ANCHOR: weights_on_targets_are_those_of_the_papers
/// Each weighting on each target, from the formulas of its own paper.
#[test]
fn weights_on_targets_are_those_of_the_papers() {
    for t in TIMES {
        let at = Path::Cosine.kernel(t);
        let snr = (at.signal / at.deviation()).powi(2);
        let (eps, x_0, v) = (Target::EPS, Target::X_0, Target::v(at));
        let (min_snr, p2) = (Weighting::MinSnr { gamma: 5.0 }, Weighting::P2 { k: 1.0, gamma: 0.5 });
        let edm = Weighting::Edm { sigma_data: 0.5 };
        let s = at.deviation() / at.signal;
        let rows = [
            ("L_simple on ε", Weighting::Simple.on(eps, at), 1.0),
            ("L_simple on x_0", Weighting::Simple.on(x_0, at), snr),
            ("SNR + 1 on v", Weighting::SnrPlusOne.on(v, at), 1.0),
            ("P2 on ε", p2.on(eps, at), 1.0 / (1.0 + snr).sqrt()),
            ("min-SNR on x_0", min_snr.on(x_0, at), snr.min(5.0)),
            ("min-SNR on ε", min_snr.on(eps, at), snr.min(5.0) / snr),
            ("min-SNR on v", min_snr.on(v, at), snr.min(5.0) / (snr + 1.0)),
            ("EDM on x_0", edm.on(x_0, at), (s * s + 0.25) / (0.5 * s).powi(2)),
            ("EDM on its network", edm.on(Target::edm(at, 0.5), at), 1.0),
        ];
        for (name, ours, theirs) in rows {
            assert!((ours / theirs - 1.0).abs() < 1e-9, "{name} at t = {t}: {ours}, its paper says {theirs}");
        }
    }
}
// ANCHOR_END: weights_on_targets_are_those_of_the_papers

/// Eq. (12) of Ho et al. 2020 with σ² = β̃, as a weight on x_0, is half the fall of the SNR.
#[test]
fn bound_step_weight_is_equation_12() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    for t in [2, 3, 10, 100, 500, 1000] {
        let [before, after] = [t - 1, t].map(|t| TransitionKernel::from_start(&schedule, t));
        let on_eps = eps_weight(&schedule, t, posterior_variance(&schedule, t));
        let on_x_0 = on_eps * error_factor(Target::X_0, Target::EPS, after).powi(2);
        let ours = bound_step_weight(before, after);
        assert!((ours / on_x_0 - 1.0).abs() < 1e-8, "t = {t}: {ours}, by Eq. (12) {on_x_0}");
    }
}

/// Many short steps have the weight that the density has: Σ ½ ΔSNR = ∫ ½ e^λ dλ.
#[test]
fn bound_density_is_the_limit_of_its_steps() {
    for path in Path::ALL {
        let (from, to, steps) = (0.2, 0.8, 20_000);
        let at = |i: usize| path.kernel(from + (to - from) * i as f64 / steps as f64);
        let in_steps: f64 = (1..=steps).map(|i| bound_step_weight(at(i - 1), at(i))).sum();
        let by_density: f64 = (1..=steps)
            .map(|i| {
                let [before, after] = [at(i - 1), at(i)];
                let mean = 0.5 * (bound_per_log_snr(before) + bound_per_log_snr(after)); // the trapezoid rule
                mean * (log_snr(before) - log_snr(after))
            })
            .sum();
        let error = (in_steps / by_density - 1.0).abs();
        assert!(error < 1e-6, "{}: {in_steps} in steps, {by_density} by the density", path.name());
    }
}

/// Flow matching on the straight path and v on the cosine path weigh errors alike: both as e^{λ/2}, with the constant ratio π/2.
#[test]
fn straight_velocity_and_cosine_v_weigh_alike() {
    for log_snr in [-8.0, -3.0, -1.0, 0.0, 1.0, 3.0, 8.0] {
        let straight = {
            let (path, t) = (Path::Straight, Path::Straight.time_at(log_snr));
            let velocity = Target::velocity(path.rates(t));
            error_factor(Target::X_0, velocity, path.kernel(t)).powi(2) / path.log_snr_rate(t).abs()
        };
        let cosine = per_log_snr(Weighting::SnrPlusOne, Path::Cosine, Path::Cosine.time_at(log_snr));
        assert!((straight / (0.5 * (0.5 * log_snr).exp()) - 1.0).abs() < 1e-9, "λ = {log_snr}: {straight}");
        assert!((straight / cosine - 0.5 * PI).abs() < 1e-9, "λ = {log_snr}: {straight} and {cosine}");
    }
}

/// The targets of the two differ by an affine map: ε − x_0 = (α + σ) v + (σ − α) x where α² + σ² = 1.
#[test]
fn straight_velocity_is_affine_in_v() {
    let mut rng = rng(5);
    let [x_0, eps] = [(); 2].map(|()| standard_normal(20, 2, &mut rng));
    for t in TIMES {
        let (at, x) = (Path::Cosine.kernel(t), Path::Cosine.diffuse(&x_0, &eps, t));
        let (alpha, sigma) = (at.signal, at.deviation());
        let v = Target::v(at).of(&x_0, &eps);
        let mapped = (alpha + sigma) * &v + (sigma - alpha) * &x;
        let difference = largest_difference(&mapped, &(&eps - &x_0));
        assert!(difference < 1e-12, "t = {t}: off by {difference:e}");
    }
}

/// The velocity of the VP path, averaged over what x_t leaves open, is its probability flow: for Gaussian data, both in closed form.
#[test]
fn velocity_of_gaussian_data_is_the_flows() {
    let variance = 0.3;
    for t in TIMES {
        let (path, x) = (Path::Sde(Sde::VP), 1.7);
        let (at, rates) = (path.kernel(t), path.rates(t));
        let of_x_t = at.signal * at.signal * variance + at.variance; // Var x_t
        let [x_0, eps] = [at.signal * variance, at.deviation()].map(|covariance| covariance / of_x_t * x);
        let target = Target::velocity(rates);
        let mean_velocity = target.of_x_0 * x_0 + target.of_eps * eps;
        // A flow that keeps a Gaussian N(0, s²) a Gaussian moves x with s′/s.
        let spread = |t: f64| {
            let at = path.kernel(t);
            (at.signal * at.signal * variance + at.variance).sqrt()
        };
        let h = 1e-5;
        let flow = (spread(t + h) - spread(t - h)) / (2.0 * h) / spread(t) * x;
        assert!(
            (mean_velocity - flow).abs() < 1e-5 * (1.0 + flow.abs()),
            "t = {t}: {mean_velocity}, the flow {flow}"
        );
    }
}
