//! The content of a scrape.

use std::collections::BTreeSet;
use std::sync::{Mutex, Weak};
use std::time::Duration;

use super::*;

/// The samples of a scrape, one per line, without comments.
fn samples(metrics: &Metrics) -> BTreeSet<String> {
    metrics.render().unwrap().lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect()
}

fn has(metrics: &Metrics, sample: &str) -> bool {
    samples(metrics).contains(sample)
}

/// The metric families of a scrape: name and type.
fn families(metrics: &Metrics) -> BTreeSet<String> {
    metrics.render().unwrap().lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(ToOwned::to_owned).collect()
}

#[test]
fn every_queue_metric_exists_at_0_from_the_start() {
    let metrics = Metrics::new();
    let _handle = metrics.queue("mcpserver");
    for sample in [
        "workqueue_depth{name=\"mcpserver\"} 0.0",
        "workqueue_adds_total{name=\"mcpserver\"} 0",
        "workqueue_queue_duration_seconds_count{name=\"mcpserver\"} 0",
        "workqueue_work_duration_seconds_count{name=\"mcpserver\"} 0",
        "workqueue_unfinished_work_seconds{name=\"mcpserver\"} 0.0",
        "workqueue_longest_running_processor_seconds{name=\"mcpserver\"} 0.0",
        "workqueue_retries_total{name=\"mcpserver\"} 0",
    ] {
        assert!(has(&metrics, sample), "{sample} is missing in {:#?}", samples(&metrics));
    }
}

#[test]
fn every_controller_metric_exists_at_0_from_the_start() {
    let metrics = Metrics::new();
    let _handle = metrics.controller("mcpserver");
    for sample in [
        "controller_runtime_reconcile_total{controller=\"mcpserver\",result=\"success\"} 0",
        "controller_runtime_reconcile_total{controller=\"mcpserver\",result=\"error\"} 0",
        "controller_runtime_reconcile_total{controller=\"mcpserver\",result=\"requeue\"} 0",
        "controller_runtime_reconcile_total{controller=\"mcpserver\",result=\"requeue_after\"} 0",
        "controller_runtime_reconcile_errors_total{controller=\"mcpserver\"} 0",
        "controller_runtime_reconcile_panics_total{controller=\"mcpserver\"} 0",
        "controller_runtime_active_workers{controller=\"mcpserver\"} 0",
        "controller_runtime_max_concurrent_reconciles{controller=\"mcpserver\"} 0",
        "controller_runtime_reconcile_time_seconds_count{controller=\"mcpserver\"} 0",
    ] {
        assert!(has(&metrics, sample), "{sample} is missing in {:#?}", samples(&metrics));
    }
}

#[test]
fn leadership_drift_and_informer_counters_exist_at_0_from_the_start() {
    let metrics = Metrics::new();
    let _leader = metrics.leader("smooth-operator");
    metrics.informer("deployments").expect_relists(["initial", "expired"]);
    for sample in [
        "leader_election_master_status{name=\"smooth-operator\"} 0",
        "smooth_operator_drift_corrected_total{kind=\"Deployment\"} 0",
        "smooth_operator_drift_corrected_total{kind=\"Service\"} 0",
        "smooth_operator_informer_objects{resource=\"deployments\"} 0",
        "smooth_operator_informer_events_total{resource=\"deployments\",type=\"ADDED\"} 0",
        "smooth_operator_informer_undecodable_total{resource=\"deployments\"} 0",
        "smooth_operator_informer_relists_total{resource=\"deployments\",reason=\"initial\"} 0",
        "smooth_operator_informer_relists_total{resource=\"deployments\",reason=\"expired\"} 0",
    ] {
        assert!(has(&metrics, sample), "{sample} is missing in {:#?}", samples(&metrics));
    }
}

#[test]
fn the_families_have_the_names_and_types_that_dashboards_know() {
    let metrics = Metrics::new();
    let (_queue, _controller, _leader) = (metrics.queue("q"), metrics.controller("c"), metrics.leader("l"));
    metrics.client("h").answered("GET", 200, Duration::ZERO);
    metrics.informer("r").reflector(None).relisted("start");
    let report = ServerReport { phase: "p", conditions: Box::new([("t", "True")]), replicas: Box::new([("s", 1)]) };
    metrics.servers().report("ns", "n", report);
    let expected = [
        "controller_runtime_active_workers gauge",
        "controller_runtime_max_concurrent_reconciles gauge",
        "controller_runtime_reconcile counter",
        "controller_runtime_reconcile_errors counter",
        "controller_runtime_reconcile_panics counter",
        "controller_runtime_reconcile_time_seconds histogram",
        "leader_election_master_status gauge",
        "rest_client_request_duration_seconds histogram",
        "rest_client_requests counter",
        "smooth_operator_drift_corrected counter",
        "smooth_operator_informer_events counter",
        "smooth_operator_informer_last_event_age_seconds gauge",
        "smooth_operator_informer_objects gauge",
        "smooth_operator_informer_relists counter",
        "smooth_operator_informer_undecodable counter",
        "smooth_operator_mcp_tools_changed counter",
        "smooth_operator_mcp_verify counter",
        "smooth_operator_mcp_verify_duration_seconds histogram",
        "smooth_operator_mcpserver_condition gauge",
        "smooth_operator_mcpserver_info gauge",
        "smooth_operator_mcpserver_replicas gauge",
        "workqueue_adds counter",
        "workqueue_depth gauge",
        "workqueue_longest_running_processor_seconds gauge",
        "workqueue_queue_duration_seconds histogram",
        "workqueue_retries counter",
        "workqueue_unfinished_work_seconds gauge",
        "workqueue_work_duration_seconds histogram",
    ];
    assert_eq!(families(&metrics), expected.map(ToOwned::to_owned).into());
}

