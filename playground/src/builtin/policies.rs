//! Kinds that say how others may live: budgets, network policies, limits, priorities, webhooks.
//!
//! Nothing here enforces them; counts are held to quotas in [`crate::cluster`], and webhooks are called in
//! [`crate::webhooks`]. They are stored with their defaults, and what could not be stored by Kubernetes is refused
//! with its words.

use serde_json::{Value, json};

use super::field::{Causes, child, default as fill, entries, int, list, list_mut, text};
use super::quantity::Quantity;

/// What a person may give a PriorityClass at most; what is above is the system's own.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

/// Fills in a NetworkPolicy: it is about what comes in, and about what goes out if it speaks of that.
pub(super) fn default_network(policy: &mut Value) {
    if let Some(spec) = child(policy, "spec") {
        let egress = !list(spec, "egress").is_empty();
        fill(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
}

/// Fills in a PriorityClass.
pub(super) fn default_priority(class: &mut Value) {
    fill(class, "preemptionPolicy", "PreemptLowerPriority");
}

/// Fills in a LimitRange: who names a maximum has named the default, who names that has named the request.
pub(super) fn default_limits(range: &mut Value) {
    let Some(spec) = child(range, "spec") else { return };
    for item in list_mut(spec, "limits").iter_mut().filter(|item| text(item, "type") == "Container") {
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let known: Vec<(String, Value)> =
                entries(item, from).map(|(name, amount)| (name.clone(), amount.clone())).collect();
            if let (false, Some(target)) = (known.is_empty(), child(item, to)) {
                for (name, amount) in known {
                    fill(target, &name, amount);
                }
            }
        }
    }
}

/// Checks a PodDisruptionBudget.
pub(super) fn validate_budget(budget: &Value, causes: &mut Causes) {
    let spec = &budget["spec"];
    if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
        causes.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for key in ["minAvailable", "maxUnavailable"] {
        let field = format!("spec.{key}");
        causes.non_negative(&field, int(spec, key));
        if let Some(share) = spec.get(key).and_then(Value::as_str) {
            match share.strip_suffix('%').map(str::parse::<u32>) {
                Some(Ok(0..=100)) => {}
                Some(Ok(_)) => causes.invalid_text(&field, share, "must not be greater than 100%"),
                _ => causes.invalid_text(
                    &field,
                    share,
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                     '93%', regex used for validation is '[0-9]+%')",
                ),
            }
        }
    }
}

/// Checks a PriorityClass.
pub(super) fn validate_priority(class: &Value, old: Option<&Value>, causes: &mut Causes) {
    let value = int(class, "value").unwrap_or(0);
    let of_the_system = text(&class["metadata"], "name").starts_with("system-");
    match old {
        None if of_the_system => {
            let detail = "priority class names with 'system-' prefix are reserved for system use only";
            causes.forbidden("metadata.name", detail);
        }
        None if value > HIGHEST_PRIORITY => {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
            causes.forbidden("value", &detail);
        }
        None => {}
        Some(old) => {
            if int(old, "value").unwrap_or(0) != value {
                causes.forbidden("value", "may not be changed in an update.");
            }
            if old.get("preemptionPolicy") != class.get("preemptionPolicy") {
                causes.invalid_text("preemptionPolicy", text(class, "preemptionPolicy"), "field is immutable");
            }
        }
    }
    let policies = ["Never", "PreemptLowerPriority"];
    if !policies.contains(&text(class, "preemptionPolicy")) {
        causes.not_supported("preemptionPolicy", text(class, "preemptionPolicy"), &policies);
    }
}

/// Checks a ResourceQuota.
pub(super) fn validate_quota(quota: &Value, causes: &mut Causes) {
    for (name, amount) in entries(&quota["spec"], "hard") {
        if below_zero(amount) {
            causes.invalid(&format!("spec.hard[{name}]"), amount, "must be greater than or equal to 0");
        }
    }
}

fn below_zero(amount: &Value) -> bool {
    amount.as_str().and_then(Quantity::parse).is_some_and(|quantity| quantity.nanos() < 0)
}

/// Checks a LimitRange.
pub(super) fn validate_limits(range: &Value, causes: &mut Causes) {
    let amount = |item: &Value, kind: &str, name: &str| item[kind][name].as_str().and_then(Quantity::parse);
    for (at, item) in list(&range["spec"], "limits").iter().enumerate() {
        let path = format!("spec.limits[{at}]");
        if text(item, "type").is_empty() {
            causes.required(&format!("{path}.type"), "");
        }
        for (name, least) in entries(item, "min") {
            if let (Some(min), Some(max)) = (amount(item, "min", name), amount(item, "max", name))
                && min.nanos() > max.nanos()
            {
                let (least, most) = (least.as_str().unwrap_or_default(), text(&item["max"], name));
                let detail = format!("min value {least} is greater than max value {most}");
                causes.invalid_text(&format!("{path}.min[{name}]"), least, &detail);
            }
        }
    }
}

