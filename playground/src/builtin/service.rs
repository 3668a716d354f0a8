//! Services, and the addresses they are given.

mod rules;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

pub(super) use rules::validate;

use super::field::{Causes, child, default as fill, int, list, list_mut, text};

/// The cluster addresses in use, out of 10.96.0.0/12, and the node ports, out of 30000-32767.
///
/// An address is booked for a Service's namespace and name, not for one attempt to write
/// it: dry runs and retries leak nothing. Addresses are handed out in ascending order and
/// not at random as Kubernetes does: a test that replays sees the same ones.
#[derive(Debug, Clone)]
pub struct ClusterIps {
    /// Whose address it is. Every address lies in the range; the API server has the first.
    booked: BTreeMap<u32, String>,
    /// The inverse of `booked`.
    of: BTreeMap<String, u32>,
    /// Where the search begins: after the address handed out last.
    next: u32,
    /// Behind the last address.
    end: u32,
    /// Whose node port it is. Every port lies in [`NODE_PORTS`].
    ports: BTreeMap<u32, String>,
}

const BASE: u32 = 0x0a60_0000;
const SIZE: u32 = 1 << 20;
const FIRST: u32 = BASE + 2;
/// The node ports that may be used.
const NODE_PORTS: std::ops::RangeInclusive<u32> = 30_000..=32_767;

impl Default for ClusterIps {
    fn default() -> Self {
        let mut ips = Self {
            booked: BTreeMap::new(),
            of: BTreeMap::new(),
            next: FIRST,
            end: BASE + SIZE,
            ports: BTreeMap::new(),
        };
        ips.book(BASE + 1, "default/kubernetes");
        ips
    }
}

impl ClusterIps {
    fn book(&mut self, address: u32, owner: &str) {
        self.booked.insert(address, owner.to_owned());
        self.of.insert(owner.to_owned(), address);
    }

    /// The address of a Service, a free one if it has none yet; `None` if all are in use.
    fn allocate(&mut self, owner: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.of.get(owner) {
            return Some(Ipv4Addr::from(*address));
        }
        for _ in FIRST..self.end {
            let candidate = self.next;
            self.next = if candidate + 2 < self.end { candidate + 1 } else { FIRST };
            if !self.booked.contains_key(&candidate) {
                self.book(candidate, owner);
                return Some(Ipv4Addr::from(candidate));
            }
        }
        None
    }

    /// Takes the address that a Service asked for.
    fn claim(&mut self, address: &str, owner: &str) -> Result<(), String> {
        let Ok(address) = address.parse::<Ipv4Addr>() else {
            return Err("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned());
        };
        let number = u32::from(address);
        if !(BASE..BASE + SIZE).contains(&number) {
            return Err(format!(
                "failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. The range of valid IPs is 10.96.0.0/12"
            ));
        }
        match self.booked.get(&number) {
            Some(other) if other != owner => {
                Err(format!("failed to allocate IP {address}: provided IP is already allocated"))
            }
            Some(_) => Ok(()),
            None => {
                self.release_of(owner);
                self.book(number, owner);
                Ok(())
            }
        }
    }

    /// The addresses of these Services and of no others, as when an older state is restored.
    pub fn of<'a>(services: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut ips = Self::default();
        for service in services {
            let address = text(&service["spec"], "clusterIP");
            // A headless Service has none, and one that has got its own from here can't be in the way of another.
            drop(ips.claim(address, &owner(service)));
            for port in list(&service["spec"], "ports").iter().filter_map(|port| int(port, "nodePort")) {
                drop(u32::try_from(port).map(|port| ips.claim_port(port, &owner(service))));
            }
        }
        ips
    }

    /// Gives back the address and the node ports of a Service that is gone.
    pub fn release(&mut self, service: &Value) {
        let owner = owner(service);
        self.release_of(&owner);
        self.release_ports(&owner);
    }

    fn release_ports(&mut self, owner: &str) {
        self.ports.retain(|_, of| of != owner);
    }

    /// Takes the node port that a Service asked for, or has.
    fn claim_port(&mut self, port: u32, owner: &str) -> Result<(), String> {
        if !NODE_PORTS.contains(&port) {
            return Err("provided port is not in the valid range. The range of valid ports is 30000-32767".to_owned());
        }
        if self.ports.contains_key(&port) {
            return Err("provided port is already allocated".to_owned());
        }
        self.ports.insert(port, owner.to_owned());
        Ok(())
    }

    /// The lowest free node port.
    fn allocate_port(&mut self, owner: &str) -> Option<u32> {
        let free = NODE_PORTS.into_iter().find(|port| !self.ports.contains_key(port))?;
        self.ports.insert(free, owner.to_owned());
        Some(free)
    }

    fn release_of(&mut self, owner: &str) {
        if let Some(address) = self.of.remove(owner) {
            self.booked.remove(&address);
        }
    }
}

