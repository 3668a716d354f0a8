//! All servers and the schedule of all questions: values in, values out, and the time is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::pace::{self, FLOOR};
use super::report::{Desired, Pod, Report};
use super::server::{Asked, Phase, Server, Ticket};
use crate::mcp::{Era, Target, Verdict};
use crate::object::{ObjectKey, Uid};

/// A question to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) question: Question,
    pub(super) target: Target,
    pub(super) remembered: Option<Era>,
}

/// Who is asked, and by which ticket the answer is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) ticket: Ticket,
    pub(super) server: ObjectKey,
    /// The name of the pod.
    pub(super) pod: Arc<str>,
}

/// The state of the verification.
#[derive(Debug)]
pub(super) struct State {
    servers: BTreeMap<ObjectKey, Server>,
    /// One entry for each pod that waits, at the time of its [`Phase::Waiting`], and no other entries.
    schedule: BTreeSet<(Instant, ObjectKey, Uid)>,
    /// The questions that are being asked, at most `places`. The pod may be gone, or may wait for a newer question.
    running: BTreeMap<Ticket, (ObjectKey, Uid)>,
    places: usize,
    tickets: u64,
    random: StdRng,
}

impl State {
    pub(super) fn new(places: usize, seed: u64) -> Self {
        let (servers, schedule, running) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { servers, schedule, running, places, tickets: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// From now on, this is what is to be verified of `key`. Saying the same again changes nothing.
    pub(super) fn observe(&mut self, key: &ObjectKey, desired: Desired, now: Instant) -> Report {
        let Self { servers, schedule, random, running: _, places: _, tickets: _ } = self;
        let Desired { pods, interval, baseline } = desired;
        let server = servers.entry(key.clone()).or_insert_with(|| Server::new(interval, baseline));
        server.left.retain(|_, not_before| *not_before > now);
        server.pods.retain(|uid, asked| {
            let stays = pods.contains_key(uid);
            if !stays {
                unschedule(schedule, key, uid, asked);
                server.left.extend(asked.last.map(|last| (uid.clone(), last + FLOOR)));
            }
            stays
        });
        let shorter = interval < server.interval;
        server.interval = interval;
        for (uid, pod) in pods {
            let not_before = match server.pods.get_mut(&uid) {
                Some(asked) if asked.pod.target == pod.target => {
                    asked.pod = pod;
                    if let (true, Phase::Waiting(due)) = (shorter, asked.phase) {
                        let sooner = now + pace::next(None, 0, interval, random);
                        reschedule(schedule, key, &uid, asked, due.min(sooner));
                    }
                    continue;
                }
                // It is to be asked at another address or path: what was found out there says nothing about this one.
                Some(asked) => {
                    unschedule(schedule, key, &uid, asked);
                    asked.last.map(|last| last + FLOOR)
                }
                None => server.left.remove(&uid),
            };
            let due = (now + pace::first(random)).max(not_before.unwrap_or(now));
            schedule.insert((due, key.clone(), uid.clone()));
            let last = not_before.map(|not_before| not_before - FLOOR);
            server.pods.insert(uid, Asked::new(pod, due, last));
        }
        server.judge();
        server.report.clone()
    }

    /// Nothing is to be verified of `key` any more.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        let Some(server) = self.servers.remove(key) else { return };
        for (uid, asked) in &server.pods {
            unschedule(&mut self.schedule, key, uid, asked);
        }
    }

    pub(super) fn report(&self, key: &ObjectKey) -> Option<Report> {
        self.servers.get(key).map(|server| server.report.clone())
    }

    /// The next question, if it is time for one and there is a place for it.
    pub(super) fn start(&mut self, now: Instant) -> Option<Job> {
        if self.next_due()? > now {
            return None;
        }
        let (_, key, uid) = self.schedule.pop_first()?;
        let asked = self.servers.get_mut(&key)?.pods.get_mut(&uid)?;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        asked.phase = Phase::Running(ticket);
        asked.last = Some(now);
        let question = Question { ticket, server: key.clone(), pod: Arc::clone(&asked.pod.name) };
        let job = Job { question, target: asked.pod.target.clone(), remembered: asked.era() };
        self.running.insert(ticket, (key, uid));
        Some(job)
    }

    /// When [`start`](Self::start) has something to give. `None`: not before something else happens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let (due, _, _) = self.schedule.first()?;
        (self.running.len() < self.places).then_some(*due)
    }

    /// A question has ended, with a verdict or, after a panic, without. Returns the server about which there is something
    /// new to report.
    pub(super) fn finish(&mut self, ticket: Ticket, verdict: Option<Verdict>, now: Instant) -> Option<ObjectKey> {
        let (key, uid) = self.running.remove(&ticket)?;
        let server = self.servers.get_mut(&key)?;
        let interval = server.interval;
        let asked = server.pods.get_mut(&uid).filter(|asked| asked.phase == Phase::Running(ticket))?;
        let fails = matches!(verdict, Some(Verdict::Failed { .. }));
        asked.failures = if fails { asked.failures.saturating_add(1) } else { 0 };
        let due = now + pace::next(verdict.as_ref(), asked.failures, interval, &mut self.random);
        asked.phase = Phase::Waiting(due);
        self.schedule.insert((due, key.clone(), uid.clone()));
        let found = server.found(verdict?);
        server.pods.get_mut(&uid)?.found = Some(found);
        server.judge().then_some(key)
    }
}

impl Asked {
    fn new(pod: Pod, due: Instant, last: Option<Instant>) -> Self {
        Self { pod, phase: Phase::Waiting(due), last, failures: 0, found: None }
    }
}

fn unschedule(schedule: &mut BTreeSet<(Instant, ObjectKey, Uid)>, key: &ObjectKey, uid: &Uid, asked: &Asked) {
    match asked.phase {
        Phase::Waiting(due) => _ = schedule.remove(&(due, key.clone(), uid.clone())),
        // Its answer will find that nobody waits for it.
        Phase::Running(_) => {}
    }
}

fn reschedule(
    schedule: &mut BTreeSet<(Instant, ObjectKey, Uid)>,
    key: &ObjectKey,
    uid: &Uid,
    asked: &mut Asked,
    due: Instant,
) {
    unschedule(schedule, key, uid, asked);
    asked.phase = Phase::Waiting(due);
    schedule.insert((due, key.clone(), uid.clone()));
}

#[cfg(test)]
mod tests;
