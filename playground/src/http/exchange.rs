//! The way to the server and back, with all that may go wrong on it.
//!
//! What goes wrong is decided by [`crate::faults`] and done here: before, instead of, or after the server's own answer.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::sleep;

use super::query::Query;
use super::response::Body;
use super::route::{self, Place, Route};
use crate::cluster::{Cluster, RequestRecord};
use crate::faults::{Age, Asked, Fault, Verdict, over_quota, policy_denied, wrong_answer};
use crate::storage::Revision;

impl Cluster {
    /// Answers one request as [`call`](Self::call) does, unless the [`faults`](Self::faults) in force have it
    /// otherwise. An error means that the connection breaks, before the request was seen or after it was done.
    pub async fn exchange(&self, request: Request<Bytes>) -> io::Result<Response<Body>> {
        let watches = request.uri().query().is_some_and(|query| query.contains("watch="));
        if !watches && !self.faults().armed() {
            return Ok(self.call(request).await);
        }
        let Some(asked) = describe(self, &request) else { return Ok(self.call(request).await) };
        let Verdict { delay, fault } = self.faults().decide(&asked);
        if !delay.is_zero() {
            sleep(delay).await;
        }
        self.with(fault, asked, request).await
    }

    async fn with(
        &self,
        fault: Option<Fault>,
        asked: Asked,
        mut request: Request<Bytes>,
    ) -> io::Result<Response<Body>> {
        let planned = match fault {
            None | Some(Fault::Delay { .. }) => None,
            Some(Fault::Watch { how, when }) => Some((how, when)),
            Some(Fault::LoseRequest) => {
                self.record(&asked, &request, 0);
                return Err(lost("before the request was read"));
            }
            Some(Fault::LoseAnswer) => {
                self.call(request).await;
                return Err(lost("after the request was done"));
            }
            Some(Fault::Answer(answer)) => return Ok(self.instead(&asked, &request, wrong_answer(answer, &asked))),
            Some(Fault::Quota(quota)) => {
                return Ok(self.instead(&asked, &request, over_quota(&quota, &asked)));
            }
            Some(Fault::Policy(policy)) => {
                return Ok(self.instead(&asked, &request, policy_denied(&policy, &asked)));
            }
            Some(Fault::Stale(age)) => {
                request = aged(self, &asked, age, request);
                None
            }
        };
        let response = self.call(request).await;
        if asked.verb != "watch" || !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = self.faults().breakable(asked, body, planned).boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }

    /// An answer that does not come from the server; in the log of requests it stands like any other.
    fn instead(&self, asked: &Asked, request: &Request<Bytes>, response: Response<Body>) -> Response<Body> {
        self.record(asked, request, response.status().as_u16());
        response
    }

    fn record(&self, asked: &Asked, request: &Request<Bytes>, status: u16) {
        if asked.resource.is_none() {
            return;
        }
        // The name in the body of a create is no part of the request line.
        let name = if asked.verb == "create" { String::new() } else { asked.name.clone() };
        self.request_log().push(RequestRecord {
            // What goes wrong on the way goes wrong before anybody asks who it is.
            user: String::new(),
            user_agent: asked.user_agent.clone(),
            verb: asked.verb.to_owned(),
            resource: asked.resource_name(),
            subresource: asked.subresource.clone(),
            namespace: asked.namespace.clone(),
            name,
            status,
            query: request.uri().query().unwrap_or_default().to_owned(),
        });
    }
}

/// The state that a watch is to begin with, instead of the newest.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsOf(pub(super) Revision);

fn lost(when: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("the connection was broken {when}"))
}

/// What of a request the rules look at; `None` for the playground's own paths, which nothing strikes.
fn describe(cluster: &Cluster, request: &Request<Bytes>) -> Option<Asked> {
    let text = |name: header::HeaderName| text(request.headers(), &name);
    let content_type = text(header::CONTENT_TYPE);
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    let user_agent = text(header::USER_AGENT);
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let place = match route::route(&cluster.registry(), request.uri().path()) {
        Route::Requests | Route::Control(_) => return None,
        Route::Resource(place) | Route::Containers(place, _) => place,
        Route::Root
        | Route::Health(_)
        | Route::Version
        | Route::CoreVersions
        | Route::Groups
        | Route::Group(_)
        | Route::GroupVersion { .. }
        | Route::OpenApiSecond
        | Route::OpenApiRoot
        | Route::OpenApi { .. }
        | Route::Review { .. }
        | Route::Unknown => return Some(Asked { verb: "get", user_agent, ..Asked::default() }),
    };
    let verb = super::verb(request.method(), content_type, query.watch, place.name.is_some());
    let name = place.name.clone().unwrap_or_else(|| name_in_body(verb, request.body()));
    let creates = verb == "create" || (matches!(verb, "apply" | "update") && is_absent(cluster, &place));
    Some(Asked {
        verb,
        streaming: verb == "watch" && query.send_initial_events == Some(true),
        creates,
        oldest: oldest(verb, &query),
        subresource: place.subresource.clone().unwrap_or_default(),
        namespace: place.namespace.clone().unwrap_or_default(),
        resource: Some(place.resource),
        name,
        user_agent,
    })
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn name_in_body(verb: &str, body: &Bytes) -> String {
    if verb != "create" {
        return String::new();
    }
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// True where an apply would make the object.
fn is_absent(cluster: &Cluster, place: &Place) -> bool {
    let (namespace, name) = (place.namespace.as_deref(), place.name.as_deref());
    let target =
        cluster.target_of(Arc::clone(&place.resource), namespace.unwrap_or_default(), name.unwrap_or_default());
    place.subresource.is_none() && cluster.store().get(&target.stored.table(), &target.key).is_none()
}

/// The oldest state that will do. A list that names a version gets the newest; a watch may begin with any that is not
/// older.
fn oldest(verb: &str, query: &Query) -> Option<Revision> {
    let version = query.resource_version.parse().ok();
    match (verb, query.send_initial_events) {
        ("list", _) => version.filter(|version| *version == 0 && query.version_match != "Exact"),
        ("watch", Some(true)) => version,
        ("watch", None) => version.filter(|version| *version == 0),
        _ => None,
    }
}

/// The same list or watch, of an older state. A list can ask for exactly that one; a watch can't, so it is told.
fn aged(cluster: &Cluster, asked: &Asked, age: Age, mut request: Request<Bytes>) -> Request<Bytes> {
    let Some(resource) = &asked.resource else { return request };
    let revision = old_revision(cluster, &resource.table(), age).max(asked.oldest.unwrap_or(0));
    if asked.verb == "watch" {
        request.extensions_mut().insert(AsOf(revision));
        return request;
    }
    let (mut parts, body) = request.into_parts();
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        // Any state will do: then a limit does not count, and neither does what is put in its place.
        if !matches!(&*name, "resourceVersion" | "resourceVersionMatch" | "limit") {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair("resourceVersion", &revision.to_string()).append_pair("resourceVersionMatch", "Exact");
    let uri = format!("{}?{}", parts.uri.path(), query.finish());
    if let Ok(uri) = uri.parse::<Uri>() {
        parts.uri = uri;
    }
    Request::from_parts(parts, body)
}

fn old_revision(cluster: &Cluster, table: &str, age: Age) -> Revision {
    let store = cluster.store();
    let revision = match age {
        Age::At(revision) => revision,
        Age::Behind(writes) => store.revision().saturating_sub(writes),
    };
    // 0 is no revision that can be asked for exactly; nothing stands there anyway.
    revision.clamp(store.oldest(table).max(1).min(store.revision()), store.revision().max(1))
}
