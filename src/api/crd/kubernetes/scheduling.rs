//! On which nodes the pods run.

use serde_json::{Value, json};

use super::{Rule, validations};
use crate::api::spec::QUALIFIED_NAME;

pub(super) fn rules() -> Vec<Rule> {
    let [labels, nodes] =
        ["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", "io.k8s.api.core.v1.NodeSelectorRequirement"];
    let [term, preferred] = ["io.k8s.api.core.v1.PodAffinityTerm", "io.k8s.api.core.v1.PreferredSchedulingTerm"];
    let [spread, toleration] = ["io.k8s.api.core.v1.TopologySpreadConstraint", "io.k8s.api.core.v1.Toleration"];
    let [selector, weighted] = ["io.k8s.api.core.v1.NodeSelector", "io.k8s.api.core.v1.WeightedPodAffinityTerm"];
    let (weight, policy) = (json!({"minimum": 1, "maximum": 100}), json!({"enum": ["Honor", "Ignore"]}));
    vec![
        (labels, "operator", json!({"enum": ["In", "NotIn", "Exists", "DoesNotExist"]})),
        (nodes, "operator", json!({"enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]})),
        (selector, "nodeSelectorTerms", json!({"minItems": 1})),
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
