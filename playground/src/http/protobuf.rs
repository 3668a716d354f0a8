//! Reading the protobuf that kubectl insists on.
//!
//! `kubectl create namespace`, `expose`, `autoscale` and many others encode their bodies as protobuf and offer nothing
//! else. The numbers of all fields stand in the table of [`types`](crate::types); a kind that is not in it is refused by
//! name.
//!
//! Nothing is lost silently: a field that the table does not know, and that is not empty, refuses the whole body. Answers
//! are JSON always, which these clients accept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::status::Status;
use crate::types::{Field, Holds, Id, Types};

/// The media type.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The object in a protobuf body.
pub(super) fn decode(body: &[u8]) -> Result<Value, Status> {
    let broken = || Status::bad_request("the body is no protobuf of Kubernetes");
    let unknown = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let (mut meta, mut raw) = (&[][..], None);
    for part in Parts(unknown) {
        match part.ok_or_else(broken)? {
            (1, Part::Bytes(bytes)) => meta = bytes,
            (2, Part::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    let (api_version, kind) = type_meta(meta).ok_or_else(broken)?;
    let refused = |what: &str| {
        let message = format!("the playground does not read {what} as protobuf; send JSON or YAML");
        Status::failure(415, "UnsupportedMediaType", message)
    };
    let id = Types::get().of_kind(&api_version, &kind);
    // Clients send DeleteOptions under the group that they delete from.
    let id = id.or_else(|| Types::get().of_kind("meta/v1", &kind).filter(|_| kind == "DeleteOptions"));
    let id = id.ok_or_else(|| refused(&format!("{api_version} {kind}")))?;
    let mut object = Map::new();
    let decoded = message(id, raw.ok_or_else(broken)?, &mut object);
    decoded.map_err(|field| refused(&format!("field {field} of {api_version} {kind}")))?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

/// apiVersion and kind.
fn type_meta(bytes: &[u8]) -> Option<(String, String)> {
    let mut found = (String::new(), String::new());
    for part in Parts(bytes) {
        match part? {
            (1, Part::Bytes(bytes)) => found.0 = String::from_utf8(bytes.to_vec()).ok()?,
            (2, Part::Bytes(bytes)) => found.1 = String::from_utf8(bytes.to_vec()).ok()?,
            _ => {}
        }
    }
    Some(found)
}

/// The members of a message; the error names a field that can't be told.
fn message(id: Id, bytes: &[u8], members: &mut Map<String, Value>) -> Result<(), String> {
    let fields = &Types::get().named(id).fields;
    for part in Parts(bytes) {
        let (number, part) = part.ok_or("that is broken")?;
        match fields.iter().find(|field| field.number == number) {
            Some(field) => member(members, field, &part).map_err(|inner| format!("{}.{inner}", field.name))?,
            // Go writes what is empty, too.
            None if part.is_empty() => {}
            None => return Err(format!("number {number}")),
        }
    }
    Ok(())
}

fn member(members: &mut Map<String, Value>, field: &Field, part: &Part<'_>) -> Result<(), String> {
    match (&field.holds, part) {
        (Holds::Struct(id), Part::Bytes(bytes)) if field.name.is_empty() => message(*id, bytes, members),
        (Holds::List(item), part) => {
            let list = members.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or("twice")?.push(value(item, part)?);
            Ok(())
        }
        (Holds::Map(item), Part::Bytes(bytes)) => entry(members, field.name, item, bytes),
        (holds, part) => {
            // Go writes the zero values of all that is no pointer.
            if field.pointer || !part.is_empty() || matches!(holds, Holds::Bytes) || field.name == "metadata" {
                members.insert(field.name.to_owned(), value(holds, part)?);
            }
            Ok(())
        }
    }
}

fn value(holds: &Holds, part: &Part<'_>) -> Result<Value, String> {
    Ok(match (holds, part) {
        (Holds::Int32 | Holds::Int64, Part::Number(number)) => number.cast_signed().into(),
        (Holds::Bool, Part::Number(number)) => (*number != 0).into(),
        (Holds::Text, Part::Bytes(bytes)) => text(bytes)?,
        (Holds::Bytes, Part::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Holds::Time | Holds::MicroTime, Part::Bytes(bytes)) => time(bytes)?,
        (Holds::IntOrString, Part::Bytes(bytes)) => int_or_string(bytes)?,
        (Holds::Quantity, Part::Bytes(bytes)) => first(bytes).map_or(Ok(Value::from("0")), text)?,
        (Holds::Fields, Part::Bytes(bytes)) => {
            serde_json::from_slice(first(bytes).unwrap_or(b"{}")).map_err(|error| error.to_string())?
        }
        (Holds::Struct(id), Part::Bytes(bytes)) => {
            let mut inner = Map::new();
            message(*id, bytes, &mut inner)?;
            Value::Object(inner)
        }
        _ => return Err("of another type".into()),
    })
}

/// One entry of a map: a message of key and value.
fn entry(members: &mut Map<String, Value>, name: &str, holds: &Holds, bytes: &[u8]) -> Result<(), String> {
    let (mut key, mut held) = (String::new(), Value::from(""));
    for part in Parts(bytes) {
        match part.ok_or("that is broken")? {
            (1, Part::Bytes(bytes)) => key = String::from_utf8_lossy(bytes).into_owned(),
            (2, part) => held = value(holds, &part)?,
            _ => return Err("that is no map".into()),
        }
    }
    let map = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    map.as_object_mut().ok_or("twice")?.insert(key, held);
    Ok(())
}

fn text(bytes: &[u8]) -> Result<Value, String> {
    std::str::from_utf8(bytes).map(Value::from).map_err(|error| error.to_string())
}

/// Field 1 of a message that is little more than its wrapping.
fn first(bytes: &[u8]) -> Option<&[u8]> {
    Parts(bytes).find_map(|part| match part? {
        (1, Part::Bytes(bytes)) => Some(bytes),
        _ => None,
    })
}

/// Seconds and nanoseconds.
fn time(bytes: &[u8]) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (0, 0);
    for part in Parts(bytes) {
        match part.ok_or("that is broken")? {
            (1, Part::Number(number)) => seconds = number.cast_signed(),
            (2, Part::Number(number)) => nanos = i32::try_from(number).map_err(|error| error.to_string())?,
            _ => return Err("that is no time".into()),
        }
    }
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(time.to_string().into())
}

/// Which of both it is, then both.
fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut words) = (false, Value::from(0), Value::from(""));
    for part in Parts(bytes) {
        match part.ok_or("that is broken")? {
            (1, Part::Number(kind)) => is_text = kind == 1,
            (2, Part::Number(held)) => number = held.cast_signed().into(),
            (3, Part::Bytes(bytes)) => words = text(bytes)?,
            _ => return Err("neither number nor text".into()),
        }
    }
    Ok(if is_text { words } else { number })
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
        let refused = decode(&body("Nothing", b"")).unwrap_err();
        assert_eq!(refused.code, 415);
        assert!(refused.message.contains("v1 Nothing"), "{refused}");
        let strange = part(9, b"x");
        let refused = decode(&body("Namespace", &strange)).unwrap_err();
        assert!(refused.message.contains("number 9"), "{refused}");
    }

    #[test]
    fn what_is_embedded_stands_in_its_holders_place_and_pointers_keep_their_zeros() {
        let port = [part(1, b"http"), vec![3 << 3, 80], part(4, &[vec![1 << 3, 1], part(3, b"web")].concat())].concat();
        let spec = [part(1, &port), part(3, b""), part(4, b"ClusterIP"), part(10, b"")].concat();
        let object = decode(&body("Service", &[part(1, &part(1, b"s")), part(2, &spec)].concat())).unwrap();
        let port = json!({"name": "http", "port": 80, "targetPort": "web"});
        assert_eq!(object["spec"], json!({"ports": [port], "type": "ClusterIP"}));
        let volume = [part(1, b"v"), part(2, &part(2, b""))].concat();
        let spec = [part(1, &volume), vec![4 << 3, 0]].concat();
        let object = decode(&body("Pod", &part(2, &spec))).unwrap();
        let expected = json!({"volumes": [{"name": "v", "emptyDir": {}}], "terminationGracePeriodSeconds": 0});
        assert_eq!(object["spec"], expected);
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
