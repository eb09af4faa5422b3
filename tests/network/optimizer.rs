//! AdamW, clipping, the moving average and the learning rate in closed form.

use crate::rng;
use ddpm::network::{
    AdamW, AdamWConfig, Ema, clip_gradient_norm, cosine_learning_rate, optimizer::ema_decay,
};
use ndarray_rand::rand::Rng;

/// With the same gradient at every step, both corrected means are that gradient and its square, so that
/// θ_n = k^n θ_0 − η g/(|g| + ϵ) (1 + k + … + k^{n−1}) with k = 1 − η λ.
#[test]
fn adamw_under_a_constant_gradient_is_a_geometric_series() {
    let config = AdamWConfig { learning_rate: 3e-3, weight_decay: 0.2, ..AdamWConfig::default() };
    let (start, gradient) = ([0.5, -2.0, 1.0, 0.0], [1e-3, -4.0, 0.0, 1e-8]);
    let mut optimizer = AdamW::<f64>::new(config, 4);
    let mut parameters = start;
    let keep: f64 = 1.0 - 3e-3 * 0.2;
    for n in 1..=500 {
        optimizer.step(&mut parameters, &gradient);
        for ((actual, theta_0), g) in parameters.into_iter().zip(start).zip(gradient) {
            let series = (1.0 - keep.powi(n)) / (1.0 - keep);
            let expected = keep.powi(n) * theta_0 - 3e-3 * g / (g.abs() + 1e-8) * series;
            assert!((actual - expected).abs() <= 1e-12, "step {n}, g = {g}: {actual}, not {expected}");
        }
    }
}

/// v_n / (1 − β_2^n) is the mean of g² with weights β_2^{n−k}; so is m̂. Summed as such, without any recursion.
#[test]
fn adamw_is_a_ratio_of_weighted_means() {
    let config = AdamWConfig { weight_decay: 0.0, beta_1: 0.7, beta_2: 0.9, ..AdamWConfig::default() };
    let mut rng = rng(1);
    let gradients: Vec<f64> = (0..30).map(|_| rng.random_range(-1.0..1.0)).collect();
    let weighted_mean = |beta: f64, power: i32, n: usize| {
        let weight = |k: usize| beta.powi((n - k) as i32);
        let sum: f64 = (0..=n).map(|k| weight(k) * gradients[k].powi(power)).sum();
        sum / (0..=n).map(weight).sum::<f64>()
    };
    let mut optimizer = AdamW::<f64>::new(config, 1);
    let (mut parameters, mut expected) = ([0.3], 0.3);
    for n in 0..30 {
        optimizer.step(&mut parameters, &gradients[n..=n]);
        expected -= 1e-3 * weighted_mean(0.7, 1, n) / (weighted_mean(0.9, 2, n).sqrt() + 1e-8);
        let actual = parameters[0];
        assert!((actual - expected).abs() <= 1e-14, "step {n}: {actual}, not {expected}");
    }
}

#[test]
fn adamw_s_defaults_are_pytorch_s() {
    let expected =
        AdamWConfig { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 };
    assert_eq!(AdamWConfig::default(), expected);
}

#[test]
fn clipping_keeps_the_direction_and_shortens_what_is_too_long() {
    let mut rng = rng(2);
    for length in [1, 15, 16, 17, 4096, 4097, 100_000] {
        let gradient: Vec<f64> = (0..length).map(|_| rng.random_range(-1.0..1.0)).collect();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();

        let mut clipped = gradient.clone();
        let returned = clip_gradient_norm(&mut clipped, 0.5 * norm);
        assert!((returned - norm).abs() <= 1e-12 * norm, "{length} entries: {returned}, not {norm}");
        let factor = 0.5 * norm / (norm + 1e-6);
        for (clipped, g) in clipped.iter().zip(&gradient) {
            assert!((clipped - g * factor).abs() <= 1e-15, "{clipped}, not {}", g * factor);
        }

        let mut kept = gradient.clone();
        clip_gradient_norm(&mut kept, 2.0 * norm);
        assert_eq!(kept, gradient, "a short gradient stays as it is");
    }
}

#[test]
fn clipping_in_f32_measures_well() {
    let mut rng = rng(3);
    let mut gradient: Vec<f32> = (0..100_000).map(|_| rng.random_range(-1.0..1.0)).collect();
    let norm = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let returned = clip_gradient_norm(&mut gradient, 1e9);
    // A lane sums 256 squares: at most 256 roundings of 6e-8, halved by the root.
    assert!((returned - norm).abs() <= 8e-6 * norm, "{returned}, not {norm}");
}

#[test]
fn clipping_reports_what_is_not_finite() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut gradient = [1.0, bad, 2.0];
        assert!(!clip_gradient_norm(&mut gradient, 1.0).is_finite());
        assert_eq!((gradient[0], gradient[2]), (1.0, 2.0), "the rest stays as it is");
    }
}

#[test]
fn average_of_a_constant_closes_the_gap_by_the_decay() {
    let mut ema = Ema::new(0.9, false, &[1.0, 0.0]);
    for n in 1..=50 {
        ema.update(&[3.0, 0.0]);
        let expected = 3.0 - 2.0 * 0.9_f64.powi(n);
        assert!((ema.average()[0] - expected).abs() <= 1e-14, "{n}: {}, not {expected}", ema.average()[0]);
        assert_eq!(ema.average()[1], 0.0, "an average equal to its parameter stays");
    }
}

/// (1/10)(2/11)(3/12)…: the product of the first n decays is n! 9! / (n+9)!.
#[test]
fn average_that_warms_up_forgets_its_beginning_at_once() {
    let mut ema = Ema::new(0.9999, true, &[1.0]);
    let mut gap = 1.0;
    for n in 1..=100 {
        ema.update(&[0.0]);
        gap *= f64::from(n) / f64::from(n + 9);
        assert!((ema.average()[0] / gap - 1.0).abs() <= 1e-12, "{n}: {}, not {gap}", ema.average()[0]);
    }
    assert_eq!(ema_decay(0.5, 1_000_000), 0.5, "later on the decay is the chosen one");
}

#[test]
fn learning_rate_falls_along_half_a_cosine() {
    let rate = |step| cosine_learning_rate(step, 120, 2.0);
    for (step, expected) in [(0, 2.0), (40, 1.5), (60, 1.0), (80, 0.5), (120, 0.0), (500, 0.0)] {
        assert!((rate(step) - expected).abs() <= 1e-15, "step {step}: {}, not {expected}", rate(step));
    }
    for step in 0..120 {
        assert!(rate(step) > rate(step + 1), "step {step}");
        assert!((rate(step) + rate(120 - step) - 2.0).abs() <= 1e-15, "half-turn symmetry at step {step}");
    }
}
