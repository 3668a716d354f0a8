//! The warnings of one request, gathered wherever they arise, for its `Warning` headers.
//!
//! Each text is told once. Together they may be long, and headers may not: beyond a limit each is cut, and what is
//! still too much is left out (`k8s.io/apiserver/pkg/endpoints/filters/warning.go`).

use std::sync::{Mutex, PoisonError};

/// Up to so many characters in all, nothing is cut.
const MAX_TOTAL: usize = 4 << 10;
/// What is left of each text beyond that.
const MAX_CUT: usize = 256;

/// Warnings in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Adds one, unless it is there.
    pub(crate) fn add(&self, warning: String) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !warning.is_empty() && !texts.contains(&warning) {
            texts.push(warning);
        }
    }

    /// All, as long as headers can bear them.
    pub(crate) fn take(&self) -> Vec<String> {
        let texts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let length = |text: &String| text.chars().count();
        if texts.iter().map(length).sum::<usize>() <= MAX_TOTAL {
            return texts;
        }
        let cut = texts.iter().map(|text| text.chars().take(MAX_CUT).collect::<String>());
        let mut total = 0;
        cut.take_while(|text| {
            total += length(text);
            total <= MAX_TOTAL
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_once_and_short_ones_are_told_whole() {
        let warnings = Warnings::default();
        for text in ["a", "b", "a", ""] {
            warnings.add(text.to_owned());
        }
        assert_eq!(warnings.take(), ["a", "b"]);
    }

    #[test]
    fn more_than_headers_can_bear_is_cut() {
        let warnings = Warnings::default();
        for at in 0..100 {
            warnings.add(format!("{at} {}", "x".repeat(1000)));
        }
        let taken = warnings.take();
        assert_eq!(taken.len(), MAX_TOTAL / MAX_CUT);
        assert!(taken.iter().all(|text| text.len() == MAX_CUT));
    }
}
