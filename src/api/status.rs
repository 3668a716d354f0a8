//! What this operator tells people.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::condition::Condition;

/// What is known of an MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MCPServerStatus {
    /// The generation of the spec that all of this is said of.
    pub observed_generation: i64,
    /// A summary for people. Programs read the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// How many pods there are.
    pub replicas: i32,
    /// How many of them are ready.
    pub ready_replicas: i32,
    /// How many of them have been ready for long enough to count.
    pub available_replicas: i32,
    /// How many of them run what the spec asks for now.
    pub updated_replicas: i32,
    /// The label selector of the pods, as text, for autoscalers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Where the server is reached within the cluster, while it is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What holds and what does not: Ready, Accepted, SecretResolved, Available, Progressing.
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

/// The conditions that can be read. The list is shared: if one of another's making, the 30th of February for its time, made all of
/// the status unreadable, ours would be written anew, with new times, after each of its own events, for ever.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let conditions = Vec::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(conditions.into_iter().filter_map(|condition| serde_json::from_str(condition.get()).ok()).collect())
}

/// The state of a server in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// `Pending`: nothing runs yet.
    Pending,
    /// `Progressing`: pods are on their way to what the spec asks for.
    Progressing,
    /// `Running`: all is as the spec asks.
    Running,
    /// `Degraded`: the server is available, but not all is as the spec asks.
    Degraded,
    /// `ScaledToZero`: there are to be no pods, and there are none.
    ScaledToZero,
    /// `Failed`: it does not run, and will not by itself.
    Failed,
    /// `Suspended`: the operator keeps its hands off.
    Suspended,
    /// `Terminating`: it is being deleted.
    Terminating,
}

impl Phase {
    /// All of them, in the order of a server's life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Progressing,
        Self::Running,
        Self::Degraded,
        Self::ScaledToZero,
        Self::Failed,
        Self::Suspended,
        Self::Terminating,
    ];

    /// The word in `status.phase`.
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
