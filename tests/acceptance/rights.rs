//! The roles of `config/rbac`: enough for everything that the operator does, and no more than that.
//!
//! Here the operator is its ServiceAccount, on an API server that decides by roles. It lives through whatever it may meet;
//! then the log of the API server is held against the rules. A request that was refused is a rule that is missing, and a
//! rule that no request has used is one that nobody needs to grant.

use std::collections::BTreeSet;

use playground::cluster::RequestRecord;
use serde_json::{Value, json};
use smooth_operator::cli::doctor::permissions::{Duties, Need, needed};
use smooth_operator::client::request::Target;
use smooth_operator::object::ObjectKey;
use smooth_operator::tls::Place;

use crate::harness::objects::{
    AUTOSCALERS, BUDGETS, DEPLOYMENTS, POLICIES, SECRETS, SERVERS, SERVICES, container, rolled_out, says, secret,
};
use crate::harness::process::{LEASE, QUICK_ELECTION};
use crate::harness::rights::{manifests, objects_of};
use crate::harness::{World, eventually};
use crate::policies::every_block;

/// Granted, and never asked for by a request: the admission plugin OwnerReferencesPermissionEnforcement asks for it when a
/// child with `blockOwnerDeletion` is made. That it is needed there,
/// [`where_owner_references_are_enforced_the_rule_for_finalizers_is_needed`] shows.
const ASKED_BY_ADMISSION: &str = "update mcpservers/finalizers.mcp.mcp.dev";

#[tokio::test]
async fn the_roles_are_enough_for_all_that_happens_and_nothing_in_them_is_unused() {
    let Some(world) = World::with_roles(|_| {}).await else { return };
    let operator = world.process_with_roles(&QUICK_ELECTION);
    operator.says(": leading ").await;
    live(&world).await;
    operator.signal("TERM").await;
    let ended = operator.ends().await;
    assert!(ended.status.success(), "{ended:?}");

    // The next one finds a Lease that was given back, and an API server that can't stream lists.
    world.levers().stream_lists(false);
    let operator = world.process_with_roles(&QUICK_ELECTION);
    operator.says(": leading ").await;
    world.create_server("late", json!({"replicas": 0})).await;
    world.until_ready("late").await;
    operator.signal("TERM").await;
    assert!(operator.ends().await.status.success());

    let asked = world.asked_by_the_operator();
    let refused: Vec<&RequestRecord> = asked.iter().filter(|request| matches!(request.status, 401 | 403)).collect();
    assert!(refused.is_empty(), "these requests were refused: {refused:#?}");
    let unused: Vec<String> =
        granted(&manifests()).into_iter().filter(|right| !used(right, &asked)).map(Right::name).collect();
    assert_eq!(unused, [ASKED_BY_ADMISSION], "these rights were granted and never used");
}

