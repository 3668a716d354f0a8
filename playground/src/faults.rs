//! What goes wrong on the way to an API server and back: on demand, and the same again from the same seed.
//!
//! An operator is right only if it is right on a bad day: answers that never come for writes that were done, watches
//! that fall silent, history that is gone, a quota that says no. A real cluster has such days when it pleases; tests
//! need them when they ask.
//!
//! ```text
//!   request ---> Asked --+
//!                        +--> Book::decide (pure) --> Verdict: wait so long, then this fault or none
//!   rules, one RNG ------+                               |
//!                                              Cluster::exchange acts:
//!           delay, lose the request ...... before the server sees it
//!           answers, refusals ............ instead of the server
//!           stale ........................ another question than was asked
//!           lose the answer .............. after the write is done
//!           breaks of a watch ............ a wrapper around its stream (orders for open ones come in by a channel)
//! ```
//!
//! The invariant: which request is struck follows from the seed, the rules, and the order in which requests come, and
//! from nothing else. Time only says how long; it never decides whether.
//!
//! [`Cluster::call`](crate::Cluster::call) is the server without any of this, [`Cluster::exchange`](crate::Cluster) is
//! the way through it; the controllers and tests that act on the cluster directly don't pass here. Not promised: faults
//! of the wire below HTTP (packets, TLS), and order among requests that arrive at the same time.

mod answer;
mod asked;
mod book;
mod clockwork;
mod fields;
mod json;
mod rule;
mod script;
mod stream;
mod watches;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use answer::{over_quota, policy_denied, wrong_answer};
pub use asked::{Asked, Matcher, Verb};
use book::Book;
pub use book::{RuleId, Standing, Verdict};
pub(crate) use clockwork::run;
pub use clockwork::{Beat, Lever};
pub(crate) use json::{break_named, matcher};
pub use json::{rules, rules_to_json};
pub use rule::{Age, Answer, Break, Fault, Moment, Policy, Quota, Rule, Times};
pub use script::{Plan, SYNTAX, ScriptError};
pub(crate) use stream::Breakable;
use watches::Watches;

/// The faults of one cluster: the rules in force, and the watches that are open.
#[derive(Debug)]
pub struct Faults {
    book: Mutex<Book>,
    watches: Arc<Mutex<Watches>>,
}

impl Faults {
    /// No rules yet; all chance comes from the seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { book: Mutex::new(Book::new(seed)), watches: Arc::default() }
    }

    /// Puts a rule in force, behind those that are.
    pub fn add(&self, rule: Rule) -> RuleId {
        self.book().add(rule)
    }

    /// Takes a rule out of force; false if it is not there.
    pub fn remove(&self, id: RuleId) -> bool {
        self.book().remove(id)
    }

    /// Takes all rules out of force. What they have done to open watches stays done.
    pub fn clear(&self) {
        self.book().clear();
    }

    /// Puts these rules in the place of all others.
    pub fn replace(&self, rules: impl IntoIterator<Item = Rule>) {
        let mut book = self.book();
        book.clear();
        for rule in rules {
            book.add(rule);
        }
    }

    /// Begins chance anew, from this seed.
    pub fn reseed(&self, seed: u64) {
        self.book().reseed(seed);
    }

    /// The rules in force, those that are used up among them, in their order.
    pub fn standing(&self) -> Vec<Standing> {
        self.book().standing()
    }

    /// How often a rule has struck; 0 once it is removed.
    pub fn struck(&self, id: RuleId) -> u64 {
        self.book().standing().iter().find(|standing| standing.id == id).map_or(0, |standing| standing.struck)
    }

    /// How often each class of fault has struck since the start, by the names of [`Fault::class`] and [`Break::class`].
    pub fn strikes(&self) -> BTreeMap<&'static str, u64> {
        self.book().strikes().clone()
    }

    /// Does this to the open watches that match; how many they were.
    pub fn strike_watches(&self, matcher: &Matcher, how: Break) -> usize {
        let struck = self.watches.lock().unwrap_or_else(PoisonError::into_inner).order(matcher, how);
        self.book().note(how.class(), struck);
        struck
    }

    /// How many watches are open that match.
    pub fn open_watches(&self, matcher: &Matcher) -> usize {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).count(matcher)
    }

    /// False where no rule could strike: nobody needs to look at the request then.
    pub(crate) fn armed(&self) -> bool {
        !self.book().is_empty()
    }

    pub(crate) fn decide(&self, asked: &Asked) -> Verdict {
        self.book().decide(asked)
    }

    /// Counts what a lever did that is no rule.
    pub(crate) fn note(&self, class: &'static str) {
        self.book().note(class, 1);
    }

    /// The stream of a watch, from now on within reach.
    pub(crate) fn breakable(
        &self,
        asked: Asked,
        body: crate::http::Body,
        planned: Option<(Break, Moment)>,
    ) -> Breakable {
        Breakable::new(body, Watches::open(&self.watches, asked), planned)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
