//! GET and LIST.
//!
//! A list is put together from the stored texts of its objects, not from parsed values: ten thousand objects are a copy
//! of memory and no more.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine as _};
use http::Response;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use super::negotiate::{Form, Of, negotiate};
use super::query::Freshness;
use super::response::{self, Body};
use super::route::Place;
use super::{Answer, Call, table};
use crate::cluster::Cluster;
use crate::resources::{self, Resource};
use crate::selector::Selector;
use crate::status::Status;
use crate::storage::{Expired, Key, Object, Revision, Snapshot};
use crate::syntax;

/// How long a list waits for a resourceVersion of the future.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

const EXPIRED_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list result. You can \
    start a new list without the continue parameter, or use the continue token in this response to retrieve the \
    remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
    created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// GET of one object, or of its status (which answers with the whole object).
pub(super) async fn get(call: &Call<'_>, place: &Place) -> Answer {
    let form = negotiate(call.accept, Of::Object)?;
    let target = super::mutate::target(call, place);
    // At least this new: an object that is read by name is always the newest, so only the future is refused.
    let wanted = call.query.revision().map_err(|why| Status::failure(500, "", why))?;
    wait_for(call.cluster, wanted.unwrap_or_default()).await?;
    let object = call.cluster.store().get(&target.stored.table(), &target.key);
    let object = object.ok_or_else(|| Status::not_found(&place.resource, &target.key.name))?;
    Ok(one(call, &place.resource, &object, form, 200))
}

/// An object as an answer.
pub(super) fn one(call: &Call<'_>, resource: &Resource, object: &Object, form: Form, code: u16) -> Response<Body> {
    match form {
        Form::Full => response::bytes(code, encoded(resource, object)),
        Form::Metadata => response::bytes(code, metadata_only(object)),
        Form::Table => {
            let rows = table::Table::new(resource, call.cluster.now(), &call.query.include_object);
            response::json(code, &rows.of(&[object.full()], Some(object.revision)))
        }
    }
}

/// An object's text in the version that was asked for.
pub(super) fn encoded(resource: &Resource, object: &Object) -> bytes::Bytes {
    if resource.form == resources::Form::Stored {
        return object.json().clone();
    }
    let mut value = object.full();
    resource.to_served(&mut value);
    value.to_string().into()
}

/// `PartialObjectMetadata`.
pub(super) fn metadata_only(object: &Object) -> Vec<u8> {
    let mut text = br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#.to_vec();
    text.extend_from_slice(object.metadata_json());
    text.push(b'}');
    text
}

/// LIST.
pub(super) async fn list(call: &Call<'_>, place: &Place) -> Answer {
    let form = negotiate(call.accept, Of::List)?;
    let selector = selector(call, &place.resource)?;
    let mut freshness = call.query.list_freshness()?;
    let mut after = None;
    if !call.query.continue_token.is_empty() {
        let token = Token::parse(&call.query.continue_token, place)?;
        freshness = token.revision.map_or(Freshness::Newest, Freshness::Exact);
        after = Some(token.after);
    }
    let mut snapshot = match snapshot(call.cluster, place, freshness).await? {
        Ok(snapshot) => snapshot,
        Err(Expired { .. }) => return Ok(expired(after, place)),
    };
    if let Some(after) = &after {
        snapshot.objects.retain(|object| object.key > *after);
    }
    let limit = if freshness == Freshness::Any { 0 } else { call.query.limit };
    let page = page(snapshot, limit, &selector, place);
    Ok(encode_page(call, place, &page, form))
}

/// Parses the selectors; a field that the resource can't be selected by is refused.
pub(super) fn selector(call: &Call<'_>, resource: &Resource) -> Result<Selector, Status> {
    let selector = call.query.selector()?;
    match selector.unknown_field(&resource.selectable) {
        None => Ok(selector),
        Some(field) if resource.custom().is_some() => {
            Err(Status::bad_request(format!("field label not supported: {field}")))
        }
        Some(field) => Err(Status::bad_request(format!(
            "Unable to find {:?} that match label selector {:?}, field selector {:?}: field label not supported: {field}",
            format!("{}, Resource={}", resource.api_version(), resource.plural),
            call.query.label_selector,
            call.query.field_selector,
        ))),
    }
}

/// Waits until a revision is there; a list or a streaming watch may ask for one that isn't yet.
pub(super) async fn wait_for(cluster: &Cluster, revision: Revision) -> Result<(), Status> {
    let mut latest = cluster.latest();
    let reached = timeout(FUTURE_WAIT, latest.reached(revision)).await;
    if reached.is_ok() { Ok(()) } else { Err(Status::version_too_large(revision, cluster.revision())) }
}

async fn snapshot(cluster: &Cluster, place: &Place, freshness: Freshness) -> Result<Result<Snapshot, Expired>, Status> {
    let table = place.resource.table();
    let namespace = place.namespace.as_deref();
    match freshness {
        Freshness::Newest | Freshness::Any => Ok(Ok(cluster.store().list(&table, namespace))),
        Freshness::NotOlderThan(revision) => {
            wait_for(cluster, revision).await?;
            Ok(Ok(cluster.store().list(&table, namespace)))
        }
        Freshness::Exact(revision) => {
            let store = cluster.store();
            if revision > store.revision() {
                return Err(Status::version_too_large(revision, store.revision()));
            }
            Ok(store.list_at(&table, namespace, revision))
        }
    }
}

fn expired(after: Option<Key>, place: &Place) -> Response<Body> {
    let Some(after) = after else {
        return response::status(&Status::expired("The resourceVersion for the provided list is too old."));
    };
    let status = Status::expired(EXPIRED_CONTINUE);
    let mut body = status.to_value();
    body["metadata"]["continue"] = Token { revision: None, after }.encode(place).into();
    response::status_value(&status, &body)
}

