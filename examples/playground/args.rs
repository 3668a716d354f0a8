//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use smooth_operator::http::BindAddress;

/// An API server and the operator in one process, for kubectl; stays up until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "playground", max_term_width = 100)]
pub(crate) struct Args {
    /// Where the API server listens on 127.0.0.1; 0 takes a free port.
    #[arg(long, value_name = "PORT", default_value_t = 7443)]
    pub(crate) port: u16,
    /// Where to write the kubeconfig that leads here.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/playground/kubeconfig"), value_parser = absolute)]
    pub(crate) kubeconfig: PathBuf,
    /// The folder of the manifests that are applied at the start.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples"))]
    pub(crate) samples: PathBuf,
    /// How long a pod takes to be ready.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) ready_delay: Duration,
    /// End when all samples are Ready; exit code 1 where that takes longer than --timeout.
    #[arg(long)]
    pub(crate) once: bool,
    /// How long to wait for the samples to be Ready.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Where the operator serves its metrics, `127.0.0.1:8080` say; 0 for nowhere.
    #[arg(long, value_name = "ADDRESS", default_value = "0")]
    pub(crate) metrics_bind_address: BindAddress,
    /// What the operator logs, to standard error: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log_level: String,
}

/// The export line is for another terminal, which stands in another folder.
fn absolute(text: &str) -> std::io::Result<PathBuf> {
    std::path::absolute(text)
}

fn duration(text: &str) -> Result<Duration, String> {
    let span =
        text.parse::<jiff::SignedDuration>().map_err(|_| format!("{text:?} is no time; write 300ms, 2s or 1m"))?;
    Duration::try_from(span).map_err(|_| format!("{text:?} is negative"))
}
