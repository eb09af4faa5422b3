//! Ordinary differential equations dx/dt = f(t, x), solved forwards or backwards in time.
//!
//! x is an array of any shape: one number, a point, a batch of points. Two methods: [`heun`] takes the number of steps,
//! [`dormand_prince`] the error that may be made. What both cost is calls of f, each of which may be a whole network.

use crate::{Error, Result, metrics::largest};
use ndarray::{Array, Dimension, Zip};

// ANCHOR: heun_step
/// One step of Heun's method, from t to `next`: Euler's step, corrected by the slope at its end.
///
/// Source: Heun 1900; for diffusion, Karras et al. 2022 (Elucidating the Design Space), Algorithm 1.
///
/// x' = x + h/2 (k_1 + k_2), k_1 = f(t, x), k_2 = f(t + h, x + h k_1), h = next − t
///
/// Two calls of f. The error of a step is of order h³, so over an interval it is of order h². `x`, the slopes and the
/// result have one shape.
pub fn heun_step<D: Dimension>(
    f: &mut impl FnMut(f64, &Array<f64, D>) -> Array<f64, D>,
    x: &Array<f64, D>,
    (t, next): (f64, f64),
) -> Array<f64, D> {
    let h = next - t;
    let k_1 = f(t, x);
    let mut euler = x.clone();
    euler.scaled_add(h, &k_1);
    let k_2 = f(next, &euler);
    Zip::from(x).and(&k_1).and(&k_2).map_collect(|x, k_1, k_2| x + h / 2.0 * (k_1 + k_2))
}
// ANCHOR_END: heun_step

// ANCHOR: heun
/// Solves dx/dt = f(t, x) from `x` at the first time to the second in `steps` equal steps of [`heun_step`].
///
/// 2 · `steps` calls of f; with twice the steps, a quarter of the error.
///
/// ```
/// let x = ddpm::continuous::ode::heun(|_, x| -x, ndarray::arr0(1.0), (0.0, 1.0), 100)?;
/// assert!((x.into_scalar() - (-1f64).exp()).abs() < 1e-5);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] if `steps` is 0, a time is not finite, or the solution is not.
pub fn heun<D: Dimension>(
    mut f: impl FnMut(f64, &Array<f64, D>) -> Array<f64, D>,
    x: Array<f64, D>,
    (from, to): (f64, f64),
    steps: usize,
) -> Result<Array<f64, D>> {
    check_interval(from, to)?;
    if steps == 0 {
        return Err(fault("the number of steps", "0".into(), "be at least 1", "take more".into()));
    }
    let time = |i: usize| {
        let share = i as f64 / steps as f64;
        from * (1.0 - share) + to * share // both ends exactly
    };
    let x = (0..steps).fold(x, |x, i| heun_step(&mut f, &x, (time(i), time(i + 1))));
    match x.iter().find(|x| !x.is_finite()) {
        None => Ok(x),
        Some(bad) => Err(fault(
            "the solution",
            format!("{bad} after {steps} steps"),
            "be finite",
            "take more steps, or end the interval before f runs off to infinity".into(),
        )),
    }
}
// ANCHOR_END: heun

/// Solves dx/dt = f(t, x) from `x` at the first of `times` to the last, in one [`heun_step`] between each two.
///
/// `on_step` is called with every (t, x), both ends included. 2 calls of f a step.
///
/// ```
/// use ddpm::continuous::ode::{heun, heun_along};
///
/// let (mut seen, f) = (Vec::new(), |_: f64, x: &ndarray::Array0<f64>| -x);
/// let x = heun_along(f, ndarray::arr0(1.0), &[0.0, 0.5, 1.0], |t, _| seen.push(t));
/// assert_eq!((seen, x), (vec![0.0, 0.5, 1.0], heun(f, ndarray::arr0(1.0), (0.0, 1.0), 2)?));
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If there are no times.
#[track_caller]
pub fn heun_along<D: Dimension>(
    mut f: impl FnMut(f64, &Array<f64, D>) -> Array<f64, D>,
    mut x: Array<f64, D>,
    times: &[f64],
    mut on_step: impl FnMut(f64, &Array<f64, D>),
) -> Array<f64, D> {
    on_step(times[0], &x);
    for pair in times.windows(2) {
        x = heun_step(&mut f, &x, (pair[0], pair[1]));
        on_step(pair[1], &x);
    }
    x
}

/// How far an entry may be off after a step: absolute + relative · |x|.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerances {
    /// What counts where x is near 0.
    pub absolute: f64,
    /// The share of |x| that counts elsewhere.
    pub relative: f64,
}

