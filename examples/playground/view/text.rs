//! Text in a limited space: cut and wrapped between words, measured in cells of the terminal.

use jiff::Timestamp;
use ratatui::text::Span;

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text in one line of at most `limit` cells. What does not fit is replaced by `…`, behind a whole word if one fits.
pub(crate) fn fit(text: &str, limit: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    if width(&text) <= limit {
        return text;
    }
    let (start, rest) = split_at_cell(&text, limit.saturating_sub(1));
    let between_words = rest.starts_with(' ');
    let whole = if between_words { Some(start) } else { start.rsplit_once(' ').map(|(whole, _)| whole) };
    // Half of the space, or it is better spent on a part of a long word, such as a URL.
    let kept = whole.filter(|whole| width(whole) * 2 >= limit).unwrap_or(start);
    let mark = if limit > 0 { "…" } else { "" };
    format!("{}{mark}", kept.trim_end_matches([' ', ',', ':', ';']))
}

/// The text in as many lines as it takes, of at most `first` cells, and then of at most `limit`. Only words that are
/// longer than a line are cut.
pub(crate) fn wrap(text: &str, first: usize, limit: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for mut word in text.split_whitespace() {
        loop {
            let space = if lines.is_empty() { first } else { limit }.max(1);
            let used = if line.is_empty() { 0 } else { width(&line) + 1 };
            if used + width(word) <= space {
                break;
            }
            if used == 0 && (!lines.is_empty() || width(word) > limit) {
                let (start, rest) = split_at_cell(word, space);
                // A character that is wider than the line: there is no place for it at all.
                if start.is_empty() {
                    break;
                }
                (line, word) = (start.to_owned(), rest);
            }
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Splits behind the last character that ends within the first `cells`.
fn split_at_cell(text: &str, cells: usize) -> (&str, &str) {
    let mut used = 0;
    let fits = |c: &char| {
        used += width(c.encode_utf8(&mut [0; 4]));
        used <= cells
    };
    text.split_at(text.chars().take_while(fits).map(char::len_utf8).sum())
}

/// The text at the left of a column of this many cells.
pub(crate) fn left(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    let gap = " ".repeat(cells.saturating_sub(width(&text)));
    text + &gap
}

/// The text at the right of a column of this many cells.
pub(crate) fn right(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    " ".repeat(cells.saturating_sub(width(&text))) + &text
}

/// The time between two moments in at most three characters: `99s`, `99m`, `99h`, `99d`.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let units = [("s", 1), ("m", 60), ("h", 60 * 60)];
    let unit = units.into_iter().find(|(_, unit)| seconds / unit < 100);
    let (name, unit) = unit.unwrap_or(("d", 24 * 60 * 60));
    format!("{}{name}", (seconds / unit).min(99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(fit("two words", 9), "two words");
        assert_eq!(fit("", 0), "");
    }

    #[test]
    fn what_does_not_fit_is_cut_behind_a_word() {
        assert_eq!(fit("Deployment fetch created", 17), "Deployment fetch…");
        assert_eq!(fit("Deployment fetch created", 20), "Deployment fetch…");
    }

    #[test]
    fn a_word_is_cut_where_the_line_would_be_almost_empty_otherwise() {
        assert_eq!(fit("a http://example-server.default.svc:8080/mcp", 20), "a http://example-se…");
        assert_eq!(fit("example-server", 8), "example…");
        assert_eq!(fit("example", 1), "…");
        assert_eq!(fit("example", 0), "");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(width("日本"), 4);
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(left("日", 4), "日  ");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("the server is available", 13, 13), ["the server is", "available"]);
        assert_eq!(wrap("a\nb", 10, 10), ["a b"]);
        assert_eq!(wrap("", 10, 10), [""]);
    }

    #[test]
    fn only_a_word_that_is_longer_than_a_line_is_broken() {
        assert_eq!(wrap("at http://fetch.svc", 10, 10), ["at", "http://fet", "ch.svc"]);
        assert_eq!(wrap("日", 1, 1), ["日"]);
    }

    #[test]
    fn a_word_that_is_too_long_for_the_first_line_goes_to_the_second_one_in_full() {
        assert_eq!(wrap("at http://fetch", 6, 12), ["at", "http://fetch"]);
        assert_eq!(wrap("http://fetch", 6, 12), ["", "http://fetch"]);
    }

    #[test]
    fn an_age_has_three_characters_at_most() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ages = [0, 99, 100, 5999, 6000, 359_999, 360_000, 100 * 24 * 60 * 60];
        let told: Vec<String> = ages.into_iter().map(|seconds| age(at(seconds), at(0))).collect();
        assert_eq!(told, ["0s", "99s", "1m", "99m", "1h", "99h", "4d", "99d"]);
        assert_eq!(age(at(0), at(5)), "0s", "a clock that went back");
    }
}
