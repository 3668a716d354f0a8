//! `make playground`: a Kubernetes API server and the operator in one process, without a cluster.
//!
//! The API server is the workspace's `playground`: it answers like Kubernetes, keeps everything in memory, and has pods
//! without containers. The operator is the real one, and communicates with it over HTTP as with any other API server.
//! The samples are applied, and what happens to them is shown. Then the process keeps running for `kubectl`.
//!
//! There are two ways to look at it. On a terminal it is the [`view`]: the servers, the story, and keys to interfere with
//! them, with two operators that compete for a Lease. Anywhere else, it is [`plain`]: one operator, and the story line by
//! line.

mod operators;
mod plain;
mod samples;
mod story;
mod view;

use std::io::{IsTerminal as _, stdin, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use playground::faults::{Plan, SYNTAX};
use playground::{Cluster, Options, Playground};
use smooth_operator::api::crd;
use smooth_operator::http::BindAddress;
use smooth_operator::telemetry::LogFilter;

/// The beginning of the operator's `User-Agent`.
const OPERATOR: &str = "smooth-operator/";

/// A Kubernetes API server and Smooth Operator in one process: an in-memory cluster to play with.
#[derive(Debug, Parser)]
#[command(name = "playground", max_term_width = 100)]
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
    /// The address for the operator's metrics, for example `127.0.0.1:8080`; 0 disables them. In the view, there are two
    /// operators, and these are the metrics of the first one.
    #[arg(long, value_name = "ADDRESS", default_value = "0")]
    metrics_bind_address: BindAddress,
    /// What the operator logs: error, warn, info, debug, or a list like info,smooth_operator::client=debug. In the view,
    /// it logs to a file next to the kubeconfig, info by default; otherwise between the lines of the story, warn by
    /// default.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogFilter>,
    /// Faults between the operator and the API server, such as `delay=50ms..500ms:0.3,cut-watches=5s`; see --help.
    #[arg(long, value_name = "FAULTS", help_heading = "Faults", long_help = faults_help())]
    faults: Option<Plan>,
    /// Print line by line what happens, even on a terminal.
    #[arg(long)]
    plain: bool,
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
    if wants_view(&args) { view::run(&args).await } else { plain::run(&args).await }
}

/// The view needs a terminal that can be drawn on, and keys.
fn wants_view(args: &Args) -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !args.plain && !args.once && !dumb && stdout().is_terminal() && stdin().is_terminal()
}

fn faults_help() -> String {
    format!("Faults between the operator and the API server; kubectl is not affected.\n\n{SYNTAX}")
}

/// Starts the API server and writes a kubeconfig for it.
async fn serve(args: &Args) -> anyhow::Result<Playground> {
    let listen = SocketAddr::from(([127, 0, 0, 1], args.port));
    let ready_delay = Duration::from_millis(args.ready_delay);
    let faults = args.faults.clone().unwrap_or_default().only_for(OPERATOR);
    let options = Options { listen, ready_delay, faults, ..Options::default() };
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

/// The second Ctrl-C stops at once, for whoever does not want to wait for the end in order.
fn stop_at_once_on_ctrl_c() {
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(1);
        }
    });
}
