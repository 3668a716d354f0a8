//! What a cluster keeps in order by itself: what is in every namespace, and how much of a quota is used.

use std::sync::Barrier;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use playground::cluster::DeleteOptions;
use playground::controllers::{self, Options as Pace};
use playground::{Cluster, Options, Playground};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

/// Waits for a fact, on the test's own clock.
async fn until(what: &str, fact: impl Fn() -> bool) {
    let waiting = async {
        while !fact() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(3600), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

#[tokio::test(start_paused = true)]
async fn every_namespace_has_its_account_and_knows_the_authority() {
    let playground = Playground::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let cluster = playground.cluster();
    let kubeconfig: Value = serde_saphyr::from_str(&playground.kubeconfig()).unwrap();
    let authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"].as_str().unwrap();
    let authority = String::from_utf8(STANDARD.decode(authority).unwrap()).unwrap();
    let published = |name: &str| {
        cluster.get("configmaps", name, "kube-root-ca.crt").is_some_and(|it| it["data"]["ca.crt"] == authority)
    };
    let has_account = |name: &str| cluster.get("serviceaccounts", name, "default").is_some();
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        assert!(has_account(name) && published(name), "{name} has it from the start");
    }
    cluster.create("namespaces", "", namespace("late"), "test").unwrap();
    until("a new one is furnished", || has_account("late") && published("late")).await;
    cluster.delete("serviceaccounts", "late", "default", &DeleteOptions::default()).unwrap();
    cluster.delete("configmaps", "late", "kube-root-ca.crt", &DeleteOptions::default()).unwrap();
    until("what is gone is made again", || has_account("late") && published("late")).await;
    let forged = json!({"data": {"ca.crt": "forged", "more": "x"}});
    cluster.patch_merge("configmaps", "late", "kube-root-ca.crt", None, &forged, "somebody").unwrap();
    until("what was forged is taken back", || published("late")).await;
    let mended = cluster.get("configmaps", "late", "kube-root-ca.crt").unwrap();
    assert_eq!(mended["data"].as_object().unwrap().len(), 1);
    cluster.delete("namespaces", "", "late", &DeleteOptions::default()).unwrap();
    until("a namespace that is deleted goes", || cluster.get("namespaces", "", "late").is_none()).await;
    assert!(!has_account("late") && !published("late"));
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_https_there_is_no_authority_to_publish() {
    let playground = Playground::start(Options::default()).await.unwrap();
    assert_eq!(playground.cluster().list("serviceaccounts", None).len(), 4);
    assert!(playground.cluster().list("configmaps", None).is_empty());
    playground.stop().await;
}

fn quota(hard: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}})
}

fn with_quota(hard: &Value) -> Cluster {
    let cluster = Cluster::new(7, Duration::from_secs(60));
    cluster.create("resourcequotas", "default", quota(hard), "test").unwrap();
    cluster
}

fn named(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
}

fn pod(name: &str) -> Value {
    let mut pod = named("Pod", name);
    pod["spec"] = json!({"containers": [{"name": "c", "image": "i"}]});
    pod
}

fn deployment(name: &str, replicas: u32) -> Value {
    let labels = json!({"app": name});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}})
}

#[test]
fn what_would_be_one_too_many_is_refused_in_kubernetes_words() {
    let hard = json!({"configmaps": "2", "count/configmaps": "1", "secrets": "0", "count/deployments.apps": "1",
        "services": "1", "requests.cpu": "1"});
    let cluster = with_quota(&hard);
    cluster.create("configmaps", "default", named("ConfigMap", "a"), "test").unwrap();
    let refused = cluster.create("configmaps", "default", named("ConfigMap", "b"), "test").unwrap_err();
    let why = "configmaps \"b\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: \
               count/configmaps=1, limited: count/configmaps=1";
    assert_eq!((refused.code, &*refused.reason, refused.message.as_str()), (403, "Forbidden", why));
    let details = refused.to_value()["details"].clone();
    assert_eq!(details, json!({"name": "b", "kind": "configmaps"}));
    assert_eq!(cluster.create("secrets", "default", named("Secret", "s"), "test").unwrap_err().code, 403);
    cluster.create("deployments.apps", "default", deployment("a", 0), "test").unwrap();
    let refused = cluster.apply("deployments.apps", "default", None, &deployment("b", 0), "me", false).unwrap_err();
    let why = "deployments.apps \"b\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: \
               count/deployments.apps=1, limited: count/deployments.apps=1";
    assert_eq!(refused.message, why);
    // What is there can be changed, what is elsewhere or not counted can be made, and what is gone has left its place.
    cluster.patch_merge("configmaps", "default", "a", None, &json!({"data": {"x": "y"}}), "test").unwrap();
    cluster.create("configmaps", "kube-system", named("ConfigMap", "b"), "test").unwrap();
    cluster.create("serviceaccounts", "default", named("ServiceAccount", "x"), "test").unwrap();
    cluster.delete("configmaps", "default", "a", &DeleteOptions::default()).unwrap();
    cluster.create("configmaps", "default", named("ConfigMap", "b"), "test").unwrap();
}

