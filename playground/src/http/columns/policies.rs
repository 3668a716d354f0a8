//! The columns of kinds that say how others may live, and where they are reached.

use serde_json::Value;

use super::{AGE, Printer, list, made, number, text_or_none};
use crate::resources::selector_text;

pub(super) const AUTOSCALER: &Printer = &[
    made("Reference", 0, "The object that is scaled.", |object, _| {
        let target = |key: &str| object["spec"]["scaleTargetRef"][key].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", target("kind"), target("name")).into()
    }),
    made("Targets", 0, "What is measured, and what it should be.", |object, _| targets(object).into()),
    made("MinPods", 0, "The lower bound.", |object, _| match &object["spec"]["minReplicas"] {
        Value::Null => "<unset>".into(),
        min => min.to_string().into(),
    }),
    made("MaxPods", 0, "The upper bound.", |object, _| number(&object["spec"]["maxReplicas"]).into()),
    made("Replicas", 0, "How many there are.", |object, _| number(&object["status"]["currentReplicas"]).into()),
    AGE,
];

/// Nothing is measured, so only what should be is known.
fn targets(autoscaler: &Value) -> String {
    let metrics = list(&autoscaler["spec"]["metrics"]).iter().map(|metric| {
        let kind = metric["type"].as_str().unwrap_or_default();
        let of = match kind {
            "Resource" => &metric["resource"],
            "ContainerResource" => &metric["containerResource"],
            "Pods" => &metric["pods"],
            "Object" => &metric["object"],
            "External" => &metric["external"],
            _ => return "<unknown type>".to_owned(),
        };
        let target = &of["target"];
        let amount = || ["averageValue", "value"].iter().find_map(|key| target[key].as_str()).unwrap_or("<auto>");
        let percent = target["averageUtilization"].as_i64().map(|percent| format!("{percent}%"));
        let wanted = percent.unwrap_or_else(|| amount().to_owned());
        match of["name"].as_str() {
            Some(name) => format!("{name}: <unknown>/{wanted}"),
            None => format!("<unknown>/{wanted}"),
        }
    });
    let all = metrics.collect::<Vec<_>>().join(", ");
    if all.is_empty() { "<none>".to_owned() } else { all }
}

pub(super) const BUDGET: &Printer = &[
    made("Min Available", 0, "The minimum number of pods that must be available.", |object, _| {
        amount(&object["spec"]["minAvailable"])
    }),
    made("Max Unavailable", 0, "The maximum number of pods that may be unavailable.", |object, _| {
        amount(&object["spec"]["maxUnavailable"])
    }),
    made("Allowed Disruptions", 0, "Calculated number of pods that may be disrupted at this time.", |object, _| {
        number(&object["status"]["disruptionsAllowed"]).into()
    }),
    AGE,
];

fn amount(value: &Value) -> Value {
    match value {
        Value::Null => "N/A".into(),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

pub(super) const QUOTA: &Printer = &[
    made(
        "Request",
        0,
        "Request represents a minimum amount of cpu/memory that a container may consume.",
        |object, _| used(object, |name| !name.starts_with("limits.")).into(),
    ),
    made("Limit", 0, "Limits control the maximum amount of cpu/memory that a container may use.", |object, _| {
        used(object, |name| name.starts_with("limits.")).into()
    }),
    AGE,
];

fn used(quota: &Value, wanted: impl Fn(&str) -> bool) -> String {
    let hard = quota["status"]["hard"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or("0").to_owned();
    let each = hard
        .filter(|(name, _)| wanted(name.as_str()))
        .map(|(name, hard)| format!("{name}: {}/{}", text(&quota["status"]["used"][name]), text(hard)));
    each.collect::<Vec<_>>().join(", ")
}

pub(super) const LIMIT_RANGE: &Printer =
    &[made("Created At", 0, "When it was made.", |object, _| object["metadata"]["creationTimestamp"].clone())];

pub(super) const NETWORK_POLICY: &Printer = &[
    made("Pod-Selector", 0, "The pods to which it applies.", |object, _| {
        let selector = selector_text(&object["spec"]["podSelector"]);
        if selector.is_empty() { "<none>".into() } else { selector.into() }
    }),
    AGE,
];

pub(super) const PRIORITY: &Printer = &[
    made("Value", 0, "The integer value of this priority class.", |object, _| number(&object["value"]).into()),
    made("Global-Default", 0, "Whether pods without a class are of this one.", |object, _| {
        (object["globalDefault"] == true).into()
    }),
    AGE,
    made("PreemptionPolicy", 0, "The policy for preempting pods with lower priority.", |object, _| {
        text_or_none(&object["preemptionPolicy"])
    }),
];

pub(super) const WEBHOOKS: &Printer = &[
    made("Webhooks", 0, "Webhooks indicates the number of webhooks defined in this configuration.", |object, _| {
        list(&object["webhooks"]).len().into()
    }),
    AGE,
];

pub(super) const ENDPOINT_SLICE: &Printer = &[
    made("AddressType", 0, "The type of address carried by this EndpointSlice.", |object, _| {
        object["addressType"].clone()
    }),
    made("Ports", 0, "The ports of each endpoint.", |object, _| {
        let ports = list(&object["ports"]).iter().map(|port| number(&port["port"]).to_string());
        some(&ports.collect::<Vec<_>>(), "<unset>").into()
    }),
    made("Endpoints", 0, "The endpoints themselves.", |object, _| {
        let addresses = list(&object["endpoints"]).iter().flat_map(|endpoint| list(&endpoint["addresses"]));
        let addresses = addresses.map(|address| address.as_str().unwrap_or_default().to_owned());
        some(&addresses.collect::<Vec<_>>(), "<unset>").into()
    }),
    AGE,
];

pub(super) const ENDPOINTS: &Printer = &[
    made("Endpoints", 0, "Where the Service is reached.", |object, _| {
        let each = list(&object["subsets"]).iter().flat_map(|subset| {
            list(&subset["addresses"]).iter().flat_map(|address| {
                let ip = address["ip"].as_str().unwrap_or_default();
                list(&subset["ports"]).iter().map(move |port| format!("{ip}:{}", number(&port["port"])))
            })
        });
        some(&each.collect::<Vec<_>>(), "<none>").into()
    }),
    AGE,
];

/// The first three, and how many more there are.
fn some(all: &[String], none: &str) -> String {
    match all.len() {
        0 => none.to_owned(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}
