//! ch19_flow_matching: velocities, their losses and conventions, one family of paths, straightness, reflow.

mod common;

use common::{assert_all_close, assert_close, assert_relative, rng};
use ddpm::{
    baselines::modes::two_humps,
    continuous::{sde, sde::Sde},
    data::{Dataset, DatasetName, GaussianMixture},
    denoiser::{Denoiser, ExactDenoiser, GaussianData},
    flow::{
        Convention, Coupling, End, Times, conditional_velocity,
        continuity::{continuity_error, swirled_velocity},
        continuity_terms,
        convention::convert_field,
        convert_time, convert_velocity, euler, euler_step, flow_losses,
        known::{self, euler_beside_ddim, heun_ends},
        likelihood_error, logit_normal_density, logit_normal_time,
        loss::measured_losses,
        loss_constant, marginal_divergence, marginal_velocity, path_velocity, reflow_pairs, schedule_time,
        straight_euler_step, straight_level, straightness,
        straightness::{in_one_step, pair_trajectories, trajectories},
        train_velocity, velocity_of, velocity_per_log_snr, velocity_variance,
    },
    forward::{TransitionKernel, standard_normal},
    gaussian::log_density,
    metrics::{Evaluator, largest_difference, mean, median_row_distance, standard_error},
    network::{Mlp, MlpConfig},
    objective::Objective,
    path::Path,
    sampler::{Spacing, ddim, ddim_step, sample, time_grid},
    schedule::{Schedule, ScheduleName},
    train::{NetworkDenoiser, TrainConfig},
    weighting::{Weighting, per_log_snr},
};
use ndarray::{Array1, Array2, ArrayView1, Axis, arr2, array};
use std::f64::consts::{PI, SQRT_2};

/// Three Gaussians on the plane, none of them round.
fn three() -> GaussianMixture {
    let means = array![[-1.0, 0.4], [0.8, 0.9], [0.3, -1.1]];
    GaussianMixture::new(array![0.2, 0.5, 0.3], means, array![[0.05, 0.2], [0.1, 0.04], [0.3, 0.08]])
}

/// E[f(x_0) | x_t = x] of a mixture on a line: Bayes' rule on a grid of x_0.
fn posterior_mean_on_grid(
    data: &GaussianMixture,
    at: TransitionKernel,
    x: f64,
    f: impl Fn(f64) -> f64,
) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for i in 0..20_000 {
        let x_0 = -5.0 + 1e3f64.recip() * (i as f64 + 0.5) * 0.5;
        let weight =
            (data.log_density(array![x_0].view()) + log_density(x, at.signal * x_0, at.variance)).exp();
        (sum, total) = (sum + weight * f(x_0), total + weight);
    }
    sum / total
}

// ANCHOR: conditional_velocity_is_the_slope
#[test]
fn conditional_velocity_is_the_slope_of_a_pair_s_way() {
    let mut rng = rng(1);
    let [x_0, eps] = [(); 2].map(|()| standard_normal(8, 2, &mut rng));
    let h = 1e-5;
    for path in Path::ALL {
        for t in [0.05, 0.3, 0.5, 0.8, 0.95] {
            let [before, here, after] = [t - h, t, t + h].map(|t| path.diffuse(&x_0, &eps, t));
            let slope = (after - before) / (2.0 * h);
            let u = conditional_velocity(path, t, &here, &x_0);
            let scale = 1.0 + slope.iter().fold(0.0, |most: f64, u| most.max(u.abs()));
            assert_all_close(&format!("{}, t = {t}: velocity", path.name()), &u, &slope, 1e-6 * scale);
        }
    }
}
// ANCHOR_END: conditional_velocity_is_the_slope

#[test]
fn conditional_velocity_carries_the_kernel_from_one_x_0() {
    // All points come from x_0 = (0.7, −0.4): p_t is the kernel itself, and no point may be lost
    let x_0 = array![[0.7, -0.4]];
    let point = GaussianMixture::new(array![1.0], x_0.clone(), array![[1e-14, 1e-14]]);
    for path in [Path::Straight, Path::Cosine, Path::Sde(Sde::VP)] {
        let u = |t: f64, x: &Array2<f64>| {
            conditional_velocity(path, t, x, &x_0.broadcast(x.dim()).unwrap().to_owned())
        };
        for t in [0.3, 0.6, 0.9] {
            let x = point.through(path.kernel(t)).sample(30, &mut rng(2));
            let error = continuity_error(&point, path, u, t, &x, 1e-4);
            assert!(error < 1e-5, "{}, t = {t}: ∂p/∂t + ∇·(p u) is {error:.1e} of ∂p/∂t", path.name());
        }
    }
}

// ANCHOR: marginal_velocity_is_the_mean
#[test]
fn marginal_velocity_is_the_mean_over_what_x_t_leaves_open() {
    let data = two_humps();
    for path in [Path::Straight, Path::Cosine, Path::Sde(Sde::VP), Path::Sde(Sde::VE)] {
        for t in [0.2, 0.5, 0.8] {
            for x in [-1.4, -0.2, 0.6, 1.5] {
                let u = marginal_velocity(&data, path, t, &arr2(&[[x]]))[(0, 0)];
                let pair = |x_0: f64| conditional_velocity(path, t, &arr2(&[[x]]), &arr2(&[[x_0]]))[(0, 0)];
                let by_bayes = posterior_mean_on_grid(&data, path.kernel(t), x, pair);
                let what = format!("{}, t = {t}, x = {x}: velocity", path.name());
                assert_close(&what, u, by_bayes, 1e-6 * (1.0 + by_bayes.abs()));
            }
        }
    }
}
// ANCHOR_END: marginal_velocity_is_the_mean