/// Waiting for a Secret, rotation, scaling, drift again and again, deletion.
async fn live(world: &World) {
    world.create_server("x", json!({"secretName": "token"})).await;
    world.until("the Secret is missed", SERVERS, "x", |it| says(it, "SecretResolved") == "False SecretNotFound").await;
    world.create(SECRETS, &secret("token", "1")).await;
    world.until_ready("x").await;

    let digest = |deployment: &Value| deployment["spec"]["template"]["metadata"]["annotations"].to_string();
    let before = digest(&world.get(DEPLOYMENTS, "x").await);
    world.merge(SECRETS, "token", &json!({"stringData": {"TOKEN": "2"}})).await;
    world.until("the pods roll", DEPLOYMENTS, "x", |it| digest(it) != before && rolled_out(it)).await;

    world.merge(SERVERS, "x/scale", &json!({"spec": {"replicas": 2}})).await;
    world.until("two pods run", DEPLOYMENTS, "x", |it| it["spec"]["replicas"] == 2 && rolled_out(it)).await;

    // The same again and again is one Event, which is patched into a series.
    let counted = |event: &Value| event["reason"] == "DriftCorrected" && event["series"]["count"].as_u64() >= Some(2);
    eventually("drift is told as a series", async || {
        let spec =
            json!({"template": {"spec": {"containers": [{"name": "mcp-server", "image": "example.com/other:1"}]}}});
        world.edit(DEPLOYMENTS, "x", &json!({"spec": spec})).await;
        let back = |it: &Value| container(it)["image"] != "example.com/other:1";
        world.until("the image is put back", DEPLOYMENTS, "x", back).await;
        let events = world.list(crate::harness::objects::EVENTS).await;
        if events.iter().any(counted) { Ok(()) } else { Err(format!("{} events", events.len())) }
    })
    .await;
    world.merge(SERVERS, "x", &json!({"spec": every_block()})).await;
    for kind in [BUDGETS, POLICIES, AUTOSCALERS] {
        world.until("each block is an object", kind, "x", |_| true).await;
    }
    let none = json!({"disruptionBudget": null, "networkPolicy": null, "autoscaling": null});
    world.merge(SERVERS, "x", &json!({"spec": none})).await;
    for kind in [BUDGETS, POLICIES, AUTOSCALERS] {
        world.until_gone(kind, "x").await;
    }
    world.delete(SERVICES, "x").await;
    world.until("the Service is made again", SERVICES, "x", |_| true).await;
    world.until_ready("x").await;

    world.delete(SERVERS, "x").await;
    for kind in [DEPLOYMENTS, SERVICES] {
        eventually("its children go with it", async || match world.find(kind, "x").await {
            None => Ok(()),
            Some(_) => Err("one is still there".to_owned()),
        })
        .await;
    }
}

#[tokio::test]
async fn where_owner_references_are_enforced_the_rule_for_finalizers_is_needed() {
    let of_finalizers = |rule: &Value| rule["resources"] == json!(["mcpservers/finalizers"]);
    let without = |object: &mut Value| {
        // Not `object["rules"]`, which would give rules to what has none, a null that an API server refuses.
        if let Some(rules) = object.get_mut("rules").and_then(Value::as_array_mut) {
            rules.retain(|rule| !of_finalizers(rule));
        }
    };
    let Some(world) = World::with_roles(without).await else { return };
    let operator = world.process_with_roles(&[]);
    world.create_server("x", json!({"replicas": 0})).await;
    let refused = |it: &RequestRecord| it.resource == "deployments.apps" && it.status == 403;
    eventually("the Deployment is refused", async || {
        if world.asked_by_the_operator().iter().any(refused) { Ok(()) } else { Err("it is not".to_owned()) }
    })
    .await;
    assert!(world.find(DEPLOYMENTS, "x").await.is_none());
    for object in manifests() {
        world.apply_manifest(&object).await;
    }
    world.until_ready("x").await;
    operator.signal("TERM").await;
    assert!(operator.ends().await.status.success());
}

/// Whoever may change Deployments in a namespace may have servers there; whoever may look, may look at them, too.
#[tokio::test]
async fn people_may_have_servers_where_they_may_have_deployments() {
    let Some(world) = World::with_roles(|_| {}).await else { return };
    for role in ["edit", "view"] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": world.namespace},
            "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [{"kind": "User", "name": role, "apiGroup": "rbac.authorization.k8s.io"}],
        });
        world.apply_manifest(&binding).await;
    }
    for (user, verb, subresource, expected) in [
        ("edit", "create", "", true),
        ("edit", "deletecollection", "", true),
        ("edit", "patch", "scale", true),
        ("edit", "get", "status", true),
        ("edit", "patch", "status", false),
        ("view", "watch", "", true),
        ("view", "get", "scale", true),
        ("view", "create", "", false),
        ("view", "patch", "scale", false),
    ] {
        let about = json!({
            "namespace": world.namespace, "group": "mcp.mcp.dev", "resource": "mcpservers", "verb": verb,
            "subresource": subresource,
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": about},
        });
        let answer = world.client.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await.unwrap();
        assert_eq!(answer["status"]["allowed"], expected, "{user} may {verb} mcpservers/{subresource}");
    }
}

