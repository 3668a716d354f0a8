//! Quantities such as `100m`, `1.5Gi`, `2e3`: parsing and the canonical form.
//!
//! The server answers with the canonical form (`1000m` becomes `1`, `0.5` becomes
//! `500m`, `1024Mi` becomes `1Gi`), the largest suffix that leaves a whole number.
//! A client that applies `1000m` for ever and reads `1` for ever must not take that
//! for a difference, so the embedded server has to do the same.

/// What Kubernetes says to anything that is no quantity.
pub(crate) const COMPLAINT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const NANO: i128 = 1_000_000_000;
const DECIMAL: [(&str, i128); 10] = [
    ("E", 1_000_000_000_000_000_000 * NANO),
    ("P", 1_000_000_000_000_000 * NANO),
    ("T", 1_000_000_000_000 * NANO),
    ("G", 1_000_000_000 * NANO),
    ("M", 1_000_000 * NANO),
    ("k", 1_000 * NANO),
    ("", NANO),
    ("m", 1_000_000),
    ("u", 1_000),
    ("n", 1),
];
const BINARY: [(&str, i128); 6] = [
    ("Ei", (1 << 60) * NANO),
    ("Pi", (1 << 50) * NANO),
    ("Ti", (1 << 40) * NANO),
    ("Gi", (1 << 30) * NANO),
    ("Mi", (1 << 20) * NANO),
    ("Ki", (1 << 10) * NANO),
];

/// A quantity: an amount in billionths, and how it likes to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity {
    nanos: i128,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Decimal,
    Binary,
    Exponent,
}

impl Quantity {
    /// One whole.
    pub(super) const ONE: Self = Self { nanos: NANO, style: Style::Decimal };

    /// Reads a quantity; `None` if it is none, or larger than 2^63 - 1.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text
            .bytes()
            .enumerate()
            .position(|(i, c)| !(c.is_ascii_digit() || c == b'.' || i == 0 && b"+-".contains(&c)))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let (unit, style) = unit(suffix)?;
        let nanos = scale(number, unit)?;
        (nanos.abs() <= i128::from(i64::MAX) * NANO).then_some(Self { nanos, style })
    }

    /// The amount, for comparing two quantities.
    pub(crate) fn nanos(self) -> i128 {
        self.nanos
    }

    /// The same in thousandths, rounded up.
    pub(super) fn millis(self) -> i128 {
        -((-self.nanos).div_euclid(1_000_000))
    }

    /// The form in which the server answers.
    pub(super) fn canonical(self) -> String {
        match self.style {
            Style::Binary if self.nanos.abs() >= 1024 * NANO => self.in_units(&BINARY),
            Style::Decimal | Style::Binary => self.in_units(&DECIMAL),
            Style::Exponent => self.in_exponents(),
        }
    }

    fn in_units(self, units: &[(&str, i128)]) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        for (suffix, unit) in units {
            if self.nanos % unit == 0 {
                return format!("{}{suffix}", self.nanos / unit);
            }
        }
        // Binary quantities that aren't whole kibibytes.
        format!("{}", self.nanos / NANO)
    }

    fn in_exponents(self) -> String {
        for (index, (_, unit)) in DECIMAL.iter().enumerate() {
            if self.nanos != 0 && self.nanos % unit == 0 {
                let number = self.nanos / unit;
                let exponent = 18 - 3 * i32::try_from(index).unwrap_or(0);
                return match exponent {
                    0 => number.to_string(),
                    _ => format!("{number}e{exponent}"),
                };
            }
        }
        "0".to_owned()
    }
}

fn unit(suffix: &str) -> Option<(i128, Style)> {
    let find = |units: &[(&str, i128)]| {
        let found = units.iter().find(|(name, _)| *name == suffix);
        found.map(|(_, unit)| *unit)
    };
    if let Some(unit) = find(&DECIMAL) {
        return Some((unit, Style::Decimal));
    }
    if let Some(unit) = find(&BINARY) {
        return Some((unit, Style::Binary));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = u32::try_from(exponent + 9).ok().filter(|p| *p <= 27)?;
    Some((10_i128.pow(power), Style::Exponent))
}

/// `number * unit`, rounded up to the next billionth as Kubernetes does.
fn scale(number: &str, unit: i128) -> Option<i128> {
    let (negative, number) = match number.as_bytes().first()? {
        b'-' => (true, &number[1..]),
        b'+' => (false, &number[1..]),
        _ => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || fraction.len() > 18 {
        return None;
    }
    let parse = |digits: &str| match digits {
        "" => Some(0_i128),
        _ => digits.parse().ok(),
    };
    let whole = parse(whole)?.checked_mul(unit)?;
    let divisor = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = parse(fraction)?.checked_mul(unit)?;
    let rounded = fraction / divisor + i128::from(fraction % divisor != 0);
    let sum = whole.checked_add(rounded)?;
    Some(if negative { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    fn canonical(text: &str) -> String {
        Quantity::parse(text).unwrap().canonical()
    }

    #[test]
    fn the_canonical_form_uses_the_largest_suffix_that_leaves_a_whole_number() {
        for (given, expected) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("100m", "100m"),
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1536Mi", "1536Mi"),
            ("512Ki", "512Ki"),
            ("100Ki", "100Ki"),
            ("2e3", "2e3"),
            ("64000M", "64G"),
            ("0", "0"),
            ("-1", "-1"),
            (".5", "500m"),
        ] {
            assert_eq!(canonical(given), expected, "{given}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "x", "1x", "1.2.3", "1KiB", "1ki", "--1", "."] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
