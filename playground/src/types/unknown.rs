//! Fields that no type has: dropped, and named as Go's strict decoder names them.

use std::fmt;

use serde_json::Value;

use super::{Holds, Id, Types};

/// Removes the unknown fields of an object, and names them: `spec.replica`, `spec.containers[0].imag`, sorted.
///
/// What is of another type than it should be is left alone: to say so is [`check`](super::check())'s.
pub(crate) fn drop_unknown(id: Id, object: &mut Value) -> Vec<String> {
    let mut walk = Walk { types: Types::get(), unknown: Vec::new() };
    if let Value::Object(members) = object {
        members.retain(|name, value| {
            matches!(name.as_str(), "apiVersion" | "kind") || walk.member(id, name, value, &Path::Root)
        });
    }
    walk.unknown.sort();
    walk.unknown
}

struct Walk {
    types: &'static Types,
    unknown: Vec<String>,
}

/// The way to a value, from its end: printed for the few that are unknown, never for the others.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, name) => f.write_str(name),
            Self::Member(holder, name) => write!(f, "{holder}.{name}"),
            Self::Item(list, at) => write!(f, "{list}[{at}]"),
        }
    }
}

impl Walk {
    /// Whether the member stays.
    fn member(&mut self, holder: Id, name: &str, value: &mut Value, path: &Path<'_>) -> bool {
        let path = Path::Member(path, name);
        let Some((_, field)) = self.types.field(holder, name) else {
            self.unknown.push(path.to_string());
            return false;
        };
        self.value(&field.holds, value, &path);
        true
    }

    fn value(&mut self, holds: &Holds, value: &mut Value, path: &Path<'_>) {
        match (holds, value) {
            (Holds::Struct(id), Value::Object(members)) => {
                members.retain(|name, value| self.member(*id, name, value, path));
            }
            (Holds::List(item), Value::Array(items)) => {
                for (at, value) in items.iter_mut().enumerate() {
                    self.value(item, value, &Path::Item(path, at));
                }
            }
            (Holds::Map(item), Value::Object(entries)) => {
                for (key, value) in entries {
                    self.value(item, value, &Path::Member(path, key));
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
