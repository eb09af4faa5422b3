//! Where time begins, and where the velocity points to: one flow, four ways of writing it down.
//!
//! | | time from | velocity to | x_t | velocity | who |
//! |---|---|---|---|---|---|
//! | [`Convention::OURS`] | data | noise | (1 − t) x_0 + t ε | ε − x_0 | Esser et al. 2024; diffusers; openpi |
//! | [`Convention::LIPMAN`] | noise | data | t x_0 + (1 − t) ε | x_0 − ε | Lipman et al. 2023; Liu et al. 2023; torchcfm |
//! | [`Convention::TO_DATA`] | data | data | (1 − t) x_0 + t ε | x_0 − ε | samplers that add the velocity while t falls |
//! | [`Convention::TO_NOISE`] | noise | noise | t x_0 + (1 − t) ε | ε − x_0 | its mirror image |
//!
//! Lipman et al. call the data x_1 and the noise x_0.

use ndarray::Array2;
use std::fmt;

/// An end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// x_0 of this library.
    Data,
    /// ε.
    Noise,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if *self == End::Data { "data" } else { "noise" })
    }
}

/// How a code writes a flow down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convention {
    /// The end at which its time is 0.
    pub time_from: End,
    /// The end that its velocity points to.
    pub velocity_to: End,
}

impl Convention {
    /// Time from the data, as in DDPM, and dx/dt: to the noise.
    pub const OURS: Convention = Convention { time_from: End::Data, velocity_to: End::Noise };
    /// Time from the noise, and dx/dt: to the data.
    pub const LIPMAN: Convention = Convention { time_from: End::Noise, velocity_to: End::Data };
    /// Time from the data, and −dx/dt.
    pub const TO_DATA: Convention = Convention { time_from: End::Data, velocity_to: End::Data };
    /// Time from the noise, and −dx/dt.
    pub const TO_NOISE: Convention = Convention { time_from: End::Noise, velocity_to: End::Noise };
    /// All of them.
    pub const ALL: [Convention; 4] = [Self::OURS, Self::LIPMAN, Self::TO_DATA, Self::TO_NOISE];

    /// The sign s of dx/dt = s v, in its own time t.
    ///
    /// # Example
    /// ```
    /// use ddpm::flow::Convention;
    ///
    /// assert_eq!(Convention::ALL.map(Convention::sign), [1.0, 1.0, -1.0, -1.0]);
    /// ```
    pub fn sign(self) -> f64 {
        if self.time_from == self.velocity_to { -1.0 } else { 1.0 }
    }
}

// ANCHOR: convert_time
/// The time in the convention `to` of a time t in the convention `from`.
///
/// # Formula
/// t, or 1 − t if their times begin at different ends
///
/// # Example
/// ```
/// use ddpm::flow::{Convention, convert_time};
///
/// assert_eq!(convert_time(Convention::OURS, Convention::LIPMAN, 0.25), 0.75);
/// assert_eq!(convert_time(Convention::OURS, Convention::TO_DATA, 0.25), 0.25);
/// ```
pub fn convert_time(from: Convention, to: Convention, t: f64) -> f64 {
    if from.time_from == to.time_from { t } else { 1.0 - t }
}
// ANCHOR_END: convert_time

// ANCHOR: convert_velocity
/// The velocity in the convention `to` of a velocity in the convention `from`, at the same point of the path.
///
/// A network's output is converted so; its time is by [`convert_time`]. Shapes: (N, D).
///
/// # Formula
/// v, or −v if they point to different ends: whether their times begin at one end does not matter
///
/// # Example
/// ```
/// use ddpm::flow::{Convention, convert_velocity};
/// use ndarray::array;
///
/// let v = array![[2.0, -1.0]];
/// assert_eq!(convert_velocity(Convention::OURS, Convention::LIPMAN, &v), array![[-2.0, 1.0]]);
/// assert_eq!(convert_velocity(Convention::OURS, Convention::TO_NOISE, &v), v);
/// ```
pub fn convert_velocity(from: Convention, to: Convention, v: &Array2<f64>) -> Array2<f64> {
    if from.velocity_to == to.velocity_to { v.clone() } else { -v }
}
// ANCHOR_END: convert_velocity

/// A velocity field of one convention as a field of another: time in, velocity out.
///
/// # Example
/// ```
/// use ddpm::flow::{Convention, convention::convert_field};
/// use ndarray::array;
///
/// let theirs = |t: f64, _: &ndarray::Array2<f64>| array![[t]];
/// let ours = convert_field(Convention::LIPMAN, Convention::OURS, theirs);
/// assert_eq!(ours(0.25, &array![[0.0]]), array![[-0.75]]);
/// ```
pub fn convert_field(
    from: Convention,
    to: Convention,
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
) -> impl Fn(f64, &Array2<f64>) -> Array2<f64> {
    move |t, x| convert_velocity(from, to, &velocity(convert_time(to, from, t), x))
}
