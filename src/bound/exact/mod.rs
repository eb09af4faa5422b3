//! The likelihood of a trained model on whole-numbered points, where the truth is known.
//!
//! Points are rounded to the levels of a box ([`Bins`](crate::bound::Bins)), as pixels are to 256 greys. Their distribution is
//! then a table of probabilities, and its entropy the fewest nats that any code can need: [`QuantizedDistribution`]. The bound lies above
//! it by a gap that has a formula of its own, summed here by quadrature: [`BoundDecomposition`].

mod comparison;
mod decoding;
mod decomposition;
mod distribution;
mod measured;
mod quadrature;

pub use comparison::{Comparison, Evaluation};
pub use decoding::Decoding;
pub use decomposition::{BoundDecomposition, last_step, prior_step, reverse_step};
pub use distribution::{QuantizedDistribution, discrete_entropy};

pub use measured::{MeasuredBound, blocks};
