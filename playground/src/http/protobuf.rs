//! Reading the little protobuf that kubectl insists on.
//!
//! `kubectl create namespace|secret|configmap|serviceaccount|deployment|role|rolebinding|token` and `kubectl auth` encode
//! their bodies as protobuf and offer nothing else. These few messages are described here as tables (numbers from the `generated.proto`
//! of each group) and turned into JSON; everything else that comes as protobuf is refused by name.
//!
//! Nothing is lost silently: a field that a table does not know, and that is not empty, refuses the whole body. Answers
//! are JSON always, which these clients accept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::status::Status;

/// The media type.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The number, the name, and what it holds.
struct Field(u64, &'static str, Holds);

enum Holds {
    Text,
    Int,
    Bool,
    /// A list of strings.
    Texts,
    /// Strings by name.
    Map,
    /// Bytes by name, base64 in JSON.
    BytesMap,
    /// Whatever a client sends back of it, the server knows better.
    ServerOwned,
    One(&'static [Field]),
    Many(&'static [Field]),
}

use Holds::{Bool, BytesMap, Int, Many, Map as TextMap, One, ServerOwned, Text, Texts};

const METADATA: &[Field] = &[
    Field(1, "name", Text),
    Field(2, "generateName", Text),
    Field(3, "namespace", Text),
    Field(5, "uid", Text),
    Field(6, "resourceVersion", Text),
    Field(7, "generation", ServerOwned),
    Field(8, "creationTimestamp", ServerOwned),
    Field(9, "deletionTimestamp", ServerOwned),
    Field(10, "deletionGracePeriodSeconds", ServerOwned),
    Field(11, "labels", TextMap),
    Field(12, "annotations", TextMap),
    Field(13, "ownerReferences", Many(OWNER)),
    Field(14, "finalizers", Texts),
    Field(17, "managedFields", ServerOwned),
];
const OWNER: &[Field] = &[
    Field(1, "kind", Text),
    Field(3, "name", Text),
    Field(4, "uid", Text),
    Field(5, "apiVersion", Text),
    Field(6, "controller", Bool),
    Field(7, "blockOwnerDeletion", Bool),
];
const NAMESPACE: &[Field] = &[Field(1, "metadata", One(METADATA))];
const SECRET: &[Field] = &[
    Field(1, "metadata", One(METADATA)),
    Field(2, "data", BytesMap),
    Field(3, "type", Text),
    Field(4, "stringData", TextMap),
    Field(5, "immutable", Bool),
];
const CONFIG_MAP: &[Field] = &[
    Field(1, "metadata", One(METADATA)),
    Field(2, "data", TextMap),
    Field(3, "binaryData", BytesMap),
    Field(4, "immutable", Bool),
];
const SERVICE_ACCOUNT: &[Field] =
    &[Field(1, "metadata", One(METADATA)), Field(4, "automountServiceAccountToken", Bool)];
const PORT: &[Field] = &[Field(1, "name", Text), Field(3, "containerPort", Int), Field(4, "protocol", Text)];
const CONTAINER: &[Field] = &[
    Field(1, "name", Text),
    Field(2, "image", Text),
    Field(3, "command", Texts),
    Field(4, "args", Texts),
    Field(6, "ports", Many(PORT)),
    Field(14, "imagePullPolicy", Text),
];
const POD_SPEC: &[Field] = &[Field(2, "containers", Many(CONTAINER)), Field(3, "restartPolicy", Text)];
const TEMPLATE: &[Field] = &[Field(1, "metadata", One(METADATA)), Field(2, "spec", One(POD_SPEC))];
const SELECTOR: &[Field] = &[Field(1, "matchLabels", TextMap)];
const DEPLOYMENT_SPEC: &[Field] =
    &[Field(1, "replicas", Int), Field(2, "selector", One(SELECTOR)), Field(3, "template", One(TEMPLATE))];
const DEPLOYMENT: &[Field] = &[Field(1, "metadata", One(METADATA)), Field(2, "spec", One(DEPLOYMENT_SPEC))];
const RESOURCE_ATTRIBUTES: &[Field] = &[
    Field(1, "namespace", Text),
    Field(2, "verb", Text),
    Field(3, "group", Text),
    Field(4, "version", Text),
    Field(5, "resource", Text),
    Field(6, "subresource", Text),
    Field(7, "name", Text),
];
const PATH_ATTRIBUTES: &[Field] = &[Field(1, "path", Text), Field(2, "verb", Text)];
const REVIEW_SPEC: &[Field] = &[
    Field(1, "resourceAttributes", One(RESOURCE_ATTRIBUTES)),
    Field(2, "nonResourceAttributes", One(PATH_ATTRIBUTES)),
];
const REVIEW: &[Field] = &[Field(1, "metadata", One(METADATA)), Field(2, "spec", One(REVIEW_SPEC))];
const RULES_REVIEW_SPEC: &[Field] = &[Field(1, "namespace", Text)];
const RULES_REVIEW: &[Field] = &[Field(1, "metadata", One(METADATA)), Field(2, "spec", One(RULES_REVIEW_SPEC))];
const SUBJECT_REVIEW: &[Field] = &[Field(1, "metadata", One(METADATA))];
const TOKEN_REQUEST_SPEC: &[Field] = &[Field(1, "audiences", Texts), Field(4, "expirationSeconds", Int)];
const TOKEN_REQUEST: &[Field] = &[Field(1, "metadata", One(METADATA)), Field(2, "spec", One(TOKEN_REQUEST_SPEC))];
const RULE: &[Field] = &[
    Field(1, "verbs", Texts),
    Field(2, "apiGroups", Texts),
    Field(3, "resources", Texts),
    Field(4, "resourceNames", Texts),
    Field(5, "nonResourceURLs", Texts),
];
const AGGREGATION: &[Field] = &[Field(1, "clusterRoleSelectors", Many(SELECTOR))];
/// A Role, too: it merely has no aggregation.
const ROLE: &[Field] = &[
    Field(1, "metadata", One(METADATA)),
    Field(2, "rules", Many(RULE)),
    Field(3, "aggregationRule", One(AGGREGATION)),
];
const SUBJECT: &[Field] =
    &[Field(1, "kind", Text), Field(2, "apiGroup", Text), Field(3, "name", Text), Field(4, "namespace", Text)];
const ROLE_REF: &[Field] = &[Field(1, "apiGroup", Text), Field(2, "kind", Text), Field(3, "name", Text)];
const BINDING: &[Field] =
    &[Field(1, "metadata", One(METADATA)), Field(2, "subjects", Many(SUBJECT)), Field(3, "roleRef", One(ROLE_REF))];

const TYPE: &[Field] = &[Field(1, "apiVersion", Text), Field(2, "kind", Text)];

fn table(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    match (api_version, kind) {
        ("v1", "Namespace") => Some(NAMESPACE),
        ("v1", "Secret") => Some(SECRET),
        ("v1", "ConfigMap") => Some(CONFIG_MAP),
        ("v1", "ServiceAccount") => Some(SERVICE_ACCOUNT),
        ("apps/v1", "Deployment") => Some(DEPLOYMENT),
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => Some(REVIEW),
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => Some(RULES_REVIEW),
        ("authentication.k8s.io/v1", "SelfSubjectReview") => Some(SUBJECT_REVIEW),
        ("authentication.k8s.io/v1", "TokenRequest") => Some(TOKEN_REQUEST),
        ("rbac.authorization.k8s.io/v1", "Role" | "ClusterRole") => Some(ROLE),
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => Some(BINDING),
        _ => None,
    }
}

/// The object in a protobuf body.
pub(super) fn decode(body: &[u8]) -> Result<Value, Status> {
    let broken = || Status::bad_request("the body is no protobuf of Kubernetes");
    let unknown = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let (mut kind, mut raw) = (Map::new(), None);
    for part in Parts(unknown) {
        match part.ok_or_else(broken)? {
            (1, Part::Bytes(bytes)) => kind = message(TYPE, bytes).map_err(|_| broken())?,
            (2, Part::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    let text = |name: &str| kind.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    let refused = |what: &str| {
        let message = format!("the playground does not read {what} as protobuf; send JSON or YAML");
        Status::failure(415, "UnsupportedMediaType", message)
    };
    let fields = table(&api_version, &name).ok_or_else(|| refused(&format!("{api_version} {name}")))?;
    let decoded = message(fields, raw.ok_or_else(broken)?);
    let mut object = decoded.map_err(|field| refused(&format!("field {field} of {api_version} {name}")))?;
    object.append(&mut kind);
    Ok(Value::Object(object))
}

/// The members of a message; the error names a field that can't be told.
fn message(fields: &[Field], bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let mut members = Map::new();
    for part in Parts(bytes) {
        let (number, part) = part.ok_or("that is broken")?;
        match fields.iter().find(|Field(known, _, _)| *known == number) {
            Some(Field(_, name, holds)) => {
                member(&mut members, name, holds, part).map_err(|inner| format!("{name}.{inner}"))?;
            }
            // Go writes what is empty, too.
            None if part.is_empty() => {}
            None => return Err(format!("number {number}")),
        }
    }
    Ok(members)
}

fn member(members: &mut Map<String, Value>, name: &str, holds: &Holds, part: Part<'_>) -> Result<(), String> {
    let value = match (holds, part) {
        (Int, Part::Number(number)) => Value::from(number.cast_signed()),
        (Bool, Part::Number(number)) => Value::from(number != 0),
        (Text, Part::Bytes(bytes)) => text(bytes)?,
        (Texts, Part::Bytes(bytes)) => return push(members, name, text(bytes)?),
        (TextMap | BytesMap, Part::Bytes(bytes)) => return entry(members, name, holds, bytes),
        (One(fields), Part::Bytes(bytes)) => {
            let inner = message(fields, bytes)?;
            // An empty message says nothing, but for an object's metadata.
            if inner.is_empty() && name != "metadata" {
                return Ok(());
            }
            inner.into()
        }
        (Many(fields), Part::Bytes(bytes)) => return push(members, name, message(fields, bytes)?.into()),
        (ServerOwned, _) => return Ok(()),
        (_, part) if part.is_empty() => return Ok(()),
        _ => return Err("of another type".into()),
    };
    if value != "" {
        members.insert(name.to_owned(), value);
    }
    Ok(())
}

fn push(members: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), String> {
    let list = members.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    list.as_array_mut().ok_or("twice")?.push(value);
    Ok(())
}

/// One entry of a map: a message of key and value.
fn entry(members: &mut Map<String, Value>, name: &str, holds: &Holds, bytes: &[u8]) -> Result<(), String> {
    let (mut key, mut value) = (String::new(), Value::from(""));
    for part in Parts(bytes) {
        match part.ok_or("that is broken")? {
            (1, Part::Bytes(bytes)) => key = String::from_utf8_lossy(bytes).into_owned(),
            (2, Part::Bytes(bytes)) if matches!(holds, BytesMap) => value = STANDARD.encode(bytes).into(),
            (2, Part::Bytes(bytes)) => value = text(bytes)?,
            _ => return Err("that is no map".into()),
        }
    }
    let map = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    map.as_object_mut().ok_or("twice")?.insert(key, value);
    Ok(())
}

fn text(bytes: &[u8]) -> Result<Value, String> {
    std::str::from_utf8(bytes).map(Value::from).map_err(|error| error.to_string())
}

enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Part<'_> {
    /// Zero, or made of nothing but zeros and empty parts.
    fn is_empty(&self) -> bool {
        match self {
            Self::Number(number) => *number == 0,
            Self::Bytes(bytes) => Parts(bytes).all(|part| part.is_some_and(|(_, part)| part.is_empty())),
        }
    }
}

/// The parts of a message: number and value, `None` where it is broken.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for at in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn part(&mut self) -> Option<(u64, Part<'a>)> {
        let key = self.varint()?;
        let part = match key & 7 {
            0 => Part::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Part::Bytes(bytes)
            }
            _ => return None,
        };
        Some((key >> 3, part))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Option<(u64, Part<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_none() {
            self.0 = &[];
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::decode;

    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn body(kind: &str, raw: &[u8]) -> Vec<u8> {
        let kind = [part(1, b"v1"), part(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), part(1, &kind), part(2, raw), part(3, b""), part(4, b"")].concat()
    }

    #[test]
    fn a_secret_of_kubectl_is_read() {
        let metadata = [part(1, b"s"), part(2, b""), part(8, b"")].concat();
        let entry = [part(1, b"a"), part(2, b"b")].concat();
        let raw = [part(1, &metadata), part(2, &entry), part(3, b"Opaque")].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Yg=="},
            "type": "Opaque"});
        assert_eq!(decode(&body("Secret", &raw)).unwrap(), expected);
    }

    #[test]
    fn what_no_table_knows_is_refused_by_name() {
        let refused = decode(&body("Node", b"")).unwrap_err();
        assert_eq!(refused.code, 415);
        assert!(refused.message.contains("v1 Node"), "{refused}");
        let strange = part(9, b"x");
        let refused = decode(&body("Namespace", &strange)).unwrap_err();
        assert!(refused.message.contains("number 9"), "{refused}");
    }

    #[test]
    fn garbage_is_refused_and_never_panics() {
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
        let whole = body("Secret", &part(1, &part(1, b"s")));
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err() || end > 4, "{end}");
        }
    }
}
