//! The webhook: the API server asks it over TLS, trusts what the operator told it to trust, and does as it says.
//!
//! The manifests are those of `config/webhook`. A playground reaches the operator through the Service and an
//! EndpointSlice, as a cluster would.

use std::time::Duration;

use k8s_openapi::ByteString;
use playground::cluster::RequestRecord;
use serde_json::{Value, json};
use smooth_operator::leader_election::Timing;
use smooth_operator::manager::{Election, Serving, Settings, Webhook};
use smooth_operator::object::ObjectKey;
use smooth_operator::tls::Pace;

use crate::harness::client::Refused;
use crate::harness::https;
use crate::harness::objects::{ENDPOINT_SLICES, LEASES, NAMESPACES, SECRETS, SERVERS, WEBHOOK_CONFIGURATIONS, server};
use crate::harness::operator::{Operator, free_port};
use crate::harness::process::QUICK_ELECTION;
use crate::harness::rights::{HOME, objects_of};
use crate::harness::{World, eventually};

const SERVICE: &str = "smooth-operator-webhook";
const HOST: &str = "smooth-operator-webhook.smooth-operator-system.svc";
const CERTIFICATE: &str = "smooth-operator-webhook-cert";
const CONFIGURATION: &str = "smooth-operator";
/// Images have to come from here.
const ALLOWED: &str = "ghcr.io,quay.io/team";

/// Quick to begin, and then nothing happens any more within a test.
const QUIET: Pace = Pace {
    poll: Duration::from_secs(3600),
    retry: Duration::from_millis(20),
    lifetime: Duration::from_secs(24 * 3600),
    renew_before: Duration::from_secs(8 * 3600),
    overlap: Duration::from_secs(600),
};

/// A certificate lives three seconds before it is renewed.
const HASTY: Pace = Pace {
    poll: Duration::from_millis(100),
    retry: Duration::from_millis(20),
    lifetime: Duration::from_secs(12),
    renew_before: Duration::from_secs(9),
    overlap: Duration::from_secs(1),
};

/// A world where `config/webhook` was applied, and where it leads to this port.
async fn world(port: u16) -> Option<World> {
    let world = World::with_levers("call a webhook on this machine").await?;
    let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}});
    world.client.create(&NAMESPACES.collection(""), &home).await.unwrap();
    apply(&world, port).await;
    Some(world)
}

/// Applies `config/webhook`, and leads its Service to this port.
async fn apply(world: &World, port: u16) {
    for object in objects_of("webhook") {
        world.apply_manifest(&object).await;
    }
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "operator", "labels": {"kubernetes.io/service-name": SERVICE}},
        "ports": [{"name": "webhook", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": true}}],
    });
    world.client.create(&ENDPOINT_SLICES.collection(HOME), &slice).await.unwrap();
}

fn serve(settings: &mut Settings, port: u16, pace: Pace) {
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let allowed_registries = Some(ALLOWED.parse().unwrap());
    let webhook = Webhook { address, service: ObjectKey::new(HOME, SERVICE), allowed_registries, pace };
    settings.serving = Serving { webhook: Some(webhook), ..Serving::default() };
}

/// An operator that serves, once the API server trusts it.
async fn operator(world: &World, port: u16, pace: Pace) -> Operator {
    let operator = world.operator(|settings| serve(settings, port, pace)).await;
    eventually("the API server is told whom to trust", async || match bundle(world).await {
        Some(bundle) if Some(&bundle) == kept(world, "ca.crt").await.as_ref() => Ok(()),
        bundle => Err(format!("the bundle is {bundle:?}")),
    })
    .await;
    operator
}

/// What the API server trusts.
async fn bundle(world: &World) -> Option<String> {
    let configuration = world.client.get(&WEBHOOK_CONFIGURATIONS.path("", CONFIGURATION)).await.unwrap();
    decoded(&configuration["webhooks"][0]["clientConfig"]["caBundle"])
}

/// What the operator's Secret contains under this name.
async fn kept(world: &World, name: &str) -> Option<String> {
    let secret = world.client.get(&SECRETS.path(HOME, CERTIFICATE)).await.ok()?;
    decoded(&secret["data"][name])
}

fn decoded(value: &Value) -> Option<String> {
    let ByteString(bytes) = serde_json::from_value(value.clone()).ok()?;
    Some(String::from_utf8(bytes).unwrap())
}

fn encoded(text: &str) -> Value {
    serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap()
}

/// Creates a server with this spec; the warnings.
async fn create(world: &World, name: &str, spec: Value) -> Result<Vec<String>, Refused> {
    let path = SERVERS.collection(&world.namespace);
    world.client.create_and_hear(&path, &server(name, spec)).await.map(|(_, warnings)| warnings)
}

fn is_denied(answer: &Result<Vec<String>, Refused>) -> bool {
    matches!(answer, Err(Refused { code: 403, body }) if body.contains("validate.mcp.mcp.dev"))
}

