use std::convert::Infallible;
use std::sync::Mutex;

use kube_client::client::Body;
use serde_json::json;

use super::super::build::build;
use super::super::observe::SecretState;
use super::super::ours::OwnFields;
use super::super::testing::{UID, as_wanted, deployment, observed, owner, wanted};
use super::*;

fn children(observed: &Observed) -> Children {
    build(&observed.server, &wanted(observed)).unwrap()
}

#[test]
fn what_is_not_there_is_made_and_only_where_nothing_is() {
    let world = observed(&json!({"image": "x"}));
    let write = plan(&Slot::Empty, &children(&world)[&ChildKind::Deployment]).unwrap();
    assert_eq!(write, Write { why: Why::Created, precondition: Precondition::Absent });
    let request = request(
        ChildKind::Deployment,
        &world.server.meta.key,
        &write,
        &children(&world)[&ChildKind::Deployment].object,
    );
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["metadata"]["resourceVersion"], NEVER);
    assert_eq!((body["apiVersion"].as_str(), body["kind"].as_str()), (Some("apps/v1"), Some("Deployment")));
}

#[test]
fn what_is_as_it_is_wanted_is_not_written() {
    let world = observed(&json!({"image": "x", "service": {"annotations": {"a": "b"}}}));
    let children = children(&world);
    let (deployment, service) = as_wanted(&children);
    assert_eq!(plan(&Slot::Taken(&deployment.child), &children[&ChildKind::Deployment]), None);
    assert_eq!(plan(&Slot::Taken(&service.child), &children[&ChildKind::Service]), None);
}

#[test]
fn a_changed_wish_is_an_update_of_the_very_object_that_was_seen() {
    let (before, after) = (children(&observed(&json!({"image": "x"}))), children(&observed(&json!({"image": "y"}))));
    let (deployment, _) = as_wanted(&before);
    let write = plan(&Slot::Taken(&deployment.child), &after[&ChildKind::Deployment]).unwrap();
    assert_eq!(write, Write { why: Why::Updated, precondition: Precondition::Is("deployment-uid".into()) });
}

#[test]
fn a_changed_object_under_the_same_wish_is_drift() {
    let children = children(&observed(&json!({"image": "x"})));
    let (mut deployment, _) = as_wanted(&children);
    deployment.child.fields = OwnFields::among(&[]).unwrap();
    assert_eq!(
        plan(&Slot::Taken(&deployment.child), &children[&ChildKind::Deployment]).unwrap().why,
        Why::DriftCorrected
    );
}

#[test]
fn an_orphan_is_written_even_if_it_is_as_wanted() {
    let children = children(&observed(&json!({"image": "x"})));
    let (deployment, _) = as_wanted(&children);
    assert_eq!(plan(&Slot::Adopted(&deployment.child), &children[&ChildKind::Deployment]).unwrap().why, Why::Adopted);
}

