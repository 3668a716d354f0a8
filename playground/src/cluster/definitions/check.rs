//! What a definition must be, beside its schema: its names, its versions, and what may not change any more.
//!
//! The order and the words are those of apiextensions' `validation.go`.

use serde_json::Value;

use super::{text, versions};
use crate::builtin::names;
use crate::schema::Cause;

/// All faults of a definition, and of the change that made it, where it was there before.
pub(super) fn check(definition: &Value, live: Option<&Value>) -> Vec<Cause> {
    let spec = &definition["spec"];
    let mut causes = Vec::new();
    if live.is_none() {
        causes.extend(own_name(definition));
    }
    causes.extend(group(spec));
    match spec["scope"].as_str() {
        None | Some("") => causes.push(Cause::required("spec.scope", "")),
        Some("Namespaced" | "Cluster") => {}
        Some(_) => {
            let supported = ["Cluster", "Namespaced"].map(str::to_owned);
            causes.push(Cause::not_supported("spec.scope", &spec["scope"], &supported));
        }
    }
    causes.extend(check_versions(definition));
    causes.extend(check_shown(definition));
    causes.extend(check_names(&spec["names"]));
    if spec["preserveUnknownFields"] == true {
        let why =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.push(Cause::invalid("spec.preserveUnknownFields", true, why));
    }
    if spec["conversion"]["strategy"] != "None" {
        let message = "Unsupported value: the playground converts by strategy \"None\" alone".to_owned();
        let (reason, field) = ("FieldValueNotSupported".to_owned(), "spec.conversion.strategy".to_owned());
        causes.push(Cause { reason, field, message });
    }
    causes.extend(check_stored(definition));
    if let Some(live) = live {
        causes.extend(immutable(spec, live));
    }
    causes
}

fn own_name(definition: &Value) -> Option<Cause> {
    let spec = &definition["spec"];
    let name = &definition["metadata"]["name"];
    let wanted = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    (*name != wanted.as_str())
        .then(|| Cause::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"))
}

fn group(spec: &Value) -> Vec<Cause> {
    let group = text(&spec["group"]);
    let at = "spec.group";
    if group.is_empty() {
        return vec![Cause::required(at, "")];
    }
    let misspelt = names::dns_subdomain(&group);
    if !misspelt.is_empty() {
        return vec![Cause::invalid(at, &spec["group"], &misspelt.join(","))];
    }
    let dotted = group.contains('.');
    if dotted {
        Vec::new()
    } else {
        vec![Cause::invalid(at, &spec["group"], "should be a domain with at least one dot")]
    }
}

fn check_versions(definition: &Value) -> Vec<Cause> {
    let at = "spec.versions";
    let mut causes = Vec::new();
    let mut seen = Vec::new();
    for (index, version) in versions(definition).enumerate() {
        let name = text(&version["name"]);
        for why in names::dns_label_1035(&name) {
            causes.push(Cause::invalid(format!("{at}[{index}].name"), &version["name"], &why));
            if index == 0 {
                causes.push(Cause::invalid("spec.version", &version["name"], &why));
            }
        }
        if seen.contains(&name) {
            causes.push(Cause::invalid(at, shown(definition), "must contain unique version names"));
        }
        seen.push(name);
    }
    if versions(definition).filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid(at, shown(definition), why));
    }
    causes
}

/// Columns and the scale subresource. Where there is but one version, theirs is the definition's.
fn check_shown(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let alone = versions(definition).count() == 1;
    for (index, version) in versions(definition).enumerate() {
        let at = if alone { "spec".to_owned() } else { format!("spec.versions[{index}]") };
        if version["deprecationWarning"].is_string() && version["deprecated"] != true {
            let field = format!("spec.versions[{index}].deprecationWarning");
            causes.push(Cause::invalid(
                field,
                &version["deprecationWarning"],
                "can only be set for deprecated versions",
            ));
        }
        let scale = &version["subresources"]["scale"];
        if scale.is_object() {
            let at = format!("{at}.subresources.scale");
            causes.extend(check_scale_path(&format!("{at}.specReplicasPath"), &scale["specReplicasPath"], &[".spec"]));
            let status = &scale["statusReplicasPath"];
            causes.extend(check_scale_path(&format!("{at}.statusReplicasPath"), status, &[".status"]));
            let selector = &scale["labelSelectorPath"];
            if !text(selector).is_empty() {
                let both = [".spec", ".status"];
                causes.extend(check_scale_path(&format!("{at}.labelSelectorPath"), selector, &both));
            }
        }
        for (index, column) in version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate() {
            causes.extend(check_column(&format!("{at}.additionalPrinterColumns[{index}]"), column));
        }
    }
    causes
}

