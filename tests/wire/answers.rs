//! What a person reads when the API server says no, and what the code that acts on it sees.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use serde_json::Value;
use smooth_operator::api::{MCPSERVERS, MCPServer, ServiceType};
use smooth_operator::client::{Error, ListParams, Request};
use smooth_operator::informer::reflector::Failure;
use smooth_operator::object::Object as _;
use smooth_operator::watch::Identity;

use crate::fixture::recorded;

/// How the recorded request ends, when this operator makes it.
async fn refusal(name: &str) -> Error {
    let exchange = recorded(name);
    let request = exchange.request().unwrap();
    let (_server, client) = exchange.served().await;
    if request.uri().contains("limit=") {
        return client.list(request, |_| {}).await.unwrap_err();
    }
    client.send::<Value>(request).await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_reads_as_a_sentence_with_the_remedy_where_there_is_one() {
    let rule = |kind: &str, group: &str, resource: &str, verb: &str| {
        format!(
            r#"add to the operator's {kind}: {{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}"#
        )
    };
    let list = "list mcpservers.mcp.mcp.dev in all namespaces";
    let lease = "leases.coordination.k8s.io default/smooth-operator";
    let web = "patch deployments.apps default/example-server";
    for (name, expected) in [
        (
            "auth/bad-token",
            format!(
                "{list}: 401 Unauthorized: Unauthorized; the API server does not accept these credentials: log in again, or use another context of the kubeconfig"
            ),
        ),
        (
            "auth/forbidden-list",
            format!(
                r#"{list}: 403 Forbidden: mcpservers.mcp.mcp.dev is forbidden: User "system:serviceaccount:default:nobody" cannot list resource "mcpservers" in API group "mcp.mcp.dev" at the cluster scope; {}"#,
                rule("ClusterRole", "mcp.mcp.dev", "mcpservers", "list")
            ),
        ),
        (
            "auth/forbidden-patch",
            format!(
                r#"patch deployments.apps default/x: 403 Forbidden: deployments.apps "x" is forbidden: User "system:serviceaccount:default:nobody" cannot patch resource "deployments" in API group "apps" in the namespace "default"; {}"#,
                rule("Role (or ClusterRole) for namespace default", "apps", "deployments", "patch")
            ),
        ),
        ("mcpservers/list-before-crd", format!("{list}: 404: 404 page not found")),
        (
            "leases/get-not-found",
            format!(r#"get {lease}: 404 NotFound: leases.coordination.k8s.io "smooth-operator" not found"#),
        ),
        (
            "leases/create-exists",
            format!(
                r#"create {lease}: 409 AlreadyExists: leases.coordination.k8s.io "smooth-operator" already exists"#
            ),
        ),
        (
            "leases/invalid",
            format!(
                r#"update {lease}: 422 Invalid: Lease.coordination.k8s.io "smooth-operator" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"#
            ),
        ),
        (
            "deployments/apply-missing-namespace",
            r#"patch deployments.apps nope/example-server: 404 NotFound: namespaces "nope" not found"#.to_owned(),
        ),
        ("errors/too-many-requests", format!("{list}: 429: Too many requests, please try again later.")),
    ] {
        assert_eq!(refusal(name).await.to_string(), expected, "{name}");
    }
    let mismatch = refusal("deployments/apply-uid-mismatch").await.to_string();
    assert!(
        mismatch.starts_with(&format!("{web}: 422 Invalid: Deployment.apps \"example-server\" is invalid: ")),
        "{mismatch}"
    );
}

#[tokio::test]
async fn a_conflict_says_of_which_kind_it_is() {
    for (name, reason) in [
        ("leases/create-exists", "AlreadyExists"),
        ("leases/update-conflict", "Conflict"),
        ("mcpservers/create-duplicate", "AlreadyExists"),
        ("mcpservers/update-conflict", "Conflict"),
        ("deployments/apply-uid-absent", "Conflict"),
        ("deployments/apply-stale-rv", "Conflict"),
    ] {
        let error = refusal(name).await;
        assert_eq!(error.code(), 409, "{name}");
        assert!(error.is(reason), "{name}: {error}");
    }
    assert!(
        refusal("deployments/apply-uid-mismatch").await.is("Invalid"),
        "another object has the name: that is no conflict to the server"
    );
}

#[tokio::test]
async fn the_cause_of_an_invalid_object_names_field_and_rule() {
    for (name, field, rule) in [
        ("mcpservers/create-bad-port", "spec.port", "should be less than or equal to 65535"),
        ("mcpservers/create-cel", "spec", "secretName must not be empty"),
        ("leases/invalid", "spec.leaseDurationSeconds", "must be greater than 0"),
        ("events/create-invalid", "reportingController", "Required value"),
    ] {
        let error = refusal(name).await;
        let causes = &error.status().unwrap().details.as_ref().unwrap().causes;
        assert!(causes.iter().any(|cause| cause.field == field && cause.message.contains(rule)), "{name}: {causes:?}");
    }
}

#[tokio::test]
async fn what_a_refused_list_means_to_the_reflector() {
    let one_second = Some(Duration::from_secs(1));
    for (name, meaning) in [
        ("auth/bad-token", Failure::Unavailable),
        ("auth/anonymous", Failure::Unavailable),
        ("mcpservers/list-before-crd", Failure::Unavailable),
        ("mcpservers/list-continue-expired", Failure::Gone),
        ("mcpservers/list-exact-expired", Failure::Gone),
        ("mcpservers/list-continue-with-rv", Failure::Unsupported),
        ("watch/list-rv-too-large", Failure::TooLarge),
        ("errors/too-many-requests", Failure::Busy(one_second)),
    ] {
        assert_eq!(Failure::from(&refusal(name).await), meaning, "{name}");
    }
    let too_large = refusal("watch/list-rv-too-large").await;
    assert!((too_large.code(), too_large.retry_after()) == (504, one_second) && too_large.is("Timeout"));
}

#[tokio::test]
async fn leases_and_events_come_back_as_they_were_sent() {
    for (name, version, holder, transitions) in [
        ("leases/create", "874", "pod-a_1", 0),
        ("leases/renew", "875", "pod-a_1", 0),
        ("leases/release", "876", "", 0),
        ("leases/take-over", "877", "pod-b_2", 1),
    ] {
        let exchange = recorded(name);
        let (_server, client) = exchange.served().await;
        let lease: Lease = client.send(exchange.request().unwrap()).await.unwrap();
        let spec = lease.spec.unwrap();
        assert_eq!(lease.metadata.resource_version.as_deref(), Some(version), "{name}");
        assert_eq!(
            (spec.holder_identity.as_deref(), spec.lease_transitions),
            (Some(holder), Some(transitions)),
            "{name}"
        );
    }
    for name in ["events/create", "events/patch-series"] {
        let exchange = recorded(name);
        let (_server, client) = exchange.served().await;
        let event: Event = client.send(exchange.request().unwrap()).await.unwrap();
        assert_eq!(event.reporting_controller.as_deref(), Some("mcp.mcp.dev/smooth-operator"), "{name}");
        assert_eq!(event.series.is_some(), name.ends_with("series"));
    }
}

#[tokio::test]
async fn an_mcpserver_is_read_with_the_defaults_that_the_server_filled_in() {
    for name in ["mcpservers/create-minimal", "mcpservers/create-full", "mcpservers/get", "mcpservers/create-name-ok"] {
        let exchange = recorded(name);
        let (_server, client) = exchange.served().await;
        let server: MCPServer = client.send(exchange.request().unwrap()).await.unwrap();
        let (spec, wire) = (server.spec.unwrap(), &exchange.response.body);
        assert_eq!(wire["metadata"]["name"], server.meta.key.name(), "{name}");
        assert_eq!(wire["metadata"]["generation"], server.meta.generation, "{name}");
        assert_eq!(
            (&wire["spec"]["image"], &wire["spec"]["port"], &wire["spec"]["replicas"]),
            (&spec.image.into(), &spec.port.into(), &spec.replicas.into())
        );
        assert_eq!(
            spec.service.service_type,
            ServiceType::ClusterIp,
            "{name}: an older schema knows no service, and has the default"
        );
    }
}

#[tokio::test]
async fn pages_of_servers_are_handed_over_one_by_one_and_say_where_the_next_begins() {
    let mut names = Vec::new();
    for (name, remaining) in
        [("mcpservers/list-page-1", true), ("mcpservers/list-page-2", true), ("mcpservers/list-page-3", false)]
    {
        let exchange = recorded(name);
        let (_server, client) = exchange.served().await;
        let request = Request::list(&MCPSERVERS, None, None, &ListParams { limit: 3, ..ListParams::default() });
        let meta = client.list(request, |item| {
            names.push(MCPServer::decode(std::str::from_utf8(item).unwrap()).unwrap().meta.key.to_string());
        });
        assert_eq!(!meta.await.unwrap().continue_token.is_empty(), remaining, "{name}");
    }
    assert_eq!(names.len(), 7, "{names:?}");
    assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

/// Right after its CRD was made, a kind is served and can't be listed yet: recorded as the answer to a first list.
#[tokio::test]
async fn a_kind_that_is_only_just_there_asks_for_patience() {
    let error = refusal("mcpservers/list-empty").await;
    assert_eq!(Failure::from(&error), Failure::Busy(Some(Duration::from_secs(1))));
    assert_eq!(
        error.to_string(),
        "list mcpservers.mcp.mcp.dev in all namespaces: 429 TooManyRequests: storage is (re)initializing"
    );
}

#[tokio::test]
async fn every_item_of_every_recorded_list_has_an_identity() {
    for name in [
        "mcpservers/list-two",
        "mcpservers/list-rv0",
        "mcpservers/list-label-selector",
        "deployments/list",
        "services/list",
        "secrets/list",
    ] {
        let exchange = recorded(name);
        let (_server, client) = exchange.served().await;
        let mut seen = 0;
        let read = client.list(exchange.request().unwrap(), |item| {
            Identity::decode(std::str::from_utf8(item).unwrap()).unwrap();
            seen += 1;
        });
        read.await.unwrap();
        assert!(seen > 0 && seen == exchange.response.body["items"].as_array().unwrap().len(), "{name}: {seen}");
    }
}
