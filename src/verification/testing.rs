//! Pods and verdicts for the tests of this chapter.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Baseline, Desired, Pod};
use crate::mcp::{Claim, Era, Facts, Reason, SessionMode, Target, ToolList, Verdict};
use crate::object::{ObjectKey, Uid};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

/// What a server tells whose tools have this digest.
pub(super) fn facts(hash: &str) -> Facts {
    Facts {
        era: Era::Modern,
        name: Some(Claim::new("x")),
        version: None,
        protocol_versions: vec![Claim::new("2026-07-28")],
        session_mode: SessionMode::Stateless,
        capabilities: vec![Claim::new("tools")],
        tools: Some(ToolList { count: 1, hash: hash.into() }),
        ttl: None,
    }
}

pub(super) fn verified(hash: &str) -> Verdict {
    Verdict::Verified(Box::new(facts(hash)))
}

pub(super) fn failed(reason: Reason) -> Verdict {
    Verdict::Failed { reason, message: "no luck".to_owned() }
}

/// The address of the pod with this number.
pub(super) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 8080))
}

/// Pods `pod-1`, `pod-2`, … as the numbers say, all of one revision.
pub(super) fn pods(numbers: &[u8], revision: &str) -> BTreeMap<Uid, Pod> {
    let pod = |number: &u8| {
        let target = Target::new(address(*number), "x.default.svc:8080", "/mcp").unwrap();
        let pod = Pod { name: format!("pod-{number}").into(), target, revision: revision.into() };
        (Uid::from(format!("uid-{number}").as_str()), pod)
    };
    numbers.iter().map(pod).collect()
}

/// Asked every minute, and nothing known from before.
pub(super) fn desired(numbers: &[u8]) -> Desired {
    Desired { pods: pods(numbers, "r1"), interval: MINUTE, baseline: None }
}

pub(super) fn baseline(revision: &str, hash: &str) -> Baseline {
    Baseline { revision: revision.into(), tools_hash: hash.into() }
}
