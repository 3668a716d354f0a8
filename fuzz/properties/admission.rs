//! The webhook's answer to any question.

use serde_json::{Value, json};
use smooth_operator::admission::Reviewer;

use super::json::turned;
use super::recordings::{exchanges, samples};

/// What an error message may repeat of a stranger's text, and say around it, in bytes.
const LONGEST_ERROR: usize = 1024;
/// What the API server keeps of a warning, in characters.
const LONGEST_WARNING: usize = 256;

/// The answer is JSON, of the right kind, to this question; it is short where it is nothing but an error; and it does not
/// depend on the order of keys.
pub fn holds(bytes: &[u8]) {
    for registries in [None, Some("ghcr.io,docker.io/library")] {
        let reviewer =
            Reviewer::new(registries.map(|text| text.parse().expect("registries")), |key| match key.name().len() {
                0 => None,
                length => Some(length.is_multiple_of(2)),
            });
        match reviewer.review(bytes) {
            Ok(answer) => {
                let question: Value = serde_json::from_slice(bytes).unwrap_or_default();
                check(&answer, &question);
                let turned = std::str::from_utf8(bytes).ok().and_then(turned);
                if let Some(turned) = turned {
                    assert_eq!(reviewer.review(turned.as_bytes()), Ok(answer));
                }
            }
            Err(malformed) => {
                let error = malformed.to_string();
                assert!(error.len() <= LONGEST_ERROR, "{} bytes of error", error.len());
            }
        }
    }
}

fn check(answer: &str, question: &Value) {
    let answer: Value = serde_json::from_str(answer).expect("the answer is JSON");
    let response = &answer["response"];
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    let allowed = response["allowed"].as_bool().expect("a yes or a no");
    // A part of the question may be beyond a parser that reads all of it; and serde takes a list for a struct, too.
    if question["request"].is_object() {
        assert_eq!(response["uid"], question["request"]["uid"]);
        let operation = question["request"]["operation"].as_str().expect("nothing is answered without it");
        assert!(allowed || matches!(operation, "CREATE" | "UPDATE"), "{operation} is refused");
    }
    assert!(response["uid"].is_string());
    assert_eq!(allowed, response["status"].is_null());
    assert!(allowed || response["status"]["message"].as_str().is_some_and(|why| !why.is_empty()));
    for warning in response["warnings"].as_array().into_iter().flatten() {
        let length = warning.as_str().expect("a warning is text").chars().count();
        assert!((1..=LONGEST_WARNING).contains(&length), "{length} characters of warning");
    }
}

/// The recorded reviews, and the samples in the place of their objects.
pub fn recorded() -> Vec<Vec<u8>> {
    let reviews = exchanges("webhook").into_iter().map(|exchange| exchange["request"]["body"].clone());
    let reviews: Vec<Value> = reviews.filter(|body| body["kind"] == "AdmissionReview").collect();
    let update =
        reviews.iter().find(|review| review["request"]["operation"] == "UPDATE").expect("a review of an update");
    let with_sample = samples().into_iter().map(|sample| {
        let mut review = update.clone();
        review["request"]["object"]["spec"] = sample["spec"].clone();
        review
    });
    reviews.iter().cloned().chain(with_sample).map(|review| review.to_string().into_bytes()).collect()
}
