//! `/healthz` and `/readyz`: what the kubelet asks.
//!
//! The two questions are often confused, and that is costly. *Alive* means that a restart would not help. An operator
//! that waits for an API server that is down is alive; otherwise the kubelet would restart every operator in the
//! cluster during each outage. *Ready* means that it does its work. A replica that waits for leadership is ready:
//! taking over when necessary *is* its work, and a rollout that waits for it to lead would wait for ever.
//!
//! So `/healthz` answers ok whenever the process can answer at all, `/readyz` runs named checks, and leadership is
//! not one of them.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use http::StatusCode;

use super::{Answer, Site};

/// A readiness check: fine, or the reason why not.
type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Something to tell that is no reason not to be ready; mostly nothing.
type Note = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The site of the probes.
#[derive(Clone, Default)]
pub struct Health {
    /// In the order in which they are printed.
    checks: Vec<(&'static str, Check)>,
    /// Printed after the checks.
    notes: Vec<(&'static str, Note)>,
}

impl Health {
    /// A process that is ready as soon as it is alive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a readiness check: `check` returns whether `name` is fine, or the reason why not. It runs for each probe
    /// and must not block.
    #[must_use]
    pub fn with_check(
        mut self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Arc::new(check)));
        self
    }

    /// Adds a note: what `note` returns is told under `name`, and does not count. It runs for each probe and must not
    /// block.
    #[must_use]
    pub fn with_note(mut self, name: &'static str, note: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.notes.push((name, Arc::new(note)));
        self
    }

    /// Alive: the process answers.
    fn healthz(query: Option<&str>) -> Answer {
        report("healthz", &[("ping", Ok(()))], &[], verbose(query))
    }

    /// Ready: every check is fine.
    fn readyz(&self, query: Option<&str>) -> Answer {
        let results: Vec<_> = self.checks.iter().map(|(name, check)| (*name, check())).collect();
        let notes: Vec<_> = self.notes.iter().filter_map(|(name, note)| Some((*name, note()?))).collect();
        report("readyz", &results, &notes, verbose(query))
    }
}

impl Site for Health {
    fn answer(&self, path: &str, query: Option<&str>) -> Option<Answer> {
        match path {
            "/healthz" => Some(Self::healthz(query)),
            "/readyz" => Some(self.readyz(query)),
            _ => None,
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _check)| name)).finish()
    }
}

fn verbose(query: Option<&str>) -> bool {
    let mut parameters = query.unwrap_or_default().split('&');
    parameters.any(|parameter| parameter.split('=').next() == Some("verbose"))
}

/// `ok` in short. If `verbose`, or if a check fails or there is something to note, a line for each, in the API server's
/// format.
fn report(endpoint: &str, results: &[(&str, Result<(), String>)], notes: &[(&str, String)], verbose: bool) -> Answer {
    let fine = results.iter().all(|(_name, result)| result.is_ok());
    if fine && notes.is_empty() && !verbose {
        return Answer::text(StatusCode::OK, "ok");
    }
    let mut body = String::new();
    for (name, result) in results {
        // Writing into a String can't fail.
        _ = match result {
            Ok(()) => writeln!(body, "[+]{name} ok"),
            Err(reason) => writeln!(body, "[-]{name} failed: {reason}"),
        };
    }
    for (name, note) in notes {
        _ = writeln!(body, "[!]{name} {note}");
    }
    let (status, verdict) = if fine {
        (StatusCode::OK, "passed")
    } else {
        // The API server answers 500, too; the kubelet treats every status from 400 on as a failure.
        (StatusCode::INTERNAL_SERVER_ERROR, "failed")
    };
    Answer::text(status, format!("{body}{endpoint} check {verdict}\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn get(health: &Health, path: &str, query: Option<&str>) -> (u16, String) {
        let answer = health.answer(path, query).unwrap();
        (answer.status.as_u16(), answer.body)
    }

    fn synced_when(synced: &Arc<AtomicBool>) -> Health {
        let synced = Arc::clone(synced);
        let check = move || {
            let synced = synced.load(Ordering::SeqCst);
            synced.then_some(()).ok_or_else(|| "secrets are not listed yet".to_owned())
        };
        Health::new().with_check("ping", || Ok(())).with_check("informers-synced", check)
    }

    #[test]
    fn alive_does_not_depend_on_any_check() {
        let health = synced_when(&Arc::default());
        assert_eq!(get(&health, "/healthz", None), (200, "ok".into()));
        assert_eq!(get(&health, "/healthz", Some("verbose")), (200, "[+]ping ok\nhealthz check passed\n".into()));
    }

    #[test]
    fn ready_names_the_check_that_fails_and_why() {
        let synced = Arc::new(AtomicBool::new(false));
        let health = synced_when(&synced);
        let body = "[+]ping ok\n[-]informers-synced failed: secrets are not listed yet\nreadyz check failed\n";
        assert_eq!(get(&health, "/readyz", None), (500, body.into()));
        synced.store(true, Ordering::SeqCst);
        assert_eq!(get(&health, "/readyz", None), (200, "ok".into()));
    }

    #[test]
    fn verbose_lists_every_check_also_when_all_are_fine() {
        let health = synced_when(&Arc::new(AtomicBool::new(true)));
        let body = "[+]ping ok\n[+]informers-synced ok\nreadyz check passed\n";
        for query in ["verbose", "verbose=true", "timeout=1s&verbose"] {
            assert_eq!(get(&health, "/readyz", Some(query)), (200, body.into()), "?{query}");
        }
        assert_eq!(get(&health, "/readyz", Some("verbosely")).1, "ok");
    }

    #[test]
    fn a_note_is_told_and_changes_nothing() {
        let health = synced_when(&Arc::new(AtomicBool::new(true)));
        let health = health.with_note("none", || None).with_note("namespaces", || Some("not served: b".to_owned()));
        let body = "[+]ping ok\n[+]informers-synced ok\n[!]namespaces not served: b\nreadyz check passed\n";
        assert_eq!(get(&health, "/readyz", None), (200, body.into()));
    }

    #[test]
    fn other_paths_have_no_answer() {
        let health = Health::new();
        for path in ["/", "/metrics", "/healthz/", "/readyz/ping", "/READYZ"] {
            assert_eq!(health.answer(path, None), None, "{path}");
        }
    }
}
