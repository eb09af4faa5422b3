//! ch15_sample_images: how are images drawn: Algorithm 2, DDIM, and what else can the chain do?

use anyhow::Result;
use candle_core::Tensor;
use clap::Parser;
use ddpm::reverse::FixedVariance;
use ddpm_page::plot::{Figure, Panel};
use ddpm_page::report::{Cell, Chapter, Checks, Common, Sweep, Table, catalogue};
use ddpm_unet::{
    images::{Collection, grid::ImageGrid, statistics},
    program::{self, Drawing, DrawingArguments, DrawingNetwork, Sheets, WAYS, Way},
    sample::{self, Known, LatentMoments, NormalPixels, PixelPair, Sampler, SamplingPlan},
    sample::{forward::diffuse, slerp, straight, walk},
};

#[derive(Parser)]
#[command(about = catalogue::question("ch15_sample_images"), after_help = catalogue::running_time("ch15_sample_images"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    drawing: DrawingArguments,
}

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;
const DDIM: Sampler = Sampler::Ddim(0.0);
const DDPM: Sampler = Sampler::Ddpm(FixedVariance::Beta);
const SAMPLERS: [Sampler; 3] = [DDPM, Sampler::Ddpm(FixedVariance::Posterior), DDIM];

fn main() -> Result<()> {
    let Arguments { common, drawing } = ddpm_page::bounds::parse();
    let Drawing { network, images, count } = drawing.open(&common)?;
    let mut chapter = Chapter::start("ch15_sample_images", &common)?;
    chapter.say(format!("It runs {}.", network.why));
    from_noise(&mut chapter, &network, count)?;
    film(&mut chapter, &network)?;
    rules(&mut chapter, &network)?;
    few_steps(&mut chapter, &network)?;
    variances(&mut chapter, &network, &images)?;
    there_and_back(&mut chapter, &network, &images)?;
    interpolation(&mut chapter, &network, &images)?;
    mixed_at_t(&mut chapter, &network, &images)?;
    denoising(&mut chapter, &network, &images)?;
    left_open(&mut chapter, &network, &images)?;
    inpainting_of_two_pixels(&mut chapter, &network)?;
    inpainting(&mut chapter, &network, &images)?;
    Ok(chapter.finish()?)
}

fn from_noise(chapter: &mut Chapter, network: &DrawingNetwork, count: usize) -> Result<()> {
    chapter.section("From noise to images");
    let noise = network.noise(count, &mut chapter.stream(0))?;
    for (file, sampler) in [("samples.png", network.plan.sampler), ("samples_ddim.png", DDIM)] {
        let drawn = network.draw(&network.steps(sampler)?, &noise, &mut chapter.stream(18))?;
        chapter.sheet(file, if count >= 32 { 16 } else { 8 }, &[drawn])?;
        chapter.say(format!("{count} images: {}.", SamplingPlan { sampler, ..network.plan }));
        if sampler == DDIM {
            break; // the reader’s own choice
        }
    }
    chapter.say(format!("{network}; none of the images is chosen."));
    Ok(())
}

fn film(chapter: &mut Chapter, network: &DrawingNetwork) -> Result<()> {
    chapter.section("The chain, as a film");
    let (rng, calls) = (&mut chapter.stream(1), chapter.pick(usize::MAX, 20).min(network.schedule().steps()));
    let plan = SamplingPlan { sampler: Sampler::default(), calls, ..network.plan };
    let film = network.film(&plan, 8, rng)?;
    let times = film.strip_times(11);
    let more = [film.even_times(24), times.clone()].concat();
    let labels = times.iter().map(|t| format!("t = {t}")).chain(["x₀".into()]);
    let grid = ImageGrid::new(times.len() + 1).row_labels(["xₜ", "guess"].repeat(3)).column_labels(labels);
    chapter.labelled_sheet("film.png", grid, &film.pairs(&times, 3)?)?;
    chapter.film("chain.gif", 4, &film.states(&more), 80)?;
    chapter.say(format!(
        "{plan}. In pairs of rows: x_t, and the network’s guess at its end, x̂_0, at the same t.",
    ));
    chapter.checks(Checks::new("What it costs").exactly("calls of the network", calls, film.calls()));
    let panel = Panel::new("").axes("t", "pixels outside ±1.05, in %").line("", film.outside(&more)?);
    let figure = Figure::new("The predicted image, before it is clipped").panel(panel).panel_size(720, 300);
    Ok(chapter.figure(&figure, "outside")?)
}

fn rules(chapter: &mut Chapter, network: &DrawingNetwork) -> Result<()> {
    chapter.section("Rules that hold exactly");
    let checks = network.rules(|number| chapter.stream(number))?;
    chapter.checks(checks);
    Ok(())
}