#[tokio::test]
async fn what_the_webhook_says_reaches_whoever_is_typing() {
    let port = free_port();
    let Some(world) = world(port).await else { return };
    let operator = operator(&world, port, QUIET).await;
    let warnings = create(&world, "a", json!({"image": "ghcr.io/a/b:latest", "secretName": "later"})).await.unwrap();
    let expected = ["spec.image: with the tag latest", "spec.secretName: Secret later does not exist yet"];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(&format!("299 - \"{expected}")), "{warning}");
    }
    assert_eq!(create(&world, "b", json!({"image": "quay.io/team/app:1"})).await.unwrap(), Vec::<String>::new());

    let denied = create(&world, "c", json!({"image": "nginx:1"})).await.unwrap_err();
    let status: Value = serde_json::from_str(&denied.body).unwrap();
    let message = "admission webhook \"validate.mcp.mcp.dev\" denied the request: spec.image: \"nginx:1\" comes from \
                   docker.io, but this cluster allows only images from: ghcr.io, quay.io/team";
    assert_eq!((denied.code, &status["reason"], &status["message"]), (403, &json!("Forbidden"), &json!(message)));
    assert!(world.find(SERVERS, "c").await.is_none());
    operator.stop().await;
}

/// A server that is older than the policy.
#[tokio::test]
async fn what_is_there_already_can_be_scaled_and_deleted_but_not_given_another_such_image() {
    let port = free_port();
    let Some(world) = world(port).await else { return };
    create(&world, "old", json!({"image": "nginx:1", "replicas": 0})).await.unwrap();
    let operator = operator(&world, port, QUIET).await;
    world.until("its status is written", SERVERS, "old", |it| it["status"]["phase"].is_string()).await;
    let path = SERVERS.path(&world.namespace, "old");
    let change = async |spec: Value| world.merge_at(&path, &json!({"spec": spec})).await;
    assert!(change(json!({"replicas": 1, "port": 9090})).await.is_ok());
    assert_eq!(change(json!({"image": "nginx:2"})).await.unwrap_err().code, 403);
    world.merge(SERVERS, "old/scale", &json!({"spec": {"replicas": 0}})).await;
    world.delete(SERVERS, "old").await;
    operator.stop().await;
}

#[tokio::test]
async fn while_the_webhook_is_not_trusted_or_not_there_everything_is_allowed() {
    let port = free_port();
    let Some(world) = world(port).await else { return };
    assert!(create(&world, "before", json!({"image": "nginx:1"})).await.is_ok(), "there is no operator yet");
    let operator = operator(&world, port, QUIET).await;
    assert!(is_denied(&create(&world, "x", json!({"image": "nginx:1"})).await));

    let path = WEBHOOK_CONFIGURATIONS.path("", CONFIGURATION);
    let mut webhooks = world.client.get(&path).await.unwrap()["webhooks"].clone();
    let stranger =
        smooth_operator::tls::Pair::make(&[HOST.to_owned()], jiff::Timestamp::now(), QUIET.lifetime).unwrap().1;
    webhooks[0]["clientConfig"]["caBundle"] = encoded(stranger.pem());
    world.merge_at(&path, &json!({"webhooks": webhooks})).await.unwrap();
    assert!(create(&world, "untrusted", json!({"image": "nginx:1"})).await.is_ok());
    operator.stop().await;
    assert!(create(&world, "gone", json!({"image": "nginx:1"})).await.is_ok());
}

