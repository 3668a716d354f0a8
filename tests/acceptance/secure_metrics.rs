//! `--metrics-secure`: the API server decides who may read the metrics.

use std::time::Duration;

use playground::cluster::RequestRecord;
use serde_json::{Value, json};
use smooth_operator::tls::{Files, Pair};

use crate::harness::operator::free_port;
use crate::harness::rights::{HOME, objects_of};
use crate::harness::{World, eventually, https, scratch_file};

/// A ServiceAccount in the operator's namespace; its token.
async fn account(world: &World, name: &str) -> String {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let accounts = format!("/api/v1/namespaces/{HOME}/serviceaccounts");
    world.client.create(&accounts, &account).await.unwrap();
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = world.client.create(&format!("{accounts}/{name}/token"), &request).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

fn binding(account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": account},
        "roleRef": {"kind": "ClusterRole", "name": "smooth-operator-metrics-reader", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": HOME}],
    })
}

async fn scrape(port: u16, token: Option<&str>) -> https::Answer {
    let stream = eventually("it serves HTTPS", async || {
        https::connect(port, "localhost", None).await.map_err(|error| error.to_string())
    });
    https::get(stream.await, "/metrics", token).await.unwrap()
}

#[tokio::test]
async fn the_metrics_are_for_those_whose_roles_include_them() {
    let Some(world) = World::with_roles(|_| {}).await else { return };
    for object in objects_of("metrics-secure") {
        world.apply_manifest(&object).await;
    }
    let (bound, unbound) = (account(&world, "prometheus").await, account(&world, "stranger").await);
    world.apply_manifest(&binding("prometheus")).await;
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let operator = world.process_with_roles_and_metrics(&address, &["--metrics-secure"]);
    for (token, code) in [(None, 401), (Some("wrong"), 401), (Some(unbound.as_str()), 403), (Some(bound.as_str()), 200)]
    {
        let answer = scrape(port, token).await;
        assert_eq!(answer.code, code, "{token:?}: {answer:?}");
        assert_eq!(answer.body.contains("# EOF"), code == 200);
    }
    let refused = scrape(port, Some(&unbound)).await.body;
    let expected = "system:serviceaccount:smooth-operator-system:stranger may not get /metrics: bind the ClusterRole \
                    smooth-operator-metrics-reader to it\n";
    assert_eq!(refused, expected);
    operator.signal("TERM").await;
    let ended = operator.ends().await;
    assert!(ended.status.success() && !ended.output.contains(&bound), "{ended:?}");
    let asked = world.asked_by_the_operator();
    let refused: Vec<&RequestRecord> = asked.iter().filter(|request| matches!(request.status, 401 | 403)).collect();
    assert!(refused.is_empty(), "these requests were refused: {refused:#?}");
}

/// Without the role, nobody can be let through, and the log names the rule to add.
#[tokio::test]
async fn an_operator_that_may_not_ask_refuses_everybody_and_says_why() {
    let Some(world) = World::with_roles(|_| {}).await else { return };
    let bound = account(&world, "prometheus").await;
    let port = free_port();
    let operator = world.process_with_roles_and_metrics(&format!("127.0.0.1:{port}"), &["--metrics-secure"]);
    let answer = scrape(port, Some(&bound)).await;
    assert_eq!((answer.code, answer.body.lines().count()), (500, 1), "{answer:?}");
    let rule = "add to the operator's ClusterRole: {apiGroups: [\"authentication.k8s.io\"], resources: [\"tokenreviews\"], \
                verbs: [\"create\"]}";
    operator.says(rule).await;
    operator.signal("TERM").await;
    assert!(operator.ends().await.status.success());
}

#[tokio::test]
async fn a_certificate_from_files_can_be_verified() {
    let world = World::start().await;
    let now = jiff::Timestamp::now();
    let name = "metrics.example.com".to_owned();
    let (pair, authority) = Pair::make(std::slice::from_ref(&name), now, Duration::from_secs(3600)).unwrap();
    let files = Files { certificate: scratch_file("tls.crt"), key: scratch_file("tls.key") };
    std::fs::write(&files.certificate, pair.certificate()).unwrap();
    std::fs::write(&files.key, pair.key()).unwrap();
    let port = free_port();
    let certificate = files.clone();
    let operator = world.operator(|settings| {
        settings.metrics = format!("127.0.0.1:{port}").parse().unwrap();
        settings.serving.metrics_secure = true;
        settings.serving.certificate = Some(certificate);
    });
    let operator = operator.await;
    let stream = eventually("it shows the certificate", async || {
        https::connect(port, &name, Some(authority.pem())).await.map_err(|error| error.to_string())
    });
    assert_eq!(https::get(stream.await, "/metrics", None).await.unwrap().code, 401);
    operator.stop().await;
    std::fs::remove_file(files.certificate).unwrap();
    std::fs::remove_file(files.key).unwrap();
}
