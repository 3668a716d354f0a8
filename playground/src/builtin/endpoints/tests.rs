use serde_json::json;

use super::super::field::found;
use super::*;

fn faults(slice: &Value) -> Vec<String> {
    found(|causes| validate(slice, None, causes))
}

fn of_endpoint(kind: &str, endpoint: &Value) -> Vec<String> {
    faults(&json!({"addressType": kind, "endpoints": [endpoint]}))
}

fn of_address(kind: &str, address: &str) -> Vec<String> {
    of_endpoint(kind, &json!({"addresses": [address]}))
}

#[test]
fn a_slice_has_a_type_of_address_and_keeps_it() {
    let slice = |kind: &str| json!({"addressType": kind});
    assert!(found(|causes| validate(&slice("IPv4"), Some(&slice("IPv4")), causes)).is_empty());
    assert_eq!(faults(&json!({})), ["addressType: Required value"]);
    let unknown = "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"";
    assert_eq!(faults(&slice("IP")), [unknown]);
    let changed = "addressType: Invalid value: \"IPv6\": field is immutable";
    assert_eq!(found(|causes| validate(&slice("IPv6"), Some(&slice("IPv4")), causes)), [changed]);
}

#[test]
fn an_address_is_of_the_slices_type() {
    for (kind, address) in
        [("IPv4", "10.0.0.1"), ("IPv4", "127.1.0.1"), ("IPv6", "2001:db8::1"), ("FQDN", "a.b."), ("Other", "x")]
    {
        let found = of_address(kind, address);
        assert_eq!(found.iter().filter(|fault| fault.starts_with("endpoints")).count(), 0, "{found:?}");
    }
    for (kind, address, detail) in [
        ("IPv4", "x", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("IPv4", "2001:db8::1", "must be an IPv4 address"),
        ("IPv6", "10.0.0.1", "must be an IPv6 address"),
        ("IPv4", "0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ("IPv4", "169.254.0.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("IPv6", "fe80::1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("IPv4", "224.0.0.1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("IPv6", "ff02::1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("FQDN", "host", "should be a domain with at least two segments separated by dots"),
    ] {
        let fault = format!("endpoints[0].addresses[0]: Invalid value: \"{address}\": {detail}");
        assert_eq!(of_address(kind, address), [fault]);
    }
    assert_eq!(of_address("FQDN", ""), ["endpoints[0].addresses[0]: Required value"]);
    assert!(of_address("FQDN", "A.b")[0].contains("\"A.b\": a lowercase RFC 1123 subdomain"));
    let long = "a".repeat(64);
    let fault = format!("endpoints[0].addresses[0]: Invalid value: \"{long}\": must be no more than 63 bytes");
    assert_eq!(of_address("FQDN", &format!("b.{long}")), [fault]);
}

#[test]
fn an_endpoint_has_some_addresses() {
    let none = "endpoints[0].addresses: Required value: must contain at least 1 address";
    assert_eq!(of_endpoint("IPv4", &json!({})), [none]);
    let many = "endpoints[0].addresses: Too many: 101: must have at most 100 items";
    assert_eq!(of_endpoint("IPv4", &json!({"addresses": vec!["10.0.0.1"; 101]})), [many]);
    let whole = json!({"addressType": "IPv4", "endpoints": vec![json!({}); 1001]});
    assert_eq!(faults(&whole), ["endpoints: Too many: 1001: must have at most 1000 items"]);
}

#[test]
fn names_about_an_endpoint_are_names() {
    let of = |more: Value| {
        let mut endpoint = json!({"addresses": ["10.0.0.1"]});
        endpoint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of_endpoint("IPv4", &endpoint)
    };
    assert!(of(json!({"nodeName": "n.x", "hostname": "h", "deprecatedTopology": {"a": "b"}})).is_empty());
    assert!(of(json!({"nodeName": "N"}))[0].starts_with("endpoints[0].nodeName: Invalid value: \"N\""));
    assert!(of(json!({"hostname": "a.b"}))[0].starts_with("endpoints[0].hostname: Invalid value: \"a.b\""));
    let odd = of(json!({"deprecatedTopology": {"a": "b c"}}));
    assert!(odd[0].starts_with("endpoints[0].deprecatedTopology: Invalid value: \"b c\""));
    let many: serde_json::Map<_, _> = (0..17).map(|at| (format!("l{at}"), json!(""))).collect();
    assert_eq!(
        of(json!({"deprecatedTopology": many})),
        ["endpoints[0].deprecatedTopology: Too many: 17: must have at most 16 items"]
    );
}

#[test]
fn hints_name_each_zone_and_node_once() {
    let of = |hints: Value| of_endpoint("IPv4", &json!({"addresses": ["10.0.0.1"], "hints": hints}));
    for key in ["forZones", "forNodes"] {
        assert!(of(json!({key: [{"name": "a"}, {"name": "b"}]})).is_empty());
        let twice = format!("endpoints[0].hints.{key}[1].name: Duplicate value: \"a\"");
        assert_eq!(of(json!({key: [{"name": "a"}, {"name": "a"}]})), [twice]);
        let many = format!("endpoints[0].hints.{key}: Too many: 9: must have at most 8 items");
        assert_eq!(of(json!({key: vec![json!({"name": "a"}); 9]})), [many]);
        let odd = format!("endpoints[0].hints.{key}[0].name: Invalid value: \"a b\"");
        assert!(of(json!({key: [{"name": "a b"}]}))[0].starts_with(&odd));
    }
}

#[test]
fn ports_differ_by_name_and_have_a_protocol() {
    let of = |ports: Value| faults(&json!({"addressType": "IPv4", "ports": ports}));
    assert!(of(json!([{"name": "a", "protocol": "TCP"}, {"protocol": "UDP", "appProtocol": "k.io/h2c"}])).is_empty());
    assert_eq!(
        of(json!([{"name": "a", "protocol": "TCP"}, {"name": "a", "protocol": "UDP"}])),
        ["ports[1].name: Duplicate value: \"a\""]
    );
    assert!(of(json!([{"name": "A", "protocol": "TCP"}]))[0].starts_with("ports[0].name: Invalid value: \"A\""));
    assert_eq!(
        of(json!([{"protocol": "HTTP"}])),
        ["ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \"UDP\""]
    );
    assert_eq!(of(json!([{}])), ["ports[0].protocol: Required value"]);
    let odd = of(json!([{"protocol": "TCP", "appProtocol": "a b"}]));
    assert!(odd[0].starts_with("ports[0].appProtocol: Invalid value: \"a b\""));
    let many = json!(vec![json!({}); 20_001]);
    assert_eq!(of(many), ["ports: Too many: 20001: must have at most 20000 items"]);
}
