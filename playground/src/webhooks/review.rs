//! The question: an `AdmissionReview` of `admission.k8s.io/v1`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::auth::User;
use crate::cluster::{Attempt, Operation};
use crate::resources::{Resource, scale_of};
use crate::storage::Key;

/// What is asked about: an attempt, taken apart as far as rules and questions need it.
pub(super) struct Asked {
    pub(super) operation: Operation,
    /// In the version that was requested.
    pub(super) resource: Arc<Resource>,
    /// Empty for the object itself.
    pub(super) subresource: String,
    pub(super) key: Key,
    /// As it would be; what is reviewed of a scale is the Scale. `None` for a delete.
    pub(super) object: Option<Value>,
    /// As it is; `None` for a create.
    pub(super) old_object: Option<Value>,
    dry_run: bool,
}

impl Asked {
    pub(super) fn of(attempt: &Attempt, subresource: Option<&str>) -> Self {
        let target = &attempt.target;
        let view = |object: Value| match subresource {
            Some("scale") => scale_of(&target.stored, &object),
            Some(_) | None => object,
        };
        Self {
            operation: attempt.operation(),
            resource: Arc::clone(&target.resource),
            subresource: subresource.unwrap_or_default().to_owned(),
            key: target.key.clone(),
            object: attempt.object().map(view),
            old_object: attempt.old_object().map(view),
            dry_run: attempt.dry_run,
        }
    }

    pub(super) fn is_namespace(&self) -> bool {
        self.resource.group_resource() == "namespaces"
    }

    /// A namespace is in itself; what else is in none has an empty one.
    pub(super) fn namespace(&self) -> &str {
        if self.is_namespace() { &self.key.name } else { &self.key.namespace }
    }

    /// The request of a review for whoever sees the object as this version has it.
    pub(super) fn request(&self, form: &Resource, uid: &str, user: &User, options: &Map<String, Value>) -> Value {
        let (operation, options_kind) = match self.operation {
            Operation::Create => ("CREATE", "CreateOptions"),
            Operation::Update => ("UPDATE", "UpdateOptions"),
            Operation::Delete => ("DELETE", "DeleteOptions"),
        };
        let mut options = options.clone();
        options.insert("kind".into(), options_kind.into());
        options.insert("apiVersion".into(), "meta.k8s.io/v1".into());
        let mut request = json!({
            "uid": uid,
            "kind": self.kind(form),
            "resource": resource(form),
            "requestKind": self.kind(&self.resource),
            "requestResource": resource(&self.resource),
            "operation": operation,
            "userInfo": user.info(),
            "object": self.served(form, self.object.as_ref()),
            "oldObject": self.served(form, self.old_object.as_ref()),
            "dryRun": self.dry_run,
            "options": options,
        });
        for (name, text) in [
            ("name", self.key.name.as_str()),
            ("namespace", self.namespace()),
            ("subResource", &self.subresource),
            ("requestSubResource", &self.subresource),
        ] {
            if !text.is_empty() {
                request[name] = text.into();
            }
        }
        request
    }

    fn kind(&self, form: &Resource) -> Value {
        match self.subresource.as_str() {
            "scale" => json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}),
            _ => json!({"group": form.group, "version": form.version, "kind": form.kind}),
        }
    }

    fn served(&self, form: &Resource, object: Option<&Value>) -> Value {
        let Some(object) = object else { return Value::Null };
        let mut object = object.clone();
        if self.subresource != "scale" {
            form.to_served(&mut object);
        }
        object
    }
}

fn resource(form: &Resource) -> Value {
    json!({"group": form.group, "version": form.version, "resource": form.plural})
}

/// The whole review, as it goes over the wire.
pub(super) fn body(request: &Value) -> String {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string()
}
