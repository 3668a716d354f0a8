//! Values of flags that several commands take.

use std::time::Duration;

/// The namespaces to serve; an empty list means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespaces(pub(super) Vec<String>);

pub(super) fn namespaces(text: &str) -> Result<Namespaces, String> {
    if text == "all" {
        return Ok(Namespaces(Vec::new()));
    }
    let mut names = text.split(',').map(label).collect::<Result<Vec<String>, String>>()?;
    names.sort();
    names.dedup();
    Ok(Namespaces(names))
}

/// A DNS label, which is required of namespaces.
pub(super) fn label(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = !text.is_empty()
        && text.len() <= 63
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a valid name: use at most 63 lower-case letters, digits and '-', with no '-' at either end"
        ))
    }
}

/// `90s`, `5m`, `1h30m`: the notation of Kubernetes' own programs.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span = text
        .parse::<jiff::SignedDuration>()
        .map_err(|_| format!("{text:?} is not a duration: use 90s, 5m or 1h30m"))?;
    Duration::try_from(span).map_err(|_| format!("{text:?} is negative: use 90s, 5m or 1h30m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_elsewhere_in_kubernetes() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("ten").unwrap_err().contains("use 90s"));
        assert!(duration("-5s").is_err());
    }

    #[test]
    fn all_namespaces_are_none_in_particular() {
        assert_eq!(namespaces("all"), Ok(Namespaces(vec![])));
        assert_eq!(namespaces("b,a,b"), Ok(Namespaces(vec!["a".into(), "b".into()])));
    }
}
