//! The schema held against what a real API server recorded.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn exchange(path: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kubernetes-1.36");
    let text = std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn body(exchange: &Value) -> Value {
    let body = &exchange["request"]["body"];
    body.as_str().map_or_else(|| body.clone(), |text| serde_json::from_str(text).unwrap())
}

fn version(path: &str) -> Value {
    body(&exchange(path))["spec"]["versions"][0].clone()
}

fn recorded() -> Structural {
    Structural::from_crd_version(&version("crd/create.json")).unwrap()
}

/// A schema whose spec has these properties and rules.
fn spec(properties: &Value, rules: &Value) -> Value {
    json!({"schema": {"openAPIV3Schema": {
        "type": "object",
        "properties": {"spec": {
            "type": "object",
            "properties": properties,
            "x-kubernetes-validations": rules,
        }},
    }}})
}

fn told(causes: &[Cause]) -> Value {
    causes.iter().map(|c| json!({"reason": c.reason, "field": c.field, "message": c.message})).collect()
}

fn texts(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(Cause::to_string).collect()
}

#[test]
fn objects_are_refused_in_the_recorded_words() {
    let schema = recorded();
    for name in ["create-no-image", "create-bad-port", "create-negative-replicas", "create-cel", "create-wrong-type"] {
        let exchange = exchange(&format!("mcpservers/{name}.json"));
        let mut object = body(&exchange);
        schema.prune(&mut object);
        schema.drop_nulls(&mut object);
        schema.default(&mut object);
        let causes = schema.validate(&object, None);
        let wanted = &exchange["response"]["body"];
        assert_eq!(told(&causes), wanted["details"]["causes"], "{name}");
        let object_name = object["metadata"]["name"].as_str().unwrap();
        assert_eq!(json!(message("MCPServer.mcp.mcp.dev", object_name, &causes)), wanted["message"], "{name}");
    }
}

#[test]
fn a_rule_about_the_name_is_told_at_the_root() {
    let schema = Structural::from_crd_version(&version("crd/apply-with-name-rule.json")).unwrap();
    let exchange = exchange("mcpservers/create-name-rule.json");
    let causes = schema.validate(&body(&exchange), None);
    assert_eq!(told(&causes), exchange["response"]["body"]["details"]["causes"]);
    let good = json!({"metadata": {"name": "hpa-target"}, "spec": {"image": "x"}});
    assert_eq!(schema.validate(&good, None), []);
}

#[test]
fn a_status_is_refused_in_the_recorded_words() {
    let schema = recorded();
    let old = exchange("mcpservers/status-merge-patch.json")["response"]["body"].clone();
    let exchange = exchange("mcpservers/status-invalid.json");
    let mut new = old.clone();
    json_patch::merge(&mut new, &body(&exchange));
    assert_eq!(told(&schema.validate_status(&new, &old)), exchange["response"]["body"]["details"]["causes"]);
}

#[test]
fn created_objects_are_pruned_and_defaulted_as_recorded() {
    let schema = recorded();
    for name in ["create-minimal", "create-full", "create-unknown-field-warn"] {
        let exchange = exchange(&format!("mcpservers/{name}.json"));
        let mut object = body(&exchange);
        schema.prune(&mut object);
        schema.drop_nulls(&mut object);
        schema.default(&mut object);
        assert_eq!(object["spec"], exchange["response"]["body"]["spec"], "{name}");
        assert_eq!(schema.validate(&object, None), [], "{name}");
    }
    let mut object = body(&exchange("mcpservers/create-unknown-field-strict.json"));
    assert_eq!(schema.prune(&mut object), ["spec.imagee"]);
}

#[test]
fn definitions_are_refused_in_the_recorded_words() {
    for path in ["crd/invalid-ref.json", "crd/invalid-cel.json"] {
        let causes = Structural::from_crd_version(&version(path)).unwrap_err();
        assert_eq!(told(&causes), exchange(path)["response"]["body"]["details"]["causes"], "{path}");
    }
}

