use serde_json::json;

use super::super::build::build;
use super::super::testing::{UID, as_wanted, deployment, observed, owner, wanted};
use super::*;

fn children(observed: &Observed) -> Children {
    build(&observed.server, &wanted(observed)).unwrap()
}

#[test]
fn what_is_not_there_is_made_and_only_where_nothing_is() {
    let world = observed(&json!({"image": "x"}));
    let write = plan(&Slot::Empty, &children(&world).deployment).unwrap();
    assert_eq!(write, Write { why: Why::Created, precondition: Precondition::Absent });
    let request = request::<Deployment>(&world.server.meta.key, &write, &children(&world).deployment.object);
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["metadata"]["resourceVersion"], NEVER);
    assert_eq!((body["apiVersion"].as_str(), body["kind"].as_str()), (Some("apps/v1"), Some("Deployment")));
}

#[test]
fn what_is_as_it_is_wanted_is_not_written() {
    let world = observed(&json!({"image": "x", "service": {"annotations": {"a": "b"}}}));
    let children = children(&world);
    let (deployment, service) = as_wanted(&children);
    assert_eq!(plan(&Slot::Taken(&deployment.child), &children.deployment), None);
    assert_eq!(plan(&Slot::Taken(&service.child), &children.service), None);
}

#[test]
fn a_changed_wish_is_an_update_of_the_very_object_that_was_seen() {
    let (before, after) = (children(&observed(&json!({"image": "x"}))), children(&observed(&json!({"image": "y"}))));
    let (deployment, _) = as_wanted(&before);
    let write = plan(&Slot::Taken(&deployment.child), &after.deployment).unwrap();
    assert_eq!(write, Write { why: Why::Updated, precondition: Precondition::Is("deployment-uid".into()) });
}

#[test]
fn a_changed_object_under_the_same_wish_is_drift() {
    let children = children(&observed(&json!({"image": "x"})));
    let (mut deployment, _) = as_wanted(&children);
    deployment.child.ours = children.service.ours;
    assert_eq!(plan(&Slot::Taken(&deployment.child), &children.deployment).unwrap().why, Why::DriftCorrected);
}

#[test]
fn an_orphan_is_written_even_if_it_is_as_wanted() {
    let children = children(&observed(&json!({"image": "x"})));
    let (deployment, _) = as_wanted(&children);
    assert_eq!(plan(&Slot::Adopted(&deployment.child), &children.deployment).unwrap().why, Why::Adopted);
}

#[test]
fn what_must_wait_is_not_written() {
    let children = children(&observed(&json!({"image": "x"})));
    assert_eq!(plan(&Slot::Waiting, &children.deployment), None);
}

#[test]
fn a_rotated_secret_is_told_from_a_changed_spec() {
    let mut world = observed(&json!({"image": "x", "secretName": "s"}));
    world.deployment = Some(Arc::new(deployment(&owner("MCPServer", "web", UID), &json!({}))));
    world.secret = super::super::testing::secret("eA==");
    assert!(!only_secret_changed(&world, &wanted(&world)), "this generation was never reported on");
    let status = crate::api::MCPServerStatus { observed_generation: 3, ..Default::default() };
    Arc::make_mut(&mut world.server).status = Some(status);
    assert!(only_secret_changed(&world, &wanted(&world)));
}
