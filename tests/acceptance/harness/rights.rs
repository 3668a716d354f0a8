//! Worlds where roles decide, and an operator that is no more than its ServiceAccount.
//!
//! The roles are those of `config`, read from the files that people apply.

use std::path::{Path, PathBuf};

use playground::Options;
use playground::auth::Authorization;
use playground::cluster::RequestRecord;
use serde_json::{Value, json};
use tokio::process::Command;

use super::client::Place;
use super::objects::{Kind, NAMESPACES, WEBHOOK_CONFIGURATIONS};
use super::process::{Process, program};
use super::{World, on_a_real_cluster, scratch_file};

/// Where the files put the operator.
pub(crate) const HOME: &str = "smooth-operator-system";
const ACCOUNT: &str = "smooth-operator";
/// Who the operator is to the API server.
const USER: &str = "system:serviceaccount:smooth-operator-system:smooth-operator";

impl World {
    /// A playground with the roles of `config/rbac`, changed as told, behind HTTPS, and with
    /// OwnerReferencesPermissionEnforcement, as OpenShift has it; None, with a word on the console, on a cluster that can't be asked for it.
    pub(crate) async fn with_roles(change: impl Fn(&mut Value)) -> Option<Self> {
        if on_a_real_cluster() {
            println!("passed over: a real cluster can't tell what it was asked");
            return None;
        }
        let authorization = Authorization::Rbac;
        let options = Options { authorization, enforce_owner_references: true, tls: true, ..Options::default() };
        let mut world = Self::on_a_playground(options).await;
        world.install_definition().await;
        let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}});
        world.client.create(&NAMESPACES.collection(""), &home).await.unwrap();
        for mut object in manifests() {
            change(&mut object);
            world.apply_manifest(&object).await;
        }
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let path = format!("/api/v1/namespaces/{HOME}/serviceaccounts/{ACCOUNT}/token");
        let answer = world.client.create(&path, &request).await.unwrap();
        let token = answer["status"]["token"].as_str().unwrap();
        let kubeconfig = scratch_file("kubeconfig");
        // As in a pod, whose namespace is its own.
        let text = world.playground.as_ref().unwrap().kubeconfig_with_token(token);
        std::fs::write(&kubeconfig, text.replace("namespace: default", &format!("namespace: {HOME}"))).unwrap();
        world.operators_kubeconfig = Some(kubeconfig);
        Some(world)
    }

    /// Applies an object of `config`.
    pub(crate) async fn apply_manifest(&self, object: &Value) {
        let (kind, text) = (kind_of(object), |key: &str| object["metadata"][key].as_str().unwrap_or_default());
        self.client.apply(&kind.path(text("namespace"), text("name")), object).await.unwrap();
    }

    /// Starts the operator as its ServiceAccount, with leader election, for all namespaces.
    pub(crate) fn process_with_roles(&self, flags: &[&str]) -> Process {
        self.process_with_roles_at("0", "0", flags)
    }

    /// The same, which serves its metrics.
    pub(crate) fn process_with_roles_and_metrics(&self, metrics: &str, flags: &[&str]) -> Process {
        self.process_with_roles_at(metrics, "0", flags)
    }

    /// The same, with its health at this address.
    pub(crate) fn process_with_roles_and_health(&self, health: &str, flags: &[&str]) -> Process {
        self.process_with_roles_at("0", health, flags)
    }

    fn process_with_roles_at(&self, metrics: &str, health: &str, flags: &[&str]) -> Process {
        let mut command: Command =
            program(&["run", "--metrics-bind-address", metrics, "--health-bind-address", health]);
        command.arg("--kubeconfig").arg(self.operators_kubeconfig());
        command.args(["--lease-namespace", HOME]).args(flags);
        Process::start(command)
    }

    /// Leads to the cluster as the operator's ServiceAccount.
    pub(crate) fn operators_kubeconfig(&self) -> &Path {
        self.operators_kubeconfig.as_ref().expect("a world with roles")
    }

    /// What the operator has asked so far.
    pub(crate) fn asked_by_the_operator(&self) -> Vec<RequestRecord> {
        let mut requests = self.levers().requests();
        requests.retain(|request| request.user == USER);
        requests
    }
}

impl World {
    /// Creates a namespace of this name.
    pub(crate) async fn create_namespace(&self, name: &str) -> Place {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.client.create(&NAMESPACES.collection(""), &namespace).await.unwrap();
        Place { client: self.client.clone(), namespace: name.to_owned() }
    }

    /// Gives the operator the Role of `config/namespaced` in this namespace.
    pub(crate) async fn grant_in(&self, place: &Place) {
        for file in ["role.yaml", "role_binding.yaml"] {
            let mut object = read(&config().join("namespaced/namespace").join(file));
            object["metadata"]["namespace"] = place.namespace.as_str().into();
            self.apply_manifest(&object).await;
        }
    }
}

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn read(file: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// All objects of `config/rbac`, for the operator, and the roles of `config/crd`, for people.
pub(crate) fn manifests() -> Vec<Value> {
    let mut objects = [objects_of("rbac"), objects_of("crd")].concat();
    objects.retain(|object| object["kind"] != "CustomResourceDefinition");
    objects
}

/// All objects of a directory of `config`, except for what only kustomize reads.
pub(crate) fn objects_of(directory: &str) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(directory);
    let files = std::fs::read_dir(directory).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let objects = texts.map(|text| serde_saphyr::from_str::<Value>(&text).unwrap());
    objects.filter(|it| !matches!(it["kind"].as_str(), None | Some("Kustomization" | "Component"))).collect()
}

fn kind_of(object: &Value) -> Kind {
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    match object["kind"].as_str().unwrap() {
        "ServiceAccount" => Kind::namespaced("v1", "serviceaccounts"),
        "Role" => Kind::namespaced(RBAC, "roles"),
        "RoleBinding" => Kind::namespaced(RBAC, "rolebindings"),
        "ClusterRole" => Kind::cluster_wide(RBAC, "clusterroles"),
        "ClusterRoleBinding" => Kind::cluster_wide(RBAC, "clusterrolebindings"),
        "Service" => Kind::namespaced("v1", "services"),
        "ValidatingWebhookConfiguration" => WEBHOOK_CONFIGURATIONS,
        other => panic!("config has a {other} among its roles"),
    }
}
