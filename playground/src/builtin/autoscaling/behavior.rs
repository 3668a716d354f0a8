//! How fast an autoscaler may go up and down.
//!
//! Rules for one direction bring rules for the other: once a behavior is given at all, both directions are filled in,
//! so that who reads it back sees everything that holds.

use serde_json::{Value, json};

use super::super::amounts::{self, parse};
use super::super::field::{Causes, child, default as fill, int, list, text};

/// How long past recommendations may count at most.
const LONGEST_WINDOW: i64 = 3600;
/// How long a policy may look back at most.
const LONGEST_PERIOD: i64 = 1800;

/// Fills in a behavior.
pub(super) fn default(behavior: &mut Value) {
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    if let Some(up) = child(behavior, "scaleUp") {
        fill(up, "stabilizationWindowSeconds", 0);
        default_rules(up, json!([pods, percent]));
    }
    if let Some(down) = child(behavior, "scaleDown") {
        default_rules(down, json!([percent]));
    }
}

fn default_rules(rules: &mut Value, policies: Value) {
    fill(rules, "selectPolicy", "Max");
    fill(rules, "policies", policies);
    amounts::canonicalize_some(rules, &["tolerance"]);
}

/// Checks a behavior.
pub(super) fn validate(behavior: &Value, path: &str, causes: &mut Causes) {
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = behavior.get(direction) {
            validate_rules(rules, &format!("{path}.{direction}"), causes);
        }
    }
}

fn validate_rules(rules: &Value, path: &str, causes: &mut Causes) {
    let window = int(rules, "stabilizationWindowSeconds").unwrap_or(0);
    let field = format!("{path}.stabilizationWindowSeconds");
    if window < 0 {
        causes.invalid(&field, &json!(window), "must be greater than or equal to zero");
    }
    if window > LONGEST_WINDOW {
        causes.invalid(&field, &json!(window), &format!("must be less than or equal to {LONGEST_WINDOW}"));
    }
    let (select, known) = (text(rules, "selectPolicy"), ["Disabled", "Max", "Min"]);
    if rules.get("selectPolicy").is_some() && !known.contains(&select) {
        causes.not_supported(&format!("{path}.selectPolicy"), select, &known);
    }
    for (at, policy) in list(rules, "policies").iter().enumerate() {
        validate_policy(policy, &format!("{path}.policies[{at}]"), causes);
    }
    if let Some(tolerance) = rules.get("tolerance").and_then(parse).filter(|tolerance| tolerance.nanos() < 0) {
        let detail = "must be greater than or equal to 0";
        causes.invalid_text(&format!("{path}.tolerance"), &tolerance.canonical(), detail);
    }
}

fn validate_policy(policy: &Value, path: &str, causes: &mut Causes) {
    let (kind, known) = (text(policy, "type"), ["Percent", "Pods"]);
    if !known.contains(&kind) {
        causes.not_supported(&format!("{path}.type"), kind, &known);
    }
    for key in ["value", "periodSeconds"] {
        let amount = int(policy, key).unwrap_or(0);
        if amount <= 0 {
            causes.invalid(&format!("{path}.{key}"), &json!(amount), "must be greater than zero");
        }
        if key == "periodSeconds" && amount > LONGEST_PERIOD {
            let detail = format!("must be less than or equal to {LONGEST_PERIOD}");
            causes.invalid(&format!("{path}.{key}"), &json!(amount), &detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::field::found;
    use super::*;

    #[track_caller]
    fn draws(rules: &Value, expected: &[&str]) {
        for direction in ["scaleUp", "scaleDown"] {
            let expected: Vec<_> = expected.iter().map(|fault| format!("b.{direction}.{fault}")).collect();
            assert_eq!(found(|causes| validate(&json!({direction: rules}), "b", causes)), expected);
        }
    }

    #[test]
    fn a_window_is_at_most_an_hour() {
        draws(&json!({"stabilizationWindowSeconds": 3600, "selectPolicy": "Disabled", "tolerance": "0"}), &[]);
        draws(
            &json!({"stabilizationWindowSeconds": 3601, "selectPolicy": "Mean", "tolerance": "-0.1"}),
            &[
                "stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
                "selectPolicy: Unsupported value: \"Mean\": supported values: \"Disabled\", \"Max\", \"Min\"",
                "tolerance: Invalid value: \"-100m\": must be greater than or equal to 0",
            ],
        );
        let negative = "stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero";
        draws(&json!({"stabilizationWindowSeconds": -1}), &[negative]);
    }

    #[test]
    fn a_policy_says_how_many_in_how_long() {
        let of = |policy: Value| json!({"policies": [policy]});
        draws(&of(json!({"type": "Pods", "value": 1, "periodSeconds": 1800})), &[]);
        draws(
            &of(json!({"type": "All", "value": 0, "periodSeconds": 1801})),
            &[
                "policies[0].type: Unsupported value: \"All\": supported values: \"Percent\", \"Pods\"",
                "policies[0].value: Invalid value: 0: must be greater than zero",
                "policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            ],
        );
        let timeless = "policies[0].periodSeconds: Invalid value: 0: must be greater than zero";
        draws(&of(json!({"type": "Percent", "value": 1})), &[timeless]);
    }
}
