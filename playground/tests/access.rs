//! Who may do what, told through HTTP: roles, bindings, tokens, impersonation and reviews.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use playground::Cluster;
use playground::auth::{self, Authorization, StaticToken, User};
use playground::cluster::DeleteOptions;
use serde_json::{Value, json};
use tokio::time::Duration;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A cluster where roles decide, and somebody who asks it.
struct World {
    cluster: Cluster,
    headers: HeaderMap,
}

impl World {
    fn new() -> Self {
        Self::enforcing_owner_references(false)
    }

    fn enforcing_owner_references(enforce_owner_references: bool) -> Self {
        let tokens = [("admin", User::admin()), ("jane", User::new("jane", &["devs"])), ("joe", User::new("joe", &[]))];
        let tokens = tokens.map(|(token, user)| StaticToken { token: token.into(), user }).to_vec();
        let options = auth::Options { authorization: Authorization::Rbac, tokens, enforce_owner_references };
        Self { cluster: Cluster::with_auth(7, Duration::from_secs(60), options), headers: HeaderMap::new() }
    }

    fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.append(name, value.parse().unwrap());
        Self { cluster: self.cluster.clone(), headers }
    }

    fn by(&self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    async fn send(&self, method: &str, path: &str, media: &str, body: Value) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", media);
        request.headers_mut().unwrap().extend(self.headers.clone());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.cluster.call(request.body(Bytes::from(body)).unwrap()).await;
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, "", Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send("POST", path, "application/json", body).await
    }

    async fn apply(&self, path: &str, body: Value) -> (u16, Value) {
        self.send("PATCH", &format!("{path}?fieldManager=me&force=true"), "application/apply-patch+yaml", body).await
    }

    /// A ClusterRole of one rule, bound in the default namespace.
    fn allow(&self, name: &str, subject: &Value, rule: &Value) {
        let object = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": [rule],
        });
        self.cluster.create("roles.rbac.authorization.k8s.io", "default", object, "test").unwrap();
        self.bind(name, "Role", name, subject);
    }

    fn bind(&self, name: &str, kind: &str, role: &str, subject: &Value) {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"kind": kind, "name": role}, "subjects": [subject],
        });
        self.cluster.create("rolebindings.rbac.authorization.k8s.io", "default", binding, "test").unwrap();
    }

    fn account(&self, name: &str) {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        self.cluster.create("serviceaccounts", "default", account, "test").unwrap();
    }
}

fn jane() -> Value {
    json!({"kind": "User", "name": "jane"})
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
}

fn deployment(name: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    })
}