#[test]
fn marginal_velocity_loses_no_point() {
    let data = three();
    for path in Path::ALL {
        let u = |t: f64, x: &Array2<f64>| marginal_velocity(&data, path, t, x);
        for t in [0.1, 0.4, 0.7, 0.95] {
            let x = data.through(path.kernel(t)).sample(40, &mut rng(3));
            let [coarse, fine] = [2e-3, 1e-3].map(|h| continuity_error(&data, path, u, t, &x, h));
            let what = format!("{}, t = {t}: ∂p/∂t + ∇·(p u)", path.name());
            assert!(fine < 0.02, "{what} is {fine:.1e} of ∂p/∂t");
            let ratio = coarse / fine;
            assert!((3.0..5.0).contains(&ratio), "{what}: half of h divides it by {ratio:.2}, not by 4");
        }
    }
}

#[test]
fn marginal_velocity_of_an_sde_s_path_is_its_probability_flow() {
    let (data, mut rng) = (three(), rng(4));
    for sde in [Sde::VP, Sde::SUB_VP, Sde::VE] {
        let flow = sde::probability_flow(&sde, &data);
        for t in [0.01, 0.2, 0.6, 1.0] {
            let x = data.through(sde::kernel(&sde, t)).sample(20, &mut rng);
            let (u, expected) = (marginal_velocity(&data, Path::Sde(sde), t, &x), flow(t, &x));
            let scale = 1.0 + expected.iter().fold(0.0, |most: f64, u| most.max(u.abs()));
            assert_all_close(&format!("{}, t = {t}", sde.name()), &u, &expected, 1e-9 * scale);
        }
    }
}

#[test]
fn marginal_velocity_is_finite_at_both_ends_of_the_straight_path() {
    let data = three();
    let x = array![[0.3, -0.9], [-1.0, 0.5], [2.0, 2.0]];
    // at the data x is x_0, and of ε only the mean 0 is known; at the noise x is ε, and of x_0 only its mean
    let at_data = marginal_velocity(&data, Path::Straight, 0.0, &x);
    assert_all_close("t = 0: −x", &at_data, &-&x, 1e-12);
    let at_noise = marginal_velocity(&data, Path::Straight, 1.0, &x);
    assert_all_close("t = 1: x − E x_0", &at_noise, &(&x - &data.mean()), 1e-12);
    let one_call = in_one_step(|t, x| marginal_velocity(&data, Path::Straight, t, x), &x);
    for row in one_call.rows() {
        let at_mean = &row - &data.mean();
        assert!(at_mean.iter().all(|d| d.abs() < 1e-12), "a single call draws {row}, not the mean");
    }
}

#[test]
fn variance_rate_is_the_slope_of_the_variance() {
    let h = 1e-6;
    for path in Path::ALL {
        for t in [0.1, 0.5, 0.9] {
            let slope = (path.kernel(t + h).variance - path.kernel(t - h).variance) / (2.0 * h);
            assert_close(path.name(), path.variance_rate(t), slope, 1e-7 * (1.0 + slope.abs()));
        }
        assert!(path.variance_rate(0.0).is_finite(), "{}: dσ²/dt at t = 0", path.name());
    }
}

#[test]
fn marginal_divergence_is_the_sum_of_slopes() {
    let (data, h) = (three(), 1e-5);
    for path in Path::ALL {
        for t in [0.1, 0.5, 0.9, 1.0] {
            let x = data.through(path.kernel(t)).sample(10, &mut rng(5));
            let mut slopes = Array1::<f64>::zeros(10);
            for axis in 0..2 {
                let shifted = |by: f64| {
                    let mut there = x.clone();
                    there.column_mut(axis).mapv_inplace(|x| x + by);
                    marginal_velocity(&data, path, t, &there).column(axis).to_owned()
                };
                slopes += &((shifted(h) - shifted(-h)) / (2.0 * h));
            }
            let found = marginal_divergence(&data, path, t, &x);
            for (found, slope) in found.iter().zip(&slopes) {
                assert_close(
                    &format!("{}, t = {t}", path.name()),
                    *found,
                    *slope,
                    1e-5 * (1.0 + slope.abs()),
                );
            }
        }
    }
}

#[test]
fn velocity_variance_is_what_bayes_leaves_open() {
    let data = two_humps();
    for path in [Path::Straight, Path::Cosine, Path::Sde(Sde::VP)] {
        for (t, x) in [(0.3, -0.5), (0.5, 0.1), (0.8, 1.0)] {
            let pair = |x_0: f64| conditional_velocity(path, t, &arr2(&[[x]]), &arr2(&[[x_0]]))[(0, 0)];
            let at = path.kernel(t);
            let first = posterior_mean_on_grid(&data, at, x, pair);
            let second = posterior_mean_on_grid(&data, at, x, |x_0| (pair(x_0) - first).powi(2));
            let found = velocity_variance(&data, path, t, &arr2(&[[x]]))[0];
            assert_relative(&format!("{}, t = {t}, x = {x}", path.name()), found, second, 1e-6);
        }
    }
}

#[test]
fn flow_carries_the_exact_likelihood() {
    let data = three();
    let x = data.sample(10, &mut rng(6));
    for path in [Path::Straight, Path::Cosine, Path::Sde(Sde::VP)] {
        let [coarse, fine] = [1e-4, 1e-9].map(|by| likelihood_error(&data, path, &x, by).unwrap());
        let name = path.name();
        assert!(fine[1] < 1e-6, "{name}: ln p is off by {:.1e} nats at a tolerance of 1e-9", fine[1]);
        assert!(fine[0] > coarse[0] && fine[1] < coarse[1], "{name}: {coarse:?}, {fine:?}");
    }
}

