//! What the view knows about an MCPServer: what a person wants to see of it, read from the object.

use jiff::Timestamp;
use serde_json::Value;

use crate::story::{condition, wanted};

/// A registry that does not exist. As the beginning of an image's name, it makes the image one that can't be pulled.
const NO_REGISTRY: &str = "invalid.example/";

/// One MCPServer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// The phase; none before the operator has seen it.
    pub(crate) phase: Option<String>,
    /// How many pods are ready.
    pub(crate) ready: i64,
    /// How many pods the spec asks for.
    pub(crate) wanted: i64,
    /// Where it can be reached.
    pub(crate) url: Option<String>,
    /// Why it is not as it should be, or not yet.
    pub(crate) trouble: Option<String>,
    /// When it was created.
    pub(crate) created: Option<Timestamp>,
    /// The image of the spec.
    pub(crate) image: String,
    /// The Secret that the spec names.
    pub(crate) secret: Option<String>,
}

impl Server {
    /// Reads an MCPServer.
    pub(crate) fn read(object: &Value) -> Self {
        let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            phase: text(&status["phase"]),
            ready: status["readyReplicas"].as_i64().unwrap_or(0),
            wanted: wanted(object),
            url: text(&status["url"]),
            trouble: trouble(object),
            created: metadata["creationTimestamp"].as_str().and_then(|time| time.parse().ok()),
            image: spec["image"].as_str().unwrap_or_default().to_owned(),
            secret: text(&spec["secretName"]),
        }
    }

    /// Another image for it: one that can't be pulled; or, if it has such a one, the image that it had before.
    pub(crate) fn other_image(&self) -> Image {
        match self.image.strip_prefix(NO_REGISTRY) {
            Some(mended) => Image::Mended(mended.to_owned()),
            None => Image::Broken(format!("{NO_REGISTRY}{}", self.image)),
        }
    }
}

/// An image to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Image {
    /// One that can't be pulled.
    Broken(String),
    /// One that can.
    Mended(String),
}

/// The condition that keeps it from being Ready; while it is Ready, a rollout that is going on.
fn trouble(object: &Value) -> Option<String> {
    let told = |condition: &Value, with_reason: bool| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        match (with_reason, text("reason"), text("message")) {
            (true, reason, "") => reason.to_owned(),
            (true, reason, message) => format!("{reason}: {message}"),
            (false, _, message) => message.to_owned(),
        }
    };
    let Some(ready) = condition(object, "Ready") else { return Some("no status yet".to_owned()) };
    if ready["status"] != "True" {
        return Some(told(ready, true));
    }
    let progressing = condition(object, "Progressing")?;
    (progressing["reason"] == "RollingOut").then(|| told(progressing, false))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_conditions(conditions: &Value) -> Server {
        Server::read(&json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"image": "example.com/x:1"},
            "status": {"conditions": conditions},
        }))
    }

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        let server = with_conditions(
            &json!([{"type": "Ready", "status": "False", "reason": "SecretNotFound", "message": "Secret x does not exist"}]),
        );
        assert_eq!(server.trouble.as_deref(), Some("SecretNotFound: Secret x does not exist"));
    }

    #[test]
    fn a_server_is_to_have_as_many_pods_as_its_spec_says_or_as_its_autoscaler_has_decided() {
        let mut server = json!({"spec": {"replicas": 3}, "status": {"replicas": 2}});
        assert_eq!(Server::read(&server).wanted, 3);
        server["spec"]["autoscaling"] = json!({"maxReplicas": 4});
        assert_eq!(Server::read(&server).wanted, 2);
    }

    #[test]
    fn a_server_that_the_operator_has_not_reported_on_says_that() {
        assert_eq!(with_conditions(&json!(null)).trouble.as_deref(), Some("no status yet"));
    }

    #[test]
    fn a_server_that_is_ready_is_in_trouble_only_while_pods_are_being_replaced() {
        let conditions = |reason: &str| {
            json!([
                {"type": "Ready", "status": "True", "reason": "Available"},
                {"type": "Progressing", "status": "True", "reason": reason, "message": "1 of 2 pods run the current spec"},
            ])
        };
        let rolling = with_conditions(&conditions("RollingOut"));
        assert_eq!(rolling.trouble.as_deref(), Some("1 of 2 pods run the current spec"));
        assert_eq!(with_conditions(&conditions("Complete")).trouble, None);
    }

    #[test]
    fn breaking_and_mending_an_image_gives_the_same_image_again() {
        let mut server = with_conditions(&json!([]));
        assert_eq!(server.other_image(), Image::Broken("invalid.example/example.com/x:1".to_owned()));
        server.image = "invalid.example/example.com/x:1".to_owned();
        assert_eq!(server.other_image(), Image::Mended("example.com/x:1".to_owned()));
    }
}
