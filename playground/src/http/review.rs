//! Reviews: questions about rights and credentials, asked as objects that are answered and never stored.
//!
//! | asked | answered |
//! |---|---|
//! | `SelfSubjectAccessReview` | may I? (`kubectl auth can-i`) |
//! | `SubjectAccessReview`, `LocalSubjectAccessReview` | may they? |
//! | `SelfSubjectRulesReview` | what may I here? (`kubectl auth can-i --list`) |
//! | `SelfSubjectReview` | who am I? (`kubectl auth whoami`) |
//! | `TokenReview` | whose token is this? |

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::query::cause;
use super::{Answer, Call, mutate, response};
use crate::auth::{API_AUDIENCE, About, Attributes, ResourceAttributes, Rule, User};
use crate::fields::{Schema, Updater, track_update};
use crate::status::Status;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Review {
    SelfAccess,
    Access,
    LocalAccess,
    SelfRules,
    Token,
    SelfSubject,
}

use Review::{Access, LocalAccess, SelfAccess, SelfRules, SelfSubject, Token};

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

impl Review {
    /// All of them, in the order of discovery.
    pub(super) const ALL: [Self; 6] = [SelfSubject, Token, LocalAccess, SelfAccess, SelfRules, Access];

    /// All are served in this version.
    pub(super) const VERSION: &'static str = "v1";

    pub(super) fn group(self) -> &'static str {
        match self {
            SelfAccess | Access | LocalAccess | SelfRules => AUTHORIZATION,
            Token | SelfSubject => AUTHENTICATION,
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            SelfAccess => "SelfSubjectAccessReview",
            Access => "SubjectAccessReview",
            LocalAccess => "LocalSubjectAccessReview",
            SelfRules => "SelfSubjectRulesReview",
            Token => "TokenReview",
            SelfSubject => "SelfSubjectReview",
        }
    }

    pub(super) fn singular(self) -> String {
        self.kind().to_lowercase()
    }

    pub(super) fn plural(self) -> String {
        format!("{}s", self.singular())
    }

    pub(super) fn namespaced(self) -> bool {
        self == LocalAccess
    }

    /// The review at this place, if there is one.
    pub(super) fn at(group: &str, version: &str, plural: &str, namespaced: bool) -> Option<Self> {
        let here = |review: &Self| review.group() == group && review.plural() == plural;
        Self::ALL.into_iter().filter(|review| version == Self::VERSION && review.namespaced() == namespaced).find(here)
    }

    fn api_version(self) -> String {
        format!("{}/{}", self.group(), Self::VERSION)
    }
}

/// POST of a review.
pub(super) fn answer(call: &Call<'_>, review: Review, namespace: &str) -> Answer {
    if *call.method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let mut asked = asked(call, review)?;
    let status = match review {
        SelfAccess => {
            let wanted = wanted(review, &asked["spec"], None)?;
            access(call, &call.user, &wanted)
        }
        Access | LocalAccess => {
            let user = user_of(&asked["spec"]);
            let namespace = (review == LocalAccess).then_some(namespace);
            let wanted = wanted(review, &asked["spec"], namespace)?;
            access(call, &user, &wanted)
        }
        SelfRules => rules(call, &asked["spec"])?,
        Token => token(call, &asked["spec"])?,
        SelfSubject => {
            let now = call.cluster.timestamp();
            let status = json!({"userInfo": call.user.info()});
            let kind = review.kind();
            let metadata = json!({"creationTimestamp": now});
            let body =
                json!({"kind": kind, "apiVersion": review.api_version(), "metadata": metadata, "status": status});
            return Ok(response::json(201, &body));
        }
    };
    asked["status"] = status;
    Ok(response::json(201, &asked))
}