#[test]
fn definitions_that_are_not_structural_are_refused() {
    let at = "spec.validation.openAPIV3Schema.properties[spec]";
    let cases = [
        (
            json!({"a": {}}),
            format!("{at}.properties[a].type: Required value: must not be empty for specified object fields"),
        ),
        (json!({"a": {"type": "array"}}), format!("{at}.properties[a].items: Required value: must be specified")),
        (
            json!({"a": {"type": "text"}}),
            format!(
                "{at}.properties[a].type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \
                 \"integer\", \"number\", \"object\", \"string\""
            ),
        ),
        (
            json!({"a": {"type": "string", "anyOf": [{"type": "string"}]}}),
            format!("{at}.properties[a].anyOf[0].type: Forbidden: must be empty to be structural"),
        ),
        (
            json!({"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}}),
            format!(
                "{at}.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime \
                 complexity becomes quadratic"
            ),
        ),
        (
            json!({"a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": false}}),
            format!(
                "{at}.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual \
                 exclusive"
            ),
        ),
        (
            json!({"a": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}},
            }}),
            format!(
                "{at}.properties[a].items.properties[k].default: Required value: this property is in \
                 x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ),
        ),
        (
            json!({"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}),
            format!(
                "{at}.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if \
                 x-kubernetes-list-type is map"
            ),
        ),
        (
            json!({"a": {"type": "integer", "default": 0, "minimum": 1}}),
            format!("{at}.properties[a].default: Invalid value: 0:  in body should be greater than or equal to 1"),
        ),
        (
            json!({"a": {"type": "object", "default": {"b": 1}}}),
            format!("{at}.properties[a].default: Invalid value: {{\"b\":1}}: must not have unknown fields"),
        ),
        (
            json!({"a": {"type": "string", "pattern": "("}}),
            format!(
                "{at}.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: "
            ),
        ),
    ];
    for (properties, wanted) in cases {
        let told = texts(&Structural::from_crd_version(&spec(&properties, &json!([]))).unwrap_err());
        assert!(told.len() == 1 && told[0].starts_with(&wanted), "{told:?}\n{wanted}");
    }
}

#[test]
fn the_metadata_of_a_definition_may_restrict_names_only() {
    let version = |metadata: Value| json!({"schema": {"openAPIV3Schema": {"type": "object", "properties": {"metadata": metadata}}}});
    let names = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}});
    let schema = Structural::from_crd_version(&version(names)).unwrap();
    let causes = schema.validate(&json!({"metadata": {"name": "too-long"}}), None);
    assert_eq!(texts(&causes), ["metadata.name: Too long: may not be more than 5 bytes"]);
    let labels = json!({"type": "object", "properties": {"labels": {"type": "object"}}});
    assert_eq!(
        texts(&Structural::from_crd_version(&version(labels)).unwrap_err()),
        ["spec.validation.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than name \
          and generateName, but metadata is implicitly specified"]
    );
}