fn message(answer: &(u16, Value)) -> &str {
    answer.1["message"].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_role_allows_in_its_namespace_and_nowhere_else() {
    let world = World::new();
    world.allow("reader", &jane(), &rule("", "pods", &["get", "list"]));
    let jane = world.by("jane");
    assert_eq!(jane.get("/api/v1/namespaces/default/pods").await.0, 200);
    assert_eq!(jane.get("/api/v1/namespaces/default/pods/x").await.0, 404, "she may look, and there is none");
    let elsewhere = jane.get("/api/v1/namespaces/kube-system/pods").await;
    assert_eq!(elsewhere.0, 403);
    assert_eq!(
        message(&elsewhere),
        "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \
         \"kube-system\""
    );
    assert_eq!(jane.get("/api/v1/pods").await.0, 403);
    assert_eq!(jane.get("/api/v1/namespaces/default/pods?watch=true").await.0, 403, "to watch is another verb");
    assert_eq!(world.by("joe").get("/api/v1/namespaces/default/pods").await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_not_told_to_who_may_not_see_it() {
    let world = World::new();
    assert_eq!(world.by("joe").get("/apis/nothing.dev/v1/things").await.0, 403);
    assert_eq!(world.by("admin").get("/apis/nothing.dev/v1/things").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_group_and_a_cluster_wide_binding_allow_everywhere() {
    let world = World::new();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "devs-view"},
        "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "devs"}],
    });
    world.cluster.create("clusterrolebindings.rbac.authorization.k8s.io", "", binding, "test").unwrap();
    assert_eq!(world.by("jane").get("/api/v1/pods").await.0, 200);
    assert_eq!(world.by("jane").get("/api/v1/secrets").await.0, 403, "view shows no Secrets");
    assert_eq!(world.by("joe").get("/api/v1/pods").await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn a_missing_role_is_named_in_the_refusal() {
    let world = World::new();
    world.bind("b", "ClusterRole", "ghost", &jane());
    let answer = world.by("jane").get("/api/v1/namespaces/default/pods").await;
    assert!(
        message(&answer)
            .ends_with("in the namespace \"default\": RBAC: clusterrole.rbac.authorization.k8s.io \"ghost\" not found"),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_makes_an_object_needs_create_too() {
    let world = World::new();
    world.allow("patcher", &jane(), &rule("apps", "deployments", &["patch"]));
    let (jane, path) = (world.by("jane"), format!("{DEPLOYMENTS}/x"));
    let refused = jane.apply(&path, deployment("x")).await;
    assert_eq!((refused.0, &refused.1["reason"]), (403, &json!("Forbidden")), "{refused:?}");
    assert_eq!(refused.1["details"], json!({"name": "x", "group": "apps", "kind": "deployments"}));
    assert!(world.cluster.get("deployments.apps", "default", "x").is_none());
    assert_eq!(world.by("admin").apply(&path, deployment("x")).await.0, 201);
    assert_eq!(jane.apply(&path, deployment("x")).await.0, 200, "where there is one, patch is enough");
    world.allow("creator", &self::jane(), &rule("apps", "deployments", &["create"]));
    assert_eq!(jane.apply(&format!("{DEPLOYMENTS}/y"), deployment("y")).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn a_subresource_needs_a_rule_of_its_own() {
    let world = World::new();
    world.cluster.create("deployments.apps", "default", deployment("x"), "test").unwrap();
    world.allow("scaler", &jane(), &rule("*", "*/scale", &["patch"]));
    let change = json!({"spec": {"replicas": 2}});
    let merge = "application/merge-patch+json";
    let jane = world.by("jane");
    assert_eq!(jane.send("PATCH", &format!("{DEPLOYMENTS}/x/scale"), merge, change.clone()).await.0, 200);
    let refused = jane.send("PATCH", &format!("{DEPLOYMENTS}/x"), merge, change).await;
    assert_eq!(refused.0, 403);
    let refused = jane.get(&format!("{DEPLOYMENTS}/x/scale")).await;
    assert!(message(&refused).contains("cannot get resource \"deployments/scale\""), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_one_name_is_allowed_by_a_rule_for_that_name() {
    let world = World::new();
    let mut one = rule("", "secrets", &["get", "list", "watch"]);
    one["resourceNames"] = json!(["x"]);
    world.allow("one", &jane(), &one);
    let path = "/api/v1/namespaces/default/secrets";
    assert_eq!(world.by("jane").get(&format!("{path}?fieldSelector=metadata.name%3Dx")).await.0, 200);
    assert_eq!(world.by("jane").get(&format!("{path}?fieldSelector=metadata.name%3Dy")).await.0, 403);
    assert_eq!(world.by("jane").get(path).await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn who_is_nobody_sees_the_version_and_nothing_else() {
    let world = World::new();
    for path in ["/version", "/readyz", "/livez"] {
        assert_eq!(world.get(path).await.0, 200, "{path}");
    }
    let refused = world.get("/apis").await;
    assert_eq!(refused.0, 403);
    assert_eq!(message(&refused), "forbidden: User \"system:anonymous\" cannot get path \"/apis\"");
    assert_eq!(refused.1["details"], json!({}));
    assert_eq!(world.by("joe").get("/apis").await.0, 200, "who has a name may ask what is served");
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_is_refused_even_where_none_is_needed() {
    let cluster = Cluster::new(7, Duration::from_secs(60));
    let world = World { cluster, headers: HeaderMap::new() };
    assert_eq!(world.get("/api/v1/secrets").await.0, 200);
    assert_eq!(world.by("wrong").get("/api/v1/secrets").await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_token_lives_as_long_as_it_was_asked_for_and_as_its_account() {
    let world = World::new();
    world.account("robot");
    let path = "/api/v1/namespaces/default/serviceaccounts/robot/token";
    let request = |seconds: i64| {
        let spec = json!({"expirationSeconds": seconds});
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    };
    let too_short = world.by("admin").post(path, request(1)).await;
    assert_eq!(too_short.0, 422);
    assert!(message(&too_short).contains("may not specify a duration less than 10 minutes"), "{too_short:?}");
    let (code, answer) = world.by("admin").post(path, request(600)).await;
    assert_eq!(code, 201, "{answer}");
    let token = answer["status"]["token"].as_str().unwrap();
    assert_eq!(world.by(token).get("/apis").await.0, 200);
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(world.by(token).get("/apis").await.0, 401, "it has expired");

    let (_, answer) = world.by("admin").post(path, request(600)).await;
    let token = answer["status"]["token"].as_str().unwrap();
    assert_eq!(world.by(token).get("/apis").await.0, 200);
    world.cluster.delete("serviceaccounts", "default", "robot", &DeleteOptions::default()).unwrap();
    world.account("robot");
    assert_eq!(world.by(token).get("/apis").await.0, 401, "another account of the same name has other tokens");
    let missing = world.by("admin").post("/api/v1/namespaces/default/serviceaccounts/none/token", request(600)).await;
    assert_eq!(missing.0, 404, "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn to_be_somebody_else_needs_the_verb_impersonate() {
    let world = World::new();
    world.account("robot");
    let robot = "system:serviceaccount:default:robot";
    let account = json!({"kind": "ServiceAccount", "name": "robot"});
    world.allow("reader", &account, &rule("", "configmaps", &["list"]));
    let path = "/api/v1/namespaces/default/configmaps";
    assert_eq!(world.by("admin").with_header("impersonate-user", robot).get(path).await.0, 200);
    let refused = world.by("admin").with_header("impersonate-user", robot).get("/api/v1/secrets").await;
    assert_eq!(refused.0, 403, "who is somebody else has their rights alone");
    let refused = world.by("joe").with_header("impersonate-user", robot).get(path).await;
    assert_eq!(
        message(&refused),
        "serviceaccounts \"robot\" is forbidden: User \"joe\" cannot impersonate resource \"serviceaccounts\" in API \
         group \"\" in the namespace \"default\""
    );
    world.allow(
        "impersonator",
        &json!({"kind": "User", "name": "joe"}),
        &rule("", "serviceaccounts", &["impersonate"]),
    );
    assert_eq!(world.by("joe").with_header("impersonate-user", robot).get(path).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn reviews_tell_who_may_do_what() {
    let world = World::new();
    world.allow("reader", &jane(), &rule("", "pods", &["list"]));
    let pods = |namespace: &str| json!({"namespace": namespace, "verb": "list", "resource": "pods"});
    let mine = |namespace: &str| json!({"spec": {"resourceAttributes": pods(namespace)}});
    let path = format!("{REVIEWS}/selfsubjectaccessreviews");
    let (code, answer) = world.by("jane").post(&path, mine("default")).await;
    assert_eq!(code, 201, "{answer}");
    let reason = "RBAC: allowed by RoleBinding \"reader/default\" of Role \"reader\" to User \"jane\"";
    assert_eq!(answer["status"], json!({"allowed": true, "reason": reason}));
    let (_, answer) = world.by("jane").post(&path, mine("kube-system")).await;
    assert_eq!(answer["status"], json!({"allowed": false}));

    let theirs = json!({"spec": {"user": "jane", "resourceAttributes": pods("default")}});
    let path = format!("{REVIEWS}/subjectaccessreviews");
    assert_eq!(world.by("jane").post(&path, theirs.clone()).await.0, 403, "to ask about others is a right, too");
    assert_eq!(world.by("admin").post(&path, theirs.clone()).await.1["status"]["allowed"], true);
    let local = format!("{REVIEWS}/namespaces/default/localsubjectaccessreviews");
    assert_eq!(world.by("admin").post(&local, theirs).await.1["status"]["allowed"], true);
    let nobody = json!({"spec": {"resourceAttributes": pods("default")}});
    let refused = world.by("admin").post(&path, nobody).await;
    assert_eq!(refused.0, 422);
    assert!(message(&refused).contains("at least one of user or group must be specified"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn everybody_learns_who_they_are_and_what_they_may() {
    let world = World::new();
    world.allow("reader", &jane(), &rule("", "pods", &["list"]));
    let (code, answer) = world.by("jane").post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await;
    assert_eq!(code, 201, "{answer}");
    let expected = json!({"username": "jane", "groups": ["devs", "system:authenticated"]});
    assert_eq!(answer["status"]["userInfo"], expected);
    let asked = json!({"spec": {"namespace": "default"}});
    let (_, answer) = world.by("jane").post(&format!("{REVIEWS}/selfsubjectrulesreviews"), asked).await;
    let rules = answer["status"]["resourceRules"].as_array().unwrap();
    assert!(rules.contains(&rule("", "pods", &["list"])), "{answer}");
    let paths = answer["status"]["nonResourceRules"].as_array().unwrap();
    assert!(paths.iter().any(|rule| rule["nonResourceURLs"][0] == "/api"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_label_puts_rules_into_the_roles_that_aggregate_them() {
    let world = World::new();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {
            "name": "thing-viewer", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
        },
        "rules": [rule("test.dev", "things", &["get"])],
    });
    let admin = world.by("admin");
    assert_eq!(admin.post(&format!("{RBAC}/clusterroles"), role).await.0, 201);
    let rules_of = async |name: &str| admin.get(&format!("{RBAC}/clusterroles/{name}")).await.1["rules"].to_string();
    for name in ["view", "edit", "admin"] {
        assert!(rules_of(name).await.contains("test.dev"), "{name}");
    }
    assert!(rules_of("admin").await.contains("rolebindings") && !rules_of("edit").await.contains("rolebindings"));
    admin.send("DELETE", &format!("{RBAC}/clusterroles/thing-viewer"), "", Value::Null).await;
    for name in ["view", "edit", "admin"] {
        assert!(!rules_of(name).await.contains("test.dev"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn roles_that_aggregate_each_other_in_a_circle_do_no_harm() {
    let world = World::new();
    for at in 0..3 {
        let label = |at: i32| json!({format!("circle-{}", at % 3): "true"});
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": format!("circle-{at}"), "labels": label(at)},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label(at + 1)}]},
            "rules": [rule("test.dev", &format!("things-{at}"), &["get"])],
        });
        assert_eq!(world.by("admin").post(&format!("{RBAC}/clusterroles"), role).await.0, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_gives_more_rights_than_they_have() {
    let world = World::new();
    let roles = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"],
        "verbs": ["create", "update"]});
    world.allow("delegate", &jane(), &roles);
    world.allow("reader", &jane(), &rule("", "pods", &["get", "list"]));
    let role = |name: &str, verbs: &[&str]| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
            "rules": [rule("", "pods", verbs)]})
    };
    let path = format!("{RBAC}/namespaces/default/roles");
    let jane = world.by("jane");
    assert_eq!(jane.post(&path, role("less", &["get"])).await.0, 201);
    let refused = jane.post(&path, role("more", &["get", "delete", "patch"])).await;
    assert_eq!(
        message(&refused),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"jane\" (groups=[\"devs\" \
         \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], \
         Resources:[\"pods\"], Verbs:[\"delete\" \"patch\"]}"
    );
    let binding = |role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
            "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [{"kind": "User", "name": "joe"}]})
    };
    let path = format!("{RBAC}/namespaces/default/rolebindings");
    assert_eq!(jane.post(&path, binding("view")).await.0, 403);
    let mut bind = rule("rbac.authorization.k8s.io", "clusterroles", &["bind"]);
    bind["resourceNames"] = json!(["view"]);
    world.allow("binder", &self::jane(), &bind);
    assert_eq!(jane.post(&path, binding("view")).await.0, 201);
    assert_eq!(jane.post(&path, binding("edit")).await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn to_block_an_owners_deletion_needs_its_finalizers_where_that_is_enforced() {
    let world = World::enforcing_owner_references(true);
    world.allow("deployer", &jane(), &rule("apps", "deployments", &["create", "patch"]));
    let owner = world.cluster.create(
        "configmaps",
        "default",
        json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "owner"}}),
        "test",
    );
    let uid = owner.unwrap()["metadata"]["uid"].clone();
    let child = |name: &str, blocks: bool| {
        let mut object = deployment(name);
        object["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
            "uid": uid, "controller": true, "blockOwnerDeletion": blocks}]);
        object
    };
    let jane = world.by("jane");
    assert_eq!(jane.post(DEPLOYMENTS, child("free", false)).await.0, 201);
    let refused = jane.post(DEPLOYMENTS, child("x", true)).await;
    assert_eq!(
        message(&refused),
        "deployments.apps \"x\" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource \
         you can't set finalizers on: , <nil>"
    );
    world.allow("finalizer", &self::jane(), &rule("", "configmaps/finalizers", &["update"]));
    assert_eq!(jane.apply(&format!("{DEPLOYMENTS}/x"), child("x", true)).await.0, 201);
    world.cluster.create("deployments.apps", "default", deployment("orphan"), "test").unwrap();
    let refused = jane.apply(&format!("{DEPLOYMENTS}/orphan"), child("orphan", true)).await;
    assert!(message(&refused).contains("cannot set an ownerRef on a resource you can't delete"), "{refused:?}");
}

#[test]
fn the_standard_roles_promise_nothing_that_is_not_served() {
    let cluster = Cluster::new(7, Duration::from_secs(60));
    let registry = cluster.registry();
    let reviews = [
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "selfsubjectreviews",
        "tokenreviews",
        "subjectaccessreviews",
        "localsubjectaccessreviews",
    ];
    for role in cluster.list("clusterroles.rbac.authorization.k8s.io", None) {
        for rule in role["rules"].as_array().unwrap() {
            let texts = |key: &str| rule[key].as_array().cloned().unwrap_or_default();
            for resource in texts("resources") {
                let (group, resource) = (rule["apiGroups"][0].as_str().unwrap(), resource.as_str().unwrap());
                let plural = resource.split('/').next().unwrap();
                let served = registry.all().any(|known| known.group == group && known.plural == plural);
                let known = served || reviews.contains(&resource) || resource == "*";
                assert!(known, "{}: {group} {resource}", role["metadata"]["name"]);
            }
        }
    }
}
