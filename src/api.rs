//! `MCPServer`, the kind that this operator serves: what people write, and what it tells them back.
//!
//! ```yaml
//! apiVersion: mcp.mcp.dev/v1alpha1
//! kind: MCPServer
//! metadata:
//!   name: example-server
//! spec:
//!   image: ghcr.io/stackloklabs/yardstick/yardstick-server:1.1.1
//!   replicas: 2
//!   port: 8080
//!   secretName: mcp-secrets
//! ```
//!
//! # Two halves, two writers
//!
//! An object in Kubernetes is a conversation. The [`spec`](MCPServerSpec) is what somebody wants; only people and their
//! tools write it. The [`status`](MCPServerStatus) is what is; only this operator writes it, through a door of its own
//! (the `status` subresource), so that neither can overwrite the other by accident. An operator that writes into
//! `spec` argues with its users, and loses: they apply their file again.
//!
//! # One source for the types and the schema
//!
//! The API server refuses what does not fit the schema in the CustomResourceDefinition, long before this operator
//! sees it. That schema is [generated](crd::definition) from the very types below, their documentation included, so
//! `kubectl explain mcpserver.spec` reads what you are about to read. A test holds the generated file in `config/crd`
//! equal to it.
//!
//! # What it does not promise
//!
//! That every object in the cluster decodes. Somebody may have stored one before the schema became stricter, and a
//! newer version of this operator may know more than this one. Such an object has an [unreadable spec](MCPServer::spec),
//! which its status then says; it stops nobody else.
//!
//! # What to try
//!
//! `cargo run -- crd`, then in the playground `kubectl explain mcpserver.spec.port` and an MCPServer with
//! `port: 70000`.

pub mod condition;
pub mod crd;
pub mod spec;
pub mod status;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use condition::{Condition, ConditionStatus};
pub use spec::{MCPServerSpec, ServiceSpec, ServiceType, SessionAffinity};
pub use status::{MCPServerStatus, Phase};

use crate::object::{Meta, Object, Resource};

/// The resource that the API server serves.
pub const MCPSERVERS: Resource =
    Resource { group: "mcp.mcp.dev", version: "v1alpha1", plural: "mcpservers", kind: "MCPServer" };

/// A Model Context Protocol server, as it is wanted and as it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MCPServer {
    /// Which one it is.
    #[serde(rename = "metadata")]
    pub meta: Meta,
    /// What is wanted; or what makes it unreadable, the field and the value as far as the decoder can tell.
    #[serde(default = "absent", deserialize_with = "readable")]
    pub spec: Result<MCPServerSpec, String>,
    /// What this operator last said about it.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<MCPServerStatus>,
}

impl Object for MCPServer {
    const RESOURCE: Resource = MCPSERVERS;

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A spec that can't be read is no reason to lose the object: its status is the place to say so.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<MCPServerSpec, String>, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(text.get()).map_err(|error| error.to_string()))
}

/// So is one that isn't there.
fn absent() -> Result<MCPServerSpec, String> {
    Err("it is missing".to_owned())
}

/// A status that this version can't read is as good as none: it is ours, and is written anew. It must not make the
/// whole object unreadable, or a downgrade would stop every server that a newer version had touched.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MCPServerStatus>, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?;
    let mut status: Option<MCPServerStatus> = serde_json::from_str(text.get()).ok();
    if let Some(status) = &mut status {
        // They grew by doubling, and stay.
        status.conditions.shrink_to_fit();
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_smallest_server_has_an_image_and_all_defaults() {
        let server = MCPServer::decode(
            r#"{"metadata":{"namespace":"a","name":"b","uid":"u","resourceVersion":"1"},"spec":{"image":"x"}}"#,
        )
        .unwrap();
        let MCPServerSpec { image, replicas, port, secret_name, service, suspend } = server.spec.unwrap();
        assert_eq!((image.as_str(), replicas, port, secret_name, suspend), ("x", 1, 8080, None, false));
        assert_eq!(service, ServiceSpec::default());
        assert_eq!(server.status, None);
    }

    #[test]
    fn a_spec_that_can_not_be_read_names_what_is_wrong_and_keeps_the_object() {
        let server = MCPServer::decode(
            r#"{"metadata":{"namespace":"a","name":"b","uid":"u","resourceVersion":"1"},"spec":{"image":"x","port":"http"}}"#,
        )
        .unwrap();
        assert!(server.spec.unwrap_err().starts_with(r#"invalid type: string "http", expected i32"#));
        assert_eq!(server.meta.key.name(), "b");
    }

    #[test]
    fn a_server_without_a_spec_is_kept_to_be_told_so() {
        let server = MCPServer::decode(r#"{"metadata":{"namespace":"a","name":"b","uid":"u","resourceVersion":"1"}}"#);
        assert_eq!(server.unwrap().spec, Err("it is missing".to_owned()));
    }

    /// The condition of another manager passed the schema, no such day exists, and the operator wrote its status without end.
    #[test]
    fn a_condition_that_can_not_be_read_does_not_make_the_others_unreadable() {
        let condition = |of: &str, time: &str| json!({"type": of, "status": "True", "reason": "R", "message": "", "lastTransitionTime": time});
        let status = json!({
            "observedGeneration": 3,
            "conditions": [condition("Ready", "2026-11-22T20:00:00Z"), condition("example.com/Odd", "2026-02-30T20:00:00Z")],
        });
        let status: MCPServerStatus = serde_json::from_value(status).unwrap();
        assert_eq!(status.observed_generation, 3);
        assert_eq!(status.conditions.iter().map(|found| found.condition_type.as_str()).collect::<Vec<_>>(), ["Ready"]);
    }

    #[test]
    fn a_status_from_the_future_does_not_make_the_server_unreadable() {
        let object = json!({
            "metadata": {"namespace": "a", "name": "b", "uid": "u", "resourceVersion": "1"},
            "spec": {"image": "x", "aFieldOfTheFuture": true},
            "status": {"phase": "Levitating", "conditions": []},
        });
        let server = MCPServer::decode(&object.to_string()).unwrap();
        assert_eq!(server.status, None);
    }
}