impl Tolerances {
    /// One tolerance for both.
    pub fn both(tolerance: f64) -> Self {
        Tolerances { absolute: tolerance, relative: tolerance }
    }

    // ANCHOR: excess
    /// The largest error among all entries, in units of what is allowed there: at most 1 if the step may stand.
    ///
    /// The largest, not the mean: one point of a batch must not hide behind the others.
    fn excess<D: Dimension>(&self, error: &Array<f64, D>, x: &Array<f64, D>, x_next: &Array<f64, D>) -> f64 {
        let shares = Zip::from(error).and(x).and(x_next).map_collect(|error, x, x_next| {
            error.abs() / (self.absolute + self.relative * x.abs().max(x_next.abs()))
        });
        largest(shares)
    }
    // ANCHOR_END: excess

    fn check(&self) -> Result<()> {
        let remedy = "1e-6 is a usual one".to_owned();
        if !(self.absolute > 0.0 && self.absolute.is_finite()) {
            let value = self.absolute.to_string();
            return Err(fault("the absolute tolerance", value, "be positive and finite", remedy));
        }
        if !(self.relative >= 0.0 && self.relative.is_finite()) {
            let value = self.relative.to_string();
            return Err(fault("the relative tolerance", value, "be finite and at least 0", remedy));
        }
        Ok(())
    }
}

/// What [`dormand_prince`] found, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution<D: Dimension> {
    /// x at the end of the interval, in the shape of the start.
    pub x: Array<f64, D>,
    /// The times between which the steps were taken, both ends of the interval included.
    pub times: Vec<f64>,
    /// How many steps were tried and thrown away.
    pub rejected: usize,
    /// How often f was called.
    pub calls: usize,
}

/// Where within a step the slopes k_2 … k_7 are taken, in shares of h; the last two lie at its end.
///
/// Source, here and below: Dormand & Prince 1980 (A family of embedded Runge–Kutta formulae), Table 2.
const NODES: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];

/// How the slopes so far lead to the point at which the next one is taken. The last row is the step itself.
const WEIGHTS: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];

/// The step of order 5 less the one of order 4 from the same slopes: an estimate of the error.
const ERROR_WEIGHTS: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0];

/// What a step proposes.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal<D: Dimension> {
    /// x at the end of the step, of order 5.
    pub x: Array<f64, D>,
    /// The slope there, with which the next step begins.
    pub slope: Array<f64, D>,
    /// By how much the method of order 4 inside differs.
    pub error: Array<f64, D>,
}

// ANCHOR: dormand_prince_step
/// One step of the method of Dormand and Prince, from t to `next`: two Runge–Kutta methods that share their slopes.
///
/// Source: Dormand & Prince 1980, Table 2.
///
/// k_i = f(t + c_i h, x + h Σ_j a_ij k_j), x' = x + h Σ_j a_7j k_j, error = h Σ_j e_j k_j
///
/// where k_1 = `slope` is f(t, x), known from the step before. Six calls of f; k_7 is the slope at x', so the next step has its
/// k_1 for nothing. The step errs by order h⁶, the estimate of its error by order h⁵: that of the weaker method.
pub fn dormand_prince_step<D: Dimension>(
    f: &mut impl FnMut(f64, &Array<f64, D>) -> Array<f64, D>,
    x: &Array<f64, D>,
    slope: &Array<f64, D>,
    (t, next): (f64, f64),
) -> Proposal<D> {
    let h = next - t;
    let mut stage = x.clone();
    let mut slopes = vec![slope.clone()];
    for (node, weights) in NODES.iter().zip(WEIGHTS) {
        stage.assign(x);
        weights.iter().zip(&slopes).for_each(|(weight, k)| stage.scaled_add(h * weight, k));
        let at = if *node == 1.0 { next } else { t + node * h };
        slopes.push(f(at, &stage));
    }
    let mut error = Array::zeros(x.raw_dim());
    ERROR_WEIGHTS.iter().zip(&slopes).for_each(|(weight, k)| error.scaled_add(h * weight, k));
    Proposal { x: stage, slope: slopes.swap_remove(6), error }
}
// ANCHOR_END: dormand_prince_step

/// The first step, as a share of the interval; if it is too large it is thrown away.
const FIRST_STEP: f64 = 0.01;
/// How much smaller a step is than the one that would just do.
const SAFETY: f64 = 0.9;
/// The least and the most that a step may differ from the one before, as a factor.
const CHANGE: (f64, f64) = (0.2, 5.0);
/// How many steps are tried.
const MOST_STEPS: usize = 100_000;

