//! `MCPServer`, the kind that this operator manages: what people write, and what it reports back.
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
//! # The naive solution, and how it breaks
//!
//! Write the Rust types for the operator and the YAML schema for the API server, both by hand, and keep everything in
//! one object that everybody may write. Soon a field is in one of the two and not in the other, and the schema lets a
//! value pass that the types can't decode: one such object, and the decoder's error stops the operator for all objects.
//! And a user who applies a file overwrites the state that the operator has just written, or the operator changes a
//! field that the user's next `kubectl apply` changes back.
//!
//! # The mechanism
//!
//! *Two halves, two writers.* The [`spec`](MCPServerSpec) is what somebody wants; only people and their tools write it.
//! The [`status`](MCPServerStatus) is the actual state; only this operator writes it, through a separate endpoint (the
//! `status` subresource), so that neither can overwrite the other by accident. An operator that writes into `spec`
//! fights with its users, and loses: they apply their file again.
//!
//! *One source for the types and the schema.* The API server refuses what does not match the schema in the
//! CustomResourceDefinition, long before this operator sees it. That schema is [generated](crd::definition) from the
//! types below, including their documentation, so `kubectl explain mcpserver.spec` prints what you are about to read. A
//! test makes sure that the file in `config/crd` is the generated one.
//!
//! *A tolerant decoder.* An object whose spec can't be decoded is kept, together with the error.
//!
//! # What it does not promise
//!
//! That every object in the cluster can be decoded. Somebody may have stored one before the schema became stricter, and
//! a newer version of this operator may have more fields than this one. Such an object has an
//! [unreadable spec](MCPServer::spec), and its status says so; no other object is affected.
//!
//! # Equivalents
//!
//! controller-gen (of kubebuilder) generates the schema from Go types and their comments; kube-derive's
//! `CustomResource` does so from Rust types, also with schemars.
//!
//! # What to try
//!
//! `cargo run -- crd` prints the definition. In `make playground`, try `kubectl explain mcpserver.spec.port` and
//! `kubectl patch mcp fetch --type=merge -p '{"spec":{"port":70000}}'`: the refusal names the field and the rule.

pub mod condition;
pub mod crd;
pub mod spec;
pub mod status;
mod unreadable;
pub mod verbatim;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use condition::{Condition, ConditionStatus};
pub use spec::{MCPServerSpec, ServiceSpec, ServiceType, SessionAffinity, Verify};
pub use status::{MCPServerStatus, Phase, ServerInfo, SessionMode};

use crate::object::{Meta, Object, Resource};

/// How the API server addresses MCPServers.
pub const MCPSERVERS: Resource =
    Resource { group: "mcp.mcp.dev", version: "v1alpha1", plural: "mcpservers", kind: "MCPServer" };

/// A Model Context Protocol server: its desired and its actual state.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MCPServer {
    /// Its metadata.
    #[serde(rename = "metadata")]
    pub meta: Meta,
    /// The desired state; or why it can't be decoded, with the field and the value as far as the decoder can tell.
    #[serde(default = "absent", deserialize_with = "readable")]
    pub spec: Result<MCPServerSpec, String>,
    /// The state that this operator reported last.
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

/// An object whose spec can't be decoded must not be lost: its status is the place to say so.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<MCPServerSpec, String>, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(text.get()).map_err(|error| unreadable::explain(text.get(), &error)))
}

/// The same holds for an object without a spec.
fn absent() -> Result<MCPServerSpec, String> {
    Err("spec: it is missing".to_owned())
}

/// A status that this version can't decode counts as none: it is ours, and will be written again. It must not make the
/// whole object unreadable; otherwise a downgrade would stop every server that a newer version has written to.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MCPServerStatus>, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?;
    let mut status: Option<MCPServerStatus> = serde_json::from_str(text.get()).ok();
    if let Some(status) = &mut status {
        // Release the Vec's spare capacity: the object stays in the cache.
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
        let spec = server.spec.unwrap();
        assert_eq!((spec.image.as_str(), spec.replicas, spec.port, spec.secret_name), ("x", 1, 8080, None));
        assert_eq!((spec.mcp.path.as_str(), spec.mcp.verify), ("/mcp", Verify::Observe));
        assert_eq!((spec.service, spec.suspend), (ServiceSpec::default(), false));
        assert_eq!(server.status, None);
    }

    #[test]
    fn a_spec_that_can_not_be_read_names_field_and_value_and_keeps_the_object() {
        for (spec, expected) in [
            (json!({"image": "x", "port": "http"}), r#"spec.port: invalid type: string "http", expected i32"#),
            (json!({"image": 7}), "spec.image: invalid type: integer `7`, expected a string"),
            (json!({"port": 80}), "spec: missing field `image`"),
            (json!("x"), r#"spec: invalid type: string "x", expected struct MCPServerSpec"#),
            (
                json!({"image": "x", "service": {"type": "Pigeon"}}),
                "spec.service.type: unknown variant `Pigeon`, expected one of `ClusterIP`, `NodePort`, `LoadBalancer`",
            ),
            (
                json!({"image": "x", "service": {"annotations": {"a": "b", "c": 1}}}),
                "spec.service.annotations.c: invalid type: integer `1`, expected a string",
            ),
            (json!({"image": "x", "service": [[]]}), "spec.service: "),
        ] {
            let metadata = json!({"namespace": "a", "name": "b", "uid": "u", "resourceVersion": "1"});
            let object = json!({"metadata": metadata, "spec": spec}).to_string();
            let server = MCPServer::decode(&object).unwrap();
            let error = server.spec.unwrap_err();
            assert!(error.starts_with(expected), "{error}");
            assert_eq!(server.meta.key.name(), "b");
        }
    }

    #[test]
    fn a_server_without_a_spec_is_kept_so_that_its_status_can_say_so() {
        let server = MCPServer::decode(r#"{"metadata":{"namespace":"a","name":"b","uid":"u","resourceVersion":"1"}}"#);
        assert_eq!(server.unwrap().spec, Err("spec: it is missing".to_owned()));
    }

    /// Another manager's condition passed the schema, though no such day exists, and the operator wrote its status
    /// without end.
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
