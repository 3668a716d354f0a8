//! What the API server answers when it does not answer with an object: `Status`.
//!
//! Clients act on `code`, `reason` and `details.causes`, people read `message`; all four are part of the contract, so the
//! constructors below spell the messages of `k8s.io/apimachinery/pkg/api/errors` word for word.
//! A second form, plain text, exists for paths that no API group serves ("404 page not found"): clients tell by it that
//! a resource is missing from the API rather than an object from the resource.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::auth::{About, Attributes, User};
use crate::resources::Resource;
use crate::schema::{self, Cause};

/// An answer that is no object: an error, or the outcome of a delete.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason (`NotFound`, `Conflict` ...); empty where the API server gives none.
    pub reason: Cow<'static, str>,
    /// The human-readable message.
    pub message: String,
    /// What the answer is about, boxed to keep `Result<_, Status>` small.
    pub details: Option<Box<Details>>,
}

/// The `details` of a [`Status`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// API group of the object or resource.
    pub group: String,
    /// Kind, or for lookups the plural resource name.
    pub kind: String,
    /// uid of the object, where one was deleted.
    pub uid: String,
    /// The single faults, each with its field.
    pub causes: Vec<Cause>,
    /// When to try again; also sent as the `Retry-After` header.
    pub retry_after_seconds: u32,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Status {}

impl Status {
    /// A failure without details.
    pub fn failure(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), message: message.into(), details: None }
    }

    fn about(code: u16, reason: &'static str, message: String, details: Details) -> Self {
        Self { code, reason: reason.into(), message, details: Some(Box::new(details)) }
    }

    /// 404: no such object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.group_resource());
        Self::about(404, "NotFound", message, Details::of_resource(resource, name))
    }

    /// 404: the namespace that the object should live in does not exist.
    pub fn namespace_not_found(namespace: &str) -> Self {
        let details = Details { name: namespace.into(), kind: "namespaces".into(), ..Details::default() };
        Self::about(404, "NotFound", format!("namespaces \"{namespace}\" not found"), details)
    }

    /// 409: the name is taken.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.group_resource());
        Self::about(409, "AlreadyExists", message, Details::of_resource(resource, name))
    }

    /// 409: somebody wrote in between (optimistic concurrency).
    pub fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 for another reason.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.group_resource());
        Self::about(409, "Conflict", message, Details::of_resource(resource, name))
    }

    /// 409: a delete's precondition does not hold; named by kind rather than by resource, as the API server does.
    pub fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.group_kind());
        Self::about(409, "Conflict", message, Details::of_kind(resource, name))
    }

    /// 409: server-side apply would take fields from other managers.
    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Self {
        Self::about(409, "Conflict", message, Details { causes, ..Details::default() })
    }

    /// 422: the object breaks rules, one cause each.
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let message = schema::message(&resource.group_kind(), name, &causes);
        Self::about(422, "Invalid", message, Details { causes, ..Details::of_kind(resource, name) })
    }

    /// The same of a fault that the storage finds, which knows the resource and not its kind.
    pub fn invalid_resource(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let message = schema::message(&resource.group_resource(), name, &causes);
        Self::about(422, "Invalid", message, Details { causes, ..Details::of_resource(resource, name) })
    }

    /// 422: the object is of another kind or version than what is served; the details name its own.
    pub fn invalid_type(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let message = schema::message(&format!("{kind}.{group}"), name, &causes);
        let details =
            Details { name: name.into(), group: group.into(), kind: kind.into(), causes, ..Details::default() };
        Self::about(422, "Invalid", message, details)
    }

    /// 422: what a patch makes of the object is none of its kind.
    pub fn unfit_patch(patched: &str, why: &str) -> Self {
        let causes = vec![Cause::invalid("patch", Value::from(patched), why)];
        let message = schema::message("", "", &causes);
        Self::about(422, "Invalid", message, Details { causes, ..Details::default() })
    }

    /// 422: the options of a request (`ListOptions`, `PatchOptions`) break a rule.
    pub fn invalid_options(kind: &str, causes: Vec<Cause>) -> Self {
        let message = schema::message(&format!("{kind}.meta.k8s.io"), "", &causes);
        let details = Details { group: "meta.k8s.io".into(), kind: kind.into(), causes, ..Details::default() };
        Self::about(422, "Invalid", message, details)
    }

    /// 422: an object of a kind that is answered and never stored breaks rules.
    pub fn invalid_kind(group: &str, kind: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_type(group, kind, "", causes)
    }

    /// 422: a Scale breaks a rule.
    pub fn invalid_scale(name: &str, causes: Vec<Cause>) -> Self {
        let message = schema::message("Scale.autoscaling", name, &causes);
        let details = Details {
            name: name.into(),
            group: "autoscaling".into(),
            kind: "Scale".into(),
            causes,
            ..Details::default()
        };
        Self::about(422, "Invalid", message, details)
    }

    /// 400: the request can't be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    /// 403: refused by an admission rule.
    pub fn forbidden(resource: &Resource, name: &str, why: &str, causes: Vec<Cause>) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.group_resource());
        Self::about(403, "Forbidden", message, Details { causes, ..Details::of_resource(resource, name) })
    }

    /// 401: the credentials are not good.
    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 403: who asks may not do it. `reason` is the authorizer's, often empty.
    pub fn not_authorized(user: &User, wanted: &Attributes, reason: &str) -> Self {
        let details = match &wanted.about {
            About::Path(_) => Details::default(),
            About::Resource(about) => Details {
                name: about.name.clone(),
                group: about.group.clone(),
                kind: about.resource.clone(),
                ..Details::default()
            },
        };
        let resource = match details.group.as_str() {
            "" => details.kind.clone(),
            group => format!("{}.{group}", details.kind),
        };
        let subject = match (resource.as_str(), details.name.as_str()) {
            ("", _) => String::new(),
            (resource, "") => format!("{resource} is "),
            (resource, name) => format!("{resource} {name:?} is "),
        };
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let message = format!("{subject}forbidden: {}{reason}", wanted.refusal(user));
        Self::about(403, "Forbidden", message, details)
    }

    /// A webhook's refusal: what it said (a `Status`, or null), made fit to be one, and who said it.
    pub fn denied(webhook: &str, result: &Value) -> Self {
        let text = |name: &str| result[name].as_str().unwrap_or_default();
        let denied = format!("admission webhook {webhook:?} denied the request");
        let message = match (text("message"), text("reason")) {
            ("", "") => format!("{denied} without explanation"),
            ("", why) | (why, _) => format!("{denied}: {why}"),
        };
        let code = result["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
        let details = result["details"].is_object().then(|| Box::new(Details::of_value(&result["details"])));
        Self { code: code.unwrap_or(400), reason: text("reason").to_owned().into(), message, details }
    }

    /// 405 of a custom resource, which says what was tried on what.
    pub fn verb_not_supported(resource: &Resource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {:?}", resource.group_resource());
        Self::about(405, "MethodNotAllowed", message, Details::of_resource(resource, ""))
    }

    /// 405: the resource exists, the verb does not.
    pub fn method_not_allowed() -> Self {
        Self::failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 406: none of the media types asked for can be served.
    pub fn not_acceptable() -> Self {
        let types = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
        Self::failure(406, "NotAcceptable", format!("only the following media types are accepted: {types}"))
    }

    /// 406: the client reads no form of a stream that the server can write.
    pub fn not_streamable() -> Self {
        let types = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
        Self::failure(406, "NotAcceptable", format!("only the following media types are accepted: {types}"))
    }

    /// 413: the body is longer than the server reads.
    pub fn too_large(limit: usize) -> Self {
        Self::failure(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// 415: the body has a media type that the server does not read.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, "UnsupportedMediaType", message)
    }

    /// 410: the history that the request needs is gone.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message)
    }

    /// 429: not now.
    pub fn too_many_requests(message: &str, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::about(429, "TooManyRequests", message.to_owned(), details)
    }

    /// 500: what should not happen, said plainly.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        let details = Details {
            causes: vec![Cause { reason: String::new(), field: String::new(), message: message.clone() }],
            ..Details::default()
        };
        Self::about(500, "InternalError", format!("Internal error occurred: {message}"), details)
    }

    /// 501: a part of Kubernetes that the playground has not got.
    pub fn not_implemented(what: &str) -> Self {
        Self::failure(501, "NotImplemented", format!("the playground does not implement {what}"))
    }

    /// 504: the resourceVersion lies in the future.
    pub fn version_too_large(asked: u64, current: u64) -> Self {
        let cause = Cause {
            reason: "ResourceVersionTooLarge".into(),
            field: String::new(),
            message: "Too large resource version".into(),
        };
        let details = Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() };
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self::about(504, "Timeout", message, details)
    }

    /// 200: an object is gone.
    pub fn deleted(resource: &Resource, name: &str, uid: &str) -> Self {
        let details = Details { uid: uid.into(), ..Details::of_resource(resource, name) };
        Self::about(200, "", String::new(), details)
    }

    /// True where the request failed.
    pub fn is_failure(&self) -> bool {
        self.code >= 400
    }

    /// The JSON that goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": if self.is_failure() { "Failure" } else { "Success" },
        });
        if let Value::Object(map) = &mut status {
            put(map, "message", &self.message);
            put(map, "reason", &self.reason);
            if let Some(details) = &self.details {
                map.insert("details".into(), details.to_value());
            }
            if self.is_failure() {
                map.insert("code".into(), self.code.into());
            }
        }
        status
    }
}

