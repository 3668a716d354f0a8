//! Security contexts of pods and containers.

use serde_json::{Map, Value, json};

use super::field::{Causes, list, text};
use super::mount::validate_descending;

/// The fields of a container's context as Go has them inside of the server, where they bear no JSON names.
const CONTEXT: [(&str, &str); 12] = [
    ("capabilities", "Capabilities"),
    ("privileged", "Privileged"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("windowsOptions", "WindowsOptions"),
    ("runAsUser", "RunAsUser"),
    ("runAsGroup", "RunAsGroup"),
    ("runAsNonRoot", "RunAsNonRoot"),
    ("readOnlyRootFilesystem", "ReadOnlyRootFilesystem"),
    ("allowPrivilegeEscalation", "AllowPrivilegeEscalation"),
    ("procMount", "ProcMount"),
    ("seccompProfile", "SeccompProfile"),
    ("appArmorProfile", "AppArmorProfile"),
];

/// Checks a container's.
pub(super) fn validate_container(context: &Value, path: &str, causes: &mut Causes) {
    for key in ["runAsUser", "runAsGroup"] {
        validate_id(context.get(key), &format!("{path}.{key}"), causes);
    }
    let proc = text(context, "procMount");
    if !proc.is_empty() && !["Default", "Unmasked"].contains(&proc) {
        causes.not_supported(&format!("{path}.procMount"), proc, &["Default", "Unmasked"]);
    }
    validate_seccomp(context, path, causes);
    if context.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        if context.get("privileged") == Some(&Value::Bool(true)) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            causes.invalid_json(path, &internal(context), detail);
        }
        let added = context.get("capabilities").map_or(&[][..], |capabilities| list(capabilities, "add"));
        for _ in added.iter().filter(|capability| *capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            causes.invalid_json(path, &internal(context), detail);
        }
    }
    validate_app_armor(context, path, causes);
}

/// Checks a pod's.
pub(super) fn validate_pod(spec: &Value, path: &str, causes: &mut Causes) {
    let Some(context) = spec.get("securityContext") else { return };
    let path = format!("{path}.securityContext");
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        validate_id(context.get(key), &format!("{path}.{key}"), causes);
    }
    for (index, group) in list(context, "supplementalGroups").iter().enumerate() {
        validate_id(Some(group), &format!("{path}.supplementalGroups[{index}]"), causes);
    }
    let share = spec.get("shareProcessNamespace") == Some(&Value::Bool(true));
    if share && spec.get("hostPID") == Some(&Value::Bool(true)) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        causes.invalid(&format!("{path}.shareProcessNamespace"), &json!(true), detail);
    }
    for (index, setting) in list(context, "sysctls").iter().enumerate() {
        validate_sysctl(text(setting, "name"), &format!("{path}.sysctls[{index}].name"), causes);
    }
    let policy = text(context, "fsGroupChangePolicy");
    if !policy.is_empty() && !["Always", "OnRootMismatch"].contains(&policy) {
        causes.not_supported(&format!("{path}.fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    validate_seccomp(context, &path, causes);
    validate_app_armor(context, &path, causes);
}

fn validate_id(id: Option<&Value>, field: &str, causes: &mut Causes) {
    if let Some(id) = id.filter(|id| id.as_i64().is_some_and(|id| !(0..=i64::from(i32::MAX)).contains(&id))) {
        causes.invalid(field, id, "must be between 0 and 2147483647, inclusive");
    }
}

fn validate_sysctl(name: &str, field: &str, causes: &mut Causes) {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let segment = |part: &str| {
        let inner = part.bytes().all(|c| edge(c) || c == b'-' || c == b'_');
        inner && part.bytes().next().is_some_and(edge) && part.bytes().next_back().is_some_and(edge)
    };
    if name.is_empty() {
        causes.required(field, "");
    } else if name.len() > 253 || !name.split(['.', '/']).all(segment) {
        let detail = "must have at most 253 characters and match regex \
                      ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
        causes.invalid_text(field, name, detail);
    }
}

fn validate_seccomp(context: &Value, path: &str, causes: &mut Causes) {
    let Some(profile) = context.get("seccompProfile") else { return };
    let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
    let (kind, field) = (text(profile, "type"), format!("{path}.seccompProfile.type"));
    if kind.is_empty() {
        causes.required(&field, "type is required when seccompProfile is set");
    } else if !kinds.contains(&kind) {
        causes.not_supported(&field, kind, &kinds);
    }
    let field = format!("{path}.seccompProfile.localhostProfile");
    match (kind, profile.get("localhostProfile").and_then(Value::as_str)) {
        ("Localhost", None) => causes.required(&field, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(local)) => validate_descending(local, &field, causes),
        (_, None) => {}
        (_, Some(local)) => {
            let json = format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", json!(kind), json!(local));
            causes.invalid_json(&field, &json, "can only be set when seccomp type is Localhost");
        }
    }
}

fn validate_app_armor(context: &Value, path: &str, causes: &mut Causes) {
    let Some(profile) = context.get("appArmorProfile") else { return };
    let path = format!("{path}.appArmorProfile");
    let field = format!("{path}.localhostProfile");
    let local = profile.get("localhostProfile").and_then(Value::as_str);
    match (text(profile, "type"), local) {
        ("Localhost", None) => causes.required(&field, "must be set when AppArmor type is Localhost"),
        ("Localhost", Some(local)) if local.trim() != local => {
            causes.invalid_text(&field, local, "must not be padded with whitespace");
        }
        ("Localhost", Some("")) => {
            causes.required(&field, "must be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) | ("Localhost", Some(_)) => {}
        ("RuntimeDefault" | "Unconfined", Some(local)) => {
            causes.invalid_text(&field, local, "can only be set when AppArmor type is Localhost");
        }
        ("", _) => causes.required(&format!("{path}.type"), "type is required when appArmorProfile is set"),
        (other, _) => {
            causes.not_supported(&format!("{path}.type"), other, &["Localhost", "RuntimeDefault", "Unconfined"]);
        }
    }
}

/// The context as Go prints what it has inside: all fields, in their order.
fn internal(context: &Value) -> String {
    let members =
        CONTEXT.map(|(key, name)| format!("\"{name}\":{}", inner(context.get(key).cloned().unwrap_or_default())));
    format!("{{{}}}", members.join(","))
}

/// The same of the little there is inside of it.
fn inner(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let named = members.into_iter().map(|(key, value)| {
        let mut letters = key.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        (first.into_iter().chain(letters).collect::<String>(), value)
    });
    let mut named: Map<String, Value> = named.collect();
    for key in ["Add", "Drop"] {
        if named.contains_key("Add") || named.contains_key("Drop") {
            named.entry(key).or_insert(Value::Null);
        }
    }
    Value::Object(named)
}
