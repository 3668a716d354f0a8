//! A cluster to play with: the API server and the operator in one process, and kubectl from outside.
//!
//! ```text
//!  make playground ──► playground::Playground ◄── HTTP ── smooth_operator::manager
//!                           ▲          │
//!                kubectl ───┘          └──► what happens, line by line
//! ```
//!
//! The operator here is the one that runs in a cluster: it reads a kubeconfig, connects, and knows nothing of what stands
//! at the other end. The other end is a Kubernetes API server without containers: a pod is its status, and
//! becomes ready after a delay.
//!
//! With `--once` it ends when the samples are Ready, and says by its exit code whether they were. That is a test
//! of the two together.

mod args;
mod narrator;
mod samples;
mod words;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use playground::{Options, Playground};
use smooth_operator::client::{Target, connect};
use smooth_operator::controller;
use smooth_operator::http::BindAddress;
use smooth_operator::manager::{self, Settings};
use smooth_operator::telemetry::{LogFormat, init_logs};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use args::Args;
use narrator::Narrator;
use samples::Samples;

/// Under this name the samples are applied: as if a person had done it.
const MANAGER: &str = "kubectl";
/// What a pod gets to finish is short here, since nothing runs in it.
const GRACE: Duration = Duration::from_secs(5);

const TRY: &str = "\
It stays up until Ctrl-C. In another terminal, after the export line above, try:

  kubectl get mcp -o wide
  kubectl scale mcp/fetch --replicas=3
  kubectl scale deployment/fetch --replicas=7   # is put back: this field is the operator's
  kubectl rollout restart deployment/fetch      # is left alone: this one is not
  kubectl delete deployment/fetch               # is made again

A Secret that comes late (piped, because this API server takes only JSON and YAML):

  kubectl patch mcp/fetch --type=merge -p '{\"spec\":{\"secretName\":\"late\"}}'
  kubectl create secret generic late --from-literal=A=1 --dry-run=client -o yaml | kubectl apply -f -

An image that can't be pulled, and what the server then says of itself:

  kubectl patch mcp/fetch --type=merge -p '{\"spec\":{\"image\":\"invalid.example/fetch:1\"}}'
  kubectl describe mcp/fetch
";

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
    init_logs(LogFormat::Text, &args.log_level).context("--log-level")?;
    let samples = Samples::read(&args.samples)?;
    let playground = start(&args).await?;
    write_kubeconfig(&args.kubeconfig, &playground.kubeconfig())?;
    println!("An API server at {}, and the operator on it. No container runs here.\n", playground.url());
    println!("  export KUBECONFIG={}\n", args.kubeconfig.display());
    let ended = play(&args, &playground, &samples).await;
    playground.stop().await;
    ended
}

/// Everything between the start and the stop of the API server.
async fn play(args: &Args, playground: &Playground, samples: &Samples) -> anyhow::Result<()> {
    let cluster = playground.cluster();
    let definitions = "customresourcedefinitions.apiextensions.k8s.io";
    let definition = smooth_operator::api::crd::definition();
    cluster.apply(definitions, "", None, &definition, MANAGER, true).context("the definition of MCPServer")?;

    let quiet = CancellationToken::new();
    let narrator = tokio::spawn(Narrator::new(cluster).run(quiet.clone()));
    let stop = CancellationToken::new();
    let mut operator = start_operator(args, stop.clone()).await?;
    let applied = samples.apply(cluster, MANAGER);

    let asked = async {
        applied?;
        if args.once {
            return samples.ready(cluster, args.timeout).await;
        }
        // What can be tried is told when the samples have had their say; a sample that never is Ready must not hide it.
        let told = samples.ready(cluster, args.timeout).await;
        println!("\n{TRY}");
        if let Err(error) = told {
            println!("Not all is well: {error:#}\n");
        }
        tokio::signal::ctrl_c().await.context("Ctrl-C can't be waited for")
    };
    let ended = tokio::select! {
        asked = asked => asked,
        interrupted = tokio::signal::ctrl_c(), if !args.once => interrupted.context("Ctrl-C can't be waited for"),
        ended = &mut operator => {
            quiet.cancel();
            narrator.await?;
            ended??;
            bail!("the operator ended by itself");
        }
    };
    println!(
        "\nEnding: the operator first, then the API server.{}",
        if args.once { "" } else { " Ctrl-C again aborts." }
    );
    let abort = tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(1);
        }
    });
    stop.cancel();
    operator.await??;
    quiet.cancel();
    narrator.await?;
    abort.abort();
    ended
}

async fn start(args: &Args) -> anyhow::Result<Playground> {
    let listen = SocketAddr::from(([127, 0, 0, 1], args.port));
    let options = Options { listen, ready_delay: args.ready_delay, ..Options::default() };
    Playground::start(options).await.with_context(|| {
        format!(
            "port {} can't be listened on; end what uses it, or choose another with --port (0 takes a free one)",
            args.port
        )
    })
}

/// Starts the operator as `smooth-operator run` would, but listening nowhere unless asked to: the ports may be taken, by
/// a second playground for one.
async fn start_operator(
    args: &Args,
    stop: CancellationToken,
) -> anyhow::Result<JoinHandle<Result<(), manager::Error>>> {
    let connection = connect(&Target { kubeconfig: Some(args.kubeconfig.clone()), context: None }).await?;
    let settings = Settings {
        namespaces: Vec::new(),
        work: controller::Options { grace: GRACE, ..controller::Options::default() },
        election: None,
        metrics: args.metrics_bind_address.clone(),
        health: BindAddress::Disabled,
        watch_seconds: 300..=600,
        resync: Duration::from_secs(10 * 60 * 60),
        seed: u64::from(std::process::id()),
    };
    Ok(tokio::spawn(async move { Box::pin(manager::run(&connection, settings, stop)).await }))
}

fn write_kubeconfig(file: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, text)
    };
    write().with_context(|| format!("{} can't be written; name another file with --kubeconfig", file.display()))
}
