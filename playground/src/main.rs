//! `playground`: the API server as a process of its own.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;

use playground::auth::Authorization;
use playground::faults::{Plan, SYNTAX};
use playground::mcp::{affordable_listeners, behaviour};
use playground::{Options, Playground};
use tokio::time::Duration;

const USAGE: &str = "\
A Kubernetes API server small enough to embed, with controllers for Deployments and pods. No container runs, but each
answers at its pod's address as the MCP server that its image's name says.

Usage: playground [--listen ADDRESS] [--kubeconfig FILE] [--ready-delay DURATION] [--faults FAULTS] [--seed N]
                  [--authorization MODE] [--tls] [--listeners N]

  --listen ADDRESS        where to listen [default: 127.0.0.1:0, a free port]
  --kubeconfig FILE       write a kubeconfig that leads here
  --ready-delay DURATION  from a pod's making to its readiness, such as 300ms or 2s [default: 300ms]
  --faults FAULTS         what goes wrong, such as delay=50ms..500ms:0.3,cut-watches=5s; see below
  --seed N                where uids, names, tokens and all other chance come from [default: 0]
  --authorization MODE    always-allow, or rbac: what roles and bindings say, with TLS, for kubectl says who it is over
                          HTTPS only; the kubeconfig leads here as the administrator [default: always-allow]
  --tls                   serve HTTPS; the kubeconfig trusts it
  --listeners N           on how many ports of pods is listened, at most; 0 for none; Linux only [default: half of the
                          files that the process may open]
";

/// What the command line asks for.
struct Arguments {
    options: Options,
    kubeconfig: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}\n{SYNTAX}\n\n{}", behaviour::help());
        return ExitCode::SUCCESS;
    }
    match parse(&arguments) {
        Ok(arguments) => match run(arguments).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("playground: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprint!("playground: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn run(Arguments { options, kubeconfig }: Arguments) -> Result<(), String> {
    let listen = options.listen;
    let playground = Playground::start(options).await.map_err(|error| format!("can't listen on {listen}: {error}"))?;
    if let Some(file) = &kubeconfig {
        write_private(file, &playground.kubeconfig()).map_err(|error| format!("can't write {file}: {error}"))?;
    }
    println!("{}", playground.url());
    stopped().await.map_err(|error| format!("can't wait for signals: {error}"))?;
    playground.stop().await;
    Ok(())
}

/// Writes a file that nobody else may read: a kubeconfig may hold a key.
fn write_private(file: &str, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

async fn stopped() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn parse(arguments: &[String]) -> Result<Arguments, String> {
    // Whoever starts it as a process looks at it with kubectl.
    let mut options = Options { events: true, listeners: affordable_listeners(), ..Options::default() };
    let mut kubeconfig = None;
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        if flag == "--tls" {
            options.tls = true;
            continue;
        }
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, value.to_owned()),
            None => (flag.as_str(), rest.next().ok_or_else(|| format!("{flag} needs a value"))?.clone()),
        };
        match flag {
            "--listen" => options.listen = value.parse().map_err(|_| format!("{value} is no address with a port"))?,
            "--kubeconfig" => kubeconfig = Some(value),
            "--ready-delay" => options.ready_delay = duration(&value)?,
            "--authorization" => {
                options.authorization = authorization(&value)?;
                options.tls |= options.authorization == Authorization::Rbac;
            }
            "--faults" => {
                options.faults = value.parse::<Plan>().map_err(|error| format!("{flag}: {error}"))?;
            }
            "--listeners" => options.listeners = value.parse().map_err(|_| format!("{value} is no number"))?,
            "--seed" => options.seed = value.parse().map_err(|_| format!("{value} is no number"))?,
            other => return Err(format!("unknown flag {other}")),
        }
    }
    Ok(Arguments { options, kubeconfig })
}

fn authorization(text: &str) -> Result<Authorization, String> {
    match text.to_lowercase().as_str() {
        "always-allow" | "alwaysallow" => Ok(Authorization::AlwaysAllow),
        "rbac" => Ok(Authorization::Rbac),
        _ => Err(format!("{text} is no authorization mode: it is always-allow or rbac")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis(1)),
        None => (text.strip_suffix('s').unwrap_or(text), Duration::from_secs(1)),
    };
    let number: u32 = number.parse().map_err(|_| format!("{text} is no duration such as 300ms or 2s"))?;
    Ok(unit * number)
}
