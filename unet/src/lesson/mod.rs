//! What ch12 teaches with, to read and to check the fast operations against.
//!
//! | module | what it holds |
//! |---|---|
//! | [`convolution`] | convolution and its gradients as matrix products, on arrays |
//! | [`winograd`] | a 3×3 convolution with fewer multiplications, on arrays |
//! | [`mlp`] | the network of ch05, with its own weights, on tensors |

pub mod convolution;
pub mod mlp;
pub mod winograd;
