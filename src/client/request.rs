//! Requests as values: what to ask, separate from asking it.
//!
//! Every request that this operator ever sends to an API server is built here, so this file is also the list of
//! what its RBAC rules must allow. A [`Request`] knows its [`Operation`], and an operation can be printed in
//! an error message the way a person would say it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::object::{ObjectKey, Resource, ResourceVersion, Uid};

/// The name of this operator in `managedFields`.
pub const FIELD_MANAGER: &str = "smooth-operator";

/// Questions about the caller's own rights, which everybody who is logged in may ask.
const ACCESS_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    version: "v1",
    plural: "selfsubjectaccessreviews",
    kind: "SelfSubjectAccessReview",
};

/// A complete request that has not been sent. Its `Debug` form leaves out the body, which may contain a key or a token.
#[derive(Clone)]
pub struct Request {
    /// What the request does, for errors, logs and the fence.
    pub operation: Operation,
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, method, uri, content_type: _, body } = self;
        write!(f, "Request({operation}: {method} {uri}, {} bytes)", body.len())
    }
}

/// What a request does, in the words of an RBAC rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The RBAC verb.
    pub verb: Verb,
    /// The resource; `None` for a path that belongs to no resource, such as `/version`.
    pub resource: Option<Resource>,
    /// `status`, or empty.
    pub subresource: &'static str,
    /// What the request acts on.
    pub target: Target,
}

/// What a request acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One object.
    Object(ObjectKey),
    /// All objects in a namespace.
    Namespace(String),
    /// All objects in the cluster.
    Cluster,
    /// A path that belongs to no resource.
    Path(&'static str),
}

/// The RBAC verbs that this operator uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many objects.
    List,
    /// Follow the changes of many objects.
    Watch,
    /// Create an object, which must not exist yet.
    Create,
    /// Replace an object, in the state that was read.
    Update,
    /// Change fields of an object; server-side apply is a patch.
    Patch,
    /// Delete an object. The garbage collector deletes the children of a deleted server, so this is only for a child that
    /// its server no longer wants.
    Delete,
}

impl Verb {
    /// The verb in an RBAC rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Whether the verb changes the cluster.
    pub fn writes(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Watch => false,
            Self::Create | Self::Update | Self::Patch | Self::Delete => true,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, subresource, target } = self;
        f.write_str(verb.as_str())?;
        if let Some(resource) = resource {
            write!(f, " {resource}")?;
        }
        if !subresource.is_empty() {
            write!(f, "/{subresource}")?;
        }
        match target {
            Target::Object(key) => write!(f, " {key}"),
            Target::Namespace(namespace) => write!(f, " in namespace {namespace}"),
            Target::Cluster => write!(f, " in all namespaces"),
            Target::Path(path) => write!(f, " {path}"),
        }
    }
}

/// The parameters of a LIST.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListParams {
    /// The largest number of items per page; 0 for no limit.
    pub limit: u32,
    /// "Not older than this"; unset means the newest state.
    pub resource_version: Option<ResourceVersion>,
    /// The token for the next page, from the previous one. It contains a version: the server refuses another one beside
    /// it.
    pub continue_token: Option<String>,
}

/// The parameters of a WATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchParams {
    /// Start after this version. Unset only for a streaming list that wants the newest state.
    pub resource_version: Option<ResourceVersion>,
    /// Send the state first, as synthetic ADDED events, then a bookmark that marks its end, then the changes.
    pub send_initial_events: bool,
    /// When the server should end the watch.
    pub timeout: Duration,
}

impl Request {
    /// Reads one object.
    pub fn get(resource: &Resource, key: &ObjectKey) -> Self {
        Self::object(Verb::Get, Method::GET, resource, "", key, resource.path(key))
    }

    /// Reads a path that belongs to no resource.
    pub fn get_path(path: &'static str) -> Self {
        let operation = Operation { verb: Verb::Get, resource: None, subresource: "", target: Target::Path(path) };
        Self { operation, method: Method::GET, uri: path.to_owned(), content_type: None, body: Bytes::new() }
    }

