//! The doctor: a table of what the operator needs, with the remedy where something is missing, and an exit code.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::objects::{CRDS, Kind, LEASES, WEBHOOK_CONFIGURATIONS};
use crate::harness::operator::free_port;
use crate::harness::peer::write_kubeconfig;
use crate::harness::process::{Ended, LEASE, Process, program};
use crate::harness::rights::HOME;
use crate::harness::{World, eventually};

/// Runs the doctor to its end.
async fn doctor(kubeconfig: &Path, flags: &[&str]) -> Ended {
    let mut command = program(&["doctor", "--kubeconfig"]);
    command.arg(kubeconfig).args(flags);
    Process::start(command).ends().await
}

/// The lines with this verdict, without it.
fn lines<'a>(ended: &'a Ended, verdict: &str) -> Vec<&'a str> {
    ended.output.lines().filter_map(|line| line.strip_prefix(verdict)?.strip_prefix(' ')).map(str::trim).collect()
}

/// The only line with this verdict.
fn only<'a>(ended: &'a Ended, verdict: &str) -> &'a str {
    let lines = lines(ended, verdict);
    assert_eq!(lines.len(), 1, "{}", ended.output);
    lines[0]
}

#[tokio::test]
async fn where_all_is_right_each_line_says_so_and_the_exit_code_is_0() {
    let Some(world) = World::with_levers("tell what it was asked").await else { return };
    let ended = doctor(world.kubeconfig(), &["--leader-elect"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    assert_eq!(lines(&ended, "ok").len(), ended.output.lines().count(), "{}", ended.output);
    for expected in [
        "v1.36.2+playground (1.33 to 1.36 are supported)",
        "mcpservers.mcp.mcp.dev is installed and established",
        "it is the one of this version",
        "list, watch, create, patch in all namespaces",
        "get, update on default/smooth-operator",
        "default/smooth-operator is free: it does not exist yet",
        "not installed (it is optional)",
    ] {
        assert!(ended.output.contains(expected), "{expected:?} is missing: {}", ended.output);
    }
    // Reviews are no objects, and not in the log: a test of the list of permissions bounds their number.
    let mut asked = world.levers().requests();
    asked.retain(|request| request.user_agent.starts_with("smooth-operator/"));
    let mut asked: Vec<(&str, &str)> = asked.iter().map(|it| (it.verb.as_str(), it.resource.as_str())).collect();
    asked.sort_unstable();
    let expected = [
        ("get", "customresourcedefinitions.apiextensions.k8s.io"),
        ("get", "leases.coordination.k8s.io"),
        ("list", "validatingwebhookconfigurations.admissionregistration.k8s.io"),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_crd_that_is_not_there_is_wrong() {
    let Some(world) = World::with_levers_but_no_definition("be without our CRD").await else { return };
    let ended = doctor(world.kubeconfig(), &[]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    let line = only(&ended, "wrong");
    assert!(line.starts_with("CRD ") && line.contains("smooth-operator crd | kubectl apply"), "{line}");
}

#[tokio::test]
async fn a_crd_of_another_time_is_wrong_and_says_which() {
    let Some(world) = World::with_levers("change its CRD").await else { return };
    let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let mut definition = smooth_operator::api::crd::definition();
    definition.pointer_mut(fields).unwrap().as_object_mut().unwrap().remove("suspend");
    let path = CRDS.path("", definition["metadata"]["name"].as_str().unwrap());
    world.client.apply(&path, &definition).await.unwrap();
    let ended = doctor(world.kubeconfig(), &[]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    let line = only(&ended, "wrong");
    assert!(line.starts_with("CRD schema ") && line.contains("older: without v1alpha1.spec.suspend;"), "{line}");

    let shiny = json!({"type": "string"});
    definition = smooth_operator::api::crd::definition();
    definition.pointer_mut(fields).unwrap()["shiny"] = shiny;
    world.client.apply(&path, &definition).await.unwrap();
    let ended = doctor(world.kubeconfig(), &[]).await;
    let line = only(&ended, "wrong");
    assert!(line.contains("newer: with v1alpha1.spec.shiny;"), "{line}");
}

#[tokio::test]
async fn the_operators_own_account_has_what_it_needs_and_may_not_read_the_crd() {
    let Some(world) = World::with_roles(|_| {}).await else { return };
    let ended = doctor(world.operators_kubeconfig(), &["--leader-elect", "--lease-namespace", HOME]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    let unknown = lines(&ended, "unknown");
    assert_eq!(unknown.len(), 2, "{}", ended.output);
    assert!(unknown[0].contains("get customresourcedefinitions"), "{}", unknown[0]);
    assert!(unknown[1].contains("list validatingwebhookconfigurations"), "{}", unknown[1]);
}

#[tokio::test]
async fn a_missing_permission_is_wrong_and_its_rule_is_named() {
    let without = |object: &mut Value| {
        for rule in object.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
            if rule["resources"] == json!(["services"]) {
                rule["verbs"] = json!(["list", "watch"]);
            }
        }
    };
    let Some(world) = World::with_roles(without).await else { return };
    let ended = doctor(world.operators_kubeconfig(), &["--leader-elect", "--lease-namespace", HOME]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    let rule = r#"{apiGroups: [""], resources: ["services"], verbs: ["create", "patch"]}"#;
    let line = only(&ended, "wrong");
    assert!(line.starts_with("may use services ") && line.ends_with(rule), "{line}");

    // The ClusterRole covers each namespace; the Lease of another namespace is another one.
    let flags = ["--leader-elect", "--lease-namespace", "default", "--namespaces", &world.namespace];
    let ended = doctor(world.operators_kubeconfig(), &flags).await;
    let wrong = lines(&ended, "wrong");
    assert_eq!(wrong.len(), 3, "{}", ended.output);
    assert!(wrong[0].contains(&format!("in namespace {}", world.namespace)), "{}", wrong[0]);
    assert!(wrong[1].contains("leases") && wrong[1].contains(r#"verbs: ["create"]"#), "{}", wrong[1]);
    assert!(wrong[2].contains("on default/smooth-operator"), "{}", wrong[2]);
}

#[tokio::test]
async fn what_the_webhook_and_secured_metrics_need_besides_is_asked_for_where_they_are_used() {
    let Some(world) = World::with_roles(|_| {}).await else { return };
    let flags = ["--leader-elect", "--lease-namespace", HOME, "--metrics-secure", "--webhook-bind-address", ":9443"];
    let ended = doctor(world.operators_kubeconfig(), &flags).await;
    let wrong = lines(&ended, "wrong");
    assert_eq!(wrong.len(), 5, "config/rbac alone does not grant them: {}", ended.output);
    for (line, resource) in wrong.iter().zip([
        "secrets ",
        "secrets ",
        "validatingwebhookconfigurations.",
        "tokenreviews.",
        "subjectaccessreviews.",
    ]) {
        assert!(line.starts_with(&format!("may use {resource}")) && line.contains("verbs: ["), "{line}");
    }
    // With a certificate from elsewhere, nobody has to be told whom to trust.
    let files = ["--tls-cert-file", "/tls.crt", "--tls-key-file", "/tls.key"];
    let ended = doctor(world.operators_kubeconfig(), &[&flags[..], &files].concat()).await;
    assert_eq!(lines(&ended, "wrong").len(), 2, "{}", ended.output);
}

#[tokio::test]
async fn a_held_lease_names_its_holder() {
    let world = World::start().await;
    let now = jiff::Timestamp::now().to_string();
    let renewed = |at: &str| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": world.namespace},
            "spec": {"holderIdentity": "pod-a_1", "leaseDurationSeconds": 3600, "renewTime": at},
        })
    };
    let flags = ["--leader-elect", "--lease-namespace", &world.namespace];
    for (at, expected) in
        [(now.as_str(), "is held by pod-a_1, renewed "), ("2024-02-29T00:00:00Z", "is expired: pod-a_1 ")]
    {
        let at: jiff::Timestamp = at.parse().unwrap();
        let at = format!("{at:.6}");
        world.client.apply(&LEASES.path(&world.namespace, LEASE), &renewed(&at)).await.unwrap();
        let ended = doctor(world.kubeconfig(), &flags).await;
        assert!(ended.output.contains(expected), "{at}: {}", ended.output);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    }
}

#[tokio::test]
async fn a_webhook_that_leads_nowhere_is_wrong() {
    let Some(world) = World::with_levers("have a webhook of this test").await else { return };
    let webhook = |client: &Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "policy"},
            "webhooks": [{
                "name": "mcpservers.mcp.mcp.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": client,
                "rules": [{
                    "apiGroups": ["mcp.mcp.dev"], "apiVersions": ["*"], "resources": ["mcpservers"],
                    "operations": ["CREATE"],
                }],
            }],
        })
    };
    let service = json!({"namespace": world.namespace, "name": "hook", "path": "/"});
    world
        .client
        .apply(&WEBHOOK_CONFIGURATIONS.path("", "policy"), &webhook(&json!({"service": service})))
        .await
        .unwrap();
    let ended = doctor(world.kubeconfig(), &[]).await;
    assert!(only(&ended, "wrong").contains("has no caBundle"), "{}", ended.output);

    let whole = json!({"service": service, "caBundle": AUTHORITY});
    world.client.apply(&WEBHOOK_CONFIGURATIONS.path("", "policy"), &webhook(&whole)).await.unwrap();
    let ended = doctor(world.kubeconfig(), &[]).await;
    let expected = format!("no pod is ready behind the Service {}/hook", world.namespace);
    assert!(only(&ended, "wrong").contains(&expected), "{}", ended.output);

    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}},
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": 9443, "protocol": "TCP"}],
    });
    world.create(Kind::namespaced("discovery.k8s.io/v1", "endpointslices"), &slice).await;
    eventually("the webhook is fine", async || {
        let ended = doctor(world.kubeconfig(), &[]).await;
        if ended.status.success() { Ok(()) } else { Err(ended.output) }
    })
    .await;
}

#[tokio::test]
async fn where_nobody_answers_it_says_what_run_says() {
    let file = write_kubeconfig(&format!("http://127.0.0.1:{}", free_port()));
    let ended = doctor(&file, &[]).await;
    let run = program(&["run", "--metrics-bind-address", "0", "--health-bind-address", "0", "--kubeconfig"]);
    let mut run = run;
    run.arg(&file);
    let ran = Process::start(run).ends().await;
    assert_eq!((ended.status.code(), &ended.output), (Some(1), &ran.output));
    assert_eq!(ended.output.lines().count(), 1, "{}", ended.output);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn what_run_refuses_as_usage_the_doctor_refuses_too() {
    for flags in [["--namespaces", "a,,b"], ["--lease-duration", "soon"], ["--retry-period", "10s"]] {
        let ended = Process::start(program(&[&["doctor"], &flags[..]].concat())).ends().await;
        assert_eq!(ended.status.code(), Some(2), "{flags:?}: {}", ended.output);
        assert!(ended.output.contains(flags[0]), "{}", ended.output);
    }
}

/// Something that is a certificate, for nobody looks into it.
const AUTHORITY: &str = include_str!("doctor/authority.pem.base64");
