//! What happened, in order, and what should not have.
//!
//! Everybody notes here what they do: people, strangers, the weather, each request that arrives. A run that fails prints it,
//! and two runs of one seed have to note the same, line by line.
//!
//! It also listens to the operator's log. No line of it may show a Secret's value, whatever its level; warnings become part
//! of the timeline.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

/// How each value of a Secret begins, and how it begins in base64.
pub(crate) const CANARY: &str = "canary-in-the-mine-";
const CANARY_IN_BASE64: &str = "Y2FuYXJ5LWluLXRoZS1taW5l";

/// Violations beyond these say nothing new.
const ENOUGH: usize = 20;

/// See the [module](self). Clones are the same timeline.
#[derive(Clone)]
pub(crate) struct Timeline(Arc<Mutex<Notes>>);

struct Notes {
    started: Instant,
    lines: Vec<(Duration, String)>,
    violations: Vec<String>,
    /// The values that somebody may have seen are told once for each place.
    leaks: BTreeSet<String>,
}

impl Timeline {
    /// Begins now.
    pub(crate) fn new() -> Self {
        let notes =
            Notes { started: Instant::now(), lines: Vec::new(), violations: Vec::new(), leaks: BTreeSet::new() };
        Self(Arc::new(Mutex::new(notes)))
    }

    /// Notes that something happened.
    pub(crate) fn note(&self, who: impl Display, what: impl Display) {
        let mut notes = self.0.lock().unwrap();
        let at = notes.started.elapsed();
        notes.lines.push((at, format!("{who:<10} {what}")));
    }

    /// Notes that something happened that must not.
    pub(crate) fn violation(&self, what: impl Display) {
        let what = what.to_string();
        self.note("VIOLATION", &what);
        let mut notes = self.0.lock().unwrap();
        if notes.violations.len() < ENOUGH {
            notes.violations.push(what);
        }
    }

    /// Looks for a Secret's value where none may be.
    pub(crate) fn scan(&self, place: &str, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let shows = text.contains(CANARY) || text.contains(CANARY_IN_BASE64);
        if shows && self.0.lock().unwrap().leaks.insert(place.to_owned()) {
            self.violation(format_args!("a Secret's value is shown in {place}: {text}"));
        }
    }

    /// What must not have happened.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.0.lock().unwrap().violations.clone()
    }

    /// Forgets everything but what must not have happened.
    pub(crate) fn forget(&mut self) {
        self.0.lock().unwrap().lines = Vec::new();
    }

    /// All of it, a line for each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let notes = self.0.lock().unwrap();
        notes.lines.iter().map(|(at, line)| format!("{:>9.3}  {line}", at.as_secs_f64())).collect()
    }

    fn heard(&self, line: &str) {
        self.scan("a log line", line.as_bytes());
        if line.contains("panicked") || line.contains("this is a bug") {
            self.violation(format_args!("the log says: {line}"));
        } else if line.starts_with("ERROR") || line.starts_with(" WARN") {
            self.note("log", line);
        }
    }
}

impl MakeWriter<'_> for Timeline {
    type Writer = LogLine;

    fn make_writer(&self) -> LogLine {
        LogLine { timeline: self.clone(), text: Vec::new() }
    }
}

/// A line of the log on its way into the timeline.
pub(crate) struct LogLine {
    timeline: Timeline,
    text: Vec<u8>,
}

impl io::Write for LogLine {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.timeline.heard(String::from_utf8_lossy(&self.text).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_secrets_value_is_found_wherever_it_is_shown() {
        let timeline = Timeline::new();
        timeline.scan("a name", b"canary");
        assert!(timeline.violations().is_empty());
        timeline.scan("a request", format!("it is {CANARY}7, is it not?").as_bytes());
        timeline.scan("a status", format!("{CANARY_IN_BASE64}Lw==").as_bytes());
        assert_eq!(timeline.violations().len(), 2);
        let log = tracing_subscriber::fmt().without_time().with_writer(timeline.clone()).finish();
        tracing::subscriber::with_default(log, || tracing::info!("the token is {CANARY}8"));
        assert!(timeline.violations()[2].contains("a log line"), "{:?}", timeline.violations());
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_the_log_is_a_violation_and_a_warning_a_note() {
        let timeline = Timeline::new();
        let log = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(timeline.clone()).finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!("the API server is away");
            tracing::error!("reconcile panicked");
        });
        assert_eq!(timeline.violations().len(), 1);
        let lines = timeline.lines();
        assert!(lines[0].contains("log") && lines[0].contains("away") && lines.len() == 2, "{lines:?}");
    }
}
