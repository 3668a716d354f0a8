//! What is allowed, and hardly meant: `Warning` headers, as `pkg/api/pod/warnings.go` and the strategies have them.
//!
//! A Deployment is asked whenever its spec changes, a pod only when it is made: people don't change pods.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::amounts::fraction_of_a_byte;
use super::field::{int, list, text};
use super::names;

/// The warnings about an object of this resource that takes the place of `old`.
pub(crate) fn warnings(resource: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut found = Vec::new();
    let name = text(&new["metadata"], "name");
    let odd_name = |what: &str| {
        let complaints = names::dns_label(name);
        let told = complaints.join(" ");
        let warning = format!(
            "metadata.name: this is used in {what}, which can result in surprising behavior; a DNS label is recommended: \
             [{told}]"
        );
        (!complaints.is_empty()).then_some(warning)
    };
    match (resource, old) {
        ("deployments.apps" | "replicasets.apps", _) => {
            found.extend(odd_name("Pod names and hostnames").filter(|_| old.is_none()));
            of_template(&new["spec"]["template"]["spec"], "spec.template.spec", &mut found);
        }
        ("pods", None) => {
            found.extend(odd_name("the Pod's hostname"));
            of_template(&new["spec"], "spec", &mut found);
        }
        _ => {}
    }
    found
}

fn of_template(spec: &Value, path: &str, found: &mut Vec<String>) {
    of_spreading(spec, path, found);
    for (index, secret) in list(spec, "imagePullSecrets").iter().enumerate() {
        if text(secret, "name").is_empty() {
            found.push(format!("{path}.imagePullSecrets[{index}].name: invalid empty name \"\""));
        }
    }
    for kind in ["initContainers", "containers"] {
        for (index, container) in list(spec, kind).iter().enumerate() {
            let path = format!("{path}.{kind}[{index}]");
            of_amounts(container, &path, found);
            of_environment(container, &path, found);
        }
    }
    of_ports(spec, path, found);
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let field = format!("{path}.terminationGracePeriodSeconds");
        found.push(format!("{field}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
}

/// Who spreads over pods without saying which counts none.
fn of_spreading(spec: &Value, path: &str, found: &mut Vec<String>) {
    const NONE: &str = "a null labelSelector results in matching no pod";
    for (index, constraint) in list(spec, "topologySpreadConstraints").iter().enumerate() {
        if constraint.get("labelSelector").is_none() {
            found.push(format!("{path}.topologySpreadConstraints[{index}].labelSelector: {NONE}"));
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = spec.get("affinity").and_then(|affinity| affinity.get(kind)).unwrap_or(&Value::Null);
        let path = format!("{path}.affinity.{kind}");
        for (key, inner) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            ("preferredDuringSchedulingIgnoredDuringExecution", ".podAffinityTerm"),
        ] {
            for (index, term) in list(affinity, key).iter().enumerate() {
                let term = if inner.is_empty() { term } else { &term["podAffinityTerm"] };
                if term.get("labelSelector").is_none() {
                    found.push(format!("{path}.{key}[{index}]{inner}.labelSelector: {NONE}"));
                }
            }
        }
    }
}

fn of_amounts(container: &Value, path: &str, found: &mut Vec<String>) {
    let resources = container.get("resources").unwrap_or(&Value::Null);
    for kind in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            if let Some(amount) = fraction_of_a_byte(resources, kind, name) {
                let field = format!("{path}.resources.{kind}[{name}]");
                found.push(format!("{field}: fractional byte value \"{amount}\" is invalid, must be an integer"));
            }
        }
    }
}

/// A later variable of the same name wins, unless it is made of the earlier one.
fn of_environment(container: &Value, path: &str, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, variable) in list(container, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        if seen.insert(name) {
            continue;
        }
        let earlier = format!("$({name})");
        if variable.get("valueFrom").is_some() || value == earlier || !value.contains(&earlier) {
            let field = format!("{path}.env[{index}]");
            found
                .push(format!("{field}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
}

/// All containers of a pod share its ports.
fn of_ports(spec: &Value, path: &str, found: &mut Vec<String>) {
    let mut seen: BTreeMap<(i64, &str), Vec<(String, &Value)>> = BTreeMap::new();
    for kind in ["initContainers", "containers"] {
        for (at, container) in list(spec, kind).iter().enumerate() {
            for (index, port) in list(container, "ports").iter().enumerate() {
                let field = format!("{path}.{kind}[{at}].ports[{index}]");
                let key = (int(port, "containerPort").unwrap_or(0), text(port, "protocol"));
                let others = seen.entry(key).or_default();
                found.extend(others.iter().filter_map(|(other, held)| overlap(&field, port, other, held)));
                others.push((field, port));
            }
        }
    }
}

fn overlap(field: &str, port: &Value, other: &str, held: &Value) -> Option<String> {
    let host = |port: &Value| (text(port, "hostIP").to_owned(), int(port, "hostPort").unwrap_or(0));
    let ((ip, number), (other_ip, other_number)) = (host(port), host(held));
    let how = if (&ip, number) == (&other_ip, other_number) {
        "duplicate"
    } else if number == 0 || other_number == 0 {
        "overlapping"
    } else if number == other_number && ip.is_empty() != other_ip.is_empty() {
        "dangerously ambiguous"
    } else {
        return None;
    };
    Some(format!("{field}: {how} port definition with {other}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(spec: &Value) -> Value {
        json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": spec}}})
    }

    #[test]
    fn what_is_hardly_meant_is_told_with_its_place() {
        let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}]);
        let port = json!({"containerPort": 80, "protocol": "TCP"});
        let container = json!({"env": env, "ports": [port, port], "resources": {"limits": {"memory": "100m"}}});
        let spec = json!({"containers": [container], "imagePullSecrets": [{}], "terminationGracePeriodSeconds": -1});
        let place = "spec.template.spec.containers[0]";
        let expected = [
            "spec.template.spec.imagePullSecrets[0].name: invalid empty name \"\"".to_owned(),
            format!("{place}.resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer"),
            format!("{place}.env[1]: hides previous definition of \"A\", which may be dropped when using apply"),
            format!("{place}.ports[1]: duplicate port definition with {place}.ports[0]"),
            "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be \
             treated as 1"
                .to_owned(),
        ];
        assert_eq!(warnings("deployments.apps", &deployment(&spec), None), expected);
        assert_eq!(warnings("deployments.apps", &deployment(&json!({})), None), Vec::<String>::new());
    }

    #[test]
    fn a_pod_is_looked_at_when_it_is_made_and_never_again() {
        let pod = json!({"metadata": {"name": "a.b"}, "spec": {"imagePullSecrets": [{}]}});
        assert_eq!(warnings("pods", &pod, None).len(), 2);
        assert!(warnings("pods", &pod, Some(&pod)).is_empty());
    }
}
