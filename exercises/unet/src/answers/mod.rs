//! Your answers, one file a chapter. `cargo exercise` shows how far you are, `cargo exercise ch13_unet` judges one.
