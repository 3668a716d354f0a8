//! Rules as data: which requests, what happens to them, how often.

use std::sync::Arc;

use tokio::time::Duration;

use crate::resources::Resource;
use crate::storage::Revision;

/// A request, as far as rules tell requests apart.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// As in [`RequestRecord::verb`](crate::cluster::RequestRecord::verb).
    pub verb: &'static str,
    /// A watch that asks for the state first, `sendInitialEvents=true`.
    pub streaming: bool,
    /// A create, or an apply or update of what is not there and would be made by it.
    pub creates: bool,
    /// A list that any state will do for, `resourceVersion=0`.
    pub any_state: bool,
    /// What it is about; `None` for discovery and the like.
    pub resource: Option<Arc<Resource>>,
    /// `status`, `scale` or empty.
    pub subresource: String,
    /// Empty where it is about all namespaces, or none.
    pub namespace: String,
    /// Empty for collections; for a create the name of the object.
    pub name: String,
    /// The `User-Agent`.
    pub user_agent: String,
}

impl Asked {
    pub(super) fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// What admission would look at: objects that come or change.
    pub(super) fn is_admitted(&self) -> bool {
        self.writes() && !matches!(self.verb, "delete" | "deletecollection")
    }

    /// `deployments.apps`; empty where it is about none.
    pub fn resource_name(&self) -> String {
        self.resource.as_ref().map(|resource| resource.group_resource()).unwrap_or_default()
    }
}

/// Which requests a rule is about. What is not said matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    /// What is asked to be done.
    pub verb: Option<Verb>,
    /// `deployments.apps` is the objects, `deployments.apps/status` their subresource, `deployments.apps/*` both.
    pub resource: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: Option<String>,
    /// How the `User-Agent` begins.
    pub user_agent: Option<String>,
}

impl Matcher {
    /// True where the request is one of those that are meant.
    pub fn matches(&self, asked: &Asked) -> bool {
        let Self { verb, resource, namespace, name, user_agent } = self;
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        verb.is_none_or(|verb| verb.covers(asked))
            && resource.as_ref().is_none_or(|wanted| covers(wanted, asked))
            && same(namespace, &asked.namespace)
            && same(name, &asked.name)
            && user_agent.as_ref().is_none_or(|start| asked.user_agent.starts_with(start.as_str()))
    }
}

fn covers(wanted: &str, asked: &Asked) -> bool {
    let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
    resource == asked.resource_name() && (subresource == "*" || subresource == asked.subresource)
}

/// The verbs that a rule may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// A watch of any kind.
    Watch,
    /// A watch that asks for the state first, a streaming list.
    WatchList,
    /// POST; and PUT or apply of what is not there yet, which admission calls a create too.
    Create,
    /// PUT.
    Update,
    /// PATCH, but for apply.
    Patch,
    /// Server-side apply.
    Apply,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
    /// Whatever is no get, list or watch.
    Write,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::WatchList,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Apply,
        Self::Delete,
        Self::DeleteCollection,
        Self::Write,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::WatchList => "watchlist",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Apply => "apply",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Write => "write",
        }
    }

    fn covers(self, asked: &Asked) -> bool {
        match self {
            Self::Create => asked.creates,
            Self::WatchList => asked.streaming,
            Self::Write => asked.writes(),
            Self::Get
            | Self::List
            | Self::Watch
            | Self::Update
            | Self::Patch
            | Self::Apply
            | Self::Delete
            | Self::DeleteCollection => asked.verb == self.as_str(),
        }
    }
}

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
    /// A list with `resourceVersion=0` shows the past, as from an API server whose watch cache lags behind. Where the
    /// history does not reach so far back, it shows the oldest state that there is.
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
            Self::Stale(_) => asked.any_state,
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