/// Every request must be denied: one that the API server could not ask about would be allowed.
#[tokio::test]
async fn no_request_passes_unasked_while_the_certificate_is_renewed_twice() {
    let port = free_port();
    let Some(world) = world(port).await else { return };
    let operator = operator(&world, port, HASTY).await;
    let mut certificates = Vec::new();
    let mut asked = 0;
    eventually("the certificate was renewed twice", async || {
        for _ in 0..10 {
            let answer = create(&world, "x", json!({"image": "nginx:1"})).await;
            assert!(is_denied(&answer), "request {asked}, with certificate {}: {answer:?}", certificates.len());
            asked += 1;
        }
        let current = kept(&world, "tls.crt").await.unwrap();
        if certificates.last() != Some(&current) {
            certificates.push(current);
        }
        let retired = bundle(&world).await.unwrap().matches("BEGIN").count() == 1;
        if certificates.len() > 2 && retired { Ok(()) } else { Err(format!("{asked} requests")) }
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn two_replicas_that_start_at_once_show_the_same_certificate() {
    let ports = [free_port(), free_port()];
    let Some(world) = world(ports[0]).await else { return };
    let start = async |port| {
        let election = Election { lease: ObjectKey::new(HOME, "smooth-operator"), timing: Timing::default() };
        let change = |settings: &mut Settings| {
            serve(settings, port, QUIET);
            settings.election = Some(election);
        };
        world.operator(change).await
    };
    let (one, other) = tokio::join!(start(ports[0]), start(ports[1]));
    for port in ports {
        eventually("both show what is in the Secret", async || {
            let (Some(kept), Some(trusted)) = (kept(&world, "tls.crt").await, kept(&world, "ca.crt").await) else {
                return Err("there is none".to_owned());
            };
            let stream = https::connect(port, HOST, Some(&trusted)).await.map_err(|error| error.to_string())?;
            if https::shown(&stream) == https::certificate(&kept) { Ok(()) } else { Err("another one".to_owned()) }
        })
        .await;
    }
    one.stop().await;
    other.stop().await;
}

/// A Secret that can't be used, and another instance that leads and does nothing about it.
#[tokio::test]
async fn a_replica_without_a_certificate_is_not_ready_and_says_so() {
    let (port, health) = (free_port(), free_port());
    let Some(world) = world(port).await else { return };
    let spoilt =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CERTIFICATE}, "stringData": {"a": "b"}});
    world.client.create(&SECRETS.collection(HOME), &spoilt).await.unwrap();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"holderIdentity": "another", "leaseDurationSeconds": 3600},
    });
    world.create(LEASES, &lease).await;
    let key = ObjectKey::new(world.namespace.as_str(), "l");
    let change = |settings: &mut Settings| {
        serve(settings, port, QUIET);
        settings.election = Some(Election { lease: key, timing: Timing::default() });
        settings.health = format!("127.0.0.1:{health}").parse().unwrap();
    };
    let operator = world.operator(change).await;
    let ready = async || readyz(health).await.unwrap_or_else(|error| error.to_string());
    eventually("it waits for the certificate", async || {
        let answer = ready().await;
        let waits = answer.contains("[+]informers-synced ok")
            && answer.contains("[-]webhook-certificate failed: waiting for the certificate in Secret smooth-operator-system/smooth-operator-webhook-cert");
        if waits { Ok(()) } else { Err(answer) }
    })
    .await;
    world.client.delete(&SECRETS.path(HOME, CERTIFICATE), &json!({})).await.unwrap();
    eventually("it makes one and is ready", async || {
        let answer = ready().await;
        if answer.contains(" 200 ") { Ok(()) } else { Err(answer) }
    })
    .await;
    operator.stop().await;
}

async fn readyz(port: u16) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /readyz?verbose HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// As its ServiceAccount, with the roles of `config/webhook`: enough for the certificate, and nothing in them is unused
/// but the `update` of a renewal, which comes after two months.
#[tokio::test]
async fn the_roles_are_enough_to_make_the_certificate_and_have_it_trusted() {
    let Some(world) = World::with_roles(|_| {}).await else { return };
    let port = free_port();
    apply(&world, port).await;
    let address = format!("127.0.0.1:{port}");
    let flags = ["--webhook-bind-address", &address, "--allowed-registries", ALLOWED];
    let operator = world.process_with_roles(&[&flags[..], &QUICK_ELECTION[..]].concat());
    eventually("the webhook denies", async || {
        let answer = create(&world, "x", json!({"image": "nginx:1"})).await;
        if is_denied(&answer) {
            return Ok(());
        }
        if answer.is_ok() {
            world.delete(SERVERS, "x").await;
        }
        Err(operator.output())
    })
    .await;
    operator.signal("TERM").await;
    let ended = operator.ends().await;
    assert!(ended.status.success(), "{ended:?}");
    assert!(!ended.output.contains("PRIVATE KEY"), "{ended:?}");

    let asked = world.asked_by_the_operator();
    let refused: Vec<&RequestRecord> = asked.iter().filter(|request| matches!(request.status, 401 | 403)).collect();
    assert!(refused.is_empty(), "these requests were refused: {refused:#?}");
    for (verb, resource, name) in [
        ("create", "secrets", ""),
        ("get", "secrets", CERTIFICATE),
        ("get", "validatingwebhookconfigurations.admissionregistration.k8s.io", CONFIGURATION),
        ("apply", "validatingwebhookconfigurations.admissionregistration.k8s.io", CONFIGURATION),
    ] {
        let used =
            asked.iter().any(|it| it.verb == verb && it.resource == resource && (name.is_empty() || it.name == name));
        assert!(used, "{verb} {resource} {name}");
    }
}

/// `kubectl apply --server-side` of the same manifests, as an upgrade does it.
#[tokio::test]
async fn an_upgrade_of_the_configuration_keeps_what_the_api_server_trusts() {
    let port = free_port();
    let Some(world) = world(port).await else { return };
    let operator = operator(&world, port, QUIET).await;
    let before = bundle(&world).await;
    let mut manifests = objects_of("webhook");
    manifests.retain(|object| object["kind"] == "ValidatingWebhookConfiguration");
    manifests[0]["webhooks"][0]["timeoutSeconds"] = 4.into();
    world.apply_manifest(&manifests[0]).await;
    assert_eq!(bundle(&world).await, before);
    assert!(is_denied(&create(&world, "x", json!({"image": "nginx:1"})).await));
    let configuration = world.client.get(&WEBHOOK_CONFIGURATIONS.path("", CONFIGURATION)).await.unwrap();
    assert_eq!(configuration["webhooks"][0]["timeoutSeconds"], 4);
    operator.stop().await;
}
