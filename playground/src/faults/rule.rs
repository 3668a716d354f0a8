//! Rules as data: what happens to which requests, and how often.

use tokio::time::Duration;

use super::asked::{Asked, Matcher, Verb};
use crate::storage::Revision;

/// How often a rule strikes, of the requests that it is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Times {
    /// The next so many.
    Next(u32),
    /// Each with this probability, 0 to 1.
    Chance(f64),
    /// Each, until the rule is removed.
    Always,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It waits, uniformly at random between the two.
    Delay {
        /// At least so long.
        least: Duration,
        /// At most so long.
        most: Duration,
    },
    /// The connection breaks before the server has seen the request.
    LoseRequest,
    /// The connection breaks after the server has done what was asked.
    LoseAnswer,
    /// The server answers with an error, and does nothing.
    Answer(Answer),
    /// An object would be one too many; strikes creates alone.
    Quota(Quota),
    /// A validating admission policy says no; strikes what admission looks at: creates, updates, patches.
    Policy(Policy),
    /// A watch opens well, and ends so; strikes watches alone.
    Watch {
        /// How it ends.
        how: Break,
        /// When.
        when: Moment,
    },
    /// A list with `resourceVersion=0` shows the past, as from an API server whose watch cache lags behind; so does a watch
    /// that begins with a state, which is never older than the client asked for, and then goes on from there. Where the
    /// history does not reach so far back, they show the oldest state that there is.
    Stale(Age),
}

impl Fault {
    /// The name of its kind, for counting: that of the compact syntax, where it is there.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::LoseRequest => "lose-request",
            Self::LoseAnswer => "lose-answer",
            Self::Answer(answer) => answer.class(),
            Self::Quota(_) => "quota",
            Self::Policy(_) => "policy",
            Self::Watch { how, when: _ } => how.class(),
            Self::Stale(_) => "stale",
        }
    }

    /// False for requests to which a server would never answer so.
    pub(super) fn concerns(&self, asked: &Asked) -> bool {
        match self {
            Self::Delay { .. }
            | Self::LoseRequest
            | Self::LoseAnswer
            | Self::Answer(Answer::TooManyRequests { .. } | Answer::Internal | Answer::Unavailable) => true,
            Self::Answer(Answer::Conflict) | Self::Policy(_) => asked.is_admitted() && asked.resource.is_some(),
            Self::Answer(Answer::Gone) => matches!(asked.verb, "list" | "watch"),
            Self::Quota(_) => asked.creates,
            Self::Watch { .. } => asked.verb == "watch",
            Self::Stale(_) => asked.oldest.is_some(),
        }
    }
}

/// The errors that an API server answers with when the fault is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 409: somebody wrote in between. To writes.
    Conflict,
    /// 410: the history is gone. To lists; to watches as the first event of the stream, as an API server does it.
    Gone,
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// In seconds.
        retry_after: u32,
    },
    /// 500: etcd has a new leader.
    Internal,
    /// 503: the server can't do it now.
    Unavailable,
}

impl Answer {
    fn class(self) -> &'static str {
        match self {
            Self::Conflict => "error-409",
            Self::Gone => "error-410",
            Self::TooManyRequests { .. } => "error-429",
            Self::Internal => "error-500",
            Self::Unavailable => "error-503",
        }
    }
}

/// A ResourceQuota that is used up, counting objects of the request's own resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Its name.
    pub name: String,
    /// How many there are, by its count.
    pub used: u64,
    /// How many there may be.
    pub limit: u64,
}

/// A ValidatingAdmissionPolicy that denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The name of its binding.
    pub binding: String,
    /// Why not.
    pub message: String,
}

/// How a watch's stream goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The connection breaks in the middle.
    Cut,
    /// It ends cleanly, as at its timeout.
    End,
    /// Nothing more comes, and nobody is told: a dead line, or a proxy that forgot us.
    Stall,
    /// Of the next line half comes, then a clean end.
    HalfLine,
    /// Something that is no JSON comes instead of the next line, and the stream goes on.
    Garbage,
    /// An ERROR event, then a clean end.
    Error(Answer),
}

impl Break {
    /// The name of its kind, for counting.
    pub fn class(self) -> &'static str {
        match self {
            Self::Cut => "cut-watches",
            Self::End => "end-watches",
            Self::Stall => "stall-watches",
            Self::HalfLine => "half-line-watches",
            Self::Garbage => "garbage-watches",
            Self::Error(_) => "error-watches",
        }
    }
}

/// When a watch's stream goes wrong, counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After so many lines, bookmarks among them.
    Lines(usize),
    /// After this time.
    After(Duration),
}

/// How old a state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// As it was at this revision.
    At(Revision),
    /// As it was before the last so many writes, of any resource.
    Behind(u64),
}

/// A fault, for whom, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which requests.
    pub matcher: Matcher,
    /// What happens to them.
    pub fault: Fault,
    /// How often.
    pub times: Times,
}

impl Rule {
    /// This fault, always and for every request; the other methods narrow it.
    pub fn new(fault: Fault) -> Self {
        Self { matcher: Matcher::default(), fault, times: Times::Always }
    }

    /// A shorter way to say [`Fault::Answer`].
    pub fn answer(answer: Answer) -> Self {
        Self::new(Fault::Answer(answer))
    }

    /// A shorter way to say [`Fault::Watch`].
    pub fn watch(how: Break, when: Moment) -> Self {
        Self::new(Fault::Watch { how, when })
    }

    /// Only requests that do this.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.matcher.verb = Some(verb);
        self
    }

    /// Only requests about this resource; see [`Matcher::resource`].
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.matcher.resource = Some(resource.into());
        self
    }

    /// Only requests about this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.matcher.namespace = Some(namespace.into());
        self
    }

    /// Only requests about objects of this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.matcher.name = Some(name.into());
        self
    }

    /// Only requests of clients whose `User-Agent` begins so.
    #[must_use]
    pub fn user_agent(mut self, start: &str) -> Self {
        self.matcher.user_agent = Some(start.into());
        self
    }

    /// Only the next so many.
    #[must_use]
    pub fn next(mut self, times: u32) -> Self {
        self.times = Times::Next(times);
        self
    }

    /// Each with this probability, 0 to 1.
    #[must_use]
    pub fn chance(mut self, probability: f64) -> Self {
        self.times = Times::Chance(probability);
        self
    }
}
