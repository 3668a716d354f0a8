//! What every Kubernetes object has: a name, an identity, a version, perhaps an owner.
//!
//! # The naive solution, and how it breaks
//!
//! Remember objects by name: "I created the children of `prod/web`". Then somebody deletes `web` and creates another
//! `web` between two looks of the operator. By name nothing happened, so the new object is taken for the old one. It
//! inherits the old one's children, which the garbage collector is about to delete. Or a Deployment that belongs to the
//! new object is deleted as a leftover of the old one. Confusing a name with an identity is how operators delete the
//! wrong thing.
//!
//! # The mechanism
//!
//! Four small values identify everything in this crate, and they are easy to confuse:
//!
//! | type | answers | changes when |
//! |---|---|---|
//! | [`ObjectKey`] | *which name?* `namespace/name` | never; but another object may take the name later |
//! | [`Uid`] | *which object?* | the object is deleted and created again under the same name |
//! | [`ResourceVersion`] | *which state of it?* | anything about the object changes |
//! | `generation` | *which version of the spec?* | the `spec` changes |
//!
//! A key is what travels through the [work queue](crate::workqueue): it is small, and stays valid whatever happens to
//! the object. Ownership is expressed by uid: a child belongs to the object that existed when the child was made, not
//! to a later object of the same name.
//!
//! # What it does not promise
//!
//! That a key names something. An object may be gone by the time its key is looked at, or be another object; whoever
//! cares compares uids.
//!
//! # Equivalents
//!
//! client-go: `types.NamespacedName` and `types.UID`; `metav1.ObjectMeta`, from which [`Meta`] keeps a few fields;
//! `metav1.GetControllerOf` for [`Controller`]. kube-runtime: `reflector::ObjectRef`, which holds the name and the uid
//! but compares only the name.
//!
//! # What to try
//!
//! In `make playground`, delete a server and create it again:
//!
//! ```sh
//! uids() { kubectl get mcp,deployment -o custom-columns=KIND:.kind,NAME:.metadata.name,UID:.metadata.uid; }
//! uids; kubectl delete mcp fetch; kubectl apply -f config/samples/fetch.yaml; uids
//! ```
//!
//! The names are the same, but both uids of `fetch` are new: the second `fetch` did not inherit the Deployment of the
//! first one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// A kind of object as the API server addresses it: group, version and plural form the path,
/// `kind` appears in the object itself.
///
/// Nearly all of these kinds are namespaced. An object of one that is not has an [`ObjectKey`] without a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version, `v1` or `v1alpha1`.
    pub version: &'static str,
    /// The name in the path and in RBAC rules, `deployments`.
    pub plural: &'static str,
    /// The name in the object, `Deployment`.
    pub kind: &'static str,
}

impl Resource {
    /// The `apiVersion` of its objects: `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of the collection, in one namespace or in all of them.
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis/" };
        let Self { group, version, plural, kind: _ } = self;
        match namespace {
            Some(namespace) => format!("{root}{group}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("{root}{group}/{version}/{plural}"),
        }
    }

    /// The path of one object.
    pub fn path(&self, key: &ObjectKey) -> String {
        format!("{}/{}", self.collection(key.scope()), key.name())
    }
}

/// `deployments.apps`, `secrets`: the form that `kubectl` and RBAC messages use.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// `apps/v1` Deployments.
pub const DEPLOYMENTS: Resource = Resource { group: "apps", version: "v1", plural: "deployments", kind: "Deployment" };
/// `v1` Services.
pub const SERVICES: Resource = Resource { group: "", version: "v1", plural: "services", kind: "Service" };
/// `v1` Secrets.
pub const SECRETS: Resource = Resource { group: "", version: "v1", plural: "secrets", kind: "Secret" };
/// `v1` Pods.
pub const PODS: Resource = Resource { group: "", version: "v1", plural: "pods", kind: "Pod" };
/// `policy/v1` PodDisruptionBudgets.
pub const POD_DISRUPTION_BUDGETS: Resource =
    Resource { group: "policy", version: "v1", plural: "poddisruptionbudgets", kind: "PodDisruptionBudget" };