#[test]
fn a_rule_may_blame_the_name_only_where_the_schema_declares_it() {
    let version = |metadata: Value| {
        json!({"schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {"metadata": metadata},
            "x-kubernetes-validations": [
                {"rule": "self.metadata.name != 'x'", "message": "no", "fieldPath": ".metadata.name"},
            ],
        }}})
    };
    let told = Structural::from_crd_version(&version(json!({"type": "object"}))).unwrap_err();
    assert_eq!(
        texts(&told),
        ["spec.validation.openAPIV3Schema.x-kubernetes-validations[0].fieldPath: Invalid value: \".metadata.name\": \
          must be a valid path"]
    );
    let declared = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    let schema = Structural::from_crd_version(&version(declared)).unwrap();
    let causes = schema.validate(&json!({"metadata": {"name": "x"}}), None);
    assert_eq!(texts(&causes), ["metadata.name: Invalid value: no"]);
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let properties = json!({
        "s": {"type": "string"},
        "l": {"type": "array", "items": {
            "type": "object",
            "x-kubernetes-validations": [{"rule": "self == oldSelf"}],
        }},
    });
    let no_list = json!({"s": {"type": "string"}});
    let cases = [
        (&no_list, json!([{"rule": "self.s"}]), "rule", "cel expression must evaluate to a bool"),
        (&no_list, json!([{"rule": ""}]), "rule", "rule is not specified"),
        (&no_list, json!([{"rule": "self.s == 1"}]), "rule", "found no matching overload for '_==_'"),
        (&no_list, json!([{"rule": "self.s =="}]), "rule", "compilation failed: ERROR: <input>:1:10: Syntax error"),
        (
            &no_list,
            json!([{"rule": "true", "messageExpression": "1"}]),
            "messageExpression",
            "messageExpression must evaluate to a string",
        ),
        (&no_list, json!([{"rule": "true", "fieldPath": ".nope"}]), "fieldPath", "must be a valid path"),
        (&no_list, json!([{"rule": "true", "reason": "Bad"}]), "reason", "supported values"),
        (&no_list, json!([{"rule": "true", "message": "a\nb"}]), "message", "must not contain line breaks"),
        (&no_list, json!([{"rule": "true", "optionalOldSelf": true}]), "optionalOldSelf", "may not be set"),
        (&properties, json!([]), "rule", "oldSelf cannot be used on the uncorrelatable portion"),
    ];
    for (properties, rules, field, wanted) in cases {
        let told = Structural::from_crd_version(&spec(properties, &rules)).unwrap_err();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].field.ends_with(field), "{told:?}");
        assert!(told[0].message.contains(wanted), "{told:?}");
    }
}

#[test]
fn a_broken_rule_says_what_it_was_told_to_say_and_where() {
    let properties =
        json!({"a": {"type": "integer"}, "b": {"type": "object", "additionalProperties": {"type": "string"}}});
    let cases = [
        (json!({"rule": "self.a > 1"}), "spec: Invalid value: failed rule: self.a > 1"),
        (json!({"rule": "self.a > 1", "message": " no "}), "spec: Invalid value: no"),
        (
            json!({"rule": "self.a > 1", "message": "no", "messageExpression": "'a is ' + string(self.a)"}),
            "spec: Invalid value: a is 1",
        ),
        (json!({"rule": "self.a > 1", "message": "no", "fieldPath": ".a"}), "spec.a: Invalid value: no"),
        (json!({"rule": "self.a > 1", "message": "no", "reason": "FieldValueForbidden"}), "spec: Forbidden: no"),
        (json!({"rule": "self.a > 1", "message": "no", "reason": "FieldValueRequired"}), "spec: Required value: no"),
        (
            json!({"rule": "self.a / 0 > 1"}),
            "spec: Invalid value: \"object\": division by zero evaluating rule: self.a / 0 > 1",
        ),
        (
            json!({"rule": "self.b['x'] == ''"}),
            "spec: Invalid value: \"object\": no such key: x evaluating rule: self.b['x'] == ''",
        ),
    ];
    for (rule, wanted) in cases {
        let schema = Structural::from_crd_version(&spec(&properties, &json!([rule]))).unwrap();
        assert_eq!(texts(&schema.validate(&json!({"spec": {"a": 1, "b": {}}}), None)), [wanted]);
    }
}

#[test]
fn a_rule_on_a_scalar_shows_the_value() {
    let properties =
        json!({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "message": "no"}]}});
    let schema = Structural::from_crd_version(&spec(&properties, &json!([]))).unwrap();
    assert_eq!(texts(&schema.validate(&json!({"spec": {"a": 1}}), None)), ["spec.a: Invalid value: 1: no"]);
}

