//! Figures: what is written, what it says, and what cannot be drawn.

use ddpm_page::{
    Error,
    plot::{
        BLACK, Figure, GREY, Heatmap, Panel, Paths, Series, curve, film_frame, film_strip, pairs,
        piecewise_means, points_over, points_panel, save_gif,
    },
};
use ndarray::{Array2, array};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::StandardNormal;
use std::{collections::HashSet, fs, io::Cursor};

type Pixels = (u32, u32, Vec<u8>);

fn normal_points(count: usize) -> Array2<f64> {
    let mut rng = StdRng::seed_from_u64(0);
    Array2::from_shape_simple_fn((count, 2), || rng.sample(StandardNormal))
}

#[test]
fn piecewise_means_keep_the_mean_of_all() {
    let losses: Vec<f64> = (0..12).map(|step| f64::from(step * step)).collect();
    for piece in [1, 3, 4, 12] {
        let means = piecewise_means(&losses, piece);
        assert_eq!(means.len(), 12 / piece);
        assert_eq!(means.last().unwrap().0, 12.0, "the last piece ends with the last step");
        let mean = means.iter().map(|(_, mean)| mean).sum::<f64>() / means.len() as f64;
        assert!((mean - 506.0 / 12.0).abs() < 1e-9, "Σ n² from 0 to 11 is 506");
    }
}

/// One panel of every kind.
fn gallery() -> Figure {
    let line = Panel::new("schedules")
        .axes("t", "ᾱ_t")
        .line("linear", curve((1.0, 1000.0), 200, |t| 1e-4 + 2e-5 * t))
        .dashed("cosine", curve((1.0, 1000.0), 200, |t| 1.0 / t))
        .horizontal("β = 10⁻³", 1e-3)
        .log_x()
        .log_y();
    let bars = Panel::new("x_T")
        .axes("x", "p(x)")
        .histogram("samples", normal_points(500).column(0).iter().copied(), 20, (-4.0, 4.0))
        .line("N(0, 1)", curve((-4.0, 4.0), 50, |x| (-x * x / 2.0).exp()))
        .band("±", curve((-4.0, 4.0), 9, f64::cos).into_iter().map(|(x, y)| (x, y - 0.1, y + 0.1)))
        .vertical("", 0.0);
    let spin = |(x, y): (f64, f64)| [(x, y), (x - 0.2 * y, y + 0.2 * x)];
    let points = Panel::new("points")
        .points("a < b & c", pairs(normal_points(50).view()))
        .series(Series::arrows("dx/dt", pairs(normal_points(20).view()).into_iter().map(spin)))
        .equal();
    let map = Array2::from_shape_fn((8, 12), |(row, column)| (row * column) as f64);
    let map = Panel::new("map").heatmap(Heatmap::new(map, (0.0, 12.0), (0.0, 8.0)).label("row · column"));
    Figure::new("Every kind").panels([line, bars, points, map]).columns(2)
}

fn decode_png(bytes: &[u8]) -> Pixels {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    (info.width, info.height, pixels)
}

/// The parameter and the value that an error complains about.
#[track_caller]
fn complaint(figure: &Figure) -> (&'static str, String) {
    match figure.to_svg() {
        Err(Error::Course(ddpm::Error::Parameter { name, value, .. })) => (name, value),
        Err(other) => panic!("expected a complaint about a parameter, not: {other}"),
        Ok(_) => panic!("expected a complaint, not a picture"),
    }
}

/// All texts of a figure, each as it reads, whatever stands in spans of its own.
fn texts_of(svg: &str) -> HashSet<String> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts
        .map(|node| node.descendants().filter(|part| part.is_text()).filter_map(|part| part.text()).collect())
        .collect()
}

/// What is lowered in the x axis' label.
fn subscripts(label: &str) -> Vec<String> {
    let svg =
        Figure::new("").panel(Panel::new("").points("", [(0.0, 0.0)]).axes(label, "")).to_svg().unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let lowered =
        document.descendants().filter(|node| node.has_attribute("dy") && node.has_attribute("font-size"));
    lowered.filter_map(|node| node.text().map(str::to_owned)).collect()
}

