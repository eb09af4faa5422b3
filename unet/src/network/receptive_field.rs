//! How far a pixel of the output looks.

use super::{
    compute::Phase,
    config::UNetConfig,
    probe::{Cut, Probe},
    unet::UNet,
};
use crate::Result;
use candle_core::{DType, Tensor, Var};
use ddpm::metrics::largest;
use ddpm_page::plot::{Figure, Heatmap, Panel};
use ndarray::{Array1, Array2, s};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::ops::Range;

/// |∂ε_{i,j}/∂x_{k,l}| for one pixel (i, j) of the output: how strongly it depends on each pixel (k, l) of the image.
///
/// Summed over the channels of both, the mean over the images of the batch. `cuts` as for [`Probe::cutting`].
///
/// Shapes: `x_t` (B, H, W, C) to (H, W).
///
/// # Errors
/// If the network cannot take the image, or the device runs out of memory.
pub fn sensitivity(
    network: &UNet,
    x_t: &Tensor,
    t: &[f64],
    (row, column): (usize, usize),
    cuts: &[Cut],
) -> Result<Array2<f64>> {
    let x = Var::from_tensor(x_t)?;
    let mut probe = Probe::new(network.parameters(), Phase::Evaluate).cutting(cuts.to_vec());
    let y = network.read(x.as_tensor(), t, &mut probe)?;
    let gradients = y.narrow(1, row, 1)?.narrow(2, column, 1)?.sum_all()?.backward()?;
    let (_, height, width, _) = x_t.dims4()?;
    let map = match gradients.get(&x) {
        Some(gradient) => gradient.to_dtype(DType::F64)?.abs()?.sum(3)?.mean(0)?, // (H, W)
        None => Tensor::zeros((height, width), DType::F64, x_t.device())?,
    };
    let numbers = map.flatten_all()?.to_vec1()?;
    Ok(Array2::from_shape_vec((height, width), numbers).expect("as many numbers as pixels"))
}

/// [`sensitivity`] of several networks of one architecture, each with random weights of its own.
#[derive(Debug, Clone)]
pub struct Sights {
    maps: Vec<Array2<f64>>,
    pixel: (usize, usize),
}

impl Sights {
    /// The networks of these seeds, all parameters of which are random, at t = 500. Shape: `x_t` (B, H, W, C).
    ///
    /// # Errors
    /// As [`sensitivity`], or if there is no network of this architecture.
    pub fn of(
        config: &UNetConfig,
        seeds: Range<u64>,
        x_t: &Tensor,
        pixel: (usize, usize),
        cuts: &[Cut],
    ) -> Result<Self> {
        let map = |seed| {
            let rng = &mut StdRng::seed_from_u64(seed);
            let network = UNet::fully_initialised(config.clone(), rng, x_t.device())?; // nothing is silent
            sensitivity(&network, x_t, &vec![500.0; x_t.dim(0)?], pixel, cuts)
        };
        Ok(Sights { maps: seeds.map(map).collect::<Result<_>>()?, pixel })
    }

    /// The mean map: (H, W).
    ///
    /// # Panics
    /// If there is no network.
    #[track_caller]
    pub fn mean_map(&self) -> Array2<f64> {
        let sum = self.maps.iter().skip(1).fold(self.maps[0].clone(), |sum, map| sum + map);
        sum / self.maps.len() as f64
    }

    /// A picture of several under their names: log₁₀ of each mean map over its largest entry, row 0 at the top.
    ///
    /// # Panics
    /// If one has no network.
    #[track_caller]
    pub fn figure(all: &[(String, Self)]) -> Figure {
        let panels = all.iter().map(|(name, sights)| {
            let map = sights.mean_map();
            let (size, strongest) = (map.nrows(), largest(map.iter().copied()));
            let shown = map.slice(s![..;-1, ..]).mapv(|entry| (entry / strongest).max(1e-4).log10());
            let ends = (0.0, size as f64);
            let heatmap = Heatmap::new(shown, ends, ends).range(-4.0, 0.0);
            let heatmap = heatmap.label("log₁₀ of |∂ε/∂x| over its largest");
            let rows = (0..size).step_by(8).map(|row| ((size - row) as f64, row.to_string()));
            let columns = (0..size).step_by(8).map(|column| (column as f64, column.to_string()));
            Panel::new(name).axes("column", "row").heatmap(heatmap).equal().x_ticks(columns).y_ticks(rows)
        });
        Figure::new("").panels(panels).panel_size(230, 235).one_color_bar()
    }

    /// A number of each map and its pixel, such as [`reach`]: the mean over the networks, and the standard deviation from network to
    /// network.
    pub fn spread(&self, number: impl Fn(&Array2<f64>, (usize, usize)) -> f64) -> [f64; 2] {
        let numbers: Array1<f64> = self.maps.iter().map(|map| number(map, self.pixel)).collect();
        [numbers.sum() / numbers.len() as f64, numbers.std(1.0)]
    }
}

/// The root mean square distance from a pixel, weighted by a map, in pixels.
pub fn reach(map: &Array2<f64>, (row, column): (usize, usize)) -> f64 {
    let square =
        |(k, l): (usize, usize)| (k as f64 - row as f64).powi(2) + (l as f64 - column as f64).powi(2);
    let weighted: f64 = map.indexed_iter().map(|(place, weight)| weight * square(place)).sum();
    (weighted / map.sum()).sqrt()
}

/// The share of a map's weight on pixels more than so many rows or columns away from a pixel.
///
/// ```
/// use ddpm_unet::network::share_beyond;
///
/// let map = ndarray::array![[1.0, 0.0, 2.0], [0.0, 4.0, 1.0]];
/// assert_eq!(share_beyond(&map, (0, 0), 1), 3.0 / 8.0); // the last column
/// ```
pub fn share_beyond(map: &Array2<f64>, (row, column): (usize, usize), distance: usize) -> f64 {
    let weights = map.indexed_iter();
    let far = weights.filter(|((k, l), _)| k.abs_diff(row).max(l.abs_diff(column)) > distance);
    far.map(|(_, weight)| weight).sum::<f64>() / map.sum()
}

/// What to cut so that the output depends on the image through one level's skip connections only, counted from the finest,
/// 0; or, with `None`, only through the middle.
pub fn only_level(levels: usize, layers_per_block: usize, level: Option<usize>) -> Vec<Cut> {
    let per_level = layers_per_block + 1;
    let mut cuts = vec![Cut::Skip; levels * per_level];
    if let Some(level) = level {
        let first = (levels - 1 - level) * per_level;
        cuts[first..first + per_level].fill(Cut::Nothing);
        cuts[first] = Cut::Below;
    }
    cuts
}

/// The ways from the image to the output, by their names, each with what to cut so that no other is open: the skip connections of each
/// level, the finest first, then the middle, then all ways at once.
///
/// # Panics
/// If the settings have no level.
#[track_caller]
pub fn ways(config: &UNetConfig) -> Vec<(String, Vec<Cut>)> {
    let (levels, (height, width)) = (config.block_out_channels.len(), config.image_size());
    let only = |level| only_level(levels, config.layers_per_block, level);
    let through =
        |level| (format!("level {level}, {} × {}", height >> level, width >> level), only(Some(level)));
    let rest = [("the middle only".to_owned(), only(None)), ("all ways".to_owned(), vec![])];
    (0..levels).map(through).chain(rest).collect()
}
