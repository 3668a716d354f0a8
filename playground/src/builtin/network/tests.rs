use super::super::field::found;
use super::*;

fn faults(spec: &Value) -> Vec<String> {
    found(|causes| validate(&json!({"spec": spec}), None, causes))
}

#[track_caller]
fn port_draws(port: &Value, expected: &[&str]) {
    for (direction, _) in DIRECTIONS {
        let path = format!("spec.{direction}[0].ports[0].");
        let expected: Vec<_> = expected.iter().map(|fault| format!("{path}{fault}")).collect();
        assert_eq!(faults(&json!({direction: [{"ports": [port]}]})), expected);
    }
}

#[track_caller]
fn peer_draws(peer: &Value, expected: &[&str]) {
    for (direction, peers) in DIRECTIONS {
        let path = format!("spec.{direction}[0].{peers}[0]");
        let expected: Vec<_> = expected.iter().map(|fault| format!("{path}{fault}")).collect();
        assert_eq!(faults(&json!({direction: [{peers: [peer]}]})), expected);
    }
}

#[test]
fn a_policy_is_about_what_it_speaks_of_and_a_port_is_of_tcp() {
    for (spec, types) in [(json!({}), json!(["Ingress"])), (json!({"egress": [{}]}), json!(["Ingress", "Egress"]))] {
        let mut policy = json!({"spec": spec});
        default(&mut policy);
        assert_eq!(policy["spec"]["policyTypes"], types);
    }
    let mut policy = json!({"spec": {"ingress": [{"ports": [{"port": 1}]}], "egress": [{"ports": [{}]}]}});
    default(&mut policy);
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["protocol"], "TCP");
    assert_eq!(policy["spec"]["egress"][0]["ports"][0]["protocol"], "TCP");
}

#[test]
fn a_port_is_a_number_a_name_or_a_range_of_numbers() {
    port_draws(&json!({"protocol": "SCTP", "port": 80, "endPort": 80}), &[]);
    port_draws(&json!({"port": "web"}), &[]);
    let protocols = "protocol: Unsupported value: \"HTTP\": supported values: \"TCP\", \"UDP\", \"SCTP\"";
    port_draws(&json!({"protocol": "HTTP"}), &[protocols]);
    port_draws(&json!({"port": 0}), &["port: Invalid value: 0: must be between 1 and 65535, inclusive"]);
    let (low, high) = (
        "endPort: Invalid value: 8: must be greater than or equal to `port`",
        "endPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
    );
    port_draws(&json!({"port": 9, "endPort": 8}), &[low]);
    port_draws(&json!({"port": 9, "endPort": 65536}), &[high]);
    port_draws(
        &json!({"port": "9", "endPort": 8}),
        &[
            "endPort: Invalid value: 8: may not be specified when `port` is non-numeric",
            "port: Invalid value: \"9\": must contain at least one letter (a-z)",
        ],
    );
    let lonely = "endPort: Invalid value: 8: may not be specified when `port` is not specified";
    port_draws(&json!({"endPort": 8}), &[lonely]);
}

#[test]
fn a_peer_is_named_and_a_block_stands_alone() {
    peer_draws(&json!({"podSelector": {}, "namespaceSelector": {}}), &[]);
    peer_draws(&json!({}), &[": Required value: must specify a peer"]);
    let both = json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}});
    peer_draws(&both, &[": Forbidden: may not specify both ipBlock and another peer"]);
    for key in ["podSelector", "namespaceSelector"] {
        let rule = json!({key: {"matchExpressions": [{"key": "a", "operator": "Is"}]}});
        let fault =
            format!(".{key}.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator");
        peer_draws(&rule, &[&fault]);
    }
    let selector = json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}});
    assert!(faults(&selector)[0].starts_with("spec.podSelector.matchExpressions[0].values: Required value"));
}

#[test]
fn a_block_is_a_range_of_addresses_and_an_exception_lies_within() {
    let fine = json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.3.4/32"]}});
    peer_draws(&fine, &[]);
    peer_draws(&json!({"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}), &[]);
    peer_draws(
        &json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["0.0.0.0/1", "::/1"]}}),
        &[".ipBlock.except[1]: Invalid value: \"::/1\": must be a strict subset of `cidr`"],
    );
    peer_draws(&json!({"ipBlock": {}}), &[".ipBlock.cidr: Required value"]);
    for (text, detail) in [
        ("10.0.0.0", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        ("10.0.0.0/33", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        ("10.0.0.0/+8", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
        ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
        ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
        ("10.1.0.0/8", "must not have bits set beyond the prefix length"),
    ] {
        let fault = format!(".ipBlock.cidr: Invalid value: \"{text}\": {detail}");
        peer_draws(&json!({"ipBlock": {"cidr": text}}), &[&fault]);
    }
    for except in ["10.0.0.0/8", "11.0.0.0/16", "0.0.0.0/0"] {
        let fault = format!(".ipBlock.except[0]: Invalid value: \"{except}\": must be a strict subset of `cidr`");
        peer_draws(&json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": [except]}}), &[&fault]);
    }
    let odd =
        ".ipBlock.except[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    peer_draws(&json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x"]}}), &[odd]);
}

#[test]
fn what_a_stored_policy_says_may_be_said_again() {
    let policy = |cidr: &str| json!({"spec": {"egress": [{"to": [{"ipBlock": {"cidr": cidr}}]}]}});
    let stored = policy("10.1.0.0/8");
    assert!(found(|causes| validate(&stored, Some(&stored), causes)).is_empty());
    assert_eq!(found(|causes| validate(&policy("10.2.0.0/8"), Some(&stored), causes)).len(), 1);
}

#[test]
fn there_are_two_types_of_policy() {
    assert!(faults(&json!({"policyTypes": ["Egress"]})).is_empty());
    let unknown = "spec.policyTypes[0]: Unsupported value: \"Both\": supported values: \"Ingress\", \"Egress\"";
    assert_eq!(faults(&json!({"policyTypes": ["Both"]})), [unknown]);
    let many = "spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"Ingress\"]: may not specify more than two \
                policyTypes";
    assert_eq!(faults(&json!({"policyTypes": ["Ingress", "Egress", "Ingress"]})), [many]);
}
