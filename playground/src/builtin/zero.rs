//! Go's zero values, which disappear on the way through the server.
//!
//! Kubernetes decodes JSON into Go structs and encodes them again; a field marked
//! `omitempty` is gone if it holds its type's zero value. Without the structs at hand
//! this module goes by the fields' names: nulls, empty arrays and empty texts vanish
//! everywhere, and so do the known numbers, switches and string maps. Pointers survive
//! (`replicas: 0`, `runAsNonRoot: false`, `emptyDir: {}`), as do the entries *inside*
//! string maps (a label may well be empty).

use serde_json::Value;

/// Maps from names to texts (or quantities): their entries are data.
const STRING_MAPS: [&str; 11] = [
    "labels",
    "annotations",
    "matchLabels",
    "nodeSelector",
    "data",
    "binaryData",
    "stringData",
    "limits",
    "requests",
    "overhead",
    "volumeAttributes",
];

/// Plain `int32`/`int64` fields with `omitempty`.
const NUMBERS: [&str; 18] = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "hostPort",
    "nodePort",
    "minReadySeconds",
    "observedGeneration",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "fullyLabeledReplicas",
    "generation",
    "count",
    "healthCheckNodePort",
    "currentReplicas",
];

/// Plain `bool` fields with `omitempty`.
const SWITCHES: [&str; 10] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "paused",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
    "publishNotReadyAddresses",
    "unschedulable",
];

/// Removes the zero values of a built-in object.
pub(super) fn prune(resource: &str, object: &mut Value) {
    // The status of a Deployment counts replicas in a plain number; a ReplicaSet's
    // `status.replicas` has no omitempty, and in every spec it is a pointer.
    if resource == "deployments.apps"
        && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
        && status.get("replicas").and_then(Value::as_i64) == Some(0)
    {
        status.remove("replicas");
    }
    if let Some(map) = object.as_object_mut() {
        // Arrays and maps at the top keep their nulls where Go has no omitempty.
        map.retain(|key, value| key == "metadata" || !is_zero(key, value));
        for (key, value) in map.iter_mut() {
            descend(key, value);
        }
    }
    if resource == "services"
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        && spec.get("selector").is_some_and(is_empty_object)
    {
        spec.remove("selector");
    }
}

fn descend(key: &str, value: &mut Value) {
    if STRING_MAPS.contains(&key) || key == "fieldsV1" {
        return;
    }
    match value {
        Value::Object(map) => {
            let of_service = key == "spec" && map.contains_key("clusterIP");
            map.retain(|key, value| !is_zero(key, value));
            for (key, value) in map.iter_mut() {
                if !(of_service && key == "selector") {
                    descend(key, value);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                descend("", item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_empty_object(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn is_zero(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => key != "lastProbeTime",
        Value::Bool(on) => !on && SWITCHES.contains(&key),
        Value::Number(number) => number.as_i64() == Some(0) && NUMBERS.contains(&key),
        Value::String(text) => text.is_empty() && !KEPT_TEXTS.contains(&key),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty() && STRING_MAPS.contains(&key),
    }
}

/// Texts that may be empty: pointers, and fields without `omitempty`.
const KEPT_TEXTS: [&str; 8] = [
    "holderIdentity",
    "storageClassName",
    "ingressClassName",
    "image",
    "imageID",
    "type",
    "reportingController",
    "reportingComponent",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_and_label_values_survive_while_zero_values_vanish() {
        let mut object = json!({
            "metadata": {"creationTimestamp": null, "labels": {"a": ""}, "annotations": {}},
            "spec": {
                "replicas": 0,
                "paused": false,
                "template": {"spec": {
                    "hostNetwork": false,
                    "securityContext": {"runAsNonRoot": false},
                    "volumes": [{"emptyDir": {}, "name": "v"}],
                    "containers": [{"env": [{"name": "A", "value": ""}], "args": []}],
                }},
            },
        });
        prune("deployments.apps", &mut object);
        assert_eq!(
            object,
            json!({
                "metadata": {"labels": {"a": ""}},
                "spec": {
                    "replicas": 0,
                    "template": {"spec": {
                        "securityContext": {"runAsNonRoot": false},
                        "volumes": [{"emptyDir": {}, "name": "v"}],
                        "containers": [{"env": [{"name": "A"}]}],
                    }},
                },
            })
        );
    }
}
