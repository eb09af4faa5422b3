//! Between a picture's bytes and the network's numbers.

// ANCHOR: from_byte
/// A byte of a picture, 0…255, as the network's number in [−1, 1].
///
/// Source: Ho et al. 2020, §3.3: “image data consists of integers in {0, 1, …, 255} scaled linearly to [−1, 1]”.
///
/// Undone by [`pixel`]. The forward process ends in N(0, I) whatever it begins with, but its schedule was chosen for data of
/// this size.
///
/// # Formula
/// x = byte/127.5 − 1
///
/// # Example
/// ```
/// use ddpm_unet::images::pixels::{from_byte, pixel};
///
/// assert_eq!([0, 51, 255].map(from_byte), [-1.0, -0.6, 1.0]);
/// assert!((0..=255).all(|byte| pixel(from_byte(byte)) == byte));
/// ```
pub fn from_byte(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}
// ANCHOR_END: from_byte

// ANCHOR: pixel
/// A number of [−1, 1] as a byte: −1 is black, 1 is white, what lies outside is held at the ends.
///
/// The nearest byte, not the next lower one: so that a byte that became a number comes back as itself.
///
/// # Formula
/// byte = 127.5 (x + 1), rounded
///
/// # Example
/// ```
/// use ddpm_unet::images::pixels::pixel;
///
/// assert_eq!([-1.0, 0.0, 1.0, 1.7].map(pixel), [0, 128, 255, 255]);
/// ```
pub fn pixel(value: f32) -> u8 {
    (127.5 * (value + 1.0)).round().clamp(0.0, 255.0) as u8
}
// ANCHOR_END: pixel

// ANCHOR: flip
/// Mirrors an image left to right, in place: H rows of `width` pixels of `channels` numbers.
pub fn flip(pixels: &mut [f32], width: usize, channels: usize) {
    for row in pixels.chunks_exact_mut(width * channels) {
        for left in 0..width / 2 {
            let right = width - 1 - left;
            (0..channels).for_each(|c| row.swap(left * channels + c, right * channels + c));
        }
    }
}
// ANCHOR_END: flip
