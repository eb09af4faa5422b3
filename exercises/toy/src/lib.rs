#![deny(unsafe_code)] // not `forbid`: it rejects `ndarray::s![]`, which allows itself what it needs
//! The library with a chapter's exercises in it: everything is the solution's, except what the features turn on.
//!
//! The answers go into `answers/`. Types always come from the solution; an answer stands in for the free function of
//! its name, at the same path, so that `tests/ch03_posterior.rs` compiles unchanged and calls it. What the solution
//! calls inside of itself stays its own.

#[cfg_attr(feature = "wrong", path = "../wrong/mod.rs")]
#[cfg_attr(feature = "solved", path = "../../../target/exercises/toy/mod.rs")]
mod answers;
#[cfg(feature = "all")]
mod idioms;

pub use solution::*;

pub mod baselines {
    pub use solution::baselines::*;

    pub mod gan {
        #[cfg(feature = "ch10")]
        pub use crate::answers::ch10_trilemma::{discriminator_loss, generator_loss};
        pub use solution::baselines::gan::*;
    }

    pub mod modes {
        #[cfg(feature = "ch10")]
        pub use crate::answers::ch10_trilemma::mode_counts;
        pub use solution::baselines::modes::*;
    }

    pub mod vae {
        #[cfg(feature = "ch10")]
        pub use crate::answers::ch10_trilemma::{importance_weighted, latent_kl, reparameterize_backward};
        pub use solution::baselines::vae::*;
    }
}

pub mod bound {
    #[cfg(feature = "ch02")]
    pub use crate::answers::ch02_vlb::{bits_per_dim, prior_term};
    #[cfg(feature = "ch07")]
    pub use crate::answers::ch07_likelihood::{
        bin_log_probability, bits_with_error, decoding_error, quantize,
    };
    pub use solution::bound::*;

    pub mod derivation {
        #[cfg(feature = "ch02")]
        pub use crate::answers::ch02_vlb::{line_bayes, line_products, line_telescoped, line_three_terms};
        pub use solution::bound::derivation::*;
    }

    pub mod exact {
        #[cfg(feature = "ch07")]
        pub use crate::answers::ch07_likelihood::discrete_entropy;
        pub use solution::bound::exact::*;
    }
}

pub mod bugs {
    #[cfg(feature = "ch11")]
    pub use crate::answers::ch11_bugs::{
        first_bad_beta, normality_scores, reseed_change, standard_errors_off, step_audit, unmoved_parameters,
    };
    pub use solution::bugs::*;

    pub mod detect {
        #[cfg(feature = "ch11")]
        pub use crate::answers::ch11_bugs::{
            first_bad_beta, normality_scores, reseed_change, standard_errors_off, step_audit,
            unmoved_parameters,
        };
        pub use solution::bugs::detect::*;
    }
}

pub mod continuous {
    pub use solution::continuous::*;

    pub mod score {
        #[cfg(feature = "ch08")]
        pub use crate::answers::ch08_score::{
            denoising_score_matching, hutchinson, langevin_step, score_from_eps,
        };
        pub use solution::continuous::score::*;
    }

    pub mod sde {
        #[cfg(feature = "ch08")]
        pub use crate::answers::ch08_score::{kernel, reverse_drift};
        pub use solution::continuous::sde::*;
    }
}

pub mod edm {
    #[cfg(feature = "ch17")]
    pub use crate::answers::ch17_targets::{edm_scalings, rho_grid};
    pub use solution::edm::*;
}

pub mod flow {
    #[cfg(feature = "ch19")]
    pub use crate::answers::ch19_flow_matching::{
        conditional_velocity, convert_velocity, marginal_velocity, reflow_pairs, straight_euler_step,
        straightness,
    };
    pub use solution::flow::*;
}

pub mod forward {
    #[cfg(feature = "ch01")]
    pub use crate::answers::ch01_forward::{compose, diffuse, forward_step};
    pub use solution::forward::*;
}

pub mod gaussian {
    #[cfg(feature = "ch04")]
    pub use crate::answers::ch04_objective::kl_divergence;
    pub use solution::gaussian::*;
}

pub mod guidance {
    #[cfg(feature = "ch18")]
    pub use crate::answers::ch18_guidance::{
        classifier_free_guidance, classifier_score, convert_scale, drop_labels, label_probabilities,
        tilted_log_density,
    };
    pub use solution::guidance::*;

    pub mod labels {
        #[cfg(feature = "ch18")]
        pub use crate::answers::ch18_guidance::{classifier_score, drop_labels, label_probabilities};
        pub use solution::guidance::labels::*;
    }

    pub mod tilted {
        #[cfg(feature = "ch18")]
        pub use crate::answers::ch18_guidance::tilted_log_density;
        pub use solution::guidance::tilted::*;
    }
}

pub mod network {
    #[cfg(feature = "ch05")]
    pub use crate::answers::ch05_training::sinusoidal_embedding;
    pub use solution::network::*;

    pub mod embedding {
        #[cfg(feature = "ch05")]
        pub use crate::answers::ch05_training::sinusoidal_embedding;
        pub use solution::network::embedding::*;
    }

    pub mod layers {
        #[cfg(feature = "ch05")]
        pub use crate::answers::ch05_training::{gelu_derivative, linear_backward};
        pub use solution::network::layers::*;
    }

    pub mod optimizer {
        #[cfg(feature = "ch05")]
        pub use crate::answers::ch05_training::{adamw_update, ema_update};
        pub use solution::network::optimizer::*;
    }
}

pub mod objective {
    #[cfg(feature = "ch04")]
    pub use crate::answers::ch04_objective::{eps_weight, mean_matching, simple_loss};
    #[cfg(feature = "ch05")]
    pub use crate::answers::ch05_training::gaussian_term;
    pub use solution::objective::*;
}

pub mod posterior {
    #[cfg(feature = "ch03")]
    pub use crate::answers::ch03_posterior::{
        complete_the_square, posterior_by_precisions, posterior_log_variance, posterior_mean_coefficients,
        posterior_variance, three_gaussians,
    };
    pub use solution::posterior::*;
}

pub mod reverse {
    #[cfg(feature = "ch04")]
    pub use crate::answers::ch04_objective::{mean_coefficients, x_0_coefficients};
    #[cfg(feature = "ch06")]
    pub use crate::answers::ch06_sampling::{
        interpolated_variance, p_mean_variance, split_mean_log_variance,
    };
    pub use solution::reverse::*;
}

pub mod sampler {
    #[cfg(feature = "ch06")]
    pub use crate::answers::ch06_sampling::{ancestral_step, apply, sample};
    #[cfg(feature = "ch09")]
    pub use crate::answers::ch09_fast_sampling::{
        ddim, ddim_inversion_step, ddim_sigma, ddim_step, dpm_solver_step, time_grid,
    };
    pub use solution::sampler::*;
}

pub mod schedule {
    #[cfg(feature = "ch01")]
    pub use crate::answers::ch01_forward::{alpha_bars, cosine_betas, quad_betas};
    #[cfg(feature = "ch17")]
    pub use crate::answers::ch17_targets::zero_terminal_snr;
    pub use solution::schedule::*;
}

pub mod target {
    #[cfg(feature = "ch17")]
    pub use crate::answers::ch17_targets::{conversion, error_factor};
    pub use solution::target::*;
}

pub mod weighting {
    #[cfg(feature = "ch17")]
    pub use crate::answers::ch17_targets::per_log_snr;
    pub use solution::weighting::*;
}
