//! Your answers, one file a chapter. `cargo exercise` shows how far you are, `cargo exercise ch13_unet` checks one.

#[cfg(feature = "ch12")]
pub mod ch12_convolution;
#[cfg(feature = "ch13")]
pub mod ch13_unet;
#[cfg(feature = "ch14")]
pub mod ch14_train_images;
#[cfg(feature = "ch15")]
pub mod ch15_sample_images;
#[cfg(feature = "ch16")]
pub mod ch16_evaluate_images;
