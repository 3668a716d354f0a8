//! Strategic merge patch: what kubectl sends for built-in kinds.
//!
//! As a merge patch, but a list whose items have a key is merged item by item, and the patch can carry
//! directives next to its values:
//!
//! ```text
//! {"$patch": "replace", ...}               the object becomes what the patch says
//! {"$patch": "delete", "name": "x"}        the item goes
//! {"$retainKeys": ["type"]}                every other member goes
//! {"$setElementOrder/env": [{"name": ..}]} the order of the list
//! {"$deleteFromPrimitiveList/finalizers"}  these values go
//! ```
//!
//! The key is the first one by which the list is told apart for ownership: `containerPort` of the two
//! of a container's ports. That is how the API types are marked, and why two ports of one number and
//! different protocols get mixed up by this patch, there as here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Error;
use crate::fields::{Node, Schema};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

type Object = Map<String, Value>;

/// Applies a strategic merge patch to an object of a built-in kind.
pub fn strategic(target: &Value, patch: &Value, schema: &Schema) -> Result<Value, Error> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(Error::Malformed("invalid JSON document".to_owned()));
    };
    object(&schema.root, target, patch).map(Value::Object)
}

fn object(node: &Node, target: &Object, patch: &Object) -> Result<Object, Error> {
    match patch.get(DIRECTIVE).map(|directive| (directive, directive.as_str())) {
        None | Some((_, Some("merge"))) => {}
        Some((_, Some("replace"))) => {
            let mut patch = patch.clone();
            patch.remove(DIRECTIVE);
            return Ok(patch);
        }
        Some((_, Some("delete"))) => return Ok(Object::new()),
        Some((directive, _)) => {
            let patch = Value::Object(patch.clone());
            return Err(Error::Malformed(format!("unknown patch type: {directive} in map: {patch}")));
        }
    }
    let mut out = target.clone();
    retain_keys(&mut out, patch)?;
    for (name, value) in patch {
        if let Some(name) = name.strip_prefix(DELETE_FROM) {
            delete_from(&mut out, name, value)?;
        }
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        member(node, &mut out, name, value)?;
    }
    for (name, order) in patch {
        if let Some(name) = name.strip_prefix(SET_ORDER) {
            set_order(node, target, &mut out, name, order)?;
        }
    }
    Ok(out)
}

fn member(node: &Node, out: &mut Object, name: &str, value: &Value) -> Result<(), Error> {
    let node = node.child(name).node;
    let merged = match (out.get(name), value) {
        (_, Value::Null) => {
            out.remove(name);
            return Ok(());
        }
        (Some(Value::Object(target)), Value::Object(patch)) => Value::Object(object(node, target, patch)?),
        (None, Value::Object(patch)) => Value::Object(object(node, &Object::new(), patch)?),
        (Some(Value::Array(target)), Value::Array(patch)) => Value::Array(list(node, target, patch)?),
        (None, Value::Array(patch)) => Value::Array(list(node, &[], patch)?),
        (Some(_) | None, value) => value.clone(),
    };
    out.insert(name.to_owned(), merged);
    Ok(())
}

fn retain_keys(out: &mut Object, patch: &Object) -> Result<(), Error> {
    let Some(keys) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || Error::Malformed("invalid patch format of retainKeys".to_owned());
    let keys = keys.as_array().ok_or_else(malformed)?;
    let sets = |name: &String| !name.starts_with('$') && !patch[name].is_null();
    if patch.keys().any(|name| sets(name) && !keys.iter().any(|key| key == name)) {
        return Err(malformed());
    }
    out.retain(|name, _| keys.iter().any(|key| key == name));
    Ok(())
}

fn delete_from(out: &mut Object, name: &str, values: &Value) -> Result<(), Error> {
    let values =
        values.as_array().ok_or_else(|| Error::Malformed("invalid patch format of primitive list".to_owned()))?;
    if let Some(list) = out.get_mut(name).and_then(Value::as_array_mut) {
        list.retain(|value| !values.contains(value));
    }
    Ok(())
}

/// How the items of a list are told apart: by one key, by value, or not at all.
enum Identity<'a> {
    Key(&'a str),
    Value,
    None,
}

impl<'a> Identity<'a> {
    fn of(node: &'a Node) -> Self {
        match node {
            Node::List(list) => list.merge_key().map_or(Self::None, Self::Key),
            Node::Set => Self::Value,
            Node::Leaf | Node::Open { .. } | Node::Fields(_) => Self::None,
        }
    }

