//! What has happened, the newest at the bottom.

use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::{NARROW, dim, gap, margin};
use crate::story;
use crate::view::model::Model;
use crate::view::text::{fit, left, width, wrap};

/// From this height on, a line that is too long is continued below. Where there are fewer lines, more of them are worth
/// more than the end of one.
const WRAPS: usize = 5;

/// The last lines, as many as fit into `rows`.
pub(super) fn lines(model: &Model, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let longest = model.servers().map(|((_, name), _)| width(name)).max().unwrap_or(0);
    let for_name = longest.clamp(15, 22);
    let mut newest_first = Vec::new();
    for line in model.newest() {
        if newest_first.len() >= rows {
            break;
        }
        newest_first.extend(entry(line, columns, for_name, rows >= WRAPS).into_iter().rev());
    }
    newest_first.truncate(rows);
    newest_first.reverse();
    newest_first
}

/// One line of the story: as many lines of the screen as it takes, or only one.
fn entry(line: &story::Line, columns: usize, for_name: usize, wraps: bool) -> Vec<Line<'static>> {
    let story::Line { at, kind, name, text } = line;
    let margin = margin(columns);
    let narrow = columns < NARROW;
    let seconds = at.as_secs_f32();
    let (time, what) = if narrow {
        (format!("{seconds:5.0}s "), format!("{name} "))
    } else {
        // A name that is too long pushes the text to the right. It is a pod's, and its text is short.
        (format!("{seconds:7.2}s  "), format!("{}  ", left(name, for_name.max(width(name)))))
    };
    let kind = if narrow { String::new() } else { format!("{}  ", left(kind, 10)) };
    // What is continued begins under the name, where there is space for an address.
    let indent = margin + width(&time) + width(&kind);
    let limit = columns.saturating_sub(indent + margin);
    let first = limit.saturating_sub(width(&what));
    let mut texts = if wraps { wrap(text, first, limit) } else { vec![fit(text, first)] }.into_iter();
    let first = Line::from(vec![
        gap(margin),
        Span::styled(time, dim()),
        Span::styled(kind, of_kind(line.kind)),
        Span::raw(what),
        Span::raw(texts.next().unwrap_or_default()),
    ]);
    let more = texts.map(|text| Line::from(vec![gap(indent), Span::raw(text)]));
    std::iter::once(first).chain(more).collect()
}

/// What a person does, and what becomes of the operators, stands out from what follows from it.
fn of_kind(kind: &str) -> Style {
    match kind {
        "You" => Style::new().fg(Color::Cyan),
        "Operator" => Style::new().fg(Color::Yellow),
        _ => dim(),
    }
}
