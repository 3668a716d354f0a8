//! The EndpointSlice controller: where a Service's pods are reached.
//!
//! Both sides are indexed by label, so that a pod's change costs a look-up and not a walk over all
//! Services.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::MANAGER;
use super::harness::{Change, Control};
use super::kubelet::NODE;
use super::labelled::{Index, Label, labels_in, labels_of};
use super::meta::{self, condition, int, is_deleting, name, namespace, text, uid};
use super::owned::Owned;
use super::queue::Queue;
use crate::Cluster;
use crate::builtin::selector;
use crate::cluster::DeleteOptions;
use crate::resources::Registry;
use crate::status::Status;
use crate::storage::{EventKind, Key, Object};

const SERVICES: &str = "services";
const PODS: &str = "pods";
const SLICES: &str = "endpointslices.discovery.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const OURS: &str = "endpointslice-controller.k8s.io";
/// As many endpoints as one slice holds.
const LONGEST: usize = 100;

/// The acting half.
#[derive(Debug)]
pub(super) struct Controller {
    cluster: Cluster,
    services: Index,
    pods: Index,
    slices: Owned,
}

impl Controller {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, services: Index::default(), pods: Index::default(), slices: Owned::default() }
    }

    fn queue_services_of(&self, labels: &[Label], queue: &mut Queue<Key>) {
        for service in labels.iter().flat_map(|label| self.services.of(label)) {
            queue.add(service.clone());
        }
    }

    fn pods_of(&self, service: &Value) -> Vec<Arc<Value>> {
        let wanted = labels_in(namespace(service), &service["spec"]["selector"]);
        let candidates = wanted.first().into_iter().flat_map(|label| self.pods.of(label));
        let selector = json!({"matchLabels": service["spec"]["selector"]});
        candidates
            .filter_map(|key| self.cluster.get(PODS, &key.namespace, &key.name))
            .filter(|pod| selector::matches(&selector, &pod["metadata"]["labels"]))
            .collect()
    }
}

impl Control for Controller {
    type Key = Key;

    fn tables(&self, _: &Registry) -> Vec<String> {
        vec![PODS.into(), SERVICES.into(), SLICES.into()]
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Key>) {
        let key = &change.object.key;
        let gone = change.kind == EventKind::Deleted;
        match change.table {
            PODS => {
                let before = self.pods.labels_of(key).to_vec();
                let labels = labels_of(change.object);
                // Without an address it is in no slice, whatever becomes of it.
                if has_address(change.object) || change.previous.is_some_and(|previous| has_address(previous)) {
                    self.queue_services_of(&before, queue);
                    self.queue_services_of(&labels, queue);
                }
                self.pods.set(key, if gone { Vec::new() } else { labels });
            }
            SERVICES => {
                let mut labels = labels_in(&key.namespace, &change.object.value()["spec"]["selector"]);
                labels.truncate(usize::from(!gone));
                self.services.set(key, labels);
                if !gone {
                    queue.add(key.clone());
                }
            }
            _ => {
                for owner in self.slices.observe(change.kind, change.object, "Service") {
                    queue.add(owner.key);
                }
            }
        }
    }

