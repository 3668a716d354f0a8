//! Volumes, and where the container finds them.

use serde_json::json;

use super::{Rule, validations};

pub(super) const VOLUME: &str = "io.k8s.api.core.v1.Volume";

/// Volumes whose code Kubernetes has removed, or handed to a CSI driver. A PersistentVolumeClaim reaches the latter.
pub(super) const REMOVED: [&str; 17] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

const MOUNT: &str = "io.k8s.api.core.v1.VolumeMount";

/// Definitions with the permissions of files, and the field in which they are.
const MODES: [(&str, &str); 6] = [
    ("io.k8s.api.core.v1.ConfigMapVolumeSource", "defaultMode"),
    ("io.k8s.api.core.v1.DownwardAPIVolumeFile", "mode"),
    ("io.k8s.api.core.v1.DownwardAPIVolumeSource", "defaultMode"),
    ("io.k8s.api.core.v1.KeyToPath", "mode"),
    ("io.k8s.api.core.v1.ProjectedVolumeSource", "defaultMode"),
    ("io.k8s.api.core.v1.SecretVolumeSource", "defaultMode"),
];

pub(super) fn rules() -> Vec<Rule> {
    let [empty, host] = ["io.k8s.api.core.v1.EmptyDirVolumeSource", "io.k8s.api.core.v1.HostPathVolumeSource"];
    let one_part = validations(&[(
        "!has(self.subPath) || self.subPath == '' || !has(self.subPathExpr) || self.subPathExpr == ''",
        "a mount has either subPath or subPathExpr",
    )]);
    let below = validations(&[(
        "!self.matches('^/|(^|/)[.][.](/|$)')",
        "must be a path below the volume: neither absolute nor with ..",
    )]);
    let mut rules = vec![
        // Of an embedded object's metadata, these are what people may set.
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "", embedded_metadata()),
        (VOLUME, "name", json!({"minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"})),
        // The name and one source.
        (VOLUME, "", json!({"maxProperties": 2})),
        (MOUNT, "", one_part),
        (MOUNT, "name", json!({"minLength": 1, "maxLength": 63})),
        // Container runtimes take what follows a colon for options.
        (MOUNT, "mountPath", json!({"minLength": 1, "maxLength": 4096, "pattern": "^[^:]*$"})),
        (MOUNT, "mountPropagation", json!({"enum": ["None", "HostToContainer", "Bidirectional"]})),
        (MOUNT, "recursiveReadOnly", json!({"enum": ["Disabled", "IfPossible", "Enabled"]})),
        (MOUNT, "subPath", json!({"maxLength": 4096, "x-kubernetes-validations": below["x-kubernetes-validations"]})),
        ("io.k8s.api.core.v1.ProjectedVolumeSource", "sources", json!({"maxItems": 64})),
        (empty, "medium", json!({"pattern": "^(Memory|HugePages(-.+)?)?$"})),
        (host, "type", json!({"pattern": "^((Directory|File)(OrCreate)?|Socket|CharDevice|BlockDevice)?$"})),
    ];
    rules.extend(MODES.map(|(definition, mode)| (definition, mode, json!({"minimum": 0, "maximum": 0o777}))));
    rules
}

fn embedded_metadata() -> serde_json::Value {
    let strings = |description: &str| json!({"description": description, "type": "object", "additionalProperties": {"type": "string"}});
    json!({"properties": {"labels": strings("Labels of the claim"), "annotations": strings("Annotations of the claim")}})
}
