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
    /// let error = ddpm::bugs::Bug::find("B24").unwrap_err().to_string();
    /// assert!(error.contains("B23: the end for the point"));
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
    ("pure noise, however long you train", &[9, 4, 17, 23]),
    ("points hundreds of units away, and the loss stands still", &[10]),
    ("far from the data, and farther with every step of the flow", &[22]),
    ("noise, wider than it came, and the loss is 1 at every t", &[23]),
    ("one shapeless cloud, and the loss is a little high", &[10]),
    ("NaN after a step or two", &[6, 5]),
    ("NaN, but only with few steps T", &[11]),
    ("numbers of ten digits and more after the first step", &[12]),
    ("every sample is the same, and the loss is almost 0", &[3]),
    ("the right picture under a fine grain", &[7]),
    ("the right picture under a coarse grain, with few steps", &[8]),
    ("the right shapes without their width: no variety", &[16]),
    ("pale: shifted to the bright side", &[15]),
    ("never dark and never bright, and always grey on average", &[19]),
    ("too strong at every scale of guidance, and at scale 1, too", &[21]),
    ("good with a label, and worse with every bit of guidance", &[20]),
    ("v is predicted, and the noisiest steps make up the loss", &[18]),
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
    Bug {
        number: 18,
        name: "the weight of another target",
        what: "Min-SNR weighs the squared error of v by min(SNR, γ)/SNR, which is what belongs to the error of ε.",
        seen: "kohya_ss #1555, sd-scripts #673; diffusers #5096, #5238 and #5654, right since #6307",
        right: "w(‖v − v̂‖²) = min(SNR, γ)/(SNR + 1)",
        wrong: "w(‖v − v̂‖²) = min(SNR, γ)/SNR",
        measures: &[
            Measure {
                name: "weight on ‖x_0 − x̂_0‖² over min(SNR, 5), the largest",
                right: Bound::Close(1.0, 1e-9),
                wrong: Bound::AtLeast(2e4),
            },
            Measure {
                name: "weight on ‖v − v̂‖² at t = T = 1000",
                right: Bound::AtMost(5e-5),
                wrong: Bound::Close(1.0, 1e-9),
            },
        ],
        tests: &[("targets", "weights_on_targets_are_those_of_the_papers")],
        measure: numbers::min_snr_of_v,
    },
    Bug {
        number: 19,
        name: "signal at the end",
        what: "x_T still has some of x_0 in it, and sampling begins with a noise that has none. It is taken for grey pictures.",
        seen: "Stable Diffusion’s schedule; k-diffusion #64, StableTuner #100",
        right: "√ᾱ_t moved and stretched, so that SNR_T = 0",
        wrong: "√β from √0.00085 to √0.012, SNR_T = 0.0047",
        measures: &[
            Measure {
                name: "mean brightness drawn, of pictures with −0.5",
                // 2000 pictures of deviation 0.25; with the bug m (1 − √(ᾱ_T v/(ᾱ_T v + 1 − ᾱ_T))), v = 4096 · 0.25²
                right: Bound::Within(-0.5, 0.0056),
                wrong: Bound::Within(-0.1308, 0.0038),
            },
            Measure {
                name: "spread of brightness over the pictures’",
                // with the bug 1/√(ᾱ_T v + 1 − ᾱ_T)
                right: Bound::Within(1.0, 0.0158),
                wrong: Bound::Within(0.6760, 0.0107),
            },
            Measure {
                name: "SNR at t = T",
                right: Bound::Close(0.0, 0.0),
                wrong: Bound::Close(0.00468, 5e-5),
            },
        ],
        tests: &[
            ("ch01_forward", "named_schedules_have_their_sources_parameters"),
            ("bugs", "a_chain_that_ends_in_signal_draws_grey_pictures"),
        ],
        measure: numbers::signal_at_the_end,
    },
    Bug {
        number: 20,
        name: "a null label that nobody trained",
        what: "The table has a row for “no label”, but no label is ever dropped: guidance leads away from the row’s first, random numbers.",
        seen: "DALLE2-pytorch #235, Sana #188, open-diffusion #6; asked in zoubohao #30, latent-diffusion #171",
        right: "y ← ∅ with probability 0.1",
        wrong: "y ← y",
        measures: &[
            Measure {
                name: "numbers of the null label’s row that training leaves alone",
                right: Bound::Close(0.0, 0.0),
                wrong: Bound::Close(4.0, 0.0),
            },
            Measure {
                name: "error of the prediction without a label, squared",
                right: Bound::AtMost(0.15),
                wrong: Bound::AtLeast(0.15),
            },
        ],
        tests: &[
            ("ch18_guidance", "drop_labels_drops_the_share_that_it_is_told_and_each_on_its_own"),
            ("ch18_guidance", "a_label_that_is_never_seen_learns_nothing"),
        ],
        measure: numbers::untrained_null,
    },
    Bug {
        number: 21,
        name: "two scales of guidance",
        what: "The paper’s formula, where w = 0 means “as labelled”, is given the scale of other code, where s = 1 means that.",
        seen: "threestudio #127, FastVideo #1155; asked in diffusers #5882, lucidrains #155 and #207",
        right: "ε + s (ε_y − ε)",
        wrong: "(1 + s) ε_y − s ε",
        measures: &[
            Measure {
                name: "largest change of the labelled prediction at scale 1",
                right: Bound::AtMost(1e-12),
                wrong: Bound::AtLeast(0.3),
            },
            Measure {
                name: "scale at work, for 3",
                right: Bound::Close(3.0, 1e-9),
                wrong: Bound::Close(4.0, 1e-9),
            },
            Measure {
                name: "share of the middle one of three Gaussians, scale 1",
                // of 1000 points
                right: Bound::Within(0.3333, 0.0149),
                wrong: Bound::AtLeast(0.37),
            },
        ],
        tests: &[
            ("ch18_guidance", "classifier_free_guidance_is_without_a_label_at_0_and_with_it_at_1"),
            ("ch18_guidance", "convert_scale_names_one_field_in_every_convention"),
        ],
        measure: numbers::scale_off_by_one,
    },
    Bug {
        number: 22,
        name: "the sign of the velocity",
        what: "The velocity is that of a t from the data to the noise, the sampler’s sign that of a t from the noise to the data.",
        seen: "rectified-flow-pytorch #14, splitmeanflow #2; asked in friendly-stable-audio-tools #9",
        right: "x_{t−h} = x_t − h v",
        wrong: "x_{t−h} = x_t + h v",
        measures: &[
            Measure {
                name: "root mean square of what is drawn, for 1",
                right: Bound::Close(1.0, 0.03),
                wrong: Bound::AtLeast(3.5),
            },
            Measure {
                name: "share of it within 4 deviations of a Gaussian",
                right: Bound::AtLeast(0.98),
                wrong: Bound::AtMost(0.05),
            },
        ],
        tests: &[
            ("targets", "velocity_of_gaussian_data_is_the_flows"),
            ("bugs", "steps_of_a_flow_lead_to_the_data"),
        ],
        measure: numbers::sign_of_velocity,
    },
    Bug {
        number: 23,
        name: "the end for the point",
        what: "In training, flow matching’s network is shown the end of the way in place of the point on it.",
        seen: "conditional-flow-matching #126",
        right: "‖(ε − x_0) − v_θ(x_t, t)‖²",
        wrong: "‖(ε − x_0) − v_θ(x_0, t)‖²",
        measures: &[
            Measure {
                name: "least loss of any network, per coordinate",
                // with the bug Var ε, of 40,000 numbers
                right: Bound::AtLeast(1.2),
                wrong: Bound::Within(1.0, 0.0071),
            },
            Measure {
                name: "root mean square of what the best network draws, for 1",
                // with the bug (1 + 1/50)⁵⁰, of 2000 numbers
                right: Bound::Close(1.0, 0.03),
                wrong: Bound::Within(2.6916, 0.0426),
            },
        ],
        tests: &[("regression", "the_loss_is_the_weighted_error_of_the_target")],
        measure: numbers::end_for_point,
    },
];
