//! Deployments, Services and Secrets as a real server answers them: what is read of them, and what of them is ours.

use serde_json::{Value, json};
use smooth_operator::client::Error;
use smooth_operator::mcpserver::children::{Child, Deployment, Secret, Service};
use smooth_operator::object::{Object, ResourceVersion};
use smooth_operator::watch::Event;

use crate::fixture::{all_recorded, recorded};

/// Every recorded object of this kind, wherever it was answered, and where.
fn every(kind: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for exchange in all_recorded() {
        let body = &exchange.response.body;
        if body["kind"] == kind {
            found.push((exchange.name.clone(), body.clone()));
        } else if body["kind"] == format!("{kind}List") {
            found.extend(body["items"].as_array().unwrap().iter().map(|item| (exchange.name.clone(), item.clone())));
        }
    }
    found
}

fn deployment(name: &str) -> Deployment {
    Deployment::decode(&recorded(name).body()).unwrap()
}

fn secret(name: &str) -> Secret {
    Secret::decode(&recorded(name).body()).unwrap()
}

/// The states of the Deployment in the recorded rollout, up to and without its deletion.
fn rollout() -> Vec<Deployment> {
    let text = recorded("rollout/deployments").body();
    let events = text.lines().filter_map(|line| match Event::decode(line.as_bytes()).unwrap() {
        Event::Added(object) | Event::Modified(object) => Some(Deployment::decode(object.get()).unwrap()),
        Event::Deleted(_) | Event::Bookmark { .. } => None,
        Event::Error(status) => panic!("{status}"),
    });
    events.collect()
}

/// What was applied, without the fields that only say what it is applied to.
fn wish(sent: &Value) -> Value {
    let metadata = &sent["metadata"];
    let kept = ["labels", "annotations", "ownerReferences"].into_iter().filter(|name| metadata.get(name).is_some());
    let metadata: Value =
        kept.map(|name| (name.to_owned(), metadata[name].clone())).collect::<serde_json::Map<_, _>>().into();
    let mut wish = json!({"spec": sent["spec"]});
    if metadata != json!({}) {
        wish["metadata"] = metadata;
    }
    wish
}

