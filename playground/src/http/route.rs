//! From a path to what it names. Pure.

use std::sync::Arc;

use http::Method;

use super::review::Review;
use crate::resources::{Registry, Resource, Trait};

/// What a path names.
#[derive(Debug)]
pub(super) enum Route {
    /// Objects.
    Resource(Place),
    /// `/`
    Root,
    /// `/readyz`, `/livez`, `/healthz`: its name
    Health(&'static str),
    /// `/version`
    Version,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/{group}`
    Group(String),
    /// `/api/v1`, `/apis/{group}/{version}`
    GroupVersion { group: String, version: String },
    /// `/openapi/v2`
    OpenApiSecond,
    /// `/openapi/v3`
    OpenApiRoot,
    /// `/openapi/v3/api/v1`, `/openapi/v3/apis/{group}/{version}`
    OpenApi { group: String, version: String },
    /// `/apis/authorization.k8s.io/v1/selfsubjectaccessreviews` and its like; a local one is asked in a namespace.
    Review { review: Review, namespace: String },
    /// A subresource of a pod that would need its containers: its name.
    Containers(Place, &'static str),
    /// `/playground/requests`
    Requests,
    /// `/playground/faults` and the levers beside it
    Control(Control),
    /// Nothing.
    Unknown,
}

impl Route {
    /// What is asked for. Custom resources are served by one handler, which takes HEAD for a GET without a body; where the
    /// API server keeps a list of methods, HEAD is not on it.
    pub(super) fn method<'a>(&self, method: &'a Method) -> &'a Method {
        match self {
            Self::Resource(place) if place.resource.custom().is_some() && *method == Method::HEAD => &Method::GET,
            _ => method,
        }
    }

    /// Whether the answer is written as the client likes it best.
    pub(super) fn is_negotiated(&self) -> bool {
        match self {
            Self::Resource(_)
            | Self::Containers(..)
            | Self::Review { .. }
            | Self::CoreVersions
            | Self::Groups
            | Self::Group(_)
            | Self::GroupVersion { .. } => true,
            Self::Root
            | Self::Health(_)
            | Self::Version
            | Self::Unknown
            | Self::OpenApiSecond
            | Self::OpenApiRoot
            | Self::OpenApi { .. }
            | Self::Requests
            | Self::Control(_) => false,
        }
    }
}

/// What makes things go wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// `/playground/faults`
    Rules,
    /// `/playground/watches/{how}`
    Watches(String),
    /// `/playground/history/compact`
    Compact,
    /// `/playground/history/restore`
    Restore,
    /// `/playground/servers`
    Servers,
    /// `/playground/servers/tools/change`
    ChangeTools,
}

/// A place among the objects.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) resource: Arc<Resource>,
    /// `None`: cluster-scoped, or across all namespaces.
    pub(super) namespace: Option<String>,
    /// `None`: a collection.
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

/// Subresources of pods that would need their containers, or a node that can be asked to let go of them.
const NEED_CONTAINERS: [&str; 9] =
    ["attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize"];

/// Where it is asked how the server is. It has one check, `ping`.
pub(super) const HEALTH: [&str; 3] = ["healthz", "livez", "readyz"];

/// Finds what a path names among what is served.
pub(super) fn route(registry: &Registry, path: &str) -> Route {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let owned = |group: &str, version: &str| (group.to_owned(), version.to_owned());
    match parts.as_slice() {
        [] => Route::Root,
        [health] | [health, "ping"] if HEALTH.contains(health) => {
            HEALTH.into_iter().find(|known| known == health).map_or(Route::Unknown, Route::Health)
        }
        ["version"] => Route::Version,
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] => Route::Group((*group).to_owned()),
        ["api", version] => {
            let (group, version) = owned("", version);
            Route::GroupVersion { group, version }
        }
        ["apis", group, version] => {
            let (group, version) = owned(group, version);
            Route::GroupVersion { group, version }
        }
        ["openapi", "v2"] => Route::OpenApiSecond,
        ["openapi", "v3"] => Route::OpenApiRoot,
        ["openapi", "v3", "api", version] => {
            let (group, version) = owned("", version);
            Route::OpenApi { group, version }
        }
        ["openapi", "v3", "apis", group, version] => {
            let (group, version) = owned(group, version);
            Route::OpenApi { group, version }
        }
        ["playground", "requests"] => Route::Requests,
        ["playground", "faults"] => Route::Control(Control::Rules),
        ["playground", "watches", how] => Route::Control(Control::Watches((*how).to_owned())),
        ["playground", "history", "compact"] => Route::Control(Control::Compact),
        ["playground", "history", "restore"] => Route::Control(Control::Restore),
        ["playground", "servers"] => Route::Control(Control::Servers),
        ["playground", "servers", "tools", "change"] => Route::Control(Control::ChangeTools),
        ["api", version, rest @ ..] => resource(registry, "", version, rest),
        ["apis", group, version, rest @ ..] => {
            review(group, version, rest).unwrap_or_else(|| resource(registry, group, version, rest))
        }
        _ => Route::Unknown,
    }
}

fn review(group: &str, version: &str, rest: &[&str]) -> Option<Route> {
    let (namespace, plural) = match rest {
        ["namespaces", namespace, plural] => (*namespace, plural),
        [plural] => ("", plural),
        _ => return None,
    };
    let review = Review::at(group, version, plural, !namespace.is_empty())?;
    Some(Route::Review { review, namespace: namespace.to_owned() })
}

fn resource(registry: &Registry, group: &str, version: &str, rest: &[&str]) -> Route {
    let (namespace, rest) = match rest {
        // `namespaces/x/status` is the namespace's own subresource, `namespaces/x/pods` is what is in it.
        ["namespaces", _, "status" | "finalize"] | ["namespaces"] | ["namespaces", _] => (None, rest),
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        _ => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (plural, None, None),
        [plural, name] => (plural, Some(name), None),
        [plural, name, subresource] => (plural, Some(name), Some(subresource)),
        _ => return Route::Unknown,
    };
    let Some(resource) = registry.find(group, version, plural) else { return Route::Unknown };
    let place = |subresource: Option<&&str>| Place {
        resource: Arc::clone(&resource),
        namespace: namespace.clone(),
        name: name.map(ToString::to_string),
        subresource: subresource.map(ToString::to_string),
    };
    let of_containers = NEED_CONTAINERS.iter().find(|known| resource.table() == "pods" && subresource == Some(known));
    if let (Some(known), true) = (of_containers, namespace.is_some()) {
        return Route::Containers(place(subresource), known);
    }
    let has_subresource = match subresource {
        None => true,
        Some(&"status") => resource.has(Trait::Status),
        Some(&"scale") => resource.scale.is_some(),
        Some(&"token") => resource.group.is_empty() && resource.kind == "ServiceAccount",
        // What a custom resource has not got is still its own to answer.
        Some(_) => resource.custom().is_some(),
    };
    if !has_subresource || (namespace.is_some() && !resource.namespaced) {
        return Route::Unknown;
    }
    Route::Resource(place(subresource))
}

#[cfg(test)]
mod tests {
    use super::{Route, route};
    use crate::resources::Registry;

    type Named = (String, Option<String>, Option<String>, Option<String>);

    fn place(path: &str) -> Option<Named> {
        match route(&Registry::default(), path) {
            Route::Resource(place) => {
                Some((place.resource.group_resource(), place.namespace, place.name, place.subresource))
            }
            _ => None,
        }
    }

    #[test]
    fn paths_name_collections_objects_and_subresources() {
        let some = |text: &str| Some(text.to_owned());
        for (path, expected) in [
            ("/api/v1/pods", ("pods", None, None, None)),
            ("/api/v1/namespaces", ("namespaces", None, None, None)),
            ("/api/v1/namespaces/a", ("namespaces", None, some("a"), None)),
            ("/api/v1/namespaces/a/status", ("namespaces", None, some("a"), some("status"))),
            ("/api/v1/namespaces/a/pods", ("pods", some("a"), None, None)),
            ("/apis/apps/v1/namespaces/a/deployments/x", ("deployments.apps", some("a"), some("x"), None)),
            (
                "/apis/apps/v1/namespaces/a/deployments/x/scale",
                ("deployments.apps", some("a"), some("x"), some("scale")),
            ),
        ] {
            let (resource, namespace, name, subresource) = expected;
            assert_eq!(place(path), Some((resource.to_owned(), namespace, name, subresource)), "{path}");
        }
    }

    #[test]
    fn what_is_not_served_is_unknown() {
        for path in [
            "/apis/apps/v2/deployments",
            "/apis/apps/v1/nothings",
            "/api/v1/namespaces/a/secrets/x/status",
            "/api/v1/namespaces/a/pods/x/nothing",
            "/nonsense",
            "/livez/etcd",
        ] {
            assert!(place(path).is_none(), "{path}");
        }
    }
}