#[test]
fn a_rule_can_ask_for_the_type_of_a_value() {
    let rule = "type(self) == int ? self > 1 : self.endsWith('%')";
    let either = json!({"x-kubernetes-int-or-string": true, "x-kubernetes-validations": [{"rule": rule}]});
    let others = json!({"rule": "type(self.b) == bool && type(self.l) == list && type(self.l) != type(self.b)"});
    let properties = json!({
        "a": either, "b": {"type": "boolean"}, "l": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
    });
    let schema = Structural::from_crd_version(&spec(&properties, &json!([others]))).unwrap();
    let told = |a: Value| texts(&schema.validate(&json!({"spec": {"a": a, "b": true, "l": []}}), None));
    for fine in [json!(2), json!("5%")] {
        assert_eq!(told(fine), Vec::<String>::new());
    }
    for (a, shown) in [(json!(1), "1"), (json!("5"), "\"5\"")] {
        assert_eq!(told(a), [format!("spec.a: Invalid value: {shown}: failed rule: {rule}")]);
    }
}

#[test]
fn a_transition_rule_speaks_only_of_transitions() {
    let properties = json!({"a": {"type": "integer"}});
    let fixed = json!([{"rule": "self.a == oldSelf.a", "message": "a is fixed"}]);
    let schema = Structural::from_crd_version(&spec(&properties, &fixed)).unwrap();
    let object = |a: u64| json!({"spec": {"a": a}});
    assert_eq!(schema.validate(&object(1), None), []);
    assert_eq!(schema.validate(&object(1), Some(&object(1))), []);
    assert_eq!(texts(&schema.validate(&object(2), Some(&object(1)))), ["spec: Invalid value: a is fixed"]);

    let grows = json!({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > oldSelf"}]}});
    let schema = Structural::from_crd_version(&spec(&grows, &json!([]))).unwrap();
    let told = texts(&schema.validate(&json!({"spec": {"a": 1}, "x": 1}), Some(&object(1))));
    assert_eq!(told, ["spec.a: Invalid value: 1: failed rule: self > oldSelf"]);

    let optional = json!([{
        "rule": "oldSelf.hasValue() ? self.a >= oldSelf.value().a : self.a == 0",
        "message": "a starts at 0 and grows",
        "optionalOldSelf": true,
    }]);
    let schema = Structural::from_crd_version(&spec(&properties, &optional)).unwrap();
    assert_eq!(schema.validate(&object(0), None), []);
    assert_eq!(schema.validate(&object(3), Some(&object(2))), []);
    assert_eq!(schema.validate(&object(1), None).len(), 1);
    assert_eq!(schema.validate(&object(1), Some(&object(2))).len(), 1);
}

#[test]
fn a_rule_that_was_broken_before_is_told_only_where_something_changed() {
    let properties = json!({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "message": "no"}]}, "b": {"type": "integer"}});
    let schema = Structural::from_crd_version(&spec(&properties, &json!([]))).unwrap();
    let old = json!({"spec": {"a": 1, "b": 1}});
    assert_eq!(schema.validate(&json!({"spec": {"a": 1, "b": 2}}), Some(&old)), []);
    assert_eq!(texts(&schema.validate(&json!({"spec": {"a": 0}}), Some(&old))), ["spec.a: Invalid value: 0: no"]);
}

#[test]
fn the_same_item_twice_in_a_list_with_keys_is_refused() {
    let schema = recorded();
    let condition = |status: &str| {
        json!({
            "type": "Ready",
            "status": status,
            "lastTransitionTime": "2026-11-22T20:00:00Z",
            "reason": "X",
            "message": "",
        })
    };
    let object = json!({
        "spec": {"image": "x"},
        "status": {"conditions": [condition("True"), condition("False")]},
    });
    assert_eq!(texts(&schema.validate(&object, None)), ["status.conditions[1]: Duplicate value: {\"type\":\"Ready\"}"]);
    let mut later = object.clone();
    later["spec"]["replicas"] = json!(2);
    assert_eq!(schema.validate(&later, Some(&object)), [], "it was there before");
}

#[test]
fn a_schema_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&recorded());
    shared(&crate::fields::Schema::builtin("Pod"));
}
