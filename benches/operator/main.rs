//! What the operator costs: writes, time, CPU and memory for a thousand and for ten thousand MCPServers.
//!
//! Three processes, so that nothing is counted twice and nothing shares a heap with what is measured:
//!
//! ```text
//!   this one ── makes and changes MCPServers, reads counters ──► itself again, as `serve`: the playground
//!      │                                                            ▲
//!      └── starts, stops, reads /proc/PID ──► smooth-operator run ──┘
//! ```
//!
//! For each number of servers the same story: they are made while the operator runs, it is stopped and started again on
//! what it left, and then single servers get another image, one after the other.
//!
//! Nothing is asserted of the times, which are those of this machine and of what else it does. A number of writes that
//! grows is a mistake, though, and so is one that isn't zero after a restart.
//!
//! Everything ends by itself: dropping a child kills it, the playground ends with the pipe to its standard input, and
//! an operator that has lost its API server loses its Lease and exits.
//!
//! Run it with `make bench`, or `make bench ARGS="--servers 1000"`. Linux only: the numbers come from `/proc`.
//!
//! The same parts serve another question, that of `make soak`: see [`soak`].

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and bytes become numbers of two decimals, for people"
)]

mod api;
mod metrics;
mod process;
mod soak;
mod stages;
mod table;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use playground::{Options, Playground};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use soak::Soak;

/// Measures the operator against the playground.
#[derive(Debug, Parser)]
#[command(name = "operator", max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: Load,
    /// What `cargo bench` adds to every command line.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep the operator under a steady load, with watches that break, and say whether it stays as it is.
    Soak(Soak),
    /// Be the API server.
    #[command(hide = true)]
    Serve {
        /// From a pod's making to its readiness.
        ready_ms: u64,
    },
}

/// How much of what.
#[derive(Debug, Clone, Args)]
struct Load {
    /// The numbers of MCPServers, each measured from the beginning.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1000,10000", env = "BENCH_SERVERS")]
    servers: Vec<usize>,
    /// How many of them then get another image, one at a time.
    #[arg(long, value_name = "N", default_value_t = 200, env = "BENCH_CHANGES")]
    changes: usize,
    /// How long a pod takes to be ready, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100, env = "BENCH_READY_MS")]
    ready_ms: u64,
    /// The program that is measured. It has to be the one that is released: what is built beside a test has the features
    /// of the tests' dependencies in it, and is half as large again.
    #[arg(long, value_name = "FILE", default_value = "target/release/smooth-operator", env = "BENCH_OPERATOR")]
    operator: PathBuf,
}

fn main() -> ExitCode {
    let Cli { command, load, bench: _ } = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bench: no threads to work with: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match command {
            Some(Command::Serve { ready_ms }) => serve(Duration::from_millis(ready_ms)).await.map(|()| true),
            Some(Command::Soak(soak)) => soak_until_told(&soak).await,
            None => measure(&load).await.map(|()| true),
        }
    });
    // Nobody waits for the thread that reads standard input.
    runtime.shutdown_background();
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The API server: says where it is, and ends with the one who wants to know.
async fn serve(ready_delay: Duration) -> anyhow::Result<()> {
    let playground = Playground::start(Options { ready_delay, ..Options::default() }).await?;
    println!("{}", playground.url());
    let left = CancellationToken::new();
    let parent = left.clone();
    std::thread::spawn(move || {
        let _end_or_error = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        parent.cancel();
    });
    left.cancelled().await;
    playground.stop().await;
    Ok(())
}

async fn measure(load: &Load) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be caught")?;
    let stories = async {
        println!("{}\n", table::machine());
        let mut stories = Vec::new();
        for servers in &load.servers {
            stories.push(stages::story(*servers, load).await.with_context(|| format!("with {servers} servers"))?);
        }
        println!("\n{}", table::render(&stories, load));
        Ok(())
    };
    tokio::select! {
        told = stories => told,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

/// Ctrl-C ends it early, with what was found by then.
async fn soak_until_told(soak: &Soak) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be caught")?;
    let end = CancellationToken::new();
    let mut soaking = pin!(soak::soak(soak, &end));
    tokio::select! {
        passed = &mut soaking => return passed,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    end.cancel();
    soaking.await
}
