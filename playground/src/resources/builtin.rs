//! The built-in kinds, as a table.
//!
//! Controllers of the playground act on Deployments, ReplicaSets, pods, Services and autoscalers; the other kinds are stored,
//! defaulted and validated, and nothing else comes of them.

use std::sync::Arc;

use super::{Form, Origin, Resource, Scale, ScaleSelector, Trait};
use crate::fields;

/// One line of the table.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
    /// Letters: n = namespaced, a = category `all`, S = scale subresource, and those of [`TRAITS`].
    traits: &'static str,
    /// (label, path in the stored form)
    selectable: &'static [(&'static str, &'static str)],
}

/// The letter of each optional behaviour.
const TRAITS: [(char, Trait); 5] = [
    ('s', Trait::Status),
    ('g', Trait::Generation),
    ('c', Trait::CreateOnUpdate),
    ('v', Trait::NeedsVersion),
    ('d', Trait::DeleteCollection),
];

macro_rules! rows {
    ($($group:literal $version:literal $kind:literal $plural:literal $singular:literal $short:tt $traits:literal $selectable:tt;)*) => {
        &[$(Row {
            group: $group, version: $version, kind: $kind, plural: $plural, singular: $singular,
            short: &$short, traits: $traits, selectable: &$selectable,
        }),*]
    };
}

