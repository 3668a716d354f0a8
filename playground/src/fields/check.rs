//! What an applied configuration may not hold: list items that can't be told apart.

use std::collections::BTreeSet;

use serde_json::Value;

use super::path::{self, Step};
use super::schema::{Node, Schema, Shape, shape};

/// Names every item that has no key, or the key of an item before it.
pub(super) fn check(schema: &Schema, config: &Value) -> Result<(), Vec<String>> {
    let mut errors = Vec::new();
    values(&schema.root, config, &mut Vec::new(), &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn values(node: &Node, value: &Value, here: &mut Vec<Step>, errors: &mut Vec<String>) {
    match (shape(node, [Some(value), None]), value) {
        (Shape::Members, Value::Object(members)) => {
            for (name, value) in members {
                here.push(Step::field(name));
                values(node.child(name).node, value, here, errors);
                here.pop();
            }
        }
        (Shape::Items, Value::Array(items)) => {
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                match node.step_to(item) {
                    Err(why) => {
                        errors.push(format!("{}: element {index}: {why}", path::print(here)));
                    }
                    Ok(step) if !seen.insert(step.clone()) => {
                        errors.push(format!("{}: duplicate entries for key {step}", path::print(here)));
                    }
                    Ok(step) => {
                        here.push(step);
                        values(node.item(), item, here, errors);
                        here.pop();
                    }
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_that_cannot_be_told_apart_are_named() {
        let pod = Schema::builtin("Pod");
        let containers = |items: Value| json!({"spec": {"containers": items}});
        let cases = [
            (containers(json!([{"name": "a"}, {"name": "b"}])), None),
            (
                containers(json!([{"name": "a"}, {"name": "a"}])),
                Some(".spec.containers: duplicate entries for key [name=\"a\"]"),
            ),
            (
                containers(
                    json!([{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]}]),
                ),
                Some(
                    ".spec.containers[name=\"a\"].ports: duplicate entries for key \
                     [containerPort=1,protocol=\"TCP\"]",
                ),
            ),
            (
                json!({"metadata": {"finalizers": ["x", "x"]}}),
                Some(".metadata.finalizers: duplicate entries for key [=\"x\"]"),
            ),
        ];
        for (config, wanted) in cases {
            let got = check(&pod, &config).err().map(|errors| errors.join("; "));
            assert_eq!(got.as_deref(), wanted, "{config}");
        }
    }
}
