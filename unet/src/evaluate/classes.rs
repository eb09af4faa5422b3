//! Whether images fall into classes as often as those of the data do: Pearson's χ² of two rows of counts.

// ANCHOR: class_test
/// Pearson's χ² of two sets of images, counted in classes: 0 where their shares are the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassTest {
    /// χ².
    pub statistic: f64,
    /// The degrees of freedom: one less than the classes that occur. That is what χ² is on average for two sets of one law.
    pub degrees: usize,
}

impl ClassTest {
    /// The test of two rows of counts.
    ///
    /// Source: Pearson 1900; with an estimated share on both sides as in Press et al. 1992 (Numerical Recipes), section 14.3.
    ///
    /// # Formula
    /// χ² = Σ_k (√(M/N) n_k − √(N/M) m_k)²/(n_k + m_k)
    ///
    /// where n_k of N images and m_k of M fall into class k; a class without images counts for nothing.
    ///
    /// # Example
    /// ```
    /// use ddpm_unet::evaluate::ClassTest;
    ///
    /// assert_eq!(ClassTest::of(&[10, 20, 0], &[20, 40, 0]), ClassTest { statistic: 0.0, degrees: 1 });
    /// assert_eq!(ClassTest::of(&[4, 0], &[0, 4]).statistic, 8.0); // 4²/4 + 4²/4
    /// ```
    ///
    /// # Panics
    /// If they have not the same number of classes, or one has no images.
    #[track_caller]
    pub fn of(counts: &[usize], data: &[usize]) -> Self {
        assert_eq!(counts.len(), data.len(), "classes");
        let [n, m] = [counts, data].map(|counts| counts.iter().sum::<usize>() as f64);
        assert!(n > 0.0 && m > 0.0, "no images are counted");
        let (to_n, to_m) = ((m / n).sqrt(), (n / m).sqrt());
        let pairs = counts.iter().zip(data).filter(|(a, b)| *a + *b > 0);
        let terms = pairs.map(|(&a, &b)| (to_n * a as f64 - to_m * b as f64).powi(2) / (a + b) as f64);
        let (statistic, classes) = terms.fold((0.0, 0), |(sum, count), term| (sum + term, count + 1));
        ClassTest { statistic, degrees: classes - 1 }
    }

    /// The mean and the standard deviation of χ² where the data's `size` images are held, and so many images of the data's own shares are drawn
    /// again and again.
    ///
    /// # Formula
    /// f k and f √(2 k), with f = M/(N + M)
    ///
    /// where k is the number of degrees of freedom, N is `count` and M is `size`.
    ///
    /// # Example
    /// ```
    /// use ddpm_unet::evaluate::ClassTest;
    ///
    /// let test = ClassTest { statistic: 0.0, degrees: 8 };
    /// assert_eq!(test.of_own_draws(500, 1500), [6.0, 3.0]); // three quarters of 8 and of √16
    /// ```
    pub fn of_own_draws(&self, count: usize, size: usize) -> [f64; 2] {
        let (held, degrees) = (size as f64 / (count + size) as f64, self.degrees as f64);
        [held * degrees, held * (2.0 * degrees).sqrt()]
    }

    /// The chance that two sets of one law have at least this χ²: [`chi_square_tail`].
    pub fn chance(&self) -> f64 {
        chi_square_tail(self.statistic, self.degrees)
    }
}
// ANCHOR_END: class_test

// ANCHOR: chi_square_tail
/// The chance that the sum of the squares of so many standard normal numbers is at least `x`.
///
/// Source: the series of the incomplete gamma function, Abramowitz & Stegun 1964, 6.5.29.
///
/// # Formula
/// 1 − (x/2)^{k/2} e^{−x/2} Σ_j (x/2)^j/Γ(k/2 + j + 1)
///
/// where k is `degrees`.
///
/// # Example
/// ```
/// use ddpm_unet::evaluate::chi_square_tail;
///
/// assert!((chi_square_tail(3.0, 2) - (-1.5f64).exp()).abs() < 1e-12);
/// assert!((chi_square_tail(16.918_98, 9) - 0.05).abs() < 1e-6); // from a table
/// ```
pub fn chi_square_tail(x: f64, degrees: usize) -> f64 {
    let (half, k) = (x / 2.0, degrees as f64 / 2.0);
    if half <= 0.0 || degrees == 0 {
        return if x <= 0.0 { 1.0 } else { 0.0 };
    }
    // ln Γ(k + 1), from Γ(1/2) = √π or Γ(1) = 1 upwards
    let first = if degrees.is_multiple_of(2) { 1.0 } else { 0.5 };
    let ln_pi = std::f64::consts::PI.ln();
    let mut ln_gamma = if degrees.is_multiple_of(2) { 0.0 } else { ln_pi / 2.0 };
    ln_gamma += (0..).map(|i| first + f64::from(i)).take_while(|at| *at <= k).map(f64::ln).sum::<f64>();
    let exponent = k * half.ln() - half - ln_gamma;
    if exponent < -700.0 && half > k {
        return 0.0; // the first term would underflow; nothing is left above
    }
    let mut term = exponent.exp();
    let mut below = 0.0;
    for j in 1.. {
        below += term;
        term *= half / (k + f64::from(j));
        if term < 1e-17 * below && f64::from(j) > half || f64::from(j) > half + 1000.0 {
            break;
        }
    }
    (1.0 - below).clamp(0.0, 1.0)
}
// ANCHOR_END: chi_square_tail
