//! The table of the servers, and the selected one in full.

use jiff::Timestamp;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::{NARROW, Room, bold, dim, gap, margin};
use crate::view::model::{Key, Model};
use crate::view::server::Server;
use crate::view::text::{age, fit, left, right, width};

/// The widths of the columns, in cells; 0 for a column that has no space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    name: usize,
    age: usize,
    place: usize,
    event: usize,
    /// Whether addresses are shown as URLs; without `http://` they need less space.
    scheme: bool,
}

/// The longest phase.
const PHASE: usize = 12;
/// `10/10`, and the head of the column.
const READY: usize = 5;
const AGE: usize = 3;
/// Less than this is too little for an address if the last Event is to stand next to it.
const PLACE: usize = 40;
/// The marks at the left, a phase, a count and two spaces between columns, but only one before the count, which stands at
/// the right of its column.
const ALWAYS: usize = 2 + 2 + PHASE + 1 + READY;
/// An Event's reason and age, such as `DeploymentUpdated, 99s ago`.
const EVENT: usize = 26;
const SCHEME: &str = "http://";

/// The head, and `rows` of the rows.
pub(super) fn table(model: &Model, now: Timestamp, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let widths = widths(model, columns);
    let mut lines = vec![head(widths)];
    if model.servers().len() == 0 {
        lines.push(Line::from(vec![gap(2), Span::styled("no MCPServer; a applies a sample", dim())]));
        return lines;
    }
    let first = first_row(model.selected_place().unwrap_or(0), model.servers().len(), rows);
    let last = (first + rows).min(model.servers().len());
    for (place, (key, server)) in model.servers().enumerate().take(last).skip(first) {
        let more_above = place == first && first > 0;
        let more_below = place + 1 == last && last < model.servers().len();
        let scroll = if more_above {
            "▴"
        } else if more_below {
            "▾"
        } else {
            " "
        };
        lines.push(row(model, now, widths, scroll, key, server));
    }
    lines
}

/// The first row to show, so that the selected one is in the middle as far as possible.
fn first_row(selected: usize, all: usize, rows: usize) -> usize {
    selected.saturating_sub(rows / 2).min(all.saturating_sub(rows))
}

fn widths(model: &Model, columns: usize) -> Columns {
    let longest = model.servers().map(|(key, _)| width(&name(key))).max().unwrap_or(0);
    let narrow = columns < NARROW;
    let columns = columns.saturating_sub(margin(columns));
    let most = if narrow { columns.saturating_sub(ALWAYS) } else { columns / 3 };
    let name = longest.clamp(4, most.max(4));
    let rest = columns.saturating_sub(ALWAYS + name);
    let age = if rest >= 2 + AGE { AGE } else { 0 };
    let rest = if narrow { 0 } else { rest.saturating_sub(2 + AGE + 2) };
    let event = if rest >= PLACE + 2 + EVENT { EVENT } else { 0 };
    let place = if event > 0 { rest - 2 - event } else { rest };
    let scheme = model.servers().filter_map(|(_, server)| server.url.as_deref()).all(|url| width(url) <= place);
    Columns { name, age, place, event, scheme }
}

fn head(widths: Columns) -> Line<'static> {
    let Columns { name, age, place, event, scheme: _ } = widths;
    let mut text = format!("  {}  {} {}", left("NAME", name), left("PHASE", PHASE), right("READY", READY));
    for (head, cells) in [("AGE", age), ("URL OR REASON", place), ("LAST EVENT", event)] {
        if cells > 0 {
            text = format!("{text}  {}", left(head, cells));
        }
    }
    Line::from(Span::styled(text, dim()))
}