/// One page of a list.
struct Page {
    snapshot: Snapshot,
    /// Empty on the last page.
    token: String,
    /// How many objects come after; unknown where a selector leaves some out.
    remaining: Option<usize>,
}

/// A full page that is not at the end of the list has another after it, whether that will show anything or not.
fn page(mut snapshot: Snapshot, limit: usize, selector: &Selector, place: &Place) -> Page {
    let total = snapshot.objects.len();
    let matching: Vec<usize> = (0..total).filter(|at| selector.matches(&snapshot.objects[*at])).collect();
    let end = if limit == 0 { None } else { matching.get(limit - 1).map(|last| last + 1) };
    let rest = total - end.unwrap_or(total);
    let last = end.and_then(|end| Some(snapshot.objects.get(end - 1)?.key.clone()));
    snapshot.objects.truncate(total - rest);
    snapshot.objects.retain(|object| selector.matches(object));
    let token = match last {
        Some(after) if rest > 0 => Token { revision: Some(snapshot.revision), after }.encode(place),
        Some(_) | None => String::new(),
    };
    Page { remaining: (rest > 0 && selector.is_everything()).then_some(rest), token, snapshot }
}

fn encode_page(call: &Call<'_>, place: &Place, page: &Page, form: Form) -> Response<Body> {
    let Page { snapshot, token, remaining } = page;
    let mut metadata = json!({"resourceVersion": snapshot.revision.to_string()});
    // Lists of custom resources have a `continue` even where it is empty.
    if !token.is_empty() || (form == Form::Full && place.resource.custom().is_some()) {
        metadata["continue"] = token.as_str().into();
    }
    if let Some(remaining) = remaining {
        metadata["remainingItemCount"] = (*remaining).into();
    }
    let head = |kind: &str, api_version: &str| {
        format!(r#"{{"kind":{kind:?},"apiVersion":{api_version:?},"metadata":{metadata},"items":["#)
    };
    match form {
        Form::Full => {
            let resource = &place.resource;
            let items = snapshot.objects.iter().map(|object| item(resource, object));
            response::bytes(200, join(&head(&resource.list_kind, &resource.api_version()), items))
        }
        Form::Metadata => {
            let items = snapshot.objects.iter().map(|object| metadata_only(object));
            response::bytes(200, join(&head("PartialObjectMetadataList", "meta.k8s.io/v1"), items))
        }
        Form::Table => {
            let objects: Vec<Value> = snapshot.objects.iter().map(|object| object.full()).collect();
            let table = table::Table::new(&place.resource, call.cluster.now(), &call.query.include_object);
            let mut body = table.of(&objects, None);
            body["metadata"] = metadata;
            response::json(200, &body)
        }
    }
}

/// Items of built-in kinds bear no kind and no apiVersion; those of custom resources do.
fn item(resource: &Resource, object: &Object) -> Vec<u8> {
    if resource.custom().is_some() {
        return encoded(resource, object).to_vec();
    }
    if resource.form == resources::Form::Stored {
        return [b"{", object.members_after_head()].concat();
    }
    let mut value = object.full();
    resource.to_served(&mut value);
    if let Some(map) = value.as_object_mut() {
        map.remove("kind");
        map.remove("apiVersion");
    }
    value.to_string().into_bytes()
}

fn join(head: &str, items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut text = head.as_bytes().to_vec();
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&item);
    }
    text.extend_from_slice(b"]}");
    text
}

/// In the words of Go's `encoding/base64`.
fn base64_fault(error: &DecodeError) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) | DecodeError::InvalidLength(at) => *at,
        DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}

/// A continue token: which state the list shows, and where in it the next page starts.
struct Token {
    /// `None`: whatever is newest; an inconsistent list, offered once the consistent one is gone.
    revision: Option<Revision>,
    /// The last key of the page before.
    after: Key,
}

impl Token {
    fn encode(&self, place: &Place) -> String {
        let revision = self.revision.map_or(json!(-1), Value::from);
        let start = match (&place.namespace, place.resource.namespaced) {
            (None, true) => format!("/{}/{}\0", self.after.namespace, self.after.name),
            _ => format!("/{}\0", self.after.name),
        };
        let start = Value::String(start);
        URL_SAFE_NO_PAD.encode(format!(r#"{{"v":"meta.k8s.io/v1","rv":{revision},"start":{start}}}"#))
    }

    fn parse(text: &str, place: &Place) -> Result<Self, Status> {
        let unusable =
            |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|error| unusable(&base64_fault(&error)))?;
        let token: Value = syntax::decode(&json).map_err(|why| unusable(&why))?;
        if token["v"] != "meta.k8s.io/v1" {
            let version = token["v"].as_str().unwrap_or_default();
            return Err(unusable(&format!("server does not recognize this encoded version {version}")));
        }
        let revision = match token["rv"].as_i64() {
            Some(-1) => None,
            Some(revision) if revision > 0 => Some(revision.unsigned_abs()),
            _ => return Err(unusable("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
        };
        let start = token["start"].as_str().unwrap_or_default();
        let start = start.trim_start_matches('/').trim_end_matches('\0');
        let after = match (&place.namespace, place.resource.namespaced) {
            (Some(namespace), _) => Key::new(namespace, start),
            (None, false) => Key::new("", start),
            (None, true) => {
                let (namespace, name) = start.split_once('/').ok_or_else(|| unusable("no namespace in its start"))?;
                Key::new(namespace, name)
            }
        };
        Ok(Self { revision, after })
    }
}
