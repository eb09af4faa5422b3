//! How numbers are written in a table, and what a comma or a point means there.

/// How the numbers of a table are written, as far as a comma could mean several things.
#[derive(Debug, Default)]
pub(super) struct Commas {
    /// A comma that can only be a decimal one was seen: `0,5`.
    pub(super) decimal: bool,
    /// The first number with a comma where one of thousands would stand: `1,234`.
    pub(super) grouped_by_comma: Option<(u64, String)>,
    /// The first number with a point there: `1.234`.
    pub(super) grouped_by_point: Option<(u64, String)>,
    /// The first row, if all rows have two whole numbers, the second without a sign.
    pub(super) first_whole: Option<(u64, [String; 2])>,
    /// Whether all rows are of digits as those of one number that counts thousands: `1,234`.
    pub(super) all_grouped: bool,
    rows: usize,
}

impl Commas {
    /// Takes a row into account whose two fields are numbers.
    pub(super) fn see(&mut self, line: u64, fields: &csv::StringRecord) {
        for field in fields {
            let (comma, point) = (is_grouped(field, ','), is_grouped(field, '.'));
            self.decimal |= field.contains(',') && !comma;
            let first = || Some((line, field.to_owned()));
            self.grouped_by_comma = self.grouped_by_comma.take().or_else(|| comma.then(first).flatten());
            self.grouped_by_point = self.grouped_by_point.take().or_else(|| point.then(first).flatten());
        }
        let [x, y] = [&fields[0], &fields[1]];
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let whole = digits(unsigned(x)) && digits(y);
        let grouped = whole && y.len() == 3 && may_count_thousands(unsigned(x));
        match self.rows {
            0 => {
                self.first_whole = whole.then(|| (line, [x.to_owned(), y.to_owned()]));
                self.all_grouped = grouped;
            }
            _ if !whole => self.first_whole = None,
            _ => self.all_grouped &= grouped,
        }
        self.rows += 1;
    }
}

/// Whether thousands could be counted by this mark in a number: one to three digits, not a zero first, then groups of three.
fn is_grouped(field: &str, mark: char) -> bool {
    let mut groups = unsigned(field).split(mark);
    let first = groups.next().unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut rest = groups.peekable();
    rest.peek().is_some()
        && digits(first)
        && may_count_thousands(first)
        && rest.all(|group| group.len() == 3 && digits(group))
}

/// Whether digits could stand before the first mark of thousands.
fn may_count_thousands(digits: &str) -> bool {
    (1..=3).contains(&digits.len()) && !digits.starts_with('0')
}

/// A number without its sign.
fn unsigned(field: &str) -> &str {
    field.strip_prefix(['-', '+', '\u{2212}']).unwrap_or(field)
}

/// A number as Rust writes it, or with U+2212 for its minus, a decimal comma, or Fortran's D for its E.
pub(super) fn number(field: &str) -> Option<f64> {
    if let Ok(number) = field.parse() {
        return Some(number);
    }
    let plain = field.replace('\u{2212}', "-");
    let only = |allowed: &str| plain.chars().all(|c| c.is_ascii_digit() || allowed.contains(c));
    if only("+-,eE") && plain.matches(',').count() == 1 {
        return plain.replace(',', ".").parse().ok();
    }
    if only("+-.dD") {
        return plain.replace(['d', 'D'], "e").parse().ok();
    }
    plain.parse().ok()
}
