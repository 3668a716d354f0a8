//! OpenAPI v2 as protobuf, the only form in which kubectl reads v2.
//!
//! It does so before it says that a kind is not served (`no matches for kind`), for `explain --output=plaintext-openapiv2`,
//! and, up to 1.28, before every apply. The messages are those of `OpenAPIv2.proto` of google/gnostic-models, as far as the
//! document of [`second`](super::second) uses them: a table says which member of the JSON stands where. What is free in
//! its form (defaults, choices, all that begins with `x-`) is YAML inside, and JSON is YAML.

use serde_json::Value;

/// What clients call the media type, which is no valid name of one, and under which valid name it is sent.
pub(super) const ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
pub(super) const SENT: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The document of [`second::document`](super::second::document).
pub(super) fn encode(document: &Value) -> Vec<u8> {
    message(&DOCUMENT, document)
}

/// One kind of message.
struct Message {
    fields: &'static [Field],
    /// The numbers under which it stands in messages that hold nothing else, from the outside in.
    within: &'static [u32],
    /// Where its `x-` members stand; 0: it has none.
    extensions: u32,
}

/// A member in JSON, where it stands (the last number is that of the value, the others of messages around it), and as what.
struct Field(&'static str, &'static [u32], Form);

enum Form {
    Text,
    Texts,
    Flag,
    Count,
    Double,
    /// YAML.
    Free,
    Frees,
    One(&'static Message),
    Many(&'static Message),
    /// A map: pairs of name and message.
    Named(&'static Message),
    /// A schema or a yes or no.
    SchemaOrFlag,
}

use Form::{Count, Double, Flag, Free, Frees, Many, Named, One, SchemaOrFlag, Text, Texts};

static DOCUMENT: Message = Message {
    fields: &[
        Field("swagger", &[1], Text),
        Field("info", &[2], One(&INFO)),
        Field("paths", &[8, 2], Named(&PATH)),
        Field("definitions", &[9, 1], Named(&SCHEMA)),
    ],
    within: &[],
    extensions: 16,
};

static INFO: Message =
    Message { fields: &[Field("title", &[1], Text), Field("version", &[2], Text)], within: &[], extensions: 7 };

static PATH: Message = Message {
    fields: &[
        Field("get", &[2], One(&OPERATION)),
        Field("put", &[3], One(&OPERATION)),
        Field("post", &[4], One(&OPERATION)),
        Field("delete", &[5], One(&OPERATION)),
        Field("patch", &[8], One(&OPERATION)),
    ],
    within: &[],
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        Field("operationId", &[5], Text),
        Field("produces", &[6], Texts),
        Field("consumes", &[7], Texts),
        Field("parameters", &[8], Many(&QUERY)),
        Field("responses", &[9, 1], Named(&RESPONSE)),
        Field("schemes", &[10], Texts),
    ],
    within: &[],
    extensions: 13,
};

/// A parameter in the query: one of the parameters that are not the body, which are one kind of item.
static QUERY: Message = Message {
    fields: &[
        Field("in", &[2], Text),
        Field("name", &[4], Text),
        Field("type", &[6], Text),
        Field("uniqueItems", &[20], Flag),
    ],
    within: &[1, 2, 3],
    extensions: 23,
};

static RESPONSE: Message = Message {
    fields: &[Field("description", &[1], Text), Field("schema", &[2, 1], One(&SCHEMA))],
    within: &[1],
    extensions: 5,
};

static SCHEMA: Message = Message {
    fields: &[
        Field("$ref", &[1], Text),
        Field("format", &[2], Text),
        Field("title", &[3], Text),
        Field("description", &[4], Text),
        Field("default", &[5], Free),
        Field("multipleOf", &[6], Double),
        Field("maximum", &[7], Double),
        Field("exclusiveMaximum", &[8], Flag),
        Field("minimum", &[9], Double),
        Field("exclusiveMinimum", &[10], Flag),
        Field("maxLength", &[11], Count),
        Field("minLength", &[12], Count),
        Field("pattern", &[13], Text),
        Field("maxItems", &[14], Count),
        Field("minItems", &[15], Count),
        Field("uniqueItems", &[16], Flag),
        Field("maxProperties", &[17], Count),
        Field("minProperties", &[18], Count),
        Field("required", &[19], Texts),
        Field("enum", &[20], Frees),
        Field("additionalProperties", &[21], SchemaOrFlag),
        Field("type", &[22, 1], Text),
        Field("items", &[23, 1], One(&SCHEMA)),
        Field("allOf", &[24], Many(&SCHEMA)),
        Field("properties", &[25, 1], Named(&SCHEMA)),
        Field("example", &[30], Free),
    ],
    within: &[],
    extensions: 31,
};

fn message(of: &Message, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Field(name, at, form) in of.fields {
        if let (Some(member), [around @ .., last]) = (value.get(name), *at) {
            let content = field(*last, form, member);
            bytes.extend(wrapped(around, content));
        }
    }
    let free = value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    for (name, extension) in free.filter(|_| of.extensions > 0) {
        bytes.extend(part(of.extensions, &named(name, &yaml(extension))));
    }
    wrapped(of.within, bytes)
}

/// A member as the field of this number; none, where it is not of that form.
fn field(number: u32, form: &Form, member: &Value) -> Vec<u8> {
    let each = |make: &dyn Fn(&Value) -> Vec<u8>| {
        let items = member.as_array().into_iter().flatten();
        items.flat_map(|item| part(number, &make(item))).collect()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
    match form {
        Form::Text => part(number, &text(member)),
        Form::Texts => each(&text),
        Form::Flag => scalar(number, u64::from(member == true)),
        Form::Count => scalar(number, member.as_u64().unwrap_or_default()),
        Form::Double => {
            let bits = member.as_f64().unwrap_or_default().to_le_bytes();
            [varint(u64::from(number) << 3 | 1), bits.to_vec()].concat()
        }
        Form::Free => part(number, &yaml(member)),
        Form::Frees => each(&yaml),
        Form::One(of) => part(number, &message(of, member)),
        Form::Many(of) => each(&|item| message(of, item)),
        Form::Named(of) => {
            let pairs = member.as_object().into_iter().flatten();
            pairs.flat_map(|(name, value)| part(number, &named(name, &message(of, value)))).collect()
        }
        Form::SchemaOrFlag => match member {
            Value::Bool(flag) => part(number, &scalar(2, u64::from(*flag))),
            schema => part(number, &part(1, &message(&SCHEMA, schema))),
        },
    }
}

/// The bytes as the only content of a message, and that of another.
fn wrapped(around: &[u32], content: Vec<u8>) -> Vec<u8> {
    around.iter().rev().fold(content, |content, number| part(*number, &content))
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    [part(1, name.as_bytes()), part(2, value)].concat()
}

/// An `Any`: its second field is YAML.
fn yaml(value: &Value) -> Vec<u8> {
    part(2, value.to_string().as_bytes())
}

fn part(number: u32, content: &[u8]) -> Vec<u8> {
    // A usize has at most 64 bits wherever this is built.
    [varint(u64::from(number) << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn scalar(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number) << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        assert_eq!(varint(1), [1]);
        assert_eq!(varint(300), [0xac, 2]);
        assert_eq!(scalar(20, 1), [0xa0, 1, 1]);
    }

    #[test]
    fn a_member_stands_inside_the_messages_around_it() {
        let path = json!({"/a": {"get": {"parameters": [{"name": "p"}]}}});
        let parameter = wrapped(&[8, 1, 2, 3], part(4, b"p"));
        let expected = wrapped(&[8, 2], [part(1, b"/a"), wrapped(&[2, 2], parameter)].concat());
        assert_eq!(encode(&json!({"paths": path})), expected);
    }

    #[test]
    fn a_schema_keeps_its_types_its_bounds_and_its_extensions() {
        let schema = json!({"type": "object", "minimum": 1, "additionalProperties": true, "x-a": [1],
            "properties": {"b": {"type": "array", "items": {"$ref": "r"}}}});
        let items = [wrapped(&[22, 1], b"array".to_vec()), wrapped(&[23, 1, 1], b"r".to_vec())].concat();
        let expected = [
            [vec![9 << 3 | 1], 1f64.to_le_bytes().to_vec()].concat(),
            part(21, &scalar(2, 1)),
            wrapped(&[22, 1], b"object".to_vec()),
            wrapped(&[25, 1], named("b", &items)),
            part(31, &named("x-a", &part(2, b"[1]"))),
        ];
        assert_eq!(message(&SCHEMA, &schema), expected.concat());
    }
}
