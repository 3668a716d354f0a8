//! The processes that are measured: started, asked what they cost, stopped, and never left behind.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// The unit of the times in `/proc/PID/stat`: USER_HZ, which is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// How long a process may take to stop that was asked to.
const STOP: Duration = Duration::from_secs(40);

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time, in user and kernel mode.
    pub(crate) cpu: Duration,
    /// The most memory that was resident, in KiB.
    pub(crate) peak_kib: u64,
    /// The memory that is resident, in KiB.
    pub(crate) resident_kib: u64,
}

/// A running process; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// What it has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.pid);
            fs::read_to_string(&path).with_context(|| format!("{path} ({})", self.last_words()))
        };
        let status = read("status")?;
        Ok(Usage {
            cpu: cpu(&read("stat")?).context("/proc/PID/stat looks like nothing known")?,
            peak_kib: kib(&status, "VmHWM:").context("no VmHWM")?,
            resident_kib: kib(&status, "VmRSS:").context("no VmRSS")?,
        })
    }

    /// Waits until the process has nothing to do, and gives the moment when that began. A single tick in all of `quiet`
    /// is no work: a Lease is renewed in that time.
    pub(crate) async fn idle(&self, quiet: Duration) -> anyhow::Result<Instant> {
        let (mut cpu, mut since) = (self.usage()?.cpu, Instant::now());
        while since.elapsed() < quiet {
            sleep(TICK).await;
            let now = self.usage()?.cpu;
            if now > cpu + TICK {
                (cpu, since) = (now, Instant::now());
            }
        }
        Ok(since)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await.context("kill")?;
        let ended = timeout(STOP, self.child.wait()).await.context("it was asked to stop and went on")??;
        if !asked.success() || !ended.success() {
            bail!("it stopped with {ended}: {}", self.last_words());
        }
        fs::remove_file(&self.log).with_context(|| self.log.display().to_string())
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

/// Starts the playground as a process of its own; gives its URL, too.
pub(crate) async fn start_playground(ready_ms: u64) -> anyhow::Result<(Process, String)> {
    let me = std::env::current_exe().context("this program's own file")?;
    let mut command = Command::new(me);
    command.args(["serve", &ready_ms.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = spawn(command, "playground")?;
    let output = process.child.stdout.take().context("no output")?;
    let url = BufReader::new(output).lines().next_line().await?;
    let url = url.with_context(|| format!("the playground did not start: {}", process.last_words()))?;
    Ok((process, url))
}

/// Starts the operator as it is released, with a Lease as in a cluster. Gives the URL of its metrics, too.
pub(crate) fn start_operator(program: &Path, kubeconfig: &Path) -> anyhow::Result<(Process, String)> {
    // Free a moment ago; the operator says so where it isn't any more.
    let metrics = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(program);
    command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(["--leader-elect", "--health-bind-address", "0"]);
    command.args(["--metrics-bind-address", &metrics.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
    Ok((spawn(command, "operator")?, format!("http://{metrics}")))
}

fn spawn(mut command: Command, name: &str) -> anyhow::Result<Process> {
    let log = scratch(&format!("{name}.log"));
    let file = File::create(&log).with_context(|| log.display().to_string())?;
    let program = command.as_std().get_program().display().to_string();
    // Ctrl-C in a terminal goes to a whole group, and is for this process alone: it is not done with the others.
    let child = command.stderr(file).process_group(0).kill_on_drop(true).spawn();
    let child = child.with_context(|| format!("the {name} can't be started: {program}"))?;
    let pid = child.id().context("it ended at once")?;
    Ok(Process { child, pid, log })
}

/// A file of this run's own.
pub(crate) fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("smooth-operator-bench-{}-{name}", std::process::id()))
}

/// The sum of user and kernel time, the 14th and 15th field. The second field is the program's name, in parentheses, and
/// may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, kernel): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(TICK * (user + kernel))
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
