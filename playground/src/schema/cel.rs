//! CEL, as the rules of a CRD use it: reading, values, running.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::functions::time;
use kube_cel::cel::objects::{Key, Map, Opaque, OptionalValue};
use kube_cel::cel::parser::Parser;
use kube_cel::cel::{Context, ExecutionError, IdedExpr, Value};
use serde_json::Value as Json;

use super::functions;
use super::node::Node;

/// A rule or a message that was read.
#[derive(Debug)]
pub(super) struct Expression(pub(super) IdedExpr);

/// Why a rule gave no answer.
pub(super) enum Failure {
    /// An operator or function doesn't take these types.
    NoOverload,
    /// Everything else, in CEL's words.
    Other(String),
}

impl Expression {
    /// Reads an expression. The error is the list of faults as the API server prints it.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let parser = Parser::new().enable_optional_syntax(true);
        parser.parse(source).map(Self).map_err(|errors| {
            let faults = errors.errors.iter().map(|error| {
                let (line, column) = error.pos;
                let (line, column) = (line.max(1).unsigned_abs(), column.max(1).unsigned_abs());
                fault(source, line, column, &error.msg)
            });
            faults.collect::<Vec<_>>().join("\n")
        })
    }

    /// Whether it names the variable.
    pub(super) fn names(&self, variable: &str) -> bool {
        self.0.references().has_variable(variable)
    }

    /// The answer of a rule.
    pub(super) fn test(&self, context: &Context<'_>) -> Result<bool, Failure> {
        match Value::resolve(&self.0, context) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(_) => Err(Failure::NoOverload),
            Err(error) => Err(failure(&error)),
        }
    }

    /// The text of a message; `None` where it gives none that can be shown.
    pub(super) fn text(&self, context: &Context<'_>) -> Option<String> {
        match Value::resolve(&self.0, context) {
            Ok(Value::String(text)) => {
                let text = text.trim();
                (!text.is_empty() && !text.contains('\n')).then(|| text.to_owned())
            }
            Ok(_) | Err(_) => None,
        }
    }
}

/// A fault with the line it is in and a mark under it, as cel-go prints it. Both count from 1.
pub(super) fn fault(source: &str, line: usize, column: usize, message: &str) -> String {
    let text = source.lines().nth(line - 1).unwrap_or_default();
    let dots = ".".repeat(column - 1);
    format!("ERROR: <input>:{line}:{column}: {message}\n | {text}\n | {dots}^")
}

fn failure(error: &ExecutionError) -> Failure {
    Failure::Other(match error {
        ExecutionError::NoSuchOverload
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedUnaryOperator(..)
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. } => return Failure::NoOverload,
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::FunctionError { function: _, message } => message.clone(),
        other => other.to_string(),
    })
}

/// What `type()` gives: `int`, `list`, `google.protobuf.Timestamp` ...
#[derive(Debug, PartialEq, Eq)]
struct TypeName(String);

impl Opaque for TypeName {
    fn runtime_type_name(&self) -> &'static str {
        "type"
    }
}

/// Teaches a context `type()`, and the names of types that its answers are compared with.
pub(super) fn add_types(context: &mut Context<'_>) {
    let named = |name: &str| Value::Opaque(Arc::new(TypeName(name.to_owned())));
    context.add_function("type", move |value: Value| -> Result<Value, ExecutionError> { Ok(named(type_name(&value))) });
    for name in functions::TYPES {
        context.add_variable_from_value(*name, named(name));
    }
}

fn type_name(value: &Value) -> &str {
    match value {
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Bool(_) => "bool",
        Value::Duration(_) => "google.protobuf.Duration",
        Value::Timestamp(_) => "google.protobuf.Timestamp",
        Value::Opaque(opaque) => opaque.runtime_type_name(),
        Value::Null => "null_type",
        Value::Function(..) => "function",
    }
}

/// An optional for `oldSelf`.
pub(super) fn optional(value: Option<Value>) -> Value {
    Value::Opaque(Arc::new(value.map_or_else(OptionalValue::none, OptionalValue::of)))
}

