//! The sessions of a legacy server.
//!
//! Each stays until its client ends it: whoever forgets that finds all places taken one day, as with a real server.

use std::collections::BTreeMap;

/// As many as one server has room for.
pub(super) const MOST: usize = 1000;

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Between `initialize` and `notifications/initialized`: nothing else is answered yet.
    Opening,
    Open,
}

/// All that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// What tells this server's ids from those of others.
    prefix: String,
    /// How many there ever were.
    count: u64,
    open: BTreeMap<String, Stage>,
}

impl Sessions {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::default() }
    }

    /// Opens one, if there is room: its id.
    pub(super) fn begin(&mut self) -> Option<String> {
        if self.open.len() >= MOST {
            return None;
        }
        self.count += 1;
        let id = format!("{}-{}", self.prefix, self.count);
        self.open.insert(id.clone(), Stage::Opening);
        Some(id)
    }

    pub(super) fn stage(&self, id: &str) -> Option<Stage> {
        self.open.get(id).copied()
    }

    /// The client has said that it is ready.
    pub(super) fn initialized(&mut self, id: &str) {
        if let Some(stage) = self.open.get_mut(id) {
            *stage = Stage::Open;
        }
    }

    pub(super) fn end(&mut self, id: &str) {
        self.open.remove(id);
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_ends_a_session_finds_no_room_some_day_and_ended_ones_make_room() {
        let mut sessions = Sessions::new("u");
        let ids: Vec<_> = (0..MOST).map(|_| sessions.begin().unwrap()).collect();
        assert_eq!(sessions.begin(), None);
        sessions.end(&ids[3]);
        let next = sessions.begin().unwrap();
        assert!(!ids.contains(&next), "an id comes once");
        assert_eq!(sessions.len(), MOST);
    }
}