#[test]
fn subscripts_are_lowered_however_they_are_written() {
    for (label, expected) in [
        ("x_T", vec!["T"]),
        ("L_{t−1} in nats", vec!["t−1"]),
        ("q(xₜ₋₁|xₜ, x₀)", vec!["t−1", "t", "0"]),
        ("E‖ε − ε_θ‖²/D, β_max, p_0²", vec!["θ", "max", "0"]),
        ("my_file", vec![]),
        ("x_, _x, x_{t", vec![]),
    ] {
        assert_eq!(subscripts(label), expected, "{label}");
    }
    let png = |label| {
        Figure::new("").panel(Panel::new("").points("", [(0.0, 0.0)]).axes(label, "")).to_png().unwrap()
    };
    assert!(png("x_T") == png("x_{T}") && png("xₜ") == png("x_t") && png("x_T") != png("xT"));
}

/// The number of discs, whose places stand in paths with markers.
fn discs(panel: Panel) -> usize {
    let svg = Figure::new("").panel(panel).to_svg().unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let paths = document.descendants().filter(|node| node.has_attribute("marker-mid"));
    paths.map(|path| path.attribute("d").unwrap().split(' ').count() / 2 - 2).sum()
}

#[test]
fn a_line_through_few_points_shows_them() {
    let points = |count: usize| curve((0.0, 1.0), count, |x| x * x);
    for (count, expected) in [(2, 0), (3, 3), (32, 32), (33, 0)] {
        for (kind, panel) in [
            ("line", Panel::new("").line("", points(count))),
            ("dashed", Panel::new("").dashed("", points(count))),
        ] {
            assert_eq!(discs(panel), expected, "{kind} through {count} points");
        }
        assert_eq!(discs(Panel::new("").series(Series::path("", points(count)))), 0);
    }
    let outside = Panel::new("").line("", points(5)).x_range(0.0, 0.6).y_range(0.0, 1.0);
    assert_eq!(discs(outside), 3, "those at 0, 1/4 and 1/2");
    assert_eq!(discs(Panel::new("").line("a curve", points(5))), 6, "and one in the legend");
}

#[test]
fn error_bars_reach_from_end_to_end() {
    let bars = Series::error_bars("", [(0.5, 0.2, 0.8)]);
    let panel = Panel::new("").series(bars).x_range(0.0, 1.0).y_range(0.0, 1.0);
    let numbers = numbers_in(&Figure::new("").panel(panel.clone()).to_svg().unwrap(), "#0072b2");
    let (xs, ys): (Vec<f64>, Vec<f64>) = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip();
    assert_eq!(xs.len(), 6, "three lines of two ends: {xs:?}");
    assert!(xs[0] == xs[1] && ys[2] == ys[3] && ys[4] == ys[5], "one upright, two level: {xs:?}, {ys:?}");
    assert_eq!(
        (ys[0], ys[1], xs[3] - xs[2], xs[5] - xs[4]),
        (ys[2], ys[4], 32.0, 32.0),
        "4 pixels to each side"
    );
    let line = panel.line("", [(0.0, 0.2), (1.0, 0.8)]);
    let ends = numbers_in(&Figure::new("").panel(line).to_svg().unwrap(), "#e69f00");
    assert_eq!((ends[1], ends[3]), (ys[0], ys[1]), "as high as a line from the one to the other");
    let log = Panel::new("").series(Series::error_bars("", [(1.0, 0.0, 1.0)])).log_y();
    assert_eq!(complaint(&Figure::new("").panel(log)).0, "a point on a logarithmic axis");
}

#[test]
fn an_estimate_is_a_disc_with_its_error_bar_and_a_level_is_a_grey_band() {
    let svg = |panel: Panel| Figure::new("").panel(panel).to_svg().unwrap();
    let bar = Series::error_bars("", [(0.2, 0.75, 1.25)]).color(BLACK);
    let disc = Series::points("five draws", [(0.2, 1.0)]).size(10.0).color(BLACK);
    let by_hand = svg(Panel::new("").series(bar).series(disc));
    assert_eq!(svg(Panel::new("").estimate("five draws", 0.2, [1.0, 0.25], BLACK)), by_hand);
    let band = Series::band("chance", [(1.0, -0.5, 0.5), (9.0, -0.5, 0.5)]).color(GREY);
    let level = Panel::new("").level("chance", (1.0, 9.0), (-0.5, 0.5));
    assert_eq!(svg(level), svg(Panel::new("").series(band)));
}

