//! The message of a failed assertion, made short: what it is, what came out, what should have.

/// One line of an assertion's message, with numbers as a reader would write them.
///
/// ```text
/// t = 2: 1/β̃_2: got 8.338897415e3, expected 1.833789741e4; error 1.0e4 > 1.8e-6
/// t = 2: 1/β̃_2: got 8338.9, expected 18337.9
/// ```
pub fn readable(message: &str) -> String {
    if let Some(equation) = equation(message) {
        return equation;
    }
    let one_line = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    numbers(&one_line).unwrap_or(one_line)
}

/// `assertion left == right failed` of `assert_eq!(got, expected, "what")`.
fn equation(message: &str) -> Option<String> {
    let rest = message.strip_prefix("assertion `left == right` failed")?;
    let (what, rest) = rest.split_once("\n  left: ")?;
    let (left, right) = rest.split_once("\n right: ")?;
    let what = what.strip_prefix(": ").map(|what| format!("{what}: ")).unwrap_or_default();
    let one_line = |value: &str| {
        let entries = value.split(", shape=[").next().unwrap_or(value); // the rest of an array's Debug
        entries.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    };
    Some(format!("{what}got {}, expected {}", one_line(left), one_line(right)))
}

/// `what: got 1.0e0, expected 2.0e0; error …` with readable numbers, the error left out where they show it.
fn numbers(message: &str) -> Option<String> {
    let (what, rest) = message.rsplit_once(": got ")?;
    let (got, rest) = rest.split_once(", expected ")?;
    let (expected, error) = rest.split_once("; ").unwrap_or((rest, ""));
    let (got, expected): (f64, f64) = (got.parse().ok()?, expected.parse().ok()?);
    let (short_got, short_expected) = (number(got, 6), number(expected, 6));
    if short_got != short_expected {
        return Some(format!("{what}: got {short_got}, expected {short_expected}"));
    }
    Some(format!("{what}: got {}, expected {}; {error}", number(got, 10), number(expected, 10)))
}

/// A number with that many digits, without trailing zeros; with an exponent where it is very large or small.
pub fn number(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let exponent = value.abs().log10().floor() as i32;
    let trimmed = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if (-4..7).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return trimmed(format!("{value:.decimals$}"));
    }
    let text = format!("{value:.decimals$e}", decimals = digits - 1);
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", trimmed(mantissa.to_owned())),
        None => text,
    }
}
