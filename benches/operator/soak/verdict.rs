//! Whether a soak was passed: numbers in, sentences out.
//!
//! *Flat* is said of a line, not of two points: a process's memory goes up and down with what it is doing, and whoever
//! compares the beginning with the end measures that. So a straight line is laid through all samples of the second half
//! (least squares), and it may rise over that half by a twentieth of where it begins. The first half is for the heap to
//! find its size. A leak of anything per change, request or watch rises for ever, at any load: the longer the soak, the
//! smaller the leak that is found.

use std::fmt;
use std::time::Duration;

/// By how much of itself flat memory may grow over the second half.
const FLAT: f64 = 0.05;
/// A shorter second half says nothing about memory.
const SHORTEST: Duration = Duration::from_secs(120);

/// The resident memory at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// In MiB.
    pub(crate) mib: f64,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    /// In the order of time.
    pub(crate) memory: &'a [Sample],
    /// How many changes were sent.
    pub(crate) changes: u64,
    /// How many of them were never written.
    pub(crate) unwritten: usize,
    /// The keys that were left in the queue.
    pub(crate) queue: u64,
    /// How long the last changes took after the end.
    pub(crate) drained: Duration,
    /// The 99th percentile of all changes; `None` if there were none.
    pub(crate) p99: Option<Duration>,
    /// The longest that is good enough.
    pub(crate) p99_limit: Duration,
    /// How often a reconcile panicked.
    pub(crate) panics: u64,
}

/// One sentence of the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// As it should be.
    Good(String),
    /// Nobody can say.
    Unknown(String),
    /// Not as it should be.
    Bad(String),
}

impl Finding {
    fn of(good: bool, text: String) -> Self {
        if good { Self::Good(text) } else { Self::Bad(text) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(text) => write!(f, "good     {text}"),
            Self::Unknown(text) => write!(f, "unknown  {text}"),
            Self::Bad(text) => write!(f, "BAD      {text}"),
        }
    }
}

/// All that is to be said.
pub(crate) fn judge(measured: &Measured<'_>) -> Vec<Finding> {
    let Measured { memory, changes, unwritten, queue, drained, p99, p99_limit, panics } = measured;
    let all = *unwritten == 0 && *queue == 0;
    let queue = if all {
        format!("all {changes} changes written, {:.1} s after the last one the queue was empty", drained.as_secs_f64())
    } else {
        format!(
            "after {:.0} s, {unwritten} of {changes} changes are not written, {queue} keys queued",
            drained.as_secs_f64()
        )
    };
    let mut findings = vec![flatness(memory), Finding::of(all, queue)];
    findings.push(match p99 {
        None => Finding::Unknown("no change was written".to_owned()),
        Some(p99) => Finding::of(p99 <= p99_limit, {
            let ms = |time: &Duration| time.as_secs_f64() * 1e3;
            format!("99 of 100 changes written within {:.1} ms; {:.0} ms are good enough", ms(p99), ms(p99_limit))
        }),
    });
    if *panics > 0 {
        findings.push(Finding::Bad(format!("{panics} reconciles panicked")));
    }
    findings
}

fn flatness(memory: &[Sample]) -> Finding {
    let last = memory.last().map_or(Duration::ZERO, |sample| sample.at);
    let half: Vec<Sample> = memory.iter().copied().filter(|sample| sample.at >= last / 2).collect();
    let span = last.saturating_sub(half.first().map_or(last, |sample| sample.at));
    let (Some((start, slope)), true) = (line(&half), span >= SHORTEST) else {
        return Finding::Unknown(format!(
            "whether memory is flat: it takes {} minutes to tell",
            2 * SHORTEST.as_secs() / 60 + 1
        ));
    };
    let growth = slope * span.as_secs_f64();
    let text = format!(
        "memory {:+.2} % over the last {:.0} s, from {start:.1} MiB; up to {:.0} % are flat",
        growth / start * 100.0,
        span.as_secs_f64(),
        FLAT * 100.0
    );
    Finding::of(growth <= start * FLAT, text)
}

/// The straight line that is nearest to all samples: its value at the first of them, and by how much it rises in a second.
fn line(samples: &[Sample]) -> Option<(f64, f64)> {
    let first = samples.first()?.at;
    let points = || samples.iter().map(|sample| (sample.at.saturating_sub(first).as_secs_f64(), sample.mib));
    let count = f64::from(u32::try_from(samples.len()).ok()?);
    let (x, y) = points().fold((0.0, 0.0), |(x, y), (time, mib)| (x + time / count, y + mib / count));
    let (above, below) = points().fold((0.0, 0.0), |(above, below), (time, mib)| {
        ((time - x).mul_add(mib - y, above), (time - x).mul_add(time - x, below))
    });
    (below > 0.0).then(|| (y - above / below * x, above / below))
}
