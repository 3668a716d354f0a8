//! The doorman: who is it, whom do they want to be, and may they come in?
//!
//! Asked before anything is looked up: who may not read a Secret learns not even whether it is there. Credentials that are
//! no good are refused (401), even where nobody needs any; what is not allowed is refused in the words of Kubernetes (403).

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::query::Query;
use crate::auth::{API_AUDIENCE, Attributes, Impersonation, User};
use crate::cluster::Cluster;
use crate::status::Status;

/// Who has shown a client certificate that is good: put into a request's extensions by whoever serves the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer(pub User);

/// Who asks (nobody, where the credentials are no good), and whether they may.
pub(super) fn admit(cluster: &Cluster, parts: &Parts, query: &Query) -> (User, Result<(), Status>) {
    let user = match authenticate(cluster, parts) {
        Ok(user) => user,
        Err(status) => return (User::default(), Err(status)),
    };
    let user = match impersonate(cluster, user.clone(), parts) {
        Ok(user) => user,
        Err(status) => return (user, Err(status)),
    };
    let selected = query.selected_name();
    let wanted = Attributes::of_request(&parts.method, parts.uri.path(), query.watch, selected.as_deref());
    let allowed = authorize(cluster, &user, &wanted);
    (user, allowed)
}

fn authenticate(cluster: &Cluster, parts: &Parts) -> Result<User, Status> {
    if let Some(Peer(user)) = parts.extensions.get() {
        return Ok(user.clone());
    }
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = match header.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    if token.is_empty() {
        return Ok(cluster.auth().nobody());
    }
    let found = cluster.identify(token, &[API_AUDIENCE.to_owned()]);
    found.map(|(user, _)| user).ok_or_else(Status::unauthorized)
}

fn impersonate(cluster: &Cluster, user: User, parts: &Parts) -> Result<User, Status> {
    let Some(other) = Impersonation::of(&parts.headers)? else { return Ok(user) };
    for need in other.needs() {
        authorize(cluster, &user, &need)?;
    }
    Ok(other.user())
}

fn authorize(cluster: &Cluster, user: &User, wanted: &Attributes) -> Result<(), Status> {
    let verdict = cluster.authorize(user, wanted);
    if verdict.allowed { Ok(()) } else { Err(Status::not_authorized(user, wanted, &verdict.reason)) }
}