/// Checks the webhooks of a configuration.
pub(super) fn validate_webhooks(configuration: &Value, causes: &mut Causes) {
    let effects = ["None", "NoneOnDryRun"];
    for (at, hook) in list(configuration, "webhooks").iter().enumerate() {
        let path = format!("webhooks[{at}]");
        let name = text(hook, "name");
        if name.is_empty() {
            causes.required(&format!("{path}.name"), "");
        } else if name.split('.').filter(|part| !part.is_empty()).count() < 3 {
            let detail = "should be a domain with at least three segments separated by dots";
            causes.invalid_text(&format!("{path}.name"), name, detail);
        }
        if list(hook, "admissionReviewVersions").is_empty() {
            let detail = "must specify one of v1, v1beta1";
            causes.required(&format!("{path}.admissionReviewVersions"), detail);
        }
        match text(hook, "sideEffects") {
            "" => causes.required(&format!("{path}.sideEffects"), "must specify one of None, NoneOnDryRun"),
            effect if effects.contains(&effect) => {}
            effect => causes.not_supported(&format!("{path}.sideEffects"), effect, &effects),
        }
        let client = &hook["clientConfig"];
        if client["url"].is_string() == client["service"].is_object() {
            causes.required(&format!("{path}.clientConfig"), "exactly one of url or service is required");
        }
        if let Some(url) = client["url"].as_str() {
            validate_url(url, &format!("{path}.clientConfig.url"), causes);
        }
    }
}

/// As `apiserver/pkg/util/webhook/validation.go` has it.
fn validate_url(url: &str, field: &str, causes: &mut Causes) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        causes.invalid_text(field, scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if rest.split('/').next().is_none_or(str::is_empty) {
        causes.invalid_text(field, "", &format!("host must be specified{FORM}"));
    }
    if rest.contains('#') {
        causes.invalid_text(field, url, "fragments are not permitted in the URL");
    } else if let Some((_, query)) = rest.split_once('?') {
        causes.invalid_text(field, query, "query parameters are not permitted in the URL");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: impl FnOnce(&mut Causes)) -> Vec<String> {
        let mut causes = Causes::default();
        check(&mut causes);
        let found = causes.into_result().err().unwrap_or_default();
        found.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn a_budget_names_one_bound_and_a_share_is_a_share() {
        let budget = |spec: Value| found(|causes| validate_budget(&json!({"spec": spec}), causes));
        assert!(budget(json!({"minAvailable": 1})).is_empty());
        assert!(budget(json!({"maxUnavailable": "25%"})).is_empty());
        assert!(budget(json!({"minAvailable": 1, "maxUnavailable": 1}))[0].contains("cannot be both set"));
        assert!(budget(json!({"minAvailable": "101%"}))[0].contains("must not be greater than 100%"));
        assert!(budget(json!({"minAvailable": "many"}))[0].contains("a valid percent string"));
    }

    #[test]
    fn a_priority_stays_what_it_was_made() {
        let class = |value: i64| json!({"metadata": {"name": "p"}, "value": value, "preemptionPolicy": "Never"});
        assert!(found(|causes| validate_priority(&class(1), None, causes)).is_empty());
        assert_eq!(
            found(|causes| validate_priority(&class(2_000_000_000), None, causes)),
            ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
        );
        assert_eq!(
            found(|causes| validate_priority(&class(2), Some(&class(1)), causes)),
            ["value: Forbidden: may not be changed in an update."]
        );
    }

    #[test]
    fn a_limit_range_fills_its_defaults_from_its_bounds() {
        let limits = json!([{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]);
        let mut range = json!({"spec": {"limits": limits}});
        default_limits(&mut range);
        let item = &range["spec"]["limits"][0];
        assert_eq!(item["default"], json!({"cpu": "2"}));
        assert_eq!(item["defaultRequest"], json!({"cpu": "2", "memory": "1Mi"}));
        let bounds = json!([{"max": {"cpu": "1"}, "min": {"cpu": "2"}}]);
        let faults = found(|causes| validate_limits(&json!({"spec": {"limits": bounds}}), causes));
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn a_webhook_says_where_it_is_and_what_it_does() {
        let good = json!({"name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": "https://x"}});
        let check = |hook: &Value| found(|causes| validate_webhooks(&json!({"webhooks": [hook]}), causes));
        assert!(check(&good).is_empty());
        assert_eq!(check(&json!({"name": "a"})).len(), 4);
        let mut plain = good.clone();
        plain["clientConfig"]["url"] = "http://x".into();
        let why = "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired \
                   format: https://host[/path]";
        assert_eq!(check(&plain), [why]);
    }

    #[test]
    fn a_network_policy_is_about_what_it_speaks_of() {
        for (spec, types) in [(json!({}), json!(["Ingress"])), (json!({"egress": [{}]}), json!(["Ingress", "Egress"]))]
        {
            let mut policy = json!({"spec": spec});
            default_network(&mut policy);
            assert_eq!(policy["spec"]["policyTypes"], types);
        }
    }
}
