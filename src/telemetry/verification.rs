//! `smooth_operator_mcp_verify_*`: how the checks of the servers end, and how long they take.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How a check ended: the label `result`. The words are those of the condition `Verified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyResult {
    /// The server speaks MCP.
    Verified,
    /// It answers, but not as an MCP server.
    NotMcp,
    /// It speaks unknown versions only.
    UnsupportedVersion,
    /// It does not answer.
    Unreachable,
    /// It answers those who log in.
    AuthenticationRequired,
}

impl VerifyResult {
    const ALL: [Self; 5] =
        [Self::Verified, Self::NotMcp, Self::UnsupportedVersion, Self::Unreachable, Self::AuthenticationRequired];

    const fn label(self) -> &'static str {
        match self {
            Self::Verified => "Verified",
            Self::NotMcp => "NotMCP",
            Self::UnsupportedVersion => "UnsupportedVersion",
            Self::Unreachable => "Unreachable",
            Self::AuthenticationRequired => "AuthenticationRequired",
        }
    }
}

/// The metrics of the verification.
#[derive(Clone, Debug)]
pub struct VerificationMetrics {
    total: Family<Labels, Counter>,
    duration: Histogram,
}

impl VerificationMetrics {
    /// A check of one pod ended with this result after `duration`.
    pub fn checked(&self, result: VerifyResult, duration: Duration) {
        self.total.get_or_create(&Labels { result: result.label() }).inc();
        self.duration.observe(duration.as_secs_f64());
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

pub(super) fn register(registry: &mut Registry) -> VerificationMetrics {
    let metrics = VerificationMetrics {
        total: Family::default(),
        // A check has five seconds.
        duration: Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]),
    };
    let VerificationMetrics { total, duration } = &metrics;
    for result in VerifyResult::ALL {
        drop(total.get_or_create(&Labels { result: result.label() }));
    }
    registry.register("smooth_operator_mcp_verify", "Checks whether a pod speaks MCP, by result", total.clone());
    registry.register(
        "smooth_operator_mcp_verify_duration_seconds",
        "How long a check whether a pod speaks MCP takes",
        duration.clone(),
    );
    metrics
}
