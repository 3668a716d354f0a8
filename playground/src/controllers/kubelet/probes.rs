//! Whether a container's probes would pass: read off what its image does, not tried over the network.
//!
//! Startup and readiness probes of the kinds `tcpSocket` and `httpGet` count, on a port that the container declares. All
//! others pass, and so does everything where pods are not listened to. When a probe is made is not looked at: it passes
//! as soon as the container is as ready as the script has it. Liveness probes kill nobody.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::controllers::meta::{int, text};
use crate::mcp::{Behaviour, answer_to_get};

const PROBES: [(&str, &str); 2] = [("startupProbe", "Startup"), ("readinessProbe", "Readiness")];

/// Why a container's first probe that fails does, in the kubelet's words; `None`: all pass.
pub(super) fn failure(container: &Value, address: Ipv4Addr) -> Option<String> {
    PROBES.iter().find_map(|(key, called)| {
        let cause = probe(container, &container[key], address)?;
        Some(format!("{called} probe failed: {cause}"))
    })
}

fn probe(container: &Value, probe: &Value, address: Ipv4Addr) -> Option<String> {
    let image = text(container, &["image"]);
    if probe["tcpSocket"].is_object() {
        let port = declared(container, &probe["tcpSocket"]["port"])?;
        return refused(image).then(|| format!("dial tcp {address}:{port}: connect: connection refused"));
    }
    let get = &probe["httpGet"];
    if !get.is_object() || Behaviour::of(image) == Behaviour::Unreachable {
        return None;
    }
    let port = declared(container, &get["port"])?;
    let path = match text(get, &["path"]) {
        "" => "/",
        path => path,
    };
    let url = format!("{}://{address}:{port}{path}", text(get, &["scheme"]).to_lowercase());
    if refused(image) {
        return Some(format!("Get \"{url}\": dial tcp {address}:{port}: connect: connection refused"));
    }
    if text(get, &["scheme"]) == "HTTPS" {
        return Some(format!("Get \"{url}\": http: server gave HTTP response to HTTPS client"));
    }
    match answer_to_get(image, path) {
        None => {
            Some(format!("Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"))
        }
        Some(status) if status.is_success() || status.is_redirection() => None,
        Some(status) => Some(format!("HTTP probe failed with statuscode: {}", status.as_u16())),
    }
}

fn refused(image: &str) -> bool {
    Behaviour::of(image) == Behaviour::Refuses
}

/// The number of a port that is named or numbered, if the container declares it.
fn declared(container: &Value, wanted: &Value) -> Option<i64> {
    let mut ports = container["ports"].as_array().into_iter().flatten();
    let is_wanted = |port: &&Value| port["containerPort"] == *wanted || (wanted.is_string() && port["name"] == *wanted);
    ports.find(is_wanted).map(|port| int(port, &["containerPort"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fails(image: &str, probe: &Value) -> Option<String> {
        let ports = json!([{"name": "mcp", "containerPort": 8080}]);
        let container = json!({"name": "c", "image": image, "ports": ports, "readinessProbe": probe});
        failure(&container, Ipv4Addr::new(127, 2, 0, 2))
    }

    #[test]
    fn a_tcp_probe_fails_where_nothing_listens_and_passes_where_only_the_network_is_in_the_way() {
        let by_name = json!({"tcpSocket": {"port": "mcp"}});
        let refused = "Readiness probe failed: dial tcp 127.2.0.2:8080: connect: connection refused";
        assert_eq!(fails("not-listening", &by_name).as_deref(), Some(refused));
        assert_eq!(fails("not-listening", &json!({"tcpSocket": {"port": 8080}})).as_deref(), Some(refused));
        for image in ["any:1", "unreachable", "speaks-nothing", "hangs-up"] {
            assert_eq!(fails(image, &by_name), None, "{image}");
        }
    }

    #[test]
    fn an_http_probe_goes_by_the_status() {
        let get = |path: &str| json!({"httpGet": {"port": "mcp", "path": path, "scheme": "HTTP"}});
        assert_eq!(fails("any:1", &get("/healthz")), None);
        let told = fails("any:1", &get("/mcp")).unwrap();
        assert_eq!(told, "Readiness probe failed: HTTP probe failed with statuscode: 405");
        assert_eq!(fails("speaks-elsewhere", &get("/")), None, "a redirect is good enough");
        for image in ["speaks-nothing", "hangs-up", "not-listening", "speaks-errors"] {
            assert!(fails(image, &get("/healthz")).is_some(), "{image}");
        }
    }

    #[test]
    fn what_is_not_declared_or_of_another_kind_passes() {
        for probe in [json!(null), json!({"exec": {"command": ["x"]}}), json!({"tcpSocket": {"port": 9}})] {
            assert_eq!(fails("not-listening", &probe), None, "{probe}");
        }
    }
}