pub(super) const CORE_EVENT: [(&str, &str); 11] = [
    ("involvedObject.apiVersion", "regarding.apiVersion"),
    ("involvedObject.fieldPath", "regarding.fieldPath"),
    ("involvedObject.kind", "regarding.kind"),
    ("involvedObject.name", "regarding.name"),
    ("involvedObject.namespace", "regarding.namespace"),
    ("involvedObject.resourceVersion", "regarding.resourceVersion"),
    ("involvedObject.uid", "regarding.uid"),
    ("reason", "reason"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource.component"),
    ("type", "type"),
];

const EVENT: [(&str, &str); 10] = [
    ("regarding.apiVersion", "regarding.apiVersion"),
    ("regarding.fieldPath", "regarding.fieldPath"),
    ("regarding.kind", "regarding.kind"),
    ("regarding.name", "regarding.name"),
    ("regarding.namespace", "regarding.namespace"),
    ("regarding.resourceVersion", "regarding.resourceVersion"),
    ("regarding.uid", "regarding.uid"),
    ("reason", "reason"),
    ("reportingController", "reportingController"),
    ("type", "type"),
];

const POD: [(&str, &str); 8] = [
    ("spec.hostNetwork", "spec.hostNetwork"),
    ("spec.nodeName", "spec.nodeName"),
    ("spec.restartPolicy", "spec.restartPolicy"),
    ("spec.schedulerName", "spec.schedulerName"),
    ("spec.serviceAccountName", "spec.serviceAccountName"),
    ("status.nominatedNodeName", "status.nominatedNodeName"),
    ("status.phase", "status.phase"),
    ("status.podIP", "status.podIP"),
];

#[rustfmt::skip]
const ROWS: &[Row] = rows! {
    "" "v1" "ConfigMap" "configmaps" "configmap" ["cm"] "nd" [];
    "" "v1" "Endpoints" "endpoints" "endpoints" ["ep"] "ncd" [];
    "" "v1" "Event" "events" "event" ["ev"] "ncd" CORE_EVENT;
    "" "v1" "LimitRange" "limitranges" "limitrange" ["limits"] "nd" [];
    "" "v1" "Namespace" "namespaces" "namespace" ["ns"] "s" [("status.phase", "status.phase")];
    "" "v1" "Pod" "pods" "pod" ["po"] "nasgd" POD;
    "" "v1" "ResourceQuota" "resourcequotas" "resourcequota" ["quota"] "nsd" [];
    "" "v1" "Secret" "secrets" "secret" [] "nd" [("type", "type")];
    "" "v1" "Service" "services" "service" ["svc"] "nascd" [("spec.clusterIP", "spec.clusterIP"), ("spec.type", "spec.type")];
    "" "v1" "ServiceAccount" "serviceaccounts" "serviceaccount" ["sa"] "nd" [];
    "admissionregistration.k8s.io" "v1" "MutatingWebhookConfiguration" "mutatingwebhookconfigurations" "mutatingwebhookconfiguration" [] "gd" [];
    "admissionregistration.k8s.io" "v1" "ValidatingWebhookConfiguration" "validatingwebhookconfigurations" "validatingwebhookconfiguration" [] "gd" [];
    "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "customresourcedefinitions" "customresourcedefinition" ["crd", "crds"] "sgvd" [];
    "apps" "v1" "Deployment" "deployments" "deployment" ["deploy"] "nasSgd" [];
    "apps" "v1" "ReplicaSet" "replicasets" "replicaset" ["rs"] "nasSgd" [("status.replicas", "status.replicas")];
    "autoscaling" "v1" "HorizontalPodAutoscaler" "horizontalpodautoscalers" "horizontalpodautoscaler" ["hpa"] "nasd" [];
    "autoscaling" "v2" "HorizontalPodAutoscaler" "horizontalpodautoscalers" "horizontalpodautoscaler" ["hpa"] "nasd" [];
    "coordination.k8s.io" "v1" "Lease" "leases" "lease" [] "ncvd" [];
    "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices" "endpointslice" [] "ngd" [];
    "events.k8s.io" "v1" "Event" "events" "event" ["ev"] "ncd" EVENT;
    "networking.k8s.io" "v1" "NetworkPolicy" "networkpolicies" "networkpolicy" ["netpol"] "ngd" [];
    "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets" "poddisruptionbudget" ["pdb"] "nsgvd" [];
    "rbac.authorization.k8s.io" "v1" "ClusterRole" "clusterroles" "clusterrole" [] "cd" [];
    "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "clusterrolebindings" "clusterrolebinding" [] "cd" [];
    "rbac.authorization.k8s.io" "v1" "Role" "roles" "role" [] "ncd" [];
    "rbac.authorization.k8s.io" "v1" "RoleBinding" "rolebindings" "rolebinding" [] "ncd" [];
    "scheduling.k8s.io" "v1" "PriorityClass" "priorityclasses" "priorityclass" ["pc"] "gd" [];
};

/// All built-in resources.
pub(super) fn all() -> Vec<Resource> {
    ROWS.iter().map(Row::resource).collect()
}

impl Row {
    fn resource(&self) -> Resource {
        let has = |letter| self.traits.contains(letter);
        Resource {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            list_kind: format!("{}List", self.kind),
            plural: self.plural.into(),
            singular: self.singular.into(),
            short_names: self.short.iter().map(ToString::to_string).collect(),
            categories: categories(self.kind, has('a')),
            namespaced: has('n'),
            traits: TRAITS.iter().filter(|(letter, _)| has(*letter)).map(|(_, found)| *found).collect(),
            scale: has('S').then(workload_scale),
            schema: Arc::new(fields::Schema::builtin(self.kind)),
            selectable: self.selectable.iter().map(|(label, path)| (label.to_string(), path.to_string())).collect(),
            form: match (self.group, self.version, self.kind) {
                ("", _, "Event") => Form::CoreEvent,
                ("autoscaling", "v1", _) => Form::Autoscaler,
                _ => Form::Stored,
            },
            origin: Origin::Builtin,
        }
    }
}

fn categories(kind: &str, all: bool) -> Vec<String> {
    let own = (kind == "CustomResourceDefinition" || kind.ends_with("WebhookConfiguration"))
        .then(|| "api-extensions".to_owned());
    own.into_iter().chain(all.then(|| "all".to_owned())).collect()
}

fn workload_scale() -> Scale {
    let path = |parent: &str, field: &str| vec![parent.to_owned(), field.to_owned()];
    Scale {
        spec_replicas: path("spec", "replicas"),
        status_replicas: path("status", "replicas"),
        selector: ScaleSelector::Structured(path("spec", "selector")),
    }
}
