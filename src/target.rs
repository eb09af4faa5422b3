//! What a network predicts: ε, x_0, v, the score, μ̃ or a velocity, each an affine function of any other and of x_t.
//!
//! At one noise level x_t = α x_0 + σ ε, and every target is y = a x_0 + b ε. Two linear equations, for x_t and y, determine x_0 and ε
//! unless their [determinant](Target::determinant) α b − σ a is 0. The determinants say everything about errors, too: an error of
//! one target is an error of another, times the ratio of their determinants ([`error_factor`]).
//!
//! | target | a | b | determinant | vanishes at |
//! |---|---|---|---|---|
//! | x_0 | 1 | 0 | −σ | the data |
//! | ε | 0 | 1 | α | pure noise |
//! | score | 0 | −1/σ | −α/σ | pure noise |
//! | v | −σ | α | α² + σ² | nowhere |
//! | velocity | α′ | σ′ | α σ′ − σ α′ | nowhere, on the straight path: it is 1 |

use crate::{
    denoiser::Denoiser,
    forward::TransitionKernel,
    metrics::{largest, largest_difference},
    path::{Path, Rates},
    posterior::posterior_mean_coefficients,
    sampler::Step,
    schedule::Schedule,
};
use ndarray::{Array2, Axis};

// ANCHOR: Target
/// A target y = a x_0 + b ε at one noise level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// a, the factor of x_0.
    pub of_x_0: f64,
    /// b, the factor of ε.
    pub of_eps: f64,
}
// ANCHOR_END: Target

impl Target {
    /// The data, x_0.
    pub const X_0: Target = Target { of_x_0: 1.0, of_eps: 0.0 };
    /// The noise, ε.
    pub const EPS: Target = Target { of_x_0: 0.0, of_eps: 1.0 };

