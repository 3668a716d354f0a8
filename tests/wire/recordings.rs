//! Every recorded exchange that this operator could take part in, asked in its own words.
//!
//! The recording is matched strictly: method, path, content type, query and body of a write have to be those that the real
//! server was sent. So these tests hold the requests to the contract, too.

use serde_json::Value;
use smooth_operator::client::{Client, Error, Request};
use wiremock::MockServer;

use crate::fixture::{Exchange, all_recorded, client_of};

/// Asks, and gives what was answered as JSON: an object, or a list put together from its items.
async fn ask(client: &Client, request: Request) -> Result<Value, Error> {
    if request.uri().contains("limit=") {
        let mut items = Vec::<Value>::new();
        let meta = client.list(request, |item| items.push(serde_json::from_slice(item).unwrap())).await?;
        return Ok(
            serde_json::json!({"items": items, "resourceVersion": meta.resource_version, "continue": meta.continue_token}),
        );
    }
    client.send(request).await
}

/// What a list says, in the shape that [`ask`] gives it.
fn essence(recorded: &Value) -> Value {
    if recorded["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) {
        let meta = &recorded["metadata"];
        let token = meta["continue"].as_str().unwrap_or_default();
        return serde_json::json!({"items": recorded["items"], "resourceVersion": meta["resourceVersion"], "continue": token});
    }
    recorded.clone()
}

/// Code, reason, message, causes and pause of a refusal are those that the server gave.
fn assert_refusal(exchange: &Exchange, error: &Error) {
    let Exchange { name, response, .. } = exchange;
    let Error::Api { status, retry_after, operation } = error else { panic!("{name}: {error:?}") };
    let said = |field: &str| response.body[field].as_str().unwrap_or_default();
    assert_eq!((status.code, status.reason.as_str()), (response.status, said("reason")), "{name}");
    let message = response.body.as_str().map_or_else(|| said("message").to_owned(), |text| text.trim().to_owned());
    assert_eq!(status.message, message, "{name}");
    let causes = status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .map(|cause| [&cause.reason, &cause.field, &cause.message]);
    let recorded = response.body["details"]["causes"].as_array().into_iter().flatten();
    let recorded = recorded
        .map(|cause| ["reason", "field", "message"].map(|name| cause[name].as_str().unwrap_or_default().to_owned()));
    assert!(causes.map(|cause| cause.map(Clone::clone)).eq(recorded), "{name}: {:?}", status.details);
    let seconds = response.headers.get("retry-after").map(|seconds| seconds.parse().unwrap());
    assert_eq!(retry_after.map(|pause| pause.as_secs()), seconds, "{name}");
    let text = error.to_string();
    let beginning = format!("{operation}: {}", response.status);
    assert!(text.starts_with(&beginning) && text.contains(&message), "{name}: {text}");
    assert!(!text.contains('\n'), "{name}: one line: {text}");
}

#[tokio::test]
async fn every_recorded_answer_is_read_as_it_was_meant() {
    let server = MockServer::start().await;
    let client = client_of(&server.uri()).await;
    let (mut good, mut bad) = (0, 0);
    for exchange in all_recorded() {
        let Some(request) = exchange.request() else { continue };
        server.reset().await;
        exchange.answered_by(&server).await;
        let operation = request.operation.clone();
        match ask(&client, request).await {
            Ok(answer) => {
                assert!(exchange.response.status < 300, "{}: {operation}", exchange.name);
                assert_eq!(answer, essence(&exchange.response.body), "{}", exchange.name);
                good += 1;
            }
            Err(error) => {
                assert!(exchange.response.status >= 400, "{}: {error}", exchange.name);
                assert_refusal(&exchange, &error);
                bad += 1;
            }
        }
    }
    assert!(
        good >= 45 && bad >= 35,
        "{good} answers and {bad} refusals: has the recording shrunk, or can't we ask any more?"
    );
}