fn row(model: &Model, now: Timestamp, widths: Columns, scroll: &str, key: &Key, server: &Server) -> Line<'static> {
    let Columns { name: for_name, age: for_age, place: for_place, event: for_event, scheme } = widths;
    let selected = model.selected().is_some_and(|(selected, _)| selected == key);
    let (mark, style) = if selected { ("▸", bold()) } else { (" ", Style::new()) };
    let phase = server.phase.as_deref().unwrap_or("-");
    let ready = format!("{}/{}", server.ready, server.wanted);
    let mut spans = vec![
        Span::styled(format!("{mark}{scroll}{}  ", left(&name(key), for_name)), style),
        Span::styled(left(phase, PHASE), style.patch(colour(phase))),
        Span::styled(format!(" {}", right(&ready, READY)), style),
    ];
    if for_age > 0 {
        let since = server.created.map(|created| age(now, created)).unwrap_or_default();
        spans.push(Span::styled(format!("  {}", left(&since, for_age)), style));
    }
    if for_place > 0 {
        let place = match (&server.trouble, &server.url) {
            (Some(trouble), _) => trouble.as_str(),
            (None, Some(url)) if scheme => url,
            (None, Some(url)) => url.strip_prefix(SCHEME).unwrap_or(url),
            (None, None) => "",
        };
        spans.push(Span::styled(format!("  {}", left(place, for_place)), style));
    }
    if for_event > 0
        && let Some(spoken) = model.spoken(key)
    {
        let ago = spoken.at.map(|at| format!(", {} ago", age(now, at))).unwrap_or_default();
        let event = fit(&format!("{}{ago}", spoken.reason), for_event);
        spans.extend([gap(2), Span::styled(event, style.patch(warning(spoken.warns)))]);
    }
    Line::from(spans)
}

/// The selected server in full, as far as there is room. It takes the same number of lines whatever there is to say,
/// because the parts below should not jump.
pub(super) fn detail(model: &Model, now: Timestamp, room: Room, columns: usize) -> Vec<Line<'static>> {
    let Some((key, server)) = model.selected() else {
        return match room {
            Room::Ample => vec![Line::default(); 3],
            Room::Some => vec![Line::default()],
            Room::Little => Vec::new(),
        };
    };
    let limit = columns.saturating_sub(9 + margin(columns));
    let line = |label: &str, text: &str, style| {
        Line::from(vec![Span::styled(format!("  {}  ", left(label, 5)), dim()), Span::styled(fit(text, limit), style)])
    };
    let place = match (&server.trouble, &server.url) {
        (Some(trouble), _) => line("why", trouble, colour(server.phase.as_deref().unwrap_or_default())),
        (None, url) => line("url", url.as_deref().unwrap_or("none"), Style::new()),
    };
    let event = match model.spoken(key) {
        Some(spoken) => {
            let ago = spoken.at.map(|at| format!("{} ago, ", age(now, at))).unwrap_or_default();
            line("event", &format!("{ago}{}: {}", spoken.reason, spoken.note), warning(spoken.warns))
        }
        None => line("event", "none yet", dim()),
    };
    match room {
        Room::Ample => vec![line("image", &server.image, Style::new()), place, event],
        Room::Some => vec![place],
        Room::Little => Vec::new(),
    }
}

fn name((namespace, name): &Key) -> String {
    if namespace == "default" { name.clone() } else { format!("{namespace}/{name}") }
}

fn colour(phase: &str) -> Style {
    match phase {
        "Running" => Style::new().fg(Color::Green),
        "Pending" | "Progressing" | "Terminating" => Style::new().fg(Color::Yellow),
        "Degraded" | "Failed" => Style::new().fg(Color::Red),
        _ => dim(),
    }
}

fn warning(warns: bool) -> Style {
    if warns { Style::new().fg(Color::Yellow) } else { Style::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_among_those_that_are_shown() {
        for rows in 1..5 {
            for selected in 0..9 {
                let first = first_row(selected, 9, rows);
                assert!((first..first + rows).contains(&selected) && first + rows <= 9, "{selected} of {rows}");
            }
        }
        assert_eq!(first_row(2, 3, 5), 0, "all fit");
    }
}