#[test]
fn a_logarithmic_axis_has_three_ticks_or_more() {
    let ticks = |(from, to): (f64, f64)| {
        let panel = Panel::new("").line("", [(from, 1.0), (to, 2.0)]).log_x().x_range(from, to);
        texts_of(&Figure::new("").panel(panel).to_svg().unwrap())
    };
    for (range, expected) in [
        ((20.0, 1000.0), vec!["20", "50", "100", "200", "500", "1000"]),
        ((5.0, 100.0), vec!["5", "10", "20", "50", "100"]),
        ((1e-6, 1e-1), vec!["10⁻⁶", "10⁻⁴", "10⁻¹"]),
        ((1e-7, 5e-6), vec!["10⁻⁷", "2·10⁻⁷", "5·10⁻⁷", "10⁻⁶", "5·10⁻⁶"]),
    ] {
        let found = ticks(range);
        for tick in expected {
            assert!(found.contains(tick), "{range:?}: no {tick} among {found:?}");
        }
    }
}

#[test]
fn bars_stand_in_groups_over_their_names() {
    let panel = Panel::new("").x_names(["quality", "speed"]).y_range(0.0, 1.0);
    let panel = panel.grouped("a", (0, 2), [0.5, 1.0]).grouped("b", (1, 2), [0.25, 0.75]);
    let shown = format!("{panel:?}");
    for place in ["(0.8, 0.5)", "(1.8, 1.0)", "(1.2, 0.25)", "(2.2, 0.75)"] {
        assert!(shown.contains(place), "no bar at {place} in {shown}");
    }
    let texts = texts_of(&Figure::new("").panel(panel).to_svg().unwrap());
    assert!(texts.contains("quality") && texts.contains("speed") && !texts.contains("1.5"), "{texts:?}");
    let odd = Panel::new("").x_names(["点"]).points("", [(1.0, 1.0)]);
    assert_eq!(complaint(&Figure::new("").panel(odd)).0, "a plot's label");
}

#[test]
fn a_legend_that_says_it_all_stands_once() {
    let panel = |names: &[&str]| {
        let lines = names.iter().map(|name| (*name, curve((0.0, 1.0), 50, |x| x)));
        Panel::new("").lines(lines).horizontal("floor", 0.5)
    };
    let count = |panels: [Panel; 2], name: &str| {
        Figure::new("").panels(panels).to_svg().unwrap().matches(name).count()
    };
    let (few, many) = (["first", "second"], ["first", "second", "third"]);
    assert_eq!(count([panel(&few), panel(&many)], ">first<"), 1);
    assert_eq!(count([panel(&many), panel(&few)], ">third<"), 1);
    assert_eq!(
        count([panel(&["first"]), panel(&["third"])], ">floor<"),
        2,
        "each has what the other has not"
    );
    assert_eq!(count([panel(&["second", "first"]), panel(&few)], ">first<"), 2, "of other colours");
}

#[test]
fn a_pale_map_is_lighter_and_as_ordered() {
    let map = Heatmap::new(array![[0.0, 0.5, 1.0]], (0.0, 3.0), (0.0, 1.0));
    let has = |map: &Heatmap, color: [u8; 3]| {
        let panel = Panel::new("").heatmap(map.clone()).bare();
        let (.., pixels) = decode_png(&Figure::new("").panel(panel).to_png().unwrap());
        pixels.chunks_exact(3).any(|pixel| pixel == color)
    };
    let ([dark, bright], pale) = ([[0x44, 0x01, 0x54], [0xfd, 0xe7, 0x25]], map.clone().pale());
    assert!(has(&map, dark) && has(&map, bright) && !has(&pale, dark) && !has(&pale, bright));
    assert!(has(&pale, [0xa2, 0x80, 0xaa]) && has(&pale, [0xfe, 0xf3, 0x92]), "half of the way to white");
}

