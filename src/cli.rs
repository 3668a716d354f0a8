//! The command line: what people can ask of this program, and how it answers.
//!
//! # The naive solution, and how it breaks
//!
//! Read a flag where it is needed, and let errors end the program. Then a wrong value of `--retry-period` shows when
//! the first renewal fails, an unreachable cluster shows as retries without end, and the message is a chain of five
//! causes from which people have to guess what to do.
//!
//! # The mechanism
//!
//! Every flag of `run` can also be given as an environment variable, which is the easiest way in a Deployment. All
//! flags are checked before anything starts, and a wrong one is one line that names the flag (exit code 2). An error
//! that occurs later is also one line, which says how to fix the problem (exit code 1). The first request shows at once
//! whether the cluster can be reached.
//!
//! # What it does not promise
//!
//! That `run` checks its permissions before the start: a missing one shows when it is needed, in a log line with the
//! rule to add. [`doctor`] checks them all, and everything else that `run` needs, without running anything.
//!
//! # Equivalents
//!
//! The `main.go` that kubebuilder generates, with controller-runtime's flags. client-go and kube-runtime have none.
//!
//! # What to try
//!
//! `cargo run -- run --workers 0`, `KUBECONFIG=/nowhere cargo run -- run`, and `cargo run -- run --retry-period 9s`.
//! With `make playground` in another terminal, `cargo run -- doctor`.

pub mod cluster;
pub mod crd;
pub mod doctor;
pub mod run;
pub mod serving;
mod values;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Runs Model Context Protocol (MCP) servers on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "smooth-operator", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator: keep every MCPServer the way its spec asks.
    Run(Box<run::RunArgs>),
    /// Print the CustomResourceDefinition of MCPServer, as YAML for `kubectl apply -f -`.
    Crd,
    /// Ask the cluster whether the operator can run there: version, CRD, permissions, Lease, webhook.
    #[command(after_help = "The exit code is 1 where something is wrong.")]
    Doctor(Box<doctor::DoctorArgs>),
}

impl Command {
    /// Executes the command, and returns with which code the program ends.
    ///
    /// # Errors
    ///
    /// The command failed; the message is for people.
    pub async fn execute(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(args) => Box::pin(run::run(*args)).await.map(|()| ExitCode::SUCCESS),
            Self::Crd => crd::print().map(|()| ExitCode::SUCCESS),
            Self::Doctor(args) => Box::pin(doctor::doctor(*args)).await,
        }
    }
}

/// Prints to standard output. If the reader closes the pipe early, as `head` does, that is not an error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write to standard output"),
    }
}
