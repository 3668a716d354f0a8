//! LimitRanges: what a pod, a container or a claim may ask for, and what it asks for if it says nothing.
//!
//! ```text
//!   min <= defaultRequest <= default <= max          max / min >= maxLimitRequestRatio >= 1
//! ```
//!
//! Any of the five may be missing. They are filled in and checked here and held against nobody: pods are admitted
//! without.

use std::collections::BTreeSet;

use serde_json::Value;

use super::amounts::{self, parse};
use super::field::{Causes, child, default as fill, entries, list, list_mut, text};
use super::names;
use super::quantity::Quantity;

const BOUNDS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// Fills in a LimitRange: who names a maximum has named the default, who names that has named the request.
pub(super) fn default(range: &mut Value) {
    let Some(spec) = child(range, "spec") else { return };
    for item in list_mut(spec, "limits").iter_mut() {
        for bound in BOUNDS {
            if let Some(amounts) = item.get_mut(bound) {
                amounts::canonicalize(amounts);
            }
        }
        if text(item, "type") != "Container" {
            continue;
        }
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

/// Checks a LimitRange.
pub(super) fn validate(range: &Value, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (at, item) in list(&range["spec"], "limits").iter().enumerate() {
        let path = format!("spec.limits[{at}]");
        let kind = text(item, "type");
        validate_type(kind, &format!("{path}.type"), causes);
        if !seen.insert(kind) {
            causes.duplicate(&format!("{path}.type"), kind);
        }
        let counts = |bound: &&str| kind != "Pod" || !bound.starts_with("default");
        for bound in BOUNDS {
            if !counts(&bound) && entries(item, bound).next().is_some() {
                causes.forbidden(&format!("{path}.{bound}"), "may not be specified when `type` is 'Pod'");
            }
            if bound == "maxLimitRequestRatio" && kind == "PersistentVolumeClaim" {
                validate_claim(item, &path, causes);
            }
            if counts(&bound) {
                validate_names(item, bound, kind, &format!("{path}.{bound}"), causes);
            }
        }
        let names: BTreeSet<&String> =
            BOUNDS.into_iter().filter(counts).flat_map(|bound| entries(item, bound).map(|(name, _)| name)).collect();
        for name in names {
            let of = |bound: &str| counts(&bound).then(|| parse(item.get(bound)?.get(name)?)).flatten();
            validate_order(&Amounts::read(of), name, &path, causes);
        }
    }
}

fn validate_type(kind: &str, field: &str, causes: &mut Causes) {
    let complaints = names::qualified(kind);
    causes.complaints(field, kind, &complaints);
    let known = kind.contains('/') || ["Container", "PersistentVolumeClaim", "Pod"].contains(&kind);
    if complaints.is_empty() && !known {
        causes.invalid_text(field, kind, "must be a standard limit type or fully qualified");
    }
}

fn validate_names(item: &Value, bound: &str, kind: &str, path: &str, causes: &mut Causes) {
    for (name, _) in entries(item, bound) {
        let field = format!("{path}[{name}]");
        match kind {
            "Pod" | "Container" => amounts::validate_name(name, &field, causes),
            _ => amounts::validate_any_name(name, &field, causes),
        }
    }
}

fn validate_claim(item: &Value, path: &str, causes: &mut Causes) {
    if ["min", "max"].iter().all(|bound| item[*bound].get("storage").is_none()) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        causes.required(&format!("{path}.limits"), detail);
    }
}

/// What is said of one resource.
struct Amounts {
    min: Option<Quantity>,
    max: Option<Quantity>,
    limit: Option<Quantity>,
    request: Option<Quantity>,
    ratio: Option<Quantity>,
}

impl Amounts {
    fn read(of: impl Fn(&str) -> Option<Quantity>) -> Self {
        let [max, min, limit, request, ratio] = BOUNDS.map(of);
        Self { min, max, limit, request, ratio }
    }
}

fn validate_order(amounts: &Amounts, name: &str, path: &str, causes: &mut Causes) {
    let Amounts { min, max, limit, request, ratio } = *amounts;
    let mut ordered = |low: (&str, Option<Quantity>), high: (&str, Option<Quantity>), at: &str, shown: Shown| {
        let ((low_name, Some(low)), (high_name, Some(high))) = (low, high) else { return };
        if low.nanos() > high.nanos() {
            let (low, high) = (low.canonical(), high.canonical());
            let value = if shown == Shown::Low { &low } else { &high };
            let detail = format!("{low_name} value {low} is greater than {high_name} value {high}");
            causes.invalid_text(&format!("{path}.{at}[{name}]"), value, &detail);
        }
    };
    ordered(("min", min), ("max", max), "min", Shown::Low);
    ordered(("min", min), ("default request", request), "defaultRequest", Shown::High);
    ordered(("default request", request), ("max", max), "defaultRequest", Shown::Low);
    ordered(("default request", request), ("default limit", limit), "defaultRequest", Shown::Low);
    ordered(("min", min), ("default", limit), "default", Shown::Low);
    ordered(("default", limit), ("max", max), "default", Shown::High);
    if let Some(ratio) = ratio {
        validate_ratio(ratio, min.zip(max), &format!("{path}.maxLimitRequestRatio[{name}]"), causes);
    }
    if let (false, Some(limit), Some(request)) = (amounts::can_be_shared_out(name), limit, request)
        && limit.nanos() != request.nanos()
    {
        let (limit, request) = (limit.canonical(), request.canonical());
        let detail = format!("default value {limit} must equal to defaultRequest value {request} in {name}");
        causes.invalid_text(&format!("{path}.defaultRequest[{name}]"), &request, &detail);
    }
}

/// Which of two amounts Kubernetes shows as the wrong one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Low,
    High,
}

