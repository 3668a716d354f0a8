//! A playground, and a kubectl that looks at it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use playground::{Options, Playground};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Duration, timeout};

/// Longer than any command takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// One playground and one kubectl.
pub(crate) struct Session {
    pub(crate) playground: Playground,
    kubectl: PathBuf,
    home: PathBuf,
}

/// Runs a test once for each kubectl that is given, each time against a playground of its own.
pub(crate) async fn with_each_kubectl(name: &str, test: impl AsyncFn(&Session)) {
    for (at, kubectl) in kubectls().into_iter().enumerate() {
        println!("with {}", kubectl.display());
        let session = Session::start(kubectl, &format!("{name}-{at}")).await;
        test(&session).await;
        session.end().await;
    }
}

/// What `KUBECTL` names, which must be there, or else the `kubectl` on PATH, which need not be.
fn kubectls() -> Vec<PathBuf> {
    let Some(named) = std::env::var_os("KUBECTL").filter(|named| !named.is_empty()) else {
        let found = found("kubectl".as_ref());
        if found.is_none() {
            println!("skipped: there is no kubectl on PATH");
        }
        return found.into_iter().collect();
    };
    let each = std::env::split_paths(&named);
    each.map(|one| found(&one).unwrap_or_else(|| panic!("KUBECTL names {}, which can't be run", one.display())))
        .collect()
}

/// The program of that name on PATH, or at that path: an absolute one, as the tests run it from folders of their own.
fn found(program: &Path) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::current_dir().unwrap();
    let named = std::env::split_paths(&folders).map(|folder| folder.join(program));
    let candidates = if program.components().count() > 1 { vec![here.join(program)] } else { named.collect() };
    let runs =
        |file: &PathBuf| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    candidates.into_iter().find(runs)
}

impl Session {
    async fn start(kubectl: PathBuf, name: &str) -> Self {
        let options = Options { ready_delay: Duration::from_millis(20), events: true, ..Options::default() };
        let playground = Playground::start(options).await.unwrap();
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kubectl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("config"), playground.kubeconfig()).unwrap();
        let session = Self { playground, kubectl, home };
        let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/crd/mcp.mcp.dev_mcpservers.yaml");
        session.good(&format!("apply -f {}", definition.display())).await;
        session
    }

    async fn end(self) {
        let Self { playground, kubectl: _, home } = self;
        playground.stop().await;
        std::fs::remove_dir_all(home).unwrap();
    }

    /// A file for `-f`: a relative name, from where kubectl is run.
    pub(crate) fn file(&self, name: &str, content: &Value) {
        let path = self.home.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content.to_string()).unwrap();
    }

    /// An editor that runs this sed script.
    pub(crate) fn editor(&self, script: &str) {
        let path = self.home.join("editor");
        std::fs::write(&path, format!("#!/bin/sh\nexec sed -i '{script}' \"$1\"\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(words(line)).current_dir(&self.home).kill_on_drop(true).stdin(Stdio::null());
        command.env("HOME", &self.home).env("KUBECONFIG", self.home.join("config"));
        command.env("EDITOR", self.home.join("editor")).env_remove("KUBE_EDITOR");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs kubectl; single quotes hold words together.
    pub(crate) async fn run(&self, line: &str) -> Said {
        let output = timeout(PATIENCE, self.command(line).output()).await;
        let output = output.unwrap_or_else(|_| panic!("kubectl {line} hangs")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What it prints, where it must go well.
    pub(crate) async fn good(&self, line: &str) -> String {
        let said = self.run(line).await;
        assert_eq!(said.code, 0, "kubectl {line}: {said:?}");
        said.out
    }

    /// What it complains about, where it must not go well.
    pub(crate) async fn bad(&self, line: &str) -> String {
        let said = self.run(line).await;
        assert_ne!(said.code, 0, "kubectl {line}: {said:?}");
        said.err
    }

    /// Runs kubectl with this on its standard input.
    pub(crate) async fn piped(&self, line: &str, input: &Value) -> Said {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.to_string().as_bytes()).await.unwrap();
        drop(stdin);
        let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Starts a kubectl that goes on.
    pub(crate) fn started(&self, line: &str) -> Child {
        self.command(line).spawn().unwrap()
    }

    /// An MCPServer, made without kubectl.
    pub(crate) fn make_server(&self, name: &str, labels: &Value) {
        let mut server = server(name);
        server["metadata"]["labels"] = labels.clone();
        self.playground.cluster().create("mcpservers.mcp.mcp.dev", "default", server, "test").unwrap();
    }

    /// Waits until all pods of a Deployment are there.
    pub(crate) async fn rolled_out(&self, name: &str) {
        self.good(&format!("rollout status deployment/{name} --timeout=60s")).await;
    }
}

/// Reads lines until one contains this.
pub(crate) async fn line_with(child: &mut Child, wanted: &str) -> String {
    let stdout = child.stdout.take().unwrap();
    let mut lines = BufReader::new(stdout).lines();
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(wanted) {
                return line;
            }
        }
        panic!("it ended without {wanted}")
    };
    timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never: {wanted}"))
}

/// An MCPServer of that name.
pub(crate) fn server(name: &str) -> Value {
    json!({"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "metadata": {"name": name},
        "spec": {"image": "registry.example/a:1"}})
}

/// With single spaces, so that a column's width does not matter.
pub(crate) fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
pub(crate) fn assert_says(text: &str, wanted: &[&str]) {
    let text = squeezed(text);
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}

/// One of these: what kubectl says has changed between its versions.
#[track_caller]
pub(crate) fn assert_says_one(text: &str, wanted: &[&str]) {
    let text = squeezed(text);
    assert!(wanted.iter().any(|wanted| text.contains(wanted)), "none of {wanted:?} is in:\n{text}");
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut any) = (false, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                any = true;
            }
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                    any = false;
                }
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}
