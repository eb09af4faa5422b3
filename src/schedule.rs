//! Noise schedules: how much of the signal each step forgets.
//!
//! A schedule is the list β_1 … β_T and what follows from it: α_t = 1 − β_t and ᾱ_t = α_1 α_2 ⋯ α_t. Tables have
//! T + 1 entries and index = t; entry 0 is the clean image, with β_0 = 0 and ᾱ_0 = 1.

use crate::{Error, Result};
use ndarray::Array1;
use std::{f64::consts::FRAC_PI_2, fmt, str::FromStr};

/// β_1 of the linear schedule; source: Ho et al. 2020, §4.
pub const BETA_START: f64 = 1e-4;
/// β_T of the linear schedule; source: Ho et al. 2020, §4.
pub const BETA_END: f64 = 0.02;
/// The offset s that keeps the cosine schedule's first steps from vanishing; source: Nichol & Dhariwal 2021, §3.2.
pub const COSINE_OFFSET: f64 = 0.008;
/// The largest β_t of the cosine schedule; source: Nichol & Dhariwal 2021, §3.2.
pub const COSINE_MAX_BETA: f64 = 0.999;
/// Where the sigmoid schedule cuts the logistic curve: at −6 and 6, as in the code of Song et al. 2021 (DDIM).
pub const SIGMOID_LIMIT: f64 = 6.0;

/// The longest chain that the named schedules make.
pub const MAX_STEPS: usize = 1_000_000;

// ANCHOR: progress_and_table
/// The fraction (t − 1) / (T − 1) of the way from t = 1 to t = T; 0 where T = 1.
pub fn progress(t: usize, steps: usize) -> f64 {
    if steps > 1 { (t as f64 - 1.0) / (steps as f64 - 1.0) } else { 0.0 }
}

/// A table of T + 1 entries: β_0 = 0, then `beta(t)` for t = 1 … T.
pub fn table(steps: usize, beta: impl Fn(usize) -> f64) -> Array1<f64> {
    (0..=steps).map(|t| if t == 0 { 0.0 } else { beta(t) }).collect()
}
// ANCHOR_END: progress_and_table

/// At most `count` whole times from 1 to T, in equal ratios as far as whole numbers allow: each once.
///
/// # Example
/// ```
/// assert_eq!(ddpm::schedule::log_times(1000, 4), [1, 10, 100, 1000]);
/// ```
pub fn log_times(steps: usize, count: usize) -> Vec<usize> {
    let time = |i: usize| (steps as f64).powf(i as f64 / (count.max(2) - 1) as f64).round() as usize;
    let mut times: Vec<usize> = (0..count.max(2)).map(time).collect();
    times.dedup();
    times
}

// ANCHOR: linear_betas
/// The linear schedule: β_t rises in equal steps from `beta_start` to `beta_end`.
///
/// Source: Ho et al. 2020, §4, with β_1 = 10⁻⁴, β_T = 0.02 and T = 1000.
///
/// Returns T + 1 entries; entry 0 is β_0 = 0. Nothing is checked here: [`Schedule::from_betas`] does.
///
/// # Formula
/// β_t = β_1 + (t − 1)/(T − 1) · (β_T − β_1), for t = 1 … T
///
/// # Example
/// ```
/// use ddpm::schedule::linear_betas;
/// use ndarray::array;
///
/// assert_eq!(linear_betas(3, 0.25, 0.75), array![0.0, 0.25, 0.5, 0.75]);
/// ```
pub fn linear_betas(steps: usize, beta_start: f64, beta_end: f64) -> Array1<f64> {
    table(steps, |t| beta_start + progress(t, steps) * (beta_end - beta_start))
}
// ANCHOR_END: linear_betas