/// `networking.k8s.io/v1` NetworkPolicies.
pub const NETWORK_POLICIES: Resource =
    Resource { group: "networking.k8s.io", version: "v1", plural: "networkpolicies", kind: "NetworkPolicy" };
/// `autoscaling/v2` HorizontalPodAutoscalers.
pub const HORIZONTAL_POD_AUTOSCALERS: Resource = Resource {
    group: "autoscaling",
    version: "v2",
    plural: "horizontalpodautoscalers",
    kind: "HorizontalPodAutoscaler",
};
/// `coordination.k8s.io/v1` Leases.
pub const LEASES: Resource = Resource { group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease" };
/// `admissionregistration.k8s.io/v1` ValidatingWebhookConfigurations, which have no namespace.
pub const WEBHOOK_CONFIGURATIONS: Resource = Resource {
    group: "admissionregistration.k8s.io",
    version: "v1",
    plural: "validatingwebhookconfigurations",
    kind: "ValidatingWebhookConfiguration",
};
/// `authentication.k8s.io/v1` TokenReviews: questions in the form of objects, which are answered and not stored.
pub const TOKEN_REVIEWS: Resource =
    Resource { group: "authentication.k8s.io", version: "v1", plural: "tokenreviews", kind: "TokenReview" };
/// `authorization.k8s.io/v1` SubjectAccessReviews: likewise.
pub const ACCESS_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    version: "v1",
    plural: "subjectaccessreviews",
    kind: "SubjectAccessReview",
};
/// `events.k8s.io/v1` Events.
pub const EVENTS: Resource = Resource { group: "events.k8s.io", version: "v1", plural: "events", kind: "Event" };

/// The name of an object within its kind: `namespace/name`.
///
/// A clone copies two pointers and no text: keys are copied into stores, indexes and queues all day long.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl ObjectKey {
    /// The key of the object `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object whose kind has no namespaces.
    pub fn cluster_wide(name: impl Into<Arc<str>>) -> Self {
        Self::new("", name)
    }

    /// The namespace; empty where there is none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace, if there is one.
    pub fn scope(&self) -> Option<&str> {
        Some(self.namespace()).filter(|namespace| !namespace.is_empty())
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key of another object in the same namespace, as an owner reference or a `secretName` gives it:
    /// neither can point out of its namespace.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self { namespace: Arc::clone(&self.namespace), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope() {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The identity of one object, from its creation to its deletion.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(Arc<str>);

impl Uid {
    /// The uid in the API server's notation.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A state of the cluster, as counted by the API server.
///
/// Opaque but comparable: a decimal number of any length. It is compared as text (longer is newer) and never parsed
/// into an integer, which it might outgrow one day ([API
/// concepts](https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions)).
///
/// ```
/// use smooth_operator::object::ResourceVersion;
///
/// assert!(ResourceVersion::from("1000") > ResourceVersion::from("999"));
/// assert!(ResourceVersion::from("99999999999999999999999") > ResourceVersion::from("18446744073709551615"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceVersion(Arc<str>);

impl ResourceVersion {
    /// "Any state, the cheapest one": where a first LIST may start.
    pub fn any() -> Self {
        Self::from("0")
    }

    /// The text that the API server sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ResourceVersion {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Ord for ResourceVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for ResourceVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The owner that controls an object: the one owner reference with `controller: true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Kind of the owner.
    pub kind: String,
    /// Group of the owner's `apiVersion`; empty for the core group.
    pub group: String,
    /// Name of the owner, which is always in the child's namespace.
    pub name: String,
    /// Identity of the owner.
    pub uid: Uid,
}

impl Controller {
    /// Whether the owner is of this kind. Versions don't matter: `v1alpha1` and a later `v1` are the same kind.
    pub fn is_a(&self, resource: &Resource) -> bool {
        self.kind == resource.kind && self.group == resource.group
    }
}

/// The metadata that this operator keeps of an object: a tenth of what the API server sends.
///
/// `managedFields` and other managers' annotations are read while decoding and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity.
    pub uid: Uid,
    /// The state of the object that was read.
    pub resource_version: ResourceVersion,
    /// How often its `spec` has changed; 0 where the kind does not count that.
    pub generation: i64,
    /// It has a `deletionTimestamp`: it is being deleted, and only waits for finalizers or its dependents.
    pub deleting: bool,
    /// The owner that controls it.
    pub controller: Option<Controller>,
}

impl Meta {
    /// Whether the object with this uid controls this one.
    pub fn is_controlled_by(&self, owner: &Uid) -> bool {
        self.controller.as_ref().is_some_and(|controller| controller.uid == *owner)
    }
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireMeta::deserialize(deserializer)?;
        Ok(Self {
            key: ObjectKey::new(wire.namespace, wire.name),
            uid: wire.uid,
            resource_version: wire.resource_version,
            generation: wire.generation,
            deleting: wire.deletion_timestamp.is_some(),
            controller: controller_of(wire.owner_references),
        })
    }
}

