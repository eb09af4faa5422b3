//! ch15_sample_images: how are images drawn: Algorithm 2, DDIM, and what else can the chain do?

use anyhow::Result;
use candle_core::Tensor;
use clap::Parser;
use ddpm::{metrics::StandardError, reverse::FixedVariance, sampler::Step};
use ddpm_page::plot::{Figure, Panel};
use ddpm_page::report::{Chapter, Checks, Common, Sweep, Table, catalogue};
use ddpm_unet::{
    denoiser::CallCounter,
    images::{Collection, statistics},
    program::{self, Drawing, DrawingArguments, DrawingNetwork, Sheets},
    sample::{self, Known, LatentMoments, NormalPixels, PixelPair, PixelStats, Sampler, SamplingPlan},
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
    denoising(&mut chapter, &network, &images)?;
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
    chapter.sheet("film.png", times.len() + 1, &[film.pairs(&times, 3)?])?;
    chapter.film("chain.gif", 4, &film.states(&more), 80)?;
    chapter.say(format!(
        "{plan}. In pairs of rows: x_t, and what the network makes of it, x̂_0. From left to right t = {}, 0.",
        times.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    ));
    chapter.checks(Checks::new("What it costs").exactly("calls of the network", calls, film.calls()));
    let panel = Panel::new("").axes("t", "pixels outside ±1.05, in %").line("", film.outside(&more)?);
    let figure = Figure::new("The predicted image, before it is clipped").panel(panel).panel_size(720, 300);
    Ok(chapter.figure(&figure, "outside")?)
}

fn rules(chapter: &mut Chapter, network: &DrawingNetwork) -> Result<()> {
    chapter.section("Rules that hold exactly");
    let noise = network.noise(4, &mut chapter.stream(2))?;
    let counter = CallCounter::new(&network.denoiser);
    let ddim = network.steps(DDIM)?;
    let first = program::draw(&ddim, &counter, &noise, &mut chapter.stream(2))?;
    let drawn = |steps: &[Step], stream| network.draw(steps, &noise, &mut chapter.stream(stream));
    let change = |steps: &[Step], a, b| statistics::largest_difference(&drawn(steps, a)?, &drawn(steps, b)?);
    let (ancestral, noisy) = (network.steps(DDPM)?, network.steps(Sampler::Ddim(1.0))?);
    let last = change(&ancestral[ancestral.len() - 1..], 3, 4)?;
    let alone = network.draw(&ddim, &noise.narrow(0, 1, 1)?, &mut chapter.stream(2))?;
    let alone = statistics::largest_difference(&first.narrow(0, 1, 1)?, &alone)?;
    chapter.checks(
        Checks::new("Samplers")
            .exactly("calls of the network by DDIM", ddim.len(), counter.calls())
            .exactly("another generator, Algorithm 2’s last step: change", 0.0, last)
            .exactly("another generator, DDIM with η = 0: change", 0.0, change(&ddim, 2, 5)?)
            .at_least("another generator, DDIM with η = 1: change", 0.1, change(&noisy, 6, 7)?)
            .judged_if(network.judged && noisy.len() > 1) // the last step draws no noise
            .close("an image alone, and among others: change", 0.0, alone, 1e-3),
    );
    Ok(())
}

fn few_steps(chapter: &mut Chapter, network: &DrawingNetwork) -> Result<()> {
    chapter.section("What few steps cost, where everything is known");
    let (schedule, calls) = (network.schedule(), network.plan.calls);
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
    let rng = &mut chapter.stream(8);
    let mut checks = Checks::new(format!("The same by sampling: 32,000 pixels, {calls} steps"));
    for sampler in SAMPLERS {
        let predicted = pixels.variance_drawn(sampler, schedule, calls)?;
        let measured = pixels.variance_measured(sampler, schedule, calls, 500, rng, &network.device)?;
        let rounding = if predicted > 1e-3 { 0.0 } else { 1e-6 }; // 32-bit numbers are no finer
        let error = StandardError::from(predicted * (2.0f64 / 32_000.0).sqrt()).besides(rounding);
        checks = checks.within(format!("{sampler}: variance"), predicted, measured, error);
    }
    chapter.checks(checks);
    Ok(())
}