fn owner(service: &Value) -> String {
    let metadata = &service["metadata"];
    format!("{}/{}", text(metadata, "namespace"), text(metadata, "name"))
}

/// Fills in a Service. What was allocated once stays, even if an update leaves it out.
pub(super) fn default(service: &mut Value, old: Option<&Value>) {
    if let Some(spec) = child(service, "spec") {
        fill(spec, "sessionAffinity", "None");
        match text(spec, "sessionAffinity") {
            "ClientIP" => fill(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}})),
            "None" => remove(spec, "sessionAffinityConfig"),
            _ => {}
        }
        fill(spec, "type", "ClusterIP");
        for port in list_mut(spec, "ports") {
            fill(port, "protocol", "TCP");
            let number = port.get("port").cloned().unwrap_or_default();
            fill(port, "targetPort", number);
        }
        let kind = text(spec, "type").to_owned();
        if kind != "ExternalName" {
            fill(spec, "internalTrafficPolicy", "Cluster");
            if let Some(old) = old.and_then(|old| old.get("spec")) {
                keep_allocated(spec, old);
            }
        }
        if is_reachable(spec) {
            fill(spec, "externalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            fill(spec, "allocateLoadBalancerNodePorts", true);
        }
        if let Some(old) = old.and_then(|old| old.get("spec")) {
            drop_what_went_with_the_type(spec, old);
        }
    }
    fill(service, "status", json!({"loadBalancer": {}}));
}

/// From outside of the cluster.
fn is_reachable(spec: &Value) -> bool {
    let kind = text(spec, "type");
    matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && !list(spec, "externalIPs").is_empty())
}

fn remove(spec: &mut Value, key: &str) {
    if let Some(spec) = spec.as_object_mut() {
        spec.remove(key);
    }
}

