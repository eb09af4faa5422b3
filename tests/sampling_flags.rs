//! The flags of a sampler, and the two programs that take them: refused before any work, or used.

use ddpm::{reverse::FixedVariance, sampler::Spacing, schedule::Schedule};
use ddpm_unet::sample::{Sampler, SamplingArguments, SamplingPlan};
use std::process::Command;

fn plan(flags: &[&str], schedule: &Schedule) -> std::result::Result<SamplingPlan, String> {
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        sampling: SamplingArguments,
    }
    let parsed = <Flags as clap::Parser>::try_parse_from([&["draw"], flags].concat());
    parsed.map_err(|error| error.to_string())?.sampling.plan(schedule).map_err(|error| error.to_string())
}

#[test]
fn flags_name_a_plan_and_those_that_would_change_nothing_are_refused() {
    let default = SamplingPlan::default();
    let schedule = Schedule::linear_scaled(1000).unwrap();
    let short = Schedule::linear_scaled(25).unwrap();
    assert_eq!(plan(&[], &short), Ok(SamplingPlan { calls: 25, ..default }), "no more calls than T");
    assert_eq!(
        plan(&["--sampling-steps", "50"], &short),
        Ok(default),
        "what is named stays, and is refused where it is used"
    );
    assert_eq!(default.sampler, Sampler::Ddpm(FixedVariance::Posterior));
    for (flags, expected) in [
        (&[][..], default),
        (&["--sampler", "ddim"], SamplingPlan { sampler: Sampler::Ddim(0.0), ..default }),
        (&["--eta", "0.5"], SamplingPlan { sampler: Sampler::Ddim(0.5), ..default }),
        (&["--variance", "beta"], SamplingPlan { sampler: Sampler::Ddpm(FixedVariance::Beta), ..default }),
        (&["--sampler", "ddpm", "--sampling-steps", "7"], SamplingPlan { calls: 7, ..default }),
        (
            &["--spacing", "trailing", "--no-clip"],
            SamplingPlan { spacing: Spacing::Trailing, clip: None, ..default },
        ),
    ] {
        assert_eq!(plan(flags, &schedule), Ok(expected), "{flags:?}");
    }
    for (flags, expected) in [
        (&["--sampler", "ddpm", "--eta", "0.5"][..], "--eta is 0.5; it must go with --sampler ddim"),
        (&["--variance", "beta", "--eta", "0.5"], "it must go with --sampler ddpm"),
        (&["--sampler", "ddim", "--variance", "beta"], "--variance is beta; it must go with --sampler ddpm"),
        (&["--sampler", "euler"], "ddpm, ddim"),
        (&["--variance", "large"], "use beta"),
        (&["--spacing", "random"], "use leading"),
    ] {
        let error = plan(flags, &schedule).unwrap_err();
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
}

#[test]
fn the_programs_refuse_bad_flags_and_networks_before_any_work() {
    let place = tempfile::tempdir().unwrap();
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    for program in [env!("CARGO_BIN_EXE_ch15_sample_images"), env!("CARGO_BIN_EXE_ch16_evaluate_images")] {
        for (flags, expected) in [
            (&["--sampler", "ddpm", "--eta", "1"][..], "--eta is 1; it must go with --sampler ddim"),
            (&["--eta", "1.5"], "--eta is 1.5; it must lie in [0, 1]"),
            (&["--sampling-steps", "0"], "steps is 0"),
            (&["--sampling-steps", "1001"], "here T = 1000"),
            (&["--checkpoint", empty], "checkpoints or model.safetensors of a run, or config.json"),
            (&["--checkpoint", "nowhere"], "nowhere"),
        ] {
            let out = place.path().join("out");
            let output = Command::new(program).args(flags).arg("--out").arg(&out).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains(expected), "{flags:?}: {said}");
            assert!(!said.contains("panicked") && !out.exists(), "{flags:?}: {said}");
        }
    }
}
