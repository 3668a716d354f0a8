use std::sync::Arc;

use serde_json::json;

use super::super::testing::{UID, deployment, observed, owner, secret, server, wanted};
use super::*;

fn hands_off(observed: &Observed) -> HandsOff {
    match validate(observed) {
        Verdict::HandsOff(why) => why,
        other @ (Verdict::Wanted(_) | Verdict::Suspended(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_is_being_deleted_gets_no_children_any_more() {
    let mut world = observed(&json!({"image": "x", "suspend": true}));
    Arc::make_mut(&mut world.server).meta.deleting = true;
    assert_eq!(hands_off(&world), HandsOff::Terminating);
}

#[test]
fn a_suspended_server_is_left_alone() {
    let mut world = observed(&json!({"image": "x", "suspend": true}));
    assert!(matches!(validate(&world), Verdict::Suspended(Ok(_))));
    world.unreadable = unreadable(ChildKind::Deployment);
    let Verdict::Suspended(Err(conflict)) = validate(&world) else { panic!("nobody can say what would be done") };
    assert_eq!(conflict, "it can't be read");
}

#[test]
fn a_spec_that_can_not_be_read_is_told_and_followed_by_nothing() {
    let HandsOff::Undecodable(error) = hands_off(&observed(&json!({"image": 7}))) else { panic!("not undecodable") };
    assert!(error.contains("invalid type: integer `7`, expected a string"), "{error}");
}

#[test]
fn a_child_of_another_controller_is_a_conflict_that_names_it() {
    let mut world = observed(&json!({"image": "x"}));
    world.deployment = Some(Arc::new(deployment(&owner("Gateway", "edge", "other"), &json!({}))));
    assert_eq!(hands_off(&world), HandsOff::NameConflict("Deployment web is controlled by Gateway edge".to_owned()));
}

#[test]
fn a_child_without_a_controller_and_without_our_labels_is_a_conflict() {
    let mut world = observed(&json!({"image": "x"}));
    let mut stranger = deployment(&json!([]), &json!({}));
    stranger.child.labelled = false;
    world.deployment = Some(Arc::new(stranger));
    assert!(matches!(hands_off(&world), HandsOff::NameConflict(_)));
}

/// It used to be taken for absent: each attempt to create it met a conflict, for ever, and nothing said why.
#[test]
fn a_child_that_can_not_be_read_is_a_conflict_and_not_absent() {
    let mut world = observed(&json!({"image": "x"}));
    world.unreadable = unreadable(ChildKind::Deployment);
    assert_eq!(hands_off(&world), HandsOff::NameConflict("it can't be read".to_owned()));
}

/// Found by a review: a PodDisruptionBudget of somebody else's kept a server from being created at all.
#[test]
fn a_stranger_in_the_place_of_an_extra_is_in_the_way_of_nothing_else() {
    let mut world = observed(&json!({"image": "x", "disruptionBudget": {"minAvailable": 1}, "networkPolicy": {}}));
    let mut stranger = deployment(&json!([]), &json!({})).child;
    stranger.labelled = false;
    world.extras = BTreeMap::from([(ChildKind::DisruptionBudget, stranger)]);
    let conflict = "PodDisruptionBudget web exists and was not created by this operator";
    assert_eq!(only_the_budget_is_left_out(&world), conflict);
    world.extras = BTreeMap::new();
    world.unreadable = unreadable(ChildKind::DisruptionBudget);
    assert_eq!(only_the_budget_is_left_out(&world), "it can't be read");
    let spec = json!({"image": "x"});
    let world = Observed { server: Arc::new(server(&spec, None)), ..world };
    assert_eq!(wanted(&world).obstacles, Obstacles::default(), "nobody calls for one");
}

fn only_the_budget_is_left_out(world: &Observed) -> String {
    let wanted = wanted(world);
    assert!(matches!(wanted.slots.get(ChildKind::DisruptionBudget), Slot::Foreign));
    for kind in [ChildKind::Deployment, ChildKind::Service, ChildKind::NetworkPolicy] {
        assert!(matches!(wanted.slots.get(kind), Slot::Empty), "{kind:?}");
    }
    wanted.obstacles.conflict.unwrap()
}

fn unreadable(kind: ChildKind) -> BTreeMap<ChildKind, String> {
    BTreeMap::from([(kind, "it can't be read".to_owned())])
}

#[test]
fn an_orphan_of_ours_is_adopted() {
    let mut world = observed(&json!({"image": "x"}));
    world.deployment = Some(Arc::new(deployment(&json!([]), &json!({}))));
    assert!(matches!(wanted(&world).slots.get(ChildKind::Deployment), Slot::Adopted(_)));
}

#[test]
fn the_children_of_an_earlier_server_of_this_name_are_waited_for() {
    let mut world = observed(&json!({"image": "x"}));
    world.deployment = Some(Arc::new(deployment(&owner("MCPServer", "web", "an earlier uid"), &json!({}))));
    let departing = |world: &Observed| {
        let Wanted { slots, obstacles, .. } = wanted(world);
        assert!(matches!(slots.get(ChildKind::Deployment), Slot::Departing));
        obstacles.departing[&ChildKind::Deployment].clone()
    };
    assert_eq!(departing(&world), "Deployment web of an earlier MCPServer is being deleted");
    let mut dying = deployment(&owner("MCPServer", "web", UID), &json!({}));
    dying.child.meta.deleting = true;
    world.deployment = Some(Arc::new(dying));
    assert_eq!(departing(&world), "Deployment web is being deleted");
}

#[test]
fn without_its_secret_a_deployment_is_not_made_but_the_service_is() {
    let mut world = observed(&json!({"image": "x", "secretName": "s"}));
    world.secret = SecretState::Missing("s".to_owned());
    let wanted = wanted(&world);
    assert!(matches!(wanted.slots.get(ChildKind::Deployment), Slot::Waiting));
    assert!(matches!(wanted.slots.get(ChildKind::Service), Slot::Empty));
}

#[test]
fn a_deployment_that_exists_keeps_its_hash_while_the_secret_is_away() {
    let mut world = observed(&json!({"image": "x", "secretName": "s"}));
    world.deployment = Some(Arc::new(deployment(&owner("MCPServer", "web", UID), &json!({}))));
    world.secret = SecretState::Missing("s".to_owned());
    let away = wanted(&world);
    assert!(matches!(away.slots.get(ChildKind::Deployment), Slot::Taken(_)));
    let old = InjectedSecret { name: "s".to_owned(), hash: Some("old".to_owned()) };
    assert_eq!(away.secret, Some(old.clone()));
    world.server = Arc::new(server(&json!({"image": "x", "secretName": "another"}), None));
    world.secret = SecretState::Missing("another".to_owned());
    assert_eq!(wanted(&world).secret, Some(old), "pods of a Secret that is not there could not start");
}

#[test]
fn the_secrets_hash_is_wanted_once_it_is_there() {
    let mut world = observed(&json!({"image": "x", "secretName": "s"}));
    world.secret = secret("eA==");
    let one = wanted(&world).secret.clone();
    world.secret = secret("eQ==");
    assert!(one.is_some() && one != wanted(&world).secret);
    world.server = Arc::new(server(&json!({"image": "x"}), None));
    world.secret = SecretState::NotRequired;
    assert_eq!(wanted(&world).secret, None);
}
