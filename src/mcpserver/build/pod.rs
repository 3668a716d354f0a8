//! The pod that runs a server.
//!
//! What the operator decides itself is built with the types of the Kubernetes API. What people write into the spec in
//! the form of a pod's own fields is then put where it belongs, [as it is](Verbatim).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvFromSource, PodSecurityContext, PodSpec, Probe, SeccompProfile,
    SecretEnvSource, SecurityContext, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::super::children::{CONTAINER, InjectedSecret, PORT, SECRET_HASH};
use super::{labels, put};
use crate::api::MCPServerSpec;
use crate::api::spec::{ACTIONS, PullPolicy};
use crate::api::verbatim::Verbatim;

/// The pod template of the server `name`.
pub(super) fn template(
    name: &str,
    spec: &MCPServerSpec,
    secret: Option<&InjectedSecret>,
) -> Result<Value, serde_json::Error> {
    let hash = secret.and_then(|secret| secret.hash.clone()).map(|hash| (SECRET_HASH.to_owned(), hash));
    // Of two values for one key the later one stays: ours.
    let annotations: BTreeMap<_, _> = spec.pod_annotations.clone().into_iter().chain(hash).collect();
    let metadata = ObjectMeta {
        labels: Some(spec.pod_labels.clone().into_iter().chain(labels(name)).collect()),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    };
    Ok(json!({"metadata": serde_json::to_value(metadata)?, "spec": pod(spec, secret)?}))
}

/// A pod that the Pod Security profile "restricted" admits, unless the spec says otherwise.
fn pod(spec: &MCPServerSpec, secret: Option<&InjectedSecret>) -> Result<Value, serde_json::Error> {
    let mut pod = serde_json::to_value(PodSpec {
        // A pod needs a token only if its ServiceAccount was chosen on purpose.
        automount_service_account_token: spec.service_account_name.is_none().then_some(false),
        service_account_name: spec.service_account_name.clone(),
        // The API server keeps a second copy of the name in this old field, and would restore the name from it when it
        // is taken out of the spec.
        service_account: spec.service_account_name.clone(),
        node_selector: (!spec.node_selector.is_empty()).then(|| spec.node_selector.clone()),
        priority_class_name: spec.priority_class_name.clone(),
        termination_grace_period_seconds: spec.termination_grace_period_seconds,
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    })?;
    overlay(&mut pod["securityContext"], spec.pod_security_context.as_ref());
    put(&mut pod, "affinity", spec.affinity.as_ref());
    put(&mut pod, "imagePullSecrets", spec.image_pull_secrets.as_ref());
    put(&mut pod, "tolerations", spec.tolerations.as_ref());
    put(&mut pod, "topologySpreadConstraints", spec.topology_spread_constraints.as_ref());
    put(&mut pod, "volumes", spec.volumes.as_ref());
    pod["containers"] = json!([container(spec, secret)?]);
    without_empty_lists(&mut pod);
    Ok(pod)
}

/// Takes out lists without items. To Kubernetes they are as good as none; but an apply becomes the manager of some of them
/// and not of others, namely not of those whose items have owners of their own (`env`, `volumes`). Then the operator would
/// miss what it has just applied, and apply it again, for ever. Templates write `env: []` all the time.
fn without_empty_lists(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| member.as_array().is_none_or(|items| !items.is_empty()));
            members.values_mut().for_each(without_empty_lists);
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty_lists),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn container(spec: &MCPServerSpec, secret: Option<&InjectedSecret>) -> Result<Value, serde_json::Error> {
    let environment = |secret: &InjectedSecret| EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: secret.name.clone(), optional: None }),
        ..EnvFromSource::default()
    };
    let some = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    let mut container = serde_json::to_value(Container {
        name: CONTAINER.to_owned(),
        image: Some(spec.image.clone()),
        image_pull_policy: spec.image_pull_policy.map(|policy| PullPolicy::as_str(policy).to_owned()),
        command: some(&spec.command),
        args: some(&spec.args),
        ports: Some(vec![ContainerPort {
            name: Some(PORT.to_owned()),
            container_port: spec.port,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        env_from: secret.map(|secret| vec![environment(secret)]),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    })?;
    secure(&mut container["securityContext"], spec.security_context.as_ref());
    put(&mut container, "env", spec.env.as_ref());
    put(&mut container, "resources", spec.resources.as_ref());
    put(&mut container, "volumeMounts", spec.volume_mounts.as_ref());
    let probes = &spec.probes;
    // The startup probe gives a slow server five minutes, and lets a fast one become ready within seconds.
    for (field, default, wanted) in [
        ("startupProbe", probe(2, 150), probes.startup.as_ref()),
        ("readinessProbe", probe(10, 3), probes.readiness.as_ref()),
        ("livenessProbe", probe(20, 3), probes.liveness.as_ref()),
    ] {
        let mut probe = serde_json::to_value(default)?;
        match wanted.map(crate::api::spec::Probe::fields) {
            Some(None) => continue,
            Some(Some(fields)) => replace_fields(&mut probe, fields),
            None => {}
        }
        container[field] = probe;
    }
    Ok(container)
}

/// Checks whether the port accepts connections. MCP defines no path that every server would answer on GET.
fn probe(period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction { port: IntOrString::String(PORT.to_owned()), host: None }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

/// Puts `fields` into a default probe. Another action takes the place of the default one.
fn replace_fields(probe: &mut Value, fields: Value) {
    if let (Some(probe), Value::Object(fields)) = (probe.as_object_mut(), fields) {
        if ACTIONS.iter().any(|action| fields.contains_key(*action)) {
            probe.retain(|field, _| !ACTIONS.contains(&field.as_str()));
        }
        probe.extend(fields);
    }
}

/// Puts what the spec says of a container's security into our default.
///
/// A container that is to get one more capability must not get all the others with it, so `drop` stays unless the spec has
/// its own. And the API server refuses to forbid escalation where a container is privileged anyway,
/// or has the capability that is as much, by its long name.
fn secure(default: &mut Value, value: Option<&Verbatim<SecurityContext>>) {
    let drop = default["capabilities"]["drop"].take();
    overlay(default, value);
    if let Some(capabilities) = default["capabilities"].as_object_mut() {
        let stays = capabilities.get("drop").is_none_or(Value::is_null);
        if stays {
            capabilities.insert("drop".to_owned(), drop);
        }
    }
    let said = value.map(Verbatim::value).unwrap_or_default();
    let adds_all = |add: &Vec<Value>| add.iter().any(|one| one == "CAP_SYS_ADMIN" || one == "SYS_ADMIN");
    let adds_all = said["capabilities"]["add"].as_array().is_some_and(adds_all);
    if (said["privileged"] == true || adds_all)
        && said["allowPrivilegeEscalation"].is_null()
        && let Some(default) = default.as_object_mut()
    {
        default.remove("allowPrivilegeEscalation");
    }
}

/// Replaces those fields of a default that `value` has.
fn overlay<T>(default: &mut Value, value: Option<&Verbatim<T>>) {
    if let (Some(default), Some(Value::Object(fields))) = (default.as_object_mut(), value.map(Verbatim::value)) {
        default.extend(fields);
    }
}