fn check_scale_path(at: &str, path: &Value, under: &[&str]) -> Option<Cause> {
    let written = text(path);
    if written.is_empty() {
        return Some(Cause::required(at, ""));
    }
    if !written.starts_with('.') {
        return Some(Cause::invalid(at, path, "must be a simple json path starting with ."));
    }
    let fits = under.iter().any(|root| written.strip_prefix(root).is_some_and(|rest| rest.starts_with('.')));
    let either = if under.len() > 1 { "either " } else { "" };
    let why = format!("should be a json path under {either}{}", under.join(" or "));
    (!fits).then(|| Cause::invalid(at, path, &why))
}

fn check_column(at: &str, column: &Value) -> Vec<Cause> {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    let mut causes = Vec::new();
    if text(&column["name"]).is_empty() {
        causes.push(Cause::required(format!("{at}.name"), ""));
    }
    let kind = text(&column["type"]);
    if kind.is_empty() {
        let why = format!("must be one of {}", TYPES.join(","));
        causes.push(Cause::required(format!("{at}.type"), &why));
    } else if !TYPES.contains(&kind.as_str()) {
        let why = format!("must be one of {}", TYPES.join(","));
        causes.push(Cause::invalid(format!("{at}.type"), &column["type"], &why));
    }
    let format = text(&column["format"]);
    if !format.is_empty() && !FORMATS.contains(&format.as_str()) {
        let why = format!("must be one of {}", FORMATS.join(","));
        causes.push(Cause::invalid(format!("{at}.format"), &column["format"], &why));
    }
    let path = text(&column["jsonPath"]);
    if path.is_empty() {
        causes.push(Cause::required(format!("{at}.JSONPath"), ""));
    } else if !path.starts_with('.') {
        let why = "must be a simple json path starting with .";
        causes.push(Cause::invalid(format!("{at}.JSONPath"), &column["jsonPath"], why));
    }
    causes
}

/// The versions as Go prints them; what they all share stands elsewhere by then.
fn shown(definition: &Value) -> String {
    let list = &definition["spec"]["versions"];
    if !list.is_array() {
        return "null".to_owned();
    }
    let version = |version: &Value| {
        let flag = |name: &str| version[name] == true;
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\
             \"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
            Value::from(text(&version["name"])),
            flag("served"),
            flag("storage"),
            flag("deprecated"),
            version["deprecationWarning"],
        )
    };
    format!("[{}]", versions(definition).map(version).collect::<Vec<_>>().join(","))
}

fn check_names(given: &Value) -> Vec<Cause> {
    let at = |name: &str| format!("spec.names.{name}");
    let mut causes = Vec::new();
    for name in ["plural", "singular", "kind", "listKind"] {
        let word = text(&given[name]);
        if word.is_empty() {
            causes.push(Cause::required(at(name), ""));
            continue;
        }
        let mixed = name.ends_with("ind");
        let spelling = names::dns_label_1035(&if mixed { word.to_lowercase() } else { word });
        let lead = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
        if !spelling.is_empty() {
            causes.push(Cause::invalid(at(name), &given[name], &format!("{lead}{}", spelling.join(","))));
        }
    }
    for name in ["shortNames", "categories"] {
        for (index, word) in given[name].as_array().into_iter().flatten().enumerate() {
            let spelling = names::dns_label_1035(&text(word));
            if !spelling.is_empty() {
                causes.push(Cause::invalid(format!("{}[{index}]", at(name)), word, &spelling.join(",")));
            }
        }
    }
    if given["kind"] == given["listKind"] && given["kind"].is_string() {
        causes.push(Cause::invalid(at("listKind"), &given["listKind"], "kind and listKind may not be the same"));
    }
    causes
}

/// What has been stored in a version is not lost with it.
fn check_stored(definition: &Value) -> Vec<Cause> {
    let at = "status.storedVersions";
    let stored = definition["status"]["storedVersions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if stored.is_empty() {
        return vec![Cause::invalid(at, "null", "must have at least one stored version")];
    }
    let mut causes = Vec::new();
    let storage = versions(definition).filter(|version| version["storage"] == true).last();
    if let Some(name) = storage.map(|version| &version["name"]).filter(|name| !stored.contains(name)) {
        let why = format!("must have the storage version {}", text(name));
        causes.push(Cause::invalid(at, Value::from(stored), &why));
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions(definition).any(|version| version["name"] == *name) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions",
                name = text(name)
            );
            causes.push(Cause::invalid(format!("{at}[{index}]"), name, &why));
        }
    }
    causes
}