#[test]
fn clouds_stand_in_rows_of_three_and_a_cloud_that_has_shrunk_is_seen() {
    let size = |count: usize| {
        let frames: Vec<_> = (0..count).map(|i| (i.to_string(), normal_points(20))).collect();
        let (width, height, _) = decode_png(&film_strip("", &frames, 3.0).to_png().unwrap());
        (width / 2, height / 2)
    };
    assert_eq!([1, 2, 3, 4, 6].map(size), [(300, 320), (600, 320), (720, 260), (720, 200), (720, 520)]);
    let radius = |points: &Array2<f64>| {
        let svg = Figure::new("").panel(points_panel("", points, 3.0)).to_svg().unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let disc = document.descendants().find(|node| node.has_tag_name("circle")).unwrap();
        disc.attribute("r").unwrap().parse::<f64>().unwrap()
    };
    let cloud = normal_points(500);
    assert!(radius(&(0.001 * &cloud)) > 2.0 * radius(&cloud), "all on one spot");
}

#[test]
fn svg_is_well_formed_and_has_its_labels_and_its_font() {
    let svg = gallery().to_svg().unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let texts = texts_of(&svg);
    for label in [
        "Every kind",
        "schedules",
        "t",
        "ᾱt",
        "linear",
        "β = 10⁻³",
        "10⁻³",
        "a < b & c",
        "dx/dt",
        "row · column",
    ] {
        assert!(texts.contains(label), "“{label}” is not among the texts {texts:?}");
    }
    let style = document.descendants().find(|node| node.has_tag_name("style")).unwrap().text().unwrap();
    assert!(
        style.contains("@font-face") && style.contains("url(data:font/woff2;base64,d09GMg"),
        "{:.200}",
        style
    );
}

#[test]
fn svg_stays_inside_its_view_box() {
    let svg = gallery().to_svg().unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let view_box: Vec<f64> = document
        .root_element()
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|n| n.parse().unwrap())
        .collect();
    for text in
        document.descendants().filter(|node| node.has_tag_name("text") && node.attribute("x").is_some())
    {
        let at = |name| text.attribute(name).unwrap().parse::<f64>().unwrap();
        let (x, y) = (at("x"), at("y"));
        assert!(
            (0.0..view_box[2]).contains(&x) && (0.0..view_box[3]).contains(&y),
            "{text:?} stands at {x}, {y}"
        );
    }
}

#[test]
fn svg_of_two_thousand_points_is_small() {
    let svg =
        Figure::new("").panel(Panel::new("").points("", pairs(normal_points(2000).view()))).to_svg().unwrap();
    assert!(svg.len() <= 200_000, "{} bytes", svg.len());
    let elements = roxmltree::Document::parse(&svg).unwrap().descendants().count();
    assert!(elements < 100, "{elements} elements");
}

#[test]
fn png_has_two_pixels_for_one_and_all_colours() {
    let folder = tempfile::tempdir().unwrap();
    let panel = Panel::new("").line("", [(0.0, 0.0), (1.0, 1.0)]).dashed("", [(0.0, 1.0), (1.0, 0.0)]);
    Figure::new("")
        .panel(panel)
        .panel_size(300, 200)
        .save(folder.path().join("new/folder"), "cross")
        .unwrap();
    let (width, height, pixels) = decode_png(&fs::read(folder.path().join("new/folder/cross.png")).unwrap());
    assert_eq!((width, height), (600, 400));
    let colors: HashSet<&[u8]> = pixels.chunks_exact(3).collect();
    for (name, color) in [("white", [255, 255, 255]), ("blue", [0, 114, 178]), ("orange", [230, 159, 0])] {
        assert!(colors.contains(color.as_slice()), "no {name} among {} colours", colors.len());
    }
    let files = fs::read_dir(folder.path().join("new/folder")).unwrap().count();
    assert_eq!(files, 2, "files besides cross.svg and cross.png");
}