#[test]
fn what_must_wait_is_not_written() {
    let children = children(&observed(&json!({"image": "x"})));
    for slot in [Slot::Waiting, Slot::Departing, Slot::Foreign] {
        assert_eq!(plan(&slot, &children[&ChildKind::Deployment]), None, "{slot:?}");
    }
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

/// A client of an API server that gives each path this answer, and the paths that it was asked for.
fn answered(answer: impl Fn(&str) -> (u16, Value) + Clone + Send + 'static) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    let transport = tower::service_fn(move |request: http::Request<Body>| {
        let path = request.uri().path().to_owned();
        let (code, body) = answer(&path);
        log.lock().unwrap().push(path);
        let body = Body::from(body.to_string().into_bytes());
        let answer = http::Response::builder().status(code).body(body).unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    (Client::new(kube_client::Client::new(transport, "default")), asked)
}

async fn applied(client: &Client, memory: &Memory, world: &Observed) -> (Applied, Result<(), Error>) {
    apply(client, memory, world, &wanted(world), &children(world)).await
}

/// Found with an orphan that had another selector: its update was refused, its owner deleted it, and then the
/// Deployment was never created, because a refusal counted for the desired state without regard to the object.
#[tokio::test(start_paused = true)]
async fn a_refused_state_is_sent_again_for_another_object_and_after_a_while_and_not_before() {
    let (client, asked) = answered(|_| (422, json!({"kind": "Status", "code": 422, "message": "no"})));
    let (memory, mut world) = (Memory::default(), observed(&json!({"image": "x"})));
    world.deployment = Some(Arc::new(deployment(&json!([]), &json!({}))));
    for _ in 0..3 {
        let (applied, written) = applied(&client, &memory, &world).await;
        assert_eq!((applied.refused.unwrap().message.as_str(), written.is_ok()), ("no", true));
    }
    assert_eq!(asked.lock().unwrap().len(), 1, "nothing has changed");
    world.deployment = None;
    for _ in 0..3 {
        assert!(applied(&client, &memory, &world).await.0.refused.is_some());
    }
    assert_eq!(asked.lock().unwrap().len(), 2, "the place is empty now");
    tokio::time::advance(REFUSED_FOR).await;
    assert!(applied(&client, &memory, &world).await.0.refused.is_some());
    assert_eq!(asked.lock().unwrap().len(), 3, "a policy may have changed, and no event tells of that");
}

/// Found by reading: a policy against budgets kept the autoscaler from being made, which comes after them. And with two that
/// are refused, each made the memory forget the other, and both were sent again and again.
#[tokio::test(start_paused = true)]
async fn what_is_refused_of_the_extras_is_in_the_way_of_nothing_else_and_not_sent_again() {
    let (client, asked) = answered(|path| {
        if path.contains("poddisruptionbudgets") || path.contains("networkpolicies") {
            return (422, json!({"kind": "Status", "code": 422, "message": "no"}));
        }
        let metadata = json!({"namespace": "prod", "name": "web", "uid": "d", "resourceVersion": "11"});
        (201, json!({"metadata": metadata, "spec": {}}))
    });
    let blocks =
        json!({"disruptionBudget": {"minAvailable": 1}, "networkPolicy": {}, "autoscaling": {"maxReplicas": 2}});
    let mut spec = json!({"image": "x"});
    spec.as_object_mut().unwrap().extend(blocks.as_object().unwrap().clone());
    let (memory, world) = (Memory::default(), observed(&spec));
    let (applied_once, written) = applied(&client, &memory, &world).await;
    assert!(written.is_ok() && !applied_once.is_refused());
    let done: Vec<ChildKind> = applied_once.done.iter().map(|done| done.kind).collect();
    assert_eq!(done, [ChildKind::Deployment, ChildKind::Service, ChildKind::Autoscaler]);
    assert_eq!(
        applied_once.refused.map(|refused| refused.kind),
        Some(ChildKind::DisruptionBudget),
        "the first is told"
    );
    asked.lock().unwrap().clear();
    let (again, _) = applied(&client, &memory, &world).await;
    assert!(again.refused.is_some());
    let asked = asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|path| path.contains("budgets") || path.contains("policies")), "{asked:?}");
}

/// Found by the simulation: while the watch of autoscalers hung, one that was gone was deleted, and told as deleted, at each
/// look.
#[tokio::test(start_paused = true)]
async fn what_is_to_go_is_deleted_once_and_told_if_it_was_there() {
    fn made() -> (u16, Value) {
        let metadata = json!({"namespace": "prod", "name": "web", "uid": "d", "resourceVersion": "11"});
        (201, json!({"metadata": metadata, "spec": {}}))
    }
    let is_there = |path: &str| if path.contains("autoscalers") { (200, json!({})) } else { made() };
    let is_gone = |path: &str| if path.contains("autoscalers") { (404, json!({"code": 404})) } else { made() };
    for ((client, asked), told) in [(answered(is_there), 1), (answered(is_gone), 0)] {
        let (memory, mut world) = (Memory::default(), observed(&json!({"image": "x"})));
        let autoscaler = deployment(&owner("MCPServer", "web", UID), &json!({})).child;
        world.extras.insert(ChildKind::Autoscaler, autoscaler);
        let mut removed = 0;
        for _ in 0..3 {
            let (applied, _) = applied(&client, &memory, &world).await;
            removed += applied.done.iter().filter(|done| done.why == Why::Removed).count();
        }
        let deletes = asked.lock().unwrap().iter().filter(|path| path.contains("autoscalers")).count();
        assert_eq!((deletes, removed), (1, told));
    }
}

