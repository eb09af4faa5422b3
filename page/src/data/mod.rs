//! What a reader brings: a data set by its name, a file of points, a picture.

#[cfg(feature = "cli")]
mod arguments;
mod picture;

#[cfg(feature = "cli")]
pub use arguments::DataArgs;
pub use picture::{Ground, drawing, picture, read_picture};
