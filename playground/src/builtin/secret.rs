//! Secrets and ConfigMaps.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::field::{Causes, child, default as fill, entries, text};
use super::names;

const LIMIT: usize = 1024 * 1024;

/// Fills in a Secret: `stringData` goes into `data` and is never seen again.
pub(super) fn default(secret: &mut Value) {
    let plain = secret.as_object_mut().and_then(|map| map.remove("stringData"));
    if let Some(Value::Object(plain)) = plain
        && let Some(data) = child(secret, "data")
    {
        for (key, value) in plain {
            let bytes = value.as_str().unwrap_or_default();
            data[key] = STANDARD.encode(bytes).into();
        }
    }
    fill(secret, "type", "Opaque");
}

/// Checks a Secret or a ConfigMap.
pub(super) fn validate(resource: &str, new: &Value, old: Option<&Value>, causes: &mut Causes) {
    let mut size = 0;
    for holder in ["data", "binaryData"] {
        for (key, value) in entries(new, holder) {
            let field = format!("{holder}[{key}]");
            causes.complaints(&field, key, &names::config_key(key));
            let length = value.as_str().map_or(0, str::len);
            let encoded = resource == "secrets" || holder == "binaryData";
            size += if encoded { length / 4 * 3 } else { length };
            if resource == "configmaps" && holder == "data" && new["binaryData"].get(key).is_some() {
                causes.invalid_text(&field, key, "duplicate of key present in binaryData");
            }
        }
    }
    if size > LIMIT {
        let field = if resource == "secrets" { "data" } else { "" };
        causes.too_long(field, LIMIT);
    }
    if resource == "secrets" {
        validate_type(new, causes);
    }
    if let Some(old) = old {
        validate_update(resource, new, old, causes);
    }
}

/// What a Secret of a known type must hold.
fn validate_type(secret: &Value, causes: &mut Causes) {
    let has = |key: &str| secret["data"].get(key).is_some();
    let required: &[&str] = match text(secret, "type") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        // One of both is enough.
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => &["username", "password"],
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if secret["metadata"]["annotations"][key].as_str().is_none_or(str::is_empty) {
                causes.required(&format!("metadata.annotations[{key}]"), "");
            }
            return;
        }
        _ => return,
    };
    for key in required {
        let field = format!("data[{key}]");
        let bytes = secret["data"].get(*key).and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
        match bytes {
            None => causes.required(&field, ""),
            Some(bytes) if key.starts_with('.') => {
                if let Some(complaint) = crate::syntax::complaint(&bytes) {
                    causes.invalid_text(&field, "<secret contents redacted>", &complaint);
                }
            }
            Some(_) => {}
        }
    }
}

fn validate_update(resource: &str, new: &Value, old: &Value, causes: &mut Causes) {
    if resource == "secrets" && new.get("type") != old.get("type") {
        causes.invalid_text("type", text(new, "type"), "field is immutable");
    }
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if new.get("immutable") != old.get("immutable") {
        causes.forbidden("immutable", detail);
    }
    for holder in ["data", "binaryData"] {
        if new.get(holder) != old.get(holder) {
            causes.forbidden(holder, detail);
        }
    }
}
