//! Paths of points on a line.

use ndarray::ArrayView1;

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
