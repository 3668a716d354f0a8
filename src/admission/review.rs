//! AdmissionReview: the question and the answer, as JSON.
//!
//! Only what the rules need is decoded, in two steps: first the envelope, so that a review of another version is named
//! as such and not as a missing field; then the objects, of which a part may be unreadable without affecting the rest.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::rules::{Change, Findings, Former};
use crate::api::{MCPSERVERS, MCPServerSpec};
use crate::object::ObjectKey;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// What the API server keeps of a warning, in characters; it cuts the rest off.
const LONGEST_WARNING: usize = 256;

/// The body is not an AdmissionReview that can be answered. Without the request's uid there is no answer in which to
/// allow or deny, so this is an HTTP error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It does not have the form of a review.
    #[error("not an AdmissionReview: {0}")]
    Unreadable(String),
    /// It is another kind, or another version.
    #[error("{kind:?} of {api_version:?} was sent, but only AdmissionReview of admission.k8s.io/v1 is answered")]
    OtherKind {
        /// The `apiVersion` that was sent.
        api_version: String,
        /// The `kind` that was sent.
        kind: String,
    },
    /// It contains no request.
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

/// The request of a review.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'body> {
    /// The API server accepts an answer only with this uid.
    uid: String,
    /// What is written, in the version that the webhook's rules ask for.
    resource: Asked,
    #[serde(default)]
    sub_resource: String,
    /// Empty while the API server has not chosen it yet (`generateName`).
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    operation: String,
    #[serde(default, borrow)]
    object: Option<&'body RawValue>,
    #[serde(default, borrow)]
    old_object: Option<&'body RawValue>,
}

/// What a request is about.
#[derive(Debug, Deserialize)]
struct Asked {
    group: String,
    version: String,
    #[serde(rename = "resource")]
    plural: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'body> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default, borrow)]
    request: Option<&'body RawValue>,
}

/// An MCPServer, of which each part is decoded by itself.
#[derive(Deserialize)]
struct Server<'body> {
    #[serde(default, borrow)]
    spec: Option<&'body RawValue>,
    #[serde(default, borrow)]
    status: Option<&'body RawValue>,
}

/// Reads a review.
///
/// # Errors
///
/// [`Malformed`].
pub fn read(body: &[u8]) -> Result<Request<'_>, Malformed> {
    let unreadable = |error: serde_json::Error| Malformed::Unreadable(shown(&error.to_string()));
    let Envelope { api_version, kind, request } = serde_json::from_slice(body).map_err(unreadable)?;
    if api_version != API_VERSION || kind != KIND {
        return Err(Malformed::OtherKind { api_version: shown(&api_version), kind: shown(&kind) });
    }
    let request = request.ok_or(Malformed::NoRequest)?;
    serde_json::from_str(request.get()).map_err(unreadable)
}

/// As much of a stranger's text, or of a message that may quote it, as an error message repeats.
fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}

impl Request<'_> {
    /// The new or changed MCPServer that the request is about; `None` if it is about something else, or can't be read.
    pub fn change(&self) -> Option<Change> {
        let Self { uid: _, resource, sub_resource, name, namespace, operation, object, old_object } = self;
        let ours = resource.group == MCPSERVERS.group
            && resource.version == MCPSERVERS.version
            && resource.plural == MCPSERVERS.plural
            && sub_resource.is_empty()
            && matches!(operation.as_str(), "CREATE" | "UPDATE");
        if !ours {
            return None;
        }
        let server: Server<'_> = serde_json::from_str(object.as_ref()?.get()).ok()?;
        let former = old_object.as_ref().and_then(|old| serde_json::from_str(old.get()).ok());
        Some(Change {
            key: ObjectKey::new(namespace.as_str(), name.as_str()),
            spec: spec(&server)?,
            former: former.map(|old: Server<'_>| Former { spec: spec(&old), keeps_sessions: keeps_sessions(&old) }),
        })
    }
}

fn spec(server: &Server<'_>) -> Option<MCPServerSpec> {
    serde_json::from_str(server.spec?.get()).ok()
}

/// Whether the verification found sessions. The status is read as plain JSON: one that a newer version has written must
/// not hide this.
fn keeps_sessions(server: &Server<'_>) -> bool {
    let status = server.status.and_then(|status| serde_json::from_str::<Value>(status.get()).ok());
    status.is_some_and(|status| status["server"]["sessionMode"] == "Stateful")
}

/// The review that answers `request`.
pub fn write(request: &Request<'_>, findings: Findings) -> String {
    let Findings { warnings, denials } = findings;
    let mut response = json!({"uid": request.uid, "allowed": denials.is_empty()});
    if !denials.is_empty() {
        response["status"] = json!({"code": 403, "reason": "Forbidden", "message": denials.join("; ")});
    }
    if !warnings.is_empty() {
        let cut = |warning: &String| warning.chars().take(LONGEST_WARNING).collect::<String>();
        response["warnings"] = warnings.iter().map(cut).collect();
    }
    json!({"apiVersion": API_VERSION, "kind": KIND, "response": response}).to_string()
}