// ANCHOR: flow_losses_differ_by_a_constant
#[test]
fn flow_losses_differ_by_a_constant() {
    let data = two_humps();
    for (path, t) in [(Path::Straight, 0.3), (Path::Straight, 0.7), (Path::Cosine, 0.5)] {
        let exact = |x: f64| marginal_velocity(&data, path, t, &arr2(&[[x]]))[(0, 0)];
        let fields: [(&str, &dyn Fn(f64) -> f64); 4] =
            [("0", &|_| 0.0), ("x", &|x| x), ("sin 3x", &|x| (3.0 * x).sin()), ("u", &exact)];
        let constant = loss_constant(&data, path, t);
        let mut least = f64::INFINITY;
        for (name, field) in fields {
            let [fm, cfm] = flow_losses(&data, path, t, field);
            let what = format!("{}, t = {t}, v = {name}: L_CFM − L_FM", path.name());
            assert_close(&what, cfm - fm, constant, 1e-7);
            assert!(fm >= 0.0 && cfm > 0.0, "{what}: {fm}, {cfm}");
            least = least.min(cfm);
        }
        assert_close("the least of them is that of u: the constant", least, constant, 1e-7);
    }
}
// ANCHOR_END: flow_losses_differ_by_a_constant

#[test]
fn measured_losses_differ_by_the_constant_on_average() {
    let data = three();
    for path in [Path::Straight, Path::Cosine] {
        let v = |t: f64, x: &Array2<f64>| x * (1.0 - t) + 0.3;
        let losses = measured_losses(&data, path, v, (20, 2000), &mut rng(7));
        assert_eq!(losses.dim(), (40_000, 3));
        let beyond = &losses.column(0) - &losses.column(1) - losses.column(2);
        let error = standard_error(beyond.view());
        let off = mean(beyond.view()).abs();
        assert!(off < 5.0 * error, "{}: off by {off:.4}, s.e. {error:.4}", path.name());
        assert!(mean(losses.column(1)) > 0.1, "the field is wrong, so its loss is not 0");
    }
}

// ANCHOR: convert_velocity_is_the_slope
#[test]
fn convert_velocity_is_the_slope_in_its_own_time() {
    let mut rng = rng(8);
    let [x_0, eps] = [(); 2].map(|()| standard_normal(5, 2, &mut rng));
    let (ours, h) = (Convention::OURS, 1e-4);
    for convention in Convention::ALL {
        for t in [0.2, 0.5, 0.9] {
            // where the pair is at a time of the convention: one end is at its 0
            let place = |own: f64| match convention.time_from {
                End::Data => (1.0 - own) * &x_0 + own * &eps,
                End::Noise => own * &x_0 + (1.0 - own) * &eps,
            };
            let own = convert_time(ours, convention, t);
            let what = format!("{convention:?}, t = {t}");
            assert_all_close(
                &format!("{what}: x"),
                &place(own),
                &Path::Straight.diffuse(&x_0, &eps, t),
                1e-12,
            );
            let towards = match convention.velocity_to {
                End::Data => &x_0 - &eps,
                End::Noise => &eps - &x_0,
            };
            let v = convert_velocity(ours, convention, &(&eps - &x_0));
            assert_all_close(&format!("{what}: velocity"), &v, &towards, 1e-12);
            let slope = (place(own + h) - place(own - h)) / (2.0 * h);
            assert_all_close(&format!("{what}: dx/dt is s v"), &(convention.sign() * &v), &slope, 1e-8);
            let back = convert_velocity(convention, ours, &v);
            assert_all_close(&format!("{what}: and back"), &back, &(&eps - &x_0), 1e-12);
        }
    }
}
// ANCHOR_END: convert_velocity_is_the_slope

#[test]
fn convert_velocity_leads_to_the_same_points_in_every_convention() {
    let (data, x_1) = (three(), standard_normal::<f64>(10, 2, &mut rng(9)));
    let ours = |t: f64, x: &Array2<f64>| marginal_velocity(&data, Path::Straight, t, x);
    let times =
        |from: f64, to: f64| (0..=40).map(|i| from + (to - from) * i as f64 / 40.0).collect::<Vec<_>>();
    let expected = euler(ours, x_1.clone(), &times(1.0, 0.0), |_, _| ());
    for convention in Convention::ALL {
        let theirs = convert_field(Convention::OURS, convention, ours);
        let [from, to] = [1.0, 0.0].map(|t| convert_time(Convention::OURS, convention, t));
        let in_own_time = |t: f64, x: &Array2<f64>| convention.sign() * theirs(t, x);
        let drawn = euler(in_own_time, x_1.clone(), &times(from, to), |_, _| ());
        assert_all_close(&format!("{convention:?}"), &drawn, &expected, 1e-9);
    }
}

#[test]
fn euler_step_goes_straight_on() {
    let (x, u) = (array![[2.0, 1.0]], array![[4.0, -2.0]]);
    assert_eq!(euler_step(&x, &u, (0.75, 0.5)), array![[1.0, 1.5]], "towards the data");
    assert_eq!(euler_step(&x, &u, (0.5, 0.75)), array![[3.0, 0.5]], "towards the noise");
    let mut seen = Vec::new();
    euler(|t, x| x * 0.0 + t, array![[0.0]], &[1.0, 0.75, 0.25], |t, x| seen.push((t, x[(0, 0)])));
    assert_eq!(seen, [(1.0, 0.0), (0.75, -0.25), (0.25, -0.625)]); // −¼ · 1, then −½ · ¾
}

