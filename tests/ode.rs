//! Heun and Dormand–Prince: their orders, their tolerances, and what they reject.

mod common;

use common::{assert_close, assert_relative};
use ddpm::{
    Error,
    continuous::ode::{
        Proposal, Tolerances, dormand_prince, dormand_prince_step, heun, heun_along, heun_step,
    },
};
use ndarray::{Array, Array0, Array1, Array2, Array3, Dimension, Ix0, arr0, arr1};
use std::f64::consts::TAU;

/// x' = x cos t, so x(t) = x(0) exp(sin t): neither linear in t nor of one sign.
fn wave<D: Dimension>(t: f64, x: &Array<f64, D>) -> Array<f64, D> {
    x * t.cos()
}

fn complaint<T: std::fmt::Debug>(result: Result<T, Error>) -> (&'static str, String) {
    match result {
        Err(Error::Parameter { name, value, .. }) => (name, value),
        other => panic!("expected a complaint about a parameter, not {other:?}"),
    }
}

/// The order p of a method from its errors at h and h/2, which differ by 2^p.
fn order(error: impl Fn(usize) -> f64, steps: usize) -> f64 {
    (error(steps) / error(2 * steps)).log2()
}

#[test]
fn heun_step_is_exact_where_the_slope_is_linear_in_time() {
    // x' = 3 + 4 t: the trapezoid rule, x(½) − x(¼) = 3/4 + 2 (1/4 − 1/16)
    let x = heun_step(&mut |t, _: &Array0<f64>| arr0(3.0 + 4.0 * t), &arr0(1.0), (0.25, 0.5));
    assert_close("x(½)", x.into_scalar(), 1.0 + 0.75 + 2.0 * (0.25 - 0.0625), 1e-15);
    // x' = x: 1 + h + h²/2
    let x = heun_step(&mut |_, x: &Array0<f64>| x.clone(), &arr0(1.0), (0.0, 0.2));
    assert_close("1 + h + h²/2", x.into_scalar(), 1.22, 1e-15);
}

#[test]
fn heun_is_of_order_2() {
    let error = |steps| {
        let x = heun(wave, arr0(1.0), (0.0, 2.0), steps).unwrap();
        (x.into_scalar() - 2f64.sin().exp()).abs()
    };
    for steps in [50, 100, 200] {
        assert_close(&format!("order from {steps} steps"), order(error, steps), 2.0, 0.1);
    }
}

#[test]
fn heun_runs_backwards_and_meets_both_ends() {
    let mut called = Vec::new();
    let back = heun(
        |t, x: &Array1<f64>| {
            called.push(t);
            wave(t, x)
        },
        arr1(&[2f64.sin().exp(), -3.0 * 2f64.sin().exp()]),
        (2.0, 0.1),
        300,
    )
    .unwrap();
    assert_close("x(0.1)", back[0], 0.1f64.sin().exp(), 2e-5);
    assert_close("the other entry", back[1], -3.0 * 0.1f64.sin().exp(), 6e-5);
    assert_eq!((called[0], called[called.len() - 1], called.len()), (2.0, 0.1, 600), "first, last, calls");
}

#[test]
fn dormand_prince_step_is_of_order_5_and_its_estimate_of_order_4() {
    let step = |h: f64| -> (f64, f64) {
        let x = arr0(0.5f64.sin().exp());
        let Proposal { x, slope, error } = dormand_prince_step(&mut wave, &x, &wave(0.5, &x), (0.5, 0.5 + h));
        assert_eq!(slope, wave(0.5 + h, &x), "the slope at the end of the step");
        ((x.into_scalar() - (0.5 + h).sin().exp()).abs(), error.into_scalar().abs())
    };
    let ((coarse, estimate), (fine, _)) = (step(0.2), step(0.1));
    assert_close("order of a step's error", (coarse / fine).log2(), 6.0, 0.35);
    assert_close("order of its estimate", (step(0.04).1 / step(0.02).1).log2(), 5.0, 0.2);
    assert!(
        coarse < estimate,
        "the estimate {estimate:.1e} is that of the weaker method: error {coarse:.1e}"
    );
}

