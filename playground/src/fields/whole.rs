//! For tests: the same rules with the managed fields inside of the object, as clients see them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Applier, ApplyError, Schema, State, Updater};

fn split(mut object: Value) -> (Value, Option<Value>) {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let sent = metadata.and_then(|metadata| metadata.remove("managedFields"));
    (object, sent)
}

fn text(managed: Option<Value>) -> Bytes {
    managed.map(|managed| managed.to_string()).unwrap_or_default().into()
}

fn join(mut object: Value, managed: &[u8]) -> Value {
    if !managed.is_empty() {
        object["metadata"]["managedFields"] = serde_json::from_slice(managed).unwrap();
    }
    object
}

pub(super) fn track_update(old: Option<&Value>, new: Value, by: Updater<'_>, schema: &Schema) -> Value {
    let (old, managed) = old.map_or((None, None), |old| {
        let (old, managed) = split(old.clone());
        (Some(old), managed)
    });
    let (managed, (new, sent)) = (text(managed), split(new));
    let old = old.as_ref().map(|object| State { object, managed: &managed });
    let managed = super::track_update(old, &new, sent.as_ref(), by, schema);
    join(new, &managed)
}

pub(super) fn track_scale(old: &Value, new: Value, path: &[&str], by: Updater<'_>) -> Value {
    let (old, managed) = split(old.clone());
    let (managed, (new, _)) = (text(managed), split(new));
    let managed = super::track_scale(State { object: &old, managed: &managed }, &new, path, by);
    join(new, &managed)
}

pub(super) fn apply(
    live: Option<&Value>,
    config: &Value,
    by: Applier<'_>,
    schema: &Schema,
) -> Result<Value, ApplyError> {
    let (live, managed) = split(live.cloned().unwrap_or_else(|| json!({})));
    let managed = text(managed);
    let live = (live != json!({})).then_some(State { object: &live, managed: &managed });
    super::apply(live, config, by, schema).map(|(object, managed)| join(object, &managed))
}