#[test]
fn no_counter_says_total_twice() {
    let metrics = Metrics::new();
    let (_queue, _controller) = (metrics.queue("q"), metrics.controller("c"));
    assert!(!metrics.render().unwrap().contains("_total_total"));
}

#[test]
fn the_text_ends_with_the_end_marker_of_openmetrics() {
    assert!(Metrics::new().render().unwrap().ends_with("# EOF\n"));
}

#[test]
fn handles_of_the_same_name_count_into_the_same_series_and_clones_too() {
    let metrics = Metrics::new();
    metrics.queue("q").added(2);
    metrics.clone().queue("q").added(3);
    assert!(has(&metrics, "workqueue_adds_total{name=\"q\"} 5"));
}

#[test]
fn two_operators_in_one_process_share_nothing() {
    let (one, other) = (Metrics::new(), Metrics::new());
    one.queue("q").added(1);
    other.queue("q");
    assert!(has(&other, "workqueue_adds_total{name=\"q\"} 0"));
}

/// A queue with a scripted state.
struct Scripted(Mutex<QueueSnapshot>);

impl QueueProbe for Scripted {
    fn snapshot(&self) -> QueueSnapshot {
        *self.0.lock().unwrap()
    }
}

#[test]
fn a_queue_is_asked_at_each_scrape_and_counts_as_empty_once_it_is_gone() {
    let metrics = Metrics::new();
    let queue = Arc::new(Scripted(Mutex::default()));
    let weak: Weak<Scripted> = Arc::downgrade(&queue);
    metrics.queue("q").attach(weak);
    let seconds = Duration::from_secs;
    *queue.0.lock().unwrap() = QueueSnapshot { depth: 3, unfinished: seconds(7), longest_running: seconds(5) };
    assert!(has(&metrics, "workqueue_depth{name=\"q\"} 3.0"));
    assert!(has(&metrics, "workqueue_unfinished_work_seconds{name=\"q\"} 7.0"));
    assert!(has(&metrics, "workqueue_longest_running_processor_seconds{name=\"q\"} 5.0"));
    drop(queue);
    assert!(has(&metrics, "workqueue_depth{name=\"q\"} 0.0"));
}

#[tokio::test(start_paused = true)]
async fn the_age_of_the_last_event_grows_without_any_event() {
    let metrics = Metrics::new();
    let reflector = metrics.informer("secrets").reflector(None);
    tokio::time::advance(Duration::from_secs(90)).await;
    let age =
        |seconds: &str| format!("smooth_operator_informer_last_event_age_seconds{{resource=\"secrets\"}} {seconds}");
    assert!(has(&metrics, &age("90.0")), "never heard of: the age counts from the start");
    for heard in [|of: &ReflectorMetrics| of.event("BOOKMARK"), |of: &ReflectorMetrics| of.relisted("expired")] {
        heard(&reflector);
        assert!(has(&metrics, &age("0.0")));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(has(&metrics, &age("3.0")));
    }
}

/// A namespace with a dead watch used to look as fresh as the liveliest of the others.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_nobody_hears_of_does_not_hide_behind_the_others() {
    let metrics = Metrics::new();
    let informer = metrics.informer("secrets");
    let (lively, silent) = (informer.reflector(Some("a")), informer.reflector(Some("b")));
    silent.event("BOOKMARK");
    tokio::time::advance(Duration::from_secs(90)).await;
    lively.event("ADDED");
    assert!(has(&metrics, "smooth_operator_informer_last_event_age_seconds{resource=\"secrets\"} 90.0"));
    silent.event("BOOKMARK");
    assert!(has(&metrics, "smooth_operator_informer_last_event_age_seconds{resource=\"secrets\"} 0.0"));
}

