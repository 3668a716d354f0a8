//! Is this JSON of the kind at all? What Go's decoder would refuse, with its words.
//!
//! A field of the wrong type never reaches validation: the decoder answers 400. The
//! table lists the fields that people and programs get wrong, not all there are; a
//! mistake elsewhere is stored as it came.

use serde_json::Value;

/// A field's type, as Go's decoder names it.
#[derive(Clone, Copy)]
enum Kind {
    Int32,
    Int64,
    Bool,
    Text,
    /// A map from text to text.
    TextMap,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// A map whose values are base64.
    Base64Map,
    /// A map whose values are quantities.
    Quantities,
    /// An object of the Go type of this name.
    Struct(&'static str),
}

/// (resource prefix, path, Go's struct, type). `[]` means "each element of".
const FIELDS: [(&str, &str, &str, Kind); 47] = [
    ("", "metadata", "Object", Kind::Struct("v1.ObjectMeta")),
    ("deployments.apps", "spec", "Deployment", Kind::Struct("v1.DeploymentSpec")),
    ("replicasets.apps", "spec", "ReplicaSet", Kind::Struct("v1.ReplicaSetSpec")),
    ("pods", "spec", "Pod", Kind::Struct("v1.PodSpec")),
    ("services", "spec", "Service", Kind::Struct("v1.ServiceSpec")),
    ("leases.coordination.k8s.io", "spec", "Lease", Kind::Struct("v1.LeaseSpec")),
    ("deployments.apps", "spec.template", "DeploymentSpec", Kind::Struct("v1.PodTemplateSpec")),
    ("deployments.apps", "spec.template.spec", "PodTemplateSpec", Kind::Struct("v1.PodSpec")),
    ("deployments.apps", "spec.template.spec.containers[]", "PodSpec", Kind::Struct("v1.Container")),
    ("replicasets.apps", "spec.template", "ReplicaSetSpec", Kind::Struct("v1.PodTemplateSpec")),
    ("replicasets.apps", "spec.template.spec", "PodTemplateSpec", Kind::Struct("v1.PodSpec")),
    ("replicasets.apps", "spec.template.spec.containers[]", "PodSpec", Kind::Struct("v1.Container")),
    ("", "metadata.name", "ObjectMeta", Kind::Text),
    ("", "metadata.namespace", "ObjectMeta", Kind::Text),
    ("", "metadata.labels", "ObjectMeta", Kind::TextMap),
    ("", "metadata.annotations", "ObjectMeta", Kind::TextMap),
    ("deployments.apps", "spec.replicas", "DeploymentSpec", Kind::Int32),
    ("deployments.apps", "spec.paused", "DeploymentSpec", Kind::Bool),
    ("deployments.apps", "spec.minReadySeconds", "DeploymentSpec", Kind::Int32),
    ("deployments.apps", "spec.revisionHistoryLimit", "DeploymentSpec", Kind::Int32),
    ("deployments.apps", "spec.progressDeadlineSeconds", "DeploymentSpec", Kind::Int32),
    ("deployments.apps", "spec.selector.matchLabels", "LabelSelector", Kind::TextMap),
    ("deployments.apps", "spec.template.metadata.labels", "ObjectMeta", Kind::TextMap),
    ("deployments.apps", "spec.template.metadata.annotations", "ObjectMeta", Kind::TextMap),
    ("deployments.apps", "spec.template.spec.containers[].image", "Container", Kind::Text),
    ("deployments.apps", "spec.template.spec.containers[].name", "Container", Kind::Text),
    ("deployments.apps", "spec.template.spec.containers[].env[].value", "EnvVar", Kind::Text),
    ("deployments.apps", "spec.template.spec.containers[].ports[].containerPort", "ContainerPort", Kind::Int32),
    ("deployments.apps", "spec.template.spec.containers[].resources.limits", "ResourceRequirements", Kind::Quantities),
    (
        "deployments.apps",
        "spec.template.spec.containers[].resources.requests",
        "ResourceRequirements",
        Kind::Quantities,
    ),
    ("deployments.apps", "spec.template.spec.securityContext.runAsUser", "PodSecurityContext", Kind::Int64),
    ("deployments.apps", "spec.template.spec.securityContext.runAsNonRoot", "PodSecurityContext", Kind::Bool),
    ("replicasets.apps", "spec.replicas", "ReplicaSetSpec", Kind::Int32),
    ("pods", "spec.containers[].image", "Container", Kind::Text),
    ("pods", "spec.containers[].env[].value", "EnvVar", Kind::Text),
    ("pods", "spec.containers[].resources.limits", "ResourceRequirements", Kind::Quantities),
    ("pods", "spec.containers[].resources.requests", "ResourceRequirements", Kind::Quantities),
    ("services", "spec.ports[].port", "ServicePort", Kind::Int32),
    ("services", "spec.selector", "ServiceSpec", Kind::TextMap),
    ("secrets", "stringData", "Secret", Kind::TextMap),
    ("secrets", "data", "Secret", Kind::Base64Map),
    ("configmaps", "data", "ConfigMap", Kind::TextMap),
    ("leases.coordination.k8s.io", "spec.leaseDurationSeconds", "LeaseSpec", Kind::Int32),
    ("leases.coordination.k8s.io", "spec.leaseTransitions", "LeaseSpec", Kind::Int32),
    ("leases.coordination.k8s.io", "spec.acquireTime", "LeaseSpec", Kind::MicroTime),
    ("leases.coordination.k8s.io", "spec.renewTime", "LeaseSpec", Kind::MicroTime),
    ("events.events.k8s.io", "eventTime", "Event", Kind::MicroTime),
];

/// The first mistake that Go's decoder would stop at.
pub(super) fn check(resource: &str, object: &Value) -> Result<(), String> {
    for (of, path, holder, kind) in FIELDS {
        if of.is_empty() || of == resource {
            let plain = path.replace("[]", "");
            let field = format!("{holder}.{plain}");
            walk(object, path, &field, kind)?;
        }
    }
    Ok(())
}

fn walk(value: &Value, path: &str, field: &str, kind: Kind) -> Result<(), String> {
    if path.is_empty() {
        return match value {
            Value::Null => Ok(()),
            value => check_value(value, field, kind),
        };
    }
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let each = head.ends_with("[]");
    let Some(child) = value.get(head.trim_end_matches("[]")) else {
        return Ok(());
    };
    if !each {
        return walk(child, rest, field, kind);
    }
    let items = child.as_array().into_iter().flatten();
    items.into_iter().try_for_each(|item| walk(item, rest, field, kind))
}

fn check_value(value: &Value, field: &str, kind: Kind) -> Result<(), String> {
    match kind {
        Kind::Int32 => number(value, field, "int32", i64::from(i32::MIN), i64::from(i32::MAX)),
        Kind::Int64 => number(value, field, "int64", i64::MIN, i64::MAX),
        Kind::Bool if !value.is_boolean() => Err(mismatch(value, field, "bool")),
        Kind::Text if !value.is_string() => Err(mismatch(value, field, "string")),
        Kind::Struct(name) if !value.is_object() => Err(mismatch(value, field, name)),
        Kind::Bool | Kind::Text | Kind::Struct(_) => Ok(()),
        Kind::TextMap => each(value, field, "map[string]string", &|value| match value {
            Value::String(_) | Value::Null => Ok(()),
            other => Err(mismatch(other, field, "string")),
        }),
        Kind::MicroTime => micro_time(value, field),
        Kind::Base64Map => each(value, field, "map[string][]uint8", &|value| base64(value, field)),
        Kind::Quantities => each(value, field, "v1.ResourceList", &quantity),
    }
}

fn mismatch(value: &Value, field: &str, expected: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into Go struct field {field} of type {expected}")
}

fn number(value: &Value, field: &str, name: &str, min: i64, max: i64) -> Result<(), String> {
    let Value::Number(number) = value else {
        return Err(mismatch(value, field, name));
    };
    match number.as_i64() {
        Some(n) if (min..=max).contains(&n) => Ok(()),
        _ => Err(format!("json: cannot unmarshal number {number} into Go struct field {field} of type {name}")),
    }
}

fn each(value: &Value, field: &str, name: &str, check: &dyn Fn(&Value) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::Object(map) => map.values().try_for_each(check),
        other => Err(mismatch(other, field, name)),
    }
}

