//! The vendored font: its registration, its widths, its outlines, and its form for an SVG.

use super::canvas::UNITS;
use crate::Result;
use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use plotters::style::{
    Color, FontFamily, FontStyle, IntoFont, RGBColor, TextStyle, register_font,
    text_anchor::{HPos, Pos, VPos},
};
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;

const OUTLINES: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

/// The same outlines, compressed for a browser.
pub(super) const WOFF2: &[u8] = include_bytes!("DejaVuSans-subset.woff2");

/// The family's name: not that of an installed font, so that the one in the SVG is the one that is used.
pub(super) const FAMILY: &str = "DejaVu Sans Subset";

/// Plotters and ab_glyph measure a font by its height from descender to ascender, browsers by its em: 2384 to 2048 of
/// this font's units.
const HEIGHT_PER_EM: f64 = 2384.0 / 2048.0;

/// The height of a capital letter, 1493 of 2048 units.
const CAPITAL_PER_EM: f64 = 1493.0 / 2048.0;

/// How far a comma hangs below the line, 240 of 2048 units.
const DESCENT_PER_EM: f64 = 240.0 / 2048.0;

// The font is part of the program and every test that draws would fail with it, so it cannot be invalid in the field.
static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(OUTLINES).expect("the vendored font is valid"));

/// Makes the font known to plotters; more calls change nothing.
pub(super) fn register() {
    static REGISTERED: LazyLock<bool> =
        LazyLock::new(|| register_font(FAMILY, FontStyle::Normal, OUTLINES).is_ok());
    LazyLock::force(&REGISTERED);
}

/// A style for text whose em has so many pixels.
pub(super) fn style(pixels: f64, color: RGBColor) -> TextStyle<'static> {
    let height = pixels * f64::from(UNITS) * HEIGHT_PER_EM;
    (FontFamily::Name(FAMILY), height).into_font().color(&color.to_rgba())
}

/// The em of a style's size.
pub(super) fn em(size: f64) -> f64 {
    size / HEIGHT_PER_EM
}

/// How large a subscript is, in ems of its text, and how far its line lies below.
pub(super) const SUBSCRIPT: (f64, f64) = (0.72, 0.18);

/// A part of a text that stands on one line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub text: String,
    pub is_subscript: bool,
}

impl Run {
    /// The size and the depth of its letters, in ems of the text.
    fn place(&self) -> (f64, f64) {
        if self.is_subscript { SUBSCRIPT } else { (1.0, 0.0) }
    }
}

/// A text in runs: `x_T`, `L_{t−1}` and `xₜ₋₁` all have a subscript, `my_file` has none, since only a symbol of one letter takes one.
pub(super) fn runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut push = |letter: char, is_subscript: bool| match runs.last_mut() {
        Some(run) if run.is_subscript == is_subscript => run.text.push(letter),
        _ => runs.push(Run { text: letter.into(), is_subscript }),
    };
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        let marked = letters[at] == '_' && is_symbol(&letters[..at]);
        let after = &letters[at + 1..];
        let (skip, taken) = match after {
            ['{', rest @ ..] if marked => (2, rest.iter().position(|&letter| letter == '}')),
            _ if marked => {
                (1, Some(after.iter().take_while(|&&letter| is_name(letter)).count()).filter(|n| *n > 0))
            }
            _ => (0, None),
        };
        if let Some(taken) = taken {
            letters[at + skip..at + skip + taken].iter().for_each(|&letter| push(letter, true));
            at += skip + taken + (skip - 1);
        } else {
            let lowered = lowered(letters[at]);
            push(lowered.unwrap_or(letters[at]), lowered.is_some());
            at += 1;
        }
    }
    runs
}

/// Whether a text ends in a symbol: one letter, with its accents, that no letter or figure stands before.
fn is_symbol(text: &[char]) -> bool {
    let accent = |letter: char| ('\u{300}'..='\u{36f}').contains(&letter);
    let mut letters = text.iter().rev().copied().skip_while(|&letter| accent(letter));
    letters.next().is_some_and(char::is_alphabetic) && !letters.next().is_some_and(is_name)
}

/// Whether a letter or figure stands on the line: ² does not.
fn is_name(letter: char) -> bool {
    letter.is_alphabetic() || letter.is_ascii_digit()
}