// ANCHOR: straight_euler_step_is_ddim
#[test]
fn straight_euler_step_is_ddim_without_noise() {
    for name in [ScheduleName::Linear, ScheduleName::Cosine] {
        let schedule = name.schedule(1000).unwrap();
        for (t, previous) in
            [(1000, 999), (1000, 500), (999, 0), (500, 499), (500, 1), (20, 10), (2, 1), (1, 0)]
        {
            let (ours, ddim) =
                (straight_euler_step(&schedule, t, previous), ddim_step(&schedule, t, previous, 0.0, None));
            let what = format!("{name}, t = {t} to {previous}");
            assert_eq!(
                (ours.t, ours.noise, ours.x_0, ours.clip),
                (t, 0.0, 0.0, None),
                "{what}: t, noise, x̂_0, clip"
            );
            assert_relative(&format!("{what}: factor of x_t"), ours.x_t, ddim.x_t, 1e-10);
            assert_relative(&format!("{what}: factor of ε"), ours.eps, ddim.eps, 1e-9);
            assert_eq!(
                (ours.x_0_from_x_t, ours.x_0_from_eps),
                (ddim.x_0_from_x_t, ddim.x_0_from_eps),
                "{what}: x̂_0"
            );
        }
    }
}
// ANCHOR_END: straight_euler_step_is_ddim

#[test]
#[should_panic(expected = "to an earlier step, not to 5")]
fn straight_euler_step_goes_down_only() {
    straight_euler_step(&Schedule::linear_scaled(100).unwrap(), 5, 5);
}

/// A network that nobody trained: its ε is smooth, and as good as any for an identity.
fn fresh_network() -> Mlp<f64> {
    Mlp::new(MlpConfig::default(), &mut rng(10)).unwrap()
}

#[test]
fn euler_on_the_straight_path_is_ddim_with_a_network() {
    let (schedule, network) = (Schedule::linear_scaled(1000).unwrap(), fresh_network());
    let denoiser = NetworkDenoiser { schedule: &schedule, network: &network, objective: Objective::Simple };
    let grid = time_grid(1000, 25, Spacing::Trailing).unwrap();
    let x_t = standard_normal(20, 2, &mut rng(11));
    let apart = euler_beside_ddim(&schedule, &denoiser, &grid, &x_t);
    let times: Vec<usize> = apart.iter().map(|(t, _)| *t).collect();
    assert_eq!(times, grid.iter().copied().chain([0]).collect::<Vec<_>>(), "the levels that both visit");
    for (t, difference) in apart {
        // the times of the levels come back to rounding, which ᾱ_T = 4·10⁻⁵ makes larger
        assert!(difference < 1e-8, "t = {t}: Euler and DDIM are {difference:.1e} apart on the straight path");
    }
    let other: Vec<usize> = grid.iter().map(|t| t - 1).collect();
    let ours = sample(&ddim(&schedule, &grid, 0.0, None), &denoiser, x_t.clone(), &mut rng(0), |_, _| ());
    let theirs = sample(&ddim(&schedule, &other, 0.0, None), &denoiser, x_t, &mut rng(0), |_, _| ());
    assert!(largest_difference(&ours, &theirs) > 1e-4, "one level lower is another way");
}

#[test]
fn schedule_time_inverts_the_log_snr() {
    for name in [ScheduleName::Linear, ScheduleName::Cosine] {
        let schedule = name.schedule(100).unwrap();
        for t in [0.25, 1.0, 1.5, 17.0, 50.75, 99.0, 100.0] {
            let bar = schedule.alpha_bar_at(t);
            let found = schedule_time(&schedule, (bar / (1.0 - bar)).ln());
            assert_close(&format!("{name}, t = {t}"), found, t, 1e-8);
        }
        assert_eq!(schedule_time(&schedule, f64::INFINITY), 0.0, "{name}: the data");
    }
}

#[test]
fn path_velocity_is_the_mixture_s_on_every_path() {
    let (schedule, data) = (Schedule::linear_scaled(200).unwrap(), three());
    let exact = ExactDenoiser::new(&schedule, &data);
    for path in Path::ALL {
        for log_snr in [-6.0, -1.3, 0.0, 2.0, 5.0] {
            let t = path.time_at(log_snr);
            let x = data.through(path.kernel(t)).sample(10, &mut rng(12));
            let (u, expected) =
                (path_velocity(path, &schedule, &exact, t, &x), marginal_velocity(&data, path, t, &x));
            let scale = 1.0 + expected.iter().fold(0.0, |most: f64, u| most.max(u.abs()));
            assert_all_close(&format!("{}, λ = {log_snr}", path.name()), &u, &expected, 1e-7 * scale);
        }
    }
}

#[test]
fn path_velocity_of_one_network_leads_to_the_same_points_on_every_path() {
    // From one log-SNR down to another, at real times between the levels: the flow is one, and Heun's method errs by order 2.
    // The untrained network begins lower: at ᾱ_T its x̂_0 = (x − σ ε̂)/α would be hundreds.
    let (schedule, network) = (Schedule::linear_scaled(1000).unwrap(), fresh_network());
    let fresh = NetworkDenoiser { schedule: &schedule, network: &network, objective: Objective::Simple };
    let data = three();
    let exact = ExactDenoiser::new(&schedule, &data);
    let x = standard_normal(10, 2, &mut rng(13));
    let denoisers: [(&str, &dyn Denoiser, usize); 2] = [("exact", &exact, 1000), ("untrained", &fresh, 400)];
    for (name, denoiser, first) in denoisers {
        let end = |path: Path, steps: usize| heun_ends(path, &schedule, &denoiser, &x, (first, 20), steps);
        for (a, b) in [(Path::Straight, Path::Cosine), (Path::Straight, Path::Sde(Sde::VP))] {
            let [coarse, fine] = [100, 200].map(|steps| median_row_distance(&end(a, steps), &end(b, steps)));
            let what = format!("{name}, {} and {}", a.name(), b.name());
            let ratio = coarse / fine;
            assert!(fine < 5e-3, "{what}: with 200 steps the ends lie {fine:.1e} apart");
            assert!(ratio > 2.8, "{what}: {coarse:.1e}, {fine:.1e} with twice the steps");
            assert!(
                name != "exact" || ratio < 6.0,
                "{what}: {coarse:.1e}, {fine:.1e}; order 2 is a ratio of 4"
            );
        }
    }
}

