//! The state of the view: values in, no clock, no terminal, no cluster.
//!
//! ```text
//!  watch events --\
//!  operators' lives --> Model --> draw (a frame)
//!  lines to tell --/      ^----- keys (an action)
//! ```
//!
//! It is a cache like any other, level-triggered: a server is what its last object says. Only the story has a memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use playground::cluster::WatchEvent;
use playground::storage::EventKind;
use serde_json::Value;

use super::server::Server;
use crate::operators::{self, COUNT, LEASE, Life};
use crate::story::{Line, Teller};

/// The kind under which the model takes changes of Leases.
pub(crate) const LEASE_KIND: &str = "Lease";

/// How many lines of the story are kept; a high terminal shows fewer.
const STORY: usize = 500;

/// The namespace and the name of an MCPServer.
pub(crate) type Key = (String, String);

/// Everything that the view shows.
#[derive(Debug)]
pub(crate) struct Model {
    /// The MCPServers that exist.
    servers: BTreeMap<Key, Server>,
    /// The last Event about each of them. It may arrive before the server does, since they are two watches.
    spoken: BTreeMap<Key, Spoken>,
    /// In `servers`, unless that is empty.
    selected: Option<Key>,
    /// The last lines, at most [`STORY`].
    story: VecDeque<Line>,
    teller: Teller,
    /// What has become of each operator; none for one that has not started yet.
    operators: [Option<Life>; COUNT],
    /// The identities of all former lives of the operators.
    dead: BTreeSet<String>,
    lease: Lease,
    /// How often each fault has struck. Not a part of the story: several in each second would displace all the rest.
    faults: BTreeMap<&'static str, u64>,
    /// The texts that never change.
    pub(crate) signs: Signs,
}

/// What stays the same for as long as the view is shown.
#[derive(Debug, Clone)]
pub(crate) struct Signs {
    /// The commands that lead kubectl here, the longest and best one first.
    pub(crate) exports: Vec<String>,
    /// The file with the operators' log.
    pub(crate) log: String,
}

/// An Event about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// When it was said last.
    pub(crate) at: Option<Timestamp>,
    /// In one word.
    pub(crate) reason: String,
    /// In a sentence.
    pub(crate) note: String,
    /// Whether it is a warning.
    pub(crate) warns: bool,
}

/// What the Lease says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Lease {
    /// Nobody holds it, or it does not exist.
    #[default]
    Free,
    /// Somebody holds it until then, or longer if it is renewed.
    Held { by: String, until: Option<Timestamp> },
}

/// Who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leader {
    /// Nobody.
    Nobody,
    /// The operator with this number.
    Operator(usize),
    /// An operator that is dead: nobody leads, and nobody may before its Lease expires at this time.
    Dead(Option<Timestamp>),
    /// Somebody who was not started here.
    Stranger,
}

impl Model {
    /// An empty cluster.
    pub(crate) fn new(signs: Signs) -> Self {
        Self {
            servers: BTreeMap::new(),
            spoken: BTreeMap::new(),
            selected: None,
            story: VecDeque::new(),
            teller: Teller::default(),
            operators: [const { None }; COUNT],
            dead: BTreeSet::new(),
            lease: Lease::Free,
            faults: BTreeMap::new(),
            signs,
        }
    }

    /// Something has changed in the cluster.
    pub(crate) fn changed(&mut self, kind: &'static str, event: &WatchEvent, at: Duration) {
        if kind == LEASE_KIND {
            return self.lease_changed(event, at);
        }
        match kind {
            "MCPServer" => self.server_changed(event),
            "Event" => self.event_changed(event),
            _ => {}
        }
        if let Some(line) = self.teller.line(kind, event, at) {
            self.tell(line);
        }
    }

    fn server_changed(&mut self, event: &WatchEvent) {
        let key = key(&event.object["metadata"]);
        match event.kind {
            EventKind::Added | EventKind::Modified => {
                self.servers.insert(key.clone(), Server::read(&event.object));
                self.selected.get_or_insert(key);
            }
            EventKind::Deleted => {
                self.servers.remove(&key);
                self.spoken.remove(&key);
                if self.selected.as_ref() == Some(&key) {
                    let after = self.servers.range(&key..).next();
                    self.selected = after.or(self.servers.last_key_value()).map(|(key, _)| key.clone());
                }
            }
        }
    }

    fn event_changed(&mut self, event: &WatchEvent) {
        let object = &event.object;
        if object["regarding"]["kind"] != "MCPServer" || matches!(event.kind, EventKind::Deleted) {
            return;
        }
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let again = object["series"]["lastObservedTime"].as_str();
        let at = again.or(object["eventTime"].as_str()).and_then(|time| time.parse().ok());
        let spoken = Spoken { at, reason: text("reason"), note: text("note"), warns: object["type"] == "Warning" };
        self.spoken.insert(key(&object["regarding"]), spoken);
    }

