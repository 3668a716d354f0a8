//! Roles and bindings: what may be stored. What they allow is decided in `auth`.
//!
//! A role is a list of rules, each of which names either resources or paths, never both. A binding gives one role to some
//! subjects, and its `roleRef` is for life: to point it elsewhere would give people other rights without their being named.

use serde_json::{Value, json};

use super::field::{Causes, default as fill, list, list_mut, struct_json, text};
use super::names;

const GROUP: &str = "rbac.authorization.k8s.io";
/// The fields of a RoleRef as Go has them inside of the server, where they bear no JSON names.
const ROLE_REF: [(&str, &str); 3] = [("apiGroup", "APIGroup"), ("kind", "Kind"), ("name", "Name")];

/// Fills in a role or a binding.
pub(super) fn default(resource: &str, new: &mut Value) {
    if resource.starts_with("roles.") || resource.starts_with("clusterroles.") {
        return fill(new, "rules", Value::Null);
    }
    if new["roleRef"].is_object() {
        fill(&mut new["roleRef"], "apiGroup", GROUP);
    }
    for subject in list_mut(new, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            fill(subject, "apiGroup", GROUP);
        }
    }
}

/// Checks a role or a binding.
pub(super) fn validate(resource: &str, new: &Value, old: Option<&Value>, causes: &mut Causes) {
    let name = text(&new["metadata"], "name");
    causes.complaints("metadata.name", name, &names::path_segment(name));
    let namespaced = !resource.starts_with("cluster");
    if resource.starts_with("roles.") || resource.starts_with("clusterroles.") {
        if new.get("aggregationRule").is_some_and(|rule| list(rule, "clusterRoleSelectors").is_empty()) {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            causes.required("aggregationRule.clusterRoleSelectors", detail);
        }
        for (index, rule) in list(new, "rules").iter().enumerate() {
            validate_rule(rule, namespaced, &format!("rules[{index}]"), causes);
        }
        return;
    }
    validate_role_ref(&new["roleRef"], namespaced, causes);
    for (index, subject) in list(new, "subjects").iter().enumerate() {
        validate_subject(subject, namespaced, &format!("subjects[{index}]"), causes);
    }
    if let Some(old) = old
        && ROLE_REF.iter().any(|(key, _)| text(&old["roleRef"], key) != text(&new["roleRef"], key))
    {
        let inside: Value = ROLE_REF.iter().map(|(key, name)| (*name, text(&new["roleRef"], key))).collect();
        let json = struct_json(&inside, &ROLE_REF.map(|(_, name)| name));
        causes.invalid_json("roleRef", &json, "cannot change roleRef");
    }
}

fn validate_rule(rule: &Value, namespaced: bool, path: &str, causes: &mut Causes) {
    let given = |key: &str| !list(rule, key).is_empty();
    if !given("verbs") {
        causes.required(&format!("{path}.verbs"), "verbs must contain at least one value");
    }
    if given("nonResourceURLs") {
        let field = format!("{path}.nonResourceURLs");
        if namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            causes.invalid(&field, &rule["nonResourceURLs"], detail);
        }
        if given("apiGroups") || given("resources") || given("resourceNames") {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            causes.invalid(&field, &rule["nonResourceURLs"], detail);
        }
        return;
    }
    if !given("apiGroups") {
        causes.required(&format!("{path}.apiGroups"), "resource rules must supply at least one api group");
    }
    if !given("resources") {
        causes.required(&format!("{path}.resources"), "resource rules must supply at least one resource");
    }
}

fn validate_role_ref(role: &Value, namespaced: bool, causes: &mut Causes) {
    let (group, kind, name) = (text(role, "apiGroup"), text(role, "kind"), text(role, "name"));
    if group != GROUP {
        causes.not_supported("roleRef.apiGroup", group, &[GROUP]);
    }
    let kinds: &[&str] = if namespaced { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind) {
        causes.not_supported("roleRef.kind", kind, kinds);
    }
    if name.is_empty() {
        causes.required("roleRef.name", "");
    }
    causes.complaints("roleRef.name", name, &names::path_segment(name));
}

fn validate_subject(subject: &Value, namespaced: bool, path: &str, causes: &mut Causes) {
    let (kind, name, group) = (text(subject, "kind"), text(subject, "name"), text(subject, "apiGroup"));
    let field = |key: &str| format!("{path}.{key}");
    if name.is_empty() {
        causes.required(&field("name"), "");
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                causes.complaints(&field("name"), name, &names::dns_subdomain(name));
            }
            if !group.is_empty() {
                causes.not_supported(&field("apiGroup"), group, &[""]);
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                causes.required(&field("namespace"), "");
            }
        }
        "User" | "Group" => {
            if name.is_empty() {
                causes.invalid(&field("name"), &json!(""), &format!("{} name cannot be empty", kind.to_lowercase()));
            }
            if group != GROUP {
                causes.not_supported(&field("apiGroup"), group, &[GROUP]);
            }
        }
        other => causes.not_supported(&field("kind"), other, &["Group", "ServiceAccount", "User"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Cause;

    fn faults(resource: &str, mut new: Value, old: Option<&Value>) -> Vec<String> {
        new["metadata"]["name"] = "x".into();
        default(resource, &mut new);
        let mut causes = Causes::default();
        validate(resource, &new, old, &mut causes);
        let causes = causes.into_result().err().unwrap_or_default();
        causes.into_iter().map(|Cause { field, message, .. }| format!("{field}: {message}")).collect()
    }

    #[test]
    fn a_rule_names_verbs_and_either_resources_or_paths() {
        let rules = json!({"rules": [
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
            {},
            {"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"]},
        ]});
        let expected = [
            "rules[1].verbs: Required value: verbs must contain at least one value",
            "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[1].resources: Required value: resource rules must supply at least one resource",
            "rules[2].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and \
             non-resource URLs",
        ];
        assert_eq!(faults("clusterroles.rbac.authorization.k8s.io", rules.clone(), None), expected);
        let of_role = faults("roles.rbac.authorization.k8s.io", rules, None);
        assert!(of_role[3].ends_with("namespaced rules cannot apply to non-resource URLs"), "{of_role:?}");
    }

    #[test]
    fn a_binding_points_to_one_role_for_life() {
        let binding = |name: &str| json!({"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}});
        let old = binding("view");
        assert!(faults("rolebindings.rbac.authorization.k8s.io", binding("view"), Some(&old)).is_empty());
        let expected = "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"ClusterRole\",\
                        \"Name\":\"edit\"}: cannot change roleRef";
        assert_eq!(faults("rolebindings.rbac.authorization.k8s.io", binding("edit"), Some(&old)), [expected]);
    }

    #[test]
    fn a_subject_is_a_user_a_group_or_a_service_account_with_a_namespace() {
        let subjects = json!([
            {"kind": "User", "name": "a"},
            {"kind": "ServiceAccount", "name": "a"},
            {"kind": "Robot", "name": "a"},
        ]);
        let binding = json!({"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": subjects});
        let expected = [
            "subjects[1].namespace: Required value",
            "subjects[2].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
        ];
        assert_eq!(faults("clusterrolebindings.rbac.authorization.k8s.io", binding, None), expected);
    }
}
