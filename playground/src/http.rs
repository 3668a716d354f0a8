//! The door: one HTTP request in, one answer out.
//!
//! [`Cluster::call`] is all there is. The socket server feeds it, and so can a test, without any socket.
//!
//! ```text
//!  headers ---> access     who asks, and may they?
//!  path ------> route      which resource, namespace, name, subresource; or discovery, health ...
//!  Accept ----> negotiate  whole, metadata only, or a table; in JSON or in YAML
//!  query -----> query      options, checked as the API server checks them
//!                 |
//!       read / watch / mutate / scale      each turns into calls on the Cluster and encodes what comes back
//! ```
//!
//! What the playground has not got is answered with a `Status` that names it, or with the "404 page not found" that a
//! real server gives for paths it does not know: never with something that merely looks right.

mod access;
mod columns;
mod deadline;
mod discovery;
mod exchange;
mod faults;
mod json_path;
mod mutate;
mod negotiate;
mod openapi;
mod protobuf;
mod query;
mod read;
pub(crate) mod response;
mod review;
mod route;
mod scale;
mod table;
mod token;
mod watch;
mod yaml;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use serde_json::{Map, Value};

use crate::auth::User;
use crate::cluster::{Cluster, RequestRecord};
use crate::resources::Trait;
use crate::status::Status;
use crate::storage::Revision;
use crate::webhooks::{Reviewer, Warnings};
pub use access::Peer;
use negotiate::Encoding;
use query::Query;
pub use response::Body;
use route::{Place, Route};

/// The longest body that is read: 3 MiB, as the API server's limit.
pub const MAX_BODY: usize = 3 << 20;

/// A request, taken apart as far as every handler needs it.
struct Call<'a> {
    cluster: &'a Cluster,
    method: &'a Method,
    /// The `Accept` header.
    accept: &'a str,
    /// The `Content-Type` header without its parameters.
    content_type: &'a str,
    user_agent: &'a str,
    /// The `Host` header: what the server calls itself in discovery.
    host: &'a str,
    query: Query,
    body: &'a Bytes,
    /// Who asks.
    user: Arc<User>,
    /// The state that a watch begins with; `None` for the newest.
    as_of: Option<Revision>,
    /// What the answer says beside itself.
    warnings: Warnings,
}

/// The answer to a body that is longer than [`MAX_BODY`].
pub(crate) fn too_large() -> Response<Body> {
    response::status(&Status::too_large(MAX_BODY))
}

type Answer = Result<Response<Body>, Status>;

impl Cluster {
    /// Answers one request, as the API server would.
    pub async fn call(&self, request: Request<Bytes>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let header = |name: header::HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let raw_query = parts.uri.query().unwrap_or_default();
        let query = Query::parse(raw_query);
        let (user, admitted) = access::admit(self, &parts, &query);
        let admitted = query.check_deadline().and(admitted);
        let route = route::route(&self.registry(), parts.uri.path());
        let call = Call {
            cluster: self,
            method: route.method(&parts.method),
            accept: header(header::ACCEPT),
            content_type: header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim(),
            user_agent: header(header::USER_AGENT),
            host: header(header::HOST),
            query,
            body: &body,
            user: Arc::new(user),
            as_of: parts.extensions.get().map(|exchange::AsOf(revision)| *revision),
            warnings: Warnings::default(),
        };
        let seat = if call.query.watch { None } else { Some(self.seat()) };
        let answer = match (admitted, seat) {
            (Err(refused), _) => Err(refused),
            (Ok(()), Some(None)) => Ok(response::too_many_requests()),
            (Ok(()), _) if body.len() > MAX_BODY => Err(Status::too_large(MAX_BODY)),
            (Ok(()), _) => call.answer(&route).await,
        };
        let mut response = answer.unwrap_or_else(|status| response::status(&status));
        if route.is_negotiated() && negotiate::encoding(call.accept) == Encoding::Yaml {
            response = response::as_yaml(response).await;
        }
        response::warn(&mut response, &call.warnings.take());
        if let Some(record) = call.record(&route, parts.uri.path(), raw_query, response.status().as_u16()) {
            self.request_log().push(record);
        }
        response
    }
}

