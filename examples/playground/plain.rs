//! What happens, line by line, with a single operator: for pipes, for scripts, and for terminals that can't be drawn on.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use playground::{Cluster, Playground};
use serde_json::Value;
use smooth_operator::api::MCPSERVERS;
use smooth_operator::manager;
use smooth_operator::telemetry::{LogFormat, init_logs};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::story::{KINDS, Story, Teller};
use crate::{Args, install, operators, samples, serve, stop_at_once_on_ctrl_c, story};

/// Prints what happens until Ctrl-C; with `--once`, until all samples are Ready.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    init_logs(LogFormat::Text, &args.log_level.clone().unwrap_or("warn".parse()?))?;
    let server = serve(args).await?;
    let cluster = server.cluster().clone();
    install(&cluster)?;
    let stop = CancellationToken::new();
    let operator = operate(args, stop.clone()).await?;
    let began = Instant::now();
    let story = tokio::spawn(tell(story::begin(&cluster, &KINDS), began));
    let strikes = tokio::spawn(tell_strikes(cluster.clone(), began));
    introduce(args, &server);
    samples::create(&cluster, &samples::read(&args.samples)?)?;
    let ended = if args.once {
        timeout(Duration::from_secs(30), all_ready(&cluster))
            .await
            .context("the samples are not Ready after 30 seconds")
    } else {
        suggest();
        tokio::signal::ctrl_c().await.context("can't handle Ctrl-C")
    };
    println!("\nStopping the operator, then the API server. Ctrl-C again stops at once.");
    stop_at_once_on_ctrl_c();
    stop.cancel();
    operator.await.context("the operator panicked")??;
    story.abort();
    strikes.abort();
    server.stop().await;
    ended
}

/// Starts the operator.
async fn operate(args: &Args, stop: CancellationToken) -> anyhow::Result<JoinHandle<Result<(), manager::Error>>> {
    let connection = operators::connected(args.kubeconfig.clone()).await?;
    let settings = operators::settings(&args.metrics_bind_address, 0, None);
    Ok(tokio::spawn(async move { manager::run(&connection, settings, stop).await }))
}

/// Prints the story, for ever.
async fn tell(mut story: Story, began: Instant) {
    let mut teller = Teller::default();
    while let Some((kind, event)) = story.next().await {
        if let Some(line) = teller.line(kind, &event, began.elapsed()) {
            println!("{line}");
        }
    }
}

/// Prints which faults have occurred, for ever: at most one line per second and kind.
async fn tell_strikes(cluster: Cluster, began: Instant) {
    let mut teller = Teller::default();
    loop {
        sleep(Duration::from_secs(1)).await;
        for line in teller.strikes(&cluster.faults().strikes(), began.elapsed()) {
            println!("{line}");
        }
    }
}

/// Waits until every MCPServer is Ready.
async fn all_ready(cluster: &Cluster) {
    let ready =
        |server: &Value| story::condition(server, "Ready").is_some_and(|condition| condition["status"] == "True");
    while !cluster.list(&MCPSERVERS.to_string(), None).iter().all(|server| ready(server)) {
        sleep(Duration::from_millis(50)).await;
    }
}

fn introduce(args: &Args, server: &Playground) {
    let kubeconfig = std::path::absolute(&args.kubeconfig).unwrap_or_else(|_| args.kubeconfig.clone());
    println!("A Kubernetes API server and Smooth Operator, in one process. Ctrl-C ends both, and nothing is kept.\n");
    println!("  API server   {} (plain HTTP on loopback, no login)", server.url());
    println!("  kubectl      export KUBECONFIG={}", kubeconfig.display());
    println!("\nThe samples in {} are being applied. This is what happens:\n", args.samples.display());
}

fn suggest() {
    tokio::spawn(async {
        // After the story of the samples, if everything goes well.
        sleep(Duration::from_secs(4)).await;
        println!("\nThis keeps running until Ctrl-C. In another terminal, with the KUBECONFIG from above, try:\n");
        for (command, meaning) in [
            ("kubectl get mcp -o wide", "the servers"),
            ("kubectl scale mcp/fetch --replicas=3", "three pods"),
            ("kubectl scale deployment/fetch --replicas=7", "the operator scales it back"),
            ("kubectl rollout restart deployment/fetch", "the operator leaves it alone"),
            ("kubectl delete deployment fetch", "the operator creates it again"),
            (
                "kubectl patch secret mcp-secrets -p '{\"stringData\":{\"API_TOKEN\":\"new\"}}'",
                "one restart of the pods",
            ),
            ("kubectl delete mcp example-server", "deletes everything that belongs to it"),
        ] {
            println!("  {command:<78} # {meaning}");
        }
        println!();
    });
}