/// Who changes the type of a Service need not take away what only the old type had, as long as it stays what it was.
fn drop_what_went_with_the_type(spec: &mut Value, old: &Value) {
    let addressed = |spec: &Value| matches!(text(spec, "type"), "ClusterIP" | "NodePort" | "LoadBalancer");
    let has_node_ports = |spec: &Value| matches!(text(spec, "type"), "NodePort" | "LoadBalancer");
    let balanced = |spec: &Value| text(spec, "type") == "LoadBalancer";
    let mut gone: Vec<&str> = Vec::new();
    if addressed(old) && !addressed(spec) {
        gone.extend(["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]);
    }
    if balanced(old) && !balanced(spec) {
        gone.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"]);
    }
    if is_reachable(old) && !is_reachable(spec) {
        gone.push("externalTrafficPolicy");
    }
    for key in gone {
        if spec.get(key) == old.get(key) {
            remove(spec, key);
        }
    }
    let node_ports =
        |spec: &Value| -> Vec<i64> { list(spec, "ports").iter().filter_map(|port| int(port, "nodePort")).collect() };
    let known = node_ports(old);
    if has_node_ports(old) && !has_node_ports(spec) && node_ports(spec).iter().all(|port| known.contains(port)) {
        for port in list_mut(spec, "ports") {
            remove(port, "nodePort");
        }
    }
}

fn keep_allocated(spec: &mut Value, old: &Value) {
    for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(value) = old.get(key) {
            fill(spec, key, value.clone());
        }
    }
    let exposed = ["NodePort", "LoadBalancer"].contains(&text(spec, "type"));
    for port in list_mut(spec, "ports") {
        let same = |o: &&Value| o["port"] == port["port"] && o["protocol"] == port["protocol"];
        let node_port = list(old, "ports").iter().find(same);
        if let Some(number) = node_port.and_then(|o| o.get("nodePort")).filter(|_| exposed) {
            fill(port, "nodePort", number.clone());
        }
    }
}

/// Gives a valid Service its addresses, or takes note of those it brought along.
pub(super) fn allocate(service: &mut Value, old: Option<&Value>, ips: &mut ClusterIps, causes: &mut Causes) {
    let owner = owner(service);
    let spec = &mut service["spec"];
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let before = old.map(|old| text(&old["spec"], "clusterIP"));
    let wanted = text(spec, "clusterIP").to_owned();
    match (before.filter(|ip| !ip.is_empty()), wanted.as_str()) {
        (Some(before), wanted) if before != wanted => {
            let json = json!([wanted]);
            causes.invalid("spec.clusterIPs[0]", &json, "may not change once set");
            return;
        }
        (Some(_), _) | (None, "None") => {}
        (None, "") => match ips.allocate(&owner) {
            Some(address) => spec["clusterIP"] = address.to_string().into(),
            None => causes.invalid_text("spec.clusterIPs", "", "range is full"),
        },
        (None, wanted) => {
            if let Err(detail) = ips.claim(wanted, &owner) {
                causes.invalid("spec.clusterIPs", &json!([wanted]), &detail);
            }
        }
    }
    let address = spec["clusterIP"].clone();
    fill(spec, "clusterIPs", json!([address]));
    fill(spec, "ipFamilies", json!(["IPv4"]));
    fill(spec, "ipFamilyPolicy", "SingleStack");
    ips.release_ports(&owner);
    if ["NodePort", "LoadBalancer"].contains(&text(spec, "type")) {
        allocate_node_ports(spec, &owner, ips, causes);
    }
}

/// What the ports name is booked first, lest another port of the same Service gets it.
fn allocate_node_ports(spec: &mut Value, owner: &str, ips: &mut ClusterIps, causes: &mut Causes) {
    for (index, port) in list(spec, "ports").iter().enumerate() {
        let wanted = int(port, "nodePort").and_then(|port| u32::try_from(port).ok()).filter(|port| *port > 0);
        if let Some(Err(detail)) = wanted.map(|wanted| ips.claim_port(wanted, owner)) {
            causes.invalid(&format!("spec.ports[{index}].nodePort"), &json!(wanted), &detail);
        }
    }
    for (index, port) in list_mut(spec, "ports").iter_mut().enumerate() {
        if int(port, "nodePort").unwrap_or(0) == 0 {
            match ips.allocate_port(owner) {
                Some(free) => port["nodePort"] = free.into(),
                None => causes.invalid_text(&format!("spec.ports[{index}].nodePort"), "", "range is full"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_used_once_until_it_is_given_back() {
        let mut ips = ClusterIps::default();
        let first = ips.allocate("n/a").unwrap().to_string();
        assert_eq!(first, "10.96.0.2");
        assert!(ips.claim(&first, "n/b").unwrap_err().ends_with("already allocated"));
        ips.release(&json!({"metadata": {"namespace": "n", "name": "a"}}));
        assert_eq!(ips.claim(&first, "n/b"), Ok(()));
        assert!(ips.claim("10.112.0.1", "n/b").unwrap_err().contains("valid range"));
    }

    #[test]
    fn a_second_attempt_gets_the_same_address() {
        let mut ips = ClusterIps::default();
        assert_eq!(ips.allocate("n/a"), ips.allocate("n/a"));
        assert_ne!(ips.allocate("n/a"), ips.allocate("n/b"));
    }

    #[test]
    fn what_only_the_old_type_had_goes_with_it() {
        let old = json!({"spec": {"type": "NodePort", "externalTrafficPolicy": "Cluster", "clusterIP": "10.96.0.9",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30000}]}});
        let mut plain = old.clone();
        plain["spec"]["type"] = "ClusterIP".into();
        default(&mut plain, Some(&old));
        assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None);
        assert_eq!(plain["spec"].get("externalTrafficPolicy"), None);
        assert_eq!(plain["spec"]["clusterIP"], "10.96.0.9");
        let mut named = old.clone();
        named["spec"]["type"] = "ExternalName".into();
        default(&mut named, Some(&old));
        assert_eq!(named["spec"].get("clusterIP"), None);
        let mut changed = old.clone();
        changed["spec"]["type"] = "ClusterIP".into();
        changed["spec"]["externalTrafficPolicy"] = "Local".into();
        default(&mut changed, Some(&old));
        assert_eq!(changed["spec"]["externalTrafficPolicy"], "Local", "what somebody set is not taken away in silence");
    }

    #[test]
    fn the_range_ends_and_says_so() {
        let mut ips = ClusterIps { end: BASE + 100, ..ClusterIps::default() };
        let count = (0..).map_while(|n: u32| ips.allocate(&n.to_string())).count();
        assert_eq!(count, 97);
    }

    fn node_port(name: &str, port: &Value) -> Value {
        let ports = json!([{"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": port}]);
        json!({"metadata": {"namespace": "n", "name": name}, "spec": {"type": "NodePort", "ports": ports}})
    }

    #[test]
    fn a_node_port_has_one_owner_and_is_free_again_when_its_service_is_gone() {
        let mut ips = ClusterIps::default();
        let give = |ips: &mut ClusterIps, name: &str, port: &Value| {
            let (mut service, mut causes) = (node_port(name, port), Causes::default());
            allocate(&mut service, None, ips, &mut causes);
            causes.into_result().map(|()| service["spec"]["ports"][0]["nodePort"].clone())
        };
        assert_eq!(give(&mut ips, "a", &json!(30_000)), Ok(json!(30_000)));
        assert_eq!(give(&mut ips, "a", &json!(30_000)), Ok(json!(30_000)), "written again");
        assert_eq!(give(&mut ips, "b", &json!(0)), Ok(json!(30_001)));
        let taken = give(&mut ips, "c", &json!(30_001)).unwrap_err();
        assert_eq!(taken[0].message, "Invalid value: 30001: provided port is already allocated");
        assert!(give(&mut ips, "c", &json!(80)).unwrap_err()[0].message.contains("30000-32767"));
        ips.release(&node_port("b", &json!(30_001)));
        assert_eq!(give(&mut ips, "c", &json!(30_001)), Ok(json!(30_001)));
    }
}
