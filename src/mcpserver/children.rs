//! The objects around an MCPServer, and the little that is kept of each.
//!
//! A Deployment is six kilobytes of JSON. This operator needs to know only who owns it, whether it is as desired, and
//! the state of its pods. A Secret is needed for one question only, "is it still the same?", so its values are hashed
//! while they are decoded, and not kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::ours::{ManagedFields, OwnFields, hex};
use crate::object::{DEPLOYMENTS, Meta, Object, Resource, SECRETS, SERVICES};

/// On a Deployment or Service: the digest of what was applied last. With it, a changed desired state can be told from a
/// changed object.
pub const APPLIED_HASH: &str = "mcp.mcp.dev/applied-hash";
/// On a pod template: the digest of the Secret's data. When it changes, the Deployment controller restarts the pods.
pub const SECRET_HASH: &str = "mcp.mcp.dev/secret-hash";

/// The label that says which program manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that names the kind of application.
pub const NAME: &str = "app.kubernetes.io/name";
/// The label that names the instance of the application.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The value of [`MANAGED_BY`].
pub const SMOOTH_OPERATOR: &str = "smooth-operator";
/// The value of [`NAME`].
pub const MCPSERVER: &str = "mcpserver";
/// The name of the container port and of the Service port.
pub const PORT: &str = "mcp";
/// The name of the container.
pub const CONTAINER: &str = "mcp-server";

/// What is kept of an object that is, or could be, a child of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its metadata.
    pub meta: Meta,
    /// It has our labels, with its own name as the instance: we created it, or somebody wants us to think so.
    pub labelled: bool,
    /// The digest of what we applied last, from our annotation.
    pub applied: Option<String>,
    /// The fields that are ours.
    pub fields: OwnFields,
}

/// What is kept of a Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// What is kept of every child.
    pub child: Child,
    /// The number of pods that its spec asks for.
    pub replicas: i32,
    /// The Secret that its pod template injects.
    pub secret: Option<InjectedSecret>,
    /// The state of its pods.
    pub status: DeploymentStatus,
}

/// The Secret that the pods get as environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectedSecret {
    /// The name of the Secret.
    pub name: String,
    /// The digest of the data that the pods were started with.
    pub hash: Option<String>,
}

/// The status of a Deployment, written by the Deployment controller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// The generation of the Deployment that this status describes.
    pub observed_generation: i64,
    /// The number of pods.
    pub replicas: i32,
    /// The number of pods with the newest template.
    pub updated_replicas: i32,
    /// The number of ready pods.
    pub ready_replicas: i32,
    /// The number of pods that have been ready for long enough.
    pub available_replicas: i32,
    /// The conditions.
    pub conditions: Vec<DeploymentCondition>,
}

/// One condition of a Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeploymentCondition {
    /// `Available`, `Progressing` or `ReplicaFailure`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    #[serde(default)]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
}

/// What is kept of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What is kept of every child.
    pub child: Child,
    /// The port at which clients reach the server.
    pub port: Option<i32>,
}

/// What is kept of a Secret: none of its data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Secret {
    /// Its metadata.
    #[serde(rename = "metadata")]
    pub meta: Meta,
    /// The digest of its data.
    #[serde(default, rename = "data")]
    pub hash: SecretHash,
}

impl Object for Deployment {
    const RESOURCE: Resource = DEPLOYMENTS;

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        let Wire { metadata, spec, status } = serde_json::from_str::<Wire<WireDeployment, DeploymentStatus>>(json)?;
        let WireDeployment { replicas, template } = spec;
        // The API server always fills in the number; only objects in tests lack it.
        let (replicas, secret) = (replicas.unwrap_or(1), template.injected_secret());
        let mut status = status.unwrap_or_default();
        // Release the Vec's spare capacity: the object stays in the cache.
        status.conditions.shrink_to_fit();
        Ok(Self { child: Child::decode(metadata)?, replicas, secret, status })
    }

    fn meta(&self) -> &Meta {
        &self.child.meta
    }
}

impl Object for Service {
    const RESOURCE: Resource = SERVICES;

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        let Wire { metadata, spec, status: _ } = serde_json::from_str::<Wire<WireService, de::IgnoredAny>>(json)?;
        let port = spec.ports.into_iter().find(|port| port.name == PORT).map(|port| port.port);
        Ok(Self { child: Child::decode(metadata)?, port })
    }

    fn meta(&self) -> &Meta {
        &self.child.meta
    }
}

impl Object for Secret {
    const RESOURCE: Resource = SECRETS;

    /// The decoder's messages quote what they could not read, so they must not leave this function.
    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
            .map_err(|_quotes_the_data| de::Error::custom("its data does not have the form of a Secret's data"))
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A child as it comes over the wire.
#[derive(Deserialize)]
#[serde(bound = "C: de::DeserializeOwned, S: de::DeserializeOwned")]
struct Wire<'json, C, S> {
    #[serde(borrow)]
    metadata: &'json RawValue,
    spec: C,
    status: Option<S>,
}

