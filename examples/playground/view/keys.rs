//! What a key means: a pure function from the key and the state of the view.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Key, Leader, Model};
use super::server::{Image, Server};
/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// End everything.
    Quit,
    /// Select the server this many places further down.
    Select(isize),
    /// Do something to the cluster.
    Do(Deed),
    /// Kill the operator with this number.
    Kill(usize),
    /// Nothing, for this reason.
    Explain(String),
}

/// A change to the cluster, which is made over HTTP. It says what to do, not what the result is: keys can be pressed
/// faster than changes become visible, and two presses of `+` are two pods more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Apply the next sample.
    Apply,
    /// So many replicas more or fewer.
    Scale(Key, i64),
    /// An image that can't be pulled; if it has such a one, the one that it had before.
    BreakOrMend(Key),
    /// Change the data of the Secret with this namespace and name.
    Rotate(Key),
    /// Cut all watches of the operators.
    CutWatches,
    /// Delete a server.
    Delete(Key),
}

/// What a key asks for; none for a key without a meaning.
pub(crate) fn action(key: KeyEvent, model: &Model) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
    }
    let selected = |ask: fn(&Key, &Server) -> Action| match model.selected() {
        Some((key, server)) => ask(key, server),
        None => Action::Explain("there is no server; a applies a sample".to_owned()),
    };
    Some(match key.code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Up => Action::Select(-1),
        KeyCode::Down => Action::Select(1),
        KeyCode::Char('a') => Action::Do(Deed::Apply),
        KeyCode::Char('+' | '=') => selected(|key, _| Action::Do(Deed::Scale(key.clone(), 1))),
        KeyCode::Char('-') => selected(|key, _| Action::Do(Deed::Scale(key.clone(), -1))),
        KeyCode::Char('b') => selected(|key, _| Action::Do(Deed::BreakOrMend(key.clone()))),
        KeyCode::Char('s') => selected(rotate),
        KeyCode::Char('w') => Action::Do(Deed::CutWatches),
        KeyCode::Char('k') => kill(model),
        KeyCode::Char('d') => selected(|key, _| Action::Do(Deed::Delete(key.clone()))),
        _ => return None,
    })
}

fn rotate((namespace, name): &Key, server: &Server) -> Action {
    match &server.secret {
        Some(secret) => Action::Do(Deed::Rotate((namespace.clone(), secret.clone()))),
        None => Action::Explain(format!("{name} has no Secret; example-server has one")),
    }
}

fn kill(model: &Model) -> Action {
    match model.leader() {
        Leader::Operator(number) => Action::Kill(number),
        Leader::Nobody | Leader::Dead(_) => Action::Explain("nobody leads at the moment".to_owned()),
        Leader::Stranger => Action::Explain("the leader was not started here".to_owned()),
    }
}

/// A key and what it does, for the last lines of the screen: in some words, and in one.
pub(crate) struct Hint {
    /// The key.
    pub(crate) key: &'static str,
    /// In some words.
    pub(crate) long: &'static str,
    /// In one word, or in none if the key speaks for itself.
    pub(crate) short: &'static str,
}

/// The keys, in the order in which they are shown.
pub(crate) fn hints(model: &Model) -> Vec<Hint> {
    let broken = model.selected().is_some_and(|(_, server)| matches!(server.other_image(), Image::Mended(_)));
    let (image, mend) = if broken { ("mend its image", "mend") } else { ("break its image", "break") };
    let hint = |key, long, short| Hint { key, long, short };
    vec![
        hint("↑↓", "select", ""),
        hint("a", "apply a sample", "apply"),
        hint("+-", "scale", "scale"),
        hint("b", image, mend),
        hint("s", "rotate its Secret", "secret"),
        hint("d", "delete it", "delete"),
        hint("w", "cut the watches", "cut"),
        hint("k", "kill the leader", "kill"),
        hint("q", "quit", "quit"),
    ]
}

#[cfg(test)]
mod tests;