#[test]
fn dormand_prince_step_integrates_polynomials_up_to_degree_4() {
    for degree in 0..=5 {
        let step = dormand_prince_step(
            &mut |t: f64, _: &Array0<f64>| arr0((degree + 1) as f64 * t.powi(degree)),
            &arr0(0.0),
            &arr0(if degree == 0 { 1.0 } else { 0.0 }),
            (0.0, 1.0),
        );
        let (x, error) = (step.x.into_scalar(), step.error.into_scalar());
        match degree {
            0..=4 => assert_close(&format!("∫ of degree {degree}"), x, 1.0, 1e-14),
            _ => assert!((x - 1.0).abs() > 1e-4, "degree 5 cannot be exact: {x}"),
        }
        match degree {
            0..=3 => assert_close(&format!("estimate at degree {degree}"), error, 0.0, 1e-14),
            _ => assert!(error.abs() > 1e-4, "the weaker method misses degree {degree}: {error:.1e}"),
        }
    }
}

#[test]
fn dormand_prince_keeps_its_tolerances_and_pays_by_the_fifth_root() {
    let mut calls = Vec::new();
    for tolerance in [1e-4, 1e-6, 1e-8, 1e-10, 1e-12] {
        let solution = dormand_prince(wave, arr0(1.0), (0.0, 20.0), Tolerances::both(tolerance)).unwrap();
        let error = (solution.x.into_scalar() - 20f64.sin().exp()).abs();
        assert!(error < 20.0 * tolerance, "tolerance {tolerance:.0e}: error {error:.1e}");
        assert!(error > 1e-4 * tolerance, "tolerance {tolerance:.0e} was not used: error {error:.1e}");
        let tries = solution.times.len() - 1 + solution.rejected;
        assert_eq!(solution.calls, 1 + 6 * tries, "calls at {tolerance:.0e}");
        assert_eq!((solution.times[0], solution.times[solution.times.len() - 1]), (0.0, 20.0), "both ends");
        assert!(solution.times.windows(2).all(|pair| pair[0] < pair[1]), "rising times");
        calls.push(solution.calls as f64);
    }
    // 10⁻⁸ to 10⁻¹²: h shrinks by 10^(4/5) = 6.3
    assert_relative("calls at 1e-12 over calls at 1e-8", calls[4] / calls[2], 10f64.powf(0.8), 0.25);
}

#[test]
fn dormand_prince_counts_its_calls_and_takes_short_steps_where_the_solution_turns() {
    // a bend of width 0.1 at t = 1, from 0 to 1
    let mut calls = 0;
    let bend = |t: f64, _: &Array0<f64>| {
        calls += 1;
        arr0(5.0 / (10.0 * (t - 1.0)).cosh().powi(2))
    };
    let solution = dormand_prince(bend, arr0(0.0), (0.0, 3.0), Tolerances::both(1e-8)).unwrap();
    assert_eq!(solution.calls, calls, "calls of f");
    assert_close("the height of the step", solution.x.into_scalar(), 1.0, 1e-6);
    assert!(solution.rejected > 0, "the way into the bend costs steps");
    let width = |near: f64| {
        let at = solution.times.iter().position(|&t| t > near).unwrap();
        solution.times[at] - solution.times[at - 1]
    };
    assert!(width(1.0) < 0.05 && width(2.5) > 0.1, "steps of {} at 1, {} at 2.5", width(1.0), width(2.5));
}

#[test]
fn dormand_prince_lets_no_entry_hide_behind_the_others() {
    // one fast oscillator among a thousand entries at rest
    let rest = 1000;
    let f = |_: f64, x: &Array1<f64>| {
        let mut slope = Array1::zeros(x.len());
        (slope[0], slope[1]) = (-50.0 * x[1], 50.0 * x[0]);
        slope
    };
    let mut start = Array1::zeros(rest + 2);
    start[0] = 1.0;
    let solution = dormand_prince(f, start, (0.0, TAU / 50.0), Tolerances::both(1e-9)).unwrap();
    assert_close("cos 2π", solution.x[0], 1.0, 1e-7);
    assert_close("sin 2π", solution.x[1], 0.0, 1e-7);
}

#[test]
fn dormand_prince_uses_the_relative_tolerance_where_x_is_large() {
    // x' = x over 20 time units: with an absolute tolerance alone, steps follow e^20
    let grow = |_: f64, x: &Array0<f64>| x.clone();
    let solve = |absolute, relative| {
        dormand_prince(grow, arr0(1.0), (0.0, 20.0), Tolerances { absolute, relative }).unwrap()
    };
    let (loose, strict) = (solve(1e-6, 1e-6), solve(1e-6, 0.0));
    let relative = |x: &Array0<f64>| (x.first().unwrap() / 20f64.exp() - 1.0).abs();
    assert!(relative(&loose.x) < 1e-4, "relative error {:.1e}", relative(&loose.x));
    assert!(strict.calls > 5 * loose.calls, "{} calls against {}", strict.calls, loose.calls);
}

