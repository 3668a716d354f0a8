//! A container's environment, resources and security.

use serde_json::{Value, json};

use super::{Rule, validations};

/// The greatest number of a user or group.
const LAST_ID: i32 = i32::MAX;

pub(super) fn rules() -> Vec<Rule> {
    let [container, pod] = ["io.k8s.api.core.v1.SecurityContext", "io.k8s.api.core.v1.PodSecurityContext"];
    let [env, source] = ["io.k8s.api.core.v1.EnvVar", "io.k8s.api.core.v1.EnvVarSource"];
    let [resources, seccomp] = ["io.k8s.api.core.v1.ResourceRequirements", "io.k8s.api.core.v1.SeccompProfile"];
    let one_value = validations(&[(
        "!(has(self.value) && size(self.value) > 0 && has(self.valueFrom))",
        "a variable has either value or valueFrom",
    )]);
    let escalation = validations(&[(
        "!(has(self.privileged) && self.privileged && has(self.allowPrivilegeEscalation) && !self.allowPrivilegeEscalation)",
        "a privileged container can't have allowPrivilegeEscalation: false",
    )]);
    let profile = validations(&[(
        "(self.type == 'Localhost') == has(self.localhostProfile)",
        "localhostProfile belongs to the type Localhost",
    )]);
    let mut rules = vec![
        ("io.k8s.apimachinery.pkg.api.resource.Quantity", "", quantity()),
        (env, "name", json!({"minLength": 1, "maxLength": 1024, "pattern": "^[ -<>-~]+$"})),
        (env, "", one_value),
        (source, "", json!({"minProperties": 1, "maxProperties": 1})),
        (resources, "limits", json!({"maxProperties": 32})),
        (resources, "requests", json!({"maxProperties": 32})),
        (resources, "claims", by_name()),
        (resources, "", amounts()),
        (seccomp, "type", json!({"enum": ["Localhost", "RuntimeDefault", "Unconfined"]})),
        (seccomp, "", profile),
        (container, "", escalation),
        (pod, "fsGroupChangePolicy", json!({"enum": ["OnRootMismatch", "Always"]})),
        (pod, "fsGroup", json!({"minimum": 0, "maximum": LAST_ID})),
    ];
    for id in ["runAsUser", "runAsGroup"] {
        rules.extend([container, pod].map(|context| (context, id, json!({"minimum": 0, "maximum": LAST_ID}))));
    }
    rules
}

/// A list whose items are told apart by their names.
fn by_name() -> Value {
    json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})
}

/// Of the resources a container can ask for, all but these are of somebody's domain: `example.com/gpu`.
fn amounts() -> Value {
    let known = |field: &str| {
        format!(
            "!has(self.{field}) || self.{field}.all(name, \
             name in ['cpu', 'memory', 'ephemeral-storage'] || name.matches('^hugepages-|/'))"
        )
    };
    let unknown = "must be cpu, memory, ephemeral-storage, hugepages-<size>, or of a domain: example.com/gpu";
    validations(&[
        (
            "!has(self.limits) || !has(self.requests) || self.requests.all(name, !(name in self.limits) || \
             quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
            "requests must not be greater than limits",
        ),
        (&known("limits"), &format!("each of limits {unknown}")),
        (&known("requests"), &format!("each of requests {unknown}")),
    ])
}

/// Nowhere in an MCPServer may a quantity be negative.
fn quantity() -> Value {
    json!({
        "description": "A number with a unit: 500m, 2, 64Mi.",
        "x-kubernetes-int-or-string": true,
        "minimum": 0,
        "pattern": r"^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$",
        "maxLength": 64,
    })
}
