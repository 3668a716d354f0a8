//! What merges how: the part of a kind's schema that field ownership and patches need.
//!
//! Structured merge knows three ways to treat a value: owned as one (scalars, atomic lists and maps),
//! owned member by member (structs, maps), owned item by item (lists with keys, sets). Types beyond
//! that (integer or string, required or not) are somebody else's business.
//!
//! Two worlds meet here. A built-in kind lives in the API server as a typed struct: `null` is the same
//! as absent, some members are always there (`spec: {}`), and a member that is not listed is declared
//! all the same. A custom resource is plain JSON: what is sent is what there is, and an undeclared
//! member is an entry of a map. [`Node::typed`] tells them apart.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::builtin::Table;
use super::openapi;
use super::path::Step;
use super::set::FieldSet;

static BUILTIN: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("builtin.txt")));
static OPEN_TYPED: Node = Node::Open { typed: true };
static OPEN_PLAIN: Node = Node::Open { typed: false };
static LEAF: Node = Node::Leaf;

/// How the objects of one kind merge.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(crate) root: Node,
    /// The kind has a status subresource: the two endpoints don't touch each other's half.
    status: bool,
}

/// How one value merges.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// As one.
    Leaf,
    /// As it looks: an object member by member, everything else as one.
    Open {
        /// Part of a built-in kind.
        typed: bool,
    },
    /// Member by member.
    Fields(Arc<Fields>),
    /// Item by item, told apart by keys.
    List(Arc<Keyed>),
    /// Item by item, told apart by value.
    Set,
}

/// An object whose members are known.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(super) members: BTreeMap<String, Member>,
    /// What a member that is not among them is.
    pub(super) rest: Node,
    pub(super) typed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) node: Node,
    /// The server always has it, empty if nobody sent it.
    pub(super) always: bool,
}

/// A list whose items have keys.
#[derive(Debug)]
pub(crate) struct Keyed {
    /// Never empty: the names, and the values of those that may be left out.
    pub(super) keys: Vec<(String, Option<Value>)>,
    pub(super) item: Node,
}

/// A member of an object, seen from the object.
#[derive(Clone, Copy)]
pub(crate) struct Child<'a> {
    pub(crate) node: &'a Node,
    /// A field of a struct rather than an entry of a map.
    pub(crate) declared: bool,
    pub(crate) always: bool,
}

impl Schema {
    /// A path such as `spec.containers[0].image` into `object`, as structured-merge-diff prints it: list items by their
    /// keys, `.spec.containers[name="x"].image`.
    pub(crate) fn place(&self, object: &Value, path: &str) -> String {
        let (mut node, mut value, mut steps) = (self.root.clone(), object, Vec::new());
        for part in path.split(['.', '[']) {
            if let Some(Ok(at)) = part.strip_suffix(']').map(str::parse::<usize>) {
                value = &value[at];
                let keyed = node.step_to(value).ok().filter(|_| matches!(node, Node::List(_) | Node::Set));
                steps.push(keyed.unwrap_or(Step::Index(at)));
                node = node.item().clone();
            } else {
                steps.push(Step::field(part));
                node = node.child(part).node.clone();
                value = &value[part];
            }
        }
        super::path::print(&steps)
    }

    /// The schema of a built-in kind. One that the table does not know merges as it looks, with the
    /// metadata that every object has.
    pub fn builtin(kind: &str) -> Self {
        let root = BUILTIN.node(kind).or_else(|| BUILTIN.node("Other"));
        Self { root: root.unwrap_or(Node::Open { typed: true }), status: true }
    }

    /// The schema of a custom resource, from its `openAPIV3Schema`.
    pub fn from_openapi(schema: &Value) -> Self {
        Self { root: openapi::root(schema, &object_meta()), status: false }
    }

    /// Says that the kind has a status subresource (`subresources.status` of a CRD's version).
    #[must_use]
    pub fn with_status(mut self) -> Self {
        self.status = true;
        self
    }

    /// The paths that a request to this endpoint can't change, whatever it sends.
    pub(super) fn reset_by(&self, subresource: Option<&str>) -> FieldSet {
        match (subresource, self.root.typed()) {
            (None, _) if self.status => FieldSet::of_fields(&[&["status"]]),
            (Some("status"), true) => FieldSet::of_fields(&[&["spec"], &["metadata", "labels"]]),
            (Some("status"), false) => FieldSet::of_fields(&[&["spec"], &["metadata"]]),
            (None | Some(_), _) => FieldSet::default(),
        }
    }
}

fn object_meta() -> Node {
    BUILTIN.node("ObjectMeta").unwrap_or(Node::Open { typed: true })
}

impl Node {
    /// Whether it is part of a built-in kind.
    pub(crate) fn typed(&self) -> bool {
        match self {
            Self::Fields(fields) => fields.typed,
            Self::Open { typed } => *typed,
            Self::Leaf | Self::List(_) | Self::Set => false,
        }
    }

