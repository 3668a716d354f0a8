//! One line of a watch: its envelope, with the object inside left as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object::{ObjectKey, ResourceVersion, Uid};

/// The annotation on the bookmark that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The content of one line of a watch. Objects are borrowed from the line and not decoded yet.
#[derive(Debug)]
pub enum Event<'line> {
    /// The object exists: it is new, or it existed before and this is part of the initial state.
    Added(&'line RawValue),
    /// The object changed.
    Modified(&'line RawValue),
    /// The object is gone; this is its last state.
    Deleted(&'line RawValue),
    /// No object: everything up to this version has been sent.
    Bookmark {
        /// Where a later watch may start.
        resource_version: ResourceVersion,
        /// The initial events of a streaming list are complete.
        initial_events_end: bool,
    },
    /// The server ends the watch and says why.
    Error(Status),
}

impl<'line> Event<'line> {
    /// Reads the envelope of a line.
    ///
    /// # Errors
    ///
    /// The line is not JSON, has no type or an unknown one, or has no object. There is no way to tell what was missed,
    /// so the state has to be listed again.
    pub fn decode(line: &'line [u8]) -> Result<Self, serde_json::Error> {
        let Envelope { kind, object } = serde_json::from_slice(line)?;
        Ok(match kind {
            Kind::Added => Self::Added(object),
            Kind::Modified => Self::Modified(object),
            Kind::Deleted => Self::Deleted(object),
            Kind::Bookmark => bookmark(object)?,
            Kind::Error => Self::Error(serde_json::from_str(object.get())?),
        })
    }
}

#[derive(Deserialize)]
struct Envelope<'line> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(borrow)]
    object: &'line RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

fn bookmark<'line>(object: &RawValue) -> Result<Event<'line>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Bookmark {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: ResourceVersion,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let Bookmark { metadata: Metadata { resource_version, annotations } } = serde_json::from_str(object.get())?;
    let initial_events_end = annotations.get(INITIAL_EVENTS_END).is_some_and(|value| value == "true");
    Ok(Event::Bookmark { resource_version, initial_events_end })
}

/// Which object a piece of JSON is about: enough to go on when the rest of it can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity.
    pub uid: Uid,
    /// The state of the object.
    pub resource_version: ResourceVersion,
}

impl Identity {
    /// Reads only the identity.
    ///
    /// # Errors
    ///
    /// The JSON holds no complete identity.
    pub fn decode(object: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Identified {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            #[serde(default)]
            namespace: String,
            name: String,
            uid: Uid,
            resource_version: ResourceVersion,
        }
        let Identified { metadata: Metadata { namespace, name, uid, resource_version } } =
            serde_json::from_str(object)?;
        Ok(Self { key: ObjectKey::new(namespace, name), uid, resource_version })
    }
}

/// The API server's answer to a request that it did not fulfil
/// ([`Status`](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// One word for programs, such as `AlreadyExists`; empty where the answer was not a Status.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Causes and retry time, if the server gives any.
    pub details: Option<StatusDetails>,
}

/// The details of a [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusDetails {
    /// Each thing that is wrong.
    pub causes: Vec<StatusCause>,
    /// When to try again, in seconds.
    pub retry_after_seconds: Option<u64>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StatusCause {
    /// One word for programs, such as `FieldValueInvalid`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// The field, such as `spec.image`.
    pub field: String,
}

impl Status {
    /// Whether one of the causes has this reason.
    pub fn has_cause(&self, reason: &str) -> bool {
        self.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
    }

    /// The requested state is no longer available (410), whether the reason is `Gone` or `Expired`.
    pub fn is_gone(&self) -> bool {
        self.code == 410
    }

    /// The requested version lies in the server's future: the server was restored from a backup, or it lags.
    pub fn is_version_too_large(&self) -> bool {
        self.has_cause("ResourceVersionTooLarge")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_an_event_stays_text() {
        let line = br#"{"type":"MODIFIED","object":{"metadata":{"name":"a"},"odd":[1, 2 ]}}"#;
        let Event::Modified(object) = Event::decode(line).unwrap() else { panic!("not MODIFIED") };
        assert_eq!(object.get(), r#"{"metadata":{"name":"a"},"odd":[1, 2 ]}"#);
    }

    #[test]
    fn only_the_annotated_bookmark_ends_the_initial_events() {
        let plain = br#"{"type":"BOOKMARK","object":{"kind":"Secret","metadata":{"resourceVersion":"9"}}}"#;
        assert!(matches!(Event::decode(plain).unwrap(), Event::Bookmark { initial_events_end: false, .. }));
        let last = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let Event::Bookmark { resource_version, initial_events_end: true } = Event::decode(last).unwrap() else {
            panic!("not the last bookmark")
        };
        assert_eq!(resource_version.as_str(), "9");
    }

    #[test]
    fn an_error_event_carries_the_servers_status() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}}"#;
        let Event::Error(status) = Event::decode(line).unwrap() else { panic!("not ERROR") };
        assert!(status.is_gone());
        assert_eq!(status.to_string(), "410 Expired: too old resource version: 1 (2)");
        assert!(!status.is_version_too_large());
    }

    /// Kubernetes answers 504 then, and says why in a cause.
    #[test]
    fn a_version_from_the_future_is_told_by_its_cause_and_is_not_gone() {
        let status: Status = serde_json::from_str(
            r#"{"code":504,"reason":"Timeout","message":"Timeout: Too large resource version: 9, current: 5",
                "details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1}}"#,
        )
        .unwrap();
        assert!(status.is_version_too_large() && !status.is_gone());
        assert!(!status.has_cause("FieldValueInvalid"));
    }

    #[test]
    fn a_bad_envelope_is_an_error_and_never_an_event() {
        for line in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"type":"ADDED"}"#,
            r#"{"type":"RENAMED","object":{}}"#,
            r#"{"type":"ADDED","object":{"#,
            "\u{0}",
        ] {
            assert!(Event::decode(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(Event::decode(b"\xff\xfe").is_err());
    }

    #[test]
    fn the_identity_is_readable_where_the_body_is_not() {
        let identity = Identity::decode(
            r#"{"metadata":{"namespace":"n","name":"a","uid":"u","resourceVersion":"5","labels":7},"spec":"no object"}"#,
        )
        .unwrap();
        assert_eq!((identity.key.to_string().as_str(), identity.resource_version.as_str()), ("n/a", "5"));
        assert!(Identity::decode(r#"{"metadata":{"name":"a"}}"#).is_err());
    }
}
