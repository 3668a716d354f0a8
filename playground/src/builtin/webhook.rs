//! ValidatingWebhookConfigurations.

use serde_json::{Value, json};

use super::field::{default as fill, list_mut};

/// Fills in each webhook.
pub(super) fn default(configuration: &mut Value) {
    for hook in list_mut(configuration, "webhooks") {
        fill(hook, "failurePolicy", "Fail");
        fill(hook, "matchPolicy", "Equivalent");
        fill(hook, "namespaceSelector", json!({}));
        fill(hook, "objectSelector", json!({}));
        fill(hook, "timeoutSeconds", 10);
        for rule in list_mut(hook, "rules") {
            fill(rule, "scope", "*");
        }
        if let Some(service) = hook.pointer_mut("/clientConfig/service") {
            fill(service, "port", 443);
        }
    }
}
