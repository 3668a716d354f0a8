//! What is said of a server that was asked whether it speaks MCP.

use std::sync::Arc;

use serde_json::json;

use super::super::super::pods::Pod;
use super::*;
use crate::mcp::{Claim, Era, Facts, SessionMode, ToolList};
use crate::object::Object;
use crate::verification::{Baseline, Outcome as Verified};

/// What is known of a server that has answered, or has not.
fn known(outcome: Verified, sessions: SessionMode) -> Verification {
    let facts = Facts {
        era: Era::Legacy,
        name: Some(Claim::new("gofetch")),
        version: Some(Claim::new("1.0.3")),
        protocol_versions: vec![Claim::new("2025-11-25")],
        session_mode: sessions,
        capabilities: vec![Claim::new("tools")],
        tools: Some(ToolList { count: 2, hash: "5d41".into() }),
        ttl: None,
    };
    let baseline = Some(Baseline { revision: "7f".into(), tools_hash: "5d41".into() });
    Verification { outcome, facts: Some(Arc::new(facts)), baseline }
}

fn verified_at(now: &str, world: &Observed, verification: Option<&Verification>) -> MCPServerStatus {
    let applied = scaled(2, Some(&says(2, 2)));
    report(world, &Outcome::Applied(&applied), verification, now.parse().unwrap())
}

#[test]
fn what_a_server_says_of_itself_is_shown_and_the_time_of_the_check_is_no_news() {
    let known = known(Verified::Verified, SessionMode::Stateless);
    let status = verified_at(NOW, &world(2, None), Some(&known));
    assert_eq!(said(&status, VERIFIED), pair("True", "Verified"));
    let info = status.server.clone().unwrap();
    assert_eq!((info.name.as_str(), info.version.as_str(), info.tools), ("gofetch", "1.0.3", Some(2)));
    assert_eq!((info.tools_hash.as_str(), info.pod_template_hash.as_str()), ("5d41", "7f"));
    let later = verified_at(LATER, &world(2, Some(&status)), Some(&known));
    assert_ne!(later.server, status.server);
    assert!(says_the_same(&status, &later), "or a settled cluster would be written to each minute");
}

/// The check may fail for reasons of its own; whether the server is ready, its pods say.
#[test]
fn a_server_that_is_not_verified_is_as_ready_as_its_pods() {
    for (outcome, expected) in [
        (Verified::NotYetVerified, pair("Unknown", "NotYetVerified")),
        (
            Verified::Failed { reason: crate::mcp::Reason::NotMcp, message: "pod web-1: a page".to_owned() },
            pair("False", "NotMCP"),
        ),
    ] {
        let status = verified_at(NOW, &world(2, None), Some(&known(outcome, SessionMode::Stateless)));
        assert_eq!((said(&status, VERIFIED), said(&status, READY)), (expected, pair("True", "Available")));
        assert_eq!(status.phase, Some(Phase::Running));
    }
    let off = verified_at(NOW, &world(2, None), None);
    assert_eq!((said(&off, VERIFIED), off.server), (pair("Unknown", "VerificationOff"), None));
}

/// Found by an acceptance test: each start of the operator wrote every status twice.
#[test]
fn an_operator_that_has_just_started_repeats_what_was_known() {
    let known = known(Verified::Verified, SessionMode::Stateless);
    let before = verified_at(NOW, &world(2, None), Some(&known));
    let nothing = Verification { outcome: Verified::NotYetVerified, facts: None, baseline: None };
    let mut world = world(2, Some(&before));
    let without_pods = verified_at(LATER, &world, Some(&nothing));
    assert_eq!(
        said(&without_pods, VERIFIED),
        pair("Unknown", "NotYetVerified"),
        "there is nobody of whom it could be true"
    );
    assert_eq!(without_pods.server, before.server, "to compare the tools with");
    world.pods = vec![Arc::new(ready_pod())];
    assert!(says_the_same(&before, &verified_at(LATER, &world, Some(&nothing))));
}

fn ready_pod() -> Pod {
    let labels = json!({"app.kubernetes.io/managed-by": "smooth-operator", "app.kubernetes.io/instance": "web"});
    let metadata = json!({"namespace": "prod", "name": "web-1", "uid": "p", "resourceVersion": "1", "labels": labels});
    let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    Pod::decode(&json!({"metadata": metadata, "status": status}).to_string()).unwrap()
}

#[test]
fn sessions_in_one_of_several_pods_are_warned_of_where_nothing_keeps_clients_there() {
    let warns = |replicas: i32, affinity: &str, sessions| {
        let spec = json!({"image": "x", "replicas": replicas, "service": {"sessionAffinity": affinity}});
        let deployment = Some(Arc::new(Deployment { replicas, ..deployed(&says(2, 2)) }));
        let world = Observed { server: Arc::new(server(&spec, None)), deployment, ..observed(&spec) };
        let status = verified_at(NOW, &world, Some(&known(Verified::Verified, sessions)));
        status.condition(VERIFIED).unwrap().message.contains("sessionAffinity")
    };
    assert!(warns(2, "None", SessionMode::Stateful));
    assert!(!warns(1, "None", SessionMode::Stateful), "there is one pod");
    assert!(!warns(2, "ClientIP", SessionMode::Stateful), "it is set");
    assert!(!warns(2, "None", SessionMode::Stateless), "there are no sessions");
}