    // ANCHOR: v_target
    /// v, the velocity along the circle on which x_t turns from x_0 to ε where α² + σ² = 1.
    ///
    /// Source: Salimans & Ho 2022 (Progressive Distillation), §4 and App. D.
    ///
    /// # Formula
    /// v = α ε − σ x_0
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, target::Target};
    ///
    /// let at = TransitionKernel { signal: 0.8, variance: 0.36 };
    /// assert_eq!(Target::v(at), Target { of_x_0: -0.6, of_eps: 0.8 });
    /// assert!((Target::v(at).determinant(at) - 1.0).abs() < 1e-12);
    /// ```
    pub fn v(at: TransitionKernel) -> Target {
        Target { of_x_0: -at.deviation(), of_eps: at.signal }
    }
    // ANCHOR_END: v_target

    /// The score ∇ ln q(x_t | x_0): it is infinite at the data.
    ///
    /// Source: Song & Ermon 2019, Eq. (5); Vincent 2011.
    ///
    /// # Formula
    /// −ε/σ
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, target::Target};
    ///
    /// let at = TransitionKernel { signal: 1.0, variance: 0.25 };
    /// assert_eq!(Target::score(at), Target { of_x_0: 0.0, of_eps: -2.0 });
    /// ```
    pub fn score(at: TransitionKernel) -> Target {
        Target { of_x_0: 0.0, of_eps: -1.0 / at.deviation() }
    }

    // ANCHOR: velocity_target
    /// dx_t/dt of a path on which x_0 and ε are held: what flow matching regresses.
    ///
    /// Source: Lipman et al. 2023 (Flow Matching), Theorem 3.
    ///
    /// # Formula
    /// α′ x_0 + σ′ ε
    ///
    /// # Example
    /// ```
    /// use ddpm::{path::Path, target::Target};
    ///
    /// let (at, rates) = (Path::Straight.kernel(0.2), Path::Straight.rates(0.2));
    /// assert_eq!(Target::velocity(rates), Target { of_x_0: -1.0, of_eps: 1.0 }); // ε − x_0
    /// assert_eq!(Target::velocity(rates).determinant(at), 1.0); // 0.8 · 1 + 0.2 · 1
    /// ```
    pub fn velocity(rates: Rates) -> Target {
        Target { of_x_0: rates.signal, of_eps: rates.deviation }
    }
    // ANCHOR_END: velocity_target

    /// The mean μ̃_t(x_t, x_0) of q(x_{t−1} | x_t, x_0), for t = 1 … T.
    ///
    /// Source: Ho et al. 2020, Eq. (7), with x_t written as √ᾱ_t x_0 + √(1 − ᾱ_t) ε.
    ///
    /// # Formula
    /// (c_0 + c_t √ᾱ_t) x_0 + c_t √(1 − ᾱ_t) ε, with c_0 and c_t the [coefficients](posterior_mean_coefficients) of x_0 and x_t
    ///
    /// # Example
    /// ```
    /// use ddpm::{schedule::Schedule, target::Target};
    ///
    /// let first = Target::posterior_mean(&Schedule::linear(2, 0.36, 0.4375)?, 1);
    /// assert!((first.of_x_0 - 1.0).abs() < 1e-12 && first.of_eps.abs() < 1e-12); // the step before t = 1 is the data
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    #[track_caller]
    pub fn posterior_mean(schedule: &Schedule, t: usize) -> Target {
        let (at, (of_x_0, of_x_t)) =
            (TransitionKernel::from_start(schedule, t), posterior_mean_coefficients(schedule, t));
        Target { of_x_0: of_x_0 + of_x_t * at.signal, of_eps: of_x_t * at.deviation() }
    }

    // ANCHOR: edm_target
    /// What EDM's inner network F is trained on: of unit variance at every level for data of standard deviation `sigma_data`.
    ///
    /// Source: Karras et al. 2022 (EDM), §5 and App. B.6, solved for F.
    ///
    /// # Formula
    /// F = (x_0 − c_skip x)/c_out with x = x_t/α, s = σ/α, c_skip = σ_d²/(s² + σ_d²), c_out = s σ_d/√(s² + σ_d²);
    /// so F = (s x_0 − σ_d² ε)/(σ_d √(s² + σ_d²)), which is −v for σ_d = 1
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, target::Target};
    ///
    /// let at = TransitionKernel { signal: 0.8, variance: 0.36 };
    /// let (edm, v) = (Target::edm(at, 1.0), Target::v(at));
    /// assert!((edm.of_x_0 + v.of_x_0).abs() < 1e-12 && (edm.of_eps + v.of_eps).abs() < 1e-12);
    /// ```
    pub fn edm(at: TransitionKernel, sigma_data: f64) -> Target {
        let s = at.deviation() / at.signal;
        let scale = sigma_data * s.hypot(sigma_data);
        Target { of_x_0: s / scale, of_eps: -sigma_data * sigma_data / scale }
    }
    // ANCHOR_END: edm_target

    /// The target of points x_0 and noise ε, (N, D) each.
    ///
    /// # Example
    /// ```
    /// use ddpm::target::Target;
    /// use ndarray::array;
    ///
    /// let target = Target { of_x_0: -1.0, of_eps: 1.0 };
    /// assert_eq!(target.of(&array![[1.0]], &array![[3.0]]), array![[2.0]]);
    /// ```
    pub fn of(self, x_0: &Array2<f64>, eps: &Array2<f64>) -> Array2<f64> {
        self.of_x_0 * x_0 + self.of_eps * eps
    }

    // ANCHOR: determinant
    /// The determinant of the equations for x_t and the target. Where it is 0, the target is a multiple of x_t and says nothing of x_0.
    ///
    /// # Formula
    /// α b − σ a
    ///
    /// # Example
    /// ```
    /// use ddpm::{forward::TransitionKernel, target::Target};
    ///
    /// let noise = TransitionKernel { signal: 0.0, variance: 1.0 };
    /// assert_eq!(Target::EPS.determinant(noise), 0.0); // x_t is ε: to predict it is no news
    /// assert_eq!(Target::X_0.determinant(TransitionKernel::IDENTITY), 0.0); // x_t is x_0
    /// ```
    pub fn determinant(self, at: TransitionKernel) -> f64 {
        at.signal * self.of_eps - at.deviation() * self.of_x_0
    }
    // ANCHOR_END: determinant
}

// ANCHOR: conversion
/// The target `to` from x_t and the target `from` at one noise level: the factors of x_t and of `from`.
///
/// # Formula
/// With Δ = α b − σ a of `from` and Δ′ = α b′ − σ a′ of `to`: y′ = ((a′ b − a b′) x_t + Δ′ y)/Δ
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, target::{Target, conversion}};
///
/// let at = TransitionKernel { signal: 0.8, variance: 0.36 };
/// let (of_x_t, of_v) = conversion(Target::v(at), Target::X_0, at);
/// assert!((of_x_t - 0.8).abs() < 1e-12 && (of_v + 0.6).abs() < 1e-12); // x_0 = α x_t − σ v
/// ```
///
/// # Panics
/// If the [determinant](Target::determinant) of `from` is 0: at pure noise ε determines nothing, at the data x_0 nothing else.
#[track_caller]
pub fn conversion(from: Target, to: Target, at: TransitionKernel) -> (f64, f64) {
    let determinant = from.determinant(at);
    assert!(determinant != 0.0, "{from:?} is a multiple of x_t at {at:?}: it determines no other target");
    let of_x_t = to.of_x_0 * from.of_eps - from.of_x_0 * to.of_eps;
    (of_x_t / determinant, to.determinant(at) / determinant)
}
// ANCHOR_END: conversion

