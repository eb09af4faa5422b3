//! One axis: its range, its scale and its ticks.

use super::font;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// An axis in its own coordinate: the value itself, or its decimal logarithm.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    /// Where the ticks are, in the axis's coordinate, and what they say.
    pub ticks: Vec<(f64, String)>,
    log: bool,
}

impl Axis {
    /// An axis over the `fixed` range, or one that fits the values with a margin of 4 % at both ends. Zero stays an end
    /// where `grounded`: bars stand on the axis.
    pub(super) fn new(values: &[f64], fixed: Option<(f64, f64)>, log: bool, grounded: bool) -> Self {
        let scale = |value: f64| if log { value.log10() } else { value };
        let (low, high) = fixed.map_or_else(
            || {
                let ends = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
                    (low.min(scale(value)), high.max(scale(value)))
                });
                with_margin(ends, grounded)
            },
            |(from, to)| (scale(from), scale(to)),
        );
        Self { low, high, ticks: Vec::new(), log }
    }

    /// Sets round ticks on an upright axis of a length, no nearer to each other than `step` pixels.
    pub(super) fn tick_upright(&mut self, length: f64, step: f64) {
        self.ticks = self.round_places((length / step) as usize);
    }

    /// Sets round ticks on a level axis of a length, as many as fit with labels of a size.
    pub(super) fn tick_level(&mut self, length: f64, size: f64) {
        for count in (1..=10).rev() {
            self.ticks = self.round_places(count);
            let nearest =
                self.ticks.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(f64::INFINITY, f64::min);
            if nearest / (self.high - self.low) * length >= self.widest(size) + 1.5 * size {
                return;
            }
        }
    }

    /// Sets these ticks, as far as they lie on the axis.
    pub(super) fn tick_at(&mut self, ticks: &[(f64, String)]) {
        let places = ticks.iter().map(|(value, text)| (self.place(*value), text.clone()));
        self.ticks = places.filter(|(place, _)| self.has(*place)).collect();
    }

    /// Round places on the axis, about `count` of them.
    fn round_places(&self, count: usize) -> Vec<(f64, String)> {
        if self.log && self.high - self.low >= 1.0 {
            let whole = decades(self.low, self.high, count);
            let finer = [[1.0, 2.0, 5.0].as_slice(), [1.0, 3.0].as_slice()];
            let finer = finer.map(|multiples| within_decades(self.low, self.high, multiples));
            let fits = |ticks: &Vec<(f64, String)>| (ENOUGH..=count).contains(&ticks.len());
            if whole.len() < ENOUGH { finer.into_iter().find(fits).unwrap_or(whole) } else { whole }
        } else if self.log {
            let (low, high) = (10_f64.powf(self.low), 10_f64.powf(self.high));
            linear(low, high, count).into_iter().map(|(value, text)| (value.log10(), text)).collect()
        } else {
            linear(self.low, self.high, count)
        }
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// A value in the axis's coordinate.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    /// Whether a coordinate lies on the axis.
    pub(super) fn has(&self, place: f64) -> bool {
        (self.low..=self.high).contains(&place)
    }

    /// How far along the axis a coordinate lies, from 0 to 1.
    pub(super) fn share(&self, place: f64) -> f64 {
        (place - self.low) / (self.high - self.low)
    }

    /// The width of the widest tick's label, in pixels.
    pub(super) fn widest(&self, pixels: f64) -> f64 {
        self.ticks.iter().map(|tick| pixels * font::width(&tick.1)).fold(0.0, f64::max)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        (f64::from(first) + self.share(*place) * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, place: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *place);
        tick.map_or_else(String::new, |tick| tick.1.clone())
    }
}

fn with_margin((low, high): (f64, f64), grounded: bool) -> (f64, f64) {
    if low > high {
        return (0.0, 1.0); // nothing needs space on this axis
    }
    let margin = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1e-3) };
    match grounded {
        true if low >= 0.0 => (0.0, high + margin),
        true if high <= 0.0 => (low - margin, 0.0),
        _ => (low - margin, high + margin),
    }
}

/// Ticks at round multiples of 1, 2, 2.5 or 5 times a power of ten.
fn linear(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let least = (high - low) / count.max(1) as f64;
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= least);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    let greatest = low.abs().max(high.abs());
    (first..=last).map(|i| i as f64 * step).map(|value| (value, number(value, step, greatest))).collect()
}

/// Ticks at powers of ten.
fn decades(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let (first, last) = ((low - 1e-9).ceil() as i32, (high + 1e-9).floor() as i32);
    let every = ((last - first) as usize / count.max(1) + 1) as i32;
    let shown = (first..=last).filter(|exponent| exponent.rem_euclid(every) == 0);
    shown.map(|exponent| (f64::from(exponent), power_of_ten(exponent))).collect()
}

/// How many ticks a logarithmic axis has at least, if there is space: from two nobody reads a value in between.
const ENOUGH: usize = 3;

/// Ticks at some multiples of the powers of ten.
fn within_decades(low: f64, high: f64, multiples: &[f64]) -> Vec<(f64, String)> {
    let exponents = low.floor() as i32..=high.ceil() as i32;
    let places = exponents.flat_map(|exponent| multiples.iter().map(move |&multiple| (exponent, multiple)));
    let places =
        places.map(|(exponent, multiple)| (f64::from(exponent) + multiple.log10(), exponent, multiple));
    let inside = places.filter(|place| (low - 1e-9..=high + 1e-9).contains(&place.0));
    let text = |exponent: i32, multiple: f64| {
        let value = multiple * 10_f64.powi(exponent);
        let is_power = multiple == 1.0 && !PLAIN.contains(&exponent);
        if is_power { power_of_ten(exponent) } else { number(value, 10_f64.powi(exponent), value) }
    };
    inside.map(|(place, exponent, multiple)| (place, text(exponent, multiple))).collect()
}

/// The exponents of numbers that are written without a power of ten.
const PLAIN: Range<i32> = -3..5;

/// A tick's value to the precision of the step; far from 1 as a multiple of a power of ten.
fn number(value: f64, step: f64, greatest: f64) -> String {
    let exponent = greatest.log10().floor() as i32;
    if value == 0.0 {
        return "0".into();
    }
    let (value, step, tail) = if PLAIN.contains(&exponent) {
        (value, step, String::new())
    } else {
        let unit = 10_f64.powi(exponent);
        (value / unit, step / unit, format!("·{}", power_of_ten(exponent)))
    };
    let decimals = (0..9).find(|&n| is_whole(step * 10_f64.powi(n))).unwrap_or(9) as usize;
    format!("{value:.decimals$}{tail}").replace('-', "−")
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6 * value.abs()
}

fn power_of_ten(exponent: i32) -> String {
    let raised = |letter| match letter {
        '-' => '⁻',
        digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize - '0' as usize],
    };
    std::iter::once('1').chain(['0']).chain(exponent.to_string().chars().map(raised)).collect()
}
