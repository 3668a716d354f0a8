mod verified;

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::children::Deployment;
use super::super::kind::ChildKind;
use super::super::memory::Refused;
use super::super::observe::SecretState;
use super::super::testing::{UID, deployment, observed, owner, server, service};
use super::super::validate::Obstacles;
use super::*;
use crate::api::Phase;

const NOW: &str = "2026-11-22T20:00:00Z";
const LATER: &str = "2026-11-22T21:00:00Z";

fn deployed(status: &Value) -> Deployment {
    deployment(&owner("MCPServer", "web", UID), status)
}

/// The status from the Deployment controller if `available` of `pods` are available.
fn says(pods: i32, available: i32) -> Value {
    json!({
        "observedGeneration": 1, "replicas": pods, "updatedReplicas": pods, "readyReplicas": available,
        "availableReplicas": available,
        "conditions": [
            {"type": "Available", "status": if available > 0 { "True" } else { "False" }},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
    })
}

fn applied(status: Option<&Value>) -> Applied {
    scaled(1, status)
}

/// A Deployment with this number of replicas, if there is one, and a Service.
fn scaled(replicas: i32, status: Option<&Value>) -> Applied {
    let deployment = status.map(|status| Arc::new(Deployment { replicas, ..deployed(status) }));
    let service = Some(Arc::new(service(8080)));
    let obstacles = Obstacles::default();
    Applied { deployment, service, obstacles, refused: None, failed: None, done: Vec::new() }
}

fn report_at(now: &str, observed: &Observed, applied: &Applied) -> MCPServerStatus {
    report(observed, &Outcome::Applied(applied), None, now.parse().unwrap())
}

/// A server with this number of replicas and this earlier status.
fn world(replicas: i32, before: Option<&MCPServerStatus>) -> Observed {
    let spec = json!({"image": "x", "replicas": replicas});
    Observed { server: Arc::new(server(&spec, before)), ..observed(&spec) }
}

fn said(status: &MCPServerStatus, condition: &str) -> (String, String) {
    let found = status.condition(condition).unwrap_or_else(|| panic!("no {condition}"));
    (found.status.to_string(), found.reason.clone())
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn all_pods_serving_is_running_and_ready_with_a_url() {
    let status = report_at(NOW, &world(2, None), &scaled(2, Some(&says(2, 2))));
    assert_eq!(status.phase, Some(Phase::Running));
    assert_eq!(said(&status, READY), pair("True", "Available"));
    assert_eq!(said(&status, PROGRESSING), pair("True", "Complete"));
    assert_eq!(status.url.as_deref(), Some("http://web.prod.svc:8080/mcp"));
    assert_eq!((status.observed_generation, status.replicas, status.available_replicas), (3, 2, 2));
    assert_eq!(status.selector, "app.kubernetes.io/instance=web,app.kubernetes.io/name=mcpserver");
}

#[test]
fn a_status_that_lags_makes_nobody_ready() {
    let mut past = says(2, 2);
    past["observedGeneration"] = json!(0);
    let status = report_at(NOW, &world(2, None), &scaled(2, Some(&past)));
    assert_eq!(status.phase, Some(Phase::Progressing));
    assert_eq!(said(&status, READY).0, "False");
    assert_eq!(said(&status, AVAILABLE), pair("False", "MinimumReplicasUnavailable"));
    let before = report_at(NOW, &world(2, None), &scaled(2, Some(&says(2, 2))));
    let status = report_at(NOW, &world(2, Some(&before)), &scaled(2, Some(&past)));
    assert_eq!(said(&status, AVAILABLE).0, "True", "the old pods were serving a moment ago");
    assert_eq!(said(&status, READY), pair("Unknown", "Unknown"));
}

#[test]
fn one_of_two_pods_keeps_it_available_and_the_phase_says_the_rest() {
    let coming = report_at(NOW, &world(2, None), &scaled(2, Some(&says(2, 1))));
    assert_eq!((said(&coming, AVAILABLE).0.as_str(), coming.phase), ("True", Some(Phase::Progressing)));
    let complete = report_at(NOW, &world(2, None), &scaled(2, Some(&says(2, 2))));
    let lost = report_at(NOW, &world(2, Some(&complete)), &scaled(2, Some(&says(2, 1))));
    assert_eq!((said(&lost, AVAILABLE).0.as_str(), lost.phase), ("True", Some(Phase::Degraded)));
    assert_eq!(said(&lost, READY).0, "True");
}

#[test]
fn scaled_to_zero_is_no_failure() {
    let status = report_at(NOW, &world(0, None), &scaled(0, Some(&says(0, 0))));
    assert_eq!(status.phase, Some(Phase::ScaledToZero));
    assert_eq!(said(&status, AVAILABLE), pair("True", "ScaledToZero"));
    assert_eq!(said(&status, READY).0, "True");
    assert_eq!(status.url, None);
    assert_eq!(report_at(NOW, &world(0, None), &scaled(0, Some(&says(1, 1)))).phase, Some(Phase::Progressing));
}

#[test]
fn a_missing_secret_is_named_and_pending_until_there_are_pods() {
    let mut world = world(1, None);
    world.secret = SecretState::Missing("tokens".to_owned());
    let status = report_at(NOW, &world, &applied(None));
    assert_eq!(status.phase, Some(Phase::Pending));
    assert_eq!(said(&status, SECRET_RESOLVED), pair("False", "SecretNotFound"));
    assert_eq!(said(&status, READY), pair("False", "SecretNotFound"));
    assert!(status.condition(SECRET_RESOLVED).unwrap().message.contains("tokens"));
    let running = report_at(NOW, &world, &applied(Some(&says(1, 1))));
    assert_eq!(running.phase, Some(Phase::Degraded));
}

#[test]
fn a_rollout_past_its_deadline_is_failed_where_nothing_serves_and_degraded_where_something_does() {
    let mut stuck = says(1, 0);
    stuck["conditions"][1] =
        json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too slow"});
    let status = report_at(NOW, &world(1, None), &applied(Some(&stuck)));
    assert_eq!(
        (status.phase, said(&status, PROGRESSING)),
        (Some(Phase::Failed), pair("False", "ProgressDeadlineExceeded"))
    );
    stuck["availableReplicas"] = json!(1);
    assert_eq!(report_at(NOW, &world(1, None), &applied(Some(&stuck))).phase, Some(Phase::Degraded));
}

#[test]
fn a_conflict_says_nothing_of_the_strangers_pods() {
    let mut world = world(1, None);
    world.deployment = Some(Arc::new(deployment(&json!([]), &says(7, 7))));
    let why = HandsOff::NameConflict("Deployment web exists".to_owned());
    let status = report(&world, &Outcome::HandsOff(&why), None, NOW.parse().unwrap());
    assert_eq!((status.replicas, status.phase), (0, Some(Phase::Failed)));
    assert_eq!(said(&status, ACCEPTED), pair("False", "NameConflict"));
    assert_eq!(said(&status, READY), pair("False", "NameConflict"));
}

/// A refused spec beside a Deployment with one pod of the spec before, or none yet.
fn refused_beside(pods: i32) -> Applied {
    let mut status = says(pods, pods);
    if pods == 0 {
        status["conditions"][1]["reason"] = json!("ReplicaSetUpdated");
    }
    Applied { deployment: scaled(1, Some(&status)).deployment, ..refused("no") }
}

fn refused(message: &str) -> Applied {
    let (hash, until) = ("of the desired state".to_owned(), tokio::time::Instant::now());
    let kind = ChildKind::Deployment;
    Applied { refused: Some(Refused { kind, hash, of: None, message: message.to_owned(), until }), ..applied(None) }
}

#[test]
fn a_refusal_of_any_length_fits_into_the_status() {
    let status = report_at(NOW, &world(1, None), &refused(&"ä".repeat(100_000)));
    assert!(status.conditions.iter().all(|condition| condition.message.chars().count() <= 32_768));
}

#[test]
fn a_refusal_is_quoted() {
    let status = report_at(NOW, &world(1, None), &refused("spec.x: Invalid value"));
    assert_eq!((said(&status, ACCEPTED), status.phase), (pair("False", "InvalidSpec"), Some(Phase::Failed)));
    assert_eq!(status.condition(ACCEPTED).unwrap().message, "spec.x: Invalid value");
}

/// A policy against budgets is no reason to say that the pods run an old spec.
#[test]
fn a_refused_extra_is_quoted_and_degrades_a_server_that_runs() {
    let mut beside = scaled(1, Some(&says(1, 1)));
    let refused =
        refused("no budgets here").refused.map(|refused| Refused { kind: ChildKind::DisruptionBudget, ..refused });
    beside.refused = refused;
    let status = report_at(NOW, &world(1, None), &beside);
    assert_eq!((said(&status, ACCEPTED), status.phase), (pair("False", "InvalidSpec"), Some(Phase::Degraded)));
    assert_eq!(status.condition(ACCEPTED).unwrap().message, "no budgets here; all else goes on");
    assert_eq!(said(&status, READY), pair("False", "InvalidSpec"));
    assert_eq!(status.condition(PROGRESSING).unwrap().message, "all pods run the current spec");
}

#[test]
fn a_suspended_server_says_so_and_how_it_is() {
    let world = standing(world(1, None));
    let say = |followed| suspended(&world, followed, None);
    let status = say(true);
    assert_eq!((status.phase, said(&status, READY).0.as_str()), (Some(Phase::Suspended), "True"));
    // Found with a port that was changed during the suspension: url and Ready described what had not been applied.
    let status = say(false);
    assert_eq!(said(&status, READY), pair("Unknown", "Unknown"));
    assert_eq!(said(&status, AVAILABLE).0, "True", "the pods serve");
    assert_eq!(
        status.url.as_deref(),
        Some("http://web.prod.svc:9000/mcp"),
        "as the Service is, not as the spec wants it"
    );
}

fn suspended(world: &Observed, followed: bool, conflict: Option<&str>) -> MCPServerStatus {
    report(world, &Outcome::Suspended { followed, conflict }, None, NOW.parse().unwrap())
}

/// Found by a review: the conflict was told only after the suspension.
#[test]
fn a_conflict_is_told_of_a_suspended_server_too() {
    let status = suspended(&world(1, None), false, Some("Deployment web exists"));
    assert_eq!((said(&status, ACCEPTED), status.phase), (pair("False", "NameConflict"), Some(Phase::Suspended)));
    let message = &status.condition(ACCEPTED).unwrap().message;
    assert!(message.starts_with("Deployment web exists") && message.contains("spec.suspend"), "{message}");
}

/// Found by a review: `Progressing` said `RollingOut`, for ever, where nothing rolled.
#[test]
fn nothing_rolls_out_while_the_spec_is_held_up() {
    let hands_off = |why| report(&standing(world(1, None)), &Outcome::HandsOff(&why), None, NOW.parse().unwrap());
    for status in [
        hands_off(HandsOff::NameConflict("Service web exists".to_owned())),
        hands_off(HandsOff::Undecodable("no".to_owned())),
        suspended(&standing(world(1, None)), false, None),
        report_at(NOW, &world(1, None), &refused_beside(1)),
    ] {
        assert_eq!(said(&status, PROGRESSING), pair("True", "Complete"), "{status:?}");
        let message = &status.condition(PROGRESSING).unwrap().message;
        assert!(message.ends_with("the current spec has not been applied"), "{message}");
    }
    let status = report_at(NOW, &world(1, None), &refused_beside(0));
    assert_eq!(said(&status, PROGRESSING).1, "RollingOut", "the spec before this one does");
}

/// "Complete" was said of the spec before this one. Once this one is applied, its pods have yet to come.
#[test]
fn a_rollout_that_was_complete_for_a_spec_that_was_held_up_is_not_complete_for_the_next() {
    let refused = report_at(NOW, &world(3, None), &refused_beside(1));
    assert_eq!(said(&refused, PROGRESSING).1, "Complete");
    let scaled = report_at(LATER, &world(3, Some(&refused)), &scaled(3, Some(&says(1, 1))));
    assert_eq!((said(&scaled, PROGRESSING), scaled.phase), (pair("True", "RollingOut"), Some(Phase::Progressing)));
}

#[test]
fn a_stranger_in_the_place_of_an_extra_is_told_and_degrades_a_server_that_runs() {
    let conflict = Some("PodDisruptionBudget web exists".to_owned());
    let obstacles = Obstacles { conflict, ..Obstacles::default() };
    let status = report_at(NOW, &world(1, None), &Applied { obstacles, ..applied(Some(&says(1, 1))) });
    assert_eq!(
        (said(&status, ACCEPTED), said(&status, READY)),
        (pair("False", "NameConflict"), pair("False", "NameConflict"))
    );
    assert_eq!((said(&status, AVAILABLE).0.as_str(), status.phase), ("True", Some(Phase::Degraded)));
    assert_eq!(said(&status, PROGRESSING), pair("True", "Complete"));
    assert!(status.url.is_some(), "it serves");
}

/// Found by a review: "the server has no Deployment", for as long as a finalizer kept the earlier one, and not why.
#[test]
fn what_is_waited_for_is_named() {
    let waits = |kind, what: &str, applied: Applied| {
        let obstacles = Obstacles { departing: [(kind, what.to_owned())].into(), ..Obstacles::default() };
        report_at(NOW, &world(1, None), &Applied { obstacles, ..applied })
    };
    let earlier = "Deployment web of an earlier MCPServer is being deleted";
    let status = waits(ChildKind::Deployment, earlier, applied(None));
    assert_eq!(said(&status, READY), pair("False", "DeploymentMissing"));
    assert!(status.condition(AVAILABLE).unwrap().message.ends_with(earlier), "{status:?}");
    let going = "Service web is being deleted";
    let status = waits(ChildKind::Service, going, applied(Some(&says(1, 1))));
    assert_eq!(
        (said(&status, READY), said(&status, PROGRESSING).1.as_str()),
        (pair("Unknown", "Unknown"), "RollingOut")
    );
    assert!(status.condition(READY).unwrap().message.ends_with(going), "{status:?}");
}

/// Found by a review: the old pods serve, so the server is Ready; that the new ones can't start was in another condition.
#[test]
fn a_server_that_is_ready_says_what_it_is_still_rolling_out() {
    let mut stuck = says(2, 1);
    stuck["updatedReplicas"] = json!(1);
    let status = report_at(NOW, &world(1, None), &applied(Some(&stuck)));
    let message = &status.condition(READY).unwrap().message;
    assert_eq!(said(&status, READY).0, "True");
    assert_eq!(*message, "1 of 1 pods are available; 1 of 1 pods run the current spec");
    let complete = report_at(NOW, &world(1, None), &applied(Some(&says(1, 1))));
    assert_eq!(complete.condition(READY).unwrap().message, "1 of 1 pods are available");
}

/// With an available pod, and a Service with another port than the spec's.
fn standing(world: Observed) -> Observed {
    let (deployment, service) = (Some(Arc::new(deployed(&says(1, 1)))), Some(Arc::new(service(9000))));
    Observed { deployment, service, ..world }
}

/// Found with a spec that no schema had checked: the status said that no pods were wanted, though pods were available.
#[test]
fn pods_that_serve_are_told_of_though_the_spec_can_not_be_read() {
    let mut world = standing(world(1, None));
    world.server = Arc::new(server(&json!({"image": 7}), None));
    let why = HandsOff::Undecodable("no".to_owned());
    let status = report(&world, &Outcome::HandsOff(&why), None, NOW.parse().unwrap());
    assert_eq!((said(&status, READY), status.phase), (pair("False", "UndecodableObject"), Some(Phase::Failed)));
    assert_eq!(said(&status, AVAILABLE), pair("True", "MinimumReplicasAvailable"));
}

/// Found with a quota: the Deployment was deleted and could not be created again, and the status said Running for ever.
#[test]
fn a_write_that_fails_is_quoted_and_nothing_is_ready_meanwhile() {
    let failed = |applied| Applied { failed: Some("exceeded quota: q".to_owned()), ..applied };
    let missing = report_at(NOW, &world(1, None), &failed(applied(None)));
    assert_eq!(said(&missing, READY), pair("False", "DeploymentMissing"));
    assert!(missing.condition(READY).unwrap().message.contains("exceeded quota: q"), "{missing:?}");
    let outdated = report_at(NOW, &world(1, None), &failed(applied(Some(&says(1, 1)))));
    assert_eq!(said(&outdated, AVAILABLE).0, "True", "the pods serve what they served before");
    assert_eq!(said(&outdated, READY), pair("Unknown", "Unknown"));
    assert!(outdated.condition(READY).unwrap().message.contains("exceeded quota: q"), "{outdated:?}");
}

#[test]
fn without_its_service_a_server_has_no_url_and_is_not_ready() {
    let status = report_at(NOW, &world(1, None), &Applied { service: None, ..applied(Some(&says(1, 1))) });
    assert_eq!((status.url.clone(), said(&status, READY).0.as_str()), (None, "Unknown"));
}

/// Found with `replicas: 0` and then 1: the status said that enough pods were available before, though there were none.
#[test]
fn a_server_that_was_scaled_to_zero_served_nobody_before() {
    let zero = report_at(NOW, &world(0, None), &scaled(0, Some(&says(0, 0))));
    let mut past = says(0, 0);
    past["observedGeneration"] = json!(0);
    let status = report_at(NOW, &world(1, Some(&zero)), &scaled(1, Some(&past)));
    assert_eq!((said(&status, AVAILABLE).0.as_str(), status.url), ("False", None));
}

#[test]
fn trouble_with_a_rollout_is_quoted_and_stuck_only_past_the_deadline() {
    let mut trouble = says(1, 0);
    trouble["conditions"][1] =
        json!({"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": "no"});
    let status = report_at(NOW, &world(1, None), &applied(Some(&trouble)));
    assert_eq!(said(&status, PROGRESSING), pair("True", "RollingOut"));
    assert_eq!(status.condition(PROGRESSING).unwrap().message, "no");
}

#[test]
fn a_secret_that_can_not_be_read_leaves_readiness_unknown() {
    let mut world = world(1, None);
    world.secret = SecretState::Unreadable("tokens".to_owned(), "why".to_owned());
    let status = report_at(NOW, &world, &applied(Some(&says(1, 1))));
    assert_eq!(said(&status, SECRET_RESOLVED), pair("Unknown", "SecretUnreadable"));
    assert_eq!(said(&status, READY), pair("Unknown", "Unknown"));
}

#[test]
fn a_server_that_is_being_deleted_says_what_is_still_there() {
    let world = Observed { children: 2, ..world(1, None) };
    let status = report(&world, &Outcome::HandsOff(&HandsOff::Terminating), None, NOW.parse().unwrap());
    assert_eq!(status.phase, Some(Phase::Terminating));
    assert!(status.condition(ACCEPTED).unwrap().message.contains("2 of its objects"), "{status:?}");
}

#[test]
fn times_move_only_when_a_condition_flips() {
    let first = report_at(NOW, &world(1, None), &applied(Some(&says(1, 1))));
    let second = report_at(LATER, &world(1, Some(&first)), &applied(Some(&says(1, 1))));
    assert_eq!(first, second);
    let lost = report_at(LATER, &world(1, Some(&first)), &applied(Some(&says(1, 0))));
    let since = |condition| lost.condition(condition).unwrap().last_transition_time.to_string();
    assert_eq!((since(AVAILABLE).as_str(), since(ACCEPTED).as_str()), (LATER, NOW));
}

#[test]
fn conditions_of_others_make_no_difference() {
    let ours = report_at(NOW, &world(1, None), &applied(Some(&says(1, 1))));
    let mut shared = ours.clone();
    shared.conditions.reverse();
    let foreign = Condition { condition_type: "example.com/Audited".to_owned(), ..ours.conditions[0].clone() };
    shared.conditions.push(foreign);
    assert!(says_the_same(&shared, &ours));
    shared.conditions.remove(0);
    assert!(!says_the_same(&shared, &ours));
}

#[test]
fn what_is_on_its_way_is_written_patiently_and_all_else_at_once() {
    let pending = report_at(NOW, &world(1, None), &applied(Some(&json!({}))));
    let running = report_at(NOW, &world(1, None), &applied(Some(&says(1, 1))));
    assert_eq!(urgency(Some(&running), &running, true), Urgency::None);
    assert_eq!(urgency(None, &running, true), Urgency::Now);
    let (long, short) = (urgency(None, &pending, false), urgency(None, &pending, true));
    let (Urgency::Patient(long), Urgency::Patient(short)) = (long, short) else { panic!("{long:?} {short:?}") };
    assert!(short < long);
    let progressing = report_at(NOW, &world(1, None), &applied(Some(&says(1, 0))));
    let Urgency::Patient(known) = urgency(Some(&pending), &progressing, true) else { panic!("at once") };
    assert!(short < known, "that pods are coming was said already");
    let mut lost_secret = world(1, None);
    lost_secret.secret = SecretState::Missing("s".to_owned());
    let without_secret = report_at(NOW, &lost_secret, &applied(None));
    assert_eq!(urgency(None, &without_secret, false), Urgency::Now);
    assert_eq!(urgency(Some(&without_secret), &pending, true), Urgency::Patient(short), "the Secret came");
}
