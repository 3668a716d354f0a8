//! Mistakes in selectors: values where the operator takes none, or none where it needs some.
//!
//! The same form is in many places, and each place has its own copy of the schema.

use serde_json::{Value, json};

use super::{Mistake, many};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

const OF_LABELS: &str = "values must be specified if and only if operator is In or NotIn";
const OF_NODES: &str = "values must be specified if operator is In or NotIn, one if it is Gt or Lt, else none";
const OF_NAMES: &str = "metadata.name can be selected by, with In or NotIn and one value";

/// Everything that has a selector of labels, given this one, and what its place is called.
fn places(selector: &Value) -> Vec<(Value, &'static str)> {
    let term = |field: &str| json!({"topologyKey": "zone", field: selector});
    let required = |kind: &str, field: &str| json!({"affinity": {kind: {REQUIRED: [term(field)]}}});
    let preferred = |kind: &str, field: &str| {
        let weighted = json!({"weight": 1, "podAffinityTerm": term(field)});
        json!({"affinity": {kind: {PREFERRED: [weighted]}}})
    };
    let spread = json!({
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector,
    });
    let metric = |kind: &str, field: &str| {
        let target = json!({"type": "Value", "value": 1});
        let mut source = json!({"metric": {"name": "m", "selector": selector}, "target": target});
        if kind == "Object" {
            source["describedObject"] = json!({"kind": "Service", "name": "a", "apiVersion": "v1"});
        }
        json!({"autoscaling": {"maxReplicas": 2, "metrics": [{"type": kind, field: source}]}})
    };
    let claim = json!({"accessModes": ["ReadWriteOnce"], "selector": selector});
    let volume = |source: Value| {
        let mut volume = json!({"name": "a"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        json!({"volumes": [volume]})
    };
    let bundle = json!({"clusterTrustBundle": {"signerName": "a", "path": "a", "labelSelector": selector}});
    vec![
        (required("podAffinity", "labelSelector"), "podAffinity.required"),
        (required("podAffinity", "namespaceSelector"), "podAffinity.required"),
        (required("podAntiAffinity", "labelSelector"), "podAntiAffinity.required"),
        (required("podAntiAffinity", "namespaceSelector"), "podAntiAffinity.required"),
        (preferred("podAffinity", "labelSelector"), "podAffinity.preferred"),
        (preferred("podAffinity", "namespaceSelector"), "podAffinity.preferred"),
        (preferred("podAntiAffinity", "labelSelector"), "podAntiAffinity.preferred"),
        (preferred("podAntiAffinity", "namespaceSelector"), "podAntiAffinity.preferred"),
        (json!({"topologySpreadConstraints": [spread]}), "spec.topologySpreadConstraints[0].labelSelector"),
        (json!({"networkPolicy": {"from": [{"podSelector": selector}]}}), "from[0].podSelector"),
        (json!({"networkPolicy": {"from": [{"namespaceSelector": selector}]}}), "from[0].namespaceSelector"),
        (json!({"networkPolicy": {"egress": [{"to": [{"podSelector": selector}]}]}}), "to[0].podSelector"),
        (json!({"networkPolicy": {"egress": [{"to": [{"namespaceSelector": selector}]}]}}), "to[0].namespaceSelector"),
        (metric("Pods", "pods"), "metrics[0].pods.metric.selector"),
        (metric("Object", "object"), "metrics[0].object.metric.selector"),
        (metric("External", "external"), "metrics[0].external.metric.selector"),
        (volume(json!({"ephemeral": {"volumeClaimTemplate": {"spec": claim}}})), "volumeClaimTemplate.spec.selector"),
        (volume(json!({"projected": {"sources": [bundle]}})), "clusterTrustBundle.labelSelector"),
    ]
}

pub(super) fn of_labels() -> Vec<Mistake> {
    let selector = |requirement: Value| json!({"matchExpressions": [requirement]});
    let mut mistakes = Vec::new();
    for wrong in [
        json!({"key": "a", "operator": "Exists", "values": ["b"]}),
        json!({"key": "a", "operator": "DoesNotExist", "values": ["b"]}),
        json!({"key": "a", "operator": "In"}),
        json!({"key": "a", "operator": "NotIn", "values": []}),
    ] {
        mistakes.extend(places(&selector(wrong)).into_iter().map(|(spec, place)| (spec, place, OF_LABELS)));
    }
    let field = places(&selector(json!({"key": "a", "operator": "In"}))).into_iter();
    mistakes.extend(field.map(|(spec, _)| (spec, "matchExpressions[0].values", OF_LABELS)));
    let long = json!({"matchExpressions": many(65, &json!({"key": "a", "operator": "Exists"}))});
    mistakes.extend(places(&long).into_iter().map(|(spec, place)| (spec, place, "at most 64 items")));
    mistakes
}

pub(super) fn of_nodes() -> Vec<Mistake> {
    let required = |term: Value| json!({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}});
    let preferred =
        |term: Value| json!({"affinity": {"nodeAffinity": {PREFERRED: [{"weight": 1, "preference": term}]}}});
    let mut mistakes = Vec::new();
    for wrong in [
        json!({"key": "a", "operator": "Exists", "values": ["b"]}),
        json!({"key": "a", "operator": "DoesNotExist", "values": ["b"]}),
        json!({"key": "a", "operator": "In"}),
        json!({"key": "a", "operator": "NotIn"}),
        json!({"key": "a", "operator": "Gt"}),
        json!({"key": "a", "operator": "Lt", "values": ["1", "2"]}),
    ] {
        let term = json!({"matchExpressions": [wrong]});
        mistakes.push((required(term.clone()), "nodeSelectorTerms[0].matchExpressions[0].values", OF_NODES));
        mistakes.push((preferred(term), "preference.matchExpressions[0].values", OF_NODES));
    }
    for wrong in [
        json!({"key": "metadata.uid", "operator": "In", "values": ["a"]}),
        json!({"key": "metadata.name", "operator": "Gt", "values": ["1"]}),
        json!({"key": "metadata.name", "operator": "In", "values": ["a", "b"]}),
    ] {
        let term = json!({"matchFields": [wrong]});
        mistakes.push((required(term.clone()), "nodeSelectorTerms[0].matchFields", OF_NAMES));
        mistakes.push((preferred(term), "preference.matchFields", OF_NAMES));
    }
    let exists = json!({"key": "a", "operator": "Exists"});
    let name = json!({"key": "metadata.name", "operator": "In", "values": ["a"]});
    for (field, requirement) in [("matchExpressions", exists), ("matchFields", name)] {
        let term = json!({field: many(65, &requirement)});
        mistakes.push((required(term.clone()), "nodeSelectorTerms[0].match", "at most 64 items"));
        mistakes.push((preferred(term), "preference.match", "at most 64 items"));
    }
    let term = json!({"topologyKey": "zone"});
    let weighted = json!({"weight": 1, "podAffinityTerm": term});
    for kind in ["podAffinity", "podAntiAffinity"] {
        mistakes.push((json!({"affinity": {kind: {REQUIRED: many(65, &term)}}}), REQUIRED, "at most 64 items"));
        mistakes.push((json!({"affinity": {kind: {PREFERRED: many(65, &weighted)}}}), PREFERRED, "at most 64 items"));
    }
    let preferences = many(65, &json!({"weight": 1, "preference": {}}));
    mistakes.push((json!({"affinity": {"nodeAffinity": {PREFERRED: preferences}}}), PREFERRED, "at most 64 items"));
    let terms = json!({"nodeSelectorTerms": many(65, &json!({}))});
    mistakes.push((json!({"affinity": {"nodeAffinity": {REQUIRED: terms}}}), "nodeSelectorTerms", "at most 64 items"));
    let sources = many(65, &json!({"secret": {"name": "a"}}));
    mistakes.push((
        json!({"volumes": [{"name": "a", "projected": {"sources": sources}}]}),
        "projected.sources",
        "at most 64 items",
    ));
    mistakes
}
