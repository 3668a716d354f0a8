//! The whole operator on the wire: what it asks for when it starts, and what it waits for.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};
use smooth_operator::client::Connection;
use smooth_operator::controller::Options;
use smooth_operator::http::BindAddress;
use smooth_operator::manager::{self, Serving, Settings, Surroundings};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::fixture::client_of;
use crate::logs::{self, lines_with};
use crate::scripted::{LONG, Server};
use crate::thing::{added, initial_end, with};

const SERVERS: &str = "/apis/mcp.mcp.dev/v1alpha1/mcpservers";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
const SERVICES: &str = "/api/v1/services";
const SECRETS: &str = "/api/v1/secrets";
const PODS: &str = "/api/v1/pods";
const BUDGETS: &str = "/apis/policy/v1/poddisruptionbudgets";
const POLICIES: &str = "/apis/networking.k8s.io/v1/networkpolicies";
const AUTOSCALERS: &str = "/apis/autoscaling/v2/horizontalpodautoscalers";

/// Long enough to see that nothing is asked for.
const WHILE: Duration = Duration::from_millis(500);

/// A server that needs nothing but its children.
fn web() -> Value {
    let metadata =
        json!({"namespace": "n", "name": "web", "uid": "uid of web", "resourceVersion": "5", "generation": 1});
    json!({"metadata": metadata, "spec": {"image": "x"}})
}

struct Operator {
    server: Server,
    stop: CancellationToken,
    task: JoinHandle<Result<(), manager::Error>>,
}

impl Operator {
    async fn start() -> Self {
        logs::listen();
        let server = Server::start().await;
        let connection = Connection {
            client: client_of(&server.url).await,
            server: server.url.clone(),
            namespace: "default".to_owned(),
        };
        let settings = Settings {
            namespaces: Vec::new(),
            work: Options { workers: NonZeroUsize::MIN, grace: Duration::ZERO },
            election: None,
            metrics: BindAddress::Disabled,
            health: BindAddress::Disabled,
            serving: Serving::default(),
            watch_seconds: 77..=77,
            resync: Duration::ZERO,
            seed: 1,
            surroundings: Surroundings::default(),
        };
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move { Box::pin(manager::run(&connection, settings, token)).await });
        Self { server, stop, task }
    }

    async fn stops(self) {
        self.stop.cancel();
        timeout(LONG, self.task).await.expect("it ends with the stop").unwrap().unwrap();
    }
}

#[tokio::test]
async fn how_long_watches_are_to_last_is_what_the_settings_say() {
    let mut operator = Operator::start().await;
    for path in [SERVERS, DEPLOYMENTS, SERVICES, SECRETS, PODS, BUDGETS, POLICIES, AUTOSCALERS] {
        assert_eq!(operator.server.next_to(path).await.timeout_seconds(), 77, "{path}");
    }
    operator.stops().await;
}

/// An object whose metadata can't be read has no status that could be written. The log is the place to say so, and nothing is done to
/// what it may own.
#[tokio::test]
async fn a_server_of_which_only_the_name_can_be_read_is_logged_and_holds_up_nobody() {
    let mut operator = Operator::start().await;
    let mut servers = operator.server.next_to(SERVERS).await.stream().await;
    servers.line(&added(&with(web(), "/metadata/generation", json!("many")))).await;
    servers.line(&added(&with(web(), "/metadata/name", json!("zoe")))).await;
    servers.line(&initial_end(10)).await;
    let mut open = vec![servers];
    for path in [DEPLOYMENTS, SERVICES, SECRETS, PODS, BUDGETS, POLICIES, AUTOSCALERS] {
        let mut stream = operator.server.next_to(path).await.stream().await;
        stream.line(&initial_end(10)).await;
        open.push(stream);
    }
    let first = operator.server.next().await;
    assert_eq!(first.path, "/apis/apps/v1/namespaces/n/deployments/zoe");
    let said = lines_with("an object can't be read; the others are not affected");
    assert!(said.len() == 1 && said[0].contains("key=n/web") && said[0].contains(r#"string "many""#), "{said:?}");
    drop((first, open));
    operator.stops().await;
}

/// A key is in the queue from the first cache on. A worker that took it then would find no Deployment, and make a second one.
#[tokio::test]
async fn nothing_is_decided_before_the_last_cache_is_filled() {
    let mut operator = Operator::start().await;
    let mut servers = operator.server.next_to(SERVERS).await.stream().await;
    servers.line(&added(&web())).await;
    servers.line(&initial_end(10)).await;
    let mut open = vec![servers];
    for path in [DEPLOYMENTS, SERVICES, PODS, BUDGETS, POLICIES, AUTOSCALERS] {
        let mut stream = operator.server.next_to(path).await.stream().await;
        stream.line(&initial_end(10)).await;
        open.push(stream);
    }
    let mut secrets = operator.server.next_to(SECRETS).await.stream().await;
    assert!(timeout(WHILE, operator.server.next()).await.is_err(), "something was decided without knowing the Secrets");
    secrets.line(&initial_end(10)).await;
    let first = operator.server.next().await;
    let expected = ("PATCH", "/apis/apps/v1/namespaces/n/deployments/web");
    assert_eq!((first.method.as_str(), first.path.as_str()), expected);
    drop((first, secrets, open));
    operator.stops().await;
}