/// What is read of a Deployment's spec.
#[derive(Deserialize)]
struct WireDeployment {
    replicas: Option<i32>,
    #[serde(default)]
    template: WireTemplate,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireTemplate {
    metadata: WireAnnotations,
    spec: WirePod,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireAnnotations {
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WirePod {
    containers: Vec<WireContainer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainer {
    name: String,
    #[serde(default)]
    env_from: Vec<WireSource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSource {
    secret_ref: Option<WireReference>,
}

#[derive(Deserialize)]
struct WireReference {
    name: String,
}

/// What is read of a Service's spec.
#[derive(Deserialize)]
struct WireService {
    #[serde(default)]
    ports: Vec<WirePort>,
}

#[derive(Deserialize)]
struct WirePort {
    #[serde(default)]
    name: String,
    port: i32,
}

impl WireTemplate {
    fn injected_secret(self) -> Option<InjectedSecret> {
        let Self { metadata: WireAnnotations { mut annotations }, spec: WirePod { containers } } = self;
        let container = containers.into_iter().find(|container| container.name == CONTAINER)?;
        let WireReference { name } = container.env_from.into_iter().find_map(|source| source.secret_ref)?;
        Some(InjectedSecret { name, hash: annotations.remove(SECRET_HASH) })
    }
}

/// The parts of the metadata that decide who owns an object and which fields are ours.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata<'json> {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default, borrow)]
    managed_fields: Vec<ManagedFields<'json>>,
}

impl Child {
    pub(super) fn decode(metadata: &RawValue) -> Result<Self, serde_json::Error> {
        let meta: Meta = serde_json::from_str(metadata.get())?;
        let WireMetadata { labels, mut annotations, managed_fields } = serde_json::from_str(metadata.get())?;
        let has = |name: &str, value: &str| labels.get(name).is_some_and(|found| found == value);
        let labelled = has(MANAGED_BY, SMOOTH_OPERATOR) && has(NAME, MCPSERVER) && has(INSTANCE, meta.key.name());
        let applied = annotations.remove(APPLIED_HASH);
        Ok(Self { meta, labelled, applied, fields: OwnFields::among(&managed_fields)? })
    }
}

impl DeploymentStatus {
    /// The condition of this type.
    pub fn condition(&self, condition_type: &str) -> Option<&DeploymentCondition> {
        self.conditions.iter().find(|condition| condition.condition_type == condition_type)
    }
}

/// The digest of a Secret's data: SHA-256 over its keys and values, sorted by key.
///
/// The API server sends the values in base64, always the same for the same value, so the base64 is hashed. Each key is
/// preceded by its length; without that, `{ab: c}` and `{a: bc}` would have the same digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// The text in the annotation.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(values: BTreeMap<String, [u8; 32]>) -> Self {
        let mut hash = Sha256::new();
        for (key, value) in values {
            hash.update((key.len() as u64).to_be_bytes());
            hash.update(key);
            hash.update(value);
        }
        Self(hex(&hash.finalize()))
    }
}

/// A Secret without data has a digest like any other.
impl Default for SecretHash {
    fn default() -> Self {
        Self::of(BTreeMap::new())
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Option::<BTreeMap<String, HashedValue>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self::of(values.into_iter().map(|(key, HashedValue(hash))| (key, hash)).collect()))
    }
}

/// A value that was hashed while it was decoded, without a copy.
struct HashedValue([u8; 32]);

impl<'de> Deserialize<'de> for HashedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = HashedValue;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string in base64")
            }
            fn visit_str<E>(self, value: &str) -> Result<HashedValue, E> {
                Ok(HashedValue(Sha256::digest(value).into()))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(data: &Value) -> Secret {
        let json = json!({"metadata": {"namespace": "n", "name": "s", "uid": "1", "resourceVersion": "2", "labels": {"a": "b"}}, "data": data});
        Secret::decode(&json.to_string()).unwrap()
    }

    #[test]
    fn a_secrets_hash_is_of_its_data_in_whatever_order() {
        let text =
            |data: &str| format!(r#"{{"metadata":{{"name":"s","uid":"1","resourceVersion":"2"}},"data":{data}}}"#);
        let one = Secret::decode(&text(r#"{"A":"eA==","B":"eQ=="}"#)).unwrap();
        let two = Secret::decode(&text(r#"{"B":"eQ==","A":"eA=="}"#)).unwrap();
        assert_eq!(one.hash, two.hash);
        assert_ne!(one.hash, secret(&json!({"A": "eQ==", "B": "eA=="})).hash);
        assert_ne!(one.hash, secret(&json!({"A": "eA=="})).hash);
    }

    #[test]
    fn where_a_key_ends_and_its_value_begins_counts() {
        assert_ne!(secret(&json!({"ab": "c"})).hash, secret(&json!({"a": "bc"})).hash);
        assert_ne!(secret(&json!({"a": "", "b": ""})).hash, secret(&json!({"ab": ""})).hash);
    }

    #[test]
    fn a_secret_without_data_has_a_hash_too() {
        assert_eq!(secret(&json!(null)).hash, secret(&json!({})).hash);
        assert_eq!(secret(&json!({})).hash.as_str().len(), 64);
    }

    #[test]
    fn nothing_of_a_secrets_data_is_kept_or_told() {
        let secret = secret(&json!({"TOKEN": "c2VjcmV0"}));
        assert!(!format!("{secret:?}").contains("c2VjcmV0"), "{secret:?}");
        let error = Secret::decode(r#"{"metadata":{"name":"s","uid":"1","resourceVersion":"2"},"data":"c2VjcmV0"}"#)
            .unwrap_err();
        assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
    }

    #[test]
    fn an_object_is_labelled_as_ours_only_under_its_own_name() {
        let labelled = |instance: &str| {
            let json = json!({
                "metadata": {"namespace": "n", "name": "a", "uid": "1", "resourceVersion": "2", "labels": {
                    MANAGED_BY: SMOOTH_OPERATOR, NAME: MCPSERVER, INSTANCE: instance,
                }},
                "spec": {},
            });
            Service::decode(&json.to_string()).unwrap().child.labelled
        };
        assert!(labelled("a"));
        assert!(!labelled("b"));
    }
}
