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
        let mut parameters = Self::empty();
        for Specification { name, shape, init } in specifications {
            let count = shape.iter().product();
            let numbers: Vec<f32> = match *init {
                Init::Constant(value) => vec![value as f32; count],
                Init::Uniform(bound) => (0..count).map(|_| rng.random_range(-bound..=bound) as f32).collect(),
            };
            parameters.push(name.clone(), Var::from_vec(numbers, shape.as_slice(), device)?);
        }
        Ok(parameters)
    }

    fn empty() -> Self {
        Self { names: Vec::new(), variables: Vec::new(), places: HashMap::new() }
    }

    #[track_caller]
    fn push(&mut self, name: String, variable: Var) {
        let before = self.places.insert(name.clone(), self.names.len());
        assert!(before.is_none(), "two parameters are named {name}");
        self.names.push(name);
        self.variables.push(variable);
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
        let mut parameters = Self::empty();
        for (name, tensor) in tensors {
            parameters.push(name, Var::from_tensor(&tensor)?);
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

    /// All numbers, tensor behind tensor.
    ///
    /// # Errors
    /// If the device fails.
    pub fn numbers(&self) -> Result<Vec<f32>> {
        let mut numbers = Vec::with_capacity(self.count());
        for variable in &self.variables {
            numbers.extend(variable.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(numbers)
    }

    /// The names of the tensors that are as they were in `before`, parameters of the same network on any device.
    ///
    /// # Errors
    /// If a device fails.
    ///
    /// # Panics
    /// If `before` lacks a tensor.
    #[track_caller]
    pub fn unchanged_since(&self, before: &Self) -> Result<Vec<&str>> {
        let numbers = |variable: &Var| variable.flatten_all()?.to_vec1::<f32>();
        let mut same = Vec::new();
        for (name, variable) in self.names.iter().zip(&self.variables) {
            if numbers(variable)? == numbers(before.get(name))? {
                same.push(name.as_str());
            }
        }
        Ok(same)
    }

    /// How many numbers there are in all.
    pub fn count(&self) -> usize {
        self.variables.iter().map(|variable| variable.elem_count()).sum()
    }
}

/// Whether a parameter of this name has no gradient, whatever the image: the bias of attention's keys.
///
/// A pixel's scores are q · (W_k n_j + b) over all pixels j, and q · b is the same for all j: softmax does not see it.
pub fn has_no_gradient(name: &str) -> bool {
    name.ends_with("to_k.bias")
}

/// How many numbers differ, to the last bit; numbers that one of the two rows has not differ, too.
///
/// ```
/// use ddpm_unet::network::parameters::differing;
///
/// assert_eq!(differing(&[1.0, 0.0, 2.0], &[1.0, -0.0]), 2);
/// ```
pub fn differing(a: &[f32], b: &[f32]) -> usize {
    let changed = a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    changed + a.len().abs_diff(b.len())
}
