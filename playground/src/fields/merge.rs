//! An applied configuration laid over the live object.
//!
//! What the configuration has wins; what it doesn't have stays. In a list with keys its order wins for
//! the items that it names, and the others keep their place among them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::path::Step;
use super::schema::{Node, Schema, Shape, shape};

/// The live object with the configuration merged in. Both are objects.
pub(super) fn merge(schema: &Schema, live: &Value, config: &Value) -> Value {
    values(&schema.root, Some(live), Some(config)).unwrap_or_default()
}

fn values(node: &Node, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    match shape(node, [live, config]) {
        Shape::Leaf => config.or(live).cloned(),
        Shape::Members => {
            let members = members(node, live, config);
            (!members.is_empty()).then_some(Value::Object(members))
        }
        Shape::Items => {
            let items = items(node, list_of(live), list_of(config));
            (!items.is_empty()).then_some(Value::Array(items))
        }
    }
}

fn members(node: &Node, live: Option<&Value>, config: Option<&Value>) -> Map<String, Value> {
    let live = live.and_then(Value::as_object);
    let config = config.and_then(Value::as_object);
    let keys: BTreeSet<_> = [live, config].into_iter().flatten().flat_map(Map::keys).collect();
    let merged = |key: &String| {
        let config = config.and_then(|config| config.get(key));
        if node.typed() && config.is_some_and(Value::is_null) {
            return None;
        }
        let live = live.and_then(|live| live.get(key));
        Some((key.clone(), values(node.child(key).node, live, config)?))
    };
    keys.into_iter().filter_map(merged).collect()
}

fn list_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The items of both lists, each once.
///
/// The two are walked side by side. `shared` holds, in the configuration's order, the items that are
/// in both and still to come: a live item that is in it but not next has moved, and is left for its
/// turn.
fn items(node: &Node, live: &[Value], config: &[Value]) -> Vec<Value> {
    let (live, config) = (steps(node, live), steps(node, config));
    let live_at: BTreeMap<&Step, &Value> = live.iter().rev().map(|(s, v)| (s, *v)).collect();
    let config_at: BTreeMap<&Step, &Value> = config.iter().map(|(s, v)| (s, *v)).collect();
    let mut shared: VecDeque<_> =
        config.iter().map(|(step, _)| step).filter(|step| live_at.contains_key(step)).collect();
    let both = |step: &Step| values(node.item(), live_at.get(step).copied(), config_at.get(step).copied());

    let mut out = Vec::new();
    let mut done = BTreeSet::new();
    let (mut live, mut config) = (live.iter().peekable(), config.iter().peekable());
    while live.peek().is_some() || config.peek().is_some() {
        if let Some((step, item)) = live.peek() {
            if !config_at.contains_key(step) {
                out.push((*item).clone());
                live.next();
                continue;
            }
            let moved = shared.front().is_some_and(|next| next != &step);
            if done.contains(step) || (config.peek().is_some() && moved) {
                live.next();
                continue;
            }
        }
        if let Some((step, _)) = config.next() {
            out.extend(both(step));
            done.insert(step);
            if shared.front() == Some(&step) {
                shared.pop_front();
            }
        }
    }
    out
}

/// The items with their steps; one that has none is nobody's, and goes.
fn steps<'a>(node: &Node, list: &'a [Value]) -> Vec<(Step, &'a Value)> {
    list.iter().filter_map(|item| Some((node.step_to(item).ok()?, item))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volumes(names: &str) -> Value {
        let items: Vec<_> = names.chars().map(|c| json!({"name": c.to_string()})).collect();
        json!({"spec": {"volumes": items}})
    }

    #[test]
    fn the_order_of_the_configuration_wins_and_the_others_keep_their_place() {
        let pod = Schema::builtin("Pod");
        let cases = [
            ("abc", "abc", "abc"),
            ("abc", "", "abc"),
            ("", "abc", "abc"),
            ("abc", "d", "abcd"),
            ("abc", "cba", "cba"),
            ("abc", "ca", "bca"),
            ("abc", "b", "abc"),
            ("axc", "ayc", "axyc"),
            ("ab", "xab", "xab"),
        ];
        for (live, config, wanted) in cases {
            let merged = merge(&pod, &volumes(live), &volumes(config));
            assert_eq!(merged, volumes(wanted), "{live} + {config}");
        }
    }

    #[test]
    fn items_merge_by_key_even_where_a_key_is_left_to_its_default() {
        let pod = Schema::builtin("Pod");
        let container = |port: Value| json!({"spec": {"containers": [{"name": "c", "ports": [port]}]}});
        let live = container(json!({"containerPort": 80, "protocol": "TCP", "hostPort": 1}));
        let config = container(json!({"containerPort": 80, "name": "http"}));
        let wanted = container(json!({"containerPort": 80, "protocol": "TCP", "hostPort": 1, "name": "http"}));
        assert_eq!(merge(&pod, &live, &config), wanted);
    }

    #[test]
    fn atomic_values_are_replaced_and_objects_are_merged() {
        let pod = Schema::builtin("Pod");
        let live = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"tolerations": [1], "x": 1}});
        let config = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"tolerations": [2, 3]}});
        let wanted = json!({
            "metadata": {"labels": {"a": "1", "b": "2"}},
            "spec": {"tolerations": [2, 3], "x": 1},
        });
        assert_eq!(merge(&pod, &live, &config), wanted);
    }
}
