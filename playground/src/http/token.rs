//! `serviceaccounts/token`: a ServiceAccount's token for the asking, as `kubectl create token` does
//! (`pkg/registry/core/serviceaccount/storage/token.go`).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::query::cause;
use super::route::Place;
use super::{Answer, Call, mutate, response};
use crate::auth::API_AUDIENCE;
use crate::status::Status;

/// In seconds, as all of them.
const HOUR: i64 = 3600;
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;

/// POST of a TokenRequest.
pub(super) fn request(call: &Call<'_>, place: &Place) -> Answer {
    let request = mutate::body(call, "TokenRequest")?;
    if !matches!(request["kind"].as_str(), None | Some("" | "TokenRequest")) {
        let message = format!("{} cannot be handled as a TokenRequest", request["kind"]);
        return Err(Status::bad_request(message));
    }
    let spec = &request["spec"];
    if spec["boundObjectRef"].is_object() {
        return Err(Status::not_implemented("tokens that are bound to a pod, a Secret or a node"));
    }
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(HOUR);
    check(seconds)?;
    let asked = spec["audiences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut audiences: Vec<String> = asked.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    if audiences.is_empty() {
        audiences.push(API_AUDIENCE.to_owned());
    }
    let (namespace, name) = (place.namespace.as_deref().unwrap_or_default(), place.name.as_deref().unwrap_or_default());
    let lifetime = SignedDuration::from_secs(seconds);
    let (token, issued) = call.cluster.issue(namespace, name, lifetime, audiences)?;
    let until = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let body = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": call.cluster.timestamp()},
        "spec": {"audiences": issued.audiences, "expirationSeconds": seconds, "boundObjectRef": Value::Null},
        "status": {"token": token, "expirationTimestamp": until(issued.expires)},
    });
    Ok(response::json(201, &body))
}

fn check(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        ..SHORTEST => "may not specify a duration less than 10 minutes",
        SHORTEST..=LONGEST => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let message = format!("Invalid value: {seconds}: {why}");
    let causes = vec![cause("FieldValueInvalid", "spec.expirationSeconds", &message)];
    Err(Status::invalid_kind("authentication.k8s.io", "TokenRequest", causes))
}
