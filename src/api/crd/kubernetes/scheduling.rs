//! On which nodes the pods run.

use serde_json::{Value, json};

use super::{Rule, validations};
use crate::api::spec::QUALIFIED_NAME;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = selectors();
    rules.extend(placement());
    rules
}

/// Selectors of labels and nodes, wherever they are. The API server computes beforehand what their rules may cost, so the
/// lists around them have a limit.
fn selectors() -> Vec<Rule> {
    let [labels, nodes] =
        ["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", "io.k8s.api.core.v1.NodeSelectorRequirement"];
    let [selector, term] =
        ["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", "io.k8s.api.core.v1.NodeSelectorTerm"];
    let [near, apart] = ["io.k8s.api.core.v1.PodAffinity", "io.k8s.api.core.v1.PodAntiAffinity"];
    let some = "has(self.values) && size(self.values)";
    let listed = format!("(self.operator in ['In', 'NotIn']) == ({some} > 0)");
    let of_nodes = format!("self.operator in ['Gt', 'Lt'] ? {some} == 1 : {listed}");
    let of_labels = values(&listed, "values must be specified if and only if operator is In or NotIn");
    let of_nodes =
        values(&of_nodes, "values must be specified if operator is In or NotIn, one if it is Gt or Lt, else none");
    let of_names = validations(&[(
        "self.all(field, field.key == 'metadata.name' && field.operator in ['In', 'NotIn'] && has(field.values) && \
         size(field.values) == 1)",
        "of a node's fields, metadata.name can be selected by, with In or NotIn and one value",
    )]);
    let many = || json!({"maxItems": 64});
    vec![
        (labels, "operator", json!({"enum": ["In", "NotIn", "Exists", "DoesNotExist"]})),
        (labels, "", of_labels),
        (nodes, "operator", json!({"enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]})),
        (nodes, "", of_nodes),
        (selector, "matchExpressions", many()),
        (term, "matchExpressions", many()),
        (
            term,
            "matchFields",
            json!({"maxItems": 64, "x-kubernetes-validations": of_names["x-kubernetes-validations"]}),
        ),
        ("io.k8s.api.core.v1.NodeSelector", "nodeSelectorTerms", json!({"minItems": 1, "maxItems": 64})),
        ("io.k8s.api.core.v1.NodeAffinity", PREFERRED, many()),
        (near, REQUIRED, many()),
        (near, PREFERRED, many()),
        (apart, REQUIRED, many()),
        (apart, PREFERRED, many()),
    ]
}

/// A rule about the values of a requirement.
fn values(rule: &str, message: &str) -> Value {
    json!({"x-kubernetes-validations": [{"rule": rule, "message": message, "fieldPath": ".values"}]})
}

fn placement() -> Vec<Rule> {
    let [term, preferred] = ["io.k8s.api.core.v1.PodAffinityTerm", "io.k8s.api.core.v1.PreferredSchedulingTerm"];
    let [spread, toleration] = ["io.k8s.api.core.v1.TopologySpreadConstraint", "io.k8s.api.core.v1.Toleration"];
    let weighted = "io.k8s.api.core.v1.WeightedPodAffinityTerm";
    let (weight, policy) = (json!({"minimum": 1, "maximum": 100}), json!({"enum": ["Honor", "Ignore"]}));
    vec![
        (preferred, "weight", weight.clone()),
        (weighted, "weight", weight),
        (term, "topologyKey", json!({"minLength": 1})),
        (spread, "topologyKey", json!({"minLength": 1})),
        (spread, "maxSkew", json!({"minimum": 1})),
        (spread, "minDomains", json!({"minimum": 1})),
        (spread, "nodeAffinityPolicy", policy.clone()),
        (spread, "nodeTaintsPolicy", policy),
        (spread, "whenUnsatisfiable", json!({"enum": ["DoNotSchedule", "ScheduleAnyway"]})),
        (toleration, "key", json!({"maxLength": 317, "pattern": format!("^$|{QUALIFIED_NAME}")})),
        (toleration, "operator", json!({"enum": ["Equal", "Exists"]})),
        (toleration, "effect", json!({"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]})),
        (toleration, "", tolerated()),
    ]
}

fn tolerated() -> Value {
    let exists = "(has(self.operator) && self.operator == 'Exists')";
    validations(&[
        (
            &format!("(has(self.key) && self.key != '') || {exists}"),
            "without a key, the operator must be Exists: all taints are tolerated",
        ),
        (&format!("!(has(self.value) && self.value != '' && {exists})"), "with the operator Exists there is no value"),
        (
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds belongs to the effect NoExecute",
        ),
    ])
}
