//! Between a picture's bytes and the network's numbers.

// ANCHOR: from_byte
/// A byte of a picture, 0…255, as the network's number in [−1, 1].
///
/// Source: Ho et al. 2020, §3.3: “image data consists of integers in {0, 1, …, 255} scaled linearly to [−1, 1]”.
///
/// x = byte/127.5 − 1
///
/// Undone by [`picture::pixel`](crate::picture::pixel). The forward process ends in N(0, I) whatever it begins with, but its schedule was chosen for data of this size.
pub fn from_byte(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}
// ANCHOR_END: from_byte

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