// ANCHOR: linear_beta
/// The linear schedule in continuous time: β(t) at the share t of the way, and its integral B(t) from 0 to t.
///
/// Source: Song et al. 2021 (Score-Based Generative Modeling through Stochastic Differential Equations),
/// Eqs. (32) and (33).
///
/// `beta_min` and `beta_max` are T β_1 and T β_T: with T steps, Σ_{s ≤ t} β_s → B(t/T), and ᾱ_t → e^{−B(t/T)}.
///
/// # Formula
/// β(t) = β_min + (β_max − β_min) t, B(t) = β_min t + ½ (β_max − β_min) t², 0 ≤ t ≤ 1
///
/// # Example
/// ```
/// use ddpm::schedule::linear_beta;
///
/// let (beta, integral) = linear_beta(2.0, 6.0, 1.0);
/// assert_eq!((beta, integral), (6.0, 4.0)); // the integral is the mean of both ends
/// ```
pub fn linear_beta(beta_min: f64, beta_max: f64, t: f64) -> (f64, f64) {
    let slope = beta_max - beta_min;
    (beta_min + slope * t, beta_min * t + slope * t * t / 2.0)
}
// ANCHOR_END: linear_beta

// ANCHOR: quad_betas
/// The quadratic schedule: √β_t rises in equal steps.
///
/// Source: `get_beta_schedule` in the code of Ho et al. 2020.
///
/// Take the root of both ends first, then square the whole line. Squaring the ends instead, as a stored copy of *The
/// Annotated Diffusion Model* does, leaves ᾱ_T ≈ 1: no noise at all.
///
/// Returns T + 1 entries; entry 0 is β_0 = 0.
///
/// # Formula
/// β_t = (√β_1 + (t − 1)/(T − 1) · (√β_T − √β_1))², for t = 1 … T
///
/// # Example
/// ```
/// use ddpm::schedule::quad_betas;
///
/// let betas = quad_betas(3, 0.01, 0.09); // the roots are 0.1, 0.2 and 0.3
/// assert!((betas[2] - 0.04).abs() < 1e-12);
/// ```
pub fn quad_betas(steps: usize, beta_start: f64, beta_end: f64) -> Array1<f64> {
    let (root_start, root_end) = (beta_start.sqrt(), beta_end.sqrt());
    table(steps, |t| (root_start + progress(t, steps) * (root_end - root_start)).powi(2))
}
// ANCHOR_END: quad_betas

// ANCHOR: sigmoid_betas
/// The sigmoid schedule: β_t follows the logistic curve from −6 to 6.
///
/// Source: `get_beta_schedule` in the code of Song et al. 2021 (DDIM).
///
/// Since σ(−6) = 0.0025 is not 0, β_1 is a little more than `beta_start`, and β_T a little less than `beta_end`. Returns
/// T + 1 entries; entry 0 is β_0 = 0.
///
/// # Formula
/// β_t = β_start + (β_end − β_start) · σ(−6 + 12 (t − 1)/(T − 1)), for t = 1 … T
///
/// where σ(z) = 1/(1 + e⁻ᶻ).
///
/// # Example
/// ```
/// use ddpm::schedule::sigmoid_betas;
///
/// let betas = sigmoid_betas(3, 0.1, 0.3); // σ(0) = ½: half-way between both ends
/// assert!((betas[2] - 0.2).abs() < 1e-12);
/// ```
pub fn sigmoid_betas(steps: usize, beta_start: f64, beta_end: f64) -> Array1<f64> {
    table(steps, |t| {
        let z = SIGMOID_LIMIT * (2.0 * progress(t, steps) - 1.0);
        beta_start + (beta_end - beta_start) / (1.0 + (-z).exp())
    })
}
// ANCHOR_END: sigmoid_betas

// ANCHOR: cosine_betas
/// The cosine schedule: ᾱ_t follows a squared cosine, and β_t is what that takes, up to `max_beta`.
///
/// Source: Nichol & Dhariwal 2021, Eq. (17), with s = 0.008 and β ≤ 0.999.
///
/// The cosine's angle goes in T equal steps from s/(1 + s) · π/2, where s is `offset`, to π/2; ᾱ_t is its square over that at
/// t = 0. Returns T + 1 entries; entry 0 is β_0 = 0. The cap acts at t = T, where the cosine is 0 and β_T would be 1.
///
/// # Formula
/// ᾱ_t = f(t)/f(0), f(t) = cos²((t/T + s)/(1 + s) · π/2), β_t = min(1 − ᾱ_t/ᾱ_{t−1}, β_max)
///
/// # Example
/// ```
/// use ddpm::schedule::cosine_betas;
///
/// let betas = cosine_betas(2, 0.0, 0.999); // cos² is ½ half-way and 0 at the end
/// assert!((betas[1] - 0.5).abs() < 1e-12);
/// assert_eq!(betas[2], 0.999);
/// ```
pub fn cosine_betas(steps: usize, offset: f64, max_beta: f64) -> Array1<f64> {
    let f = |t: usize| ((t as f64 / steps as f64 + offset) / (1.0 + offset) * FRAC_PI_2).cos().powi(2);
    table(steps, |t| (1.0 - f(t) / f(t - 1)).min(max_beta))
}
// ANCHOR_END: cosine_betas