#[test]
fn any_shape_and_both_directions() {
    let tight = Tolerances::both(1e-10);
    let cube = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i + 2 * j) as f64 - k as f64);
    let there = dormand_prince(wave, cube.clone(), (0.3, 4.0), tight).unwrap();
    let back = dormand_prince(wave, there.x.clone(), (4.0, 0.3), tight).unwrap();
    assert!(
        (&back.x - &cube).iter().all(|error| error.abs() < 1e-8),
        "there and back: {:?}",
        &back.x - &cube
    );
    assert!(back.times.windows(2).all(|pair| pair[0] > pair[1]), "falling times");
    let dynamic = dormand_prince(wave, cube.clone().into_dyn(), (0.3, 4.0), tight).unwrap();
    assert_eq!(dynamic.x, there.x.into_dyn(), "the same numbers in another type");
    // heun: the same shape, a coarser answer
    let coarse = heun(wave, cube.clone(), (0.3, 4.0), 1000).unwrap();
    let exact = &cube * (4f64.sin() - 0.3f64.sin()).exp();
    assert!((&coarse - &exact).iter().all(|error| error.abs() < 1e-4), "{:?}", &coarse - &exact);
}

#[test]
fn an_interval_of_length_0_changes_nothing() {
    let start = Array2::ones((3, 2));
    let solution = dormand_prince(wave, start.clone(), (1.0, 1.0), Tolerances::both(1e-6)).unwrap();
    assert_eq!((solution.x, solution.times, solution.rejected, solution.calls), (start, vec![1.0], 0, 1));
}

#[test]
fn what_cannot_be_solved_is_named() {
    let solve = |f: fn(f64, &Array0<f64>) -> Array0<f64>, span, tolerances| {
        complaint(dormand_prince::<Ix0>(f, arr0(1.0), span, tolerances))
    };
    let usual = Tolerances::both(1e-6);
    // x' = x² from 1 is 1/(1 − t): beyond t = 1 there is nothing
    let (name, value) = solve(|_, x| x * x, (0.0, 2.0), usual);
    let t: f64 = value.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(name == "the step" && (t - 1.0).abs() < 1e-3, "{name} is {value}");
    assert_eq!(solve(|t, x| x / t, (0.0, 1.0), usual).0, "dx/dt", "infinite at the start");
    assert_eq!(solve(|t, x| x * (0.5 - t).sqrt(), (0.0, 1.0), usual).0, "the step", "NaN from t = ½ on");
    assert_eq!(solve(wave, (0.0, f64::INFINITY), usual).0, "the interval");
    for (absolute, relative, name) in [
        (0.0, 1e-6, "the absolute tolerance"),
        (f64::NAN, 1e-6, "the absolute tolerance"),
        (1e-6, -1.0, "the relative tolerance"),
        (1e-6, f64::INFINITY, "the relative tolerance"),
    ] {
        assert_eq!(solve(wave, (0.0, 1.0), Tolerances { absolute, relative }).0, name);
    }
    // 10⁵ turns
    let turn = |_: f64, x: &Array1<f64>| arr1(&[-x[1], x[0]]);
    let endless = dormand_prince(turn, arr1(&[1.0, 0.0]), (0.0, 1e7), Tolerances::both(1e-6));
    assert_eq!(complaint(endless).0, "the number of steps");

    let coarse =
        |f: fn(f64, &Array0<f64>) -> Array0<f64>, span, steps| complaint(heun(f, arr0(1.0), span, steps));
    assert_eq!(coarse(wave, (0.0, 1.0), 0).0, "the number of steps");
    assert_eq!(coarse(wave, (f64::NAN, 1.0), 5).0, "the interval");
    assert_eq!(coarse(|_, x| x * x, (0.0, 1e3), 50).0, "the solution");
}

#[test]
fn heun_along_takes_the_times_as_they_are() {
    // on x' = −x a step of length h multiplies by 1 − h + h²/2
    let times = [0.0, 0.5, 0.6, 2.0, 1.5];
    let mut seen = Vec::new();
    let end =
        heun_along(|_, x: &Array0<f64>| -x, arr0(3.0), &times, |t, x| seen.push((t, *x.first().unwrap())));
    let mut expected = 3.0;
    for (pair, (t, x)) in times.windows(2).zip(&seen[1..]) {
        let h = pair[1] - pair[0];
        expected *= 1.0 - h + h * h / 2.0;
        assert_eq!(*t, pair[1]);
        assert_close("x", *x, expected, 1e-12);
    }
    assert_eq!((seen[0], *end.first().unwrap()), ((0.0, 3.0), seen[4].1));
}