    fn id(&self, item: &Value) -> Result<String, Error> {
        match self {
            Self::Value | Self::None => Ok(item.to_string()),
            Self::Key(key) => match item.get(key) {
                Some(value) => Ok(value.to_string()),
                None => Err(Error::Unmergeable(format!("map: {item} does not contain declared merge key: {key}"))),
            },
        }
    }

    fn ids(&self, items: &[Value]) -> Result<Vec<String>, Error> {
        items.iter().map(|item| self.id(item)).collect()
    }
}

fn list(node: &Node, target: &[Value], patch: &[Value]) -> Result<Vec<Value>, Error> {
    let identity = Identity::of(node);
    if matches!(identity, Identity::None) {
        return Ok(patch.to_vec());
    }
    let says = |item: &Value, what: &str| item.get(DIRECTIVE).is_some_and(|directive| directive == what);
    let replaced = patch.iter().any(|item| says(item, "replace"));
    let mut merged: Vec<(String, Value)> = Vec::new();
    for item in target.iter().filter(|_| !replaced) {
        merged.push((identity.id(item)?, item.clone()));
    }
    let mut named = Vec::new();
    for item in patch {
        if says(item, "replace") {
            continue;
        }
        let id = identity.id(item)?;
        if says(item, "delete") {
            merged.retain(|(other, _)| *other != id);
            continue;
        }
        named.push(id.clone());
        merge_item(node.item(), &mut merged, id, item)?;
    }
    let order = identity.ids(target)?;
    Ok(in_order(merged, &named, &order))
}

fn merge_item(node: &Node, merged: &mut Vec<(String, Value)>, id: String, item: &Value) -> Result<(), Error> {
    let found = merged.iter_mut().find(|(other, _)| *other == id).map(|(_, value)| value);
    let target = found.as_ref().and_then(|value| value.as_object()).cloned().unwrap_or_default();
    let item = match item {
        Value::Object(patch) => Value::Object(object(node, &target, patch)?),
        value => value.clone(),
    };
    match found {
        Some(value) => *value = item,
        None => merged.push((id, item)),
    }
    Ok(())
}

fn set_order(node: &Node, target: &Object, out: &mut Object, name: &str, order: &Value) -> Result<(), Error> {
    let malformed = || Error::Malformed("invalid patch format of setElementOrder list".to_owned());
    let order = order.as_array().ok_or_else(malformed)?;
    let identity = Identity::of(node.child(name).node);
    let Some(Value::Array(items)) = out.get_mut(name) else { return Ok(()) };
    let ids = identity.ids(items)?;
    let merged = ids.into_iter().zip(std::mem::take(items)).collect();
    let was = target.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    *items = in_order(merged, &identity.ids(order)?, &identity.ids(was)?);
    Ok(())
}

