//! What the playground costs: start-up, writes, and a cluster of ten thousand MCPServers.
//!
//! Two processes, so that what asks is not counted with what answers:
//!
//! ```text
//!   this one ── requests, watches, /proc/PID ──► itself again, as `serve`: the playground
//! ```
//!
//! The MCPServers' part is a sketch of an operator: it follows what an operator follows and writes what it writes, so
//! that the controllers have all of their work to do. The operator itself is measured elsewhere.
//!
//! Nothing is asserted: the times are those of this machine and of what else it does. CPU time is the steadier number.
//!
//! Run it with `make bench-playground`, or `make bench-playground ARGS="1000 2000"`: so many MCPServers, so many writes
//! of each kind. Linux only: the numbers come from `/proc`.

#![allow(clippy::cast_precision_loss, reason = "counts become numbers of two decimals, for people")]

mod client;
mod load;
mod objects;
mod process;
mod servers;

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use playground::{Options, Playground};

use load::Measured;
use process::{Process, Usage};

/// Whatever goes wrong, in words.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// From a pod's making to its readiness.
const READY_DELAY: Duration = Duration::from_millis(100);
/// How often the start is measured.
const STARTS: usize = 5;
const DEFAULT_SERVERS: usize = 10_000;
const DEFAULT_WRITES: usize = 10_000;

fn main() -> ExitCode {
    // `cargo bench` adds an option of its own to every command line.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match arguments.first().map(String::as_str) {
        Some("serve") => runtime().and_then(|runtime| runtime.block_on(serve())),
        _ => count(&arguments, 0, DEFAULT_SERVERS).and_then(|servers| {
            let writes = count(&arguments, 1, DEFAULT_WRITES)?;
            runtime()?.block_on(measure(servers, writes))
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn count(arguments: &[String], at: usize, otherwise: usize) -> Result<usize, Error> {
    let parse = |text: &String| text.parse().map_err(|_| format!("{text:?} is no number").into());
    arguments.get(at).map_or(Ok(otherwise), parse)
}

/// The API server: says where it is, and ends with the one who wants to know.
async fn serve() -> Result<(), Error> {
    let playground = Playground::start(Options { ready_delay: READY_DELAY, ..Options::default() }).await?;
    println!("{}", playground.url());
    let read_to_end = || std::io::stdin().lock().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(read_to_end).await??;
    playground.stop().await;
    Ok(())
}

async fn measure(servers: usize, writes: usize) -> Result<(), Error> {
    println!("{}\n", process::machine());
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(process::start().await?.2);
    }
    starts.sort();
    println!("start-up to the first answer          {:>10.1} ms (median of {STARTS})", millis(starts[STARTS / 2]));

    println!("\nwrites, {} connections and one watcher    per second    CPU per write (us)", load::CONNECTIONS);
    let (process, address, _) = process::start().await?;
    for measured in load::writes(&process, &address, writes).await? {
        let Measured { what, per_second, cpu } = measured;
        println!("  {what:36}{per_second:>12.0}{:>22.0}", cpu.as_secs_f64() * 1e6);
    }
    drop(process);

    println!("\nMCPServers with Deployment, Service, ReplicaSet, pod and EndpointSlice");
    let (process, address, _) = process::start().await?;
    let story = servers::story(&process, &address, servers).await?;
    let Usage { cpu, resident_kib, peak_kib } = process.usage()?;
    println!("  MCPServers                          {servers:>12}");
    println!("  until all were ready (s)            {:>12.1}", story.took.as_secs_f64());
    println!("  writes per MCPServer                {:>12.1}", story.writes as f64 / servers.max(1) as f64);
    println!("  CPU per MCPServer (ms)              {:>12.2}", millis(cpu) / servers.max(1) as f64);
    println!("  CPU per write (us)                  {:>12.0}", cpu.as_secs_f64() * 1e6 / story.writes.max(1) as f64);
    println!("  memory, then (MiB)                  {:>12.0}", resident_kib as f64 / 1024.0);
    println!("  memory, at most (MiB)               {:>12.0}", peak_kib as f64 / 1024.0);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Tells when a process has nothing to do any more.
async fn settled(process: &Process) -> Result<(), Error> {
    let (mut cpu, mut quiet) = (process.usage()?.cpu, 0);
    while quiet < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = process.usage()?.cpu;
        quiet = if now > cpu + Duration::from_millis(10) { 0 } else { quiet + 1 };
        cpu = now;
    }
    Ok(())
}