// ANCHOR: convert
/// The target `to` of a network that predicts `from`, at x_t. All arrays (N, D).
///
/// # Formula
/// y′ = p x_t + q y, with p and q by [`conversion`]
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, target::{Target, convert}};
/// use ndarray::array;
///
/// let at = TransitionKernel { signal: 0.8, variance: 0.36 };
/// let x_0 = convert(Target::EPS, Target::X_0, at, &array![[2.0]], &array![[2.0]]);
/// assert!((x_0[(0, 0)] - 1.0).abs() < 1e-12); // 2 = 0.8 · 1 + 0.6 · 2
/// ```
///
/// # Panics
/// As [`conversion`].
#[track_caller]
pub fn convert(
    from: Target,
    to: Target,
    at: TransitionKernel,
    x_t: &Array2<f64>,
    predicted: &Array2<f64>,
) -> Array2<f64> {
    let (of_x_t, of_predicted) = conversion(from, to, at);
    of_x_t * x_t + of_predicted * predicted
}
// ANCHOR_END: convert

/// How exactly each of some targets of points comes from each other and x_t: of all pairs the largest error, over the size of the terms
/// that are added.
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, target::{Target, conversion_error}};
/// use ndarray::array;
///
/// let at = TransitionKernel { signal: 0.8, variance: 0.36 };
/// assert!(conversion_error(&[Target::EPS, Target::X_0, Target::v(at)], at, &array![[1.0]], &array![[2.0]]) < 1e-15);
/// ```
///
/// # Panics
/// As [`conversion`].
#[track_caller]
pub fn conversion_error(
    targets: &[Target],
    at: TransitionKernel,
    x_0: &Array2<f64>,
    eps: &Array2<f64>,
) -> f64 {
    let x_t = at.signal * x_0 + at.deviation() * eps;
    let size = |values: &Array2<f64>| largest(values.iter().map(|value| value.abs()));
    let error = |from: Target, to: Target| {
        let (y, (of_x_t, of_y)) = (from.of(x_0, eps), conversion(from, to, at));
        let error = largest_difference(&convert(from, to, at, &x_t, &y), &to.of(x_0, eps));
        error / (of_x_t.abs() * size(&x_t) + of_y.abs() * size(&y))
    };
    largest(targets.iter().flat_map(|&from| targets.iter().map(move |&to| error(from, to))))
}

/// How far ‖y − ŷ‖² is from factor² · ‖x_0 − x̂_0‖², relative to it, for a denoiser's guesses of points at step t: the largest of all
/// points.
///
/// # Formula
/// ‖y − ŷ‖² = (Δ_y/Δ_{x_0})² ‖x_0 − x̂_0‖², point by point; for ε the factor squared is the SNR, for v it is SNR + 1
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, schedule::Schedule, target::{Target, squared_error_excess}};
/// use ndarray::array;
///
/// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: array![0.0], variance: 1.0 });
/// let exact = ExactDenoiser::new(&schedule, &data);
/// let excess = squared_error_excess(&schedule, &exact, 2, Target::EPS, &array![[1.0]], &array![[0.5]]);
/// assert!(excess < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn squared_error_excess(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    t: usize,
    target: Target,
    x_0: &Array2<f64>,
    eps: &Array2<f64>,
) -> f64 {
    let at = TransitionKernel::from_start(schedule, t);
    let x_t = at.signal * x_0 + at.deviation() * eps;
    let guess = denoiser.predict(x_t.view(), t as f64).eps;
    let squares = |target: Target| {
        let error = convert(Target::EPS, target, at, &x_t, &guess) - target.of(x_0, eps);
        error.mapv(|error| error * error).sum_axis(Axis(1))
    };
    let ratios = squares(target) / squares(Target::X_0) / error_factor(Target::X_0, target, at).powi(2);
    largest(ratios.iter().map(|ratio| (ratio - 1.0).abs()))
}

// ANCHOR: error_factor
/// What an error of one of `from` is as an error of `to`: without bound where `from` says nothing of x_0.
///
/// x_t is the same on both sides, so that only the predictions differ.
///
/// # Formula
/// |Δ′/Δ|; for ε and x_0 that is σ/α = 1/√SNR, so ‖ε − ε̂‖² = SNR ‖x_0 − x̂_0‖²
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, target::{Target, error_factor}};
///
/// let noisy = TransitionKernel { signal: 0.01, variance: 0.9999 };
/// assert!(error_factor(Target::EPS, Target::X_0, noisy) > 99.0); // ε fails at the noisy end
/// assert!(error_factor(Target::v(noisy), Target::X_0, noisy) < 1.0); // v does not
/// ```
pub fn error_factor(from: Target, to: Target, at: TransitionKernel) -> f64 {
    (to.determinant(at) / from.determinant(at)).abs()
}
// ANCHOR_END: error_factor