    /// Deletes this object and no later one of the same name. The garbage collector deletes what it owns.
    pub fn delete(resource: &Resource, key: &ObjectKey, uid: &Uid) -> Self {
        let request = Self::object(Verb::Delete, Method::DELETE, resource, "", key, resource.path(key));
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid.as_str()}});
        request.with_body("application/json", &options)
    }

    /// Reads many objects, a page at a time. With a `selector`, only those with such labels.
    ///
    /// With `limit` and a version but no match rule, the server would return *exactly* this version, so the rule is
    /// always sent along.
    pub fn list(
        resource: &Resource,
        namespace: Option<&str>,
        selector: Option<&'static str>,
        params: &ListParams,
    ) -> Self {
        let ListParams { limit, resource_version, continue_token } = params;
        let mut query = Query::default();
        query.pairs("labelSelector", selector);
        query.pair("limit", &limit.to_string());
        match (continue_token, resource_version) {
            (Some(token), _) => query.pair("continue", token),
            (None, Some(version)) => {
                query.pair("resourceVersion", version.as_str());
                query.pair("resourceVersionMatch", "NotOlderThan");
            }
            (None, None) => {}
        }
        Self::collection(Verb::List, Method::GET, resource, namespace, query)
    }

    /// Follows the changes of many objects. With a `selector`, only of those with such labels.
    pub fn watch(
        resource: &Resource,
        namespace: Option<&str>,
        selector: Option<&'static str>,
        params: &WatchParams,
    ) -> Self {
        let WatchParams { resource_version, send_initial_events, timeout } = params;
        let mut query = Query::default();
        query.pairs("labelSelector", selector);
        query.pair("watch", "true");
        query.pair("allowWatchBookmarks", "true");
        query.pair("timeoutSeconds", &timeout.as_secs().to_string());
        if *send_initial_events {
            query.pair("sendInitialEvents", "true");
            query.pair("resourceVersionMatch", "NotOlderThan");
        }
        if let Some(version) = resource_version {
            query.pair("resourceVersion", version.as_str());
        }
        Self::collection(Verb::Watch, Method::GET, resource, namespace, query)
    }

    /// Creates an object, which must not exist yet.
    pub fn create(resource: &Resource, key: &ObjectKey, object: &Value) -> Self {
        let uri = resource.collection(key.scope());
        let request = Self::object(Verb::Create, Method::POST, resource, "", key, uri);
        request.with_body("application/json", object)
    }

    /// Replaces an object. The `resourceVersion` in the body says which state of it may be replaced.
    pub fn replace(resource: &Resource, key: &ObjectKey, object: &Value) -> Self {
        let request = Self::object(Verb::Update, Method::PUT, resource, "", key, resource.path(key));
        request.with_body("application/json", object)
    }

    /// Changes fields of an object with a merge patch (RFC 7386).
    pub fn merge_patch(resource: &Resource, key: &ObjectKey, patch: &Value) -> Self {
        let request = Self::object(Verb::Patch, Method::PATCH, resource, "", key, resource.path(key));
        request.with_body("application/merge-patch+json", patch)
    }

    /// Server-side apply: the fields of `object` get these values and this operator as their manager. Fields that this
    /// operator applied before and no longer sends are removed. All others stay as they are.
    pub fn apply(resource: &Resource, key: &ObjectKey, object: &Value) -> Self {
        Self::apply_to(resource, "", key, object)
    }

    /// Server-side apply of the `status` subresource.
    pub fn apply_status(resource: &Resource, key: &ObjectKey, object: &Value) -> Self {
        Self::apply_to(resource, "status", key, object)
    }

    /// Server-side apply in the name of a manager that never applies anything else: the fields of `object` get a second
    /// manager. When this operator stops applying them, they stay. They have these values already, or the API server refuses
    /// it; unless it is to change them by `force`.
    pub fn hand_over(resource: &Resource, key: &ObjectKey, object: &Value, force: bool) -> Self {
        let force = if force { "&force=true" } else { "" };
        let uri = format!("{}?fieldManager={FIELD_MANAGER}-handover{force}", resource.path(key));
        let request = Self::object(Verb::Patch, Method::PATCH, resource, "", key, uri);
        request.with_body("application/apply-patch+yaml", object)
    }

    /// Asks whether the caller may do this: a SelfSubjectAccessReview. Nothing is stored, and nothing is done.
    pub fn may_i(verb: Verb, resource: &Resource, subresource: &str, target: &Target) -> Self {
        let (namespace, name) = match target {
            Target::Object(key) => (key.namespace(), key.name()),
            Target::Namespace(namespace) => (namespace.as_str(), ""),
            Target::Cluster | Target::Path(_) => ("", ""),
        };
        let about = json!({
            "verb": verb.as_str(), "group": resource.group, "resource": resource.plural, "subresource": subresource,
            "namespace": namespace, "name": name,
        });
        let (api_version, kind) = (ACCESS_REVIEWS.api_version(), ACCESS_REVIEWS.kind);
        let body = json!({"apiVersion": api_version, "kind": kind, "spec": {"resourceAttributes": about}});
        let operation =
            Operation { verb: Verb::Create, resource: Some(ACCESS_REVIEWS), subresource: "", target: Target::Cluster };
        let (method, uri) = (Method::POST, ACCESS_REVIEWS.collection(None));
        Self { operation, method, uri, content_type: None, body: Bytes::new() }.with_body("application/json", &body)
    }

    fn apply_to(resource: &Resource, subresource: &'static str, key: &ObjectKey, object: &Value) -> Self {
        let separator = if subresource.is_empty() { "" } else { "/" };
        let path = resource.path(key);
        let uri = format!("{path}{separator}{subresource}?fieldManager={FIELD_MANAGER}&force=true");
        let request = Self::object(Verb::Patch, Method::PATCH, resource, subresource, key, uri);
        request.with_body("application/apply-patch+yaml", object)
    }

    fn object(
        verb: Verb,
        method: Method,
        resource: &Resource,
        subresource: &'static str,
        key: &ObjectKey,
        uri: String,
    ) -> Self {
        let target = Target::Object(key.clone());
        let operation = Operation { verb, resource: Some(*resource), subresource, target };
        Self { operation, method, uri, content_type: None, body: Bytes::new() }
    }

    fn collection(verb: Verb, method: Method, resource: &Resource, namespace: Option<&str>, query: Query) -> Self {
        let target = namespace.map_or(Target::Cluster, |namespace| Target::Namespace(namespace.to_owned()));
        let operation = Operation { verb, resource: Some(*resource), subresource: "", target };
        let uri = format!("{}?{}", resource.collection(namespace), query.finish());
        Self { operation, method, uri, content_type: None, body: Bytes::new() }
    }

    fn with_body(self, content_type: &'static str, body: &Value) -> Self {
        Self { content_type: Some(content_type), body: body.to_string().into(), ..self }
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The path and query.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

/// A query string, encoded as it is written.
#[derive(Default)]
struct Query(Option<form_urlencoded::Serializer<'static, String>>);

impl Query {
    fn pair(&mut self, name: &str, value: &str) {
        self.0.get_or_insert_with(|| form_urlencoded::Serializer::new(String::new())).append_pair(name, value);
    }

    fn pairs(&mut self, name: &str, values: impl IntoIterator<Item = &'static str>) {
        values.into_iter().for_each(|value| self.pair(name, value));
    }

    fn finish(self) -> String {
        self.0.map_or_else(String::new, |mut serializer| serializer.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{DEPLOYMENTS, SECRETS, WEBHOOK_CONFIGURATIONS};

    #[test]
    fn a_list_from_a_version_says_not_older_than() {
        let params = ListParams { limit: 500, resource_version: Some(ResourceVersion::any()), continue_token: None };
        assert_eq!(
            Request::list(&DEPLOYMENTS, None, None, &params).uri(),
            "/apis/apps/v1/deployments?limit=500&resourceVersion=0&resourceVersionMatch=NotOlderThan"
        );
    }

    #[test]
    fn a_later_page_sends_neither_version_nor_match() {
        let params = ListParams {
            limit: 500,
            resource_version: Some(ResourceVersion::from("7")),
            continue_token: Some("a+b/c=".to_owned()),
        };
        assert_eq!(
            Request::list(&SECRETS, Some("prod"), None, &params).uri(),
            "/api/v1/namespaces/prod/secrets?limit=500&continue=a%2Bb%2Fc%3D"
        );
    }

    #[test]
    fn a_streaming_list_asks_for_initial_events_and_bookmarks() {
        let params =
            WatchParams { resource_version: None, send_initial_events: true, timeout: Duration::from_secs(300) };
        assert_eq!(
            Request::watch(&SECRETS, None, Some("a=b"), &params).uri(),
            "/api/v1/secrets?labelSelector=a%3Db&watch=true&allowWatchBookmarks=true&timeoutSeconds=300&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        );
    }

    #[test]
    fn debug_does_not_show_what_is_in_a_request() {
        let secret = json!({"data": {"tls.key": "hunter2"}});
        let request = Request::create(&SECRETS, &ObjectKey::new("n", "s"), &secret);
        let shown = format!("{request:?}");
        assert!(shown.contains("create secrets n/s") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_object_without_a_namespace_has_a_path_without_one() {
        let key = ObjectKey::cluster_wide("c");
        let get = Request::get(&WEBHOOK_CONFIGURATIONS, &key);
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        assert_eq!(get.uri(), format!("{path}/c"));
        assert_eq!(Request::create(&WEBHOOK_CONFIGURATIONS, &key, &json!({})).uri(), path);
        assert_eq!(get.operation.to_string(), "get validatingwebhookconfigurations.admissionregistration.k8s.io c");
    }

    #[test]
    fn an_operation_names_itself_as_a_person_would() {
        let key = ObjectKey::new("prod", "web");
        let apply = Request::apply_status(&DEPLOYMENTS, &key, &json!({}));
        assert_eq!(apply.operation.to_string(), "patch deployments.apps/status prod/web");
        assert!(apply.uri().ends_with("/deployments/web/status?fieldManager=smooth-operator&force=true"));
        let list = Request::list(&SECRETS, Some("prod"), None, &ListParams::default());
        assert_eq!(list.operation.to_string(), "list secrets in namespace prod");
        assert_eq!(Request::get_path("/version").operation.to_string(), "get /version");
    }
}