// ANCHOR: alpha_bars
/// The cumulative products ᾱ_t: how much of the signal's variance is left after t steps.
///
/// Source: Ho et al. 2020, above Eq. (4).
///
/// `betas` has T + 1 entries with β_0 = 0; so has the result.
///
/// # Formula
/// ᾱ_t = ∏_{s=1}^{t} (1 − β_s), ᾱ_0 = 1
///
/// # Example
/// ```
/// use ddpm::schedule::alpha_bars;
/// use ndarray::array;
///
/// assert_eq!(alpha_bars(&array![0.0, 0.5, 0.5]), array![1.0, 0.5, 0.25]);
/// ```
pub fn alpha_bars(betas: &Array1<f64>) -> Array1<f64> {
    let mut product = 1.0;
    betas.mapv(|beta| {
        product *= 1.0 - beta;
        product
    })
}
// ANCHOR_END: alpha_bars

// ANCHOR: zero_terminal_snr
/// A table of ᾱ_t, rescaled so that nothing of the signal is left at t = T: √ᾱ_T is shifted to 0, and √ᾱ_1 stays.
///
/// Source: Lin et al. 2024 (Common Diffusion Noise Schedules and Sample Steps Are Flawed), Algorithm 1.
///
/// `alpha_bars` has T + 1 entries with ᾱ_0 = 1, and so has the result. Its ᾱ_T is 0, which no [`Schedule`] has: β_T would be 1. Take it with
/// a network that predicts v or x_0; ε says nothing at t = T.
///
/// # Formula
/// √ᾱ_t′ = (√ᾱ_t − √ᾱ_T) √ᾱ_1/(√ᾱ_1 − √ᾱ_T), for t = 1 … T
///
/// # Example
/// ```
/// use ddpm::schedule::zero_terminal_snr;
/// use ndarray::array;
///
/// let rescaled = zero_terminal_snr(&array![1.0, 0.81, 0.36, 0.09]); // roots 1, 0.9, 0.6, 0.3
/// assert!((rescaled[2] - (0.3_f64 * 0.9 / 0.6).powi(2)).abs() < 1e-12);
/// assert!((rescaled[1] - 0.81).abs() < 1e-12 && rescaled[3] == 0.0);
/// ```
///
/// # Panics
/// If the table has fewer than three entries: at T = 1 there is nothing between both ends.
#[track_caller]
pub fn zero_terminal_snr(alpha_bars: &Array1<f64>) -> Array1<f64> {
    assert!(alpha_bars.len() > 2, "a chain of one step has no first and last level");
    let roots = alpha_bars.mapv(f64::sqrt);
    let (first, last) = (roots[1], roots[roots.len() - 1]);
    let mut rescaled = roots.mapv(|root| ((root - last) * first / (first - last)).powi(2));
    rescaled[0] = 1.0;
    rescaled
}
// ANCHOR_END: zero_terminal_snr

// ANCHOR: noise_to_signal
/// The noise beside a signal of size 1, σ, at the share `alpha_bar` of signal.
///
/// Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), §3.4: the noise level of NCSN (Song & Ermon 2019) at
/// DDPM's ᾱ_t. DDPM preserves the variance, NCSN the signal.
///
/// # Formula
/// σ = √((1 − ᾱ)/ᾱ), so that x_t/√ᾱ_t = x_0 + σ ε
///
/// # Example
/// ```
/// use ddpm::schedule::noise_to_signal;
///
/// assert!((noise_to_signal(0.64) - 0.75).abs() < 1e-12); // 0.6 of noise beside 0.8 of signal
/// ```
pub fn noise_to_signal(alpha_bar: f64) -> f64 {
    ((1.0 - alpha_bar) / alpha_bar).sqrt()
}
// ANCHOR_END: noise_to_signal

