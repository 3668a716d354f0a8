//! Whose key is it? What changes on any of the watches becomes the keys of the servers that it concerns.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use smooth_operator::mcpserver::triggers::Informers;
use smooth_operator::object::ObjectKey;
use smooth_operator::telemetry::Metrics;
use smooth_operator::workqueue::{Priority, RateLimit, Workqueue};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::fixture::client_of;
use crate::scripted::{LONG, Server, Stream};
use crate::thing::{added, deleted, initial_end, modified};
use crate::world::unhurried;

/// The watches, open and complete, and the queue behind them. Two servers are there: `web`, which names the Secret `tokens`, and
/// `api`.
struct Watches {
    queue: Workqueue<ObjectKey>,
    servers: Stream,
    deployments: Stream,
    services: Stream,
    secrets: Stream,
    pods: Stream,
    budgets: Stream,
    _others: [Stream; 2],
    _tasks: JoinSet<()>,
}

fn object(name: &str, uid: &str, version: u64, owner: Option<(&str, &str)>) -> Value {
    let owners: Vec<Value> = owner
        .iter()
        .map(|(name, uid)| {
            json!({"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "name": name, "uid": uid, "controller": true})
        })
        .collect();
    let version = version.to_string();
    json!({
        "metadata": {"namespace": "n", "name": name, "uid": uid, "resourceVersion": version, "ownerReferences": owners},
        "spec": {"image": "x", "secretName": if name == "web" { json!("tokens") } else { json!(null) }},
    })
}

async fn watches() -> Watches {
    let mut server = Server::start().await;
    let (client, metrics) = (client_of(&server.url).await, Metrics::new());
    let queue = Workqueue::new(RateLimit::default(), metrics.queue("mcpserver"));
    let mut informers = Informers::new(&[None], &unhurried());
    informers.enqueue_on_change(queue.clone()).open();
    let mut tasks = JoinSet::new();
    informers.start(&client, &metrics, &mut StdRng::seed_from_u64(1), &mut tasks, &CancellationToken::new());
    let mut servers = server.next_to("/apis/mcp.mcp.dev/v1alpha1/mcpservers").await.stream().await;
    let mut deployments = server.next_to("/apis/apps/v1/deployments").await.stream().await;
    let mut services = server.next_to("/api/v1/services").await.stream().await;
    let mut secrets = server.next_to("/api/v1/secrets").await.stream().await;
    let mut pods = server.next_to("/api/v1/pods").await.stream().await;
    let mut budgets = server.next_to("/apis/policy/v1/poddisruptionbudgets").await.stream().await;
    let mut policies = server.next_to("/apis/networking.k8s.io/v1/networkpolicies").await.stream().await;
    let mut autoscalers = server.next_to("/apis/autoscaling/v2/horizontalpodautoscalers").await.stream().await;
    servers.line(&added(&object("web", "uid of web", 1, None))).await;
    servers.line(&added(&object("api", "uid of api", 2, None))).await;
    for stream in [
        &mut servers,
        &mut deployments,
        &mut services,
        &mut secrets,
        &mut pods,
        &mut budgets,
        &mut policies,
        &mut autoscalers,
    ] {
        stream.line(&initial_end(10)).await;
    }
    let others = [policies, autoscalers];
    let watches =
        Watches { queue, servers, deployments, services, secrets, pods, budgets, _others: others, _tasks: tasks };
    assert_eq!(watches.next().await, ("n/api".to_owned(), Priority::LOW));
    assert_eq!(watches.next().await, ("n/web".to_owned(), Priority::LOW));
    watches
}

impl Watches {
    /// The next key of the queue, and how urgent it is.
    async fn next(&self) -> (String, Priority) {
        let item = timeout(LONG, self.queue.get()).await.expect("no key comes").expect("nobody shuts the queue down");
        (item.key().to_string(), item.priority())
    }

    async fn concerns(&self, key: &str) {
        assert_eq!(self.next().await, (key.to_owned(), Priority::NORMAL));
    }
}

#[tokio::test]
async fn a_childs_change_concerns_the_server_that_controls_it() {
    let mut watches = watches().await;
    let child = |version| object("of-another-name", "c", version, Some(("api", "uid of api")));
    watches.deployments.line(&added(&child(11))).await;
    watches.concerns("n/api").await;
    watches.services.line(&modified(&child(12))).await;
    watches.concerns("n/api").await;
    watches.deployments.line(&deleted(&child(13))).await;
    watches.concerns("n/api").await;
    // A child that changes hands concerns both; the owner of an earlier life concerns nobody.
    watches.deployments.line(&added(&child(14))).await;
    watches.concerns("n/api").await;
    watches.deployments.line(&modified(&object("of-another-name", "c", 15, Some(("web", "uid of web"))))).await;
    watches.concerns("n/api").await;
    watches.concerns("n/web").await;
    watches.deployments.line(&added(&object("orphan", "o", 16, Some(("api", "an earlier uid"))))).await;
    watches.deployments.line(&added(&object("last", "l", 17, Some(("web", "uid of web"))))).await;
    watches.concerns("n/web").await;
}

#[tokio::test]
async fn a_pods_change_concerns_the_server_that_its_label_names_and_nobody_else() {
    let mut watches = watches().await;
    let pod = |name: &str, server: &str, version: u64, manager: &str| {
        let labels = json!({"app.kubernetes.io/managed-by": manager, "app.kubernetes.io/instance": server});
        let metadata = json!({"namespace": "n", "name": name, "uid": name, "resourceVersion": version.to_string(), "labels": labels});
        json!({"metadata": metadata, "spec": {}})
    };
    watches.pods.line(&added(&pod("a", "api", 11, "smooth-operator"))).await;
    watches.concerns("n/api").await;
    watches.pods.line(&added(&pod("b", "api", 12, "somebody"))).await;
    watches.pods.line(&added(&pod("c", "unknown", 13, "smooth-operator"))).await;
    watches.pods.line(&deleted(&pod("a", "api", 14, "smooth-operator"))).await;
    watches.concerns("n/api").await;
    watches.budgets.line(&added(&object("web", "b", 15, Some(("web", "uid of web"))))).await;
    watches.concerns("n/web").await;
}

/// It may be what the server waits for: a stranger that goes away, a child of its predecessor that is collected at last.
#[tokio::test]
async fn whatever_bears_a_servers_name_concerns_it_whoever_controls_it() {
    let mut watches = watches().await;
    for (version, owner) in [(11, None), (13, Some(("web", "an earlier uid"))), (15, Some(("somebody", "else")))] {
        watches.services.line(&added(&object("web", "s", version, owner))).await;
        watches.concerns("n/web").await;
        watches.services.line(&deleted(&object("web", "s", version + 1, owner))).await;
        watches.concerns("n/web").await;
    }
}

#[tokio::test]
async fn a_secret_concerns_those_who_name_it_and_nobody_else() {
    let mut watches = watches().await;
    let secret = |name: &str, version| object(name, name, version, None);
    for line in [added(&secret("tokens", 11)), modified(&secret("tokens", 13)), deleted(&secret("tokens", 15))] {
        let version = line["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
        watches.secrets.line(&added(&secret("unrelated", version - 1))).await;
        watches.secrets.line(&line).await;
        watches.concerns("n/web").await;
    }
    let mut api = object("api", "uid of api", 20, None);
    api["spec"]["secretName"] = json!("unrelated");
    watches.servers.line(&modified(&api)).await;
    watches.concerns("n/api").await;
    watches.secrets.line(&modified(&secret("unrelated", 21))).await;
    watches.concerns("n/api").await;
}