#[test]
fn logit_normal_times_have_their_density() {
    let (m, s) = (0.4, 0.8);
    // P(t ≤ u) = Φ((logit u − m)/s), by the density's sum on a grid and by the function of normal numbers
    for u in [0.2, 0.5, 0.9] {
        let cells = 100_000;
        let by_density: f64 = (0..cells)
            .map(|i| (i as f64 + 0.5) / cells as f64 * u)
            .map(|t| logit_normal_density(t, m, s) * u / cells as f64)
            .sum();
        let z = ((u / (1.0 - u)).ln() - m) / s;
        let exact = 0.5 * (1.0 + erf(z / SQRT_2));
        assert_close(&format!("P(t ≤ {u})"), by_density, exact, 1e-7);
        assert_close(&format!("the time of z = {z}"), logit_normal_time(z, m, s), u, 1e-12);
    }
    let times = Times::LogitNormal { mean: m, deviation: s };
    let mut rng = rng(14);
    let logits: Array1<f64> =
        (0..20_000).map(|_| times.sample(&mut rng)).map(|t: f64| (t / (1.0 - t)).ln()).collect();
    assert_close("mean of logit t", mean(logits.view()), m, 5.0 * s / 20_000f64.sqrt());
    assert_close("deviation of logit t", logits.std(1.0), s, 5.0 * s / 40_000f64.sqrt());
    assert_eq!((times.density(0.3), Times::Uniform.density(0.3)), (logit_normal_density(0.3, m, s), 1.0));
}

