//! How the kubelet checks the server.

use std::borrow::Cow;

use k8s_openapi::api::core::v1;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::verbatim::Verbatim;

/// How the kubelet finds out about the state of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-validations" = [
    succeeds_once("liveness"),
    succeeds_once("startup"),
    {
        "rule": "!has(self.readiness) || !has(self.readiness.terminationGracePeriodSeconds)",
        "message": "readiness.terminationGracePeriodSeconds can't be set: this probe ends no container",
    },
]))]
pub struct Probes {
    /// Whether the server still works. If not, its container is restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Whether the server can take requests. If not, the Service does not send any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Whether the server has started. Until then there are no other checks; by default it has five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}

/// 0 counts as not set.
fn succeeds_once(probe: &str) -> Value {
    json!({
        "rule": format!("!has(self.{probe}) || !has(self.{probe}.successThreshold) || self.{probe}.successThreshold <= 1"),
        "message": format!("{probe}.successThreshold must be 1"),
    })
}

/// The fields of a probe that say what is done; all others say when.
pub(crate) const ACTIONS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

/// The others.
const TIMES: [&str; 6] = [
    "failureThreshold",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "terminationGracePeriodSeconds",
    "timeoutSeconds",
];

/// A probe of Kubernetes, or none.
///
/// What it does not say is as in the default: the check is a connection to the port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Probe(Verbatim<v1::Probe>);

impl Probe {
    /// The fields that replace the default's; `None` if there is no such probe.
    pub fn fields(&self) -> Option<Value> {
        let mut fields = self.0.value();
        let disabled = fields.as_object_mut().and_then(|fields| fields.remove("disabled"));
        (disabled != Some(Value::Bool(true))).then_some(fields)
    }
}

impl JsonSchema for Probe {
    fn schema_name() -> Cow<'static, str> {
        "Probe".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = v1::Probe::json_schema(generator);
        let disabled = json!({"description": "There is no such probe.", "type": "boolean"});
        let set = ACTIONS.map(|action| format!("has(self.{action})"));
        let times = TIMES.map(|time| format!("has(self.{time})"));
        let counted = set.iter().map(|has| format!("({has} ? 1 : 0)")).collect::<Vec<_>>().join(" + ");
        let port = |action: &str| {
            json!({
                "rule": format!("!has(self.{action}) || string(self.{action}.port) == 'mcp' || (string(self.{action}.port).matches('^[1-9][0-9]{{0,4}}$') && int(string(self.{action}.port)) <= 65535)"),
                "message": format!("{action}.port must be a number from 1 to 65535, or mcp, the name of the container's only port"),
            })
        };
        let rules = json!([
            {
                "rule": format!(
                    "!(has(self.disabled) && self.disabled && ({} || {}))",
                    set.join(" || "),
                    times.join(" || ")
                ),
                "message": "a probe is either set or disabled",
            },
            {"rule": format!("{counted} <= 1"), "message": "a probe has one of exec, grpc, httpGet and tcpSocket"},
            port("httpGet"),
            port("tcpSocket"),
        ]);
        let object = schema.ensure_object();
        if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("disabled".to_owned(), disabled);
        }
        object.insert("x-kubernetes-validations".to_owned(), rules);
        schema
    }
}