/// Counted and stored as one: else two who come at once would both find the last place free.
#[test]
fn of_many_who_come_at_once_one_gets_the_last_place() {
    const MAKERS: usize = 4;
    let cluster = with_quota(&json!({"configmaps": "1"}));
    let start = Barrier::new(MAKERS);
    for round in 0..200 {
        let create = |maker: usize| {
            start.wait();
            cluster.create("configmaps", "default", named("ConfigMap", &format!("x-{maker}")), "test").is_ok()
        };
        let made = std::thread::scope(|scope| {
            let create = &create;
            let makers: Vec<_> = (0..MAKERS).map(|maker| scope.spawn(move || create(maker))).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).filter(|made| *made).count()
        });
        assert_eq!(made, 1, "round {round}");
        for found in cluster.list("configmaps", Some("default")) {
            let name = found["metadata"]["name"].as_str().unwrap();
            cluster.delete("configmaps", "default", name, &DeleteOptions::default()).unwrap();
        }
    }
}

#[test]
fn a_pod_that_has_ended_leaves_its_place_but_is_still_an_object() {
    let cluster = with_quota(&json!({"pods": "1", "count/pods": "2"}));
    cluster.create("pods", "default", pod("a"), "test").unwrap();
    assert_eq!(cluster.create("pods", "default", pod("b"), "test").unwrap_err().code, 403);
    cluster
        .patch_merge("pods", "default", "a", Some("status"), &json!({"status": {"phase": "Succeeded"}}), "t")
        .unwrap();
    cluster.create("pods", "default", pod("b"), "test").unwrap();
    let refused = cluster.create("pods", "default", pod("c"), "test").unwrap_err().message;
    assert!(
        refused.ends_with("requested: count/pods=1,pods=1, used: count/pods=2,pods=1, limited: count/pods=2,pods=1"),
        "{refused}"
    );
}

/// Controllers that run until the test ends.
struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    fn start(cluster: &Cluster) -> Self {
        let stop = CancellationToken::new();
        let tasks = controllers::start(cluster, Pace::default(), &stop);
        Self { stop, tasks }
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_says_how_much_of_it_is_used() {
    let cluster = with_quota(&json!({"pods": "3", "count/replicasets.apps": "5", "requests.cpu": "1"}));
    let running = Running::start(&cluster);
    let status = || cluster.get("resourcequotas", "default", "q").unwrap()["status"].clone();
    let says = |pods: &str, sets: &str| {
        let wanted = json!({"hard": {"pods": "3", "count/replicasets.apps": "5"},
            "used": {"pods": pods, "count/replicasets.apps": sets}});
        let status = &status;
        move || status() == wanted
    };
    until("nothing is used", says("0", "0")).await;
    cluster.create("deployments.apps", "default", deployment("web", 5), "test").unwrap();
    until("as many pods are made as there may be", says("3", "1")).await;
    assert_eq!(cluster.list("pods", Some("default")).len(), 3);
    let more = json!({"spec": {"hard": {"pods": "4"}}});
    cluster.patch_merge("resourcequotas", "default", "q", None, &more, "test").unwrap();
    until("one more is made", || status()["used"]["pods"] == "4").await;
    assert_eq!(status()["hard"]["pods"], "4");
    cluster.delete("deployments.apps", "default", "web", &DeleteOptions::default()).unwrap();
    until("all is given back", || status()["used"] == json!({"pods": "0", "count/replicasets.apps": "0"})).await;
    running.end().await;
}