// ANCHOR: half_log_snr
/// λ, half of [`Schedule::log_snr`]: −∞ where all is noise, ∞ where all is signal.
///
/// Source: Lu et al. 2022 (DPM-Solver), §3.1. It is their λ; of Kingma et al.'s log-SNR it is half.
///
/// # Formula
/// λ = ln √(ᾱ/(1 − ᾱ))
///
/// # Example
/// ```
/// use ddpm::schedule::{half_log_snr, noise_to_signal};
///
/// assert!((half_log_snr(0.64) + noise_to_signal(0.64).ln()).abs() < 1e-12); // λ = −ln σ
/// ```
pub fn half_log_snr(alpha_bar: f64) -> f64 {
    0.5 * (alpha_bar.ln() - (-alpha_bar).ln_1p())
}
// ANCHOR_END: half_log_snr

/// A noise schedule, checked: every β_t lies in (0, 1).
///
/// ```
/// # fn main() -> ddpm::Result<()> {
/// let schedule = ddpm::schedule::Schedule::linear(1000, 1e-4, 0.02)?;
/// assert!((schedule.alpha_bar(1000).sqrt() - 0.0063528).abs() < 1e-7);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    betas: Array1<f64>,
    alpha_bars: Array1<f64>,
}

impl Schedule {
    /// A schedule from β_0 = 0, β_1 … β_T: T + 1 entries, as the `*_betas` functions of this module return them.
    ///
    /// # Errors
    /// T = 0, a β_0 that is not 0, or a β_t that is NaN or outside of (0, 1).
    pub fn from_betas(betas: Array1<f64>) -> Result<Self> {
        let steps = betas.len().saturating_sub(1);
        if steps == 0 {
            return Err(Error::NoSteps);
        }
        if betas[0] != 0.0 {
            let remedy = "entry 0 is the clean image, before any noise: put a 0 before β_1".into();
            return Err(Error::Parameter {
                name: "β_0", value: betas[0].to_string(), bound: "be 0", remedy
            });
        }
        match betas.iter().enumerate().skip(1).find(|&(_, &beta)| !inside(beta)) {
            Some((t, &beta)) => Err(Error::Beta { t, beta, steps }),
            None => Ok(Schedule { alpha_bars: alpha_bars(&betas), betas }),
        }
    }

    /// The linear schedule ([`linear_betas`]).
    ///
    /// # Errors
    /// T = 0 or more than [`MAX_STEPS`], or an end that is NaN or outside of (0, 1).
    pub fn linear(steps: usize, beta_start: f64, beta_end: f64) -> Result<Self> {
        check_steps(steps)?;
        check_ends(beta_start, beta_end)?;
        Self::from_betas(linear_betas(steps, beta_start, beta_end))
    }

    /// The linear schedule for any T > 20: the ends 10⁻⁴ and 0.02 of T = 1000, scaled by 1000/T, so that Σ β_t and with it
    /// ᾱ_T stay about the same.
    ///
    /// # Errors
    /// T ≤ 20, where β_T would be 1 or more.
    pub fn linear_scaled(steps: usize) -> Result<Self> {
        if steps <= 20 {
            let remedy =
                "the ends are scaled by 1000/T, and β_T = 20/T must stay below 1: use a longer chain".into();
            return Err(Error::Parameter {
                name: "steps",
                value: steps.to_string(),
                bound: "be more than 20",
                remedy,
            });
        }
        let scale = 1000.0 / steps as f64;
        Self::linear(steps, BETA_START * scale, BETA_END * scale)
    }