impl Details {
    fn of_resource(resource: &Resource, name: &str) -> Self {
        Self { name: name.into(), group: resource.group.clone(), kind: resource.plural.clone(), ..Self::default() }
    }

    fn of_kind(resource: &Resource, name: &str) -> Self {
        Self { name: name.into(), group: resource.kind_group().into(), kind: resource.kind.clone(), ..Self::default() }
    }

    fn of_value(value: &Value) -> Self {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let cause = |cause: &Value| Cause {
            reason: text(cause, "reason"),
            field: text(cause, "field"),
            message: text(cause, "message"),
        };
        let retry = value["retryAfterSeconds"].as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        Self {
            name: text(value, "name"),
            group: text(value, "group"),
            kind: text(value, "kind"),
            uid: text(value, "uid"),
            causes: value["causes"].as_array().into_iter().flatten().map(cause).collect(),
            retry_after_seconds: retry.unwrap_or_default(),
        }
    }

    fn to_value(&self) -> Value {
        let Self { name, group, kind, uid, causes, retry_after_seconds } = self;
        let mut map = Map::new();
        put(&mut map, "name", name);
        put(&mut map, "group", group);
        put(&mut map, "kind", kind);
        put(&mut map, "uid", uid);
        if !causes.is_empty() {
            map.insert("causes".into(), causes.iter().map(cause_value).collect());
        }
        if *retry_after_seconds > 0 {
            map.insert("retryAfterSeconds".into(), (*retry_after_seconds).into());
        }
        Value::Object(map)
    }
}

fn cause_value(cause: &Cause) -> Value {
    let mut map = Map::new();
    put(&mut map, "reason", &cause.reason);
    put(&mut map, "message", &cause.message);
    put(&mut map, "field", &cause.field);
    Value::Object(map)
}

fn put(map: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        map.insert(key.into(), value.into());
    }
}
