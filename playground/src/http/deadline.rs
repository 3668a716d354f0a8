//! `?timeout=`: how long a client will wait for an answer, as Go writes durations.
//!
//! Every answer comes before any deadline, so all that is left to do is to refuse what is no duration, in the words of
//! Go's `time.ParseDuration`. Watches have deadlines of their own and never look at this one.

const UNITS: [&str; 8] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];

/// What is wrong with a duration.
pub(super) fn fault(text: &str) -> Option<String> {
    let invalid = || Some(format!("time: invalid duration {text:?}"));
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return None;
    }
    if rest.is_empty() {
        return invalid();
    }
    while !rest.is_empty() {
        let number = |text: &str| text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let whole = number(rest);
        rest = &rest[whole..];
        let fraction = rest.strip_prefix('.').map(|after| (number(after), after));
        if whole == 0 && fraction.is_none_or(|(digits, _)| digits == 0) {
            return invalid();
        }
        if let Some((digits, after)) = fraction {
            rest = &after[digits..];
        }
        let end = rest.find(|character: char| character == '.' || character.is_ascii_digit()).unwrap_or(rest.len());
        let unit = &rest[..end];
        if unit.is_empty() {
            return Some(format!("time: missing unit in duration {text:?}"));
        }
        if !UNITS.contains(&unit) {
            return Some(format!("time: unknown unit {unit:?} in duration {text:?}"));
        }
        rest = &rest[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn a_duration_is_read_as_go_reads_it() {
        for good in ["0", "0s", "-1s", "35s", "1h2m3.5s", ".5s", "1.s", "100ms", "+3us"] {
            assert_eq!(fault(good), None, "{good}");
        }
        for (bad, wanted) in [
            ("zz", "invalid duration \"zz\""),
            ("", "invalid duration \"\""),
            ("-", "invalid duration \"-\""),
            (".s", "invalid duration \".s\""),
            ("1", "missing unit in duration \"1\""),
            ("1s5", "missing unit in duration \"1s5\""),
            ("3d", "unknown unit \"d\" in duration \"3d\""),
        ] {
            assert_eq!(fault(bad), Some(format!("time: {wanted}")), "{bad}");
        }
    }
}
