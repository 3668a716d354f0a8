//! The Secrets and ConfigMaps without which a pod can't start.

use serde_json::Value;

use crate::controllers::meta::text;

pub(super) const SECRETS: &str = "secrets";
pub(super) const CONFIG_MAPS: &str = "configmaps";

/// An object that a pod names and that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// `secrets` or `configmaps`.
    pub(super) table: &'static str,
    pub(super) name: String,
}

impl Source {
    /// What the kubelet says when it isn't there.
    pub(super) fn missing(&self) -> String {
        let kind = if self.table == SECRETS { "secret" } else { "configmap" };
        format!("{kind} \"{}\" not found", self.name)
    }
}

/// All that a pod names, but for what it calls optional.
pub(super) fn of(pod: &Value) -> Vec<Source> {
    let spec = &pod["spec"];
    let list = |holder: &Value, key: &str| holder[key].as_array().cloned().unwrap_or_default();
    let mut sources = Vec::new();
    for container in list(spec, "initContainers").into_iter().chain(list(spec, "containers")) {
        for source in list(&container, "envFrom") {
            sources.extend(named(SECRETS, &source["secretRef"], "name"));
            sources.extend(named(CONFIG_MAPS, &source["configMapRef"], "name"));
        }
        for variable in list(&container, "env") {
            sources.extend(named(SECRETS, &variable["valueFrom"]["secretKeyRef"], "name"));
            sources.extend(named(CONFIG_MAPS, &variable["valueFrom"]["configMapKeyRef"], "name"));
        }
    }
    for volume in list(spec, "volumes") {
        sources.extend(named(SECRETS, &volume["secret"], "secretName"));
        sources.extend(named(CONFIG_MAPS, &volume["configMap"], "name"));
    }
    sources
}

fn named(table: &'static str, reference: &Value, key: &str) -> Option<Source> {
    let name = text(reference, &[key]);
    let needed = !name.is_empty() && reference["optional"] != true;
    needed.then(|| Source { table, name: name.to_owned() })
}