fn variances(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("Which variance, and clipped or not?");
    let (count, mut sheet) = (chapter.pick(32, 8), Vec::new());
    let noise = network.noise(count, &mut chapter.stream(9))?;
    let test = images.first_unseen(count.max(500), &network.device)?;
    let mut table =
        Table::new(format!("{count} images, {} steps", network.plan.calls), "", PixelStats::COLUMNS)
            .row("test images", PixelStats::of(&test)?.row());
    for sampler in SAMPLERS {
        for (clipping, clip) in [("", None), (", x̂_0 clipped", Some(1.0))] {
            let steps = SamplingPlan { sampler, clip, ..network.plan }.steps(network.schedule())?;
            let drawn = network.draw(&steps, &noise, &mut chapter.stream(10))?;
            let label = format!("{sampler}{clipping}").replace("Algorithm 2, ", "");
            table = table.row(label, PixelStats::of(&drawn)?.row());
            sheet.push(drawn);
        }
    }
    chapter.table(table.note("grey: within ±0.9; the same x_T and the same generator in every row"));
    chapter.sheet_of_rows("variances.png", 16, &sheet)
}

fn there_and_back(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("From image to noise and back");
    let (top, x_0) = (sample::encoding_end(network.schedule()), images.first_unseen(8, &network.device)?);
    let noise = network.noise(x_0.dim(0)?, &mut chapter.stream(11))?;
    let (mut sheet, mut moments) = (vec![x_0.clone()], Vec::new());
    let counts = program::up_to(top, chapter.pick(&[5, 10, 20, 50, 100, 200][..], &[5, 20]));
    let header = ["variance of the noise", "root mean squared error", "PSNR in dB"];
    let errors = Sweep::over("steps", counts, header, |count: usize| -> Result<_> {
        let [latent, back] = network.round_trip(&x_0, count)?;
        let error = sample::mean_squared_error(&back, &x_0)?;
        moments.push((count.to_string(), LatentMoments::of(&latent, &x_0)?.row()));
        sheet.extend([latent.clone(), back]);
        Ok([statistics::mean_square(&latent)?, error.sqrt(), sample::psnr(error)])
    })?;
    moments.push(("standard normal noise".into(), LatentMoments::of(&noise, &x_0)?.row()));
    let title = format!("{} test images, encoded by DDIM up to t = {top} and decoded again", x_0.dim(0)?);
    let note = format!("beyond t = {top} ᾱ_t is less than {}", sample::LEAST_ALPHA_BAR);
    chapter.table(errors.table(title).note(note));
    if moments.iter().all(|(_, row)| row.iter().all(|x| x.is_finite())) {
        let note = "ink: pixels of the image above 0; off ink: its black pixels, −1; neighbours: beside or below one another";
        let table = Table::new("Are the encodings noise?", "steps", LatentMoments::COLUMNS);
        chapter.table(table.rows(moments).note(note));
    } else {
        chapter.say("These images have no black ground, so encodings cannot be compared on ink and off it.");
    }
    let curve = errors.curve("root mean squared error");
    let ((few, coarse), (many, fine)) = (curve[0], curve[curve.len() - 1]);
    let name = format!("error of {many} steps over that of {few}");
    let checks = Checks::new("More steps, nearer").at_most(name, 0.5, fine / coarse);
    chapter.checks(checks.judged_if(network.judged));
    let panel = Panel::new("").axes("steps up and down", "root mean squared error per pixel").log_log();
    let figure = Figure::new("").panel(panel.line("", curve.clone()).points("", curve));
    chapter.figure(&figure.panel_size(720, 320), "there_and_back")?;
    chapter.sheet_of_rows("there_and_back_images.png", 8, &sheet)
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
    many_pairs(chapter, network)?;
    let walks = [walk(slerp, &from, &to, columns)?, walk(straight, &from, &to, columns)?];
    let drawn = network.draw(&network.steps(DDIM)?, &Tensor::cat(&walks, 0)?, rng)?;
    let (between, more) = network.ways_between(&images.first_unseen(4, &network.device)?, columns)?;
    chapter.sheet("interpolation.png", columns, &[vec![drawn], between].concat())?;
    chapter.say(format!(
        "Rows 1 and 2: between two noises, on the circle. Rows 3 and 4: the same on the straight line. {more}",
    ));
    Ok(())
}

