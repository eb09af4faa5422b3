//! How pictures of a folder are cut.

use crate::{Error, Result};
use std::{fmt, str::FromStr};

/// The smallest and the largest side that pictures can be cut to.
const SIDES: std::ops::RangeInclusive<usize> = 4..=1024;

/// The size that pictures are cut to, and their channels; other sets have a size and channels already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[cfg_attr(feature = "cli", command(about = None, long_about = None))]
pub struct PictureOptions {
    /// The size that pictures are cut to: the side of a square, or WIDTHxHEIGHT
    #[cfg_attr(feature = "cli", arg(long, value_name = "PIXELS"))]
    pub size: Option<PictureSize>,
    /// The channels of pictures: 1 for grey, 3 for colour [default: 1 if all are grey, else 3]
    #[cfg_attr(feature = "cli", arg(long, value_name = "1|3", value_parser = parse_channels))]
    pub channels: Option<usize>,
}

impl PictureOptions {
    /// Squares of a side, grey or in colour as the pictures are.
    pub fn square(side: Option<usize>) -> Self {
        Self { size: side.map(PictureSize::square), channels: None }
    }

    /// The size and the channels, checked.
    pub(super) fn checked(&self) -> Result<(PictureSize, Option<usize>)> {
        let size = self.size.ok_or_else(|| wrong_size("missing".into()))?.checked()?;
        self.channels.map(check_channels).transpose()?;
        Ok((size, self.channels))
    }

    /// Rejects what is given for images that have a size and channels of their own.
    pub(super) fn not_wanted(&self) -> Result<()> {
        let wrong = |name, value: String, remedy: &str| {
            let bound = "stand beside a folder of PNG or JPEG pictures";
            Err(ddpm::Error::Parameter { name, value, bound, remedy: remedy.into() }.into())
        };
        match (self.size, self.channels) {
            (Some(size), _) => {
                wrong("--size", size.to_string(), "these images have a size of their own: leave it out")
            }
            (_, Some(channels)) => wrong(
                "--channels",
                channels.to_string(),
                "these images have channels of their own: leave it out",
            ),
            (None, None) => Ok(()),
        }
    }
}

/// The width and the height that pictures are cut to.
///
/// ```
/// use ddpm_unet::images::PictureSize;
///
/// assert_eq!("32".parse::<PictureSize>()?, PictureSize { width: 32, height: 32 });
/// assert_eq!("48x32".parse::<PictureSize>()?, PictureSize { width: 48, height: 32 });
/// assert!("48x".parse::<PictureSize>().is_err());
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSize {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

impl PictureSize {
    /// A square.
    pub fn square(side: usize) -> Self {
        Self { width: side, height: side }
    }

    fn checked(self) -> Result<Self> {
        let fits = [self.width, self.height].iter().all(|side| SIDES.contains(side));
        if fits { Ok(self) } else { Err(wrong_size(self.to_string())) }
    }
}

impl fmt::Display for PictureSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.width == self.height {
            write!(f, "{}", self.width)
        } else {
            write!(f, "{}x{}", self.width, self.height)
        }
    }
}

impl FromStr for PictureSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (width, height) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
        match (width.trim().parse(), height.trim().parse()) {
            (Ok(width), Ok(height)) => Self { width, height }.checked(),
            _ => Err(wrong_size(format!("“{text}”"))),
        }
    }
}

fn wrong_size(value: String) -> Error {
    Error::Course(ddpm::Error::Parameter {
        name: "--size",
        value,
        bound: "be the side of the square that pictures are cut to, 4 to 1024, or a width and a height as in 48x32",
        remedy: "try --size 32 first: time and memory grow with its square".into(),
    })
}

fn check_channels(channels: usize) -> Result<usize> {
    if [1, 3].contains(&channels) { Ok(channels) } else { Err(wrong_channels(channels.to_string())) }
}

#[cfg(feature = "cli")]
fn parse_channels(text: &str) -> Result<usize> {
    text.parse().map_or_else(|_| Err(wrong_channels(format!("“{text}”"))), check_channels)
}

fn wrong_channels(value: String) -> Error {
    Error::Course(ddpm::Error::Parameter {
        name: "--channels",
        value,
        bound: "be 1, grey, or 3, colour",
        remedy: "leave it out, and grey pictures have one channel, others three".into(),
    })
}