/// Once its names are accepted, what they name stays.
fn immutable(spec: &Value, live: &Value) -> Vec<Cause> {
    let established = live["status"]["conditions"].as_array().into_iter().flatten();
    let established = established.into_iter().any(|found| found["type"] == "Established" && found["status"] == "True");
    let mut fields = vec!["/group"];
    if established {
        fields.extend(["/scope", "/names/kind", "/names/plural"]);
    }
    let value = |spec: &Value, field: &str| spec.pointer(field).cloned().unwrap_or_default();
    let changed = fields.into_iter().filter(|field| value(spec, field) != value(&live["spec"], field));
    let cause = |field: &str| {
        Cause::invalid(format!("spec{}", field.replace('/', ".")), value(spec, field), "field is immutable")
    };
    changed.map(cause).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;

    fn definition() -> Value {
        json!({
            "metadata": {"name": "bolts.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "bolts", "singular": "bolt", "kind": "Bolt", "listKind": "BoltList"},
                "versions": [{"name": "v1", "served": true, "storage": true}],
                "conversion": {"strategy": "None"},
            },
            "status": {
                "storedVersions": ["v1"],
                "conditions": [{"type": "Established", "status": "True"}],
            },
        })
    }

    fn faults(change: impl Fn(&mut Value), live: Option<&Value>) -> Vec<String> {
        let mut definition = definition();
        change(&mut definition);
        check(&definition, live).iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    fn first(pointer: &str, value: &Value, live: Option<&Value>) -> String {
        let found = faults(|definition| *definition.pointer_mut(pointer).unwrap() = value.clone(), live);
        let shown = found.first().cloned().unwrap_or_default();
        shown.split(" (e.g.").next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_sound_definition_has_no_fault() {
        assert_eq!(faults(|_| {}, None), Vec::<String>::new());
        assert_eq!(faults(|_| {}, Some(&definition())), Vec::<String>::new());
    }

    #[test]
    fn names_are_labels_and_differ() {
        let label = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                     character, and end with an alphanumeric character";
        for (pointer, value, wanted) in [
            (
                "/spec/names/kind",
                json!("a b"),
                format!(
                    "spec.names.kind: Invalid value: \"a b\": may have mixed case, but should otherwise match: {label}"
                ),
            ),
            ("/spec/names/singular", json!("A_"), format!("spec.names.singular: Invalid value: \"A_\": {label}")),
            (
                "/spec/names/listKind",
                json!("Bolt"),
                "spec.names.listKind: Invalid value: \"Bolt\": kind and listKind may not be the same".to_owned(),
            ),
            ("/spec/names/kind", json!(""), "spec.names.kind: Required value".to_owned()),
        ] {
            assert_eq!(first(pointer, &value, None), wanted);
        }
    }

    #[test]
    fn exactly_one_version_is_stored_and_none_is_lost() {
        let versions = json!([{"name": "v2", "served": true, "storage": true}]);
        let lost = first("/spec/versions", &versions, None);
        assert_eq!(lost, "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2");
        let none = faults(|definition| definition["spec"]["versions"][0]["storage"] = false.into(), None);
        assert!(
            none[0].starts_with("spec.versions: Invalid value: [{\"Name\":\"v1\",\"Served\":true,\"Storage\":false")
        );
        assert!(none[0].ends_with("must have exactly one version marked as storage version"));
    }

    #[test]
    fn columns_and_scale_are_checked_where_the_only_version_has_them() {
        let with = |name: &str, value: Value| {
            faults(|definition| definition["spec"]["versions"][0][name] = value.clone(), None)
        };
        let column = json!([{"name": "A", "type": "zz", "jsonPath": "spec.a"}]);
        assert_eq!(
            with("additionalPrinterColumns", column),
            [
                "spec.additionalPrinterColumns[0].type: Invalid value: \"zz\": must be one of \
                 boolean,date,integer,number,string",
                "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec.a\": must be a simple json path starting \
                 with .",
            ]
        );
        let scale = json!({"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".spec.n", "labelSelectorPath": ".z"}});
        assert_eq!(
            with("subresources", scale),
            [
                "spec.subresources.scale.statusReplicasPath: Invalid value: \".spec.n\": should be a json path under .status",
                "spec.subresources.scale.labelSelectorPath: Invalid value: \".z\": should be a json path under either .spec \
                 or .status",
            ]
        );
    }

    #[test]
    fn what_is_established_keeps_its_names_and_scope() {
        let live = definition();
        for (pointer, value, wanted) in [
            ("/spec/group", "x.io", "spec.group: Invalid value: \"x.io\": field is immutable"),
            ("/spec/scope", "Cluster", "spec.scope: Invalid value: \"Cluster\": field is immutable"),
            ("/spec/names/kind", "Nut", "spec.names.kind: Invalid value: \"Nut\": field is immutable"),
            ("/spec/names/plural", "nuts", "spec.names.plural: Invalid value: \"nuts\": field is immutable"),
        ] {
            assert_eq!(first(pointer, &json!(value), Some(&live)), wanted);
        }
    }
}
