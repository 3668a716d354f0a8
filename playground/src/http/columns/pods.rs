//! The columns of pods, and the one word that says how a pod is doing.

use serde_json::Value;

use super::super::table::since;
use super::{AGE, Printer, list, made, number, text_or_none};

pub(super) const POD: &Printer = &[
    made("Ready", 0, "The aggregate readiness state of this pod for accepting traffic.", |object, _| {
        let total = list(&object["spec"]["containers"]).len();
        let statuses = list(&object["status"]["containerStatuses"]).iter();
        format!("{}/{total}", statuses.filter(|status| is_running_and_ready(status)).count()).into()
    }),
    made("Status", 0, "The aggregate status of the containers in this pod.", |object, _| summary(object).into()),
    made(
        "Restarts",
        0,
        "The number of times the containers in this pod have been restarted and when the last container in this pod \
         has restarted.",
        restarts,
    ),
    AGE,
    made("IP", 1, "The IP address allocated to the pod.", |object, _| {
        text_or_none(&object["status"]["podIPs"][0]["ip"])
    }),
    made("Node", 1, "The node the pod runs on.", |object, _| text_or_none(&object["spec"]["nodeName"])),
    made("Nominated Node", 1, "The node the pod may be scheduled to.", |object, _| {
        text_or_none(&object["status"]["nominatedNodeName"])
    }),
    made("Readiness Gates", 1, "Conditions that count for readiness.", |object, _| gates(object).into()),
];

fn is_running_and_ready(status: &Value) -> bool {
    status["ready"] == true && status["state"]["running"].is_object()
}

/// How many of the conditions that count for readiness hold.
fn gates(pod: &Value) -> String {
    let gates = list(&pod["spec"]["readinessGates"]);
    let holds = |gate: &&Value| is_condition_true(pod, gate["conditionType"].as_str().unwrap_or_default());
    match gates.len() {
        0 => "<none>".to_owned(),
        all => format!("{}/{all}", gates.iter().filter(holds).count()),
    }
}

fn is_condition_true(pod: &Value, kind: &str) -> bool {
    let conditions = list(&pod["status"]["conditions"]);
    conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// The most telling of phase, reasons of its containers, and deletion.
fn summary(pod: &Value) -> String {
    let status = &pod["status"];
    let phase = status["phase"].as_str().unwrap_or_default();
    let mut shown = status["reason"].as_str().filter(|reason| !reason.is_empty()).unwrap_or(phase).to_owned();
    let conditions = list(&status["conditions"]);
    if conditions.iter().any(|of| of["type"] == "PodScheduled" && of["reason"] == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut shown);
    }
    let statuses = list(&status["containerStatuses"]);
    // The first container has the last word.
    if let Some(reason) = statuses.iter().find_map(|status| trouble(&status["state"])) {
        shown = reason;
    }
    if shown == "Completed" && statuses.iter().any(is_running_and_ready) {
        let word = if is_condition_true(pod, "Ready") { "Running" } else { "NotReady" };
        word.clone_into(&mut shown);
    }
    let leaving = pod["metadata"]["deletionTimestamp"].is_string();
    match (leaving, status["reason"].as_str()) {
        (true, Some("NodeLost")) => "Unknown".to_owned(),
        (true, _) if phase != "Succeeded" && phase != "Failed" => "Terminating".to_owned(),
        _ => shown,
    }
}

/// Why a container does not run.
fn trouble(state: &Value) -> Option<String> {
    let reason = |of: &Value| of["reason"].as_str().filter(|reason| !reason.is_empty()).map(str::to_owned);
    let terminated = &state["terminated"];
    reason(&state["waiting"]).or_else(|| reason(terminated)).or_else(|| {
        let signal = number(&terminated["signal"]);
        let ended = if signal == 0 {
            format!("ExitCode:{}", number(&terminated["exitCode"]))
        } else {
            format!("Signal:{signal}")
        };
        terminated.is_object().then_some(ended)
    })
}

/// `2 (5s ago)`: how often a pod's containers were restarted, and when the last one was.
fn restarts(pod: &Value, now: jiff::Timestamp) -> Value {
    let statuses = list(&pod["status"]["containerStatuses"]);
    let count: i64 = statuses.iter().map(|status| number(&status["restartCount"])).sum();
    let ended = statuses.iter().filter_map(|status| status["lastState"]["terminated"]["finishedAt"].as_str()).max();
    match ended {
        Some(ended) if count > 0 => format!("{count} ({} ago)", since(ended, now)).into(),
        _ => count.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::summary;

    #[test]
    fn one_word_says_how_a_pod_is_doing() {
        let running = json!({"ready": true, "state": {"running": {}}});
        let ended = |how: serde_json::Value| json!({"state": {"terminated": how}});
        let waiting = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        for (statuses, word) in [
            (json!([running]), "Running"),
            (json!([waiting]), "CrashLoopBackOff"),
            (json!([running, waiting]), "CrashLoopBackOff"),
            (json!([ended(json!({"exitCode": 3}))]), "ExitCode:3"),
            (json!([ended(json!({"signal": 9}))]), "Signal:9"),
            (json!([ended(json!({"reason": "Error"})), waiting]), "Error"),
            (json!([ended(json!({"reason": "Completed"})), running]), "NotReady"),
        ] {
            let pod = json!({"status": {"phase": "Running", "containerStatuses": statuses}});
            assert_eq!(summary(&pod), word, "{statuses}");
        }
        let leaving = |phase: &str| json!({"metadata": {"deletionTimestamp": "t"}, "status": {"phase": phase}});
        assert_eq!(summary(&leaving("Running")), "Terminating");
        assert_eq!(summary(&leaving("Succeeded")), "Succeeded");
    }
}