#[test]
fn same_figure_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    gallery().save(folder.path(), "a").unwrap();
    gallery().save(folder.path(), "b").unwrap();
    for extension in ["svg", "png"] {
        let read = |stem: &str| fs::read(folder.path().join(format!("{stem}.{extension}"))).unwrap();
        assert!(read("a") == read("b"), "{extension}: two drawings of one figure differ");
    }
}

/// Column by column, the middle of the line's ink against where the axes say the value is: the frame of the axes comes
/// from the ink of reference lines at their ends.
#[test]
fn a_line_goes_through_its_points() {
    let folder = tempfile::tempdir().unwrap();
    let edges = [0.0, 1.0].map(|at| Series::horizontal("", at).color(BLACK));
    let [low, high] = edges;
    let panel =
        Panel::new("").line("", curve((0.0, 1.0), 400, |x| x * x)).x_range(0.0, 1.0).y_range(-0.1, 1.1);
    Figure::new("").panel(panel.series(low).series(high)).save(folder.path(), "parabola").unwrap();
    let (width, height, pixels) = decode_png(&fs::read(folder.path().join("parabola.png")).unwrap());
    let rows = |x: u32, color: [u8; 3]| -> Vec<f64> {
        let at = |y: u32| 3 * (y * width + x) as usize;
        (0..height).filter(|&y| pixels[at(y)..at(y) + 3] == color).map(f64::from).collect()
    };
    let mean = |rows: &[f64]| rows.iter().sum::<f64>() / rows.len() as f64;
    let frame: Vec<u32> = (0..width).filter(|&x| rows(x, [0, 0, 0]).len() >= 2).collect();
    let (left, right) = (f64::from(frame[0]), f64::from(*frame.last().unwrap()));
    for part in [0.2, 0.4, 0.6, 0.8] {
        let column = (left + part * (right - left)).round() as u32;
        let black = rows(column, [0, 0, 0]);
        let (top, bottom) = black.split_at(black.iter().filter(|&&y| y < f64::from(height) / 2.0).count());
        // A reference line is one pixel thick, two in the picture; where it lies between rows, the rims are grey.
        assert!((1..=3).contains(&bottom.len()), "a reference line of {} rows", bottom.len());
        let share = (mean(bottom) - mean(&rows(column, [0, 114, 178]))) / (mean(bottom) - mean(top));
        // A pixel of the picture is 1/650 of the axis; the ink of a steep line has a few of them.
        assert!((share - part * part).abs() < 0.005, "x = {part}: y = {} is drawn at {share}", part * part);
    }
}

/// The numbers in the data of all paths of a colour.
fn numbers_in(svg: &str, stroke: &str) -> Vec<f64> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let paths = document.descendants().filter(|node| node.attribute("stroke") == Some(stroke));
    let data: Vec<&str> = paths.filter_map(|path| path.attribute("d")).collect();
    data.concat().split(['M', ' ']).filter_map(|number| number.parse().ok()).collect()
}

/// The line's ends come from the ranges, the axes' ends from the layout.
#[test]
fn ranges_end_where_the_axes_end() {
    let ends = Panel::new("").line("", [(0.0, 0.0), (1.0, 1.0)]).x_range(0.0, 1.0).y_range(0.0, 1.0);
    let svg = Figure::new("").panel(ends).to_svg().unwrap();
    let (line, axes) = (numbers_in(&svg, "#0072b2"), numbers_in(&svg, "#8c8c8c"));
    let most =
        |numbers: &[f64], from: usize| numbers.iter().skip(from).step_by(2).copied().fold(0.0, f64::max);
    for (name, from) in [("right", 0), ("bottom", 1)] {
        let (drawn, axis) = (most(&line, from), most(&axes, from));
        // The ticks below the axis are 16 units long and there is no tick to the right of it.
        let reach = if name == "bottom" { 16.0 } else { 0.0 };
        assert!((axis - reach - drawn).abs() <= 2.0, "the line ends {name} at {drawn}, the axis at {axis}");
    }
}

