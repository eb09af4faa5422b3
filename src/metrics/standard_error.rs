//! How far chance may carry a measurement.

use super::standard_error;
use ndarray::ArrayView1;

/// The standard error of the difference between a measured and a predicted value, for a statistical
/// row of a table of predicted against measured.
///
/// The row is ok within [`LIMIT`](Self::LIMIT) standard errors; [`drawn`](Self::drawn) and [`largest_of`](Self::largest_of)
/// widen this so that the chance of a failure stays the same, and [`besides`](Self::besides) adds an error that is not
/// chance's.
///
/// ```
/// use ddpm::metrics::StandardError;
///
/// assert_eq!(StandardError::from(0.1).tolerance(), 0.1 * StandardError::LIMIT);
/// assert!(StandardError::from(0.1).drawn(20).tolerance() > 0.7); // Student's t
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StandardError {
    value: f64,
    degrees: f64,
    count: usize,
    bias: f64,
}

impl StandardError {
    /// The number of standard errors within which a statistical row is ok.
    ///
    /// A whole run of the course has about 120 statistical rows, and a hundred readers should not meet a failure by chance:
    /// the chance of one row has to be well below 1/12,000. For a normal statistic 2(1 − Φ(z)) is 6.3·10⁻⁵ at z = 4, which makes 0.8 failures
    /// in those 12,000 rows, and 5.7·10⁻⁷ at z = 5, which makes 0.007.
    pub const LIMIT: f64 = 5.0;

    /// The chance 2(1 − Φ(z)) that a normal statistic lies outside of z = [`LIMIT`](Self::LIMIT) standard errors.
    pub const CHANCE: f64 = 5.733e-7;

    /// The standard error of the mean of independent `values`, √(s²/N), known from N draws.
    pub fn of_mean(values: ArrayView1<f64>) -> Self {
        Self::from(standard_error(values)).drawn(values.len())
    }

    /// The standard error of a correlation ρ that is measured on `count` pairs of normal numbers, (1 − ρ²)/√N.
    pub fn of_correlation(rho: f64, count: usize) -> Self {
        Self::from((1.0 - rho * rho) / (count as f64).sqrt())
    }

    /// A standard error that is itself estimated, from the scatter of `count` draws: the limit is that of Student's t with
    /// `count` − 1 degrees of freedom, 5.3 for 100 draws and 7.4 for 20.
    #[must_use]
    pub fn drawn(self, count: usize) -> Self {
        Self { degrees: count as f64 - 1.0, ..self }
    }

    /// The measured value is the largest of `count` deviations: one of many lies far out more easily than one alone.
    #[must_use]
    pub fn largest_of(self, count: usize) -> Self {
        Self { count, ..self }
    }

    /// The measured value may also differ by `bias`, for a reason that more draws do not take away.
    #[must_use]
    pub fn besides(self, bias: f64) -> Self {
        Self { bias, ..self }
    }

    /// The value of the standard error.
    pub fn value(self) -> f64 {
        self.value
    }

    /// Whether it is a positive number: nothing can be judged by another one.
    pub fn is_known(self) -> bool {
        self.value > 0.0 && self.value.is_finite() && self.degrees > 0.0
    }

    /// How many standard errors are allowed: the quantile with the chance of z = 5 in a normal distribution.
    ///
    /// u² = 25 + 2 ln m for the largest of m, since the tail falls as e^{−z²/2}; then t² = ν (e^{w²/ν} − 1) with w = u (8ν + 3)/(8ν + 1)
    /// for Student's t with ν degrees of freedom (Wallace 1959, *Ann. Math. Statist.* 30, 1124).
    pub fn limit(self) -> f64 {
        let normal = (Self::LIMIT.powi(2) + 2.0 * (self.count as f64).ln()).sqrt();
        if self.degrees.is_infinite() {
            return normal;
        }
        let w = normal * (8.0 * self.degrees + 3.0) / (8.0 * self.degrees + 1.0);
        (self.degrees * (w * w / self.degrees).exp_m1()).sqrt()
    }

    /// The largest difference at which a row is ok.
    pub fn tolerance(self) -> f64 {
        self.limit() * self.value + self.bias
    }

    /// The error that is not chance's: see [`besides`](Self::besides).
    pub fn bias(self) -> f64 {
        self.bias
    }
}

impl From<f64> for StandardError {
    /// A standard error that is known, or estimated from so many draws that it is as good as known.
    fn from(value: f64) -> Self {
        Self { value, degrees: f64::INFINITY, count: 1, bias: 0.0 }
    }
}
