//! A world to act in: a cluster, a namespace of the test's own, and operators.
//!
//! Whatever a test does or looks at goes over HTTP ([`client`]), so that it means the same on any cluster. Three
//! things only a playground can do: cut watches, forget history, and tell what the operator has asked. They stand behind
//! [`World::with_levers`].
//!
//! No test sleeps. It waits for a fact ([`eventually`]), and of "nothing more happens" it says for how long it looked
//! ([`World::stays_quiet`]).

pub(crate) mod client;
pub(crate) mod haste;
pub(crate) mod https;
pub(crate) mod objects;
pub(crate) mod operator;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod quiet;
pub(crate) mod rights;
pub(crate) mod wait;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use playground::{Cluster as Levers, Options, Playground};
use serde_json::{Value, json};

use client::{Client, Place};
use objects::{CRDS, NAMESPACES};
pub(crate) use wait::eventually;

/// From a pod's making to its readiness, on the playground.
const READY_DELAY: Duration = Duration::from_millis(50);

/// A cluster, and a namespace in it. What a [`Place`] can do, it does in its namespace.
pub(crate) struct World {
    place: Place,
    /// None on a real cluster.
    playground: Option<Playground>,
    /// All namespaces that were made; on a real cluster, all that its operators serve.
    namespaces: Mutex<Vec<String>>,
    /// Leads to the cluster. Goes away with the world, unless it is somebody else's.
    kubeconfig: PathBuf,
    /// What operators are given instead, where they are not the administrator.
    operators_kubeconfig: Option<PathBuf>,
}

impl World {
    /// A playground with the CRD in it, or the cluster that `KUBECONFIG` names.
    pub(crate) async fn start() -> Self {
        let world = Self::without_definition().await;
        world.install_definition().await;
        world
    }

    /// The same, but for the CRD.
    async fn without_definition() -> Self {
        if on_a_real_cluster() {
            let kubeconfig = std::env::var_os("KUBECONFIG").expect("SMOOTH_E2E needs KUBECONFIG to name a file");
            return Self::behind(PathBuf::from(kubeconfig), None).await;
        }
        Self::on_a_playground(Options::default()).await
    }

    async fn on_a_playground(options: Options) -> Self {
        let options = Options { ready_delay: READY_DELAY, ..options };
        let playground = Playground::start(options).await.expect("a free port on loopback");
        let kubeconfig = scratch_file("kubeconfig");
        std::fs::write(&kubeconfig, playground.kubeconfig()).unwrap();
        Self::behind(kubeconfig, Some(playground)).await
    }

    async fn behind(kubeconfig: PathBuf, playground: Option<Playground>) -> Self {
        let client = Client::connect(&kubeconfig).await;
        let namespace = create_namespace(&client).await;
        let namespaces = Mutex::new(vec![namespace.clone()]);
        let place = Place { client, namespace };
        Self { place, playground, namespaces, kubeconfig, operators_kubeconfig: None }
    }

    /// A playground and its levers; None, with a word on the console, on a cluster that has none.
    pub(crate) async fn with_levers(what_for: &str) -> Option<Self> {
        if on_a_real_cluster() {
            println!("passed over: a real cluster can't be asked to {what_for}");
            return None;
        }
        Some(Self::start().await)
    }

    /// A playground whose pods listen and speak MCP; None likewise.
    pub(crate) async fn with_pods_that_listen() -> Option<Self> {
        if on_a_real_cluster() {
            println!("passed over: the images of a real cluster speak as they like");
            return None;
        }
        if !cfg!(target_os = "linux") {
            println!("passed over: only Linux gives each pod an address of its own");
            return None;
        }
        let world = Self::on_a_playground(Options { listeners: 64, ..Options::default() }).await;
        world.install_definition().await;
        Some(world)
    }