#[test]
fn a_line_is_cut_off_at_the_axes() {
    let steep = curve((-1.0, 1.0), 101, |x| 1000.0 * x);
    let panel = |range: f64| Panel::new("").line("", steep.clone()).y_range(-range, range).x_range(-1.0, 1.0);
    let svg = Figure::new("").panel(panel(1.0)).to_svg().unwrap();
    let numbers = numbers_in(&svg, "#0072b2");
    let (first, last) = ((numbers[0], numbers[1]), (numbers[numbers.len() - 2], numbers[numbers.len() - 1]));
    // 4 units to a pixel: the cut line is as high as the axes and, at ±1/1000 of x, almost upright.
    assert!((last.0 - first.0).abs() <= 4.0, "from {first:?} to {last:?}");
    assert!((first.1 - last.1) > 1200.0, "from {first:?} to {last:?}");
}

#[test]
fn an_arrow_points_from_its_tail_to_its_tip_and_one_that_leaves_the_axes_is_left_out() {
    let arrows = [[(0.2, 0.5), (0.8, 0.5)], [(0.5, 0.5), (0.5, 1.5)]];
    let panel = Panel::new("").series(Series::arrows("", arrows)).x_range(0.0, 1.0).y_range(0.0, 1.0);
    let numbers = numbers_in(&Figure::new("").panel(panel).to_svg().unwrap(), "#0072b2");
    let (xs, ys): (Vec<f64>, Vec<f64>) = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip();
    assert_eq!(xs.len(), 5, "two points of the shaft and three of the head: {xs:?}");
    let (tail, tip) = (xs[0], xs[1]);
    assert!(tail < tip && ys[0] == ys[1], "to the right: {xs:?}, {ys:?}");
    assert_eq!((xs[3], ys[3]), (tip, ys[1]), "the barbs meet at the tip");
    // 4 pixels of 4 units at 0.45 rad: 14.4 units back, 7.0 to each side
    for barb in [2, 4] {
        assert!((tip - xs[barb] - 14.4).abs() <= 1.0, "a barb begins {} behind the tip", tip - xs[barb]);
        assert!(((ys[barb] - ys[1]).abs() - 7.0).abs() <= 1.0, "a barb begins at {}", ys[barb] - ys[1]);
    }
    assert!((ys[2] - ys[1]) * (ys[4] - ys[1]) < 0.0, "a barb on either side: {ys:?}");
}

#[test]
fn a_histogram_is_a_density() {
    let values = [0.1, 0.2, 0.3, 0.9, 1.0, 5.0];
    let histogram = format!("{:?}", Series::histogram("", values, 2, (0.0, 1.0)));
    // Three and two of six values in bins of width 1/2: 3/6/0.5 = 1 and 2/6/0.5 = 2/3; the 5 lies outside.
    assert!(histogram.contains("[(0.25, 1.0), (0.75, 0.6666666666666666)]"), "{histogram}");
}

#[test]
fn a_film_frame_is_a_square_without_a_title() {
    let frame = |points| film_frame("t = 7", &points, 3.0);
    let one = frame(array![[0.5, 0.5]]);
    let (width, height, _) = decode_png(&one.to_png().unwrap());
    assert_eq!((width, height), (640, 640), "two pixels for one");
    let svg = one.to_svg().unwrap();
    assert!(svg.contains("t = 7"));
    assert_eq!(frame(array![[0.5, 0.5], [9.0, 9.0]]).to_svg().unwrap(), svg, "what lies outside is left out");
}

#[test]
fn gif_has_its_frames_and_runs_forever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moving.gif");
    let frame = |t: i32| {
        let panel = Panel::new(format!("t = {t}")).points("", [(f64::from(t), 0.5)]);
        Figure::new("").panel(panel.x_range(0.0, 4.0).y_range(0.0, 1.0)).panel_size(200, 150)
    };
    save_gif(&path, &(0..5).map(frame).collect::<Vec<_>>(), 120).unwrap();
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!((decoder.width(), decoder.height()), (200, 150));
    assert!(decoder.global_palette().is_some());
    let (mut frames, mut delays) = (HashSet::new(), Vec::new());
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        frames.insert(frame.buffer.to_vec());
        delays.push(frame.delay);
    }
    assert_eq!(frames.len(), 5, "frames that differ");
    assert_eq!(delays, [12, 12, 12, 12, 212], "hundredths of a second");
    assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
}