/// What the doctor asks for has been granted by the files, and what these grant, the doctor asks for.
#[test]
fn the_doctor_asks_for_what_the_roles_grant() {
    let home = |name: &str| ObjectKey::new("smooth-operator-system", name);
    let plain = Duties { lease: Some(home(LEASE)), ..Duties::default() };
    assert_eq!(asked_for(&plain), granted(&manifests()));
    let webhook = Some(Place::of(home("smooth-operator-webhook")));
    let full = Duties { webhook, metrics_secure: true, ..plain };
    let files = [manifests(), objects_of("webhook"), objects_of("metrics-secure")].concat();
    assert_eq!(asked_for(&full), granted(&files));
}

fn asked_for(duties: &Duties) -> BTreeSet<Right> {
    let mut asked = BTreeSet::new();
    for Need { resource, subresource, verbs, target } in needed(duties) {
        for verb in verbs {
            let name = match &target {
                Target::Object(key) => key.name().to_owned(),
                Target::Namespace(_) | Target::Cluster | Target::Path(_) => String::new(),
            };
            let (resource, subresource) = (resource.to_string(), subresource.to_owned());
            asked.insert(Right { verb: verb.as_str().to_owned(), resource, subresource, name });
        }
    }
    asked
}

/// One combination of a rule that the operator is granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: String,
    /// `deployments.apps`
    resource: String,
    subresource: String,
    /// Empty where the rule names none.
    name: String,
}

impl Right {
    /// `update mcpservers/finalizers.mcp.mcp.dev`
    fn name(self) -> String {
        let Self { verb, resource, subresource, name } = self;
        let (plural, group) = resource.split_once('.').unwrap_or((&resource, ""));
        let place = [plural, if subresource.is_empty() { "" } else { "/" }, &subresource].concat();
        let words = [verb.as_str(), &if group.is_empty() { place.clone() } else { format!("{place}.{group}") }, &name];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// All that these files grant to the operator.
fn granted(manifests: &[Value]) -> BTreeSet<Right> {
    let bindings = manifests.iter().filter(|it| it["subjects"][0]["name"] == "smooth-operator");
    let roles = bindings.map(|binding| {
        let role = &binding["roleRef"];
        let is = |it: &&Value| it["kind"] == role["kind"] && it["metadata"]["name"] == role["name"];
        manifests.iter().find(is).expect("a binding names a role of these files")
    });
    let texts = |rule: &Value, key: &str| -> Vec<String> {
        let list = rule[key].as_array().cloned().unwrap_or_default();
        list.into_iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        let mut names = texts(rule, "resourceNames");
        if names.is_empty() {
            names.push(String::new());
        }
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let (plural, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
                let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
                for (verb, name) in texts(rule, "verbs").into_iter().flat_map(|verb| {
                    let of_verb = names.iter().map(move |name| (verb.clone(), name.clone()));
                    of_verb.collect::<Vec<_>>()
                }) {
                    let (resource, subresource) = (resource.clone(), subresource.to_owned());
                    rights.insert(Right { verb, resource, subresource, name });
                }
            }
        }
    }
    assert!(rights.len() > 10, "the files grant something: {rights:?}");
    rights
}

/// Has a request needed this right? An apply is a `patch`, and a `create` where it has made the object.
fn used(right: &Right, asked: &[RequestRecord]) -> bool {
    asked.iter().any(|it| {
        let verb = match it.verb.as_str() {
            "apply" if it.status == 201 => matches!(right.verb.as_str(), "patch" | "create"),
            "apply" => right.verb == "patch",
            verb => right.verb == verb,
        };
        verb && it.resource == right.resource
            && it.subresource == right.subresource
            && (right.name.is_empty() || right.name == it.name)
    })
}
