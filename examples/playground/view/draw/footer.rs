//! The last lines: how kubectl gets here, where the log is, and the keys.

use ratatui::text::{Line, Span};

use super::{Room, bold, dim, gap, margin, rule};
use crate::view::keys::{self, Hint};
use crate::view::model::Model;
use crate::view::text::{fit, width};

/// The keys may take so many lines.
const LINES: usize = 2;

/// All of the footer.
pub(super) fn lines(model: &Model, room: Room, columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if room == Room::Ample {
        lines.push(rule(&format!("operator's log in {}", model.signs.log), "", columns));
    }
    lines.push(export(&model.signs.exports, columns));
    lines.extend(keys(&keys::hints(model), columns));
    lines
}

/// The best command that fits. It is there to be copied, so it is not shortened with `…`, except when nothing fits.
fn export(exports: &[String], columns: usize) -> Line<'static> {
    let limit = columns.saturating_sub(2 * margin(columns));
    let fitting = exports.iter().find(|export| width(export) <= limit);
    let text = fitting.cloned().or_else(|| exports.last().map(|export| fit(export, limit))).unwrap_or_default();
    Line::from(vec![gap(margin(columns)), Span::raw(text)])
}

/// The keys with as many words as fit: some for each, or one, or none.
fn keys(hints: &[Hint], columns: usize) -> Vec<Line<'static>> {
    let margin = margin(columns);
    let words: [fn(&Hint) -> &'static str; 3] = [|hint| hint.long, |hint| hint.short, |_| ""];
    let flows = words.map(|word| flow(hints, word, columns.saturating_sub(2 * margin)));
    let [_, _, bare] = &flows;
    let fitting = flows.iter().find(|lines| lines.len() <= LINES).unwrap_or(bare);
    let styled = |hints: &Vec<(&'static str, &'static str)>| {
        let mut spans = vec![gap(margin)];
        for (place, (key, word)) in hints.iter().enumerate() {
            let before = if place == 0 { "" } else { "  " };
            let between = if word.is_empty() { "" } else { " " };
            spans.extend([
                Span::styled(format!("{before}{key}"), bold()),
                Span::styled(format!("{between}{word}"), dim()),
            ]);
        }
        Line::from(spans)
    };
    fitting.iter().map(styled).collect()
}

/// The keys and their words, in lines of at most `limit` cells.
fn flow(hints: &[Hint], word: fn(&Hint) -> &'static str, limit: usize) -> Vec<Vec<(&'static str, &'static str)>> {
    let mut lines = vec![Vec::new()];
    let mut used = 0;
    for hint in hints {
        let word = word(hint);
        let cells = width(hint.key) + usize::from(!word.is_empty()) + width(word);
        let needed = if used == 0 { cells } else { used + 2 + cells };
        if needed > limit && used > 0 {
            lines.push(Vec::new());
            used = cells;
        } else {
            used = needed;
        }
        if let Some(line) = lines.last_mut() {
            line.push((hint.key, word));
        }
    }
    lines
}
