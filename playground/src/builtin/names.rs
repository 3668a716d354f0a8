//! The names of Kubernetes: labels, subdomains, qualified names, port names.
//!
//! Every function returns the complaints of apimachinery's `validation` package about
//! a text, none if it is fine. The regular expressions stand in the messages only:
//! each rule is a few character classes, checked by hand.

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

/// Lengths before characters, as apimachinery reports them.
fn check(text: &str, limit: usize, fine: bool, rule: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if text.len() > limit {
        complaints.push(too_long(limit));
    }
    if !fine {
        complaints.push(rule.to_owned());
    }
    complaints
}

fn lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Begins with `first`, ends with `last`, and has only `inner` in between.
fn shaped(text: &str, first: fn(u8) -> bool, inner: fn(u8) -> bool, last: fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => first(*only),
        [start, middle @ .., end] => first(*start) && last(*end) && middle.iter().all(|c| inner(*c)),
    }
}

fn label_shaped(text: &str) -> bool {
    shaped(text, lower, |c| lower(c) || c == b'-', lower)
}

fn qualified_shaped(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let edge = |c: u8| c.is_ascii_alphanumeric();
    shaped(text, edge, inner, edge)
}

/// A DNS-1123 label: container names, namespaces.
pub(super) fn dns_label(text: &str) -> Vec<String> {
    check(text, 63, label_shaped(text), LABEL)
}

/// A DNS-1123 subdomain: the name of most objects.
pub(crate) fn dns_subdomain(text: &str) -> Vec<String> {
    check(text, 253, text.split('.').all(label_shaped), SUBDOMAIN)
}

/// A DNS-1035 label: the name of a Service, which becomes a host name.
pub(crate) fn dns_label_1035(text: &str) -> Vec<String> {
    let first = |c: u8| c.is_ascii_lowercase();
    let fine = shaped(text, first, |c| lower(c) || c == b'-', lower);
    check(text, 63, fine, LABEL_1035)
}

/// Anything that can stand between two slashes of a path: roles and bindings.
pub(super) fn path_segment(text: &str) -> Vec<String> {
    match text {
        "." | ".." => vec![format!("may not be '{text}'")],
        _ => {
            let found = ["/", "%"].into_iter().filter(|part| text.contains(part));
            found.map(|part| format!("may not contain '{part}'")).collect()
        }
    }
}

/// A label's value.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    let fine = text.is_empty() || qualified_shaped(text);
    check(text, 63, fine, LABEL_VALUE)
}

/// A label's or annotation's key, a finalizer, an Event's reporting controller.
pub(crate) fn qualified(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut parts = text.split('/');
    let (prefix, name) = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => (None, name),
        (Some(prefix), Some(name), None) => (Some(prefix), name),
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    match prefix {
        None => {}
        Some("") => complaints.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            let of_prefix = dns_subdomain(prefix);
            complaints.extend(of_prefix.into_iter().map(|m| format!("prefix part {m}")));
        }
    }
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        complaints.push(format!("name part {}", too_long(63)));
    }
    if !qualified_shaped(name) {
        complaints.push(format!("name part {QUALIFIED}"));
    }
    complaints
}

/// A key of a Secret or ConfigMap.
pub(super) fn config_key(text: &str) -> Vec<String> {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let mut complaints = check(text, 253, shaped(text, inner, inner, inner), CONFIG_KEY);
    match text {
        "." => complaints.push("must not be '.'".to_owned()),
        ".." => complaints.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => complaints.push("must not start with '..'".to_owned()),
        _ => {}
    }
    complaints
}

/// The name of a port within a container (an IANA service name).
pub(super) fn port_name(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain = |holds: bool, complaint: &str| {
        if !holds {
            complaints.push(complaint.to_owned());
        }
    };
    complain(text.len() <= 15, "must be no more than 15 characters");
    complain(
        !text.is_empty() && text.bytes().all(|c| lower(c) || c == b'-'),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    complain(text.bytes().any(|c| c.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    complain(!text.contains("--"), "must not contain consecutive hyphens");
    complain(!text.starts_with('-') && !text.ends_with('-'), "must not begin or end with a hyphen");
    complaints
}

/// The number of a port.
pub(super) fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".to_owned()] }
}

/// An IP address.
pub(super) fn address(text: &str) -> Vec<String> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        Vec::new()
    } else {
        vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
    }
}

/// An address that means something else to everybody who reads it.
pub(super) fn special_address(text: &str, address: std::net::IpAddr) -> Vec<String> {
    use std::net::IpAddr::{V4, V6};
    let (link_local, to_the_link) = match address {
        V4(four) => (four.is_link_local(), four.octets()[..3] == [224, 0, 0]),
        V6(six) => (six.is_unicast_link_local(), six.octets()[0] == 0xff && six.octets()[1] & 0x0f == 2),
    };
    let unspecified = format!("may not be unspecified ({text})");
    let found = [
        (address.is_unspecified(), unspecified.as_str()),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (to_the_link, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ];
    found.into_iter().filter(|(holds, _)| *holds).map(|(_, detail)| detail.to_owned()).collect()
}

/// The name of an HTTP header.
pub(super) fn header_name(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return Vec::new();
    }
    let rule = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for \
                validation is '[-A-Za-z0-9]+')";
    vec![rule.to_owned()]
}

/// The name of an environment variable.
pub(super) fn env_name(text: &str) -> Vec<String> {
    let printable = |c: u8| (0x20..0x7f).contains(&c) && c != b'=';
    if !text.is_empty() && text.bytes().all(printable) {
        Vec::new()
    } else {
        vec![
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_takes_draw_no_complaint() {
        assert!(dns_label("a-1").is_empty());
        assert!(dns_subdomain("a.b-c.1").is_empty());
        assert!(dns_label_1035("a1").is_empty());
        assert!(label_value("").is_empty());
        assert!(label_value("A_b.c").is_empty());
        assert!(qualified("mcp.mcp.dev/smooth-operator").is_empty());
        assert!(port_name("mcp").is_empty());
    }

    #[test]
    fn a_service_name_must_begin_with_a_letter() {
        assert_eq!(dns_label_1035("1a"), [LABEL_1035]);
        assert!(dns_label("1a").is_empty());
    }

    #[test]
    fn an_empty_qualified_name_draws_two_complaints() {
        let complaints = qualified("");
        assert_eq!(complaints.len(), 2);
        assert_eq!(complaints[0], "name part must be non-empty");
    }

    #[test]
    fn a_name_may_be_too_long_and_misspelt_at_once() {
        let long = "A".repeat(64);
        assert_eq!(dns_label(&long).len(), 2);
    }

    #[test]
    fn a_subdomain_has_no_empty_part() {
        assert_eq!(dns_subdomain("a..b").len(), 1);
        assert_eq!(dns_subdomain(".a").len(), 1);
    }
}
