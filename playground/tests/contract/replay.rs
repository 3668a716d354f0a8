//! Replaying recorded exchanges, and comparing answers with what was recorded.
//!
//! uids, resourceVersions, continue tokens and generated addresses differ from run to run, so they are compared as what
//! they are: names. [`Names`] learns which of ours stands for which of the recording's, and from then on the pair must
//! hold, both ways. "The resourceVersion stays" and "another uid" are thereby checked without knowing any of them.
//! Times are compared for being there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use playground::Cluster;
use playground::auth::{self, Authorization};
use serde_json::{Map, Value};

/// Where the recordings are.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kubernetes-1.36")
}

/// One recorded exchange.
pub(crate) fn recorded(name: &str) -> Value {
    let path = fixtures().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The events of a recorded watch.
pub(crate) fn recorded_events(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixtures().join(format!("{name}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An answer of ours.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    /// JSON, or a string where it is none.
    pub(crate) body: Value,
}

/// Which name of ours stands for which of the recording's.
#[derive(Debug, Default)]
pub(crate) struct Names {
    ours: BTreeMap<String, String>,
    theirs: BTreeMap<String, String>,
}

impl Names {
    fn pair(&mut self, kind: &str, recorded: &str, ours: &str) -> Result<(), String> {
        let key = format!("{kind} {recorded}");
        let back = format!("{kind} {ours}");
        let known = self.ours.entry(key.clone()).or_insert_with(|| ours.to_owned());
        let known_back = self.theirs.entry(back).or_insert_with(|| recorded.to_owned());
        if known == ours && known_back == recorded {
            return Ok(());
        }
        Err(format!("{kind} {recorded} is now {ours}, was {known}; {ours} stood for {known_back}"))
    }

    /// A recorded text with our names in it.
    fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (key, ours) in &self.ours {
            let (kind, recorded) = key.split_once(' ').unwrap();
            match kind {
                "uid" | "continue" => text = text.replace(recorded, ours),
                "resourceVersion" => {
                    text = text.replace(
                        &format!("\"resourceVersion\":\"{recorded}\""),
                        &format!("\"resourceVersion\":\"\u{1}{ours}\""),
                    );
                    text = text.replace(
                        &format!("\"resourceVersion\": \"{recorded}\""),
                        &format!("\"resourceVersion\":\"\u{1}{ours}\""),
                    );
                }
                _ => {}
            }
        }
        text.replace('\u{1}', "")
    }
}

/// One cluster, and the recording as far as it was replayed there.
pub(crate) struct Replay {
    pub(crate) cluster: Cluster,
    pub(crate) names: Names,
}

impl Replay {
    pub(crate) fn new() -> Self {
        let cluster = Cluster::new(1, std::time::Duration::from_secs(60));
        Self { cluster, names: Names::default() }
    }

    /// The same on a cluster where roles decide.
    pub(crate) fn with_authorization() -> Self {
        let auth = auth::Options { authorization: Authorization::Rbac, ..auth::Options::default() };
        let cluster = Cluster::with_auth(1, std::time::Duration::from_secs(60), auth);
        Self { cluster, names: Names::default() }
    }

    /// Sends a request.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &Map<String, Value>, body: String) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value.as_str().unwrap());
        }
        let response = self.cluster.call(request.body(Bytes::from(body)).unwrap()).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Sends a recorded request, with our names in it.
    pub(crate) async fn ask(&self, exchange: &Value) -> Answer {
        let request = &exchange["request"];
        let body = match &request["body"] {
            Value::Null => String::new(),
            Value::String(text) => self.names.translate(text),
            json => self.names.translate(&json.to_string()),
        };
        let path = self.names.translate(request["path"].as_str().unwrap());
        self.send(request["method"].as_str().unwrap(), &path, request["headers"].as_object().unwrap(), body).await
    }

    /// Replays an exchange: status, media type, warnings and body must be as recorded.
    pub(crate) async fn step(&mut self, name: &str) {
        let exchange = recorded(name);
        let answer = self.ask(&exchange).await;
        self.check(name, &exchange, &answer);
    }

    /// The same, with a token.
    pub(crate) async fn step_with_token(&mut self, name: &str, token: &str) {
        let mut exchange = recorded(name);
        exchange["request"]["headers"]["Authorization"] = format!("Bearer {token}").into();
        let answer = self.ask(&exchange).await;
        self.check(name, &exchange, &answer);
    }

    fn check(&mut self, name: &str, exchange: &Value, answer: &Answer) {
        let expected = &exchange["response"];
        assert_eq!(answer.status, expected["status"], "{name}: {}", answer.body);
        for header in ["content-type", "retry-after", "warning"] {
            let ours = answer.headers.get(header).map(|value| value.to_str().unwrap());
            assert_eq!(ours, expected["headers"][header].as_str(), "{name}: {header}");
        }
        let differences = self.differences(&expected["body"], &answer.body);
        assert!(differences.is_empty(), "{name}:\n  {}\nours: {:#}", differences.join("\n  "), answer.body);
    }

    /// What differs between a recorded body and ours.
    pub(crate) fn differences(&mut self, recorded: &Value, ours: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let list = recorded["kind"].as_str().is_some_and(|kind| kind.ends_with("List") || kind == "Table");
        compare(&mut self.names, if list { LIST } else { "" }, recorded, ours, &mut found);
        found
    }
}

/// Where the path of a list begins.
const LIST: &str = "list";

fn compare(names: &mut Names, path: &str, recorded: &Value, ours: &Value, found: &mut Vec<String>) {
    let key = path.rsplit('.').next().unwrap_or_default();
    if let (Value::String(recorded), Value::String(_)) = (recorded, ours)
        && is_accident(path, key, recorded)
    {
        return;
    }
    match (key, recorded, ours) {
        ("uid" | "resourceVersion" | "continue" | "clusterIP", Value::String(recorded), Value::String(ours)) => {
            if let Err(why) = names.pair(key, recorded, ours) {
                found.push(format!("{path}: {why}"));
            }
        }
        ("clusterIPs", Value::Array(_), Value::Array(_)) => {}
        ("managedFields", Value::Array(recorded), Value::Array(ours)) => {
            // Their order follows their times, and those differ.
            compare_lists(names, path, &by_manager(recorded), &by_manager(ours), found);
        }
        (_, Value::Object(recorded), Value::Object(ours)) => compare_maps(names, path, recorded, ours, found),
        (_, Value::Array(recorded), Value::Array(ours)) => compare_lists(names, path, recorded, ours, found),
        (_, Value::String(recorded), Value::String(ours)) => {
            let expected = names.translate(recorded);
            if expected != *ours {
                found.push(format!("{path}: {expected:?} recorded, {ours:?} ours"));
            }
        }
        _ if recorded == ours => {}
        _ => found.push(format!("{path}: {recorded} recorded, {ours} ours")),
    }
}

/// Values that must be there, whatever they are.
fn is_accident(path: &str, key: &str, recorded: &str) -> bool {
    match key {
        "creationTimestamp" | "deletionTimestamp" | "lastScaleTime" | "time" => true,
        // The recording's clients wrote this hour into their conditions; other times are the server's own.
        "lastTransitionTime" => !recorded.contains("T20:00:00"),
        // Of writes that have no place in the story, the list's own resourceVersion alone tells.
        "resourceVersion" => path == "list.metadata.resourceVersion",
        _ => false,
    }
}

fn compare_maps(
    names: &mut Names,
    path: &str,
    recorded: &Map<String, Value>,
    ours: &Map<String, Value>,
    found: &mut Vec<String>,
) {
    for (key, value) in recorded {
        // A dot in a key would look like a step.
        let at = format!("{path}.{}", key.replace('.', "_"));
        match ours.get(key) {
            Some(other) => compare(names, &at, value, other, found),
            None => found.push(format!("{at}: {value} recorded, missing in ours")),
        }
    }
    for (key, value) in ours.iter().filter(|(key, _)| !recorded.contains_key(*key)) {
        found.push(format!("{path}.{key}: {value} in ours, not recorded"));
    }
}

fn compare_lists(names: &mut Names, path: &str, recorded: &[Value], ours: &[Value], found: &mut Vec<String>) {
    if recorded.len() != ours.len() {
        found.push(format!("{path}: {} items recorded, {} ours", recorded.len(), ours.len()));
    }
    for (at, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
        compare(names, &format!("{path}[{at}]"), recorded, ours, found);
    }
}

fn by_manager(entries: &[Value]) -> Vec<Value> {
    let mut entries = entries.to_vec();
    let key = |entry: &Value| ["manager", "operation", "subresource"].map(|name| entry[name].to_string());
    entries.sort_by_key(key);
    entries
}
