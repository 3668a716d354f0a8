//! The command line: what a person can ask of this program, and how it answers.
//!
//! Every flag of `run` can also be given as an environment variable, because that is what a Deployment sets most easily.
//! A wrong value is refused before anything is started, in one line that names the flag; exit code 2. What fails
//! later is one line, too, with the mend in it; exit code 1.

pub mod crd;
pub mod run;

use clap::{Parser, Subcommand};

/// Runs Model Context Protocol (MCP) servers on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "smooth-operator", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator: keep every MCPServer as its spec asks.
    Run(Box<run::RunArgs>),
    /// Print the CustomResourceDefinition of MCPServer, as YAML for `kubectl apply -f -`.
    Crd,
}

impl Command {
    /// Does it, and returns when it is done.
    ///
    /// # Errors
    ///
    /// It can't be done; the message is for the person who asked.
    pub async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Run(args) => Box::pin(run::run(*args)).await,
            Self::Crd => crd::print(),
        }
    }
}