#[test]
fn frames_of_several_sizes_and_no_frames_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moving.gif");
    let frame = |size| Figure::new("").panel(Panel::new("").points("", [(0.0, 0.0)])).panel_size(size, 100);
    let sizes = save_gif(&path, &[frame(100), frame(120)], 100).unwrap_err().to_string();
    assert!(sizes.contains("(120, 100) in frame 1"), "{sizes}");
    let none = save_gif(&path, &[], 100).unwrap_err().to_string();
    assert!(none.contains("frames is 0"), "{none}");
    assert!(!path.exists());
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let one = |panel: Panel| Figure::new("").panel(panel);
    assert_eq!(complaint(&Figure::new("nothing")).0, "the number of panels");
    assert_eq!(complaint(&one(Panel::new("nothing"))).1, "0 in panel “nothing”");
    assert_eq!(complaint(&one(Panel::new("p").points("empty", []))).1, "0 in panel “p”");
    let nan = complaint(&one(Panel::new("loss").line("batch", [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN)])));
    assert_eq!(nan.1, "(2.0, NaN) (point 2 of series “batch” of panel “loss”)");
    let infinite = complaint(&one(Panel::new("p").histogram("", [1.0, f64::INFINITY], 2, (0.0, 1.0))));
    assert_eq!(infinite.1, "inf (point 1 of series 0 of panel “p”)");
    let log = complaint(&one(Panel::new("p").line("l", [(1.0, 1.0), (2.0, 0.0)]).log_y()));
    assert_eq!(log.1, "y = 0 (point 1 of series “l” of panel “p”)");
    let band = complaint(&one(Panel::new("p").band("b", [(1.0, 1.0, 2.0), (2.0, -1.0, 2.0)]).log_y()));
    assert_eq!(band.1, "y = -1 (point 1 of series “b” of panel “p”)");
    let arrow = [[(0.0, 0.0), (1.0, 1.0)], [(0.0, 0.0), (1.0, f64::INFINITY)]];
    let arrow = complaint(&one(Panel::new("p").series(Series::arrows("a", arrow))));
    assert_eq!(arrow.1, "[(0.0, 0.0), (1.0, inf)] (point 1 of series “a” of panel “p”)");
    let range = complaint(&one(Panel::new("p").line("l", [(1.0, 1.0)]).x_range(2.0, 1.0)));
    assert_eq!(range.1, "2…1 for x in panel “p”");
    let letter = complaint(&one(Panel::new("漢").line("l", [(1.0, 1.0)])));
    assert_eq!(letter.1, "“漢”");
    let cell = Array2::from_shape_fn((2, 2), |(row, _)| if row == 1 { f64::NAN } else { 0.0 });
    let cell = complaint(&one(Panel::new("p").heatmap(Heatmap::new(cell, (0.0, 1.0), (0.0, 1.0)))));
    assert_eq!(cell.1, "NaN in row 1, column 0");
}

#[test]
fn a_constant_is_drawn() {
    let map = Heatmap::new(Array2::ones((2, 2)), (0.0, 1.0), (0.0, 1.0));
    let line = Panel::new("").line("", [(3.0, 2.0), (3.0, 2.0)]);
    Figure::new("").panel(Panel::new("").heatmap(map)).panel(line).to_svg().unwrap();
}

#[test]
fn a_folder_that_is_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = gallery().save(&file, "plot").unwrap_err();
    assert!(matches!(error, Error::Course(ddpm::Error::File { .. })), "{error}");
}

