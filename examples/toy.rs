//! From points to a picture: trains a DDPM on a 2-D data set, draws new points, plots both into `out/toy`.
//!
//! `cargo run --example toy` takes half a minute on two cores; `-- swiss-roll 15000` names another data set, and more steps.
use ddpm::{
    course,
    data::{Dataset, DatasetName},
    forward::{diffuse, standard_normal},
    metrics::{largest, sliced_wasserstein},
    reverse::FixedVariance,
    sampler::{ancestral, sample},
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ddpm_page::{
    bounds::{TRAINING_STEPS, whole},
    plot::film_strip,
    report::Progress,
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let name: DatasetName =
        arguments.next().map_or(Ok(DatasetName::Moons), |name| name.to_string_lossy().parse())?;
    let bounds = whole(1..=TRAINING_STEPS);
    let steps = arguments.next().map_or(Ok(4000), |steps| bounds.read("the number of steps", &steps))?;

    let (schedule, mut rng) = (Schedule::linear_scaled(200)?, StdRng::seed_from_u64(0));
    let data = Dataset::named(name, course::within("data/mnist")?)?;
    let x_0 = data.sample(2000, &mut rng); // (N, 2)

    // Algorithm 1
    let config = TrainConfig { steps, ..TrainConfig::default() };
    let (mut progress, draw) = (Progress::new("training", steps), |n, rng: &mut StdRng| data.sample(n, rng));
    let trained = Trainer::<f32>::new(&schedule, config, &mut rng)?.run(&mut rng, draw, |report| {
        progress.note(format!("loss {:.3}", report.loss));
        progress.advance(1);
    })?;

    // Algorithm 2
    let clip = largest(x_0.iter().map(|x| x.abs()));
    let denoiser = NetworkDenoiser::of(&schedule, &trained);
    let noise = standard_normal(2000, 2, &mut rng);
    let x_t = diffuse(&x_0, schedule.alpha_bar(200), &noise);
    let chain = ancestral(&schedule, FixedVariance::Beta, Some(clip));
    let drawn = sample(&chain, &denoiser, noise, &mut rng, |_, _| ());

    let floor = sliced_wasserstein(&x_0, &data.sample(2000, &mut rng), 50);
    println!("distance from the data: {:.3}", sliced_wasserstein(&x_0, &drawn, 50));
    println!("of other points of the data: {floor:.3}");
    let frames = [("data, x_0", x_0), ("noised, x_T", x_t), ("drawn", drawn)];
    film_strip(&name.to_string(), &frames.map(|(title, points)| (title.to_owned(), points)), 3.0)
        .save("out/toy", &name.to_string())?;
    println!("plot: out/toy/{name}.png");
    Ok(())
}
