//! The answer: what a webhook said, if it said it to this question and in the form that it must have.

use serde::Deserialize;
use serde_json::Value;

use crate::status::Status;

/// What comes of asking one webhook.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub(super) warnings: Vec<String>,
    /// `None` where the write is allowed.
    pub(super) refusal: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Review {
    api_version: String,
    kind: String,
    response: Option<Response>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(rename = "status")]
    result: Option<Value>,
    warnings: Option<Vec<String>>,
    patch: Option<String>,
    patch_type: Option<String>,
}

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Reads the answer to the question of this uid. The error says what is wrong with it, in Kubernetes' words.
pub(super) fn verdict(webhook: &str, uid: &str, body: &[u8]) -> Result<Verdict, String> {
    let review: Review = serde_json::from_slice(body)
        .map_err(|error| format!("failed to call webhook: couldn't get version/kind; json parse error: {error}"))?;
    let response = checked(review, uid).map_err(|why| format!("received invalid webhook response: {why}"))?;
    let refusal =
        (!response.allowed).then(|| Status::denied(webhook, response.result.as_ref().unwrap_or(&Value::Null)));
    Ok(Verdict { warnings: response.warnings.unwrap_or_default(), refusal })
}

fn checked(review: Review, uid: &str) -> Result<Response, String> {
    let Review { api_version, kind, response } = review;
    let response = response.ok_or("webhook response was absent")?;
    if response.uid != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", response.uid));
    }
    if api_version != API_VERSION || kind != KIND {
        // An apiVersion without a slash is a version of the core group, printed with an empty group.
        let got = if api_version.contains('/') { api_version } else { format!("/{api_version}") };
        return Err(format!("expected webhook response of {API_VERSION}, Kind={KIND}, got {got}, Kind={kind}"));
    }
    if response.patch.as_ref().is_some_and(|patch| !patch.is_empty()) {
        return Err("validating webhook may not return response.patch".into());
    }
    if response.patch_type.is_some() {
        return Err("validating webhook may not return response.patchType".into());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Verdict, String> {
        verdict("a.b.c", "1", body.to_string().as_bytes())
    }

    fn review(response: &Value) -> Value {
        json!({"apiVersion": API_VERSION, "kind": KIND, "response": response})
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        for (answer, why) in [
            (json!({}), "webhook response was absent"),
            (review(&json!({"uid": "2"})), "expected response.uid=\"1\", got \"2\""),
            (
                json!({"response": {"uid": "1", "allowed": true}}),
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=",
            ),
            (review(&json!({"uid": "1", "patch": "W10="})), "validating webhook may not return response.patch"),
            (
                review(&json!({"uid": "1", "patchType": "JSONPatch"})),
                "validating webhook may not return response.patchType",
            ),
        ] {
            assert_eq!(read(&answer), Err(format!("received invalid webhook response: {why}")));
        }
        assert!(verdict("a.b.c", "1", b"hello").unwrap_err().starts_with("failed to call webhook: couldn't get"));
    }

    #[test]
    fn a_refusal_is_told_as_the_webhook_put_it() {
        let refusal = |status: Value| {
            let answer = review(&json!({"uid": "1", "allowed": false, "status": status}));
            read(&answer).unwrap().refusal.unwrap()
        };
        let denied = "admission webhook \"a.b.c\" denied the request";
        let silent = refusal(Value::Null);
        assert_eq!((silent.code, silent.message), (400, format!("{denied} without explanation")));
        let success = refusal(json!({"code": 200, "status": "Success", "reason": "Nope"}));
        assert_eq!((success.code, success.message.as_str()), (400, format!("{denied}: Nope").as_str()));
        let told = refusal(json!({"code": 403, "reason": "TooBig", "message": "no", "details": {"kind": "x"}}));
        assert_eq!((told.code, &*told.reason, told.message), (403, "TooBig", format!("{denied}: no")));
        assert_eq!(told.details.unwrap().kind, "x");
    }

    #[test]
    fn what_is_allowed_may_come_with_a_warning() {
        let answer = review(&json!({"uid": "1", "allowed": true, "warnings": ["beware"]}));
        assert_eq!(read(&answer), Ok(Verdict { warnings: vec!["beware".into()], refusal: None }));
    }
}
