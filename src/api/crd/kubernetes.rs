//! What the schemas of Kubernetes' own types lack.
//!
//! `k8s-openapi` takes them from the API server's OpenAPI document, which describes types and leaves most rules to code.
//! Without those rules here, a mistake would be admitted with the MCPServer, and refused later with the Deployment, where
//! the person who made it no longer looks.

use serde_json::{Map, Value, json};

/// The definitions, with the rules that are worth having at once.
pub(super) fn amended(mut definitions: Value) -> Value {
    for (definition, property, rules) in rules() {
        let schema = &mut definitions[definition];
        let place = if property.is_empty() { schema } else { &mut schema["properties"][property] };
        if let (Some(place), Value::Object(rules)) = (place.as_object_mut(), rules) {
            place.extend(rules);
        }
    }
    if let Some(sources) = definitions[VOLUME]["properties"].as_object_mut() {
        sources.retain(|source, _| !REMOVED_VOLUMES.contains(&source.as_str()));
    }
    for definition in definitions.as_object_mut().into_iter().flat_map(Map::values_mut) {
        shorten(definition);
    }
    definitions
}

const VOLUME: &str = "io.k8s.api.core.v1.Volume";

/// Volumes whose code Kubernetes has removed, or handed to a CSI driver. A PersistentVolumeClaim reaches the latter.
const REMOVED_VOLUMES: [&str; 17] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// Of which definition, which property (or the definition itself), and what is added.
fn rules() -> Vec<(&'static str, &'static str, Value)> {
    const CORE: [&str; 8] = [
        "io.k8s.api.core.v1.EnvVar",
        "io.k8s.api.core.v1.EnvVarSource",
        "io.k8s.api.core.v1.HTTPGetAction",
        "io.k8s.api.core.v1.NodeSelectorRequirement",
        "io.k8s.api.core.v1.SeccompProfile",
        "io.k8s.api.core.v1.Toleration",
        "io.k8s.api.core.v1.TopologySpreadConstraint",
        "io.k8s.api.core.v1.VolumeMount",
    ];
    let [env, source, http, node, seccomp, toleration, spread, mount] = CORE;
    let (resources, volume) = ("io.k8s.api.core.v1.ResourceRequirements", VOLUME);
    let rule = |rule: &str, message: &str| json!({"x-kubernetes-validations": [{"rule": rule, "message": message}]});
    vec![
        ("io.k8s.apimachinery.pkg.api.resource.Quantity", "", quantity()),
        // Of an embedded object's metadata, these are what people may set.
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "", embedded_metadata()),
        (env, "name", json!({"minLength": 1, "maxLength": 1024, "pattern": "^[ -<>-~]+$"})),
        (
            env,
            "",
            rule(
                "!(has(self.value) && size(self.value) > 0 && has(self.valueFrom))",
                "a variable has either value or valueFrom",
            ),
        ),
        (source, "", json!({"minProperties": 1, "maxProperties": 1})),
        (http, "scheme", json!({"enum": ["HTTP", "HTTPS"]})),
        (node, "operator", json!({"enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]})),
        (seccomp, "type", json!({"enum": ["Localhost", "RuntimeDefault", "Unconfined"]})),
        (toleration, "operator", json!({"enum": ["Equal", "Exists"]})),
        (spread, "topologyKey", json!({"minLength": 1})),
        (toleration, "effect", json!({"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]})),
        (spread, "maxSkew", json!({"minimum": 1})),
        (spread, "whenUnsatisfiable", json!({"enum": ["DoNotSchedule", "ScheduleAnyway"]})),
        (mount, "mountPath", json!({"minLength": 1, "maxLength": 4096})),
        (mount, "name", json!({"minLength": 1, "maxLength": 63})),
        (volume, "name", json!({"minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"})),
        // The name and one source.
        (volume, "", json!({"minProperties": 1, "maxProperties": 2})),
        (resources, "limits", json!({"maxProperties": 32})),
        (resources, "requests", json!({"maxProperties": 32})),
        (
            resources,
            "",
            rule(
                "!has(self.limits) || !has(self.requests) || self.requests.all(name, !(name in self.limits) || \
                 quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
                "requests must not be greater than limits",
            ),
        ),
    ]
    .into_iter()
    .chain(
        ["periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold", "initialDelaySeconds"]
            .map(|seconds| ("Probe", seconds, json!({"minimum": 0}))),
    )
    .chain([("Probe", "terminationGracePeriodSeconds", json!({"minimum": 1}))])
    .collect()
}

fn quantity() -> Value {
    json!({
        "description": "A number with a unit: 500m, 2, 64Mi.",
        "x-kubernetes-int-or-string": true,
        "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
        "maxLength": 64,
    })
}

fn embedded_metadata() -> Value {
    let strings = |description: &str| json!({"description": description, "type": "object", "additionalProperties": {"type": "string"}});
    json!({"properties": {"labels": strings("Labels of the claim"), "annotations": strings("Annotations of the claim")}})
}

/// Keeps the first sentence of each description: with all of their text the definition would be too large for an
/// annotation, which is where `kubectl apply` keeps a copy. `kubectl explain pod.spec` has the rest.
fn shorten(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                let ends = [". ", ".\n", "\n\n"].into_iter().filter_map(|end| text.find(end)).min();
                text.truncate(ends.unwrap_or(text.len()));
            }
            members.values_mut().for_each(shorten);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