/// A JSON value as a rule sees it: strings of some formats are times and bytes, and the fields of a
/// struct have names that CEL can write. Of the metadata of an object only the names are shown.
pub(super) fn value(json: &Json, node: Option<&Node>, resource: bool) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number_value(json, number, node),
        Json::String(text) => string_value(text, node.map_or("", |node| node.format.as_str())),
        Json::Array(items) => {
            let below = node.and_then(|node| node.items.as_deref());
            let embedded = below.is_some_and(|node| node.embedded);
            Value::List(Arc::new(items.iter().map(|item| value(item, below, embedded)).collect()))
        }
        Json::Object(members) => {
            let is_map = node.is_some_and(|node| node.additional_properties.is_some());
            let mut map = HashMap::new();
            for (name, member) in members {
                let below = node.and_then(|node| node.member(name));
                let embedded = below.is_some_and(|node| node.embedded);
                let shown =
                    if resource && name == "metadata" { metadata(member) } else { value(member, below, embedded) };
                let name = if is_map { name.clone() } else { escape(name) };
                map.insert(Key::String(Arc::new(name)), shown);
            }
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}

/// A JSON value as it is, where no schema says more of it.
pub(super) fn plain(json: &Json) -> Value {
    match json {
        Json::Array(items) => Value::List(Arc::new(items.iter().map(plain).collect())),
        Json::Object(members) => {
            let members = members.iter().map(|(name, member)| (Key::String(Arc::new(name.clone())), plain(member)));
            Value::Map(Map { map: Arc::new(members.collect()) })
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value(json, None, false),
    }
}

fn number_value(json: &Json, number: &serde_json::Number, node: Option<&Node>) -> Value {
    let float = node.is_some_and(|node| node.type_name == "number");
    match number.as_i64() {
        Some(whole) if !float => Value::Int(whole),
        _ => Value::Float(json.as_f64().unwrap_or_default()),
    }
}

fn string_value(text: &str, format: &str) -> Value {
    let string = Arc::new(text.to_owned());
    let converted = match format {
        "date-time" | "datetime" => time::timestamp(string.clone()).ok(),
        "date" => time::timestamp(Arc::new(format!("{text}T00:00:00Z"))).ok(),
        "duration" => time::duration(string.clone()).ok(),
        "byte" => STANDARD.decode(text).ok().map(|bytes| Value::Bytes(Arc::new(bytes))),
        _ => None,
    };
    converted.unwrap_or(Value::String(string))
}

fn metadata(metadata: &Json) -> Value {
    let names = ["name", "generateName"].into_iter();
    let map: HashMap<_, _> = names
        .filter_map(|name| Some((Key::String(Arc::new(name.to_owned())), value(metadata.get(name)?, None, false))))
        .collect();
    Value::Map(Map { map: Arc::new(map) })
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name by which a rule reaches a field: `x-y` is `x__dash__y`, `namespace` is `__namespace__`.
pub(super) fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_cel_cannot_write_are_escaped() {
        let cases = [
            ("image", "image"),
            ("my_field", "my_field"),
            ("a__b", "a__underscores__b"),
            ("x-y", "x__dash__y"),
            ("a.b/c", "a__dot__b__slash__c"),
            ("namespace", "__namespace__"),
        ];
        for (name, wanted) in cases {
            assert_eq!(escape(name), wanted);
        }
    }

    #[test]
    fn strings_of_some_formats_are_more_than_strings() {
        let kind = |text: &str, format: &str| match string_value(text, format) {
            Value::Timestamp(_) => "timestamp",
            Value::Duration(_) => "duration",
            Value::Bytes(_) => "bytes",
            Value::String(_) => "string",
            _ => "other",
        };
        assert_eq!(kind("2026-11-22T20:00:00Z", "date-time"), "timestamp");
        assert_eq!(kind("2026-11-22", "date"), "timestamp");
        assert_eq!(kind("1h", "duration"), "duration");
        assert_eq!(kind("YQ==", "byte"), "bytes");
        assert_eq!(kind("x", "date-time"), "string");
        assert_eq!(kind("x", ""), "string");
    }

    #[test]
    fn a_syntax_error_shows_where() {
        let error = Expression::parse("self ==").unwrap_err();
        assert!(error.starts_with("ERROR: <input>:1:8: Syntax error: mismatched input '<EOF>'"), "{error}");
        assert!(error.ends_with("\n | self ==\n | .......^"), "{error}");
    }

    #[test]
    fn a_map_keeps_its_keys_and_a_struct_escapes_them() {
        let node: Node = serde_json::from_value(json!({
            "properties": {"a-b": {"additionalProperties": {"type": "string"}}},
        }))
        .unwrap();
        let seen = value(&json!({"a-b": {"c-d": "x"}}), Some(&node), false);
        let mut context = Context::default();
        context.add_variable_from_value("self", seen);
        let rule = Expression::parse("self.a__dash__b['c-d'] == 'x'").unwrap();
        assert!(matches!(rule.test(&context), Ok(true)));
    }
}