/// Metadata as it comes over the wire, before the fields that nobody reads are dropped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    #[serde(default)]
    namespace: String,
    name: String,
    uid: Uid,
    resource_version: ResourceVersion,
    #[serde(default)]
    generation: i64,
    deletion_timestamp: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    owner_references: Vec<WireOwner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOwner {
    api_version: String,
    kind: String,
    name: String,
    uid: Uid,
    #[serde(default)]
    controller: bool,
}

/// The one owner with `controller: true`; the API server does not accept a second one.
fn controller_of(owners: Vec<WireOwner>) -> Option<Controller> {
    let WireOwner { api_version, kind, name, uid, controller: _ } = owners.into_iter().find(|o| o.controller)?;
    let group = api_version.split_once('/').map_or(String::new(), |(group, _version)| group.to_owned());
    Some(Controller { kind, group, name, uid })
}

/// An object that an [informer](crate::informer) can hold: it has a resource and metadata, and is decoded from JSON.
///
/// `decode` decides what is kept of the object. It runs once for each event, so it keeps little. Two states are equal
/// if what is kept of them is equal.
pub trait Object: Sized + PartialEq + Send + Sync + 'static {
    /// How the API server addresses this kind.
    const RESOURCE: Resource;
    /// The label selector of the objects worth reading; all of them without one.
    const SELECTOR: Option<&'static str> = None;

    /// Reads the parts worth keeping out of the object's JSON.
    fn decode(json: &str) -> Result<Self, serde_json::Error>;

    /// The object's metadata.
    fn meta(&self) -> &Meta;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_resource_version_is_newer_whatever_its_digits() {
        let mut versions = ["10", "9", "999", "18446744073709551616", "1000"].map(ResourceVersion::from);
        versions.sort();
        assert_eq!(versions.map(|v| v.to_string()), ["9", "10", "999", "1000", "18446744073709551616"]);
    }

    #[test]
    fn paths_follow_the_group() {
        let key = ObjectKey::new("prod", "web");
        assert_eq!(SECRETS.path(&key), "/api/v1/namespaces/prod/secrets/web");
        assert_eq!(DEPLOYMENTS.path(&key), "/apis/apps/v1/namespaces/prod/deployments/web");
        assert_eq!(DEPLOYMENTS.collection(None), "/apis/apps/v1/deployments");
        assert_eq!(DEPLOYMENTS.api_version(), "apps/v1");
        assert_eq!(SERVICES.api_version(), "v1");
        assert_eq!((DEPLOYMENTS.to_string(), SECRETS.to_string()), ("deployments.apps".into(), "secrets".into()));
    }

    #[test]
    fn only_the_owner_marked_as_controller_controls() {
        let meta: Meta = serde_json::from_value(serde_json::json!({
            "namespace": "a", "name": "b", "uid": "1", "resourceVersion": "7", "deletionTimestamp": "2026-11-22T20:00:00Z",
            "managedFields": [{"manager": "x"}],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "watcher", "uid": "2"},
                {"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "name": "b", "uid": "3", "controller": true},
            ],
        }))
        .unwrap();
        let controller = meta.controller.expect("a controller");
        assert_eq!(
            (controller.group.as_str(), controller.kind.as_str(), controller.uid.as_str()),
            ("mcp.mcp.dev", "MCPServer", "3")
        );
        assert!(meta.deleting);
    }
}
