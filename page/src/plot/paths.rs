//! Paths of points on a line.

use ndarray::{Array2, ArrayView1};

/// The paths of several points on a line, as curves over time: what a sampler or a solver shows on its way.
///
/// ```
/// use ddpm_page::plot::{Panel, Paths};
/// use ndarray::array;
///
/// let mut paths = Paths::default();
/// paths.push(1.0, array![0.5, -0.5].view());
/// paths.push(0.0, array![0.1, -0.2].view());
/// assert_eq!(paths.curves()[1], [(1.0, -0.5), (0.0, -0.2)]);
/// let panel = Panel::new("").axes("t", "x").lines(paths.lines());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Paths {
    curves: Vec<Vec<(f64, f64)>>,
}

impl Paths {
    /// Adds one place to each path: at `t`, in `x`, one number for each point.
    ///
    /// # Panics
    /// If the number of points is another than before.
    #[track_caller]
    pub fn push(&mut self, t: f64, x: ArrayView1<f64>) {
        if self.curves.is_empty() {
            self.curves = vec![Vec::new(); x.len()];
        }
        assert_eq!(self.curves.len(), x.len(), "paths and points");
        self.curves.iter_mut().zip(x).for_each(|(curve, &x)| curve.push((t, x)));
    }

    /// The paths of points on a line, from their places at equally spaced times from t = 1 down to 0, each of shape (N, 1).
    ///
    /// ```
    /// use ndarray::array;
    ///
    /// let paths = ddpm_page::plot::Paths::backwards(&[array![[0.5]], array![[0.2]], array![[0.1]]]);
    /// assert_eq!(paths.curves()[0], [(1.0, 0.5), (0.5, 0.2), (0.0, 0.1)]);
    /// ```
    pub fn backwards(places: &[Array2<f64>]) -> Self {
        let (mut paths, last) = (Paths::default(), places.len().saturating_sub(1).max(1) as f64);
        places.iter().enumerate().for_each(|(i, x)| paths.push(1.0 - i as f64 / last, x.column(0)));
        paths
    }

    /// How often two neighbouring paths meet or change sides, over all places: the points stand in rising order at the start.
    pub fn crossings(&self) -> usize {
        let pairs = self.curves.windows(2).flat_map(|pair| pair[0].iter().zip(&pair[1]));
        pairs.filter(|(lower, upper)| lower.1 >= upper.1).count()
    }

    /// The curves without labels, for [`Panel::lines`](super::Panel::lines).
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, Vec<(f64, f64)>)> {
        self.curves.iter().map(|curve| ("", curve.clone()))
    }

    /// A curve (t, x) for each point.
    pub fn curves(&self) -> &[Vec<(f64, f64)>] {
        &self.curves
    }
}
