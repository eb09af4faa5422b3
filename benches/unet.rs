//! How fast convolutions and the `laptop` U-Net are, beside PyTorch.
//!
//! ```text
//! cargo bench -p ddpm-unet --bench unet
//! cargo bench -p ddpm-unet --bench unet -- --torch PYTHON [--rounds 5] [--batch 64]
//! ```
//!
//! Measured are 3×3 convolutions of 32 images forwards and backwards, a training step of the network (loss, gradients, AdamW)
//! and a forward pass, and the most memory that the process ever held. `--torch` runs `benches/torch_unet.py` in turn with
//! this program, with as many threads (`RAYON_NUM_THREADS` sets them) and on the same weights, which go over in a diffusers
//! folder; it needs torch and diffusers. Whatever else the machine does then slows both. Printed are medians over the rounds
//! and their ratio, ours / PyTorch, and where our time goes by kind of layer.

use candle_core::{Device, Tensor, Var};
use ddpm::schedule::Schedule;
use ddpm_unet::{
    config::{Preset, UNetConfig},
    exchange::write_folder,
    operations::{
        self, Geometry,
        threads::{in_order, one_thread_per_operation},
    },
    unet::{Mode, UNet},
};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap, env, error::Error, fs, hint::black_box, path::Path, process::Command,
    time::Instant,
};
