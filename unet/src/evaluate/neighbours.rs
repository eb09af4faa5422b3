//! Nearest neighbours: did the network memorise, does it draw data, and all of it?

use super::rows;
use crate::{
    Result,
    images::{ImageSource, batch},
    operations::threads::in_order,
};
use candle_core::{Device, Tensor};
use ndarray::{Array2, Axis};

// ANCHOR: neighbour
/// The nearest of a set to a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its place in the set, counted from 0.
    pub index: usize,
    /// The Euclidean distance to it.
    pub distance: f64,
}
// ANCHOR_END: neighbour

// ANCHOR: nearest
/// The nearest row of `set` to each row of `queries`; of equally near ones the first. Shapes: (N, D) and (M, D) to (N).
///
/// The square is multiplied out, so that all ⟨q, x⟩ are one matrix product, which is many times faster than subtracting point
/// from point. The difference of large numbers may come out a little below 0, for a copy: that is a distance of 0.
///
/// # Formula
/// ‖q − x‖² = ‖q‖² + ‖x‖² − 2 ⟨q, x⟩
///
/// # Example
/// ```
/// use ddpm_unet::evaluate::neighbours::{Neighbour, nearest};
/// use ndarray::array;
///
/// let found = nearest(&array![[3.0, 4.0]], &array![[9.0, 9.0], [0.0, 0.0]]);
/// assert_eq!(found, [Neighbour { index: 1, distance: 5.0 }]);
/// ```
///
/// # Panics
/// If the set is empty, or the dimensions differ.
#[track_caller]
pub fn nearest(queries: &Array2<f64>, set: &Array2<f64>) -> Vec<Neighbour> {
    assert!(set.nrows() > 0, "an empty set has no nearest point");
    let squares = |points: &Array2<f64>| points.mapv(|x| x.powi(2)).sum_axis(Axis(1));
    let of_set = squares(set); // (M)
    let products = queries.dot(&set.t()); // (N, M)
    let squared = &of_set - &(2.0 * products); // (N, M), ‖q − x‖² less ‖q‖²
    let best = |(row, own): (ndarray::ArrayView1<f64>, &f64)| {
        let (index, rest) =
            row.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("not empty");
        Neighbour { index, distance: (own + rest).max(0.0).sqrt() }
    };
    squared.rows().into_iter().zip(&squares(queries)).map(best).collect()
}
// ANCHOR_END: nearest

/// Images of a source that are compared at a time.
const BLOCK: usize = 2000;

/// The nearest image of `source` to each row of `queries`, which are images as rows: (N, H·W·C).
///
/// # Errors
/// If an image cannot be read.
///
/// # Panics
/// If the images are of another size.
#[track_caller]
pub fn nearest_image(queries: &Array2<f64>, source: &dyn ImageSource) -> Result<Vec<Neighbour>> {
    let starts: Vec<usize> = (0..source.len()).step_by(BLOCK).collect();
    let of_block = |start: usize| -> Result<Vec<Neighbour>> {
        let block = rows(&batch(source, start..source.len().min(start + BLOCK), &Device::Cpu)?)?;
        let shifted = |neighbour: Neighbour| Neighbour { index: start + neighbour.index, ..neighbour };
        Ok(nearest(queries, &block).into_iter().map(shifted).collect())
    };
    let blocks: Vec<Vec<Neighbour>> = in_order(starts, of_block).into_iter().collect::<Result<_>>()?;
    let nearer = |a: Neighbour, b: Neighbour| if b.distance < a.distance { b } else { a };
    let best = |i: usize| blocks.iter().map(|block| block[i]).reduce(nearer).expect("a source has images");
    Ok((0..queries.nrows()).map(best).collect())
}

/// [`nearest_image`] for several batches of images of shape (N, H, W, C) at once: the source is read only once.
///
/// # Errors
/// If an image cannot be read.
///
/// # Panics
/// If the images are of another size.
#[track_caller]
pub fn nearest_images<const N: usize>(
    batches: [&Tensor; N],
    source: &dyn ImageSource,
) -> Result<[Vec<Neighbour>; N]> {
    let mut all = nearest_image(&rows(&Tensor::cat(&batches, 0)?)?, source)?.into_iter();
    Ok(batches.map(|batch| all.by_ref().take(batch.dims()[0]).collect()))
}

/// The `chosen` ones of some images, and in a second batch the nearest image of `source` to each. Shapes: (N, H, W, C) and N
/// neighbours to twice (chosen, H, W, C).
///
/// # Errors
/// If an image cannot be read.
///
/// # Panics
/// If there are not so many neighbours.
#[track_caller]
pub fn beside_nearest(
    images: &Tensor,
    neighbours: &[Neighbour],
    chosen: &[usize],
    source: &dyn ImageSource,
) -> Result<[Tensor; 2]> {
    let some = chosen.iter().map(|&i| images.narrow(0, i, 1)).collect::<candle_core::Result<Vec<_>>>()?;
    let nearest = batch(source, chosen.iter().map(|&i| neighbours[i].index), images.device())?;
    Ok([Tensor::cat(&some, 0)?, nearest])
}

/// A distance at which two digits count as one: 1 over 784 pixels in [−1, 1] is 4.6 of 255 levels a pixel.
pub const COPY: f64 = 1.0;

/// The same for images of another shape (H, W, C): a distance of as many levels a number, to two decimals.
pub fn copy_distance((h, w, c): (usize, usize, usize)) -> f64 {
    (100.0 * COPY * ((h * w * c) as f64 / 784.0).sqrt()).round() / 100.0
}

/// How many neighbours are nearer than `distance`: as near as [`copy_distance`] says, they are copies.
pub fn copies(neighbours: &[Neighbour], distance: f64) -> usize {
    neighbours.iter().filter(|neighbour| neighbour.distance < distance).count()
}

/// The distances of neighbours.
pub fn distances(neighbours: &[Neighbour]) -> Vec<f64> {
    neighbours.iter().map(|neighbour| neighbour.distance).collect()
}

/// The places of neighbours in their list, nearest first; of equally near ones the first.
pub fn by_distance(neighbours: &[Neighbour]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..neighbours.len()).collect();
    order.sort_by(|&a, &b| neighbours[a].distance.total_cmp(&neighbours[b].distance));
    order
}

// ANCHOR: precision_recall
/// The share of samples that lie among the data, and the share of data that lies among the samples.
///
/// Source: Kynkäänniemi et al. 2019 (Improved precision and recall metric), Eq. (2); they use k = 3.
///
/// A point lies among a set if it is in the ball of one of its points that reaches to that point's `k`-th nearest neighbour in
/// the set. Blurred digits lower the precision, digits that are never drawn lower the recall. Shapes: (N, F) and (M, F).
///
/// # Example
/// ```
/// use ddpm_unet::evaluate::neighbours::precision_recall;
/// use ndarray::array;
///
/// let (data, samples) = (array![[0.0], [1.0], [50.0], [51.0]], array![[0.2], [0.8]]); // half of the data is not drawn
/// assert_eq!(precision_recall(&data, &samples, 1), (1.0, 0.5));
/// ```
///
/// # Panics
/// If one of the sets has not more than k points.
#[track_caller]
pub fn precision_recall(data: &Array2<f64>, samples: &Array2<f64>, k: usize) -> (f64, f64) {
    use ddpm::metrics::precision;
    (precision(data, samples, k), precision(samples, data, k))
}
// ANCHOR_END: precision_recall