fn micro_time(value: &Value, field: &str) -> Result<(), String> {
    const LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";
    let Some(text) = value.as_str() else {
        return Err(mismatch(value, field, "string"));
    };
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(());
    }
    let rest = quoted(text);
    Err(format!("parsing time {rest} as {}: cannot parse {rest} as \"2006\"", quoted(LAYOUT)))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn base64(value: &Value, field: &str) -> Result<(), String> {
    use base64::Engine;
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text,
        other => return Err(mismatch(other, field, "[]uint8")),
    };
    let Err(error) = base64::engine::general_purpose::STANDARD.decode(text) else {
        return Ok(());
    };
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
        base64::DecodeError::InvalidLength(length) => length - length % 4,
        base64::DecodeError::InvalidPadding => text.trim_end_matches('=').len(),
    };
    Err(format!("illegal base64 data at input byte {at}"))
}

fn quantity(value: &Value) -> Result<(), String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(super::quantity::COMPLAINT.to_owned()),
    };
    match super::quantity::Quantity::parse(&text) {
        Some(_) => Ok(()),
        None => Err(super::quantity::COMPLAINT.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use serde_json::json;

    #[test]
    fn a_number_where_a_text_belongs_is_named_as_go_names_it() {
        let object = json!({"spec": {"replicas": "two"}});
        assert_eq!(
            check("deployments.apps", &object).unwrap_err(),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
    }

    #[test]
    fn a_secret_whose_data_is_no_base64_is_refused() {
        let object = json!({"data": {"a": "not base64"}});
        assert_eq!(check("secrets", &object).unwrap_err(), "illegal base64 data at input byte 3");
    }

    #[test]
    fn quantities_may_be_numbers() {
        let spec = json!({"containers": [{"resources": {"limits": {"cpu": 1, "memory": "1x"}}}]});
        let object = json!({"spec": spec});
        assert!(check("pods", &object).unwrap_err().starts_with("quantities"));
    }
}