#[test]
fn every_recorded_child_is_read() {
    fn read<K: Object>(child: impl Fn(&K) -> Option<&Child>) -> usize {
        let objects = every(K::RESOURCE.kind);
        for (name, object) in &objects {
            let decoded = K::decode(&object.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (meta, wire) = (decoded.meta(), &object["metadata"]);
            assert_eq!(
                (wire["name"].as_str(), wire["uid"].as_str()),
                (Some(meta.key.name()), Some(meta.uid.as_str())),
                "{name}"
            );
            assert_eq!(
                wire["resourceVersion"].as_str().map_or("".into(), ResourceVersion::from),
                meta.resource_version,
                "{name}"
            );
            let Some(child) = child(&decoded) else { continue };
            let owned = wire["ownerReferences"]
                .as_array()
                .is_some_and(|owners| owners.iter().any(|owner| owner["controller"] == true));
            assert_eq!(meta.controller.is_some(), owned, "{name}");
            let labelled = wire["labels"]["app.kubernetes.io/managed-by"] == "smooth-operator"
                && wire["labels"]["app.kubernetes.io/instance"] == meta.key.name();
            assert_eq!(child.labelled, labelled, "{name}");
        }
        objects.len()
    }
    let deployments = read::<Deployment>(|deployment| Some(&deployment.child));
    let services = read::<Service>(|service| Some(&service.child));
    let secrets = read::<Secret>(|_| None);
    assert!(
        deployments >= 15 && services >= 4 && secrets >= 5,
        "{deployments} Deployments, {services} Services, {secrets} Secrets"
    );
    assert!(rollout().len() > 50);
}

/// This is what "is there anything to write?" stands on: the server fills in dozens of fields, and ours are still
/// those that were sent. If they were not, a settled cluster would be written to for ever.
#[test]
fn what_was_applied_is_what_is_ours_whatever_the_server_fills_in() {
    let mut compared = 0;
    for exchange in all_recorded() {
        let fields = match exchange.response.body["kind"].as_str() {
            Some("Deployment") => Deployment::decode(&exchange.body()).unwrap().child.fields,
            Some("Service") => Service::decode(&exchange.body()).unwrap().child.fields,
            _ => continue,
        };
        let applied = exchange.request().is_some_and(|request| request.uri().contains("fieldManager=smooth-operator"));
        if applied {
            assert!(fields.are_those_of(&wish(&exchange.sent())), "{}: {fields:?}", exchange.name);
            compared += 1;
        }
    }
    assert!(compared >= 11, "{compared}");
}

#[test]
fn what_others_do_to_their_own_fields_changes_nothing_of_ours() {
    let applied = deployment("deployments/apply-scale").child.fields;
    for name in ["deployments/stranger-annotation", "deployments/apply-keeps-stranger"] {
        assert_eq!(deployment(name).child.fields, applied, "{name}");
    }
    let created = deployment("deployments/apply-create").child.fields;
    for name in ["deployments/get-waiting-for-secret", "deployments/get-available", "deployments/apply-noop"] {
        assert_eq!(deployment(name).child.fields, created, "{name}: the controllers write status and annotations");
    }
}

#[test]
fn a_field_that_somebody_took_is_missed_and_taken_back() {
    let before = deployment("deployments/apply-keeps-stranger").child.fields;
    assert_ne!(deployment("deployments/stranger-replicas").child.fields, before);
    assert_eq!(deployment("deployments/apply-takes-back").child.fields, before);
}

#[test]
fn a_wish_with_another_field_has_other_fields_and_one_with_another_value_has_the_same() {
    let fields = |name: &str| deployment(&format!("deployments/{name}")).child.fields;
    assert_ne!(fields("apply-drop-field"), fields("apply-create"));
    assert_eq!(fields("apply-bad-image"), fields("apply-good-image"), "the annotation tells them apart");
    let service = |name: &str| Service::decode(&recorded(name).body()).unwrap().child.fields;
    assert_eq!(service("services/apply-noop"), service("services/apply-create"));
    assert_ne!(service("services/apply-port"), service("services/apply-create"), "a port is known by its number");
}

/// In two minutes of a rollout the controllers write the status some sixty times. None of that may look like drift.
#[test]
fn through_a_whole_rollout_ours_changes_only_with_the_generation() {
    let states = rollout();
    for pair in states.windows(2) {
        let (before, after) = (&pair[0].child, &pair[1].child);
        if before.meta.generation == after.meta.generation {
            assert_eq!(before.fields, after.fields, "@{}", after.meta.resource_version);
        }
    }
    let changes = states.windows(2).filter(|pair| pair[0].child.fields != pair[1].child.fields).count();
    let generations =
        states.windows(2).filter(|pair| pair[0].child.meta.generation != pair[1].child.meta.generation).count();
    assert!(
        changes < generations,
        "the restart by a stranger is a generation and nothing of ours: {changes} of {generations}"
    );
}

#[test]
fn a_status_that_lags_its_generation_is_seen_as_such() {
    let states = rollout();
    let lagging = states.iter().filter(|state| state.status.observed_generation < state.child.meta.generation).count();
    assert!(lagging >= 5 && lagging < states.len() / 2, "{lagging} of {}", states.len());
    let available = deployment("deployments/get-available").status;
    assert_eq!((available.replicas, available.ready_replicas, available.available_replicas), (2, 2, 2));
    assert_eq!(available.condition("Available").map(|condition| condition.status.as_str()), Some("True"));
    let stuck = deployment("deployments/get-stuck-rollout").status;
    assert!(stuck.updated_replicas < stuck.replicas, "{stuck:?}");
}

#[tokio::test]
async fn an_owner_that_would_be_a_second_controller_is_refused_by_the_server() {
    let exchange = recorded("deployments/two-controllers");
    let (_server, client) = exchange.served().await;
    let error: Error = client.send::<Value>(exchange.request().unwrap()).await.unwrap_err();
    let causes = &error.status().unwrap().details.as_ref().unwrap().causes;
    assert!(error.code() == 422 && causes.iter().all(|cause| cause.field == "metadata.ownerReferences"), "{error}");
}

#[test]
fn a_secret_is_another_one_when_its_data_is_and_not_when_its_labels_are() {
    let (created, rotated, labelled) =
        (secret("secrets/create"), secret("secrets/patch-data"), secret("secrets/patch-label"));
    assert_eq!(secret("secrets/get").hash, created.hash);
    assert_ne!(rotated.hash, created.hash);
    assert!(labelled.meta.resource_version > rotated.meta.resource_version && labelled.hash == rotated.hash);
}
