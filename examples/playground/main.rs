//! `make playground`: a Kubernetes API server and the operator in one process, without a cluster.
//!
//! The API server is the workspace's `playground`: it answers like Kubernetes, keeps everything in memory, and has pods
//! without containers, which answer as MCP servers all the same. The operator is the real one, and communicates with it over HTTP as with any other API server.
//! The samples are applied, and what happens to them is printed line by line. Then the process keeps running for
//! `kubectl`.

mod story;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use playground::faults::{Plan, SYNTAX};
use playground::mcp::{affordable_listeners, behaviour};
use playground::{Cluster, Options, Playground};
use serde_json::Value;
use smooth_operator::api::{MCPSERVERS, crd};
use smooth_operator::client::{Target, connect};
use smooth_operator::controller;
use smooth_operator::http::BindAddress;
use smooth_operator::manager::{self, Settings};
use smooth_operator::telemetry::{LogFilter, LogFormat, init_logs};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The beginning of the operator's `User-Agent`.
const OPERATOR: &str = "smooth-operator/";

/// A Kubernetes API server and Smooth Operator in one process: an in-memory cluster to play with.
#[derive(Debug, Parser)]
#[command(name = "playground", max_term_width = 100, after_long_help = behaviour::help())]
struct Args {
    /// The port of the API server on 127.0.0.1; 0 for a free one.
    #[arg(long, default_value_t = 7443)]
    port: u16,
    /// Where to write the kubeconfig.
    #[arg(long, value_name = "FILE", default_value = "target/playground/kubeconfig")]
    kubeconfig: PathBuf,
    /// The samples to apply at the start.
    #[arg(long, value_name = "DIRECTORY", default_value = "config/samples")]
    samples: PathBuf,
    /// How long a pod takes to become ready.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1500)]
    ready_delay: u64,
    /// The address for the operator's metrics, for example `127.0.0.1:8080`; 0 disables them.
    #[arg(long, value_name = "ADDRESS", default_value = "0")]
    metrics_bind_address: BindAddress,
    /// What the operator logs between the lines of the story: error, warn, info, debug, or a list like
    /// info,smooth_operator::client=debug.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log_level: LogFilter,
    /// Faults between the operator and the API server, such as `delay=50ms..500ms:0.3,cut-watches=5s`; see --help.
    #[arg(long, value_name = "FAULTS", help_heading = "Faults", long_help = faults_help())]
    faults: Option<Plan>,
    /// Exit when all samples are Ready; exit with 1 if they are not Ready within 30 seconds.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("playground: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    init_logs(LogFormat::Text, &args.log_level)?;
    let server = serve(&args).await?;
    let cluster = server.cluster().clone();
    install(&cluster)?;
    let stop = CancellationToken::new();
    let operator = operate(&args, stop.clone()).await?;
    let began = Instant::now();
    let story = tokio::spawn(story::tell(story::begin(&cluster), began));
    let strikes = tokio::spawn(story::tell_strikes(cluster.clone(), began));
    introduce(&args, &server);
    apply_samples(&cluster, &args.samples)?;
    let ended = if args.once {
        timeout(Duration::from_secs(30), all_ready(&cluster))
            .await
            .context("the samples are not Ready after 30 seconds")
    } else {
        suggest();
        tokio::signal::ctrl_c().await.context("can't handle Ctrl-C")
    };
    println!("\nStopping the operator, then the API server. Ctrl-C again stops at once.");
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(1);
        }
    });
    stop.cancel();
    operator.await.context("the operator panicked")??;
    story.abort();
    strikes.abort();
    server.stop().await;
    ended
}

fn faults_help() -> String {
    format!("Faults between the operator and the API server; kubectl is not affected.\n\n{SYNTAX}")
}

/// Starts the API server and writes a kubeconfig for it.
async fn serve(args: &Args) -> anyhow::Result<Playground> {
    let listen = SocketAddr::from(([127, 0, 0, 1], args.port));
    let ready_delay = Duration::from_millis(args.ready_delay);
    let faults = args.faults.clone().unwrap_or_default().only_for(OPERATOR);
    let options = Options { listen, ready_delay, faults, listeners: affordable_listeners(), ..Options::default() };
    let server = Playground::start(options)
        .await
        .with_context(|| format!("can't listen on {listen}; choose another port with --port, or 0 for a free one"))?;
    let file = &args.kubeconfig;
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
    }
    std::fs::write(file, server.kubeconfig())
        .with_context(|| format!("can't write {}; choose another file with --kubeconfig", file.display()))?;
    Ok(server)
}

/// What `make install` does to a real cluster.
fn install(cluster: &Cluster) -> anyhow::Result<()> {
    let resource = "customresourcedefinitions.apiextensions.k8s.io";
    match cluster.create(resource, "", crd::definition(), "make-install") {
        Ok(_made) => Ok(()),
        Err(status) => bail!("the API server refused the CRD: {status:?}"),
    }
}

/// Starts the operator. It connects like any operator: with the kubeconfig.
async fn operate(args: &Args, stop: CancellationToken) -> anyhow::Result<JoinHandle<Result<(), manager::Error>>> {
    let connection = connect(&Target { kubeconfig: Some(args.kubeconfig.clone()), context: None }).await?;
    let settings = Settings {
        namespaces: Vec::new(),
        work: controller::Options::default(),
        election: None,
        metrics: args.metrics_bind_address.clone(),
        health: BindAddress::Disabled,
        watch_seconds: 300..=600,
        resync: Duration::from_secs(10 * 60 * 60),
        seed: 0,
    };
    Ok(tokio::spawn(async move { manager::run(&connection, settings, stop).await }))
}

/// What `kubectl apply -f config/samples/` does.
fn apply_samples(cluster: &Cluster, directory: &Path) -> anyhow::Result<()> {
    let place = directory.display();
    let entries = std::fs::read_dir(directory).with_context(|| {
        format!("no samples in {place}; run this in the top directory of the repository, or choose a directory with --samples")
    })?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        for object in story::documents(&text).with_context(|| format!("{} is not valid YAML", file.display()))? {
            let (resource, name) = match object["kind"].as_str() {
                Some("MCPServer") => (MCPSERVERS.to_string(), &object["metadata"]["name"]),
                Some("Secret") => ("secrets".to_owned(), &object["metadata"]["name"]),
                kind => bail!("{}: only MCPServers and Secrets are supported, not {kind:?}", file.display()),
            };
            if let Err(status) = cluster.create(&resource, "default", object.clone(), "kubectl") {
                bail!("{}: the API server refused {name}: {status:?}", file.display());
            }
        }
    }
    Ok(())
}

/// Waits until every MCPServer is Ready.
async fn all_ready(cluster: &Cluster) {
    let ready = |server: &Value| story::condition(server, "Ready") == Some("True");
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