/// The error function by its integral, with Simpson's rule.
fn erf(x: f64) -> f64 {
    let (n, f) = (2000, |u: f64| (-u * u).exp());
    let h = x / f64::from(n);
    let inner: f64 = (1..n).map(|i| f(h * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    2.0 / PI.sqrt() * h / 3.0 * (f(0.0) + inner + f(x))
}

#[test]
fn velocity_per_log_snr_weighs_as_v_on_the_cosine_path() {
    for log_snr in [-8.0, -3.0, -1.0, 0.0, 1.0, 3.0, 8.0] {
        let t = Path::Straight.time_at(log_snr);
        let straight = velocity_per_log_snr(Path::Straight, Times::Uniform, t);
        assert_relative(&format!("λ = {log_snr}: ½ e^(λ/2)"), straight, 0.5 * (0.5 * log_snr).exp(), 1e-9);
        let cosine = per_log_snr(Weighting::SnrPlusOne, Path::Cosine, Path::Cosine.time_at(log_snr));
        assert_relative(&format!("λ = {log_snr}: π/2"), straight / cosine, 0.5 * PI, 1e-9);
        // logit-normal times are normal in λ, with mean −2 m and deviation 2 s
        let times = Times::LogitNormal { mean: 0.3, deviation: 1.2 };
        let weight = velocity_per_log_snr(Path::Straight, times, t) * t * t;
        assert_relative(
            &format!("λ = {log_snr}: its density"),
            weight,
            log_density(log_snr, -0.6, 5.76).exp(),
            1e-9,
        );
    }
}

// ANCHOR: straightness_of_known_ways
#[test]
fn straightness_of_known_ways() {
    let even: Vec<_> = (0..=10).map(|i| 0.1 * f64::from(i) * array![[3.0, 4.0], [0.0, -2.0]]).collect();
    let of_even = straightness(&even);
    assert_close("straight at constant speed: curvature", of_even.curvature, 0.0, 1e-12);
    assert_close("straight at constant speed: detour", of_even.detour, 1.0, 1e-12);
    // half a circle at constant speed: velocity π against a chord of 2
    let n = 2000;
    let circle: Vec<_> = (0..=n)
        .map(|i| PI * f64::from(i) / f64::from(n))
        .map(|angle| array![[angle.cos(), angle.sin()]])
        .collect();
    let of_circle = straightness(&circle);
    assert_close("half a circle: curvature (π² − 4)/4", of_circle.curvature, (PI * PI - 4.0) / 4.0, 1e-5);
    assert_close("half a circle: detour π/2", of_circle.detour, PI / 2.0, 1e-5);
    // a straight way, at a speed that rises from 0 to 2: ∫ (2t − 1)² dt
    let hasty: Vec<_> = (0..=n).map(|i| array![[(f64::from(i) / f64::from(n)).powi(2)]]).collect();
    let of_hasty = straightness(&hasty);
    assert_close("straight, in haste: curvature ⅓", of_hasty.curvature, 1.0 / 3.0, 1e-6);
    assert_close("straight, in haste: detour", of_hasty.detour, 1.0, 1e-12);
    // two trajectories of unlike length, of which only the long one is curved: squares weigh, not points
    let both: Vec<_> = (0..=n)
        .map(|i| f64::from(i) / f64::from(n))
        .map(|t| array![[2.0 * (PI * t).cos(), 2.0 * (PI * t).sin()], [t, 0.0]])
        .collect();
    let of_both = straightness(&both);
    assert_close(
        "a long curve and a short line: curvature",
        of_both.curvature,
        4.0 * (PI * PI - 4.0) / 17.0,
        1e-4,
    );
    assert_close("a long curve and a short line: detour", of_both.detour, (2.0 * PI + 1.0) / 5.0, 1e-5);
}
// ANCHOR_END: straightness_of_known_ways

#[test]
fn straightness_of_the_flow_of_a_gaussian() {
    // N(m, v) moves by x_t = (1 − t) m + s_t ε, s_t² = (1 − t)² v + t²: ∫ s′² dt on a grid, no flow solved
    let (m, v) = (array![0.8, -0.5], 0.3);
    let data =
        GaussianMixture::new(array![1.0], m.clone().insert_axis(Axis(0)), Array2::from_elem((1, 2), v));
    let x_1 = standard_normal(2000, 2, &mut rng(15));
    let places = trajectories(|t, x| marginal_velocity(&data, Path::Straight, t, x), &x_1, 200);
    let (cells, root) = (10_000, v.sqrt());
    let slope = |t: f64| (t - (1.0 - t) * v) / ((1.0 - t).powi(2) * v + t * t).sqrt();
    let energy: f64 =
        (0..cells).map(|i| slope((f64::from(i) + 0.5) / f64::from(cells)).powi(2) / f64::from(cells)).sum();
    let squared = x_1.mapv(|x| x * x).sum() / 2000.0; // E‖ε‖², of these points
    let along = x_1.mean_axis(Axis(0)).unwrap().dot(&m);
    let chord = (1.0 - root).powi(2) * squared - 2.0 * (1.0 - root) * along + m.dot(&m);
    let expected = (energy - (1.0 - root).powi(2)) * squared / chord;
    assert_relative("curvature", straightness(&places).curvature, expected, 1e-3);
    let end = &m + &(root * &x_1);
    assert_all_close("where it ends", &places[200], &end, 1e-4);
}

#[test]
fn straightness_is_the_energy_that_the_chord_does_not_need() {
    // ∫ E‖ẋ − c‖² = ∫ E‖ẋ‖² − E‖c‖²: the kinetic energy is never less than the squared distance of the ends
    let data = three();
    let x_1 = standard_normal(300, 2, &mut rng(16));
    for path in [Path::Straight, Path::Cosine] {
        let places = trajectories(|t, x| marginal_velocity(&data, path, t, x), &x_1, 100);
        let squared = |d: &Array2<f64>| d.mapv(|d| d * d).sum();
        let energy: f64 = places.windows(2).map(|pair| 100.0 * squared(&(&pair[1] - &pair[0]))).sum();
        let chord = squared(&(&places[100] - &places[0]));
        let found = straightness(&places);
        assert_relative(path.name(), found.curvature, energy / chord - 1.0, 1e-9);
        assert!(found.detour >= 1.0 && found.curvature > 0.0, "{}: {found:?}", path.name());
    }
}

// ANCHOR: reflow_pairs_of_a_gaussian
#[test]
fn reflow_pairs_of_a_gaussian_are_its_own_map() {
    // the flow of N(m, v) carries ε to m + √v ε
    let data = GaussianMixture::new(array![1.0], array![[0.5, -0.25]], array![[0.3, 0.05]]);
    let eps = standard_normal(50, 2, &mut rng(17));
    let velocity = |t: f64, x: &Array2<f64>| marginal_velocity(&data, Path::Straight, t, x);
    let error = |steps: usize| {
        let pairs = reflow_pairs(velocity, &eps, steps).unwrap();
        assert!(pairs.eps == eps, "the noise must be that which was given, in its order");
        largest_difference(&pairs.x_0, &(&data.means + &(data.variances.mapv(f64::sqrt) * &eps)))
    };
    let (coarse, fine) = (error(50), error(100));
    assert!(fine < 2e-3, "with 100 steps of Heun’s method a point ends {fine:.1e} beside its place");
    assert!((3.0..5.0).contains(&(coarse / fine)), "of second order: {coarse:.1e}, {fine:.1e}");
}
// ANCHOR_END: reflow_pairs_of_a_gaussian

#[test]
fn reflow_pairs_on_a_line_keep_the_order() {
    // trajectories of a flow never cross; so the lines between its pairs do not, and the next velocity is theirs alone
    let data = two_humps();
    let eps = Array2::from_shape_fn((101, 1), |(i, _)| -2.5 + 0.05 * i as f64);
    let pairs = reflow_pairs(|t, x| marginal_velocity(&data, Path::Straight, t, x), &eps, 200).unwrap();
    let falls = pairs.x_0.column(0).windows(2).into_iter().filter(|pair| pair[0] >= pair[1]).count();
    assert_eq!(falls, 0, "neighbours that changed sides");
}

#[test]
fn coupling_draws_pairs_that_belong_together() {
    let eps = standard_normal(30, 2, &mut rng(18));
    let pairs = Coupling { x_0: 2.0 * &eps, eps };
    let drawn = pairs.draw(500, &mut rng(19));
    assert_eq!(drawn.x_0.dim(), (500, 2));
    assert_all_close("x_0 is that of its ε", &drawn.x_0, &(2.0 * &drawn.eps), 1e-12);
    let used =
        pairs.eps.rows().into_iter().filter(|row| drawn.eps.rows().into_iter().any(|d| d == row)).count();
    assert_eq!(used, 30, "pairs that were drawn at all, of 30 in 500 draws");
}

#[test]
fn train_velocity_learns_the_velocity() {
    let data = GaussianData { mean: array![0.5, -0.25], variance: 0.3 };
    let mixture = GaussianMixture::new(array![1.0], array![[0.5, -0.25]], array![[0.3, 0.3]]);
    let config = TrainConfig { steps: 400, batch: 256, ema_decay: 0.98, ..TrainConfig::default() };
    for times in [Times::Uniform, Times::LOGIT_NORMAL] {
        let mut rng = rng(20);
        let pairs = |count: usize, rng: &mut _| Coupling {
            x_0: data.sample(count, rng),
            eps: standard_normal(count, 2, rng),
        };
        let network = train_velocity::<f32, _>(&config, times, pairs, &mut rng, |_| ()).unwrap();
        let field = velocity_of(&network);
        for t in [0.3, 0.5, 0.7] {
            let x = mixture.through(Path::Straight.kernel(t)).sample(500, &mut rng);
            let u = marginal_velocity(&mixture, Path::Straight, t, &x);
            let error = median_row_distance(&field(t, &x), &u);
            assert!(error < 0.15, "{times:?}, t = {t}: the median error of the velocity is {error:.3}");
        }
    }
    let level = straight_level(0.25);
    assert_eq!((level.time, level.weight, level.input_scale), (250.0, 1.0, 1.0), "the network sees 1000 t");
}

#[test]
fn continuity_terms_tell_a_wrong_velocity() {
    let data = three();
    let x = data.through(Path::Straight.kernel(0.4)).sample(40, &mut rng(21));
    let error = |factor: f64| {
        let u = |t: f64, x: &Array2<f64>| factor * marginal_velocity(&data, Path::Straight, t, x);
        continuity_error(&data, Path::Straight, u, 0.4, &x, 1e-4)
    };
    assert!(error(1.0) < 1e-5, "the right one: {:.1e}", error(1.0));
    assert_close("half of it leaves half", error(0.5), 0.5, 1e-4);
    assert_close("its opposite leaves twice ∂p/∂t", error(-1.0), 2.0, 1e-4);
    let [of_density, _] = continuity_terms(&data, Path::Straight, |_, x| x.clone(), 0.4, &x, 1e-4);
    let density = |t: f64, x: ArrayView1<f64>| data.through(Path::Straight.kernel(t)).log_density(x).exp();
    let slope = (density(0.401, x.row(0)) - density(0.399, x.row(0))) / 0.002;
    assert_relative("∂p/∂t", of_density[0], slope, 1e-3);
}

#[test]
fn a_swirl_moves_points_and_no_density() {
    let data = three();
    let swirled = |t: f64, x: &Array2<f64>| swirled_velocity(&data, Path::Straight, 1.0, t, x);
    let x = data.through(Path::Straight.kernel(0.6)).sample(40, &mut rng(22));
    let error = continuity_error(&data, Path::Straight, swirled, 0.6, &x, 1e-4);
    assert!(error < 1e-5, "∂p/∂t + ∇·(p u) is {error:.1e} of ∂p/∂t");
    let apart = largest_difference(&swirled(0.6, &x), &marginal_velocity(&data, Path::Straight, 0.6, &x));
    assert!(apart > 0.5, "another velocity: {apart:.2e}");
}

// what flows and networks make of known data

#[test]
fn a_pair_is_joined_from_noise_to_data_in_even_steps() {
    let (x_0, eps) = (array![[1.0, -2.0]], array![[3.0, 6.0]]);
    for steps in [1, 4, 5] {
        let places = pair_trajectories(Path::Straight, &x_0, &eps, steps);
        assert_eq!(places.len(), steps + 1);
        for (i, place) in places.iter().enumerate() {
            let expected = &eps + &((&x_0 - &eps) * (i as f64 / steps as f64));
            assert_all_close(&format!("place {i} of {steps}"), place, &expected, 1e-12);
        }
    }
    // half way on the quarter of a circle
    let places = pair_trajectories(Path::Cosine, &x_0, &eps, 2);
    assert_all_close("half way", &places[1], &((&x_0 + &eps) / SQRT_2), 1e-12);
}

#[test]
fn continuity_errors_are_of_four_velocities() {
    let data = three();
    let x = data.through(Path::Straight.kernel(0.5)).sample(40, &mut rng(23));
    let [own, swirled, opposite, of_cosine] = known::continuity_errors(&data, 0.5, &x, 1e-3);
    assert!(own > 0.0 && own < 1e-4 && swirled > 0.0 && swirled < 1e-4, "{own:e} and {swirled:e}");
    assert!(own != swirled, "the swirl has differences of its own");
    assert_close("the opposite velocity", opposite, 2.0, 1e-3);
    assert!((0.1..1.9).contains(&of_cosine), "the velocity of another path: {of_cosine}");
}

#[test]
fn weights_per_log_snr_are_the_closed_forms() {
    for lambda in [-6.0, -1.0, 0.0, 2.5_f64] {
        let [uniform, logit_normal, v, simple] = known::weights(lambda);
        let half = (0.5 * lambda).exp();
        let t = 1.0 / (1.0 + half);
        let density = (-lambda * lambda / 8.0).exp() / (2.0 * PI).sqrt() / (t * (1.0 - t));
        let vp = Path::Sde(Sde::VP);
        let time = vp.time_at(lambda);
        let fall = (vp.log_snr(time - 1e-5) - vp.log_snr(time + 1e-5)) / 2e-5;
        for (name, got, expected) in [
            ("uniform t", uniform, 0.5 * half),
            ("logit-normal t", logit_normal, 0.5 * half * density),
            ("v on the cosine path", v, half / PI),
            ("L_simple on the VP path", simple, lambda.exp() / fall),
        ] {
            assert_relative(&format!("λ = {lambda}: {name}"), got, expected, 1e-6);
        }
        let off = known::affine_error(lambda);
        assert!((0.0..1e-12).contains(&off), "λ = {lambda}: {off:e}");
    }
}

#[test]
fn likelihood_and_end_know_where_a_path_ends() {
    let (mean, variance) = (array![[0.6, -0.3]], 0.4);
    let data = GaussianMixture::new(array![1.0], mean, array![[variance, variance]]);
    let x = data.sample(5, &mut rng(24));
    for path in [Path::Straight, Path::Sde(Sde::VP)] {
        let [calls, error, divergence] = known::likelihood_and_end(&data, path, &x, 1e-8).unwrap();
        assert!(calls > 20.0 && calls.fract() == 0.0, "{}: {calls} calls", path.name());
        assert!(error > 0.0 && error < 1e-5, "{}: off by {error:e} nats", path.name());
        let at = path.kernel(1.0);
        let (m, s) = (at.signal * at.signal * (0.36 + 0.09), at.signal * at.signal * variance + at.variance);
        let expected = 0.5 * (2.0 * s + m - 2.0 - 2.0 * s.ln()); // KL of N(m, s) in two dimensions
        assert_close(&format!("{}: KL(p_1 ‖ N(0, I))", path.name()), divergence, expected, 1e-7);
    }
}

/// Eight Gaussians, and a judge of 1000 points of them.
fn judged(judge: impl FnOnce(&GaussianMixture, &Evaluator)) {
    let dataset = Dataset::named(DatasetName::Gaussians8, "").unwrap();
    judge(dataset.mixture().unwrap(), &Evaluator::new(&dataset, 1000, 10, &mut rng(25)));
}

#[test]
fn misread_velocities_draw_far_from_the_data() {
    judged(|data, evaluator| {
        let [ours, theirs, turned, late] = Convention::ALL
            .map(|convention| known::misread_distance(data, convention, evaluator, &mut rng(26)));
        assert!((0.2..2.5).contains(&ours), "read as it is: {ours}");
        for (name, distance) in [("sign and time", theirs), ("sign", turned), ("time", late)] {
            assert!(distance > ours + 0.5, "{name}: {distance}, and {ours} without a mistake");
        }
        assert!(turned > 5.0 && theirs > 5.0, "{turned} and {theirs}");
    });
}

#[test]
fn exact_distances_fall_with_the_calls_and_are_means_of_their_draws() {
    judged(|data, evaluator| {
        let schedule = Schedule::linear_scaled(1000).unwrap();
        let of = |calls, draws, seed| {
            known::exact_distances(data, &schedule, calls, evaluator, draws, &mut rng(seed)).unwrap()
        };
        let (few, many) = (of(2, 1, 27), of(32, 7, 28));
        for way in 0..5 {
            assert!(few[way] > 1.5 && many[way] > 0.2, "way {way}: {few:?} and {many:?}");
            assert!(many[way] < 2.0 && many[way] < few[way], "way {way}: {few:?} and {many:?}");
        }
        let [_, of_ddim, ..] = few;
        assert!(few.iter().all(|distance| *distance <= of_ddim), "DDIM in two calls is farthest: {few:?}");
        assert!(
            few[3] < few[4],
            "one step of Heun’s method on the straight path, and two of Euler’s: {few:?}"
        );
    });
}

#[test]
fn networks_of_a_seed_are_four_and_each_is_trained() {
    judged(|data, evaluator| {
        let config = TrainConfig { steps: 300, batch: 128, ema_decay: 0.95, ..TrainConfig::default() };
        let mut steps = 0;
        let networks = known::Networks::of_seeds(data, &config, 200, [rng(29)], || steps += 1).unwrap();
        assert_eq!((networks.len(), steps), (1, known::Networks::COUNT * 300));
        let own = &networks[0];
        assert_eq!(own.schedule, Schedule::linear_scaled(1000).unwrap());
        assert_ne!(own.uniform.parameters(), own.logit_normal.parameters());
        assert_ne!(own.uniform.parameters(), own.reflowed.parameters());
        let fresh = Mlp::<f32>::new(own.uniform.config().clone(), &mut rng(30)).unwrap();
        let far = known::euler_distance(&fresh, 8, evaluator, &mut rng(31));
        let near = known::euler_distance(&own.uniform, 8, evaluator, &mut rng(31));
        assert!(far > 2.0 && near < 0.8 * far, "a trained velocity draws at {near}, a fresh one at {far}");
        let [free, clipped, euler, heun] = own.distances(8, evaluator, &mut rng(32));
        assert!(clipped > 0.0 && clipped < free, "ε: {free}, clipped {clipped}");
        assert!(euler < far && heun < far, "velocity: {euler} and {heun}, and a fresh network {far}");
        assert_relative("the same network, other noise", euler, near, 0.4);

        let [cfm, fm, open] = known::losses(&own.uniform, data, 100, &mut rng(33));
        let [.., of_fresh, _] = [0, 1, 2].map(|i| known::losses(&fresh, data, 100, &mut rng(33))[i].mean);
        assert!(fm.mean > 0.0 && fm.mean < 0.5 * of_fresh, "L_FM {} and {of_fresh} before", fm.mean);
        assert!(cfm.mean > fm.mean + 1.0, "the constant is large: {} and {}", cfm.mean, fm.mean);
        assert_eq!(cfm.draws, 2000, "20 times 100 points");
        assert_close("what is left of the constant", open.mean, 0.0, 5.0 * open.standard_error);
    });
}

#[test]
fn pairs_go_straight_on_the_straight_path_and_the_flow_turns() {
    let data = three();
    let (x_0, eps) = (data.sample(50, &mut rng(34)), standard_normal(50, 2, &mut rng(35)));
    let [curvature, detour, of_flow, flow_detour] = known::pairs_and_flow(&data, Path::Straight, &x_0, &eps);
    assert!(curvature < 1e-12 && of_flow > 0.1, "curvature: {curvature:e}, of the flow {of_flow}");
    assert_close("detour of the pairs", detour, 1.0, 1e-9);
    assert!(flow_detour > 1.001, "detour of the flow {flow_detour}");
    let of_cosine = known::pairs_and_flow(&data, Path::Cosine, &x_0, &eps);
    assert!(of_cosine[0] > 0.1 && of_cosine[1] > 1.05, "a quarter of an ellipse: {of_cosine:?}");
}

#[test]
fn ends_and_paths_have_their_names() {
    assert_eq!(format!("{}, {:>6}", End::Data, End::Noise), "data,  noise");
    let names = Path::ALL.map(|path| path.name());
    assert_eq!(names[3..], ["cosine", "straight"]);
    assert_eq!(names[0], Sde::VP.name());
}
