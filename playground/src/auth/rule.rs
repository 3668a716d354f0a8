//! One rule of a role. Pure.
//!
//! A rule allows every combination of its verbs, groups, resources and names. That one rule covers another is decided on
//! single combinations: broken down so far, each is covered by one rule or by none
//! (`k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go`).

use std::fmt;

use serde_json::Value;

use super::{About, Attributes};

const ALL: &str = "*";

/// A `PolicyRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// What may be done; `*` is everything.
    pub verbs: Vec<String>,
    /// In which API groups; `*` is all, the empty text the core group.
    pub api_groups: Vec<String>,
    /// With which resources; `*` is all with all subresources, `*/scale` that subresource of all.
    pub resources: Vec<String>,
    /// With which objects; none named is all.
    pub resource_names: Vec<String>,
    /// Upon which paths; a `*` at the end stands for what follows.
    pub urls: Vec<String>,
}

impl Rule {
    /// Reads a rule; what is no list of texts counts as empty, and so allows nothing.
    pub fn parse(rule: &Value) -> Self {
        let texts = |key: &str| {
            let list = rule[key].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Self {
            verbs: texts("verbs"),
            api_groups: texts("apiGroups"),
            resources: texts("resources"),
            resource_names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    /// The rules of a role.
    pub fn all_of(role: &Value) -> Vec<Self> {
        role["rules"].as_array().into_iter().flatten().map(Self::parse).collect()
    }

    /// The rule as reviews show it.
    pub fn to_value(&self) -> Value {
        let Self { verbs, api_groups, resources, resource_names, urls } = self;
        let fields = [
            ("verbs", verbs),
            ("apiGroups", api_groups),
            ("resources", resources),
            ("resourceNames", resource_names),
            ("nonResourceURLs", urls),
        ];
        let given = fields.into_iter().filter(|(_, texts)| !texts.is_empty());
        given.map(|(key, texts)| (key, texts.as_slice())).collect()
    }

    /// Does it allow this?
    pub fn allows(&self, wanted: &Attributes) -> bool {
        has_or_all(&self.verbs, &wanted.verb)
            && match &wanted.about {
                About::Path(path) => self.urls.iter().any(|url| url_covers(url, path)),
                About::Resource(about) => {
                    has_or_all(&self.api_groups, &about.group)
                        && resource_covered(&self.resources, &about.qualified())
                        && (self.resource_names.is_empty() || has(&self.resource_names, &about.name))
                }
            }
    }

    /// The single combinations that the rule is made of.
    pub(super) fn parts(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    let part =
                        Self { verbs: one(verb), api_groups: one(group), resources: one(resource), ..Self::default() };
                    if self.resource_names.is_empty() {
                        parts.push(part.clone());
                    }
                    let named = self.resource_names.iter();
                    parts.extend(named.map(|name| Self { resource_names: one(name), ..part.clone() }));
                }
            }
            parts.extend(self.urls.iter().map(|url| Self { verbs: one(verb), urls: one(url), ..Self::default() }));
        }
        parts
    }

    /// Does it allow all that this one combination allows?
    pub(super) fn covers(&self, part: &Self) -> bool {
        part.verbs.iter().all(|verb| has_or_all(&self.verbs, verb))
            && part.api_groups.iter().all(|group| has_or_all(&self.api_groups, group))
            && part.resources.iter().all(|resource| resource_covered(&self.resources, resource))
            && part.urls.iter().all(|path| self.urls.iter().any(|url| url_covers(url, path)))
            && (self.resource_names.is_empty()
                || (!part.resource_names.is_empty()
                    && part.resource_names.iter().all(|name| has(&self.resource_names, name))))
    }
}

impl fmt::Display for Rule {
    /// `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |texts: &[String]| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" ");
        let Self { verbs, api_groups, resources, resource_names, urls } = self;
        let fields = [
            ("APIGroups", api_groups),
            ("Resources", resources),
            ("NonResourceURLs", urls),
            ("ResourceNames", resource_names),
            ("Verbs", verbs),
        ];
        let fields = fields.into_iter().filter(|(_, texts)| !texts.is_empty());
        let fields: Vec<String> = fields.map(|(name, texts)| format!("{name}:[{}]", quoted(texts))).collect();
        write!(f, "{{{}}}", fields.join(", "))
    }
}

