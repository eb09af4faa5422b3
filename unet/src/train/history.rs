//! The history of a run: its steps and its evaluations.

use serde::{Deserialize, Serialize};

/// The loss and the gradient's norm of a training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The step, from 1.
    pub step: u64,
    /// The loss: a mean over images and pixels, and on a GPU over the steps since the last report.
    pub loss: f64,
    /// The gradient's norm before it was clipped; on a GPU a mean, too.
    pub gradient_norm: f64,
}

/// The averaged network's loss on the validation batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// After how many steps.
    pub step: u64,
    /// The loss, always on the same images, times and noise.
    pub loss: f64,
}

/// The history of a run so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The steps.
    pub steps: Vec<StepReport>,
    /// The evaluations.
    pub evaluations: Vec<Evaluation>,
}

impl History {
    /// The losses, as means over windows that grow with the step: early on they fall fast, later they only scatter.
    pub fn smoothed(&self) -> Vec<(f64, f64)> {
        let (mut curve, mut steps) = (Vec::new(), self.steps.as_slice());
        while let [first, ..] = steps {
            let (window, rest) = steps.split_at((first.step as usize / 8).clamp(1, steps.len()));
            let loss = window.iter().map(|report| report.loss).sum::<f64>() / window.len() as f64;
            curve.push((window[window.len() / 2].step as f64, loss));
            steps = rest;
        }
        curve
    }

    /// The best evaluation, the first of several.
    pub fn best(&self) -> Option<Evaluation> {
        self.evaluations
            .iter()
            .copied()
            .reduce(|best, other| if other.loss < best.loss { other } else { best })
    }
}
