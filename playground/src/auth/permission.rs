//! What can be decided only while an object is written: it depends on what the object becomes, not on the request alone.
//!
//! - A server-side apply (a `patch`) or a PUT (an `update`) that makes an object needs `create`, too.
//! - Nobody gives more rights than they have: who writes a role must hold all its rules, who writes a binding all rules of
//!   its role, or have the verb `escalate` or `bind` (`pkg/registry/rbac`).
//! - With OwnerReferencesPermissionEnforcement, `blockOwnerDeletion` needs `update` on the owner's finalizers
//!   (`plugin/pkg/admission/gc`).
//!
//! What the cluster writes by itself, or a test through [`Cluster`]'s methods, has no author and may everything.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rbac::joined;
use super::user::MASTERS;
use super::{Attributes, ResourceAttributes, Rule, User};
use crate::cluster::{Cluster, Target};
use crate::status::Status;

const GROUP: &str = "rbac.authorization.k8s.io";

impl Cluster {
    /// May the author make this object, by whatever verb?
    pub(crate) fn check_may_create(&self, target: &Target, author: Option<&User>) -> Result<(), Status> {
        let Some(author) = author else { return Ok(()) };
        let verdict = self.authorize(author, &upon("create", target, "", &target.key.name));
        if verdict.allowed {
            return Ok(());
        }
        Err(Status::forbidden(&target.resource, &target.key.name, &verdict.reason, Vec::new()))
    }

    /// May the author make `object` of `live`?
    pub(crate) fn check_permission(
        &self,
        target: &Target,
        live: Option<&Value>,
        object: &Value,
        author: Option<&User>,
    ) -> Result<(), Status> {
        let Some(author) = author else { return Ok(()) };
        if self.auth().enforce_owner_references {
            self.check_owners(target, live, object, author)?;
        }
        if target.stored.group != GROUP || author.is_in(MASTERS) {
            return Ok(());
        }
        let changed = |key: &str| live.is_none_or(|live| live[key] != object[key]);
        match target.stored.kind.as_str() {
            "Role" | "ClusterRole" if changed("rules") || changed("aggregationRule") => {
                self.check_role(target, live, object, author)
            }
            "RoleBinding" | "ClusterRoleBinding" if changed("roleRef") || changed("subjects") => {
                self.check_binding(target, object, author)
            }
            _ => Ok(()),
        }
    }

    fn check_role(&self, target: &Target, live: Option<&Value>, role: &Value, author: &User) -> Result<(), Status> {
        if self.authorize(author, &upon("escalate", target, "", &target.key.name)).allowed {
            return Ok(());
        }
        self.check_holds(target, &Rule::all_of(role), author)?;
        let aggregates = |role: &Value| role["aggregationRule"].is_object();
        let star = || vec!["*".to_owned()];
        let everything = [
            Rule { verbs: star(), api_groups: star(), resources: star(), ..Rule::default() },
            Rule { verbs: star(), urls: star(), ..Rule::default() },
        ];
        if (aggregates(role) || live.is_some_and(aggregates)) && self.missing(target, &everything, author).0.is_some() {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            return Err(Status::forbidden(&target.resource, &target.key.name, why, Vec::new()));
        }
        Ok(())
    }

    fn check_binding(&self, target: &Target, binding: &Value, author: &User) -> Result<(), Status> {
        let text = |key: &str| binding["roleRef"][key].as_str().unwrap_or_default();
        let bind = ResourceAttributes {
            namespace: target.key.namespace.clone(),
            group: GROUP.to_owned(),
            resource: format!("{}s", text("kind").to_lowercase()),
            name: text("name").to_owned(),
            ..ResourceAttributes::default()
        };
        if self.authorize(author, &Attributes::upon("bind", bind)).allowed {
            return Ok(());
        }
        let rules = self.rules_of_binding(binding).map_err(|why| Status::failure(404, "NotFound", why))?;
        self.check_holds(target, &rules, author)
    }

