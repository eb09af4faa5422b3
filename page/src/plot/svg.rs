//! The canvas of SVG: small files that look the same everywhere.
//!
//! Plotters' own SVG canvas writes an element for each shape and leaves the font to the reader's system. This one joins
//! neighbours of one style into one path and carries the font.

use super::{
    Figure,
    canvas::{UNITS, draw_on},
    font,
    raster::Picture,
};
use crate::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform, text_anchor::HPos,
};
use std::fmt::Write;

/// Draws a figure as the text of an SVG file.
pub(super) fn svg(figure: &Figure) -> Result<String> {
    let (width, height) = figure.size();
    let size = (width * UNITS, height * UNITS);
    let mut body = String::new();
    draw_on(Svg { size, body: &mut body, open: None }, figure)?;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" style=\"max-width:100%;height:auto\" \
         font-family=\"'{family}','DejaVu Sans',sans-serif\">\n\
         <title>{}</title>\n\
         <style>@font-face{{font-family:'{family}';src:url(data:font/woff2;base64,{})}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n",
        size.0,
        size.1,
        escape(&figure.name().to_string_lossy()),
        BASE64_STANDARD.encode(font::WOFF2),
        family = font::FAMILY,
    ))
}

struct Svg<'a> {
    size: (u32, u32),
    body: &'a mut String,
    /// The path that is being written: neighbours with its attributes join it.
    open: Option<Path>,
}

#[derive(PartialEq)]
struct Path {
    attributes: String,
    tail: &'static str,
}

type Drawn = Result<(), DrawingErrorKind<png::EncodingError>>;

impl Svg<'_> {
    /// Adds to the open path if it looks the same; starts a new one with `head` if not.
    fn extend(&mut self, path: Path, head: &str, data: &str) {
        if self.open.as_ref() != Some(&path) {
            self.close();
            self.body.push_str("<path ");
            self.body.push_str(&path.attributes);
            self.body.push_str(" d=\"");
            self.body.push_str(head);
            self.open = Some(path);
        }
        self.body.push_str(data);
    }

    fn close(&mut self) {
        if let Some(path) = self.open.take() {
            self.body.push_str(path.tail);
            self.body.push_str("\"/>\n");
        }
    }

    fn fill(&mut self, color: BackendColor, data: &str) {
        self.extend(Path { attributes: paint("fill", color), tail: "" }, "", data);
    }

    /// Closes the open path and adds an element of another kind.
    fn element(&mut self, element: &str) {
        self.close();
        self.body.push_str(element);
    }
}

impl DrawingBackend for Svg<'_> {
    type ErrorType = png::EncodingError;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        self.close();
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect(point, point, &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if style.color().alpha == 0.0 {
            return Ok(());
        }
        let attributes = format!(
            "{} stroke-width=\"{}\" fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\"",
            paint("stroke", style.color()),
            style.stroke_width()
        );
        self.extend(Path { attributes, tail: "" }, "", &outline(path));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        if !fill {
            return self.draw_path(corners, style);
        }
        self.fill(style.color(), &format!("M{left} {top}H{right}V{bottom}H{left}z"));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Drawn {
        self.fill(style.color(), &format!("{}z", outline(corners)));
        Ok(())
    }

    /// A disc is a marker on a path without a line, so a thousand of them are a thousand pairs of numbers; a corner of
    /// the page stands at both ends, where no marker is drawn.
    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        _fill: bool,
    ) -> Drawn {
        let BackendColor { alpha, rgb: (r, g, b) } = style.color();
        let name = format!("disc-{r:02x}{g:02x}{b:02x}-{:.0}-{radius}", 100.0 * alpha);
        let attributes = format!("fill=\"none\" marker-mid=\"url(#{name})\"");
        if self.open.as_ref().is_none_or(|path| path.attributes != attributes) {
            self.element(&format!(
                "<marker id=\"{name}\" markerUnits=\"userSpaceOnUse\" overflow=\"visible\">\
                 <circle r=\"{radius}\" {}/></marker>\n",
                paint("fill", style.color())
            ));
        }
        self.extend(Path { attributes, tail: " 0 0" }, "M0 0", &format!(" {x} {y}"));
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let em = font::em(style.size());
        let anchor = match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        };
        let down = (em * font::hang(text, &style.anchor()).1).round() as i32;
        let place = match style.transform() {
            FontTransform::None => format!("x=\"{x}\" y=\"{}\"", y + down),
            FontTransform::Rotate90 => format!("transform=\"translate({x} {y})rotate(90)\" y=\"{down}\""),
            FontTransform::Rotate180 => format!("transform=\"translate({x} {y})rotate(180)\" y=\"{down}\""),
            FontTransform::Rotate270 => format!("transform=\"translate({x} {y})rotate(270)\" y=\"{down}\""),
        };
        let color = paint("fill", style.color());
        self.element(&format!(
            "<text {place} font-size=\"{em:.1}\"{anchor} {color}>{}</text>\n",
            with_subscripts(text, em)
        ));
        Ok(())
    }

    fn blit_bitmap(&mut self, (x, y): BackendCoord, (width, height): (u32, u32), rgb: &[u8]) -> Drawn {
        let picture = Picture { width, height, rgb: rgb.to_vec() };
        let png = picture.png().map_err(DrawingErrorKind::DrawingError)?;
        self.element(&format!(
            "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             href=\"data:image/png;base64,{}\"/>\n",
            BASE64_STANDARD.encode(png)
        ));
        Ok(())
    }
}

/// A colour as an attribute, with its opacity if it has one.
fn paint(attribute: &str, BackendColor { alpha, rgb: (r, g, b) }: BackendColor) -> String {
    let opacity = if alpha < 1.0 { format!(" {attribute}-opacity=\"{alpha:.2}\"") } else { String::new() };
    format!("{attribute}=\"#{r:02x}{g:02x}{b:02x}\"{opacity}")
}

/// The corners as path data.
fn outline(corners: impl IntoIterator<Item = BackendCoord>) -> String {
    let mut data = String::from("M");
    for (i, (x, y)) in corners.into_iter().enumerate() {
        let space = if i > 0 { " " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(data, "{space}{x} {y}");
    }
    data
}

/// A text with its subscripts lowered: a span of less size, and one that goes back to the line.
fn with_subscripts(text: &str, em: f64) -> String {
    let (size, depth) = (em * font::SUBSCRIPT.0, em * font::SUBSCRIPT.1);
    let (mut written, mut down) = (String::new(), false);
    for run in font::runs(text) {
        let text = escape(&run.text);
        match (run.is_subscript, down) {
            (true, _) => {
                let _ = write!(written, "<tspan dy=\"{depth:.1}\" font-size=\"{size:.1}\">{text}</tspan>");
            }
            (false, true) => {
                let _ = write!(written, "<tspan dy=\"-{depth:.1}\">{text}</tspan>");
            }
            (false, false) => written.push_str(&text),
        }
        down = run.is_subscript;
    }
    written
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
