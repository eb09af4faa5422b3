//! The velocity of x_t: given x_0, and averaged over all x_0 that lead there.

use crate::{
    Result,
    continuous::{ode::Tolerances, sde::change_of_variables},
    data::GaussianMixture,
    metrics::largest_difference,
    path::Path,
};
use ndarray::{Array1, Array2, ArrayView1, Axis};

// ANCHOR: conditional_velocity
/// The velocity at x of the points that all come from one x_0: the flow that carries N(0, I) into the kernel q(x_t | x_0).
///
/// Source: Lipman et al. 2023, Theorem 3.
///
/// Where x = α x_0 + σ ε it is [`Target::velocity`](crate::target::Target::velocity) of x_0 and ε. Not at t = 0, where x is x_0
/// whatever ε was. Shapes: (N, D).
///
/// # Formula
/// u_t(x | x_0) = (σ′/σ) (x − α x_0) + α′ x_0
///
/// # Example
/// ```
/// use ddpm::{flow::conditional_velocity, path::Path};
/// use ndarray::array;
///
/// let u = conditional_velocity(Path::Straight, 0.5, &array![[2.0]], &array![[1.0]]); // 2 = ½ · 1 + ½ · 3
/// assert_eq!(u, array![[2.0]]); // ε − x_0 = 3 − 1
/// ```
pub fn conditional_velocity(path: Path, t: f64, x: &Array2<f64>, x_0: &Array2<f64>) -> Array2<f64> {
    let (at, rates) = (path.kernel(t), path.rates(t));
    rates.deviation / at.deviation() * (x - &(at.signal * x_0)) + rates.signal * x_0
}
// ANCHOR_END: conditional_velocity

// ANCHOR: Components
/// The components of a mixture on their way: each is a Gaussian at every time, with a velocity of its own.
///
/// A component N(μ, v) is N(α μ, s²) at time t, with s² = α² v + σ². A flow that keeps it Gaussian moves its mean with α′ μ and stretches it
/// with s′/s, where s s′ = α α′ v + ½ dσ²/dt.
#[derive(Debug, Clone)]
pub struct Components {
    /// The mixture at time t.
    pub noisy: GaussianMixture,
    /// α′ μ, shape (K, D).
    pub drift: Array2<f64>,
    /// s′/s, shape (K, D).
    pub stretch: Array2<f64>,
    /// Δ² v/s² with Δ = α σ′ − σ α′: what a component leaves open of the velocity, shape (K, D).
    pub open: Array2<f64>,
}

impl Components {
    /// Those of a mixture at time t of a path.
    pub fn new(data: &GaussianMixture, path: Path, t: f64) -> Self {
        let (at, rates) = (path.kernel(t), path.rates(t));
        let noisy = data.through(at);
        let rate = at.signal * rates.signal * &data.variances + 0.5 * path.variance_rate(t); // s s′
        let determinant = at.signal * rates.deviation - at.deviation() * rates.signal;
        Components {
            drift: rates.signal * &data.means,
            stretch: rate / &noisy.variances,
            open: determinant * determinant * &data.variances / &noisy.variances,
            noisy,
        }
    }

    /// The velocity of each component at x: shape (K, D).
    ///
    /// # Formula
    /// u_k(x) = α′ μ_k + (s_k′/s_k) (x − α μ_k)
    ///
    /// # Example
    /// ```
    /// use ddpm::{data::GaussianMixture, flow::velocity::Components, path::Path};
    /// use ndarray::array;
    ///
    /// let data = GaussianMixture::new(array![0.5, 0.5], array![[0.0], [4.0]], array![[1.0], [1.0]]);
    /// let noise = Components::new(&data, Path::Straight, 1.0); // x is ε, and x_0 is μ_k on average
    /// assert_eq!(noise.velocities(array![3.0].view()), array![[3.0], [-1.0]]);
    /// ```
    pub fn velocities(&self, x: ArrayView1<f64>) -> Array2<f64> {
        &self.drift + &(&self.stretch * &(&x - &self.noisy.means))
    }
}
// ANCHOR_END: Components

// ANCHOR: marginal_velocity
/// The velocity of a mixture's x_t: E[α′ x_0 + σ′ ε | x_t = x], in closed form, at both ends, too.
///
/// Source: Lipman et al. 2023, Eq. (8); for one Gaussian their Theorem 3.
///
/// The flow along it has the density of x_t at every t. It is what a network learns that is trained on the velocities of pairs, and along the
/// path of an SDE it is the probability flow. Shapes: (N, D).
///
/// # Formula
/// u_t(x) = Σ_k r_k u_k(x), u_k(x) = α′ μ_k + (s_k′/s_k) (x − α μ_k), s_k² = α² v_k + σ², r_k ∝ w_k N(x; α μ_k, s_k²)
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::marginal_velocity, path::Path};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]);
/// let half = marginal_velocity(&normal, Path::Straight, 0.5, &array![[3.0]]);
/// assert!(half[(0, 0)].abs() < 1e-12); // x_0 and ε are alike there
/// let noise = marginal_velocity(&normal, Path::Straight, 1.0, &array![[3.0]]);
/// assert_eq!(noise[(0, 0)], 3.0); // x is ε, and of x_0 only the mean 0 is known
/// ```
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn marginal_velocity(data: &GaussianMixture, path: Path, t: f64, x: &Array2<f64>) -> Array2<f64> {
    let components = Components::new(data, path, t);
    let mut velocity = Array2::zeros(x.dim());
    for (mut row, x) in velocity.rows_mut().into_iter().zip(x.rows()) {
        row.assign(&components.noisy.responsibilities(x).dot(&components.velocities(x))); // (D)
    }
    velocity
}
// ANCHOR_END: marginal_velocity

