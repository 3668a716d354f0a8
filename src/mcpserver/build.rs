//! Step three: build the children that the spec calls for. Pure: a spec in, two objects out.
//!
//! This operator becomes the manager of every field that is set here, so this file says what it claims, and by omission
//! what it leaves to others.

mod pod;
mod policies;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::children::{
    APPLIED_HASH, Child, INSTANCE, InjectedSecret, MANAGED_BY, MCPSERVER, NAME, PORT, SMOOTH_OPERATOR,
};
use super::kind::ChildKind;
use super::ours::Digest;
use super::validate::Wanted;
use crate::api::verbatim::Verbatim;
use crate::api::{MCPSERVERS, MCPServer, MCPServerSpec};
use crate::object::ObjectKey;

/// The desired state of a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The whole object to apply.
    pub object: Value,
    /// The digest of the desired state, without the annotation that holds this digest.
    pub hash: String,
}

impl Desired {
    /// Whether the live object has the desired state: it was applied last, and nobody has changed any of it since.
    pub fn is_state_of(&self, child: &Child) -> bool {
        child.applied.as_ref() == Some(&self.hash) && child.fields.are_those_of(&claimed(&self.object))
    }
}

/// All children that a spec calls for.
pub type Children = BTreeMap<ChildKind, Desired>;

/// A child can't be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} of MCPServer {server} can't be written as JSON: {source}")]
pub struct BuildError {
    /// The kind of the child.
    kind: &'static str,
    /// The server.
    server: ObjectKey,
    /// What is wrong.
    source: serde_json::Error,
}

/// Builds the children.
///
/// # Errors
///
/// [`BuildError`], which the types rule out as far as anybody knows.
pub fn build(server: &MCPServer, wanted: &Wanted<'_>) -> Result<Children, BuildError> {
    let Wanted { spec, slots: _, secret, obstacles: _ } = wanted;
    let mut children = Children::new();
    for kind in ChildKind::ALL {
        let built = match kind {
            ChildKind::Deployment => deployment(server, spec, secret.as_ref()).map(Some),
            ChildKind::Service => serde_json::to_value(service(server, spec)).map(Some),
            ChildKind::DisruptionBudget => policies::disruption_budget(server, spec).transpose(),
            ChildKind::NetworkPolicy => policies::network_policy(server, spec).transpose(),
            ChildKind::Autoscaler => policies::autoscaler(server, spec).transpose(),
        };
        let key = &server.meta.key;
        let built = built.map_err(|source| BuildError { kind: kind.as_str(), server: key.clone(), source })?;
        children.extend(built.map(|object| (kind, desired(object))));
    }
    Ok(children)
}

/// The selector of a server's pods, as text.
pub fn selector(name: &str) -> String {
    format!("{INSTANCE}={name},{NAME}={MCPSERVER}")
}

/// The port of the Service.
pub fn service_port(spec: &MCPServerSpec) -> i32 {
    spec.service.port.unwrap_or(spec.port)
}

/// Adds the digest of the desired state as an annotation.
fn desired(mut object: Value) -> Desired {
    let hash = Digest::of(&claimed(&object)).to_string();
    object["metadata"]["annotations"][APPLIED_HASH] = hash.as_str().into();
    Desired { object, hash }
}

/// The fields that an apply of `object` claims: all except those that identify the object.
fn claimed(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(members) = object.as_object_mut() {
        members.retain(|name, _| name == "metadata" || name == "spec");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| !matches!(name.as_str(), "name" | "namespace" | "uid" | "resourceVersion"));
    }
    object
}

fn deployment(
    server: &MCPServer,
    spec: &MCPServerSpec,
    secret: Option<&InjectedSecret>,
) -> Result<Value, serde_json::Error> {
    let name = server.meta.key.name();
    let mut object = serde_json::to_value(Deployment {
        metadata: metadata(server, BTreeMap::new()),
        spec: Some(DeploymentSpec {
            // An autoscaler writes this field, and a field has one master.
            replicas: spec.autoscaling.is_none().then_some(spec.replicas),
            selector: LabelSelector { match_labels: Some(selector_labels(name)), ..LabelSelector::default() },
            ..DeploymentSpec::default()
        }),
        status: None,
    })?;
    object["spec"]["template"] = pod::template(name, spec, secret)?;
    Ok(object)
}

fn service(server: &MCPServer, spec: &MCPServerSpec) -> Service {
    Service {
        metadata: metadata(server, spec.service.annotations.clone()),
        spec: Some(ServiceSpec {
            type_: Some(spec.service.service_type.as_str().to_owned()),
            selector: Some(selector_labels(server.meta.key.name())),
            session_affinity: Some(spec.service.session_affinity.as_str().to_owned()),
            ports: Some(vec![ServicePort {
                name: Some(PORT.to_owned()),
                app_protocol: Some("http".to_owned()),
                protocol: Some("TCP".to_owned()),
                port: service_port(spec),
                target_port: Some(IntOrString::String(PORT.to_owned())),
                node_port: None,
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn metadata(server: &MCPServer, annotations: BTreeMap<String, String>) -> ObjectMeta {
    let key = &server.meta.key;
    ObjectMeta {
        name: Some(key.name().to_owned()),
        namespace: Some(key.namespace().to_owned()),
        labels: Some(labels(key.name())),
        annotations: Some(annotations),
        owner_references: Some(vec![OwnerReference {
            api_version: MCPSERVERS.api_version(),
            kind: MCPSERVERS.kind.to_owned(),
            name: key.name().to_owned(),
            uid: server.meta.uid.to_string(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

/// The labels of the selector. A Deployment's selector can never be changed, so it contains nothing that might change.
fn selector_labels(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(NAME.to_owned(), MCPSERVER.to_owned()), (INSTANCE.to_owned(), name.to_owned())])
}

fn labels(name: &str) -> BTreeMap<String, String> {
    let mut labels = selector_labels(name);
    labels.insert(MANAGED_BY.to_owned(), SMOOTH_OPERATOR.to_owned());
    labels
}

/// Puts what the spec says verbatim into an object.
fn put<T>(object: &mut Value, field: &str, value: Option<&Verbatim<T>>) {
    if let Some(value) = value {
        object[field] = value.value();
    }
}

#[cfg(test)]
mod tests;
