//! What cannot be drawn, found before drawing and named.

use super::{Panel, Series, font, panel::Range, series::Fault};
use crate::Result;

impl Panel {
    /// Checks that everything in the panel can be drawn.
    pub(super) fn check(&self) -> Result<()> {
        let labels = [&self.title, &self.labels.0, &self.labels.1];
        labels.into_iter().try_for_each(|label| font::check(label))?;
        let ticks = [&self.ticks.0, &self.ticks.1].into_iter().flatten().flatten();
        ticks.map(|(_, name)| name).try_for_each(|name| font::check(name))?;
        if self.heatmap.is_none() && self.series.iter().all(|series| series.kind.len() == 0) {
            return Err(ddpm::Error::Parameter {
                name: "the number of points",
                value: format!("0 in panel “{}”", self.title),
                bound: "be at least 1",
                remedy: "add a series, or look why there is nothing in it".into(),
            }
            .into());
        }
        self.check_range("x", self.ranges.0, self.log.0)?;
        self.check_range("y", self.ranges.1, self.log.1)?;
        if let Some(map) = &self.heatmap {
            font::check(&map.label)?;
            map.check(&self.title)?;
            self.check_range("x", Some(map.x), self.log.0)?;
            self.check_range("y", Some(map.y), self.log.1)?;
        }
        self.series.iter().enumerate().try_for_each(|(i, series)| self.check_series(i, series))
    }

    fn check_range(&self, axis: &str, range: Range, log: bool) -> Result<()> {
        let Some((from, to)) = range else { return Ok(()) };
        if from < to && from.is_finite() && to.is_finite() && (!log || from > 0.0) {
            return Ok(());
        }
        Err(ddpm::Error::Parameter {
            name: "a plot's range",
            value: format!("{from}…{to} for {axis} in panel “{}”", self.title),
            bound: "rise between finite numbers, positive ones on a logarithmic axis",
            remedy: "set the range anew".into(),
        }
        .into())
    }

    fn check_series(&self, i: usize, series: &Series) -> Result<()> {
        font::check(&series.label)?;
        let named = || match series.label.as_str() {
            "" => format!("series {i} of panel “{}”", self.title),
            label => format!("series “{label}” of panel “{}”", self.title),
        };
        if let Some(Fault { index, value }) = &series.fault {
            return Err(ddpm::Error::Parameter {
                name: "a plotted point",
                value: format!("{value} (point {index} of {})", named()),
                bound: "be finite",
                remedy: "find out where it comes from, or filter it out".into(),
            }
            .into());
        }
        let (xs, ys) = series.kind.extent(self.log.1);
        for (axis, log, values) in [("x", self.log.0, xs), ("y", self.log.1, ys)] {
            let Some(index) = values.iter().position(|&value| log && value <= 0.0) else { continue };
            let values_per_point = values.len() / series.kind.len();
            return Err(ddpm::Error::Parameter {
                name: "a point on a logarithmic axis",
                value: format!(
                    "{axis} = {} (point {} of {})",
                    values[index],
                    index / values_per_point,
                    named()
                ),
                bound: "be positive",
                remedy: "filter it out, or make the axis linear".into(),
            }
            .into());
        }
        Ok(())
    }
}