impl Call<'_> {
    async fn answer(&self, route: &Route) -> Answer {
        match route {
            Route::Resource(place) => self.answer_resource(place).await,
            Route::Root => self.read_only(discovery::root),
            Route::Health(name) if self.query.verbose => Ok(response::whole(
                200,
                "text/plain; charset=utf-8",
                format!("[+]ping ok\n{name} check passed\n").into(),
            )),
            Route::Health(_) => Ok(response::text(200, "ok")),
            Route::Version => self.read_only(discovery::version),
            Route::CoreVersions => self.read_only(discovery::core_versions),
            Route::Groups => self.read_only(discovery::groups),
            Route::Group(group) => self.read_only(|call| discovery::group(call, group)),
            Route::GroupVersion { group, version } => self.read_only(|call| discovery::resources(call, group, version)),
            Route::OpenApiSecond => openapi::second(self),
            Route::OpenApiRoot => self.read_only(openapi::root),
            Route::OpenApi { group, version } => self.read_only(|call| openapi::document(call, group, version)),
            Route::Review { review, namespace } => review::answer(self, *review, namespace),
            Route::Containers(place, what) => Err(self.without_containers(place, what)),
            Route::Requests => self.answer_requests(),
            Route::Control(control) => faults::answer(self, control),
            Route::Unknown => Ok(response::page_not_found()),
        }
    }

    pub(super) fn read_only(&self, answer: impl FnOnce(&Self) -> Response<Body>) -> Answer {
        match *self.method {
            Method::GET | Method::HEAD => Ok(answer(self)),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// A pod that is not there is not found; of one that is, there is nothing to log into.
    fn without_containers(&self, place: &Place, what: &str) -> Status {
        let target = mutate::target(self, place);
        if self.cluster.store().get(&target.stored.table(), &target.key).is_none() {
            return Status::not_found(&place.resource, &target.key.name);
        }
        Status::not_implemented(&format!("pods/{what}: its pods have a status and no containers"))
    }

    fn answer_requests(&self) -> Answer {
        match *self.method {
            Method::GET => {
                let counts = serde_json::to_value(self.cluster.request_counts());
                Ok(response::json(200, &counts.map_err(|error| Status::internal(error.to_string()))?))
            }
            Method::DELETE => {
                self.cluster.clear_requests();
                Ok(response::text(200, "ok"))
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    async fn answer_resource(&self, place: &Place) -> Answer {
        let across_namespaces = place.resource.namespaced && place.namespace.is_none();
        if across_namespaces && (place.name.is_some() || *self.method != Method::GET) {
            return Ok(response::page_not_found());
        }
        if let Some(answer) = self.answer_odd_custom(place) {
            return answer;
        }
        match (place.subresource.as_deref(), place.name.is_some(), self.method) {
            (None, false, &Method::GET) if self.query.watch => watch::watch(self, place).await,
            (None, false, &Method::GET) => read::list(self, place).await,
            (None | Some("status"), true, &Method::GET) => read::get(self, place).await,
            (None, false, &Method::POST) => mutate::create(self, place).await,
            (None, true, &Method::POST) if place.resource.custom().is_some() => mutate::create(self, place).await,
            (None | Some("status"), true, &Method::PUT) => mutate::update(self, place).await,
            (None | Some("status"), true, &Method::PATCH) => mutate::patch(self, place).await,
            (None, true, &Method::DELETE) => mutate::delete(self, place).await,
            (None, false, &Method::DELETE) if place.resource.has(Trait::DeleteCollection) => {
                mutate::delete_collection(self, place).await
            }
            (Some("scale"), true, _) => scale::scale(self, place).await,
            (Some("token"), true, &Method::POST) => token::request(self, place),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Custom resources are served by one handler for all paths, which takes more of them than the others' routes do,
    /// and says more about what it does not take.
    fn answer_odd_custom(&self, place: &Place) -> Option<Answer> {
        place.resource.custom()?;
        let refused = |verb| Some(Err(Status::verb_not_supported(&place.resource, verb)));
        match (place.subresource.as_deref(), place.name.as_deref(), self.method) {
            (Some("status" | "scale"), _, &Method::GET | &Method::PUT | &Method::PATCH) => None,
            (Some("status" | "scale"), _, &Method::POST) => refused("create"),
            (Some("status" | "scale"), _, &Method::DELETE) => refused("delete"),
            (Some("status" | "scale"), ..) => refused(""),
            (Some(_), name, _) => Some(Err(Status::not_found(&place.resource, name.unwrap_or_default()))),
            (None, None, &Method::PUT | &Method::PATCH) => Some(Err(Status::bad_request("name must be provided"))),
            (None, _, &Method::GET | &Method::PUT | &Method::PATCH | &Method::POST | &Method::DELETE) => None,
            (None, ..) => refused(""),
        }
    }

    /// Who does this request's writes. `options` is what a review is told of the request's options.
    fn reviewer(&self, options: Map<String, Value>) -> Reviewer<'_> {
        Reviewer { cluster: self.cluster, user: &self.user, options, warnings: &self.warnings }
    }

    /// The field manager: as asked for, else what the client calls itself.
    fn manager(&self) -> String {
        let named = self.query.field_manager.as_deref().filter(|manager| !manager.is_empty());
        let own = self.user_agent.split('/').next().unwrap_or_default();
        named.unwrap_or(if own.is_empty() { "unknown" } else { own }).chars().take(128).collect()
    }

    /// What goes into the log; discovery and the playground's own paths don't.
    fn record(&self, route: &Route, path: &str, query: &str, status: u16) -> Option<RequestRecord> {
        let (resource, subresource, namespace, name) = match route {
            Route::Resource(place) | Route::Containers(place, _) => (
                place.resource.group_resource(),
                place.subresource.clone().unwrap_or_default(),
                place.namespace.clone().unwrap_or_default(),
                place.name.clone().unwrap_or_default(),
            ),
            Route::Unknown => (path.to_owned(), String::new(), String::new(), String::new()),
            _ => return None,
        };
        let verb = verb(self.method, self.content_type, self.query.watch, !name.is_empty());
        Some(RequestRecord {
            user: self.user.name.clone(),
            user_agent: self.user_agent.to_owned(),
            verb: verb.to_owned(),
            resource,
            subresource,
            namespace,
            name,
            status,
            query: query.to_owned(),
        })
    }
}

/// What a request does, in Kubernetes' words; an apply is told from the other patches.
fn verb(method: &Method, content_type: &str, watch: bool, named: bool) -> &'static str {
    match (method, named) {
        (&Method::GET, false) if watch => "watch",
        (&Method::GET, false) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) if content_type == mutate::APPLY => "apply",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, false) => "deletecollection",
        (&Method::DELETE, true) => "delete",
        _ => "get",
    }
}
