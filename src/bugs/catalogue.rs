//! The bugs by number: what went wrong, where it was seen, the number that gives it away, the test that goes red.

use super::{BugFixture, Variant, numbers};
use crate::{Error, Result, metrics::StandardError};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

/// What a number must be to pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// This, within the second number.
    Close(f64, f64),
    /// This, within [`StandardError::LIMIT`] of the standard error that is the second number.
    Within(f64, f64),
}

impl Bound {
    /// Whether a number passes; NaN never does.
    pub fn holds(self, number: f64) -> bool {
        match self {
            Bound::AtMost(bound) => number <= bound,
            Bound::AtLeast(bound) => number >= bound,
            Bound::Close(value, tolerance) => (number - value).abs() <= tolerance,
            Bound::Within(value, error) => (number - value).abs() <= StandardError::LIMIT * error,
        }
    }
}

/// A number that separates right code from wrong code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// What is measured.
    pub name: &'static str,
    /// What it is in right code.
    pub right: Bound,
    /// What it is with the bug.
    pub wrong: Bound,
}

/// A bug that shipped in public code.
#[derive(Debug, Clone, Copy)]
pub struct Bug {
    /// Its number in the guide: 7 of B7.
    pub number: usize,
    /// Its name, a few words.
    pub name: &'static str,
    /// What went wrong, in a sentence.
    pub what: &'static str,
    /// Where it was seen.
    pub seen: &'static str,
    /// The formula as it should be.
    pub right: &'static str,
    /// The formula as it was found.
    pub wrong: &'static str,
    /// What gives it away: the first number always does.
    pub measures: &'static [Measure],
    /// The tests of this course that go red: the file in `tests/` and the function.
    pub tests: &'static [(&'static str, &'static str)],
    measure: fn(&BugFixture, Variant, &mut StdRng) -> Result<Vec<f64>>,
}

impl Bug {
    /// The bug of a number as a reader types it: `B7`, `b7` or `7`.
    ///
    /// ```
    /// assert_eq!(ddpm::bugs::Bug::find("B7").unwrap().name, "noise in the last step");
    /// let error = ddpm::bugs::Bug::find("B18").unwrap_err().to_string();
    /// assert!(error.contains("B17: forward step for posterior"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Parameter`] with a list of all bugs, if there is none of this number.
    pub fn find(text: &str) -> Result<&'static Bug> {
        let number = text.trim().trim_start_matches(['B', 'b']);
        BUGS.iter().find(|bug| bug.number.to_string() == number).ok_or_else(|| {
            let known: Vec<String> = BUGS.iter().map(|bug| format!("  {}", bug.title())).collect();
            Error::Parameter {
                name: "bug",
                value: text.into(),
                bound: "be one of the guide's",
                remedy: format!("use\n{}", known.join("\n")),
            }
        })
    }

    /// Number and name: `B7: noise in the last step`.
    pub fn title(&self) -> String {
        format!("B{}: {}", self.number, self.name)
    }

    /// What its [`measures`](Self::measures) name, in their order, with one of the two codes.
    ///
    /// The same `seed` gives the same numbers, whichever bugs were measured before.
    ///
    /// # Errors
    /// None: what the measurements build is within its bounds.
    pub fn numbers(&self, fixture: &BugFixture, variant: Variant, seed: u64) -> Result<Vec<f64>> {
        (self.measure)(fixture, variant, &mut StdRng::seed_from_u64(seed.wrapping_add(self.number as u64)))
    }
}