// ANCHOR: dormand_prince
/// Solves dx/dt = f(t, x) from `x` at the first time to the second, in steps as long as the tolerances allow.
///
/// Source: Dormand & Prince 1980; the choice of h: Hairer, Nørsett & Wanner 1993, §II.4.
///
/// h' = 0.9 h · excess^(−1/5), within 0.2 h … 5 h
///
/// A step whose [`Proposal::error`] exceeds the tolerances in any entry is thrown away and tried again, shorter. The
/// whole array takes the steps that its most difficult entry needs. The tolerances are for a step; over an interval errors add up.
///
/// ```
/// use ddpm::continuous::ode::{Tolerances, dormand_prince};
///
/// let circle = |_: f64, x: &ndarray::Array1<f64>| ndarray::arr1(&[-x[1], x[0]]);
/// let round = dormand_prince(circle, ndarray::arr1(&[1.0, 0.0]), (0.0, std::f64::consts::TAU), Tolerances::both(1e-9))?;
/// assert!((round.x[0] - 1.0).abs() < 1e-7 && round.x[1].abs() < 1e-7);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] if a time is not finite, a tolerance is not positive (the relative one may be 0), f is not finite
/// at the start, or no step is short enough: where the solution runs off to infinity.
pub fn dormand_prince<D: Dimension>(
    mut f: impl FnMut(f64, &Array<f64, D>) -> Array<f64, D>,
    mut x: Array<f64, D>,
    (from, to): (f64, f64),
    tolerances: Tolerances,
) -> Result<Solution<D>> {
    check_interval(from, to)?;
    tolerances.check()?;
    let mut slope = f(from, &x);
    check_start(from, &slope)?;
    let (mut t, mut h) = (from, FIRST_STEP * (to - from));
    let (mut times, mut tries) = (vec![from], 0);
    while t != to {
        let next = if (to - t).abs() <= h.abs() { to } else { t + h };
        check_step(t, next, tries)?;
        tries += 1;
        let proposal = dormand_prince_step(&mut f, &x, &slope, (t, next));
        let excess = tolerances.excess(&proposal.error, &x, &proposal.x);
        h = (next - t) * change(excess);
        if excess <= 1.0 {
            (t, x, slope) = (next, proposal.x, proposal.slope);
            times.push(t);
        }
    }
    Ok(Solution { x, rejected: tries + 1 - times.len(), calls: 1 + 6 * tries, times })
}
// ANCHOR_END: dormand_prince

/// By which factor the next step differs from the last, whose error was `excess` times what is allowed.
fn change(excess: f64) -> f64 {
    match excess.is_finite() {
        true => (SAFETY * excess.powf(-0.2)).clamp(CHANGE.0, CHANGE.1),
        false => CHANGE.0,
    }
}

fn fault(name: &'static str, value: String, bound: &'static str, remedy: String) -> Error {
    Error::Parameter { name, value, bound, remedy }
}

fn check_interval(from: f64, to: f64) -> Result<()> {
    match from.is_finite() && to.is_finite() {
        true => Ok(()),
        false => Err(fault(
            "the interval",
            format!("{from} to {to}"),
            "lie between finite times",
            "choose an end that a computer can reach".into(),
        )),
    }
}

fn check_start<D: Dimension>(t: f64, slope: &Array<f64, D>) -> Result<()> {
    match slope.iter().find(|slope| !slope.is_finite()) {
        None => Ok(()),
        Some(slope) => {
            let remedy = "start where f is defined, and x is finite".into();
            Err(fault("dx/dt", format!("{slope} at the start, t = {t}"), "be finite", remedy))
        }
    }
}

fn check_step(t: f64, next: f64, tries: usize) -> Result<()> {
    let remedy = || {
        "the solution jumps or runs off to infinity there, or the tolerances are finer than f64: end \
         the interval earlier, or loosen them"
            .to_owned()
    };
    if (next - t).abs() <= 4.0 * f64::EPSILON * t.abs() {
        let value = format!("{:.1e} at t = {t}", next - t);
        return Err(fault("the step", value, "be long enough that t + h differs from t", remedy()));
    }
    if tries >= MOST_STEPS {
        return Err(fault(
            "the number of steps",
            format!("{tries} at t = {t}"),
            "stay below 100,000",
            remedy(),
        ));
    }
    Ok(())
}
