//! NetworkPolicies: who may talk to whom.
//!
//! Nothing here filters a packet. A policy that Kubernetes would take is stored with its defaults, and one that says
//! nothing, or two things at once, is refused with its words:
//!
//! ```text
//!   rule --+-- ports: protocol, number or name, a range only from a number
//!          +-- peers: selectors, or a block of addresses; one of them, and a block stands alone
//! ```
//!
//! Ranges of addresses are read strictly (KEP-4858): no leading zeros, no IPv4 within IPv6, no bits behind the prefix.
//! What a stored policy already says may be said again.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::field::{Causes, child, default as fill, int, list, list_mut, text};
use super::{labels, names};

const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// Fills in a NetworkPolicy: it is about what comes in, and about what goes out if it speaks of that.
pub(super) fn default(policy: &mut Value) {
    let Some(spec) = child(policy, "spec") else { return };
    for (direction, _) in DIRECTIONS {
        for port in list_mut(spec, direction).iter_mut().flat_map(|rule| list_mut(rule, "ports")) {
            fill(port, "protocol", "TCP");
        }
    }
    let egress = !list(spec, "egress").is_empty();
    fill(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}

/// Checks a NetworkPolicy.
pub(super) fn validate(policy: &Value, old: Option<&Value>, causes: &mut Causes) {
    let spec = &policy["spec"];
    labels::validate_selector(&spec["podSelector"], "spec.podSelector", causes);
    let known = old.map(ranges).unwrap_or_default();
    for (direction, peers) in DIRECTIONS {
        for (at, rule) in list(spec, direction).iter().enumerate() {
            let path = format!("spec.{direction}[{at}]");
            for (at, port) in list(rule, "ports").iter().enumerate() {
                validate_port(port, &format!("{path}.ports[{at}]"), causes);
            }
            for (at, peer) in list(rule, peers).iter().enumerate() {
                validate_peer(peer, &known, &format!("{path}.{peers}[{at}]"), causes);
            }
        }
    }
    validate_types(spec, causes);
}

fn validate_types(spec: &Value, causes: &mut Causes) {
    let (types, known) = (list(spec, "policyTypes"), ["Ingress", "Egress"]);
    if types.len() > known.len() {
        return causes.invalid("spec.policyTypes", &types.into(), "may not specify more than two policyTypes");
    }
    for (at, kind) in types.iter().filter_map(Value::as_str).enumerate() {
        if !known.contains(&kind) {
            causes.not_supported(&format!("spec.policyTypes[{at}]"), kind, &known);
        }
    }
}

fn validate_port(port: &Value, path: &str, causes: &mut Causes) {
    let (protocol, known) = (text(port, "protocol"), ["TCP", "UDP", "SCTP"]);
    if port.get("protocol").is_some() && !known.contains(&protocol) {
        causes.not_supported(&format!("{path}.protocol"), protocol, &known);
    }
    let (field, end) = (format!("{path}.port"), int(port, "endPort"));
    let mut end_is = |detail: &str| {
        if let Some(end) = end {
            causes.invalid(&format!("{path}.endPort"), &json!(end), detail);
        }
    };
    match port.get("port") {
        None => end_is("may not be specified when `port` is not specified"),
        Some(Value::String(name)) => {
            end_is("may not be specified when `port` is non-numeric");
            causes.complaints(&field, name, &names::port_name(name));
        }
        Some(number) => {
            let first = number.as_i64().unwrap_or(0);
            validate_number(&field, first, causes);
            let Some(end) = end else { return };
            let field = format!("{path}.endPort");
            if end < first {
                causes.invalid(&field, &json!(end), "must be greater than or equal to `port`");
            }
            validate_number(&field, end, causes);
        }
    }
}

fn validate_number(field: &str, number: i64, causes: &mut Causes) {
    for complaint in names::port_number(number) {
        causes.invalid(field, &json!(number), &complaint);
    }
}

fn validate_peer(peer: &Value, known: &BTreeSet<&str>, path: &str, causes: &mut Causes) {
    let mut named = 0;
    for key in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = peer.get(key) {
            named += 1;
            labels::validate_selector(selector, &format!("{path}.{key}"), causes);
        }
    }
    match peer.get("ipBlock") {
        None if named == 0 => causes.required(path, "must specify a peer"),
        None => {}
        Some(block) => {
            validate_block(block, known, &format!("{path}.ipBlock"), causes);
            if named > 0 {
                causes.forbidden(path, "may not specify both ipBlock and another peer");
            }
        }
    }
}

