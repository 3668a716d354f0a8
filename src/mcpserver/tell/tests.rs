use super::*;
use crate::api::{Condition, Phase};

fn status(condition: &str, holds: ConditionStatus, reason: &str, url: Option<&str>) -> MCPServerStatus {
    let condition = Condition {
        condition_type: condition.to_owned(),
        status: holds,
        observed_generation: None,
        last_transition_time: "2026-11-22T20:00:00Z".parse().unwrap(),
        reason: reason.to_owned(),
        message: "why".to_owned(),
    };
    let url = url.map(str::to_owned);
    MCPServerStatus { phase: Some(Phase::Running), url, conditions: vec![condition], ..MCPServerStatus::default() }
}

fn reasons(old: Option<&MCPServerStatus>, new: &MCPServerStatus) -> Vec<&'static str> {
    events_of_change(old, new).into_iter().map(|event| event.reason).collect()
}

#[test]
fn a_condition_is_told_when_it_comes_about_and_not_again() {
    let missing = status(SECRET_RESOLVED, ConditionStatus::False, "SecretNotFound", None);
    assert_eq!(reasons(None, &missing), ["SecretNotFound"]);
    assert_eq!(reasons(Some(&missing), &missing), [""; 0]);
    let stuck = status(PROGRESSING, ConditionStatus::False, "ProgressDeadlineExceeded", None);
    assert_eq!(reasons(Some(&missing), &stuck), ["RolloutStuck"]);
}

#[test]
fn becoming_available_is_told_with_the_url() {
    let serves =
        status(AVAILABLE, ConditionStatus::True, "MinimumReplicasAvailable", Some("http://web.prod.svc:8080/mcp"));
    let told = events_of_change(None, &serves);
    assert_eq!(
        (told[0].reason, told[0].note.as_str()),
        ("Available", "the server is available at http://web.prod.svc:8080/mcp")
    );
    assert_eq!(reasons(Some(&serves), &serves), [""; 0]);
}

#[test]
fn drift_is_a_warning_and_all_other_writes_are_normal() {
    let done = |kind, why| Done { kind, why };
    let written = [done(ChildKind::Deployment, Why::Created), done(ChildKind::Service, Why::DriftCorrected)];
    let told = events_of_writes("web", &written);
    assert_eq!((told[0].reason, told[0].event_type), ("DeploymentCreated", EventType::Normal));
    assert_eq!((told[1].reason, told[1].event_type), ("DriftCorrected", EventType::Warning));
    assert_eq!(told[1].note, "Service web restored: another client changed fields that this operator manages");
}

fn offers(tools: &str, pods: &str) -> MCPServerStatus {
    let server =
        ServerInfo { tools_hash: tools.to_owned(), pod_template_hash: pods.to_owned(), ..ServerInfo::default() };
    MCPServerStatus { server: Some(server), ..status(VERIFIED, ConditionStatus::True, "Verified", None) }
}

#[test]
fn tools_that_change_while_the_pods_do_not_are_a_warning() {
    assert_eq!(reasons(Some(&offers("a", "1")), &offers("b", "1")), ["ToolsChanged"]);
    assert_eq!(reasons(Some(&offers("a", "1")), &offers("b", "2")), [""; 0], "a new version may have other tools");
    assert_eq!(reasons(Some(&offers("a", "1")), &offers("a", "1")), [""; 0]);
    assert_eq!(reasons(Some(&offers("", "1")), &offers("b", "1")), [""; 0], "it did not show them before");
}

#[test]
fn a_verdict_is_told_when_it_is_another_and_a_login_is_no_failure() {
    let verdict = |holds, reason| status(VERIFIED, holds, reason, None);
    let verified = verdict(ConditionStatus::True, "Verified");
    assert_eq!(reasons(None, &verified), ["Verified"]);
    assert_eq!(reasons(Some(&verified), &verified), [""; 0]);
    let failed = verdict(ConditionStatus::False, "NotMCP");
    assert_eq!(reasons(Some(&verified), &failed), ["VerificationFailed"]);
    assert_eq!(reasons(Some(&failed), &verdict(ConditionStatus::False, "Unreachable")), ["VerificationFailed"]);
    assert_eq!(reasons(Some(&failed), &verdict(ConditionStatus::False, "AuthenticationRequired")), [""; 0]);
    assert_eq!(reasons(None, &verdict(ConditionStatus::Unknown, "NotYetVerified")), [""; 0]);
}