/// [`marginal_velocity`] as a function of t and x, for any solver of [`ode`](crate::continuous::ode).
///
/// # Example
/// ```
/// use ddpm::{continuous::ode::heun, data::GaussianMixture, flow::velocity::field, path::Path};
/// use ndarray::array;
///
/// let data = GaussianMixture::new(array![1.0], array![[2.0]], array![[0.25]]);
/// let x_0 = heun(field(&data, Path::Straight), array![[1.0]], (1.0, 0.0), 100)?;
/// assert!((x_0[(0, 0)] - 2.5).abs() < 1e-3); // one deviation is carried to one deviation
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn field(data: &GaussianMixture, path: Path) -> impl Fn(f64, &Array2<f64>) -> Array2<f64> {
    move |t, x| marginal_velocity(data, path, t, x)
}

// ANCHOR: marginal_divergence
/// The divergence ∇·u_t of [`marginal_velocity`]: how fast points spread at each row of `x`. Shapes: (N, D) to (N).
///
/// # Formula
/// Σ_k r_k [Σ_d s_k′/s_k + (g_k − g)·u_k], g_k = (α μ_k − x)/s_k², g = Σ_k r_k g_k, since ∇r_k = r_k (g_k − g)
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::marginal_divergence, path::Path};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 1.0]]);
/// assert_eq!(marginal_divergence(&normal, Path::Straight, 1.0, &array![[3.0, 4.0]])[0], 2.0); // u = x
/// ```
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn marginal_divergence(data: &GaussianMixture, path: Path, t: f64, x: &Array2<f64>) -> Array1<f64> {
    let components = Components::new(data, path, t);
    let spread = components.stretch.sum_axis(Axis(1)); // (K)
    let of_point = |x: ArrayView1<f64>| {
        let shares = components.noisy.responsibilities(x); // (K)
        let pulls = (&components.noisy.means - &x) / &components.noisy.variances; // (K, D)
        let turned = (&pulls - &shares.dot(&pulls)) * components.velocities(x); // (K, D)
        shares.dot(&(&spread + &turned.sum_axis(Axis(1))))
    };
    x.rows().into_iter().map(of_point).collect()
}
// ANCHOR_END: marginal_divergence

// ANCHOR: velocity_variance
/// The variance of the velocity given x_t = x, summed over the axes: what no network can predict. Shapes: (N, D) to (N).
///
/// # Formula
/// Σ_k r_k Σ_d [Δ² v_k/s_k² + (u_k − u)²], Δ = α σ′ − σ α′, which is 1 on the straight path
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::velocity_variance, path::Path};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]);
/// assert_eq!(velocity_variance(&normal, Path::Straight, 1.0, &array![[3.0]])[0], 1.0); // ε is known, x_0 is not
/// ```
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn velocity_variance(data: &GaussianMixture, path: Path, t: f64, x: &Array2<f64>) -> Array1<f64> {
    let components = Components::new(data, path, t);
    let open = components.open.sum_axis(Axis(1)); // (K)
    let of_point = |x: ArrayView1<f64>| {
        let shares = components.noisy.responsibilities(x); // (K)
        let velocities = components.velocities(x); // (K, D)
        let between = (&velocities - &shares.dot(&velocities)).mapv(|u| u * u).sum_axis(Axis(1)); // (K)
        shares.dot(&(&open + &between))
    };
    x.rows().into_iter().map(of_point).collect()
}
// ANCHOR_END: velocity_variance

/// How far the likelihood along the [`marginal_velocity`] is from the mixture's own ln p: the calls of the velocity, and the largest error
/// over the rows of `x`, in nats.
///
/// ln p_1 is that of the mixture at t = 1: on the straight path it *is* N(0, I), which costs nothing.
///
/// # Formula
/// ln p_0(x_0) = ln p_1(x_1) + ∫_0^1 ∇·u_t(x_t) dt, by [`change_of_variables`]
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::likelihood_error, path::Path};
/// use ndarray::array;
///
/// let data = GaussianMixture::new(array![0.3, 0.7], array![[-1.0], [0.5]], array![[0.1], [0.4]]);
/// let [_, error] = likelihood_error(&data, Path::Straight, &array![[0.2], [-0.9]], 1e-8)?;
/// assert!(error < 1e-6);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`change_of_variables`].
pub fn likelihood_error(
    data: &GaussianMixture,
    path: Path,
    x: &Array2<f64>,
    tolerance: f64,
) -> Result<[f64; 2]> {
    let prior = data.through(path.kernel(1.0));
    let found = change_of_variables(
        |t, x| marginal_velocity(data, path, t, x),
        |t, x| marginal_divergence(data, path, t, x),
        x,
        |x_1| prior.log_density(x_1),
        Tolerances::both(tolerance),
    )?;
    Ok([found.calls as f64, largest_difference(&found.log_density, &data.log_densities(x))])
}
