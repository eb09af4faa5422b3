//! What a run is fed, and where along the chain its loss is left.

use super::batch::Batch;
use ddpm_page::plot::{BLUE, ORANGE, Panel, Series};
use std::ops::RangeInclusive;

/// What batches hold, all together.
///
/// ```
/// use ddpm_unet::train::{BatchStatistics, validation_batch};
/// use ddpm_unet::images::{Split, mnist};
///
/// let batch = validation_batch(&mnist(Split::Test)?, &ddpm::schedule::Schedule::linear(100, 1e-3, 0.1)?, 0, 50)?;
/// let mut statistics = BatchStatistics::default();
/// statistics.add(&batch);
/// assert_eq!((statistics.lowest, statistics.highest), (-1.0, 1.0)); // black and white
/// assert_eq!(statistics.numbers, 50 * 28 * 28);
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics {
    /// How many numbers the images have in all.
    pub numbers: usize,
    /// The smallest number of an image, ∞ of none.
    pub lowest: f64,
    /// The largest number of an image, −∞ of none.
    pub highest: f64,
    /// All t, in their order.
    pub t: Vec<usize>,
    squares: [f64; 2],
}

impl Default for BatchStatistics {
    fn default() -> Self {
        Self {
            numbers: 0,
            lowest: f64::INFINITY,
            highest: f64::NEG_INFINITY,
            t: Vec::new(),
            squares: [0.0; 2],
        }
    }
}

impl BatchStatistics {
    /// Adds a batch to what was seen.
    pub fn add(&mut self, batch: &Batch) {
        for x in batch.x_0.iter().map(|&x| f64::from(x)) {
            self.lowest = self.lowest.min(x);
            self.highest = self.highest.max(x);
            self.squares[0] += x * x;
        }
        self.squares[1] += batch.eps.iter().map(|&eps| f64::from(eps).powi(2)).sum::<f64>();
        self.numbers += batch.x_0.len();
        self.t.extend(&batch.t);
    }

    /// E x_0², over all numbers of all images.
    pub fn mean_square_x_0(&self) -> f64 {
        self.squares[0] / self.numbers as f64
    }

    /// E ε², over all numbers of all images.
    pub fn mean_square_eps(&self) -> f64 {
        self.squares[1] / self.numbers as f64
    }

    /// The mean of all t, and the standard error of the mean of so many that are uniform on 1…`latest`, √((T² − 1)/12n), here without
    /// the 1.
    pub fn mean_t(&self, latest: usize) -> (f64, f64) {
        let drawn = self.t.len() as f64;
        let mean = self.t.iter().sum::<usize>() as f64 / drawn;
        (mean, ((latest as f64).powi(2) / 12.0 / drawn).sqrt())
    }

    /// The density of a flat histogram over 1…`latest` in so many bins, and the standard deviation of a bin of as many t as were drawn.
    ///
    /// # Formula
    /// 1/T, and √(p (1 − p)/n) B/T, with p = 1/B
    ///
    /// where T is `latest`, B the number of `bins`, p the share of one, and n the number of t.
    ///
    /// # Example
    /// ```
    /// use ddpm_unet::train::BatchStatistics;
    ///
    /// let mut seen = BatchStatistics::default();
    /// seen.t = vec![1; 100];
    /// assert_eq!(seen.flat_density(10, 2), (0.1, 0.01)); // half of 100 in each bin, ± 5, of width 5
    /// ```
    pub fn flat_density(&self, latest: usize, bins: usize) -> (f64, f64) {
        let (share, width) = (1.0 / bins as f64, latest as f64 / bins as f64);
        (1.0 / latest as f64, (share * (1.0 - share) / self.t.len() as f64).sqrt() / width)
    }

    /// The histogram of all t, with two standard deviations of chance around the flat one.
    pub fn panel(&self, latest: usize) -> Panel {
        let (bins, ends) = (latest.min(40), (0.5, latest as f64 + 0.5));
        let (density, error) = self.flat_density(latest, bins);
        let band = [ends.0, ends.1].map(|at| (at, density - 2.0 * error, density + 2.0 * error));
        Panel::new("")
            .axes("t", "density")
            .histogram("", self.t.iter().map(|&t| t as f64), bins, ends)
            .series(Series::band("flat, ± 2 standard deviations of chance", band).color(ORANGE))
            .series(Series::horizontal("", density).color(ORANGE))
    }

    /// The earliest and the latest t, 0…0 of none.
    pub fn range_of_t(&self) -> RangeInclusive<usize> {
        let ends = (self.t.iter().min(), self.t.iter().max());
        ends.0.copied().unwrap_or(0)..=ends.1.copied().unwrap_or(0)
    }
}

/// The mean loss of a stretch of t.
#[derive(Debug, Clone, PartialEq)]
pub struct LossAt {
    /// The stretch.
    pub t: RangeInclusive<usize>,
    /// The mean loss of its images.
    pub loss: f64,
}

impl LossAt {
    /// The t in the middle, rounded down.
    pub fn middle(&self) -> usize {
        (self.t.start() + self.t.end()) / 2
    }
}

/// The losses of stretches against t, each at its middle, on a logarithmic scale.
pub fn panel_along_t(along: &[LossAt]) -> Panel {
    let curve: Vec<(f64, f64)> = along.iter().map(|at| (at.middle() as f64, at.loss)).collect();
    let ticks =
        [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0].map(|loss: f64| (loss, loss.to_string()));
    Panel::new("")
        .axes("t", "E‖ε − ε_θ‖²/D")
        .log_y()
        .y_ticks(ticks)
        .line("", curve.clone())
        .series(Series::points("average, in tenths of the images", curve).color(BLUE).size(6.0))
}

/// The mean losses along the chain, in `stretches` of as many images, of a batch whose t rise, as those of
/// [`validation_batch`](super::validation_batch) do. There are no more stretches than images.
///
/// Shapes: `t` and `losses` (B).
///
/// # Panics
/// If there are not as many losses as times.
#[track_caller]
pub fn losses_along_t(t: &[usize], losses: &[f64], stretches: usize) -> Vec<LossAt> {
    assert_eq!(t.len(), losses.len(), "one loss for each t");
    let (stretches, count) = (stretches.min(t.len()), t.len());
    let stretch = |i: usize| {
        let rows = i * count / stretches..(i + 1) * count / stretches;
        let loss = losses[rows.clone()].iter().sum::<f64>() / rows.len() as f64;
        LossAt { t: t[rows.start]..=t[rows.end - 1], loss }
    };
    (0..stretches).map(stretch).collect()
}
