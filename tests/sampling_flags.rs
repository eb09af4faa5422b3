//! The flags of a sampler, and the two programs that take them: refused before any work, or used; what both do with a network.

use candle_core::Tensor;
use ddpm::{
    reverse::FixedVariance,
    sampler::{Spacing, ddim_inversion, time_grid},
    schedule::Schedule,
};
use ddpm_page::report::{Chapter, Common};
use ddpm_unet::{
    denoiser::ImageDenoiser,
    images::grid::{ImageGrid, strip},
    program::{DrawingNetwork, NetworkArguments, Sheets, within},
    sample::{Known, Sampler, SamplingArguments, SamplingPlan, forward::standard_normal, sample},
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
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
fn flags_come_before_what_a_scheduler_says() {
    let schedule = Schedule::linear_scaled(1000).unwrap();
    let of_scheduler = SamplingPlan {
        sampler: Sampler::Ddim(0.0),
        clip: Some(3.0),
        spacing: Spacing::Linspace,
        ..SamplingPlan::default()
    };
    let arguments = |flags: &[&str]| {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            sampling: SamplingArguments,
        }
        let flags = <Flags as clap::Parser>::parse_from([&["draw"], flags].concat());
        flags.sampling.plan_from(of_scheduler, &schedule).unwrap()
    };
    for (flags, expected) in [
        (&[][..], of_scheduler),
        (&["--sampler", "ddpm"], SamplingPlan { sampler: Sampler::default(), ..of_scheduler }),
        (
            &["--variance", "beta"],
            SamplingPlan { sampler: Sampler::Ddpm(FixedVariance::Beta), ..of_scheduler },
        ),
        (&["--eta", "0.5"], SamplingPlan { sampler: Sampler::Ddim(0.5), ..of_scheduler }),
        (&["--no-clip"], SamplingPlan { clip: None, ..of_scheduler }),
        (&["--spacing", "trailing"], SamplingPlan { spacing: Spacing::Trailing, ..of_scheduler }),
    ] {
        assert_eq!(arguments(flags), expected, "{flags:?}");
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

/// The shipped network, drawing in three steps.
fn network() -> DrawingNetwork {
    let mut network = NetworkArguments::default().open().unwrap();
    network.plan.calls = 3;
    network
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    a.dims() == b.dims() && numbers(a) == numbers(b)
}

#[test]
fn a_network_from_flags_draws_as_its_parts_do() {
    let network = network();
    assert!(network.shipped && network.plan == SamplingPlan { calls: 3, ..SamplingPlan::default() });
    let (schedule, denoiser) = (network.schedule(), &network.denoiser);
    let by_hand = |steps: &[_], x: &Tensor, rng: &mut StdRng| {
        sample(steps, denoiser, x.clone(), rng, |_, _| Ok(())).unwrap()
    };
    let noise = standard_normal((2, 28, 28, 1), &mut rng(1), &network.device).unwrap();
    assert!(same(&network.noise(2, &mut rng(1)).unwrap(), &noise));
    let (mut one, mut other) = (rng(2), rng(2));
    let drawn = network.samples(&network.plan, 2, &mut one).unwrap();
    let x_t = network.noise(2, &mut other).unwrap();
    let steps = network.plan.steps(schedule).unwrap();
    assert!(same(&drawn, &by_hand(&steps, &x_t, &mut other)), "samples");
    let film = network.film(&network.plan, 2, &mut rng(2)).unwrap();
    assert!(same(film.states(&[]).last().unwrap(), &drawn), "a film ends in the same images");

    let times = time_grid(300, 3, Spacing::Trailing).unwrap();
    let steps = Sampler::Ddim(0.0).along(schedule, &times, Some(1.0)).unwrap();
    let drawn = network.draw_from(300, Sampler::Ddim(0.0), &noise, &mut rng(3)).unwrap();
    assert!(same(&drawn, &by_hand(&steps, &noise, &mut rng(3))), "from t = 300");
    let bar = schedule.alpha_bar(300);
    let eps = denoiser.predict(&noise, 300.0).unwrap();
    let x_0 = ((&noise - (eps * (1.0 - bar).sqrt()).unwrap()).unwrap() / bar.sqrt()).unwrap();
    let gap = (network.guess(300, &noise).unwrap() - x_0.clamp(-1f32, 1f32).unwrap()).unwrap();
    assert!(gap.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-4, "x̂_0");

    let times = time_grid(ddpm_unet::sample::encoding_end(schedule), 4, Spacing::Trailing).unwrap();
    let [latent, back] = network.round_trip(&drawn, 4).unwrap();
    assert!(same(&latent, &by_hand(&ddim_inversion(schedule, &times), &drawn, &mut rng(4))), "encoded");
    let down = Sampler::Ddim(0.0).along(schedule, &times, None).unwrap();
    assert!(same(&back, &by_hand(&down, &latent, &mut rng(4))), "and decoded");

    let (along, ends) = network.guesses_along(&network.plan, 2, 2, &mut rng(2)).unwrap();
    let states = network.film(&network.plan, 2, &mut rng(2)).unwrap();
    assert!(same(&ends, states.states(&[]).last().unwrap()), "the same images");
    let t: Vec<usize> = along.iter().map(|(t, _)| *t).collect();
    assert_eq!(t, [667, 1], "every second of three leading times");
    for (t, guess) in &along {
        assert!(same(guess, &states.guesses(&[*t]).unwrap()[0]), "the guess at t = {t}");
    }
    let many = network.draws_of_each(300, &noise, 3, &mut rng(6)).unwrap();
    let repeated = Tensor::cat(&[&noise; 3].map(|x| x.narrow(0, 0, 1).unwrap()), 0).unwrap();
    let repeated = Tensor::cat(
        &[repeated, Tensor::cat(&[&noise; 3].map(|x| x.narrow(0, 1, 1).unwrap()), 0).unwrap()],
        0,
    );
    let by_hand_too = network.draw_from(300, network.plan.sampler, &repeated.unwrap(), &mut rng(6)).unwrap();
    assert!(same(&many, &by_hand_too), "three draws of each x_t, side by side");
    let (ends, noises) = ([&drawn, &drawn], [&noise, &noise]);
    let plain = network.mixed(0, ends, noises, ddpm_unet::sample::straight, 3, &mut rng(7)).unwrap();
    let gap = (plain.narrow(0, 1, 1).unwrap() - drawn.narrow(0, 0, 1).unwrap()).unwrap().abs().unwrap();
    assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6, "an image mixed with itself at t = 0");

    let known = Known::halves(&drawn).unwrap();
    let (inpainted, calls) = network.fill_in(&known, 2, &mut rng(5)).unwrap();
    assert_eq!((calls, known.largest_change(&inpainted).unwrap()), (6, 0.0), "twice three calls");
}

#[test]
fn what_a_program_is_not_made_for_is_refused() {
    let network = network();
    network.must_draw((28, 28, 1), "").unwrap();
    let error = network.must_draw((32, 32, 3), "this chapter judges boats").unwrap_err().to_string();
    let expected = "found a network that draws (28, 28, 1) (height, width, channels), expected (32, 32, 3): this chapter judges boats";
    assert!(error.ends_with(expected), "{error}");
    within("--images", 10_000, 2, 10_000).unwrap();
    for value in [1, 10_001] {
        let error = within("--images", value, 2, 10_000).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--images is {value}; it must lie in 2…10000")), "{error}");
    }
}

#[test]
fn sheets_lie_in_the_chapter_s_folder() {
    let folder = tempfile::tempdir().unwrap();
    let common = Common { out: Some(folder.path().into()), ..Common::default() };
    let mut chapter = Chapter::start("ch15_sample_images", &common).unwrap();
    let device = candle_core::Device::Cpu;
    let [one, other] = [1, 2].map(|seed| standard_normal((3, 4, 5, 1), &mut rng(seed), &device).unwrap());
    chapter.sheet("all.png", 3, &[&one, &other]).unwrap();
    let batches = [("one".to_owned(), one.clone()), ("other".to_owned(), other.clone())];
    chapter.sheet_of_rows("rows.png", 2, &batches).unwrap();
    chapter.sheet_of_columns("columns.png", 2, &batches).unwrap();
    chapter.film("film.gif", 3, &[one.clone(), other.clone()], 50).unwrap();
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let png = |columns, images: &[Tensor]| {
        ImageGrid::new(columns).draw(&Tensor::cat(images, 0).unwrap()).unwrap().png().unwrap()
    };
    assert!(file("all.png") == png(3, &[one.clone(), other.clone()]));
    let first = |x: &Tensor| x.narrow(0, 0, 2).unwrap();
    let grid = || ImageGrid::new(2);
    let rows = Tensor::cat(&[first(&one), first(&other)], 0).unwrap();
    assert!(file("rows.png") == grid().row_labels(["one", "other"]).draw(&rows).unwrap().png().unwrap());
    let columns = strip(&[first(&one), first(&other)]).unwrap();
    let columns = grid().column_labels(["one", "other"]).draw(&columns).unwrap();
    assert!(file("columns.png") == columns.png().unwrap());
    assert!(file("film.gif") == ImageGrid::new(3).gif(&[one, other], 50).unwrap());
}