fn few_steps(chapter: &mut Chapter, network: &DrawingNetwork) -> Result<()> {
    chapter.section("What few steps cost, where everything is known");
    let schedule = network.schedule();
    let pixels = NormalPixels { mean: 0.2, variance: 0.1 };
    let names = SAMPLERS.map(|sampler| sampler.to_string());
    let counts = program::up_to(schedule.steps(), &[5, 10, 20, 50, 100, 250, 1000]);
    let ratios = Sweep::over("steps", counts, names.clone(), |count| -> Result<_> {
        let [beta, posterior, ddim] = SAMPLERS.map(|sampler| pixels.variance_drawn(sampler, schedule, count));
        Ok([beta?, posterior?, ddim?].map(|drawn| drawn / pixels.variance))
    })?;
    let title = format!("Variance drawn over the data’s, for pixels {pixels} and an exact denoiser");
    let note = "computed step by step from the samplers’ factors, without a random number";
    chapter.table(ratios.table(title).note(note));
    let lines = names.map(|name| (name.replace("β̃", "posterior variance"), ratios.curve(&name)));
    let panel = Panel::new("").axes("steps", "variance drawn / variance of the data").log_x();
    let figure = Figure::new("").panel(panel.horizontal("", 1.0).lines(lines));
    chapter.figure(&figure.panel_size(720, 320), "few_steps")?;
    let checks = network.variances_by_sampling(pixels, &SAMPLERS, &mut chapter.stream(8))?;
    chapter.checks(checks);
    Ok(())
}

fn variances(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("Which variance, and clipped or not?");
    let count = chapter.pick(32, 8);
    let noise = network.noise(count, &mut chapter.stream(9))?;
    let test = images.first_unseen(count.max(500), &network.device)?;
    let (table, sheet) = network.clipped_and_not(&SAMPLERS, &noise, &test, || chapter.stream(10))?;
    chapter.table(table);
    chapter.sheet_of_rows("variances.png", 12, &sheet)
}

fn there_and_back(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("From image to noise and back");
    let (top, x_0) = (sample::encoding_end(network.schedule()), images.first_unseen(8, &network.device)?);
    let noise = network.noise(x_0.dim(0)?, &mut chapter.stream(11))?;
    let (mut sheet, mut moments) = (vec![("image".to_owned(), x_0.clone())], Vec::new());
    let counts = program::up_to(top, chapter.pick(&[5, 10, 20, 50, 100, 200][..], &[5, 20]));
    let header = ["variance of the noise", "root mean squared error", "PSNR in dB"];
    let errors = Sweep::over("steps", counts, header, |count: usize| -> Result<_> {
        let [latent, back] = network.round_trip(&x_0, count)?;
        let error = sample::mean_squared_error(&back, &x_0)?;
        moments.push((count.to_string(), LatentMoments::of(&latent, &x_0)?));
        sheet.extend([(format!("{count}:\nlatent"), latent.clone()), (format!("{count}:\nback"), back)]);
        Ok([statistics::mean_square(&latent)?, error.sqrt(), sample::psnr(error)])
    })?;
    moments.push(("standard normal noise".into(), LatentMoments::of(&noise, &x_0)?));
    let title = format!("{} test images, encoded by DDIM up to t = {top} and decoded again", x_0.dim(0)?);
    let note = format!("beyond t = {top} ᾱ_t is less than {}", sample::LEAST_ALPHA_BAR);
    chapter.table(errors.table(title).note(note));
    match LatentMoments::table(moments) {
        Some(table) => chapter.table(table),
        None => chapter
            .say("These images have no black ground, so encodings cannot be compared on it and off it."),
    }
    let curve = errors.curve("root mean squared error");
    let ((few, coarse), (many, fine)) = (curve[0], curve[curve.len() - 1]);
    let name = format!("error of {many} steps over that of {few}");
    let checks = Checks::new("More steps, nearer").at_most(name, 0.5, fine / coarse);
    chapter.checks(checks.judged_if(network.judged));
    let panel = Panel::new("").axes("steps up and down", "root mean squared error per pixel").log_log();
    let figure = Figure::new("").panel(panel.line("", curve.clone()).points("", curve));
    chapter.figure(&figure.panel_size(720, 320), "there_and_back")?;
    chapter.sheet_of_columns("there_and_back_images.png", 6, &sheet)
}

