//! A digest of a set of images, so that a training run is never continued on other ones.

use super::{ImageSource, hexadecimal, pixels::pixel};
use crate::{Result, operations::threads::in_order};
use ddpm_page::report::Progress;
use md5::Md5;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// The images of a block, whose digest is computed on one thread.
const BLOCK: usize = 256;
/// The blocks between two moves of the progress bar.
const BLOCKS: usize = 16;

/// The SHA-256 digest of a set: of its size, its shape and every number of every image, each rounded to its byte. Blocks of 256
/// images have digests of their own, which are digested in their order.
///
/// # Errors
/// If an image cannot be read.
pub fn fingerprint(source: &dyn ImageSource) -> Result<String> {
    let count = source.len();
    let starts: Vec<usize> = (0..count).step_by(BLOCK).collect();
    let mut progress = Progress::new("a digest of the images", count);
    let mut digest = size(Sha256::new(), source);
    for some in starts.chunks(BLOCKS) {
        let block = |&start: &usize| of_images(source, start..(start + BLOCK).min(count));
        for block in in_order(some.iter().collect(), block) {
            digest.update(block?);
        }
        let (first, last) = (some[0], some[some.len() - 1]);
        progress.advance((last + BLOCK).min(count) - first);
    }
    Ok(hexadecimal(&digest.finalize()))
}

fn of_images(source: &dyn ImageSource, images: Range<usize>) -> Result<[u8; 32]> {
    let (h, w, c) = source.shape();
    let (mut digest, mut pixels, mut bytes) = (Sha256::new(), vec![0.0; h * w * c], vec![0; h * w * c]);
    for index in images {
        source.image(index, &mut pixels)?;
        bytes.iter_mut().zip(&pixels).for_each(|(byte, &x)| *byte = pixel(x));
        digest.update(&bytes);
    }
    Ok(digest.finalize().into())
}

/// The digest of checkpoints up to version 3 of their format: MD5 of the size, the shape and sixteen images.
///
/// # Errors
/// If an image cannot be read.
pub fn fingerprint_of_sixteen(source: &dyn ImageSource) -> Result<String> {
    let (h, w, c) = source.shape();
    let count = source.len();
    let mut digest = size(Md5::new(), source);
    let mut pixels = vec![0.0; h * w * c];
    for share in 0..16.min(count) {
        source.image(share * count / 16.min(count), &mut pixels)?;
        pixels.iter().for_each(|&x| digest.update([pixel(x)]));
    }
    Ok(hexadecimal(&digest.finalize()))
}

fn size<D: Digest>(mut digest: D, source: &dyn ImageSource) -> D {
    let (h, w, c) = source.shape();
    [source.len(), h, w, c].into_iter().for_each(|number| digest.update((number as u64).to_le_bytes()));
    digest
}
