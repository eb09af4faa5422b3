//! How checks, tables and figures show themselves in a notebook.
//!
//! The evcxr kernel calls `evcxr_display` on the value that a cell ends in. Nothing else calls it, and nothing in this
//! library shows itself unasked.

use super::{Checks, Table, print};
use crate::plot::Figure;
use base64::{Engine, prelude::BASE64_STANDARD};

impl Checks {
    /// Prints the rows, and fails the cell if a row is not ok.
    ///
    /// # Panics
    /// With the [`verdict`](Self::verdict), if it is no: a notebook's claims are held to, as a chapter's are.
    #[track_caller]
    pub fn evcxr_display(&self) {
        print(&self.to_string());
        if let Err(verdict) = self.verdict() {
            panic!("{verdict}");
        }
    }
}

impl Table {
    /// Prints the table.
    pub fn evcxr_display(&self) {
        print(&self.to_string());
    }
}

impl Figure {
    /// Hands the figure to the kernel as SVG and as PNG, of which a notebook shows the first that it can.
    ///
    /// # Panics
    /// If the figure cannot be drawn: the reasons are those of [`to_svg`](Self::to_svg).
    #[track_caller]
    pub fn evcxr_display(&self) {
        let (svg, png) = match self.to_svg().and_then(|svg| Ok((svg, self.to_png()?))) {
            Ok(pictures) => pictures,
            Err(error) => panic!("{error}"),
        };
        hand_over("image/svg+xml", &svg);
        show_png(&png);
    }
}

/// Shows the bytes of a PNG in the notebook.
pub fn show_png(png: &[u8]) {
    hand_over("image/png", &BASE64_STANDARD.encode(png));
}

/// One form of what a cell shows, between the marks that the kernel looks for.
fn hand_over(mime_type: &str, content: &str) {
    print(&format!("EVCXR_BEGIN_CONTENT {mime_type}\n{content}\nEVCXR_END_CONTENT"));
}
