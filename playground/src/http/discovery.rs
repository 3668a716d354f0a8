//! Discovery: what is served, told in the two ways that clients ask.
//!
//! The older way is a request per group version; the newer one, aggregated discovery, is all groups in one document.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use super::negotiate::wants_aggregated_discovery;
use super::review::Review;
use super::route::HEALTH;
use super::{Body, Call, response};
use crate::resources::{Resource, Trait};

/// The version of Kubernetes whose behaviour is played.
const MINOR: &str = "36";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// What can be done with the resource; custom resources list it in another order.
fn verbs(resource: &Resource) -> Vec<&'static str> {
    let mut verbs = vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    if resource.custom().is_some() {
        return vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    }
    verbs.retain(|verb| *verb != "deletecollection" || resource.has(Trait::DeleteCollection));
    verbs
}

/// `/`: where there is something to read.
pub(super) fn root(call: &Call<'_>) -> Response<Body> {
    let mut paths: Vec<String> = ["/api", "/apis", "/openapi/v2", "/openapi/v3", "/version"].map(str::to_owned).into();
    for (group, versions) in by_group(call) {
        let base = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        paths.extend(versions.keys().map(|version| format!("{base}/{}", version.name)));
        paths.push(base);
    }
    for health in HEALTH {
        paths.extend([format!("/{health}"), format!("/{health}/ping")]);
    }
    paths.sort();
    paths.dedup();
    response::json(200, &json!({"paths": paths}))
}

/// `/version`
pub(super) fn version(_: &Call<'_>) -> Response<Body> {
    let body = json!({
        "major": "1",
        "minor": MINOR,
        "emulationMajor": "1",
        "emulationMinor": MINOR,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": format!("v1.{MINOR}.2+playground"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    });
    response::json(200, &body)
}

/// `/api`
pub(super) fn core_versions(call: &Call<'_>) -> Response<Body> {
    if wants_aggregated_discovery(call.accept) {
        return aggregated(call, str::is_empty);
    }
    let host = if call.host.is_empty() { "127.0.0.1" } else { call.host };
    let body = json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    });
    response::json(200, &body)
}

/// `/apis`
pub(super) fn groups(call: &Call<'_>) -> Response<Body> {
    if wants_aggregated_discovery(call.accept) {
        return aggregated(call, |group| !group.is_empty());
    }
    let groups: Vec<Value> = by_group(call)
        .into_iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| group_value(&group, versions.keys()))
        .collect();
    response::json(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

/// `/apis/{group}`
pub(super) fn group(call: &Call<'_>, group: &str) -> Response<Body> {
    let Some(versions) = by_group(call).remove(group).filter(|_| !group.is_empty()) else {
        return response::page_not_found();
    };
    let mut body = group_value(group, versions.keys());
    body["kind"] = "APIGroup".into();
    body["apiVersion"] = "v1".into();
    response::json(200, &body)
}

/// `/api/v1`, `/apis/{group}/{version}`
pub(super) fn resources(call: &Call<'_>, group: &str, version: &str) -> Response<Body> {
    let Some(resources) = by_group(call).remove(group).and_then(|mut versions| versions.remove(&Version::new(version)))
    else {
        return response::page_not_found();
    };
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut entries: Vec<Value> = resources.iter().flat_map(|resource| entries(resource)).collect();
    entries.extend(reviews(group, version).map(review_entry));
    let body = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    });
    response::json(200, &body)
}

type ByGroup = BTreeMap<String, BTreeMap<Version, Vec<Arc<Resource>>>>;

/// A version, ordered as clients prefer them: v2, v1, v1beta1, v1alpha1, and what is no version of that kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    rank: (u8, std::cmp::Reverse<u32>, std::cmp::Reverse<u32>),
    name: String,
}

impl Version {
    fn new(name: &str) -> Self {
        let rank = Self::rank(name).unwrap_or((3, std::cmp::Reverse(0), std::cmp::Reverse(0)));
        Self { rank, name: name.to_owned() }
    }

    fn rank(name: &str) -> Option<(u8, std::cmp::Reverse<u32>, std::cmp::Reverse<u32>)> {
        let rest = name.strip_prefix('v')?;
        let (stage, major, minor) = match (rest.split_once("beta"), rest.split_once("alpha")) {
            (Some((major, minor)), _) => (1, major, minor),
            (_, Some((major, minor))) => (2, major, minor),
            (None, None) => (0, rest, "0"),
        };
        Some((stage, std::cmp::Reverse(major.parse().ok()?), std::cmp::Reverse(minor.parse().ok()?)))
    }
}

