//! The process that is measured: started, asked what it costs, never left behind.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Error;
use crate::client::Connection;

/// The unit of the times in `/proc/PID/stat`: USER_HZ, which is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// CPU time, in user and kernel mode.
    pub(crate) cpu: Duration,
    /// The memory that is resident, in KiB.
    pub(crate) resident_kib: u64,
    /// The most memory that was resident, in KiB.
    pub(crate) peak_kib: u64,
}

/// A running process; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    _child: Child,
    pid: u32,
}

impl Process {
    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.pid));
        let (stat, status) = (read("stat")?, read("status")?);
        Ok(Usage {
            cpu: cpu(&stat).ok_or("/proc/PID/stat looks like nothing known")?,
            resident_kib: kib(&status, "VmRSS:").ok_or("no VmRSS")?,
            peak_kib: kib(&status, "VmHWM:").ok_or("no VmHWM")?,
        })
    }
}

/// Starts the playground as a process of its own: the process, its address, and the time to its first answer.
pub(crate) async fn start() -> Result<(Process, String, Duration), Error> {
    let begun = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let pid = child.id().ok_or("the playground ended at once")?;
    let output = child.stdout.take().ok_or("no output")?;
    let url = BufReader::new(output).lines().next_line().await?.ok_or("the playground did not start")?;
    let address = url.strip_prefix("http://").ok_or("not HTTP")?.to_owned();
    let mut connection = Connection::open(&address).await?;
    connection.send("GET", "/api/v1/namespaces/default", "", "").await?;
    Ok((Process { _child: child, pid }, address, begun.elapsed()))
}

/// The machine, in a line.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {}", model.map_or("unknown CPU", |(_, name)| name))
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
