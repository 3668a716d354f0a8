//! The recorded webhook: what the API server asked, and what its clients saw of the answers.

use playground::auth::{StaticToken, User};
use serde_json::{Value, json};

use crate::hook::{Hook, Said, Seen, said};
use crate::replay::{Replay, recorded};

const PATH: &str = "/validate-mcp-mcp-dev-v1alpha1-mcpserver";
const SERVER: &str = "/apis/mcp.mcp.dev/v1alpha1/namespaces/default/mcpservers/hooked";
const TOKEN: &str = "admin";

fn answer(review: &Value) -> Said {
    if review["request"]["object"]["spec"]["image"] == "denied" {
        return said(
            review,
            json!({"allowed": false, "status": {"code": 422, "message": "spec.image: denied by policy"}}),
        );
    }
    let warnings =
        if review["request"]["operation"] == "CREATE" { json!(["image has no digest"]) } else { Value::Null };
    said(review, json!({"allowed": true, "warnings": warnings}))
}

fn configuration(hook: &Hook) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "recorded"},
        "webhooks": [{
            "name": "rec.mcp.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"url": format!("https://{}{PATH}", hook.address), "caBundle": hook.ca_bundle},
            "rules": [{
                "operations": ["CREATE", "UPDATE", "DELETE"],
                "apiGroups": ["mcp.mcp.dev"],
                "apiVersions": ["v1alpha1"],
                "resources": ["mcpservers", "mcpservers/scale"],
            }],
        }],
    })
}

/// The recorded administrator, whose certificate is known by its hash.
fn admin() -> User {
    let user = &recorded("webhook/review-create")["request"]["body"]["request"]["userInfo"];
    let hash = user["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap();
    let extra = [("authentication.kubernetes.io/credential-id".to_owned(), vec![hash.to_owned()])];
    User { extra: extra.into(), ..User::new("admin", &["system:masters"]) }
}

fn compare(replay: &mut Replay, name: &str, seen: &Seen) {
    let request = &recorded(name)["request"];
    assert_eq!(seen.path, request["path"], "{name}");
    for (header, value) in request["headers"].as_object().unwrap() {
        assert_eq!(seen.headers[header], value.as_str().unwrap(), "{name}");
    }
    let differences = replay.differences(&request["body"], &seen.review);
    assert!(differences.is_empty(), "{name}:\n  {}\nours: {:#}", differences.join("\n  "), seen.review);
}

/// What was not recorded of the clients' side.
async fn write(replay: &Replay, method: &str, path: &str, body: &Value) {
    let headers = json!({"Authorization": format!("Bearer {TOKEN}"), "Content-Type": "application/merge-patch+json"});
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = replay.send(method, path, headers.as_object().unwrap(), body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Tells the recorded story, up to where the webhook is gone.
pub(crate) async fn tell(replay: &mut Replay) {
    replay.cluster.accept_token(StaticToken { token: TOKEN.into(), user: admin() });
    let hook = Hook::start(answer).await;
    let resource = "validatingwebhookconfigurations.admissionregistration.k8s.io";
    replay.cluster.create(resource, "", configuration(&hook), "test").unwrap();

    replay.step_with_token("webhook/create-allowed-with-warning", TOKEN).await;
    compare(replay, "webhook/review-create", &hook.seen()[0]);
    replay.step_with_token("webhook/create-denied", TOKEN).await;
    compare(replay, "webhook/review-create-denied", &hook.seen()[1]);
    write(replay, "PATCH", SERVER, &json!({"spec": {"replicas": 2}})).await;
    compare(replay, "webhook/review-update", &hook.seen()[2]);
    write(replay, "PATCH", &format!("{SERVER}/scale"), &json!({"spec": {"replicas": 3}})).await;
    compare(replay, "webhook/review-scale", &hook.seen()[3]);
    write(replay, "DELETE", SERVER, &Value::Null).await;
    compare(replay, "webhook/review-delete", &hook.seen()[4]);
    assert_eq!(hook.seen().len(), 5);

    let address = hook.address.to_string();
    hook.stop().await;
    let exchange = recorded("webhook/create-unreachable");
    let answer = replay.ask(&exchange).await;
    let expected = exchange["response"]["body"].to_string().replace("127.0.0.1:9443", &address);
    assert_eq!(answer.status, 500);
    assert_eq!(answer.body, serde_json::from_str::<Value>(&expected).unwrap());
}
