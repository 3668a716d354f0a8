//! The roles and bindings that are there from the start (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).
//!
//! Kubernetes' own, reduced to what is served here: a rule for a resource that nobody serves would promise something. The
//! roles of components that don't exist here (scheduler, nodes, controllers) are left out for the same reason.
//!
//! ```text
//!  view <--aggregates-- system:aggregate-to-view
//!    ^
//!  edit <--aggregates-- system:aggregate-to-edit
//!    ^
//!  admin <-aggregates-- system:aggregate-to-admin          cluster-admin: everything
//! ```

use serde_json::{Value, json};

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const AGGREGATE: &str = "rbac.authorization.k8s.io/aggregate-to-";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// What anybody may know.
const PUBLIC: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// The roles, in an order in which they can be made.
pub(crate) fn roles() -> Vec<Value> {
    vec![
        role(
            "cluster-admin",
            &[],
            &json!([
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]),
        ),
        role(
            "system:discovery",
            &[],
            &json!([{
                "nonResourceURLs": [
                    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
                    "/version", "/version/",
                ],
                "verbs": ["get"],
            }]),
        ),
        role(
            "system:basic-user",
            &[],
            &json!([
                rule("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"]),
                rule("authentication.k8s.io", &["selfsubjectreviews"], &["create"]),
            ]),
        ),
        role("system:public-info-viewer", &[], &json!([{"nonResourceURLs": PUBLIC, "verbs": ["get"]}])),
        role(
            "system:auth-delegator",
            &[],
            &json!([
                rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
                rule("authorization.k8s.io", &["subjectaccessreviews"], &["create"]),
            ]),
        ),
        role("system:aggregate-to-view", &["view"], &view()),
        role("system:aggregate-to-edit", &["edit"], &edit()),
        role("system:aggregate-to-admin", &["admin"], &admin()),
        aggregate("view", &["edit"]),
        aggregate("edit", &["admin"]),
        aggregate("admin", &[]),
    ]
}

/// The bindings.
pub(crate) fn bindings() -> Vec<Value> {
    vec![
        binding("cluster-admin", &["system:masters"]),
        binding("system:basic-user", &["system:authenticated"]),
        binding("system:discovery", &["system:authenticated"]),
        binding("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
    ]
}

/// Everything but what is secret or gives rights.
fn view() -> Value {
    json!([
        rule("", &["configmaps", "endpoints", "pods", "serviceaccounts", "services", "services/status"], &READ),
        rule("", &["events", "namespaces/status", "pods/status"], &READ),
        rule("", &["namespaces"], &READ),
        rule("discovery.k8s.io", &["endpointslices"], &READ),
        rule(
            "apps",
            &[
                "deployments",
                "deployments/scale",
                "deployments/status",
                "replicasets",
                "replicasets/scale",
                "replicasets/status",
            ],
            &READ
        ),
        rule("autoscaling", &["horizontalpodautoscalers", "horizontalpodautoscalers/status"], &READ),
        rule("policy", &["poddisruptionbudgets", "poddisruptionbudgets/status"], &READ),
        rule("networking.k8s.io", &["networkpolicies"], &READ),
    ])
}

/// What runs, and what it needs. Who may read a Secret or act as a ServiceAccount may do whatever that one may.
fn edit() -> Value {
    json!([
        rule("", &["secrets"], &READ),
        rule("", &["serviceaccounts"], &["impersonate"]),
        rule("", &["pods"], &WRITE),
        rule("", &["configmaps", "events", "secrets", "serviceaccounts", "services"], &WRITE),
        rule("", &["serviceaccounts/token"], &["create"]),
        rule("apps", &["deployments", "deployments/scale", "replicasets", "replicasets/scale"], &WRITE),
        rule("autoscaling", &["horizontalpodautoscalers"], &WRITE),
        rule("policy", &["poddisruptionbudgets"], &WRITE),
        rule("networking.k8s.io", &["networkpolicies"], &WRITE),
        rule("coordination.k8s.io", &["leases"], &READ_WRITE),
    ])
}

/// Who may do what in the namespace.
fn admin() -> Value {
    json!([
        rule("authorization.k8s.io", &["localsubjectaccessreviews"], &["create"]),
        rule("rbac.authorization.k8s.io", &["rolebindings", "roles"], &READ_WRITE),
    ])
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn metadata(name: &str, aggregated_to: &[&str]) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    for to in aggregated_to {
        metadata["labels"][format!("{AGGREGATE}{to}")] = "true".into();
    }
    metadata
}

fn role(name: &str, aggregated_to: &[&str], rules: &Value) -> Value {
    let metadata = metadata(name, aggregated_to);
    json!({"apiVersion": API_VERSION, "kind": "ClusterRole", "metadata": metadata, "rules": rules})
}

fn aggregate(name: &str, aggregated_to: &[&str]) -> Value {
    let label = format!("{AGGREGATE}{name}");
    let mut role = role(name, aggregated_to, &Value::Null);
    role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    role
}

fn binding(role: &str, groups: &[&str]) -> Value {
    let subject = |group: &&str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group});
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": metadata(role, &[]),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": groups.iter().map(subject).collect::<Vec<_>>(),
    })
}