fn interpolation(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("Between two images");
    let (rng, columns) = (&mut chapter.stream(12), chapter.pick(11, 5));
    let (from, to) = (network.noise(2, rng)?, network.noise(2, rng)?);
    let (pixels, half) = (from.elem_count() as f64, |x_t| statistics::mean_square(&x_t));
    let (circle, line) = (half(slerp(&from, &to, 0.5)?)?, half(straight(&from, &to, 0.5)?)?);
    chapter.checks(
        Checks::new("Half-way between two noises: variance of the pixels")
            .within("on the circle", 1.0, circle, (1.0 / pixels).sqrt()) // the means of two lengths
            .within("on the straight line", 0.5, line, 0.5 * (2.0 / pixels).sqrt()),
    );
    let table = network.half_way_between_noises(chapter.pick(200, 10), &mut chapter.stream(17))?;
    chapter.table(table);
    let walks = [walk(slerp, &from, &to, columns)?, walk(straight, &from, &to, columns)?];
    let drawn = network.draw(&network.steps(DDIM)?, &Tensor::cat(&walks, 0)?, rng)?;
    let (between, more) = network.ways_between(&images.first_unseen(4, &network.device)?, columns)?;
    let names =
        ["circle", "circle", "straight", "straight", "circle, of\ntest images", "circle, of\ntest images"];
    let drawn = Tensor::cat(&[vec![drawn], between].concat(), 0)?;
    chapter.labelled_sheet("interpolation.png", ImageGrid::of_shares(columns).row_labels(names), &drawn)?;
    chapter.say(format!(
        "Rows 1 and 2: between two noises, on the circle. Rows 3 and 4: the same on the straight line. {more}",
    ));
    Ok(())
}

/// The paper's interpolation: two images in x_t, mixed there.
fn mixed_at_t(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("Mixed at t, as in the paper");
    let (rng, columns, steps) = (&mut chapter.stream(20), chapter.pick(9, 3), network.schedule().steps());
    let x_0 = images.first_unseen(2 * chapter.pick(32, 2), &network.device)?;
    let (half, pairs) = ((steps / 2).max(1), x_0.dim(0)? / 2);
    if pairs == 0 {
        chapter.say("There is one image alone, and nothing to mix it with.");
        return Ok(());
    }
    let (a, b) = (x_0.narrow(0, 0, pairs)?, x_0.narrow(0, pairs, pairs)?);
    let (eps_a, eps_b) = (network.noise(pairs, rng)?, network.noise(pairs, rng)?);
    chapter.table(network.half_way_between_images(half, [&a, &b], [&eps_a, &eps_b], rng)?);
    let [a, b, eps_a, eps_b] = [&a, &b, &eps_a, &eps_b].map(|x| x.narrow(0, 0, 1));
    let (ends, noises) = ([&a?, &b?], [&eps_a?, &eps_b?]);
    let mut mixed = |t, way: Way| network.mixed(t, ends, noises, way, columns, rng);
    let of_ways = WAYS.into_iter().map(|(_, way)| mixed(half, way)).collect::<Result<Vec<_>, _>>()?;
    let grid = ImageGrid::of_shares(columns).row_labels(WAYS.map(|(name, _)| name));
    chapter.labelled_sheet("mixed.png", grid, &Tensor::cat(&of_ways, 0)?)?;
    let times: Vec<usize> = (0..=8).rev().map(|eighth| steps * eighth / 8).collect();
    let of_times = times.iter().map(|&t| mixed(t, straight)).collect::<Result<Vec<_>, _>>()?;
    let grid = ImageGrid::of_shares(columns).row_labels(times.iter().map(|t| format!("t = {t}")));
    chapter.labelled_sheet("coarse_to_fine.png", grid, &Tensor::cat(&of_times, 0)?)
}

fn denoising(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("Denoising: one step or a chain?");
    let (rng, x_0) = (&mut chapter.stream(13), images.first_unseen(chapter.pick(16, 8), &network.device)?);
    let (times, mut sheet) =
        (program::quarters(network.schedule().steps()), vec![("image".into(), x_0.clone())]);
    let header = ["x_t/√ᾱ_t", "x̂_0 in one step", "Algorithm 2, σ² = β, from t", "DDIM from t"];
    let decibels = Sweep::over("t", times, header, |t: usize| -> Result<_> {
        let all = network.cleaned(t, &x_0, rng)?;
        let names = ["noisy", "one step", "Alg. 2", "DDIM"].map(|name| format!("t = {t}\n{name}"));
        sheet.extend(names.into_iter().zip(all.clone()));
        Ok(sample::psnrs(all.each_ref(), &x_0)?)
    })?;
    let count = x_0.dim(0)?;
    chapter.table(decibels.table(format!("PSNR in dB, {count} test images")).digits(4));
    if network.judged && !chapter.quick() {
        let title = "A chain that draws from p(x_0 | x_t) is 10 log₁₀ 2 below the mean of p(x_0 | x_t)";
        chapter.checks(Checks::new(title).each(decibels.rows(), |checks, (t, [_, one, chain, _])| {
            let name = format!("t = {t}: one step above the chain, in dB");
            checks.close(name, 10.0 * 2f64.log10(), one - chain, 1.5)
        }));
    }
    chapter.sheet_of_columns("denoising.png", 6, &sheet)
}

