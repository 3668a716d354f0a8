//! The actual state: what this operator reports.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::condition::Condition;

/// The actual state of an MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MCPServerStatus {
    /// The generation of the spec that this status describes.
    pub observed_generation: i64,
    /// A summary for people. Programs should read the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The number of pods.
    pub replicas: i32,
    /// The number of ready pods.
    pub ready_replicas: i32,
    /// The number of pods that have been ready for long enough.
    pub available_replicas: i32,
    /// The number of pods that run the current spec.
    pub updated_replicas: i32,
    /// The label selector of the pods, as text, for autoscalers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Where clients in the cluster reach the server, while it is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the server said of itself when it was last verified. These are its own claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerInfo>,
    /// The conditions of the server: Ready, Accepted, SecretResolved, Available, Progressing, Verified.
    #[serde(deserialize_with = "readable")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl MCPServerStatus {
    /// The condition of this type.
    pub fn condition(&self, condition_type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.condition_type == condition_type)
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerInfo {
    /// What it calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The version that it claims to have, of itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The versions of the protocol that it lists, or the one that was agreed on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocol_versions: Vec<String>,
    /// Whether it keeps sessions, which live in the memory of one pod.
    pub session_mode: SessionMode,
    /// What it offers: tools, prompts, resources and more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The number of its tools, if it showed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<u32>,
    /// SHA-256 over the names, descriptions and input schemas of its tools.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tools_hash: String,
    /// The pod-template-hash of the pods that were verified. Tools that change while it stays the same have changed
    /// behind everybody's back.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_template_hash: String,
    /// When it was last verified before this status was written. As long as it says the same, the status is not written
    /// again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_verified_time: Option<Timestamp>,
}

/// Whether a server keeps sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionMode {
    /// `Stateless`: each request stands alone.
    Stateless,
    /// `Stateful`: the requests of a client must reach the same pod.
    Stateful,
    /// `Unknown`: it did not show.
    #[default]
    Unknown,
}

/// The conditions that can be decoded. Another manager's malformed condition (say, 30 February) must not make the whole
/// status unreadable: ours would then be rewritten for ever, after each of its own events.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let conditions = Vec::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(conditions.into_iter().filter_map(|condition| serde_json::from_str(condition.get()).ok()).collect())
}

/// The state of a server in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// `Pending`: no pod exists yet.
    Pending,
    /// `Progressing`: pods are being started, replaced or stopped.
    Progressing,
    /// `Running`: everything is as the spec asks.
    Running,
    /// `Degraded`: not everything is as the spec asks: too few pods are available, a rollout is stuck, the Secret is
    /// missing, or a budget, policy or autoscaler can't be created because another object has its name.
    Degraded,
    /// `ScaledToZero`: the spec asks for no pods, and there are none.
    ScaledToZero,
    /// `Failed`: the spec can't be applied, or no pod is available after a rollout got stuck.
    Failed,
    /// `Suspended`: the operator changes nothing, because the spec says so.
    Suspended,
    /// `Terminating`: it is being deleted.
    Terminating,
}

impl Phase {
    /// The value of `status.phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Progressing => "Progressing",
            Self::Running => "Running",
            Self::Degraded => "Degraded",
            Self::ScaledToZero => "ScaledToZero",
            Self::Failed => "Failed",
            Self::Suspended => "Suspended",
            Self::Terminating => "Terminating",
        }
    }
}