    /// A playground on which nobody has heard of MCPServers; None likewise.
    pub(crate) async fn with_levers_but_no_definition(what_for: &str) -> Option<Self> {
        if on_a_real_cluster() {
            println!("passed over: a real cluster can't be asked to {what_for}");
            return None;
        }
        Some(Self::without_definition().await)
    }

    /// Installs the CRD and waits until it is served.
    pub(crate) async fn install_definition(&self) {
        self.install_this_definition(smooth_operator::api::crd::definition()).await;
    }

    /// Installs the CRD as somebody might have who wanted no rules for the spec, and waits until it is served.
    pub(crate) async fn install_lax_definition(&self) {
        let mut definition = smooth_operator::api::crd::definition();
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let spec = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
        *spec.expect("the definition has a schema of the spec") = anything;
        self.install_this_definition(definition).await;
    }

    /// Installs this CRD, and waits until it is served.
    pub(crate) async fn install_this_definition(&self, definition: Value) {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        self.client.apply(&CRDS.path("", &name), &definition).await.unwrap();
        let path = objects::SERVERS.collection(&self.namespace);
        eventually("the CRD is served", async || self.client.get(&path).await.map_err(|refused| refused.to_string()))
            .await;
    }

    /// What only a playground can do.
    pub(crate) fn levers(&self) -> &Levers {
        self.served().cluster()
    }

    /// Breaks all connections and refuses new ones, until it comes back.
    pub(crate) async fn go_away(&self) {
        self.served().go_away().await;
    }

    /// Serves again.
    pub(crate) async fn come_back(&self) {
        self.served().come_back().await.expect("the address is free again");
    }

    fn served(&self) -> &Playground {
        self.playground.as_ref().expect("asked for only where with_levers said yes")
    }

    /// One more namespace.
    pub(crate) async fn another_namespace(&self) -> Place {
        let namespace = create_namespace(&self.place.client).await;
        self.namespaces.lock().unwrap().push(namespace.clone());
        Place { client: self.place.client.clone(), namespace }
    }

    /// The file that leads to the cluster; operators are given another where they have rights of their own.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

impl Deref for World {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

/// A playground ends with its world. A real cluster is tidied up, also after a test that failed.
impl Drop for World {
    fn drop(&mut self) {
        if self.playground.is_some() {
            // A file that stays behind is no reason to hide why a test failed.
            for file in [Some(&self.kubeconfig), self.operators_kubeconfig.as_ref()].into_iter().flatten() {
                _ = std::fs::remove_file(file);
            }
            return;
        }
        let (kubeconfig, namespaces) = (self.kubeconfig.clone(), std::mem::take(&mut *self.namespaces.lock().unwrap()));
        let tidy_up = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = Client::connect(&kubeconfig).await;
                for namespace in namespaces {
                    if let Err(refused) = client.delete(&NAMESPACES.path("", &namespace), &json!({})).await {
                        println!("namespace {namespace} stays behind: {refused}");
                    }
                }
            });
        };
        // This thread may be inside of a runtime, which another one can't be started in.
        if std::thread::spawn(tidy_up).join().is_err() {
            println!("the test's namespaces stay behind");
        }
    }
}

fn on_a_real_cluster() -> bool {
    std::env::var_os("SMOOTH_E2E").is_some()
}

/// Something that serves on 8080 as another user than root; a playground takes any name.
pub(crate) fn image() -> String {
    if !on_a_real_cluster() {
        return "example.com/mcp:1".to_owned();
    }
    std::env::var("SMOOTH_E2E_IMAGE").unwrap_or_else(|_| "docker.io/nginxinc/nginx-unprivileged:1.29-alpine".to_owned())
}

/// A name for a file that no other test has.
pub(crate) fn scratch_file(what: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(directory).unwrap();
    directory.join(unique(what))
}

/// A name that no other test has, nor another run at the same time.
fn unique(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn create_namespace(client: &Client) -> String {
    let name = unique("smooth-e2e");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    client.create(&NAMESPACES.collection(""), &namespace).await.unwrap();
    name
}
