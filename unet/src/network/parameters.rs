//! The parameters of a network: named tensors in a fixed order.

use crate::Result;
use candle_core::{Device, Tensor, Var};
use ndarray_rand::rand::Rng;
use std::collections::HashMap;

/// A parameter tensor that a network needs: its name, its shape, and how it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Specification {
    /// The name, the same as in diffusers: `down_blocks.0.resnets.0.conv1.weight`.
    pub name: String,
    /// The shape. Kernels are (K, K, I, O), matrices (O, I), as the operations take them.
    pub shape: Vec<usize>,
    /// How it begins.
    pub init: Init,
}

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Every number uniform within ±bound.
    Uniform(f64),
    /// Every number the same.
    Constant(f64),
}

/// Named parameters, in a fixed order.
#[derive(Debug, Clone)]
pub struct Parameters {
    names: Vec<String>,
    variables: Vec<Var>,
    places: HashMap<String, usize>,
}

impl Parameters {
    /// Fresh parameters, drawn from `rng` in the order of `specifications`: the same seed gives the same numbers on any device.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn fresh(specifications: &[Specification], rng: &mut impl Rng, device: &Device) -> Result<Self> {
        let tensors = specifications.iter().map(|Specification { name, shape, init }| {
            let count = shape.iter().product();
            let numbers: Vec<f32> = match *init {
                Init::Constant(value) => vec![value as f32; count],
                Init::Uniform(bound) => (0..count).map(|_| rng.random_range(-bound..=bound) as f32).collect(),
            };
            Ok((name.clone(), Tensor::from_vec(numbers, shape.as_slice(), device)?))
        });
        Self::from_tensors(tensors.collect::<Result<Vec<_>>>()?)
    }

    /// Parameters from tensors, in their order.
    ///
    /// # Errors
    /// If the device runs out of memory.
    ///
    /// # Panics
    /// If two have the same name.
    #[track_caller]
    pub fn from_tensors(tensors: Vec<(String, Tensor)>) -> Result<Self> {
        let mut parameters = Self { names: Vec::new(), variables: Vec::new(), places: HashMap::new() };
        for (name, tensor) in tensors {
            let before = parameters.places.insert(name.clone(), parameters.names.len());
            assert!(before.is_none(), "two parameters are named {name}");
            parameters.names.push(name);
            parameters.variables.push(Var::from_tensor(&tensor)?);
        }
        Ok(parameters)
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The variables, in order.
    pub fn variables(&self) -> &[Var] {
        &self.variables
    }

    /// The parameter of a name.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> &Var {
        let place = self.places.get(name).unwrap_or_else(|| panic!("no parameter is named {name}"));
        &self.variables[*place]
    }

    /// How many numbers there are in all.
    pub fn count(&self) -> usize {
        self.variables.iter().map(|variable| variable.elem_count()).sum()
    }
}
