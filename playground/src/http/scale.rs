//! The scale subresource: an object seen as a number of replicas.
//!
//! `kubectl scale` and autoscalers speak it. Nothing is stored for it: it is computed from the object, and a write to it
//! is a write of one field of the object.

use http::Method;
use serde_json::{Map, Value, json};

use super::mutate::{self, body, options, patch_body, patch_kind};
use super::route::Place;
use super::{Answer, Call, response};
use crate::cluster::{PatchKind, patch_error};
use crate::patch;
use crate::resources::{Resource, Scale, ScaleSelector};
use crate::schema::Cause;
use crate::status::Status;

/// GET, PUT and PATCH of `.../scale`.
pub(super) fn scale(call: &Call<'_>, place: &Place) -> Answer {
    let target = mutate::target(call, place);
    let view = |object: &Value| view(&target.stored, object);
    let object = match *call.method {
        Method::GET => {
            let found = call.cluster.store().get(&target.stored.table(), &target.key);
            found.ok_or_else(|| Status::not_found(&place.resource, &target.key.name))?
        }
        Method::PUT => {
            let wanted = body(call, "Scale")?;
            let options = options(call, "UpdateOptions")?;
            let written = call.cluster.write_scale(&target, &options, |live| {
                let version = wanted["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                if !version.is_empty() && version != live.revision.to_string() {
                    return Err(Status::modified(&place.resource, &target.key.name));
                }
                replicas(&target.key.name, &wanted)
            })?;
            written.object
        }
        Method::PATCH => {
            let kind = patch_kind(call, true)?;
            let options = options(call, "PatchOptions")?;
            let change = patch_body(call, kind)?;
            let written = call.cluster.write_scale(&target, &options, |live| {
                replicas(&target.key.name, &patched(view(&live.value()), kind, &change, &target.stored)?)
            })?;
            written.object
        }
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(response::json(200, &view(&object.value())))
}

fn patched(mut scale: Value, kind: PatchKind, change: &Value, resource: &Resource) -> Result<Value, Status> {
    match kind {
        PatchKind::Merge | PatchKind::Strategic => {
            patch::merge(&mut scale, change);
            Ok(scale)
        }
        PatchKind::Json => patch::json_patch(&scale, change).map_err(|error| patch_error(&error)),
        PatchKind::Apply => Err(Status::not_implemented(&format!("apply to {}/scale", resource.group_resource()))),
    }
}

fn replicas(name: &str, scale: &Value) -> Result<u64, Status> {
    let replicas = &scale["spec"]["replicas"];
    match (replicas.as_u64(), replicas) {
        (Some(replicas), _) => Ok(replicas),
        // Zero is what an absent number means in a Scale.
        (None, Value::Null) => Ok(0),
        (None, other) => {
            let cause = Cause {
                reason: "FieldValueInvalid".into(),
                field: "spec.replicas".into(),
                message: format!("Invalid value: {other}: must be greater than or equal to 0"),
            };
            Err(Status::invalid_scale(name, vec![cause]))
        }
    }
}

/// `autoscaling/v1` Scale of an object.
fn view(resource: &Resource, object: &Value) -> Value {
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
pub(super) fn selector_text(selector: &Value) -> String {
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