    /// The quadratic schedule ([`quad_betas`]).
    ///
    /// # Errors
    /// T = 0 or more than [`MAX_STEPS`], or an end that is NaN or outside of (0, 1).
    pub fn quad(steps: usize, beta_start: f64, beta_end: f64) -> Result<Self> {
        check_steps(steps)?;
        check_ends(beta_start, beta_end)?;
        Self::from_betas(quad_betas(steps, beta_start, beta_end))
    }

    /// The sigmoid schedule ([`sigmoid_betas`]).
    ///
    /// # Errors
    /// T = 0 or more than [`MAX_STEPS`], or an end that is NaN or outside of (0, 1).
    pub fn sigmoid(steps: usize, beta_start: f64, beta_end: f64) -> Result<Self> {
        check_steps(steps)?;
        check_ends(beta_start, beta_end)?;
        Self::from_betas(sigmoid_betas(steps, beta_start, beta_end))
    }

    /// The cosine schedule ([`cosine_betas`]).
    ///
    /// # Errors
    /// T = 0 or more than [`MAX_STEPS`], an offset that is NaN, infinite or below 0, or a cap outside of (0, 1).
    pub fn cosine(steps: usize, offset: f64, max_beta: f64) -> Result<Self> {
        if !(offset >= 0.0 && offset.is_finite()) {
            let remedy = format!("use a small one; Nichol & Dhariwal use {COSINE_OFFSET}");
            return Err(Error::Parameter {
                name: "offset",
                value: offset.to_string(),
                bound: "be at least 0",
                remedy,
            });
        }
        check_beta("max_beta", max_beta)?;
        check_steps(steps)?;
        Self::from_betas(cosine_betas(steps, offset, max_beta))
    }

    /// The number of steps T.
    pub fn steps(&self) -> usize {
        self.betas.len() - 1
    }

    /// β_t, the variance of the noise that step t adds, for t = 0 … T.
    ///
    /// # Panics
    /// If t > T; so do the other look-ups.
    #[track_caller]
    pub fn beta(&self, t: usize) -> f64 {
        self.look_up(&self.betas, t)
    }

    /// α_t = 1 − β_t.
    #[track_caller]
    pub fn alpha(&self, t: usize) -> f64 {
        1.0 - self.beta(t)
    }

    /// ᾱ_t = α_1 ⋯ α_t, the share of the signal's variance that is left at t.
    #[track_caller]
    pub fn alpha_bar(&self, t: usize) -> f64 {
        self.look_up(&self.alpha_bars, t)
    }

    /// The table of ᾱ_t, t = 0 … T.
    pub fn alpha_bars(&self) -> &Array1<f64> {
        &self.alpha_bars
    }

    // ANCHOR: alpha_bar_at
    /// ᾱ at any time 0 ≤ t ≤ T: the table's entry at a whole t, and between two steps a straight line in ln ᾱ.
    ///
    /// It is the ᾱ of dx = −½ β(t) x dt + √β(t) dw with the rate β(t) = −ln α_{s+1} during step s + 1 (Song et al. 2021,
    /// Eq. (29)).
    ///
    /// # Formula
    /// ᾱ(t) = ᾱ_s α_{s+1}^{t − s}, s = ⌊t⌋
    ///
    /// # Example
    /// ```
    /// use ddpm::schedule::Schedule;
    ///
    /// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ = 1, 0.64, 0.36
    /// assert!((schedule.alpha_bar_at(1.5) - 0.48).abs() < 1e-12); // the geometric mean, √(0.64 · 0.36)
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    ///
    /// # Panics
    /// If t is NaN or lies outside of [0, T].
    #[track_caller]
    pub fn alpha_bar_at(&self, t: f64) -> f64 {
        assert!(t >= 0.0 && t <= self.steps() as f64, "t = {t} lies outside of 0…{}", self.steps());
        let (step, share) = (t.floor() as usize, t.fract());
        if share == 0.0 {
            self.alpha_bar(step)
        } else {
            self.alpha_bar(step) * self.alpha(step + 1).powf(share)
        }
    }
    // ANCHOR_END: alpha_bar_at

    /// The step t = 0 … T that a whole time is.
    ///
    /// # Panics
    /// If the time lies between two steps, or outside of [0, T].
    #[track_caller]
    pub fn step_at(&self, t: f64) -> usize {
        assert!(t >= 0.0 && t <= self.steps() as f64, "t = {t} lies outside of 0…{}", self.steps());
        assert!(t.fract() == 0.0, "t = {t} lies between two steps, and a variance belongs to a step");
        t as usize
    }

