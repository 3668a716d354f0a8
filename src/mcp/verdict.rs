//! What a check finds out.

use std::fmt;
use std::time::Duration;

use super::Claim;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It speaks MCP.
    Verified(Box<Facts>),
    /// It does not, or it could not be found out.
    Failed {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people: what was seen, in one line. All of the server's words in it are [claims](Claim).
        message: String,
    },
}

/// Why a server is not verified. The worst comes first: what will not pass by itself, then what may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It answers in HTTP, and not as an MCP server would.
    NotMcp,
    /// It speaks MCP in versions that this operator does not know.
    UnsupportedVersion,
    /// There is no answer in HTTP: refused, cut off, or too late.
    Unreachable,
    /// It wants to know who asks. It is reachable, and this is no failure of the server.
    AuthenticationRequired,
}

impl Reason {
    /// The reason of the condition `Verified`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotMcp => "NotMCP",
            Self::UnsupportedVersion => "UnsupportedVersion",
            Self::Unreachable => "Unreachable",
            Self::AuthenticationRequired => "AuthenticationRequired",
        }
    }
}

impl Verdict {
    pub(super) fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self::Failed { reason, message: message.into() }
    }
}

/// What a server that speaks MCP told about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How it was talked to: what the next check begins with.
    pub era: Era,
    /// What it calls itself.
    pub name: Option<Claim>,
    /// The version that it claims to have, of itself, not of the protocol.
    pub version: Option<Claim>,
    /// The versions of the protocol that it lists, or the one that was agreed on.
    pub protocol_versions: Vec<Claim>,
    /// Whether it keeps sessions.
    pub session_mode: SessionMode,
    /// The names of what it offers: `tools`, `prompts`, …
    pub capabilities: Vec<Claim>,
    /// Its tools; `None` if it did not show them.
    pub tools: Option<ToolList>,
    /// For how long it wants its answer to be remembered. A claim like the others.
    pub ttl: Option<Duration>,
}

/// A server's tools, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolList {
    /// How many.
    pub count: u32,
    /// SHA-256 over names, descriptions and input schemas, in hexadecimal digits.
    pub hash: Box<str>,
}

/// Whether a server keeps something between two requests, in one pod's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionMode {
    /// Each request stands alone.
    Stateless,
    /// A client's requests must reach the same pod.
    Stateful,
}

impl SessionMode {
    /// The value of `status.server.sessionMode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stateless => "Stateless",
            Self::Stateful => "Stateful",
        }
    }
}

/// Which of the protocol's three ways of talking a server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28: `server/discover`, and no sessions.
    Modern,
    /// 2025-03-26 to 2025-11-25: `initialize`, often with a session.
    Legacy,
    /// 2024-11-05: one event stream for all answers.
    Deprecated,
}

/// `speaks MCP 2025-11-25, as gofetch 1.0.3, with 3 tools`.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("speaks MCP")?;
        for (index, version) in self.protocol_versions.iter().take(Self::SHOWN).enumerate() {
            write!(f, "{} {version}", if index == 0 { "" } else { "," })?;
        }
        if let Some(name) = &self.name {
            write!(f, ", as {name}")?;
            if let Some(version) = &self.version {
                write!(f, " {version}")?;
            }
        }
        match self.tools.as_ref().map(|tools| tools.count) {
            None => Ok(()),
            Some(1) => f.write_str(", with 1 tool"),
            Some(count) => write!(f, ", with {count} tools"),
        }
    }
}

impl Facts {
    /// How many versions a message names.
    const SHOWN: usize = 4;
}

/// `NotMCP: …` or `Verified: …`, in one line.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(facts) => write!(f, "Verified: {facts}"),
            Self::Failed { reason, message } => write!(f, "{}: {message}", reason.as_str()),
        }
    }
}
