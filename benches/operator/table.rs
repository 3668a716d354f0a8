//! The result, as one table of plain text.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::Load;
use crate::api::Writes;
use crate::process::Usage;
use crate::stages::{Story, without_leases};

/// What the writes are called, and where they are counted.
const KINDS: [(&str, &str); 5] = [
    ("Deployment", "deployments.apps"),
    ("Service", "services"),
    ("status", "mcpservers.mcp.mcp.dev/status"),
    ("Events", "events.events.k8s.io"),
    ("Lease", "leases.coordination.k8s.io"),
];
const LABEL: usize = 46;
const COLUMN: usize = 16;

/// The machine, in a line.
pub(crate) fn machine() -> String {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown CPU".to_owned());
    let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse().ok());
    let memory = memory.map_or_else(String::new, |kib: u64| format!(", {} GiB", kib.div_ceil(1 << 20)));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}{memory}, Linux {}", kernel.trim())
}

/// The table: a column for each story.
pub(crate) fn render(stories: &[Story], load: &Load) -> String {
    let mut table = Table { text: String::new(), stories };
    table.row("", |story| format!("{} servers", thousands(story.servers as u64)));
    table.section(&format!("made, {} ms from a pod's making to its readiness", load.ready_ms));
    table.row("all created (s)", |story| seconds(story.made.created));
    table.row("all Ready, operator quiet (s)", |story| seconds(story.made.settled));
    for (name, resource) in KINDS.into_iter().filter(|(name, _)| *name != "Lease") {
        table.row(&format!("writes per server: {name}"), |story| per(&story.made.writes, resource, story.servers));
    }
    table.row("writes per server: other kinds", |story| {
        format!("{:.2}", ratio(others(&story.made.writes), story.servers))
    });
    table.row("writes to the Lease", |story| count(&story.made.writes, "Lease"));
    table.usage("operator", |story| story.made.operator);
    table.usage("API server", |story| story.made.playground);

    table.section("the operator started again");
    table.row("idle after (s)", |story| seconds(story.restarted.idle));
    table.row("writes, without the Lease", |story| without_leases(&story.restarted.writes).to_string());
    table.row("writes to the Lease", |story| count(&story.restarted.writes, "Lease"));
    table.usage("operator", |story| story.restarted.operator);
    let resources = stories.first().map(|story| story.informed.clone()).unwrap_or_default();
    for (resource, _) in resources {
        table.row(&format!("objects held: {resource}"), |story| {
            let held = story.informed.iter().find(|(name, _)| *name == resource);
            held.map_or_else(String::new, |(_, count)| thousands(*count))
        });
    }

    table.section("one image changed, one server after the other");
    table.row("changes", |story| story.changed.latencies.len().to_string());
    table.row("change answered to Deployment written: p50 (ms)", |story| {
        milliseconds(percentile(&story.changed.latencies, 50))
    });
    table.row("change answered to Deployment written: p99 (ms)", |story| {
        milliseconds(percentile(&story.changed.latencies, 99))
    });
    for (name, resource) in KINDS.into_iter().filter(|(name, _)| *name != "Lease") {
        table.row(&format!("writes per change: {name}"), |story| {
            per(&story.changed.writes, resource, story.changed.latencies.len())
        });
    }
    table.row("CPU of the operator per change (ms)", |story| {
        format!("{:.2}", story.changed.cpu.as_secs_f64() * 1e3 / story.changed.latencies.len().max(1) as f64)
    });

    table.section("after all of it");
    table.usage("API server", |story| story.playground);
    table.text
}

struct Table<'a> {
    text: String,
    stories: &'a [Story],
}

impl Table<'_> {
    fn section(&mut self, title: &str) {
        let _infallible = write!(self.text, "\n{title}\n");
    }

    fn row(&mut self, label: &str, cell: impl Fn(&Story) -> String) {
        let _infallible = write!(self.text, "  {label:LABEL$}");
        for story in self.stories {
            let _infallible = write!(self.text, "{:>COLUMN$}", cell(story));
        }
        self.text.push('\n');
    }

    fn usage(&mut self, who: &str, usage: impl Fn(&Story) -> Usage) {
        self.row(&format!("CPU of the {who} (s)"), |story| seconds(usage(story).cpu));
        self.row(&format!("memory of the {who}, at most (MiB)"), |story| mib(usage(story).peak_kib));
        self.row(&format!("memory of the {who}, then (MiB)"), |story| mib(usage(story).resident_kib));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

/// From KiB.
pub(crate) fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

fn ratio(count: u64, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

fn per(writes: &Writes, resource: &str, of: usize) -> String {
    format!("{:.2}", ratio(writes.get(resource).copied().unwrap_or(0), of))
}

fn count(writes: &Writes, kind: &str) -> String {
    let resource = KINDS.into_iter().find(|(name, _)| *name == kind).map_or("", |(_, resource)| resource);
    writes.get(resource).copied().unwrap_or(0).to_string()
}

/// Writes of kinds that are not in [`KINDS`]: there should be none, and none should go unseen.
fn others(writes: &Writes) -> u64 {
    let known = |resource: &str| KINDS.iter().any(|(_, known)| *known == resource);
    writes.iter().filter(|(resource, _)| !known(resource)).map(|(_, count)| count).sum()
}

/// The value that so many of a hundred don't exceed (nearest rank).
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// In milliseconds; `-` where there is none.
pub(crate) fn milliseconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1e3))
}

/// `10,000`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (first > 0).then(|| digits[..first].to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}
