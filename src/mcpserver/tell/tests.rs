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