/// Its Service would follow a spec whose pods there are not.
#[tokio::test]
async fn what_is_refused_of_the_deployment_leaves_all_else_as_it_was() {
    let (client, asked) = answered(|_| (422, json!({"kind": "Status", "code": 422, "message": "no"})));
    let (applied, _) =
        applied(&client, &Memory::default(), &observed(&json!({"image": "x", "networkPolicy": {}}))).await;
    assert!(applied.is_refused());
    assert_eq!(*asked.lock().unwrap(), ["/apis/apps/v1/namespaces/prod/deployments/web"]);
}

#[tokio::test]
async fn only_a_no_to_the_wish_itself_is_a_refusal_and_all_else_is_tried_again_soon() {
    for (code, message, refusal) in [
        (422, "Deployment.apps \"web\" is invalid", true),
        (400, "admission webhook \"validate.kyverno.svc\" denied the request: no", true),
        (403, "admission webhook \"validation.gatekeeper.sh\" denied the request: no", true),
        (422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", true),
        (
            403,
            "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            true,
        ),
        (409, "admission webhook \"validation.gatekeeper.sh\" denied the request: busy", true),
        (403, "deployments.apps \"web\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1", false),
        (403, "deployments.apps \"web\" is forbidden: User \"x\" cannot patch resource", false),
        (409, "Operation cannot be fulfilled", false),
        (500, "failed calling webhook", false),
        (
            500,
            "failed to create typed patch object (n/web; apps/v1, Kind=Deployment): .spec.x: field not declared in schema",
            true,
        ),
    ] {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        assert_eq!(is_refusal(&status), refusal, "{code} {message}");
    }
}

/// Found by reading: if the Deployment was replaced between two reads, that was taken for an invalid spec.
#[test]
fn a_uid_of_an_earlier_object_is_no_fault_of_the_wish() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kubernetes-1.36/deployments/apply-uid-mismatch.json");
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let status: Status = serde_json::from_value(recorded["response"]["body"].clone()).unwrap();
    assert_eq!(status.code, 422);
    assert!(!is_refusal(&status), "{status:?}");
}

#[test]
fn every_write_names_the_object_that_was_seen() {
    let (world, uid) = (observed(&json!({"image": "x"})), Uid::from("seen"));
    let key = &world.server.meta.key;
    let write = Write { why: Why::Updated, precondition: Precondition::Is(uid.clone()) };
    let object = &children(&world)[&ChildKind::Service].object;
    for request in
        [request(ChildKind::Service, key, &write, object), replace_ports(ChildKind::Service, key, &uid, object)]
    {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["metadata"]["uid"], "seen");
    }
}

/// Found by the simulation: a Secret was rotated and then deleted, the watch of Deployments hung, and a change of the image
/// brought the first digest back, and with it another restart of all pods.
#[tokio::test]
async fn what_a_deployment_had_does_not_overwrite_what_it_has_by_now() {
    const NOW: &str = "12";
    let transport = tower::service_fn(|request: http::Request<Body>| async move {
        let body = request.into_body().collect_bytes().await.unwrap();
        let apply: Value = serde_json::from_slice(&body).unwrap();
        let metadata = json!({"namespace": "prod", "name": "web", "uid": "deployment-uid", "resourceVersion": NOW});
        let seen = &apply["metadata"]["resourceVersion"];
        let (code, answer) = match seen.as_str() {
            Some(seen) if seen != NOW => (409, json!({"kind": "Status", "code": 409})),
            Some(_) | None => (200, json!({"metadata": metadata, "spec": {}})),
        };
        let answer = Body::from(answer.to_string().into_bytes());
        Ok::<_, Infallible>(http::Response::builder().status(code).body(answer).unwrap())
    });
    let client = Client::new(kube_client::Client::new(transport, "default"));
    let mut world = observed(&json!({"image": "x", "secretName": "s"}));
    world.secret = SecretState::Missing("s".to_owned());
    world.deployment = Some(Arc::new(deployment(&owner("MCPServer", "web", UID), &json!({}))));
    let (applied, written) = applied(&client, &Memory::default(), &world).await;
    assert!(written.is_err() && applied.done.is_empty(), "{:?}", applied.done);
}