/// What a straight line does to many pairs, where one pair shows little.
fn many_pairs(chapter: &mut Chapter, network: &DrawingNetwork) -> Result<()> {
    let (rng, pairs) = (&mut chapter.stream(17), chapter.pick(200, 10));
    let (from, to) = (network.noise(pairs, rng)?, network.noise(pairs, rng)?);
    let (circle, line) = (slerp(&from, &to, 0.5)?, straight(&from, &to, 0.5)?);
    let all =
        [("one end", &from), ("half-way on the circle", &circle), ("half-way on the straight line", &line)];
    let header = ["mean of pixels", "± ", "grey, in %", "variance between images"];
    let rows = Sweep::over("", all, header, |(_, noise)| -> Result<_> {
        let drawn = network.draw(&network.steps(DDIM)?, noise, rng)?;
        let ([mean, grey, _], error) = (PixelStats::of(&drawn)?.row(), statistics::error_of_mean(&drawn)?);
        Ok([mean, error, grey, statistics::variance_between(&drawn)?])
    })?;
    let note = "grey: within ±0.9; variance between images: of each pixel, averaged";
    chapter.table(rows.table(format!("{pairs} pairs of noises, decoded")).note(note));
    Ok(())
}

fn denoising(chapter: &mut Chapter, network: &DrawingNetwork, images: &Collection) -> Result<()> {
    chapter.section("Denoising: one step or a chain?");
    let (rng, x_0) = (&mut chapter.stream(13), images.first_unseen(chapter.pick(16, 8), &network.device)?);
    let (count, schedule, mut sheet) = (x_0.dim(0)?, network.schedule(), vec![x_0.clone()]);
    let times = program::quarters(schedule.steps());
    let header = ["x_t/√ᾱ_t", "x̂_0 in one step", "Algorithm 2, σ² = β, from t", "DDIM from t"];
    let decibels = Sweep::over("t", times, header, |t: usize| -> Result<_> {
        let x_t = diffuse(schedule, t, &x_0, &network.noise(count, rng)?)?;
        let [chain, ddim] = [DDPM, DDIM].map(|sampler| network.draw_from(t, sampler, &x_t, rng));
        let noisy = (&x_t / schedule.alpha_bar(t).sqrt())?;
        let all = [noisy, network.guess(t, &x_t)?, chain?, ddim?];
        sheet.extend(all.clone());
        Ok(sample::psnrs(all.each_ref(), &x_0)?)
    })?;
    chapter.table(decibels.table(format!("PSNR in dB, {count} test images")).digits(4));
    if network.judged && !chapter.quick() {
        let title = "A chain that draws from p(x_0 | x_t) is 10 log₁₀ 2 below the mean of p(x_0 | x_t)";
        chapter.checks(Checks::new(title).each(decibels.rows(), |checks, (t, [_, one, chain, _])| {
            let name = format!("t = {t}: one step above the chain, in dB");
            checks.close(name, 10.0 * 2f64.log10(), one - chain, 1.5)
        }));
    }
    chapter.sheet_of_rows("denoising.png", 8, &sheet)
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
    chapter.table(table.row("the truth", [truth, scatter, 0.0]).rows(moments.rows()));
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
    let (mut sheet, mut checks) = (vec![x_0.clone(), known.seen()?], Checks::new("The known pixels"));
    let header = ["roughness of the seam", "calls of the network"];
    let mut table = Table::new(format!("{count} test images, half of each unknown"), "repeats", header)
        .row("the images themselves", [sample::seam_roughness(&x_0, &known.mask)?, 0.0]);
    for repeats in [1, chapter.pick(5, 2)] {
        let (drawn, calls) = network.fill_in(&known, repeats, &mut chapter.stream(15))?;
        let change = known.largest_change(&drawn)?;
        checks = checks.exactly(format!("{repeats} repeats: largest change"), 0.0, change);
        table = table.row(repeats.to_string(), [sample::seam_roughness(&drawn, &known.mask)?, calls as f64]);
        sheet.push(drawn);
    }
    chapter.table(table);
    chapter.checks(checks);
    chapter.sheet_of_rows("inpainting.png", count, &sheet)?;
    chapter.say("From above: the image, what is known of it, replacement alone, replacement with repeats.");
    Ok(())
}
