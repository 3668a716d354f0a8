//! The picture: a pure function from the model, the time and the size of the terminal to lines.
//!
//! ```text
//!  header    who leads
//!  table     the servers                     at least one row; scrolls with the selection
//!  detail    the selected server in full     not on a low terminal
//!  story     what has happened               whatever is left, at least a few lines
//!  footer    the command for kubectl, the keys
//! ```
//!
//! The narrower the terminal, the fewer columns; the lower, the fewer parts ([`Room`]). What is left is never cut in
//! the middle of a word, except for long names and addresses, which stand in the detail in full.

mod footer;
mod servers;
mod story;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};

use super::model::{Leader, Model};
use super::text::{age, fit, width};
use crate::operators;

/// Draws the view on the whole frame.
pub(crate) fn draw(model: &Model, now: Timestamp, frame: &mut Frame<'_>) {
    let area = frame.area();
    frame.render_widget(Text::from(picture(model, now, area.width.into(), area.height.into())), area);
}

/// What there is space for, by the height of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Everything, with rules between the parts.
    Ample,
    /// No rules, and only the address or the trouble of the selected server.
    Some,
    /// No detail and no head above the table.
    Little,
}

impl Room {
    fn of(height: usize) -> Self {
        match height {
            20.. => Self::Ample,
            12.. => Self::Some,
            _ => Self::Little,
        }
    }

    /// How many lines of the story there are at least.
    fn least_story(self) -> usize {
        match self {
            Self::Ample => 5,
            Self::Some => 3,
            Self::Little => 2,
        }
    }
}

fn picture(model: &Model, now: Timestamp, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let room = Room::of(rows);
    let footer = footer::lines(model, room, columns);
    let mut lines = vec![header(model, now, columns)];
    if room == Room::Ample {
        lines.push(Line::default());
    }
    let detail = servers::detail(model, now, room, columns);
    let around = match room {
        Room::Ample => [Line::default(), rule("What happens", &faults(model), columns)].to_vec(),
        Room::Some | Room::Little => Vec::new(),
    };
    let head = usize::from(room != Room::Little);
    let spare = rows.saturating_sub(lines.len() + head + detail.len() + around.len() + footer.len());
    let table = model.servers().len().min(spare.saturating_sub(room.least_story())).max(1);
    lines.extend(servers::table(model, now, columns, table).into_iter().skip(1 - head));
    let mut around = around.into_iter();
    lines.extend(around.next());
    lines.extend(detail);
    lines.extend(around);
    lines.extend(story::lines(model, columns, spare.saturating_sub(table)));
    lines.resize(rows.saturating_sub(footer.len()), Line::default());
    lines.extend(footer);
    lines
}

/// The title at the left, who leads at the right; only who leads where there is no space for both.
fn header(model: &Model, now: Timestamp, columns: usize) -> Line<'static> {
    let (title, leads) = ("Smooth Operator playground", leadership(model, now));
    let margin = margin(columns);
    let style = match model.leader() {
        Leader::Operator(_) => Style::new(),
        Leader::Nobody | Leader::Dead(_) | Leader::Stranger => Style::new().fg(Color::Yellow),
    };
    let used = 2 * margin + width(title) + width(&leads);
    if used + 2 > columns {
        return Line::from(vec![gap(margin), Span::styled(fit(&leads, columns), style)]);
    }
    Line::from(vec![gap(margin), Span::styled(title, bold()), gap(columns - used), Span::styled(leads, style)])
}

fn leadership(model: &Model, now: Timestamp) -> String {
    let others: Vec<String> = model.standing_by().map(|number| (number + 1).to_string()).collect();
    match model.leader() {
        Leader::Operator(number) if others.is_empty() => format!("{} leads, alone", operators::name(number)),
        Leader::Operator(number) => format!("{} leads, {} stands by", operators::name(number), others.join(" and ")),
        Leader::Nobody => "nobody leads yet".to_owned(),
        Leader::Dead(Some(until)) if until > now => {
            format!("the leader is dead; Lease ends in {}", age(until, now))
        }
        Leader::Dead(_) => "the leader is dead; Lease has ended".to_owned(),
        Leader::Stranger => "somebody from outside leads".to_owned(),
    }
}

/// Which faults have struck, and how often.
fn faults(model: &Model) -> String {
    let struck: Vec<String> = model.faults().iter().map(|(class, total)| format!("{class} {total}x")).collect();
    if struck.is_empty() { String::new() } else { format!("faults: {}", struck.join(", ")) }
}

/// A line across the screen, with a title, and at the right something to notice.
fn rule(title: &str, notice: &str, columns: usize) -> Line<'static> {
    let margin = margin(columns);
    let title = format!("── {} ", fit(title, columns.saturating_sub(4 + 2 * margin)));
    let space = columns.saturating_sub(width(&title) + 2 * margin);
    let notice = fit(notice, space.saturating_sub(6));
    if notice.is_empty() {
        return Line::from(vec![gap(margin), Span::styled(title + &"─".repeat(space), dim())]);
    }
    let dashes = "─".repeat(space - width(&notice) - 4);
    Line::from(vec![
        gap(margin),
        Span::styled(title + &dashes, dim()),
        Span::styled(format!(" {notice} "), Style::new().fg(Color::Yellow)),
        Span::styled("──", dim()),
    ])
}

/// Less than this many cells are too few for a sentence next to a name.
const NARROW: usize = 72;

/// The cells that stay free at the left and at the right.
fn margin(columns: usize) -> usize {
    usize::from(columns >= NARROW)
}

fn gap(cells: usize) -> Span<'static> {
    Span::raw(" ".repeat(cells))
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

#[cfg(test)]
mod tests;
