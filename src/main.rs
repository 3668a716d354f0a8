//! The program: reads the command line, runs the command, and exits with 0 (stopped as asked), 1 (failed) or 2 (usage).

use std::process::ExitCode;

use clap::Parser as _;
use smooth_operator::cli::Cli;

/// One thread is enough: nearly all of the time is spent waiting for the network, and the rest takes less time than a
/// switch between threads. It also saves the memory of a second allocator arena.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().command.execute().await {
        Ok(code) => code,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => usage.exit(),
            Err(error) => {
                eprintln!("smooth-operator: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
