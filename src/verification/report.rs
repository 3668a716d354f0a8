//! What goes in, and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::mcp::{Facts, Reason, Target};
use crate::object::Uid;

/// What is to be verified of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The pods that are ready, and only those: of the others it is known already that they don't answer.
    pub pods: BTreeMap<Uid, Pod>,
    /// How old a verdict may become.
    pub interval: Duration,
    /// What is known of the tools from before this process began. It is looked at when the server is first observed,
    /// and never again.
    pub baseline: Option<Baseline>,
}

/// A ready pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name, for messages.
    pub name: Arc<str>,
    /// Where it is asked.
    pub target: Target,
    /// What it runs: any text that differs when the pod template does, such as the label `pod-template-hash`.
    pub revision: Arc<str>,
}

/// The tools that a revision had when it was last verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// The revision of all ready pods.
    pub revision: Arc<str>,
    /// The digest of the tools, as in `status.server.toolsHash`.
    pub tools_hash: Box<str>,
}

/// What is known of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether it speaks MCP.
    pub outcome: Outcome,
    /// What it told when it was last verified, with the tools of all its pods ([`ToolList::of_pods`]) and without `ttl`.
    ///
    /// [`ToolList::of_pods`]: crate::mcp::ToolList::of_pods
    pub facts: Option<Arc<Facts>>,
    /// The tools to compare with from now on. Others of the same revision are a change that somebody should look at;
    /// who reports notices that, by what was reported before.
    pub baseline: Option<Baseline>,
}

/// Whether a server speaks MCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is not known yet, or no pod is ready.
    NotYetVerified,
    /// Every ready pod does.
    Verified,
    /// At least one ready pod does not.
    Failed {
        /// The worst reason of all pods.
        reason: Reason,
        /// The pod and what was seen, in one line.
        message: String,
    },
}
