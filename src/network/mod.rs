//! The network ε_θ(x_t, t), by hand: layers and their gradients, embeddings, AdamW, EMA, weights on disk.
//!
//! Each coordinate of x_t and the time t become a row of sines and cosines; a linear layer, three residual layers
//! with GELU and a last linear layer follow:
//!
//! ```text
//! x_t (N, 2), t (N) → embeddings (N, 384) → Linear, GELU (N, 128) → 3 × [h + GELU(Linear h)] → Linear (N, outputs)
//! ```
//!
//! A network with labels adds its label's row of an embedding to the first layer's sum; one more row is that of the null label.
//!
//! | module | what it holds |
//! |---|---|
//! | [`layers`] | linear, GELU and residual layers, forwards and backwards |
//! | [`embedding`] | sines and cosines of a coordinate or a time |
//! | [`config`] | the network's shape, the names and places of its tensors |
//! | [`mlp`] | the network: its parameters, its output |
//! | [`pass`] | one training pass: activations kept, gradients of every parameter |
//! | [`learner`] | a network in training: forward, backward, step, average |
//! | [`optimizer`] | AdamW, gradient-norm clipping, the exponential moving average, the learning rate's cosine |
//! | [`weights`] | a network as a safetensors file, and back |
//! | [`check`] | the gradients against finite differences |
//! | [`float`] | `f64` to check gradients, `f32` to train |

pub mod check;
mod chunk;
pub mod config;
pub mod embedding;
pub mod float;
pub mod layers;
pub mod learner;
pub mod mlp;
pub mod optimizer;
pub mod pass;
mod vectors;
pub mod weights;

pub use config::{MlpConfig, Tensor, hidden_for_budget, parameter_count};
pub use embedding::sinusoidal_embedding;
pub use float::Float;
pub use learner::{Learner, LearnerConfig};
pub use mlp::Mlp;
pub use optimizer::{AdamW, AdamWConfig, Ema, clip_gradient_norm, cosine_learning_rate};
pub use pass::Pass;
