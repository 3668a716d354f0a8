//! What a request wants to do, in the words of authorization.
//!
//! Nothing of it needs to exist: `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go` reads it off the path, before
//! anybody has looked whether such a resource is served. So who may not see a group does not learn that it is missing.

use http::Method;

use super::User;

/// A verb, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or one that only roles know
    /// (`impersonate`, `bind`, `escalate`). For a path: the method in small letters.
    pub verb: String,
    /// What it is about.
    pub about: About,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Objects.
    Resource(ResourceAttributes),
    /// A path outside of the API groups, such as `/version`.
    Path(String),
}

/// Objects, as roles name them. What is empty is not restricted to one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceAttributes {
    /// Empty: all namespaces, or a cluster-scoped kind.
    pub namespace: String,
    /// API group; empty for the core group.
    pub group: String,
    /// The plural.
    pub resource: String,
    /// `status`, `scale` ..., or empty.
    pub subresource: String,
    /// One object; empty for all.
    pub name: String,
}

impl ResourceAttributes {
    /// `deployments/scale`, or `deployments`.
    pub fn qualified(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }
}

impl Attributes {
    /// A verb upon objects.
    pub fn upon(verb: &str, about: ResourceAttributes) -> Self {
        Self { verb: verb.to_owned(), about: About::Resource(about) }
    }

    /// What a request wants. `selected` is the one name that its field selector allows.
    pub fn of_request(method: &Method, path: &str, watch: bool, selected: Option<&str>) -> Self {
        match resource_of(path) {
            None => Self { verb: method.as_str().to_lowercase(), about: About::Path(path.to_owned()) },
            Some(mut about) => {
                let verb = match (method, about.name.is_empty()) {
                    (&Method::GET | &Method::HEAD, true) => {
                        selected.unwrap_or_default().clone_into(&mut about.name);
                        if watch { "watch" } else { "list" }
                    }
                    (&Method::GET | &Method::HEAD, false) => "get",
                    (&Method::POST, _) => "create",
                    (&Method::PUT, _) => "update",
                    (&Method::PATCH, _) => "patch",
                    (&Method::DELETE, true) => "deletecollection",
                    (&Method::DELETE, false) => "delete",
                    _ => "",
                };
                Self::upon(verb, about)
            }
        }
    }

    /// `User "x" cannot list resource "pods" ...`: what Kubernetes says to whom it refuses.
    pub fn refusal(&self, user: &User) -> String {
        let Self { verb, about } = self;
        let who = format!("User {:?} cannot {verb}", user.name);
        match about {
            About::Path(path) => format!("{who} path {path:?}"),
            About::Resource(about) => {
                let place = match about.namespace.as_str() {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                format!("{who} resource {:?} in API group {:?} {place}", about.qualified(), about.group)
            }
        }
    }
}

fn resource_of(path: &str) -> Option<ResourceAttributes> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    // A namespace is in itself: who may do everything in it may read it, too.
    let (namespace, rest) = match rest {
        [] => return None,
        ["namespaces", namespace, "status" | "finalize"] | ["namespaces", namespace] => (*namespace, rest),
        ["namespaces", namespace, rest @ ..] => (*namespace, rest),
        _ => ("", rest),
    };
    let part = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
    Some(ResourceAttributes {
        namespace: namespace.to_owned(),
        group: group.to_owned(),
        resource: part(0),
        name: part(1),
        subresource: part(2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &Method, path: &str) -> String {
        let Attributes { verb, about } = Attributes::of_request(method, path, false, None);
        match about {
            About::Path(path) => format!("{verb} {path}"),
            About::Resource(about) => {
                format!("{verb} {:?} {} {}/{}", about.group, about.qualified(), about.namespace, about.name)
            }
        }
    }

    #[test]
    fn a_path_tells_resource_namespace_name_and_subresource() {
        for (method, path, expected) in [
            (Method::GET, "/api/v1/pods", "list \"\" pods /"),
            (Method::HEAD, "/api/v1/namespaces/a/pods/x", "get \"\" pods a/x"),
            (Method::GET, "/api/v1/namespaces/a", "get \"\" namespaces a/a"),
            (Method::PUT, "/api/v1/namespaces/a/finalize", "update \"\" namespaces/finalize a/a"),
            (Method::GET, "/api/v1/namespaces", "list \"\" namespaces /"),
            (Method::POST, "/apis/apps/v1/namespaces/a/deployments", "create \"apps\" deployments a/"),
            (Method::PATCH, "/apis/apps/v1/namespaces/a/deployments/x/scale", "patch \"apps\" deployments/scale a/x"),
            (Method::DELETE, "/apis/mcp.mcp.dev/v1alpha1/mcpservers", "deletecollection \"mcp.mcp.dev\" mcpservers /"),
            (Method::GET, "/api/v1", "get /api/v1"),
            (Method::GET, "/apis/apps/v1", "get /apis/apps/v1"),
            (Method::POST, "/playground/requests", "post /playground/requests"),
        ] {
            assert_eq!(read(&method, path), expected, "{path}");
        }
    }

    #[test]
    fn a_list_of_one_name_is_about_that_object() {
        let Attributes { verb, about } = Attributes::of_request(&Method::GET, "/api/v1/secrets", true, Some("x"));
        assert_eq!(verb, "watch");
        assert!(matches!(about, About::Resource(about) if about.name == "x"));
    }
}
