//! The words of an API server that says no, taken from Kubernetes' own source.

use bytes::Bytes;
use http::Response;

use super::asked::Asked;
use super::rule::{Answer, Policy, Quota};
use crate::http::{Body, response};
use crate::resources::Resource;
use crate::schema::Cause;
use crate::status::Status;

/// An answer that the server never gave.
pub(crate) fn wrong_answer(answer: Answer, asked: &Asked) -> Response<Body> {
    match answer {
        // The watch has begun when the server finds that it can't be served: the answer is 200, and the news an event.
        Answer::Gone if asked.verb == "watch" => response::whole(200, "application/json", error_event(answer)),
        // Priority and fairness refuses before anything knows what the request is about: in plain text.
        Answer::TooManyRequests { retry_after } if !matches!(asked.verb, "list" | "watch") => {
            let text = "Too many requests, please try again later.\n";
            let mut response = response::whole(429, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()));
            response.headers_mut().insert(http::header::RETRY_AFTER, retry_after.into());
            response
        }
        Answer::Conflict => match &asked.resource {
            Some(resource) => response::status(&conflict(resource, asked)),
            None => response::status(&status(answer)),
        },
        Answer::Gone | Answer::TooManyRequests { .. } | Answer::Internal | Answer::Unavailable => {
            response::status(&status(answer))
        }
    }
}

/// The line with which a watch ends that can't go on.
pub(super) fn error_event(answer: Answer) -> Bytes {
    let status = match answer {
        Answer::Gone => Status::expired("too old resource version: 1 (2)"),
        Answer::Conflict | Answer::TooManyRequests { .. } | Answer::Internal | Answer::Unavailable => status(answer),
    };
    format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status.to_value()).into()
}

fn status(answer: Answer) -> Status {
    match answer {
        Answer::Conflict => Status::failure(409, "Conflict", "Operation cannot be fulfilled"),
        Answer::Gone => Status::expired("The resourceVersion for the provided list is too old."),
        Answer::TooManyRequests { retry_after } => {
            Status::too_many_requests("storage is (re)initializing", retry_after)
        }
        Answer::Internal => Status::failure(500, "", "etcdserver: leader changed"),
        Answer::Unavailable => {
            Status::failure(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        }
    }
}

fn conflict(resource: &Resource, asked: &Asked) -> Status {
    if asked.verb != "create" {
        return Status::modified(resource, &asked.name);
    }
    let mut status = Status::already_exists(resource, &asked.name);
    status.message = format!("object is being deleted: {}", status.message);
    status
}

/// 403, as the ResourceQuota admission plugin says it.
pub(crate) fn over_quota(quota: &Quota, asked: &Asked) -> Response<Body> {
    let Quota { name: quota, used, limit } = quota;
    let counted = format!("count/{}", asked.resource_name());
    let why =
        format!("exceeded quota: {quota}, requested: {counted}=1, used: {counted}={used}, limited: {counted}={limit}");
    response::status(&forbidden(asked, &why, Vec::new()))
}

/// 422, as the ValidatingAdmissionPolicy plugin says it: the words of a 403 under another code.
pub(crate) fn policy_denied(policy: &Policy, asked: &Asked) -> Response<Body> {
    let Policy { name: policy, binding, message } = policy;
    let why = format!("ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}");
    let cause = Cause { reason: String::new(), field: String::new(), message: why.clone() };
    let status = Status { code: 422, reason: "Invalid".into(), ..forbidden(asked, &why, vec![cause]) };
    response::status(&status)
}

fn forbidden(asked: &Asked, why: &str, causes: Vec<Cause>) -> Status {
    match &asked.resource {
        Some(resource) => Status::forbidden(resource, &asked.name, why, causes),
        None => Status::failure(403, "Forbidden", format!("forbidden: {why}")),
    }
}
