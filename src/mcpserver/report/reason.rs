//! The reasons of the conditions: an enum, so that no step can misspell one or forget a new one.

use super::super::pods::TroubleKind;
use crate::api::Condition;
use crate::mcp;

/// Why a condition is as it is: `reason` in the object. The documentation of the conditions lists them, and programs
/// compare them, so a name never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Accepted: the spec is valid.
    Accepted,
    /// Accepted: an object that is not the server's own has its name.
    NameConflict,
    /// Accepted: the API server or an admission policy refused the objects.
    InvalidSpec,
    /// Accepted: the spec can't be decoded.
    UndecodableObject,
    /// SecretResolved: the spec names no Secret.
    NotRequired,
    /// SecretResolved: the Secret exists.
    Resolved,
    /// SecretResolved: the Secret does not exist.
    SecretNotFound,
    /// SecretResolved: the Secret can't be decoded.
    SecretUnreadable,
    /// Available: there is no Deployment.
    DeploymentMissing,
    /// Available: no pods are wanted.
    ScaledToZero,
    /// Available: enough pods are available.
    MinimumReplicasAvailable,
    /// Available: too few pods are available.
    MinimumReplicasUnavailable,
    /// Available: the image can't be pulled.
    ImagePullBackOff,
    /// Available: the container can't be created.
    CreateContainerConfigError,
    /// Available: the container was killed for using too much memory.
    OomKilled,
    /// Available: the container ends again and again.
    CrashLoopBackOff,
    /// Available: no node can take a pod.
    Unschedulable,
    /// Progressing: pods are being replaced, started or stopped.
    RollingOut,
    /// Progressing: all pods run the current spec.
    Complete,
    /// Progressing: the Deployment has made no progress for too long.
    ProgressDeadlineExceeded,
    /// Verified: every ready pod speaks MCP.
    Verified,
    /// Verified: no ready pod has been asked yet.
    NotYetVerified,
    /// Verified: the spec says that nobody asks.
    VerificationOff,
    /// Verified: a pod answers, but not as an MCP server.
    NotMcp,
    /// Verified: a pod does not answer.
    Unreachable,
    /// Verified: a pod wants to know who asks.
    AuthenticationRequired,
    /// Verified: a pod speaks versions of the protocol that nobody here knows.
    UnsupportedVersion,
    /// Ready: every other condition but Verified is True.
    Available,
    /// Ready: nobody can tell at the moment.
    Unknown,
}

impl From<TroubleKind> for Reason {
    fn from(trouble: TroubleKind) -> Self {
        match trouble {
            TroubleKind::Image => Self::ImagePullBackOff,
            TroubleKind::Config => Self::CreateContainerConfigError,
            TroubleKind::OutOfMemory => Self::OomKilled,
            TroubleKind::Crash => Self::CrashLoopBackOff,
            TroubleKind::Unschedulable => Self::Unschedulable,
        }
    }
}

impl From<mcp::Reason> for Reason {
    fn from(reason: mcp::Reason) -> Self {
        match reason {
            mcp::Reason::NotMcp => Self::NotMcp,
            mcp::Reason::UnsupportedVersion => Self::UnsupportedVersion,
            mcp::Reason::Unreachable => Self::Unreachable,
            mcp::Reason::AuthenticationRequired => Self::AuthenticationRequired,
        }
    }
}

impl Reason {
    /// The reasons of a server that has been asked.
    pub const VERDICTS: [Self; 5] =
        [Self::Verified, Self::NotMcp, Self::Unreachable, Self::AuthenticationRequired, Self::UnsupportedVersion];

    /// The word in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::NameConflict => "NameConflict",
            Self::InvalidSpec => "InvalidSpec",
            Self::UndecodableObject => "UndecodableObject",
            Self::NotRequired => "NotRequired",
            Self::Resolved => "Resolved",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretUnreadable => "SecretUnreadable",
            Self::DeploymentMissing => "DeploymentMissing",
            Self::ScaledToZero => "ScaledToZero",
            Self::MinimumReplicasAvailable => "MinimumReplicasAvailable",
            Self::MinimumReplicasUnavailable => "MinimumReplicasUnavailable",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::CreateContainerConfigError => "CreateContainerConfigError",
            Self::OomKilled => "OOMKilled",
            Self::CrashLoopBackOff => "CrashLoopBackOff",
            Self::Unschedulable => "Unschedulable",
            Self::RollingOut => "RollingOut",
            Self::Complete => "Complete",
            Self::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Self::Verified => "Verified",
            Self::NotYetVerified => "NotYetVerified",
            Self::VerificationOff => "VerificationOff",
            Self::NotMcp => "NotMCP",
            Self::Unreachable => "Unreachable",
            Self::AuthenticationRequired => "AuthenticationRequired",
            Self::UnsupportedVersion => "UnsupportedVersion",
            Self::Available => "Available",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether the condition has this reason.
    pub fn is_of(self, condition: &Condition) -> bool {
        condition.reason == self.as_str()
    }
}