    fn lease_changed(&mut self, event: &WatchEvent, at: Duration) {
        if key(&event.object["metadata"]) != (LEASE.0.to_owned(), LEASE.1.to_owned()) {
            return;
        }
        let before = self.leader();
        self.lease = match event.kind {
            EventKind::Added | EventKind::Modified => Lease::read(&event.object),
            EventKind::Deleted => Lease::Free,
        };
        let text = match self.leader() {
            Leader::Operator(number) => format!("{} leads", operators::name(number)),
            Leader::Stranger => "somebody from outside leads".to_owned(),
            Leader::Nobody => "nobody leads".to_owned(),
            // Only a late renewal.
            Leader::Dead(_) => return,
        };
        if before != self.leader() {
            self.tell(Line { at, kind: LEASE_KIND, name: LEASE.1.to_owned(), text });
        }
    }

    /// An operator has started or ended.
    pub(crate) fn lived(&mut self, number: usize, life: Life, at: Duration) {
        let Some(operator) = self.operators.get_mut(number) else { return };
        let text = match &life {
            Life::Up(_) => "started".to_owned(),
            Life::Killed => "killed".to_owned(),
            Life::Ended(why) => format!("ended: {why}"),
        };
        if let Some(Life::Up(identity)) = operator.replace(life) {
            self.dead.insert(identity);
        }
        self.tell(Line { at, kind: "Operator", name: operators::name(number), text });
    }

    /// Faults have struck, so often in all.
    pub(crate) fn struck(&mut self, totals: BTreeMap<&'static str, u64>) {
        self.faults = totals;
    }

    /// Adds a line to the story.
    pub(crate) fn tell(&mut self, line: Line) {
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        self.story.push_back(line);
    }

    /// Selects the server this many places further down (up, if it is negative), as far as there is one.
    pub(crate) fn select(&mut self, down: isize) {
        let here = self.selected_place().unwrap_or(0);
        let place = here.saturating_add_signed(down).min(self.servers.len().saturating_sub(1));
        self.selected = self.servers.keys().nth(place).cloned();
    }

    /// The servers, in the order of the table.
    pub(crate) fn servers(&self) -> impl ExactSizeIterator<Item = (&Key, &Server)> {
        self.servers.iter()
    }

    /// The last Event about a server.
    pub(crate) fn spoken(&self, key: &Key) -> Option<&Spoken> {
        self.spoken.get(key)
    }

    /// The selected server; none if there is no server at all.
    pub(crate) fn selected(&self) -> Option<(&Key, &Server)> {
        self.servers.get_key_value(self.selected.as_ref()?)
    }

    /// The selected server's place in the table, from 0.
    pub(crate) fn selected_place(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.servers.keys().position(|key| key == selected)
    }

    /// The story, the newest line first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Line> {
        self.story.iter().rev()
    }

    /// How often each fault has struck, of those that have.
    pub(crate) fn faults(&self) -> &BTreeMap<&'static str, u64> {
        &self.faults
    }

    /// Who leads, from what the Lease says and who is alive.
    pub(crate) fn leader(&self) -> Leader {
        let Lease::Held { by, until } = &self.lease else { return Leader::Nobody };
        let holds = |life: &Option<Life>| matches!(life, Some(Life::Up(identity)) if identity == by);
        match self.operators.iter().position(holds) {
            Some(number) => Leader::Operator(number),
            None if self.dead.contains(by) => Leader::Dead(*until),
            None => Leader::Stranger,
        }
    }

    /// The numbers of the operators that are alive and don't lead.
    pub(crate) fn standing_by(&self) -> impl Iterator<Item = usize> {
        let leader = self.leader();
        let up = self.operators.iter().enumerate().filter(|(_, life)| matches!(life, Some(Life::Up(_))));
        up.map(|(number, _)| number).filter(move |&number| leader != Leader::Operator(number))
    }
}

impl Lease {
    fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        match spec["holderIdentity"].as_str() {
            None | Some("") => Self::Free,
            Some(by) => {
                let renewed = spec["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
                let lasts = SignedDuration::from_secs(spec["leaseDurationSeconds"].as_i64().unwrap_or(0));
                let until = renewed.and_then(|renewed| renewed.checked_add(lasts).ok());
                Self::Held { by: by.to_owned(), until }
            }
        }
    }
}

fn key(reference: &Value) -> Key {
    let text = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

#[cfg(test)]
pub(crate) mod tests;
