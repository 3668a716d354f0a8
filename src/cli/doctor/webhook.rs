//! Can the validating webhook be reached, if there is one?
//!
//! The operator works without: the CRD's own rules refuse what is invalid. But a webhook that is installed and can't be
//! reached refuses *everything*, with a message that names neither the cause nor the remedy. So a configuration that
//! speaks of MCPServers has to know its certificate authority, and its Service has to lead to somebody.

use serde_json::Value;

use super::finding::Finding;
use super::unable;
use crate::api::MCPSERVERS;
use crate::client::{Client, ListParams, Request};
use crate::object::Resource;

/// What is examined.
pub const WHAT: &str = "webhook";
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const SLICES: Resource =
    Resource { group: "discovery.k8s.io", version: "v1", plural: "endpointslices", kind: "EndpointSlice" };
/// More webhooks than this for one kind are not examined.
const MOST: usize = 10;

/// Examines every webhook that is asked about MCPServers.
pub(super) async fn examine(client: &Client) -> Vec<Finding> {
    let configurations = match client.send::<Value>(Request::get_path(CONFIGURATIONS)).await {
        Ok(configurations) => configurations,
        Err(error) => {
            let needs = "list validatingwebhookconfigurations.admissionregistration.k8s.io";
            return vec![unable(WHAT, &error, needs)];
        }
    };
    let mut findings = Vec::new();
    for webhook in ours(&configurations).into_iter().take(MOST) {
        findings.push(reach(client, &webhook).await);
    }
    if findings.is_empty() {
        findings.push(Finding::ok(WHAT, "not installed (it is optional)"));
    }
    findings
}

/// A webhook that is asked about MCPServers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Webhook {
    name: String,
    /// The namespace and name of its Service; `None` if it is outside of the cluster.
    service: Option<(String, String)>,
    has_authority: bool,
}

fn ours(configurations: &Value) -> Vec<Webhook> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let speaks_of_servers = |webhook: &Value| {
        list(&webhook["rules"]).iter().any(|rule| {
            let has = |field: &str, wanted: &str| {
                list(&rule[field]).iter().any(|it| it == wanted || (it == "*" && field == "resources"))
            };
            has("apiGroups", MCPSERVERS.group) && has("resources", MCPSERVERS.plural)
        })
    };
    let webhooks = list(&configurations["items"]).into_iter().flat_map(|configuration| {
        let of = text(&configuration["metadata"]["name"]);
        list(&configuration["webhooks"]).into_iter().map(move |webhook| (of.clone(), webhook))
    });
    let webhooks = webhooks.filter(|(_, webhook)| speaks_of_servers(webhook));
    webhooks.map(|(of, webhook)| read(&of, &webhook)).collect()
}

fn read(configuration: &str, webhook: &Value) -> Webhook {
    let (client, service) = (&webhook["clientConfig"], &webhook["clientConfig"]["service"]);
    Webhook {
        name: format!("{} of {configuration}", text(&webhook["name"])),
        service: service.is_object().then(|| (text(&service["namespace"]), text(&service["name"]))),
        has_authority: client["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn reach(client: &Client, webhook: &Webhook) -> Finding {
    // One with a URL may have a certificate that everybody knows.
    let Some((namespace, name)) = &webhook.service else {
        return Finding::ok(WHAT, format!("{} is outside of the cluster", webhook.name));
    };
    if !webhook.has_authority {
        let mend = "set caBundle in its clientConfig, or install the webhook again; until then every change of an MCPServer may be refused";
        return Finding::wrong(WHAT, &format!("{} has no caBundle", webhook.name), mend);
    }
    let slices = Request::list(&SLICES, Some(namespace), None, &ListParams { limit: 500, ..ListParams::default() });
    match client.send::<Value>(slices).await {
        Ok(slices) => lead(webhook, (namespace, name), &slices),
        Err(error) => unable(WHAT, &error, &format!("list endpointslices.discovery.k8s.io in namespace {namespace}")),
    }
}

/// Do the slices of the webhook's Service lead to anybody?
fn lead(webhook: &Webhook, (namespace, name): (&str, &str), slices: &Value) -> Finding {
    let of_service = |slice: &&Value| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name;
    // An endpoint that does not say is ready.
    let ready = |endpoint: &&Value| endpoint["conditions"]["ready"] != false;
    let slices = slices["items"].as_array().into_iter().flatten().filter(of_service);
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    match endpoints.filter(ready).count() {
        0 => {
            let found = format!("{}: no pod is ready behind the Service {namespace}/{name}", webhook.name);
            Finding::wrong(WHAT, &found, "start the operator that serves it, or delete the configuration")
        }
        some => Finding::ok(WHAT, format!("{}: {some} ready behind the Service {namespace}/{name}", webhook.name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Verdict;
    use super::*;

    fn configuration(resources: &Value, client: &Value) -> Value {
        let rule = json!({"apiGroups": ["mcp.mcp.dev"], "resources": resources});
        let webhook = json!({"name": "v.mcp.dev", "clientConfig": client, "rules": [rule]});
        json!({"items": [{"metadata": {"name": "policy"}, "webhooks": [webhook]}]})
    }

    #[test]
    fn only_what_is_asked_about_mcpservers_is_ours() {
        let client = json!({"caBundle": "Zm9v", "service": {"namespace": "ops", "name": "hook"}});
        for (resources, expected) in [(json!(["mcpservers"]), 1), (json!(["*"]), 1), (json!(["pods"]), 0)] {
            assert_eq!(ours(&configuration(&resources, &client)).len(), expected, "{resources}");
        }
        let found = ours(&configuration(&json!(["mcpservers"]), &client)).remove(0);
        let service = Some(("ops".to_owned(), "hook".to_owned()));
        assert_eq!(found, Webhook { name: "v.mcp.dev of policy".into(), service, has_authority: true });
        let bare = ours(&configuration(&json!(["mcpservers"]), &json!({"url": "https://x"}))).remove(0);
        assert_eq!((bare.service, bare.has_authority), (None, false));
    }

    #[test]
    fn a_service_that_leads_to_nobody_is_wrong() {
        let webhook = Webhook { name: "v of policy".into(), service: None, has_authority: true };
        let slices = |endpoints: Value, name: &str| json!({"items": [{"metadata": {"labels": {"kubernetes.io/service-name": name}}, "endpoints": endpoints}]});
        let found = |slices: Value| lead(&webhook, ("ops", "hook"), &slices);
        assert_eq!(found(slices(json!([{"conditions": {"ready": true}}, {}]), "hook")).verdict, Verdict::Ok);
        assert_eq!(found(slices(json!([{"conditions": {"ready": false}}]), "hook")).verdict, Verdict::Wrong);
        assert_eq!(found(slices(json!([{"conditions": {"ready": true}}]), "other")).verdict, Verdict::Wrong);
        assert_eq!(found(slices(Value::Null, "hook")).verdict, Verdict::Wrong);
    }
}