/// What a letter that Unicode has as a subscript is a subscript of.
fn lowered(letter: char) -> Option<char> {
    match letter {
        '₀'..='₉' => char::from_digit(letter as u32 - '₀' as u32, 10),
        '₋' => Some('−'),
        '₊' => Some('+'),
        'ₜ' => Some('t'),
        _ => None,
    }
}

/// The width of a text whose em is 1.
pub(super) fn width(text: &str) -> f64 {
    let of_run = |run: Run| {
        let font = FONT.as_scaled(PxScale::from((HEIGHT_PER_EM * run.place().0) as f32));
        run.text.chars().map(|letter| f64::from(font.h_advance(font.glyph_id(letter)))).sum::<f64>()
    };
    runs(text).into_iter().map(of_run).sum()
}

/// The size at which a text fits into a width: `pixels`, or less if it is too long.
pub(super) fn fitting(text: &str, pixels: f64, space: f64) -> f64 {
    pixels.min(space / width(text).max(1.0))
}

/// From the anchor of a text to the left end of its baseline, in units of its em.
pub(super) fn hang(text: &str, anchor: &Pos) -> (f64, f64) {
    let left = match anchor.h_pos {
        HPos::Left => 0.0,
        HPos::Center => -0.5 * width(text),
        HPos::Right => -width(text),
    };
    let down = match anchor.v_pos {
        VPos::Top => CAPITAL_PER_EM,
        VPos::Center => 0.5 * CAPITAL_PER_EM,
        VPos::Bottom => -DESCENT_PER_EM,
    };
    (left, down)
}

/// Rasterises a text: calls `paint(x, y, coverage)` for each pixel, counted from the left end of the baseline.
///
/// Plotters' own rasteriser drops each letter's left bearing, which makes the spacing uneven.
pub(super) fn rasterise(text: &str, size: f64, mut paint: impl FnMut(i32, i32, f32)) {
    let mut pen = 0.0;
    for run in runs(text) {
        let (share, depth) = run.place();
        let font = FONT.as_scaled(PxScale::from((share * size) as f32));
        let down = (depth * em(size)) as f32;
        for letter in run.text.chars() {
            let glyph = font.glyph_id(letter).with_scale_and_position(font.scale(), point(pen, down));
            pen += font.h_advance(glyph.id);
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|x, y, coverage| {
                    paint(corner.x as i32 + x as i32, corner.y as i32 + y as i32, coverage);
                });
            }
        }
    }
}

/// Rasterises a line of text whose em has so many pixels, for a picture of one's own: calls `paint(x, y, coverage)` for each pixel that it
/// covers, counted from the left end of the baseline, y downwards. Returns the width of the text in pixels.
///
/// # Example
/// ```
/// use ddpm_page::plot::paint_text;
///
/// let mut ink = 0.0;
/// let width = paint_text("t = 250", 12.0, |_, y, coverage| {
///     assert!((-12..=3).contains(&y)); // above the baseline, but for a comma
///     ink += coverage;
/// });
/// assert!(ink > 50.0 && (40.0..60.0).contains(&width));
/// ```
pub fn paint_text(text: &str, pixels: f64, paint: impl FnMut(i32, i32, f32)) -> f64 {
    rasterise(text, pixels * HEIGHT_PER_EM, paint);
    pixels * width(text)
}

/// A reader's own words, such as the name of a file, as a plot can show them: composed (Unicode's form C), for some systems write an é
/// as an e and its accent, and with a question mark for a letter that the vendored font has not.
///
/// ```
/// use ddpm_page::plot::legible;
///
/// assert_eq!((legible("moons"), legible("点 2")), ("moons".into(), "? 2".into()));
/// assert_eq!(legible("e\u{301}te\u{301}"), "été");
/// ```
pub fn legible(name: &str) -> String {
    name.nfc().map(|letter| if FONT.glyph_id(letter).0 == 0 { '?' } else { letter }).collect()
}

/// Checks that the font has every letter of a label.
///
/// # Errors
/// [`ddpm::Error::Parameter`] with the letter that it has not.
pub(super) fn check(label: &str) -> Result<()> {
    match label.chars().find(|&letter| FONT.glyph_id(letter).0 == 0) {
        None => Ok(()),
        Some(letter) => Err(ddpm::Error::Parameter {
            name: "a plot's label",
            value: format!("“{label}”"),
            bound: "have only letters of the vendored font",
            remedy: format!("write something else for ‘{letter}’ (U+{:04X})", u32::from(letter)),
        }
        .into()),
    }
}
