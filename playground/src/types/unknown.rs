//! Fields that no type has: dropped, and named as Go's strict decoder names them.

use serde_json::Value;

use super::{Holds, Id, Types};

/// Removes the unknown fields of an object, and names them: `spec.replica`, `spec.containers[0].imag`, sorted.
///
/// What is of another type than it should be is left alone: to say so is [`check`](super::check())'s.
pub(crate) fn drop_unknown(id: Id, object: &mut Value) -> Vec<String> {
    let mut walk = Walk { types: Types::get(), unknown: Vec::new() };
    if let Value::Object(members) = object {
        members
            .retain(|name, value| matches!(name.as_str(), "apiVersion" | "kind") || walk.member(id, name, value, ""));
    }
    walk.unknown.sort();
    walk.unknown
}

struct Walk {
    types: &'static Types,
    unknown: Vec<String>,
}

impl Walk {
    /// Whether the member stays.
    fn member(&mut self, holder: Id, name: &str, value: &mut Value, path: &str) -> bool {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let Some((_, field)) = self.types.field(holder, name) else {
            self.unknown.push(path);
            return false;
        };
        self.value(&field.holds, value, &path);
        true
    }

    fn value(&mut self, holds: &Holds, value: &mut Value, path: &str) {
        match (holds, value) {
            (Holds::Struct(id), Value::Object(members)) => {
                members.retain(|name, value| self.member(*id, name, value, path));
            }
            (Holds::List(item), Value::Array(items)) => {
                for (at, value) in items.iter_mut().enumerate() {
                    self.value(item, value, &format!("{path}[{at}]"));
                }
            }
            (Holds::Map(item), Value::Object(entries)) => {
                for (key, value) in entries {
                    self.value(item, value, &format!("{path}.{key}"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_go_and_are_named_by_their_path() {
        let mut object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "labels": {"any": "thing"}, "nam": "y"},
            "spec": {
                "replica": 2,
                "template": {"spec": {
                    "containers": [{"name": "c", "livenessProbe": {"tcpSocket": {"port": 1}}}, {"imag": "x"}],
                    "volumes": [{"name": "v", "emptyDir": {}}, "odd"],
                }},
            },
        });
        let id = Types::get().of(&object).unwrap();
        let unknown = drop_unknown(id, &mut object);
        assert_eq!(unknown, ["metadata.nam", "spec.replica", "spec.template.spec.containers[1].imag"]);
        assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["tcpSocket"]["port"], 1);
        assert_eq!(object["spec"]["template"]["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}, "odd"]));
        assert_eq!(drop_unknown(id, &mut object), Vec::<String>::new());
    }
}
