//! SelfSubjectAccessReview: may I? There is no authorization here, so everybody may do everything.

use http::Method;

use super::{Answer, Call, mutate, response};
use crate::status::Status;

/// POST of a SelfSubjectAccessReview.
pub(super) fn review(call: &Call<'_>) -> Answer {
    if *call.method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let mut review = mutate::body(call, "SelfSubjectAccessReview")?;
    if review["kind"] != "SelfSubjectAccessReview" || !review["spec"].is_object() {
        return Err(Status::bad_request("the body must be a SelfSubjectAccessReview with a spec"));
    }
    review["status"] = serde_json::json!({"allowed": true, "reason": "the playground authorizes everything"});
    Ok(response::json(201, &review))
}