/// The question, with its field's owner noted as in any object that is made.
fn asked(call: &Call<'_>, review: Review) -> Result<Value, Status> {
    let mut object = mutate::body(call, review.kind())?;
    let given = |name: &str| object[name].as_str().unwrap_or_default();
    let matches = |name: &str, wanted: &str| given(name).is_empty() || given(name) == wanted;
    if !object.is_object() || !matches("kind", review.kind()) || !matches("apiVersion", &review.api_version()) {
        return Err(Status::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}",
            given("kind"),
            given("apiVersion"),
            review.kind()
        )));
    }
    let spec = object["spec"].take();
    let mut object = json!({"kind": review.kind(), "apiVersion": review.api_version(), "metadata": {}});
    if !spec.is_null() {
        object["spec"] = spec;
    }
    let by = Updater {
        manager: &call.manager(),
        api_version: &review.api_version(),
        subresource: None,
        now: &call.cluster.timestamp(),
    };
    let managed = track_update(None, &object, None, by, &Schema::builtin(review.kind()));
    if let Ok(entries) = serde_json::from_slice::<Value>(&managed) {
        object["metadata"]["managedFields"] = entries;
    }
    Ok(object)
}

/// What a review asks for. `namespace` is where a local one was asked.
fn wanted(review: Review, spec: &Value, namespace: Option<&str>) -> Result<Attributes, Status> {
    let (about, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let mut causes = Vec::new();
    let mut invalid = |field: &str, value: &Value, detail: &str| {
        causes.push(cause("FieldValueInvalid", field, &format!("Invalid value: {value}: {detail}")));
    };
    if about.is_object() && path.is_object() {
        invalid("spec.nonResourceAttributes", path, "cannot be specified in combination with resourceAttributes");
    }
    if !about.is_object() && !path.is_object() {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        invalid("spec.resourceAttributes", &Value::Null, detail);
    }
    let nobody = text(spec, "user").is_empty() && spec["groups"].as_array().is_none_or(Vec::is_empty);
    if review != SelfAccess && nobody {
        invalid("spec.user", &json!(""), "at least one of user or group must be specified");
    }
    if namespace.is_some() && path.is_object() {
        invalid("spec.nonResourceAttributes", path, "disallowed on this kind of request");
    }
    if !causes.is_empty() {
        return Err(Status::invalid_kind(review.group(), review.kind(), causes));
    }
    if let Some(namespace) = namespace.filter(|namespace| text(about, "namespace") != *namespace) {
        return Err(Status::bad_request(format!(
            "spec.resourceAttributes.namespace must match namespace: {namespace}"
        )));
    }
    if path.is_object() {
        return Ok(Attributes {
            verb: text(path, "verb").to_owned(),
            about: About::Path(text(path, "path").to_owned()),
        });
    }
    let own = |key: &str| text(about, key).to_owned();
    let resource = ResourceAttributes {
        namespace: own("namespace"),
        group: own("group"),
        resource: own("resource"),
        subresource: own("subresource"),
        name: own("name"),
    };
    Ok(Attributes::upon(text(about, "verb"), resource))
}

fn access(call: &Call<'_>, user: &User, wanted: &Attributes) -> Value {
    let verdict = call.cluster.authorize(user, wanted);
    let mut status = json!({"allowed": verdict.allowed});
    if !verdict.reason.is_empty() {
        status["reason"] = verdict.reason.into();
    }
    status
}

fn rules(call: &Call<'_>, spec: &Value) -> Result<Value, Status> {
    let namespace = text(spec, "namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (rules, faults) = call.cluster.rules_for(&call.user, namespace);
    let (paths, resources): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(|rule| rule.resources.is_empty());
    let values = |rules: Vec<Rule>| rules.iter().map(Rule::to_value).collect::<Vec<_>>();
    let mut status =
        json!({"resourceRules": values(resources), "nonResourceRules": values(paths), "incomplete": false});
    if !faults.is_empty() {
        status["evaluationError"] = faults.join(", ").into();
    }
    Ok(status)
}

fn token(call: &Call<'_>, spec: &Value) -> Result<Value, Status> {
    let token = text(spec, "token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let mut audiences = texts(&spec["audiences"]);
    if audiences.is_empty() {
        audiences.push(API_AUDIENCE.to_owned());
    }
    Ok(match call.cluster.identify(token, &audiences) {
        Some((user, audiences)) => json!({"authenticated": true, "user": user.info(), "audiences": audiences}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}

fn user_of(spec: &Value) -> User {
    let extra = spec["extra"].as_object().into_iter().flatten();
    let extra: BTreeMap<_, _> = extra.map(|(key, values)| (key.clone(), texts(values))).collect();
    User { name: text(spec, "user").into(), uid: text(spec, "uid").into(), groups: texts(&spec["groups"]), extra }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