fn validate_block(block: &Value, known: &BTreeSet<&str>, path: &str, causes: &mut Causes) {
    let (whole, field) = (text(block, "cidr"), format!("{path}.cidr"));
    if whole.is_empty() {
        return causes.required(&field, "");
    }
    let Some(outer) = validate_range(whole, known, &field, causes) else { return };
    for (at, except) in list(block, "except").iter().filter_map(Value::as_str).enumerate() {
        let field = format!("{path}.except[{at}]");
        if let Some(inner) = validate_range(except, known, &field, causes)
            && !outer.strictly_contains(inner)
        {
            causes.invalid_text(&field, except, "must be a strict subset of `cidr`");
        }
    }
}

/// Checks a range of addresses; what can be read of it is read, so that more can be said.
fn validate_range(text: &str, known: &BTreeSet<&str>, field: &str, causes: &mut Causes) -> Option<Range> {
    let complain = |detail: &str, causes: &mut Causes| {
        if !known.contains(text) {
            causes.invalid_text(field, text, detail);
        }
    };
    let Some(range) = Range::parse(text) else {
        complain("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)", causes);
        return None;
    };
    if Range::is_padded(text) {
        complain("must not have leading 0s in IP or prefix length", causes);
    } else if matches!(range.address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()) {
        complain("must not have an IPv4-mapped IPv6 address", causes);
    } else if range.bits() & !range.mask() != 0 {
        complain("must not have bits set beyond the prefix length", causes);
    }
    Some(range)
}

/// All ranges that a policy names.
fn ranges(policy: &Value) -> BTreeSet<&str> {
    let rules = DIRECTIONS
        .into_iter()
        .flat_map(|(direction, peers)| list(&policy["spec"], direction).iter().flat_map(move |rule| list(rule, peers)));
    let blocks = rules.map(|peer| &peer["ipBlock"]);
    let named = |block| list(block, "except").iter().filter_map(Value::as_str).chain([text(block, "cidr")]);
    blocks.flat_map(named).collect()
}

/// An address and how many of its bits count.
#[derive(Debug, Clone, Copy)]
struct Range {
    address: IpAddr,
    prefix: u32,
}

impl Range {
    /// Reads `10.0.0.0/8`, and `010.0.0.0/08` as well, as Go's older parser did.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let bare = |part: &str| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0".to_owned(),
            rest => rest.to_owned(),
        };
        let address = if address.contains(':') {
            address.parse().ok()?
        } else {
            IpAddr::V4(address.split('.').map(bare).collect::<Vec<_>>().join(".").parse().ok()?)
        };
        let digits = prefix.bytes().all(|digit| digit.is_ascii_digit());
        let prefix = bare(prefix).parse().ok().filter(|_| digits)?;
        let range = Self { address, prefix };
        (prefix <= range.width()).then_some(range)
    }

    /// Does a number of this readable range begin with a zero too many?
    fn is_padded(text: &str) -> bool {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let padded = |part: &str| part.len() > 1 && part.starts_with('0');
        padded(prefix) || !address.contains(':') && address.split('.').any(padded)
    }

    fn width(self) -> u32 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn bits(self) -> u128 {
        match self.address {
            IpAddr::V4(four) => u128::from(four.to_bits()),
            IpAddr::V6(six) => six.to_bits(),
        }
    }

    fn mask(self) -> u128 {
        let all = u128::MAX >> (128 - self.width());
        all & !all.checked_shr(self.prefix).unwrap_or(0)
    }

    fn strictly_contains(self, inner: Self) -> bool {
        let same_family = self.address.is_ipv4() == inner.address.is_ipv4();
        same_family && self.prefix < inner.prefix && self.bits() & self.mask() == inner.bits() & self.mask()
    }
}

#[cfg(test)]
mod tests;
