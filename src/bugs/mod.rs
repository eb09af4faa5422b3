//! A field guide to the bugs of public DDPM code: each a small switch on a copied formula.
//!
//! Nothing else may use this module: its formulas are wrong on purpose, or copies. With [`Variant::Right`] every copy is
//! equal to the library's own (the tests compare them), with [`Variant::Wrong`] it is what was found in somebody's code.
//!
//! | module | what it holds |
//! |---|---|
//! | [`catalogue`] | the bugs by number: what went wrong, the number that shows it, the test that goes red |
//! | [`schedules`] | B2, B4, B5, B11, B12, B19: β_t and ᾱ_t |
//! | [`points`] | B1, B3, B15: noise, the network's input, the data's range |
//! | [`steps`] | B6, B7, B8, B9, B16, B17: the loop of a sampler and what a step adds |
//! | [`training`] | B10, B18: Algorithm 1 with four switches; a weight of the loss |
//! | [`guidance`] | B20, B21: labels, and how strongly they are followed |
//! | [`flow`] | B22, B23: flow matching |
//! | [`samples`] | B1, B3, B4, B6, B10, B15, B19: what is drawn with either code |
//! | [`comparison`] | B13, B14: a divergence, and how two results are compared |
//! | [`detect`] | the detectors: functions that check *your* code |
//! | [`numbers`] | the numbers of the catalogue, measured |

pub mod catalogue;
pub mod comparison;
pub mod detect;
pub mod flow;
pub mod guidance;
pub mod numbers;
pub mod points;
pub mod samples;
pub mod schedules;
pub mod steps;
pub mod training;

pub use catalogue::{BUGS, Bound, Bug, Measure, SYMPTOMS};
pub use detect::{
    StepAudit, first_bad_beta, normality_scores, reseed_change, standard_errors_off, step_audit,
    unmoved_parameters,
};
pub use numbers::BugFixture;

// ANCHOR: Variant
/// Which of two versions of a formula to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Variant {
    /// As it should be.
    #[default]
    Right,
    /// As it was found.
    Wrong,
}
// ANCHOR_END: Variant