fn validate_ratio(ratio: Quantity, bounds: Option<(Quantity, Quantity)>, field: &str, causes: &mut Causes) {
    let text = ratio.canonical();
    if ratio.nanos() < Quantity::ONE.nanos() {
        causes.invalid_text(field, &text, &format!("ratio {text} is less than 1"));
    }
    let Some((min, max)) = bounds.map(|(min, max)| (min.millis(), max.millis())).filter(|(min, _)| *min > 0) else {
        return;
    };
    if ratio.millis() * min > max * 1000 {
        // As `%f` prints max / min.
        let millionths = (2_000_000 * max + min) / (2 * min);
        let (whole, part) = (millionths / 1_000_000, millionths % 1_000_000);
        let detail = format!("ratio {text} is greater than max/min = {whole}.{part:06}");
        causes.invalid_text(field, &text, &detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::field::found;
    use super::*;

    fn faults(limits: &Value) -> Vec<String> {
        found(|causes| validate(&json!({"spec": {"limits": limits}}), causes))
    }

    #[test]
    fn a_limit_range_fills_its_defaults_from_its_bounds() {
        let limits = json!([{"type": "Container", "max": {"cpu": "2000m"}, "min": {"memory": "1Mi"}},
            {"type": "Pod", "max": {"cpu": 2}}]);
        let mut range = json!({"spec": {"limits": limits}});
        default(&mut range);
        let items = &range["spec"]["limits"];
        assert_eq!(items[0]["default"], json!({"cpu": "2"}));
        assert_eq!(items[0]["defaultRequest"], json!({"cpu": "2", "memory": "1Mi"}));
        assert_eq!(items[1], json!({"type": "Pod", "max": {"cpu": "2"}}));
    }

    #[test]
    fn a_limit_is_of_a_known_type_which_comes_once() {
        assert!(faults(&json!([{"type": "Pod"}, {"type": "Container"}, {"type": "example.com/Box"}])).is_empty());
        let unknown = "spec.limits[0].type: Invalid value: \"Box\": must be a standard limit type or fully qualified";
        assert_eq!(faults(&json!([{"type": "Box"}])), [unknown]);
        let nameless = faults(&json!([{}]));
        assert_eq!(nameless[0], "spec.limits[0].type: Invalid value: \"\": name part must be non-empty");
        let twice = faults(&json!([{"type": "Pod"}, {"type": "Pod"}]));
        assert_eq!(twice, ["spec.limits[1].type: Duplicate value: \"Pod\""]);
    }

    #[test]
    fn containers_and_pods_ask_for_what_containers_ask_for() {
        for (kind, bound) in [
            ("Pod", "max"),
            ("Pod", "min"),
            ("Container", "default"),
            ("Container", "defaultRequest"),
            ("Container", "maxLimitRequestRatio"),
        ] {
            let fault = format!(
                "spec.limits[0].{bound}[pods]: Invalid value: \"pods\": must be a standard resource for containers"
            );
            assert_eq!(faults(&json!([{"type": kind, bound: {"pods": "1"}}])), [fault]);
        }
        let claim = json!([{"type": "PersistentVolumeClaim", "max": {"storage": "1", "pods": "1"}}]);
        assert!(faults(&claim).is_empty());
        let claim = json!([{"type": "PersistentVolumeClaim", "max": {"gold": "1"}, "min": {"storage": "1"}}]);
        let fault =
            "spec.limits[0].max[gold]: Invalid value: \"gold\": must be a standard resource type or fully qualified";
        assert_eq!(faults(&claim), [fault]);
        let bare = json!([{"type": "PersistentVolumeClaim"}]);
        assert_eq!(
            faults(&bare),
            [
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was \
             provided"
            ]
        );
    }

    #[test]
    fn a_pod_has_no_defaults() {
        for bound in ["default", "defaultRequest"] {
            let fault = format!("spec.limits[0].{bound}: Forbidden: may not be specified when `type` is 'Pod'");
            assert_eq!(faults(&json!([{"type": "Pod", bound: {"cpu": "1"}, "min": {"cpu": "2"}}])), [fault]);
        }
    }

    #[test]
    fn bounds_are_in_order() {
        for (low, high, fault) in [
            ("min", "max", "min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"),
            (
                "min",
                "defaultRequest",
                "defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default \
              request value 1",
            ),
            (
                "defaultRequest",
                "max",
                "defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater \
              than max value 1",
            ),
            (
                "defaultRequest",
                "default",
                "defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater \
              than default limit value 1",
            ),
            ("min", "default", "default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1"),
            ("default", "max", "default[cpu]: Invalid value: \"1\": default value 2 is greater than max value 1"),
        ] {
            let of = |least: &str, most: &str| {
                faults(&json!([{"type": "Container", low: {"cpu": least}, high: {"cpu": most}}]))
            };
            assert!(of("1", "1").is_empty(), "{fault}");
            assert_eq!(of("2", "1"), [format!("spec.limits[0].{fault}")]);
        }
    }

    #[test]
    fn a_ratio_is_at_least_one_and_within_the_bounds() {
        let of = |ratio: &str, min: &str, max: &str| {
            let item = json!({"type": "Pod", "min": {"cpu": min}, "max": {"cpu": max},
                "maxLimitRequestRatio": {"cpu": ratio}});
            faults(&json!([item]))
        };
        assert!(of("2", "1", "2").is_empty());
        let path = "spec.limits[0].maxLimitRequestRatio[cpu]";
        assert_eq!(of("500m", "1", "2"), [format!("{path}: Invalid value: \"500m\": ratio 500m is less than 1")]);
        assert_eq!(
            of("2", "300m", "500m"),
            [format!("{path}: Invalid value: \"2\": ratio 2 is greater than max/min = 1.666667")]
        );
        assert!(of("2", "0", "2").is_empty());
    }

    #[test]
    fn of_what_can_not_be_shared_out_the_request_is_the_limit() {
        let of = |request: &str| {
            let name = "example.com/gpu";
            faults(&json!([{"type": "Container", "default": {name: "2"}, "defaultRequest": {name: request}}]))
        };
        assert!(of("2").is_empty());
        assert_eq!(
            of("1"),
            ["spec.limits[0].defaultRequest[example.com/gpu]: Invalid value: \"1\": default value 2 must equal to \
             defaultRequest value 1 in example.com/gpu"]
        );
    }
}