    fn sync(&mut self, key: &Key, _: &mut Queue<Key>) -> Result<(), Status> {
        let Some(service) = self.cluster.get(SERVICES, &key.namespace, &key.name) else { return Ok(()) };
        let selects = service["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty());
        if is_deleting(&service) || !selects || service["spec"]["type"] == "ExternalName" {
            return Ok(());
        }
        let get = |key: &Key| self.cluster.get(SLICES, &key.namespace, &key.name);
        let mut there = self.slices.of(uid(&service)).filter_map(get);
        for wanted in slices(&service, &self.pods_of(&service)) {
            match there.next() {
                Some(slice) => {
                    let mut next = (*slice).clone();
                    for part in ["endpoints", "ports"] {
                        next[part] = wanted[part].clone();
                    }
                    next["metadata"]["labels"] = wanted["metadata"]["labels"].clone();
                    if next != *slice {
                        self.cluster.update(SLICES, &key.namespace, next, MANAGER)?;
                    }
                }
                None => drop(self.cluster.create(SLICES, &key.namespace, wanted, MANAGER)?),
            }
        }
        for slice in there {
            self.cluster.delete(SLICES, &key.namespace, name(&slice), &DeleteOptions::default())?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        *self = Self::new(self.cluster.clone());
    }
}

fn has_address(pod: &Object) -> bool {
    pod.fields.iter().any(|(name, value)| name == "status.podIP" && !value.is_empty())
}

/// The slices of a Service: one at least, which is empty where there are no pods.
fn slices(service: &Value, pods: &[Arc<Value>]) -> Vec<Value> {
    let mut by_ports: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !text(pod, &["status", "podIP"]).is_empty()) {
        let ports = ports(service, pod);
        let of = by_ports.entry(ports.to_string()).or_insert_with(|| (ports, Vec::new()));
        of.1.push(endpoint(service, pod));
    }
    if by_ports.is_empty() {
        return vec![slice(service, &json!([]), &[])];
    }
    let chunks = by_ports.values().flat_map(|(ports, all)| all.chunks(LONGEST).map(move |chunk| (ports, chunk)));
    chunks.map(|(ports, endpoints)| slice(service, ports, endpoints)).collect()
}

fn slice(service: &Value, ports: &Value, endpoints: &[Value]) -> Value {
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name(service).into());
    labels.insert(MANAGED_BY.to_owned(), OURS.into());
    if text(service, &["spec", "clusterIP"]) == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), "".into());
    }
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", name(service)),
            "labels": labels,
            "ownerReferences": [meta::controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    })
}

fn endpoint(service: &Value, pod: &Value) -> Value {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = condition(conditions, "Ready").is_some_and(|ready| text(ready, &["status"]) == "True");
    let leaving = is_deleting(pod);
    let always = service["spec"]["publishNotReadyAddresses"] == true;
    json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": always || (ready && !leaving), "serving": ready, "terminating": leaving},
        "nodeName": NODE,
        "targetRef": {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)},
    })
}

/// The Service's ports as this pod has them: a named one is looked up in its containers.
fn ports(service: &Value, pod: &Value) -> Value {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let found = ports.filter_map(|port| {
        let target = match &port["targetPort"] {
            Value::String(wanted) => container_port(pod, wanted, text(port, &["protocol"]))?,
            number => number.as_i64().unwrap_or(int(port, &["port"])),
        };
        let mut found = json!({
            "name": text(port, &["name"]),
            "port": target,
            "protocol": port["protocol"],
        });
        if port["appProtocol"].is_string() {
            found["appProtocol"] = port["appProtocol"].clone();
        }
        Some(found)
    });
    found.collect()
}

fn container_port(pod: &Value, wanted: &str, protocol: &str) -> Option<i64> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let found = ports.find(|port| text(port, &["name"]) == wanted && text(port, &["protocol"]) == protocol)?;
    found["containerPort"].as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ready: bool, port: i64) -> Arc<Value> {
        let status = if ready { "True" } else { "False" };
        Arc::new(json!({
            "metadata": {"name": name, "namespace": "n", "uid": name},
            "spec": {"containers": [{"ports": [{"name": "web", "protocol": "TCP", "containerPort": port}]}]},
            "status": {"podIP": "127.1.0.1", "conditions": [{"type": "Ready", "status": status}]},
        }))
    }

    fn service() -> Value {
        let port = json!({"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"});
        json!({"kind": "Service", "metadata": {"name": "s", "namespace": "n", "uid": "u"}, "spec": {"ports": [port]}})
    }

    #[test]
    fn pods_that_call_another_port_by_the_same_name_stand_in_another_slice() {
        let found = slices(&service(), &[pod("a", true, 1), pod("b", false, 1), pod("c", true, 2)]);
        let told: Vec<_> = found
            .iter()
            .map(|slice| (slice["ports"][0]["port"].as_i64(), slice["endpoints"].as_array().unwrap().len()))
            .collect();
        assert_eq!(told, [(Some(1), 2), (Some(2), 1)]);
        let ready = |at: usize| found[0]["endpoints"][at]["conditions"]["ready"].clone();
        assert_eq!((ready(0), ready(1)), (json!(true), json!(false)));
    }

    #[test]
    fn a_service_without_pods_has_an_empty_slice_and_one_with_many_has_several() {
        assert_eq!(slices(&service(), &[])[0]["endpoints"], json!([]));
        let many: Vec<_> = (0..250).map(|at| pod(&format!("p{at}"), true, 1)).collect();
        let sizes: Vec<_> =
            slices(&service(), &many).iter().map(|slice| slice["endpoints"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
    }
}