    fn check_holds(&self, target: &Target, rules: &[Rule], author: &User) -> Result<(), Status> {
        let (Some(missing), faults) = self.missing(target, rules, author) else { return Ok(()) };
        let groups = author.groups.iter().map(|group| format!("{group:?}")).collect::<Vec<_>>().join(" ");
        let unresolved = match faults.as_slice() {
            [] => String::new(),
            faults => format!("; resolution errors: [{}]", joined(faults)),
        };
        let why = format!(
            "user {:?} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{missing}{unresolved}",
            author.name
        );
        Err(Status::forbidden(&target.resource, &target.key.name, &why, Vec::new()))
    }

    /// What the author does not hold of these rules, a line for each, and what could not be resolved.
    fn missing(&self, target: &Target, rules: &[Rule], author: &User) -> (Option<String>, Vec<String>) {
        let (held, faults) = self.rules_for(author, &target.key.namespace);
        let parts = rules.iter().flat_map(Rule::parts);
        let missing: Vec<Rule> = parts.filter(|part| !held.iter().any(|rule| rule.covers(part))).collect();
        let lines: BTreeSet<String> = compact(missing).iter().map(ToString::to_string).collect();
        let lines = lines.into_iter().collect::<Vec<_>>().join("\n");
        ((!lines.is_empty()).then_some(lines), faults)
    }

    fn check_owners(&self, target: &Target, live: Option<&Value>, object: &Value, author: &User) -> Result<(), Status> {
        let owners = |object: &Value| object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let (before, after) = (live.map(owners).unwrap_or_default(), owners(object));
        let forbidden = |why: String| Err(Status::forbidden(&target.resource, &target.key.name, &why, Vec::new()));
        if before == after {
            return Ok(());
        }
        if live.is_some() {
            let verdict = self.authorize(author, &upon("delete", target, "", &target.key.name));
            if !verdict.allowed {
                let why = "cannot set an ownerRef on a resource you can't delete";
                return forbidden(format!("{why}: {}, <nil>", verdict.reason));
            }
        }
        let blocks = |owner: &&Value| owner["blockOwnerDeletion"] == true;
        let blocked_before = |owner: &Value| before.iter().filter(blocks).any(|old| old["uid"] == owner["uid"]);
        for owner in after.iter().filter(blocks).filter(|owner| !blocked_before(owner)) {
            let Some(finalizers) = self.finalizers_of(owner, &target.key.namespace) else {
                return forbidden(format!(
                    "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {} Kind {}: \
                     no matches for kind {} in version {}",
                    text(owner, "apiVersion"),
                    text(owner, "kind"),
                    owner["kind"],
                    owner["apiVersion"]
                ));
            };
            let verdict = self.authorize(author, &finalizers);
            if !verdict.allowed {
                let why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set \
                           finalizers on";
                return forbidden(format!("{why}: {}, <nil>", verdict.reason));
            }
        }
        Ok(())
    }

    /// What setting `blockOwnerDeletion` needs; `None` for an owner of a kind that is not served.
    fn finalizers_of(&self, owner: &Value, namespace: &str) -> Option<Attributes> {
        let registry = self.registry();
        let served = |api_version: &str, kind: &str| {
            registry.all().find(|resource| resource.api_version() == api_version && resource.kind == kind).cloned()
        };
        let resource = served(text(owner, "apiVersion"), text(owner, "kind"))?;
        let about = ResourceAttributes {
            namespace: if resource.namespaced { namespace.to_owned() } else { String::new() },
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            subresource: "finalizers".to_owned(),
            name: text(owner, "name").to_owned(),
        };
        Some(Attributes::upon("update", about))
    }
}

fn upon(verb: &str, target: &Target, subresource: &str, name: &str) -> Attributes {
    let about = ResourceAttributes {
        namespace: target.key.namespace.clone(),
        group: target.resource.group.clone(),
        resource: target.resource.plural.clone(),
        subresource: subresource.to_owned(),
        name: name.to_owned(),
    };
    Attributes::upon(verb, about)
}

/// Puts together what differs in its verb alone.
fn compact(parts: Vec<Rule>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for part in parts {
        let same =
            |rule: &&mut Rule| part.urls.is_empty() && Rule { verbs: part.verbs.clone(), ..(**rule).clone() } == part;
        match rules.iter_mut().find(same) {
            Some(rule) => rule.verbs.extend(part.verbs),
            None => rules.push(part),
        }
    }
    rules
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