/// Puts what the patch names into its order, and the rest between, where it was before: an item that
/// the patch doesn't name goes before the first named one that it stood before.
fn in_order(items: Vec<(String, Value)>, named: &[String], was: &[String]) -> Vec<Value> {
    let place = |list: &[String], id: &String| list.iter().position(|other| other == id);
    let (mut named_items, mut others): (Vec<_>, Vec<_>) = items.into_iter().partition(|(id, _)| named.contains(id));
    named_items.sort_by_key(|(id, _)| place(named, id));
    others.sort_by_key(|(id, _)| place(was, id));

    let places: BTreeMap<&String, usize> = was.iter().enumerate().rev().map(|(at, id)| (id, at)).collect();
    let stood_before = |other: &String, next: &String| match (places.get(other), places.get(next)) {
        (Some(other), Some(next)) => other < next,
        (Some(_) | None, _) => false,
    };
    let mut others = others.into_iter().peekable();
    let mut out = Vec::new();
    for (id, item) in named_items {
        while let Some((_, other)) = others.next_if(|(other, _)| stood_before(other, &id)) {
            out.push(other);
        }
        out.push(item);
    }
    out.extend(others.map(|(_, item)| item));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(target: &Value, patch: &Value) -> Result<Value, Error> {
        strategic(target, patch, &Schema::builtin("Pod"))
    }

    #[test]
    fn objects_merge_and_null_removes() {
        let target = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"x": 1}});
        let patch = json!({"metadata": {"labels": {"a": null, "c": "3"}, "annotations": {"n": "1", "m": null}}});
        let wanted = json!({
            "metadata": {"labels": {"b": "2", "c": "3"}, "annotations": {"n": "1"}},
            "spec": {"x": 1},
        });
        assert_eq!(patched(&target, &patch), Ok(wanted));
    }

    #[test]
    fn set_image_touches_one_container_only() {
        let target = json!({"spec": {"containers": [
            {"name": "a", "image": "1", "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "2"},
        ]}});
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
            "containers": [{"name": "b", "image": "3"}],
        }});
        let wanted = json!({"spec": {"containers": [
            {"name": "a", "image": "1", "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "3"},
        ]}});
        assert_eq!(patched(&target, &patch), Ok(wanted));
    }

    #[test]
    fn lists_without_a_key_are_replaced() {
        let target = json!({"spec": {"tolerations": [{"key": "a"}], "containers": [{"name": "c", "args": ["1"]}]}});
        let patch = json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "c", "args": ["2"]}]}});
        assert_eq!(patched(&target, &patch), Ok(patch));
    }

    #[test]
    fn directives_delete_replace_and_retain() {
        let env = |items: Value| json!({"spec": {"containers": [{"name": "c", "env": items}]}});
        let target = env(json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]));
        let cases = [
            (env(json!([{"name": "a", "$patch": "delete"}])), env(json!([{"name": "b", "value": "2"}]))),
            (env(json!([{"$patch": "replace"}, {"name": "x"}])), env(json!([{"name": "x"}]))),
            (
                env(json!([{"name": "a", "$retainKeys": ["name"]}])),
                env(json!([{"name": "a"}, {"name": "b", "value": "2"}])),
            ),
            (json!({"spec": {"$patch": "delete"}}), json!({"spec": {}})),
            (json!({"spec": {"$patch": "replace", "x": 1}}), json!({"spec": {"x": 1}})),
        ];
        for (patch, wanted) in cases {
            assert_eq!(patched(&target, &patch), Ok(wanted), "{patch}");
        }
    }

    #[test]
    fn values_come_and_go_in_a_list_of_them() {
        let target = json!({"metadata": {"finalizers": ["a", "b"]}});
        let add = json!({"metadata": {"finalizers": ["b", "c"]}});
        let wanted = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
        assert_eq!(patched(&target, &add), Ok(wanted));
        let remove = json!({"metadata": {
            "$deleteFromPrimitiveList/finalizers": ["a"],
            "$setElementOrder/finalizers": ["b"],
        }});
        assert_eq!(patched(&target, &remove), Ok(json!({"metadata": {"finalizers": ["b"]}})));
    }

    #[test]
    fn the_order_of_the_patch_wins_and_the_others_keep_their_place() {
        let volumes = |names: &str| names.chars().map(|c| json!({"name": c.to_string()})).collect::<Vec<_>>();
        let cases = [
            ("abc", "", "cba", "cba"),
            ("abc", "d", "abcd", "abcd"),
            ("axc", "y", "ayc", "ayxc"),
            ("abc", "", "ca", "bca"),
        ];
        for (live, patch, order, wanted) in cases {
            let target = json!({"spec": {"volumes": volumes(live)}});
            let mut patch = json!({"spec": {"volumes": volumes(patch), "$setElementOrder/volumes": volumes(order)}});
            if patch["spec"]["volumes"] == json!([]) {
                patch["spec"].as_object_mut().unwrap().remove("volumes");
            }
            assert_eq!(patched(&target, &patch), Ok(json!({"spec": {"volumes": volumes(wanted)}})), "{live} {order}");
        }
    }

    #[test]
    fn what_cannot_be_merged_is_refused() {
        let target = json!({"spec": {"containers": [{"name": "a"}]}});
        let cases = [
            (json!([]), (400, "BadRequest")),
            (json!({"spec": {"$patch": "rename"}}), (400, "BadRequest")),
            (json!({"spec": {"$retainKeys": 1}}), (400, "BadRequest")),
            (json!({"spec": {"$retainKeys": ["a"], "b": 1}}), (400, "BadRequest")),
            (json!({"spec": {"containers": [{"image": "x"}]}}), (500, "InternalError")),
        ];
        for (patch, wanted) in cases {
            assert_eq!(patched(&target, &patch).unwrap_err().status(), wanted, "{patch}");
        }
    }
}