fn has(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text == wanted)
}

fn has_or_all(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text == ALL || text == wanted)
}

/// `wanted` may be a resource, or one with its subresource.
fn resource_covered(resources: &[String], wanted: &str) -> bool {
    let of_all = wanted.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    has_or_all(resources, wanted) || of_all.is_some_and(|of_all| has(resources, &of_all))
}

fn url_covers(url: &str, path: &str) -> bool {
    url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::super::ResourceAttributes;
    use super::*;
    use serde_json::json;

    fn upon(verb: &str, group: &str, resource: &str, name: &str) -> Attributes {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let about = ResourceAttributes {
            namespace: "a".into(),
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
        };
        Attributes::upon(verb, about)
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Rule {
        Rule::parse(&json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names}))
    }

    #[test]
    fn a_rule_allows_its_combinations_and_nothing_else() {
        let rule = rule(&["get", "list"], &["apps"], &["deployments", "deployments/scale"], &[]);
        assert!(rule.allows(&upon("get", "apps", "deployments", "x")));
        assert!(rule.allows(&upon("list", "apps", "deployments/scale", "")));
        assert!(!rule.allows(&upon("watch", "apps", "deployments", "")));
        assert!(!rule.allows(&upon("get", "", "deployments", "x")));
        assert!(
            !rule.allows(&upon("get", "apps", "deployments/status", "x")),
            "a subresource is a resource of its own"
        );
    }

    #[test]
    fn stars_stand_for_all_verbs_groups_resources_and_for_one_subresource_of_all() {
        let everything = rule(&["*"], &["*"], &["*"], &[]);
        assert!(everything.allows(&upon("impersonate", "", "users", "x")));
        assert!(everything.allows(&upon("patch", "apps", "deployments/scale", "x")));
        let scales = rule(&["patch"], &["*"], &["*/scale"], &[]);
        assert!(scales.allows(&upon("patch", "apps", "deployments/scale", "x")));
        assert!(!scales.allows(&upon("patch", "apps", "deployments", "x")));
        assert!(!scales.allows(&upon("patch", "apps", "deployments/status", "x")));
    }

    #[test]
    fn a_name_is_demanded_where_one_is_given() {
        let rule = rule(&["get", "list", "create"], &[""], &["secrets"], &["x"]);
        assert!(rule.allows(&upon("get", "", "secrets", "x")));
        assert!(!rule.allows(&upon("get", "", "secrets", "y")));
        assert!(!rule.allows(&upon("list", "", "secrets", "")));
        assert!(!rule.allows(&upon("create", "", "secrets", "")), "the name of what is created is in the body");
    }

    #[test]
    fn paths_are_matched_to_their_end_or_to_a_star() {
        let rule = Rule::parse(&json!({"verbs": ["get"], "nonResourceURLs": ["/version", "/apis/*"]}));
        let get = |path: &str| rule.allows(&Attributes { verb: "get".into(), about: About::Path(path.into()) });
        assert!(get("/version") && get("/apis/apps"));
        assert!(!get("/version/x") && !get("/apis"));
        assert!(!rule.allows(&upon("get", "", "pods", "")));
    }

    #[test]
    fn a_rule_covers_another_in_all_its_combinations_or_not() {
        let mine = [rule(&["get"], &[""], &["*"], &[]), rule(&["update"], &["apps"], &["*/scale"], &["x"])];
        let covered = |rule: &Rule| rule.parts().iter().all(|part| mine.iter().any(|own| own.covers(part)));
        assert!(covered(&rule(&["get"], &[""], &["pods", "secrets"], &["x"])));
        assert!(covered(&rule(&["update"], &["apps"], &["deployments/scale"], &["x"])));
        assert!(!covered(&rule(&["update"], &["apps"], &["deployments/scale"], &[])), "all names are more than one");
        assert!(!covered(&rule(&["get", "list"], &[""], &["pods"], &[])));
    }

    #[test]
    fn a_rule_is_shown_as_kubernetes_shows_it() {
        let rule = rule(&["get", "list"], &[""], &["pods"], &[]);
        assert_eq!(rule.to_string(), r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#);
        assert_eq!(rule.to_value(), json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}));
    }
}
