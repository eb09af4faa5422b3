//! The U-Net of the paper, block by block.

use candle_core::{Device, Tensor};
use ddpm_unet::{
    config::{Preset, UNetConfig},
    unet::{Mode, UNet},
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

#[test]
fn parameter_counts_are_those_of_the_paper() {
    for (preset, count) in
        [(Preset::Laptop, 1_623_169), (Preset::Cifar10, 35_746_307), (Preset::Lsun256, 113_673_219)]
    {
        let specifications = UNetConfig::preset(preset).specifications().unwrap();
        let found: usize = specifications.iter().map(|s| s.shape.iter().product::<usize>()).sum();
        assert_eq!(found, count, "{preset}");
    }
}

#[test]
fn a_fresh_network_predicts_next_to_nothing_of_the_right_shape() {
    let config = UNetConfig::preset(Preset::Laptop);
    let net = UNet::fresh(config, &mut StdRng::seed_from_u64(1), &Device::Cpu).unwrap();
    let x = Tensor::ones((2, 28, 28, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
    let eps = net.forward(&x, &[1, 1000], Mode::Evaluate).unwrap();
    assert_eq!(eps.dims(), [2, 28, 28, 1]);
    let largest = eps.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    assert!(largest > 0.0 && largest < 1e-2, "{largest}");
}
