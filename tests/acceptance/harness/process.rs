//! The operator as a process: the program that is shipped, with its flags, signals, exit code and log.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::World;
use super::objects::LEASES;
use super::wait::{eventually, patience};

/// Flags of an election that takes seconds.
pub(crate) const QUICK_ELECTION: [&str; 7] =
    ["--leader-elect", "--lease-duration", "5s", "--renew-deadline", "4s", "--retry-period", "500ms"];

/// The program, started. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: JoinSet<()>,
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// All that it said, on both channels.
    pub(crate) output: String,
}

/// The program with these arguments, and nothing in its environment that would tell it of a cluster.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smooth-operator"));
    command.args(arguments);
    for (name, _) in std::env::vars() {
        if name.starts_with("SMOOTH_OPERATOR_") || name.starts_with("KUBE") {
            command.env_remove(name);
        }
    }
    // No kubeconfig in the home of whoever runs the tests.
    command.env("HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

impl World {
    /// Starts `smooth-operator run` against this world, in all its namespaces; `flags` come on top.
    pub(crate) fn process(&self, flags: &[&str]) -> Process {
        let mut command = program(&["run", "--metrics-bind-address", "0", "--health-bind-address", "0"]);
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command.args(["--namespaces", &self.namespaces.lock().unwrap().join(",")]);
        command.args(["--lease-namespace", &self.namespace]).args(flags);
        Process::start(command)
    }
}

/// The name of the Lease.
pub(crate) const LEASE: &str = "smooth-operator";

impl World {
    /// A Lease that was given back. Without one the first instance waits a whole lease duration before it leads, for
    /// somebody may lead by one that was deleted.
    pub(crate) async fn create_released_lease(&self) {
        let spec = json!({"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 1});
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE}, "spec": spec,
        });
        self.create(LEASES, &lease).await;
    }
}

impl Process {
    /// Starts it, and reads along from now on.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (output, mut readers) = (Arc::default(), JoinSet::new());
        readers.spawn(read(child.stdout.take().unwrap(), Arc::clone(&output)));
        readers.spawn(read(child.stderr.take().unwrap(), Arc::clone(&output)));
        Self { child, output, readers }
    }

    /// All that it has said so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Whether it has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has said this.
    pub(crate) async fn says(&self, what: &str) {
        eventually(&format!("the program says {what:?}"), async || {
            let output = self.output();
            if output.contains(what) { Ok(()) } else { Err(output) }
        })
        .await;
    }

    /// Sends it a signal, `TERM`, `KILL`, ...
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(sent.success(), "kill -s {name} {id}");
    }

    /// Waits for its end.
    pub(crate) async fn ends(mut self) -> Ended {
        let Ok(status) = timeout(patience(), self.child.wait()).await else {
            panic!("the program does not end: {}", self.output());
        };
        let status = status.unwrap();
        while self.readers.join_next().await.is_some() {}
        Ended { status, output: self.output() }
    }
}

async fn read(channel: impl AsyncRead + Unpin, output: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(channel).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut output = output.lock().unwrap();
        output.push_str(&line);
        output.push('\n');
    }
}