// ANCHOR: angle
/// The angle φ of a kernel with α² + σ² = 1: 0 at the data, a right angle at pure noise.
///
/// Source: Salimans & Ho 2022 (Progressive Distillation), App. D.
///
/// With it (x_t, v) is (x_0, ε) turned by φ: x_t = cos φ x_0 + sin φ ε and v = −sin φ x_0 + cos φ ε = dx_t/dφ.
///
/// # Formula
/// φ = arctan(σ/α)
///
/// # Example
/// ```
/// use ddpm::{path::Path, target::angle};
///
/// let at = Path::Cosine.kernel(0.5); // half of the way from the data to noise, on a quarter of a circle
/// assert!((angle(at) - std::f64::consts::FRAC_PI_4).abs() < 1e-12);
/// ```
pub fn angle(at: TransitionKernel) -> f64 {
    at.deviation().atan2(at.signal)
}
// ANCHOR_END: angle

/// An arrow of v on the circle, for a drawing: from (α, σ) at a share of the quarter turn from the data to noise, v's way, so many units long.
///
/// # Example
/// ```
/// let [tail, tip] = ddpm::target::circle_arrow(0.0, 0.5); // at the data v is ε
/// assert_eq!((tail, tip), ((1.0, 0.0), (1.0, 0.5)));
/// ```
pub fn circle_arrow(share: f64, length: f64) -> [(f64, f64); 2] {
    let at = Path::Cosine.kernel(share);
    let (tail, v) = ((at.signal, at.deviation()), Target::v(at));
    [tail, (tail.0 + length * v.of_x_0, tail.1 + length * v.of_eps)]
}

// ANCHOR: rotation
/// The factors of x_t and of v in the x at another level: both kernels with α² + σ² = 1. It is DDIM's jump with η = 0.
///
/// Source: Salimans & Ho 2022, App. D.
///
/// Nothing is divided: the jump is finite from pure noise, where α = 0, and to the data, where σ = 0.
///
/// # Formula
/// x_s = cos(φ_t − φ_s) x_t − sin(φ_t − φ_s) v
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, target::rotation};
///
/// let noise = TransitionKernel { signal: 0.0, variance: 1.0 };
/// let (of_x_t, of_v) = rotation(noise, TransitionKernel::IDENTITY);
/// assert!(of_x_t.abs() < 1e-12 && (of_v + 1.0).abs() < 1e-12); // at pure noise v is −x_0
/// ```
pub fn rotation(from: TransitionKernel, to: TransitionKernel) -> (f64, f64) {
    let (sine, cosine) = (angle(from) - angle(to)).sin_cos();
    (cosine, -sine)
}
// ANCHOR_END: rotation

/// The factors of x_t and of v of a sampler's jump from a level with α² + σ² = 1, where the jump has those of x_t and of ε.
///
/// # Formula
/// a x_t + b ε = (a + b σ) x_t + b α v, from ε = σ x_t + α v
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, sampler::ddim_step, schedule::Schedule, target::{jump_by_v, rotation}};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let at = [1, 2].map(|t| TransitionKernel::from_start(&schedule, t));
/// let (by_ddim, turned) = (jump_by_v(&ddim_step(&schedule, 2, 1, 0.0, None), at[1]), rotation(at[1], at[0]));
/// assert!((by_ddim.0 - turned.0).abs() < 1e-12 && (by_ddim.1 - turned.1).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn jump_by_v(jump: &Step, at: TransitionKernel) -> (f64, f64) {
    let of_x_t = jump.x_t + jump.x_0 * jump.x_0_from_x_t;
    let of_eps = jump.eps + jump.x_0 * jump.x_0_from_eps;
    (of_x_t + of_eps * at.deviation(), of_eps * at.signal)
}

// ANCHOR: follow_v
/// Draws with a network that predicts v, along kernels from noise to data: DDIM with η = 0, from SNR 0 if need be. `x` is (N, D).
///
/// # Formula
/// x ← cos δ x − sin δ v̂, δ = φ_t − φ_s, by [`rotation`], from each level to the next
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, target::follow_v};
/// use ndarray::array;
///
/// let levels = [TransitionKernel { signal: 0.0, variance: 1.0 }, TransitionKernel::IDENTITY];
/// let drawn = follow_v(&levels, |_, _| array![[-3.0]], array![[0.7]]); // the data are the point 3
/// assert!((drawn[(0, 0)] - 3.0).abs() < 1e-12);
/// ```
pub fn follow_v(
    levels: &[TransitionKernel],
    mut predict_v: impl FnMut(TransitionKernel, &Array2<f64>) -> Array2<f64>,
    x: Array2<f64>,
) -> Array2<f64> {
    levels.windows(2).fold(x, |x, pair| {
        let (of_x, of_v) = rotation(pair[0], pair[1]);
        of_x * &x + of_v * predict_v(pair[0], &x)
    })
}
// ANCHOR_END: follow_v
