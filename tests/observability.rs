//! Metrics, alerts and dashboard belong together: each name that a query asks for is one that the operator has.
//!
//! A query for a metric that does not exist is no error: the panel stays empty, and the alert never fires. Nobody
//! notices before the day on which it should.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use smooth_operator::telemetry::{Metrics, ReconcileResult, ServerReport};

/// The names that were promised to those who write dashboards: the ones of client-go and controller-runtime, and our
/// own.
const PROMISED: &[&str] = &[
    "workqueue_depth",
    "workqueue_adds_total",
    "workqueue_queue_duration_seconds_bucket",
    "workqueue_work_duration_seconds_bucket",
    "workqueue_unfinished_work_seconds",
    "workqueue_longest_running_processor_seconds",
    "workqueue_retries_total",
    "controller_runtime_reconcile_total",
    "controller_runtime_reconcile_errors_total",
    "controller_runtime_reconcile_panics_total",
    "controller_runtime_active_workers",
    "controller_runtime_max_concurrent_reconciles",
    "controller_runtime_reconcile_time_seconds_bucket",
    "rest_client_requests_total",
    "rest_client_request_duration_seconds_bucket",
    "leader_election_master_status",
    "smooth_operator_mcpserver_info",
    "smooth_operator_mcpserver_condition",
    "smooth_operator_mcpserver_replicas",
    "smooth_operator_mcp_verify_total",
    "smooth_operator_mcp_verify_duration_seconds_bucket",
    "smooth_operator_mcp_tools_changed_total",
    "smooth_operator_drift_corrected_total",
    "smooth_operator_informer_objects",
    "smooth_operator_informer_events_total",
    "smooth_operator_informer_relists_total",
    "smooth_operator_informer_undecodable_total",
    "smooth_operator_informer_last_event_age_seconds",
];

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(config().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of an operator that has met everything that is counted.
fn rendered() -> String {
    let metrics = Metrics::new();
    metrics.queue("q").taken(Duration::ZERO);
    metrics.controller("c").reconciled(ReconcileResult::Success, Duration::ZERO);
    metrics.client("h").answered("GET", 200, Duration::ZERO);
    metrics.leader("l").leading(true);
    metrics.informer("r").reflector(None).relisted("initial");
    let report = ServerReport { phase: "p", conditions: Box::new([("t", "True")]), replicas: Box::new([("s", 1)]) };
    metrics.servers().report("ns", "n", report);
    metrics.servers().tools_changed("ns", "n");
    metrics.render().unwrap()
}

/// The names of all samples.
fn samples() -> BTreeSet<String> {
    let text = rendered();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// All alerts and dashboard panels: where each expression stands, and what it says.
fn expressions() -> Vec<(String, String)> {
    let rules: Value = serde_saphyr::from_str(&read("prometheus/rules.yaml")).unwrap();
    let mut found = Vec::new();
    for rule in rules["spec"]["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
    {
        found.push((rule["alert"].as_str().unwrap().to_owned(), rule["expr"].as_str().unwrap().to_owned()));
    }
    let dashboard: Value = serde_json::from_str(&read("grafana/smooth-operator.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            let query = text(&variable["query"]);
            let inner = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
            let (selector, _label) = inner.unwrap().rsplit_once(',').unwrap();
            found.push((text(&variable["name"]), selector.to_owned()));
        }
    }
    found
}

/// The names of the metrics that an expression asks for: every word that is no function, keyword, label or variable.
fn names(expression: &str) -> Vec<String> {
    const KEYWORDS: [&str; 4] = ["and", "or", "unless", "offset"];
    /// What follows in parentheses is a list of labels, or nothing.
    const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    let (mut names, mut rest) = (Vec::new(), expression);
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let skip_past = |end: char| rest.find(end).map_or("", |at| &rest[at + end.len_utf8()..]);
        if first == '"' {
            rest = &rest[1..];
            rest = rest.find('"').map_or("", |at| &rest[at + 1..]);
        } else if first == '{' {
            rest = skip_past('}');
        } else if first == '[' {
            rest = skip_past(']');
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = &rest[..end];
            rest = rest[end..].trim_start();
            if GROUPING.contains(&word) {
                rest = if rest.starts_with('(') { rest.find(')').map_or("", |at| &rest[at + 1..]) } else { rest };
            } else {
                let is_function = rest.starts_with('(') || rest.starts_with("by ") || rest.starts_with("without ");
                if !first.is_ascii_digit() && !is_function && !KEYWORDS.contains(&word) {
                    names.push(word.to_owned());
                }
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    names
}

#[test]
fn the_names_in_an_expression_are_found_and_nothing_else() {
    let expression =
        r#"sum by (a, le) (rate(x_total{b="c_d",e=~"f|g"}[5m])) / on (pod) group_left y unless max(z:w) > 0.9"#;
    assert_eq!(names(expression), ["x_total", "y", "z:w"]);
    assert_eq!(
        names(r#"histogram_quantile(0.99, sum(rate(t_bucket{n="$n"}[$__rate_interval])) by (le))"#),
        ["t_bucket"]
    );
}

#[test]
fn every_promised_metric_exists_and_every_metric_of_our_own_is_promised_and_in_the_readme() {
    let samples = samples();
    let missing: Vec<&&str> = PROMISED.iter().filter(|name| !samples.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in {samples:#?}");
    let readme = std::fs::read_to_string(config().join("../README.md")).unwrap();
    for name in samples.iter().filter(|name| name.starts_with("smooth_operator_")) {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let told = |name: &str| PROMISED.iter().any(|promised| promised.starts_with(name));
        assert!(told(family), "{name} is not promised");
        assert!(readme.contains(&format!("`{family}`")), "README.md does not mention {family}");
    }
}

#[test]
fn alerts_and_dashboard_ask_only_for_metrics_that_exist() {
    let samples = samples();
    let expressions = expressions();
    assert!(expressions.len() > 20, "only {} expressions were found", expressions.len());
    for (place, expression) in &expressions {
        let names = names(expression);
        assert!(!names.is_empty(), "{place} asks for nothing: {expression}");
        for name in names {
            // `up` is Prometheus' own.
            assert!(
                samples.contains(&name) || name == "up",
                "{place} asks for {name}, which does not exist: {expression}"
            );
        }
    }
}

/// A label that does not exist is no error, either: nothing matches, or everything is one sum.
#[test]
fn alerts_and_dashboard_ask_only_for_labels_that_exist() {
    let text = rendered();
    let within = |text: &str| -> BTreeSet<String> {
        let labels = text.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        labels.map(|name| name.trim_end_matches('!').trim().to_owned()).collect()
    };
    let braces = |text: &str| text.split('{').skip(1).map(|it| it.split('}').next().unwrap().to_owned()).collect();
    let samples: Vec<String> = braces(&text);
    let mut known: BTreeSet<String> = samples.iter().flat_map(|labels| within(labels)).collect();
    assert!(known.contains("result") && known.contains("phase"), "{known:?}");
    // These come from Prometheus.
    known.extend(["job", "pod"].map(str::to_owned));
    for (place, expression) in expressions() {
        let selectors: Vec<String> = braces(&expression);
        let mut labels: BTreeSet<String> = selectors.iter().flat_map(|labels| within(labels)).collect();
        for grouping in ["by (", "on ("] {
            let lists = expression.split(grouping).skip(1).map(|it| it.split(')').next().unwrap());
            labels.extend(lists.flat_map(|list| list.split(',')).map(|label| label.trim().to_owned()));
        }
        let unknown: Vec<&String> = labels.difference(&known).collect();
        assert!(unknown.is_empty(), "{place} asks for the labels {unknown:?}: {expression}");
    }
}

/// Who runs this must see that the servers are asked, that the queue drains, that reconciles succeed, and that the watches
/// speak.
#[test]
fn the_dashboard_shows_each_part_of_the_operator() {
    let dashboard = read("grafana/smooth-operator.json");
    for metric in [
        "smooth_operator_mcpserver_condition",
        "smooth_operator_mcp_verify_total",
        "smooth_operator_mcp_verify_duration_seconds",
        "smooth_operator_mcp_tools_changed_total",
        "workqueue_depth",
        "workqueue_queue_duration_seconds",
        "workqueue_retries_total",
        "controller_runtime_reconcile_total",
        "controller_runtime_reconcile_errors_total",
        "controller_runtime_reconcile_time_seconds",
        "smooth_operator_informer_last_event_age_seconds",
        "smooth_operator_informer_events_total",
        "smooth_operator_informer_relists_total",
        "rest_client_requests_total",
        "leader_election_master_status",
    ] {
        assert!(dashboard.contains(metric), "the dashboard does not show {metric}");
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do_and_has_a_test() {
    let rules: Value = serde_saphyr::from_str(&read("prometheus/rules.yaml")).unwrap();
    let tests = read("prometheus/rules_test.yaml");
    for rule in rules["spec"]["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        for annotation in ["summary", "description", "runbook"] {
            assert!(
                rule["annotations"][annotation].as_str().is_some_and(|text| text.len() > 20),
                "{name}: {annotation}"
            );
        }
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} has no test");
    }
}

/// promtool reads rules with `groups` at the top, and the Prometheus Operator wants them below `spec`.
#[test]
fn promtool_finds_the_rules_right_and_each_alert_fires_when_it_should() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("passed over: promtool is not installed");
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rules-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let rules: Value = serde_saphyr::from_str(&read("prometheus/rules.yaml")).unwrap();
    // JSON is YAML.
    std::fs::write(directory.join("rules.yaml"), rules["spec"].to_string()).unwrap();
    std::fs::write(directory.join("rules_test.yaml"), read("prometheus/rules_test.yaml")).unwrap();
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]] {
        let ended = Command::new("promtool").args(arguments).current_dir(&directory).output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
    std::fs::remove_dir_all(directory).unwrap();
}