fn by_group(call: &Call<'_>) -> ByGroup {
    let mut groups = ByGroup::new();
    for resource in call.cluster.registry().all() {
        let versions = groups.entry(resource.group.clone()).or_default();
        versions.entry(Version::new(&resource.version)).or_default().push(Arc::clone(resource));
    }
    // Reviews are answered but not stored, so they are no resources of the registry.
    for review in Review::ALL {
        groups.entry(review.group().into()).or_default().entry(Version::new(Review::VERSION)).or_default();
    }
    groups
}

fn reviews(group: &str, version: &str) -> impl Iterator<Item = Review> {
    let wanted = version == Review::VERSION;
    Review::ALL.into_iter().filter(move |review| wanted && review.group() == group)
}

fn review_entry(review: Review) -> Value {
    json!({
        "name": review.plural(),
        "singularName": review.singular(),
        "namespaced": review.namespaced(),
        "kind": review.kind(),
        "verbs": ["create"],
    })
}

fn aggregated_review(review: Review) -> Value {
    json!({
        "resource": review.plural(),
        "responseKind": {"group": "", "version": "", "kind": review.kind()},
        "scope": if review.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": review.singular(),
        "verbs": ["create"],
    })
}

fn group_value<'a>(group: &str, versions: impl Iterator<Item = &'a Version>) -> Value {
    let version = |Version { name, .. }: &Version| json!({"groupVersion": format!("{group}/{name}"), "version": name});
    let versions: Vec<Value> = versions.map(version).collect();
    json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
}

/// The resource and its subresources.
fn entries(resource: &Resource) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let mut entries = vec![entry];
    let verbs = ["get", "patch", "update"];
    if resource.has(Trait::Status) {
        entries.push(json!({
            "name": format!("{}/status", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": verbs,
        }));
    }
    if resource.scale.is_some() {
        entries.push(json!({
            "name": format!("{}/scale", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "group": "autoscaling",
            "version": "v1",
            "kind": "Scale",
            "verbs": verbs,
        }));
    }
    if resource.group.is_empty() && resource.kind == "ServiceAccount" {
        entries.push(json!({
            "name": "serviceaccounts/token",
            "singularName": "",
            "namespaced": true,
            "group": "authentication.k8s.io",
            "version": "v1",
            "kind": "TokenRequest",
            "verbs": ["create"],
        }));
    }
    entries
}

fn aggregated(call: &Call<'_>, wanted: impl Fn(&str) -> bool) -> Response<Body> {
    let groups = by_group(call).into_iter().filter(|(group, _)| wanted(group));
    let items: Vec<Value> = groups
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .map(|(version, resources)| {
                    let mut resources: Vec<Value> =
                        resources.iter().map(|resource| aggregated_entry(resource)).collect();
                    resources.extend(reviews(&group, &version.name).map(aggregated_review));
                    json!({"version": version.name, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    response::json_as(AGGREGATED, &body)
}

fn aggregated_entry(resource: &Resource) -> Value {
    let own_kind = match resource.custom() {
        // The API server names its own kinds without group and version here.
        None => json!({"group": "", "version": "", "kind": resource.kind}),
        Some(_) => json!({"group": resource.group, "version": resource.version, "kind": resource.kind}),
    };
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": own_kind,
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let mut subresources = Vec::new();
    let verbs = ["get", "patch", "update"];
    if resource.scale.is_some() {
        let kind = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        subresources.push(json!({"subresource": "scale", "responseKind": kind, "verbs": verbs}));
    }
    if resource.has(Trait::Status) {
        subresources.push(json!({"subresource": "status", "responseKind": own_kind, "verbs": verbs}));
    }
    if resource.group.is_empty() && resource.kind == "ServiceAccount" {
        let kind = json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"});
        subresources.push(json!({"subresource": "token", "responseKind": kind, "verbs": ["create"]}));
    }
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn the_newest_stable_version_comes_first() {
        let mut names = ["v1alpha1", "v1", "odd", "v2", "v1beta2", "v10", "v1beta1"];
        names.sort_by_key(|name| Version::new(name));
        assert_eq!(names, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "odd"]);
    }
}