    /// How the member of that name merges.
    pub(crate) fn child(&self, name: &str) -> Child<'_> {
        match self {
            Self::Fields(fields) => match fields.members.get(name) {
                Some(member) => Child { node: &member.node, declared: true, always: member.always },
                None => Child { node: &fields.rest, declared: fields.typed, always: false },
            },
            Self::Open { typed: true } => Child { node: &OPEN_TYPED, declared: true, always: false },
            Self::Open { typed: false } => Child { node: &OPEN_PLAIN, declared: false, always: false },
            Self::Leaf | Self::List(_) | Self::Set => Child { node: &LEAF, declared: false, always: false },
        }
    }

    /// How an item of the list merges.
    pub(crate) fn item(&self) -> &Node {
        match self {
            Self::List(list) => &list.item,
            Self::Leaf | Self::Open { .. } | Self::Fields(_) | Self::Set => &LEAF,
        }
    }

    /// The step that leads to an item of the list; an error says why it has none.
    pub(crate) fn step_to(&self, item: &Value) -> Result<Step, String> {
        match (self, item) {
            (Self::List(list), Value::Object(item)) => list.step_to(item),
            (Self::List(_), Value::Null) => Err("associative list with keys may not have a null element".to_owned()),
            (Self::List(_), _) => Err("associative list with keys may not have non-map elements".to_owned()),
            (_, Value::Object(_)) => Err("associative list without keys has an element that's a map type".to_owned()),
            (_, Value::Array(_)) => Err("not supported: associative list with lists as elements".to_owned()),
            (_, Value::Null) => Err("associative list without keys has an element that's an explicit null".to_owned()),
            (_, value) => Ok(Step::value(value)),
        }
    }
}

impl Keyed {
    /// The key by which a strategic merge patch tells the items apart.
    pub(crate) fn merge_key(&self) -> Option<&str> {
        self.keys.first().map(|(name, _)| name.as_str())
    }

    fn step_to(&self, item: &Map<String, Value>) -> Result<Step, String> {
        let mut keys = Map::new();
        for (name, default) in &self.keys {
            if let Some(value) = item.get(name).or(default.as_ref()) {
                keys.insert(name.clone(), value.clone());
            }
        }
        if keys.is_empty() {
            let names: Vec<_> = self.keys.iter().map(|(name, _)| format!("{name:?}")).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and \
                 doesn't have default values for any key fields)",
                names.join(" ")
            ));
        }
        Ok(Step::key(keys))
    }
}

/// The way into a pair of values that may differ in shape, or be missing.
pub(crate) enum Shape {
    /// Not entered.
    Leaf,
    /// Entered member by member.
    Members,
    /// Entered item by item.
    Items,
}

/// How the node is entered for these values. Values that don't fit the schema, and pairs with nothing
/// inside, are taken as one: the latter keeps "empty" and "absent" apart.
pub(crate) fn shape(node: &Node, values: [Option<&Value>; 2]) -> Shape {
    let present = || values.into_iter().flatten();
    let fits = |f: fn(&Value) -> bool| present().all(|value| value.is_null() || f(value));
    let inside = present().any(|value| match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    });
    match node {
        Node::Open { .. } | Node::Fields(_) if inside && fits(Value::is_object) => Shape::Members,
        Node::List(_) | Node::Set if inside && fits(Value::is_array) => Shape::Items,
        Node::Leaf | Node::Open { .. } | Node::Fields(_) | Node::List(_) | Node::Set => Shape::Leaf,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_built_in_table_reads_without_a_gap() {
        for kind in ["Deployment", "Pod", "Service", "CustomResourceDefinition", "Lease"] {
            assert!(BUILTIN.node(kind).is_some(), "{kind}");
        }
        let pod = Schema::builtin("Pod");
        let containers = pod.root.child("spec").node.child("containers");
        assert!(containers.always);
        let ports = containers.node.item().child("ports").node;
        let step = ports.step_to(&json!({"containerPort": 80})).unwrap();
        assert_eq!(step.to_string(), r#"[containerPort=80,protocol="TCP"]"#);
    }

    #[test]
    fn an_unlisted_kind_still_has_object_metadata() {
        let schema = Schema::builtin("Widget");
        let owners = schema.root.child("metadata").node.child("ownerReferences").node;
        assert_eq!(owners.step_to(&json!({"uid": "1"})).unwrap().to_string(), r#"[uid="1"]"#);
    }

    #[test]
    fn an_item_without_its_keys_is_named_in_the_servers_words() {
        let schema = Schema::builtin("Pod");
        let containers = schema.root.child("spec").node.child("containers").node;
        assert_eq!(
            containers.step_to(&json!({"image": "x"})).unwrap_err(),
            "associative list with keys has an element that omits all key fields [\"name\"] (and \
             doesn't have default values for any key fields)"
        );
    }
}
