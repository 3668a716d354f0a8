//! Whether the server speaks MCP: what to ask, and what the answers mean for the status.
//!
//! The [verification] asks, all the time and on its own; a reconcile only says which pods there are
//! to be asked, and reads what is known. Whatever that is, it is reported and changes nothing else.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::build::service_port;
use super::observe::Observed;
use super::pods::Pod;
use crate::api::{MCPServer, MCPServerSpec, ServerInfo, SessionAffinity, SessionMode, Verify};
use crate::mcp::{self, Facts, Target};
use crate::verification::{self, Baseline, Desired, Report};

/// What is to be verified of the server; `None` if nothing is.
pub fn desired(observed: &Observed) -> Option<Desired> {
    let server = &observed.server;
    let spec = server.spec.as_ref().ok()?;
    if server.meta.deleting || spec.mcp.verify == Verify::Off {
        return None;
    }
    let pods: BTreeMap<_, _> = observed
        .pods
        .iter()
        .filter(|pod| pod.ready)
        .filter_map(|pod| Some((pod.meta.uid.clone(), to_ask(server, spec, pod)?)))
        .collect();
    Some(Desired { pods, interval: spec.mcp.interval.get(), baseline: baseline(server) })
}

fn to_ask(server: &MCPServer, spec: &MCPServerSpec, pod: &Pod) -> Option<verification::Pod> {
    let key = &server.meta.key;
    let host = format!("{}.{}.svc:{}", key.name(), key.namespace(), service_port(spec));
    // An older schema may have admitted a path that can't be asked for.
    let target = Target::new(pod.address?, &host, &spec.mcp.path).ok()?;
    Some(verification::Pod { name: pod.meta.key.name().into(), target, revision: pod.template.as_str().into() })
}

/// The tools that were reported last.
fn baseline(server: &MCPServer) -> Option<Baseline> {
    let ServerInfo { tools_hash, pod_template_hash, .. } = server.status.as_ref()?.server.as_ref()?;
    let known = !tools_hash.is_empty() && !pod_template_hash.is_empty();
    known.then(|| Baseline { revision: pod_template_hash.as_str().into(), tools_hash: tools_hash.as_str().into() })
}

/// What the status shows of a server that was verified.
pub fn info(report: &Report, now: Timestamp) -> Option<ServerInfo> {
    let Facts { era: _, name, version, protocol_versions, session_mode, capabilities, tools, ttl: _ } =
        &**report.facts.as_ref()?;
    let text = |claim: &Option<mcp::Claim>| claim.as_ref().map_or_else(String::new, ToString::to_string);
    // The digest and the revision that it belongs to come from one place. In the middle of a rollout the facts are of pods
    // of two revisions, and a server may hide its tools for a while: neither may look like a change of the tools.
    let (tools_hash, pod_template_hash) = match &report.baseline {
        Some(Baseline { revision, tools_hash }) => (tools_hash.to_string(), revision.to_string()),
        None => Default::default(),
    };
    Some(ServerInfo {
        name: text(name),
        version: text(version),
        protocol_versions: protocol_versions.iter().map(ToString::to_string).collect(),
        session_mode: match session_mode {
            mcp::SessionMode::Stateless => SessionMode::Stateless,
            mcp::SessionMode::Stateful => SessionMode::Stateful,
        },
        capabilities: capabilities.iter().map(ToString::to_string).collect(),
        tools: tools.as_ref().map(|tools| tools.count),
        tools_hash,
        pod_template_hash,
        last_verified_time: Some(now),
    })
}

/// What is to be said to somebody whose sessions get lost.
pub fn session_warning(observed: &Observed, facts: &Facts) -> &'static str {
    let spreads = |spec: &MCPServerSpec| spec.service.session_affinity == SessionAffinity::None;
    let several = observed.deployment.as_ref().is_some_and(|deployment| deployment.replicas > 1);
    match (&observed.server.spec, facts.session_mode) {
        (Ok(spec), mcp::SessionMode::Stateful) if several && spreads(spec) => {
            "; it keeps sessions in the memory of one pod, and there are several: set spec.service.sessionAffinity to ClientIP"
        }
        (Ok(_) | Err(_), mcp::SessionMode::Stateful | mcp::SessionMode::Stateless) => "",
    }
}