/// The self-check: what one sees, and the bugs that it may be, the likeliest first.
pub const SYMPTOMS: &[(&str, &[usize])] = &[
    ("pure noise, however long you train", &[9, 4, 17]),
    ("points hundreds of units away, and the loss stands still", &[10]),
    ("one shapeless cloud, and the loss is a little high", &[10]),
    ("NaN after a step or two", &[6, 5]),
    ("NaN, but only with few steps T", &[11]),
    ("numbers of ten digits and more after the first step", &[12]),
    ("every sample is the same, and the loss is almost 0", &[3]),
    ("the right picture under a fine grain", &[7]),
    ("the right picture under a coarse grain, with few steps", &[8]),
    ("the right shapes without their width: no variety", &[16]),
    ("pale: shifted to the bright side", &[15]),
    ("far too wide, and x_T is not centred on 0", &[1]),
    ("the first step of the chain goes astray", &[8, 12]),
    ("good samples, absurd likelihood", &[13]),
    ("right in 2-D, wrong or a crash for images", &[16]),
    ("the paper’s √ᾱ_T does not come out", &[2, 4]),
    ("every test passes, and nothing works", &[14]),
];

/// All bugs of the guide, by number.
pub const BUGS: &[Bug] = &[
    Bug {
        number: 1,
        name: "uniform noise",
        what: "The forward process draws its noise with rand, uniform between 0 and 1, and calls it Gaussian.",
        seen: "the lecture notes; acids-ircam, notebook 02",
        right: "x_t = √(1−β_t) x_{t−1} + √β_t ε,  ε ~ N(0, I)",
        wrong: "x_t = √(1−β_t) x_{t−1} + √β_t ε,  ε ~ U(0, 1)",
        measures: &[Measure {
            name: "largest of mean, variance and kurtosis, in standard errors off N(0, 1)",
            right: Bound::Within(0.0, 1.0),
            wrong: Bound::AtLeast(50.0),
        }],
        tests: &[("ch01_forward", "noise_is_normal_and_not_uniform")],
        measure: numbers::uniform_noise,
    },
    Bug {
        number: 2,
        name: "a first step a thousand times too large",
        what: "β_1 is quoted as 10⁻¹. The paper’s is 10⁻⁴, and only with that do .00635 and .99995 come out.",
        seen: "the study notes",
        right: "β_1 = 10⁻⁴, β_T = 0.02",
        wrong: "β_1 = 10⁻¹, β_T = 0.02",
        measures: &[Measure {
            name: "√ᾱ_T at T = 1000",
            right: Bound::Close(0.0063528, 1e-7),
            wrong: Bound::AtMost(1e-13),
        }],
        tests: &[("ch01_forward", "linear_schedule_gives_the_paper_s_numbers")],
        measure: numbers::beta_start,
    },
    Bug {
        number: 3,
        name: "a loss without the data",
        what: "L_simple shows the network √α̃_t + √(1−α̃_t) ε: x_0 is missing, and a tilde stands for the bar.",
        seen: "the lecture notes",
        right: "‖ε − ε_θ(√ᾱ_t x_0 + √(1−ᾱ_t) ε, t)‖²",
        wrong: "‖ε − ε_θ(√ᾱ_t + √(1−ᾱ_t) ε, t)‖²",
        measures: &[Measure {
            name: "loss of the best denoiser at t = T/4, per coordinate",
            right: Bound::AtLeast(0.01),
            wrong: Bound::AtMost(1e-25),
        }],
        tests: &[
            ("ch04_objective", "no_denoiser_beats_the_exact_one"),
            ("ch01_forward", "diffuse_is_the_chain_in_one_jump"),
        ],
        measure: numbers::loss_without_data,
    },
    Bug {
        number: 4,
        name: "squares at the wrong place",
        what: "The quadratic schedule squares its ends and then the line again, so that hardly any noise is added.",
        seen: "annotated-diffusion, a stored copy",
        right: "β = linspace(√β_1, √β_T)²",
        wrong: "β = linspace(β_1², β_T²)²",
        measures: &[Measure {
            name: "L_T at T = 1000, bits/dim",
            right: Bound::AtMost(1e-3),
            wrong: Bound::AtLeast(7.0),
        }],
        tests: &[("ch01_forward", "quad_betas_are_linear_in_the_root")],
        measure: numbers::squares_at_the_ends,
    },
    Bug {
        number: 5,
        name: "integer division",
        what: "The cosine schedule divides t by T as integers: every share but the last is 0, and so is every β.",
        seen: "candle-transformers, schedulers.rs",
        right: "ᾱ_t ∝ cos²((t as f64 / T as f64 + s)/(1 + s) · π/2)",
        wrong: "ᾱ_t ∝ cos²(((t / T) as f64 + s)/(1 + s) · π/2)",
        measures: &[Measure {
            name: "β that are 0, of 1000",
            right: Bound::Close(0.0, 0.0),
            wrong: Bound::Close(999.0, 0.0),
        }],
        tests: &[("ch01_forward", "cosine_betas_have_a_cosine_for_alpha_bar")],
        measure: numbers::integer_division,
    },
    Bug {
        number: 6,
        name: "the root of a logarithm",
        what: "A variance of the kind “fixed large log” comes back as ln β, and its caller takes the square root of it.",
        seen: "candle-transformers, ddpm.rs; huggingface/diffusers#14569",
        right: "σ_t = exp(½ ln β_t)",
        wrong: "σ_t = √(ln β_t)",
        measures: &[Measure {
            name: "σ_t that are no positive number, of 100",
            right: Bound::Close(0.0, 0.0),
            wrong: Bound::Close(100.0, 0.0),
        }],
        tests: &[
            ("ch06_sampling", "variances_are_beta_and_beta_tilde"),
            ("ch06_sampling", "ancestral_step_is_algorithm_2_s_line_4"),
        ],
        measure: numbers::root_of_a_logarithm,
    },
    Bug {
        number: 7,
        name: "noise in the last step",
        what: "Fresh noise is added at t = 1, too, where Algorithm 2 says z = 0: nobody will ever take it away again.",
        seen: "labml; acids-ircam, notebook 02; azad-academy",
        right: "x_0 = μ_θ(x_1, 1)",
        wrong: "x_0 = μ_θ(x_1, 1) + σ_1 z",
        measures: &[Measure {
            name: "change of x_0 with another generator, same x_1",
            right: Bound::Close(0.0, 0.0),
            wrong: Bound::AtLeast(0.05),
        }],
        tests: &[("ch06_sampling", "the_last_step_adds_no_noise")],
        measure: numbers::noise_at_the_end,
    },
    Bug {
        number: 8,
        name: "off by one",
        what: "Training never draws t = T, where sampling begins; sampling stops one step before the clean image.",
        seen: "minDiffusion, dome272, UDL 18.3/18.4, lucidrains #81, improved-diffusion #44, latent-diffusion #136",
        right: "train on t = 1 … T, sample t = T … 1",
        wrong: "train on t = 1 … T−1, sample t = T … 2",
        measures: &[
            Measure {
                name: "steps that are sampled and were never trained",
                right: Bound::Close(0.0, 0.0),
                wrong: Bound::Close(1.0, 0.0),
            },
            Measure {
                name: "steps that are never sampled",
                right: Bound::Close(0.0, 0.0),
                wrong: Bound::Close(1.0, 0.0),
            },
        ],
        tests: &[
            ("ch05_training", "every_t_is_trained"),
            ("ch06_sampling", "sample_asks_the_denoiser_exactly_t_times_from_t_to_1"),
            ("ch09_fast_sampling", "ddim_goes_from_each_grid_point_to_the_next_and_then_to_0"),
        ],
        measure: numbers::off_by_one,
    },
    Bug {
        number: 9,
        name: "a loop that never runs",
        what: "The sampler loops over T..=0. In Rust that range is empty, and x_T comes back as it was.",
        seen: "a Rust tutorial",
        right: "for t in (1..=T).rev()",
        wrong: "for t in T..=0",
        measures: &[
            Measure {
                name: "calls of the denoiser at T = 100",
                right: Bound::Close(100.0, 0.0),
                wrong: Bound::Close(0.0, 0.0),
            },
            Measure {
                name: "largest distance of x_0 from x_T",
                right: Bound::AtLeast(0.1),
                wrong: Bound::Close(0.0, 0.0),
            },
        ],
        tests: &[("ch06_sampling", "sample_asks_the_denoiser_exactly_t_times_from_t_to_1")],
        measure: numbers::empty_loop,
    },
    Bug {
        number: 10,
        name: "nothing is connected",
        what: "The optimizer is built from an empty list of parameters; the time embedding is computed and then dropped.",
        seen: "a Rust tutorial",
        right: "AdamW::new(network.parameters()), ε_θ(x_t, t)",
        wrong: "AdamW::new(vec![]), ε_θ(x_t)",
        measures: &[
            Measure {
                name: "share of parameters that a step leaves alone",
                right: Bound::Close(0.0, 0.0),
                wrong: Bound::Close(1.0, 0.0),
            },
            Measure {
                name: "largest change of ε_θ between t = 1 and t = T",
                right: Bound::AtLeast(1e-3),
                wrong: Bound::Close(0.0, 0.0),
            },
        ],
        tests: &[
            ("ch05_training", "a_step_changes_every_parameter_and_the_average_follows"),
            ("ch05_training", "a_network_without_time_embedding_does_not_see_t"),
        ],
        measure: numbers::nothing_connected,
    },
    Bug {
        number: 11,
        name: "β above one",
        what: "The ends are scaled by 1000/T to keep ᾱ_T. At T ≤ 20 the last β is 1 or more, and √(1−β) no number.",
        seen: "imagen-pytorch #161, guided-diffusion #137",
        right: "β_T = 20/T, and an error unless 0 < β_t < 1",
        wrong: "β_T = 20/T",
        measures: &[
            Measure {
                name: "β outside of (0, 1) that get through at T = 10",
                right: Bound::Close(0.0, 0.0),
                wrong: Bound::Close(5.0, 0.0),
            },
            Measure {
                name: "t of the first of them",
                right: Bound::Close(0.0, 0.0),
                wrong: Bound::Close(6.0, 0.0),
            },
        ],
        tests: &[
            ("ch01_forward", "bad_schedules_are_typed_errors_that_say_what_to_do"),
            ("ch01_forward", "the_scaled_schedule_keeps_its_end"),
        ],
        measure: numbers::beta_above_one,
    },
    Bug {
        number: 12,
        name: "the end of the cosine",
        what: "ᾱ_T is taken from the cosine itself, where it is 0 up to rounding: 1/√ᾱ_T, the factor of x̂_0, explodes.",
        seen: "lucidrains #19, GenerativeModels #489, improved-diffusion #105",
        right: "ᾱ_t = ∏ (1 − min(β_s, 0.999))",
        wrong: "ᾱ_t = f(t)/f(0)",
        measures: &[Measure {
            name: "1/√ᾱ_T at T = 1000",
            right: Bound::AtMost(1e5),
            wrong: Bound::AtLeast(1e15),
        }],
        tests: &[("ch01_forward", "cosine_betas_have_a_cosine_for_alpha_bar")],
        measure: numbers::cosine_end,
    },
    Bug {
        number: 13,
        name: "a logarithm for a variance",
        what: "A KL divergence that wants log-variances is given variances, or the two in the other order.",
        seen: "tqch/ddpm-torch #9",
        right: "KL(μ_p, ln v_p, μ_q, ln v_q)",
        wrong: "KL(μ_p, v_p, μ_q, v_q)",
        measures: &[
            Measure {
                name: "standard errors between formula and sampling",
                right: Bound::Within(0.0, 1.0),
                wrong: Bound::AtLeast(50.0),
            },
            Measure {
                name: "KL(p ‖ p), the test that notices nothing",
                right: Bound::Close(0.0, 1e-15),
                wrong: Bound::Close(0.0, 1e-15),
            },
        ],
        tests: &[("ch04_objective", "kl_divergence_is_what_sampling_finds")],
        measure: numbers::logarithm_for_variance,
    },
    Bug {
        number: 14,
        name: "a signed sum",
        what: "A test compares by the sum of the differences. Errors of opposite sign cancel, and it passes.",
        seen: "smalldiffusion, its tests",
        right: "max |a − b|",
        wrong: "|Σ (a − b)|",
        measures: &[Measure {
            name: "what it finds between β_1 … β_T and β_T … β_1",
            right: Bound::AtLeast(0.01),
            wrong: Bound::AtMost(1e-12),
        }],
        tests: &[("report", "a_row_is_ok_up_to_its_tolerance"), ("metrics", "no_nan_hides_behind_a_maximum")],
        measure: numbers::signed_sum,
    },
    Bug {
        number: 15,
        name: "data in [0, 1]",
        what: "Grey values are left in [0, 1], where everything else counts on [−1, 1]: the way back makes them pale.",
        seen: "lucidrains #20 and #307",
        right: "x_0 = 2 grey − 1",
        wrong: "x_0 = grey",
        measures: &[
            Measure {
                name: "mean of x_0 as the network sees it",
                right: Bound::Close(0.0, 0.01),
                wrong: Bound::Close(0.5, 0.01),
            },
            Measure {
                name: "mean grey of what is drawn, for 0.5",
                // 600 coordinates of deviation 1/3.6
                right: Bound::Within(0.5, 0.01134),
                wrong: Bound::AtLeast(0.7),
            },
        ],
        tests: &[("data", "every_data_set_has_zero_mean_and_unit_variance")],
        measure: numbers::grey_shift,
    },
    Bug {
        number: 16,
        name: "Σ for a standard deviation",
        what: "Σ_θ, a variance, is used as a standard deviation; its logarithm is returned for it; split(out, 2) makes \
               pieces of size two.",
        seen: "the lecture notes",
        right: "x_{t−1} = μ + √Σ z,  Σ = exp(log_var),  two halves",
        wrong: "x_{t−1} = μ + Σ z,  Σ = log_var,  out[:, 0:2], out[:, 2:4]",
        measures: &[
            Measure {
                name: "variance of a step’s noise over Σ",
                right: Bound::Close(1.0, 1e-12),
                wrong: Bound::AtMost(0.2),
            },
            Measure {
                name: "columns of the mean of a 3-D point",
                right: Bound::Close(3.0, 0.0),
                wrong: Bound::Close(2.0, 0.0),
            },
            Measure {
                name: "what is reported for Σ, over Σ",
                right: Bound::Close(1.0, 1e-12),
                wrong: Bound::AtMost(0.0),
            },
        ],
        tests: &[
            ("ch06_sampling", "apply_multiplies_and_adds"),
            ("ch06_sampling", "split_mean_log_variance_makes_two_halves_in_any_dimension"),
            ("ch05_training", "a_denoiser_reads_its_network_s_output"),
        ],
        measure: numbers::deviation_for_variance,
    },
    Bug {
        number: 17,
        name: "forward step for posterior",
        what: "“The reverse process approximates the forward process”: it approximates the forward process’s posterior.",
        seen: "the study notes",
        right: "p_θ(x_{t−1} | x_t) ≈ q(x_{t−1} | x_t, x_0)",
        wrong: "p_θ(x_{t−1} | x_t) ≈ q(x_t | x_{t−1})",
        measures: &[Measure {
            name: "Eq. (8) with the true ε for ε_θ, summed over t, bits/dim",
            right: Bound::AtMost(1e-20),
            wrong: Bound::AtLeast(3.0),
        }],
        tests: &[
            ("ch02_vlb", "every_line_is_equal_on_every_trajectory"),
            ("ch04_objective", "equation_11_is_the_posterior_mean_at_the_predicted_x_0"),
        ],
        measure: numbers::forward_for_posterior,
    },
];