#[test]
fn the_series_of_a_deleted_server_go_away_and_no_others() {
    let metrics = Metrics::new();
    let servers = metrics.servers();
    let report = ServerReport {
        phase: "Running",
        conditions: Box::new([("Ready", "True")]),
        replicas: Box::new([("desired", 2), ("available", 1)]),
    };
    servers.report("default", "a", report.clone());
    servers.report("default", "b", report);
    assert!(has(&metrics, "smooth_operator_mcpserver_info{namespace=\"default\",name=\"a\",phase=\"Running\"} 1.0"));
    let ready =
        "smooth_operator_mcpserver_condition{namespace=\"default\",name=\"a\",type=\"Ready\",status=\"True\"} 1.0";
    assert!(has(&metrics, ready));
    assert!(has(
        &metrics,
        "smooth_operator_mcpserver_replicas{namespace=\"default\",name=\"a\",state=\"available\"} 1.0"
    ));
    servers.tools_changed("default", "a");
    assert!(has(&metrics, "smooth_operator_mcp_tools_changed_total{namespace=\"default\",name=\"a\"} 1"));
    assert!(has(&metrics, "smooth_operator_mcp_tools_changed_total{namespace=\"default\",name=\"b\"} 0"));
    servers.remove("default", "a");
    let rest = samples(&metrics);
    assert!(!rest.iter().any(|sample| sample.contains("name=\"a\"")), "{rest:#?}");
    assert_eq!(rest.iter().filter(|sample| sample.contains("name=\"b\"")).count(), 5);
}

#[test]
fn a_server_is_in_one_phase_and_each_condition_has_one_status() {
    let metrics = Metrics::new();
    let report = |phase: &'static str, ready: &'static str| ServerReport {
        phase,
        conditions: Box::new([("Ready", ready)]),
        replicas: Box::default(),
    };
    metrics.servers().report("ns", "a", report("Pending", "False"));
    metrics.servers().report("ns", "a", report("Running", "True"));
    let samples = samples(&metrics);
    let about: Vec<_> = samples.iter().filter(|sample| sample.contains("mcpserver")).collect();
    assert_eq!(about.len(), 2, "{about:#?}");
    assert!(about.iter().all(|sample| sample.contains("Running") || sample.contains("True")));
}

/// `rate()` never sees the increment with which a series begins, and the first failed request is the important one.
#[test]
fn what_every_request_may_come_to_exists_at_0_from_the_start() {
    let metrics = Metrics::new();
    let _handle = metrics.client("h");
    for (method, code) in
        [("GET", "200"), ("POST", "201"), ("PUT", "200"), ("PATCH", "200"), ("PATCH", "201"), ("DELETE", "200")]
    {
        for code in [code, "<error>"] {
            let sample = format!("rest_client_requests_total{{code=\"{code}\",method=\"{method}\",host=\"h\"}} 0");
            assert!(has(&metrics, &sample), "{sample} is missing in {:#?}", samples(&metrics));
        }
        assert!(has(
            &metrics,
            &format!("rest_client_request_duration_seconds_count{{verb=\"{method}\",host=\"h\"}} 0")
        ));
    }
}

#[test]
fn an_unanswered_request_counts_under_the_code_of_client_go_for_it() {
    let metrics = Metrics::new();
    let client = metrics.client("10.0.0.1:443");
    client.answered("GET", 404, Duration::from_millis(20));
    client.failed("PATCH", Duration::from_secs(5));
    assert!(has(&metrics, "rest_client_requests_total{code=\"404\",method=\"GET\",host=\"10.0.0.1:443\"} 1"));
    assert!(has(&metrics, "rest_client_requests_total{code=\"<error>\",method=\"PATCH\",host=\"10.0.0.1:443\"} 1"));
    let fast = "rest_client_request_duration_seconds_bucket{le=\"0.025\",verb=\"GET\",host=\"10.0.0.1:443\"} 1";
    assert!(has(&metrics, fast), "{:#?}", samples(&metrics));
}

#[test]
fn a_worker_is_active_until_its_guard_is_dropped() {
    let metrics = Metrics::new();
    let controller = metrics.controller("c");
    let guard = controller.active();
    assert!(has(&metrics, "controller_runtime_active_workers{controller=\"c\"} 1"));
    drop(guard);
    assert!(has(&metrics, "controller_runtime_active_workers{controller=\"c\"} 0"));
}

#[test]
fn every_result_of_a_check_exists_at_0_and_counts_alone() {
    let metrics = Metrics::new();
    for result in ["Verified", "NotMCP", "UnsupportedVersion", "Unreachable", "AuthenticationRequired"] {
        let sample = format!("smooth_operator_mcp_verify_total{{result=\"{result}\"}} 0");
        assert!(has(&metrics, &sample), "{sample} is missing in {:#?}", samples(&metrics));
    }
    metrics.verification().checked(VerifyResult::NotMcp, Duration::from_millis(20));
    assert!(has(&metrics, "smooth_operator_mcp_verify_total{result=\"NotMCP\"} 1"));
    assert!(has(&metrics, "smooth_operator_mcp_verify_total{result=\"Verified\"} 0"));
    assert!(has(&metrics, "smooth_operator_mcp_verify_duration_seconds_bucket{le=\"0.025\"} 1"));
}