    /// The log signal-to-noise ratio at t; infinite at t = 0.
    ///
    /// Source: Kingma et al. 2021 (Variational Diffusion Models), §3.1.
    ///
    /// # Formula
    /// ln(ᾱ_t/(1 − ᾱ_t))
    ///
    /// # Example
    /// ```
    /// use ddpm::schedule::Schedule;
    ///
    /// let schedule = Schedule::linear(1, 0.5, 0.5)?; // ᾱ_1 = ½
    /// assert!(schedule.log_snr(1).abs() < 1e-12); // as much signal as noise
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    #[track_caller]
    pub fn log_snr(&self, t: usize) -> f64 {
        2.0 * half_log_snr(self.alpha_bar(t))
    }

    #[track_caller]
    fn look_up(&self, table: &Array1<f64>, t: usize) -> f64 {
        assert!(t < table.len(), "t = {t} lies outside of 0…{}", self.steps());
        table[t]
    }
}

/// Rejects an end outside of (0, 1) by the name of its flag or key.
fn check_ends(beta_start: f64, beta_end: f64) -> Result<()> {
    check_beta("beta_start", beta_start)?;
    check_beta("beta_end", beta_end)
}

fn check_beta(name: &'static str, value: f64) -> Result<()> {
    if inside(value) {
        return Ok(());
    }
    let remedy = match value {
        _ if value <= 0.0 => format!("use a larger {name}"),
        _ if value >= 1.0 => format!("use a smaller {name}"),
        _ => "use a number in (0, 1)".into(),
    };
    Err(Error::Parameter { name, value: value.to_string(), bound: "lie in (0, 1), as every β must", remedy })
}

/// Rejects a chain that is too long for its table; T = 0 is rejected with the β.
fn check_steps(steps: usize) -> Result<()> {
    if steps <= MAX_STEPS {
        return Ok(());
    }
    let remedy = "Ho et al. use 1000".into();
    Err(Error::Parameter { name: "steps", value: steps.to_string(), bound: "be at most 1,000,000", remedy })
}

/// Whether β lies in (0, 1); NaN does not.
fn inside(beta: f64) -> bool {
    beta > 0.0 && beta < 1.0
}

/// The four schedules by name, with the parameters of their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScheduleName {
    /// [`linear_betas`] from 10⁻⁴ to 0.02.
    Linear,
    /// [`quad_betas`] from 10⁻⁴ to 0.02.
    Quad,
    /// [`sigmoid_betas`] between 10⁻⁴ and 0.02.
    Sigmoid,
    /// [`cosine_betas`] with s = 0.008 and β ≤ 0.999.
    Cosine,
}

impl ScheduleName {
    /// All of them, in the order in which the course presents them.
    pub const ALL: [ScheduleName; 4] = [Self::Linear, Self::Quad, Self::Sigmoid, Self::Cosine];

    /// The schedule of this name with T = `steps`; the ends stay the same whatever T is.
    ///
    /// # Errors
    /// T = 0.
    pub fn schedule(self, steps: usize) -> Result<Schedule> {
        match self {
            Self::Linear => Schedule::linear(steps, BETA_START, BETA_END),
            Self::Quad => Schedule::quad(steps, BETA_START, BETA_END),
            Self::Sigmoid => Schedule::sigmoid(steps, BETA_START, BETA_END),
            Self::Cosine => Schedule::cosine(steps, COSINE_OFFSET, COSINE_MAX_BETA),
        }
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Linear => "linear",
            Self::Quad => "quad",
            Self::Sigmoid => "sigmoid",
            Self::Cosine => "cosine",
        })
    }
}

impl FromStr for ScheduleName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|schedule| schedule.to_string() == name).ok_or_else(|| Error::Parameter {
            name: "schedule",
            value: name.into(),
            bound: "name a schedule",
            remedy: "use linear, quad, sigmoid or cosine".into(),
        })
    }
}
