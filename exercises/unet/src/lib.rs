#![deny(unsafe_code)]
//! The library of Part II with a chapter's exercises in it: everything is the solution's, except what the features turn on.
//!
//! The answers go into `answers/`. Types always come from the solution; an answer stands in for the free function of its
//! name, at the same path, so that `tests/ch13_unet.rs` compiles unchanged and calls it. What the solution calls inside of
//! itself stays its own.

#[cfg_attr(feature = "wrong", path = "../wrong/mod.rs")]
#[cfg_attr(feature = "solved", path = "../../../target/exercises/unet/mod.rs")]
mod answers;
#[cfg(feature = "all")]
mod idioms;

pub use solution::*;

pub mod lesson {
    pub use solution::lesson::*;

    pub mod convolution {
        #[cfg(feature = "ch12")]
        pub use crate::answers::ch12_convolution::{col2im, convolve, convolve_backward, im2col, turned};
        pub use solution::lesson::convolution::*;
    }

    pub mod winograd {
        #[cfg(feature = "ch12")]
        pub use crate::answers::ch12_convolution::{filter_gradient, filter_transform, minimal_filter};
        pub use solution::lesson::winograd::*;
    }
}

pub mod network {
    pub use solution::network::*;

    pub mod architecture {
        #[cfg(feature = "ch13")]
        pub use crate::answers::ch13_unet::skip_channels;
        pub use solution::network::architecture::*;
    }

    pub mod block {
        #[cfg(feature = "ch13")]
        pub use crate::answers::ch13_unet::{attention_block, residual_block};
        pub use solution::network::block::*;
    }

    pub mod embedding {
        #[cfg(feature = "ch13")]
        pub use crate::answers::ch13_unet::timestep_embedding;
        pub use solution::network::embedding::*;
    }

    pub mod summary {
        #[cfg(feature = "ch13")]
        pub use crate::answers::ch13_unet::residual_parameters;
        pub use solution::network::summary::*;
    }
}

pub mod diffusers {
    #[cfg(feature = "ch13")]
    pub use crate::answers::ch13_unet::kernel_from_diffusers;
    pub use solution::diffusers::*;
}

pub mod evaluate {
    pub use solution::evaluate::*;

    pub mod frechet {
        #[cfg(feature = "ch16")]
        pub use crate::answers::ch16_evaluate_images::frechet_distance;
        pub use solution::evaluate::frechet::*;
    }

    pub mod likelihood {
        #[cfg(feature = "ch16")]
        pub use crate::answers::ch16_evaluate_images::{strata, stratified_sum};
        pub use solution::evaluate::likelihood::*;
    }

    pub mod neighbours {
        #[cfg(feature = "ch16")]
        pub use crate::answers::ch16_evaluate_images::{nearest, precision_recall};
        pub use solution::evaluate::neighbours::*;
    }

    pub mod progressive {
        #[cfg(feature = "ch16")]
        pub use crate::answers::ch16_evaluate_images::progressive_rates;
        pub use solution::evaluate::progressive::*;
    }
}

pub mod train {
    pub use solution::train::*;

    pub mod gradient {
        #[cfg(feature = "ch14")]
        pub use crate::answers::ch14_train_images::accumulate;
        pub use solution::train::gradient::*;
    }

    pub mod optimizer {
        #[cfg(feature = "ch14")]
        pub use crate::answers::ch14_train_images::learning_rate;
        pub use solution::train::optimizer::*;
    }

    pub mod rng_streams {
        #[cfg(feature = "ch14")]
        pub use crate::answers::ch14_train_images::{draw_time, epoch_order, place_in_epochs};
        pub use solution::train::rng_streams::*;
    }
}

pub mod images {
    pub use solution::images::*;

    pub mod pixels {
        #[cfg(feature = "ch14")]
        pub use crate::answers::ch14_train_images::from_byte;
        #[cfg(feature = "ch15")]
        pub use crate::answers::ch15_sample_images::pixel;
        pub use solution::images::pixels::*;
    }
}

pub mod sample {
    #[cfg(feature = "ch15")]
    pub use crate::answers::ch15_sample_images::{apply, predict_x_0, replace_known, slerp};
    pub use solution::sample::*;
}