#[tokio::test]
async fn a_failure_that_may_last_is_news_and_one_that_passes_is_not() {
    for (code, news) in [(403, true), (500, true), (404, true), (409, false), (429, false), (503, false)] {
        let answer: fn(&str) -> (u16, Value) = match code {
            403 => |_| (403, json!({"kind": "Status", "code": 403, "message": "exceeded quota"})),
            404 => |_| (404, json!({"kind": "Status", "code": 404, "message": "no such namespace"})),
            409 => |_| (409, json!({"kind": "Status", "code": 409})),
            429 => |_| (429, json!({"kind": "Status", "code": 429})),
            500 => |_| (500, json!({"kind": "Status", "code": 500})),
            _ => |_| (503, json!({"kind": "Status", "code": 503})),
        };
        let world = observed(&json!({"image": "x"}));
        let (applied, written) = applied(&answered(answer).0, &Memory::default(), &world).await;
        assert_eq!((applied.failed.is_some(), written.is_err()), (news, true), "{code}");
    }
}

/// The server is about to be deleted with its namespace; its status need not say what can't be created any more.
#[tokio::test]
async fn that_a_namespace_is_being_deleted_is_no_news() {
    let (client, _) = answered(|_| {
        let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace"});
        (403, json!({"kind": "Status", "code": 403, "details": {"causes": [cause]}}))
    });
    let (applied, written) = applied(&client, &Memory::default(), &observed(&json!({"image": "x"}))).await;
    assert_eq!((applied.failed, namespace_is_terminating(&written.unwrap_err())), (None, true));
}

/// Where the stores stay behind, the same is written again and changes nothing. The outdated child is not settled by that:
/// a stranger who brought just this state back would not be noticed.
#[tokio::test]
async fn a_child_that_is_written_again_to_no_effect_is_not_settled() {
    let (client, _) = answered(|path| {
        let metadata = json!({"namespace": "prod", "name": "web", "uid": "d", "resourceVersion": "11"});
        (200, json!({"metadata": metadata, "spec": {"for": path}}))
    });
    let mut world = observed(&json!({"image": "y"}));
    let (deployment, service) = as_wanted(&children(&observed(&json!({"image": "x"}))));
    (world.deployment, world.service) = (Some(Arc::new(deployment)), Some(Arc::new(service)));
    let memory = Memory::default();
    assert_eq!(applied(&client, &memory, &world).await.0.done.len(), 1);
    assert!(applied(&client, &memory, &world).await.0.done.is_empty(), "it changed nothing");
    assert!(!memory.is_settled(&world.server, &wanted(&world)));
}

#[tokio::test]
async fn a_write_that_was_done_is_told_though_the_next_one_failed() {
    let (client, _) = answered(|path| match path {
        "/apis/apps/v1/namespaces/prod/deployments/web" => {
            let metadata = json!({"namespace": "prod", "name": "web", "uid": "d", "resourceVersion": "11"});
            (201, json!({"metadata": metadata, "spec": {}}))
        }
        _ => (500, json!({"kind": "Status", "code": 500})),
    });
    let (applied, written) = applied(&client, &Memory::default(), &observed(&json!({"image": "x"}))).await;
    assert_eq!(applied.done, [Done { kind: ChildKind::Deployment, why: Why::Created }]);
    assert_eq!(written.unwrap_err().code(), 500);
}
