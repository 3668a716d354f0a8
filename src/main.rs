//! The program: reads the command line, does what it says, and exits with 0 (stopped as asked), 1 (failed) or 2 (usage).

use std::process::ExitCode;

use clap::Parser as _;
use smooth_operator::cli::Cli;

/// One thread is plenty: everything here waits for the network, and the little that does not is shorter than a
/// switch between threads. It also keeps the memory of a second heap away.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().command.execute().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => usage.exit(),
            Err(error) => {
                eprintln!("smooth-operator: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