#[test]
fn a_map_of_a_function_has_its_values_in_the_middle_of_the_cells() {
    let map = Heatmap::of((0.0, 120.0), (-60.0, 60.0), |x, y| 1000.0 * x + y);
    let cells = Array2::from_shape_fn((120, 120), |(row, column)| {
        1000.0 * (column as f64 + 0.5) + (row as f64 + 0.5 - 60.0)
    });
    let by_hand = Heatmap::new(cells, (0.0, 120.0), (-60.0, 60.0));
    let svg = |map| Figure::new("").panel(Panel::new("").heatmap(map)).to_svg().unwrap();
    assert_eq!(svg(map), svg(by_hand));
    let hill = |x: ndarray::ArrayView1<f64>| (-x.dot(&x)).exp();
    let density = Figure::new("").panel(Panel::new("").density(2.0, "p", hill)).to_svg().unwrap();
    let of = Heatmap::of((-2.0, 2.0), (-2.0, 2.0), |x, y| hill(array![x, y].view())).label("p").pale();
    assert_eq!(density, svg(of));
}

#[test]
fn arrows_on_a_rectangle_are_those_of_the_square_stretched() {
    let whirl = |x: ndarray::ArrayView1<f64>| [-x[1], x[0]];
    let arrows = |panel: Panel| numbers_in(&Figure::new("").panel(panel).to_svg().unwrap(), "#000000");
    let square = Panel::new("").arrows_over((-1.0, 1.0), (-1.0, 1.0), [5, 5], BLACK, whirl);
    // the same field with y in units ten times as small
    let stretched = |x: ndarray::ArrayView1<f64>| [-x[1] / 10.0, 10.0 * x[0]];
    let wide = Panel::new("").arrows_over((-1.0, 1.0), (-10.0, 10.0), [5, 5], BLACK, stretched);
    let range = |panel: Panel, y: f64| panel.x_range(-1.0, 1.0).y_range(-y, y);
    let (a, b) = (arrows(range(square, 1.0)), arrows(range(wide, 10.0)));
    assert!(!a.is_empty() && a.len() == b.len());
    // the labels of the axes take other widths, so the drawings differ by a shift and a scale: compare what lies between
    let xs = |numbers: &[f64]| numbers.iter().step_by(2).copied().collect::<Vec<_>>();
    let share = |xs: Vec<f64>| {
        let (low, high) = xs.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
        xs.iter().map(|x| (x - low) / (high - low)).collect::<Vec<_>>()
    };
    for (a, b) in share(xs(&a)).into_iter().zip(share(xs(&b))) {
        assert!((a - b).abs() < 0.02, "{a} against {b}");
    }
}

#[test]
fn paths_are_curves_that_cross_or_not() {
    let mut paths = Paths::default();
    for (t, x) in [(1.0, array![0.0, 1.0, 2.0]), (0.5, array![0.1, 1.5, 1.4]), (0.0, array![0.2, 1.0, 1.0])] {
        paths.push(t, x.view());
    }
    assert_eq!(paths.curves()[2], [(1.0, 2.0), (0.5, 1.4), (0.0, 1.0)]);
    assert_eq!(paths.crossings(), 2, "the upper two change sides, and then meet");
    let [lines, colored] = [Panel::new("").lines(paths.lines()), Panel::new("").paths(&paths, BLACK)]
        .map(|panel| Figure::new("").panel(panel).to_svg().unwrap());
    assert!(lines.contains("#e69f00") && !colored.contains("#e69f00"), "a colour each, or one for all");
}

#[test]
#[should_panic(expected = "paths and points")]
fn paths_keep_their_number() {
    let mut paths = Paths::default();
    paths.push(1.0, array![0.0, 1.0].view());
    paths.push(0.0, array![0.0].view());
}

#[test]
fn a_power_law_goes_through_its_point() {
    let law = format!("{:?}", Panel::new("").power("", (1.0, 3.0), (2.0, 8.0), 2.0));
    let line = format!(
        "{:?}",
        Panel::new("").series(Series::dashed("", curve((1.0, 3.0), 200, |x| 2.0 * x * x)).color(7))
    );
    assert_eq!(law.replace(char::is_numeric, ""), line.replace(char::is_numeric, ""), "a grey dashed line");
    assert!(law.contains("(1.0, 2.0)") && law.contains("(3.0, 18.0)"), "{law}");
    let over = points_over("", &array![[0.5, 0.5]], &array![[0.0, 0.0], [1.0, 1.0]], 2.0);
    assert!(Figure::new("").panel(over).to_svg().is_ok());
}
