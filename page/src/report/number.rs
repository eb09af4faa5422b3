//! Numbers as text: enough digits to see an agreement, and no more.

/// How many digits predictions and measurements show.
const DIGITS: i32 = 7;

/// A number with so many significant digits: in full if that is short, else with a power of ten.
pub(super) fn significant(value: f64, digits: i32) -> String {
    digits_like(value, value, digits)
}

/// How the numbers of a table's column, or row, are written: all in one form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// Counts, without decimals.
    Whole,
    /// Decimals.
    Plain,
    /// With a power of ten.
    Scientific,
}

impl Form {
    /// The form that fits all of these: powers of ten only where a number would be too long without.
    pub fn of(values: &[f64], digits: i32) -> Self {
        let known = values.iter().filter(|value| **value != 0.0 && value.is_finite());
        let exponents = || known.clone().map(|&value| exponent(value, digits));
        let (least, most) = exponents().fold((0, 0), |(least, most), e| (e.min(least), e.max(most)));
        // a fifth zero is read more easily than a power of ten beside numbers near 1
        let is_plain = least >= -4 || least == -5 && exponents().any(|exponent| exponent >= -2);
        if values.iter().all(|value| value.fract() == 0.0 && value.abs() < 1e7) {
            Form::Whole
        } else if is_plain && most < DIGITS {
            Form::Plain
        } else {
            Form::Scientific
        }
    }

    /// A number in this form, with so many significant digits.
    pub fn write(self, value: f64, digits: i32) -> String {
        let exponent = exponent(value, digits);
        match self {
            _ if value == 0.0 => "0".into(),
            _ if !value.is_finite() => value.to_string(),
            Form::Whole => value.to_string(),
            Form::Scientific => format!("{value:.*e}", (digits - 1).max(0) as usize),
            Form::Plain if exponent >= digits => {
                let unit = 10_f64.powi(exponent + 1 - digits);
                format!("{:.0}", (value / unit).round() * unit)
            }
            Form::Plain => format!("{value:.*}", (digits - 1 - exponent).max(0) as usize),
        }
    }
}

/// Two numbers that are to be compared, with as many decimals one as the other: the larger has seven digits.
pub(super) fn alike(a: f64, b: f64) -> (String, String) {
    let (small, large) = (a.abs().min(b.abs()), a.abs().max(b.abs()));
    let comparable = large.is_finite() && (small == 0.0 || large / small < 1e3);
    let scale = |own: f64| if comparable { large } else { own };
    (digits_like(a, scale(a), DIGITS), digits_like(b, scale(b), DIGITS))
}

/// A number with so many digits that one of the size of `scale` shows `digits` of them.
fn digits_like(value: f64, scale: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let exponent = exponent(scale, digits);
    if (-4..digits).contains(&exponent) {
        let decimals = (digits - 1 - exponent).max(0) as usize;
        format!("{value:.decimals$}")
    } else {
        let decimals = (digits - 1).max(0) as usize;
        format!("{value:.decimals$e}")
    }
}

/// The power of ten of a number once it is rounded to so many digits: 0.99999 to three digits is 1.00.
fn exponent(value: f64, digits: i32) -> i32 {
    let text = format!("{value:.*e}", (digits - 1).max(0) as usize);
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// A number without the zeros that say nothing: for bounds and tolerances that were chosen. Those that were measured
/// have no short form; they show so many significant digits.
pub(super) fn short(value: f64, digits: i32) -> String {
    const LONG: usize = 8;
    let plain = value == 0.0 || !value.is_finite() || (1e-4..1e7).contains(&value.abs());
    let text = if plain { value.to_string() } else { format!("{value:e}") };
    if text.len() > LONG { significant(value, digits) } else { text }
}

/// A count with a comma between thousands.
///
/// ```
/// assert_eq!(ddpm_page::report::thousands(65_000), "65,000");
/// ```
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Numbers with the decimals that a standard error supports: those of the error's first two digits, in one notation for all.
pub(super) fn known_to<const N: usize>(values: [f64; N], standard_error: f64) -> [String; N] {
    let first = exponent(standard_error, 2);
    let last = first - 1; // the power of ten of the last digit that is known
    let seen = values.iter().filter(|value| **value != 0.0 && value.is_finite());
    let largest = seen.map(|&value| exponent(value, 1)).fold(first, i32::max);
    let plain = last >= -8 && (-4..DIGITS).contains(&largest);
    values.map(|value| {
        if value == 0.0 || !value.is_finite() {
            return digits_like(value, value, DIGITS);
        }
        let text = match plain {
            true => format!("{value:.*}", (-last).max(0) as usize),
            false => format!("{value:.*e}", (exponent(value, 1) - last).clamp(0, 15) as usize),
        };
        // −0.00 is 0
        if text.contains(|digit| ('1'..='9').contains(&digit)) { text } else { text.replace('-', "") }
    })
}
