//! Requests as rules see them, and which of them are meant.

use std::sync::Arc;

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
    /// The oldest state that will do for a list or for a watch that begins with a state; `None` where only the newest will.
    pub oldest: Option<Revision>,
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
