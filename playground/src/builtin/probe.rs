//! Probes and the handlers that they and lifecycle hooks share.

use serde_json::{Value, json};

use super::field::{Causes, default, int, list, text};
use super::names;

/// Fills in a container's three probes.
pub(super) fn default_probes(container: &mut Value) {
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(key) else {
            continue;
        };
        default(probe, "timeoutSeconds", 1);
        default(probe, "periodSeconds", 10);
        default(probe, "successThreshold", 1);
        default(probe, "failureThreshold", 3);
        default_handler(probe);
    }
}

/// Fills in the handler of a probe or hook.
pub(super) fn default_handler(holder: &mut Value) {
    if let Some(get) = holder.get_mut("httpGet") {
        default(get, "path", "/");
        default(get, "scheme", "HTTP");
    }
    if let Some(grpc) = holder.get_mut("grpc") {
        default(grpc, "service", "");
    }
}

/// Checks a container's hooks; `grace` is what the pod has when it is told to end.
pub(super) fn validate_lifecycle(container: &Value, grace: i64, path: &str, causes: &mut Causes) {
    for hook in ["postStart", "preStop"] {
        let Some(handler) = container.get("lifecycle").and_then(|hooks| hooks.get(hook)) else { continue };
        let path = format!("{path}.lifecycle.{hook}");
        validate_handler(handler, &["exec", "httpGet", "tcpSocket", "sleep"], &path, causes);
        let seconds = handler.pointer("/sleep/seconds").and_then(Value::as_i64);
        if let Some(seconds) = seconds.filter(|seconds| !(0..=grace).contains(seconds)) {
            let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
            causes.invalid(&format!("{path}.sleep"), &json!(seconds), &detail);
        }
    }
}

/// Checks a container's three probes.
pub(super) fn validate_probes(container: &Value, path: &str, causes: &mut Causes) {
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get(key) else {
            continue;
        };
        let path = format!("{path}.{key}");
        validate_handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], &path, causes);
        for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            causes.non_negative(&format!("{path}.{field}"), int(probe, field));
        }
        let field = format!("{path}.terminationGracePeriodSeconds");
        let grace = int(probe, "terminationGracePeriodSeconds");
        if let Some(grace) = grace.filter(|grace| *grace <= 0) {
            causes.invalid(&field, &json!(grace), "must be greater than 0");
        }
        let threshold = int(probe, "successThreshold").unwrap_or(1);
        match (key, grace) {
            ("readinessProbe", Some(grace)) => {
                causes.invalid(&field, &json!(grace), "must not be set for readinessProbes");
            }
            ("readinessProbe", None) => {}
            _ if threshold != 1 => {
                causes.invalid(&format!("{path}.successThreshold"), &json!(threshold), "must be 1");
            }
            _ => {}
        }
    }
}

fn validate_handler(holder: &Value, handlers: &[&str], path: &str, causes: &mut Causes) {
    let mut found = 0;
    for handler in handlers {
        let Some(value) = holder.get(handler) else {
            continue;
        };
        found += 1;
        let path = format!("{path}.{handler}");
        if found > 1 {
            causes.forbidden(&path, "may not specify more than 1 handler type");
        } else {
            validate_one(handler, value, &path, causes);
        }
    }
    if found == 0 {
        causes.required(path, "must specify a handler type");
    }
}

fn validate_one(handler: &str, value: &Value, path: &str, causes: &mut Causes) {
    match handler {
        "exec" if list(value, "command").is_empty() => {
            causes.required(&format!("{path}.command"), "");
        }
        "exec" | "sleep" => {}
        "httpGet" => {
            if text(value, "path").is_empty() {
                causes.required(&format!("{path}.path"), "");
            }
            validate_port(value, path, causes);
            let scheme = text(value, "scheme");
            if !["HTTP", "HTTPS"].contains(&scheme) {
                causes.not_supported(&format!("{path}.scheme"), scheme, &["HTTP", "HTTPS"]);
            }
            for header in list(value, "httpHeaders") {
                let name = text(header, "name");
                causes.complaints(&format!("{path}.httpHeaders"), name, &names::header_name(name));
            }
        }
        _ => validate_port(value, path, causes),
    }
}

/// A port by number or by the name of a container port.
fn validate_port(holder: &Value, path: &str, causes: &mut Causes) {
    let field = format!("{path}.port");
    match holder.get("port") {
        Some(Value::String(name)) => causes.complaints(&field, name, &names::port_name(name)),
        other => {
            let port = other.and_then(Value::as_i64).unwrap_or(0);
            for complaint in names::port_number(port) {
                causes.invalid(&field, &json!(port), &complaint);
            }
        }
    }
}
