//! Kubernetes' own types: which fields its kinds have, and what they hold.
//!
//! An API server that does not know the fields of a Deployment can't tell a client that `replica` is a slip of the pen,
//! can't explain `spec.strategy`, and can't read the protobuf that kubectl sends. All three come from one table here,
//! `kubernetes.tsv`, whose head tells where it is from and how it is read.
//!
//! ```text
//!                        +--> check: would Go's decoder take it?   (400)
//!   kubernetes.tsv --> Types --> unknown: fields that no type has  (warned of, or refused)
//!                        +--> OpenAPI, for `kubectl explain`
//!                        +--> protobuf's numbers
//! ```
//!
//! Not here: defaults, validation (see [`builtin`](crate::builtin)) and how lists merge (see
//! [`fields`](crate::fields)). CustomResourceDefinitions are not in the table: their schema of schemas is checked where
//! they are read.

mod check;
mod table;
mod unknown;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) use check::{check, check_metadata, json_kind, null_is_empty_text};
pub(crate) use unknown::drop_unknown;

const METADATA: &str = "meta/v1.ObjectMeta";

/// All types of the table.
#[derive(Debug)]
pub(crate) struct Types {
    types: Vec<Type>,
    by_name: BTreeMap<&'static str, Id>,
}

/// A type's place in the table; handed out by [`Types`] alone, so it always names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(usize);

/// A struct.
#[derive(Debug)]
pub(crate) struct Type {
    /// `apps/v1.Deployment`
    pub(crate) name: &'static str,
    /// In protobuf's order.
    pub(crate) fields: Vec<Field>,
}

/// A field of a struct.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name in JSON; empty where it is embedded.
    pub(crate) name: &'static str,
    /// Its number in protobuf.
    pub(crate) number: u64,
    pub(crate) holds: Holds,
    /// Go's encoder always writes it.
    pub(crate) required: bool,
    /// A pointer in Go: absent is not the same as zero.
    pub(crate) pointer: bool,
    /// The values that there are; empty where there is no such list.
    pub(crate) choices: Vec<&'static str>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holds {
    Text,
    Bool,
    Int32,
    Int64,
    /// Base64 in JSON.
    Bytes,
    /// RFC 3339.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    IntOrString,
    Quantity,
    /// `fieldsV1`: any JSON.
    Fields,
    Struct(Id),
    List(Box<Holds>),
    /// From text to something.
    Map(Box<Holds>),
}

impl Types {
    /// The table, read once.
    pub(crate) fn get() -> &'static Self {
        static TYPES: OnceLock<Types> = OnceLock::new();
        TYPES.get_or_init(|| table::parse(include_str!("types/kubernetes.tsv")))
    }

    /// The type of a kind, where the table has it.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<Id> {
        let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
        let package = group.split_once('.').map_or(group, |(first, _)| first);
        // `rbac.authorization.k8s.io` is Kubernetes' own, `apps.example.com` is not.
        if group.contains('.') && !group.ends_with(".k8s.io") {
            return None;
        }
        self.by_name.get(format!("{package}/{version}.{kind}").as_str()).copied()
    }

    /// The type of every object's metadata.
    pub(crate) fn metadata(&self) -> Id {
        self.by_name[METADATA]
    }

    /// The type that an object says it is.
    pub(crate) fn of(&self, object: &Value) -> Option<Id> {
        self.of_kind(object["apiVersion"].as_str()?, object["kind"].as_str()?)
    }

    pub(crate) fn named(&self, id: Id) -> &Type {
        &self.types[id.0]
    }

    /// The field of that name, its own or of what is embedded in it, and the type that has it.
    pub(crate) fn field(&self, id: Id, name: &str) -> Option<(&Type, &Field)> {
        let holder = self.named(id);
        let own = holder.fields.iter().find(|field| field.name == name);
        if let Some(own) = own {
            return Some((holder, own));
        }
        holder.fields.iter().filter(|field| field.name.is_empty()).find_map(|embedded| match embedded.holds {
            Holds::Struct(inner) => self.field(inner, name),
            _ => None,
        })
    }
}

impl Type {
    /// `v1.DeploymentSpec`, as Go prints it.
    pub(crate) fn go_name(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(_, name)| name)
    }

    /// `DeploymentSpec`
    pub(crate) fn short_name(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_every_name_is_known() {
        let types = Types::get();
        let lines = include_str!("types/kubernetes.tsv").lines().filter(|line| !line.starts_with('#'));
        let fields: usize = types.types.iter().map(|found| found.fields.len()).sum();
        assert_eq!(lines.count(), types.types.len() + fields);
        assert!(types.of_kind("apps/v1", "Deployment").is_some());
        assert!(types.of_kind("rbac.authorization.k8s.io/v1", "Role").is_some());
        assert!(types.of_kind("apps.example.com/v1", "Deployment").is_none());
    }

    #[test]
    fn the_fields_of_what_is_embedded_are_the_holders() {
        let types = Types::get();
        let volume = types.by_name["core/v1.Volume"];
        let (holder, field) = types.field(volume, "configMap").unwrap();
        assert_eq!(
            (holder.go_name(), &field.holds),
            ("v1.VolumeSource", &Holds::Struct(types.by_name["core/v1.ConfigMapVolumeSource"]))
        );
        assert!(types.field(volume, "nothing").is_none());
    }
}