fn left_open(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("What x_t leaves open");
    let (rng, draws, steps) = (&mut chapter.stream(19), chapter.pick(8, 3), network.schedule().steps());
    let x_0 = images.first_unseen(chapter.pick(64, 8), &network.device)?;
    let (count, few, mut sheet) = (x_0.dim(0)?, x_0.dim(0)?.min(4), Vec::new());
    let times = [program::quarters(steps), vec![steps]].concat();
    let header = ["variance of the draws", "± ", "squared error of x̂_0", "±"];
    let rows = Sweep::over("t", times.clone(), header, |t: usize| -> Result<_> {
        let x_t = diffuse(network.schedule(), t, &x_0, &network.noise(count, rng)?)?;
        let (row, shown) = network.left_open(t, [&x_0, &x_t], [few, draws], rng)?;
        sheet.extend([x_0.narrow(0, 0, 1)?, shown]);
        Ok(row)
    })?;
    let title = format!("{draws} draws from each of {few} x_t, and the guess at {count}; per pixel");
    chapter.table(rows.table(title).note("of exact draws and an exact guess the two are one number"));
    let columns = ["image", "xₜ"].map(str::to_owned).into_iter();
    let grid = ImageGrid::new(draws + 2).row_labels(times.iter().map(|t| format!("t = {t}")));
    let grid = grid.column_labels(columns.chain((1..=draws).map(|draw| format!("draw {draw}"))));
    chapter.labelled_sheet("shared.png", grid, &Tensor::cat(&sheet, 0)?)
}

fn inpainting_of_two_pixels(chapter: &mut Chapter, network: &DrawingNetwork) -> Result<()> {
    chapter.section("Inpainting two pixels, where the answer is known");
    let (rng, count) = (&mut chapter.stream(14), chapter.pick(20_000, 4000));
    let (pair, left) = (PixelPair { variance: 0.25, correlation: 0.8 }, 0.8);
    let [truth, scatter] = pair.right_given(f64::from(left));
    let header = ["mean", "variance", "calls of the denoiser"];
    let moments = Sweep::over("repeats", [1, 2, 4, 8, 16], header, |repeats: usize| {
        pair.right_inpainted(left, repeats, count, rng, &network.device)
    })?;
    let known = format!("Two pixels of correlation {}, the left one is {left}", pair.correlation);
    let table = Table::new(format!("{known}: the right one’s moments"), "repeats", header);
    let cells =
        |[mean, variance, calls]: [f64; 3]| [mean.into(), variance.into(), Cell::from(calls as usize)];
    let table = table.row("the truth", [truth.into(), scatter.into(), Cell::from("")]);
    chapter.table(table.rows(moments.rows().map(|(repeats, row)| (repeats, cells(row)))));
    let mean = moments.curve("mean");
    chapter.checks(
        Checks::new("The unknown pixel’s mean")
            .at_most("replacement alone, over the truth", 0.8, mean[0].1 / truth)
            .close("16 repeats, over the truth", 1.0, mean[4].1 / truth, 0.08),
    );
    Ok(())
}

fn inpainting(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("Inpainting");
    let x_0 = images.first_unseen(chapter.pick(16, 4), &network.device)?;
    let (count, known) = (x_0.dim(0)?, Known::halves(&x_0)?);
    let mut sheet = vec![("image".to_owned(), x_0.clone()), ("known".into(), known.seen()?)];
    let mut checks = Checks::new("The known pixels");
    let header = ["roughness of the seam", "calls of the network"];
    let mut table = Table::new(format!("{count} test images, half of each unknown"), "repeats", header)
        .row("the images themselves", [Cell::from(sample::seam_roughness(&x_0, &known.mask)?), "".into()]);
    for repeats in [1, chapter.pick(5, 2)] {
        let (drawn, calls) = network.fill_in(&known, repeats, &mut chapter.stream(15))?;
        let change = known.largest_change(&drawn)?;
        checks = checks.exactly(format!("{repeats} repeats: largest change"), 0.0, change);
        let roughness = sample::seam_roughness(&drawn, &known.mask)?;
        table = table.row(repeats.to_string(), [Cell::from(roughness), calls.into()]);
        let name = if repeats == 1 { "replaced".into() } else { format!("{repeats} repeats") };
        sheet.push((name, drawn));
    }
    chapter.table(table);
    chapter.checks(checks);
    chapter.sheet_of_rows("inpainting.png", count.min(12), &sheet)
}
