//! An object seen as a number of replicas: the form that its scale subresource has.

use serde_json::{Map, Value, json};

use super::{Resource, Scale, ScaleSelector};

/// `autoscaling/v1` Scale of an object.
pub(crate) fn scale_of(resource: &Resource, object: &Value) -> Value {
    let at = |path: &[String]| path.iter().fold(object, |value, part| &value[part]).clone();
    let number = |value: Value| if value.is_u64() { value } else { json!(0) };
    let source = &object["metadata"];
    let mut metadata = Map::new();
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = source.get(name) {
            metadata.insert(name.into(), value.clone());
        }
    }
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {}});
    let Some(Scale { spec_replicas, status_replicas, selector }) = &resource.scale else { return scale };
    let wanted = number(at(spec_replicas));
    if wanted != 0 {
        scale["spec"]["replicas"] = wanted;
    }
    scale["status"]["replicas"] = number(at(status_replicas));
    let selector = match selector {
        ScaleSelector::Absent => String::new(),
        ScaleSelector::Text(path) => at(path).as_str().unwrap_or_default().to_owned(),
        ScaleSelector::Structured(path) => selector_text(&at(path)),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

/// A LabelSelector as `metav1.FormatLabelSelector` prints it.
pub(crate) fn selector_text(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    for rule in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = rule["key"].as_str().unwrap_or_default();
        let values = rule["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        parts.push(match rule["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",")
}
