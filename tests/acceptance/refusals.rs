//! What is wrong from the start: said in one line, with the remedy in it, and with an exit code that scripts can tell apart.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::harness::operator::free_port;
use crate::harness::peer::{Peer, write_kubeconfig};
use crate::harness::process::{Ended, Process, program};
use crate::harness::{World, eventually, scratch_file};

const QUIETLY: [&str; 5] = ["run", "--metrics-bind-address", "0", "--health-bind-address", "0"];

/// Runs it to its end.
async fn run(arguments: &[&str]) -> Ended {
    Process::start(program(arguments)).ends().await
}

/// It ended with this code, and its last line says all of this.
fn refused(ended: &Ended, code: i32, expected: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    let line = ended.output.lines().find(|line| line.starts_with("smooth-operator: ") || line.starts_with("error: "));
    let line = line.unwrap_or_else(|| panic!("no line for people: {ended:?}"));
    for part in expected {
        assert!(line.contains(part), "{part:?} is missing from {line:?}");
    }
    assert!(!ended.output.contains("panicked"), "{ended:?}");
}

#[tokio::test]
async fn without_a_kubeconfig_it_says_how_to_name_one() {
    let ended = run(&QUIETLY).await;
    refused(&ended, 1, &["no cluster", "KUBECONFIG", "--kubeconfig"]);
    assert_eq!(ended.output.lines().count(), 1, "{ended:?}");
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_read_is_named() {
    let file = scratch_file("kubeconfig");
    for (content, expected) in [(None, "No such file"), (Some("clusters: [\n"), ""), (Some("{}"), "")] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let name = file.to_str().unwrap();
        let ended = run(&[&QUIETLY[..], &["--kubeconfig", name]].concat()).await;
        refused(&ended, 1, &[name, expected, "--kubeconfig"]);
        assert!(ended.output.trim_end().ends_with("choose another with --kubeconfig or --context"), "{ended:?}");
        // The same by the environment.
        let mut command = program(&QUIETLY);
        command.env("KUBECONFIG", name);
        refused(&Process::start(command).ends().await, 1, &["kubeconfig", expected]);
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_context_that_is_not_there_is_named() {
    let file = write_kubeconfig("http://127.0.0.1:1");
    let ended = run(&[&QUIETLY[..], &["--kubeconfig", file.to_str().unwrap(), "--context", "nowhere"]].concat()).await;
    refused(&ended, 1, &["nowhere", "--context"]);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_named() {
    let server = format!("http://127.0.0.1:{}", free_port());
    let file = write_kubeconfig(&server);
    let ended = run(&[&QUIETLY[..], &["--kubeconfig", file.to_str().unwrap()]].concat()).await;
    refused(&ended, 1, &[&server, "Connection refused", "check that it is running"]);
    assert_eq!(ended.output.lines().count(), 1, "{ended:?}");
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn refused_credentials_are_named_with_the_remedy() {
    let peer = Peer::answering(|_| (401, status(401, "Unauthorized", "Unauthorized"))).await;
    let ended = run(&[&QUIETLY[..], &["--kubeconfig", peer.kubeconfig.to_str().unwrap()]].concat()).await;
    refused(&ended, 1, &["401", "credentials", "log in again"]);
}

#[tokio::test]
async fn a_policy_that_nothing_would_enforce_is_a_mistake_in_the_usage() {
    let ended = run(&[&QUIETLY[..], &["--allowed-registries", "ghcr.io"]].concat()).await;
    refused(&ended, 2, &["--allowed-registries", "--webhook-bind-address"]);
}

#[tokio::test]
async fn a_certificate_that_is_not_there_is_named_with_the_remedy() {
    let peer = Peer::answering(|_| (200, json!({"gitVersion": "v1.36.2"}))).await;
    let kubeconfig = peer.kubeconfig.to_str().unwrap();
    let files = ["--tls-cert-file", "/nowhere/tls.crt", "--tls-key-file", "/nowhere/tls.key"];
    let ended = run(&[&QUIETLY[..], &["--kubeconfig", kubeconfig], &files].concat()).await;
    refused(&ended, 1, &["/nowhere/tls.crt", "No such file", "mounted"]);
}

/// A permission can be given while it runs, so it waits; and says which.
#[tokio::test]
async fn a_missing_permission_is_named_as_the_rule_to_add() {
    let peer = Peer::answering(|path| match path {
        "/version" => (200, json!({"gitVersion": "v1.36.2"})),
        path => {
            let resource = path.rsplit('/').next().unwrap_or_default();
            let user = "system:serviceaccount:smooth-operator-system:smooth-operator";
            let message = format!(
                "{resource} is forbidden: User \"{user}\" cannot list resource \"{resource}\" at the cluster scope"
            );
            (403, status(403, "Forbidden", &message))
        }
    })
    .await;
    let mut command = program(&QUIETLY);
    command.arg("--kubeconfig").arg(&peer.kubeconfig);
    let operator = Process::start(command);
    for (group, resource) in [("", "secrets"), ("apps", "deployments"), ("mcp.mcp.dev", "mcpservers")] {
        operator.says(&format!("apiGroups: [\"{group}\"], resources: [\"{resource}\"]")).await;
    }
    operator.signal("TERM").await;
    assert_eq!(operator.ends().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_missing_crd_is_waited_for_and_its_absence_told_once() {
    let Some(world) = World::with_levers_but_no_definition("be without our CRD").await else { return };
    let operator = world.process(&[]);
    // More than one attempt, so that "once" means something.
    eventually("it has asked twice", async || {
        let asked = |request: &playground::cluster::RequestRecord| request.resource.ends_with("/mcpservers");
        match world.levers().requests().iter().filter(|request| asked(request)).count() {
            asked @ 0..3 => Err(format!("it has {asked} times: {}", operator.output())),
            _ => Ok(()),
        }
    })
    .await;
    let output = operator.output();
    let told = output.lines().filter(|line| line.contains("mcpservers") && line.contains("WARN"));
    assert_eq!(told.count(), 1, "{output}");
    assert!(output.contains("smooth-operator crd"), "the remedy is missing: {output}");

    world.install_definition().await;
    world.create_server("x", json!({"replicas": 0})).await;
    world.until_ready("x").await;
    operator.signal("TERM").await;
    assert_eq!(operator.ends().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_value_that_a_flag_cannot_have_is_a_mistake_of_usage() {
    for (flags, expected) in [
        (vec!["--workers", "0"], vec!["--workers"]),
        (vec!["--namespaces", "a,,b"], vec!["--namespaces"]),
        (vec!["--lease-duration", "soon"], vec!["--lease-duration", "soon"]),
        (vec!["--metrics-bind-address", "nowhere"], vec!["--metrics-bind-address"]),
        (vec!["--log-format", "xml"], vec!["--log-format"]),
        (vec!["--log-level", "loud"], vec!["--log-level"]),
        (vec!["--no-such-flag"], vec!["--no-such-flag"]),
        (
            vec!["--leader-elect", "--lease-duration", "5s", "--renew-deadline", "10s"],
            vec!["--lease-duration", "--renew-deadline"],
        ),
        (vec!["--leader-elect", "--retry-period", "10s"], vec!["--renew-deadline", "--retry-period"]),
        (vec!["--leader-elect", "--lease-duration", "1500ms"], vec!["--lease-duration", "whole number of seconds"]),
    ] {
        let ended = run(&[&["run"], &flags[..]].concat()).await;
        assert_eq!(ended.status.code(), Some(2), "{flags:?}: {ended:?}");
        refused(&ended, 2, &expected);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_flag() {
    let world = World::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = program(&["run", "--health-bind-address", "0", "--metrics-bind-address", &address]);
    command.arg("--kubeconfig").arg(world.kubeconfig());
    refused(&Process::start(command).ends().await, 1, &["--metrics-bind-address", &address]);
}

#[tokio::test]
async fn the_crd_that_is_printed_is_the_one_in_config() {
    let ended = run(&["crd"]).await;
    assert!(ended.status.success());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/crd/mcp.mcp.dev_mcpservers.yaml");
    assert_eq!(ended.output, std::fs::read_to_string(file).unwrap());
}

/// `smooth-operator crd | head -1`.
#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = program(&["crd"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut some = [0; 16];
    stdout.read_exact(&mut some).await.unwrap();
    drop(stdout);
    let ended = child.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}
