//! The `f32` functions against `f64` on a fine grid.

use ddpm::network::Float;

#[test]
fn normal_f32_is_within_its_stated_error() {
    let (mut worst_cdf, mut worst_pdf) = ((0.0_f64, 0.0), (0.0_f64, 0.0));
    for k in -150_000..=150_000 {
        let x = k as f32 * 1e-4;
        let (cdf, pdf) = x.normal();
        let (exact_cdf, exact_pdf) = f64::from(x).normal();
        worst_cdf = worse(worst_cdf, f64::from(cdf) - exact_cdf, x);
        worst_pdf = worse(worst_pdf, f64::from(pdf) - exact_pdf, x);
    }
    println!("cdf {worst_cdf:?} pdf {worst_pdf:?}");
    assert!(worst_cdf.0 <= 3e-7, "Φ({}) is off by {:e}", worst_cdf.1, worst_cdf.0);
    assert!(worst_pdf.0 <= 1e-7, "φ({}) is off by {:e}", worst_pdf.1, worst_pdf.0);
}

fn worse(worst: (f64, f32), error: f64, x: f32) -> (f64, f32) {
    if error.abs() > worst.0 { (error.abs(), x) } else { worst }
}

#[test]
fn normal_f32_keeps_its_bounds_far_out() {
    for x in [13.2_f32, 20.0, 1e10, f32::MAX, f32::INFINITY] {
        assert_eq!(x.normal().0, 1.0, "Φ({x})");
        let (below, density) = (-x).normal();
        assert!((0.0..1e-37).contains(&below), "Φ(−{x}) = {below:e}");
        assert!((0.0..1e-37).contains(&density), "φ(−{x}) = {density:e}");
    }
    assert!(f32::NAN.normal().0.is_nan(), "a diverged network must show it");
}

#[test]
fn sines_f32_are_within_their_stated_error() {
    let frequencies: Vec<f32> = (0..=1000).map(|k| k as f32 / 1000.0).collect();
    let (mut sines, mut cosines) = (vec![0.0; 1001], vec![0.0; 1001]);
    let mut worst = (0.0, 0.0);
    for angle in [0.0, 1.0, -1.5, 3.0, -25.0, 123.4, 1000.0, -5000.0, 8192.0, -8193.0, 1e6, 1e9] {
        f32::sines_and_cosines(angle, &frequencies, &mut sines, &mut cosines);
        for ((omega, sine), cosine) in frequencies.iter().zip(&sines).zip(&cosines) {
            let product = angle * omega;
            let (exact_sine, exact_cosine) = f64::from(product).sin_cos();
            worst = worse(worst, f64::from(*sine) - exact_sine, product);
            worst = worse(worst, f64::from(*cosine) - exact_cosine, product);
        }
    }
    println!("{worst:?}");
    assert!(worst.0 <= 2e-7, "the sine or cosine of {} is off by {:e}", worst.1, worst.0);
}
