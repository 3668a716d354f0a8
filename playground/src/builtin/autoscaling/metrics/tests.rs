use super::super::super::field::found;
use super::*;

#[track_caller]
fn draws(metric: &Value, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|fault| format!("spec.metrics[0].{fault}")).collect();
    assert_eq!(found(|causes| validate(&json!({"metrics": [metric]}), 1, causes)), expected);
}

fn utilization() -> Value {
    json!({"type": "Utilization", "averageUtilization": 50})
}

fn value() -> Value {
    json!({"type": "Value", "value": "1"})
}

fn average() -> Value {
    json!({"type": "AverageValue", "averageValue": "1"})
}

#[test]
fn every_type_of_metric_has_its_form() {
    let described = json!({"kind": "Service", "name": "s"});
    draws(&json!({"type": "Resource", "resource": {"name": "cpu", "target": utilization()}}), &[]);
    let container = json!({"name": "cpu", "container": "c", "target": average()});
    draws(&json!({"type": "ContainerResource", "containerResource": container}), &[]);
    draws(&json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": average()}}), &[]);
    draws(&json!({"type": "External", "external": {"metric": {"name": "m"}, "target": value()}}), &[]);
    let object = json!({"describedObject": described, "metric": {"name": "m"}, "target": value()});
    draws(&json!({"type": "Object", "object": object}), &[]);
}

#[test]
fn a_metric_has_a_type_and_one_source() {
    let types = "supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"";
    let unknown = format!("type: Unsupported value: \"Cpu\": {types}");
    draws(&json!({"type": "Cpu"}), &[&unknown, &unknown]);
    let empty = format!("type: Unsupported value: \"\": {types}");
    draws(&json!({}), &["type: Required value: must specify a metric source type", &empty, &empty]);
    for (kind, key) in SOURCES {
        let missing = format!("{key}: Required value: must populate information for the given metric source");
        draws(&json!({"type": kind}), &[&missing]);
    }
    let resource = json!({"name": "cpu", "target": utilization()});
    let pods = json!({"metric": {"name": "m"}, "target": average()});
    let missing = "pods: Required value: must populate information for the given metric source";
    draws(&json!({"type": "Pods", "resource": resource}), &[missing]);
    let foreign = "pods: Forbidden: must populate the given metric source only";
    draws(&json!({"type": "Resource", "resource": resource, "pods": pods}), &[foreign]);
}

#[test]
fn what_is_measured_has_a_name() {
    let nameless = |key: &str| format!("{key}.metric.name: Required value: must specify a metric name");
    draws(&json!({"type": "Pods", "pods": {"target": average()}}), &[&nameless("pods")]);
    draws(&json!({"type": "External", "external": {"target": value()}}), &[&nameless("external")]);
    draws(
        &json!({"type": "Object", "object": {"target": value()}}),
        &[
            "object.describedObject.kind: Required value",
            "object.describedObject.name: Required value",
            &nameless("object"),
        ],
    );
    let odd = "pods.metric.name: Invalid value: \"a%b\": may not contain '%'";
    draws(&json!({"type": "Pods", "pods": {"metric": {"name": "a%b"}, "target": average()}}), &[odd]);
    let resource = "resource.name: Required value: must specify a resource name";
    draws(&json!({"type": "Resource", "resource": {"target": utilization()}}), &[resource]);
}

#[test]
fn a_container_and_its_resource_are_named() {
    let of = |name: &str, container: &str| {
        let source = json!({"name": name, "container": container, "target": utilization()});
        json!({"type": "ContainerResource", "containerResource": source})
    };
    draws(
        &of("", ""),
        &[
            "containerResource.name: Required value: must specify a resource name",
            "containerResource.container: Required value: must specify a container",
        ],
    );
    draws(
        &of("pods", "c"),
        &["containerResource.name: Invalid value: \"pods\": must be a standard resource for containers"],
    );
    let found = found(|causes| validate(&json!({"metrics": [of("cpu", "A")]}), 1, causes));
    assert!(found[0].starts_with("spec.metrics[0].containerResource.container: Invalid value: \"A\": a lowercase RFC"));
}

#[test]
fn a_target_is_of_a_known_type_and_positive() {
    let of = |target: Value| json!({"type": "External", "external": {"metric": {"name": "m"}, "target": target}});
    let odd = "external.target.type: Invalid value: \"Mean\": must be either Utilization, Value, or AverageValue";
    draws(&of(json!({"type": "Mean", "value": "1"})), &[odd]);
    draws(
        &of(json!({"value": "1"})),
        &[
            "external.target.type: Required value: must specify a metric target type",
            "external.target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue",
        ],
    );
    let zero = "external.target.value: Invalid value: \"0\": must be positive";
    draws(&of(json!({"type": "Value", "value": "0"})), &[zero]);
    let negative = "external.target.averageValue: Invalid value: \"-500m\": must be positive";
    draws(&of(json!({"type": "AverageValue", "averageValue": "-0.5"})), &[negative]);
    let idle = "resource.target.averageUtilization: Invalid value: 0: must be greater than 0";
    let target = json!({"type": "Utilization", "averageUtilization": 0});
    draws(&json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}), &[idle]);
}

#[test]
fn each_source_aims_at_what_it_can_measure() {
    let of = |kind: &str, key: &str, target: Value| {
        let described = json!({"kind": "Service", "name": "s"});
        let source = json!({"name": "cpu", "container": "c", "metric": {"name": "m"}, "describedObject": described,
            "target": target});
        json!({"type": kind, key: source})
    };
    let bare = || json!({"type": "Value"});
    draws(
        &of("Object", "object", bare()),
        &["object.target.averageValue: Required value: must set either a target value or averageValue"],
    );
    let both = json!({"type": "Value", "value": "1", "averageValue": "1"});
    draws(&of("Object", "object", both.clone()), &[]);
    draws(
        &of("External", "external", bare()),
        &[
            "external.target.averageValue: Required value: must set either a target value for metric or a per-pod target",
        ],
    );
    draws(
        &of("External", "external", both),
        &["external.target.value: Forbidden: may not set both a target value for metric and a per-pod target"],
    );
    draws(
        &of("Pods", "pods", value()),
        &["pods.target.averageValue: Required value: must specify a positive target averageValue"],
    );
    for (kind, key) in [("Resource", "resource"), ("ContainerResource", "containerResource")] {
        let neither = format!(
            "{key}.target.averageUtilization: Required value: must set either a target raw value or a target utilization"
        );
        draws(&of(kind, key, bare()), &[&neither]);
        let both = format!(
            "{key}.target.averageValue: Forbidden: may not set both a target raw value and a target utilization"
        );
        let target = json!({"type": "Utilization", "averageUtilization": 1, "averageValue": "1"});
        draws(&of(kind, key, target), &[&both]);
    }
}
